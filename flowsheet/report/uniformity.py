"""The section of the report on content uniformity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from flowsheet.display import DisplayUnit, format_number
from flowsheet.report.markup import Cell, Verdict, card, image, judged, number, row, table, text
from flowsheet.report.plots import BLUE, FAINT, INK, STYLE, VERMILLION, TimeAxis, finish, svg_text
from flowsheet.report.view import View
from flowsheet.results import UniformityRow
from flowsheet.uniformity import ACCEPTABILITY, MOST_VALUE, STAGE_1, STAGE_2, WIDEST_UNIT


def cards(view: View) -> list[str]:
    """Return a card for each test; one that the run did not come to is not judged."""
    done = [_card(test) for test in view.results.uniformity]
    return done + [card(_label(entry), "Not sampled", _why(view, entry), Verdict.NEUTRAL) for entry in _left_out(view)]


def section(view: View) -> str:
    """Return the table of the tests and a picture of each sample."""
    parts = [_test(view, test) for test in view.results.uniformity]
    parts += [f'<p class="verdict">{text(f"{_label(entry)}: not sampled. {_why(view, entry)}")}</p>' for entry in _left_out(view)]
    return "".join(parts)


def said(test: UniformityRow) -> str:
    """Return the verdict in words."""
    return f"Passes at stage {1 if test.passes_stage_1 else 2}" if test.passes else "FAILS"


def _label(entry: Mapping[str, Any]) -> str:
    return str(entry.get("label") or "Content uniformity")


def _left_out(view: View) -> Sequence[Mapping[str, Any]]:
    return [entry for entry in view.case.get("uniformity", ()) if entry["end"]["value"] > view.results.t[-1]]


def _why(view: View, entry: Mapping[str, Any]) -> str:
    return f"The run stopped at {view.at(view.axis.reached)}, before the last tablet was to be taken at {view.at(entry['end']['value'])}."


def _card(test: UniformityRow) -> str:
    stage = 1 if test.passes_stage_1 else 2
    value = test.acceptance_value_1 if stage == 1 else test.acceptance_value_2
    why = f"acceptance value {format_number(value, 3)} with {(STAGE_1, STAGE_2)[stage - 1]} tablets; at most {MOST_VALUE:g}"
    return card(test.label, said(test), why, Verdict.GOOD if test.passes else Verdict.BAD)


def _test(view: View, test: UniformityRow) -> str:
    stages = (
        (STAGE_1, test.mean_1, test.deviation_1, test.reference_1, test.acceptance_value_1, test.passes_stage_1, test.pass_probability_1),
        (STAGE_2, test.mean_2, test.deviation_2, test.reference_2, test.acceptance_value_2, test.passes_stage_2, test.pass_probability),
    )
    body = []
    for stage, (units, mean, deviation, reference, value, passes, probability) in enumerate(stages, start=1):
        verdict = judged("passes", Verdict.GOOD) if passes else judged("does not pass", Verdict.BAD)
        if stage == 2 and test.passes_stage_1:
            verdict = Cell("not asked for: passed at stage 1")
        contents = test.contents[:units]
        numbers = [number(format_number(x, 4)) for x in (mean, deviation, reference, min(contents), max(contents), value)]
        body.append(row([f"stage {stage}", number(str(units)), *numbers, verdict, number(f"{format_number(100 * probability, 3)} %")]))
    header = ("", "Tablets", "Mean", "s", "M", "Lowest", "Highest", "Acceptance value", "Verdict", "Expected to pass")
    claim = view.display.unit("kg", test.label_claim).label(test.label_claim)
    spreads = f"{format_number(100 * test.within_blend_rsd, 3)} % within the blend"
    if test.other_rsd > 0:
        spreads += f" and {format_number(100 * test.other_rsd, 3)} % by die filling and assay"
    constants = " and ".join(f"{k:g}" for k in ACCEPTABILITY.values())
    how = (
        f"Virtual tablets from {view.at(test.start)} to {view.at(test.end)}, seed {test.seed}. Contents in % of {claim}: assay times "
        f"tablet mass of the run, times random factors with relative standard deviations of {spreads}, which are assumptions of the case. "
        f"Acceptance value |M − mean| + k s by USP <905>, k = {constants}, at most {MOST_VALUE:g} at both stages; at stage 2 every tablet "
        f"within {WIDEST_UNIT:g} % of M. Expected to pass: share of {test.trials} other samples at random times that pass at stage 1, "
        "and at either stage."
    )
    told = f"Contents of {len(test.contents)} tablets; {said(test)}"
    caption = f"<b>{text(test.label)}</b> <code>{text(test.assay)}</code> × <code>{text(test.mass)}</code>"
    verdict_class = "good" if test.passes else "bad"
    return (
        f'<p class="verdict {verdict_class}">{text(f"{test.label}: {said(test)}")}</p>{table(header, body, (1, 2, 3, 4, 5, 6, 7, 9))}'
        f'<figure class="attribute"><figcaption>{caption}</figcaption><div class="wide">{image(_figure(view, test), told)}</div></figure>'
        f'<p class="lead">{text(how)}</p>'
    )


def _figure(view: View, test: UniformityRow) -> str:
    results = view.results
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.2), layout="constrained")
        axes = figure.subplots()
        content = 100 * results[test.assay] * results[test.mass] / test.label_claim
        _draw_sample(axes, view.axis, results.t, content, test)
        finish(axes, view.axis, "")
        axes.set_ylabel("[% of label claim]")
        return svg_text(figure)


def _draw_sample(axes: Any, axis: TimeAxis, t: np.ndarray, content: np.ndarray, test: UniformityRow) -> None:
    unit: DisplayUnit = axis.unit
    inside = (t >= test.start) & (t <= test.end)
    times, contents = unit.shown(np.array(test.times)), np.array(test.contents)
    middle = test.reference_2 if math.isfinite(test.reference_2) else 100.0
    limits = [(1 + sign * WIDEST_UNIT / 100) * middle for sign in (-1, 1)]
    known = [*limits, *contents[np.isfinite(contents)]]
    low, high = min(known), max(known)
    axes.set_ylim(low - 0.08 * (high - low), high + 0.22 * (high - low))
    axes.plot(unit.shown(t[inside]), content[inside], color=INK, linewidth=1.1, label="mean of the tablets made")
    groups = (
        (slice(STAGE_2, None), {"color": FAINT, "marker": ".", "s": 14}, "not tested"),
        (slice(STAGE_1, STAGE_2), {"facecolor": "white", "edgecolor": BLUE, "s": 26}, "added at stage 2"),
        (slice(STAGE_1), {"color": BLUE, "s": 26}, "stage 1"),
    )
    for part, style, label in groups:
        if len(times[part]):
            axes.scatter(times[part], contents[part], zorder=3, label=label, **style)
    outside = (contents < limits[0]) | (contents > limits[1])
    if outside.any():
        axes.scatter(times[outside], contents[outside], marker="x", s=48, color=VERMILLION, zorder=4, label="outside the limits")
    for limit, name, above in ((limits[1], "upper", True), (limits[0], "lower", False)):
        axes.axhline(limit, color=INK, linestyle=(0, (6, 3)), linewidth=1.1)
        axes.annotate(
            f"{name} limit of a tablet at stage 2, {1 + (0.25 if above else -0.25):g} M = {format_number(limit)}",
            (1, limit),
            xycoords=("axes fraction", "data"),
            xytext=(-2, -3 if above else 3),
            textcoords="offset points",
            ha="right",
            va="top" if above else "bottom",
            fontsize=8,
        )
    if math.isfinite(test.reference_2):
        axes.axhline(test.reference_2, color=FAINT, linestyle=":", linewidth=1.1, label=f"M = {format_number(test.reference_2)}")
    for edge in (test.start, test.end):
        if 0 < edge < axis.horizon:
            axes.axvline(unit.shown(edge), color=FAINT, linewidth=0.8)
    axes.legend(loc="upper left", ncols=6, borderaxespad=0.1, handletextpad=0.4, columnspacing=1.2)
