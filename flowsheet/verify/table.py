"""The ladder's results as text, JSON, CSV and Markdown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from flowsheet.summary import csv_line
from flowsheet.verify.rung import Group, Rung, Score, Verdict
from solvers import Stats

WORK = (
    ("steps", "steps", 8),
    ("rhs_evaluations", "evals", 8),
    ("jacobian_evaluations", "jacs", 6),
    ("factorizations", "LUs", 6),
    ("restarts", "starts", 6),
)
"""Work counters that are shown: name, heading, width."""
_WORK_TITLES = "".join(f" {title:>{width}}" for _, title, width in WORK)
_HEAD = f"{'rtol':>7} {'worst':<10} {'reference':>15} {'own':>14} {'digits':>6} {'need':>4}{_WORK_TITLES}"
_WIDTH = 100


def list_lines(rungs: Sequence[Rung]) -> Iterator[str]:
    """Yield what the rungs compare, group by group."""
    for group in Group:
        members = [rung for rung in rungs if rung.group is group]
        if members:
            yield f"{group.value}: {group.title}"
        for rung in members:
            yield f"  {rung.name:<16} {rung.compared}; {rung.source} [{rung.standing.value}]"


def rung_lines(rung: Rung, scores: Sequence[Score]) -> Iterator[str]:
    """Yield one rung with a line per run; a verdict that is not ``ok`` stands below its run."""
    yield f"{rung.name}: {rung.compared}; {rung.source} [{rung.standing.value}]"
    if rung.refused_for:
        (score,) = scores
        said = f"{'refused' if score.verdict.passes else f'MISSED: {score.verdict.value}'}: {score.message}"
        yield from textwrap.wrap(said, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        return
    yield _HEAD
    for score in scores:
        if score.verdict is Verdict.RAISED:
            yield from textwrap.wrap(
                f"{score.rtol:>7.0e} MISSED: {score.message}", _WIDTH, subsequent_indent=" " * 8, drop_whitespace=False
            )
            continue
        values = f"{score.label:<10.10} {score.reference:>15.9g} {score.own:>14.9g}"
        work = "".join(f" {count:>{w}}" for (_, _, w), count in zip(WORK, _counts(score.stats), strict=True))
        yield f"{score.rtol:>7.0e} {values} {_digits(score.digits):>6} {score.needed:>4.1f}{work}"
        if not score.verdict.passes:
            yield f"        MISSED: {score.verdict.value}"


def summary_line(results: Sequence[tuple[Rung, Sequence[Score]]]) -> str:
    """Return how many rungs passed and which did not."""
    missed = [rung.name for rung, scores in results if not passes(scores)]
    count = len(results) - len(missed)
    return f"{count} of {len(results)} rungs passed" + (f"; missed: {', '.join(missed)}" if missed else "")


def passes(scores: Sequence[Score]) -> bool:
    """Whether all runs of a rung passed."""
    return all(score.verdict.passes for score in scores)


def as_json(results: Sequence[tuple[Rung, Sequence[Score]]]) -> dict[str, Any]:
    """Return the results as one object; what is not a finite number is null."""
    missed = [rung.name for rung, scores in results if not passes(scores)]
    rungs = [described(rung) | {"passed": passes(scores), "runs": [_run(score) for score in scores]} for rung, scores in results]
    return {"status": "missed" if missed else "ok", "passed": len(results) - len(missed), "missed": missed, "rungs": rungs}


def described(rung: Rung) -> dict[str, Any]:
    """Return what a rung is."""
    return {
        "name": rung.name,
        "group": rung.group.value,
        "compared": rung.compared,
        "source": rung.source,
        "standing": rung.standing.value,
    }


def _run(score: Score) -> dict[str, Any]:
    return {
        "rtol": score.rtol,
        "value": score.label,
        "reference": _finite(score.reference),
        "own": _finite(score.own),
        "digits": _finite(min(score.digits, 16.0)),
        "needed": score.needed,
        "work": None if score.stats is None else {name: count for name, count in score.stats.as_dict().items() if name != "seconds"},
        "verdict": score.verdict.value,
        "message": score.message,
    }


def csv_lines(results: Sequence[tuple[Rung, Sequence[Score]]]) -> Iterator[str]:
    """Yield a line per run."""
    counters = [name for name in Stats().as_dict() if name != "seconds"]
    columns = ("rtol", "value", "reference", "own", "digits", "needed")
    yield csv_line(("name", "group", "compared", "source", "standing", *columns, *counters, "verdict", "message"))
    for rung, scores in results:
        for run in map(_run, scores):
            work = run["work"] or {}
            cells = [*described(rung).values(), *(run[name] for name in columns), *(work.get(name) for name in counters)]
            yield csv_line(["" if cell is None else str(cell) for cell in (*cells, run["verdict"], run["message"])])


def markdown_lines(results: Sequence[tuple[Rung, Sequence[Score]]]) -> Iterator[str]:
    """Yield the tables of the documentation: digits and steps at each tolerance, group by group."""
    for group in Group:
        members = [(rung, scores) for rung, scores in results if rung.group is group]
        if not members:
            continue
        yield ""
        yield f"## {group.title}"
        yield ""
        yield "| rung | compared | reference | rtol: digits (needed), steps |"
        yield "|---|---|---|---|"
        for rung, scores in members:
            runs = "refused" if rung.refused_for and passes(scores) else "; ".join(map(_in_markdown, scores))
            yield f"| `{rung.name}` | {rung.compared} | {rung.source} [{rung.standing.value}] | {runs} |"


def _in_markdown(score: Score) -> str:
    steps = f", {score.stats.steps}" if score.stats is not None else ""
    found = "missed" if score.verdict is Verdict.RAISED else _digits(score.digits) + ("" if score.verdict.passes else " MISSED")
    return f"{score.rtol:.0e}: {found} ({score.needed:g}){steps}"


def _counts(stats: Stats | None) -> list[Any]:
    return ["-"] * len(WORK) if stats is None else [stats.as_dict()[name] for name, _, _ in WORK]


def _digits(digits: float) -> str:
    return "exact" if digits == math.inf else "none" if math.isnan(digits) else f"{digits:.1f}"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
