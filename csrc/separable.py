r"""Aggregation by a kernel that is a short sum of products, on pivots in equal steps: n log n operations in place of n^2.

.. math::

    K(u, v) = \sum_{a b} C_{ab}\, \varphi_a(u)\, \varphi_b(v), \qquad
    B_c = \tfrac12 \sum_{ab} C_{ab} \sum_{j + k = c} (\varphi_a N)_j\, (\varphi_b N)_k, \qquad
    D_j = N_j \sum_{ab} C_{ab}\, \varphi_a(x_j) \sum_{k \le c_{\max} - j} (\varphi_b N)_k

Births are convolutions, by fast Fourier transforms; deaths are running sums. Pairs with j + k = c make aggregates of one volume, which lies
at the same place between two pivots for all c, and are shared by them so that number and volume are kept: that is what the cell average
technique of :mod:`csrc.population_balance` does on such a grid, and the rates are the same but for rounding relative to the largest.
For a wide range of sizes see :mod:`csrc.nested`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft

from csrc.checks import Array, frozen, not_negative, refuse
from csrc.grids import Grid

Separable = tuple[Array, Array]
"""Functions (s, n) at the pivots, and the symmetric matrix C (s, s)."""

SAMPLED = 65
"""Pivots along which a kernel is looked at for negative values."""


def separable_constant(grid: Grid, rate: float) -> Separable:
    """K = rate, in m3/s."""
    return np.ones((1, grid.cells)), np.array([[not_negative("rate", rate)]])


def separable_sum(grid: Grid, rate: float) -> Separable:
    """K = rate (u + v), rate in 1/s."""
    return _powers(grid, [0.0, 1.0]), _mirrored(rate, [1.0, 1.0])


def separable_product(grid: Grid, rate: float) -> Separable:
    """K = rate u v, rate in 1/(m3 s)."""
    return _powers(grid, [1.0]), _mirrored(rate, [1.0])


def separable_shear(grid: Grid, rate: float) -> Separable:
    """K = rate (u^(1/3) + v^(1/3))^3, rate in 1/s."""
    return _powers(grid, [0.0, 1 / 3, 2 / 3, 1.0]), _mirrored(rate, [1.0, 3.0, 3.0, 1.0])


def separable_brownian(grid: Grid, rate: float) -> Separable:
    """K = rate (u^(1/3) + v^(1/3)) (u^(-1/3) + v^(-1/3)), rate in m3/s."""
    return _powers(grid, [-1 / 3, 0.0, 1 / 3]), _mirrored(rate, [1.0, 2.0, 1.0])


def _powers(grid: Grid, exponents: list[float]) -> Array:
    return np.stack([grid.pivots**exponent for exponent in exponents])


def _mirrored(rate: float, factors: list[float]) -> Array:
    """Return C of a kernel in which the exponents of u and v add up to the same in each product."""
    return not_negative("rate", rate) * np.diag(factors)[::-1]


def checked_kernel(grid: Grid, functions: ArrayLike, factors: ArrayLike) -> Separable:
    """Return functions and factors as arrays that cannot be changed; Raises as :class:`SeparableAggregation`."""
    size = np.shape(functions)[0] if np.ndim(functions) == 2 else 0
    functions = frozen("functions", functions, (size, grid.cells))
    factors = frozen("factors", factors, (size, size))
    refuse("factors", np.abs(factors - factors.T) > 1e-12 * np.abs(factors), factors, "differs from its mirror image")
    some = functions[:, np.unique(np.linspace(0, grid.cells - 1, SAMPLED).astype(int))]
    kernel, magnitude = some.T @ factors @ some, np.abs(some).T @ np.abs(factors) @ np.abs(some)
    refuse("kernel", kernel < -1e-12 * magnitude, kernel, "is negative, of pivots taken evenly,")
    return functions, factors


@dataclass(frozen=True, eq=False)
class SeparableAggregation:
    """Aggregation by a separable kernel.

    Parameters
    ----------
    grid : pivots in equal steps, such as ``Grid.linear(h / 2, (n + 1 / 2) h, n)``, whose pivots are h, 2 h, ..., n h.
    functions : (s, n) the functions of the kernel at the pivots.
    factors : (s, s) C, symmetric.
    closed : pairs whose aggregate would be larger than the last pivot do not aggregate; if not, they aggregate and leave the grid.

    Raises
    ------
    ValueError : pivots in other steps, factors that are not symmetric, a kernel that is negative (at all pairs of up to 65 pivots).

    Examples
    --------
    >>> grid = Grid.linear(0.5, 4.5, 4)
    >>> separable_rates(SeparableAggregation(grid, *separable_sum(grid, 1.0)), [1.0, 0.0, 0.0, 0.0]).round(12).tolist()
    [-2.0, 1.0, 0.0, 0.0]
    """

    grid: Grid
    functions: Array
    factors: Array
    closed: bool = True

    def __post_init__(self) -> None:
        """Check grid and kernel."""
        gaps, step = self.grid.gaps, self.step
        refuse("gaps", np.abs(gaps - step) > 1e-9 * step, gaps, f"is not the step of the other pivots, {step:g}: take Grid.linear")
        functions, factors = checked_kernel(self.grid, self.functions, self.factors)
        object.__setattr__(self, "functions", functions)
        object.__setattr__(self, "factors", factors)

    @property
    def step(self) -> float:
        """From pivot to pivot, in m3."""
        return float((self.grid.pivots[-1] - self.grid.pivots[0]) / (self.grid.cells - 1))

    @cached_property
    def place(self) -> tuple[int, float, int]:
        """Pivots from j + k to that below the aggregate of j and k, the share of the next, and the largest j + k that stays."""
        beyond = float(self.grid.pivots[0]) / self.step
        lower = int(np.floor(beyond + 1e-9))
        share = max(beyond - lower, 0.0) if abs(beyond - round(beyond)) > 1e-9 else 0.0
        return lower, share, self.grid.cells - 1 - lower - (share > 0)


def separable_rates(aggregation: SeparableAggregation, number: ArrayLike) -> Array:
    """Return the (n,) rates of change in 1/(m3 s) of the numbers in 1/m3; rounding is relative to the largest rate.

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    found = frozen("number", number, (aggregation.grid.cells,))
    return _together(aggregation, found, found)


