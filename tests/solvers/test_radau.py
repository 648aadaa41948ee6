"""Radau IIA as a method of the integrator: its order, its steps, its events and its failures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Var, cos, sqrt
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from solvers import Repeater, SimulationError, Trajectory, lower, sensitivities, simulate
from solvers.declare import Direction, Event, Interpolation, Profile, nominal
from solvers.integrator import IntegrationMethod, Outcome, SegmentFunctions, SegmentIntegrator


def model_of(end: float, starts: Sequence[float], slopes: Callable[[ConcreteModel, Any], Sequence[Any]]) -> ConcreteModel:
    """x0, x1, ... with the slopes given, a counter n, an input u and a Var z that starts at 1."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    model.z = Var(model.t, initialize=1.0)
    for k, start in enumerate(starts):
        model.add_component(f"x{k}", Var(model.t, initialize=start))
        x = model.component(f"x{k}")
        model.add_component(f"d{k}", DerivativeVar(x, wrt=model.t))
        x[0].fix(start)
    for name in ("n", "u"):
        model.add_component(name, Var(model.t, initialize=0.0))
        model.component(name).fix()
    rules = range(len(starts))
    model.law = Constraint(rules, model.t, rule=lambda m, k, t: m.component(f"d{k}")[t] == slopes(m, t)[k])
    return model


def by_radau(model: Any, times: Any, **more: Any) -> Trajectory:
    return simulate(model, times, method=IntegrationMethod.RADAU, **more)


def bernoulli() -> ConcreteModel:
    """x' = cos(t) x**2, x = 1 / (2 - sin t)."""
    return model_of(4.0, [0.5], lambda m, t: [cos(t) * m.x0[t] ** 2])


def implicit_decay() -> ConcreteModel:
    """x' = -z with z + 0.1 z**3 = x: log z + 0.15 z**2 falls as time goes on."""
    model = model_of(4.0, [1.1], lambda m, t: [-m.z[t]])
    model.sum = Constraint(model.t, rule=lambda m, t: m.z[t] + 0.1 * m.z[t] ** 3 == m.x0[t])
    return model


def decayed(t: float) -> float:
    return float(brentq(lambda z: np.log(z) + 0.15 * z**2 - 0.15 + t, 1e-9, 2.0, xtol=1e-15))


def driver_of(model: ConcreteModel, t: float, y: Sequence[float]) -> tuple[SegmentIntegrator, np.ndarray]:
    """Return an integrator by Radau IIA with tight tolerances, and the constants of a segment."""
    system = lower(model)
    functions = SegmentFunctions(system, ())
    start = np.array(y, dtype=float)
    driver = SegmentIntegrator(functions, t, start, 1e-12, np.full(len(start), 1e-13), method=IntegrationMethod.RADAU)
    inputs = len(system.inputs)
    return driver, functions.constants(np.zeros(len(system.parameters)), np.zeros(inputs), np.zeros(inputs), t)


def with_fixed_steps(model: ConcreteModel, end: float, y: Sequence[float], steps: int, times: Sequence[float] = ()) -> tuple[Any, Any]:
    """Return y at the end and outputs at times, with steps of one length."""
    driver, constants = driver_of(model, 0.0, y)
    driver._driver.fix_step(end / steps)
    outputs = np.zeros((len(times), len(y)))
    assert driver.restart(0.0, end, np.array(y, dtype=float), constants, []) is None
    outcome, t, _, _ = driver.run(end, np.array(times, dtype=float), 0, outputs, 10**6)
    assert outcome is Outcome.REACHED_END
    assert t == end
    assert driver.counts["steps"] == steps
    return driver.y.copy(), outputs


# -- order ------------------------------------------------------------------------------------------------------------------


def orders(errors: Sequence[float]) -> np.ndarray:
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def test_order_five_of_states() -> None:
    errors = [abs(with_fixed_steps(bernoulli(), 4.0, [0.5], steps)[0][0] - 1 / (2 - np.sin(4.0))) for steps in (10, 20, 40)]
    assert (orders(errors) > 4.6).all()
    assert errors[-1] < 1e-8


