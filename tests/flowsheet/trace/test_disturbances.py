"""Pulses of inputs: which there are, and what one does to a mixed tank, against the closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flowsheet.case import Case, ProfileSpec
from flowsheet.trace import trace_case
from flowsheet.trace.disturbances import effect, pulses_of
from flowsheet.trace.steps import raised
from solvers.declare import Interpolation, Profile

FLOW, TAU, BEGIN, END, MORE = 0.005, 60.0, 100.0, 160.0, 1e-4
PULSE = f"""
[[profiles]]
variable = "feed.flow[first]"
times = ["0 s", "100 s", "160 s"]
values = ["0.0005 kg/s", "{0.0005 + MORE} kg/s", "0.0005 kg/s"]
label = "a fifth more"
"""


def spec(times: list[float], values: list[float], interpolation: Interpolation = Interpolation.HOLD) -> ProfileSpec:
    return ProfileSpec("feeder.setpoint", Profile(times, values, interpolation), "kg/s", "too much")


def test_pulses_of_a_profile() -> None:
    found = list(pulses_of(spec([0, 10, 20, 30, 40, 50], [1, 2, 3, 1, 0.5, 1]), 100.0))
    assert [(pulse.start, pulse.end, pulse.height) for pulse in found] == [(10, 30, 2), (40, 50, -0.5)]
    assert found[0].without.values == (1, 1, 1, 1, 0.5, 1)
    assert found[1].without.values == (1, 2, 3, 1, 1, 1)
    assert (found[0].label, found[0].unit) == ("too much", "kg/s")
    assert not list(pulses_of(replace(spec([0, 10, 20], [1, 2, 1]), label=""), 100.0)), "without a label it is no disturbance"


def test_straight_lines_leave_earlier() -> None:
    (pulse,) = pulses_of(spec([0, 10, 20, 30], [1, 1, 3, 1], Interpolation.LINEAR), 100.0)
    assert (pulse.start, pulse.end, pulse.height) == (10, 30, 2)


@pytest.mark.parametrize(("times", "values"), [([0, 10], [1, 2]), ([0], [1]), ([0, 10, 200], [1, 2, 1]), ([0, 10], [1, 1])])
def test_what_does_not_return_in_time_is_no_pulse(times: list[float], values: list[float]) -> None:
    assert not list(pulses_of(spec(times, values), 100.0))


def test_a_course_raised_for_a_while() -> None:
    profile = raised(Profile([0, 5, 10], [1.0, 2.0, 3.0]), 1.0, 10.0, 5.0, 12.0)
    assert (profile.times, profile.values) == ((0, 5, 10, 12), (1, 12, 13, 3))
    assert raised(None, 4.0, -1.0, 0.0).values == (3.0,)


def test_what_is_zero_without_it_has_no_relative_deviation() -> None:
    t = np.array([0.0, 1.0])
    assert effect("a.b", "", t, np.ones(2), np.zeros(2), 0.01) is None
    assert effect("a.b", "", t, np.ones(2), np.full(2, np.nan), 0.01) is None


def test_a_pulse_through_a_mixed_tank(line: Callable[..., Case]) -> None:
    """The drug's mass and the whole mass each follow the first order: their quotient has a closed form."""
    (found,) = trace_case(line(PULSE, substance="", interval=0.25)).disturbances
    assert (found.pulse.label, found.component) == ("a fifth more", "first")
    effects = {each.variable: each for each in found.effects}
    assert list(effects) == ["feed.outlet_fraction[first]", "blender.outlet_fraction[first]"]
    at_end = MORE * (1 - math.exp(-(END - BEGIN) / TAU))
    blend = effects["blender.outlet_fraction[first]"]
    assert blend.peak == pytest.approx((0.0005 + at_end) / (FLOW + at_end) - 0.1, rel=1e-6)
    assert blend.passage.peak_time == pytest.approx(END, abs=0.3)

    def when(share: float) -> float:
        """Return the flow of the drug above its own at which its fraction is more by a share."""
        return FLOW * 0.1 * share / (1 - 0.1 * (1 + share))

    assert blend.passage.arrives == pytest.approx(BEGIN + TAU * math.log(MORE / (MORE - when(0.01))), abs=0.01)
    assert blend.passage.gone == pytest.approx(END + TAU * math.log(at_end / when(0.01)), abs=0.01)
    assert blend.passage.passes == blend.passage.gone
    (leaving,) = found.leaving
    assert leaving.excess == pytest.approx(MORE * 60, rel=1e-3)
    assert leaving.tablets is None
    assert leaving.product == pytest.approx(FLOW * (blend.passage.gone - blend.passage.arrives), rel=0.02)


def test_a_disturbance_that_is_nowhere_above_the_threshold(line: Callable[..., Case]) -> None:
    (found,) = trace_case(line(f"[trace]\nthreshold = 0.9\n{PULSE}", substance="")).disturbances
    assert not any(each.passage.comes for each in found.effects)
    assert found.leaving[0].product == 0.0
