"""Population balances with exact solutions: what is solved, and the errors of a solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import exp1

from csrc.population_balance import (
    AggregationMaps,
    BreakageMaps,
    Grid,
    GrowthMaps,
    PopulationBalance,
    binary_fragments,
    constant_kernel,
    gamma_distribution,
    jacobian,
    moment,
    nuclei,
    power_law_selection,
    product_kernel,
    project,
    rates,
    sum_kernel,
)
from flowsheet.verify import populations as exact

SPAN = 2.0**25
"""Largest over smallest edge of a geometric grid: 100 cells grow by 2^(1/4) from each to the next."""


@dataclass(frozen=True)
class Case:
    """A population balance with an exact solution.

    Parameters
    ----------
    name : as printed.
    end : time at which it is compared.
    largest : edge of the largest cell.
    processes : of a grid.
    start : numbers in the cells of a grid.
    density : exact density at the end.
    moments : exact M0, M1, M2 at the end; M0 is NaN where it is infinite.
    whole : (size, number) of particles of a single size at the end.
    """

    name: str
    end: float
    largest: float
    processes: Callable[[Grid], PopulationBalance]
    start: Callable[[Grid], np.ndarray]
    density: Callable[[np.ndarray], np.ndarray]
    moments: tuple[float, float, float]
    linear: bool = False
    whole: tuple[float, float] | None = None

    def grid(self, cells: int) -> Grid:
        """Return the grid with so many cells."""
        if self.linear:
            return Grid.linear(0.0, self.largest, cells)
        if self.whole is None:
            return Grid.geometric(self.largest / SPAN, self.largest, cells)
        ratio = SPAN ** (1 / cells)  # the last pivot is the size of the whole particles
        last = self.whole[0] * 2 * ratio / (1 + ratio)
        return Grid.geometric(last / SPAN, last, cells)

    def cell_contents(self, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Return the exact numbers and volumes of particles in the cells at the end, by Gauss's rule with 20 points in each."""
        top = np.minimum(grid.edges[1:], self.whole[0]) if self.whole else grid.edges[1:]
        edges = np.append(grid.edges[:-1], top[-1])
        number, volume = cell_integrals(self.density, edges), cell_integrals(lambda x: x * self.density(x), edges)
        if self.whole:
            size, whole = self.whole
            number[-1] += whole
            volume[-1] += size * whole
        return number, volume


