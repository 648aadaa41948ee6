"""Putting a system together: what equations give outright is assigned, what remains becomes ``x' = f, 0 = g``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import numpy as np
from pyomo.dae import DerivativeVar

from solvers.errors import UnsupportedModelError
from solvers.frame import Frame
from solvers.index import differentiated, high_index, index_columns, is_singular, open_rows, without
from solvers.kernels import Joined, Kernel, results_range
from solvers.mass import MassReduction, reduce_constant_mass
from solvers.misfit import listed
from solvers.reader import Slot
from solvers.structure import Plan, plan_elimination
from solvers.system import DaeSystem, Fingerprint, LoweredEvent


@dataclass(eq=False)
class _Core:
    """The columns of a system while it is put together; variables are slot numbers, in the order of their columns."""

    states: list[int]
    slopes: ca.SX
    algebraics: list[int]
    residual: ca.SX
    equation_names: list[str]
    start: ca.SX
    guards: ca.SX
    conditions: ca.SX
    changes: ca.SX
    named: ca.SX
    definitions: ca.SX
    """Expressions of the unknowns that were assigned."""
    kernel_inputs: ca.SX
    """Inputs of all vector functions, one after the other."""
    combined: dict[int, ca.SX] = field(default_factory=dict)
    """Expressions of variables whose combinations are the states, by slot."""
    rates: dict[int, ca.SX] = field(default_factory=dict)
    """Expressions of derivatives that were solved for together, by slot."""
    combinations: dict[int, dict[int, float]] = field(default_factory=dict)
    """What each state that is a combination is made of: coefficients by slot, by its own slot."""
    open_named: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    open_definitions: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Rows that depend on derivatives which the equations leave open."""


def assemble(frame: Frame) -> DaeSystem:
    """Return the system of a frame whose structure has been found right."""
    reading, slots = frame.reading, frame.reading.slots
    derivatives = frozenset(place for place, number in enumerate(frame.unknowns) if number in frame.derivative_of)
    hidden = frame.hidden if reading.kernels else None
    plan = plan_elimination(frame.left, frame.right, frame.symbol(frame.unknowns), derivatives, hidden)
    solved = [frame.unknowns[variable] for variable, _, _ in plan.steps]
    core = _eliminated(frame, plan)
    _check_conditions(frame, core)
    _check_timeless(frame, core, solved)
    singular = _resolve_derivatives(frame, core, solved)
    start_fixed = _fixed_at_start(frame, core)
    start_values = ca.SX.sym("start", len(start_fixed))
    known = _known(frame, core, solved)
    fixed = ca.vertcat(*(known[number] for number in start_fixed), ca.SX(0, 1)) - start_values
    expressions, owners = _named_expressions(frame, core, known)
    events, transition_values = _lowered_events(frame, core)
    names = frame.unknown_names if plan.loops else []
    numbers = set(core.algebraics)
    solved_together = {place for place, number in enumerate(frame.unknowns) if number in numbers}
    joined = _joined(frame, core)
    columns = [core.slopes, core.residual, ca.vertcat(core.start, fixed), core.guards, core.conditions, transition_values]
    if joined is None:
        arguments = _scalar_arguments(frame, core)
        columns = [ca.densify(column) for column in columns]
    else:
        arguments = joined.arguments
        graph_starts = ca.MX.sym("start", start_values.shape[0])
        columns = joined.join(columns, start_values, graph_starts)
        start_values = graph_starts
    t, x, z, u, p = arguments
    ode, algebraic, start_residual, guards, conditions, transition_values = columns
    implicit = [place for place, number in enumerate(core.algebraics) if number in frame.derivative_of]
    return DaeSystem(
        model=reading.model,
        time=reading.time,
        t=t,
        x=x,
        z=z,
        u=u,
        p=p,
        ode=ode,
        algebraic=algebraic,
        slopes=ca.densify(ca.vertcat(core.slopes, core.residual)),
        joined=joined,
        states=tuple(_state_slot(frame, core, number) for number in core.states),
        algebraics=tuple(slots[number] for number in core.algebraics),
        implicit=tuple(implicit),
        implicit_states=tuple(core.states.index(frame.derivative_of[core.algebraics[place]]) for place in implicit),
        singular=singular,
        inputs=tuple(slots[number] for number in frame.inputs),
        parameters=(*(slots[number].data for number in frame.constants), *(data for data, _ in reading.params)),
        start_residual=start_residual,
        start_values=start_values,
        start_fixed=tuple(slots[number] for number in start_fixed),
        start_free=tuple(place for place, number in enumerate(core.states) if number in core.combinations or not slots[number].start.fixed),
        start_equation_names=(
            *(equation.name for equation in frame.start_equations),
            *(str(slots[number].start.name) for number in start_fixed),
        ),
        guards=guards,
        conditions=conditions,
        transition_values=transition_values,
        events=events,
        equation_names=tuple(core.equation_names),
        loops=tuple(tuple(names[place] for place in loop) for loop in plan.loops if solved_together.intersection(loop)),
        input_profiles=frame.input_profiles,
        fingerprint=Fingerprint(reading.model),
        counts={"equations": len(frame.equations), "eliminated": len(solved), "loops": len(plan.loops)},
        _expressions=expressions,
        _owners=owners,
    )


