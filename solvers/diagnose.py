"""Looking at a model before it runs: degrees of freedom, structural fit, what was eliminated, what is odd about its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import casadi as ca
import numpy as np
from pyomo.network import Arc, Port

from solvers.errors import FlowsheetError
from solvers.examine import Examination, NearSingular, examine_start
from solvers.frame import Frame, classify, read_model
from solvers.lower import lower, structural_fault
from solvers.misfit import listed
from solvers.structure import Parts, dulmage_mendelsohn
from solvers.system import DaeSystem

WIDTH = 100


@dataclass(frozen=True, slots=True)
class UnitFault:
    """What does not fit in one unit (block) or stream (arc)."""

    name: str
    equations: tuple[str, ...]
    """Equations that are too many."""
    variables: tuple[str, ...]
    """Variables that nothing determines."""

    def __str__(self) -> str:
        parts = [f"too many: {listed(self.equations, 6)}"] if self.equations else []
        parts += [f"undetermined: {listed(self.variables, 6)}"] if self.variables else []
        return f"{self.name}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What :func:`diagnose` found; ``str()`` of it is a page to read.

    ``freedom`` is the number of unknowns less that of equations; ``candidates`` are variables to fix (too much freedom)
    or fixed variables to free and equations to drop (too little), the likeliest first.
    """

    equations: int
    unknowns: int
    states: int
    inputs: int
    freedom: int
    structural_rank: int
    over_determined_equations: tuple[str, ...]
    over_determined_variables: tuple[str, ...]
    under_determined_equations: tuple[str, ...]
    under_determined_variables: tuple[str, ...]
    loops: tuple[tuple[str, ...], ...]
    """Variables of each algebraic loop that is solved numerically."""
    units: tuple[UnitFault, ...]
    """What does not fit, by unit and stream."""
    candidates: tuple[str, ...]
    at_bounds: tuple[str, ...]
    """Variables that start at or outside one of their bounds."""
    badly_scaled: tuple[str, ...]
    near_singular: tuple[NearSingular, ...]
    system: DaeSystem | None
    problem: FlowsheetError | None
    remarks: tuple[str, ...]
    steps: tuple[str, ...]
    """What to do next, in order."""

    @property
    def well_posed(self) -> bool:
        """Whether the model can be lowered and its start solved."""
        return self.problem is None

    def __str__(self) -> str:
        lines = [
            f"{self.equations} equations, {self.unknowns} unknowns (degrees of freedom {self.freedom}), "
            f"{self.states} differential states, {self.inputs} inputs; structural rank {self.structural_rank}"
        ]
        if self.system is not None:
            lines.append(f"lowered to {self.system.summary()}")
        for title, names in (
            ("over-determined equations", self.over_determined_equations),
            ("variables that these determine", self.over_determined_variables),
            ("under-determined variables (fix some of these)", self.under_determined_variables),
            ("equations among these", self.under_determined_equations),
        ):
            if names and self.system is None:
                lines.append(f"{title}: {listed(names, 20)}")
        lines += [f"in {fault}" for fault in self.units]
        lines += [f"algebraic loop, solved by Newton's method: {listed(loop, 12)}" for loop in self.loops]
        lines += list(self.remarks)
        lines.append("well posed" if self.problem is None else f"not well posed: {self.problem}")
        if self.steps:
            lines.append("next steps:")
            lines += [f"  {number}. {step}" for number, step in enumerate(self.steps, start=1)]
        return "\n".join(part for line in lines for part in wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False))


def diagnose(model: Any) -> Diagnosis:
    """Examine a Pyomo DAE model without running it.

    Parameters
    ----------
    model : as for :func:`solvers.lower`, or a lowered system.

    Raises
    ------
    UnsupportedModelError : the model cannot even be read.
    """
    reading = read_model(model.model if isinstance(model, DaeSystem) else model)
    frame = classify(reading)
    parts = dulmage_mendelsohn(frame.incidence)
    equations, unknowns = frame.equation_names, frame.unknown_names
    problem: FlowsheetError | None = structural_fault(frame, parts)
    misfit = problem is not None
    system: DaeSystem | None = None
    found = Examination((), (), (), (), ())
    if problem is None:
        try:
            system = lower(reading.model)
            found = examine_start(frame, system)
        except FlowsheetError as error:
            problem = error
    candidates = _candidates(frame, parts) if misfit else ()
    return Diagnosis(
        equations=len(equations),
        unknowns=len(unknowns),
        states=len(frame.states),
        inputs=len(frame.inputs),
        freedom=len(unknowns) - len(equations),
        structural_rank=parts.rank,
        over_determined_equations=tuple(equations[place] for place in parts.surplus_equations),
        over_determined_variables=tuple(unknowns[place] for place in parts.surplus_variables),
        under_determined_equations=tuple(equations[place] for place in parts.short_equations),
        under_determined_variables=tuple(unknowns[place] for place in parts.short_variables),
        loops=() if system is None else system.loops,
        units=_by_unit(frame, parts) if misfit else (),
        candidates=candidates,
        at_bounds=found.at_bounds,
        badly_scaled=found.badly_scaled,
        near_singular=found.near_singular,
        system=system,
        problem=problem,
        remarks=found.remarks,
        steps=(*_steps(frame, parts, candidates, problem, misfit), *found.steps),
    )


