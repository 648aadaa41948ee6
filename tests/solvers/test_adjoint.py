"""The parts of the adjoint method: transposed jumps, the record of a run, and Radau's step on linear systems."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Param, Var
from scipy.linalg import expm

from solvers import Method, sensitivities
from solvers.adjoint import SAMPLES, Stretch
from solvers.errors import NumericsError
from solvers.radau import Coefficients, Pattern, integrate_back
from solvers.saltation import Instant, Jump


def test_an_instant_transposed_has_the_same_inner_products() -> None:
    rng = np.random.default_rng(1)
    size = 7
    jumps = [
        Jump(np.array(changed), rng.normal(size=(len(changed), size)), rng.normal(size=size), clock)
        for changed, clock in (([0, 3], 4), ([2], -1), ([0, 5, 6], 2), ([1], 4))
    ]
    instant = Instant(0.0, {number: rng.normal(size=size) for number in (2, 4)}, jumps)
    change, adjoint = rng.normal(size=(size, 3)), rng.normal(size=(size, 2))
    assert adjoint.T @ instant.apply(change) == pytest.approx(instant.transposed(adjoint).T @ change, rel=1e-12)


def test_a_record_gives_back_polynomials_of_degree_five() -> None:
    rng = np.random.default_rng(2)
    limits, polynomials = np.array([0.0, 0.3, 1.0]), rng.normal(size=(2, 6))
    samples = np.array(
        [[[np.polyval(p, a + (b - a) * share)] for share in SAMPLES] for p, a, b in zip(polynomials, limits[:-1], limits[1:], strict=True)]
    )
    times = np.sort(np.concatenate([rng.uniform(size=50), limits]))
    expected = np.where(times < 0.3, np.polyval(polynomials[0], times), np.polyval(polynomials[1], times))
    assert Stretch(limits, samples, np.zeros(0)).at(times)[:, 0] == pytest.approx(expected, rel=1e-12, abs=1e-13)


def back(matrix: np.ndarray, force: np.ndarray, states: int, span: float, rtol: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Adjoint variables of ``x' = J x + P q`` (constant coefficients), starting from the unit vectors."""
    size = len(matrix)
    rows, columns = (part.ravel() for part in np.indices((size, size)))
    pattern = Pattern.of(rows, columns, size, states)

    def coefficients(times: np.ndarray) -> Coefficients:
        return Coefficients(np.tile(matrix.ravel(), (len(times), 1)), np.zeros((len(times), 1)))

    start, gradient = np.eye(states), np.zeros((states, force.shape[1]))
    return integrate_back(pattern, coefficients, lambda _, w: w @ force, span, 0.0, start, gradient, span / 100, np.ones(states), rtol)


@pytest.mark.parametrize("states", [4, 3])
def test_constant_coefficients_against_the_exponential(states: int) -> None:
    rng = np.random.default_rng(3)
    matrix, force = rng.normal(size=(4, 4)) - 2 * np.eye(4), rng.normal(size=(4, 2))
    reduced, reduced_force = matrix[:states, :states], force[:states]
    if states < 4:
        feedback = np.linalg.solve(matrix[states:, states:], np.hstack([matrix[states:, :states], force[states:]]))
        reduced = reduced - matrix[:states, states:] @ feedback[:, :states]
        reduced_force = reduced_force - matrix[:states, states:] @ feedback[:, states:]
    exact = expm(1.5 * reduced)
    integral = np.linalg.solve(reduced, exact - np.eye(states)) @ reduced_force
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        adjoint, gradient, _ = back(matrix, force, states, 1.5, rtol)
        errors.append(max(np.abs(adjoint - exact).max(), np.abs(gradient - integral).max()))
    assert errors[2] < 1e-8
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_a_stiff_system_takes_few_steps() -> None:
    matrix = np.array([[-1e6, 1e6], [0.0, -1.0]])
    adjoint, _, taken = back(matrix, np.zeros((2, 1)), 2, 10.0, 1e-6)
    assert adjoint == pytest.approx(expm(10 * matrix), abs=1e-7)
    assert taken < 200


def test_coefficients_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(NumericsError, match="could not be integrated back from t = 1"):
        back(np.array([[np.nan]]), np.zeros((1, 1)), 1, 1.0, 1e-6)


def test_many_parameters_of_one_output() -> None:
    """``x' = -(sum of k) x``: the same derivative by each, and one run back for all."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.k = Param(range(200), initialize=0.01, mutable=True)
    model.x = Var(model.t, initialize=1.0)
    model.x_dot = DerivativeVar(model.x, wrt=model.t)
    model.balance = Constraint(model.t, rule=lambda m, t: m.x_dot[t] == -sum(m.k[i] for i in range(200)) * m.x[t])
    model.x[0].fix(1.0)
    result = sensitivities(model, "k", "x", [0.5, 1.0], method=Method.ADJOINT)
    expected = -np.array([0.5, 1.0]) * np.exp([-1.0, -2.0])
    assert result.array[:, 0, :] == pytest.approx(np.tile(expected[:, None], 200), rel=1e-7)
