"""Reading a Pyomo DAE model: its variables, parameters and equations, written on one tape.

Constraints at the last point of the time set are the equations that hold at all times; constraints that stand at the
first point only are the equations of the start. Each rule is called once more at an added point, where time is a
symbol: explicit time is carried through, and what would be frozen is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
from pyomo.core.base.expression import NamedExpressionData
from pyomo.core.base.indexed_component import IndexedComponent
from pyomo.core.base.param import ParamData
from pyomo.core.base.units_container import _PyomoUnit
from pyomo.core.base.var import VarData
from pyomo.core.expr.numvalue import NumericConstant
from pyomo.core.expr.relational_expr import EqualityExpression, InequalityExpression, RangedExpression
from pyomo.dae import DerivativeVar
from pyomo.environ import Constraint, Expression, Var, value
from pyomo.network import Arc, Port

from solvers.declare import Event, VectorFunction, declared_events
from solvers.errors import FlowsheetError, StructureError, UnsupportedModelError
from solvers.tape import Tape
from solvers.timeset import ParamOverTime, TimeDependenceError, TimePoint, TimeSet, time_of

_RULE_FAILURES = (KeyError, ValueError, TypeError, AttributeError, IndexError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Equation:
    """``left == right``, as nodes of the tape; ``source`` is the Pyomo data object (ConstraintData, VarData or Arc)."""

    left: int
    right: int
    source: Any
    suffix: str = ""

    @property
    def name(self) -> str:
        """The Pyomo name, with a word for what the source alone does not say."""
        return f"{self.source.name}{self.suffix}"


@dataclass(slots=True)
class Slot:
    """One scalar of the model that may change in time (or not: ``start is data``); ``data`` is the one at the last time."""

    data: Any
    start: Any
    node: int
    time: TimeSet
    label: str = ""
    """A name of its own, where the scalar is a combination of others."""

    @property
    def component(self) -> Any:
        """The component it is a member of."""
        return self.data.parent_component()

    @property
    def timed(self) -> bool:
        """Whether the scalar is one of time."""
        return self.start is not self.data or isinstance(self.data, ParamOverTime)

    @property
    def name(self) -> str:
        """The Pyomo name without time."""
        return self.label or self.time.name(self.data)

    def over_time(self) -> list[Any]:
        """Return the scalar at all points of the time set."""
        seat = self.time.seat(self.data)
        return [self.data] if seat is None else [seat.at(point) for point in self.time.set]


@dataclass(frozen=True, slots=True)
class EventReading:
    """A declared event with its expressions on the tape; ``changes`` are (slot number, node of the new value)."""

    name: str
    block: str
    event: Event
    guard: int | None
    when: int | None
    changes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class KernelReading:
    """A vector function with its inputs on the tape, and the symbols that stand for its results."""

    name: str
    function: ca.Function
    inputs: tuple[tuple[int, ...], ...]
    """Nodes of each input's members."""
    results: tuple[int, ...]
    """Nodes of the symbols of all results, one output after the other."""
    equations: tuple[int, ...]
    """Which of the model's equations say that an output is its result."""


@dataclass(slots=True)
class Reading:
    """What was read of a model."""

    model: Any
    time: TimeSet
    tape: Tape
    time_node: int
    slots: list[Slot] = field(default_factory=list)
    slot_of: dict[int, int] = field(default_factory=dict)
    """Slot number of each VarData, by its id, for data at the last and at the first time."""
    derivative_of: dict[int, int] = field(default_factory=dict)
    """State slot of each derivative slot."""
    params: list[tuple[Any, int]] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)
    start_equations: list[Equation] = field(default_factory=list)
    expressions: list[tuple[Any, int]] = field(default_factory=list)
    """Named Expressions of time: data and node."""
    events: list[EventReading] = field(default_factory=list)
    kernels: list[KernelReading] = field(default_factory=list)
    checks: list[tuple[Equation, Equation, float]] = field(default_factory=list)
    """Pairs that must agree at the given time: what a rule gave at the added point, and what stands in the model."""


