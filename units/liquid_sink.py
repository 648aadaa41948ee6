"""A sink of liquid: takes whatever comes out of the flowsheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block

from units.liquid import LiquidComponent, add_liquid_port, add_passed_volume, by_measure
from units.stream import Measure
from units.unit import UnitBlock


@declare_custom_block("LiquidSink", rule="build")
class LiquidSinkData(UnitBlock):
    """Liquid that leaves the flowsheet: harvest, samples, waste.

    Equations, for every component c (by mass; likewise in moles and cells)::

        withdrawal[t, c]     = inlet_mass_flow[t, c]
        volume_withdrawal[t] = inlet_volume_flow[t]

    | symbol | meaning | unit |
    |---|---|---|
    | inlet_mass_flow, inlet_molar_flow, inlet_cell_flow | what arrives through the port ``inlet`` | kg/s, mol/s, cell/s |
    | withdrawal, withdrawal_moles, withdrawal_cells | what leaves the flowsheet | kg/s, mol/s, cell/s |
    | inlet_heat_flow, inlet_temperature | heat above 25 degC, and temperature, of what arrives | W, K |
    | volume_withdrawal | volume flow out of the flowsheet | m3/s |
    | passed_volume | volume taken since the start (state) | m3 |

    Assumptions: none; the sink holds nothing, sets nothing and has no parameters. Valid for any flow.

    Raises
    ------
    CaseError : a parameter is given.
    """

    handles: ClassVar[type] = LiquidComponent
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    shown: ClassVar[tuple[str, ...]] = ("inlet_volume_flow", "passed_volume")

    def build(self, *_: Any, time: Any, materials: Mapping[str, LiquidComponent], **given: Any) -> None:
        """Add the port and the expressions of what leaves."""
        self.add_parameters(time, materials, given)
        add_liquid_port(self, "inlet", time, materials, doc="liquid taken away")
        add_passed_volume(self, "inlet", time)

        @self.Expression(time, doc="volume flow out of the flowsheet")
        def volume_withdrawal(b: Any, t: float) -> Any:
            return b.inlet_volume_flow[t]

        for measure, names in by_measure(materials).items():

            def withdrawal(b: Any, t: float, c: str, measure: Measure = measure) -> Any:
                return b.component(f"inlet_{measure.flow}")[t, c]

            doc = f"{measure.flow.replace('_', ' ')} out of the flowsheet"
            self.add_component(f"withdrawal{measure.suffix}", pyo.Expression(time, names, rule=withdrawal, doc=doc))
