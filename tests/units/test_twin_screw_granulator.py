"""Twin-screw granulator: residence time, aggregation, breakage and nucleation in closed form, liquid by class, limits, conservation."""

import math

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.special import gammainc

from csrc import population_balance as pb
from solvers import sensitivities, simulate
from solvers.errors import CaseError
from solvers.simulate import SimulationError
from units.granulation import SPECIFIC_LOAD, equal_fragments, grid_of, residence_time
from units.powders import Powders
from units.sizes import SizeClasses
from units.stream import Material
from units.twin_screw_granulator import TwinScrewGranulator

DRUG = Material("api", 1300.0, 350.0, median_size=60e-6, size_spread=1.6)
FILLER = Material("filler", 1550.0, 500.0, median_size=100e-6, size_spread=1.8)
WATER = Material("water", 1000.0, 1000.0, moisture=True)
ONE = {"wetting_cells": 1, "kneading_zones": 0, "load_time": 0.0, "liquid_time": 0.0, "base_time": 10.0}
"""One mixed tank of 10 s."""
STILL = {"aggregation": 0.0, "breakage": 0.0, "nucleation": 0.0}
FEED = {"api": 0.2e-3, "filler": 1.8e-3, "water": 0.0}
DRY = {"initial_composition": {"filler": 1.0}}


def powders(*materials, sizes):
    return Powders({each.name: each for each in materials}, sizes)


MIXED = powders(FILLER, DRUG, WATER, sizes=SizeClasses(5e-6, 8e-3, 16))


def run(rig, horizon=300.0, points=31, materials=MIXED, feed=None, inputs=None, rtol=1e-9, **parameters):
    feed = FEED if feed is None else feed
    setup = rig(TwinScrewGranulator, materials=materials, feed=feed, horizon=horizon, **(DRY | parameters))
    return setup, simulate(setup.model, np.linspace(0.0, horizon, points), inputs=inputs, rtol=rtol)


def outlet(trajectory, classes=16):
    return np.array([trajectory[f"unit.outlet_flow[size_{k}]"] for k in range(1, classes + 1)])


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_an_empty_barrel_fills_as_tanks_in_series(rig):
    """Five tanks of 10 s together, all alike; dry and without breakage the distribution passes unchanged."""
    given = STILL | {"load_time": 0.0, "base_time": 10.0, "kneading_holdup": 1.0}
    _, trajectory = run(rig, horizon=40.0, points=81, **given)
    assert trajectory["unit.outlet_total"] / 2e-3 == pytest.approx(gammainc(5, 5 * trajectory.t / 10.0), abs=1e-7)
    entering = np.array([trajectory[f"unit.inlet_share[size_{k}]"][0] for k in range(1, 17)])
    assert outlet(trajectory)[:, -1] == pytest.approx(entering * trajectory["unit.outlet_total"][-1], abs=1e-12)


def test_without_liquid_sizes_stay(rig):
    _, trajectory = run(rig)
    entering = np.array([trajectory[f"unit.inlet_flow[size_{k}]"][-1] for k in range(1, 17)])
    assert outlet(trajectory)[:, -1] == pytest.approx(entering, abs=1e-11)


@pytest.mark.parametrize(("load", "ratio"), [(0.04, 0.10), (0.12, 0.35), (0.08, 0.225)])
def test_the_residence_time_is_the_measured_one_at_steady_flow(rig, load, ratio):
    flow = load * SPECIFIC_LOAD  # at 1 rev/s
    _, trajectory = run(rig, feed={"filler": flow, "api": 0.0, "water": 0.0}, liquid_rate=ratio * flow, free_volume=4e-4, **STILL)
    expected = residence_time(flow, ratio)
    held = sum(trajectory[f"unit.holdup[{c}]"][-1] for c in ("filler", "api", "water"))
    assert trajectory["unit.residence_time"][-1] == pytest.approx(expected, rel=1e-5)
    assert held == pytest.approx(expected * flow * (1 + ratio), rel=1e-5)
    assert trajectory["unit.fill[2]"][-1] == pytest.approx(2 / 7 * expected * flow / 500.0 / (4e-4 / 5), rel=1e-5)


