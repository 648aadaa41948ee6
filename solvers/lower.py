"""From a Pyomo DAE model to a semi-explicit system of CasADi expressions.

Read (:mod:`solvers.reader`), check the structure, assign what equations give outright (:mod:`solvers.structure`), and
put the rest into ``x' = f, 0 = g``. Derivatives are unknowns like all others, so coupled derivatives become an algebraic
loop, and a system of higher index shows as structurally singular.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from pyomo.environ import units as pyunits

from solvers.errors import StructureError, UnsupportedModelError
from solvers.explicit_time import verified_start_equations
from solvers.misfit import listed, misfit_error
from solvers.reader import Equation, Reader, Reading
from solvers.structure import dulmage_mendelsohn, plan_elimination
from solvers.system import DaeSystem, Fingerprint, LoweredEvent, var_input_courses
from solvers.tape import deep_expressions
from solvers.timeset import added_time_point, find_time


def lower(model: Any) -> DaeSystem:
    """Lower a Pyomo DAE model whose time is the one set still continuous.

    Parameters
    ----------
    model : a Pyomo ConcreteModel or Block with ``ContinuousSet``, ``DerivativeVar``, ``Constraint``, ``Port`` and ``Arc``
        (expanded or not). Inequalities and objectives play no part in a simulation and are left aside.

    Raises
    ------
    StructureError : degrees of freedom, structural singularity, index above one, a state without a start.
    UnsupportedModelError : something that cannot be lowered without changing its meaning, such as frozen time.
    """
    reading = read_model(model)
    frame = classify(reading)
    _check_time_unit(frame)
    parts = dulmage_mendelsohn(frame.incidence)
    if parts.surplus_equations or parts.short_variables:
        raise misfit_error(frame.equation_names, frame.unknown_names, parts)
    return _assemble(frame)


def _check_time_unit(frame: Frame) -> None:
    """Refuse derivatives by different units of time: there is one time."""
    units: dict[str, str] = {}
    for number, state in frame.derivative_of.items():
        derivative, variable = frame.reading.slots[number].component, frame.reading.slots[state].component
        if str(derivative.name) in units.values() or derivative.get_units() is None or variable.get_units() is None:
            continue
        units.setdefault(str(pyunits.get_units(variable.get_units() / derivative.get_units())), str(derivative.name))
    told = {unit: name for unit, name in units.items() if unit != "dimensionless"}
    if len(told) > 1:
        listing = ", ".join(f"{name} by {unit}" for unit, name in told.items())
        raise UnsupportedModelError(f"derivatives by more than one unit of time: {listing}", names=list(told.values()))


def read_model(model: Any) -> Reading:
    """Read a model onto a tape, with explicit time as a symbol."""
    time = find_time(model)
    with deep_expressions(), added_time_point(model, time) as point:
        return Reader(model, time, point).read()


@dataclass(frozen=True, eq=False)
class Frame:
    """A model as equations of symbols, before anything is eliminated."""

    reading: Reading
    side: Callable[[list[int]], ca.SX]
    """Gives the expressions of nodes as a column."""
    equations: tuple[Equation, ...]
    start_equations: tuple[Equation, ...]
    unknowns: tuple[int, ...]
    """Slots to be computed: derivatives and free variables that are no states."""
    derivative_of: Mapping[int, int]
    """State slot of each derivative slot that an equation uses."""
    states: tuple[int, ...]
    inputs: tuple[int, ...]
    constants: tuple[int, ...]
    """Fixed slots without time."""
    incidence: ca.Sparsity
    input_profiles: Mapping[int, Mapping[float, float]]

    def symbol(self, slots: list[int] | tuple[int, ...]) -> ca.SX:
        """Return the symbols of slots as a column."""
        return self.side([self.reading.slots[number].node for number in slots])

    @property
    def equation_names(self) -> list[str]:
        """Names of the equations."""
        return [equation.name for equation in self.equations]

    @property
    def unknown_names(self) -> list[str]:
        """Names of the unknowns, without time."""
        return [self.reading.slots[number].name for number in self.unknowns]

    @property
    def left(self) -> ca.SX:
        """Left sides of the equations."""
        return self.side([equation.left for equation in self.equations])

    @property
    def right(self) -> ca.SX:
        """Right sides of the equations."""
        return self.side([equation.right for equation in self.equations])


class _Columns:
    """The played tape: expressions of nodes, as a column even where there is none or one."""

    def __init__(self, pool: ca.SX, position: np.ndarray) -> None:
        self._pool = pool
        self._position = position

    def __call__(self, nodes: list[int]) -> ca.SX:
        return ca.vec(self._pool[self._position[nodes].tolist()]) if nodes else ca.SX(0, 1)


def classify(reading: Reading) -> Frame:
    """Sort a model's scalars into states, unknowns, inputs and constants, and play the tape."""
    slots = reading.slots
    symbols = ca.SX.sym("s", len(reading.tape.symbols))
    column = _Columns(*reading.tape.play(symbols))
    starts = verified_start_equations(reading, column, symbols)
    profiles = _var_inputs(reading)
    residual = column([equation.left for equation in reading.equations]) - column([equation.right for equation in reading.equations])
    derivative_of = _derivatives_in_use(reading, residual, starts, column)
    states = list(dict.fromkeys(derivative_of.values()))
    is_state = set(states)
    derivatives = list(derivative_of)
    inputs, constants, free = [], [], []
    for number, slot in enumerate(slots):
        if number in derivative_of:
            if slot.data.fixed:
                raise UnsupportedModelError(
                    f"the derivative {slot.name} is fixed", names=[slot.name], hint="write what it equals as a constraint"
                )
        elif number in is_state:
            if slot.data.fixed or number in profiles:
                raise UnsupportedModelError(
                    f"the state {slot.name} is fixed after the start",
                    names=[slot.name],
                    hint="fix a state at the first time only; deactivate its equation to hold it",
                )
        elif number in profiles or (slot.timed and slot.data.fixed):
            inputs.append(number)
        elif slot.data.fixed:
            constants.append(number)
        else:
            free.append(number)
    candidates = derivatives + free
    incidence = ca.jacobian_sparsity(residual, column([slots[number].node for number in candidates]))
    used = np.diff(incidence.colind()) > 0
    keep = [column for column, number in enumerate(candidates) if used[column] or number in derivative_of]
    return Frame(
        reading=reading,
        side=column,
        equations=tuple(reading.equations),
        start_equations=tuple(starts),
        unknowns=tuple(candidates[column] for column in keep),
        derivative_of=derivative_of,
        states=tuple(states),
        inputs=tuple(inputs),
        constants=tuple(constants),
        incidence=incidence.sub(list(range(incidence.size1())), keep)[0],
        input_profiles={inputs.index(number): course for number, course in profiles.items() if number in inputs},
    )


