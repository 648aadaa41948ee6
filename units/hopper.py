"""Hopper or full chute: powder moves down as a plug, as fast as it is drawn below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units import bed
from units.laws import smooth_absolute
from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_inlets, add_powder_port
from units.unit import UnitBlock

LEAST_FLOW = 1e-6
"""Flow (kg/s) below which the residence time is told as if there were that much."""


@declare_custom_block("Hopper", rule="build")
class HopperData(UnitBlock):
    """Hopper, or chute that stays full, from which powder is drawn by volume: plug flow with a level.

    Equations, for share k of n of the mass in the hopper, from top to bottom (:mod:`units.bed`), and component c::

        level           = sum_kc mass[k, c]
        leaving         = rho_b draw level/sqrt(level^2 + heel^2),  1/rho_b = sum_c face[n, c]/bulk_density[c]
        G[k]            = F_in + k/n (leaving - F_in)
        d mass[k, c]/dt = G[k-1] face[k-1, c] - G[k] face[k, c]
        face[k, c]      = limited third-order upwind value of the mass fractions (units.transport)

    The transport delay is states: what enters at t leaves when as much mass as lay below it has been drawn, whatever rate and level do
    meanwhile. With constant flow F the delay is level/F; a step spreads over a few shares: its variance is about 0.75 delay^2/n^1.4
    (0.011 delay^2 with n = 20, where mixed tanks have 0.05), and slow changes pass with an error of the third order in 1/n.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k, c], level | powder in a share by component (state); in the hopper | kg |
    | draw | volume of loose powder that is drawn per time (input; usually a signal from what stands below) | m3/s |
    | inlet_total, leaving | mass flows F_in that comes in and that leaves | kg/s |
    | residence_time | level over what leaves | s |
    | capacity | mass above which the hopper runs over | kg |

    Assumptions: no bridging, funnel flow or segregation; bulk volumes add up; the bulk density is that of loose powder. Below the heel less
    leaves than is drawn, so that outflow ends with the powder. Where several components change at once, fractions may pass their range by
    some 1e-4 with 20 cells, by up to 6e-3 with five. A run whose level exceeds the capacity fails, and says so.

    Valid for any inflow and draw that are not negative, zero and an empty hopper included. Source: plug flow, recalled as the usual model
    of press hoppers; the scheme as in :mod:`units.transport`.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the initial mass exceeds the capacity.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("cells", u.dimensionless, "number of shares of the mass, one behind the other", 20, 1, integer=True, source="assumed"),
        Parameter("draw", u.m**3 / u.s, "volume of loose powder drawn per time", 0.0, 0.0, input=True),
        Parameter.positive("capacity", u.kg, "mass above which the hopper runs over", 5.0, source="assumed"),
        *bed.BED,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("level", "outlet_total", "outlet_fraction", "residence_time")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states, equations and the event of running over."""
        members = carried(materials)
        whole = self.add_parameters(time, list(materials), given)
        if pyo.value(self.initial_mass) > pyo.value(self.capacity):
            raise self.refusal("initial_mass", "exceeds capacity")
        add_inlets(self, time, materials, self.inlets(given), "powder into the hopper")
        add_powder_port(self, "outlet", time, materials, doc="powder out of the hopper")
        bed.add_shares(self, time, materials, whole["cells"])
        bed.add_plug_faces(self, time, members)
        bed.add_drawing(self, time, materials)
        bed.add_balances(self, time, members)

        @self.Expression(time, doc="level over what leaves; large while nothing leaves")
        def residence_time(b: Any, t: float) -> Any:
            return b.level[t] / smooth_absolute(b.leaving[t], LEAST_FLOW * u.kg / u.s)

        self.overfull = Event(
            guard=lambda b, t: b.level[t] - b.capacity,
            direction=Direction.RISING,
            doc="the hopper runs over its capacity",
            refusal="feed less, draw more, or take a larger hopper",
        )
