"""Implicit systems F(t, y, y') = 0: coupled, nonlinear and undetermined derivatives, hidden constraints, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, RangeSet, Var, exp, sin

from solvers import Method, lower, sensitivities, simulate
from solvers.declare import Event, Profile
from solvers.errors import FlowsheetError, NumericsError, StructureError, UsageError
from solvers.index import structural_index

# Two-transistor amplifier of the test set for initial value problem solvers (Bari/CWI), equations after Hairer & Wanner 1996,
# section VI.1; end at 0.2 as published there. M y' = f with M of rank 5 in 8 equations.
AMPLIFIER_END = (
    -0.5562145012262709e-2,
    0.3006522471903042e1,
    0.2849958788608128e1,
    0.2926422536206241e1,
    0.2704617865010554e1,
    0.2761837778393145e1,
    0.4770927631616772e1,
    0.1236995868091548e1,
)
AMPLIFIER_START = (0.0, 3.0, 3.0, 6.0, 3.0, 3.0, 6.0, 0.0)


def amplifier(fixed: Iterable[int] = range(1, 9)) -> ConcreteModel:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 0.2))
    model.i = RangeSet(8)
    model.y = Var(model.t, model.i, initialize=lambda m, t, i: AMPLIFIER_START[i - 1])
    model.d = DerivativeVar(model.y, wrt=model.t)
    resistance, alpha, supply = 9000.0, 0.99, 6.0

    def transistor(voltage: Any) -> Any:
        return 1e-6 * (exp(voltage / 0.026) - 1)

    def law(m: Any, t: Any, i: int) -> Any:
        def y(k: int) -> Any:
            return m.y[t, k]

        def charge(k: int) -> Any:
            return 1e-6 * k

        signal = 0.1 * sin(200 * math.pi * t)
        pairs = {1: (1, 2), 4: (3, 5), 7: (5, 8)}
        if i in pairs or i - 1 in pairs:
            first = i if i in pairs else i - 1
            capacitor, second = pairs[first]
            sign = -1 if i == first else 1
            left = sign * charge(capacitor) * (m.d[t, first] - m.d[t, second])
        else:
            left = -charge({3: 2, 6: 4}[i]) * m.d[t, i]
        right = {
            1: (y(1) - signal) / 1000.0,
            2: (2 * y(2) - supply) / resistance + (1 - alpha) * transistor(y(2) - y(3)),
            3: y(3) / resistance - transistor(y(2) - y(3)),
            4: (y(4) - supply) / resistance + alpha * transistor(y(2) - y(3)),
            5: (2 * y(5) - supply) / resistance + (1 - alpha) * transistor(y(5) - y(6)),
            6: y(6) / resistance - transistor(y(5) - y(6)),
            7: (y(7) - supply) / resistance + alpha * transistor(y(5) - y(6)),
            8: y(8) / resistance,
        }
        return left == right[i]

    model.law = Constraint(model.t, model.i, rule=law)
    for i in fixed:
        model.y[0, i].fix(AMPLIFIER_START[i - 1])
    return model


@pytest.mark.parametrize("fixed", [[1, 3, 4, 6, 8], range(1, 9)], ids=["as many as needed", "all, which agree"])
def test_amplifier_reaches_its_published_end_at_every_tolerance(fixed: Iterable[int]) -> None:
    system = lower(amplifier(fixed))
    assert (len(system.states), len(system.algebraics)) == (5, 3)
    found = []
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        trajectory = simulate(system, [0.0, 0.2], rtol=rtol, atol=1e-2 * rtol)
        end = np.array([trajectory[f"y[{i}]"][-1] for i in range(1, 9)])
        found.append(float(np.min(-np.log10(np.abs(end / AMPLIFIER_END - 1)))))
        assert found[-1] >= -math.log10(rtol) - 1.5
    assert all(later > earlier for earlier, later in pairwise(found))


def test_start_of_the_amplifier_that_disagrees_is_told_with_the_consistent_value() -> None:
    """The voltages at a capacitor hide a constraint: with y1 = 0 and y3 = 3, y2 has to be 3."""
    model = amplifier()
    model.y[0, 2].fix(3.5)
    with pytest.raises(NumericsError, match="inconsistent initial conditions") as caught:
        simulate(model, [0.0, 0.2])
    assert set(caught.value.names) & {"y[0,1]", "y[0,2]", "y[0,3]"}


def sum_of_rates(start: dict[str, float]) -> ConcreteModel:
    """Return x' + y' = -x, x = 2 y: structurally nothing determines x' and y' apart; x = 2 exp(-2 t / 3) y(0)."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    model.x, model.y = Var(model.t, initialize=1.0), Var(model.t, initialize=1.0)
    model.dx, model.dy = DerivativeVar(model.x, wrt=model.t), DerivativeVar(model.y, wrt=model.t)
    model.feed = Var(model.t, initialize=0.0)
    model.feed.fix(0.0)
    model.balance = Constraint(model.t, rule=lambda m, t: m.dx[t] + m.dy[t] == m.feed[t] - m.x[t])
    model.partition = Constraint(model.t, rule=lambda m, t: m.x[t] == 2 * m.y[t])
    for name, value in start.items():
        getattr(model, name)[0].fix(value)
    return model


