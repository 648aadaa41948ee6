"""Penicillin from Penicillium chrysogenum, after Birol, Undey and Cinar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import exp
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units.bioreactor import BioreactorData
from units.kinetics.kinetics import Kinetics, Rates, available
from units.laws import faded_power
from units.liquid import VOLUME_FLOW
from units.parameter import Parameter
from units.stream import MASS, Measure

_PER_H = 1 / 3600.0
_CAL = 4.184
_DENSITY = u.kg / u.m**3
_MOLARITY = u.mol / u.m**3
_ENERGY = u.J / u.mol
_BIROL = "Birol et al. 2002"

GAS_CONSTANT = 1.987 * _CAL * u.J / u.mol / u.K
"""As the source has it, 1.987 cal/(mol K): activation energies belong to it."""

TRACE = 1e-9
"""Concentration (kg/m3) in the denominators of rates in proportion to biomass, so that an empty medium is a regular point; also the air
flow (L/h) and the power (W/L) below which oxygen transfer fades in proportion to them."""


class Penicillin(Kinetics):
    """Growth and penicillin with Contois kinetics in substrate and oxygen (equations 1 to 12 of the source, T and pH held).

    With X, S, P, O the concentrations of ``biomass``, ``substrate``, ``product``, ``oxygen`` (kg/m3) and H = 10^-pH mol/L::

        mu   = mu_x(pH) S/(K_x X + S) O/(K_ox X + O) (k_g exp(-E_g/RT) - k_d exp(-E_d/RT))
        mu_x(pH) = maximum_growth/(1 + K_1/H + H/K_2)
        mu_p = maximum_production S/(K_p + S + S^2/K_i) O^3/(K_op X + O^3)
        r_X  = mu X
        r_S  = -mu X/Y_xs - mu_p X/Y_ps - m_x X tanh(S/substrate_floor)
        r_P  = mu_p X - hydrolysis P
        r_O  = -mu X/Y_xo - mu_p X/Y_po - m_o X tanh(O/oxygen_floor)
        from the gas: k_La (oxygen_saturation - O),  k_La = kla_reference (aeration/1 L/h)^0.5 ((power/V)/1 W/L)^0.4

    Event ``feed_start``: the vessel's own feed runs from the instant at which S falls below ``feed_below``.

    | symbol | meaning | unit |
    |---|---|---|
    | specific_growth, specific_production | mu, mu_p | 1/s |
    | aeration, power | air flow and power of the stirrer (inputs) | m3/s, W |
    | kla | oxygen transfer coefficient | 1/s |

    Assumptions: those of the source; carbon dioxide, heat and the flows of acid and base are left out, water evaporates only by the
    vessel's ``evaporation`` (the source: 2.5e-4 1/h (exp(5 (T - 273.15)/100) - 1)). Beyond the source: the factors tanh(./floor), which
    are one to 1e-20 in its range, and 1e-9 kg/m3 in the Contois denominators.
    Oxygen is in g/L as in the source's table, which makes its saturation of 1.16 g/L a scale rather than a measured one.
    Valid from 20 to 30 degC and pH 4 to 6 (recalled), for any concentration that is not negative.

    Source: Birol, Undey and Cinar 2002, Comput Chem Eng 26:1553, with their constants.
    """

    components: ClassVar[Mapping[str, Measure]] = {"biomass": MASS, "substrate": MASS, "product": MASS, "oxygen": MASS}
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter.positive("temperature", u.K, "temperature of the liquid", 298.0, input=True, source=_BIROL),
        Parameter("ph", u.dimensionless, "pH of the liquid", 5.0, 0.0, 14.0, input=True, source=_BIROL),
        Parameter("feed_below", _DENSITY, "substrate below which the vessel's own feed begins", 0.3, 0.0, source=_BIROL),
        Parameter("aeration", VOLUME_FLOW, "air flow", 8.6e-3 * _PER_H, 0.0, input=True, source=f"{_BIROL}: 8.6 L/h"),
        Parameter("power", u.W, "power of the stirrer", 30.0, 0.0, input=True, source=_BIROL),
        Parameter("kla_reference", 1 / u.s, "oxygen transfer at 1 L/h and 1 W/L", 70 * _PER_H, 0.0, source=_BIROL),
        Parameter("oxygen_saturation", _DENSITY, "oxygen in equilibrium with air", 1.16, 0.0, source=_BIROL),
        Parameter("maximum_growth", 1 / u.s, "largest specific growth rate", 0.092 * _PER_H, 0.0, source=_BIROL),
        Parameter.positive("contois_substrate", u.dimensionless, "K_x of growth", 0.15, source=_BIROL),
        Parameter.positive("contois_oxygen", u.dimensionless, "K_ox of growth", 0.02, source=_BIROL),
        Parameter.positive("acid_low", _MOLARITY, "K_1 of the pH's effect", 1e-7, source=_BIROL),
        Parameter.positive("acid_high", _MOLARITY, "K_2 of the pH's effect", 7e-2, source=_BIROL),
        Parameter("growth_factor", u.dimensionless, "k_g of growth", 7e3, 0.0, source=_BIROL),
        Parameter("growth_energy", _ENERGY, "E_g of growth", 5100 * _CAL, 0.0, source=_BIROL),
        Parameter("death_factor", u.dimensionless, "k_d of death", 1e33, 0.0, source=_BIROL),
        Parameter("death_energy", _ENERGY, "E_d of death", 5e4 * _CAL, 0.0, source=_BIROL),
        Parameter("maximum_production", 1 / u.s, "largest specific production rate", 0.005 * _PER_H, 0.0, source=_BIROL),
        Parameter.positive("production_saturation", _DENSITY, "K_p of production", 2e-4, source=_BIROL),
        Parameter.positive("production_inhibition", _DENSITY, "K_i of production", 0.1, source=_BIROL),
        Parameter.positive("production_oxygen", _DENSITY**2, "K_op of production", 5e-4, source=_BIROL),
        Parameter("hydrolysis", 1 / u.s, "decay of penicillin", 0.04 * _PER_H, 0.0, source=_BIROL),
        Parameter.positive("biomass_yield", u.dimensionless, "Y_xs, biomass per substrate", 0.45, source=_BIROL),
        Parameter.positive("product_yield", u.dimensionless, "Y_ps, penicillin per substrate", 0.9, source=_BIROL),
        Parameter.positive("biomass_oxygen_yield", u.dimensionless, "Y_xo, biomass per oxygen", 0.04, source=_BIROL),
        Parameter.positive("product_oxygen_yield", u.dimensionless, "Y_po, penicillin per oxygen", 0.2, source=_BIROL),
        Parameter("maintenance", 1 / u.s, "m_x, substrate for maintenance", 0.014 * _PER_H, 0.0, source=_BIROL),
        Parameter("oxygen_maintenance", 1 / u.s, "m_o, oxygen for maintenance", 0.467 * _PER_H, 0.0, source=_BIROL),
        Parameter.positive("substrate_floor", _DENSITY, "substrate below which maintenance fades", 1e-4, source="assumed"),
        Parameter.positive("oxygen_floor", _DENSITY, "oxygen below which maintenance fades", 1e-2, source="assumed"),
    )
    shown: ClassVar[tuple[str, ...]] = ("specific_growth", "specific_production", "kla")
    organism: ClassVar[str] = "biomass"

    def prepare(self, block: Any, time: Any) -> None:
        """Add specific rates, oxygen transfer and the start of the feed, which waits for its event."""
        trace = TRACE * _DENSITY

        @block.Expression(time, doc="specific growth rate")
        def specific_growth(b: Any, t: float) -> Any:
            c = b.concentrations(t)
            acid = 1000 * 10 ** (-b.ph[t]) * _MOLARITY
            thermal = GAS_CONSTANT * b.temperature[t]
            warmth = b.growth_factor * exp(-b.growth_energy / thermal) - b.death_factor * exp(-b.death_energy / thermal)
            fed = c["substrate"] / (b.contois_substrate * c["biomass"] + c["substrate"] + trace)
            aired = c["oxygen"] / (b.contois_oxygen * c["biomass"] + c["oxygen"] + trace)
            return b.maximum_growth / (1 + b.acid_low / acid + acid / b.acid_high) * fed * aired * warmth

        @block.Expression(time, doc="specific production rate")
        def specific_production(b: Any, t: float) -> Any:
            c = b.concentrations(t)
            substrate, oxygen = c["substrate"], c["oxygen"]
            fed = substrate / (b.production_saturation + substrate + substrate**2 / b.production_inhibition)
            return b.maximum_production * fed * oxygen**3 / (b.production_oxygen * c["biomass"] + oxygen**3 + trace**3)

        @block.Expression(time, doc="oxygen transfer coefficient")
        def kla(b: Any, t: float) -> Any:
            air = b.aeration[t] / (1e-3 * _PER_H * VOLUME_FLOW)
            stirring = b.power[t] / b.volume[t] / (1000 * u.W / u.m**3)
            return b.kla_reference * faded_power(air, 0.5, TRACE) * faded_power(stirring, 0.4, TRACE)

        block.feeding.fix(0)
        block.feed_start = Event(
            guard=lambda b, t: b.concentrations(t)["substrate"] - b.feed_below,
            direction=Direction.FALLING,
            when=lambda b, t: 1 - b.feeding[t],
            transition=lambda b, t: ((b.feeding[t], 1),),
            doc="the substrate is used up: the feed begins",
        )

    def rates(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return the rates of all four components."""
        mu, production = b.specific_growth[t], b.specific_production[t]
        maintained = b.maintenance * available(c["substrate"], b.substrate_floor)
        breathed = b.oxygen_maintenance * available(c["oxygen"], b.oxygen_floor)
        return {
            "biomass": mu * c["biomass"],
            "substrate": -(mu / b.biomass_yield + production / b.product_yield + maintained) * c["biomass"],
            "product": production * c["biomass"] - b.hydrolysis * c["product"],
            "oxygen": -(mu / b.biomass_oxygen_yield + production / b.product_oxygen_yield + breathed) * c["biomass"],
        }

    def transfer(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return the oxygen that comes from the air."""
        return {"oxygen": b.kla[t] * (b.oxygen_saturation - c["oxygen"])}

    def heat(self, b: Any, t: float, c: Mapping[str, Any]) -> Any:
        """Return the heat of growth and of the stirrer per volume."""
        return super().heat(b, t, c) + b.power[t] / b.volume[t]


@declare_custom_block("PenicillinReactor", rule="build")
class PenicillinReactorData(BioreactorData):
    """A fermenter for penicillin: batch until the substrate is used up, then fed.

    The vessel is that of :class:`units.bioreactor.BioreactorData`, the kinetics :class:`Penicillin`; both say equations, symbols,
    assumptions and the valid range. Components: ``biomass``, ``substrate``, ``product`` and ``oxygen``, all by mass, and any
    other, which is only carried along.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or a component is missing or not counted by mass.
    """

    kinetics: ClassVar[Kinetics] = Penicillin()
