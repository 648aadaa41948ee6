"""Step responses of a case about its running point, and the funnels that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowsheet.case import Case, FunnelSpec, Specification
from flowsheet.problems import CaseErrors, Problem
from flowsheet.run import profiles_of
from flowsheet.trace.disturbances import Pulse
from flowsheet.trace.funnel import Chain, FunnelRow, chain, funnel_rows, pulse_extremes, settles
from solvers import DaeSystem, Trajectory, simulate
from solvers.declare import Interpolation, Profile

POINTS = 4001
"""Points of a step response."""
ROUNDING = 1e-7
"""Changes of a variable below this, over its largest value, are those of the integrator."""
SHORTEST_STEP = 1e-6
"""Time (s) between them at least."""
DURATIONS = 30
SHORTEST, LONGEST = 0.02, 5.0
"""Durations of a funnel over the mean residence time of its chain, unless the case names its own."""
USUAL_STEP = 0.05
"""Height of a step over the value of its input, where neither the case nor a disturbance says one."""


@dataclass(slots=True)
class Runner:
    """Runs one case with changed inputs, on the system that was lowered once, and counts."""

    case: Case
    system: DaeSystem
    count: int = 0

    def run(self, times: np.ndarray, changed: Mapping[str, Profile] | None = None) -> Trajectory:
        """Return the run of the case, with other courses of some inputs. Raises SimulationError."""
        self.count += 1
        inputs = profiles_of(self.case) | dict(changed or {})
        return simulate(self.system, times, inputs=inputs, rtol=self.case.rtol, atol=self.case.atol)


@dataclass(frozen=True, eq=False, slots=True)
class StepRun:
    """Two runs, without and with a step of an input at ``time`` (s) by ``height``: ``t`` (m,) are times since the step (s)."""

    input: str
    time: float
    height: float
    value: float
    t: np.ndarray
    without: Trajectory
    with_it: Trajectory

    def response(self, variable: str) -> np.ndarray:
        """Return how a variable answers to a step of height one (m,); what may be the integrator's rounding is no answer."""
        change = self.with_it[variable] - self.without[variable]
        least = ROUNDING * float(np.max(np.abs(self.without[variable])))
        return np.asarray(change / self.height) if np.max(np.abs(change)) > least else np.zeros(len(self.t))


@dataclass(frozen=True, slots=True)
class LinearityCheck:
    """One disturbance that was simulated (duration in s, height) against what the step response says of it: the largest answers."""

    duration: float
    height: float
    simulated: float
    predicted: float

    @property
    def difference(self) -> float:
        """Predicted minus simulated, over simulated (-); none where nothing is predicted."""
        return (self.predicted - self.simulated) / self.simulated if self.predicted else 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Funnel:
    """Largest tolerable disturbances of an input about a running point (value of the watched variable and its limits in its unit)."""

    spec: FunnelSpec
    step: StepRun = field(repr=False)
    value: float
    lower: float
    upper: float
    settled: bool
    chain: Chain | None
    rows: tuple[FunnelRow, ...]
    check: LinearityCheck
    notes: tuple[str, ...]


def follow_funnels(
    specs: Sequence[FunnelSpec],
    pulses: Sequence[Pulse],
    runner: Runner,
    limits: Mapping[str, Specification],
    on_phase: Callable[[str], None],
) -> tuple[Funnel, ...]:
    """Return the funnels of a case; disturbances of the case are left out of their runs.

    Raises
    ------
    CaseErrors : a step cannot be made as the case says.
    SimulationError : a run failed.
    """
    quiet = _without(pulses, profiles_of(runner.case))
    plans = [_planned(number, spec, pulses, runner.case) for number, spec in enumerate(specs)]
    steps: dict[tuple[str, float, float, float | None], StepRun] = {}
    found = []
    for spec, plan in zip(specs, plans, strict=True):
        if plan not in steps:
            on_phase(f"simulating a step of {spec.input}")
            steps[plan] = _step(plan, quiet, runner)
        found.append(_funnel(spec, steps[plan], quiet, runner, limits.get(spec.watch), on_phase))
    return tuple(found)


def _without(pulses: Sequence[Pulse], profiles: Mapping[str, Profile]) -> dict[str, Profile]:
    """Return the profiles of a case without any of its disturbances."""
    found = dict(profiles)
    for pulse in pulses:
        profile = found[pulse.variable]
        flat = [pulse.base if keep != original else value for value, keep, original in _matched(profile, pulse, profiles[pulse.variable])]
        found[pulse.variable] = Profile(profile.times, flat, profile.interpolation)
    return found


def _matched(profile: Profile, pulse: Pulse, original: Profile) -> list[tuple[float, float, float]]:
    return list(zip(profile.values, pulse.without.values, original.values, strict=True))


Plan = tuple[str, float, float, float | None]
"""What a step run is made of: input, time, window (s) and height (None: a share of the input's value)."""


def _planned(number: int, spec: FunnelSpec, pulses: Sequence[Pulse], case: Case) -> Plan:
    pulse = next((pulse for pulse in pulses if pulse.variable == spec.input), None)
    time = spec.time if spec.time is not None else pulse.start if pulse is not None else case.horizon / 2
    if time >= case.horizon:
        raise _refusal(case, number, "time", f"the run ends before ({time:g} s, {case.horizon:g} s)", f"below {case.horizon:g} s")
    window = case.horizon - time if spec.window is None else spec.window
    if time + window > case.horizon * (1 + 1e-12):
        raise _refusal(
            case, number, "window", f"the run ends before ({time + window:g} s > {case.horizon:g} s)", f"at most {case.horizon - time:g} s"
        )
    if window < POINTS * SHORTEST_STEP:
        raise _refusal(case, number, "window", f"is too short ({window:g} s)", f"at least {POINTS * SHORTEST_STEP:g} s")
    profile = profiles_of(case).get(spec.input)
    if profile is not None and profile.interpolation is Interpolation.LINEAR and len(set(profile.values)) > 1:
        text = f"{spec.input} follows straight lines, over which no step can be laid"
        raise _refusal(case, number, "input", text, hint='another input, or a profile with interpolation = "hold"')
    height = spec.step if spec.step is not None else pulse.height if pulse is not None else None
    return spec.input, time, window, height


