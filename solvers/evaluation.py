"""CasADi functions that Python calls many times with arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix


class Evaluation:
    """A CasADi function with dense columns in and out, called through a buffer: some 5 microseconds instead of 70.

    Not to be shared between threads, like the function itself.

    >>> x = ca.SX.sym("x", 2)
    >>> Evaluation(ca.Function("f", [x], [ca.sum1(x), 2 * x]))(np.array([1.0, 3.0]))
    (array([4.]), array([2., 6.]))
    """

    def __init__(self, function: ca.Function) -> None:
        self._buffer, self._evaluate = function.buffer()
        self._arguments: list[Any] = [np.zeros(function.numel_in(k)) for k in range(function.n_in())]
        self._results: list[Any] = [np.zeros(function.numel_out(k)) for k in range(function.n_out())]
        for k, array in enumerate(self._arguments):
            if array.size:
                self._buffer.set_arg(k, memoryview(array))
        for k, array in enumerate(self._results):
            if array.size:
                self._buffer.set_res(k, memoryview(array))

    def __call__(self, *arguments: float | np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the results for numbers or arrays of shape (n,), as new arrays of shape (m,)."""
        for array, given in zip(self._arguments, arguments, strict=True):
            array[:] = given
        self._evaluate()
        return tuple(array.copy() for array in self._results)


def jacobian_by(expression: ca.SX | ca.MX, *symbols: ca.SX | ca.MX) -> ca.SX | ca.MX:
    """Return the sparse derivative of a column by whole symbols, side by side."""
    return ca.horzcat(*(ca.jacobian(expression, symbol) for symbol in symbols))


def nonzeros(matrix: ca.SX) -> ca.SX:
    """Return the entries of a sparse matrix as a column, also where there are none."""
    # entries of a row come as a row
    return ca.vec(matrix.nz[:]) if matrix.nnz() else type(matrix)(0, 1)


class SparseDerivative:
    """Values and sparse derivatives of a column of expressions, for repeated evaluation with arrays."""

    def __init__(self, arguments: Sequence[ca.SX | ca.MX], expression: ca.SX | ca.MX, jacobians: Sequence[ca.SX | ca.MX]) -> None:
        self._patterns = [(np.array(j.sparsity().row()), np.array(j.sparsity().colind()), j.shape) for j in jacobians]
        results = [ca.densify(expression), *(nonzeros(j) for j in jacobians)]
        self._evaluate = Evaluation(ca.Function("derivative", list(arguments), results))

    def __call__(self, *point: float | np.ndarray) -> tuple[np.ndarray, list[csc_matrix]]:
        """Return values, shape (rows,), and one sparse matrix for each group of variables."""
        value, *entries = self._evaluate(*point)
        matrices = [csc_matrix((entry, rows, starts), shape) for entry, (rows, starts, shape) in zip(entries, self._patterns, strict=True)]
        return value, matrices


LARGEST_CHUNK = 128


@dataclass(frozen=True, eq=False)
class Columnwise:
    """A CasADi function of one dense column with one dense column out, for many columns at once.

    Columns go through in chunks, so that one mapped function serves any number of them; a call makes buffers of its own, so that
    several threads may call.

    >>> x = ca.SX.sym("x", 2)
    >>> Columnwise(ca.Function("f", [x], [ca.sum1(x)]))(np.array([[1.0, 3.0], [2.0, 5.0], [0.0, 1.0]]))
    array([[4.],
           [7.],
           [1.]])
    """

    function: ca.Function
    _mapped: dict[int, ca.Function] = field(default_factory=dict)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Return the results, shape (n, m), for columns that lie as rows of an array, shape (n, k)."""
        count = len(columns)
        results = np.empty((count, self.function.numel_out(0)))
        if not count or not results.size:
            return results
        size = min(LARGEST_CHUNK, 1 << (count - 1).bit_length())
        if size not in self._mapped:
            self._mapped[size] = self.function.map(size)
        evaluate = Evaluation(self._mapped[size])
        for first in range(0, count, size):
            chunk = columns[first : first + size]
            missing = size - len(chunk)
            if missing:
                chunk = np.concatenate([chunk, np.repeat(chunk[-1:], missing, axis=0)])
            (values,) = evaluate(chunk.ravel())
            results[first : first + size] = values.reshape(size, -1)[: size - missing]
        return results
