"""Size classes in streams: distributions, what materials have to say, and that every unit carries classes as it carries components."""

import math
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u
from pyomo.util.check_units import assert_units_consistent
from scipy.stats import lognorm

from solvers import lower, simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units.blender import ContinuousBlender
from units.chute import Chute
from units.delumper import Delumper
from units.dispersion_blender import DispersionBlender
from units.diverter import Diverter
from units.feed_frame import FeedFrame
from units.feeder import LossInWeightFeeder
from units.hopper import Hopper
from units.mixer import Mixer
from units.powders import Powders, carried
from units.press import TabletPress
from units.sizes import SizeClasses, reached
from units.source import Source
from units.splitter import Splitter
from units.stream import Material

SIZES = SizeClasses(10e-6, 1e-3, 4)
COARSE = Material("filler", 1550.0, 330.0, median_size=150e-6, size_spread=1.8)
FINE = Material("api", 1300.0, 350.0, median_size=60e-6, size_spread=1.6)
WATER = Material("water", 1000.0, 1000.0, moisture=True)
POWDERS = Powders({each.name: each for each in (COARSE, FINE, WATER)}, SIZES)
HELD = {"initial_composition": {"filler": 0.3, "api": 0.5, "water": 0.2}}

PASSIVE = [
    pytest.param(Mixer, {"inlets": 2}, id="mixer"),
    pytest.param(Splitter, {"share": 0.25}, id="splitter"),
    pytest.param(Diverter, {"watched_unit": "kg", "lower": 1e-4, "upper": 2e-4}, id="diverter"),
    pytest.param(Chute, HELD | {"cells": 4, "initial_mass": 0.02}, id="chute"),
    pytest.param(Delumper, HELD | {"delay_cells": 2, "initial_mass": 0.05}, id="delumper"),
    pytest.param(Hopper, HELD | {"cells": 3, "initial_mass": 0.2, "draw": 1e-5}, id="hopper"),
    pytest.param(FeedFrame, HELD | {"initial_mass": 0.05, "draw": 1e-5}, id="feed frame"),
    pytest.param(ContinuousBlender, HELD | {"tanks": 2, "delay_cells": 3, "initial_mass": 0.3, "flow_exponent": 0.3}, id="blender"),
    pytest.param(DispersionBlender, HELD | {"cells": 6, "initial_mass": 0.3}, id="dispersion blender"),
]
OTHERS = [
    pytest.param(Source, {"flow": 1e-3}, id="source"),
    pytest.param(LossInWeightFeeder, {"composition": {"api": 0.7, "water": 0.3}, "setpoint": 1e-3}, id="feeder"),
    pytest.param(LossInWeightFeeder, {"composition": {"water": 1.0}, "setpoint": 1e-3}, id="feeder of water"),
    pytest.param(TabletPress, {}, id="press"),
]


# --- distributions ----------------------------------------------------------------------------------------------------


@given(st.floats(1e-7, 1e-1), st.floats(1.01, 10.0), st.integers(1, 50))
def test_the_shares_of_a_distribution_sum_to_one(median, spread, classes):
    shares = SizeClasses(1e-6, 1e-2, classes).shares(median, spread)
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    assert min(shares) >= 0.0


