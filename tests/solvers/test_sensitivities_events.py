"""Derivatives through events, jumps and profiles: closed forms by complex steps, and central differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, Var

from solvers import Method, Sensitivities, SimulationError, sensitivities, simulate
from solvers.declare import Direction, Event, Interpolation, Profile

TIGHT = {"rtol": 1e-10, "atol": 1e-12}
CLOSE = {"rel": 1e-7, "abs": 1e-8}


Derive = Callable[..., Sensitivities]


@pytest.fixture(params=list(Method), ids=lambda method: method.name.lower())
def derive(request: pytest.FixtureRequest) -> Derive:
    return partial(sensitivities, method=request.param)


def build(
    end: float,
    parameters: dict[str, float],
    switches: dict[str, float],
    states: dict[str, tuple[float, Any]],
    unknowns: dict[str, float] | None = None,
) -> ConcreteModel:
    """A model of mutable Params, discrete values (fixed Vars of time), states with (start, slope) and unknowns with a guess."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    for name, value in parameters.items():
        model.add_component(name, Param(initialize=value, mutable=True))
    for name, value in switches.items():
        model.add_component(name, Var(model.t, initialize=value))
        model.component(name).fix(value)
    for name, guess in (unknowns or {}).items():
        model.add_component(name, Var(model.t, initialize=guess))
    for name, (start, _) in states.items():
        model.add_component(name, Var(model.t, initialize=start))
        model.component(name)[0].fix(start)
        model.add_component(f"{name}_dot", DerivativeVar(model.component(name), wrt=model.t))
    for name, (_, slope) in states.items():
        dot = model.component(f"{name}_dot")
        model.add_component(f"{name}_balance", Constraint(model.t, rule=lambda m, t, dot=dot, slope=slope: dot[t] == slope(m, t)))
    return model


def by_complex_step(closed_form: Callable[..., Any], values: dict[str, float]) -> dict[str, Any]:
    return {name: np.imag(closed_form(**values | {name: values[name] + 1e-30j})) / 1e-30 for name in values}


def check(result: Sensitivities, output: str, closed_form: Callable[..., Any], values: dict[str, float]) -> None:
    assert result.trajectory[output] == pytest.approx(np.real(closed_form(**values)), **CLOSE)
    for name, derivative in by_complex_step(closed_form, values).items():
        assert result[output, name] == pytest.approx(derivative, **CLOSE), name


def check_by_differences(
    derive: Derive,
    model: ConcreteModel,
    values: dict[str, float],
    outputs: list[str],
    times: Any,
    inputs: dict[str, Any] | None = None,
    step: float = 1e-4,
) -> Sensitivities:
    """Compare with central differences of tight runs; the steps are extrapolated (Richardson), so that 1e-7 is to be had."""
    result = derive(model, list(values), outputs, times, inputs=inputs, **TIGHT)
    states = {slot.name: slot for slot in result.trajectory.system.states}

    def run(name: str, value: float) -> np.ndarray:
        given = dict(inputs or {})
        if name in states:
            states[name].start.fix(value)
        else:
            given[name] = value
        found = simulate(result.trajectory.system, times, inputs=given, rtol=1e-12, atol=1e-14)
        return np.array([found[output] for output in outputs])

    for name, value in values.items():
        differences = [(run(name, value + h) - run(name, value - h)) / (2 * h) for h in (step * max(1, value), step * max(1, value) / 2)]
        run(name, value)
        expected = (4 * differences[1] - differences[0]) / 3
        for row, output in zip(expected, outputs, strict=True):
            assert result[output, name] == pytest.approx(row, rel=1e-6, abs=1e-6 * max(1e-2, np.abs(row).max())), (output, name)
    return result


# ---- guards ------------------------------------------------------------------------------------------------------------


SWITCH = {"k1": 0.8, "k2": 0.3, "c": 0.5, "x": 2.0}


def switching() -> ConcreteModel:
    def rate(m: Any, t: Any) -> Any:
        return m.k1 + m.late[t] * (m.k2 - m.k1)

    model = build(
        4.0, {"k1": 0.8, "k2": 0.3, "c": 0.5}, {"late": 0.0}, {"x": (2.0, lambda m, t: -(m.k1 + m.late[t] * (m.k2 - m.k1)) * m.x[t])}
    )
    model.switch = Event(guard=lambda m, t: m.x[t] - m.c, direction=Direction.FALLING, transition=lambda m, t: [(m.late[t], 1.0)])
    return model


