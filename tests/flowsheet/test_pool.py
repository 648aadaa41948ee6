from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Param, Var

from flowsheet import pool
from flowsheet.pool import run_many
from solvers import Status, lower, simulate
from solvers.errors import StructureError, UsageError

ROOT = Path(__file__).parents[2]


def decay() -> ConcreteModel:
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 1))
    model.x = Var(model.time, initialize=1.0)
    model.v = DerivativeVar(model.x, wrt=model.time)
    model.k = Param(initialize=2.0, mutable=True)
    model.law = Constraint(model.time, rule=lambda m, t: m.v[t] == -m.k * m.x[t] ** 2)
    model.x[0].fix(1.0)
    return model


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_runs_come_back_in_their_order_with_the_bytes_of_a_run_alone(workers: int | None) -> None:
    model = decay()
    system = lower(model)
    rates = np.linspace(0.5, 4.0, 17)
    t = np.linspace(0, 1, 5)
    results = run_many(system, t, [{"k": rate} for rate in rates], workers=workers)
    assert len(results) == len(rates)
    for rate, result in zip(rates, results, strict=True):
        assert result.complete
        assert result.trajectory is not None
        np.testing.assert_allclose(result.trajectory["x"], 1 / (1 + rate * t), rtol=1e-7)
        alone = simulate(system, t, inputs={"k": rate})
        assert alone["x"].tobytes() == result.trajectory["x"].tobytes()
    assert model.k.value == 2.0


def test_output_times_may_be_a_slice_of_others() -> None:
    t = np.linspace(0, 1, 41)[::10]
    (result,) = run_many(decay(), t, [{"k": 1.0}])
    assert result.trajectory is not None
    np.testing.assert_allclose(result.trajectory["x"], 1 / (1 + t), rtol=1e-7)


def test_no_runs_are_no_results() -> None:
    assert run_many(decay(), [1.0], []) == []


def test_a_run_that_fails_is_marked_and_the_others_go_on() -> None:
    # x' = x² escapes at t = 1/x(0): with k = -2 at t = 1/2
    good, bad, wrong = run_many(decay(), [0.25, 1.0], [{"k": 1.0}, {"k": -2.0}, {"no such input": 1.0}], workers=2)
    assert good.complete
    assert not bad.complete
    assert bad.trajectory is not None
    assert bad.trajectory.status is Status.INCOMPLETE
    assert bad.trajectory["x"][0] == pytest.approx(2.0, rel=1e-6)
    assert "dominated by x" in bad.failure
    assert wrong.trajectory is None
    assert "no such input" in wrong.failure


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_takes_its_run_alone_with_it(monkeypatch: pytest.MonkeyPatch, workers: int, how: signal.Signals) -> None:
    real = pool.simulate

    def fatal(*arguments: Any, inputs: dict[str, float], **options: Any) -> Any:
        if inputs["k"] == 3.0:
            os.kill(os.getpid(), how)
        return real(*arguments, inputs=inputs, **options)

    monkeypatch.setattr(pool, "simulate", fatal)
    results = run_many(decay(), [1.0], [{"k": float(k)} for k in (1, 2, 3, 4, 3, 5, 6)], workers=workers)
    assert [result.complete for result in results] == [True, True, False, True, False, True, True]
    assert how.name in results[2].failure
    for k, result in zip((1, 2, 3, 4, 3, 5, 6), results, strict=True):
        if result.trajectory is not None:
            assert result.trajectory["x"][0] == pytest.approx(1 / (1 + k), rel=1e-6)


def test_what_no_run_could_do_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="workers"):
        run_many(decay(), [1.0], [{}], workers=0)
    model = decay()
    model.x[0].unfix()
    with pytest.raises(StructureError):
        run_many(model, [1.0], [{}])


def test_nothing_is_left_after_the_runs() -> None:
    before = set(_children())
    run_many(decay(), [1.0], [{"k": 1.0}] * 6, workers=3)
    assert set(_children()) == before


def _children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


LONG = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background hands an ignored one down
import flowsheet.pool as pool
sys.path.insert(0, {folder!r})
from test_pool import decay
def slow(*arguments, **options):
    print(__import__("os").getpid(), flush=True)
    time.sleep(600)
pool.simulate = slow
pool.run_many(decay(), [1.0], [{{}}] * 8, workers=2)
"""


@pytest.mark.parametrize("whole_group", [False, True], ids=["the parent alone", "as a terminal does"])
def test_an_interrupt_ends_all_at_once(whole_group: bool) -> None:
    program = LONG.format(folder=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert process.returncode != 0
    assert not [pid for pid in workers if _runs(pid)]


def test_workers_end_with_their_parent() -> None:
    program = LONG.replace("time.sleep(600)", "time.sleep(1)").format(folder=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(_runs(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
