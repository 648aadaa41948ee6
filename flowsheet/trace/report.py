"""The report of a trace: ``trace.html``, in the manner of the report of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowsheet.display import format_duration, format_number
from flowsheet.report.markup import Cell, Verdict, card, image, judged, note, number, row, table, text
from flowsheet.report.page import description, document
from flowsheet.report.plots import TimeAxis
from flowsheet.report.sections import strip
from flowsheet.trace import figures
from flowsheet.trace import text as words
from flowsheet.trace.disturbances import Disturbance
from flowsheet.trace.gates import GateResult
from flowsheet.trace.lots import Lot
from flowsheet.trace.output import courses_at, shown_times, title_of
from flowsheet.trace.run import Trace
from flowsheet.trace.steps import Funnel
from flowsheet.trace.text import Shown

TIMES, DURATIONS = 9, 16
"""Columns of tables over time, and rows of the table of a funnel."""
MOST_LINES = 1e-3
"""Largest relative difference between what has left by straight lines between points and by integration."""


class _Page:
    """What all sections need: the trace, how numbers are shown, the axis of time."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.shown = Shown(trace)
        horizon = float(trace.t[-1])
        self.axis = TimeAxis(self.shown.time_unit, horizon, horizon)


def render(trace: Trace) -> str:
    """Return the report of a trace as a whole HTML document."""
    page = _Page(trace)
    title = trace.case.title or trace.case.name
    span = format_duration(trace.case.horizon)
    subtitle = f"Trace of case {trace.case.name} · {words.counted(trace)} · {span} simulated"
    sections = (
        ("lots", "Lots", trace.lots, _lots),
        ("disturbances", "Disturbances", trace.disturbances, _disturbances),
        ("diversions", "Diversions", trace.diversions, _diversions),
        ("funnels", "Funnel plots", trace.funnels, _funnels),
        ("checks", "How these numbers were checked", True, _checks),
    )
    written = [(name, heading, write(page)) for name, heading, there, write in sections if there]
    return document(f"{title} – trace", subtitle, "", description({"description": trace.case.description}) + _cards(page), written)


def _cards(page: _Page) -> str:
    shown, trace = page.shown, page.trace
    cards = [_lot_card(page, lot) for lot in trace.lots]
    cards += [_disturbance_card(page, each) for each in trace.disturbances]
    for gate in trace.diversions:
        result = gate.result
        said = f"{shown.mass(result.diverted)} diverted"
        why = f"{shown.mass(result.good_diverted)} of it good; {shown.mass(result.missed)} bad powder is not diverted"
        cards.append(card(title_of(gate), said, why, Verdict.BAD if result.missed > 1e-9 else Verdict.GOOD))
    worst = max((abs(row.relative) for row in trace.balance), default=math.nan)
    closes = all(row.closes for row in trace.balance)
    why = f"largest relative residual {format_number(worst, 2)}"
    cards.append(card("Material balance", "Closes" if closes else "DOES NOT CLOSE", why, Verdict.GOOD if closes else Verdict.BAD))
    return strip(cards)


def _lot_card(page: _Page, lot: Lot) -> str:
    shown = page.shown
    exits = [place for place in lot.places if place.leaves and place.passage.comes]
    if not exits:
        return card(f"Lot {lot.name}", "Does not leave", f"{shown.mass(lot.held_end)} held at the end", Verdict.NEUTRAL)
    first = min(exits, key=lambda place: place.passage.arrives)
    tablets = sum(place.tablets or 0.0 for place in exits)
    product = sum(place.product or 0.0 for place in exits)
    ends = [place.passage.gone for place in exits]
    until = "to the end" if any(map(math.isnan, ends)) else f"to {shown.time(max(ends))}"
    said = f"{first.place}: {shown.time(first.passage.arrives)} {until}"
    made = f", {words.whole(tablets)} tablets," if tablets else ""
    why = f"{shown.mass(product)} of product{made} with more than {shown.share(page.trace.spec.threshold)} of it"
    return card(f"Lot {lot.name}", said, why, Verdict.NEUTRAL)


