"""Continuous blender: dead time, then equal tanks whose hold-up sets what they discharge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.parameter import Parameter
from units.stream import Material, add_powder_port
from units.unit import REV_PER_S, UnitBlock

FILL_ROUNDING = 1e-6
"""Relative fill below which the power of the fill is rounded, so that an empty tank is a regular point."""

_INLETS = Parameter("inlets", u.dimensionless, "number of inlets", 1, 1, integer=True)


@declare_custom_block("ContinuousBlender", rule="build")
class ContinuousBlenderData(UnitBlock):
    """Continuous blender: inlets that join, a dead time, and n equal well-mixed tanks in series.

    Equations, for tank k of n and component c (hold-up form of tanks in series)::

        d mass[k, c]/dt = rate[k-1] mass[k-1, c] - rate[k] mass[k, c]
        rate[k]         = n/mean_time (speed/reference_speed)^speed_exponent phi(fill[k])
        fill[k]         = n sum_c mass[k, c]/(reference_flow mean_time) (speed/reference_speed)^speed_exponent
        phi(x)          = (x^2 + 1e-12)^(p/2),   p = flow_exponent/(1 - flow_exponent)

    Each tank obeys ``out = M/tau`` with the power law ``tau = mean_time (speed/reference_speed)^-speed_exponent
    (out/reference_flow)^-flow_exponent`` for the n tanks together, solved for ``out``. With ``flow_exponent = 0`` phi is one
    and the blender is linear: at steady flow a step of a tracer leaves as F(t) = P(n, n t/tau), variance tau^2/n.

    In front stand m small cells of constant mean time ``delay/m``::

        d delay_mass[j, c]/dt = (delay_mass[j-1, c] - delay_mass[j, c]) m/delay

    A transport delay is states: the cells are its Erlang approximation, of mean ``delay`` and variance ``delay^2/m``
    (m = ``delay_cells``; none with 0). Mass is conserved whatever the flow does.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k, c], delay_mass[j, c] | hold-up of tanks and of delay cells (states) | kg |
    | rate[k] | discharge per hold-up of a tank | 1/s |
    | mean_time | mean residence time in the tanks at reference speed and flow | s |
    | speed | impeller speed (input) | rev/s |
    | total_mass, residence_time | hold-up; mean time in the tanks at the present hold-up | kg, s |

    Assumptions: tanks well mixed; all components move alike; the impeller acts at once; at the start the hold-up
    ``initial_mass`` has the composition ``initial_composition`` and is spread as at steady reference flow.
    Valid for any flow that is not negative, zero and an empty blender included, for speed above zero, and for
    ``flow_exponent`` in [0, 1).

    Source: hold-up and mean residence time fall sharply with speed (Vanarase and Muzzio 2011, Powder Technol 208:26); default
    values recalled from about 150 s at 40 rpm to 20 s at 250 rpm, check before quoting.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        _INLETS,
        Parameter("tanks", u.dimensionless, "number of equal tanks", 3, 1, integer=True, source="recalled: 1.5-6"),
        Parameter("delay_cells", u.dimensionless, "number of cells of the dead time; 0 for none", 5, 0, integer=True, source="assumed"),
        Parameter.positive("delay", u.s, "dead time in front of the tanks", 5.0, source="assumed"),
        Parameter.positive(
            "mean_time",
            u.s,
            "mean residence time in the tanks at reference speed and flow",
            55.0,
            source="recalled: about 150 s at 40 rpm to 20 s at 250 rpm",
        ),
        Parameter.positive("speed", REV_PER_S, "impeller speed", 5 / 3, input=True, source="assumed: 100 rpm"),
        Parameter.positive("reference_speed", REV_PER_S, "impeller speed at which mean_time holds", 5 / 3, source="assumed: 100 rpm"),
        Parameter.positive("reference_flow", u.kg / u.s, "mass flow at which mean_time holds", 20 / 3600, source="20 kg/h"),
        Parameter("speed_exponent", u.dimensionless, "exponent of the mean residence time on speed", 1.1, 0.0, source="recalled"),
        Parameter("flow_exponent", u.dimensionless, "exponent of the mean residence time on flow", 0.0, 0.0, 1.0, open_upper=True),
        Parameter("initial_mass", u.kg, "hold-up at the start", 0.0, 0.0),
        Parameter(
            "initial_composition", u.dimensionless, "mass fractions at the start", lower=0.0, upper=1.0, per_component=True, fractions=True
        ),
    )
    shown: ClassVar[tuple[str, ...]] = ("outlet_fraction", "outlet_total", "total_mass", "residence_time")

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return ``inlet_1`` to the number of inlets asked for."""
        return tuple(f"inlet_{number}" for number in range(1, int(_INLETS.chosen(given)) + 1))

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the one outlet."""
        return ("outlet",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        components = list(materials)
        whole = self.add_parameters(time, components, given)
        ports = self.inlets(given)
        for name in ports:
            add_powder_port(self, name, time, components, doc=f"powder into the blender ({name})")
        add_powder_port(self, "outlet", time, components, doc="blend")

        @self.Expression(time, components, doc="mass flow into the blender")
        def feed(b: Any, t: float, c: str) -> Any:
            return sum(b.component(f"{name}_flow")[t, c] for name in ports)

        self._add_delay(time, components, whole["delay_cells"])
        self._add_tanks(time, components, whole["tanks"])
        self._add_start(time.first(), components)

    def _add_delay(self, time: Any, components: list[str], cells: int) -> None:
        self.delay_cell = pyo.RangeSet(cells)
        self.delay_mass = pyo.Var(
            time, self.delay_cell, components, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up of a delay cell"
        )
        nominal(self.delay_mass, 0.01)
        self.delay_mass_rate = DerivativeVar(self.delay_mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up of a delay cell")

        def leaving(b: Any, t: float, j: int, c: str) -> Any:
            return b.delay_mass[t, j, c] * (cells / b.delay)

        @self.Constraint(time, self.delay_cell, components, doc="mass balance of a delay cell")
        def delay_balance(b: Any, t: float, j: int, c: str) -> Any:
            entering = b.feed[t, c] if j == 1 else leaving(b, t, j - 1, c)
            return b.delay_mass_rate[t, j, c] == entering - leaving(b, t, j, c)

        @self.Expression(time, components, doc="mass flow into the first tank")
        def delayed(b: Any, t: float, c: str) -> Any:
            return leaving(b, t, cells, c) if cells else b.feed[t, c]

    def _add_tanks(self, time: Any, components: list[str], tanks: int) -> None:
        self.tank = pyo.RangeSet(tanks)
        self.mass = pyo.Var(time, self.tank, components, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up of a tank")
        nominal(self.mass, 0.1)
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up of a tank")

        @self.Expression(time, doc="conveying relative to that at reference speed")
        def conveying(b: Any, t: float) -> Any:
            return (b.speed[t] / b.reference_speed) ** b.speed_exponent

        @self.Expression(time, self.tank, doc="discharge per hold-up of a tank")
        def rate(b: Any, t: float, k: int) -> Any:
            fill = tanks * sum(b.mass[t, k, c] for c in components) * b.conveying[t] / (b.reference_flow * b.mean_time)
            power = b.flow_exponent / (1 - b.flow_exponent)
            return tanks / b.mean_time * b.conveying[t] * (fill**2 + FILL_ROUNDING**2) ** (power / 2)

        @self.Constraint(time, self.tank, components, doc="mass balance of a tank")
        def mass_balance(b: Any, t: float, k: int, c: str) -> Any:
            entering = b.delayed[t, c] if k == 1 else b.rate[t, k - 1] * b.mass[t, k - 1, c]
            return b.mass_rate[t, k, c] == entering - b.rate[t, k] * b.mass[t, k, c]

        @self.Constraint(time, components, doc="the last tank discharges through the outlet")
        def discharge(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.rate[t, tanks] * b.mass[t, tanks, c]

        @self.Expression(time, components, doc="hold-up by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return sum(b.mass[t, k, c] for k in b.tank) + sum(b.delay_mass[t, j, c] for j in b.delay_cell)

        @self.Expression(time, doc="hold-up")
        def total_mass(b: Any, t: float) -> Any:
            return sum(b.holdup[t, c] for c in components)

        @self.Expression(time, doc="mean residence time in the tanks at the present hold-up")
        def residence_time(b: Any, t: float) -> Any:
            return sum(1 / b.rate[t, k] for k in b.tank)

    def _add_start(self, t0: float, components: list[str]) -> None:
        """Add the equations of the start: a flow through tanks and delay cells that leaves the initial hold-up in them."""
        tanks, cells = len(self.tank), len(self.delay_cell)

        def initial_flow(b: Any, c: str) -> Any:
            return b.initial_mass * b.initial_composition[c] / (b.mean_time + b.delay if cells else b.mean_time)

        @self.Constraint(self.tank, components, doc="hold-up of a tank at the start")
        def mass_start(b: Any, k: int, c: str) -> Any:
            return b.mass[t0, k, c] == initial_flow(b, c) * b.mean_time / tanks

        @self.Constraint(self.delay_cell, components, doc="hold-up of a delay cell at the start")
        def delay_mass_start(b: Any, j: int, c: str) -> Any:
            return b.delay_mass[t0, j, c] == initial_flow(b, c) * b.delay / cells
