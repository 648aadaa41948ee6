"""Overflow: the chemostat's critical dilution rate, balances of carbon and electrons, limits, positivity and refusals."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from liquids import AIR, HOUR, LITER, vessel, worst_residual

from flowsheet.collect import balance_rows
from solvers import simulate
from solvers.errors import CaseError
from units.kinetics.monod import MonodReactor
from units.kinetics.overflow import OverflowReactor

VOLUME = {"initial_volume": LITER, "maximum_volume": 2 * LITER}
AIRY = AIR | VOLUME | {"kla_factor": 2.0, "oxygen_half": 1e-9, "initial_molarity": {"oxygen": 0.25}}
LARGEST, HALF, RESPIRED = 3.5, 0.1, 8.0  # 1/h, kg/m3, mol/(kg h)
BIOMASS, FERMENTED, REUSED = 0.49, 0.05, 0.72
CARBON = {"substrate": 6 / 0.180156, "overflow": 2 / 0.046068, "biomass": 1 / 0.02502}
ELECTRONS = {"substrate": 24 / 0.180156, "overflow": 12 / 0.046068, "biomass": 4.2 / 0.02502}
OXYGEN = (ELECTRONS["substrate"] - BIOMASS * ELECTRONS["biomass"]) / 4
ETHANOL = (ELECTRONS["substrate"] - FERMENTED * ELECTRONS["biomass"]) / ELECTRONS["overflow"]
CRITICAL = BIOMASS * RESPIRED / OXYGEN


def chemostat(dilution, fed=10.0, **given):
    flow = dilution / HOUR * LITER
    start = {"biomass": BIOMASS * fed, "substrate": 0.05}
    feeds = ({"flow": flow, "mass_concentration": {"substrate": fed}, "molarity": {"oxygen": 0.25}},)
    model = vessel(OverflowReactor, 400 * HOUR, feeds=feeds, outflow=flow, initial_mass_concentration=start, **(AIRY | given))
    return simulate(model, [0.0, 400 * HOUR])


def concentration(trajectory, name):
    return trajectory[f"reactor.mass_concentration[{name}]"]


def test_balances_give_what_the_literature_has():
    """Oxygen, ethanol and carbon dioxide per glucose and per ethanol (kg/kg), as recalled of papers on the model: within 5 %."""
    block = vessel(OverflowReactor, HOUR, **AIRY).reactor
    recalled = {
        "oxygen_per_substrate": (0.3968, 0.032),
        "oxygen_per_overflow": (1.104, 0.032),
        "overflow_per_substrate": (0.4859, 1.0),
        "dioxide_per_substrate": (0.5897, 0.044),
        "dioxide_per_fermented": (0.4621, 0.044),
        "dioxide_per_overflow": (0.6249, 0.044),
    }
    for name, (value, molar_mass) in recalled.items():
        assert block.component(name)() * molar_mass == pytest.approx(value, rel=0.05), name
    assert pytest.approx(0.308, abs=0.001) == CRITICAL  # 0.30 1/h in the source's chemostat, recalled


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_below_the_critical_dilution_rate_all_is_oxidized(share):
    dilution = share * CRITICAL
    trajectory = chemostat(dilution)
    taken = dilution / BIOMASS
    left = HALF * taken / (LARGEST - taken)
    assert concentration(trajectory, "substrate")[-1] == pytest.approx(left, rel=1e-5)
    assert concentration(trajectory, "biomass")[-1] == pytest.approx(BIOMASS * (10.0 - left), rel=1e-5)
    assert concentration(trajectory, "overflow")[-1] == pytest.approx(0.0, abs=1e-5)
    assert worst_residual(trajectory) < 1e-9


@pytest.mark.parametrize("share", [1.01, 1.1, 1.2])
def test_above_it_the_rest_overflows(share):
    dilution = share * CRITICAL
    trajectory = chemostat(dilution)
    oxidized = RESPIRED / OXYGEN
    fermented = (dilution - BIOMASS * oxidized) / FERMENTED
    taken = oxidized + fermented
    left = HALF * taken / (LARGEST - taken)
    biomass = dilution * (10.0 - left) / taken
    assert concentration(trajectory, "substrate")[-1] == pytest.approx(left, rel=1e-5)
    assert concentration(trajectory, "biomass")[-1] == pytest.approx(biomass, rel=1e-5)
    assert concentration(trajectory, "overflow")[-1] == pytest.approx(ETHANOL * fermented * biomass / dilution, rel=1e-5)


def test_with_a_large_capacity_it_is_monod():
    start = {"biomass": 0.1, "substrate": 5.0}
    time = np.linspace(0.0, 6 * HOUR, 13)
    plain = {"maximum_growth": BIOMASS * LARGEST / HOUR, "half_saturation": HALF, "biomass_yield": BIOMASS}
    monod = simulate(vessel(MonodReactor, 6 * HOUR, initial_mass_concentration=start, **VOLUME, **plain), time)
    # a kla of some 1/s is needed for a growth of 1.7 1/h
    free = vessel(OverflowReactor, 6 * HOUR, initial_mass_concentration=start, maximum_respiration=1.0, **(AIRY | {"kla_factor": 20.0}))
    trajectory = simulate(free, time)
    for name in ("biomass", "substrate"):
        assert concentration(trajectory, name) == pytest.approx(concentration(monod, name), rel=1e-5, abs=1e-6)
    assert concentration(trajectory, "overflow") == pytest.approx(0.0, abs=1e-5)


def test_a_batch_overflows_and_takes_up_again():
    """Without maintenance everything ends as biomass: that of what was oxidized, of what fermented, and of the ethanol reused."""
    start = {"biomass": 0.1, "substrate": 10.0}
    time = np.linspace(0.0, 60 * HOUR, 601)
    trajectory = simulate(vessel(OverflowReactor, 60 * HOUR, initial_mass_concentration=start, **AIRY), time)
    ethanol = concentration(trajectory, "overflow")
    assert ethanol.max() > 2.0
    assert ethanol[-1] == pytest.approx(0.0, abs=1e-6)
    gone = concentration(trajectory, "substrate") < 1e-3
    before, after = np.flatnonzero(gone)[0], -1
    reused = ethanol[before] - ethanol[after]
    grown = concentration(trajectory, "biomass")[after] - concentration(trajectory, "biomass")[before]
    assert grown == pytest.approx(REUSED * reused, rel=1e-3)


def reacted(trajectory, name):
    amount = "_moles" if name in ("oxygen", "carbon_dioxide") else ""
    return trajectory[f"balance.reacted{amount}[{name}]"][-1]


@settings(max_examples=10, deadline=None)
@given(
    biomass=st.integers(1, 50).map(lambda tenths: tenths / 10),
    substrate=st.integers(0, 20),
    overflow=st.integers(0, 10),
    oxygen=st.sampled_from([0.0, 0.25]),
    gas=st.sampled_from([0.0, 0.1, 1.0]),
    flow=st.integers(0, 40).map(lambda percent: percent / 100),
)
@example(biomass=0.3, substrate=0, overflow=1, oxygen=0.25, gas=0.0, flow=0.0)  # a step may try to leap over the end of the oxygen
def test_carbon_and_electrons_are_conserved_and_nothing_runs_below_zero(biomass, substrate, overflow, oxygen, gas, flow):
    model = vessel(
        OverflowReactor,
        10 * HOUR,
        initial_mass_concentration={"biomass": biomass, "substrate": substrate, "overflow": overflow},
        initial_molarity={"oxygen": oxygen},
        feed_mass_concentration={"substrate": 20.0},
        feed_flow=flow * LITER / HOUR,
        outflow=flow * LITER / HOUR,
        **AIR | VOLUME | {"gas_flow": gas * LITER / 60},
    )
    trajectory = simulate(model, np.linspace(0.0, 10 * HOUR, 51))
    carbon = sum(content * reacted(trajectory, name) for name, content in CARBON.items()) + reacted(trajectory, "carbon_dioxide")
    electrons = sum(content * reacted(trajectory, name) for name, content in ELECTRONS.items()) - 4 * reacted(trajectory, "oxygen")
    scale = abs(CARBON["substrate"] * reacted(trajectory, "substrate")) + abs(CARBON["overflow"] * reacted(trajectory, "overflow"))
    assert carbon == pytest.approx(0.0, abs=1e-8 * scale + 1e-11)
    assert electrons == pytest.approx(0.0, abs=4e-8 * scale + 1e-11)
    for name in ("mass_concentration[biomass]", "mass_concentration[substrate]", "mass_concentration[overflow]", "molarity[oxygen]"):
        assert trajectory[f"reactor.{name}"].min() > -1e-7, name
    assert max(abs(row.residual) for row in balance_rows(trajectory)) < 1e-12  # kg or mol, of some 1e-2


def test_without_oxygen_all_ferments():
    start = {"biomass": 1.0, "substrate": 10.0}
    model = vessel(OverflowReactor, 40 * HOUR, initial_mass_concentration=start, **AIR | VOLUME | {"oxygen_share": 0.0})
    trajectory = simulate(model, [0.0, 40 * HOUR])
    assert concentration(trajectory, "biomass")[-1] == pytest.approx(1.0 + FERMENTED * 10.0, rel=1e-6)
    assert concentration(trajectory, "overflow")[-1] == pytest.approx(ETHANOL * 10.0, rel=1e-6)


def test_yields_beyond_what_there_is_are_refused():
    with pytest.raises(CaseError, match=r"reactor\.biomass_yield: with the other yields leaves nothing for oxygen per substrate"):
        vessel(OverflowReactor, HOUR, biomass_yield=0.9, **AIRY)
    with pytest.raises(CaseError, match="leaves nothing for dioxide per fermented"):
        vessel(OverflowReactor, HOUR, fermented_yield=0.5, overflow_electrons=150.0, **AIRY)
