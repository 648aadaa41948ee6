"""Derivatives of trajectories by parameters and start values, with closed forms, through events and a bolus."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.environ import ConcreteModel

from flowsheet.verify.dae import add_state, timed_model
from flowsheet.verify.events import GRAVITY, falling_ball
from flowsheet.verify.rung import Outcome, Run
from flowsheet.verify.runs import ATOL_SHARE
from solvers import Method, lower, sensitivities
from solvers.declare import Direction, Event

RATE, DOSE, DOSED_AT, THRESHOLD, SLOW = 0.7, 3.0, 1.0, 0.5, 0.1


def derived(build: Callable[[], Any], parameters: Sequence[str], outputs: Sequence[str], end: float, method: Method) -> Run:
    """Lower a model; return what gives the derivatives of outputs at the end, one output after the other."""
    system = lower(build())

    def run(rtol: float) -> Outcome:
        found = sensitivities(system, list(parameters), list(outputs), [0.0, end], rtol=rtol, atol=ATOL_SHARE * rtol, method=method)
        return Outcome(tuple(float(found[output, parameter][-1]) for output in outputs for parameter in parameters), found.stats)

    return run


def dosed_decay() -> ConcreteModel:
    """Return x' = -k x from 2 with a bolus b at t = 1."""
    model = timed_model(4.0)
    model.k, model.bolus = pyo.Param(initialize=RATE, mutable=True), pyo.Param(initialize=DOSE, mutable=True)
    add_state(model, model.t, "x", 2.0, lambda m, t: -m.k * m.x[t])
    model.dose = Event(at=(DOSED_AT,), transition=lambda m, t: [(m.x[t], m.x[t] + m.bolus)])
    return model


def dosed_decay_derivatives(t: float) -> dict[str, float]:
    """Return the derivatives of x(t) after the dose by k, by b and by the start: x = 2 exp(-k t) + b exp(-k (t - 1))."""
    first, second = math.exp(-RATE * t), math.exp(-RATE * (t - DOSED_AT))
    return {"dx/dk": -2 * t * first - DOSE * (t - DOSED_AT) * second, "dx/db": second, "dx/dx0": first}


def switched_decay() -> ConcreteModel:
    """Return x' = -k x from 2 that goes on with a fixed rate of 0.1 once x has fallen to a threshold."""
    model = timed_model(4.0)
    model.k, model.threshold = pyo.Param(initialize=RATE, mutable=True), pyo.Param(initialize=THRESHOLD, mutable=True)
    model.fast = pyo.Var(model.t, initialize=1.0)
    model.fast.fix(1.0)
    add_state(model, model.t, "x", 2.0, lambda m, t: -(m.fast[t] * m.k + (1 - m.fast[t]) * SLOW) * m.x[t])
    model.switch = Event(guard=lambda m, t: m.x[t] - m.threshold, direction=Direction.FALLING, transition=lambda m, t: [(m.fast[t], 0.0)])
    return model


def switched_decay_derivatives(t: float) -> dict[str, float]:
    """Return derivatives after the switch at s = ln(x0 / h) / k: x = h exp(-0.1 (t - s))."""
    switch = math.log(2.0 / THRESHOLD) / RATE
    x = THRESHOLD * math.exp(-SLOW * (t - switch))
    return {"dx/dk": -SLOW * x * switch / RATE, "dx/dh": x / THRESHOLD - SLOW * x / (RATE * THRESHOLD), "dx/dx0": SLOW * x / (RATE * 2.0)}


def ball_derivatives(t: float) -> dict[str, float]:
    """Return derivatives of the ball's height between its first and second impact by its start height h and velocity w.

    With v the speed at the impact at s: height = e v (t - s) - g/2 (t - s)^2; at h = 1, w = 0: v = sqrt(2 g h), s = v / g.
    """
    restitution, v = 0.8, math.sqrt(2 * GRAVITY)
    s, dv_dh, ds_dh = v / GRAVITY, GRAVITY / v, 1 / v
    flight = t - s
    by_s = -restitution * v + GRAVITY * flight
    # a thrown ball meets the floor at speed sqrt(w^2 + 2 g h) after (w + speed) / g
    return {"dh/dh0": restitution * dv_dh * flight + by_s * ds_dh, "dh/dv0": by_s / GRAVITY}


def ball() -> ConcreteModel:
    """Return the falling ball."""
    return falling_ball(1.0)
