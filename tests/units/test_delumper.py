"""Delumper: delay and one tank in closed form, limits, conservation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson

from solvers import simulate
from units.delumper import Delumper

PURE = {"initial_composition": {"excipient": 1.0}}


def remaining(rig, **given):
    feed = {"excipient": 0.0, "api": 5e-3, "lubricant": 0.0}
    time = np.linspace(0.0, 200.0, 4001)
    setup = rig(Delumper, feed=feed, horizon=200.0, **(PURE | given))
    return time, simulate(setup.model, time, rtol=1e-10)["unit.outlet_flow[excipient]"] / 5e-3


def test_without_delay_it_is_one_mixed_tank(rig):
    time, left = remaining(rig, delay_cells=0, mean_time=8.0, initial_mass=5e-3 * 8.0)
    assert left == pytest.approx(np.exp(-time / 8.0), abs=1e-8)


def test_mean_and_variance_with_delay(rig):
    """Mean delay + mean_time; variance mean_time^2 and the 0.0304 delay^2 of ten cells."""
    time, left = remaining(rig, delay=4.0, delay_cells=10, mean_time=8.0, initial_mass=5e-3 * 12.0)
    assert simpson(left, x=time) == pytest.approx(12.0, rel=1e-6)
    assert 2 * simpson(left * time, x=time) - 144.0 == pytest.approx(64.0 + 0.0304 * 16.0, rel=1e-3)
    late = time > 8.0
    assert left[late] == pytest.approx(np.exp(-(time[late] - 4.0) / 8.0), abs=8e-3)


def test_an_empty_delumper_without_flow_stays_empty(rig):
    setup = rig(Delumper, feed=0.0, **PURE)
    assert simulate(setup.model, np.array([0.0, 100.0]))["unit.total_mass"] == pytest.approx(0.0, abs=1e-18)


@settings(max_examples=10, deadline=None)
@given(cells=st.integers(0, 10), start=st.floats(0.0, 1.0), flow=st.floats(0.0, 40.0), share=st.floats(0.0, 1.0))
def test_every_gram_is_accounted_for(rig, cells, start, flow, share):
    feed = {"excipient": flow * share / 3600, "api": flow * (1 - share) / 3600, "lubricant": 0.0}
    setup = rig(
        Delumper, feed=feed, horizon=100.0, delay_cells=cells, initial_mass=start, initial_composition={"excipient": 0.9, "api": 0.1}
    )
    trajectory = simulate(setup.model, np.linspace(0.0, 100.0, 41))
    assert setup.residual(trajectory) < 1e-9
    assert trajectory["unit.total_mass"][0] == pytest.approx(start, rel=1e-12)
    for component in feed:
        assert trajectory[f"unit.holdup[{component}]"].min() > -1e-5
