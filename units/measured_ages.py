"""A residence-time distribution that was measured: a table of the share that has left by each age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.errors import UsageError
from units.arguments import positive, record
from units.residence_time import Distribution

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class MeasuredAges(Distribution):
    """Ages (s) and the share that has left by them: a straight line between, so that E is constant in each interval.

    Parameters
    ----------
    ages : (m,) in s, increasing, not negative.
    shares_left : (m,) F, from 0 to 1, not decreasing.

    Raises
    ------
    UsageError : they are not what is said here.

    >>> MeasuredAges([10.0, 30.0], [0.0, 1.0]).variance
    33.333333333333336
    """

    ages: Array
    shares_left: Array

    def __post_init__(self) -> None:
        ages, shares = record(2, self.ages, shares_left=self.shares_left)
        if ages[0] < 0 or np.any(np.diff(ages) <= 0):
            raise UsageError("ages have to increase from zero or more", names=["ages"])
        if shares[0] != 0 or abs(shares[-1] - 1) > 1e-12 or np.any(np.diff(shares) < 0):
            raise UsageError("the share that has left has to grow from 0 to 1", names=["shares_left"], hint="divide by its last value")
        for name, values in (("ages", ages), ("shares_left", shares)):
            kept = values.copy()
            kept.setflags(write=False)
            object.__setattr__(self, name, kept)

    @property
    def _cells(self) -> tuple[Array, Array, Array]:
        """Middles, widths and shares of the intervals."""
        return 0.5 * (self.ages[1:] + self.ages[:-1]), np.diff(self.ages), np.diff(self.shares_left)

    @property
    def mean(self) -> float:
        """Mean age (s)."""
        middle, _, share = self._cells
        return float(share @ middle)

    @property
    def variance(self) -> float:
        """Variance of the age (s2)."""
        middle, width, share = self._cells
        return float(share @ ((middle - self.mean) ** 2 + width**2 / 12))

    def _density_at_once(self) -> float:
        return float(self._density(np.zeros(1))[0])

    def _density(self, age: Array) -> Array:
        _, width, share = self._cells
        cell = np.searchsorted(self.ages, age, side="right") - 1
        inside = (cell >= 0) & (cell < width.size)
        return np.where(inside, (share / width)[np.clip(cell, 0, width.size - 1)], 0.0)

    def _cumulative(self, age: Array) -> Array:
        return np.interp(age, self.ages, self.shares_left)

    def _transfer(self, s: Complex) -> Complex:
        middle, width, share = self._cells
        at = np.multiply.outer(s, np.ones_like(middle))
        return (np.exp(-at * middle) * np.sinc(0.5j / np.pi * at * width)) @ share

    def table(self, spacing: float, left: float = 1e-10) -> tuple[Array, Array]:
        """Return the ages (s) and shares of the table itself, whatever spacing is asked for."""
        return self.ages, self.shares_left

    def variance_ratio(self, rate: float) -> float:
        """Return variance out over in for autocovariance exp(-rate |lag|); the double integral over pairs of intervals is exact."""
        _, width, share = self._cells
        x = positive("rate", rate) * width
        weight = share * -np.expm1(-x) / x
        gaps = np.subtract.outer(self.ages[:-1], self.ages[1:])  # from the end of an interval to the start of a later one
        pairs = weight[:, None] * np.exp(-rate * np.abs(gaps)) * weight
        alone = np.where(x > 1e-4, 2 * (x + np.expm1(-x)) / x**2, 1 - x / 3)
        return float(2 * np.sum(np.tril(pairs, -1)) + share**2 @ alone)
