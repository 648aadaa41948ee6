"""Rotary tablet press: die filling, pre- and main compression, ejection, and what the tablet is like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units import bed, laws
from units.laws import KINK_WIDTH
from units.parameter import Parameter
from units.stream import Material, add_powder_port, substances
from units.tablet import COMPACTION, add_compaction, add_tablet
from units.unit import REV_PER_S, UnitBlock

LEAST_RATE = 1e-3
"""Tablets per second below which their mass fades to nothing: a turret that all but stands."""

LEAST_DRAW = 1e-9
"""Volume (m3/s) that dies are taken to take at least when it is asked whether they are overfilled: 4e-3 L/h."""

OVERFILLED = 1.01
"""Share of what the dies take above which a run is refused; rounding and changes of density stay far below."""

_DENSITY = u.kg / u.m**3
_positive = Parameter.positive


@declare_custom_block("TabletPress", rule="build")
class TabletPressData(UnitBlock):
    """Rotary tablet press making flat round tablets of fixed in-die thickness from what stands above its dies.

    Equations (algebra recalled; ``clip`` holds a value between limits, its kinks rounded over 1e-8 of scale)::

        tablet_rate       = stations turret_speed
        draw              = tablet_rate (pi D^2/4) fill_depth clip(1 - xi1 turret_speed/paddle_speed + xi2 fill_depth/D, 0, 1)
        tablet_mass       = inlet_total/tablet_rate
        relative_density  = tablet_mass/(rho_t (pi D^2/4) min(thickness, pre_thickness))
        compacted_density = clip(relative_density, rho_c, density at pressure_limit),  pre_density the same with pre_thickness
        pressure          = Kawakita's pressure at compacted_density,  force = pressure pi D^2/4,  pre_force the same at pre_density
        tablet_density    = compacted_density (1 - eps),  eps = max(eps0 (compacted_density - rho_ce)/(1 - rho_ce), 0)
        tensile_strength  = strength_factor max(Kuentz-Leuenberger strength at tablet_density, 0)
        break_force       = tensile_strength pi D tablet_thickness/2,  tablet_thickness = tablet_mass/(rho_t (pi D^2/4) tablet_density)
        ejection_force    = wall_friction residual_share pressure pi D tablet_thickness
        1/rho_b           = sum_c inlet_fraction[c]/bulk_density[c],  1/rho_t = sum_c inlet_fraction[c]/true_density[c]
        filling           = inlet_total/(rho_b draw)

    | symbol | meaning | unit |
    |---|---|---|
    | draw | volume of loose powder that the dies take per time (a signal to the hopper or feed frame) | m3/s |
    | filling | share of that which comes: one while there is powder above | - |
    | fill_depth, paddle_speed | die filling depth, feed-frame speed (inputs) | m, rev/s |
    | pre_thickness, thickness | in-die thickness at pre- and main compression (inputs) | m |
    | turret_speed | turret speed (input) | rev/s |
    | assay[s], content[c] | mass fraction in the tablet, of a substance with all its lots; of one lot | - |
    | speed_loss, depth_gain | xi1, xi2 of the die filling | - |
    | kawakita_density, kawakita_a, kawakita_b | rho_c, a, b of the blend | -, -, 1/Pa |
    | recovery, recovery_density | eps0, rho_ce of the elastic recovery, all of it axial | - |
    | strength, strength_density | sigma0, rho_cs of Kuentz and Leuenberger | Pa, - |
    | strength_factor | of lubrication (input; a signal from the feed frame) | - |
    | wall_friction, residual_share | friction at the die wall; radial stress left after main compression, over its pressure | - |

    While no powder comes, the composition is told as uniform and means nothing.

    Assumptions: the press holds nothing itself: it takes what stands above it, by volume. Connect ``draw`` to what gives the powder; if
    that runs out, dies fill partly. Specific volumes are additive, in bulk and in true density; compaction constants are those of the
    blend. The powder is as dense after pre-compression as under it: main compression goes on from there, and set wider repeats it. Above
    ``pressure_limit`` the punches give way. Powder that comes beyond what dies take ends the run, as it has nowhere to go.

    Valid for any inflow that is not negative, a standing turret and none at all included; strengths within the fitted range of densities.

    Source: chain of Bachawala 2025 (Pharmaceuticals 18:1514); ejection by Coulomb friction of the residual radial stress, recalled; default
    constants illustrative or recalled, check before quoting.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the pressure limit compacts beyond the solid.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        _positive("diameter", u.m, "die diameter", 0.010, "worked vectors"),
        _positive("fill_depth", u.m, "die filling depth", 0.010, "source: 7-13 mm in Bachawala 2025", input=True),
        _positive("pre_thickness", u.m, "in-die thickness at pre-compression", 0.0045, "assumed", input=True),
        _positive("thickness", u.m, "in-die thickness at main compression", 0.0026, "source: 2.44 mm in Bachawala 2025", input=True),
        Parameter("stations", u.dimensionless, "dies on the turret", 30, 1, integer=True, source="assumed"),
        Parameter("turret_speed", REV_PER_S, "turret speed", 0.75, 0.0, source="recalled: 20-60 rpm", input=True),
        _positive("paddle_speed", REV_PER_S, "feed-frame speed", 1.0, "assumed: 60 rpm", input=True),
        Parameter("speed_loss", u.dimensionless, "loss of die filling with turret speed", 0.10, 0.0, source="illustrative"),
        Parameter("depth_gain", u.dimensionless, "gain of die filling with depth", 0.02, 0.0, source="illustrative"),
        *COMPACTION,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    shown: ClassVar[tuple[str, ...]] = (
        *("assay", "tablet_mass", "tensile_strength", "break_force", "force", "pre_force", "ejection_force"),
        *("tablet_density", "tablet_thickness", "turret_speed", "throughput", "filling"),
    )

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, port, equations and the event of overfilled dies."""
        whole = self.add_parameters(time, list(materials), given)
        densest = laws.kawakita_density(*map(pyo.value, (self.pressure_limit, self.kawakita_density, self.kawakita_a, self.kawakita_b)))
        if densest > 1:
            raise self.refusal(
                "pressure_limit",
                f"Kawakita's relative density there is {densest:.4f}, more than one",
                "lower pressure_limit, kawakita_a or kawakita_b",
            )
        add_powder_port(self, "inlet", time, materials, doc="powder to the dies")
        self._add_powder(time, materials)
        self._add_filling(time, whole["stations"])
        add_compaction(self, time)
        add_tablet(self, time)

    def _add_powder(self, time: Any, materials: Mapping[str, Material]) -> None:
        lots = substances(materials)

        @self.Expression(time, list(materials), doc="mass fraction in the tablet, lot by lot")
        def content(b: Any, t: float, c: str) -> Any:
            return b.inlet_fraction[t, c]

        @self.Expression(time, list(lots), doc="mass fraction in the tablet, all lots together")
        def assay(b: Any, t: float, s: str) -> Any:
            return sum(b.inlet_fraction[t, c] for c in lots[s])

        @self.Expression(time, doc="bulk density of the blend")
        def bulk_density(b: Any, t: float) -> Any:
            return bed.bulk_density({c: b.inlet_fraction[t, c] for c in materials}, materials)

        @self.Expression(time, doc="true density of the blend")
        def true_density(b: Any, t: float) -> Any:
            return 1 / sum(b.inlet_fraction[t, c] / (materials[c].true_density * _DENSITY) for c in materials)

        @self.Expression(time, list(materials), doc="mass flow into tablets, out of the flowsheet")
        def withdrawal(b: Any, t: float, c: str) -> Any:
            return b.inlet_flow[t, c]

        @self.Expression(time, doc="mass flow into tablets")
        def throughput(b: Any, t: float) -> Any:
            return b.inlet_total[t]

    def _add_filling(self, time: Any, stations: int) -> None:
        self.tablet_mass = pyo.Var(time, initialize=1.0, bounds=(0, None), units=u.kg, doc="tablet mass")

        @self.Expression(doc="die area")
        def area(b: Any) -> Any:
            return math.pi * b.diameter**2 / 4

        @self.Expression(time, doc="tablets per time")
        def tablet_rate(b: Any, t: float) -> Any:
            return b.turret_speed[t] * (stations / u.revolution)

        @self.Expression(time, doc="volume of loose powder that a die takes")
        def die_volume(b: Any, t: float) -> Any:
            share = laws.die_filling(b.diameter, b.fill_depth[t], b.turret_speed[t], b.paddle_speed[t], b.speed_loss, b.depth_gain)
            return b.area * b.fill_depth[t] * laws.smooth_clip(share, 0, 1, KINK_WIDTH)

        @self.Expression(time, doc="volume of loose powder that the dies take per time")
        def draw(b: Any, t: float) -> Any:
            return b.tablet_rate[t] * b.die_volume[t]

        @self.Expression(time, doc="share of what the dies take that comes; none while the turret stands")
        def filling(b: Any, t: float) -> Any:
            full = b.bulk_density[t] * b.die_volume[t]
            return b.tablet_mass[t] / full

        @self.Constraint(time, doc="die filling: what comes is shared among the tablets")
        def die_filling(b: Any, t: float) -> Any:
            least = LEAST_RATE / u.s
            return b.tablet_mass[t] == b.inlet_total[t] * b.tablet_rate[t] / (b.tablet_rate[t] ** 2 + least**2)

        self.overfilled = Event(
            guard=lambda b, t: b.inlet_total[t] - b.bulk_density[t] * (OVERFILLED * b.draw[t] + LEAST_DRAW * u.m**3 / u.s),
            direction=Direction.RISING,
            doc="more powder comes than the dies take",
            refusal="give the press a hopper or a feed frame, and connect the press's draw to its draw",
        )
