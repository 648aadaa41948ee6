r"""Residence-time convolution of recorded signals while the flow changes, chunk by chunk.

A distribution of ages stays fixed in one of two coordinates, and a convolution in it conserves mass whatever the flow does:

- ``PASSED_MASS``, a vessel with constant hold-up: in the mass that has passed, :math:`W = \int q\,dt`, the fraction at the outlet is
  :math:`y(W) = \int_0^\infty E(w)\,x(W-w)\,dw`. One turn of the vessel takes as long as its hold-up takes to pass.
- ``TIME``, a hold-up that follows the flow so that the mean time stays: component mass flows convolve in time,
  :math:`(q y)(t) = \int_0^\infty E(a)\,(q x)(t-a)\,da`, and so does the total flow.

The coordinate is cut into cells of one width. What enters in a cell is integrated exactly (flow and fractions are straight lines between
the points of the record, so that their product is a parabola; the times at which W passes an edge are roots of a quadratic). Of what
enters in a cell, the share :math:`p_j = \int E(w)\,\max(0, 1 - |w/\Delta - j|)\,dw` leaves j cells later: exact for what enters evenly
within a cell. The shares are not negative, sum to 1 and have the mean age of the distribution. Cells convolve by FFT, overlap and add.

**Mass.** What has entered since the start is what has left plus the growth of what is held, to rounding. **Order.** Against smooth
records the error of what leaves in a cell falls with the square of the width. **Cost.** O(n log m) for n points and cells in chunks of m
cells or more, m the cells that the distribution spans; O(n m) for chunks of a few cells.

A :class:`Stream` holds all that the future needs; nothing else is kept, and chunks give what the whole record does, to 1e-14 of the
largest cell. Results come when a cell is full: the open cell at the end of a record stays in the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import oaconvolve

from csrc.checks import positive, refuse

__all__ = ["Coordinate", "Outlet", "Response", "Stream", "advance", "begin", "on_cells", "pass_through"]

Array = NDArray[np.float64]

MOST_CELLS = 50_000_000
"""Cells that a distribution or a chunk may span."""
LEAST_SHARE = 1e-9
"""Of the most that entered in a cell: what is less than that has lost its digits, as sums by FFT are good to 1e-16 of the most."""
FEW_CELLS = 4
"""Chunks up to this are summed directly: a transform would cost more, and cells of zero stay zero."""


class Coordinate(Enum):
    """In what a distribution of ages stays fixed when the flow changes."""

    PASSED_MASS = "constant hold-up: ages in kg that have passed"
    TIME = "constant mean time: ages in s"


@dataclass(frozen=True)
class Response:
    """A distribution on cells: width of a cell (kg or s), and the shares (m,) that leave 0, 1, ... cells after they entered."""

    coordinate: Coordinate
    width: float
    shares: Array


@dataclass(frozen=True)
class Stream:
    """All that what comes next needs of what came before.

    Parameters
    ----------
    point : (2 + c,) last point of the record: time (s), flow (kg/s), fractions.
    started : time (s) of the first point.
    passed : coordinate (kg or s) since then.
    cells : how many have been filled.
    opened : time (s) at which the open cell began to fill.
    entered : (1 + c,) what has entered in it (kg): in total, of each component.
    tail : (1 + c, m - 1) what came before it and will leave in it and the cells after (kg).
    """

    point: Array
    started: float
    passed: float
    cells: int
    opened: float
    entered: Array
    tail: Array

    @property
    def held(self) -> Array:
        """Mass in the vessel (1 + c,), in kg: in total, of each component."""
        found: Array = self.entered + self.tail.sum(axis=1)
        return found


@dataclass(frozen=True)
class Outlet:
    """What left in k cells.

    Parameters
    ----------
    times : (k + 1,) when the edges of the cells were passed (s).
    total : (k,) mass that left in each (kg).
    amounts : (k, c) mass of each component (kg).
    least : mass per cell (kg) below which rounding would show in a fraction.
    """

    times: Array
    total: Array
    amounts: Array
    least: float

    @property
    def fractions(self) -> Array:
        """Mean fractions (k, c) of what left in each cell; not a number where next to nothing did."""
        told = self.total[:, None] > self.least
        return np.divide(self.amounts, self.total[:, None], out=np.full_like(self.amounts, np.nan), where=told)


def on_cells(coordinate: Coordinate, width: float, ages: ArrayLike, cumulative: ArrayLike, *, mass_tolerance: float = 1e-3) -> Response:
    """Return a tabulated cumulative distribution F on cells, exactly.

    Parameters
    ----------
    coordinate : what the ages are.
    width : of a cell, in the unit of the ages.
    ages, cumulative : (m,) table as in :func:`csrc.rtd.convolve_cumulative`: straight lines between, two equal ages are a jump, what the
        first age has leaves at it.
    mass_tolerance : how far the last fraction may be from 1 before all are scaled so that it is 1.

    Raises
    ------
    ValueError : an argument is not what is said here.

    Examples
    --------
    Half leaves at once, half after one and a half cells:

    >>> on_cells(Coordinate.TIME, 10.0, [0.0, 15.0, 15.0], [0.5, 0.5, 1.0]).shares.tolist()
    [0.5, 0.25, 0.25]
    """
    width = positive("width", width)
    at, part = _vector("ages", ages), _vector("cumulative", cumulative)
    if at.size != part.size or at.size == 0:
        raise ValueError(f"ages and cumulative need the same number of values (got {at.size} and {part.size})")
    refuse("ages", np.diff(at, prepend=0.0) < 0, at, "is less than the age before it, or negative")
    refuse("cumulative", np.diff(part, prepend=0.0) < 0, part, "is less than the fraction before it, or negative")
    if not abs(part[-1] - 1) <= mass_tolerance:
        raise ValueError(f"cumulative ends at {part[-1]:.6g} and not 1 (tolerance {mass_tolerance:g}): take more ages")
    _few_enough(at[-1] / width)
    at, part = np.append(at[0], at), np.append(0.0, part / part[-1])
    edges = width * np.arange(1, int(at[-1] / width) + 1)
    edges = edges[edges > at[0]]
    (at, part), _ = _cut(at, edges, at, part)
    place, mass = 0.5 * (at[1:] + at[:-1]) / width, np.diff(part)
    cell = np.floor(place).astype(np.intp)
    shares = np.bincount(cell, mass * (cell + 1 - place), cell[-1] + 2) + np.bincount(cell + 1, mass * (place - cell), cell[-1] + 2)
    last = int(np.flatnonzero(shares)[-1])
    kept: Array = shares[: last + 1] / shares.sum()
    kept.setflags(write=False)
    return Response(coordinate, width, kept)


def begin(
    response: Response,
    time: float,
    flow: float,
    fractions: ArrayLike,
    *,
    before_flow: float | None = None,
    before: ArrayLike | None = None,
) -> Stream:
    """Return the stream at the first point of a record; until then flow and fractions have been constant.

    Parameters
    ----------
    response : distribution on cells.
    time, flow : of the first point, in s and kg/s.
    fractions : (c,) or one number.
    before_flow : flow until then, if another one; it matters in ``TIME`` only.
    before : (c,) fractions until then, if others.

    Raises
    ------
    ValueError : a number that is not finite, a negative flow, or another number of fractions.
    """
    now = np.atleast_1d(np.asarray(fractions, dtype=np.float64))
    past = now if before is None else np.broadcast_to(np.asarray(before, dtype=np.float64), now.shape)
    rate = flow if before_flow is None else before_flow
    point = np.concatenate(([time, flow], now))
    for name, values in (("the first point", point), ("before", np.append(past, rate))):
        if not np.all(np.isfinite(values)):
            raise ValueError(f"{name} holds a number that is not finite")
    if min(flow, rate) < 0:
        raise ValueError(f"flow is negative (got {min(flow, rate):g})")
    cell = response.width * (rate if response.coordinate is Coordinate.TIME else 1.0) * np.append(1.0, past)
    later = np.cumsum(response.shares[:0:-1])[::-1]
    return Stream(point, float(time), 0.0, 0, float(time), np.zeros(1 + now.size), np.multiply.outer(cell, later))


def advance(response: Response, stream: Stream, times: ArrayLike, flow: ArrayLike, fractions: ArrayLike) -> tuple[Outlet, Stream]:
    """Return what leaves in the cells that further points of the record fill, and the stream after them.

    Parameters
    ----------
    response, stream : distribution on cells; the stream so far. Neither is changed.
    times : (n,) in s, not decreasing, from the stream's last time on; two points at one time are a jump.
    flow : (n,) in kg/s, not negative.
    fractions : (n, c), or (n,) for one component.

    Raises
    ------
    ValueError : an argument is not what is said here, fills too many cells, or the stream began with another response.
    """
    if stream.tail.shape[1] != response.shares.size - 1:
        raise ValueError(f"the stream began with another response (of {stream.tail.shape[1] + 1} cells and not {response.shares.size})")
    points = _points(stream, times, flow, fractions)
    t, q = points[:, 0], points[:, 1]
    span = np.diff(t)
    coordinate: Array = t - stream.started
    if response.coordinate is Coordinate.PASSED_MASS:
        coordinate = np.cumsum(np.append(stream.passed, 0.5 * (q[1:] + q[:-1]) * span))
    filled = int(coordinate[-1] / response.width)
    filled += int((filled + 1) * response.width <= coordinate[-1]) - int(filled * response.width > coordinate[-1])
    _few_enough(filled - stream.cells)
    edges: Array = response.width * np.arange(stream.cells + 1, filled + 1, dtype=np.float64)
    cut, new = _cut(coordinate, edges, *points.T, rate=None if response.coordinate is Coordinate.TIME else q)
    entered = _entered(cut, new, stream.entered, edges.size)
    out, tail = _overlap_add(response.shares, entered[:, :-1], stream.tail)
    opened = np.append(stream.opened, cut[0][new])
    after = Stream(points[-1], stream.started, float(coordinate[-1]), filled, float(opened[-1]), entered[:, -1].copy(), tail)
    most = max(float(part[0].max(initial=0.0)) for part in (entered, stream.tail))
    return Outlet(opened, out[0], out[1:].T, LEAST_SHARE * most), after


def pass_through(
    response: Response,
    times: ArrayLike,
    flow: ArrayLike,
    fractions: ArrayLike,
    *,
    before_flow: float | None = None,
    before: ArrayLike | None = None,
) -> tuple[Outlet, Stream]:
    """Return what leaves for a whole record, and the stream after it; arguments as in :func:`begin` and :func:`advance`.

    Examples
    --------
    A delay of 5 kg: at twice the flow it takes half the time.

    >>> delay = on_cells(Coordinate.PASSED_MASS, 1.0, [5.0], [1.0])
    >>> out, _ = pass_through(delay, [0, 4, 4, 8], [1, 1, 2, 2], [1, 1, 0, 0], before=0)
    >>> out.times.tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0]
    >>> out.fractions[:, 0].round(12).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    t, q, x = _vector("times", times), _vector("flow", flow), np.asarray(fractions, dtype=np.float64)
    if not (t.size and t.size == q.size == len(x)):
        raise ValueError(f"times, flow and fractions need as many points each (got {t.size}, {q.size} and {len(x)})")
    stream = begin(response, t[0], q[0], x[0], before_flow=before_flow, before=before)
    return advance(response, stream, t[1:], q[1:], x[1:])


