"""Initial value problems with published end values, as Pyomo models and as the same equations in CasADi.

Every right-hand side is written once, in arithmetic that Pyomo expressions, CasADi symbols and plain numbers share, so
that all peers integrate the same equations.

Sources: the test set for initial value problem solvers of the universities of Bari and Amsterdam (CWI) for the
equations and the published end values (HIRES, ROBER, OREGO, E5); Hairer, Norsett, Wanner, Solving Ordinary Differential
Equations I, section II.0, for the Arenstorf orbit.  The published values were confirmed with independent Radau or
DOP853 runs at 1e-12 to 1e-13 to the digits given beside each.

>>> HIRES.end_time
321.8122
>>> round(digits(HIRES, [1.001 * value for value in HIRES.end]), 6)
3.0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import casadi as ca
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Var

from solvers.declare import nominal

RightHandSide = Callable[[Any, Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class InitialValueProblem:
    """An explicit system ``y' = rhs(t, y)`` from time 0 with a published end.

    Parameters
    ----------
    name : the name the test sets use.
    rhs : ``rhs(t, y)`` with ``y`` a sequence of n scalars, giving n scalars.
    start : (n,) values at time 0.
    end_time : where ``end`` holds.
    end : (n,) published values; empty where none could be confirmed.
    scale : (n,) magnitude to which absolute tolerances relate.
    agreed : significant digits to which ``end`` was confirmed.
    """

    name: str
    rhs: RightHandSide
    start: tuple[float, ...]
    end_time: float
    end: tuple[float, ...]
    scale: tuple[float, ...]
    agreed: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the states in the Pyomo model."""
        return tuple(f"y{k + 1}" for k in range(len(self.start)))


def _hires(_: Any, y: Sequence[Any]) -> Sequence[Any]:
    y1, y2, y3, y4, y5, y6, y7, y8 = y
    change = 280 * y6 * y8 - 1.81 * y7
    return (
        -1.71 * y1 + 0.43 * y2 + 8.32 * y3 + 0.0007,
        1.71 * y1 - 8.75 * y2,
        -10.03 * y3 + 0.43 * y4 + 0.035 * y5,
        8.32 * y2 + 1.71 * y3 - 1.12 * y4,
        -1.745 * y5 + 0.43 * y6 + 0.43 * y7,
        -280 * y6 * y8 + 0.69 * y4 + 1.71 * y5 - 0.43 * y6 + 0.69 * y7,
        change,
        -change,
    )


def _rober(_: Any, y: Sequence[Any]) -> Sequence[Any]:
    y1, y2, y3 = y
    return (
        -0.04 * y1 + 1e4 * y2 * y3,
        0.04 * y1 - 1e4 * y2 * y3 - 3e7 * y2**2,
        3e7 * y2**2,
    )


def _orego(_: Any, y: Sequence[Any]) -> Sequence[Any]:
    y1, y2, y3 = y
    return (
        77.27 * (y2 + y1 * (1 - 8.375e-6 * y1 - y2)),
        (y3 - (1 + y1) * y2) / 77.27,
        0.161 * (y1 - y3),
    )


def _arenstorf(_: Any, y: Sequence[Any]) -> Sequence[Any]:
    x, z, vx, vz = y
    mu = 0.012277471
    rest = 1 - mu
    near = ((x + mu) ** 2 + z**2) ** 1.5
    far = ((x - rest) ** 2 + z**2) ** 1.5
    return (
        vx,
        vz,
        x + 2 * vz - rest * (x + mu) / near - mu * (x - rest) / far,
        z - 2 * vx - rest * z / near - mu * z / far,
    )


def _e5(_: Any, y: Sequence[Any]) -> Sequence[Any]:
    y1, y2, y3, y4 = y
    a, b, c, m = 7.89e-10, 1.1e7, 1.13e3, 1e6
    return (
        -a * y1 - b * y1 * y3,
        a * y1 - m * c * y2 * y3,
        a * y1 - b * y1 * y3 - m * c * y2 * y3 + c * y4,
        b * y1 * y3 - c * y4,
    )