class Reader:
    """Reads one model; used once, inside :func:`solvers.timeset.added_time_point`."""

    def __init__(self, model: Any, time: TimeSet, point: TimePoint) -> None:
        self.point = point
        self.tape = Tape(self._leaf)
        self.reading = Reading(model, time, self.tape, self.tape.symbol())
        self._now: dict[int, int] = {}
        self._start: dict[int, int] = {}
        self._expressions: dict[tuple[int, bool], int] = {}
        self._param_nodes: dict[int, int] = {}
        self._timed_params: dict[tuple[int, Any], int] = {}
        self._at_start = False
        self._touched_start = False

    def read(self) -> Reading:
        """Read variables, then equations."""
        for block in self.reading.model.block_data_objects(active=None, descend_into=True):
            self._read_variables(block)
        self._read_derivatives()
        for block in self.reading.model.block_data_objects(active=True, descend_into=True):
            for constraint in block.component_objects(Constraint, active=True, descend_into=False):
                self._read_constraint(constraint)
            for arc in block.component_data_objects(Arc, active=True, descend_into=False):
                self._read_arc(arc)
            for kernel in block.component_objects(VectorFunction, active=True, descend_into=False):
                self._read_kernel(kernel)
            for name, event in declared_events(block):
                self._read_event(block, name, event)
        for block in self.reading.model.block_data_objects(active=True, descend_into=True):
            for component in block.component_objects(Expression, descend_into=False):
                self._read_expressions(component)
        return self.reading

    # -- variables ------------------------------------------------------------------------------------------------

    def _read_variables(self, block: Any) -> None:
        time = self.reading.time
        twin = self._twin_block(block)
        for kind in (Var, DerivativeVar):
            for component in block.component_objects(kind, descend_into=False):
                if component.is_reference():
                    continue
                place = time.position(component)
                if place is not None:
                    members = component._data
                    for index, data in members.items():
                        if index_time_is(index, place, time.last):
                            self._add_slot(data, members[time.with_time(time.rest(index, place), place, time.first)])
                elif twin is None:
                    for data in component.values():
                        self._add_slot(data, data)
                elif twin is not block:
                    other = twin.component(component.local_name)
                    for index, data in component.items():
                        self._add_slot(data, other[index])

    def _twin_block(self, block: Any) -> Any:
        """Return None for a block outside time, the block at the first time for one at the last, itself for any other."""
        seat = self.reading.time.seat(block)
        if seat is None:
            return None
        return seat.at(seat.time.first) if index_time_is(seat.index, seat.place, seat.time.last) else block

    def _add_slot(self, data: Any, start: Any) -> None:
        node = self.tape.symbol()
        number = len(self.reading.slots)
        self.reading.slots.append(Slot(data, start, node, self.reading.time))
        self.reading.slot_of[id(data)] = self.reading.slot_of[id(start)] = number
        self._now[id(data)] = node
        self._start[id(start)] = node

    def _read_derivatives(self) -> None:
        reading = self.reading
        for number, slot in enumerate(reading.slots):
            component = slot.component
            if component.ctype is not DerivativeVar or not _is_active(component.parent_block()):
                continue
            if len(component.get_continuousset_list()) > 1:
                raise UnsupportedModelError(
                    f"{component.name} is a higher derivative",
                    names=[component.name],
                    hint="give the first derivative a Var of its own and write two first-order equations",
                )
            state = component.get_state_var()[slot.data.index()]
            if id(state) not in reading.slot_of:
                raise UnsupportedModelError(f"the state of {slot.name} is not in the model that is lowered", names=[slot.name])
            reading.derivative_of[number] = reading.slot_of[id(state)]

    def _read_expressions(self, component: Any) -> None:
        """Write named Expressions, so that they can be asked for; one that cannot be written cannot be asked for."""
        time = self.reading.time
        if component.is_reference():
            return
        place = time.position(component)
        if place is not None:
            members = [component._data[index] for index in list(component._data) if index_time_is(index, place, time.last)]
        else:
            seat = time.seat(component.parent_block())
            members = list(component.values()) if seat is not None and index_time_is(seat.index, seat.place, time.last) else []
        for data in members:
            try:
                node = self._expression(data)
            except UnsupportedModelError:
                continue
            self.reading.expressions.append((data, node))

    # -- vector functions -----------------------------------------------------------------------------------------

    def _read_kernel(self, kernel: VectorFunction) -> None:
        function, name = kernel.function, str(kernel.name)
        inputs = []
        for place, component in enumerate(kernel.inputs):
            nodes = tuple(self.tape.write(data) for data in self._members(kernel, component))
            self._check_length(name, component, len(nodes), function.size1_in(place))
            inputs.append(nodes)
        results, equations = [], []
        for place, component in enumerate(kernel.outputs):
            members = self._members(kernel, component)
            self._check_length(name, component, len(members), function.size1_out(place))
            for data in members:
                if id(data) not in self.reading.slot_of:
                    raise UnsupportedModelError(
                        f"{name} gives {data.name}, which is no variable of time", names=[name, str(data.name)], hint="give a Var over time"
                    )
                results.append(self.tape.symbol())
                equations.append(len(self.reading.equations))
                self.reading.equations.append(Equation(self.tape.write(data), results[-1], kernel, f" ({self.reading.time.name(data)})"))
        self.reading.kernels.append(KernelReading(name, function, tuple(inputs), tuple(results), tuple(equations)))

    def _members(self, kernel: VectorFunction, component: Any) -> list[Any]:
        """Return a component's members at the last time, in the order of its index set."""
        if not isinstance(component, IndexedComponent) or component.is_reference():
            raise UnsupportedModelError(
                f"{kernel.name} names {component}, which is no whole component",
                names=[str(kernel.name)],
                hint="name a Var, Param or Expression itself, not a member or a slice of it",
            )
        place = self.reading.time.position(component)
        if place is None:
            return list(component.values())
        return [component[index] for index in list(component.index_set()) if index_time_is(index, place, self.reading.time.last)]

    def _check_length(self, name: str, component: Any, found: int, wanted: int) -> None:
        if found != wanted:
            raise UnsupportedModelError(
                f"{name}: {component.name} has {found} members at a time, the function wants {wanted}", names=[name, str(component.name)]
            )

    # -- events ---------------------------------------------------------------------------------------------------

    def _read_event(self, block: Any, name: str, event: Event) -> None:
        owner = "" if block is self.reading.model else str(block.name)
        label = f"{owner}.{name}" if owner else name

        def write(rule: Any) -> int | None:
            if rule is None:
                return None
            expression = rule(block, self.point)
            if isinstance(expression, _RELATIONS):
                raise UnsupportedModelError("its guard or condition is a relation", hint="give a difference, such as level - limit")
            return self.tape.write(expression)

        try:
            guard, when = write(event.guard), write(event.when)
            pairs = [] if event.transition is None else list(event.transition(block, self.point) or ())
            if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):
                raise UnsupportedModelError("its transition gives no pairs", hint="return a list of pairs (variable[t], value)")
            changes = tuple((self._changed_slot(label, target), self.tape.write(new)) for target, new in pairs)
            if len({number for number, _ in changes}) != len(changes):
                raise UnsupportedModelError("its transition sets a variable twice")
        except FlowsheetError as error:
            raise type(error)(f"event {label}: {error.message}", names=[label, *error.names], hint=error.hint) from None
        self.reading.events.append(EventReading(name, owner, event, guard, when, changes))

    def _changed_slot(self, label: str, target: Any) -> int:
        number = self.reading.slot_of.get(id(target))
        if number is None or not self.reading.slots[number].timed:
            raise UnsupportedModelError(
                f"its transition changes {getattr(target, 'name', target)}, which is no variable of time",
                names=[label],
                hint="a transition gives pairs (variable[t], value)",
            )
        return number

    # -- leaves ---------------------------------------------------------------------------------------------------

    def _leaf(self, thing: Any) -> int:
        key = id(thing)
        node = (self._start if self._at_start else self._now).get(key)
        if node is not None:
            self._touched_start = self._touched_start or (self._at_start and key not in self._now)
            return node
        if isinstance(thing, TimePoint):
            return self.reading.time_node
        if isinstance(thing, ParamOverTime):
            return self._param_over_time(thing.parent_component(), thing.index())
        if isinstance(thing, NamedExpressionData):
            return self._expression(thing)
        if isinstance(thing, ParamData):
            return self._param(thing)
        if isinstance(thing, NumericConstant):
            return self.tape.number(thing.value)
        if isinstance(thing, _PyomoUnit):
            return self.tape.number(1.0)
        if isinstance(thing, VarData):
            raise UnsupportedModelError(
                f"an equation refers to {thing.name}, at another time than its own",
                names=[thing.name],
                hint="an equation may use the present only; give what it needs of another time a state or a Param of its own",
            )
        raise UnsupportedModelError(
            f"an equation holds {thing} of type {type(thing).__name__}, which cannot be lowered", names=[str(thing)]
        )

    def _param(self, data: Any) -> int:
        component, time = data.parent_component(), self.reading.time
        if not component.mutable:
            return self.tape.number(data.value)
        place = time.position(component)
        if place is not None:
            return self._param_over_time(component, time.with_time(time.rest(data.index(), place), place, time.last))
        node = self._param_nodes.get(id(data))
        if node is None:
            node = self._param_nodes[id(data)] = self.tape.symbol()
            self.reading.params.append((data, node))
        return node

    def _param_over_time(self, component: Any, index: Any) -> int:
        """Return the node of a Param over time, which is an input."""
        key = (id(component), index)
        node = self._timed_params.get(key)
        if node is None:
            data = ParamOverTime(component, index)
            node = self._timed_params[key] = self.tape.symbol()
            self.reading.slots.append(Slot(data, data, node, self.reading.time))
        return node

    def _expression(self, data: Any) -> int:
        key = (id(data), self._at_start)
        node = self._expressions.get(key)
        if node is None:
            node = self.tape.write(data.expr) if self._at_start else self._expression_now(data)
            self._expressions[key] = node
        return node

    def _expression_now(self, data: Any) -> int:
        component, time = data.parent_component(), self.reading.time
        place = time.position(component)
        node = self.tape.write(data.expr)
        if place is None or component._rule is None:
            return node
        index = data.index()
        start = component._data.get(time.with_time(time.rest(index, place), place, time.first))
        try:
            made = component._rule(component.parent_block(), self._at_point(index, place))
            if made is None:
                return self._replaced_expression(data, node, start)
            again = self.tape.write(made)
        except TimeDependenceError as error:
            raise TimeDependenceError(f"{data.name}: {error.message}", names=[data.name], hint=error.hint) from None
        except _RULE_FAILURES as failure:
            raise self._frozen(data, failure) from failure
        if again != node and self.tape.write(component._rule(component.parent_block(), index)) != node:
            return self._replaced_expression(data, node, start)
        if again != node:
            self.reading.checks.append(
                (Equation(again, self.tape.number(0.0), data), Equation(node, self.tape.number(0.0), data), time.last)
            )
        return again

    def _replaced_expression(self, data: Any, node: int, start: Any) -> int:
        """Take an expression that was given by hand since its rule was called, if it is the same at both ends of time."""
        self._at_start = True
        try:
            same = start is None or self.tape.write(start.expr) == node
        finally:
            self._at_start = False
        if not same:
            raise self._differs(data)
        return node

    def _at_point(self, index: Any, place: int) -> Any:
        return self.reading.time.with_time(self.reading.time.rest(index, place), place, self.point)

    def _frozen(self, data: Any, failure: Exception) -> FlowsheetError:
        return TimeDependenceError(
            f"{data.name} depends on time in a way that cannot be carried (its rule, called between two points, ended with "
            f"{type(failure).__name__}: {failure})",
            names=[data.name],
            hint="write time as a symbol (t in the arithmetic, Pyomo functions), or give the values as a Profile to inputs=",
        )

    # -- equations ------------------------------------------------------------------------------------------------

    def _read_constraint(self, component: Any) -> None:
        time, reading = self.reading.time, self.reading
        place = time.position(component)
        if place is None:
            twin = self._twin_block(component.parent_block())
            for data in component.values():
                if not data.active or not data.equality:
                    continue
                if twin is None:
                    self._read_timeless(data)
                elif twin is not component.parent_block():
                    self._read_in_timed_block(data, twin)
            return
        members = component._data
        for index, data in members.items():
            at = time_of(index, place)
            if not data.active or not data.equality or at not in (time.first, time.last):
                continue
            rest = time.rest(index, place)
            if at == time.last:
                start = members.get(time.with_time(rest, place, time.first))
                reading.equations.append(self._equation_now(data, place, start))
            elif not _stands(members.get(time.with_time(rest, place, time.last))):
                reading.start_equations.append(self._pair(data, at_start=True))

    def _pair(self, data: Any, at_start: bool = False) -> Equation:
        left, right = _sides(data.expr) or (data.body, data.lower)
        return self._write(left, right, data, at_start)

    def _write(self, left: Any, right: Any, source: Any, at_start: bool = False) -> Equation:
        self._at_start = at_start
        try:
            return Equation(self.tape.write(left), self.tape.write(right), source)
        except UnsupportedModelError as error:
            if source.name in error.names or source.name in error.message:
                raise
            raise type(error)(f"{source.name}: {error.message}", names=[source.name, *error.names], hint=error.hint) from None
        finally:
            self._at_start = False

    def _equation_now(self, data: Any, place: int, start: Any) -> Equation:
        now = self._pair(data)
        component, time = data.parent_component(), self.reading.time
        if component.rule is None:
            self._same_at_start(data, now, start)
            return now
        try:
            again = component.rule(component.parent_block(), self._at_point(data.index(), place))
        except TimeDependenceError as error:
            raise TimeDependenceError(f"{data.name}: {error.message}", names=[data.name], hint=error.hint) from None
        except _RULE_FAILURES as failure:
            raise self._frozen(data, failure) from failure
        sides = _sides(again)
        if sides is None:
            raise TimeDependenceError(f"{data.name} is an equation at {time.last:g} but not at other times", names=[data.name])
        symbolic = self._write(*sides, data)
        if (symbolic.left, symbolic.right) != (now.left, now.right):
            if self._replaced(data, now):
                self._same_at_start(data, now, start)
                return now
            self.reading.checks.append((symbolic, now, time.last))
        if _stands(start):
            begin = self._pair(start, at_start=True)
            if (begin.left, begin.right) != (symbolic.left, symbolic.right):
                self.reading.checks.append((symbolic, begin, time.first))
        return symbolic

    def _replaced(self, data: Any, now: Equation) -> bool:
        """Whether a constraint was given by hand since its rule was called: then what stands in the model holds, not the rule."""
        component = data.parent_component()
        existing = component.rule(component.parent_block(), data.index())
        sides = _sides(existing)
        if sides is None:
            return True
        made = self._write(*sides, data)
        return (made.left, made.right) != (now.left, now.right)

    def _differs(self, data: Any) -> TimeDependenceError:
        return TimeDependenceError(
            f"{data.name} differs between {self.reading.time.first:g} and {self.reading.time.last:g} and has no rule to tell how",
            names=[data.name],
            hint="write it by a rule of time",
        )

    def _same_at_start(self, data: Any, now: Equation, start: Any) -> None:
        if not _stands(start):
            return
        begin = self._pair(start, at_start=True)
        if (begin.left, begin.right) != (now.left, now.right):
            raise self._differs(data)

    def _read_timeless(self, data: Any) -> None:
        self._touched_start = False
        equation = self._pair(data, at_start=True)
        (self.reading.start_equations if self._touched_start else self.reading.equations).append(equation)

    def _read_in_timed_block(self, data: Any, twin: Any) -> None:
        other = twin.component(data.parent_component().local_name)
        start = other._data.get(data.index()) if other is not None else None
        now = self._pair(data)
        self._same_at_start(data, now, start)
        self.reading.equations.append(now)

    def _read_arc(self, arc: Any) -> None:
        first, second = arc.ports
        if set(first.vars) != set(second.vars):
            odd = sorted(set(first.vars) ^ set(second.vars))
            raise StructureError(f"the ports of {arc.name} do not carry the same: {', '.join(odd)}", names=[arc.name, *odd])
        for name in first.vars:
            for port in (first, second):
                if port.rule_for(name) is not Port.Equality:
                    raise UnsupportedModelError(
                        f"port {port.name} splits {name} among its arcs by a rule of its own",
                        names=[port.name],
                        hint="use equality ports and write splitting as equations of a unit",
                    )
            self._read_arc_member(arc, name, first.vars[name], second.vars[name])

    def _read_arc_member(self, arc: Any, name: str, first: Any, second: Any) -> None:
        left, right = dict(_members(first, self.reading.time)), dict(_members(second, self.reading.time))
        if set(left) != set(right):
            odd = sorted(map(str, set(left) ^ set(right)))
            raise StructureError(
                f"{arc.name} joins {name} with different indices: {', '.join(odd[:10])} stand on one side only",
                names=[arc.name],
                hint="both ends of a stream need the same components",
            )
        for key, data in left.items():
            equation = self._write(data, right[key], arc)
            label = f".{name}[{','.join(map(str, key))}]" if key else f".{name}"
            self.reading.equations.append(Equation(equation.left, equation.right, arc, label))


