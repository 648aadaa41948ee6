"""Gas through a vessel: correlations, closed forms of transfer and of the gas, respiration, limits and refusals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquids import AIR, GASES, HEATED, HOUR, LITER, cho_parameters, vessel, worst_residual

from flowsheet import Flowsheet
from flowsheet.variables import time_variables, variable_unit
from solvers import SimulationError, lower, sensitivities, simulate
from solvers.declare import Interpolation, Profile
from solvers.errors import CaseError
from units.bioreactor import Bioreactor
from units.kinetics.cho_batch import ChoBatchReactor
from units.kinetics.cho_fed import ChoFedBatchReactor
from units.kinetics.monod import MonodReactor
from units.kinetics.penicillin import PenicillinReactor
from units.laws import faded_power
from units.liquid import LiquidComponent
from units.signal import KINDS
from units.stream import MASS, MOLES

VOLUME = {"initial_volume": LITER, "maximum_volume": 2 * LITER}
WATER = VOLUME | {"temperature": 298.15}
PRESSURE, HENRY, AIR_SHARE, GAS = 101325.0, 1.3e-5, 0.2095, 8.31446261815324 * 298.15


def aerated(unit, horizon, **given):
    return vessel(unit, horizon, extra=given.pop("extra", GASES), **(AIR | WATER | given))


def kla(power, velocity):
    return 0.026 * power**0.4 * velocity**0.5


# --- correlations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constants", "expected"),
    [({}, 0.0412), ({"kla_factor": 0.002, "kla_power": 0.7, "kla_gas": 0.2}, 0.1002)],
    ids=["coalescing", "not coalescing"],
)
def test_van_t_riet_at_1000_w_per_m3_and_1_cm_per_s(constants, expected):
    speed = (1.0 / (5.0 * 1000.0 * 0.045**5)) ** (1 / 3)  # one watt in one liter
    flow = 0.01 * math.pi / 4 * 0.1**2
    trajectory = simulate(aerated(Bioreactor, 1.0, stirrer_speed=speed, gas_flow=flow, **constants), [0.0, 1.0])
    assert trajectory["reactor.specific_power"] == pytest.approx(1000.0, rel=1e-12)
    assert trajectory["reactor.gas_velocity"] == pytest.approx(0.01, rel=1e-12)
    assert trajectory["reactor.tip_speed"] == pytest.approx(math.pi * 0.045 * speed, rel=1e-12)
    assert trajectory["reactor.kla"] == pytest.approx(expected, rel=1e-3)


@given(value=st.floats(1e-2, 1e5), exponent=st.floats(0.1, 1.0))
def test_faded_power_is_the_power_where_it_counts(value, exponent):
    assert faded_power(value, exponent, 1e-6) == pytest.approx(value**exponent, rel=1e-7)
    assert faded_power(0.0, exponent, 1e-6) == 0.0


def test_less_dissolves_in_warm_water():
    """Van 't Hoff's law with the slope of Henry's constant; tables give 8.3 and 6.7 mg/L at 25 and 37 degC under moist air."""
    for temperature, tabulated in ((298.15, 8.26), (310.15, 6.73)):
        model = aerated(Bioreactor, 2 * HOUR, temperature=temperature)
        dissolved = simulate(model, [0.0, 2 * HOUR])["reactor.molarity[oxygen]"][-1]
        factor = math.exp(1500.0 * (1 / temperature - 1 / 298.15))
        assert dissolved == pytest.approx(HENRY * factor * AIR_SHARE * PRESSURE, rel=1e-7)
        assert 32.0 * dissolved == pytest.approx(tabulated, rel=0.1)


# --- closed forms ------------------------------------------------------------------------------------------------------


def test_pure_oxygen_dissolves_exponentially():
    """Pure oxygen stays pure, so that dC/dt = k_La (C* - C) holds exactly."""
    model = aerated(Bioreactor, 200.0, oxygen_share=1.0, extra={"oxygen": MOLES}, initial_molarity={"oxygen": 0.1})
    time = np.linspace(0.0, 200.0, 21)
    trajectory = simulate(model, time)
    rate, full = float(trajectory["reactor.kla"][0]), HENRY * PRESSURE
    assert trajectory["reactor.molarity[oxygen]"] == pytest.approx(full + (0.1 - full) * np.exp(-rate * time), rel=1e-7)
    assert trajectory["reactor.gas_share[oxygen]"] == pytest.approx(1.0, rel=1e-12)
    assert trajectory["reactor.dissolved_oxygen"] == pytest.approx(trajectory["reactor.molarity[oxygen]"] / (AIR_SHARE * full), rel=1e-9)