def test_order_five_of_algebraic_variables() -> None:
    errors = [abs(with_fixed_steps(implicit_decay(), 2.0, [1.1, 1.0], steps)[0][1] - decayed(2.0)) for steps in (8, 16, 32)]
    assert (orders(errors) > 4.6).all()
    assert errors[-1] < 1e-8


def test_order_four_between_steps() -> None:
    """One order more than the collocation polynomial: local errors of order 5."""
    times = np.linspace(0.01, 1.99, 40)
    exact = 1 / (2 - np.sin(times))
    errors = [np.abs(with_fixed_steps(bernoulli(), 2.0, [0.5], n, list(times))[1][:, 0] - exact).max() for n in (8, 16, 32)]
    assert (orders(errors) > 4.5).all()


def test_controlled_steps_reach_what_is_asked() -> None:
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        found = by_radau(implicit_decay(), np.linspace(0, 4, 41), rtol=rtol, atol=1e-2 * rtol)
        exact = np.array([decayed(t) for t in found.t])
        assert np.abs(found["z"] / exact - 1).max() < 10 * rtol


# -- agreement --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_scipy_on_random_stiff_systems(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 6))
    basis = random.normal(size=(size, size)) + 2 * np.eye(size)
    matrix = basis @ np.diag(-(10.0 ** random.uniform(-1, 5, size))) @ np.linalg.inv(basis)
    force, start = random.normal(size=size), random.normal(size=size)

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        return matrix @ x + force * np.cos(t) - 0.1 * x**3

    def rules(m: ConcreteModel, t: Any) -> list[Any]:
        x = [m.component(f"x{k}")[t] for k in range(size)]
        return [sum(matrix[k, j] * x[j] for j in range(size)) + force[k] * cos(t) - 0.1 * x[k] ** 3 for k in range(size)]

    reference = solve_ivp(slopes, (0, 5), start, method="Radau", rtol=1e-10, atol=1e-12)
    found = by_radau(model_of(5.0, start.tolist(), rules), [5.0], rtol=1e-8, atol=1e-10)
    values = np.array([found[f"x{k}"][-1] for k in range(size)])
    assert values == pytest.approx(reference.y[:, -1], rel=1e-6, abs=1e-8)


def test_a_system_without_states_stands_still() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    model.z, model.u = Var(model.t, initialize=1.0), Var(model.t, initialize=1.0)
    model.u.fix()
    model.cube = Constraint(model.t, rule=lambda m, t: m.z[t] ** 3 + m.z[t] == m.u[t])
    found = by_radau(model, [0.0, 1.0, 2.0], inputs={"u": Profile((0.0, 2.0), (2.0, 10.0), Interpolation.LINEAR)})
    assert found["z"] == pytest.approx([1.0, brentq(lambda z: z**3 + z - 6, 1, 2), 2.0], rel=1e-8)


# -- steps ------------------------------------------------------------------------------------------------------------------


def oscillator(time: float, size: float) -> ConcreteModel:
    """Van der Pol's, in units of time and size that are powers of two."""
    start = [2.0 * size, 0.0]

    def slopes(m: ConcreteModel, t: Any) -> list[Any]:
        x, y = m.x0[t] / size, m.x1[t] / size
        return [size / time * y, size / time * (50 * (1 - x * x) * y - x)]

    model = model_of(100.0 * time, start, slopes)
    nominal(model.x0, size)
    nominal(model.x1, size)
    return model


@pytest.mark.parametrize(("time", "size"), [(2.0**12, 1.0), (1.0, 2.0**-20), (2.0**-10, 2.0**8)])
def test_steps_do_not_depend_on_units(time: float, size: float) -> None:
    plain, scaled = by_radau(oscillator(1.0, 1.0), [100.0]), by_radau(oscillator(time, size), [100.0 * time])
    assert scaled.stats.steps == plain.stats.steps
    assert scaled.stats.rhs_evaluations == plain.stats.rhs_evaluations
    assert scaled["x0"][-1] == pytest.approx(size * plain["x0"][-1], rel=1e-9)


def test_outputs_do_not_change_the_steps() -> None:
    few, many = by_radau(implicit_decay(), [4.0]), by_radau(implicit_decay(), np.linspace(0, 4, 1001))
    assert few.stats.steps == many.stats.steps
    assert few["x0"][-1] == many["x0"][-1]
    assert few["z"][-1] == many["z"][-1]


