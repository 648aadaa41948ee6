"""Tablet tester: each attribute against its closed form, limits, and what changes it which way."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import simulate
from solvers.declare import Profile
from units import dissolving
from units.tablet_quality import TabletTester

GIVEN = {"label_claim": 25e-6, "solubility": 2.0, "median_size": 50e-6}
TABLET = {"assay": 0.1, "tablet_mass": 250e-6, "tablet_density": 0.85, "tensile_strength": 2e6, "tablet_thickness": 2.8e-3}


def quality(rig, given=None, **signals):
    """Return what the tester says of a tablet."""
    model = rig(TabletTester, horizon=1.0, **GIVEN, **(given or {})).model
    for name, value in {**TABLET, **signals}.items():
        model.unit.component(name).fix(value)
    trajectory = simulate(model, [0.0, 1.0])
    return {name.removeprefix("unit."): trajectory[name][0] for name in trajectory.names if name.startswith("unit.")}


def test_a_tablet_by_hand(rig):
    """Porosity 0.15, pores of 2e-4 x 60 um x 0.15/(3 x 0.85) = 0.7059 nm, wetted to 1.4 mm in 54.74 s."""
    found = quality(rig)
    assert found["drug_content"] == pytest.approx(25e-6, rel=1e-12)
    assert found["content_share"] == pytest.approx(1.0, rel=1e-12)
    assert found["porosity"] == pytest.approx(0.15, rel=1e-12)
    assert found["hardness"] == pytest.approx(2e6 * math.pi * 0.01 * 2.8e-3 / 2, rel=1e-12)
    pore = 2e-4 * 60e-6 * 0.15 / (3 * 0.85)
    assert found["pore_radius"] == pytest.approx(pore, rel=1e-9)
    assert found["disintegration_time"] == pytest.approx(2 * 0.69e-3 * 1.4e-3**2 / (pore * 0.07), rel=1e-9)
    assert found["disintegration_time"] == pytest.approx(54.74, abs=0.01)
    free = 1800.0 - found["disintegration_time"]
    assert found["weibull_share"] == pytest.approx(1 - math.exp(-((free / 600.0) ** 0.8)), rel=1e-9)


@pytest.mark.parametrize("follows", [0, 1])
def test_share_dissolved_is_the_sum_over_sizes_after_disintegration(rig, follows):
    found = quality(rig, {"film_follows": follows, "classes": 9, "test_time": 600.0, "size_spread": 2.2})
    constant = 7e-10 * 2.0 / 1300.0
    free = 600.0 - found["disintegration_time"]
    total = 0.0
    for diameter, fraction in zip(*dissolving.size_classes(50e-6, 2.2, 9), strict=True):
        radius = diameter / 2
        film = min(radius, 30e-6) if follows else 0.0
        first = (radius - film) * 30e-6 / constant
        thinned = math.sqrt(max(film**2 - 2 * constant * max(free - first, 0.0), 0.0))
        left = radius - constant * free / 30e-6 if free < first else thinned
        total += fraction * (1 - (left / radius) ** 3)
    assert found["dissolved_share"] == pytest.approx(total, abs=1e-8)
    assert 0.5 < total < 1.0


def test_nothing_has_dissolved_before_the_tablet_is_wetted(rig):
    found = quality(rig, {"test_time": 30.0})
    assert found["disintegration_time"] > 30.0
    assert found["dissolved_share"] == pytest.approx(0.0, abs=1e-9)
    assert found["weibull_share"] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("density", [0.0, 1.0, 1.2])
def test_a_tablet_of_nothing_or_without_pores_is_regular(rig, density):
    found = quality(rig, tablet_mass=0.0, tensile_strength=0.0, tablet_density=density)
    assert found["content_share"] == 0.0
    assert found["hardness"] == 0.0
    assert all(math.isfinite(value) for value in found.values())
    assert found["pore_radius"] > 0


@settings(max_examples=8, deadline=None)
@given(density=st.integers(60, 96).map(lambda percent: percent / 100), more=st.sampled_from([0.001, 0.02]))
def test_denser_tablets_take_longer(rig, density, more):
    loose, dense = quality(rig, tablet_density=density), quality(rig, tablet_density=density + more)
    assert dense["disintegration_time"] > loose["disintegration_time"]
    assert dense["dissolved_share"] <= loose["dissolved_share"]
    ratio = density * (1 - density - more) / ((density + more) * (1 - density))
    assert loose["disintegration_time"] / dense["disintegration_time"] == pytest.approx(ratio, rel=1e-6)


def test_the_time_of_the_test_can_be_changed_during_a_run(rig):
    model = rig(TabletTester, horizon=10.0, **GIVEN).model
    for name, value in TABLET.items():
        model.unit.component(name).fix(value)
    trajectory = simulate(model, np.array([0.0, 4.0, 8.0]), inputs={"unit.test_time": Profile((0.0, 5.0), (900.0, 1800.0))})
    assert trajectory["unit.dissolved_share"][0] == trajectory["unit.dissolved_share"][1] < trajectory["unit.dissolved_share"][2]
