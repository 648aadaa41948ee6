"""Equal error first, then time: how a problem is put to its peers.

Each peer gets the loosest relative tolerance of a quarter-decade ladder at which its measured error is at or below the
problem's target; the target, not a tolerance, is what peers have in common.  Then all peers run in turn, round after
round in one process, and medians over rounds and medians of the paired ratios are reported.  Times are processor time of
the one thread: what a clock on the wall shows on a machine that does nothing else.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LADDER_STEPS_PER_DECADE = 4
SAMPLE_SECONDS = 0.05
"""A sample is the mean of as many calls as fit into this time, and at least of one."""


class PeerFailure(Exception):
    """A peer could not run the problem at a tolerance, in its own words."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave: the values that error is measured on, and the work where the peer tells it."""

    values: np.ndarray
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to solve a problem.

    Parameters
    ----------
    name : as printed.
    prepare : ``prepare(rtol)`` does what need not be repeated and returns the call that is timed; that call raises
        :class:`PeerFailure` where the tolerance is too tight for the peer.
    goal : how many times as long as ours the peer should take; None where there is no goal.
    first_rtol : where the search on the ladder starts.
    note : what is in the timed call, one line.
    """

    name: str
    prepare: Callable[[float], Callable[[], Run]]
    goal: float | None = None
    first_rtol: float = 1e-6
    note: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is solved, and how errors are measured.

    Parameters
    ----------
    name : as printed.
    target : the error all peers have to reach.
    error : ``error(values)`` of a run, one number.
    peers : ours first.
    """

    name: str
    target: float
    error: Callable[[np.ndarray], float]
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; times in s; ``ratio`` is the peer's time over ours (median of the pairs)."""

    problem: str
    peer: str
    rtol: float
    error: float
    target: float
    seconds: float
    fastest: float
    calls_per_sample: int
    ratio: float
    goal: float | None
    counters: dict[str, int]
    note: str

    @property
    def verdict(self) -> str:
        """Whether the goal is met, or an empty string where there is none."""
        if self.goal is None:
            return ""
        return "met" if self.ratio >= self.goal else "missed"


@dataclass(frozen=True, slots=True)
class _Tuned:
    peer: Peer
    rtol: float
    error: float
    call: Callable[[], Run]
    counters: dict[str, int]


def rung(k: int) -> float:
    """Return rtol on the ladder: 10^(-k/4), at three significant digits."""
    return float(f"{10 ** (-k / LADDER_STEPS_PER_DECADE):.3g}")


def tune(problem: Problem, peer: Peer, *, tightest: float = 1e-12) -> _Tuned:
    """Return the peer at the loosest tolerance, going from ``first_rtol``, that reaches the target.

    Raises
    ------
    PeerFailure : no tolerance of the ladder reaches it.
    """
    k = round(-LADDER_STEPS_PER_DECADE * math.log10(peer.first_rtol))
    last = round(-LADDER_STEPS_PER_DECADE * math.log10(tightest))
    best = _attempt(problem, peer, k)
    if best is not None:
        while k > LADDER_STEPS_PER_DECADE and (looser := _attempt(problem, peer, k - 1)) is not None:
            best, k = looser, k - 1
        return best
    while k < last:
        k += 1
        best = _attempt(problem, peer, k)
        if best is not None:
            return best
    raise PeerFailure(f"{peer.name} does not reach {problem.target:g} on {problem.name}")


def _attempt(problem: Problem, peer: Peer, k: int) -> _Tuned | None:
    try:
        call = peer.prepare(rung(k))
        run = call()
    except PeerFailure:
        return None
    error = problem.error(run.values)
    return _Tuned(peer, rung(k), error, call, run.counters) if error <= problem.target else None


def compare(problem: Problem, *, rounds: int = 5, log: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Tune all peers of a problem, time them in turn and return one row for each."""
    tuned: list[_Tuned] = []
    for peer in problem.peers:
        try:
            tuned.append(tune(problem, peer))
            log(f"{problem.name}: {peer.name} at rtol {tuned[-1].rtol:g} has error {tuned[-1].error:.2g}")
        except PeerFailure as failure:
            log(f"{problem.name}: {failure}")
    calls = [_calls_per_sample(entry.call) for entry in tuned]
    samples = [_round(tuned, calls) for _ in range(rounds)]
    return [_row(problem, k, entry, calls[k], samples) for k, entry in enumerate(tuned)]


def _calls_per_sample(call: Callable[[], Any]) -> int:
    start = time.process_time()
    call()
    return max(1, math.ceil(SAMPLE_SECONDS / (time.process_time() - start)))


def _round(tuned: Sequence[_Tuned], calls: Sequence[int]) -> list[float]:
    return [seconds_per_call(entry.call, count) for entry, count in zip(tuned, calls, strict=True)]


def seconds_per_call(call: Callable[[], Any], count: int) -> float:
    """Return the mean processor time of ``count`` calls in s, with the garbage collector held back."""
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        for _ in range(count):
            call()
        return (time.process_time() - start) / count
    finally:
        gc.enable()


def _row(problem: Problem, k: int, entry: _Tuned, calls: int, samples: Sequence[Sequence[float]]) -> Row:
    own = [sample[k] for sample in samples]
    return Row(
        problem=problem.name,
        peer=entry.peer.name,
        rtol=entry.rtol,
        error=entry.error,
        target=problem.target,
        seconds=statistics.median(own),
        fastest=min(own),
        calls_per_sample=calls,
        ratio=statistics.median(sample[k] / sample[0] for sample in samples),
        goal=entry.peer.goal,
        counters=entry.counters,
        note=entry.peer.note,
    )
