"""The report as one HTML page: what stands first is what a plant manager asks first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from flowsheet.display import format_duration
from flowsheet.report import measured, sections, sizes, uniformity
from flowsheet.report.markup import section, text
from flowsheet.report.view import View
from flowsheet.results import Results

INTENDED_USE = (
    "For design and study. This software is not validated for batch release: nothing in this report replaces a release test "
    "or a process under change control."
)

_SECTIONS = (
    ("flowsheet", "Flowsheet", sections.drawing),
    ("quality", "Quality attributes against specification", sections.quality),
    ("data", "Measured data", measured.data),
    ("uniformity", "Content uniformity", uniformity.section),
    ("streams", "Streams", sections.streams),
    ("sizes", "Particle sizes", sizes.section),
    ("balance", "Material balance", sections.balance),
    ("units", "Units", sections.units),
    ("events", "Events", sections.events),
    ("solver", "Solver", sections.solver),
    ("case", "Resolved case", sections.case),
    ("provenance", "Provenance", sections.provenance),
)


def render(results: Results) -> str:
    """Return the report of a run as a whole HTML document: the same results give the same text."""
    view = View(results)
    count = len(results.units)
    subtitle = f"Case {results.case.get('name', '–')} · {count} units · {len(results.streams)} streams · {_span(view)}"
    before = f"{description(view.case)}{sections.verdicts(view)}"
    optional = {"uniformity": view.case.get("uniformity"), "data": results.fits, "sizes": view.case.get("sizes")}
    absent = {name for name, there in optional.items() if not there}
    shown = [entry for entry in _SECTIONS if entry[0] not in absent]
    written = [(name, title, write(view)) for name, title, write in shown]
    return document(view.title, subtitle, _alarm(view), before, written)


def document(title: str, subtitle: str, alarm: str, before: str, written: Sequence[tuple[str, str, str]]) -> str:
    """Return a whole HTML document, which loads nothing from anywhere: style, drawings and figures are inside.

    Parameters
    ----------
    title, subtitle : as plain texts.
    alarm : HTML that stands above everything, empty if all is well.
    before : HTML before the sections.
    written : name, title and HTML of each section.
    """
    style = files("flowsheet.report").joinpath("style.css").read_text(encoding="utf-8")
    mark = "INCOMPLETE – " if alarm else ""
    links = "".join(f'<a href="#{name}">{text(heading)}</a>' for name, heading, _ in written)
    body = "".join(section(*parts) for parts in written)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(mark + title)}</title><style>{style}</style></head><body>"
        f"{alarm}<header><div><h1>{text(title)}</h1><p>{text(subtitle)}</p></div></header>"
        f"<nav><div>{links}</div></nav><main>{before}{body}</main>"
        f"<footer><div><p><b>Intended use.</b> {text(INTENDED_USE)}</p></div></footer></body></html>\n"
    )


def _span(view: View) -> str:
    if view.complete:
        return f"{format_duration(view.axis.horizon)} simulated"
    return f"stopped after {format_duration(view.axis.reached)} of {format_duration(view.axis.horizon)}"


def description(case: Mapping[str, Any]) -> str:
    """Return what a case or campaign says of itself, as HTML."""
    words = str(case.get("description", "")).strip()
    return f'<p class="description">{text(words)}</p>' if words else ""


def alarm(what: str, where: str, why: str) -> str:
    """Return the banner of something incomplete, as HTML."""
    return (
        f'<div class="alarm" role="alert"><div><strong>✗ INCOMPLETE {text(what)}</strong><p>{text(where)}</p>'
        f"<p>Why: {text(why)}</p></div></div>"
    )


def _alarm(view: View) -> str:
    if view.complete:
        return ""
    stop, end = view.at(view.axis.reached), view.at(view.axis.horizon)
    where = f"The simulation stopped at {stop} of {end}. Nothing below says anything about the time after."
    return alarm("RUN", where, view.results.stopped_because)