@pytest.mark.parametrize("start", [{"x": 2.0}, {"y": 1.0}])
def test_partition_equilibrium_among_states(start: dict[str, float]) -> None:
    trajectory = simulate(sum_of_rates(start), np.linspace(0, 2, 5), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trajectory["x"], 2 * np.exp(-2 * trajectory.t / 3), rtol=1e-9)
    np.testing.assert_allclose(trajectory["y"], np.exp(-2 * trajectory.t / 3), rtol=1e-9)


def test_bolus_into_a_partition_keeps_the_total() -> None:
    """One of x + y is dosed: both phases share it at once, 2 to 1."""
    model = sum_of_rates({"x": 2.0})
    model.bolus = Event(at=(1.0,), transition=lambda m, t: [(m.y[t], m.y[t] + 3.0)])
    trajectory = simulate(model, [0.0, 1.0, 2.0], rtol=1e-10, atol=1e-12)
    total = 3 * math.exp(-2 / 3) + 3.0
    np.testing.assert_allclose(trajectory["x"][1:], [2 / 3 * total, 2 / 3 * total * math.exp(-2 / 3)], rtol=1e-9)
    np.testing.assert_allclose(trajectory["y"], trajectory["x"] / 2, rtol=1e-12)


def test_input_that_jumps_leaves_what_is_accumulated() -> None:
    model = sum_of_rates({"x": 2.0})
    trajectory = simulate(model, np.linspace(0, 2, 9), inputs={"feed": Profile((0.0, 1.0), (0.0, 1.0))}, rtol=1e-10, atol=1e-12)
    later = trajectory.t > 1
    at_one = 3 * math.exp(-2 / 3)
    total = 1.5 + (at_one - 1.5) * np.exp(-2 / 3 * (trajectory.t[later] - 1))
    np.testing.assert_allclose(trajectory["x"][later], total * 2 / 3, rtol=1e-9)


@pytest.mark.parametrize("method", list(Method))
def test_derivative_from_a_start_that_says_too_much(method: Method) -> None:
    """Both phases are given and agree; the total's balance gives dx/dfeed = 1 - exp(-2 t / 3)."""
    model = sum_of_rates({"x": 2.0, "y": 1.0})
    found = sensitivities(model, ["feed"], ["x"], [0.0, 1.0], method=method)
    assert found["x", "feed"][-1] == pytest.approx(1 - math.exp(-2 / 3), rel=1e-7)
    with pytest.raises(UsageError, match="over-determined"):
        sensitivities(model, ["y"], ["x"], [0.0, 1.0], method=method)


