"""Reading the values of a case file, key by key, and collecting what is wrong with them so that all is told at once."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowsheet import schema
from flowsheet.positions import KeyPath, Positions, dotted
from flowsheet.problems import Problem, listed, shown
from flowsheet.quantities import QuantityError, examples, parse_quantity, si_text, signal_kind, split_quantity
from flowsheet.schema import Key, Kind
from solvers.errors import Complaint
from solvers.suggest import did_you_mean
from units.parameter import Parameter


class Checker:
    """Collects problems, connection problems, unusable data and warnings with their places.

    Parameters
    ----------
    file : as it is shown in messages.
    positions : of the file's keys and values; None if the case does not come from a text.
    overridden : paths whose values come from the command line.
    """

    def __init__(self, file: str, positions: Positions | None, overridden: Sequence[KeyPath] = ()) -> None:
        self.file = file
        self.positions = positions
        self.overridden = frozenset(overridden)
        self.problems: list[Problem] = []
        self.connections: list[Problem] = []
        self.data: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, path: KeyPath, message: str, allowed: str = "", hint: str = "", *, at_key: bool = False) -> None:
        """Note something that makes the case invalid."""
        self.problems.append(self._made(path, message, allowed, hint, at_key))

    def connection(self, path: KeyPath, message: str, allowed: str = "", hint: str = "") -> None:
        """Note something wrong with how units are joined."""
        self.connections.append(self._made(path, message, allowed, hint, False))

    def unusable(self, path: KeyPath, message: str, allowed: str = "", hint: str = "") -> None:
        """Note measured data that the case asks for and that cannot be had."""
        self.data.append(self._made(path, message, allowed, hint, False))

    def warn(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Note something that is allowed but deserves a look."""
        self.warnings.append(self._made(path, message, "", hint, False))

    def _made(self, path: KeyPath, message: str, allowed: str, hint: str, at_key: bool) -> Problem:
        key = dotted(path)
        if any(path[: len(start)] == start for start in self.overridden):
            return Problem(message, key, allowed, hint, "--set")
        if self.positions is None:
            return Problem(message, key, allowed, hint, self.file)
        line, column = self.positions.key(path) if at_key else self.positions.value(path)
        return Problem(message, key, allowed, hint, self.file, line, column)

    def complaint(self, path: KeyPath, complaint: Complaint, *, at_key: bool = False) -> None:
        """Note a complaint about what stands at a path, or within it."""
        got = f" (got {complaint.got})" if complaint.got else ""
        place = (*path, *complaint.key)
        self.problem(place, complaint.message + got, complaint.allowed, complaint.hint, at_key=at_key)

    def quantity_problem(self, path: KeyPath, error: QuantityError) -> None:
        """Note what is wrong with a quantity."""
        self.problem(path, error.message, error.allowed, error.hint)


def read_table(check: Checker, table: object, path: KeyPath, keys: Sequence[Key]) -> dict[str, Any]:
    """Return the values of a table by key, in SI; None for what is wrong or absent without a default."""
    if not isinstance(table, dict):
        check.problem(path, f"expected a table (got {shown(table)})", f"keys {listed([key.name for key in keys])}")
        return {key.name: key.default for key in keys}
    unknown_keys(check, table, path, [key.name for key in keys])
    values: dict[str, Any] = {}
    for key in keys:
        if key.name in table:
            values[key.name] = READERS[key.kind](check, key, table[key.name], (*path, key.name))
        else:
            values[key.name] = key.default
            if key.required:
                missing(check, path, key.name, key.doc, examples(key.unit) if key.unit else "")
    return values


def read_entries(
    check: Checker, tables: object, section: str, keys: tuple[Key, ...], most: int, within: KeyPath = ()
) -> list[tuple[KeyPath, dict[str, Any]]]:
    """Return the tables of an array of tables, which may stand within another table, read by their keys, with their paths."""
    path = (*within, section)
    if tables is None:
        return []
    if not isinstance(tables, list):
        check.problem(path, f"expected an array of tables (got {shown(tables)})", f"[[{dotted(path)}]] in double brackets")
        return []
    if len(tables) > most:
        check.problem(path, f"too many: {len(tables)}", f"at most {most}")
        return []
    return [((*path, number), read_table(check, table, (*path, number), keys)) for number, table in enumerate(tables)]


def unknown_keys(check: Checker, table: Mapping[str, Any], path: KeyPath, known: Sequence[str]) -> None:
    """Note every key of a table that is not known, with the nearest known one."""
    for name in table:
        if name not in known:
            check.problem((*path, name), "unknown key", listed(known), did_you_mean(name, known), at_key=True)