def switched(k1: Any, k2: Any, c: Any, x: Any) -> Any:
    t = np.linspace(0, 4, 9)
    at = np.log(x / c) / k1
    return np.where(t < np.real(at), x * np.exp(-k1 * t), c * np.exp(-k2 * (t - at)))


def test_a_guard_that_switches_a_rate(derive: Derive) -> None:
    result = derive(switching(), list(SWITCH), "x", np.linspace(0, 4, 9), **TIGHT)
    assert len(result.trajectory.events) == 1
    check(result, "x", switched, SWITCH)


BALL = {"g": 9.81, "e": 0.8, "h": 1.0}


def bouncing_ball(end: float = 2.0) -> ConcreteModel:
    model = build(end, {"g": 9.81, "e": 0.8}, {}, {"h": (1.0, lambda m, t: m.v[t]), "v": (0.0, lambda m, t: -m.g)})
    model.impact = Event(
        guard=lambda m, t: m.h[t],
        direction=Direction.FALLING,
        transition=lambda m, t: [(m.h[t], 0.0), (m.v[t], -m.e * m.v[t])],
    )
    return model


def height(g: Any, e: Any, h: Any) -> Any:
    times = np.linspace(0, 2, 11)
    fall = np.sqrt(2 * h / g)
    found = []
    for t in times:
        at, bounces = fall, 0
        while t > np.real(at + 2 * e ** (bounces + 1) * fall):
            bounces += 1
            at = at + 2 * e**bounces * fall
        if t < np.real(fall):
            found.append(h - g * t**2 / 2)
        else:
            found.append(e ** (bounces + 1) * g * fall * (t - at) - g * (t - at) ** 2 / 2)
    return np.array(found)


def test_a_bouncing_ball_by_gravity_restitution_and_height(derive: Derive) -> None:
    result = derive(bouncing_ball(), list(BALL), "h", np.linspace(0, 2, 11), **TIGHT)
    assert len(result.trajectory.events) >= 3
    check(result, "h", height, BALL)


def test_two_events_of_one_guard_happen_at_one_moving_time(derive: Derive) -> None:
    model = build(3.0, {"c": 0.6}, {}, {"x": (2.0, lambda m, t: -m.x[t]), "y": (1.0, lambda m, t: m.x[t])})
    guard = {"guard": lambda m, t: m.x[t] - m.c, "direction": Direction.FALLING}
    model.first = Event(**guard, transition=lambda m, t: [(m.x[t], 3 * m.c)])
    model.second = Event(**guard, transition=lambda m, t: [(m.y[t], m.y[t] ** 2)])
    times = [0.5, 1.8]

    def y(c: Any, x: Any, y: Any) -> Any:
        at = np.log(x / c)
        return np.array([y + x * (1 - np.exp(-0.5)), (y + x - c) ** 2 + 3 * c * (1 - np.exp(-(1.8 - at)))])

    check(derive(model, ["c", "x", "y"], "y", times, **TIGHT), "y", y, {"c": 0.6, "x": 2.0, "y": 1.0})


def test_an_event_that_another_carries_across_zero_moves_with_it(derive: Derive) -> None:
    model = build(3.0, {"c": 1.0, "b": 2.0}, {"u": 1.0}, {"x": (0.2, lambda m, t: m.u[t]), "y": (0.5, lambda m, t: 0.1 * m.x[t])})
    model.second = Event(  # declared first: it happens after the one that brings it about all the same
        guard=lambda m, t: m.y[t] - 1.0,
        direction=Direction.RISING,
        transition=lambda m, t: [(m.x[t], m.x[t] * m.y[t]), (m.u[t], m.b * m.y[t])],
    )
    model.first = Event(
        guard=lambda m, t: m.x[t] - m.c, direction=Direction.RISING, transition=lambda m, t: [(m.y[t], m.y[t] + m.b * m.x[t])]
    )
    times = [0.4, 1.5, 3.0]

    def x(c: Any, b: Any, u: Any, x: Any, y: Any) -> Any:
        at = (c - x) / u
        carried = y + 0.1 * (x * at + u * at**2 / 2) + b * c
        return np.array([x + 0.4 * u, *(c * carried + b * carried * (t - at) for t in times[1:])])

    values = {"c": 1.0, "b": 2.0, "u": 1.0, "x": 0.2, "y": 0.5}
    result = derive(model, list(values), "x", times, **TIGHT)
    assert [record.event for record in result.trajectory.events] == ["first", "second"]
    check(result, "x", x, values)


