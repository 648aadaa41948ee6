"""Bioreactors against closed forms, and against independent integrations of published models."""

from __future__ import annotations

import math
from typing import Any

from flowsheet.flowsheet import Flowsheet
from flowsheet.registry import unit_type
from flowsheet.verify.rung import Run
from flowsheet.verify.runs import simulated
from solvers import Trajectory
from units.liquid import LiquidComponent
from units.stream import MOLES, Measure

HOUR, LITER = 3600.0, 1e-3
VOLUME: dict[str, Any] = {"initial_volume": LITER, "maximum_volume": 2 * LITER}


def _vessel(kind: str, end: float, extra: dict[str, Measure] | None = None, **parameters: Any) -> Any:
    """Return the model of one bioreactor of a registered type, whose outlet ends in a sink."""
    block = unit_type(kind).block
    measures = dict(block._ComponentDataClass.kinetics.components) | (extra or {})
    flowsheet = Flowsheet(end, {name: LiquidComponent(name, measure) for name, measure in measures.items()})
    flowsheet.add("reactor", block, **parameters)
    flowsheet.add("sink", "liquid_sink")
    flowsheet.connect("reactor.outlet", "sink.inlet")
    return flowsheet.model


CELLS, SOLUTES = ("viable", "dead"), ("glucose", "glutamine", "lactate", "ammonia")


def cho_batch() -> Run:
    """Return what runs a batch of CHO cells for 96 h and reads the densities of cells (cell/L) and the molarities (mmol/L)."""
    model = _vessel(
        "bioreactor_cho_batch",
        96 * HOUR,
        initial_volume=3 * LITER,
        maximum_volume=4 * LITER,
        initial_cell_density={"viable": 2e11},
        initial_molarity={"glucose": 30.0, "glutamine": 4.0},
    )

    def read(trajectory: Trajectory) -> list[float]:
        cells = [LITER * trajectory[f"reactor.cell_density[{name}]"][-1] for name in CELLS]
        return [*cells, *(trajectory[f"reactor.molarity[{name}]"][-1] for name in SOLUTES)]

    return simulated(model, [0.0, 96 * HOUR], read)


def penicillin() -> Run:
    """Return what runs a penicillin fed-batch for 360 h and reads the switch to feeding (h), biomass, penicillin (kg/m3) and volume (L)."""
    model = _vessel(
        "bioreactor_penicillin",
        360 * HOUR,
        initial_volume=100 * LITER,
        maximum_volume=120 * LITER,
        initial_mass_concentration={"biomass": 0.1, "substrate": 15.0, "oxygen": 1.16},
        feed_mass_concentration={"substrate": 600.0},
        feed_flow=0.042 * LITER / HOUR,
    )

    def read(trajectory: Trajectory) -> list[float]:
        biomass, product = (trajectory[f"reactor.mass_concentration[{name}]"][-1] for name in ("biomass", "product"))
        return [trajectory.events[0].time / HOUR, biomass, product, trajectory["reactor.volume"][-1] / LITER]

    return simulated(model, [0.0, 360 * HOUR], read)


GROWTH, HALF, YIELD, FED = 0.4, 0.1, 0.5, 10.0
DILUTION, WASHING, WASHED = 0.3, 0.8, 10.0
"""Dilution rates (1/h) below and above that of washout, and for how long biomass is washed out (h)."""


def chemostat_values() -> dict[str, float]:
    """Return Monod's steady state (kg/m3) at a dilution rate below that of washout."""
    substrate = HALF * DILUTION / (GROWTH - DILUTION)
    return {"S": substrate, "X": YIELD * (FED - substrate)}


def chemostat(dilution: float, hours: float, start: dict[str, float], **more: Any) -> Any:
    """Return the model of a chemostat at a dilution rate (1/h)."""
    flow = dilution / HOUR * LITER
    given: dict[str, Any] = {"maximum_growth": GROWTH / HOUR, "half_saturation": HALF, "biomass_yield": YIELD} | more
    return _vessel(
        "bioreactor_monod",
        hours * HOUR,
        initial_mass_concentration=start,
        feed_mass_concentration={"substrate": FED},
        feed_flow=flow,
        outflow=flow,
        **VOLUME,
        **given,
    )


def steady_chemostat() -> Run:
    """Return what runs a chemostat into its steady state and reads substrate and biomass."""

    def read(trajectory: Trajectory) -> list[float]:
        return [trajectory[f"reactor.mass_concentration[{name}]"][-1] for name in ("substrate", "biomass")]

    return simulated(chemostat(DILUTION, 400.0, {"biomass": 1.0, "substrate": 1.0}), [0.0, 400 * HOUR], read)


def washed_out() -> dict[str, float]:
    """Return the biomass (kg/m3) that is left, X(t) = X0 exp((mu - D) t), where substrate is plenty: mu is the largest growth rate."""
    return {f"X({hours:g} h)": math.exp((GROWTH - WASHING) * hours) for hours in (WASHED / 2, WASHED)}


def washout() -> Run:
    """Return what washes biomass out of a chemostat whose growth is saturated, and reads what is left."""
    model = chemostat(WASHING, WASHED, {"biomass": 1.0, "substrate": FED}, half_saturation=1e-14)
    times = [0.0, WASHED / 2 * HOUR, WASHED * HOUR]
    return simulated(model, times, lambda trajectory: trajectory["reactor.mass_concentration[biomass]"][1:])


AIR = {"aerated": 1, "stirrer_speed": 8.0, "gas_flow": LITER / 60, "oxygen_share": 1.0, "vessel_diameter": 0.1, "impeller_diameter": 0.045}
HENRY, PRESSURE, TEMPERATURE = 1.3e-5, 101325.0, 298.15
UPTAKE, BREATHING = 8e-3, 1.0
"""Uptake of oxygen (mol/(kg s)) and biomass (kg/m3) that breathes."""
STEP_TIMES = (10.0, 30.0, 60.0, 120.0)


def oxygen_step() -> dict[str, float]:
    """Return oxygen (mol/m3) after a step to pure oxygen, dC/dt = k_La (C* - C) - q X from C = 0.2: pure oxygen stays pure."""
    power = 5.0 * 1000.0 * AIR["stirrer_speed"] ** 3 * AIR["impeller_diameter"] ** 5 / LITER
    velocity = AIR["gas_flow"] / (math.pi / 4 * AIR["vessel_diameter"] ** 2)
    kla = 0.026 * power**0.4 * velocity**0.5
    steady = HENRY * PRESSURE - UPTAKE * BREATHING / kla
    return {f"C({time:g} s)": steady + (0.2 - steady) * math.exp(-kla * time) for time in STEP_TIMES}


def aerated() -> Run:
    """Return what runs the step of oxygen over cells that breathe at a constant rate, and reads the oxygen."""
    model = _vessel(
        "bioreactor_monod",
        STEP_TIMES[-1],
        {"oxygen": MOLES},
        initial_mass_concentration={"biomass": BREATHING},
        initial_molarity={"oxygen": 0.2},
        maximum_growth=0.0,
        oxygen_uptake=UPTAKE,
        oxygen_half=1e-14,
        temperature=TEMPERATURE,
        pressure=PRESSURE,
        **VOLUME,
        **AIR,
    )
    return simulated(model, [0.0, *STEP_TIMES], lambda trajectory: trajectory["reactor.molarity[oxygen]"][1:])
