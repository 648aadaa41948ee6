"""Optima with known values: closed forms, and values computed independently with the same control grid.

Computed values (Radau collocation with three points, piecewise-constant controls on N elements, IPOPT at 1e-9, simulated again at 1e-10)
are of the reference tables kept with the project's design; problems are from the sources named at each.
"""

from __future__ import annotations

import math
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
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, Var, cos, exp, sin

from solvers import (
    Bound,
    Control,
    Final,
    FinalTime,
    Integrated,
    OptimizationError,
    Optimum,
    OptimumStatus,
    lower,
    optimize,
    simulate,
)
from solvers.declare import Event, Interpolation, Profile
from solvers.errors import FlowsheetError, UnsupportedModelError, UsageError
from tests.solvers.test_kernels import aggregation, smoluchowski


def dynamic(end: float, start: dict[str, float], controls: dict[str, float], slopes: Any) -> ConcreteModel:
    """Return a model with states of given starts; ``slopes(m, t)`` gives their slopes by name."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, end))
    for name, value in controls.items():
        setattr(model, name, Var(model.t, initialize=value))
        getattr(model, name).fix(value)
    for name, value in start.items():
        setattr(model, name, Var(model.t, initialize=value))
        setattr(model, f"d{name}", DerivativeVar(getattr(model, name), wrt=model.t))
        getattr(model, name)[0].fix(value)
    for name in start:

        def law(m: Any, t: Any, name: str = name) -> Any:
            return getattr(m, f"d{name}")[t] == slopes(m, t)[name]

        setattr(model, f"law_{name}", Constraint(model.t, rule=law))
    return model


def check(optimum: Optimum, value: float, rel: float) -> None:
    """The value is reached, and the simulation of the optimum agrees with it."""
    assert optimum.status is OptimumStatus.OPTIMAL
    assert optimum.violation < 1e-6
    assert optimum.objective == pytest.approx(value, rel=rel)
    assert optimum.simulated_objective == pytest.approx(optimum.objective, rel=rel)


# -- closed forms ------------------------------------------------------------------------------------------------------


def regulator() -> ConcreteModel:
    """Minimize the integral of x^2 + u^2 with x' = u from 1: tanh(1) (pyomo's Optimal_Control example)."""
    model = dynamic(1.0, {"x": 1.0}, {"u": 0.0}, lambda m, t: {"x": m.u[t]})
    model.cost = Expression(model.t, rule=lambda m, t: m.x[t] ** 2 + m.u[t] ** 2)
    return model


def test_regulator_reaches_tanh_one_with_the_order_of_its_controls() -> None:
    """Held controls miss by O(1/N^2), linear ones by O(1/N^4)."""
    for interpolation, order in ((Interpolation.HOLD, 2.0), (Interpolation.LINEAR, 4.0)):
        errors = []
        for elements in (8, 16):
            control = Control(-5, 5, 0.0, interpolation)
            optimum = optimize(regulator(), controls={"u": control}, minimize=Integrated("cost"), elements=elements)
            check(optimum, math.tanh(1.0), 2e-3)
            errors.append(optimum.objective - math.tanh(1.0))
        assert errors[1] > -1e-10
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_profiles_of_an_optimum_serve_a_simulation() -> None:
    optimum = optimize(regulator(), controls={"u": Control(-5, 5, 0.0)}, minimize=Integrated("cost"), elements=20)
    trajectory = simulate(regulator(), [0.0, 0.5, 1.0], inputs=optimum.controls)
    assert trajectory["x"][-1] == pytest.approx(optimum["x"][-1], rel=1e-7)
    assert optimum["u"][0] == pytest.approx(-math.tanh(1.0), abs=0.03)


def car() -> ConcreteModel:
    """Shortest time over 100 from rest to rest, v' = a - 0.001 v^2, a in [-3, 1] (pyomo's car_example)."""
    return dynamic(20.0, {"x": 0.0, "v": 0.0}, {"a": 0.0}, lambda m, t: {"x": m.v[t], "v": m.a[t] - 0.001 * m.v[t] ** 2})


def test_minimum_time_of_a_car() -> None:
    """Closed form 16.4703560632; with held controls the switch falls within an element, so the time is approached from above."""
    found = []
    for elements in (15, 60, 240):
        optimum = optimize(
            car(),
            controls={"a": Control(-3, 1, 0.0)},
            minimize=FinalTime(),
            horizon=(5.0, 40.0),
            end=[Bound("x", 100, 100), Bound("v", 0, 0)],
            elements=elements,
        )
        assert optimum.simulated is not None
        assert optimum.simulated["x"][-1] == pytest.approx(100.0, abs=1e-4)
        found.append(optimum.final_time - 16.4703560632)
    assert found[0] > found[1] > found[2] > 0
    assert found[2] < 5e-4


def test_free_parameter_and_free_start() -> None:
    """With x' = -k x from x0: x(1) = x0 exp(-k) is largest for the smallest k and the largest x0."""
    model = dynamic(1.0, {"x": 1.0}, {"u": 0.0}, lambda m, t: {"x": -m.x[t]})
    model.del_component("law_x")
    model.k = Param(initialize=2.0, mutable=True)
    model.law_x = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.k * m.x[t] - m.u[t])
    optimum = optimize(model, controls={"u": Control(0, 1)}, maximize=Final("x"), parameters={"k": (0.5, 3.0), "x": (0.2, 4.0)}, elements=5)
    check(optimum, 4.0 * math.exp(-0.5), 1e-6)
    assert dict(optimum.parameters) == pytest.approx({"k": 0.5, "x": 4.0}, rel=1e-6)