def _cut(coordinate: Array, edges: Array, *lines: Array, rate: Array | None = None) -> tuple[list[Array], NDArray[np.bool_]]:
    """Put points where a coordinate that does not decrease first passes given edges; return straight lines with them, and which are new.

    The coordinate is a straight line too, or the integral of one, its ``rate``, by the first of the lines.
    """
    after = np.searchsorted(coordinate, edges, side="left")
    piece = after - 1
    ahead = edges - coordinate[piece]
    if rate is None:
        share = ahead / (coordinate[after] - coordinate[piece])
    else:
        ahead = ahead / (lines[0][after] - lines[0][piece])
        first, last = rate[piece], rate[after]
        share = 2 * ahead / (first + np.sqrt(np.maximum(first**2 + 2 * (last - first) * ahead, 0.0)))
    share = np.clip(share, 0.0, 1.0)
    new = np.zeros(coordinate.size + edges.size, dtype=bool)
    new[after + np.arange(edges.size)] = True
    cut = []
    for line in lines:
        found = np.empty(new.size)
        found[~new] = line
        start, end = line[piece], line[after]
        found[new] = np.clip(
            start + share * (end - start), np.minimum(start, end), np.maximum(start, end)
        )  # monotone whatever the rounding
        cut.append(found)
    return cut, new