def _derivatives_in_use(reading: Reading, residual: ca.SX, starts: list[Equation], column: Callable[[list[int]], ca.SX]) -> dict[int, int]:
    """Return the derivatives that equations use, with their states.

    A DerivativeVar over space has members at the boundary, where an algebraic equation stands instead: a variable is a
    state only where its derivative is used.
    """
    if not reading.derivative_of:
        return {}
    begin = column([equation.left for equation in starts]) - column([equation.right for equation in starts])
    residual = ca.vertcat(residual, begin)
    symbols = column([reading.slots[number].node for number in reading.derivative_of])
    used = np.diff(ca.jacobian_sparsity(residual, symbols).colind()) > 0
    return {number: state for (number, state), live in zip(reading.derivative_of.items(), used, strict=True) if live}


def _var_inputs(reading: Reading) -> dict[int, dict[float, float]]:
    """Return the courses that ``var_input`` suffixes give, by slot."""
    members: dict[int, list[int]] = {}
    for number, slot in enumerate(reading.slots):
        members.setdefault(id(slot.component), []).append(number)
    courses: dict[int, dict[float, float]] = {}
    for component, course in var_input_courses(reading.model):
        numbers = members.get(id(component), [])
        if not numbers:
            datas = component.values() if component.is_indexed() else [component]
            numbers = list(dict.fromkeys(reading.slot_of[id(data)] for data in datas if id(data) in reading.slot_of))
        if not numbers:
            raise UnsupportedModelError(
                f"the suffix var_input names {component.name}, which is no variable of time that any equation uses",
                names=[str(component.name)],
            )
        for number in numbers:
            courses[number] = dict(course)
    return courses


