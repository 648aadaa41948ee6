"""Aggregation by the cell average technique once more: vectorized NumPy and, where it is installed, Numba. Same scheme, same tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from csrc.population_balance import AggregationMaps, PopulationBalance, jacobian, rates

Rates = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Implementation:
    """Rates and Jacobian of one implementation, as functions of the numbers."""

    name: str
    rates: Rates
    jacobian: Rates


def implementations(maps: AggregationMaps) -> list[Implementation]:
    """Return ours first, and whatever else can run here."""
    found = [_ours(maps), _numpy(maps)]
    return [*found, _numba(maps)] if find_spec("numba") else found


def _ours(maps: AggregationMaps) -> Implementation:
    balance = PopulationBalance(maps.grid, aggregation=maps)
    return Implementation("compiled kernel", lambda number: rates(balance, number), lambda number: jacobian(balance, number)[0])


def bare(maps: AggregationMaps) -> Implementation:
    """Return the compiled kernel without the checks of its arguments, as CasADi calls it; the Jacobian as a column of non-zeros."""
    compiled, one = PopulationBalance(maps.grid, aggregation=maps).compiled, np.ones(1)
    return Implementation("compiled kernel, unchecked", lambda n: compiled.rates(n, one), lambda n: compiled.jacobian(n, one)[0])


def _numpy(maps: AggregationMaps) -> Implementation:
    """Pairs as arrays, sums by ``bincount``, deaths by a matrix product."""
    grid = maps.grid
    n, x, gaps = grid.cells, grid.pivots, grid.gaps
    one, other, cell = maps.pairs
    pair_kernel = maps.kernel[one, other] * np.where(one == other, 0.5, 1.0)
    over = x[one] + x[other] - x[cell]
    meeting = np.where(x[:, None] + x <= x[-1], maps.kernel, 0.0)
    by_one, by_other = cell * n + one, cell * n + other

    def upwards(excess: np.ndarray) -> np.ndarray:
        return (excess > 0) & (np.arange(n) < n - 1)

    def numpy_rates(number: np.ndarray) -> np.ndarray:
        rate = pair_kernel * number[one] * number[other]
        excess = np.bincount(cell, rate * over, n)
        change = np.bincount(cell, rate, n) - number * (meeting @ number)
        up = upwards(excess)
        rising, falling = np.where(up, excess, 0.0)[:-1] / gaps, np.where(up, 0.0, excess)[1:] / gaps
        change[:-1] -= rising + falling
        change[1:] += rising + falling
        return change

    def numpy_jacobian(number: np.ndarray) -> np.ndarray:
        first, second = pair_kernel * number[other], pair_kernel * number[one]
        excess = np.bincount(cell, first * number[one] * over, n)
        births = np.bincount(by_one, first, n * n) + np.bincount(by_other, second, n * n)
        by_excess = np.bincount(by_one, first * over, n * n) + np.bincount(by_other, second * over, n * n)
        change = births.reshape(n, n) - number[:, None] * meeting
        change[np.diag_indices(n)] -= meeting @ number
        up, by_excess = upwards(excess)[:, None], by_excess.reshape(n, n)
        moved = (np.where(up, by_excess, 0.0)[:-1] + np.where(up, 0.0, by_excess)[1:]) / gaps[:, None]
        change[:-1] -= moved
        change[1:] += moved
        return change

    return Implementation("NumPy", numpy_rates, numpy_jacobian)


def _numba(maps: AggregationMaps) -> Implementation:
    """Loops over pairs, compiled by Numba without reordering of sums."""
    import numba

    grid, n = maps.grid, maps.grid.cells
    x, gaps = grid.pivots, grid.gaps
    cells = np.full((n, n), n)
    one, other, cell = maps.pairs
    cells[one, other] = cell
    kernel = np.array(maps.kernel)

    @numba.njit
    def loop_rates(number, x, gaps, kernel, cells):
        n = x.size
        change, excess = np.zeros(n), np.zeros(n)
        for j in range(n):
            for k in range(j + 1):
                c = cells[j, k]
                if c < n:
                    rate = kernel[j, k] * number[j] * number[k] * (0.5 if j == k else 1.0)
                    change[j] -= rate
                    change[k] -= rate
                    change[c] += rate
                    excess[c] += rate * (x[j] + x[k] - x[c])
        for i in range(n):
            if excess[i] > 0 and i < n - 1:
                change[i] -= excess[i] / gaps[i]
                change[i + 1] += excess[i] / gaps[i]
            elif i > 0:
                change[i] += excess[i] / gaps[i - 1]
                change[i - 1] -= excess[i] / gaps[i - 1]
        return change

    @numba.njit
    def loop_jacobian(number, x, gaps, kernel, cells):
        n = x.size
        change, by_excess, excess = np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
        for j in range(n):
            for k in range(j + 1):
                c = cells[j, k]
                if c < n:
                    half = kernel[j, k] * (0.5 if j == k else 1.0)
                    over = x[j] + x[k] - x[c]
                    excess[c] += half * number[j] * number[k] * over
                    for m, by in ((j, half * number[k]), (k, half * number[j])):
                        change[j, m] -= by
                        change[k, m] -= by
                        change[c, m] += by
                        by_excess[c, m] += by * over
        for i in range(n):
            low = i if excess[i] > 0 and i < n - 1 else i - 1
            if low >= 0:
                for m in range(n):
                    change[low, m] -= by_excess[i, m] / gaps[low]
                    change[low + 1, m] += by_excess[i, m] / gaps[low]
        return change

    tables = (x, gaps, kernel, cells)
    return Implementation("Numba", lambda number: loop_rates(number, *tables), lambda number: loop_jacobian(number, *tables))
