"""Plug flow as states: cells in a row, and what passes from each into the next by a limited third-order upwind scheme.

What is carried is a vector w[k] of one number per component in each cell. The value at the face behind cell k follows from the differences
towards it, ``a = w[k] - w[k-1]``, and beyond it, ``b = w[k+1] - w[k]``, by the kappa = 1/3 scheme (van Leer 1977, J Comput Phys 23:276)
with the differentiable limiter of Hemker and Koren (1988; form recalled, its order is shown by the tests)::

    w_face = w[k] + 1/2 [(2 b.b + e) a + (a.a + 2 e) b]/(2 a.a + 2 b.b - a.b + 3 e),   e = width^2

For one component and e = 0 that is ``phi(r) = (2 r^2 + r)/(2 r^2 - r + 2)``. All components share the bracket, so that fractions that sum
to one in every cell do so at every face. Differences far below ``width`` are not limited: extrema keep the third order. In front of the
first cell stands the mirrored cell ``2 w_in - w[1]``; behind the last one the slope of its last two differences, limited (van Albada 1982).
A front keeps between its ends but for overshoots of the order of ``width``. One cell alone is a mixed tank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.parameter import Parameter
from units.powders import carried, of_own_sizes
from units.stream import TYPICAL_FLOW, Material

FLOW_WIDTH = 1e-2 * TYPICAL_FLOW
"""Difference of mass flows (kg/s) between neighbors below which a delay is not limited: 0.04 kg/h."""


INITIAL: tuple[Parameter, ...] = (
    Parameter("initial_mass", u.kg, "hold-up at the start", 0.0, 0.0),
    Parameter("initial_composition", u.dimensionless, "mass fractions at the start", None, 0.0, 1.0, per_component=True, fractions=True),
)
"""Parameters of all that holds powder at the start."""


def face_weights(a: Sequence[Any], b: Sequence[Any], e: Any) -> tuple[Any, Any]:
    """Return the shares of the differences towards a cell and beyond it that the face behind it adds to what the cell holds.

    >>> [round(weight, 12) for weight in face_weights([1.0], [1.0], 0.0)]  # a straight line
    [0.333333333333, 0.166666666667]
    >>> [round(weight, 12) for weight in face_weights([0.0], [0.0], 1e-6)]  # unlimited: 1/6 and 1/3
    [0.166666666667, 0.333333333333]
    """
    aa, bb, ab = _product(a, a), _product(b, b), _product(a, b)
    bracket = 2 * (2 * aa + 2 * bb - ab + 3 * e)
    return (2 * bb + e) / bracket, (aa + 2 * e) / bracket


def last_weights(a: Sequence[Any], b: Sequence[Any], e: Any) -> tuple[Any, Any]:
    """Return the same for the last cell, from the difference towards it and the one before.

    >>> last_weights([1.0], [1.0], 0.0)
    (0.25, 0.25)
    """
    aa, bb = _product(a, a), _product(b, b)
    bracket = 2 * (aa + bb + 2 * e)
    return (bb + e) / bracket, (aa + e) / bracket


def add_faces(
    block: Any,
    name: str,
    time: Any,
    cells: Any,
    components: Sequence[str],
    held: Callable[[Any, Any, int, str], Any],
    entering: Callable[[Any, Any, str], Any],
    width: Any,
    doc: str,
) -> None:
    """Add what the faces behind cells carry: the Expression ``{name}[t, k, c]``, and the Var ``{name}_weight`` in it.

    Parameters
    ----------
    block, time, components : where, and over what.
    cells : ``RangeSet`` of the cells in the direction of the flow.
    held : ``held(block, t, k, c)``, what cell k holds of a component.
    entering : ``entering(block, t, c)``, the same at the inlet's face.
    width : difference between neighbors below which nothing is limited, in the same unit.
    doc : what is carried.
    """
    last = len(cells)

    def towards(b: Any, t: Any, k: int) -> list[Any]:
        if k == 1:
            return [2 * (held(b, t, 1, c) - entering(b, t, c)) for c in components]
        return [held(b, t, k, c) - held(b, t, k - 1, c) for c in components]

    def differences(b: Any, t: Any, k: int) -> tuple[list[Any], list[Any]]:
        return towards(b, t, k), towards(b, t, k - 1 if k == last else k + 1)

    def weighing(b: Any, t: Any, k: int, side: int) -> Any:
        weights = (last_weights if k == last else face_weights)(*differences(b, t, k), width**2)
        return b.component(f"{name}_weight")[t, k, side] == weights[side]

    def face(b: Any, t: Any, k: int, c: str) -> Any:
        if last == 1:
            return held(b, t, k, c)
        weights, place = b.component(f"{name}_weight"), list(components).index(c)
        one, other = differences(b, t, k)
        return held(b, t, k, c) + weights[t, k, 0] * one[place] + weights[t, k, 1] * other[place]

    if last > 1:
        text = f"{doc}: weight of a difference"
        block.add_component(f"{name}_weight", pyo.Var(time, cells, [0, 1], initialize=0.25, units=u.dimensionless, doc=text))
        block.add_component(f"{name}_weighing", pyo.Constraint(time, cells, [0, 1], rule=weighing, doc=text))
    block.add_component(name, pyo.Expression(time, cells, components, rule=face, doc=doc))


def add_delay(
    block: Any,
    time: Any,
    components: Sequence[str],
    cells: int,
    entering: Callable[[Any, Any, str], Any],
    transit: Callable[[Any, Any], Any],
) -> None:
    """Add a stretch that powder passes in a given time, however much of it there is: the states ``delay_mass[t, j, c]`` (kg) in m cells.

    Also adds the Expression ``delayed[t, c]`` (kg/s), what leaves it, and the mass balances::

        d delay_mass[j, c]/dt = (delay_face[j-1, c] - delay_face[j, c]) m/transit

    with the limited third-order upwind values ``delay_face`` of what the cells hold; no states and no delay with ``cells = 0``.

    Parameters
    ----------
    block, time, components : where, and over what.
    cells : m.
    entering : ``entering(block, t, c)``, component mass flow that enters (kg/s).
    transit : ``transit(block, t)``, the time that the whole stretch takes (s).
    """
    block.delay_cell = pyo.RangeSet(cells)
    block.delay_mass = pyo.Var(
        time, block.delay_cell, components, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up of a delay cell"
    )
    nominal(block.delay_mass, 0.01)
    block.delay_mass_rate = DerivativeVar(block.delay_mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up of a delay cell")
    if cells:
        add_faces(
            *(block, "delay_face", time, block.delay_cell, components),
            held=lambda b, t, j, c: b.delay_mass[t, j, c] * (cells / transit(b, t)),
            entering=entering,
            width=FLOW_WIDTH * u.kg / u.s,
            doc="mass flow out of a delay cell",
        )

    @block.Constraint(time, block.delay_cell, components, doc="mass balance of a delay cell")
    def delay_balance(b: Any, t: float, j: int, c: str) -> Any:
        return b.delay_mass_rate[t, j, c] == (entering(b, t, c) if j == 1 else b.delay_face[t, j - 1, c]) - b.delay_face[t, j, c]

    @block.Expression(time, components, doc="mass flow behind the delay")
    def delayed(b: Any, t: float, c: str) -> Any:
        return b.delay_face[t, cells, c] if cells else entering(b, t, c)


def add_delay_start(block: Any, t0: Any, materials: Mapping[str, Material]) -> Callable[[Any, str], Any]:
    """Add the start of a delay in front of tanks, ``delay_mass_start[j, c]``: the hold-up that a steady flow would leave in both.

    The unit has ``initial_mass``, ``initial_composition[c]``, the tanks' ``mean_time`` and ``delay`` (s).

    Returns
    -------
    ``flow(block, c)``, that steady flow of a component or size class (kg/s).
    """
    cells = len(block.delay_cell)

    def flow(b: Any, c: str) -> Any:
        def own(name: str) -> Any:
            return b.initial_mass * b.initial_composition[name] / (b.mean_time + b.delay if cells else b.mean_time)

        return of_own_sizes(materials, c, own)

    @block.Constraint(block.delay_cell, carried(materials), doc="hold-up of a delay cell at the start")
    def delay_mass_start(b: Any, j: int, c: str) -> Any:
        return b.delay_mass[t0, j, c] == flow(b, c) * b.delay / cells

    return flow


def _product(one: Sequence[Any], other: Sequence[Any]) -> Any:
    return sum(x * y for x, y in zip(one, other, strict=True))
