"""Recorded signals through vessels with changing flow: closed forms, independent integrations, mass, chunks and order."""

import csv
import math
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.special import gammainc

from csrc.rtd import convolve_cumulative
from csrc.rtd_stream import Coordinate, advance, begin, on_cells, pass_through
from solvers.errors import UsageError
from units.measured_ages import MeasuredAges
from units.recorded_signal import constant_holdup, constant_mean_time
from units.residence_time import ClosedDispersion, DelayedTank, TanksInSeries

DATA = Path(__file__).parents[1] / "data"
HOLDUP, TAU = 0.8, 60.0


def table(name: str) -> list[dict[str, float]]:
    with (DATA / name).open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


# The shares of a distribution on cells -------------------------------------------------------------------------------

ages_of = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 20.0)), min_size=1, max_size=8)


@st.composite
def tables(draw):
    """A cumulative distribution with delays, bypasses and empty stretches."""
    ages = np.cumsum(draw(ages_of))
    shares = np.array([draw(st.one_of(st.just(0.0), st.floats(1e-6, 1.0))) for _ in ages])
    shares[draw(st.integers(0, len(ages) - 1))] += 0.5
    cumulative = np.cumsum(shares)
    return ages, cumulative / cumulative[-1]


def mean_of(ages, cumulative):
    return cumulative[0] * ages[0] + np.sum(np.diff(cumulative) * 0.5 * (ages[1:] + ages[:-1]))


@settings(deadline=None, max_examples=300, derandomize=True)
@given(tables(), st.floats(0.05, 50.0))
def test_shares_are_a_distribution_with_the_same_mean(found, width):
    shares = on_cells(Coordinate.TIME, width, *found).shares
    assert np.all(shares >= 0)
    assert shares.sum() == pytest.approx(1.0, abs=1e-14)
    assert width * (shares @ np.arange(shares.size)) == pytest.approx(mean_of(*found), abs=1e-12 * (1 + found[0][-1]))


def test_shares_are_the_integrals_that_they_are_said_to_be():
    vessel = MeasuredAges([1.0, 4.0, 5.5, 11.0], [0.0, 0.5, 0.6, 1.0])
    shares = on_cells(Coordinate.TIME, 1.7, vessel.ages, vessel.shares_left).shares
    for j, share in enumerate(shares):
        cuts = sorted({*vessel.ages, 1.7 * (j - 1), 1.7 * j, 1.7 * (j + 1)})
        hat = lambda w, j=j: vessel.density(w) * max(0.0, 1 - abs(w / 1.7 - j))  # noqa: E731
        assert share == pytest.approx(sum(quad(hat, a, b)[0] for a, b in pairwise(cuts)), abs=1e-12)


# Closed forms and somebody else's numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("row", table("rtd_funnel_TIS.csv")[::5], ids=lambda row: f"n={row['n_tanks']:g},d={row['duration_over_tau']:g}")
def test_funnel_while_the_flow_changes(row):
    """The flow doubles again and again: in mass that has passed the peak is that of the table at constant flow."""
    d, top = row["duration_over_tau"] * HOLDUP, row["t_peak_over_tau"] * HOLDUP
    vessel = constant_holdup(TanksInSeries(TAU, row["n_tanks"]), HOLDUP, HOLDUP / 2000)
    rng = np.random.default_rng(50)
    passed = np.unique(np.concatenate((np.linspace(0.0, 8 * HOLDUP, 40), [d])))
    flow = rng.uniform(1e-3, 1e-1, passed.size - 1)  # constant between points, with jumps
    ends = np.concatenate(([0.0], np.cumsum(np.diff(passed) / flow)))
    times, flow = np.repeat(ends, 2)[1:-1], np.repeat(flow, 2)
    fraction = np.where(times < np.interp(d, passed, ends), 1.0, 0.0)
    fraction[1 : 2 * np.searchsorted(passed, d) : 2] = 1.0  # until the jump
    out, _ = pass_through(vessel, times, flow, fraction, before=0.0)
    left = out.fractions[:, 0]
    assert left.max() == pytest.approx(row["peak_fraction"], abs=3e-4)
    assert left[int(top / vessel.width)] == pytest.approx(row["peak_fraction"], abs=1.2e-3)


