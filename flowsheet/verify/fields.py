"""Discretized fields of the test set: a bending beam and a front of two reacting substances.

Source: test set for IVP solvers (Bari/CWI), release 2.4: BEAM (Hairer, Wanner 1996, section IV.10) and MEDAKZO.
"""

from __future__ import annotations

import math
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from flowsheet.verify.dae import timed_model
from solvers.declare import Event, Profile, nominal

BEAM_END = 5.0
LINKS = 40


def beam(*, solved: bool) -> pyo.ConcreteModel:
    """Return BEAM: the angles of 40 links under a force at the end that lasts until t = pi.

    Parameters
    ----------
    solved : whether the tridiagonal system for the tensions ``w`` is eliminated by hand (80 states) or stands as 40
        algebraic equations.
    """
    n = LINKS
    model = timed_model(BEAM_END)
    model.i = pyo.RangeSet(n)
    for name, derivative, scale in (("angle", "angle_dot", 0.2), ("speed", "speed_dot", 1.3)):
        state = pyo.Var(model.t, model.i, initialize=0.0)
        model.add_component(name, state)
        model.add_component(derivative, DerivativeVar(state, wrt=model.t))
        state[0, :].fix(0.0)
        nominal(state, scale / n)
    model.pushed = pyo.Var(model.t, initialize=1.0)
    model.pushed.fix()
    model.release = Event(at=(math.pi,), transition=lambda m, t: [(m.pushed[t], 0.0)])

    def bend(m: Any, t: Any, i: int) -> Any:
        before = m.angle[t, i - 1] if i > 1 else -m.angle[t, 1]
        after = m.angle[t, i + 1] if i < n else m.angle[t, n]
        push = 1.5 * m.pushed[t] * pyo.sin(t) ** 2
        return n**4 * (before - 2 * m.angle[t, i] + after) + n**2 * push * (pyo.cos(m.angle[t, i]) + pyo.sin(m.angle[t, i]))

    model.v = pyo.Var(model.t, model.i, initialize=0.0)
    model.w = pyo.Var(model.t, model.i, initialize=0.0)
    nominal(model.w, 1e3)
    model.bending = pyo.Constraint(model.t, model.i, rule=lambda m, t, i: m.v[t, i] == bend(m, t, i))
    model.c = pyo.Expression(model.t, model.i, rule=lambda m, t, i: pyo.cos(m.angle[t, i] - m.angle[t, i - 1]) if i > 1 else 0.0)
    model.s = pyo.Expression(model.t, model.i, rule=lambda m, t, i: pyo.sin(m.angle[t, i] - m.angle[t, i - 1]) if i > 1 else 0.0)

    def neighbors(values: Any, weights: Any, t: Any, i: int, sign: float) -> Any:
        """Return ``weights_(i+1) values_(i+1) + sign * weights_i values_(i-1)``, without what lies beyond the ends."""
        after = weights[t, i + 1] * values[t, i + 1] if i < n else 0.0
        return after + (sign * weights[t, i] * values[t, i - 1] if i > 1 else 0.0)

    def diagonal(i: int) -> float:
        return 1.0 if i == 1 else 3.0 if i == n else 2.0

    def load(m: Any, t: Any, i: int) -> Any:
        return neighbors(m.v, m.s, t, i, -1.0) + m.speed[t, i] ** 2

    if solved:
        _add_elimination(model, load, diagonal)
    else:
        model.tension = pyo.Constraint(
            model.t, model.i, rule=lambda m, t, i: diagonal(i) * m.w[t, i] - neighbors(m.w, m.c, t, i, 1.0) == load(m, t, i)
        )
    model.turn = pyo.Constraint(model.t, model.i, rule=lambda m, t, i: m.angle_dot[t, i] == m.speed[t, i])
    model.swing = pyo.Constraint(
        model.t,
        model.i,
        rule=lambda m, t, i: (
            m.speed_dot[t, i] == diagonal(i) * m.v[t, i] - neighbors(m.v, m.c, t, i, 1.0) + neighbors(m.w, m.s, t, i, -1.0)
        ),
    )
    return model


def _add_elimination(model: pyo.ConcreteModel, load: Any, diagonal: Any) -> None:
    """Add the tridiagonal system's solution: elimination from the free end, then substitution from the clamped one."""
    n = LINKS
    model.pivot = pyo.Var(model.t, model.i, initialize=1.0)
    model.right = pyo.Var(model.t, model.i, initialize=0.0)

    def ratio(m: Any, t: Any, i: int) -> Any:
        return m.c[t, i + 1] / m.pivot[t, i + 1]

    model.pivots = pyo.Constraint(
        model.t,
        model.i,
        rule=lambda m, t, i: m.pivot[t, i] == diagonal(i) - (ratio(m, t, i) * m.c[t, i + 1] if i < n else 0.0),
    )
    model.rights = pyo.Constraint(
        model.t,
        model.i,
        rule=lambda m, t, i: m.right[t, i] == load(m, t, i) + (ratio(m, t, i) * m.right[t, i + 1] if i < n else 0.0),
    )
    model.tension = pyo.Constraint(
        model.t,
        model.i,
        rule=lambda m, t, i: m.w[t, i] == (m.right[t, i] + (m.c[t, i] * m.w[t, i - 1] if i > 1 else 0.0)) / m.pivot[t, i],
    )


def beam_name(k: int) -> str:
    """Return the name of component k (from 1): 40 angles, then 40 speeds."""
    return f"angle[{k}]" if k <= LINKS else f"speed[{k - LINKS}]"


CELLS = 200
MEDAKZO_END = 20.0
MEDAKZO_INPUTS = {"phi": Profile((0.0, 5.0), (2.0, 0.0))}
"""The concentration outside: 2 until t = 5, then 0."""


def medical_akzo() -> pyo.ConcreteModel:
    """Return MEDAKZO: an antibody ``u`` diffuses into tissue and binds to ``v``, in 200 cells of a transformed coordinate."""
    model = timed_model(MEDAKZO_END)
    model.j = pyo.RangeSet(CELLS)
    model.u = pyo.Var(model.t, model.j, initialize=0.0)
    model.v = pyo.Var(model.t, model.j, initialize=1.0)
    model.du, model.dv = DerivativeVar(model.u, wrt=model.t), DerivativeVar(model.v, wrt=model.t)
    model.phi = pyo.Var(model.t, initialize=2.0)
    model.phi.fix()
    model.u[0, :].fix(0.0)
    model.v[0, :].fix(1.0)
    nominal(model.u, 1e-5)
    nominal(model.v, 1e-5)
    width = 1.0 / CELLS

    def transport(m: Any, t: Any, j: int) -> Any:
        place = j * width - 1.0
        before = m.u[t, j - 1] if j > 1 else m.phi[t]
        after = m.u[t, j + 1] if j < CELLS else m.u[t, j]
        drift, spread = 2 * place**3 / 16.0, place**4 / 16.0
        return drift * (after - before) / (2 * width) + spread * (before - 2 * m.u[t, j] + after) / width**2

    model.antibody = pyo.Constraint(model.t, model.j, rule=lambda m, t, j: m.du[t, j] == transport(m, t, j) - 100 * m.u[t, j] * m.v[t, j])
    model.tissue = pyo.Constraint(model.t, model.j, rule=lambda m, t, j: m.dv[t, j] == -100 * m.u[t, j] * m.v[t, j])
    return model


def medakzo_name(k: int) -> str:
    """Return the name of component k (from 1): u and v of the cells in turn."""
    return f"{'u' if k % 2 else 'v'}[{(k + 1) // 2}]"
