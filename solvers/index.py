"""The index of an implicit system: whether states and their derivatives follow from the equations as they stand.

An implicit system is carried as ``x' = v, 0 = g(t, x, v, z)``. Its equations determine v outright, or they hide constraints on
the states (``W'g`` with ``W' dg/dv = 0``) and v follows together with them: both are of index one. What has to be
differentiated more than once is of higher index.

Sources: Griepentrog & Maerz 1986 (index one as a rank condition on ``dF/dy'`` and ``dF/dy``); Pryce 2001, BIT 41:364
(structural index from a signature matrix).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import casadi as ca
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

from solvers.errors import StructureError
from solvers.misfit import listed
from solvers.structure import LARGEST_DENSE, RANK_TOLERANCE, equilibrated, numerical_rank, random_values


@dataclass(frozen=True, eq=False, slots=True)
class LocalIndex:
    """The linear algebra of an implicit system at a point, on the columns (v, z) of its algebraic equations.

    ``hidden`` (equations, k) spans the combinations of equations that do not hold v: the constraints on states. ``matrix`` is
    ``[[g_v, 0], [hidden' g_x x'_v, hidden' g_z]]``: how a motion of the states along v, and z, meet the equations. It has
    full column rank exactly if the index is one.
    """

    hidden: np.ndarray
    matrix: np.ndarray

    @property
    def is_one(self) -> bool:
        """Whether the system is of index one here."""
        return numerical_rank(self.matrix) == self.matrix.shape[1]

    def undetermined(self) -> np.ndarray:
        """Return the positions of the columns (v, z) that the equations leave open here."""
        scaled, _, _ = equilibrated(self.matrix)
        _, singular, right = np.linalg.svd(scaled)
        rank = int((singular > RANK_TOLERANCE * max(singular[0], 1e-300)).sum())
        return np.flatnonzero(np.abs(right[rank:]).max(axis=0, initial=0.0) > 0.1)


def local_index(derivatives: np.ndarray, others: np.ndarray, along: np.ndarray) -> LocalIndex:
    """Return the linear algebra of an implicit system at a point.

    Parameters
    ----------
    derivatives : (n, k) derivatives of the equations by v.
    others : (n, n - k) derivatives of the equations by z.
    along : (n, k) derivatives of the equations by the states times those of the states' slopes by v.
    """
    scaled, rows, _ = equilibrated(derivatives)
    left, singular, _ = np.linalg.svd(scaled)
    rank = int((singular > RANK_TOLERANCE * max(singular.max(initial=0.0), 1e-300)).sum())
    hidden = left[:, rank:] / rows[:, None]
    matrix = np.block([[derivatives, np.zeros_like(others)], [hidden.T @ along, hidden.T @ others]])
    return LocalIndex(hidden, matrix)


def index_columns(algebraic: ca.SX, ode: ca.SX, x: ca.SX, z: ca.SX, implicit: Sequence[int]) -> list[ca.SX]:
    """Return ``dg/dv``, ``dg/dz`` and ``dg/dx dx'/dv`` for ``x' = ode, 0 = algebraic``, v being the derivatives among z."""
    others = without(z.shape[0], implicit)
    by_z = ca.jacobian(algebraic, z)
    along = ca.mtimes(ca.jacobian(algebraic, x), ca.jacobian(ode, z)[:, list(implicit)])
    return [ca.densify(by_z[:, list(implicit)]), ca.densify(by_z[:, others]), ca.densify(along)]


def without(count: int, taken: Sequence[int]) -> list[int]:
    """Return the numbers below ``count`` that are not taken.

    >>> without(4, [1, 3])
    [0, 2]
    """
    gone = set(taken)
    return [place for place in range(count) if place not in gone]


def is_singular(columns: Sequence[ca.SX]) -> bool | LocalIndex:
    """Whether the derivatives of an implicit system do not follow from its equations at a given point, judged at random points.

    Parameters
    ----------
    columns : what :func:`index_columns` gives.

    Returns
    -------
    False or True; what was found instead where the index is above one.
    """
    size = columns[0].shape[0]
    if not columns[0].shape[1] or size > LARGEST_DENSE:
        return False
    splits = np.cumsum([column.numel() for column in columns])[:-1]
    found: LocalIndex | None = None
    for values in random_values(ca.vertcat(*(ca.vec(column) for column in columns))):
        parts = zip(np.split(values, splits), columns, strict=True)
        by_v, by_z, along = (part.reshape(column.shape, order="F") for part, column in parts)
        if numerical_rank(np.hstack([by_v, by_z])) == size:
            return False
        found = local_index(by_v, by_z, along)
        if found.is_one:
            return True
    return False if found is None else found


def open_rows(expression: ca.SX, derivatives: ca.SX, by_v: ca.SX) -> np.ndarray:
    """Whether each row of an expression depends on motions of the derivatives that equations leave open, judged at random points.

    Parameters
    ----------
    expression : (m, 1) column.
    derivatives : (k, 1) symbols v.
    by_v : (n, k) derivatives of the equations by them.
    """
    jacobian = ca.jacobian(expression, derivatives)
    found = np.zeros(expression.shape[0], dtype=bool)
    if jacobian.nnz() == 0:
        return found
    rows, columns = (np.array(part) for part in jacobian.sparsity().get_triplet())
    together = ca.vertcat(ca.vec(ca.densify(by_v)), *jacobian.nonzeros())
    for values in random_values(together):
        null = _null_space(values[: by_v.numel()].reshape(by_v.shape, order="F"))
        entries = csr_matrix((values[by_v.numel() :], (rows, columns)), shape=jacobian.shape)
        along, size = np.abs(entries @ null), abs(entries) @ np.abs(null)
        found |= (along > 1e-10 * size).any(axis=1)
    return found


def _null_space(matrix: np.ndarray) -> np.ndarray:
    """Return a basis of the null space, shape (columns, dimension)."""
    scaled, _, columns = equilibrated(matrix)
    _, singular, right = np.linalg.svd(scaled)
    rank = int((singular > RANK_TOLERANCE * max(singular.max(initial=0.0), 1e-300)).sum())
    return right[rank:].T / columns[:, None]


def high_index(found: LocalIndex, equations: Sequence[str], variables: Sequence[str], where: str = "") -> StructureError:
    """Return the refusal of an index above one, with the constraints that hide it and the variables that they leave open.

    Parameters
    ----------
    equations : names of all algebraic equations.
    variables : names of the derivatives and of the other algebraic variables, in this order.
    where : a phrase that says at which point, such as ``" at t = 0"``.
    """
    size = np.abs(found.hidden)
    binding = [equations[int(row)] for row in np.flatnonzero(size.max(axis=1, initial=0.0) > 1e-8 * size.max(initial=1e-300))]
    late = [variables[int(place)] for place in found.undetermined()]
    return differentiated(binding, late, where)


def differentiated(equations: Sequence[str], variables: Sequence[str], where: str = "") -> StructureError:
    """Return the refusal of variables that follow only from derivatives in time of constraints on states."""
    return StructureError(
        f"the system is of {INDEX_ABOVE_ONE}{where}: {listed(equations)} bind(s) states (index above one), and {listed(variables)} "
        "follow(s) only once that has been differentiated in time",
        names=[*equations, *variables],
        hint="replace the constraint by its derivative in time (and start on the constraint), or take one of the states that it "
        "binds for an algebraic variable: drop its derivative",
    )


INDEX_ABOVE_ONE = "index 2 or higher"


@dataclass(frozen=True, slots=True)
class StructuralIndex:
    """What the signature matrix says: the index, how often each equation is to be differentiated, each variable's order."""

    index: int
    differentiations: np.ndarray
    orders: np.ndarray


def structural_index(signature: np.ndarray) -> StructuralIndex | None:
    """Return the structural index of a square system, or None if it is structurally singular.

    Parameters
    ----------
    signature : (n, n) highest order of derivative with which each variable stands in each equation; -inf where it does not.
    """
    size = len(signature)
    forbidden = -1e6 * (size + 1)
    costs = np.where(np.isfinite(signature), signature, forbidden)
    rows, columns = linear_sum_assignment(costs, maximize=True)
    if (costs[rows, columns] == forbidden).any():
        return None
    partner = np.empty(size, dtype=int)
    partner[rows] = columns
    offsets = np.zeros(size)
    while True:  # the smallest offsets by fixed-point iteration (Pryce 2001, algorithm 3.1)
        orders = (np.where(np.isfinite(signature), signature, -np.inf) + offsets[:, None]).max(axis=0)
        updated = orders[partner] - signature[np.arange(size), partner]
        if (updated == offsets).all():
            break
        offsets = updated
    index = int(offsets.max(initial=0.0)) + int((orders == 0).any())
    return StructuralIndex(index, offsets.astype(int), orders.astype(int))
