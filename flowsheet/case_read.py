"""From the tables of a case file to a :class:`flowsheet.case.Case`, section by section."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyomo.network import Port

from flowsheet import schema
from flowsheet.case import Case, ProfileSpec, Specification, StreamSpec, UnitSpec
from flowsheet.case_check import Checker, missing, read_entries, read_number, read_parameter, read_table, unknown_keys
from flowsheet.case_data import read_data
from flowsheet.case_phases import read_phases
from flowsheet.case_trace import read_trace
from flowsheet.case_uniformity import read_uniformity
from flowsheet.connections import Ports, carrying_fault, connection_faults, disconnected, stream_name
from flowsheet.flowsheet import Flowsheet, name_complaint
from flowsheet.positions import KeyPath
from flowsheet.problems import CaseErrors, ConnectionErrors, DataErrors, Problem, listed, shown
from flowsheet.quantities import QuantityError, conversion
from flowsheet.registry import type_names, unit_type
from flowsheet.schema import Key
from flowsheet.signals import signal_faults
from flowsheet.variables import time_variables, variable_unit
from solvers.declare import Interpolation, Profile
from solvers.errors import CaseError, Complaint, UsageError
from solvers.suggest import did_you_mean
from units.liquid import LiquidComponent
from units.parameter import Parameter
from units.powders import Powders
from units.sizes import SizeClasses
from units.stream import MASS, MEASURES, Material

Component = Material | LiquidComponent


@dataclass(slots=True)
class _Units:
    """Units that were read, and the variables of those that can be built."""

    specs: dict[str, UnitSpec] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocks: dict[str, Any] = field(default_factory=dict)
    """Those units, each in a model of its own."""
    built: list[Flowsheet] = field(default_factory=list)
    """Keeps the models of ``variables`` alive: Pyomo's components know their parents by weak references."""
    ports: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_case(document: Mapping[str, Any], check: Checker, file: Path | None = None) -> Case:
    """Return the case that a document holds.

    Parameters
    ----------
    document : the tables of a case file as plain data.
    check : collects what is wrong.
    file : where the document came from.

    Raises
    ------
    CaseErrors : the case is invalid; all problems are told.
    DataErrors : the case is valid but its measured data cannot be used.
    ConnectionErrors : the case is valid but its units are not connected as they have to be.
    """
    check_schema(document, check)
    needed = tuple(replace(key, required=False) if key.name == "materials" and "components" in document else key for key in schema.TOP)
    top = read_table(check, dict(document), (), needed)
    horizon = top["horizon"]
    output = _subtable(check, top["output"], "output", schema.OUTPUT)
    solver = _subtable(check, top["solver"], "solver", schema.SOLVER)
    interval = _interval(check, output["interval"], horizon)
    display = read_display(check, top["display"])
    before = len(check.problems)
    materials = _read_materials(check, top["materials"]) | _read_components(check, top["components"], top["materials"])
    sizes = _read_sizes(check, top["sizes"], materials, before)
    units = _read_units(check, top["units"], materials, sizes, refused=sizes is None and top["sizes"] is not None)
    streams = _read_streams(check, top["streams"], units)
    signals = _read_signals(check, top["signals"], units, {stream.name for stream in streams})
    driven = {signal.target: f"the signal {signal.name}" for signal in signals}
    phases = read_phases(check, top["phases"], units.blocks, units.broken, driven)
    taken = driven | {variable: "a phase of the recipe" for spec in phases for variable in (*spec.phase.sets, *spec.phase.ramps)}
    profiles = _read_profiles(check, top["profiles"], units, horizon, taken)
    _warn_of_overrides(check, driven | {spec.variable: "a profile" for spec in profiles})
    specifications = _read_specifications(check, top["specifications"], units, horizon)

    def find(path: KeyPath, variable: str) -> Any:
        return _find_variable(check, path, variable, units)

    uniformity = read_uniformity(check, top["uniformity"], find, horizon)
    data = read_data(check, top["data"], find, horizon, file)

    def find_input(path: KeyPath, variable: str) -> Any:
        return _find_input(check, path, variable, units, taken)

    trace = read_trace(check, top["trace"], (find, find_input), materials, {spec.variable for spec in specifications})
    if check.problems:
        raise CaseErrors(in_order([*check.problems, *check.data]))
    if check.data:
        raise DataErrors(in_order(check.data))
    if check.connections:
        raise ConnectionErrors(in_order(check.connections))
    return Case(
        name=top["name"],
        title=top["title"],
        description=top["description"],
        horizon=horizon,
        interval=interval,
        rtol=solver["rtol"],
        atol=solver["atol"],
        display=display,
        materials=materials,
        units=tuple(spec for name, spec in units.specs.items() if name not in units.left_out),
        streams=streams,
        signals=signals,
        phases=phases,
        profiles=profiles,
        specifications=specifications,
        uniformity=uniformity,
        data=data,
        sizes=sizes,
        trace=trace,
        warnings=tuple(in_order(check.warnings)),
        file=file,
    )


