"""Signals of a flowsheet: scalars that are read from one unit and drive an input of another, through ports and arcs like streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.network import Arc, Port

from flowsheet.connections import Fault
from flowsheet.problems import listed
from flowsheet.variables import time_variables, variable_unit
from solvers.suggest import did_you_mean
from solvers.timeset import TimeSet
from units.unit import UnitBlock


def driven(block: UnitBlock) -> tuple[str, ...]:
    """Return the names of a unit's variables that a signal can drive: those it needs, then its inputs without components."""
    by_component = {parameter.name for parameter in block.parameters if parameter.per_component}
    return (*block.required_signals, *(name for name in block.inputs if name not in by_component))


def signal_faults(blocks: Mapping[str, UnitBlock], signals: Sequence[tuple[str, str]]) -> list[Fault]:
    """Return what is wrong with signals given as pairs ``("unit.variable", "unit.input")``, and with inputs that need one.

    ``stream`` of a fault is the number of the signal.
    """
    faults: list[Fault] = []
    taken: dict[str, int] = {}
    for number, (source, target) in enumerate(signals):
        faults += _source_faults(blocks, number, source)
        name, _, own = target.partition(".")
        if name not in blocks:
            faults.append(Fault(f"there is no unit {name!r}", listed(list(blocks)), did_you_mean(name, blocks), number, "to"))
        elif own not in driven(blocks[name]):
            allowed = [f"{name}.{each}" for each in driven(blocks[name])]
            message = f"{name} has no input {own!r} that a signal can drive"
            faults.append(Fault(message, listed(allowed) or "none", did_you_mean(target, allowed), number, "to"))
        elif target in taken:
            message = f"{target} is driven twice, first by signal {taken[target] + 1}"
            faults.append(Fault(message, hint="an input takes one signal", stream=number, end="to"))
        taken.setdefault(target, number)
    wrong = {fault.stream for fault in faults}
    faults += [fault for number, signal in enumerate(signals) if number not in wrong for fault in _unit_faults(blocks, number, *signal)]
    for name, block in blocks.items():
        for own in block.required_signals:
            if f"{name}.{own}" not in taken:
                faults.append(Fault(f"no signal drives {own}", hint="name what it measures as a signal's source", unit=name))
    return faults


def _source_faults(blocks: Mapping[str, UnitBlock], number: int, source: str) -> list[Fault]:
    name = source.partition(".")[0]
    if name not in blocks:
        return [Fault(f"there is no unit {name!r}", listed(list(blocks)), did_you_mean(name, blocks), number, "from")]
    known = readable(blocks[name])
    if source in known:
        return []
    inside = [each for each in known if each.startswith(f"{source}[")]
    hint = f"name one of {listed(inside, 6)}" if inside else did_you_mean(source, known)
    shown = sorted({each.partition("[")[0] for each in known})
    return [Fault(f"{name} has no variable of time {source.partition('.')[2]!r}", listed(shown), hint, number, "from")]


def readable(block: UnitBlock) -> dict[str, Any]:
    """Return the scalars of a unit that can be read, by name."""
    return time_variables(block, block.model().time)


def _unit_faults(blocks: Mapping[str, UnitBlock], number: int, source: str, target: str) -> list[Fault]:
    one, other = (variable_unit(readable(blocks[end.partition(".")[0]])[end]) for end in (source, target))
    if one == other:
        return []
    message = f"{source} is in {one or 'a plain number'}, {target} in {other or 'a plain number'}"
    return [Fault(message, hint="a signal joins quantities of one unit", stream=number, end="to")]


def wire(model: Any, name: str, source: str, target: str) -> None:
    """Add the Arc of a signal to a model, and the ports that it joins; the input is no longer fixed.

    Parameters
    ----------
    model : with the units as blocks.
    name : of the Arc.
    source, target : ``unit.variable`` or ``unit.variable[index]``, and ``unit.input``; without faults.
    """
    outlet = _outlet(model, source)
    block, own = model.component(target.partition(".")[0]), target.partition(".")[2]
    variable = block.component(own)
    variable.unfix()
    inlet = Port(doc=f"signal to {variable.doc}")
    block.add_component(f"{own}_in", inlet)
    inlet.add(variable, "value")
    model.add_component(name, Arc(source=outlet, destination=inlet, doc=f"{source} -> {target}"))


def _outlet(model: Any, source: str) -> Any:
    """Return the port of a signal's source; several signals may begin there."""
    block = model.component(source.partition(".")[0])
    data = readable(block)[source]
    component = data.parent_component()
    label = re.sub(r"\W+", "_", source.partition(".")[2]).rstrip("_")
    if block.component(f"{label}_out") is not None:
        return block.component(f"{label}_out")
    value = component
    if data.index() != model.time.first() or component.parent_block() is not block:
        value = pyo.Expression(model.time, rule=reader(block, data, model.time), doc=f"signal {source}")
        block.add_component(f"{label}_signal", value)
    port = Port(doc=f"signal {source}")
    block.add_component(f"{label}_out", port)
    port.add(value, "value")
    return port


def reader(block: Any, data: Any, time: Any) -> Callable[[Any, Any], Any]:
    """Return the rule ``(block, t)`` that finds a scalar over time from a block around it, in a clone of the model as well."""
    times = TimeSet(time, time.first(), time.last())
    component = data.parent_component()
    place = times.position(component) or 0
    rest = times.rest(data.index(), place)
    path = component.getname(fully_qualified=True, relative_to=block)
    return lambda b, t: b.find_component(path)[times.with_time(rest, place, t)]
