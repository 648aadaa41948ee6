"""Loss-in-weight feeder: closed forms, refills, control, limits, conservation."""

import csv
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import SimulationError, simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units.feeder import LossInWeightFeeder

ANALYTIC = Path(__file__).parents[1] / "data" / "feeder_volumetric_analytic.csv"
FULL, EMPTY, DECAY = 0.020, 0.014, 0.8
HOUR = 3600.0
API = {
    "composition": {"api": 1.0},
    "setpoint": 2.0 / HOUR,
    "feed_factor_full": 2.0e-3,
    "feed_factor_empty": 1.6e-3,
    "feed_factor_decay": 1.5,
    "initial_mass": 1.0,
    "refill_below": 0.8,
    "refill_above": 1.4,
    "refill_rate": 0.05,
    "heel": 1e-5,
}


def feed_factor(mass, full=2.0e-3, empty=1.6e-3, decay=1.5):
    return full - (full - empty) * np.exp(-decay * mass)


def closed_form(time, start=3.0, speed=1.0):
    """Hopper mass at constant screw speed without refill (checked against ODE integration to ten digits)."""
    c = (FULL - EMPTY) / FULL
    return np.log((np.exp(DECAY * start) - c) * np.exp(-DECAY * speed * FULL * time) + c) / DECAY


def event_times(trajectory, name):
    return [record.time for record in trajectory.events if record.event == name]


def test_emptying_at_constant_speed_is_the_closed_form(rig):
    with ANALYTIC.open() as stream:
        rows = list(csv.DictReader(stream))
    time = np.array([60.0 * float(row["t_min"]) for row in rows])
    setup = rig(
        LossInWeightFeeder,
        horizon=120.0,
        composition={"api": 1.0},
        setpoint=float(feed_factor(3.0, FULL, EMPTY, DECAY)),  # one revolution per second
        feed_factor_full=FULL,
        feed_factor_empty=EMPTY,
        feed_factor_decay=DECAY,
        gain=0.0,
        initial_mass=3.0,
        refill_below=0.0,
        heel=1e-5,
    )
    trajectory = simulate(setup.model, time, rtol=1e-11, atol=1e-13)
    assert trajectory["unit.screw_speed"] == pytest.approx(1.0, abs=1e-12)
    assert trajectory["unit.mass"] == pytest.approx(closed_form(time), abs=1e-9)
    assert trajectory["unit.mass"] == pytest.approx([float(row["W_kg"]) for row in rows], abs=1e-9)
    assert trajectory["unit.outlet_total"] * HOUR == pytest.approx([float(row["mdot_kg_h"]) for row in rows], abs=1e-7)


def test_refill_overshoot_with_the_screw_frozen(rig):
    first = rig(LossInWeightFeeder, horizon=600.0, **API)
    events = simulate(first.model, np.array([0.0, 600.0]), rtol=1e-10).events
    assert [record.event for record in events] == ["refill_start", "refill_stop", "refill_settled"]
    start, stop, settled = (record.time for record in events)
    trajectory = simulate(first.model, np.array([0.0, start, stop, settled, 600.0]), rtol=1e-10)
    flow, mass, speed = (trajectory[f"unit.{name}"] for name in ("outlet_total", "mass", "screw_speed"))
    assert mass[1:3] == pytest.approx([0.8, 1.4], rel=1e-8)
    assert speed[1:4] == pytest.approx(speed[1], rel=1e-9)
    assert flow[2] / flow[1] - 1 == pytest.approx(feed_factor(1.4) / feed_factor(0.8) - 1, rel=1e-6)
    assert settled - stop == pytest.approx(15.0, abs=1e-6)


def test_refill_stream_and_settling_never_reach_the_controller(rig):
    setup = rig(LossInWeightFeeder, horizon=600.0, **API)
    start, stop, settled = (record.time for record in simulate(setup.model, np.array([0.0, 600.0])).events)
    time = np.unique(np.concatenate([np.linspace(0.0, 600.0, 1201), np.linspace(start, stop, 50), np.linspace(stop, settled, 50)]))
    trajectory = simulate(setup.model, time)
    valve_open = (time >= start) & (time <= stop)
    volumetric = (time >= start) & (time < settled)
    measured, integral = trajectory["unit.measured_flow"], trajectory["unit.control.integral"]
    assert measured[valve_open] == pytest.approx(measured[valve_open][0], rel=1e-10)
    assert integral[volumetric] == pytest.approx(integral[volumetric][0], rel=1e-10)
    assert np.all(measured > 0.9 * API["setpoint"])
    assert np.all(measured < 1.1 * API["setpoint"])
    assert trajectory["unit.outlet_total"][-1] == pytest.approx(API["setpoint"], rel=2e-3)


