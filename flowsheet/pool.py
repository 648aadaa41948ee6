"""Many runs of one system on several cores.

Processes are forked, not spawned: a lowered system (CasADi graphs, a Pyomo model with rules) cannot be sent to another process, and
a forked one has it already, with everything that was made of it. What comes back is arrays.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import numpy as np

from solvers import Compilation, DaeSystem, EventRecord, SimulationError, Stats, Status, Trajectory, simulate
from solvers.errors import FlowsheetError, UsageError
from solvers.simulate import current_system

AHEAD = 2
"""Runs that a worker is given at once, so that it need not wait for the next."""


@dataclass(frozen=True, eq=False)
class PooledRun:
    """One of many runs: what it gave, and why it failed if it did."""

    trajectory: Trajectory | None
    """Complete if ``failure`` is empty; of a failed simulation what was computed, marked incomplete; None if nothing came back."""
    failure: str
    """Message and hint of the error, or how the worker ended; empty after a good run."""

    @property
    def complete(self) -> bool:
        """Whether this is a result to rely on."""
        return not self.failure and self.trajectory is not None and self.trajectory.status is Status.COMPLETE


class _Answer(NamedTuple):
    """What a worker sends: a trajectory without its system."""

    arrays: tuple[np.ndarray, ...] | None
    events: tuple[EventRecord, ...]
    status: Status
    stats: Stats
    compiled: bool
    failure: str


class _Task(NamedTuple):
    """What all runs have in common; workers inherit it."""

    system: DaeSystem
    t_eval: Any
    runs: Sequence[Mapping[Any, Any]]
    rtol: float
    atol: float
    compilation: Compilation


def run_many(
    model: Any,
    t_eval: Any,
    runs: Sequence[Mapping[Any, Any]],
    *,
    workers: int | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    compilation: Compilation = Compilation.AUTO,
) -> list[PooledRun]:
    """Simulate a system once for each of many choices of inputs, on several cores.

    Numbers are the same bytes as those of :func:`solvers.simulate` alone, for any number of workers. A run that fails, or whose
    worker dies, is marked; the others go on. An interrupt ends all workers at once. Not to be called while other threads of
    the process hold locks: workers are forked.

    Parameters
    ----------
    model : a Pyomo model or a :class:`solvers.DaeSystem`.
    t_eval, rtol, atol, compilation : as for :func:`solvers.simulate`.
    runs : for each run its ``inputs``, as :func:`solvers.simulate` takes them.
    workers : number of processes; as many as there are cores for this process by default.

    Returns
    -------
    The runs in the order in which they were given.

    Raises
    ------
    UsageError : not even one worker.
    StructureError : see :func:`solvers.lower`.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers cannot run anything", hint="workers is a number from 1 on, or None for all cores")
    system = current_system(model)
    count = min(workers or len(os.sched_getaffinity(0)), len(runs))
    pool = _Pool(_Task(system, t_eval, runs, rtol, atol, compilation))
    try:
        return pool.run(count)
    finally:
        pool.end()


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    given: deque[int]
    """Runs that it has not answered yet, in their order."""


class _Pool:
    def __init__(self, task: _Task) -> None:
        self._task = task
        self._waiting = deque(range(len(task.runs)))
        self._results: list[PooledRun | None] = [None] * len(task.runs)
        self._workers: list[_Worker] = []

    def run(self, count: int) -> list[PooledRun]:
        for _ in range(count):
            self._start()
        while self._workers:
            ready = wait([worker.pipe for worker in self._workers])
            for worker in [worker for worker in self._workers if worker.pipe in ready]:
                self._hear(worker)
        return [result for result in self._results if result is not None]

    def end(self) -> None:
        """Kill what still runs: after an interrupt nobody waits for it."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def _start(self) -> None:
        ours, theirs = mp.Pipe()
        # a worker must hold no other worker's pipe, lest that one never hear that this process has ended
        foreign = [ours, *(worker.pipe for worker in self._workers)]
        process = mp.get_context("fork").Process(target=_work, args=(self._task, theirs, foreign), daemon=True)
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, deque()))
        self._feed(self._workers[-1])

    def _feed(self, worker: _Worker) -> None:
        """Keep a worker busy; one that has nothing left to do is sent home."""
        try:
            while self._waiting and len(worker.given) < AHEAD:
                worker.given.append(self._waiting.popleft())
                worker.pipe.send(worker.given[-1])
        except BrokenPipeError:
            return  # its end is heard next
        if not worker.given:
            self._workers.remove(worker)
            worker.pipe.close()
            worker.process.join()

    def _hear(self, worker: _Worker) -> None:
        try:
            answer: _Answer | None = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            answer = None
        if answer is None:
            self._bury(worker)
            return
        self._results[worker.given.popleft()] = self._result(answer)
        self._feed(worker)

    def _bury(self, worker: _Worker) -> None:
        """Mark the run that a worker died of; what else it had been given is still to be done, by another."""
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        how = f"killed by signal {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if worker.given:
            hint = "look at this run alone; too little memory is a common reason" if code < 0 else "its error is on stderr"
            self._results[worker.given.popleft()] = PooledRun(None, f"the worker of this run was lost: {how}; {hint}")
            self._waiting.extendleft(reversed(worker.given))
        if self._waiting:
            self._start()

    def _result(self, answer: _Answer) -> PooledRun:
        if answer.arrays is None:
            return PooledRun(None, answer.failure)
        t, x, z, u, p = answer.arrays
        trajectory = Trajectory(
            system=self._task.system,
            t=t,
            x=x,
            z=z,
            u=u,
            p=p,
            events=answer.events,
            status=answer.status,
            stats=answer.stats,
            compiled=answer.compiled,
        )
        return PooledRun(trajectory, answer.failure)


def _work(task: _Task, pipe: Connection, foreign: Sequence[Connection]) -> None:
    """Be a worker: simulate the runs whose numbers come through the pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's, which kills its workers
    for other in foreign:
        other.close()
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        answer = _answer(task, task.runs[number])
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return


def _answer(task: _Task, inputs: Mapping[Any, Any]) -> _Answer:
    failure, trajectory = "", None
    try:
        trajectory = simulate(task.system, task.t_eval, inputs=inputs, rtol=task.rtol, atol=task.atol, compilation=task.compilation)
    except SimulationError as error:
        failure, trajectory = str(error), error.trajectory
    except FlowsheetError as error:
        failure = str(error)
    if trajectory is None:
        return _Answer(None, (), Status.INCOMPLETE, Stats(), False, failure)
    arrays = (trajectory.t, trajectory.x, trajectory.z, trajectory.u, trajectory.p)
    return _Answer(arrays, trajectory.events, trajectory.status, trajectory.stats, trajectory.compiled, failure)
