"""Conical mill: particles break in a mixed chamber until they pass a screen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from csrc.breakage import power_law_fragments, vogel_peukert_fragments
from csrc.grids import Grid
from solvers.declare import Direction, Event, nominal
from units.laws import smooth_absolute
from units.parameter import Parameter
from units.powders import carried, needed_sizes, of_own_sizes
from units.sizes import SizeClasses
from units.stream import Material, add_inlets, add_powder_port
from units.transport import INITIAL
from units.unit import REV_PER_S, UnitBlock

HEEL = 1e-9
"""Solids (kg) below which nothing passes the screen, so that an empty mill is a regular point."""


def passing_shares(sizes: SizeClasses, aperture: float) -> list[float]:
    """Return the share of each size class that passes a screen: one below the aperture (m), zero above, of its own class what lies below,
    even over the logarithm of the diameter.

    >>> passing_shares(SizeClasses(1e-5, 1e-2, 3), 1e-3)
    [1.0, 1.0, 0.0]
    >>> [round(share, 6) for share in passing_shares(SizeClasses(1e-5, 1e-2, 3), 1e-3 * 10**0.25)]
    [1.0, 1.0, 0.25]
    """
    width = math.log(sizes.edges[1] / sizes.edges[0])
    return [round(min(max(math.log(aperture / edge) / width, 0.0), 1.0), 12) for edge in sizes.edges[:-1]]


def fragment_shares(sizes: SizeClasses, exponent: float, size: float) -> np.ndarray:
    """Return what broken particles become: the share of the mass of class j (column) that goes to class k (row); columns sum to one.

    The fixed pivot technique (:mod:`csrc.breakage`) by mass; fragments finer than the smallest class go to it.

    Parameters
    ----------
    sizes : the classes.
    exponent : q by diameter of the share ``(d/D)^q`` of a particle of the diameter D that is in fragments below d.
    size : d' (m) of Vogel and Peukert, below which less than half of a particle is broken off; 0 if all of it is.
    """
    if sizes.classes == 1:
        return np.ones((1, 1))
    volume = math.pi / 6
    grid = Grid(volume * np.array(sizes.edges) ** 3, volume * np.array(sizes.diameters) ** 3)
    numbers = vogel_peukert_fragments(grid, exponent, size) if size > 0 else power_law_fragments(grid, exponent / 3 - 2)
    return numbers * grid.pivots[:, None] / grid.pivots


@declare_custom_block("ConicalMill", rule="build")
class ConicalMillData(UnitBlock):
    """Conical mill with a screen: well-mixed hold-up in which particles break, and which leaves as fast as it can once it is fine enough.

    Equations, for size class k and component c (population balance by mass; d[k] stands for the class)::

        d mass[k]/dt = inlet_flow[k] - outlet_flow[k] - S[k] mass[k] + sum_j b[k, j] S[j] mass[j]
        d mass[c]/dt = inlet_flow[c] - outlet_flow[c]
        S[k]         = selection_rate (d[k]/reference_size)^selection_exponent (speed/reference_speed)^speed_exponent
        B(d, D)      = (d/D)^fragment_exponent phi(D),  phi = 1, or [1 + tanh((D - d')/d')]/2 with d' = fragment_size above zero
        outlet_flow[k] = e[k] mass[k]/mean_time,  outlet_flow[c] = passing mass[c]/mean_time,  passing = sum_k e[k] mass[k]/solids

    b[k, j], with columns that sum to one, is what the cumulative fragments B leave in class k by the fixed pivot technique
    (:mod:`csrc.breakage`; second order in the classes' width). e[k] is one below the screen's aperture, zero above it, and of the class in
    which the aperture lies the share below.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k], mass[c] | hold-up by size class, and by component (states) | kg |
    | S[k], selection | how often a particle of a class breaks | 1/s |
    | b[k, j] | share of a broken particle of class j that goes to class k | - |
    | e[k], aperture | share of a class that passes the screen; opening of the screen | -, m |
    | mean_time | mean time that what is fine enough takes to leave | s |
    | speed | impeller speed (input) | rev/s |
    | solids, total_mass | dry solids held; all that is held | kg |
    | passing | share of the solids held that is fine enough | - |
    | capacity | hold-up above which the mill is overloaded | kg |

    Assumptions: chamber well mixed; components and moisture go with the solids, of whatever size, so that breakage changes no composition;
    no attrition below the smallest class; the screen does not blind. What is too coarse stays until it is broken: a mill that breaks
    less than comes fills up, and a run in which it does so to more than its capacity ends.

    Valid for any inflow that is not negative, zero and an empty mill included. Source: population balance of mills with selection, breakage
    and a screen (Barrasso et al. 2013; Metta et al. 2018), recalled; fragments after Vogel and Peukert 2003. Numbers are illustrative: fit
    them.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the flowsheet follows no sizes.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter.positive("aperture", u.m, "opening of the screen", 1e-3, "recalled: 0.5-2 mm", structural=True),
        Parameter.positive("mean_time", u.s, "mean time that what is fine enough takes to leave", 10.0, source="recalled: 5-20 s"),
        Parameter("selection_rate", 1 / u.s, "how often a particle of reference size breaks", 0.5, 0.0, source="illustrative"),
        Parameter("selection_exponent", u.dimensionless, "exponent of breakage on diameter", 1.0, 0.0, 6.0, structural=True),
        Parameter.positive("reference_size", u.m, "diameter at which selection_rate holds", 1e-3, structural=True),
        Parameter.positive("speed", REV_PER_S, "impeller speed", 20.0, "recalled: 600-2400 rpm", input=True),
        Parameter.positive("reference_speed", REV_PER_S, "impeller speed at which selection_rate holds", 20.0),
        Parameter("speed_exponent", u.dimensionless, "exponent of breakage on speed", 1.0, 0.0, source="illustrative"),
        Parameter.positive(
            *("fragment_exponent", u.dimensionless, "exponent of the fragments by diameter; 6 is uniform and binary", 3.0),
            source="illustrative",
            structural=True,
        ),
        Parameter("fragment_size", u.m, "size below which less than half is broken off; 0 if all is", 0.0, 0.0, structural=True),
        Parameter.positive("capacity", u.kg, "hold-up above which the mill is overloaded", 2.0, source="assumed"),
        *INITIAL,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_d50", "inlet_d50", "outlet_total", "total_mass", "passing", "outlet_fraction")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states, equations and the event of overload."""
        sizes = needed_sizes(self, materials)
        fixed = self.add_parameters(time, list(materials), given)
        if pyo.value(self.initial_mass) > pyo.value(self.capacity):
            raise self.refusal("initial_mass", "exceeds capacity")
        add_inlets(self, time, materials, self.inlets(given), "granules into the mill")
        add_powder_port(self, "outlet", time, materials, doc="milled granules")
        self._add_holdup(time, materials)
        self._add_screen(time, materials, dict(zip(sizes.names, passing_shares(sizes, fixed["aperture"]), strict=True)))
        self._add_breakage(time, materials, sizes, fixed)
        self.overload = Event(
            guard=lambda b, t: b.total_mass[t] - b.capacity,
            direction=Direction.RISING,
            doc="the mill holds more than its capacity: it breaks less than comes",
            refusal="feed less or finer granules, turn faster, or take a screen with a larger aperture",
        )

    def _add_holdup(self, time: Any, materials: Mapping[str, Material]) -> None:
        members = carried(materials)
        solid = [name for name, material in materials.items() if not material.moisture]
        self.mass = pyo.Var(time, members, initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up")
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up")
        nominal(self.mass, 0.05)

        @self.Expression(time, members, doc="hold-up by component and size class")
        def holdup(b: Any, t: float, c: str) -> Any:
            return b.mass[t, c]

        @self.Expression(time, doc="hold-up")
        def total_mass(b: Any, t: float) -> Any:
            return sum(b.mass[t, c] for c in materials)

        @self.Expression(time, doc="dry solids held")
        def solids(b: Any, t: float) -> Any:
            return sum(b.mass[t, c] for c in solid)

        @self.Constraint(members, doc="hold-up at the start")
        def start(b: Any, c: str) -> Any:
            return b.mass[time.first(), c] == of_own_sizes(materials, c, lambda name: b.initial_mass * b.initial_composition[name])

    def _add_screen(self, time: Any, materials: Mapping[str, Material], passes: Mapping[str, float]) -> None:
        @self.Expression(time, doc="dry solids held, and enough to divide by")
        def regular_solids(b: Any, t: float) -> Any:
            return smooth_absolute(b.solids[t], HEEL * u.kg)

        @self.Expression(time, doc="share of the solids held that is fine enough for the screen")
        def passing(b: Any, t: float) -> Any:
            return sum(share * b.mass[t, size] for size, share in passes.items()) / b.regular_solids[t]

        @self.Constraint(time, carried(materials), doc="what is fine enough leaves, with its share of every component")
        def discharge(b: Any, t: float, c: str) -> Any:
            # both fade alike, so that the classes of what leaves sum to its solids even in an empty mill
            share = b.passing[t] if c in materials else passes[c] * b.solids[t] / b.regular_solids[t]
            return b.outlet_flow[t, c] == share * b.mass[t, c] / b.mean_time

    def _add_breakage(self, time: Any, materials: Mapping[str, Material], sizes: SizeClasses, fixed: Mapping[str, float]) -> None:
        relative = {
            name: (size / fixed["reference_size"]) ** fixed["selection_exponent"]
            for name, size in zip(sizes.names, sizes.diameters, strict=True)
        }
        fragments = fragment_shares(sizes, fixed["fragment_exponent"], fixed["fragment_size"])
        number = {name: k for k, name in enumerate(sizes.names)}

        @self.Expression(time, doc="how often a particle of reference size breaks")
        def selection(b: Any, t: float) -> Any:
            return b.selection_rate * (b.speed[t] / b.reference_speed) ** b.speed_exponent

        @self.Expression(time, list(sizes.names), doc="mass of a size class that breaks per time")
        def broken(b: Any, t: float, size: str) -> Any:
            return relative[size] * b.selection[t] * b.mass[t, size]

        @self.Constraint(time, carried(materials), doc="mass balance of the mill")
        def mass_balance(b: Any, t: float, c: str) -> Any:
            through = b.feed[t, c] - b.outlet_flow[t, c]
            if c in materials:
                return b.mass_rate[t, c] == through
            shares = {size: float(fragments[number[c], j]) - (size == c) for size, j in number.items() if j >= number[c]}
            return b.mass_rate[t, c] == through + sum(share * b.broken[t, size] for size, share in shares.items())