def test_scheduling_takes_the_overshoot_away(rig):
    deviation = []
    for scheduling in (0.0, 1.0):
        setup = rig(LossInWeightFeeder, horizon=600.0, scheduling=scheduling, screw_time=0.1, **API)
        trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 2401))
        deviation.append(np.abs(trajectory["unit.outlet_total"] / API["setpoint"] - 1).max())
    assert deviation[0] > 0.03
    assert deviation[1] < 0.1 * deviation[0]


def test_events_do_not_depend_on_output_points(rig):
    setup = rig(LossInWeightFeeder, horizon=2 * HOUR, **API)
    few = simulate(setup.model, np.array([0.0, 2 * HOUR]))
    many = simulate(setup.model, np.linspace(0.0, 2 * HOUR, 1000))
    assert len(few.events) >= 9
    assert [record.event for record in few.events] == [record.event for record in many.events]
    assert [record.time for record in few.events] == pytest.approx([record.time for record in many.events], rel=1e-6)


def test_gravimetric_control_removes_a_lasting_disturbance(rig):
    setup = rig(LossInWeightFeeder, horizon=400.0, **(API | {"initial_mass": 1.3}))
    time = np.array([0.0, 99.0, 100.0, 110.0, 400.0])
    trajectory = simulate(setup.model, time, inputs={"unit.disturbance": Profile((0.0, 100.0), (0.0, 0.2))})
    deviation = trajectory["unit.outlet_total"] / API["setpoint"] - 1
    assert deviation[1] == pytest.approx(0.0, abs=1e-3)
    assert deviation[2] == pytest.approx(0.2, abs=2e-3)
    assert 0.02 < deviation[3] < 0.18
    assert deviation[4] == pytest.approx(0.0, abs=1e-3)


def test_a_set_point_of_zero_and_back_is_regular(rig):
    setup = rig(LossInWeightFeeder, horizon=1500.0, **(API | {"initial_mass": 1.3}))
    profile = Profile((0.0, 100.0, 1200.0), (2.0 / HOUR, 0.0, 2.0 / HOUR))
    trajectory = simulate(setup.model, np.linspace(0.0, 1500.0, 1501), inputs={"unit.setpoint": profile})
    flow = trajectory["unit.outlet_total"]
    assert np.all(np.isfinite(flow))
    assert trajectory["unit.screw_speed"].min() > -1e-8
    assert flow[1190] < 1e-6 * API["setpoint"]
    assert flow.max() < 1.3 * API["setpoint"]
    assert flow[-1] == pytest.approx(API["setpoint"], rel=2e-3)
    assert setup.residual(trajectory) < 1e-8


def test_standing_still_stays_standing(rig):
    setup = rig(LossInWeightFeeder, horizon=600.0, **(API | {"setpoint": 0.0}))
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    assert trajectory["unit.mass"][-1] == pytest.approx(1.0, abs=1e-7)
    assert trajectory.events == ()


@pytest.mark.parametrize("decay", [1.5, 30.0])
@pytest.mark.parametrize("heel", [1e-5, 1e-3])
def test_an_empty_hopper_ends_the_flow(rig, decay, heel):
    given = API | {"initial_mass": 0.5, "refill_below": 0.0, "refill_rate": 0.0, "feed_factor_decay": decay, "heel": heel}
    setup = rig(LossInWeightFeeder, horizon=HOUR, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, HOUR, 61))
    mass, flow = trajectory["unit.mass"], trajectory["unit.outlet_total"]
    assert mass.min() > -1e-8
    assert flow[0] == pytest.approx(2.0 / HOUR, rel=1e-5)
    assert flow[-1] < 1e-6 * flow[0]
    supplied, withdrawn, inventory = (trajectory[f"balance.{name}[api]"][-1] for name in ("supplied", "withdrawn", "inventory"))
    assert withdrawn + inventory - supplied == pytest.approx(0.5, rel=1e-9)


