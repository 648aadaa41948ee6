"""What is integrated beside the states for a trace, so that no kilogram depends on output points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyomo.environ import units as u

from flowsheet.balance import TYPICAL, add_quadrature, members_of
from units.stream import MASS

TYPICAL_TABLETS = 1e4
"""Typical number of tablets of a run; tolerances refer to it."""


def add_following(model: Any, outlets: Mapping[str, Sequence[str]]) -> None:
    """Add to the block ``balance`` of a flowsheet's model, for its units of powder,

    - ``left_mass[t, unit, c]`` (kg): of a component handed out of the flowsheet by a unit since the start,
    - ``passed_mass[t, unit]`` (kg): powder that has left a unit by its outlets, or for good if it has none,
    - ``tablets[t, unit]`` (-): tablets that a unit has made.

    Parameters
    ----------
    model : the flowsheet's model, with its balance.
    outlets : names of the outlets of each unit.
    """
    blocks = {name: model.component(name) for name in outlets}
    exits = [name for name, unit in blocks.items() if is_exit(unit)]
    pairs = [(name, c) for name in exits for c in members_of(blocks[name].withdrawal)]
    ports = {name: powder_outlets(unit, outlets[name]) for name, unit in blocks.items()}

    # rules reach units beside the balance, so that they hold for a clone of the model as well
    def unit_of(b: Any, name: str) -> Any:
        return b.parent_block().component(name)

    def left(b: Any, t: float, pair: tuple[str, str]) -> Any:
        return unit_of(b, pair[0]).withdrawal[t, pair[1]]

    def passed(b: Any, t: float, name: str) -> Any:
        unit = unit_of(b, name)
        # what a dryer's air takes along is no powder that passes it
        if ports[name]:
            return sum(unit.component(f"{port}_total")[t] for port in ports[name])
        return sum(unit.withdrawal[t, c] for c in members_of(unit.withdrawal))

    def made(b: Any, t: float, name: str) -> Any:
        return unit_of(b, name).tablet_rate[t]

    passing = [name for name in blocks if ports[name] or name in exits]
    presses = [name for name, unit in blocks.items() if unit.component("tablet_rate") is not None]
    balance, time, mass = model.balance, model.time, TYPICAL[MASS]
    add_quadrature(balance, "left_mass", "handed out of the flowsheet by a unit since the start", left, pairs, time, u.kg, mass)
    add_quadrature(balance, "passed_mass", "powder that has left a unit since the start", passed, passing, time, u.kg, mass)
    add_quadrature(balance, "tablets", "tablets made since the start", made, presses, time, u.dimensionless, TYPICAL_TABLETS)


def powder_outlets(unit: Any, outlets: Sequence[str]) -> list[str]:
    """Return those of a unit's outlets by which powder leaves it."""
    return [port for port in outlets if unit.component(f"{port}_total") is not None]


def is_exit(unit: Any) -> bool:
    """Tell whether powder leaves the flowsheet by a unit."""
    return unit.component("withdrawal") is not None and unit.component("volume_withdrawal") is None
