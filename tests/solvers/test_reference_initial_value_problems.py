"""Stiff and non-stiff initial value problems with published end values, scored by significant correct digits (scd).

An end value passes if scd >= -log10(rtol) - 1.5; scd has to grow as rtol gets tighter.  Problems, published values and
how far they were confirmed: ``flowsheet/verify``.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from flowsheet.verify.problems import ARENSTORF, E5, HIRES, OREGO, ROBER, ROBER_LONG, InitialValueProblem, build_model, digits
from solvers import Status, lower, simulate

TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)


def scores(problem: InitialValueProblem, tolerances: tuple[float, ...]) -> list[float]:
    """Return the correct digits at each rtol, with atol a hundredth of rtol times each state's scale."""
    system = lower(build_model(problem))
    found = []
    for rtol in tolerances:
        trajectory = simulate(system, [0.0, problem.end_time], rtol=rtol, atol=1e-2 * rtol)
        assert trajectory.status is Status.COMPLETE
        found.append(digits(problem, [trajectory[name][-1] for name in problem.names]))
    return found


@pytest.mark.parametrize("problem", [HIRES, ROBER, ROBER_LONG, OREGO], ids=lambda problem: problem.name)
def test_correct_digits_follow_the_tolerance(problem: InitialValueProblem) -> None:
    found = scores(problem, TOLERANCES)
    table = ", ".join(f"{rtol:g}: {scd:.2f}" for rtol, scd in zip(TOLERANCES, found, strict=True))
    assert all(scd >= -math.log10(rtol) - 1.5 for rtol, scd in zip(TOLERANCES, found, strict=True)), table
    assert all(later > earlier for earlier, later in pairwise(found)), table


def test_arenstorf_orbit_closes() -> None:
    """The orbit multiplies an error made near the moon by some 1e4, so its digits are asked for apart from the others'."""
    tolerances = (1e-7, 1e-9, 1e-11)
    found = scores(ARENSTORF, tolerances)
    assert found[0] < found[1] < found[2]
    assert found[-1] >= 4.0


def test_e5_stays_finite_over_twenty_decades() -> None:
    trajectory = simulate(build_model(E5), [0.0, *np.logspace(-3, 13, 17)], rtol=1e-8, atol=1e-8)
    assert trajectory.status is Status.COMPLETE
    for name in E5.names:
        assert np.all(np.isfinite(trajectory[name]))
        assert np.max(np.abs(trajectory[name])) <= E5.start[0] * (1 + 1e-6)


@pytest.mark.parametrize("end_time", [40.0, 1e11])
def test_rober_keeps_its_mass(end_time: float) -> None:
    times = np.concatenate(([0.0], np.logspace(-5, math.log10(end_time), 60)))
    trajectory = simulate(build_model(ROBER if end_time == ROBER.end_time else ROBER_LONG), times, rtol=1e-8, atol=1e-10)
    total = trajectory["y1"] + trajectory["y2"] + trajectory["y3"]
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=1e-10)


def test_output_points_do_not_change_the_steps() -> None:
    system = lower(build_model(HIRES))
    few = simulate(system, [0.0, HIRES.end_time], rtol=1e-6, atol=1e-8)
    many = simulate(system, np.linspace(0.0, HIRES.end_time, 1001), rtol=1e-6, atol=1e-8)
    assert few.stats.steps == many.stats.steps
    for name in HIRES.names:
        assert few[name][-1] == many[name][-1]


def test_counters_are_reported_and_grow_with_the_work() -> None:
    system = lower(build_model(HIRES))
    loose = simulate(system, [0.0, HIRES.end_time], rtol=1e-4, atol=1e-6).stats
    tight = simulate(system, [0.0, HIRES.end_time], rtol=1e-8, atol=1e-10).stats
    assert 20 < loose.steps < tight.steps < 5000
    assert loose.rhs_evaluations >= loose.steps
    assert 0 < loose.jacobian_evaluations <= loose.steps
    assert loose.factorizations >= loose.jacobian_evaluations
    assert loose.newton_iterations >= loose.steps
    assert set(loose.as_dict()) >= {"steps", "rhs_evaluations", "jacobian_evaluations", "factorizations", "newton_iterations", "restarts"}


def test_equal_calls_give_equal_bits() -> None:
    first = simulate(build_model(OREGO), [0.0, 100.0, 360.0], rtol=1e-7, atol=1e-9)
    second = simulate(build_model(OREGO), [0.0, 100.0, 360.0], rtol=1e-7, atol=1e-9)
    for name in OREGO.names:
        assert first[name].tobytes() == second[name].tobytes()
