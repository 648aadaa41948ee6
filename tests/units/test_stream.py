"""Powder streams and materials, sources and sinks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvers import simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units.sink import Sink
from units.source import Source
from units.stream import Material, mass_fractions


@given(st.lists(st.floats(-1e-12, 1e3), min_size=1, max_size=6))
def test_fractions_sum_to_one_at_any_flow(flows):
    fractions = mass_fractions({str(number): flow for number, flow in enumerate(flows)}, 1e-9)
    assert sum(fractions.values()) == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.isfinite(list(fractions.values())))


def test_fractions_are_exact_at_working_flow_and_uniform_at_none():
    assert mass_fractions({"a": 0.89e-3, "b": 0.11e-3}, 1e-9)["a"] == pytest.approx(0.89, abs=1e-12)
    assert mass_fractions({"a": 0.0, "b": 0.0}, 1e-9) == pytest.approx({"a": 0.5, "b": 0.5})


@pytest.mark.parametrize(("true_density", "bulk_density"), [(0.0, 1.0), (1500.0, -1.0), (float("nan"), 300.0), (300.0, 1500.0)])
def test_impossible_materials_are_refused_by_name(true_density, bulk_density):
    with pytest.raises(CaseError, match="talc"):
        Material("talc", true_density, bulk_density)


@pytest.mark.parametrize("unit", [Source, Sink])
def test_what_goes_in_comes_out(rig, unit):
    given = {"flow": {"excipient": 2e-3, "api": 0.0, "lubricant": 1e-5}} if unit is Source else {}
    setup = rig(unit, feed={"excipient": 2e-3, "api": 0.0, "lubricant": 1e-5}, horizon=100.0, **given)
    trajectory = simulate(setup.model, np.array([0.0, 50.0, 100.0]))
    assert setup.residual(trajectory) < 1e-12
    assert trajectory["balance.withdrawn[excipient]"] == pytest.approx([0.0, 0.1, 0.2])


def test_a_source_follows_a_profile(rig):
    setup = rig(Source, horizon=100.0, flow=1e-3)
    trajectory = simulate(setup.model, np.array([0.0, 100.0]), inputs={"unit.flow[api]": Profile((0.0, 40.0), (1e-3, 0.0))})
    assert trajectory["balance.withdrawn[api]"][-1] == pytest.approx(0.04, rel=1e-9)
    assert trajectory["balance.withdrawn[lubricant]"][-1] == pytest.approx(0.1, rel=1e-9)
    assert setup.residual(trajectory) < 1e-12


def test_no_flow_at_all_is_regular(rig):
    setup = rig(Source, horizon=100.0, flow=0.0)
    trajectory = simulate(setup.model, np.array([0.0, 100.0]))
    assert trajectory["unit.outlet_fraction[api]"] == pytest.approx(1 / 3)
