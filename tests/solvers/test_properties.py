"""Random small systems: against a dense reference of another code, and changes of writing that must change nothing.

    x_i' = -d_i x_i + sum_j a_ij tanh(x_j) + sum_k b_ik z_k + e_i sin(w t)
    z_k + c_k z_k^3 + sum_l g_kl tanh(z_l) = sum_i h_ki x_i

The rows of g are small enough that every z has exactly one solution; where c_k and g_k are zero z_k is explicit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.network import Arc, Port
from scipy.integrate import solve_ivp

from solvers import Trajectory, lower, simulate
from solvers.declare import Event, nominal

END, FREQUENCY = 2.0, 3.0
RTOL, ATOL = 1e-9, 1e-11
NEAR = 2e-7
"""What two runs at these tolerances may differ by, relative to the values' size."""
often = settings(derandomize=True, deadline=None, max_examples=25)


@dataclass(frozen=True)
class System:
    """Coefficients of a random system; shapes: decay, drive, start (n,), a (n, n), b (n, m), c (m,), g (m, m), h (m, n)."""

    decay: np.ndarray
    a: np.ndarray
    b: np.ndarray
    drive: np.ndarray
    c: np.ndarray
    g: np.ndarray
    h: np.ndarray
    start: np.ndarray

    @property
    def states(self) -> int:
        return len(self.decay)

    @property
    def algebraics(self) -> int:
        return len(self.c)


def _sparse(shape: tuple[int, ...], low: int, high: int) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, shape, elements=st.integers(low, high).map(float), fill=st.just(0.0))


@st.composite
def systems(draw: st.DrawFn, least_algebraics: int = 0) -> System:
    """Draw a system of 1 to 6 states and 0 to 4 algebraic variables; stiff ones included (decay up to 1000)."""
    n, m = draw(st.integers(1, 6)), draw(st.integers(least_algebraics, 4))
    decay = draw(hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 1.0, 7.0, 60.0, 1000.0])))
    g = draw(_sparse((m, m), -3, 3))
    np.fill_diagonal(g, 0.0)
    return System(
        decay=decay,
        a=draw(_sparse((n, n), -3, 3)),
        b=draw(_sparse((n, m), -2, 2)),
        drive=draw(_sparse((n,), -2, 2)),
        c=draw(hnp.arrays(np.float64, m, elements=st.sampled_from([0.0, 0.5, 2.0]))),
        g=g / max(4.0, 2.0 * np.abs(g).sum(axis=1, initial=0.0).max(initial=0.0)),
        h=draw(_sparse((m, n), -2, 2)),
        start=draw(hnp.arrays(np.float64, n, elements=st.integers(-4, 4).map(lambda k: k / 2))),
    )


def _plain_name(symbol: str, k: int) -> str:
    return f"{symbol}{k}"


@dataclass(frozen=True)
class Writing:
    """How a system is written as a model; every choice gives the same solution.

    Parameters
    ----------
    variables, equations : orders in which they are declared; empty for the natural one.
    flipped : positions of equations whose sides are exchanged and multiplied by 3.
    names : what name a state or algebraic variable gets from its symbol and number.
    scales : factor by which each state is multiplied; empty for 1.
    pace : time unit: a run of the model is ``pace`` times as long.
    links : states that others see through a further variable, joined by an equation or (odd positions) an arc.
    first, last : part of time.
    """

    variables: tuple[int, ...] = ()
    equations: tuple[int, ...] = ()
    flipped: tuple[int, ...] = ()
    names: Callable[[str, int], str] = _plain_name
    scales: tuple[float, ...] = ()
    pace: float = 1.0
    links: tuple[int, ...] = ()
    first: float = 0.0
    last: float = END


PLAIN = Writing()


