"""``python -m benchmarks.population_balance [errors] [speed] [limits] [separable]``: the kernel against exact solutions and other codes.

errors: all exact solutions on 25 to 200 cells, and the errors of an independent implementation beside ours from the same start.
speed: time per right-hand side, Jacobian and solve, medians over rounds in which the implementations take turns in one process; ratios are
medians of the pairs. limits: operations and bytes per second, beside what the machine does in a matrix product and a dot product.
separable: right-hand sides by Fourier transforms beside the direct kernel, on equal steps and on nested grids.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # before NumPy is loaded: one thread for all
    os.environ[_name] = "1"

import math  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from pyomo.dae import ContinuousSet  # noqa: E402
from pyomo.environ import ConcreteModel, Constraint  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from benchmarks.harness import SAMPLE_SECONDS, seconds_per_call  # noqa: E402
from benchmarks.population_peers import Implementation, bare, implementations  # noqa: E402
from benchmarks.populations import CASES, Case, Errors, errors, l1_errors, solved  # noqa: E402
from csrc.nested import NestedAggregation, NestedGrid, nested_rates  # noqa: E402
from csrc.population_balance import (  # noqa: E402
    AggregationMaps,
    Grid,
    PopulationBalance,
    gamma_distribution,
    rates,
    sum_kernel,
)
from csrc.separable import SeparableAggregation, separable_constant, separable_rates, separable_sum  # noqa: E402
from solvers import lower, simulate  # noqa: E402
from units.population import add_population  # noqa: E402

CELLS = (25, 50, 100, 200)
TIMED_CELLS = (25, 50, 100, 200, 400)
ROUNDS = 9
GOAL = 20.0
"""How many times as long NumPy should take for a right-hand side of 100 cells."""
TIMED = next(case for case in CASES if case.name == "sum, t = 2")
RTOL, ATOL = 1e-6, 1e-10


# ---- errors ----


def print_errors() -> None:
    """Print errors and observed orders of every exact solution."""
    head = f"{'case':<30} {'cells':>5} {'L1 number':>10} {'order':>6} {'L1 volume':>10} {'order':>6} "
    head += f"{'M0':>9} {'M1':>9} {'M2':>9} {'drift of M1':>12}"
    print("Relative errors against the exact solution, projected on the pivots with number and volume kept, as the start is\n")
    print(head + "\n" + "-" * len(head))
    for case in CASES:
        before: Errors | None = None
        for cells in CELLS:
            found = errors(case, *solved(case, cells))
            orders = (
                ("", "")
                if before is None
                else (f"{math.log2(b / f):.2f}" for b, f in ((before.number, found.number), (before.volume, found.volume)))
            )
            number_order, volume_order = orders
            drift = f"{found.drift:.1e}" if "growth" not in case.name else "grows"
            print(
                f"{case.name:<30} {cells:>5} {found.number:>10.2e} {number_order:>6} {found.volume:>10.2e} {volume_order:>6} "
                f"{found.m0:>9.1e} {found.m1:>9.1e} {found.m2:>9.1e} {drift:>12}"
            )
            before = found
        print()
    print("Start and exact solution integrated over cells and put at their middles, as the independent table does; 100 cells")
    for name in ("constant, t = 10", "constant, t = 100", "sum, t = 2", "breakage v, t = 10", "constant + breakage, t = 5"):
        case = next(case for case in CASES if case.name == name)
        grid, number = solved(case, 100, contents=True)
        wrong = l1_errors(grid, number, case.cell_contents(grid)[0])
        print(f"{name:<30} {100:>5} {wrong[0]:.3e} {wrong[1]:.3e}")


# ---- speed ----


def timed(calls: Sequence[Callable[[], Any]], rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    """Return the median seconds of each call, and the medians of the pairs' ratios to the first."""
    counts = []
    for call in calls:
        call()
        start = time.process_time()
        call()
        counts.append(max(1, math.ceil(SAMPLE_SECONDS / max(time.process_time() - start, 1e-7))))
    samples = [[seconds_per_call(call, count) for call, count in zip(calls, counts, strict=True)] for _ in range(rounds)]
    return (
        [statistics.median(sample[k] for sample in samples) for k in range(len(calls))],
        [statistics.median(sample[k] / sample[0] for sample in samples) for k in range(len(calls))],
    )


