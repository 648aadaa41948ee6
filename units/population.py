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

Volumes are in m3 and numbers in 1/m3, whatever the balance means by them. All Vars have the unit that stands here but `intensity`, which
is a number: nucleation multiplies the shares of nuclei in 1/(m3 s).
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from numpy.typing import ArrayLike
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from csrc import population_balance
from solvers.declare import VectorFunction, nominal
from solvers.errors import UsageError

__all__ = ["add_population", "population_balance"]


def add_population(block: Any, time: Any, balance: population_balance.PopulationBalance, start: ArrayLike, name: str = "population") -> Any:
    """Add a block with the numbers of particles in cells and the rates of a population balance; return it.

    The block has no equation for `number_rate`: the unit writes it, in a closed vessel as `number_rate == conversion`. `intensity` is fixed
    to 1 (nucleation to 0); free or profile it to control a process.

    Parameters
    ----------
    block : a Pyomo block; its ``name`` becomes the new block.
    time : the ContinuousSet.
    balance : what happens to the particles.
    start : (n,) numbers at the first time in 1/m3, not negative.
    name : of the block.

    Raises
    ------
    UsageError : numbers of another length, negative or not finite.
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
    return own
