r"""Population balances by their moments: a few equations for control, by quadrature (QMOM, McGraw 1997, Aerosol Sci Technol 27:255).

.. math::

    \frac{dM_k}{dt} = a\, \tfrac12 \sum_i \sum_j w_i w_j K_{ij} \left[ (v_i + v_j)^k - v_i^k - v_j^k \right]
    + b \sum_i w_i S_i\, (f_k - 1)\, v_i^k + g\, k \sum_i w_i v_i^{k-1} G_i + B\, v_0^k

with the moments :math:`M_k = \int v^k n\, dv`, k = 0 to 2q - 1, and q nodes, weights :math:`w_i` (1/m3) at volumes :math:`v_i` (m3),
that have these moments. The coefficients a, b, g and B are those of :mod:`csrc.population_balance`; the k-th moment of the fragments of a
particle of volume u is :math:`f_k u^k`.

Nodes: recurrence coefficients of the orthogonal polynomials from the moments (Wheeler 1974, Rocky Mt J Math 4:287), their zeros one
after another from the largest down by Laguerre's iteration, whose starts lie above them, and Christoffel's numbers as weights. All is
scalar CasADi expressions: derivatives of any order, by the moments and all coefficients, are exact.

Moments are scaled: m_k = M_k / (number v^k) by a number (1/m3) and a volume v (m3) typical of the particles, so that all are of order one.

Moments of constant, sum and product kernels, of growth with G linear in v and of nuclei are exact, since no higher moment enters. What is
lost is the distribution itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from csrc.checks import Array, frozen, not_negative, positive

if TYPE_CHECKING:
    import casadi as ca

MOST_NODES = 4
LAGUERRE_STEPS = 8
"""Of third order from a bound that is exact for two zeros: four steps reach rounding, the others derivatives."""


def power_law_moments(nodes: int, exponent: float = 0.0) -> Array:
    """Return f_k = (m + 2) / (m + 1 + k) of fragments b(v, u) = (m + 2) / u (v / u)^m, m > -1; m = 0 is uniform binary breakage.

    >>> power_law_moments(2).round(12).tolist()
    [2.0, 1.0, 0.666666666667, 0.5]
    """
    if not (math.isfinite(exponent) and exponent > -1):
        raise ValueError(f"exponent has to be above -1, or fragments have no finite number (got {exponent!r})")
    return np.array([(exponent + 2) / (exponent + 1 + k) for k in range(2 * nodes)])


def equal_fragment_moments(nodes: int, fragments: float) -> Array:
    """Return f_k = N^(1 - k) of N equal fragments."""
    return np.array([positive("fragments", fragments) ** (1.0 - k) for k in range(2 * nodes)])


def gamma_moments(nodes: int, number: float, mean: float, shape: float = 1.0) -> Array:
    """Return 2 q moments of a gamma distribution of volume; shape 1 is exponential.

    >>> gamma_moments(2, 1.0, 1.0).tolist()
    [1.0, 1.0, 2.0, 6.0]
    """
    steps = [positive("mean", mean) / positive("shape", shape) * (shape + k) for k in range(2 * nodes - 1)]
    return np.array(positive("number", number) * np.cumprod([1.0, *steps]), dtype=np.float64)


def lognormal_moments(nodes: int, number: float, median: float, deviation: float) -> Array:
    """Return 2 q moments of a log-normal distribution of volume; ``deviation`` is geometric, of volume."""
    k = np.arange(2 * nodes)
    found: Array = (
        positive("number", number) * positive("median", median) ** k * np.exp(0.5 * (k * np.log(positive("deviation", deviation))) ** 2)
    )
    return found


@dataclass(frozen=True, eq=False)
class MomentBalance:
    """What happens to the moments.

    Parameters
    ----------
    nodes : q, 2 to 4; 2 q moments.
    kernel : K(u, v) in m3/s, a function of two volumes made of operators that CasADi knows, such as ``lambda u, v: 1e-9 * (u + v)``.
    selection : S(v) in 1/s, likewise; with ``fragments``, (2 q,) f_k of a function above, or others with f_1 = 1.
    growth : G(v) in m3/s, likewise.
    nucleus : volume of nuclei in m3.
    number, volume : scales of the moments in 1/m3 and m3.

    Raises
    ------
    ValueError : no process, selection without fragments, or an argument that is not what is said above.

    Examples
    --------
    >>> balance = MomentBalance(2, kernel=lambda u, v: 1.0)
    >>> moment_rates(balance, gamma_moments(2, 1.0, 1.0)).round(12).tolist()
    [-0.5, 0.0, 1.0, 6.0]
    """

    nodes: int
    kernel: Callable[[Any, Any], Any] | None = None
    selection: Callable[[Any], Any] | None = None
    fragments: Array | None = None
    growth: Callable[[Any], Any] | None = None
    nucleus: float | None = None
    number: float = 1.0
    volume: float = 1.0

    def __post_init__(self) -> None:
        """Check that all fits together."""
        if self.nodes not in range(2, MOST_NODES + 1):
            raise ValueError(f"nodes has to be 2, 3 or 4 (got {self.nodes!r})")
        if (self.selection is None) != (self.fragments is None):
            raise ValueError("selection and fragments belong together: give both or none")
        if not self.processes:
            raise ValueError("a balance of moments needs at least one of kernel, selection, growth, nucleus")
        if self.fragments is not None:
            fragments = frozen("fragments", self.fragments, (2 * self.nodes,))
            if abs(fragments[1] - 1) > 1e-9:
                raise ValueError(f"fragments[1], the volume of fragments over that of what broke, has to be 1 (got {fragments[1]:g})")
            object.__setattr__(self, "fragments", fragments)
        if self.nucleus is not None:
            not_negative("nucleus", self.nucleus)
        positive("number", self.number)
        positive("volume", self.volume)

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes there are, in the order of their coefficients."""
        given = {"aggregation": self.kernel, "breakage": self.selection, "growth": self.growth, "nucleation": self.nucleus}
        return tuple(name for name, what in given.items() if what is not None)

    @cached_property
    def scale(self) -> Array:
        """(2 q,) what scaled moments are multiplied by to be moments, in m^(3 k) / m3."""
        return np.array([self.number * self.volume**k for k in range(2 * self.nodes)])

    @cached_property
    def function(self) -> ca.Function:
        """Rates of the scaled moments: see :func:`moment_function`."""
        import casadi as ca

        moments, coefficients = ca.SX.sym("moments", 2 * self.nodes), ca.SX.sym("coefficients", len(self.processes))
        weights, places = _nodes(moments, self.nodes)
        parts = {"aggregation": self._aggregation, "breakage": self._breakage, "growth": self._growth, "nucleation": self._nucleation}
        rates = ca.SX.zeros(2 * self.nodes)
        for k, name in enumerate(self.processes):
            rates += coefficients[k] * ca.vertcat(*parts[name](weights, places))
        return ca.Function("moment_rates", [moments, coefficients], [rates])

    def _aggregation(self, weights: list[Any], places: list[Any]) -> list[Any]:
        kernel, volumes = self.kernel, [self.volume * place for place in places]
        assert kernel is not None
        rates = [0.0] * (2 * self.nodes)
        for i in range(self.nodes):
            for j in range(i + 1):
                met = self.number * kernel(volumes[i], volumes[j]) * weights[i] * weights[j] * (0.5 if i == j else 1.0)
                for k in range(2 * self.nodes):
                    rates[k] += met * ((places[i] + places[j]) ** k - places[i] ** k - places[j] ** k if k != 1 else 0.0)
        return rates

    def _breakage(self, weights: list[Any], places: list[Any]) -> list[Any]:
        selection, fragments = self.selection, np.asarray(self.fragments)
        assert selection is not None
        broken = [weight * selection(self.volume * place) for weight, place in zip(weights, places, strict=True)]
        made = [0.0 if k == 1 else float(fragments[k]) - 1.0 for k in range(2 * self.nodes)]
        return [sum(made[k] * rate * place**k for rate, place in zip(broken, places, strict=True)) for k in range(2 * self.nodes)]

    def _growth(self, weights: list[Any], places: list[Any]) -> list[Any]:
        growth = self.growth
        assert growth is not None
        grown = [weight * growth(self.volume * place) / self.volume for weight, place in zip(weights, places, strict=True)]
        return [
            0.0,
            *(k * sum(rate * place ** (k - 1) for rate, place in zip(grown, places, strict=True)) for k in range(1, 2 * self.nodes)),
        ]

    def _nucleation(self, weights: list[Any], places: list[Any]) -> list[Any]:
        assert self.nucleus is not None
        return [(self.nucleus / self.volume) ** k / self.number for k in range(2 * self.nodes)]