def test_shares_are_those_of_the_lognormal_distribution():
    sizes = SizeClasses(1e-6, 1e-2, 25)
    exact = np.diff(lognorm.cdf(sizes.edges, math.log(1.7), scale=80e-6))
    assert sizes.shares(80e-6, 1.7) == pytest.approx(exact, abs=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_quantile_is_where_the_straight_cumulative_curve_has_it(weights, quantile):
    shares = (np.array(weights) + 1e-3) / (np.sum(weights) + 1e-3 * len(weights))
    found = sum(reached(list(np.cumsum(shares)), quantile))
    assert found == pytest.approx(np.interp(quantile, [0.0, *np.cumsum(shares)], np.arange(len(shares) + 1)), abs=2e-2)
    inner = reached(list(np.cumsum(shares)), quantile, width=1e-12)
    assert sum(inner) == pytest.approx(np.interp(quantile, [0.0, *np.cumsum(shares)], np.arange(len(shares) + 1)), abs=1e-6)


def test_empty_classes_are_regular_points():
    assert sum(reached([0.0, 0.0, 1.0, 1.0], 0.5)) == pytest.approx(2.5, abs=1e-5)


def told(rig: Any, sizes: SizeClasses, flow: Any) -> dict[str, float]:
    """Return the diameters that a source of a material of 90 um tells."""
    material = Material("powder", 1500.0, 400.0, median_size=90e-6, size_spread=1.6)
    model = rig(Source, materials=Powders({"powder": material}, sizes), flow=flow, horizon=1.0).model
    trajectory = simulate(model, [1.0])
    return {label: trajectory[f"unit.outlet_{label}"][0] for label in ("d10", "d50", "d90")}


def test_diameters_converge_with_the_classes_to_those_of_the_distribution(rig):
    """Straight lines between exact points of the cumulative curve: second order."""
    exact = {"d10": 90e-6 * 1.6**-1.2815515655446004, "d50": 90e-6, "d90": 90e-6 * 1.6**1.2815515655446004}
    errors = []
    for classes in (10, 20, 40, 80):
        found = told(rig, SizeClasses(10e-6, 1e-3, classes), 1e-3)
        errors.append(max(abs(found[label] / value - 1) for label, value in exact.items()))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 2e-3
    assert np.mean(orders) == pytest.approx(2.0, abs=0.4)


def test_without_flow_diameters_are_numbers_within_the_classes(rig):
    found = told(rig, SIZES, 0.0)
    assert found["d50"] == pytest.approx(math.sqrt(SIZES.smallest * SIZES.largest), rel=1e-6)
    assert SIZES.smallest < found["d10"] < found["d50"] < found["d90"] < SIZES.largest


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("material", "message"),
    [
        (Material("talc", 2700.0, 300.0), "talc: needs median_size and size_spread"),
        (Material("talc", 2700.0, 300.0, median_size=20e-6, size_spread=2.0), "talc.median_size: 16 % of its mass lies outside"),
        (Material("size_2", 2700.0, 300.0, median_size=100e-6, size_spread=1.5), "size_2: is the name of a size class"),
    ],
)
def test_what_materials_do_not_say_is_asked_for_by_name(material, message):
    with pytest.raises(CaseError, match=message):
        Powders({material.name: material}, SIZES)


def test_there_has_to_be_a_solid():
    with pytest.raises(CaseError, match="no material is a solid"):
        Powders({"water": WATER}, SIZES)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"median_size": 1e-4}, "size_spread: has to be above 1"),
        ({"median_size": 1e-4, "size_spread": 1.0}, "size_spread: has to be above 1"),
        ({"median_size": -1e-4, "size_spread": 2.0}, "median_size: has to be above 0"),
        ({"median_size": math.nan, "size_spread": 2.0}, "median_size: has to be above 0"),
        ({"median_size": 1e-4, "size_spread": 2.0, "moisture": True}, "median_size: a liquid has no particles"),
    ],
)
def test_impossible_distributions_are_refused(given, message):
    with pytest.raises(CaseError, match=message):
        Material("talc", 2700.0, 300.0, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0.0, 1e-3, 5), "smallest: has to be positive"),
        ((1e-3, 1e-3, 5), "largest: has to lie above"),
        ((1e-5, 1e-3, 0), "at least one class"),
    ],
)
def test_impossible_classes_are_refused(given, message):
    with pytest.raises(CaseError, match=message):
        SizeClasses(*given)


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "given"), PASSIVE + OTHERS)
def test_units_with_classes_are_well_posed_and_consistent(rig, unit, given):
    model = rig(unit, materials=POWDERS, **given).model
    assert_units_consistent(model)
    assert lower(model.clone()).z.numel() == 0


