"""Splitter: a stream that is divided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_powder_port
from units.unit import UnitBlock


@declare_custom_block("Splitter", rule="build")
class SplitterData(UnitBlock):
    """Powder stream that is divided in two of the same composition.

    Equations, for every component c::

        outlet_1_flow[t, c] = share[t] inlet_flow[t, c]
        outlet_2_flow[t, c] = (1 - share[t]) inlet_flow[t, c]

    | symbol | meaning | unit |
    |---|---|---|
    | share | of the flow that leaves through ``outlet_1`` (input, which a profile or a signal may change) | - |
    | inlet_flow, outlet_1_flow, outlet_2_flow | what arrives and leaves through the ports | kg/s |

    Assumptions: nothing is held, components are not segregated. Valid for any flow that is not negative and shares from zero to one,
    both included. A signal beyond these is not held back: it would ask for a negative flow.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("share", u.dimensionless, "share that leaves through outlet_1", lower=0.0, upper=1.0, input=True),
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet_1", "outlet_2")
    shown: ClassVar[tuple[str, ...]] = ("outlet_1_total", "outlet_2_total", "share")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameter, ports and the division."""
        members = carried(materials)
        self.add_parameters(time, list(materials), given)
        for name, doc in (("inlet", "powder to be divided"), ("outlet_1", "the share"), ("outlet_2", "the rest")):
            add_powder_port(self, name, time, materials, doc=doc)

        @self.Constraint(time, members, doc="the share")
        def first(b: Any, t: float, c: str) -> Any:
            return b.outlet_1_flow[t, c] == b.share[t] * b.inlet_flow[t, c]

        @self.Constraint(time, members, doc="the rest")
        def second(b: Any, t: float, c: str) -> Any:
            return b.outlet_2_flow[t, c] == (1 - b.share[t]) * b.inlet_flow[t, c]
