"""Tracers of a population balance against plain loops, differences, closed forms, laws of conservation, and what is refused."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from benchmarks.populations import cell_integrals
from csrc import population_balance as pb
from csrc.population_balance import AggregationMaps, Grid, PopulationBalance, jacobian, rates
from csrc.tracers import Tracers, checked_content, project_content, tracer_function, tracer_jacobian, tracer_rates
from flowsheet.verify import populations as exact
from tests.csrc.test_population_balance import only, some_balance

seeds = st.integers(0, 2**32 - 1)


def some_contents(rng: np.random.Generator, number: np.ndarray, count: int) -> np.ndarray:
    """Contents of very different sizes, none in an empty cell."""
    return number[:, None] * rng.exponential(size=(number.size, count)) * 10.0 ** np.arange(count)


def aggregation_in_loops(maps: AggregationMaps, number: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Births, their volumes and contents cell by cell; contents go to the two pivots around the mean volume in proportion to volume."""
    grid, x = maps.grid, maps.grid.pivots
    births, volumes, held, rate = (np.zeros(grid.cells) for _ in range(4))
    for j in range(grid.cells):
        for k in range(grid.cells):
            together = x[j] + x[k]
            if maps.closed and together > x[-1]:
                continue
            rate[j] -= maps.kernel[j, k] * content[j] * number[k]
            if together > x[-1]:
                continue
            cell = max(i for i in range(grid.cells) if grid.edges[i] <= together)
            collisions = 0.5 * maps.kernel[j, k] * number[j] * number[k]
            births[cell] += collisions
            volumes[cell] += collisions * together
            held[cell] += 0.5 * maps.kernel[j, k] * (content[j] * number[k] + number[j] * content[k])
    for i in np.flatnonzero(births):
        mean = volumes[i] / births[i]
        other = i + 1 if mean > x[i] and i + 1 < grid.cells else i - 1
        number_share = (mean - x[other]) / (x[i] - x[other])
        volume_share = number_share * x[i] / mean
        rate[i] += volume_share * held[i]
        rate[other] += (1 - volume_share) * held[i]
    return rate


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("cells", [2, 3, 7, 40])
def test_aggregation_carries_contents_with_volume(cells, closed):
    rng = np.random.default_rng(cells)
    balance = only(some_balance(rng, cells, closed=closed), "aggregation")
    number = rng.exponential(size=cells)
    content = some_contents(rng, number, 2)
    found = tracer_rates(Tracers(balance, 2), number, content)
    for tracer in range(2):
        expected = aggregation_in_loops(balance.aggregation, number, content[:, tracer])
        np.testing.assert_allclose(found[:, tracer], expected, atol=1e-13 * np.abs(expected).max())


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(2, 40), st.booleans())
def test_a_tracer_that_is_the_volume_stays_the_volume(seed, cells, closed):
    rng = np.random.default_rng(seed)
    balance = only(some_balance(rng, cells, closed=closed), "aggregation", "breakage")
    number, coefficients, x = rng.exponential(size=cells) * (rng.random(cells) > 0.3), rng.exponential(size=2), balance.grid.pivots
    expected = x * rates(balance, number, coefficients)
    found = tracer_rates(Tracers(balance, 1), number, (x * number)[:, None], coefficients)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@settings(deadline=None, max_examples=150, derandomize=True)
@given(seeds, st.integers(2, 40), st.integers(1, 3))
def test_aggregation_and_breakage_keep_each_tracer(seed, cells, count):
    rng = np.random.default_rng(seed)
    balance = only(some_balance(rng, cells), "aggregation", "breakage")
    number = rng.exponential(size=cells) * (rng.random(cells) > 0.3)
    change = tracer_rates(Tracers(balance, count), number, some_contents(rng, number, count), rng.exponential(size=2))
    assert np.all(np.abs(change.sum(axis=0)) <= 1e-12 * np.abs(change).sum(axis=0) + 1e-300)