def test_uptake_at_a_constant_rate_ends_at_what_is_transferred():
    """C = C*(y) - q X/k_La, with y from the gas: what goes in less what dissolves, over all that goes out."""
    uptake, biomass = 4e-3, 0.5  # mol/(kg s), kg/m3
    given = {"maximum_growth": 0.0, "oxygen_uptake": uptake, "respiratory_quotient": 0.8, "oxygen_half": 1e-12}
    model = aerated(MonodReactor, 2 * HOUR, initial_mass_concentration={"biomass": biomass}, initial_molarity={"oxygen": 0.27}, **given)
    trajectory = simulate(model, [0.0, 2 * HOUR])
    rate, taken = float(trajectory["reactor.kla"][0]), uptake * biomass * LITER
    entering = LITER / 60 * PRESSURE / GAS
    leaving = entering - taken + 0.8 * taken
    oxygen = (entering * AIR_SHARE - taken) / leaving
    carbon = (entering * 4e-4 + 0.8 * taken) / leaving
    assert trajectory["reactor.gas_outflow"][-1] == pytest.approx(leaving, rel=1e-9)
    assert trajectory["reactor.gas_share[oxygen]"][-1] == pytest.approx(oxygen, rel=1e-8)
    assert trajectory["reactor.gas_share[carbon_dioxide]"][-1] == pytest.approx(carbon, rel=1e-8)
    assert trajectory["reactor.molarity[oxygen]"][-1] == pytest.approx(HENRY * PRESSURE * oxygen - uptake * biomass / rate, rel=1e-7)
    dissolved = 3.3e-4 * PRESSURE * carbon + 0.8 * uptake * biomass / (0.89 * rate)
    assert trajectory["reactor.molarity[carbon_dioxide]"][-1] == pytest.approx(dissolved, rel=1e-7)
    assert trajectory["reactor.oxygen_uptake_rate"][-1] == pytest.approx(trajectory["reactor.oxygen_transfer_rate"][-1], rel=1e-8)
    assert worst_residual(trajectory) < 1e-10


def test_inert_gas_is_conserved_while_the_rest_changes():
    """What nitrogen goes out over time is what came in, but for what the hold-up changed: its share is one less the others'."""
    given = {"initial_mass_concentration": {"biomass": 1.0, "substrate": 10.0}, "initial_molarity": {"oxygen": 0.2}}
    model = aerated(MonodReactor, 4 * HOUR, **given)
    time = np.linspace(0.0, 4 * HOUR, 14401)
    trajectory = simulate(model, time, rtol=1e-9)
    inert = 1 - trajectory["reactor.gas_share[oxygen]"] - trajectory["reactor.gas_share[carbon_dioxide]"]
    entering = LITER / 60 * PRESSURE / GAS * (1 - AIR_SHARE - 4e-4)
    gained = np.trapezoid(entering - trajectory["reactor.gas_outflow"] * inert, time)
    held = 0.05 * LITER * PRESSURE / GAS * (inert[-1] - inert[0])
    assert gained == pytest.approx(held, abs=1e-6 * entering * 4 * HOUR)
    assert inert.max() - inert.min() > 1e-3


def test_growth_breathes_by_its_yield():
    given = {"initial_mass_concentration": {"biomass": 0.1, "substrate": 4.0}, "initial_molarity": {"oxygen": 0.2}, "growth_oxygen": 25.0}
    trajectory = simulate(aerated(MonodReactor, 30 * HOUR, **given), [0.0, 30 * HOUR])
    grown = (trajectory["reactor.mass[biomass]"][-1] - 0.1 * LITER).item()
    assert grown == pytest.approx(0.5 * 4.0 * LITER, rel=1e-6)
    assert trajectory["balance.reacted_moles[oxygen]"][-1] == pytest.approx(-25.0 * grown, rel=1e-7)
    assert trajectory["balance.reacted_moles[carbon_dioxide]"][-1] == pytest.approx(25.0 * grown, rel=1e-7)
    assert worst_residual(trajectory) < 1e-10


def test_growth_under_want_of_oxygen_is_linear():
    """Far beyond what is transferred, biomass grows by k_La C*/growth_oxygen, however much of it there is."""
    start = {"biomass": 20.0, "substrate": 100.0}
    model = aerated(MonodReactor, 2 * HOUR, initial_mass_concentration=start, oxygen_half=1e-5, extra={"oxygen": MOLES})
    trajectory = simulate(model, np.array([0.0, 1.0, 2.0]) * HOUR)
    transferred = trajectory["reactor.oxygen_transfer_rate"][1:]
    slopes = np.diff(trajectory["reactor.mass_concentration[biomass]"])[1:] / HOUR
    assert slopes == pytest.approx(transferred[-1] / 30.0, rel=1e-3)
    assert trajectory["reactor.dissolved_oxygen"][-1] < 1e-3


