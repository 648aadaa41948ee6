"""Pulses of inputs: the run with one against the same run without it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowsheet.case import ProfileSpec
from flowsheet.trace.courses import Passage, amount_within, merged, passage
from flowsheet.trace.lots import Courses
from solvers.declare import Interpolation, Profile

LEAST_SCALE = 1e-9
"""A variable whose largest value in the run without the disturbance is below this has no relative deviation."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A profile that leaves the value it begins with and returns to it: when (s), to which extreme (in ``unit``, SI), and the profile
    without it.
    """

    variable: str
    unit: str
    label: str
    start: float
    end: float
    base: float
    height: float
    without: Profile


@dataclass(frozen=True, eq=False, slots=True)
class Effect:
    """What a disturbance does to one variable: the relative deviation (n,) of the run with it from the run without, over ``scale``, the
    largest value without; when the absolute of it is above the threshold; ``peak`` with its sign (in ``unit``).
    """

    variable: str
    unit: str
    scale: float
    deviation: np.ndarray
    passage: Passage
    peak: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a disturbance takes out by one unit (kg): the component's mass more than without it, powder whose fraction of it deviates by
    more than the threshold (None where only vapor leaves), and how many tablets that is (None where none are made).
    """

    place: str
    excess: float
    product: float | None
    tablets: float | None


@dataclass(frozen=True, eq=False, slots=True)
class Disturbance:
    """A pulse, the component whose fractions it changes most, and what it does along the line and to what leaves it."""

    pulse: Pulse
    component: str
    effects: tuple[Effect, ...]
    leaving: tuple[Leaving, ...]


def pulses_of(profile: ProfileSpec, horizon: float) -> Iterator[Pulse]:
    """Yield the pulses of a profile that end within the horizon (s); a profile without a label is no disturbance.

    >>> spec = ProfileSpec("feeder.disturbance", Profile([0.0, 60.0, 90.0, 120.0], [0.0, 0.2, 0.0, 0.1]), "", "a bridge breaks")
    >>> [(pulse.start, pulse.end, pulse.height) for pulse in pulses_of(spec, 600.0)]
    [(60.0, 90.0, 0.2)]
    """
    times, values = profile.profile.times, profile.profile.values
    base, linear = values[0], profile.profile.interpolation is Interpolation.LINEAR
    first = None
    for k, value in enumerate(values if profile.label else ()):
        if value != base and first is None:
            first = k
        elif value == base and first is not None:
            begin = times[first - 1] if linear else times[first]
            if begin < horizon and times[k] <= horizon:
                flat = [base if first <= j < k else each for j, each in enumerate(values)]
                extreme = max(values[first:k], key=lambda each: abs(each - base))
                yield Pulse(
                    profile.variable,
                    profile.unit,
                    profile.label,
                    begin,
                    times[k],
                    base,
                    extreme - base,
                    replace(profile.profile, values=flat),
                )
            first = None


def effect(variable: str, unit: str, t: np.ndarray, with_it: np.ndarray, without: np.ndarray, threshold: float) -> Effect | None:
    """Return what a disturbance does to a variable, None if that is zero without it.

    >>> t = np.array([0.0, 10.0, 20.0])
    >>> round(effect("press.assay[api]", "", t, np.array([0.1, 0.08, 0.1]), np.full(3, 0.1), 0.01).peak, 9)
    -0.02
    """
    known = without[np.isfinite(without)]
    scale = float(np.max(np.abs(known))) if len(known) else 0.0
    if scale < LEAST_SCALE:
        return None
    deviation = (with_it - without) / scale
    found = passage(t, np.abs(deviation), threshold)
    place = int(np.searchsorted(t, found.peak_time)) if np.isfinite(deviation).any() else 0
    return Effect(variable, unit, scale, deviation, found, float(with_it[place] - without[place]))


def most_affected(components: Sequence[str], sources: Sequence[str], with_it: Courses, without: Courses) -> str:
    """Return the component whose fraction, in any stream from the named outlets, deviates most from that without the disturbance, over its
    largest value there; an empty text if there is none.
    """
    largest = {
        c: max((_deviation(with_it(name), without(name)) for source in sources for name in [f"{source}_fraction[{c}]"]), default=0.0)
        for c in components
    }
    worst = max(largest, key=lambda c: largest[c], default="")
    return worst if worst and largest[worst] > LEAST_SCALE else ""


def _deviation(with_it: np.ndarray, without: np.ndarray) -> float:
    scale = float(np.max(np.abs(without)))
    # traces of what is all but absent are rounding
    return float(np.max(np.abs(with_it - without))) / scale if scale > 1e-6 else 0.0


def follow_disturbance(
    pulse: Pulse,
    component: str,
    t: np.ndarray,
    with_it: Courses,
    without: Courses,
    variables: Mapping[str, str],
    exits: Mapping[str, Sequence[str]],
    presses: Sequence[str],
    threshold: float,
    vents: Collection[str] = (),
) -> Disturbance:
    """Return what a pulse does.

    Parameters
    ----------
    pulse, component : the pulse, and the component that is followed (empty for none).
    t : (n,) times (s) of both runs.
    with_it, without : give courses of both by name.
    variables : what is looked at, with units.
    exits : units by which powder leaves, with their materials; ``presses`` make tablets.
    threshold : relative deviation above which the disturbance is there.
    vents : exits by which no product leaves, but what a dryer's air takes along.
    """
    found = (effect(name, unit, t, with_it(name), without(name), threshold) for name, unit in variables.items())
    leaving = []
    for unit, materials in exits.items():
        if component not in materials:
            continue
        fractions = [run(f"{unit}.withdrawal[{component}]") / _whole(run, unit, materials) for run in (with_it, without)]
        there = effect(unit, "", t, fractions[0], fractions[1], threshold)
        stretches = merged(there.passage.intervals) if there else ()
        name = f"balance.left_mass[{unit},{component}]"
        excess = float(with_it(name)[-1] - without(name)[-1])
        product = None if unit in vents else amount_within(t, with_it(f"balance.passed_mass[{unit}]"), stretches)
        tablets = amount_within(t, with_it(f"balance.tablets[{unit}]"), stretches) if unit in presses else None
        leaving.append(Leaving(unit, excess, product, tablets))
    return Disturbance(pulse, component, tuple(each for each in found if each is not None), tuple(leaving))


def _whole(run: Courses, unit: str, materials: Sequence[str]) -> np.ndarray:
    flow = np.sum([run(f"{unit}.withdrawal[{c}]") for c in materials], axis=0)
    return np.where(flow > 1e-9, flow, np.nan)
