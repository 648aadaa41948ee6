"""The dynamic examples that come with pyomo.dae, written anew: what its own Simulator can do, and what it cannot.

Values: pendulum and index-1 DAE computed at 1e-12 (Pyomo's own baselines agree to about 1e-5); the others have closed
forms or invariants.  Pyomo's examples write initial values without fixing them; here they are fixed, as our lowering asks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Set, Suffix, TransformationFactory, Var, exp, sin

from flowsheet.verify.dae import batch_reactor, damped_pendulum
from solvers import simulate
from solvers.declare import Profile
from solvers.errors import StructureError


def test_pendulum() -> None:
    trajectory = simulate(damped_pendulum(), np.linspace(0, 10, 100), rtol=1e-10, atol=1e-12)
    assert trajectory["omega"][-1] == pytest.approx(1.5638581, abs=1e-6)
    assert trajectory["theta"][-1] == pytest.approx(0.0317884, abs=1e-6)


def test_index_one_dae() -> None:
    """The algebraic start value zc(0) = 0 is found, not asked for."""
    trajectory = simulate(batch_reactor(), np.linspace(0, 1, 100), rtol=1e-10, atol=1e-12)
    ends = {"za": 0.15183357, "zb": 0.28321402, "zc": 0.56495242}
    for name, end in ends.items():
        assert trajectory[name][-1] == pytest.approx(end, abs=2e-8)
    assert trajectory["zc"][0] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(trajectory["za"] + trajectory["zb"] + trajectory["zc"], 1.0, rtol=1e-12)


def test_pendulum_with_varying_inputs() -> None:
    """The ``var_input`` suffix of pyomo.dae's Simulator: each level holds from its time on."""
    model = damped_pendulum(20.0, indexed=True)
    model.var_input = Suffix(direction=Suffix.LOCAL)
    model.var_input[model.b] = {0: 0.25, 15: 0.025}
    model.var_input[model.c] = {0: 5.0, 7: 50}
    trajectory = simulate(model, [0.0, 7.0, 15.0, 20.0], rtol=1e-10, atol=1e-12)

    state = (3.04, 0.0)
    for k, (b, c, start, end) in enumerate(((0.25, 5.0, 0, 7), (0.25, 50.0, 7, 15), (0.025, 50.0, 15, 20))):
        piece = damped_pendulum(end - start)
        piece.del_component(piece.spin)
        piece.spin = Constraint(piece.t, rule=_spin_with(b, c))
        piece.theta[0].fix(state[0])
        piece.omega[0].fix(state[1])
        part = simulate(piece, [0.0, end - start], rtol=1e-10, atol=1e-12)
        state = (part["theta"][-1], part["omega"][-1])
        assert (trajectory["theta"][k + 1], trajectory["omega"][k + 1]) == pytest.approx(state, abs=1e-6)


def _spin_with(b: float, c: float) -> Any:
    return lambda m, t: m.omega_dot[t] == -b * m.omega[t] - c * sin(m.theta[t])


def test_batch_reactor_with_a_varying_rate() -> None:
    """Linear in each half: matrix exponentials are the closed form."""
    model = batch_reactor(indexed=True)
    model.var_input = Suffix(direction=Suffix.LOCAL)
    model.var_input[model.p1] = {0: 4.0, 0.5: 1.0}
    trajectory = simulate(model, [0.0, 0.5, 1.0], rtol=1e-11, atol=1e-13)
    state = np.array([1.0, 0.0])
    for k, p1 in enumerate((4.0, 1.0)):
        state = _reactor_half(state, p1)
        np.testing.assert_allclose([trajectory["za"][k + 1], trajectory["zb"][k + 1]], state, rtol=1e-8)


def _reactor_half(state: np.ndarray, p1: float) -> np.ndarray:
    matrix = np.array([[-p1, 2.0], [p1 - 20.0, -62.0]])
    rest = np.linalg.solve(matrix, [0.0, -20.0])
    values, vectors = np.linalg.eig(matrix)
    return np.real(rest + vectors @ (np.exp(0.5 * values) * np.linalg.solve(vectors, state - rest)))


