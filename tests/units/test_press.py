"""Tablet press: worked vectors, hopper closed forms, level control, limits, conservation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units import laws
from units.press import TabletPress
from units.stream import Material

HOUR = 3600.0
FLOW = 20.0 / HOUR
BLEND = {"excipient": 0.89, "api": 0.10, "lubricant": 0.01}
EQUAL = {name: Material(name, 1500.0, 330.0) for name in BLEND}
AREA = np.pi * 0.010**2 / 4
FULL_DIE = 330.0 * AREA * 0.010  # kg
NO_HEEL = 1e-6  # kg: dies are full to 1e-11 while the hopper is not empty


def flows(total, blend=None):
    return {name: total * share for name, share in (blend or BLEND).items()}


def test_a_tablet_of_the_worked_vectors(rig):
    """150 MPa: relative density 0.82258065, strength 6.38138505 MPa; the breaking force scales with thickness from 4 mm."""
    setup = rig(
        TabletPress,
        materials=EQUAL,
        initial_mass=0.4,
        initial_composition=BLEND,
        heel=NO_HEEL,
        speed_loss=0.0,
        depth_gain=0.0,
        recovery=0.0,
        thickness=FULL_DIE / (1500.0 * AREA * 0.82258064516),
    )
    trajectory = simulate(setup.model, np.array([0.0, 1.0]))
    assert trajectory["unit.tablet_mass"][0] == pytest.approx(FULL_DIE, rel=1e-8)  # the rounded upper limit of the filling
    assert trajectory["unit.pressure"][0] == pytest.approx(150e6, rel=1e-7)
    assert trajectory["unit.force"][0] == pytest.approx(150e6 * AREA, rel=1e-7)
    assert trajectory["unit.tensile_strength"][0] == pytest.approx(6.38138505e6, rel=1e-7)
    thickness = trajectory["unit.tablet_thickness"][0]
    assert trajectory["unit.break_force"][0] == pytest.approx(400.954248 * thickness / 0.004, rel=1e-7)


def test_mixture_densities_add_volumes(rig, materials):
    setup = rig(TabletPress, initial_mass=0.4, initial_composition=BLEND)
    trajectory = simulate(setup.model, np.array([0.0, 1.0]))
    bulk = 1 / sum(share / materials[name].bulk_density for name, share in BLEND.items())
    true = 1 / sum(share / materials[name].true_density for name, share in BLEND.items())
    assert trajectory["unit.bulk_density"][0] == pytest.approx(bulk, rel=1e-10)
    assert trajectory["unit.true_density"][0] == pytest.approx(true, rel=1e-10)


def test_hopper_level_at_constant_turret_speed_is_a_straight_line(rig):
    setup = rig(
        TabletPress,
        materials=EQUAL,
        feed=flows(FLOW),
        horizon=120.0,
        initial_mass=1.0,
        initial_composition=BLEND,
        heel=NO_HEEL,
        level_gain=0.0,
        nominal_speed=0.5,
    )
    time = np.linspace(0.0, 120.0, 13)
    trajectory = simulate(setup.model, time)
    tablet = FULL_DIE * (1 - 0.10 * 0.5 / 1.0 + 0.02 * 0.010 / 0.010)
    assert trajectory["unit.level"] == pytest.approx(1.0 + (FLOW - 30 * 0.5 * tablet) * time, rel=1e-8)


def test_level_control_is_a_first_order_approach(rig):
    gain, setpoint, nominal = 2.0, 0.4, 0.7
    setup = rig(
        TabletPress,
        materials=EQUAL,
        feed=flows(FLOW),
        horizon=300.0,
        initial_mass=0.5,
        initial_composition=BLEND,
        heel=NO_HEEL,
        speed_loss=0.0,
        depth_gain=0.0,
        level_gain=gain,
        level_setpoint=setpoint,
        nominal_speed=nominal,
    )
    time = np.linspace(0.0, 300.0, 31)
    trajectory = simulate(setup.model, time, rtol=1e-10)
    capacity = 30 * nominal * FULL_DIE
    steady = setpoint * (1 + (FLOW / capacity - 1) / gain)
    expected = steady + (0.5 - steady) * np.exp(-capacity * gain / setpoint * time)
    assert trajectory["unit.level"] == pytest.approx(expected, rel=1e-7)
    assert trajectory["unit.throughput"] == pytest.approx(capacity * (1 + gain * (expected / setpoint - 1)), rel=1e-6)


def test_one_hour_at_line_rate_keeps_the_level(rig):
    setup = rig(TabletPress, feed=flows(FLOW), horizon=HOUR, initial_mass=0.4, initial_composition=BLEND)
    trajectory = simulate(setup.model, np.linspace(0.0, HOUR, 121))
    level = trajectory["unit.level"]
    assert np.abs(level / 0.4 - 1).max() < 0.05
    assert trajectory["unit.throughput"][-1] == pytest.approx(FLOW, rel=1e-6)
    assert 5e3 < trajectory["unit.force"][-1] < 30e3
    assert trajectory["unit.assay[api]"] == pytest.approx(0.10, abs=1e-9)
    assert setup.residual(trajectory) < 1e-9


def test_assay_follows_the_hopper_as_one_tank(rig):
    given = {"heel": NO_HEEL, "speed_loss": 0.0, "depth_gain": 0.0, "nominal_speed": FLOW / (30 * FULL_DIE), "level_setpoint": 0.4}
    feed = flows(FLOW, {"excipient": 0.87, "api": 0.12, "lubricant": 0.01})
    setup = rig(TabletPress, materials=EQUAL, feed=feed, horizon=600.0, initial_mass=0.4, initial_composition=BLEND, **given)
    time = np.linspace(0.0, 600.0, 61)
    trajectory = simulate(setup.model, time, rtol=1e-10)
    expected = 0.12 - 0.02 * np.exp(-time * FLOW / 0.4)
    assert trajectory["unit.assay[api]"] == pytest.approx(expected, abs=1e-9)


def test_an_empty_hopper_makes_no_tablets(rig):
    setup = rig(TabletPress, feed=0.0, initial_mass=0.0, initial_composition=BLEND)
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    for name in ("tablet_mass", "throughput", "tensile_strength", "force", "break_force", "assay[api]", "bulk_density"):
        assert np.all(np.isfinite(trajectory[f"unit.{name}"])), name
    assert trajectory["unit.throughput"] == pytest.approx(0.0, abs=1e-15)
    assert trajectory["unit.break_force"] == pytest.approx(0.0, abs=1e-3)


def test_a_starved_hopper_runs_empty_without_going_below(rig):
    given = {"level_gain": 0.0, "initial_mass": 0.1, "initial_composition": BLEND}
    setup = rig(TabletPress, feed=0.0, horizon=60.0, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, 60.0, 121))
    level, throughput = trajectory["unit.level"], trajectory["unit.throughput"]
    assert np.all(np.diff(level) <= 1e-12)
    assert level.min() > -1e-9
    assert throughput[-1] < 1e-6 * throughput[0]
    assert setup.residual(trajectory) < 1e-10


@pytest.mark.parametrize("points", [2, 61])
@pytest.mark.parametrize("rtol", [1e-6, 1e-8])
def test_the_kink_of_the_speed_limit_is_not_stepped_over(rig, points, rtol):
    """At top speed the level falls on a straight line, on which steps grow without limit; below it it decays."""
    given = {"heel": NO_HEEL, "speed_loss": 0.0, "depth_gain": 0.0, "level_gain": 1.0, "nominal_speed": 0.75, "speed_limit": 1.2}
    setup = rig(TabletPress, materials=EQUAL, horizon=600.0, initial_mass=1.0, initial_composition=BLEND, **given)
    time = np.linspace(0.0, 600.0, points)
    trajectory = simulate(setup.model, time, rtol=rtol)
    top, kink = 30 * 1.2 * FULL_DIE, 0.4 * 1.2 / 0.75
    reached = (1.0 - kink) / top
    expected = np.where(time < reached, 1.0 - top * time, kink * np.exp(-np.maximum(time - reached, 0.0) * top / kink))
    assert trajectory["unit.level"] == pytest.approx(expected, abs=10 * rtol)


def test_the_turret_stops_below_the_band_and_tops_out_above_it(rig):
    setup = rig(TabletPress, feed=flows(60.0 / HOUR), horizon=600.0, initial_mass=0.1, initial_composition=BLEND, speed_limit=1.0)
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 601))
    speed = trajectory["unit.turret_speed"]
    assert speed[0] == pytest.approx(0.0, abs=1e-7)
    assert speed.max() == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.diff(trajectory["unit.level"]) > 0)
    assert setup.residual(trajectory) < 1e-9


def test_overload_protection_bounds_the_pressure(rig):
    setup = rig(TabletPress, horizon=100.0, initial_mass=0.4, initial_composition=BLEND)
    thinner = Profile((0.0, 50.0), (0.0026, 0.0015))
    trajectory = simulate(setup.model, np.array([0.0, 60.0]), inputs={"unit.thickness": thinner})
    assert trajectory["unit.relative_density"][1] > 1
    assert trajectory["unit.pressure"][1] == pytest.approx(400e6, rel=1e-4)
    assert trajectory["unit.compacted_density"][1] == pytest.approx(laws.kawakita_density(400e6, 0.30, 0.72, 0.05e-6), rel=1e-6)
    assert np.all(np.isfinite(trajectory["unit.break_force"]))


def test_die_filling_stays_between_empty_and_full(rig):
    setup = rig(TabletPress, initial_mass=0.4, initial_composition=BLEND, materials=EQUAL)
    slow = simulate(setup.model, np.array([0.0, 1.0]), inputs={"unit.paddle_speed": 0.01})
    assert slow["unit.tablet_mass"][0] == pytest.approx(0.0, abs=1e-9)
    fast = rig(TabletPress, initial_mass=0.4, initial_composition=BLEND, materials=EQUAL, heel=NO_HEEL, depth_gain=1.0)
    assert simulate(fast.model, np.array([0.0, 1.0]))["unit.tablet_mass"][0] == pytest.approx(FULL_DIE, rel=1e-7)


def test_compaction_beyond_the_solid_is_refused(rig):
    with pytest.raises(CaseError, match="pressure_limit"):
        rig(TabletPress, initial_composition=BLEND, pressure_limit=2e9)


def test_the_start_follows_parameters_changed_after_building(rig):
    model = rig(TabletPress, initial_mass=0.4, initial_composition=BLEND).model
    model.unit.initial_mass.set_value(0.2)
    model.unit.initial_composition["api"] = 0.2
    model.unit.initial_composition["excipient"] = 0.79
    trajectory = simulate(model, np.array([0.0, 1.0]))
    assert trajectory["unit.level"][0] == pytest.approx(0.2, rel=1e-12)
    assert trajectory["unit.assay[api]"][0] == pytest.approx(0.2, rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(flow=st.integers(0, 40), start=st.integers(0, 10), gain=st.floats(0.0, 5.0), heel=st.floats(1e-4, 0.05))
def test_every_gram_is_accounted_for(rig, flow, start, gain, heel):
    setup = rig(
        TabletPress,
        feed=flows(flow / HOUR),
        horizon=600.0,
        initial_mass=start / 10,
        initial_composition={"excipient": 1.0},
        level_gain=gain,
        heel=heel,
    )
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 61))
    assert setup.residual(trajectory) < 1e-9
    assert trajectory["unit.level"].min() > -1e-9
    assert sum(trajectory[f"unit.assay[{name}]"] for name in BLEND) == pytest.approx(1.0, abs=1e-9)
