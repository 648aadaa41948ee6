"""The report of a campaign as one HTML page, with links to those of its stages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from flowsheet.campaign_results import UNITS, CampaignBalanceRow, CampaignResults, HandOverRow
from flowsheet.display import Display, format_duration, format_number
from flowsheet.report import sections
from flowsheet.report.drawing import DrawnStream, DrawnUnit, flowsheet_svg
from flowsheet.report.markup import Cell, Verdict, card, image, judged, note, number, pairs, row, table, text
from flowsheet.report.page import alarm, description, document
from flowsheet.report.plots import LINES, Band, Line, TimeAxis, course_figure
from flowsheet.report.view import View
from flowsheet.results import BALANCE_LIMIT, Results
from flowsheet.results_layout import case_digest
from solvers import Status


@dataclass(frozen=True, eq=False)
class _Chain:
    """The results of a campaign and how to show them."""

    results: CampaignResults

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        """The stages as resolved, whether they were reached or not."""
        return list(self.results.campaign["stages"])

    @property
    def complete(self) -> bool:
        """Whether the campaign reached its end."""
        return self.results.status is Status.COMPLETE

    @cached_property
    def display(self) -> Display:
        """Display units of the campaign, and what it leaves open of its stages."""
        cases = [results.case.get("display", {}) for results in reversed(list(self.results.stages.values()))]
        chosen: dict[str, str] = {}
        for part in (*cases, self.results.campaign["display"]):
            chosen |= part
        return Display(chosen)

    def begins(self, stage: str) -> float:
        """Return when a stage begins (s)."""
        return float(next(entry["begins"] for entry in self.entries if entry["name"] == stage))

    @cached_property
    def axis(self) -> TimeAxis:
        """The campaign's time axis, up to where it came."""
        end = max(self.begins(stage) + float(results.t[-1]) for stage, results in self.results.stages.items())
        return TimeAxis(self.display.time(end), end, end)

    def at(self, time: float) -> str:
        """Return a time with its unit."""
        return self.axis.unit.label(time, 6)

    def vessels(self, stage: str) -> list[str]:
        """Return the vessels of a stage that are charged or pooled, or else those of its case."""
        charge = next(entry.get("charge") for entry in self.entries if entry["name"] == stage)
        pooled = [
            e["charge"]["from"].partition(".")[2] for e in self.entries if e.get("charge", {}).get("from", "").startswith(f"{stage}.")
        ]
        return list(dict.fromkeys([*([charge["to"]] if charge else []), *pooled]))

    def volume(self, value: float) -> str:
        """Return a volume with its unit."""
        return self.display.unit("m^3", abs(value)).label(value)


def render_campaign(results: CampaignResults) -> str:
    """Return the report of a campaign as a whole HTML document: the same results give the same text."""
    chain = _Chain(results)
    campaign = results.campaign
    title = str(campaign.get("title") or campaign["name"])
    span = format_duration(chain.axis.horizon)
    subtitle = f"Campaign {campaign['name']} · {len(chain.entries)} stages · {span} {'simulated' if chain.complete else 'until it stopped'}"
    written = [
        ("chain", "Chain of stages", _drawing(chain)),
        ("hand-overs", "Hand-overs", _hand_overs(chain)),
        ("balance", "Balance across the campaign", _balance(chain)),
        ("courses", "What the vessels hold", _courses(chain)),
        ("provenance", "Provenance", _provenance(chain)),
    ]
    return document(title, subtitle, _alarm(chain), f"{description(campaign)}{_cards(chain)}", written)


def _alarm(chain: _Chain) -> str:
    if chain.complete:
        return ""
    reached = len(chain.results.stages)
    where = f"The campaign stopped at {chain.at(chain.axis.reached)}; there are results of {reached} of {len(chain.entries)} stages."
    return alarm("CAMPAIGN", where, chain.results.stopped_because)


def _cards(chain: _Chain) -> str:
    results = chain.results
    events = sum(len(part.events) for part in results.stages.values())
    if chain.complete:
        said = f"{len(results.stages)} stages, {format_duration(chain.axis.horizon)}, {events} events"
        cards = [card("Campaign", "Complete", said, Verdict.GOOD)]
    else:
        cards = [card("Campaign", "INCOMPLETE", results.stopped_because, Verdict.BAD)]
    worst = max(results.balance, key=lambda r: math.inf if math.isnan(r.relative) else abs(r.relative))
    closes = all(r.closes for r in results.balance)
    why = f"largest relative residual {format_number(abs(worst.relative), 2)} ({worst.component}); limit {format_number(BALANCE_LIMIT)}"
    if closes and not chain.complete:
        cards.append(card("Balance", f"Closes up to {chain.at(chain.axis.reached)}", why, Verdict.NEUTRAL))
    else:
        cards.append(card("Balance", "Closes" if closes else "DOES NOT CLOSE", why, Verdict.GOOD if closes else Verdict.BAD))
    for stage, part in results.stages.items():
        view = View(part)
        cards += [sections.attribute_card(view, replace(spec, label=f"{stage}: {spec.label}")) for spec in part.specifications]
    return sections.strip(cards)


