"""Systems with vector functions in them: scalar expressions (SX) on both sides of compiled kernels, joined as one graph (MX).

The scalar parts know a kernel's results as symbols. Here each kernel is called where its inputs are known, in an order in which
they are, and the expressions become functions of the system's arguments alone. Jacobians are put together block by block,
``E_a + E_k K_w W_a``: differentiating the joined graph would evaluate a kernel's Jacobian once for every column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import casadi as ca
import numpy as np

from solvers.errors import UnsupportedModelError


@dataclass(frozen=True, eq=False, slots=True)
class Kernel:
    """A vector function, its inputs in terms of arguments and results, and where its results stand among all."""

    name: str
    function: ca.Function
    inputs: tuple[ca.SX, ...]
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Joined:
    """Expressions in scalar symbols and kernels' results, joined into a graph of the system's arguments.

    Parameters
    ----------
    symbols : the scalar arguments (t, x, z, u, p).
    results : (m, 1) symbols of all kernels' results.
    kernels : in any order.
    """

    symbols: tuple[ca.SX, ...]
    results: ca.SX
    kernels: tuple[Kernel, ...]

    @cached_property
    def arguments(self) -> tuple[ca.MX, ...]:
        """The arguments of the graph, shaped like the scalar ones."""
        names = ("t", "x", "z", "u", "p")
        return tuple(ca.MX.sym(name, symbol.shape[0]) for name, symbol in zip(names, self.symbols, strict=True))

    @cached_property
    def _order(self) -> list[int]:
        """Return the kernels so that each comes after those whose results it takes.

        Raises
        ------
        UnsupportedModelError : kernels that take each other's results.
        """
        needs = {}
        for number, kernel in enumerate(self.kernels):
            taken = set(ca.jacobian_sparsity(ca.vertcat(*kernel.inputs), self.results).get_triplet()[1])
            needs[number] = {other for other, giver in enumerate(self.kernels) if taken & set(range(giver.first, giver.last))}
        try:
            return list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            names = [self.kernels[number].name for number in dict.fromkeys(error.args[1])]
            raise UnsupportedModelError(
                f"vector functions take each other's results: {', '.join(names)}",
                names=names,
                hint="put a Var with an equation of its own between them, or make them one function",
            ) from None

    @cached_property
    def values(self) -> ca.MX:
        """All kernels' results as a column of the arguments."""
        found: dict[int, ca.MX] = {}
        for number in self._order:
            kernel = self.kernels[number]
            inputs = self._call("inputs", kernel.inputs, self._column(found))
            outputs = kernel.function.call(inputs)
            found[number] = ca.densify(ca.vertcat(*outputs))
        return self._column(found)

    def _column(self, found: dict[int, ca.MX]) -> ca.MX:
        parts = [found.get(number, ca.MX.zeros(kernel.last - kernel.first, 1)) for number, kernel in enumerate(self.kernels)]
        return ca.vertcat(*parts)

    def _call(self, name: str, expressions: Sequence[ca.SX], results: ca.MX) -> list[ca.MX]:
        function = ca.Function(name, [*self.symbols, self.results], list(expressions))
        return list(function.call([*self.arguments, results]))

    def join(self, expressions: Sequence[ca.SX], extra: ca.SX | None = None, extra_value: ca.MX | None = None) -> list[ca.MX]:
        """Return scalar columns as columns of the graph; ``extra`` symbols in them become ``extra_value``."""
        symbols, values = [*self.symbols, self.results], [*self.arguments, self.values]
        if extra is not None and extra_value is not None:
            symbols, values = [*symbols, extra], [*values, extra_value]
        return list(ca.Function("joined", symbols, [ca.densify(expression) for expression in expressions]).call(values))

    def jacobian(self, expression: ca.SX, by: Sequence[int]) -> ca.MX:
        """Return the sparse derivative of a column by some of the arguments, side by side.

        Parameters
        ----------
        expression : (n, 1) in scalar symbols.
        by : numbers of arguments in (t, x, z, u, p).
        """
        wanted = ca.vertcat(*(self.symbols[number] for number in by))
        direct, of_results = self._call("pieces", [ca.jacobian(expression, wanted), ca.jacobian(expression, self.results)], self.values)
        return direct + ca.mtimes(of_results, self._results_by(wanted))

    def _results_by(self, wanted: ca.SX) -> ca.MX:
        """Return the derivative of all kernels' results by arguments."""
        found: dict[int, ca.MX] = {}
        for number in self._order:
            kernel = self.kernels[number]
            inputs = ca.vertcat(*kernel.inputs)
            pieces = [*kernel.inputs, ca.jacobian(inputs, wanted), ca.jacobian(inputs, self.results)]
            *values, by_wanted, by_results = self._call("chain", pieces, self.values)
            if found:
                rows = [found.get(other, ca.MX(k.last - k.first, wanted.shape[0])) for other, k in enumerate(self.kernels)]
                by_wanted = by_wanted + ca.mtimes(by_results, ca.vertcat(*rows))
            found[number] = ca.mtimes(_kernel_jacobian(kernel.function, values), by_wanted)
        return ca.vertcat(*(found[number] for number in range(len(self.kernels))))


def _kernel_jacobian(function: ca.Function, inputs: Sequence[ca.MX]) -> ca.MX:
    """Return a function's Jacobian, all results by all inputs, at given inputs."""
    jacobian = function.jacobian()
    nominal = [ca.MX(*function.size_out(k)) for k in range(function.n_out())]
    blocks = jacobian.call([*inputs, *nominal])
    count = function.n_in()
    rows = [ca.horzcat(*blocks[row * count : (row + 1) * count]) for row in range(function.n_out())]
    return ca.vertcat(*rows)


def results_range(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and one past the last place of each kernel's results.

    >>> results_range([2, 3])
    [(0, 2), (2, 5)]
    """
    ends = np.cumsum(counts).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))