def _scalar_arguments(frame: Frame, core: _Core) -> tuple[ca.SX, ...]:
    """Return the scalar symbols (t, x, z, u, p)."""
    reading = frame.reading
    constants = [reading.slots[number].node for number in frame.constants]
    return (
        frame.side([reading.time_node]),
        frame.symbol(core.states),
        frame.symbol(core.algebraics),
        frame.symbol(frame.inputs),
        frame.side([*constants, *(node for _, node in reading.params)]),
    )


def _results(frame: Frame) -> ca.SX:
    """Return the symbols of all results of vector functions."""
    return frame.side([node for kernel in frame.reading.kernels for node in kernel.results])


def _joined(frame: Frame, core: _Core) -> Joined | None:
    """Return how scalar expressions and vector functions are joined, or None where there are no vector functions."""
    readings = frame.reading.kernels
    if not readings:
        return None
    kernels, place = [], 0
    for reading, (first, last) in zip(readings, results_range([len(reading.results) for reading in readings]), strict=True):
        inputs = []
        for nodes in reading.inputs:
            inputs.append(core.kernel_inputs[place : place + len(nodes)])
            place += len(nodes)
        kernels.append(Kernel(reading.name, reading.function, tuple(inputs), first, last))
    return Joined(_scalar_arguments(frame, core), _results(frame), tuple(kernels))


def _fixed_at_start(frame: Frame, core: _Core) -> list[int]:
    """Return the slots that are fixed at the first time only and are no states: what they are fixed to is an equation of the start."""
    candidates = (set(frame.unknowns) | set(core.combined)) - (set(core.states) - set(core.combinations))
    slots = enumerate(frame.reading.slots)
    return [number for number, slot in slots if number in candidates and slot.timed and slot.start.fixed and not slot.data.fixed]


def _eliminated(frame: Frame, plan: Plan) -> _Core:
    """Put the assignments of a plan into everything else."""
    reading = frame.reading
    slope_of = {state: number for number, state in frame.derivative_of.items()}
    start = frame.side([equation.left for equation in frame.start_equations]) - frame.side(
        [equation.right for equation in frame.start_equations]
    )
    residual = frame.left - frame.right
    columns = [
        frame.symbol([slope_of[state] for state in frame.states]),
        residual[list(plan.torn_equations)] if plan.torn_equations else ca.SX(0, 1),
        start,
        frame.side([event.guard for event in reading.events if event.guard is not None]),
        frame.side([event.when for event in reading.events if event.when is not None]),
        frame.side([node for event in reading.events for _, node in event.changes]),
        frame.side([node for _, node in reading.expressions]),
        frame.side([node for kernel in reading.kernels for nodes in kernel.inputs for node in nodes]),
    ]
    definitions = ca.SX(0, 1)
    if plan.steps:
        symbols = frame.symbol(frame.unknowns)[[variable for variable, _, _ in plan.steps]]
        resolved, columns = ca.substitute_inplace([symbols], [ca.vertcat(*(e for _, _, e in plan.steps))], columns, False)
        definitions = resolved[0]
    slopes, kept, start, guards, conditions, changes, named, kernel_inputs = columns
    return _Core(
        states=list(frame.states),
        slopes=slopes,
        algebraics=[frame.unknowns[variable] for variable in plan.torn],
        residual=kept,
        equation_names=[frame.equations[equation].name for equation in plan.torn_equations],
        start=start,
        guards=guards,
        conditions=conditions,
        changes=changes,
        named=named,
        definitions=definitions,
        kernel_inputs=kernel_inputs,
        open_named=np.zeros(named.shape[0], dtype=bool),
        open_definitions=np.zeros(definitions.shape[0], dtype=bool),
    )


# -- implicit systems with a constant matrix ---------------------------------------------------------------------------


