"""Temperature of streams and the heat balance of a vessel: closed forms, conservation, limits and refusals."""

import math

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquids import AIR, GASES, HEATED, HOUR, LITER, vessel, worst_residual

from flowsheet import Flowsheet
from solvers import lower, sensitivities, simulate
from solvers.declare import Profile
from solvers.errors import CaseError, NumericsError
from units.bioreactor import Bioreactor
from units.kinetics.monod import MonodReactor
from units.kinetics.penicillin import PenicillinReactor
from units.liquid import HEAT_CAPACITY, LiquidComponent
from units.liquid_sink import LiquidSink
from units.liquid_source import LiquidSource
from units.stream import MOLES

VOLUME = {"initial_volume": LITER, "maximum_volume": 10 * LITER}
SALT = {"salt": MOLES}
WARM, HOT, COLD = 310.15, 350.0, 278.0
CAPACITY = float(pyo.value(HEAT_CAPACITY))


def heated(unit, horizon, **given):
    return vessel(unit, horizon, extra=given.pop("extra", SALT), **(VOLUME | HEATED | {"jacket_conductance": 0.0} | given))


# --- streams -----------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(flow=st.floats(1e-11, 1e-2), temperature=st.floats(274.0, 372.0))
def test_a_stream_has_the_temperature_of_its_source(flow, temperature):
    flowsheet = Flowsheet(1.0, {"salt": LiquidComponent("salt", MOLES)})
    flowsheet.add("medium", LiquidSource, flow=flow, temperature=temperature)
    flowsheet.add("waste", LiquidSink)
    flowsheet.connect("medium.outlet", "waste.inlet")
    trajectory = simulate(flowsheet.model, [0.0, 1.0])
    assert trajectory["waste.inlet_temperature"] == pytest.approx(temperature, rel=1e-8)
    assert trajectory["waste.inlet_heat_flow"] == pytest.approx(flow * CAPACITY * (temperature - 298.15), rel=1e-9, abs=1e-9)


def test_a_stream_at_rest_is_regular_and_shows_the_reference():
    flowsheet = Flowsheet(1.0, {"salt": LiquidComponent("salt", MOLES)})
    flowsheet.add("medium", LiquidSource, flow=0.0, temperature=HOT)
    flowsheet.add("waste", LiquidSink)
    flowsheet.connect("medium.outlet", "waste.inlet")
    trajectory = simulate(flowsheet.model, [0.0, 1.0])
    assert trajectory["waste.inlet_temperature"] == pytest.approx(298.15, rel=1e-12)


def test_a_vessel_held_at_its_temperature_hands_it_on():
    model = vessel(Bioreactor, HOUR, extra=SALT, feeds=({"flow": 1e-7, "temperature": HOT},), outflow=1e-7, temperature=WARM, **VOLUME)
    trajectory = simulate(model, [0.0, HOUR])
    assert trajectory["outlet_sink.inlet_temperature"] == pytest.approx(WARM, rel=1e-9)
    assert "reactor.heat" not in trajectory.names


# --- closed forms ------------------------------------------------------------------------------------------------------


def test_a_jacket_heats_exponentially():
    conductance, time = 8.0, np.linspace(0.0, 2 * HOUR, 9)
    model = heated(Bioreactor, 2 * HOUR, jacket_conductance=conductance, jacket_temperature=HOT, initial_temperature=COLD)
    trajectory = simulate(model, time)
    rate = conductance / (CAPACITY * LITER)
    assert trajectory["reactor.temperature"] == pytest.approx(HOT + (COLD - HOT) * np.exp(-rate * time), rel=1e-8)


def test_hot_and_cold_mix_by_volume():
    feeds = ({"flow": 2e-7, "temperature": HOT}, {"flow": 1e-7, "temperature": COLD})
    trajectory = simulate(heated(Bioreactor, HOUR, feeds=feeds, initial_temperature=WARM), np.linspace(0.0, HOUR, 7))
    hot, cold = 2e-7 * trajectory.t, 1e-7 * trajectory.t
    mixed = (LITER * WARM + hot * HOT + cold * COLD) / (LITER + hot + cold)
    assert trajectory["reactor.temperature"] == pytest.approx(mixed, rel=1e-9)