def solids(trajectory: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the solids of an amount by component, and by class."""
    return tuple(sum(trajectory[f"{name}[{member}]"] for member in members) for members in (("filler", "api"), SIZES.names))


FLOWS = st.fixed_dictionaries({name: st.floats(0.0, 5e-3) for name in POWDERS})


@pytest.mark.parametrize(("unit", "given_"), PASSIVE)
@settings(max_examples=3, deadline=None, derandomize=True)
@given(first=FLOWS, then=FLOWS)
def test_every_class_is_conserved_and_all_of_them_are_the_solids(rig, unit, given_, first, then):
    rigged = rig(unit, materials=POWDERS, feed=first, horizon=60.0, **given_)
    model, contract = rigged.model, unit._ComponentDataClass
    inlets, outlets = contract.inlets(given_), contract.outlets(given_)
    model.kept = pyo.Var(model.time, SIZES.names, units=u.kg, doc="what has come in and not gone out")
    model.kept_rate = DerivativeVar(model.kept, wrt=model.time, units=u.kg / u.s)

    @model.Constraint(model.time, SIZES.names)
    def keeping(m: Any, t: float, size: str) -> Any:
        flows = [sum(m.unit.component(f"{port}_flow")[t, size] for port in ports) for ports in (inlets, outlets)]
        return m.kept_rate[t, size] == flows[0] - flows[1]

    for size in SIZES.names:
        model.kept[0.0, size].fix(0.0)
    changes = {f"source_1.flow[{name}]": Profile((0.0, 30.0), (first[name], then[name])) for name in POWDERS}
    trajectory = simulate(model, np.linspace(0.0, 60.0, 13), inputs=changes)
    for size in SIZES.names:
        held = trajectory[f"unit.holdup[{size}]"] if model.unit.component("holdup") is not None else np.zeros(13)
        assert trajectory[f"kept[{size}]"] == pytest.approx(held - held[0], abs=1e-10)
    assert rigged.residual(trajectory) < 1e-8
    for name in (*(f"{port}_flow" for port in (*inlets, *outlets)), *(["holdup"] if model.unit.component("holdup") is not None else [])):
        by_component, by_class = solids(trajectory, f"unit.{name}")
        assert by_class == pytest.approx(by_component, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("unit", "given"), PASSIVE)
def test_classes_change_nothing_of_the_components(rig, unit, given):
    """Where plug flow is limited, the limiter looks at all that is carried: fronts differ a little there, and nothing else does."""
    feed, t = {"filler": 1e-3, "api": 4e-3, "water": 5e-4}, np.linspace(0.0, 60.0, 7)
    with_classes, without = (
        simulate(rig(unit, materials=materials, feed=feed, horizon=60.0, **given).model, t) for materials in (POWDERS, dict(POWDERS))
    )
    limited = unit in (Chute, Delumper, Hopper, ContinuousBlender)
    names = [name for name in without.names if name.startswith(("unit.outlet", "unit.holdup"))]
    assert names
    for name in names:
        size = float(np.max(np.abs(without[name])))
        assert with_classes[name] == pytest.approx(without[name], rel=1e-6, abs=(0.02 if limited else 1e-7) * size), name


def test_a_feeder_gives_each_material_with_its_own_sizes(rig):
    """Nine parts of filler and one of api: the shares of the classes are those of the mixture, and water has none."""
    composition = {"filler": 0.72, "api": 0.08, "water": 0.2}
    model = rig(LossInWeightFeeder, materials=POWDERS, composition=composition, setpoint=5e-3, horizon=60.0).model
    trajectory = simulate(model, [60.0])
    mixed = 0.9 * np.array(SIZES.shares(150e-6, 1.8)) + 0.1 * np.array(SIZES.shares(60e-6, 1.6))
    assert [trajectory[f"unit.outlet_share[{size}]"][0] for size in SIZES.names] == pytest.approx(mixed, abs=1e-9)
    assert trajectory["unit.outlet_finer[size_4]"][0] == pytest.approx(1.0, abs=1e-12)
    by_component, by_class = solids(trajectory, "unit.outlet_flow")
    assert by_class == pytest.approx(by_component, rel=1e-9)
    assert by_class == pytest.approx(0.8 * trajectory["unit.delivered"], rel=1e-9)


def test_what_is_carried_are_components_and_classes():
    assert carried(POWDERS) == ["filler", "api", "water", "size_1", "size_2", "size_3", "size_4"]
    assert carried(dict(POWDERS)) == ["filler", "api", "water"]
