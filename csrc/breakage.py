r"""Breakage: how often particles break, and what they break into, by the fixed pivot technique.

Selection S(u) (1/s) is how often a particle of volume u breaks. Fragments are told by the share :math:`\varphi(v, u)` of a broken
particle's volume that is in fragments smaller than v; their density is :math:`b(v, u) = (u / v)\, \partial\varphi / \partial v`
(1/m3). Fragments between two pivots are shared between them so that their number and volume are kept; those below the first
pivot go to it with their volume, as fewer particles (Kumar and Ramkrishna 1996, Chem Eng Sci 51:1311).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from csrc.checks import Array, frozen, not_negative, positive, refuse
from csrc.grids import Grid


def power_law_selection(grid: Grid, rate: float, exponent: float, volume: float = 1.0) -> Array:
    """Return S = rate (u / volume)^exponent at the pivots, in 1/s; ``rate`` in 1/s, ``volume`` in m3."""
    return not_negative("rate", rate) * (grid.pivots / positive("volume", volume)) ** float(exponent)


def vogel_peukert_selection(grid: Grid, frequency: float, strength: float, impact: float, threshold: float) -> Array:
    """Return S = frequency (1 - exp(-strength (d impact - threshold))), zero below the threshold (Vogel and Peukert 2003).

    Parameters
    ----------
    frequency : impacts of a particle, in 1/s.
    strength : material parameter f_mat in kg/(J m).
    impact : specific energy of an impact in J/kg.
    threshold : diameter times the specific energy below which nothing breaks, in J m/kg.
    """
    over = grid.diameters * not_negative("impact", impact) - not_negative("threshold", threshold)
    return not_negative("frequency", frequency) * -np.expm1(-positive("strength", strength) * np.maximum(over, 0.0))


def power_law_fragments(grid: Grid, exponent: float) -> Array:
    """Return fragments of b(v, u) = (m + 2) / u (v / u)^m with the exponent m > -2; m = 0 is uniform binary breakage.

    Returns
    -------
    fragments : (n, n) number of fragments at pivot i of a particle at pivot k; sum over i of x_i times it is x_k.

    Raises
    ------
    ValueError : an exponent of -2 or less: the volume of such fragments is not finite.
    """
    if not (np.isfinite(exponent) and exponent > -2):
        raise ValueError(f"exponent has to be above -2, or fragments have no finite volume (got {exponent!r})")
    return _at_pivots(grid, float(exponent) + 2.0, np.ones(grid.cells))


def binary_fragments(grid: Grid) -> Array:
    """Return fragments of b = 2 / u: two, of any size with the same probability."""
    return power_law_fragments(grid, 0.0)


def vogel_peukert_fragments(grid: Grid, exponent: float, diameter: float) -> Array:
    """Return fragments of phi = (d / D)^q (1 + tanh((D - d') / d')) / 2 for diameters d < D; the rest stays whole (Vogel and Peukert 2003).

    Parameters
    ----------
    exponent : q > 0, by diameter.
    diameter : d' in m, below which less than half of a particle is broken off.

    Returns
    -------
    fragments : as of :func:`power_law_fragments`.
    """
    size = positive("diameter", diameter)
    return _at_pivots(grid, positive("exponent", exponent) / 3.0, 0.5 * (1 + np.tanh((grid.diameters - size) / size)))


def tabulated_fragments(grid: Grid, shares: ArrayLike) -> Array:
    """Return fragments of a table: the share of a broken particle's volume that each cell takes.

    Parameters
    ----------
    shares : (n, n), column k the shares of a particle at pivot k; not negative, zero in larger cells, each column with the sum 1.

    Returns
    -------
    fragments : as of :func:`power_law_fragments`.

    Raises
    ------
    ValueError : the shares are not what is said above.
    """
    table = frozen("shares", shares, (grid.cells,) * 2)
    refuse("shares", table < 0, table, "is negative")
    refuse("shares", np.tril(table, -1) > 0, table, "is of fragments larger than what breaks")
    sums = table.sum(axis=0)
    refuse("sum of shares", np.abs(sums - 1) > 1e-9, sums, "is not 1")
    return table / sums * grid.pivots / grid.pivots[:, None]


def _at_pivots(grid: Grid, power: float, broken: Array) -> Array:
    """Share fragments between pivots, phi = broken (v / u)^power for v < u and 1 at u."""
    x, cells = grid.pivots, grid.cells
    relative = x[:, None] / x
    inside = np.triu(np.ones((cells, cells), dtype=bool), 1)[:-1]  # intervals x_i to x_(i+1) up to x_k
    with np.errstate(over="ignore"):
        share = np.where(inside, relative[1:] ** power - relative[:-1] ** power, 0.0)
        log_ratio = np.log(relative[1:] / relative[:-1])
        counted = power / (power - 1) * (relative[1:] ** (power - 1) - relative[:-1] ** (power - 1)) if power != 1 else log_ratio
    number, volume = np.where(inside, broken * counted, 0.0), broken * x * share
    to_lower = (x[1:, None] * number - volume) / grid.gaps[:, None]
    fragments = np.zeros((cells, cells))
    fragments[:-1] += to_lower
    fragments[1:] += number - to_lower
    fragments[0] += broken * relative[0] ** power * x / x[0]
    fragments[np.diag_indices(cells)] += 1 - broken
    return fragments * (x / (x @ fragments))  # one but for rounding


@dataclass(frozen=True, eq=False)
class BreakageMaps:
    """What breaks and into what.

    Parameters
    ----------
    grid : the cells.
    selection : (n,) S at the pivots in 1/s, not negative: of a function above, or tabulated.
    fragments : (n, n) of a function above: number at pivot i of a particle at pivot k.

    Raises
    ------
    ValueError : an argument is not what is said above, or fragments do not have the volume of what broke.
    """

    grid: Grid
    selection: Array
    fragments: Array

    def __post_init__(self) -> None:
        """Check selection and fragments."""
        cells, x = self.grid.cells, self.grid.pivots
        selection = frozen("selection", self.selection, (cells,))
        fragments = frozen("fragments", self.fragments, (cells, cells))
        refuse("selection", selection < 0, selection, "is negative")
        refuse("fragments", fragments < -1e-12, fragments, "is negative")
        refuse("fragments", np.tril(fragments, -1) != 0, fragments, "is of fragments larger than what breaks")
        kept = (x @ fragments) / x
        refuse("volume of fragments over that of what broke", np.abs(kept - 1) > 1e-9, kept, "is not 1")
        object.__setattr__(self, "selection", selection)
        object.__setattr__(self, "fragments", fragments)

    @cached_property
    def matrix(self) -> Array:
        """(n, n) rates of change of numbers per number of each cell, in 1/s; upper triangle."""
        return frozen("matrix", (self.fragments - np.eye(self.grid.cells)) * self.selection, (self.grid.cells,) * 2)
