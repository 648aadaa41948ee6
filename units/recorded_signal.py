"""Recorded signals through a vessel while the flow changes: distributions of residence time for :mod:`csrc.rtd_stream`.

| symbol | name | meaning | unit |
|---|---|---|---|
| x | `fractions` | mass fractions at the inlet, recorded | - |
| q | `flow` | mass flow at the inlet, recorded | kg/s |
| M | `holdup` | mass in a vessel whose hold-up is constant | kg |

Two laws say what a changing flow does to the ages, and both conserve mass: a constant hold-up, whose outflow is its inflow
(:func:`constant_holdup`), and a mean time that is constant, whose hold-up follows the flow (:func:`constant_mean_time`).
"""

from __future__ import annotations

from csrc.rtd_stream import Coordinate, Outlet, Response, Stream, advance, begin, on_cells, pass_through
from units.arguments import positive
from units.residence_time import Distribution

__all__ = ["Outlet", "Response", "Stream", "advance", "begin", "constant_holdup", "constant_mean_time", "pass_through"]

AGES_PER_CELL = 4
"""Ages of the table for each cell: its straight lines err by a sixteenth of what the cells do."""


def constant_holdup(distribution: Distribution, holdup: float, width: float) -> Response:
    """Return the response of a vessel with constant hold-up, on cells of mass that has passed.

    Parameters
    ----------
    distribution : of the residence time at any one flow: the mean age is where one hold-up has passed.
    holdup, width : of the vessel and of a cell (kg).

    Raises
    ------
    UsageError : they are not positive.

    Examples
    --------
    >>> from units.residence_time import TanksInSeries
    >>> vessel = constant_holdup(TanksInSeries(60.0, 2.0), 0.5, 0.01)
    >>> out, _ = pass_through(vessel, [0.0, 100.0, 100.0, 400.0], [5e-3, 5e-3, 1e-2, 1e-2], [1.0, 1.0, 1.0, 1.0], before=0.0)
    >>> round(float(out.fractions[49, 0]), 3)  # one hold-up has passed
    0.589
    """
    kilograms = positive("holdup", holdup) / distribution.mean
    ages, cumulative = distribution.table(positive("width", width) / kilograms / AGES_PER_CELL)
    return on_cells(Coordinate.PASSED_MASS, width, ages * kilograms, cumulative)


def constant_mean_time(distribution: Distribution, width: float) -> Response:
    """Return the response of a vessel whose hold-up follows the flow, on cells of time.

    Parameters
    ----------
    distribution : of the residence time.
    width : of a cell (s).

    Raises
    ------
    UsageError : it is not positive.
    """
    return on_cells(Coordinate.TIME, positive("width", width), *distribution.table(width / AGES_PER_CELL))