def test_two_sizes_aggregate_to_the_root_of_a_quadratic(rig):
    """Two classes with twice the volume: only pairs of the small make something, N1/tau = in - K N1^2 in a steady tank."""
    ratio = (2 + 1e-9) ** (1 / 3)  # a pair fits into the second class
    sizes = SizeClasses(100e-6, 100e-6 * ratio**2, 2)
    powder = Material("filler", 1550.0, 500.0, median_size=112e-6, size_spread=1.04)
    materials = powders(powder, WATER, sizes=sizes)
    given = ONE | {"breakage": 0.0, "nucleation": 0.0, "aggregation": 1e-3, "nucleus_diameter": 120e-6, "wetting_aggregation": 1.0}
    flow, wet = 2e-3, 0.2
    _, trajectory = run(rig, materials=materials, feed={"filler": flow, "water": 0.0}, liquid_rate=wet * flow, horizon=400.0, **given)
    volume = math.pi / 6 * sizes.diameters[0] ** 3
    fill = flow * 10.0 / 500.0 / 2e-4
    kernel = 1e-3 * wet**2 / (wet**2 + 0.05**2) / (fill + 0.02) * 8 * volume
    fine = trajectory["unit.inlet_flow[size_1]"][-1] / (1200.0 * volume * 2e-4)
    number = (math.sqrt(1 + 4 * kernel * 100.0 * fine) - 1) / (2 * kernel * 10.0)
    assert outlet(trajectory, 2)[0, -1] == pytest.approx(number / 10.0 * 1200.0 * volume * 2e-4, rel=1e-7)
    assert 0.9 < number / 10.0 / fine < 0.99, "it does aggregate"


def test_fragments_of_eighths_fall_from_class_to_class(rig):
    """Classes of twice the diameter: eight equal fragments are all of the next class, a chain of first order in a steady tank."""
    sizes = SizeClasses(50e-6, 50e-6 * 2**6, 6)
    materials = powders(Material("filler", 1550.0, 500.0, median_size=400e-6, size_spread=1.4), WATER, sizes=sizes)
    given = ONE | {"aggregation": 0.0, "nucleation": 0.0, "breakage": 2.0, "wetting_breakage": 1.0, "breakage_exponent": 1.5}
    wet = {"half_ratio": 0.05, "toughening": 3.0}  # 2.0 1/rev are 1.6 exp(-0.3) at a ratio of 0.1
    _, trajectory = run(rig, materials=materials, feed={"filler": 2e-3, "water": 2e-4}, horizon=400.0, **given, **wet)
    entering = [trajectory[f"unit.inlet_flow[size_{k}]"][-1] for k in range(1, 7)]
    leaving, falling = [], 0.0
    for k in range(5, -1, -1):
        selection = 1.6 * np.exp(-0.3) * (sizes.diameters[k] / 1e-3) ** 1.5 if k else 0.0
        leaving.append((entering[k] + falling) / (1 + 10.0 * selection))
        falling = leaving[-1] * 10.0 * selection
    assert outlet(trajectory, 6)[:, -1] == pytest.approx(leaving[::-1], rel=1e-8)


