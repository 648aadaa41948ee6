"""Reading a case file: its text, its TOML, overrides from the command line, then everything it says."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowsheet.case import Case, case_document
from flowsheet.case_check import Checker
from flowsheet.case_read import read_case
from flowsheet.positions import DEEPEST, KeyPath, Positions, TooDeep, dotted, index_positions, syntax_problems
from flowsheet.problems import CaseErrors, Problem
from flowsheet.schema import LARGEST_FILE, LONGEST_LINE
from solvers.errors import UsageError
from solvers.suggest import did_you_mean, nearest

CASE_FILE = "case.toml"


def load_case(path: str | Path, overrides: Iterable[str] = (), *, strict: bool = False) -> Case:
    """Read and check a case.

    Parameters
    ----------
    path : a folder with ``case.toml``, or a TOML file.
    overrides : texts such as ``feeder_api.setpoint=2.2 kg/h`` or ``solver.rtol=1e-6``, which replace what the file says.
    strict : take warnings for errors.

    Raises
    ------
    UsageError : there is no such file, or an override is not of the form ``key=value``.
    CaseErrors : the case is invalid; every problem with file, line, column and what is allowed.
    DataErrors : the case is valid but its measured data cannot be used.
    ConnectionErrors : the units of the case are not connected as they have to be.
    """
    file, document, positions = read_document(path)
    if is_campaign(document):
        place = positions.key(("stages",))
        hint = "`flowsheet run` and load_campaign take it; a stage's case cannot be a campaign itself"
        raise CaseErrors([Problem("a campaign of several stages, and no case", "stages", "a case", hint, str(file), *place)])
    changed = [apply_override(document, override) for override in overrides]
    case = read_case(document, Checker(str(file), positions, changed), file)
    if strict and case.warnings:
        raise CaseErrors(case.warnings)
    return case


def read_document(path: str | Path) -> tuple[Path, dict[str, Any], Positions]:
    """Return the file that a path stands for, the tables in it and where everything in them stands; errors as of :func:`load_case`."""
    file = find_case(path)
    name = str(file)
    return file, *parse_toml(_read_text(file, name), name)


def is_campaign(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is that of a campaign, which has stages, and no case."""
    return "stages" in document


def case_from_resolved(resolved: Mapping[str, Any], name: str = "resolved case") -> Case:
    """Return the case of a resolved record, such as ``open_results(path).case``.

    Raises
    ------
    CaseErrors, ConnectionErrors : the record was edited or belongs to another version.
    """
    return read_case(case_document(resolved), Checker(name, None))


def find_case(path: str | Path) -> Path:
    """Return the case file that a path stands for.

    Raises
    ------
    UsageError : there is none; the nearest file name is given.
    """
    given = Path(path)
    if "\0" in str(path):
        raise UsageError("the path of the case holds a NUL character")
    try:
        if given.is_dir():
            if not (given / CASE_FILE).is_file():
                raise UsageError(f"no {CASE_FILE} in {path}", names=[str(path)], hint=_near_file(given / CASE_FILE))
            return given / CASE_FILE
        if not given.exists():
            raise UsageError(f"there is no case {path} (looked from {os.getcwd()})", names=[str(path)], hint=_near_file(given))
    except OSError as error:
        raise UsageError(f"cannot read the case {str(path)[:200]}: {error.strerror}") from error
    if not given.is_file():
        raise UsageError(f"the case {path} is neither a file nor a folder", names=[str(path)])
    return given


def _near_file(wanted: Path) -> str:
    try:
        names = [entry.name for entry in os.scandir(wanted.parent) if entry.is_dir() or entry.name.endswith(".toml")]
    except OSError:
        return "" if wanted.parent == wanted else _near_file(wanted.parent)
    found = nearest(wanted.name, names)
    return f"did you mean {wanted.parent / found[0]}?" if found else ""


