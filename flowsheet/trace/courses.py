"""Passages and amounts from courses over time. Arrays in, plain data out; courses are straight lines between their points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flowsheet.tables import intervals_beyond

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Passage:
    """When something is at a place (times in s, NaN where there is no such time; ``peak`` in the unit of the course).

    Parameters
    ----------
    arrives : when the course first lies above the limit; the start if it does from the start.
    peak, peak_time : its largest value, and when it is first there.
    passes : when it leaves the stretch above the limit that holds the peak.
    gone : when it lies above the limit for the last time; NaN if it does at the end.
    intervals : all stretches above the limit.
    """

    arrives: float
    peak: float
    peak_time: float
    passes: float
    gone: float
    intervals: tuple[Interval, ...]

    @property
    def comes(self) -> bool:
        """Whether it is ever there."""
        return bool(self.intervals)


def passage(t: np.ndarray, course: np.ndarray, limit: float) -> Passage:
    """Return when a course (n,) at times ``t`` (n,) lies above a limit; where it is not a number nothing is there.

    >>> found = passage(np.array([0.0, 10.0, 20.0, 30.0]), np.array([0.0, 1.0, 0.0, 0.0]), 0.1)
    >>> found.arrives, found.peak, found.peak_time, found.gone
    (1.0, 1.0, 10.0, 19.0)
    >>> passage(np.array([0.0, 10.0]), np.array([0.0, 1.0]), 0.1).gone
    nan
    """
    intervals = intervals_beyond(t, course, limit)
    known = np.isfinite(course)
    if not known.any():
        return Passage(math.nan, math.nan, math.nan, math.nan, math.nan, ())
    place = int(np.argmax(np.where(known, course, -np.inf)))
    peak, peak_time = float(course[place]), float(t[place])
    if not intervals:
        return Passage(math.nan, peak, peak_time, math.nan, math.nan, ())
    end = float(t[-1])
    main = next((b for a, b in intervals if a <= peak_time <= b), intervals[-1][1])
    last = intervals[-1][1]
    return Passage(intervals[0][0], peak, peak_time, main if main < end else math.nan, last if last < end else math.nan, intervals)


def amount_within(t: np.ndarray, cumulated: np.ndarray, intervals: Iterable[Interval]) -> float:
    """Return how much of a cumulated amount (n,) falls into intervals of time.

    >>> amount_within(np.array([0.0, 10.0]), np.array([0.0, 5.0]), [(2.0, 4.0), (9.0, 10.0)])
    1.5
    """
    return float(sum(np.interp(b, t, cumulated) - np.interp(a, t, cumulated) for a, b in intervals))


def merged(intervals: Iterable[Interval], start: float = -math.inf, end: float = math.inf) -> tuple[Interval, ...]:
    """Return the union of intervals as far as it lies between start and end, in order.

    >>> merged([(5.0, 7.0), (0.0, 2.0), (1.0, 3.0)], 0.5, 6.0)
    ((0.5, 3.0), (5.0, 6.0))
    """
    found: list[Interval] = []
    for a, b in sorted((max(a, start), min(b, end)) for a, b in intervals):
        if b <= a:
            continue
        if found and a <= found[-1][1]:
            found[-1] = (found[-1][0], max(b, found[-1][1]))
        else:
            found.append((a, b))
    return tuple(found)


def common(some: Sequence[Interval], others: Sequence[Interval]) -> tuple[Interval, ...]:
    """Return where intervals and others overlap.

    >>> common([(0.0, 4.0)], [(3.0, 5.0), (6.0, 7.0)])
    ((3.0, 4.0),)
    """
    return merged((max(a, c), min(b, d)) for a, b in some for c, d in others)


def quotient(part: np.ndarray, whole: np.ndarray, least: float) -> np.ndarray:
    """Return part over whole, not a number where the whole is not above ``least``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > least, part / whole, np.nan)
