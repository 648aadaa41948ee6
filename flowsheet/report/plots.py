"""Figures of the report, drawn by Matplotlib without its global state and handed over as SVG text."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flowsheet.display import DisplayUnit, format_number, printable
from flowsheet.results import Series, SpecificationRow
from flowsheet.tables import course_after, intervals_outside

# Okabe and Ito (2008), "Color universal design": told apart by all kinds of color vision
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#1B2733"
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES = ("-", "--", ":", "-.")
INK, FAINT = "#1B2733", "#8A97A5"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#E4E8EC",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # names from a case are never formulas
    "text.parse_math": False,
    "svg.fonttype": "path",
    # ids in the SVG would be random without it
    "svg.hashsalt": "flowsheet",
}

CLOUD = 150
"""More samples than this are drawn as faint dots behind the curve."""

BUCKETS = 500
"""Columns into which a course is divided for drawing: about two per printed millimeter of the widest figure."""


@dataclass(frozen=True, slots=True)
class Band:
    """Something that lasts, such as a refill or a disturbance, on a lane of its own."""

    lane: str
    start: float
    end: float
    disturbance: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The axis that all figures share: unit, where it ends, and where the run ended (s)."""

    unit: DisplayUnit
    horizon: float
    reached: float

    @property
    def complete(self) -> bool:
        """Whether the run reached the end of the axis."""
        return self.reached >= self.horizon


@dataclass(frozen=True, slots=True)
class Line:
    """A course to draw, and what was measured of it, in SI."""

    label: str
    values: np.ndarray
    color: str = BLUE
    dash: str = "-"
    measured: Series | None = None


def _draw_measured(axes: Axes, series: Series | None, unit: DisplayUnit, axis: TimeAxis, color: str) -> list[float]:
    """Draw measured points, with bars of one standard deviation where that is known, and return the heights that have to be seen."""
    if series is None:
        return []
    within = series.t <= axis.horizon
    t, y = thin(axis.unit.shown(series.t[within]), unit.shown(series.values[within]))
    deviations = unit.factor * series.deviations[within]
    bars = deviations if len(t) == len(deviations) and np.isfinite(deviations).any() else None
    # samples at the start and the end are seen whole; a cloud of them lies behind the curve
    look: dict[str, Any] = {"markersize": 4, "markerfacecolor": "white", "capsize": 2, "elinewidth": 0.9, "clip_on": False, "zorder": 3}
    if len(t) > CLOUD:
        look |= {"markersize": 2, "markerfacecolor": color, "markeredgewidth": 0, "capsize": 0, "alpha": 0.3, "zorder": 1.5}
    axes.errorbar(t, y, bars, fmt="o", color=color, **look)
    spread = 0.0 if bars is None else np.nan_to_num(bars)
    return [*(y - spread), *(y + spread)]


def thin(t: np.ndarray, y: np.ndarray, buckets: int = BUCKETS) -> tuple[np.ndarray, np.ndarray]:
    """Leave out points that cannot be seen: of each bucket the first, last, lowest and highest point stay.

    >>> t, y = thin(np.arange(100000.0), np.where(np.arange(100000) == 777, 5.0, 0.0))
    >>> len(t) <= 4 * BUCKETS, float(y.max())
    (True, 5.0)
    """
    if len(t) <= 4 * buckets:
        return t, y
    kept: set[int] = set()
    for chunk in np.array_split(np.arange(len(t)), buckets):
        part = y[chunk]
        finite = np.isfinite(part)
        kept.update((int(chunk[0]), int(chunk[-1])))
        kept.update(int(k) for k in chunk[~finite][:1])
        if finite.any():
            kept.update((int(chunk[np.nanargmin(part)]), int(chunk[np.nanargmax(part)])))
    chosen = np.array(sorted(kept))
    return t[chosen], y[chosen]


