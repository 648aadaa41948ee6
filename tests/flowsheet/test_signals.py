"""Signals between units: in Python, in cases, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowsheet import Flowsheet, load_case, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.problems import CaseErrors, ConnectionErrors
from flowsheet.report.drawing import DrawnSignal, DrawnStream, DrawnUnit, flowsheet_svg
from solvers import lower, simulate
from solvers.declare import Profile
from solvers.errors import StructureError
from units.stream import Material

CASE = Path(__file__).parents[2] / "cases" / "weight_control" / "case.toml"
HOUR = 3600.0


def press_under_control(horizon: float = 900.0) -> Flowsheet:
    fs = Flowsheet(horizon, {"blend": Material("blend", 1500.0, 350.0), "drug": Material("drug", 1300.0, 350.0)})
    fs.add("feed", "source", flow={"blend": 18 / HOUR, "drug": 2 / HOUR})
    fs.add("hopper", "hopper", cells=3, initial_mass=2.0, initial_composition={"blend": 0.9, "drug": 0.1}, capacity=10.0)
    fs.add("press", "tablet_press", thickness=0.003)
    loop = {"setpoint": 250e-6, "gain": 20.0, "integral_time": 15.0, "lower": 0.007, "upper": 0.013, "initial_output": 0.010}
    fs.add("weight", "pid", measured_unit="kg", output_unit="m", **loop)
    fs.connect("feed.outlet", "hopper.inlet")
    fs.connect("hopper.outlet", "press.inlet")
    fs.connect("press.draw", "hopper.draw")
    return fs


def test_ten_lines_make_a_controlled_press() -> None:
    fs = press_under_control()
    fs.connect("press.tablet_mass", "weight.measured")
    fs.connect("weight.output", "press.fill_depth")
    trajectory = simulate(fs.model, [0.0, 900.0], inputs={"feed.flow[blend]": Profile((0.0, 300.0), (18 / HOUR, 22 / HOUR))})
    assert trajectory["press.fill_depth"][0] == pytest.approx(0.010, abs=1e-9)
    assert trajectory["press.tablet_mass"][1] == pytest.approx(250e-6, rel=1e-6)
    assert trajectory["press.fill_depth"][1] > 0.0095
    assert not fs.model.press.fill_depth[0].fixed


def test_a_component_of_a_variable_is_a_signal_also_in_a_clone() -> None:
    fs = press_under_control()
    fs.add("assay", "sensor", response_time=1.0)
    fs.add("second", "sensor", response_time=1.0)
    fs.connect("press.assay[drug]", "assay.measured")
    fs.connect("press.assay[drug]", "second.measured", name="again")  # two signals from one variable
    fs.connect("press.tablet_mass", "weight.measured")
    for model in (fs.model, fs.model.clone()):
        trajectory = simulate(model, [300.0])
        assert trajectory["assay.reading"][0] == pytest.approx(0.1, abs=1e-9)
        assert trajectory["second.reading"][0] == trajectory["assay.reading"][0]
    assert fs.signals[1] == ("press.assay[drug]", "assay.measured")
    assert fs.model.component("C2").ports[0].name == "press.assay_drug_out"


def test_cascade_the_output_of_one_controller_is_the_set_point_of_the_next() -> None:
    fs = press_under_control(1800.0)
    loop = {"integral_time": 60.0, "lower": 200e-6, "upper": 300e-6, "initial_output": 250e-6}
    fs.add("strength", "pid", measured_unit="Pa", output_unit="kg", setpoint=3.0e6, gain=1e-11, **loop)
    fs.connect("press.tensile_strength", "strength.measured")
    fs.connect("strength.output", "weight.setpoint")
    fs.connect("press.tablet_mass", "weight.measured")
    fs.connect("weight.output", "press.fill_depth")
    trajectory = simulate(fs.model, [0.0, 1800.0])
    assert trajectory["press.tensile_strength"][1] == pytest.approx(3.0e6, rel=1e-3)
    assert trajectory["weight.setpoint"][1] == pytest.approx(trajectory["press.tablet_mass"][1], rel=1e-3)


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("press.tablet_mas", "weight.measured", "press has no variable of time 'tablet_mas'.*did you mean press.tablet_mass"),
        ("press.assay", "weight.measured", r"name one of press.assay\[blend\], press.assay\[drug\]"),
        ("pres.tablet_mass", "weight.measured", "there is no unit 'pres'"),
        ("press.tablet_mass", "weight.mesured", "weight has no input 'mesured' that a signal can drive"),
        ("press.tablet_mass", "wait.measured", "there is no unit 'wait'"),
        ("hopper.level", "weight.automatic", "hopper.level is in kg, weight.automatic in a plain number"),
        ("press.tablet_mass", "press.diameter", "is an outlet|has no port 'diameter'|no input 'diameter'"),
        ("weight.output", "feed.flow", "feed has no input 'flow' that a signal can drive"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_name(source: str, target: str, text: str) -> None:
    fs = press_under_control()
    with pytest.raises(StructureError, match=text):
        fs.connect(source, target)
    assert fs.signals == [("press.draw", "hopper.draw")]


def test_an_input_takes_one_signal() -> None:
    fs = press_under_control()
    fs.connect("press.tablet_mass", "weight.measured")
    with pytest.raises(ConnectionErrors, match=r"weight.measured is driven twice, first by signal 2"):
        fs.connect("hopper.level", "weight.measured")


def test_a_controller_that_measures_nothing_is_refused() -> None:
    with pytest.raises(ConnectionErrors, match="no signal drives measured"):
        press_under_control().model  # noqa: B018


def test_an_input_that_a_signal_drives_cannot_be_given() -> None:
    fs = press_under_control()
    fs.connect("press.tablet_mass", "weight.measured")
    fs.connect("weight.output", "press.fill_depth")
    assert "press.fill_depth" not in [slot.name for slot in lower(fs.model).inputs]


# -- cases ---------------------------------------------------------------------------------------------------------------


def test_the_case_holds_its_tablet_mass(tmp_path: Path) -> None:
    results = run_case(load_case(CASE), out=tmp_path / "out")
    mass = results["press.tablet_mass"]
    late = results.t >= 300.0
    assert np.abs(mass[late & (results.t < 1800.0)] - 250e-6).max() < 3e-6
    assert np.abs(mass[results.t >= 2100.0] - 255e-6).max() < 2e-6
    assert max(abs(row.relative) for row in results.balance) < 1e-9
    events = [event.event for event in results.events if event.unit == "weight_control"]
    assert events == ["to_manual", "to_automatic"]
    assert len([event for event in results.events if event.event == "sample"]) == 400


def test_a_controlled_line_keeps_its_inventory_for_an_hour(tmp_path: Path) -> None:
    results = run_case(load_case(CASE.parents[1] / "cdc_line"), out=tmp_path / "out")
    t, level = results.t, results["hopper.level"]
    assert t[-1] == HOUR
    assert np.abs(level - 0.3).max() < 0.08
    assert np.abs(level[t > 3300.0] - 0.3).max() < 0.03
    assert results["frame.filled_volume"] == pytest.approx(0.4e-3, rel=0.02)
    assert np.abs(results["press.tablet_mass"] - 250e-6).max() < 2.5e-6
    assert np.abs(results["press.break_force"][t > 600.0] - 160.0).max() < 8.0
    assert results["press.filling"] == pytest.approx(1.0, abs=1e-3)
    assert results["press.throughput"][t > 3300.0].mean() == pytest.approx(23 / HOUR, rel=0.01)
    assert max(abs(row.relative) for row in results.balance) < 1e-9


def test_a_case_with_signals_is_read_again_from_its_record() -> None:
    case = load_case(CASE)
    again = case_from_resolved(case.resolved)
    assert again.resolved == case.resolved
    driven = [signal.resolved["to"] for signal in again.signals]
    assert driven[:3] == ["hopper.draw", "level_control.measured", "press.turret_speed"]
    assert driven[3:] == ["scale.measured", "weight_control.measured", "press.fill_depth"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('measured_unit = "mg"\nresponse', 'measured_unit = "furlng"\nresponse', "scale.measured_unit: unknown unit"),
        ('measured_unit = "mg"\nresponse', 'measured_unit = "cd"\nresponse', "no signal is measured in"),
        ('measured_unit = "mg"\nresponse', "measured_unit = 3\nresponse", "expected a unit"),
        ('gain = "0.02 mm/mg"', 'gain = "0.02 mm"', "expected m/kg"),
        ('gain = "0.02 mm/mg"', "gain = 0.02", "the unit is missing"),
        ('from = "press.tablet_mass"', 'from = "press.tablet_masss"', "did you mean press.tablet_mass"),
        ('from = "hopper.level"', 'from = "hopper.levl"', "did you mean hopper.level"),
        ('to = "scale.measured"', 'to = "scale.reading"', "no input 'reading' that a signal can drive"),
        ('variable = "weight_control.setpoint"', 'variable = "press.fill_depth"', "driven by the signal C6"),
        ('quantum = "0.1 mg"', 'quantum = "0.1 s"', "got s, expected kg"),
    ],
)
def test_mistakes_in_a_case_are_told_with_their_place(tmp_path: Path, old: str, new: str, text: str) -> None:
    written = CASE.read_text(encoding="utf-8")
    assert old in written
    file = tmp_path / "case.toml"
    file.write_text(written.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((CaseErrors, ConnectionErrors), match=text) as caught:
        load_case(file)
    assert f"{file}:" in str(caught.value)


def test_without_its_signal_a_sensor_is_named(tmp_path: Path) -> None:
    written = CASE.read_text(encoding="utf-8")
    file = tmp_path / "case.toml"
    file.write_text(written.replace('[[signals]]\nfrom = "press.tablet_mass"\nto = "scale.measured"\n', ""), encoding="utf-8")
    with pytest.raises(ConnectionErrors, match="no signal drives measured"):
        load_case(file)


def test_signals_are_drawn_below_the_process() -> None:
    units = [DrawnUnit(name, kind) for name, kind in (("a", "source"), ("b", "sink"), ("s", "sensor"), ("c", "pid"))]
    signals = [
        DrawnSignal("C1", "b.level", "s.measured"),
        DrawnSignal("C2", "s.reading", "c.measured"),
        DrawnSignal("C3", "c.output", "a.flow"),
    ]
    picture = flowsheet_svg(units, [DrawnStream("S1", "a", "b", "1 kg/h")], signals)
    assert picture.count("stroke-dasharray") == 3
    assert "C3: c.output to a.flow" in picture
    assert "4 units, 1 streams and 3 signals" in picture