def test_growth_carries_contents_as_numbers_and_nuclei_bring_none():
    """A content that is the same in all particles stays the same; growth keeps it within the grid."""
    rng = np.random.default_rng(11)
    balance = only(some_balance(rng, 25), "growth", "nucleation")
    number = rng.exponential(size=25)
    found = tracer_rates(Tracers(balance, 2), number, np.stack((3 * number, 5 * number), axis=1))
    expected = rates(only(balance, "growth"), number)
    np.testing.assert_allclose(found, np.stack((3 * expected, 5 * expected), axis=1), rtol=1e-12, atol=1e-13 * np.abs(expected).max())


@settings(deadline=None, max_examples=200, derandomize=True)
@given(seeds, st.integers(2, 30), st.booleans())
def test_a_cell_that_holds_nothing_is_not_emptied(seed, cells, closed):
    rng = np.random.default_rng(seed)
    balance = some_balance(rng, cells, closed=closed)
    number = rng.exponential(size=cells) * (rng.random(cells) > 0.4)
    content = some_contents(rng, number, 1) * (rng.random((cells, 1)) > 0.4)
    change = tracer_rates(Tracers(balance, 1), number, content)
    assert change[content == 0].min(initial=0.0) >= -1e-13 * np.abs(change).max()


def test_nothing_happens_to_nothing():
    balance = some_balance(np.random.default_rng(4), 20)
    tracers, none = Tracers(balance, 2), np.zeros((20, 2))
    assert not tracer_rates(tracers, np.zeros(20), none).any()
    assert all(np.isfinite(part).all() for part in tracer_jacobian(tracers, np.zeros(20), none))


# ---- derivatives ----


@pytest.mark.parametrize("cells", [2, 3, 8, 40])
@pytest.mark.parametrize("processes", [("aggregation",), ("breakage",), ("growth",), ("breakage", "growth"), ("nucleation",), None])
def test_jacobian_agrees_with_central_differences(cells, processes):
    rng = np.random.default_rng(7 * cells)
    balance = some_balance(rng, cells, closed=cells % 2 == 0)
    if processes is not None:
        balance = only(balance, *processes)
    tracers = Tracers(balance, 2)
    number, coefficients = rng.uniform(0.5, 1.5, cells), rng.uniform(0.5, 1.5, len(balance.processes))
    content = number[:, None] * rng.uniform(0.5, 1.5, (cells, 2))
    found = tracer_jacobian(tracers, number, content, coefficients)

    def differences(function, at, step):
        ends = [(function(at + step * e.reshape(at.shape)) - function(at - step * e.reshape(at.shape))) for e in np.eye(at.size)]
        return np.stack(ends, axis=-1) / (2 * step)

    by_number = differences(lambda y: tracer_rates(tracers, y, content, coefficients), number, 1e-6)
    by_content = differences(lambda y: tracer_rates(tracers, number, y, coefficients), content, 1e-6)
    by_coefficients = differences(lambda y: tracer_rates(tracers, number, content, y), coefficients, 1e-3)
    for one, other in zip(found, (by_number, by_content.reshape(found[1].shape), by_coefficients), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-8 * max(np.abs(other).max(), 1.0), rtol=1e-7)


def test_rates_are_linear_in_contents():
    """But for growth: the derivative by contents times the contents is the rate."""
    rng = np.random.default_rng(12)
    balance = only(some_balance(rng, 30), "aggregation", "breakage")
    number = rng.exponential(size=30)
    content = some_contents(rng, number, 2)
    tracers = Tracers(balance, 2)
    by_content = tracer_jacobian(tracers, number, content)[1]
    expected = tracer_rates(tracers, number, content)
    np.testing.assert_allclose(np.einsum("icjd,jd->ic", by_content, content), expected, atol=1e-12 * np.abs(expected).max(), rtol=1e-9)


# ---- CasADi ----