def _disturbance_card(page: _Page, each: Disturbance) -> str:
    shown = page.shown
    limit = f"by more than {shown.share(page.trace.spec.threshold)}"
    reach = [part.product for part in each.leaving if part.product]
    if reach:
        said = f"{shown.mass(sum(reach))} of product deviate"
        return card(each.pulse.label, said, f"{limit} in {each.component}", Verdict.NEUTRAL)
    there = [effect for effect in each.effects if effect.passage.comes]
    if not there:
        return card(each.pulse.label, "Nothing deviates", f"{limit}, of what is looked at", Verdict.NEUTRAL)
    worst = max(there, key=lambda effect: effect.passage.peak)
    return card(each.pulse.label, f"{worst.variable} deviates", f"by up to {shown.share(worst.passage.peak)}", Verdict.NEUTRAL)


# --- lots -------------------------------------------------------------------------------------------------------------


def _lots(page: _Page) -> str:
    threshold = page.shown.share(page.trace.spec.threshold)
    lead = (
        f"A lot is at a place while its share there is above {threshold}. Shares in a unit are those of what it holds; at an exit (→) of "
        "what leaves at that moment. Masses at the end are held, or have left; product and tablets are those made while the share was "
        "above. Courses are straight lines between points; masses and tablets are integrated beside the states."
    )
    return f'<p class="lead">{text(lead)}</p>' + "".join(_lot(page, lot) for lot in page.trace.lots)


def _lot(page: _Page, lot: Lot) -> str:
    shown, trace = page.shown, page.trace
    body = []
    for place in lot.places:
        passage = place.passage
        times = (shown.time(passage.arrives, "never"), shown.share(passage.peak), shown.time(passage.peak_time))
        masses = [shown.mass(float(max(place.mass))), shown.mass(float(place.mass[-1]))]
        product = "" if place.product is None else shown.mass(place.product)
        tablets = "" if place.tablets is None else words.whole(place.tablets)
        held = ("", masses[1]) if place.leaves else masses
        numbers = (*times, words.gone(passage.comes, passage.gone, shown), *held, product, tablets, words.numbers_of(place))
        body.append(row([f"{place.place}{' →' if place.leaves else ''}", *map(number, numbers)]))
    header = ("", "Arrives", "Peak", "at", "Gone", "Most held", "At the end", "Product", "Tablets", "Numbers")
    places = courses_at(trace.t, TIMES)
    over_time = [
        row([f"{place.place}{' →' if place.leaves else ''}", *(number(shown.mass(float(place.mass[k]), 3)) for k in places)])
        for place in lot.places
    ]
    times_header = ("held, or left (→)", *(shown.time(float(trace.t[k])) for k in places))
    largest = max((float(max(place.mass)) for place in lot.places if not place.leaves), default=math.nan)
    svg = figures.lot_figure(lot, trace.t, page.axis, shown.display.unit("kg", largest), shown.display.fraction)
    return (
        f"<h3>Lot {text(lot.name)} <span class='kind'>share {text(words.whole_of(lot))}</span></h3>"
        f"<p>{text(words.balance_of(lot, shown))}.</p>{table(header, body, range(1, 10))}"
        f"{_figure(svg, f'Lot {lot.name} through the line over time')}{table(times_header, over_time, range(1, TIMES + 1))}"
    )


def _figure(svg: str, told: str) -> str:
    return f'<figure class="attribute"><div class="wide">{image(svg, told)}</div></figure>'


# --- disturbances -----------------------------------------------------------------------------------------------------


def _disturbances(page: _Page) -> str:
    lead = (
        "Each disturbance of the case is left out once, and the run with it compared with the run without it. Relative deviations are "
        f"from the largest value without it; a disturbance is there while they are above {page.shown.share(page.trace.spec.threshold)}."
    )
    return f'<p class="lead">{text(lead)}</p>' + "".join(_disturbance(page, each) for each in page.trace.disturbances)


