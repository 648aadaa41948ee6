"""Continuous blender: residence-time closed forms, flow and speed changes, limits, conservation."""

import csv
import math
from pathlib import Path

import casadi as ca
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import simpson
from scipy.linalg import solve_continuous_lyapunov
from scipy.special import gammainc

from solvers import lower, simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units.blender import ContinuousBlender, tank_shares

DATA = Path(__file__).parents[1] / "data"
HOUR = 3600.0
FLOW = 20.0 / HOUR
TAU = 60.0
PURE = {"excipient": 1.0}
BASE = {"mean_time": TAU, "reference_flow": FLOW, "initial_composition": PURE, "delay_cells": 0}


def table(name):
    with (DATA / name).open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("tanks", [1, 2, 3, 5, 10, 20])
def test_a_tracer_step_leaves_as_the_gamma_distribution(rig, tanks):
    rows = table("rtd_reference_E_F.csv")
    reduced = np.array([0.0, *(float(row["theta"]) for row in rows)])
    feed = {"excipient": 0.9 * FLOW, "api": 0.1 * FLOW, "lubricant": 0.0}
    setup = rig(ContinuousBlender, feed=feed, horizon=TAU * reduced[-1], tanks=tanks, initial_mass=FLOW * TAU, **BASE)
    trajectory = simulate(setup.model, TAU * reduced, rtol=1e-10, atol=1e-13)
    response = trajectory["unit.outlet_fraction[api]"] / 0.1
    assert trajectory["unit.outlet_total"] == pytest.approx(FLOW, rel=1e-9)
    assert response == pytest.approx(gammainc(tanks, tanks * reduced), abs=2e-7)
    assert response[1:] == pytest.approx([float(row[f"F_TIS_n={tanks}"]) for row in rows], abs=2e-7)


def response(rig, horizon=30 * TAU, **given):
    """Return time, and the share of the powder from before a step that still leaves at each."""
    feed = {"excipient": 0.0, "api": FLOW, "lubricant": 0.0}
    time = np.linspace(0.0, horizon, 9001)
    setup = rig(ContinuousBlender, feed=feed, horizon=horizon, **(BASE | given))
    return time, simulate(setup.model, time, rtol=1e-10, atol=1e-13)["unit.outlet_flow[excipient]"] / FLOW


@pytest.mark.parametrize("tanks", [1, 1.5, 2, 2.5, 3.7, 6.2])
def test_mean_and_variance_of_a_real_number_of_tanks(rig, tanks):
    time, remaining = response(rig, tanks=tanks, initial_mass=FLOW * TAU)
    assert simpson(remaining, x=time) == pytest.approx(TAU, rel=1e-6)
    assert 2 * simpson(remaining * time, x=time) - TAU**2 == pytest.approx(TAU**2 / tanks, rel=1e-5)


@pytest.mark.parametrize(("tanks", "difference"), [(1.3, 0.028), (1.5, 0.022), (1.8, 0.010), (2.5, 0.008), (4.5, 0.003)])
def test_a_real_number_of_tanks_against_the_gamma_distribution(rig, tanks, difference):
    """The same mean and variance, and nearly the same course."""
    time, remaining = response(rig, horizon=6 * TAU, tanks=tanks, initial_mass=FLOW * TAU)
    assert 0.5 * difference < np.abs(1 - remaining - gammainc(tanks, tanks * time / TAU)).max() < difference


@settings(max_examples=200, deadline=None)
@given(st.floats(1.0, 100.0))
def test_shares_of_tanks_have_the_sum_one_and_the_squares_of_the_variance(tanks):
    shares = tank_shares(tanks)
    assert math.fsum(shares) == pytest.approx(1.0, abs=1e-12)
    assert math.fsum(share**2 for share in shares) == pytest.approx(1 / tanks, rel=1e-8)
    assert min(shares) >= 0
    assert len(shares) == math.ceil(tanks - 1e-9)


def test_the_number_of_tanks_follows_speed_and_throughput(rig):
    given = {"tanks": 2.0, "tanks_speed_exponent": 1.0, "tanks_flow_exponent": -0.5, "throughput": 4 * FLOW, "tanks_speed": 10 / 3 * 1.25}
    setup = rig(ContinuousBlender, **(BASE | given))
    assert len(setup.model.unit.tank) == 3  # 2 * 2.5 * 4^-1/2
    with pytest.raises(CaseError, match=r"tanks: makes 0.5 tanks at this speed and throughput"):
        rig(ContinuousBlender, **(BASE | {"tanks": 1.0, "tanks_speed_exponent": 1.0, "tanks_speed": 5 / 6}))


