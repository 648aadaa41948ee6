"""The command, the table and the JSON of ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import lowering, sensitivities
from benchmarks.harness import Row, compare
from benchmarks.suite import suite

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("casadi", "pyomo", "scikit-sundae", "numpy", "scipy")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on and with."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": 1,
        "versions": {name: version(name) for name in PACKAGES},
    }


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, one block for each problem."""
    head = (
        f"{'problem':<12} {'peer':<22} {'rtol':>8} {'error':>8} {'time':>11} {'x ours':>8} "
        f"{'goal':>6} {'':<7} {'steps':>7} {'f':>7} {'LU':>6}"
    )
    lines, previous = [head, "-" * len(head)], None
    for row in rows:
        if previous not in (None, row.problem):
            lines.append("")
        previous = row.problem
        goal = "" if row.goal is None else f"{row.goal:.3g}"
        work = [str(row.counters.get(name, "")) for name in ("steps", "rhs_evaluations", "factorizations")]
        lines.append(
            f"{row.problem:<12} {row.peer:<22} {row.rtol:>8.2g} {row.error:>8.1e} {_time(row.seconds):>11} {row.ratio:>8.3g} "
            f"{goal:>6} {row.verdict:<7} {work[0]:>7} {work[1]:>7} {work[2]:>6}"
        )
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def lowering_text(figures: lowering.LoweringFigures) -> str:
    """Return the figures of lowering as text."""
    return (
        f"lowering {figures.equations} equations ({figures.model}): Pyomo builds in {figures.build_seconds:.3g} s, lower takes "
        f"{figures.lower_seconds:.3g} s, {figures.ratio:.3g} times as long; goal <= {lowering.GOAL_RATIO:g} times and "
        f"< {lowering.GOAL_SECONDS:g} s: {figures.verdict}"
    )


def sensitivities_text(figures: Sequence[sensitivities.SensitivityFigures]) -> str:
    """Return the figures of derivatives as text."""
    head = f"{'derivatives':<24} {'parameters':>10} {'outputs':>8} {'time':>11} {'x run':>8} {'goal':>6} {'':<7} {'steps':>7}"
    lines = [head, "-" * len(head)]
    for row in figures:
        goal = "" if row.goal is None else f"{row.goal:.3g}"
        lines.append(
            f"{row.way:<24} {row.parameters:>10} {row.outputs:>8} {_time(row.seconds):>11} {row.ratio:>8.3g} {goal:>6} "
            f"{row.verdict:<7} {row.steps:>7}"
        )
    return "\n".join(lines)


def as_json(
    rows: Sequence[Row],
    figures: lowering.LoweringFigures | None,
    rounds: int,
    derivatives: Sequence[sensitivities.SensitivityFigures] = (),
) -> str:
    """Return everything measured as JSON."""
    record: dict[str, Any] = {
        "machine": machine(),
        "rounds": rounds,
        "comparison": [asdict(row) | {"verdict": row.verdict} for row in rows],
    }
    if figures is not None:
        record["lowering"] = asdict(figures) | {"verdict": figures.verdict}
    if derivatives:
        record["sensitivities"] = [asdict(row) | {"verdict": row.verdict} for row in derivatives]
    return json.dumps(record, indent=2) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparisons and return 0; a goal missed is printed, not an error."""
    makers = suite()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare simulate with its peers at equal error.")
    known = [*makers, "lowering", "sensitivities"]
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"which to run (default: all): {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the alternating measurement (default 5)")
    parser.add_argument("--jit", action="store_true", help="also time CasADi's cvodes with jit (compiles for a long time on columns)")
    parser.add_argument("--json", type=Path, default=RESULTS / "benchmarks.json", help="where the JSON goes")
    given = parser.parse_args(argv)
    wanted = given.problems or known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        parser.error(f"unknown problem {', '.join(unknown)}; allowed: {', '.join(known)}")

    about = machine()
    print(
        f"{about['cpu']}, {about['cores']} cores, one thread; Python {about['python']}; "
        + ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    )
    print(f"medians of {given.rounds} rounds, peers in turn in one process; processor time of one thread")
    print("'x ours': the peer's time over that of simulate, pair by pair\n")
    rows: list[Row] = []
    for name in wanted:
        if name in makers:
            rows += compare(makers[name](jit=given.jit), rounds=given.rounds, log=lambda text: print(text, file=sys.stderr, flush=True))
    figures = lowering.measure(given.rounds) if "lowering" in wanted else None
    derivatives = sensitivities.measure(given.rounds) if "sensitivities" in wanted else []
    if rows:
        print(table(rows))
    if figures is not None:
        print("\n" + lowering_text(figures))
    if derivatives:
        print("\n" + sensitivities_text(derivatives))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(as_json(rows, figures, given.rounds, derivatives))
    return 0
