"""The solver of named equations: published problems, blocks, bounds, homotopy, and what it says when there is no root."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import casadi as ca
import numpy as np
import pytest

from solvers.errors import NumericsError
from solvers.evaluation import SparseDerivative
from solvers.newton import Equations, Route, diagonal_blocks, find_root


def equations(
    build: Callable[[ca.SX], Sequence[ca.SX]],
    size: int,
    lower: Sequence[float] | None = None,
    upper: Sequence[float] | None = None,
) -> Equations:
    unknown = ca.SX.sym("y", size)
    residual = ca.vertcat(*build(unknown))
    derivative = SparseDerivative([unknown], residual, [ca.jacobian(residual, unknown)])

    def evaluate(point: np.ndarray) -> tuple[np.ndarray, object]:
        residual, (jacobian,) = derivative(point)
        return residual, jacobian

    return Equations(
        evaluate,  # type: ignore[arg-type]
        [f"equation {k}" for k in range(size)],
        [f"y{k}" for k in range(size)],
        np.ones(size),
        np.full(size, -np.inf) if lower is None else np.array(lower),
        np.full(size, np.inf) if upper is None else np.array(upper),
    )


def test_rosenbrock_in_root_form() -> None:
    """More, Garbow & Hillstrom 1981 (ACM TOMS 7:17), problem 1: root (1, 1) from (-1.2, 1)."""
    root = find_root(equations(lambda y: [10 * (y[1] - y[0] ** 2), 1 - y[0]], 2), np.array([-1.2, 1.0]), "here")
    np.testing.assert_allclose(root.point, [1.0, 1.0], rtol=1e-12)


def test_brown_almost_linear() -> None:
    """The same, problem 27: root (1, ..., 1) from 1/2."""
    size = 10

    def build(y: ca.SX) -> list[ca.SX]:
        product = y[0]
        for k in range(1, size):
            product = product * y[k]
        return [y[k] + ca.sum1(y) - (size + 1) for k in range(size - 1)] + [product - 1]

    root = find_root(equations(build, size), np.full(size, 0.5), "here")
    found = root.point
    residual = np.append(found[:-1] + found.sum() - (size + 1), np.prod(found) - 1)
    np.testing.assert_allclose(residual, 0.0, atol=1e-10)


def test_powell_badly_scaled() -> None:
    """The same, problem 3: root (1.098159e-5, 9.106146) from (0, 1)."""
    root = find_root(equations(lambda y: [1e4 * y[0] * y[1] - 1, ca.exp(-y[0]) + ca.exp(-y[1]) - 1.0001], 2), np.array([0.0, 1.0]), "here")
    np.testing.assert_allclose(root.point, [1.098159e-5, 9.106146], rtol=1e-6)


def test_freudenstein_roth_from_the_far_side_of_its_valley() -> None:
    """The same, problem 2: the only root is (5, 4); Newton's method with step halving sticks at (11.41, -0.8968) from (0.5, -2)."""
    problem = equations(lambda y: [-13 + y[0] + ((5 - y[1]) * y[1] - 2) * y[1], -29 + y[0] + ((y[1] + 1) * y[1] - 14) * y[1]], 2)
    root = find_root(problem, np.array([0.5, -2.0]), "here")
    np.testing.assert_allclose(root.point, [5.0, 4.0], rtol=1e-10)


def test_root_within_bounds_is_preferred() -> None:
    """(y - 1)(y + 2) from -1.5: the near root is -2, the one that is allowed 1."""
    free = find_root(equations(lambda y: [(y - 1) * (y + 2)], 1), np.array([-1.5]), "here")
    assert free.point[0] == pytest.approx(-2.0)
    bounded = find_root(equations(lambda y: [(y - 1) * (y + 2)], 1, [0.0], [10.0]), np.array([-1.5]), "here")
    assert bounded.point[0] == pytest.approx(1.0)


def test_blocks_are_solved_in_order_where_the_whole_fails() -> None:
    """A chain y_k = exp(10 y_(k-1)) - 1 ... from far away: the whole overflows, the blocks do not."""

    def build(y: ca.SX) -> list[ca.SX]:
        return [ca.atan(y[0] - 3), y[1] - ca.log(1 + y[0] ** 2), ca.atan(5 * (y[2] - y[1]))]

    root = find_root(equations(build, 3), np.array([40.0, -3.0, 90.0]), "here")
    np.testing.assert_allclose(root.point, [3.0, np.log(10.0), np.log(10.0)], rtol=1e-10)


def test_diagonal_blocks_of_a_known_pattern() -> None:
    problem = equations(lambda y: [y[0] + y[1], y[0] - y[1], y[2] + y[0]], 3)
    blocks = diagonal_blocks(problem.evaluate(np.ones(3))[1])
    assert [sorted(columns.tolist()) for _, columns in blocks] == [[0, 1], [2]]


def test_no_root_is_told_by_block_equation_residual_and_variable() -> None:
    problem = equations(lambda y: [y[0] - 2, y[1] ** 2 + 1 + y[0]], 2)
    with pytest.raises(NumericsError, match="found no solution at t = 0: block 2 of 2") as caught:
        find_root(problem, np.array([0.0, 1.0]), "at t = 0")
    assert "equation 1" in caught.value.names
    assert "y1" in caught.value.names
    assert "residual" in str(caught.value)


def test_what_is_not_a_number_at_the_start_is_told() -> None:
    with pytest.raises(NumericsError, match="not finite") as caught:
        find_root(equations(lambda y: [ca.sqrt(y[0]) - 1, y[1]], 2), np.array([-1.0, 0.0]), "at t = 0")
    assert caught.value.names == ("equation 0",)


def test_routes_are_told() -> None:
    assert find_root(equations(lambda y: [y - 1], 1), np.array([0.0]), "here").route is Route.NEWTON
