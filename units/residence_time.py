"""Residence-time distributions: the ages at which material leaves a vessel through which it passes at constant flow.

E(t) is the density of the age t at the outlet, F(t) its integral, H(s) its Laplace transform (Danckwerts 1953, Chem Eng Sci 2:1).

| distribution | E(t) | mean | variance |
|---|---|---|---|
| :class:`TanksInSeries` | n^n t^(n-1) exp(-n t/tau)/(tau^n Gamma(n)) | tau | tau^2/n |
| :class:`ClosedDispersion` | no short form, see :mod:`units.dispersion` | tau | tau^2 [2/Pe - 2/Pe^2 (1 - exp(-Pe))] |
| :class:`OpenDispersion` | sqrt(Pe/(4 pi t tau)) exp(-Pe (tau - t)^2/(4 t tau)) | tau (1 + 2/Pe) | tau^2 (2/Pe + 8/Pe^2) |
| :class:`DelayedTank` | exp(-(t - d)/tau)/tau after d | d + tau | tau^2 |
| :class:`~units.measured_ages.MeasuredAges` | constant between ages of a table of F | of the table | of the table |

| symbol | name | meaning | unit |
|---|---|---|---|
| E, F | `density`, `cumulative` | exit-age density; share that has left by an age | 1/s, - |
| tau | `mean_time`, `transit_time` (open vessel: L/u, which is not its mean) | time constant | s |
| n | `tanks` | number of equal tanks, any real number above zero | - |
| Pe | `peclet` | Peclet number u L/D | - |
| d | `delay` | dead time | s |

Sources: real n, Buffham and Gibilaro 1968 (AIChE J 14:805); n < 1 for bypassing, Toson et al. 2019 (Processes 7:615); dispersion,
Levenspiel 1999, chapter 13 (recalled, moments checked).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaln, xlogy

from solvers.errors import UsageError
from units import dispersion
from units.arguments import finite, positive

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

MOST_AGES, LOG_STEP = 10_000_000, 0.05
"""Ages that a table may have; step in the logarithm of frequency."""


@dataclass(frozen=True, eq=False)
class Distribution(ABC):
    """What all distributions give. Times in s, of any shape, give arrays of that shape; before age zero nothing leaves.

    Raises
    ------
    UsageError : a parameter is not positive and finite; a time is not finite.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            positive(field.name, getattr(self, field.name))

    @property
    @abstractmethod
    def mean(self) -> float:
        """Mean age (s)."""

    @property
    @abstractmethod
    def variance(self) -> float:
        """Variance of the age (s2)."""

    @abstractmethod
    def _density(self, age: Array) -> Array: ...

    @abstractmethod
    def _cumulative(self, age: Array) -> Array: ...

    @abstractmethod
    def _transfer(self, s: Complex) -> Complex: ...

    def _density_at_once(self) -> float:
        return 0.0

    def density(self, time: ArrayLike) -> Array:
        """Return E (1/s)."""
        age = finite("time", time)
        found = np.where(age == 0, self._density_at_once(), 0.0)
        found[age > 0] = self._density(age[age > 0])
        return found[()]

    def cumulative(self, time: ArrayLike) -> Array:
        """Return F, the share of what entered together that has left by an age (-)."""
        age = finite("time", time)
        found = np.zeros_like(age)
        found[age > 0] = self._cumulative(age[age > 0])
        return found[()]

    def transfer(self, s: ArrayLike) -> Complex:
        """Return H(s), the Laplace transform of E (-), for complex s in 1/s with Re s >= 0."""
        return self._transfer(np.asarray(s, dtype=np.complex128))

    def last_age(self, left: float = 1e-10) -> float:
        """Return an age (s) by which all but a share ``left`` has gone, at most a quarter too late."""
        age = self.mean
        while 1 - self.cumulative(age) > left:
            age *= 1.25
        return age

    def table(self, spacing: float, left: float = 1e-10) -> tuple[Array, Array]:
        """Return ages (s), equally spaced until all but ``left`` has gone, and F at them: what :mod:`csrc.rtd` convolves with."""
        number = 2 + int(self.last_age(left) / positive("spacing", spacing))
        if number > MOST_AGES:
            raise UsageError(f"a spacing of {spacing:g} s gives {number} ages", names=["spacing"], hint="take wider ones")
        ages = np.linspace(0.0, spacing * (number - 1), number)
        return ages, np.maximum.accumulate(self.cumulative(ages))  # rounding may let it fall by an ulp

    def variance_ratio(self, rate: float) -> float:
        """Return the variance of a signal at the outlet over that at the inlet, where its autocovariance is exp(-rate |lag|); rate in 1/s.

        ``(2/pi) integral |H(i w)|^2 rate/(rate^2 + w^2) dw`` over w > 0, by the rectangle rule in log w, which converges geometrically.
        """
        ends = np.log([positive("rate", rate), 1 / self.mean])
        w = np.exp(np.arange(ends.min() - 40.0, ends.max() + 40.0, LOG_STEP))
        return float(np.sum(np.abs(self.transfer(1j * w)) ** 2 / (rate / w + w / rate)) * LOG_STEP * 2 / np.pi)