def _warn_of_overrides(check: Checker, driven: Mapping[str, str]) -> None:
    """Warn of values from the command line for inputs that something else drives from the start on."""
    by_input = {variable.partition("[")[0]: what for variable, what in driven.items()}
    for path in sorted(check.overridden, key=str):
        what = by_input.get(".".join(map(str, path[1:3]))) if path[0] == "units" else None
        if what:
            check.warn(path, f"has no effect: {what} drives it", "change that instead")


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems by their places in the files."""
    return sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))


def check_schema(document: Mapping[str, Any], check: Checker) -> None:
    """Refuse an empty document, and one of another version of the case format.

    Raises
    ------
    CaseErrors : it is one of these; nothing else of it is worth reading.
    """
    if not document:
        required = [key.name for key in schema.TOP if key.required]
        check.problem((), f"case is empty; required tables and keys: {listed(required)}")
        raise CaseErrors(check.problems)
    found = document.get("schema")
    if isinstance(found, int) and not isinstance(found, bool) and found != schema.SCHEMA:
        newer = found > schema.SCHEMA
        hint = "install a newer version of the program" if newer else "start from the example in docs/cases.md"
        check.problem(("schema",), f"unknown version of the case format (got {shown(found)})", str(schema.SCHEMA), hint)
        raise CaseErrors(check.problems)


def _subtable(check: Checker, table: object, name: str, keys: tuple[Key, ...]) -> dict[str, Any]:
    return read_table(check, {} if table is None else table, (name,), keys)


def _interval(check: Checker, interval: float | None, horizon: float | None) -> float:
    if horizon is None:
        return interval or 1.0
    if interval is None:
        return horizon / 1800
    if interval > horizon:
        check.problem(("output", "interval"), f"longer than the horizon ({interval:g} s > {horizon:g} s)", f"(0, {horizon:g}] s")
    elif horizon / interval > schema.MOST_POINTS:
        points = horizon / interval
        check.problem(
            ("output", "interval"), f"asks for {points:.3g} output points", f"at most {schema.MOST_POINTS}", "choose a longer interval"
        )
    return interval


def read_display(check: Checker, table: object) -> dict[str, str]:
    """Return the display units that are chosen, by kind of quantity."""
    if table is None:
        return {}
    if not isinstance(table, dict):
        check.problem(("display",), f"expected a table (got {shown(table)})", 'such as flow = "kg/h"')
        return {}
    unknown_keys(check, table, ("display",), list(schema.DISPLAY))
    chosen = {}
    for kind, written in table.items():
        if kind not in schema.DISPLAY:
            continue
        path = ("display", kind)
        if not isinstance(written, str):
            check.problem(path, f"expected a unit (got {shown(written)})", 'such as "kg/h"')
            continue
        try:
            conversion(written, schema.DISPLAY[kind] or "dimensionless")
            chosen[kind] = written
        except QuantityError as error:
            check.quantity_problem(path, error)
    return chosen


def _named_tables(check: Checker, tables: object, section: str, most: int) -> dict[str, Any]:
    """Return the tables of a section whose names can be used."""
    if tables is None:
        return {}
    if not isinstance(tables, dict) or not tables:
        what = "is empty" if tables == {} else f"expected tables (got {shown(tables)})"
        check.problem((section,), what, f"at least one table [{section}.<name>]")
        return {}
    if len(tables) > most:
        check.problem((section,), f"too many: {len(tables)}", f"at most {most}")
        return {}
    seen: dict[str, str] = {}
    good = {}
    for name, table in tables.items():
        path: KeyPath = (section, name)
        complaint = _name_complaint(name) if section == "units" else _component_complaint(name)
        if complaint is not None:
            check.complaint(path, complaint, at_key=True)
        elif name.lower() in seen:
            check.problem(path, f"differs from {seen[name.lower()]} only by upper and lower case", "clearly different names", at_key=True)
        elif not isinstance(table, dict):
            keys = "a table; is a heading [" + f"{section}.{name}] missing?" if section == "units" else "a table"
            check.problem(path, f"expected a table (got {shown(table)})", keys)
        else:
            good[name] = table
        seen.setdefault(name.lower(), name)
    return good


def _name_complaint(name: str) -> Complaint | None:
    """Return what is wrong with the name of a unit or stream in a case, which may become part of a file's name."""
    device = Complaint("the name is reserved by operating systems", allowed="another name")
    return device if name.lower() in schema.DEVICES else name_complaint(name)


