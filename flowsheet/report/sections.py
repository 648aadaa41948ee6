"""The sections of the report, each a function from the view to HTML."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence

import numpy as np

from flowsheet.display import DisplayUnit, format_duration, format_number
from flowsheet.report import measured, uniformity
from flowsheet.report.drawing import DrawnSignal, DrawnStream, DrawnUnit, flowsheet_svg
from flowsheet.report.markup import Cell, Verdict, card, image, judged, note, number, pairs, row, table, text
from flowsheet.report.plots import DASHES, LINES, Band, Line, attribute_figure, course_figure
from flowsheet.report.resolved import readable
from flowsheet.report.view import View
from flowsheet.results import BALANCE_LIMIT, Field, SpecificationRow, StreamRow, UnitRow
from flowsheet.results_layout import case_digest
from flowsheet.tables import StreamTableRow, course_after, intervals_outside, is_liquid, liquid_table, stream_flows, stream_table
from units.stream import VOLUME

MOST_CARDS = 5
MOST_LINES = 8
MOST_EVENTS = 40


# --- verdicts ---------------------------------------------------------------------------------------------------------


def verdicts(view: View) -> str:
    """Return the strip of cards: run, balance, each quality attribute, each test of content uniformity, and the fit to data."""
    attributes = [attribute_card(view, spec) for spec in view.results.specifications]
    fit = [measured.fit_card(view)] if view.results.fits else []
    return strip([_run_card(view), _balance_card(view), *attributes, *uniformity.cards(view), *fit])


def strip(cards: Sequence[str]) -> str:
    """Return cards side by side, in as few rows as they need."""
    rows = -(-len(cards) // MOST_CARDS)
    style = f"--columns: {-(-len(cards) // rows)}"
    return f'<div class="cards" style="{style}">{"".join(cards)}</div>'


def _run_card(view: View) -> str:
    axis = view.axis
    if view.complete:
        return card("Run", "Complete", f"{format_duration(axis.horizon)} simulated, {len(view.results.events)} events", Verdict.GOOD)
    return card("Run", "INCOMPLETE", f"stopped at {view.at(axis.reached)} of {view.at(axis.horizon)}", Verdict.BAD)


def _balance_card(view: View) -> str:
    rows = view.results.balance
    if not rows:
        return card("Material balance", "Not available", "the model has no balance", Verdict.NEUTRAL)
    worst = max(rows, key=lambda r: math.inf if math.isnan(r.relative) else abs(r.relative))
    closes = all(r.closes for r in rows)
    why = f"largest relative residual {format_number(abs(worst.relative), 2)} ({worst.component}); limit {format_number(BALANCE_LIMIT)}"
    if closes and not view.complete:
        return card("Material balance", f"Closes up to {view.at(view.axis.reached)}", f"the run is incomplete; {why}", Verdict.NEUTRAL)
    return card("Material balance", "Closes" if closes else "DOES NOT CLOSE", why, Verdict.GOOD if closes else Verdict.BAD)


def attribute_card(view: View, spec: SpecificationRow) -> str:
    """Return the card of a quality attribute."""
    unit = _unit_of(view, spec)
    span = f"{format_number(unit.shown(spec.minimum))} to {unit.label(spec.maximum)}; limits {_limits(spec, unit)}"
    if not spec.met:
        part = f"{_share(spec)} of the time" if spec.time_outside > 0 else f"at {_points(spec)}"
        return card(spec.label, f"{format_duration(spec.time_outside)} out of specification", f"{part}; {span}", Verdict.BAD)
    if not view.complete:
        return card(spec.label, f"Within limits up to {view.at(view.axis.reached)}", f"the run is incomplete; {span}", Verdict.NEUTRAL)
    return card(spec.label, "Within specification", span, Verdict.GOOD)


def _unit_of(view: View, spec: SpecificationRow) -> DisplayUnit:
    sizes = [abs(x) for x in (spec.lower, spec.upper, spec.minimum, spec.maximum) if math.isfinite(x)]
    return view.display.attribute(spec.unit, max(sizes, default=math.nan))


def _share(spec: SpecificationRow) -> str:
    return f"{format_number(100 * spec.time_outside / spec.duration, 2)} %" if spec.duration > 0 else "–"


def _points(spec: SpecificationRow) -> str:
    return f"{spec.points_outside} output point{'s' if spec.points_outside != 1 else ''}"


def _limits(spec: SpecificationRow, unit: DisplayUnit) -> str:
    begin = f" after {format_duration(spec.after)}" if spec.after > 0 else ""
    if math.isnan(spec.lower):
        return f"at most {unit.label(spec.upper)}{begin}"
    if math.isnan(spec.upper):
        return f"at least {unit.label(spec.lower)}{begin}"
    return f"{format_number(unit.shown(spec.lower))} to {unit.label(spec.upper)}{begin}"


# --- flowsheet --------------------------------------------------------------------------------------------------------


def drawing(view: View) -> str:
    """Return the drawing with total flows at the end of the run, and amounts across the boundary."""
    results = view.results
    streams = []
    for stream in results.streams:
        label = _last_flow(view, stream)
        source, target = stream.source.rpartition(".")[0], stream.target.rpartition(".")[0]
        streams.append(DrawnStream(stream.stream, source, target, label))
    units = [DrawnUnit(u.unit, u.type, _passed(view, u.unit, "in"), _passed(view, u.unit, "out")) for u in results.units]
    signals = [DrawnSignal(str(s["name"]), str(s["from"]), str(s["to"])) for s in results.case.get("signals", ())]
    when = (
        f"Flows are those at {view.at(view.axis.reached)}, the {'end' if view.complete else 'STOP'} of the run; "
        "in and out are amounts over the whole run."
    )
    return f'<p class="lead">{text(when)}</p><div class="wide">{flowsheet_svg(units, streams, signals)}</div>'


def _last_flow(view: View, stream: StreamRow) -> str:
    """Return the flow of a stream at the end of the run: its mass flow, or the volume flow of a liquid."""
    if is_liquid(view.results, stream):
        course = view.results[f"{stream.source}_{VOLUME}"]
        return view.display.unit("m^3/s", float(np.max(np.abs(course)))).label(float(course[-1]))
    return view.display.unit("kg/s").label(sum(float(course[-1]) for course in stream_flows(view.results, stream).values()))


def _passed(view: View, unit: str, word: str) -> str:
    """Return what passed the flowsheet's boundary at a unit, by the quadrature beside the states."""
    what = {"in": "supplied", "out": "withdrawn"}[word]
    for name, si in ((f"balance.unit_{what}[{unit}]", "kg"), (f"balance.unit_volume_{what}[{unit}]", "m^3")):
        if name in view.results.names:
            amount = float(view.results[name][-1])
            dosed = f"{unit}.dosed_volume"
            amount += float(view.results[dosed][-1]) if word == "in" and dosed in view.results.names else 0.0
            if si == "m^3" and amount == 0.0:
                continue
            return f"{view.display.unit(si, abs(amount) if si == 'm^3' else math.nan).label(amount, 3)} {word}"
    return ""


