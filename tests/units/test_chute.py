"""Chute: transit time, changing speed, order, limits, conservation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import SMOOTH, fed
from scipy.integrate import simpson

from solvers import simulate
from solvers.declare import Profile
from units.chute import Chute

TRANSIT = 20.0
EMPTY = {"initial_composition": {"filler": 1.0}, "transit_time": TRANSIT}


def wave(t, sin):
    """A mass flow that swells in and out, and begins smoothly."""
    return SMOOTH * sin(np.pi * t / (2 * TRANSIT)) ** 2 * t**2 / (t**2 + TRANSIT**2)


def error(cells):
    model = fed(Chute, wave, lambda t, sin: 0.1 + 0 * t, 3 * TRANSIT, cells=cells, **EMPTY)
    time = np.linspace(0.0, 3 * TRANSIT, 301)
    exact = np.where(time > TRANSIT, wave(np.maximum(time - TRANSIT, 0.0), np.sin), 0.0)
    return np.abs(simulate(model, time, rtol=1e-9)["unit.outlet_total"] / SMOOTH - exact / SMOOTH).mean()


def test_flow_is_delayed_to_the_third_order():
    errors = [error(cells) for cells in (40, 80, 160)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 5e-5
    assert orders[-1] > 2.7
    assert orders[0] > 2.2


def test_a_step_arrives_after_the_transit_time(rig):
    setup = rig(Chute, feed={"excipient": 1e-3, "api": 1e-3, "lubricant": 0.0}, transit_time=TRANSIT, initial_composition={"api": 1.0})
    time = np.linspace(0.0, 100.0, 2001)
    trajectory = simulate(setup.model, time)
    missing = 1 - trajectory["unit.outlet_total"] / 2e-3
    assert simpson(missing, x=time) == pytest.approx(TRANSIT, rel=1e-5)
    assert trajectory["unit.total_mass"][-1] == pytest.approx(2e-3 * TRANSIT, rel=1e-6)
    assert trajectory["unit.outlet_total"].min() > -5e-6


def test_a_belt_that_all_but_stops_keeps_what_lies_on_it(rig):
    setup = rig(Chute, horizon=200.0, feed=0.0, initial_mass=0.1, initial_composition={"api": 1.0}, transit_time=TRANSIT)
    trajectory = simulate(
        setup.model, np.array([0.0, 5.0, 105.0, 160.0]), inputs={"unit.transit_time": Profile((0.0, 5.0, 105.0), (20.0, 1e9, 20.0))}
    )
    held = trajectory["unit.total_mass"]
    assert held[1] == pytest.approx(held[2], rel=1e-6)
    assert held[3] == pytest.approx(0.0, abs=1e-5)
    assert setup.residual(trajectory) < 1e-10


def test_one_cell_is_a_mixed_tank(rig):
    setup = rig(Chute, feed=1e-3, cells=1, transit_time=TRANSIT, initial_composition={"api": 1.0})
    time = np.linspace(0.0, 100.0, 11)
    assert simulate(setup.model, time)["unit.outlet_total"] == pytest.approx(3e-3 * (1 - np.exp(-time / TRANSIT)), abs=1e-10)


def test_an_empty_chute_without_flow_stays_empty(rig):
    setup = rig(Chute, feed=0.0, initial_composition={"api": 1.0})
    assert simulate(setup.model, np.array([0.0, 100.0]))["unit.total_mass"] == pytest.approx(0.0, abs=1e-18)


@settings(max_examples=10, deadline=None)
@given(
    cells=st.integers(1, 25), start=st.floats(0.0, 1.0), flow=st.floats(0.0, 40.0), share=st.floats(0.0, 1.0), transit=st.floats(1.0, 60.0)
)
def test_every_gram_is_accounted_for(rig, cells, start, flow, share, transit):
    feed = {"excipient": flow * share / 3600, "api": flow * (1 - share) / 3600, "lubricant": 0.0}
    given = {"cells": cells, "initial_mass": start, "initial_composition": {"excipient": 0.9, "api": 0.1}, "transit_time": transit}
    setup = rig(Chute, feed=feed, horizon=200.0, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, 200.0, 41))
    assert setup.residual(trajectory) < 1e-9
    for component in feed:
        assert trajectory[f"unit.holdup[{component}]"].min() > -1e-5
