r"""Population balances by particle volume: aggregation, breakage, growth and nucleation, with exact derivatives, for NumPy and CasADi.

.. math::

    \frac{\partial n}{\partial t} = a \left( \tfrac12 \int_0^v K(v-u, u)\, n(v-u)\, n(u)\, du - n \int_0^\infty K(v, u)\, n(u)\, du \right)
    + b \left( \int_v^\infty b(v, u)\, S(u)\, n(u)\, du - S n \right) - g\, \frac{\partial (G n)}{\partial v} + B\, \delta(v - v_0)

with the number density n (1/m3 per m3 of particle volume) and the particle volume v (m3). On a :class:`Grid` of n cells it becomes
rates of the numbers N_i (1/m3) of particles in the cells:

================  ============================================================================================  ========
process           scheme                                                                                        kept
================  ============================================================================================  ========
aggregation       cell average (Kumar, Peglow, Warnecke, Heinrich and Mörl 2006, Chem Eng Sci 61:3327)          volume
breakage          fixed pivot (Kumar and Ramkrishna 1996, Chem Eng Sci 51:1311)                                 volume
growth            upwind fluxes with a limited slope (van Leer 1974, J Comput Phys 14:361), on any widths       number
nucleation        nuclei shared between the pivots around their volume                                          both
================  ============================================================================================  ========

Each process that a :class:`PopulationBalance` has is multiplied by a coefficient, an argument of the rates like the numbers: a, b and g
(dimensionless) and the nucleation rate B (1/(m3 s)). The tables of a balance are made once and never change; rates depend on
their arguments alone. Nothing is called back into Python, and the interpreter lock is released.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import csrc._population_balance as compiled
from csrc.aggregation import (
    AggregationMaps,
    brownian_kernel,
    constant_kernel,
    equi_kinetic_energy_kernel,
    gravitational_kernel,
    product_kernel,
    shear_kernel,
    sum_kernel,
    tabulated_kernel,
)
from csrc.breakage import (
    BreakageMaps,
    binary_fragments,
    power_law_fragments,
    power_law_selection,
    tabulated_fragments,
    vogel_peukert_fragments,
    vogel_peukert_selection,
)
from csrc.checks import Array, frozen, refuse
from csrc.grids import Grid, gamma_distribution, lognormal_distribution, moment, project
from csrc.seats import seated_function

if TYPE_CHECKING:
    import casadi as ca

__all__ = [
    "AggregationMaps",
    "BreakageMaps",
    "Grid",
    "GrowthMaps",
    "PopulationBalance",
    "binary_fragments",
    "brownian_kernel",
    "checked_number",
    "constant_kernel",
    "diameter_growth",
    "equi_kinetic_energy_kernel",
    "gamma_distribution",
    "gravitational_kernel",
    "jacobian",
    "lognormal_distribution",
    "moment",
    "nuclei",
    "power_law_fragments",
    "power_law_selection",
    "product_kernel",
    "project",
    "rates",
    "shear_kernel",
    "sum_kernel",
    "tabulated_fragments",
    "tabulated_kernel",
    "vector_function",
    "vogel_peukert_fragments",
    "vogel_peukert_selection",
]


@dataclass(frozen=True, eq=False)
class GrowthMaps:
    """How fast particles grow: with numbers kept, except for particles that leave the grid at its ends.

    Parameters
    ----------
    grid : the cells.
    speed : (n + 1,) G = dv/dt at the edges in m3/s, e.g. ``rate * grid.edges``; negative where particles shrink.

    Raises
    ------
    ValueError : the speed is not what is said above.
    """

    grid: Grid
    speed: Array

    def __post_init__(self) -> None:
        """Check the speed."""
        object.__setattr__(self, "speed", frozen("speed", self.speed, (self.grid.cells + 1,)))


def diameter_growth(grid: Grid, rate: float) -> Array:
    """Return the speed at the edges, in m3/s, of spheres whose diameter grows by ``rate`` (m/s): pi / 2 d^2 rate."""
    return 0.5 * np.pi * np.cbrt(6 / np.pi * grid.edges) ** 2 * float(rate)


def nuclei(grid: Grid, volume: float) -> Array:
    """Return the (n,) shares of particles of one volume (m3) at the two pivots around it: one particle with that volume.

    Raises
    ------
    ValueError : the volume is not between the first and the last pivot.

    Examples
    --------
    >>> nuclei(Grid([0, 1, 3, 5]), 1.0).round(12).tolist()
    [0.666666666667, 0.333333333333, 0.0]
    """
    x = grid.pivots
    if not x[0] <= volume <= x[-1]:
        raise ValueError(f"nuclei of {volume!r} m3 are outside the pivots, {x[0]:g} to {x[-1]:g} m3: take a wider grid")
    lower = min(int(np.searchsorted(x, volume, side="right")) - 1, grid.cells - 2)
    shares = np.zeros(grid.cells)
    shares[lower + 1] = (volume - x[lower]) / grid.gaps[lower]
    shares[lower] = 1 - shares[lower + 1]
    return shares


@dataclass(frozen=True, eq=False)
class PopulationBalance:
    """A population balance on a grid, of the processes that are given.

    Parameters
    ----------
    grid : the cells, the same object in all maps.
    aggregation, breakage, growth : maps, or None for a process that is absent.
    nucleation : (n,) shares of :func:`nuclei`, or None.

    Raises
    ------
    ValueError : no process at all, maps of another grid, or shares that are not what is said above.

    Examples
    --------
    >>> grid = Grid.geometric(1e-3, 1e3, 40)
    >>> balance = PopulationBalance(grid, aggregation=AggregationMaps(grid, constant_kernel(grid, 1.0)))
    >>> rate = rates(balance, gamma_distribution(grid, 1.0, 1.0))
    >>> round(float(rate.sum()), 6), abs(round(float(grid.pivots @ rate), 12))
    (-0.5, 0.0)
    """

    grid: Grid
    aggregation: AggregationMaps | None = None
    breakage: BreakageMaps | None = None
    growth: GrowthMaps | None = None
    nucleation: Array | None = None

    def __post_init__(self) -> None:
        """Check that the processes fit together."""
        if not self.processes:
            raise ValueError("a population balance needs at least one of aggregation, breakage, growth, nucleation")
        for name in ("aggregation", "breakage", "growth"):
            maps = getattr(self, name)
            if maps is not None and maps.grid is not self.grid:
                raise ValueError(f"the maps of {name} belong to another grid")
        if self.nucleation is not None:
            object.__setattr__(self, "nucleation", frozen("nucleation", self.nucleation, (self.grid.cells,)))

    @cached_property
    def ones(self) -> Array:
        """Coefficients that leave all processes as they are."""
        return frozen("ones", np.ones(len(self.processes)), (len(self.processes),))

    @cached_property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes there are, in the order of their coefficients."""
        names = ("aggregation", "breakage", "growth", "nucleation")
        return tuple(name for name in names if getattr(self, name) is not None)

    @cached_property
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last row of each column of the Jacobian by numbers; an absent column ends before it starts."""
        cells = self.grid.cells
        own = np.arange(cells, dtype=np.int64)
        first, last = own.copy(), own - 1
        if self.growth is not None:
            first, last = np.maximum(own - 2, 0), np.minimum(own + 2, cells - 1)
        if self.breakage is not None:
            first, last = np.zeros_like(own), np.maximum(last, own)
        if self.aggregation is not None:
            first, last = np.zeros_like(own), np.full_like(own, cells - 1)
        return first, last

    @cached_property
    def tables(self) -> tuple[Any, ...]:
        """What compiled kernels are made of: see population_balance.h."""
        grid, aggregation, breakage, growth = self.grid, self.aggregation, self.breakage, self.growth
        first, last = self.rows
        return (
            grid.pivots,
            1 / grid.gaps,
            None if aggregation is None else aggregation.collisions,
            None if aggregation is None else aggregation.runs,
            None if breakage is None else breakage.matrix.T[np.tril_indices(grid.cells)],
            None if growth is None else growth.speed,
            None if growth is None else grid.widths,
            self.nucleation,
            np.concatenate(([0], np.cumsum(last - first + 1))).astype(np.int64),
            first,
            last,
        )

    @cached_property
    def compiled(self) -> compiled.Balance:
        """The balance as the compiled kernel takes it."""
        return compiled.Balance(*self.tables)


def rates(balance: PopulationBalance, number: ArrayLike, coefficients: ArrayLike | None = None) -> Array:
    """Return the rates of change of the numbers.

    Parameters
    ----------
    balance : the population balance.
    number : (n,) particles in the cells in 1/m3; small negative ones, as an integrator may try, are taken as they are.
    coefficients : one for each of ``balance.processes``, ones if not given.

    Returns
    -------
    rates : (n,) in 1/(m3 s).

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    call = balance.compiled.rates
    found = call(number, balance.ones if coefficients is None else coefficients)
    return call(*_arguments(balance, number, coefficients)) if found is None else found


