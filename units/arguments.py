"""Checks of arguments that are plain numbers: what is wrong is refused by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.errors import UsageError

Array = NDArray[np.float64]


def positive(name: str, value: float) -> float:
    """Return a positive finite number.

    Raises
    ------
    UsageError : it is not.

    >>> positive("tanks", 2)
    2.0
    """
    if not (np.isfinite(value) and value > 0):
        raise UsageError(f"{name} has to be positive and finite (got {value!r})", names=[name])
    return float(value)


def finite(name: str, values: ArrayLike) -> Array:
    """Return finite numbers as an array.

    Raises
    ------
    UsageError : one is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(found)):
        raise UsageError(f"{name} holds a value that is not finite", names=[name], hint="look for gaps in the data")
    return found


def record(fewest: int, times: ArrayLike, **signals: ArrayLike) -> tuple[Array, ...]:
    """Return the times (n,) and signals (n,) of a record.

    Raises
    ------
    UsageError : fewer points than ``fewest``, another length, a value that is not finite, or times that decrease or do not go on.
    """
    at = finite("times", times)
    if at.ndim != 1 or at.size < fewest:
        raise UsageError(f"times has to be a list of {fewest} or more (got shape {at.shape})", names=["times"])
    if np.any(np.diff(at) < 0) or at[-1] <= at[0]:
        raise UsageError("times have to increase", names=["times"], hint="sort the record")
    found = [finite(name, values) for name, values in signals.items()]
    for name, values in zip(signals, found, strict=True):
        if values.shape != at.shape:
            raise UsageError(f"{name} has to hold as many values as times, {at.size} (got shape {values.shape})", names=[name])
    return at, *found
