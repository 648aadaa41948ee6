"""Sensors and gates: closed forms of one mixed tank, late results, transport, noise against drawn readings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from flowsheet.case import Case
from flowsheet.problems import CaseErrors
from flowsheet.trace import trace_case
from flowsheet.trace.courses import amount_within, common, merged
from flowsheet.trace.diversion import Gate, averaged, decision_times, divert, false_probability

TAU, STEP, LIMIT, BEGIN, END = 60.0, 0.2, 0.05, 100.0, 160.0
FLOW = 0.005
T = np.arange(0.0, 900.0 + 0.05, 0.1)
PEAK = STEP * (1 - math.exp(-(END - BEGIN) / TAU))
CROSSES = BEGIN + TAU * math.log(STEP / (STEP - LIMIT))
RECOVERS = END + TAU * math.log(PEAK / LIMIT)
NONE = math.nan


def tank() -> np.ndarray:
    """Relative deviation behind one mixed tank of a disturbance by STEP from BEGIN to END."""
    rise = STEP * (1 - np.exp(-np.maximum(T - BEGIN, 0.0) / TAU))
    return np.where(T <= END, rise, PEAK * np.exp(-(T - END) / TAU))


def gate(**changes: float) -> Gate:
    return replace(Gate(-LIMIT, LIMIT), **changes)


def diverted(course: np.ndarray | None = None, sensor: np.ndarray | None = None, **changes: float):
    watched = tank() if course is None else course
    return divert(T, watched, watched if sensor is None else sensor, FLOW * T, (-LIMIT, LIMIT), gate(**changes), 0.0)


def test_window_of_one_tank() -> None:
    result = diverted()
    (window,) = result.windows
    assert (window.start, window.end) == pytest.approx((CROSSES, RECOVERS), abs=1e-4)
    assert result.diverted == pytest.approx(FLOW * (RECOVERS - CROSSES), rel=1e-5)
    assert result.good_diverted == pytest.approx(0.0, abs=1e-12)
    assert result.missed == pytest.approx(0.0, abs=1e-12)


def test_a_late_result_lets_bad_powder_pass_and_turns_good_powder_away() -> None:
    result = diverted(delay=12.0, dwell=20.0)
    (window,) = result.windows
    assert (window.start, window.end) == pytest.approx((CROSSES + 12, RECOVERS + 32), abs=1e-4)
    assert result.missed == pytest.approx(FLOW * 12, rel=1e-5)
    assert result.good_diverted == pytest.approx(FLOW * 32, rel=1e-5)


@pytest.mark.parametrize("delay", [0.0, 10.0, 30.0, 45.0])
def test_powder_on_its_way_gives_a_result_time(delay: float) -> None:
    """A plug of 30 s between sensor and gate: the later of result and front counts."""
    later = np.interp(T - 30.0, T, tank())
    result = diverted(later, tank(), delay=delay, first=30.0, last=30.0)
    (window,) = result.windows
    assert (window.start, window.end) == pytest.approx((CROSSES + max(delay, 30), RECOVERS + max(delay, 30)), abs=1e-3)
    late = FLOW * max(delay - 30.0, 0.0)
    assert (result.missed, result.good_diverted) == pytest.approx((late, late), abs=1e-6)


@pytest.mark.parametrize("delay", [0.0, 10.0, 30.0, 45.0])
def test_prediction_diverts_what_becomes_bad(delay: float) -> None:
    """Between sensor and gate a second tank and a plug: from the later of result and bad powder to the last of it, and the dwell time."""
    first, second, share = tank(), np.zeros(len(T)), 0.05 / 20.0
    for k in range(1, len(T)):  # the trapezoidal rule for a tank of 20 s
        second[k] = (second[k - 1] * (1 - share) + share * (first[k - 1] + first[k])) / (1 + share)
    later = np.interp(T - 25.0, T, second)
    result = diverted(later, tank(), delay=delay, first=26.0, last=85.0, dwell=10.0, predicts=True)
    ((a, b),) = result.bad_intervals
    (window,) = result.windows
    assert (window.start, window.end) == pytest.approx((max(a, CROSSES + delay), b + 10), abs=1e-3)
    assert result.missed == pytest.approx(FLOW * (window.start - a), abs=1e-9)
    assert result.good_diverted == pytest.approx(FLOW * 10, abs=1e-6)
    reading = diverted(later, tank(), delay=delay, first=26.0, last=85.0, dwell=10.0)
    assert reading.diverted > result.diverted


def test_prediction_diverts_nothing_that_mixing_brings_back() -> None:
    assert diverted(0.2 * tank(), tank(), first=20.0, last=60.0, predicts=True).windows == ()
    assert diverted(0.2 * tank(), tank(), first=20.0, last=60.0).good_diverted > 0
    unseen = diverted(tank(), 0.2 * tank(), first=20.0, last=60.0, predicts=True)
    assert (unseen.windows, unseen.missed) == ((), pytest.approx(FLOW * (RECOVERS - CROSSES), rel=1e-5))


def test_decisions_of_scans_come_up_to_a_period_late() -> None:
    result = diverted(scan_time=1.0, scans=4)
    (window,) = result.windows
    assert window.start % 4.0 == pytest.approx(0.0, abs=1e-9)
    assert CROSSES <= window.start <= CROSSES + 8.0
    assert RECOVERS <= window.end <= RECOVERS + 8.0


def test_nothing_is_diverted_within_limits_and_everything_outside() -> None:
    quiet = diverted(0.5 * LIMIT * np.ones(len(T)))
    assert (quiet.windows, quiet.diverted, quiet.missed) == ((), 0.0, 0.0)
    loud = diverted(2 * LIMIT * np.ones(len(T)))
    assert loud.bad_diverted == pytest.approx(FLOW * T[-1])


def test_one_limit_alone() -> None:
    assert divert(T, -tank(), -tank(), FLOW * T, (NONE, LIMIT), Gate(NONE, LIMIT), 0.0).windows == ()
    noisy = Gate(NONE, LIMIT, noise=LIMIT / 2, scan_time=1.0)
    assert divert(T, tank(), tank(), FLOW * T, (NONE, LIMIT), noisy, 0.0).false_at_target == pytest.approx(norm.sf(2.0))


def test_limits_that_hold_from_a_time_on() -> None:
    result = divert(T, tank(), tank(), FLOW * T, (-LIMIT, LIMIT), gate(), 0.0, after=150.0)
    assert result.windows[0].start == pytest.approx(150.0)
    assert result.bad_intervals[0][0] == pytest.approx(150.0)


# --- noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "noise", "scans"), [(0.05, 0.03, 1), (0.05, 0.03, 5), (0.03, 0.01, 3)])
def test_false_diversion_at_the_target(limit: float, noise: float, scans: int) -> None:
    at_target = 2 * (1 - norm.cdf(limit * math.sqrt(scans) / noise))
    assert false_probability(-limit, limit, 0.0, noise / math.sqrt(scans)) == pytest.approx(at_target, rel=1e-9)
    result = divert(T, 0 * T, 0 * T, FLOW * T, (-limit, limit), Gate(-limit, limit, noise=noise, scan_time=1.0, scans=scans), 0.0)
    assert result.false_at_target == pytest.approx(at_target, rel=1e-9)
    assert result.false_decisions == pytest.approx(result.decisions * at_target, rel=1e-6)
    # one period is diverted for each false decision; the powder before the first decision is not judged
    assert result.expected_good_diverted == pytest.approx(FLOW * (T[-1] - scans) * at_target, rel=0.01)


def test_probability_against_drawn_readings() -> None:
    random = np.random.default_rng(905)
    drawn = random.normal(0.04, 0.03, (200_000, 5)).mean(axis=1)
    share = np.mean((drawn < -0.05) | (drawn > 0.05))
    assert share == pytest.approx(float(false_probability(-0.05, 0.05, 0.04, 0.03 / math.sqrt(5))), abs=4 * math.sqrt(0.25 / 200_000))


PREDICTING = {"delay": 33.0, "first": 20.0, "last": 32.0, "dwell": 5.0, "predicts": True}


@pytest.mark.parametrize("changes", [{}, {"dwell": 15.0}, {"delay": 7.0}, {"first": 20.0, "last": 32.0, "dwell": 5.0}, PREDICTING])
def test_expected_amounts_against_drawn_runs(changes: dict[str, float]) -> None:
    """The whole logic of the gate with drawn errors, many times."""
    moved = gate(noise=0.06, scan_time=1.0, scans=3, **changes)
    watched = np.interp(T - moved.first, T, tank())
    result = divert(T, watched, tank(), FLOW * T, (-LIMIT, LIMIT), moved, 0.0)
    random = np.random.default_rng(17)
    times = decision_times(0.0, float(T[-1]), moved)
    readings = averaged(T, tank(), times, moved)
    good, missed = [], []
    for _ in range(400):
        seen = readings + random.normal(0.0, moved.deviation, len(times))
        spoken = (moved.covered(time, time, result.bad_intervals) for time in times[np.abs(seen) > LIMIT].tolist())
        windows = merged((cover for covers in spoken for cover in covers), 0.0, float(T[-1]))
        bad = amount_within(T, FLOW * T, common(windows, result.bad_intervals))
        good.append(amount_within(T, FLOW * T, windows) - bad)
        missed.append(amount_within(T, FLOW * T, result.bad_intervals) - bad)
    for expected, values in ((result.expected_good_diverted, good), (result.expected_missed, missed)):
        assert expected == pytest.approx(np.mean(values), abs=4 * np.std(values) / math.sqrt(len(values)) + 1e-9)
    assert np.std(missed) > 0


def test_noise_that_fades_gives_what_there_is_without_it() -> None:
    result = diverted(noise=1e-9, scan_time=1.0, scans=2)
    assert result.expected_good_diverted == pytest.approx(result.good_diverted, abs=1e-9)
    assert result.expected_missed == pytest.approx(result.missed, abs=1e-9)


def test_an_excursion_is_missed_if_no_decision_sees_it() -> None:
    """Two decisions fall into a rectangle."""
    course = np.where((T >= 99.5) & (T < 101.5), 2 * LIMIT, 0.0)
    ((start, end, chance),) = diverted(course, noise=LIMIT, scan_time=1.0).unseen
    assert (start, end) == (100.0, 101.0)
    within = norm.cdf(-1.0) - norm.cdf(-3.0)
    assert chance == pytest.approx(within**2, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    delay=st.floats(0.0, 80.0),
    dwell=st.floats(0.0, 50.0),
    way=st.floats(0.0, 90.0),
    spread=st.floats(0.0, 40.0),
    noise=st.floats(0.0, 0.2),
    predicts=st.booleans(),
)
def test_powder_is_divided_without_loss(delay: float, dwell: float, way: float, spread: float, noise: float, predicts: bool) -> None:
    result = diverted(
        np.interp(T - way, T, tank()),
        tank(),
        delay=delay,
        dwell=dwell,
        first=way,
        last=way + spread,
        noise=noise,
        scan_time=2.0,
        predicts=predicts,
    )
    bad = FLOW * sum(b - a for a, b in result.bad_intervals)
    assert result.bad_diverted + result.missed == pytest.approx(bad, abs=1e-9)
    assert result.bad_diverted + result.good_diverted == pytest.approx(result.diverted, abs=1e-9)
    assert sum(window.mass for window in result.windows) == pytest.approx(result.diverted, abs=1e-12)
    assert min(result.good_diverted, result.bad_diverted, result.missed) > -1e-9
    if noise > 0:
        assert -1e-12 <= result.expected_missed <= bad + 1e-9
        assert -1e-12 <= result.expected_good_diverted <= FLOW * T[-1] - bad + 1e-9


# --- in a case --------------------------------------------------------------------------------------------------------

PULSE = """
[[profiles]]
variable = "feed.flow[first]"
times = ["0 s", "100 s", "160 s"]
values = ["5e-6 kg/s", "6e-6 kg/s", "5e-6 kg/s"]
label = "20 % too much"

