r"""Residence-time convolution: what leaves a vessel, from what was recorded at its inlet.

A vessel through which material passes at constant flow is described by the ages at which material leaves it: the exit-age
density E(a) (1/s) with its cumulative F(a) (Danckwerts 1953, Chem. Eng. Sci. 2:1, equations 1 to 5). Its outlet is

.. math::  y(t) = \int_0^\infty E(a)\, x(t - a)\, da .

The inlet x is recorded at times that need not be equally spaced, and is a straight line between them; two values at one time
are a jump. The distribution comes as a table, either of E (straight lines between ages) or of F (straight lines, thus exact
shares of each age interval). For these piecewise linear data the integral is exact up to rounding; against the smooth curves
that they stand for the error falls with the square of the spacing.

**Mass.** The integral of the outlet over all time is that of the inlet times the integral of E, and the distribution is
scaled to integrate to 1: nothing is lost or made, provided the record goes on until all has left.

**Constant flow only.** x is a concentration or mass fraction. When the flow changes, a convolution with fixed ages does not
conserve mass; a unit with a hold-up has to be simulated instead. Hand in ``flow`` to have a changing flow refused.

**Before the record** the inlet is taken as constant, at its first value or at ``before`` if that is given.

Cost: O(outlet times x (log(points) + points within the oldest age + ages)); nothing is kept between calls, and the
interpreter lock is released.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csrc._rtd import convolve as _convolve

__all__ = ["convolve_cumulative", "convolve_density"]

Array = NDArray[np.float64]
Numbers = NDArray[np.floating] | Sequence[float]


def convolve_density(
    times: Numbers,
    inlet: Numbers,
    ages: Numbers,
    density: Numbers,
    at: Numbers,
    *,
    before: float | None = None,
    flow: Numbers | None = None,
    mass_tolerance: float = 1e-3,
    flow_tolerance: float = 1e-3,
) -> Array:
    """Return the outlet for a tabulated exit-age density E.

    Parameters
    ----------
    times : (n,) times of the record in s, not decreasing; two equal times are a jump, after which the later value holds.
    inlet : (n,) concentration or mass fraction at those times, any unit.
    ages : (m,) ages in s, m >= 2, increasing, not negative. E is zero outside them.
    density : (m,) E in 1/s, not negative; a straight line between ages.
    at : (k,) times in s for which the outlet is wanted, in any order, within the record.
    before : inlet before ``times[0]``; the first value if not given.
    flow : (n,) flow at ``times``, any unit; only checked to be constant.
    mass_tolerance : how far the integral of E may be from 1 before it is scaled to 1.
    flow_tolerance : how far the flow may be from its first value, relative to that.

    Returns
    -------
    outlet : (k,) in the unit of ``inlet``.

    Raises
    ------
    ValueError : an argument is not what is said above; its name, and the index where there is one, stand in the message.

    Examples
    --------
    Everything leaves between 10 s and 30 s of age; the inlet steps from 0 to 1 at 5 s:

    >>> convolve_density([0, 5, 5, 60], [0, 0, 1, 1], [10, 30], [0.05, 0.05], [10, 25, 40]).tolist()
    [0.0, 0.5, 1.0]
    """
    ages = _vector("ages", ages, at_least=2)
    density = _vector("density", density, length=ages.size, length_of="ages")
    _refuse("ages", ages[0] < 0, 0, "is negative")
    _refuse_first("ages", np.diff(ages) <= 0, 1, "is not greater than the age before it")
    _refuse_first("density", density < 0, 0, "is negative")
    twice = density[:-1] + density[1:]
    mass = 0.5 * twice * np.diff(ages)
    skew = np.divide(density[1:] - density[:-1], twice, out=np.zeros_like(twice), where=twice > 0)
    return _outlet(times, inlet, ages, _scaled("density", "integrates to", mass, mass_tolerance), skew, at, before, flow, flow_tolerance)


def convolve_cumulative(
    times: Numbers,
    inlet: Numbers,
    ages: Numbers,
    cumulative: Numbers,
    at: Numbers,
    *,
    before: float | None = None,
    flow: Numbers | None = None,
    mass_tolerance: float = 1e-3,
    flow_tolerance: float = 1e-3,
) -> Array:
    """Return the outlet for a tabulated cumulative exit-age distribution F.

    Prefer this to a density where F is known: the share of each age interval is then exact, and pure delays and bypasses can
    be written down.

    Parameters
    ----------
    times, inlet, at, before, flow, flow_tolerance : as in :func:`convolve_density`.
    ages : (m,) ages in s, m >= 1, not decreasing, not negative; two equal ages are a jump of F, a part that is only delayed.
    cumulative : (m,) fraction that has left by each age, from 0 to 1, not decreasing; what it is at the first age leaves at
        that age (a bypass, if the age is 0).
    mass_tolerance : how far the last fraction may be from 1 before all are scaled so that it is 1.

    Returns
    -------
    outlet : (k,) in the unit of ``inlet``.

    Raises
    ------
    ValueError : an argument is not what is said above; its name, and the index where there is one, stand in the message.

    Examples
    --------
    A pure delay of 10 s:

    >>> convolve_cumulative([0, 5, 5, 60], [0, 0, 1, 1], [10], [1], [14, 16]).tolist()
    [0.0, 1.0]
    """
    ages = _vector("ages", ages, at_least=1)
    cumulative = _vector("cumulative", cumulative, length=ages.size, length_of="ages")
    _refuse("ages", ages[0] < 0, 0, "is negative")
    _refuse_first("ages", np.diff(ages) < 0, 1, "is less than the age before it")
    _refuse("cumulative", cumulative[0] < 0, 0, "is negative")
    _refuse_first("cumulative", np.diff(cumulative) < 0, 1, "is less than the fraction before it")
    mass = np.diff(cumulative, prepend=0.0)
    edges: Array = np.concatenate((ages[:1], ages))  # the first share leaves at the first age: a cell of no width
    return _outlet(
        times, inlet, edges, _scaled("cumulative", "ends at", mass, mass_tolerance), np.zeros_like(mass), at, before, flow, flow_tolerance
    )


def _outlet(
    times: Numbers,
    inlet: Numbers,
    ages: Array,
    mass: Array,
    skew: Array,
    at: Numbers,
    before: float | None,
    flow: Numbers | None,
    flow_tolerance: float,
) -> Array:
    """Check the record and convolve it with a distribution given by cells."""
    times = _vector("times", times, at_least=1)
    inlet = _vector("inlet", inlet, length=times.size, length_of="times")
    at = _vector("at", at)
    _refuse_first("times", np.diff(times) < 0, 1, "is less than the time before it")
    _refuse_first("at", (at < times[0]) | (at > times[-1]), 0, f"is outside the record, {times[0]:g} s to {times[-1]:g} s")
    start = inlet[0] if before is None else float(before)
    if not np.isfinite(start):
        raise ValueError(f"before is not finite (got {start!r})")
    if flow is not None:
        flow = _vector("flow", flow, length=times.size, length_of="times")
        _refuse("flow", flow[0] <= 0, 0, "is not positive")
        changed = np.abs(flow - flow[0]) > flow_tolerance * flow[0]
        _refuse_first("flow", changed, 0, "differs from the first flow: a convolution does not conserve mass when the flow changes")
    return _convolve(times, inlet, start, ages, mass, skew, at)


def _vector(name: str, values: Numbers, *, at_least: int = 0, length: int | None = None, length_of: str = "") -> Array:
    """Return the values as a contiguous vector of doubles, or refuse them by name."""
    vector = np.ascontiguousarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{name} has to be one-dimensional (got shape {vector.shape})")
    if vector.size < at_least:
        raise ValueError(f"{name} needs {at_least} or more values (got {vector.size})")
    if length is not None and vector.size != length:
        raise ValueError(f"{name} needs as many values as {length_of}, {length} (got {vector.size})")
    finite = np.isfinite(vector)
    if not finite.all():
        index = int(np.argmin(finite))
        raise ValueError(f"{name}[{index}] is not finite (got {vector[index]})")
    return vector


def _refuse(name: str, wrong: bool | np.bool_, index: int, complaint: str) -> None:
    """Refuse one value by name and index."""
    if wrong:
        raise ValueError(f"{name}[{index}] {complaint}")


def _refuse_first(name: str, wrong: NDArray[np.bool_], offset: int, complaint: str) -> None:
    """Refuse a vector by the index of its first wrong value; ``offset`` is the index that ``wrong[0]`` speaks of."""
    if wrong.any():
        _refuse(name, True, int(np.argmax(wrong)) + offset, complaint)


def _scaled(name: str, verb: str, mass: Array, tolerance: float) -> Array:
    """Return the shares scaled to a sum of 1, or refuse them if they are too far from it."""
    total = float(mass.sum())
    if not abs(total - 1.0) <= tolerance:
        raise ValueError(f"{name} {verb} {total:.6g} and not 1 (tolerance {tolerance:g}): take more or finer ages")
    return mass / total
