r"""Tracers: what the particles of each size class hold, liquid, a drug or a binder, carried along by a population balance.

A cell i of a :class:`csrc.population_balance.PopulationBalance` with :math:`N_i` particles holds :math:`T_{ic}` of tracer c per volume of
vessel, in any unit (kg/m3, say), :math:`T_{ic} / N_i` in a particle on average. This is the reduction of a balance in size and
composition to its mean composition at each size (Hounslow, Pearson and Instone 2001, AIChE J 47:1984). The tracer is extensive:

=============  =========================================================================================================================
aggregation    an aggregate holds what its two particles held; what the births of a cell hold goes to the pivots that the cell average
               technique moves them to in proportion to their volume, so that T = x N stays so
breakage       fragments hold what broke in proportion to their volume
growth         particles take what they hold along, by the same limited fluxes as their number; what they grow by holds nothing
nucleation     nuclei hold nothing: add what they bring to the rates
=============  =========================================================================================================================

Rates are linear in the contents but for the limited slopes of growth. Each tracer is kept to rounding by aggregation and breakage, and
by growth inside the grid. What the kernel of aggregation itself owes to the liquid is not in here: its coefficient can be a function of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

import csrc._population_balance as compiled
from csrc.checks import Array, frozen, refuse
from csrc.grids import Grid
from csrc.population_balance import PopulationBalance
from csrc.seats import seated_function

if TYPE_CHECKING:
    import casadi as ca


@dataclass(frozen=True, eq=False)
class Tracers:
    """So many tracers of a population balance.

    Parameters
    ----------
    balance : what happens to the particles.
    count : number of tracers m, at least one.

    Raises
    ------
    ValueError : no tracer.

    Examples
    --------
    >>> from csrc.population_balance import AggregationMaps, Grid, constant_kernel, gamma_distribution
    >>> grid = Grid.geometric(1e-3, 1e3, 40)
    >>> balance = PopulationBalance(grid, aggregation=AggregationMaps(grid, constant_kernel(grid, 1.0)))
    >>> number = gamma_distribution(grid, 1.0, 1.0)
    >>> rate = tracer_rates(Tracers(balance, 1), number, number[:, None] * [0.5])
    >>> abs(round(float(rate.sum()), 12))
    0.0
    """

    balance: PopulationBalance
    count: int

    def __post_init__(self) -> None:
        """Check the count."""
        if self.count < 1:
            raise ValueError(f"at least one tracer is needed (got {self.count!r})")

    @cached_property
    def compiled(self) -> compiled.Tracers:
        """The tracers as the compiled kernel takes them."""
        return compiled.Tracers(self.count, *self.balance.tables)


def tracer_rates(tracers: Tracers, number: ArrayLike, content: ArrayLike, coefficients: ArrayLike | None = None) -> Array:
    """Return the rates of change of the contents.

    Parameters
    ----------
    tracers : the tracers.
    number : (n,) particles in the cells in 1/m3; small negative ones, as an integrator may try, are taken as they are.
    content : (n, m) what they hold, in any unit per m3.
    coefficients : one for each of ``balance.processes``, ones if not given.

    Returns
    -------
    rates : (n, m) in the unit of contents per second.

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    return tracers.compiled.rates(*_arguments(tracers, number, content, coefficients))


def tracer_jacobian(
    tracers: Tracers, number: ArrayLike, content: ArrayLike, coefficients: ArrayLike | None = None
) -> tuple[Array, Array, Array]:
    """Return the derivatives of the rates by numbers (n, m, n), contents (n, m, n, m) and coefficients (n, m, processes).

    Where a rate has a kink (the mean volume of a cell's births at its pivot, a slope at an extreme), it is the derivative of one side.

    Parameters, Raises
    ------------------
    As of :func:`tracer_rates`.
    """
    by_number, values, by_coefficients = tracers.compiled.jacobian(*_arguments(tracers, number, content, coefficients))
    cells, count = tracers.balance.grid.cells, tracers.count
    first, last = tracers.balance.rows
    by_content = np.zeros((cells, count, cells, count))
    place = 0
    for column in range(cells):
        rows = slice(int(first[column]), int(last[column]) + 1)
        for tracer in range(count):
            size = rows.stop - rows.start
            by_content[rows, tracer, column, tracer] = values[place : place + size]
            place += size
    return by_number.transpose(1, 2, 0), by_content, by_coefficients.transpose(1, 2, 0)


def checked_content(tracers: Tracers, number: ArrayLike, content: ArrayLike) -> Array:
    """Return contents as an (n, m) matrix, or refuse them.

    Raises
    ------
    ValueError : another shape, a content that is negative or not finite, or one of a cell without particles.
    """
    found = frozen("content", content, (tracers.balance.grid.cells, tracers.count))
    refuse("content", found < 0, found, "is negative")
    refuse("content", (found > 0) & (np.asarray(number)[:, None] == 0), found, "is held by no particle")
    return found


def project_content(grid: Grid, number: ArrayLike, volume: ArrayLike, content: ArrayLike) -> Array:
    """Return contents at the pivots for particles whose numbers :func:`csrc.population_balance.project` puts there.

    Contents go where the volume of their cell goes, so that content in proportion to volume stays so; volume beyond the first or last
    pivot stays in that cell.

    Parameters
    ----------
    grid : the cells.
    number, volume : (n,) of the particles in each cell, as of ``project``.
    content : (n,) what the particles of each cell hold.

    Returns
    -------
    contents : (n,) with the same sum.

    Examples
    --------
    >>> project_content(Grid([0, 1, 3]), [1.0, 1.0], [0.6, 1.5], [0.6, 1.5]).round(12).tolist()
    [0.633333333333, 1.466666666667]
    """
    number, volume, content = (
        frozen(name, of, (grid.cells,)) for name, of in (("number", number), ("volume", volume), ("content", content))
    )
    refuse("volume", volume < 0, volume, "is negative")
    excess = volume - grid.pivots * number
    excess[0], excess[-1] = max(excess[0], 0.0), min(excess[-1], 0.0)
    to = np.arange(grid.cells) + np.sign(excess).astype(int)
    gap = np.where(to == np.arange(grid.cells), 1.0, grid.pivots[to] - grid.pivots)
    amount = content * np.divide(excess / gap * grid.pivots[to], volume, out=np.zeros(grid.cells), where=volume > 0)
    found = content - amount
    np.add.at(found, to, amount)
    return found


def tracer_function(tracers: Tracers) -> ca.Function:
    """Return the rates as a CasADi function of the columns number (n), content (n m, all tracers of a cell in turn) and coefficients.

    It is CasADi's external function of the compiled kernel, with its first derivatives; as for
    :func:`csrc.population_balance.vector_function`, second ones are refused and it belongs to this process.

    Raises
    ------
    RuntimeError : 512 kernels are already in use by CasADi in this process.
    """
    return seated_function(tracers.compiled)


def _arguments(tracers: Tracers, number: ArrayLike, content: ArrayLike, coefficients: ArrayLike | None) -> tuple[Array, Array, Array]:
    cells, processes = tracers.balance.grid.cells, len(tracers.balance.processes)
    return (
        frozen("number", number, (cells,)),
        frozen("content", content, (cells, tracers.count)),
        tracers.balance.ones if coefficients is None else frozen("coefficients", coefficients, (processes,)),
    )
