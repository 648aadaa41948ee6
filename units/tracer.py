r"""Measured tracer curves: their moments, and the distribution of residence time that turns a measured inlet into a measured outlet.

**Moments** of a record of straight lines are exact; from a time that is named on, a fitted exponential stands for it, without end.

**Deconvolution.** The shares :math:`m_j \ge 0`, :math:`\sum m_j = 1`, of equal age intervals minimize

.. math::  \sum_i \bigl(y_i - \sum_j A_{ij} m_j\bigr)^2 + \lambda^2 \sum_j (m_{j-1} - 2 m_j + m_{j+1})^2

(Tikhonov, by non-negative least squares, Lawson and Hanson 1974, chapter 23), where :math:`A_{ij}` is the exact mean of the inlet over
the times at which what leaves at :math:`t_i` with that age came in. The strength lambda is given; or such that the misfit is the most
that noise explains (discrepancy principle, Morozov 1966: two standard deviations above the usual); or that of least generalized cross
validation (Golub, Heath and Wahba 1979, Technometrics 21:215).

| symbol | name | meaning | unit |
|---|---|---|---|
| x, y | `inlet`, `outlet` | records of one tracer on one scale, at one clock | any |
| m | shares | share of what leaves in an age interval | - |
| lambda | `strength` | weight of roughness | that of the records |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr
from scipy.optimize import brentq, least_squares, nnls

from solvers.errors import UsageError
from units.arguments import positive, record
from units.measured_ages import MeasuredAges

Array = NDArray[np.float64]

STRENGTHS = np.logspace(-7.0, 4.0, 67)
"""Strengths that are tried, over the ratio of the norms of what they weigh."""

MOST_STEPS = 100
"""Steps of the non-negative least squares for each share, at most; with hardly any smoothing three are too few."""


@dataclass(frozen=True)
class TracerMoments:
    """What a pulse of tracer says of the ages: area (signal times s), mean (s), variance (s2).

    ``beyond`` is the share of the area that lies after the record, and ``tail_time`` (s) the time constant of the tail; zero without one.
    """

    area: float
    mean: float
    variance: float
    beyond: float = 0.0
    tail_time: float = 0.0


def tracer_moments(times: ArrayLike, signal: ArrayLike, *, baseline: float = 0.0, tail_from: float | None = None) -> TracerMoments:
    """Return area, mean and variance of a tracer curve.

    Mean and variance of a vessel are the differences between its outlet's and its inlet's.

    Parameters
    ----------
    times, signal : (n,) record, times in s, a straight line between points.
    baseline : what the signal is without tracer.
    tail_from : from this time on an exponential, fitted to the record there, stands for it and goes on after it; without it
        the curve ends with the record.

    Raises
    ------
    UsageError : a faulty record, an area or variance that is not positive, or a tail that does not decay.

    Examples
    --------
    >>> t = np.linspace(0.0, 120.0, 2401)
    >>> found = tracer_moments(t, np.exp(-t / 60.0), tail_from=60.0)
    >>> round(found.mean, 2), round(found.variance), round(found.beyond, 4)
    (60.0, 3600, 0.1353)
    """
    t, c = record(3, times, signal=signal)
    c = c - baseline
    height, decay, last = 0.0, 0.0, t[-1]
    if tail_from is not None:
        height, decay = _tail(t, c, tail_from)
        last = tail_from
        before = t < last
        t, c = np.append(t[before], last), np.append(c[before], height)
    middle, half = 0.5 * (t[1:] + t[:-1]), 0.5 * np.diff(t)
    at = (middle[:, None] + half[:, None] * np.array([-1, 1]) / np.sqrt(3)).ravel()  # two Gauss points: exact to cubics
    mass = np.repeat(half, 2) * np.interp(at, t, c)
    area = mass.sum() + height * decay
    if not area > 0:
        raise UsageError("the tracer curve has no area", names=["signal"], hint="check the baseline")
    mean = (mass @ at + height * decay * (last + decay)) / area
    beyond_mean = height * decay * ((last + decay - mean) ** 2 + decay**2)
    variance = (mass @ (at - mean) ** 2 + beyond_mean) / area
    if not variance > 0:
        raise UsageError("the tracer curve has a variance that is not positive", names=["signal"], hint="check baseline and tail")
    beyond = height * decay * np.exp(-(np.max(times) - last) / decay) / area if decay else 0.0
    return TracerMoments(float(area), float(mean), float(variance), float(beyond), float(decay))


def _tail(t: Array, c: Array, start: float) -> tuple[float, float]:
    """Return height at ``start`` and time constant of the exponential that fits what comes after it best."""
    if not start >= t[0]:
        raise UsageError(f"the tail begins at {start:g} s, before the record", names=["tail_from"], hint="begin it behind the peak")
    late = t >= start
    t, c = t[late] - start, c[late]
    if t.size < 4 or not (t[-1] > t[0] and max(c[0], c[1]) > 0):
        hint = "begin it earlier: it takes four points, the first of them above the baseline"
        raise UsageError(f"no tail to fit after {start:g} s", names=["tail_from"], hint=hint)
    first = [max(c[0], c[1]), np.log(t[-1] / 2)]
    found = least_squares(lambda p: p[0] * np.exp(-t * np.exp(-p[1])) - c, first, x_scale=[np.max(np.abs(c)), 1.0])
    height, decay = float(found.x[0]), float(np.exp(found.x[1]))
    if not (found.success and height > 0 and decay < 10 * t[-1]):
        raise UsageError(
            f"the signal does not decay after {start:g} s", names=["tail_from"], hint="check the baseline, or begin the tail elsewhere"
        )
    return height, decay


@dataclass(frozen=True)
class Deconvolution:
    """A distribution found from records, the strength of its smoothing, the outlet (n,) that it gives, and its root mean square misfit."""

    distribution: MeasuredAges
    strength: float
    outlet: Array
    misfit: float


def deconvolve(
    times: ArrayLike,
    inlet: ArrayLike,
    outlet: ArrayLike,
    *,
    oldest: float,
    cells: int = 100,
    noise: float | None = None,
    strength: float | None = None,
) -> Deconvolution:
    """Return the distribution of residence time that turns a measured inlet into a measured outlet.

    Parameters
    ----------
    times, inlet, outlet : (n,) records; the inlet is a straight line between points, and constant before the first.
    oldest : age (s) by which all has left.
    cells : number of age intervals.
    noise : standard deviation of the outlet, in its unit, if it is known.
    strength : weight of roughness, if it is to be given.

    Raises
    ------
    UsageError : a faulty record, an inlet that does not change, ``noise`` and ``strength`` together, or records that no distribution joins
        within the noise.
    """
    t, x, y = record(4, times, inlet=inlet, outlet=outlet)
    if np.ptp(x) == 0:
        raise UsageError("the inlet does not change: it tells nothing of the ages", names=["inlet"])
    if noise is not None and strength is not None:
        raise UsageError("noise and strength are two ways to say one thing", names=["noise", "strength"], hint="give one of them")
    if cells < 4:
        raise UsageError(f"cells have to be 4 or more (got {cells})", names=["cells"])
    ages = np.linspace(0.0, positive("oldest", oldest), cells + 1)
    problem = _Smoothing(_means(t, x, ages), y)
    if strength is None:
        strength = problem.cross_validated() if noise is None else problem.at_noise(positive("noise", noise))
    shares = problem.shares(positive("strength", strength))
    fitted = problem.matrix @ shares
    cumulative = np.append(0.0, np.cumsum(shares))
    cumulative[-1] = 1.0
    return Deconvolution(MeasuredAges(ages, np.minimum(cumulative, 1.0)), strength, fitted, float(np.sqrt(np.mean((fitted - y) ** 2))))


def _means(t: Array, x: Array, ages: Array) -> Array:
    """Return the mean of the inlet while what leaves at a time with an age between two came in, (n, m)."""
    passed = np.append(0.0, np.cumsum(0.5 * (x[1:] + x[:-1]) * np.diff(t)))
    at = np.subtract.outer(t, ages)
    piece = np.clip(np.searchsorted(t, at, side="right") - 1, 0, t.size - 2)
    since, width = np.maximum(at - t[piece], 0.0), t[piece + 1] - t[piece]
    slope = np.divide(x[piece + 1] - x[piece], width, out=np.zeros_like(at), where=width > 0)
    integral = np.where(at < t[0], x[0] * (at - t[0]), passed[piece] + since * (x[piece] + 0.5 * slope * since))
    return (integral[:, :-1] - integral[:, 1:]) / np.diff(ages)


class _Smoothing:
    """The least squares of a deconvolution at any strength."""

    def __init__(self, matrix: Array, data: Array) -> None:
        self.matrix, self.data, cells = matrix, data, matrix.shape[1]
        self.rough = -2.0 * np.eye(cells) + np.eye(cells, k=1) + np.eye(cells, k=-1)
        self.rough = self.rough[1:]  # free at age zero, nothing beyond the oldest
        self.scale = float(np.linalg.norm(matrix, 2))

    def shares(self, strength: float) -> Array:
        """Return the shares, not negative, that sum to one."""
        one = 1e3 * self.scale  # a heavy equation; the little that it leaves is scaled away
        left = np.vstack((self.matrix, strength * self.rough, np.full(self.matrix.shape[1], one)))
        aim = np.concatenate((self.data, np.zeros(len(self.rough)), [one]))
        found = nnls(left, aim, maxiter=MOST_STEPS * self.matrix.shape[1])[0]
        return found / found.sum()

    def misfit(self, strength: float) -> float:
        return float(np.sqrt(np.mean((self.matrix @ self.shares(strength) - self.data) ** 2)))

    def at_noise(self, noise: float) -> float:
        """Return the strength at which the misfit is the most that noise explains: its mean square has a deviation of sqrt(2/n)."""
        noise *= 1 + np.sqrt(2 / self.data.size)
        low, high = np.log(self.scale * STRENGTHS[[0, -1]])
        least = self.misfit(np.exp(low))
        if least > noise:
            raise UsageError(
                f"no distribution joins inlet and outlet within the noise: misfit {least:.3g}, noise {noise:.3g}",
                names=["noise"],
                hint="look for another gain, baseline or clock of the two records, or for ages beyond the oldest",
            )
        if self.misfit(np.exp(high)) <= noise:
            return float(np.exp(high))
        return float(np.exp(brentq(lambda log: self.misfit(np.exp(log)) - noise, low, high, xtol=0.01)))

    def cross_validated(self) -> float:
        """Return the strength of least generalized cross validation, of the problem without bounds."""
        scores = []
        for strength in self.scale * STRENGTHS:
            basis = qr(np.vstack((self.matrix, strength * self.rough)), mode="economic")[0][: self.data.size]
            left = self.data - basis @ (basis.T @ self.data)
            scores.append(left @ left / (self.data.size - np.sum(basis**2)) ** 2)
        return float(self.scale * STRENGTHS[int(np.argmin(scores))])
