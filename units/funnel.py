"""How far a vessel damps what enters it: the funnel plot of rectangular disturbances, and the reduction of variance.

| symbol | meaning | unit |
|---|---|---|
| d/tau | duration of a rectangular disturbance over the mean time | - |
| peak | largest excursion at the outlet over the disturbance's height | - |
| VRR | variance at the inlet over variance at the outlet | - |

Garcia-Munoz et al. 2018 (AIChE J 64:511) for funnel plots; Danckwerts 1953 (Chem Eng Sci 2:1) and Gao et al. 2011 (Chem Eng Sci 66:417) for
the variance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc

from solvers.errors import UsageError
from units.arguments import finite, positive
from units.residence_time import Distribution

Array = NDArray[np.float64]


def funnel_peak(tanks: float, duration: ArrayLike) -> tuple[Array, Array]:
    """Return peak and time of the peak over the mean time, at the outlet of tanks in series after a rectangular disturbance.

    The peak is P(n, n theta) - P(n, n (theta - d)) at theta = d/(1 - exp(-n d/(n - 1))), where E is as high as it was one duration
    before; for one tank or less E only falls and theta = d. The largest disturbance within a specification is that over the peak.

    Parameters
    ----------
    tanks : n, any real number above zero.
    duration : duration over mean time, above zero, any shape; peak and time have the same.

    Raises
    ------
    UsageError : an argument is not positive and finite.

    Examples
    --------
    >>> peak, time = funnel_peak(2.0, 1.0)
    >>> round(float(peak), 8), round(float(time), 6)
    (0.63226369, 1.156518)
    """
    n, d = positive("tanks", tanks), finite("duration", duration)
    if np.any(d <= 0):
        raise UsageError("duration has to be positive", names=["duration"])
    time = d / -np.expm1(-n * d / (n - 1)) if n > 1 else d
    return gammainc(n, n * time) - gammainc(n, n * (time - d)), time


def variance_reduction(distribution: Distribution, rate: ArrayLike) -> Array:
    """Return VRR for signals with autocovariance exp(-rate |lag|) at the inlet; one stirred tank gives 1 + rate tau.

    Parameters
    ----------
    distribution : of the residence time.
    rate : inverse correlation times (1/s), above zero, any shape.

    Raises
    ------
    UsageError : a rate is not positive and finite.

    Examples
    --------
    >>> from units.residence_time import TanksInSeries
    >>> variance_reduction(TanksInSeries(60.0, 1.0), [1 / 60, 1 / 6]).round(10).tolist()
    [2.0, 11.0]
    """
    rates = finite("rate", rate)
    return 1 / np.array([distribution.variance_ratio(float(a)) for a in rates.ravel()]).reshape(rates.shape)
