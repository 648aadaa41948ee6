"""Moments by quadrature against Gauss's rules, closed forms, the grid, exact derivatives, and what is refused."""

from __future__ import annotations

from math import comb, factorial

import casadi as ca
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import roots_laguerre

from benchmarks.populations import solve
from csrc import population_balance as pb
from csrc.moments import (
    MomentBalance,
    equal_fragment_moments,
    gamma_moments,
    lognormal_moments,
    moment_function,
    moment_rates,
    power_law_moments,
    quadrature,
)
from flowsheet.verify import populations as exact

NODES = (2, 3, 4)
seeds = st.integers(0, 2**32 - 1)


def solved(balance: MomentBalance, start: np.ndarray, end: float) -> np.ndarray:
    """Moments at the end, by SciPy."""
    function = moment_function(balance)
    ones = np.ones(len(balance.processes))
    found = solve_ivp(lambda t, m: np.asarray(function(m, ones)).ravel(), (0.0, end), start, method="LSODA", rtol=1e-11, atol=1e-13)
    assert found.success
    return found.y[:, -1]


# ---- nodes ----


@pytest.mark.parametrize("nodes", NODES)
def test_nodes_of_an_exponential_distribution_are_those_of_gauss_and_laguerre(nodes):
    weights, places = quadrature(gamma_moments(nodes, 3.0, 0.5))
    expected_places, expected_weights = roots_laguerre(nodes)
    np.testing.assert_allclose(places[::-1], 0.5 * expected_places, rtol=1e-12)
    np.testing.assert_allclose(weights[::-1], 3.0 * expected_weights, rtol=1e-12)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.sampled_from(NODES))
def test_nodes_come_back_from_their_moments(seed, nodes):
    rng = np.random.default_rng(seed)
    places = np.cumsum(rng.uniform(0.3, 1.0, nodes)) * 10.0 ** rng.uniform(-15, 3)
    weights = rng.uniform(0.2, 1.0, nodes) * 10.0 ** rng.uniform(-3, 15)
    found = quadrature([weights @ places**k for k in range(2 * nodes)])
    np.testing.assert_allclose(found[1][::-1], places, rtol=1e-6)
    np.testing.assert_allclose(found[0][::-1], weights, rtol=1e-5)


@pytest.mark.parametrize("nodes", NODES)
def test_derivatives_through_the_nodes_are_exact(nodes):
    """A constant kernel gives M_k' = sum over 0 < j < k of C(k, j) M_j M_(k - j) / 2, M_0' = -M_0^2 / 2: a polynomial of the moments."""
    moments, count = gamma_moments(nodes, 1.0, 1.0, 2.0), 2 * nodes
    symbol = ca.SX.sym("m", count)
    closed = [-(symbol[0] ** 2) / 2]
    closed += [sum((comb(k, j) * symbol[j] * symbol[k - j] / 2 for j in range(1, k)), start=ca.SX(0)) for k in range(1, count)]
    rates = moment_function(MomentBalance(nodes, kernel=lambda u, v: 1.0))(symbol, 1.0)
    for k in range(count):
        for found, expected in (
            (rates[k], closed[k]),
            (ca.gradient(rates[k], symbol), ca.gradient(closed[k], symbol)),
            (ca.hessian(rates[k], symbol)[0], ca.hessian(closed[k], symbol)[0]),
        ):
            one, other = (np.asarray(ca.DM(ca.Function("f", [symbol], [what])(moments))) for what in (found, expected))
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8 * max(np.abs(other).max(), 1.0))


# ---- closed forms ----


