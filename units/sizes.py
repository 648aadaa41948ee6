"""Particle sizes: the classes in which a flowsheet follows its solids, and what a stream says of them.

Classes are geometric in diameter and carry dry solids by mass. They are carried in streams and held in units beside the components
(:func:`units.powders.carried`), and everything that passes a powder on treats both alike::

    sum_k flow[size_k] = sum_c flow[c] over the components that are no moisture

| symbol | meaning | unit |
|---|---|---|
| d[0] ... d[n] | edges of the classes; class k lies between d[k-1] and d[k] | m |
| f[k] | share of class k in the solids, by mass | - |
| F[k] | share finer than d[k], f[1] + ... + f[k] | - |
| d_q | diameter with the share q of the mass below it | m |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import pyomo.environ as pyo
from pyomo.environ import units as u

from solvers.errors import CaseError, Complaint
from units.laws import smooth_absolute

PREFIX = "size_"
"""How the names of size classes begin: ``size_1`` is the finest."""

SHARE_WIDTH = 1e-6
"""Share of the mass over which the kinks of the cumulative distribution are rounded."""

QUANTILES = {"d10": 0.1, "d50": 0.5, "d90": 0.9}
"""Diameters that every stream tells, and the shares below them."""


@dataclass(frozen=True)
class SizeClasses:
    """Size classes, geometric in diameter.

    Parameters
    ----------
    smallest, largest : lower edge of the first class and upper edge of the last one (m).
    classes : how many.

    Raises
    ------
    CaseError : edges that are not positive, finite and in order, or no class.

    >>> sizes = SizeClasses(1e-5, 1e-3, 2)
    >>> sizes.names, [round(1e6 * edge, 6) for edge in sizes.edges], [round(1e6 * d) for d in sizes.diameters]
    (('size_1', 'size_2'), [10.0, 100.0, 1000.0], [32, 316])
    """

    smallest: float
    largest: float
    classes: int

    def __post_init__(self) -> None:
        wrong = [
            Complaint("has to be positive", repr(value), "(0, inf) m", key=(name,))
            for name, value in (("smallest", self.smallest), ("largest", self.largest))
            if not (math.isfinite(value) and value > 0)
        ]
        if not wrong and not self.smallest < self.largest:
            wrong.append(Complaint("has to lie above smallest", f"{self.largest:g} m", f"({self.smallest:g}, inf) m", key=("largest",)))
        if self.classes < 1:
            wrong.append(Complaint("there is at least one class", repr(self.classes), key=("classes",)))
        if wrong:
            raise CaseError("; ".join(str(complaint.within("sizes")) for complaint in wrong), names=["sizes"], complaints=wrong)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, the finest first."""
        return tuple(f"{PREFIX}{k}" for k in range(1, self.classes + 1))

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """The ``classes + 1`` edges (m), increasing."""
        ratio = self.largest / self.smallest
        return tuple(self.smallest * ratio ** (k / self.classes) for k in range(self.classes + 1))

    @cached_property
    def diameters(self) -> tuple[float, ...]:
        """The diameter that stands for each class (m): the geometric mean of its edges."""
        return tuple(math.sqrt(low * high) for low, high in pairwise(self.edges))

    def finer(self, median_size: float, size_spread: float) -> tuple[float, ...]:
        """Return the share of a lognormal distribution by mass that is finer than each edge.

        Parameters
        ----------
        median_size : diameter with half of the mass below it (m).
        size_spread : geometric standard deviation, above one.
        """
        scale = math.sqrt(2) * math.log(size_spread)
        return tuple(0.5 * math.erfc(math.log(median_size / edge) / scale) for edge in self.edges)

    def shares(self, median_size: float, size_spread: float) -> tuple[float, ...]:
        """Return the share of each class in a lognormal distribution by mass; what lies outside is in the first and the last.

        >>> shares = SizeClasses(1e-5, 1e-3, 2).shares(100e-6, 2.0)
        >>> round(shares[0], 12), sum(shares)
        (0.5, 1.0)
        """
        inner = (0.0, *self.finer(median_size, size_spread)[1:-1], 1.0)
        return tuple(above - below for below, above in pairwise(inner))


def reached(finer: Sequence[Any], quantile: float, width: float = SHARE_WIDTH) -> list[Any]:
    """Return how far into each class a quantile reaches, given the share finer than each class's upper edge: all, a part, nothing.

    With x = q - F[k-1] and y = q - F[k] the part is ``clip(x/f[k], 0, 1)``, written as the difference of the rounded ``max(x, 0)`` and
    ``max(y, 0)`` over x - y, in which f[k] cancels: ``1/2 + (x + y)/2/(sqrt(x^2 + w^2) + sqrt(y^2 + w^2))``. An empty class is a regular
    point.

    >>> [round(float(part), 5) for part in reached([0.2, 0.2, 1.0], 0.6)]
    [1.0, 1.0, 0.5]
    """
    rest = [quantile, *(quantile - share for share in finer)]
    return [0.5 + 0.5 * (x + y) / (smooth_absolute(x, width) + smooth_absolute(y, width)) for x, y in pairwise(rest)]


def add_sizes(block: Any, name: str, time: Any, sizes: SizeClasses, share: Callable[[Any, Any, str], Any], doc: str) -> None:
    """Add the Expressions of a size distribution to a unit.

    Adds ``{name}_share[t, k]`` and ``{name}_finer[t, k]`` (shares of the solids in and up to class k, by mass), and ``{name}_d10[t]``,
    ``_d50`` and ``_d90`` (m): diameters with 10, 50 and 90 % of the mass below, with a distribution that is even over the logarithm of the
    diameter within a class, rounded over 1e-6 of the mass::

        log d_q = log d[0] + sum_k log(d[k]/d[k-1]) clip((q - F[k-1])/f[k], 0, 1)

    Parameters
    ----------
    block, name, time : where, and how the names begin.
    sizes : the classes.
    share : ``share(block, t, size)``, share of a class; all sum to one.
    doc : starts the docs.
    """
    names = list(sizes.names)
    width = math.log(sizes.edges[1] / sizes.edges[0])

    def finer(b: Any, t: Any, size: str) -> Any:
        k = names.index(size)
        own = b.component(f"{name}_share")[t, size]
        return own if k == 0 else b.component(f"{name}_finer")[t, names[k - 1]] + own

    block.add_component(f"{name}_share", pyo.Expression(time, names, rule=share, doc=f"{doc}: share of the solids in a size class"))
    block.add_component(f"{name}_finer", pyo.Expression(time, names, rule=finer, doc=f"{doc}: share finer than a size class's upper edge"))
    for label, quantile in QUANTILES.items():

        def diameter(b: Any, t: Any, quantile: float = quantile) -> Any:
            parts = reached([b.component(f"{name}_finer")[t, size] for size in names], quantile)
            return sizes.smallest * u.m * pyo.exp(width * sum(parts))

        text = f"{doc}: diameter with {100 * quantile:g} % of the mass below"
        block.add_component(f"{name}_{label}", pyo.Expression(time, rule=diameter, doc=text))
