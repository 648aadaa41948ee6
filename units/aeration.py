"""Gas through a stirred vessel: how fast oxygen dissolves and carbon dioxide leaves, and what becomes of the gas."""

from __future__ import annotations

import math
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units.kinetics.kinetics import Rates
from units.laws import faded_power
from units.liquid import REFERENCE_TEMPERATURE, VOLUME_FLOW
from units.parameter import Parameter

GAS_CONSTANT = 8.31446261815324 * u.J / u.mol / u.K
AIR = 0.2095
"""Share of oxygen in dry air (mol/mol, recalled): DO probes are calibrated with it."""
LEAST_OUTFLOW = 1e-9
"""Gas outflow (mol/s) below zero from which the vessel is said to draw gas in."""
SHARE_ROUNDING = 1e-9
TRACE_POWER, TRACE_VELOCITY = 1e-6, 1e-9
"""Power per volume (W/m3) and gas velocity (m/s) below which transfer fades in proportion to them, so that none is a regular point."""

_HENRY = u.mol / u.m**3 / u.Pa
_AERATED = ("aerated", 1)
_RIET, _SANDER = "recalled: van 't Riet 1979", "Sander 2023"


def _given(name: str, unit: Any, doc: str, default: float | None = None, source: str = "", **more: Any) -> Parameter:
    return Parameter(name, unit, doc, default, 0.0, source=source, when=_AERATED, **more)


def _positive(name: str, unit: Any, doc: str, default: float | None = None, source: str = "", **more: Any) -> Parameter:
    return Parameter.positive(name, unit, doc, default, source, when=_AERATED, **more)


AERATION: tuple[Parameter, ...] = (
    _given("stirrer_speed", u.revolution / u.s, "speed of the stirrer", input=True),
    _given("gas_flow", VOLUME_FLOW, "gas into the vessel, at its temperature and pressure", input=True),
    _given("oxygen_share", u.dimensionless, "oxygen in the gas that comes in", AIR, "air, recalled", input=True, upper=1.0),
    _given(
        "carbon_dioxide_share", u.dimensionless, "carbon dioxide in the gas that comes in", 4e-4, "air, recalled", input=True, upper=1.0
    ),
    _positive("pressure", u.Pa, "pressure in the vessel", 101325.0, input=True),
    _positive("vessel_diameter", u.m, "inner diameter of the vessel"),
    _positive("impeller_diameter", u.m, "diameter of the stirrer"),
    _positive("power_number", u.dimensionless, "power number of all impellers together, with gas", 5.0, "recalled: one Rushton turbine"),
    _positive("liquid_density", u.kg / u.m**3, "density of the liquid", 1000.0, "water"),
    _given("kla_factor", 1 / u.s, "k of k_La at 1 W/m3 and 1 m/s; 0.002 1/s where bubbles do not coalesce", 0.026, _RIET),
    _positive("kla_power", u.dimensionless, "exponent of the power; 0.7 where bubbles do not coalesce", 0.4, _RIET),
    _positive("kla_gas", u.dimensionless, "exponent of the gas velocity; 0.2 where bubbles do not coalesce", 0.5, _RIET),
    _given("kla_ratio", u.dimensionless, "k_La of carbon dioxide over that of oxygen", 0.89, "Goldrick et al. 2015"),
    _positive("gas_holdup", u.dimensionless, "gas in the vessel per volume of liquid", 0.05, "assumed"),
    _positive("oxygen_solubility", _HENRY, "Henry's constant at 25 degC", 1.3e-5, _SANDER),
    _given("oxygen_solubility_slope", u.K, "slope of its logarithm over 1/temperature", 1500.0, _SANDER),
    _positive("carbon_dioxide_solubility", _HENRY, "Henry's constant at 25 degC", 3.3e-4, _SANDER),
    _given("carbon_dioxide_solubility_slope", u.K, "slope of its logarithm over 1/temperature", 2400.0, _SANDER),
)
"""Parameters of a vessel with ``aerated = 1``."""

SHOWN = ("dissolved_oxygen", "stirrer_speed", "oxygen_share", "kla", "oxygen_uptake_rate", "oxygen_transfer_rate")


