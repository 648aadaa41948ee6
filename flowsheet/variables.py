"""The time-indexed variables of a unit by the names under which results hold them."""

from __future__ import annotations

from typing import Any

from pyomo.environ import Expression, Var
from pyomo.environ import units as pyunits

from flowsheet.quantities import si_text
from solvers.timeset import TimeSet, time_of


def time_variables(block: Any, time: Any) -> dict[str, Any]:
    """Return, for every scalar Var and Expression over time, its data object at the first time by its name without the time index.

    ``blender.mass[0, 2, api]`` is found as ``blender.mass[2,api]``.

    Parameters
    ----------
    block : a unit within a model.
    time : the model's ``ContinuousSet``.
    """
    times = TimeSet(time, time.first(), time.last())
    found: dict[str, Any] = {}
    for component in block.component_objects((Var, Expression), descend_into=True):
        place = times.position(component)
        if place is not None:
            found |= {times.name(data): data for index, data in component.items() if time_of(index, place) == times.first}
    return found


def variable_unit(data: Any) -> str:
    """Return the SI unit of a Var or Expression as a case file writes it, empty if dimensionless."""
    return si_text(pyunits.get_units(data))
