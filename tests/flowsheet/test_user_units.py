"""Units of somebody else's package: found by entry points, checked like ours, their faults told by name."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import pyomo.environ as pyo
import pytest
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from flowsheet import open_results, registry
from flowsheet.cli import main
from flowsheet.problems import CaseErrors
from solvers.errors import CaseError, Complaint
from units.parameter import Parameter
from units.stream import add_powder_port
from units.unit import UnitBlock

NAME = "somebody_elses_units"


class _Pipe(UnitBlock):
    """What the units below have in common: an inlet, an outlet, a temperature."""

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("temperature", u.K, "temperature of the jacket", 300.0, 0.0, open_lower=True),
        Parameter("margin", u.dimensionless, "distance from failure", 1.0),
    )

    @classmethod
    def inlets(cls, given: Any) -> tuple[str, ...]:
        return ("inlet",)

    @classmethod
    def outlets(cls, given: Any) -> tuple[str, ...]:
        return ("outlet",)

    def make(self, time: Any, materials: Any, given: Any) -> list[str]:
        components = list(materials)
        self.add_parameters(time, components, given)
        add_powder_port(self, "inlet", time, components)
        add_powder_port(self, "outlet", time, components)
        return components

    def pass_on(self, time: Any, components: list[str]) -> None:
        @self.Constraint(time, components)
        def passing(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.inlet_flow[t, c]


@declare_custom_block("Heater", rule="build")
class HeaterData(_Pipe):
    """A pipe with a warm jacket."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        self.pass_on(time, self.make(time, materials, given))


@declare_custom_block("Loose", rule="build")
class LooseData(_Pipe):
    """A pipe whose outlet is not determined."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        self.make(time, materials, given)


@declare_custom_block("Tight", rule="build")
class TightData(_Pipe):
    """A pipe with one equation too many."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        components = self.make(time, materials, given)
        self.pass_on(time, components)

        @self.Constraint(time)
        def extra(b: Any, t: float) -> Any:
            return b.outlet_flow[t, components[0]] == 1e-3 * u.kg / u.s


@declare_custom_block("Failing", rule="build")
class FailingData(_Pipe):
    """A pipe that stops making sense after a while: the square root of a negative number."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        self.pass_on(time, self.make(time, materials, given))
        self.level = pyo.Var(time, initialize=1.0, units=u.dimensionless)
        self.level_rate = DerivativeVar(self.level, wrt=time, units=1 / u.s)
        self.level[time.first()].fix(1.0)

        @self.Constraint(time)
        def fall(b: Any, t: float) -> Any:
            return b.level_rate[t] == -(0.1 + pyo.sqrt(b.level[t] - 1 + b.margin)) * (1 / u.s)


@declare_custom_block("Unsolvable", rule="build")
class UnsolvableData(_Pipe):
    """A pipe of an imaginary level: sound in structure, without a start."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        self.pass_on(time, self.make(time, materials, given))
        self.level = pyo.Var(time, initialize=1.0, units=u.dimensionless)

        @self.Constraint(time)
        def imaginary(b: Any, t: float) -> Any:
            return b.level[t] ** 2 + b.level[t] ** 4 == -b.margin


@declare_custom_block("Choosy", rule="build")
class ChoosyData(_Pipe):
    """A pipe with wishes of its own for its parameters."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        self.make(time, materials, given)
        hot = Complaint("too hot; the seals: see the manual", allowed="less", hint="cool it", key=("temperature",))
        raise CaseError("this pipe does not like it", complaints=[hot, Complaint("margin and temperature do not fit")])


@declare_custom_block("Broken", rule="build")
class BrokenData(_Pipe):
    """A unit with a bug."""

    def build(self, *_: Any, time: Any, materials: Any, **given: Any) -> None:
        raise ZeroDivisionError("a bug in a unit")


@pytest.fixture(autouse=True)
def entry_points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    ours = list(registry.entry_points(group=registry.GROUP))
    names = ("Heater", "Loose", "Tight", "Failing", "Unsolvable", "Choosy", "Broken")
    theirs = [EntryPoint(name.lower(), f"{NAME}:{name}", registry.GROUP) for name in names]
    both = [*ours, *theirs]
    monkeypatch.setitem(sys.modules, NAME, sys.modules[__name__])
    monkeypatch.setattr(registry, "entry_points", lambda group: both)
    return both


def case_with(kind: str, folder: Path, extra: str = "") -> str:
    file = folder / "case.toml"
    file.write_text(
        f"""