def _refusal(case: Case, number: int, key: str, message: str, allowed: str = "", hint: str = "") -> CaseErrors:
    return CaseErrors([Problem(message, f"trace.funnels[{number}].{key}", allowed, hint, str(case.file or case.name))])


def _step(plan: Plan, quiet: Mapping[str, Profile], runner: Runner) -> StepRun:
    name, time, window, height = plan
    t = np.linspace(0.0, window, POINTS)
    times = np.minimum(time + t, runner.case.horizon)
    without = runner.run(times, quiet)
    value = float(without[name][0])
    chosen = USUAL_STEP * value if height is None else height
    if chosen == 0:
        text = f"{name} is zero, of which no share can be taken as a step"
        raise CaseErrors(
            [Problem(text, "trace.funnels", "step", "say how high the step is to be", str(runner.case.file or runner.case.name))]
        )
    profile = raised(quiet.get(name), value, chosen, time)
    return StepRun(name, time, chosen, value, t, without, runner.run(times, {**quiet, name: profile}))


def raised(profile: Profile | None, value: float, height: float, start: float, end: float = math.inf) -> Profile:
    """Return a held course, or a constant value, raised by a height from start to end (s).

    >>> raised(Profile([0.0, 5.0], [1.0, 2.0]), 1.0, 10.0, 3.0, 7.0).values
    (1.0, 11.0, 12.0, 2.0)
    """
    course = Profile([0.0], [value]) if profile is None else profile
    times = sorted({*course.times, start, *([end] if math.isfinite(end) else [])})
    places = np.searchsorted(course.times, times, side="right") - 1
    held = [course.values[max(place, 0)] for place in places.tolist()]
    return Profile(times, [each + height * (start <= time < end) for time, each in zip(times, held, strict=True)])


def _funnel(
    spec: FunnelSpec,
    step: StepRun,
    quiet: Mapping[str, Profile],
    runner: Runner,
    limits: Specification | None,
    on_phase: Callable[[str], None],
) -> Funnel:
    response, value = step.response(spec.watch), float(step.without[spec.watch][0])
    lower, upper = own_limits(spec.lower, spec.upper, limits)
    found, settled = chain(step.t, response), settles(step.t, response)
    notes = []
    if not np.max(np.abs(response)) > 0:
        notes.append("the watched variable does not answer to this input")
    elif not settled:
        notes.append("the response has not come to rest in its window: longer disturbances may do more; no tanks are fitted")
    elif found is None:
        notes.append("the response returns, as a controller takes back what lasts: no tanks in series stand for it")
    room_up, room_down = _room(upper - value), _room(value - lower)
    if room_up < 0 or room_down < 0:
        notes.append("the running point itself is outside the limits: no disturbance is tolerable")
    span = float(step.t[-1])
    durations = spec.durations or usual_durations(span / 10 if found is None else found.mean, span)
    rows = funnel_rows(step.t, response, durations, max(room_up, 0.0), max(room_down, 0.0))
    on_phase(f"simulating a disturbance of {spec.input}")
    # longer than it takes to its peak, a disturbance is but the step
    duration = float(step.t[np.argmax(np.abs(response))]) / 2 if found is None else min(found.mean, span / 2)
    check = _checked(spec, step, quiet, runner, response, duration or span / 10)
    return Funnel(spec, step, value, lower, upper, settled, found, tuple(rows), check, tuple(notes))


def own_limits(lower: float | None, upper: float | None, limits: Specification | None) -> tuple[float, float]:
    """Return limits: a table's own, if it gives one, else those of the specification; NaN where there is none."""
    if lower is None and upper is None and limits is not None:
        lower, upper = limits.lower, limits.upper
    return (math.nan if lower is None else lower), (math.nan if upper is None else upper)


def _room(distance: float) -> float:
    return math.inf if math.isnan(distance) else distance


def usual_durations(mean: float, longest: float) -> tuple[float, ...]:
    """Return durations (s) about a mean residence time (s), rounded to two digits; none is longer than ``longest`` (s)."""
    times = np.geomspace(SHORTEST * mean, min(LONGEST * mean, longest), DURATIONS)
    return tuple(dict.fromkeys(float(f"{time:.1e}") for time in times.tolist()))


def _checked(
    spec: FunnelSpec, step: StepRun, quiet: Mapping[str, Profile], runner: Runner, response: np.ndarray, duration: float
) -> LinearityCheck:
    """Simulate one disturbance, and compare its largest answer with that of the step response."""
    profile = raised(quiet.get(spec.input), step.value, step.height, step.time, step.time + duration)
    run = runner.run(np.minimum(step.time + step.t, runner.case.horizon), {**quiet, spec.input: profile})
    answer = run[spec.watch] - step.without[spec.watch]
    simulated = float(answer[np.argmax(np.abs(answer))])
    high, low, _ = pulse_extremes(step.t, response, duration, beyond=False)
    predicted = step.height * (high if high >= -low else low)
    return LinearityCheck(duration, step.height, simulated, predicted)