def test_nonlinear_derivative_is_solved_for() -> None:
    """v + v^3 = -x - x^3 has the solution v = -x."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 3))
    model.x = Var(model.t, initialize=1.0)
    model.v = DerivativeVar(model.x, wrt=model.t)
    model.law = Constraint(model.t, rule=lambda m, t: m.v[t] + m.v[t] ** 3 == -m.x[t] - m.x[t] ** 3)
    model.x[0].fix(1.0)
    system = lower(model)
    assert system.implicit == (0,)
    trajectory = simulate(system, np.linspace(0, 3, 7), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trajectory["x"], np.exp(-trajectory.t), rtol=1e-8)
    np.testing.assert_allclose(trajectory["v"], -np.exp(-trajectory.t), rtol=1e-8)


def varying_singular_mass(start: dict[str, float]) -> ConcreteModel:
    """Return (1 + x^2) (x' + y') = -(1 + x^2) x and its double with another right side: a singular matrix that varies with x.

    Together they hide x = y, so that x' = -x / 2.
    """
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    model.x, model.y = Var(model.t, initialize=1.0), Var(model.t, initialize=1.0)
    model.dx, model.dy = DerivativeVar(model.x, wrt=model.t), DerivativeVar(model.y, wrt=model.t)
    model.one = Constraint(model.t, rule=lambda m, t: (1 + m.x[t] ** 2) * (m.dx[t] + m.dy[t]) == -(1 + m.x[t] ** 2) * m.x[t])
    model.two = Constraint(model.t, rule=lambda m, t: 2 * (1 + m.x[t] ** 2) * (m.dx[t] + m.dy[t]) == -2 * (1 + m.x[t] ** 2) * m.y[t])
    for name, value in start.items():
        getattr(model, name)[0].fix(value)
    return model


@pytest.mark.parametrize("start", [{"x": 1.0}, {"x": 1.0, "y": 1.0}])
def test_singular_matrix_that_varies_is_integrated_as_it_stands(start: dict[str, float]) -> None:
    system = lower(varying_singular_mass(start))
    assert system.singular
    trajectory = simulate(system, np.linspace(0, 2, 5), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(trajectory["x"], np.exp(-trajectory.t / 2), rtol=1e-7)
    np.testing.assert_allclose(trajectory["y"], trajectory["x"], rtol=1e-8)
    np.testing.assert_allclose(trajectory["dx"], -trajectory["x"] / 2, rtol=1e-5)


def test_fixed_starts_that_contradict_a_hidden_constraint_are_refused() -> None:
    with pytest.raises(NumericsError, match="inconsistent initial conditions") as caught:
        simulate(varying_singular_mass({"x": 1.0, "y": 2.0}), [0.0, 1.0])
    assert set(caught.value.names) <= {"x", "y"}


def test_start_that_leaves_an_implicit_state_open_is_refused() -> None:
    with pytest.raises(StructureError, match="open"):
        simulate(varying_singular_mass({}), [0.0, 1.0])


def pendulum(constraint: str) -> ConcreteModel:
    """Return the pendulum in Cartesian coordinates, with the rod as a constraint on positions, velocities or accelerations."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    start = {"x": 1.0, "y": 0.0, "u": 0.0, "v": 0.0}
    for name, value in start.items():
        setattr(model, name, Var(model.t, initialize=value))
        setattr(model, f"d{name}", DerivativeVar(getattr(model, name), wrt=model.t))
        getattr(model, name)[0].fix(value)
    model.tension = Var(model.t, initialize=1.0)
    model.ex = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    model.ey = Constraint(model.t, rule=lambda m, t: m.dy[t] == m.v[t])
    model.eu = Constraint(model.t, rule=lambda m, t: m.du[t] == -m.tension[t] * m.x[t])
    model.ev = Constraint(model.t, rule=lambda m, t: m.dv[t] == -m.tension[t] * m.y[t] - 9.81)
    rods = {
        "position": lambda m, t: m.x[t] ** 2 + m.y[t] ** 2 == 1.0,
        "velocity": lambda m, t: m.x[t] * m.u[t] + m.y[t] * m.v[t] == 0.0,
        "acceleration": lambda m, t: m.u[t] ** 2 + m.v[t] ** 2 - m.tension[t] * (m.x[t] ** 2 + m.y[t] ** 2) - 9.81 * m.y[t] == 0.0,
    }
    model.rod = Constraint(model.t, rule=rods[constraint])
    return model


