"""Tablet press: worked vectors, filling from what stands above, both compressions, ejection, limits, conservation."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.dae import ContinuousSet
from pyomo.network import Arc

from flowsheet import Flowsheet
from solvers import SimulationError, simulate
from solvers.declare import Interpolation, Profile
from solvers.errors import CaseError
from units import laws
from units.hopper import Hopper
from units.press import TabletPress
from units.source import Source
from units.stream import Material

HOUR = 3600.0
BLEND = {"excipient": 0.89, "api": 0.10, "lubricant": 0.01}
EQUAL = {name: Material(name, 1500.0, 330.0) for name in BLEND}
AREA = np.pi * 0.010**2 / 4
FULL_DIE = 330.0 * AREA * 0.010  # kg
RATE = 30 * 0.75  # tablets per second
PLAIN = {"speed_loss": 0.0, "depth_gain": 0.0, "recovery": 0.0}


def flows(total, blend=None):
    return {name: total * share for name, share in (blend or BLEND).items()}


def tablet(rig, mass=FULL_DIE, **parameters):
    """Return the first moment of a press to which comes what makes tablets of a mass."""
    setup = rig(TabletPress, materials=EQUAL, feed=flows(RATE * mass), **(PLAIN | parameters))
    return simulate(setup.model, np.array([0.0, 1.0]))


def test_a_tablet_of_the_worked_vectors(rig):
    """150 MPa: relative density 0.82258065, strength 6.38138505 MPa; the breaking force scales with thickness from 4 mm."""
    made = tablet(rig, thickness=FULL_DIE / (1500.0 * AREA * 0.82258064516), residual_share=0.2, wall_friction=0.15)
    assert made["unit.tablet_mass"][0] == pytest.approx(FULL_DIE, rel=1e-8)
    assert made["unit.filling"][0] == pytest.approx(1.0, rel=1e-8)
    assert made["unit.pressure"][0] == pytest.approx(150e6, rel=1e-7)
    assert made["unit.force"][0] == pytest.approx(150e6 * AREA, rel=1e-7)
    assert made["unit.tensile_strength"][0] == pytest.approx(6.38138505e6, rel=1e-7)
    thickness = made["unit.tablet_thickness"][0]
    assert made["unit.break_force"][0] == pytest.approx(400.954248 * thickness / 0.004, rel=1e-7)
    assert made["unit.ejection_force"][0] == pytest.approx(0.15 * 0.2 * 150e6 * np.pi * 0.010 * thickness, rel=1e-7)
    assert made["unit.porosity"][0] == pytest.approx(1 - 0.82258064516, rel=1e-6)


def test_main_compression_goes_on_from_pre_compression(rig):
    """Pre-compression to a relative density of 0.55; main compression adds to it, and does nothing when it is set wider."""
    wide = FULL_DIE / (1500.0 * AREA * 0.55)
    expected = laws.kawakita_pressure(0.55, 0.30, 0.72, 0.05e-6)
    for thickness, density in ((FULL_DIE / (1500.0 * AREA * 0.8), 0.8), (1.5 * wide, 0.55)):
        made = tablet(rig, pre_thickness=wide, thickness=thickness)
        assert made["unit.pre_pressure"][0] == pytest.approx(expected, rel=1e-6)
        assert made["unit.pre_force"][0] == pytest.approx(expected * AREA, rel=1e-6)
        assert made["unit.tablet_density"][0] == pytest.approx(density, rel=1e-6)


def test_elastic_recovery_lengthens_the_tablet(rig):
    density = 0.8
    made = tablet(rig, thickness=FULL_DIE / (1500.0 * AREA * density), recovery=0.05, recovery_density=0.5)
    loss = 0.05 * (density - 0.5) / 0.5
    assert made["unit.tablet_density"][0] == pytest.approx(density * (1 - loss), rel=1e-7)
    assert made["unit.tablet_thickness"][0] == pytest.approx(FULL_DIE / (1500.0 * AREA * density * (1 - loss)), rel=1e-7)


def test_lubrication_takes_its_share_of_the_strength(rig):
    plain, lubricated = (tablet(rig, strength_factor=factor)["unit.tensile_strength"][0] for factor in (1.0, 0.7))
    assert lubricated == pytest.approx(0.7 * plain, rel=1e-12)


def test_mixture_densities_add_volumes(rig, materials):
    setup = rig(TabletPress, feed=flows(1e-3))
    trajectory = simulate(setup.model, np.array([0.0, 1.0]))
    bulk = 1 / sum(share / materials[name].bulk_density for name, share in BLEND.items())
    true = 1 / sum(share / materials[name].true_density for name, share in BLEND.items())
    assert trajectory["unit.bulk_density"][0] == pytest.approx(bulk, rel=1e-10)
    assert trajectory["unit.true_density"][0] == pytest.approx(true, rel=1e-10)


@pytest.mark.parametrize(("speed", "paddle", "depth"), [(0.75, 1.0, 0.010), (1.0, 0.8, 0.008), (0.3, 1.0, 0.012)])
def test_dies_draw_their_filled_volume(rig, speed, paddle, depth):
    setup = rig(TabletPress, feed=0.0, turret_speed=speed, paddle_speed=paddle, fill_depth=depth)
    drawn = simulate(setup.model, np.array([0.0, 1.0]))["unit.draw"][0]
    assert drawn == pytest.approx(30 * speed * AREA * depth * (1 - 0.1 * speed / paddle + 0.02 * depth / 0.010), rel=1e-12)


def line(horizon=600.0, feed=20.0 / HOUR, **parameters):
    """Return a press under a hopper of 0.4 kg that it draws from."""
    sheet = Flowsheet(horizon, dict(EQUAL))
    sheet.add("feed", Source, flow=flows(feed))
    sheet.add("hopper", Hopper, cells=5, **({"initial_mass": 0.4, "initial_composition": BLEND, "heel": 1e-6} | parameters))
    sheet.add("press", TabletPress, **PLAIN)
    for ends in (("feed.outlet", "hopper.inlet"), ("hopper.outlet", "press.inlet"), ("press.draw", "hopper.draw")):
        sheet.connect(*ends)
    return sheet.model


def test_dies_are_full_while_there_is_powder_above(rig):
    trajectory = simulate(line(100.0), np.linspace(0.0, 100.0, 101))
    held = trajectory["hopper.level"] > 1e-4
    assert trajectory["press.tablet_mass"][held] == pytest.approx(FULL_DIE, rel=1e-4)
    level = 0.4 + (20.0 / HOUR - RATE * FULL_DIE) * trajectory.t
    assert trajectory["hopper.level"][level > 1e-4] == pytest.approx(level[level > 1e-4], abs=1e-7)


def test_dies_fill_partly_when_the_hopper_is_empty(rig):
    """In the end the tablets take just what comes."""
    trajectory = simulate(line(600.0, initial_mass=0.05, feed=10.0 / HOUR), np.array([0.0, 500.0, 600.0]))
    assert trajectory["press.tablet_mass"][-1] == pytest.approx(10.0 / HOUR / RATE, rel=1e-6)
    assert trajectory["press.filling"][-1] == pytest.approx(10.0 / HOUR / RATE / FULL_DIE, rel=1e-6)
    assert trajectory["press.assay[api]"][-1] == pytest.approx(0.10, abs=1e-6)


def test_more_powder_than_the_dies_take_is_refused(rig):
    setup = rig(TabletPress, materials=EQUAL, feed=flows(RATE * FULL_DIE), **PLAIN)
    slower = Profile((0.0, 100.0), (0.75, 0.5), Interpolation.LINEAR)
    with pytest.raises(SimulationError, match=r"more powder comes than the dies take.*give the press a hopper"):
        simulate(setup.model, np.array([0.0, 100.0]), inputs={"unit.turret_speed": slower})


def test_a_standing_turret_without_powder_makes_nothing(rig):
    setup = rig(TabletPress, feed=0.0, turret_speed=0.0)
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    for name in ("tablet_mass", "throughput", "tensile_strength", "force", "break_force", "assay[api]", "bulk_density", "filling"):
        assert np.all(np.isfinite(trajectory[f"unit.{name}"])), name
    assert trajectory["unit.throughput"] == pytest.approx(0.0, abs=1e-15)
    assert trajectory["unit.break_force"] == pytest.approx(0.0, abs=1e-3)


def test_overload_protection_bounds_the_pressure(rig):
    setup = rig(TabletPress, horizon=100.0, materials=EQUAL, feed=flows(RATE * FULL_DIE), **PLAIN)
    thinner = Profile((0.0, 50.0), (0.0026, 0.0015))
    trajectory = simulate(setup.model, np.array([0.0, 60.0]), inputs={"unit.thickness": thinner})
    assert trajectory["unit.relative_density"][1] > 1
    assert trajectory["unit.pressure"][1] == pytest.approx(400e6, rel=1e-4)
    assert trajectory["unit.compacted_density"][1] == pytest.approx(laws.kawakita_density(400e6, 0.30, 0.72, 0.05e-6), rel=1e-6)
    assert np.all(np.isfinite(trajectory["unit.break_force"]))


def test_die_filling_stays_between_empty_and_full(rig):
    slow = rig(TabletPress, feed=0.0, paddle_speed=0.01)
    assert simulate(slow.model, np.array([0.0, 1.0]))["unit.draw"][0] == pytest.approx(0.0, abs=1e-12)
    deep = rig(TabletPress, feed=0.0, depth_gain=1.0)
    assert simulate(deep.model, np.array([0.0, 1.0]))["unit.draw"][0] == pytest.approx(RATE * AREA * 0.010, rel=1e-7)


def test_compaction_beyond_the_solid_is_refused(rig):
    with pytest.raises(CaseError, match="pressure_limit"):
        rig(TabletPress, pressure_limit=2e9)


def test_lots_of_a_substance_count_together():
    """Two lots of the drug: the assay is that of both, the content tells them apart."""
    materials = {
        "filler": Material("filler", 1500.0, 330.0),
        "old": Material("old", 1500.0, 330.0, "drug"),
        "new": Material("new", 1500.0, 330.0, "drug"),
    }
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 10))
    model.feed = Source(time=model.time, materials=materials, flow={"filler": 9e-4, "old": 7e-5, "new": 3e-5})
    model.press = TabletPress(time=model.time, materials=materials)
    model.stream = Arc(source=model.feed.outlet, destination=model.press.inlet)
    trajectory = simulate(model, np.array([0.0, 10.0]))
    assert trajectory["press.assay[drug]"] == pytest.approx(0.1, rel=1e-9)
    assert trajectory["press.content[old]"] == pytest.approx(0.07, rel=1e-9)
    assert trajectory["press.content[new]"] == pytest.approx(0.03, rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(share=st.floats(0.0, 1.0), drug=st.floats(0.0, 1.0), speed=st.floats(0.1, 1.0))
def test_every_gram_is_accounted_for(rig, share, drug, speed):
    feed = share * 30 * speed * 330.0 * AREA * 0.010 * 0.8
    setup = rig(TabletPress, feed=flows(feed, {"excipient": 1 - drug, "api": drug, "lubricant": 0.0}), turret_speed=speed)
    trajectory = simulate(setup.model, np.linspace(0.0, 600.0, 61))
    assert setup.residual(trajectory) < 1e-9
    assert trajectory["unit.tablet_mass"] * 30 * speed == pytest.approx(feed, rel=1e-6, abs=1e-9)
    assert sum(trajectory[f"unit.assay[{name}]"] for name in BLEND) == pytest.approx(1.0, abs=1e-9)
