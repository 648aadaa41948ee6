"""Initial value problems with published end values, as Pyomo models and as the same equations in CasADi.

Every right-hand side is written once, in arithmetic that Pyomo expressions, CasADi symbols and plain numbers share, so
that all codes integrate the same equations.  Ends and sources: ``published.toml`` beside this file.

Sources of the equations: the test set for initial value problem solvers of the universities of Bari and Amsterdam (CWI),
release 2.4, problem by problem; Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, section II.0, for the
Arenstorf orbit.

>>> HIRES.end_time
321.8122
>>> round(digits(HIRES, [1.001 * value for value in HIRES.end]), 6)
3.0
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import casadi as ca
import pyomo.environ as pyo
from pyomo.dae import ContinuousSet, DerivativeVar

from flowsheet.verify.scoring import Standing, correct_digits
from solvers.declare import nominal

RightHandSide = Callable[[Any, Sequence[Any], Any], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class End:
    """Values published for the end of a problem.

    Parameters
    ----------
    values : one per component compared.
    source : where they stand.
    agreed : significant digits to which another code gives the same.
    components : which components they are, counted from 1; empty for all in order.
    standing : what kind of reference they are.
    """

    values: tuple[float, ...]
    source: str
    agreed: float
    components: tuple[int, ...] = ()
    standing: Standing = Standing.SOURCE


@cache
def published(name: str) -> End:
    """Return the published end of a problem."""
    with (Path(__file__).parent / "published.toml").open("rb") as file:
        entry = tomllib.load(file)[name]
    return End(
        tuple(entry["end"]), entry["source"], entry["agreed"], tuple(entry.get("components", ())), Standing(entry.get("standing", "source"))
    )


@dataclass(frozen=True, slots=True)
class InitialValueProblem:
    """An explicit system ``y' = rhs(t, y, f)`` from time 0 with a published end.

    Parameters
    ----------
    name : the name the test sets use.
    rhs : ``rhs(t, y, f)`` with ``y`` a sequence of n scalars and ``f`` the module whose ``exp``, ``sin`` and so on fit
        them, giving n scalars.
    start : (n,) values at time 0.
    end_time : where ``end`` holds.
    end : (n,) published values; empty where none could be confirmed.
    scale : (n,) magnitude to which absolute tolerances relate.
    agreed : significant digits to which ``end`` was confirmed.
    source : where ``end`` stands.
    """

    name: str
    rhs: RightHandSide
    start: tuple[float, ...]
    end_time: float
    end: tuple[float, ...]
    scale: tuple[float, ...]
    agreed: float
    source: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the states in the Pyomo model."""
        return tuple(f"y{k + 1}" for k in range(len(self.start)))


def _problem(name: str, key: str, rhs: RightHandSide, start: Sequence[float], end_time: float) -> InitialValueProblem:
    """Return a problem whose absolute tolerances relate to its end."""
    end = published(key)
    scale = tuple(abs(value) for value in end.values)
    return InitialValueProblem(name, rhs, tuple(map(float, start)), end_time, end.values, scale, end.agreed, end.source)


