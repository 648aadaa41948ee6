"""Forward derivatives on smooth runs: closed forms, published values, independent references, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, Var
from scipy.integrate import solve_ivp

from solvers import Method, Sensitivities, SimulationError, lower, sensitivities, simulate
from solvers.declare import Interpolation, Profile
from solvers.errors import NumericsError, UsageError

Derive = Callable[..., Sensitivities]


@pytest.fixture(params=list(Method), ids=lambda method: method.name.lower())
def derive(request: pytest.FixtureRequest) -> Derive:
    return partial(sensitivities, method=request.param)


def model_with_time(end: float) -> ConcreteModel:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    return model


def add_states(model: Any, **states: tuple[float | None, Any]) -> None:
    """Add states by name with (start, slope); None leaves the start open."""
    for name, (start, _) in states.items():
        model.add_component(name, Var(model.t, initialize=1.0 if start is None else start))
        model.add_component(f"{name}_dot", DerivativeVar(model.component(name), wrt=model.t))
        if start is not None:
            model.component(name)[0].fix(start)
    for name, (_, slope) in states.items():
        dot = model.component(f"{name}_dot")
        model.add_component(f"{name}_balance", Constraint(model.t, rule=lambda m, t, dot=dot, slope=slope: dot[t] == slope(m, t)))


def decay(start: float = 2.0) -> ConcreteModel:
    model = model_with_time(3.0)
    model.k = Param(initialize=0.7, mutable=True)
    model.feed = Var(model.t)
    model.feed.fix(0.3)
    add_states(model, x=(start, lambda m, t: m.feed[t] - m.k * m.x[t]))
    model.rate = Expression(model.t, rule=lambda m, t: m.k * m.x[t] ** 2)
    return model


def test_one_output_that_depends_on_every_state(derive: Derive) -> None:
    """The sum of two decays: its derivative by the states is a row without a gap."""
    model = model_with_time(2.0)
    model.k = Param(initialize=0.7, mutable=True)
    add_states(model, x=(2.0, lambda m, t: -m.k * m.x[t]), y=(1.0, lambda m, t: -2 * m.k * m.y[t]))
    model.both = Expression(model.t, rule=lambda m, t: m.x[t] + m.y[t])
    t = np.linspace(0, 2, 5)
    found = derive(model, ["k"], "both", t, rtol=1e-10, atol=1e-12)["both", "k"]
    assert found == pytest.approx(-2 * t * np.exp(-0.7 * t) - 2 * t * np.exp(-1.4 * t), abs=1e-8)


def test_decay_by_rate_feed_and_start(derive: Derive) -> None:
    model = decay()
    t, k, u, x0 = np.linspace(0, 3, 7), 0.7, 0.3, 2.0
    result = derive(model, ["k", model.feed, model.x[0]], [model.x, "rate", "feed"], t, rtol=1e-10, atol=1e-12)
    e = np.exp(-k * t)
    x = x0 * e + u / k * (1 - e)
    by_k = -t * x0 * e - u / k**2 * (1 - e) + u / k * t * e
    by_u, by_x0 = (1 - e) / k, e
    close = {"rel": 1e-8, "abs": 1e-9}
    assert result.trajectory["x"] == pytest.approx(x, **close)
    assert result["x", "k"] == pytest.approx(by_k, **close)
    assert result[model.x, model.feed] == pytest.approx(by_u, **close)
    assert result[model.x[:], "x"] == pytest.approx(by_x0, **close)
    assert result["rate", "k"] == pytest.approx(x**2 + 2 * k * x * by_k, **close)
    assert result["feed", "feed"] == pytest.approx(np.ones(7))
    assert result["feed", "k"] == pytest.approx(np.zeros(7))
    assert result.outputs == ("x", "rate", "feed")
    assert result.parameters == ("k", "feed", "x")
    assert result.array.shape == (7, 3, 3)


def test_one_output_of_several_states_and_a_parameter(derive: Derive) -> None:
    model = model_with_time(1.0)
    model.k = Param(initialize=0.5, mutable=True)
    add_states(model, x=(2.0, lambda m, t: -m.k * m.x[t]), y=(3.0, lambda m, t: 0 * m.x[t] + 1.0))
    model.ratio = Expression(model.t, rule=lambda m, t: m.k * m.x[t] / m.y[t])
    result = derive(model, ["k", "x"], ["ratio"], [1.0], rtol=1e-10, atol=1e-12)
    x = 2.0 * math.exp(-0.5)
    assert result["ratio", "k"] == pytest.approx([(x - 0.5 * x) / 4.0], rel=1e-8)
    assert result["ratio", "x"] == pytest.approx([0.5 * math.exp(-0.5) / 4.0], rel=1e-8)


# ---- Robertson ---------------------------------------------------------------------------------------------------------

ROBER_RATES = (0.04, 1e4, 3e7)
ROBER_PRINTED = [
    [-3.5595e-01, 9.5431e-08, -1.5833e-11],
    [3.9025e-04, -2.1309e-10, -5.2900e-13],
    [3.5556e-01, -9.5218e-08, 1.6362e-11],
]
"""At t = 0.4, as printed by the example cvsRoberts_FSA_dns of SUNDIALS (rtol 1e-4): rows y1, y2, y3; columns p1, p2, p3."""


def rober() -> ConcreteModel:
    model = model_with_time(400.0)
    model.p = Param([1, 2, 3], initialize=dict(enumerate(ROBER_RATES, 1)), mutable=True)
    rates = (lambda m, t: m.p[1] * m.y1[t], lambda m, t: m.p[2] * m.y2[t] * m.y3[t], lambda m, t: m.p[3] * m.y2[t] ** 2)
    add_states(
        model,
        y1=(1.0, lambda m, t: -rates[0](m, t) + rates[1](m, t)),
        y2=(0.0, lambda m, t: rates[0](m, t) - rates[1](m, t) - rates[2](m, t)),
        y3=(0.0, lambda m, t: rates[2](m, t)),
    )
    return model


def rober_reference(times: np.ndarray) -> np.ndarray:
    """Variational equations by SciPy's Radau, shape (times, 3, 3)."""
    p1, p2, p3 = ROBER_RATES

    def slopes(_: float, v: np.ndarray) -> np.ndarray:
        y1, y2, y3 = v[:3]
        by_y = np.array([[-p1, p2 * y3, p2 * y2], [p1, -p2 * y3 - 2 * p3 * y2, -p2 * y2], [0.0, 2 * p3 * y2, 0.0]])
        by_p = np.array([[-y1, y2 * y3, 0.0], [y1, -y2 * y3, -(y2**2)], [0.0, 0.0, y2**2]])
        return np.concatenate([rober_slopes(v[:3]), (by_y @ v[3:].reshape(3, 3) + by_p).ravel()])

    def rober_slopes(y: np.ndarray) -> np.ndarray:
        one, two, three = p1 * y[0], p2 * y[1] * y[2], p3 * y[1] ** 2
        return np.array([-one + two, one - two - three, three])

    start = np.concatenate([[1.0, 0.0, 0.0], np.zeros(9)])
    scale = np.concatenate([[1, 1e-5, 1], np.outer([1, 1e-5, 1], 1 / np.array(ROBER_RATES)).ravel()])
    run = solve_ivp(slopes, (0.0, times[-1]), start, "Radau", times, rtol=1e-11, atol=1e-13 * scale)
    return np.asarray(run.y.T[:, 3:].reshape(-1, 3, 3))


