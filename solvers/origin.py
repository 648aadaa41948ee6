"""Where a value that is not finite comes from: the model's own equation, the operation in it, and the variables that it was given.

What is integrated has had most of its equations eliminated: the slope of a state may be not a number because of a root three units
upstream. So the model is read once more, its equations are evaluated as they were written, and the one is looked for in which an operation
makes something that is not finite out of what is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import casadi as ca
import numpy as np

from solvers.errors import FlowsheetError
from solvers.frame import Frame, classify, read_model
from solvers.misfit import listed
from solvers.system import DaeSystem

MOST_VARIABLES = 5
"""As many variables are named."""


@dataclass(frozen=True)
class Origin:
    """What makes something that is not finite out of what is."""

    equation: str
    """Name of the equation, or of the vector function."""
    values: Mapping[str, float]
    """Variables that were given."""
    text: str
    """In words, with values."""


def find_origin(system: DaeSystem, *point: float | np.ndarray) -> Origin | None:
    """Return where what is not finite at (t, x, z, u, p) comes from, or None if that cannot be told."""
    try:
        frame = classify(read_model(system.model))
    except FlowsheetError:  # the model is no longer what it was
        return None
    place = _Place(system, frame, *point)
    return place.in_equations() or place.in_kernels()


class _Place:
    """A frame's equations at one point."""

    def __init__(self, system: DaeSystem, frame: Frame, *point: float | np.ndarray) -> None:
        """Give each symbol its name and value; not a number where a variable is not known."""
        self._time = system.time
        self._frame = frame
        slots, params = frame.reading.slots, frame.reading.params
        named = [slot.name for slot in slots]
        known = set(system.names)
        expressible = [name for name in named if name in known]
        computed = ca.Function("values", list(system.arguments), [ca.densify(system.column(expressible))])
        value_of = dict(zip(expressible, np.asarray(computed(*point)).ravel(), strict=True))
        parameters = np.asarray(point[4])
        value_of |= zip((named[number] for number in frame.constants), parameters[: len(frame.constants)], strict=True)
        results = [node for kernel in frame.reading.kernels for node in kernel.results]
        self._symbols = frame.side([frame.reading.time_node, *(slot.node for slot in slots), *(node for _, node in params), *results])
        self._names = ["time", *named, *(str(data.name) for data, _ in params), *("" for _ in results)]
        values = [point[0], *(value_of.get(name, np.nan) for name in named), *parameters[len(frame.constants) :]]
        self._values = np.array([*values, *(np.nan for _ in results)], dtype=float)
        self._value_of = value_of

    def _evaluate(self, expression: ca.SX) -> np.ndarray:
        return np.asarray(ca.Function("values", [self._symbols], [ca.densify(expression)])(self._values)).ravel()

    def in_equations(self) -> Origin | None:
        """Return the first operation in an equation whose result is not finite although its operands are."""
        equations = self._frame.equations
        place_of = {symbol.element_hash(): place for place, symbol in enumerate(self._symbols.elements())}
        for side in (self._frame.left, self._frame.right):
            for row in np.flatnonzero(~np.isfinite(self._evaluate(side))) if equations else ():
                operation = self._culprit(side[int(row)])
                if operation is None:
                    continue
                places = [place_of[symbol.element_hash()] for symbol in ca.symvar(operation)]
                given = {self._names[place]: float(self._values[place]) for place in places}
                operands = self._evaluate(ca.vertcat(*_operands(operation)))
                name = self._time.name(equations[int(row)].source)
                text = f"{_in_words(operation.op(), operands)} in the equation {name}"
                told = listed([f"{variable} = {value:.6g}" for variable, value in given.items()], MOST_VARIABLES)
                return Origin(name, given, text + (f", with {told}" if told else ""))
        return None

    def _culprit(self, expression: ca.SX) -> ca.SX | None:
        waiting = [expression]
        while waiting:
            operation = waiting.pop()
            operands = _operands(operation)
            if not operands:
                continue  # a variable that is not finite itself, or is not known
            wrong = np.flatnonzero(~np.isfinite(self._evaluate(ca.vertcat(*operands))))
            if not len(wrong):
                return operation
            waiting += [operands[place] for place in wrong]
        return None

    def in_kernels(self) -> Origin | None:
        """Return the first vector function whose results are not finite although its arguments are."""
        for kernel in self._frame.reading.kernels:
            arguments = [node for nodes in kernel.inputs for node in nodes]
            outputs = [self._frame.equations[row].left for row in kernel.equations]
            if (
                np.isfinite(self._evaluate(self._frame.side(arguments))).all()
                and not np.isfinite(self._evaluate(self._frame.side(outputs))).all()
            ):
                return Origin(kernel.name, {}, f"the vector function {kernel.name}")
        return None


def _operands(operation: ca.SX) -> list[ca.SX]:
    return [operation.dep(place) for place in range(operation.n_dep())]


_WORDS = {
    ca.OP_LOG: "the logarithm of {0:.6g}",
    ca.OP_LOG1P: "the logarithm of 1 + {0:.6g}",
    ca.OP_SQRT: "the square root of {0:.6g}",
    ca.OP_DIV: "the quotient {0:.6g} / {1:.6g}",
    ca.OP_INV: "the quotient 1 / {0:.6g}",
    ca.OP_POW: "the power ({0:.6g})**{1:.6g}",
    ca.OP_CONSTPOW: "the power ({0:.6g})**{1:.6g}",
    ca.OP_EXP: "the exponential of {0:.6g}",
    ca.OP_MUL: "the product {0:.6g} * {1:.6g}",
    ca.OP_SQ: "the square of {0:.6g}",
    ca.OP_ADD: "the sum {0:.6g} + {1:.6g}",
    ca.OP_SUB: "the difference {0:.6g} - {1:.6g}",
    ca.OP_ASIN: "the arc sine of {0:.6g}",
    ca.OP_ACOS: "the arc cosine of {0:.6g}",
    ca.OP_ACOSH: "the area hyperbolic cosine of {0:.6g}",
    ca.OP_ATANH: "the area hyperbolic tangent of {0:.6g}",
}


def _in_words(operation: int, operands: np.ndarray) -> str:
    if operation in _WORDS:
        return _WORDS[operation].format(*operands)
    return f"a function of {listed([f'{value:.6g}' for value in operands])}"
