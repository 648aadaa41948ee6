"""Feed frame of a tablet press: mixed chambers in which paddles strain the powder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units import bed
from units.laws import smooth_positive
from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_inlets, add_powder_port, mass_fractions
from units.unit import REV_PER_S, UnitBlock

ROUNDING = 1e-6
"""Share of its size over which the intake's end at zero is rounded."""


OVERFULL = 1.1
"""Share of its volume above which a run with an overfull frame ends."""


@declare_custom_block("FeedFrame", rule="build")
class FeedFrameData(UnitBlock):
    """Feed frame: a choke-fed vessel of well-mixed chambers that takes what it needs from above and strains what passes.

    Equations, for chamber k of n (:mod:`units.bed`: chambers share the hold-up, what they pass on is what they hold)::

        leaving           = rho_b draw level/sqrt(level^2 + heel^2)
        filled_volume     = level/rho_b of what the frame holds
        intake            = max(draw + (volume - filled_volume)/fill_time, 0)
        d worked[k]/dt    = G[k-1] strain[k-1] - G[k] strain[k] + mass[k] strain_per_turn paddle_speed,  strain[0] = 0
        strain[k]         = worked[k]/mass[k]
        strength_factor   = 1 - strength_loss [1 - exp(-strain[n]/strain_scale)]

    With constant flow and a full frame, n chambers have the mean residence time level/F, variance (level/F)^2/n, and the
    mean strain of what leaves is ``strain_per_turn paddle_speed level/F``: every paddle pass counts, however powder mixes.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k, c], level | powder in a chamber by component (state); in the frame | kg |
    | worked[k] | strain of the powder in a chamber, times its mass (state) | kg |
    | draw | volume of loose powder that the dies draw per time (input; a signal from the press) | m3/s |
    | intake | volume that the frame wants per time from what stands above (a signal to its draw) | m3/s |
    | volume, fill_time | volume of the full frame; time constant of filling it up | m3, s |
    | paddle_speed | paddle speed (input) | rev/s |
    | strain | shear strain of what leaves, mean over it | - |
    | strength_factor | tensile strength relative to unstrained powder (a signal to the press) | - |

    Assumptions: chambers well mixed; strain adds up along the way and mixes by mass; lubricant is spread by strain alone, so that the
    strength falls towards ``1 - strength_loss`` with a scale of its own; the powder comes unstrained.
    A frame that is more than full by a tenth ends the run, and says what is not connected.

    Valid for any inflow, draw and paddle speed that are not negative, zero and an empty frame included. Source: one to three mixed
    chambers, 20-150 s with the hopper, recalled; loss of strength that levels off with strain after Kushner and Moore 2010 (Int J Pharm
    399:19), form recalled, numbers illustrative: fit them.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("chambers", u.dimensionless, "number of mixed chambers", 2, 1, integer=True, source="recalled: 1-3"),
        Parameter("draw", u.m**3 / u.s, "volume of loose powder drawn per time", 0.0, 0.0, input=True),
        Parameter.positive("volume", u.m**3, "volume of the full frame", 5e-4, source="assumed: 0.5 L"),
        Parameter.positive("fill_time", u.s, "time constant of filling up", 5.0, source="assumed"),
        Parameter("paddle_speed", REV_PER_S, "paddle speed", 1.0, 0.0, input=True, source="assumed: 60 rpm"),
        Parameter("strain_per_turn", 1 / u.revolution, "shear strain that a turn of the paddles adds", 1.0, 0.0, source="illustrative"),
        Parameter("strength_loss", u.dimensionless, "share of the strength that much strain takes", 0.3, 0.0, 1.0, source="illustrative"),
        Parameter.positive("strain_scale", u.dimensionless, "strain that takes 63 % of that share", 100.0, source="illustrative"),
        *bed.BED,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("strength_factor", "strain", "level", "outlet_total", "outlet_fraction")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        components, members = list(materials), carried(materials)
        chambers = self.add_parameters(time, components, given)["chambers"]
        add_inlets(self, time, materials, self.inlets(given), "powder into the feed frame")
        add_powder_port(self, "outlet", time, materials, doc="powder to the dies")
        bed.add_shares(self, time, materials, chambers)
        bed.add_mixed_faces(self, time, members)
        bed.add_drawing(self, time, materials)
        bed.add_balances(self, time, members)
        self._add_intake(time, materials)
        self._add_strain(time, components, chambers)

    def _add_intake(self, time: Any, materials: Mapping[str, Material]) -> None:
        @self.Expression(time, doc="volume of loose powder in the frame")
        def filled_volume(b: Any, t: float) -> Any:
            held = {c: b.holdup[t, c] for c in materials}
            return b.level[t] / bed.bulk_density(mass_fractions(held, bed.MASS_HEEL * u.kg), materials)

        @self.Expression(time, doc="volume that the frame wants per time from above")
        def intake(b: Any, t: float) -> Any:
            wanted = b.draw[t] + (b.volume - b.filled_volume[t]) / b.fill_time
            return smooth_positive(wanted, ROUNDING * b.volume / b.fill_time)

        self.overfull = Event(
            guard=lambda b, t: b.filled_volume[t] - OVERFULL * b.volume,
            direction=Direction.RISING,
            doc="more powder comes than the feed frame holds",
            refusal="put a hopper above and connect the frame's intake to its draw, and the press's draw to that of the frame",
        )

    def _add_strain(self, time: Any, components: list[str], chambers: int) -> None:
        self.worked = pyo.Var(time, self.share, initialize=0.0, bounds=(0, None), units=u.kg, doc="strain times mass in a chamber")
        self.worked_rate = DerivativeVar(self.worked, wrt=time, units=u.kg / u.s, doc="rate of strain times mass in a chamber")
        nominal(self.worked, 1.0)

        @self.Expression(time, self.share, doc="strain times mass flow out of a chamber")
        def carried(b: Any, t: float, k: int) -> Any:
            return b.passed[t, k] * b.worked[t, k] / b.share_mass[t, k]

        @self.Constraint(time, self.share, doc="paddles strain the powder in a chamber")
        def working(b: Any, t: float, k: int) -> Any:
            mass = sum(b.mass[t, k, c] for c in components)
            came = b.carried[t, k - 1] if k > 1 else 0 * u.kg / u.s
            return b.worked_rate[t, k] == came - b.carried[t, k] + mass * b.strain_per_turn * b.paddle_speed[t]

        @self.Constraint(self.share, doc="unstrained powder at the start")
        def worked_start(b: Any, k: int) -> Any:
            return b.worked[time.first(), k] == 0 * u.kg

        @self.Expression(time, doc="shear strain of what leaves")
        def strain(b: Any, t: float) -> Any:
            return b.worked[t, chambers] / b.share_mass[t, chambers]

        @self.Expression(time, doc="tensile strength relative to unstrained powder")
        def strength_factor(b: Any, t: float) -> Any:
            return 1 - b.strength_loss * (1 - pyo.exp(-b.strain[t] / b.strain_scale))
