"""The structure of a square system: Dulmage-Mendelsohn parts, block-triangular order, what can be assigned outright.

Sources: Dulmage & Mendelsohn 1958, Can. J. Math. 10:517; Duff & Reid 1978, ACM TOMS 4:137 (block-triangular form, here
CasADi's ``Sparsity.btf``).
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np


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


def plan_elimination(left: ca.SX, right: ca.SX, unknowns: ca.SX) -> Plan:
    """Order a structurally regular system and assign every unknown that an equation gives outright.

    Parameters
    ----------
    left, right : (n, 1) sides of the equations.
    unknowns : (n, 1) symbols.
    """
    residual = left - right
    incidence = ca.jacobian_sparsity(residual, unknowns)
    _, row_order, column_order, row_block, column_block, *_ = incidence.btf()
    jacobian = ca.jacobian(residual, unknowns)
    steps: list[tuple[int, int, ca.SX]] = []
    torn: list[int] = []
    torn_equations: list[int] = []
    loops: list[tuple[int, ...]] = []
    affine = _AffineParts(left, right, residual, unknowns, jacobian)
    # the block form is lower triangular: the first block stands on nothing but known quantities
    for block in range(len(row_block) - 1):
        equations = row_order[row_block[block] : row_block[block + 1]]
        variables = column_order[column_block[block] : column_block[block + 1]]
        if len(equations) == 1:
            expression = affine.solved(equations[0], variables[0])
            if expression is not None:
                steps.append((variables[0], equations[0], expression))
                continue
        loops.append(tuple(variables))
        assigned, left_variables, left_equations = _tear(affine, list(equations), list(variables))
        torn += left_variables
        torn_equations += left_equations
        steps += assigned
    return Plan(tuple(steps), tuple(torn), tuple(torn_equations), tuple(loops))


class _AffineParts:
    """Solves single equations for an unknown in which they are affine."""

    def __init__(self, left: ca.SX, right: ca.SX, residual: ca.SX, unknowns: ca.SX, jacobian: ca.SX) -> None:
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
        return self._by_row[equation]

    def coefficient(self, equation: int, variable: int) -> ca.SX:
        """Return the derivative of an equation's residual by an unknown."""
        return self._entries[equation, variable]

    def solved(self, equation: int, variable: int) -> ca.SX | None:
        """Return the expression that an equation gives for an unknown, or None if it is not affine in it."""
        if self._bare_left[equation] == variable and not ca.depends_on(self._right[equation], self._unknowns[variable]):
            return self._right[equation]
        if self._bare_right[equation] == variable and not ca.depends_on(self._left[equation], self._unknowns[variable]):
            return self._left[equation]
        slope = self.coefficient(equation, variable)
        symbol = self._unknowns[variable]
        if not slope.is_constant() and ca.depends_on(slope, symbol):
            return None
        offset = ca.substitute(self._residual[equation], symbol, 0)
        return -offset / slope


def _tear(affine: _AffineParts, equations: list[int], variables: list[int]) -> tuple[list[tuple[int, int, ca.SX]], list[int], list[int]]:
    """Assign within an algebraic loop where a constant, non-zero coefficient allows it without a circle.

    Returns the assignments in order, the unknowns that stay and the equations that stay.
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
        for equation in sorted(equations, key=lambda e: len(affine.variables(e))):
            members = [variable for variable in affine.variables(equation) if variable in inside]
            for variable in members:
                slope = affine.coefficient(equation, variable)
                if variable in definition or not slope.is_constant() or not np.isfinite(float(slope)) or float(slope) == 0.0:
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
