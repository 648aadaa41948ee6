"""Growth on one limiting substrate, with a product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.bioreactor import BioreactorData
from units.kinetics.kinetics import Kinetics, Rates, available, breath, saturation
from units.parameter import Parameter
from units.stream import MASS, Measure

_PER_H = 1 / 3600.0
_DENSITY = u.kg / u.m**3


class Monod(Kinetics):
    """Monod growth with death, maintenance and a product of Luedeking and Piret.

    With X, S, P the concentrations of ``biomass``, ``substrate``, ``product`` (kg/m3)::

        mu  = maximum_growth S/(half_saturation + S)                (times O/(oxygen_half + O) in an aerated vessel)
        r_X = (mu - death) X
        r_S = -(mu/biomass_yield + maintenance tanh(S/substrate_floor)) X
        r_P = (growth_product mu + standing_product) X

    | symbol | meaning | unit |
    |---|---|---|
    | specific_growth | mu | 1/s |
    | maximum_growth, half_saturation | Monod's constants | 1/s, kg/m3 |
    | biomass_yield | biomass per substrate that goes into growth | kg/kg |
    | growth_product, standing_product | product per biomass grown, and per biomass and time | kg/kg, 1/s |

    Assumptions: one limiting substrate, constant yields; neither temperature nor pH acts. The product is made at the
    expense of nothing that is balanced. The factor tanh(S/floor) ends maintenance with the substrate. Valid for any
    concentration that is not negative.

    Source: Monod 1949 (Annu Rev Microbiol 3:371); Luedeking and Piret 1959 (J Biochem Microbiol Technol Eng 1:393), forms recalled;
    default values are magnitudes for baker's yeast and Escherichia coli, recalled.
    """

    components: ClassVar[Mapping[str, Measure]] = {"biomass": MASS, "substrate": MASS, "product": MASS}
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("maximum_growth", 1 / u.s, "largest specific growth rate", 0.4 * _PER_H, 0.0, source="recalled: 0.1-1 1/h"),
        Parameter.positive("half_saturation", _DENSITY, "substrate at half of it", 0.1, source="recalled"),
        Parameter.positive("biomass_yield", u.dimensionless, "biomass per substrate for growth", 0.5, source="recalled"),
        Parameter("maintenance", 1 / u.s, "substrate per biomass and time for maintenance", 0.0, 0.0),
        Parameter("death", 1 / u.s, "specific death rate", 0.0, 0.0),
        Parameter("growth_product", u.dimensionless, "product per biomass grown", 0.0, 0.0),
        Parameter("standing_product", 1 / u.s, "product per biomass and time", 0.0, 0.0),
        Parameter.positive("substrate_floor", _DENSITY, "substrate below which maintenance fades", 1e-3, source="assumed"),
    )
    shown: ClassVar[tuple[str, ...]] = ("specific_growth",)
    organism: ClassVar[str] = "biomass"

    def prepare(self, block: Any, time: Any) -> None:
        """Add the specific growth rate."""

        @block.Expression(time, doc="specific growth rate")
        def specific_growth(b: Any, t: float) -> Any:
            return b.maximum_growth * saturation(b.concentrations(t)["substrate"], b.half_saturation) * breath(b, t)

    def rates(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return the rates of biomass, substrate and product."""
        mu = b.specific_growth[t]
        return {
            "biomass": (mu - b.death) * c["biomass"],
            "substrate": -(mu / b.biomass_yield + b.maintenance * available(c["substrate"], b.substrate_floor)) * c["biomass"],
            "product": (b.growth_product * mu + b.standing_product) * c["biomass"],
        }


@declare_custom_block("MonodReactor", rule="build")
class MonodReactorData(BioreactorData):
    """A bioreactor with growth on one substrate.

    The vessel is that of :class:`units.bioreactor.BioreactorData`, the kinetics :class:`Monod`; both say equations, symbols,
    assumptions and the valid range. Components: ``biomass``, ``substrate`` and ``product``, all by mass, and any other,
    which is only carried along.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or a component is missing or not counted by mass.
    """

    kinetics: ClassVar[Kinetics] = Monod()
