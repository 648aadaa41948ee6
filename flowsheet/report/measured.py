"""What was measured, over what was simulated."""

from __future__ import annotations

import math

import numpy as np

from flowsheet.display import DisplayUnit, format_number
from flowsheet.report.markup import Cell, Verdict, card, image, number, row, table, text
from flowsheet.report.plots import Line, course_figure
from flowsheet.report.view import View
from flowsheet.results import Field, FitRow, split_name


def fit_card(view: View) -> str:
    """Return the card that says how well the run fits what was measured."""
    fits = view.results.fits
    known = sorted(fit.r_squared for fit in fits if not math.isnan(fit.r_squared))
    ends = dict.fromkeys(format_number(value, 3) for value in (*known[:1], *known[-1:]))
    said = f"R² {' to '.join(ends)}" if ends else "No R²: samples that do not vary"
    compared, samples = sum(fit.compared for fit in fits), sum(fit.samples for fit in fits)
    count = f"{len(fits)} variable{'s' if len(fits) != 1 else ''}"
    left_out = "" if compared == samples else f" of {samples}; the others lie after the end of the run"
    return card("Measured data", said, f"{count}, {compared} values{left_out}", Verdict.NEUTRAL)


def data(view: View) -> str:
    """Return the table of misfits and a figure for each variable that was measured."""
    header = ("Variable", "Data", "Samples", "R² [–]", "Root mean square", "Mean of (misfit/deviation)² [–]")
    body = [row(_cells(view, fit)) for fit in view.results.fits]
    how = (
        "Misfit is simulated minus measured, at the times of the samples. R² = 1 − SSE/SST over the samples; the last column is the mean "
        "of the squares of misfit over standard deviation where that is known: near 1 where the model is as good as the data. "
        "Curves are simulated, circles measured, bars one standard deviation."
    )
    figures = "".join(_figure(view, fit) for fit in view.results.fits)
    return f'{table(header, body, (2, 3, 4, 5))}<p class="lead">{text(how)}</p><div class="grid">{figures}</div>'


def _field_of(view: View, variable: str) -> Field:
    return view.results.field(split_name(variable)[0])


def _unit(view: View, variable: str) -> DisplayUnit:
    values = np.concatenate([view.results[variable], view.results.data[variable].values])
    return view.unit_of(_field_of(view, variable), values)


def _cells(view: View, fit: FitRow) -> list[Cell]:
    unit = _unit(view, fit.variable)
    samples = str(fit.compared) + (f" of {fit.samples}" if fit.compared < fit.samples else "")
    few = f" ({fit.weighted} samples)" if 0 < fit.weighted < fit.compared else ""
    return [
        Cell(fit.variable, code=True),
        Cell(fit.label),
        number(samples),
        number(format_number(fit.r_squared, 4, padded=True)),
        # a misfit is a difference, and has no offset
        number(f"{format_number(unit.factor * fit.rms, 3, padded=True)} {unit.text}".rstrip()),
        number(format_number(fit.normalized, 3, padded=True) + few),
    ]


def _figure(view: View, fit: FitRow) -> str:
    name = fit.variable
    line = Line("", view.results[name], measured=view.results.data[name])
    owner = next((unit for unit in view.results.units if unit.unit == name.partition(".")[0]), None)
    bands = () if owner is None else (*view.disturbances_of(owner.unit), *view.happenings_of(owner))
    svg = course_figure(view.results.t, [line], _unit(view, name), view.axis, bands)
    doc = _field_of(view, name).doc or name
    index = ", ".join(split_name(name)[1])
    title = doc[:1].upper() + doc[1:] + (f": {index}" if index else "")
    caption = f"<b>{text(title)}</b> <code>{text(name)}</code>"
    return f"<figure><figcaption>{caption}</figcaption>{image(svg, f'{title}, simulated and measured')}</figure>"