def _disturbance(page: _Page, each: Disturbance) -> str:
    shown = page.shown
    body = []
    for effect in each.effects:
        passage = effect.passage
        numbers = (
            shown.time(passage.arrives, "never"),
            *words.peak_words(effect, shown),
            shown.time(passage.peak_time),
            shown.time(passage.passes, "still there" if passage.comes else "–"),
            words.gone(passage.comes, passage.gone, shown),
        )
        body.append(row([Cell(effect.variable, code=True), *map(number, numbers)]))
    header = ("", "Arrives", "Largest deviation", "relative", "at", "Passes", "Gone")
    there = [effect.variable for effect in each.effects if effect.passage.comes]
    along = [name for name in there if name.endswith(f"[{each.component}]")] or there
    svg = (
        figures.disturbance_figure(each, page.trace.t, page.axis, shown.display.fraction, page.trace.spec.threshold, along) if along else ""
    )
    leaving = "".join(f"<p>{text(words.leaving_words(each, part, shown))}.</p>" for part in each.leaving)
    picture = _figure(svg, f"{each.pulse.label} along the line") if svg else note("It is nowhere above the threshold.")
    heading = f"<h3>{text(each.pulse.label)} <span class='kind'>{text(words.pulse_words(each, shown))}</span></h3>"
    return f"{heading}{picture}{table(header, body, range(1, 7))}{leaving}"


# --- diversions -------------------------------------------------------------------------------------------------------


def _diversions(page: _Page) -> str:
    lead = (
        "The gate diverts from the first of the powder that the sensor found outside its limits, or the result if that comes later, to the "
        "last of it and the dwell time; by prediction, only from the first bad powder among that to the last. Good is what is within the "
        "limits of what is watched at the gate. With noise, errors of decisions are independent, and powder passes if no decision that "
        "speaks of it says otherwise."
    )
    return f'<p class="lead">{text(lead)}</p>' + "".join(_diversion(page, each) for each in page.trace.diversions)


def _diversion(page: _Page, each: GateResult) -> str:
    shown, result, spec = page.shown, each.result, each.spec
    body = [
        row(
            [
                str(k),
                *map(number, (shown.time(w.start), shown.time(w.end), shown.mass(w.mass), shown.mass(w.mass - w.good), shown.mass(w.good))),
            ]
        )
        for k, w in enumerate(result.windows, start=1)
    ]
    windows = (
        table(("Window", "Start", "End", "Diverted", "of it bad", "of it good"), body, range(1, 6))
        if body
        else note("Nothing is diverted.")
    )
    rows = [
        ("Diverted and bad", result.bad_diverted, result.bad_diverted + result.missed - result.expected_missed),
        ("Diverted and good (false)", result.good_diverted, result.expected_good_diverted),
        ("Bad and not diverted (missed)", result.missed, result.expected_missed),
    ]
    cells = [
        row([name, number(shown.mass(value)), number(shown.mass(noisy) if math.isfinite(noisy) else "–")]) for name, value, noisy in rows
    ]
    totals = table(("", "Without noise", "Expected with noise"), cells, (1, 2))
    units = [
        shown.display.attribute(unit, max(abs(limit) for limit in (*limits, 0.0) if not math.isnan(limit)))
        for unit, limits in ((spec.unit, (each.lower, each.upper)), (spec.sensor_unit, (each.gate.lower, each.gate.upper)))
    ]
    svg = figures.gate_figure(each, page.trace.t, page.axis, (units[0], units[1]))
    lines = [words.sensor_words(each, shown), *words.noise_words(each, shown)]
    told = "".join(f"<p>{text(line[0].upper() + line[1:])}.</p>" for line in lines)
    heading = f"<h3>{text(title_of(each))} <span class='kind'>{text(words.limits_of(each, spec.unit, shown))}</span></h3>"
    return heading + told + windows + _figure(svg, f"{title_of(each)}: what is diverted") + totals


