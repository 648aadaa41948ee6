"""Fluid-bed dryer: closed forms of both drying periods, steady states, the air, conservation, limit cases."""

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.environ import units as u
from scipy.optimize import brentq
from scipy.special import gammainc

from solvers import SimulationError, simulate
from solvers.declare import Profile
from solvers.errors import CaseError
from units import humid_air
from units.fluid_bed_dryer import FluidBedDryer
from units.powders import Powders
from units.sizes import SizeClasses
from units.stream import Material

SIZES = SizeClasses(20e-6, 5e-3, 4)
MATERIALS = {
    "granule": Material("granule", 1500.0, 500.0, median_size=700e-6, size_spread=1.8),
    "api": Material("api", 1300.0, 350.0, median_size=200e-6, size_spread=1.8),
    "water": Material("water", 1000.0, 1000.0, moisture=True),
}
CLOSED = {"mean_time": 1e15, "cells": 1, "initial_mass": 1.3}
CRITICAL, EQUILIBRIUM = 0.10, 0.01


def wet(moisture: float) -> dict[str, float]:
    """Return the composition of granules with a moisture by mass of dry solids."""
    return {"granule": 1 / (1 + moisture), "water": moisture / (1 + moisture)}


def capacity(air: float, solids: float, rate: float = 0.5, temperature: float = 333.15, humidity: float = 0.006) -> float:
    """Return the evaporation from wet powder (kg/s), with the wet bulb by another way."""

    def excess(wet_bulb: float) -> float:
        heat = (1006 + 1860 * humidity) * (temperature - wet_bulb)
        return heat - 2.43e6 * (saturated(wet_bulb) - humidity)

    deficit = saturated(brentq(excess, 260.0, temperature, xtol=1e-12)) - humidity
    return air * deficit * -np.expm1(-rate * solids / air)


def saturated(temperature: float) -> float:
    pressure = 610.94 * np.exp(17.625 * (temperature - 273.15) / (temperature - 30.11))
    return 0.62198 * pressure / (101325 - pressure)


# --- air --------------------------------------------------------------------------------------------------------------


@given(st.floats(humid_air.COLDEST, humid_air.HOTTEST), st.floats(0.0, 1.0))
def test_newton_steps_end_at_the_wet_bulb(temperature, relative):
    humidity = relative * saturated(temperature)
    wet_bulb: Any = temperature * u.K
    for _ in range(humid_air.STEPS):
        wet_bulb = pyo.value(humid_air.cooler(wet_bulb, temperature * u.K, humidity)) * u.K
    found = pyo.value(wet_bulb)
    heat = (1006 + 1860 * humidity) * (temperature - found)
    assert heat == pytest.approx(2.43e6 * (saturated(found) - humidity), abs=1e-3)
    assert found <= temperature + 1e-9


@pytest.mark.parametrize(("dry", "relative", "found"), [(25.0, 0.50, 17.9), (30.0, 0.40, 20.1), (20.0, 1.0, 20.0)])
def test_wet_bulbs_are_those_of_the_chart(dry, relative, found):
    """Recalled from psychrometric charts, to the tenth of a degree or two."""
    air = (dry + 273.15) * u.K
    wet_bulb, humidity = air, relative * saturated(dry + 273.15) if relative == 1 else _humidity(dry, relative)
    for _ in range(humid_air.STEPS):
        wet_bulb = pyo.value(humid_air.cooler(wet_bulb, air, humidity)) * u.K
    assert pyo.value(wet_bulb) - 273.15 == pytest.approx(found, abs=0.25)


def _humidity(dry: float, relative: float) -> float:
    pressure = relative * pyo.value(humid_air.saturation_pressure((dry + 273.15) * u.K))
    return 0.62198 * pressure / (101325 - pressure)


# --- both drying periods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("air", [0.02, 0.1, 2.0])
def test_wet_powder_in_a_batch_dries_at_a_constant_rate(rig, air):
    """1 kg of solids with 0.3 kg of water: the moisture falls along a straight line down to the critical one."""
    rate = capacity(air, 1.0)
    end = 0.8 * (0.3 - CRITICAL) / rate
    t = np.linspace(0.0, end, 9)
    model = rig(FluidBedDryer, materials=MATERIALS, horizon=end, air_flow=air, initial_composition=wet(0.3), **CLOSED).model
    trajectory = simulate(model, t)
    assert trajectory["unit.moisture[1]"] == pytest.approx(0.3 - rate * t, rel=1e-7)
    assert trajectory["unit.temperature[1]"] == pytest.approx(trajectory["unit.wet_bulb"], abs=1e-5)
    assert trajectory["unit.exhaust_humidity"] == pytest.approx(0.006 + rate / air, rel=1e-7)


