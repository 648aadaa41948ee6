"""Runs of one system again and again: the same bytes as runs from scratch, whatever was run before."""

from __future__ import annotations

import numpy as np
import pytest

from flowsheet.verify.circuits import nand_gate, nand_inputs
from flowsheet.verify.events import draining_hopper
from flowsheet.verify.problems import HIRES, build_model
from solvers import IntegrationMethod, Repeater, SimulationError, lower, simulate
from solvers.errors import UsageError
from tests.solvers.test_diagnose import decay, with_equation


def test_repeated_runs_are_runs_from_scratch_to_the_last_bit() -> None:
    """Smooth, with events, and with algebraic variables and profiles."""
    cases = (
        (lower(build_model(HIRES)), np.linspace(0, HIRES.end_time, 11), None),
        (lower(draining_hopper(3000.0)), np.linspace(0, 3000, 31), None),
        (lower(nand_gate()), np.linspace(0, 80, 9), nand_inputs()),
    )
    for system, times, inputs in cases:
        fresh = simulate(system, times, inputs=inputs, rtol=1e-6, atol=1e-8)
        repeat = Repeater(system, times, inputs=inputs, rtol=1e-6, atol=1e-8)
        for _ in range(3):
            again = repeat()
            assert again.x.tobytes() == fresh.x.tobytes()
            assert again.z.tobytes() == fresh.z.tobytes()
            assert again.events == fresh.events
            assert replace_seconds(again.stats.as_dict()) == replace_seconds(fresh.stats.as_dict())


def replace_seconds(stats: dict[str, float]) -> dict[str, float]:
    return {**stats, "seconds": 0.0}


def test_values_and_starts_of_a_call_hold_for_that_call() -> None:
    repeat = Repeater(decay(), [0.0, 1.0])
    assert repeat({"rate": 2.0})["y"][-1] == pytest.approx(np.exp(-2.0), rel=1e-7)
    assert repeat({"rate": 2.0}, {"y": 3.0})["y"][-1] == pytest.approx(3 * np.exp(-2.0), rel=1e-7)
    assert repeat()["y"][-1] == pytest.approx(np.exp(-1.0), rel=1e-7)


def test_a_failed_run_leaves_no_trace() -> None:
    model = with_equation(lambda y: y**2, start=0.5)
    repeat = Repeater(model, [0.0, 1.0])
    good = repeat()
    with pytest.raises(SimulationError):
        repeat(starts={"y": 5.0})
    assert repeat().x.tobytes() == good.x.tobytes()


def test_unknown_names_are_refused() -> None:
    repeat = Repeater(decay(), [0.0, 1.0])
    with pytest.raises(UsageError, match="no state is called"):
        repeat(starts={"yy": 1.0})
    with pytest.raises(UsageError, match="rte"):
        repeat({"rte": 1.0})


@pytest.mark.parametrize("method", [IntegrationMethod.BDF, IntegrationMethod.RADAU])
def test_a_repeater_integrates_as_it_is_told(method: IntegrationMethod) -> None:
    system = lower(build_model(HIRES))
    t = np.linspace(0.0, 300.0, 5)
    expected = simulate(system, t, method=method)
    found = Repeater(system, t, method=method)()
    assert found.x.tobytes() == expected.x.tobytes()
    assert found.stats.steps == expected.stats.steps
