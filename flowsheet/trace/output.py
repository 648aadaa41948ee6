"""A trace as plain data and as a table, in SI: what ``--json`` and ``--csv`` print and ``trace.json`` holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from flowsheet.balance import MASS
from flowsheet.summary import csv_line
from flowsheet.trace.courses import Passage
from flowsheet.trace.disturbances import Disturbance, Effect
from flowsheet.trace.gates import GateResult
from flowsheet.trace.lots import Lot
from flowsheet.trace.run import Trace
from flowsheet.trace.steps import Funnel

MOST_TIMES = 121
"""Courses are told at this many output times at most."""


def trace_json(trace: Trace) -> dict[str, Any]:
    """Return a trace as plain data (SI, times in s; None where there is no number)."""
    places = shown_times(len(trace.t), MOST_TIMES)
    return finite(
        {
            "case": trace.case.name,
            "threshold": trace.spec.threshold,
            "share_of": trace.spec.share_of,
            "simulated_seconds": float(trace.t[-1]),
            "runs": trace.runs,
            "notes": list(trace.notes),
            "balance": [{**asdict(row), "closes": row.closes} for row in trace.balance],
            "times": trace.t[places].tolist(),
            "lots": [_lot(lot, places) for lot in trace.lots],
            "disturbances": [_disturbance(each, places) for each in trace.disturbances],
            "funnels": [_funnel(each) for each in trace.funnels],
            "diversions": [_diversion(each, places) for each in trace.diversions],
        }
    )


def shown_times(count: int, most: int) -> np.ndarray:
    """Return at most so many places of ``count``, the first and the last among them, at equal distances.

    >>> shown_times(11, 3)
    array([ 0,  5, 10])
    """
    return np.unique(np.round(np.linspace(0, count - 1, min(most, count))).astype(int))


def finite(value: Any) -> Any:
    """Return plain data with None in place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _times(passage: Passage) -> dict[str, Any]:
    names = ("arrives", "peak_time", "passes", "gone", "intervals")
    return {name: getattr(passage, name) for name in names}


def _lot(lot: Lot, places: np.ndarray) -> dict[str, Any]:
    return {
        "lot": lot.name,
        "share_of": lot.share_of,
        "held_start": lot.held_start,
        "entered": lot.balance.entered,
        "left": lot.balance.left,
        "held_end": lot.held_end,
        "residual": lot.balance.residual,
        "relative_residual": lot.balance.relative,
        "left_by_exits": lot.left_by_exits,
        "left_by_lines": lot.left_by_lines,
        "places": [
            {
                "place": place.place,
                "leaves": place.leaves,
                "peak_share": place.passage.peak,
                **_times(place.passage),
                "end_share": float(place.share[-1]),
                "most_mass": float(np.max(place.mass)),
                "end_mass": float(place.mass[-1]),
                "product": place.product,
                "tablets": place.tablets,
                "tablet_numbers": place.tablet_numbers,
                "share": place.share[places].tolist(),
                "mass": place.mass[places].tolist(),
            }
            for place in lot.places
        ],
    }


def _disturbance(each: Disturbance, places: np.ndarray) -> dict[str, Any]:
    pulse = each.pulse
    return {
        "label": pulse.label,
        "variable": pulse.variable,
        "unit": pulse.unit,
        "start": pulse.start,
        "end": pulse.end,
        "base": pulse.base,
        "height": pulse.height,
        "component": each.component,
        "effects": [_effect(effect, places) for effect in each.effects],
        "leaving": [asdict(part) for part in each.leaving],
    }


def _effect(effect: Effect, places: np.ndarray) -> dict[str, Any]:
    parts = {"variable": effect.variable, "unit": effect.unit, "scale": effect.scale, "peak": effect.peak}
    relative = {"relative_peak": effect.passage.peak, "deviation": effect.deviation[places].tolist()}
    return {**parts, **_times(effect.passage), **relative}


def _funnel(each: Funnel) -> dict[str, Any]:
    found = each.chain
    return {
        "label": each.spec.label,
        "input": each.spec.input,
        "input_unit": each.spec.input_unit,
        "watch": each.spec.watch,
        "unit": each.spec.unit,
        "time": each.step.time,
        "window": float(each.step.t[-1]),
        "step": each.step.height,
        "input_value": each.step.value,
        "value": each.value,
        "lower": each.lower,
        "upper": each.upper,
        "settled": each.settled,
        "chain": None if found is None else {**asdict(found), "tanks": found.tanks},
        "rows": [asdict(row) for row in each.rows],
        "check": {**asdict(each.check), "difference": each.check.difference},
        "notes": list(each.notes),
    }


