"""Dynamic optimization of a lowered system: controls, parameters and the final time, by Radau collocation and IPOPT.

The states on each element are polynomials that satisfy the equations at the Radau points (:mod:`solvers.collocation`); the nonlinear
program that results is solved with exact derivatives (Waechter & Biegler 2006, Math. Program. 106:25). The optimum is simulated again
with the error control of :func:`solvers.simulate`, and both objectives stand in the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from numbers import Real
from typing import Any

import casadi as ca
import numpy as np

from solvers.declare import Interpolation, Profile
from solvers.errors import FlowsheetError, UsageError
from solvers.misfit import listed
from solvers.program import OptimizationError, Program, Solution, solve
from solvers.schedule import names_of_component
from solvers.simulate import current_system, prepared_run
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem
from solvers.trajectory import Trajectory

RTOL, ATOL = 1e-9, 1e-11
"""Tolerances of the simulation of an optimum."""
GAUSS = 6
"""Points per element at which integrals along a simulated optimum are taken."""


@dataclass(frozen=True, slots=True)
class Final:
    """The value of a scalar of the model at the final time."""

    name: Any


@dataclass(frozen=True, slots=True)
class Integrated:
    """The integral of a scalar of the model over time."""

    name: Any


@dataclass(frozen=True, slots=True)
class FinalTime:
    """The final time itself."""


Goal = Final | Integrated | FinalTime


@dataclass(frozen=True, slots=True)
class Bound:
    """Limits of a scalar of the model, in its own unit."""

    name: Any
    lower: float = -math.inf
    upper: float = math.inf


@dataclass(frozen=True, slots=True)
class Control:
    """An input that is free to choose, within limits.

    Parameters
    ----------
    lower, upper : its limits.
    initial : where the search begins; by default the middle of the limits.
    interpolation : held on each element, or linear on each and continuous.
    """

    lower: float
    upper: float
    initial: float | None = None
    interpolation: Interpolation = Interpolation.HOLD

    @property
    def begin(self) -> float:
        """Where the search begins."""
        return 0.5 * (self.lower + self.upper) if self.initial is None else self.initial


class OptimumStatus(Enum):
    """Whether a point is an optimum; only OPTIMAL is."""

    OPTIMAL = "optimal"
    NOT_OPTIMAL = "not optimal: the solver stopped before; look at the message"


@dataclass(frozen=True, eq=False)
class Optimum:
    """The outcome of an optimization; ``optimum["name"]`` gives the course of any scalar of the model at ``optimum.t``."""

    status: OptimumStatus
    objective: float
    controls: Mapping[str, Profile]
    """Courses of the controls by name, as :func:`solvers.simulate` takes them."""
    parameters: Mapping[str, float]
    """Free parameters and start values by name."""
    final_time: float
    trajectory: Trajectory
    """The collocated course: the start and all collocation points."""
    simulated: Trajectory | None
    """The same simulated with error control; None if that failed."""
    simulated_objective: float
    """The objective along the simulation; not a number if that failed."""
    simulated_excess: Mapping[str, float]
    """How far beyond its limits each of ``path`` and ``end`` gets along the simulation, which looks between collocation points too,
    in its own unit; those that stay within are not listed."""
    violation: float
    """Largest violation of a constraint, in shares of its scale."""
    iterations: int
    message: str
    """What IPOPT said."""

    @property
    def t(self) -> np.ndarray:
        """Times of the collocated course, shape (n,)."""
        return self.trajectory.t

    @property
    def gap(self) -> float:
        """Distance of the simulated from the collocated objective, in shares of its size."""
        return abs(self.simulated_objective - self.objective) / max(1e-300, abs(self.objective), abs(self.simulated_objective))

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return the collocated course of a scalar by name or reference, shape (n,)."""
        return self.trajectory[key]


