"""Electric circuits of the test set: capacitances couple the derivatives of the node voltages.

Each can be written as it stands (``C(y) y' = f(t, y)``, an implicit system) or by the charges of its capacitors
(``q' = f(t, y), q = q(y)``, semi-explicit of index one).  Source: test set for IVP solvers (Bari/CWI), release 2.4,
TRANSISTOR AMPLIFIER (Rentrop 1989) and NAND GATE (Guenther, Rentrop 1993; MOSFETs of Shichman and Hodges).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar

from flowsheet.verify.dae import timed_model
from solvers.declare import Interpolation, Profile, nominal

Voltages = Callable[[int], Any]

# ---- transistor amplifier --------------------------------------------------------------------------------------------

SUPPLY = 6.0
TRANSISTOR_START = (0.0, 3.0, 3.0, 6.0, 3.0, 3.0, 6.0, 0.0)
_PAIRS = ((1, 2, 1e-6), (4, 5, 3e-6), (7, 8, 5e-6))
"""Nodes joined by a capacitor, and its capacitance in F."""
_GROUNDED = ((3, 2e-6), (6, 4e-6))


def _amplifier_currents(t: Any, y: Voltages) -> tuple[Any, ...]:
    """Return what flows out of the nodes 1 to 8 through everything but capacitors, in A."""

    def diode(drop: Any) -> Any:
        return 1e-6 * (pyo.exp(drop / 0.026) - 1)

    first, second = diode(y(2) - y(3)), diode(y(5) - y(6))
    resistance, gain = 9000.0, 0.99
    return (
        (y(1) - 0.1 * pyo.sin(200 * math.pi * t)) / 1000.0,
        (2 * y(2) - SUPPLY) / resistance + (1 - gain) * first,
        y(3) / resistance - first,
        (y(4) - SUPPLY) / resistance + gain * first,
        (2 * y(5) - SUPPLY) / resistance + (1 - gain) * second,
        y(6) / resistance - second,
        (y(7) - SUPPLY) / resistance + gain * second,
        y(8) / resistance,
    )


def transistor_amplifier() -> pyo.ConcreteModel:
    """Return the amplifier as it stands: 8 derivatives, of which 5 combinations are determined (rank of C is 5).

    Five starts are fixed; the test set gives all eight, which agree with the equations.
    """
    model = timed_model(0.2)
    model.y = pyo.Var(model.t, pyo.RangeSet(8), initialize=lambda m, t, k: TRANSISTOR_START[k - 1])
    model.dy = DerivativeVar(model.y, wrt=model.t)
    for k in (2, 3, 5, 6, 8):
        model.y[0, k].fix()

    def stored(m: Any, t: Any, k: int) -> Any:
        for one, other, capacitance in _PAIRS:
            if k in (one, other):
                return capacitance * (m.dy[t, k] - m.dy[t, other if k == one else one])
        return dict(_GROUNDED)[k] * m.dy[t, k]

    model.node = pyo.Constraint(
        model.t, pyo.RangeSet(8), rule=lambda m, t, k: stored(m, t, k) == -_amplifier_currents(t, lambda i: m.y[t, i])[k - 1]
    )
    return model


def transistor_by_drops() -> pyo.ConcreteModel:
    """Return the amplifier with the voltages over its 5 capacitors as states and 8 algebraic node voltages."""
    model = timed_model(0.2)
    model.y = pyo.Var(model.t, pyo.RangeSet(8), initialize=lambda m, t, k: TRANSISTOR_START[k - 1])
    model.d = pyo.Var(model.t, pyo.RangeSet(5), initialize=0.0)
    model.dd = DerivativeVar(model.d, wrt=model.t)

    def currents(m: Any, t: Any) -> tuple[Any, ...]:
        return _amplifier_currents(t, lambda i: m.y[t, i])

    def equations(m: Any, t: Any, k: int) -> Any:
        if k <= 3:
            one, _, capacitance = _PAIRS[k - 1]
            return capacitance * m.dd[t, k] == -currents(m, t)[one - 1]
        node, capacitance = _GROUNDED[k - 4]
        return capacitance * m.dd[t, k] == -currents(m, t)[node - 1]

    def drop(m: Any, t: Any, k: int) -> Any:
        if k <= 3:
            one, other, _ = _PAIRS[k - 1]
            return m.d[t, k] == m.y[t, one] - m.y[t, other]
        return m.d[t, k] == m.y[t, _GROUNDED[k - 4][0]]

    model.charging = pyo.Constraint(model.t, pyo.RangeSet(5), rule=equations)
    model.drop = pyo.Constraint(model.t, pyo.RangeSet(5), rule=drop)
    model.kirchhoff = pyo.Constraint(
        model.t, pyo.RangeSet(3), rule=lambda m, t, k: sum(currents(m, t)[node - 1] for node in _PAIRS[k - 1][:2]) == 0
    )
    start = TRANSISTOR_START
    drops = [start[one - 1] - start[other - 1] for one, other, _ in _PAIRS] + [start[node - 1] for node, _ in _GROUNDED]
    for k, value in enumerate(drops, start=1):
        model.d[0, k].fix(value)
    return model


# ---- NAND gate -------------------------------------------------------------------------------------------------------

_SUPPLY, _BULK = 5.0, -2.5
_R_GATE, _R_BULK = 4.0, 10.0
_C_GATE, _C_JUNCTION, _C_NODE = 0.6e-4, 2.4e-5, 0.5e-4
_PHI_JUNCTION = 0.87
NAND_START = (5.0, 5.0, _BULK, _BULK, 5.0, 3.62385, 5.0, _BULK, _BULK, 3.62385, 0.0, 3.62385, _BULK, _BULK)
_DEPLETION = (-2.43, 0.2, 1.28, 5.35e-4, 5.35e-4)
_ENHANCEMENT = (0.2, 0.035, 1.01, 1.748e-3, 1.748e-4)
"""Threshold voltage, body effect, surface potential, and transconductance forward and backward (as the test set's code has them)."""
_GATES = ((1, 5), (2, 5))
"""Pairs of nodes joined by a gate capacitance; nodes 6, 7, 11 and 12 have theirs to an input."""
_JUNCTIONS = ((3, 5), (4, 0), (9, 5), (8, 10), (13, -1), (14, 10))
"""Pairs of nodes (0: the supply, -1: ground) joined by the capacitance of a junction."""
NAND_END = 80.0


def nand_inputs() -> dict[str, Profile]:
    """Return the two trapezoidal input voltages and their slopes."""
    times = [5.0 * k for k in range(17)]
    first = [(0.0, 0.0, 5.0, 5.0)[k % 4] for k in range(17)]
    second = [(0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0)[k % 8] for k in range(17)]
    profiles = {}
    for name, levels in (("v1", first), ("v2", second)):
        profiles[name] = Profile(times, levels, Interpolation.LINEAR)
        slopes = [(after - before) / 5.0 for before, after in pairwise(levels)]
        profiles[f"{name}_slope"] = Profile(times[:-1], slopes)
    return profiles


def _drain_current(kind: Sequence[float], drain: Any, gate_source: Any, bulk_source: Any, gate_drain: Any, bulk_drain: Any) -> Any:
    """Return the current of a MOSFET (Shichman, Hodges 1968), in A; ``drain`` is the voltage from drain to source."""
    threshold, body, surface, forward, backward = kind

    def one_way(over: Any, voltage: Any, strength: float) -> Any:
        lasting = strength * over**2 * (1 + 0.02 * voltage)
        rising = strength * voltage * (2 * over - voltage) * (1 + 0.02 * voltage)
        return pyo.Expr_if(over <= 0, 0.0, pyo.Expr_if(over <= voltage, lasting, rising))

    def over(gate: Any, bulk: Any) -> Any:
        return gate - threshold - body * (pyo.sqrt(surface - bulk) - math.sqrt(surface))

    along = -one_way(over(gate_source, bulk_source), drain, forward)
    against = one_way(over(gate_drain, bulk_drain), -drain, backward)
    return pyo.Expr_if(drain >= 0, along, against)


def _junction_current(voltage: Any) -> Any:
    return pyo.Expr_if(voltage <= 0, -1e-14 * (pyo.exp(voltage / 25.85) - 1), 0.0)


def _nand_currents(m: Any, t: Any, y: Voltages) -> tuple[Any, ...]:
    """Return the right-hand sides of the 14 nodes."""
    v1, v2 = m.v1[t], m.v2[t]
    load = _drain_current(_DEPLETION, y(2) - y(1), y(5) - y(1), y(3) - y(5), y(5) - y(2), y(4) - _SUPPLY)
    upper = _drain_current(_ENHANCEMENT, y(7) - y(6), v1 - y(6), y(8) - y(10), v1 - y(7), y(9) - y(5))
    lower = _drain_current(_ENHANCEMENT, y(12) - y(11), v2 - y(11), y(13), v2 - y(12), y(14) - y(10))
    leak = {pair: _junction_current(y(pair[0]) - _node(y, pair[1])) for pair in _JUNCTIONS}

    def gate(i: int, j: int) -> Any:
        return (y(i) - y(j)) / _R_GATE

    def bulk(i: int) -> Any:
        return (y(i) - _BULK) / _R_BULK

    return (
        -gate(1, 5) - load,
        -(y(2) - _SUPPLY) / _R_GATE + load,
        -bulk(3) + leak[3, 5],
        -bulk(4) + leak[4, 0],
        -gate(5, 1) - leak[3, 5] - gate(5, 7) - leak[9, 5],
        _C_GATE * m.v1_slope[t] - gate(6, 10) - upper,
        _C_GATE * m.v1_slope[t] - gate(7, 5) + upper,
        -bulk(8) + leak[8, 10],
        -bulk(9) + leak[9, 5],
        -gate(10, 6) - leak[8, 10] - gate(10, 12) - leak[14, 10],
        _C_GATE * m.v2_slope[t] - y(11) / _R_GATE - lower,
        _C_GATE * m.v2_slope[t] - gate(12, 10) + lower,
        -bulk(13) + leak[13, -1],
        -bulk(14) + leak[14, 10],
    )


def _node(y: Voltages, k: int) -> Any:
    return {0: _SUPPLY, -1: 0.0}[k] if k < 1 else y(k)


def _stored(k: int, capacitor: Callable[[int, int], Any], junction: Callable[[int, int], Any], own: Callable[[int], Any]) -> Any:
    """Return the sum over what node k's row of the capacitance matrix holds."""
    total = _C_NODE * own(k) if k in (5, 10) else _C_GATE * own(k) if k in (6, 7, 11, 12) else 0.0
    for i, j in _GATES:
        total += capacitor(i, j) if k == i else -capacitor(i, j) if k == j else 0.0
    for i, j in _JUNCTIONS:
        total += junction(i, j) if k == i else -junction(i, j) if k == j else 0.0
    return total


def _nand_model() -> pyo.ConcreteModel:
    model = timed_model(NAND_END)
    for name in nand_inputs():
        model.add_component(name, pyo.Var(model.t, initialize=0.0))
        model.component(name).fix()
    model.y = pyo.Var(model.t, pyo.RangeSet(14), initialize=lambda m, t, k: NAND_START[k - 1])
    return model


def nand_gate() -> pyo.ConcreteModel:
    """Return the gate as it stands; take the inputs from :func:`nand_inputs`."""
    model = _nand_model()
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.y[0, :].fix()

    def node(m: Any, t: Any, k: int) -> Any:
        def slope(i: int) -> Any:
            return m.dy[t, i] if i > 0 else 0.0

        def junction(i: int, j: int) -> Any:
            voltage = m.y[t, i] - _node(lambda n: m.y[t, n], j)
            reverse, forward = 1 / pyo.sqrt(1 - voltage / _PHI_JUNCTION), 1 + voltage / (2 * _PHI_JUNCTION)
            return _C_JUNCTION * pyo.Expr_if(voltage <= 0, reverse, forward) * (slope(i) - slope(j))

        rate = _stored(k, lambda i, j: _C_GATE * (slope(i) - slope(j)), junction, slope)
        return rate == _nand_currents(m, t, lambda i: m.y[t, i])[k - 1]

    model.node = pyo.Constraint(model.t, pyo.RangeSet(14), rule=node)
    return model


def _charge(k: int, y: Voltages, choose: Callable[[Any, Any, Any], Any], root: Callable[[Any], Any]) -> Any:
    """Return the charge at node k for node voltages y, in C: the integral of its row of the capacitance matrix."""

    def junction(i: int, j: int) -> Any:
        voltage = y(i) - _node(y, j)
        reverse = 2 * _PHI_JUNCTION * (1 - root(1 - voltage / _PHI_JUNCTION))
        return _C_JUNCTION * choose(voltage, reverse, voltage * (1 + voltage / (4 * _PHI_JUNCTION)))

    return _stored(k, lambda i, j: _C_GATE * (y(i) - y(j)), junction, y)


def nand_by_charges() -> pyo.ConcreteModel:
    """Return the gate with the charges of its 14 nodes as states and the node voltages as algebraic variables."""
    model = _nand_model()
    model.q = pyo.Var(model.t, pyo.RangeSet(14), initialize=0.0)
    model.dq = DerivativeVar(model.q, wrt=model.t)
    nominal(model.q, 1e-4)
    model.node = pyo.Constraint(
        model.t, pyo.RangeSet(14), rule=lambda m, t, k: m.dq[t, k] == _nand_currents(m, t, lambda i: m.y[t, i])[k - 1]
    )

    def choose(voltage: Any, reverse: Any, forward: Any) -> Any:
        return pyo.Expr_if(voltage <= 0, reverse, forward)

    model.charge = pyo.Constraint(
        model.t, pyo.RangeSet(14), rule=lambda m, t, k: 1e4 * m.q[t, k] == 1e4 * _charge(k, lambda i: m.y[t, i], choose, pyo.sqrt)
    )
    for k in range(1, 15):
        model.q[0, k].fix(_charge(k, lambda i: NAND_START[i - 1], _chosen, lambda a: math.sqrt(max(a, 0.0))))
    return model


def _chosen(voltage: float, reverse: float, forward: float) -> float:
    return reverse if voltage <= 0 else forward
