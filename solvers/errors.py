"""The one error hierarchy of the project.

Every error says what happened, names what it happened to and hints at what to try.  ``exit_code`` is what the command
line ends with when the error reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with what was given; errors that find several in one go carry them all.

    Parameters
    ----------
    message : what is wrong.
    got : what was found, as text; empty if the message says it.
    allowed : what would be right.
    hint : what to try, such as the nearest valid name.
    key : what it is about within what was given, from the outside in, such as ``("composition", "api")``.

    >>> print(Complaint("below its bound", got="-1", allowed="[0, inf) kg", key=("mass",)).within("feeder"))
    feeder.mass: below its bound (got -1); allowed: [0, inf) kg
    """

    message: str
    got: str = ""
    allowed: str = ""
    hint: str = ""
    key: tuple[str, ...] = ()

    def within(self, *outer: str) -> Complaint:
        """Return the same complaint as seen from further out."""
        return replace(self, key=(*outer, *self.key))

    def __str__(self) -> str:
        text = f"{'.'.join(self.key)}: {self.message}" if self.key else self.message
        text += f" (got {self.got})" if self.got else ""
        return text + (f"; allowed: {self.allowed}" if self.allowed else "")


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
    """A case, or what was given to a unit or material, is invalid.

    Parameters
    ----------
    complaints : what is wrong, each with its place within what was given; empty if only the message tells.
    """

    exit_code = 3

    def __init__(self, message: str, *, names: Iterable[str] = (), hint: str = "", complaints: Iterable[Complaint] = ()) -> None:
        self.complaints = tuple(complaints)
        super().__init__(message, names=names, hint=hint)


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