def test_drops_catch_powder_and_keep_their_liquid(rig):
    """A steady tank leaves 1/(1 + nucleation w) of each finer class; all liquid that fell on fines is in nuclei."""
    wet = 0.25
    given = ONE | {"aggregation": 0.0, "breakage": 0.0, "nucleation": 4.0, "nucleus_diameter": 2e-3}
    _, trajectory = run(rig, liquid_rate=wet * 2e-3, horizon=400.0, **given)
    sizes = MIXED.sizes
    finer = [k for k in range(15) if sizes.diameters[k + 1] < 2e-3]
    entering = np.array([trajectory[f"unit.inlet_flow[size_{k}]"][-1] for k in range(1, 17)])
    assert outlet(trajectory)[finer, -1] == pytest.approx(entering[finer] / 2, rel=1e-8)
    content = [trajectory[f"unit.liquid[1,size_{k}]"][-1] for k in range(1, 17)]
    assert sum(content) == pytest.approx(wet * 2e-3 * 10.0, rel=1e-8)
    assert np.array(content)[finer] == pytest.approx(0.0, abs=1e-12)
    made = outlet(trajectory)[len(finer) : len(finer) + 2, -1]
    assert made.sum() == pytest.approx(1e-3, rel=1e-3)
    number = made / np.array(sizes.diameters[len(finer) : len(finer) + 2]) ** 3
    assert made.sum() / number.sum() == pytest.approx(2e-3**3, rel=1e-3), "mean volume of nuclei"


def test_liquid_spreads_evenly_over_what_grows_from_one_mass(rig):
    """Powder that comes wet keeps the ratio in every class, however particles meet and break: a tracer in proportion to volume."""
    feed = {"filler": 2e-3, "api": 0.0, "water": 0.5e-3}
    _, trajectory = run(rig, feed=feed, nucleation=0.0)
    for k in range(1, 17):
        if trajectory[f"unit.mass[5,size_{k}]"][-1] > 1e-6:
            assert trajectory[f"unit.liquid_content[size_{k}]"][-1] == pytest.approx(0.25, rel=1e-5)
    assert trajectory["unit.outlet_d50"][-1] > 5 * trajectory["unit.inlet_d50"][-1]


def test_more_liquid_makes_coarser_granules(rig):
    sauter = [run(rig, liquid_rate=wet * 2e-3)[1]["unit.outlet_d32"][-1] for wet in (0.0, 0.1, 0.2, 0.3)]
    assert np.all(np.diff(sauter) > 0)


def test_sensitivities_go_through_kernel_and_liquid(rig):
    """Of the size and of the liquid in a class, to a rate, to stickiness and to the liquid, against differences."""
    sizes, names = SizeClasses(20e-6, 4e-3, 8), ["unit.breakage", "unit.half_ratio", "unit.liquid_rate"]
    outputs, times = ["unit.outlet_d32", "unit.liquid[3,size_6]"], [0.0, 60.0]
    given = {"materials": powders(FILLER, WATER, sizes=sizes), "feed": {"filler": 2e-3, "water": 0.0}, "horizon": 60.0, "kneading_zones": 1}
    base = {"breakage": 15.0, "half_ratio": 0.1, "liquid_rate": 3e-4}

    def ends(rtol=1e-11, **more):
        trajectory = simulate(rig(TwinScrewGranulator, **(DRY | given | base | more)).model, times, rtol=rtol, atol=1e-13)
        return np.array([trajectory[output][-1] for output in outputs])

    found = sensitivities(rig(TwinScrewGranulator, **(DRY | given | base)).model, names, outputs, times, rtol=1e-9, atol=1e-12)
    for name in names:
        value = base[name.removeprefix("unit.")]
        up, down = (ends(**{name.removeprefix("unit."): value * factor}) for factor in (1.001, 0.999))
        for output, difference in zip(outputs, (up - down) / (2e-3 * value), strict=True):
            assert found[output, name][-1] == pytest.approx(difference, rel=2e-4), (output, name)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_nothing_comes_of_nothing(rig):
    _, trajectory = run(rig, feed=0.0)
    assert max(np.abs(trajectory[f"unit.holdup[{c}]"]).max() for c in MIXED) == 0.0
    assert np.isfinite(trajectory["unit.outlet_d50"]).all()


def test_water_alone_passes(rig):
    _, trajectory = run(rig, feed=0.0, liquid_rate=1e-4, horizon=6000.0)
    assert trajectory["unit.outlet_flow[water]"][-1] == pytest.approx(1e-4, rel=1e-6)
    assert np.abs(outlet(trajectory)).max() < 1e-20