def optimize(
    model: Any,
    *,
    controls: Mapping[Any, Control] | None = None,
    minimize: Goal | None = None,
    maximize: Goal | None = None,
    parameters: Mapping[Any, tuple[float, float]] | None = None,
    horizon: float | tuple[float, float] | None = None,
    path: Sequence[Bound] = (),
    end: Sequence[Bound] = (),
    inputs: Mapping[Any, Any] | None = None,
    elements: int = 50,
    degree: int = 3,
    tolerance: float = 1e-9,
    most_iterations: int = 1000,
) -> Optimum:
    """Find controls, parameters and the final time that make a goal of a model smallest or largest.

    Parameters
    ----------
    model : a Pyomo model or a :class:`DaeSystem`, without events. Its own objectives and inequalities are left aside.
    controls : ``{Var or name: Control}`` for fixed Vars of time; none where parameters or the final time are all there is to choose.
    minimize, maximize : the goal, one of them: :class:`Final`, :class:`Integrated` or :class:`FinalTime`.
    parameters : ``{name: (lower, upper)}`` for mutable Params, fixed Vars without time and start values of states that are to be
        chosen too; the search begins at their present values.
    horizon : the final time; a pair of limits if it is free; by default the end of the model's time set.
    path : limits that hold at the start, at all collocation points and so at the ends of all elements.
    end : limits at the final time.
    inputs : numbers for other inputs and parameters, as for :func:`solvers.simulate`.
    elements, degree : of the collocation; controls change at elements.
    tolerance : of the optimality conditions, in the scaled problem.
    most_iterations : of IPOPT.

    Raises
    ------
    UsageError : unknown or unfit names, limits that are not finite or exchanged, no goal or two.
    OptimizationError : no optimum was found; it carries the last point, marked as what it is.

    Examples
    --------
    >>> from pyomo.dae import ContinuousSet, DerivativeVar
    >>> from pyomo.environ import ConcreteModel, Constraint, Expression, Var
    >>> model = ConcreteModel()
    >>> model.t = ContinuousSet(bounds=(0, 1))
    >>> model.x, model.u = Var(model.t, initialize=1.0), Var(model.t, initialize=0.0)
    >>> model.u.fix(0.0)
    >>> model.dx = DerivativeVar(model.x, wrt=model.t)
    >>> model.law = Constraint(model.t, rule=lambda m, t: m.dx[t] == m.u[t])
    >>> model.cost = Expression(model.t, rule=lambda m, t: m.x[t] ** 2 + m.u[t] ** 2)
    >>> model.x[0].fix(1.0)
    >>> optimum = optimize(model, controls={"u": Control(-5, 5)}, minimize=Integrated("cost"), elements=20)
    >>> round(optimum.objective, 3)  # tanh(1)
    0.762
    """
    goal = _one_goal(minimize, maximize)
    _check_search(tolerance, most_iterations)
    system = current_system(model)
    chosen = _named_controls(system, _checked_mapping("controls", controls))
    free = _named_parameters(system, _checked_mapping("parameters", parameters))
    limits = _checked_horizon(system, horizon)
    if not chosen and not free and limits[0] == limits[1]:
        raise UsageError(
            "there is nothing to choose: no control, no parameter, and the final time is given",
            hint="controls={'feed': Control(0, 10)} for a fixed Var of time",
        )
    program = Program.of(
        system,
        controls=chosen,
        parameters=free,
        horizon=limits,
        path=_checked_bounds(system, "path", path),
        end=_checked_bounds(system, "end", end),
        inputs=inputs,
        elements=_checked_elements(elements),
        degree=degree,
    )
    return _solved(program, goal, 1.0 if maximize is None else -1.0, tolerance, most_iterations)


def _solved(program: Program, goal: Goal, sign: float, tolerance: float, most_iterations: int) -> Optimum:
    """Solve a program for a goal, and judge what came of it."""
    name = "" if isinstance(goal, FinalTime) else _one_name(program.system, goal.name)
    solution = solve(program, sign * _objective(program, goal, name), tolerance, most_iterations)
    optimum = _optimum(program, goal, name, sign * solution.objective, solution)
    if not solution.success:
        raise OptimizationError(
            f"no optimum was found: {_said(solution.message)} after {solution.iterations} iterations; largest violation "
            f"{solution.violation:.3g} (scaled)" + (f" of {listed(solution.worst, 5)}" if solution.worst else ""),
            names=solution.worst,
            hint="a constraint may be impossible: relax those that are named, start closer (initial=), or take more elements",
            optimum=optimum,
        )
    if optimum.simulated is None:
        raise OptimizationError(
            "the optimum could not be simulated with its controls, so that it is not shown to hold",
            names=[program.system.inputs[place].name for place in program.controls],
            hint="take more elements, or bound states away from where the model has no values",
            optimum=replace(optimum, status=OptimumStatus.NOT_OPTIMAL),
        )
    return optimum


