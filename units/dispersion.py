"""Axial dispersion in closed form: exit ages of dispersed plug flow in a vessel that is closed, or open, at both ends.

``dC/dtheta = (1/Pe) d2C/dz2 - dC/dz`` with reduced time theta = t u/L. The transfer function of the closed vessel (Danckwerts 1953,
Chem Eng Sci 2:1), with a = sqrt(1 + 4 s/Pe) and r = (1 - a)/(1 + a), is::

    G(s) = exp(Pe (1 - a)/2) g(a),   g(a) = 4 a/(1 + a)^2 / (1 - r^2 exp(-a Pe));   open vessel: g(a) = 1/a

**Early, theta < Pe/4.** Inverted on the path a = 1/theta + i y, where ``exp(s theta + Pe (1 - a)/2)`` is a Gaussian in y times
``exp(-Pe (1 - theta)^2/(4 theta))``: nothing cancels, and E keeps its digits where it is 1e-40. The poles lie at Re a = 0, one or more
widths of the Gaussian away, so that the rectangle rule is exact to rounding with 43 points (Trefethen and Weideman 2014, SIAM Rev
56:385). F is the same integral of ``g/s`` where its pole s = 0 is a width or more away, else the closed form for ``g = 1`` (the inverse
Gaussian) plus the integral of ``(g - 1)/s``, which has no pole there.

**Late.** The sum over the poles, E = 2 exp(h) sum (-1)^k w_k^2/(w_k^2 + h^2 + 2 h) exp(-(h^2 + w_k^2) theta/Pe), h = Pe/2, with
w_k = k pi + 2 atan(h/w_k): beyond theta = Pe/4 no term exceeds e and the ninth is below 1e-60.

| symbol | meaning | unit |
|---|---|---|
| theta | age over L/u | - |
| peclet, Pe | Peclet number u L/D | - |
| s | Laplace variable times L/u | - |
| E, F | density of theta, cumulative | - |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, erfcx

Array = NDArray[np.float64]
Complex = NDArray[Any]

STEP, POINTS, TERMS = 0.15, 43, 8
"""Step and points of the rectangle rule, over widths of the Gaussian (exp(-6.3^2) = 6e-18); terms of the sum over poles."""


def closed_transfer(s: Complex, peclet: float) -> Complex:
    """Return G(s) of the closed vessel for Re s >= 0."""
    a = np.sqrt(1 + 4 * s / peclet)
    return _closed_factor(a, peclet) * np.exp(peclet / 2 * (1 - a))


def open_transfer(s: Complex, peclet: float) -> Complex:
    """Return G(s) of the open vessel for Re s >= 0."""
    a = np.sqrt(1 + 4 * s / peclet)
    return np.exp(peclet / 2 * (1 - a)) / a


def closed_density(theta: Array, peclet: float) -> Array:
    """Return E of the closed vessel, (n,) for (n,) reduced ages above zero; relative error about 1e-14 where E is not below 1e-200.

    >>> closed_density(np.array([0.1, 1.0]), 10.0).round(10).tolist()
    [1.5e-08, 0.9401631958]
    """
    return _in_two(theta, peclet, _early_density, _late_density, np.zeros_like(theta))


def closed_cumulative(theta: Array, peclet: float) -> Array:
    """Return F of the closed vessel, (n,) for (n,) reduced ages above zero; error about 1e-14, relative before Pe/4, absolute after.

    >>> closed_cumulative(np.array([0.5, 1.0, 50.0]), 10.0).round(10).tolist()
    [0.068114206, 0.5803326769, 1.0]
    """
    return _in_two(theta, peclet, _early_cumulative, _late_cumulative, np.where(theta < 1, 0.0, 1.0))


def open_density(theta: Array, peclet: float) -> Array:
    """Return E of the open vessel, sqrt(Pe/(4 pi theta)) exp(-Pe (1 - theta)^2/(4 theta)), for reduced ages above zero."""
    return np.sqrt(peclet) / np.sqrt(4 * np.pi * theta) * _front(theta, peclet)


def open_cumulative(theta: Array, peclet: float) -> Array:
    """Return F of the open vessel for reduced ages above zero: [erfc(z-) - exp(Pe) erfc(z+)]/2, z = (1 -+ theta)/2 sqrt(Pe/theta).

    >>> open_cumulative(np.array([0.01, 1.0, 500.0]), 5.0).round(6).tolist()
    [0.0, 0.383837, 1.0]
    """
    return _passed(theta, peclet, -1.0)


def _front(theta: Array, peclet: float) -> Array:
    with np.errstate(over="ignore"):  # an infinite exponent is right
        return np.exp(-peclet * (1 - theta) ** 2 / (4 * theta))


def _passed(theta: Array, peclet: float, sign: float) -> Array:
    """Return [erfc(z-) + sign exp(Pe) erfc(z+)]/2: F of first passage (inverse Gaussian) with +1, of the open vessel with -1."""
    scale, front = np.sqrt(peclet) / np.sqrt(4 * theta), _front(theta, peclet)
    late, early = sign * front * erfcx((1 + theta) * scale), np.maximum((1 - theta) * scale, 0.0)
    return 0.5 * np.where(theta < 1, front * erfcx(early) + late, erfc((1 - theta) * scale) + late)


def _closed_factor(a: Complex, peclet: float) -> Complex:
    return 4 * a / (1 + a) ** 2 / (1 - ((1 - a) / (1 + a)) ** 2 * np.exp(-a * peclet))


def _in_two(
    theta: Array, peclet: float, early: Callable[[Array, float], Array], late: Callable[[Array, float], Array], far: Array
) -> Array:
    """Return the early form before Pe/4 and the late form after; ``far`` where the front is below the smallest number."""
    soon, found = theta < peclet / 4, far
    seen = soon & (_front(theta, peclet) > 0)
    found[seen], found[~soon] = early(theta[seen], peclet), late(theta[~soon], peclet)
    return found


def _on_the_path(theta: Array, peclet: float, integrand: Callable[[Complex], Complex]) -> Array:
    """Return the integral of exp(-u^2) integrand(a) over u, with a = 1/theta + 2 i u/sqrt(Pe theta), real by symmetry."""
    total = 0.5 * integrand(1 / theta + 0j).real
    for u in STEP * np.arange(1, POINTS):
        total += np.exp(-(u**2)) * integrand(1 / theta + 2j * u / np.sqrt(peclet * theta)).real
    return 2 * STEP * total


def _early_density(theta: Array, peclet: float) -> Array:
    integral = _on_the_path(theta, peclet, lambda a: a * _closed_factor(a, peclet))
    return np.sqrt(peclet / theta) / (2 * np.pi) * _front(theta, peclet) * integral


def _early_cumulative(theta: Array, peclet: float) -> Array:
    """Return F; where the pole s = 0 (a = 1) is a width or more to the left of the path, by the integral of g/s, where nothing cancels."""
    found, far = np.empty_like(theta), (1 - theta) * np.sqrt(peclet / theta) >= 2

    def whole(a: Complex) -> Complex:
        """Return g/s ds/da."""
        return 2 * a / (a**2 - 1) * _closed_factor(a, peclet)

    def rest(a: Complex) -> Complex:
        """Return (g - 1)/s ds/da, from which the pole has gone."""
        gone = np.exp(-a * peclet)
        return -2 * a * (a - 1) / (1 + a) ** 3 * (1 - gone) / (1 - ((1 - a) / (1 + a)) ** 2 * gone)

    for where, integrand in ((far, whole), (~far, rest)):
        part = theta[where]
        found[where] = _front(part, peclet) / (np.pi * np.sqrt(peclet * part)) * _on_the_path(part, peclet, integrand)
    found[~far] += _passed(theta[~far], peclet, 1.0)
    return found


def _late_density(theta: Array, peclet: float) -> Array:
    return _over_poles(theta, peclet, 0)


def _late_cumulative(theta: Array, peclet: float) -> Array:
    return 1 - _over_poles(theta, peclet, 1)


def _over_poles(theta: Array, peclet: float, power: int) -> Array:
    """Return sum c_k rate_k^-power exp(-rate_k theta)."""
    half, k = peclet / 2, np.arange(TERMS)
    w = _roots(half)
    rate = (half**2 + w**2) / peclet
    share = 2 * (-1.0) ** k * w**2 / (w**2 + half**2 + peclet) / rate**power
    return np.exp(half - np.multiply.outer(theta, rate)) @ share


def _roots(half: float) -> Array:
    """Return w = k pi + 2 atan(half/w) for k < TERMS: Newton from the left, which cannot overshoot since the function is concave."""
    k = np.arange(TERMS)
    w = np.asarray(k * np.pi, dtype=np.float64)
    for _ in range(200):
        step = (w - k * np.pi - 2 * np.arctan2(half, w)) / (1 + 2 * half / (w**2 + half**2))
        w = w - step
        if np.all(np.abs(step) <= 4e-16 * w):
            break
    return w