# --- funnels ----------------------------------------------------------------------------------------------------------


def _funnels(page: _Page) -> str:
    lead = (
        "The largest rectangular disturbance of an input that keeps the limits, by its duration: linear about one operating point, from "
        "one step response S of the model itself, whose difference S(t) − S(t − d) answers to a disturbance of the duration d. Beside it, "
        "the closed form for tanks in series of the same mean residence time and variance. ◆ are disturbances of the case."
    )
    return f'<p class="lead">{text(lead)}</p>' + "".join(_funnel(page, each) for each in page.trace.funnels)


def _funnel(page: _Page, each: Funnel) -> str:
    shown, spec = page.shown, each.spec
    body = []
    for k in shown_times(len(each.rows), DURATIONS).tolist():
        entry = each.rows[k]
        tanks = () if each.chain is None else (entry.tanks_up, entry.tanks_down)
        sizes = [shown.quantity(value, spec.input_unit) for value in (entry.most_up, entry.most_down, *tanks)]
        times = [f"{format_number(value, 4)} s" for value in (entry.duration, entry.peak_time)]
        body.append(row([number(cell) for cell in (times[0], *sizes[:2], times[1], *sizes[2:])]))
    header = ("Duration", "Largest up", "Largest down", "Peak after", *(() if each.chain is None else ("Tanks: up", "Tanks: down")))
    heights = [abs(value) for entry in each.rows for value in (entry.most_up, entry.most_down) if math.isfinite(value)]
    unit = shown.display.attribute(spec.input_unit, max(heights, default=math.nan))
    pulses = [each.pulse for each in page.trace.disturbances]
    svg = figures.funnel_figure(each, unit, pulses)
    notes = "".join(
        f"<p>{text(line[0].upper() + line[1:])}.</p>" for line in (words.operating_point(each, shown), words.chain_words(each), *each.notes)
    )
    heading = (
        f"<h3>{text(title_of(each))} <span class='kind'>{text(spec.input)} → {text(words.limits_of(each, spec.unit, shown))}</span></h3>"
    )
    return heading + notes + _figure(svg, f"Funnel plot: {title_of(each)}") + table(header, body, range(len(header)))


# --- checks -----------------------------------------------------------------------------------------------------------


def _checks(page: _Page) -> str:
    shown, trace = page.shown, page.trace
    rows: list[tuple[str, str, str, bool]] = []
    for lot in trace.lots:
        balance = lot.balance
        rows.append(
            (
                f"Lot {lot.name}: held at the start + entered = left + held at the end",
                "integrated beside the states",
                f"{balance.relative:.1e}",
                balance.closes,
            )
        )
        apart = (lot.left_by_lines - lot.left_by_exits) / max(lot.left_by_exits, 1e-9)
        what = f"Lot {lot.name}: {shown.mass(lot.left_by_exits)} left, by straight lines between the points that are looked at"
        rows.append((what, "integrated beside the states", f"{apart:.1e}", abs(apart) < MOST_LINES))
    if not trace.lots and trace.balance:
        worst = max(trace.balance, key=lambda each: abs(each.relative))
        rows.append(("Material balance of the run", worst.component, f"{worst.relative:.1e}", worst.closes))
    for each in trace.funnels:
        rows.append(
            (
                f"{title_of(each)}: {words.check_words(each, shown)}",
                "one disturbance simulated",
                f"{each.check.difference:.1e}",
                abs(each.check.difference) < 0.05,
            )
        )
    body = [
        row([what, how, number(apart), judged("holds", Verdict.GOOD) if good else judged("look", Verdict.BAD)])
        for what, how, apart, good in rows
    ]
    return table(("Check", "", "Relative difference", ""), body, (2,)) + _notes(trace.notes)


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"<p>{text(line)}.</p>" for line in notes)
