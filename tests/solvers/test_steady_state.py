"""Steady states against closed forms, long runs and published values; several roots, conserved totals, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Param, RangeSet, Var, exp

from solvers import Approach, simulate, steady_state
from solvers.declare import Profile
from solvers.errors import NumericsError, UnsupportedModelError, UsageError


def tanks(count: int = 5) -> ConcreteModel:
    """Return tanks in a row, flow sqrt(level): every level is feed^2 at rest."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 10))
    model.i = RangeSet(count)
    model.level = Var(model.t, model.i, initialize=1.0, bounds=(0, None))
    model.flow = Var(model.t, model.i, initialize=1.0)
    model.rate = DerivativeVar(model.level, wrt=model.t)
    model.feed = Var(model.t, initialize=2.0)
    model.feed.fix(2.0)
    model.law = Constraint(model.t, model.i, rule=lambda m, t, i: m.flow[t, i] ** 2 == m.level[t, i])
    model.balance = Constraint(
        model.t, model.i, rule=lambda m, t, i: m.rate[t, i] == (m.flow[t, i - 1] if i > 1 else m.feed[t]) - m.flow[t, i]
    )
    model.level[0, :].fix(1.0)
    return model


def test_tanks_in_a_row() -> None:
    model = tanks()
    state = steady_state(model)
    for i in model.i:
        assert state[f"level[{i}]"] == pytest.approx(4.0, rel=1e-12)
    assert state[model.flow[:, 3]] == pytest.approx(2.0, rel=1e-12)
    assert state.stable
    assert state.approach is Approach.DYNAMIC
    assert steady_state(model, inputs={"feed": 3.0})["level[5]"] == pytest.approx(9.0, rel=1e-12)
    assert steady_state(model, inputs={"feed": Profile((0.0, 1.0), (1.5, 7.0))})["level[1]"] == pytest.approx(2.25, rel=1e-12)


def chemostat(start: float, dilution: float = 0.3) -> ConcreteModel:
    """Return Monod growth (mu 0.5, Ks 1, yield 0.5, feed 10): substrate D Ks / (mu - D) with cells, 10 without."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 10))
    model.dilution = Param(initialize=dilution, mutable=True)
    model.cells, model.substrate = Var(model.t, initialize=start, bounds=(0, None)), Var(model.t, initialize=5.0, bounds=(0, None))
    model.dcells, model.dsubstrate = DerivativeVar(model.cells, wrt=model.t), DerivativeVar(model.substrate, wrt=model.t)

    def growth(m: ConcreteModel, t: float) -> object:
        return 0.5 * m.substrate[t] / (1 + m.substrate[t]) * m.cells[t]

    model.cell_balance = Constraint(model.t, rule=lambda m, t: m.dcells[t] == growth(m, t) - m.dilution * m.cells[t])
    model.substrate_balance = Constraint(
        model.t, rule=lambda m, t: m.dsubstrate[t] == m.dilution * (10 - m.substrate[t]) - growth(m, t) / 0.5
    )
    model.cells[0].fix(start)
    model.substrate[0].fix(5.0)
    return model


def test_chemostat_grows_from_any_inoculum_and_stays_empty_without() -> None:
    grown = steady_state(chemostat(1e-3))
    assert grown["substrate"] == pytest.approx(0.3 / 0.2, rel=1e-10)
    assert grown["cells"] == pytest.approx(0.5 * (10 - 1.5), rel=1e-10)
    assert grown.stable
    empty = steady_state(chemostat(0.0))
    assert (empty["cells"], empty["substrate"]) == pytest.approx((0.0, 10.0), abs=1e-9)
    assert empty.stable is False


def test_chemostat_is_washed_out_above_the_critical_dilution() -> None:
    """mu(10) = 0.5 * 10 / 11."""
    state = steady_state(chemostat(3.0, dilution=0.48))
    assert (state["cells"], state["substrate"]) == pytest.approx((0.0, 10.0), abs=1e-8)
    assert state.stable


def test_steady_state_is_where_a_long_run_ends() -> None:
    model = chemostat(0.5)
    state, end = steady_state(model), simulate(model, [0.0, 2000.0])
    for name in ("cells", "substrate"):
        assert state[name] == pytest.approx(end[name][-1], rel=1e-7)


def exothermic(start: float) -> ConcreteModel:
    """Return x' = -x + 0.1 (1 - x) exp(8.5 x / (1 + x / 3)): a stirred tank with three steady states (Uppal, Ray & Poore 1974, form)."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 5))
    model.x = Var(model.t, initialize=start)
    model.dx = DerivativeVar(model.x, wrt=model.t)
    model.balance = Constraint(model.t, rule=lambda m, t: m.dx[t] == -m.x[t] + 0.03 * (1 - m.x[t]) * exp(8.5 * m.x[t] / (1 + m.x[t] / 3)))
    model.x[0].fix(start)
    return model


