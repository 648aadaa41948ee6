"""Reading the measured data of a case: numbers in the case, or columns of CSV files beside it."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowsheet import schema
from flowsheet.case import DataSpec
from flowsheet.case_check import READERS, Checker, read_entries, read_table
from flowsheet.positions import KeyPath
from flowsheet.problems import Problem, listed, shown
from flowsheet.quantities import Conversion, QuantityError, conversion, examples, split_quantity
from flowsheet.schema import Key, Kind
from flowsheet.variables import variable_unit
from solvers.suggest import did_you_mean

FindVariable = Callable[[KeyPath, str], Any]
"""Returns the data object of a variable, or None with a problem noted."""

_VARIABLE = Key("variable", Kind.VARIABLE, "what was measured")


def read_data(check: Checker, tables: object, find: FindVariable, horizon: float | None, case_file: Path | None) -> tuple[DataSpec, ...]:
    """Return the measured data of a case in SI, one series for each variable, without what is missing.

    Parameters
    ----------
    check : collects what is wrong.
    tables : the array of tables ``data``.
    find : finds variables.
    horizon : of the case (s), None if that is wrong.
    case_file : beside which data files are looked for; None if the case comes from no file.
    """
    reader = _Reader(check, find, horizon, case_file)
    for path, values in read_entries(check, tables, "data", schema.DATA, schema.MOST_STREAMS):
        reader.table(path, values)
    if sum(len(series.values) for series in reader.found) > schema.MOST_MEASURED:
        check.unusable(("data",), "more values than a case may hold", f"at most {schema.MOST_MEASURED} in all", "leave some out")
    return tuple(reader.found)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A CSV file: its name, the header, and for each row its line number and cells; None of all that if it cannot be used."""

    name: str
    header: tuple[str, ...] | None
    rows: tuple[tuple[int, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class _Column:
    """Cells, and how to tell what is wrong with one of them: ``complain(number, message, allowed, hint)``."""

    cells: Sequence[object]
    complain: Callable[[int, str, str, str], None]

    def numbers(self, convert: Conversion) -> list[float | None] | None:
        """Return one number (SI) per cell, None where it is empty; None in all, with problems noted, if a cell holds something else."""
        good = True
        numbers: list[float | None] = []
        for k, cell in enumerate(self.cells):
            try:
                numbers.append(_cell_number(cell, convert))
            except QuantityError as error:
                self.complain(k, error.message, "a number, or nothing if it is missing", error.hint)
                good = False
        return numbers if good else None


def _cell_number(cell: object, convert: Conversion) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        raise QuantityError(f"not a number (got {shown(cell)})")
    text = cell.strip() if isinstance(cell, str) else repr(cell)
    if not text:
        return None
    number, rest = split_quantity(text)
    if "_" in text:
        raise QuantityError(f"not a number (got {shown(cell)})", hint="digits without separators")
    if rest:
        raise QuantityError(f"not a number (got {shown(cell)})", hint="a unit stands in the case, for the whole column")
    value = convert(number)
    if not math.isfinite(value):
        raise QuantityError(f"not finite in SI (got {shown(cell)})")
    return value


class _Reader:
    def __init__(self, check: Checker, find: FindVariable, horizon: float | None, case_file: Path | None) -> None:
        self._check = check
        self._find = find
        self._horizon = horizon
        self._case_file = case_file
        self._sheets: dict[str, _Sheet] = {}
        self._places: dict[str, KeyPath] = {}
        self.found: list[DataSpec] = []

    def table(self, path: KeyPath, values: Mapping[str, Any]) -> None:
        """Read one table, with problems noted."""
        check, variables = self._check, values["variables"]
        sheet = None if values["file"] is None else self._sheet(values["file"], (*path, "file"))
        times = None if values["time"] is None else self._times(values["time"], (*path, "time"), sheet)
        if variables is None:
            return
        if not isinstance(variables, dict) or not variables:
            what = "is empty" if variables == {} else f"expected a table of variables (got {shown(variables)})"
            check.problem((*path, "variables"), what, 'such as "reactor.volume" = { column = "V", unit = "L" }')
            return
        for name, entry in variables.items():
            self._variable(name, entry, (*path, "variables", name), sheet, times, values["label"] or (sheet.name if sheet else "samples"))

    def _variable(self, written: str, entry: object, path: KeyPath, sheet: _Sheet | None, times: list[float] | None, label: str) -> None:
        check = self._check
        name = READERS[Kind.VARIABLE](check, _VARIABLE, written, path)
        values = read_table(check, entry, path, schema.DATA_VARIABLE)
        if name is None or not isinstance(entry, dict):
            return
        if name in self._places:
            check.problem(path, f"{name} has data already", "one column for each variable", "join them in one file", at_key=True)
            return
        self._places[name] = path
        data = self._find(path, name)
        if data is None:
            return
        unit = variable_unit(data)
        convert = self._conversion(values["unit"], (*path, "unit"), unit)
        column = self._column(values, path, sheet)
        spread = self._spread(values["deviation"], (*path, "deviation"), sheet)
        if convert is None or column is None:
            return
        measured = column.numbers(convert)
        # a difference has no offset: 2 degC of deviation are 2 K
        deviations: list[float | None] | None = [None] * len(column.cells) if spread is None else spread.numbers(Conversion(convert.factor))
        if spread is not None and deviations is not None:
            deviations = self._checked_deviations(deviations, spread, (*path, "deviation"))
        if measured is None or deviations is None or times is None:
            return
        if not len(times) == len(measured) == len(deviations):
            found = f"{len(measured)} values and {len(deviations)} deviations for {len(times)} times"
            check.problem(path, f"needs one value, and one deviation if any, per time (got {found})", f"{len(times)} each")
            return
        known = [k for k, value in enumerate(measured) if value is not None]
        if not known:
            check.unusable(path, "holds no value", "at least one number")
            return
        self.found.append(
            DataSpec(
                name,
                unit,
                tuple(times[k] for k in known),
                tuple(value for value in measured if value is not None),
                tuple(deviations[k] for k in known),
                label,
            )
        )

    def _times(self, entry: object, path: KeyPath, sheet: _Sheet | None) -> list[float] | None:
        check = self._check
        values = read_table(check, entry, path, schema.DATA_TIME)
        if not isinstance(entry, dict):
            return None
        convert = self._conversion(values["unit"], (*path, "unit"), "s")
        column = self._column(values, path, sheet)
        given = None if convert is None or column is None else column.numbers(convert)
        if given is None or column is None:
            return None
        times: list[float] = []
        for k, time in enumerate(given):
            if time is None:
                column.complain(k, "the time is missing", "a number in every row", "")
            elif time < 0:
                column.complain(k, f"lies before the start ({time:g} s)", "times from 0 on", "")
            elif times and time <= times[-1]:
                hint = "give replicates as their mean with a deviation"
                column.complain(k, f"times have to increase ({time:g} s after {times[-1]:g} s)", "strictly increasing times", hint)
            else:
                times.append(time)
        if len(times) < len(given):
            return None
        late = 0 if self._horizon is None else sum(time > self._horizon * (1 + 1e-12) for time in times)
        if late:
            check.warn(path, f"{late} of {len(times)} samples lie after the horizon ({self._horizon:g} s) and are not compared")
        return times

    def _checked_deviations(self, deviations: list[float | None], column: _Column, path: KeyPath) -> list[float | None] | None:
        negative = [k for k, number in enumerate(deviations) if number is not None and number < 0]
        for k in negative:
            column.complain(k, f"a standard deviation below zero (got {column.cells[k]})", "positive numbers", "")
        zeros = deviations.count(0.0)
        if zeros:
            self._check.warn(path, f"{zeros} standard deviation(s) of zero are taken for not known", "leave such cells empty")
        return None if negative else [number or None for number in deviations]

    def _conversion(self, written: str | None, path: KeyPath, unit: str) -> Conversion | None:
        if not written:
            if not unit:
                return Conversion(1.0)
            self._check.problem(path, "has to be given (unit of the numbers)", examples(unit), at_key=True)
            return None
        try:
            return conversion(written, unit or "dimensionless")
        except QuantityError as error:
            self._check.quantity_problem(path, error)
            return None

    def _column(self, values: Mapping[str, Any], path: KeyPath, sheet: _Sheet | None) -> _Column | None:
        """Return what ``column`` or ``values`` name, whichever belongs to a table with or without a file."""
        wanted, other = ("values", "column") if sheet is None else ("column", "values")
        if values[other] is not None:
            hint = "a table has a file with columns, or values"
            self._check.problem((*path, other), f"stands in a table {'without' if sheet is None else 'with'} a file", wanted, hint)
        elif values[wanted] is None:
            self._check.problem((*path, wanted), "has to be given", "a column of the file" if sheet else "an array of numbers", at_key=True)
        else:
            return self._cells(values[wanted], (*path, wanted), sheet)
        return None

    def _spread(self, given: object, path: KeyPath, sheet: _Sheet | None) -> _Column | None:
        return None if given is None else self._cells(given, path, sheet)

    def _cells(self, given: object, path: KeyPath, sheet: _Sheet | None) -> _Column | None:
        check = self._check
        if sheet is None:
            if isinstance(given, list) and 1 <= len(given) <= schema.MOST_SAMPLES:
                return _Column(given, lambda k, *words: check.problem((*path, k), *words))
            check.problem(path, f"expected an array of numbers (got {shown(given)})", f"1 to {schema.MOST_SAMPLES} numbers")
            return None
        if not isinstance(given, str):
            check.problem(path, f"expected the name of a column (got {shown(given)})", "a text")
            return None
        if sheet.header is None:
            return None
        if sheet.header.count(given) != 1:
            often = "twice" if given in sheet.header else "not"
            hint = "" if given in sheet.header else did_you_mean(given, sheet.header)
            check.unusable(path, f"{sheet.name} has {often} a column {given!r}", listed(sheet.header), hint)
            return None
        place = sheet.header.index(given)

        def complain(k: int, message: str, allowed: str, hint: str) -> None:
            line, text, _ = sheet.rows[k]
            check.data.append(Problem(message, f"column {given}", allowed, hint, self._named(sheet.name), line, _start(text, place)))

        return _Column([cells[place] for _, _, cells in sheet.rows], complain)

    # --- files --------------------------------------------------------------------------------------------------------

    def _named(self, name: str) -> str:
        """Return a data file's name as messages have it: beside the case, as that was given."""
        return str(Path(self._check.file).parent / name)

    def _sheet(self, name: str, path: KeyPath) -> _Sheet:
        if name not in self._sheets:
            text = self._text(name, path)
            self._sheets[name] = _Sheet(name, None) if text is None else self._parsed(name, text)
        return self._sheets[name]

    def _text(self, name: str, path: KeyPath) -> str | None:
        check = self._check
        if self._case_file is None:
            check.problem(path, "a case that comes from no file has no folder to look in", "values in the case")
            return None
        try:
            folder = self._case_file.parent.resolve()
            file = (folder / name).resolve()
            if not file.is_relative_to(folder):
                check.problem(path, f"leads out of the folder of the case (got {shown(name)})", "a file in that folder or below")
                return None
            if not file.is_file():
                beside = [entry.name for entry in folder.iterdir() if entry.suffix == ".csv"]
                check.unusable(path, f"there is no file {self._named(name)}", listed(beside), did_you_mean(name, beside))
                return None
            with file.open("rb") as stream:
                content = stream.read(schema.LARGEST_DATA + 1)
        except OSError as error:
            check.unusable(path, f"cannot read {self._named(name)}: {error.strerror}")
            return None
        if len(content) > schema.LARGEST_DATA:
            check.unusable(path, f"{self._named(name)} is too large", f"at most {schema.LARGEST_DATA} bytes")
            return None
        try:
            return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
            self._wrong(name, content.count(b"\n", 0, error.start) + 1, message, hint="save the file as UTF-8")
            return None

    def _wrong(self, name: str, line: int, message: str, allowed: str = "", hint: str = "") -> None:
        self._check.data.append(Problem(message, "", allowed, hint, self._named(name), line, 1))

    def _parsed(self, name: str, text: str) -> _Sheet:
        header: tuple[str, ...] | None = None
        rows: list[tuple[int, str, tuple[str, ...]]] = []
        told = len(self._check.data)
        for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
            if not line.strip():
                continue
            try:
                cells = tuple(cell.strip() for cell in next(csv.reader([line], strict=True)))
            except csv.Error as error:
                self._wrong(name, number, f"not a row of CSV: {error}", "cells separated by commas, each in one line")
                continue
            if header is None:
                header = cells
            elif len(cells) != len(header):
                hint = "separate columns by commas, with a decimal point in numbers" if ";" in line else ""
                self._wrong(name, number, f"the row has {len(cells)} cells, the header {len(header)}", f"{len(header)} cells", hint)
            else:
                rows.append((number, line, cells))
        if not rows and told == len(self._check.data):
            self._wrong(name, 1, "holds no rows", "a header and at least one row")
        if len(rows) > schema.MOST_SAMPLES:
            self._wrong(name, 1, f"too many rows: {len(rows)}", f"at most {schema.MOST_SAMPLES}")
        return _Sheet(name, header if 0 < len(rows) <= schema.MOST_SAMPLES else None, tuple(rows))


def _start(line: str, place: int) -> int:
    """Return where in a line of CSV a cell begins, from 1.

    >>> _start('1,"a,b",3', 2)
    9
    """
    quoted, passed = False, 0
    for k, character in enumerate(line):
        if passed == place:
            return k + 1
        quoted ^= character == '"'
        passed += character == "," and not quoted
    return len(line) + 1