def moment_function(balance: MomentBalance) -> ca.Function:
    """Return the rates as a CasADi function of the columns scaled moments (2 q) and coefficients; NaN of moments of no distribution."""
    return balance.function


def moment_rates(balance: MomentBalance, moments: ArrayLike, coefficients: ArrayLike | None = None) -> Array:
    """Return the rates of the scaled moments, in 1/s.

    Parameters
    ----------
    balance : what happens to the moments.
    moments : (2 q,) scaled moments of a distribution over positive volumes with more than q sizes.
    coefficients : one for each of ``balance.processes``, ones if not given.

    Raises
    ------
    ValueError : another shape, or moments of no such distribution.
    """
    at = checked_moments(balance.nodes, moments)
    count = len(balance.processes)
    return np.asarray(
        balance.function(at, np.ones(count) if coefficients is None else frozen("coefficients", coefficients, (count,)))
    ).ravel()


def quadrature(moments: ArrayLike) -> tuple[Array, Array]:
    """Return the weights and volumes (q,) of the nodes that have 2 q moments, largest volume first.

    Raises
    ------
    ValueError : moments that are not those of a distribution over positive volumes with q sizes or more.

    Examples
    --------
    >>> [found.round(12).tolist() for found in quadrature([2.0, 4.0, 10.0, 28.0])]
    [[1.0, 1.0], [3.0, 1.0]]
    """
    import casadi as ca

    count = np.size(moments)
    if count % 2 or count // 2 not in range(2, MOST_NODES + 1):
        raise ValueError(f"4, 6 or 8 moments are needed (got {count})")
    at = frozen("moments", moments, (count,))
    scaled = at / _own_scale(at)
    symbols = ca.SX.sym("moments", count)
    weights, places = _nodes(symbols, count // 2)
    found = np.array(ca.Function("nodes", [symbols], [ca.horzcat(ca.vertcat(*weights), ca.vertcat(*places))])(scaled))
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError(
            f"no distribution over positive volumes with {count // 2} sizes or more has the moments {at.tolist()}: "
            "take fewer nodes, or a wider distribution"
        )
    return at[0] * found[:, 0], at[1] / at[0] * found[:, 1]


def checked_moments(nodes: int, moments: ArrayLike) -> Array:
    """Return moments as a vector, or refuse them as :func:`quadrature` does."""
    at = frozen("moments", moments, (2 * nodes,))
    quadrature(at)
    return at


def _own_scale(moments: Array) -> Array:
    """Return the scale by which the number and the mean volume of moments become one."""
    if not (moments[:2] > 0).all():
        raise ValueError(f"moments of number and volume have to be positive (got {moments[0]:g}, {moments[1]:g})")
    found: Array = moments[0] * (moments[1] / moments[0]) ** np.arange(moments.size)
    return found


# ---- nodes, as expressions ----


def _nodes(moments: Any, nodes: int) -> tuple[list[Any], list[Any]]:
    """Return weights and places of the nodes, largest first."""
    import casadi as ca

    a, b = _recurrence(moments, nodes)
    mean, spread = a[0], ca.sqrt(b[1])
    a, b = [(value - mean) / spread for value in a], [value / b[1] for value in b]
    below, last = [1.0], [0.0 - a[0], 1.0]  # coefficients of z^0, z^1, ... of the last two polynomials
    for k in range(1, nodes):
        below, last = last, _next_polynomial(below, last, a[k], b[k])
    weights, places = [], []
    for degree in range(nodes, 0, -1):
        z = _largest_zero(last, degree)
        last = _divided(last, z)
        norm, size, before, value = 1.0, 1.0, 0.0, 1.0
        for k in range(1, nodes):
            before, value = value, (z - a[k - 1]) * value - (b[k - 1] * before if k > 1 else 0.0)
            size *= b[k]
            norm += value**2 / size
        weights.append(moments[0] / norm)
        places.append(mean + spread * z)
    return weights, places


def _recurrence(moments: Any, nodes: int) -> tuple[list[Any], list[Any]]:
    """Return a_k and b_k of p_(k + 1) = (x - a_k) p_k - b_k p_(k - 1) from moments (Wheeler 1974); b_0 is not used."""
    before, now = [0.0] * (2 * nodes), [moments[k] for k in range(2 * nodes)]
    a, b = [now[1] / now[0]], [0.0]
    for k in range(1, nodes):
        then = [now[m + 1] - a[-1] * now[m] - b[-1] * before[m] if k <= m < 2 * nodes - k else 0.0 for m in range(2 * nodes)]
        a.append(then[k + 1] / then[k] - now[k] / now[k - 1])
        b.append(then[k] / now[k - 1])
        before, now = now, then
    return a, b


def _next_polynomial(below: list[Any], last: list[Any], a: Any, b: Any) -> list[Any]:
    found = [0.0, *last]
    for k, value in enumerate(last):
        found[k] -= a * value
    for k, value in enumerate(below):
        found[k] -= b * value
    return found


def _largest_zero(polynomial: list[Any], degree: int) -> Any:
    """Return the largest zero of a monic polynomial with real zeros, by Laguerre's iteration from above."""
    import casadi as ca

    if degree == 1:
        return -polynomial[0]
    mean = -polynomial[degree - 1] / degree
    squares = polynomial[degree - 1] ** 2 - 2 * polynomial[degree - 2]
    z = mean + ca.sqrt((degree - 1) * (squares / degree - mean**2))  # no zero is beyond (Laguerre 1880, Samuelson 1968)
    for _ in range(0 if degree == 2 else LAGUERRE_STEPS):
        value, slope, curve = polynomial[degree], 0.0, 0.0
        for k in range(degree - 1, -1, -1):
            curve = curve * z + 2 * slope
            slope = slope * z + value
            value = value * z + polynomial[k]
        root = ca.sqrt((degree - 1) ** 2 * slope**2 - degree * (degree - 1) * value * curve)
        z -= degree * value / (slope + root)
    return z


def _divided(polynomial: list[Any], zero: Any) -> list[Any]:
    """Return the polynomial without one of its zeros."""
    found = [polynomial[-1]]
    for value in polynomial[-2:0:-1]:
        found.insert(0, value + zero * found[0])
    return found
