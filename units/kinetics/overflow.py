"""Growth with a limited respiratory capacity: what exceeds it overflows into a product, which is taken up again later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.bioreactor import BioreactorData
from units.kinetics.kinetics import Kinetics, Rates, saturation
from units.laws import KINK_WIDTH, smooth_minimum
from units.parameter import Parameter
from units.stream import MASS, MOLES, Measure

_PER_H = 1 / 3600.0
_DENSITY = u.kg / u.m**3
_CONTENT = u.mol / u.kg
_RECALLED = "recalled: Sonnleitner and Kaeppeli 1986"
_GLUCOSE, _ETHANOL, _BIOMASS = 0.180156, 0.046068, 0.02502
"""Molar masses (kg/mol) of glucose, ethanol and of biomass with one carbon, CH1.79 O0.57 N0.15."""


class Overflow(Kinetics):
    """Growth of yeast on glucose with a bottleneck in respiration, after Sonnleitner and Kaeppeli.

    With X, S, E the concentrations of ``biomass``, ``substrate`` and ``overflow`` (ethanol; kg/m3) and O that of ``oxygen`` (mol/m3)::

        q_S   = maximum_uptake S/(substrate_half + S)
        q_cap = maximum_respiration O/(oxygen_half + O)
        q_ox  = min(q_S, q_cap/o_S),           q_red = q_S - q_ox
        q_E   = min(maximum_reuse E/(overflow_half + E) inhibition/(inhibition + S), (q_cap - o_S q_ox)/o_E)
        mu    = biomass_yield q_ox + fermented_yield q_red + overflow_yield q_E
        r_X = mu X,  r_S = -q_S X,  r_E = (e q_red - q_E) X
        r_O = -(o_S q_ox + o_E q_E) X,  r_CO2 = (c_ox q_ox + c_red q_red + c_E q_E) X

    Oxygen, carbon dioxide and the product per substrate follow from balances of carbon (contents k) and of electrons (contents g: what
    is reduced, in mol of electrons; oxygen takes four)::

        o_S = (g_S - biomass_yield g_X)/4,     o_E = (g_E - overflow_yield g_X)/4,    e = (g_S - fermented_yield g_X)/g_E
        c_ox = k_S - biomass_yield k_X,        c_E = k_E - overflow_yield k_X,        c_red = k_S - fermented_yield k_X - e k_E

    | symbol | meaning | unit |
    |---|---|---|
    | specific_growth | mu | 1/s |
    | uptake, oxidized, reused | q_S, q_ox, q_E | 1/s |
    | oxygen_per_substrate, oxygen_per_overflow | o_S, o_E | mol/kg |
    | overflow_per_substrate | e | kg/kg |

    A chemostat that oxidizes all it gets does so up to the dilution rate biomass_yield q_cap/o_S. With a large capacity it is Monod
    growth, with maximum_growth = biomass_yield maximum_uptake.

    Assumptions: no maintenance, no death; neither temperature nor pH acts; glycerol and acetate are left out. The minima are
    rounded over 1e-8 of the largest uptake. Other organisms and products, such as acetate of Escherichia coli, by other
    contents and yields. Valid for any concentration that is not negative.

    Source: Sonnleitner and Kaeppeli 1986 (Biotechnol Bioeng 28:927): structure, and constants for baker's yeast, recalled.

    Raises
    ------
    CaseError : a yield asks for more carbon or electrons than there are.
    """

    components: ClassVar[Mapping[str, Measure]] = {
        **{"biomass": MASS, "substrate": MASS, "overflow": MASS},
        **{"oxygen": MOLES, "carbon_dioxide": MOLES},
    }
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter.positive("maximum_uptake", 1 / u.s, "largest uptake of substrate per biomass", 3.5 * _PER_H, _RECALLED),
        Parameter.positive("maximum_respiration", u.mol / u.kg / u.s, "largest uptake of oxygen per biomass", 8.0 * _PER_H, _RECALLED),
        Parameter("maximum_reuse", 1 / u.s, "largest uptake of the overflow product", 0.17 / 0.72 * _PER_H, 0.0, source="recalled"),
        Parameter.positive("substrate_half", _DENSITY, "substrate at half of its uptake", 0.1, _RECALLED),
        Parameter.positive("oxygen_half", u.mol / u.m**3, "oxygen at half of the capacity", 0.1 / 32, _RECALLED),
        Parameter.positive("overflow_half", _DENSITY, "overflow product at half of its uptake", 0.1, _RECALLED),
        Parameter.positive("inhibition", _DENSITY, "substrate that halves the uptake of the overflow product", 0.1, _RECALLED),
        Parameter.positive("biomass_yield", u.dimensionless, "biomass per substrate that is oxidized", 0.49, _RECALLED),
        Parameter("fermented_yield", u.dimensionless, "biomass per substrate that overflows", 0.05, 0.0, source=_RECALLED),
        Parameter.positive("overflow_yield", u.dimensionless, "biomass per overflow product", 0.72, _RECALLED),
        Parameter.positive("substrate_carbon", _CONTENT, "carbon in the substrate", 6 / _GLUCOSE, "glucose"),
        Parameter.positive("overflow_carbon", _CONTENT, "carbon in the overflow product", 2 / _ETHANOL, "ethanol"),
        Parameter.positive("biomass_carbon", _CONTENT, "carbon in biomass", 1 / _BIOMASS, _RECALLED),
        Parameter.positive("substrate_electrons", _CONTENT, "electrons that the substrate can give", 24 / _GLUCOSE, "glucose"),
        Parameter.positive("overflow_electrons", _CONTENT, "electrons that the overflow product can give", 12 / _ETHANOL, "ethanol"),
        Parameter.positive("biomass_electrons", _CONTENT, "electrons that biomass can give", 4.2 / _BIOMASS, _RECALLED),
    )
    shown: ClassVar[tuple[str, ...]] = ("specific_growth", "uptake", "oxidized", "reused")
    organism: ClassVar[str] = "biomass"

    def prepare(self, block: Any, time: Any) -> None:
        """Add what the balances give per substrate, and the specific rates."""
        _add_balances(block)
        for name in (*OXYGEN, *CARBON_DIOXIDE, "overflow_per_substrate"):
            if pyo.value(block.component(name)) <= 0:
                hint = "lower the yields, or raise the contents of carbon and electrons of what is taken up"
                raise block.refusal("biomass_yield", f"with the other yields leaves nothing for {name.replace('_', ' ')}", hint)

        @block.Expression(time, doc="uptake of substrate per biomass")
        def uptake(b: Any, t: float) -> Any:
            return b.maximum_uptake * saturation(b.concentrations(t)["substrate"], b.substrate_half)

        @block.Expression(time, doc="oxygen that biomass could take up")
        def capacity(b: Any, t: float) -> Any:
            return b.maximum_respiration * saturation(b.concentrations(t)["oxygen"], b.oxygen_half)

        @block.Expression(time, doc="substrate that is oxidized per biomass")
        def oxidized(b: Any, t: float) -> Any:
            return smooth_minimum(b.uptake[t], b.capacity[t] / b.oxygen_per_substrate, KINK_WIDTH * b.maximum_uptake)

        @block.Expression(time, doc="overflow product that is taken up per biomass")
        def reused(b: Any, t: float) -> Any:
            c = b.concentrations(t)
            wanted = b.maximum_reuse * saturation(c["overflow"], b.overflow_half) * b.inhibition / (b.inhibition + c["substrate"])
            left = (b.capacity[t] - b.oxygen_per_substrate * b.oxidized[t]) / b.oxygen_per_overflow
            return smooth_minimum(wanted, left, KINK_WIDTH * b.maximum_uptake)

        @block.Expression(time, doc="specific growth rate")
        def specific_growth(b: Any, t: float) -> Any:
            fermented = b.uptake[t] - b.oxidized[t]
            return b.biomass_yield * b.oxidized[t] + b.fermented_yield * fermented + b.overflow_yield * b.reused[t]

    def rates(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return the rates of all five components."""
        oxidized, reused, fermented = b.oxidized[t], b.reused[t], b.uptake[t] - b.oxidized[t]
        made = b.dioxide_per_substrate * oxidized + b.dioxide_per_fermented * fermented + b.dioxide_per_overflow * reused
        specific = {
            "biomass": b.specific_growth[t],
            "substrate": -b.uptake[t],
            "overflow": b.overflow_per_substrate * fermented - reused,
            "oxygen": -(b.oxygen_per_substrate * oxidized + b.oxygen_per_overflow * reused),
            "carbon_dioxide": made,
        }
        return {name: rate * c["biomass"] for name, rate in specific.items()}


