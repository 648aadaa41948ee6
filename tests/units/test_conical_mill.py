"""Conical mill: breakage against exact solutions, the screen, conservation, limit cases."""

import math
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.util.check_units import assert_units_consistent

from solvers import SimulationError, lower, simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units.conical_mill import ConicalMill, fragment_shares, passing_shares
from units.powders import Powders
from units.sizes import SizeClasses
from units.stream import Material

SIZES = SizeClasses(20e-6, 4e-3, 8)
GRANULE = Material("granule", 1500.0, 500.0, median_size=700e-6, size_spread=1.8)
API = Material("api", 1300.0, 350.0, median_size=200e-6, size_spread=1.8)
WATER = Material("water", 1000.0, 1000.0, moisture=True)
POWDERS = Powders({each.name: each for each in (GRANULE, API, WATER)}, SIZES)
START = {"initial_composition": {"granule": 0.5, "api": 0.3, "water": 0.2}}


def test_units_structure_and_documentation(rig):
    model = rig(ConicalMill, materials=POWDERS, **START).model
    assert_units_consistent(model)
    assert lower(model.clone()).z.numel() == 0
    for component in model.unit.component_objects((pyo.Var, pyo.Param, pyo.Expression, pyo.Constraint)):
        assert component.doc, component.name


# --- breakage alone, against exact solutions --------------------------------------------------------------------------


def linear_breakage(rig: Any, classes: int) -> float:
    """Return the largest error of the cumulative distribution of S = v with uniform binary fragments after t = 4, from exp(-v).

    Exact (Ziff and McGrady 1985): n = (1 + t)^2 exp(-v (1 + t)), so that the mass finer than v is 1 - (1 + z) exp(-z), z = v (1 + t).
    """
    one, t = 1e-3, 4.0  # a particle of volume one has this diameter
    sizes = SizeClasses(0.05e-3, 4e-3, classes)
    material = Material("granule", 1500.0, 500.0, median_size=500e-6, size_spread=1.5)
    given_ = {"selection_rate": 1.0, "selection_exponent": 3.0, "reference_size": one, "fragment_exponent": 6.0, "aperture": 1e-9}
    given_ |= {"initial_mass": 1.0, "initial_composition": {"granule": 1.0}}
    model = rig(ConicalMill, materials=Powders({"granule": material}, sizes), horizon=t, **given_).model

    def finer(time: float) -> np.ndarray:
        z = (np.array(sizes.edges[1:]) / one) ** 3 * (1 + time)
        return 1 - (1 + z) * np.exp(-z)

    shares = np.diff(finer(0.0), prepend=0.0)
    for size, share in zip(sizes.names, shares / shares.sum(), strict=True):
        model.unit.start[size].deactivate()
        model.unit.mass[0, size].fix(share)
    trajectory = simulate(model, [t], rtol=1e-10)
    found = np.cumsum([trajectory[f"unit.mass[{size}]"][0] for size in sizes.names])
    return float(np.abs(found - finer(t)).max())


