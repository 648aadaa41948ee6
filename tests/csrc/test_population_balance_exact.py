"""The population balance kernel against exact solutions, their tables, and an independent implementation of the same schemes."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import exp1

from benchmarks.populations import CASES, Case, errors, l1_errors, solve, solved
from csrc import population_balance as pb
from csrc.population_balance import AggregationMaps, Grid, GrowthMaps, PopulationBalance, jacobian, moment, rates
from flowsheet.verify import populations as exact

DATA = Path(__file__).parents[1] / "data"

# ---- the closed forms ----


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open() as file:
        return list(csv.DictReader(file))


DENSITIES = {
    "pbm_agg_const_exp.csv": exact.constant_kernel,
    "pbm_agg_const_gamma2.csv": exact.constant_kernel_gamma,
    "pbm_agg_sum_exp.csv": exact.sum_kernel,
    "pbm_agg_product_expx_over_x.csv": exact.product_kernel_inverse,
    "pbm_brk_lin_exp.csv": exact.linear_breakage,
    "pbm_aggbrk_exp.csv": exact.aggregation_and_breakage,
}


@pytest.mark.parametrize("name", DENSITIES)
def test_closed_forms_agree_with_their_tables(name):
    rows = table(name)
    x = np.array([float(row["x"]) for row in rows])
    for column in rows[0]:
        t = float(column[6:-1]) if column != "x" else 0.0
        gelled = name == "pbm_agg_product_expx_over_x.csv" and t > 1
        if t > 0 and not gelled:
            tabulated = np.array([float(row[column]) for row in rows])
            np.testing.assert_allclose(DENSITIES[name](x, t), tabulated, rtol=2e-8, atol=1e-290)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_closed_forms_have_their_moments(case: Case):
    whole = case.whole or (0.0, 0.0)
    pieces = np.concatenate(([0.0], np.geomspace(1e-8, 1.0, 9) * case.largest))

    def integral(order: int) -> float:
        def weighted(x: float) -> float:
            return x**order * case.density(np.array([x]))[0]

        return sum(quad(weighted, low, high, limit=200, epsrel=1e-10)[0] for low, high in pairwise(pieces))

    for order, expected in enumerate(case.moments):
        if np.isfinite(expected):
            assert integral(order) + whole[0] ** order * whole[1] == pytest.approx(expected, rel=1e-6)


# ---- errors and orders ----

AT_100_CELLS = {
    "constant, t = 1": (1.2e-4, 3.4e-4, 1.1e-3),
    "constant, t = 10": (3.6e-4, 8.1e-4, 6.5e-4),
    "constant, t = 100": (4.3e-4, 8.5e-4, 5.5e-4),
    "constant, gamma, t = 10": (1.1e-3, 1.5e-3, 1.0e-3),
    "sum, t = 2": (2.3e-3, 9.0e-3, 2.0e-2),
    "product, exp(-x)/x, t = 0.5": (4.8e-5, 7.3e-4, 6.3e-3),
    "product, t = 0.25": (5.0e-4, 9.1e-4, 3.7e-3),
    "breakage v, t = 10": (4.4e-3, 6.7e-3, 5.1e-3),
    "breakage v of one size, t = 5": (4.7e-3, 7.4e-3, 5.1e-3),
    "breakage v^2, t = 10": (5.7e-3, 7.4e-3, 1.5e-3),
    "constant + breakage, t = 5": (3.8e-3, 5.2e-3, 3.4e-3),
    "constant + growth, t = 2": (5.9e-3, 1.8e-2, 3.8e-2),
    "growth G = v/2, t = 2": (5.1e-3, 1.8e-2, 4.3e-2),
    "growth G = 1, t = 2": (4.0e-2, 3.8e-2, 1.4e-3),
}
"""Relative errors that are not exceeded with 100 cells: L1 of numbers, L1 of volumes, M2."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_errors_and_order(case: Case):
    found = {cells: errors(case, *solved(case, cells)) for cells in (25, 50, 100, 200)}
    number, volume, second = AT_100_CELLS[case.name]
    at_100 = found[100]
    assert at_100.number <= number
    assert at_100.volume <= volume
    assert abs(at_100.m2) <= second
    assert np.log2(found[50].number / found[200].number) / 2 >= 1.3
    assert found[200].number < found[100].number < found[50].number
    if "growth" not in case.name:
        assert max(abs(one.drift) for one in found.values()) <= 1e-12
    else:
        assert abs(at_100.m0) <= 1e-6