def _hires(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
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


def _rober(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    y1, y2, y3 = y
    return (
        -0.04 * y1 + 1e4 * y2 * y3,
        0.04 * y1 - 1e4 * y2 * y3 - 3e7 * y2**2,
        3e7 * y2**2,
    )


def _orego(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    y1, y2, y3 = y
    return (
        77.27 * (y2 + y1 * (1 - 8.375e-6 * y1 - y2)),
        (y3 - (1 + y1) * y2) / 77.27,
        0.161 * (y1 - y3),
    )


def _vdpol(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    y1, y2 = y
    return y2, ((1 - y1**2) * y2 - y1) / 1e-6


def _arenstorf(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
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


def _pleiades(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    """Seven stars in a plane; star k has mass k."""
    x, z = y[:7], y[7:14]
    pulls_x, pulls_z = [], []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        cubes = {j: ((x[i] - x[j]) ** 2 + (z[i] - z[j]) ** 2) ** 1.5 for j in others}
        pulls_x.append(sum((j + 1) * (x[j] - x[i]) / cubes[j] for j in others))
        pulls_z.append(sum((j + 1) * (z[j] - z[i]) / cubes[j] for j in others))
    return (*y[14:], *pulls_x, *pulls_z)


def _pollu(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    """Air pollution by 25 reactions of 20 species (Verwer 1994)."""
    y1, y2, y3, y4, y5, y6, y7, _8, y9, y10, y11, _12, y13, y14, _15, y16, y17, _18, y19, y20 = y
    r1, r2, r3, r4, r5 = 0.35 * y1, 26.6 * y2 * y4, 1.23e4 * y5 * y2, 8.6e-4 * y7, 8.2e-4 * y7
    r6, r7, r8, r9, r10 = 1.5e4 * y7 * y6, 1.3e-4 * y9, 2.4e4 * y9 * y6, 1.65e4 * y11 * y2, 9e3 * y11 * y1
    r11, r12, r13, r14, r15 = 0.022 * y13, 1.2e4 * y10 * y2, 1.88 * y14, 1.63e4 * y1 * y6, 4.8e6 * y3
    r16, r17, r18, r19, r20 = 3.5e-4 * y4, 0.0175 * y4, 1e8 * y16, 4.44e11 * y16, 1.24e3 * y17 * y6
    r21, r22, r23, r24, r25 = 2.1 * y19, 5.78 * y19, 0.0474 * y1 * y4, 1.78e3 * y19 * y1, 3.12 * y20
    return (
        r2 + r3 + r9 + r11 + r12 + r22 + r25 - r1 - r10 - r14 - r23 - r24,
        r1 + r21 - r2 - r3 - r9 - r12,
        r1 + r17 + r19 + r22 - r15,
        r15 - r2 - r16 - r17 - r23,
        2 * r4 + r6 + r7 + r13 + r20 - r3,
        r3 + 2 * r18 - r6 - r8 - r14 - r20,
        r13 - r4 - r5 - r6,
        r4 + r5 + r6 + r7,
        -r7 - r8,
        r7 + r9 - r12,
        r8 + r11 - r9 - r10,
        r9,
        r10 - r11,
        r12 - r13,
        r14,
        r16 - r18 - r19,
        -r20,
        r20,
        r23 + r25 - r21 - r22 - r24,
        r24 - r25,
    )


def _ring(t: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    """Ring modulator: two transformers and four diodes, a signal of 1 kHz mixed with one of 10 kHz (Horneber 1976)."""
    y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, y13, y14, y15 = y
    signal, carrier = 0.5 * f.sin(2e3 * math.pi * t), 2 * f.sin(2e4 * math.pi * t)
    drops = (y3 - y5 - y7 - carrier, y6 - y4 - y7 - carrier, y4 + y5 + y7 + carrier, y7 - y3 - y6 + carrier)
    q1, q2, q3, q4 = (40.67286402e-9 * (f.exp(17.7493332 * drop) - 1) for drop in drops)
    c, cs, cp, r, rp = 1.6e-8, 2e-12, 1e-8, 25e3, 50.0
    lh, ls1, ls2 = 4.45, 2e-3, 5e-4
    rg1, rg2, ri, rc = 36.3, 17.3, 50.0, 600.0
    return (
        (y8 - 0.5 * y10 + 0.5 * y11 + y14 - y1 / r) / c,
        (y9 - 0.5 * y12 + 0.5 * y13 + y15 - y2 / r) / c,
        (y10 - q1 + q4) / cs,
        (q2 - y11 - q3) / cs,
        (y12 + q1 - q3) / cs,
        (q4 - y13 - q2) / cs,
        (q1 + q2 - q3 - q4 - y7 / rp) / cp,
        -y1 / lh,
        -y2 / lh,
        (0.5 * y1 - y3 - rg2 * y10) / ls2,
        (y4 - 0.5 * y1 - rg2 * y11) / ls2,
        (0.5 * y2 - y5 - rg2 * y12) / ls2,
        (y6 - 0.5 * y2 - rg2 * y13) / ls2,
        (signal - y1 - (ri + rg1) * y14) / ls1,
        (-y2 - (rc + rg1) * y15) / ls1,
    )


def _e5(_: Any, y: Sequence[Any], f: Any) -> Sequence[Any]:
    y1, y2, y3, y4 = y
    a, b, c, m = 7.89e-10, 1.1e7, 1.13e3, 1e6
    return (
        -a * y1 - b * y1 * y3,
        a * y1 - m * c * y2 * y3,
        a * y1 - b * y1 * y3 - m * c * y2 * y3 + c * y4,
        b * y1 * y3 - c * y4,
    )


HIRES = _problem("HIRES", "hires", _hires, (1, 0, 0, 0, 0, 0, 0, 0.0057), 321.8122)
ROBER = _problem("ROBER", "rober", _rober, (1, 0, 0), 40.0)
ROBER_LONG = _problem("ROBER to 1e11", "rober_long", _rober, (1, 0, 0), 1e11)
OREGO = _problem("OREGO", "orego", _orego, (1, 2, 3), 360.0)
VDPOL = _problem("VDPOL", "vdpol", _vdpol, (2, 0), 2.0)
POLLU = _problem("POLLU", "pollu", _pollu, (0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01, 0, 0, 0, 0, 0, 0, 0, 0.007, 0, 0, 0), 60.0)
RING = _problem("RING MODULATOR", "ring", _ring, (0,) * 15, 1e-3)
PLEIADES = _problem(
    "PLEIADES",
    "pleiades",
    _pleiades,
    (3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0),
    3.0,
)

_ARENSTORF_START = (0.994, 0.0, 0.0, -2.00158510637908252240537862224)
ARENSTORF = InitialValueProblem(
    "ARENSTORF",
    _arenstorf,
    _ARENSTORF_START,
    17.0652165601579625588917206249,
    _ARENSTORF_START,
    (1.0, 1.0, 1.0, 1.0),
    10,
    "Hairer, Norsett, Wanner (1993), section II.0: the orbit closes",
)

E5 = InitialValueProblem("E5", _e5, (1.76e-3, 0, 0, 0), 1e13, (), (1e-3, 1e-15, 1e-15, 1e-15), 0, "")


def build_model(problem: InitialValueProblem) -> pyo.ConcreteModel:
    """Return the problem as a Pyomo model: time ``t``, states ``y1``, ``y2`` ... with nominal values, equations ``eq1`` ..."""
    model = pyo.ConcreteModel(name=problem.name)
    model.t = ContinuousSet(bounds=(0, problem.end_time))
    for name, start, scale in zip(problem.names, problem.start, problem.scale, strict=True):
        state = pyo.Var(model.t, initialize=start)
        model.add_component(name, state)
        model.add_component(f"d{name}", DerivativeVar(state, wrt=model.t))
        state[0].fix(start)
        nominal(state, scale)
    for k in range(len(problem.names)):
        model.add_component(f"eq{k + 1}", pyo.Constraint(model.t, rule=partial(_equation, problem, k)))
    return model


def _equation(problem: InitialValueProblem, k: int, model: pyo.ConcreteModel, t: Any) -> Any:
    states = [model.component(name)[t] for name in problem.names]
    return model.component(f"d{problem.names[k]}")[t] == problem.rhs(t, states, pyo)[k]


def casadi_equations(problem: InitialValueProblem) -> dict[str, ca.SX]:
    """Return the equations as CasADi symbols ``t``, ``x`` and expression ``ode``, as one writes them by hand."""
    t = ca.SX.sym("t")
    x = ca.SX.sym("x", len(problem.start))
    return {"t": t, "x": x, "ode": ca.vertcat(*problem.rhs(t, ca.vertsplit(x), ca))}


def digits(problem: InitialValueProblem, values: Sequence[float]) -> float:
    """Return the significant correct digits of the worst component (scd) at the end; zeros are judged by their scale."""
    return correct_digits(values, problem.end, problem.scale)