def _component_complaint(name: str) -> Complaint | None:
    sound = schema.NAME.fullmatch(name) and name.lower() not in schema.DEVICES
    return None if sound else Complaint("the name cannot be used", allowed=schema.NAME_ALLOWED)


def _read_components(check: Checker, tables: object, materials: object) -> dict[str, Component]:
    powders = materials if isinstance(materials, dict) else {}
    components: dict[str, Component] = {}
    for name, table in _named_tables(check, tables, "components", schema.MOST_COMPONENTS).items():
        if name in powders:
            check.problem(("components", name), f"{name} is a material already", "a name of its own", at_key=True)
            continue
        amount = read_table(check, table, ("components", name), schema.COMPONENT)["amount"]
        # something of it may be wrong; units may still be read with it
        components[name] = LiquidComponent(name, next((measure for measure in MEASURES if measure.amount == amount), MASS))
    return components


def _read_materials(check: Checker, tables: object) -> dict[str, Component]:
    materials: dict[str, Component] = {}
    for name, table in _named_tables(check, tables, "materials", schema.MOST_COMPONENTS).items():
        path = ("materials", name)
        values = read_table(check, table, path, schema.MATERIAL)
        if None in values.values():
            # something of it is wrong; units may still be read with it
            values = {"true_density": 1000.0, "bulk_density": 500.0, "substance": values["substance"] or ""}
            values |= {"moisture": bool(table.get("moisture", False))}
        try:
            materials[name] = Material(name, **values)
        except CaseError as error:
            for complaint in error.complaints:
                check.complaint(path, complaint)
            materials[name] = Material(name, 1000.0, 500.0)
    return materials


def _read_sizes(check: Checker, table: object, materials: Mapping[str, Component], before: int) -> SizeClasses | None:
    """Return the size classes, if there are any that every material fits; there were ``before`` problems before those of materials."""
    powders = {name: material for name, material in materials.items() if isinstance(material, Material)}
    if table is None:
        for name in (name for name, material in powders.items() if material.median_size):
            check.warn(("materials", name, "median_size"), "is of no use without size classes", "add a table [sizes], or leave it out")
        return None
    values = read_table(check, table, ("sizes",), schema.SIZES)
    if None in values.values():
        return None
    place: KeyPath = ("sizes",)
    try:
        sizes = SizeClasses(**values)
        place = ("materials",)
        if len(check.problems) > before:
            return None
        Powders(powders, sizes)
    except CaseError as error:
        for complaint in error.complaints:
            check.complaint(place, complaint, at_key=len(complaint.key) < 2)
        return None
    return sizes


# --- units -----------------------------------------------------------------------------------------------------------


def _read_units(check: Checker, tables: object, materials: Mapping[str, Component], sizes: SizeClasses | None, *, refused: bool) -> _Units:
    """Return the units; where the size classes were refused, none is built, since it would miss them."""
    units = _Units()
    cells = 0.0
    given = tables if isinstance(tables, dict) else {}
    units.broken |= set(given)
    for name, table in _named_tables(check, tables, "units", schema.MOST_UNITS).items():
        before = len(check.problems)
        spec = _read_unit(check, name, table, materials)
        if spec is not None and len(check.problems) == before:
            units.specs[name] = spec
            units.broken.discard(name)
            cells += sum(spec.parameters[p.name] for p in spec.type.contract.parameters if p.integer)
    asked = cells * (len(materials) + (sizes.classes if sizes else 0))
    if asked > schema.MOST_EQUATIONS:
        check.problem(("units",), f"all units together ask for about {asked:.2g} equations", f"at most {schema.MOST_EQUATIONS}")
    elif refused:
        units.broken |= set(units.specs)
    elif materials:
        for name in list(units.specs):
            _build_alone(check, units, name, materials, sizes)
    return units


