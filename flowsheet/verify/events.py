"""Models with events whose times are known, and smooth models with closed forms."""

from __future__ import annotations

import math
from typing import Any

import pyomo.environ as pyo
from pyomo.environ import Block, ConcreteModel

from flowsheet.verify.dae import add_state, cubic_law, cubic_time, timed_model
from flowsheet.verify.problems import ROBER, ROBER_LONG, build_model
from solvers.declare import Direction, Event, Profile

GRAVITY, RESTITUTION = 9.81, 0.8
FIRST_IMPACT = math.sqrt(2 / GRAVITY)


def falling_ball(end: float) -> ConcreteModel:
    """Return a ball dropped from a height of 1 m on the block ``ball``; each impact leaves 0.8 of its speed."""
    model = timed_model(end)
    model.ball = Block()
    add_state(model.ball, model.t, "velocity", 0.0, lambda b, t: -GRAVITY)
    add_state(model.ball, model.t, "height", 1.0, lambda b, t: b.velocity[t])
    model.ball.impact = Event(
        guard=lambda b, t: b.height[t],
        direction=Direction.FALLING,
        transition=lambda b, t: [(b.height[t], 0.0), (b.velocity[t], -RESTITUTION * b.velocity[t])],
    )
    return model


def impact_time(n: int) -> float:
    """Return the time of impact n (from 1) in s: the flight after impact k lasts 2 e^k t1."""
    return FIRST_IMPACT * (1 + 2 * sum(RESTITUTION**k for k in range(1, n)))


ACCUMULATION = FIRST_IMPACT * (1 + RESTITUTION) / (1 - RESTITUTION)
"""Time before which all impacts happen, in s."""

OUTFLOW, REFILL_FLOW, LOW, HIGH, START = 0.01, 0.2, 1.0, 4.0, 3.0


def add_hopper(block: Any, time: Any, outflow: float = OUTFLOW) -> None:
    """Add a hopper that empties at a constant rate and is refilled between two levels."""
    block.refill = pyo.Var(time, initialize=0.0)
    block.refill.fix()
    add_state(block, time, "mass", START, lambda b, t: REFILL_FLOW * b.refill[t] - outflow)
    block.refill_start = Event(
        guard=lambda b, t: b.mass[t] - LOW, direction=Direction.FALLING, transition=lambda b, t: [(b.refill[t], 1.0)]
    )
    block.refill_stop = Event(guard=lambda b, t: b.mass[t] - HIGH, direction=Direction.RISING, transition=lambda b, t: [(b.refill[t], 0.0)])


def hopper(end: float) -> ConcreteModel:
    """Return a model with one such hopper on the block ``hopper``."""
    model = timed_model(end)
    model.hopper = Block()
    add_hopper(model.hopper, model.t)
    return model


def hopper_events(end: float, outflow: float = OUTFLOW) -> list[tuple[float, str]]:
    """Return the closed form: emptying and filling at constant rates between the two levels."""
    time, events = (START - LOW) / outflow, []
    while time < end:
        events.append((time, "refill_start"))
        time += (HIGH - LOW) / (REFILL_FLOW - outflow)
        if time < end:
            events.append((time, "refill_stop"))
        time += (HIGH - LOW) / outflow
    return events


LEVEL_DECAY, LEVEL_FEED = 0.004, 0.5


def draining_hopper(end: float) -> ConcreteModel:
    """Return a hopper that empties in proportion to its mass, so that its guards are curved."""
    model = timed_model(end)
    model.refill = pyo.Var(model.t, initialize=0.0)
    model.refill.fix()
    add_state(model, model.t, "mass", START, lambda m, t: LEVEL_FEED * m.refill[t] - LEVEL_DECAY * m.mass[t])
    model.low = Event(guard=lambda m, t: m.mass[t] - LOW, direction=Direction.FALLING, transition=lambda m, t: [(m.refill[t], 1.0)])
    model.full = Event(guard=lambda m, t: m.mass[t] - HIGH, direction=Direction.RISING, transition=lambda m, t: [(m.refill[t], 0.0)])
    return model


