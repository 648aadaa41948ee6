"""Residence-time distributions where their series cancel, and a recorded signal through a vessel while the flow grows."""

from __future__ import annotations

import math

import numpy as np

from flowsheet.verify.rung import Outcome, Run
from units.measured_ages import MeasuredAges
from units.recorded_signal import constant_holdup, pass_through
from units.residence_time import ClosedDispersion

DISPERSED = {
    (50.0, 0.2): (5.2739984479497623e-17, 1.722592274700882e-19),
    (50.0, 0.5): (0.0097452099992791204, 0.00024234824971802085),
    (50.0, 1.0): (2.0151764815377772, 0.53908847624281755),
    (1000.0, 0.7): (1.6208175684624805e-13, 6.1439013023145879e-16),
    (1000.0, 0.95): (4.9890820749000059, 0.13016713214657884),
}
"""Density and share that has left by Peclet number and reduced age, by the series in 210 and 3,060 digits (mpmath)."""


def dispersed_values() -> dict[str, float]:
    """Return the reference values by name."""
    named: dict[str, float] = {}
    for (peclet, age), (density, cumulative) in DISPERSED.items():
        named |= {f"E({age:g}), Pe = {peclet:g}": density, f"F({age:g}), Pe = {peclet:g}": cumulative}
    return named


def dispersed() -> Run:
    """Return what evaluates the closed vessel there."""

    def run(rtol: float) -> Outcome:
        pairs = ((ClosedDispersion(1.0, peclet), age) for peclet, age in DISPERSED)
        return Outcome(tuple(float(law(age)) for vessel, age in pairs for law in (vessel.density, vessel.cumulative)))

    return run


HOLDUP, FLOW, GROWTH, WIDTH = 0.5, 0.02, 1e-4, 0.1
"""Hold-up (kg), first flow (kg/s), growth of the flow (kg/s2), width of a cell (kg)."""


def ramp_values() -> dict[str, float]:
    """Return what leaves after a step if all leaves evenly while two hold-ups pass: a ramp in the mass that has passed."""
    seconds = (math.sqrt(FLOW**2 + 2 * GROWTH * HOLDUP) - FLOW) / GROWTH
    return {"4th cell": 3.5 * WIDTH / (2 * HOLDUP), "12th cell": 1.0, "time of one hold-up": seconds, "mass unaccounted for": 0.0}


def ramp() -> Run:
    """Return what passes the step while the flow grows."""

    def run(rtol: float) -> Outcome:
        vessel = constant_holdup(MeasuredAges(np.array([0.0, 60.0]), np.array([0.0, 1.0])), HOLDUP, WIDTH)
        times = np.array([0.0, 7.0, 60.0])
        out, after = pass_through(vessel, times, FLOW + GROWTH * times, np.ones(3), before=0.0)
        missing = FLOW * times[-1] + GROWTH * times[-1] ** 2 / 2 - out.amounts.sum() - after.held[1]
        return Outcome((float(out.fractions[3, 0]), float(out.fractions[11, 0]), float(out.times[5]), float(missing)))

    return run
