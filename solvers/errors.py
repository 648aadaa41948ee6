"""The one error hierarchy of the project.

Every error says what happened, names what it happened to and hints at what to try.  ``exit_code`` is what the command
line ends with when the error reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class FlowsheetError(Exception):
    """Base of all errors that are the user's to act on.

    Parameters
    ----------
    message : what happened and where, in a process engineer's words.
    names : names of the units, variables, equations or keys concerned.
    hint : what to try next; empty if there is nothing useful to say.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, names: Iterable[str] = (), hint: str = "") -> None:
        self.message = message
        self.names = tuple(names)
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}; hint: {self.hint}" if self.hint else self.message


class UsageError(FlowsheetError):
    """A function or command was called in a way it cannot serve (unknown option, missing file, bad tolerance)."""

    exit_code = 2


class CaseError(FlowsheetError):
    """A case file is invalid."""

    exit_code = 3


class StructureError(FlowsheetError):
    """The model's structure does not allow a solution: degrees of freedom, singularity, index, connections."""

    exit_code = 4


class UnsupportedModelError(StructureError):
    """The model uses something that cannot be lowered without changing its meaning."""


class NumericsError(FlowsheetError):
    """A calculation failed: no convergence, not-a-number, step size underflow, chattering."""

    exit_code = 5


class InputDataError(FlowsheetError):
    """Recorded data handed in cannot be used as they are."""

    exit_code = 7


class OutputError(FlowsheetError):
    """Results cannot be written where they were asked for."""

    exit_code = 8
