"""What compression makes of the powder in a die: the equations behind a press's filling, as its docstring states them."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.environ import units as u

from units import laws
from units.laws import KINK_WIDTH
from units.parameter import Parameter

_positive = Parameter.positive

COMPACTION: tuple[Parameter, ...] = (
    _positive("kawakita_density", u.dimensionless, "Kawakita initial density", 0.30, "worked vectors", upper=1.0, open_upper=True),
    _positive("kawakita_a", u.dimensionless, "Kawakita a", 0.72, "worked vectors; recalled: 0.55-0.85", upper=1.0, open_upper=True),
    _positive("kawakita_b", 1 / u.Pa, "Kawakita b", 0.05e-6, "worked vectors; recalled: 1/b 2-20 MPa"),
    _positive("pressure_limit", u.Pa, "pressure at which the overload protection gives way", 400e6, "assumed"),
    Parameter("recovery", u.dimensionless, "elastic recovery at full density", 0.05, 0.0, 1.0, open_upper=True, source="illustrative"),
    Parameter("recovery_density", u.dimensionless, "density where recovery sets in", 0.5, 0.0, 1.0, open_upper=True, source="illustrative"),
    _positive("strength", u.Pa, "tensile strength without pores", 12e6, "worked vectors; recalled: 10-20 MPa"),
    Parameter("strength_density", u.dimensionless, "density where strength begins", 0.45, 0.0, 0.9, source="worked vectors"),
    Parameter("strength_factor", u.dimensionless, "share of the strength that lubrication leaves", 1.0, 0.0, 1.0, input=True),
    Parameter("wall_friction", u.dimensionless, "coefficient of friction at the die wall", 0.1, 0.0, source="recalled: 0.05-0.3"),
    Parameter("residual_share", u.dimensionless, "residual radial stress over main pressure", 0.1, 0.0, 1.0, source="illustrative"),
)
"""Parameters of compression, strength and ejection."""


def add_compaction(block: Any, time: Any) -> None:
    """Add pre- and main compression of ``tablet_mass[t]`` in dies of the area ``area``, and the elastic recovery."""
    _add_quantities(block, time)

    def density(b: Any, t: float, thickness: Any) -> Any:
        return b.tablet_mass[t] / (b.true_density[t] * b.area * thickness)

    def possible(b: Any, relative: Any) -> Any:
        top = laws.kawakita_density(b.pressure_limit, b.kawakita_density, b.kawakita_a, b.kawakita_b)
        return laws.smooth_clip(relative, b.kawakita_density, top, KINK_WIDTH)

    @block.Expression(time, doc="relative density in the die at pre-compression")
    def pre_density(b: Any, t: float) -> Any:
        return possible(b, density(b, t, b.pre_thickness[t]))

    @block.Constraint(time, doc="in-die density from tablet mass and the smaller of both thicknesses")
    def in_die(b: Any, t: float) -> Any:
        smaller = laws.smooth_minimum(b.thickness[t], b.pre_thickness[t], KINK_WIDTH * b.diameter)
        return b.relative_density[t] == density(b, t, smaller)

    @block.Constraint(time, doc="overload protection: no more density than the pressure limit gives")
    def overload(b: Any, t: float) -> Any:
        return b.compacted_density[t] == possible(b, b.relative_density[t])

    @block.Constraint(time, doc="Kawakita pressure at main compression")
    def compression(b: Any, t: float) -> Any:
        return b.pressure[t] == laws.kawakita_pressure(b.compacted_density[t], b.kawakita_density, b.kawakita_a, b.kawakita_b)

    @block.Constraint(time, doc="Kawakita pressure at pre-compression")
    def pre_compression(b: Any, t: float) -> Any:
        return b.pre_pressure[t] == laws.kawakita_pressure(b.pre_density[t], b.kawakita_density, b.kawakita_a, b.kawakita_b)

    @block.Constraint(time, doc="elastic recovery")
    def unloading(b: Any, t: float) -> Any:
        loss = laws.elastic_recovery(b.compacted_density[t], b.recovery, b.recovery_density)
        return b.tablet_density[t] == b.compacted_density[t] * (1 - laws.smooth_positive(loss, KINK_WIDTH))


def add_tablet(block: Any, time: Any) -> None:
    """Add strength, forces and measures of the tablet."""

    @block.Constraint(time, doc="Kuentz-Leuenberger strength, less what lubrication takes")
    def bonding(b: Any, t: float) -> Any:
        strength = laws.kuentz_leuenberger_strength(b.tablet_density[t], b.strength, b.strength_density)
        return b.tensile_strength[t] == b.strength_factor[t] * laws.smooth_positive(strength, KINK_WIDTH * b.strength)

    @block.Expression(time, doc="main compression force")
    def force(b: Any, t: float) -> Any:
        return u.convert(b.pressure[t] * b.area, u.N)

    @block.Expression(time, doc="pre-compression force")
    def pre_force(b: Any, t: float) -> Any:
        return u.convert(b.pre_pressure[t] * b.area, u.N)

    @block.Expression(time, doc="porosity of the tablet")
    def porosity(b: Any, t: float) -> Any:
        return 1 - b.tablet_density[t]

    @block.Expression(time, doc="tablet thickness after elastic recovery")
    def tablet_thickness(b: Any, t: float) -> Any:
        return b.tablet_mass[t] / (b.true_density[t] * b.area * b.tablet_density[t])

    @block.Expression(time, doc="diametral breaking force")
    def break_force(b: Any, t: float) -> Any:
        return u.convert(laws.flat_break_force(b.tensile_strength[t], b.diameter, b.tablet_thickness[t]), u.N)

    @block.Expression(time, doc="force that ejects the tablet from its die")
    def ejection_force(b: Any, t: float) -> Any:
        radial = b.residual_share * b.pressure[t]
        return u.convert(laws.ejection_force(radial, b.wall_friction, b.diameter, b.tablet_thickness[t]), u.N)


def _add_quantities(block: Any, time: Any) -> None:
    for name, unit, doc in (
        ("relative_density", u.dimensionless, "relative density that the in-die thicknesses ask for"),
        ("compacted_density", u.dimensionless, "relative density in the die at main compression"),
        ("pressure", u.Pa, "main compression pressure"),
        ("pre_pressure", u.Pa, "pre-compression pressure"),
        ("tablet_density", u.dimensionless, "relative density of the tablet after elastic recovery"),
        ("tensile_strength", u.Pa, "tensile strength of the tablet"),
    ):
        block.add_component(name, pyo.Var(time, initialize=1.0, bounds=(0, None), units=unit, doc=doc))
