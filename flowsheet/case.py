"""A case: what is simulated, in SI, checked and immutable. Read from a file by :func:`flowsheet.case_load.load_case`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowsheet.problems import Problem
from flowsheet.quantities import si_text
from flowsheet.registry import UnitType
from flowsheet.schema import SCHEMA
from solvers.declare import Direction, Phase, Profile
from units.liquid import LiquidComponent
from units.sizes import SizeClasses
from units.stream import Material


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """A unit: its name, its type and all its parameters in SI, defaults filled in."""

    name: str
    type: UnitType
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream from an outlet to an inlet, or a signal from a variable to an input; its name in the model and in the report."""

    name: str
    source: str
    target: str

    @property
    def resolved(self) -> dict[str, str]:
        """What a case file says of it."""
        return {"name": self.name, "from": self.source, "to": self.target}


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    """A phase of the recipe, and the SI units of all variables that it names."""

    phase: Phase
    units: Mapping[str, str]

    @property
    def resolved(self) -> dict[str, Any]:
        """The phase as plain data, with units."""
        phase = self.phase
        entry: dict[str, Any] = {"name": phase.name}
        for key, values in (("set", phase.sets), ("ramp", phase.ramps)):
            if values:
                entry[key] = {variable: _with_unit(value, self.units[variable]) for variable, value in values.items()}
        if phase.boluses:
            entry["bolus"] = {unit: _with_unit(volume, "m^3") for unit, volume in phase.boluses.items()}
        if phase.after is not None:
            entry["after"] = _with_unit(phase.after, "s")
        if phase.until is not None:
            passed = "above" if phase.until.direction is Direction.RISING else "below"
            value = _with_unit(phase.until.value, self.units[phase.until.variable])
            entry["until"] = {"variable": phase.until.variable, passed: value}
        return entry


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """The course of an input: ``profile`` in s and in the SI unit ``unit`` (empty if dimensionless)."""

    variable: str
    profile: Profile
    unit: str
    label: str


@dataclass(frozen=True, slots=True)
class Specification:
    """Limits of a quality attribute in SI; None where there is none."""

    variable: str
    unit: str
    lower: float | None
    target: float | None
    upper: float | None
    after: float
    label: str


