"""Reading ``results.h5``. The layout stands in ``docs/results.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flowsheet.results import Field, Label, Results
from flowsheet.results_layout import (
    CAMPAIGN_FILE,
    COLUMN_NAMES,
    FORMAT,
    RESULTS_FILE,
    SCHEMA,
    TABLES,
    Soundness,
    case_digest,
    columns,
    soundness,
)
from solvers import Status
from solvers.errors import InputDataError, UsageError


def open_results(path: str | Path) -> Results:
    """Read the results of a run; the file may be moved or deleted afterwards.

    Parameters
    ----------
    path : a results folder, or the ``results.h5`` in it.

    Raises
    ------
    UsageError : there is no such file or folder, or no ``results.h5`` in the folder.
    InputDataError : the file is damaged, truncated, of another schema, or not a results file at all.
    """
    path = _locate(Path(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputDataError(f"cannot read {path}: {error.strerror or error}", names=[str(path)]) from error
    _check_sound(path, content)
    with h5py.File(BytesIO(content), "r") as file:
        _check_kind(path, file)
        try:
            return _read(path, file)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise InputDataError(
                f"{path} does not keep to results schema {SCHEMA}: {error}", names=[str(path)], hint="run the case again with this version"
            ) from error


def _locate(path: Path) -> Path:
    if path.is_dir():
        inside = path / RESULTS_FILE
        if not inside.is_file():
            hint = "give the folder that `flowsheet run` wrote to"
            if (path / CAMPAIGN_FILE).is_file():
                stages = sorted(entry.name for entry in path.iterdir() if (entry / RESULTS_FILE).is_file())
                hint = f"it holds a campaign; give one of its stages: {', '.join(str(path / stage) for stage in stages)}"
            raise UsageError(f"no {RESULTS_FILE} in {path}", names=[str(path)], hint=hint)
        return inside
    if not path.is_file():
        raise UsageError(
            f"no results at {path} (looked from {Path.cwd()})", names=[str(path)], hint="give a results folder or its results.h5"
        )
    return path


def _check_sound(path: Path, content: bytes) -> None:
    """Raise unless the bytes are those that were written: only then HDF5 is let at them."""
    state = soundness(content)
    if state is Soundness.SOUND:
        return
    expected = f"expected the {RESULTS_FILE} of a run"
    if state is Soundness.NOT_HDF5:
        what = "is empty" if not content else "is not an HDF5 file"
        raise InputDataError(f"{path} {what} ({len(content)} bytes); {expected}", names=[str(path)], hint="run the case again")
    if state is Soundness.DAMAGED:
        raise InputDataError(
            f"{path} is damaged: its content does not fit the SHA-256 at its end",
            names=[str(path)],
            hint="copy it again from where it was written, or run the case again; a results file is not to be edited",
        )
    _refuse_unsealed(path, content)


def _refuse_unsealed(path: Path, content: bytes) -> None:
    hint = "copy it again from where it was written, or run the case again"
    try:
        with h5py.File(BytesIO(content), "r") as file:
            _check_kind(path, file)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputDataError(f"{path} is a truncated HDF5 file ({len(content)} bytes are left)", names=[str(path)], hint=hint) from error
    raise InputDataError(f"{path} was truncated or edited: the SHA-256 at its end is missing", names=[str(path)], hint=hint)


def _check_kind(path: Path, file: h5py.File) -> None:
    found = file.attrs.get("format")
    if not isinstance(found, str) or found != FORMAT:
        raise InputDataError(
            f"{path} is an HDF5 file of another kind; expected the attribute format = {FORMAT!r} (got {found!r})",
            names=[str(path)],
            hint=f"give the {RESULTS_FILE} of a run, or the folder it stands in",
        )
    schema = int(file.attrs.get("schema", -1))
    if schema != SCHEMA:
        raise InputDataError(
            f"{path} has results schema {schema}; this version reads schema {SCHEMA}",
            names=[str(path)],
            hint="run the case again with this version, or open the file with the version that wrote it",
        )
    expected = ("time", *TABLES, "solver", "provenance/resolved_case")
    missing = [name for name in expected if name not in file]
    if missing:
        raise InputDataError(
            f"{path} lacks {', '.join(missing)}; results of schema {SCHEMA} hold {', '.join(expected)}", names=[str(path), *missing]
        )


def _read(path: Path, file: h5py.File) -> Results:
    case = json.loads(file["provenance/resolved_case"].asstr()[()])
    if case_digest(case) != file["provenance"].attrs["case_sha256"]:
        raise InputDataError(f"{path} holds a resolved case that does not fit its SHA-256", names=[str(path)], hint="run the case again")
    tables: dict[str, tuple[Any, ...]] = {name: tuple(_rows(file[name], name, *TABLES[name])) for name in TABLES}
    return Results(
        t=file["time"][()],
        fields=tuple(_field(dataset) for dataset in file.values() if isinstance(dataset, h5py.Dataset) and "pyomo_name" in dataset.attrs),
        status=Status[file.attrs["status"].upper()],
        stopped_because=file.attrs["stopped_because"],
        stats={name: int(count) for name, count in file["solver"].attrs.items()},
        case=case,
        versions=json.loads(file["provenance"].attrs["versions"]),
        **tables,
    )


def _field(dataset: h5py.Dataset) -> Field:
    scales = [dataset.dims[axis][0] for axis in range(1, dataset.ndim)]
    return Field(
        name=dataset.attrs["pyomo_name"],
        dimensions=tuple(scale.name.rpartition("/")[2] for scale in scales),
        labels=tuple(_labels(scale) for scale in scales),
        values=dataset[()],
        unit=dataset.attrs.get("units", ""),
        doc=dataset.attrs.get("long_name", ""),
    )


def _labels(scale: h5py.Dataset) -> tuple[Label, ...]:
    values = scale.asstr()[()] if h5py.check_string_dtype(scale.dtype) else scale[()]
    return tuple(values.tolist())


def _rows(group: h5py.Group, name: str, row_type: type, dimension: str) -> Iterable[Any]:
    values_of = {}
    scale = group[group.attrs["dimension"]]
    for column, kind in columns(row_type).items():
        dataset = scale if column == dimension else group[COLUMN_NAMES.get((name, column), column)]
        values = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
        values_of[column] = [_restored(value, kind) for value in np.asarray(values).tolist()]
    return (row_type(**{column: values[k] for column, values in values_of.items()}) for k in range(len(scale)))


def _restored(value: Any, kind: Any) -> Any:
    if kind in (int, float, str):
        return kind(value)
    return tuple(tuple(part) if isinstance(part, list) else part for part in json.loads(value))