# -- what was asked for ------------------------------------------------------------------------------------------------


def _one_goal(minimize: Goal | None, maximize: Goal | None) -> Goal:
    if (minimize is None) == (maximize is None):
        raise UsageError("an optimization takes either minimize= or maximize=", hint="e.g. maximize=Final('product')")
    goal = minimize if minimize is not None else maximize
    if not isinstance(goal, Goal):
        raise UsageError(f"the goal is given as {goal!r}", hint="Final('product'), Integrated('cost') or FinalTime()")
    return goal


def _one_name(system: DaeSystem, key: Any) -> str:
    names = [key] if isinstance(key, str) else names_of_component(system, key)
    if len(names) != 1:
        raise UsageError(f"{key} stands for {len(names)} scalars of time", names=names[:10], hint="name one of them")
    system.scalar(names[0])
    return names[0]


def _named_controls(system: DaeSystem, controls: Mapping[Any, Control]) -> dict[int, Control]:
    places = {slot.name: place for place, slot in enumerate(system.inputs)}
    found = {}
    for key, control in controls.items():
        for name in [key] if isinstance(key, str) else names_of_component(system, key):
            if name not in places:
                computed = "; it is computed by the model" if name in system.names else ""
                raise UsageError(
                    f"{name!r} cannot be a control{computed}",
                    names=[name],
                    hint=did_you_mean(name, places, 3) or "a control is a fixed Var of time: fix it at all times",
                )
            if not isinstance(control, Control):
                raise UsageError(f"the control {name} is given as {control!r}", names=[name], hint="Control(lower, upper)")
            _check_limits(name, (control.lower, control.upper), finite=True)
            if control.initial is not None and not _is_number(control.initial):
                raise UsageError(f"the control {name} begins at {control.initial!r}, which is no number", names=[name])
            if not control.lower <= control.begin <= control.upper:
                raise UsageError(f"the control {name} begins at {control.begin}, outside its limits", names=[name])
            found[places[name]] = control
    return found


