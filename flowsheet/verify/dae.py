"""Systems with algebraic variables: index one to be integrated, higher index to be refused.

Sources: test set for IVP solvers (Bari/CWI), release 2.4: CHEMAKZO, CAR AXIS, FEKETE, BEAM; pyomo.dae's examples.
"""

from __future__ import annotations

import math
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import ContinuousSet, DerivativeVar

from flowsheet.verify.problems import HIRES, build_model
from solvers.declare import nominal


def timed_model(end: float) -> pyo.ConcreteModel:
    """Return an empty model with its time ``t`` from 0 to ``end``."""
    model = pyo.ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    return model


def add_state(block: Any, time: Any, name: str, start: float, slope: Any, scale: float | None = None) -> None:
    """Add a state ``name`` with ``name' = slope(block, t)``; ``slope`` None leaves its equation to the caller."""
    state = pyo.Var(time, initialize=start)
    block.add_component(name, state)
    block.add_component(f"{name}_dot", DerivativeVar(state, wrt=time))
    state[time.first()].fix(start)
    if scale is not None:
        nominal(state, scale)
    if slope is not None:
        derivative = block.component(f"{name}_dot")
        block.add_component(f"{name}_balance", pyo.Constraint(time, rule=lambda b, t: derivative[t] == slope(b, t)))


def chemical_akzo() -> pyo.ConcreteModel:
    """Return CHEMAKZO: carbon dioxide and oxygen with FLB to ZHU, an equilibrium as algebraic equation."""
    model = timed_model(180.0)
    model.y6 = pyo.Var(model.t, initialize=115.83 * 0.444 * 0.007)
    model.r = pyo.Var(model.t, [1, 2, 3, 4, 5], initialize=0.0)
    starts = (0.444, 0.00123, 0.0, 0.007, 0.0)
    balances = (
        lambda m, t: -2 * m.r[t, 1] + m.r[t, 2] - m.r[t, 3] - m.r[t, 4],
        lambda m, t: -0.5 * m.r[t, 1] - m.r[t, 4] - 0.5 * m.r[t, 5] + 3.3 * (0.9 / 737 - m.y2[t]),
        lambda m, t: m.r[t, 1] - m.r[t, 2] + m.r[t, 3],
        lambda m, t: -m.r[t, 2] + m.r[t, 3] - 2 * m.r[t, 4],
        lambda m, t: m.r[t, 2] - m.r[t, 3] + m.r[t, 5],
    )
    scales = (0.1150794920661702, 0.1203831471567715e-2, 0.1611562887407974, 0.3656156421249283e-3, 0.1708010885264404e-1)
    for k in range(5):
        add_state(model, model.t, f"y{k + 1}", starts[k], balances[k], scales[k])
    rates = (
        lambda m, t: 18.7 * m.y1[t] ** 4 * pyo.sqrt(m.y2[t]),
        lambda m, t: 0.58 * m.y3[t] * m.y4[t],
        lambda m, t: 0.58 / 34.4 * m.y1[t] * m.y5[t],
        lambda m, t: 0.09 * m.y1[t] * m.y4[t] ** 2,
        lambda m, t: 0.42 * m.y6[t] ** 2 * pyo.sqrt(m.y2[t]),
    )
    model.kinetics = pyo.Constraint(model.t, [1, 2, 3, 4, 5], rule=lambda m, t, k: m.r[t, k] == rates[k - 1](m, t))
    model.equilibrium = pyo.Constraint(model.t, rule=lambda m, t: 115.83 * m.y1[t] * m.y4[t] - m.y6[t] == 0)
    return model


def cubic_law(end: float = 4.0, start: float = 2.0) -> pyo.ConcreteModel:
    """Return ``x' = inflow - z, x = z + z^3``: without inflow, t = ln(z0/z) + 3/2 (z0^2 - z^2) (closed form)."""
    model = timed_model(end)
    model.z = pyo.Var(model.t, initialize=1.0)
    model.inflow = pyo.Var(model.t, initialize=0.0)
    model.inflow.fix(0.0)
    add_state(model, model.t, "x", start, lambda m, t: m.inflow[t] - m.z[t])
    model.law = pyo.Constraint(model.t, rule=lambda m, t: m.z[t] + m.z[t] ** 3 == m.x[t])
    return model


def cubic_time(z: float, z0: float = 1.0) -> float:
    """Return the time at which ``cubic_law`` has come from z0 to z."""
    return math.log(z0 / z) + 1.5 * (z0**2 - z**2)


def hires_with_balance() -> pyo.ConcreteModel:
    """Return HIRES with y8 from a nonlinear form of the constant sum y7 + y8 instead of its own differential equation."""
    model = build_model(HIRES)
    model.del_component(model.eq8)
    model.y8[0].unfix()
    model.closed = pyo.Constraint(model.t, rule=lambda m, t: (m.y7[t] + m.y8[t]) ** 3 == 0.0057**3)
    model.y8[0].set_value(0.0057)
    return model