[[trace.diversions]]
watch = "blender.outlet_fraction[first]"
lower = 0.95e-3
target = 1e-3
upper = 1.05e-3
delay = "5 s"
dwell = "10 s"
"""


def test_window_of_one_tank_in_a_case(line: Callable[..., Case]) -> None:
    """A tracer of 0.1 %: by the closed form to as much."""
    (found,) = trace_case(line(PULSE, share=1e-3, interval=0.2)).diversions
    (window,) = found.result.windows
    assert (window.start, window.end) == pytest.approx((CROSSES + 5, RECOVERS + 15), abs=0.1)
    assert found.result.diverted == pytest.approx(FLOW * (window.end - window.start), rel=1e-3)
    assert found.transport_from == "read where it is watched"


def test_transport_is_found_by_the_model(line: Callable[..., Case]) -> None:
    """Between the first tank and the outlet of four stand three: their median is 2.674 tank times, and they spread."""
    asked = """
[[trace.diversions]]
watch = "blender.outlet_fraction[first]"
sensor = "feed.outlet_fraction[first]"
upper = "11 %"

[[trace.funnels]]
input = "feed.flow[first]"
watch = "blender.outlet_fraction[first]"
upper = "11 %"
time = "50 s"
step = "1e-7 kg/s"
"""
    (found,) = trace_case(line(asked, tanks=4, horizon=900)).diversions
    # quantiles of the gamma distribution of four tanks of 15 s
    assert found.gate.first == pytest.approx(15 * 1.366318, rel=2e-3)
    assert found.transport == pytest.approx(15 * 3.672061, rel=2e-3)
    assert found.gate.last == pytest.approx(15 * 7.753657, rel=2e-3)


def test_unknown_transport_is_refused(line: Callable[..., Case]) -> None:
    asked = '[[trace.diversions]]\nwatch = "blender.outlet_fraction[first]"\nsensor = "feed.outlet_fraction[first]"\nupper = "11 %"\n'
    with pytest.raises(CaseErrors, match=r"is not known; hint: give transport"):
        trace_case(line(asked))
    given = asked + 'transport = "30 s"\n'
    assert trace_case(line(given)).diversions[0].gate.first == 30.0


def test_a_unit_that_no_powder_passes_is_refused(line: Callable[..., Case]) -> None:
    asked = '[[trace.diversions]]\nwatch = "blender.outlet_fraction[first]"\nat = "blend"\nupper = "11 %"\n'
    with pytest.raises(CaseErrors, match=r"no powder passes blend; allowed: feed, blender, bin; hint"):
        trace_case(line(asked))
