"""The trace of the whole direct compression line: what has to hold between its numbers, and the line's mean residence time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowsheet import load_case
from flowsheet.tables import intervals_outside
from flowsheet.trace import Trace, trace_case

CASE = Path(__file__).parents[3] / "cases" / "cdc_line"
FLOW = 20 / 3600


@pytest.fixture(scope="module")
def trace() -> Trace:
    return trace_case(load_case(CASE, ["horizon=35 min"]))


def test_a_disturbance_goes_along_the_line(trace: Trace) -> None:
    (found,) = trace.disturbances
    assert found.component == "api"
    along = [each for each in found.effects if each.variable.endswith("outlet_fraction[api]") and each.passage.comes]
    assert [each.variable.partition(".")[0] for each in along] == ["join", "delumper", "blender", "chute", "hopper", "frame"]
    arrivals, peaks = [each.passage.arrives for each in along], [each.passage.peak for each in along]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] == pytest.approx(1200.0, abs=0.01)
    assert peaks == sorted(peaks, reverse=True), "every unit smooths it"


def test_mean_residence_time_is_hold_up_over_flow(trace: Trace) -> None:
    """Delumper, blender, chute, hopper and feed frame; the feeder's own control takes a few seconds off or on."""
    set_point = trace.funnels[0]
    held = sum(
        set_point.step.without[f"{unit}.holdup[{c}]"][0]
        for unit in ("delumper", "blender", "chute", "hopper", "frame")
        for c in trace.case.materials
    )
    assert set_point.chain is not None
    assert set_point.chain.mean == pytest.approx(held / FLOW, rel=0.04)
    assert abs(set_point.check.difference) < 2e-3


def test_funnel_tells_the_peak_of_the_case_itself(trace: Trace) -> None:
    """20 % for a minute, ten minutes later than the operating point and with a refill in between."""
    funnel, (found,) = trace.funnels[1], trace.disturbances
    durations = [row.duration for row in funnel.rows]
    peak = 0.2 * np.interp(60.0, durations, [row.high for row in funnel.rows])
    assay = next(each for each in found.effects if each.variable == "press.assay[api]")
    assert assay.peak == pytest.approx(peak, rel=0.06)


def test_diversions_fit_the_course_of_the_assay(trace: Trace) -> None:
    by_reading, by_prediction = (each.result for each in trace.diversions)
    gate = trace.diversions[0]
    bad = intervals_outside(trace.t, gate.watched, 0.097, 0.103)
    assert by_reading.bad_intervals == by_prediction.bad_intervals
    assert np.array(by_reading.bad_intervals) == pytest.approx(np.array(bad))
    mass = FLOW * sum(b - a for a, b in bad)
    for result in (by_reading, by_prediction):
        assert result.bad_diverted + result.missed == pytest.approx(mass, rel=0.02)
    assert by_prediction.good_diverted < by_reading.good_diverted
    # between sensor and gate stand the chute (2 s), the hopper and the feed frame
    held = sum(trace.funnels[0].step.without[f"{unit}.holdup[{c}]"][0] for unit in ("hopper", "frame") for c in trace.case.materials)
    assert gate.gate.first < 2 + held / FLOW < gate.gate.last