def _assemble(frame: Frame) -> DaeSystem:
    reading, slots = frame.reading, frame.reading.slots
    unknown_symbols = frame.symbol(frame.unknowns)
    plan = plan_elimination(frame.left, frame.right, unknown_symbols)
    solved = [frame.unknowns[variable] for variable, _, _ in plan.steps]
    torn = [frame.unknowns[variable] for variable in plan.torn]
    derivative_slot = {state: number for number, state in frame.derivative_of.items()}

    algebraic = set(frame.unknowns) - set(frame.states)
    fixed_at_start = [
        number for number, slot in enumerate(slots) if number in algebraic and slot.timed and slot.start.fixed and not slot.data.fixed
    ]
    start_values = ca.SX.sym("start", len(fixed_at_start))
    start_residual = ca.vertcat(
        frame.side([equation.left for equation in frame.start_equations])
        - frame.side([equation.right for equation in frame.start_equations]),
        frame.symbol(fixed_at_start) - start_values,
    )
    events = reading.events
    guards = frame.side([event.guard for event in events if event.guard is not None])
    conditions = frame.side([event.when for event in events if event.when is not None])
    changes = frame.side([node for event in events for _, node in event.changes])
    named = frame.side([node for _, node in reading.expressions])
    residual = frame.left - frame.right
    kept = residual[list(plan.torn_equations)] if plan.torn_equations else ca.SX(0, 1)
    state_slopes = frame.symbol([derivative_slot[state] for state in frame.states])
    results = [kept, state_slopes, start_residual, guards, conditions, changes, named]
    definitions: list[ca.SX] = []
    if solved:
        symbols = unknown_symbols[[variable for variable, _, _ in plan.steps]]
        resolved, results = ca.substitute_inplace([symbols], [ca.vertcat(*(e for _, _, e in plan.steps))], results, False)
        definitions = resolved[0].elements()
    kept, ode, start_residual, guards, conditions, changes, named = results
    _check_conditions(frame, conditions, torn)
    _check_timeless(frame, solved, definitions, torn, kept)

    expressions, owners = _named_expressions(frame, dict(zip(solved, definitions, strict=True)), torn, named)
    parameters = [slots[number].data for number in frame.constants] + [data for data, _ in reading.params]
    parameter_nodes = [slots[number].node for number in frame.constants] + [node for _, node in reading.params]
    unknown_names = frame.unknown_names if plan.loops else []
    start_free = tuple(place for place, number in enumerate(frame.states) if not slots[number].start.fixed)
    x = frame.symbol(frame.states)
    system = DaeSystem(
        model=reading.model,
        time=reading.time,
        t=frame.side([reading.time_node]),
        x=x,
        z=frame.symbol(torn),
        u=frame.symbol(frame.inputs),
        p=frame.side(parameter_nodes),
        ode=ca.densify(ode),
        algebraic=ca.densify(kept),
        states=tuple(slots[number] for number in frame.states),
        algebraics=tuple(slots[number] for number in torn),
        inputs=tuple(slots[number] for number in frame.inputs),
        parameters=tuple(parameters),
        start_residual=ca.densify(start_residual),
        start_values=start_values,
        start_fixed=tuple(slots[number] for number in fixed_at_start),
        start_free=start_free,
        start_equation_names=(
            *(equation.name for equation in frame.start_equations),
            *(str(slots[number].start.name) for number in fixed_at_start),
        ),
        guards=ca.densify(guards),
        conditions=ca.densify(conditions),
        transition_values=ca.densify(changes),
        events=_lowered_events(frame),
        equation_names=tuple(frame.equations[equation].name for equation in plan.torn_equations),
        loops=tuple(tuple(unknown_names[place] for place in loop) for loop in plan.loops),
        input_profiles=frame.input_profiles,
        fingerprint=Fingerprint(reading.model),
        counts={"equations": len(frame.equations), "eliminated": len(solved), "loops": len(plan.loops)},
        _expressions=expressions,
        _owners=owners,
    )
    _check_start(system)
    return system


def _check_timeless(frame: Frame, solved: list[int], definitions: list[ca.SX], torn: list[int], kept: ca.SX) -> None:
    """Refuse a variable without time that equations would let change in time."""
    slots = frame.reading.slots
    moving_loops = [number for number in torn if slots[number].timed]
    moving = ca.vertcat(
        frame.side([frame.reading.time_node]), frame.symbol(frame.states), frame.symbol(frame.inputs), frame.symbol(moving_loops)
    )
    suspects = [(number, definition) for number, definition in zip(solved, definitions, strict=True) if not slots[number].timed]
    rows = set(ca.jacobian_sparsity(kept, moving).row())
    for number in torn:
        if not slots[number].timed:
            own = set(ca.jacobian_sparsity(kept, frame.symbol([number])).row())
            suspects += [(number, kept[row]) for row in own & rows]
    for number, expression in suspects:
        if ca.depends_on(expression, moving):
            name = slots[number].name
            raise UnsupportedModelError(
                f"{name} has no index of time, but its equation lets it change in time", names=[name], hint="index it by time, or fix it"
            )


