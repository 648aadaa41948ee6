"""Systems in which algebraic variables stay: IDA's side of the seam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, Var, exp

from solvers import lower, simulate
from solvers.declare import Direction, Event


def cube_root() -> ConcreteModel:
    """x' = -z, z**3 = x: x = (1 - 2 t / 3)**1.5 in closed form; z cannot be assigned from its equation."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x, model.z = Var(model.t, initialize=1.0), Var(model.t, initialize=0.7)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.flow = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.z[t])
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] ** 3 == m.x[t])
    model.x[0].fix(1.0)
    return model


def test_algebraic_variable_stays_and_follows_its_closed_form() -> None:
    system = lower(cube_root())
    assert [slot.name for slot in system.algebraics] == ["z"]
    times = np.linspace(0.0, 1.0, 11)
    trajectory = simulate(system, times)
    exact = (1 - 2 * times / 3) ** 1.5
    np.testing.assert_allclose(trajectory["x"], exact, rtol=2e-7)
    np.testing.assert_allclose(trajectory["z"], np.cbrt(exact), rtol=2e-7)


def test_error_falls_with_the_tolerance() -> None:
    system = lower(cube_root())
    exact = (1 / 3) ** 1.5
    errors = [abs(simulate(system, [1.0], rtol=rtol, atol=1e-2 * rtol)["x"][-1] / exact - 1) for rtol in (1e-4, 1e-6, 1e-8, 1e-10)]
    assert all(error <= 30 * rtol for error, rtol in zip(errors, (1e-4, 1e-6, 1e-8, 1e-10), strict=True)), errors
    assert errors[0] > errors[1] > errors[2] > errors[3]


def test_inconsistent_guess_is_mended_at_the_start() -> None:
    model = cube_root()
    model.z[0].set_value(5.0)
    assert simulate(model, [0.0, 0.5])["z"][0] == pytest.approx(1.0, abs=1e-12)


def loop_of_two() -> ConcreteModel:
    """A tank whose outflow and pressure drop determine each other: q**2 * k + q = level, exactly solvable."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 10))
    model.level = Var(model.t, initialize=1.0)
    model.dlevel = DerivativeVar(model.level, wrt=model.t)
    model.flow, model.drop = Var(model.t, initialize=0.5), Var(model.t, initialize=0.5)
    model.k = Param(initialize=0.4, mutable=True)
    model.balance = Constraint(model.t, rule=lambda m, t: m.dlevel[t] == -m.flow[t])
    model.pressure = Constraint(model.t, rule=lambda m, t: m.level[t] == m.drop[t] + m.flow[t])
    model.friction = Constraint(model.t, rule=lambda m, t: m.drop[t] == m.k * m.flow[t] ** 2)
    model.energy = Expression(model.t, rule=lambda m, t: m.flow[t] * m.drop[t])
    model.level[0].fix(1.0)
    return model


def explicit_twin() -> ConcreteModel:
    """The same tank with the root written out."""
    model = loop_of_two()
    model.friction.deactivate()
    model.pressure.deactivate()
    model.root = Constraint(model.t, rule=lambda m, t: m.flow[t] == (-1 + (1 + 4 * m.k * m.level[t]) ** 0.5) / (2 * m.k))
    model.drop_law = Constraint(model.t, rule=lambda m, t: m.drop[t] == m.k * m.flow[t] ** 2)
    return model


def test_loop_gives_what_its_root_gives() -> None:
    times = np.linspace(0, 10, 21)
    loop, twin = simulate(loop_of_two(), times), simulate(explicit_twin(), times)
    assert len(loop.system.algebraics) == 1  # torn to one unknown
    assert len(twin.system.algebraics) == 0
    for name in ("level", "flow", "drop", "energy"):
        np.testing.assert_allclose(loop[name], twin[name], rtol=1e-6, atol=1e-9)


def test_events_in_an_implicit_system_are_those_of_its_explicit_twin() -> None:
    def with_refill(model: ConcreteModel) -> ConcreteModel:
        model.refill = Event(
            guard=lambda m, t: m.flow[t] - 0.3, direction=Direction.FALLING, transition=lambda m, t: [(m.level[t], m.level[t] + 0.5)]
        )
        return model

    loop, twin = (simulate(with_refill(model), [10.0]) for model in (loop_of_two(), explicit_twin()))
    assert len(loop.events) == len(twin.events) > 3
    np.testing.assert_allclose([e.time for e in loop.events], [e.time for e in twin.events], rtol=1e-6)
    assert loop["flow"][-1] == pytest.approx(twin["flow"][-1], rel=1e-6)


def test_system_without_states_is_algebra_over_time() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    model.a, model.b = Var(model.t, initialize=1.0), Var(model.t, initialize=1.0)
    model.first = Constraint(model.t, rule=lambda m, t: m.a[t] + exp(m.a[t]) == m.b[t])
    model.second = Constraint(model.t, rule=lambda m, t: m.b[t] == 1 + t)
    times = np.linspace(0, 2, 9)
    a = simulate(model, times)["a"]
    np.testing.assert_allclose(a + np.exp(a), 1 + times, rtol=1e-6)


def test_many_cells_use_a_sparse_pattern() -> None:
    cells = 60

    def build(order: list[int]) -> Any:
        model = ConcreteModel()
        model.t = ContinuousSet(bounds=(0, 1))
        model.c = Var(model.t, order, initialize=0.0)
        model.g = Var(model.t, order, initialize=0.1)
        model.dc = DerivativeVar(model.c, wrt=model.t)
        model.law = Constraint(model.t, order, rule=lambda m, t, i: m.g[t, i] + m.g[t, i] ** 3 == m.c[t, i])
        model.flow = Constraint(
            model.t, order, rule=lambda m, t, i: m.dc[t, i] == 50 * ((m.g[t, i - 1] if i else 1 + 0 * m.g[t, 0]) - m.g[t, i])
        )
        model.c[0, :].fix(0.0)
        return model

    trajectory = simulate(build(list(range(cells))), [0.0, 1.0])
    assert len(trajectory.system.algebraics) == cells
    backwards = simulate(build(list(range(cells))[::-1]), [0.0, 1.0])
    for i in range(cells):
        assert trajectory[f"c[{i}]"][-1] == pytest.approx(backwards[f"c[{i}]"][-1], abs=1e-7)
