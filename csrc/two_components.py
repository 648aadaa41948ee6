r"""Particles of two components that aggregate and break: numbers on a plane of pivots, one axis for the volume of each component.

.. math::

    \frac{\partial n(x, y)}{\partial t} = \tfrac12 \int_0^x \int_0^y K\, n(x - u, y - w)\, n(u, w)\, dw\, du
    - n(x, y) \int_0^\infty \int_0^\infty K\, n(u, w)\, dw\, du
    + \int_0^1 b(z)\, (S n)(x / z, y / z)\, z^{-2}\, dz - S n(x, y)

with the volumes x and y (m3) of the components in a particle. Numbers :math:`N_{pq}` (1/m3) stand at the pivots :math:`(x_p, y_q)`, and
an aggregate is shared among the four pivots around it, linearly along each axis: the fixed pivot technique in two dimensions
(Vale and McKenna 2005, Ind Eng Chem Res 44:7885). The shares keep the number of aggregates, both volumes and the mean product of the
volumes, so that :math:`M_{00}, M_{10}, M_{01}, M_{11}` change as they should whatever the kernel; :math:`M_{20}` and :math:`M_{02}`
come out too large by the square of the spacing. The first pivot of an axis may be 0: particles without that component.

Fragments have the composition of what broke and are shared likewise; b(z) is their number by the share z of its volume that one has.

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
from csrc.seats import seated_function

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


def ray_fragments(plane: Plane, exponent: float = 0.0) -> Array:
    """Return fragments of b(z) = (m + 2) z^m, m > -1, of the composition of what broke; m = 0 is uniform binary breakage.

    Parameters
    ----------
    plane : its axes start at 0, or small fragments could not keep both volumes.
    exponent : m.

    Returns
    -------
    fragments : (nx ny, nx ny) number at cell i of a particle at cell k; those shared to the pivot without volume are not counted.

    Raises
    ------
    ValueError : an axis that does not start at 0, or an exponent of -1 or less: the number of such fragments is not finite.

    Examples
    --------
    >>> plane = Plane([0, 1, 2], [0, 1])
    >>> fragments = ray_fragments(plane)
    >>> (plane.pivots @ fragments).round(12).tolist()
    [0.0, 1.0, 1.0, 2.0, 2.0, 3.0]
    """
    if plane.x[0] != 0 or plane.y[0] != 0:
        raise ValueError(f"axes of a plane on which particles break have to start at 0 (got {plane.x[0]:g}, {plane.y[0]:g})")
    if not (np.isfinite(exponent) and exponent > -1):
        raise ValueError(f"exponent has to be above -1, or fragments have no finite number (got {exponent!r})")
    fragments = np.zeros((plane.pivots.size, *plane.shape))
    for parent, (x, y) in enumerate((x, y) for x in plane.x for y in plane.y):
        if x + y > 0:
            _add_fragments(plane, x, y, float(exponent), fragments[parent])
    fragments[:, 0, 0] = 0.0
    return fragments.reshape(plane.pivots.size, -1).T


def _add_fragments(plane: Plane, x: float, y: float, exponent: float, fragments: Array) -> None:
    """Add the fragments of a particle: between crossings of pivots, shares are products of two linear functions of z."""
    crossings = [pivots[pivots < value] / value for pivots, value in ((plane.x, x), (plane.y, y)) if value > 0]
    ends = np.unique(np.concatenate((*crossings, [0.0, 1.0])))
    middle, power = 0.5 * (ends[1:] + ends[:-1]), exponent + 1 + np.arange(3)[:, None]
    integrals = (exponent + 2) / power * (ends[1:] ** power - ends[:-1] ** power)  # of b, b z and b z^2
    axes = []
    for pivots, value in ((plane.x, x), (plane.y, y)):
        lower = np.minimum(np.searchsorted(pivots, middle * value, side="right") - 1, pivots.size - 2)
        gap = pivots[lower + 1] - pivots[lower]
        upper = np.stack((-pivots[lower] / gap, value / gap))  # share of the upper pivot: constant, and by z
        axes.append((lower, (np.stack((1 - upper[0], -upper[1])), upper)))
    (p, across), (q, along) = axes
    for up in range(2):
        for right in range(2):
            one, other = across[up], along[right]
            share = (
                one[0] * other[0] * integrals[0] + (one[0] * other[1] + one[1] * other[0]) * integrals[1] + one[1] * other[1] * integrals[2]
            )
            np.add.at(fragments, (p + up, q + right), share)


@dataclass(frozen=True, eq=False)
class PlaneBalance:
    """What happens to particles on a plane.

    Parameters
    ----------
    plane : the pivots.
    kernel : (nx ny, nx ny) K at the pivots in m3/s, symmetric, not negative, such as ``sum_kernel(plane, rate)``; None without it.
    selection : (nx ny,) S at the pivots in 1/s, not negative; None without breakage.
    fragments : (nx ny, nx ny) of :func:`ray_fragments`; None without breakage.
    closed : pairs whose aggregate would be beyond the last pivot of an axis do not aggregate, so that both volumes are kept; if not,
        they aggregate and leave the plane.

    Raises
    ------
    ValueError : no process, an argument that is not what is said above, or fragments without both volumes of what broke.

    Examples
    --------
    >>> from csrc.aggregation import constant_kernel
    >>> plane = Plane([0, 1, 2, 4], [0, 1, 2, 4])
    >>> balance = PlaneBalance(plane, constant_kernel(plane, 1.0))
    >>> plane_rates(balance, project_point(plane, 0, 1) + project_point(plane, 1, 0)).round(12).tolist()[0]
    [0.0, -2.0, 0.5, 0.0]
    """

    plane: Plane
    kernel: Array | None = None
    selection: Array | None = None
    fragments: Array | None = None
    closed: bool = True

    def __post_init__(self) -> None:
        """Check the processes."""
        cells = self.plane.pivots.size
        if not self.processes:
            raise ValueError("a balance on a plane needs a kernel, or selection and fragments")
        if (self.selection is None) != (self.fragments is None):
            raise ValueError("selection and fragments belong together: give both or none")
        if self.kernel is not None:
            kernel = frozen("kernel", self.kernel, (cells, cells))
            refuse("kernel", kernel < 0, kernel, "is negative")
            refuse("kernel", np.abs(kernel - kernel.T) > 1e-12 * np.abs(kernel), kernel, "differs from its mirror image")
            object.__setattr__(self, "kernel", kernel)
        if self.selection is not None and self.fragments is not None:
            selection, fragments = frozen("selection", self.selection, (cells,)), frozen("fragments", self.fragments, (cells, cells))
            refuse("selection", selection < 0, selection, "is negative")
            refuse("fragments", fragments < -1e-12, fragments, "is negative")
            for name, volume in (("x", np.repeat(self.plane.x, self.plane.y.size)), ("y", np.tile(self.plane.y, self.plane.x.size))):
                kept = volume @ fragments
                refuse(f"volume {name} of fragments", np.abs(kept - volume) > 1e-9 * self.plane.pivots, kept, "is not that of what broke")
            object.__setattr__(self, "selection", selection)
            object.__setattr__(self, "fragments", fragments)

    @property
    def processes(self) -> tuple[str, ...]:
        """Names of the processes there are, in the order of their coefficients."""
        given = {"aggregation": self.kernel, "breakage": self.selection}
        return tuple(name for name, what in given.items() if what is not None)

    @cached_property
    def compiled(self) -> compiled.Plane:
        """The balance as the compiled kernel takes it: see two_components.h."""
        (to_x, share_x), (to_y, share_y) = (_between(v, np.add.outer(v, v)) for v in (self.plane.x, self.plane.y))
        nx, ny = self.plane.shape
        collisions = breakage = None
        if self.kernel is not None:
            kernel = self.kernel.reshape(nx, ny, nx, ny).transpose(0, 2, 1, 3)  # rows of both, then places in the rows
            if self.closed:
                kernel = kernel * (to_x < nx)[:, :, None, None] * (to_y < ny)
            kernel = np.where(np.eye(nx, dtype=bool)[:, :, None, None], 0.5 * kernel, kernel)
            collisions = np.ascontiguousarray(kernel[np.tril_indices(nx)]).ravel()
        if self.selection is not None and self.fragments is not None:
            breakage = np.ascontiguousarray(((self.fragments - np.eye(nx * ny)) * self.selection).T)
            breakage[0, 0] *= self.plane.pivots[0] > 0  # what has no volume does not break
        return compiled.Plane(to_x, to_y, share_x, share_y, collisions, breakage)


def plane_rates(balance: PlaneBalance, number: ArrayLike, coefficients: ArrayLike | None = None) -> Array:
    """Return the (nx, ny) rates of change, in 1/(m3 s), of the numbers (nx, ny) in 1/m3.

    Parameters
    ----------
    balance : what happens to the particles.
    number : (nx, ny) particles at the pivots in 1/m3.
    coefficients : one for each of ``balance.processes``, ones if not given.

    Raises
    ------
    ValueError : another shape, or a number that is not finite.
    """
    return balance.compiled.rates(*_arguments(balance, number, coefficients))


def plane_jacobian(balance: PlaneBalance, number: ArrayLike, coefficients: ArrayLike | None = None) -> tuple[Array, Array]:
    """Return the derivatives by numbers (nx, ny, nx, ny) and coefficients (nx, ny, processes); Raises as :func:`plane_rates`."""
    by_number, by_coefficients = balance.compiled.jacobian(*_arguments(balance, number, coefficients))
    shape = balance.plane.shape
    return by_number.T.reshape(*shape, *shape), by_coefficients.T.reshape(*shape, -1)


def _arguments(balance: PlaneBalance, number: ArrayLike, coefficients: ArrayLike | None) -> tuple[Array, Array]:
    processes = len(balance.processes)
    return (
        frozen("number", number, balance.plane.shape),
        np.ones(processes) if coefficients is None else frozen("coefficients", coefficients, (processes,)),
    )


def plane_function(balance: PlaneBalance) -> ca.Function:
    """Return the rates as a CasADi function of the columns number (nx ny, y running fastest) and coefficients.

    It is CasADi's external function of the compiled kernel, with its first derivatives; as for
    :func:`csrc.population_balance.vector_function`, second ones are refused and it belongs to this process.

    Raises
    ------
    RuntimeError : 512 kernels are already in use by CasADi in this process.
    """
    return seated_function(balance.compiled)


def _between(pivots: Array, values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the pivot below each value, the number of pivots if it is beyond the last, and the share of the next pivot."""
    lower = np.searchsorted(pivots, values, side="right") - 1
    wide = np.append(pivots, np.inf)
    share = np.where(values == wide[lower], 0.0, (values - wide[lower]) / (wide[lower + 1] - wide[lower]))
    return np.where(values > pivots[-1], pivots.size, lower).astype(np.int64), share