def add_aeration(block: Any, time: Any, gases: tuple[str, ...]) -> None:
    """Add gas transfer to a vessel, and the composition of its gas.

    With liquid volume V, temperature T, pressure p, molarities C, inflow of gas F_g::

        P      = power_number liquid_density N^3 impeller_diameter^5,   v_s = F_g/(pi vessel_diameter^2/4)
        k_La   = kla_factor (P/V)^kla_power v_s^kla_gas                  in W/m3 and m/s
        T_i    = k_La,i (H_i(T) p y_i - C_i)                             k_La,CO2 = kla_ratio k_La
        H_i(T) = H_i exp(slope_i (1/T - 1/298.15 K))
        gas_holdup dy_i/dt = (F_g/V)(y_in,i - y_i) - (R T/p)(T_i - y_i sum_j T_j)
        gas_outflow        = p F_g/(R T) - V sum_j T_j

    | symbol | meaning | unit |
    |---|---|---|
    | stirrer_speed, gas_flow, oxygen_share, carbon_dioxide_share, pressure | N, F_g, y_in, p (inputs) | rev/s, m3/s, -, -, Pa |
    | gas_share[t, i] | share y_i of the gas in the vessel and of what leaves (states) | mol/mol |
    | kla, transfer_rate[t, i] | k_La and T_i, from the gas to the liquid | 1/s, mol/(m3 s) |
    | dissolved_oxygen | oxygen over what air would dissolve at T and p: DO | - |
    | oxygen_transfer_rate, oxygen_uptake_rate | T of oxygen, and what is consumed | mol/(m3 s) |
    | stirrer_power, specific_power, tip_speed, gas_velocity | P, P/V, pi N D, v_s | W, W/m3, m/s, m/s |
    | gas_outflow | gas that leaves | mol/s |

    The balance of the gas is that of a mixed phase with a volume of its own: its outflow follows from all that is exchanged (inert gas is
    conserved), it is explicit where the steady balance would be a quadratic equation, and it is regular without gas flow. The hold-up only
    says how fast the gas follows, in some seconds. While more dissolves than comes in, ``gas_outflow`` is negative: the vessel draws in gas
    of its own composition, which is a state that a real one does not keep up for long. The events ``starved`` and ``supplied`` and a band
    in the plots say so. Shares of the gas that come in and sum to more than one end the run.

    Assumptions: ideal gas in equilibrium at one pressure, without water vapor (at 37 degC that would be 6 % less oxygen) and without the
    head space; gases that are no components of the flowsheet are inert; salts and temperature do not change k_La; only
    dissolved carbon dioxide is counted, no bicarbonate. Van 't Riet's correlation holds within 20 to 40 % from 500 to 10000 W/m3, in
    liquids as thin as water; measured constants may take the place of its own.

    Sources: van 't Riet 1979 (Ind Eng Chem Process Des Dev 18:357), constants recalled; Sander 2023 (Atmos Chem Phys 23:10901); ratio of
    the k_La from Goldrick et al. 2015 (J Biotechnol 193:70).

    Parameters
    ----------
    block : the vessel, with parameters, states, ``temperature[t]`` and its rates.
    time : the model's ``ContinuousSet``.
    gases : those of :data:`units.kinetics.kinetics.GASES` that are components of the flowsheet.
    """
    _add_stirring(block, time)
    _add_transfer(block, time, gases)
    _add_gas(block, time, gases)


def solubility(b: Any, t: float, gas: str) -> Any:
    """Return Henry's constant of a gas at the temperature of the liquid (mol/(m3 Pa))."""
    slope = b.component(f"{gas}_solubility_slope")
    return b.component(f"{gas}_solubility") * pyo.exp(slope * (1 / b.temperature[t] - 1 / REFERENCE_TEMPERATURE))


def transfer(b: Any, t: float) -> Rates:
    """Return what the liquid takes up from the gas (mol/(m3 s))."""
    return {gas: b.transfer_rate[t, gas] for gas in b.gases}


def _add_stirring(block: Any, time: Any) -> None:
    @block.Expression(time, doc="power of the stirrer")
    def stirrer_power(b: Any, t: float) -> Any:
        turns = b.stirrer_speed[t] / u.revolution
        return u.convert(b.power_number * b.liquid_density * turns**3 * b.impeller_diameter**5, u.W)

    @block.Expression(time, doc="power of the stirrer per volume of liquid")
    def specific_power(b: Any, t: float) -> Any:
        return b.stirrer_power[t] / b.volume[t]

    @block.Expression(time, doc="tip speed of the stirrer")
    def tip_speed(b: Any, t: float) -> Any:
        return math.pi * b.impeller_diameter * b.stirrer_speed[t] / u.revolution

    @block.Expression(time, doc="superficial velocity of the gas")
    def gas_velocity(b: Any, t: float) -> Any:
        return b.gas_flow[t] / (math.pi / 4 * b.vessel_diameter**2)

    @block.Expression(time, doc="oxygen transfer coefficient")
    def kla(b: Any, t: float) -> Any:
        stirred = faded_power(b.specific_power[t] / (u.W / u.m**3), b.kla_power, TRACE_POWER)
        return b.kla_factor * stirred * faded_power(b.gas_velocity[t] / (u.m / u.s), b.kla_gas, TRACE_VELOCITY)


