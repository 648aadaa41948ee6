"""Checks of arguments shared by the kernels' Python modules: what is wrong is refused by name and index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def frozen(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return a contiguous copy of finite numbers that cannot be written to.

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    array = np.array(values, dtype=np.float64, order="C")
    if array.shape != shape:
        raise ValueError(f"{name} has to be of shape {shape} (got {array.shape})")
    refuse(name, ~np.isfinite(array), array, "is not finite")
    array.setflags(write=False)
    return array


def refuse(name: str, wrong: NDArray[np.bool_], values: Array, complaint: str) -> None:
    """Refuse an array by the index and value of its first wrong entry."""
    if wrong.any():
        index = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"{name}[{', '.join(map(str, index))}] {complaint} (got {values[index]:g})")


def positive(name: str, value: Any) -> float:
    """Return a positive finite number, or refuse it by name."""
    number = float(value)
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name} has to be positive and finite (got {value!r})")
    return number


def not_negative(name: str, value: Any) -> float:
    """Return a finite number that is not negative, or refuse it by name."""
    number = float(value)
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"{name} has to be finite and not negative (got {value!r})")
    return number
