"""The peers, made as well as their users can make them.

All integrate ``x' = f(t, x, u)`` with ``u`` constant on each segment.  Building functions, integrator objects and lowering lie
outside the timed call, except where a peer does it at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from pyomo.dae.simulator import Simulator
from pyomo.environ import ConcreteModel
from scipy.integrate import solve_ivp
from scipy.sparse import csc_matrix

from benchmarks.compiled import Compiled
from benchmarks.harness import PeerFailure, Run
from solvers import lower, simulate
from solvers.errors import NumericsError

MAX_STEPS = 500_000
DENSE_BELOW = 40
"""SciPy gets a dense Jacobian below this many states, where its sparse factorization only costs."""


@dataclass(frozen=True, slots=True)
class Task:
    """A hand-written system with what a run of it needs.

    Parameters
    ----------
    equations : CasADi symbols ``x``, optionally ``t`` and ``u``, and the expression ``ode``.
    start : (n,).
    times : output times, the first is the start; segment ends are among them.
    inputs : value of ``u`` on each segment, by the segment's start time.
    rows : positions of the states that are compared.
    scale : (n,) magnitudes that absolute tolerances relate to.
    """

    equations: Mapping[str, ca.SX]
    start: np.ndarray
    times: np.ndarray
    inputs: Mapping[float, Sequence[float]]
    rows: Sequence[int]
    scale: np.ndarray

    def segments(self) -> list[tuple[float, np.ndarray, np.ndarray]]:
        """Return ``(start, output times after it, u)`` of each segment."""
        starts = sorted(self.inputs)
        ends = [*starts[1:], float(self.times[-1])]
        return [
            (start, self.times[(self.times > start) & (self.times <= end)], np.asarray(self.inputs[start], dtype=float))
            for start, end in zip(starts, ends, strict=True)
        ]


def ours(
    model: ConcreteModel, times: Sequence[float], names: Sequence[str], inputs: Mapping[str, Any] | None = None, atol_factor: float = 1.0
) -> Callable[[float], Callable[[], Run]]:
    """Return ``simulate`` of the lowered model; the timed call includes reading the compared results."""
    system = lower(model)

    def prepare(rtol: float) -> Callable[[], Run]:
        def call() -> Run:
            try:
                trajectory = simulate(system, times, inputs=inputs, rtol=rtol, atol=atol_factor * rtol)
            except NumericsError as failure:
                raise PeerFailure(str(failure)) from failure
            counters = {name: value for name, value in trajectory.stats.as_dict().items() if isinstance(value, int)}
            return Run(np.column_stack([trajectory[name] for name in names]), counters)

        return call

    return prepare


def ours_from_model(
    build: Callable[[], ConcreteModel], times: Sequence[float], names: Sequence[str], inputs: Mapping[str, Any] | None = None
) -> Callable[[float], Callable[[], Run]]:
    """Return ``simulate`` with lowering inside the timed call."""

    def prepare(rtol: float) -> Callable[[], Run]:
        model = build()

        def call() -> Run:
            try:
                trajectory = simulate(lower(model), times, inputs=inputs, rtol=rtol, atol=rtol)
            except NumericsError as failure:
                raise PeerFailure(str(failure)) from failure
            return Run(np.column_stack([trajectory[name] for name in names]))

        return call

    return prepare


def casadi_cvodes(
    task: Task, *, linear_solver: str = "csparse", atol_factor: float = 1.0, jit: bool = False
) -> Callable[[float], Callable[[], Run]]:
    """Return CasADi's cvodes on the hand-written equations: one prepared integrator object for each segment.

    One object over all segments with ``u`` by interval is no faster and fails at tight tolerances (CasADi 3.8.2 does not
    restart the method where ``u`` jumps).  The absolute tolerance is a scalar there: the smallest magnitude is used.
    """

    def prepare(rtol: float) -> Callable[[], Run]:
        options: dict[str, Any] = {
            "reltol": rtol,
            "abstol": atol_factor * rtol * float(task.scale.min()),
            "linear_solver": linear_solver,
            "max_num_steps": MAX_STEPS,
            "show_eval_warnings": False,
            "disable_internal_warnings": True,
        }
        if jit:
            options |= {"jit": True, "compiler": "shell", "jit_options": {"flags": ["-O2"]}}
        pieces = []
        for start, grid, u in task.segments():
            integrator = ca.integrator("F", "cvodes", dict(task.equations), start, [float(t) for t in grid], options)
            pieces.append((integrator, ca.repmat(ca.DM(u), 1, len(grid)) if "u" in task.equations else ca.DM(0, len(grid))))
        rows = list(task.rows)

        def call() -> Run:
            x = ca.DM(task.start)
            values = [task.start[rows][None, :]]
            counters = {"steps": 0, "rhs_evaluations": 0, "factorizations": 0}
            for integrator, u in pieces:
                try:
                    found = integrator(x0=x, u=u)["xf"]
                except RuntimeError as failure:
                    raise PeerFailure(str(failure).splitlines()[-1]) from failure
                x = found[:, -1]
                values.append(found[rows, :].full().T)
                stats = integrator.stats()
                for ours_name, theirs in (("steps", "nsteps"), ("rhs_evaluations", "nfevals"), ("factorizations", "nlinsetups")):
                    counters[ours_name] += int(stats[theirs])
            return Run(np.vstack(values), counters)

        return call

    return prepare


def scipy_bdf(task: Task, *, compiled: bool) -> Callable[[float], Callable[[], Run]]:
    """Return SciPy's BDF with compiled right-hand side and compiled sparse Jacobian, one ``solve_ivp`` for each segment."""
    t = task.equations.get("t", ca.SX.sym("t"))
    x = task.equations["x"]
    u = task.equations.get("u", ca.SX.sym("u", 0))
    ode = task.equations["ode"]
    jacobian = ca.jacobian(ode, x)
    rate = Compiled(ca.Function("f", [t, x, u], [ode]), compile_c=compiled)
    slope = Compiled(ca.Function("J", [t, x, u], [jacobian]), compile_c=compiled)
    row, colind = np.array(jacobian.sparsity().row()), np.array(jacobian.sparsity().colind())
    n = x.shape[0]

    def sparse(data: np.ndarray) -> Any:
        matrix = csc_matrix((data, row, colind), shape=(n, n))
        return matrix.toarray() if n < DENSE_BELOW else matrix

    def prepare(rtol: float) -> Callable[[], Run]:
        def call() -> Run:
            state, values = task.start, [task.start[list(task.rows)][None, :]]
            counters = {"steps": 0, "rhs_evaluations": 0, "jacobian_evaluations": 0, "factorizations": 0}
            for start, grid, inputs in task.segments():
                solution = solve_ivp(
                    lambda now, y, v=inputs: rate(now, y, v),
                    (start, float(grid[-1])),
                    state,
                    method="BDF",
                    t_eval=grid,
                    rtol=rtol,
                    atol=rtol * task.scale,
                    jac=lambda now, y, v=inputs: sparse(slope(now, y, v)),
                )
                if not solution.success:
                    raise PeerFailure(solution.message)
                state = solution.y[:, -1]
                values.append(solution.y[list(task.rows)].T)
                counters["rhs_evaluations"] += int(solution.nfev)
                counters["jacobian_evaluations"] += int(solution.njev)
                counters["factorizations"] += int(solution.nlu)
            return Run(np.vstack(values), {name: count for name, count in counters.items() if count})

        return call

    return prepare


