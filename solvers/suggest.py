"""What messages suggest for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 200
"""Most characters of a name that are compared."""


def nearest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return the known names most like a given one, ignoring case, the nearest first; none if none is alike.

    >>> nearest("temprature", ["Temperature", "pressure"])
    ['Temperature']
    """
    by_lower = {other.lower(): other for other in known}
    return [by_lower[found] for found in difflib.get_close_matches(name[:LONGEST].lower(), by_lower, n=most, cutoff=0.6)]


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return ``did you mean X?`` for the nearest known names, or an empty string.

    >>> did_you_mean("mas", ["mass", "max", "flow"], most=2)
    'did you mean mass or max?'
    """
    found = nearest(name, known, most)
    return f"did you mean {' or '.join(found)}?" if found else ""
