"""Recipes: phases in Python and in cases, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowsheet import Flowsheet, load_case, open_results, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.problems import CaseErrors
from flowsheet.report.view import View
from solvers import simulate
from solvers.declare import Direction, Phase, Threshold
from solvers.errors import UsageError
from units.stream import Material

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