def test_counts_tell_the_work() -> None:
    stats = by_radau(oscillator(1.0, 1.0), [100.0]).stats
    assert 0 < stats.steps < stats.newton_iterations
    assert stats.rhs_evaluations > 3 * stats.newton_iterations
    assert 0 < stats.jacobian_evaluations <= stats.factorizations // 2
    assert stats.factorizations % 2 == 0
    assert stats.error_test_failures < stats.steps // 4
    assert stats.restarts == 0


def test_the_end_of_a_segment_is_hit_exactly() -> None:
    model = model_of(10.0, [0.0], lambda m, t: [m.u[t]])
    ends = [0.1 * k for k in range(1, 100)]
    profile = Profile((0.0, *ends), tuple(float(k % 3) for k in range(100)))
    found = by_radau(model, [0.0, *ends], inputs={"u": profile})
    exact = np.concatenate([[0.0], np.cumsum(np.diff([0.0, *ends]) * profile.values[:-1])])
    assert found.stats.restarts == 98
    assert found["x0"] == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_the_same_bits_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MOST_BY_RADAU", "MOST_BY_RADAU_WITH_EVENTS"):
        monkeypatch.setattr(sys.modules["solvers.simulate"], limit, 10**9)
    model = implicit_decay()
    model.e = Event(guard=lambda m, t: m.z[t] - 0.5, transition=lambda m, t: [(m.x0[t], m.x0[t] + 0.3), (m.n[t], m.n[t] + 1)])
    times = np.linspace(0, 4, 17)
    repeat = Repeater(model, times)
    first, other, again = repeat(), repeat(starts={"x0": 0.9}), repeat()
    alone = simulate(model, times)
    assert first["n"][-1] > 2.0
    assert not np.array_equal(first["z"], other["z"])
    for name in ("x0", "z", "n"):
        assert np.array_equal(first[name], again[name])
        assert np.array_equal(first[name], alone[name])
    assert first.stats.as_dict() | {"seconds": 0} == again.stats.as_dict() | {"seconds": 0}


