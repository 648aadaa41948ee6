"""Aggregation on nested grids against all pairs one by one, exact solutions, laws of conservation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from csrc import population_balance as pb
from csrc import separable as sp
from csrc.nested import NestedAggregation, NestedGrid, nested_rates
from csrc.separable import SeparableAggregation, separable_rates
from tests.csrc.test_separable import KERNELS


def pair_by_pair(nested: NestedGrid, kernel: np.ndarray, number: np.ndarray, *, closed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rates of the fixed pivot technique from all pairs, and the births and deaths that they are made of added up."""
    x = nested.grid.pivots
    volume, met = np.add.outer(x, x), kernel * np.outer(number, number)
    inside = volume <= x[-1]
    deaths = np.sum(met * inside if closed else met, axis=1)
    births = np.array([np.sum(0.5 * met * inside * np.interp(volume, x, row)) for row in np.eye(x.size)])
    return births - deaths, births + deaths


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize(("first", "doublings"), [(4, 0), (4, 1), (4, 6), (16, 0), (16, 1), (16, 9), (30, 3)])
@pytest.mark.parametrize("name", KERNELS)
def test_rates_are_those_of_all_pairs(name, first, doublings, closed):
    separable, direct = KERNELS[name]
    nested = NestedGrid(0.5, first, doublings)
    number = np.random.default_rng(first).exponential(size=nested.counts.size)
    expected, gross = pair_by_pair(nested, direct(nested.grid, 0.7), number, closed=closed)
    found = nested_rates(NestedAggregation(nested, *separable(nested.grid, 0.7), closed), number)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    assert np.all(np.abs(found - expected) <= 1e-10 * gross)


def test_one_level_is_a_grid_in_equal_steps():
    nested = NestedGrid(1.0, 64, 0)
    number = np.random.default_rng(1).exponential(size=64)
    one = nested_rates(NestedAggregation(nested, *sp.separable_sum(nested.grid, 1.0)), number)
    grid = pb.Grid.linear(0.5, 64.5, 64)
    other = separable_rates(SeparableAggregation(grid, *sp.separable_sum(grid, 1.0)), number)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())


@settings(deadline=None, max_examples=80, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(0, 12), st.sampled_from(sorted(KERNELS)))
def test_volume_is_kept_and_each_collision_takes_one_particle(seed, half, doublings, name):
    rng = np.random.default_rng(seed)
    nested = NestedGrid(rng.uniform(0.1, 2.0), 2 * half, doublings)
    x = nested.grid.pivots
    number = rng.exponential(size=x.size) * (rng.random(x.size) > 0.3) * np.exp(-x / x[x.size // 2])
    kernel = KERNELS[name][1](nested.grid, 1.0)
    change = nested_rates(NestedAggregation(nested, *KERNELS[name][0](nested.grid, 1.0)), number)
    counts = nested.counts
    met = kernel * np.outer(number, number) * (np.add.outer(counts, counts) <= counts[-1])
    assert abs(x @ change) <= 1e-12 * (x @ met.sum(axis=1)) + 1e-300
    assert change.sum() == pytest.approx(-0.5 * met.sum(), rel=1e-11, abs=1e-300)


def test_error_falls_with_the_square_of_the_steps():
    """Constant and sum kernels from exp(-x) over seven decades and more: number and volume exact, M2 and numbers at second order."""
    for separable, end, second in ((sp.separable_constant, 10.0, 12.0), (sp.separable_sum, 1.0, 2 * np.exp(2.0))):
        wrong = []
        for first in (16, 32, 64):
            nested = NestedGrid(0.25 / first, first, 13)
            grid = nested.grid
            start = pb.gamma_distribution(grid, 1.0, 1.0)
            aggregation = NestedAggregation(nested, *separable(grid, 1.0))
            ends = solve_ivp(lambda t, y, a=aggregation: nested_rates(a, y), (0.0, end), start, method="DOP853", rtol=1e-9, atol=1e-13)
            found = ends.y[:, -1]
            assert grid.pivots @ found == pytest.approx(1.0, rel=1e-11)
            assert found.sum() == pytest.approx(1 / 6 if end == 10.0 else np.exp(-1.0), rel=1e-7)
            wrong.append(grid.pivots**2 @ found / second - 1)
        orders = np.log2(np.array(wrong[:-1]) / wrong[1:])
        assert np.all(np.abs(orders - 2) < 0.3), (wrong, orders)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: NestedGrid(0.0, 4, 1), "step has to be positive"),
        (lambda: NestedGrid(1.0, 5, 1), "first has to be even"),
        (lambda: NestedGrid(1.0, 2, 1), "first has to be even and 4 or more"),
        (lambda: NestedGrid(1.0, 4, -1), "doublings has to be 0 or more"),
        (lambda: NestedAggregation(NestedGrid(1.0, 4, 1), np.ones((1, 6)), [[-1.0]]), r"kernel\[0, 0\] is negative"),
        (lambda: NestedAggregation(NestedGrid(1.0, 4, 1), np.ones((1, 5)), [[1.0]]), r"functions has to be of shape \(1, 6\)"),
        (lambda: nested_rates(NestedAggregation(NestedGrid(1.0, 4, 0), np.ones((1, 4)), [[1.0]]), np.ones(3)), r"shape \(4,\)"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()
