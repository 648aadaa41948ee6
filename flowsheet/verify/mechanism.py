"""Andrews' squeezing mechanism: seven bodies in a plane, joined in three loops, driven by a motor.

Source: test set for IVP solvers (Bari/CWI), release 2.4, ANDREWS (Giles 1978; Hairer, Wanner 1996, section VII.7).
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from flowsheet.verify.dae import timed_model

END = 0.03
START = (
    -0.0617138900142764496358948458001,
    0.0,
    0.455279819163070380255912382449,
    0.222668390165885884674473185609,
    0.487364979543842550225598953530,
    -0.222668390165885884674473185609,
    1.23054744454982119249735015568,
)
"""Angles beta, Theta, gamma, Phi, delta, Omega, epsilon at the start; all speeds are zero."""
_D, _E, _RR, _SS, _U, _ZF, _ZT = 28e-3, 0.02, 7e-3, 35e-3, 0.04, 0.02, 0.04
_A, _B, _C = (-0.06934, -0.00227), (-0.03635, 0.03273), (0.014, 0.072)


def _masses(q: Any) -> dict[tuple[int, int], Any]:
    """Return the lower triangle of the mass matrix."""
    da, ea, ra, fa = 0.0115, 0.01421, 9.2e-4, 0.01421
    m1, m2, m3, m4, m5, m6, m7 = 0.04325, 0.00365, 0.02373, 0.00706, 0.07050, 0.00706, 0.05498
    i1, i2, i3, i4, i5, i6, i7 = 2.194e-6, 4.410e-7, 5.255e-6, 5.667e-7, 1.169e-5, 5.667e-7, 1.912e-5
    arm, sine4, sine6 = _E - ea, pyo.sin(q(4)), pyo.sin(q(6))
    return {
        (1, 1): m1 * ra**2 + m2 * (_RR**2 - 2 * da * _RR * pyo.cos(q(2)) + da**2) + i1 + i2,
        (2, 1): m2 * (da**2 - da * _RR * pyo.cos(q(2))) + i2,
        (2, 2): m2 * da**2 + i2,
        (3, 3): m3 * (0.01874**2 + 0.01043**2) + i3,
        (4, 4): m4 * arm**2 + i4,
        (5, 4): m4 * (arm**2 + _ZT * arm * sine4) + i4,
        (5, 5): m4 * (_ZT**2 + 2 * _ZT * arm * sine4 + arm**2) + m5 * (0.02308**2 + 9.16e-3**2) + i4 + i5,
        (6, 6): m6 * (_ZF - fa) ** 2 + i6,
        (7, 6): m6 * ((_ZF - fa) ** 2 - _U * (_ZF - fa) * sine6) + i6,
        (7, 7): m6 * ((_ZF - fa) ** 2 - 2 * _U * (_ZF - fa) * sine6 + _U**2) + m7 * (0.01228**2 + 4.49e-3**2) + i6 + i7,
    }


def _forces(q: Any, v: Any) -> tuple[Any, ...]:
    """Return the torques of motor, spring and rotation."""
    across, along = 18e-3, 0.02
    x = along * pyo.cos(q(3)) + across * pyo.sin(q(3)) + _B[0] - _C[0]
    y = along * pyo.sin(q(3)) - across * pyo.cos(q(3)) + _B[1] - _C[1]
    length = pyo.sqrt(x**2 + y**2)
    pull = -4530.0 * (length - 0.07785) / length
    turn2, turn4, turn6 = 0.00365 * 0.0115 * _RR, 0.00706 * _ZT * (_E - 0.01421), 0.00706 * _U * (_ZF - 0.01421)
    spring_x = across * pyo.cos(q(3)) - along * pyo.sin(q(3))
    spring_y = along * pyo.cos(q(3)) + across * pyo.sin(q(3))
    return (
        0.033 - turn2 * v(2) * (v(2) + 2 * v(1)) * pyo.sin(q(2)),
        turn2 * v(1) ** 2 * pyo.sin(q(2)),
        pull * (x * spring_x + y * spring_y),
        turn4 * v(5) ** 2 * pyo.cos(q(4)),
        -turn4 * v(4) * (v(4) + 2 * v(5)) * pyo.cos(q(4)),
        -turn6 * v(7) ** 2 * pyo.cos(q(6)),
        turn6 * v(6) * (v(6) + 2 * v(7)) * pyo.cos(q(6)),
    )


def _loops(q: Any) -> tuple[tuple[Any, ...], dict[tuple[int, int], Any]]:
    """Return what has to be zero for the loops to be closed, and the derivatives by the angles."""
    sine, cosine = pyo.sin, pyo.cos
    x, y = _RR * cosine(q(1)) - _D * cosine(q(1) + q(2)), _RR * sine(q(1)) - _D * sine(q(1) + q(2))
    side, top = _E * sine(q(4) + q(5)), _E * cosine(q(4) + q(5))
    low, high = _ZF * cosine(q(6) + q(7)), _ZF * sine(q(6) + q(7))
    closed = (
        x - _SS * sine(q(3)) - _B[0],
        y + _SS * cosine(q(3)) - _B[1],
        x - side - _ZT * cosine(q(5)) - _A[0],
        y + top - _ZT * sine(q(5)) - _A[1],
        x - low - _U * sine(q(7)) - _A[0],
        y - high + _U * cosine(q(7)) - _A[1],
    )
    slopes = {(1, 3): -_SS * cosine(q(3)), (2, 3): -_SS * sine(q(3)), (3, 4): -top, (4, 4): -side, (5, 6): high, (6, 6): -low}
    slopes |= {(3, 5): -top + _ZT * sine(q(5)), (4, 5): -side - _ZT * cosine(q(5))}
    slopes |= {(5, 7): high - _U * cosine(q(7)), (6, 7): -low - _U * sine(q(7))}
    for row in (1, 3, 5):
        slopes |= {(row, 1): -y, (row, 2): _D * sine(q(1) + q(2)), (row + 1, 1): x, (row + 1, 2): -_D * cosine(q(1) + q(2))}
    return closed, slopes


def squeezing_mechanism() -> pyo.ConcreteModel:
    """Return ANDREWS: the loops' closure ``loop`` is a constraint among angles, index three."""
    model = timed_model(END)
    body, loop = pyo.RangeSet(7), pyo.RangeSet(6)
    model.q = pyo.Var(model.t, body, initialize=lambda m, t, k: START[k - 1])
    model.v = pyo.Var(model.t, body, initialize=0.0)
    model.dq, model.dv = DerivativeVar(model.q, wrt=model.t), DerivativeVar(model.v, wrt=model.t)
    model.q[0, :].fix()
    model.v[0, :].fix()
    model.force = pyo.Var(model.t, loop, initialize=0.0)

    def momentum(m: Any, t: Any, k: int) -> Any:
        masses, slopes = _masses(lambda i: m.q[t, i]), _loops(lambda i: m.q[t, i])[1]
        inertia = sum(mass * m.dv[t, j if k == i else i] for (i, j), mass in masses.items() if k in (i, j))
        held = sum(slope * m.force[t, row] for (row, i), slope in slopes.items() if i == k)
        return inertia + held == _forces(lambda i: m.q[t, i], lambda i: m.v[t, i])[k - 1]

    model.motion = pyo.Constraint(model.t, body, rule=lambda m, t, k: m.dq[t, k] == m.v[t, k])
    model.momentum = pyo.Constraint(model.t, body, rule=momentum)
    model.loop = pyo.Constraint(model.t, loop, rule=lambda m, t, k: _loops(lambda i: m.q[t, i])[0][k - 1] == 0)
    return model
