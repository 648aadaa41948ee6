r"""Aggregation by a separable kernel on nested grids, over many decades of size in n log m operations.

Pivots in equal steps h, 2h, ..., m h; then in steps of 2h up to 2 m h, of 4h up to 4 m h, and so on: m/2 more for each factor of two in
volume. Aggregates are shared by the two pivots around them so that number and volume are kept: the fixed pivot technique (Kumar and
Ramkrishna 1996, Chem Eng Sci 51:1311).

Sharing between pivots is linear, and a coarse step's shares are linear on each finer step. So a particle may as well be shared among the
pivots of the coarse step first, and then collide: on each level the births of pairs whose larger particle belongs to it are one
convolution in equal steps, of its own particles with those and all smaller ones, shared down from level to level (the blocks are those of
Hackbusch 2006, Computing 78:145, and Le Borne et al. 2015, Comput Chem Eng 74:115; on pivots in place of polynomials in cells). Nothing is
approximated: the rates are those of all pairs one by one, but for rounding relative to the largest on each level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len, rfft

from csrc.checks import Array, frozen, positive
from csrc.grids import Grid
from csrc.separable import checked_kernel


@dataclass(frozen=True, eq=False)
class NestedGrid:
    """Pivots in steps that double with size.

    Parameters
    ----------
    step : h, the smallest step and the first pivot, in m3.
    first : m, pivots with the smallest step; even, 4 or more.
    doublings : how often the step doubles; m / 2 more pivots each time.

    Raises
    ------
    ValueError : an argument is not what is said above.

    Examples
    --------
    >>> NestedGrid(1.0, 4, 2).grid.pivots.tolist()
    [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0]
    """

    step: float
    first: int
    doublings: int

    def __post_init__(self) -> None:
        """Check the arguments."""
        positive("step", self.step)
        if self.first < 4 or self.first % 2:
            raise ValueError(f"first has to be even and 4 or more (got {self.first!r})")
        if self.doublings < 0:
            raise ValueError(f"doublings has to be 0 or more (got {self.doublings!r})")

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(n,) pivots over the smallest step: whole numbers."""
        m = self.first
        levels = [np.arange(1, m + 1), *(2**k * np.arange(m // 2 + 1, m + 1) for k in range(1, self.doublings + 1))]
        return np.concatenate(levels).astype(np.int64)

    @cached_property
    def grid(self) -> Grid:
        """The grid: edges in the middle between pivots, from 0 to half a step beyond the last pivot."""
        x = self.step * self.counts
        middle = 0.5 * (x[1:] + x[:-1])
        return Grid(np.concatenate(([0.0], middle, [2 * x[-1] - middle[-1]])), x)


@dataclass(frozen=True, eq=False)
class NestedAggregation:
    """Aggregation by a separable kernel on a nested grid.

    Parameters
    ----------
    nested : the grid.
    functions, factors : the kernel at the pivots of ``nested.grid``, of a function of :mod:`csrc.separable`.
    closed : pairs whose aggregate would be larger than the last pivot do not aggregate; if not, they aggregate and leave the grid.

    Raises
    ------
    ValueError : the kernel is not what :class:`csrc.separable.SeparableAggregation` takes.

    Examples
    --------
    >>> from csrc.separable import separable_constant
    >>> nested = NestedGrid(1.0, 4, 1)
    >>> nested_rates(NestedAggregation(nested, *separable_constant(nested.grid, 1.0)), [1, 0, 0, 1, 0, 0]).round(12).tolist()
    [-2.0, 0.5, 0.0, -1.5, 0.5, 0.5]
    """

    nested: NestedGrid
    functions: Array
    factors: Array
    closed: bool = True

    def __post_init__(self) -> None:
        """Check the kernel."""
        functions, factors = checked_kernel(self.nested.grid, self.functions, self.factors)
        object.__setattr__(self, "functions", functions)
        object.__setattr__(self, "factors", factors)

    @cached_property
    def partners(self) -> NDArray[np.int64]:
        """(n,) number of pivots that each pivot aggregates with: all of an open grid."""
        counts = self.nested.counts
        found = np.searchsorted(counts, counts[-1] - counts, side="right")
        return found if self.closed else np.full_like(found, counts.size)

    @cached_property
    def beyond(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
        """Pivots between two of the last level, the lower of the two, and its share of them."""
        counts, last = self.nested.counts, 2**self.nested.doublings
        between = np.flatnonzero(counts % last)
        return between, counts[between] // last, 1.0 - (counts[between] % last) / last


def nested_rates(aggregation: NestedAggregation, number: ArrayLike) -> Array:
    """Return the (n,) rates of change in 1/(m3 s) of the numbers in 1/m3; rounding is relative to the largest rate of each level.

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    found = frozen("number", number, (aggregation.nested.counts.size,))
    weighted = aggregation.functions * found
    sums = np.concatenate((np.zeros((weighted.shape[0], 1)), np.cumsum(weighted, axis=1)), axis=1)
    deaths = np.sum(weighted * (aggregation.factors @ sums[:, aggregation.partners]), axis=0)
    return _births(aggregation, weighted) - deaths


def _births(aggregation: NestedAggregation, weighted: Array) -> Array:
    """Return births at the pivots, from the kernel's functions times the numbers (s, n)."""
    m, levels, size = aggregation.nested.first, aggregation.nested.doublings + 1, weighted.shape[0]
    half = m // 2
    own, smaller = np.zeros((levels, size, m + 1)), np.zeros((levels, size, m + 1))  # by volume in steps of the level
    own[0, :, 1:] = weighted[:, :m]
    own[1:, :, half + 1 :] = weighted[:, m:].reshape(size, levels - 1, half).transpose(1, 0, 2)
    for level in range(1, levels):
        smaller[level, :, : half + 1] = _coarser(smaller[level - 1] + own[level - 1])
    length = next_fast_len(2 * m + 1, real=True)
    spectra = rfft(own, length), rfft(smaller + 0.5 * own, length)
    made = irfft(np.einsum("lak,ab,lbk->lk", spectra[0], aggregation.factors, spectra[1]), length)[:, : 2 * m + 1]
    for level in range(levels - 1):  # what is larger than the level's last pivot is shared by those of the next
        larger = _coarser(np.concatenate(([0.0], made[level, m + 1 :])))
        made[level, m] += larger[0]
        made[level + 1, half + 1 : m + 1] += larger[1:]
    made[-1, m] -= _leaving(aggregation, weighted, own[-1])
    return np.concatenate((made[0, 1 : m + 1], made[1:, half + 1 : m + 1].ravel()))


def _coarser(fine: Array) -> Array:
    """Share numbers in steps of one, an odd number of them, among every other: what lies between two goes to both."""
    coarse = fine[..., ::2].copy()
    coarse[..., :-1] += 0.5 * fine[..., 1::2]
    coarse[..., 1:] += 0.5 * fine[..., 1::2]
    return coarse


def _leaving(aggregation: NestedAggregation, weighted: Array, own: Array) -> float:
    """Return what aggregates beyond the last pivot gave to it, as their smaller particle was shared by two pivots first."""
    between, lower, share = aggregation.beyond
    m = aggregation.nested.first
    shared = np.stack([np.bincount(lower, weights=share * row[between], minlength=m + 1) for row in weighted])
    return float(np.einsum("ak,ab,bk->", own, aggregation.factors, shared[:, ::-1]))
