"""Funnel plots: the closed form, superposition on closed step responses with its order, and the funnel of the model itself."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import gammainc

from flowsheet.case import Case
from flowsheet.trace import trace_case
from flowsheet.trace.funnel import arrival_times, chain, funnel_rows, pulse_extremes
from units.funnel import funnel_peak

with (Path(__file__).parents[2] / "data" / "rtd_funnel_TIS.csv").open() as table:
    FUNNEL = [{key: float(value) for key, value in entry.items()} for entry in csv.DictReader(table)]
TANKS = (1, 2, 5)
FLOW = 0.005


def of_tanks(tanks: float) -> list[dict[str, float]]:
    return [entry for entry in FUNNEL if entry["n_tanks"] == tanks]


@pytest.mark.parametrize("tanks", TANKS)
def test_superposition_converges_with_order_two(tanks: int) -> None:
    errors = []
    for points in (201, 401, 801, 1601):
        t = np.linspace(0.0, 20.0, points)
        response = gammainc(tanks, tanks * t)
        # durations that are no multiples of the distance of points
        found = [pulse_extremes(t, response, entry["duration_over_tau"] + 0.0173, beyond=True)[0] for entry in of_tanks(tanks)]
        exact = [funnel_peak(tanks, entry["duration_over_tau"] + 0.0173)[0] for entry in of_tanks(tanks)]
        errors.append(np.abs(np.subtract(found, exact)).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert orders.mean() > 1.8
    assert errors[-1] < 2e-4


@pytest.mark.parametrize(("tanks", "delay"), [(1, 0.0), (2, 0.0), (5, 0.0), (3, 20.0)])
def test_mean_and_variance_of_a_chain(tanks: int, delay: float) -> None:
    """A plug moves the mean and leaves the variance."""
    t = np.linspace(0.0, 1200.0, 6001)
    found = chain(t, 7.0 * gammainc(tanks, tanks * np.maximum(t - delay, 0.0) / 50.0))
    assert found is not None
    assert (found.gain, found.mean, found.variance) == pytest.approx((7.0, 50.0 + delay, 50.0**2 / tanks), rel=3e-5)
    assert found.tanks == pytest.approx((50.0 + delay) ** 2 * tanks / 50.0**2, rel=3e-5)


def test_a_plug_lets_everything_pass_at_once() -> None:
    t = np.linspace(0.0, 100.0, 1001)
    (row,) = funnel_rows(t, np.where(t >= 40.0, 2.0, 0.0), [10.0], 1.0, np.inf)
    assert row.high == pytest.approx(2.0)
    assert row.most_up == pytest.approx(0.5)
    assert row.most_down == np.inf


def test_a_response_that_returns_has_no_tanks() -> None:
    t = np.linspace(0.0, 100.0, 1001)
    response = t * np.exp(-t / 3.0)
    assert chain(t, response) is None
    assert arrival_times(t, response) is None
    (row,) = funnel_rows(t, -response, [5.0], 1.0, 2.0)
    # downwards a disturbance raises it, upwards it lowers it
    assert row.most_down == pytest.approx(min(1.0 / -row.low, 2.0 / row.high))
    assert row.most_up == pytest.approx(min(1.0 / row.high, 2.0 / -row.low))
    assert np.isnan(row.tanks_up)


def test_an_answer_that_has_not_come_to_rest_is_not_continued() -> None:
    t = np.linspace(0.0, 10.0, 101)
    assert chain(t, t) is None
    assert funnel_rows(t, t, [20.0], 1.0, 1.0)[0].high == pytest.approx(10.0)


@pytest.mark.parametrize("tanks", TANKS)
def test_funnel_of_the_model_is_the_closed_form(tanks: int, line: Callable[..., Case]) -> None:
    """A trace of a tracer in the feed of n equal tanks. Its step of 1e-5 of the flow bends the answer by as much."""
    durations = [entry["duration_over_tau"] * 60.0 for entry in of_tanks(tanks)]
    asked = f"""
[[trace.funnels]]
input = "feed.flow[second]"
watch = "blender.outlet_fraction[second]"
upper = "5 %"
time = "10 s"
step = "5e-8 kg/s"
durations = {[f"{duration} s" for duration in durations]}
"""
    (funnel,) = trace_case(line(asked, tanks=tanks, substance="", horizon=1510)).funnels
    assert funnel.chain is not None
    assert funnel.chain.mean == pytest.approx(60.0, rel=1e-4)
    assert funnel.chain.tanks == pytest.approx(tanks, rel=1e-3)
    assert funnel.chain.gain == pytest.approx(1 / FLOW, rel=1e-4)
    for row, entry in zip(funnel.rows, of_tanks(tanks), strict=True):
        assert row.high * FLOW == pytest.approx(entry["peak_fraction"], abs=3e-5)
        assert row.tanks_peak * FLOW == pytest.approx(entry["peak_fraction"], abs=1e-3)
        assert 100 * row.most_up / FLOW == pytest.approx(entry["max_disturbance_pct_for_5pct_spec"], rel=1e-3)
        if entry["duration_over_tau"] <= 1:
            assert row.peak_time == pytest.approx(60.0 * entry["t_peak_over_tau"], abs=1.0)
    assert abs(funnel.check.difference) < 1e-3


def test_default_funnels_are_those_of_disturbances_and_specified_shares(line: Callable[..., Case]) -> None:
    pulse = """
[[profiles]]
variable = "feed.flow[filler]"
times = ["0 s", "100 s", "130 s"]
values = ["0.0045 kg/s", "0.005 kg/s", "0.0045 kg/s"]
label = "more filler"

[[specifications]]
variable = "blender.outlet_fraction[first]"
lower = "9.5 %"
upper = "10.5 %"

[[specifications]]
variable = "blender.total_mass"
upper = "1 kg"
"""
    (funnel,) = trace_case(line(pulse)).funnels
    assert (funnel.spec.input, funnel.spec.watch) == ("feed.flow[filler]", "blender.outlet_fraction[first]")
    assert (funnel.step.time, funnel.step.height) == pytest.approx((100.0, 5e-4))
    assert funnel.value == pytest.approx(0.1)
    # more filler thins the drug to the lower limit: a lasting rise by 10 % of 0.005/1.05
    assert funnel.rows[-1].most_up == pytest.approx(0.005 * (1 / 0.95 - 1), rel=0.1)


def test_what_does_not_answer_may_be_disturbed_at_will(line: Callable[..., Case]) -> None:
    asked = """
[[trace.funnels]]
input = "blender.speed"
watch = "feed.outlet_fraction[first]"
upper = "11 %"
"""
    (funnel,) = trace_case(line(asked)).funnels
    assert funnel.chain is None
    assert funnel.notes == ("the watched variable does not answer to this input",)
    assert all(row.most_up == row.most_down == np.inf for row in funnel.rows)
    assert funnel.check.difference == 0.0


def test_a_point_outside_its_limits_has_no_room(line: Callable[..., Case]) -> None:
    asked = """
[[trace.funnels]]
input = "feed.flow[first]"
watch = "blender.outlet_fraction[first]"
upper = "9 %"
"""
    (funnel,) = trace_case(line(asked)).funnels
    assert all(row.most_up == 0 for row in funnel.rows)
    assert "the running point itself is outside the limits: no disturbance is tolerable" in funnel.notes
