"""``python -m benchmarks.methods [PROBLEM ...]``: BDF beside Radau IIA.

For problems of ``flowsheet verify``, the column and the line: digits, work and time of both methods at each tolerance, and how many times
as long BDF takes for the same error, by interpolation of log(time) over digits. Compiled code is called by both. Times are medians over
rounds in which the methods take turns, in one process.
"""

from __future__ import annotations

import itertools
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import column, line
from benchmarks.harness import SAMPLE_SECONDS, seconds_per_call
from benchmarks.suite import column_reference, peak_error
from flowsheet.case_load import load_case
from flowsheet.run import build_flowsheet
from flowsheet.verify.ladder import LADDER
from flowsheet.verify.rung import Rung
from flowsheet.verify.runs import ATOL_SHARE, Simulation
from flowsheet.verify.scoring import RTOLS, correct_digits
from solvers import Compilation, DaeSystem, Stats, Trajectory, lower, simulate
from solvers.errors import NumericsError
from solvers.integrator import IntegrationMethod

METHODS = (IntegrationMethod.BDF, IntegrationMethod.RADAU)
RUNGS = {
    "ivp": "hires rober rober-1e11 orego vdpol pollu medakzo emep beam pleiades arenstorf pendulum",
    "dae": "chemakzo batch-reactor hires-balance transistor nand beam-tensions",
    "events": "rober-percent rober-spent ball hopper-draining charged-vessel doses tanks-in-series feeder",
}
COLUMNS = (25, 200)
EQUAL = (3.0, 5.0, 7.0, 9.0)
"""Digits at which times are compared."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A system with what a run needs, and how many digits a trajectory has."""

    name: str
    system: DaeSystem
    times: Sequence[float]
    inputs: Mapping[Any, Any] | None
    digits: Callable[[Trajectory], float]
    rtols: tuple[float, ...] = RTOLS

    def run(self, rtol: float, method: IntegrationMethod) -> Trajectory:
        """Simulate."""
        return simulate(
            self.system,
            self.times,
            inputs=self.inputs,
            rtol=rtol,
            atol=ATOL_SHARE * rtol,
            compilation=Compilation.ALWAYS,
            method=method,
        )

    @property
    def size(self) -> str:
        """States, and algebraic variables if there are any."""
        states, algebraics = len(self.system.states), len(self.system.algebraics)
        return f"{states}+{algebraics}" if algebraics else f"{states}"


@dataclass(frozen=True, slots=True)
class Figures:
    """One method at one tolerance; ``seconds`` is a median."""

    rtol: float
    digits: float
    stats: Stats
    seconds: float


def of_rung(rung: Rung) -> Problem:
    """Return a rung of the ladder."""
    run = rung.prepare()
    assert isinstance(run, Simulation)

    def digits(trajectory: Trajectory) -> float:
        return correct_digits(tuple(map(float, run.read(trajectory))), rung.reference, rung.scale or (1.0,) * len(rung.reference))

    return Problem(rung.name, run.system, run.times, run.inputs, digits, tuple(rtol for rtol, _ in rung.asked))


def of_column(cells: int) -> Problem:
    """Return the column: error of the outlet over its peak."""
    reference, names = column_reference(cells), column.outlet_names(cells)

    def digits(trajectory: Trajectory) -> float:
        return -math.log10(peak_error(reference, np.column_stack([trajectory[name] for name in names])))

    return Problem(f"column-{cells}", lower(column.build_model(cells)), column.output_times(), column.profiles(), digits, RTOLS[:3])


def of_line() -> Problem:
    """Return the line, which has events: error of all states over the largest values, against a tight run by BDF."""
    case = load_case(line.CASE)
    flowsheet = build_flowsheet(case)
    profiles = {spec.variable: spec.profile for spec in case.profiles}
    times = np.linspace(0.0, case.horizon, round(case.horizon / case.interval) + 1)
    system = lower(flowsheet.model)
    tight = simulate(system, times, inputs=profiles, rtol=line.TIGHT, atol=line.TIGHT)
    names = [slot.name for slot in system.states]

    def states(trajectory: Trajectory) -> np.ndarray:
        return np.column_stack([trajectory[name] for name in names])

    reference = states(tight)
    return Problem("line", system, times, profiles, lambda found: -math.log10(line.state_error(reference, states(found))), RTOLS[:3])


