"""From a Pyomo DAE model to a semi-explicit system of CasADi expressions.

Read (:mod:`solvers.reader`), sort (:mod:`solvers.frame`), check the structure, and put together what cannot be assigned outright
(:mod:`solvers.assemble`). Derivatives are unknowns like all others, so coupled derivatives become an algebraic loop; where the
equations do not determine them, the system is implicit, and its index decides whether it can be solved (:mod:`solvers.index`).
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
from pyomo.environ import units as pyunits

from solvers.assemble import assemble
from solvers.errors import StructureError, UnsupportedModelError
from solvers.frame import Frame, classify, read_model
from solvers.index import INDEX_ABOVE_ONE, structural_index
from solvers.misfit import listed, misfit_error
from solvers.structure import LARGEST_DENSE, Parts, dulmage_mendelsohn
from solvers.system import DaeSystem


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
    fault = structural_fault(frame, dulmage_mendelsohn(frame.incidence))
    if fault is not None:
        raise fault
    try:
        system = assemble(frame)
    except StructureError as error:
        raise _with_index(frame, error) from None
    if not system.singular:
        _check_start(system)
    return system


def structural_fault(frame: Frame, parts: Parts) -> StructureError | None:
    """Return what is wrong with the structure of a model, or None.

    Equations that do not determine all derivatives and variables at a given state are no fault as long as each can be assigned
    a variable or a derivative: they may hide constraints on states.
    """
    if not parts.surplus_equations and not parts.short_variables:
        return None
    size = len(parts.surplus_equations) + len(parts.short_equations)
    if len(frame.equations) == len(frame.unknowns) and size <= LARGEST_DENSE:
        incidence = frame.incidence + _state_incidence(frame)
        if dulmage_mendelsohn(incidence).rank == len(frame.equations):
            return None
    return misfit_error(frame.equation_names, frame.unknown_names, parts)


def _state_incidence(frame: Frame) -> ca.Sparsity:
    """Return which equations hold which states, at the columns of the states' derivatives."""
    column_of = {number: column for column, number in enumerate(frame.unknowns)}
    columns = [column_of[number] for number in frame.derivative_of]
    by_state = ca.jacobian_sparsity(frame.left - frame.right, frame.symbol(list(frame.derivative_of.values())))
    rows, places = by_state.get_triplet()
    return ca.Sparsity.triplet(len(frame.equations), len(frame.unknowns), rows, [columns[place] for place in places])


def _with_index(frame: Frame, error: StructureError) -> StructureError:
    """Return a refusal for the index with the number that the structure tells, if it tells one."""
    size = len(frame.equations)
    if size > LARGEST_DENSE or INDEX_ABOVE_ONE not in error.message:
        return error
    derivatives = [column for column, number in enumerate(frame.unknowns) if number in frame.derivative_of]
    signature = np.full((size, size), -np.inf)
    signature[_state_incidence(frame).get_triplet()] = 0.0
    orders = np.zeros(size)
    orders[derivatives] = 1.0
    rows, columns = frame.incidence.get_triplet()
    signature[rows, columns] = orders[columns]
    found = structural_index(signature)
    if found is None or found.index < 2:
        return error
    return StructureError(error.message.replace(INDEX_ABOVE_ONE, f"index {found.index}", 1), names=error.names, hint=error.hint)


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


def _check_start(system: DaeSystem) -> None:
    """Refuse a start that leaves states open; what it says too much is compared when a run begins."""
    free = list(system.start_free)
    equations = system.start_residual.shape[0]
    if not free and not equations:
        return
    residual = ca.vertcat(system.start_residual, system.algebraic)
    by_state = ca.jacobian_sparsity(residual, system.x).sub(list(range(residual.shape[0])), free)[0]
    parts = dulmage_mendelsohn(ca.horzcat(by_state, ca.jacobian_sparsity(residual, system.z)))
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