def test_rober_against_printed_values_and_radau(derive: Derive) -> None:
    times = np.array([0.4, 4.0, 40.0, 400.0])
    result = derive(rober(), ["p[1]", "p[2]", "p[3]"], ["y1", "y2", "y3"], times, rtol=1e-9, atol=1e-14)
    assert result.array[0] == pytest.approx(np.array(ROBER_PRINTED), rel=2e-4)
    assert result.array == pytest.approx(rober_reference(times), rel=1e-6, abs=0)


def test_derivatives_converge_with_the_tolerance(derive: Derive) -> None:
    times = np.array([4.0, 40.0])
    exact = rober_reference(times)
    errors = []
    for rtol in (1e-5, 1e-7, 1e-9):
        found = derive(rober(), "p", ["y1", "y2", "y3"], times, rtol=rtol, atol=1e-5 * rtol).array
        errors.append(float(np.abs(found / exact - 1).max()))
    assert errors[0] < 1e-3
    assert errors[1] < 1e-5
    assert errors[2] < 1e-7


# ---- algebraic equations, starts, ramps --------------------------------------------------------------------------------


def implicit_outflow() -> ConcreteModel:
    """``x' = -z, z + z^3 = p x``; hence ``ln z + 3 z^2 / 2 + p t`` is constant."""
    model = model_with_time(2.0)
    model.p = Param(initialize=1.5, mutable=True)
    model.z = Var(model.t, initialize=0.8)
    add_states(model, x=(1.2, lambda m, t: -m.z[t]))
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] + m.z[t] ** 3 == m.p * m.x[t])
    return model


