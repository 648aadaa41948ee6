r"""Aggregation: kernels on a grid, and the maps of pairs of cells to the cell of their aggregate.

Kernels K(u, v) (m3/s) say how often particles of the volumes u and v (m3) meet and stick, per product of their numbers. Each function
below gives the (n, n) matrix of one kernel at the pivots of a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csrc.checks import Array, frozen, not_negative, refuse
from csrc.grids import Grid

Places = NDArray[np.int64]


def constant_kernel(grid: Grid, rate: float) -> Array:
    """K = rate, in m3/s."""
    return _kernel(grid, rate, lambda u, v: np.ones(np.broadcast(u, v).shape))


def sum_kernel(grid: Grid, rate: float) -> Array:
    """K = rate (u + v), rate in 1/s (Golovin 1963)."""
    return _kernel(grid, rate, lambda u, v: u + v)


def product_kernel(grid: Grid, rate: float) -> Array:
    """K = rate u v, rate in 1/(m3 s); it gels: after a finite time part of the volume belongs to no particle of finite size."""
    return _kernel(grid, rate, lambda u, v: u * v)


def brownian_kernel(grid: Grid, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3)) (u^(-1/3) + v^(-1/3)), rate = 2 k T / (3 mu) in m3/s (Smoluchowski 1917)."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) * (1 / np.cbrt(u) + 1 / np.cbrt(v)))


def shear_kernel(grid: Grid, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3))^3, rate in 1/s: the shear rate over pi, for spheres (Smoluchowski 1917)."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) ** 3)


def gravitational_kernel(grid: Grid, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3))^2 |u^(2/3) - v^(2/3)|, rate in 1/(m s): particles that settle by Stokes' law."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) ** 2 * np.abs(np.cbrt(u) ** 2 - np.cbrt(v) ** 2))


def equi_kinetic_energy_kernel(grid: Grid, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3))^2 (1/u + 1/v)^(1/2), rate in m^(5/2)/s (Hounslow 1998)."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) ** 2 * np.sqrt(1 / u + 1 / v))


def _kernel(grid: Grid, rate: float, shape: Callable[[Array, Array], Array]) -> Array:
    return not_negative("rate", rate) * shape(grid.pivots[:, None], grid.pivots[None, :])


@dataclass(frozen=True, eq=False)
class AggregationMaps:
    """Which cell the aggregates of each pair of cells fall into, with the kernel of each pair.

    Parameters
    ----------
    grid : the cells.
    kernel : (n, n) K at the pivots in m3/s, symmetric, not negative: of a function above, or tabulated.
    closed : pairs whose aggregate would be larger than the last pivot do not aggregate, so that the volume of particles is
        kept; if not, they aggregate and leave the grid.

    Raises
    ------
    ValueError : the kernel is not what is said above.
    """

    grid: Grid
    kernel: Array
    closed: bool = True

    def __post_init__(self) -> None:
        """Check the kernel."""
        kernel = frozen("kernel", self.kernel, (self.grid.cells,) * 2)
        refuse("kernel", kernel < 0, kernel, "is negative")
        refuse("kernel", np.abs(kernel - kernel.T) > 1e-12 * np.abs(kernel), kernel, "differs from its mirror image")
        object.__setattr__(self, "kernel", kernel)

    @cached_property
    def pairs(self) -> tuple[Places, Places]:
        """Cells j and k <= j of all pairs, row by row."""
        one, other = np.tril_indices(self.grid.cells)
        return one.astype(np.int64), other.astype(np.int64)

    @cached_property
    def aggregate_cells(self) -> Places:
        """Cell of the aggregate of each pair; n where it is larger than the last pivot."""
        one, other = self.pairs
        volume = self.grid.pivots[one] + self.grid.pivots[other]
        cells = np.searchsorted(self.grid.edges, volume, side="right") - 1
        return np.where(volume > self.grid.pivots[-1], self.grid.cells, cells).astype(np.int64)

    @cached_property
    def collisions(self) -> Array:
        """Kernel of each pair, halved for pairs within one cell: each pair is one event."""
        one, other = self.pairs
        return frozen("collisions", self.kernel[one, other] * np.where(one == other, 0.5, 1.0), one.shape)

    @cached_property
    def runs(self) -> tuple[Places, Places, Places]:
        """Partners k of each cell j, cut where the cell of the aggregate changes: (n + 1) first runs of rows, ends and cells of runs."""
        cells, (one, other) = self.aggregate_cells, self.pairs
        last = np.ones(cells.size, dtype=bool)
        last[:-1] = (np.diff(cells) != 0) | (np.diff(one) != 0)
        if self.closed:
            last &= cells < self.grid.cells
        first_run = np.concatenate(([0], np.cumsum(np.bincount(one[last], minlength=self.grid.cells))))
        return first_run.astype(np.int64), other[last] + 1, cells[last]


def tabulated_kernel(grid: Grid, volumes: ArrayLike, values: ArrayLike) -> Array:
    """Return a kernel that is known at some volumes, bilinear in the logarithms of volume between them.

    Parameters
    ----------
    volumes : (m,) in m3, positive, increasing, around all pivots.
    values : (m, m) K in m3/s, symmetric.

    Raises
    ------
    ValueError : volumes that do not reach over the grid, or another argument that is not what is said above.
    """
    size = np.size(volumes)
    known = frozen("volumes", volumes, (size,))
    table = frozen("values", values, (size, size))
    refuse("volumes", known <= 0, known, "is not positive")
    refuse("volumes", np.concatenate(([False], np.diff(known) <= 0)), known, "is not greater than the volume before it")
    refuse("pivots", (grid.pivots < known[0]) | (grid.pivots > known[-1]), grid.pivots, "is outside the table of the kernel")
    place = np.interp(np.log(grid.pivots), np.log(known), np.arange(size))
    low = np.minimum(place.astype(np.int64), size - 2)
    weights = np.zeros((grid.cells, size))
    rows = np.arange(grid.cells)
    weights[rows, low], weights[rows, low + 1] = 1 - (place - low), place - low
    return weights @ table @ weights.T
