"""Writing ``results.h5`` and ``run.json``. The layout stands in ``docs/results.md``."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flowsheet.atomic import write_atomically
from flowsheet.results import Label, Results
from flowsheet.results_layout import (
    COLUMN_NAMES,
    COLUMN_UNITS,
    FORMAT,
    RESULTS_FILE,
    RUN_FILE,
    SCHEMA,
    TABLES,
    canonical_json,
    case_digest,
    columns,
    seal,
)
from solvers import Status

_TEXT = h5py.string_dtype("utf-8")
_WORTH_COMPRESSING = 1024


def save_results(results: Results, path: Path, *, seconds: float | None = None) -> Path:
    """Write ``results.h5`` and, beside it, ``run.json`` with what differs between runs of the same case.

    Parameters
    ----------
    results : what to write.
    path : a folder, or a file ending in ``.h5``.
    seconds : wall time of the simulation, for ``run.json`` only.

    Returns
    -------
    The path of the written results file.

    Raises
    ------
    OutputError : the folder is missing or read-only, or the disk is full; older results are untouched.
    """
    path = path if path.suffix == ".h5" else path / RESULTS_FILE
    content = to_bytes(results)
    write_atomically(path, content)
    facts = {
        "results": path.name,
        "results_sha256": hashlib.sha256(content).hexdigest(),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "simulation_seconds": seconds,
        "host": platform.node(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }
    write_atomically(path.with_name(RUN_FILE), (json.dumps(facts, indent=2) + "\n").encode())
    return path


def to_bytes(results: Results) -> bytes:
    """Return the whole content of ``results.h5``: the same results give the same bytes."""
    # in memory first: a full disk then meets one plain write and not HDF5 in the middle of its work
    with h5py.File("results", "w", driver="core", backing_store=False, libver=("v110", "v110"), track_order=True) as file:
        _write_root(file, results)
        _write_fields(file, results)
        _write_tables(file, results)
        _write_provenance(file, results)
        file.flush()
        image = file.id.get_file_image()
    return image + seal(image)


def _write_root(file: h5py.File, results: Results) -> None:
    file.attrs["format"] = FORMAT
    file.attrs["schema"] = SCHEMA
    file.attrs["name"] = str(results.case.get("name", ""))
    file.attrs["title"] = str(results.case.get("title", ""))
    file.attrs["status"] = results.status.name.lower()
    file.attrs["complete"] = np.int8(results.status is Status.COMPLETE)
    file.attrs["stopped_because"] = results.stopped_because


def _dataset(
    group: h5py.Group, name: str, values: Any, scales: Sequence[h5py.Dataset] = (), unit: str = "", long_name: str = ""
) -> h5py.Dataset:
    array = np.asarray(values)
    text = array.dtype.kind in "UO" or (array.size == 0 and array.dtype.kind == "f" and isinstance(values, list))
    packing: dict[str, Any] = {}
    if array.dtype.kind == "f" and array.size >= _WORTH_COMPRESSING:
        packing = {"chunks": _chunks(array.shape), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    # HDF5 would note the time of writing in each dataset
    dataset = group.create_dataset(name, data=values if text else array, dtype=_TEXT if text else None, track_times=False, **packing)
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)
    if unit:
        dataset.attrs["units"] = unit
    if long_name:
        dataset.attrs["long_name"] = long_name
    return dataset


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole courses of as many scalars as make up about a megabyte: reading one variable reads little else."""
    room = max(1, 131072 // max(1, shape[0]))
    chunk = []
    for size in reversed(shape[1:]):
        chunk.append(min(size, room))
        room = max(1, room // max(1, chunk[-1]))
    return (min(shape[0], 131072), *reversed(chunk))


def _scale(group: h5py.Group, name: str, labels: Sequence[Label] | np.ndarray, unit: str = "", long_name: str = "") -> h5py.Dataset:
    values = labels if isinstance(labels, np.ndarray) else list(labels)
    scale = _dataset(group, name, values, unit=unit, long_name=long_name)
    scale.make_scale(name)
    return scale


def _write_fields(file: h5py.File, results: Results) -> None:
    scales = {"time": _scale(file, "time", np.asarray(results.t, dtype=float), unit="s", long_name="time")}
    for component in results.fields:
        for dimension, labels in zip(component.dimensions, component.labels, strict=True):
            if dimension not in scales:
                scales[dimension] = _scale(file, _free_name(file, dimension), labels)
    for component in results.fields:
        axes = [scales[name] for name in ("time", *component.dimensions)]
        dataset = _dataset(file, _free_name(file, component.name), component.values, axes, component.unit, component.doc)
        dataset.attrs["pyomo_name"] = component.name


def _free_name(file: h5py.File, name: str) -> str:
    """Return a name that the file can bear and that is not taken by something else; usually ``name`` itself."""
    name = name.replace("/", "\u2215")
    while name in file or name in TABLES or name in ("solver", "provenance"):
        name += "_"
    return name


def _write_tables(file: h5py.File, results: Results) -> None:
    rows_of = {
        "events": results.events,
        "balance": results.balance,
        "specifications": results.specifications,
        "streams": results.streams,
        "units": results.units,
        "uniformity": results.uniformity,
        "measurements": results.measurements,
        "fits": results.fits,
    }
    for name, (row_type, dimension) in TABLES.items():
        rows = rows_of[name]
        group = file.create_group(name, track_order=True)
        values_of = {column: [_plain(getattr(row, column)) for row in rows] for column in columns(row_type)}
        labels = values_of.pop(dimension, None) or list(range(1, len(rows) + 1))
        if dimension in file and _labels_differ(file[dimension], labels):
            # xarray's trees want one name to stand for one list of labels from the root down
            dimension = f"{name}_{dimension}"
        group.attrs["dimension"] = dimension
        scale = _scale(group, dimension, labels if rows else np.zeros(0, dtype=np.int64))
        for column, values in values_of.items():
            place = (name, column)
            _dataset(group, COLUMN_NAMES.get(place, column), values if rows else np.zeros(0), [scale], COLUMN_UNITS.get(place, ""))


def _labels_differ(scale: h5py.Dataset, labels: Sequence[Label]) -> bool:
    written = scale.asstr()[()] if h5py.check_string_dtype(scale.dtype) else scale[()]
    return list(written.tolist()) != list(labels)


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else value


def _write_provenance(file: h5py.File, results: Results) -> None:
    solver = file.create_group("solver", track_order=True)
    for name, count in results.stats.items():
        solver.attrs[name] = int(count)
    group = file.create_group("provenance", track_order=True)
    group.attrs["case_sha256"] = case_digest(results.case)
    group.attrs["versions"] = canonical_json(results.versions)
    _dataset(group, "resolved_case", canonical_json(results.case), long_name="resolved case as canonical JSON")