def test_events_of_two_tanks_at_one_instant_move_each_by_its_own(derive: Derive) -> None:
    model = build(2.0, {}, {}, {"a": (1.0, lambda m, t: -1.0), "b": (1.0, lambda m, t: -1.0)})
    for name in ("a", "b"):
        state = model.component(name)
        refill = Event(
            guard=lambda m, t, state=state: state[t] - 0.5,
            direction=Direction.FALLING,
            transition=lambda m, t, state=state: [(state[t], 2 * state[t] ** 2 + 1.0)],
        )
        setattr(model, f"refill_{name}", refill)
    result = derive(model, ["a", "b"], ["a", "b"], [1.0], **TIGHT)
    assert len(result.trajectory.events) == 2
    assert result.array[0] == pytest.approx(np.eye(2), abs=1e-9)  # a refill at one level, at another time: x+ is the same


# ---- known times, profiles ----------------------------------------------------------------------------------------------


def test_a_bolus_at_a_known_time_shows_at_that_time(derive: Derive) -> None:
    model = build(3.0, {"k": 0.9, "dose": 2.0}, {}, {"x": (1.0, lambda m, t: -m.k * m.x[t])})
    model.bolus = Event(at=(1.0, 2.0), transition=lambda m, t: [(m.x[t], m.x[t] + m.dose / (1 + m.x[t]))])
    times = np.array([0.5, 1.0, 1.7, 2.0, 3.0])

    def x(k: Any, dose: Any, x: Any) -> Any:
        found, at, value = [], 0.0, x
        for t in times:
            value, at = value * np.exp(-k * (t - at)), t
            value = value + dose / (1 + value) if t in (1.0, 2.0) else value
            found.append(value)
        return np.array(found)

    check(derive(model, ["k", "dose", "x"], "x", times, **TIGHT), "x", x, {"k": 0.9, "dose": 2.0, "x": 1.0})


def test_an_event_at_the_start_happens_at_a_fixed_time(derive: Derive) -> None:
    model = build(1.0, {"c": 0.5, "k": 0.9}, {}, {"x": (1.0, lambda m, t: -m.k * m.x[t])})
    model.over = Event(guard=lambda m, t: m.x[t] - m.c, direction=Direction.RISING, transition=lambda m, t: [(m.x[t], m.c * m.x[t] / 2)])

    def x(c: Any, k: Any, x: Any) -> Any:
        return c * x / 2 * np.exp(-k * np.array([0.0, 1.0]))

    check(derive(model, ["c", "k", "x"], "x", [0.0, 1.0], **TIGHT), "x", x, {"c": 0.5, "k": 0.9, "x": 1.0})


def test_a_guard_that_starts_at_zero_has_the_derivative_of_its_coming_later(derive: Derive) -> None:
    model = build(2.0, {}, {"u": 0.0}, {"x": (0.0, lambda m, t: 2.0), "y": (0.0, lambda m, t: m.u[t])})
    model.cross = Event(guard=lambda m, t: m.x[t], direction=Direction.RISING, transition=lambda m, t: [(m.u[t], 3.0)])
    result = derive(model, "x", "y", [1.0], **TIGHT)
    assert result.trajectory["y"] == pytest.approx([3.0])
    assert result["y", "x"] == pytest.approx([1.5])  # y = 3 (t + x0 / 2) for x0 < 0


def test_an_event_between_steps_of_a_profile_that_jumps(derive: Derive) -> None:
    model = build(3.0, {"c": 0.8, "k": 0.5}, {"u": 1.0}, {"x": (0.1, lambda m, t: m.u[t] - m.k * m.x[t] ** 2)})
    model.dump = Event(guard=lambda m, t: m.x[t] - m.c, direction=Direction.RISING, transition=lambda m, t: [(m.x[t], m.x[t] * m.k)])
    steps = Profile((0.0, 0.7, 1.1, 2.3), (1.0, 1.4, 0.6, 1.9))
    values = {"c": 0.8, "k": 0.5, "x": 0.1}
    result = check_by_differences(derive, model, values, ["x"], [0.5, 1.0, 2.0, 3.0], {"u": steps})
    assert len(result.trajectory.events) >= 3


