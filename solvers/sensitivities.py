"""Derivatives of trajectories by parameters, inputs and start values, through events, profiles and restarts.

Forward: the variational equations ``S' = f_y S + f_p`` are integrated beside the states by the same method with one
factorization for all (the simultaneous corrector of Maly & Petzold 1996, Appl. Numer. Math. 20:57), their local errors held
to the tolerances like those of the states. What happens at an instant passes by :mod:`solvers.saltation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
from pyomo.core.base.component import ComponentBase
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice
from scipy.sparse.linalg import splu

from solvers.companion import Companion, Occasion, Point
from solvers.declare import declared_nominal
from solvers.errors import NumericsError, UsageError
from solvers.integrator import SegmentFunctions, SegmentIntegrator, Tangent
from solvers.saltation import Boundary, BoundaryFunctions, Instant, SparseDerivative, jumped, nonzeros
from solvers.schedule import Schedule, names_of_component, names_of_inputs
from solvers.simulate import Run, current_system, prepared_run
from solvers.start import Values
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem
from solvers.trajectory import Stats, Trajectory


class Method(Enum):
    """How derivatives are computed."""

    FORWARD = "forward: beside the states; the cost grows with the number of parameters"


class Kind(Enum):
    """What a parameter of a sensitivity is."""

    PARAMETER = "a mutable Param or a fixed Var without time"
    INPUT = "a constant input: a fixed Var of time"
    START = "the start value of a state"
    START_VALUE = "the value of an algebraic variable that is fixed at the first time"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that derivatives are taken by: its place among the system's parameters, inputs, states or start values."""

    name: str
    kind: Kind
    place: int


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Derivatives of outputs by parameters over time.

    At an output time that coincides with an event, they are those of the value after it, at that fixed time.
    """

    trajectory: Trajectory
    """The run itself; its steps hold to the tolerances for states and derivatives."""
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    array: np.ndarray
    """Shape (times, outputs, parameters), in the unit of the output over that of the parameter."""

    @property
    def t(self) -> np.ndarray:
        """Output times, shape (n,)."""
        return self.trajectory.t

    @property
    def stats(self) -> Stats:
        """What the run cost, derivatives included."""
        return self.trajectory.stats

    def __getitem__(self, key: tuple[Any, Any]) -> np.ndarray:
        """Return the derivative of an output by a parameter, each given by name or reference, shape (n,)."""
        if not isinstance(key, tuple) or len(key) != 2:
            raise UsageError("a derivative is asked for by output and parameter, e.g. s['tank.level', 'tank.area']")
        output, parameter = key
        return self.array[:, self._place(output, self.outputs), self._place(parameter, self.parameters)]

    def _place(self, key: Any, names: tuple[str, ...]) -> int:
        found = [key] if isinstance(key, str) else names_of_component(self.trajectory.system, key)
        if len(found) != 1 or found[0] not in names:
            raise UsageError(
                f"no derivative was computed for {', '.join(found[:3])}",
                names=found[:10],
                hint=did_you_mean(found[0], names, 3) if found else "",
            )
        return names.index(found[0])


def sensitivities(
    model: Any,
    parameters: Any,
    outputs: Any,
    t_eval: Any = None,
    *,
    inputs: Mapping[Any, Any] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    method: Method = Method.FORWARD,
) -> Sensitivities:
    """Simulate a model and return derivatives of its outputs by parameters.

    Parameters
    ----------
    model : a Pyomo model or a :class:`DaeSystem`, as for :func:`solvers.simulate`.
    parameters : names or references: mutable Params, fixed Vars without time, constant inputs (fixed Vars of time), and states,
        which stand for their start values.
    outputs : names or references of any scalars of time, eliminated ones and Expressions included.
    t_eval : increasing output times, shape (n,); the points of the model's time set by default.
    inputs : as for :func:`solvers.simulate`.
    rtol, atol : tolerances of states and derivatives alike. The absolute tolerance of the derivative by p is that of the state over
        the magnitude of p: its value, else its nominal value, else 1.
    method : how.

    Raises
    ------
    UsageError : nothing to compute, unknown names, an input that follows a profile, a start value that start equations determine.
    StructureError : see :func:`solvers.lower`.
    SimulationError : the run failed, or a guard touches zero without crossing it, so that the derivative does not exist.
    """
    if not isinstance(method, Method):
        raise UsageError(f"method is one of solvers.Method, not {method!r}", hint="Method.FORWARD")
    system = current_system(model)
    if t_eval is None:
        t_eval = sorted(float(point) for point in system.time.set)
    run = prepared_run(system, t_eval, inputs, rtol, atol)
    chosen = find_parameters(system, run.schedule, parameters)
    names = find_outputs(system, outputs)
    companion = Forward(run, chosen, OutputFunctions.of(system, names))
    run.companion = companion
    trajectory = run.trajectory()
    array = companion.derivatives(trajectory)
    if not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0]
        pair = names[place[1]], chosen[place[2]].name
        raise NumericsError(
            f"not a number: the derivative of {pair[0]} by {pair[1]} at t = {trajectory.t[place[0]]:g}",
            names=pair,
            hint="the output has no derivative at that point, such as a root at zero",
        )
    return Sensitivities(trajectory, names, tuple(parameter.name for parameter in chosen), array)


# -- what is asked for ----------------------------------------------------------------------------------------------------


def _listed(what: Any) -> list[Any]:
    return [what] if isinstance(what, (str, IndexedComponent_slice, ComponentBase)) or not isinstance(what, Iterable) else list(what)


def find_outputs(system: DaeSystem, outputs: Any) -> tuple[str, ...]:
    """Return the names of the outputs that names or references stand for.

    Raises
    ------
    UsageError : there are none, or one is unknown.
    """
    names: list[str] = []
    for key in _listed(outputs):
        found = [key] if isinstance(key, str) else names_of_component(system, key)
        for name in found:
            system.expression(name)
        names += found
    if not names:
        raise UsageError("no outputs are given", hint="name at least one variable of time")
    return tuple(dict.fromkeys(names))


def find_parameters(system: DaeSystem, schedule: Schedule, parameters: Any) -> tuple[Parameter, ...]:
    """Return what names or references stand for as parameters.

    Raises
    ------
    UsageError : there are none, or one is unknown, computed, determined by the start's equations or driven by a profile.
    """
    input_at, parameter_at, members = names_of_inputs(system)
    state_at = {slot.name: place for place, slot in enumerate(system.states)}
    start_at = {slot.name: place for place, slot in enumerate(system.start_fixed)}
    tables = ((Kind.PARAMETER, parameter_at), (Kind.INPUT, input_at), (Kind.START, state_at), (Kind.START_VALUE, start_at))
    found: dict[str, Parameter] = {}
    for key in _listed(parameters):
        if isinstance(key, str):
            known = any(key in table for _, table in tables)
            names = [key] if known or key not in members else members[key]
        else:
            names = names_of_component(system, key)
        for name in names:
            kinds = [Parameter(name, kind, table[name]) for kind, table in tables if name in table]
            if not kinds:
                raise _unknown_parameter(system, name, [known_name for _, table in tables for known_name in table])
            found[name] = kinds[0]
    if not found:
        raise UsageError("no parameters are given", hint="name at least one mutable Param, fixed Var or state")
    for parameter in found.values():
        if parameter.kind is Kind.INPUT and parameter.place in schedule.profiles:
            raise UsageError(
                f"{parameter.name} follows a profile and is no constant that a derivative can be taken by",
                names=[parameter.name],
                hint="add a mutable Param to it in the model (or multiply it by one) and take the derivative by that",
            )
        if parameter.kind is Kind.START and parameter.place in system.start_free:
            raise UsageError(
                f"the start of {parameter.name} follows from the equations of the start",
                names=[parameter.name],
                hint="take the derivative by what these equations contain, or fix the state at the first time",
            )
    return tuple(found.values())


def _unknown_parameter(system: DaeSystem, name: str, known: list[str]) -> UsageError:
    if name in system.names:
        return UsageError(
            f"{name} is computed by the model and is no parameter", names=[name], hint="fix the Var (and free another) to make it one"
        )
    hint = did_you_mean(name, known, 3) or "parameters are mutable Params, fixed Vars and, for their start values, states"
    return UsageError(f"no parameter is called {name!r}", names=[name], hint=hint)


def scale_of(system: DaeSystem, parameter: Parameter, values: Values) -> float:
    """Return a parameter's magnitude: its value, else its nominal value, else 1."""
    place = parameter.place
    arrays = {Kind.PARAMETER: values.p, Kind.INPUT: values.u, Kind.START: values.x, Kind.START_VALUE: values.start}
    value = abs(float(arrays[parameter.kind][place]))
    if value:
        return value
    if parameter.kind is Kind.START:
        return float(system.nominals[place])
    if parameter.kind is Kind.PARAMETER:
        return declared_nominal(system.parameters[place].parent_component()) or 1.0
    slots = system.inputs if parameter.kind is Kind.INPUT else system.start_fixed
    return declared_nominal(slots[place].component) or 1.0


