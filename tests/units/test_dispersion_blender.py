"""Blender as dispersed plug flow: exact series of the closed vessel, order in the number of cells, hold-up, limits, conservation."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson

from solvers import SimulationError, simulate
from solvers.declare import Profile
from units.dispersion_blender import DispersionBlender

FLOW = 20.0 / 3600.0
TAU = 60.0
BASE = {"mean_time": TAU, "reference_flow": FLOW, "initial_composition": {"excipient": 0.9, "api": 0.1}}
with (Path(__file__).parents[1] / "data" / "rtd_reference_E_F.csv").open() as stream:
    ROWS = list(csv.DictReader(stream))
THETA = np.array([float(row["theta"]) for row in ROWS])


def response(rig, time, **given):
    """Return the share of a small step of the drug that has arrived at each time."""
    feed = {"excipient": 0.88 * FLOW, "api": 0.12 * FLOW, "lubricant": 0.0}
    setup = rig(DispersionBlender, feed=feed, horizon=time[-1], initial_mass=FLOW * TAU, **(BASE | given))
    trajectory = simulate(setup.model, time, rtol=1e-9)
    assert trajectory["unit.outlet_total"] == pytest.approx(FLOW, rel=1e-8)
    return (trajectory["unit.outlet_fraction[api]"] - 0.1) / 0.02


@pytest.mark.parametrize("peclet", [5, 10, 20])
def test_a_step_leaves_as_the_exact_series_says_to_the_second_order(rig, peclet):
    exact = np.array([float(row[f"F_ADclosed_Pe={peclet}"]) for row in ROWS])
    errors = [np.abs(response(rig, np.array([0.0, *TAU * THETA]), peclet=peclet, cells=cells)[1:] - exact).max() for cells in (20, 40, 80)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[0] < 0.012
    assert errors[-1] < 1e-3
    assert orders.min() > 1.8


@pytest.mark.parametrize(("peclet", "variance"), [(1, 0.73575888), (5, 0.32053904), (10, 0.18000091), (20, 0.095)])
def test_mean_and_variance_of_the_closed_vessel(rig, peclet, variance):
    time = np.linspace(0.0, 12 * TAU, 3001)
    left = 1 - response(rig, time, peclet=peclet, cells=40)
    assert simpson(left, x=time) == pytest.approx(TAU, rel=1e-5)
    assert 2 * simpson(left * time, x=time) / TAU**2 - 1 == pytest.approx(variance, rel=0.01)


def test_hold_up_and_dispersion_follow_speed_and_flow(rig):
    feed = {"excipient": 1.5 * FLOW, "api": 0.0, "lubricant": 0.0}
    given = {"flow_exponent": 0.4, "speed_exponent": 1.1, "peclet_exponent": 0.5, "initial_mass": FLOW * TAU}
    setup = rig(DispersionBlender, feed=feed, horizon=40 * TAU, **(BASE | given))
    trajectory = simulate(
        setup.model, np.array([0.0, 20 * TAU - 1, 40 * TAU]), inputs={"unit.speed": Profile((0.0, 20 * TAU), (5 / 3, 10 / 3))}
    )
    expected = TAU * 1.5**-0.4 * np.array([1.0, 2.0**-1.1])
    assert trajectory["unit.residence_time"][1:] == pytest.approx(expected, rel=1e-5)
    assert trajectory["unit.total_mass"][1:] == pytest.approx(1.5 * FLOW * expected, rel=1e-5)
    assert trajectory["unit.present_peclet"][1:] == pytest.approx([10.0, 10.0 / 2**0.5], rel=1e-12)
    assert setup.residual(trajectory) < 1e-10


@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_an_empty_blender_without_flow_stays_empty(rig, exponent):
    setup = rig(DispersionBlender, feed=0.0, **(BASE | {"flow_exponent": exponent}))
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    assert trajectory["unit.total_mass"] == pytest.approx(0.0, abs=1e-15)
    assert np.all(np.isfinite(trajectory["unit.residence_time"]))


def test_too_few_cells_for_the_dispersion_are_refused(rig):
    setup = rig(DispersionBlender, cells=5, peclet=11.0, **BASE)
    with pytest.raises(SimulationError, match=r"the Peclet number exceeds twice the number of cells.*more cells"):
        simulate(setup.model, np.array([0.0, 10.0]))


@settings(max_examples=10, deadline=None)
@given(
    cells=st.integers(25, 40), peclet=st.floats(1.0, 50.0), start=st.floats(0.0, 1.0), flow=st.floats(0.0, 60.0), share=st.floats(0.0, 1.0)
)
def test_every_gram_is_accounted_for(rig, cells, peclet, start, flow, share):
    feed = {"excipient": flow * share / 3600, "api": flow * (1 - share) / 3600, "lubricant": 0.0}
    setup = rig(DispersionBlender, feed=feed, horizon=600.0, inlets=2, cells=cells, peclet=peclet, initial_mass=start, **BASE)
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 61))
    assert setup.residual(trajectory) < 1e-10
    for component in feed:
        assert trajectory[f"unit.holdup[{component}]"].min() > -1e-9
