"""All examples in the documentation run, each in a folder of its own, and all links in it lead somewhere.

Every fenced block of every page is tried by what it is:

- ``python`` is executed; a ``text`` block with ``shows`` is what its code prints.
- ``toml`` with a ``schema`` is a case that has to run; another one is merged into the case that it is ``within`` and has to be valid.
- A block whose first line is a comment with a file's name is that file, for the blocks behind it on the page.
- ``console`` are commands behind ``$`` with their output; ``...`` stands for anything.

What a reader need not see stands in a comment before the block: ``<!-- setup`` and ``<!-- shows`` with code, ``<!-- holds: condition -->``,
``<!-- within: cases/name -->``.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowsheet import load_campaign, load_case, run_case, schema
from flowsheet.case_check import Checker
from flowsheet.case_read import read_case
from flowsheet.cli import _parse, main
from solvers import Status

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]

MARK = re.compile(r"<!-- (setup|shows|holds:|within:)\s(.*?)-->", re.DOTALL)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w/]+\.(?:py|toml))\n")

EXCEPTIONS = {("docs/command_line.md", "flowsheet check  CASE"): "a synopsis; test_all_options_are_documented holds it"}
"""Blocks that cannot run, by page and beginning, with the reason."""

TANK = """
import pyomo.environ as pyo
from pyomo.dae import ContinuousSet, DerivativeVar
model = pyo.ConcreteModel()
model.time = ContinuousSet(bounds=(0, 3600))
model.tank = pyo.Block()
model.k, model.feed = pyo.Param(initialize=0.01, mutable=True), pyo.Var(model.time, initialize=1.0)
model.tank.level, model.product = pyo.Var(model.time, initialize=1.0), pyo.Var(model.time, initialize=0.0)
model.level_rate = DerivativeVar(model.tank.level, wrt=model.time)
model.product_rate = DerivativeVar(model.product, wrt=model.time)
model.feed.fix(1.0)
model.tank.level[0].fix(1.0)
model.product[0].fix(0.0)
model.fill = pyo.Constraint(model.time, rule=lambda m, t: m.level_rate[t] == m.feed[t] - m.k * m.tank.level[t])
model.make = pyo.Constraint(model.time, rule=lambda m, t: m.product_rate[t] == 1e-3 * (m.tank.level[t] - m.product[t]))
"""

BESIDE: dict[tuple[str, str], dict[str, list[str]]] = {
    ("README.md", "toml"): {"within:": ["cases/small_line"]},
    ("README.md", "python"): {"setup": [TANK]},
}
"""Marks of the first page, which has none in itself so that it reads well everywhere."""

QUOTED = {"README.md": "cases/small_line"}
"""Pages whose snippets say nothing but what a case says."""


@dataclass(frozen=True)
class Example:
    """A fenced block: where it stands, what it is, the marks before it, and the files that the page has shown until then."""

    page: str
    line: int
    language: str
    code: str
    marks: dict[str, list[str]]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        found = FILE.match(self.code) if self.language in ("python", "toml") else None
        return found[1] if found else ""

    @property
    def excepted(self) -> bool:
        return any(self.page == page and self.code.startswith(begin) for page, begin in EXCEPTIONS)


def examples_of(page: Path) -> list[Example]:
    name, text = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
    found: list[Example] = []
    files: dict[str, str] = {}
    end = 0
    for block in FENCE.finditer(text):
        # marks stand directly before their block
        before = re.search(r"(?:<!-- (?:(?!-->).)*-->\s*)*\Z", text[end : block.start()], re.DOTALL)
        marks: dict[str, list[str]] = {key: list(values) for key, values in BESIDE.get((name, block[1]), {}).items()}
        for mark in MARK.finditer(before[0] if before else ""):
            marks.setdefault(mark[1], []).append(mark[2].strip())
        found.append(Example(name, text.count("\n", 0, block.start()) + 1, block[1], block[2], marks, dict(files)))
        if found[-1].file:
            files[found[-1].file] = block[2]
        end = block.end()
    return found


EXAMPLES = [example for page in PAGES for example in examples_of(page)]


def of(*languages: str) -> Any:
    chosen = [example for example in EXAMPLES if example.language in languages and not example.excepted]
    return pytest.mark.parametrize("example", chosen, ids=[f"{example.page}:{example.line}" for example in chosen])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cases").symlink_to(ROOT / "cases")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


def executed(code: str, example: Example) -> str:
    """Execute code after its setup, see that what is said to hold holds, and return what it prints."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile("\n".join(example.marks.get("setup", [])), f"{example.page} (setup)", "exec"), names)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile("\n" * example.line + code, example.page, "exec"), names)
    for condition in example.marks.get("holds:", []):
        assert eval(condition, names), condition
    return printed.getvalue()