# -- whose fault it is -------------------------------------------------------------------------------------------------


def _place_of(source: Any) -> str:
    """Return the unit (block) or stream (arc) that an equation or variable belongs to."""
    if source.ctype is Arc:
        return f"stream {source.name}"
    block = source.parent_block()
    return "the model" if block is None or block.parent_block() is None else f"unit {block.name}"


def _by_unit(frame: Frame, parts: Parts) -> tuple[UnitFault, ...]:
    surplus: dict[str, list[str]] = {}
    short: dict[str, list[str]] = {}
    for place in parts.surplus_equations:
        equation = frame.equations[place]
        surplus.setdefault(_place_of(equation.source), []).append(equation.name)
    for place in parts.short_variables:
        slot = frame.reading.slots[frame.unknowns[place]]
        short.setdefault(_place_of(slot.data), []).append(slot.name)
    names = dict.fromkeys((*surplus, *short))
    return tuple(UnitFault(name, tuple(surplus.get(name, ())), tuple(short.get(name, ()))) for name in names)


def _candidates(frame: Frame, parts: Parts) -> tuple[str, ...]:
    """Return what to fix, the variables of ports and of few equations first; or what to free or drop."""
    slots = frame.reading.slots
    if parts.short_variables and not parts.surplus_equations:
        in_ports = _members_of_ports(frame.reading.model)
        uses = np.bincount(frame.incidence.get_triplet()[1], minlength=len(frame.unknowns))
        order = [
            (number in frame.derivative_of, id(slots[number].component) not in in_ports, int(uses[place]), slots[number].name)
            for place, number in ((place, frame.unknowns[place]) for place in parts.short_variables)
        ]
        return tuple(name for is_derivative, _, _, name in sorted(order) if not is_derivative)
    if parts.surplus_equations:
        rows = list(parts.surplus_equations)
        residual = (frame.left - frame.right)[rows]
        given = [*frame.inputs, *frame.constants]
        columns = ca.jacobian_sparsity(residual, frame.symbol(given)).get_triplet()[1] if given else []
        freed = [f"unfix({slots[given[column]].name})" for column in dict.fromkeys(columns)]
        streams = [frame.equations[row].source for row in rows if frame.equations[row].source.ctype is Arc]
        equations = [frame.equations[row].name for row in rows if frame.equations[row].source.ctype is not Arc]
        names = [*freed, *(f"deactivate({arc.name})" for arc in streams), *(f"deactivate({name})" for name in equations)]
        return tuple(dict.fromkeys(names))
    return ()


def _members_of_ports(model: Any) -> set[int]:
    members: set[int] = set()
    for port in model.component_objects(Port, descend_into=True):
        for data in port.values():
            for thing in data.vars.values():
                things: Iterable[Any] = thing.values() if thing is not None and thing.is_indexed() else [thing]
                members.update(id(item.parent_component()) for item in things if item is not None and item.is_variable_type())
    return members


def _steps(frame: Frame, parts: Parts, candidates: Sequence[str], problem: FlowsheetError | None, misfit: bool) -> tuple[str, ...]:
    if problem is None:
        return ()
    if not misfit:
        return (problem.hint,) if problem.hint else ()
    missing = len(frame.unknowns) - len(frame.equations)
    if parts.short_variables and not parts.surplus_equations:
        others = f", or another of {listed(candidates[1:], 5)}" if len(candidates) > 1 else ""
        return (f"specify {missing} variable(s), first of all fix({candidates[0]}){others}",) if candidates else ()
    if parts.surplus_equations and not parts.short_variables:
        return (f"take away {-missing} condition(s): {listed(candidates, 6)}",)
    undetermined = listed([frame.unknown_names[place] for place in parts.short_variables], 5)
    return (
        f"take away {len(parts.surplus_equations) - len(parts.surplus_variables)} condition(s): {listed(candidates, 6)}",
        f"give {undetermined} equations that hold them, or fix {len(parts.short_variables) - len(parts.short_equations)} of them",
    )
