"""A source: component flows from outside the flowsheet, as given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from solvers.declare import nominal
from units.parameter import Parameter
from units.powders import carried, of_own_sizes
from units.stream import TYPICAL_FLOW, Material, add_powder_port
from units.unit import UnitBlock


@declare_custom_block("Source", rule="build")
class SourceData(UnitBlock):
    """Powder that enters the flowsheet with given component flows; where sizes are followed, each material has its own.

    Equations, for every component c::

        outlet_flow[t, c] = flow[t, c]
        supply[t, c]      = flow[t, c]

    | symbol | meaning | unit |
    |---|---|---|
    | flow | component mass flow, an input that a profile may replace | kg/s |
    | outlet_flow | what leaves through the port ``outlet`` | kg/s |

    Assumptions: none; the source holds nothing. Valid for any flow that is not negative, zero included.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("flow", u.kg / u.s, "component mass flow that is supplied", lower=0.0, per_component=True, input=True),
    )
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "outlet_fraction")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, port and equation."""
        components = list(materials)
        self.add_parameters(time, components, given)
        nominal(self.flow, TYPICAL_FLOW)
        add_powder_port(self, "outlet", time, materials, doc="supplied powder")

        @self.Constraint(time, carried(materials), doc="what is supplied leaves through the outlet")
        def delivery(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == of_own_sizes(materials, c, lambda name: b.flow[t, name])

        @self.Expression(time, components, doc="mass flow from outside the flowsheet")
        def supply(b: Any, t: float, c: str) -> Any:
            return b.flow[t, c]
