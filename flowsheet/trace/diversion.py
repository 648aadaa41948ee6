"""A sensor, its limits and a gate: what is diverted, rightly or not, without and with noise. Arrays in, plain data out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr

from flowsheet.tables import intervals_outside
from flowsheet.trace.courses import Interval, amount_within, common, merged


@dataclass(frozen=True, slots=True)
class Gate:
    """How readings move a gate. Times in s; limits and ``noise`` in the unit of the reading, limits NaN where there is none.

    Parameters
    ----------
    lower, upper : limits of the reading.
    delay : from a measurement to its result.
    first, last : when the first and the last of the powder that passes the sensor arrives at the gate, after it has passed it.
    dwell : how much longer the gate stays than it has to.
    noise : standard deviation of one scan.
    scan_time, scans : time between scans, and how many are averaged for a decision; without a time the sensor reads continuously.
    predicts : whether a reading outside its limits diverts what the model predicts to be bad, and not all that passed the sensor meanwhile.
    """

    lower: float
    upper: float
    delay: float = 0.0
    first: float = 0.0
    last: float = 0.0
    dwell: float = 0.0
    noise: float = 0.0
    scan_time: float = 0.0
    scans: int = 1
    predicts: bool = False

    @property
    def period(self) -> float:
        """Time between decisions (s), none for a continuous reading."""
        return self.scan_time * self.scans

    @property
    def deviation(self) -> float:
        """Standard deviation of what a decision is made on."""
        return self.noise / math.sqrt(self.scans)

    def covered(self, a: float, b: float, bad: Sequence[Interval]) -> list[Interval]:
        """Return when the gate diverts for decisions from time ``a`` to time ``b`` that say so.

        That is from the first powder they speak of, or the first result, to the last powder, or the next decision, and the dwell time. A
        gate that predicts begins with the first bad powder among that, or the first result, and ends with the last and the dwell time.
        """
        first, last, result = a - self.period + self.first, b + self.last, a + self.delay
        if self.predicts:
            return [(max(c, result), d + self.dwell) for c, d in bad if first <= d and c <= last and result < d]
        return [(max(first, result), max(last, b + self.period + self.delay) + self.dwell)]


@dataclass(frozen=True, slots=True)
class Window:
    """Powder that is diverted from ``start`` to ``end`` (s): its mass, and how much of it is good (kg)."""

    start: float
    end: float
    mass: float
    good: float


@dataclass(frozen=True, slots=True)
class Diversion:
    """What a gate diverts (kg): in all, good (false), bad (right), and what is bad and passes (missed), without noise and with it as
    expected values (not a number without noise).

    ``false_at_target`` is the probability that one decision diverts at the target, ``false_decisions`` how many of those on good readings
    are expected to, ``decisions`` how many there are; ``unseen`` is, for each stretch of readings outside their limits, its start, its
    end and the probability that no decision says so.
    """

    windows: tuple[Window, ...]
    bad_intervals: tuple[Interval, ...]
    diverted: float
    good_diverted: float
    bad_diverted: float
    missed: float
    expected_good_diverted: float
    expected_missed: float
    false_at_target: float
    false_decisions: float
    decisions: int
    unseen: tuple[tuple[float, float, float], ...]


def false_probability(lower: float, upper: float, value: float | np.ndarray, deviation: float) -> np.ndarray:
    """Return the probability that a reading of a true value with a normal error lies outside its limits (NaN: no such limit).

    For limits at a distance s from the value it is ``2 (1 - Phi(s/deviation))``.

    >>> float(false_probability(-0.05, 0.05, 0.0, 0.025).round(6))
    0.0455
    """
    value = np.asarray(value, dtype=float)
    low = np.zeros_like(value) if math.isnan(lower) else ndtr(_standard(lower - value, deviation))
    high = np.zeros_like(value) if math.isnan(upper) else ndtr(_standard(value - upper, deviation))
    return np.asarray(np.minimum(low + high, 1.0))


def _standard(distance: np.ndarray, deviation: float) -> np.ndarray:
    """Return distances in standard deviations, held where any more would make no difference."""
    with np.errstate(over="ignore"):
        return np.clip(distance / deviation, -1e8, 1e8)


def decision_times(start: float, end: float, gate: Gate) -> np.ndarray:
    """Return when decisions are made (k,): each on the scans of the period before it, itself included."""
    count = math.floor((end - start) / gate.period * (1 + 1e-12))
    return start + gate.period * np.arange(1, count + 1)


def averaged(t: np.ndarray, reading: np.ndarray, times: np.ndarray, gate: Gate) -> np.ndarray:
    """Return the means (k,) of the scans before each decision."""
    shifts = gate.scan_time * np.arange(gate.scans)
    return np.asarray(np.mean([np.interp(times - shift, t, reading) for shift in shifts], axis=0))


def divert(
    t: np.ndarray,
    watched: np.ndarray,
    reading: np.ndarray,
    passed: np.ndarray,
    limits: Interval,
    gate: Gate,
    target: float,
    after: float = 0.0,
) -> Diversion:
    """Return what a gate diverts of the powder that passes it.

    Parameters
    ----------
    t : (n,) times (s).
    watched, reading : (n,) what is specified, at the gate, and what the sensor would read without error.
    passed : (n,) powder that has passed the gate since the start (kg).
    limits : of what is specified, NaN where there is none.
    gate : how it is moved.
    target : of the reading (NaN: not known).
    after : time (s) from which limits hold and decisions are made.
    """
    start, end = max(after, float(t[0])), float(t[-1])
    bad = merged(intervals_outside(t, watched, *limits), start, end)
    if gate.period == 0:
        outside = merged(intervals_outside(t, reading, gate.lower, gate.upper), start, end)
        times, readings = np.empty(0), np.empty(0)
    else:
        times = decision_times(start, end, gate)
        readings = averaged(t, reading, times, gate)
        outside = tuple((time, time) for time in times[(readings < gate.lower) | (readings > gate.upper)].tolist())
    windows = []
    for a, b in merged((cover for c, d in outside for cover in gate.covered(c, d, bad)), start, end):
        mass = amount_within(t, passed, [(a, b)])
        windows.append(Window(a, b, mass, mass - amount_within(t, passed, common([(a, b)], bad))))
    diverted, good = sum(window.mass for window in windows), sum(window.good for window in windows)
    missed = amount_within(t, passed, bad) - (diverted - good)
    noisy = _with_noise(t, passed, bad, gate, times, readings, (start, end)) if gate.noise > 0 else (math.nan, math.nan, math.nan, ())
    at_target = (
        math.nan if gate.noise == 0 or math.isnan(target) else float(false_probability(gate.lower, gate.upper, target, gate.deviation))
    )
    return Diversion(
        windows=tuple(windows),
        bad_intervals=bad,
        diverted=diverted,
        good_diverted=good,
        bad_diverted=diverted - good,
        missed=max(missed, 0.0),
        expected_good_diverted=noisy[0],
        expected_missed=noisy[1],
        false_at_target=at_target,
        false_decisions=noisy[2],
        decisions=len(times),
        unseen=noisy[3],
    )


Noisy = tuple[float, float, float, tuple[tuple[float, float, float], ...]]


def _with_noise(
    t: np.ndarray, passed: np.ndarray, bad: Sequence[Interval], gate: Gate, times: np.ndarray, readings: np.ndarray, span: Interval
) -> Noisy:
    """Return good powder that is diverted and bad powder that passes (expected values, kg), the expected number of false decisions, and
    for each stretch of readings outside their limits its start, its end and the probability that it is not seen.

    Errors of decisions are independent: they share no scan. Powder passes if none of the decisions that speak of it says otherwise.
    """
    wrong = false_probability(gate.lower, gate.upper, readings, gate.deviation)
    quiet = _log_within(gate, readings)
    covers = [(k, *cover) for k, time in enumerate(times.tolist()) for cover in gate.covered(time, time, bad)]
    quiet_of = np.array([quiet[k] for k, _, _ in covers])
    begins, ends = (np.clip(np.array([cover[side] for cover in covers]), *span) for side in (1, 2))
    edges = np.unique(np.concatenate([begins, ends, np.array(bad).ravel(), span, t[(t > span[0]) & (t < span[1])]]))
    change = np.zeros(len(edges))
    np.add.at(change, np.searchsorted(edges, begins), quiet_of)
    np.add.at(change, np.searchsorted(edges, ends), -quiet_of)
    passes = np.exp(np.minimum(np.cumsum(change)[:-1], 0.0))
    mass = np.diff(np.interp(edges, t, passed))
    middles = (edges[:-1] + edges[1:]) / 2
    is_bad = np.zeros(len(middles), dtype=bool)
    for a, b in bad:
        is_bad |= (middles > a) & (middles < b)
    out = (readings < gate.lower) | (readings > gate.upper)
    unseen = []
    for first, last in _runs(out):
        unseen.append((float(times[first]), float(times[last]), math.exp(float(quiet[first : last + 1].sum()))))
    return float(((1 - passes) * mass)[~is_bad].sum()), float((passes * mass)[is_bad].sum()), float(wrong[~out].sum()), tuple(unseen)


def _log_within(gate: Gate, readings: np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability that a decision does not divert, held above -700 so that sums of it can be taken back."""
    scale = gate.deviation
    if math.isnan(gate.lower) or math.isnan(gate.upper):
        away = gate.upper - readings if math.isnan(gate.lower) else readings - gate.lower
        return np.maximum(log_ndtr(_standard(away, scale)), -700.0)
    above, below = _standard(gate.lower - readings, scale), _standard(gate.upper - readings, scale)
    # in the tail where both are alike, so that their difference keeps its digits
    mirrored = above > 0
    a, b = np.where(mirrored, -below, above), np.where(mirrored, -above, below)
    with np.errstate(divide="ignore"):
        return np.maximum(log_ndtr(b) + np.log1p(-np.exp(np.minimum(log_ndtr(a) - log_ndtr(b), 0.0))), -700.0)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last place of each stretch of true values.

    >>> _runs(np.array([True, False, True, True]))
    [(0, 0), (2, 3)]
    """
    padded = np.concatenate([[False], flags, [False]]).astype(int)
    edges = np.flatnonzero(np.diff(padded))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
