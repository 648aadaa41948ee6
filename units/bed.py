"""A bed of powder that moves through a vessel: equal shares of its mass, one behind the other.

With M the mass in the bed, F_in and F_out what enters and leaves, share k of n passes on::

    G[k]            = F_in + k/n (F_out - F_in)
    d mass[k, c]/dt = G[k-1] face[k-1, c] - G[k] face[k, c]

so that every share keeps M/n while the bed grows or shrinks: the coordinate moves with the powder, and plug flow stays plug flow when the
rate changes. What a face carries says whether shares are mixed tanks (what the share holds), plug flow (:mod:`units.transport`) or
dispersed plug flow. Every component is conserved, whatever the faces carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.laws import smooth_absolute
from units.parameter import Parameter
from units.powders import carried, of_own_sizes
from units.stream import FLOW_HEEL, Material, mass_fractions
from units.transport import INITIAL, add_faces

MASS_HEEL = 1e-6
"""Mass of a whole bed (kg) below which what its faces carry fades to nothing."""

FRACTION_WIDTH = 1e-3
"""Difference of mass fractions between neighbors below which plug flow is not limited."""

BED: tuple[Parameter, ...] = (
    Parameter.positive("heel", u.kg, "mass below which less leaves than is drawn", 1e-3, source="assumed"),
    *INITIAL,
)
"""Parameters of every bed."""


def add_shares(block: Any, time: Any, materials: Mapping[str, Material], shares: int) -> None:
    """Add the states of a bed, and its start from ``initial_mass`` and ``initial_composition``.

    Adds the state ``mass[t, k, c]`` (kg) and the Expressions ``level[t]``, ``holdup[t, c]`` (kg) and ``content[t, k, c]`` (mass fractions,
    fading in an empty bed).
    """
    components, members = list(materials), carried(materials)
    block.share = pyo.RangeSet(shares)
    block.mass = pyo.Var(time, block.share, members, initialize=0.0, bounds=(0, None), units=u.kg, doc="powder in a share of the bed")
    block.mass_rate = DerivativeVar(block.mass, wrt=time, units=u.kg / u.s, doc="rate of the powder in a share of the bed")
    nominal(block.mass, 0.1 / shares)

    @block.Expression(time, block.share, doc="powder in a share of the bed, and enough to divide by")
    def share_mass(b: Any, t: float, k: int) -> Any:
        return smooth_absolute(sum(b.mass[t, k, c] for c in components), MASS_HEEL / shares * u.kg)

    # a Var, since an Expression would be written out wherever it stands
    block.content = pyo.Var(time, block.share, members, initialize=0.0, units=u.dimensionless, doc="mass fraction in a share of the bed")

    @block.Constraint(time, block.share, members, doc="mass fraction in a share of the bed")
    def composing(b: Any, t: float, k: int, c: str) -> Any:
        return b.content[t, k, c] == b.mass[t, k, c] / b.share_mass[t, k]

    @block.Expression(time, members, doc="powder in the bed by component")
    def holdup(b: Any, t: float, c: str) -> Any:
        return sum(b.mass[t, k, c] for k in b.share)

    @block.Expression(time, doc="powder in the bed")
    def level(b: Any, t: float) -> Any:
        return sum(b.holdup[t, c] for c in components)

    @block.Constraint(block.share, members, doc="powder in a share of the bed at the start")
    def start(b: Any, k: int, c: str) -> Any:
        return b.mass[time.first(), k, c] == of_own_sizes(materials, c, lambda name: b.initial_mass * b.initial_composition[name] / shares)


def add_plug_faces(block: Any, time: Any, components: list[str]) -> None:
    """Add the Expression ``face[t, k, c]``: what passes on in plug flow, of the powder that is fed."""

    @block.Expression(time, components, doc="mass fraction of what enters; without flow what the first share holds")
    def entering(b: Any, t: float, c: str) -> Any:
        own = b.content[t, 1, c]
        return own + (b.feed[t, c] - b.feed_total[t] * own) / smooth_absolute(b.feed_total[t], FLOW_HEEL * u.kg / u.s)

    add_faces(
        *(block, "face", time, block.share, components),
        held=lambda b, t, k, c: b.content[t, k, c],
        entering=lambda b, t, c: b.entering[t, c],
        width=FRACTION_WIDTH,
        doc="mass fraction carried through the face behind a share",
    )


def add_mixed_faces(block: Any, time: Any, components: list[str]) -> None:
    """Add the Expression ``face[t, k, c]``: what mixed tanks pass on, which is what they hold."""

    @block.Expression(time, block.share, components, doc="mass fraction carried through the face behind a share")
    def face(b: Any, t: float, k: int, c: str) -> Any:
        return b.content[t, k, c]


def add_drawing(block: Any, time: Any, materials: Mapping[str, Material]) -> None:
    """Add the Expressions ``outlet_density[t]`` (kg/m3) and ``leaving[t]`` (kg/s) of a bed from which a volume is drawn.

    What leaves is the input ``draw[t]`` (m3/s) at the bulk density of the last face, and less of it below the heel.
    """

    @block.Expression(time, doc="bulk density of what leaves")
    def outlet_density(b: Any, t: float) -> Any:
        carried = {c: b.face[t, len(b.share), c] for c in materials}
        return bulk_density(mass_fractions(carried, FLOW_HEEL), materials)

    @block.Expression(time, doc="mass flow that leaves")
    def leaving(b: Any, t: float) -> Any:
        return b.outlet_density[t] * b.draw[t] * b.level[t] / smooth_absolute(b.level[t], b.heel)


def bulk_density(fractions: Mapping[str, Any], materials: Mapping[str, Material]) -> Any:
    """Return the bulk density (kg/m3) of a mixture whose components keep their bulk volumes, from mass fractions that sum to one."""
    return 1 / sum(share / (materials[c].bulk_density * u.kg / u.m**3) for c, share in fractions.items())


def add_balances(block: Any, time: Any, components: list[str]) -> None:
    """Add what passes between the shares, ``passed[t, k]`` and ``passing[t, k, c]`` (kg/s), their balances, and the outlet.

    The unit has the Expressions ``feed``, ``feed_total`` (:func:`units.stream.add_inlets`), ``face[t, k, c]`` and ``leaving[t]`` and the
    port ``outlet`` by then.
    """
    shares = len(block.share)

    @block.Expression(time, block.share, doc="mass flow through the face behind a share")
    def passed(b: Any, t: float, k: int) -> Any:
        return b.leaving[t] if k == shares else b.feed_total[t] + (b.leaving[t] - b.feed_total[t]) * (k / shares)

    @block.Expression(time, block.share, components, doc="component mass flow through the face behind a share")
    def passing(b: Any, t: float, k: int, c: str) -> Any:
        return b.passed[t, k] * b.face[t, k, c]

    @block.Constraint(time, block.share, components, doc="mass balance of a share of the bed")
    def mass_balance(b: Any, t: float, k: int, c: str) -> Any:
        return b.mass_rate[t, k, c] == (b.feed[t, c] if k == 1 else b.passing[t, k - 1, c]) - b.passing[t, k, c]

    @block.Constraint(time, components, doc="the last share passes on through the outlet")
    def discharge(b: Any, t: float, c: str) -> Any:
        return b.outlet_flow[t, c] == b.passing[t, shares, c]
