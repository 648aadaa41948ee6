"""The problems of the comparison, each with its peers and the goals set for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks import column
from benchmarks.harness import Peer, Problem
from benchmarks.line import line_problem
from benchmarks.peers import Task, casadi_cvodes, ours, ours_from_model, pyomo_simulator, scipy_bdf, segments_of
from flowsheet.verify import problems

GOAL_CASADI = 1 / 1.1
GOAL_SIMULATOR = 20.0
GOAL_SCIPY = 4.0
COLUMN_SIZES = (25, 200, 1250)
COLUMN_TARGET = 1e-5
END_TARGET = 1e-6
SIMULATOR_RTOL = 5.6e-8
"""Where the search starts for pyomo's Simulator on columns: it restarts at each output, which costs it accuracy."""
KEEP_UP_TO_CELLS = 200
"""On larger columns a Simulator that is kept only repeats, for many minutes, what the one made anew shows."""
COMPILE_UP_TO_CELLS = 200
"""Unrolled code of larger columns takes gcc minutes; there SciPy's callbacks run in CasADi's virtual machine."""


def column_task(cells: int) -> Task:
    """Return the hand-written column."""
    return Task(
        equations=column.casadi_equations(cells),
        start=column.start_values(cells),
        times=column.output_times(),
        inputs=segments_of(column.PROFILES),
        rows=column.outlet_rows(cells),
        scale=column.nominal_values(cells),
    )


def column_reference(cells: int) -> np.ndarray:
    """Return the outlet at 1e-10, shape (301, 4); good to some 1e-8 of each peak (checked against Radau in the tests)."""
    return casadi_cvodes(column_task(cells), atol_factor=2.0)(1e-10)().values


def peak_error(reference: np.ndarray, values: np.ndarray) -> float:
    """Return max over samples of the error over the peak of the reference, worst component."""
    return float(np.max(np.max(np.abs(values - reference), axis=0) / np.max(np.abs(reference), axis=0)))


def column_problem(cells: int, *, jit: bool = False) -> Problem:
    """Return the column with all peers."""
    task, times, names, inputs = column_task(cells), column.output_times(), column.outlet_names(cells), column.profiles()
    compiled = cells <= COMPILE_UP_TO_CELLS
    inline = column.build_model(cells, inline=True)
    scale = float(task.scale.min())
    peers = [
        Peer("simulate", ours(column.build_model(cells), times, names, inputs), note="of a lowered system, reading the outlet"),
        Peer("CasADi cvodes", casadi_cvodes(task), GOAL_CASADI, note="hand-written SX, virtual machine, csparse, integrators prepared"),
        Peer("CasADi cvodes, qr", casadi_cvodes(task, linear_solver="qr"), note="the same with CasADi's default linear solver"),
        Peer("SciPy BDF", scipy_bdf(task, compiled=compiled), GOAL_SCIPY, first_rtol=1e-5, note=_callbacks(compiled)),
        Peer(
            "pyomo Simulator",
            pyomo_simulator(inline, column.OUTPUTS, names, scale=scale),
            GOAL_SIMULATOR,
            SIMULATOR_RTOL,
            "made and run at every call",
        ),
        Peer(
            "simulate, lowering",
            ours_from_model(partial(column.build_model, cells), times, names, inputs),
            note="lower and simulate at every call",
        ),
    ]
    if cells <= KEEP_UP_TO_CELLS:
        kept = pyomo_simulator(inline, column.OUTPUTS, names, scale=scale, rebuild=False)
        peers.append(Peer("pyomo Simulator, kept", kept, None, SIMULATOR_RTOL, "made once"))
    if jit:
        peers.insert(3, Peer("CasADi cvodes, jit", casadi_cvodes(task, jit=True), note="the same, compiled by gcc -O2"))
    return Problem(f"column {cells}", COLUMN_TARGET, partial(peak_error, column_reference(cells)), tuple(peers))


def _callbacks(compiled: bool) -> str:
    return "sparse Jacobian, callbacks compiled by gcc" if compiled else "sparse Jacobian, callbacks in CasADi's virtual machine"


def end_error(problem: problems.InitialValueProblem, values: np.ndarray) -> float:
    """Return the relative error of the worst component at the published end."""
    return 10.0 ** -problems.digits(problem, list(values[-1]))


def ivp_task(problem: problems.InitialValueProblem) -> Task:
    """Return the hand-written equations with 100 output points."""
    return Task(
        equations=problems.casadi_equations(problem),
        start=np.array(problem.start, dtype=float),
        times=np.linspace(0.0, problem.end_time, 100),
        inputs={0.0: []},
        rows=list(range(len(problem.start))),
        scale=np.array(problem.scale),
    )


def ivp_problem(problem: problems.InitialValueProblem, *, jit: bool = False) -> Problem:
    """Return a problem of the test sets with all peers."""
    task, names = ivp_task(problem), list(problem.names)
    model = problems.build_model(problem)
    scale = float(task.scale.min())
    build = partial(problems.build_model, problem)
    peers = [
        Peer("simulate", ours(problems.build_model(problem), task.times, names), note="of a lowered system, reading all states"),
        Peer("CasADi cvodes", casadi_cvodes(task), GOAL_CASADI, note="hand-written SX, virtual machine, csparse, integrator prepared"),
        Peer("CasADi cvodes, qr", casadi_cvodes(task, linear_solver="qr"), note="the same with CasADi's default linear solver"),
        Peer("SciPy BDF", scipy_bdf(task, compiled=True), GOAL_SCIPY, note="dense Jacobian (small), callbacks compiled by gcc"),
        Peer(
            "pyomo Simulator",
            pyomo_simulator(model, len(task.times), names, scale=scale),
            GOAL_SIMULATOR,
            note="made and run at every call",
        ),
        Peer("pyomo Simulator, kept", pyomo_simulator(model, len(task.times), names, scale=scale, rebuild=False), note="made once"),
        Peer("simulate, lowering", ours_from_model(build, task.times, names), note="lower and simulate at every call"),
    ]
    if jit:
        peers.insert(3, Peer("CasADi cvodes, jit", casadi_cvodes(task, jit=True), note="the same, compiled by gcc -O2"))
    return Problem(problem.name, END_TARGET, partial(end_error, problem), tuple(peers))


def suite() -> dict[str, Callable[..., Problem]]:
    """Return what makes each problem, by the name it has on the command line."""
    makers: dict[str, Callable[..., Problem]] = {
        "hires": partial(ivp_problem, problems.HIRES),
        "rober": partial(ivp_problem, problems.ROBER),
    }
    for cells in COLUMN_SIZES:
        makers[f"column-{cells}"] = partial(column_problem, cells)
    makers["line"] = line_problem
    return makers