def build(system: System, writing: Writing = PLAIN, start: Sequence[float] | None = None) -> Any:
    """Return the system as a Pyomo model in one way of writing."""
    n, m = system.states, system.algebraics
    scales = writing.scales or (1.0,) * n
    model = pyo.ConcreteModel()
    model.t = ContinuousSet(bounds=(writing.first * writing.pace, writing.last * writing.pace))
    everything = [("x", i) for i in range(n)] + [("z", k) for k in range(m)]
    for place in writing.variables or range(n + m):
        symbol, k = everything[place]
        variable = pyo.Var(model.t, initialize=0.0)
        model.add_component(writing.names(symbol, k), variable)
        if symbol == "x":
            model.add_component(f"d_{writing.names(symbol, k)}", DerivativeVar(variable, wrt=model.t))
            variable[model.t.first()].fix(float((system.start if start is None else start)[k]) * scales[k])
            nominal(variable, scales[k])
    _add_links(model, writing)

    def seen(m: Any, t: Any, i: int) -> Any:
        name = f"link{i}" if i in writing.links else writing.names("x", i)
        return m.component(name)[t] / scales[i]

    def equation(m: Any, t: Any, place: int) -> tuple[Any, Any]:
        symbol, k = everything[place]
        z = [m.component(writing.names("z", j))[t] for j in range(system.algebraics)]
        if symbol == "z":
            left = z[k] + system.c[k] * z[k] ** 3 + sum(system.g[k, j] * pyo.tanh(z[j]) for j in np.flatnonzero(system.g[k]))
            return left, sum(system.h[k, i] * seen(m, t, i) for i in np.flatnonzero(system.h[k]))
        rate = -system.decay[k] * m.component(writing.names("x", k))[t] / scales[k]
        rate += sum(system.a[k, j] * pyo.tanh(seen(m, t, j)) for j in np.flatnonzero(system.a[k]))
        rate += sum(system.b[k, j] * z[j] for j in np.flatnonzero(system.b[k]))
        rate += system.drive[k] * pyo.sin(FREQUENCY / writing.pace * t)
        return writing.pace / scales[k] * m.component(f"d_{writing.names('x', k)}")[t], rate

    for place in writing.equations or range(n + m):

        def rule(m: Any, t: Any, place: int = place) -> Any:
            left, right = equation(m, t, place)
            return 3 * right == 3 * left if place in writing.flipped else left == right

        model.add_component(f"equation{place}", pyo.Constraint(model.t, rule=rule))
    return model


def _add_links(model: Any, writing: Writing) -> None:
    for number, i in enumerate(writing.links):
        source, link = model.component(writing.names("x", i)), pyo.Var(model.t, initialize=0.0)
        model.add_component(f"link{i}", link)
        if number % 2:
            ports = [Port(initialize={"value": source}), Port(initialize={"value": link})]
            for side, port in zip(("out", "in"), ports, strict=True):
                model.add_component(f"{side}{i}", port)
            model.add_component(f"arc{i}", Arc(source=ports[0], destination=ports[1]))
        else:
            model.add_component(f"same{i}", pyo.Constraint(model.t, rule=lambda m, t, s=source, w=link: w[t] == s[t]))


def algebraics(system: System, x: np.ndarray) -> np.ndarray:
    """Return z for given x by Newton's method."""
    z, right = np.zeros(system.algebraics), system.h @ x
    for _ in range(100):
        residual = z + system.c * z**3 + system.g @ np.tanh(z) - right
        jacobian = np.diag(1 + 3 * system.c * z**2) + system.g * (1 - np.tanh(z) ** 2)
        step = np.linalg.solve(jacobian, residual)
        z = z - step
        if np.abs(step).max(initial=0.0) <= 1e-14 * (1 + np.abs(z).max(initial=0.0)):
            return z
    raise AssertionError("the reference found no algebraic values")


def reference(system: System, times: np.ndarray) -> np.ndarray:
    """Return states and algebraic variables at times by SciPy's Radau with the algebraic variables eliminated, (times, n + m)."""

    def slope(t: float, x: np.ndarray) -> np.ndarray:
        rate = -system.decay * x + system.a @ np.tanh(x) + system.drive * np.sin(FREQUENCY * t)
        return rate + system.b @ algebraics(system, x)

    def jacobian(t: float, x: np.ndarray) -> np.ndarray:
        z = algebraics(system, x)
        by_z = np.diag(1 + 3 * system.c * z**2) + system.g * (1 - np.tanh(z) ** 2)
        return np.diag(-system.decay) + system.a * (1 - np.tanh(x) ** 2) + system.b @ np.linalg.solve(by_z, system.h)

    solution = solve_ivp(slope, (0.0, times[-1]), system.start, method="Radau", jac=jacobian, t_eval=times, rtol=1e-10, atol=1e-12)
    return np.array([np.concatenate([x, algebraics(system, x)]) for x in solution.y.T])


def values(trajectory: Trajectory, system: System, writing: Writing = PLAIN) -> np.ndarray:
    """Return states and algebraic variables in the system's own order and scale, (times, n + m)."""
    scales = writing.scales or (1.0,) * system.states
    x = [trajectory[writing.names("x", i)] / scales[i] for i in range(system.states)]
    return np.array([*x, *(trajectory[writing.names("z", k)] for k in range(system.algebraics))]).T


TIMES = np.linspace(0.0, END, 9)


def run(system: System, writing: Writing = PLAIN) -> np.ndarray:
    trajectory = simulate(build(system, writing), TIMES * writing.pace, rtol=RTOL, atol=ATOL)
    return values(trajectory, system, writing)


def assert_near(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=NEAR, atol=NEAR * (1 + np.abs(other).max()))


