"""Values that change without lowering again, structure that may not, profiles against closed forms, initial values."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pyomo.common.collections import ComponentMap
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, Var

from solvers import lower, simulate
from solvers.declare import Interpolation, Profile
from solvers.errors import NumericsError, StructureError, UsageError


def tank(end: float = 5.0) -> ConcreteModel:
    """Return a tank x' = gain u - rate x with a mutable Param, a fixed scalar Var and a time-indexed input."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    model.rate = Param(initialize=0.5, mutable=True)
    model.gain = Var(initialize=1.0)
    model.gain.fix()
    model.u = Var(model.t, initialize=1.0)
    model.u.fix(1.0)
    model.x = Var(model.t, initialize=0.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.balance = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.gain * m.u[t] - m.rate * m.x[t])
    model.x[0].fix(0.0)
    return model


def filled(times: Any, *, rate: float = 0.5, feed: float = 1.0, start: float = 0.0) -> np.ndarray:
    return feed / rate + (start - feed / rate) * np.exp(-rate * np.asarray(times))


TIMES = np.linspace(0.0, 5.0, 51)


# ---- values ----------------------------------------------------------------------------------------------------------


def test_changed_values_are_used_by_the_model() -> None:
    model = tank()
    np.testing.assert_allclose(simulate(model, TIMES)["x"], filled(TIMES), atol=1e-7)
    model.rate.set_value(0.25)
    model.gain.fix(3.0)
    model.u.fix(2.0)
    model.x[0].fix(1.0)
    np.testing.assert_allclose(simulate(model, TIMES)["x"], filled(TIMES, rate=0.25, feed=6.0, start=1.0), atol=1e-7)


@pytest.mark.parametrize("by_name", [False, True])
def test_inputs_change_values_of_a_lowered_system(by_name: bool) -> None:
    model = tank()
    system = lower(model)
    inputs = {"rate": 0.25, "gain": 3.0, "u": 2.0} if by_name else ComponentMap([(model.rate, 0.25), (model.gain, 3.0), (model.u, 2.0)])
    changed = simulate(system, TIMES, inputs=inputs)
    np.testing.assert_allclose(changed["x"], filled(TIMES, rate=0.25, feed=6.0), atol=1e-7)
    np.testing.assert_allclose(simulate(system, TIMES)["x"], filled(TIMES), atol=1e-7)


def test_inputs_do_not_write_into_the_model() -> None:
    model = tank()
    simulate(model, TIMES, inputs=ComponentMap([(model.rate, 0.1), (model.u, 9.0)]))
    assert model.rate.value == 0.5
    assert model.u[0].value == 1.0


def test_unknown_input_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"gian.*gain"):
        simulate(tank(), TIMES, inputs={"gian": 2.0})


# ---- structure -------------------------------------------------------------------------------------------------------


def test_unfixing_an_input_is_noticed() -> None:
    model = tank()
    simulate(model, TIMES)
    model.u.unfix()
    with pytest.raises(StructureError, match="u"):
        simulate(model, TIMES)


def test_unfixed_input_with_its_equation_is_noticed() -> None:
    model = tank()
    simulate(model, TIMES)
    model.u.unfix()
    model.control = Constraint(model.t, rule=lambda m, t: m.u[t] == 2 - m.x[t])
    np.testing.assert_allclose(simulate(model, TIMES)["x"], filled(TIMES, rate=1.5, feed=2.0), atol=1e-7)


def test_deactivated_equation_is_noticed() -> None:
    model = tank()
    model.spare = Var(model.t, initialize=0.0)
    model.spare_rule = Constraint(model.t, rule=lambda m, t: m.spare[t] == 2 * m.x[t])
    model.loss = Var(model.t, initialize=0.0)
    model.loss_rule = Constraint(model.t, rule=lambda m, t: m.loss[t] == m.spare[t])
    simulate(model, TIMES)
    model.loss_rule.deactivate()
    model.other_rule = Constraint(model.t, rule=lambda m, t: m.loss[t] == 5 * m.spare[t])
    trajectory = simulate(model, TIMES)
    np.testing.assert_allclose(trajectory["loss"], 10 * trajectory["x"], rtol=1e-12)