def _named_parameters(system: DaeSystem, parameters: Mapping[Any, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    known = [str(data.name) for data in system.parameters] + [slot.name for slot in system.states]
    found = {}
    for key, limits in parameters.items():
        for name in [key] if isinstance(key, str) else names_of_component(system, key):
            if name not in known:
                raise UsageError(f"no parameter or state is called {name!r}", names=[name], hint=did_you_mean(name, known, 3))
            lower, upper = _check_limits(name, limits, finite=True)
            found[name] = (lower, upper)
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_limits(name: str, limits: Any, finite: bool = False) -> tuple[float, float]:
    """Return limits that are two numbers in order."""
    pair = tuple(limits) if isinstance(limits, tuple | list) else ()
    if len(pair) != 2 or not all(map(_is_number, pair)):
        raise UsageError(f"the limits of {name} are no pair of numbers (got {limits!r})", names=[name], hint="(lower, upper)")
    lower, upper = map(float, pair)
    if math.isnan(lower) or math.isnan(upper) or (finite and not (math.isfinite(lower) and math.isfinite(upper))):
        raise UsageError(f"the limits of {name} are not finite ({lower}, {upper})", names=[name])
    if lower > upper:
        raise UsageError(f"the lower limit of {name} lies above the upper one ({lower} > {upper})", names=[name])
    return lower, upper


def _checked_mapping(what: str, given: Any) -> Mapping[Any, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(f"{what} are given as {type(given).__name__}", hint=f"{what}={{name: ...}}")
    return given


def _checked_bounds(system: DaeSystem, what: str, bounds: Any) -> list[Bound]:
    if isinstance(bounds, str) or not isinstance(bounds, Sequence) or not all(isinstance(bound, Bound) for bound in bounds):
        raise UsageError(f"{what} is given as {bounds!r}", hint=f"{what}=[Bound('name', lower, upper)]")
    checked = []
    for bound in bounds:
        name = _one_name(system, bound.name)
        checked.append(Bound(name, *_check_limits(name, (bound.lower, bound.upper))))
    return checked


def _check_search(tolerance: Any, most_iterations: Any) -> None:
    if not _is_number(tolerance) or not 0 < tolerance < 1:
        raise UsageError(f"a tolerance of {tolerance!r} cannot be served", hint="1e-9 is usual")
    if not isinstance(most_iterations, int) or isinstance(most_iterations, bool) or most_iterations < 1:
        raise UsageError(f"most_iterations={most_iterations!r} cannot be served", hint="at least 1; 1000 is usual")


def _checked_elements(elements: Any) -> int:
    if not isinstance(elements, int) or isinstance(elements, bool) or elements < 1:
        raise UsageError(f"{elements!r} elements cannot be served", hint="at least 1; 50 is usual")
    return elements


def _checked_horizon(system: DaeSystem, horizon: Any) -> tuple[float, float]:
    """Return limits of the duration."""
    first = float(system.time.first)
    if horizon is None:
        return float(system.time.last) - first, float(system.time.last) - first
    lower, upper = _check_limits("the final time", (horizon, horizon) if _is_number(horizon) else horizon, finite=True)
    if lower <= first:
        raise UsageError(f"the final time has to lie after the first time {first:g} (lower limit {lower:g})")
    return lower - first, upper - first


# -- the goal ----------------------------------------------------------------------------------------------------------


def _objective(program: Program, goal: Goal, name: str) -> ca.MX:
    if isinstance(goal, FinalTime):
        return program.first + program.duration
    values = program.course(name)
    if isinstance(goal, Final):
        return values[-1]
    weights = np.tile(program.scheme.weights, program.elements) / program.elements
    return program.duration * ca.mtimes(values, ca.DM(weights))


def _simulated(program: Program, goal: Goal, name: str, solution: Solution) -> tuple[Trajectory | None, float]:
    """Simulate an optimum with error control, and return its objective along that course."""
    nodes, weights = np.polynomial.legendre.leggauss(GAUSS)
    duration, elements = solution.duration, program.elements
    starts = program.first + duration * np.arange(elements) / elements
    length = duration / elements
    inner = (starts[:, None] + length * (nodes[None, :] + 1) / 2).ravel()
    times = np.unique(np.concatenate([starts, inner, [program.first + duration]]))
    try:
        run = prepared_run(program.system, times, {**program.given, **solution.parameters, **solution.controls}, RTOL, ATOL)
        for place, value in solution.starts.items():
            run.values.x[place] = run.x[place] = value
        trajectory = run.trajectory()
    except FlowsheetError:
        return None, math.nan
    if isinstance(goal, FinalTime):
        return trajectory, program.first + duration
    values = trajectory[name]
    if isinstance(goal, Final):
        return trajectory, float(values[-1])
    at = np.searchsorted(times, inner)
    return trajectory, float(length / 2 * (values[at].reshape(elements, -1) @ weights).sum())


def _excess(program: Program, trajectory: Trajectory) -> dict[str, float]:
    """Return how far each limited scalar gets beyond its limits, where it does."""
    found: dict[str, float] = {}
    for bound, values in [
        *((bound, trajectory[bound.name]) for bound in program.path),
        *((bound, trajectory[bound.name][-1:]) for bound in program.end),
    ]:
        excess = float(np.max(np.maximum(bound.lower - values, values - bound.upper)))
        if excess > 0:
            found[bound.name] = max(excess, found.get(bound.name, 0.0))
    return found


def _optimum(program: Program, goal: Goal, name: str, objective: float, solution: Solution) -> Optimum:
    trajectory, simulated = _simulated(program, goal, name, solution) if solution.success else (None, math.nan)
    starts = {program.system.states[place].name: value for place, value in solution.starts.items()}
    return Optimum(
        status=OptimumStatus.OPTIMAL if solution.success else OptimumStatus.NOT_OPTIMAL,
        objective=objective,
        controls=solution.controls,
        parameters={**solution.parameters, **starts},
        final_time=program.first + solution.duration,
        trajectory=solution.trajectory,
        simulated=trajectory,
        simulated_objective=simulated,
        simulated_excess={} if trajectory is None else _excess(program, trajectory),
        violation=solution.violation,
        iterations=solution.iterations,
        message=solution.message,
    )


def _said(message: str) -> str:
    return {
        "Infeasible_Problem_Detected": "the constraints cannot all be met",
        "Maximum_Iterations_Exceeded": "the iterations were used up",
        "Restoration_Failed": "no point that meets the constraints was found",
        "Invalid_Number_Detected": "a value is not a number",
    }.get(message, message)