def test_batch_breakage_converges_to_the_exact_solution(rig):
    errors = np.array([linear_breakage(rig, classes) for classes in (10, 20, 40, 80)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert errors[-1] < 2e-3
    assert orders[-2:] == pytest.approx(2.0, abs=0.3)


@given(st.integers(2, 25), st.floats(0.2, 12.0), st.one_of(st.just(0.0), st.floats(1e-5, 1e-2)))
def test_fragments_are_never_coarser_and_have_all_the_mass(classes, exponent, size):
    shares = fragment_shares(SizeClasses(20e-6, 4e-3, classes), exponent, size)
    assert shares.sum(axis=0) == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.tril(shares, -1) == 0.0)
    assert shares.min() >= 0.0


def test_a_single_class_has_nothing_to_break_into(rig):
    powders = Powders({"granule": GRANULE}, SizeClasses(20e-6, 20e-3, 1))
    feed = {"granule": 5e-3}
    model = rig(ConicalMill, materials=powders, feed=feed, horizon=60.0, aperture=30e-3, initial_composition={"granule": 1.0}).model
    t = np.linspace(0.0, 60.0, 7)
    trajectory = simulate(model, t)
    assert trajectory["unit.outlet_flow[size_1]"] == pytest.approx(5e-3 * -np.expm1(-t / 10), rel=1e-6, abs=1e-12)


# --- screen -----------------------------------------------------------------------------------------------------------


@given(st.floats(1e-6, 1e-1))
def test_what_passes_is_what_lies_below_the_aperture(aperture):
    shares = np.array(passing_shares(SIZES, aperture))
    assert np.all(np.diff(shares) <= 0)
    assert np.all(shares[np.array(SIZES.edges[:-1]) >= aperture] == 0.0)
    assert np.all(shares[np.array(SIZES.edges[1:]) <= aperture * (1 - 1e-9)] == 1.0)
    passing = float(np.clip(math.log(aperture / SIZES.smallest), 0.0, math.log(SIZES.largest / SIZES.smallest)))
    assert shares.sum() == pytest.approx(passing / math.log(SIZES.edges[1] / SIZES.edges[0]), abs=1e-9)


def test_a_screen_wider_than_all_leaves_a_mixed_tank(rig):
    feed = {"granule": 3e-3, "api": 2e-3, "water": 1e-3}
    given_ = START | {"initial_mass": 0.1, "aperture": 5e-3, "selection_rate": 0.0, "mean_time": 12.0}
    t = np.linspace(0.0, 60.0, 13)
    trajectory = simulate(rig(ConicalMill, materials=POWDERS, feed=feed, horizon=60.0, **given_).model, t)
    for name, flow in feed.items():
        start = 0.1 * START["initial_composition"][name] / 12
        assert trajectory[f"unit.outlet_flow[{name}]"] == pytest.approx(flow + (start - flow) * np.exp(-t / 12), rel=1e-6)
    entering = np.array([trajectory[f"unit.inlet_flow[{size}]"][-1] for size in SIZES.names])
    leaving = np.array([trajectory[f"unit.outlet_flow[{size}]"][-1] for size in SIZES.names])
    assert leaving == pytest.approx(entering, rel=0.02, abs=1e-8)


def test_steady_state_of_two_classes(rig):
    """Coarse: F2 = S (1 - b22) m2. Fine: all that comes leaves, m1 = F mean_time."""
    sizes = SizeClasses(100e-6, 4e-3, 2)
    granule = Material("granule", 1500.0, 500.0, median_size=1e-3, size_spread=1.5)
    feed, rate = 4e-3, 0.3
    given_ = {"aperture": sizes.edges[1], "selection_rate": rate, "selection_exponent": 0.0, "fragment_exponent": 1.0}
    given_ |= {"initial_composition": {"granule": 1.0}}
    model = rig(ConicalMill, materials=Powders({"granule": granule}, sizes), feed=feed, horizon=600.0, **given_).model
    trajectory = simulate(model, [600.0])
    fine, coarse = sizes.shares(1e-3, 1.5)
    stays = fragment_shares(sizes, 1.0, 0.0)[1, 1]
    assert 0.05 < stays < 0.95
    assert trajectory["unit.mass[size_2]"][0] == pytest.approx(feed * coarse / (rate * (1 - stays)), rel=1e-6)
    assert trajectory["unit.mass[size_1]"][0] == pytest.approx(feed * 10.0, rel=1e-6)
    assert trajectory["unit.outlet_flow[size_2]"][0] == 0.0
    assert trajectory["unit.outlet_flow[granule]"][0] == pytest.approx(feed, rel=1e-6)
    assert 0 < fine < 1


def test_nothing_above_the_aperture_leaves_and_faster_turns_mill_finer(rig):
    medians = []
    for speed in (10.0, 20.0, 40.0):
        model = rig(ConicalMill, materials=POWDERS, feed={"granule": 5e-3, "api": 0.0, "water": 2e-4}, speed=speed, **START).model
        trajectory = simulate(model, [0.0, 100.0, 600.0])
        medians.append(trajectory["unit.outlet_d50"][-1])
        for size, edge in zip(SIZES.names, SIZES.edges[:-1], strict=True):
            if edge >= 1e-3:
                assert np.all(trajectory[f"unit.outlet_flow[{size}]"] == 0.0)
    assert medians[0] > medians[1] > medians[2]
    assert trajectory["unit.inlet_d50"][-1] > medians[0]


def test_a_mill_that_breaks_too_little_is_overloaded(rig):
    """With no breakage what is too coarse stays: 5 g/s times its share until the capacity is full."""
    model = rig(ConicalMill, materials=POWDERS, feed={"granule": 5e-3, "api": 0.0, "water": 0.0}, selection_rate=0.0, capacity=0.2, **START)
    with pytest.raises(SimulationError, match=r"unit\.overload") as caught:
        simulate(model.model, np.linspace(0.0, 600.0, 61))
    assert "screen" in caught.value.hint
    assert 0.2 / 5e-3 < caught.value.trajectory.t[-1] < 600.0


# --- conservation -----------------------------------------------------------------------------------------------------

FLOWS = st.fixed_dictionaries({name: st.floats(0.0, 5e-3) for name in POWDERS})


@settings(max_examples=5, deadline=None, derandomize=True)
@given(first=FLOWS, then=FLOWS, aperture=st.floats(2e-4, 5e-3), rate=st.floats(0.01, 2.0), start=st.floats(0.0, 0.2))
def test_components_are_conserved_and_classes_are_the_solids(rig, first, then, aperture, rate, start):
    given_ = START | {"aperture": aperture, "selection_rate": rate, "initial_mass": start, "fragment_size": 3e-4}
    rigged = rig(ConicalMill, materials=POWDERS, feed=first, horizon=60.0, **given_)
    changes = {f"source_1.flow[{name}]": Profile((0.0, 30.0), (first[name], then[name])) for name in POWDERS}
    trajectory = simulate(rigged.model, np.linspace(0.0, 60.0, 13), inputs=changes)
    assert rigged.residual(trajectory) < 1e-8
    for name in ("unit.outlet_flow", "unit.mass"):
        by_component = trajectory[f"{name}[granule]"] + trajectory[f"{name}[api]"]
        by_class = sum(trajectory[f"{name}[{size}]"] for size in SIZES.names)
        assert by_class == pytest.approx(by_component, rel=1e-9, abs=1e-12)


def test_breaking_changes_no_composition_and_the_mean_size_only_falls(rig):
    """A closed mill: components stay, the share finer than any edge can only rise."""
    model = rig(ConicalMill, materials=POWDERS, horizon=100.0, aperture=1e-9, initial_mass=1.0, **START).model
    trajectory = simulate(model, np.linspace(0.0, 100.0, 21))
    for name, share in START["initial_composition"].items():
        assert trajectory[f"unit.mass[{name}]"] == pytest.approx(share, rel=1e-12)
    finer = np.cumsum([trajectory[f"unit.mass[{size}]"] for size in SIZES.names], axis=0)
    assert np.all(np.diff(finer, axis=1) > -1e-9)
    assert finer[-1] == pytest.approx(0.8, rel=1e-9)


def test_empty_and_without_flow_nothing_happens(rig):
    trajectory = simulate(rig(ConicalMill, materials=POWDERS, horizon=60.0, **START).model, [0.0, 60.0])
    for name in trajectory.names:
        assert np.all(np.isfinite(trajectory[name])), name
    assert trajectory["unit.total_mass"] == pytest.approx(0.0, abs=1e-15)
    assert trajectory["unit.outlet_total"] == pytest.approx(0.0, abs=1e-15)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_without_size_classes_there_is_nothing_to_mill(rig):
    with pytest.raises(CaseError, match="needs size classes") as caught:
        rig(ConicalMill, materials=dict(POWDERS), **START)
    assert "[sizes]" in caught.value.hint


def test_more_than_fits_at_the_start_is_refused(rig):
    with pytest.raises(CaseError, match="initial_mass: exceeds capacity"):
        rig(ConicalMill, materials=POWDERS, initial_mass=3.0, **START)


def test_a_clone_is_whole(rig):
    model = rig(ConicalMill, materials=POWDERS, **START).model
    assert lower(model.clone()).x.numel() == lower(model).x.numel()
