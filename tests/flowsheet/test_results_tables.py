from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowsheet.display import Display, format_duration, format_number
from flowsheet.results import BALANCE_LIMIT
from flowsheet.tables import balance_row, intervals_outside, series, show, specification_row, stream_table, total
from solvers.errors import UsageError


@given(
    height=st.floats(0.5, 5.0),
    limit=st.floats(0.05, 0.45),
    width=st.floats(1.0, 100.0),
    points=st.integers(2, 60),
)
def test_time_outside_of_a_triangle(height, limit, width, points):
    # a triangle of the given height and width is above the limit for width (1 - limit/height)
    t = np.union1d(np.linspace(0.0, 2 * width, points), [width / 2, width, 1.5 * width])
    y = np.interp(t, [width / 2, width, 1.5 * width], [0.0, height, 0.0])
    row = specification_row(t, y, variable="x", upper=limit)
    assert row.time_above == pytest.approx(width * (1 - limit / height), rel=1e-9)
    assert (row.time_below, row.met) == (0.0, False)
    mirrored = specification_row(t, -y, variable="x", lower=-limit)
    assert mirrored.time_below == pytest.approx(row.time_above, rel=1e-12)


def test_the_sample_assay_is_outside_for_half_its_triangle(make_results):
    results = make_results()
    (row,) = results.specifications
    assert row.time_above == pytest.approx(100.0, rel=1e-9)
    (interval,) = intervals_outside(results.t, results["press.assay[api]"], 0.095, 0.11)
    assert interval == pytest.approx((250.0, 350.0), rel=1e-9)
    assert row.duration == 600.0
    assert row.maximum == pytest.approx(0.12)
    assert row.mean == pytest.approx(0.1 + 0.02 * 100 / 600, rel=1e-9)


def test_touching_a_limit_is_within_and_both_limits_count():
    t = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert specification_row(t, np.array([1.0, 2.0, 1.0, 0.0, 1.0]), variable="x", lower=0.0, upper=2.0).met
    row = specification_row(t, np.array([1.0, 3.0, 1.0, -1.0, 1.0]), variable="x", lower=0.0, upper=2.0)
    assert (row.time_above, row.time_below, row.time_outside) == (1.0, 1.0, 2.0)
    assert len(intervals_outside(t, np.array([1.0, 3.0, 1.0, -1.0, 1.0]), 0.0, 2.0)) == 2


def test_an_excursion_over_many_points_is_one_interval():
    t = np.arange(10.0)
    y = np.where((t >= 3) & (t <= 6), 2.0, 0.0)
    assert intervals_outside(t, y, math.nan, 1.0) == ((2.5, 6.5),)
    assert total(intervals_outside(t, y + 5, math.nan, 1.0)) == 9.0


def test_what_is_not_a_number_is_never_within():
    row = specification_row(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, np.nan, 1.0, 1.0]), variable="x", upper=2.0)
    assert (row.time_undefined, row.met) == (2.0, False)
    assert row.maximum == 1.0
    nothing = specification_row(np.array([0.0, 1.0]), np.array([np.nan, np.nan]), variable="x", upper=2.0)
    assert not nothing.met
    assert math.isnan(nothing.maximum)


def test_limits_that_hold_from_a_time_on():
    """A straight line from 0 to 10: below 5 until t = 5, which does not count before t = 4."""
    t, y = np.linspace(0.0, 10.0, 6), np.linspace(0.0, 10.0, 6)
    row = specification_row(t, y, variable="x", lower=5.0, after=4.5)
    assert (row.time_below, row.points_outside, row.minimum, row.duration) == (0.5, 1, 4.5, 5.5)
    assert row.mean == pytest.approx(7.25)
    assert specification_row(t, y, variable="x", lower=5.0, after=5.0).met
    assert specification_row(t, y, variable="x", lower=5.0, after=0.0) == specification_row(t, y, variable="x", lower=5.0)
    late = specification_row(t, y, variable="x", lower=5.0, after=11.0)  # a run that stopped before
    assert not late.met
    assert np.isnan(late.minimum)


@pytest.mark.parametrize("value", [3.0, -1.0, math.nan, math.inf, -math.inf])
def test_a_single_point_out_of_limits_is_out_of_specification(value):
    alone = specification_row(np.array([0.0]), np.array([value]), variable="x", lower=0.0, upper=2.0)
    assert (alone.time_outside, alone.points_outside, alone.met) == (0.0, 1, False)
    assert specification_row(np.array([0.0]), np.array([1.0]), variable="x", lower=0.0, upper=2.0).met
    # an excess so small that the line back to the limit lasts no time
    t = np.array([0.0, 1.0])
    just = specification_row(t, np.array([2.0 + 1e-15, -1e300]), variable="x", upper=2.0)
    assert (just.points_outside, just.met) == (1, False)