def _entered(cut: list[Array], new: NDArray[np.bool_], unfilled: Array, filled: int) -> Array:
    """Return what enters in each cell (1 + c, filled + 1): integrals of flow times fraction over pieces, summed in their order."""
    t, q, *fractions = cut
    span, first, last = np.diff(t) / 6, q[:-1], q[1:]
    cell = np.append(0, np.cumsum(new)[:-1])
    found = np.empty((unfilled.size, filled + 1))
    found[0] = np.bincount(cell, np.append(unfilled[0], 3 * span * (first + last)), filled + 1)
    for k, x in enumerate(fractions, start=1):
        mass = span * (x[:-1] * (2 * first + last) + x[1:] * (first + 2 * last))
        found[k] = np.bincount(cell, np.append(unfilled[k], mass), filled + 1)
    return found


def _overlap_add(shares: Array, entered: Array, tail: Array) -> tuple[Array, Array]:
    """Return what leaves in as many cells as were entered, and what is left for the cells after."""
    cells, older = entered.shape[1], tail.shape[1]
    if cells > FEW_CELLS:
        full = oaconvolve(entered, shares[None, :], axes=1)
    else:
        full = np.zeros((len(entered), cells + older))
        for k, mass in enumerate(entered.T):
            full[:, k : k + shares.size] += np.multiply.outer(mass, shares)
    full[:, :older] += tail
    return full[:, :cells], full[:, cells:].copy()


def _points(stream: Stream, times: ArrayLike, flow: ArrayLike, fractions: ArrayLike) -> Array:
    """Return the stream's last point and the further ones, (1 + n, 2 + c), or refuse them by name."""
    t, q, x = _vector("times", times), _vector("flow", flow), np.asarray(fractions, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    number = stream.point.size - 2
    if q.size != t.size or x.shape != (t.size, number):
        got = f"{t.size}, {q.size} and {x.shape}"
        raise ValueError(f"times, flow and fractions need as many points each, with {number} fractions (got {got})")
    refuse("fractions", ~np.isfinite(x), x, "is not finite")
    refuse("flow", q < 0, q, "is negative")
    refuse("times", np.diff(t, prepend=stream.point[0]) < 0, t, "is less than the time before it")
    return np.vstack((stream.point, np.column_stack((t, q, x))))


def _vector(name: str, values: ArrayLike) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{name} has to be one-dimensional (got shape {vector.shape})")
    refuse(name, ~np.isfinite(vector), vector, "is not finite")
    return vector


def _few_enough(cells: float) -> None:
    if cells > MOST_CELLS:
        raise ValueError(f"{cells:.3g} cells are more than {MOST_CELLS:g}: take wider ones")
