"""The residence-time convolution against closed forms, tables, SciPy and its own promises."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.special import gamma, gammainc

from csrc.rtd import convolve_cumulative, convolve_density

DATA = Path(__file__).parents[1] / "data"
TAU = 90.0


def table(name: str) -> list[dict[str, float]]:
    with (DATA / name).open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def tanks_density(age: np.ndarray, n: float, tau: float = TAU) -> np.ndarray:
    return n**n * age ** (n - 1) * np.exp(-n * age / tau) / (tau**n * gamma(n))


def tanks_cumulative(age: np.ndarray, n: float, tau: float = TAU) -> np.ndarray:
    return gammainc(n, n * age / tau)


def step_at(time: float, end: float) -> tuple[list[float], list[float]]:
    return [0.0, time, time, end], [0.0, 0.0, 1.0, 1.0]


# Closed forms -------------------------------------------------------------------------------------------------------


def test_step_gives_the_cumulative_back():
    ages = np.linspace(0.0, 40 * TAU, 4001)
    times, inlet = step_at(30.0, 30.0 + ages[-1])
    outlet = convolve_cumulative(times, inlet, ages, tanks_cumulative(ages, 3), 30.0 + ages)
    np.testing.assert_allclose(outlet, tanks_cumulative(ages, 3), atol=1e-13)


def test_ramp_through_one_tank():
    ages = np.linspace(0.0, 40 * TAU, 40001)
    at = np.linspace(0.0, 600.0, 61)
    outlet = convolve_cumulative([0.0, 600.0], [0.0, 6.0], ages, 1 - np.exp(-ages / TAU), at)
    exact = 0.01 * (at - TAU * (1 - np.exp(-at / TAU)))
    step = ages[1]
    np.testing.assert_allclose(outlet, exact, atol=1.1 * 0.01 * step**2 / (12 * TAU))  # cells hold their share evenly spread


@pytest.mark.parametrize("row", table("rtd_funnel_TIS.csv"), ids=lambda row: f"n={row['n_tanks']:g},d={row['duration_over_tau']:g}")
def test_funnel_of_tanks_in_series(row):
    """Peak after a rectangular disturbance: ten printed digits of the closed form."""
    n, duration, peak_time = row["n_tanks"], row["duration_over_tau"] * TAU, row["t_peak_over_tau"] * TAU
    ages = np.unique(np.concatenate((np.linspace(0.0, 60 * TAU, 2001), [peak_time, max(peak_time - duration, 0.0)])))
    times, inlet = [0.0, 0.0, duration, duration, 70 * TAU], [0.0, 1.0, 1.0, 0.0, 0.0]
    peak = convolve_cumulative(times, inlet, ages, tanks_cumulative(ages, n), [peak_time], before=0.0)[0]
    around = np.linspace(0.5, 1.5, 401) * peak_time
    highest = convolve_cumulative(times, inlet, ages, tanks_cumulative(ages, n), around, before=0.0).max()
    assert peak == pytest.approx(row["peak_fraction"], abs=2e-10)
    assert highest <= peak + 1e-4
    assert row["max_disturbance_pct_for_5pct_spec"] == pytest.approx(5.0 / peak, rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 20])
def test_step_against_the_sixty_digit_table(n):
    """The table knows nothing of the kernel: 60-digit arithmetic, rounded to ten digits."""
    rows = table("rtd_reference_E_F.csv")
    theta = np.array([row["theta"] for row in rows])
    ages = np.linspace(0.0, 30.0, 60001)
    outlet = convolve_density(*step_at(0.0, 30.0), ages, tanks_density(ages, n, 1.0), theta, before=0.0)
    np.testing.assert_allclose(outlet, [row[f"F_TIS_n={n}"] for row in rows], atol=2e-7)


def test_real_number_of_tanks():
    ages = np.linspace(0.0, 40.0, 20001)
    outlet = convolve_cumulative([0.0, 40.0], [0.0, 40.0], ages, tanks_cumulative(ages, 2.6, 1.0), [40.0])
    assert outlet[0] == pytest.approx(40.0 - 1.0, abs=1e-6)  # a ramp follows the inlet at a distance of the mean age


# Convergence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convolve", [convolve_density, convolve_cumulative])
def test_second_order_in_the_ages(convolve):
    """A ramp through two tanks: G(t) = integral of F = t P(2, 2t/tau) - tau P(3, 2t/tau)."""
    end, at = 30 * TAU, np.linspace(100.0, 2000.0, 39)
    exact = 0.01 * (at * tanks_cumulative(at, 2) - TAU * gammainc(3, 2 * at / TAU))
    errors = []
    for cells in (200, 400, 800, 1600):
        ages = np.linspace(0.0, end, cells + 1)
        shape = tanks_density(ages, 2) if convolve is convolve_density else tanks_cumulative(ages, 2)
        outlet = convolve([0.0, 2000.0], [0.0, 20.0], ages, shape, at, mass_tolerance=0.05)
        errors.append(np.abs(outlet - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.1)


def test_second_order_in_the_record():
    """A sine long after its start leaves one tank weaker by (1 + w^2 tau^2)^(-1/2) and late by atan(w tau)."""
    w, tau = 2 * np.pi / 60.0, 10.0
    ages = np.linspace(0.0, 400.0, 40001)
    at = np.linspace(500.0, 600.0, 37)
    exact = np.sin(w * at - np.arctan(w * tau)) / np.hypot(1.0, w * tau)
    errors = []
    for points in (76, 151, 301, 601):
        times = np.linspace(0.0, 600.0, points)
        outlet = convolve_cumulative(times, np.sin(w * times), ages, 1 - np.exp(-ages / tau), at)
        errors.append(np.abs(outlet - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


# Somebody else's ----------------------------------------------------------------------------------------------------


def test_against_numpy_convolve():
    """A sum over a fine uniform grid: a first-order method, so only as near as its own error."""
    rng = np.random.default_rng(20)
    step = 0.05
    times = np.arange(0.0, 600.0, step)
    inlet = np.interp(times, np.arange(0.0, 601.0, 20.0), rng.uniform(0.8, 1.2, 31)) - 0.8
    inlet[0] = 0.0
    ages = np.arange(0.0, 1200.0, step)
    density = tanks_density(ages, 2, 40.0)
    numpy_outlet = np.convolve(inlet, density)[: times.size] * step
    outlet = convolve_density(times, inlet, ages, density, times[::50], before=0.0)
    np.testing.assert_allclose(outlet, numpy_outlet[::50], atol=5e-4)


def test_against_the_recursive_filter_of_scipy():
    """One tank driven by straight lines has an exact recursion (first-order hold), which lfilter runs."""
    rng = np.random.default_rng(21)
    step, tau = 1.0, 25.0
    times = np.arange(0.0, 400.0, step)
    inlet = rng.normal(size=times.size)
    inlet[0] = 0.0
    decay = np.exp(-step / tau)
    new, old = 1 - tau / step * (1 - decay), tau / step * (1 - decay) - decay
    expected = lfilter([new, old], [1.0, -decay], inlet)
    ages = np.linspace(0.0, 1000.0, 100001)
    outlet = convolve_cumulative(times, inlet, ages, 1 - np.exp(-ages / tau), times)
    np.testing.assert_allclose(outlet, expected, atol=1e-7)


# What holds for every record and distribution -----------------------------------------------------------------------

finite = st.floats(-10.0, 10.0, allow_nan=False)
gap = st.one_of(st.just(0.0), st.floats(1e-9, 30.0))


@st.composite
def records(draw):
    """A record that starts and ends at zero, with jumps and very short intervals among its points."""
    n = draw(st.integers(2, 8))
    times = np.cumsum([draw(gap) for _ in range(n)])
    inlet = np.array([draw(finite) for _ in range(n)])
    inlet[0] = inlet[-1] = 0.0
    return times, inlet


@st.composite
def distributions(draw):
    """A cumulative distribution with pure delays, bypasses and empty stretches among its ages."""
    m = draw(st.integers(1, 8))
    ages = np.cumsum([draw(gap) for _ in range(m)])
    shares = np.array([draw(st.one_of(st.just(0.0), st.floats(1e-6, 1.0))) for _ in range(m)])
    shares[draw(st.integers(0, m - 1))] += 0.5
    cumulative = np.cumsum(shares / shares.sum())
    return ages, cumulative / cumulative[-1]


def integral(times, values):
    return float(np.sum(0.5 * (values[1:] + values[:-1]) * np.diff(times)))


def with_tail(times, inlet, ages):
    """The record, continued at zero until all has left."""
    return np.append(times, times[-1] + ages[-1] + 1.0), np.append(inlet, 0.0)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(records(), distributions())
def test_mass_is_conserved(record, distribution):
    """Between sums of record times and ages the outlet is a cubic at most: three Gauss points integrate it exactly."""
    ages, cumulative = distribution
    times, inlet = with_tail(*record, ages)
    corners = np.unique(np.concatenate([np.add.outer(times, ages).ravel(), times]))
    corners = corners[corners <= times[-1]]
    nodes, weights = np.polynomial.legendre.leggauss(3)
    middle, half = 0.5 * (corners[1:] + corners[:-1]), 0.5 * np.diff(corners)
    at = np.clip(middle[:, None] + half[:, None] * nodes, times[0], times[-1])
    outlet = convolve_cumulative(times, inlet, ages, cumulative, at.ravel()).reshape(at.shape)
    left = float(np.sum(half[:, None] * weights * outlet))
    assert left == pytest.approx(integral(times, inlet), abs=1e-9 * (1 + integral(times, np.abs(inlet))))


@settings(deadline=None, max_examples=200, derandomize=True)
@given(records(), distributions(), finite, finite)
def test_linear(record, distribution, factor, level):
    times, inlet = with_tail(*record, distribution[0])
    at = np.linspace(times[0], times[-1], 17)
    outlet = convolve_cumulative(times, inlet, *distribution, at)
    other = convolve_cumulative(times, factor * inlet + level, *distribution, at)
    np.testing.assert_allclose(other, factor * outlet + level, atol=1e-11)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(records(), distributions())
def test_outlet_stays_within_the_inlet(record, distribution):
    times, inlet = with_tail(*record, distribution[0])
    outlet = convolve_cumulative(times, inlet, *distribution, np.linspace(times[0], times[-1], 33))
    assert inlet.min() - 1e-12 <= outlet.min()
    assert outlet.max() <= inlet.max() + 1e-12


def test_shifted_in_time():
    """Powers of two, so that the shifted times are exact and the outlets equal to the last bit."""
    rng = np.random.default_rng(22)
    times = np.cumsum(rng.integers(1, 40, 50)) / 8.0
    inlet = rng.normal(size=50)
    ages = np.arange(0.0, 256.0, 0.25)
    density = tanks_density(ages, 2, 32.0)
    at = np.linspace(32, 96, 65)
    outlet = convolve_density(times, inlet, ages, density, at)
    np.testing.assert_array_equal(convolve_density(times + 1024.0, inlet, ages, density, at + 1024.0), outlet)


def test_vessels_in_series_are_a_vessel():
    """One tank after another is two tanks in series."""
    ages = np.linspace(0.0, 600.0, 6001)
    times = np.linspace(0.0, 600.0, 2401)
    inlet = np.interp(times, [0, 20, 50, 51, 600], [0, 1, 0.5, 0, 0])
    once = convolve_cumulative(times, inlet, ages, tanks_cumulative(ages, 1, 30.0), times)
    twice = convolve_cumulative(times, once, ages, tanks_cumulative(ages, 1, 30.0), times)
    together = convolve_cumulative(times, inlet, ages, tanks_cumulative(ages, 2, 60.0), times)
    np.testing.assert_allclose(twice, together, atol=1e-5)


# Limits -------------------------------------------------------------------------------------------------------------


def test_a_narrow_distribution_is_a_delay():
    times, inlet = np.array([0.0, 10.0, 30.0, 100.0]), np.array([1.0, 3.0, 2.0, 2.0])
    at = np.linspace(20.0, 100.0, 81)
    delayed = np.interp(at - 15.0, times, inlet)
    for width in (1.0, 1e-3, 1e-6):
        outlet = convolve_density(times, inlet, [15.0 - width, 15.0, 15.0 + width], [0.0, 1 / width, 0.0], at, mass_tolerance=1e-6)
        np.testing.assert_allclose(outlet, delayed, atol=0.1 * width + 1e-12)
    np.testing.assert_allclose(convolve_cumulative(times, inlet, [15.0], [1.0], at), delayed, atol=1e-13)


def test_a_bypass_and_a_delay():
    times, inlet = step_at(10.0, 100.0)
    outlet = convolve_cumulative(times, inlet, [0.0, 20.0, 20.0], [0.25, 0.25, 1.0], [9.0, 10.0, 29.0, 30.0])
    np.testing.assert_allclose(outlet, [0.0, 0.25, 0.25, 1.0])


def test_the_widest_jump_is_as_good_as_a_steep_line():
    ages = np.linspace(0.0, 900.0, 901)
    cumulative = tanks_cumulative(ages, 1)
    at = np.linspace(0.0, 1e5, 301) + 0.5
    jump = convolve_cumulative([0.0, 5e4, 5e4, 1e5 + 1], [0.0, 0.0, 1.0, 1.0], ages, cumulative, at)
    steep = convolve_cumulative([0.0, 5e4, np.nextafter(5e4, 1e6), 1e5 + 1], [0.0, 0.0, 1.0, 1.0], ages, cumulative, at)
    np.testing.assert_allclose(steep, jump, atol=1e-12)


def test_zero_in_zero_out():
    outlet = convolve_density([0.0, 10.0], [0.0, 0.0], [0.0, 5.0], [0.2, 0.2], np.linspace(0, 10, 11))
    np.testing.assert_array_equal(outlet, 0.0)


def test_one_point():
    assert convolve_density([3.0], [2.5], [0.0, 5.0], [0.2, 0.2], [3.0]) == pytest.approx([2.5], rel=1e-15)
    assert convolve_cumulative([3.0], [2.5], [0.0], [1.0], [3.0], before=7.0)[0] == 2.5


def test_no_outlet_asked_for():
    assert convolve_density([0.0, 1.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0], []).shape == (0,)


def test_before_the_record():
    arguments = ([0.0, 10.0], [1.0, 1.0], [0.0, 10.0], [0.1, 0.1])
    np.testing.assert_allclose(convolve_density(*arguments, [0.0, 5.0, 10.0]), 1.0, rtol=1e-15)
    np.testing.assert_allclose(convolve_density(*arguments, [0.0, 5.0, 10.0], before=0.0), [0.0, 0.5, 1.0], rtol=1e-15)


def test_scaled_to_one():
    outlet = convolve_density([0.0, 10.0], [1.0, 1.0], [0.0, 1.0], [0.9995, 0.9995], [5.0])
    assert outlet[0] == pytest.approx(1.0, rel=1e-15)


# What is refused ----------------------------------------------------------------------------------------------------

GOOD = {"times": [0.0, 1.0, 2.0], "inlet": [0.0, 1.0, 0.0], "ages": [0.0, 1.0, 2.0], "at": [0.0, 2.0]}
DENSITY, CUMULATIVE = {"density": [0.0, 1.0, 0.0]}, {"cumulative": [0.0, 0.5, 1.0]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"times": [0.0, 2.0, 1.0]}, r"times\[2\] is less than the time before it"),
        ({"times": [0.0, np.nan, 2.0]}, r"times\[1\] is not finite \(got nan\)"),
        ({"times": [], "inlet": []}, r"times needs 1 or more values"),
        ({"times": [[0.0, 1.0, 2.0]]}, r"times has to be one-dimensional \(got shape \(1, 3\)\)"),
        ({"inlet": [0.0, 1.0]}, r"inlet needs as many values as times, 3 \(got 2\)"),
        ({"inlet": [0.0, 1.0, np.inf]}, r"inlet\[2\] is not finite \(got inf\)"),
        ({"ages": [-1.0, 1.0, 2.0]}, r"ages\[0\] is negative"),
        ({"ages": [0.0, -np.inf, 2.0]}, r"ages\[1\] is not finite"),
        ({"at": [0.0, 2.5]}, r"at\[1\] is outside the record, 0 s to 2 s"),
        ({"at": [-0.5]}, r"at\[0\] is outside the record"),
        ({"at": [np.nan]}, r"at\[0\] is not finite"),
        ({"before": np.nan}, r"before is not finite"),
        ({"flow": [1.0, 1.0, 1.1]}, r"flow\[2\] differs from the first flow: a convolution does not conserve mass"),
        ({"flow": [0.0, 1.0, 1.0]}, r"flow\[0\] is not positive"),
        ({"flow": [1.0, 1.0]}, r"flow needs as many values as times"),
    ],
)
@pytest.mark.parametrize(("convolve", "shape"), [(convolve_density, DENSITY), (convolve_cumulative, CUMULATIVE)])
def test_refused_whatever_the_distribution(convolve, shape, wrong, message):
    with pytest.raises(ValueError, match=message):
        convolve(**{**GOOD, **shape, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ages": [0.0, 1.0, 1.0]}, r"ages\[2\] is not greater than the age before it"),
        ({"ages": [0.0], "density": [1.0]}, r"ages needs 2 or more values"),
        ({"density": [0.0, 1.0]}, r"density needs as many values as ages"),
        ({"density": [0.5, -0.5, 1.5]}, r"density\[1\] is negative"),
        ({"density": [0.0, 1.1, 0.0]}, r"density integrates to 1.1 and not 1 \(tolerance 0.001\)"),
        ({"density": [0.0, 0.0, 0.0]}, r"density integrates to 0 and not 1"),
    ],
)
def test_refused_density(wrong, message):
    with pytest.raises(ValueError, match=message):
        convolve_density(**{**GOOD, **DENSITY, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ages": [0.0, 2.0, 1.0]}, r"ages\[2\] is less than the age before it"),
        ({"ages": [], "cumulative": []}, r"ages needs 1 or more values"),
        ({"cumulative": [-0.1, 0.5, 1.0]}, r"cumulative\[0\] is negative"),
        ({"cumulative": [0.0, 0.5, 0.4]}, r"cumulative\[2\] is less than the fraction before it"),
        ({"cumulative": [0.0, 0.5, 0.9]}, r"cumulative ends at 0.9 and not 1"),
    ],
)
def test_refused_cumulative(wrong, message):
    with pytest.raises(ValueError, match=message):
        convolve_cumulative(**{**GOOD, **CUMULATIVE, **wrong})


def test_a_constant_flow_is_taken():
    outlet = convolve_density(**GOOD, **DENSITY, flow=[2.0, 2.0005, 2.0])
    np.testing.assert_array_equal(outlet, convolve_density(**GOOD, **DENSITY))


# Memory and threads -------------------------------------------------------------------------------------------------


def test_arrays_as_they_come():
    """Read-only, strided, integer, single precision: taken, left alone, and the same outlet."""
    times, inlet = np.arange(0.0, 12.0), np.arange(12.0) % 5
    ages, cumulative, at = np.array([0.0, 2.0, 4.0]), np.array([0.0, 0.5, 1.0]), np.array([3.0, 7.5])
    expected = convolve_cumulative(times, inlet, ages, cumulative, at)
    for array in (times, inlet, ages, cumulative, at):
        array.flags.writeable = False
    np.testing.assert_array_equal(convolve_cumulative(times, inlet, ages, cumulative, at), expected)
    strided = np.column_stack((times, inlet))
    np.testing.assert_array_equal(convolve_cumulative(strided[:, 0], strided[:, 1], ages, cumulative, at), expected)
    np.testing.assert_array_equal(convolve_cumulative(times.astype(int), inlet.astype(np.float32), ages, cumulative, at), expected)


def test_threads_share_their_inputs():
    rng = np.random.default_rng(23)
    times = np.cumsum(rng.uniform(0.1, 2.0, 2000))
    inlet = rng.normal(size=times.size)
    ages = np.linspace(0.0, 500.0, 1001)
    density = tanks_density(ages, 2, 60.0)
    at = np.linspace(times[0], times[-1], 1000)
    alone = convolve_density(times, inlet, ages, density, at)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda part: convolve_density(times, inlet, ages, density, part), np.array_split(at, 16)))
    np.testing.assert_array_equal(np.concatenate(parts), alone)


def test_the_interpreter_runs_meanwhile():
    """A second thread counts while the kernel works; held back by the interpreter lock it could not move."""
    times, ages = np.linspace(0.0, 1000.0, 20001), np.linspace(0.0, 1000.0, 20001)
    density = np.full(ages.size, 1e-3)
    count, done = [0], Event()

    def run() -> None:
        while not done.is_set():
            count[0] += 1

    counting = Thread(target=run)
    counting.start()
    start = count[0]
    convolve_density(times, np.sin(times), ages, density, np.linspace(0.0, 1000.0, 2000))
    end = count[0]
    done.set()
    counting.join()
    assert end > start