def _drawing(chain: _Chain) -> str:
    results = chain.results
    volumes = {r.stage: r for r in results.hand_overs if not r.component}
    units = []
    for stage, part in results.stages.items():
        kinds = {unit.unit: unit.type for unit in part.units}
        vessels = chain.vessels(stage) or [next(iter(kinds))]
        entering = f"{chain.volume(volumes[stage].medium)} medium" if stage in volumes and volumes[stage].medium else ""
        left = {r.pool_vessel: r.left for r in results.hand_overs if r.source == stage and not r.component}
        leaving = f"{chain.volume(sum(left.values()))} left behind" if left else _at_end(chain, part, vessels)
        units.append(DrawnUnit(stage, kinds[vessels[0]], entering, leaving))
    streams = [DrawnStream(f"H{k}", r.source, r.stage, chain.volume(r.taken)) for k, r in enumerate(volumes.values(), start=1)]
    rows = []
    for entry in chain.entries:
        name = entry["name"]
        cells = [Cell(name), Cell(entry["case"]), number(chain.at(entry["begins"]))]
        if name in results.stages:
            part = results.stages[name]
            ended = chain.at(entry["begins"] + float(part.t[-1]))
            said = judged("complete", Verdict.GOOD) if part.status is Status.COMPLETE else judged("incomplete", Verdict.BAD)
            link = f'<td><a href="{text(name)}/report.html">{text(name)}/report.html</a></td>'
            rows.append(row([*cells, number(ended), number(str(len(part.events))), said])[: -len("</tr>")] + link + "</tr>")
        else:
            rows.append(row([*cells, number("–"), number("–"), judged("not reached", Verdict.BAD), "–"]))
    header = ("Stage", "Case", "Begins", "Ends", "Events", "Run", "Report")
    lead = "Arrows are hand-overs from pool to charge, each when the earlier stage ends. The reports of the stages stand in their folders."
    return f'<p class="lead">{text(lead)}</p><div class="wide">{flowsheet_svg(units, streams)}</div>{table(header, rows, (2, 3, 4))}'


def _at_end(chain: _Chain, part: Results, vessels: Sequence[str]) -> str:
    held = [float(part[f"{vessel}.volume"][-1]) for vessel in vessels if f"{vessel}.volume" in part]
    when = "at the end" if part.status is Status.COMPLETE else "at the stop"
    return f"{chain.volume(sum(held))} {when}" if held else ""


def _hand_overs(chain: _Chain) -> str:
    if not chain.results.hand_overs:
        return note("Nothing was handed over.")
    header = ("Component", "Unit", "In the pool", "Taken", "Left behind", "Fresh medium", "Charge", "Concentration of the charge")
    body = []
    for _, group in itertools.groupby(chain.results.hand_overs, key=lambda r: r.stage):
        rows = list(group)
        first = rows[0]
        share = f"{format_number(100 * first.taken / first.pool)} % of the pool" if first.pool else ""
        route = f"{first.source}.{first.pool_vessel} → {first.stage}.{first.vessel} at {chain.at(chain.begins(first.stage))}: {share}"
        body.append(f'<tr class="head"><td colspan="{len(header)}">{text(route)}</td></tr>')
        body += [_hand_over_row(chain, r, first.charge) for r in rows]
    lead = (
        "Taken is the share of what the pool holds at the end of its stage; what is left behind is not used any further. "
        "The charge is what was taken and the fresh medium together; the vessel starts with it."
    )
    return table(header, body, range(2, 8)) + f'<p class="lead">{text(lead)}</p>'


def _hand_over_row(chain: _Chain, r: HandOverRow, volume: float) -> str:
    unit = chain.display.unit(r.unit, max(abs(r.pool), abs(r.charge)))
    amounts = [number(format_number(unit.shown(x), 5)) for x in (r.pool, r.taken, r.left, r.medium, r.charge)]
    held = number("")
    if r.component:
        concentration = r.charge / volume
        held = number(chain.display.unit(f"{r.unit}/m^3", abs(concentration)).label(concentration))
    return row([Cell(r.component or "volume"), Cell(unit.text), *amounts, held], "" if r.component else "sum")


