"""A population balance within a Pyomo model: closed vessel, sensitivities, events at its coefficients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.dae import ContinuousSet
from pyomo.environ import ConcreteModel, Constraint, Expression, Var
from pyomo.environ import units as u
from pyomo.util.check_units import assert_units_consistent

from csrc import moments
from csrc import population_balance as pb
from csrc.two_components import Plane, PlaneBalance
from solvers import Control, Final, OptimumStatus, lower, optimize, sensitivities, simulate
from solvers.declare import Profile
from solvers.errors import UsageError
from units.population import add_moments, add_plane, add_population

CELLS = 60


def balance() -> pb.PopulationBalance:
    grid = pb.Grid.geometric(1e-6, 300.0, CELLS)
    return pb.PopulationBalance(
        grid,
        aggregation=pb.AggregationMaps(grid, pb.constant_kernel(grid, 1.0)),
        breakage=pb.BreakageMaps(grid, pb.power_law_selection(grid, 1.0, 1.0), pb.binary_fragments(grid)),
        nucleation=pb.nuclei(grid, 0.1),
    )


def closed_vessel(start: np.ndarray | None = None) -> ConcreteModel:
    law = balance()
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    own = add_population(model, model.t, law, pb.gamma_distribution(law.grid, 1.0, 1.0) if start is None else start)
    model.closed = Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    return model


def test_units_are_consistent_and_structure_is_well_posed():
    model = closed_vessel()
    assert_units_consistent(model)
    system = lower(model)
    assert (len(system.states), len(system.algebraics)) == (CELLS, 0)


def test_number_follows_its_closed_form_and_volume_is_kept():
    """Aggregation and breakage from exp(-x): M0 = sqrt(2) (1 + sqrt(2) th) / (sqrt(2) + th) (Patil and Andrews 1998)."""
    trajectory = simulate(closed_vessel(), np.linspace(0, 5, 6), rtol=1e-9, atol=1e-12)
    turned = np.tanh(trajectory.t / np.sqrt(2))
    expected = np.sqrt(2) * (1 + np.sqrt(2) * turned) / (np.sqrt(2) + turned)
    np.testing.assert_allclose(trajectory["population.particle_number"], expected, rtol=2e-6)
    np.testing.assert_allclose(trajectory["population.particle_volume"], 1.0, rtol=1e-12)


def test_pyomo_model_and_kernel_give_the_same_rates():
    trajectory = simulate(closed_vessel(), [0.0, 1.0])
    number = np.array([trajectory[f"population.number[{i}]"][-1] for i in range(CELLS)])
    found = np.array([trajectory[f"population.conversion[{i}]"][-1] for i in range(CELLS)])
    np.testing.assert_allclose(found, pb.rates(balance(), number, [1.0, 1.0, 0.0]), rtol=1e-12, atol=1e-14)


def test_sensitivity_to_a_coefficient_agrees_with_differences():
    name, output, times = "population.intensity[aggregation]", "population.particle_number", [0.0, 1.0]
    found = sensitivities(closed_vessel(), [name], [output], times, rtol=1e-9, atol=1e-12)[output, name][-1]
    ends = []
    for factor in (0.999, 1.001):
        model = closed_vessel()
        model.population.intensity[:, "aggregation"].fix(factor)
        ends.append(simulate(model, times, rtol=1e-11, atol=1e-14)[output][-1])
    assert found == pytest.approx((ends[1] - ends[0]) / 0.002, rel=1e-5)


def test_nucleation_by_a_profile():
    """With aggregation and breakage off, nuclei of 0.1 m3 at 2 per m3 and s for a second."""
    model = closed_vessel()
    for process in ("aggregation", "breakage"):
        model.population.intensity[:, process].fix(0.0)
    pulse = Profile((1.0, 2.0, 3.0), (0.0, 2.0, 0.0))
    trajectory = simulate(model, [0.0, 5.0], inputs={"population.intensity[nucleation]": pulse})
    assert trajectory["population.particle_number"][-1] == pytest.approx(3.0, rel=1e-8)
    assert trajectory["population.particle_volume"][-1] == pytest.approx(1.2, rel=1e-8)


def test_an_algebraic_loop_through_the_kernel():
    """Aggregation that slows as particles become fewer, its coefficient a variable with an equation: M0' = -M0^3 / 2."""
    grid = pb.Grid.geometric(1e-6, 300.0, 30)
    law = pb.PopulationBalance(grid, aggregation=pb.AggregationMaps(grid, pb.constant_kernel(grid, 1.0)))
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    own = add_population(model, model.t, law, pb.gamma_distribution(grid, 1.0, 1.0))
    own.intensity.unfix()
    model.closed = Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    model.slower = Constraint(model.t, rule=lambda m, t: own.intensity[t, "aggregation"] == own.particle_number[t] * u.m**3)
    trajectory = simulate(model, [0.0, 3.0], rtol=1e-9, atol=1e-12)
    assert trajectory["population.particle_number"][-1] == pytest.approx(0.5, rel=1e-7)


