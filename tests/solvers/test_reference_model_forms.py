"""The ways engineers write Pyomo models: nested custom blocks, ports and arcs, References, many indices, space sets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pyomo.core.base.block import BlockData, declare_custom_block
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import Block, ConcreteModel, Constraint, Expression, Param, RangeSet, Reference, Set, TransformationFactory, Var
from pyomo.environ import units as u
from pyomo.network import Arc, Port

from solvers import lower, simulate

COMPONENTS = ("api", "excipient")
TIMES = np.linspace(0.0, 4.0, 21)


@declare_custom_block("Stage", rule="build")
class StageData(BlockData):
    """One stirred stage: component masses, flow out proportional to them."""

    def build(self, *_: Any, time: ContinuousSet, rate: float) -> None:
        self.rate = Param(initialize=rate, mutable=True, units=1 / u.s)
        self.mass = Var(time, COMPONENTS, initialize=0.0, units=u.kg)
        self.mass_dot = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s)
        self.feed_flow = Var(time, COMPONENTS, initialize=0.0, units=u.kg / u.s)
        self.outlet_flow = Var(time, COMPONENTS, initialize=0.0, units=u.kg / u.s)
        self.total = Expression(time, rule=lambda b, t: sum(b.mass[t, c] for c in COMPONENTS))
        self.drain = Constraint(time, COMPONENTS, rule=lambda b, t, c: b.outlet_flow[t, c] == b.rate * b.mass[t, c])
        self.balance = Constraint(time, COMPONENTS, rule=lambda b, t, c: b.mass_dot[t, c] == b.feed_flow[t, c] - b.outlet_flow[t, c])
        self.inlet = Port()
        self.inlet.add(self.feed_flow, "flow")
        self.outlet = Port()
        self.outlet.add(self.outlet_flow, "flow")
        for c in COMPONENTS:
            self.mass[time.first(), c].fix(0.0)


def cascade(stages: int, rate: float = 1.5) -> ConcreteModel:
    """Return equal stages in a line within a nested block; a unit step of api and half a unit of excipient enters."""
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 4))
    model.plant = Block()
    for k in range(stages):
        model.plant.add_component(f"stage_{k}", Stage(time=model.time, rate=rate))  # noqa: F821 (declare_custom_block adds the name)
        if k:
            before, this = (model.plant.component(f"stage_{j}") for j in (k - 1, k))
            model.plant.add_component(f"stream_{k}", Arc(source=before.outlet, destination=this.inlet))
    for c, flow in zip(COMPONENTS, (1.0, 0.5), strict=True):
        model.plant.stage_0.feed_flow[:, c].fix(flow)
    return model


def tanks_response(times: np.ndarray, stages: int, rate: float) -> np.ndarray:
    """Return the outflow of equal tanks in series after a unit step (Erlang distribution)."""
    x = rate * times
    return 1 - np.exp(-x) * sum(x**k / math.factorial(k) for k in range(stages))


@pytest.mark.parametrize("expanded", [False, True])
def test_nested_custom_blocks_joined_by_arcs(expanded: bool) -> None:
    model = cascade(4)
    if expanded:
        TransformationFactory("network.expand_arcs").apply_to(model)
    trajectory = simulate(model, TIMES)
    for c, flow in zip(COMPONENTS, (1.0, 0.5), strict=True):
        expected = flow * tanks_response(TIMES, 4, 1.5)
        np.testing.assert_allclose(trajectory[f"plant.stage_3.outlet_flow[{c}]"], expected, atol=1e-8)
        np.testing.assert_allclose(trajectory[model.plant.stage_3.outlet_flow[:, c]], expected, atol=1e-8)
    total = trajectory["plant.stage_0.total"]
    np.testing.assert_allclose(total, trajectory["plant.stage_0.mass[api]"] + trajectory["plant.stage_0.mass[excipient]"], rtol=1e-12)


def test_aliases_leave_nothing_but_the_states() -> None:
    """Four stages of two components: eight states; flows and arcs are assignments."""
    system = lower(cascade(4))
    assert len(system.states) == 8
    assert len(system.algebraics) == 0


def test_streams_keep_their_units_and_order() -> None:
    trajectory = simulate(cascade(2), TIMES)
    assert trajectory.unit("plant.stage_1.outlet_flow[api]") == "kg/s"
    assert trajectory.unit("plant.stage_1.mass[api]") == "kg"
    names = trajectory.names
    assert names.index("plant.stage_0.mass[api]") < names.index("plant.stage_1.mass[api]")
    assert len(names) == len(set(names))
    for name in names:
        assert trajectory[name].shape == TIMES.shape


def test_components_in_another_order_give_the_same_result() -> None:
    forward = simulate(cascade(3), TIMES, rtol=1e-10, atol=1e-12)
    model = cascade(3)
    model.plant.stage_0.feed_flow[:, "api"].fix(0.5)
    model.plant.stage_0.feed_flow[:, "excipient"].fix(1.0)
    swapped = simulate(model, TIMES, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(forward["plant.stage_2.mass[api]"], swapped["plant.stage_2.mass[excipient]"], rtol=1e-9)


def test_recycle_of_arcs_with_a_mixer() -> None:
    """Half of what leaves the second tank comes back: steady holdups have a closed form."""
    model = cascade(2)
    model.fresh = Param(initialize=1.0, mutable=True, units=u.kg / u.s)
    for c in COMPONENTS:
        model.plant.stage_0.feed_flow[:, c].unfix()
    model.mixer = Constraint(
        model.time,
        COMPONENTS,
        rule=lambda m, t, c: m.plant.stage_0.feed_flow[t, c] == m.fresh + 0.5 * m.plant.stage_1.outlet_flow[t, c],
    )
    trajectory = simulate(model, [0.0, 2.0, 4.0], inputs={"plant.stage_0.rate": 30.0, "plant.stage_1.rate": 30.0})
    np.testing.assert_allclose(trajectory["plant.stage_1.outlet_flow[api]"][-1], 2.0, rtol=1e-7)


def test_references_are_the_variables_they_point_to() -> None:
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 4))
    model.tanks = RangeSet(2)
    model.tank = Block(model.tanks)
    for k in model.tanks:
        tank = model.tank[k]
        tank.level = Var(model.time, initialize=1.0)
        tank.level_dot = DerivativeVar(tank.level, wrt=model.time)
        tank.level[0].fix(float(k))
    model.first = Reference(model.tank[1].level)
    model.level = Reference(model.tank[:].level[:])
    model.exchange = Constraint(
        model.tanks, model.time, rule=lambda m, k, t: m.tank[k].level_dot[t] == 0.5 * (m.level[3 - k, t] - m.level[k, t])
    )
    trajectory = simulate(model, TIMES)
    expected = 1.5 - 0.5 * np.exp(-TIMES)
    np.testing.assert_allclose(trajectory["tank[1].level"], expected, atol=1e-8)
    np.testing.assert_allclose(trajectory[model.first[:]], expected, atol=1e-8)
    np.testing.assert_allclose(trajectory["tank[2].level"], 3 - expected, atol=1e-8)


def test_time_index_in_the_middle() -> None:
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 4))
    model.i, model.j = Set(initialize=["a", "b"]), RangeSet(3)
    model.x = Var(model.i, model.time, model.j, initialize=1.0)
    model.dx = DerivativeVar(model.x, wrt=model.time)
    model.decay = Constraint(model.i, model.time, model.j, rule=lambda m, i, t, j: m.dx[i, t, j] == -j * m.x[i, t, j])
    for i in model.i:
        for j in model.j:
            model.x[i, 0, j].fix(2.0 if i == "a" else 1.0)
    trajectory = simulate(model, TIMES)
    np.testing.assert_allclose(trajectory["x[a,3]"], 2 * np.exp(-3 * TIMES), atol=1e-7)
    np.testing.assert_allclose(trajectory[model.x["b", :, 2]], np.exp(-2 * TIMES), atol=1e-7)


def rod(nfe: int, scheme: str) -> ConcreteModel:
    """Return u_t = u_zz on [0, 1] with cold ends, u(0, z) = sin(pi z) + sin(3 pi z) / 2; time is left continuous."""
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 0.1))
    model.z = ContinuousSet(bounds=(0, 1))
    model.u = Var(model.time, model.z, initialize=0.0)
    model.u_t = DerivativeVar(model.u, wrt=model.time)
    model.u_zz = DerivativeVar(model.u, wrt=(model.z, model.z))

    def heat(m: Any, t: Any, z: float) -> Any:
        return m.u[t, z] == 0 if z in (0, 1) else m.u_t[t, z] == m.u_zz[t, z]

    model.heat = Constraint(model.time, model.z, rule=heat)
    TransformationFactory("dae.finite_difference").apply_to(model, nfe=nfe, wrt=model.z, scheme=scheme)
    for z in model.z:
        if 0 < z < 1:
            model.u[0, z].fix(math.sin(math.pi * z) + 0.5 * math.sin(3 * math.pi * z))
    return model


def test_heat_equation_against_fourier_series_with_observed_order() -> None:
    times = np.linspace(0.0, 0.1, 11)
    errors = []
    for nfe in (10, 20, 40):
        model = rod(nfe, "CENTRAL")
        trajectory = simulate(model, times, rtol=1e-10, atol=1e-12)
        error = 0.0
        for z in model.z:
            if 0 < z < 1:
                exact = np.exp(-(math.pi**2) * times) * math.sin(math.pi * z)
                exact += 0.5 * np.exp(-9 * math.pi**2 * times) * math.sin(3 * math.pi * z)
                error = max(error, float(np.max(np.abs(trajectory[model.u[:, z]] - exact))))
        errors.append(error)
    assert errors[-1] < 2e-3
    assert math.log2(errors[-2] / errors[-1]) == pytest.approx(2.0, abs=0.1)


def test_discrete_eigenvalues_are_met_exactly() -> None:
    """On the grid the decay rate is 4 n^2 sin^2(pi / 2n): no error but that of time integration is left."""
    nfe, times = 16, np.linspace(0.0, 0.1, 6)
    model = rod(nfe, "CENTRAL")
    for z in model.z:
        if 0 < z < 1:
            model.u[0, z].fix(math.sin(math.pi * z))
    trajectory = simulate(model, times, rtol=1e-11, atol=1e-13)
    decay = 4 * nfe**2 * math.sin(math.pi / (2 * nfe)) ** 2
    np.testing.assert_allclose(trajectory["u[0.5]"], np.exp(-decay * times), rtol=1e-8)


def test_space_discretized_by_collocation() -> None:
    """Third-order collocation per element on z; polynomials in space make the mode smooth enough for 1e-3."""
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 1))
    model.z = ContinuousSet(bounds=(0, 1))
    model.c = Var(model.time, model.z, initialize=0.0)
    model.c_t = DerivativeVar(model.c, wrt=model.time)
    model.c_z = DerivativeVar(model.c, wrt=model.z)
    model.inlet = Var(model.time, initialize=1.0)
    model.inlet.fix(1.0)

    def transport(m: Any, t: Any, z: float) -> Any:
        """c_t = -c_z - c: steady profile exp(-z)."""
        return m.c[t, z] == m.inlet[t] if z == 0 else m.c_t[t, z] == -m.c_z[t, z] - m.c[t, z]

    model.transport = Constraint(model.time, model.z, rule=transport)
    TransformationFactory("dae.collocation").apply_to(model, nfe=6, ncp=3, wrt=model.z)
    for z in model.z:
        if z > 0:
            model.c[0, z].fix(math.exp(-z))
    trajectory = simulate(model, [0.0, 1.0])
    for z in model.z:
        assert trajectory[model.c[:, z]][-1] == pytest.approx(math.exp(-z), rel=1e-5)


def test_equations_in_any_form_are_solved_for_their_derivative() -> None:
    """Derivatives scaled, on both sides, or mixed linearly; 2 x' + y' = ... is a linear system for the derivatives."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 4))
    model.x, model.y = Var(model.t, initialize=1.0), Var(model.t, initialize=0.0)
    model.dx, model.dy = DerivativeVar(model.x), DerivativeVar(model.y)
    model.one = Constraint(model.t, rule=lambda m, t: 2 * m.dx[t] + m.dy[t] == -2 * m.x[t] + m.x[t])
    model.two = Constraint(model.t, rule=lambda m, t: m.x[t] == m.dy[t])
    model.x[0].fix(1.0)
    model.y[0].fix(0.0)
    trajectory = simulate(model, TIMES)
    np.testing.assert_allclose(trajectory["x"], np.exp(-TIMES), atol=1e-7)
    np.testing.assert_allclose(trajectory["y"], 1 - np.exp(-TIMES), atol=1e-7)