@dataclass(frozen=True)
class TanksInSeries(Distribution):
    """Equal stirred tanks in series; the gamma form for any real number of tanks.

    At age zero E is 0 for more than one tank, 1/tau for one, and infinite for less than one (a bypass: E goes as t^(n-1), F as t^n).

    >>> TanksInSeries(60.0, 2.0).cumulative([0.0, 60.0]).round(10).tolist()
    [0.0, 0.5939941503]
    """

    mean_time: float
    tanks: float

    @property
    def mean(self) -> float:
        """Mean age (s)."""
        return self.mean_time

    @property
    def variance(self) -> float:
        """Variance of the age (s2)."""
        return self.mean_time**2 / self.tanks

    def _density(self, age: Array) -> Array:
        reduced = self.tanks / self.mean_time * age
        return self.tanks / self.mean_time * np.exp(xlogy(self.tanks - 1, reduced) - reduced - gammaln(self.tanks))

    def _density_at_once(self) -> float:
        return 0.0 if self.tanks > 1 else 1 / self.mean_time if self.tanks == 1 else np.inf

    def _cumulative(self, age: Array) -> Array:
        return gammainc(self.tanks, self.tanks / self.mean_time * age)

    def _transfer(self, s: Complex) -> Complex:
        return np.exp(-self.tanks * np.log(1 + s * self.mean_time / self.tanks))  # NumPy's whole powers overflow on the way


@dataclass(frozen=True)
class ClosedDispersion(Distribution):
    """Axially dispersed plug flow in a vessel closed at both ends: no dispersion across inlet and outlet.

    >>> ClosedDispersion(60.0, 10.0).cumulative([30.0, 60.0]).round(10).tolist()
    [0.068114206, 0.5803326769]
    """

    mean_time: float
    peclet: float

    @property
    def mean(self) -> float:
        """Mean age (s)."""
        return self.mean_time

    @property
    def variance(self) -> float:
        """Variance of the age (s2)."""
        return 2 * self.mean_time**2 * float(self.peclet + np.expm1(-self.peclet)) / self.peclet**2

    def _density(self, age: Array) -> Array:
        return dispersion.closed_density(age / self.mean_time, self.peclet) / self.mean_time

    def _cumulative(self, age: Array) -> Array:
        return dispersion.closed_cumulative(age / self.mean_time, self.peclet)

    def _transfer(self, s: Complex) -> Complex:
        return dispersion.closed_transfer(s * self.mean_time, self.peclet)


@dataclass(frozen=True)
class OpenDispersion(Distribution):
    """Axially dispersed plug flow between two points of a long pipe. Its mean exceeds L/u: tracer disperses back into the vessel.

    >>> OpenDispersion(60.0, 10.0).mean
    72.0
    """

    transit_time: float
    peclet: float

    @property
    def mean(self) -> float:
        """Mean age (s)."""
        return self.transit_time * (1 + 2 / self.peclet)

    @property
    def variance(self) -> float:
        """Variance of the age (s2)."""
        return self.transit_time**2 * (2 / self.peclet + 8 / self.peclet**2)

    def _density(self, age: Array) -> Array:
        return dispersion.open_density(age / self.transit_time, self.peclet) / self.transit_time

    def _cumulative(self, age: Array) -> Array:
        return dispersion.open_cumulative(age / self.transit_time, self.peclet)

    def _transfer(self, s: Complex) -> Complex:
        return dispersion.open_transfer(s * self.transit_time, self.peclet)


@dataclass(frozen=True)
class DelayedTank(Distribution):
    """A dead time followed by one stirred tank; no delay is :class:`TanksInSeries` with one.

    >>> DelayedTank(60.0, 10.0).density([9.0, 10.0]).tolist()
    [0.0, 0.016666666666666666]
    """

    mean_time: float
    delay: float

    @property
    def mean(self) -> float:
        """Mean age (s)."""
        return self.delay + self.mean_time

    @property
    def variance(self) -> float:
        """Variance of the age (s2)."""
        return self.mean_time**2

    def _density(self, age: Array) -> Array:
        return np.where(age < self.delay, 0.0, np.exp(-np.maximum(age - self.delay, 0.0) / self.mean_time) / self.mean_time)

    def _cumulative(self, age: Array) -> Array:
        return -np.expm1(-np.maximum(age - self.delay, 0.0) / self.mean_time)

    def _transfer(self, s: Complex) -> Complex:
        return np.exp(-s * self.delay) / (1 + s * self.mean_time)
