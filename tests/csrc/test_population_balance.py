"""The population balance kernel against plain loops, differences, laws of conservation, and what it refuses."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import casadi as ca
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csrc import population_balance as pb
from csrc.population_balance import AggregationMaps, BreakageMaps, Grid, GrowthMaps, PopulationBalance, jacobian, moment, rates

# ---- made at random ----

seeds = st.integers(0, 2**32 - 1)


def some_grid(rng: np.random.Generator, cells: int) -> Grid:
    """Cells of very different widths, pivots anywhere in them."""
    widths = rng.uniform(0.05, 1.0, cells) * rng.uniform(1.0, 2.0) ** np.arange(cells)
    edges = np.concatenate(([0.0], np.cumsum(widths))) + rng.choice([0.0, 0.3])
    return Grid(edges, edges[:-1] + rng.uniform(0.2, 0.8, cells) * widths)


def some_kernel(rng: np.random.Generator, cells: int) -> np.ndarray:
    kernel = rng.exponential(size=(cells, cells)) * (rng.random((cells, cells)) > 0.2)
    return kernel + kernel.T


def some_fragments(rng: np.random.Generator, grid: Grid) -> np.ndarray:
    choice = rng.integers(3)
    if choice == 0:
        return pb.power_law_fragments(grid, rng.uniform(-1.9, 3.0))
    if choice == 1:
        return pb.vogel_peukert_fragments(grid, rng.uniform(0.2, 5.0), rng.uniform(0.2, 3.0))
    shares = np.triu(rng.exponential(size=(grid.cells, grid.cells)))
    return pb.tabulated_fragments(grid, shares / shares.sum(axis=0))


def some_balance(rng: np.random.Generator, cells: int, *, closed: bool = True) -> PopulationBalance:
    grid = some_grid(rng, cells)
    return PopulationBalance(
        grid,
        aggregation=AggregationMaps(grid, some_kernel(rng, cells), closed),
        breakage=BreakageMaps(grid, rng.exponential(size=cells), some_fragments(rng, grid)),
        growth=GrowthMaps(grid, rng.normal(size=cells + 1)),
        nucleation=pb.nuclei(grid, rng.uniform(grid.pivots[0], grid.pivots[-1])),
    )


def only(balance: PopulationBalance, *names: str) -> PopulationBalance:
    return PopulationBalance(balance.grid, **{name: getattr(balance, name) for name in names})


# ---- the equations once more, in plain loops ----


def aggregation_in_loops(maps: AggregationMaps, number: np.ndarray) -> np.ndarray:
    """Births and their mean volumes cell by cell, then to the pivots around the means, as Kumar et al. write it."""
    grid, x = maps.grid, maps.grid.pivots
    births, volumes, rate = (np.zeros(grid.cells) for _ in range(3))
    for j in range(grid.cells):
        for k in range(grid.cells):
            if maps.closed and x[j] + x[k] > x[-1]:
                continue
            rate[j] -= maps.kernel[j, k] * number[j] * number[k]
            if x[j] + x[k] > x[-1]:
                continue
            cell = max(i for i in range(grid.cells) if grid.edges[i] <= x[j] + x[k])
            births[cell] += 0.5 * maps.kernel[j, k] * number[j] * number[k]
            volumes[cell] += 0.5 * maps.kernel[j, k] * number[j] * number[k] * (x[j] + x[k])
    for i in np.flatnonzero(births):
        mean = volumes[i] / births[i]
        other = i + 1 if mean > x[i] and i + 1 < grid.cells else i - 1
        share = (mean - x[other]) / (x[i] - x[other])
        rate[i] += share * births[i]
        rate[other] += (1 - share) * births[i]
    return rate


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("cells", [2, 3, 7, 40])
def test_aggregation_is_the_cell_average_technique(cells, closed):
    rng = np.random.default_rng(cells)
    balance = only(some_balance(rng, cells, closed=closed), "aggregation")
    number = rng.exponential(size=cells)
    expected = aggregation_in_loops(balance.aggregation, number)
    np.testing.assert_allclose(rates(balance, number), expected, atol=1e-13 * np.abs(expected).max())


def test_fragments_are_the_integrals_of_the_fixed_pivot_technique():
    """Quadrature of b(v, u) times the hat functions of the pivots, and of v / x_0 below the first pivot."""
    grid = some_grid(np.random.default_rng(5), 8)
    x, power = grid.pivots, 0.7
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for k in range(8):
        expected = np.zeros(8)
        for low, high in zip(np.concatenate(([0.0], x[:k])), x[: k + 1], strict=True):
            v = 0.5 * (low + high) + 0.5 * (high - low) * nodes
            density = 0.5 * (high - low) * weights * (power + 2) / x[k] * (v / x[k]) ** power
            for i in range(8):
                hat = np.interp(v, x, np.eye(8)[i]) if low > 0 else v / x[0] * (i == 0)
                expected[i] += density @ hat
        np.testing.assert_allclose(pb.power_law_fragments(grid, power)[:, k], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("exponent", [-1.0, -1.0 + 1e-9])
def test_fragments_are_continuous_where_their_number_is_a_logarithm(exponent):
    grid = Grid.geometric(1e-3, 1.0, 20)
    np.testing.assert_allclose(pb.power_law_fragments(grid, exponent), pb.power_law_fragments(grid, -1.0 + 1e-7), rtol=1e-5, atol=1e-7)


# ---- derivatives ----


@pytest.mark.parametrize("cells", [2, 3, 8, 50])
@pytest.mark.parametrize("processes", [("aggregation",), ("breakage",), ("growth",), ("nucleation",), ("breakage", "growth"), None])
def test_jacobian_agrees_with_central_differences(cells, processes):
    """Rates are quadratic in numbers but for the limited slopes, so that differences are good to rounding over the step."""
    rng = np.random.default_rng(7 * cells)
    balance = some_balance(rng, cells)
    if processes is not None:
        balance = only(balance, *processes)
    number, coefficients = rng.uniform(0.5, 1.5, cells), rng.uniform(0.5, 1.5, len(balance.processes))
    by_number, by_coefficients = jacobian(balance, number, coefficients)

    def differences(function, at, step):
        return np.stack([(function(at + step * e) - function(at - step * e)) / (2 * step) for e in np.eye(at.size)], axis=1)

    expected = differences(lambda y: rates(balance, y, coefficients), number, 1e-6 if balance.growth else 1e-3)
    np.testing.assert_allclose(by_number, expected, atol=1e-8 * max(np.abs(expected).max(), 1.0), rtol=1e-8)
    expected = differences(lambda c: rates(balance, number, c), coefficients, 1e-3)
    np.testing.assert_allclose(by_coefficients, expected, atol=1e-10 * np.abs(expected).max(), rtol=1e-8)


def test_growth_turns_round_with_its_coefficient():
    rng = np.random.default_rng(3)
    grid = some_grid(rng, 12)
    number, speed = rng.exponential(size=12), rng.uniform(0.5, 1.5, 13)
    forward = PopulationBalance(grid, growth=GrowthMaps(grid, -speed))
    turned = PopulationBalance(grid, growth=GrowthMaps(grid, speed))
    np.testing.assert_array_equal(rates(forward, number, [0.3]), rates(turned, number, [-0.3]))
    np.testing.assert_array_equal(jacobian(forward, number, [0.3])[0], jacobian(turned, number, [-0.3])[0])


def test_jacobian_is_sparse_where_the_processes_are():
    balance = some_balance(np.random.default_rng(1), 30)
    nonzeros = {"aggregation": 900, "breakage": 30 * 31 // 2, "growth": 5 * 30 - 6, "nucleation": 0}
    for name, count in nonzeros.items():
        assert pb.vector_function(only(balance, name)).jacobian().nnz_out(0) == count


# ---- what is kept ----


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(2, 40))
def test_aggregation_and_breakage_keep_the_volume(seed, cells):
    rng = np.random.default_rng(seed)
    balance = only(some_balance(rng, cells), "aggregation", "breakage")
    number = rng.exponential(size=cells) * (rng.random(cells) > 0.3)
    change, x = rates(balance, number, rng.exponential(size=2)), balance.grid.pivots
    assert abs(x @ change) <= 1e-12 * (x @ np.abs(change)) + 1e-300


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(2, 40))
def test_each_collision_takes_one_particle_away(seed, cells):
    rng = np.random.default_rng(seed)
    maps = some_balance(rng, cells).aggregation
    number = rng.exponential(size=cells)
    x = maps.grid.pivots
    collisions = 0.5 * maps.kernel * np.outer(number, number) * (x[:, None] + x <= x[-1])
    found = rates(PopulationBalance(maps.grid, aggregation=maps), number)
    assert found.sum() == pytest.approx(-collisions.sum(), rel=1e-12, abs=1e-12 * np.abs(found).sum())


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(3, 40))
def test_an_open_grid_loses_what_is_too_large(seed, cells):
    rng = np.random.default_rng(seed)
    maps = some_balance(rng, cells, closed=False).aggregation
    number, x = rng.exponential(size=cells), maps.grid.pivots
    together = x[:, None] + x
    left = 0.5 * maps.kernel * np.outer(number, number) * together * (together > x[-1])
    change = rates(PopulationBalance(maps.grid, aggregation=maps), number)
    assert x @ change == pytest.approx(-left.sum(), rel=1e-11, abs=1e-12 * (x @ np.abs(change)))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(2, 40))
def test_growth_keeps_the_number_and_nuclei_their_volume(seed, cells):
    rng = np.random.default_rng(seed)
    grid = some_grid(rng, cells)
    speed = rng.normal(size=cells + 1)
    speed[[0, -1]] = 0.0
    change = rates(PopulationBalance(grid, growth=GrowthMaps(grid, speed)), rng.exponential(size=cells))
    assert abs(change.sum()) <= 1e-13 * np.abs(change).sum()
    volume = rng.uniform(grid.pivots[0], grid.pivots[-1])
    shares = pb.nuclei(grid, volume)
    assert (shares.sum(), grid.pivots @ shares) == (pytest.approx(1.0, rel=1e-13), pytest.approx(volume, rel=1e-13))


@settings(deadline=None, max_examples=200, derandomize=True)
@given(seeds, st.integers(2, 30), st.booleans())
def test_an_empty_cell_is_not_emptied(seed, cells, closed):
    rng = np.random.default_rng(seed)
    balance = some_balance(rng, cells, closed=closed)
    number = rng.exponential(size=cells) * (rng.random(cells) > 0.4)
    for coefficients in (np.ones(4), np.array([1.0, 1.0, -1.0, 1.0])):
        change = rates(balance, number, coefficients)
        assert change[number == 0].min(initial=0.0) >= -1e-13 * np.abs(change).max()


def test_nothing_happens_to_nothing():
    balance = only(some_balance(np.random.default_rng(4), 20), "aggregation", "breakage", "growth")
    assert not rates(balance, np.zeros(20)).any()
    by_number, by_coefficients = jacobian(balance, np.zeros(20))
    assert np.isfinite(by_number).all()
    assert not by_coefficients.any()


def test_rates_are_those_of_their_processes_added():
    rng = np.random.default_rng(6)
    balance, number, coefficients = some_balance(rng, 15), rng.exponential(size=15), np.array([0.5, 2.0, -1.5, 3.0])
    parts = [rates(only(balance, name), number, [c]) for name, c in zip(balance.processes, coefficients, strict=True)]
    np.testing.assert_allclose(rates(balance, number, coefficients), sum(parts), atol=1e-13)


# ---- kernels, selections and distributions ----


@pytest.mark.parametrize(
    ("kernel", "degree", "of_equals"),
    [
        (pb.constant_kernel, 0, 1),
        (pb.sum_kernel, 1, 2),
        (pb.product_kernel, 2, 1),
        (pb.brownian_kernel, 0, 4),
        (pb.shear_kernel, 1, 8),
        (pb.gravitational_kernel, 4 / 3, 0),
        (pb.equi_kinetic_energy_kernel, 1 / 6, 4 * np.sqrt(2)),
    ],
)
def test_kernels_are_homogeneous_and_symmetric(kernel, degree, of_equals):
    """K(cu, cv) = c^degree K(u, v), and K(1, 1) times the rate."""
    small, large = Grid([0.5, 1.5, 2.5, 9.5]), Grid([4.0, 12.0, 20.0, 76.0])
    np.testing.assert_allclose(kernel(large, 3.0), 8.0**degree * kernel(small, 3.0), rtol=1e-12)
    np.testing.assert_array_equal(kernel(small, 1.0), kernel(small, 1.0).T)
    assert kernel(small, 3.0)[0, 0] == pytest.approx(3.0 * of_equals)


def test_tabulated_kernel_is_its_table_at_the_tables_volumes():
    grid = Grid([0.5, 1.5, 2.5, 5.5])
    values = np.array([[1.0, 2.0, 5.0], [2.0, 3.0, 4.0], [5.0, 4.0, 0.0]])
    np.testing.assert_allclose(pb.tabulated_kernel(grid, [1.0, 2.0, 4.0], values), values, atol=1e-14)
    with pytest.raises(ValueError, match=r"pivots\[2\] is outside the table"):
        pb.tabulated_kernel(grid, [1.0, 2.0, 3.0], values)


def test_selection_of_vogel_and_peukert_starts_at_its_threshold():
    grid = Grid.geometric(1e-12, 1e-9, 30)
    selection = pb.vogel_peukert_selection(grid, 2.0, 0.5, 1e4, 1e4 * grid.diameters[10])
    assert not selection[:11].any()
    assert np.all(np.diff(selection[10:]) > 0)
    assert selection[-1] == pytest.approx(2.0 * (1 - np.exp(-0.5 * 1e4 * (grid.diameters[-1] - grid.diameters[10]))))


def test_fragments_of_vogel_and_peukert_below_a_size():
    """Volume that falls below pivot i is between the shares at the pivots around, and the rest of a particle stays whole."""
    grid = Grid.geometric(1e-6, 1.0, 60)
    fragments = pb.vogel_peukert_fragments(grid, 1.5, 0.2)
    d, x = grid.diameters, grid.pivots
    whole = 0.5 * (1 + np.tanh((d[-1] - 0.2) / 0.2))
    below = np.cumsum(x * fragments[:, -1]) / x[-1]
    share = whole * (d / d[-1]) ** 1.5
    assert np.all((below[:-1] >= share[:-1] * (1 - 1e-12)) & (below[:-1] <= share[1:] + 1e-12))


@pytest.mark.parametrize("cells", [10, 25, 200])
def test_distributions_keep_number_and_volume(cells):
    grid = Grid.geometric(1e-9, 1e3, cells)
    for found, volume in (
        (pb.gamma_distribution(grid, 3.0, 0.7), 2.1),
        (pb.gamma_distribution(grid, 3.0, 0.7, 4.0), 2.1),
        (pb.lognormal_distribution(grid, 3.0, 0.7, 2.0), 2.1 * np.exp(0.5 * np.log(2) ** 2)),
    ):
        assert found.min() >= 0
        assert (moment(grid, found, 0), moment(grid, found, 1)) == (pytest.approx(3.0, rel=1e-13), pytest.approx(volume, rel=1e-12))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(2, 30))
def test_projection_keeps_number_and_volume(seed, cells):
    rng = np.random.default_rng(seed)
    grid = some_grid(rng, cells)
    number = rng.exponential(size=cells)
    volume = number * (grid.edges[:-1] + rng.random(cells) * grid.widths)
    volume[[0, -1]] = number[[0, -1]] * 0.5 * (grid.pivots[[0, -1]] + grid.edges[[1, -2]])  # pivots around them on both sides
    found = pb.project(grid, number, volume)
    assert found.min() >= -1e-15
    assert (found.sum(), grid.pivots @ found) == (pytest.approx(number.sum(), rel=1e-13), pytest.approx(volume.sum(), rel=1e-12))


# ---- CasADi ----


def test_casadi_calls_the_kernel():
    rng = np.random.default_rng(8)
    balance = some_balance(rng, 25)
    number, coefficients = rng.exponential(size=25), rng.uniform(0.5, 1.5, 4)
    function = pb.vector_function(balance)
    np.testing.assert_array_equal(np.asarray(function(number, coefficients)).ravel(), rates(balance, number, coefficients))
    for found, expected in zip(function.jacobian()(number, coefficients, 0), jacobian(balance, number, coefficients), strict=True):
        np.testing.assert_array_equal(np.asarray(found), expected)


def test_casadi_function_outlives_the_balance():
    rng = np.random.default_rng(9)
    balance, number = some_balance(rng, 25), rng.exponential(size=25)
    expected = rates(balance, number)
    function = pb.vector_function(balance)
    jacobian_function = function.jacobian()
    del balance
    gc.collect()
    np.testing.assert_array_equal(np.asarray(function(number, np.ones(4))).ravel(), expected)
    del function
    assert np.isfinite(np.asarray(jacobian_function(number, np.ones(4), 0)[0])).all()


def test_seats_are_given_back_and_end_somewhere():
    grid = Grid([0, 1, 3])
    made = [PopulationBalance(grid, nucleation=pb.nuclei(grid, 0.5 + 1e-3 * k)) for k in range(513)]
    functions = []
    with pytest.raises(RuntimeError, match="512 population balances"):
        functions.extend(pb.vector_function(balance) for balance in made)
    for k, function in enumerate(functions):
        assert float(function([0, 0], 1.0)[1]) == pytest.approx(1e-3 * k / 1.5)
    assert len(functions) > 400
    del functions, made, function
    gc.collect()
    for k in range(600):
        assert float(pb.vector_function(PopulationBalance(grid, nucleation=pb.nuclei(grid, 0.5)))([0, 0], k)[0]) == k


def directional(
    function: ca.Function, point: tuple[np.ndarray, np.ndarray], way: tuple[np.ndarray, np.ndarray], step: float
) -> list[np.ndarray]:
    """Change of both blocks of the Jacobian along a direction, by central differences."""
    ends = [
        [np.asarray(block) for block in function.jacobian()(*(p + sign * step * w for p, w in zip(point, way, strict=True)), 0)]
        for sign in (1, -1)
    ]
    return [(one - other) / (2 * step) for one, other in zip(*ends, strict=True)]


@pytest.mark.parametrize("cells", [2, 3, 7, 30])
@pytest.mark.parametrize(
    "processes",
    [("aggregation",), ("breakage",), ("growth",), ("nucleation", "growth"), ("aggregation", "breakage", "growth", "nucleation")],
)
@pytest.mark.parametrize("closed", [True, False])
def test_second_derivatives_agree_with_central_differences(cells, processes, closed):
    rng = np.random.default_rng(cells)
    balance = only(some_balance(rng, cells, closed=closed), *processes)
    point = rng.uniform(1, 2, cells), rng.choice([-1, 1]) * rng.uniform(0.5, 1.5, len(processes))
    way = rng.normal(size=cells), rng.normal(size=len(processes))
    function = pb.vector_function(balance)
    blocks = function.jacobian().jacobian()(*point, 0, 0, 0)
    assert blocks[2].nnz() == blocks[4].nnz() == blocks[5].nnz() == 0
    for k, expected in enumerate(directional(function, point, way, 1e-5)):
        found = np.asarray(blocks[3 * k] @ way[0] + blocks[3 * k + 1] @ way[1]).ravel()
        scale = 1 + abs(expected).max()
        np.testing.assert_allclose(found, expected.ravel(order="F"), atol=1e-8 * scale)


def test_second_derivatives_of_aggregation_are_sparse():
    """A pair of cells touches itself and the three cells about its aggregate's."""
    balance = only(some_balance(np.random.default_rng(2), 50), "aggregation")
    pattern = pb.vector_function(balance).jacobian().jacobian().sparsity_out(0)
    assert pattern.shape == (2500, 50)
    assert 0 < pattern.nnz() <= 5 * 50**2


