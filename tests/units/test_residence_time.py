"""Residence-time distributions against tables in extended precision, their moments, transforms and limits."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.errors import UsageError
from units.dispersion import closed_cumulative, closed_density
from units.funnel import funnel_peak, variance_reduction
from units.measured_ages import MeasuredAges
from units.residence_time import ClosedDispersion, DelayedTank, Distribution, OpenDispersion, TanksInSeries

DATA = Path(__file__).parents[1] / "data"
TAU = 60.0


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open() as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


DISTRIBUTIONS: list[Distribution] = [
    TanksInSeries(TAU, 1.0),
    TanksInSeries(TAU, 2.6),
    TanksInSeries(TAU, 300.0),
    ClosedDispersion(TAU, 0.3),
    ClosedDispersion(TAU, 9.0),
    ClosedDispersion(TAU, 700.0),
    OpenDispersion(TAU, 4.0),
    OpenDispersion(TAU, 90.0),
    DelayedTank(TAU, 20.0),
    MeasuredAges(np.array([5.0, 30.0, 70.0, 90.0, 200.0]), np.array([0.0, 0.1, 0.7, 0.7, 1.0])),
]
every = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: type(d).__name__ if isinstance(d, MeasuredAges) else repr(d))

# Tables computed by others -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 20])
def test_tanks_against_the_sixty_digit_table(n):
    rows = table("rtd_reference_E_F.csv")
    theta = column(rows, "theta")
    vessel = TanksInSeries(TAU, n)
    np.testing.assert_allclose(TAU * vessel.density(TAU * theta), column(rows, f"E_TIS_n={n}"), rtol=6e-10)
    np.testing.assert_allclose(vessel.cumulative(TAU * theta), column(rows, f"F_TIS_n={n}"), rtol=6e-10)


@pytest.mark.parametrize("peclet", [5, 10, 20, 50])
def test_dispersion_against_the_sixty_digit_table(peclet):
    """Ten digits are printed, of values as small as 1e-46; those below 1e-30 are left to the next test."""
    rows = table("rtd_reference_E_F.csv")
    theta = column(rows, "theta")
    closed, opened = ClosedDispersion(TAU, peclet), OpenDispersion(TAU, peclet)
    for found, name in (
        (TAU * closed.density(TAU * theta), f"E_ADclosed_Pe={peclet}"),
        (closed.cumulative(TAU * theta), f"F_ADclosed_Pe={peclet}"),
        (TAU * opened.density(TAU * theta), f"E_ADopen_Pe={peclet}"),
    ):
        np.testing.assert_allclose(found, column(rows, name), rtol=6e-10, atol=1e-40)


@pytest.mark.parametrize("peclet", [0.1, 0.5, 2.0, 10.0, 50.0, 200.0, 1000.0])
def test_closed_dispersion_to_rounding_at_all_ages(peclet):
    """The exact series in 60 digits and more, by mpmath: also where its terms are 1e200 times as large as their sum."""
    rows = [row for row in table("rtd_closed_dispersion.csv") if float(row["peclet"]) == peclet]
    theta = column(rows, "theta")
    assert theta.min() <= 0.5
    assert theta.max() >= 2
    np.testing.assert_allclose(closed_density(theta, peclet), column(rows, "E"), rtol=5e-14)
    np.testing.assert_allclose(closed_cumulative(theta, peclet), column(rows, "F"), rtol=5e-14)


MODELS = {"TIS": TanksInSeries, "AD closed-closed": ClosedDispersion, "AD open-open": OpenDispersion}


@pytest.mark.parametrize("row", table("rtd_moments.csv"), ids=lambda row: f"{row['model']} {row['parameter']}")
def test_moments_of_the_table(row):
    vessel = MODELS[row["model"]](TAU, float(row["parameter"].split("=")[1]))
    assert vessel.mean == pytest.approx(TAU * float(row["mean_over_tau"]), rel=1e-12)
    assert vessel.variance == pytest.approx(TAU**2 * float(row["variance_over_tau2"]), rel=1e-7)


# What belongs together -----------------------------------------------------------------------------------------------


NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def integral(distribution, law, end=math.inf):
    """Integrate a law over ages by Gauss's rule, cut at the corners of the distribution, around its middle and toward zero."""
    corners = getattr(distribution, "ages", [getattr(distribution, "delay", 0.0)])
    steps = math.sqrt(distribution.variance) * np.array([-6, -3, -1, 0, 1, 3, 6, 12, 24, 48])
    cuts = np.concatenate((corners, distribution.mean + steps, distribution.mean * np.geomspace(1e-4, 1.0, 13), [0.0, min(end, 1e9)]))
    cuts = np.unique(np.clip(cuts, 0.0, min(end, distribution.mean + steps[-1])))
    middle, half = 0.5 * (cuts[1:] + cuts[:-1]), 0.5 * np.diff(cuts)
    return np.sum(half[:, None] * WEIGHTS * law(middle[:, None] + half[:, None] * NODES))