def test_optimum_with_exact_second_derivatives():
    """The aggregation that leaves half of the number after 2 s: M0 = 2 / (2 + t a), so a = 1 whatever else is chosen for one element."""
    grid = pb.Grid.geometric(1e-4, 300.0, 20)
    law = pb.PopulationBalance(grid, aggregation=pb.AggregationMaps(grid, pb.constant_kernel(grid, 1.0)))
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    own = add_population(model, model.t, law, pb.gamma_distribution(grid, 1.0, 1.0))
    model.closed = Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    model.off = Var(model.t, initialize=0.0)
    model.missed = Constraint(model.t, rule=lambda m, t: model.off[t] == (own.particle_number[t] * u.m**3 - 0.5) ** 2)
    name = "population.intensity[aggregation]"
    found = optimize(model, controls={name: Control(0.1, 3.0)}, minimize=Final("off"), elements=1)
    assert found.status is OptimumStatus.OPTIMAL
    assert found.controls[name].values[0] == pytest.approx(1.0, rel=1e-3)
    assert found.iterations < 15


@pytest.mark.parametrize("start", [np.ones(3), -np.ones(CELLS), np.full(CELLS, np.nan)])
def test_a_wrong_start_is_refused(start):
    with pytest.raises(UsageError, match="start of population"):
        closed_vessel(start)


def test_two_populations_in_one_model():
    law = balance()
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    start = pb.gamma_distribution(law.grid, 1.0, 1.0)
    one, other = (add_population(model, model.t, law, factor * start, name) for factor, name in ((1.0, "fine"), (2.0, "coarse")))
    model.carried = Var(model.t, initialize=0.0, bounds=(0, 1))
    model.carried.fix(0.25)
    for own, sign in ((one, -1), (other, 1)):
        own.balance = Constraint(
            model.t,
            own.cell,
            rule=lambda b, t, i, sign=sign: b.number_rate[t, i] == b.conversion[t, i] + sign * model.carried[t] / u.s * one.number[t, i],
        )
    assert_units_consistent(model)
    trajectory = simulate(model, [0.0, 1.0], rtol=1e-9, atol=1e-12)
    total = trajectory["fine.particle_volume"][-1] + trajectory["coarse.particle_volume"][-1]
    assert total == pytest.approx(3.0, rel=1e-8)
    assert trajectory["fine.particle_volume"][-1] == pytest.approx(np.exp(-0.25), rel=1e-7)


# ---- tracers ----


def vessel_with_tracers(contents: np.ndarray | None = None, tracers: tuple[str, ...] = ("liquid", "api")) -> ConcreteModel:
    """A closed vessel into which liquid is sprayed, 0.1 kg/(m3 s), onto particles by their volume."""
    law = balance()
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    start, x = pb.gamma_distribution(law.grid, 1.0, 1.0), law.grid.pivots
    if contents is None:
        contents = np.stack((np.zeros(CELLS), 0.3 * x * start), axis=1)
    own = add_population(model, model.t, law, start, tracers=tracers, contents=contents)
    model.closed = Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    spray = 0.1 * u.kg / u.m**3 / u.s

    def held(m, t, i, k):
        share = float(x[i]) * u.m**3 * own.number[t, i] / own.particle_volume[t]
        return own.tracer_rate[t, i, k] == own.tracer_conversion[t, i, k] + (spray * share if k == "liquid" else 0 * spray)

    model.held = Constraint(model.t, own.cell, own.tracer_name, rule=held)
    return model