@pytest.mark.parametrize("column", ["TIS_n=1", "TIS_n=3", "ADclosed_Pe=10", "ADclosed_Pe=50"])
def test_second_order_against_the_sixty_digit_table(column):
    """A step, of which half of a cell is taken before and half after each time of the table: the mean of two cells is F."""
    rows = table("rtd_reference_E_F.csv")[:16]
    kind, shape = column.split("=")
    vessel = ClosedDispersion(1.0, float(shape)) if "AD" in kind else TanksInSeries(1.0, float(shape))
    errors = []
    for cells in (20, 40, 80):
        response = constant_mean_time(vessel, 1 / cells)
        out, _ = pass_through(response, [0.0, 3.0], [2.0, 2.0], [1.0, 1.0], before=0.0)
        edges = np.append(0.0, out.fractions[:, 0])
        at = np.rint(np.array([row["theta"] for row in rows]) * cells).astype(int)
        errors.append(np.abs(0.5 * (edges[at] + edges[at + 1]) - [row[f"F_{column}"] for row in rows]).max())
    assert np.all(np.abs(np.log2(np.array(errors[:-1]) / errors[1:]) - 2.0) < 0.2), errors


def flow_at(t):
    return 0.02 * (1.2 + np.sin(2 * np.pi * t / 90.0))


def inlet_at(t):
    return 0.1 + 0.05 * np.sin(2 * np.pi * t / 47.0) + 0.03 * np.cos(2 * np.pi * t / 201.0)


@pytest.mark.parametrize("tanks", [1, 3])
@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_second_order_against_tanks_that_were_integrated(tanks, coordinate):
    """Tanks as differential equations: with constant hold-up, or with a hold-up that leaves with a constant rate."""
    constant = coordinate is Coordinate.PASSED_MASS

    def rates(t, y):
        """Mass of the component in each tank (kg), total mass in each, mass that has left in total and of the component."""
        part, whole = y[:tanks], y[tanks : 2 * tanks]
        rate = np.full(tanks, flow_at(t)) if constant else whole * tanks / TAU
        leaving = rate * part / whole
        entering = np.append(flow_at(t) * inlet_at(t), leaving[:-1])
        filling = np.append(flow_at(t), rate[:-1])
        return np.concatenate((entering - leaving, filling - rate, [rate[-1], leaving[-1]]))

    end, x0, whole = 400.0, inlet_at(0.0), HOLDUP if constant else flow_at(0.0) * TAU
    start = np.concatenate((np.full(tanks, x0 * whole / tanks), np.full(tanks, whole / tanks), [0.0, 0.0]))
    exact = solve_ivp(rates, (0.0, end), start, method="DOP853", rtol=1e-12, atol=1e-14, dense_output=True).sol
    errors = []
    for cells in (30, 60, 120):
        width = (HOLDUP if constant else TAU) / cells
        vessel = TanksInSeries(TAU, tanks)
        response = constant_holdup(vessel, HOLDUP, width) if constant else constant_mean_time(vessel, width)
        times = np.linspace(0.0, end, 20001)
        out, _ = pass_through(response, times, flow_at(times), inlet_at(times))
        left = np.diff(exact(out.times)[-1]) / np.diff(exact(out.times)[-2])
        errors.append(np.abs(out.fractions[:, 0] - left).max())
        np.testing.assert_allclose(out.total, np.diff(exact(out.times)[-2]), rtol=1e-6 if constant else 0.05)
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2.0, atol=0.25)


def test_constant_flow_is_the_exact_kernel():
    """Against csrc.rtd, which knows no cells; both coordinates are one."""
    rng = np.random.default_rng(51)
    times = np.sort(rng.uniform(0.0, 500.0, 60))
    inlet = rng.uniform(0.0, 1.0, 60)
    ages, cumulative = TanksInSeries(TAU, 2.5).table(0.25)
    width = 0.5
    for coordinate, flow in ((Coordinate.TIME, 3.0), (Coordinate.PASSED_MASS, 1.0)):
        out, _ = pass_through(on_cells(coordinate, width, ages, cumulative), times, np.full(60, flow), inlet)
        middle = 0.5 * (out.times[1:] + out.times[:-1])
        expected = convolve_cumulative(times, inlet, ages, cumulative, middle)
        np.testing.assert_allclose(out.fractions[:, 0], expected, atol=2e-4)


