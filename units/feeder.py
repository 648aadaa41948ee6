"""Loss-in-weight feeder: hopper, screw, gravimetric control and refill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.feeding import FEEDER, add_modes, add_refills
from units.laws import KINK_WIDTH, smooth_absolute, smooth_minimum, smooth_positive
from units.parameter import Parameter
from units.pid import PID
from units.powders import carried, of_own_sizes
from units.stream import TYPICAL_FLOW, Material, add_powder_port
from units.unit import REV_PER_S, UnitBlock

HEEL_SHARE = 1e-3
"""Share of the heel below which the composition of what a feeder of several components delivers fades."""


@declare_custom_block("LossInWeightFeeder", rule="build")
class LossInWeightFeederData(UnitBlock):
    """Loss-in-weight feeder: a hopper, a screw, and gravimetric control that is blind while the hopper is refilled.

    Equations (symbols of Metta et al. 2019, Processes 7:234)::

        d powder[c]/dt     = composition[c] refill_flow - delivered[c],  mass = sum_c powder[c]
        feed_factor        = ff_full - (ff_full - ff_empty) exp(-decay max(mass, 0))
        delivered          = feed_factor tanh(mass/heel) screw_speed (1 + disturbance),  delivered[c] = delivered powder[c]/mass
        screw_time d screw_speed/dt = control.output/ff_full - screw_speed
        filter_time d measured_flow/dt = (1 - refilling) (delivered - refill_flow - measured_flow)
        target             = min(setpoint, ff_full speed_limit)
        volumetric_speed   = frozen_speed [1 - scheduling + scheduling frozen_factor/feed_factor]
        refill_flow        = refilling refill_rate

    ``control`` is a PI controller (:class:`units.pid.PIDData`) of ``measured_flow`` towards ``target``, with ``target`` as feedforward and
    an output between zero and ff_full speed_limit, in automatic mode while the feeder is gravimetric, else in manual mode with ff_full
    volumetric_speed. At the start, in gravimetric mode::

        mass = initial_mass,  screw_speed = min(initial_running target/feed_factor, speed_limit)
        measured_flow = feed_factor screw_speed,  control.integral = ff_full screw_speed - initial_running target

    Modes, all switched by events: ``refill_start`` (mass falls below ``refill_below``) opens the refill valve and goes volumetric
    with the screw's momentary speed; ``refill_stop`` (mass rises above ``refill_above``) closes it; ``refill_settled`` (at
    ``settle_end``, ``settle_time`` later) returns to gravimetric control, which goes on from where the screw is.

    | symbol | meaning | unit |
    |---|---|---|
    | powder[c], mass | powder in the hopper by component (state), together | kg |
    | composition[c] | mass fractions of the refill (input) and of the hopper at the start, for the components that it names | - |
    | feed_factor, ff_full, ff_empty, decay | mass per revolution of a filled screw; its limits; its decay with mass | kg/rev, 1/kg |
    | delivered, disturbance | mass flow out of the screw; its relative deviation (input) | kg/s, - |
    | screw_speed | of the screw (state) | rev/s |
    | measured_flow | low-pass filtered loss of weight (state) | kg/s |
    | setpoint, target | set point (input); the same within the screw's reach | kg/s |
    | refilling, gravimetric | 1 while the refill valve is open; 1 under weight control, 0 in volumetric mode | - |
    | frozen_speed, frozen_factor | screw speed and feed factor when volumetric mode began (before: zero) | rev/s, kg/rev |

    Assumptions: the hopper is well mixed; with one component it has the composition of the refill at all times. The weight filter is held
    while the valve is open, so that the refill stream, which the weight contains, never reaches the controller; the integral term is held
    in volumetric mode and does not wind up at the limits of the screw. Below the heel the screw runs empty. No weighing noise. The
    controller's limits are rounded over 1e-8 of the top speed, so that at set point zero the screw creeps at 5e-9 of it at most; max(mass,
    0) is rounded over the heel. The start is steady for a set point of ``initial_running`` times the present one, with no disturbance
    before it and a hopper above its heel; if the screw cannot deliver that, at the screw's top speed. Shares of a refill that do not sum to
    one end the run.

    Valid for a set point from zero to what the screw can deliver. Source of the feed factor's form and of all default values:
    recalled from the literature, check before quoting; feed factors depend strongly on material and screw.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the refill levels are not in order.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = FEEDER
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "measured_flow", "mass", "screw_speed", "gravimetric")
    bands: ClassVar[tuple[tuple[str, str, str], ...]] = (("refill", "refill_start", "refill_settled"),)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, states, modes, equations, the controller and events."""
        self.add_parameters(time, list(materials), given)
        if not pyo.value(self.refill_below) < pyo.value(self.refill_above):
            raise self.refusal("refill_above", "has to lie above refill_below")
        held = [c for c in materials if (time.first(), c) in self.composition]
        add_powder_port(self, "outlet", time, materials, doc="delivered powder")
        self._add_states(time, held)
        add_modes(self, time)
        self._add_hopper(time, materials, held)
        self._add_control(time)
        add_refills(self, held)
        self._add_start(time.first(), held)

    def _add_states(self, time: Any, held: list[str]) -> None:
        self.powder = pyo.Var(time, held, initialize=1.0, bounds=(0, None), units=u.kg, doc="powder in the hopper")
        self.powder_rate = DerivativeVar(self.powder, wrt=time, units=u.kg / u.s, doc="rate of the powder in the hopper")
        self.screw_speed = pyo.Var(time, initialize=1.0, bounds=(0, None), units=REV_PER_S, doc="screw speed")
        self.screw_speed_rate = DerivativeVar(self.screw_speed, wrt=time, units=REV_PER_S / u.s, doc="rate of the screw speed")
        self.measured_flow = pyo.Var(time, initialize=0.0, units=u.kg / u.s, doc="filtered loss of weight")
        self.measured_flow_rate = DerivativeVar(self.measured_flow, wrt=time, units=u.kg / u.s**2, doc="rate of the filtered loss")
        for state, size in ((self.powder, 1.0), (self.screw_speed, 1.0), (self.measured_flow, TYPICAL_FLOW)):
            nominal(state, size)

        @self.Expression(time, doc="mass in the hopper")
        def mass(b: Any, t: float) -> Any:
            return sum(b.powder[t, c] for c in held)

    def _add_hopper(self, time: Any, materials: Mapping[str, Material], held: list[str]) -> None:
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

        def share(b: Any, t: float, c: str) -> Any:
            return b.powder[t, c] / smooth_absolute(b.mass[t], HEEL_SHARE * b.heel) if len(held) > 1 else 1

        @self.Expression(time, held, doc="mass in the hopper by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return b.powder[t, c]

        @self.Expression(time, held, doc="refill by component, from outside the flowsheet")
        def supply(b: Any, t: float, c: str) -> Any:
            return b.composition[t, c] * b.refill_flow[t]

        @self.Constraint(time, held, doc="mass balance of the hopper")
        def mass_balance(b: Any, t: float, c: str) -> Any:
            return b.powder_rate[t, c] == b.supply[t, c] - share(b, t, c) * b.delivered[t]

        @self.Constraint(time, carried(materials), doc="what the screw delivers leaves through the outlet")
        def delivery(b: Any, t: float, c: str) -> Any:
            def flow(name: str) -> Any:
                return share(b, t, name) * b.delivered[t] if name in held else 0 * u.kg / u.s

            return b.outlet_flow[t, c] == of_own_sizes(materials, c, flow)

    def _add_control(self, time: Any) -> None:
        @self.Expression(time, doc="set point within what the full screw can deliver")
        def target(b: Any, t: float) -> Any:
            top = b.feed_factor_full * b.speed_limit
            return smooth_minimum(b.setpoint[t], top, KINK_WIDTH * top)

        @self.Expression(time, doc="screw speed in volumetric mode")
        def volumetric_speed(b: Any, t: float) -> Any:
            return b.frozen_speed[t] * (1 - b.scheduling + b.scheduling * b.frozen_factor[t] / b.feed_factor[t])

        self.control = PID(
            time=time,
            materials={},
            measured_unit="kg/s",
            output_unit="kg/s",
            setpoint=lambda b, t: b.parent_block().target[t],
            gain=self.gain,
            integral_time=self.integral_time,
            lower=0.0,
            upper=self.feed_factor_full * self.speed_limit,
            initial_output=self._initial_output(time.first()),
            automatic=lambda b, t: b.parent_block().gravimetric[t],
            manual_output=lambda b, t: b.parent_block().feed_factor_full * b.parent_block().volumetric_speed[t],
            feedforward=lambda b, t: b.parent_block().target[t],
        )

        @self.Constraint(time, doc="the controller sees the filtered loss of weight")
        def weighing(b: Any, t: float) -> Any:
            return b.control.measured[t] == b.measured_flow[t]

        @self.Constraint(time, doc="the screw follows its command with a lag")
        def screw_lag(b: Any, t: float) -> Any:
            return b.screw_time * b.screw_speed_rate[t] == b.control.output[t] / b.feed_factor_full - b.screw_speed[t]

        @self.Constraint(time, doc="weight filter, held while the refill valve is open")
        def weight_filter(b: Any, t: float) -> Any:
            loss = b.delivered[t] - b.refill_flow[t]
            return b.measured_flow_rate[t] == (1 - b.refilling[t]) * (loss - b.measured_flow[t]) / b.filter_time

    def _initial_output(self, t0: float) -> Any:
        """Return the controller's output at the start: that of a steady feeder, then the step of the set point."""
        flow, target = self.initial_running * self.target[t0], self.target[t0]
        return self.feed_factor_full * self.screw_speed[t0] + (target - flow) + self.gain * (target - self.measured_flow[t0])

    def _add_start(self, t0: float, held: list[str]) -> None:
        """Add the equations of the start, so that it follows parameters and inputs whenever they change."""
        for c in held:  # a guess: given the mass, the other equations are linear
            self.powder[t0, c].set_value(pyo.value(self.initial_mass * self.composition[t0, c]))

        @self.Constraint(held, doc="powder at the start")
        def powder_start(b: Any, c: str) -> Any:
            return b.powder[t0, c] == b.initial_mass * b.composition[t0, c]

        @self.Constraint(["screw_speed", "measured_flow"], doc="the start")
        def start(b: Any, state: str) -> Any:
            flow = b.initial_running * b.target[t0]
            value = {
                "screw_speed": smooth_minimum(flow / b.feed_factor[t0], b.speed_limit, KINK_WIDTH * b.speed_limit),
                "measured_flow": b.feed_factor[t0] * b.screw_speed[t0],
            }
            return b.component(state)[t0] == value[state]