def _check_conditions(frame: Frame, conditions: ca.SX, torn: list[int]) -> None:
    """Refuse a condition that changes within a segment: nobody would notice when."""
    moving = ca.vertcat(frame.side([frame.reading.time_node]), frame.symbol(frame.states), frame.symbol(torn))
    rows = ca.jacobian_sparsity(conditions, moving).row()
    conditional = [event for event in frame.reading.events if event.when is not None]
    if rows:
        event = conditional[rows[0]]
        raise UnsupportedModelError(
            f"the condition (when) of event {event.name} of {event.block or 'the model'} depends on time or on variables that are computed",
            names=[event.name],
            hint="a condition is made of fixed Vars and Params; put what changes continuously into the guard",
        )


def _named_expressions(frame: Frame, defined: dict[int, ca.SX], torn: list[int], named: ca.SX) -> tuple[dict[str, ca.SX], dict[str, Any]]:
    """Return the expression and the Pyomo data of everything that can be asked for, by name without time."""
    known = {number: symbol for number, symbol in zip(torn, frame.symbol(torn).elements(), strict=True)}
    for group in (frame.states, frame.inputs, frame.constants):
        known.update(zip(group, frame.symbol(group).elements(), strict=True))
    known.update(defined)
    elements = named.elements()
    expressions: dict[str, ca.SX] = {}
    owners: dict[str, Any] = {}
    for number, slot in enumerate(frame.reading.slots):
        if number in known:
            name = slot.name
            expressions[name] = known[number]
            owners[name] = slot.data
    open_slots = [number for number in range(len(frame.reading.slots)) if number not in known]
    undetermined = np.asarray(ca.DM(ca.sum2(ca.DM(ca.jacobian_sparsity(named, frame.symbol(open_slots)), 1.0)))).ravel() > 0
    for place_in_list, (data, _) in enumerate(frame.reading.expressions):
        if undetermined[place_in_list]:
            continue
        expression = elements[place_in_list]
        name = frame.reading.time.name(data)
        expressions[name] = expression
        owners[name] = data
    return expressions, owners


def _lowered_events(frame: Frame) -> tuple[LoweredEvent, ...]:
    state_at = {number: place for place, number in enumerate(frame.states)}
    input_at = {number: place for place, number in enumerate(frame.inputs)}
    lowered, guards, conditions, changes = [], 0, 0, 0
    for event in frame.reading.events:
        states, inputs = [], []
        for number, _ in event.changes:
            if number in state_at:
                states.append((state_at[number], changes))
            elif number in input_at:
                inputs.append((input_at[number], changes))
            else:
                name = frame.reading.slots[number].name
                raise UnsupportedModelError(
                    f"event {event.name} of {event.block or 'the model'} sets {name}, which is computed from equations",
                    names=[event.name, name],
                    hint="a transition sets differential states and fixed Vars; fix the Var if it is a discrete value",
                )
            changes += 1
        lowered.append(
            LoweredEvent(
                name=event.name,
                block=event.block,
                event=event.event,
                guard=None if event.guard is None else guards,
                when=None if event.when is None else conditions,
                states=tuple(states),
                inputs=tuple(inputs),
            )
        )
        guards += event.guard is not None
        conditions += event.when is not None
    return tuple(lowered)


def _check_start(system: DaeSystem) -> None:
    """Refuse a start that leaves states open or says more than there is to be said."""
    free = list(system.start_free)
    equations = system.start_residual.shape[0]
    if not free and not equations:
        return
    unknowns = ca.vertcat(system.x[free] if free else ca.SX(0, 1), system.z)
    residual = ca.vertcat(system.start_residual, system.algebraic)
    parts = dulmage_mendelsohn(ca.jacobian_sparsity(residual, unknowns))
    open_states = [place for place in parts.short_variables if place < len(free)]
    if parts.short_variables:
        names = [system.states[free[place]].name for place in open_states] or [
            system.algebraics[p - len(free)].name for p in parts.short_variables
        ]
        raise StructureError(
            f"{len(names)} differential state(s) have no start: {listed(names)}",
            names=names,
            hint="fix each at the first time, e.g. model.x[0].fix(1.0), or add an equation of the start",
        )
    if parts.surplus_equations:
        all_names = system.start_equation_names + system.equation_names
        names = [all_names[place] for place in parts.surplus_equations]
        raise StructureError(
            f"the start is over-determined by {listed(names)}",
            names=names,
            hint="unfix a state at the first time, or drop one of the equations of the start",
        )