def test_casadi_calls_the_kernel_and_its_function_outlives_the_tracers():
    rng = np.random.default_rng(8)
    balance = some_balance(rng, 25)
    number, coefficients = rng.exponential(size=25), rng.uniform(0.5, 1.5, 4)
    content = some_contents(rng, number, 3)
    tracers = Tracers(balance, 3)
    rate, derivatives = tracer_rates(tracers, number, content, coefficients), tracer_jacobian(tracers, number, content, coefficients)
    function = tracer_function(tracers)
    by = function.jacobian()
    del tracers, balance
    gc.collect()
    np.testing.assert_array_equal(np.asarray(function(number, content.ravel(), coefficients)).reshape(25, 3), rate)
    del function
    gc.collect()
    for found, expected in zip(by(number, content.ravel(), coefficients, 0), derivatives, strict=True):
        np.testing.assert_array_equal(np.asarray(found), expected.reshape(75, -1))


def test_jacobian_is_sparse_where_the_processes_are():
    balance = some_balance(np.random.default_rng(1), 30)
    nonzeros = {"aggregation": (1800, 1800), "breakage": (0, 30 * 31), "growth": (0, 2 * (5 * 30 - 6)), "nucleation": (0, 0)}
    for name, counts in nonzeros.items():
        by = tracer_function(Tracers(only(balance, name), 2)).jacobian()
        assert (by.nnz_out(0), by.nnz_out(1)) == counts


def test_seats_are_given_back_and_end_somewhere():
    grid = Grid([0, 1, 3])
    balance = PopulationBalance(grid, nucleation=pb.nuclei(grid, 0.5))
    made = [Tracers(balance, 1 + k % 3) for k in range(513)]
    functions = []
    with pytest.raises(RuntimeError, match="512 population balances"):
        functions.extend(tracer_function(tracers) for tracers in made)
    assert len(functions) > 400
    del functions, made
    gc.collect()
    for _ in range(600):
        assert float(tracer_function(Tracers(balance, 1))([0, 0], [1, 1], 1.0)[0]) == 0


# ---- closed forms ----

MODES = ((0.8, 1.0, 0.2), (0.2, 3.0, 0.7))
"""Number, mean volume, and share of volume that is the tracer, of two exponential populations at the start."""


def two_modes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and contents of the two populations on a grid."""
    parts = [pb.gamma_distribution(grid, number, mean) for number, mean, _ in MODES]
    return sum(parts), sum(share * grid.pivots * part for (_, _, share), part in zip(MODES, parts, strict=True))


def solved(balance: PopulationBalance, number: np.ndarray, content: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and contents at the end, by SciPy's BDF with the kernels' derivatives."""
    n, tracers = number.size, Tracers(balance, 1)

    def slopes(t, y):
        return np.concatenate((rates(balance, y[:n]), tracer_rates(tracers, y[:n], y[n:, None])[:, 0]))

    def derivatives(t, y):
        by_number, by_content, _ = tracer_jacobian(tracers, y[:n], y[n:, None])
        return np.block([[jacobian(balance, y[:n])[0], np.zeros((n, n))], [by_number[:, 0], by_content[:, 0, :, 0]]])

    start = np.concatenate((number, content))
    found = solve_ivp(slopes, (0.0, end), start, method="BDF", jac=derivatives, rtol=1e-8, atol=1e-12)
    return found.y[:n, -1], found.y[n:, -1]


def contents_of_modes(grid: Grid, end: float) -> np.ndarray:
    """The exact contents, put at the pivots as births are."""
    number, volume, content = (
        cell_integrals(lambda x, k=k, what=what: x**k * exact.constant_kernel_of_modes(x, end, MODES)[what], grid.edges)
        for k, what in ((0, 0), (1, 0), (0, 1))
    )
    return project_content(grid, number, volume, content)


@pytest.mark.parametrize("end", [1.0, 10.0])
def test_content_of_each_size_from_two_populations(end):
    """Against the closed form for the constant kernel; tracer and volume are kept, and the error falls with the cells at its order."""
    wrong = []
    for cells in (25, 50, 100, 200):
        grid = Grid.geometric(1e-5, 400.0, cells)
        number, content = two_modes(grid)
        balance = PopulationBalance(grid, aggregation=AggregationMaps(grid, pb.constant_kernel(grid, 1.0)))
        _, held = solved(balance, number, content, end)
        assert held.sum() == pytest.approx(content.sum(), rel=1e-12)
        wrong.append(np.abs(held - contents_of_modes(grid, end)).sum() / content.sum())
    assert wrong[3] < 2e-3
    assert np.log2(wrong[0] / wrong[3]) / 3 > 1.5


