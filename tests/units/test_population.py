"""A population balance within a Pyomo model: closed vessel, sensitivities, events at its coefficients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.dae import ContinuousSet
from pyomo.environ import ConcreteModel, Constraint, Var
from pyomo.environ import units as u
from pyomo.util.check_units import assert_units_consistent

from csrc import population_balance as pb
from solvers import lower, sensitivities, simulate
from solvers.declare import Profile
from solvers.errors import UsageError
from units.population import add_population

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