OXYGEN = ("oxygen_per_substrate", "oxygen_per_overflow")
CARBON_DIOXIDE = ("dioxide_per_substrate", "dioxide_per_fermented", "dioxide_per_overflow")


def _add_balances(block: Any) -> None:
    """Add what the balances of carbon and electrons give per substrate and per overflow product."""

    def add(name: str, doc: str, rule: Any) -> None:
        block.add_component(name, pyo.Expression(rule=rule, doc=doc))

    add(OXYGEN[0], "oxygen per substrate oxidized", lambda b: (b.substrate_electrons - b.biomass_yield * b.biomass_electrons) / 4)
    add(OXYGEN[1], "oxygen per overflow product", lambda b: (b.overflow_electrons - b.overflow_yield * b.biomass_electrons) / 4)
    add(
        "overflow_per_substrate",
        "overflow product per substrate that overflows",
        lambda b: (b.substrate_electrons - b.fermented_yield * b.biomass_electrons) / b.overflow_electrons,
    )
    add(CARBON_DIOXIDE[0], "carbon dioxide per substrate oxidized", lambda b: b.substrate_carbon - b.biomass_yield * b.biomass_carbon)
    add(
        CARBON_DIOXIDE[1],
        "carbon dioxide per substrate that overflows",
        lambda b: b.substrate_carbon - b.fermented_yield * b.biomass_carbon - b.overflow_per_substrate * b.overflow_carbon,
    )
    add(CARBON_DIOXIDE[2], "carbon dioxide per overflow product", lambda b: b.overflow_carbon - b.overflow_yield * b.biomass_carbon)


@declare_custom_block("OverflowReactor", rule="build")
class OverflowReactorData(BioreactorData):
    """A bioreactor with yeast that overflows into ethanol where respiration is at its limit.

    The vessel is that of :class:`units.bioreactor.BioreactorData`, the kinetics :class:`Overflow`; both say equations, symbols,
    assumptions and the valid range. Components: ``biomass``, ``substrate`` and ``overflow`` by mass, ``oxygen`` and
    ``carbon_dioxide`` in moles, and any other, which is only carried along.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, yields exceed what is there, or a component is missing or
        counted otherwise.
    """

    kinetics: ClassVar[Kinetics] = Overflow()