def missing(check: Checker, path: KeyPath, name: str, doc: str, allowed: str) -> None:
    """Note that a key has to be given."""
    place = check.positions.key(path) if check.positions is not None else (0, 0)
    text = f"has to be given ({doc})"
    check.problems.append(Problem(text, dotted((*path, name)), allowed, "", check.file, *place))


def read_number(check: Checker, value: object, path: KeyPath, unit: str, *, whole: bool = False) -> float | None:
    """Return a number in SI, or None with a problem noted.

    Dimensional numbers are strings with a unit; dimensionless ones TOML numbers, or strings with ``%`` and the like.

    Parameters
    ----------
    unit : SI unit as text, empty if dimensionless.
    whole : refuse what is not a whole number.
    """
    expected = "a whole number" if whole else "a number" if not unit else f"a number with a unit: {examples(unit)}"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        check.problem(path, f"expected {'a number' if not whole else expected} (got {shown(value)})", expected)
        return None
    if isinstance(value, str):
        return _read_text_number(check, value, path, unit, expected, whole)
    if not _finite(value):
        check.problem(path, f"not finite (got {shown(value)})", "a finite number")
        return None
    if whole and value != int(value):
        check.problem(path, f"expected a whole number (got {shown(value)})", expected)
        return None
    if unit:
        hint = f'write for example "{value:g} {examples(unit).split(", ")[0]}"'
        check.problem(path, f"the unit is missing (got {shown(value)})", expected, hint)
        return None
    return int(value) if whole else float(value)


def _read_text_number(check: Checker, value: str, path: KeyPath, unit: str, expected: str, whole: bool) -> float | None:
    try:
        if not unit and (whole or not split_quantity(value)[1]):
            check.problem(path, f"expected {'a whole number' if whole else 'float'} (got {shown(value)})", expected, "remove the quotes")
            return None
        return parse_quantity(value, unit)
    except QuantityError as error:
        check.quantity_problem(path, error)
        return None