def problems() -> dict[str, Callable[[], Problem]]:
    """Return what makes each problem."""
    rungs = {rung.name: rung for rung in LADDER}
    made: dict[str, Callable[[], Problem]] = {name: partial(of_rung, rungs[name]) for group in RUNGS.values() for name in group.split()}
    made |= {f"column-{cells}": partial(of_column, cells) for cells in COLUMNS}
    return made | {"line": of_line}


def measure(problem: Problem, rounds: int = 5) -> dict[IntegrationMethod, list[Figures]]:
    """Run both methods in turn at each tolerance."""
    found: dict[IntegrationMethod, list[Figures]] = {method: [] for method in METHODS}
    for rtol in problem.rtols:
        calls: dict[IntegrationMethod, Callable[[], Trajectory]] = {method: partial(problem.run, rtol, method) for method in METHODS}
        try:
            first = {method: call() for method, call in calls.items()}
        except NumericsError as error:
            print(f"{problem.name} at {rtol:g}: {error}")
            continue
        counts = {method: max(1, round(SAMPLE_SECONDS / seconds_per_call(call, 1))) for method, call in calls.items()}
        samples = [[seconds_per_call(calls[method], counts[method]) for method in METHODS] for _ in range(rounds)]
        for place, method in enumerate(METHODS):
            digits = min(problem.digits(first[method]), 14.0)
            found[method].append(Figures(rtol, digits, first[method].stats, statistics.median(sample[place] for sample in samples)))
    return found


def seconds_at(digits: float, figures: Sequence[Figures]) -> float:
    """Return the time that so many digits take, by interpolation between neighboring tolerances; NaN where they lie outside."""
    for early, late in itertools.pairwise(figures):
        if early.digits <= digits <= late.digits:
            share = (digits - early.digits) / (late.digits - early.digits) if late.digits > early.digits else 0.0
            return math.exp((1 - share) * math.log(early.seconds) + share * math.log(late.seconds))
    return math.nan


def lines(problem: Problem, found: Mapping[IntegrationMethod, Sequence[Figures]]) -> Iterator[str]:
    """Yield the problem's part of the table."""
    for figures in zip(*(found[method] for method in METHODS), strict=True):
        parts = [
            f"{f.digits:6.2f} {f.stats.steps:7d} {f.stats.rhs_evaluations:8d} {f.stats.factorizations:7d} {1e3 * f.seconds:9.2f}"
            for f in figures
        ]
        yield f"{problem.name:<16}{problem.size:>8} {figures[0].rtol:>6.0e} {figures[0].stats.restarts:>5d} |" + " |".join(parts)
    bdf, radau = (found[method] for method in METHODS)
    ratios = [(digits, seconds_at(digits, bdf) / seconds_at(digits, radau)) for digits in EQUAL]
    told = [f"{digits:g} digits {ratio:.2f}" for digits, ratio in ratios if math.isfinite(ratio)]
    yield f"{'':<16}  BDF's time over Radau's at equal error: {', '.join(told) or 'no common digits'}"


def main(names: Sequence[str]) -> None:
    """Print the table of the problems named, or of all."""
    head = f"{'digits':>6} {'steps':>7} {'evals':>8} {'LUs':>7} {'ms':>9}"
    print(f"{'':<37} |{'BDF':^42}|{'Radau':^42}\n{'problem':<16}{'size':>8} {'rtol':>6} {'again':>5} |{head} |{head}")
    made = problems()
    for name in names or made:
        problem = made[name]()
        for text in lines(problem, measure(problem)):
            print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
