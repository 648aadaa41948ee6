"""The diversions of a case: sensors, gates, and how long powder takes from the one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowsheet.case import DiversionSpec, Specification
from flowsheet.problems import CaseErrors, Problem
from flowsheet.trace.diversion import Diversion, Gate, divert
from flowsheet.trace.funnel import QUANTILES, arrival_times
from flowsheet.trace.steps import Funnel, own_limits
from solvers import Trajectory

PREDICTION = "prediction"
"""What a case says of a gate that diverts by the model's prediction."""


@dataclass(frozen=True, eq=False, slots=True)
class GateResult:
    """A diversion: what was asked for, how the gate is moved, the limits of what is watched, where its transport times come from, how many
    seconds the middle of the powder takes, and what is diverted. Courses are those of what is watched and of the true reading (n,).
    """

    spec: DiversionSpec
    gate: Gate
    lower: float
    upper: float
    transport_from: str
    transport: float
    watched: np.ndarray
    reading: np.ndarray
    result: Diversion


def follow_gates(
    specs: Sequence[DiversionSpec], t: np.ndarray, run: Trajectory, funnels: Sequence[Funnel], limits: Mapping[str, Specification]
) -> tuple[GateResult, ...]:
    """Return what the diversions of a case divert.

    Parameters
    ----------
    specs : the diversions.
    t : (n,) output times (s) of the run.
    run : of the case.
    funnels : of the case; their step responses tell transport times.
    limits : specifications of the case by variable.

    Raises
    ------
    CaseErrors : the transport time is neither given nor to be had from a step response.
    """
    return tuple(_follow(number, spec, t, run, funnels, limits.get(spec.watch)) for number, spec in enumerate(specs))


def _follow(
    number: int, spec: DiversionSpec, t: np.ndarray, run: Trajectory, funnels: Sequence[Funnel], limits: Specification | None
) -> GateResult:
    given = any(limit is not None for limit in (spec.lower, spec.upper))
    lower, upper = own_limits(spec.lower, spec.upper, limits)
    target = spec.target if spec.target is not None else limits.target if limits is not None and not given else None
    after = spec.after if spec.after is not None else limits.after if limits is not None and not given else 0.0
    own = any(limit is not None for limit in (spec.sensor_lower, spec.sensor_upper))
    reading_limits = own_limits(spec.sensor_lower, spec.sensor_upper, None) if own else (lower, upper)
    aim = target if target is not None and not own else sum(reading_limits) / 2
    (first, middle, last), source = _transport(number, spec, funnels)
    gate = Gate(*reading_limits, spec.delay, first, last, spec.dwell, spec.noise, spec.scan_time, spec.scans, spec.by == PREDICTION)
    watched, reading = run[spec.watch], run[spec.sensor]
    passed = run[f"balance.passed_mass[{spec.at}]"]
    result = divert(t, watched, reading, passed, (lower, upper), gate, aim, after)
    return GateResult(spec, gate, lower, upper, source, middle, watched, reading, result)


def _transport(number: int, spec: DiversionSpec, funnels: Sequence[Funnel]) -> tuple[tuple[float, float, float], str]:
    """Return how long the first, the middle and the last of the powder takes from sensor to gate (s), and who says so."""
    if spec.transport is not None:
        return (spec.transport,) * 3, "as given"
    if spec.sensor == spec.watch:
        return (0.0,) * 3, "read where it is watched"
    for funnel in funnels:
        if funnel.spec.watch == spec.watch:
            times = [arrival_times(funnel.step.t, funnel.step.response(name)) for name in (spec.sensor, spec.watch)]
            if times[0] is not None and times[1] is not None:
                first, middle, last = (max(late - early, 0.0) for early, late in zip(*times, strict=True))
                shares = " and ".join(f"{100 * share:g} %" for share in (QUANTILES[0], QUANTILES[-1]))
                return (first, middle, max(first, last)), f"by {shares} of a step of {funnel.spec.input}"
    raise CaseErrors([unknown_transport(number, spec)])


def unknown_transport(number: int, spec: DiversionSpec, file: str = "") -> Problem:
    """Return what is wrong with a diversion whose transport nothing tells."""
    text = f"how long powder takes from {spec.sensor} to {spec.watch} is not known"
    hint = f"give transport, or one of [[trace.funnels]] with watch = {spec.watch!r} and an input whose step lasts, such as a set point"
    return Problem(text, f"trace.diversions[{number}].transport", hint=hint, file=file)
