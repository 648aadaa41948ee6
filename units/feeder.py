"""Loss-in-weight feeder: hopper, screw, gravimetric control and refill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.laws import KINK_WIDTH, smooth_clip, smooth_minimum, smooth_positive
from units.parameter import Parameter
from units.stream import TYPICAL_FLOW, Material, add_powder_port
from units.unit import REV_PER_S, UnitBlock

_KG_REV = u.kg / u.revolution


@declare_custom_block("LossInWeightFeeder", rule="build")
class LossInWeightFeederData(UnitBlock):
    """Loss-in-weight feeder with one powder mixture in its hopper.

    Equations (symbols of Metta et al. 2019, Processes 7:234)::

        d mass/dt          = refill_flow - delivered
        feed_factor        = ff_full - (ff_full - ff_empty) exp(-decay max(mass, 0))
        delivered          = feed_factor tanh(mass/heel) screw_speed (1 + disturbance)
        screw_time d screw_speed/dt = command_speed - screw_speed
        filter_time d measured_flow/dt = (1 - refilling) (delivered - refill_flow - measured_flow)
        target             = min(setpoint, ff_full speed_limit)
        command            = target + gain (target - measured_flow) + integral
        held_speed         = clip(command/ff_full, 0, speed_limit)
        integral_time d integral/dt = gravimetric [gain (target - measured_flow) + ff_full held_speed - command]
        volumetric_speed   = frozen_speed [1 - scheduling + scheduling frozen_factor/feed_factor]
        command_speed      = gravimetric held_speed + (1 - gravimetric) volumetric_speed
        refill_flow        = refilling refill_rate

    and at the start, in gravimetric mode::

        mass = initial_mass,  screw_speed = min(initial_running target/feed_factor, speed_limit)
        measured_flow = feed_factor screw_speed,  integral = ff_full screw_speed - initial_running target

    Modes, all switched by events: ``refill_start`` (mass falls below ``refill_below``) opens the refill valve and goes volumetric
    with the screw's momentary speed; ``refill_stop`` (mass rises above ``refill_above``) closes it; ``refill_settled`` (at
    ``settle_end``, ``settle_time`` later) returns to gravimetric control and hands the integral what scheduling changed.

    | symbol | meaning | unit |
    |---|---|---|
    | mass | powder in the hopper (state) | kg |
    | feed_factor, ff_full, ff_empty, decay | mass per revolution of a filled screw; its limits; its decay with mass | kg/rev, 1/kg |
    | delivered, disturbance | mass flow out of the screw; its relative deviation (input) | kg/s, - |
    | screw_speed | of the screw (state) | rev/s |
    | measured_flow | low-pass filtered loss of weight (state) | kg/s |
    | setpoint, target | set point (input); the same within the screw's reach | kg/s |
    | command, integral | controller output, its integral term (state) | kg/s |
    | refilling, gravimetric | 1 while the refill valve is open; 1 under weight control, 0 in volumetric mode | - |
    | frozen_speed, frozen_factor | screw speed and feed factor when volumetric mode began (before: zero) | rev/s, kg/rev |

    Assumptions: the mixture in the hopper has the composition of the refill at all times. The weight filter is held while the valve is
    open, so that the refill stream, which the weight contains, never reaches the controller; the integral term is held in volumetric
    mode and does not wind up at the limits of the screw. Below the heel the screw runs empty. No weighing noise. The clip is rounded
    over 1e-8 of the top speed, so that at set point zero the screw creeps at 5e-9 of it at most; max(mass, 0) is rounded over the heel.
    The start is steady for a set point of ``initial_running`` times the present one, with no disturbance before it and a hopper above
    its heel; if the screw cannot deliver that, at the screw's top speed.

    Valid for a set point from zero to what the screw can deliver. Source of the feed factor's form and of all default values:
    recalled from the literature, check before quoting; feed factors depend strongly on material and screw.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the refill levels are not in order.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("composition", u.dimensionless, "mass fractions in the hopper", lower=0.0, upper=1.0, per_component=True, fractions=True),
        Parameter("setpoint", u.kg / u.s, "set point of the mass flow", lower=0.0, input=True),
        Parameter("disturbance", u.dimensionless, "relative deviation of the delivered flow", 0.0, lower=-1.0, input=True),
        Parameter.positive("feed_factor_full", _KG_REV, "feed factor at high mass", 0.020, source="recalled: 1-40 g/rev"),
        Parameter.positive("feed_factor_empty", _KG_REV, "feed factor at low mass", 0.016, source="recalled: 10-30 % below full"),
        Parameter("feed_factor_decay", 1 / u.kg, "decay of the feed factor with mass", 0.8, 0.0, source="illustrative"),
        Parameter.positive("screw_time", u.s, "time constant of screw and drive", 1.0, source="assumed"),
        Parameter.positive("speed_limit", REV_PER_S, "top speed of the screw", 3.0, source="assumed: 180 rpm"),
        Parameter.positive("filter_time", u.s, "time constant of the weight filter", 3.0, source="assumed"),
        Parameter("gain", u.dimensionless, "controller gain; 0 with the screw in open loop", 0.5, 0.0, source="assumed"),
        Parameter.positive("integral_time", u.s, "integral time of the controller", 20.0, source="assumed"),
        Parameter("refill_below", u.kg, "mass at which refilling starts", 1.0, 0.0, source="assumed"),
        Parameter("refill_above", u.kg, "mass at which refilling stops", 3.0, 0.0, source="assumed"),
        Parameter("refill_rate", u.kg / u.s, "mass flow of refills; 0 for none", 0.2, 0.0, source="recalled: volumetric window 5-30 s"),
        Parameter.positive("settle_time", u.s, "volumetric time after refilling", 15.0, source="recalled: 10-30 s"),
        Parameter("scheduling", u.dimensionless, "share of the feed factor's change corrected in volumetric mode", 0.0, 0.0, 1.0),
        Parameter.positive("heel", u.kg, "mass below which the screw runs empty", 1e-3, source="assumed"),
        Parameter("initial_mass", u.kg, "mass in the hopper at the start", 2.5, 0.0, source="assumed"),
        Parameter("initial_running", u.dimensionless, "share of the set point delivered at the start", 1.0, 0.0, 1.0),
    )
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "measured_flow", "mass", "screw_speed", "gravimetric")
    bands: ClassVar[tuple[tuple[str, str, str], ...]] = (("refill", "refill_start", "refill_settled"),)

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the one outlet."""
        return ("outlet",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, states, modes, equations and events."""
        components = list(materials)
        self.add_parameters(time, components, given)
        if not pyo.value(self.refill_below) < pyo.value(self.refill_above):
            raise self.refusal("refill_above", "has to lie above refill_below")
        add_powder_port(self, "outlet", time, components, doc="delivered powder")
        self._add_states(time)
        self._add_modes(time)
        self._add_hopper(time, components)
        self._add_control(time)
        self._add_events()
        self._add_start(time.first())

    def _add_states(self, time: Any) -> None:
        flow = u.kg / u.s
        self.mass = pyo.Var(time, initialize=1.0, bounds=(0, None), units=u.kg, doc="mass in the hopper")
        self.screw_speed = pyo.Var(time, initialize=1.0, bounds=(0, None), units=REV_PER_S, doc="screw speed")
        self.measured_flow = pyo.Var(time, initialize=0.0, units=flow, doc="filtered loss of weight")
        self.integral = pyo.Var(time, initialize=0.0, units=flow, doc="integral term of the controller")
        for state, size in ((self.mass, 1.0), (self.screw_speed, 1.0), (self.measured_flow, TYPICAL_FLOW), (self.integral, TYPICAL_FLOW)):
            nominal(state, size)
            unit = u.get_units(state[time.first()]) / u.s
            self.add_component(f"{state.local_name}_rate", DerivativeVar(state, wrt=time, units=unit, doc=f"rate of {state.doc}"))

    def _add_modes(self, time: Any) -> None:
        self.refilling = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while the refill valve is open")
        self.gravimetric = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 under weight control, 0 in volumetric mode")
        self.frozen_speed = pyo.Var(time, bounds=(0, None), units=REV_PER_S, doc="screw speed when volumetric mode began")
        self.frozen_factor = pyo.Var(time, bounds=(0, None), units=_KG_REV, doc="feed factor when volumetric mode began")
        self.settle_end = pyo.Var(time, units=u.s, doc="time at which gravimetric control comes back")
        self.gravimetric.fix(1)
        for mode in (self.refilling, self.frozen_speed, self.frozen_factor, self.settle_end):
            mode.fix(0)  # until the event that begins volumetric mode

    def _add_hopper(self, time: Any, components: list[str]) -> None:
        @self.Expression(time, doc="mass per revolution of the filled screw")
        def feed_factor(b: Any, t: float) -> Any:
            # Without the limit the exponential would run away in an integrator's step below an empty hopper.
            mass = smooth_positive(b.mass[t], b.heel)
            return b.feed_factor_full - (b.feed_factor_full - b.feed_factor_empty) * pyo.exp(-b.feed_factor_decay * mass)

        @self.Expression(time, doc="mass flow out of the screw")
        def delivered(b: Any, t: float) -> Any:
            return b.feed_factor[t] * pyo.tanh(b.mass[t] / b.heel) * b.screw_speed[t] * (1 + b.disturbance[t])

        @self.Expression(time, doc="mass flow of the refill")
        def refill_flow(b: Any, t: float) -> Any:
            return b.refilling[t] * b.refill_rate

        @self.Expression(time, components, doc="mass in the hopper by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return b.composition[c] * b.mass[t]

        @self.Expression(time, components, doc="refill by component, from outside the flowsheet")
        def supply(b: Any, t: float, c: str) -> Any:
            return b.composition[c] * b.refill_flow[t]

        @self.Constraint(time, doc="mass balance of the hopper")
        def mass_balance(b: Any, t: float) -> Any:
            return b.mass_rate[t] == b.refill_flow[t] - b.delivered[t]

        @self.Constraint(time, components, doc="what the screw delivers leaves through the outlet")
        def delivery(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.composition[c] * b.delivered[t]

    def _add_control(self, time: Any) -> None:
        @self.Expression(time, doc="set point within what the full screw can deliver")
        def target(b: Any, t: float) -> Any:
            top = b.feed_factor_full * b.speed_limit
            return smooth_minimum(b.setpoint[t], top, KINK_WIDTH * top)

        @self.Expression(time, doc="mass flow that the controller asks for")
        def command(b: Any, t: float) -> Any:
            return b.target[t] + b.gain * (b.target[t] - b.measured_flow[t]) + b.integral[t]

        @self.Expression(time, doc="screw speed for the command within the screw's limits")
        def held_speed(b: Any, t: float) -> Any:
            return smooth_clip(b.command[t] / b.feed_factor_full, 0 * REV_PER_S, b.speed_limit, KINK_WIDTH * b.speed_limit)

        @self.Expression(time, doc="screw speed in volumetric mode")
        def volumetric_speed(b: Any, t: float) -> Any:
            return b.frozen_speed[t] * (1 - b.scheduling + b.scheduling * b.frozen_factor[t] / b.feed_factor[t])

        @self.Constraint(time, doc="the screw follows its command with a lag")
        def screw_lag(b: Any, t: float) -> Any:
            asked = b.gravimetric[t] * b.held_speed[t] + (1 - b.gravimetric[t]) * b.volumetric_speed[t]
            return b.screw_speed_rate[t] == (asked - b.screw_speed[t]) / b.screw_time

        @self.Constraint(time, doc="weight filter, held while the refill valve is open")
        def weight_filter(b: Any, t: float) -> Any:
            loss = b.delivered[t] - b.refill_flow[t]
            return b.measured_flow_rate[t] == (1 - b.refilling[t]) * (loss - b.measured_flow[t]) / b.filter_time

        @self.Constraint(time, doc="integral term with back-calculation, held in volumetric mode")
        def integral_action(b: Any, t: float) -> Any:
            error = b.gain * (b.target[t] - b.measured_flow[t])
            beyond = b.command[t] - b.feed_factor_full * b.held_speed[t]
            return b.integral_rate[t] == b.gravimetric[t] * (error - beyond) / b.integral_time

    def _add_events(self) -> None:
        self.refill_start = Event(
            guard=lambda b, t: b.mass[t] - b.refill_below,
            direction=Direction.FALLING,
            when=lambda b, t: (1 - b.refilling[t]) * b.refill_rate,  # without a flow there are no refills
            transition=lambda b, t: (
                (b.refilling[t], 1),
                (b.gravimetric[t], 0),
                (b.frozen_speed[t], b.screw_speed[t]),
                (b.frozen_factor[t], b.feed_factor[t]),
            ),
            doc="hopper low: refill valve opens, volumetric mode",
        )
        self.refill_stop = Event(
            guard=lambda b, t: b.mass[t] - b.refill_above,
            direction=Direction.RISING,
            when=lambda b, t: b.refilling[t],
            transition=lambda b, t: ((b.refilling[t], 0), (b.settle_end[t], t * u.s + b.settle_time)),
            doc="hopper full: refill valve closes, weight settles",
        )
        self.refill_settled = Event(
            guard=lambda b, t: t * u.s - b.settle_end[t],
            direction=Direction.RISING,
            when=lambda b, t: (1 - b.gravimetric[t]) * (1 - b.refilling[t]),
            transition=lambda b, t: (
                (b.gravimetric[t], 1),
                (b.integral[t], b.integral[t] + b.feed_factor_full * (b.volumetric_speed[t] - b.frozen_speed[t])),
            ),
            doc="weight settled: back to gravimetric control",
        )

    def _add_start(self, t0: float) -> None:
        """Add the equations of the start, so that it follows parameters and inputs whenever they change."""
        self.mass[t0].set_value(pyo.value(self.initial_mass))  # a guess: given the mass, the other equations are linear

        @self.Constraint(["mass", "screw_speed", "measured_flow", "integral"], doc="the start")
        def start(b: Any, state: str) -> Any:
            flow = b.initial_running * b.target[t0]
            value = {
                "mass": b.initial_mass,
                "screw_speed": smooth_minimum(flow / b.feed_factor[t0], b.speed_limit, KINK_WIDTH * b.speed_limit),
                "measured_flow": b.feed_factor[t0] * b.screw_speed[t0],
                "integral": b.feed_factor_full * b.screw_speed[t0] - flow,
            }
            return b.component(state)[t0] == value[state]
