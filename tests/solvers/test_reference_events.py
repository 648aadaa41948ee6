"""Events with known times: chemistry, a bouncing ball, refilled hoppers, guards that dip, coincide or start beyond zero.

Event times of ROBER: confirmed at 1e-12 by independent integration; everything else here has a closed form.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pyomo.dae import DerivativeVar
from pyomo.environ import Block, ConcreteModel, Constraint, Var

from flowsheet.verify.dae import add_state
from flowsheet.verify.dae import timed_model as model_with_time
from flowsheet.verify.events import (
    FIRST_IMPACT,
    GRAVITY,
    HIGH,
    LOW,
    OUTFLOW,
    REFILL_FLOW,
    RESTITUTION,
    add_hopper,
    draining_events,
    draining_hopper,
    falling_ball,
    hopper,
    hopper_events,
    impact_time,
    rober_first_percent,
    rober_spent,
)
from solvers import Status, lower, simulate
from solvers.declare import Direction, Event
from solvers.errors import NumericsError

pytestmark = pytest.mark.usefixtures("either_method")


def add_switch(block: Any, time: Any, name: str, value: float) -> None:
    """Add a discrete value: a Var that only events change."""
    switch = Var(time, initialize=value)
    block.add_component(name, switch)
    switch.fix(value)


# ---- chemistry -------------------------------------------------------------------------------------------------------


def test_rober_reaches_one_percent_of_the_product() -> None:
    trajectory = simulate(rober_first_percent(), [0.0, 40.0], rtol=1e-11, atol=1e-13)
    (record,) = trajectory.events
    assert record.event == "reached"
    assert record.time == pytest.approx(0.264019078188, rel=1e-9)


def test_rober_loses_its_reactant_late() -> None:
    trajectory = simulate(rober_spent(), [0.0, 1e11], rtol=1e-11, atol=1e-13)
    (record,) = trajectory.events
    assert record.time == pytest.approx(2.07954968830e7, rel=1e-8)


# ---- bouncing ball ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [2, 1001])
def test_ball_bounces_at_the_closed_form_times(points: int) -> None:
    trajectory = simulate(falling_ball(3.0), np.linspace(0.0, 3.0, points), rtol=1e-9, atol=1e-11)
    times = [record.time for record in trajectory.events]
    expected = [time for time in map(impact_time, range(1, 40)) if time < 3.0]
    np.testing.assert_allclose(times, expected, rtol=0, atol=1e-8)
    assert {(record.event, record.unit) for record in trajectory.events} == {("impact", "ball")}
    assert trajectory.stats.restarts == len(expected)


def test_value_at_an_impact_is_the_one_after_it() -> None:
    trajectory = simulate(falling_ball(1.0), np.linspace(0.0, 1.0, 2), rtol=1e-9, atol=1e-11)
    impact = trajectory.events[0].time
    after = simulate(falling_ball(1.0), [0.0, impact, 1.0], rtol=1e-9, atol=1e-11)
    assert after["ball.velocity"][1] == pytest.approx(RESTITUTION * GRAVITY * FIRST_IMPACT, rel=1e-7)


def test_ball_at_rest_is_chattering_not_a_hang() -> None:
    with pytest.raises(NumericsError, match=r"(?i)chatter") as caught:
        simulate(falling_ball(10.0), [0.0, 10.0], rtol=1e-8, atol=1e-10)
    partial = caught.value.trajectory
    assert partial is not None
    assert partial.status is Status.INCOMPLETE
    assert partial.events[-1].time == pytest.approx(FIRST_IMPACT * (1 + RESTITUTION) / (1 - RESTITUTION), abs=1e-2)
    assert partial.events[0].time == pytest.approx(FIRST_IMPACT, abs=1e-7)


# ---- refilled hopper -------------------------------------------------------------------------------------------------


def test_hopper_refills_at_the_closed_form_times() -> None:
    end = 3600.0
    trajectory = simulate(hopper(end), [0.0, end])
    expected = hopper_events(end)
    assert [record.event for record in trajectory.events] == [event for _, event in expected]
    np.testing.assert_allclose([record.time for record in trajectory.events], [time for time, _ in expected], rtol=1e-8)
    assert len(expected) > 20


def test_hopper_events_do_not_depend_on_output_points() -> None:
    end = 3600.0
    system = lower(hopper(end))
    runs = [simulate(system, np.linspace(0.0, end, points)) for points in (2, 11, 1001)]
    assert runs[0].events == runs[1].events == runs[2].events
    assert runs[0]["hopper.mass"][-1] == runs[2]["hopper.mass"][-1]


def test_hopper_emptied_by_its_own_weight_refills_identically_with_any_output() -> None:
    """A feed that falls with the level (curved guard) and steps that grow long in between."""

    one, many = (simulate(draining_hopper(5000.0), np.linspace(0.0, 5000.0, points)) for points in (2, 1001))
    assert one.events == many.events
    np.testing.assert_allclose([record.time for record in one.events], draining_events(5000.0), rtol=1e-6)


def test_mass_is_continuous_and_the_switch_is_recorded() -> None:
    trajectory = simulate(hopper(500.0), np.linspace(0.0, 500.0, 501))
    start, stop = hopper_events(500.0)[0][0], hopper_events(500.0)[1][0]
    refill = trajectory["hopper.refill"]
    expected = (trajectory.t >= start) & (trajectory.t < stop)
    np.testing.assert_array_equal(refill[np.abs(trajectory.t - start) > 1e-6] > 0.5, expected[np.abs(trajectory.t - start) > 1e-6])
    assert trajectory["hopper.mass"].min() >= LOW - 1e-7
    assert trajectory["hopper.mass"].max() <= HIGH + 1e-7


# ---- guards that are hard to see -------------------------------------------------------------------------------------


def oscillator(end: float) -> ConcreteModel:
    """Return y = cos(t), v = -sin(t)."""
    model = model_with_time(end)
    model.y = Var(model.t, initialize=1.0)
    model.v = Var(model.t, initialize=0.0)
    model.y_dot = DerivativeVar(model.y, wrt=model.t)
    model.v_dot = DerivativeVar(model.v, wrt=model.t)
    model.motion = Constraint(model.t, rule=lambda m, t: m.y_dot[t] == m.v[t])
    model.force = Constraint(model.t, rule=lambda m, t: m.v_dot[t] == -m.y[t])
    model.y[0].fix(1.0)
    model.v[0].fix(0.0)
    return model


def test_guard_that_dips_and_returns_between_output_points_is_caught() -> None:
    model = oscillator(2 * math.pi)
    model.down = Event(guard=lambda m, t: m.y[t] + 0.9, direction=Direction.FALLING)
    model.up = Event(guard=lambda m, t: m.y[t] + 0.9, direction=Direction.RISING)
    trajectory = simulate(model, [0.0, 2 * math.pi])
    # the guard is beyond zero at the start in the way of "up", which therefore happens there too
    assert [record.event for record in trajectory.events] == ["up", "down", "up"]
    times = [record.time for record in trajectory.events[1:]]
    np.testing.assert_allclose(times, [math.acos(-0.9), 2 * math.pi - math.acos(-0.9)], rtol=1e-7)


def test_direction_is_honored() -> None:
    found = {}
    for direction in Direction:
        model = oscillator(6 * math.pi)
        model.crossing = Event(guard=lambda m, t: m.y[t], direction=direction)
        found[direction] = [record.time for record in simulate(model, [0.0, 6 * math.pi]).events]
    quarter = math.pi / 2
    np.testing.assert_allclose(found[Direction.FALLING], [quarter, 5 * quarter, 9 * quarter], rtol=1e-6)
    np.testing.assert_allclose(found[Direction.RISING], [0.0, 3 * quarter, 7 * quarter, 11 * quarter], rtol=1e-6)
    np.testing.assert_allclose(found[Direction.EITHER], [quarter * k for k in (1, 3, 5, 7, 9, 11)], rtol=1e-6)


def test_event_without_transition_does_not_disturb_the_solution() -> None:
    plain = simulate(oscillator(6.0), [0.0, 6.0], rtol=1e-9, atol=1e-11)
    model = oscillator(6.0)
    model.crossing = Event(guard=lambda m, t: m.y[t])
    watched = simulate(model, [0.0, 6.0], rtol=1e-9, atol=1e-11)
    assert watched["y"][-1] == pytest.approx(plain["y"][-1], abs=1e-7)
    assert len(watched.events) == 2


def test_simultaneous_events_all_happen() -> None:
    model = model_with_time(900.0)
    for name in ("left", "right"):
        model.add_component(name, Block())
        add_hopper(model.component(name), model.t)
    trajectory = simulate(model, [0.0, 900.0])
    expected = hopper_events(900.0)
    for name in ("left", "right"):
        own = [record for record in trajectory.events if record.unit == name]
        assert [record.event for record in own] == [event for _, event in expected]
        np.testing.assert_allclose([record.time for record in own], [time for time, _ in expected], rtol=1e-8)
    np.testing.assert_allclose(trajectory["left.mass"], trajectory["right.mass"], rtol=1e-9)


def test_event_sees_what_an_event_at_the_same_time_left() -> None:
    """One transition doubles, the other adds: both act, once each."""
    model = model_with_time(2.0)
    add_state(model, model.t, "x", 3.0, lambda m, t: 0 * m.x[t])
    add_state(model, model.t, "y", 5.0, lambda m, t: 0 * m.y[t])
    model.double = Event(at=(1.0,), transition=lambda m, t: [(m.x[t], 2 * m.x[t])])
    model.add = Event(at=(1.0,), transition=lambda m, t: [(m.y[t], m.y[t] + 7)])
    trajectory = simulate(model, [0.0, 0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(trajectory["x"], [3, 3, 6, 6, 6])
    np.testing.assert_allclose(trajectory["y"], [5, 5, 12, 12, 12])
    assert [record.time for record in trajectory.events] == [1.0, 1.0]


def test_pairs_of_one_transition_take_effect_at_once() -> None:
    model = model_with_time(2.0)
    add_state(model, model.t, "x", 3.0, lambda m, t: 0 * m.x[t])
    add_state(model, model.t, "y", 5.0, lambda m, t: 0 * m.y[t])
    model.swap = Event(at=(1.0,), transition=lambda m, t: [(m.x[t], m.y[t]), (m.y[t], m.x[t])])
    trajectory = simulate(model, [0.0, 2.0])
    assert (trajectory["x"][-1], trajectory["y"][-1]) == pytest.approx((5.0, 3.0))


def test_known_times_are_met_exactly() -> None:
    """Doses into a first-order elimination: the closed form is a sum of decays."""
    doses, rate = (0.5, 1.25, 3.0), 0.7
    model = model_with_time(4.0)
    add_state(model, model.t, "amount", 1.0, lambda m, t: -rate * m.amount[t])
    model.dose = Event(at=doses, transition=lambda m, t: [(m.amount[t], m.amount[t] + 2.0)])
    times = np.linspace(0.0, 4.0, 17)
    trajectory = simulate(model, times, rtol=1e-10, atol=1e-12)
    expected = np.exp(-rate * times) + sum(np.where(times >= dose, 2.0 * np.exp(-rate * (times - dose)), 0.0) for dose in doses)
    np.testing.assert_allclose(trajectory["amount"], expected, rtol=1e-8)
    assert [record.time for record in trajectory.events] == list(doses)


def test_guard_beyond_zero_at_the_start_fires_at_once() -> None:
    model = model_with_time(100.0)
    model.hopper = Block()
    add_hopper(model.hopper, model.t)
    model.hopper.mass[0].fix(0.5)
    trajectory = simulate(model, [0.0, 100.0])
    assert trajectory.events[0].time == 0.0
    assert trajectory.events[0].event == "refill_start"
    assert trajectory["hopper.refill"][0] == 1.0
    assert trajectory.events[1].time == pytest.approx(3.5 / (REFILL_FLOW - OUTFLOW), rel=1e-8)


def test_known_time_zero_fires_at_the_start() -> None:
    model = model_with_time(2.0)
    add_state(model, model.t, "x", 1.0, lambda m, t: -m.x[t])
    model.charge = Event(at=(0.0,), transition=lambda m, t: [(m.x[t], m.x[t] + 1.0)])
    trajectory = simulate(model, [0.0, 2.0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(trajectory["x"], [2.0, 2.0 * math.exp(-2.0)], rtol=1e-7)
    assert [record.time for record in trajectory.events] == [0.0]


def test_event_is_watched_only_while_armed() -> None:
    model = oscillator(4 * math.pi)
    add_switch(model, model.t, "armed", 0.0)
    model.arm = Event(at=(2 * math.pi,), transition=lambda m, t: [(m.armed[t], 1.0)])
    model.crossing = Event(guard=lambda m, t: m.y[t], direction=Direction.FALLING, when=lambda m, t: m.armed[t])
    trajectory = simulate(model, [0.0, 4 * math.pi])
    assert [record.event for record in trajectory.events] == ["arm", "crossing"]
    assert trajectory.events[1].time == pytest.approx(2.5 * math.pi, rel=1e-7)


def test_algebraic_values_are_solved_anew_after_a_jump() -> None:
    """z = x + switch and x' = -z: after the switch closes, z jumps although x does not."""
    model = model_with_time(2.0)
    add_switch(model, model.t, "extra", 0.0)
    model.z = Var(model.t, initialize=1.0)
    add_state(model, model.t, "x", 1.0, lambda m, t: -m.z[t])
    model.sum = Constraint(model.t, rule=lambda m, t: m.z[t] + 0.1 * m.z[t] ** 3 == m.x[t] + m.extra[t])
    model.step = Event(at=(1.0,), transition=lambda m, t: [(m.extra[t], 2.0)])
    trajectory = simulate(model, np.linspace(0.0, 2.0, 41), rtol=1e-9, atol=1e-11)
    z, x, extra = (trajectory[name] for name in ("z", "x", "extra"))
    np.testing.assert_allclose(z + 0.1 * z**3, x + extra, rtol=1e-7)
    before, after = 19, 20  # at 0.95 and at 1.0, where the value after the jump stands
    assert z[after] - z[before] > 0.9


def test_guard_of_explicit_time() -> None:
    model = oscillator(5.0)
    model.alarm = Event(guard=lambda m, t: t - 2.5, direction=Direction.RISING)
    (record,) = simulate(model, [0.0, 5.0]).events
    assert record.time == pytest.approx(2.5, abs=1e-9)