def batch_reactor(*, indexed: bool = False) -> pyo.ConcreteModel:
    """Return A <-> B <-> C with the mass balance as an algebraic equation (Biegler 2010, chapter 9; pyomo.dae's example).

    With ``indexed`` the first rate constant ``p1`` is a Param over time.
    """
    model = timed_model(1.0)
    model.p1 = pyo.Param(model.t, initialize=4.0) if indexed else pyo.Param(initialize=4.0)

    def forward(m: Any, t: Any) -> Any:
        return m.p1[t] if indexed else m.p1

    model.zc = pyo.Var(model.t)
    add_state(model, model.t, "za", 1.0, None)
    add_state(model, model.t, "zb", 0.0, None)
    model.a = pyo.Constraint(model.t, rule=lambda m, t: m.za_dot[t] == -forward(m, t) * m.za[t] + 2 * m.zb[t])
    model.bee = pyo.Constraint(model.t, rule=lambda m, t: m.zb_dot[t] == forward(m, t) * m.za[t] - 42 * m.zb[t] + 20 * m.zc[t])
    model.total = pyo.Constraint(model.t, rule=lambda m, t: m.za[t] + m.zb[t] + m.zc[t] == 1)
    return model


def damped_pendulum(end: float = 10.0, *, indexed: bool = False) -> pyo.ConcreteModel:
    """Return pyomo.dae's damped pendulum in its angle; with ``indexed``, damping and stiffness are Params over time."""
    model = timed_model(end)
    over = (model.t,) if indexed else ()
    model.b = pyo.Param(*over, initialize=0.25)
    model.c = pyo.Param(*over, initialize=5.0)

    def spin(m: Any, t: Any) -> Any:
        b, c = (m.b[t], m.c[t]) if indexed else (m.b, m.c)
        return -b * m.omega[t] - c * pyo.sin(m.theta[t])

    add_state(model, model.t, "theta", 3.14 - 0.1, None)
    add_state(model, model.t, "omega", 0.0, None)
    model.turn = pyo.Constraint(model.t, rule=lambda m, t: m.theta_dot[t] == m.omega[t])
    model.spin = pyo.Constraint(model.t, rule=lambda m, t: m.omega_dot[t] == spin(m, t))
    return model


def rod_pendulum() -> pyo.ConcreteModel:
    """Return the pendulum in Cartesian coordinates, its rod's length as constraint ``rod``: index three."""
    model = timed_model(1.0)
    model.tension = pyo.Var(model.t, initialize=0.0)
    for name, start in (("x", 1.0), ("y", 0.0), ("vx", 0.0), ("vy", 0.0)):
        add_state(model, model.t, name, start, None)
    model.kinematics_x = pyo.Constraint(model.t, rule=lambda m, t: m.x_dot[t] == m.vx[t])
    model.kinematics_y = pyo.Constraint(model.t, rule=lambda m, t: m.y_dot[t] == m.vy[t])
    model.force_x = pyo.Constraint(model.t, rule=lambda m, t: m.vx_dot[t] == -m.tension[t] * m.x[t])
    model.force_y = pyo.Constraint(model.t, rule=lambda m, t: m.vy_dot[t] == -m.tension[t] * m.y[t] - 9.81)
    model.rod = pyo.Constraint(model.t, rule=lambda m, t: m.x[t] ** 2 + m.y[t] ** 2 == 1)
    return model