def test_a_value_sampled_into_an_input_carries_its_derivative_until_a_profile_sets_it(derive: Derive) -> None:
    model = build(3.0, {"k": 0.4}, {"u": 1.0}, {"x": (1.0, lambda m, t: m.u[t] - m.k * m.x[t])})
    model.flow = Expression(model.t, rule=lambda m, t: 2 * m.u[t])
    model.sample = Event(at=(1.0,), transition=lambda m, t: [(m.u[t], 2 - m.k * m.x[t])])
    times = np.array([0.5, 1.0, 1.5, 2.0, 2.5])
    inputs = {"u": Profile((0.0, 2.0), (1.0, 0.2))}

    def course(k: Any, x: Any) -> tuple[list[Any], list[Any]]:
        def go(x: Any, u: Any, t: float) -> Any:
            return x * np.exp(-k * t) + u / k * (1 - np.exp(-k * t))

        half, at = go(x, 1.0, 0.5), go(x, 1.0, 1.0)
        u = 2 - k * at
        later = go(at, u, 1.0)
        return [half, at, go(at, u, 0.5), later, go(later, 0.2, 0.5)], [2.0, 2 * u, 2 * u, 0.4, 0.4]

    result = derive(model, ["k", "x"], ["x", "flow"], times, inputs=inputs, **TIGHT)
    check(result, "x", lambda k, x: np.array(course(k, x)[0]), {"k": 0.4, "x": 1.0})
    check(result, "flow", lambda k, x: np.array(course(k, x)[1]), {"k": 0.4, "x": 1.0})


def test_a_guard_on_a_ramp_and_a_jump_while_it_rises(derive: Derive) -> None:
    model = build(3.0, {"c": 0.8, "d": 0.3}, {"u": 0.0, "v": 0.0}, {"x": (0.0, lambda m, t: m.u[t] + m.v[t])})
    model.reached = Event(
        guard=lambda m, t: m.u[t] - m.c,
        direction=Direction.RISING,
        transition=lambda m, t: [(m.x[t], m.d * m.x[t] * m.u[t]), (m.v[t], m.u[t])],
    )
    inputs = {"u": Profile((0.0, 4.0), (0.2, 2.2), Interpolation.LINEAR)}
    times = np.array([1.0, 2.0, 3.0])

    def x(c: Any, d: Any, x: Any) -> Any:
        at = (c - 0.2) / 0.5
        jumped = d * c * (x + 0.2 * at + 0.25 * at**2)
        return np.array([x + 0.45, *(jumped + 0.2 * (t - at) + 0.25 * (t**2 - at**2) + c * (t - at) for t in times[1:])])

    check(derive(model, ["c", "d", "x"], "x", times, inputs=inputs, **TIGHT), "x", x, {"c": 0.8, "d": 0.3, "x": 0.0})


def test_a_ramped_input_that_an_event_takes_over(derive: Derive) -> None:
    model = build(3.0, {"c": 0.5, "k": 0.2}, {"u": 0.0}, {"x": (0.1, lambda m, t: m.u[t] - m.k * m.x[t])})
    model.stop = Event(guard=lambda m, t: m.x[t] - m.c, direction=Direction.RISING, transition=lambda m, t: [(m.u[t], m.u[t])])
    inputs = {"u": Profile((0.0, 4.0), (0.2, 2.2), Interpolation.LINEAR)}
    result = check_by_differences(derive, model, {"c": 0.5, "k": 0.2, "x": 0.1}, ["x", "u"], [0.5, 2.0, 3.0], inputs)
    assert len(result.trajectory.events) == 1
    assert result["u", "c"][-1] > 0.1


# ---- algebraic variables ------------------------------------------------------------------------------------------------


def test_algebraic_variables_jump_with_their_derivatives(derive: Derive) -> None:
    """``x' = -z, z + z^3 = p x`` with a guard and a transition on z: ``ln z + 3 z^2 / 2 + p t`` is constant between events."""
    model = build(2.0, {"p": 1.5, "c": 0.5, "dose": 1.1}, {}, {"x": (1.2, lambda m, t: -m.z[t])}, unknowns={"z": 0.8})
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] + m.z[t] ** 3 == m.p * m.x[t])
    model.refill = Event(
        guard=lambda m, t: m.z[t] - m.c, direction=Direction.FALLING, transition=lambda m, t: [(m.x[t], m.x[t] + m.dose * m.z[t])]
    )
    times = np.array([0.1, 0.8, 2.0])

    def solve(f: Any, z: Any) -> Any:
        for _ in range(60):
            value, slope = f(z)
            z = z - value / slope
        return z

    def z(p: Any, c: Any, dose: Any, x: Any) -> Any:
        found, at, start = [], 0.0, solve(lambda z: (z + z**3 - p * x, 1 + 3 * z**2), 0.8)
        for t in times:
            while True:
                level = np.log(start) + 1.5 * start**2
                event = at + (level - np.log(c) - 1.5 * c**2) / p
                if np.real(event) > t:
                    break
                after = (c + c**3) / p + dose * c
                at, start = event, solve(lambda z, after=after: (z + z**3 - p * after, 1 + 3 * z**2), c)
            found.append(solve(lambda z, level=level, t=t, at=at: (np.log(z) + 1.5 * z**2 + p * (t - at) - level, 1 / z + 3 * z), start))
        return np.array(found)

    values = {"p": 1.5, "c": 0.5, "dose": 1.1, "x": 1.2}
    result = derive(model, list(values), "z", times, **TIGHT)
    assert len(result.trajectory.events) >= 2
    check(result, "z", z, values)