def test_parameters_and_a_final_time_without_any_control() -> None:
    """x(1) = x0 exp(-k) is largest for the smallest k; the time to fall from 1 to exp(-1) is 1/k."""
    model = dynamic(1.0, {"x": 1.0}, {}, lambda m, t: {"x": -m.x[t]})
    model.del_component("law_x")
    model.k = Param(initialize=2.0, mutable=True)
    model.law_x = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.k * m.x[t])
    check(optimize(model, maximize=Final("x"), parameters={"k": (0.5, 3.0)}, elements=5), math.exp(-0.5), 1e-6)
    level = math.exp(-1.0)
    optimum = optimize(
        model, minimize=FinalTime(), parameters={"k": [0.5, 3.0]}, horizon=[0.1, 5.0], end=[Bound("x", upper=level)], elements=20
    )
    check(optimum, 1 / 3, 1e-6)


def test_what_passes_a_limit_between_the_points_is_told() -> None:
    """x = u t - t^2 on one element is held at its three points; its peak u^2 / 4 lies between them."""
    model = dynamic(1.0, {"x": 0.0}, {"u": 0.0}, lambda m, t: {"x": m.u[t] - 2 * t})
    optimum = optimize(model, controls={"u": Control(0, 1)}, maximize=Final("x"), path=[Bound("x", upper=0.1)], elements=1)
    peak = optimum.controls["u"].values[0] ** 2 / 4
    assert peak > 0.15
    assert optimum.simulated_excess["x"] == pytest.approx(peak - 0.1, abs=2e-3)
    within = optimize(model, controls={"u": Control(0, 1)}, maximize=Final("x"), path=[Bound("x", upper=0.3)], elements=1)
    assert within.simulated_excess == {}


# -- computed values ---------------------------------------------------------------------------------------------------


def jacobson_lele() -> ConcreteModel:
    """Jacobson & Lele 1969: x1' = x2, x2' = -x2 + u, cost x1^2 + x2^2 + 0.005 u^2, x2 <= 8 (t - 0.5)^2 - 0.5."""
    model = dynamic(
        1.0,
        {"x1": 0.0, "x2": -1.0, "x3": 0.0},
        {"u": 0.0},
        lambda m, t: {"x1": m.x2[t], "x2": -m.x2[t] + m.u[t], "x3": m.x1[t] ** 2 + m.x2[t] ** 2 + 0.005 * m.u[t] ** 2},
    )
    model.excess = Expression(model.t, rule=lambda m, t: m.x2[t] - 8 * (t - 0.5) ** 2 + 0.5)
    return model


@pytest.mark.parametrize(("elements", "value"), [(50, 0.1698207), (200, 0.16982054)])
def test_jacobson_lele_with_its_path_constraint(elements: int, value: float) -> None:
    """Values of Radau-3 with controls free at every collocation point; held controls cost up to 1 % at N = 50."""
    optimum = optimize(
        jacobson_lele(), controls={"u": Control(-20, 20, 0.0)}, minimize=Final("x3"), path=[Bound("excess", upper=0.0)], elements=elements
    )
    assert optimum.status is OptimumStatus.OPTIMAL
    assert value * (1 - 1e-4) < optimum.objective < value * (1 + 40.0 / elements**2 + 1e-3)
    assert optimum["excess"].max() < 1e-6


def test_jacobson_lele_without_it() -> None:
    optimum = optimize(jacobson_lele(), controls={"u": Control(-20, 20, 0.0, Interpolation.LINEAR)}, minimize=Final("x3"), elements=100)
    check(optimum, 0.069360944, 1e-4)


def batch_temperature() -> ConcreteModel:
    """A -> B -> C: temperature for the most B at t = 1."""

    def slopes(m: Any, t: Any) -> dict[str, Any]:
        first, second = 4000 * exp(-2500 / m.T[t]), 6.2e5 * exp(-5000 / m.T[t])
        return {"A": -first * m.A[t] ** 2, "B": first * m.A[t] ** 2 - second * m.B[t]}

    return dynamic(1.0, {"A": 1.0, "B": 0.0}, {"T": 350.0}, slopes)


