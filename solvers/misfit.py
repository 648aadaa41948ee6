"""What to say when equations and variables do not fit together."""

from __future__ import annotations

from collections.abc import Sequence

from solvers.errors import StructureError
from solvers.structure import Parts


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names as a list for a message, cut where it would be too long.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def misfit_error(equations: Sequence[str], variables: Sequence[str], parts: Parts) -> StructureError:
    """Return the error that names the parts of a system that are over- or under-determined.

    Parameters
    ----------
    equations, variables : names of all equations and unknowns.
    parts : their Dulmage-Mendelsohn parts.
    """
    freedom = len(variables) - len(equations)
    short = [variables[place] for place in parts.short_variables]
    surplus = [equations[place] for place in parts.surplus_equations]
    sizes = f"{len(variables)} unknowns, {len(equations)} equations"
    if freedom > 0 and not surplus:
        return StructureError(
            f"{freedom} degree(s) of freedom left: {sizes}; under-determined: {listed(short)}",
            names=short,
            hint=f"fix {freedom} of these, or add equations for them",
        )
    if freedom < 0 and not short:
        determined = [variables[place] for place in parts.surplus_variables]
        among = f" (they determine {listed(determined)})" if determined else " (they hold no unknown at all)"
        return StructureError(
            f"{-freedom} equation(s) too many: {sizes}; over-determined: {listed(surplus)}{among}",
            names=surplus,
            hint=f"deactivate {-freedom} of these, or unfix a variable that they are to determine",
        )
    return StructureError(
        f"structurally singular: rank {parts.rank} of {len(equations)} equations in {len(variables)} unknowns; "
        f"equations that are not needed or hide a constraint on states (index above one): {listed(surplus)}; "
        f"variables that nothing determines: {listed(short)}",
        names=[*surplus, *short],
        hint="an equation among states alone has to be differentiated in time or replaced; check what was fixed and what was left out",
    )
