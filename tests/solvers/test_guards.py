"""Guards near zero: one crossing is one event, whatever the tolerance, the outputs and the algebra say of the last digits."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import Block, ConcreteModel, Constraint, Expr_if, Param, Reference, Suffix, Var
from pyomo.environ import units as u

from solvers import SimulationError, lower, simulate
from solvers.declare import Direction, Event, Interpolation, Profile, nominal
from solvers.errors import UnsupportedModelError, UsageError

pytestmark = pytest.mark.usefixtures("either_method")


def tank(end: float = 10.0) -> ConcreteModel:
    """x' = rate(t), with a counter n and a switch s."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    model.x = Var(model.t, initialize=0.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.x[0].fix(0.0)
    for name, start in (("n", 0.0), ("s", 1.0), ("u", 0.0)):
        model.add_component(name, Var(model.t, initialize=start))
        model.component(name).fix()
    return model


def count(model: Any, t: Any) -> list[tuple[Any, Any]]:
    return [(model.n[t], model.n[t] + 1)]


def implicit_decay() -> ConcreteModel:
    """x' = -z with z + 0.1 z**3 = x: z stays algebraic."""
    model = tank(6.0)
    model.z = Var(model.t, initialize=0.9)
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] + 0.1 * m.z[t] ** 3 == m.x[t])
    model.flow = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.z[t])
    model.x[0].fix(1.0)
    return model


@pytest.mark.parametrize("direction", [Direction.FALLING, Direction.EITHER])
@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
def test_crossing_of_an_algebraic_variable_is_one_event(direction: Direction, rtol: float) -> None:
    model = implicit_decay()
    model.limit = Param(initialize=0.5, mutable=True)
    model.e = Event(guard=lambda m, t: m.z[t] - m.limit, direction=direction, transition=count)
    system = lower(model)
    for limit in np.random.default_rng(1).uniform(0.01, 0.85, 40):
        trajectory = simulate(system, [6.0], inputs={"limit": float(limit)}, rtol=rtol, atol=1e-2 * rtol)
        assert trajectory["n"][-1] == 1.0, limit


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8])
def test_guard_whose_transition_turns_it_back_happens_once(rtol: float) -> None:
    model = tank()
    model.limit = Param(initialize=0.5, mutable=True)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.s[t] - 0.7 * m.x[t])
    model.e = Event(guard=lambda m, t: m.x[t] - m.limit, transition=lambda m, t: [(m.s[t], -m.s[t])])
    system = lower(model)
    for limit in np.random.default_rng(2).uniform(0.1, 1.3, 30):
        assert len(simulate(system, [10.0], inputs={"limit": float(limit)}, rtol=rtol, atol=1e-2 * rtol).events) == 1


@pytest.mark.parametrize("outputs", [[4.0], [7.0], [2.2, 4.0, 7.0]])
def test_guard_on_a_ramped_input_does_not_depend_on_outputs(outputs: list[float]) -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    model.e = Event(guard=lambda m, t: m.u[t] - 1.5, direction=Direction.RISING, transition=count)
    trajectory = simulate(model, outputs, inputs={"u": Profile((0.0, 10.0), (0.0, 10.0), Interpolation.LINEAR)})
    assert [event.time for event in trajectory.events] == [pytest.approx(1.5, abs=1e-9)]


def test_input_that_starts_to_rise_from_zero_crosses_there() -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    model.e = Event(guard=lambda m, t: m.u[t], direction=Direction.RISING, transition=count)
    ramp = Profile((0.0, 5.0, 10.0), (0.0, 0.0, 5.0), Interpolation.LINEAR)
    assert [event.time for event in simulate(model, [10.0], inputs={"u": ramp}).events] == [pytest.approx(5.0, abs=1e-9)]


def test_start_at_zero_with_zero_slope_is_decided_at_the_start() -> None:
    """x = t**2 / 2: the guard leaves zero without a slope."""
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == t)
    model.up = Event(guard=lambda m, t: m.x[t], direction=Direction.RISING)
    model.down = Event(guard=lambda m, t: m.x[t], direction=Direction.FALLING)
    assert [(event.time, event.event) for event in simulate(model, [3.0]).events] == [(0.0, "up")]


