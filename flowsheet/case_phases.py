"""Reading the phases of a case's recipe."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from flowsheet import schema
from flowsheet.case import PhaseSpec
from flowsheet.case_check import Checker, read_entries, read_number, read_table
from flowsheet.positions import KeyPath
from flowsheet.problems import listed, shown
from flowsheet.recipe import bolus_takers, recipe_faults, settable
from flowsheet.signals import readable
from flowsheet.variables import variable_unit
from solvers.declare import Direction, Phase, Threshold
from solvers.errors import UsageError
from solvers.suggest import did_you_mean
from units.parameter import Parameter
from units.unit import UnitBlock


def read_phases(
    check: Checker, tables: object, blocks: Mapping[str, UnitBlock], broken: Collection[str], driven: Mapping[str, str]
) -> tuple[PhaseSpec, ...]:
    """Return the phases of a recipe.

    Parameters
    ----------
    check : collects what is wrong.
    tables : the array of tables ``phases``.
    blocks : units that could be built, by name.
    broken : names of units that could not.
    driven : what drives each input that phases must leave alone, in words.
    """
    reader = _Reader(check, blocks, broken, driven)
    found = [
        (path, spec)
        for path, values in read_entries(check, tables, "phases", schema.PHASE, schema.MOST_STREAMS)
        if (spec := reader.phase(path, values))
    ]
    phases = [spec.phase for _, spec in found]
    for number, variable, message, hint in recipe_faults(phases, reader.inputs, reader.variables, reader.takers):
        if not variable:
            check.problem((*found[number][0], "name"), message, hint=hint)
    return tuple(spec for _, spec in found)


class _Reader:
    def __init__(self, check: Checker, blocks: Mapping[str, UnitBlock], broken: Collection[str], driven: Mapping[str, str]) -> None:
        self._check = check
        self._blocks = blocks
        self._broken = broken
        self._driven = driven
        self.inputs = settable(blocks)
        self.takers = bolus_takers(blocks)
        self.variables = {name: data for block in blocks.values() for name, data in readable(block).items()}

    def phase(self, path: KeyPath, values: Mapping[str, Any]) -> PhaseSpec | None:
        """Return one phase, or None with problems noted."""
        before = len(self._check.problems)
        units: dict[str, str] = {}
        settings = {key: self._settings(values[key], (*path, key), units) for key in ("set", "ramp")}
        boluses = self._boluses(values["bolus"], (*path, "bolus"))
        until = None if values["until"] is None else self._until(values["until"], (*path, "until"), units)
        unread = values["until"] is not None and until is None  # of a unit that could not be built
        if len(self._check.problems) > before or values["name"] is None or unread:
            return None
        try:
            return PhaseSpec(Phase(values["name"], settings["set"], settings["ramp"], values["after"], until, boluses), units)
        except UsageError as error:
            self._check.problem((*path, "name"), error.message, hint=error.hint)
            return None

    def _settings(self, table: object, path: KeyPath, units: dict[str, str]) -> dict[str, float]:
        if table is None:
            return {}
        if not isinstance(table, dict):
            self._check.problem(path, f"expected a table of inputs (got {shown(table)})", 'such as { "feed.flow[api]" = "2 kg/h" }')
            return {}
        found = {}
        for variable, written in table.items():
            number = self._setting(variable, written, (*path, variable), units)
            if number is not None:
                found[variable] = number
        return found

    def _setting(self, variable: str, written: object, path: KeyPath, units: dict[str, str]) -> float | None:
        check, unit = self._check, variable.partition(".")[0]
        if unit in self._broken:
            return None
        if variable in self._driven:
            check.problem(path, f"{variable} is driven by {self._driven[variable]}", "an input that nothing else drives", at_key=True)
            return None
        if variable not in self.inputs:
            of_unit = [name for name in self.inputs if name.startswith(f"{unit}.")]
            allowed = listed(of_unit or list(self.inputs), 12) or "none"
            check.problem(path, f"there is no input {variable!r}", allowed, did_you_mean(variable, self.inputs), at_key=True)
            return None
        units[variable] = variable_unit(self.inputs[variable])
        number = read_number(check, written, path, units[variable])
        if number is None:
            return None
        complaint = self._parameter(variable).complaint(number)
        if complaint is not None:
            check.complaint(path, replace(complaint, got=shown(written)))
            return None
        return number

    def _boluses(self, table: object, path: KeyPath) -> dict[str, float]:
        check, found = self._check, {}
        if table is not None and not isinstance(table, dict):
            check.problem(path, f"expected a table of units (got {shown(table)})", 'such as { flask = "10 mL" }')
        for unit, written in table.items() if isinstance(table, dict) else ():
            if unit in self._broken:
                continue
            if unit not in self.takers:
                allowed = listed(self.takers) or "none"
                check.problem((*path, unit), f"{unit} is no unit that takes a bolus", allowed, did_you_mean(unit, self.takers), at_key=True)
                continue
            number = read_number(check, written, (*path, unit), "m^3")
            if number is not None and number <= 0:
                check.problem((*path, unit), f"not a positive volume (got {shown(written)})", 'such as "10 mL"')
            elif number is not None:
                found[unit] = number
        return found

    def _parameter(self, variable: str) -> Parameter:
        unit, _, own = variable.partition(".")
        return next(p for p in self._blocks[unit].parameters if p.name == own.partition("[")[0])

    def _until(self, table: object, path: KeyPath, units: dict[str, str]) -> Threshold | None:
        check = self._check
        values = read_table(check, table, path, schema.UNTIL)
        variable = values["variable"]
        if variable is None or variable.partition(".")[0] in self._broken:
            return None
        if variable not in self.variables:
            check.problem((*path, "variable"), f"there is no variable of time {variable!r}", hint=did_you_mean(variable, self.variables))
            return None
        given = [key for key in ("above", "below") if values[key] is not None]
        if len(given) != 1:
            check.problem(path, "needs one limit", "above or below", at_key=True)
            return None
        units[variable] = variable_unit(self.variables[variable])
        value = read_number(check, values[given[0]], (*path, given[0]), units[variable])
        return None if value is None else Threshold(variable, value, Direction.RISING if given[0] == "above" else Direction.FALLING)
