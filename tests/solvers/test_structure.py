"""Order, elimination and Dulmage-Mendelsohn parts, by laws that hold for any system."""

from __future__ import annotations

import casadi as ca
import networkx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.structure import dulmage_mendelsohn, plan_elimination


def sparsity(pattern: np.ndarray) -> ca.Sparsity:
    rows, columns = np.nonzero(pattern)
    return ca.Sparsity.triplet(*pattern.shape, rows.tolist(), columns.tolist())


def matching_size(pattern: np.ndarray, without: int | None = None) -> int:
    """Return the size of a largest matching of rows and columns, by another library; optionally without one column."""
    graph = networkx.Graph()
    rows = [("r", i) for i in range(pattern.shape[0])]
    graph.add_nodes_from(rows)
    graph.add_edges_from((("r", int(i)), ("c", int(j))) for i, j in zip(*np.nonzero(pattern), strict=True) if j != without)
    return len(networkx.bipartite.maximum_matching(graph, top_nodes=rows)) // 2


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), density=st.floats(0.05, 0.6), seed=st.integers(0, 2**31))
def test_parts_are_those_of_a_largest_matching(rows: int, columns: int, density: float, seed: int) -> None:
    pattern = np.random.default_rng(seed).random((rows, columns)) < density
    parts = dulmage_mendelsohn(sparsity(pattern))
    rank = matching_size(pattern)
    assert parts.rank == rank
    # a variable is under-determined exactly if some largest matching does without it
    loose = {j for j in range(columns) if matching_size(pattern, without=j) == rank}
    assert set(parts.short_variables) == loose
    surplus = {i for i in range(rows) if matching_size(pattern.T, without=i) == rank}
    assert set(parts.surplus_equations) == surplus
    # the over-determined equations hold no unknown but those they determine
    outside = sorted(set(range(columns)) - set(parts.surplus_variables))
    assert not pattern[np.ix_(list(parts.surplus_equations), outside)].any()


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 12), density=st.floats(0.0, 0.4), seed=st.integers(0, 2**31))
def test_elimination_gives_the_solution_of_a_linear_system(size: int, density: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = np.where(generator.random((size, size)) < density, generator.normal(size=(size, size)), 0.0)
    matrix[generator.permutation(size), np.arange(size)] += 3.0
    if np.linalg.cond(matrix) > 1e6:
        return
    right = generator.normal(size=size)
    unknowns = ca.SX.sym("v", size)
    plan = plan_elimination(ca.mtimes(ca.sparsify(ca.SX(ca.DM(matrix))), unknowns), ca.SX(ca.DM(right)), unknowns)
    assert len(plan.steps) + len(plan.torn) == size
    assert len(plan.torn) == len(plan.torn_equations)
    expected = np.linalg.solve(matrix, right)
    # what is torn is given its solution; the rest has to follow by assignment in the order of the plan
    known = {variable: expected[variable] for variable in plan.torn}
    for variable, _, expression in plan.steps:
        point = ca.DM([known.get(k, np.nan) for k in range(size)])
        value = float(ca.Function("f", [unknowns], [expression])(point))
        known[variable] = value
    np.testing.assert_allclose([known[k] for k in range(size)], expected, rtol=1e-7, atol=1e-9)


def test_chain_of_aliases_is_assigned_without_any_loop() -> None:
    v = ca.SX.sym("v", 5)
    left = ca.vertcat(v[4], v[3], v[2], v[1], v[0])
    right = ca.vertcat(v[3], v[2], v[1], v[0], 7.0)
    plan = plan_elimination(left, right, v)
    assert [variable for variable, _, _ in plan.steps] == [0, 1, 2, 3, 4]
    assert plan.torn == ()
    assert plan.loops == ()


def test_linear_loop_is_torn_to_one_unknown() -> None:
    v = ca.SX.sym("v", 3)
    plan = plan_elimination(v, ca.vertcat(v[1] + 1, 3 * v[2], v[0] * v[1]), v)
    assert len(plan.torn) == 1
    assert len(plan.loops) == 1
    assert set(plan.loops[0]) == {0, 1, 2}


def test_equation_not_linear_in_its_unknown_stays() -> None:
    v = ca.SX.sym("v", 2)
    plan = plan_elimination(ca.vertcat(v[0] ** 3 + v[0], v[1]), ca.vertcat(2.0, ca.exp(v[0])), v)
    assert plan.torn == (0,)
    assert [variable for variable, _, _ in plan.steps] == [1]