@pytest.mark.parametrize("direction", [Direction.RISING, Direction.EITHER])
def test_guard_carried_across_zero_by_a_jump_happens(direction: Direction) -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == 0 * m.u[t])
    model.jump = Event(at=(1.0,), transition=lambda m, t: [(m.x[t], 2.0)])
    model.e = Event(guard=lambda m, t: m.x[t] - 1, direction=direction, transition=count)
    model.f = Event(guard=lambda m, t: m.u[t] - 1, direction=direction, transition=count)
    trajectory = simulate(model, [3.0], inputs={"u": Profile((0.0, 2.0), (0.0, 5.0))})
    assert [(event.time, event.event) for event in trajectory.events] == [(1.0, "jump"), (1.0, "e"), (2.0, "f")]


def test_known_time_is_watched_only_while_its_condition_holds() -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == 1)
    model.off = Event(at=(3.0,), transition=lambda m, t: [(m.s[t], 0.0)])
    model.e = Event(at=(2.0, 5.0), when=lambda m, t: m.s[t], transition=count)
    assert [(event.time, event.event) for event in simulate(model, [10.0]).events] == [(2.0, "e"), (3.0, "off")]


def test_burst_that_ends_by_itself_is_no_chattering() -> None:
    """A ball with restitution 0.8 that comes to rest below 1 mm/s after 38 impacts."""
    model = tank()
    model.v = Var(model.t, initialize=0.0)
    model.dv = DerivativeVar(model.v, wrt=model.t)
    model.fall = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.s[t] * m.v[t])
    model.weight = Constraint(model.t, rule=lambda m, t: m.dv[t] == -9.81 * m.s[t])
    model.x[0].fix(1.0)
    model.v[0].fix(0.0)
    model.hit = Event(
        guard=lambda m, t: m.x[t],
        direction=Direction.FALLING,
        when=lambda m, t: m.s[t],
        transition=lambda m, t: [(m.v[t], -0.8 * m.v[t]), (m.s[t], Expr_if(IF=-0.8 * m.v[t] >= 1e-3, THEN=1.0, ELSE=0.0))],
    )
    trajectory = simulate(model, [5.0])
    assert len(trajectory.events) == 38
    assert trajectory["x"][-1] == pytest.approx(0.0, abs=1e-7)


def test_guard_that_is_not_finite_is_named_and_one_not_watched_does_not_matter() -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == -1)
    model.x[0].fix(1.0)
    model.e = Event(guard=lambda m, t: m.x[t] ** 0.5 - 5, when=lambda m, t: m.s[t])
    with pytest.raises(SimulationError, match="guard of event e"):
        simulate(model, [2.0])
    assert simulate(model, [2.0], inputs={"s": 0.0})["x"][-1] == pytest.approx(-1.0)