def _diversion(each: GateResult, places: np.ndarray) -> dict[str, Any]:
    spec, result = each.spec, each.result
    return {
        "label": spec.label,
        "watch": spec.watch,
        "sensor": spec.sensor,
        "at": spec.at,
        "lower": each.lower,
        "upper": each.upper,
        "gate": asdict(each.gate),
        "transport": each.transport,
        "transport_from": each.transport_from,
        **asdict(result),
        "unseen": [{"start": a, "end": b, "probability": p} for a, b, p in result.unseen],
        "watched": each.watched[places].tolist(),
        "reading": each.reading[places].tolist(),
    }


def trace_csv(trace: Trace) -> Iterator[str]:
    """Yield all numbers of a trace but its courses as lines of CSV, one number each, in SI."""
    yield csv_line(("part", "of", "place", "quantity", "value", "unit"))
    for cells in (*_lot_cells(trace), *_disturbance_cells(trace), *_funnel_cells(trace), *_diversion_cells(trace)):
        *words, value, unit = cells
        yield csv_line([*map(str, words), "" if value is None or not math.isfinite(value) else repr(float(value)), unit])


Cells = tuple[str, str, str, str, float | None, str]


def _lot_cells(trace: Trace) -> Iterator[Cells]:
    for lot in trace.lots:
        amounts = {"held_start": lot.held_start, "entered": lot.balance.entered, "left": lot.balance.left, "held_end": lot.held_end}
        for name, value in (amounts | {"residual": lot.balance.residual, "left_by_exits": lot.left_by_exits}).items():
            yield "lot", lot.name, "", name, value, str(MASS.unit)
        for place in lot.places:
            for name in ("arrives", "peak_time", "gone"):
                yield "lot", lot.name, place.place, name, getattr(place.passage, name), "s"
            yield "lot", lot.name, place.place, "peak_share", place.passage.peak, ""
            yield "lot", lot.name, place.place, "left" if place.leaves else "most_held", float(np.max(place.mass)), "kg"
            if place.leaves:
                yield "lot", lot.name, place.place, "product", place.product, "kg"
            if place.tablets is not None:
                yield "lot", lot.name, place.place, "tablets", place.tablets, ""


def _disturbance_cells(trace: Trace) -> Iterator[Cells]:
    for each in trace.disturbances:
        for effect in each.effects:
            for name in ("arrives", "peak_time", "passes", "gone"):
                yield "disturbance", each.pulse.label, effect.variable, name, getattr(effect.passage, name), "s"
            yield "disturbance", each.pulse.label, effect.variable, "peak", effect.peak, effect.unit
            yield "disturbance", each.pulse.label, effect.variable, "relative_peak", effect.passage.peak, ""
        for part in each.leaving:
            yield "disturbance", each.pulse.label, part.place, "excess", part.excess, "kg"
            yield "disturbance", each.pulse.label, part.place, "product", part.product, "kg"
            if part.tablets is not None:
                yield "disturbance", each.pulse.label, part.place, "tablets", part.tablets, ""


def _funnel_cells(trace: Trace) -> Iterator[Cells]:
    for each in trace.funnels:
        units = {"most_up": each.spec.input_unit, "most_down": each.spec.input_unit, "peak_time": "s"}
        units |= {"tanks_up": each.spec.input_unit, "tanks_down": each.spec.input_unit}
        for row in each.rows:
            for name, unit in units.items():
                yield "funnel", f"{each.spec.input} -> {each.spec.watch}", f"{row.duration!r} s", name, getattr(row, name), unit


def _diversion_cells(trace: Trace) -> Iterator[Cells]:
    masses = ("diverted", "good_diverted", "bad_diverted", "missed", "expected_good_diverted", "expected_missed")
    for each in trace.diversions:
        name = title_of(each)
        for number, window in enumerate(each.result.windows, start=1):
            for key, unit in (("start", "s"), ("end", "s"), ("mass", "kg"), ("good", "kg")):
                yield "diversion", name, f"window {number}", key, getattr(window, key), unit
        for key in masses:
            yield "diversion", name, each.spec.at, key, getattr(each.result, key), "kg"
        yield "diversion", name, each.spec.at, "transport", each.transport, "s"
        yield "diversion", name, each.spec.at, "false_at_target", each.result.false_at_target, ""


def title_of(each: GateResult | Funnel) -> str:
    """Return what a diversion or a funnel is called: its label, else what it is between."""
    first = each.spec.sensor if isinstance(each, GateResult) else each.spec.input
    return each.spec.label or (f"{first} -> {each.spec.watch}" if first != each.spec.watch else first)


def courses_at(t: np.ndarray, count: int) -> Sequence[int]:
    """Return the places of ``count`` equally distant times in ``t`` (n,), the nearest each."""
    wanted = np.linspace(t[0], t[-1], count)
    return np.abs(t[:, None] - wanted).argmin(axis=0).tolist()