def test_the_screw_limit_holds_and_does_not_wind_up(rig):
    setup = rig(LossInWeightFeeder, horizon=900.0, speed_limit=0.4, **(API | {"initial_mass": 1.4, "refill_below": 0.1}))
    profile = Profile((0.0, 100.0, 500.0), (2.0 / HOUR, 6.0 / HOUR, 2.0 / HOUR))
    time = np.linspace(0.0, 900.0, 901)
    trajectory = simulate(setup.model, time, inputs={"unit.setpoint": profile})
    speed = trajectory["unit.screw_speed"]
    assert speed.max() == pytest.approx(0.4, abs=1e-6)
    back = trajectory["unit.outlet_total"][530:]
    assert np.abs(back / API["setpoint"] - 1).max() < 0.1
    assert back[-1] == pytest.approx(API["setpoint"], rel=5e-3)


def test_a_start_below_the_refill_level_refills_at_once(rig):
    setup = rig(LossInWeightFeeder, horizon=60.0, **(API | {"initial_mass": 0.5}))
    trajectory = simulate(setup.model, np.array([0.0, 60.0]))
    assert event_times(trajectory, "refill_start") == [0.0]


def test_without_a_flow_there_are_no_refills(rig):
    setup = rig(LossInWeightFeeder, horizon=60.0, **(API | {"initial_mass": 0.5, "refill_rate": 0.0}))
    assert simulate(setup.model, np.array([0.0, 60.0])).events == ()


def test_the_start_delivers_its_share_of_the_set_point(rig):
    for share in (0.0, 0.5, 1.0):
        setup = rig(LossInWeightFeeder, horizon=10.0, initial_running=share, **API)
        trajectory = simulate(setup.model, np.array([0.0, 10.0]))
        assert trajectory["unit.outlet_total"][0] == pytest.approx(share * API["setpoint"], abs=1e-12)


def states_at_start(trajectory):
    return {name: trajectory[f"unit.{name}"][0] for name in ("mass", "screw_speed", "measured_flow", "control.integral")}


def steady_start(setpoint, mass=1.0):
    factor = feed_factor(mass)
    return {
        "mass": mass,
        "screw_speed": setpoint / factor,
        "measured_flow": setpoint,
        "control.integral": 2.0e-3 * setpoint / factor - setpoint,
    }


def test_the_start_follows_parameters_changed_after_building(rig):
    model = rig(LossInWeightFeeder, horizon=10.0, **API).model
    model.unit.initial_mass.set_value(1.7)
    start = states_at_start(simulate(model, np.array([0.0, 10.0])))
    assert start == pytest.approx(steady_start(API["setpoint"], 1.7), rel=1e-9)
    model.unit.setpoint.fix(1.0 / HOUR)
    model.unit.initial_running.set_value(0.5)
    start = states_at_start(simulate(model, np.array([0.0, 10.0]), inputs={"unit.initial_mass": 1.2}))
    assert start == pytest.approx(steady_start(0.5 / HOUR, 1.2), rel=1e-9)


def test_the_controller_follows_the_feeder(rig):
    """Gain and limits of the controller inside are those of the feeder, also when they change after it is built."""
    model = rig(LossInWeightFeeder, horizon=100.0, **API).model
    model.unit.gain.set_value(0.0)
    model.unit.speed_limit.set_value(0.1)
    trajectory = simulate(model, np.array([0.0, 100.0]))
    assert trajectory["unit.screw_speed"][-1] <= 0.1 * (1 + 1e-6)
    assert trajectory["unit.control.proportional"] == pytest.approx(0.0, abs=1e-18)


def test_one_state_of_the_start_can_be_set_by_hand(rig):
    model = rig(LossInWeightFeeder, horizon=10.0, **API).model
    model.unit.powder_start["api"].deactivate()
    model.unit.powder[0, "api"].fix(1.2)
    start = states_at_start(simulate(model, np.array([0.0, 10.0])))
    assert start == pytest.approx(steady_start(API["setpoint"], 1.2), rel=1e-9)


@pytest.mark.parametrize("setpoint", [0.0, 0.5 / HOUR, 3.0 / HOUR])
def test_the_start_is_steady_at_the_first_value_of_a_profile(rig, setpoint):
    setup = rig(LossInWeightFeeder, horizon=100.0, **API)
    profile = Profile((0.0, 50.0), (setpoint, 2.0 / HOUR))
    trajectory = simulate(setup.model, np.array([0.0, 10.0, 49.0, 100.0]), inputs={"unit.setpoint": profile})
    assert states_at_start(trajectory) == pytest.approx(steady_start(setpoint), rel=1e-9, abs=1e-15)
    assert trajectory["unit.outlet_total"][:3] == pytest.approx(setpoint, rel=2e-3, abs=1e-9)


