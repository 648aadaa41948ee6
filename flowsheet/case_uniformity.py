"""Reading the content uniformity tests of a case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowsheet import schema
from flowsheet.case import UniformitySpec
from flowsheet.case_check import Checker, read_entries
from flowsheet.positions import KeyPath
from flowsheet.variables import variable_unit

Finder = Callable[[KeyPath, str], Any]
SAMPLED = (("assay", "", "a mass fraction, a plain number"), ("mass", "kg", "a mass in kg"))
"""Variables that are sampled, with their SI units."""


def read_uniformity(check: Checker, tables: object, find: Finder, horizon: float | None) -> tuple[UniformitySpec, ...]:
    """Return the tests of content uniformity.

    Parameters
    ----------
    check : collects what is wrong.
    tables : the array of tables ``uniformity``.
    find : returns the data object of a variable, or None with a problem noted.
    horizon : of the run (s); None if it is not known.
    """
    found = []
    for path, values in read_entries(check, tables, "uniformity", schema.UNIFORMITY, schema.MOST_STREAMS):
        before = len(check.problems)
        known = [_sampled(check, (*path, key), values[key], find, unit, what) for key, unit, what in SAMPLED]
        end = horizon if values["end"] is None else values["end"]
        if horizon is not None and values["start"] is not None and end is not None:
            _check_window(check, path, values["start"], end, horizon)
        if len(check.problems) > before or not all(known) or None in (end, *(values[key.name] for key in schema.UNIFORMITY[:-2])):
            continue
        found.append(UniformitySpec(**{**values, "end": end, "label": values["label"] or ""}))
    return tuple(found)


def _sampled(check: Checker, path: KeyPath, variable: str | None, find: Finder, unit: str, what: str) -> bool:
    """Return whether there is such a variable of that unit."""
    data = None if variable is None else find(path, variable)
    if data is None:
        return False
    if variable_unit(data) != unit:
        check.problem(path, f"{variable} is in {variable_unit(data) or 'a plain number'}", what)
    return variable_unit(data) == unit


def _check_window(check: Checker, path: KeyPath, start: float, end: float, horizon: float) -> None:
    if end > horizon:
        check.problem((*path, "end"), f"the run ends before ({end:g} s > {horizon:g} s)", f"at most {horizon:g} s")
    elif start >= end:
        check.problem((*path, "start"), f"no tablet is made between start and end ({start:g} s, {end:g} s)", "start < end")
