"""Semi-explicit systems whose algebraic variables cannot be eliminated, against closed forms, with and without events."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Var

from flowsheet.verify.dae import cubic_law, cubic_time, hires_with_balance, rod_pendulum
from flowsheet.verify.problems import HIRES, digits
from solvers import lower, simulate
from solvers.declare import Direction, Event, Interpolation, Profile
from solvers.errors import StructureError


def test_algebraic_variable_stays_and_follows_its_closed_form() -> None:
    system = lower(cubic_law())
    assert (len(system.states), len(system.algebraics)) == (1, 1)
    trajectory = simulate(system, np.linspace(0, 4, 41), rtol=1e-9, atol=1e-11)
    times = [cubic_time(z) for z in trajectory["z"]]
    np.testing.assert_allclose(times, trajectory.t, atol=1e-6)
    np.testing.assert_allclose(trajectory["z"] + trajectory["z"] ** 3, trajectory["x"], rtol=1e-8)


@pytest.mark.parametrize("points", [2, 1001])
def test_guard_of_an_algebraic_variable(points: int) -> None:
    model = cubic_law()
    model.half = Event(guard=lambda m, t: m.z[t] - 0.5, direction=Direction.FALLING)
    (record,) = simulate(model, np.linspace(0, 4, points), rtol=1e-9, atol=1e-11).events
    assert record.time == pytest.approx(cubic_time(0.5), rel=1e-6)


def test_state_jump_gives_new_consistent_algebraic_values() -> None:
    """At z = 0.5 the vessel is charged again to x = 2, so z is 1 again: the events come at equal distances."""
    model = cubic_law(end=10.0)
    model.charge = Event(guard=lambda m, t: m.z[t] - 0.5, direction=Direction.FALLING, transition=lambda m, t: [(m.x[t], 2.0)])
    trajectory = simulate(model, np.linspace(0, 10, 201), rtol=1e-9, atol=1e-11)
    period = cubic_time(0.5)
    np.testing.assert_allclose([record.time for record in trajectory.events], period * np.arange(1, 6), rtol=1e-6)
    np.testing.assert_allclose(trajectory["z"] + trajectory["z"] ** 3, trajectory["x"], rtol=1e-7)
    assert trajectory["z"].min() > 0.5 - 1e-6


def test_inputs_by_profile_in_a_semi_explicit_system() -> None:
    """An inflow of 1 holds z = 1 while it lasts; a ramp down is met by x = 2 + int (u - z)."""
    steps = simulate(cubic_law(), [0.0, 1.0, 4.0], inputs={"inflow": Profile((0.0, 1.0), (1.0, 0.0))}, rtol=1e-9, atol=1e-11)
    assert steps["z"][1] == pytest.approx(1.0, rel=1e-7)
    assert cubic_time(steps["z"][2]) == pytest.approx(3.0, abs=1e-6)
    ramp = Profile((0.0, 2.0), (1.0, 0.0), Interpolation.LINEAR)
    fine = simulate(cubic_law(), np.linspace(0, 4, 4001), inputs={"inflow": ramp}, rtol=1e-9, atol=1e-11)
    inflow = np.clip(1 - fine.t / 2, 0, None)
    moved = np.trapezoid(inflow - fine["z"], fine.t)
    assert fine["x"][-1] - fine["x"][0] == pytest.approx(moved, abs=1e-6)


def test_error_falls_with_the_tolerance() -> None:
    system = lower(cubic_law())
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        z = simulate(system, [0.0, 4.0], rtol=rtol, atol=1e-2 * rtol)["z"][-1]
        errors.append(abs(cubic_time(z) - 4.0))
    assert errors[0] > errors[1] > errors[2]
    assert all(error < 100 * rtol for error, rtol in zip(errors, (1e-4, 1e-6, 1e-8), strict=True)), errors


def test_hires_with_one_balance_as_an_algebraic_equation() -> None:
    """y7 + y8 is constant: y8 from a nonlinear form of that instead of its own differential equation, same published end."""
    system = lower(hires_with_balance())
    assert (len(system.states), len(system.algebraics)) == (7, 1)
    trajectory = simulate(system, [0.0, HIRES.end_time], rtol=1e-9, atol=1e-11)
    assert digits(HIRES, [trajectory[name][-1] for name in HIRES.names]) > 6.5


def test_cartesian_pendulum_is_refused_for_its_index() -> None:
    """The rod's length is a constraint among states: index three; the message names it."""
    with pytest.raises(StructureError, match="rod"):
        simulate(rod_pendulum(), [0.0, 1.0])


def test_structural_rank_that_is_not_rank() -> None:
    """C (x1' - x2') stands in two equations: structural rank 2, rank 1. They hide x1 + x2 = 1, and x2 decays as exp(-t/4)."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x1, model.x2 = Var(model.t, initialize=0.5), Var(model.t, initialize=0.5)
    model.d1, model.d2 = DerivativeVar(model.x1), DerivativeVar(model.x2)
    model.left = Constraint(model.t, rule=lambda m, t: 2 * (m.d1[t] - m.d2[t]) == 1 - m.x1[t])
    model.right = Constraint(model.t, rule=lambda m, t: 2 * (m.d1[t] - m.d2[t]) == m.x2[t])
    model.x2[0].fix(0.5)
    trajectory = simulate(model, [0.0, 0.5, 1.0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trajectory["x2"], 0.5 * np.exp(-trajectory.t / 4), rtol=1e-9)
    np.testing.assert_allclose(trajectory["x1"] + trajectory["x2"], 1.0, rtol=1e-12)
