"""What is wrong with a case: problems with their place in the file, collected so that all are told at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from solvers.errors import CaseError, FlowsheetError, InputDataError, StructureError

MOST_TOLD = 20
"""How many problems of one stage are told; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    message : what is wrong, with what was found.
    key : dotted path of the key concerned, such as ``units.feeder_api.setpoint``.
    allowed : what would be right.
    hint : what to try, such as the nearest valid name.
    file, line, column : where; line and column count from 1, 0 if there is no such place.

    >>> print(Problem("unknown key", key="units.mixer.tankz", hint="did you mean tanks?", file="case.toml", line=7, column=1))
    case.toml:7:1: units.mixer.tankz: unknown key; hint: did you mean tanks?
    """

    message: str
    key: str = ""
    allowed: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = self.file + (f":{self.line}:{self.column}" if self.line else "")
        parts = [part for part in (place, self.key, self.message) if part]
        text = ": ".join(parts)
        text += f"; allowed: {self.allowed}" if self.allowed else ""
        return text + (f"; hint: {self.hint}" if self.hint else "")

    def as_dict(self) -> dict[str, str | int]:
        """Return the problem as a mapping for JSON."""
        return asdict(self)


class ProblemsError(FlowsheetError):
    """Several problems found in one go; ``problems`` holds the first of them, ``omitted`` counts the others."""

    def __init__(self, problems: Iterable[Problem], *, names: Iterable[str] = ()) -> None:
        found = tuple(problems)
        self.problems = found[:MOST_TOLD]
        self.omitted = len(found) - len(self.problems)
        lines = [str(problem) for problem in self.problems]
        if self.omitted:
            lines.append(f"... and {self.omitted} more")
        super().__init__("\n".join(lines), names=names or tuple(problem.key for problem in self.problems))


class CaseErrors(ProblemsError, CaseError):
    """A case file is invalid: everything that is wrong with it."""

    exit_code = CaseError.exit_code


class DataErrors(ProblemsError, InputDataError):
    """The case is valid but its measured data cannot be used: everything that is wrong with them."""

    exit_code = InputDataError.exit_code


class ConnectionErrors(ProblemsError, StructureError):
    """Units are not connected as they have to be: everything that is wrong with the streams."""

    exit_code = StructureError.exit_code


def listed(names: Sequence[str] | Iterable[str], most: int = 30) -> str:
    """Return names joined by commas, cut short if there are many."""
    everything = list(names)
    text = ", ".join(everything[:most])
    return text + (f", ... ({len(everything)} in all)" if len(everything) > most else "")


def shown(value: object, most: int = 60) -> str:
    """Return a value as a case file would have it, cut short: strings in double quotes, true and false in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= most else value[:most] + "..."
        return 'string "' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + '"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**most:
        return "a whole number of very many digits"
    return repr(value)
