"""The examples in the documentation of cases, commands and results are right."""

from __future__ import annotations

import importlib
import math
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import xarray

from flowsheet import load_case, registry, run_case, schema
from flowsheet.cli import _parse, main
from solvers import Status

DOCS = Path(__file__).parents[2] / "docs"


def test_example_case_runs(tmp_path: Path) -> None:
    text = re.search(r"```toml\n(schema = 1.*?)```", (DOCS / "cases.md").read_text(), re.DOTALL)
    assert text is not None
    file = tmp_path / "case.toml"
    file.write_text(text[1])
    assert load_case(file, strict=True).name == "two_powders"
    results = run_case(file)
    assert results.status is Status.COMPLETE
    assert all(row.closes for row in results.balance)


CASE_WITH_DRUM = """
schema = 1
name = "drum"
horizon = "2 min"
materials.api = { true_density = "1.3 g/mL", bulk_density = "0.4 g/mL" }
units.feed = { type = "source", flow = "3.6 kg/h" }
units.drum = { type = "coating_drum", residence_time = "0.5 min" }
units.bin = { type = "sink" }
streams = [{ from = "feed.outlet", to = "drum.inlet" }, { from = "drum.outlet", to = "bin.inlet" }]
"""


def install_example(type_name: str, package: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the code that the page shows for a module to a package of its own, and register the type that it names."""
    text = (DOCS / "cases.md").read_text()
    code = re.search(rf"```python\n# my_package/{module}.py\n(.*?)```", text, re.DOTALL)
    entry = re.search(rf'{type_name} = "my_package\.(.*)"', text)
    assert code is not None
    assert entry is not None
    (tmp_path / package).mkdir()
    (tmp_path / package / f"{module}.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    both = [*registry.entry_points(group=registry.GROUP), EntryPoint(type_name, f"{package}.{entry[1]}", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: both)


def test_example_unit_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_example("coating_drum", "my_package", "coating", tmp_path, monkeypatch)
    (tmp_path / "case.toml").write_text(CASE_WITH_DRUM)
    results = run_case(load_case(tmp_path, strict=True), tmp_path / "out")
    # a stirred vessel filled at a constant rate
    assert results["drum.outlet_total"][-1] == pytest.approx(1e-3 * -math.expm1(-120 / 30), rel=1e-6)
    assert all(row.closes for row in results.balance)


CASE_WITH_TANK = """
schema = 1
name = "tank"
horizon = "10 h"
components.drug = { amount = "moles" }
units.tank = { type = "decay_reactor", decay = "0.1 1/h", initial_volume = "1 L", maximum_volume = "2 L", initial_molarity = 2 }
units.bin = { type = "liquid_sink" }
streams = [{ from = "tank.outlet", to = "bin.inlet" }]
"""


def test_example_kinetics_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_example("decay_reactor", "my_kinetics", "decay", tmp_path, monkeypatch)
    (tmp_path / "case.toml").write_text(CASE_WITH_TANK.replace("= 2 }", '= "2 mmol/L" }'))
    results = run_case(load_case(tmp_path, strict=True), tmp_path / "out")
    assert results["tank.molarity[drug]"][-1] == pytest.approx(2 * math.exp(-1), rel=1e-7)
    assert all(row.closes and row.unit == "mol" for row in results.balance)


def test_tables_open_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_case(DOCS.parent / "cases" / "cdc_line", tmp_path / "results" / "cdc_line", ["horizon=1 min", "output.interval=5 s"])
    monkeypatch.chdir(tmp_path)
    code = re.search(r"^balance = xarray.*?^(?=```)", (DOCS / "results.md").read_text(), re.DOTALL | re.MULTILINE)
    assert code is not None
    names: dict[str, Any] = {"xarray": xarray}
    exec(code[0], names)
    with names["balance"] as balance, names["tree"] as tree:
        assert list(balance.to_dataframe().index) == ["excipient", "api", "lubricant"]
        assert len(tree["balance"].to_dataset(inherit=False).to_dataframe()) == 3


def test_all_keys_are_documented() -> None:
    text = (DOCS / "cases.md").read_text()
    tables = (
        schema.TOP,
        schema.OUTPUT,
        schema.SOLVER,
        schema.MATERIAL,
        schema.COMPONENT,
        schema.STREAM,
        schema.PROFILE,
        schema.SPECIFICATION,
        schema.UNIFORMITY,
    )
    for key in (*(key.name for table in tables for key in table if key.name not in ("units", "materials", "streams")), *schema.DISPLAY):
        assert re.search(rf"`\[*{key}\b", text), key


@pytest.mark.parametrize("command", ["check", "run", "report", "show", "units", "verify"])
def test_all_options_are_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "command_line.md").read_text()
    assert main([command, "--help"]) == 0
    for option in set(re.findall(r"--[a-z]+", capsys.readouterr().out)):
        assert option in text
    assert callable(_parse([command, *([] if command in ("units", "verify") else ["x"])]).command)


def test_examples_of_campaigns_are_right() -> None:
    text = (DOCS / "campaigns.md").read_text()
    example, code = (re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("toml", "python"))
    assert example is not None
    assert code is not None
    case = (DOCS.parent / "cases" / "seed_train" / "case.toml").read_text()
    shown = [line.partition("#")[0].rstrip() for line in example[1].splitlines()]
    assert all(line in case for line in shown)
    space: dict[str, Any] = {}
    exec(code[1], space)
    assert space["trajectories"]["main"]["cells"][-1] == pytest.approx(0.2 * math.exp(1.6), rel=1e-7)
    assert space["result"][("main", "cells"), ("seed", "growth")][-1] == pytest.approx(0.4 * math.exp(1.6), rel=1e-6)