def _resolve_derivatives(frame: Frame, core: _Core, solved: list[int]) -> bool:
    """Bring an implicit system to semi-explicit form if that can be done; return whether derivatives remain that do not follow from g.

    Raises
    ------
    StructureError : the index is above one.
    """
    places = [place for place, number in enumerate(core.algebraics) if number in frame.derivative_of]
    if not places:
        return False
    if frame.reading.kernels and ca.depends_on(core.residual, _results(frame)):
        names = [frame.reading.slots[core.algebraics[place]].name for place in places]
        raise UnsupportedModelError(
            f"derivatives ({listed(names)}) stand in one algebraic loop with a vector function",
            names=names,
            hint="solve for the derivatives: write each as dx/dt == ...",
        )
    order = [*places, *without(len(core.algebraics), places)]
    names = [frame.reading.slots[core.algebraics[place]].name for place in order]
    columns = index_columns(core.residual, core.slopes, frame.symbol(core.states), frame.symbol(core.algebraics), places)
    found = is_singular(columns)
    if not isinstance(found, bool):
        raise high_index(found, core.equation_names, names)
    symbols = frame.symbol([core.algebraics[place] for place in places])
    if found:
        core.open_definitions = open_rows(core.definitions, symbols, columns[0])
        late = [frame.reading.slots[number] for number, is_open in zip(solved, core.open_definitions, strict=True) if is_open]
        if any(slot.component.ctype is not DerivativeVar for slot in late):
            raise differentiated(core.equation_names, [slot.name for slot in late if slot.component.ctype is not DerivativeVar])
    return not _reduce_mass(frame, core, symbols, columns[0]) and found


def _reduce_mass(frame: Frame, core: _Core, symbols: ca.SX, by_v: ca.SX) -> bool:
    """Bring derivatives with constant coefficients to semi-explicit form, if nothing else needs those that stay open."""
    rates = [number for number in core.algebraics if number in frame.derivative_of]
    states = [frame.derivative_of[number] for number in rates]
    reduction = reduce_constant_mass(core.residual, symbols, frame.symbol(states))
    if reduction is None:
        return False
    own = set(states)
    others = [place for place, number in enumerate(core.states) if number not in own]
    slopes = core.slopes[others] if others else ca.SX(0, 1)
    if reduction.free:
        needed = ca.vertcat(slopes, core.start, core.guards, core.conditions, core.changes, core.kernel_inputs)
        if open_rows(needed, symbols, by_v).any():
            return False
        core.open_named = open_rows(core.named, symbols, by_v)
    columns = [slopes, core.start, core.guards, core.conditions, core.changes, core.named, core.definitions, core.kernel_inputs]
    columns = reduction.apply(columns)
    slopes, core.start, core.guards, core.conditions, core.changes, core.named, core.definitions, core.kernel_inputs = columns
    pivots, free = [states[place] for place in reduction.pivots], [states[place] for place in reduction.free]
    _combine(frame, core, reduction, pivots, free)
    for place, slope, row in zip(reduction.pivots, reduction.slopes.elements(), reduction.coefficients, strict=True):
        if not row.any():
            core.rates[rates[place]] = slope
    core.slopes = ca.vertcat(slopes, reduction.slopes)
    core.states = [core.states[place] for place in others] + pivots
    core.algebraics = [number for number in core.algebraics if number not in frame.derivative_of] + free
    core.equation_names = _names_of_combinations(core.equation_names, reduction.combinations)
    core.residual = reduction.residual
    return True


def _combine(frame: Frame, core: _Core, reduction: MassReduction, pivots: list[int], free: list[int]) -> None:
    """Note which states are combinations, and what the variables in them are now."""
    for pivot, row in zip(pivots, reduction.coefficients, strict=True):
        parts = {number: float(coefficient) for number, coefficient in zip(free, row, strict=True) if coefficient}
        if parts:
            core.combinations[pivot] = {pivot: 1.0, **parts}
            core.combined[pivot] = frame.symbol([pivot]) - sum(
                (coefficient * frame.symbol([number]) for number, coefficient in parts.items()), start=ca.SX(0)
            )
            core.combined.update((number, frame.symbol([number])) for number in parts)


def _names_of_combinations(names: Sequence[str], members: np.ndarray) -> list[str]:
    """Return a name for each equation that is a sum of others.

    >>> _names_of_combinations(["a", "b"], np.array([[True, True], [False, True]]))
    ['a with b', 'b']
    """
    return [" with ".join([names[int(place)] for place in np.flatnonzero(row)][:3]) for row in members]


def _state_slot(frame: Frame, core: _Core, number: int) -> Slot:
    """Return the slot of a state; a combination is called by what it is made of."""
    slot = frame.reading.slots[number]
    if number not in core.combinations:
        return slot
    terms = [f"{coefficient:+g}*{frame.reading.slots[part].name}" for part, coefficient in core.combinations[number].items()]
    return Slot(slot.data, slot.start, slot.node, slot.time, label="".join(terms).replace("+1*", "+").replace("-1*", "-").lstrip("+"))


# -- checks ------------------------------------------------------------------------------------------------------------


