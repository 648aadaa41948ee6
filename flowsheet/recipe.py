"""Recipes: phases that follow each other, each by an event, set or ramp inputs of units, and give units boluses of their feeds.

The recipe is a block of its own on the flowsheet's model. Its ``phase`` (counted from zero) and ``began`` are what the events of the phases
set; an input that some phase ramps is driven by a state with a slope that is piecewise constant, the others are set outright.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from flowsheet.problems import listed
from flowsheet.signals import readable, reader
from solvers.declare import Direction, Event, Phase, nominal
from solvers.errors import UsageError
from solvers.suggest import did_you_mean
from units.unit import UnitBlock

BLOCK = "recipe"
"""Name of the block, and of the unit of its events."""
END = "end_of_recipe"


def begin_event(phase: str) -> str:
    """Return the name of the event with which a phase of that name begins."""
    return f"begin_{phase}"


def settable(blocks: Mapping[str, UnitBlock]) -> dict[str, Any]:
    """Return the scalar inputs of units by name, such as ``feed.flow[api]``."""
    return {
        name: data
        for block in blocks.values()
        for name, data in readable(block).items()
        if name.partition(".")[2].partition("[")[0] in block.inputs
    }


def bolus_takers(blocks: Mapping[str, UnitBlock]) -> list[str]:
    """Return the names of the units that a phase can give a bolus of their own feed."""
    return [name for name, block in blocks.items() if block.bolus_changes(block.model().time.first(), 0 * u.m**3) is not None]


def recipe_faults(
    phases: Sequence[Phase], inputs: Mapping[str, Any], variables: Mapping[str, Any], takers: Sequence[str] = ()
) -> list[tuple[int, str, str, str]]:
    """Return what is wrong with phases: number, variable or empty, message and hint.

    Parameters
    ----------
    phases : of the recipe.
    inputs : scalars that may be set, by name.
    variables : scalars that may be watched, by name.
    takers : units that take boluses.
    """
    faults = []
    for number, phase in enumerate(phases):
        if phase.name in [other.name for other in phases[:number]]:
            faults.append((number, "", f"there are two phases called {phase.name}", "give each a name of its own"))
        if number < len(phases) - 1 and not phase.ends:
            faults.append((number, "", f"nothing ends the phase {phase.name}, so that the next one never begins", "give after or until"))
        for variable in (*phase.sets, *phase.ramps):
            if variable not in inputs:
                hint = did_you_mean(variable, inputs) or f"inputs are {listed(sorted(inputs), 10)}"
                faults.append((number, variable, f"{variable} is no input that a phase can set", hint))
        for unit in phase.boluses:
            if unit not in takers:
                hint = did_you_mean(unit, takers) or f"units that do: {listed(takers, 10) or 'none'}"
                faults.append((number, unit, f"{unit} is no unit that takes a bolus", hint))
        if phase.until is not None and phase.until.variable not in variables:
            name = phase.until.variable
            faults.append((number, name, f"there is no variable of time called {name}", did_you_mean(name, variables)))
    return faults


def add_recipe(
    model: Any, phases: Sequence[Phase], inputs: Mapping[str, Any], variables: Mapping[str, Any], takers: Sequence[str] = ()
) -> Any:
    """Add the block ``recipe`` to a model and return it.

    Parameters
    ----------
    model : with units; its time is in seconds.
    phases : at least one, without faults (:func:`recipe_faults`).
    inputs, variables : data objects at the first time by name.
    takers : names of units that take boluses.

    Raises
    ------
    UsageError : the phases have faults.
    """
    faults = recipe_faults(phases, inputs, variables, takers)
    if not phases or faults:
        _, _, message, hint = faults[0] if faults else (0, "", "a recipe needs at least one phase", "")
        raise UsageError(message, names=[variable for _, variable, *_ in faults if variable], hint=hint)
    time = model.time
    recipe = pyo.Block(doc="recipe: phases that follow each other")
    model.add_component(BLOCK, recipe)
    recipe.phase = pyo.Var(time, bounds=(0, None), units=u.dimensionless, doc=f"phase, from zero: {', '.join(p.name for p in phases)}")
    recipe.began = pyo.Var(time, units=u.s, doc="time at which the phase began")
    recipe.phase.fix(0)
    recipe.began.fix(time.first())
    _add_boluses(recipe, phases, time)
    targets = {name: _target(recipe, number, name, inputs, phases, time) for number, name in enumerate(_changed(phases))}
    for number, phase in enumerate(phases):
        following = phases[number + 1] if number + 1 < len(phases) else None
        if phase.ends:
            event = Event(
                guard=_end(phase, variables, time),
                direction=Direction.RISING,
                when=_while_in(number),
                transition=_transition(number + 1, following, targets),
                doc=f"phase {phase.name} ends",
            )
            setattr(recipe, END if following is None else begin_event(following.name), event)
    return recipe


def _add_boluses(recipe: Any, phases: Sequence[Phase], time: Any) -> None:
    """Add the volumes of the boluses, and an event for those of the first phase, which begins with the run."""
    volumes = {(phase.name, unit): volume for phase in phases for unit, volume in phase.boluses.items()}
    if volumes:
        names = list(volumes)
        recipe.bolus = pyo.Param(names, initialize=volumes, mutable=True, within=pyo.PositiveReals, units=u.m**3, doc="volume of a bolus")
    first = phases[0]
    if first.boluses:
        event = Event(at=(time.first(),), transition=lambda b, t: _given(b, t, first), doc=f"boluses of phase {first.name}")
        setattr(recipe, begin_event(first.name), event)


def _given(b: Any, t: Any, phase: Phase | None) -> list[tuple[Any, Any]]:
    """Return what the boluses of a phase change."""
    if phase is None:
        return []
    blocks = {unit: b.parent_block().component(unit) for unit in phase.boluses}
    return [pair for unit, block in blocks.items() for pair in block.bolus_changes(t, b.bolus[phase.name, unit])]


def _changed(phases: Sequence[Phase]) -> list[str]:
    """Return the names of all inputs that phases change, in order."""
    return list(dict.fromkeys(name for phase in phases for name in (*phase.sets, *phase.ramps)))


class _Target:
    """An input that phases change: itself, or the state that drives it."""

    def __init__(self, read: Callable[[Any, Any], Any], slope: str = "", unit: Any = None) -> None:
        self.read = read
        self.slope = slope
        self.unit = unit

    def changes(self, b: Any, t: Any, name: str, phase: Phase | None) -> list[tuple[Any, Any]]:
        """Return what the beginning of a phase changes."""
        variable = self.read(b, t)
        pairs = []
        if phase is not None and name in phase.sets:
            pairs.append((variable, phase.sets[name] * self.unit))
        if self.slope:
            slope = 0 * self.unit / u.s
            if phase is not None and name in phase.ramps and phase.after is not None:
                slope = (phase.ramps[name] * self.unit - variable) / (phase.after * u.s)
            pairs.append((b.component(self.slope)[t], slope))
        return pairs


def _target(recipe: Any, number: int, name: str, inputs: Mapping[str, Any], phases: Sequence[Phase], time: Any) -> _Target:
    """Prepare an input for what phases do to it, with what holds in the first phase."""
    data, first = inputs[name], phases[0]
    unit = _unit(data)
    model = recipe.parent_block()
    read = reader(model, data, time)
    begin = first.sets.get(name, pyo.value(data))
    if not any(name in phase.ramps for phase in phases):
        for t in time:
            read(model, t).fix(begin)
        return _Target(lambda b, t: read(b.parent_block(), t), unit=unit)
    state, slope = f"course_{number}", f"slope_{number}"
    recipe.add_component(state, pyo.Var(time, initialize=begin, units=unit, doc=f"course of {name}"))
    recipe.add_component(f"{state}_rate", DerivativeVar(recipe.component(state), wrt=time, units=unit / u.s, doc=f"rate of {name}"))
    recipe.add_component(slope, pyo.Var(time, units=unit / u.s, doc=f"slope of {name}"))
    nominal(recipe.component(state), _largest(name, phases) or 1.0)
    ramp = (first.ramps[name] - begin) / first.after if name in first.ramps and first.after else 0.0
    recipe.component(slope).fix(ramp)
    recipe.component(state)[time.first()].fix(begin)

    def moves(b: Any, t: float) -> Any:
        return b.component(f"{state}_rate")[t] == b.component(slope)[t]

    def drives(b: Any, t: float) -> Any:
        return read(b.parent_block(), t) == b.component(state)[t]

    for t in time:
        read(model, t).unfix()
    recipe.add_component(f"{state}_moves", pyo.Constraint(time, rule=moves, doc=f"{name} moves at its slope"))
    recipe.add_component(f"{state}_drives", pyo.Constraint(time, rule=drives, doc=f"the recipe drives {name}"))
    return _Target(lambda b, t: b.component(state)[t], slope, unit)


def _unit(data: Any) -> Any:
    unit = u.get_units(data)
    return u.dimensionless if unit is None else unit


def _largest(name: str, phases: Sequence[Phase]) -> float:
    return max((abs(values[name]) for phase in phases for values in (phase.sets, phase.ramps) if name in values), default=0.0)


def _while_in(number: int) -> Callable[[Any, Any], Any]:
    return lambda b, t: 0.25 - (b.phase[t] - number) ** 2


def _end(phase: Phase, variables: Mapping[str, Any], time: Any) -> Callable[[Any, Any], Any]:
    """Return the guard that rises through zero where a phase ends."""
    parts: list[Callable[[Any, Any], Any]] = []
    if phase.after is not None:
        length = phase.after
        parts.append(lambda b, t: (t * u.s - b.began[t]) / (length * u.s) - 1)
    if phase.until is not None:
        data, value = variables[phase.until.variable], phase.until.value
        unit = _unit(data)
        sign = 1.0 if phase.until.direction is Direction.RISING else -1.0
        size = abs(value) or 1.0
        model = data.model()
        read = reader(model, data, time)
        parts.append(lambda b, t: sign * (read(b.parent_block(), t) / unit - value) / size)
    if len(parts) == 1:
        return parts[0]
    one, other = parts
    # the larger of the two rises through zero where the first of them does
    return lambda b, t: 0.5 * (one(b, t) + other(b, t) + abs(one(b, t) - other(b, t)))


def _transition(number: int, phase: Phase | None, targets: Mapping[str, _Target]) -> Callable[[Any, Any], list[tuple[Any, Any]]]:
    def changes(b: Any, t: Any) -> list[tuple[Any, Any]]:
        pairs = [(b.phase[t], number), (b.began[t], t * u.s)]
        pairs += (pair for name, target in targets.items() for pair in target.changes(b, t, name, phase))
        return [*pairs, *_given(b, t, phase)]

    return changes