def test_exact_hessian_of_a_scalar():
    rng = np.random.default_rng(2)
    balance, weights = some_balance(rng, 12), rng.normal(size=12)
    number, at = ca.MX.sym("number", 12), rng.uniform(1, 2, 12)
    hessian, gradient = ca.hessian(ca.dot(weights, pb.vector_function(balance)(number, np.ones(4))), number)
    exact, slope = (ca.Function("f", [number], [value]) for value in (hessian, gradient))
    steps = 1e-5 * np.eye(12)
    differences = np.column_stack([np.asarray(slope(at + h) - slope(at - h)).ravel() / 2e-5 for h in steps])
    np.testing.assert_allclose(np.asarray(exact(at)), differences, atol=1e-7 * abs(differences).max())


def test_third_derivatives_are_refused():
    function = pb.vector_function(only(some_balance(np.random.default_rng(2), 5), "aggregation"))
    with pytest.raises(RuntimeError, match="Derivatives cannot be calculated for jac_jac_curved"):
        function.jacobian().jacobian().jacobian()


def test_threads_get_what_one_gets():
    rng = np.random.default_rng(10)
    balance = some_balance(rng, 60)
    numbers = rng.exponential(size=(200, 60))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda number: (rates(balance, number), jacobian(balance, number)[0]), numbers))
    for number, (rate, by_number) in zip(numbers, together, strict=True):
        np.testing.assert_array_equal(rate, rates(balance, number))
        np.testing.assert_array_equal(by_number, jacobian(balance, number)[0])