def warm_rod(elements: int, scheme: str) -> ConcreteModel:
    """Return pi^2 u_t = u_xx, u(0) = 0, u_x(1) = -pi exp(-t), whose solution is exp(-t) sin(pi x).

    As in the example, rules skip t = 0 and both ends, time stands second and the start is a constraint.
    """
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 2))
    model.x = ContinuousSet(bounds=(0, 1))
    model.u = Var(model.x, model.t, initialize=0.0)
    model.u_x = DerivativeVar(model.u, wrt=model.x)
    model.u_xx = DerivativeVar(model.u, wrt=(model.x, model.x))
    model.u_t = DerivativeVar(model.u, wrt=model.t)

    def heat(m: Any, x: float, t: Any) -> Any:
        if x == 0 or x == 1 or t == 0:
            return Constraint.Skip
        return math.pi**2 * m.u_t[x, t] == m.u_xx[x, t]

    def start(m: Any, x: float) -> Any:
        return Constraint.Skip if x in (0, 1) else m.u[x, 0] == sin(math.pi * x)

    model.heat = Constraint(model.x, model.t, rule=heat)
    model.start = Constraint(model.x, rule=start)
    model.cold_end = Constraint(model.t, rule=lambda m, t: m.u[0, t] == 0)
    model.hot_end = Constraint(model.t, rule=lambda m, t: math.pi * exp(-t) + m.u_x[1, t] == 0)
    TransformationFactory("dae.finite_difference").apply_to(model, nfe=elements, wrt=model.x, scheme=scheme)
    return model


def test_example_that_leaves_a_variable_open_is_told_so() -> None:
    """The backward second difference starts at the third point: the example's u_xx at the second is free, unnoticed there.

    (With the missing equation added it would still be no system to integrate: the backward difference is unstable in time.)
    """
    with pytest.raises(StructureError, match=r"u_xx\[0\.04\]"):
        simulate(warm_rod(25, "BACKWARD"), [0.0, 2.0])


def test_partial_differential_equation_with_explicit_time() -> None:
    """The same by central differences, with the flux at the end by a one-sided difference of second order."""
    times, errors = np.linspace(0, 2, 9), []
    for elements in (20, 40):
        model = warm_rod(elements, "CENTRAL")
        *_, before, left, end = sorted(model.x)
        model.flux = Constraint(
            model.t,
            rule=lambda m, t, a=before, b=left, c=end: m.u_x[1, t] * 2 * (c - b) == 3 * m.u[c, t] - 4 * m.u[b, t] + m.u[a, t],
        )
        trajectory = simulate(model, times)
        errors.append(
            max(
                float(np.max(np.abs(trajectory[model.u[place, :]] - np.exp(-times) * math.sin(math.pi * place))))
                for place in (0.2, 0.4, 0.6, 0.8)
            )
        )
    assert errors[1] < 5e-3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.2)


def test_reaction_network_with_rates_as_variables() -> None:
    """2 A -> B -> C: rates are Vars over time and reactions, the rate constants fixed scalar Vars; atoms are kept."""
    stoichiometry = {"AtoB": {"A": -2, "B": 1}, "BtoC": {"B": -1, "C": 1}}
    model = ConcreteModel()
    model.species = Set(initialize=["A", "B", "C"])
    model.reactions = Set(initialize=list(stoichiometry))
    model.time = ContinuousSet(bounds=(0, 3600))
    model.c = Var(model.time, model.species, bounds=(0, None), initialize=0.0)
    model.dcdt = DerivativeVar(model.c, wrt=model.time)
    model.k = Var(model.reactions, bounds=(0, None))
    model.rate = Var(model.time, model.reactions)

    def speed(m: Any, t: Any, r: str) -> Any:
        rate = m.k[r]
        for s, number in stoichiometry[r].items():
            if number < 0:
                rate *= m.c[t, s] ** (-number)
        return m.rate[t, r] == rate

    model.speed = Constraint(model.time, model.reactions, rule=speed)
    model.balance = Constraint(
        model.time,
        model.species,
        rule=lambda m, t, s: m.dcdt[t, s] == sum(stoichiometry[r].get(s, 0) * m.rate[t, r] for r in m.reactions),
    )
    gas, kelvin = 8.314, 330
    model.k["AtoB"].fix(1.32e19 * math.exp(-140000 / (gas * kelvin)))
    model.k["BtoC"].fix(1.09e13 * math.exp(-100000 / (gas * kelvin)))
    for s, value in (("A", 1.0), ("B", 0.0), ("C", 0.0)):
        model.c[0, s].fix(value)
    times = np.linspace(0, 3600, 61)
    trajectory = simulate(model, times)
    a, b, c = (trajectory[f"c[{s}]"] for s in "ABC")
    k1 = model.k["AtoB"].value
    np.testing.assert_allclose(a, 1 / (1 + 2 * k1 * times), rtol=1e-6)
    np.testing.assert_allclose(a / 2 + b + c, 0.5, rtol=1e-8)
    np.testing.assert_allclose(trajectory["rate[AtoB]"], k1 * a**2, rtol=1e-9)