def assert_shown(expected: str, got: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, got, flags), f"expected:\n{expected}\ngot:\n{got}"


def test_every_block_is_of_a_kind_that_is_tried() -> None:
    tried = {"python", "toml", "console", "text"}
    assert {example.language for example in EXAMPLES} <= tried
    assert not [f"{e.page}:{e.line}" for e in EXAMPLES if e.language == "text" and "shows" not in e.marks and not e.excepted]
    marks = sum(len(MARK.findall(page.read_text(encoding="utf-8"))) for page in PAGES)
    used = sum(len(values) for e in EXAMPLES if (e.page, e.language) not in BESIDE for values in e.marks.values())
    assert marks == used, "a mark that stands before no block"


def test_exceptions_are_few_and_there() -> None:
    assert len(EXCEPTIONS) <= 1
    for page, begin in EXCEPTIONS:
        assert [example for example in EXAMPLES if example.page == page and example.code.startswith(begin)], begin


@of("python")
def test_python(example: Example, folder: Path) -> None:
    if example.file:
        compile(example.code, example.file, "exec")
    else:
        executed(example.code, example)


@of("text")
def test_text_is_what_is_printed(example: Example, folder: Path) -> None:
    assert_shown(example.code, executed("\n".join(example.marks["shows"]), example))


IDENTITY = {"streams": "to", "signals": "to", "profiles": "variable", "specifications": "variable", "uniformity": "assay"}
"""What tells an entry of a section from the others; other arrays of tables are replaced as a whole."""


def merged(case: Any, snippet: Any, section: str = "") -> Any:
    if isinstance(case, dict) and isinstance(snippet, dict):
        return case | {key: merged(case[key], value, key) if key in case else value for key, value in snippet.items()}
    if section in IDENTITY and isinstance(case, list):
        new = {entry[IDENTITY[section]]: entry for entry in snippet}
        kept = [new.pop(entry[IDENTITY[section]], entry) for entry in case]
        return kept + list(new.values())
    return snippet


def said_by(case: Any, snippet: Any) -> bool:
    """Tell whether a case says all that a snippet does."""
    if isinstance(snippet, dict):
        return all(key in case and said_by(case[key], value) for key, value in snippet.items())
    if isinstance(snippet, list) and snippet and isinstance(snippet[0], dict):
        return all(any(said_by(entry, part) for entry in case) for part in snippet)
    return bool(case == snippet)


@of("toml")
def test_toml(example: Example, folder: Path) -> None:
    document = tomllib.loads(example.code)
    if example.file:
        return  # the commands of the page use it
    if "stages" in document:
        load_campaign(Path("cases") / document["name"])
        assert said_by(tomllib.loads((Path("cases") / document["name"] / "case.toml").read_text(encoding="utf-8")), document)
        return
    if "schema" in document and "within:" not in example.marks:
        Path("case.toml").write_text(example.code)
        results = run_case(load_case("case.toml", strict=True))
        assert results.status is Status.COMPLETE
        assert all(row.closes for row in results.balance)
        return
    (name,) = example.marks["within:"]
    file = Path(name) / "case.toml"
    case = tomllib.loads(file.read_text(encoding="utf-8"))
    whole = merged(case, document)
    read_case(whole, Checker(f"{example.page}:{example.line}", None), file)
    if QUOTED.get(example.page) == name:
        assert said_by(case, document)


PIP = """import sys
from setuptools import build_meta
assert sys.argv[1] == "install" and sys.argv[-1] == ".", sys.argv
build_meta.prepare_metadata_for_build_wheel(".")
"""
"""What an editable installation leaves: metadata with entry points, in the folder that Python looks in."""


