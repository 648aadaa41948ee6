"""Laws of disintegration and dissolution: pure functions of numbers, NumPy arrays or Pyomo expressions. All in SI.

| symbol | meaning | unit |
|---|---|---|
| r, r0, d | radius of a drug particle, at the start; diameter | m |
| k = D Cs/rho | dissolution constant: diffusivity times solubility over density | m2/s |
| h | thickness of the film around a particle | m |
| X | share dissolved | - |
| R, gamma, theta, mu | radius of pores; surface tension, contact angle and viscosity of the liquid | m, N/m, -, Pa s |
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pyomo.environ as pyo

from units.laws import KINK_WIDTH, smooth_absolute, smooth_positive

REACH = 4.0
"""Logarithmic standard deviations on either side of the median over which size classes are spread; 6e-5 of the mass lies beyond."""


def size_classes(median: float, spread: float, count: int) -> tuple[list[float], list[float]]:
    """Return diameters (m) and mass fractions of the size classes of a log-normal distribution of mass over size.

    Classes are equally wide in ln d over ``REACH`` standard deviations on either side of the median; the outer two reach to zero and to
    infinity. Fractions are exact integrals of the distribution, and diameters are such that every class has exactly the surface of
    its particles (Sauter's mean within the class): dissolution begins at the exact rate with any number of classes.

    Parameters
    ----------
    median : diameter with half of the mass below it (m).
    spread : geometric standard deviation, at least one.
    count : number of classes.

    >>> diameters, fractions = size_classes(50e-6, 1.8, 20)
    >>> round(sum(fractions), 15), f"{diameters[0]:.2e} {diameters[-1]:.2e}"
    (1.0, '5.16e-06 4.75e-04')
    >>> size_classes(50e-6, 1.0, 1)
    ([5e-05], [1.0])
    """
    sigma = math.log(spread)
    edges = [-math.inf, *(REACH * (2 * k / count - 1) for k in range(1, count)), math.inf]
    fractions = [_normal_between(low, high) for low, high in pairwise(edges)]
    surfaces = [_normal_between(low + sigma, high + sigma) for low, high in pairwise(edges)]
    sauter = median * math.exp(-(sigma**2) / 2)
    return [sauter * mass / surface for mass, surface in zip(fractions, surfaces, strict=True)], fractions


def _normal_between(low: float, high: float) -> float:
    """Return what a standard normal variable has between two limits, without loss of digits in either tail."""
    if low > 0:
        low, high = -high, -low
    return 0.5 * (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2)))


def lesser(value: Any, limit: Any) -> Any:
    """Return the lesser of two positive amounts, positive as well, with its kink rounded over 1e-8 of the limit.

    >>> [round(float(lesser(x, 1.0)), 12) for x in (1e-12, 0.25, 3.0)]
    [1e-12, 0.25, 1.0]
    """
    # the product over the greater: a difference could come out below zero by rounding
    return 2 * value * limit / (value + limit + smooth_absolute(value - limit, KINK_WIDTH * limit))


def shrinking_time(radius: Any, constant: Any, film: Any, *, film_follows: bool) -> Any:
    """Return the time (s) in which a particle dissolves in much liquid.

    ``t_d = r0 h/k`` with a constant film; with ``h = min(r, film)`` the time down to the film's thickness and ``min(r0, film)^2/(2 k)``.

    Parameters
    ----------
    radius, constant, film : r0 (m), k (m2/s) and the film's thickness, or its largest (m).
    film_follows : whether the film is never thicker than the particle's radius.

    >>> [round(float(shrinking_time(10e-6, 1e-12, 30e-6, film_follows=follows)), 6) for follows in (False, True)]
    [300.0, 50.0]
    """
    if not film_follows:
        return radius * film / constant
    least = lesser(radius, film)
    return least**2 / (2 * constant) + (radius - least) * film / constant


def sink_dissolved(time: Any, radius: Any, constant: Any, film: Any, *, film_follows: bool) -> Any:
    """Return the share X of equal particles that has dissolved in much liquid (sink).

    Closed form of ``dr/dt = -k/h``: ``X = 1 - (1 - t/t_d)^3`` with a constant film and ``1 - (1 - t/t_d)^(3/2)`` with ``h = r``; with
    ``h = min(r, film)`` the second once r has come down to the film's thickness (Noyes and Whitney 1897; film of Hintz and Johnson
    1989, Int J Pharm 51:9).

    Parameters
    ----------
    time : since the particles are in the liquid, not negative (s).
    radius, constant, film, film_follows : as for :func:`shrinking_time`.

    >>> round(float(sink_dissolved(150.0, 10e-6, 1e-12, 30e-6, film_follows=False)), 8)
    0.875
    >>> round(float(sink_dissolved(25.0, 10e-6, 1e-12, 30e-6, film_follows=True)), 8)
    0.64644661
    """
    end = shrinking_time(radius, constant, film, film_follows=film_follows)
    rest = smooth_positive(end - time, KINK_WIDTH * end) + KINK_WIDTH**2 * end  # never zero, where a root has no slope
    if not film_follows:
        return 1 - (rest / end) ** 3
    last = film**2 / (2 * constant)
    thin = lesser(rest, last)
    return 1 - (((2 * constant * thin) ** 0.5 + (rest - thin) * constant / film) / radius) ** 3


def weibull_dissolved(time: Any, scale: Any, shape: Any) -> Any:
    """Return the share dissolved after a time (s, positive) by Weibull's distribution, ``1 - exp(-(t/scale)^shape)``.

    >>> round(weibull_dissolved(600.0, 600.0, 0.8), 8)
    0.63212056
    """
    return 1 - pyo.exp(-((time / scale) ** shape))


def pore_radius(porosity: Any, size: Any) -> Any:
    """Return the radius (m) of pores between particles of diameter ``size`` (m): twice the hydraulic radius of Kozeny and Carman.

    ``R = size porosity/(3 (1 - porosity))``: pore volume over surface of spheres (Carman 1937, Trans Inst Chem Eng 15:150; recalled).

    >>> round(pore_radius(0.2, 60e-6) * 1e6, 9)
    5.0
    """
    return size * porosity / (3 * (1 - porosity))


def penetration_time(depth: Any, radius: Any, surface_tension: Any, wetting: Any, viscosity: Any) -> Any:
    """Return the time (s) in which a liquid goes to a depth (m) in pores: inverse of ``L = sqrt(R gamma cos(theta) t/(2 mu))``.

    Source: Washburn 1921, Phys Rev 17:273; for tablets Markl and Zeitler 2017, Pharm Res 34:890.

    Parameters
    ----------
    depth, radius : L and R (m).
    surface_tension, wetting, viscosity : gamma (N/m), cos(theta) (-), mu (Pa s).

    >>> round(penetration_time(1.5e-3, 1e-9, 0.07, 1.0, 0.7e-3), 9)
    45.0
    """
    return 2 * viscosity * depth**2 / (radius * surface_tension * wetting)