def cell_integrals(density: Callable[[np.ndarray], np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Return the integrals of a density between edges, by Gauss's rule with 20 points in each cell."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half, middle = 0.5 * np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    x = middle[:, None] + half[:, None] * nodes
    return half * (density(x.ravel()).reshape(x.shape) @ weights)


def _exponential(grid: Grid) -> np.ndarray:
    return gamma_distribution(grid, 1.0, 1.0)


def _inverse(grid: Grid) -> np.ndarray:
    return project(grid, exp1(grid.edges[:-1]) - exp1(grid.edges[1:]), -np.diff(np.exp(-grid.edges)))


def _aggregation(kernel: Callable[[Grid, float], np.ndarray]) -> Callable[[Grid], PopulationBalance]:
    return lambda grid: PopulationBalance(grid, aggregation=AggregationMaps(grid, kernel(grid, 1.0)))


def _breakage(grid: Grid, exponent: float = 1.0) -> BreakageMaps:
    return BreakageMaps(grid, power_law_selection(grid, 1.0, exponent), binary_fragments(grid))


GROWTH = 0.5


def _square_moments(t: float) -> tuple[float, float, float]:
    x, weights = np.polynomial.legendre.leggauss(400)
    v, w = 0.5 * 12 * (1 + x), 6 * weights
    n = exact.square_breakage(v, t)
    return float(w @ n), 1.0, float(w @ (v**2 * n))


CASES = (
    Case(
        "constant, t = 1", 1.0, 200.0, _aggregation(constant_kernel), _exponential, lambda x: exact.constant_kernel(x, 1.0), (2 / 3, 1, 3)
    ),
    Case(
        "constant, t = 10",
        10.0,
        300.0,
        _aggregation(constant_kernel),
        _exponential,
        lambda x: exact.constant_kernel(x, 10.0),
        (1 / 6, 1, 12),
    ),
    Case(
        "constant, t = 100",
        100.0,
        2500.0,
        _aggregation(constant_kernel),
        _exponential,
        lambda x: exact.constant_kernel(x, 100.0),
        (1 / 51, 1, 102),
    ),
    Case(
        "constant, gamma, t = 10",
        10.0,
        300.0,
        _aggregation(constant_kernel),
        lambda grid: gamma_distribution(grid, 1.0, 1.0, 2.0),
        lambda x: exact.constant_kernel_gamma(x, 10.0),
        (1 / 6, 1, 11.5),
    ),
    Case(
        "sum, t = 2",
        2.0,
        6000.0,
        _aggregation(sum_kernel),
        _exponential,
        lambda x: exact.sum_kernel(x, 2.0),
        (np.exp(-2), 1, 2 * np.exp(4)),
    ),
    Case(
        "product, exp(-x)/x, t = 0.5",
        0.5,
        1000.0,
        _aggregation(product_kernel),
        _inverse,
        lambda x: exact.product_kernel_inverse(x, 0.5),
        (np.nan, 1, 2),
    ),
    Case(
        "product, t = 0.25",
        0.25,
        1000.0,
        _aggregation(product_kernel),
        _exponential,
        lambda x: exact.product_kernel(x, 0.25),
        (7 / 8, 1, 4),
    ),
    Case(
        "breakage v, t = 10",
        10.0,
        40.0,
        lambda grid: PopulationBalance(grid, breakage=_breakage(grid)),
        _exponential,
        lambda x: exact.linear_breakage(x, 10.0),
        (11, 1, 2 / 11),
    ),
    Case(
        "breakage v of one size, t = 5",
        5.0,
        1.0,
        lambda grid: PopulationBalance(grid, breakage=_breakage(grid)),
        lambda grid: nuclei(grid, grid.pivots[-1]),
        lambda x: exact.linear_breakage_of_one_size(x, 5.0),
        (6, 1, 2 / 5 - 2 / 25 * -np.expm1(-5)),
        whole=(1.0, float(np.exp(-5.0))),
    ),
    Case(
        "breakage v^2, t = 10",
        10.0,
        40.0,
        lambda grid: PopulationBalance(grid, breakage=_breakage(grid, 2.0)),
        _exponential,
        lambda x: exact.square_breakage(x, 10.0),
        _square_moments(10.0),
    ),
    Case(
        "constant + breakage, t = 5",
        5.0,
        40.0,
        lambda grid: PopulationBalance(grid, aggregation=AggregationMaps(grid, constant_kernel(grid, 1.0)), breakage=_breakage(grid)),
        _exponential,
        lambda x: exact.aggregation_and_breakage(x, 5.0),
        (exact.balanced_number(5.0), 1, 2 / exact.balanced_number(5.0)),
    ),
    Case(
        "constant + growth, t = 2",
        2.0,
        300.0,
        lambda grid: PopulationBalance(
            grid, aggregation=AggregationMaps(grid, constant_kernel(grid, 1.0)), growth=GrowthMaps(grid, GROWTH * grid.edges)
        ),
        _exponential,
        lambda x: exact.aggregation_and_growth(x, 2.0, GROWTH),
        (0.5, np.e, 4 * np.e**2),
    ),
    Case(
        "growth G = v/2, t = 2",
        2.0,
        200.0,
        lambda grid: PopulationBalance(grid, growth=GrowthMaps(grid, GROWTH * grid.edges)),
        _exponential,
        lambda x: exact.linear_growth(x, 2.0, GROWTH),
        (1, np.e, 2 * np.e**2),
    ),
    Case(
        "growth G = 1, t = 2",
        2.0,
        6.0,
        lambda grid: PopulationBalance(grid, growth=GrowthMaps(grid, np.ones(grid.cells + 1))),
        lambda grid: gamma_distribution(grid, 1.0, 1.0, 8.0),
        lambda x: np.where(x > 2, 8.0**8 / 5040.0 * np.maximum(x - 2, 0) ** 7 * np.exp(-8 * (x - 2)), 0.0),
        (1, 3, 9 + 1 / 8),
        linear=True,
    ),
)


@dataclass(frozen=True)
class Errors:
    """Errors at the end: relative L1 of the numbers at the pivots and of their volumes; relative of moments; drift of M1 from its start."""

    number: float
    volume: float
    m0: float
    m1: float
    m2: float
    drift: float


def errors(case: Case, grid: Grid, number: np.ndarray) -> Errors:
    """Return the errors of numbers against the exact solution, projected as the start is: number and volume kept."""
    wrong = l1_errors(grid, number, project(grid, *case.cell_contents(grid)))
    m0, m1, m2 = ((moment(grid, number, k) / case.moments[k] - 1) for k in range(3))
    return Errors(*wrong, m0, m1, m2, moment(grid, number, 1) / moment(grid, case.start(grid), 1) - 1)


def l1_errors(grid: Grid, number: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Return the relative L1 errors of numbers and of their volumes."""
    wrong = np.abs(number - expected)
    return float(wrong.sum() / expected.sum()), float(grid.pivots @ wrong / (grid.pivots @ expected))


def solve(balance: PopulationBalance, start: np.ndarray, end: float, rtol: float = 1e-8, atol: float = 1e-12) -> np.ndarray:
    """Return the numbers at the end, by SciPy's BDF with the kernel's rates and Jacobian."""
    found = solve_ivp(
        lambda t, y: rates(balance, y), (0.0, end), start, method="BDF", jac=lambda t, y: jacobian(balance, y)[0], rtol=rtol, atol=atol
    )
    if not found.success:
        raise RuntimeError(found.message)
    return found.y[:, -1]


def solved(case: Case, cells: int, *, contents: bool = False) -> tuple[Grid, np.ndarray]:
    """Return the grid and the numbers at the end of a case; ``contents`` starts from exp(-x) integrated over cells, its volume not kept."""
    grid = case.grid(cells)
    start = -np.diff(np.exp(-grid.edges)) if contents else case.start(grid)
    return grid, solve(case.processes(grid), start, case.end)