def separable_derivative(aggregation: SeparableAggregation, number: ArrayLike, direction: ArrayLike) -> Array:
    """Return the derivative of the rates along a direction, Jacobian times (n,) direction; Raises as :func:`separable_rates`."""
    cells = aggregation.grid.cells
    return 2 * _together(aggregation, frozen("number", number, (cells,)), frozen("direction", direction, (cells,)))


def _together(aggregation: SeparableAggregation, one: Array, other: Array) -> Array:
    """Return the symmetric bilinear form whose value at the same numbers twice are the rates."""
    cells, functions, factors = aggregation.grid.cells, aggregation.functions, aggregation.factors
    lower, share, last = aggregation.place
    ones, others = functions * one, functions * other
    length = next_fast_len(2 * cells - 1, real=True)
    spectra = rfft(ones, length), rfft(others, length) if other is not one else None
    pairs = np.einsum("an,ab,bn->n", spectra[0], factors, spectra[0] if spectra[1] is None else spectra[1])
    births = 0.5 * irfft(pairs, length)[: max(last + 1, 0)]
    rates = np.zeros(cells)
    rates[lower : lower + births.size] += (1 - share) * births
    if share:
        rates[lower + 1 : lower + 1 + births.size] += share * births
    rates -= 0.5 * sum(
        mine * np.sum(functions * (factors @ _met(theirs, last, aggregation.closed)), axis=0)
        for mine, theirs in ((one, others), (other, ones))
    )
    return rates


def _met(numbers: Array, last: int, closed: bool) -> Array:
    """Return sums over the partners k of each j: all, or those with j + k up to the last."""
    if not closed:
        return np.broadcast_to(numbers.sum(axis=1, keepdims=True), numbers.shape)
    sums = np.concatenate((np.zeros((numbers.shape[0], 1)), np.cumsum(numbers, axis=1)), axis=1)
    return sums[:, np.clip(last - np.arange(numbers.shape[1]) + 1, 0, None)]