def attribute_figure(
    t: np.ndarray,
    y: np.ndarray,
    row: SpecificationRow,
    unit: DisplayUnit,
    axis: TimeAxis,
    bands: Sequence[Band],
    measured: Series | None = None,
) -> str:
    """Draw a quality attribute against its limits, with what happened on lanes above; return SVG text.

    Parameters
    ----------
    t, y : (n,) course in SI.
    row : limits and label.
    unit : display unit of the attribute.
    axis : the time axis.
    bands : what is to be marked.
    measured : points to draw as well.
    """
    lanes = list(dict.fromkeys(band.lane for band in bands))
    with mpl.rc_context(STYLE):
        height = 3.0 + 0.2 * len(lanes)
        figure = Figure(figsize=(8.6, height), layout="constrained")
        if lanes:
            strip, axes = figure.subplots(2, 1, sharex=True, height_ratios=(0.2 * len(lanes), 2.7))
            _draw_lanes(strip, lanes, bands, axis)
        else:
            axes = figure.subplots()
        heights = _draw_measured(axes, measured, unit, axis, INK)
        _draw_limits(axes, t, y, row, unit, axis, heights)
        for band in bands:
            if band.disturbance:
                axes.axvspan(axis.unit.shown(band.start), axis.unit.shown(band.end), facecolor=ORANGE, alpha=0.18, linewidth=0, zorder=0)
        finish(axes, axis, unit.text)
        return svg_text(figure)


def _draw_limits(
    axes: Axes, t: np.ndarray, y: np.ndarray, row: SpecificationRow, unit: DisplayUnit, axis: TimeAxis, heights: Sequence[float]
) -> None:
    x, shown, begin = axis.unit.shown(t), unit.shown(y), axis.unit.shown(row.after)
    lower, upper = unit.shown(row.lower), unit.shown(row.upper)
    low, high = _range([*heights, *shown[np.isfinite(shown)], *(z for z in (lower, upper, unit.shown(row.target)) if math.isfinite(z))])
    axes.set_ylim(low, high)
    for limit, beyond, edge, name in ((upper, np.greater, high, "upper limit"), (lower, np.less, low, "lower limit")):
        if math.isnan(limit):
            continue
        axes.plot([begin, axis.unit.shown(axis.horizon)], [limit, limit], color=INK, linestyle=(0, (6, 3)), linewidth=1.1)
        axes.fill_between([begin, axis.unit.shown(axis.horizon)], limit, edge, facecolor="#F3EDE8", linewidth=0, zorder=0)
        axes.annotate(
            f"{name} {format_number(limit)}",
            (1, limit),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3 if limit == upper else -3),
            textcoords="offset points",
            ha="right",
            va="bottom" if limit == upper else "top",
            fontsize=8,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
            zorder=4,
        )
        axes.fill_between(
            x,
            shown,
            limit,
            where=beyond(shown, limit) & (t >= row.after),
            interpolate=True,
            facecolor=VERMILLION,
            alpha=0.35,
            edgecolor=VERMILLION,
            hatch="////",
            linewidth=0,
        )
    if math.isfinite(row.target):
        axes.axhline(unit.shown(row.target), color=FAINT, linestyle=":", linewidth=1.1)
    for start, end in intervals_outside(*course_after(t, y, row.after), row.lower, row.upper):
        axes.axvspan(axis.unit.shown(start), axis.unit.shown(end), ymax=0.025, facecolor=VERMILLION, linewidth=0, zorder=3)
    axes.plot(*thin(x, shown), color=BLUE, linewidth=1.5)


def _draw_lanes(strip: Axes, lanes: Sequence[str], bands: Sequence[Band], axis: TimeAxis) -> None:
    for band in bands:
        y = len(lanes) - 1 - lanes.index(band.lane)
        style: dict[str, Any] = (
            {"facecolor": ORANGE, "hatch": "////", "edgecolor": "#8A5A00"} if band.disturbance else {"facecolor": SKY, "edgecolor": BLUE}
        )
        start, width = axis.unit.shown(band.start), axis.unit.shown(band.end) - axis.unit.shown(band.start)
        strip.broken_barh([(start, width)], (y + 0.16, 0.68), linewidth=0.6, **style)
        if band.label and not band.disturbance:
            if width > 0.05 * axis.unit.shown(axis.horizon):
                strip.text(start + width / 2, y + 0.48, printable(band.label), ha="center", va="center", fontsize=7.5)
        elif band.label and band.start < 0.25 * axis.horizon and band.end > 0.6 * axis.horizon:
            # beside it there is no room
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
            strip.text(start + width / 2, y + 0.48, printable(band.label), ha="center", va="center", fontsize=7, bbox=box)
        elif band.label:
            late = band.end > 0.6 * axis.horizon
            strip.annotate(
                printable(band.label),
                (start if late else start + width, y + 0.5),
                xytext=(-4 if late else 4, 0),
                textcoords="offset points",
                ha="right" if late else "left",
                va="center",
                fontsize=7.5,
            )
    strip.set_ylim(0, len(lanes))
    strip.set_yticks([len(lanes) - k - 0.5 for k in range(len(lanes))], [printable(lane) for lane in lanes], fontsize=7.5)
    strip.tick_params(axis="both", length=0, labelbottom=False)
    strip.grid(visible=False)
    strip.spines[["left", "bottom"]].set_visible(False)