@pytest.mark.parametrize(("cells", "variance"), [(4, 0.1005), (10, 0.0300), (20, 0.0117)])
def test_the_delay_shifts_and_hardly_spreads(rig, cells, variance):
    """A delay adds its time to the mean, and to the variance the smaller part of what as many mixed tanks would add."""
    time, remaining = response(rig, tanks=2, delay=20.0, delay_cells=cells, initial_mass=FLOW * (TAU + 20.0))
    assert simpson(remaining, x=time) == pytest.approx(TAU + 20.0, rel=1e-6)
    spread = 2 * simpson(remaining * time, x=time) - (TAU + 20.0) ** 2 - TAU**2 / 2
    assert spread / 20.0**2 == pytest.approx(variance, rel=0.03)
    assert spread / 20.0**2 < 0.5 / cells


@pytest.mark.parametrize(("tanks", "duration"), [(1, 1.0), (2, 0.1), (2, 1.0), (5, 0.5), (5, 1.0)])
def test_the_funnel_peak(rig, tanks, duration):
    row = next(r for r in table("rtd_funnel_TIS.csv") if int(r["n_tanks"]) == tanks and float(r["duration_over_tau"]) == duration)
    peak_time = TAU * float(row["t_peak_over_tau"])
    feed = {"excipient": 0.9 * FLOW, "api": 0.1 * FLOW, "lubricant": 0.0}
    given = BASE | {"initial_composition": {"excipient": 0.9, "api": 0.1}}
    setup = rig(ContinuousBlender, feed=feed, horizon=5 * TAU, tanks=tanks, initial_mass=FLOW * TAU, **given)
    pulse = Profile((0.0, duration * TAU), (0.12 * FLOW, 0.1 * FLOW))
    around = np.clip(peak_time + np.array([-0.05, -0.01, 0.0, 0.01, 0.05]) * TAU, 0.0, None)
    time = np.concatenate([[0.0], around])
    trajectory = simulate(setup.model, time, inputs={"source_1.flow[api]": pulse}, rtol=1e-10, atol=1e-13)
    peak = (trajectory["unit.outlet_flow[api]"][1:] / (0.1 * FLOW) - 1) / 0.2
    assert peak[2] == pytest.approx(float(row["peak_fraction"]), abs=1e-7)
    assert peak.argmax() == 2


@pytest.mark.parametrize("exponent", [0.0, 0.4, 0.8])
def test_hold_up_follows_flow_and_speed_by_the_power_law(rig, exponent):
    given = BASE | {"flow_exponent": exponent, "speed_exponent": 1.1, "tanks": 3, "initial_mass": FLOW * TAU}
    feed = {"excipient": 1.5 * FLOW, "api": 0.0, "lubricant": 0.0}
    setup = rig(ContinuousBlender, feed=feed, horizon=40 * TAU, **given)
    speed = Profile((0.0, 20 * TAU), (5 / 3, 10 / 3))
    trajectory = simulate(setup.model, np.array([0.0, 20 * TAU - 1, 40 * TAU]), inputs={"unit.speed": speed})
    expected = TAU * 1.5**-exponent * np.array([1.0, 2.0**-1.1])
    assert trajectory["unit.residence_time"][1:] == pytest.approx(expected, rel=1e-5)
    assert trajectory["unit.total_mass"][1:] == pytest.approx(1.5 * FLOW * expected, rel=1e-5)
    assert setup.residual(trajectory) < 1e-10


@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_an_empty_blender_without_flow_stays_empty(rig, exponent):
    setup = rig(ContinuousBlender, feed=0.0, **(BASE | {"flow_exponent": exponent, "delay_cells": 3}))
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    assert trajectory["unit.total_mass"] == pytest.approx(0.0, abs=1e-15)
    assert np.all(np.isfinite(trajectory["unit.residence_time"]))
    assert trajectory["unit.outlet_fraction[api]"] == pytest.approx(1 / 3)