def test_one_system_serves_threads() -> None:
    model = tank(50.0)
    model.limit = Param(initialize=1.0, mutable=True)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == 1)
    model.e = Event(guard=lambda m, t: m.x[t] - m.limit, direction=Direction.RISING, transition=lambda m, t: [(m.x[t], 0.0)])
    system = lower(model)
    found: dict[float, list[int]] = {}

    def work(limit: float) -> None:
        found[limit] = [len(simulate(system, [50.0], inputs={"limit": limit}).events) for _ in range(4)]

    threads = [threading.Thread(target=work, args=(limit,)) for limit in (0.9, 1.3, 2.1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0.9: [55] * 4, 1.3: [38] * 4, 2.1: [23] * 4}


def blocks_over_time() -> ConcreteModel:
    model = ConcreteModel()
    model.t = ContinuousSet(initialize=[0, 5, 10])
    model.x = Var(model.t, initialize=1.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.x[0].fix(1.0)

    def state(block: Any, t: Any) -> None:
        block.rate = Var(["a"], initialize=0.1)
        block.rate.fix()
        block.flow = Var(initialize=0.0)
        block.law = Constraint(expr=block.flow == block.rate["a"] * block.model().x[t])

    model.b = Block(model.t, rule=state)
    model.flow = Reference(model.b[:].flow)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.b[t].flow)
    return model


def test_variables_of_blocks_over_time_have_names_without_time() -> None:
    model = blocks_over_time()
    trajectory = simulate(model, [0.0, 10.0])
    assert trajectory["b.flow"][-1] == pytest.approx(0.1 * np.exp(-1), rel=1e-7)
    assert trajectory[model.b[:].flow][-1] == trajectory[model.flow][-1] == trajectory["b.flow"][-1]
    assert simulate(model, [10.0], inputs={"b.rate[a]": 0.2})["x"][-1] == pytest.approx(np.exp(-2), rel=1e-7)
    model.b[5].rate["a"].fix(1000.0)
    with pytest.raises(UnsupportedModelError, match=r"b\.rate\[a\] has different values"):
        simulate(model, [10.0])


@pytest.mark.parametrize("size", [1.0, 1e-10])
def test_number_frozen_at_one_time_is_found_at_any_magnitude(size: float) -> None:
    model = tank()
    data = {10: 5 * size}
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == data.get(t, size))
    with pytest.raises(UnsupportedModelError):
        lower(model)


def test_replaced_event_and_changed_suffix_are_noticed() -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    model.u.unfix()
    model.var_input = Suffix(direction=Suffix.LOCAL)
    model.var_input[model.u] = {0: 1.0}
    model.events = [Event(at=(1.0,), transition=lambda m, t: [(m.x[t], 0.0)])]
    system = lower(model)
    assert simulate(system, [2.0])["x"][-1] == pytest.approx(1.0)
    model.var_input[model.u] = {0: 10.0}
    assert simulate(system, [2.0])["x"][-1] == pytest.approx(10.0)
    model.events = [Event(at=(1.0,), transition=lambda m, t: [(m.x[t], 100.0)])]
    assert simulate(system, [2.0])["x"][-1] == pytest.approx(110.0)


def test_variable_without_time_may_not_move() -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == 1)
    model.k = Var(initialize=1.0)
    model.tie = Constraint(model.t, rule=lambda m, t: m.k == m.x[t])
    with pytest.raises(UnsupportedModelError, match="k has no index of time"):
        lower(model)


def test_two_units_of_time_are_refused() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    for name, unit in (("x", u.kg / u.h), ("y", u.kg / u.min)):
        model.add_component(name, Var(model.t, initialize=1.0, units=u.kg))
        model.add_component(f"d{name}", DerivativeVar(model.component(name), wrt=model.t, units=unit))
        model.component(name)[0].fix(1.0)
    model.a = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.x[t] / u.h)
    model.b = Constraint(model.t, rule=lambda m, t: m.dy[t] == -m.y[t] / u.min)
    with pytest.raises(UnsupportedModelError, match="more than one unit of time"):
        lower(model)


@pytest.mark.parametrize("inputs", [{"u": None}, {"u": "3"}, {"u": True}, {"u": [1.0]}, [("u", 1.0)]])
def test_inputs_that_are_no_numbers_are_refused(inputs: Any) -> None:
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    with pytest.raises(UsageError):
        simulate(model, [1.0], inputs=inputs)


def test_start_is_solved_from_a_singular_guess() -> None:
    model = tank()
    model.z = Var(model.t, initialize=0.0)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.z[t])
    model.root = Constraint(model.t, rule=lambda m, t: m.z[t] ** 3 + m.z[t] ** 2 == m.x[t] + 12)
    assert simulate(model, [0.0])["z"][0] == pytest.approx(2.0, abs=1e-10)


