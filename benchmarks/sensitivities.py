"""What derivatives cost beside the run: ten parameters of a column of 50 cells, forward and adjoint, in processor time.

The parameters are film coefficient, equilibrium constant and shielding of each protein and the capacity of the resin. Beside them
stand ten more runs, which give one-sided differences, of half the digits at best.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyomo.environ import ConcreteModel, Param

from benchmarks import column
from solvers import DaeSystem, Method, lower, sensitivities, simulate

CELLS = 50
RTOL, ATOL = 1e-6, 1e-9
GOAL_RATIO = 10.0


@dataclass(frozen=True, slots=True)
class SensitivityFigures:
    """One way to ten derivatives: time in s, and how many times that of the run itself (medians over rounds)."""

    way: str
    parameters: int
    outputs: int
    seconds: float
    ratio: float
    steps: int
    goal: float | None

    @property
    def verdict(self) -> str:
        """Whether the goal is met, or an empty string where there is none."""
        if self.goal is None:
            return ""
        return "met" if self.ratio <= self.goal else "missed"


def build() -> ConcreteModel:
    """Return the column with ten mutable Params in its binding rates."""
    model = column.build_model(CELLS)
    model.film = Param(column.PROTEINS, initialize=column.FILM, mutable=True)
    model.equilibrium = Param(column.PROTEINS, initialize={i: column.EQUILIBRIUM[i] for i in column.PROTEINS}, mutable=True)
    model.shield = Param(column.PROTEINS, initialize={i: column.SHIELD[i] for i in column.PROTEINS}, mutable=True)
    model.capacity = Param(initialize=column.CAPACITY, mutable=True)
    for (t, cell, protein), rate in model.rate.items():
        free = model.capacity - sum((column.CHARGE[i] + model.shield[i]) * model.q[t, cell, i] for i in column.PROTEINS)
        ratio = (model.c[t, cell, 0] / free) ** column.CHARGE[protein]
        bound = model.equilibrium[protein] * model.q[t, cell, protein] * ratio
        rate.set_value(model.film[protein] * (model.c[t, cell, protein] - bound))
    return model


def parameter_names() -> list[str]:
    """Return the names of the ten parameters."""
    return [f"{kind}[{i}]" for kind in ("film", "equilibrium", "shield") for i in column.PROTEINS] + ["capacity"]


def ways(system: DaeSystem) -> dict[str, tuple[int, int, Callable[[], int], float | None]]:
    """Return parameters, outputs (at all times or, adjoint, at the last), the call that is timed and the goal, by name."""
    times, inputs, names, outlets = column.output_times(), column.profiles(), parameter_names(), column.outlet_names(CELLS)
    options = {"inputs": inputs, "rtol": RTOL, "atol": ATOL}

    def forward(count: int) -> Callable[[], int]:
        return lambda: sensitivities(system, names[:count], outlets, times, **options).stats.steps

    def ten_runs() -> int:
        values = {str(data.name): float(data.value) for data in system.parameters}
        steps = 0
        for name in names:
            changed = inputs | {name: values[name] * (1 + 1e-4)}
            steps += simulate(system, times, **options | {"inputs": changed}).stats.steps
        return steps

    found = {
        "the run alone": (0, 4, lambda: simulate(system, times, **options).stats.steps, None),
        "ten runs, differences": (10, 4, ten_runs, None),
    }
    for count in (1, 2, 5, 10):
        found[f"forward, {count}"] = (count, 4, forward(count), GOAL_RATIO if count == 10 else None)
    found["adjoint, 10"] = (
        10,
        1,
        lambda: sensitivities(system, names, outlets[-1:], [column.END_TIME / 2], method=Method.ADJOINT, **options).stats.steps,
        None,
    )
    return found


def measure(rounds: int = 5) -> list[SensitivityFigures]:
    """Run all ways in turn, round after round; what is made once for a system is made before."""
    system = lower(build())
    calls = ways(system)
    steps = {name: call() for name, (_, _, call, _) in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (_, _, call, _) in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    alone = seconds["the run alone"]
    return [
        SensitivityFigures(
            name,
            parameters,
            outputs,
            statistics.median(seconds[name]),
            statistics.median(own / run for own, run in zip(seconds[name], alone, strict=True)),
            steps[name],
            goal,
        )
        for name, (parameters, outputs, _, goal) in calls.items()
    ]
