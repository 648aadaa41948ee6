"""Hopper: plug flow at changing rates against the exact one, order of the scheme, limits, conservation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import PAIR, SMOOTH, fed, plug_flow
from scipy.integrate import simpson

from solvers import SimulationError, simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units.hopper import Hopper

FULL = {"initial_mass": 0.5, "initial_composition": {"filler": 1.0}, "heel": 1e-6}
DELAY = 0.5 / SMOOTH


def steady(t, sin):
    return SMOOTH + 0 * t


def wave(t, sin):
    """A share of drug that swells in and out, once in a delay; it and its slope begin at zero."""
    return 0.05 * sin(np.pi * t / DELAY) ** 2 * t**2 / (t**2 + DELAY**2)


def changing(t, sin):
    return SMOOTH * (1 + 0.4 * sin(2 * np.pi * t / (1.3 * DELAY)))


def drawn(t, sin):
    return SMOOTH / 330.0 * (1 + 0.3 * sin(2 * np.pi * t / (0.8 * DELAY)))


def error(cells, flow, draw):
    model = fed(Hopper, flow, wave, 3 * DELAY, draw, cells=cells, **FULL)
    time = np.linspace(0.0, 3 * DELAY, 301)
    trajectory = simulate(model, time, rtol=1e-9)
    exact = plug_flow(time, 0.5, flow, wave, lambda t, sin: 330.0 * draw(t, sin))
    return np.abs(trajectory["unit.outlet_fraction[drug]"] - exact).mean()


@pytest.mark.parametrize(("flow", "draw"), [(steady, lambda t, sin: SMOOTH / 330.0 + 0 * t), (changing, drawn)])
def test_plug_flow_is_met_to_the_third_order(flow, draw):
    """At a constant rate, and where inflow, outflow and level all change."""
    coarse, fine, finest = (error(cells, flow, draw) for cells in (20, 40, 80))
    assert finest < 2e-5 < fine < 2e-4 < coarse < 1e-3
    assert np.log2(fine / finest) > 2.9
    assert np.log2(coarse / fine) > 2.0


@pytest.mark.parametrize(("cells", "variance"), [(10, 0.0304), (20, 0.0116), (40, 0.00435)])
def test_a_step_keeps_its_time_and_hardly_spreads(cells, variance):
    """The mean residence time is exact; mixed tanks would spread with 1/n."""
    model = fed(Hopper, steady, lambda t, sin: 1 + 0 * t, 4 * DELAY, lambda t, sin: SMOOTH / 330.0 + 0 * t, cells=cells, **FULL)
    time = np.linspace(0.0, 4 * DELAY, 4001)
    remaining = simulate(model, time, rtol=1e-9)["unit.outlet_fraction[filler]"]
    assert simpson(remaining, x=time) == pytest.approx(DELAY, rel=1e-5)
    assert (2 * simpson(remaining * time, x=time) / DELAY**2 - 1) == pytest.approx(variance, rel=0.02)
    assert remaining.min() > -2e-4
    assert remaining.max() < 1 + 2e-4


def test_shares_stay_equal_when_the_feed_stops(rig):
    """Two seconds of another powder, then no feed for a minute: every share still holds its part of the mass."""
    setup = rig(Hopper, horizon=300.0, materials=PAIR, cells=10, draw=SMOOTH / 330.0, **(FULL | {"initial_mass": 1.0}))
    feed = {
        "source_1.flow[filler]": Profile((0.0, 10.0, 72.0), (SMOOTH, 0.0, SMOOTH)),
        "source_1.flow[drug]": Profile((0.0, 10.0, 12.0), (0.0, SMOOTH, 0.0)),
    }
    trajectory = simulate(setup.model, np.linspace(0.0, 300.0, 61), inputs=feed)
    shares = np.array([sum(trajectory[f"unit.mass[{k},{c}]"] for c in PAIR) for k in range(1, 11)])
    assert shares / shares.mean(axis=0) == pytest.approx(1.0, abs=1e-3)
    assert setup.residual(trajectory) < 1e-10


def test_one_cell_is_a_mixed_tank():
    model = fed(Hopper, steady, lambda t, sin: 0.1 + 0 * t, 300.0, lambda t, sin: SMOOTH / 330.0 + 0 * t, cells=1, **FULL)
    time = np.linspace(0.0, 300.0, 31)
    assert simulate(model, time)["unit.outlet_fraction[drug]"] == pytest.approx(0.1 * (1 - np.exp(-time / DELAY)), abs=1e-8)


def test_the_level_is_what_came_less_what_was_drawn(rig):
    setup = rig(Hopper, materials=PAIR, feed={"filler": SMOOTH, "drug": 0.0}, horizon=100.0, draw=2e-5, **FULL)
    trajectory = simulate(setup.model, np.linspace(0.0, 100.0, 11))
    assert trajectory["unit.level"] == pytest.approx(0.5 + (SMOOTH - 330.0 * 2e-5) * trajectory.t, rel=1e-9)
    assert trajectory["unit.residence_time"][0] == pytest.approx(0.5 / (330.0 * 2e-5), rel=1e-6)


def test_an_empty_hopper_gives_nothing(rig):
    setup = rig(Hopper, feed=0.0, draw=1e-5, initial_composition={"api": 1.0})
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    assert trajectory["unit.outlet_total"] == pytest.approx(0.0, abs=1e-15)
    assert trajectory["unit.level"] == pytest.approx(0.0, abs=1e-12)
    assert np.all(np.isfinite(trajectory["unit.residence_time"]))


def test_an_empty_hopper_fills_and_a_starved_one_empties(rig):
    given = {"draw": 1.5e-5, "initial_composition": {"excipient": 1.0}, "cells": 10}
    setup = rig(Hopper, horizon=600.0, **given)
    feed = {
        "source_1.flow[excipient]": Profile((0.0, 200.0, 300.0), (8e-3, 0.0, 0.0)),
        "source_1.flow[api]": Profile((0.0, 100.0, 200.0), (0.0, 1e-3, 0.0)),
    }
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 601), inputs=feed)
    for name in ("excipient", "api", "lubricant"):
        assert trajectory[f"unit.holdup[{name}]"].min() > -1e-6
    assert trajectory["unit.outlet_total"][150] == pytest.approx(330.0 * 1.5e-5, rel=2e-3)  # the heel
    assert trajectory["unit.level"][-1] < 2e-5
    assert setup.residual(trajectory) < 1e-10


def test_a_hopper_that_runs_over_ends_the_run(rig):
    setup = rig(Hopper, feed=1e-3, capacity=0.7, initial_mass=0.5, initial_composition={"api": 1.0})
    with pytest.raises(SimulationError, match=r"the hopper runs over its capacity.*take a larger hopper") as caught:
        simulate(setup.model, np.array([0.0, 600.0]))
    assert caught.value.trajectory.t[-1] < 0.2 / 1e-3
    with pytest.raises(CaseError, match="initial_mass: exceeds capacity"):
        rig(Hopper, capacity=0.4, initial_mass=0.5, initial_composition={"api": 1.0})


@settings(max_examples=10, deadline=None)
@given(cells=st.integers(1, 25), start=st.floats(0.0, 1.0), flow=st.floats(0.0, 40.0), draw=st.floats(0.0, 40.0), share=st.floats(0.0, 1.0))
def test_every_gram_is_accounted_for(rig, cells, start, flow, draw, share):
    feed = {"excipient": flow * share / 3600, "api": flow * (1 - share) / 3600, "lubricant": 0.0}
    given = {"cells": cells, "initial_mass": start, "initial_composition": {"excipient": 0.9, "api": 0.1}, "draw": draw / 3600 / 330}
    setup = rig(Hopper, feed=feed, horizon=400.0, capacity=10.0, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, 400.0, 41))
    assert setup.residual(trajectory) < 1e-8
    for component in feed:
        assert trajectory[f"unit.holdup[{component}]"].min() > -1e-4