def _add_transfer(block: Any, time: Any, gases: tuple[str, ...]) -> None:
    block.gas_share = pyo.Var(time, gases, initialize=0.1, bounds=(0, 1), units=u.dimensionless, doc="share of the gas in the vessel")
    block.gas_share_rate = DerivativeVar(block.gas_share, wrt=time, units=1 / u.s, doc="rate of the share of the gas")

    @block.Expression(time, gases, doc="uptake from the gas per volume of liquid")
    def transfer_rate(b: Any, t: float, gas: str) -> Any:
        ratio = 1 if gas == "oxygen" else b.kla_ratio
        dissolving = solubility(b, t, gas) * b.pressure[t] * b.gas_share[t, gas]
        return ratio * b.kla[t] * (dissolving - b.molarity[t, gas])

    @block.Expression(time, doc="oxygen from the gas per volume of liquid")
    def oxygen_transfer_rate(b: Any, t: float) -> Any:
        return b.transfer_rate[t, "oxygen"]

    @block.Expression(time, doc="oxygen that is consumed per volume of liquid")
    def oxygen_uptake_rate(b: Any, t: float) -> Any:
        return -b.made(t).get("oxygen", 0 * u.mol / u.m**3 / u.s)

    @block.Expression(time, doc="oxygen over what air would dissolve")
    def dissolved_oxygen(b: Any, t: float) -> Any:
        return b.molarity[t, "oxygen"] / (AIR * b.pressure[t] * solubility(b, t, "oxygen"))


def _add_gas(block: Any, time: Any, gases: tuple[str, ...]) -> None:
    t0 = time.first()

    def taken(b: Any, t: float) -> Any:
        return sum(b.transfer_rate[t, gas] for gas in gases)

    @block.Expression(time, doc="gas that leaves")
    def gas_outflow(b: Any, t: float) -> Any:
        entering = b.pressure[t] * b.gas_flow[t] / (GAS_CONSTANT * b.temperature[t])
        return u.convert(entering - b.volume[t] * taken(b, t), u.mol / u.s)

    block.drawing_in = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while more gas dissolves than comes in")
    block.drawing_in.fix(0)
    block.starved = Event(
        guard=lambda b, t: -b.gas_outflow[t] - LEAST_OUTFLOW * u.mol / u.s,
        direction=Direction.RISING,
        when=lambda b, t: 1 - b.drawing_in[t],
        transition=lambda b, t: ((b.drawing_in[t], 1),),
        doc="more gas dissolves than comes in: the vessel draws gas in",
    )
    block.supplied = Event(
        guard=lambda b, t: b.gas_outflow[t],
        direction=Direction.RISING,
        when=lambda b, t: b.drawing_in[t],
        transition=lambda b, t: ((b.drawing_in[t], 0),),
        doc="more gas comes in than dissolves",
    )
    block.overrich = Event(
        guard=lambda b, t: sum(b.component(f"{gas}_share")[t] for gas in gases) - 1 - SHARE_ROUNDING,
        direction=Direction.RISING,
        doc="the shares of oxygen and carbon dioxide in the gas sum to more than one",
        refusal="lower one of them, or the upper limit of the controller that drives it",
    )

    @block.Constraint(time, gases, doc="balance of the gas in the vessel")
    def gas_balance(b: Any, t: float, gas: str) -> Any:
        exchanged = GAS_CONSTANT * b.temperature[t] / b.pressure[t] * (b.transfer_rate[t, gas] - b.gas_share[t, gas] * taken(b, t))
        renewed = b.gas_flow[t] / b.volume[t] * (b.component(f"{gas}_share")[t] - b.gas_share[t, gas])
        return b.gas_holdup * b.gas_share_rate[t, gas] == renewed - exchanged

    @block.Constraint(gases, doc="the gas at the start is that which comes in")
    def gas_start(b: Any, gas: str) -> Any:
        return b.gas_share[t0, gas] == b.component(f"{gas}_share")[t0]