@dataclass(frozen=True, eq=False)
class OutputFunctions:
    """Outputs with their sparse derivatives by x, z, u and p."""

    system: DaeSystem
    names: tuple[str, ...]

    @staticmethod
    def of(system: DaeSystem, names: tuple[str, ...]) -> OutputFunctions:
        """Return the functions for these outputs, made once for a system."""
        found: OutputFunctions = system.made(("outputs", names), lambda: OutputFunctions(system, names))
        return found

    @cached_property
    def _jacobians(self) -> list[ca.SX]:
        expression = ca.vertcat(*(self.system.expression(name) for name in self.names))
        return [ca.jacobian(expression, argument) for argument in self.system.arguments[1:]]

    @cached_property
    def _entries(self) -> ca.Function:
        return ca.Function("outputs", list(self.system.arguments), [ca.vertcat(*(nonzeros(j) for j in self._jacobians))])

    @cached_property
    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """States and algebraic variables that the outputs depend on."""
        by_x, by_z = (np.flatnonzero(np.diff(j.sparsity().colind())) for j in self._jacobians[:2])
        return by_x, by_z

    def entries(self, trajectory: Trajectory) -> list[tuple[int, int, int, np.ndarray]]:
        """Return (group, output, place in group, derivative over time) for each entry; groups are x, z, u, p."""
        points = [trajectory.t[None, :], trajectory.x.T, trajectory.z.T, trajectory.u.T, np.tile(trajectory.p[:, None], len(trajectory.t))]
        values = np.asarray(self._entries(*points)).reshape(-1, len(trajectory.t))
        places = [
            (group, row, column)
            for group, jacobian in enumerate(self._jacobians)
            for row, column in zip(*(list(part) for part in jacobian.sparsity().get_triplet()), strict=True)
        ]
        return [(*place, value) for place, value in zip(places, values, strict=True)]


