"""The comparison's own correctness: equal error, honest counting, the same equations for all peers. No wall times."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import casadi as ca
import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Var
from scipy.integrate import solve_ivp

from benchmarks import column, line, report, suite
from benchmarks.harness import Peer, PeerFailure, Problem, Row, Run, compare, rung, tune
from benchmarks.peers import casadi_cvodes, ours, pyomo_simulator, scipy_bdf, segments_of
from flowsheet.verify.problems import ROBER
from solvers import lower, simulate
from solvers.declare import Direction, Event, Profile


def pretender(factor: float, *, fails_above: float = 1.0) -> Callable[[float], Callable[[], Run]]:
    """Return a peer whose error is ``factor`` times its tolerance."""

    def prepare(rtol: float) -> Callable[[], Run]:
        if rtol > fails_above:
            raise PeerFailure("too loose for me")
        return lambda: Run(np.array([factor * rtol]), {"steps": 7})

    return prepare


def problem_of(*peers: Peer) -> Problem:
    return Problem("pretended", 1e-5, lambda values: float(values[0]), peers)


def test_ladder_has_four_rungs_a_decade() -> None:
    assert [rung(k) for k in (24, 25, 26, 27, 28)] == [1e-6, 5.62e-7, 3.16e-7, 1.78e-7, 1e-7]


@pytest.mark.parametrize("factor", [0.01, 0.3, 1.0, 3.0, 1000.0])
@pytest.mark.parametrize("first", [1e-3, 1e-6, 1e-9])
def test_every_peer_gets_the_loosest_tolerance_that_reaches_the_target(factor: float, first: float) -> None:
    peer = Peer("p", pretender(factor), first_rtol=first)
    tuned = tune(problem_of(peer), peer)
    assert tuned.error <= 1e-5
    assert tuned.error * 10**0.25 > 0.98e-5


def test_peer_that_cannot_run_loose_is_run_tighter() -> None:
    peer = Peer("p", pretender(1.0, fails_above=1e-7), first_rtol=1e-4)
    assert tune(problem_of(peer), peer).rtol <= 1e-7


def test_peer_that_never_reaches_the_target_is_left_out_and_named() -> None:
    hopeless, fine = Peer("hopeless", pretender(1e12)), Peer("fine", pretender(1.0))
    heard: list[str] = []
    rows = compare(problem_of(fine, hopeless), rounds=2, log=heard.append)
    assert [row.peer for row in rows] == ["fine"]
    assert any("hopeless does not reach" in line for line in heard)


def test_rows_count_goals_and_verdicts() -> None:
    rows = compare(
        problem_of(Peer("own", pretender(1.0)), Peer("easy", pretender(1.0), goal=1e-9), Peer("hard", pretender(1.0), goal=1e9)), rounds=3
    )
    assert [row.verdict for row in rows] == ["", "met", "missed"]
    assert rows[0].ratio == 1.0
    assert all(row.seconds > 0 and row.fastest <= row.seconds and row.counters == {"steps": 7} for row in rows)


def test_table_and_json_hold_every_row() -> None:
    row = Row("column 25", "simulate", 1e-6, 5e-6, 1e-5, 0.0123, 0.012, 5, 1.0, None, {"steps": 500}, "note")
    text = report.table([row])
    assert "12.3 ms" in text
    assert "500" in text
    record = json.loads(report.as_json([row], None, 5))
    assert record["comparison"][0]["error"] == 5e-6
    assert record["machine"]["cores"] >= 1
    assert set(record["machine"]["versions"]) >= {"casadi", "pyomo"}


def test_hand_written_column_and_pyomo_model_are_the_same_equations() -> None:
    cells = 5
    hand = column.casadi_equations(cells)
    rate = ca.Function("f", [hand["x"], hand["u"]], [hand["ode"]])
    system = lower(column.build_model(cells))
    assert len(system.states) == 7 * cells + 1
    assert len(system.algebraics) == 0
    generator = np.random.default_rng(1)
    values = column.start_values(cells) + generator.uniform(0.1, 2.0, 7 * cells + 1)
    by_name = dict(zip(hand_names(cells), values, strict=True))
    x = [by_name[slot.name] for slot in system.states]
    inputs = dict(zip(column.PROFILES, (60.0, 0.1, 0.3), strict=True))
    u = [inputs[slot.name] for slot in system.inputs]
    lowered = dict(zip([slot.name for slot in system.states], np.asarray(system.right_hand_side(0, x, [], u, [])[0]).ravel(), strict=True))
    written = np.asarray(rate(values, list(inputs.values()))).ravel()
    np.testing.assert_allclose([lowered[name] for name in hand_names(cells)], written, rtol=1e-11)


def hand_names(cells: int) -> list[str]:
    """Return the Pyomo names in the order of the hand-written states."""
    names = []
    for cell in range(1, cells + 1):
        names += [f"c[{cell},{i}]" for i in range(4)] + [f"q[{cell},{i}]" for i in column.PROTEINS]
    return [*names, "rise"]


def test_column_keeps_its_mass() -> None:
    """What was loaded of each protein (10 s of 1 mol/m3) leaves by the end or is still there."""
    cells = 10
    times = column.output_times()
    names = column.outlet_names(cells)
    model = column.build_model(cells)
    trajectory = simulate(model, np.linspace(0.0, column.END_TIME, 15001), inputs=column.profiles(), rtol=1e-8, atol=1e-8)
    for i in column.PROTEINS:
        left = np.trapezoid(trajectory[names[i]], trajectory.t) * column.VELOCITY
        width = column.LENGTH / cells
        held = sum(trajectory[f"c[{k},{i}]"][-1] + column.PHASE_RATIO * trajectory[f"q[{k},{i}]"][-1] for k in range(1, cells + 1)) * width
        assert left + held == pytest.approx(10.0 * column.VELOCITY, rel=1e-5)
    assert times[-1] == column.END_TIME


def test_reference_of_the_column_is_good_beyond_the_target() -> None:
    """Radau IIA of SciPy, another method and another code, at 1e-10."""
    cells = 5
    task = suite.column_task(cells)
    rate = ca.Function("f", [task.equations["x"], task.equations["u"]], [task.equations["ode"]])
    jacobian = ca.Function("J", [task.equations["x"], task.equations["u"]], [ca.jacobian(task.equations["ode"], task.equations["x"])])
    state, values = task.start, [task.start[list(task.rows)][None, :]]
    for start, grid, u in task.segments():
        solution = solve_ivp(
            partial(_rate, rate, u),
            (start, grid[-1]),
            state,
            method="Radau",
            t_eval=grid,
            rtol=1e-10,
            atol=1e-11,
            jac=partial(_jacobian, jacobian, u),
        )
        state = solution.y[:, -1]
        values.append(solution.y[list(task.rows)].T)
    assert suite.peak_error(np.vstack(values), suite.column_reference(cells)) < 0.01 * suite.COLUMN_TARGET


def _rate(function: ca.Function, u: np.ndarray, _: float, x: np.ndarray) -> np.ndarray:
    return np.asarray(function(x, u)).ravel()


def _jacobian(function: ca.Function, u: np.ndarray, _: float, x: np.ndarray) -> np.ndarray:
    return np.asarray(function(x, u))


def test_all_peers_agree_on_a_small_column() -> None:
    cells = 5
    task, times, names = suite.column_task(cells), column.output_times(), column.outlet_names(cells)
    inline = column.build_model(cells, inline=True)
    peers = (
        Peer("ours", ours(column.build_model(cells), times, names, column.profiles())),
        Peer("cvodes", casadi_cvodes(task)),
        Peer("scipy", scipy_bdf(task, compiled=False)),
        Peer("simulator", pyomo_simulator(inline, column.OUTPUTS, names, scale=float(task.scale.min())), first_rtol=1e-7),
    )
    problem = Problem("small column", 1e-4, partial(suite.peak_error, suite.column_reference(cells)), peers)
    rows = compare(problem, rounds=1)
    assert [row.peer for row in rows] == ["ours", "cvodes", "scipy", "simulator"]
    assert all(row.error <= 1e-4 for row in rows)
    assert all(row.counters["steps"] > 50 for row in rows if row.peer in ("ours", "cvodes"))


def test_published_problems_are_the_same_for_every_peer() -> None:
    problem = suite.ivp_problem(ROBER)
    for peer in problem.peers:
        run = peer.prepare(1e-9)()
        assert problem.error(run.values) < 1e-6, peer.name
        assert run.values.shape[1] == 3


def test_segments_join_the_steps_of_all_inputs() -> None:
    assert segments_of({"a": {0.0: 1.0, 2.0: 5.0}, "b": {0.0: 7.0, 1.0: 8.0}}) == {0.0: [1.0, 7.0], 1.0: [1.0, 8.0], 2.0: [5.0, 8.0]}


def refilled_hopper() -> ConcreteModel:
    """Return a hopper that empties in proportion to its mass, refilled between two levels, with a feed that a profile changes."""
    model = ConcreteModel()
    model.t = ContinuousSet(bounds=(0, 1000))
    model.refill = Var(model.t, initialize=0.0)
    model.feed = Var(model.t, initialize=0.0)
    model.refill.fix(0.0)
    model.feed.fix(0.0)
    model.mass = Var(model.t, initialize=3.0)
    model.mass_dot = DerivativeVar(model.mass, wrt=model.t)
    model.balance = Constraint(model.t, rule=lambda m, t: m.mass_dot[t] == m.feed[t] + 0.5 * m.refill[t] - 0.01 * m.mass[t])
    model.mass[0].fix(3.0)
    model.low = Event(guard=lambda m, t: m.mass[t] - 1, direction=Direction.FALLING, transition=lambda m, t: [(m.refill[t], 1.0)])
    model.full = Event(guard=lambda m, t: m.mass[t] - 4, direction=Direction.RISING, transition=lambda m, t: [(m.refill[t], 0.0)])
    return model


def test_chained_peers_go_through_the_same_events() -> None:
    model, times = refilled_hopper(), np.linspace(0.0, 1000.0, 101)
    profiles = {"feed": Profile((0.0, 333.3, 400.0), (0.0, 0.005, 0.0))}
    tight = simulate(lower(model), times, inputs=profiles, rtol=1e-11, atol=1e-11)
    assert len(tight.events) >= 8
    chain = line.chain_of(tight, profiles)
    reference = tight["mass"][:, None]
    for peer in (line.chained_cvodes(chain), line.chained_scipy(chain, compiled=False)):
        values = peer(1e-8)().values
        assert values.shape == reference.shape
        np.testing.assert_allclose(values, reference, rtol=1e-5)


def test_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert report.main(["rober", "--rounds", "1", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "ROBER        simulate" in printed
    peers = {row["peer"] for row in json.loads(file.read_text())["comparison"]}
    assert peers >= {"simulate", "CasADi cvodes", "SciPy BDF", "pyomo Simulator"}


def test_unknown_problem_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        report.main(["colum-25"])
    assert "allowed: hires" in capsys.readouterr().err
