"""Liquid streams, their sources and sinks, and what may be joined to what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquids import HOUR, LITER, worst_residual
from pyomo.util.check_units import assert_units_consistent

from flowsheet import Flowsheet
from flowsheet.problems import ConnectionErrors
from solvers import lower, simulate
from solvers.declare import Profile
from units.liquid import LiquidComponent
from units.liquid_sink import LiquidSink
from units.liquid_source import LiquidSource
from units.sink import Sink
from units.source import Source
from units.stream import CELLS, MASS, MOLES, Material

COMPONENTS = {
    "host": LiquidComponent("host", CELLS),
    "salt": LiquidComponent("salt", MOLES),
    "protein": LiquidComponent("protein", MASS),
}


def pipe(components=COMPONENTS, horizon=10 * HOUR, **given):
    flowsheet = Flowsheet(horizon, components)
    flowsheet.add("medium", LiquidSource, **given)
    flowsheet.add("waste", LiquidSink)
    flowsheet.connect("medium.outlet", "waste.inlet", "hose")
    return flowsheet.model


def test_a_stream_carries_all_three_measures():
    model = pipe(flow=2e-8, cell_density={"host": 1e12}, molarity={"salt": 3.0}, mass_concentration={"protein": 0.5})
    assert_units_consistent(model)
    assert lower(model).z.numel() == 0
    assert set(model.medium.outlet.vars) == {"mass_flow", "molar_flow", "cell_flow", "volume_flow", "heat_flow"}
    trajectory = simulate(model, [0.0, 10 * HOUR])
    volume = 2e-8 * 10 * HOUR
    assert trajectory["waste.passed_volume"][-1] == pytest.approx(volume, rel=1e-9)
    for measure, name, concentration in (("_cells", "host", 1e12), ("_moles", "salt", 3.0), ("", "protein", 0.5)):
        for what in (f"supplied{measure}[{name}]", f"withdrawn{measure}[{name}]", f"passed{measure}[hose,{name}]"):
            assert trajectory[f"balance.{what}"][-1] == pytest.approx(concentration * volume, rel=1e-9), what
    assert trajectory["waste.inlet_cell_density[host]"] == pytest.approx(1e12, rel=1e-9)
    assert worst_residual(trajectory) < 1e-12


@pytest.mark.parametrize("measure", [MASS, MOLES, CELLS])
def test_one_component_is_enough(measure):
    model = pipe({"x": LiquidComponent("x", measure)}, flow=1e-8, **{measure.concentration: {"x": 2.0}})
    assert set(model.medium.outlet.vars) == {measure.flow, "volume_flow", "heat_flow"}
    assert worst_residual(simulate(model, [0.0, HOUR])) < 1e-12


def test_no_flow_is_a_regular_point():
    trajectory = simulate(pipe(flow=0.0, molarity={"salt": 3.0}), [0.0, HOUR], inputs={"medium.flow": Profile((0.0, HOUR / 2), (0.0, 0.0))})
    for name in trajectory.names:
        assert np.all(np.isfinite(trajectory[name])), name
    assert trajectory["waste.inlet_molarity[salt]"] == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(flow=st.floats(1e-11, 1e-2), molarity=st.floats(0.0, 1e4))
def test_concentrations_are_those_of_the_source_at_any_working_flow(flow, molarity):
    trajectory = simulate(pipe(flow=flow, molarity={"salt": molarity}), [0.0, 1.0])
    assert trajectory["waste.inlet_molarity[salt]"] == pytest.approx(molarity, rel=2e-8)


def test_a_pulse_between_output_points_is_not_lost():
    pulse = Profile((0.0, 1.01 * HOUR, 1.02 * HOUR), (0.0, LITER / HOUR, 0.0))
    trajectory = simulate(pipe(flow=0.0, molarity={"salt": 3.0}), np.arange(11) * HOUR, inputs={"medium.flow": pulse})
    assert trajectory["waste.inlet_volume_flow"].max() == 0.0
    assert trajectory["waste.passed_volume"][-1] == pytest.approx(0.01 * LITER, rel=1e-9)
    assert trajectory["balance.passed_moles[hose,salt]"][-1] == pytest.approx(3.0 * 0.01 * LITER, rel=1e-9)


def test_powder_and_liquid_are_not_joined():
    both = {"talc": Material("talc", 2700.0, 800.0), **COMPONENTS}
    flowsheet = Flowsheet(HOUR, both)
    flowsheet.add("medium", LiquidSource, flow=1e-8)
    flowsheet.add("hopper", Source, flow=1e-3)
    flowsheet.add("bin", Sink)
    flowsheet.add("waste", LiquidSink)
    with pytest.raises(ConnectionErrors, match=r"medium\.outlet carries liquid and bin\.inlet takes powder"):
        flowsheet.connect("medium.outlet", "bin.inlet")
    with pytest.raises(ConnectionErrors, match=r"hopper\.outlet carries powder and waste\.inlet takes liquid"):
        flowsheet.connect("hopper.outlet", "waste.inlet")
    flowsheet.connect("medium.outlet", "waste.inlet")
    flowsheet.connect("hopper.outlet", "bin.inlet")
    trajectory = simulate(flowsheet.model, [0.0, HOUR])
    assert trajectory["balance.withdrawn[talc]"][-1] == pytest.approx(3.6, rel=1e-9)
    assert not any("talc" in name for name in trajectory.names if name.startswith(("medium.", "waste.")))
    assert worst_residual(trajectory) < 1e-12
