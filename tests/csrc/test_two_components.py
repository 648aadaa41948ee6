"""Aggregation of two components against plain loops, differences, its exact solution, laws of conservation, and what is refused."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from csrc import population_balance as pb
from csrc.two_components import Plane, PlaneBalance, moment, plane_function, plane_jacobian, plane_rates, project_point, ray_fragments
from flowsheet.verify import populations as exact
from tests.csrc.test_population_balance import some_kernel

seeds = st.integers(0, 2**32 - 1)


def some_balance(rng: np.random.Generator, shape: tuple[int, int], *, closed: bool = True, breaks: bool = False) -> PlaneBalance:
    """Pivots with any gaps, the first of an axis at zero or not, and a kernel with zeros; breakage if wanted, with axes from zero."""
    axes = [np.cumsum(rng.uniform(0.05, 1.0, size) * 1.3 ** np.arange(size)) - rng.choice([0.0, 0.05]) for size in shape]
    plane = Plane(*[np.concatenate(([0.0], axis[1:])) if breaks or rng.random() < 0.5 else axis for axis in axes])
    kernel = some_kernel(rng, plane.pivots.size)
    if not breaks:
        return PlaneBalance(plane, kernel, closed=closed)
    return PlaneBalance(plane, kernel, rng.exponential(size=plane.pivots.size), ray_fragments(plane, rng.uniform(-0.9, 3.0)), closed)


def hats(pivots: np.ndarray, value: float) -> np.ndarray:
    return np.array([np.interp(value, pivots, row) for row in np.eye(pivots.size)])


def in_loops(aggregation: PlaneBalance, number: np.ndarray) -> np.ndarray:
    """All pairs in both orders; the aggregate is shared by hat functions along both axes."""
    plane = aggregation.plane
    kernel = aggregation.kernel.reshape(*plane.shape, *plane.shape)
    rate = np.zeros(plane.shape)
    for a in np.ndindex(plane.shape):
        for b in np.ndindex(plane.shape):
            x, y = plane.x[a[0]] + plane.x[b[0]], plane.y[a[1]] + plane.y[b[1]]
            beyond = x > plane.x[-1] or y > plane.y[-1]
            if beyond and aggregation.closed:
                continue
            rate[a] -= kernel[a + b] * number[a] * number[b]
            if not beyond:
                rate += 0.5 * kernel[a + b] * number[a] * number[b] * np.outer(hats(plane.x, x), hats(plane.y, y))
    return rate


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (6, 3), (7, 7)])
def test_aggregates_go_to_the_four_pivots_around_them(shape, closed):
    rng = np.random.default_rng(shape[0])
    aggregation = some_balance(rng, shape, closed=closed)
    number = rng.exponential(size=shape)
    expected = in_loops(aggregation, number)
    np.testing.assert_allclose(plane_rates(aggregation, number, [0.7]), 0.7 * expected, atol=1e-13 * np.abs(expected).max())


@settings(deadline=None, max_examples=100, derandomize=True)
@given(seeds, st.integers(2, 9), st.integers(2, 9))
def test_both_volumes_are_kept_and_each_collision_takes_one_particle(seed, nx, ny):
    rng = np.random.default_rng(seed)
    aggregation = some_balance(rng, (nx, ny))
    plane, number = aggregation.plane, rng.exponential(size=(nx, ny)) * (rng.random((nx, ny)) > 0.3)
    change = plane_rates(aggregation, number)
    for orders in ((1, 0), (0, 1)):
        assert abs(moment(plane, change, *orders)) <= 1e-12 * moment(plane, np.abs(change), *orders) + 1e-300
    x, y = (np.add.outer(at, at) for at in (np.repeat(plane.x, ny), np.tile(plane.y, nx)))
    met = aggregation.kernel * np.outer(number, number) * (x <= plane.x[-1]) * (y <= plane.y[-1])
    assert change.sum() == pytest.approx(-0.5 * met.sum(), rel=1e-12, abs=1e-12 * np.abs(change).sum())
    product = np.outer(np.repeat(plane.x, ny), np.tile(plane.y, nx))  # M11' = sum K N N' x y'
    assert moment(plane, change, 1, 1) == pytest.approx((met * product).sum(), rel=1e-11, abs=1e-12 * moment(plane, np.abs(change), 1, 1))


@settings(deadline=None, max_examples=100, derandomize=True)
@given(seeds, st.integers(2, 8), st.integers(2, 8), st.booleans())
def test_an_empty_cell_is_not_emptied(seed, nx, ny, closed):
    rng = np.random.default_rng(seed)
    aggregation = some_balance(rng, (nx, ny), closed=closed)
    number = rng.exponential(size=(nx, ny)) * (rng.random((nx, ny)) > 0.4)
    change = plane_rates(aggregation, number)
    assert change[number == 0].min(initial=0.0) >= -1e-13 * np.abs(change).max()


@settings(deadline=None, max_examples=60, derandomize=True)
@given(seeds, st.integers(2, 8), st.integers(2, 8))
def test_fragments_keep_both_volumes(seed, nx, ny):
    rng = np.random.default_rng(seed)
    balance = some_balance(rng, (nx, ny), breaks=True)
    number = rng.exponential(size=(nx, ny)) * (rng.random((nx, ny)) > 0.3)
    change = plane_rates(balance, number, [0.0, 1.0])
    for orders in ((1, 0), (0, 1)):
        assert abs(moment(balance.plane, change, *orders)) <= 1e-12 * moment(balance.plane, np.abs(change), *orders) + 1e-300
    change[0, 0] = 0.0 if number[0, 0] == 0 else change[0, 0]
    assert change[number == 0].min(initial=0.0) >= -1e-13 * np.abs(change).max()


def test_fragments_are_integrals_of_the_shares_along_the_ray():
    """By the midpoint rule with many points, but for the pivot without volume."""
    plane, power = Plane([0, 0.3, 1.0, 1.7], [0, 0.5, 2.0]), 1.6
    z, w = (np.arange(4000) + 0.5) / 4000, 1 / 4000
    found = ray_fragments(plane, power)
    for k, (x, y) in enumerate((x, y) for x in plane.x for y in plane.y):
        hats_x, hats_y = (
            np.stack([np.interp(z * value, axis, row) for row in np.eye(axis.size)]) for value, axis in ((x, plane.x), (y, plane.y))
        )
        expected = ((power + 2) * z**power * w * hats_x) @ hats_y.T
        np.testing.assert_allclose(found[1:, k], expected.ravel()[1:] * (x + y > 0), atol=1e-6)
    assert not found[0].any()


@pytest.mark.parametrize("breaks", [True, False])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("shape", [(2, 2), (3, 6), (8, 5)])
def test_jacobian_agrees_with_central_differences(shape, closed, breaks):
    """Rates are quadratic, so that differences are good to rounding."""
    rng = np.random.default_rng(shape[1])
    balance = some_balance(rng, shape, closed=closed, breaks=breaks)
    number, coefficients = rng.uniform(0.5, 1.5, shape), np.array([1.3, 0.4][: 1 + breaks])
    by_number, by_coefficients = plane_jacobian(balance, number, coefficients)
    for place in np.ndindex(shape):
        step = np.zeros(shape)
        step[place] = 1e-3
        expected = (plane_rates(balance, number + step, coefficients) - plane_rates(balance, number - step, coefficients)) / 2e-3
        np.testing.assert_allclose(by_number[(..., *place)], expected, atol=1e-10 * max(np.abs(by_number).max(), 1.0))
    np.testing.assert_allclose(
        by_coefficients @ coefficients, plane_rates(balance, number, coefficients), atol=1e-12 * np.abs(by_number).max()
    )
    assert by_coefficients.shape == (*shape, 1 + breaks)


def test_one_component_is_a_balance_on_its_axis():
    """With nothing of y in any particle, pivots in step with their number: the cell average technique and this one are the same."""
    plane = Plane(np.arange(1.0, 13.0), [0.0, 1.0])
    grid = pb.Grid.linear(0.5, 12.5, 12)
    number = np.random.default_rng(3).exponential(size=12)
    on_grid = pb.rates(pb.PopulationBalance(grid, aggregation=pb.AggregationMaps(grid, pb.sum_kernel(grid, 1.0))), number)
    found = plane_rates(PlaneBalance(plane, pb.sum_kernel(plane, 1.0)), np.stack((number, np.zeros(12)), axis=1))
    np.testing.assert_allclose(found[:, 0], on_grid, atol=1e-12 * np.abs(on_grid).max())
    assert not found[:, 1].any()


def hat_integrals(pivots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (pivots, nodes) that integrate a density times the hat functions; below the first pivot all is its own."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    edges = np.unique(np.concatenate(([0.0], pivots)))
    x = (0.5 * (edges[1:] + edges[:-1])[:, None] + 0.5 * np.diff(edges)[:, None] * nodes).ravel()
    w = (0.5 * np.diff(edges)[:, None] * weights).ravel()
    return x, w * np.stack([np.interp(x, pivots, row) for row in np.eye(pivots.size)])


def solved(cells: int, end: float) -> tuple[Plane, np.ndarray, float]:
    """Plane, numbers at the end from exp(-x - y) by a constant kernel, and their relative L1 error."""
    grid = pb.Grid.geometric(1e-3, 40.0 * (1 + end / 4), cells)
    plane, one = Plane(grid.pivots, grid.pivots), pb.gamma_distribution(grid, 1.0, 1.0)
    aggregation = PlaneBalance(plane, pb.constant_kernel(plane, 1.0))
    ends = solve_ivp(
        lambda t, n: plane_rates(aggregation, n.reshape(plane.shape)).ravel(),
        (0.0, end),
        np.outer(one, one).ravel(),
        method="DOP853",
        rtol=1e-9,
        atol=1e-13,
    )
    number = ends.y[:, -1].reshape(plane.shape)
    x, weights = hat_integrals(plane.x)
    expected = weights @ exact.constant_kernel_of_two_components(x[:, None], x, end) @ weights.T
    return plane, number, float(np.abs(number - expected).sum() / expected.sum())


def test_exact_solution_of_two_components():
    """Volumes are kept to rounding, M00 and M11 but for what would leave, M20 and numbers at second order (Gelbard and Seinfeld 1978)."""
    end, wrong, second = 1.0, [], []
    for cells in (10, 20, 40):
        plane, number, error = solved(cells, end)
        wrong.append(error)
        second.append(moment(plane, number, 2, 0) / (2 + end) - 1)
        for orders in ((1, 0), (0, 1)):
            assert moment(plane, number, *orders) == pytest.approx(1.0, rel=1e-12)
        np.testing.assert_allclose(number, number.T, atol=1e-15)
    for errors in (wrong, second):
        assert errors[0] > errors[1] > errors[2] > 0
        assert np.log2(errors[0] / errors[2]) / 2 > 1.5
    assert wrong[2] < 1.3e-2
    assert second[2] < 1.2e-2
    assert moment(plane, number, 0, 0) == pytest.approx(2 / (2 + end), rel=1e-9)
    assert moment(plane, number, 1, 1) == pytest.approx(1 + end, rel=2e-8)


def broken(v: np.ndarray, t: float) -> np.ndarray:
    """n(v) from v exp(-v) by S = v, b = 2 / u: the solution of Ziff and McGrady (1985) integrated over the start."""
    return np.exp(-(1 + t) * v) * (v + 2 * t * (1 + v) + t**2 * (v + 2))


def test_exact_solution_of_breakage():
    """exp(-x - y) by S = x + y: composition is uniform at all sizes and stays so, n(x, y) = n(v) / v, M11 = (3 + 2 t) / (3 (1 + t)^2)."""
    end, wrong = 2.0, []
    for cells in (10, 20, 40):
        axis = np.concatenate(([0.0], np.geomspace(2e-3, 25.0, cells)))
        plane = Plane(axis, axis)
        x, weights = hat_integrals(axis)
        start = weights @ np.exp(-x[:, None] - x) @ weights.T
        start[0, 0] = 0.0
        balance = PlaneBalance(plane, selection=plane.pivots, fragments=ray_fragments(plane))
        ends = solve_ivp(
            lambda t, n, b=balance, s=plane.shape: plane_rates(b, n.reshape(s)).ravel(), (0.0, end), start.ravel(), rtol=1e-8, atol=1e-12
        )
        number = ends.y[:, -1].reshape(plane.shape)
        volume = np.add.outer(x, x)
        expected = weights @ (broken(volume, end) / volume) @ weights.T
        expected[0, 0] = 0.0
        assert moment(plane, number, 1, 0) == pytest.approx(moment(plane, start, 1, 0), rel=1e-12)
        wrong.append(
            (np.abs(number - expected).sum() / expected.sum(), moment(plane, number, 1, 1) / ((3 + 2 * end) / 3 / (1 + end) ** 2) - 1)
        )
    for errors in zip(*np.abs(wrong), strict=True):
        assert errors[0] > errors[1] > errors[2]
        assert np.log2(errors[0] / errors[2]) / 2 > 1.4, wrong


# ---- CasADi ----


def test_casadi_calls_the_kernel_and_its_function_outlives_the_balance():
    rng = np.random.default_rng(8)
    balance = some_balance(rng, (5, 4), breaks=True)
    number, coefficients = rng.exponential(size=(5, 4)), np.array([0.3, 0.6])
    rate, derivatives = plane_rates(balance, number, coefficients), plane_jacobian(balance, number, coefficients)
    function = plane_function(balance)
    by = function.jacobian()
    del balance
    gc.collect()
    np.testing.assert_array_equal(np.asarray(function(number.ravel(), coefficients)).reshape(5, 4), rate)
    for found, expected in zip(by(number.ravel(), coefficients, 0), derivatives, strict=True):
        np.testing.assert_array_equal(np.asarray(found), expected.reshape(20, -1))


# ---- what is refused ----

PLANE = Plane([0, 1, 3], [1, 2])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Plane([0], [0, 1]), "x needs two or more"),
        (lambda: Plane([0, 1], [0, 2, 1]), r"y\[2\] is not greater"),
        (lambda: Plane([-1, 1], [0, 2]), r"x\[0\] is negative"),
        (lambda: PlaneBalance(PLANE, np.ones((3, 3))), r"kernel has to be of shape \(6, 6\)"),
        (lambda: PlaneBalance(PLANE, -np.ones((6, 6))), r"kernel\[0, 0\] is negative"),
        (lambda: PlaneBalance(PLANE, np.triu(np.ones((6, 6)))), r"kernel\[0, 1\] differs from its mirror image"),
        (lambda: plane_rates(PlaneBalance(PLANE, np.ones((6, 6))), np.ones((2, 3))), r"number has to be of shape \(3, 2\)"),
        (lambda: PlaneBalance(PLANE), "needs a kernel, or selection and fragments"),
        (lambda: PlaneBalance(PLANE, selection=np.ones(6)), "belong together"),
        (lambda: PlaneBalance(PLANE, selection=-np.ones(6), fragments=np.eye(6)), r"selection\[0\] is negative"),
        (lambda: PlaneBalance(PLANE, selection=np.ones(6), fragments=2 * np.eye(6)), "volume x of fragments"),
        (lambda: ray_fragments(PLANE), "have to start at 0"),
        (lambda: ray_fragments(Plane([0, 1], [0, 1]), -1.0), "exponent has to be above -1"),
        (lambda: project_point(PLANE, 2.0, 0.5), "y = 0.5 m3 is outside the pivots, 1 to 2 m3"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_particles_of_one_composition_keep_it():
    shares = project_point(PLANE, 2.0, 1.25)
    assert [moment(PLANE, shares, *orders) for orders in ((0, 0), (1, 0), (0, 1), (1, 1))] == pytest.approx(
        [1.0, 2.0, 1.25, 2.5], rel=1e-14
    )
