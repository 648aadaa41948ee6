r"""Cells of particle volume, and distributions put into them so that number and volume are both kept.

A cell i holds the particles with volumes between the edges :math:`v_i` and :math:`v_{i+1}` (m3), and stands for them by one volume,
its pivot :math:`x_i` (Kumar and Ramkrishna 1996, Chem Eng Sci 51:1311): :math:`N_i` particles (1/m3) with the volume :math:`x_i N_i`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammainc, gammaincc, ndtr

from csrc.checks import Array, frozen, positive, refuse


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of particle volume.

    Parameters
    ----------
    edges : (n + 1,) volumes in m3, n >= 2, increasing, not negative.
    pivots : (n,) volumes that stand for the cells, each within its cell; the middle of each cell if not given.

    Raises
    ------
    ValueError : an argument is not what is said above.

    Examples
    --------
    >>> Grid([0, 1, 3]).pivots.tolist()
    [0.5, 2.0]
    """

    edges: Array
    pivots: Array

    def __init__(self, edges: ArrayLike, pivots: ArrayLike | None = None) -> None:
        size = np.size(edges)
        if size < 3:
            raise ValueError(f"edges of a grid need 3 or more values (got {size})")
        found = frozen("edges", edges, (size,))
        refuse("edges", found < 0, found, "is negative")
        refuse("edges", np.concatenate(([False], np.diff(found) <= 0)), found, "is not greater than the edge before it")
        middle = 0.5 * (found[:-1] + found[1:])
        chosen = frozen("pivots", middle if pivots is None else pivots, (size - 1,))
        refuse("pivots", ~((chosen > found[:-1]) & (chosen < found[1:])), chosen, "is not within its cell")
        object.__setattr__(self, "edges", found)
        object.__setattr__(self, "pivots", chosen)

    @classmethod
    def geometric(cls, smallest: float, largest: float, cells: int) -> Grid:
        """Return cells whose widths grow by the same factor from each to the next, between two volumes in m3.

        >>> Grid.geometric(1.0, 8.0, 3).edges.round(12).tolist()
        [1.0, 2.0, 4.0, 8.0]
        """
        return cls(np.geomspace(positive("smallest", smallest), positive("largest", largest), cells + 1))

    @classmethod
    def linear(cls, smallest: float, largest: float, cells: int) -> Grid:
        """Return cells of one width between two volumes in m3."""
        return cls(np.linspace(smallest, largest, cells + 1))

    @property
    def cells(self) -> int:
        """Number of cells n."""
        return self.pivots.size

    @cached_property
    def widths(self) -> Array:
        """(n,) widths of the cells in m3."""
        return frozen("widths", np.diff(self.edges), (self.cells,))

    @cached_property
    def gaps(self) -> Array:
        """(n - 1,) from each pivot to the next, in m3."""
        return frozen("gaps", np.diff(self.pivots), (self.cells - 1,))

    @cached_property
    def diameters(self) -> Array:
        """(n,) diameters in m of spheres of the pivots' volumes."""
        return frozen("diameters", np.cbrt(6 / np.pi * self.pivots), (self.cells,))


def moment(grid: Grid, number: ArrayLike, order: float) -> float:
    """Return the moment sum x_i^k N_i; order 0 is the number (1/m3), order 1 the volume of particles (m3/m3)."""
    found: float = np.sum(grid.pivots**order * frozen("number", number, (grid.cells,)))
    return float(found)