def car_axis() -> pyo.ConcreteModel:
    """Return CAR AXIS: an axle on a bumpy road, two length constraints ``axle`` and ``distance``: index three."""
    length, rest, epsilon, mass, height, frequency = 1.0, 0.5, 1e-2, 10.0, 0.1, 10.0
    inertia = epsilon**2 * mass / 2
    model = timed_model(3.0)
    for name, start in (("xl", 0.0), ("yl", 0.5), ("xr", 1.0), ("yr", 0.5)):
        add_state(model, model.t, name, start, None)
    for name, start in (("ul", -0.5), ("vl", 0.0), ("ur", -0.5), ("vr", 0.0)):
        add_state(model, model.t, name, start, None)
    model.lam1, model.lam2 = pyo.Var(model.t, initialize=0.0), pyo.Var(model.t, initialize=0.0)
    model.yb = pyo.Expression(model.t, rule=lambda m, t: height * pyo.sin(frequency * t))
    model.xb = pyo.Expression(model.t, rule=lambda m, t: pyo.sqrt(length**2 - m.yb[t] ** 2))
    model.left = pyo.Expression(model.t, rule=lambda m, t: pyo.sqrt(m.xl[t] ** 2 + m.yl[t] ** 2))
    model.right = pyo.Expression(model.t, rule=lambda m, t: pyo.sqrt((m.xr[t] - m.xb[t]) ** 2 + (m.yr[t] - m.yb[t]) ** 2))
    for place, speed in (("xl", "ul"), ("yl", "vl"), ("xr", "ur"), ("yr", "vr")):
        derivative, rate = model.component(f"{place}_dot"), model.component(speed)
        model.add_component(f"{place}_motion", pyo.Constraint(model.t, rule=lambda m, t, d=derivative, r=rate: d[t] == r[t]))

    def left(m: Any, t: Any, here: Any, base: Any, across: Any) -> Any:
        return (rest - m.left[t]) * here / m.left[t] + m.lam1[t] * base + 2 * m.lam2[t] * across

    def right(m: Any, t: Any, from_base: Any, across: Any) -> Any:
        return (rest - m.right[t]) * from_base / m.right[t] - 2 * m.lam2[t] * across

    forces = {
        "ul": lambda m, t: left(m, t, m.xl[t], m.xb[t], m.xl[t] - m.xr[t]),
        "vl": lambda m, t: left(m, t, m.yl[t], m.yb[t], m.yl[t] - m.yr[t]) - inertia,
        "ur": lambda m, t: right(m, t, m.xr[t] - m.xb[t], m.xl[t] - m.xr[t]),
        "vr": lambda m, t: right(m, t, m.yr[t] - m.yb[t], m.yl[t] - m.yr[t]) - inertia,
    }
    for speed, force in forces.items():
        derivative = model.component(f"{speed}_dot")
        rule = lambda m, t, d=derivative, f=force: inertia * d[t] == f(m, t)  # noqa: E731
        model.add_component(f"{speed}_momentum", pyo.Constraint(model.t, rule=rule))
    model.axle = pyo.Constraint(model.t, rule=lambda m, t: m.xl[t] * m.xb[t] + m.yl[t] * m.yb[t] == 0)
    model.distance = pyo.Constraint(model.t, rule=lambda m, t: (m.xl[t] - m.xr[t]) ** 2 + (m.yl[t] - m.yr[t]) ** 2 == length**2)
    return model


def fekete(points: int = 20) -> pyo.ConcreteModel:
    """Return FEKETE: points that repel each other on a sphere, stabilized: index two by ``sphere`` and ``tangent``."""
    model = timed_model(1000.0)
    model.i, model.k = pyo.RangeSet(points), pyo.RangeSet(3)
    starts = {(i, k): value for i in model.i for k, value in enumerate(_fekete_start(i), start=1)}
    model.p = pyo.Var(model.t, model.i, model.k, initialize=lambda m, t, i, k: starts[i, k])
    model.q = pyo.Var(model.t, model.i, model.k, initialize=0.0)
    model.dp, model.dq = DerivativeVar(model.p, wrt=model.t), DerivativeVar(model.q, wrt=model.t)
    model.lam, model.mu = pyo.Var(model.t, model.i, initialize=0.0), pyo.Var(model.t, model.i, initialize=0.0)
    model.p[0, :, :].fix()
    model.q[0, :, :].fix()

    def push(m: Any, t: Any, i: int, k: int) -> Any:
        others = (j for j in m.i if j != i)
        return sum((m.p[t, i, k] - m.p[t, j, k]) / sum((m.p[t, i, n] - m.p[t, j, n]) ** 2 for n in m.k) for j in others)

    model.motion = pyo.Constraint(
        model.t, model.i, model.k, rule=lambda m, t, i, k: m.dp[t, i, k] == m.q[t, i, k] + 2 * m.mu[t, i] * m.p[t, i, k]
    )
    model.momentum = pyo.Constraint(
        model.t,
        model.i,
        model.k,
        rule=lambda m, t, i, k: m.dq[t, i, k] == -0.5 * m.q[t, i, k] + 2 * m.lam[t, i] * m.p[t, i, k] + push(m, t, i, k),
    )
    model.sphere = pyo.Constraint(model.t, model.i, rule=lambda m, t, i: sum(m.p[t, i, k] ** 2 for k in m.k) == 1)
    model.tangent = pyo.Constraint(model.t, model.i, rule=lambda m, t, i: sum(2 * m.p[t, i, k] * m.q[t, i, k] for k in m.k) == 0)
    return model


def _fekete_start(i: int) -> tuple[float, float, float]:
    """Return where point i starts: four circles of latitude with 3, 7, 6 and 4 points."""
    rings = ((3, 0, 3, 13, 3 / 8), (10, 3, 7, 29, 1 / 8), (16, 10, 6, 7, -2 / 15), (20, 17, 4, 17, -3 / 10))
    _, first, count, shift, height = next(ring for ring in rings if i <= ring[0])
    longitude, latitude = 2 * math.pi * (i - first) / count + math.pi / shift, math.pi * height
    return math.cos(longitude) * math.cos(latitude), math.sin(longitude) * math.cos(latitude), math.sin(latitude)