def pyomo_simulator(
    model: ConcreteModel, points: int, names: Sequence[str], *, integrator: str = "cvodes", scale: float = 1.0, rebuild: bool = True
) -> Callable[[float], Callable[[], Run]]:
    """Return ``pyomo.dae.Simulator`` with CasADi; with ``rebuild`` its construction is in the timed call, as in its examples.

    ``simulate`` itself builds the CasADi integrator at every call, in either way.  Where inputs vary it restarts at
    every output point, and results cannot be asked for by name: columns are found once, outside the timed call.
    """
    inputs = model.component("var_input")
    built = None if rebuild else Simulator(model, package="casadi")

    def prepare(rtol: float) -> Callable[[], Run]:
        columns: list[int] = []

        def call() -> Run:
            simulator = built or Simulator(model, package="casadi")
            options = {"reltol": rtol, "abstol": rtol * scale, "max_num_steps": MAX_STEPS, "disable_internal_warnings": True}
            try:
                _, found = simulator.simulate(numpoints=points, integrator=integrator, varying_inputs=inputs, integrator_options=options)
            except RuntimeError as failure:
                raise PeerFailure(str(failure).splitlines()[-1]) from failure
            if not columns:
                columns.extend(_columns(simulator, names))
            return Run(found[:, columns])

        return call

    return prepare


def _columns(simulator: Simulator, names: Sequence[str]) -> list[int]:
    """Return the columns of the named states; the Simulator prints an index with the name of the time set in it."""
    order = []
    for item in simulator.get_variable_order():
        text = str(item).replace(" ", "").replace("{t}", "")
        base, _, index = text.partition("[")
        rest = [part for part in index.rstrip("]").split(",") if part]
        order.append(f"{base}[{','.join(rest)}]" if rest else base)
    return [order.index(name) for name in names]


def segments_of(steps: Mapping[str, Mapping[float, float]]) -> dict[float, list[float]]:
    """Return the value of all inputs on each segment, from steps of each input (all start at the same time)."""
    starts = sorted({time for course in steps.values() for time in course})
    return {start: [course[max(time for time in course if time <= start)] for course in steps.values()] for start in starts}
