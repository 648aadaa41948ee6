"""Reading what a case says under ``[trace]``: lots, diversions and funnel plots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flowsheet import schema
from flowsheet.case import DiversionSpec, FunnelSpec, TraceSpec
from flowsheet.case_check import Checker, read_entries, read_number, read_table
from flowsheet.positions import KeyPath
from flowsheet.problems import listed, shown
from flowsheet.variables import variable_unit
from solvers.suggest import did_you_mean
from units.stream import Material

Finder = Callable[[KeyPath, str], Any]
Finders = tuple[Finder, Finder]
"""What find a variable, and an input that nothing drives: its data object, or None with a problem noted."""
MOST_DURATIONS = 1000


def read_trace(
    check: Checker, table: object, finders: Finders, materials: Mapping[str, Any], specified: Collection[str]
) -> TraceSpec | None:
    """Return what is to be followed, None if the case does not say.

    Parameters
    ----------
    check : collects what is wrong.
    table : the table ``trace``.
    finders : of variables and of inputs.
    materials : components of the case by name.
    specified : variables that have a specification.
    """
    if table is None:
        return None
    values = read_table(check, table, ("trace",), schema.TRACE)
    powders = [name for name, material in materials.items() if isinstance(material, Material)]
    lots = _read_lots(check, values["lots"], powders)
    diversions = _read_diversions(check, values["diversions"], finders[0], specified)
    funnels = _read_funnels(check, values["funnels"], finders, specified)
    if values["threshold"] is None or values["share_of"] is None:
        return None
    return TraceSpec(values["threshold"], values["share_of"], lots, diversions, funnels)


def _read_lots(check: Checker, given: object, powders: list[str]) -> tuple[str, ...]:
    if given is None:
        return ()
    path: KeyPath = ("trace", "lots")
    if not isinstance(given, list) or not given:
        check.problem(path, f"expected an array of materials (got {shown(given)})", f'such as ["{powders[0]}"]' if powders else "materials")
        return ()
    for k, name in enumerate(given):
        if name not in powders:
            hint = did_you_mean(name, powders) if isinstance(name, str) else ""
            check.problem((*path, k), f"there is no material {name!r}", listed(powders) or "none", hint)
        elif name in given[:k]:
            check.problem((*path, k), f"{name} is named twice", "each lot once")
    return tuple(name for name in given if name in powders)


def _numbers(check: Checker, path: KeyPath, values: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, float | None]:
    """Return numbers in the units of what they belong to; None for what is absent or wrong."""
    return {key: None if values[key] is None else read_number(check, values[key], (*path, key), unit) for key, unit in units.items()}


def _check_limits(check: Checker, path: KeyPath, limits: Mapping[str, float | None], variable: str, specified: Collection[str]) -> None:
    lower, upper = limits["lower"], limits["upper"]
    if lower is None and upper is None and variable not in specified:
        hint = "or specify it under [[specifications]]"
        check.problem(path, f"{variable} has no limits", "lower, upper or both", hint, at_key=True)
    _check_order(check, path, lower, upper, "upper")


def _check_order(check: Checker, path: KeyPath, lower: float | None, upper: float | None, key: str) -> None:
    if lower is not None and upper is not None and lower >= upper:
        check.problem((*path, key), f"has to lie above the lower limit ({upper:g} against {lower:g})", "lower < upper")


def _read_diversions(check: Checker, tables: object, find: Finder, specified: Collection[str]) -> tuple[DiversionSpec, ...]:
    found = []
    for path, values in read_entries(check, tables, "diversions", schema.TRACE_DIVERSION, schema.MOST_STREAMS, ("trace",)):
        before = len(check.problems)
        watch, sensor = values["watch"], values["sensor"] or values["watch"]
        watched = None if watch is None else find((*path, "watch"), watch)
        measured = watched if sensor == watch else find((*path, "sensor"), sensor)
        if watched is None or measured is None:
            continue
        unit, sensor_unit = variable_unit(watched), variable_unit(measured)
        limits = _numbers(check, path, values, dict.fromkeys(("lower", "target", "upper"), unit))
        own = _numbers(check, path, values, dict.fromkeys(("sensor_lower", "sensor_upper", "noise"), sensor_unit))
        if values["noise"] is None:
            own["noise"] = 0.0
        if len(check.problems) > before:
            continue
        _check_limits(check, path, limits, watch, specified)
        _check_order(check, path, own["sensor_lower"], own["sensor_upper"], "sensor_upper")
        _check_sensor(check, path, values, own, unit, sensor_unit)
        if len(check.problems) == before:
            rest = {key: values[key] for key in ("after", "by", "delay", "transport", "dwell", "scan_time", "scans", "label")}
            at = values["at"] or watch.partition(".")[0]
            found.append(DiversionSpec(watch, unit, sensor, sensor_unit, at, **limits, **own, **rest))  # type: ignore[arg-type]
    return tuple(found)


def _check_sensor(check: Checker, path: KeyPath, values: Mapping[str, Any], own: Mapping[str, float | None], unit: str, other: str) -> None:
    noise = own["noise"]
    if noise is not None and noise < 0:
        check.problem((*path, "noise"), f"below its bound (got {shown(values['noise'])})", "[0, inf)")
    if unit != other and own["sensor_lower"] is None and own["sensor_upper"] is None:
        text = f"is in {other or 'a plain number'} and what is watched in {unit or 'a plain number'}"
        check.problem((*path, "sensor"), f"{values['sensor']} {text}", "sensor_lower, sensor_upper or both beside it")
    if values["scan_time"] == 0 and (noise or (values["scans"] or 1) > 1):
        check.problem(path, "noise and averages of scans need the time between scans", 'scan_time, such as "1 s"', at_key=True)


def _read_funnels(check: Checker, tables: object, finders: Finders, specified: Collection[str]) -> tuple[FunnelSpec, ...]:
    found = []
    for path, values in read_entries(check, tables, "funnels", schema.TRACE_FUNNEL, schema.MOST_STREAMS, ("trace",)):
        before = len(check.problems)
        names = {key: values[key] for key in ("input", "watch")}
        data = [None if name is None else find((*path, key), name) for find, (key, name) in zip(finders[::-1], names.items(), strict=True)]
        if None in data:
            continue
        input_unit, unit = map(variable_unit, data)
        limits = _numbers(check, path, values, {"lower": unit, "upper": unit})
        step = _numbers(check, path, values, {"step": input_unit})["step"]
        durations = _read_durations(check, (*path, "durations"), values["durations"])
        if len(check.problems) > before:
            continue
        _check_limits(check, path, limits, names["watch"], specified)
        if step == 0:
            check.problem((*path, "step"), "a step of nothing says nothing", "a number that is not zero")
        if len(check.problems) == before:
            rest = {key: values[key] for key in ("time", "window", "label")}
            found.append(FunnelSpec(names["input"], input_unit, names["watch"], unit, **limits, step=step, durations=durations, **rest))  # type: ignore[arg-type]
    return tuple(found)


def _read_durations(check: Checker, path: KeyPath, given: object) -> tuple[float, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_DURATIONS:
        check.problem(path, f"expected an array (got {shown(given)})", f"1 to {MOST_DURATIONS} durations")
        return ()
    numbers = [read_number(check, value, (*path, k), "s") for k, value in enumerate(given)]
    for k, number in enumerate(numbers):
        if number is not None and number <= 0:
            check.problem((*path, k), f"a duration has to be positive (got {shown(given[k])})", "(0, inf) s")
    return tuple(number for number in numbers if number is not None)
