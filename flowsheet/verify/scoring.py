"""Significant correct digits, and the rule by which a run passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

RTOLS = (1e-4, 1e-6, 1e-8, 1e-10)
ALLOWANCE = 1.5
"""A run may fall short of its tolerance by this many digits: what accumulates over a run is not what a step allows."""


class Standing(Enum):
    """Where a reference value comes from."""

    SOURCE = "source"
    COMPUTED = "computed"
    CLOSED_FORM = "closed form"


def needed_digits(rtol: float) -> float:
    """Return the correct digits asked for at a relative tolerance.

    >>> needed_digits(1e-6)
    4.5
    """
    return -math.log10(rtol) - ALLOWANCE


def errors(values: Sequence[float], reference: Sequence[float], scale: Sequence[float]) -> list[float]:
    """Return the relative error of each component; a reference of zero is judged by its scale."""
    return [abs(value - right) / (abs(right) if right else size) for value, right, size in zip(values, reference, scale, strict=True)]


def correct_digits(values: Sequence[float], reference: Sequence[float], scale: Sequence[float]) -> float:
    """Return the correct digits of the worst component, ``min(-log10(relative error))``; minus infinity if one is not a number.

    >>> round(correct_digits([1.001, 2.0], [1.0, 2.0], [1.0, 1.0]), 6)
    3.0
    >>> correct_digits([1.0], [1.0], [1.0])
    inf
    """
    found = errors(values, reference, scale)
    if not all(map(math.isfinite, found)):
        return -math.inf
    worst = max(found)
    return math.inf if worst == 0 else -math.log10(worst)