# --- quality attributes -----------------------------------------------------------------------------------------------


def quality(view: View) -> str:
    """Return the table of specifications and a figure for each."""
    specs = view.results.specifications
    if not specs:
        return note("The case names no specification.")
    body = [row(_specification_cells(view, spec)) for spec in specs]
    bands = "".join(f'<th class="band left" colspan="3">{name}</th>' for name in ("Limits", "Course", "Time out of specification"))
    above = f"<tr><th></th><th></th>{bands}</tr>"
    header = ("Attribute", "Verdict", "lower", "target", "upper", "lowest", "mean", "highest", "below", "above", "in all")
    step = float(np.max(np.diff(view.results.t))) if len(view.results.t) > 1 else 0.0
    how = f"Times are those at which straight lines between output points (at most {format_duration(step)} apart) cross the limits."
    figures = "".join(_attribute_figure(view, spec) for spec in specs)
    return table(header, body, range(2, 11), above) + f'<p class="lead">{text(how)}</p>{_legend(view)}{figures}'


def _specification_cells(view: View, spec: SpecificationRow) -> list[Cell]:
    unit = _unit_of(view, spec)
    verdict = Verdict.BAD if not spec.met else Verdict.GOOD if view.complete else Verdict.NEUTRAL
    said = "out of specification" if not spec.met else "within" if view.complete else "within so far (incomplete)"
    numbers = [number(format_number(unit.shown(x))) for x in (spec.lower, spec.target, spec.upper)]
    extremes = [number(format_number(unit.shown(x), 5)) for x in (spec.minimum, spec.mean, spec.maximum)]
    times = [number(format_duration(x)) for x in (spec.time_below, spec.time_above)]
    outside = number(f"{format_duration(spec.time_outside)} ({_share(spec)})")
    label = f"{spec.label} [{unit.text}]" if unit.text else spec.label
    label += f", after {format_duration(spec.after)}" if spec.after > 0 else ""
    return [Cell(label), judged(said, verdict), *numbers, *extremes, *times, outside]