@st.composite
def rewritten(draw: st.DrawFn) -> tuple[System, Writing]:
    """Draw a system and orders in which its variables and equations stand."""
    system = draw(systems())
    count = system.states + system.algebraics
    orders = [tuple(draw(st.permutations(range(count)))) for _ in range(2)]
    return system, Writing(*orders, flipped=tuple(draw(st.sets(st.integers(0, count - 1)))))


@often
@given(rewritten())
def test_random_system_follows_a_dense_reference(drawn: tuple[System, Writing]) -> None:
    system, writing = drawn
    assert_near(run(system, writing), reference(system, TIMES))


@often
@given(systems(least_algebraics=1))
def test_algebraic_loops_follow_a_dense_reference(system: System) -> None:
    looped = replace(system, c=np.full(system.algebraics, 0.5))
    lowered = lower(build(looped))
    assert len(lowered.algebraics) > 0
    assert_near(run(looped), reference(looped, TIMES))


@often
@given(rewritten())
def test_order_of_writing_changes_nothing(drawn: tuple[System, Writing]) -> None:
    system, writing = drawn
    assert_near(run(system, writing), run(system))


@often
@given(systems())
def test_names_change_nothing_at_all(system: System) -> None:
    backwards = Writing(names=lambda symbol, k: f"{'v' if symbol == 'x' else 'a'}_{9 - k}")
    assert run(system, backwards).tobytes() == run(system).tobytes()


@often
@given(systems(), st.lists(st.integers(-6, 6), min_size=6, max_size=6), st.sampled_from([1e-3, 60.0, 3600.0]))
def test_units_change_nothing(system: System, powers: list[int], pace: float) -> None:
    scales = tuple(10.0**power for power in powers[: system.states])
    assert_near(run(system, Writing(scales=scales)), run(system))
    assert_near(run(system, Writing(pace=pace)), run(system))


@often
@given(systems(), st.data())
def test_aliases_and_arcs_change_nothing(system: System, data: st.DataObject) -> None:
    links = tuple(data.draw(st.permutations(range(system.states))))
    linked = Writing(links=links)
    model = build(system, linked)
    assert len(lower(model).algebraics) == len(lower(build(system)).algebraics)
    trajectory = simulate(model, TIMES, rtol=RTOL, atol=ATOL)
    assert_near(values(trajectory, system), run(system))
    for i in links:
        assert trajectory[f"link{i}"].tobytes() == trajectory[f"x{i}"].tobytes()


@often
@given(systems(), st.lists(st.integers(1, 999), max_size=20, unique=True))
def test_more_output_times_change_no_bit(system: System, more: list[int]) -> None:
    lowered = lower(build(system))
    few = simulate(lowered, TIMES, rtol=RTOL, atol=ATOL)
    grid = np.union1d(TIMES, END * np.array(more, dtype=float) / 1000)
    many = simulate(lowered, grid, rtol=RTOL, atol=ATOL)
    at = np.searchsorted(grid, TIMES)
    assert values(many, system)[at].tobytes() == values(few, system).tobytes()
    assert many.stats.steps == few.stats.steps


@often
@given(systems(), st.lists(st.integers(1, 19), min_size=1, max_size=4, unique=True), st.data())
def test_events_at_known_times_are_a_chain_of_smooth_runs(system: System, ticks: list[int], data: st.DataObject) -> None:
    """Each event maps all states by x -> factor x + dose; the runs between them are made one by one."""
    times = [END * tick / 20 for tick in sorted(ticks)]
    factors = data.draw(hnp.arrays(np.float64, (len(times), system.states), elements=st.sampled_from([0.0, 0.5, 1.0, -1.0])))
    doses = data.draw(_sparse((len(times), system.states), -2, 2))
    model = build(system)
    for number, time in enumerate(times):

        def transition(m: Any, t: Any, number: int = number) -> list[tuple[Any, Any]]:
            states = [m.component(f"x{i}")[t] for i in range(system.states)]
            return [(x, factors[number, i] * x + doses[number, i]) for i, x in enumerate(states)]

        setattr(model, f"event{number}", Event(at=(time,), transition=transition))
    whole = simulate(model, [0.0, END], rtol=RTOL, atol=ATOL)
    assert [record.time for record in whole.events] == pytest.approx(times)

    x, first = system.start, 0.0
    for number, last in enumerate([*times, END]):
        piece = simulate(build(system, Writing(first=first, last=last), x), [first, last], rtol=RTOL, atol=ATOL)
        end = values(piece, system)[-1]
        if number < len(times):
            x = factors[number] * end[: system.states] + doses[number]
        first = last
    assert_near(values(whole, system)[-1], end)
