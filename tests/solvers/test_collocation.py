"""Radau collocation: its points and weights, and the order that it shows against a closed form."""

from __future__ import annotations

import casadi as ca
import numpy as np
import pytest

from solvers.collocation import defects, radau
from solvers.errors import UsageError


def test_points_and_weights_of_three_stages() -> None:
    """Hairer & Wanner 1996, section IV.5, table 5.6 (Radau IIA of order 5)."""
    scheme = radau(3)
    root = np.sqrt(6.0)
    np.testing.assert_allclose(scheme.points, [(4 - root) / 10, (4 + root) / 10, 1.0], rtol=1e-13)
    np.testing.assert_allclose(scheme.weights, [(16 - root) / 36, (16 + root) / 36, 1 / 9], rtol=1e-12)


@pytest.mark.parametrize("degree", range(1, 6))
def test_quadrature_is_exact_up_to_its_degree(degree: int) -> None:
    scheme = radau(degree)
    for power in range(2 * degree - 1):
        assert scheme.weights @ scheme.points**power == pytest.approx(1 / (power + 1), rel=1e-11)
    assert abs(scheme.weights @ scheme.points ** (2 * degree - 1) - 1 / (2 * degree)) > 1e-6


@pytest.mark.parametrize("degree", range(1, 6))
def test_polynomials_are_differentiated_exactly(degree: int) -> None:
    scheme = radau(degree)
    nodes = np.concatenate([[0.0], scheme.points])
    for power in range(degree + 1):
        slopes = power * scheme.points ** max(0, power - 1) if power else np.zeros(degree)
        np.testing.assert_allclose(nodes**power @ scheme.differentiation, slopes, atol=1e-10)


def end_error(degree: int, elements: int) -> float:
    """Solve x' = x cos t from 1 to t = 2, whose end is exp(sin 2)."""
    scheme = radau(degree)
    points = ca.MX.sym("points", 1, elements * degree)
    times = (np.arange(elements)[:, None] + scheme.points[None, :]).ravel() * 2 / elements
    starts = ca.horzcat(1.0, points[:, degree - 1 :: degree][:, : elements - 1])
    missed = defects(scheme, starts, points, points * ca.DM(np.cos(times)[None, :]), ca.MX(ca.DM.ones(1, elements)) * (2 / elements))
    unknown = ca.vec(points)
    system = ca.Function("system", [unknown], [ca.jacobian(ca.vec(missed), unknown), ca.vec(missed)])
    matrix, residual = system(np.zeros(elements * degree))
    solution = -np.linalg.solve(np.asarray(ca.DM(ca.densify(matrix))), np.asarray(residual).ravel())
    return abs(float(solution[-1]) - np.exp(np.sin(2.0)))


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_order_at_the_ends_of_elements_is_twice_the_degree_less_one(degree: int) -> None:
    elements = {1: 64, 2: 16, 3: 6, 4: 3}[degree]
    order = np.log2(end_error(degree, elements) / end_error(degree, 2 * elements))
    assert order == pytest.approx(2 * degree - 1, abs=0.35)


@pytest.mark.parametrize("degree", [0, 6, 2.0, True])
def test_degrees_that_cannot_be_served_are_refused(degree: object) -> None:
    with pytest.raises(UsageError, match="degree"):
        radau(degree)  # type: ignore[arg-type]