@dataclass(frozen=True, slots=True)
class UniformitySpec:
    """A test of content uniformity: what is sampled, when (s), and how single tablets scatter (relative standard deviations)."""

    assay: str
    mass: str
    label_claim: float
    within_blend_rsd: float
    other_rsd: float
    target: float
    tablets: int
    seed: int
    start: float
    end: float
    label: str

    @property
    def resolved(self) -> dict[str, Any]:
        """The test as plain data, with units."""
        units = {"label_claim": "kg", "start": "s", "end": "s"}
        return {name: _with_unit(getattr(self, name), units.get(name, "")) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What was measured of one variable: times (s), values in the SI unit ``unit``, standard deviations (None: not known).

    ``label`` says where it comes from.
    """

    variable: str
    unit: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    deviations: tuple[float | None, ...]
    label: str

    @property
    def resolved(self) -> dict[str, Any]:
        """The data as they are written to JSON."""
        return {
            "variable": self.variable,
            "unit": self.unit,
            "times": list(self.times),
            "values": list(self.values),
            "deviations": list(self.deviations),
            "label": self.label,
        }


def _given(spec: Any, units: Mapping[str, str]) -> dict[str, Any]:
    """Return what a table of a case says, without what it leaves out, as plain data with units."""
    given = {name: getattr(spec, name) for name in spec.__slots__ if not name.endswith("unit")}
    return {
        name: [_with_unit(x, units.get(name, "")) for x in value] if isinstance(value, tuple) else _with_unit(value, units.get(name, ""))
        for name, value in given.items()
        if value is not None and value != ()
    }


@dataclass(frozen=True, slots=True)
class DiversionSpec:
    """A sensor and a gate: what is specified, what is measured, how fast and how well (SI; None: not given)."""

    watch: str
    unit: str
    sensor: str
    sensor_unit: str
    at: str
    lower: float | None
    target: float | None
    upper: float | None
    after: float | None
    sensor_lower: float | None
    sensor_upper: float | None
    by: str
    delay: float
    transport: float | None
    dwell: float
    noise: float
    scan_time: float
    scans: int
    label: str

    @property
    def resolved(self) -> dict[str, Any]:
        """The diversion as plain data, with units."""
        own = dict.fromkeys(("lower", "target", "upper"), self.unit) | dict.fromkeys(
            ("sensor_lower", "sensor_upper", "noise"), self.sensor_unit
        )
        return _given(self, own | dict.fromkeys(("after", "delay", "transport", "dwell", "scan_time"), "s"))


@dataclass(frozen=True, slots=True)
class FunnelSpec:
    """An input that is disturbed and what is specified (SI; None: not given)."""

    input: str
    input_unit: str
    watch: str
    unit: str
    lower: float | None
    upper: float | None
    time: float | None
    window: float | None
    step: float | None
    durations: tuple[float, ...]
    label: str

    @property
    def resolved(self) -> dict[str, Any]:
        """The funnel as plain data, with units."""
        own = dict.fromkeys(("lower", "upper"), self.unit) | {"step": self.input_unit}
        return _given(self, own | dict.fromkeys(("time", "window", "durations"), "s"))


@dataclass(frozen=True, slots=True)
class TraceSpec:
    """What is followed: ``threshold`` is the share above which something is there, ``lots`` are those named (else all are found)."""

    threshold: float = 0.01
    share_of: str = "substance"
    lots: tuple[str, ...] = ()
    diversions: tuple[DiversionSpec, ...] = ()
    funnels: tuple[FunnelSpec, ...] = ()

    @property
    def resolved(self) -> dict[str, Any]:
        """All of it as plain data, with units."""
        parts = {name: [spec.resolved for spec in getattr(self, name)] for name in ("diversions", "funnels")}
        named = {"lots": list(self.lots)} if self.lots else {}
        return {"threshold": self.threshold, "share_of": self.share_of, **named, **{name: part for name, part in parts.items() if part}}


@dataclass(frozen=True, slots=True)
class Case:
    """A whole case. Times in s, everything in SI.

    Parameters
    ----------
    name, title, description : for people.
    horizon, interval : simulated time and time between output points.
    rtol, atol : tolerances of the simulation.
    display : chosen display units by kind of quantity.
    materials : components by name, powders and then what liquids hold, in the order of the file.
    sizes : classes in which particle sizes are followed, if they are.
    units, streams, signals, phases, profiles, specifications, uniformity, data : in the order of the file.
    trace : what ``flowsheet trace`` follows; None if the case does not say.
    warnings : what is allowed but deserves a look.
    file : where it came from; not part of what is resolved.
    """

    name: str
    title: str
    description: str
    horizon: float
    interval: float
    rtol: float
    atol: float
    display: Mapping[str, str]
    materials: Mapping[str, Material | LiquidComponent]
    units: tuple[UnitSpec, ...]
    streams: tuple[StreamSpec, ...]
    signals: tuple[StreamSpec, ...]
    phases: tuple[PhaseSpec, ...]
    profiles: tuple[ProfileSpec, ...]
    specifications: tuple[Specification, ...]
    uniformity: tuple[UniformitySpec, ...]
    data: tuple[DataSpec, ...] = ()
    sizes: SizeClasses | None = None
    trace: TraceSpec | None = None
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    file: Path | None = field(default=None, compare=False)

    @property
    def resolved(self) -> dict[str, Any]:
        """The case as plain data in SI with all defaults filled in: what was really run.

        Dimensional parameters are ``{"value": ..., "unit": ...}``, dimensionless ones plain numbers, times plain
        numbers in s. :func:`case_document` turns it back into what a case file holds.
        """
        powders = {name: material for name, material in self.materials.items() if isinstance(material, Material)}
        liquid = {name: component for name, component in self.materials.items() if isinstance(component, LiquidComponent)}
        order = {"materials": list(powders), "components": list(liquid), "units": [unit.name for unit in self.units]}
        return {
            "schema": SCHEMA,
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "time_unit": "s",
            "horizon": self.horizon,
            "output": {"interval": self.interval},
            "solver": {"rtol": self.rtol, "atol": self.atol},
            "display": dict(self.display),
            # JSON with sorted keys, from which the hash is made, would lose the order
            "order": {section: names for section, names in order.items() if names},
            **({"sizes": _resolved_sizes(self.sizes)} if self.sizes else {}),
            "materials": {name: _resolved_material(material) for name, material in powders.items()},
            **({"components": {name: {"amount": c.measure.amount} for name, c in liquid.items()}} if liquid else {}),
            "units": {unit.name: _resolved_unit(unit) for unit in self.units},
            "streams": [stream.resolved for stream in self.streams],
            "signals": [signal.resolved for signal in self.signals],
            "phases": [phase.resolved for phase in self.phases],
            "profiles": [
                {
                    "variable": spec.variable,
                    "unit": spec.unit,
                    "times": list(spec.profile.times),
                    "values": list(spec.profile.values),
                    "interpolation": spec.profile.interpolation.value,
                    "label": spec.label,
                }
                for spec in self.profiles
            ],
            "specifications": [
                {
                    **{"variable": s.variable, "unit": s.unit, "lower": s.lower, "target": s.target, "upper": s.upper},
                    **{"after": s.after, "label": s.label},
                }
                for s in self.specifications
            ],
            "uniformity": [spec.resolved for spec in self.uniformity],
            **({"data": [spec.resolved for spec in self.data]} if self.data else {}),
            **({} if self.trace is None else {"trace": self.trace.resolved}),
        }


def _resolved_sizes(sizes: SizeClasses) -> dict[str, Any]:
    return {**{key: {"value": getattr(sizes, key), "unit": "m"} for key in ("smallest", "largest")}, "classes": sizes.classes}


def _resolved_material(material: Material) -> dict[str, Any]:
    """Return what is said of a material; what is not given is left out."""
    return {
        **{key: {"value": getattr(material, key), "unit": "kg/m^3"} for key in ("true_density", "bulk_density")},
        **({"substance": material.substance} if material.substance else {}),
        **({"median_size": {"value": material.median_size, "unit": "m"}} if material.median_size else {}),
        **({"size_spread": material.size_spread} if material.size_spread else {}),
        **({"moisture": True} if material.moisture else {}),
    }


def _resolved_unit(unit: UnitSpec) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": unit.type.name}
    for parameter in unit.type.contract.declared(unit.parameters):
        value, text = unit.parameters[parameter.name], si_text(parameter.unit)
        if parameter.names_unit:
            entry[parameter.name] = value
        elif isinstance(value, Mapping):
            entry[parameter.name] = {component: _with_unit(number, text) for component, number in value.items()}
        else:
            entry[parameter.name] = _with_unit(value, text)
    return entry


def _with_unit(value: float, unit: str) -> Any:
    return {"value": value, "unit": unit} if unit else value


def case_document(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a case file would hold to give this resolved case: quantities as text, in SI.

    Reading it gives the same resolved case again, bit by bit, so that results can be run anew from their own record.
    """
    document: dict[str, Any] = {key: resolved[key] for key in ("schema", "name", "title", "description", "solver", "display")}
    document["horizon"] = _text(resolved["horizon"], "s")
    document["output"] = {"interval": _text(resolved["output"]["interval"], "s")}
    if "sizes" in resolved:
        document["sizes"] = _plain(resolved["sizes"])
    for section, names in resolved["order"].items():
        document[section] = {name: _plain(resolved[section][name]) for name in names}
    for section in ("streams", "signals"):
        document[section] = [dict(stream) for stream in resolved[section]]
    document["phases"] = [{key: _plain(value) for key, value in phase.items()} for phase in resolved["phases"]]
    document["profiles"] = [
        {
            "variable": profile["variable"],
            "times": [_text(time, "s") for time in profile["times"]],
            "values": [_text(value, profile["unit"]) for value in profile["values"]],
            "interpolation": profile["interpolation"],
            "label": profile["label"],
        }
        for profile in resolved["profiles"]
    ]
    document["specifications"] = [
        {
            key: _text(s[key], "s" if key == "after" else s["unit"]) if key in ("lower", "target", "upper", "after") else s[key]
            for key in s
            if key != "unit" and s[key] is not None
        }
        for s in resolved["specifications"]
    ]
    document["uniformity"] = [_plain(entry) for entry in resolved["uniformity"]]
    if "data" in resolved:
        document["data"] = [_data_table(series) for series in resolved["data"]]
    if "trace" in resolved:
        document["trace"] = _plain(resolved["trace"])
    return document


def _data_table(series: Mapping[str, Any]) -> dict[str, Any]:
    """Return measured data as a case without a file has them; what is missing is an empty text there."""
    entry = {"values": list(series["values"]), "deviation": ["" if number is None else number for number in series["deviations"]]}
    entry |= {"unit": series["unit"]} if series["unit"] else {}
    return {"time": {"values": list(series["times"]), "unit": "s"}, "variables": {series["variable"]: entry}, "label": series["label"]}


def _plain(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_plain(part) for part in entry]
    if not isinstance(entry, Mapping):
        return entry
    if "value" in entry:
        return _text(entry["value"], entry["unit"])
    return {key: _plain(value) for key, value in entry.items()}


def _text(value: float, unit: str) -> str | float:
    return f"{value!r} {unit}" if unit else value