@pytest.mark.parametrize(("elements", "value"), [(10, 0.610070), (20, 0.610454), (50, 0.610708), (100, 0.610792)])
def test_batch_temperature(elements: int, value: float) -> None:
    optimum = optimize(batch_temperature(), controls={"T": Control(298, 398)}, maximize=Final("B"), elements=elements)
    check(optimum, value, 1e-4)
    assert optimum["A"][-1] == pytest.approx(0.298409, rel=2e-2)


@pytest.mark.parametrize(("elements", "value"), [(50, 2.869366), (100, 2.867781), (200, 2.867391)])
def test_van_der_pol(elements: int, value: float) -> None:
    model = dynamic(
        5.0,
        {"x1": 0.0, "x2": 1.0},
        {"u": 0.0},
        lambda m, t: {"x1": (1 - m.x2[t] ** 2) * m.x1[t] - m.x2[t] + m.u[t], "x2": m.x1[t]},
    )
    model.cost = Expression(model.t, rule=lambda m, t: m.x1[t] ** 2 + m.x2[t] ** 2 + m.u[t] ** 2)
    optimum = optimize(model, controls={"u": Control(-0.3, 1.0, 0.0)}, minimize=Integrated("cost"), elements=elements)
    check(optimum, value, 1e-4)


def test_particle_steering() -> None:
    """COPS 3 (Dolan, More & Munson 2004): 0.554577 with 200 elements; minimal time with a linear-tangent law."""
    model = dynamic(
        1.0,
        {"y1": 0.0, "y2": 0.0, "y3": 0.0, "y4": 0.0},
        {"u": 0.5},
        lambda m, t: {"y1": m.y3[t], "y2": m.y4[t], "y3": 100 * cos(m.u[t]), "y4": 100 * sin(m.u[t])},
    )
    optimum = optimize(
        model,
        controls={"u": Control(-math.pi / 2, math.pi / 2, 0.3, Interpolation.LINEAR)},
        minimize=FinalTime(),
        horizon=(0.1, 2.0),
        end=[Bound("y2", 5, 5), Bound("y3", 45, 45), Bound("y4", 0, 0)],
        elements=100,
    )
    assert optimum.final_time == pytest.approx(0.554577, rel=1e-4)


def test_induced_protein() -> None:
    """Lee & Ramirez 1994, as written by Tholudur & Ramirez 1997; Q = 0, N = 50: 6.15154."""

    def slopes(m: Any, t: Any) -> dict[str, Any]:
        v, x, s, p, i, shock, rec = (getattr(m, name)[t] for name in ("V", "X", "S", "P", "I", "shock", "rec"))
        nutrient, inducer = m.u1[t], m.u2[t]
        den = 14.35 + s * (1 + s / 111.5)
        growth = s / den * (shock + 0.22 * rec / (0.22 + i))
        production = 0.233 * s / den * (0.0005 + i) / (0.022 + i)
        damage = 0.09 * i / (0.034 + i)
        dilution = (nutrient + inducer) / v
        return {
            "V": nutrient + inducer,
            "X": growth * x - dilution * x,
            "S": 100 * nutrient / v - dilution * s - growth * x / 0.51,
            "P": production * x - dilution * p,
            "I": 4 * inducer / v - dilution * i,
            "shock": -damage * shock,
            "rec": damage * (1 - rec),
        }

    start = {"V": 1.0, "X": 0.1, "S": 40.0, "P": 0.0, "I": 0.0, "shock": 1.0, "rec": 0.0}
    model = dynamic(10.0, start, {"u1": 0.1, "u2": 0.01}, slopes)
    model.product = Expression(model.t, rule=lambda m, t: m.P[t] * m.V[t])
    controls = {"u1": Control(0, 1, 0.1), "u2": Control(0, 1, 0.01)}
    check(optimize(model, controls=controls, maximize=Final("product"), elements=50), 6.15154, 1e-4)


def test_algebraic_variables_and_a_kernel_are_optimized_too() -> None:
    """How long and how fast to coagulate for the most particles of two units: n2 = tau / (1 + tau)^3 is largest, 4/27, at tau = 1/2."""
    model = smoluchowski(aggregation(40), 40)
    model.speed = Var(model.t, initialize=1.0)
    model.speed.fix(1.0)
    model.del_component("balance")
    model.balance = Constraint(model.t, model.size, rule=lambda m, t, k: m.rate[t, k] == m.speed[t] * m.collisions[t, k])
    optimum = optimize(model, controls={"speed": Control(0.5, 1.5, 1.0)}, maximize=Final("number[2]"), horizon=(0.2, 3.0), elements=6)
    check(optimum, 4 / 27, 1e-6)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_met_is_no_optimum_and_is_told_by_name() -> None:
    with pytest.raises(OptimizationError, match="no optimum was found") as caught:
        optimize(
            car(), controls={"a": Control(-3, 1, 0.0)}, minimize=FinalTime(), horizon=(1.0, 4.0), end=[Bound("x", 100, 100)], elements=10
        )
    assert caught.value.optimum is not None
    assert caught.value.optimum.status is OptimumStatus.NOT_OPTIMAL
    assert "x at the end" in caught.value.names
    assert caught.value.optimum.violation > 1e-3


