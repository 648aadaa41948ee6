"""From a Pyomo model to a rung's values: the last values of a simulation, or the times of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flowsheet.verify.rung import Outcome, Run
from solvers import Trajectory, lower, simulate

ATOL_SHARE = 1e-2
"""Absolute tolerance as a share of the relative one, in units of each variable's nominal value."""

Reading = Callable[[Trajectory], Iterable[float]]


def simulated(model: Any, times: Sequence[float], read: Reading, inputs: Mapping[Any, Any] | None = None) -> Run:
    """Lower a model; return what simulates it at a relative tolerance and reads values from the trajectory."""
    system = lower(model)

    def run(rtol: float) -> Outcome:
        trajectory = simulate(system, times, inputs=inputs, rtol=rtol, atol=ATOL_SHARE * rtol)
        return Outcome(tuple(map(float, read(trajectory))), trajectory.stats)

    return run


def at_end(names: Sequence[str]) -> Reading:
    """Read the last values of variables."""
    return lambda trajectory: [trajectory[name][-1] for name in names]


def event_times(*names: str) -> Reading:
    """Read the times of all events that have one of these names."""
    return lambda trajectory: [record.time for record in trajectory.events if record.event in names]
