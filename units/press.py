"""Rotary tablet press: hopper with level control, die filling, compaction, and what the tablet is like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units import laws
from units.laws import KINK_WIDTH
from units.parameter import Parameter
from units.stream import Material, add_powder_port, mass_fractions
from units.unit import REV_PER_S, UnitBlock

MASS_HEEL = 1e-6
"""Mass in the hopper (kg) below which the composition of what leaves fades to uniform."""

_DENSITY = u.kg / u.m**3
_positive = Parameter.positive


@declare_custom_block("TabletPress", rule="build")
class TabletPressData(UnitBlock):
    """Rotary tablet press making flat round tablets of fixed in-die thickness.

    Equations (algebra recalled; ``clip`` holds a value between limits, its kinks rounded over 1e-8 of scale)::

        d mass[c]/dt      = inlet_flow[c] - withdrawal[c]
        withdrawal[c]     = tablet_rate tablet_mass assay[c]
        tablet_rate       = stations turret_speed
        turret_speed      = clip(nominal_speed [1 + level_gain (M/level_setpoint - 1)], 0, speed_limit)
        full_mass         = rho_b (pi D^2/4) fill_depth clip(1 - xi1 turret_speed/paddle_speed + xi2 fill_depth/D, 0, 1)
        tablet_mass       = full_mass M/sqrt(M^2 + heel^2)
        relative_density  = tablet_mass/(rho_t (pi D^2/4) thickness)
        compacted_density = clip(relative_density, rho_c, density at pressure_limit)
        pressure          = Kawakita's pressure at compacted_density,  force = pressure pi D^2/4
        tablet_density    = compacted_density (1 - eps),  eps = max(eps0 (compacted_density - rho_ce)/(1 - rho_ce), 0)
        tensile_strength  = max(Kuentz-Leuenberger strength at tablet_density, 0)
        break_force       = tensile_strength pi D tablet_thickness/2,  tablet_thickness = tablet_mass/(rho_t (pi D^2/4) tablet_density)
        assay[c]          = mass[c]/M
        1/rho_b           = sum_c assay[c]/bulk_density[c],  1/rho_t = sum_c assay[c]/true_density[c]

    | symbol | meaning | unit |
    |---|---|---|
    | mass[c], level = M | powder in hopper and feed frame, by component (state) and together | kg |
    | fill_depth, thickness, paddle_speed | die filling depth, in-die thickness, feed-frame speed (inputs) | m, m, rev/s |
    | nominal_speed, level_setpoint | turret speed (input) at a hopper mass (input) | rev/s, kg |
    | speed_loss, depth_gain | xi1, xi2 of the die filling | - |
    | kawakita_density, kawakita_a, kawakita_b | rho_c, a, b of the blend | -, -, 1/Pa |
    | recovery, recovery_density | eps0, rho_ce of the elastic recovery, all of it axial | - |
    | strength, strength_density | sigma0, rho_cs of Kuentz and Leuenberger | Pa, - |

    Assumptions: hopper and feed frame together are well mixed; specific volumes are additive, in bulk and in true density;
    compaction constants are those of the blend. The turret follows the hopper level by a proportional controller, so
    that the line keeps its inventory: the level settles where turret and feed agree, within ``1/level_gain`` of set point,
    and the turret stops below ``1 - 1/level_gain`` of it; with ``level_gain = 0`` a signal may drive ``nominal_speed`` instead.
    Below the heel dies fill partly, so that outflow ends with the powder; far above it tablets lack heel^2/(2 M^2) of their
    mass. Above ``pressure_limit`` the punches give way.

    Valid for any inflow that is not negative, zero and an empty hopper included; strengths within the fitted range of densities.

    Source: chain of Bachawala 2025 (Pharmaceuticals 18:1514); default constants illustrative or recalled, check before quoting.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the pressure limit compacts beyond the solid.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        _positive("diameter", u.m, "die diameter", 0.010, "worked vectors"),
        _positive("fill_depth", u.m, "die filling depth", 0.010, "source: 7-13 mm in Bachawala 2025", input=True),
        _positive("thickness", u.m, "in-die thickness at main compression", 0.0026, "source: 2.44 mm in Bachawala 2025", input=True),
        Parameter("stations", u.dimensionless, "dies on the turret", 30, 1, integer=True, source="assumed"),
        _positive("nominal_speed", REV_PER_S, "turret speed at the level set point", 0.75, "recalled: 20-60 rpm", input=True),
        _positive("speed_limit", REV_PER_S, "top turret speed", 1.2, "assumed: 72 rpm"),
        _positive("paddle_speed", REV_PER_S, "feed-frame speed", 1.0, "assumed: 60 rpm", input=True),
        Parameter("speed_loss", u.dimensionless, "loss of die filling with turret speed", 0.10, 0.0, source="illustrative"),
        Parameter("depth_gain", u.dimensionless, "gain of die filling with depth", 0.02, 0.0, source="illustrative"),
        _positive("level_setpoint", u.kg, "hopper mass at nominal turret speed", 0.4, "recalled: 20-150 s", input=True),
        Parameter("level_gain", u.dimensionless, "gain of the level controller", 2.0, 0.0, source="assumed"),
        _positive("heel", u.kg, "hopper mass below which dies fill partly", 0.001, "assumed"),
        Parameter("initial_mass", u.kg, "hopper mass at the start", 0.0, 0.0),
        Parameter(
            "initial_composition", u.dimensionless, "mass fractions at the start", None, 0.0, 1.0, per_component=True, fractions=True
        ),
        _positive("kawakita_density", u.dimensionless, "Kawakita initial density", 0.30, "worked vectors", upper=1.0, open_upper=True),
        _positive("kawakita_a", u.dimensionless, "Kawakita a", 0.72, "worked vectors; recalled: 0.55-0.85", upper=1.0, open_upper=True),
        _positive("kawakita_b", 1 / u.Pa, "Kawakita b", 0.05e-6, "worked vectors; recalled: 1/b 2-20 MPa"),
        _positive("pressure_limit", u.Pa, "pressure at which the overload protection gives way", 400e6, "assumed"),
        Parameter("recovery", u.dimensionless, "elastic recovery at full density", 0.05, 0.0, 1.0, open_upper=True, source="illustrative"),
        Parameter(
            "recovery_density", u.dimensionless, "density where recovery sets in", 0.5, 0.0, 1.0, open_upper=True, source="illustrative"
        ),
        _positive("strength", u.Pa, "tensile strength without pores", 12e6, "worked vectors; recalled: 10-20 MPa"),
        Parameter("strength_density", u.dimensionless, "density where strength begins", 0.45, 0.0, 0.9, source="worked vectors"),
    )
    shown: ClassVar[tuple[str, ...]] = (
        *("assay", "tablet_mass", "tensile_strength", "break_force", "force"),
        *("tablet_density", "level", "turret_speed", "throughput"),
    )

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the one inlet."""
        return ("inlet",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, port, states and equations."""
        components = list(materials)
        whole = self.add_parameters(time, components, given)
        densest = laws.kawakita_density(*map(pyo.value, (self.pressure_limit, self.kawakita_density, self.kawakita_a, self.kawakita_b)))
        if densest > 1:
            raise self.refusal(
                "pressure_limit",
                f"Kawakita's relative density there is {densest:.4f}, more than one",
                "lower pressure_limit, kawakita_a or kawakita_b",
            )
        add_powder_port(self, "inlet", time, components, doc="powder into the press hopper")
        self._add_quantities(time)
        self._add_hopper(time, materials)
        self._add_filling(time, whole["stations"])
        self._add_compaction(time)
        self._add_balance(time, components)

    def _add_quantities(self, time: Any) -> None:
        for name, unit, doc in (
            ("turret_speed", REV_PER_S, "turret speed, set by the hopper level"),
            ("tablet_mass", u.kg, "tablet mass"),
            ("relative_density", u.dimensionless, "relative density that the in-die thickness asks for"),
            ("compacted_density", u.dimensionless, "relative density in the die at main compression"),
            ("pressure", u.Pa, "main compression pressure"),
            ("tablet_density", u.dimensionless, "relative density of the tablet after elastic recovery"),
            ("tensile_strength", u.Pa, "tensile strength of the tablet"),
        ):
            self.add_component(name, pyo.Var(time, initialize=1.0, bounds=(0, None), units=unit, doc=doc))

    def _add_hopper(self, time: Any, materials: Mapping[str, Material]) -> None:
        components = list(materials)
        self.mass = pyo.Var(time, components, initialize=0.1, bounds=(0, None), units=u.kg, doc="powder in hopper and feed frame")
        nominal(self.mass, 0.1)
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the powder in hopper and feed frame")

        @self.Expression(time, doc="powder in hopper and feed frame")
        def level(b: Any, t: float) -> Any:
            return sum(b.mass[t, c] for c in components)

        @self.Expression(time, components, doc="mass fraction in the tablet")
        def assay(b: Any, t: float, c: str) -> Any:
            return mass_fractions({name: b.mass[t, name] for name in components}, MASS_HEEL * u.kg)[c]

        @self.Expression(time, doc="bulk density of the blend")
        def bulk_density(b: Any, t: float) -> Any:
            return 1 / sum(b.assay[t, c] / (materials[c].bulk_density * _DENSITY) for c in components)

        @self.Expression(time, doc="true density of the blend")
        def true_density(b: Any, t: float) -> Any:
            return 1 / sum(b.assay[t, c] / (materials[c].true_density * _DENSITY) for c in components)

    def _add_filling(self, time: Any, stations: int) -> None:
        @self.Constraint(time, doc="level control: the turret follows the hopper level")
        def level_control(b: Any, t: float) -> Any:
            asked = b.nominal_speed[t] * (1 + b.level_gain * (b.level[t] / b.level_setpoint[t] - 1))
            return b.turret_speed[t] == laws.smooth_clip(asked, 0 * REV_PER_S, b.speed_limit, KINK_WIDTH * b.speed_limit)

        @self.Expression(time, doc="tablet mass while the hopper is not empty")
        def full_mass(b: Any, t: float) -> Any:
            full, factor = laws.die_fill_mass(
                b.bulk_density[t], b.diameter, b.fill_depth[t], b.turret_speed[t], b.paddle_speed[t], b.speed_loss, b.depth_gain
            )
            return full * laws.smooth_clip(factor, 0, 1, KINK_WIDTH)

        @self.Constraint(time, doc="die filling, partly when the hopper is empty")
        def die_filling(b: Any, t: float) -> Any:
            return b.tablet_mass[t] == b.full_mass[t] * b.level[t] / laws.smooth_absolute(b.level[t], b.heel)

        @self.Expression(time, doc="tablets per time")
        def tablet_rate(b: Any, t: float) -> Any:
            return b.turret_speed[t] * (stations / u.revolution)

    def _add_compaction(self, time: Any) -> None:
        @self.Expression(doc="die area")
        def area(b: Any) -> Any:
            return math.pi * b.diameter**2 / 4

        @self.Constraint(time, doc="in-die density from tablet mass and thickness")
        def in_die(b: Any, t: float) -> Any:
            return b.relative_density[t] == b.tablet_mass[t] / (b.true_density[t] * b.area * b.thickness[t])

        @self.Constraint(time, doc="overload protection: no more density than the pressure limit gives")
        def overload(b: Any, t: float) -> Any:
            top = laws.kawakita_density(b.pressure_limit, b.kawakita_density, b.kawakita_a, b.kawakita_b)
            return b.compacted_density[t] == laws.smooth_clip(b.relative_density[t], b.kawakita_density, top, KINK_WIDTH)

        @self.Constraint(time, doc="Kawakita pressure")
        def compression(b: Any, t: float) -> Any:
            return b.pressure[t] == laws.kawakita_pressure(b.compacted_density[t], b.kawakita_density, b.kawakita_a, b.kawakita_b)

        @self.Constraint(time, doc="elastic recovery")
        def unloading(b: Any, t: float) -> Any:
            loss = laws.elastic_recovery(b.compacted_density[t], b.recovery, b.recovery_density)
            return b.tablet_density[t] == b.compacted_density[t] * (1 - laws.smooth_positive(loss, KINK_WIDTH))

        @self.Constraint(time, doc="Kuentz-Leuenberger strength")
        def bonding(b: Any, t: float) -> Any:
            strength = laws.kuentz_leuenberger_strength(b.tablet_density[t], b.strength, b.strength_density)
            return b.tensile_strength[t] == laws.smooth_positive(strength, KINK_WIDTH * b.strength)

        @self.Expression(time, doc="main compression force")
        def force(b: Any, t: float) -> Any:
            return u.convert(b.pressure[t] * b.area, u.N)

        @self.Expression(time, doc="tablet thickness after elastic recovery")
        def tablet_thickness(b: Any, t: float) -> Any:
            return b.tablet_mass[t] / (b.true_density[t] * b.area * b.tablet_density[t])

        @self.Expression(time, doc="diametral breaking force")
        def break_force(b: Any, t: float) -> Any:
            return u.convert(laws.flat_break_force(b.tensile_strength[t], b.diameter, b.tablet_thickness[t]), u.N)

    def _add_balance(self, time: Any, components: list[str]) -> None:
        @self.Expression(time, components, doc="mass flow into tablets, out of the flowsheet")
        def withdrawal(b: Any, t: float, c: str) -> Any:
            return b.tablet_rate[t] * b.full_mass[t] * b.mass[t, c] / laws.smooth_absolute(b.level[t], b.heel)

        @self.Expression(time, doc="mass flow into tablets")
        def throughput(b: Any, t: float) -> Any:
            return sum(b.withdrawal[t, c] for c in components)

        @self.Expression(time, components, doc="powder in hopper and feed frame by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return b.mass[t, c]

        @self.Constraint(time, components, doc="mass balance of hopper and feed frame")
        def mass_balance(b: Any, t: float, c: str) -> Any:
            return b.mass_rate[t, c] == b.inlet_flow[t, c] - b.withdrawal[t, c]

        @self.Constraint(components, doc="the start")
        def start(b: Any, c: str) -> Any:
            return b.mass[time.first(), c] == b.initial_mass * b.initial_composition[c]
