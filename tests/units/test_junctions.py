"""Mixer, splitter and diverter: conservation, closed forms, limit cases."""

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.dae import ContinuousSet
from pyomo.network import Arc

from solvers import simulate
from solvers.declare import Interpolation, Profile
from solvers.errors import CaseError
from units.diverter import Diverter
from units.mixer import Mixer
from units.sink import Sink
from units.source import Source
from units.splitter import Splitter
from units.stream import Material

MATERIALS = {name: Material(name, true_density=1500.0, bulk_density=400.0) for name in ("a", "b")}


def junction(unit: Any, feeds: list[dict[str, float]], horizon: float = 100.0, **parameters: Any) -> pyo.ConcreteModel:
    """Return a model of one unit with a source at each inlet and a sink at each outlet."""
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.unit = unit(time=model.time, materials=MATERIALS, **parameters)
    contract = unit._ComponentDataClass
    for k, (name, feed) in enumerate(zip(contract.inlets(parameters), feeds, strict=True)):
        source = Source(time=model.time, materials=MATERIALS, flow=feed)
        model.add_component(f"source_{k}", source)
        model.add_component(f"feed_{k}", Arc(source=source.outlet, destination=model.unit.component(name)))
    for name in contract.outlets(parameters):
        sink = Sink(time=model.time, materials=MATERIALS)
        model.add_component(f"sink_{name}", sink)
        model.add_component(f"to_{name}", Arc(source=model.unit.component(name), destination=sink.inlet))
    for name in contract.required_signals:
        model.signal = pyo.Var(model.time, initialize=0.0)
        model.signal.fix(0.0)
        model.wire = pyo.Constraint(model.time, rule=lambda m, t, name=name: m.unit.component(name)[t] == m.signal[t])
    return model


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=5))
def test_a_mixer_adds_what_arrives(flows: list[tuple[float, float]]) -> None:
    trajectory = simulate(junction(Mixer, [{"a": a, "b": b} for a, b in flows], inlets=len(flows)), [1.0])
    for k, name in enumerate("ab"):
        assert trajectory[f"unit.outlet_flow[{name}]"][0] == pytest.approx(sum(flow[k] for flow in flows), abs=1e-15)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_splitter_divides_and_keeps_the_composition(share: float, a: float, b: float) -> None:
    trajectory = simulate(junction(Splitter, [{"a": a, "b": b}], share=share), [1.0])
    for name, flow in (("a", a), ("b", b)):
        one, other = (trajectory[f"unit.outlet_{k}_flow[{name}]"][0] for k in (1, 2))
        assert one == pytest.approx(share * flow, abs=1e-15)
        assert one + other == pytest.approx(flow, abs=1e-15)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_beyond_all_is_refused(share: float) -> None:
    with pytest.raises(CaseError, match="share"):
        junction(Splitter, [{"a": 1.0, "b": 0.0}], share=share)


GATE = {"lower": -1.0, "upper": 1.0, "travel_time": 2.0}


def test_a_diverter_turns_away_what_is_outside_the_limits() -> None:
    """The signal rises through 1 at 20 s and falls through 0.95 at 61 s; the gate follows with a lag of first order."""
    model = junction(Diverter, [{"a": 0.6, "b": 0.4}], **GATE)
    t = np.linspace(0.0, 100.0, 1001)
    course = Profile((0.0, 40.0, 80.0), (0.0, 2.0, 0.0), Interpolation.LINEAR)
    trajectory = simulate(model, t, inputs={"signal": course})
    assert [(event.event, round(event.time, 6)) for event in trajectory.events] == [("divert_begin", 20.0), ("return_begin", 61.0)]
    gate = np.where(t < 20, 0.0, 1 - np.exp(-(np.maximum(t, 20) - 20) / 2))
    gate = np.where(t < 61, gate, (1 - np.exp(-20.5)) * np.exp(-(np.maximum(t, 61) - 61) / 2))
    np.testing.assert_allclose(trajectory["unit.gate"], gate, atol=1e-7)
    np.testing.assert_allclose(trajectory["unit.reject_flow[a]"], 0.6 * gate, atol=1e-7)
    np.testing.assert_allclose(trajectory["unit.outlet_flow[b]"], 0.4 * (1 - gate), atol=1e-7)
    # the gate's lag costs and spares the same: what is diverted is the time outside
    assert trajectory["unit.diverted"][-1] == pytest.approx(41.0, abs=1e-6)


def test_diverting_lasts_at_least_for_the_hold() -> None:
    model = junction(Diverter, [{"a": 1.0, "b": 0.0}], **GATE, hold=30.0)
    course = Profile((0.0, 10.0, 15.0), (0.0, 5.0, 0.0))
    trajectory = simulate(model, [100.0], inputs={"signal": course})
    assert [(event.event, round(event.time, 6)) for event in trajectory.events] == [("divert_begin", 10.0), ("return_begin", 40.0)]


def test_below_its_limit_from_the_start() -> None:
    trajectory = simulate(junction(Diverter, [{"a": 1.0, "b": 0.0}], **GATE), [50.0], inputs={"signal": -3.0})
    assert [(event.event, event.time) for event in trajectory.events] == [("divert_begin", 0.0)]
    assert trajectory["unit.gate"][0] == pytest.approx(1.0, abs=1e-9)


def test_without_a_flow_the_gate_moves_and_nothing_is_diverted() -> None:
    trajectory = simulate(junction(Diverter, [{"a": 0.0, "b": 0.0}], **GATE), [50.0], inputs={"signal": 3.0})
    assert trajectory["unit.diverted"][0] == 0.0
    assert trajectory["unit.gate"][0] == pytest.approx(1.0, abs=1e-9)


def test_limits_have_to_be_in_order() -> None:
    with pytest.raises(CaseError, match="has to lie above lower"):
        junction(Diverter, [{"a": 1.0, "b": 0.0}], lower=1.0, upper=1.0)
