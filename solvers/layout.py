"""How a system's Jacobian becomes an iteration matrix: which entries go where, and in what order columns are eliminated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from solvers.system import DaeSystem


@dataclass(frozen=True, eq=False, slots=True)
class Layout:
    """Pattern of the iteration matrix, and how the solver's unknowns stand in ``y = (x, z)``.

    CVODE's unknowns are the states; its iteration matrix holds the algebraic equations too. IDA's are all but the derivatives among
    z, which it forms from its states.
    """

    column_start: np.ndarray
    row: np.ndarray
    entry_place: np.ndarray
    """Place in the pattern of each Jacobian entry; -1 for one of ``x' = v`` where IDA is used."""
    diagonal_place: np.ndarray
    """Place in the pattern of each state's diagonal; -1 where IDA is used and ``x' = v``."""
    order: np.ndarray
    """Order of elimination."""
    unknowns: np.ndarray
    """Position in y of each unknown."""
    implicit: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
    """For IDA: state of each entry of y that is a derivative, place of each other, solver row of each slope, entries by derivatives."""
    algebra: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
    """For CVODE: column starts, rows, Jacobian entries and order of elimination of the algebraic equations by their variables."""


def explicit_layout(jacobian: ca.Sparsity, states: int) -> Layout:
    """Return the layout for a Jacobian (x', residual) by (x, z) where CVODE integrates x."""
    size = jacobian.size1()
    rows, columns = jacobian.get_triplet()
    pattern, entries = _pattern(rows, columns, size, range(states))
    return Layout(
        column_start=pattern.starts,
        row=pattern.rows,
        entry_place=entries,
        diagonal_place=np.array([pattern.place[state, state] for state in range(states)], dtype=np.intc),
        order=elimination_order(len(pattern.starts) - 1, pattern.starts, pattern.rows),
        unknowns=np.arange(states),
        implicit=None,
        algebra=_algebra_layout(jacobian, states) if size > states else None,
    )


def _algebra_layout(jacobian: ca.Sparsity, states: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = (np.array(part, dtype=int) for part in jacobian.get_triplet())
    entries = np.flatnonzero((rows >= states) & (columns >= states))
    size = jacobian.size1() - states
    starts = np.searchsorted(columns[entries], np.arange(states, states + size + 1)).astype(np.intc)
    inner_rows = (rows[entries] - states).astype(np.intc)
    return starts, inner_rows, entries.astype(np.intc), elimination_order(size, starts, inner_rows)


def implicit_layout(jacobian: ca.Sparsity, states: int, system: DaeSystem) -> Layout:
    """Return the layout for a Jacobian (x', residual) by (x, z) where IDA integrates all but the derivatives among z."""
    full = jacobian.size1()
    rate_of = np.full(full, -1, dtype=np.intc)
    rate_of[[states + place for place in system.implicit]] = system.implicit_states
    unknowns = np.flatnonzero(rate_of < 0)
    place_of = np.full(full, -1, dtype=np.intc)
    place_of[unknowns] = np.arange(len(unknowns))
    row_of = np.arange(full, dtype=np.intc)
    row_of[list(system.implicit_states)] = -1
    # residuals take the rows that states with x' = v and algebraic variables leave
    row_of[states:] = [*system.implicit_states, *range(states, len(unknowns))]
    rows, columns = (np.array(part, dtype=int) for part in jacobian.get_triplet())
    is_rate = rate_of[columns] >= 0
    target_columns = np.where(is_rate, rate_of[columns], place_of[columns])
    explicit = [state for state in range(states) if row_of[state] == state]
    pattern, entries = _pattern(row_of[rows].tolist(), target_columns.tolist(), len(unknowns), explicit)
    diagonal = np.full(states, -1, dtype=np.intc)
    diagonal[explicit] = [pattern.place[state, state] for state in explicit]
    return Layout(
        column_start=pattern.starts,
        row=pattern.rows,
        entry_place=entries,
        diagonal_place=diagonal,
        order=elimination_order(len(pattern.starts) - 1, pattern.starts, pattern.rows),
        unknowns=unknowns,
        implicit=(rate_of, place_of, row_of, is_rate.astype(np.intc)),
        algebra=None,
    )


class _Pattern(NamedTuple):
    """Compressed columns, and the place of each (row, column) in them."""

    starts: np.ndarray
    rows: np.ndarray
    place: dict[tuple[int, int], int]


def _pattern(rows: Sequence[int], columns: Sequence[int], size: int, diagonal: Iterable[int]) -> tuple[_Pattern, np.ndarray]:
    """Return the pattern of a matrix of entries (rows below 0 are none) and a diagonal, and the place of each entry."""
    entries = list(zip(rows, columns, strict=True))
    wanted = [entry for entry in entries if entry[0] >= 0] + [(place, place) for place in diagonal]
    sparsity = ca.Sparsity.triplet(size, size, [row for row, _ in wanted], [column for _, column in wanted])
    place = {entry: k for k, entry in enumerate(zip(*sparsity.get_triplet(), strict=True))}
    pattern = _Pattern(np.array(sparsity.colind(), dtype=np.intc), np.array(sparsity.row(), dtype=np.intc), place)
    return pattern, np.array([place.get(entry, -1) for entry in entries], dtype=np.intc)


def elimination_order(size: int, starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the order of columns with the lesser fill of COLAMD and minimum degree on A'+A."""
    columns = np.repeat(np.arange(size), np.diff(starts))
    values = np.where(rows == columns, 4.0 * size, 1.0 + 0.1 * np.cos(np.arange(len(rows))))
    matrix = csc_matrix((values, rows, starts), shape=(size, size))
    trials = [splu(matrix, permc_spec=spec, diag_pivot_thresh=0.1) for spec in ("MMD_AT_PLUS_A", "COLAMD")]
    best = min(trials, key=lambda factors: factors.nnz)
    return np.argsort(best.perm_c).astype(np.intc)
