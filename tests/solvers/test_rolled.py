"""Loops instead of repetitions: the same bytes as the virtual machine, in code that does not grow with the number of cells."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import casadi as ca
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import column
from solvers import compiled, lower
from solvers.integrator import SegmentFunctions
from solvers.rolled import FEWEST_IN_LOOP, LARGEST_CONE, MOST_WRITTEN_OUT, Rolled, roll

needs_compiler = pytest.mark.skipif(compiled.compiler_path() is None, reason="there is no C compiler")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.CACHE_VARIABLE, str(tmp_path / "cache"))


def compile_rolled(*functions: ca.Function) -> tuple[ca.Function, ...]:
    code = compiled.find_code(functions, source=lambda: roll(functions).source, waits=True)
    assert code is not None
    return code


def check_same_bytes(function: ca.Function, arguments: Sequence[np.ndarray]) -> None:
    (code,) = compile_rolled(function)
    for place in range(function.n_out()):
        assert code.sparsity_out(place) == function.sparsity_out(place)
        expected, found = (np.array(f(*arguments)[place].nonzeros()) for f in (_several(function), _several(code)))
        assert expected.tobytes() == found.tobytes()


def _several(function: ca.Function) -> Callable[..., Sequence[ca.DM]]:
    return lambda *arguments: function.call(list(arguments))


def chain(cells: int) -> list[ca.Function]:
    """A row of cells with a source in each, and the Jacobian."""
    x, p = ca.SX.sym("x", cells), ca.SX.sym("p", 3)
    before = ca.vertcat(p[0], x[:-1])
    slopes = p[1] * (before - x) - p[2] * x**2 / (1.0 + ca.exp(-x))
    return [ca.Function("slopes", [x, p], [slopes]), ca.Function("jacobian", [x, p], [ca.jacobian(slopes, x)])]


def test_code_does_not_grow_with_the_number_of_cells() -> None:
    short, long = roll(chain(20)), roll(chain(2000))
    assert long.statements == short.statements
    assert long.operations > 90 * short.operations


def test_neither_does_that_of_a_column() -> None:
    def rolled(cells: int) -> Rolled:
        functions = SegmentFunctions(lower(column.build_model(cells)), ())
        return roll([functions.slopes, functions.jacobian])

    few, many = rolled(10), rolled(40)
    assert many.statements == few.statements
    assert many.operations > 3.5 * few.operations


@needs_compiler
@pytest.mark.parametrize("cells", [1, 2, FEWEST_IN_LOOP, 5, 50])
def test_a_row_of_cells_gives_the_same_bytes(cells: int) -> None:
    random = np.random.default_rng(cells)
    for function in chain(cells):
        check_same_bytes(function, [random.normal(size=cells), random.normal(size=3)])


@needs_compiler
@pytest.mark.parametrize("length", [10, 3 * MOST_WRITTEN_OUT])
def test_a_recursion_gives_the_same_bytes(length: int) -> None:
    x = ca.SX.sym("x", length)
    values = [x[0]]
    for k in range(1, length):
        # one is used twice, so that each is a cone of its own
        values.append(ca.sin(values[-1]) * x[k] + 0.5 * values[-1])
    check_same_bytes(ca.Function("recursion", [x], [ca.vertcat(*values)]), [np.linspace(0.1, 2.0, length)])


@needs_compiler
def test_a_long_sum_is_cut_into_pieces_that_repeat() -> None:
    x = ca.SX.sym("x", 100 * LARGEST_CONE)
    total = ca.SX(0)
    for k in range(x.shape[0]):
        total = total + x[k] ** 3
    function = ca.Function("total", [x], [total])
    assert roll([function]).statements < 3 * LARGEST_CONE
    check_same_bytes(function, [np.random.default_rng(1).normal(size=x.shape[0])])


@needs_compiler
def test_results_that_are_constants_arguments_or_each_other() -> None:
    x, y = ca.SX.sym("x", 3), ca.SX.sym("y")
    product = x[0] * y
    one = ca.vertcat(product, x[1], 2.5, product, -0.0, ca.inf, product + x[2])
    other = ca.sparsify(ca.vertcat(ca.horzcat(product, 0), ca.horzcat(0, y)))
    function = ca.Function("results", [x, y], [one, other, ca.SX(0, 1)])
    check_same_bytes(function, [np.array([1.5, -2.0, 0.1]), np.array([3.0])])


@needs_compiler
def test_arguments_that_are_not_given_are_zero_and_results_that_are_not_wanted_are_not_written(tmp_path: Path) -> None:
    x, y = ca.SX.sym("x", 8), ca.SX.sym("y", 8)
    product = (x + 1.0) * (y + 2.0)
    function = ca.Function("partly", [x, y], [product, product[:2] + ca.sin(product[2:4])])
    source, library = tmp_path / "partly.c", tmp_path / "partly.so"
    source.write_text(roll([function]).source)
    compiler = compiled.compiler_path()
    assert compiler is not None
    subprocess.run([compiler, *compiled.FLAGS, "-Wall", "-Wextra", "-Werror", "-o", str(library), str(source), "-lm"], check=True)
    code = ctypes.CDLL(str(library))
    doubles = ctypes.POINTER(ctypes.c_double)
    given = np.arange(8.0)
    wanted, work = np.full(2, np.nan), np.zeros(100)
    arguments = (doubles * 2)(given.ctypes.data_as(doubles), doubles())
    results = (doubles * 2)(doubles(), wanted.ctypes.data_as(doubles))
    code.partly(arguments, results, None, work.ctypes.data_as(doubles), 0)
    np.testing.assert_array_equal(wanted, np.array(function(given, 0.0)[1]).ravel())


def test_an_operation_that_is_not_known_is_refused() -> None:
    x = ca.SX.sym("x")
    with pytest.raises(NotImplementedError, match="operation"):
        roll([ca.Function("inverse", [x], [ca.erfinv(x)])])


UNARY = [ca.sin, ca.exp, ca.fabs, lambda a: a**2, lambda a: -a, lambda a: 1 / a, lambda a: 2 * a]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    ca.fmin,
    ca.fmax,
    lambda a, b: ca.if_else(a < b, a, b),
]


@needs_compiler
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 12))
def test_any_graph_gives_the_same_bytes(seed: int, count: int, copies: int) -> None:
    random = np.random.default_rng(seed)
    x, p = ca.SX.sym("x", copies, 4), ca.SX.sym("p", 3)
    choices = [(random.integers(len(UNARY) + len(BINARY)), random.random(), random.random()) for _ in range(count)]
    results = []
    for copy in range(copies):
        pool = [*ca.vertsplit(ca.vec(x[copy, :])), *ca.vertsplit(p), ca.SX(0.7), ca.SX(copy)]
        pool += results[-1:]  # some copies need what the one before has found
        for operation, one, other in choices:
            a, b = pool[int(one * len(pool))], pool[int(other * len(pool))]
            pool.append(UNARY[operation](a) if operation < len(UNARY) else BINARY[operation - len(UNARY)](a, b))
        results += pool[-3:]
    function = ca.Function("graph", [x, p], [ca.vertcat(*results)])
    check_same_nan_or_bytes(function, [random.normal(size=(copies, 4)), random.normal(size=3)])


def check_same_nan_or_bytes(function: ca.Function, arguments: Sequence[np.ndarray]) -> None:
    (code,) = compile_rolled(function)
    expected, found = (np.array(f(*arguments)).ravel() for f in (function, code))
    # which of several NaN comes out is nobody's promise
    same = (expected.view(np.int64) == found.view(np.int64)) | (np.isnan(expected) & np.isnan(found))
    assert same.all()
