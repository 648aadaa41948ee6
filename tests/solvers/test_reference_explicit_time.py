"""Time that stands in equations is carried through, or refused: never frozen at one point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import Block, ConcreteModel, Constraint, Expression, Param, Var, cos, exp, sin

from solvers import simulate
from solvers.errors import UnsupportedModelError


def model_with_slope(slope: Any, *, end: float = 3.0, skip_start: bool = False) -> ConcreteModel:
    """Return y' = slope(m, t), y(0) = 0."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    model.y = Var(model.t, initialize=0.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)

    def rule(m: Any, t: Any) -> Any:
        if skip_start and t == 0:
            return Constraint.Skip
        return m.dy[t] == slope(m, t)

    model.slope = Constraint(model.t, rule=rule)
    model.y[0].fix(0.0)
    return model


TIMES = np.linspace(0.0, 3.0, 31)


def test_function_of_time() -> None:
    trajectory = simulate(model_with_slope(lambda m, t: cos(t)), TIMES)
    np.testing.assert_allclose(trajectory["y"], np.sin(TIMES), atol=5e-7)


def test_time_times_state() -> None:
    model = model_with_slope(lambda m, t: -2 * t * (m.y[t] - 1))
    trajectory = simulate(model, TIMES)
    np.testing.assert_allclose(trajectory["y"], 1 - np.exp(-(TIMES**2)), atol=1e-7)


def test_equation_whose_sides_pyomo_exchanges_at_some_times_only() -> None:
    """At t = 0 the sine is the number 0, so that 3 (sin t) - 3 y is a monomial there and Pyomo keeps the sides as written."""
    model = model_with_slope(lambda m, t: 0 * t)
    model.del_component(model.slope)
    model.slope = Constraint(model.t, rule=lambda m, t: 3 * (-m.y[t] + sin(t)) == 3 * m.dy[t])
    expected = (np.sin(TIMES) - np.cos(TIMES) + np.exp(-TIMES)) / 2
    np.testing.assert_allclose(simulate(model, TIMES)["y"], expected, atol=5e-7)


def test_rule_that_skips_the_start() -> None:
    trajectory = simulate(model_with_slope(lambda m, t: -(m.y[t] - 1), skip_start=True), TIMES)
    np.testing.assert_allclose(trajectory["y"], 1 - np.exp(-TIMES), atol=1e-7)


def test_rule_that_skips_the_start_and_knows_the_time() -> None:
    """One time point is left of such a rule: nothing to compare, so freezing would go unseen."""
    trajectory = simulate(model_with_slope(lambda m, t: cos(t), skip_start=True), TIMES)
    np.testing.assert_allclose(trajectory["y"], np.sin(TIMES), atol=5e-7)


def test_time_within_an_expression_and_a_nested_block() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 3))
    model.wind = Block()
    model.wind.force = Expression(model.t, rule=lambda b, t: 2 * t)
    model.y = Var(model.t, initialize=0.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.slope = Constraint(model.t, rule=lambda m, t: m.dy[t] == m.wind.force[t])
    model.y[0].fix(0.0)
    trajectory = simulate(model, TIMES)
    np.testing.assert_allclose(trajectory["y"], TIMES**2, atol=1e-7)
    np.testing.assert_allclose(trajectory["wind.force"], 2 * TIMES, atol=1e-12)


def test_time_in_an_algebraic_equation() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 3))
    model.y = Var(model.t, initialize=0.0)
    model.z = Var(model.t, initialize=1.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.slope = Constraint(model.t, rule=lambda m, t: m.dy[t] == m.z[t])
    model.balance = Constraint(model.t, rule=lambda m, t: m.z[t] + 0.1 * m.z[t] ** 3 == exp(-t))
    model.y[0].fix(0.0)
    trajectory = simulate(model, TIMES)
    np.testing.assert_allclose(trajectory["z"] + 0.1 * trajectory["z"] ** 3, np.exp(-TIMES), rtol=1e-7)


def test_time_indexed_data_are_refused() -> None:
    wind = {0: 1.0, 3: 2.0}
    with pytest.raises(UnsupportedModelError, match="slope"):
        simulate(model_with_slope(lambda m, t: wind[t]), [0.0, 3.0])


def test_rule_that_compares_time_with_a_number_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="slope"):
        simulate(model_with_slope(lambda m, t: 1.0 if t < 1.5 else 2.0), [0.0, 3.0])


def test_rule_that_compares_time_within_the_run_is_refused() -> None:
    """Both ends of the time set give the same equation; the middle would not."""
    with pytest.raises(UnsupportedModelError, match="slope"):
        simulate(model_with_slope(lambda m, t: 5.0 if 1.0 < t < 2.0 else 1.0), [0.0, 3.0])


def test_rule_with_a_float_function_of_time_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="slope"):
        simulate(model_with_slope(lambda m, t: math.sin(t)), [0.0, 3.0])


def test_time_indexed_parameter_without_a_profile_is_refused() -> None:
    """A Param over time has values at the points of the set only: what holds between them is not known."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 3))
    model.wind = Param(model.t, initialize=lambda m, t: 1.0 + t)
    model.y = Var(model.t, initialize=0.0)
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.slope = Constraint(model.t, rule=lambda m, t: m.dy[t] == m.wind[t])
    model.y[0].fix(0.0)
    with pytest.raises(UnsupportedModelError, match=r"wind|slope"):
        simulate(model, [0.0, 3.0])