@pytest.mark.parametrize("unit", [ChoBatchReactor, ChoFedBatchReactor])
def test_every_cell_kinetics_breathes(unit):
    given = {"initial_cell_density": {"viable": 5e12}, "initial_molarity": {"oxygen": 0.2, "glucose": 30.0}}
    given["initial_molarity"] |= {name: 4.0 for name, measure in unit._ComponentDataClass.kinetics.components.items() if measure is MOLES}
    model = aerated(unit, HOUR, **given)
    trajectory = simulate(model, [0.0, HOUR])
    expected = 3e-13 / HOUR * trajectory["reactor.cell_density[viable]"][-1]
    share = trajectory["reactor.molarity[oxygen]"][-1] / (5e-3 + trajectory["reactor.molarity[oxygen]"][-1])
    assert trajectory["reactor.oxygen_uptake_rate"][-1] == pytest.approx(expected * share, rel=1e-9)
    assert worst_residual(trajectory) < 1e-10


def test_cho_cells_with_plenty_of_oxygen_grow_as_without_oxygen_in_the_model():
    start = {"initial_cell_density": {"viable": 2e11}, "initial_molarity": {"glucose": 33.8, "asparagine": 6.1}}
    given = cho_parameters("T127_nominal") | VOLUME | start
    bare = simulate(vessel(ChoFedBatchReactor, 96 * HOUR, **given), [0.0, 96 * HOUR])
    given["initial_molarity"] = start["initial_molarity"] | {"oxygen": 0.2}
    airy = simulate(vessel(ChoFedBatchReactor, 96 * HOUR, extra=GASES, oxygen_half=1e-9, **(AIR | given)), [0.0, 96 * HOUR])
    name = "reactor.cell_density[viable]"
    assert airy[name] == pytest.approx(bare[name], rel=1e-6)


# --- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("still", [{"gas_flow": 0.0}, {"stirrer_speed": 0.0}, {"gas_flow": 0.0, "stirrer_speed": 0.0}])
def test_no_gas_or_no_stirring_transfers_nothing(still):
    given = {"initial_molarity": {"oxygen": 0.1}}
    trajectory = simulate(aerated(Bioreactor, HOUR, **given, **still), np.linspace(0.0, HOUR, 5))
    assert trajectory["reactor.molarity[oxygen]"] == pytest.approx(0.1, rel=1e-12)
    assert trajectory["reactor.gas_share[oxygen]"] == pytest.approx(AIR_SHARE, rel=1e-12)
    assert all(np.all(np.isfinite(trajectory[name])) for name in trajectory.names)


def test_derivatives_are_finite_where_there_is_no_gas_yet():
    model = aerated(Bioreactor, 10 * 60.0, gas_flow=0.0)
    ramp = Profile((0.0, 300.0, 600.0), (0.0, 0.0, LITER / 60), Interpolation.LINEAR)
    name = "reactor.molarity[oxygen]"
    slopes = sensitivities(model, ["reactor.kla_factor", "reactor.kla_gas"], name, [0.0, 300.0, 600.0], inputs={"reactor.gas_flow": ramp})
    for parameter in ("reactor.kla_factor", "reactor.kla_gas"):
        assert np.all(np.isfinite(slopes[name, parameter]))
    assert slopes[name, "reactor.kla_factor"][1] == pytest.approx(0.0, abs=1e-12)
    assert slopes[name, "reactor.kla_factor"][2] > 0 > slopes[name, "reactor.kla_gas"][2]


def test_an_unaerated_vessel_has_nothing_of_it():
    given = {"initial_mass_concentration": {"biomass": 1.0}}
    model = vessel(MonodReactor, HOUR, extra=GASES, **VOLUME, **given)
    assert model.reactor.component("kla") is None
    assert "stirrer_speed" not in model.reactor.inputs
    names = [slot.name for slot in lower(model).states if slot.name.startswith("reactor.")]
    assert names == [
        "reactor.volume",
        *(f"reactor.mass[{c}]" for c in ("biomass", "substrate", "product")),
        *(f"reactor.moles[{c}]" for c in GASES),
    ]


@pytest.mark.parametrize("half", [1e-2, 1e-4, 1e-6, 1e-9])
def test_no_step_leaps_over_the_end_of_the_oxygen(half):
    """Nearly constant uptake without air ends where the oxygen does, however suddenly."""
    given = {"maximum_growth": 0.0, "oxygen_uptake": 2e-3, "oxygen_half": half, "gas_flow": 0.0, "extra": {"oxygen": MOLES}}
    model = aerated(MonodReactor, HOUR, initial_mass_concentration={"biomass": 0.3}, initial_molarity={"oxygen": 0.25}, **given)
    oxygen = simulate(model, np.linspace(0.0, HOUR, 61))["reactor.molarity[oxygen]"]
    assert oxygen.min() > -1e-9
    assert oxygen[-1] < 1e-6


