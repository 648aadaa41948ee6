"""What an engineer gives to a loss-in-weight feeder, and the events with which its hopper is refilled."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units.parameter import FRACTION_TOLERANCE, Parameter
from units.unit import REV_PER_S

KG_PER_REV = u.kg / u.revolution
"""Unit of feed factors."""

FEEDER: tuple[Parameter, ...] = (
    Parameter(
        *("composition", u.dimensionless, "mass fractions of the refill, and in the hopper at the start", None, 0.0, 1.0),
        per_component=True,
        fractions=True,
        named=True,
        input=True,
    ),
    Parameter("setpoint", u.kg / u.s, "set point of the mass flow", lower=0.0, input=True),
    Parameter("disturbance", u.dimensionless, "relative deviation of the delivered flow", 0.0, lower=-1.0, input=True),
    Parameter.positive("feed_factor_full", KG_PER_REV, "feed factor at high mass", 0.020, source="recalled: 1-40 g/rev"),
    Parameter.positive("feed_factor_empty", KG_PER_REV, "feed factor at low mass", 0.016, source="recalled: 10-30 % below full"),
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


def add_modes(block: Any, time: Any) -> None:
    """Add what the events of refilling set: before the first one the feeder is gravimetric."""
    block.refilling = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while the refill valve is open")
    block.gravimetric = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 under weight control, 0 in volumetric mode")
    block.frozen_speed = pyo.Var(time, bounds=(0, None), units=REV_PER_S, doc="screw speed when volumetric mode began")
    block.frozen_factor = pyo.Var(time, bounds=(0, None), units=KG_PER_REV, doc="feed factor when volumetric mode began")
    block.settle_end = pyo.Var(time, units=u.s, doc="time at which gravimetric control comes back")
    block.gravimetric.fix(1)
    for mode in (block.refilling, block.frozen_speed, block.frozen_factor, block.settle_end):
        mode.fix(0)  # until the event that begins volumetric mode


def add_refills(block: Any, held: list[str]) -> None:
    """Add the events of refilling a feeder whose hopper holds some components."""
    block.refill_start = Event(
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
    block.refill_stop = Event(
        guard=lambda b, t: b.mass[t] - b.refill_above,
        direction=Direction.RISING,
        when=lambda b, t: b.refilling[t],
        transition=lambda b, t: ((b.refilling[t], 0), (b.settle_end[t], t * u.s + b.settle_time)),
        doc="hopper full: refill valve closes, weight settles",
    )
    block.refill_settled = Event(
        guard=lambda b, t: t * u.s - b.settle_end[t],
        direction=Direction.RISING,
        when=lambda b, t: (1 - b.gravimetric[t]) * (1 - b.refilling[t]),
        transition=lambda b, t: (
            (b.gravimetric[t], 1),
            b.control.resumption(t, b.control.manual_output[t]),
        ),
        doc="weight settled: back to gravimetric control",
    )
    if len(held) > 1:
        block.refill_off = Event(
            guard=lambda b, t: (sum(b.composition[t, c] for c in held) - 1) ** 2 - FRACTION_TOLERANCE,
            direction=Direction.RISING,
            doc="the shares of the refill do not sum to one",
            refusal="give all of them profiles with the same times",
        )
