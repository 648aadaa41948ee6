"""Pictures of a trace, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowsheet.display import DisplayUnit, printable
from flowsheet.report.plots import BLUE, FAINT, INK, LINES, ORANGE, SKY, STYLE, VERMILLION, TimeAxis, finish, svg_text, thin
from flowsheet.trace.disturbances import Disturbance, Pulse
from flowsheet.trace.gates import GateResult
from flowsheet.trace.lots import Lot
from flowsheet.trace.steps import Funnel

PIXELS = 400
"""Columns of a heat map."""
WIDTH = 8.6


def lot_figure(lot: Lot, t: np.ndarray, axis: TimeAxis, mass: DisplayUnit, share: DisplayUnit) -> str:
    """Draw the share of a lot at each place over time, and below it how much of it units hold."""
    rows = 0.28 * len(lot.places)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4 + rows), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(0.6 + rows, 1.7))
        _heat(figure, above, t, {place.place + (" →" if place.leaves else ""): place.share for place in lot.places}, axis, share)
        held = [place for place in lot.places if not place.leaves]
        courses = [mass.shown(np.maximum(place.mass, 0.0)) for place in held]
        places = np.unique(np.round(np.linspace(0, len(t) - 1, 500)).astype(int))
        colors = [LINES[k % len(LINES)] for k in range(len(held))]
        if held:
            x, stack = axis.unit.shown(t)[places], [course[places] for course in courses]
            below.stackplot(x, stack, labels=[printable(place.place) for place in held], colors=colors, alpha=0.75)
            below.legend(loc="upper right", ncols=6, frameon=True, framealpha=0.85, edgecolor="none")
            below.set_ylim(0, 1.25 * max(float(np.max(np.sum(courses, axis=0))), 1e-12))
        finish(below, axis, mass.text)
        below.set_ylabel(f"held [{mass.text}]")
        return svg_text(figure)


def _heat(figure: Figure, axes: Axes, t: np.ndarray, courses: Mapping[str, np.ndarray], axis: TimeAxis, share: DisplayUnit) -> None:
    times = np.linspace(0.0, axis.horizon, PIXELS)
    grid = np.array([np.interp(times, t, share.shown(course)) for course in courses.values()])
    extent = (0.0, float(axis.unit.shown(axis.horizon)), len(courses) - 0.5, -0.5)
    axes.set_facecolor("#EEEEEE")
    largest = float(share.shown(1.0)) if np.nanmax(grid, initial=0.0) > float(share.shown(0.5)) else float(np.nanmax(grid, initial=1e-12))
    image = axes.imshow(grid, aspect="auto", extent=extent, cmap="Blues", vmin=0.0, vmax=largest, interpolation="nearest")
    axes.set_yticks(range(len(courses)), [printable(name) for name in courses])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.set_xlim(0, axis.unit.shown(axis.horizon))
    axes.set_xticklabels([])
    for line in range(1, len(courses)):
        axes.axhline(line - 0.5, color="white", linewidth=2)
    figure.colorbar(image, ax=axes, label=f"share [{share.text}]" if share.text else "share [–]", pad=0.01, aspect=12)


def disturbance_figure(
    each: Disturbance, t: np.ndarray, axis: TimeAxis, share: DisplayUnit, threshold: float, variables: Sequence[str]
) -> str:
    """Draw relative deviations of variables along the line, over the time in which there are any."""
    chosen = [effect for effect in each.effects if effect.variable in variables]
    ends = [effect.passage.intervals[-1][1] for effect in chosen if effect.passage.comes]
    end = min(max([*ends, each.pulse.end]) + 0.4 * (max([*ends, each.pulse.end]) - each.pulse.start), axis.horizon)
    begin = max(each.pulse.start - 0.1 * (end - each.pulse.start), 0.0)
    part = (t >= begin) & (t <= end)
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, max(len(chosen), 1)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(axis.unit.shown(each.pulse.start), axis.unit.shown(each.pulse.end), facecolor=ORANGE, alpha=0.28, linewidth=0)
        axes.axhspan(share.shown(-threshold), share.shown(threshold), facecolor="#EEF2F5", linewidth=0, zorder=0)
        for effect, color in zip(chosen, shades, strict=True):
            x, y = thin(axis.unit.shown(t[part]), share.shown(effect.deviation[part]))
            axes.plot(x, y, color=color, linewidth=1.4, label=printable(effect.variable))
        finish(axes, axis, share.text)
        axes.set_xlim(axis.unit.shown(begin), axis.unit.shown(end))
        axes.set_ylabel(f"relative deviation [{share.text or '–'}]")
        figure.legend(loc="outside right upper")
        return svg_text(figure)


def funnel_figure(each: Funnel, unit: DisplayUnit, pulses: Sequence[Pulse]) -> str:
    """Draw the largest tolerable disturbances over their duration; those of the case are points."""
    duration = np.array([row.duration for row in each.rows])
    lines = {"up": [row.most_up for row in each.rows], "down": [row.most_down for row in each.rows]}
    tanks = {"up": [row.tanks_up for row in each.rows], "down": [row.tanks_down for row in each.rows]}
    own = [pulse for pulse in pulses if pulse.variable == each.spec.input]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        axes = figure.subplots()
        signs = {"up": 1.0, "down": -1.0}
        for name, color in (("up", BLUE), ("down", VERMILLION)):
            size = signs[name] * unit.factor * np.array(lines[name])
            axes.plot(duration, size, color=color, linewidth=1.7, label=f"{name}, by the model")
            if each.chain is None:
                continue
            axes.plot(
                duration, signs[name] * unit.factor * np.array(tanks[name]), color=color, linestyle="--", label=f"{name}, tanks in series"
            )
        shown = np.abs([unit.factor * value for side in lines.values() for value in side])
        shown = shown[np.isfinite(shown) & (shown > 0)]
        top = 6 * float(np.min(shown)) if len(shown) else 1.0
        top = max([top, *(1.3 * abs(unit.factor * pulse.height) for pulse in own)])
        for name in lines:
            size = np.clip(unit.factor * np.nan_to_num(np.array(lines[name]), posinf=1e300), 0, top)
            axes.fill_between(duration, signs[name] * size, signs[name] * top, facecolor="#F3EDE8", linewidth=0, zorder=0)
        for pulse in own:
            axes.plot([pulse.end - pulse.start], [unit.factor * pulse.height], "D", color=INK, markersize=6, zorder=4)
            beside = {"xytext": (7, 5), "textcoords": "offset points", "fontsize": 8, "zorder": 4}
            axes.annotate(printable(pulse.label), (pulse.end - pulse.start, unit.factor * pulse.height), **beside)  # type: ignore[arg-type]
        axes.axhline(0.0, color=FAINT, linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xlim(duration[0], duration[-1])
        axes.set_ylim(-top, top)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("duration of the disturbance [s]")
        axes.set_ylabel(f"height [{unit.text or '–'}]")
        for side in (1, -1):
            place = (0.985, 0.5 + 0.44 * side)
            axes.text(*place, "out of specification", transform=axes.transAxes, ha="right", va="center", fontsize=8, color="#7A4A2A")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return svg_text(figure)


def gate_figure(each: GateResult, t: np.ndarray, axis: TimeAxis, units: tuple[DisplayUnit, DisplayUnit]) -> str:
    """Draw what is watched with its limits and what is diverted, and above it what the sensor reads, with two standard deviations."""
    same = each.spec.sensor == each.spec.watch
    panels: list[tuple[str, np.ndarray, float, float, DisplayUnit]] = []
    if not same:
        panels.append((each.spec.sensor, each.reading, each.gate.lower, each.gate.upper, units[1]))
    panels.append((each.spec.watch, each.watched, each.lower, each.upper, units[0]))
    begin, end = _span(each, axis)
    part = (t >= begin) & (t <= end)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.0 + 1.8 * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, course, lower, upper, unit) in zip(rows, panels, strict=True):
            known: list[float] = [unit.shown(limit) for limit in (lower, upper) if not math.isnan(limit)]
            for limit in known:
                axes.axhline(limit, color=INK, linestyle=(0, (6, 3)), linewidth=1.1)
            if axes is rows[-1]:
                _windows(axes, each, axis)
            x, y = thin(axis.unit.shown(t[part]), unit.shown(course[part]))
            noisy = 2 * unit.factor * each.gate.deviation if name == each.spec.sensor else 0.0
            axes.plot(x, y, color=BLUE, linewidth=1.5)
            axes.fill_between(x, y - noisy, y + noisy, facecolor=SKY, alpha=0.3, linewidth=0)
            low, high = min([*known, float(np.nanmin(y)) - noisy]), max([*known, float(np.nanmax(y)) + noisy])
            axes.set_ylim(low - 0.12 * (high - low or 1.0), high + 0.12 * (high - low or 1.0))
            axes.set_title(printable(name), loc="left", fontsize=8.5)
            finish(axes, axis, unit.text, ticks=4, last=axes is rows[-1])
            axes.set_xlim(axis.unit.shown(begin), axis.unit.shown(end))
        return svg_text(figure)


def _span(each: GateResult, axis: TimeAxis) -> tuple[float, float]:
    """Return the stretch of time that is worth a look: about all that is bad or diverted."""
    intervals = [*((window.start, window.end) for window in each.result.windows), *each.result.bad_intervals]
    if not intervals:
        return 0.0, axis.horizon
    first, last = min(a for a, _ in intervals) - each.gate.last, max(b for _, b in intervals)
    around = 0.5 * (last - first) + 60.0
    return max(first - around, 0.0), min(last + around, axis.horizon)


def _windows(axes: Axes, each: GateResult, axis: TimeAxis) -> None:
    style: dict[str, Any] = {"facecolor": ORANGE, "alpha": 0.3, "linewidth": 0, "zorder": 0}
    for number, window in enumerate(each.result.windows):
        label = "diverted" if number == 0 else None
        axes.axvspan(axis.unit.shown(window.start), axis.unit.shown(window.end), label=label, **style)
    for number, (a, b) in enumerate(each.result.bad_intervals):
        label = "out of specification" if number == 0 else None
        axes.axvspan(axis.unit.shown(a), axis.unit.shown(b), ymax=0.05, facecolor=VERMILLION, linewidth=0, zorder=3, label=label)
    if each.result.windows or each.result.bad_intervals:
        axes.legend(loc="upper right", ncols=2, frameon=True, framealpha=0.85, edgecolor="none")
