"""Heat balance of a stirred vessel: its temperature as it follows from what is fed, grown, stirred and cooled."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.liquid import HEAT_CAPACITY, TYPICAL_DIFFERENCE, heat_of, temperature_of
from units.parameter import Parameter

_BALANCED = ("heat_balance", 1)
FREEZING, BOILING = 273.15 * u.K, 373.15 * u.K

HEAT: tuple[Parameter, ...] = (
    Parameter.positive("initial_temperature", u.K, "temperature of the liquid at the start", when=_BALANCED),
    Parameter.positive("feed_temperature", u.K, "temperature of the vessel's own feed", 298.15, "25 degC", input=True, when=_BALANCED),
    Parameter.positive("jacket_temperature", u.K, "temperature of the jacket", input=True, when=_BALANCED),
    Parameter("jacket_conductance", u.W / u.K, "heat transfer coefficient of the jacket times its area", None, 0.0, when=_BALANCED),
    Parameter("oxygen_heat", u.J / u.mol, "heat per oxygen consumed", 4.6e5, 0.0, source="440 to 473 kJ/mol: Scott 2008", when=_BALANCED),
    Parameter("evaporation_heat", u.J / u.m**3, "heat of evaporation per volume", 2.4e9, 0.0, source="water, recalled", when=_BALANCED),
)
"""Parameters of a vessel with ``heat_balance = 1``."""

SHOWN = ("temperature", "jacket_temperature", "metabolic_heat", "jacket_heat")


def add_temperature(block: Any, time: Any) -> None:
    """Add the state ``heat[t]`` (J, above 25 degC) and the Expression ``temperature[t]`` (K)."""
    size = pyo.value(HEAT_CAPACITY) * pyo.value(block.initial_volume) * TYPICAL_DIFFERENCE
    block.heat = pyo.Var(time, initialize=0.0, units=u.J, doc="heat in the vessel above the reference temperature")
    block.heat_rate = DerivativeVar(block.heat, wrt=time, units=u.J / u.s, doc="rate of the heat")
    nominal(block.heat, size)

    @block.Expression(time, doc="temperature of the liquid")
    def temperature(b: Any, t: float) -> Any:
        return temperature_of(b.heat[t] / b.volume[t])


def add_outlet_heat(block: Any, time: Any, outlets: tuple[str, ...]) -> None:
    """Give what leaves a vessel, with a heat balance or without, the temperature of its liquid."""

    @block.Constraint(time, list(outlets), doc="what leaves has the temperature of the liquid")
    def heat_draw(b: Any, t: float, port: str) -> Any:
        return b.component(f"{port}_heat_flow")[t] == b.component(f"{port}_volume_flow")[t] * heat_of(b.temperature[t])


def add_heat_balance(block: Any, time: Any, inlets: tuple[str, ...], outlets: tuple[str, ...]) -> None:
    """Add what changes the heat of a vessel.

    With the heat capacity c of water per volume, and T_0 = 25 degC::

        dH/dt = inlets' heat flows + F_feed c (T_feed - T_0) - outlets' heat flows - e V (c (T - T_0) + evaporation_heat)
                + metabolic_heat + stirrer_power + jacket_heat
        T     = T_0 + H/(c V)
        metabolic_heat = V (oxygen_heat OUR + growth_heat mu X + heat of the kinetics)
        jacket_heat    = jacket_conductance (T_jacket - T)

    A bolus brings ``bolus_volume c (T_feed - T_0)``. Events: ``frozen`` and ``boiling`` end a run that leaves 0 to 100 degC.

    | symbol | meaning | unit |
    |---|---|---|
    | heat | H, heat above T_0 (state) | J |
    | temperature | T | K |
    | jacket_temperature, feed_temperature | inputs | K |
    | metabolic_heat, jacket_heat, stirrer_power | heat flows into the liquid; the last in an aerated vessel | W |

    Assumptions: well mixed; every liquid has the heat capacity of water per volume; the vessel's wall holds none, and loses none
    but through the jacket; the gas takes none along. Give heat by oxygen or by growth, not both.

    Source of ``oxygen_heat``: 19.6 (fat) to 21.1 kJ (glucose) per liter of oxygen, Scott and Djurisic 2008,
    J Exerc Physiol Online 11(4):34.
    """

    @block.Expression(time, doc="heat of metabolism")
    def metabolic_heat(b: Any, t: float) -> Any:
        oxygen = -b.made(t).get("oxygen", 0 * u.mol / u.m**3 / u.s)
        breathed = b.oxygen_heat * oxygen if "oxygen" in b.gases else 0 * u.W / u.m**3
        return u.convert(b.volume[t] * (breathed + b.kinetics.heat(b, t, b.concentrations(t))), u.W)

    @block.Expression(time, doc="heat from the jacket")
    def jacket_heat(b: Any, t: float) -> Any:
        return b.jacket_conductance * (b.jacket_temperature[t] - b.temperature[t])

    @block.Constraint(time, doc="heat balance")
    def energy_balance(b: Any, t: float) -> Any:
        entering = sum((b.component(f"{name}_heat_flow")[t] for name in inlets), b.volume_supply[t] * heat_of(b.feed_temperature[t]))
        leaving = sum(b.component(f"{name}_heat_flow")[t] for name in outlets)
        evaporated = b.evaporation[t] * b.volume[t] * (heat_of(b.temperature[t]) + b.evaporation_heat)
        stirred = 0 * u.W if b.component("stirrer_power") is None else b.stirrer_power[t]
        return b.heat_rate[t] == entering - leaving - evaporated + b.metabolic_heat[t] + stirred + b.jacket_heat[t]

    @block.Constraint(doc="heat at the start")
    def heat_start(b: Any) -> Any:
        return b.heat[time.first()] == b.initial_volume * heat_of(b.initial_temperature)

    hint = "change the temperature of the jacket or of what is fed"
    block.frozen = Event(
        guard=lambda b, t: b.temperature[t] - FREEZING, direction=Direction.FALLING, doc="the liquid freezes", refusal=hint
    )
    block.boiling = Event(guard=lambda b, t: b.temperature[t] - BOILING, direction=Direction.RISING, doc="the liquid boils", refusal=hint)