def project(grid: Grid, number: ArrayLike, volume: ArrayLike) -> Array:
    """Return numbers at the pivots that keep the number and the volume of particles.

    The particles of a cell go to the two pivots around their mean volume, as the births of the cell average technique do
    (Kumar et al. 2006). Volume that lies beyond the first or last pivot is made up for by particles that move between that
    pivot and the nearest that has enough of them.

    Parameters
    ----------
    grid : the cells.
    number : (n,) number of particles in each cell, the integral of n(v), in 1/m3.
    volume : (n,) volume of the particles in each cell, the integral of v n(v), in m3/m3.

    Returns
    -------
    numbers : (n,) in 1/m3.

    Raises
    ------
    ValueError : a negative number; a mean volume outside its cell (the first and last may hold what lies beyond);
        more particles beyond an end than the others can make up for.

    Examples
    --------
    >>> project(Grid([0, 1, 3]), [1.0, 1.0], [0.6, 1.5]).round(12).tolist()
    [1.266666666667, 0.733333333333]
    """
    number = frozen("number", number, (grid.cells,))
    volume = frozen("volume", volume, (grid.cells,))
    refuse("number", number < 0, number, "is negative")
    excess = volume - grid.pivots * number
    slack = 1e-9 * (number * grid.edges[1:] + np.abs(volume)) + 1e-290  # nor are numbers exact that underflow
    below, above = volume < grid.edges[:-1] * number - slack, volume > grid.edges[1:] * number + slack
    below[0] = above[-1] = False
    refuse("volume", below | above | (volume < 0), volume, "is not the volume of particles within their cell")
    first, last = np.minimum(excess[0], 0.0), np.maximum(excess[-1], 0.0)
    excess[0], excess[-1] = excess[0] - first, excess[-1] - last
    lower = np.arange(grid.cells) - (excess <= 0)
    lower[0], lower[-1] = 0, grid.cells - 2
    moved = excess / grid.gaps[lower]  # number that goes to the next pivot; negative: to the one before
    found = number - np.abs(moved)
    np.add.at(found, lower + (excess > 0), np.abs(moved))
    for amount, end, inwards in ((first, 0, range(1, grid.cells)), (last, grid.cells - 1, range(grid.cells - 2, -1, -1))):
        if amount != 0:
            _compensate(grid, found, float(amount), end, inwards)
    return found


def _compensate(grid: Grid, number: Array, volume: float, end: int, inwards: range) -> None:
    """Add volume that no pivot beyond an end can take: particles move between the end and the nearest cell that holds enough of them."""
    for cell in inwards:
        moved = volume / (grid.pivots[cell] - grid.pivots[end])
        if number[cell] + moved >= 0 and number[end] - moved >= 0:
            number[cell] += moved
            number[end] -= moved
            return
    raise ValueError("too many particles lie beyond the ends of the grid to keep their number and volume: take a wider grid")


def gamma_distribution(grid: Grid, number: float, mean: float, shape: float = 1.0) -> Array:
    """Return a gamma distribution of particle volume; shape 1 is an exponential distribution.

    Parameters
    ----------
    number : of all particles, in 1/m3; what lies beyond the grid is put into its end cells.
    mean : mean volume in m3.
    shape : of the gamma distribution; the variance is mean^2 / shape.

    Examples
    --------
    >>> grid = Grid.geometric(1e-6, 1e3, 60)
    >>> found = gamma_distribution(grid, 2.0, 0.5)
    >>> round(moment(grid, found, 0), 12), round(moment(grid, found, 1), 12)
    (2.0, 1.0)
    """
    rate = positive("shape", shape) / positive("mean", mean)
    at = rate * grid.edges
    shares = [_shares(gammainc(order, at), gammaincc(order, at)) for order in (shape, shape + 1)]
    number = positive("number", number)
    return project(grid, number * shares[0], number * mean * shares[1])


def lognormal_distribution(grid: Grid, number: float, median: float, deviation: float) -> Array:
    """Return a log-normal distribution of particle volume.

    Parameters
    ----------
    number : of all particles, in 1/m3; what lies beyond the grid is put into its end cells.
    median : of the number distribution, a volume in m3.
    deviation : geometric standard deviation of volume, above 1 (the cube of that of diameter).
    """
    spread = np.log(positive("deviation", deviation))
    if not spread > 0:
        raise ValueError(f"deviation has to be above 1 (got {deviation!r})")
    with np.errstate(divide="ignore"):
        place = np.log(grid.edges / positive("median", median)) / spread
    shares = [_shares(ndtr(at), ndtr(-at)) for at in (place, place - spread)]
    number = positive("number", number)
    return project(grid, number * shares[0], number * median * np.exp(0.5 * spread**2) * shares[1])


def _shares(below: Array, above: Array) -> Array:
    """Return the share of each cell, from the side of the distribution on which less is lost to rounding; ends take what is beyond."""
    below, above = below.copy(), above.copy()
    below[0], above[0], below[-1], above[-1] = 0.0, 1.0, 1.0, 0.0
    found: Array = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
    return found
