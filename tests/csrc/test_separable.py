"""Aggregation by fast Fourier transforms against the direct kernel, exact solutions, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from csrc import population_balance as pb
from csrc import separable as sp
from csrc.population_balance import AggregationMaps, Grid, PopulationBalance, jacobian, rates
from csrc.separable import SeparableAggregation, separable_derivative, separable_rates

KERNELS = {
    "constant": (sp.separable_constant, pb.constant_kernel),
    "sum": (sp.separable_sum, pb.sum_kernel),
    "product": (sp.separable_product, pb.product_kernel),
    "shear": (sp.separable_shear, pb.shear_kernel),
    "brownian": (sp.separable_brownian, pb.brownian_kernel),
}
GRIDS = {
    "pivots from one step": lambda n: Grid.linear(0.5, n + 0.5, n),
    "pivots from half a step": lambda n: Grid.linear(0.0, 0.25 * n, n),  # sums of pivots are edges, without rounding
    "pivots from 2.3 steps": lambda n: Grid.linear(1.8 * 0.7, (1.8 + n) * 0.7, n),
    "pivots off the middle": lambda n: Grid(np.arange(n + 1.0), np.arange(n) + 0.75),
    "pivots beyond the grid": lambda n: Grid.linear(2.0 * n, 3.0 * n, n),
}


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", KERNELS)
def test_rates_are_those_of_the_direct_kernel(name, grid, closed):
    separable, direct = KERNELS[name]
    for cells in (2, 3, 64, 301):
        on = GRIDS[grid](cells)
        number = np.random.default_rng(cells).exponential(size=cells)
        expected = rates(PopulationBalance(on, aggregation=AggregationMaps(on, direct(on, 0.7), closed)), number)
        found = separable_rates(SeparableAggregation(on, *separable(on, 0.7), closed), number)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max() + 1e-300)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(3, 200), st.sampled_from(sorted(KERNELS)))
def test_volume_is_kept_to_rounding(seed, cells, name):
    rng = np.random.default_rng(seed)
    grid = Grid.linear(rng.uniform(0, 3), cells, cells)
    number = rng.exponential(size=cells) * (rng.random(cells) > 0.3)
    change = separable_rates(SeparableAggregation(grid, *KERNELS[name][0](grid, 1.0)), number)
    collisions = number * (KERNELS[name][1](grid, 1.0) @ number)
    assert abs(grid.pivots @ change) <= 1e-12 * (grid.pivots @ collisions)


@pytest.mark.parametrize("name", KERNELS)
def test_derivative_along_a_direction_is_that_of_the_direct_kernel(name):
    grid = Grid.linear(0.5, 80.5, 80)
    rng = np.random.default_rng(2)
    number, direction = rng.exponential(size=80), rng.normal(size=80)
    expected = jacobian(PopulationBalance(grid, aggregation=AggregationMaps(grid, KERNELS[name][1](grid, 1.0))), number)[0] @ direction
    found = separable_derivative(SeparableAggregation(grid, *KERNELS[name][0](grid, 1.0)), number, direction)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def solved(aggregation: SeparableAggregation, start: np.ndarray, end: float) -> np.ndarray:
    found = solve_ivp(lambda t, y: separable_rates(aggregation, y), (0.0, end), start, method="DOP853", rtol=1e-10, atol=1e-13)
    return found.y[:, -1]


def test_smoluchowskis_coagulation_of_single_particles():
    """Of sizes 1, 2, ... by a constant kernel: N_k = tau^(k - 1) / (1 + tau)^(k + 1), tau = t / 2 (Smoluchowski 1917)."""
    grid = Grid.linear(0.5, 2048.5, 2048)
    start = np.zeros(2048)
    start[0] = 1.0
    found = solved(SeparableAggregation(grid, *sp.separable_constant(grid, 1.0)), start, 20.0)
    k = np.arange(1, 2049)
    np.testing.assert_allclose(found, (10 / 11) ** (k - 1.0) / 121, atol=1e-11)


def test_error_falls_with_the_square_of_the_step():
    """Sum kernel from exp(-x), M2 = 2 exp(2 t) (Golovin 1963): half goes half a step up, half down, and M2 comes out too large."""
    wrong = []
    for per_unit in (2, 4, 8):
        grid = Grid.linear(0.0, 128.0, 128 * per_unit)
        start = pb.gamma_distribution(grid, 1.0, 1.0)
        found = solved(SeparableAggregation(grid, *sp.separable_sum(grid, 1.0)), start, 0.5)
        assert grid.pivots @ found == pytest.approx(1.0, rel=1e-11)
        assert found.sum() == pytest.approx(np.exp(-0.5), rel=1e-8)
        wrong.append(grid.pivots**2 @ found / (np.e * grid.pivots**2 @ start) - 1)
    orders = np.log2(np.array(wrong[:-1]) / wrong[1:])
    assert np.all(np.abs(orders - 2) < 0.1), (wrong, orders)


# ---- what is refused ----

GRID = Grid.linear(0.5, 4.5, 4)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SeparableAggregation(Grid([0, 1, 3, 7]), np.ones((1, 3)), [[1.0]]), r"gaps\[0\] is not the step of the other pivots"),
        (lambda: SeparableAggregation(GRID, np.ones((2, 4)), [[0, 1], [2, 0]]), r"factors\[0, 1\] differs from its mirror image"),
        (lambda: SeparableAggregation(GRID, np.ones((1, 4)), [[-1.0]]), r"kernel\[0, 0\] is negative"),
        (lambda: SeparableAggregation(GRID, np.ones(4), [[1.0]]), "functions has to be of shape"),
        (lambda: SeparableAggregation(GRID, np.ones((1, 4)), [1.0]), r"factors has to be of shape \(1, 1\)"),
        (lambda: sp.separable_sum(GRID, -1.0), "rate has to be finite and not negative"),
        (
            lambda: separable_rates(SeparableAggregation(GRID, *sp.separable_sum(GRID, 1.0)), [1, np.nan, 0, 0]),
            r"number\[1\] is not finite",
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()