def test_a_bolus_brings_its_heat():
    given = {"bolus_volume": 0.5 * LITER, "bolus_count": 2, "bolus_start": HOUR, "bolus_interval": HOUR, "feed_temperature": COLD}
    inputs = {"reactor.feed_temperature": Profile((0.0, 1.5 * HOUR), (COLD, HOT))}
    trajectory = simulate(heated(Bioreactor, 3 * HOUR, **given), np.array([0.0, 1.2, 2.5]) * HOUR, inputs=inputs)
    assert trajectory["reactor.temperature"] == pytest.approx([WARM, (WARM + 0.5 * COLD) / 1.5, (WARM + 0.5 * COLD + 0.5 * HOT) / 2])


def test_its_own_feed_and_permeate_carry_heat():
    """A vessel of constant volume through which liquid passes: T relaxes to the feed's with the dilution rate."""
    flow, time = LITER / HOUR, np.linspace(0.0, 3 * HOUR, 7)
    given = {"feed_flow": flow, "feed_temperature": COLD, "permeate_flow": 0.6 * flow, "outflow": 0.4 * flow, "perfusion": 1}
    trajectory = simulate(heated(Bioreactor, 3 * HOUR, **given), time)
    assert trajectory["reactor.temperature"] == pytest.approx(COLD + (WARM - COLD) * np.exp(-time / HOUR), rel=1e-7)
    assert trajectory["permeate_sink.inlet_temperature"] == pytest.approx(trajectory["reactor.temperature"], rel=1e-9)


def test_evaporation_cools():
    """c V dT/dt = -e V evaporation_heat: the heat of what leaves at T leaves with its volume."""
    rate = 0.01 / HOUR
    trajectory = simulate(heated(Bioreactor, HOUR, evaporation=rate), [0.0, HOUR])
    assert trajectory["reactor.temperature"][-1] == pytest.approx(WARM - rate * HOUR * 2.4e9 / CAPACITY, rel=1e-9)


def test_steady_temperature_is_where_the_jacket_takes_what_cells_and_stirrer_give():
    """Constant uptake: UA (T - T_jacket) = oxygen_heat q X V + P."""
    uptake, biomass = 2e-3, 1.0
    given = {"maximum_growth": 0.0, "oxygen_uptake": uptake, "oxygen_half": 1e-12, "jacket_conductance": 5.0, "stirrer_speed": 14.0}
    start = {"initial_mass_concentration": {"biomass": biomass}, "initial_molarity": {"oxygen": 0.2}}
    model = heated(MonodReactor, 10 * HOUR, extra=GASES, **AIR | given, **start)
    trajectory = simulate(model, [0.0, 10 * HOUR])
    power = 5.0 * 1000.0 * 14.0**3 * 0.045**5
    heat = 4.6e5 * uptake * biomass * LITER
    assert trajectory["reactor.metabolic_heat"][-1] == pytest.approx(heat, rel=1e-8)
    assert trajectory["reactor.stirrer_power"][-1] == pytest.approx(power, rel=1e-12)
    assert trajectory["reactor.temperature"][-1] == pytest.approx(HEATED["jacket_temperature"] + (heat + power) / 5.0, rel=1e-8)


def test_heat_of_growth_warms_a_closed_vessel():
    """Without air and jacket the rise is the heat of what has grown."""
    start = {"biomass": 0.1, "substrate": 10.0}
    model = heated(MonodReactor, 30 * HOUR, initial_mass_concentration=start, growth_heat=1.2e7)
    trajectory = simulate(model, np.linspace(0.0, 30 * HOUR, 11))
    grown = trajectory["reactor.mass_concentration[biomass]"] - 0.1
    assert trajectory["reactor.temperature"] == pytest.approx(WARM + 1.2e7 * grown / CAPACITY, rel=1e-9)
    assert grown[-1] == pytest.approx(5.0, rel=1e-6)


def test_the_stirrer_of_a_penicillin_fermenter_warms_it():
    model = vessel(PenicillinReactor, HOUR, oxygen_saturation=0.0, **VOLUME | HEATED | {"jacket_conductance": 0.0}, power=2.0)
    trajectory = simulate(model, [0.0, HOUR])
    assert trajectory["reactor.temperature"][-1] == pytest.approx(WARM + 2.0 * HOUR / (CAPACITY * LITER), rel=1e-9)