def roots_of_exothermic() -> list[float]:
    from scipy.optimize import brentq

    def slope(x: float) -> float:
        return float(-x + 0.03 * (1 - x) * np.exp(8.5 * x / (1 + x / 3)))

    grid = np.linspace(0, 1, 2001)
    values = [slope(x) for x in grid]
    return [float(brentq(slope, a, b, xtol=1e-14)) for a, b, u, v in zip(grid, grid[1:], values, values[1:], strict=False) if u * v < 0]


def test_three_steady_states_and_which_of_them_hold() -> None:
    """SciPy's brentq finds all; runs reach the outer ones, a guess the middle one, which is unstable."""
    low, middle, high = roots_of_exothermic()
    assert steady_state(exothermic(middle - 0.01))["x"] == pytest.approx(low, rel=1e-10)
    assert steady_state(exothermic(middle + 0.01))["x"] == pytest.approx(high, rel=1e-10)
    state = steady_state(exothermic(0.0), guess={"x": middle + 0.002})
    assert state["x"] == pytest.approx(middle, rel=1e-10)
    assert state.stable is False


def test_conserved_total_stays_with_the_start() -> None:
    """a <-> b with rates 3 and 1: a quarter of the total is a."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.a, model.b = Var(model.t, initialize=8.0), Var(model.t, initialize=0.0)
    model.da, model.db = DerivativeVar(model.a, wrt=model.t), DerivativeVar(model.b, wrt=model.t)
    model.first = Constraint(model.t, rule=lambda m, t: m.da[t] == m.b[t] - 3 * m.a[t])
    model.second = Constraint(model.t, rule=lambda m, t: m.db[t] == 3 * m.a[t] - m.b[t])
    model.a[0].fix(8.0)
    model.b[0].fix(0.0)
    state = steady_state(model)
    assert (state["a"], state["b"]) == pytest.approx((2.0, 6.0), rel=1e-7)
    assert state.approach is Approach.DYNAMIC_ONLY
    assert state.stable is None
    with pytest.raises(NumericsError, match="conserved"):
        steady_state(model, guess={"a": 2.0})


def test_van_de_vusse_reactor_at_a_published_point() -> None:
    """cf 10000, sv 1.95, k = (5/6, 5/3, 1/6000); cc 893.855 at these rates (reference values of Pyomo's parmest tests, reconciled)."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    start = {"ca": 10000.0, "cb": 0.0, "cc": 0.0, "cd": 0.0}
    for name, value in start.items():
        setattr(model, name, Var(model.t, initialize=value))
        setattr(model, f"d{name}", DerivativeVar(getattr(model, name), wrt=model.t))
        getattr(model, name)[0].fix(value)
    sv, k1, k2, k3 = 1.95, 5 / 6, 5 / 3, 1 / 6000
    model.ea = Constraint(model.t, rule=lambda m, t: m.dca[t] == sv * (10000 - m.ca[t]) - k1 * m.ca[t] - 2 * k3 * m.ca[t] ** 2)
    model.eb = Constraint(model.t, rule=lambda m, t: m.dcb[t] == -sv * m.cb[t] + k1 * m.ca[t] - k2 * m.cb[t])
    model.ec = Constraint(model.t, rule=lambda m, t: m.dcc[t] == -sv * m.cc[t] + k2 * m.cb[t])
    model.ed = Constraint(model.t, rule=lambda m, t: m.dcd[t] == -sv * m.cd[t] + k3 * m.ca[t] ** 2)
    assert steady_state(model)["cc"] == pytest.approx(893.855, abs=5e-4)


def test_oscillator_has_no_steady_state_and_says_what_moves() -> None:
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1))
    model.x, model.v = Var(model.t, initialize=1.0), Var(model.t, initialize=0.0)
    model.dx, model.dv = DerivativeVar(model.x, wrt=model.t), DerivativeVar(model.v, wrt=model.t)
    model.ex = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.v[t])
    model.ev = Constraint(model.t, rule=lambda m, t: m.dv[t] == (1 - m.x[t] ** 2) * m.v[t] - m.x[t])
    model.x[0].fix(1.0)
    model.v[0].fix(0.0)
    with pytest.raises(NumericsError, match="no steady state was reached"):
        steady_state(model, rtol=1e-4, atol=1e-6)
    assert steady_state(model, guess={"x": 0.1, "v": 0.1}).stable is False


def test_explicit_time_unknown_names_and_missing_roots_are_refused() -> None:
    model = tanks()
    with pytest.raises(UsageError, match="levle"):
        steady_state(model, guess={"levle": 1.0})
    drift = ConcreteModel()
    drift.t = ContinuousSet(bounds=(0, 1))
    drift.x = Var(drift.t, initialize=1.0)
    drift.dx = DerivativeVar(drift.x, wrt=drift.t)
    drift.law = Constraint(drift.t, rule=lambda m, t: m.dx[t] == -m.x[t] + t)
    drift.x[0].fix(1.0)
    with pytest.raises(UnsupportedModelError, match="explicitly"):
        steady_state(drift)
    drift.del_component("law")
    drift.law = Constraint(drift.t, rule=lambda m, t: m.dx[t] == 1 + m.x[t] ** 2)
    with pytest.raises(NumericsError, match="no solution") as caught:
        steady_state(drift, guess={"x": 0.3})
    assert "steady x" in caught.value.names