def _problem(cells: int) -> tuple[Case, Grid, Any, np.ndarray]:
    grid = TIMED.grid(cells)
    maps = TIMED.processes(grid).aggregation
    return TIMED, grid, maps, TIMED.start(grid)


def _solver(implementation: Implementation, start: np.ndarray, end: float) -> Callable[[], np.ndarray]:
    def solve() -> np.ndarray:
        found = solve_ivp(
            lambda t, y: implementation.rates(y),
            (0.0, end),
            start,
            method="BDF",
            jac=lambda t, y: implementation.jacobian(y),
            rtol=RTOL,
            atol=ATOL,
        )
        return found.y[:, -1]

    return solve


def _simulated(case: Case, grid: Grid) -> Callable[[], np.ndarray]:
    start = case.start(grid)
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, case.end))
    own = add_population(model, model.t, case.processes(grid), start)
    model.closed = Constraint(model.t, own.cell, rule=lambda m, t, i: own.number_rate[t, i] == own.conversion[t, i])
    system = lower(model)
    names = [f"population.number[{i}]" for i in own.cell]

    def solve() -> np.ndarray:
        trajectory = simulate(system, [0.0, case.end], rtol=RTOL, atol=ATOL / start.max())  # it multiplies the nominal value
        return np.array([trajectory[name][-1] for name in names])

    return solve


def print_speed() -> None:
    """Print times and errors of the implementations side by side."""
    print(f"{TIMED.name}; processor time of one thread, medians of {ROUNDS} rounds; x: times the compiled kernel, medians of pairs")
    print("difference: largest, relative to the largest rate or derivative of the compiled kernel\n")
    head = f"{'cells':>5} {'what':<16} {'implementation':<28} {'time':>10} {'x':>7}  error"
    print(head + "\n" + "-" * len(head))
    slopes: dict[tuple[str, str], list[float]] = {}
    for cells in TIMED_CELLS:
        case, grid, maps, start = _problem(cells)
        peers = implementations(maps)
        for what in ("rates", "jacobian"):
            calls = [getattr(peer, what) for peer in peers]
            expected = calls[0](start)
            named = [*((peer.name, call) for peer, call in zip(peers, calls, strict=True)), (bare(maps).name, getattr(bare(maps), what))]
            seconds, ratios = timed([partial(call, start) for _, call in named])
            for (name, call), second, ratio in zip(named, seconds, ratios, strict=True):
                slopes.setdefault((what, name), []).append(second)
                found = call(start)
                wrong = np.abs(found - expected).max() / np.abs(expected).max() if found.shape == expected.shape else 0.0
                goal = "" if (what, name, cells) != ("rates", "NumPy", 100) else f"  goal {GOAL:g}: {'met' if ratio >= GOAL else 'missed'}"
                print(f"{cells:>5} {what:<16} {name:<28} {_time(second):>10} {ratio:>7.2f}  difference {wrong:.0e}{goal}")
        if cells <= 200:
            solvers = [
                ("simulate (CVODE)", _simulated(case, grid)),
                *((f"SciPy BDF, {peer.name}", _solver(peer, start, case.end)) for peer in peers),
            ]
            seconds, ratios = timed([call for _, call in solvers], rounds=5)
            for (name, call), second, ratio in zip(solvers, seconds, ratios, strict=True):
                found = errors(case, grid, call())
                error = f"L1 number {found.number:.2e}, volume {found.volume:.2e}"
                print(f"{cells:>5} {'solve':<16} {name:<28} {_time(second):>10} {ratio:>7.2f}  {error}")
        print()
    print("Growth of time with cells, exponent from 100 to 400 cells")
    for (what, name), seconds in slopes.items():
        print(f"{what:<16} {name:<28} {math.log(seconds[-1] / seconds[-3]) / math.log(4):.2f}")


def _time(seconds: float) -> str:
    return f"{1e6 * seconds:.3g} us" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"


# ---- limits ----