def course_figure(t: np.ndarray, lines: Sequence[Line], unit: DisplayUnit, axis: TimeAxis, bands: Sequence[Band]) -> str:
    """Draw courses that belong together into one small figure; return SVG text.

    Where a common axis would show nothing but flat lines, such as fractions of 89, 10 and 1 %, each gets its own.
    """
    shown = [unit.shown(line.values) for line in lines]
    groups = [[k] for k in range(len(lines))] if apart(shown) else [list(range(len(lines)))]
    with mpl.rc_context(STYLE):
        labeled = any(line.label for line in lines)
        height = 2.5 if len(groups) == 1 else 1.0 + 0.85 * len(groups)
        figure = Figure(figsize=(5.2, height))
        # fixed margins: axes stand in line from figure to figure, and nothing has to be solved for
        figure.subplots_adjust(left=0.145, right=0.975, bottom=0.46 / height, top=1 - (0.36 if labeled else 0.2) / height, hspace=0.18)
        rows = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
        for axes, group in zip(rows, groups, strict=True):
            for band in bands:
                color = ORANGE if band.disturbance else SKY
                axes.axvspan(axis.unit.shown(band.start), axis.unit.shown(band.end), facecolor=color, alpha=0.28, linewidth=0, zorder=0)
            heights: list[float] = []
            for k in group:
                heights += _draw_measured(axes, lines[k].measured, unit, axis, lines[k].color)
                line, label = lines[k], printable(lines[k].label) or None
                axes.plot(*thin(axis.unit.shown(t), shown[k]), color=line.color, linestyle=line.dash, linewidth=1.3, label=label)
            values = np.concatenate([shown[k] for k in group])
            axes.set_ylim(*_range([*values[np.isfinite(values)], *heights]))
            finish(axes, axis, unit.text, ticks=6 if len(groups) == 1 else 3, last=axes is rows[-1])
        if labeled:
            figure.legend(loc="upper left", ncols=4, handlelength=1.8, columnspacing=1.4, borderaxespad=0.1)
        figure.align_ylabels()
        return svg_text(figure)


def apart(courses: Sequence[np.ndarray]) -> bool:
    """Tell whether courses are to have an axis each: few of them, and all flat on a common one, though some do move."""
    if not 1 < len(courses) <= 4 or not all(np.isfinite(course).any() for course in courses):
        return False
    spans = [float(np.nanmax(course) - np.nanmin(course)) for course in courses]
    common = max(float(np.nanmax(course)) for course in courses) - min(float(np.nanmin(course)) for course in courses)
    return 0 < max(spans) < 0.15 * common


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return axis limits with room around; a course that hardly changes is not blown up to noise."""
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(min(values)), float(max(values))
    if low == high == 0.0:
        return -1.0, 1.0
    span = max(high - low, 2e-3 * max(abs(low), abs(high)), 1e-12)
    middle = (low + high) / 2
    return middle - 0.6 * span, middle + 0.6 * span


def finish(axes: Axes, axis: TimeAxis, unit: str, ticks: int = 6, last: bool = True) -> None:
    """Give axes their time, their unit and their ticks, and mark what a run did not come to."""
    end = axis.unit.shown(axis.horizon)
    axes.set_xlim(0, end)
    if last:
        axes.set_xlabel(f"time [{axis.unit.text}]")
    axes.set_ylabel(f"[{unit}]" if unit else "[–]")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 2.5, 3, 5, 6, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=ticks))
    if not axis.complete:
        reached = axis.unit.shown(axis.reached)
        axes.axvspan(reached, end, facecolor="#EEEEEE", edgecolor="#777777", hatch="xx", linewidth=0, zorder=4)
        axes.axvline(reached, color=BLACK, linewidth=2, zorder=5)
        axes.text(
            0.5,
            0.5,
            "INCOMPLETE RUN",
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=20 if ticks == 6 else 13,
            fontweight="bold",
            color=VERMILLION,
            alpha=0.55,
            rotation=12,
            zorder=6,
        )


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG text, the same bytes for the same figure."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # a name in a script that the font lacks shows as boxes; the table beside has it in full
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # a hundredth of a point is finer than any printer
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), buffer.getvalue())
