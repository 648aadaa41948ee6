"""The materials of a flowsheet together with the size classes of its solids, and what follows from that for every unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from solvers.errors import CaseError, Complaint
from units.sizes import SizeClasses

if TYPE_CHECKING:
    from units.stream import Material

MOST_OUTSIDE = 0.01
"""Share of a material's mass that may lie outside the classes; it is counted to the first and the last."""


class Powders(dict[str, "Material"]):
    """The materials of a flowsheet by name, and the size classes in which their solids are followed.

    Parameters
    ----------
    materials : by name.
    sizes : the classes; None if no sizes are followed.

    Raises
    ------
    CaseError : a solid has no ``median_size`` and ``size_spread``, one of them lies outside the classes, none is a solid, or one has the
        name of a class.
    """

    def __init__(self, materials: Mapping[str, Material], sizes: SizeClasses | None = None) -> None:
        super().__init__(materials)
        self.sizes = sizes
        self.own_shares: dict[str, dict[str, float]] = {}
        if sizes is None:
            return
        solids = {name: material for name, material in materials.items() if not material.moisture}
        wrong = [found for material in materials.values() for found in _size_complaints(material, sizes)]
        if not solids:
            wrong.append(Complaint("no material is a solid", hint="leave out the size classes, or moisture of a material"))
        if wrong:
            raise CaseError("; ".join(map(str, wrong)), names=[str(each.key[0]) for each in wrong if each.key], complaints=wrong)
        shares = {name: sizes.shares(material.median_size, material.size_spread) for name, material in solids.items()}
        self.own_shares = {size: {name: own[k] for name, own in shares.items()} for k, size in enumerate(sizes.names)}


def distribution_complaints(median_size: float, size_spread: float, moisture: bool) -> list[Complaint]:
    """Return what is wrong with the size distribution of a material; zeros say nothing of it."""
    given = {"median_size": median_size, "size_spread": size_spread}
    if moisture:
        return [Complaint("a liquid has no particles", hint="leave it out, or moisture", key=(key,)) for key in given if given[key]]
    if not any(given.values()):
        return []
    least = {"median_size": 0.0, "size_spread": 1.0}
    bad = {key: value for key, value in given.items() if not (math.isfinite(value) and value > least[key])}
    hint = "a distribution has a median and a spread"
    return [Complaint(f"has to be above {least[key]:g}", repr(value), hint=hint, key=(key,)) for key, value in bad.items()]


def _size_complaints(material: Material, sizes: SizeClasses) -> list[Complaint]:
    name = material.name
    if name in sizes.names:
        return [Complaint("is the name of a size class", allowed="another name", key=(name,))]
    if material.moisture:
        return []
    if not material.median_size:
        hint = "or moisture = true, if it has no particles"
        return [Complaint("needs median_size and size_spread, since there are size classes", hint=hint, key=(name,))]
    finer = sizes.finer(material.median_size, material.size_spread)
    outside = finer[0] + 1 - finer[-1]
    if outside <= MOST_OUTSIDE:
        return []
    text = f"{100 * outside:.2g} % of its mass lies outside the size classes, {sizes.smallest:g} to {sizes.largest:g} m"
    return [Complaint(text, allowed=f"at most {100 * MOST_OUTSIDE:g} %", hint="widen the size classes", key=(name, "median_size"))]


def sizes_of(materials: Iterable[str]) -> SizeClasses | None:
    """Return the size classes that are followed beside materials; None if there are none."""
    return materials.sizes if isinstance(materials, Powders) else None


def size_names(materials: Iterable[str]) -> list[str]:
    """Return the names of the size classes that are followed beside materials."""
    sizes = sizes_of(materials)
    return [] if sizes is None else list(sizes.names)


def carried(materials: Iterable[str]) -> list[str]:
    """Return what a powder carries: its components, then the size classes of its solids, if they are followed.

    >>> carried(["api", "filler"])
    ['api', 'filler']
    """
    return [*materials, *size_names(materials)]


def of_own_sizes(materials: Mapping[str, Material], member: str, amount: Callable[[str], Any]) -> Any:
    """Return how much there is of something carried in powder whose materials have the sizes that they come with.

    Parameters
    ----------
    materials : of the flowsheet.
    member : a component or a size class.
    amount : how much there is of a component, by its name.
    """
    if member in materials or not isinstance(materials, Powders):
        return amount(member)
    return sum(share * amount(name) for name, share in materials.own_shares[member].items())


def needed_sizes(unit: Any, materials: Mapping[str, Material]) -> SizeClasses:
    """Return the size classes of a flowsheet for a unit that cannot do without.

    Raises
    ------
    CaseError : no sizes are followed.
    """
    sizes = sizes_of(materials)
    if sizes is None:
        complaint = Complaint("needs size classes, and the flowsheet follows none", hint="add a table [sizes]")
        raise CaseError(str(complaint.within(unit.name)), names=[unit.name], hint=complaint.hint, complaints=[complaint])
    return sizes