def test_algebraic_variables_by_parameter_and_start(derive: Derive) -> None:
    model = implicit_outflow()
    system = lower(model)
    assert [slot.name for slot in system.algebraics] == ["z"]
    times = np.linspace(0, 2, 5)
    result = derive(system, ["p", "x"], ["z", "x"], times, rtol=1e-10, atol=1e-12)
    z, p, x0 = result.trajectory["z"], 1.5, 1.2
    start = z[0]
    assert start + start**3 == pytest.approx(p * x0)
    weight, first = 1 / z + 3 * z, 1 / start + 3 * start
    for name, slope, drift in (("p", x0 / (1 + 3 * start**2), times), ("x", p / (1 + 3 * start**2), 0 * times)):
        by = (first * slope - drift) / weight
        assert result["z", name] == pytest.approx(by, rel=1e-7, abs=1e-9)
        x_by = (1 + 3 * z**2) * by / p - (result.trajectory["x"] / p if name == "p" else 0)
        assert result["x", name] == pytest.approx(x_by, rel=1e-7, abs=1e-9)


def test_a_start_that_follows_from_an_equation(derive: Derive) -> None:
    model = model_with_time(1.0)
    model.q = Param(initialize=6.0, mutable=True)
    model.k = Param(initialize=0.5, mutable=True)
    add_states(model, x=(None, lambda m, t: -m.k * m.x[t]), y=(1.0, lambda m, t: m.x[t]))
    model.start = Constraint(expr=model.x[0] ** 2 + model.x[0] == model.q * model.y[0])
    times = np.linspace(0, 1, 3)
    result = derive(model, ["q", "y"], ["x", "y"], times, rtol=1e-10, atol=1e-12)
    by_q, decayed = 1 / 5, np.exp(-0.5 * times)
    assert result["x", "q"] == pytest.approx(by_q * decayed, rel=1e-8)
    assert result["x", "y"] == pytest.approx(6 * by_q * decayed, rel=1e-8)
    assert result["y", "y"] == pytest.approx(1 + 6 * by_q * (1 - decayed) / 0.5, rel=1e-8)
    with pytest.raises(UsageError, match="the start of x follows from the equations of the start"):
        derive(model, "x", "y", times)


def test_an_algebraic_variable_fixed_at_the_start(derive: Derive) -> None:
    model = model_with_time(1.0)
    model.k = Param(initialize=0.5, mutable=True)
    model.z = Var(model.t, initialize=1.5)
    add_states(model, x=(None, lambda m, t: -m.k * m.x[t]))
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] + m.z[t] ** 3 == m.k * m.x[t])
    model.z[0].fix(1.5)
    result = derive(model, ["z", "k"], "x", [0.0, 1.0], rtol=1e-10, atol=1e-12)
    assert result.stats.steps < 1000  # and not a million of the first order, where a derivative of z that begins at zero keeps it there
    start, by_z = (1.5 + 1.5**3) / 0.5, (1 + 3 * 1.5**2) / 0.5
    assert result["x", "z"] == pytest.approx([by_z, by_z * math.exp(-0.5)], rel=1e-8)
    assert result["x", "k"] == pytest.approx([-start / 0.5, (-start / 0.5 - start) * math.exp(-0.5)], rel=1e-8)


def test_a_model_without_states(derive: Derive) -> None:
    model = model_with_time(2.0)
    model.k = Param(initialize=4.0, mutable=True)
    model.u = Var(model.t)
    model.u.fix(0.5)
    model.z = Var(model.t, initialize=1.0)
    model.law = Constraint(model.t, rule=lambda m, t: m.z[t] ** 3 == m.k * m.u[t] * m.z[t])
    result = derive(model, ["k", "u"], "z", [0.0, 2.0])
    root = math.sqrt(2.0)
    assert result["z", "k"] == pytest.approx([0.5 / (2 * root)] * 2, rel=1e-8)
    assert result["z", "u"] == pytest.approx([4 / (2 * root)] * 2, rel=1e-8)


def test_the_start_alone(derive: Derive) -> None:
    result = derive(decay(), ["x", "k"], ["x", "rate"], [0.0])
    assert result.array[0] == pytest.approx(np.array([[1.0, 0.0], [2 * 0.7 * 2.0, 4.0]]))