@every
def test_moments_by_quadrature(distribution):
    assert integral(distribution, distribution.density) == pytest.approx(1.0, abs=1e-9)
    assert integral(distribution, lambda t: t * distribution.density(t)) == pytest.approx(distribution.mean, rel=1e-8)
    spread = integral(distribution, lambda t: (t - distribution.mean) ** 2 * distribution.density(t))
    assert spread == pytest.approx(distribution.variance, rel=1e-7)


@every
def test_transfer_function_is_the_transform_of_the_density(distribution):
    for s in (4.0 / TAU + 0j, (0.3 + 5.0j) / TAU):
        found = integral(distribution, lambda t, s=s: np.exp(-s * t) * distribution.density(t))
        assert distribution.transfer(s) == pytest.approx(found, abs=1e-9)


@every
def test_cumulative_is_the_integral_of_the_density(distribution):
    for end in (0.4 * TAU, TAU, 1.7 * TAU):
        assert distribution.cumulative(end) == pytest.approx(integral(distribution, distribution.density, end), abs=1e-10)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(kind=st.sampled_from([TanksInSeries, ClosedDispersion, OpenDispersion]), shape=st.floats(0.02, 3000.0), tau=st.floats(0.1, 1e5))
def test_a_distribution_is_one(kind, shape, tau):
    vessel = kind(tau, shape)
    ages = np.sort(np.concatenate((np.linspace(0.0, 3 * tau, 301), np.geomspace(1e-6 * tau, 1e5 * tau, 61))))
    density, cumulative = vessel.density(ages[1:]), vessel.cumulative(ages)
    assert np.all(density >= 0)
    assert np.all(np.diff(cumulative) >= -1e-14)
    assert cumulative[0] == 0
    assert cumulative[-1] == pytest.approx(1.0, abs=1e-9)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(peclet=st.floats(0.05, 2000.0), side=st.sampled_from([-1, 1]))
def test_both_forms_of_the_closed_vessel_meet(peclet, side):
    """At theta = Pe/4 one hands over to the other, and F at one width from its pole: no step is seen."""
    root = 2 / math.sqrt(peclet)
    pole = (math.sqrt(root**2 + 4) - root) ** 2 / 4  # (1 - theta) sqrt(Pe/theta) = 2
    for place in (peclet / 4, pole):
        ages = place * (1 + 1e-9 * np.array([-side, side]))
        slope = closed_density(ages[:1], peclet)[0] * np.diff(ages)[0]
        assert np.diff(closed_cumulative(ages, peclet))[0] == pytest.approx(slope, abs=1e-13)
        np.testing.assert_allclose(*closed_density(ages, peclet), rtol=1e-6 * max(peclet, 1.0), atol=1e-300)


# Limits --------------------------------------------------------------------------------------------------------------


