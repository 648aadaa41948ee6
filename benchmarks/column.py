"""A transport-dispersive chromatography column with steric mass action: salt and three proteins, seven states per cell.

Finite volumes of equal width dz = L/N, first-order upwind convection, central dispersion, Danckwerts ends::

    c_k' = -u (c_k - c_(k-1)) / dz + D (c_(k+1) - 2 c_k + c_(k-1)) / dz^2 - F q_k'        proteins
    q_i' = k_f (c_i - c*_i),   c*_i = (kd_i / ka_i) q_i (c_0 / qbar)^nu_i                 film-limited binding
    qbar = Lambda - sum_j (nu_j + sigma_j) q_j
    salt: the same transport, + F sum_j nu_j q_j'                                         electroneutrality

Numbers: the load, wash, elute case ("lwe") of Puttmann et al. 2013 (doi 10.1016/j.compchemeng.2013.04.021) lumped to one
liquid phase: total porosity 0.8425, interstitial velocity u epsilon_c / epsilon_t, the film coefficient
3 k_film / r_p (1 - epsilon_c) / epsilon_t over the phase ratio F.  Steric mass action: Brooks and Cramer 1992 (doi
10.1002/aic.690381212).  The lumping makes it a benchmark of time integration, not a prediction of that column.

Inlet: 0-10 s salt 50 and 1 mol/m3 of each protein; to 90 s salt 50; then salt 100 + 0.2 (t - 90).  The rise is a state of
its own (``rise' = slope``), so that all inputs are piecewise constant: the only kind that every peer takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import casadi as ca
import numpy as np
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, RangeSet, Suffix, Var

from solvers.declare import Profile, nominal

END_TIME = 1500.0
OUTPUTS = 301
PROTEINS = (1, 2, 3)
LENGTH = 0.014
BED_POROSITY, BEAD_POROSITY = 0.37, 0.75
POROSITY = BED_POROSITY + (1 - BED_POROSITY) * BEAD_POROSITY
PHASE_RATIO = (1 - POROSITY) / POROSITY
VELOCITY = 5.75e-4 * BED_POROSITY / POROSITY
DISPERSION = 5.75e-8
FILM = 3 * 6.9e-6 / 4.5e-5 * (1 - BED_POROSITY) / POROSITY / PHASE_RATIO
CAPACITY = 1200.0
EQUILIBRIUM = (0.0, 1000 / 35.5, 1000 / 1.59, 1000 / 7.7)
CHARGE = (0.0, 4.7, 5.29, 3.7)
SHIELD = (0.0, 11.83, 10.6, 10.0)
SALT_START = 50.0

PROFILES = {
    "salt_feed": {0.0: 50.0, 90.0: 100.0},
    "slope": {0.0: 0.0, 90.0: 0.2},
    "protein_feed": {0.0: 1.0, 10.0: 0.0},
}
"""Piecewise constant inputs: value from each time on."""

NOMINAL_SALT, NOMINAL_PROTEIN, NOMINAL_BOUND = 100.0, 0.05, 1.0


def output_times() -> np.ndarray:
    """Return the 301 output times in s; every change of an input is among them."""
    return np.linspace(0.0, END_TIME, OUTPUTS)


def binding_rates(c: Sequence[Any], q: Sequence[Any]) -> list[Any]:
    """Return q' of the proteins (mol/m3/s) from ``c`` (salt first) and ``q`` (entry 0 unused)."""
    free = CAPACITY - sum((CHARGE[i] + SHIELD[i]) * q[i] for i in PROTEINS)
    ratio = c[0] / free
    return [0.0, *(FILM * (c[i] - EQUILIBRIUM[i] * q[i] * ratio ** CHARGE[i]) for i in PROTEINS)]


def transport(cell: int, cells: int, before: Any, here: Any, after: Any) -> Any:
    """Return the convective and dispersive change of one concentration; ``before`` of cell 1 is the feed."""
    width = LENGTH / cells
    change = -VELOCITY * (here - before) / width
    if cell > 1:
        change += DISPERSION * (before - here) / width**2
    if cell < cells:
        change += DISPERSION * (after - here) / width**2
    return change


