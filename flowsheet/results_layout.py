"""The layout of ``results.h5`` that writing and reading share; told in words in ``docs/results.md``.

A file is an HDF5 image followed by one line of text, the seal: the SHA-256 of the image. HDF5 ignores what stands
behind its end, so xarray, h5py and netCDF open the file as it is, and a reader of ours notices any changed byte before
it parses one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, get_type_hints

from flowsheet.results import BalanceRow, FitRow, Measurement, SpecificationRow, StreamRow, UniformityRow, UnitRow
from solvers import EventRecord

FORMAT = "flowsheet results"
SCHEMA = 3
RESULTS_FILE = "results.h5"
RUN_FILE = "run.json"
CAMPAIGN_FILE = "campaign.json"
"""What ties the results of the stages of a campaign together, beside their folders."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SEAL = b"\nflowsheet results sha256 %s\n"
SEAL_LENGTH = len(_SEAL % (b"0" * 64))

TABLES: dict[str, tuple[type, str]] = {
    "events": (EventRecord, "event_number"),
    "balance": (BalanceRow, "component"),
    "specifications": (SpecificationRow, "specification"),
    "streams": (StreamRow, "stream_number"),
    "units": (UnitRow, "unit_number"),
    "uniformity": (UniformityRow, "test_number"),
    "measurements": (Measurement, "measurement_number"),
    "fits": (FitRow, "fit_number"),
}
"""Group, row type and dimension of each table."""

COLUMN_NAMES = {("events", "time"): "event_time", ("measurements", "time"): "measurement_time"}
"""Columns that cannot bear their own name because a dimension of the whole file has it."""

COLUMN_UNITS = {
    **{("specifications", name): "s" for name in ("time_below", "time_above", "time_undefined", "duration", "after")},
    **{("uniformity", name): "s" for name in ("start", "end")},
    ("uniformity", "label_claim"): "kg",
    ("events", "time"): "s",
    ("measurements", "time"): "s",
}


def columns(row_type: type) -> dict[str, Any]:
    """Return the names and types of a table's columns, in order."""
    return get_type_hints(row_type)


def seal(image: bytes) -> bytes:
    """Return the line that ends a file with the given HDF5 image."""
    return _SEAL % hashlib.sha256(image).hexdigest().encode()


class Soundness(Enum):
    """What the seal says of a file."""

    SOUND = "sound"
    DAMAGED = "damaged"
    UNSEALED = "unsealed"
    NOT_HDF5 = "not HDF5"


def soundness(content: bytes) -> Soundness:
    """Tell whether the bytes of a file are those that were written.

    >>> soundness(b"PK") is Soundness.NOT_HDF5, soundness(SIGNATURE + seal(SIGNATURE)) is Soundness.SOUND
    (True, True)
    """
    if not content.startswith(SIGNATURE):
        return Soundness.NOT_HDF5
    image, ending = content[:-SEAL_LENGTH], content[-SEAL_LENGTH:]
    if not ending.startswith(_SEAL.partition(b"%s")[0]):
        return Soundness.UNSEALED
    return Soundness.SOUND if ending == seal(image) else Soundness.DAMAGED


def canonical_json(value: Mapping[str, Any]) -> str:
    """Return the one text that stands for a mapping: sorted keys, no spaces, shortest numbers.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def case_digest(case: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hexadecimal) of the canonical JSON of a resolved case."""
    return hashlib.sha256(canonical_json(case).encode()).hexdigest()
