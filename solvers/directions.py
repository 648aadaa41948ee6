"""What derivatives are taken of and by: names sorted out, magnitudes, derivatives of the start and of the outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
from pyomo.core.base.component import ComponentBase
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice
from scipy.sparse import csc_matrix, hstack
from scipy.sparse.linalg import splu

from solvers.companion import Point
from solvers.declare import declared_nominal
from solvers.errors import UsageError
from solvers.evaluation import SparseDerivative, jacobian_by, nonzeros
from solvers.schedule import Schedule, names_of_component, names_of_inputs
from solvers.start import Values, determining_rows, equations_of_start
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem
from solvers.trajectory import Trajectory


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
        surplus = system.start_residual.shape[0] > len(system.start_free)
        if parameter.kind is Kind.START_VALUE and surplus:
            raise UsageError(
                f"the start is over-determined, so that the start of {parameter.name} cannot be varied alone",
                names=[parameter.name],
                hint="unfix what the other conditions of the start determine",
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


def moving_inputs(system: DaeSystem, parameters: tuple[Parameter, ...]) -> list[int]:
    """Return the inputs that can have a derivative: those asked for, and those that transitions set to something not constant."""
    found = {parameter.place for parameter in parameters if parameter.kind is Kind.INPUT}
    rows = {row for argument in system.arguments for row in ca.jacobian_sparsity(system.transition_values, argument).row()}
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
        _, (by_known, by_given, by_x, by_z) = derivative(*point, values.start)
        by_unknown = csc_matrix(hstack([by_x[:, free], by_z]))
        change[free] = splu(by_unknown).solve(-(by_known @ change + by_given @ given))[: len(free)]
    return change


def _start_derivative(system: DaeSystem) -> SparseDerivative:
    residual = equations_of_start(system)
    by_unknown = ca.horzcat(
        ca.jacobian_sparsity(residual, system.x).sub(list(range(residual.shape[0])), list(system.start_free))[0],
        ca.jacobian_sparsity(residual, system.z),
    )
    residual = residual[determining_rows(by_unknown)]
    known = (system.x, system.u, system.p)
    arguments = [*system.arguments, system.start_values]
    groups = [known, (system.start_values,), (system.x,), (system.z,)]
    return SparseDerivative(arguments, residual, [jacobian_by(residual, *group) for group in groups])
