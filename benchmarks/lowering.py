"""What lowering costs beside building the model in Pyomo: 10,000 scalar equations, in processor time."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass

from pyomo.environ import ConcreteModel

from benchmarks import column
from solvers import lower

GOAL_RATIO, GOAL_SECONDS = 5.0, 5.0
EQUATIONS = 10_000


@dataclass(frozen=True, slots=True)
class LoweringFigures:
    """Times in s (medians) of building a model in Pyomo and of lowering it; ``equations`` holding at each time."""

    model: str
    equations: int
    build_seconds: float
    lower_seconds: float
    ratio: float
    rounds: int

    @property
    def verdict(self) -> str:
        """Whether both goals are met."""
        return "met" if self.ratio <= GOAL_RATIO and self.lower_seconds < GOAL_SECONDS else "missed"


def build() -> ConcreteModel:
    """Return a column of 10,000 equations: 7 per cell, the last cell's rest is the salt gradient's."""
    return column.build_model((EQUATIONS - 1) // 7 + 1)


def measure(rounds: int = 5) -> LoweringFigures:
    """Build and lower in turn; a model counts the equations that hold at one time."""
    builds, lowers, equations = [], [], 0
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        model = build()
        middle = time.process_time()
        system = lower(model)
        lowers.append(time.process_time() - middle)
        builds.append(middle - start)
        equations = len(system.states)
    ratio = statistics.median(late / early for late, early in zip(lowers, builds, strict=True))
    return LoweringFigures("column, 7 equations a cell", equations, statistics.median(builds), statistics.median(lowers), ratio, rounds)
