"""What results say of the particle sizes in streams: the classes of a case, and the diameters along the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowsheet.results import Results, StreamRow
from units.sizes import QUANTILES, SizeClasses


@dataclass(frozen=True, eq=False, slots=True)
class SizeRow:
    """The size distribution of a stream.

    Parameters
    ----------
    stream : of powder.
    diameters : courses of d10, d50 and d90 (m), each (n,).
    finer : share of the solids finer than each edge at the end of the run, (classes + 1,), from zero to one.
    flows : whether anything does flow at the end.
    """

    stream: StreamRow
    diameters: Mapping[str, np.ndarray]
    finer: np.ndarray
    flows: bool


def sizes_of_case(case: Mapping[str, Any]) -> SizeClasses | None:
    """Return the size classes of a resolved case; None if it follows no sizes."""
    given = case.get("sizes")
    return None if given is None else SizeClasses(given["smallest"]["value"], given["largest"]["value"], given["classes"])


def size_rows(results: Results) -> list[SizeRow]:
    """Return the size distribution of every stream of powder, in the order of the case; none if no sizes are followed."""
    sizes = sizes_of_case(results.case)
    if sizes is None:
        return []
    names = set(results.names)
    rows = []
    for stream in (each for each in results.streams if f"{each.source}_d50" in names):
        finer = [float(results[f"{stream.source}_finer[{size}]"][-1]) for size in sizes.names]
        diameters = {label: results[f"{stream.source}_{label}"] for label in QUANTILES}
        solids = sum(float(results[f"{stream.source}_flow[{size}]"][-1]) for size in sizes.names)
        rows.append(SizeRow(stream, diameters, np.array([0.0, *finer]), solids > LEAST_FLOW))
    return rows


LEAST_FLOW = 1e-8
"""Flow of solids (kg/s) below which a size distribution means nothing."""