def test_what_is_infinite_lasts_an_undefined_time():
    row = specification_row(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, np.inf, 1.0, 1.0]), variable="x", upper=2.0)
    assert (row.time_above, row.time_undefined, row.points_outside) == (0.0, 2.0, 1)
    assert (row.minimum, row.mean, row.maximum) == (1.0, 1.0, 1.0)


def test_balance_numbers():
    row = balance_row("api", np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.5, 2.0]), np.array([10.0, 10.5, 11.25]))
    assert (row.entered, row.left, row.accumulated, row.reacted) == (3.0, 2.0, 1.25, 0.0)
    assert row.residual == -0.25
    assert row.relative == -0.25 / 11.25
    assert not row.closes
    assert balance_row("x", np.zeros(2), np.zeros(2), np.zeros(2)).closes
    assert balance_row("x", np.array([0.0, 1.0]), np.array([0.0, 1.0 - 0.9 * BALANCE_LIMIT]), np.zeros(2)).closes
    assert not balance_row("x", np.array([0.0, np.nan]), np.zeros(2), np.zeros(2)).closes


def test_stream_table(make_results):
    results = make_results()
    rows = {(row.stream.stream, row.component): row for row in stream_table(results)}
    assert len(rows) == 9
    api = rows["S3", "api"]
    assert api.amount == pytest.approx(0.005 * (600 * 0.1 + 0.02 * 100), rel=1e-9)
    assert api.flow_mean == pytest.approx(api.amount / 600)
    assert (api.fraction_start, api.fraction_end) == pytest.approx((0.1, 0.1))
    assert rows["S3", ""].amount == pytest.approx(3.0)
    assert rows["S3", ""].fraction_mean == 1.0
    assert rows["S1", "filler"].amount == 0.0


def test_shares_of_nothing_are_undefined(make_results):
    results = make_results()
    fields = tuple(replace(f, values=0 * f.values) if f.name == "feeder_api.outlet_flow" else f for f in results.fields)
    rows = stream_table(make_results(fields=fields))
    assert math.isnan(rows[0].fraction_mean)


def test_show_gives_one_row_per_variable(make_results):
    results = make_results()
    (row,) = show(results, ["feeder_api.mass", "feeder_api.mass"])
    assert (row.name, row.unit, row.start, row.end) == ("feeder_api.mass", "kg", 2.0, 1.4)
    assert row.mean == pytest.approx(1.7)
    assert [row.name for row in show(results)] == list(results.names)
    with pytest.raises(UsageError, match="feeder_api"):
        show(results, ["feeder_apy"])
    header, values = series(results, ["press.assay", "feeder_api.mass"])
    assert header == ("time [s]", "press.assay[api]", "press.assay[filler]", "feeder_api.mass [kg]")
    assert np.array_equal(values[:, 3], results["feeder_api.mass"])


def test_display_units():
    display = Display({"flow": "g/min", "pressure": "bar", "temperature": "degC"})
    assert display.unit("kg/s").label(20 / 3600) == "333.3 g/min"
    assert display.unit("Pa").label(1e5) == "1 bar"
    assert display.unit("K").label(298.15) == "25 °C"
    assert display.unit("revolution/s").label(1.5) == "90 rpm"
    assert display.unit("1/s").label(1.5) == "1.5 1/s"
    assert display.unit("kg/revolution").label(0.02) == "0.02 kg/rev"
    assert display.unit("kg", 2.5e-4).label(2.5e-4) == "250 mg"
    assert display.unit("kg", 2.5).label(2.5) == "2.5 kg"
    assert display.fraction.label(0.1) == "10 %"
    assert display.time(3600.0).label(90.0) == "1.5 min"
    assert Display({"time": "h"}).time(3600.0).label(5400.0) == "1.5 h"
    assert Display({"fraction": "ppm"}).fraction.label(1e-4) == "100 ppm"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_shown_to_their_digits(value):
    shown = float(format_number(value, 6).replace("\u202f", "").replace("−", "-"))
    assert shown == pytest.approx(value, rel=5.1e-6)


def test_numbers_keep_zeros_where_asked():
    assert [format_number(x, padded=True) for x in (20.0, 2.0, 9.99996)] == ["20.00", "2.000", "10.00"]


@given(st.floats(1e-3, 1e6))
def test_durations_add_up(seconds):
    parts = format_duration(seconds).split()
    size = {"h": 3600, "min": 60, "s": 1}
    told = sum(float(number) * size[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    assert told == pytest.approx(seconds, abs=0.0501)