BASELINE = {
    ("const t=10", "CAT"): "constant, t = 10",
    ("const t=100", "CAT"): "constant, t = 100",
    ("sum t=2", "CAT"): "sum, t = 2",
    ("brk lin t=10", "FP"): "breakage v, t = 10",
    ("agg+brk t=5", "CAT"): "constant + breakage, t = 5",
}


@pytest.mark.parametrize(("key", "name"), BASELINE.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_errors_of_another_implementation(key, name):
    """From the start that it took, cells integrated and put at their middles, the same schemes give the same errors to 1 %."""
    case = next(case for case in CASES if case.name == name)
    row = next(
        row
        for row in table("pbm_fixed_pivot_cell_average_baseline.csv")
        if (row["case"], row["method"]) == key and row["cell_volume_ratio_q"] == "1.1892"
    )
    grid, number = solved(case, 100, contents=True)
    found = l1_errors(grid, number, case.cell_contents(grid)[0])
    assert found[0] <= 1.01 * float(row["L1_number_relerr"])
    assert found[1] <= 1.01 * float(row["L1_mass_relerr"])
    assert found == pytest.approx((float(row["L1_number_relerr"]), float(row["L1_mass_relerr"])), rel=0.02)


def test_number_is_exact_from_a_start_that_keeps_it():
    """The moment equation of a constant kernel and of breakage closes on the grid; the independent table has errors of 1 % here."""
    by_name = {case.name: case for case in CASES}
    for name, limit in (
        ("constant, t = 10", 1e-7),
        ("sum, t = 2", 1e-7),
        ("breakage v, t = 10", 1e-5),
        ("constant + breakage, t = 5", 2e-6),
    ):
        assert abs(errors(by_name[name], *solved(by_name[name], 50)).m0) <= limit


def test_moment_equations_of_any_start():
    """Constant kernel: M2' = K M1^2 from two narrow modes, to the error of the grid; sum kernel: M0' = -K M0 M1."""
    grid = Grid.geometric(1e-3, 1e4, 200)
    start = pb.lognormal_distribution(grid, 1.0, 0.3, 1.5) + pb.lognormal_distribution(grid, 0.5, 4.0, 1.3)
    for kernel, order in ((pb.constant_kernel, 2), (pb.sum_kernel, 0)):
        balance = PopulationBalance(grid, aggregation=AggregationMaps(grid, kernel(grid, 0.7)))
        change = moment(grid, rates(balance, start), order)
        expected = 0.7 * moment(grid, start, 1) ** 2 if order == 2 else -0.7 * moment(grid, start, 0) * moment(grid, start, 1)
        assert change == pytest.approx(expected, rel=1e-2 if order == 2 else 1e-8)


def test_gelation_leaves_an_open_grid():
    """K = u v from exp(-x)/x gels at t = 1: volume is kept before, and lost after it, M1 = 1/sqrt(t) (Ernst et al. 1984)."""
    grid = Grid.geometric(1e-4, 1e5, 120)
    balance = PopulationBalance(grid, aggregation=AggregationMaps(grid, pb.product_kernel(grid, 1.0), closed=False))
    start = pb.project(grid, exp1(grid.edges[:-1]) - exp1(grid.edges[1:]), -np.diff(np.exp(-grid.edges)))
    before, after = (moment(grid, solve(balance, start, end), 1) for end in (0.5, 2.0))
    assert before == pytest.approx(1.0, abs=2e-4)
    assert after == pytest.approx(2**-0.5, rel=0.05)


def test_steady_state_of_a_mixed_vessel_with_nuclei_and_growth():
    """MSMPR (Randolph and Larson 1971): n = B / G exp(-x / (G tau)); second order but for the first cell, in which nuclei are put."""
    found = []
    for cells in (50, 100, 200):
        grid = Grid.linear(0.0, 20.0, cells)
        nuclei = np.zeros(cells)
        nuclei[0] = 1.0
        balance = PopulationBalance(grid, growth=GrowthMaps(grid, np.ones(cells + 1)), nucleation=nuclei)
        number = np.ones(cells)
        for _ in range(50):
            residual = rates(balance, number) - number
            step = np.linalg.solve(jacobian(balance, number)[0] - np.eye(cells), residual)
            number = number - step
        assert np.abs(step).max() < 1e-10
        expected = np.exp(-grid.edges[:-1]) - np.exp(-grid.edges[1:])
        found.append(np.abs(number - expected).sum())
        assert number.sum() == pytest.approx(1.0, rel=1e-7)
    assert found[2] < 1e-2
    assert np.log2(found[0] / found[2]) / 2 > 1.5
