"""Rectangular disturbances through tanks in series: the closed form of the funnel plot."""

from __future__ import annotations

import math

from scipy.special import gammainc


def funnel_peak(tanks: float, duration_over_mean: float) -> tuple[float, float]:
    """Return how much of a rectangular disturbance is left at its highest behind tanks in series, and when that is.

    With n tanks of mean residence time one, a disturbance of duration d and F(t) = P(n, n t)::

        peak = F(t*) - F(t* - d),   t* = d/(1 - exp(-n d/(n - 1)))   for n > 1,   t* = d   for n <= 1

    Parameters
    ----------
    tanks : their number, any real number above zero.
    duration_over_mean : duration of the disturbance over the mean residence time, above zero.

    Returns
    -------
    The share of the amplitude that is left (-), and the time after the disturbance began over the mean residence time (-).

    >>> [round(x, 6) for x in funnel_peak(2.0, 1.0)]
    [0.632264, 1.156518]
    >>> [round(x, 6) for x in funnel_peak(1.0, 0.5)]
    [0.393469, 0.5]
    """
    if tanks <= 1:
        return float(gammainc(tanks, tanks * duration_over_mean)), duration_over_mean
    peak_time = duration_over_mean / -math.expm1(-tanks * duration_over_mean / (tanks - 1))
    before = max(peak_time - duration_over_mean, 0.0)
    return float(gammainc(tanks, tanks * peak_time) - gammainc(tanks, tanks * before)), peak_time