# ---- what is refused ----

GRID = Grid([0, 1, 3, 7])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Grid([0, 1]), "3 or more"),
        (lambda: Grid([0, 2, 1]), r"edges\[2\] is not greater"),
        (lambda: Grid([-1, 0, 1]), r"edges\[0\] is negative"),
        (lambda: Grid([0, 1, np.nan]), r"edges\[2\] is not finite"),
        (lambda: Grid([0, 1, 2], [0.5, 2.5]), r"pivots\[1\] is not within its cell"),
        (lambda: Grid.geometric(0.0, 1.0, 5), "smallest has to be positive"),
        (lambda: AggregationMaps(GRID, np.ones((2, 2))), r"shape \(3, 3\)"),
        (lambda: AggregationMaps(GRID, np.triu(np.ones((3, 3)))), r"kernel\[0, 1\] differs from its mirror image"),
        (lambda: AggregationMaps(GRID, -np.ones((3, 3))), r"kernel\[0, 0\] is negative"),
        (lambda: pb.constant_kernel(GRID, np.inf), "rate has to be finite"),
        (lambda: pb.power_law_fragments(GRID, -2.0), "exponent has to be above -2"),
        (lambda: pb.tabulated_fragments(GRID, np.eye(3) * 0.9), r"sum of shares\[0\] is not 1"),
        (lambda: pb.tabulated_fragments(GRID, np.tril(np.ones((3, 3)))), r"shares\[1, 0\] is of fragments larger"),
        (lambda: BreakageMaps(GRID, [1, 1, -1], np.eye(3)), r"selection\[2\] is negative"),
        (lambda: BreakageMaps(GRID, np.ones(3), 2 * np.eye(3)), "volume of fragments"),
        (lambda: GrowthMaps(GRID, np.ones(3)), r"speed has to be of shape \(4,\)"),
        (lambda: pb.nuclei(GRID, 0.1), "outside the pivots"),
        (lambda: PopulationBalance(GRID), "at least one of"),
        (lambda: PopulationBalance(GRID, growth=GrowthMaps(Grid([0, 1, 3, 7]), np.ones(4))), "growth belong to another grid"),
        (lambda: PopulationBalance(GRID, nucleation=np.ones(2)), r"nucleation has to be of shape \(3,\)"),
        (lambda: rates(PopulationBalance(GRID, nucleation=np.ones(3)), [1, np.nan, 0]), r"number\[1\] is not finite"),
        (lambda: rates(PopulationBalance(GRID, nucleation=np.ones(3)), np.ones(3), np.ones(2)), r"coefficients has to be of shape \(1,\)"),
        (lambda: pb.checked_number(GRID, [1, -1, 0]), r"number\[1\] is negative"),
        (lambda: pb.project(GRID, [1, 1, 1], [0.5, 9, 5]), r"volume\[1\] is not the volume"),
        (lambda: pb.project(GRID, [1, -1, 1], [0.5, 2, 5]), r"number\[1\] is negative"),
        (lambda: pb.project(GRID, [1, 0, 0], [0.1, 0, 0]), "take a wider grid"),
        (lambda: pb.lognormal_distribution(GRID, 1.0, 1.0, 0.5), "deviation has to be above 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_tables_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        GRID.edges[0] = 2.0
    kernel = np.ones((3, 3))
    maps = AggregationMaps(GRID, kernel)
    kernel[0, 0] = 5.0
    assert maps.kernel[0, 0] == 1.0
