"""From a Pyomo model to a rung's values: the last values of a simulation, or the times of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flowsheet.verify.rung import Outcome, Run
from solvers import DaeSystem, Trajectory, lower, simulate
from solvers.integrator import IntegrationMethod

ATOL_SHARE = 1e-2
"""Absolute tolerance as a share of the relative one, in units of each variable's nominal value."""

Reading = Callable[[Trajectory], Iterable[float]]


@dataclass(frozen=True, eq=False, slots=True)
class Simulation:
    """Simulates a system at a relative tolerance and reads values from the trajectory."""

    system: DaeSystem
    times: Sequence[float]
    read: Reading
    inputs: Mapping[Any, Any] | None
    method: IntegrationMethod = IntegrationMethod.AUTO

    def __call__(self, rtol: float) -> Outcome:
        """Return the values and the work."""
        trajectory = simulate(self.system, self.times, inputs=self.inputs, rtol=rtol, atol=ATOL_SHARE * rtol, method=self.method)
        return Outcome(tuple(map(float, self.read(trajectory))), trajectory.stats)


def simulated(model: Any, times: Sequence[float], read: Reading, inputs: Mapping[Any, Any] | None = None) -> Simulation:
    """Lower a model; return what simulates it at a relative tolerance and reads values from the trajectory."""
    return Simulation(lower(model), times, read, inputs)


def by_radau(run: Run) -> Run:
    """Return the same by Radau IIA, where it is a simulation."""
    return replace(run, method=IntegrationMethod.RADAU) if isinstance(run, Simulation) else run


def at_end(names: Sequence[str]) -> Reading:
    """Read the last values of variables."""
    return lambda trajectory: [trajectory[name][-1] for name in names]


def event_times(*names: str) -> Reading:
    """Read the times of all events that have one of these names."""
    return lambda trajectory: [record.time for record in trajectory.events if record.event in names]