def test_kinetics_feel_the_temperature():
    """Penicillin's growth by its Arrhenius terms at the temperature that the balance gives."""
    given = {"initial_mass_concentration": {"biomass": 0.1, "substrate": 15.0, "oxygen": 1.16}, "power": 0.0}
    held = simulate(vessel(PenicillinReactor, HOUR, temperature=303.0, **VOLUME, **given), [0.0, HOUR])
    free = heated(PenicillinReactor, HOUR, initial_temperature=303.0, **given)
    assert simulate(free, [0.0, HOUR])["reactor.specific_growth"][-1] == pytest.approx(held["reactor.specific_growth"][-1], rel=1e-9)


# --- conservation, limits, refusals ------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(
    inlet=st.floats(274.0, 370.0),
    own=st.floats(274.0, 370.0),
    jacket=st.floats(275.0, 365.0),
    out=st.floats(0.0, 2.0),
    ua=st.floats(0.0, 20.0),
)
def test_heat_is_conserved(inlet, own, jacket, out, ua):
    model = heated(
        Bioreactor,
        HOUR,
        feeds=({"flow": LITER / HOUR, "temperature": inlet},),
        feed_flow=0.5 * LITER / HOUR,
        feed_temperature=own,
        outflow=out * LITER / HOUR,
        jacket_temperature=jacket,
        jacket_conductance=ua,
    )
    time = np.linspace(0.0, HOUR, 2001)
    trajectory = simulate(model, time, rtol=1e-9)
    flows = trajectory["reactor.inlet_1_heat_flow"] - trajectory["reactor.outlet_heat_flow"] + trajectory["reactor.jacket_heat"]
    flows = flows + 0.5 * LITER / HOUR * CAPACITY * (own - 298.15)
    gained = trajectory["reactor.heat"][-1] - trajectory["reactor.heat"][0]
    assert np.trapezoid(flows, time) == pytest.approx(gained, abs=1e-5 * CAPACITY * LITER * 100)
    assert worst_residual(trajectory) < 1e-9


def test_a_vessel_of_one_temperature_keeps_it_down_to_the_heel():
    given = {"outflow": LITER / HOUR, "heel": 0.02 * LITER, "jacket_conductance": 5.0, "jacket_temperature": WARM}
    trajectory = simulate(heated(Bioreactor, 3 * HOUR, **given), np.linspace(0.0, 3 * HOUR, 31))
    assert trajectory["reactor.temperature"] == pytest.approx(WARM, rel=1e-8)


def test_derivatives_by_the_jacket():
    model = heated(Bioreactor, HOUR, jacket_conductance=5.0)
    name, parameter = "reactor.temperature", "reactor.jacket_conductance"
    slope = sensitivities(model, [parameter], name, [0.0, HOUR])[name, parameter][-1]
    place = CAPACITY * LITER
    assert slope == pytest.approx((WARM - 308.15) * -HOUR / place * math.exp(-5.0 * HOUR / place), rel=1e-6)


def test_ice_and_steam_end_the_run():
    with pytest.raises(NumericsError, match=r"reactor\.boiling at t = .*the liquid boils"):
        simulate(heated(Bioreactor, 5 * HOUR, jacket_conductance=50.0, jacket_temperature=400.0), np.linspace(0.0, 5 * HOUR, 6))
    with pytest.raises(NumericsError, match=r"reactor\.frozen at t = .*the liquid freezes"):
        simulate(heated(Bioreactor, 5 * HOUR, jacket_conductance=50.0, jacket_temperature=250.0), np.linspace(0.0, 5 * HOUR, 6))


def test_the_temperature_is_given_or_follows_and_not_both():
    with pytest.raises(CaseError, match=r"reactor\.temperature: needs heat_balance = 0"):
        heated(Bioreactor, HOUR, temperature=300.0)
    with pytest.raises(CaseError, match=r"reactor\.jacket_temperature: needs heat_balance = 1"):
        vessel(Bioreactor, HOUR, extra=SALT, jacket_temperature=300.0, **VOLUME)
    model = heated(Bioreactor, HOUR)
    assert "temperature" not in model.reactor.inputs
    assert "reactor.temperature" not in [slot.name for slot in lower(model).inputs]