def _read_unit(check: Checker, name: str, table: dict[str, Any], materials: Mapping[str, Component]) -> UnitSpec | None:
    path: KeyPath = ("units", name)
    kind = table.get("type")
    if kind is None:
        missing(check, path, "type", "which unit operation it is", listed(type_names()))
        return None
    if not isinstance(kind, str) or kind not in type_names():
        hint = did_you_mean(kind, type_names()) if isinstance(kind, str) else ""
        check.problem((*path, "type"), f"unknown unit type (got {shown(kind)})", listed(type_names()), hint)
        return None
    found = unit_type(kind)
    contract = found.contract
    conditions = {p.when[0] for p in contract.parameters if p.when}
    kinds = {
        p.name: read_parameter(check, p, table[p.name], (*path, p.name), ())
        for p in contract.parameters
        if p.name in table and (p.names_unit or p.name in conditions)
    }
    if None in kinds.values():
        return None
    parameters = {parameter.name: parameter for parameter in contract.declared(kinds)}
    absent = {p.name: p for p in contract.parameters if p.name not in parameters}
    for key in [key for key in table if key in absent]:
        check.problem((*path, key), f"needs {absent[key].condition}", at_key=True)
    unknown_keys(check, {key: value for key, value in table.items() if key != "type" and key not in absent}, path, list(parameters))
    values: dict[str, Any] = {}
    known = contract.known(materials)
    for parameter in parameters.values():
        components = parameter.members(known)
        if parameter.name in kinds:
            values[parameter.name] = kinds[parameter.name]
        elif parameter.name in table:
            values[parameter.name] = read_parameter(check, parameter, table[parameter.name], (*path, parameter.name), components)
        elif parameter.default is None:
            missing(check, path, parameter.name, parameter.doc, _expected(parameter))
        else:
            values[parameter.name] = parameter.by_component(parameter.default, components) if parameter.per_component else parameter.default
    return UnitSpec(name, found, values)


def _expected(parameter: Parameter) -> str:
    each = " for each component" if parameter.per_component else ""
    return f"{parameter.allowed()}{each}"


def _build_alone(check: Checker, units: _Units, name: str, materials: Mapping[str, Component], sizes: SizeClasses | None) -> None:
    """Build one unit by itself, to hear what it says of its parameters together and to learn its variables."""
    spec = units.specs[name]
    alone = Flowsheet(1.0, materials, sizes)
    try:
        block = alone.add(name, spec.type.block, **spec.parameters)
    except (CaseError, UsageError) as error:
        for complaint in (isinstance(error, CaseError) and error.complaints) or (Complaint(error.message, hint=error.hint),):
            check.complaint(("units", name), complaint, at_key=not complaint.key)
        units.broken.add(name)
        del units.specs[name]
        return
    units.built.append(alone)
    units.blocks[name] = block
    for port in block.component_objects(Port, descend_into=False):
        units.ports[f"{name}.{port.local_name}"] = port
    units.variables[name] = time_variables(block, block.model().time)


# --- streams, profiles, specifications -------------------------------------------------------------------------------


def _read_streams(check: Checker, tables: object, units: _Units) -> tuple[StreamSpec, ...]:
    streams = _read_joints(check, tables, "streams", schema.STREAM, units, "S")
    if not check.problems:
        _check_connections(check, units, [stream for _, stream in streams])
    return tuple(stream for _, stream in streams)


def _read_signals(check: Checker, tables: object, units: _Units, taken: set[str]) -> tuple[StreamSpec, ...]:
    signals = _read_joints(check, tables, "signals", schema.SIGNAL, units, "C", taken)
    if check.problems:
        return tuple(signal for _, signal in signals)
    blocks = {name: block for name, block in units.blocks.items() if name not in units.left_out}
    for fault in signal_faults(blocks, [(signal.source, signal.target) for _, signal in signals]):
        path: KeyPath = (*signals[fault.stream][0], fault.end) if fault.stream >= 0 else ("units", fault.unit)
        check.connection(path, fault.message, fault.allowed, fault.hint)
    return tuple(signal for _, signal in signals)