def _legend(view: View) -> str:
    entries = [("#D55E00", "repeating-linear-gradient(135deg,#f3c7a6 0 3px,#e7935a 3px 5px)", "out of specification")]
    if view.phases:
        entries.append(("#0072B2", "#56B4E9", "phases of the recipe"))
    marked = {band.lane for band in view.happenings}
    kinds = dict.fromkeys(kind for row in view.results.units for kind in row.bands if f"{row.unit} {kind[0]}" in marked)
    for name, *ends in kinds:
        begins, stops = (end.replace("_", " ") for end in ends)
        entries.append(("#0072B2", "#56B4E9", f"{name}, from {begins} to {stops}"))
    if view.disturbances:
        entries.append(("#8A5A00", "#E69F00", "disturbance"))
    swatches = "".join(
        f'<span class="swatch" style="border-color:{edge};background:{fill}"></span>{text(name)}' for edge, fill, name in entries
    )
    return f'<p class="legend">{swatches}</p>'


def _attribute_figure(view: View, spec: SpecificationRow) -> str:
    unit = _unit_of(view, spec)
    course, bands = view.results[spec.variable], (*view.disturbances, *view.happenings)
    svg = attribute_figure(view.results.t, course, spec, unit, view.axis, bands, view.results.data.get(spec.variable))
    caption = f"<b>{text(spec.label)}</b> <code>{text(spec.variable)}</code>"
    if not spec.met:
        times = len(intervals_outside(*course_after(view.results.t, view.results[spec.variable], spec.after), spec.lower, spec.upper))
        often = "once" if times == 1 else f"{times} times" if times else f"at {_points(spec)}"
        caption += f' <span class="outside">✗ out of specification {often}, {format_duration(spec.time_outside)} in all</span>'
    told = f"{spec.label} over time; limits {_limits(spec, unit)}; out of specification {format_duration(spec.time_outside)}"
    return f'<figure class="attribute"><figcaption>{caption}</figcaption><div class="wide">{image(svg, told)}</div></figure>'


# --- streams and balance ----------------------------------------------------------------------------------------------


def streams(view: View) -> str:
    """Return the stream table: flows and mass fractions at the start, on average and at the end."""
    rows = [entry for entry in stream_table(view.results) if not entry.component or entry.amount or entry.flow_start or entry.flow_end]
    wet = _liquid_streams(view)
    if not rows:
        return wet or note("The case has no streams.")
    flow, mass, share = view.display.unit("kg/s"), view.display.unit("kg"), view.display.fraction
    above = (
        f'<tr><th></th><th class="band left" colspan="3">Flow [{text(flow.text)}]</th><th class="band left">Amount</th>'
        f'<th class="band left" colspan="3">Mass fraction [{text(share.text or "–")}]</th></tr>'
    )
    end = "end" if view.complete else "at stop"
    header = ("Stream", "start", "mean", end, f"[{mass.text}]", "start", "mean", end)
    body = []
    for stream, entries in itertools.groupby(rows, key=lambda entry: entry.stream):
        route = f"{stream.stream}  {stream.source} → {stream.target}"
        body.append(f'<tr class="head"><td colspan="8">{text(route)}</td></tr>')
        body += [_stream_row(entry, flow, mass, share) for entry in entries]
    how = (
        "The mean flow is that over time, the mean fraction is what was in all that passed (trapezoidal rule over the output points); "
        "components that a stream never held are left out."
    )
    return table(header, body, range(1, 8), above) + f'<p class="lead">{text(how)}</p>{wet}'