def _read_text(file: Path, name: str) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", names=[name]) from error
    if len(content) > LARGEST_FILE:
        raise CaseErrors([Problem("the file is too large for a case", allowed=f"at most {LARGEST_FILE} bytes", file=name)])
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
        raise CaseErrors([Problem(message, hint="save the file as UTF-8", file=name, line=line, column=1)]) from error
    return text.replace("\r\n", "\n")


def parse_toml(text: str, name: str) -> tuple[dict[str, Any], Positions]:
    """Return the document of a TOML text and where everything in it stands.

    Raises
    ------
    CaseErrors : not valid TOML, nested too deeply, or a line that is too long.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > LONGEST_LINE:
            raise CaseErrors(
                [Problem("the line is too long", allowed=f"at most {LONGEST_LINE} characters", file=name, line=number, column=1)]
            )
        # the parser's own recursion is never put to the test
        if max(line.partition("=")[0].count("."), line.count("["), line.count("{")) > _MOST_MARKS:
            raise CaseErrors([Problem("nested too deeply", allowed=f"at most {DEEPEST} levels", file=name, line=number, column=1)])
    try:
        positions = index_positions(text)
    except TooDeep as error:
        raise CaseErrors(
            [Problem(str(error), allowed=f"at most {DEEPEST} levels", file=name, line=error.place[0], column=error.place[1])]
        ) from error
    try:
        return tomllib.loads(text), positions
    except RecursionError as error:
        raise CaseErrors([Problem("nested too deeply", allowed=f"at most {DEEPEST} levels", file=name)]) from error
    except ValueError as error:
        raise CaseErrors(syntax_problems(text, str(error), positions, name)) from error


_MOST_MARKS = 200
_SECTIONS = ("output", "solver", "display", "sizes", "materials", "components", "units", "trace")


def apply_override(document: dict[str, Any], override: str) -> KeyPath:
    """Replace one value of a document and return its path.

    Parameters
    ----------
    document : is changed.
    override : ``key=value``; the key is that of a table (``solver.rtol``, ``horizon``), or starts with the name of a unit;
        the value is TOML, or a bare text such as ``3 L``.

    Raises
    ------
    UsageError : not of that form, or the key names neither a unit nor a section.
    """
    parts, written = split_override(override)
    key = ".".join(parts)
    units = document.get("units")
    names = list(units) if isinstance(units, dict) else []
    if parts[0] in names:
        parts = ("units", *parts)
    elif (len(parts) == 1 and parts[0] not in ("horizon", "title", "description", "name")) or (
        len(parts) > 1 and parts[0] not in _SECTIONS
    ):
        hint = did_you_mean(parts[0], [*names, *_SECTIONS, "horizon"])
        raise UsageError(f"--set {key[:80]}: there is no unit or section {parts[0]!r}", names=[key], hint=hint)
    return apply_value(document, parts, written)


def split_override(override: str) -> tuple[tuple[str, ...], str]:
    """Return the parts of the key of an override, and the value as it is written.

    Raises
    ------
    UsageError : it is not of the form ``key=value``.

    >>> split_override("blender.tanks = 5")
    (('blender', 'tanks'), ' 5')
    """
    key, equals, written = override.partition("=")
    parts = tuple(part.strip() for part in key.split("."))
    if not equals or not all(parts) or len(parts) > 6:
        raise UsageError(f"--set takes unit.key=value (got {override[:80]!r})", hint='for example --set feeder_api.setpoint="2.2 kg/h"')
    return parts, written


def apply_value(document: dict[str, Any], path: tuple[str, ...], written: str) -> KeyPath:
    """Put a value, written as TOML or as a bare text, at a path of a document, and return the path.

    Raises
    ------
    UsageError : the path leads through a value.
    """
    table: Any = document
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {dotted(path)[:80]}: {part} is a value and has no keys", names=[dotted(path)])
    table[path[-1]] = _value(written.strip())
    return path


def _value(written: str) -> Any:
    if "\n" in written or len(written) > LONGEST_LINE or max(written.count("["), written.count("{")) > _MOST_MARKS:
        return written
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except ValueError:
        return written
