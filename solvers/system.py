"""The lowered model: CasADi expressions of a semi-explicit system, and the way back to every Pyomo name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import casadi as ca
import numpy as np
from pyomo.dae import DerivativeVar
from pyomo.environ import Constraint, Expression, Suffix, Var
from pyomo.network import Arc

from solvers.declare import NOMINALS, Event, VectorFunction, declared_events, declared_nominal
from solvers.errors import UsageError
from solvers.kernels import Joined
from solvers.reader import Slot
from solvers.suggest import did_you_mean
from solvers.timeset import TimeSet


@dataclass(frozen=True, slots=True)
class LoweredEvent:
    """An event in terms of the system: positions of guard and condition, and what its transition changes."""

    name: str
    block: str
    event: Event
    guard: int | None
    """Position in the system's guards."""
    when: int | None
    """Position in the system's conditions."""
    states: tuple[tuple[int, int], ...]
    """(state, position in the system's transition values)."""
    inputs: tuple[tuple[int, int], ...]
    """(input, position in the system's transition values)."""

    @property
    def label(self) -> str:
        """Unit and event in one word."""
        return f"{self.block}.{self.name}" if self.block else self.name


@dataclass(frozen=True, eq=False)
class DaeSystem:
    """``x' = ode(t, x, z, u, p)``, ``0 = algebraic(t, x, z, u, p)`` and all that was eliminated on the way.

    States x, algebraic variables z, inputs u (fixed Vars of time) and parameters p (mutable Params and fixed Vars
    without time) are columns of symbols: SX where all is scalar, MX where vector functions are embedded. Values
    are not part of the system: they are read from the Pyomo model when a run starts, so that changing a value needs no new
    lowering. ``fingerprint`` tells whether the structure still stands.
    """

    model: Any
    time: TimeSet
    t: ca.SX | ca.MX
    x: ca.SX | ca.MX
    z: ca.SX | ca.MX
    u: ca.SX | ca.MX
    p: ca.SX | ca.MX
    ode: ca.SX | ca.MX
    algebraic: ca.SX | ca.MX
    slopes: ca.SX
    """``(ode, algebraic)`` in scalar symbols, as Jacobians are made of it."""
    joined: Joined | None
    """How the system's graph goes through vector functions; None where all is scalar."""
    states: tuple[Slot, ...]
    algebraics: tuple[Slot, ...]
    implicit: tuple[int, ...]
    """Algebraic variables that are derivatives of states: the system is implicit in them."""
    implicit_states: tuple[int, ...]
    """The states that these are the derivatives of."""
    singular: bool
    """Whether these equations hide constraints on states, so that the derivatives do not follow from them at a given point."""
    inputs: tuple[Slot, ...]
    parameters: tuple[Any, ...]
    start_residual: ca.SX | ca.MX
    """Residuals of the equations of the start, in terms of t, x, z, u, p and ``start_values``."""
    start_values: ca.SX | ca.MX
    start_fixed: tuple[Slot, ...]
    """Slots fixed at the first time only; their values enter ``start_values`` in this order."""
    start_free: tuple[int, ...]
    """States that are not fixed at the first time and follow from the equations of the start."""
    start_equation_names: tuple[str, ...]
    """Names of the equations of the start, in the order of ``start_residual``."""
    guards: ca.SX | ca.MX
    conditions: ca.SX | ca.MX
    transition_values: ca.SX | ca.MX
    events: tuple[LoweredEvent, ...]
    equation_names: tuple[str, ...]
    """Names of the equations that stayed algebraic, in the order of ``algebraic``."""
    loops: tuple[tuple[str, ...], ...]
    """Names of the unknowns of each algebraic loop."""
    input_profiles: Mapping[int, Mapping[float, float]]
    """Courses of inputs given by ``var_input`` suffixes, by input."""
    fingerprint: Fingerprint
    counts: Mapping[str, int]
    """Equations, eliminated variables, algebraic loops and the like, for reports."""
    _expressions: Mapping[str, ca.SX] = field(repr=False)
    _owners: Mapping[str, Any] = field(repr=False)
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def made(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what was made from this system under a key, made now if it is new: compiled functions serve many runs."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def arguments(self) -> tuple[ca.SX | ca.MX, ...]:
        """The symbols (t, x, z, u, p)."""
        return self.t, self.x, self.z, self.u, self.p

    @property
    def scalar_arguments(self) -> tuple[ca.SX, ...]:
        """The scalar symbols (t, x, z, u, p): the arguments themselves, or what stands for them where there are vector functions."""
        return self.arguments if self.joined is None else self.joined.symbols

    def symbol(self, name: str, count: int = 1) -> ca.SX | ca.MX:
        """Return a new column of symbols of the kind that the system is made of."""
        return type(self.x).sym(name, count)

    def slopes_by(self, *arguments: int) -> ca.SX | ca.MX:
        """Return the sparse derivative of ``(ode, algebraic)`` by some of (t, x, z, u, p), by number, side by side."""
        if self.joined is not None:
            return self.joined.jacobian(self.slopes, arguments)
        return ca.jacobian(self.slopes, ca.vertcat(*(self.arguments[number] for number in arguments)))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all scalars of time that can be asked for, in the order of the model."""
        return tuple(self._expressions)

    def expression(self, name: str) -> ca.SX | ca.MX:
        """Return the expression of a scalar of time in terms of (t, x, z, u, p).

        Raises
        ------
        UsageError : there is no such name; the nearest ones are given.
        """
        return self.column([name])

    def column(self, names: Sequence[str]) -> ca.SX | ca.MX:
        """Return the expressions of scalars of time as a column in terms of (t, x, z, u, p); errors as for :meth:`expression`."""
        scalars = ca.vertcat(*(self.scalar(name) for name in names), ca.SX(0, 1))
        return scalars if self.joined is None else self.joined.join([scalars])[0]

    def scalar(self, name: str) -> ca.SX:
        """Return the expression of a scalar of time in scalar symbols: without vector functions the same as :meth:`expression`."""
        try:
            return self._expressions[name]
        except KeyError:
            raise UsageError(
                f"no variable of time is called {name!r}",
                names=[name],
                hint=did_you_mean(name, self._expressions, 3) or "names are those of Pyomo without the index of time",
            ) from None

    def owner(self, name: str) -> Any:
        """Return the Pyomo component data (at the last time) behind a name."""
        self.scalar(name)
        return self._owners[name]

    @cached_property
    def nominals(self) -> np.ndarray:
        """Typical magnitude of each state, shape (number of states,): declared, else from its bounds, else 1."""
        return np.array([_nominal(slot) for slot in self.states])

    @cached_property
    def algebraic_nominals(self) -> np.ndarray:
        """Typical magnitude of each algebraic variable, found in the same way."""
        return np.array([_nominal(slot) for slot in self.algebraics])

    @cached_property
    def jacobian(self) -> ca.Function:
        """Sparse d(ode)/dx, d(ode)/dz, d(algebraic)/dx, d(algebraic)/dz as one function of (t, x, z, u, p)."""
        states, size = len(self.states), len(self.states) + len(self.algebraics)
        whole = self.slopes_by(1, 2)
        parts = [range(states), range(states, size)]
        blocks = [whole[rows.start : rows.stop, columns.start : columns.stop] for rows in parts for columns in parts]
        return ca.Function("jacobian", list(self.arguments), blocks)

    @cached_property
    def right_hand_side(self) -> ca.Function:
        """``(ode, algebraic)`` as a function of (t, x, z, u, p)."""
        return ca.Function("right_hand_side", list(self.arguments), [self.ode, self.algebraic])

    def summary(self) -> str:
        """Return one line: what the system consists of."""
        return (
            f"{len(self.states)} states, {len(self.algebraics)} algebraic variables, {len(self.inputs)} inputs, "
            f"{len(self.parameters)} parameters, {len(self.events)} events; {self.counts['eliminated']} of "
            f"{self.counts['equations']} equations eliminated"
        )


def _nominal(slot: Slot) -> float:
    declared = declared_nominal(slot.component)
    if declared is not None:
        return declared
    lower, upper = slot.data.lb, slot.data.ub
    if lower is not None and upper is not None and 0 < max(abs(lower), abs(upper)) < LARGEST_BOUND:
        return float(max(abs(lower), abs(upper)))
    return 1.0


LARGEST_BOUND = 1e10
"""A bound as large as this says nothing of a variable's size."""


class Fingerprint:
    """The structure of a model at an instant, kept by identity: what has to be the same for a system to be of use."""

    def __init__(self, model: Any) -> None:
        self._marks = _marks(model)

    def stands(self, model: Any) -> bool:
        """Whether the model still has the structure of this fingerprint."""
        marks = _marks(model)
        return len(marks) == len(self._marks) and all(one is other for one, other in zip(marks, self._marks, strict=True))


def _marks(model: Any) -> list[Any]:
    marks: list[Any] = []
    for block in model.block_data_objects(active=None, descend_into=True):
        for kind in (Var, DerivativeVar):
            for variable in block.component_objects(kind, descend_into=False):
                if not variable.is_reference():
                    marks += [data.fixed for data in variable._data.values()]
        marks += block.__dict__.get(NOMINALS, {}).values()
    for block in model.block_data_objects(active=True, descend_into=True):
        marks.append(block)
        for constraint in block.component_objects(Constraint, descend_into=False):
            for data in constraint._data.values():
                marks += (data.active, data.expr)
        for expression in block.component_objects(Expression, descend_into=False):
            if not expression.is_reference():
                marks += [data.expr for data in expression._data.values()]
        marks += [(arc if arc.active else None) for arc in block.component_data_objects(Arc, descend_into=False)]
        marks += [event for _, event in declared_events(block)]
        for kernel in block.component_objects(VectorFunction, descend_into=False):
            marks += (kernel if kernel.active else None, *kernel.inputs, *kernel.outputs)
    for component, course in var_input_courses(model):
        marks += (component, *course.keys(), *course.values())
    return marks


def var_input_courses(model: Any) -> list[tuple[Any, dict[float, float]]]:
    """Return what the ``var_input`` suffixes of pyomo.dae say: component and values by time."""
    courses = []
    for suffix in model.component_objects(Suffix, descend_into=True, active=True):
        if suffix.local_name == "var_input":
            for component, course in suffix.items():
                courses.append((component, dict(course) if isinstance(course, Mapping) else {0.0: course}))
    return courses