def test_iterations_used_up_are_no_optimum() -> None:
    with pytest.raises(OptimizationError, match="iterations were used up"):
        optimize(batch_temperature(), controls={"T": Control(298, 398)}, maximize=Final("B"), elements=20, most_iterations=2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"controls": {"x": Control(0, 1)}}, "computed by the model"),
        ({"controls": {"uu": Control(0, 1)}}, "'uu' cannot be a control"),
        ({"controls": {}}, "nothing to choose"),
        ({"controls": ["u"]}, "controls are given as list"),
        ({"controls": {"u": Control(None, 5)}}, "no pair of numbers"),
        ({"controls": {"u": Control(0, 5, "1")}}, "begins at '1', which is no number"),
        ({"minimize": "cost"}, "the goal is given as 'cost'"),
        ({"path": ["x"]}, "path is given as"),
        ({"end": "x"}, "end is given as 'x'"),
        ({"parameters": {"x": 3}}, "no pair of numbers"),
        ({"parameters": {"x": (1, 2, 3)}}, "no pair of numbers"),
        ({"horizon": [1, None]}, "no pair of numbers"),
        ({"horizon": "1"}, "no pair of numbers"),
        ({"tolerance": 0}, "tolerance of 0 cannot"),
        ({"tolerance": math.nan}, "tolerance of nan"),
        ({"most_iterations": -1}, "most_iterations=-1"),
        ({"controls": {"u": Control(1, 0)}}, "above the upper"),
        ({"controls": {"u": Control(math.nan, 1)}}, "not finite"),
        ({"controls": {"u": Control(0, 1, 3.0)}}, "outside its limits"),
        ({"controls": {"u": (0, 1)}}, "Control"),
        ({"minimize": Final("costs")}, "costs"),
        ({"maximize": Final("x")}, "either minimize= or maximize="),
        ({"path": [Bound("x", 2, 1)]}, "above the upper"),
        ({"end": [Bound("y", 2, 3)]}, "no variable of time is called 'y'"),
        ({"elements": 0}, "0 elements"),
        ({"degree": 9}, "degree"),
        ({"horizon": (-1.0, 2.0)}, "after the first time"),
        ({"parameters": {"kk": (0, 1)}}, "no parameter or state"),
        ({"inputs": {"w": Profile((0.0, 0.5), (0.0, 1.0))}}, "follow a profile"),
    ],
)
def test_misuse_is_refused(changes: dict[str, Any], text: str) -> None:
    model = regulator()
    model.w = Var(model.t, initialize=0.0)
    model.w.fix(0.0)
    model.other = Expression(model.t, rule=lambda m, t: m.w[t] + m.x[t])
    arguments: dict[str, Any] = {"controls": {"u": Control(-5, 5, 0.0)}, "minimize": Integrated("cost"), "elements": 5, **changes}
    with pytest.raises(FlowsheetError, match=text) as caught:
        optimize(model, **arguments)
    assert isinstance(caught.value, (UsageError, UnsupportedModelError))


def test_models_with_events_are_refused_by_name() -> None:
    model = regulator()
    model.half = Event(guard=lambda m, t: m.x[t] - 0.5)
    with pytest.raises(UnsupportedModelError, match="half"):
        optimize(lower(model), controls={"u": Control(-5, 5, 0.0)}, minimize=Integrated("cost"))


def test_an_interrupt_is_no_failed_search(tmp_path: Path) -> None:
    """A process that optimizes without end is interrupted as a terminal would: it ends by KeyboardInterrupt."""
    script = tmp_path / "endless.py"
    script.write_text(
        "from flowsheet.verify.optima import most_pairs\n"
        "print('begun', flush=True)\n"
        "try:\n    while True:\n        most_pairs()\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out == "interrupted\n"
    assert process.returncode == 0


@pytest.mark.parametrize("size", [1e-10, 1e6])
def test_a_goal_of_any_size_is_as_optimal(size: float) -> None:
    model = regulator()
    model.scaled = Expression(model.t, rule=lambda m, t: size * m.cost[t])
    optimum = optimize(model, controls={"u": Control(-5, 5, 0.0)}, minimize=Integrated("scaled"), elements=20)
    check(optimum, size * math.tanh(1.0), 3e-4)