def _magnitudes(end: Iterable[float]) -> tuple[float, ...]:
    return tuple(abs(value) for value in end)


_HIRES_END = (
    0.7371312573325668e-3,
    0.1442485726316185e-3,
    0.5888729740967575e-4,
    0.1175651343283149e-2,
    0.2386356198831331e-2,
    0.6238968252742796e-2,
    0.2849998395185769e-2,
    0.2850001604814231e-2,
)
HIRES = InitialValueProblem("HIRES", _hires, (1.0, 0, 0, 0, 0, 0, 0, 0.0057), 321.8122, _HIRES_END, _magnitudes(_HIRES_END), 13.6)

_ROBER_END = (0.7158270687193941, 0.9185534764557338e-5, 0.2841637457458413)
ROBER = InitialValueProblem("ROBER", _rober, (1.0, 0, 0), 40.0, _ROBER_END, _magnitudes(_ROBER_END), 13)

_ROBER_LONG_END = (0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050)
ROBER_LONG = InitialValueProblem("ROBER to 1e11", _rober, (1.0, 0, 0), 1e11, _ROBER_LONG_END, _magnitudes(_ROBER_LONG_END), 12)

_OREGO_END = (1.000814870318523, 1228.178521549917, 132.0554942846706)
OREGO = InitialValueProblem("OREGO", _orego, (1.0, 2.0, 3.0), 360.0, _OREGO_END, _magnitudes(_OREGO_END), 13)

_ARENSTORF_START = (0.994, 0.0, 0.0, -2.00158510637908252240537862224)
ARENSTORF = InitialValueProblem(
    "ARENSTORF", _arenstorf, _ARENSTORF_START, 17.0652165601579625588917206249, _ARENSTORF_START, (1.0, 1.0, 1.0, 1.0), 10
)

E5 = InitialValueProblem("E5", _e5, (1.76e-3, 0, 0, 0), 1e13, (), (1e-3, 1e-15, 1e-15, 1e-15), 0)


def build_model(problem: InitialValueProblem) -> ConcreteModel:
    """Return the problem as a Pyomo model: time ``t``, states ``y1``, ``y2`` ... with nominal values, equations ``eq1`` ..."""
    model = ConcreteModel(name=problem.name)
    model.t = ContinuousSet(bounds=(0, problem.end_time))
    for name, start, scale in zip(problem.names, problem.start, problem.scale, strict=True):
        state = Var(model.t, initialize=start)
        model.add_component(name, state)
        model.add_component(f"d{name}", DerivativeVar(state, wrt=model.t))
        state[0].fix(start)
        nominal(state, scale)
    for k in range(len(problem.names)):
        model.add_component(f"eq{k + 1}", Constraint(model.t, rule=partial(_equation, problem, k)))
    return model


def _equation(problem: InitialValueProblem, k: int, model: ConcreteModel, t: Any) -> Any:
    states = [model.component(name)[t] for name in problem.names]
    return model.component(f"d{problem.names[k]}")[t] == problem.rhs(t, states)[k]


def casadi_equations(problem: InitialValueProblem) -> dict[str, ca.SX]:
    """Return the equations as CasADi symbols ``t``, ``x`` and expression ``ode``, as one writes them by hand."""
    t = ca.SX.sym("t")
    x = ca.SX.sym("x", len(problem.start))
    return {"t": t, "x": x, "ode": ca.vertcat(*problem.rhs(t, ca.vertsplit(x)))}


def digits(problem: InitialValueProblem, values: Sequence[float]) -> float:
    """Return the significant correct digits of the worst component (scd) at the end; zeros are judged by their scale."""
    worst = max(
        abs(value - reference) / (abs(reference) if reference else scale)
        for value, reference, scale in zip(values, problem.end, problem.scale, strict=True)
    )
    return math.inf if worst == 0 else -math.log10(worst)