def test_an_empty_blender_fills_and_a_starved_one_empties(rig):
    feed = {"excipient": FLOW, "api": 0.0, "lubricant": 0.0}
    setup = rig(ContinuousBlender, feed=feed, horizon=40 * TAU, tanks=2, **BASE)
    stop = Profile((0.0, 20 * TAU), (FLOW, 0.0))
    time = np.array([0.0, TAU, 20 * TAU - 1, 40 * TAU])
    trajectory = simulate(setup.model, time, inputs={"source_1.flow[excipient]": stop})
    outlet = trajectory["unit.outlet_total"]
    assert outlet[1] == pytest.approx(FLOW * gammainc(2, 2.0), rel=1e-6)
    assert outlet[2] == pytest.approx(FLOW, rel=1e-6)
    assert trajectory["unit.total_mass"][-1] == pytest.approx(0.0, abs=1e-9)
    assert setup.residual(trajectory) < 1e-10


def test_the_start_is_steady_at_reference_flow(rig):
    given = BASE | {"delay_cells": 4, "delay": 8.0, "tanks": 3, "initial_mass": FLOW * (TAU + 8.0)}
    feed = {"excipient": FLOW, "api": 0.0, "lubricant": 0.0}
    setup = rig(ContinuousBlender, feed=feed, horizon=600.0, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 11))
    assert trajectory["unit.outlet_total"] == pytest.approx(FLOW, rel=1e-8)


def test_the_start_follows_parameters_changed_after_building(rig):
    setup = rig(ContinuousBlender, **(BASE | {"delay_cells": 4, "delay": 8.0, "initial_mass": 0.1}))
    block = setup.model.unit
    block.initial_mass.set_value(0.4)
    block.initial_composition["excipient"] = 0.75
    block.initial_composition["api"] = 0.25
    block.mean_time.set_value(32.0)
    trajectory = simulate(setup.model, np.array([0.0, 1.0]))
    assert trajectory["unit.mass[3,api]"][0] == pytest.approx(0.4 * 0.25 * 32.0 / 40.0 / 3, rel=1e-12)
    assert trajectory["unit.delay_mass[4,api]"][0] == pytest.approx(0.4 * 0.25 * 8.0 / 40.0 / 4, rel=1e-12)
    assert trajectory["unit.total_mass"][0] == pytest.approx(0.4, rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(
    tanks=st.integers(1, 6),
    cells=st.integers(0, 5),
    exponent=st.floats(0.0, 0.8),
    start=st.integers(0, 10),
    flow=st.integers(0, 60),
    share=st.integers(0, 100),
)
def test_every_gram_is_accounted_for(rig, tanks, cells, exponent, start, flow, share):
    feed = {"excipient": flow * share / 100 / HOUR, "api": flow * (1 - share / 100) / HOUR, "lubricant": 0.0}
    given = BASE | {"tanks": tanks, "delay_cells": cells, "delay": 10.0, "flow_exponent": exponent, "initial_mass": start / 10}
    setup = rig(ContinuousBlender, feed=feed, horizon=600.0, inlets=2, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 61))
    assert setup.residual(trajectory) < 1e-10
    for component in feed:
        assert trajectory[f"unit.holdup[{component}]"].min() > -1e-9


def test_variance_reduction_of_one_tank(rig):
    """VRR = 1 + a tau for an input with autocovariance exp(-a |r|): the covariance of the linear system driven by noise."""
    setup = rig(ContinuousBlender, feed=FLOW, tanks=1, initial_mass=FLOW * TAU, **BASE)
    system = lower(setup.model)
    states, inputs = ([slot.name for slot in slots] for slots in (system.states, system.inputs))
    tank, source = states.index("unit.mass[1,api]"), inputs.index("source_1.flow[api]")
    by_state = ca.Function("a", list(system.arguments), [ca.jacobian(system.ode, system.x)])
    by_input = ca.Function("b", list(system.arguments), [ca.jacobian(system.ode, system.u)])
    point = (0.0, np.full(len(states), 0.1), [], [float(slot.start.value) for slot in system.inputs], [p.value for p in system.parameters])
    drain, gain = (float(jacobian(*point)[tank, column]) for jacobian, column in ((by_state, tank), (by_input, source)))
    for row in (row for row in table("blender_VRR_TIS.csv") if int(row["n_tanks"]) == 1):
        a = float(row["a_times_tau"]) / TAU
        drift = np.array([[drain, gain], [0.0, -a]])
        covariance = solve_continuous_lyapunov(drift, -np.diag([0.0, 2 * a]))
        outlet_variance = covariance[0, 0] * drain**2
        assert 1 / outlet_variance == pytest.approx(float(row["VRR_var_in_over_var_out"]), rel=1e-8)
