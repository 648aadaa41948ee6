"""CasADi functions that Python calls many times with arrays."""

from __future__ import annotations

from collections.abc import Sequence
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
    return matrix.nz[:] if matrix.nnz() else type(matrix)(0, 1)


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