# What holds for every record -----------------------------------------------------------------------------------------

gap = st.one_of(st.just(0.0), st.floats(1e-6, 30.0))
size = st.one_of(st.just(0.0), st.floats(1e-3, 5.0))


@st.composite
def records(draw, components=2):
    """Points with jumps, stops of the flow and short intervals."""
    n = draw(st.integers(2, 10))
    times = np.cumsum([draw(gap) for _ in range(n)])
    flow = np.array([draw(size) for _ in range(n)])
    return times, flow, np.array([[draw(st.floats(0.0, 1.0)) for _ in range(components)] for _ in range(n)])


def entered(times, flow, fractions):
    """Integrals of the flow and of flow times fraction, by Gauss points."""
    middle, half = 0.5 * (times[1:] + times[:-1]), 0.5 * np.diff(times)
    total = 0.0
    for node in (-1 / math.sqrt(3), 1 / math.sqrt(3)):
        rate, part = (0.5 * ((1 - node) * y[:-1] + (1 + node) * y[1:]) for y in (flow[:, None], fractions))
        total = total + (half[:, None] * rate * np.hstack((np.ones_like(rate), part))).sum(axis=0)
    assert middle.size == half.size
    return total


@settings(deadline=None, max_examples=200, derandomize=True)
@given(records(), tables(), st.floats(0.2, 20.0), st.sampled_from(Coordinate))
def test_mass_is_conserved(record, distribution, width, coordinate):
    """What has entered is what has left and what is held more; so for every component and for all together."""
    response = on_cells(coordinate, width, *distribution)
    start = begin(response, record[0][0], record[1][0], record[2][0])
    out, after = advance(response, start, record[0][1:], record[1][1:], record[2][1:])
    left = np.append(out.total.sum(), out.amounts.sum(axis=0))
    scale = start.held + entered(*record) + 1e-300
    np.testing.assert_array_less(np.abs(entered(*record) - left - (after.held - start.held)), 1e-12 * scale.max())


@settings(deadline=None, max_examples=150, derandomize=True)
@given(records(), tables(), st.floats(0.2, 20.0), st.sampled_from(Coordinate), st.data())
def test_chunks_give_what_the_whole_record_does(record, distribution, width, coordinate, data):
    response = on_cells(coordinate, width, *distribution)
    whole, end = pass_through(response, *record)
    stream, parts = begin(response, record[0][0], record[1][0], record[2][0]), []
    for first, last in pairwise([1, *sorted(data.draw(st.lists(st.integers(1, len(record[0])), max_size=4))), len(record[0])]):
        out, stream = advance(response, stream, *(column[first:last] for column in record))
        parts.append(out)
    times = np.concatenate([parts[0].times, *(part.times[1:] for part in parts[1:])])
    assert np.array_equal(times, whole.times)
    scale = 1e-14 * max(1.0, float(np.abs(whole.total).max(initial=0.0)), float(end.held.max()))
    np.testing.assert_allclose(np.concatenate([part.amounts for part in parts]), whole.amounts, atol=scale)
    np.testing.assert_allclose(np.concatenate([part.total for part in parts]), whole.total, atol=scale)
    np.testing.assert_allclose(stream.held, end.held, atol=scale)
    assert stream.passed == end.passed
    assert np.array_equal(stream.entered, end.entered)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(records(), tables(), st.floats(0.2, 20.0), st.sampled_from(Coordinate))
def test_outlet_stays_within_the_inlet_and_a_constant_one_stays(record, distribution, width, coordinate):
    times, flow, fractions = record
    response = on_cells(coordinate, width, *distribution)
    out, _ = pass_through(response, times, flow, fractions)
    floor = 1e-12 * max(1.0, float(out.total.max(initial=0.0)))
    assert np.all(out.amounts >= fractions.min(axis=0) * out.total[:, None] - floor)
    assert np.all(out.amounts <= fractions.max(axis=0) * out.total[:, None] + floor)
    if coordinate is Coordinate.PASSED_MASS:
        np.testing.assert_allclose(out.total, width, rtol=1e-9)