def _read_joints(
    check: Checker, tables: object, section: str, keys: tuple[Key, ...], units: _Units, letter: str, others: Collection[str] = ()
) -> list[tuple[KeyPath, StreamSpec]]:
    """Return what joins two ends, with its path; names are given to those that have none."""
    joints: list[tuple[KeyPath, StreamSpec]] = []
    places: dict[str, KeyPath] = {}
    entries = read_entries(check, tables, section, keys, schema.MOST_STREAMS)
    taken = {*units.specs, *units.broken, *others, *(values["name"] for _, values in entries if values["name"])}
    for number, (path, values) in enumerate(entries, start=1):
        source, target = values["from"], values["to"]
        if source is None or target is None:
            continue
        name = values["name"] or stream_name(number, taken, letter)
        taken.add(name)
        complaint = _name_complaint(name)
        if values["name"] and complaint is not None:
            check.complaint((*path, "name"), replace(complaint, got=shown(name)))
        elif values["name"] and (name in places or name in units.specs or name in units.broken or name in others):
            first = check.positions.value((*places[name], "name")) if check.positions and name in places else None
            bearer = "a stream" if name in others else "a unit"
            where = f"; first in line {first[0]}, column {first[1]}" if first else "" if name in places else f"; {bearer} bears it"
            check.problem((*path, "name"), f"the name {name} is given twice{where}", "a name of its own")
        places.setdefault(name, path)
        joints.append((path, StreamSpec(name, source, target)))
    return joints


def _check_connections(check: Checker, units: _Units, streams: list[StreamSpec]) -> None:
    ports = {
        name: Ports(tuple(spec.type.contract.inlets(spec.parameters)), tuple(spec.type.contract.outlets(spec.parameters)))
        for name, spec in units.specs.items()
    }
    ends = [(stream.source, stream.target) for stream in streams]
    units.left_out = disconnected(ports, ends)
    if len(units.left_out) == len(ports):
        check.connection(("units",), "no unit is connected to another", hint="join them by [[streams]] with from and to")
        return
    for name in units.left_out:
        check.warn(("units", name), "is not connected to any stream and is left out of the run", "join it by [[streams]] or remove it")
    for fault in connection_faults(ports, ends):
        if fault.unit in units.left_out:
            continue
        path: KeyPath = ("streams", fault.stream, fault.end) if fault.stream >= 0 else ("units", fault.unit)
        check.connection(path, fault.message, fault.allowed, fault.hint)
    for number, (source, target) in enumerate(ends):
        both = source in units.ports and target in units.ports
        mismatch = carrying_fault(source, target, units.ports[source], units.ports[target]) if both else None
        if mismatch is not None:
            check.connection(("streams", number, mismatch.end), mismatch.message, mismatch.allowed, mismatch.hint)


def _find_variable(check: Checker, path: KeyPath, variable: str, units: _Units, allowed: Mapping[str, Any] | None = None) -> Any:
    """Return the data object of a variable, or None with a problem noted unless its unit is broken anyway."""
    unit = variable.partition(".")[0]
    if unit in units.broken or (unit in units.specs and unit not in units.variables):
        return None
    if unit in units.left_out:
        check.connection(path, f"{unit} is not connected to any stream and is left out of the run", "a variable of a connected unit")
        return None
    if unit not in units.variables:
        check.problem(path, f"there is no unit {unit!r}", listed(units.variables), did_you_mean(unit, units.variables))
        return None
    known = units.variables[unit] if allowed is None else allowed
    if variable in known:
        return known[variable]
    inside = [name for name in known if name.startswith(f"{variable}[")]
    hint = f"name one of {listed(inside, 6)}" if inside else did_you_mean(variable, known)
    names = sorted({name.partition("[")[0] for name in known})
    what = "time-indexed variable" if allowed is None else "input"
    check.problem(path, f"{unit} has no {what} {variable.partition('.')[2]!r}", listed(names) or "none", hint)
    return None


def _find_input(check: Checker, path: KeyPath, variable: str, units: _Units, driven: Mapping[str, str]) -> Any:
    """Return the data object of an input that nothing drives yet, or None with a problem noted unless its unit is broken anyway."""
    if variable in driven:
        check.problem(path, f"{variable} is driven by {driven[variable]}", "an input that nothing else drives")
        return None
    unit = variable.partition(".")[0]
    inputs = units.blocks[unit].inputs if unit in units.blocks else ()
    allowed = {name: data for name, data in units.variables.get(unit, {}).items() if name.partition(".")[2].partition("[")[0] in inputs}
    return _find_variable(check, path, variable, units, allowed)