def test_changed_expression_is_noticed() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    model.x = Var(model.t, initialize=1.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.loss = Expression(model.t, rule=lambda m, t: 0.5 * m.x[t])
    model.balance = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.loss[t])
    model.x[0].fix(1.0)
    np.testing.assert_allclose(simulate(model, TIMES)["x"], np.exp(-0.5 * TIMES), atol=1e-7)
    for t in model.t:
        model.loss[t].set_value(2.0 * model.x[t])
    np.testing.assert_allclose(simulate(model, TIMES)["x"], np.exp(-2.0 * TIMES), atol=1e-7)


def test_replaced_equation_is_noticed() -> None:
    model = tank()
    simulate(model, TIMES)
    for t in model.t:
        model.balance[t].set_value(model.dx[t] == model.gain * model.u[t] - 2 * model.rate * model.x[t])
    np.testing.assert_allclose(simulate(model, TIMES)["x"], filled(TIMES, rate=1.0), atol=1e-7)


def test_input_fixed_to_different_values_needs_a_profile() -> None:
    model = tank()
    model.u[0].fix(1.0)
    model.u[5].fix(2.0)
    with pytest.raises(StructureError, match="u"):
        simulate(model, TIMES)
    ramp = Profile((0.0, 5.0), (1.0, 2.0), Interpolation.LINEAR)
    expected = filled(TIMES) + 0.2 * (TIMES / 0.5 - (1 - np.exp(-0.5 * TIMES)) / 0.25)
    np.testing.assert_allclose(simulate(model, TIMES, inputs={model.u: ramp})["x"], expected, atol=1e-7)


# ---- initial values --------------------------------------------------------------------------------------------------


def test_state_without_initial_value_is_refused_by_name() -> None:
    model = tank()
    model.x[0].unfix()
    with pytest.raises(StructureError, match=r"\bx\b"):
        simulate(model, TIMES)


def test_initial_equation_gives_the_initial_value() -> None:
    """At rest from the start: dx(0) = 0, so x(0) = gain u / rate."""
    model = tank()
    model.x[0].unfix()
    model.at_rest = Constraint(expr=model.dx[0] == 0)
    np.testing.assert_allclose(simulate(model, TIMES)["x"], 2.0, rtol=1e-8)


def test_initial_equation_between_states() -> None:
    model = tank()
    model.y = Var(model.t, initialize=0.3)
    model.dy = DerivativeVar(model.y, wrt=model.t)
    model.decay = Constraint(model.t, rule=lambda m, t: m.dy[t] == -m.y[t])
    model.x[0].fix(0.25)
    model.start = Constraint(expr=model.y[0] ** 2 == model.x[0])
    np.testing.assert_allclose(simulate(model, TIMES)["y"], 0.5 * np.exp(-TIMES), atol=1e-7)


def test_initial_guess_selects_the_root() -> None:
    """z^2 = x has two roots; the value written into the Var says which."""
    for guess in (-1.0, 1.0):
        model = tank()
        model.z = Var(model.t, initialize=guess)
        model.square = Constraint(model.t, rule=lambda m, t: m.z[t] ** 2 == 1 + m.x[t])
        trajectory = simulate(model, TIMES)
        np.testing.assert_allclose(trajectory["z"], guess * np.sqrt(1 + filled(TIMES)), rtol=1e-6)


def test_two_initial_values_for_one_state_are_refused() -> None:
    model = tank()
    model.extra = Constraint(expr=model.x[0] == 3)
    with pytest.raises(NumericsError, match="inconsistent initial conditions") as caught:
        simulate(model, TIMES)
    assert "extra" in caught.value.names


# ---- profiles --------------------------------------------------------------------------------------------------------