@pytest.mark.parametrize(("constraint", "index"), [("position", 3), ("velocity", 2)])
def test_higher_index_is_refused_with_its_number_constraint_and_variable(constraint: str, index: int) -> None:
    with pytest.raises(StructureError, match=f"index {index}") as caught:
        lower(pendulum(constraint))
    assert "rod[1]" in caught.value.names
    assert "tension" in caught.value.names


def test_index_one_form_of_the_pendulum_swings() -> None:
    """From rest at the side the speed at the bottom follows from the energy; both ends of a swing are level."""
    model = pendulum("acceleration")
    model.bottom = Event(guard=lambda m, t: m.x[t])
    (record, *_) = simulate(model, np.linspace(0, 1, 11), rtol=1e-10, atol=1e-12).events
    trajectory = simulate(model, [0.0, record.time], rtol=1e-10, atol=1e-12)
    assert math.hypot(trajectory["u"][-1], trajectory["v"][-1]) == pytest.approx(math.sqrt(2 * 9.81), rel=1e-7)


def test_hidden_constraint_of_proportional_rates_is_refused_where_it_needs_differentiation() -> None:
    """x' = z, x = sin t: z is the derivative of a given course, index two."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x, model.z = Var(model.t, initialize=0.0), Var(model.t, initialize=1.0)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.rate = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.z[t])
    model.course = Constraint(model.t, rule=lambda m, t: m.x[t] == sin(t))
    with pytest.raises(FlowsheetError, match="index 2") as caught:
        lower(model)
    assert "course[1]" in caught.value.names


def test_structural_index_of_signatures() -> None:
    """Pryce 2001: the pendulum (index 3), and an index-one pair of an algebraic and a differential equation."""
    none = -np.inf
    pendulum_signature = np.array([[2, none, 0], [none, 2, 0], [0, 0, none]], dtype=float)
    found = structural_index(pendulum_signature)
    assert found is not None
    assert (found.index, list(found.differentiations), list(found.orders)) == (3, [0, 0, 2], [2, 2, 0])
    pair = structural_index(np.array([[1, 0], [0, 0]], dtype=float))
    assert pair is not None
    assert pair.index == 1
    assert structural_index(np.array([[0, none], [0, none]], dtype=float)) is None


@pytest.mark.parametrize("cells", [5, 400])
def test_mass_matrix_of_finite_elements_is_not_eliminated_unstably(cells: int) -> None:
    """Heat conduction by linear elements: a sine decays with the rate 6 / h^2 (1 - cos) / (2 + cos), cos of pi h.

    Assigning each rate from the equation before it would multiply errors by 2 + sqrt(3) from node to node.
    """
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 0.1))
    model.i = RangeSet(cells)
    h = 1 / (cells + 1)
    shape = {i: math.sin(math.pi * i * h) for i in range(1, cells + 1)}
    model.c = Var(model.t, model.i, initialize=lambda m, t, i: shape[i])
    model.d = DerivativeVar(model.c, wrt=model.t)

    def at(variable: Any, t: Any, i: int) -> Any:
        return variable[t, i] if 1 <= i <= cells else 0.0

    def law(m: Any, t: Any, i: int) -> Any:
        mass = h / 6 * (at(m.d, t, i - 1) + 4 * m.d[t, i] + at(m.d, t, i + 1))
        return mass == (at(m.c, t, i - 1) - 2 * m.c[t, i] + at(m.c, t, i + 1)) / h

    model.law = Constraint(model.t, model.i, rule=law)
    for i in model.i:
        model.c[0, i].fix(shape[i])
    rate = 6 / h**2 * (1 - math.cos(math.pi * h)) / (2 + math.cos(math.pi * h))
    trajectory = simulate(model, [0.0, 0.1], rtol=1e-8, atol=1e-10)
    middle = (cells + 1) // 2
    assert trajectory[f"c[{middle}]"][-1] == pytest.approx(shape[middle] * math.exp(-0.1 * rate), rel=1e-7)
