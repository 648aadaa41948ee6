"""Implicit systems ``M y' = f(t, y)`` with a constant matrix M, brought to semi-explicit form.

Row operations bring M to ``[I K; 0 0]``. The combinations ``w = y_a + K y_b`` are what the equations differentiate: they become the
states, ``w' = ...``. The rows without derivatives are constraints, for which the y_b become algebraic variables. Where M is regular there
are no y_b, and the derivatives are simply solved for (Hairer & Wanner 1996, section VI.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import casadi as ca
import numpy as np

from solvers.structure import RANK_TOLERANCE, equilibrated

LARGEST_REGULAR = 20
"""A regular matrix larger than this is not inverted: its inverse is full, and the equations are sparse."""


@dataclass(frozen=True, eq=False, slots=True)
class MassReduction:
    """A semi-explicit form of ``kept = 0`` in terms of w and y_b; the symbol of a y_a now stands for its w."""

    pivots: tuple[int, ...]
    """Which of the derivatives belong to a y_a, in the order of the states w."""
    free: tuple[int, ...]
    """Which belong to a y_b."""
    coefficients: np.ndarray
    """K, shape (pivots, free)."""
    slopes: ca.SX
    """w', one for each pivot."""
    residual: ca.SX
    """The equations that remain."""
    combinations: np.ndarray
    """Which of the equations each of these is made of, shape (remaining, equations)."""
    symbols: ca.SX
    values: ca.SX
    """What is to be put in place of the y_a and of the derivatives, wherever they stand."""

    def apply(self, expressions: Sequence[ca.SX]) -> list[ca.SX]:
        """Return expressions in terms of w and y_b."""
        return [ca.substitute(expression, self.symbols, self.values) for expression in expressions]


def reduce_constant_mass(kept: ca.SX, derivatives: ca.SX, states: ca.SX) -> MassReduction | None:
    """Return the semi-explicit form of implicit equations whose derivatives stand with constant coefficients, or None.

    Parameters
    ----------
    kept : (n, 1) residuals, affine in the derivatives.
    derivatives, states : (k, 1) symbols of the derivatives in them and of their states.
    """
    jacobian = ca.jacobian(kept, derivatives)
    if not derivatives.shape[0] or not jacobian.is_constant():
        return None
    matrix = np.asarray(ca.DM(ca.densify(jacobian)))
    operations, pivots, free = _row_operations(matrix)
    if not free and len(pivots) > LARGEST_REGULAR:
        return None
    count = len(pivots)
    coefficients = (operations @ matrix)[:count][:, list(free)]
    coefficients[np.abs(coefficients) < RANK_TOLERANCE] = 0.0
    combined = np.flatnonzero((coefficients != 0).any(axis=1))
    y_b = states[list(free)] if free else ca.SX(0, 1)
    symbols = states[[pivots[place] for place in combined]] if len(combined) else ca.SX(0, 1)
    values = symbols - ca.mtimes(ca.SX(ca.sparsify(ca.DM(coefficients[combined]))), y_b) if len(combined) else ca.SX(0, 1)
    without = ca.substitute(kept, ca.vertcat(derivatives, symbols), ca.vertcat(ca.SX.zeros(derivatives.shape[0], 1), values))
    rows = ca.mtimes(ca.SX(ca.sparsify(ca.DM(operations))), without)
    slopes = ca.densify(-rows[:count]) if count else ca.SX(0, 1)
    of_derivatives = ca.SX.zeros(derivatives.shape[0], 1)
    for place, slope in zip(pivots, slopes.elements(), strict=True):
        of_derivatives[place] = slope
    return MassReduction(
        pivots=pivots,
        free=free,
        coefficients=coefficients,
        slopes=slopes,
        residual=ca.densify(rows[count:]) if count < rows.shape[0] else ca.SX(0, 1),
        combinations=operations[count:] != 0,
        symbols=ca.vertcat(symbols, derivatives),
        values=ca.vertcat(values, of_derivatives),
    )


def _row_operations(matrix: np.ndarray) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
    """Return E with ``E matrix = [I K; 0 0]`` (columns: pivots, then free), and the columns that are pivots and free.

    Gauss-Jordan elimination with full pivoting, on rows and columns scaled by powers of two.
    """
    scaled, row_scales, column_scales = equilibrated(matrix)
    rows, columns = scaled.shape
    work = np.hstack([scaled, np.eye(rows)])
    open_columns = list(range(columns))
    pivots: list[int] = []
    for rank in range(min(rows, columns)):
        candidates = np.abs(work[rank:, open_columns])
        place, column_place = divmod(int(np.argmax(candidates)), candidates.shape[1])
        if candidates[place, column_place] <= RANK_TOLERANCE:
            break
        column = open_columns.pop(column_place)
        work[[rank, rank + place]] = work[[rank + place, rank]]
        work[rank] /= work[rank, column]
        for row in np.flatnonzero(work[:, column]):
            if row != rank:
                work[row] -= work[row, column] * work[rank]
                work[row, column] = 0.0
        pivots.append(column)
    operations = work[:, columns:] / row_scales[None, :]
    operations[: len(pivots)] /= column_scales[pivots][:, None]
    return operations, tuple(pivots), tuple(open_columns)