def _liquid_streams(view: View) -> str:
    """Return the table of the streams of liquid, empty if there are none."""
    rows = [entry for entry in liquid_table(view.results) if not entry.component or entry.amount or entry.flow_end]
    if not rows:
        return ""
    body = []
    for stream, entries in itertools.groupby(rows, key=lambda entry: entry.stream):
        body.append(f'<tr class="head"><td colspan="5">{text(f"{stream.stream}  {stream.source} → {stream.target}")}</td></tr>')
        for entry in entries:
            sizes = (f"{entry.unit}/s", entry.flow_mean), (f"{entry.unit}/s", entry.flow_end), (entry.unit, entry.amount)
            numbers = [number(view.display.unit(unit, abs(size)).label(size)) for unit, size in sizes]
            mean = entry.concentration_mean if entry.component else math.nan
            numbers.append(number(view.display.unit(f"{entry.unit}/m^3", abs(mean)).label(mean)))
            body.append(row([Cell(entry.component or "volume"), *numbers], "" if entry.component else "sum"))
    header = ("Stream of liquid", "mean flow", "flow at end" if view.complete else "flow at stop", "amount", "mean concentration")
    how = "Amounts are integrals carried beside the states; the mean concentration is that in all that passed."
    return table(header, body, range(1, 5)) + f'<p class="lead">{text(how)}</p>'


def _stream_row(entry: StreamTableRow, flow: DisplayUnit, mass: DisplayUnit, share: DisplayUnit) -> str:
    flows = [
        number(format_number(flow.shown(x), padded=True), "left" if k == 0 else "")
        for k, x in enumerate((entry.flow_start, entry.flow_mean, entry.flow_end))
    ]
    fractions = (entry.fraction_start, entry.fraction_mean, entry.fraction_end)
    shares = [number(format_number(share.shown(x), padded=True), "left" if k == 0 else "") for k, x in enumerate(fractions)]
    amount = number(format_number(mass.shown(entry.amount), padded=True), "left")
    return row([Cell(entry.component or "total"), *flows, amount, *shares], "" if entry.component else "sum")


def balance(view: View) -> str:
    """Return the balance table and whether it closes."""
    rows = view.results.balance
    if not rows:
        return note("The model has no balance.")
    closes = all(r.closes for r in rows)
    limit = format_number(BALANCE_LIMIT)
    said = f"✓ The balance closes: every relative residual is below {limit}." if closes else f"✗ THE BALANCE DOES NOT CLOSE within {limit}."
    header = ("Component", "In", "Out", "Accumulated", "Reacted", "Residual", "Relative [–]", "Verdict")
    body = []
    units = {r.unit for r in rows}
    for r in rows:
        largest = max(map(abs, (r.entered, r.left, r.accumulated, r.reacted)))
        mass = view.display.unit(r.unit, largest if units != {"kg"} else math.nan)
        amounts = [number(format_number(mass.shown(x), 9)) for x in (r.entered, r.left, r.accumulated, r.reacted)]
        judgment = judged("closes", Verdict.GOOD) if r.closes else judged("does not close", Verdict.BAD)
        residuals = [number(format_number(x, 3)) for x in (mass.shown(r.residual), r.relative)]
        body.append(row([Cell(r.component if units == {"kg"} else f"{r.component} [{mass.text}]"), *amounts, *residuals, judgment]))
    said_in = f"in {view.display.unit('kg').text}" if units == {"kg"} else "in the unit beside the component"
    how = (
        f"Amounts {said_in}. In, Out and Reacted are integrals of the flows across the boundary and of the reaction rates, carried as "
        "states beside the others; "
        "Accumulated is the change of what the units hold; Residual = In + Reacted − Out − Accumulated; "
        "Relative is the residual over the largest of the amounts."
    )
    extra = "" if view.complete else "<p>The balance covers the time up to the stop.</p>"
    verdict = f'<p class="verdict {"good" if closes else "bad"}">{text(said)}</p>'
    return f'{verdict}{table(header, body, range(1, 7))}{extra}<p class="lead">{text(how)}</p>'


# --- units ------------------------------------------------------------------------------------------------------------


def units(view: View) -> str:
    """Return for each unit the courses that it thinks worth a look."""
    if not view.results.units:
        return note("The case has no units.")
    return "".join(_unit(view, unit) for unit in view.results.units)