def _balance(chain: _Chain) -> str:
    rows = chain.results.balance
    closes = all(r.closes for r in rows)
    limit = format_number(BALANCE_LIMIT)
    said = f"✓ The balance closes: every relative residual is below {limit}." if closes else f"✗ THE BALANCE DOES NOT CLOSE within {limit}."
    amounts = ("At the start", "Fed", "Fresh medium", "Reacted", "Out", "Left behind", "At the end")
    header = ("Component", *amounts, "Residual [–]", "Verdict")
    how = (
        "At the start: what the first stage and other vessels than the charged ones began with. Fed, Out and Reacted are integrals carried "
        "beside the states of each stage; boluses count as fed. Left behind is what earlier stages held at their ends and did not hand "
        "over; At the end is what the last stage holds. What a charged vessel begins with enters by its pool's end and by the medium, so "
        "that a hand-over which lost anything would leave a residual; it is given over the largest of the amounts."
    )
    verdict = f'<p class="verdict {"good" if closes else "bad"}">{text(said)}</p>'
    return f'{verdict}{table(header, [_balance_cells(chain, r) for r in rows], range(1, 9))}<p class="lead">{text(how)}</p>'


def _balance_cells(chain: _Chain, r: CampaignBalanceRow) -> str:
    amounts = r.begun, r.fed, r.medium, r.reacted, r.out, r.left_behind, r.remaining
    unit = chain.display.unit(r.unit, max(map(abs, amounts)))
    cells = [number(format_number(unit.shown(x), 5)) for x in amounts]
    residual = number(format_number(r.relative, 3))
    said = judged("closes", Verdict.GOOD) if r.closes else judged("does not close", Verdict.BAD)
    return row([Cell(f"{r.component} [{unit.text}]"), *cells, residual, said])


def _courses(chain: _Chain) -> str:
    """Return a figure of each concentration and of the volume, over all stages."""
    kinds = dict.fromkeys((f"{UNITS[r.unit].concentration}[{r.component}]", r.component) for r in chain.results.balance if r.unit in UNITS)
    figures = "".join(_course(chain, name, component or "volume") for name, component in {("volume", ""): None, **kinds})
    lead = "Time runs from the start of the campaign; every second stage is shaded."
    return f'<p class="lead">{text(lead)}</p><div class="grid">{figures}</div>' if figures else note("Nothing to show.")


def _course(chain: _Chain, name: str, called: str) -> str:
    times = [chain.begins(stage) + np.asarray(part.t) for stage, part in chain.results.stages.items()]
    starts = np.cumsum([0, *map(len, times)])
    lines, unit = [], ""
    for k, (stage, part) in enumerate(chain.results.stages.items()):
        vessels = [vessel for vessel in chain.vessels(stage) if f"{vessel}.{name}" in part]
        for vessel in vessels:
            values = np.full(starts[-1], np.nan)
            values[starts[k] : starts[k + 1]] = part[f"{vessel}.{name}"]
            unit = part.unit(f"{vessel}.{name}")
            lines.append(Line(stage if len(vessels) == 1 else f"{stage}.{vessel}", values, LINES[k % len(LINES)]))
    if not lines:
        return ""
    largest = max(float(np.nanmax(np.abs(line.values))) for line in lines)
    shown = chain.display.unit(unit, largest)
    ends = {stage: chain.begins(stage) + float(part.t[-1]) for stage, part in chain.results.stages.items()}
    bands = [Band("stages", chain.begins(stage), ends[stage]) for k, stage in enumerate(chain.results.stages) if k % 2]
    svg = course_figure(np.concatenate(times), lines, shown, chain.axis, bands)
    caption = f"<b>{text(called[:1].upper() + called[1:])}</b> <code>{text(name)}</code>"
    return f"<figure><figcaption>{caption}</figcaption>{image(svg, f'{called} over the campaign')}</figure>"


def _provenance(chain: _Chain) -> str:
    results = chain.results
    entries = [("SHA-256 of the resolved campaign", case_digest(results.campaign))]
    entries += [(f"SHA-256 of the case of {stage}, as charged", case_digest(part.case)) for stage, part in results.stages.items()]
    versions = {name: version for part in results.stages.values() for name, version in part.versions.items()}
    entries += [(f"{name} version", version) for name, version in versions.items()]
    checks = (
        "Checked when this report was made: campaign.json against the SHA-256 in it, and the results of every stage against those that it "
        "names. The resolved case of a stage, in its results, says what it was really charged with: run alone, it gives the same results."
    )
    return f'{pairs(entries)}<p class="lead">{text(checks)}</p>'