def _read_profiles(
    check: Checker, tables: object, units: _Units, horizon: float | None, driven: Mapping[str, str]
) -> tuple[ProfileSpec, ...]:
    profiles: list[ProfileSpec] = []
    seen: dict[str, KeyPath] = {}
    for path, values in read_entries(check, tables, "profiles", schema.PROFILE, schema.MOST_STREAMS):
        variable = values["variable"]
        times = _read_times(check, values["times"], (*path, "times"), horizon)
        if variable is None:
            continue
        if variable in seen:
            check.problem((*path, "variable"), f"{variable} has a profile already", "one profile for each input")
        seen.setdefault(variable, path)
        data = _find_input(check, (*path, "variable"), variable, units, driven)
        if data is None:
            continue
        unit = variable.partition(".")[0]
        spec = units.specs[unit]
        parameters = {parameter.name: parameter for parameter in spec.type.contract.declared(spec.parameters)}
        text = variable_unit(data)
        parameter = parameters.get(variable.partition(".")[2].partition("[")[0])
        numbers = _read_course(check, values["values"], (*path, "values"), text, parameter)
        if times is None or numbers is None:
            continue
        if len(times) != len(numbers):
            check.problem(
                (*path, "values"), f"needs one value per time (got {len(numbers)} values for {len(times)} times)", f"{len(times)} values"
            )
        elif values["interpolation"] is not None:
            course = Profile(times, numbers, Interpolation(values["interpolation"]))
            profiles.append(ProfileSpec(variable, course, text, values["label"] or ""))
    return tuple(profiles)


def _read_times(check: Checker, given: object, path: KeyPath, horizon: float | None) -> list[float] | None:
    times = _read_course(check, given, path, "s", None)
    if times is None:
        return None
    if times[0] != 0.0:
        check.problem((*path, 0), f"the first time has to be 0 s (got {times[0]:g} s)", '"0 s", with the value that holds at the start')
        return None
    for k in range(1, len(times)):
        if times[k] <= times[k - 1]:
            check.problem((*path, k), f"times have to increase ({times[k]:g} s after {times[k - 1]:g} s)", "strictly increasing times")
            return None
    if horizon is not None and times[-1] > horizon:
        check.warn(path, f"the profile goes on after the horizon ({times[-1]:g} s > {horizon:g} s)")
    return times


def _read_course(check: Checker, given: object, path: KeyPath, unit: str, parameter: Parameter | None) -> list[float] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not 1 <= len(given) <= schema.MOST_PROFILE_POINTS:
        check.problem(path, f"expected an array (got {shown(given)})", f"1 to {schema.MOST_PROFILE_POINTS} entries")
        return None
    numbers = [read_number(check, value, (*path, k), unit) for k, value in enumerate(given)]
    good = [number for number in numbers if number is not None]
    if len(good) < len(numbers):
        return None
    found = [] if parameter is None else [parameter.complaint(number) for number in good]
    wrong = {k: complaint for k, complaint in enumerate(found) if complaint is not None}
    for k, complaint in wrong.items():
        check.complaint((*path, k), replace(complaint, got=shown(given[k])))
    return None if wrong else good


def _read_specifications(check: Checker, tables: object, units: _Units, horizon: float | None) -> tuple[Specification, ...]:
    found: list[Specification] = []
    seen: set[str] = set()
    for path, values in read_entries(check, tables, "specifications", schema.SPECIFICATION, schema.MOST_STREAMS):
        variable = values["variable"]
        if variable is None:
            continue
        if variable in seen:
            check.problem((*path, "variable"), f"{variable} is specified already", "one specification for each variable")
        seen.add(variable)
        data = _find_variable(check, (*path, "variable"), variable, units)
        if data is None:
            continue
        unit = variable_unit(data)
        before = len(check.problems)
        limits = {
            key: None if values[key] is None else read_number(check, values[key], (*path, key), unit)
            for key in ("lower", "target", "upper")
        }
        if len(check.problems) > before or values["after"] is None:
            continue
        if limits["lower"] is None and limits["upper"] is None:
            check.problem(path, "needs a limit", "lower, upper or both", at_key=True)
            continue
        if horizon is not None and values["after"] > horizon:
            check.problem((*path, "after"), f"the run ends before ({values['after']:g} s > {horizon:g} s)", f"at most {horizon:g} s")
        given = [(key, limit) for key, limit in limits.items() if limit is not None]
        for (one, low), (other, high) in pairwise(given):
            if low > high or (low == high and "target" not in (one, other)):
                check.problem(
                    (*path, other),
                    f"{other} has to lie above {one} ({high:g} against {low:g}{' ' + unit if unit else ''})",
                    "lower < upper",
                )
        found.append(Specification(variable, unit, **limits, after=values["after"], label=values["label"] or ""))
    return tuple(found)