def test_hardly_any_dispersion_is_a_delay_and_very_much_is_one_tank():
    ages = np.array([0.3, 0.9, 1.1, 3.0]) * TAU
    np.testing.assert_allclose(ClosedDispersion(TAU, 1e-6).cumulative(ages), TanksInSeries(TAU, 1.0).cumulative(ages), atol=1e-6)
    np.testing.assert_allclose(ClosedDispersion(TAU, 1e6).cumulative(ages), [0, 0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(TanksInSeries(TAU, 1e6).cumulative(ages), [0, 0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(DelayedTank(TAU, 1e-9).density(ages), TanksInSeries(TAU, 1.0).density(ages), rtol=1e-9)


@pytest.mark.parametrize("peclet", [1e-8, 1.0, 1e8])
def test_the_smallest_and_largest_ages_are_regular(peclet):
    for vessel in (ClosedDispersion(TAU, peclet), OpenDispersion(TAU, peclet)):
        with np.errstate(all="raise", under="ignore"):
            ages = TAU * np.array([1e-310, 1e-200, 1e-9, 1e9, 1e200])
            assert np.all(np.isfinite(vessel.density(ages)))
            assert vessel.cumulative(ages[:2]).tolist() == [0.0, 0.0]
            assert vessel.cumulative(ages[-1]) == pytest.approx(1.0)


def test_age_zero_and_before():
    for tanks, first in ((0.5, math.inf), (1.0, 1 / TAU), (1.5, 0.0)):
        assert TanksInSeries(TAU, tanks).density([-1.0, 0.0]).tolist() == [0.0, first]
    for vessel in DISTRIBUTIONS:
        assert vessel.cumulative([-5.0, 0.0]).tolist() == [0.0, 0.0]
        assert vessel.density(-1.0) == 0.0
    assert MeasuredAges([0.0, 2.0], [0.0, 1.0]).density(0.0) == 0.5


def test_less_than_one_tank_is_a_bypass():
    """E goes as t^(n-1): F near zero is (n t/tau)^n/Gamma(n + 1)."""
    vessel = TanksInSeries(TAU, 0.4)
    early = 1e-9 * TAU
    assert vessel.cumulative(early) == pytest.approx((0.4e-9) ** 0.4 / math.gamma(1.4), rel=1e-8)


@every
def test_table_holds_all_but_what_is_said_to_be_left(distribution):
    ages, cumulative = distribution.table(TAU / 50)
    assert 1 - cumulative[-1] <= 1e-10
    assert np.array_equal(cumulative, distribution.cumulative(ages))
    assert np.all(np.diff(ages) > 0)


# Funnel and variance -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", table("rtd_funnel_TIS.csv"), ids=lambda row: f"n={row['n_tanks']},d={row['duration_over_tau']}")
def test_funnel_against_the_table(row):
    peak, time = funnel_peak(float(row["n_tanks"]), float(row["duration_over_tau"]))
    assert peak == pytest.approx(float(row["peak_fraction"]), abs=1e-10)
    assert time == pytest.approx(float(row["t_peak_over_tau"]), abs=1e-8)
    assert 5 / peak == pytest.approx(float(row["max_disturbance_pct_for_5pct_spec"]), abs=1e-5)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(tanks=st.floats(0.3, 60.0), duration=st.floats(0.01, 6.0))
def test_funnel_is_the_highest_point(tanks, duration):
    peak, time = funnel_peak(tanks, duration)
    vessel = TanksInSeries(1.0, tanks)
    around = np.concatenate((np.linspace(0.0, duration + 4.0, 2001), time * np.linspace(0.99, 1.01, 101)))
    outlet = vessel.cumulative(around) - vessel.cumulative(around - duration)
    assert outlet.max() <= peak + 1e-14
    assert outlet.max() == pytest.approx(peak, abs=1e-5)


def test_funnel_of_many_durations_and_near_one_tank():
    peaks, times = funnel_peak(1.0 + 1e-9, [0.1, 1.0])
    np.testing.assert_allclose(peaks, -np.expm1([-0.1, -1.0]), rtol=1e-8)
    np.testing.assert_allclose(times, [0.1, 1.0], rtol=1e-8)


@pytest.mark.parametrize("row", table("blender_VRR_TIS.csv"), ids=lambda row: row["a_times_tau"])
def test_variance_reduction_of_one_tank(row):
    found = variance_reduction(TanksInSeries(TAU, 1.0), float(row["a_times_tau"]) / TAU)
    assert found == pytest.approx(float(row["VRR_var_in_over_var_out"]), rel=1e-11)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.floats(1e-3, 1e3))
def test_variance_reduction_of_two_tanks(rate):
    """By residues: 2 (1 + b)^2/(2 + b), b = a tau/2; a delay changes nothing."""
    b = rate / 2
    assert variance_reduction(TanksInSeries(1.0, 2.0), rate) == pytest.approx(2 * (1 + b) ** 2 / (2 + b), rel=1e-10)
    assert variance_reduction(DelayedTank(1.0, 7.0), rate) == pytest.approx(1 + rate, rel=1e-10)


@pytest.mark.parametrize("tanks", [25.0, 40.0, 99.0])
def test_variance_reduction_of_many_tanks(tanks):
    """Whole numbers of tanks, of which NumPy multiplies powers out, are no other than their neighbors; far out in frequency H is zero."""
    near = [variance_reduction(TanksInSeries(TAU, n), 1 / TAU) for n in (tanks - 1e-6, tanks, tanks + 1e-6)]
    assert near[1] == pytest.approx(0.5 * (near[0] + near[2]), rel=1e-12)
    assert TanksInSeries(TAU, tanks).transfer(1e14j) == pytest.approx(0.0, abs=1e-300)


@pytest.mark.parametrize(
    "vessel", [ClosedDispersion(TAU, 0.5), ClosedDispersion(TAU, 40.0), OpenDispersion(TAU, 6.0), TanksInSeries(TAU, 3.3)]
)
def test_variance_reduction_in_frequency_and_in_time(vessel):
    """The same by exact double integrals over a fine table of ages: another way, which knows nothing of transfer functions."""
    for rate in (0.2 / TAU, 2.0 / TAU):
        ages, shares = vessel.table(TAU / 60, 1e-7)
        measured = MeasuredAges(ages, shares / shares[-1])
        assert variance_reduction(vessel, rate) == pytest.approx(variance_reduction(measured, rate), rel=3e-4)


def test_variance_of_a_boxcar_is_the_known_one():
    """Everything leaves evenly within a width: 2 (x - 1 + exp(-x))/x^2, also for short widths."""
    box = MeasuredAges([0.0, 5.0, 30.0], [0.0, 1 / 6, 1.0])
    for x in (1e-6, 0.5, 40.0):
        expected = 2 * (x + np.expm1(-x)) / x**2 if x > 1e-3 else 1 - x / 3
        assert variance_reduction(box, x / 30.0) == pytest.approx(1 / expected, rel=1e-9)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: TanksInSeries(0.0, 2.0), "mean_time has to be positive"),
        (lambda: TanksInSeries(TAU, math.nan), "tanks has to be positive"),
        (lambda: ClosedDispersion(TAU, -1.0), "peclet has to be positive"),
        (lambda: OpenDispersion(math.inf, 1.0), "transit_time has to be positive"),
        (lambda: DelayedTank(TAU, 0.0), "delay has to be positive"),
        (lambda: TanksInSeries(TAU, 2.0).density([1.0, math.nan]), "time holds a value that is not finite"),
        (lambda: TanksInSeries(TAU, 2.0).table(1e-9), "ages"),
        (lambda: funnel_peak(2.0, [1.0, 0.0]), "duration has to be positive"),
        (lambda: funnel_peak(-2.0, 1.0), "tanks has to be positive"),
        (lambda: variance_reduction(TanksInSeries(TAU, 2.0), -1.0), "rate has to be positive"),
        (lambda: MeasuredAges([0.0, 1.0], [0.0, 0.9]), "has to grow from 0 to 1"),
        (lambda: MeasuredAges([0.0, 1.0, 2.0], [0.0, 0.6, 0.5]), "has to grow from 0 to 1"),
        (lambda: MeasuredAges([0.0, 1.0, 1.0], [0.0, 0.6, 1.0]), "ages have to increase"),
    ],
)
def test_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong()


def test_measured_ages_are_kept():
    ages = np.array([0.0, 1.0])
    vessel = MeasuredAges(ages, [0.0, 1.0])
    ages[1] = 5.0
    assert vessel.mean == 0.5
    assert vessel != MeasuredAges([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        vessel.ages[0] = 1.0