def _finite(value: float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def read_parameter(check: Checker, parameter: Parameter, value: object, path: KeyPath, components: Sequence[str]) -> Any:
    """Return the value of a unit's parameter in SI, or None with problems noted."""
    if parameter.names_unit:
        return _read_unit_name(check, value, path)
    if not parameter.per_component:
        return _read_one(check, parameter, value, path)
    if not isinstance(value, dict):
        if parameter.fractions:
            check.problem(path, f"expected a table of mass fractions (got {shown(value)})", "such as { api = 0.1, excipient = 0.9 }")
            return None
        return _read_one(check, parameter, value, path)
    unknown_keys(check, value, path, components)
    numbers = {name: _read_one(check, parameter, part, (*path, name)) for name, part in value.items() if name in components}
    if None in numbers.values() or len(numbers) != len(value):
        return None
    complaints = parameter.complaints(numbers, components)
    for complaint in complaints:
        check.complaint(path, complaint)
    if complaints:
        return None
    return numbers if parameter.named else parameter.by_component(numbers, components)


def _read_unit_name(check: Checker, value: object, path: KeyPath) -> str | None:
    """Return the SI unit of the kind of signal that a written unit measures."""
    if not isinstance(value, str):
        check.problem(path, f"expected a unit (got {shown(value)})", 'such as "mg", or "" for a plain number')
        return None
    try:
        return signal_kind(value)
    except QuantityError as error:
        check.quantity_problem(path, error)
        return None


def _read_one(check: Checker, parameter: Parameter, value: object, path: KeyPath) -> float | None:
    unit = si_text(parameter.unit)
    number = read_number(check, value, path, unit, whole=parameter.integer)
    if number is None:
        return None
    complaint = parameter.complaint(number)
    if complaint is not None:
        # as it was written, and not in SI
        check.complaint(path, replace(complaint, got=shown(value)))
        return None
    if parameter.integer and number > schema.MOST_CELLS:
        check.problem(path, f"too large: {number:.0f} cells would take too long to solve", f"at most {schema.MOST_CELLS}", "ask for fewer")
        return None
    if unit in schema.PLAUSIBLE and parameter.of is None and parameter.default != number:
        lowest, highest, what = schema.PLAUSIBLE[unit]
        if not lowest <= number <= highest:
            place = "below" if number < lowest else "above"
            hint = "is degC meant? write for example " + f'"{number:g} degC"' if unit == "K" and number < lowest else ""
            check.warn(path, f"{number:g} {unit} lies {place} the {what}", hint)
    return number


# --- readers of schema keys ------------------------------------------------------------------------------------------


def _read_bounded(check: Checker, key: Key, value: object, path: KeyPath) -> float | None:
    number = read_number(check, value, path, key.unit, whole=key.kind is Kind.WHOLE)
    if number is None:
        return None
    low = number < key.lower or (key.open_lower and number == key.lower)
    if low or number > key.upper:
        left = "(" if key.open_lower or key.lower == -math.inf else "["
        right = ")" if key.upper == math.inf else "]"
        unit = f" {key.unit}" if key.unit else ""
        allowed = f"{left}{key.lower:g}, {key.upper:g}{right}{unit}"
        check.problem(path, f"{'below' if low else 'above'} its bound (got {shown(value)})", allowed)
        return None
    if key.plausible is not None and not key.plausible[0] <= number <= key.plausible[1]:
        low_limit, high_limit = key.plausible
        check.warn(path, f"{number:g} {key.unit} is unusual; usual: {low_limit:g} to {high_limit:g} {key.unit}", "is the unit right?")
    return number


def _read_text(check: Checker, key: Key, value: object, path: KeyPath) -> str | None:
    """Return a text in Unicode's composed form, refusing what cannot be shown safely."""
    longest = schema.LONGEST_TEXT if key.kind is Kind.TEXT else schema.LONGEST_TITLE
    if not isinstance(value, str):
        check.problem(path, f"expected a string (got {shown(value)})", f"text of at most {longest} characters")
        return None
    text = unicodedata.normalize("NFC", value)
    if len(text) > longest:
        check.problem(path, f"too long ({len(text)} characters)", f"at most {longest} characters")
        return None
    harmless = "\n\t" if key.kind is Kind.TEXT else ""
    # control characters and those that turn the direction of writing around; the joiner of emoji is harmless
    bad = next((c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in harmless + "\u200d"), "")
    if bad:
        check.problem(
            path, f"holds the control character U+{ord(bad):04X}", "printable text" if not harmless else "printable text and line ends"
        )
        return None
    return text


def _read_name(check: Checker, key: Key, value: object, path: KeyPath) -> str | None:
    if isinstance(value, str) and schema.CASE_NAME.fullmatch(value) and value.lower() not in schema.DEVICES:
        return value
    check.problem(path, f"the name cannot be used (got {shown(value)})", schema.CASE_NAME_ALLOWED)
    return None


def _read_endpoint(check: Checker, key: Key, value: object, path: KeyPath) -> str | None:
    if isinstance(value, str) and len(value) <= 200 and schema.ENDPOINT.fullmatch(value):
        return value
    check.problem(path, f"expected a unit and its port (got {shown(value)})", "unit.port, such as feeder_api.outlet")
    return None


def _read_variable(check: Checker, key: Key, value: object, path: KeyPath) -> str | None:
    if isinstance(value, str) and len(value) <= 200 and schema.VARIABLE.fullmatch(value):
        head, bracket, index = value.partition("[")
        return head + bracket + ",".join(part.strip() for part in index.split(","))
    check.problem(
        path, f"expected a variable of a unit (got {shown(value)})", "unit.variable or unit.variable[index], such as press.assay[api]"
    )
    return None


def _read_choice(check: Checker, key: Key, value: object, path: KeyPath) -> str | None:
    if isinstance(value, str) and value in key.choices:
        return value
    check.problem(
        path, f"expected one of {listed(key.choices)} (got {shown(value)})", listed(key.choices), did_you_mean(str(value), key.choices)
    )
    return None


def _read_flag(check: Checker, key: Key, value: object, path: KeyPath) -> bool | None:
    if isinstance(value, bool):
        return value
    check.problem(path, f"expected true or false (got {shown(value)})", "true, false")
    return None


def _read_raw(check: Checker, key: Key, value: object, path: KeyPath) -> object:
    return value


READERS: dict[Kind, Callable[[Checker, Key, Any, KeyPath], Any]] = {
    Kind.WHOLE: _read_bounded,
    Kind.NUMBER: _read_bounded,
    Kind.QUANTITY: _read_bounded,
    Kind.NAME: _read_name,
    Kind.LINE: _read_text,
    Kind.TEXT: _read_text,
    Kind.ENDPOINT: _read_endpoint,
    Kind.VARIABLE: _read_variable,
    Kind.CHOICE: _read_choice,
    Kind.FLAG: _read_flag,
    Kind.RAW: _read_raw,
}