def build_model(cells: int, *, inline: bool = False) -> ConcreteModel:
    """Return the column as a Pyomo model; ``inline`` writes the rates out where ``pyomo.dae.Simulator`` takes no Expression."""
    model = ConcreteModel(name=f"column of {cells} cells")
    model.t = ContinuousSet(bounds=(0.0, END_TIME))
    model.cells, model.components, model.proteins = RangeSet(cells), RangeSet(0, 3), RangeSet(3)
    model.c = Var(model.t, model.cells, model.components, initialize=_start)
    model.q = Var(model.t, model.cells, model.proteins, initialize=0.0)
    model.rise = Var(model.t, initialize=0.0)
    for state in (model.c, model.q, model.rise):
        model.add_component(f"{state.local_name}_t", DerivativeVar(state, wrt=model.t))
        for index in state.index_set():
            time, *_ = index if isinstance(index, tuple) else (index,)
            if time == 0:
                state[index].fix()
    for name, steps in PROFILES.items():
        model.add_component(name, Var(model.t, initialize=steps[0.0]))
        if not inline:
            model.component(name).fix(steps[0.0])
    if inline:
        model.var_input = Suffix(direction=Suffix.LOCAL)
        for name, steps in PROFILES.items():
            model.var_input[model.component(name)] = steps
        rate = _rate
    else:
        model.rate = Expression(model.t, model.cells, model.proteins, rule=_rate)
        rate = _named_rate
    model.mass = Constraint(model.t, model.cells, model.components, rule=partial(_mass, rate, cells))
    model.binding = Constraint(model.t, model.cells, model.proteins, rule=partial(_binding, rate))
    model.gradient = Constraint(model.t, rule=_gradient)
    nominal(model.c, NOMINAL_PROTEIN)
    nominal(model.q, NOMINAL_BOUND)
    nominal(model.rise, NOMINAL_SALT)
    return model


def _start(_: ConcreteModel, t: float, cell: int, component: int) -> float:
    return SALT_START if component == 0 else 0.0


def _rate(model: ConcreteModel, t: Any, cell: int, protein: int) -> Any:
    c = [model.c[t, cell, i] for i in range(4)]
    q = [0.0, *(model.q[t, cell, i] for i in PROTEINS)]
    return binding_rates(c, q)[protein]


def _named_rate(model: ConcreteModel, t: Any, cell: int, protein: int) -> Any:
    return model.rate[t, cell, protein]


def _mass(rate: Any, cells: int, model: ConcreteModel, t: Any, cell: int, i: int) -> Any:
    feed = model.protein_feed[t] if i else model.salt_feed[t] + model.rise[t]
    before = model.c[t, cell - 1, i] if cell > 1 else feed
    after = model.c[t, cell + 1, i] if cell < cells else None
    moved = transport(cell, cells, before, model.c[t, cell, i], after)
    taken = rate(model, t, cell, i) if i else -sum(CHARGE[j] * rate(model, t, cell, j) for j in PROTEINS)
    return model.c_t[t, cell, i] == moved - PHASE_RATIO * taken


def _binding(rate: Any, model: ConcreteModel, t: Any, cell: int, i: int) -> Any:
    return model.q_t[t, cell, i] == rate(model, t, cell, i)


def _gradient(model: ConcreteModel, t: Any) -> Any:
    return model.rise_t[t] == model.slope[t]


def profiles() -> dict[str, Profile]:
    """Return the inputs as profiles that hold."""
    return {name: Profile(tuple(steps), tuple(steps.values())) for name, steps in PROFILES.items()}


def outlet_names(cells: int) -> list[str]:
    """Return the Pyomo names of the four outlet concentrations."""
    return [f"c[{cells},{i}]" for i in range(4)]


def casadi_equations(cells: int) -> dict[str, ca.SX]:
    """Return the same equations as one writes them by hand: ``x`` (7 per cell, then rise), ``u`` (order of PROFILES), ``ode``."""
    x, u = ca.SX.sym("x", 7 * cells + 1), ca.SX.sym("u", 3)
    salt_feed, slope, protein_feed = ca.vertsplit(u)
    states = ca.vertsplit(x)
    liquid = [states[7 * k : 7 * k + 4] for k in range(cells)]
    bound = [[0.0, *states[7 * k + 4 : 7 * k + 7]] for k in range(cells)]
    feed = [salt_feed + states[-1], protein_feed, protein_feed, protein_feed]
    ode: list[Any] = []
    for k in range(cells):
        rates = binding_rates(liquid[k], bound[k])
        taken = [-sum(CHARGE[j] * rates[j] for j in PROTEINS), *rates[1:]]
        before = liquid[k - 1] if k else feed
        after = liquid[k + 1] if k + 1 < cells else [None] * 4
        ode += [transport(k + 1, cells, before[i], liquid[k][i], after[i]) - PHASE_RATIO * taken[i] for i in range(4)]
        ode += rates[1:]
    return {"x": x, "u": u, "ode": ca.vertcat(*ode, slope)}


def start_values(cells: int) -> np.ndarray:
    """Return the start in the order of :func:`casadi_equations`, shape (7 cells + 1,)."""
    return np.append(np.tile([SALT_START, 0, 0, 0, 0, 0, 0], cells), 0.0)


def nominal_values(cells: int) -> np.ndarray:
    """Return magnitudes of the states in the same order."""
    return np.append(np.tile([NOMINAL_PROTEIN] * 4 + [NOMINAL_BOUND] * 3, cells), NOMINAL_SALT)


def outlet_rows(cells: int) -> list[int]:
    """Return the positions of the four outlet concentrations in the state vector."""
    return [7 * (cells - 1) + i for i in range(4)]
