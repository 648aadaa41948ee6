"""A sink: takes whatever comes out of the flowsheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block

from units.stream import Material, add_powder_port
from units.unit import UnitBlock


@declare_custom_block("Sink", rule="build")
class SinkData(UnitBlock):
    """Powder that leaves the flowsheet.

    Equation, for every component c::

        withdrawal[t, c] = inlet_flow[t, c]

    | symbol | meaning | unit |
    |---|---|---|
    | inlet_flow | what arrives through the port ``inlet`` | kg/s |
    | withdrawal | what leaves the flowsheet | kg/s |

    Assumptions: none; the sink holds nothing, sets nothing and has no parameters. Valid for any flow.

    Raises
    ------
    CaseError : a parameter is given.
    """

    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    shown: ClassVar[tuple[str, ...]] = ("inlet_total", "inlet_fraction")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add the port and the expression of what leaves."""
        components = list(materials)
        self.add_parameters(time, components, given)
        add_powder_port(self, "inlet", time, materials, doc="powder taken away")

        @self.Expression(time, components, doc="mass flow out of the flowsheet")
        def withdrawal(b: Any, t: float, c: str) -> Any:
            return b.inlet_flow[t, c]