@pytest.mark.parametrize("setpoint", [1.9e-3 * 0.4, 3.0e-3 * 0.4])
def test_a_start_at_the_screw_limit_is_steady(rig, setpoint):
    """Set points that the screw cannot deliver with what the hopper holds, and not with any."""
    given = API | {"setpoint": setpoint, "speed_limit": 0.4, "initial_mass": 0.6, "refill_below": 0.1, "feed_factor_decay": 0.2}
    setup = rig(LossInWeightFeeder, horizon=5.0, **given)
    trajectory = simulate(setup.model, np.array([0.0, 1.0, 5.0]))
    assert feed_factor(0.6, decay=0.2) * 0.4 < setpoint
    assert trajectory["unit.screw_speed"] == pytest.approx(0.4, rel=1e-8)
    assert trajectory["unit.measured_flow"][0] == pytest.approx(feed_factor(0.6, decay=0.2) * 0.4, rel=1e-8)
    assert trajectory["unit.control.integral"] == pytest.approx(0.8e-3 - min(setpoint, 0.8e-3), abs=1e-10)


def test_a_lot_follows_another_through_the_hopper(rig):
    """Two lots of one substance: the hopper is a mixed tank between refills, and every gram of either is accounted for."""
    given = API | {"composition": {"api": 1.0, "lubricant": 0.0}, "initial_mass": 1.3}
    setup = rig(LossInWeightFeeder, horizon=3600.0, **given)
    change = {"unit.composition[api]": Profile((0.0, 600.0), (1.0, 0.0)), "unit.composition[lubricant]": Profile((0.0, 600.0), (0.0, 1.0))}
    time = np.linspace(0.0, 3600.0, 1801)
    trajectory = simulate(setup.model, time, inputs=change)
    second = trajectory["unit.outlet_fraction[lubricant]"]
    (first, last) = [[e.time for e in trajectory.events if e.event == name] for name in ("refill_start", "refill_stop")]
    assert second[time < first[0]] == pytest.approx(0.0, abs=1e-12)
    refills = [k for k, begin in enumerate(first[: len(last)]) if begin > 600.0]
    share = 0.0
    for k in refills:  # 0.8 kg are left when 0.6 kg and what leaves meanwhile come in
        after = np.searchsorted(time, last[k] + 2.0)
        share = 1 - (1 - share) * second_lot_left(last[k] - first[k])
        assert second[after] == pytest.approx(share, abs=2e-3)
    assert len(refills) >= 2
    assert setup.residual(trajectory) < 1e-10


def second_lot_left(seconds, start=0.8, inflow=0.05):
    """Return the share of the old lot that is left after a refill from ``start`` to 1.4 kg, with constant flows in between."""
    outflow = inflow - 0.6 / seconds
    return (start / 1.4) ** (inflow / (inflow - outflow))


def test_shares_of_a_refill_that_do_not_sum_to_one_end_the_run(rig):
    setup = rig(LossInWeightFeeder, horizon=600.0, **(API | {"composition": {"api": 1.0, "lubricant": 0.0}}))
    with pytest.raises(SimulationError, match="shares of the refill do not sum to one"):
        simulate(setup.model, np.array([0.0, 600.0]), inputs={"unit.composition[api]": Profile((0.0, 100.0), (1.0, 0.9))})


def test_refill_levels_in_the_wrong_order_are_refused(rig):
    with pytest.raises(CaseError, match="refill_above"):
        rig(LossInWeightFeeder, **(API | {"refill_above": 0.5}))


@settings(max_examples=10, deadline=None)
@given(
    setpoint=st.floats(0.2, 20.0),
    share=st.floats(0.05, 0.95),
    disturbance=st.floats(-0.5, 0.5),
    settle=st.floats(1.0, 40.0),
)
def test_every_gram_is_accounted_for(rig, setpoint, share, disturbance, settle):
    setup = rig(
        LossInWeightFeeder,
        horizon=HOUR,
        composition={"api": share, "excipient": 1 - share},
        setpoint=setpoint / HOUR,
        feed_factor_full=0.010,
        feed_factor_empty=0.008,
        refill_below=1.0,
        refill_above=2.0,
        initial_mass=1.2,
        settle_time=settle,
    )
    trajectory = simulate(setup.model, np.linspace(0.0, HOUR, 61), inputs={"unit.disturbance": disturbance})
    assert setup.residual(trajectory) < 1e-9
    fraction = trajectory["unit.outlet_fraction[api]"]
    assert fraction == pytest.approx(share, abs=1e-9)
    assert len(trajectory.events) >= (1 if setpoint > 2 else 0)
    assert pyo.value(setup.model.unit.gravimetric[0]) == 1
