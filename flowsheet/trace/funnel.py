"""Funnel plots: how large and how long a disturbance may be, from the step response of a chain of units (Garcia-Munoz et al. 2018).

About an operating point the answer to a rectangular disturbance is the difference of two step responses, ``S(t) - S(t - d)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from units.funnel import funnel_peak

SETTLED = 0.02
"""A step response is settled if it has changed by less than this share of its largest value over the last tenth of its window."""
LASTING = 0.2
"""A response that ends below this share of its largest value returns: a controller takes what lasts back."""
QUANTILES = (0.05, 0.5, 0.95)
"""Shares of the end value of a step response between whose times powder is said to arrive."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a lasting step response says of the chain of units behind it: ``gain`` is its end value, ``mean`` (s) and ``variance`` (s2) are
    those of the residence time.
    """

    gain: float
    mean: float
    variance: float

    @property
    def tanks(self) -> float:
        """Number of equal tanks in series with that mean and variance (infinite for a plug)."""
        return self.mean**2 / self.variance if self.variance > 0 else math.inf


def chain(t: np.ndarray, response: np.ndarray) -> Chain | None:
    """Return mean and variance of a chain from its step response (n,) at times ``t`` (n,) since the step; None if it does not last.

    ``mean = int 1 - S/S_end dt``, ``variance = 2 int t (1 - S/S_end) dt - mean^2``, by the trapezoidal rule.
    """
    if not lasts(t, response):
        return None
    left = 1 - response / response[-1]
    mean = float(np.trapezoid(left, t))
    variance = float(2 * np.trapezoid(t * left, t)) - mean**2
    return Chain(float(response[-1]), mean, variance) if mean > 0 else None


def lasts(t: np.ndarray, response: np.ndarray) -> bool:
    """Tell whether a step response has come to rest away from zero."""
    return settles(t, response) and bool(abs(response[-1]) >= LASTING * np.max(np.abs(response)))


def settles(t: np.ndarray, response: np.ndarray) -> bool:
    """Tell whether a step response has come to rest."""
    largest = float(np.max(np.abs(response)))
    late = response[t >= t[0] + 0.9 * (t[-1] - t[0])]
    return largest > 0 and float(np.ptp(late)) < SETTLED * largest


def pulse_extremes(t: np.ndarray, response: np.ndarray, duration: float, *, beyond: bool) -> tuple[float, float, float]:
    """Return the highest and the lowest answer to a rectangle of height one and a duration (s), and when the larger of both is (s).

    Step responses are straight lines between their points and zero before them; after them as at the end, where one may look ``beyond``.
    So their difference is highest and lowest at a point of one of the two, and the error is of second order in the distance of points.
    """
    times = np.concatenate([t, t + duration])
    if not beyond:
        times = times[times <= t[-1]]
    answer = np.interp(times, t, response) - np.interp(times - duration, t, response, left=0.0)
    high, low = int(np.argmax(answer)), int(np.argmin(answer))
    larger = high if answer[high] >= -answer[low] else low
    return max(float(answer[high]), 0.0), min(float(answer[low]), 0.0), float(times[larger])


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """One duration (s) of a disturbance of height one: the highest and lowest answer and when the larger is (s); the largest heights up and
    down that keep the limits (inf where nothing limits them); and, for tanks in series, the highest answer and the largest heights.
    """

    duration: float
    high: float
    low: float
    peak_time: float
    most_up: float
    most_down: float
    tanks_peak: float
    tanks_up: float
    tanks_down: float


def funnel_rows(t: np.ndarray, response: np.ndarray, durations: Sequence[float], room_up: float, room_down: float) -> list[FunnelRow]:
    """Return how large a disturbance may be for each duration.

    Parameters
    ----------
    t, response : (n,) step response of the watched variable for a step of height one, and its times since then (s).
    durations : of the disturbance (s).
    room_up, room_down : how far the variable may rise and fall (infinite where it has no limit).
    """
    found, rows = chain(t, response), []
    settled = settles(t, response)
    for duration in durations:
        high, low, when = pulse_extremes(t, response, duration, beyond=settled)
        up, down = _most(high, low, room_up, room_down)
        share = math.nan if found is None else _tanks_share(found, duration)
        peak = math.nan if found is None else share * found.gain
        tanks_up, tanks_down = (math.nan, math.nan) if found is None else _most(max(peak, 0.0), min(peak, 0.0), room_up, room_down)
        rows.append(FunnelRow(duration, high, low, when, up, down, peak, tanks_up, tanks_down))
    return rows


def _most(high: float, low: float, room_up: float, room_down: float) -> tuple[float, float]:
    """Return the largest heights of a disturbance upwards and downwards, whose answer per height lies between low and high."""
    rises, falls = max(high, 0.0), max(-low, 0.0)
    return min(_over(room_up, rises), _over(room_down, falls)), min(_over(room_down, rises), _over(room_up, falls))


def _over(room: float, answer: float) -> float:
    return room / answer if answer > 0 else math.inf


def _tanks_share(found: Chain, duration: float) -> float:
    # a plug of any shape lets a disturbance pass whole; so do very many tanks unless it is very short
    return 1.0 if found.tanks > 1e6 else float(funnel_peak(found.tanks, duration / found.mean)[0])


def arrival_times(t: np.ndarray, response: np.ndarray) -> tuple[float, ...] | None:
    """Return when a lasting step response first reaches the shares :data:`QUANTILES` of its end value (s); None if it does not last."""
    if not lasts(t, response):
        return None
    return tuple(_first_time(t, response / response[-1], share) for share in QUANTILES)


def _first_time(t: np.ndarray, course: np.ndarray, level: float) -> float:
    above = int(np.argmax(course >= level))
    if above == 0:
        return float(t[0])
    a, b = course[above - 1], course[above]
    return float(t[above - 1] + (t[above] - t[above - 1]) * (level - a) / (b - a))
