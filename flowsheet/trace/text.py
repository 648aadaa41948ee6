"""A trace as a page on the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from flowsheet.display import Display, DisplayUnit, format_number
from flowsheet.summary import columns
from flowsheet.trace.disturbances import Disturbance, Effect, Leaving
from flowsheet.trace.gates import GateResult
from flowsheet.trace.lots import POWDER, Lot, LotPlace
from flowsheet.trace.output import courses_at, shown_times, title_of
from flowsheet.trace.run import Trace
from flowsheet.trace.steps import ROUNDING, Funnel

TIMES, DURATIONS = 7, 8
"""Columns of the table of lots over time, and rows of a funnel."""


class Shown:
    """How numbers of one trace are shown."""

    def __init__(self, trace: Trace) -> None:
        self.display = Display(trace.case.display)
        self.time_unit: DisplayUnit = self.display.time(trace.case.horizon)

    def time(self, seconds: float, absent: str = "–") -> str:
        """Return a time with its unit, or what stands for none."""
        return self.time_unit.label(seconds, 4) if math.isfinite(seconds) else absent

    def share(self, value: float, digits: int = 3) -> str:
        """Return a share, in percent unless the case says otherwise."""
        return self.display.fraction.label(value, digits)

    def quantity(self, value: float, unit: str, digits: int = 4) -> str:
        """Return a quantity in its display unit; a dimensionless one is a share."""
        if not math.isfinite(value):
            return "any" if value == math.inf else "–"
        return self.display.attribute(unit, abs(value)).label(value, digits)

    def mass(self, value: float, digits: int = 4) -> str:
        """Return a mass; what is below a microgram is none."""
        return self.quantity(value if abs(value) >= 1e-9 else 0.0, "kg", digits)


def trace_text(trace: Trace) -> Iterator[str]:
    """Yield the lines of a trace."""
    shown = Shown(trace)
    yield f"{trace.case.name}: {counted(trace)}; there is what is above {shown.share(trace.spec.threshold)} (threshold)"
    for lot in trace.lots:
        yield from ["", *_lot(lot, trace, shown)]
    for each in trace.disturbances:
        yield from ["", *_disturbance(each, shown)]
    for funnel in trace.funnels:
        yield from ["", *_funnel(funnel, shown)]
    for diversion in trace.diversions:
        yield from ["", *_diversion(diversion, shown)]
    for note in trace.notes:
        yield f"note: {note}"


def counted(trace: Trace) -> str:
    """Return what a trace holds in a few words."""
    parts = {"lot": trace.lots, "disturbance": trace.disturbances, "funnel": trace.funnels, "diversion": trace.diversions, "run": ()}
    counts = {name: len(found) for name, found in parts.items()} | {"run": trace.runs}
    return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for name, count in counts.items() if count)


def whole_of(lot: Lot) -> str:
    """Return what a lot's shares are shares of."""
    return "of the powder" if lot.share_of == POWDER else f"of {lot.share_of}"


def gone(lot_is_there: bool, gone: float, shown: Shown) -> str:
    """Return when something has gone; "never" if it is there to the end."""
    return shown.time(gone, "still there" if lot_is_there else "–")


def numbers_of(place: LotPlace) -> str:
    """Return the numbers of the tablets with more of a lot than the threshold, counted from the start of the run."""
    spans = [f"{whole(math.floor(a) + 1)} to {whole(b)}" for a, b in place.tablet_numbers if b - a >= 1]
    return spans[0] if len(spans) == 1 else f"in {len(spans)} stretches" if spans else ""


def balance_of(lot: Lot, shown: Shown) -> str:
    """Return the balance of a lot in one line."""
    row = lot.balance
    came = f"{shown.mass(lot.held_start)} at the start and {shown.mass(row.entered)} entered"
    went = f"{shown.mass(row.left)} left and {shown.mass(lot.held_end)} held at the end"
    return f"{came}; {went}; residual {row.relative:.1e}"


