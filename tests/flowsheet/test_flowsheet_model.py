"""Assembling a flowsheet by hand: connections, names, the balance."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.network import Arc
from pyomo.util.check_units import assert_units_consistent

from flowsheet import Flowsheet
from flowsheet.connections import Ports, connection_faults, disconnected
from flowsheet.problems import ConnectionErrors
from flowsheet.variables import time_variables, variable_unit
from solvers import simulate
from solvers.errors import CaseError, StructureError, UsageError
from units.blender import ContinuousBlender
from units.sink import Sink
from units.source import Source
from units.stream import Material

MATERIALS = {name: Material(name, true_density=1500.0, bulk_density=400.0) for name in ("api", "filler")}
BLEND = {"api": 0.1, "filler": 0.9}


def line() -> Flowsheet:
    flowsheet = Flowsheet(horizon=600.0, materials=MATERIALS)
    flowsheet.add("feed", Source, flow={"api": 2e-4, "filler": 4e-3})
    flowsheet.add("blender", "continuous_blender", initial_mass=0.3, initial_composition=BLEND)
    flowsheet.add("bin", Sink)
    flowsheet.connect("feed.outlet", "blender.inlet_1")
    flowsheet.connect("blender.outlet", "bin.inlet")
    return flowsheet


def test_balance_is_a_quadrature_of_what_crosses_the_boundary() -> None:
    model = line().model
    assert_units_consistent(model)
    trajectory = simulate(model, np.linspace(0.0, 600.0, 7))
    for component, flow in (("api", 2e-4), ("filler", 4e-3)):
        supplied = trajectory[f"balance.supplied[{component}]"]
        withdrawn = trajectory[f"balance.withdrawn[{component}]"]
        inventory = trajectory[f"balance.inventory[{component}]"]
        np.testing.assert_allclose(supplied, flow * trajectory.t, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(inventory[0], 0.3 * BLEND[component], rtol=1e-12)
        np.testing.assert_allclose(supplied - withdrawn, inventory - inventory[0], rtol=0, atol=1e-8 * supplied[-1])


def test_nothing_is_added_to_a_complete_model() -> None:
    flowsheet = line()
    assert flowsheet.model is flowsheet.model
    with pytest.raises(UsageError, match="complete"):
        flowsheet.add("more", Sink)
    with pytest.raises(UsageError, match="complete"):
        flowsheet.connect("feed.outlet", "bin.inlet")


def test_open_ports_are_refused() -> None:
    flowsheet = Flowsheet(horizon=1.0, materials=MATERIALS)
    flowsheet.add("feed", Source, flow=BLEND)
    flowsheet.add("blender", ContinuousBlender, inlets=2, initial_composition=BLEND)
    flowsheet.connect("feed.outlet", "blender.inlet_1")
    with pytest.raises(ConnectionErrors) as caught:
        _ = flowsheet.model
    assert {problem.message for problem in caught.value.problems} == {
        "the inlet inlet_2 is not connected",
        "the outlet outlet is not connected",
    }


WRONG_STREAMS = [
    ("feed.outlet", "blender.inlet_9", "blender has no port 'inlet_9'"),
    ("feed.outlet", "mixer.inlet_1", "there is no unit 'mixer'"),
    ("bin.inlet", "blender.inlet_1", "bin.inlet is an inlet"),
    ("feed.outlet", "bin.inlet", "bin.inlet is used twice"),
]


@pytest.mark.parametrize(("source", "target", "message"), WRONG_STREAMS)
def test_wrong_stream(source: str, target: str, message: str) -> None:
    flowsheet = Flowsheet(horizon=1.0, materials=MATERIALS)
    for name, kind in (("feed", Source), ("feed_2", Source)):
        flowsheet.add(name, kind, flow=BLEND)
    flowsheet.add("blender", ContinuousBlender, initial_composition=BLEND)
    flowsheet.add("bin", Sink)
    flowsheet.connect("blender.outlet", "bin.inlet")
    with pytest.raises(StructureError) as caught:
        flowsheet.connect(source, target)
    assert message in str(caught.value)
    assert len(flowsheet.streams) == 1


def test_names_of_streams_reach_the_model() -> None:
    flowsheet = Flowsheet(horizon=1.0, materials=MATERIALS)
    for name in ("a", "b", "S2"):
        flowsheet.add(name, Source, flow=BLEND)
        flowsheet.add(f"bin_{name}", Sink)
    flowsheet.connect("a.outlet", "bin_a.inlet", "stream_1")
    for taken in ("stream_1", "bin_a", "time"):
        with pytest.raises(UsageError, match=f"stream '{taken}'"):
            flowsheet.connect("b.outlet", "bin_b.inlet", taken)
    flowsheet.connect("b.outlet", "bin_b.inlet")
    flowsheet.connect("S2.outlet", "bin_S2.inlet")
    arcs = {arc.name: arc.source.name for arc in flowsheet.model.component_objects(Arc)}
    # what has no name is numbered by its place, past what a unit is called
    assert arcs == {"stream_1": "a.outlet", "S3": "b.outlet", "S4": "S2.outlet"}


def test_streams_of_different_components_are_refused() -> None:
    flowsheet = Flowsheet(horizon=1.0, materials=MATERIALS)
    flowsheet.add("feed", Source, flow=BLEND)
    flowsheet.materials["water"] = Material("water", 1000.0, 1000.0)
    flowsheet.add("bin", Sink)
    with pytest.raises(StructureError, match=r"only one of them has flow\[water\]"):
        flowsheet.connect("feed.outlet", "bin.inlet")


@pytest.mark.parametrize("name", ["time", "balance", "clone", "config", "doc", "statistics", "1st", "a b", "a.b", "", "x" * 65, "ünit"])
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(UsageError):
        Flowsheet(horizon=1.0, materials=MATERIALS).add(name, Sink)


def test_a_unit_that_cannot_be_built_leaves_nothing_behind() -> None:
    flowsheet = Flowsheet(horizon=1.0, materials=MATERIALS)
    with pytest.raises(CaseError, match=r"sum to 0\.500000000"):
        flowsheet.add("feeder", "loss_in_weight_feeder", composition={"api": 0.5}, setpoint=1e-3)
    flowsheet.add("feeder", "loss_in_weight_feeder", composition={"api": 1.0}, setpoint=1e-3)
    assert flowsheet.units == ("feeder",)


@pytest.mark.parametrize("horizon", [0.0, -1.0, float("nan"), float("inf")])
def test_wrong_horizon(horizon: float) -> None:
    with pytest.raises(UsageError, match="horizon"):
        Flowsheet(horizon=horizon, materials=MATERIALS)


def test_only_unit_operations_are_added() -> None:
    flowsheet = Flowsheet(horizon=1.0, materials=MATERIALS)
    with pytest.raises(UsageError, match="not a unit operation"):
        flowsheet.add("x", dict)
    with pytest.raises(CaseError, match="did you mean sink"):
        flowsheet.add("x", "sinc")


def test_variables_are_called_as_in_a_trajectory() -> None:
    model = line().model
    found = time_variables(model.blender, model.time)
    trajectory = simulate(model, [0.0, 1.0])
    assert {"blender.mass[2,api]", "blender.outlet_fraction[filler]", "blender.total_mass"} <= set(found)
    assert {name for name in trajectory.names if name.startswith("blender.")} >= set(found)
    assert variable_unit(found["blender.speed"]) == "rev/s"


def test_disconnected_units() -> None:
    ports = {"a": Ports((), ("out",)), "b": Ports(("in",), ()), "c": Ports(("in",), ("out",)), "clock": Ports((), ())}
    assert disconnected(ports, [("a.out", "b.in")]) == ("c",)
    assert [fault.unit for fault in connection_faults(ports, [("a.out", "b.in")])] == ["c", "c"]
