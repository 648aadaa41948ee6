"""The sparse LU factors of the integrator, against SciPy's and by their residuals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, diags, eye
from scipy.sparse import random as random_sparse
from scipy.sparse.linalg import spsolve

from csrc._integrator import SparseFactors


def factors_of(matrix: csc_matrix, order: np.ndarray | None = None) -> SparseFactors:
    matrix.sort_indices()
    order = np.arange(matrix.shape[0]) if order is None else order
    return SparseFactors(matrix.indptr.astype(np.intc), matrix.indices.astype(np.intc), order.astype(np.intc))


def some_matrix(size: int, density: float, seed: int) -> csc_matrix:
    generator = np.random.default_rng(seed)
    scattered = random_sparse(size, size, density=density, random_state=generator, data_rvs=generator.standard_normal)
    return csc_matrix(scattered + eye(size) * 0.5)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 60), density=st.floats(0.0, 0.4), seed=st.integers(0, 2**31))
def test_solution_has_a_small_residual_in_any_column_order(size: int, density: float, seed: int) -> None:
    matrix = some_matrix(size, density, seed)
    generator = np.random.default_rng(seed + 1)
    b = generator.standard_normal(size)
    if np.linalg.cond(matrix.toarray()) > 1e8:
        return
    factors = factors_of(matrix, generator.permutation(size))
    factors.factor(matrix.data)
    x = factors.solve(b)
    scale = abs(matrix).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
    assert np.abs(matrix @ x - b).max() <= 1e-11 * scale
    np.testing.assert_allclose(x, spsolve(matrix, b), rtol=1e-6, atol=1e-9 * np.abs(x).max())


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 40), seed=st.integers(0, 2**31))
def test_further_matrices_of_the_pattern_are_solved_as_well(size: int, seed: int) -> None:
    matrix = some_matrix(size, 0.2, seed)
    factors = factors_of(matrix)
    generator = np.random.default_rng(seed)
    for _ in range(4):
        matrix.data = generator.standard_normal(matrix.nnz)
        if np.linalg.cond(matrix.toarray()) > 1e8:
            continue
        factors.factor(matrix.data)
        b = generator.standard_normal(size)
        x = factors.solve(b)
        assert np.abs(matrix @ x - b).max() <= 1e-8 * (np.abs(x).max() + 1)


@settings(max_examples=40, deadline=None)
@given(sparse=st.integers(0, 12), dense=st.integers(1, 33), seed=st.integers(0, 2**31))
def test_dense_blocks_are_factored_again_with_the_same_result(sparse: int, dense: int, seed: int) -> None:
    """A dense block beside sparse rows and columns: factors of the same matrix once more, where full columns are taken together."""
    generator = np.random.default_rng(seed)
    size = sparse + dense
    whole = some_matrix(size, 0.1, seed).toarray() + 4 * np.eye(size)
    whole[sparse:, sparse:] += generator.uniform(0.1, 1.0, (dense, dense)) + dense * np.eye(dense)
    matrix, b = csc_matrix(whole), generator.standard_normal(size)
    factors = factors_of(matrix)
    solutions = []
    for _ in range(2):
        factors.factor(matrix.data)
        solutions.append(factors.solve(b))
    np.testing.assert_allclose(*solutions, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(solutions[1], np.linalg.solve(whole, b), rtol=1e-9, atol=1e-12)
    matrix.data = matrix.data * generator.uniform(0.9, 1.1, matrix.nnz)
    factors.factor(matrix.data)
    np.testing.assert_allclose(factors.solve(b), np.linalg.solve(matrix.toarray(), b), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 11, 19])
def test_right_sides_solved_together_are_those_solved_alone(count: int) -> None:
    matrix = some_matrix(37, 0.15, 5)
    generator = np.random.default_rng(6)
    factors = factors_of(matrix, generator.permutation(37))
    factors.factor(matrix.data)
    b = generator.standard_normal((count, 37))
    together = factors.solve(b)
    assert together.shape == (count, 37)
    for right, x in zip(b, together, strict=True):
        np.testing.assert_array_equal(x, factors.solve(right))


def test_right_sides_of_another_length_are_refused() -> None:
    factors = factors_of(some_matrix(5, 0.5, 7))
    factors.factor(some_matrix(5, 0.5, 7).data)
    for shape in ((4,), (2, 4), (1, 2, 5)):
        with pytest.raises(ValueError, match="another length"):
            factors.solve(np.zeros(shape))


def test_sound_pivots_are_used_again_and_unsound_ones_are_not() -> None:
    matrix = csc_matrix(np.array([[4.0, 1.0], [1.0, 3.0]]))
    factors = factors_of(matrix)
    factors.factor(matrix.data)
    factors.factor(1.5 * matrix.data)
    assert factors.counts == (1, 1)
    swapped = csc_matrix(np.array([[1e-9, 1.0], [1.0, 1e-9]]))
    factors.factor(swapped.data)
    assert factors.counts == (2, 2)
    np.testing.assert_allclose(factors.solve([2.0, 3.0]), [3.0, 2.0], rtol=1e-8)


def test_singular_matrix_is_refused_and_the_next_one_solved() -> None:
    matrix = csc_matrix(np.array([[1.0, 2.0], [2.0, 4.0]]))
    factors = factors_of(matrix)
    with pytest.raises(ZeroDivisionError, match="no pivot"):
        factors.factor(matrix.data)
    regular = csc_matrix(np.array([[1.0, 2.0], [2.0, 5.0]]))
    factors.factor(regular.data)
    np.testing.assert_allclose(factors.solve([1.0, 2.0]), [1.0, 0.0], atol=1e-14)


def test_not_a_number_is_refused() -> None:
    matrix = csc_matrix(np.array([[1.0, 2.0], [2.0, 5.0]]))
    factors = factors_of(matrix)
    with pytest.raises(ZeroDivisionError):
        factors.factor(np.full(4, np.nan))


def test_lengths_are_checked() -> None:
    matrix = csc_matrix(np.eye(3))
    factors = factors_of(matrix)
    with pytest.raises(ValueError, match="entries"):
        factors.factor(np.ones(2))
    factors.factor(np.ones(3))
    with pytest.raises(ValueError, match="length"):
        factors.solve(np.ones(2))


def test_tridiagonal_matrix_has_no_fill_and_is_solved_exactly() -> None:
    size = 200
    matrix = csc_matrix(diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(size, size)))
    factors = factors_of(matrix)
    factors.factor(matrix.data)
    b = np.zeros(size)
    b[0] = 1.0
    expected = 1.0 - np.arange(1, size + 1) / (size + 1)
    np.testing.assert_allclose(factors.solve(b), expected, rtol=1e-11)