def _unit(view: View, unit: UnitRow) -> str:
    fields = {field.name: field for field in view.results.fields}
    bands = (*view.disturbances_of(unit.unit), *view.happenings_of(unit))
    figures = "".join(_field_figure(view, fields[f"{unit.unit}.{name}"], bands) for name in unit.shown if f"{unit.unit}.{name}" in fields)
    title = f'<h3>{text(unit.unit)} <span class="kind">{text(unit.type.replace("_", " "))}</span></h3>'
    return f'{title}<div class="grid">{figures}</div>' if figures else title + note("Nothing to show.")


def _field_figure(view: View, field: Field, bands: Iterable[Band]) -> str:
    unit = view.unit_of(field, field.values)
    lines = []
    for k, (name, position) in enumerate(field.scalars()):
        if k == MOST_LINES:
            break
        label = name[len(field.name) + 1 : -1] if field.labels else ""
        color = LINES[position[-1] % len(LINES)] if position else LINES[0]
        dash = DASHES[position[0] % len(DASHES)] if len(position) > 1 else "-"
        lines.append(Line(label, field.course(position), color, dash, view.results.data.get(name)))
    left_out = math.prod(map(len, field.labels)) - len(lines)
    doc = field.doc or field.name.rpartition(".")[2].replace("_", " ")
    more = f" (first {len(lines)} of {len(lines) + left_out})" if left_out > 0 else ""
    svg = course_figure(view.results.t, lines, unit, view.axis, tuple(bands))
    caption = f"<b>{text(doc[:1].upper() + doc[1:] + more)}</b> <code>{text(field.name)}</code>"
    return f"<figure><figcaption>{caption}</figcaption>{image(svg, f'{doc} over time')}</figure>"


# --- events, solver, case, provenance ---------------------------------------------------------------------------------


def events(view: View) -> str:
    """Return how often each event happened, and when."""
    happened = view.results.events
    if not happened:
        return note("Nothing switched during the run.")
    counts: dict[tuple[str, str], list[float]] = {}
    for event in happened:
        counts.setdefault((event.unit, event.event), []).append(event.time)
    body = [
        row([unit, event.replace("_", " "), number(str(len(t))), number(view.at(t[0])), number(view.at(t[-1]))])
        for (unit, event), t in counts.items()
    ]
    summary = table(("Unit", "Event", "Count", "First", "Last"), body, (2, 3, 4))
    listed = [row([number(view.at(e.time)), number(format_number(e.time, 9)), e.unit, e.event.replace("_", " ")]) for e in happened]
    every = table(("Time", "[s]", "Unit", "Event"), listed, (0, 1))
    opened = " open" if len(happened) <= MOST_EVENTS else ""
    return f"{summary}<details{opened}><summary>All {len(happened)} events in order</summary>{every}</details>"


def solver(view: View) -> str:
    """Return the counters of the integrator and its tolerances."""
    results = view.results
    settings = [
        (f"tolerance: {name}", format_number(float(value)))
        for name, value in view.case.get("solver", {}).items()
        if isinstance(value, int | float)
    ]
    counters = [(name.replace("_", " "), f"{count:,}".replace(",", "\u202f")) for name, count in results.stats.items()]
    sizes = [("output points", str(len(results.t))), ("variables recorded", str(len(results.names)))]
    return pairs([*settings, *counters, *sizes])


def case(view: View) -> str:
    """Return the case as it was run: defaults filled in, all in SI."""
    whole = json.dumps({key: value for key, value in view.case.items() if key != "data"}, indent=2, ensure_ascii=False, sort_keys=True)
    lead = '<p class="lead">What was run, with defaults filled in; numbers in SI units.</p>'
    name = "The whole case as JSON" + (", without measured data" if "data" in view.case else "")
    return f"{lead}{readable(view)}<details><summary>{name}</summary><pre>{text(whole)}</pre></details>"


def provenance(view: View) -> str:
    """Return versions, the digest of the case, and how the results were checked."""
    results = view.results
    entries = [("SHA-256 of the resolved case", case_digest(view.case))]
    entries += [(f"{name} version", number_) for name, number_ in results.versions.items()]
    checks = (
        "Checked when this report was made: the results file against the SHA-256 at its end, and the resolved case against its own. "
        "The material balance comes from quadratures integrated beside the states; specifications are judged at every output point "
        "and on straight lines between them. The same case gives the same results file, byte by byte, on one platform; "
        "when and where it was run stands in run.json beside it."
    )
    return f'{pairs(entries)}<p class="lead">{text(checks)}</p>'
