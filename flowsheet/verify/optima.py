"""Optimal control problems with known optima, and a population balance that is optimized through its kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import ConcreteModel, Expression, exp

from flowsheet.verify.dae import add_state, timed_model
from flowsheet.verify.rung import Outcome, Run
from solvers import Bound, Control, Final, FinalTime, Integrated, Optimum, optimize, sensitivities, simulate
from solvers.declare import Interpolation, VectorFunction

CELLS = 40


def _controlled(end: float, name: str, value: float) -> ConcreteModel:
    model = timed_model(end)
    setattr(model, name, pyo.Var(model.t, initialize=value))
    getattr(model, name).fix(value)
    return model


def optimum_and_simulation(solve: Callable[[], Optimum]) -> Run:
    """Return what gives an optimum's objective twice: as collocated, and along its simulation."""

    def run(_: float) -> Outcome:
        found = solve()
        return Outcome((found.objective, found.simulated_objective))

    return run


def regulator() -> Optimum:
    """Minimize the integral of x^2 + u^2 with x' = u from 1 to t = 1; linear controls."""
    model = _controlled(1.0, "u", 0.0)
    add_state(model, model.t, "x", 1.0, lambda m, t: m.u[t])
    model.cost = Expression(model.t, rule=lambda m, t: m.x[t] ** 2 + m.u[t] ** 2)
    return optimize(model, controls={"u": Control(-5, 5, 0.0, Interpolation.LINEAR)}, minimize=Integrated("cost"), elements=40)


def car() -> Optimum:
    """Drive 100 from rest to rest in the shortest time, v' = a - 0.001 v^2, -3 <= a <= 1."""
    model = _controlled(20.0, "a", 0.0)
    add_state(model, model.t, "v", 0.0, lambda m, t: m.a[t] - 0.001 * m.v[t] ** 2)
    add_state(model, model.t, "x", 0.0, lambda m, t: m.v[t])
    return optimize(
        model,
        controls={"a": Control(-3, 1, 0.0)},
        minimize=FinalTime(),
        horizon=(5.0, 40.0),
        end=[Bound("x", 100, 100), Bound("v", 0, 0)],
        elements=400,
    )


def jacobson_lele(constrained: bool) -> Optimum:
    """Jacobson & Lele 1969, with or without x2 <= 8 (t - 0.5)^2 - 0.5; linear controls."""
    model = _controlled(1.0, "u", 0.0)
    add_state(model, model.t, "x2", -1.0, lambda m, t: -m.x2[t] + m.u[t])
    add_state(model, model.t, "x1", 0.0, lambda m, t: m.x2[t])
    add_state(model, model.t, "x3", 0.0, lambda m, t: m.x1[t] ** 2 + m.x2[t] ** 2 + 0.005 * m.u[t] ** 2)
    model.excess = Expression(model.t, rule=lambda m, t: m.x2[t] - 8 * (t - 0.5) ** 2 + 0.5)
    path = [Bound("excess", upper=0.0)] if constrained else []
    control = Control(-20, 20, 0.0, Interpolation.LINEAR)
    return optimize(model, controls={"u": control}, minimize=Final("x3"), path=path, elements=400)


def batch_temperature() -> Optimum:
    """A -> B -> C: the most B at t = 1 by temperature, 298 to 398 K, on 100 elements."""
    model = _controlled(1.0, "T", 350.0)
    first = 4000.0, -2500.0
    second = 6.2e5, -5000.0

    def rate(law: tuple[float, float], m: Any, t: Any) -> Any:
        return law[0] * exp(law[1] / m.T[t])

    add_state(model, model.t, "A", 1.0, lambda m, t: -rate(first, m, t) * m.A[t] ** 2)
    add_state(model, model.t, "B", 0.0, lambda m, t: rate(first, m, t) * m.A[t] ** 2 - rate(second, m, t) * m.B[t])
    return optimize(model, controls={"T": Control(298, 398)}, maximize=Final("B"), elements=100)


# -- a kernel ----------------------------------------------------------------------------------------------------------


def coagulation() -> ConcreteModel:
    """Return Smoluchowski's coagulation of monomers with a constant kernel, its rates a vector function of all numbers.

    Particles of k units: n_k = tau^(k-1) / (1 + tau)^(k+1) at tau = beta t / 2.
    """
    number = ca.SX.sym("number", CELLS)
    rates = []
    for size in range(CELLS):
        births = sum((number[part] * number[size - 1 - part] for part in range(size)), start=ca.SX(0))
        rates.append(births / 2 - number[size] * ca.sum1(number))
    model = timed_model(1.0)
    model.size = pyo.RangeSet(CELLS)
    model.beta = pyo.Param(initialize=1.0, mutable=True)
    model.speed = pyo.Var(model.t, initialize=1.0)
    model.speed.fix(1.0)
    model.number = pyo.Var(model.t, model.size, initialize=0.0)
    model.slope = DerivativeVar(model.number, wrt=model.t)
    model.collisions = pyo.Var(model.t, model.size, initialize=0.0)
    model.kernel = VectorFunction(ca.Function("aggregation", [number], [ca.vertcat(*rates)]), [model.number], [model.collisions])
    model.balance = pyo.Constraint(model.t, model.size, rule=lambda m, t, k: m.slope[t, k] == m.beta * m.speed[t] * m.collisions[t, k])
    for size in model.size:
        model.number[0, size].fix(1.0 if size == 1 else 0.0)
    return model


def coagulated(rtol: float) -> Outcome:
    """Return n_1, n_5 and the derivative of n_1 by beta at t = 1."""
    model = coagulation()
    trajectory = simulate(model, [0.0, 1.0], rtol=rtol, atol=1e-2 * rtol)
    derived = sensitivities(model, ["beta"], ["number[1]"], [0.0, 1.0], rtol=rtol, atol=1e-2 * rtol)
    values = trajectory["number[1]"][-1], trajectory["number[5]"][-1], derived["number[1]", "beta"][-1]
    return Outcome(tuple(map(float, values)), trajectory.stats)


def most_pairs() -> Optimum:
    """When to stop for the most particles of two units: tau = 1/2, n_2 = 4/27."""
    return optimize(coagulation(), controls={"speed": Control(0.5, 1.5, 1.0)}, maximize=Final("number[2]"), horizon=(0.2, 3.0), elements=6)
