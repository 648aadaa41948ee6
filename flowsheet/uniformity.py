"""Uniformity of dosage units by content, USP <905>: acceptance values, verdicts of both stages, virtual samples. Arrays in, arrays out.

Contents are in % of the label claim. The general chapter is harmonized with the European and Japanese pharmacopeias (Ph. Eur. 2.9.40).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvers.errors import UsageError

STAGE_1, STAGE_2 = 10, 30
NO_TABLET = 1.0
"""Content (% of the label claim) below which there is no tablet, as while a turret stands."""
"""Units that each stage assays, the second those of the first included."""
ACCEPTABILITY = {STAGE_1: 2.4, STAGE_2: 2.0}
"""Acceptability constant k by the number of units."""
MOST_VALUE = 15.0
"""L1: largest acceptance value, at both stages."""
WIDEST_UNIT = 25.0
"""L2: how far a single unit of stage 2 may lie from the reference value, in % of it. It limits no acceptance value."""
LOWEST_REFERENCE, HIGHEST_REFERENCE = 98.5, 101.5
TRIALS = 10_000
"""Virtual tests that a probability is made from: its standard error is 0.005 at most."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Acceptance values of one test or many; numbers or arrays in % of the label claim."""

    mean: Any
    deviation: Any
    reference: Any
    value: Any
    lowest: Any
    highest: Any

    @property
    def passes_stage_1(self) -> Any:
        """Whether ten units are uniform: the acceptance value is at most 15.0. What is not a number does not pass."""
        return self.value <= MOST_VALUE

    @property
    def passes_stage_2(self) -> Any:
        """Whether thirty units are uniform: as at stage 1, and no unit further than 25 % of the reference value from it."""
        low, high = ((1 + sign * WIDEST_UNIT / 100) * self.reference for sign in (-1, 1))
        return self.passes_stage_1 & (self.lowest >= low) & (self.highest <= high)


def acceptance_value(contents: Any, target: float = 100.0) -> Acceptance:
    """Return acceptance values, ``AV = |M - X| + k s``.

    X and s are mean and standard deviation (with n - 1); k is 2.4 for 10 units and 2.0 for 30; the reference value M is X held
    between 98.5 % and 101.5 %, or between 98.5 % and the target where that is above 101.5 %. Nothing is rounded.

    Parameters
    ----------
    contents : (..., 10) or (..., 30) contents of single units (% of the label claim).
    target : T, the mean content aimed at when the units are made (% of the label claim).

    Raises
    ------
    UsageError : another number of units, or a target that is not positive.

    >>> ten = [98.2, 99.1, 100.4, 101.0, 99.7, 100.9, 98.8, 100.2, 99.5, 101.2]
    >>> found = acceptance_value(ten)
    >>> round(float(found.value), 6), bool(found.passes_stage_1)
    (2.423881, True)
    """
    units = np.asarray(contents, dtype=float)
    number = units.shape[-1] if units.ndim else 0
    if number not in ACCEPTABILITY:
        raise UsageError(f"an acceptance value takes {STAGE_1} or {STAGE_2} units (got {number})", hint="USP <905> has no k for others")
    if not (math.isfinite(target) and target > 0):
        raise UsageError(f"the target has to be a positive percentage of the label claim (got {target!r})")
    mean, deviation = units.mean(axis=-1), units.std(axis=-1, ddof=1)
    reference = np.clip(mean, LOWEST_REFERENCE, max(HIGHEST_REFERENCE, target))
    value = np.abs(reference - mean) + ACCEPTABILITY[number] * deviation
    return Acceptance(mean, deviation, reference, value, units.min(axis=-1), units.max(axis=-1))


def spread_factors(random: np.random.Generator, deviations: Sequence[float], shape: tuple[int, ...]) -> np.ndarray:
    """Return random factors of mean one with the relative standard deviations of independent causes.

    They are log-normal, so that no content is negative: exp(s z - s^2/2) with s^2 = ln(1 + rsd^2) has exactly that mean and deviation.
    """
    variance = sum(math.log1p(deviation**2) for deviation in deviations)
    return np.exp(math.sqrt(variance) * random.standard_normal(shape) - variance / 2)


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """Tablets taken while they are made, in the order of their drawing: the first ten are stage 1, the first thirty stage 2."""

    times: np.ndarray
    contents: np.ndarray


def take_sample(
    t: np.ndarray, content: np.ndarray, window: tuple[float, float], tablets: int, deviations: Sequence[float], seed: int
) -> Sample:
    """Return virtual tablets taken at equal intervals of the time in which tablets are made, and drawn in random order.

    Parameters
    ----------
    t, content : (n,) times (s) and mean content of the tablets made then (% of the label claim); straight lines between.
    window : first and last time of sampling (s).
    tablets : how many.
    deviations : relative standard deviations of single tablets around that mean, one for each independent cause (-).
    seed : of the random numbers: the same one gives the same sample.
    """
    random = np.random.default_rng([seed, 0])
    times = random.permutation(times_of_making(t, content, window, (np.arange(tablets) + 0.5) / tablets))
    return Sample(times, np.interp(times, t, content) * spread_factors(random, deviations, (tablets,)))


def times_of_making(t: np.ndarray, content: np.ndarray, window: tuple[float, float], shares: np.ndarray) -> np.ndarray:
    """Return times (s) at shares of the time within a window in which tablets are made: the content there is above :data:`NO_TABLET`.

    Where none is made at all, the shares are those of the window.

    >>> t, content = np.array([0.0, 10.0, 11.0, 19.0, 20.0, 30.0]), np.array([100.0, 100.0, 0.0, 0.0, 100.0, 100.0])
    >>> times_of_making(t, content, (0.0, 30.0), np.array([0.25, 0.75]))
    array([ 5., 25.])
    """
    start, end = window
    points = np.concatenate([[start], t[(t > start) & (t < end)], [end]])
    values = np.interp(points, t, content)
    made = np.minimum(values[:-1], values[1:]) > NO_TABLET
    if not made.any():
        return np.asarray(start + (end - start) * shares)
    begins, lengths = points[:-1][made], np.diff(points)[made]
    ends = np.cumsum(lengths)
    wanted = shares * ends[-1]
    k = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
    return np.asarray(begins[k] + wanted - (ends[k] - lengths[k]))


def pass_probabilities(
    t: np.ndarray, content: np.ndarray, window: tuple[float, float], deviations: Sequence[float], target: float, seed: int
) -> tuple[float, float]:
    """Return the shares of :data:`TRIALS` virtual tests that pass at stage 1, and at stage 1 or 2.

    Each trial draws thirty tablets at random times of the window. Arguments as for :func:`take_sample` and :func:`acceptance_value`.
    """
    random = np.random.default_rng([seed, 1])
    times = times_of_making(t, content, window, random.uniform(0.0, 1.0, (TRIALS, STAGE_2)))
    contents = np.interp(times, t, content) * spread_factors(random, deviations, (TRIALS, STAGE_2))
    first = acceptance_value(contents[:, :STAGE_1], target).passes_stage_1
    second = acceptance_value(contents, target).passes_stage_2
    return float(first.mean()), float((first | second).mean())