def _lot(lot: Lot, trace: Trace, shown: Shown) -> Iterator[str]:
    yield f"lot {lot.name}, share {whole_of(lot)}: {balance_of(lot, shown)}"
    rows: list[tuple[str, ...]] = [
        ("  place", "arrives", "peak", "at", "gone", "most held, or left", "product above", "tablets", "numbers")
    ]
    for place in lot.places:
        passage = place.passage
        mass = shown.mass(float(max(place.mass))) + (" left" if place.leaves else "")
        product = "" if place.product is None else shown.mass(place.product)
        tablets = "" if place.tablets is None else whole(place.tablets)
        times = (shown.time(passage.arrives, "never"), shown.share(passage.peak), shown.time(passage.peak_time))
        rows.append((f"  {place.place}", *times, gone(passage.comes, passage.gone, shown), mass, product, tablets, numbers_of(place)))
    yield from columns(rows, right=range(1, 9))
    places = courses_at(trace.t, TIMES)
    header = ("  held at", *(shown.time(float(trace.t[k])) for k in places))
    held = [(f"  {place.place}", *(shown.mass(float(place.mass[k])) for k in places)) for place in lot.places if not place.leaves]
    yield from columns([header, *held], right=range(1, TIMES + 1))


def pulse_words(each: Disturbance, shown: Shown) -> str:
    """Return a pulse in words."""
    pulse = each.pulse
    return f"{pulse.variable} by {shown.quantity(pulse.height, pulse.unit)} from {shown.time(pulse.start)} to {shown.time(pulse.end)}"


def _disturbance(each: Disturbance, shown: Shown) -> Iterator[str]:
    yield f"disturbance {each.pulse.label} ({pulse_words(each, shown)}), against the run without it:"
    rows: list[tuple[str, ...]] = [("  variable", "arrives", "largest deviation", "relative", "at", "passes", "gone")]
    for effect in each.effects:
        passage = effect.passage
        peak = (*peak_words(effect, shown), shown.time(passage.peak_time))
        ends = (shown.time(passage.passes, "still there" if passage.comes else "–"), gone(passage.comes, passage.gone, shown))
        rows.append((f"  {effect.variable}", shown.time(passage.arrives, "never"), *peak, *ends))
    yield from columns(rows, right=range(1, 7))
    for part in each.leaving:
        yield f"  {leaving_words(each, part, shown)}"


def peak_words(effect: Effect, shown: Shown) -> tuple[str, str]:
    """Return the largest deviation of a variable, with its unit and relative; rounding of the integrator is none."""
    if not effect.passage.peak > ROUNDING:
        return "none", "none"
    return shown.quantity(effect.peak, effect.unit), shown.share(effect.passage.peak)


def leaving_words(each: Disturbance, part: Leaving, shown: Shown) -> str:
    """Return what a disturbance takes out by one unit."""
    tablets = "" if part.tablets is None else f" ({whole(part.tablets)} tablets)"
    more = f"{shown.mass(abs(part.excess))} {'less' if part.excess < 0 else 'more'} of it left in the whole run"
    if part.product is None:
        return f"{part.place}: {more}"
    return f"{part.place}: {shown.mass(part.product)} of product{tablets} deviate in {each.component}; {more}"


def whole(number: float) -> str:
    """Return a number of tablets."""
    return format_number(round(number), 12)


def _funnel(each: Funnel, shown: Shown) -> Iterator[str]:
    spec = each.spec
    yield f"funnel {title_of(each)}: largest disturbance of {spec.input} that keeps {limits_of(each, spec.unit, shown)}"
    yield f"  {operating_point(each, shown)}"
    tanks = each.chain is not None
    rows: list[tuple[str, ...]] = [("  duration", "up to", "down to", "peak after", *(("tanks: up to", "down to") if tanks else ()))]
    for k in shown_times(len(each.rows), DURATIONS).tolist():
        row = each.rows[k]
        sizes = [shown.quantity(value, spec.input_unit) for value in (row.most_up, row.most_down, row.tanks_up, row.tanks_down)]
        when = f"{format_number(row.peak_time, 4)} s"
        rows.append((f"  {format_number(row.duration, 3)} s", *sizes[:2], when, *(sizes[2:] if tanks else ())))
    yield from columns(rows, right=range(1, 6))
    yield f"  {chain_words(each)}"
    yield f"  {check_words(each, shown)}"
    yield from (f"  note: {note}" for note in each.notes)


def limits_of(each: Funnel | GateResult, unit: str, shown: Shown) -> str:
    """Return what is watched with its limits."""
    limits = [
        f"{word} {shown.quantity(value, unit)}" for word, value in (("from", each.lower), ("to", each.upper)) if not math.isnan(value)
    ]
    return f"{each.spec.watch} {' '.join(limits)}"