def test_derivatives_carried_along_stay_with_bdf(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(1.0, [1.0], lambda m, t: [-2 * m.x0[t]])
    plain = sensitivities(model, ["x0"], ["x0"], [1.0])
    for limit in ("MOST_BY_RADAU", "MOST_BY_RADAU_WITH_EVENTS"):
        monkeypatch.setattr(sys.modules["solvers.simulate"], limit, 10**9)
    forced = sensitivities(model, ["x0"], ["x0"], [1.0])
    assert plain.trajectory.stats.steps == forced.trajectory.stats.steps


# -- guards -----------------------------------------------------------------------------------------------------------------


def wave() -> ConcreteModel:
    """x0 = sin t, x1 = cos t."""
    return model_of(10.0, [0.0, 1.0], lambda m, t: [m.x1[t], -m.x0[t]])


def count(model: Any, t: Any) -> list[tuple[Any, Any]]:
    return [(model.n[t], model.n[t] + 1)]


@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
@pytest.mark.parametrize(
    ("direction", "times"), [(Direction.RISING, [np.pi / 6, 13 * np.pi / 6]), (Direction.FALLING, [5 * np.pi / 6, 17 * np.pi / 6])]
)
def test_crossings_in_a_direction(direction: Direction, times: list[float], rtol: float) -> None:
    model = wave()
    model.e = Event(guard=lambda m, t: m.x0[t] - 0.5, direction=direction, transition=count)
    found = by_radau(model, [10.0], rtol=rtol, atol=rtol)
    assert [event.time for event in found.events if event.time > 0] == pytest.approx(times, rel=30 * rtol)


def test_a_guard_that_crosses_and_returns_within_a_step_is_seen() -> None:
    model = model_of(10.0, [0.0], lambda m, t: [0.2 * (5 - m.u[t])])
    model.level = Var(model.t)
    model.dip = Constraint(model.t, rule=lambda m, t: m.level[t] == (m.x0[t] - 5) ** 2 - 1e-4)
    model.e = Event(guard=lambda m, t: m.level[t], direction=Direction.FALLING, transition=count)
    found = by_radau(model, [10.0])
    assert [event.time for event in found.events] == [pytest.approx(4.99, abs=1e-6)]


@pytest.mark.parametrize("height", [1e-6, 1e-5, 1e-3])
def test_a_guard_that_soon_returns_after_its_event(height: float) -> None:
    """The first step after the event is longer than the guard is beyond zero."""
    model = wave()
    model.e = Event(guard=lambda m, t: m.x0[t] - (1 - height), transition=count)
    found = by_radau(model, [10.0], rtol=1e-9, atol=1e-9)
    half = np.arccos(1 - height)
    times = [top + side * half for top in (np.pi / 2, 5 * np.pi / 2) for side in (-1, 1)]
    assert [event.time for event in found.events if event.time > 0] == pytest.approx(times, abs=2e-8 / half)


def test_guards_that_cross_at_one_time_happen_in_order() -> None:
    model = wave()
    model.a = Event(guard=lambda m, t: m.x0[t] - 0.5, direction=Direction.RISING, transition=lambda m, t: [(m.n[t], 2 * m.n[t] + 1)])
    model.b = Event(guard=lambda m, t: 0.5 - m.x0[t], direction=Direction.FALLING, transition=lambda m, t: [(m.n[t], 3 * m.n[t])])
    found = by_radau(model, [3.0])
    assert [event.event for event in found.events] == ["a", "b"]
    assert found["n"][-1] == 3.0


def test_a_guard_that_starts_at_zero_waits_until_it_has_left() -> None:
    """Inside the integrator: what is zero at the start of a segment takes its side from the first step."""
    driver, constants = driver_of(guarded_wave(), 0.0, [0.0, 1.0])
    assert driver.restart(0.0, 10.0, np.array([0.0, 1.0]), constants, [0]) is None
    outcome, t, _, crossed = driver.run(10.0, np.zeros(0), 0, np.zeros((0, 2)), 10**6)
    assert outcome is Outcome.FOUND_EVENT
    assert t == pytest.approx(np.pi, rel=1e-10)
    assert crossed.tolist() == [-1]
    assert driver.y[0] <= 0.0


def guarded_wave() -> ConcreteModel:
    model = wave()
    model.e = Event(guard=lambda m, t: m.x0[t], transition=count)
    return model


# -- failures ---------------------------------------------------------------------------------------------------------------


def test_slopes_that_are_not_finite_are_told_with_their_time() -> None:
    model = model_of(5.0, [1.0, 0.0], lambda m, t: [-0.5, sqrt(m.x0[t])])
    with pytest.raises(SimulationError, match="slope of x1 is not finite at t = 2") as error:
        by_radau(model, np.linspace(0, 5, 11))
    partial = error.value.trajectory
    assert partial is not None
    assert partial.t[-1] == pytest.approx(2.0, abs=1e-6)
    assert partial["x1"][2] == pytest.approx((1 - 0.5**1.5) / 0.75, rel=1e-6)


def test_a_slope_with_an_infinite_derivative_at_the_start() -> None:
    found = by_radau(model_of(1.0, [0.0], lambda m, t: [1 + sqrt(m.x0[t])]), [1.0])
    root = brentq(lambda s: 2 * (s - np.log(1 + s)) - 1, 0.1, 5)
    assert found["x0"][-1] == pytest.approx(root**2, rel=1e-6)


def test_a_solution_that_ends_is_told_with_its_equation() -> None:
    model = model_of(5.0, [1.0], lambda m, t: [-0.5])
    model.root = Constraint(model.t, rule=lambda m, t: m.z[t] ** 2 + 0.1 * m.z[t] ** 4 == m.x0[t])
    with pytest.raises(SimulationError) as error:
        by_radau(model, np.linspace(0, 5, 11))
    assert "root" in str(error.value)
    assert error.value.trajectory is not None
    assert error.value.trajectory.t[-1] == pytest.approx(2.0, abs=1e-4)


def test_a_finite_escape_is_told_with_its_state() -> None:
    with pytest.raises(SimulationError, match="x0") as error:
        by_radau(model_of(2.0, [1.0, 1.0], lambda m, t: [m.x0[t] ** 2, -m.x1[t]]), np.linspace(0, 2, 21))
    assert error.value.trajectory is not None
    assert error.value.trajectory.t[-1] == pytest.approx(1.0, abs=1e-6)
