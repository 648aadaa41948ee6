"""Exact solutions of population balances, in units of a first mean volume, a first number and one rate.

Each gives the number density n(x) at a time t. Bessel functions are taken scaled and hyperbolic sines as differences of exponentials, so
that nothing overflows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyomo.environ as pyo
from numpy.typing import NDArray
from scipy.special import gammaln, i0e, i1e

from flowsheet.verify.dae import timed_model
from flowsheet.verify.rung import Run
from flowsheet.verify.runs import simulated
from solvers import Trajectory
from units.population import add_moments, add_plane, add_population, moments, population_balance, two_components

Array = NDArray[np.float64]


def exponential(x: Array) -> Array:
    """Return n = exp(-x)."""
    return np.exp(-x)


def constant_kernel(x: Array, t: float) -> Array:
    """Return n from exp(-x) by K = 1 (Smoluchowski 1917; Scott 1968)."""
    return 4 / (2 + t) ** 2 * np.exp(-2 * x / (2 + t))


def constant_kernel_gamma(x: Array, t: float) -> Array:
    """Return n from 4 x exp(-2 x) by K = 1 (Scott 1968)."""
    slow = 2 * x * np.sqrt(t / (t + 2))
    return 4 * (np.exp(slow - 2 * x) - np.exp(-slow - 2 * x)) / (np.sqrt(t) * (t + 2) ** 1.5)


def constant_kernel_of_modes(x: Array, t: float, modes: Sequence[tuple[float, float, float]]) -> tuple[Array, Array]:
    """Return n, and the density of a tracer, from two exponential populations of different composition by K = 1.

    With Laplace's transforms of the number g(s) and of the tracer h(s) at the start, those at t are (1 - b)^2 g / (1 - b g) and
    (1 - b)^2 h / (1 - b g)^2, b = t / (2 + t); derived by hand from g' = g^2 / 2 - M0 g in two components (Scott 1968 for one).

    Parameters
    ----------
    modes : (number, mean volume, share of the volume that is the tracer) of each; their numbers add up to 1, their means differ.
    """
    (n1, m1, y1), (n2, m2, y2) = modes
    b = t / (2 + t)
    one, other = np.array([m1, 1.0]), np.array([m2, 1.0])  # 1 + m s
    number = n1 * other + n2 * one
    tracer = y1 * n1 * m1 * np.polymul(other, other) + y2 * n2 * m2 * np.polymul(one, one)
    roots = np.roots(np.polymul(one, other) - b * np.concatenate(([0.0], number)))
    found = np.zeros((2, *np.shape(x)))
    for root, rest in (roots, roots[::-1]):
        decay, apart = np.exp(root * x), root - rest
        value, slope = np.polyval(tracer, root) / apart**2, np.polyval(np.polyder(tracer), root) / apart**2
        found[0] += np.polyval(number, root) / apart / (m1 * m2) * decay
        found[1] += (slope - 2 * value / apart + value * x) / (m1 * m2) ** 2 * decay
    return (1 - b) ** 2 * found[0], (1 - b) ** 2 * found[1]


def constant_kernel_of_two_components(x: Array, y: Array, t: float) -> Array:
    """Return n(x, y) from exp(-x - y) by K = 1 (Gelbard and Seinfeld 1978); M11 = 1 + t, M20 = M02 = 2 + t."""
    root = np.sqrt(x * y * t / (t + 2))
    found: Array = 4 / (t + 2) ** 2 * np.exp(2 * root - x - y) * i0e(2 * root)
    return found


def sum_kernel(x: Array, t: float) -> Array:
    """Return n from exp(-x) by K = u + v (Golovin 1963)."""
    spent = -np.expm1(-t)
    root = np.sqrt(spent)
    return (1 - spent) / (x * root) * np.exp(-((1 - root) ** 2) * x) * i1e(2 * x * root)


def product_kernel_inverse(x: Array, t: float) -> Array:
    """Return n from exp(-x) / x by K = u v before it gels at t = 1 (McLeod 1962)."""
    root = np.sqrt(t)
    return np.exp(-((1 - root) ** 2) * x) * i1e(2 * x * root) / (x**2 * root)


def product_kernel(x: Array, t: float, terms: int = 400) -> Array:
    """Return n from exp(-x) by K = u v before it gels at t = 1/2 (Scott 1968), by its series."""
    k = np.arange(terms)[:, None]
    logs = k * np.log(t) + 3 * k * np.log(x) - gammaln(k + 2) - gammaln(2 * k + 2) - x * (1 + t)
    found: Array = np.exp(logs).sum(axis=0)
    return found


def linear_breakage(x: Array, t: float) -> Array:
    """Return n from exp(-x) by S = v, b = 2 / u (Ziff and McGrady 1985)."""
    return (1 + t) ** 2 * np.exp(-x * (1 + t))


def linear_breakage_of_one_size(x: Array, t: float) -> Array:
    """Return the density of fragments, x < 1, of particles of size 1 by S = v, b = 2 / u; exp(-t) of them are whole."""
    return np.where(x < 1, np.exp(-t * x) * (2 * t + t**2 * (1 - x)), 0.0)


def square_breakage(x: Array, t: float) -> Array:
    """Return n from exp(-x) by S = v^2, b = 2 / u (Ziff and McGrady 1985)."""
    return np.exp(-t * x**2 - x) * (1 + 2 * t * (1 + x))


def balanced_number(t: float) -> float:
    """Return the number for K = 1, S = v, b = 2 / u from exp(-x) (Patil and Andrews 1998)."""
    steady = np.sqrt(2.0)
    turned = np.tanh(steady * t / 2)
    return float(steady * (1 + steady * turned) / (steady + turned))


def aggregation_and_breakage(x: Array, t: float) -> Array:
    """Return n for K = 1, S = v, b = 2 / u from exp(-x), which stays exponential."""
    number = balanced_number(t)
    return number**2 * np.exp(-number * x)


def aggregation_and_growth(x: Array, t: float, growth: float) -> Array:
    """Return n for K = 1, G = growth v from exp(-x), which stays exponential (Ramabhadran, Peterson and Seinfeld 1976)."""
    number, volume = 2 / (2 + t), np.exp(growth * t)
    return number**2 / volume * np.exp(-number / volume * x)


def linear_growth(x: Array, t: float, growth: float) -> Array:
    """Return n for G = growth v from exp(-x): what was at x exp(-growth t), spread out."""
    stretched = np.exp(-growth * t)
    return stretched * np.exp(-x * stretched)


# ---- rungs: a closed vessel whose moments are exact on the grid ----

PROCESSES: dict[str, Callable[[population_balance.Grid], population_balance.PopulationBalance]] = {
    "constant": lambda grid: population_balance.PopulationBalance(
        grid, aggregation=population_balance.AggregationMaps(grid, population_balance.constant_kernel(grid, 1.0))
    ),
    "sum": lambda grid: population_balance.PopulationBalance(
        grid, aggregation=population_balance.AggregationMaps(grid, population_balance.sum_kernel(grid, 1.0))
    ),
    "breakage": lambda grid: population_balance.PopulationBalance(
        grid,
        breakage=population_balance.BreakageMaps(
            grid, population_balance.power_law_selection(grid, 1.0, 1.0), population_balance.binary_fragments(grid)
        ),
    ),
}


def vessel(process: str, end: float, largest: float, cells: int = 60) -> Run:
    """Return what runs a closed vessel from exp(-x) and reads the number and the volume of its particles."""
    grid = population_balance.Grid.geometric(1e-13 * largest, largest, cells)
    model = timed_model(end)
    start = population_balance.gamma_distribution(grid, 1.0, 1.0)
    own = add_population(model, model.t, PROCESSES[process](grid), start)
    model.closed = pyo.Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    names = ("population.particle_number", "population.particle_volume")
    return simulated(model, [0.0, end], lambda trajectory: [trajectory[name][-1] for name in names])


def wetted(end: float, cells: int = 40) -> Run:
    """Return what runs particles that aggregate at a constant rate, while each takes up liquid at the same rate, and reads the liquid."""
    grid = population_balance.Grid.geometric(1e-5, 400.0, cells)
    model = timed_model(end)
    own = add_population(
        model, model.t, PROCESSES["constant"](grid), population_balance.gamma_distribution(grid, 1.0, 1.0), tracers=["liquid"]
    )
    model.closed = pyo.Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    uptake = 1.0 * pyo.units.kg / pyo.units.s
    model.wet = pyo.Constraint(
        model.t,
        own.cell,
        rule=lambda m, t, i: own.tracer_rate[t, i, "liquid"] == own.tracer_conversion[t, i, "liquid"] + uptake * own.number[t, i],
    )
    return simulated(model, [0.0, end], lambda trajectory: [trajectory["population.tracer_total[liquid]"][-1]])


def mixed(end: float, cells: int = 14) -> Run:
    """Return what runs particles of two components from exp(-x - y) by K = 1, and reads M00, M10 and M11."""
    axis = population_balance.Grid.geometric(1e-3, 3e4, cells)
    plane, one = two_components.Plane(axis.pivots, axis.pivots), population_balance.gamma_distribution(axis, 1.0, 1.0)
    law = two_components.PlaneBalance(plane, population_balance.constant_kernel(plane, 1.0))
    model = timed_model(end)
    own = add_plane(model, model.t, law, np.outer(one, one))
    model.closed = pyo.Constraint(model.t, own.cell, rule=lambda m, t, p, q: own.number_rate[t, p, q] == own.conversion[t, p, q])

    def read(trajectory: Trajectory) -> list[float]:
        number = np.array([trajectory[f"population.number[{p},{q}]"][-1] for p, q in own.cell]).reshape(plane.shape)
        return [two_components.moment(plane, number, *orders) for orders in ((0, 0), (1, 0), (1, 1))]

    return simulated(model, [0.0, end], read)


def by_moments(end: float, nodes: int = 3) -> Run:
    """Return what runs the moments of particles that aggregate by K = 1 and break by S = v from exp(-x), and reads M0 and M1."""
    law = moments.MomentBalance(nodes, kernel=lambda u, v: 1.0, selection=lambda v: v, fragments=moments.power_law_moments(nodes))
    model = timed_model(end)
    own = add_moments(model, model.t, law, moments.gamma_moments(nodes, 1.0, 1.0))
    model.closed = pyo.Constraint(model.t, own.order, rule=lambda m, t, k: own.moment_rate[t, k] == own.moment_conversion[t, k])
    names = ("population.particle_number", "population.particle_volume")
    return simulated(model, [0.0, end], lambda trajectory: [trajectory[name][-1] for name in names])
