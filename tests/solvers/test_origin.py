"""A value that is not finite is traced to the equation as it was written, the operation and the variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import Block, ConcreteModel, Constraint, Expr_if, Param, Var, exp, log, sqrt

from solvers import SimulationError, Status, simulate
from solvers.declare import VectorFunction


def vessel(law: Callable[[Any, Any], Any], slope: Callable[[Any], Any]) -> ConcreteModel:
    """A vessel whose flow follows ``law(level, flow) == 0`` and whose level changes by ``slope(flow)``."""
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 10))
    model.tank = Block()
    model.tank.k = Param(initialize=0.5, mutable=True)
    model.tank.level = Var(model.time, initialize=1.0)
    model.tank.flow = Var(model.time, initialize=1.0)
    model.tank.change = DerivativeVar(model.tank.level, wrt=model.time)
    model.tank.law = Constraint(model.time, rule=lambda b, t: law(b.level[t], b.flow[t]) == 0)
    model.tank.balance = Constraint(model.time, rule=lambda b, t: b.change[t] == slope(b.flow[t]))
    model.tank.level[0].fix(1.0)
    return model


def failure(model: ConcreteModel) -> SimulationError:
    with pytest.raises(SimulationError) as caught:
        simulate(model, [1.0, 10.0])
    assert caught.value.trajectory is not None
    assert caught.value.trajectory.status is Status.INCOMPLETE
    return caught.value


@pytest.mark.parametrize(
    ("law", "slope", "told", "equation", "variable"),
    [
        (lambda h, q: q - 0.5 * sqrt(h), lambda q: -0.1 - q, "the square root of -", "tank.law", "tank.level"),
        (lambda h, q: q - log(h), lambda q: -1 + 1e-9 * q, "the logarithm of -", "tank.law", "tank.level"),
        (lambda h, q: q - h**1.5, lambda q: -1 + q / 2, "the power (-", "tank.law", "tank.level"),
        (lambda h, q: q - exp(700 * h), lambda q: 1 + 1e-300 * q, "the exponential of 7", "tank.law", "tank.level"),
        # what is not a number in the equation of the level is the flow's fault only in so far as it is negative
        (lambda h, q: q * h - 1, lambda q: -1 - 0.1 * log(q), "the logarithm of -", "tank.balance", "tank.flow"),
        # solved together, not eliminated
        (lambda h, q: q + exp(q) - log(h), lambda q: -1 + 0 * q, "the logarithm of -", "tank.law", "tank.level"),
    ],
    ids=["root", "logarithm", "power", "overflow", "upstream is finite", "algebraic"],
)
def test_the_equation_the_operation_and_the_variable_are_named(law: Any, slope: Any, told: str, equation: str, variable: str) -> None:
    error = failure(vessel(law, slope))
    assert "not a number" in error.message
    assert f"it comes from {told}" in error.message
    assert f"in the equation {equation}, with {variable} = " in error.message
    assert error.names[:2] == (equation, variable)
    assert len(set(error.names)) == len(error.names)


def test_a_branch_that_was_not_taken_is_not_blamed() -> None:
    def law(level: Any, flow: Any) -> Any:
        return flow - Expr_if(IF=level > 2, THEN=log(level - 2), ELSE=0) - sqrt(level)

    error = failure(vessel(law, lambda q: -0.1 - q))
    assert "the square root of -" in error.message


def test_a_vector_function_that_gave_it_is_named() -> None:
    model = vessel(lambda h, q: q - h, lambda q: -1 + 0 * q)
    x = ca.MX.sym("x")
    model.tank.root = Var(model.time)
    model.tank.kernel = VectorFunction(ca.Function("kernel", [x], [ca.sqrt(x)]), inputs=[model.tank.level], outputs=[model.tank.root])
    model.tank.balance.deactivate()
    model.tank.falls = Constraint(model.time, rule=lambda b, t: b.change[t] == -0.5 - b.root[t])
    error = failure(model)
    assert "the slope of tank.level is not finite at t = " in error.message
    assert error.message.endswith("it comes from the vector function tank.kernel")
    assert error.names == ("tank.kernel", "tank.level")