@pytest.mark.parametrize("nodes", NODES)
def test_moments_of_kernels_that_close(nodes):
    """Constant: M0 = 2 / (2 + t), M2 = 2 + t; sum: M0 = exp(-t), M2 = 2 exp(2 t); product kernel: M0 = 1 - t/2, M2 = 2 / (1 - 2 t)."""
    start = gamma_moments(nodes, 1.0, 1.0)
    for kernel, end, number, second in (
        (lambda u, v: 1.0, 10.0, 1 / 6, 12.0),
        (lambda u, v: u + v, 2.0, np.exp(-2.0), 2 * np.exp(4.0)),
        (lambda u, v: u * v, 0.25, 7 / 8, 4.0),
    ):
        found = solved(MomentBalance(nodes, kernel=kernel), start, end)
        np.testing.assert_allclose(found[:3], [number, 1.0, second], rtol=1e-8)


def test_higher_moments_of_a_constant_kernel():
    """The exact solution is exponential: M_k = k! ((2 + t) / 2)^(k - 1)."""
    found = solved(MomentBalance(4, kernel=lambda u, v: 1.0), gamma_moments(4, 1.0, 1.0), 3.0)
    np.testing.assert_allclose(found, [factorial(k) * 2.5 ** (k - 1) for k in range(8)], rtol=1e-8)


def test_breakage_becomes_exact_with_nodes():
    """S = v, b = 2 / u from exp(-x): M_k = k! (1 + t)^(1 - k). M0 is exact; M2 and M3 gain with each node, as its 2 moments more allow."""
    wrong = []
    for nodes in NODES:
        balance = MomentBalance(nodes, selection=lambda v: v, fragments=power_law_moments(nodes))
        found = solved(balance, gamma_moments(nodes, 1.0, 1.0), 1.0)
        np.testing.assert_allclose(found[:2], [2.0, 1.0], rtol=1e-9)
        wrong.append(abs(found[2] / 1.0 - 1))
    assert wrong[0] > 3 * wrong[1] > 9 * wrong[2]
    assert wrong[2] < 2e-3


def test_aggregation_and_breakage_come_to_their_balance():
    """K = 1, S = v, b = 2 / u from exp(-x) (Patil and Andrews 1998): M_k = k! M0^(1 - k), to sqrt(2) particles at last."""
    wrong = []
    for nodes in NODES:
        balance = MomentBalance(nodes, kernel=lambda u, v: 1.0, selection=lambda v: v, fragments=power_law_moments(nodes))
        for end in (1.0, 20.0):
            number = exact.balanced_number(end)
            found = solved(balance, gamma_moments(nodes, 1.0, 1.0), end)
            np.testing.assert_allclose(found[:2], [number, 1.0], rtol=1e-8)
        wrong.append(abs(found[2] * number / 2 - 1))
    assert wrong[0] > wrong[1] > wrong[2]
    assert wrong[2] < 1e-2


def test_growth_and_nuclei():
    """G = v / 2: M_k = k! exp(k t / 2); G = 1 from gamma: a shift by t; B nuclei of 0.5 for a time."""
    start = gamma_moments(3, 1.0, 1.0)
    found = solved(MomentBalance(3, growth=lambda v: 0.5 * v), start, 2.0)
    np.testing.assert_allclose(found, [factorial(k) * np.exp(k) for k in range(6)], rtol=1e-8)
    found = solved(MomentBalance(3, growth=lambda v: 1.0), start, 2.0)
    np.testing.assert_allclose(found, [sum(comb(k, j) * start[j] * 2.0 ** (k - j) for j in range(k + 1)) for k in range(6)], rtol=1e-8)
    found = solved(MomentBalance(3, nucleus=0.5), start, 4.0)
    np.testing.assert_allclose(found, start + 4.0 * 0.5 ** np.arange(6), rtol=1e-9)


# ---- against the grid ----


KERNELS = {
    "brownian": (pb.brownian_kernel, lambda u, v: (u ** (1 / 3) + v ** (1 / 3)) * (u ** (-1 / 3) + v ** (-1 / 3)), 0.5, 8e-3),
    "shear": (pb.shear_kernel, lambda u, v: (u ** (1 / 3) + v ** (1 / 3)) ** 3, 0.15, 2.2e-2),
}
"""On a grid, of two volumes, time by which half of the particles are gone, error of three nodes."""