def test_a_derivative_of_a_slope_that_is_not_finite_stops_the_run() -> None:
    model = model_with_time(1.0)
    add_states(model, x=(0.0, lambda m, t: m.x[t] ** 0.5))
    with pytest.raises(SimulationError, match="not a number: the derivative of the slope of x is not finite"):
        sensitivities(model, "x", "x", [1.0])


def complex_step(function: Any, value: float) -> Any:
    return np.imag(function(value + 1e-30j)) / 1e-30


def test_an_input_that_rises_along_a_line(derive: Derive) -> None:
    model = decay()
    times = np.linspace(0, 3, 5)
    ramp = Profile((0.0, 3.0), (0.3, 0.9), Interpolation.LINEAR)
    result = derive(model, ["k", "x"], "x", times, inputs={"feed": ramp}, rtol=1e-10, atol=1e-12)

    def x(k: Any) -> Any:
        e = np.exp(-k * times)
        return 2.0 * e + 0.3 / k * (1 - e) + 0.2 * (times / k - (1 - e) / k**2)

    assert result["x", "k"] == pytest.approx(complex_step(x, 0.7), rel=1e-8, abs=1e-9)
    assert result["x", "x"] == pytest.approx(np.exp(-0.7 * times), rel=1e-8)


def test_derivatives_by_the_start_compose_along_time(derive: Derive) -> None:
    def oscillator(start: tuple[float, float]) -> ConcreteModel:
        model = model_with_time(2.0)
        add_states(model, x=(start[0], lambda m, t: m.v[t]), v=(start[1], lambda m, t: 3 * (1 - m.x[t] ** 2) * m.v[t] - m.x[t]))
        return model

    states, tight = ["x", "v"], {"rtol": 1e-10, "atol": 1e-12}
    whole = derive(oscillator((2.0, 0.3)), states, states, [0.0, 0.7, 2.0], **tight)
    middle = (float(whole.trajectory["x"][1]), float(whole.trajectory["v"][1]))
    rest = derive(oscillator(middle), states, states, [1.3], **tight)
    assert whole.array[0] == pytest.approx(np.eye(2))
    assert rest.array[0] @ whole.array[1] == pytest.approx(whole.array[2], rel=1e-7, abs=1e-9)


def test_the_points_of_time_are_the_default(derive: Derive) -> None:
    model = decay()
    assert list(derive(model, "k", "x").t) == [0.0, 3.0]


def test_values_given_for_the_run_count(derive: Derive) -> None:
    result = derive(decay(), ["k", "feed"], "x", [1.0], inputs={"k": 0.5, "feed": 0.0})
    assert result["x", "k"] == pytest.approx(-2 * math.exp(-0.5), rel=1e-7)
    assert result["x", "feed"] == pytest.approx((1 - math.exp(-0.5)) / 0.5, rel=1e-7)


def test_the_run_itself_is_that_of_simulate() -> None:
    times = np.linspace(0, 3, 11)
    alone = simulate(decay(), times)
    beside = sensitivities(decay(), ["k"], "x", times).trajectory
    assert beside["rate"] == pytest.approx(alone["rate"], rel=1e-7)


# ---- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "outputs", "message"),
    [
        ("kk", "x", "no parameter is called 'kk'.*did you mean k"),
        ("k", "xx", "no variable of time is called 'xx'.*did you mean x"),
        ("rate", "x", "rate is computed by the model"),
        ([], "x", "no parameters are given"),
        ("k", [], "no outputs are given"),
    ],
)
def test_what_is_not_known_is_refused(parameters: Any, outputs: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sensitivities(decay(), parameters, outputs, [1.0])


def test_an_input_with_a_profile_is_no_parameter() -> None:
    with pytest.raises(UsageError, match="feed follows a profile"):
        sensitivities(decay(), "feed", "x", [1.0], inputs={"feed": Profile((0.0, 0.5), (0.1, 0.2))})


def test_a_derivative_that_was_not_asked_for_is_not_there() -> None:
    result = sensitivities(decay(), "k", "x", [1.0])
    with pytest.raises(UsageError, match="no derivative was computed for rate"):
        result["rate", "k"]
    with pytest.raises(UsageError, match="by output and parameter"):
        result["x"]


def test_a_derivative_that_does_not_exist_is_an_error(derive: Derive) -> None:
    model = decay(start=0.0)
    model.root = Expression(model.t, rule=lambda m, t: m.x[t] ** 0.5)
    with pytest.raises(NumericsError, match="not a number: the derivative of root by x at t = 0"):
        derive(model, "x", "root", [0.0, 1.0])
