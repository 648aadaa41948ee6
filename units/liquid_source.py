"""A source of liquid: a volume flow of given composition from outside the flowsheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from solvers.declare import nominal
from units.liquid import (
    TYPICAL_VOLUME_FLOW,
    VOLUME_FLOW,
    LiquidComponent,
    add_liquid_port,
    add_passed_volume,
    by_measure,
    concentration_parameters,
    heat_of,
)
from units.parameter import Parameter
from units.stream import Measure
from units.unit import UnitBlock


@declare_custom_block("LiquidSource", rule="build")
class LiquidSourceData(UnitBlock):
    """Liquid that enters the flowsheet, such as a feed medium.

    Equations, for every component c (by mass; likewise in moles and cells)::

        outlet_volume_flow[t]  = flow[t]
        outlet_mass_flow[t, c] = flow[t] mass_concentration[t, c]
        supply[t, c]           = outlet_mass_flow[t, c]
        outlet_heat_flow[t]    = flow[t] heat capacity (temperature[t] - 298.15 K)

    | symbol | meaning | unit |
    |---|---|---|
    | flow | volume flow, an input that a profile may replace | m3/s |
    | mass_concentration, molarity, cell_density | composition, inputs; zero for components that are not named | kg/m3, mol/m3, cell/m3 |
    | temperature | of the liquid, an input | K |
    | passed_volume | volume supplied since the start (state) | m3 |

    Assumptions: none; the source holds nothing. Valid for any flow that is not negative, zero included.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    handles: ClassVar[type] = LiquidComponent
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("flow", VOLUME_FLOW, "volume flow that is supplied", lower=0.0, input=True),
        *concentration_parameters("", "of the liquid", input=True),
        Parameter.positive("temperature", u.K, "temperature of the liquid", 298.15, input=True, source="25 degC"),
    )
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_volume_flow", "passed_volume")

    def build(self, *_: Any, time: Any, materials: Mapping[str, LiquidComponent], **given: Any) -> None:
        """Add parameters, port and equations."""
        self.add_parameters(time, materials, given)
        nominal(self.flow, TYPICAL_VOLUME_FLOW)
        add_liquid_port(self, "outlet", time, materials, doc="supplied liquid")
        add_passed_volume(self, "outlet", time)

        @self.Constraint(time, doc="the volume that is supplied leaves through the outlet")
        def volume_delivery(b: Any, t: float) -> Any:
            return b.outlet_volume_flow[t] == b.flow[t]

        @self.Constraint(time, doc="heat of what is supplied")
        def heat_delivery(b: Any, t: float) -> Any:
            return b.outlet_heat_flow[t] == b.flow[t] * heat_of(b.temperature[t])

        @self.Expression(time, doc="volume flow from outside the flowsheet")
        def volume_supply(b: Any, t: float) -> Any:
            return b.flow[t]

        for measure, names in by_measure(materials).items():
            self._add_delivery(time, measure, names)

    def _add_delivery(self, time: Any, measure: Measure, names: list[str]) -> None:
        def supply(b: Any, t: float, c: str) -> Any:
            return b.flow[t] * b.component(measure.concentration)[t, c]

        def delivery(b: Any, t: float, c: str) -> Any:
            return b.component(f"outlet_{measure.flow}")[t, c] == supply(b, t, c)

        nominal(self.component(measure.concentration), measure.typical)
        kind = measure.flow.replace("_", " ")
        self.add_component(f"delivery{measure.suffix}", pyo.Constraint(time, names, rule=delivery, doc=f"{kind} out of the outlet"))
        expression = pyo.Expression(time, names, rule=supply, doc=f"{kind} from outside the flowsheet")
        self.add_component(f"supply{measure.suffix}", expression)
