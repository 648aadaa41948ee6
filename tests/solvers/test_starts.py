"""What holds at the first time: initial steady states, equations of the start, and starts that say more than is needed."""

from __future__ import annotations

import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Var

from solvers import lower, simulate
from solvers.errors import NumericsError, StructureError


def tank(level: float | None = None) -> ConcreteModel:
    """Return level' = feed - flow, flow^2 = level; with a feed of 2 the level rests at 4."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    model.level, model.flow = Var(model.t, initialize=1.0, bounds=(0, None)), Var(model.t, initialize=1.0, bounds=(0, None))
    model.rate = DerivativeVar(model.level, wrt=model.t)
    model.feed = Var(model.t, initialize=2.0)
    model.feed.fix(2.0)
    model.balance = Constraint(model.t, rule=lambda m, t: m.rate[t] == m.feed[t] - m.flow[t])
    model.law = Constraint(model.t, rule=lambda m, t: m.flow[t] ** 2 == m.level[t])
    if level is not None:
        model.level[0].fix(level)
    return model


def test_initial_steady_state() -> None:
    model = tank()
    model.rest = Constraint(expr=model.rate[0] == 0)
    trajectory = simulate(model, [0.0, 5.0])
    assert trajectory["level"] == pytest.approx([4.0, 4.0], rel=1e-9)
    assert trajectory["rate"] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_start_by_an_algebraic_variable() -> None:
    model = tank()
    model.flow[0].fix(3.0)
    assert simulate(model, [0.0])["level"][0] == pytest.approx(9.0, rel=1e-12)


def test_start_by_an_equation_between_states_and_algebraic_variables() -> None:
    """level + flow = 6 at the start: flow 2."""
    model = tank()
    model.sum = Constraint(expr=model.level[0] + model.flow[0] == 6)
    assert simulate(model, [0.0])["level"][0] == pytest.approx(4.0, rel=1e-12)


@pytest.mark.parametrize("flow", [2.0, 2.0 + 1e-9])
def test_more_than_is_needed_is_taken_if_it_agrees(flow: float) -> None:
    model = tank(4.0)
    model.flow[0].fix(flow)
    assert simulate(model, [0.0, 1.0])["flow"][0] == pytest.approx(2.0, rel=1e-8)


def test_more_than_is_needed_that_disagrees_is_told_with_the_consistent_value() -> None:
    model = tank(4.0)
    model.flow[0].fix(2.5)
    with pytest.raises(NumericsError, match="inconsistent initial conditions") as caught:
        simulate(model, [0.0, 1.0])
    assert "flow[0] is fixed to 2.5, consistent would be 2" in str(caught.value)
    assert caught.value.names == ("flow[0]",)


def test_a_third_condition_among_fixed_states_is_compared_too() -> None:
    model = tank(4.0)
    model.known = Constraint(expr=model.level[0] == 4.0)
    assert simulate(model, [0.0])["level"][0] == 4.0
    model.level[0].fix(4.1)
    with pytest.raises(NumericsError, match=r"known is off by 0\.1"):
        simulate(model, [0.0])


def test_a_state_without_a_start_is_refused_when_the_model_is_lowered() -> None:
    with pytest.raises(StructureError, match="no start") as caught:
        lower(tank())
    assert caught.value.names == ("level",)


def test_algebra_without_a_solution_is_told() -> None:
    """z^2 + 1 + x = 0 has no root for x = 1."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x, model.z = Var(model.t, initialize=1.0), Var(model.t, initialize=0.3)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.z[t])
    model.algebra = Constraint(model.t, rule=lambda m, t: m.z[t] ** 2 + 1 + m.x[t] == 0)
    model.x[0].fix(1.0)
    with pytest.raises(NumericsError, match="found no solution at t = 0") as caught:
        simulate(model, [0.0, 1.0])
    assert {"algebra[1]", "z"} <= set(caught.value.names)
