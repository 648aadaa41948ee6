"""Whether equations with time as a symbol are those that stand in the model at its first and last times."""

from __future__ import annotations

from collections.abc import Callable

import casadi as ca
import numpy as np
from pyomo.environ import value

from solvers.errors import UnsupportedModelError
from solvers.reader import Equation, Reading
from solvers.timeset import ParamOverTime, TimeDependenceError

_SCALES = (1.0, 1e-4, 1e-8, 30.0, 1.0, 1e-12)
_ROUND_OFF = 1e-13


def verified_start_equations(reading: Reading, side: Callable[[list[int]], ca.SX], symbols: ca.SX) -> list[Equation]:
    """Compare what rules gave at the added point with what stands in the model, and return all equations of the start.

    Both are evaluated at random points of several magnitudes. An equation that stands at the first time and differs there from
    its rule's is one of the start alone.

    Parameters
    ----------
    reading : what was read.
    side : gives the expressions of nodes as a column.
    symbols : all symbols of the tape.

    Raises
    ------
    TimeDependenceError : an equation that stands in the model is not what its rule gives with time as a symbol.
    """
    starts = list(reading.start_equations)
    if not reading.checks:
        return starts
    agrees = _agreement(reading, side, symbols)
    for (symbolic, existing, time), same in zip(reading.checks, agrees, strict=True):
        if same:
            continue
        if time == reading.time.first:
            starts.append(existing)
            continue
        raise TimeDependenceError(
            f"{symbolic.source.name} is not what its rule gives when called again, so its course in time is not known",
            names=[symbolic.source.name],
            hint="let the rule depend on time by arithmetic only, or give values over time as a Profile to inputs=",
        )
    return starts


def _agreement(reading: Reading, side: Callable[[list[int]], ca.SX], symbols: ca.SX) -> np.ndarray:
    """Whether each pair of equations agrees, shape (checks,)."""
    sides = [
        side([getter(check) for check in reading.checks])
        for getter in (lambda c: c[0].left, lambda c: c[0].right, lambda c: c[1].left, lambda c: c[1].right)
    ]
    function = ca.Function("check", [symbols], [ca.horzcat(*sides)])
    symbol_at = {node: number for number, node in enumerate(reading.tape.symbols)}
    params = [(symbol_at[slot.node], slot) for slot in reading.slots if isinstance(slot.data, ParamOverTime)]
    generator = np.random.default_rng(0)
    refuted = np.zeros(len(reading.checks), dtype=bool)
    compared = np.zeros(len(reading.checks), dtype=bool)
    for time in sorted({time for *_, time in reading.checks}):
        mine = np.array([check[2] == time for check in reading.checks])
        for scale in _SCALES:
            point = scale * generator.uniform(0.2, 1.8, len(reading.tape.symbols))
            point[symbol_at[reading.time_node]] = time
            for symbol, slot in params:
                seat = reading.time.seat(slot.data)
                if seat is not None:
                    point[symbol] = value(seat.at(time))
            left, right, other_left, other_right = np.asarray(function(point)).T
            magnitude = np.abs(left) + np.abs(right) + np.abs(other_left) + np.abs(other_right)
            with np.errstate(invalid="ignore"):
                one, other = left - right, other_left - other_right
                # Pyomo exchanges the sides of some equations, and which depends on what is a number at a time
                apart = np.minimum(np.abs(one - other), np.abs(one + other)) > _ROUND_OFF * magnitude
            compared |= mine & np.isfinite(magnitude)
            refuted |= mine & np.isfinite(magnitude) & apart
    if not compared.all():
        source = reading.checks[int(np.argmin(compared))][0].source
        raise UnsupportedModelError(
            f"{source.name} is not a number wherever it was tried, so its dependence on time could not be checked", names=[str(source.name)]
        )
    return ~refuted