def test_with_much_powder_the_exhaust_is_saturated_at_the_wet_bulb(rig):
    model = rig(FluidBedDryer, materials=MATERIALS, air_flow=0.01, initial_composition=wet(0.3), **CLOSED).model
    trajectory = simulate(model, [0.0])
    assert trajectory["unit.exhaust_humidity"][0] == pytest.approx(saturated(trajectory["unit.wet_bulb"][0]), rel=1e-9)
    assert trajectory["unit.exhaust_temperature"] == pytest.approx(trajectory["unit.wet_bulb"], abs=1e-6)


def test_below_the_critical_moisture_a_batch_dries_exponentially(rig):
    rate = capacity(0.1, 1.0) / (CRITICAL - EQUILIBRIUM)
    t = np.linspace(0.0, 5 / rate, 11)
    given_ = CLOSED | {"initial_mass": 1.08, "initial_composition": wet(0.08)}
    trajectory = simulate(rig(FluidBedDryer, materials=MATERIALS, horizon=float(t[-1]), **given_).model, t)
    assert trajectory["unit.moisture[1]"] - EQUILIBRIUM == pytest.approx(0.07 * np.exp(-rate * t), rel=1e-6)
    assert np.all(np.diff(trajectory["unit.temperature[1]"]) > 0)
    assert trajectory["unit.temperature[1]"][-1] < 333.15


def test_dry_powder_takes_moisture_up_by_the_same_law(rig):
    rate = capacity(0.1, 1.0) / (CRITICAL - EQUILIBRIUM)
    given_ = CLOSED | {"initial_mass": 1.0, "initial_composition": {"granule": 1.0}}
    trajectory = simulate(rig(FluidBedDryer, materials=MATERIALS, horizon=600.0, **given_).model, [0.0, 30.0, 600.0])
    exact = EQUILIBRIUM * -np.expm1(-rate * np.array([0.0, 30.0, 600.0]))
    assert trajectory["unit.moisture[1]"] == pytest.approx(exact, rel=1e-6, abs=1e-12)


# --- flow -------------------------------------------------------------------------------------------------------------


def steady_moisture(entering: float, solids_flow: float, air: float, mean_time: float, cells: int) -> list[float]:
    """Return the moisture of each cell at steady state: cell by cell, ``F (X[k-1] - X[k]) = capacity f(X[k])``."""
    found, most = [], capacity(air / cells, solids_flow * mean_time / cells)
    for _ in range(cells):
        wet_after = entering - most / solids_flow
        slope = most / (CRITICAL - EQUILIBRIUM)
        entering = wet_after if wet_after >= CRITICAL else (solids_flow * entering + slope * EQUILIBRIUM) / (solids_flow + slope)
        found.append(entering)
    return found


@pytest.mark.parametrize(("cells", "air"), [(1, 0.05), (1, 0.2), (4, 0.05), (4, 0.2)])
def test_steady_state_of_cells_in_a_row(rig, cells, air):
    """The average over the residence times at maximum mixedness is that of mixed cells, each at its own moisture."""
    flow = 5e-3
    given_ = {"cells": cells, "air_flow": air, "mean_time": 300.0, "initial_composition": {"granule": 1.0}}
    feed = {"granule": flow, "api": 0.0, "water": 0.3 * flow}
    trajectory = simulate(rig(FluidBedDryer, materials=MATERIALS, feed=feed, horizon=6000.0, **given_).model, [6000.0])
    exact = steady_moisture(0.3, flow, air, 300.0, cells)
    assert [trajectory[f"unit.moisture[{k}]"][0] for k in range(1, cells + 1)] == pytest.approx(exact, rel=1e-5)
    assert trajectory["unit.outlet_moisture"][0] == pytest.approx(exact[-1], rel=1e-5)
    assert trajectory["unit.outlet_flow[granule]"][0] == pytest.approx(flow, rel=1e-6)


