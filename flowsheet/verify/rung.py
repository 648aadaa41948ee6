"""What a rung of the ladder is, and what climbing it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from flowsheet.verify.scoring import RTOLS, Standing, errors, needed_digits
from solvers import Stats
from solvers.errors import FlowsheetError, StructureError


class Group(Enum):
    """What the rungs of a group have in common; the value is the group's name on the command line."""

    INITIAL_VALUE = "ivp"
    DAE = "dae"
    EVENT = "events"
    CLOSED_FORM = "closed"
    UNIT = "units"
    DERIVATIVE = "derivatives"
    KERNEL = "kernels"
    OPTIMUM = "optima"
    REFUSED = "refused"

    @property
    def title(self) -> str:
        """What stands above the group."""
        return _TITLES[self]


_TITLES = {
    Group.INITIAL_VALUE: "Initial value problems of the test sets",
    Group.DAE: "Systems with algebraic variables, index one",
    Group.EVENT: "Events",
    Group.CLOSED_FORM: "Closed forms",
    Group.UNIT: "Units and a whole case",
    Group.DERIVATIVE: "Derivatives by parameters and start values",
    Group.KERNEL: "Vector functions",
    Group.OPTIMUM: "Optima, and the same along a simulation with error control",
    Group.REFUSED: "Systems of higher index, to be refused before anything is integrated",
}


class Verdict(Enum):
    """How a run was judged."""

    PASSED = "ok"
    SHORT = "too few digits"
    NO_GAIN = "no better than the looser tolerance"
    RAISED = "raised"
    NOT_REFUSED = "not refused"

    @property
    def passes(self) -> bool:
        """Whether it counts as passed."""
        return self is Verdict.PASSED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run gave: a value for each reference value, and the work it took (None where nothing counts it)."""

    values: tuple[float, ...]
    stats: Stats | None = None


Run = Callable[[float], Outcome]
"""Computes a rung's own values at a relative tolerance."""

RULE = tuple((rtol, needed_digits(rtol)) for rtol in RTOLS)
"""Digits asked for by default, at each relative tolerance."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One problem with its reference values.

    Parameters
    ----------
    name : its name on the command line.
    group : what it belongs to.
    compared : what is compared, in words.
    labels : (n,) names of the values compared.
    reference : (n,) their reference values; empty for a system that is to be refused.
    source : where the reference values stand or how they were computed.
    standing : what kind of reference that is.
    prepare : builds the problem once and returns what runs it at a relative tolerance.
    asked : pairs (rtol, digits needed), the loosest first; digits have to grow from one to the next.
    scale : (n,) what the error of a reference value of zero is divided by; empty for 1.
    agreed : digits to which the reference is known; growth is not asked for beyond.
    refused_for : names of equations or variables of which the refusal has to name one; for a system that is to be refused.
    """

    name: str
    group: Group
    compared: str
    labels: tuple[str, ...]
    reference: tuple[float, ...]
    source: str
    standing: Standing
    prepare: Callable[[], Run]
    asked: tuple[tuple[float, float], ...] = RULE
    scale: tuple[float, ...] = ()
    agreed: float = 13.0
    refused_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """One run of a rung, judged.

    Parameters
    ----------
    rtol : relative tolerance.
    needed : digits asked for.
    digits : correct digits of the worst value; NaN if there are none.
    label, reference, own : the worst value.
    stats : work of the run, or None.
    verdict : how it was judged.
    message : what was raised, or empty.
    """

    rtol: float
    needed: float
    digits: float
    label: str
    reference: float
    own: float
    stats: Stats | None
    verdict: Verdict
    message: str = ""


CAUGHT = (FlowsheetError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What counts as a miss of the rung and not as the end of the program: a ladder is there to find what is broken."""


def climb(rung: Rung, adapted: Callable[[Run], Run] = lambda run: run) -> tuple[Score, ...]:
    """Run a rung at all its tolerances and judge it; what it raises is a miss. ``adapted`` may change what runs it, e.g. its method."""
    if rung.refused_for:
        return (_refusal(rung),)
    try:
        run = adapted(rung.prepare())
    except CAUGHT as error:
        return tuple(_raised(rtol, needed, error) for rtol, needed in rung.asked)
    return tuple(_scores(rung, run))


def _scores(rung: Rung, run: Run) -> Iterator[Score]:
    before = -math.inf
    for rtol, needed in rung.asked:
        try:
            score = _judged(rung, rtol, needed, run(rtol), before)
        except CAUGHT as error:
            yield _raised(rtol, needed, error)
        else:
            before = score.digits
            yield score


def _judged(rung: Rung, rtol: float, needed: float, outcome: Outcome, before: float) -> Score:
    found = errors(outcome.values, rung.reference, rung.scale or (1.0,) * len(rung.reference))
    worst = max(range(len(found)), key=lambda k: math.inf if math.isnan(found[k]) else found[k])
    digits = math.nan if not math.isfinite(found[worst]) else math.inf if found[worst] == 0 else -math.log10(found[worst])
    known = min(before, digits) >= rung.agreed - 1.0
    verdict = Verdict.SHORT if not digits >= needed else Verdict.PASSED if digits > before or known else Verdict.NO_GAIN
    return Score(rtol, needed, digits, rung.labels[worst], rung.reference[worst], outcome.values[worst], outcome.stats, verdict)


def _raised(rtol: float, needed: float, error: Exception) -> Score:
    message = str(error) if isinstance(error, FlowsheetError) else f"{type(error).__name__}: {error}"
    return Score(rtol, needed, math.nan, "", math.nan, math.nan, None, Verdict.RAISED, message)


def _refusal(rung: Rung) -> Score:
    def score(verdict: Verdict, message: str) -> Score:
        rtol, needed = rung.asked[0]
        return Score(rtol, needed, math.nan, "", math.nan, math.nan, None, verdict, message)

    try:
        rung.prepare()(rung.asked[0][0])
    except StructureError as error:
        if any(name in error.message for name in rung.refused_for):
            return score(Verdict.PASSED, error.message)
        return score(Verdict.NOT_REFUSED, f"refused for something else: {error.message}")
    except CAUGHT as error:
        return _raised(*rung.asked[0], error)
    return score(Verdict.NOT_REFUSED, "it was integrated")
