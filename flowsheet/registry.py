"""Which unit types there are: entry points of the group ``flowsheet.units``, this package's and anybody else's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from flowsheet.problems import listed
from solvers.errors import CaseError, UsageError
from solvers.suggest import did_you_mean
from units.unit import UnitBlock

GROUP = "flowsheet.units"


@dataclass(frozen=True, slots=True)
class UnitType:
    """A type of unit operation.

    Parameters
    ----------
    name : as ``type`` in a case file.
    block : the Pyomo custom block; called with ``time``, ``materials`` and the parameters in SI.
    contract : its data class, a :class:`units.unit.UnitBlock`.
    origin : the distribution that brings it.
    """

    name: str
    block: Any
    contract: type[UnitBlock]
    origin: str

    @property
    def doc(self) -> str:
        """The first line of the class's documentation."""
        return (self.contract.__doc__ or "").strip().partition("\n")[0]


def type_names() -> tuple[str, ...]:
    """Return the names of all unit types, in alphabetical order.

    Raises
    ------
    UsageError : the package is not installed, or two packages bring a type of the same name.
    """
    return tuple(sorted(_entries()))


def unit_type(name: str) -> UnitType:
    """Return the unit type of a name.

    Raises
    ------
    CaseError : there is none; the nearest name is given.
    UsageError : the package that brings it cannot be imported or brings something else.
    """
    found = _entries()
    if name not in found:
        raise CaseError(f"unknown unit type {name[:80]!r}; allowed: {listed(sorted(found))}", names=[name], hint=did_you_mean(name, found))
    return _load(found[name])


def contract_of(block: Any) -> type[UnitBlock]:
    """Return the data class of a unit's custom block, such as ``units.feeder.LossInWeightFeeder``.

    Raises
    ------
    UsageError : it is not a unit operation.
    """
    contract = getattr(block, "_ComponentDataClass", None)
    if not (isinstance(contract, type) and issubclass(contract, UnitBlock)):
        raise UsageError(
            f"{block!r} is not a unit operation", hint="a unit is declared by declare_custom_block on a subclass of units.unit.UnitBlock"
        )
    return contract


def _entries() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        # an editable installation may be listed twice with one and the same target
        if entry.name in found and found[entry.name].value != entry.value:
            raise UsageError(
                f"unit type {entry.name!r} is brought by both {_origin(found[entry.name])} and {_origin(entry)}",
                hint="uninstall one of them",
            )
        found.setdefault(entry.name, entry)
    if not found:
        raise UsageError("no unit types are registered: the package is not installed", hint="run `pip install -e .` in its folder")
    return found


@cache
def _load(entry: EntryPoint) -> UnitType:
    try:
        block = entry.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"unit type {entry.name!r} of {_origin(entry)} cannot be loaded: {error}", hint=f"{entry.value} has to be importable"
        ) from error
    return UnitType(entry.name, block, contract_of(block), _origin(entry))


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "an unnamed package"