@pytest.mark.parametrize("cells", [1, 3])
def test_without_drying_a_step_leaves_as_from_tanks_in_series(rig, cells):
    given_ = {"cells": cells, "air_flow": 0.0, "mean_time": 60.0, "initial_composition": {"granule": 1.0}}
    feed = {"granule": 4e-3, "api": 1e-3, "water": 1e-3}
    t = np.linspace(0.0, 240.0, 13)
    trajectory = simulate(rig(FluidBedDryer, materials=MATERIALS, feed=feed, horizon=240.0, **given_).model, t)
    for name, flow in feed.items():
        assert trajectory[f"unit.outlet_flow[{name}]"] == pytest.approx(flow * gammainc(cells, cells * t / 60.0), rel=1e-6, abs=1e-12)


def test_saturated_air_dries_nothing_and_fog_is_refused(rig):
    given_ = CLOSED | {"initial_composition": wet(0.3), "air_temperature": 303.15}
    trajectory = simulate(
        rig(FluidBedDryer, materials=MATERIALS, air_humidity=saturated(303.15) * (1 - 1e-12), **given_).model, [0.0, 600.0]
    )
    assert trajectory["unit.moisture[1]"] == pytest.approx(0.3, rel=1e-8)
    with pytest.raises(SimulationError, match=r"unit\.fog"):
        simulate(rig(FluidBedDryer, materials=MATERIALS, air_humidity=0.04, **given_).model, [0.0, 600.0])


# --- conservation and limits ------------------------------------------------------------------------------------------

FLOWS = st.fixed_dictionaries({name: st.floats(0.0, 5e-3) for name in MATERIALS})


@settings(max_examples=5, deadline=None, derandomize=True)
@given(first=FLOWS, then=FLOWS, air=st.floats(0.0, 1.0), start=st.floats(0.0, 2.0))
def test_everything_is_conserved_and_moisture_never_negative(rig, first, then, air, start):
    given_ = {"cells": 2, "mean_time": 60.0, "air_flow": air, "initial_mass": start, "initial_composition": wet(0.2)}
    rigged = rig(FluidBedDryer, materials=Powders(MATERIALS, SIZES), feed=first, horizon=120.0, **given_)
    changes = {f"source_1.flow[{name}]": Profile((0.0, 60.0), (first[name], then[name])) for name in MATERIALS}
    trajectory = simulate(rigged.model, np.linspace(0.0, 120.0, 25), inputs=changes)
    assert rigged.residual(trajectory) < 1e-8
    for k in (1, 2):
        assert trajectory[f"unit.mass[{k},water]"].min() > -1e-10
        assert np.all(trajectory[f"unit.temperature[{k}]"] >= trajectory["unit.wet_bulb"] - 1e-6)
        by_class = sum(trajectory[f"unit.mass[{k},{size}]"] for size in SIZES.names)
        assert by_class == pytest.approx(trajectory[f"unit.solids[{k}]"], rel=1e-9, abs=1e-12)
    by_class = sum(trajectory[f"unit.outlet_flow[{size}]"] for size in SIZES.names)
    assert by_class == pytest.approx(trajectory["unit.outlet_flow[granule]"] + trajectory["unit.outlet_flow[api]"], rel=1e-9, abs=1e-12)
    assert np.all(trajectory["unit.exhaust_humidity"] <= saturated(trajectory["unit.wet_bulb"][0]) + 1e-9)


def test_an_empty_dryer_without_flow_or_air_is_a_regular_point(rig):
    model = rig(FluidBedDryer, materials=MATERIALS, air_flow=0.0, initial_composition={"granule": 1.0}).model
    trajectory = simulate(model, [0.0, 600.0])
    for name in trajectory.names:
        assert np.all(np.isfinite(trajectory[name])), name
    assert trajectory["unit.total_mass"] == pytest.approx(0.0, abs=1e-15)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("materials", "message"),
    [
        ({"granule": MATERIALS["granule"]}, "needs a material that is moisture"),
        (MATERIALS | {"ethanol": Material("ethanol", 789.0, 789.0, moisture=True)}, "there are water, ethanol"),
    ],
)
def test_there_has_to_be_one_moisture(rig, materials, message):
    with pytest.raises(CaseError, match=message):
        rig(FluidBedDryer, materials=materials, initial_composition={"granule": 1.0})


def test_the_critical_moisture_lies_above_equilibrium(rig):
    with pytest.raises(CaseError, match="critical_moisture: has to lie above"):
        rig(FluidBedDryer, materials=MATERIALS, equilibrium_moisture=0.2, initial_composition={"granule": 1.0})
