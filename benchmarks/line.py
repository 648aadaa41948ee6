"""The continuous direct compression line of ``cases/small_line``: one hour with feeder refills and a disturbance.

The peer is CasADi's cvodes on hand-chained segments.  It is given what takes a user most work: the equations as lowering
reduced them (ODE and transition values as CasADi functions) and the times of all events, known beforehand from a
tight run, so that it neither watches guards nor restarts anywhere else.  Its integrator objects, one for each segment,
are prepared outside the timed call.  ``pyomo.dae.Simulator`` takes no blocks and no events and is not among the peers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
from scipy.integrate import solve_ivp
from scipy.sparse import csc_matrix

from benchmarks.compiled import Compiled
from benchmarks.harness import Peer, PeerFailure, Problem, Run
from benchmarks.peers import DENSE_BELOW, MAX_STEPS, ours
from flowsheet.case_load import load_case
from flowsheet.run import build_flowsheet
from solvers import DaeSystem, Trajectory, lower, simulate
from solvers.declare import Interpolation, Profile

CASE = Path(__file__).parent.parent / "cases" / "small_line"
TARGET = 1e-5
TIGHT = 1e-11


@dataclass(frozen=True, eq=False)
class Chain:
    """A lowered system with the times at which something happens to it.

    ``happenings`` are ``(time, positions of events in the system)``; where inputs only change by profile, no event is named.
    """

    system: DaeSystem
    start: np.ndarray
    inputs: np.ndarray
    parameters: np.ndarray
    profiles: Mapping[int, Profile]
    happenings: Sequence[tuple[float, tuple[int, ...]]]
    times: np.ndarray

    def segments(self) -> list[tuple[float, np.ndarray, tuple[int, ...]]]:
        """Return ``(start, output times after it and its end, events at its start)``."""
        ends = [time for time, _ in self.happenings[1:]] + [float(self.times[-1])]
        pieces = []
        for (start, events), end in zip(self.happenings, ends, strict=True):
            inside = self.times[(self.times > start) & (self.times < end)]
            pieces.append((start, np.append(inside, end), events))
        return pieces

    def inputs_from(self, t: float, u: np.ndarray) -> np.ndarray:
        """Return the inputs with the profiles' values at t."""
        u = u.copy()
        for place, profile in self.profiles.items():
            known = [value for time, value in zip(profile.times, profile.values, strict=True) if time <= t]
            u[place] = known[-1] if known else profile.values[0]
        return u


def chain_of(trajectory: Trajectory, profiles: Mapping[str, Profile]) -> Chain:
    """Return the chain that a tight run went through."""
    system = trajectory.system
    if len(system.algebraics):
        raise PeerFailure(f"the line keeps {len(system.algebraics)} algebraic variables; cvodes cannot take it")
    if any(profile.interpolation is not Interpolation.HOLD for profile in profiles.values()):
        raise PeerFailure("the chained peers take profiles that hold only")
    place_of = {(event.block, event.name): place for place, event in enumerate(system.events)}
    input_of = {slot.name: place for place, slot in enumerate(system.inputs)}
    happening: dict[float, list[int]] = {float(trajectory.t[0]): []}
    for profile in profiles.values():
        for time in profile.times:
            if trajectory.t[0] < time < trajectory.t[-1]:
                happening.setdefault(time, [])
    for record in trajectory.events:
        happening.setdefault(record.time, []).append(place_of[record.unit, record.event])
    return Chain(
        system=system,
        start=trajectory.x[0].copy(),  # the start is solved, not written in the model
        inputs=np.array([float(slot.start.value) for slot in system.inputs]),
        parameters=trajectory.p,
        profiles={input_of[name]: profile for name, profile in profiles.items()},
        happenings=[(time, tuple(happening[time])) for time in sorted(happening)],
        times=trajectory.t,
    )