def test_all_at_once_against_differences(derive: Derive) -> None:
    """An implicit z, a ramp, explicit time, a guard on z, a transition of a state and of an input that z depends on."""
    model = build(
        3.0,
        {"p": 1.2, "c": 0.9, "a": 0.4},
        {"u": 0.0, "v": 0.3},
        {"x": (0.2, lambda m, t: m.u[t] - m.a * m.z[t] * m.x[t]), "y": (1.0, lambda m, t: m.z[t] - m.y[t] * m.v[t] + m.a * t)},
        unknowns={"z": 0.5},
    )
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] + m.p * m.z[t] ** 3 == m.x[t] + m.v[t] * m.u[t])
    model.out = Expression(model.t, rule=lambda m, t: m.z[t] * m.y[t] + m.v[t] * m.p)
    model.tip = Event(
        guard=lambda m, t: m.z[t] - m.c - 0.01 * t,
        direction=Direction.RISING,
        transition=lambda m, t: [(m.x[t], m.a * m.x[t] * m.z[t]), (m.v[t], 0.5 * m.z[t] * m.u[t] / (1 + t))],
    )
    model.dose = Event(at=(1.3,), transition=lambda m, t: [(m.y[t], m.y[t] + m.p * m.z[t])])
    ramp = Profile((0.0, 1.0, 2.0, 4.0), (0.8, 2.0, 1.5, 3.0), Interpolation.LINEAR)
    values = {"p": 1.2, "c": 0.9, "a": 0.4, "v": 0.3, "x": 0.2, "y": 1.0}
    result = check_by_differences(derive, model, values, ["z", "y", "out"], [0.4, 1.3, 2.2, 3.0], {"u": ramp})
    assert [record.event for record in result.trajectory.events].count("tip") >= 2
    assert len(result.trajectory.system.algebraics) == 1


# ---- what has no derivative ---------------------------------------------------------------------------------------------


def thrown_up(margin: float, **changes: Any) -> ConcreteModel:
    """A ball with its apex at h = 0.45, t = 0.3, where a segment ends: what it touches there is seen."""
    model = build(0.5, {}, {}, {"h": (0.0, lambda m, t: m.v[t]), "v": (3.0, lambda m, t: -10.0)})
    model.top = Event(guard=lambda m, t: m.h[t] - 0.45 * (1 - margin), direction=Direction.RISING, **changes)
    model.look = Event(at=(0.3,))
    return model


@pytest.mark.parametrize("margin", [1e-9, 1e-8])
def test_a_guard_that_is_only_touched_is_refused(derive: Derive, margin: float) -> None:
    model = thrown_up(margin, transition=lambda m, t: [(m.v[t], -m.v[t])])
    with pytest.raises(SimulationError, match=r"the guard of event top touches zero at t = 0\.(3|2999).* without crossing it") as caught:
        derive(model, "h", "h", [0.5])
    assert caught.value.names == ("top",)


def test_a_guard_that_crosses_with_a_slope_of_zero_is_refused(derive: Derive) -> None:
    model = build(2.0, {}, {}, {"x": (0.0, lambda m, t: 1.0)})
    model.flat = Event(guard=lambda m, t: (m.x[t] - 1.0) ** 3, direction=Direction.RISING, transition=lambda m, t: [(m.x[t], 0.0)])
    with pytest.raises(SimulationError, match="the guard of event flat touches zero"):
        derive(model, "x", "x", [2.0])


def test_an_event_that_changes_nothing_may_touch(derive: Derive) -> None:
    result = derive(thrown_up(1e-9), "h", "h", [0.5])
    assert len(result.trajectory.events) == 2
    assert result["h", "h"] == pytest.approx([1.0])


def test_a_crossing_that_is_flat_but_resolved_has_its_derivative(derive: Derive) -> None:
    model = thrown_up(1e-3, transition=lambda m, t: [(m.v[t], 0.0)])
    result = derive(model, ["h", "v"], "h", [0.2, 0.4], **TIGHT)
    slope = float(np.sqrt(9 - 20 * 0.45 * (1 - 1e-3)))
    at = (3 - slope) / 10
    assert len(result.trajectory.events) == 2
    assert result["h", "v"] == pytest.approx([0.2, -10 * (0.4 - at) * at / slope], rel=1e-6)