def test_small_algebraic_variable_is_solved_to_its_own_size() -> None:
    model = tank()
    model.h = Var(model.t, initialize=1e-12)
    nominal(model.h, 1e-13)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == 0 * m.h[t])
    model.square = Constraint(model.t, rule=lambda m, t: m.h[t] ** 2 * 1e26 == 1 + 0 * m.x[t])
    assert simulate(model, [0.0])["h"][0] == pytest.approx(1e-13, rel=1e-9)


def test_explicit_start_equations_are_met_in_one_step_whatever_their_scales() -> None:
    """A chain in which each start follows from the one before: Newton's step is exact where units do not weigh in."""
    model = tank()
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.x[t])
    model.y = Var(model.t, initialize=50.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.other = Constraint(model.t, rule=lambda m, t: m.dy[t] == -m.y[t])
    model.x[0].unfix()
    model.x[0].set_value(2.5)
    model.mass_start = Constraint(expr=model.x[0] == 1e-6)
    model.speed_start = Constraint(expr=model.y[0] * (0.01 + 6 * (1 - 2.718281828 ** (-1e3 * model.x[0]))) == 15.0)
    trajectory = simulate(model, [0.0])
    assert trajectory["x"][0] == pytest.approx(1e-6, rel=1e-9)
    assert trajectory["y"][0] == pytest.approx(15 / (0.01 + 6 * (1 - 2.718281828**-1e-3)), rel=1e-9)


def dipping(depth: float, direction: Direction = Direction.EITHER) -> ConcreteModel:
    """Return x'' = 2, a parabola (t - 1)^2 - depth: beyond zero for 2 sqrt(depth) around t = 1."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    model.x, model.v = Var(model.t, initialize=1.0), Var(model.t, initialize=-2.0)
    model.dx, model.dv = DerivativeVar(model.x, wrt=model.t), DerivativeVar(model.v, wrt=model.t)
    model.ex = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.v[t])
    model.ev = Constraint(model.t, rule=lambda m, t: m.dv[t] == 2.0)
    model.x[0].fix(1.0)
    model.v[0].fix(-2.0)
    model.dip = Event(guard=lambda m, t: m.x[t] - depth, direction=direction)
    return model


@pytest.mark.parametrize("depth", [1e-2, 1e-4, 1e-6])
def test_guard_that_dips_and_returns_within_a_step_is_seen(depth: float) -> None:
    """A polynomial of degree two lets the method take steps as long as it likes; the dip lasts 2 sqrt(depth)."""
    records = simulate(dipping(depth), [0.0, 2.0], rtol=1e-8, atol=1e-10).events
    np.testing.assert_allclose([record.time for record in records], [1 - np.sqrt(depth), 1 + np.sqrt(depth)], atol=1e-5)
    (down,) = simulate(dipping(depth, Direction.FALLING), [0.0, 2.0], rtol=1e-8, atol=1e-10).events
    assert down.time == pytest.approx(1 - np.sqrt(depth), abs=1e-5)
    begin, up = simulate(dipping(depth, Direction.RISING), [0.0, 2.0], rtol=1e-8, atol=1e-10).events
    assert begin.time == 0.0  # beyond zero from the start counts as crossed
    assert up.time == pytest.approx(1 + np.sqrt(depth), abs=1e-5)


def test_guard_that_comes_near_and_turns_is_no_event() -> None:
    assert simulate(dipping(-1e-4), [0.0, 2.0], rtol=1e-8, atol=1e-10).events == ()


def test_event_that_allows_no_restart_is_named() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 3))
    model.x, model.z = Var(model.t, initialize=4.0), Var(model.t, initialize=1.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.z[t])
    model.algebra = Constraint(model.t, rule=lambda m, t: m.z[t] ** 2 + 0.1 * m.z[t] ** 4 == m.x[t])
    model.x[0].fix(4.0)
    model.kick = Event(at=(1.0,), transition=lambda m, t: [(m.x[t], -1.0)])
    with pytest.raises(SimulationError, match="no restart after event kick at t = 1") as caught:
        simulate(model, [0.0, 3.0])
    assert caught.value.names[0] == "kick"
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.t[-1] == 1.0