@settings(max_examples=10, deadline=None)
@given(
    biomass=st.integers(0, 30),
    oxygen=st.sampled_from([0.0, 1e-4, 0.2, 1.0]),
    speed=st.integers(0, 15),
    gas=st.sampled_from([0.0, 0.1, 1.0]),
    share=st.sampled_from([0.0, AIR_SHARE, 1.0]),
    quotient=st.sampled_from([0.0, 1.0, 1.4]),
)
def test_nothing_runs_below_zero_and_everything_is_accounted_for(biomass, oxygen, speed, gas, share, quotient):
    model = aerated(
        MonodReactor,
        5 * HOUR,
        initial_mass_concentration={"biomass": biomass, "substrate": 20.0},
        initial_molarity={"oxygen": oxygen},
        stirrer_speed=speed,
        gas_flow=gas * LITER / 60,
        oxygen_share=share,
        carbon_dioxide_share=0.0,
        respiratory_quotient=quotient,
        oxygen_uptake=1e-4,
        feed_flow=0.02 * LITER / HOUR,
        outflow=0.05 * LITER / HOUR,
    )
    trajectory = simulate(model, np.linspace(0.0, 5 * HOUR, 51))
    assert worst_residual(trajectory) < 1e-9
    for name in ("molarity[oxygen]", "molarity[carbon_dioxide]", "gas_share[oxygen]", "gas_share[carbon_dioxide]"):
        assert trajectory[f"reactor.{name}"].min() > -1e-7, name
    assert (trajectory["reactor.gas_share[oxygen]"] + trajectory["reactor.gas_share[carbon_dioxide]"]).max() < 1 + 1e-7


# --- refusals ----------------------------------------------------------------------------------------------------------


def test_air_needs_oxygen_in_moles():
    with pytest.raises(CaseError, match=r"reactor\.aerated: needs the component 'oxygen', counted in moles"):
        aerated(MonodReactor, HOUR, extra={})
    flowsheet = Flowsheet(HOUR, {name: LiquidComponent(name, MASS) for name in ("biomass", "substrate", "product", "oxygen")})
    with pytest.raises(CaseError, match="counted in moles"):
        flowsheet.add("reactor", PenicillinReactor, **VOLUME, **AIR)


def test_what_belongs_to_air_is_refused_without_it():
    with pytest.raises(CaseError, match=r"reactor\.stirrer_speed: needs aerated = 1"):
        vessel(MonodReactor, HOUR, extra=GASES, stirrer_speed=5.0, **VOLUME)
    with pytest.raises(CaseError, match=r"reactor\.vessel_diameter: has to be given"):
        vessel(MonodReactor, HOUR, extra=GASES, **VOLUME, **{key: value for key, value in AIR.items() if key != "vessel_diameter"})
    with pytest.raises(CaseError, match=r"oxygen_share: above its bound"):
        aerated(MonodReactor, HOUR, oxygen_share=1.5)


def test_what_can_be_read_is_in_units_of_signals():
    """So that a sensor or a controller can take it."""
    block = vessel(MonodReactor, HOUR, extra=GASES, **VOLUME, **AIR, **HEATED).reactor
    read = {name: variable_unit(data) for name, data in time_variables(block, block.model().time).items()}
    kinds = {
        "": ("dissolved_oxygen", "gas_share[oxygen]"),
        "1/s": ("kla",),
        "mol/m^3/s": ("oxygen_uptake_rate", "oxygen_transfer_rate"),
        "W": ("stirrer_power", "metabolic_heat", "jacket_heat"),
        "mol/s": ("gas_outflow",),
        "K": ("temperature",),
        "m/s": ("tip_speed", "gas_velocity"),
    }
    for kind, names in kinds.items():
        assert kind in KINDS
        assert {read[f"reactor.{name}"] for name in names} == {kind}


def test_gas_that_does_not_suffice_is_told():
    """Degassed water takes more than comes in at first: the run says when, and when it is over."""
    model = aerated(Bioreactor, HOUR, gas_flow=LITER / 6000, stirrer_speed=20.0, kla_factor=1.0)
    trajectory = simulate(model, np.array([0.0, HOUR]))
    assert [event.event for event in trajectory.events] == ["starved", "supplied"]
    assert trajectory["reactor.gas_outflow"][0] < 0 < trajectory["reactor.gas_outflow"][1]


def test_shares_of_the_gas_that_exceed_one_end_the_run():
    model = aerated(Bioreactor, HOUR)
    with pytest.raises(SimulationError, match=r"sum to more than one.*lower one of them"):
        simulate(model, np.array([0.0, HOUR]), inputs={"reactor.oxygen_share": 1.0})
