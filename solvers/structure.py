"""The structure of a square system: Dulmage-Mendelsohn parts, block-triangular order, what can be assigned outright.

Sources: Dulmage & Mendelsohn 1958, Can. J. Math. 10:517; Duff & Reid 1978, ACM TOMS 4:137 (block-triangular form, here
CasADi's ``Sparsity.btf``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

LARGEST_DENSE = 1500
"""Largest matrix whose rank is found by singular values."""
RANK_TOLERANCE = 1e-11
"""Singular values below this share of the largest count as zero, rows and columns being scaled before."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which equations and variables do not fit together (positions)."""

    surplus_equations: tuple[int, ...]
    """Equations of the over-determined part: more equations than variables."""
    surplus_variables: tuple[int, ...]
    """Variables of the over-determined part."""
    short_equations: tuple[int, ...]
    """Equations of the under-determined part: fewer equations than variables."""
    short_variables: tuple[int, ...]
    """Variables of the under-determined part, among which some have to be specified."""
    rank: int
    """Structural rank."""


def dulmage_mendelsohn(incidence: ca.Sparsity) -> Parts:
    """Split an incidence (equations x variables) into its over-, well- and under-determined parts."""
    _, row_order, column_order, _, _, coarse_row, coarse_column = incidence.btf()
    # CasADi decomposes the transpose: the coarse blocks of Davis 2006 (section 7.4) with rows and columns exchanged
    return Parts(
        surplus_equations=tuple(row_order[: coarse_row[2]]),
        surplus_variables=tuple(column_order[: coarse_column[1]]),
        short_equations=tuple(row_order[coarse_row[3] :]),
        short_variables=tuple(column_order[coarse_column[2] :]),
        rank=incidence.size1() - coarse_row[1],
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How to compute the unknowns of a square system in order.

    ``steps`` are ``(unknown, equation, expression)`` positions and explicit expressions in terms of unknowns earlier in
    the list and of ``torn`` unknowns; the residuals of ``torn_equations`` remain to be solved for ``torn``.
    """

    steps: tuple[tuple[int, int, ca.SX], ...]
    torn: tuple[int, ...]
    torn_equations: tuple[int, ...]
    loops: tuple[tuple[int, ...], ...]
    """Unknowns of each algebraic loop (a block of more than one equation, or one that is not linear in its unknown)."""


def plan_elimination(
    left: ca.SX, right: ca.SX, unknowns: ca.SX, derivatives: frozenset[int] = frozenset(), hidden: ca.Sparsity | None = None
) -> Plan:
    """Order a square system and assign every unknown that an equation gives outright.

    Where the equations do not determine derivatives (structurally, or because their matrix is singular), these derivatives
    and their equations stay as they are: the system is implicit there.

    Parameters
    ----------
    left, right : (n, 1) sides of the equations.
    unknowns : (n, 1) symbols.
    derivatives : positions of the unknowns that are derivatives of states.
    hidden : (n, n) which equations depend on which unknowns in a way that their expressions do not show.
    """
    residual = left - right
    jacobian = ca.jacobian(residual, unknowns)
    incidence = jacobian.sparsity() if hidden is None else jacobian.sparsity() + hidden
    opaque = frozenset() if hidden is None else frozenset(hidden.row())
    affine = _AffineParts(left, right, residual, unknowns, jacobian, hidden)
    parts = dulmage_mendelsohn(incidence)
    implicit_equations = sorted({*parts.surplus_equations, *parts.short_equations})
    implicit_variables = sorted({*parts.surplus_variables, *parts.short_variables})
    steps, torn, torn_equations = _tear(affine, implicit_equations, implicit_variables, derivatives, opaque)
    loops = [tuple(implicit_variables)] if implicit_variables else []
    for equations, variables in _blocks(incidence, implicit_equations, implicit_variables):
        if len(equations) == 1:
            expression = affine.solved(equations[0], variables[0])
            if expression is not None:
                steps.append((variables[0], equations[0], expression))
                continue
        loops.append(tuple(variables))
        kept = derivatives if derivatives.intersection(variables) and affine.is_singular(equations, variables) else frozenset()
        assigned, left_variables, left_equations = _tear(affine, equations, variables, kept, opaque)
        torn += left_variables
        torn_equations += left_equations
        steps += assigned
    if implicit_variables:
        steps = _in_order(steps, incidence)
    return Plan(tuple(steps), tuple(torn), tuple(torn_equations), tuple(loops))


def _blocks(incidence: ca.Sparsity, without_rows: list[int], without_columns: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Give the diagonal blocks (rows, columns) of what is left of an incidence, each standing on those before it only."""
    rows = sorted(set(range(incidence.size1())) - set(without_rows))
    columns = sorted(set(range(incidence.size2())) - set(without_columns))
    square = incidence.sub(rows, columns)[0] if without_rows else incidence
    _, row_order, column_order, row_block, column_block, *_ = square.btf()
    # the block form is lower triangular: the first block stands on nothing but known quantities
    for block in range(len(row_block) - 1):
        equations = row_order[row_block[block] : row_block[block + 1]]
        variables = column_order[column_block[block] : column_block[block + 1]]
        yield [rows[place] for place in equations], [columns[place] for place in variables]


def _in_order(steps: list[tuple[int, int, ca.SX]], incidence: ca.Sparsity) -> list[tuple[int, int, ca.SX]]:
    """Sort assignments so that each stands on those before it only."""
    place = {variable: number for number, (variable, _, _) in enumerate(steps)}
    needed: list[set[int]] = [set() for _ in steps]
    by_equation = {equation: number for number, (_, equation, _) in enumerate(steps)}
    for row, column in zip(*incidence.get_triplet(), strict=True):
        if row in by_equation and column in place and place[column] != by_equation[row]:
            needed[by_equation[row]].add(place[column])
    return [steps[number] for number in TopologicalSorter(dict(enumerate(needed))).static_order()]


class _AffineParts:
    """Solves single equations for an unknown in which they are affine."""

    def __init__(self, left: ca.SX, right: ca.SX, residual: ca.SX, unknowns: ca.SX, jacobian: ca.SX, hidden: ca.Sparsity | None) -> None:
        self._hidden = frozenset() if hidden is None else frozenset(zip(*hidden.get_triplet(), strict=True))
        self._left = left.elements()
        self._right = right.elements()
        self._residual = residual.elements()
        self._unknowns = unknowns.elements()
        self._names = {element.element_hash(): number for number, element in enumerate(self._unknowns)}
        self._bare_left = [self._names.get(side.element_hash(), -1) if side.is_symbolic() else -1 for side in self._left]
        self._bare_right = [self._names.get(side.element_hash(), -1) if side.is_symbolic() else -1 for side in self._right]
        pattern = jacobian.sparsity()
        rows, columns = pattern.get_triplet()
        self._entries = dict(zip(zip(rows, columns, strict=True), jacobian.nonzeros(), strict=True))
        self._by_row: dict[int, list[int]] = {}
        for row, column in zip(rows, columns, strict=True):
            self._by_row.setdefault(row, []).append(column)

    def variables(self, equation: int) -> list[int]:
        """Return the unknowns that stand in an equation."""
        return self._by_row.get(equation, [])

    def is_singular(self, equations: list[int], variables: list[int]) -> bool:
        """Whether the equations of a block do not determine its variables, judged at points taken at random."""
        if len(equations) > LARGEST_DENSE:
            return False
        column_of = {variable: place for place, variable in enumerate(variables)}
        places = [(row, column_of[v], self._entries[e, v]) for row, e in enumerate(equations) for v in self._by_row[e] if v in column_of]
        entries = ca.vertcat(*(entry for _, _, entry in places))
        for values in random_values(entries):
            matrix = np.zeros((len(equations), len(variables)))
            matrix[[row for row, _, _ in places], [column for _, column, _ in places]] = values
            if numerical_rank(matrix) == len(equations):
                return False
        return True

    def constant_size(self, equation: int, variable: int) -> float:
        """Return the size of a constant coefficient; zero where it is not constant or not finite."""
        slope = self._entries.get((equation, variable))
        size = abs(float(slope)) if slope is not None and slope.is_constant() else 0.0
        return size if np.isfinite(size) else 0.0

    def coefficient(self, equation: int, variable: int) -> ca.SX | None:
        """Return the derivative of an equation's residual by an unknown, or None if its expression does not hold it."""
        return self._entries.get((equation, variable))

    def solved(self, equation: int, variable: int) -> ca.SX | None:
        """Return the expression that an equation gives for an unknown, or None if it is not affine in it."""
        if (equation, variable) in self._hidden:
            return None
        if self._bare_left[equation] == variable and not ca.depends_on(self._right[equation], self._unknowns[variable]):
            return self._right[equation]
        if self._bare_right[equation] == variable and not ca.depends_on(self._left[equation], self._unknowns[variable]):
            return self._left[equation]
        slope = self.coefficient(equation, variable)
        if slope is None:
            return None
        symbol = self._unknowns[variable]
        if not slope.is_constant() and ca.depends_on(slope, symbol):
            return None
        offset = ca.substitute(self._residual[equation], symbol, 0)
        return -offset / slope


def _tear(
    affine: _AffineParts,
    equations: list[int],
    variables: list[int],
    kept: frozenset[int] = frozenset(),
    opaque: frozenset[int] = frozenset(),
) -> tuple[list[tuple[int, int, ca.SX]], list[int], list[int]]:
    """Assign within an algebraic loop where a constant coefficient that outweighs the others allows it without a circle.

    Unknowns in ``kept`` are not assigned, nor anything by equations in ``opaque``. Returns the assignments in order, the unknowns
    that stay and the equations that stay.
    """
    inside = set(variables)
    definition: dict[int, int] = {}
    needs: dict[int, set[int]] = {}

    def reaches(start: int, goal: int) -> bool:
        stack, seen = [start], {start}
        while stack:
            for other in needs.get(stack.pop(), ()):
                if other == goal:
                    return True
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        return False

    if len(equations) > 1:
        for equation in sorted((e for e in equations if e not in opaque), key=lambda e: len(affine.variables(e))):
            members = [variable for variable in affine.variables(equation) if variable in inside]
            sizes = {variable: affine.constant_size(equation, variable) for variable in members}
            total = sum(sizes.values())
            for variable in members:
                # a coefficient that does not outweigh the others would let errors grow from one assignment to the next
                if variable in definition or variable in kept or not sizes[variable] or sizes[variable] < 0.499999 * total:
                    continue
                others = {other for other in members if other != variable}
                if len(definition) + 1 >= len(variables) or any(other in definition and reaches(other, variable) for other in others):
                    continue
                definition[variable] = equation
                needs[variable] = others
                break
    ordered: list[int] = []
    done: set[int] = set()

    def visit(variable: int) -> None:
        stack = [(variable, iter(needs[variable]))]
        done.add(variable)
        while stack:
            current, rest = stack[-1]
            for other in rest:
                if other in definition and other not in done:
                    done.add(other)
                    stack.append((other, iter(needs[other])))
                    break
            else:
                ordered.append(current)
                stack.pop()

    for variable in definition:
        if variable not in done:
            visit(variable)
    used = set(definition.values())
    assigned = []
    for variable in ordered:
        expression = affine.solved(definition[variable], variable)
        if expression is None:  # a constant coefficient is always affine
            raise AssertionError("an equation with a constant coefficient was not solved")
        assigned.append((variable, definition[variable], expression))
    return assigned, [v for v in variables if v not in definition], [e for e in equations if e not in used]


def equilibrated(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a dense matrix with rows and columns scaled to a largest entry of about one, and the two columns of scales.

    The scales are powers of two, so that scaling rounds nothing: ``matrix == scaled * rows[:, None] * columns[None, :]``.
    """
    size = np.abs(matrix)
    rows = _power_of_two(size.max(axis=1, initial=0.0))
    columns = _power_of_two((size / rows[:, None]).max(axis=0, initial=0.0))
    return matrix / rows[:, None] / columns[None, :], rows, columns


def _power_of_two(sizes: np.ndarray) -> np.ndarray:
    return np.where(sizes > 0, np.exp2(np.round(np.log2(np.where(sizes > 0, sizes, 1.0)))), 1.0)


def numerical_rank(matrix: np.ndarray) -> int:
    """Return the rank of a dense matrix, judged after scaling its rows and columns."""
    if not matrix.size:
        return 0
    singular = np.linalg.svd(equilibrated(matrix)[0], compute_uv=False)
    return int((singular > RANK_TOLERANCE * max(singular[0], 1e-300)).sum())


def is_deficient(matrix: csc_matrix) -> bool:
    """Whether a sparse square matrix is singular to rounding, rows and columns being scaled before.

    Judged by singular values up to a size, beyond by the pivots of its factors.
    """
    if not matrix.shape[0]:
        return False
    if matrix.shape[0] <= LARGEST_DENSE:
        return numerical_rank(matrix.toarray()) < matrix.shape[0]
    rows = np.maximum(abs(matrix).max(axis=1).toarray().ravel(), 1e-300)
    scaled = csc_matrix(matrix.multiply(1.0 / rows[:, None]))
    columns = np.maximum(abs(scaled).max(axis=0).toarray().ravel(), 1e-300)
    try:
        pivots = np.abs(splu(csc_matrix(scaled.multiply(1.0 / columns[None, :]))).U.diagonal())
    except RuntimeError:
        return True
    return bool(pivots.min() <= RANK_TOLERANCE * pivots.max())


def random_values(expressions: ca.SX | ca.MX, points: int = 3) -> Iterator[np.ndarray]:
    """Give values of a column of expressions at seeded random points of several magnitudes, where they are finite."""
    symbols = ca.vertcat(*ca.symvar(expressions))
    function = ca.Function("values", [symbols], [ca.densify(expressions)])
    generator = np.random.default_rng(0)
    found = 0
    for scale in (1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 30.0):
        values = np.asarray(function(scale * generator.uniform(0.2, 1.8, symbols.shape[0]))).ravel()
        if np.isfinite(values).all():
            found += 1
            yield values
        if found == points:
            return