@pytest.fixture
def shell(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which ``flowsheet``, ``pytest`` and ``pip install .`` are there and reach this folder only."""
    commands = tmp_path_factory.mktemp("bin")
    (commands / "pip.py").write_text(PIP)
    for name, what in (("flowsheet", "-m flowsheet.cli"), ("pytest", "-m pytest -p no:cacheprovider"), ("pip", f"{commands}/pip.py")):
        script = commands / name
        quiet = " >pip.log 2>&1" if name == "pip" else ""
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {what} "$@"{quiet}\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}


CONSOLES = {page: [e for e in EXAMPLES if e.page == page and e.language == "console"] for page in dict.fromkeys(e.page for e in EXAMPLES)}


@pytest.mark.parametrize("page", [page for page, blocks in CONSOLES.items() if blocks])
def test_commands(page: str, folder: Path, shell: dict[str, str]) -> None:
    """The commands of a page follow each other in one folder."""
    for example in CONSOLES[page]:
        for name, content in example.files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content)
        exec("\n".join(example.marks.get("setup", [])), {})
        for part in re.split(r"^\$ ", example.code, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            done = subprocess.run(command, shell=True, env=shell, text=True, stdout=-1, stderr=subprocess.STDOUT, check=False)
            assert_shown(expected, done.stdout)
            assert (done.returncode != 0) == expected.startswith("error: "), done.stdout
    assert all(name in "".join(e.code for e in CONSOLES[page]) or name.endswith((".py", "pyproject.toml")) for name in example.files)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_in_running_text_can_be_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    indented = re.findall(r"^    (flowsheet [^#\n]*)", FENCE.sub("", text), re.MULTILINE)
    for command in indented:
        options = _parse(shlex.split(command)[1:])
        assert Path(ROOT, getattr(options, "case", ".")).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, anchor


def test_cases_named_in_the_docs_are_there() -> None:
    for page in PAGES:
        for name in re.findall(r"`(cases/[\w/]+)`", page.read_text(encoding="utf-8")):
            assert next((ROOT / name).rglob("case.toml"), None), f"{page.name}: {name}"


WHERE = {
    "TOP": r"\| top \|.*",
    "OUTPUT": r"\| `\[output\]`.*",
    "SOLVER": r"\| `\[solver\]`.*",
    "SIZES": r"\| `\[sizes\]`.*",
    "MATERIAL": r"\| `\[materials.*",
    "COMPONENT": r"\| `\[components.*",
    "STREAM": r"\| `\[\[streams\]\]`.*",
    "SIGNAL": r"\| `\[\[signals\]\]`.*",
    "PHASE": r"\| `\[\[phases\]\]`.*",
    "UNTIL": r"\| `\[\[phases\]\]`.*",
    "PROFILE": r"\| `\[\[profiles\]\]`.*",
    "SPECIFICATION": r"\| `\[\[specifications\]\]`.*",
    "UNIFORMITY": r"\| `\[\[uniformity\]\]`.*",
    "DATA": r"\| `\[\[data\]\]`.*",
    "DATA_TIME": r"## Measured data\n(?s:.*?)\n## ",
    "DATA_VARIABLE": r"## Measured data\n(?s:.*?)\n## ",
    "TRACE": r"\| `\[trace\]` \| `threshold`.*",
    "TRACE_DIVERSION": r"\| `\[\[trace\.diversions\]\]`.*",
    "TRACE_FUNNEL": r"\| `\[\[trace\.funnels\]\]`.*",
    "DISPLAY": r"\| `\[display\]`.*",
}
"""Where the page on case files explains the keys of each table of the schema."""


def test_every_table_of_the_schema_is_looked_at() -> None:
    tables = {name for name, value in vars(schema).items() if isinstance(value, tuple) and value and isinstance(value[0], schema.Key)}
    assert tables | {"DISPLAY"} == set(WHERE)


@pytest.mark.parametrize("table", WHERE)
def test_all_keys_are_documented(table: str) -> None:
    text = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
    (place,) = re.findall(WHERE[table], text)
    for key in getattr(schema, table):
        name = key if isinstance(key, str) else key.name
        heading = rf"^\| `\[+{name}\b" if table == "TOP" else "(?!)"
        assert re.search(rf"\b{name}\b", place) or re.search(heading, text, re.MULTILINE), name


@pytest.mark.parametrize("command", ["check", "run", "trace", "report", "show", "units", "verify"])
def test_all_options_are_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert main([command, "--help"]) == 0
    for option in set(re.findall(r"--[a-z]+", capsys.readouterr().out)):
        assert option in text
    assert callable(_parse([command, *([] if command in ("units", "verify") else ["x"])]).command)
