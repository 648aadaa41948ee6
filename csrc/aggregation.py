r"""Aggregation: kernels on a grid, and the maps of pairs of cells to the cell of their aggregate.

Kernels K(u, v) (m3/s) say how often particles of the volumes u and v (m3) meet and stick, per product of their numbers. Each function
below gives the (n, n) matrix of one kernel at the pivots of a grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from csrc.checks import Array, frozen, not_negative, refuse
from csrc.grids import Grid

Places = NDArray[np.int64]

LANES = 8
"""Numbers in the widest vector of any machine, as in vectors.h."""


class HasPivots(Protocol):
    """What has volumes that stand for its cells: a Grid, or a plane of two components."""

    @property
    def pivots(self) -> Array:
        """(n,) volumes in m3."""
        ...


def constant_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate, in m3/s."""
    return _kernel(grid, rate, lambda u, v: np.ones(np.broadcast(u, v).shape))


def sum_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate (u + v), rate in 1/s (Golovin 1963)."""
    return _kernel(grid, rate, lambda u, v: u + v)


def product_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate u v, rate in 1/(m3 s); it gels: after a finite time part of the volume belongs to no particle of finite size."""
    return _kernel(grid, rate, lambda u, v: u * v)


def brownian_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3)) (u^(-1/3) + v^(-1/3)), rate = 2 k T / (3 mu) in m3/s (Smoluchowski 1917)."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) * (1 / np.cbrt(u) + 1 / np.cbrt(v)))


def shear_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3))^3, rate in 1/s: the shear rate over pi, for spheres (Smoluchowski 1917)."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) ** 3)


def gravitational_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3))^2 |u^(2/3) - v^(2/3)|, rate in 1/(m s): particles that settle by Stokes' law."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) ** 2 * np.abs(np.cbrt(u) ** 2 - np.cbrt(v) ** 2))


def equi_kinetic_energy_kernel(grid: HasPivots, rate: float) -> Array:
    """K = rate (u^(1/3) + v^(1/3))^2 (1/u + 1/v)^(1/2), rate in m^(5/2)/s (Hounslow 1998)."""
    return _kernel(grid, rate, lambda u, v: (np.cbrt(u) + np.cbrt(v)) ** 2 * np.sqrt(1 / u + 1 / v))


def _kernel(grid: HasPivots, rate: float, shape: Callable[[Array, Array], Array]) -> Array:
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
    def pairs(self) -> tuple[Places, Places, Places]:
        """Cells j and k <= j of all pairs that aggregate, and cell of the aggregate: n where it is larger than the last pivot."""
        cells, x = self.grid.cells, self.grid.pivots
        one, other = (found.astype(np.int64) for found in np.tril_indices(cells))
        volume = x[one] + x[other]
        cell = np.where(volume > x[-1], cells, np.searchsorted(self.grid.edges, volume, side="right") - 1).astype(np.int64)
        kept = (cell < cells) | (not self.closed)
        return one[kept], other[kept], cell[kept]

    @cached_property
    def _ordered(self) -> tuple[Places, Places]:
        """Runs (m, 5) as in population_balance.h, and the order of the pairs in them."""
        one, other, cell = self.pairs
        grows, leaves = cell == one, cell == self.grid.cells
        rest = ~(grows | leaves)
        along, across = (_cut(kind, one, other, cell, rest) for kind in (_Run.ALONG, _Run.ACROSS))
        shifted = along if len(along[0]) <= len(across[0]) else across
        parts = [_cut(_Run.GROWS, one, other, cell, grows), shifted, _cut(_Run.LEAVES, one, other, cell, leaves)]
        return np.concatenate([runs for runs, _ in parts]), np.concatenate([order for _, order in parts])

    @property
    def runs(self) -> Places:
        """Pairs in runs whose cells go on together: (m, 5) kind, first cells, cell of the first aggregate, number of pairs."""
        return self._ordered[0]

    @cached_property
    def collisions(self) -> Array:
        """Kernel of each pair in the order of the runs, halved for pairs within one cell: each pair is one event. Runs are filled up with
        zeros to whole vectors, as population_balance.h has it.
        """
        one, other, _ = self.pairs
        rate = (self.kernel[one, other] * np.where(one == other, 0.5, 1.0))[self._ordered[1]]
        count = self.runs[:, 4]
        filled = -(-count // LANES) * LANES
        table = np.zeros(int(filled.sum()))
        shift = np.cumsum(filled - count) - (filled - count)  # how far the entries of a run move back
        table[np.arange(rate.size) + np.repeat(shift, count)] = rate
        return frozen("collisions", table, table.shape)


class _Run(IntEnum):
    """What goes on from pair to pair: see population_balance.h."""

    GROWS = 0
    ALONG = 1
    ACROSS = 2
    LEAVES = 3


def _cut(kind: _Run, one: Places, other: Places, cell: Places, chosen: NDArray[np.bool_]) -> tuple[Places, Places]:
    """Order the chosen pairs and cut them into runs of one kind; return the runs and the order."""
    places = np.flatnonzero(chosen).astype(np.int64)
    if kind is _Run.ALONG:
        places = places[np.lexsort((one[places], one[places] - other[places]))]
    j, k, c = one[places], other[places], cell[places]
    steps = (kind is _Run.ALONG, 1, kind in (_Run.ALONG, _Run.ACROSS))
    goes_on = np.all([np.diff(values) == step for values, step in zip((j, k, c), steps, strict=True)], axis=0)
    first = np.flatnonzero(np.concatenate((np.ones(min(places.size, 1), dtype=bool), ~goes_on)))
    count = np.diff(np.append(first, places.size))
    return np.stack((np.full(first.size, kind), j[first], k[first], c[first], count), axis=1).astype(np.int64), places


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
