"""Mixer: streams that flow together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_powder_port
from units.unit import UnitBlock, numbered_inlets


@declare_custom_block("Mixer", rule="build")
class MixerData(UnitBlock):
    """Powder streams that flow together, such as chutes into one.

    Equation, for every component c and inlets k = 1 ... n::

        outlet_flow[t, c] = sum_k inlet_k_flow[t, c]

    | symbol | meaning | unit |
    |---|---|---|
    | inlet_k_flow | what arrives through the port ``inlet_k`` | kg/s |
    | outlet_flow | what leaves through the port ``outlet`` | kg/s |

    Assumptions: nothing is held, so that it acts at once; for a vessel that blends see the continuous blender. Valid for any flow, zero
    included; with one inlet it is a piece of pipe.

    Raises
    ------
    CaseError : a parameter is unknown or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("inlets", u.dimensionless, "number of inlets", 2, 1, 20, integer=True, source="structure"),
    )
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "outlet_fraction")

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the inlets, numbered from one."""
        (number,) = cls.parameters
        return numbered_inlets(number, given)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add ports and the sum."""
        self.add_parameters(time, list(materials), given)
        names = self.inlets(given)
        for name in names:
            add_powder_port(self, name, time, materials, doc=f"powder through {name}")
        add_powder_port(self, "outlet", time, materials, doc="powder from all inlets")

        @self.Constraint(time, carried(materials), doc="all that arrives leaves")
        def together(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == sum(b.component(f"{name}_flow")[t, c] for name in names)
