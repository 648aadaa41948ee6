"""Pyomo expressions written on one tape of scalar operations, and the tape played into CasADi.

Every node is an operation on earlier nodes and stands on the tape once (hash-consing): two expressions are structurally
equal exactly if they are the same node. The tape is played level by level with vector operations, because one call of
CasADi from Python costs as much as a hundred scalar operations inside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import casadi as ca
import numpy as np
from pyomo.common.numeric_types import native_numeric_types
from pyomo.core.expr import numeric_expr as ne
from pyomo.core.expr import relational_expr as re

from solvers.errors import UnsupportedModelError

_UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": lambda a: -a,
    "abs": ca.fabs,
    "exp": ca.exp,
    "log": ca.log,
    "log10": lambda a: ca.log(a) / np.log(10.0),
    "sqrt": ca.sqrt,
    "sin": ca.sin,
    "cos": ca.cos,
    "tan": ca.tan,
    "asin": ca.asin,
    "acos": ca.acos,
    "atan": ca.atan,
    "sinh": ca.sinh,
    "cosh": ca.cosh,
    "tanh": ca.tanh,
    "asinh": ca.asinh,
    "acosh": ca.acosh,
    "atanh": ca.atanh,
    "ceil": ca.ceil,
    "floor": ca.floor,
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "max": ca.fmax,
    "min": ca.fmin,
    "le": lambda a, b: a <= b,
    "lt": lambda a, b: a < b,
    "eq": lambda a, b: a == b,
    "then": lambda a, b: ca.if_else(a, b, 0),
    "otherwise": lambda a, b: ca.if_else(a, 0, b),
}
_OPERATIONS: tuple[str, ...] = ("leaf", *_UNARY, *_BINARY)
_CODE = {name: code for code, name in enumerate(_OPERATIONS)}
_ADD = _CODE["add"]


class Tape:
    """Scalar operations on symbols and numbers; grows while a model is read.

    ``leaf`` resolves what only the model's reader knows (variables, parameters, named expressions, time): it takes the
    Pyomo object and gives its node, and raises :class:`UnsupportedModelError` where it may not stand.
    """

    def __init__(self, leaf: Callable[[Any], int]) -> None:
        self._leaf = leaf
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._operation: list[int] = []
        self._first: list[int] = []
        self._second: list[int] = []
        self._level: list[int] = []
        self._numbers: dict[float, int] = {}
        self._number_at: dict[int, float] = {}
        self.symbols: list[int] = []

    def symbol(self) -> int:
        """Add a symbol and return its node; symbols are numbered in the order of their making."""
        node = self._append(0, -1, -1, 0)
        self.symbols.append(node)
        return node

    def number(self, value: float) -> int:
        """Return the node of a constant."""
        value = float(value)
        node = self._numbers.get(value)
        if node is None:
            node = self._append(0, -1, -1, 0)
            if value == value:
                self._numbers[value] = node
            self._number_at[node] = value
        return node

    def _append(self, operation: int, first: int, second: int, level: int) -> int:
        self._operation.append(operation)
        self._first.append(first)
        self._second.append(second)
        self._level.append(level)
        return len(self._operation) - 1

    @staticmethod
    def code(name: str) -> int:
        """Return the code of an operation."""
        return _CODE[name]

    def apply(self, operation: int, first: int, second: int = -1) -> int:
        """Return the node of an operation, made if it is new."""
        key = (operation, first, second)
        node = self._nodes.get(key)
        if node is None:
            level = self._level
            deepest = level[first] if second < 0 or level[first] > level[second] else level[second]
            node = self._append(operation, first, second, deepest + 1)
            self._nodes[key] = node
        return node

    def write(self, expression: Any) -> int:
        """Write a Pyomo expression or number on the tape and return its node."""
        kind = expression.__class__
        writer = _WRITERS.get(kind)
        if writer is not None:
            return writer(self, expression)
        if kind in native_numeric_types:
            return self.number(expression)
        return self._leaf(expression)

    def play(self, symbols: ca.SX) -> tuple[ca.SX, np.ndarray]:
        """Give all nodes as CasADi expressions of the given symbols.

        Returns
        -------
        pool : (number of nodes, 1) column of expressions.
        position : position in the pool of each node.
        """
        count = len(self._operation)
        operation, first, second, level = (
            np.array(column, dtype=np.int64) for column in (self._operation, self._first, self._second, self._level)
        )
        position = np.full(count, -1, dtype=np.int64)
        numbers = np.fromiter(self._number_at, dtype=np.int64, count=len(self._number_at))
        position[np.array(self.symbols, dtype=np.int64)] = np.arange(len(self.symbols))
        position[numbers] = len(self.symbols) + np.arange(len(numbers))
        pool = _Pool(ca.vertcat(symbols, ca.SX(ca.DM(list(self._number_at.values())))), count, int(level.max(initial=0)))
        order = np.lexsort((operation, level))
        order = order[level[order] > 0]
        groups = np.flatnonzero(np.diff(level[order] * len(_OPERATIONS) + operation[order])) + 1
        for nodes in np.split(order, groups) if len(order) else ():
            name = _OPERATIONS[operation[nodes[0]]]
            left = pool.take(position[first[nodes]])
            result = _UNARY[name](left) if name in _UNARY else _BINARY[name](left, pool.take(position[second[nodes]]))
            position[nodes] = pool.size + np.arange(len(nodes))
            pool.add(ca.densify(result))
        return pool.whole(), position


class _Pool:
    """A growing column of expressions; new ones gather apart, so that a deep tape does not copy the whole at each level."""

    def __init__(self, start: ca.SX, count: int, levels: int) -> None:
        self._old = start
        self._recent: list[ca.SX] = []
        self._recent_size = 0
        self._most_recent = max(256, round(count / max(1, levels) ** 0.5))
        self.size = start.shape[0]

    def add(self, column: ca.SX) -> None:
        """Append expressions."""
        self._recent.append(column)
        self._recent_size += column.shape[0]
        self.size += column.shape[0]
        if self._recent_size > self._most_recent:
            self._old = self.whole()
            self._recent, self._recent_size = [], 0

    def whole(self) -> ca.SX:
        """Return all expressions."""
        return ca.vertcat(self._old, *self._recent)

    def take(self, positions: np.ndarray) -> ca.SX:
        """Return the expressions at positions, in their order."""
        old_size = self._old.shape[0]
        is_old = positions < old_size
        if is_old.all():
            return _rows(self._old, positions)
        if len(self._recent) > 1:
            self._recent = [ca.vertcat(*self._recent)]
        recent = self._recent[0]
        if not is_old.any():
            return _rows(recent, positions - old_size)
        both = ca.vertcat(_rows(self._old, positions[is_old]), _rows(recent, positions[~is_old] - old_size))
        place = np.empty(len(positions), dtype=np.int64)
        place[is_old] = np.arange(is_old.sum())
        place[~is_old] = is_old.sum() + np.arange((~is_old).sum())
        return _rows(both, place)


def _rows(column: ca.SX, positions: np.ndarray) -> ca.SX:
    """Return rows of a column; a choice from a single row would otherwise be a row."""
    return ca.vec(column[positions.tolist()])


def _write_sum(tape: Tape, expression: Any) -> int:
    total = -1
    for term in expression.args:
        node = tape.write(term)
        total = node if total < 0 else tape.apply(_ADD, total, node)
    return total if total >= 0 else tape.number(0.0)


def _binary(name: str) -> Callable[[Tape, Any], int]:
    code = _CODE[name]

    def write(tape: Tape, expression: Any) -> int:
        first, second = expression.args
        return tape.apply(code, tape.write(first), tape.write(second))

    return write


def _unary(name: str) -> Callable[[Tape, Any], int]:
    code = _CODE[name]
    return lambda tape, expression: tape.apply(code, tape.write(expression.args[0]))


def _write_unary(tape: Tape, expression: Any) -> int:
    name = expression.getname()
    if name not in _UNARY:
        raise UnsupportedModelError(f"the function {name} in an equation is not known", names=[name])
    return tape.apply(_CODE[name], tape.write(expression.args[0]))


def _extremum(name: str) -> Callable[[Tape, Any], int]:
    def write(tape: Tape, expression: Any) -> int:
        nodes = [tape.write(argument) for argument in expression.args]
        result = nodes[0]
        for node in nodes[1:]:
            result = tape.apply(_CODE[name], result, node)
        return result

    return write


def _write_inequality(tape: Tape, expression: Any) -> int:
    first, second = expression.args
    return tape.apply(_CODE["lt" if expression.strict else "le"], tape.write(first), tape.write(second))


def _write_if(tape: Tape, expression: Any) -> int:
    condition, then, otherwise = (tape.write(argument) for argument in expression.args)
    return tape.apply(_ADD, tape.apply(_CODE["then"], condition, then), tape.apply(_CODE["otherwise"], condition, otherwise))


_WRITERS: dict[type, Callable[[Tape, Any], int]] = {
    ne.SumExpression: _write_sum,
    ne.NPV_SumExpression: _write_sum,
    ne.LinearExpression: _write_sum,
    ne.ProductExpression: _binary("mul"),
    ne.NPV_ProductExpression: _binary("mul"),
    ne.MonomialTermExpression: _binary("mul"),
    ne.DivisionExpression: _binary("div"),
    ne.NPV_DivisionExpression: _binary("div"),
    ne.PowExpression: _binary("pow"),
    ne.NPV_PowExpression: _binary("pow"),
    ne.NegationExpression: _unary("neg"),
    ne.NPV_NegationExpression: _unary("neg"),
    ne.AbsExpression: _unary("abs"),
    ne.NPV_AbsExpression: _unary("abs"),
    ne.UnaryFunctionExpression: _write_unary,
    ne.NPV_UnaryFunctionExpression: _write_unary,
    ne.MaxExpression: _extremum("max"),
    ne.NPV_MaxExpression: _extremum("max"),
    ne.MinExpression: _extremum("min"),
    ne.NPV_MinExpression: _extremum("min"),
    ne.Expr_ifExpression: _write_if,
    ne.NPV_Expr_ifExpression: _write_if,
    re.InequalityExpression: _write_inequality,
    re.EqualityExpression: _binary("eq"),
}


@contextmanager
def deep_expressions(limit: int = 50_000) -> Iterator[None]:
    """Allow expressions nested deeper than Python's default recursion limit while a model is read."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, limit))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
