# make run    install into .venv, build the kernels, simulate cases/cdc_line and say where its report is
# make test   the same set-up, then lint, format, types, import rules and all tests
# PYTHON=...  the interpreter that makes .venv (3.11 or newer)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

INSTALLED := $(VENV)/.installed
BUILT     := $(VENV)/.built
KERNELS   := $(wildcard csrc/*.pyx csrc/*.pxd csrc/*.c csrc/*.h)

CASE := cases/cdc_line

.PHONY: run test lint clean

run: $(BUILT)
	$(BIN)/flowsheet run $(CASE) --out results/cdc_line --force
	@test -s results/cdc_line/report.html

test: lint
	$(BIN)/python -m pytest

lint: $(BUILT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) setuptools Cython numpy
	$(PIP) --no-build-isolation --editable '.[test,dev]'
	touch $@

$(BUILT): $(INSTALLED) $(KERNELS)
	$(BIN)/python setup.py --quiet build_ext --inplace
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info csrc/*.so results
