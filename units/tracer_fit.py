"""Parameters of a residence-time distribution by least squares from a tracer curve, with confidence intervals.

The outlet is a measured inlet convolved with the distribution, or after an ideal pulse ``area E(t)`` with the area fitted along. With
residuals r, n points, p parameters and Jacobian J at the optimum: covariance ``r'r/(n - p) (J'J)^-1``, intervals
``value -+ t(n - p) standard error`` (Bates and Watts 1988, chapter 2), for noise that is even, independent and normal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, least_squares
from scipy.special import stdtrit

from csrc.rtd import convolve_cumulative
from solvers.errors import UsageError
from units.arguments import record
from units.measured_ages import MeasuredAges
from units.residence_time import DelayedTank, Distribution

Array = NDArray[np.float64]

WORST_CONDITION = 1e6
"""Condition of the Jacobian by relative parameters beyond which parameters are not told apart."""
MOST_AGES, AGES_PER_DEVIATION = 20_000, 40
"""Ages of the table that a record is convolved with, at most; how many for each standard deviation of the distribution."""


@dataclass(frozen=True)
class Fit:
    """A fitted distribution.

    Parameters
    ----------
    distribution : with the values found.
    names, values : (p,) parameters of the distribution, then the area if the inlet was an ideal pulse.
    covariance : (p, p) of the values.
    lower, upper : (p,) ends of their confidence intervals.
    outlet : (n,) fitted curve.
    deviation : standard deviation of the residuals, in the unit of the outlet.
    """

    distribution: Distribution
    names: tuple[str, ...]
    values: Array
    covariance: Array
    lower: Array
    upper: Array
    outlet: Array
    deviation: float

    @property
    def standard_errors(self) -> Array:
        """Standard errors of the values (p,)."""
        return np.sqrt(np.diag(self.covariance))


def fit_distribution(
    start: Distribution, times: ArrayLike, outlet: ArrayLike, *, inlet: ArrayLike | None = None, confidence: float = 0.95
) -> Fit:
    """Return the distribution of the kind of ``start`` whose outlet is nearest to a measured one.

    Parameters
    ----------
    start : where to begin; its mean has to be of the right magnitude.
    times, outlet : (n,) record, times in s. After an ideal pulse they count from the pulse, and what is not later than it is left out.
    inlet : (n,) what entered at these times, a straight line between and constant before; None for an ideal pulse of unknown area,
        after which a delayed tank is not fitted.
    confidence : of the intervals.

    Raises
    ------
    UsageError : a faulty record, fewer points than parameters and one, no convergence, or parameters that the record does not tell.

    Examples
    --------
    >>> from units.residence_time import TanksInSeries
    >>> t = np.linspace(1.0, 300.0, 60)
    >>> found = fit_distribution(TanksInSeries(50.0, 2.0), t, 7.0 * TanksInSeries(60.0, 3.3).density(t))
    >>> found.names, found.values.round(6).tolist()
    (('mean_time', 'tanks', 'area'), [60.0, 3.3, 7.0])
    """
    kind = [field.name for field in fields(start)]
    if isinstance(start, MeasuredAges):
        raise UsageError("a measured distribution has no parameters to fit", names=["start"], hint="start from tanks or dispersion")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence has to lie between 0 and 1 (got {confidence!r})", names=["confidence"])
    first = [float(getattr(start, name)) for name in kind]
    if inlet is None:
        if isinstance(start, DelayedTank):
            hint = "hand in the pulse itself as the inlet, with its duration"
            raise UsageError("after an ideal pulse a delayed tank jumps, which least squares cannot follow", names=["inlet"], hint=hint)
        t, y = record(2, times, outlet=outlet)
        t, y = t[t > 0], y[t > 0]
        names = (*kind, "area")
        shape = start.density(t)
        first.append(float(y @ shape / (shape @ shape)) if np.any(shape) else 0.0)
        if not first[-1] > 0:
            raise UsageError("the start has nothing in common with the tracer curve", names=["start"], hint="begin near its mean")
        model = _pulse(start, kind, t)
    else:
        t, y, x = record(2, times, outlet=outlet, inlet=inlet)
        names, model = tuple(kind), _convolved(start, kind, t, x)
    if t.size <= len(names):
        raise UsageError(f"{t.size} points do not tell {len(names)} parameters", names=names, hint="measure more")
    found = least_squares(
        lambda log: model(np.exp(log)) - y, np.log(first), jac="3-point", xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=200
    )
    return _judged(start, names, found, y, confidence)


def _pulse(start: Distribution, kind: list[str], t: Array) -> Callable[[Array], Array]:
    def outlet(values: Array) -> Array:
        return values[-1] * replace(start, **dict(zip(kind, values[:-1].tolist(), strict=True))).density(t)

    return outlet


def _convolved(start: Distribution, kind: list[str], t: Array, x: Array) -> Callable[[Array], Array]:
    """Return the outlet by parameters; the ages of the table stay, so that it is smooth. What is older than the record sees its start."""
    if np.ptp(x) == 0:
        raise UsageError("the inlet does not change: it tells nothing of the ages", names=["inlet"])
    span = float(t[-1] - t[0])
    number = min(MOST_AGES, 1000 + int(AGES_PER_DEVIATION * span / np.sqrt(start.variance)))
    ages = np.linspace(0.0, span, number)

    def outlet(values: Array) -> Array:
        cumulative = replace(start, **dict(zip(kind, values.tolist(), strict=True))).cumulative(ages)
        rising = np.maximum.accumulate(np.append(np.minimum(cumulative, 1.0), 1.0))  # rounding may let it fall by an ulp
        return convolve_cumulative(t, x, np.append(ages, 2 * span), rising, t)

    return outlet


def _judged(start: Distribution, names: tuple[str, ...], found: OptimizeResult, y: Array, confidence: float) -> Fit:
    """Return the fit with its intervals, or refuse it where it has not converged or the record does not tell the parameters."""
    if not found.success:
        raise UsageError("the fit does not converge", names=names, hint="begin nearer to the curve, or take another distribution")
    values, freedom = np.exp(found.x), y.size - len(names)
    _, singular, directions = np.linalg.svd(found.jac, full_matrices=False)
    if singular[-1] * WORST_CONDITION <= singular[0]:
        untold = [name for name, share in zip(names, np.abs(directions[-1]), strict=True) if share > 0.3]
        raise UsageError(f"the record does not tell {' and '.join(untold)}", names=untold, hint="fit a distribution with fewer parameters")
    deviation = float(np.sqrt(2 * found.cost / freedom))
    relative = deviation**2 * (directions.T / singular**2) @ directions
    errors = np.sqrt(np.diag(relative))
    if np.any(errors >= 1):
        untold = [name for name, error in zip(names, errors, strict=True) if error >= 1]
        raise UsageError(
            f"the standard error of {' and '.join(untold)} exceeds the value",
            names=untold,
            hint="fit a distribution without it, or measure more",
        )
    reach = float(stdtrit(freedom, 0.5 + confidence / 2)) * errors * values
    named = {name: float(value) for name, value in zip(names, values, strict=True) if name != "area"}
    covariance = relative * np.outer(values, values)
    return Fit(replace(start, **named), names, values, covariance, values - reach, values + reach, found.fun + y, deviation)