def draining_events(end: float) -> list[float]:
    """Return its event times in closed form."""
    level = LEVEL_FEED / LEVEL_DECAY
    emptying, filling = math.log(HIGH / LOW) / LEVEL_DECAY, math.log((level - LOW) / (level - HIGH)) / LEVEL_DECAY
    times = [math.log(START / LOW) / LEVEL_DECAY]
    while times[-1] < end:
        times.append(times[-1] + (filling if len(times) % 2 else emptying))
    return times[:-1]


DOSES, ELIMINATION = (0.5, 1.25, 3.0), 0.7


def doses(end: float = 4.0) -> ConcreteModel:
    """Return a first-order elimination with a dose of 2 at each known time."""
    model = timed_model(end)
    add_state(model, model.t, "amount", 1.0, lambda m, t: -ELIMINATION * m.amount[t])
    model.dose = Event(at=DOSES, transition=lambda m, t: [(m.amount[t], m.amount[t] + 2.0)])
    return model


def dosed_amount(time: float) -> float:
    """Return the amount in closed form: a sum of decays."""
    return math.exp(-ELIMINATION * time) + sum(2.0 * math.exp(-ELIMINATION * (time - dose)) for dose in DOSES if time >= dose)


def charged_vessel(end: float = 10.0) -> ConcreteModel:
    """Return ``cubic_law`` charged to x = 2 again whenever z falls to 0.5: a guard on an algebraic variable, a jump of it."""
    model = cubic_law(end)
    model.charge = Event(guard=lambda m, t: m.z[t] - 0.5, direction=Direction.FALLING, transition=lambda m, t: [(m.x[t], 2.0)])
    return model


CHARGES = tuple(cubic_time(0.5) * k for k in range(1, 6))


def rober_first_percent() -> ConcreteModel:
    """Return ROBER with the event ``reached``: y3 = 0.01."""
    model = build_model(ROBER)
    model.reached = Event(guard=lambda m, t: m.y3[t] - 0.01, direction=Direction.RISING)
    return model


def rober_spent() -> ConcreteModel:
    """Return ROBER to 1e11 with the event ``spent``: y1 = 1e-4."""
    model = build_model(ROBER_LONG)
    model.spent = Event(guard=lambda m, t: m.y1[t] - 1e-4, direction=Direction.FALLING)
    return model


# ---- closed forms ----------------------------------------------------------------------------------------------------

DRAG = 0.001
_GROWTH = math.exp(0.2)
TOP_SPEED = math.sqrt((_GROWTH - 1) / (DRAG * (1 / 3 + _GROWTH)))
SWITCH = math.atanh(TOP_SPEED * math.sqrt(DRAG)) / math.sqrt(DRAG)
ARRIVAL = SWITCH + math.atan(TOP_SPEED * math.sqrt(DRAG / 3)) / math.sqrt(3 * DRAG)
"""The minimum-time car of pyomo.dae: top speed, when it brakes and when it has come to rest at 100 (closed forms)."""


def driven_car() -> ConcreteModel:
    """Return ``v' = a - R v^2`` with the acceleration ``a`` as an input."""
    model = timed_model(ARRIVAL)
    model.a = pyo.Var(model.t, bounds=(-3, 1), initialize=1.0)
    model.a.fix()
    add_state(model, model.t, "v", 0.0, lambda m, t: m.a[t] - DRAG * m.v[t] ** 2)
    add_state(model, model.t, "x", 0.0, lambda m, t: m.v[t])
    return model


BANG_BANG = {"a": Profile((0.0, SWITCH), (1.0, -3.0))}


def optimal_feedback() -> ConcreteModel:
    """Return ``min int x^2 + u^2, x' = u`` with its optimal feedback u = -tanh(1 - t) x, whose cost is tanh(1)."""
    model = timed_model(1.0)
    model.u = pyo.Var(model.t)
    add_state(model, model.t, "x", 1.0, lambda m, t: m.u[t])
    add_state(model, model.t, "cost", 0.0, lambda m, t: m.x[t] ** 2 + m.u[t] ** 2)
    model.feedback = pyo.Constraint(
        model.t, rule=lambda m, t: m.u[t] * (pyo.exp(1 - t) + pyo.exp(t - 1)) == -(pyo.exp(1 - t) - pyo.exp(t - 1)) * m.x[t]
    )
    return model
