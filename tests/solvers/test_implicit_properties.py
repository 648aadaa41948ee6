"""Random implicit systems of index one: ``M y' = N y + b sin t`` with a singular M, mixed from a known semi-explicit one."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, RangeSet, Var, sin
from scipy.integrate import solve_ivp

from solvers import lower, simulate


class Mixed:
    """w' = A w + a sin t, 0 = -v + B w + c sin t, mixed by rows (P) and columns (Q): y = Q (w, v)."""

    def __init__(self, seed: int, states: int, algebraics: int, varying: bool) -> None:
        rng = np.random.default_rng(seed)
        size = states + algebraics
        self.states, self.size, self.varying = states, size, varying
        self.A = rng.uniform(-1, 1, (states, states)) - 1.5 * np.eye(states)
        self.a, self.c = rng.uniform(-1, 1, states), rng.uniform(-1, 1, algebraics)
        self.B = rng.uniform(-1, 1, (algebraics, states))
        self.P, self.Q = (np.eye(size) + 0.3 * rng.uniform(-1, 1, (size, size)) for _ in range(2))
        self.w0 = rng.uniform(-1, 1, states)
        back = np.linalg.inv(self.Q)
        mass = np.zeros((size, size))
        mass[:states, :states] = np.eye(states)
        right = np.zeros((size, size))
        right[:states, :states], right[states:, :states] = self.A, self.B
        right[states:, states:] = -np.eye(algebraics)
        self.M, self.N = self.P @ mass @ back, self.P @ right @ back
        self.b = self.P @ np.concatenate([self.a, self.c])
        self.start = self.Q @ np.concatenate([self.w0, self.B @ self.w0])

    def model(self) -> ConcreteModel:
        model = ConcreteModel()
        model.t = ContinuousSet(bounds=(0, 2))
        model.i = RangeSet(self.size)
        model.y = Var(model.t, model.i, initialize=lambda m, t, i: self.start[i - 1])
        model.d = DerivativeVar(model.y, wrt=model.t)

        def law(m: Any, t: Any, i: int) -> Any:
            factor = 1 + m.y[t, 1] ** 2 if self.varying else 1.0
            left = sum(factor * self.M[i - 1, k - 1] * m.d[t, k] for k in m.i)
            right = sum(factor * self.N[i - 1, k - 1] * m.y[t, k] for k in m.i) + factor * self.b[i - 1] * sin(t)
            return left == right

        model.law = Constraint(model.t, model.i, rule=law)
        for i in model.i:
            model.y[0, i].fix(self.start[i - 1])
        return model

    def reference(self, times: np.ndarray) -> np.ndarray:
        """Return y at times, shape (times, size)."""
        run = solve_ivp(
            lambda t, w: self.A @ w + self.a * np.sin(t), (0, 2), self.w0, t_eval=times, method="DOP853", rtol=1e-12, atol=1e-13
        )
        v = self.B @ run.y + self.c[:, None] * np.sin(times)
        found: np.ndarray = (self.Q @ np.vstack([run.y, v])).T
        return found


TIMES = np.linspace(0, 2, 5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), states=st.integers(1, 4), algebraics=st.integers(1, 3))
def test_singular_constant_matrices_follow_their_semi_explicit_form(seed: int, states: int, algebraics: int) -> None:
    mixed = Mixed(seed, states, algebraics, varying=False)
    system = lower(mixed.model())
    assert len(system.states) == states
    assert len(system.algebraics) == algebraics
    trajectory = simulate(system, TIMES, rtol=1e-9, atol=1e-11)
    found = np.array([trajectory[f"y[{i}]"] for i in range(1, mixed.size + 1)]).T
    np.testing.assert_allclose(found, mixed.reference(TIMES), rtol=1e-6, atol=1e-7)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), states=st.integers(1, 3), algebraics=st.integers(1, 2))
def test_singular_matrices_that_vary_follow_it_too(seed: int, states: int, algebraics: int) -> None:
    mixed = Mixed(seed, states, algebraics, varying=True)
    system = lower(mixed.model())
    assert system.singular
    trajectory = simulate(system, TIMES, rtol=1e-8, atol=1e-10)
    found = np.array([trajectory[f"y[{i}]"] for i in range(1, mixed.size + 1)]).T
    np.testing.assert_allclose(found, mixed.reference(TIMES), rtol=1e-4, atol=1e-5)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), states=st.integers(1, 3), algebraics=st.integers(1, 2))
def test_starts_by_equations_of_combinations(seed: int, states: int, algebraics: int) -> None:
    """No variable is fixed at the start: as many equations as there are states give the combinations."""
    mixed = Mixed(seed, states, algebraics, varying=False)
    model = mixed.model()
    for i in model.i:
        model.y[0, i].unfix()
    # as many starts as there are states, given by equations: w itself
    back = np.linalg.inv(mixed.Q)
    model.w = RangeSet(states)
    model.start = Constraint(model.w, rule=lambda m, k: sum(back[k - 1, i - 1] * m.y[0, i] for i in m.i) == float(mixed.w0[k - 1]))
    trajectory = simulate(model, TIMES, rtol=1e-9, atol=1e-11)
    found = np.array([trajectory[f"y[{i}]"] for i in range(1, mixed.size + 1)]).T
    np.testing.assert_allclose(found, mixed.reference(TIMES), rtol=1e-6, atol=1e-7)
