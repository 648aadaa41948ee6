"""Laws of wet granulation against the twin-screw runs of Plath, Luding and Weinhart (2024), and their moment model as it is told."""

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from units.granulation import FEED_VOLUME, SPECIFIC_LOAD, aggregation_factor, breakage_factor, residence_time, sauter_diameter

DATA = Path(__file__).parents[1] / "data" / "twin_screw_granulation.csv"
RUNS = {str(row["run"]): row for row in np.genfromtxt(DATA, delimiter=",", names=True, dtype=None, encoding="utf-8")}
VOLUME = 2.05e-6
ALL = sorted(RUNS)


@pytest.mark.parametrize("run", ALL)
def test_the_residence_time_is_within_a_third_of_a_second(run):
    row = RUNS[run]
    assert residence_time(row["sfl"] * SPECIFIC_LOAD, row["ls"]) == pytest.approx(row["mrt_s"], abs=0.31)


def test_the_sauter_diameter_holds_at_much_liquid_and_fails_elsewhere():
    found = {run: 1e3 * sauter_diameter(row["sfl"] * SPECIFIC_LOAD, row["ls"]) for run, row in RUNS.items()}
    quoted = {"N16": 3.17, "N14": 2.19, "N15": 0.26, "N13": 0.18, "N26": 1.14}
    assert found == {run: pytest.approx(value, abs=0.006) for run, value in quoted.items()}
    off = {run: found[run] / RUNS[run]["d32_mm"] - 1 for run in RUNS}
    assert max(abs(off[run]) for run in ("N16", "N14", "N15")) < 0.11
    assert off["N13"] < -0.6
    assert off["N26"] > 0.4


@pytest.mark.parametrize("run", ALL)
def test_the_correlations_of_aggregation_and_breakage_give_what_was_fitted(run):
    """beta' to 6 %; a_s is a_t V_P, the reciprocal of the model's time, to 11 %: this is how a_s is understood here."""
    row = RUNS[run]
    assert breakage_factor(1e-3 * row["d32_mm"]) == pytest.approx(row["beta_t"], rel=0.06)
    assert aggregation_factor(row["mrt_s"], 1e-3 * row["d32_mm"]) == pytest.approx(row["a_t"] * VOLUME, rel=0.11)


# --- the authors' model: moments of lengths on two nodes, growth, aggregation (Li + Lj)^3, breakage beta L into eight ------------------

ORDERS = np.arange(4)


def two_nodes(moments):
    """Return lengths and numbers with the moments of order 0 to 3."""
    mean = moments[1] / moments[0]
    variance = moments[2] / moments[0] - mean**2
    half = (moments[3] / moments[0] - 3 * mean * moments[2] / moments[0] + 2 * mean**3) / variance**1.5 / 2
    root = np.hypot(1.0, half)
    return mean + np.sqrt(variance) * (half + np.array([-root, root])), moments[0] * (0.5 + 0.5 * np.array([half, -half]) / root)


def moment_rates(moments, breakage, growth=0.00152, fragments=8):
    length, number = two_nodes(moments)
    pairs = 0.5 * np.outer(number, number) * np.add.outer(length, length) ** 3
    cubes = np.add.outer(length**3, length**3)
    rates = np.empty(4)
    for k in ORDERS:
        powers = length**k
        rates[k] = np.sum(pairs * (cubes ** (k / 3) - np.add.outer(powers, powers)))
        rates[k] += np.sum(breakage * length * number * powers * (fragments ** ((3 - k) / 3) - 1))
        rates[k] += k * growth * np.sum(number * length ** max(k - 1, 0)) if k else 0.0
    return rates


def granulated(breakage, ratio=30.0, share=0.1, step=0.01):
    """Return d32' and the time at which the number has become steady: explicit Euler, as the authors did.

    The feed has one particle of the volume one on average, so its third moment of lengths is 6/pi; how wide it is was not told, two
    nodes of this ratio and share stand for it.
    """
    length, number = np.array([1.0, ratio]), np.array([1 - share, share])
    length *= np.cbrt(6 / np.pi / (number @ length**3))
    moments, time = number @ length[:, None] ** ORDERS, 0.0
    while abs((rates := moment_rates(moments, breakage))[0]) * step >= 1e-4:
        moments, time = moments + step * rates, time + step
        assert time < 50
    return moments[3] / moments[2], time


def test_two_nodes_have_their_moments():
    moments = np.array([2.0, 3.0, 6.0, 15.0])
    length, number = two_nodes(moments)
    assert number @ length[:, None] ** ORDERS == pytest.approx(moments, rel=1e-12)


def test_without_growth_the_steady_size_falls_with_breakage_alone():
    """Aggregation of one volume is as fast at any size, breakage in proportion to it: d32' beta' is the same for all."""
    found = []
    for breakage in (0.05, 0.2, 0.8):
        start = 6 / np.pi * np.array([1.0, 1.02, 1.1, 1.25]) / 1.25
        run = solve_ivp(lambda t, m, b=breakage: moment_rates(m, b, growth=0.0), (0.0, 60.0), start, method="LSODA", rtol=1e-9, atol=1e-12)
        moments = run.y[:, -1]
        found.append(breakage * moments[3] / moments[2])
    assert found == pytest.approx([found[0]] * 3, rel=1e-3)


@pytest.mark.parametrize("run", ALL)
def test_the_authors_model_gives_their_sizes_and_times_nearly(run):
    """With the tabulated rates d32 is 10 to 27 % below what is tabulated and the time within 30 %: the feed's width is not quoted."""
    row = RUNS[run]
    size, time = granulated(row["beta_t"])
    assert 0.73 < size * FEED_VOLUME ** (1 / 3) / (1e-3 * row["d32_mm"]) < 0.95
    assert time / (row["a_t"] * VOLUME) == pytest.approx(row["mrt_s"], rel=0.30)