def jacobian(balance: PopulationBalance, number: ArrayLike, coefficients: ArrayLike | None = None) -> tuple[Array, Array]:
    """Return the derivatives of the rates by numbers (n, n) and by coefficients (n, processes), as dense matrices.

    Where a rate has a kink (the mean volume of a cell's births at its pivot, a slope at an extreme), it is the derivative of one side.

    Parameters, Raises
    ------------------
    As of :func:`rates`.
    """
    call = balance.compiled.jacobian
    found = call(number, balance.ones if coefficients is None else coefficients)
    values, by_coefficients = call(*_arguments(balance, number, coefficients)) if found is None else found
    cells = balance.grid.cells
    if values.size == cells**2:
        by_number = values.reshape(cells, cells).T
    else:
        (first, last), row = balance.rows, np.arange(cells)[:, None]
        by_number = np.zeros((cells, cells))
        by_number.T[((row >= first) & (row <= last)).T] = values
    return by_number, by_coefficients.reshape(len(balance.processes), cells).T


def checked_number(grid: Grid, number: ArrayLike) -> Array:
    """Return numbers of particles as a vector, or refuse them.

    Raises
    ------
    ValueError : another shape than (n,), or a number that is negative or not finite.
    """
    found = frozen("number", number, (grid.cells,))
    refuse("number", found < 0, found, "is negative")
    return found


def _arguments(balance: PopulationBalance, number: ArrayLike, coefficients: ArrayLike | None) -> tuple[Array, Array]:
    count = len(balance.processes)
    return (
        _vector("number", number, balance.grid.cells),
        balance.ones if coefficients is None else _vector("coefficients", coefficients, count),
    )


def _vector(name: str, values: ArrayLike, size: int) -> Array:
    """Return finite numbers as a contiguous vector, not copied where they are one; see ``frozen`` for what is refused."""
    vector = np.ascontiguousarray(values, dtype=np.float64)
    return vector if vector.shape == (size,) and np.isfinite(vector).all() else frozen(name, vector, (size,))


def vector_function(balance: PopulationBalance) -> ca.Function:
    """Return the rates as a CasADi function of the columns number (n) and coefficients, for ``solvers.declare.VectorFunction``.

    It is CasADi's external function of the compiled kernel, with its first and second derivatives (sparse where the processes are);
    third ones are refused by CasADi. It belongs to this process: another one that reads it from a file or a pipe does not find the balance.

    Raises
    ------
    RuntimeError : 512 kernels are already in use by CasADi in this process.
    """
    return seated_function(balance.compiled, "curved")