def test_one_point_at_a_time_is_the_record():
    """A signal of a thousand points, in chunks of one, of seven and as a whole; transforms or not."""
    rng = np.random.default_rng(52)
    times = np.cumsum(rng.uniform(0.1, 2.0, 1000))
    flow, fractions = rng.uniform(0.0, 0.02, 1000), rng.uniform(0.0, 1.0, (1000, 3))
    response = constant_holdup(TanksInSeries(TAU, 2.0), HOLDUP, HOLDUP / 100)
    whole, end = pass_through(response, times, flow, fractions)
    for chunk in (1, 7, 400):
        stream, amounts = begin(response, times[0], flow[0], fractions[0]), []
        for k in range(1, 1000, chunk):
            out, stream = advance(response, stream, times[k : k + chunk], flow[k : k + chunk], fractions[k : k + chunk])
            amounts.append(out.amounts)
        np.testing.assert_allclose(np.concatenate(amounts), whole.amounts, atol=1e-14 * whole.amounts.max())
        np.testing.assert_allclose(stream.tail, end.tail, atol=1e-14 * end.tail.max())


def test_same_bytes_again():
    rng = np.random.default_rng(53)
    response = constant_mean_time(TanksInSeries(TAU, 2.0), 0.5)
    run = partial(pass_through, response, np.arange(5000.0), rng.uniform(0.0, 1.0, 5000), rng.uniform(0.0, 1.0, 5000))
    assert run()[0].amounts.tobytes() == run()[0].amounts.tobytes()


# Limits --------------------------------------------------------------------------------------------------------------


def test_nothing_passes_while_nothing_flows():
    response = constant_holdup(TanksInSeries(TAU, 2.0), HOLDUP, 0.01)
    out, after = pass_through(response, [0.0, 50.0, 50.0, 150.0, 150.0, 200.0], [0.1, 0.1, 0.0, 0.0, 0.1, 0.1], [1, 1, 5, 5, 1, 1])
    np.testing.assert_allclose(out.fractions, 1.0, rtol=1e-13)
    assert not np.any((out.times > 50.0 + 1e-9) & (out.times < 150.0))
    assert after.passed == pytest.approx(10.0)
    stopped, _ = pass_through(response, [0.0, 100.0], [0.0, 0.0], [1.0, 1.0])
    assert stopped.total.size == 0


def test_a_hold_up_that_follows_the_flow_empties():
    """After the flow has stopped, what was held leaves, and the fraction stays; where nothing leaves it is not a number."""
    response = on_cells(Coordinate.TIME, 1.0, [0.0, 20.0], [0.0, 1.0])
    out, after = pass_through(response, [0.0, 30.0, 30.0, 80.0], [2.0, 2.0, 0.0, 0.0], [0.5, 0.5, 0.9, 0.9])
    np.testing.assert_allclose(out.total[:30], 2.0, rtol=1e-13)
    assert np.all(np.diff(out.total[29:50]) < 0)
    np.testing.assert_allclose(out.fractions[:49], 0.5, rtol=1e-9)
    assert np.all(np.isnan(out.fractions[51:]))
    assert after.held == pytest.approx([0.0, 0.0], abs=1e-13)


def test_hold_up_is_what_is_held():
    """At the start the tail holds the mean age times the flow, less the half of a cell by which cells lag, whatever the distribution."""
    for vessel in (TanksInSeries(TAU, 2.0), DelayedTank(40.0, 20.0)):
        stream = begin(constant_holdup(vessel, HOLDUP, 0.01), 0.0, 0.3, 0.25)
        assert stream.held == pytest.approx([HOLDUP, 0.25 * HOLDUP], rel=1e-6)


def test_flow_and_fractions_before_the_record():
    """With a mean time, what leaves first is what flowed before; with a hold-up the flow before does not matter."""
    ages, cumulative = TanksInSeries(TAU, 2.0).table(0.5)
    for coordinate, first in ((Coordinate.TIME, 6.0), (Coordinate.PASSED_MASS, 2.0)):
        response = on_cells(coordinate, 2.0, ages, cumulative)
        out, _ = pass_through(response, [0.0, 1200.0], [1.0, 1.0], [0.2, 0.2], before_flow=3.0, before=0.7)
        assert out.total[0] == pytest.approx(first, rel=0.01)
        assert out.fractions[0, 0] == pytest.approx(0.7, rel=0.01)
        assert (out.total[-1], out.fractions[-1, 0]) == pytest.approx((2.0, 0.2), rel=1e-6)


