"""Backward integration of linear adjoint systems by Radau IIA, three stages, order 5 (Hairer & Wanner 1996, IV.8).

In ``s``, time counted backward from the end of a segment, with ``w = (lambda, mu)`` for ``x' = f, 0 = g``, J the derivative of
(f, g) by (x, z) and P that by what gradients are taken by::

    lambda' = (J' w) of the states,   0 = (J' w) of the algebraic variables,   q' = P' w

The system is linear: a step is one sparse linear solve for all its stages, with J at each stage's own time, and serves all adjoint
variables at once. q is a quadrature with the same stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from csrc._integrator import SparseFactors
from solvers.errors import NumericsError
from solvers.layout import elimination_order

_ROOT = np.sqrt(6.0)
NODES = np.array([(4 - _ROOT) / 10, (4 + _ROOT) / 10, 1.0])
WEIGHTS = np.array(
    [
        [(88 - 7 * _ROOT) / 360, (296 - 169 * _ROOT) / 1800, (-2 + 3 * _ROOT) / 225],
        [(296 + 169 * _ROOT) / 1800, (88 + 7 * _ROOT) / 360, (-2 - 3 * _ROOT) / 225],
        [(16 - _ROOT) / 36, (16 + _ROOT) / 36, 1 / 9],
    ]
)
REAL = 3 + 3 ** (2 / 3) - 3 ** (1 / 3)
"""The real eigenvalue of the inverse of the method's matrix."""
EMBEDDED = np.array([-13 - 7 * _ROOT, -13 + 7 * _ROOT, -1.0]) / 3
"""Weights of the stages in the estimate of third order (IV.8, eq. 8.19), times the real eigenvalue."""
MOST_STEPS = 200_000
LEAST_SHARE = 1e-13
"""A step below this share of the segment, or of time itself, is none."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """The pattern of J, and of the systems of one step: all stages together, and the one that filters the error estimate."""

    size: int
    states: int
    rows: np.ndarray
    columns: np.ndarray
    stages: SparseFactors
    stage_place: np.ndarray
    single: SparseFactors
    single_place: np.ndarray

    @staticmethod
    def of(rows: np.ndarray, columns: np.ndarray, size: int, states: int) -> Pattern:
        """Return the pattern for entries of J at (rows, columns)."""
        moves = columns < states
        parts = [(columns[moves], rows[moves]), (columns[~moves], rows[~moves]), (np.arange(states), np.arange(states))]
        starts, places, single_place = _compressed(parts, size)
        order = elimination_order(size, starts, places)
        single = SparseFactors(starts, places, order)
        # unknown number 3 v + k is variable v at stage k; J enters transposed
        parts = [(3 * columns[moves] + i, 3 * rows[moves] + j) for i in range(3) for j in range(3)]
        parts += [(3 * columns[~moves] + i, 3 * rows[~moves] + i) for i in range(3)]
        parts.append((np.arange(3 * states), np.arange(3 * states)))
        starts, places, stage_place = _compressed(parts, 3 * size)
        stages = SparseFactors(starts, places, (3 * order[:, None] + np.arange(3, dtype=np.intc)).ravel().astype(np.intc))
        return Pattern(size, states, rows, columns, stages, stage_place, single, single_place)

    def factor_stages(self, step: float, entries: np.ndarray) -> None:
        """Factor the system of a step's stages; entries of J at the stages, shape (3, entries)."""
        moves = self.columns < self.states
        values = [-step * WEIGHTS[i, j] * entries[j, moves] for i in range(3) for j in range(3)]
        values += [entries[i, ~moves] for i in range(3)]
        values.append(np.ones(3 * self.states))
        self.stages.factor(np.bincount(self.stage_place, np.concatenate(values), self.stage_place.max() + 1))

    def factor_single(self, shift: float, entries: np.ndarray) -> None:
        """Factor ``shift - J'`` (the algebraic rows J' alone)."""
        moves = self.columns < self.states
        values = np.concatenate([-entries[moves], entries[~moves], np.full(self.states, shift)])
        self.single.factor(np.bincount(self.single_place, values, self.single_place.max() + 1))

    def product(self, entries: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return J' w for w of shape (any, size)."""
        transposed = csr_matrix((entries, (self.columns, self.rows)), (self.size, self.size))
        return np.asarray((transposed @ w.T).T)


def _compressed(parts: list[tuple[np.ndarray, np.ndarray]], size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return column starts and rows of the sum of entries at (rows, columns), and the place of each entry among them."""
    rows = np.concatenate([part[0] for part in parts])
    columns = np.concatenate([part[1] for part in parts])
    keys, place = np.unique(columns.astype(np.int64) * size + rows, return_inverse=True)
    starts = np.searchsorted(keys, np.arange(size + 1, dtype=np.int64) * size)
    return starts.astype(np.intc), (keys % size).astype(np.intc), place


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Entries of J, shape (times, entries), and of P, shape (times, entries of P), at times."""

    jacobian: np.ndarray
    force: np.ndarray


def integrate_back(
    pattern: Pattern,
    coefficients: Callable[[np.ndarray], Coefficients],
    drive: Callable[[np.ndarray, np.ndarray], np.ndarray],
    begin: float,
    end: float,
    adjoint: np.ndarray,
    gradient: np.ndarray,
    first_step: float,
    scale: np.ndarray,
    rtol: float,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Carry adjoint variables from the time ``begin`` back to the earlier time ``end``.

    Parameters
    ----------
    coefficients : J and P at times, shape (n,).
    drive : ``drive(force, w)`` is ``P' w`` of shape (any, columns of P).
    adjoint, gradient : lambda of shape (any, states) and q of shape (any, columns of P) at ``begin``.
    scale : magnitude of each state: errors of lambda count times it, relative to the largest of these products.
    rtol : relative local error.

    Returns
    -------
    lambda and q at ``end``, and the number of steps taken.

    Raises
    ------
    NumericsError : the step became too small.
    """
    count, states = adjoint.shape
    span, passed, step, taken = begin - end, 0.0, min(first_step, begin - end), 0
    here = coefficients(np.array([begin]))
    present = _consistent(pattern, here.jacobian[0], adjoint)
    while passed < span:
        last = step >= span - passed
        if last:
            step = span - passed
        if (step < LEAST_SHARE * max(span, abs(begin)) and not last) or taken > MOST_STEPS:
            raise NumericsError(
                f"the adjoint equations could not be integrated back from t = {begin - passed:g}: the step became {step:.3g}",
                hint="use Method.FORWARD, or looser tolerances",
            )
        taken += 1
        there = coefficients(begin - passed - step * NODES)
        try:
            pattern.factor_stages(step, there.jacobian)
            right = np.zeros((count, pattern.size, 3))
            right[:, :states] = adjoint[:, :, None]
            w = pattern.stages.solve(right.reshape(count, -1)).reshape(count, pattern.size, 3)
            pattern.factor_single(REAL / step, here.jacobian[0])
        except ZeroDivisionError:
            step /= 4
            continue
        slope = pattern.product(here.jacobian[0], present)[:, :states]
        change = w[:, :states] - adjoint[:, :, None]
        estimate = np.zeros((count, pattern.size))
        estimate[:, :states] = slope + change @ EMBEDDED / step
        error = pattern.single.solve(estimate)[:, :states] * scale
        size = np.abs(np.concatenate([adjoint[:, :, None], w[:, :states]], axis=2)).max(axis=2) * scale
        allowed = rtol * (size + 0.01 * size.max(axis=1, keepdims=True)) + 1e-300
        measure = float(np.sqrt(np.mean((error / allowed) ** 2, axis=1)).max())
        factor = 0.9 * max(measure, 1e-10) ** -0.25 if np.isfinite(measure) else 0.1
        if measure <= 1:
            stage_slopes = np.stack([drive(there.force[k], w[:, :, k]) for k in range(3)], axis=2)
            gradient = gradient + step * stage_slopes @ WEIGHTS[2]
            present = w[:, :, 2].copy()
            adjoint = present[:, :states]
            here = Coefficients(there.jacobian[2:], there.force[2:])
            passed = span if last else passed + step
        step *= min(8.0, max(0.1, factor))
    return adjoint, gradient, taken


def _consistent(pattern: Pattern, entries: np.ndarray, adjoint: np.ndarray) -> np.ndarray:
    """Return (lambda, mu) where mu follows from its equations; a shift as large as here leaves lambda as it is."""
    w = np.zeros((len(adjoint), pattern.size))
    if pattern.states < pattern.size:
        shift = 1e12 * (1 + np.abs(entries).max())
        pattern.factor_single(shift, entries)
        w[:, : pattern.states] = shift * adjoint
        w = pattern.single.solve(w)
    w[:, : pattern.states] = adjoint
    return w