def print_limits() -> None:
    """Print how near the right-hand side comes to the machine's arithmetic and memory."""
    square = np.random.default_rng(0).random((400, 400))
    (product,), _ = timed([lambda: square @ square])
    peak = 2 * 400**3 / product
    print(f"Matrix product of 400 x 400 (multiply and add in one instruction): {peak / 1e9:.1f} Gflop/s")
    print("Right-hand side: multiplications and additions of pairs over time; bytes of the kernel's table over time,")
    print("beside a dot product as long\n")
    print(f"{'cells':>5} {'pairs':>9} {'table':>9} {'time':>10} {'Gflop/s':>8} {'of peak':>8} {'GB/s':>7} {'of dot':>7}")
    for cells in (100, 200, 400, 800, 1600):
        _, _, maps, start = _problem(cells)
        run = bare(maps).rates
        table = np.array(maps.collisions)
        grows = int(maps.runs[maps.runs[:, 0] == 0, 4].sum())
        pairs = int(maps.runs[:, 4].sum())
        operations = 4 * grows + 9 * (pairs - grows)
        (seconds, dot), _ = timed([lambda run=run, start=start: run(start), lambda table=table: table @ table])
        print(
            f"{cells:>5} {pairs:>9} {table.nbytes / 1e3:>6.0f} kB {_time(seconds):>10} {operations / seconds / 1e9:>8.2f} "
            f"{operations / seconds / peak:>8.1%} {table.nbytes / seconds / 1e9:>7.1f} {dot / seconds:>7.1%}"
        )


# ---- separable ----

DIRECT_CELLS = 2048
"""Most cells that the direct kernel is timed with: its table grows with their square."""
INDICATIVE = {1024: 0.05e-3, 4096: 0.10e-3, 16384: 0.93e-3}
"""Seconds of the births of a constant kernel by Fourier transforms, computed elsewhere on one thread."""


def print_separable() -> None:
    """Print times of right-hand sides by Fourier transforms, and of the direct kernel where its table is small enough."""
    print("Constant and sum kernel from exp(-x), steps of 1/16; difference: largest, relative to the largest rate")
    print("indicative: births of a constant kernel alone, computed elsewhere\n")
    print(f"{'cells':>6} {'constant':>10} {'sum':>10} {'direct':>10} {'direct/sum':>10} {'difference':>10} {'indicative':>10}")
    for cells in (512, 1024, 2048, 4096, 8192, 16384):
        grid = Grid.linear(1 / 32, cells / 16 + 1 / 32, cells)
        start = gamma_distribution(grid, 1.0, 1.0)
        fast = [SeparableAggregation(grid, *kernel(grid, 1.0)) for kernel in (separable_constant, separable_sum)]
        calls = [partial(separable_rates, one, start) for one in fast]
        if cells <= DIRECT_CELLS:
            direct = PopulationBalance(grid, aggregation=AggregationMaps(grid, sum_kernel(grid, 1.0)))
            calls.append(partial(rates, direct, start))
        seconds, _ = timed(calls, rounds=5)
        beside = f"{'':>10} {'':>10} {'':>10}"
        if cells <= DIRECT_CELLS:
            expected = calls[2]()
            wrong = np.abs(calls[1]() - expected).max() / np.abs(expected).max()
            beside = f"{_time(seconds[2]):>10} {seconds[2] / seconds[1]:>10.1f} {wrong:>10.0e}"
        indicative = _time(INDICATIVE[cells]) if cells in INDICATIVE else ""
        print(f"{cells:>6} {_time(seconds[0]):>10} {_time(seconds[1]):>10} {beside} {indicative:>10}")
    print("\nNested grids over a factor of 2^20 and more in volume, sum kernel\n")
    print(f"{'first':>6} {'cells':>6} {'nested':>10} {'direct':>10} {'direct/nested':>13}")
    for first in (16, 32, 64, 128, 256, 512):
        nested = NestedGrid(0.25 / first, first, 20)
        grid = nested.grid
        start = gamma_distribution(grid, 1.0, 1.0)
        calls = [partial(nested_rates, NestedAggregation(nested, *separable_sum(grid, 1.0)), start)]
        if grid.cells <= DIRECT_CELLS:
            calls.append(partial(rates, PopulationBalance(grid, aggregation=AggregationMaps(grid, sum_kernel(grid, 1.0))), start))
        seconds, ratios = timed(calls, rounds=5)
        beside = f"{_time(seconds[1]):>10} {ratios[1]:>13.1f}" if len(calls) > 1 else ""
        print(f"{first:>6} {grid.cells:>6} {_time(seconds[0]):>10} {beside}")


def main(wanted: Sequence[str]) -> None:
    """Print what is asked for, or everything."""
    parts = {"errors": print_errors, "speed": print_speed, "limits": print_limits, "separable": print_separable}
    unknown = sorted(set(wanted) - set(parts))
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(parts)}")
    for name in wanted or parts:
        parts[name]()
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
