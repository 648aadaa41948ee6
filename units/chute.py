"""Chute or conveyor: powder passes in a given time, however much of it there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.parameter import Parameter
from units.powders import carried, of_own_sizes
from units.stream import Material, add_powder_port
from units.transport import INITIAL, add_delay
from units.unit import UnitBlock


@declare_custom_block("Chute", rule="build")
class ChuteData(UnitBlock):
    """Chute, pipe or conveyor belt that is never full: what enters leaves after the transit time.

    Equations, for cell j of m and component c (:mod:`units.transport`)::

        d delay_mass[j, c]/dt = delay_face[j-1, c] - delay_face[j, c]
        delay_face[j, c]      = limited third-order upwind value of delay_mass[j, c] m/transit_time

    All of the stretch moves at one speed, which the transit time says at every moment: a belt that stops (a very long transit time) keeps
    what lies on it. The delay is states; mass is conserved whatever flow and speed do. A step spreads over a few cells, with a variance of
    about 0.75 transit_time^2/m^1.4; slow changes pass with an error of the third order in 1/m.

    | symbol | meaning | unit |
    |---|---|---|
    | delay_mass[j, c] | powder in a cell (state) | kg |
    | transit_time | time from one end to the other at the present speed (input) | s |
    | total_mass | powder in the chute | kg |

    Assumptions: no mixing on the way; for a chute that stays full, where powder moves as fast as it is drawn, take a hopper. At the start
    the chute is evenly covered with ``initial_mass``. Behind a sudden end of flow, flows may pass zero by some 1e-6 kg/s.

    Valid for any inflow that is not negative. Source: plug flow; the scheme as in :mod:`units.transport`.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("cells", u.dimensionless, "number of cells, one behind the other", 20, 1, integer=True, source="assumed"),
        Parameter.positive("transit_time", u.s, "time from one end to the other", 5.0, input=True, source="assumed"),
        *INITIAL,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "outlet_fraction", "total_mass")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        components, members = list(materials), carried(materials)
        cells = self.add_parameters(time, components, given)["cells"]
        add_powder_port(self, "inlet", time, materials, doc="powder onto the chute")
        add_powder_port(self, "outlet", time, materials, doc="powder off the chute")
        add_delay(self, time, members, cells, entering=lambda b, t, c: b.inlet_flow[t, c], transit=lambda b, t: b.transit_time[t])

        @self.Constraint(time, members, doc="what has passed leaves through the outlet")
        def discharge(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.delayed[t, c]

        @self.Expression(time, members, doc="powder in the chute by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return sum(b.delay_mass[t, j, c] for j in b.delay_cell)

        @self.Expression(time, doc="powder in the chute")
        def total_mass(b: Any, t: float) -> Any:
            return sum(b.holdup[t, c] for c in components)

        @self.Constraint(self.delay_cell, members, doc="powder in a cell at the start")
        def start(b: Any, j: int, c: str) -> Any:
            return b.delay_mass[time.first(), j, c] == of_own_sizes(
                materials, c, lambda name: b.initial_mass * b.initial_composition[name] / cells
            )
