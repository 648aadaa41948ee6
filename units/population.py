"""Particles of many sizes within a unit: numbers in the cells of a grid, and their rates by a compiled population balance.

A unit that grinds, granulates or crystallizes embeds a :class:`csrc.population_balance.PopulationBalance` by :func:`add_population`, and
writes how particles come, go and share volume with other phases as Constraints of its own.

| symbol | name | meaning | unit |
|---|---|---|---|
| N_i | `number` | particles in cell i per volume of the vessel or suspension | 1/m3 |
| dN_i/dt | `number_rate` | its derivative, as the unit's own balance determines it | 1/(m3 s) |
| R_i | `conversion` | rate of change by aggregation, breakage, growth and nucleation | 1/(m3 s) |
| a, b, g | `intensity` | coefficients of aggregation, breakage, growth | - |
| B | `intensity["nucleation"]` | nucleation rate | 1/(m3 s) |
| phi | `particle_volume` | volume of particles per volume, sum of x_i N_i | - |
| T_ik | `tracer` | what the particles of cell i hold of k: liquid, a drug; per volume of the vessel or suspension | kg/m3 |
| dT_ik/dt | `tracer_rate` | its derivative, as the unit's own balance determines it | kg/(m3 s) |
| Q_ik | `tracer_conversion` | rate of change as particles aggregate, break and grow: see :mod:`csrc.tracers` | kg/(m3 s) |

Volumes are in m3 and numbers in 1/m3, whatever the balance means by them. All Vars have the unit that stands here but `intensity`, which
is a number: nucleation multiplies the shares of nuclei in 1/(m3 s).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import ArrayLike
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from csrc import moments, population_balance, two_components
from csrc.checks import frozen, refuse
from csrc.tracers import Tracers, checked_content, tracer_function
from solvers.declare import VectorFunction, nominal
from solvers.errors import UsageError

__all__ = ["add_moments", "add_plane", "add_population", "moments", "population_balance", "two_components"]


def add_population(
    block: Any,
    time: Any,
    balance: population_balance.PopulationBalance,
    start: ArrayLike,
    name: str = "population",
    tracers: Sequence[str] = (),
    contents: ArrayLike | None = None,
) -> Any:
    """Add a block with the numbers of particles in cells and the rates of a population balance; return it.

    The block has no equation for `number_rate`: the unit writes it, in a closed vessel as `number_rate == conversion`, and with tracers
    `tracer_rate == tracer_conversion`. `intensity` is fixed to 1 (nucleation to 0); free or profile it to control a process.

    Parameters
    ----------
    block : a Pyomo block; its ``name`` becomes the new block.
    time : the ContinuousSet.
    balance : what happens to the particles.
    start : (n,) numbers at the first time in 1/m3, not negative.
    name : of the block.
    tracers : names of what particles hold, e.g. ``("liquid", "api")``; `tracer[t, i, name]`.
    contents : (n, tracers) what they hold at the first time in kg/m3, nothing if not given.

    Raises
    ------
    UsageError : numbers or contents of another shape, negative or not finite; a name given twice.
    """
    try:
        first = population_balance.checked_number(balance.grid, start)
    except ValueError as error:
        raise UsageError(f"start of {name}: {error}", hint="one number for each cell of the grid, in 1/m3") from None
    own = pyo.Block()
    block.add_component(name, own)
    pivots = balance.grid.pivots
    own.cell = pyo.RangeSet(0, balance.grid.cells - 1)
    own.process = pyo.Set(initialize=list(balance.processes))
    own.number = pyo.Var(time, own.cell, initialize=lambda b, t, i: first[i], units=u.m**-3, doc="particles in a cell")
    own.number_rate = DerivativeVar(own.number, wrt=time, units=u.m**-3 / u.s, doc="rate of change of particles in a cell")
    own.conversion = pyo.Var(time, own.cell, initialize=0.0, units=u.m**-3 / u.s, doc="particles made in a cell by the population balance")
    own.intensity = pyo.Var(time, own.process, initialize=lambda b, t, p: float(p != "nucleation"), doc="coefficient of a process")
    own.intensity.fix()
    nominal(own.number, max(float(first.max()), 1e-30))
    own.law = VectorFunction(
        population_balance.vector_function(balance), inputs=[own.number, own.intensity], outputs=[own.conversion], doc="population balance"
    )
    own.particle_volume = pyo.Expression(time, rule=lambda b, t: sum(pivots[i] * u.m**3 * own.number[t, i] for i in own.cell))
    own.particle_number = pyo.Expression(time, rule=lambda b, t: sum(own.number[t, i] for i in own.cell))
    for i in own.cell:
        own.number[time.first(), i].fix(float(first[i]))
    if tracers:
        _add_tracers(own, time, balance, first, tuple(tracers), contents)
    return own


def _add_tracers(
    own: Any, time: Any, balance: population_balance.PopulationBalance, number: Any, names: tuple[str, ...], contents: Any
) -> None:
    """Add what particles hold, its rates, and its sum over the cells, `tracer_total`."""
    if len(set(names)) < len(names):
        raise UsageError(f"a tracer of {own.local_name} is named twice", names=list(names), hint="give each tracer a name of its own")
    carried = Tracers(balance, len(names))
    try:
        first = checked_content(carried, number, np.zeros((balance.grid.cells, len(names))) if contents is None else contents)
    except ValueError as error:
        raise UsageError(f"contents of {own.local_name}: {error}", hint="a row for each cell, a column for each tracer, in kg/m3") from None
    start = {(i, name): float(first[i, k]) for i in own.cell for k, name in enumerate(names)}
    own.tracer_name = pyo.Set(initialize=list(names), ordered=True)
    at, rate = (time, own.cell, own.tracer_name), u.kg / u.m**3 / u.s
    own.tracer = pyo.Var(*at, initialize=lambda b, t, i, k: start[i, k], units=u.kg / u.m**3, doc="what the particles of a cell hold")
    own.tracer_rate = DerivativeVar(own.tracer, wrt=time, units=rate, doc="rate of change of what the particles of a cell hold")
    own.tracer_conversion = pyo.Var(*at, initialize=0.0, units=rate, doc="what particles bring into a cell by the population balance")
    nominal(own.tracer, float(first.max()) or 1.0)
    own.tracer_law = VectorFunction(
        tracer_function(carried),
        inputs=[own.number, own.tracer, own.intensity],
        outputs=[own.tracer_conversion],
        doc="tracers of particles",
    )
    own.tracer_total = pyo.Expression(time, own.tracer_name, rule=lambda b, t, k: sum(own.tracer[t, i, k] for i in own.cell))
    for (i, name), value in start.items():
        own.tracer[time.first(), i, name].fix(value)


def add_plane(block: Any, time: Any, balance: two_components.PlaneBalance, start: ArrayLike, name: str = "population") -> Any:
    """Add a block with the numbers of particles of two components; return it.

    `number[t, p, q]` in 1/m3 stands at the pivots x_p and y_q. As with :func:`add_population` the unit writes `number_rate`, in a closed
    vessel `number_rate == conversion`; `intensity` holds the coefficients, fixed to 1.

    Parameters
    ----------
    block : a Pyomo block; its ``name`` becomes the new block.
    time : the ContinuousSet.
    balance : what happens to the particles.
    start : (nx, ny) numbers at the first time in 1/m3, not negative.
    name : of the block.

    Raises
    ------
    UsageError : numbers of another shape, negative or not finite.
    """
    shape = balance.plane.shape
    try:
        first = frozen("number", start, shape)
        refuse("number", first < 0, first, "is negative")
    except ValueError as error:
        raise UsageError(f"start of {name}: {error}", hint="a row for each pivot along x, a column for each along y, in 1/m3") from None
    own = pyo.Block()
    block.add_component(name, own)
    own.cell = pyo.Set(initialize=list(np.ndindex(shape)), dimen=2)
    own.number = pyo.Var(time, own.cell, initialize=lambda b, t, p, q: first[p, q], units=u.m**-3, doc="particles at a pivot")
    own.number_rate = DerivativeVar(own.number, wrt=time, units=u.m**-3 / u.s, doc="rate of change of particles at a pivot")
    own.conversion = pyo.Var(time, own.cell, initialize=0.0, units=u.m**-3 / u.s, doc="particles made at a pivot by the population balance")
    own.process = pyo.Set(initialize=list(balance.processes))
    own.intensity = pyo.Var(time, own.process, initialize=1.0, doc="coefficient of a process")
    own.intensity.fix()
    nominal(own.number, max(float(first.max()), 1e-30))
    own.law = VectorFunction(
        two_components.plane_function(balance), inputs=[own.number, own.intensity], outputs=[own.conversion], doc="two components"
    )
    for place in own.cell:
        own.number[(time.first(), *place)].fix(float(first[place]))
    return own


def add_moments(block: Any, time: Any, balance: moments.MomentBalance, start: ArrayLike, name: str = "population") -> Any:
    """Add a block with the moments of particle volume and their rates by quadrature, a few states for control; return it.

    `moment[t, k]` is scaled, M_k / (number volume^k) with the scales of the balance. As with :func:`add_population` the unit writes
    `moment_rate`, in a closed vessel `moment_rate == moment_conversion`; `intensity` holds the coefficients.

    Parameters
    ----------
    block : a Pyomo block; its ``name`` becomes the new block.
    time : the ContinuousSet.
    balance : what happens to the moments.
    start : (2 q,) scaled moments at the first time.
    name : of the block.

    Raises
    ------
    UsageError : another length, or moments that no distribution over positive volumes with q sizes has.
    """
    try:
        first = moments.checked_moments(balance.nodes, start)
    except ValueError as error:
        raise UsageError(f"start of {name}: {error}", hint="2 q scaled moments, such as of gamma_moments or lognormal_moments") from None
    own = pyo.Block()
    block.add_component(name, own)
    own.order = pyo.RangeSet(0, first.size - 1)
    own.process = pyo.Set(initialize=list(balance.processes))
    own.moment = pyo.Var(time, own.order, initialize=lambda b, t, k: first[k], doc="scaled moment of particle volume")
    own.moment_rate = DerivativeVar(own.moment, wrt=time, units=1 / u.s, doc="rate of change of a scaled moment")
    own.moment_conversion = pyo.Var(time, own.order, initialize=0.0, units=1 / u.s, doc="rate of a scaled moment by the population balance")
    own.intensity = pyo.Var(time, own.process, initialize=lambda b, t, p: float(p != "nucleation"), doc="coefficient of a process")
    own.intensity.fix()
    own.law = VectorFunction(
        moments.moment_function(balance), inputs=[own.moment, own.intensity], outputs=[own.moment_conversion], doc="moments of particles"
    )
    own.particle_number = pyo.Expression(time, rule=lambda b, t: balance.number / u.m**3 * own.moment[t, 0])
    own.particle_volume = pyo.Expression(time, rule=lambda b, t: balance.number * balance.volume * own.moment[t, 1])
    for k in own.order:
        own.moment[time.first(), k].fix(float(first[k]))
    return own