def _is_active(block: Any) -> bool:
    while block is not None:
        if not block.active:
            return False
        block = block.parent_block()
    return True


def _sides(expression: Any) -> tuple[Any, Any] | None:
    """Return the two sides of what a rule may give for an equation, or None if it is none."""
    parts = expression if isinstance(expression, (tuple, list)) else expression.args if isinstance(expression, _RELATIONS) else ()
    if len(parts) == 2 and not isinstance(expression, InequalityExpression):
        return parts[0], parts[1]
    if len(parts) == 3 and value(parts[0], exception=False) == value(parts[2], exception=False) is not None:
        return parts[1], parts[0]
    return None


_RELATIONS = (EqualityExpression, InequalityExpression, RangedExpression)


def _stands(data: Any) -> bool:
    return data is not None and data.active and data.equality


def index_time_is(index: Any, place: int, time: float) -> bool:
    """Whether an index is at the given time (and not at the added point)."""
    at = time_of(index, place)
    return not isinstance(at, TimePoint) and bool(at == time)


def _members(thing: Any, time: TimeSet) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Give what a port carries at the last time, by the index without time."""
    if not thing.is_indexed():
        yield (), thing
        return
    place = time.position(thing)
    for index in list(thing.keys()):
        if place is None:
            yield index if isinstance(index, tuple) else (index,), thing[index]
        elif index_time_is(index, place, time.last):
            yield time.rest(index, place), thing[index]
