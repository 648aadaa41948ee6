"""Continuous blender: dead time, then tanks whose hold-up sets what they discharge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_inlets, add_powder_port
from units.transport import INITIAL, add_delay, add_delay_start
from units.unit import REV_PER_S, UnitBlock, numbered_inlets

WHOLE = 1e-9
"""How far a number of tanks may be from a whole one to be taken for it."""
MOST_TANKS = 100

FILL_ROUNDING = 1e-6
"""Relative fill below which the power of the fill is rounded, so that an empty tank is a regular point."""

INLETS = Parameter("inlets", u.dimensionless, "number of inlets", 1, 1, integer=True)

HOLDUP: tuple[Parameter, ...] = (
    INLETS,
    Parameter.positive(
        *("mean_time", u.s, "mean residence time in the blender at reference speed and flow", 55.0),
        source="recalled: about 150 s at 40 rpm to 20 s at 250 rpm",
    ),
    Parameter.positive("speed", REV_PER_S, "impeller speed", 5 / 3, input=True, source="assumed: 100 rpm"),
    Parameter.positive("reference_speed", REV_PER_S, "impeller speed at which mean_time holds", 5 / 3, source="assumed: 100 rpm"),
    Parameter.positive("reference_flow", u.kg / u.s, "mass flow at which mean_time holds", 20 / 3600, source="20 kg/h"),
    Parameter("speed_exponent", u.dimensionless, "exponent of the mean residence time on speed", 1.1, 0.0, source="recalled"),
    Parameter("flow_exponent", u.dimensionless, "exponent of the mean residence time on flow", 0.0, 0.0, 1.0, open_upper=True),
    *INITIAL,
)
"""Parameters of every blender whose hold-up follows speed and throughput."""


def tank_shares(tanks: float) -> tuple[float, ...]:
    """Return the shares of the mean residence time that a real number of tanks in series stands for.

    They are k equal tanks of share a and one smaller of share b with ``k a + b = 1`` and ``k a^2 + b^2 = 1/tanks``, k the
    whole number below: mean and variance are those of the gamma distribution of that many tanks. A whole number is as many equal tanks.

    Raises
    ------
    ValueError : fewer than one tank.

    >>> tank_shares(4.0)
    (0.25, 0.25, 0.25, 0.25)
    >>> [round(share, 6) for share in tank_shares(2.5)]
    [0.438743, 0.438743, 0.122515]
    """
    if tanks < 1:
        raise ValueError(f"there is at least one tank (got {tanks})")
    whole = math.floor(tanks + WHOLE)
    if abs(tanks - whole) <= WHOLE:
        return (1 / whole,) * whole
    equal = (1 + math.sqrt(1 - (whole + 1) * (1 - 1 / tanks) / whole)) / (whole + 1)
    return (*(equal,) * whole, 1 - whole * equal)


def discharge_rate(b: Any, t: float, mass: Any, mean_time: Any) -> Any:
    """Return the discharge per hold-up (1/s) of a vessel that holds ``mass`` (kg) and has ``mean_time`` (s) at reference speed and flow.

    The power law ``tau = mean_time (speed/reference_speed)^-speed_exponent (out/reference_flow)^-flow_exponent`` with ``out = mass/tau``,
    solved for 1/tau and rounded where the vessel is nearly empty.
    """
    conveying = (b.speed[t] / b.reference_speed) ** b.speed_exponent
    fill = mass * conveying / (b.reference_flow * mean_time)
    power = b.flow_exponent / (1 - b.flow_exponent)
    return conveying / mean_time * (fill**2 + FILL_ROUNDING**2) ** (power / 2)


@declare_custom_block("ContinuousBlender", rule="build")
class ContinuousBlenderData(UnitBlock):
    """Continuous blender: inlets that join, a dead time, and n well-mixed tanks in series, n a real number.

    Equations, for tank k and component c (hold-up form of tanks in series)::

        d mass[k, c]/dt = rate[k-1] mass[k-1, c] - rate[k] mass[k, c]
        rate[k]         = 1/(s[k] mean_time) (speed/reference_speed)^speed_exponent phi(fill[k])
        fill[k]         = sum_c mass[k, c]/(reference_flow s[k] mean_time) (speed/reference_speed)^speed_exponent
        phi(x)          = (x^2 + 1e-12)^(p/2),   p = flow_exponent/(1 - flow_exponent)

    Each tank obeys ``out = M/tau`` with the power law ``tau = mean_time (speed/reference_speed)^-speed_exponent
    (out/reference_flow)^-flow_exponent`` for the tanks together, solved for ``out``. With ``flow_exponent = 0`` phi is one
    and the blender is linear.

    The number of tanks is ``n = tanks (tanks_speed/reference_speed)^tanks_speed_exponent (throughput/reference_flow)^tanks_flow_exponent``,
    with the numbers that are given when the blender is built: it follows neither a profile of the speed nor references that change later.
    A whole number are equal tanks, s[k] = 1/n, and at
    steady flow a step of a tracer leaves as F(t) = P(n, n t/tau). Between whole numbers stand as many equal tanks as there are whole ones
    and one smaller, so that mean tau and variance tau^2/n are exact; F then differs from P(n, n t/tau) by less than 0.008 for n above 2,
    and by up to 0.027 below (at n = 1.3).

    In front stands a delay of the time ``delay`` in m = ``delay_cells`` cells by the third-order scheme of :mod:`units.transport`
    (none with 0 cells). Mass is conserved whatever the flow does.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k, c], delay_mass[j, c] | hold-up of tanks and of delay cells (states) | kg |
    | s[k] | shares of the tanks in the mean residence time | - |
    | rate[k] | discharge per hold-up of a tank | 1/s |
    | mean_time | mean residence time in the tanks at reference speed and flow | s |
    | speed | impeller speed (input) | rev/s |
    | total_mass, residence_time | hold-up; mean time in the tanks at the present hold-up | kg, s |

    Assumptions: tanks well mixed; all components move alike; the impeller acts at once; at the start the hold-up
    ``initial_mass`` has the composition ``initial_composition`` and is spread as at steady reference flow.
    Valid for any flow that is not negative, zero and an empty blender included, for speed above zero, for
    ``flow_exponent`` in [0, 1), and for n of at least one: bypassing (n < 1) is not covered. Near n = k + 1e-3 the small tank makes the
    equations stiff, not wrong.

    Source: hold-up and mean residence time fall sharply with speed (Vanarase and Muzzio 2011, Powder Technol 208:26); default
    values recalled from about 150 s at 40 rpm to 20 s at 250 rpm, check before quoting.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or n is below one.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "tanks", u.dimensionless, "number of tanks, not necessarily whole", 3.0, 1.0, 100.0, structural=True, source="recalled: 1.5-6"
        ),
        Parameter("tanks_speed_exponent", u.dimensionless, "exponent of the number of tanks on speed", 0.0, structural=True),
        Parameter("tanks_flow_exponent", u.dimensionless, "exponent of the number of tanks on throughput", 0.0, structural=True),
        Parameter.positive(
            "tanks_speed", REV_PER_S, "impeller speed for which the number of tanks is taken", 5 / 3, "100 rpm", structural=True
        ),
        Parameter.positive(
            "throughput", u.kg / u.s, "mass flow for which the number of tanks is taken", 20 / 3600, "20 kg/h", structural=True
        ),
        Parameter("delay_cells", u.dimensionless, "number of cells of the dead time; 0 for none", 5, 0, integer=True, source="assumed"),
        Parameter.positive("delay", u.s, "dead time in front of the tanks", 5.0, source="assumed"),
        *HOLDUP,
    )
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_fraction", "outlet_total", "total_mass", "residence_time")

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return ``inlet_1`` to the number of inlets asked for."""
        return numbered_inlets(INLETS, given)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        members = carried(materials)
        built_in = self.add_parameters(time, list(materials), given)
        add_inlets(self, time, materials, self.inlets(given), "powder into the blender")
        add_powder_port(self, "outlet", time, materials, doc="blend")
        cells = built_in["delay_cells"]
        add_delay(self, time, members, cells, entering=lambda b, t, c: b.feed[t, c], transit=lambda b, t: b.delay)
        shares = self._shares(built_in)
        self._add_tanks(time, materials, shares)
        self._add_start(time.first(), materials, shares)

    def _shares(self, built_in: Mapping[str, float]) -> tuple[float, ...]:
        speed = built_in["tanks_speed"] / pyo.value(self.reference_speed)
        flow = built_in["throughput"] / pyo.value(self.reference_flow)
        number = built_in["tanks"] * speed ** built_in["tanks_speed_exponent"] * flow ** built_in["tanks_flow_exponent"]
        if not 1 - WHOLE <= number <= MOST_TANKS:
            raise self.refusal("tanks", f"makes {number:.3g} tanks at this speed and throughput", f"there are 1 to {MOST_TANKS}")
        return tank_shares(max(number, 1.0))

    def _add_tanks(self, time: Any, materials: Mapping[str, Material], shares: Sequence[float]) -> None:
        components, members = list(materials), carried(materials)
        tanks = len(shares)
        self.tank = pyo.RangeSet(tanks)
        self.mass = pyo.Var(time, self.tank, members, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up of a tank")
        nominal(self.mass, 0.1)
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up of a tank")

        @self.Expression(time, self.tank, doc="discharge per hold-up of a tank")
        def rate(b: Any, t: float, k: int) -> Any:
            return discharge_rate(b, t, sum(b.mass[t, k, c] for c in components), b.mean_time * shares[k - 1])

        @self.Constraint(time, self.tank, members, doc="mass balance of a tank")
        def mass_balance(b: Any, t: float, k: int, c: str) -> Any:
            entering = b.delayed[t, c] if k == 1 else b.rate[t, k - 1] * b.mass[t, k - 1, c]
            return b.mass_rate[t, k, c] == entering - b.rate[t, k] * b.mass[t, k, c]

        @self.Constraint(time, members, doc="the last tank discharges through the outlet")
        def discharge(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.rate[t, tanks] * b.mass[t, tanks, c]

        @self.Expression(time, members, doc="hold-up by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return sum(b.mass[t, k, c] for k in b.tank) + sum(b.delay_mass[t, j, c] for j in b.delay_cell)

        @self.Expression(time, doc="hold-up")
        def total_mass(b: Any, t: float) -> Any:
            return sum(b.holdup[t, c] for c in components)

        @self.Expression(time, doc="mean residence time in the tanks at the present hold-up")
        def residence_time(b: Any, t: float) -> Any:
            return sum(1 / b.rate[t, k] for k in b.tank)

    def _add_start(self, t0: float, materials: Mapping[str, Material], shares: Sequence[float]) -> None:
        """Add the equations of the start: a flow through tanks and delay cells that leaves the initial hold-up in them."""
        flow = add_delay_start(self, t0, materials)

        @self.Constraint(self.tank, carried(materials), doc="hold-up of a tank at the start")
        def mass_start(b: Any, k: int, c: str) -> Any:
            return b.mass[t0, k, c] == flow(b, c) * b.mean_time * shares[k - 1]
