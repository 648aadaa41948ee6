"""What commands print: a run in short, tables of variables, the types of units."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from flowsheet.campaign_results import CampaignBalanceRow
from flowsheet.campaign_run import CampaignOutcome
from flowsheet.display import Display, DisplayUnit, format_duration, format_number
from flowsheet.quantities import si_text
from flowsheet.registry import UnitType
from flowsheet.results import BalanceRow, FitRow, Results, SpecificationRow, UniformityRow
from flowsheet.run import Outcome
from flowsheet.tables import series, show
from units.parameter import Parameter


def summary_text(outcome: Outcome) -> str:
    """Return a run in a few lines: status, balance, time out of specification, events, where the report is."""
    results = outcome.results
    lines = [_course(str(results.case.get("name", "")), results)]
    if results.balance:
        lines.append(f"material balance {_closing(results.balance)}")
    if results.specifications:
        display = Display(results.case.get("display", {}))
        width = max(len(row.label) for row in results.specifications)
        lines.append("time out of specification:")
        lines += [f"  {row.label:<{width}}  {_outside(row):>12}  {_limits(row, display)}" for row in results.specifications]
    lines += [_uniformity(row) for row in results.uniformity]
    if results.fits:
        lines.append("fit to measured data:")
        lines += [f"  {line}" for line in _fit_lines(results, results.fits)]
    if outcome.report is not None:
        lines.append(f"report: {outcome.report}")
    return "\n".join(lines)


def _course(name: str, results: Results) -> str:
    steps, reached = results.stats.get("steps", 0), format_duration(float(results.t[-1]))
    return f"{name}: {results.status.name.lower()}, {reached} simulated, {steps} steps, {len(results.events)} events"


def _closing(rows: Sequence[BalanceRow | CampaignBalanceRow]) -> str:
    worst = max(rows, key=lambda row: abs(row.relative) if math.isfinite(row.relative) else math.inf)
    verdict = "closes" if all(row.closes for row in rows) else "DOES NOT CLOSE"
    return f"{verdict}: largest residual {worst.relative:.1e} of what was handled ({worst.component})"


def campaign_text(outcome: CampaignOutcome) -> str:
    """Return a campaign in a few lines: its stages, what was handed over, the balance, where the report is."""
    results = outcome.results
    display = Display(results.campaign["display"])
    lines = [f"{results.campaign['name']}: {results.status.name.lower()}, {len(results.stages)} stages"]
    moved = {row.stage: row for row in results.hand_overs if not row.component}
    for stage, part in results.stages.items():
        if stage in moved:
            row = moved[stage]
            sizes = [display.unit("m^3", x).label(x) for x in (row.taken, row.medium, row.left)]
            lines.append(f"  {row.source} -> {stage}: {sizes[0]} and {sizes[1]} of fresh medium; {sizes[2]} left behind")
        lines.append(f"  {_course(stage, part)}")
    lines.append(f"balance across the campaign {_closing(results.balance)}")
    if outcome.report is not None:
        lines.append(f"report: {outcome.report}")
    return "\n".join(lines)


def campaign_json(outcome: CampaignOutcome) -> dict[str, Any]:
    """Return a campaign in short as plain data (SI; None where there is no number)."""
    results = outcome.results
    report = outcome.report
    return {
        "status": results.status.name.lower(),
        "campaign": results.campaign["name"],
        "stages": {
            stage: summary_json(Outcome(part, None if report is None else report.parent / stage / report.name))
            for stage, part in results.stages.items()
        },
        "hand_overs": [_finite(asdict(row)) for row in results.hand_overs],
        "balance": [{**_finite(asdict(row)), "closes": row.closes} for row in results.balance],
        "report": None if report is None else str(report),
    }


def _uniformity(row: UniformityRow) -> str:
    values = ", ".join(format_number(value, 3) for value in (row.acceptance_value_1, row.acceptance_value_2))
    chances = ", ".join(f"{format_number(100 * chance, 3)} %" for chance in (row.pass_probability_1, row.pass_probability))
    verdict = f"passes at stage {1 if row.passes_stage_1 else 2}" if row.passes else "FAILS"
    return f"{row.label}: {verdict}; acceptance values of 10 and 30 tablets {values} (at most 15); chance at stage 1, in all {chances}"


def _outside(row: SpecificationRow) -> str:
    """Return the time out of specification; what lasts no time is counted in output points."""
    return f"{row.points_outside} point(s)" if row.points_outside and row.time_outside == 0 else format_duration(row.time_outside)


def _limits(row: SpecificationRow, display: Display) -> str:
    unit = display.attribute(row.unit, max(abs(row.minimum), abs(row.maximum)))
    parts = [f"range {_number(row.minimum, unit)} to {_number(row.maximum, unit)} {unit.text}".rstrip()]
    limits = [f"{word} {_number(value, unit)}" for word, value in (("from", row.lower), ("to", row.upper)) if not math.isnan(value)]
    begin = f" after {format_duration(row.after)}" if row.after > 0 else ""
    return f"{parts[0]}, allowed {' '.join(limits)}{begin}"


def _fit_lines(results: Results, fits: Sequence[FitRow]) -> Iterator[str]:
    """Yield fits as a table: samples compared, R2, root mean square in display units, mean squared normalized residual."""
    display = Display(results.case.get("display", {}))
    rows: list[tuple[str, ...]] = [("variable", "samples", "R2", "rms misfit", "", "(misfit/deviation)^2")]
    for row in fits:
        unit = display.unit(row.unit, float(np.max(np.abs(results.data[row.variable].values))))
        rms = format_number(unit.factor * row.rms, 3)
        samples = str(row.compared) + (f" of {row.samples}" if row.compared < row.samples else "")
        rows.append((row.variable, samples, format_number(row.r_squared, 4, padded=True), rms, unit.text, format_number(row.normalized, 3)))
    yield from columns(rows, right=(1, 2, 3, 5))


def _number(value: float, unit: DisplayUnit) -> str:
    return format_number(float(unit.shown(value)), 4)


def summary_json(outcome: Outcome) -> dict[str, Any]:
    """Return a run in short as plain data (SI; None where there is no number)."""
    results = outcome.results
    return {
        "status": results.status.name.lower(),
        "case": results.case.get("name", ""),
        "simulated_seconds": float(results.t[-1]),
        "balance": [{**_finite(asdict(row)), "closes": row.closes} for row in results.balance],
        "specifications": [{**_finite(asdict(row)), "time_outside": row.time_outside, "met": row.met} for row in results.specifications],
        "uniformity": [
            {**_finite(asdict(row)), "passes_stage_1": row.passes_stage_1, "passes_stage_2": row.passes_stage_2, "passes": row.passes}
            for row in results.uniformity
        ],
        "fits": [_finite(asdict(row)) for row in results.fits],
        "events": len(results.events),
        "solver": dict(results.stats),
        "report": None if outcome.report is None else str(outcome.report),
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _number_or_none(value) for key, value in row.items()}


def _number_or_none(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_number_or_none(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_text(results: Results, names: Sequence[str]) -> Iterator[str]:
    """Yield variables in short, in SI: start, end, mean and extremes; then how those that were measured fit."""
    rows: list[tuple[str, ...]] = [("variable", "unit", "start", "end", "mean", "min", "max", "")]
    for row in show(results, names):
        numbers = [format_number(value, 5) for value in (row.start, row.end, row.mean, row.minimum, row.maximum)]
        rows.append((row.name, row.unit, *numbers, row.doc))
    yield from columns(rows, right=range(2, 7))
    chosen = {row[0] for row in rows[1:]}
    fits = [row for row in results.fits if row.variable in chosen]
    if fits:
        yield ""
        yield "fit to measured data:"
        yield from _fit_lines(results, fits)


def show_json(results: Results, names: Sequence[str]) -> Iterator[str]:
    """Yield one JSON object: the whole course of the named variables, or all variables in short."""
    if names:
        header, rows = series(results, names)
        table = {
            title: [value if math.isfinite(value) else None for value in column]
            for title, column in zip(header, rows.T.tolist(), strict=True)
        }
        yield json.dumps(table)
    else:
        fits = {row.variable: {"fit": _finite(asdict(row))} for row in results.fits}
        yield json.dumps([_finite(asdict(row)) | fits.get(row.name, {}) for row in show(results)], ensure_ascii=False)


def show_csv(results: Results, names: Sequence[str]) -> Iterator[str]:
    """Yield the courses of the named variables (all if none) as CSV, SI, with every digit."""
    header, rows = series(results, names or results.names)
    yield csv_line(header)
    for row in rows.tolist():
        yield csv_line([repr(value) for value in row])


def units_text(types: Iterable[UnitType]) -> Iterator[str]:
    """Yield the types of units with their ports and parameters."""
    for found in types:
        yield f"{found.name}  ({found.origin})"
        yield f"  {found.doc}"
        inlets, outlets = _ports(found)
        parts = {"inlets": inlets, "outlets": outlets, "profiles for": found.contract.inputs}
        if found.contract.required_signals:
            parts["signals needed for"] = found.contract.required_signals
        yield "  " + "; ".join(f"{what}: {', '.join(names) or 'none'}" for what, names in parts.items())
        rows = [(f"  {p.name}", _default(p), _range(p), p.meaning, p.source) for p in found.contract.parameters]
        yield from columns(rows)
        yield ""


def units_json(types: Iterable[UnitType]) -> Iterator[str]:
    """Yield one JSON array of all types."""
    found = []
    for kind in types:
        inlets, outlets = _ports(kind)
        rows = [{"name": p.name, **_described(p)} for p in kind.contract.parameters]
        entry = {"type": kind.name, "doc": kind.doc, "origin": kind.origin, "inlets": inlets, "outlets": outlets}
        signals = {"inputs": list(kind.contract.inputs), "required_signals": list(kind.contract.required_signals)}
        found.append({**entry, **signals, "parameters": rows})
    yield json.dumps(found, ensure_ascii=False)


def units_csv(types: Iterable[UnitType]) -> Iterator[str]:
    """Yield one line per parameter."""
    yield csv_line(("type", "parameter", "unit", "default", "allowed", "per_component", "doc", "source"))
    for kind in types:
        for p in kind.contract.parameters:
            entry = _described(p)
            yield csv_line((kind.name, p.name, *("" if value is None else str(value) for value in entry.values())))


def _ports(found: UnitType) -> tuple[list[str], list[str]]:
    given = {p.name: p.default for p in found.contract.parameters if p.default is not None}
    return list(found.contract.inlets(given)), list(found.contract.outlets(given))


def _described(p: Parameter) -> dict[str, Any]:
    return {
        "unit": si_text(p.unit),
        "default": p.default,
        "allowed": p.allowed(),
        "per_component": p.per_component,
        "doc": p.meaning,
        "source": p.source,
    }


def _default(p: Parameter) -> str:
    if p.default is None:
        return "required"
    return f"{p.default:.6g} {si_text(p.unit)}".rstrip() if not p.names_unit else f'"{p.default}"'


def _range(p: Parameter) -> str:
    if p.names_unit:
        return "a unit"
    return p.allowed().replace("**", "^").replace("turn", "rev") + (" per component" if p.per_component else "")


def columns(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> Iterator[str]:
    """Yield rows as lines with aligned columns; the last column runs on."""
    aligned = set(right)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [cell.rjust(width) if k in aligned else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()


def csv_line(cells: Sequence[str]) -> str:
    """Return one line of CSV without its end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
