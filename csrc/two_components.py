r"""Aggregation of particles of two components: numbers on a plane of pivots, one axis for the volume of each component.

.. math::

    \frac{\partial n(x, y)}{\partial t} = \tfrac12 \int_0^x \int_0^y K\, n(x - u, y - w)\, n(u, w)\, dw\, du
    - n(x, y) \int_0^\infty \int_0^\infty K\, n(u, w)\, dw\, du

with the volumes x and y (m3) of the components in a particle. Numbers :math:`N_{pq}` (1/m3) stand at the pivots :math:`(x_p, y_q)`, and
an aggregate is shared among the four pivots around it, linearly along each axis: the fixed pivot technique in two dimensions
(Vale and McKenna 2005, Ind Eng Chem Res 44:7885). The shares keep the number of aggregates, both volumes and the mean product of the
volumes, so that :math:`M_{00}, M_{10}, M_{01}, M_{11}` change as they should whatever the kernel; :math:`M_{20}` and :math:`M_{02}`
come out too large by the square of the spacing. The first pivot of an axis may be 0: particles without that component.

Where only the mean composition at each size is wanted, :mod:`csrc.tracers` costs as much as one axis. The cost here is the square of the
number of cells, nx ny.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

import csrc._population_balance as compiled
from csrc.checks import Array, frozen, refuse

if TYPE_CHECKING:
    import casadi as ca


@dataclass(frozen=True, eq=False)
class Plane:
    """Pivots along two axes.

    Parameters
    ----------
    x, y : (nx,), (ny,) volumes of the two components in m3, two or more, increasing, not negative.

    Raises
    ------
    ValueError : an axis is not what is said above.

    Examples
    --------
    >>> Plane([0, 1, 2], [0, 1]).pivots.tolist()
    [0.0, 1.0, 1.0, 2.0, 2.0, 3.0]
    """

    x: Array
    y: Array

    def __init__(self, x: ArrayLike, y: ArrayLike) -> None:
        for name, values in (("x", x), ("y", y)):
            found = frozen(name, values, (np.size(values),))
            if found.size < 2:
                raise ValueError(f"{name} needs two or more pivots (got {found.size})")
            refuse(name, found < 0, found, "is negative")
            refuse(name, np.concatenate(([False], np.diff(found) <= 0)), found, "is not greater than the pivot before it")
            object.__setattr__(self, name, found)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of pivots along x and y."""
        return self.x.size, self.y.size

    @cached_property
    def pivots(self) -> Array:
        """(nx ny,) volume of a particle at each pivot, in m3, y running fastest: what kernels of :mod:`csrc.aggregation` take."""
        return frozen("pivots", np.add.outer(self.x, self.y).ravel(), (self.x.size * self.y.size,))


def moment(plane: Plane, number: ArrayLike, order_x: float, order_y: float) -> float:
    """Return the moment sum x_p^i y_q^j N_pq."""
    return float(plane.x**order_x @ frozen("number", number, plane.shape) @ plane.y**order_y)


def project_point(plane: Plane, x: float, y: float) -> Array:
    """Return the (nx, ny) shares of particles of one composition at the four pivots around it.

    Raises
    ------
    ValueError : it is not within the pivots.
    """
    found = []
    for name, pivots, value in (("x", plane.x, x), ("y", plane.y, y)):
        if not pivots[0] <= value <= pivots[-1]:
            raise ValueError(f"{name} = {value!r} m3 is outside the pivots, {pivots[0]:g} to {pivots[-1]:g} m3: take a wider plane")
        lower, share = _between(pivots, np.array([value]))
        shares = np.zeros(pivots.size + 1)
        shares[lower], shares[lower + 1] = 1 - share, share
        found.append(shares[:-1])
    return np.outer(*found)