def _walk(chain: Chain, advance: Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Go through a chain; ``advance(segment, grid, x, u)`` gives the states at the segment's grid, shape (states, grid)."""
    system = chain.system
    transition = _transition(system)
    x, u = chain.start.copy(), chain.inputs.copy()
    values: list[np.ndarray] = []
    for number, (start, grid, events) in enumerate(chain.segments()):
        u = chain.inputs_from(start, u) if not number or not events else u
        for place in events:
            changed = np.asarray(transition(start, x, [], u, chain.parameters)).ravel()
            event = system.events[place]
            for state, position in event.states:
                x[state] = changed[position]
            for position_of_input, position in event.inputs:
                u[position_of_input] = changed[position]
        if not number:
            values.append(x[None, :].copy())
        found = advance(number, grid, x, u)
        x = found[:, -1].copy()
        last = len(grid) if np.isin(grid[-1], chain.times) else len(grid) - 1
        values.append(found[:, :last].T)
    return np.vstack(values)


def _transition(system: DaeSystem) -> ca.Function:
    return system.made("benchmark transition", lambda: ca.Function("transition", list(system.arguments), [system.transition_values]))


def chained_cvodes(chain: Chain) -> Callable[[float], Callable[[], Run]]:
    """Return CasADi's cvodes, one prepared integrator object for each segment."""
    system = chain.system
    equations = {"t": system.t, "x": system.x, "p": ca.vertcat(system.u, system.p), "ode": system.ode}

    def prepare(rtol: float) -> Callable[[], Run]:
        options = {
            "reltol": rtol,
            "abstol": rtol * float(system.nominals.min()),
            "linear_solver": "csparse",
            "max_num_steps": MAX_STEPS,
            "show_eval_warnings": False,
            "disable_internal_warnings": True,
        }
        pieces = [ca.integrator("F", "cvodes", equations, start, [float(t) for t in grid], options) for start, grid, _ in chain.segments()]

        def call() -> Run:
            counters = {"steps": 0, "rhs_evaluations": 0, "factorizations": 0}

            def advance(number: int, grid: np.ndarray, x: np.ndarray, u: np.ndarray) -> np.ndarray:
                try:
                    found = pieces[number](x0=x, p=np.concatenate([u, chain.parameters]))["xf"].full()
                except RuntimeError as failure:
                    raise PeerFailure(str(failure).splitlines()[-1]) from failure
                stats = pieces[number].stats()
                for ours_name, theirs in (("steps", "nsteps"), ("rhs_evaluations", "nfevals"), ("factorizations", "nlinsetups")):
                    counters[ours_name] += int(stats[theirs])
                return found

            return Run(_walk(chain, advance), counters)

        return call

    return prepare


def chained_scipy(chain: Chain, *, compiled: bool = True) -> Callable[[float], Callable[[], Run]]:
    """Return SciPy's BDF with compiled right-hand side and sparse Jacobian, one ``solve_ivp`` for each segment."""
    system = chain.system
    t, x, p = system.t, system.x, ca.vertcat(system.u, system.p)
    jacobian = ca.jacobian(system.ode, x)
    rate = Compiled(ca.Function("f", [t, x, p], [system.ode]), compile_c=compiled)
    slope = Compiled(ca.Function("J", [t, x, p], [jacobian]), compile_c=compiled)
    row, colind, n = np.array(jacobian.sparsity().row()), np.array(jacobian.sparsity().colind()), x.shape[0]

    def matrix(data: np.ndarray) -> Any:
        sparse = csc_matrix((data, row, colind), shape=(n, n))
        return sparse.toarray() if n < DENSE_BELOW else sparse

    def prepare(rtol: float) -> Callable[[], Run]:
        def call() -> Run:
            counters = {"rhs_evaluations": 0, "jacobian_evaluations": 0, "factorizations": 0}
            starts = [start for start, _, _ in chain.segments()]

            def advance(number: int, grid: np.ndarray, y: np.ndarray, u: np.ndarray) -> np.ndarray:
                constants = np.concatenate([u, chain.parameters])
                solution = solve_ivp(
                    lambda now, state: rate(now, state, constants),
                    (starts[number], float(grid[-1])),
                    y,
                    method="BDF",
                    t_eval=grid,
                    rtol=rtol,
                    atol=rtol * system.nominals,
                    jac=lambda now, state: matrix(slope(now, state, constants)),
                )
                if not solution.success:
                    raise PeerFailure(solution.message)
                for name, count in (
                    ("rhs_evaluations", solution.nfev),
                    ("jacobian_evaluations", solution.njev),
                    ("factorizations", solution.nlu),
                ):
                    counters[name] += int(count)
                return solution.y

            return Run(_walk(chain, advance), counters)

        return call

    return prepare


def state_error(reference: np.ndarray, values: np.ndarray) -> float:
    """Return max over samples of the error over the largest reference value, worst state."""
    scale = np.max(np.abs(reference), axis=0)
    return float(np.max(np.max(np.abs(values - reference), axis=0)[scale > 0] / scale[scale > 0]))


def line_problem(*, jit: bool = False) -> Problem:
    """Return the line with its peers; ``jit`` changes nothing here."""
    del jit
    case = load_case(CASE)
    flowsheet = build_flowsheet(case)
    profiles = {spec.variable: spec.profile for spec in case.profiles}
    times = np.linspace(0.0, case.horizon, round(case.horizon / case.interval) + 1)
    model = flowsheet.model
    tight = simulate(lower(model), times, inputs=profiles, rtol=TIGHT, atol=TIGHT)
    names = [slot.name for slot in tight.system.states]
    chain = chain_of(tight, profiles)
    reference = chained_cvodes(chain)(TIGHT)().values
    peers = (
        Peer("simulate", ours(model, times, names, profiles), note="of a lowered system: finds its events; reading all states"),
        Peer("CasADi cvodes", chained_cvodes(chain), 1 / 1.1, note="lowered equations, segments between known event times"),
        Peer("SciPy BDF", chained_scipy(chain), 4.0, note="the same, callbacks compiled by gcc"),
    )
    return Problem("CDC line", TARGET, partial(state_error, reference), peers)
