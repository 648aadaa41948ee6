"""From a finished trajectory to results: the last stage that knows the Pyomo model."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from pyomo.environ import ConcreteModel

from flowsheet.results import (
    BalanceRow,
    Field,
    Measurement,
    Results,
    SpecificationRow,
    StreamRow,
    UniformityRow,
    UnitRow,
    make_fields,
)
from flowsheet.results_layout import canonical_json
from flowsheet.sizes import sizes_of_case
from flowsheet.tables import balance_row, fit_row, specification_row, uniformity_row
from solvers import Status, Trajectory
from units.stream import MEASURES

PACKAGES = ("pharmaflowsheet", "pyomo", "casadi", "scikit-sundae", "numpy", "scipy", "h5py")
"""Distributions whose versions may change a result."""

COMPONENT, SIZE_CLASS, CARRIED = "component", "size_class", "carried"
"""Names of the dimensions of components of powders, of size classes, and of both."""


def collect_results(case: Mapping[str, Any], model: ConcreteModel, trajectory: Trajectory, *, stopped_because: str = "") -> Results:
    """Gather everything worth keeping of a run.

    Parameters
    ----------
    case : the resolved case, in SI.
    model : the flowsheet's model, for the types of units and the names of sets.
    trajectory : of that model.
    stopped_because : why an incomplete run stopped.
    """
    names = trajectory.names
    raw = make_fields(
        names,
        trajectory.values(),
        {name: trajectory.unit(name) for name in names},
        {name: trajectory.doc(name) for name in names},
    )
    counters = {name: int(count) for name, count in trajectory.stats.as_dict().items() if name != "seconds"}
    data = case.get("data", ())
    if trajectory.status is not Status.COMPLETE and not stopped_because:
        stopped_because = "the run did not reach its end"
    return Results(
        t=np.asarray(trajectory.t, dtype=float),
        fields=_name_dimensions(raw, model, _label_lists(case)),
        events=tuple(trajectory.events),
        status=trajectory.status,
        stopped_because=stopped_because,
        stats=counters,
        balance=balance_rows(trajectory),
        specifications=tuple(_specification(trajectory, entry) for entry in case.get("specifications", ())),
        streams=tuple(StreamRow(entry["name"], entry["from"], entry["to"]) for entry in case.get("streams", ())),
        units=tuple(_unit(model, name, entry) for name, entry in case.get("units", {}).items()),
        case=json.loads(canonical_json(case)),
        versions=installed_versions(),
        uniformity=tuple(_uniformity(trajectory, entry) for entry in case.get("uniformity", ()) if _is_reached(trajectory, entry)),
        measurements=tuple(row for entry in data for row in _measurements(entry)),
        fits=tuple(fit_row(trajectory.t, np.asarray(trajectory[entry["variable"]]), _measurements(entry)) for entry in data),
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _label_lists(case: Mapping[str, Any]) -> dict[tuple, str]:
    """Return the lists of labels that every flowsheet has, with the names of their dimensions."""
    components = tuple(case.get("materials", {}))
    sizes = sizes_of_case(case)
    if sizes is None:
        return {components: COMPONENT}
    return {components: COMPONENT, sizes.names: SIZE_CLASS, components + sizes.names: CARRIED}


def _name_dimensions(raw: tuple[Field, ...], model: ConcreteModel, lists: Mapping[tuple, str]) -> tuple[Field, ...]:
    """Give dimensions the names of the model's sets, as long as one name stands for one list of labels."""
    known: dict[str, tuple] = {name: labels for labels, name in lists.items()}
    named = []
    for field in raw:
        proposals = _set_names(model, field)
        dimensions = []
        for fallback, proposal, labels in zip(field.dimensions, proposals, field.labels, strict=True):
            name = lists.get(labels) or proposal or fallback
            if known.setdefault(name, labels) != labels:
                name = fallback
            known.setdefault(name, labels)
            dimensions.append(name)
        named.append(replace(field, dimensions=tuple(dimensions)))
    return tuple(named)


def _set_names(model: ConcreteModel, field: Field) -> list[str]:
    nothing = [""] * len(field.dimensions)
    component = model.find_component(field.name)
    if component is None or not component.is_indexed():
        return nothing
    names = [subset.name for subset in component.index_set().subsets() if subset is not model.time]
    if len(names) != len(field.dimensions):
        return nothing
    # anonymous sets have made-up names such as mass_index or {1, 2}
    return [name if re.fullmatch(r"\w+(\.\w+)*", name) and not re.search(r"_index(_\d+)?$", name) else "" for name in names]


def balance_rows(trajectory: Trajectory) -> tuple[BalanceRow, ...]:
    """Return the material balance of every component of a flowsheet's run."""
    names = set(trajectory.names)
    rows = []
    for measure in MEASURES:
        prefix = f"balance.supplied{measure.suffix}["
        for component in [name[len(prefix) : -1] for name in trajectory.names if name.startswith(prefix)]:
            course = {
                what: np.asarray(trajectory[name]) if name in names else np.zeros(len(trajectory.t))
                for what in ("supplied", "withdrawn", "inventory", "dosed", "reacted")
                for name in [f"balance.{what}{measure.suffix}[{component}]"]
            }
            entered = course["supplied"] + course["dosed"]
            reacted = float(course["reacted"][-1] - course["reacted"][0])
            rows.append(balance_row(component, entered, course["withdrawn"], course["inventory"], reacted, str(measure.unit)))
    return tuple(rows)


def _specification(trajectory: Trajectory, entry: Mapping[str, Any]) -> SpecificationRow:
    variable = entry["variable"]
    limits = {name: math.nan if entry.get(name) is None else float(entry[name]) for name in ("lower", "target", "upper")}
    course = np.asarray(trajectory[variable], dtype=float)
    return specification_row(
        trajectory.t,
        course,
        variable=variable,
        label=entry.get("label", ""),
        unit=trajectory.unit(variable),
        **limits,
        after=entry.get("after", 0.0),
    )


def _is_reached(trajectory: Trajectory, entry: Mapping[str, Any]) -> bool:
    """Return whether a run came to the end of a sampling window: what was not made cannot be sampled."""
    return float(trajectory.t[-1]) >= entry["end"]["value"]


def _uniformity(trajectory: Trajectory, entry: Mapping[str, Any]) -> UniformityRow:
    content = np.asarray(trajectory[entry["assay"]], dtype=float) * np.asarray(trajectory[entry["mass"]], dtype=float)
    return uniformity_row(np.asarray(trajectory.t, dtype=float), content, entry)


def _measurements(entry: Mapping[str, Any]) -> list[Measurement]:
    deviations = [math.nan if deviation is None else deviation for deviation in entry["deviations"]]
    rows = zip(entry["times"], entry["values"], deviations, strict=True)
    return [Measurement(entry["variable"], entry["unit"], *row, entry["label"]) for row in rows]


def _unit(model: ConcreteModel, name: str, entry: Mapping[str, Any]) -> UnitRow:
    unit = model.find_component(name)
    shown = tuple(each for each in unit.shown if unit.component(each) is not None)
    return UnitRow(name, entry["type"], shown, tuple(unit.bands))
