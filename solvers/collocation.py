"""Radau collocation: points, differentiation and quadrature on one element, and a model's equations on many at once.

The states on an element are polynomials of the degree s of the scheme, through the element's start and the s points of the Radau IIA
formula, the last of which is the element's end: of order 2 s - 1 there, stiffly accurate, and regular for systems of index one
(Hairer & Wanner 1996, section IV.5; Biegler 2010, Nonlinear Programming, section 10.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from solvers.errors import UsageError

HIGHEST_DEGREE = 5


@dataclass(frozen=True, eq=False, slots=True)
class Scheme:
    """A collocation scheme on the element [0, 1].

    ``points`` (s,); ``differentiation`` (s + 1, s): slopes at the points from values at the start and the points; ``weights`` (s,) of the
    quadrature.
    """

    points: np.ndarray
    differentiation: np.ndarray
    weights: np.ndarray

    @property
    def degree(self) -> int:
        """Number of points."""
        return len(self.points)


def radau(degree: int) -> Scheme:
    """Return the Radau IIA scheme with so many points on an element.

    >>> radau(2).points.round(6).tolist(), radau(2).weights.round(6).tolist()
    ([0.333333, 1.0], [0.75, 0.25])

    Raises
    ------
    UsageError : a degree below 1 or above 5.
    """
    if not isinstance(degree, int) or isinstance(degree, bool) or not 1 <= degree <= HIGHEST_DEGREE:
        raise UsageError(f"a collocation degree of {degree!r} cannot be served", hint=f"1 to {HIGHEST_DEGREE}; 3 is usual")
    points = np.array(ca.collocation_points(degree, "radau"))
    differentiation, _, _ = ca.collocation_coeff(points.tolist())
    powers = np.arange(degree)
    weights = np.linalg.solve(points[None, :] ** powers[:, None], 1.0 / (powers + 1))
    return Scheme(points, np.asarray(differentiation), weights)


def defects(scheme: Scheme, start: ca.MX, points: ca.MX, slopes: ca.MX, lengths: ca.MX) -> ca.MX:
    """Return what the states' polynomials miss of the slopes, shape (states, elements times degree), one degree after the other.

    Parameters
    ----------
    start : (states, elements) at the elements' starts.
    points, slopes : (states, elements * degree), element by element.
    lengths : (1, elements).
    """
    degree, elements = scheme.degree, start.shape[1]
    states = start.shape[0]
    spread = ca.repmat(lengths, states, 1)
    columns = [points[:, k::degree] for k in range(degree)]
    missed = []
    for k in range(degree):
        derivative = scheme.differentiation[0, k] * start
        for other in range(degree):
            derivative += scheme.differentiation[other + 1, k] * columns[other]
        missed.append(derivative - spread * slopes[:, k::degree])
    return ca.horzcat(*missed) if elements else ca.MX(states, 0)
