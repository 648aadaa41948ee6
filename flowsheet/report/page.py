"""The report as one HTML page: what stands first is what a plant manager asks first."""

from __future__ import annotations

from importlib.resources import files

from flowsheet.display import format_duration
from flowsheet.report import measured, sections
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
    ("streams", "Streams", sections.streams),
    ("balance", "Material balance", sections.balance),
    ("units", "Units", sections.units),
    ("events", "Events", sections.events),
    ("solver", "Solver", sections.solver),
    ("case", "Resolved case", sections.case),
    ("provenance", "Provenance", sections.provenance),
)


def render(results: Results) -> str:
    """Return the report of a run as a whole HTML document: the same results give the same text.

    It loads nothing from anywhere: style, drawing and figures are inside.
    """
    view = View(results)
    style = files("flowsheet.report").joinpath("style.css").read_text(encoding="utf-8")
    mark = "" if view.complete else "INCOMPLETE – "
    chosen = [entry for entry in _SECTIONS if entry[0] != "data" or results.fits]
    links = "".join(f'<a href="#{name}">{text(title)}</a>' for name, title, _ in chosen)
    body = "".join(section(name, title, write(view)) for name, title, write in chosen)
    count = len(results.units)
    subtitle = f"Case {results.case.get('name', '–')} · {count} units · {len(results.streams)} streams · {_span(view)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(mark + view.title)}</title><style>{style}</style></head><body>"
        f"{_alarm(view)}<header><div><h1>{text(view.title)}</h1><p>{text(subtitle)}</p></div></header>"
        f"<nav><div>{links}</div></nav><main>{_description(view)}{sections.verdicts(view)}{body}</main>"
        f"<footer><div><p><b>Intended use.</b> {text(INTENDED_USE)}</p></div></footer></body></html>\n"
    )


def _span(view: View) -> str:
    if view.complete:
        return f"{format_duration(view.axis.horizon)} simulated"
    return f"stopped after {format_duration(view.axis.reached)} of {format_duration(view.axis.horizon)}"


def _description(view: View) -> str:
    words = str(view.case.get("description", "")).strip()
    return f'<p class="description">{text(words)}</p>' if words else ""


def _alarm(view: View) -> str:
    if view.complete:
        return ""
    stop, end = view.at(view.axis.reached), view.at(view.axis.horizon)
    where = f"The simulation stopped at {stop} of {end}. Nothing below says anything about the time after."
    return (
        f'<div class="alarm" role="alert"><div><strong>✗ INCOMPLETE RUN</strong><p>{text(where)}</p>'
        f"<p>Why: {text(view.results.stopped_because)}</p></div></div>"
    )