def test_car_driven_by_a_given_profile() -> None:
    """The minimum-time car of pyomo.dae with its optimal bang-bang control given: it comes to rest at L = 100.

    v' = a - R v^2; top speed and end time in closed form.
    """
    drag = 0.001
    growth = math.exp(0.2)
    top = math.sqrt((growth - 1) / (drag * (1 / 3 + growth)))
    switch = math.atanh(top * math.sqrt(drag)) / math.sqrt(drag)
    end = switch + math.atan(top * math.sqrt(drag / 3)) / math.sqrt(3 * drag)
    assert (top, end) == pytest.approx((11.9333718386, 16.4703560632), abs=1e-9)

    model = ConcreteModel()
    model.tau = ContinuousSet(bounds=(0, 1))
    model.tf = Var(initialize=end)
    model.tf.fix()
    model.x, model.v, model.a = Var(model.tau, initialize=0.0), Var(model.tau, initialize=0.0), Var(model.tau, bounds=(-3, 1))
    model.dx, model.dv = DerivativeVar(model.x), DerivativeVar(model.v)
    model.a.fix(1.0)
    model.place = Constraint(model.tau, rule=lambda m, i: m.dx[i] == m.tf * m.v[i])
    model.push = Constraint(model.tau, rule=lambda m, i: m.dv[i] == m.tf * (m.a[i] - drag * m.v[i] ** 2))
    model.energy = Expression(model.tau, rule=lambda m, i: 0.5 * m.v[i] ** 2)
    model.x[0].fix(0.0)
    model.v[0].fix(0.0)
    trajectory = simulate(model, [0.0, switch / end, 1.0], inputs={model.a: Profile((0.0, switch / end), (1.0, -3.0))})
    assert trajectory["v"][1] == pytest.approx(top, rel=1e-7)
    assert trajectory["x"][-1] == pytest.approx(100.0, rel=1e-7)
    assert trajectory["v"][-1] == pytest.approx(0.0, abs=1e-5)
    assert trajectory["energy"][1] == pytest.approx(0.5 * top**2, rel=1e-7)


def test_optimal_control_with_its_optimal_feedback() -> None:
    """min int x^2 + u^2, x' = u: the optimal feedback u = -tanh(1 - t) x gives the cost tanh(1) (closed form)."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x, model.cost, model.u = Var(model.t, initialize=1.0), Var(model.t, initialize=0.0), Var(model.t)
    model.dx, model.dcost = DerivativeVar(model.x), DerivativeVar(model.cost)
    model.drive = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    model.feedback = Constraint(model.t, rule=lambda m, t: m.u[t] * (exp(1 - t) + exp(t - 1)) == -(exp(1 - t) - exp(t - 1)) * m.x[t])
    model.price = Constraint(model.t, rule=lambda m, t: m.dcost[t] == m.x[t] ** 2 + m.u[t] ** 2)
    model.x[0].fix(1.0)
    model.cost[0].fix(0.0)
    trajectory = simulate(model, [0.0, 1.0], rtol=1e-10, atol=1e-12)
    assert trajectory["cost"][-1] == pytest.approx(math.tanh(1.0), rel=1e-8)