@pytest.mark.parametrize("name", KERNELS)
def test_physical_kernels_come_nearer_to_the_grid_with_nodes(name):
    on_grid, function, end, limit = KERNELS[name]
    grid = pb.Grid.geometric(1e-2, 1e3, 100)
    balance = pb.PopulationBalance(grid, aggregation=pb.AggregationMaps(grid, on_grid(grid, 1.0)))
    number = solve(balance, pb.lognormal_distribution(grid, 1.0, 1.0, 2.0), end)
    assert 0.45 < number.sum() < 0.55
    wrong = []
    for nodes in NODES:
        found = solved(MomentBalance(nodes, kernel=function), lognormal_moments(nodes, 1.0, 1.0, 2.0), end)
        wrong.append([abs(found[k] / pb.moment(grid, number, k) - 1) for k in (0, 2)])
    for of_order in zip(*wrong, strict=True):
        assert of_order[0] > of_order[1] > of_order[2]
        assert of_order[1] < limit


def test_scaled_moments_are_those_of_the_particles():
    """Micrometer particles, 1e12 in a cubic meter: scaled rates are those of the same balance in its own units."""
    number, volume = 1e12, 1e-15
    tiny = MomentBalance(
        3,
        kernel=lambda u, v: 1e-3 / volume * 1e-12 * (u + v),
        selection=lambda v: 0.1 * v / volume,
        fragments=equal_fragment_moments(3, 4.0),
        growth=lambda v: 0.2 * v,
        nucleus=0.5 * volume,
        number=number,
        volume=volume,
    )
    unit = MomentBalance(
        3,
        kernel=lambda u, v: 1e-3 * (u + v),
        selection=lambda v: 0.1 * v,
        fragments=equal_fragment_moments(3, 4.0),
        growth=lambda v: 0.2 * v,
        nucleus=0.5,
    )
    moments = gamma_moments(3, 1.0, 1.0, 2.0)
    found = moment_rates(tiny, moments, [1.0, 1.0, 1.0, number])
    np.testing.assert_allclose(found, moment_rates(unit, moments), rtol=1e-12)
    np.testing.assert_allclose(tiny.scale, [number * volume**k for k in range(6)], rtol=1e-14)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: MomentBalance(5, nucleus=1.0), "nodes has to be 2, 3 or 4"),
        (lambda: MomentBalance(2), "at least one of kernel"),
        (lambda: MomentBalance(2, selection=lambda v: v), "selection and fragments belong together"),
        (lambda: MomentBalance(2, selection=lambda v: v, fragments=[2, 0.5, 1, 1]), r"fragments\[1\]"),
        (lambda: MomentBalance(2, nucleus=-1.0), "nucleus has to be finite and not negative"),
        (lambda: MomentBalance(2, nucleus=1.0, volume=0.0), "volume has to be positive"),
        (lambda: power_law_moments(2, -1.0), "exponent has to be above -1"),
        (lambda: quadrature([1, 1, 2]), "4, 6 or 8 moments"),
        (lambda: quadrature([1, 1, 1, 1]), "no distribution over positive volumes with 2 sizes"),
        (lambda: quadrature([1, 1, 0.5, 1]), "no distribution over positive volumes"),
        (lambda: quadrature([1.0, 1.0, 2.0, 3.0]), "no distribution over positive volumes"),
        (lambda: quadrature([1, -1, 2, 3]), "have to be positive"),
        (lambda: moment_rates(MomentBalance(2, nucleus=1.0), [1, 1, np.nan, 6]), r"moments\[2\] is not finite"),
        (lambda: moment_rates(MomentBalance(2, nucleus=1.0), [1, 1, 2, 6], [1, 1]), r"coefficients has to be of shape \(1,\)"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()
