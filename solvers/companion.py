"""What a run may carry along with its states, and when it is told what happens; :mod:`solvers.simulate` drives it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np

from solvers.integrator import IntegrationMethod, SegmentFunctions, SegmentIntegrator
from solvers.schedule import Schedule
from solvers.start import Values

Point = tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""What holds at an instant: (t, x, z, u, p)."""


class Cause(Enum):
    """Why an event happens when it does."""

    TIME = "its time is known, or its guard is beyond zero at a known time"
    GUARD = "its guard crosses zero on the way"
    EVENT = "another event carries its guard across zero"


class Occasion(NamedTuple):
    """Why an event happens now; ``carrier`` is the event that brought it about."""

    cause: Cause
    carrier: int = -1


class Companion:
    """Carries nothing along; what carries something says so by methods of its own."""

    methods: tuple[IntegrationMethod, ...] = (IntegrationMethod.BDF, IntegrationMethod.RADAU)
    """By what the run may be integrated."""

    def integrator(
        self, functions: SegmentFunctions, t: float, y: np.ndarray, rtol: float, atol: np.ndarray, method: IntegrationMethod
    ) -> SegmentIntegrator:
        """Return what integrates the run's segments, for local tolerances of (x, z)."""
        return SegmentIntegrator(functions, t, y, rtol, atol, method=method)

    def ran(self, evaluations: int) -> None:
        """Take note of how often slopes have been evaluated in a run that was completed."""

    def width(self, size: int) -> int:
        """Length of a row of outputs for a system of that size."""
        return size

    def row(self, y: np.ndarray, point: Point) -> np.ndarray:
        """Return the row of outputs for the present, whose (x, z) is y."""
        return y

    def full(self, driver: SegmentIntegrator, y: np.ndarray, point: Point) -> np.ndarray:
        """Return y as the integrator takes it at a restart, and hand over what else it needs."""
        return y

    def take(self, driver: SegmentIntegrator, stop: float) -> None:
        """Read from the integrator what holds at the end of a segment."""

    def begin(self, point: Point, values: Values) -> None:
        """The start is consistent; nothing has happened yet."""

    def given(self, schedule: Schedule, t: float) -> None:
        """Profiles have set what holds from the known time t on."""

    def occur(self, crossed: Sequence[int], point: Point, input_slopes: np.ndarray) -> None:
        """An instant begins at which the guards of these events have crossed zero on the way; nothing has happened yet."""

    def leave(self, number: int, occasion: Occasion, point: Point, input_slopes: np.ndarray) -> None:
        """The transition of an event is about to happen."""

    def arrive(self, number: int, point: Point, input_slopes: np.ndarray) -> None:
        """It has happened, and the algebraic variables are solved anew."""

    def fill(self, first: int, last: int) -> None:
        """Outputs from first to last (exclusive) have been filled from the present segment."""