@dataclass(frozen=True, eq=False)
class PlaneAggregation:
    """Aggregation on a plane.

    Parameters
    ----------
    plane : the pivots.
    kernel : (nx ny, nx ny) K at the pivots in m3/s, symmetric, not negative, such as ``sum_kernel(plane, rate)``.
    closed : pairs whose aggregate would be beyond the last pivot of an axis do not aggregate, so that both volumes are kept; if not,
        they aggregate and leave the plane.

    Raises
    ------
    ValueError : the kernel is not what is said above.

    Examples
    --------
    >>> from csrc.aggregation import constant_kernel
    >>> plane = Plane([0, 1, 2, 4], [0, 1, 2, 4])
    >>> aggregation = PlaneAggregation(plane, constant_kernel(plane, 1.0))
    >>> plane_rates(aggregation, project_point(plane, 0, 1) + project_point(plane, 1, 0)).round(12).tolist()[0]
    [0.0, -2.0, 0.5, 0.0]
    """

    plane: Plane
    kernel: Array
    closed: bool = True

    def __post_init__(self) -> None:
        """Check the kernel."""
        kernel = frozen("kernel", self.kernel, (self.plane.pivots.size,) * 2)
        refuse("kernel", kernel < 0, kernel, "is negative")
        refuse("kernel", np.abs(kernel - kernel.T) > 1e-12 * np.abs(kernel), kernel, "differs from its mirror image")
        object.__setattr__(self, "kernel", kernel)

    @cached_property
    def compiled(self) -> compiled.Plane:
        """The aggregation as the compiled kernel takes it: see two_components.h."""
        (to_x, share_x), (to_y, share_y) = (_between(v, np.add.outer(v, v)) for v in (self.plane.x, self.plane.y))
        nx, ny = self.plane.shape
        kernel = self.kernel.reshape(nx, ny, nx, ny).transpose(0, 2, 1, 3)  # rows of both, then places in the rows
        if self.closed:
            kernel = kernel * (to_x < nx)[:, :, None, None] * (to_y < ny)
        kernel = np.where(np.eye(nx, dtype=bool)[:, :, None, None], 0.5 * kernel, kernel)
        return compiled.Plane(to_x, to_y, share_x, share_y, np.ascontiguousarray(kernel[np.tril_indices(nx)]).ravel())


def plane_rates(aggregation: PlaneAggregation, number: ArrayLike, coefficient: float = 1.0) -> Array:
    """Return the (nx, ny) rates of change, in 1/(m3 s), of the numbers (nx, ny) in 1/m3, times a coefficient.

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    return aggregation.compiled.rates(frozen("number", number, aggregation.plane.shape), float(coefficient))


def plane_jacobian(aggregation: PlaneAggregation, number: ArrayLike, coefficient: float = 1.0) -> Array:
    """Return the derivatives (nx, ny, nx, ny) of the rates by numbers; Raises as :func:`plane_rates`."""
    found = aggregation.compiled.jacobian(frozen("number", number, aggregation.plane.shape), float(coefficient))
    return found.T.reshape(*aggregation.plane.shape, *aggregation.plane.shape)


def plane_function(aggregation: PlaneAggregation) -> ca.Function:
    """Return the rates as a CasADi function of the columns number (nx ny, y running fastest) and coefficient.

    It is CasADi's external function of the compiled kernel, with its first derivatives; as for
    :func:`csrc.population_balance.vector_function`, second ones are refused and it belongs to this process.

    Raises
    ------
    RuntimeError : 512 planes are already in use by CasADi in this process.
    """
    import casadi as ca

    seat = aggregation.compiled.seat()
    if seat < 0:
        raise RuntimeError("512 planes of two components are in use by CasADi at once: delete models that are no longer needed")
    return ca.external(f"seated_{seat:04o}", compiled.__file__)


def _between(pivots: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the pivot below each value, the number of pivots if it is beyond the last, and the share of the next pivot."""
    lower = np.searchsorted(pivots, values, side="right") - 1
    wide = np.append(pivots, np.inf)
    share = np.where(values == wide[lower], 0.0, (values - wide[lower]) / (wide[lower + 1] - wide[lower]))
    return np.where(values > pivots[-1], pivots.size, lower).astype(np.int64), share