def test_a_tracer_that_half_of_each_particle_is_stays_half_of_it():
    """n0 = exp(-x - y) by a constant kernel: by symmetry y is half of each size at all times (Gelbard and Seinfeld 1978)."""
    grid = Grid.geometric(1e-5, 300.0, 40)
    balance = PopulationBalance(grid, aggregation=AggregationMaps(grid, pb.constant_kernel(grid, 1.0)))
    start = pb.gamma_distribution(grid, 1.0, 2.0, 2.0)  # x + y
    number, held = solved(balance, start, 0.5 * grid.pivots * start, 5.0)
    some = number > 1e-10
    np.testing.assert_allclose(held[some] / (grid.pivots * number)[some], 0.5, rtol=1e-6)


def test_fragments_hold_what_broke():
    """S = v, b = 2 / u from two populations: contents follow the mass of fragments of each, (1 + t)^2 exp(-x (1 + t)) and alike."""
    end, wrong = 4.0, []
    for cells in (50, 100, 200):
        grid = Grid.geometric(1e-5, 80.0, cells)
        number, content = two_modes(grid)
        breakage = pb.BreakageMaps(grid, pb.power_law_selection(grid, 1.0, 1.0), pb.binary_fragments(grid))
        _, held = solved(PopulationBalance(grid, breakage=breakage), number, content, end)
        assert held.sum() == pytest.approx(content.sum(), rel=1e-12)
        expected = np.zeros(cells)
        for amount, mean, share in MODES:  # scaled by the mean, time is mean times as fast
            scaled = Grid(grid.edges / mean, grid.pivots / mean)
            parts = [cell_integrals(lambda x, k=k, s=mean * end: x**k * exact.linear_breakage(x, s), scaled.edges) for k in (0, 1)]
            expected += share * grid.pivots * amount * pb.project(scaled, *parts)
        wrong.append(np.abs(held - expected).sum() / expected.sum())
    assert wrong[2] < 2e-3
    assert np.log2(wrong[0] / wrong[2]) / 2 > 1.6


# ---- what is refused ----

GRID = Grid([0, 1, 3, 7])
BALANCE = PopulationBalance(GRID, nucleation=np.ones(3))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Tracers(BALANCE, 0), "at least one tracer"),
        (lambda: tracer_rates(Tracers(BALANCE, 2), np.ones(3), np.ones(3)), r"content has to be of shape \(3, 2\)"),
        (lambda: tracer_rates(Tracers(BALANCE, 1), [1, np.nan, 1], np.ones((3, 1))), r"number\[1\] is not finite"),
        (lambda: tracer_rates(Tracers(BALANCE, 1), np.ones(3), np.ones((3, 1)), np.ones(2)), r"coefficients has to be of shape \(1,\)"),
        (lambda: checked_content(Tracers(BALANCE, 1), np.ones(3), [[1], [-1], [0]]), r"content\[1, 0\] is negative"),
        (lambda: checked_content(Tracers(BALANCE, 1), [1, 0, 1], np.ones((3, 1))), r"content\[1, 0\] is held by no particle"),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_hardly_any_particles_are_a_regular_point() -> None:
    """Numbers whose products are not far from underflow, of either sign, as they are left where all particles have gone."""
    grid = Grid.geometric(1e-15, 1e-7, 16)
    held = Tracers(PopulationBalance(grid, aggregation=AggregationMaps(grid, pb.shear_kernel(grid, 1.0))), 1)
    rng = np.random.default_rng(1)
    for trial in range(5000):
        number = 10.0 ** rng.uniform(-175, -20, 16) * rng.choice([-1, 1, 1], 16) / grid.pivots
        content = 10.0 ** rng.uniform(-5, 3, (16, 1))
        assert np.isfinite(tracer_rates(held, number, content)).all()
        if trial % 50 == 0:
            assert all(np.isfinite(part).all() for part in tracer_jacobian(held, number, content))
