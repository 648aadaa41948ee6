"""Delumper: a short delay and one mixed tank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_powder_port
from units.transport import INITIAL, add_delay, add_delay_start
from units.unit import UnitBlock


@declare_custom_block("Delumper", rule="build")
class DelumperData(UnitBlock):
    """Delumper (conical or impact mill that breaks lumps only), by its residence time: a delay, then one well-mixed tank.

    Equations, for component c (the delay's cells as in :mod:`units.transport`)::

        d mass[c]/dt  = delayed[c] - mass[c]/mean_time
        outlet[c]     = mass[c]/mean_time

    At steady flow a step leaves as ``1 - exp(-(t - delay)/mean_time)`` from ``t = delay`` on: mean residence time ``delay + mean_time``,
    variance ``mean_time^2``, and what the delay's cells add.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[c], delay_mass[j, c] | hold-up of the tank and of the delay's cells (states) | kg |
    | mean_time, delay | mean residence time in the tank; dead time in front of it | s |
    | total_mass | hold-up | kg |

    Assumptions: the hold-up follows the flow at once; components move alike, and size classes with them. At the start the hold-up
    ``initial_mass`` is spread as at steady flow.

    Valid for any inflow that is not negative, zero and an empty delumper included. Source: delay and one tank, tau 5-20 s, recalled; check
    before quoting.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter.positive("mean_time", u.s, "mean residence time in the tank", 8.0, source="recalled: 5-20 s"),
        Parameter("delay_cells", u.dimensionless, "number of cells of the dead time; 0 for none", 5, 0, integer=True, source="assumed"),
        Parameter.positive("delay", u.s, "dead time in front of the tank", 2.0, source="assumed"),
        *INITIAL,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "outlet_fraction", "total_mass")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        components, members, t0 = list(materials), carried(materials), time.first()
        cells = self.add_parameters(time, components, given)["delay_cells"]
        add_powder_port(self, "inlet", time, materials, doc="powder into the delumper")
        add_powder_port(self, "outlet", time, materials, doc="powder out of the delumper")
        add_delay(self, time, members, cells, entering=lambda b, t, c: b.inlet_flow[t, c], transit=lambda b, t: b.delay)
        self.mass = pyo.Var(time, members, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up of the tank")
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up of the tank")
        nominal(self.mass, 0.05)

        @self.Constraint(time, members, doc="mass balance of the tank")
        def mass_balance(b: Any, t: float, c: str) -> Any:
            return b.mass_rate[t, c] == b.delayed[t, c] - b.mass[t, c] / b.mean_time

        @self.Constraint(time, members, doc="the tank discharges through the outlet")
        def discharge(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.mass[t, c] / b.mean_time

        @self.Expression(time, members, doc="hold-up by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return b.mass[t, c] + sum(b.delay_mass[t, j, c] for j in b.delay_cell)

        @self.Expression(time, doc="hold-up")
        def total_mass(b: Any, t: float) -> Any:
            return sum(b.holdup[t, c] for c in components)

        flow = add_delay_start(self, t0, materials)

        @self.Constraint(members, doc="hold-up of the tank at the start")
        def start(b: Any, c: str) -> Any:
            return b.mass[t0, c] == flow(b, c) * b.mean_time