# -- forward --------------------------------------------------------------------------------------------------------------


class Forward(Companion):
    """Carries the derivatives of (x, u, p) by the parameters, shape (states + inputs + parameters, chosen)."""

    def __init__(self, run: Run, parameters: tuple[Parameter, ...], outputs: OutputFunctions) -> None:
        system = self.system = run.system
        self._run = run
        self._parameters = parameters
        self._outputs = outputs
        self._functions: BoundaryFunctions = system.made("boundary", lambda: BoundaryFunctions(system))
        self._boundary = Boundary(self._functions, (run.rtol, run.atol * system.nominals))
        self._states, self._inputs = len(system.states), len(system.inputs)
        self._moving_inputs = _moving_inputs(system, parameters)
        self._change = np.zeros((self._states + self._inputs + len(system.parameters), len(parameters)))
        self._algebraic: np.ndarray | None = None
        self._instant: Instant | None = None
        self._times: Mapping[int, np.ndarray] = {}
        self._used = np.concatenate([outputs.used[0], run.functions.state_count + outputs.used[1]]).astype(int)
        self._input_changes = np.zeros((len(run.times), self._inputs, len(parameters)))

    # -- what the run asks for ----------------------------------------------------------------------------------------

    def integrator(self, functions: SegmentFunctions, t: float, y: np.ndarray, rtol: float, atol: np.ndarray) -> SegmentIntegrator:
        """Return the integrator of states and derivatives.

        Its norm is the mean over all of them. Tolerances are made tighter so that neither the states nor any one parameter's
        derivatives can take more of it than if they were alone.
        """
        system, blocks = self.system, len(self._parameters)
        share = 1 / np.sqrt(1 + blocks)
        scales = [scale_of(system, parameter, self._run.values) for parameter in self._parameters]
        chosen = [p.place for p in self._parameters if p.kind is Kind.PARAMETER]
        columns = (*sorted(chosen), *(len(system.parameters) + place for place in self._moving_inputs))
        tangent: Tangent = system.made(("tangent", functions.ramped, columns), lambda: functions.tangent(columns))
        kept = np.concatenate([np.arange(len(y)), *(len(y) * (1 + block) + self._used for block in range(blocks))])
        full = np.concatenate([y, np.zeros(len(y) * blocks)])
        tolerances = np.concatenate([atol, *(atol / scale for scale in scales)])
        self._seeded = [self._states + self._inputs + place for place in sorted(chosen)]
        self._seeded += [self._states + place for place in self._moving_inputs]
        return SegmentIntegrator(functions, t, full, share * rtol, share * tolerances, kept, tangent)

    def width(self, size: int) -> int:
        """Length of a row: the states and what the outputs need of the derivatives."""
        return size + len(self._parameters) * len(self._used)

    def row(self, y: np.ndarray, point: Point) -> np.ndarray:
        """Return the row of outputs for the present."""
        return np.concatenate([y, self._blocks(point)[:, self._used].ravel()])

    def full(self, driver: SegmentIntegrator, y: np.ndarray, point: Point) -> np.ndarray:
        """Return (x, z) and its derivatives, one block for each parameter."""
        driver.seed[:] = self._change[self._seeded].T
        return np.concatenate([y, self._blocks(point).ravel()])

    def take(self, driver: SegmentIntegrator, stop: float) -> None:
        """Read the derivatives at the end of a segment."""
        blocks = driver.y.reshape(1 + len(self._parameters), -1)[1:]
        self._change[: self._states] = blocks[:, : self._states].T
        self._algebraic = blocks[:, self._run.functions.state_count :].T.copy()

    def begin(self, point: Point, values: Values) -> None:
        """Set the derivatives of a consistent start."""
        self._change[:] = start_change(self.system, self._parameters, point, values)
        self._algebraic = None

    def given(self, schedule: Schedule, t: float) -> None:
        """Inputs follow their profiles from here on, whatever events had made of them."""
        self._change[[self._states + place for place in schedule.changed(t)]] = 0.0
        self._algebraic = None

    def occur(self, crossed: Any, point: Point, input_slopes: np.ndarray) -> None:
        """Find how the events' times move."""
        self._instant = self._boundary.occur(crossed, point, input_slopes)
        self._times = {number: row @ self._change for number, row in self._instant.clocks.items()}

    def leave(self, number: int, occasion: Occasion, point: Point, input_slopes: np.ndarray) -> None:
        """Look at what holds before a transition."""
        assert self._instant is not None
        self._boundary.leave(self._instant, number, occasion, point, input_slopes)

    def arrive(self, number: int, point: Point, input_slopes: np.ndarray) -> None:
        """Take the derivatives through a transition."""
        assert self._instant is not None
        jump = self._boundary.arrive(self._instant, number, point, input_slopes)
        self._change = jumped(jump, self._change, self._times.get(jump.clock))
        self._algebraic = None

    def fill(self, first: int, last: int) -> None:
        """Note the derivatives of inputs, which are constant in a segment."""
        self._input_changes[first:last] = self._change[self._states : self._states + self._inputs]

    def _blocks(self, point: Point) -> np.ndarray:
        """Derivatives of (x, z), shape (parameters, size)."""
        if self._algebraic is None:
            change = np.vstack([np.zeros((1, len(self._parameters))), self._change])
            known = self._functions.linearize(point, np.zeros(self._inputs)) if self.system.algebraics else None
            self._algebraic = known.algebraic(change) if known is not None else np.zeros((0, len(self._parameters)))
        states = self._change[: self._states] if self._states else np.zeros((1, len(self._parameters)))
        return np.concatenate([states, self._algebraic]).T

    # -- the end ------------------------------------------------------------------------------------------------------

    def derivatives(self, trajectory: Trajectory) -> np.ndarray:
        """Return the derivatives of the outputs, shape (times, outputs, parameters)."""
        times, size = len(trajectory.t), self._run.size
        changes = self._run.outputs[:times, size:].reshape(times, len(self._parameters), len(self._used))
        column = {place: number for number, place in enumerate(self._used)}
        parameters = self._change[self._states + self._inputs :]
        array = np.zeros((times, len(self._outputs.names), len(self._parameters)))
        for group, output, place, entry in self._outputs.entries(trajectory):
            if group < 2:
                change = changes[:, :, column[place + (self._run.functions.state_count if group else 0)]]
            else:
                change = self._input_changes[:times, place] if group == 2 else parameters[place][None, :]
            array[:, output, :] += entry[:, None] * change
        return array


