"""Lots of powder: where each one is over time, and what leaves with how much of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flowsheet.case import Case
from flowsheet.results import BalanceRow
from flowsheet.trace.courses import Passage, amount_within, passage, quotient
from units.stream import FLOW_HEEL, Material, substances

HELD_HEEL = 1e-9
"""Mass (kg) in a unit below which it is empty and shares in it mean nothing."""
POWDER = "powder"

Courses = Callable[[str], np.ndarray]
"""Gives the course (n,) of a variable by its name."""


@dataclass(frozen=True, eq=False, slots=True)
class LotPlace:
    """A lot at one place, a unit that holds powder or one by which it leaves.

    Parameters
    ----------
    place : name of the unit.
    leaves : whether powder leaves the flowsheet here.
    share : (n,) share of the lot (-), not a number while there is no powder.
    mass : (n,) of the lot, held there or, where it leaves, having left since the start (kg).
    passage : of the share above the threshold.
    product : powder that has left while the share was above the threshold (kg); None for a unit that holds it, or hands out vapor only.
    tablets : how many tablets that is; None where none are made.
    tablet_numbers : which ones, counted from the start: those before the first and the last of each stretch above the threshold.
    """

    place: str
    leaves: bool
    share: np.ndarray
    mass: np.ndarray
    passage: Passage
    product: float | None
    tablets: float | None
    tablet_numbers: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Lot:
    """A lot: its material, what its shares are shares of, where it is, and its balance (kg): what has left by all exits, integrated
    beside the states, and by straight lines between points.
    """

    name: str
    share_of: str
    places: tuple[LotPlace, ...]
    balance: BalanceRow
    held_start: float
    held_end: float
    left_by_exits: float
    left_by_lines: float


def lots_of(case: Case) -> tuple[str, ...]:
    """Return the materials that are followed: those named by the case, else lots of one substance, and what inputs let in for a part of the
    time only: from zero on, or to zero for good.
    """
    if case.trace is not None and case.trace.lots:
        return case.trace.lots
    powders = {name: material for name, material in case.materials.items() if isinstance(material, Material)}
    several = {lot for lots in substances(powders).values() if len(lots) > 1 for lot in lots}
    return tuple(name for name in powders if name in several or any(_comes_or_goes(values) for values in _inlet_courses(case, name)))


def _inlet_courses(case: Case, material: str) -> list[Sequence[float]]:
    """Return the values of inputs that belong to a material, in order of time."""
    found: dict[str, list[float]] = {spec.variable: list(spec.profile.values) for spec in case.profiles}
    for spec in case.phases:
        for variable, value in (*spec.phase.sets.items(), *spec.phase.ramps.items()):
            found.setdefault(variable, []).append(value)
    return [values for variable, values in found.items() if index_of(variable) == material]


def index_of(variable: str) -> str:
    """Return what stands in the brackets of a variable.

    >>> index_of("feeder.composition[new]"), index_of("feeder.setpoint")
    ('new', '')
    """
    return variable.partition("[")[2].rstrip("]")


def _comes_or_goes(values: Sequence[float]) -> bool:
    return any(values) and (values[0] == 0 or values[-1] == 0)


def follow_lot(
    name: str,
    relatives: Sequence[str],
    share_of: str,
    t: np.ndarray,
    courses: Courses,
    places: Mapping[str, Sequence[str]],
    exits: Mapping[str, Sequence[str]],
    presses: Sequence[str],
    threshold: float,
    balance: BalanceRow,
    vents: Collection[str] = (),
) -> Lot:
    """Return where a lot is.

    Parameters
    ----------
    name : of the material.
    relatives : materials that its shares are shares of, itself among them; ``share_of`` in a word.
    t : (n,) times (s).
    courses : gives courses by name.
    places, exits : units that hold powder and units by which it leaves, each with its materials, along the line.
    presses : exits that make tablets.
    threshold : share above which the lot is said to be there.
    balance : of the material.
    vents : exits by which no product leaves, but what a dryer's air takes along.
    """
    found, lines = [], 0.0
    for unit, materials in places.items():
        if name in materials:
            held = courses(f"{unit}.holdup[{name}]")
            whole = sum((courses(f"{unit}.holdup[{c}]") for c in materials if c in relatives), np.zeros(len(t)))
            share = quotient(held, whole, HELD_HEEL)
            found.append(LotPlace(unit, False, share, held, passage(t, share, threshold), None, None))
    for unit, materials in exits.items():
        if name in materials:
            flow = courses(f"{unit}.withdrawal[{name}]")
            whole = sum((courses(f"{unit}.withdrawal[{c}]") for c in materials if c in relatives), np.zeros(len(t)))
            share = quotient(flow, whole, FLOW_HEEL)
            lines += float(np.trapezoid(flow, t))
            when = passage(t, share, threshold)
            product = None if unit in vents else amount_within(t, courses(f"balance.passed_mass[{unit}]"), when.intervals)
            mass = courses(f"balance.left_mass[{unit},{name}]")
            made, numbers = None, []
            if unit in presses:
                count = courses(f"balance.tablets[{unit}]")
                made = amount_within(t, count, when.intervals)
                numbers = [(float(np.interp(a, t, count)), float(np.interp(b, t, count))) for a, b in when.intervals]
            found.append(LotPlace(unit, True, share, mass, when, product, made, tuple(numbers)))
    inventory = courses(f"balance.inventory[{name}]")
    left = sum(float(place.mass[-1]) for place in found if place.leaves)
    return Lot(name, share_of, tuple(found), balance, float(inventory[0]), float(inventory[-1]), left, lines)