def operating_point(each: Funnel, shown: Shown) -> str:
    """Return the point about which a funnel is linear."""
    spec, step = each.spec, each.step
    now = f"{spec.input} = {shown.quantity(step.value, spec.input_unit)} and {spec.watch} = {shown.quantity(each.value, spec.unit)}"
    height = shown.quantity(step.height, spec.input_unit)
    return f"linear about {now} at {shown.time(step.time)}, from a step by {height} followed for {shown.time(float(step.t[-1]))}"


def chain_words(each: Funnel) -> str:
    """Return the tanks in series that are compared with."""
    found = each.chain
    if found is None:
        return "no tanks in series are fitted"
    tanks = f"{format_number(found.tanks, 4)} tanks" if math.isfinite(found.tanks) else "no variance, as a plug"
    fitted = f"mean residence time {format_number(found.mean, 4)} s, {tanks}"
    return f"tanks in series of the same mean and variance as the step response: {fitted}"


def check_words(each: Funnel, shown: Shown) -> str:
    """Return how linear the model is."""
    check, unit = each.check, each.spec.unit
    both = f"{shown.quantity(check.simulated, unit, 5)} simulated, {shown.quantity(check.predicted, unit, 5)} by superposition"
    apart = f"{format_number(100 * check.difference, 2)} % apart" if check.predicted else "no answer"
    return f"checked: {shown.quantity(check.height, each.spec.input_unit)} for {format_number(check.duration, 3)} s give {both} ({apart})"


def sensor_words(each: GateResult, shown: Shown) -> str:
    """Return what moves a gate."""
    spec, gate = each.spec, each.gate
    unit = spec.sensor_unit
    limits = [
        f"{word} {shown.quantity(value, unit)}" for word, value in (("below", gate.lower), ("above", gate.upper)) if not math.isnan(value)
    ]
    way = f"powder takes {format_number(each.transport, 3)} s to the gate, {each.transport_from}"
    if spec.sensor == spec.watch and spec.transport is None:
        way = each.transport_from
    elif gate.first != gate.last:
        way += f" ({format_number(gate.first, 3)} s the first, {format_number(gate.last, 3)} s the last)"
    what = "what the model predicts to be bad" if gate.predicts else "the powder"
    return f"where {spec.sensor} reads {' or '.join(limits)}, {what} is diverted at {spec.at}; {way}"


def noise_words(each: GateResult, shown: Shown) -> Sequence[str]:
    """Return what noise does to decisions, in lines; none without noise."""
    result, gate = each.result, each.gate
    if gate.noise == 0:
        return ()
    scans = f"mean of {gate.scans} scan{'s' if gate.scans != 1 else ''}, one decision in {format_number(gate.period, 3)} s"
    deviation = shown.quantity(gate.deviation, each.spec.sensor_unit)
    unseen = [f"{shown.time(a)} to {shown.time(b)}: {probability(p)}" for a, b, p in result.unseen]
    lines = [
        f"noise: standard deviation {deviation} ({scans}); a decision at the target is false with probability "
        f"{probability(result.false_at_target)}",
        f"expected: {format_number(result.false_decisions, 3)} false of {result.decisions} decisions; "
        f"{shown.mass(result.expected_good_diverted)} good diverted, {shown.mass(result.expected_missed)} bad not diverted",
    ]
    return [*lines, f"probability that readings outside their limits are not seen: {'; '.join(unseen)}"] if unseen else lines


def probability(value: float) -> str:
    """Return a probability; one that is as good as none is called so.

    >>> probability(1e-30), probability(0.04550026)
    ('below 1e-12', '0.0455')
    """
    return "below 1e-12" if value < 1e-12 else format_number(value, 3)


def _diversion(each: GateResult, shown: Shown) -> Iterator[str]:
    result = each.result
    yield f"diversion {title_of(each)}: {limits_of(each, each.spec.unit, shown)}"
    yield f"  {sensor_words(each, shown)}"
    if result.windows:
        rows: list[tuple[str, ...]] = [("  window", "start", "end", "diverted", "of it good")]
        for number, window in enumerate(result.windows, start=1):
            masses = (shown.mass(window.mass), shown.mass(window.good))
            rows.append((f"  {number}", shown.time(window.start), shown.time(window.end), *masses))
        yield from columns(rows, right=range(1, 5))
    else:
        yield "  nothing is diverted"
    yield (
        f"  in all {shown.mass(result.diverted)} diverted: {shown.mass(result.bad_diverted)} bad, {shown.mass(result.good_diverted)} good; "
        f"{shown.mass(result.missed)} bad not diverted"
    )
    yield from (f"  {line}" for line in noise_words(each, shown))