def test_tracers_keep_what_is_brought_in():
    """Liquid grows by what is sprayed, the drug stays; both in proportion to volume, as they were brought in so."""
    model = vessel_with_tracers()
    assert_units_consistent(model)
    system = lower(model)
    assert (len(system.states), len(system.algebraics)) == (3 * CELLS, 0)
    trajectory = simulate(system, [0.0, 2.0, 5.0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(trajectory["population.tracer_total[liquid]"], [0.0, 0.2, 0.5], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(trajectory["population.tracer_total[api]"], 0.3, rtol=1e-10)
    x = balance().grid.pivots
    for i in (30, 45, 50):
        volume = x[i] * trajectory[f"population.number[{i}]"][-1]
        assert trajectory[f"population.tracer[{i},api]"][-1] == pytest.approx(0.3 * volume, rel=1e-6)
        assert trajectory[f"population.tracer[{i},liquid]"][-1] == pytest.approx(0.5 * volume, rel=1e-6)


def test_sensitivity_of_what_a_cell_holds_agrees_with_differences():
    name, output = "population.intensity[aggregation]", "population.tracer[45,liquid]"
    found = sensitivities(vessel_with_tracers(), [name], [output], [0.0, 1.0], rtol=1e-9, atol=1e-12)[output, name][-1]
    ends = []
    for factor in (0.999, 1.001):
        model = vessel_with_tracers()
        model.population.intensity[:, "aggregation"].fix(factor)
        ends.append(simulate(model, [0.0, 1.0], rtol=1e-11, atol=1e-14)[output][-1])
    assert found == pytest.approx((ends[1] - ends[0]) / 0.002, rel=1e-5)


@pytest.mark.parametrize("contents", [np.zeros((CELLS, 1)), -np.ones((CELLS, 2)), np.full((CELLS, 2), np.nan)])
def test_wrong_contents_are_refused(contents):
    with pytest.raises(UsageError, match="contents of population"):
        vessel_with_tracers(contents)


def test_a_tracer_named_twice_is_refused():
    with pytest.raises(UsageError, match="named twice"):
        vessel_with_tracers(tracers=("api", "api"))


# ---- two components ----


def mixed(start: np.ndarray | None = None) -> ConcreteModel:
    axis = pb.Grid.geometric(1e-2, 1e4, 8)
    plane = Plane(axis.pivots, axis.pivots)
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    one = pb.gamma_distribution(axis, 1.0, 1.0)
    law = PlaneBalance(plane, pb.sum_kernel(plane, 1.0))
    own = add_plane(model, model.t, law, np.outer(one, one) if start is None else start, "mixed")
    model.closed = Constraint(model.t, own.cell, rule=lambda m, t, p, q: own.number_rate[t, p, q] == own.conversion[t, p, q])
    return model


def test_two_components_by_a_sum_kernel():
    """K = x + y + x' + y' with M10 = M01 = 1: M0' = -2 M0 as in one component (Golovin 1963), and its derivative by the coefficient."""
    model = mixed()
    assert_units_consistent(model)
    trajectory = simulate(model, [0.0, 0.1], rtol=1e-9, atol=1e-12)
    number = sum(trajectory[f"mixed.number[{p},{q}]"][-1] for p, q in model.mixed.cell)
    assert number == pytest.approx(np.exp(-0.2), rel=1e-5)
    outputs = [f"mixed.number[{p},{q}]" for p, q in model.mixed.cell]
    found = sensitivities(mixed(), ["mixed.intensity[aggregation]"], outputs, [0.0, 0.1], rtol=1e-9, atol=1e-12)
    assert sum(found[output, "mixed.intensity[aggregation]"][-1] for output in outputs) == pytest.approx(-0.2 * np.exp(-0.2), rel=1e-4)


@pytest.mark.parametrize("start", [np.ones((8, 7)), -np.ones((8, 8)), np.full((8, 8), np.nan)])
def test_a_wrong_start_of_two_components_is_refused(start):
    with pytest.raises(UsageError, match="start of mixed"):
        mixed(start)


# ---- moments ----


def by_moments(start: np.ndarray | None = None) -> ConcreteModel:
    """Aggregation by a constant kernel and breakage S = v, three nodes, micrometer particles."""
    number, volume = 1e12, 1e-15
    law = moments.MomentBalance(
        3,
        kernel=lambda u, v: 1 / number,
        selection=lambda v: v / volume,
        fragments=moments.power_law_moments(3),
        nucleus=volume,
        number=number,
        volume=volume,
    )
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    own = add_moments(model, model.t, law, moments.gamma_moments(3, 1.0, 1.0) if start is None else start)
    model.closed = Constraint(model.t, own.order, rule=lambda m, t, k: own.moment_rate[t, k] == own.moment_conversion[t, k])
    return model


def test_number_by_moments_follows_its_closed_form():
    model = by_moments()
    assert_units_consistent(model)
    system = lower(model)
    assert (len(system.states), len(system.algebraics)) == (6, 0)
    trajectory = simulate(system, np.linspace(0, 5, 6), rtol=1e-9, atol=1e-12)
    turned = np.tanh(trajectory.t / np.sqrt(2))
    expected = np.sqrt(2) * (1 + np.sqrt(2) * turned) / (np.sqrt(2) + turned)
    np.testing.assert_allclose(trajectory["population.particle_number"], 1e12 * expected, rtol=1e-7)
    np.testing.assert_allclose(trajectory["population.particle_volume"], 1e-3, rtol=1e-9)


def test_an_optimum_by_moments():
    """The speed of aggregation that leaves half of the particles at t = 1: M0 = 2 / (2 + a), a = 2, found with exact second derivatives."""
    model = by_moments()
    own = model.population
    own.intensity[:, "breakage"].fix(0.0)
    own.intensity[:, "aggregation"].unfix()
    model.speed = Var(initialize=1.0)
    model.speed.fix(1.0)
    model.steady = Constraint(model.t, rule=lambda m, t: own.intensity[t, "aggregation"] == m.speed)
    model.missed = Expression(model.t, rule=lambda m, t: (own.moment[t, 0] - 0.5) ** 2)
    found = optimize(model, parameters={"speed": (0.1, 5.0)}, minimize=Final("missed"), horizon=1.0, elements=10)
    assert found.parameters["speed"] == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("start", [np.ones(6), np.ones(4), np.full(6, np.nan)])
def test_moments_of_no_distribution_are_refused(start):
    with pytest.raises(UsageError, match="start of population"):
        by_moments(start)
