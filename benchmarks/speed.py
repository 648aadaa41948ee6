"""Where the time goes: compiled code, warm runs, events, outputs, several cores, size.

``python -m benchmarks.speed [code] [runs] [pool] [size]``, all by default; ``docs/speed.md`` says what came out. Processor time and
medians: other jobs on the machine change them little.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pyomo.environ import ConcreteModel

from benchmarks import column
from flowsheet.case_load import load_case
from flowsheet.pool import run_many
from flowsheet.run import build_flowsheet
from flowsheet.verify.problems import HIRES, build_model
from solvers import Compilation, lower, simulate
from solvers.compiled import CACHE_VARIABLE, compiler_seconds, find_code
from solvers.integrator import SegmentFunctions, SegmentIntegrator
from solvers.rolled import roll

CASE = Path(__file__).parent.parent / "cases" / "small_line"
REPEATS = 15


def cost(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Return the median processor time of a call, s."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def line() -> tuple[ConcreteModel, np.ndarray, Mapping[str, Any]]:
    """Return an hour of the direct compression line, with all outputs."""
    case = load_case(CASE)
    times = np.linspace(0.0, case.horizon, round(case.horizon / case.interval) + 1)
    return build_flowsheet(case).model, times, {spec.variable: spec.profile for spec in case.profiles}


def code() -> None:
    """What compiling costs and what it saves, by number of instructions."""
    print("model        instructions  written  source s  gcc s (predicted)  look-up ms  slopes us: VM, C   jacobian us: VM, C")
    models = {"HIRES": lambda: build_model(HIRES), "line": lambda: line()[0]}
    models |= {f"column {cells}": lambda cells=cells: column.build_model(cells) for cells in (10, 50, 200, 1250)}
    for name, make in models.items():
        functions = SegmentFunctions(lower(make()), ())
        parts = [functions.slopes, functions.jacobian, functions.guards]
        count = sum(part.n_instructions() for part in parts)
        start = time.process_time()
        rolled = roll(parts)
        writing = time.process_time() - start
        before = os.times()
        compiled = find_code(parts, source=lambda source=rolled.source: source, waits=True)
        after = os.times()
        gcc = after.children_user + after.children_system - before.children_user - before.children_system
        look_up = cost(lambda parts=parts: find_code(parts), 5)
        if compiled is None:
            print(f"{name:12} {count:12d}  no compiler or no cache")
            continue
        calls = [cost(_repeated(part)) / 100 * 1e6 for pair in zip(parts[:2], compiled[:2], strict=True) for part in pair]
        gcc_columns = f"{writing:8.3f}  {gcc:6.2f} ({compiler_seconds(rolled.statements):6.2f})"
        print(
            f"{name:12} {count:12d} {rolled.statements:8d}  {gcc_columns}    {1e3 * look_up:10.2f}"
            f"  {calls[0]:8.2f} {calls[1]:8.2f}   {calls[2]:8.2f} {calls[3]:8.2f}"
        )


def _repeated(function: Any) -> Callable[[], None]:
    buffer, evaluate = function.buffer()
    arguments = [np.full(function.numel_in(place), 0.5) for place in range(function.n_in())]
    for place, array in enumerate(arguments):
        if array.size:
            buffer.set_arg(place, memoryview(array))
    result = np.zeros(max(1, function.nnz_out(0)))
    buffer.set_res(0, memoryview(result))

    kept = (buffer, arguments, result)

    def call() -> None:
        assert kept  # the evaluation points into them
        for _ in range(100):
            evaluate()

    return call


def runs() -> None:
    """Repeated runs: the driver in C, and Python around it; with and without events; reading all outputs."""
    print("run                    code  total ms  driver ms  steps  us/step: driver, total  events  reading all ms")
    hour, times, profiles = line()
    jobs: dict[str, tuple[Any, Any, Any]] = {
        "HIRES": (build_model(HIRES), np.linspace(0, HIRES.end_time, 21), {}),
        "column 50": (column.build_model(50), column.output_times(), column.profiles()),
        "line, one hour": (hour, times, profiles),
        "line, 5 seconds": (hour, np.linspace(0, 5.0, 6), profiles),  # what a run costs that hardly integrates
    }
    real = SegmentIntegrator.run
    for name, (model, t, inputs) in jobs.items():
        system = lower(model)
        for compilation in (Compilation.NEVER, Compilation.ALWAYS):
            inside = [0.0]

            def run(self: SegmentIntegrator, *arguments: Any, inside: list[float] = inside) -> Any:
                start = time.process_time()
                answer = real(self, *arguments)
                inside[0] += time.process_time() - start
                return answer

            def call(system: Any = system, t: Any = t, inputs: Any = inputs, compilation: Any = compilation) -> Any:
                return simulate(system, t, inputs=inputs, compilation=compilation)

            call().values()
            total = cost(call)
            SegmentIntegrator.run = run  # type: ignore[method-assign]
            trajectories = [call() for _ in range(REPEATS)]
            SegmentIntegrator.run = real  # type: ignore[method-assign]
            driver = inside[0] / REPEATS
            last = trajectories[-1]
            reading = statistics.median(cost(trajectory.values, 1) for trajectory in trajectories)
            print(
                f"{name:20} {'C' if last.compiled else 'VM':>6}  {1e3 * total:8.3f}  {1e3 * driver:9.3f}  {last.stats.steps:5d}"
                f"  {1e6 * driver / last.stats.steps:14.2f} {1e6 * total / last.stats.steps:7.2f}"
                f"  {len(last.events):6d}  {1e3 * reading:9.3f}"
            )


def pool() -> None:
    """Runs per second on one and two cores (this is wall time: best of three)."""
    model, times, profiles = line()
    system = lower(model)
    for count in (1, 2):
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            results = run_many(system, times, [profiles] * 100, workers=count, compilation=Compilation.ALWAYS)
            taken.append(time.perf_counter() - start)
            assert all(result.complete for result in results)
        print(f"{count} workers: {100 / min(taken):.1f} hours of the line per second")


def size(equations: int = 50_000) -> None:
    """Time and memory for a large model."""
    start = time.process_time()
    model = column.build_model((equations - 1) // 7 + 1)
    built, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    system = lower(model)
    lowered = time.process_time()
    print(f"{len(system.states)} states: build {built - start:.1f} s ({memory:.0f} MB), lower {lowered - built:.1f} s", end="", flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f" ({memory:.0f} MB), ratio {(lowered - built) / (built - start):.2f}", flush=True)
    trajectory = simulate(system, column.output_times()[:3], inputs=column.profiles(), rtol=1e-6, compilation=Compilation.NEVER)
    ended, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"first run {ended - lowered:.1f} s for {trajectory.stats.steps} steps, peak {memory:.0f} MB")


PARTS = {"code": code, "runs": runs, "pool": pool, "size": size}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        for part in sys.argv[1:] or PARTS:
            print(f"-- {part}")
            PARTS[part]()
