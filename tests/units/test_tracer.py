"""Tracer curves: moments, deconvolution and fits against curves whose distribution is known."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csrc.rtd import convolve_cumulative
from solvers.errors import UsageError
from units.measured_ages import MeasuredAges
from units.residence_time import ClosedDispersion, DelayedTank, OpenDispersion, TanksInSeries
from units.tracer import deconvolve, tracer_moments
from units.tracer_fit import fit_distribution

TIMES = np.linspace(0.0, 600.0, 301)
PULSE = np.interp(TIMES, [0, 20, 40, 60], [0, 1, 1, 0])


def outlet_of(vessel, times=TIMES, inlet=PULSE):
    """Convolve by the exact kernel with a fine table; what is older than the record sees its start."""
    ages = np.linspace(0.0, times[-1], 30001)
    return convolve_cumulative(times, inlet, np.append(ages, 2 * ages[-1]), np.append(vessel.cumulative(ages), 1.0), times)


# Moments -------------------------------------------------------------------------------------------------------------


def test_moments_of_a_triangle_are_exact():
    found = tracer_moments([2.0, 3.0, 5.0], [1.0, 7.0, 1.0], baseline=1.0)
    assert found.area == pytest.approx(9.0, rel=1e-14)
    assert found.mean == pytest.approx((2 + 3 + 5) / 3, rel=1e-14)
    assert found.variance == pytest.approx((4 + 9 + 25 - 6 - 10 - 15) / 18, rel=1e-12)


def test_jumps_and_zero_tails_change_nothing():
    box = tracer_moments([0.0, 10.0, 10.0, 40.0, 40.0, 90.0], [0.0, 0.0, 2.0, 2.0, 0.0, 0.0])
    assert (box.area, box.mean, box.variance) == pytest.approx((60.0, 25.0, 75.0), rel=1e-13)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(start=st.floats(0.3, 2.5), tau=st.floats(10.0, 200.0), end=st.floats(3.0, 6.0), height=st.floats(1e-3, 1e3))
def test_a_cut_exponential_is_completed(start, tau, end, height):
    """Exact from the tail on; before it the record is a fine table."""
    times = tau * np.linspace(0.0, end, 8001)
    found = tracer_moments(times, height * np.exp(-times / tau), tail_from=start * tau)
    assert found.area == pytest.approx(height * tau, rel=1e-6)
    assert found.mean == pytest.approx(tau, rel=1e-6)
    assert found.variance == pytest.approx(tau**2, rel=1e-6)
    assert found.beyond == pytest.approx(math.exp(-end), rel=1e-5)
    assert found.tail_time == pytest.approx(tau, rel=1e-6)


def test_second_order_in_the_spacing():
    """Against the moments of three tanks, whose tail is cut where nothing is left."""
    vessel, errors = TanksInSeries(60.0, 3.0), []
    for points in (401, 801, 1601):
        times = np.linspace(0.0, 1500.0, points)
        found = tracer_moments(times, vessel.density(times))
        errors.append(abs(found.variance - vessel.variance))
        assert found.mean == pytest.approx(vessel.mean, abs=1e-3)
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2.0, atol=0.1)


def test_noise_in_a_tail_is_smoothed():
    vessel = TanksInSeries(60.0, 2.0)
    rng = np.random.default_rng(40)
    times = np.linspace(0.0, 400.0, 401)
    curve = vessel.density(times)
    kept, cut = [], []
    for _ in range(50):
        noisy = curve + 0.01 * curve.max() * rng.normal(size=times.size)
        kept.append(tracer_moments(times, noisy).variance)
        cut.append(tracer_moments(times, noisy, tail_from=200.0).variance)
    assert np.std(cut) < 0.6 * np.std(kept)
    assert np.mean(cut) == pytest.approx(vessel.variance, rel=0.05)


def test_moments_of_vessel_are_the_differences():
    vessel = TanksInSeries(60.0, 3.0)
    inlet, outlet = tracer_moments(TIMES, PULSE), tracer_moments(TIMES, outlet_of(vessel))
    assert outlet.area == pytest.approx(inlet.area, rel=1e-6)
    assert outlet.mean - inlet.mean == pytest.approx(60.0, rel=1e-5)
    assert outlet.variance - inlet.variance == pytest.approx(1200.0, rel=1e-3)  # the outlet is drawn by straight lines


# Deconvolution -------------------------------------------------------------------------------------------------------


def error_of(distribution: MeasuredAges, vessel) -> float:
    """Largest error of F."""
    return float(np.abs(distribution.shares_left - vessel.cumulative(distribution.ages)).max())


@pytest.mark.parametrize("vessel", [TanksInSeries(80.0, 3.0), ClosedDispersion(100.0, 12.0), DelayedTank(40.0, 50.0)], ids=repr)
def test_deconvolution_gives_the_distribution_back(vessel):
    found = deconvolve(TIMES, PULSE, outlet_of(vessel), oldest=580.0, cells=145)
    assert error_of(found.distribution, vessel) < (0.02 if isinstance(vessel, DelayedTank) else 2e-3)
    assert found.distribution.mean == pytest.approx(vessel.mean, rel=2e-3)
    assert found.misfit < 1e-3


@pytest.mark.parametrize("vessel", [TanksInSeries(60.0, 3.3), ClosedDispersion(60.0, 8.0)], ids=repr)
def test_smooth_records_without_noise_are_solved(vessel):
    """Cross validation then asks for hardly any smoothing, and the least squares for many steps."""
    times = np.linspace(0.0, 900.0, 451)
    pulse = np.exp(-((times - 100.0) ** 2) / 800)
    found = deconvolve(times, pulse, outlet_of(vessel, times, pulse), oldest=500.0)
    assert found.distribution.mean == pytest.approx(vessel.mean, rel=1e-3)
    assert found.misfit < 1e-4


def test_the_finer_the_nearer():
    """Without noise and with little smoothing the error of F falls with the square of the interval."""
    vessel, errors = TanksInSeries(80.0, 3.0), []
    for cells in (25, 50, 100):
        found = deconvolve(TIMES, PULSE, outlet_of(vessel), oldest=600.0, cells=cells, strength=1e-6)
        errors.append(error_of(found.distribution, vessel))
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 1.6), errors


@pytest.mark.parametrize("known", [True, False])
def test_noise_is_not_taken_for_ages(known):
    """One percent of noise: the strength that is found is nearly as good as the best one, and much better than next to none."""
    vessel, rng = TanksInSeries(80.0, 3.0), np.random.default_rng(41)
    found, least, best = [], [], []
    for _ in range(8):
        outlet = outlet_of(vessel) + 5e-3 * rng.normal(size=TIMES.size)
        run = partial(deconvolve, TIMES, PULSE, outlet, oldest=500.0, cells=100)
        chosen = run(noise=5e-3 if known else None)
        errors = {}
        for strength in (1e-4, 0.1, 1.0, 10.0, 100.0):
            density = run(strength=strength).distribution.density(np.arange(2.5, 500.0, 5.0))
            errors[strength] = np.abs(density - vessel.density(np.arange(2.5, 500.0, 5.0))).max()
        found.append(np.abs(chosen.distribution.density(np.arange(2.5, 500.0, 5.0)) - vessel.density(np.arange(2.5, 500.0, 5.0))).max())
        least.append(errors[1e-4])
        best.append(min(errors.values()))
        assert chosen.misfit == pytest.approx(5e-3, rel=0.15)
    assert np.median(found) < 2.5 * np.median(best)
    assert np.median(found) < 0.2 * np.median(least)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(seed=st.integers(0, 10**6), noise=st.floats(0.0, 0.3), strength=st.floats(1e-4, 1e3))
def test_what_is_found_is_a_distribution(seed, noise, strength):
    outlet = outlet_of(TanksInSeries(80.0, 1.5)) + noise * np.random.default_rng(seed).normal(size=TIMES.size)
    found = deconvolve(TIMES, PULSE, outlet, oldest=400.0, cells=40, strength=strength)
    assert np.all(np.diff(found.distribution.shares_left) >= 0)
    assert found.distribution.shares_left[-1] == 1.0
    again = convolve_cumulative(TIMES, PULSE, found.distribution.ages, found.distribution.shares_left, TIMES)
    np.testing.assert_allclose(found.outlet, again, atol=1e-12)  # the exact kernel, of which the deconvolution is the inverse


def test_a_constant_before_the_record_and_a_step():
    vessel = TanksInSeries(60.0, 2.0)
    step = np.where(TIMES < 100.0, 3.0, 5.0)
    found = deconvolve(TIMES, step, outlet_of(vessel, inlet=step), oldest=480.0, cells=96)
    assert error_of(found.distribution, vessel) < 5e-3


# Fits ----------------------------------------------------------------------------------------------------------------

VESSELS = [TanksInSeries(80.0, 3.3), TanksInSeries(80.0, 0.8), ClosedDispersion(90.0, 7.0), OpenDispersion(90.0, 20.0)]


@pytest.mark.parametrize(
    ("vessel", "pulse"), [*((vessel, pulse) for vessel in VESSELS for pulse in (True, False)), (DelayedTank(50.0, 33.0), False)], ids=repr
)
def test_fit_gives_the_parameters_back(vessel, pulse):
    first, second = vars(vessel).values()
    start = type(vessel)(0.8 * first, 1.3 * second)
    if pulse:
        found = fit_distribution(start, TIMES, 4.0 * vessel.density(np.maximum(TIMES, 1e-3)))
        assert found.names == (*vars(vessel), "area")
        assert found.values[2] == pytest.approx(4.0, rel=1e-6)
    else:
        found = fit_distribution(start, TIMES, outlet_of(vessel), inlet=PULSE)
        assert found.names == tuple(vars(vessel))
        np.testing.assert_allclose(found.outlet, outlet_of(vessel), atol=1e-4)
    np.testing.assert_allclose(found.values[:2], [first, second], rtol=1e-6 if pulse else 2e-4)
    assert vars(found.distribution) == dict(zip(vars(vessel), found.values[:2], strict=True))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_cover_as_often_as_they_say(confidence):
    """Of 400 noisy pulses: the binomial deviation is 2 % and 1.1 %, three of them are let pass."""
    vessel, rng = TanksInSeries(60.0, 3.3), np.random.default_rng(42)
    times = np.linspace(4.0, 240.0, 40)
    curve = 5.0 * vessel.density(times)
    covered, errors, values = np.zeros(3), [], []
    for _ in range(400):
        found = fit_distribution(vessel, times, curve + 0.03 * curve.max() * rng.normal(size=times.size), confidence=confidence)
        covered += (found.lower <= [60.0, 3.3, 5.0]) & (found.upper >= [60.0, 3.3, 5.0])
        errors.append(found.standard_errors)
        values.append(found.values)
    np.testing.assert_allclose(covered / 400, confidence, atol=3 * math.sqrt(confidence * (1 - confidence) / 400))
    np.testing.assert_allclose(np.std(values, axis=0), np.median(errors, axis=0), rtol=0.15)


def test_deviation_is_that_of_the_noise():
    rng = np.random.default_rng(43)
    noisy = outlet_of(TanksInSeries(80.0, 3.0)) + 0.02 * rng.normal(size=TIMES.size)
    found = fit_distribution(TanksInSeries(60.0, 2.0), TIMES, noisy, inlet=PULSE)
    assert found.deviation == pytest.approx(0.02, rel=0.1)
    np.testing.assert_allclose(found.covariance, found.covariance.T, rtol=1e-9)


# What is refused -----------------------------------------------------------------------------------------------------

NOISE = 1e-4 * np.random.default_rng(44).normal(size=TIMES.size)
ONE_TANK = outlet_of(TanksInSeries(60.0, 1.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: tracer_moments([0.0, 1.0], [0.0, 1.0]), "times has to be a list of 3 or more"),
        (lambda: tracer_moments([0.0, 2.0, 1.0], [0.0, 1.0, 0.0]), "times have to increase"),
        (lambda: tracer_moments([0.0, 1.0, 2.0], [0.0, math.nan, 0.0]), "signal holds a value that is not finite"),
        (lambda: tracer_moments([0.0, 1.0, 2.0], [0.0, 1.0]), "signal has to hold as many values as times"),
        (lambda: tracer_moments([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], baseline=1.0), "has no area"),
        (lambda: tracer_moments([0.0, 1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 3.0, 0.0, -1.0]), "variance that is not positive"),
        (lambda: tracer_moments(TIMES, PULSE, tail_from=595.0), "no tail to fit after 595 s"),
        (lambda: tracer_moments(TIMES, PULSE, tail_from=-5.0), "begins at -5 s, before the record"),
        (lambda: tracer_moments(TIMES, 1.0 + TIMES, tail_from=300.0), "does not decay after 300 s"),
        (lambda: deconvolve(TIMES, np.ones(301), PULSE, oldest=100.0), "the inlet does not change"),
        (lambda: deconvolve(TIMES, PULSE, PULSE, oldest=0.0), "oldest has to be positive"),
        (lambda: deconvolve(TIMES, PULSE, PULSE, oldest=9.0, cells=2), "cells have to be 4 or more"),
        (lambda: deconvolve(TIMES, PULSE, PULSE, oldest=9.0, noise=0.1, strength=0.1), "two ways to say one thing"),
        (lambda: deconvolve(TIMES, PULSE, 3.0 * PULSE, oldest=100.0, noise=1e-3), "no distribution joins inlet and outlet"),
        (lambda: deconvolve(TIMES, PULSE, PULSE[1:], oldest=9.0), "outlet has to hold as many values"),
        (lambda: fit_distribution(DelayedTank(50.0, 5.0), TIMES, ONE_TANK + NOISE, inlet=PULSE), "tell delay|of delay exceeds"),
        (lambda: fit_distribution(TanksInSeries(50.0, 2.0), TIMES, np.interp(TIMES - 61.0, TIMES, PULSE), inlet=PULSE), "tell|converge"),
        (lambda: fit_distribution(TanksInSeries(50.0, 2.0), [1.0, 2.0, 3.0], [1.0, 2.0, 1.0]), "3 points do not tell 3 parameters"),
        (lambda: fit_distribution(TanksInSeries(50.0, 2.0), TIMES, -ONE_TANK), "nothing in common"),
        (lambda: fit_distribution(TanksInSeries(50.0, 2.0), TIMES, ONE_TANK, inlet=np.ones(301)), "the inlet does not change"),
        (lambda: fit_distribution(TanksInSeries(50.0, 2.0), TIMES, ONE_TANK, confidence=95), "confidence has to lie between 0 and 1"),
        (lambda: fit_distribution(DelayedTank(50.0, 5.0), TIMES, ONE_TANK), "which least squares cannot follow"),
        (lambda: fit_distribution(MeasuredAges([0.0, 1.0], [0.0, 1.0]), TIMES, ONE_TANK), "has no parameters to fit"),
    ],
)
def test_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong()