def _moving_inputs(system: DaeSystem, parameters: tuple[Parameter, ...]) -> list[int]:
    """Return the inputs that can have a derivative: those asked for, and those that transitions set to something not constant."""
    found = {parameter.place for parameter in parameters if parameter.kind is Kind.INPUT}
    rows = set(ca.jacobian_sparsity(system.transition_values, ca.vertcat(*system.arguments)).row())
    found.update(place for event in system.events for place, row in event.inputs if row in rows)
    return sorted(found)


def start_change(system: DaeSystem, parameters: tuple[Parameter, ...], point: Point, values: Values) -> np.ndarray:
    """Return the derivatives of (x, u, p) at a consistent start, shape (states + inputs + parameters, chosen).

    States that follow from the equations of the start are differentiated implicitly.
    """
    states, inputs = len(system.states), len(system.inputs)
    first = {Kind.START: 0, Kind.INPUT: states, Kind.PARAMETER: states + inputs}
    change = np.zeros((states + inputs + len(system.parameters), len(parameters)))
    given = np.zeros((len(values.start), len(parameters)))
    for column, parameter in enumerate(parameters):
        if parameter.kind is Kind.START_VALUE:
            given[parameter.place, column] = 1.0
        else:
            change[first[parameter.kind] + parameter.place, column] = 1.0
    free = list(system.start_free)
    if free:
        derivative: SparseDerivative = system.made("start derivative", lambda: _start_derivative(system))
        _, (by_known, by_given, by_unknown) = derivative(*point, values.start)
        change[free] = splu(by_unknown).solve(-(by_known @ change + by_given @ given))[: len(free)]
    return change


def _start_derivative(system: DaeSystem) -> SparseDerivative:
    residual = ca.vertcat(system.start_residual, system.algebraic)
    known = ca.vertcat(system.x, system.u, system.p)
    unknown = ca.vertcat(system.x[list(system.start_free)], system.z)
    return SparseDerivative([*system.arguments, system.start_values], residual, [known, system.start_values, unknown])