def test_a_full_barrel_runs_empty_and_stays_regular(rig):
    setup, trajectory = run(rig, feed=0.0, initial_mass=0.05, initial_composition={"filler": 0.8, "water": 0.2}, horizon=900.0)
    assert trajectory["unit.holdup[filler]"][0] == pytest.approx(0.04, rel=1e-12)
    assert trajectory["unit.holdup[filler]"][-1] < 1e-9
    assert setup.residual(trajectory) < 1e-8


def test_too_much_powder_ends_the_run(rig):
    with pytest.raises(SimulationError, match=r"overfull.*is full.*turn the screws faster"):
        run(rig, feed={"filler": 20e-3, "api": 0.0, "water": 0.0}, free_volume=1e-4)


def test_granules_beyond_the_classes_end_the_run(rig):
    with pytest.raises(SimulationError, match=r"too_coarse.*largest size class.*widen \[sizes\]"):
        run(rig, liquid_rate=1.5e-3, breakage=0.0)


@pytest.mark.parametrize(
    ("materials", "given", "message"),
    [
        ({"filler": FILLER, "water": WATER}, {}, "granules need size classes"),
        (powders(FILLER, sizes=MIXED.sizes), {}, r"the one material that is moisture \(found: none\)"),
        (powders(FILLER, WATER, Material("ethanol", 789.0, 789.0, moisture=True), sizes=MIXED.sizes), {}, "found: water, ethanol"),
        (MIXED, {"nucleus_diameter": 1e-6}, "nucleus_diameter: lies outside the size classes"),
        (MIXED, {"fragments": 1}, "fragments: below its bound"),
        (MIXED, {"speed": 0.0}, "speed: below its bound"),
    ],
)
def test_what_cannot_be_granulated_is_refused(rig, materials, given, message):
    with pytest.raises(CaseError, match=message):
        rig(TwinScrewGranulator, materials=materials, feed=0.0, **(DRY | given))


# --- conservation -----------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    drug=st.floats(0.0, 2e-3),
    filler=st.floats(0.0, 2e-3),
    moist=st.floats(0.0, 0.1),
    ratio=st.floats(0.0, 0.25),
    start=st.floats(0.0, 0.02),
    zones=st.integers(0, 2),
    aggregation=st.floats(0.0, 2.0),
)
def test_every_gram_and_every_class_is_accounted_for(rig, drug, filler, moist, ratio, start, zones, aggregation):
    setup, trajectory = run(
        rig,
        horizon=60.0,
        rtol=1e-8,
        feed={"api": drug, "filler": filler, "water": moist * (drug + filler)},
        liquid_rate=ratio * (drug + filler),
        initial_mass=start,
        initial_composition={"api": 0.3, "filler": 0.6, "water": 0.1},
        kneading_zones=zones,
        aggregation=aggregation,
        free_volume=1e-3,
    )
    assert setup.residual(trajectory) < 1e-9
    last = 1 + 2 * zones
    solids, water = (sum(trajectory[f"unit.outlet_flow[{c}]"] for c in names) for names in (("api", "filler"), ("water",)))
    assert outlet(trajectory).sum(axis=0) == pytest.approx(solids, rel=1e-10, abs=1e-13)
    for j in range(1, last + 1):
        by_class = sum(trajectory[f"unit.liquid[{j},size_{k}]"] for k in range(1, 17))
        assert by_class == pytest.approx(trajectory[f"unit.mass[{j},water]"], rel=1e-10, abs=1e-12)
    assert outlet(trajectory).min() > -1e-9
    assert water.min() >= 0.0


@given(fragments=st.integers(2, 20), classes=st.integers(2, 30))
def test_fragments_have_the_volume_of_what_broke(fragments, classes):
    grid = grid_of(SizeClasses(20e-6, 4e-3, classes))
    found = equal_fragments(grid, fragments)
    assert found.min() >= 0.0
    assert grid.pivots @ found == pytest.approx(grid.pivots, rel=1e-12)
    assert isinstance(pb.BreakageMaps(grid, np.ones(classes), found), pb.BreakageMaps)