schema = 1
name = "user"
horizon = "5 s"
[output]
interval = "0.1 s"
[materials.api]
true_density = "1.3 g/mL"
bulk_density = "0.4 g/mL"
[units.feed]
type = "source"
flow = "1 kg/h"
[units.pipe]
type = "{kind}"
{extra}
[units.bin]
type = "sink"
[[streams]]
from = "feed.outlet"
to = "pipe.inlet"
[[streams]]
from = "pipe.outlet"
to = "bin.inlet"
"""
    )
    return str(file)


def test_user_unit_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", case_with("heater", tmp_path), "--out", str(tmp_path / "out")]) == 0
    results = open_results(tmp_path / "out")
    assert results["pipe.outlet_flow[api]"][-1] == pytest.approx(1 / 3600)
    assert "material balance closes" in capsys.readouterr().out


def test_user_unit_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["units"]) == 0
    output = capsys.readouterr().out
    assert "heater" in output
    assert "temperature of the jacket" in output
    assert "tablet_press" in output


def test_celsius_taken_for_kelvin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = case_with("heater", tmp_path, 'temperature = "25 K"')
    assert main(["check", path]) == 0
    assert "units.pipe.temperature: 25 K lies below the physical range 200-600 K" in capsys.readouterr().err
    assert main(["check", path, "--strict"]) == 3
    assert 'write for example "25 degC"' in capsys.readouterr().err
    assert main(["check", case_with("heater", tmp_path, 'temperature = "25 degC"'), "--strict"]) == 0


@pytest.mark.parametrize(("kind", "text"), [("loose", "pipe.outlet_flow"), ("tight", "pipe.")])
def test_structure_is_told_by_name(kind: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", case_with(kind, tmp_path), "--out", str(out)]) == 4
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert text in errors
    assert not out.exists(), "nothing is written"


def test_failing_run_keeps_what_was_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", case_with("failing", tmp_path), "--out", str(out)]) == 5
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert f"what was computed, marked incomplete, is in {out}" in errors
    results = open_results(out)
    assert results.status.name == "INCOMPLETE"
    assert results.stopped_because
    assert 0 < results.t[-1] < 5
    assert (out / "report.html").exists()


def test_run_that_fails_at_the_start_never_looks_like_a_good_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", case_with("failing", tmp_path, "margin = -0.5"), "--out", str(out)]) == 5
    assert capsys.readouterr().err.startswith("error: ")
    if out.exists():
        results = open_results(out)
        assert results.status.name == "INCOMPLETE"
        assert list(results.t) == [0.0]


def test_bug_in_a_unit_asks_for_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = case_with("broken", tmp_path)
    assert main(["check", path]) == 1
    errors = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: a bug in a unit" in errors
    assert "--debug" in errors
    assert "Traceback" not in errors
    assert main(["check", path, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_check_finds_a_start_that_cannot_be_solved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = case_with("unsolvable", tmp_path)
    for command in (["check", path], ["run", path, "--out", str(tmp_path / "out")]):
        assert main(command) == 5
        assert "pipe.level" in capsys.readouterr().err


def test_complaints_of_a_unit_are_told_where_they_belong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = case_with("choosy", tmp_path, 'temperature = "500 K"')
    assert main(["check", path]) == 3
    whole, hot = capsys.readouterr().err.splitlines()
    assert whole == f"error: {path}:13:1: units.pipe: margin and temperature do not fit"
    assert hot == f"error: {path}:15:15: units.pipe.temperature: too hot; the seals: see the manual; allowed: less; hint: cool it"


def test_two_packages_with_one_name(entry_points: list[EntryPoint], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry_points.append(EntryPoint("sink", f"{NAME}:Heater", registry.GROUP))
    assert main(["units"]) == 2
    assert "unit type 'sink' is brought by both" in capsys.readouterr().err


def test_package_not_installed(entry_points: list[EntryPoint], capsys: pytest.CaptureFixture[str]) -> None:
    entry_points.clear()
    assert main(["units"]) == 2
    assert "no unit types are registered: the package is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nowhere_to_be_found:Unit", f"{NAME}:Missing", f"{NAME}:Path"])
def test_unit_that_cannot_be_loaded(value: str, entry_points: list[EntryPoint], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry_points.append(EntryPoint("odd", value, registry.GROUP))
    assert main(["check", case_with("odd", tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_type_names_are_sorted_and_suggested(tmp_path: Path) -> None:
    from flowsheet import load_case

    assert list(registry.type_names()) == sorted(registry.type_names())
    with pytest.raises(CaseErrors, match="did you mean heater"):
        load_case(case_with("heatr", tmp_path))
