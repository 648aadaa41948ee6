"""The section of the report on particle sizes: distributions and diameters along the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from flowsheet.display import Display, DisplayUnit, format_number, printable
from flowsheet.report.markup import Cell, image, number, row, table, text
from flowsheet.report.plots import DASHES, LINES, STYLE, Line, course_figure, svg_text
from flowsheet.report.view import View
from flowsheet.results import StreamRow
from flowsheet.sizes import SizeRow, size_rows, sizes_of_case
from units.sizes import QUANTILES, SizeClasses

ALIKE = 0.005
"""Streams are drawn as one if nowhere more than this share of the solids, and at no time more than this share of a diameter, differs."""

Group = list[SizeRow]


def section(view: View) -> str:
    """Return the table of diameters, the distributions at the end of the run, and the diameters over time."""
    sizes = sizes_of_case(view.case)
    rows = size_rows(view.results)
    groups = alike([each for each in rows if each.flows])
    if sizes is None or not rows:
        return ""
    unit = Display({"length": "um"} | view.case.get("display", {})).unit("m")
    figures = "".join(_course(view, group, unit) for group in groups if _changes(group[0]))
    when = "at the end of the run" if view.complete else "when the run stopped"
    cumulative = ""
    if groups:
        caption = f"<b>Share of the solids finer, by mass, {when}</b>"
        picture = image(_distributions(groups, sizes, unit), "cumulative size distributions of the streams")
        cumulative = f'<figure class="attribute"><figcaption>{caption}</figcaption><div class="wide">{picture}</div></figure>'
    how = (
        f"Dry solids by mass, in {sizes.classes} classes from {unit.label(sizes.smallest)} to {unit.label(sizes.largest)}, geometric in "
        "diameter. Within a class the distribution is taken as even over the logarithm of the diameter. Streams whose sizes are always the "
        "same are drawn once, and over time only those that change; without flow a distribution means nothing."
    )
    return f'{_table(view, rows, unit)}<p class="lead">{text(how)}</p>{cumulative}<div class="grid">{figures}</div>'


def alike(rows: Sequence[SizeRow]) -> list[Group]:
    """Return streams in groups whose size distributions are the same at all times."""
    groups: list[Group] = []
    for each in rows:
        same = next((group for group in groups if _same(group[0], each)), None)
        if same is None:
            groups.append([each])
        else:
            same.append(each)
    return groups


def _same(one: SizeRow, other: SizeRow) -> bool:
    return bool(
        np.max(np.abs(one.finer - other.finer)) < ALIKE
        and all(np.max(np.abs(one.diameters[q] / other.diameters[q] - 1)) < ALIKE for q in QUANTILES)
    )


def _changes(each: SizeRow) -> bool:
    return any(float(np.max(course)) > (1 + ALIKE) * float(np.min(course)) for course in each.diameters.values())


def _table(view: View, rows: Sequence[SizeRow], unit: DisplayUnit) -> str:
    times = (("start", 0), ("end" if view.complete else "at stop", -1))
    header = ("Stream", *(f"{q}, {when} [{unit.text}]" for when, _ in times for q in QUANTILES))
    body = []
    for each in rows:
        values = [float(each.diameters[q][k]) for _, k in times for q in QUANTILES]
        cells = [number(format_number(unit.shown(x), 4) if each.flows else "–") for x in values]
        body.append(row([Cell(_route(each.stream)), *cells]))
    return table(header, body, range(1, 7))


def _route(stream: StreamRow) -> str:
    return f"{stream.stream}  {stream.source} → {stream.target}"


def _called(group: Group) -> str:
    more = f" (+{len(group) - 1})" if len(group) > 1 else ""
    return printable(f"{group[0].stream.stream} {group[0].stream.source.rpartition('.')[0]}{more}")


def _distributions(groups: Sequence[Group], sizes: SizeClasses, unit: DisplayUnit) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.4), layout="constrained")
        axes = figure.subplots()
        for k, group in enumerate(groups):
            look: dict[str, Any] = {"color": LINES[k % len(LINES)], "linestyle": DASHES[k // len(LINES) % len(DASHES)]}
            axes.plot(unit.shown(np.array(sizes.edges)), 100 * group[0].finer, linewidth=1.4, label=_called(group), **look)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_number(float(x))))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(unit.shown(sizes.smallest), unit.shown(sizes.largest))
        axes.set_ylim(0, 100)
        axes.set_xlabel(f"diameter [{unit.text}]")
        axes.set_ylabel("[%]")
        figure.legend(loc="outside right upper")
        return svg_text(figure)


def _course(view: View, group: Group, unit: DisplayUnit) -> str:
    lines = [Line(q, group[0].diameters[q], color) for q, color in zip(QUANTILES, LINES, strict=False)]
    svg = course_figure(view.results.t, lines, unit, view.axis, ())
    streams = ", ".join(each.stream.stream for each in group)
    caption = f"<b>Diameters with 10, 50 and 90 % below</b> <code>{text(group[0].stream.source)}</code> {text(streams)}"
    return f"<figure><figcaption>{caption}</figcaption>{image(svg, 'd10, d50 and d90 over time')}</figure>"