def test_a_record_within_a_cell_waits():
    response = on_cells(Coordinate.TIME, 100.0, [0.0], [1.0])
    out, stream = pass_through(response, [0.0, 60.0], [1.0, 1.0], [0.5, 0.5])
    assert out.times.tolist() == [0.0]
    assert stream.entered.tolist() == [60.0, 30.0]
    out, stream = advance(response, stream, [150.0], [1.0], [0.5])
    assert out.amounts.tolist() == [[50.0]]
    assert out.times.tolist() == [0.0, 100.0]


# What is refused -----------------------------------------------------------------------------------------------------

RESPONSE = on_cells(Coordinate.TIME, 1.0, [0.0, 5.0], [0.0, 1.0])
STREAM = begin(RESPONSE, 0.0, 1.0, [0.5, 0.5])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: on_cells(Coordinate.TIME, 0.0, [1.0], [1.0]), "width has to be positive"),
        (lambda: on_cells(Coordinate.TIME, 1.0, [2.0, 1.0], [0.0, 1.0]), r"ages\[1\] is less than the age before it"),
        (lambda: on_cells(Coordinate.TIME, 1.0, [-1.0, 1.0], [0.0, 1.0]), r"ages\[0\] is less"),
        (lambda: on_cells(Coordinate.TIME, 1.0, [1.0, 2.0], [0.6, 0.5]), r"cumulative\[1\] is less than the fraction before it"),
        (lambda: on_cells(Coordinate.TIME, 1.0, [1.0, 2.0], [0.5, 0.9]), "cumulative ends at 0.9 and not 1"),
        (lambda: on_cells(Coordinate.TIME, 1.0, [1.0, 2.0], [1.0]), "need the same number of values"),
        (lambda: on_cells(Coordinate.TIME, 1e-9, [1.0, 2.0], [0.0, 1.0]), "cells are more than"),
        (lambda: begin(RESPONSE, 0.0, -1.0, 0.5), "flow is negative"),
        (lambda: begin(RESPONSE, 0.0, math.nan, 0.5), "the first point holds a number that is not finite"),
        (lambda: begin(RESPONSE, 0.0, 1.0, 0.5, before=math.inf), "before holds a number that is not finite"),
        (lambda: advance(RESPONSE, STREAM, [1.0], [1.0], [[0.5, 0.5, 0.5]]), "with 2 fractions"),
        (lambda: advance(RESPONSE, STREAM, [1.0, 2.0], [1.0], [[0.5, 0.5]]), "need as many points each"),
        (lambda: advance(RESPONSE, STREAM, [1.0], [-1.0], [[0.5, 0.5]]), r"flow\[0\] is negative"),
        (lambda: advance(RESPONSE, STREAM, [1.0], [1.0], [[0.5, math.nan]]), r"fractions\[0, 1\] is not finite"),
        (lambda: advance(RESPONSE, STREAM, [-1.0], [1.0], [[0.5, 0.5]]), r"times\[0\] is less than the time before it"),
        (lambda: advance(RESPONSE, STREAM, [1e12], [1.0], [[0.5, 0.5]]), "cells are more than"),
        (lambda: advance(on_cells(Coordinate.TIME, 1.0, [9.0], [1.0]), STREAM, [1.0], [1.0], [[0.5, 0.5]]), "began with another response"),
        (lambda: pass_through(RESPONSE, [], [], []), "need as many points each"),
    ],
)
def test_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_refused_by_the_vessels():
    with pytest.raises(UsageError, match="holdup has to be positive"):
        constant_holdup(TanksInSeries(TAU, 2.0), 0.0, 0.1)
    with pytest.raises(UsageError, match="width has to be positive"):
        constant_mean_time(TanksInSeries(TAU, 2.0), -1.0)


def test_number_of_tanks_between():
    """A real number of tanks: a step long after it has come through, by the incomplete gamma function."""
    response = constant_mean_time(TanksInSeries(TAU, 2.6), 0.5)
    out, _ = pass_through(response, [0.0, 200.0], [1.0, 1.0], [1.0, 1.0], before=0.0)
    middle = 0.5 * (out.times[1:] + out.times[:-1])
    np.testing.assert_allclose(out.fractions[:, 0], gammainc(2.6, 2.6 * middle / TAU), atol=2e-5)