def test_held_profile_against_its_closed_form() -> None:
    """Steps between and on output points; each step starts an exponential of its own."""
    steps = ((0.0, 1.0), (0.37, -2.0), (1.0, 4.0), (3.3, 0.0))
    profile = Profile(tuple(time for time, _ in steps), tuple(value for _, value in steps))
    model = tank()
    trajectory = simulate(model, TIMES, inputs={model.u: profile}, rtol=1e-10, atol=1e-12)
    expected, previous = np.zeros_like(TIMES), 0.0
    for start, value in steps:
        elapsed = np.clip(TIMES - start, 0.0, None)
        expected += (value - previous) / 0.5 * (1 - np.exp(-0.5 * elapsed))
        previous = value
    np.testing.assert_allclose(trajectory["x"], expected, atol=1e-8)
    np.testing.assert_allclose(trajectory["u"][TIMES == 1.0], 4.0)


def linear_response(times: np.ndarray, profile: Profile, rate: float = 0.5) -> np.ndarray:
    """Return the response of x' = u - rate x, x(0) = 0, to straight lines: ramps superposed."""
    response, slope = profile.values[0] / rate * (1 - np.exp(-rate * times)), 0.0
    points = list(zip(profile.times, profile.values, strict=True))
    for (t0, v0), (t1, v1) in pairwise(points):
        elapsed = np.clip(times - t0, 0.0, None)
        new = (v1 - v0) / (t1 - t0)
        response += (new - slope) * (elapsed / rate - (1 - np.exp(-rate * elapsed)) / rate**2)
        slope = new
    elapsed = np.clip(times - profile.times[-1], 0.0, None)
    return response - slope * (elapsed / rate - (1 - np.exp(-rate * elapsed)) / rate**2)


def test_linear_profile_against_its_closed_form() -> None:
    profile = Profile((0.0, 0.7, 1.1, 4.2), (1.0, 3.0, 0.5, 2.0), Interpolation.LINEAR)
    model = tank()
    trajectory = simulate(model, TIMES, inputs={"u": profile}, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trajectory["x"], linear_response(TIMES, profile), atol=1e-8)
    np.testing.assert_allclose(trajectory["u"], np.interp(TIMES, profile.times, profile.values), atol=1e-12)


@pytest.mark.parametrize("interpolation", list(Interpolation))
def test_error_falls_with_the_tolerance(interpolation: Interpolation) -> None:
    profile = Profile((0.0, 0.7, 1.1, 4.2), (1.0, 3.0, 0.5, 2.0), interpolation)
    model = tank()
    system = lower(model)
    exact = simulate(system, TIMES, inputs={model.u: profile}, rtol=1e-13, atol=1e-14)["x"]
    tolerances = (1e-4, 1e-6, 1e-8, 1e-10)
    errors = [
        float(np.max(np.abs(simulate(system, TIMES, inputs={model.u: profile}, rtol=rtol, atol=1e-2 * rtol)["x"] - exact)))
        for rtol in tolerances
    ]
    assert all(error < 100 * rtol for error, rtol in zip(errors, tolerances, strict=True)), errors
    assert errors[0] > errors[1] > errors[2] > errors[3], errors
    order = math.log10(errors[0] / errors[-1]) / 6
    assert order > 0.8, errors


def test_short_pulse_between_output_points_is_not_missed() -> None:
    model = tank(end=1000.0)
    model.u.fix(0.0)
    pulse = Profile((0.0, 500.0, 500.01), (0.0, 100.0, 0.0))
    trajectory = simulate(model, [0.0, 499.0, 502.0, 1000.0], inputs={model.u: pulse})
    expected = 100.0 / 0.5 * (1 - math.exp(-0.005)) * math.exp(-0.5 * 1.99)
    assert trajectory["x"][1] == pytest.approx(0.0, abs=1e-12)
    assert trajectory["x"][2] == pytest.approx(expected, rel=1e-6)


def test_profile_that_starts_late_holds_its_first_value() -> None:
    model = tank()
    trajectory = simulate(model, TIMES, inputs={model.u: Profile((2.0,), (3.0,))})
    np.testing.assert_allclose(trajectory["x"], filled(TIMES, feed=3.0), atol=1e-7)