def _check_timeless(frame: Frame, core: _Core, solved: list[int]) -> None:
    """Refuse a variable without time that equations would let change in time."""
    slots = frame.reading.slots
    moving_loops = [number for number in core.algebraics if slots[number].timed]
    moving = ca.vertcat(
        frame.side([frame.reading.time_node]), frame.symbol(frame.states), frame.symbol(frame.inputs), frame.symbol(moving_loops)
    )
    definitions = core.definitions.elements()
    suspects = [(number, definition) for number, definition in zip(solved, definitions, strict=True) if not slots[number].timed]
    rows = set(ca.jacobian_sparsity(core.residual, moving).row())
    for number in core.algebraics:
        if not slots[number].timed:
            own = set(ca.jacobian_sparsity(core.residual, frame.symbol([number])).row())
            suspects += [(number, core.residual[row]) for row in own & rows]
    for number, expression in suspects:
        if ca.depends_on(expression, moving):
            name = slots[number].name
            raise UnsupportedModelError(
                f"{name} has no index of time, but its equation lets it change in time", names=[name], hint="index it by time, or fix it"
            )


def _check_conditions(frame: Frame, core: _Core) -> None:
    """Refuse a condition that changes within a segment: nobody would notice when."""
    moving = ca.vertcat(frame.side([frame.reading.time_node]), frame.symbol(frame.states), frame.symbol(core.algebraics))
    rows = ca.jacobian_sparsity(core.conditions, moving).row()
    conditional = [event for event in frame.reading.events if event.when is not None]
    if rows:
        event = conditional[rows[0]]
        raise UnsupportedModelError(
            f"the condition (when) of event {event.name} of {event.block or 'the model'} depends on time or on variables that are computed",
            names=[event.name],
            hint="a condition is made of fixed Vars and Params; put what changes continuously into the guard",
        )


# -- names and events --------------------------------------------------------------------------------------------------


def _known(frame: Frame, core: _Core, solved: list[int]) -> dict[int, ca.SX]:
    """Return the expression of every scalar that has one, by slot."""
    known: dict[int, ca.SX] = {}
    for group in (core.algebraics, core.states, frame.inputs, frame.constants):
        known.update(zip(group, frame.symbol(group).elements(), strict=True))
    for number, definition, is_open in zip(solved, core.definitions.elements(), core.open_definitions, strict=True):
        if not is_open:
            known[number] = definition
    known.update(core.rates)
    known.update(core.combined)
    return known


def _named_expressions(frame: Frame, core: _Core, known: dict[int, ca.SX]) -> tuple[dict[str, ca.SX], dict[str, Any]]:
    """Return the expression and the Pyomo data of everything that can be asked for, by name without time."""
    expressions: dict[str, ca.SX] = {}
    owners: dict[str, Any] = {}
    for number, slot in enumerate(frame.reading.slots):
        if number in known:
            name = slot.name
            expressions[name] = known[number]
            owners[name] = slot.data
    open_slots = [number for number in range(len(frame.reading.slots)) if number not in known]
    undetermined = np.asarray(ca.DM(ca.sum2(ca.DM(ca.jacobian_sparsity(core.named, frame.symbol(open_slots)), 1.0)))).ravel() > 0
    elements = core.named.elements()
    for place, (data, _) in enumerate(frame.reading.expressions):
        if not undetermined[place] and not core.open_named[place]:
            name = frame.reading.time.name(data)
            expressions[name] = elements[place]
            owners[name] = data
    return expressions, owners


def _lowered_events(frame: Frame, core: _Core) -> tuple[tuple[LoweredEvent, ...], ca.SX]:
    """Return the events and the new values that their transitions give, as one column."""
    state_at = {number: place for place, number in enumerate(core.states) if number not in core.combinations}
    input_at = {number: place for place, number in enumerate(frame.inputs)}
    values = iter(core.changes.elements())
    new_values: list[ca.SX] = []
    lowered, guards, conditions = [], 0, 0
    for event in frame.reading.events:
        changed = {number: next(values) for number, _ in event.changes}
        states, inputs = [], []
        for number, value in changed.items():
            if number in state_at:
                states.append((state_at[number], len(new_values)))
            elif number in input_at:
                inputs.append((input_at[number], len(new_values)))
            elif number in core.combined:
                continue
            else:
                name = frame.reading.slots[number].name
                raise UnsupportedModelError(
                    f"event {event.name} of {event.block or 'the model'} sets {name}, which is computed from equations",
                    names=[event.name, name],
                    hint="a transition sets differential states and fixed Vars; fix the Var if it is a discrete value",
                )
            new_values.append(value)
        for number, parts in core.combinations.items():
            if changed.keys() & parts.keys():
                states.append((core.states.index(number), len(new_values)))
                new_values.append(sum((c * changed.get(part, core.combined[part]) for part, c in parts.items()), start=ca.SX(0)))
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
    return tuple(lowered), ca.vertcat(*new_values, ca.SX(0, 1))