def test_derivative_is_a_result_too() -> None:
    model = rod(8, "CENTRAL")
    trajectory = simulate(model, [0.0, 0.05, 0.1])
    np.testing.assert_allclose(trajectory["u_t[0.5]"], trajectory["u_zz[0.5]"], rtol=1e-9)


def test_ten_thousand_equations_are_lowered() -> None:
    """Structure only, no wall time: states, what was eliminated, and the entries of the Jacobian."""
    cells = 2500
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.cells = RangeSet(cells)
    model.x = Var(model.t, model.cells, initialize=1.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.flow = Var(model.t, model.cells, initialize=0.0)
    model.rate = Var(model.t, model.cells, initialize=0.0)
    model.copy = Var(model.t, model.cells, initialize=0.0)
    model.inflow = Param(initialize=1.0, mutable=True)
    model.transport = Constraint(model.t, model.cells, rule=lambda m, t, k: m.flow[t, k] == 3 * m.copy[t, k])
    model.reaction = Constraint(model.t, model.cells, rule=lambda m, t, k: m.rate[t, k] == 0.1 * m.x[t, k] ** 2)
    model.alias = Constraint(model.t, model.cells, rule=lambda m, t, k: m.copy[t, k] == m.x[t, k])
    model.balance = Constraint(
        model.t,
        model.cells,
        rule=lambda m, t, k: m.dx[t, k] == (m.inflow if k == 1 else m.flow[t, k - 1]) - m.flow[t, k] - m.rate[t, k],
    )
    model.x[0, :].fix(1.0)
    system = lower(model)
    assert len(system.states) == cells
    assert len(system.algebraics) == 0
    trajectory = simulate(system, [0.0, 1.0], rtol=1e-6, atol=1e-8)
    assert set(trajectory.names) >= {"x[1]", "flow[2500]", "rate[7]", "copy[2500]", "dx[2]"}
    np.testing.assert_array_equal(trajectory["copy[11]"], trajectory["x[11]"])
    np.testing.assert_allclose(trajectory["rate[11]"], 0.1 * trajectory["x[11]"] ** 2, rtol=1e-14)
    # far from the inlet all cells do the same: x' = 3 x - 3 x - x^2 / 10
    assert trajectory["x[2000]"][-1] == pytest.approx(1 / 1.1, rel=1e-5)


def test_expressions_without_time_stand_anywhere() -> None:
    """Shares of parameters, over a set of their own: on the model, and on a block over time."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.stage = Set(initialize=[1, 2])
    model.weight = Param(model.stage, initialize={1: 1.0, 2: 3.0}, mutable=True)
    model.share = Expression(model.stage, rule=lambda m, j: m.weight[j] / (m.weight[1] + m.weight[2]))
    model.x = Var(model.t, initialize=0.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.rise = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.share[2])
    model.at = Block(model.t)
    for t in model.t:
        model.at[t].part = Expression(model.stage, rule=lambda b, j, t=t: b.model().share[j] * b.model().x[t])
    model.x[0].fix(0.0)
    trajectory = simulate(model, [0.0, 1.0])
    assert trajectory["x"][-1] == pytest.approx(0.75, rel=1e-9)
    assert trajectory["at.part[2]"][-1] == pytest.approx(0.75**2, rel=1e-9)
