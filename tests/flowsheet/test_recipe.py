"""Recipes: phases in Python and in cases, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from flowsheet import Flowsheet, load_case, open_results, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.problems import CaseErrors
from flowsheet.report.view import View
from solvers import Method, Repeater, SimulationError, sensitivities, simulate
from solvers.declare import Direction, Phase, Threshold
from solvers.errors import UsageError
from units.liquid import LiquidComponent
from units.stream import MASS, Material

CASE = Path(__file__).parents[2] / "cases" / "start_up" / "case.toml"
HOUR = 3600.0
FEED = "feed.flow[blend]"


def press(horizon: float = 3000.0) -> Flowsheet:
    fs = Flowsheet(horizon, {"blend": Material("blend", 1500.0, 350.0)})
    fs.add("feed", "source", flow={"blend": 5 / HOUR})
    fs.add("hopper", "hopper", cells=2, initial_mass=0.4, initial_composition={"blend": 1.0}, capacity=10.0)
    fs.add("press", "tablet_press")
    fs.connect("feed.outlet", "hopper.inlet")
    fs.connect("hopper.outlet", "press.inlet")
    fs.connect("press.draw", "hopper.draw")
    return fs


def test_phases_set_and_ramp_one_after_the_other() -> None:
    fs = press()
    fs.add_recipe(
        [
            Phase("idle", sets={FEED: 0.0}, after=300.0),
            Phase("ramp", ramps={FEED: 20 / HOUR}, after=600.0),
            Phase("run", sets={"press.fill_depth": 0.011}, after=1000.0),
            Phase("down", ramps={FEED: 10 / HOUR}, after=100.0),
            Phase("slow"),
        ]
    )
    t = np.array([0.0, 299.0, 600.0, 899.0, 901.0, 1899.0, 1950.0, 2001.0, 3000.0])
    trajectory = simulate(fs.model, t)
    np.testing.assert_allclose(trajectory[FEED] * HOUR, [0.0, 0.0, 10.0, 20 * 599 / 600, 20.0, 20.0, 15.0, 10.0, 10.0], atol=1e-6)
    np.testing.assert_allclose(trajectory["press.fill_depth"], [0.01, 0.01, 0.01, 0.01, *5 * [0.011]])
    np.testing.assert_array_equal(trajectory["recipe.phase"], [0, 0, 1, 1, 2, 2, 3, 4, 4])
    assert [(event.event, event.unit) for event in trajectory.events] == [(f"begin_{k}", "recipe") for k in ("ramp", "run", "down", "slow")]
    np.testing.assert_allclose([event.time for event in trajectory.events], [300.0, 900.0, 1900.0, 2000.0], rtol=1e-9)
    supplied = trajectory["balance.supplied[blend]"]
    assert supplied[-1] == pytest.approx((20 * 600 / 2 + 20 * 1000 + 15 * 100 + 10 * 1000) / HOUR, rel=1e-9)


def test_a_phase_ends_where_a_variable_passes_a_value() -> None:
    fs = press()
    level = "hopper.level"
    fs.add_recipe(
        [
            Phase("fall", sets={FEED: 0.0}, until=Threshold(level, 0.3, Direction.FALLING)),
            Phase("rise", sets={FEED: 30 / HOUR}, until=Threshold(level, 0.35)),
            Phase("done"),
        ]
    )
    trajectory = simulate(fs.model, np.linspace(0.0, 3000.0, 30001))
    for event, crossing in zip(trajectory.events, (0.3, 0.35), strict=True):
        assert np.interp(event.time, trajectory.t, trajectory[level]) == pytest.approx(crossing, abs=5e-4)


def test_what_comes_first_ends_a_phase() -> None:
    for after, level, expected in ((30.0, 0.1, 30.0), (1e6, 0.3, None)):
        fs = press()
        until = Threshold("hopper.level", level, Direction.FALLING)
        fs.add_recipe([Phase("one", sets={FEED: 0.0}, after=after, until=until), Phase("two")])
        (event,) = simulate(fs.model, [3000.0]).events
        if expected is None:
            assert 0.0 < event.time < 3000.0
        else:
            assert event.time == pytest.approx(expected, rel=1e-9)


def test_a_phase_whose_end_has_passed_already_ends_at_once() -> None:
    fs = press()
    passed = Threshold("hopper.level", 0.1)
    fs.add_recipe([Phase("one", after=50.0), Phase("two", until=passed), Phase("three", until=passed), Phase("four")])
    trajectory = simulate(fs.model, [3000.0])
    assert [event.event for event in trajectory.events] == ["begin_two", "begin_three", "begin_four"]
    assert {event.time for event in trajectory.events} == {trajectory.events[0].time}
    assert trajectory["recipe.phase"][-1] == 3


def test_a_clone_has_the_same_recipe() -> None:
    fs = press()
    fs.add_recipe([Phase("one", after=10.0), Phase("two", ramps={FEED: 10 / HOUR}, after=100.0), Phase("three")])
    one, other = (simulate(model, [3000.0])[FEED][0] for model in (fs.model, fs.model.clone()))
    assert one == other == pytest.approx(10 / HOUR, rel=1e-9)


@pytest.mark.parametrize(
    ("phases", "text"),
    [
        ([], "at least one phase"),
        ([Phase("a"), Phase("b")], "nothing ends the phase a"),
        ([Phase("a", after=1.0), Phase("a")], "two phases called a"),
        ([Phase("a", sets={"hopper.level": 1.0})], "hopper.level is no input that a phase can set"),
        ([Phase("a", sets={"feed.flow": 1.0})], "feed.flow is no input"),
        ([Phase("a", until=Threshold("hopper.levle", 1.0))], "no variable of time called hopper.levle"),
    ],
)
def test_phases_that_cannot_be_are_refused(phases: list[Phase], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        press().add_recipe(phases)


def test_an_input_that_a_signal_drives_is_left_alone() -> None:
    fs = press()
    fs.add("ratio", "ratio", measured_unit="kg", output_unit="rev/s", ratio=1.0)
    fs.connect("hopper.level", "ratio.measured")
    fs.connect("ratio.output", "press.turret_speed")
    with pytest.raises(UsageError, match=r"press.turret_speed is no input that a phase can set"):
        fs.add_recipe([Phase("a", sets={"press.turret_speed": 1.0})])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sets": {"a": float("nan")}}, "not finite"),
        ({"after": 0.0}, "cannot last for 0"),
        ({"ramps": {"a": 1.0}}, "does not say for how long"),
        ({"sets": {"a": 1.0}, "ramps": {"a": 1.0}, "after": 1.0}, "sets and ramps a"),
    ],
)
def test_a_phase_that_contradicts_itself_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Phase("a", **arguments)


# -- cases ---------------------------------------------------------------------------------------------------------------


def test_the_case_goes_through_its_phases(tmp_path: Path) -> None:
    run_case(load_case(CASE), out=tmp_path / "out")
    results = open_results(tmp_path / "out")
    begun = {event.event: event.time for event in results.events if event.unit == "recipe"}
    assert list(begun) == ["begin_start", "begin_ramp", "begin_produce", "begin_empty", "begin_stop"]
    assert begun["begin_produce"] - begun["begin_start"] == pytest.approx(720.0, rel=1e-9)
    producing = (results.t > begun["begin_produce"]) & (results.t < begun["begin_empty"])
    np.testing.assert_allclose(results["feed.flow[blend]"][producing], 20 / HOUR, rtol=1e-6)
    assert results["hopper.level"][-1] < 0.031
    assert max(abs(row.relative) for row in results.balance) < 1e-9
    bands = View(results).phases
    assert [band.label for band in bands] == ["fill", "start", "ramp", "produce", "empty", "stop"]
    assert [band.end for band in bands[:-1]] == [band.start for band in bands[1:]]
    assert bands[-1].end == HOUR


def test_a_case_with_phases_is_read_again_from_its_record() -> None:
    case = load_case(CASE)
    assert case_from_resolved(case.resolved).resolved == case.resolved
    assert case.phases[0].phase.until == Threshold("hopper.level", 0.30)
    assert case.phases[2].phase.ramps == pytest.approx({FEED: 20 / HOUR})


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            'ramp = { "feed.flow[blend]"',
            'ramp = { "feed.flow[blnd]"',
            r"there is no input 'feed.flow\[blnd\]'.*did you mean feed.flow\[blend\]",
        ),
        ('"20 kg/h" }', '"20 kg" }', "got kg, expected kg/s"),
        ('"20 kg/h" }', '"-20 kg/h" }', "below its bound"),
        ('after = "8 min"\n', "", "does not say for how long"),
        ('after = "8 min"', 'after = "0 min"', "below its bound"),
        ('after = "30 min"\n', "", "nothing ends the phase produce"),
        ('name = "stop"', 'name = "start"', "two phases called start"),
        ('above = "0.30 kg"', 'over = "0.30 kg"', "unknown key|needs one limit"),
        ('above = "0.30 kg"', 'above = "0.30 m"', "got m, expected kg"),
        ('variable = "hopper.level", above', 'variable = "hopper.levl", above', "there is no variable of time 'hopper.levl'"),
        (
            '[[phases]]\nname = "fill"',
            '[[profiles]]\nvariable = "feed.flow[blend]"\ntimes = ["0 s"]\nvalues = ["1 kg/h"]\n[[phases]]\nname = "fill"',
            "is driven by a phase of the recipe",
        ),
    ],
)
def test_mistakes_in_phases_are_told_with_their_place(tmp_path: Path, old: str, new: str, text: str) -> None:
    written = CASE.read_text(encoding="utf-8")
    assert old in written
    file = tmp_path / "case.toml"
    file.write_text(written.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CaseErrors, match=text) as caught:
        load_case(file)
    assert f"{file}:" in str(caught.value)


# -- boluses -------------------------------------------------------------------------------------------------------------


def reactor(phases: list[Phase], **parameters: Any) -> Any:
    """A Monod bioreactor of 1 L with a feed of 100 g/L, and what remains of it by formulas if nothing grows."""
    components = {name: LiquidComponent(name, MASS) for name in ("biomass", "substrate", "product")}
    fs = Flowsheet(40 * HOUR, components)
    start = {"initial_mass_concentration": {"biomass": 0.5, "substrate": 5.0}, "feed_mass_concentration": {"substrate": 100.0}}
    fs.add("tank", "bioreactor_monod", initial_volume=1e-3, maximum_volume=2e-3, **start, **parameters)
    fs.add("bin", "liquid_sink")
    fs.connect("tank.outlet", "bin.inlet")
    fs.add_recipe(phases)
    return fs.model


def test_phases_give_boluses_when_they_begin() -> None:
    phases = [Phase("first", after=10 * HOUR, boluses={"tank": 1e-4}), Phase("wait", after=5 * HOUR), Phase("feed", boluses={"tank": 2e-4})]
    model = reactor(phases, maximum_growth=0.0)
    trajectory = simulate(model, np.array([0.0, 9.0, 14.0, 16.0, 40.0]) * HOUR)
    np.testing.assert_allclose(trajectory["tank.volume"], np.array([1.1, 1.1, 1.1, 1.3, 1.3]) * 1e-3, rtol=1e-9)
    np.testing.assert_allclose(trajectory["tank.dosed[substrate]"], np.array([1.0, 1.0, 1.0, 3.0, 3.0]) * 1e-2, rtol=1e-9)
    np.testing.assert_allclose(trajectory["tank.mass[substrate]"], np.array([1.5, 1.5, 1.5, 3.5, 3.5]) * 1e-2, rtol=1e-9)
    np.testing.assert_array_equal(trajectory["tank.boluses"], 0)
    assert [(event.event, round(event.time)) for event in trajectory.events] == [
        ("begin_first", 0),
        ("begin_wait", 10 * HOUR),
        ("begin_feed", 15 * HOUR),
    ]


def test_a_bolus_of_a_phase_is_that_of_the_vessels_own_schedule() -> None:
    recipe = simulate(reactor([Phase("grow", after=12 * HOUR), Phase("fed", boluses={"tank": 1e-4})]), [12 * HOUR, 40 * HOUR])
    schedule = {"bolus_volume": 1e-4, "bolus_count": 1, "bolus_start": 12 * HOUR}
    own = simulate(reactor([Phase("grow")], **schedule), [12 * HOUR, 40 * HOUR])
    for name in ("tank.volume", "tank.mass[substrate]", "tank.mass[biomass]", "tank.dosed[substrate]", "tank.dosed_volume"):
        np.testing.assert_allclose(recipe[name], own[name], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("method", list(Method), ids=lambda method: method.name.lower())
def test_derivatives_pass_through_boluses_of_phases(method: Method) -> None:
    """One at a known time, one where a variable passes a value, so that its time moves with the parameters."""
    gone = Threshold("tank.mass_concentration[substrate]", 1.0, Direction.FALLING)
    phases = [Phase("a", after=5 * HOUR, boluses={"tank": 1e-4}), Phase("b", until=gone), Phase("c", boluses={"tank": 2e-4})]
    model = reactor(phases)
    parameters = ["tank.maximum_growth", "tank.feed_mass_concentration[substrate]", "recipe.bolus[a,tank]", "recipe.bolus[c,tank]"]
    outputs, times, tight = ["tank.mass[biomass]", "tank.mass_concentration[substrate]"], [8.5 * HOUR], {"rtol": 1e-11, "atol": 1e-13}
    found = sensitivities(model, parameters, outputs, times, method=method, **tight)
    assert [event.event for event in found.trajectory.events] == ["begin_a", "begin_b", "begin_c"]
    repeat = Repeater(model, times, **tight)
    for name in parameters:
        value = pyo.value(model.find_component(name))
        step = 1e-5 * value
        ends = [repeat({name: value + sign * step}) for sign in (1, -1)]
        for output in outputs:
            difference = (ends[0][output] - ends[1][output]) / (2 * step)
            assert found[output, name] == pytest.approx(difference, rel=1e-4)


def test_boluses_that_cannot_be_given_are_refused() -> None:
    with pytest.raises(UsageError, match=r"press is no unit that takes a bolus.*none"):
        press().add_recipe([Phase("a", boluses={"press": 1e-3})])
    with pytest.raises(UsageError, match=r"tnk is no unit that takes a bolus.*did you mean tank"):
        reactor([Phase("a", boluses={"tnk": 1e-3})])
    with pytest.raises(UsageError, match="gives tank a bolus of 0"):
        Phase("a", boluses={"tank": 0.0})
    with pytest.raises(SimulationError, match=r"exceeds maximum_volume.*feed less"):
        simulate(reactor([Phase("a", boluses={"tank": 1.5e-3})]), [40 * HOUR])


CASE_WITH_BOLUSES = """
schema = 1
name = "boluses"
horizon = "40 h"
components = { biomass.amount = "mass", substrate.amount = "mass", product.amount = "mass" }
units.bin = { type = "liquid_sink" }
streams = [{ from = "tank.outlet", to = "bin.inlet" }]
phases = [{ name = "grow", after = "12 h" }, { name = "fed", bolus = { tank = "100 mL" } }]
[units.tank]
type = "bioreactor_monod"
initial_volume = "1 L"
maximum_volume = "2 L"
initial_mass_concentration = { biomass = "0.5 g/L", substrate = "5 g/L" }
feed_mass_concentration = { substrate = "100 g/L" }
"""


def test_a_case_gives_boluses(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text(CASE_WITH_BOLUSES, encoding="utf-8")
    case = load_case(file)
    assert case_from_resolved(case.resolved).resolved == case.resolved
    results = run_case(case)
    assert results["tank.volume"][-1] == pytest.approx(1.1e-3, rel=1e-9)
    assert [(event.event, event.unit) for event in results.events] == [("begin_fed", "recipe")]
    assert all(row.closes for row in results.balance)
    assert next(row for row in results.balance if row.component == "substrate").entered == pytest.approx(0.01, rel=1e-9)


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ('{ tnk = "100 mL" }', r"tnk is no unit that takes a bolus; allowed: tank; hint: did you mean tank"),
        ('{ bin = "100 mL" }', r"bin is no unit that takes a bolus; allowed: tank"),
        ('{ tank = "100 g" }', "got g, expected m"),
        ('{ tank = "0 mL" }', "not a positive volume"),
        ('"100 mL"', "expected a table of units"),
    ],
)
def test_mistakes_in_boluses_are_told_with_their_place(tmp_path: Path, new: str, text: str) -> None:
    file = tmp_path / "case.toml"
    file.write_text(CASE_WITH_BOLUSES.replace('{ tank = "100 mL" }', new), encoding="utf-8")
    with pytest.raises(CaseErrors, match=text) as caught:
        load_case(file)
    assert f"{file}:8:" in str(caught.value)
