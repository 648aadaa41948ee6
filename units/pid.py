"""PID controller: one block for every loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.laws import KINK_WIDTH, smooth_clip
from units.parameter import Parameter
from units.signal import KINDS
from units.stream import Material
from units.unit import UnitBlock, follows

_RATIO = "output_unit/measured_unit"
LARGEST_BAND = 1e9
"""A proportional band (SI) beyond which a gain is as good as none."""


PID: Any
"""The block, which its data class below makes."""


@declare_custom_block("PID", rule="build")
class PIDData(UnitBlock):
    """PID controller in the standard form, with filtered derivative, limits, anti-windup, and bumpless manual and automatic modes.

    Equations (Astrom and Hagglund 1995, PID Controllers: form of section 3.2, back-calculation of section 3.5)::

        proportional        = gain (setpoint_weight setpoint - measured)
        filter_time d filtered/dt = measured - filtered
        derivative          = -gain derivative_time (measured - filtered)/filter_time
        wanted              = feedforward + proportional + integral + derivative
        output              = clip(engaged wanted + (1 - engaged) manual_output, lower, upper)
        integral_time d integral/dt = engaged [gain (setpoint - measured) + output - wanted]

    and at the start, so that the loop begins without a bump::

        filtered = measured,  integral = automatic initial_output + (1 - automatic) manual_output - proportional - feedforward

    The derivative is that of the filtered measurement, ``derivative_time s/(1 + filter_time s)``, and does not see set point steps.

    Modes: ``to_automatic`` (``automatic`` rises above 1/2) gives the integral the value with which the controller goes on from where
    the manual output is; ``to_manual`` gives ``manual_output`` the value that the controller has reached, until its own
    profile says otherwise. Both are bumpless.

    | symbol | meaning | unit |
    |---|---|---|
    | measured | signal that is to follow the set point (from another unit) | measured_unit |
    | setpoint | what it should be (input) | measured_unit |
    | output | signal to what the loop moves | output_unit |
    | automatic, engaged | 1 for automatic, 0 for manual mode: asked for (input), and in force | - |
    | manual_output | output in manual mode (input) | output_unit |
    | feedforward | what the output would be without feedback (input) | output_unit |
    | gain | negative where the measurement falls when the output rises | output_unit/measured_unit |
    | integral, filtered | integral term, filtered measurement (states) | output_unit, measured_unit |

    Inside another unit, which gives ``automatic`` as a rule, the controller has no events: that unit changes modes.

    Assumptions: continuous in time; the clip's kinks are rounded over 1e-8 of the output's range; back-calculation with the integral
    time. A gain of zero leaves the output where it began. For proportional action alone give an integral time much longer than the run.

    Valid for any signal whose kind is in ``units.signal.KINDS``. The defaults switch derivative action off.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the limits are not in order.
    """

    handles: ClassVar[type] = object  # no components
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("measured_unit", u.dimensionless, "SI unit of what is measured", "", names_unit=True),
        Parameter("output_unit", u.dimensionless, "SI unit of the output", "", names_unit=True),
        Parameter("setpoint", "measured_unit", "set point", input=True),
        Parameter("gain", _RATIO, "proportional gain"),
        Parameter.positive("integral_time", u.s, "integral time"),
        Parameter("derivative_time", u.s, "derivative time", 0.0, 0.0),
        Parameter.positive("filter_time", u.s, "time constant of the derivative's filter", 1.0),
        Parameter("setpoint_weight", u.dimensionless, "share of the set point in proportional action", 1.0, 0.0, 1.0),
        Parameter("lower", "output_unit", "lower limit of the output"),
        Parameter("upper", "output_unit", "upper limit of the output"),
        Parameter("initial_output", "output_unit", "output at the start in automatic mode"),
        Parameter("automatic", u.dimensionless, "1 automatic, 0 manual", 1.0, 0.0, 1.0, input=True),
        Parameter("manual_output", "output_unit", "output in manual mode", 0.0, input=True),
        Parameter("feedforward", "output_unit", "what the output would be without feedback", 0.0, input=True),
    )
    shown: ClassVar[tuple[str, ...]] = ("measured", "setpoint", "output", "engaged")
    bands: ClassVar[tuple[tuple[str, str, str], ...]] = (("manual", "to_manual", "to_automatic"),)
    required_signals: ClassVar[tuple[str, ...]] = ("measured",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, signals, states, equations and the events of changing modes."""
        kinds = self.add_parameters(time, list(materials), given)
        if not pyo.value(self.lower) < pyo.value(self.upper):
            raise self.refusal("upper", "has to lie above lower")
        if not follows(given["initial_output"]) and not pyo.value(self.lower) <= pyo.value(self.initial_output) <= pyo.value(self.upper):
            raise self.refusal("initial_output", "has to lie within lower and upper")
        self.led = follows(given.get("automatic"))
        self._add_states(time, KINDS[kinds["measured_unit"]], KINDS[kinds["output_unit"]])
        self._add_law(time)
        if not self.led:
            self._add_modes()
        self._add_start(time.first())

    def _add_states(self, time: Any, measured_unit: Any, output_unit: Any) -> None:
        setpoint = pyo.value(self.setpoint[time.first()])
        self.measured = pyo.Var(time, initialize=setpoint, units=measured_unit, doc="measured signal")
        self.filtered = pyo.Var(time, initialize=setpoint, units=measured_unit, doc="filtered measurement")
        self.integral = pyo.Var(time, initialize=0.0, units=output_unit, doc="integral term")
        self.filtered_rate = DerivativeVar(self.filtered, wrt=time, units=measured_unit / u.s, doc="rate of the filtered measurement")
        self.integral_rate = DerivativeVar(self.integral, wrt=time, units=output_unit / u.s, doc="rate of the integral term")
        if self.led:
            self.engaged = pyo.Expression(time, rule=lambda b, t: b.automatic[t], doc="1 in automatic, 0 in manual mode")
        else:
            self.engaged = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 in automatic, 0 in manual mode")
            self.engaged.fix(1)
        # the proportional band is the size of deviations that count
        gain = abs(pyo.value(self.gain))
        band = (pyo.value(self.upper) - pyo.value(self.lower)) / gain if gain else 1.0
        nominal(self.filtered, max(abs(setpoint), min(band, LARGEST_BAND)))
        nominal(self.integral, max(abs(pyo.value(self.lower)), abs(pyo.value(self.upper))))

    def _add_law(self, time: Any) -> None:
        @self.Expression(time, doc="proportional term")
        def proportional(b: Any, t: float) -> Any:
            return b.gain * (b.setpoint_weight * b.setpoint[t] - b.measured[t])

        @self.Expression(time, doc="derivative term")
        def derivative(b: Any, t: float) -> Any:
            return -b.gain * b.derivative_time * (b.measured[t] - b.filtered[t]) / b.filter_time

        @self.Expression(time, doc="output without limits in automatic mode")
        def wanted(b: Any, t: float) -> Any:
            return b.feedforward[t] + b.proportional[t] + b.integral[t] + b.derivative[t]

        @self.Expression(time, doc="output within its limits")
        def output(b: Any, t: float) -> Any:
            return b.within_limits(b.engaged[t] * b.wanted[t] + (1 - b.engaged[t]) * b.manual_output[t])

        @self.Constraint(time, doc="filter of the measurement")
        def derivative_filter(b: Any, t: float) -> Any:
            return b.filter_time * b.filtered_rate[t] == b.measured[t] - b.filtered[t]

        @self.Constraint(time, doc="integral action with back-calculation, held in manual mode")
        def integral_action(b: Any, t: float) -> Any:
            asked = b.gain * (b.setpoint[t] - b.measured[t]) + b.output[t] - b.wanted[t]
            return b.integral_time * b.integral_rate[t] == b.engaged[t] * asked

    def within_limits(self, output: Any) -> Any:
        """Return an output held within its limits."""
        return smooth_clip(output, self.lower, self.upper, KINK_WIDTH * (self.upper - self.lower))

    def resumption(self, t: float, output: Any) -> tuple[Any, Any]:
        """Return what an event gives the integral so that automatic mode goes on from an output."""
        return self.integral[t], self.integral[t] + self.within_limits(output) - self.wanted[t]

    def _add_modes(self) -> None:
        self.to_automatic = Event(
            guard=lambda b, t: b.automatic[t] - 0.5,
            direction=Direction.RISING,
            when=lambda b, t: 1 - b.engaged[t],
            transition=lambda b, t: (
                (b.engaged[t], 1),
                b.resumption(t, b.manual_output[t]),
            ),
            doc="automatic mode from where the manual output is",
        )
        self.to_manual = Event(
            guard=lambda b, t: b.automatic[t] - 0.5,
            direction=Direction.FALLING,
            when=lambda b, t: b.engaged[t],
            transition=lambda b, t: ((b.engaged[t], 0), (b.manual_output[t], b.within_limits(b.wanted[t]))),
            doc="manual mode from where the controller is",
        )

    def _add_start(self, t0: float) -> None:
        @self.Constraint(["filtered", "integral"], doc="the start")
        def start(b: Any, state: str) -> Any:
            output = b.automatic[t0] * b.initial_output + (1 - b.automatic[t0]) * b.manual_output[t0]
            value = {"filtered": b.measured[t0], "integral": output - b.proportional[t0] - b.feedforward[t0]}
            return b.component(state)[t0] == value[state]
