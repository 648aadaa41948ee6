"""What the tablets are like that a press makes: content, hardness, disintegration and dissolution by the time of their making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units import dissolving
from units.dissolving import penetration_time, sink_dissolved, size_classes, weibull_dissolved
from units.laws import KINK_WIDTH, flat_break_force, smooth_clip, smooth_positive
from units.parameter import Parameter
from units.stream import Material
from units.unit import UnitBlock

LEAST_POROSITY = 1e-3
"""Porosity below which pores are no longer taken to be narrower."""

_positive = Parameter.positive
_SIGNALS = (
    ("assay", u.dimensionless, "mass fraction of the drug in the tablet"),
    ("tablet_mass", u.kg, "tablet mass"),
    ("tablet_density", u.dimensionless, "relative density of the tablet"),
    ("tensile_strength", u.Pa, "tensile strength of the tablet"),
    ("tablet_thickness", u.m, "tablet thickness"),
)


@declare_custom_block("TabletTester", rule="build")
class TabletTesterData(UnitBlock):
    """Quality of the tablets that are made at every time, as tests of them would find it: algebra on signals of a press.

    Equations, with size classes i of mass fraction f and radius r0 as in :func:`units.dissolving.size_classes`::

        porosity            = 1 - tablet_density
        drug_content        = assay tablet_mass,  content_share = drug_content/label_claim
        hardness            = tensile_strength pi diameter tablet_thickness/2
        pore_radius         = pore_factor particle_size porosity/(3 (1 - porosity))
        disintegration_time = 2 viscosity (tablet_thickness/2)^2/(pore_radius surface_tension wetting)
        dissolved_share     = sum_i f[i] X[i](max(test_time - disintegration_time, 0))
        weibull_share       = 1 - exp(-(max(test_time - disintegration_time, 0)/weibull_scale)^weibull_shape)

    where X is the closed form of Noyes and Whitney in much liquid (sink), :func:`units.dissolving.sink_dissolved`, with
    ``h = min(r, film_thickness)`` or a constant film.

    | symbol | meaning | unit |
    |---|---|---|
    | assay, tablet_mass, tablet_density, tensile_strength, tablet_thickness | signals from a press | -, kg, -, Pa, m |
    | drug_content, content_share | drug in the tablet, over the label claim | kg, - |
    | hardness | diametral breaking force of a flat round tablet | N |
    | pore_radius, disintegration_time | of the pores that a front of liquid follows, and when fronts from both faces meet | m, s |
    | dissolved_share, weibull_share | share of the drug dissolved at ``test_time``, by particles and by Weibull's curve | - |

    Sources: pores Kozeny and Carman (Carman 1937), front Washburn 1921 (tablets: Markl and Zeitler 2017, Pharm Res 34:890), film Hintz and
    Johnson 1989. Friability is left out: no formula for it with a source and constants was found.

    Assumptions: what a test finds is known at once; particles begin to dissolve when the whole tablet is wetted, which is later than
    they do (:class:`units.dissolution.DissolutionTesterData` lets each layer begin when it is wetted); sink. Real pores wind and close when
    excipients swell: ``pore_factor``, far below one, stands for that and is to be fitted to one measured disintegration time. The
    porosity is held between 0.001 and 0.999 where it divides.

    Valid for any signal that is not negative; a tablet of no mass has no content and no hardness.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    handles: ClassVar[type] = object  # no components
    parameters: ClassVar[tuple[Parameter, ...]] = (
        _positive("label_claim", u.kg, "drug that a tablet is said to hold"),
        _positive("diameter", u.m, "tablet diameter", 0.010, "that of the press"),
        _positive("particle_size", u.m, "diameter of what the tablet is compressed from", 60e-6, "assumed"),
        _positive(
            "pore_factor", u.dimensionless, "share of the pore radius that winding and swelling leave", 2e-4, "assumed; to be fitted"
        ),
        _positive("surface_tension", u.N / u.m, "surface tension of the liquid", 0.070, "recalled: water at 37 degC"),
        _positive("wetting", u.dimensionless, "cosine of the contact angle", 1.0, "assumed: wets", upper=1.0),
        _positive("viscosity", u.Pa * u.s, "viscosity of the liquid", 0.69e-3, "recalled: water at 37 degC"),
        _positive("solubility", u.kg / u.m**3, "solubility of the drug in the medium"),
        _positive(
            "true_density", u.kg / u.m**3, "density of the drug's particles", 1300.0, "recalled: 1200-1500 kg/m3 of organic crystals"
        ),
        _positive(
            "diffusivity", u.m**2 / u.s, "diffusivity of the drug in the medium", 7e-10, "recalled: 5e-10 to 1e-9 of small molecules"
        ),
        _positive("median_size", u.m, "diameter with half of the drug's mass below it", structural=True),
        Parameter(
            *("size_spread", u.dimensionless, "geometric standard deviation of diameters", 1.8, 1.0, 20.0),
            structural=True,
            source="assumed",
        ),
        Parameter("classes", u.dimensionless, "size classes", 20, 1, integer=True),
        _positive("film_thickness", u.m, "thickness of the film around a particle, at most", 30e-6, "source: Hintz and Johnson 1989"),
        Parameter("film_follows", u.dimensionless, "1: no film thicker than the radius; 0: constant", 1, 0, 1, integer=True),
        _positive("weibull_scale", u.s, "time at which 63.2 % is dissolved after disintegration", 600.0, "assumed; to be fitted"),
        _positive("weibull_shape", u.dimensionless, "exponent of Weibull's curve", 0.8, "assumed; to be fitted"),
        _positive("test_time", u.s, "when the dissolution test is read", 1800.0, "recalled: 15-45 min", input=True),
    )
    shown: ClassVar[tuple[str, ...]] = (
        *("content_share", "drug_content", "hardness", "porosity"),
        *("disintegration_time", "dissolved_share", "weibull_share"),
    )
    required_signals: ClassVar[tuple[str, ...]] = tuple(name for name, _, _ in _SIGNALS)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, signals and what follows from them."""
        built_in = self.add_parameters(time, list(materials), given)
        for name, unit, doc in _SIGNALS:
            self.add_component(name, pyo.Var(time, initialize=0.5, units=unit, doc=doc))
        self._add_content(time)
        self._add_disintegration(time)
        self._add_dissolution(time, built_in)

    def _add_content(self, time: Any) -> None:
        @self.Expression(time, doc="drug in the tablet")
        def drug_content(b: Any, t: float) -> Any:
            return b.assay[t] * b.tablet_mass[t]

        @self.Expression(time, doc="drug in the tablet over the label claim")
        def content_share(b: Any, t: float) -> Any:
            return b.drug_content[t] / b.label_claim

        @self.Expression(time, doc="diametral breaking force")
        def hardness(b: Any, t: float) -> Any:
            return u.convert(flat_break_force(b.tensile_strength[t], b.diameter, b.tablet_thickness[t]), u.N)

    def _add_disintegration(self, time: Any) -> None:
        @self.Expression(time, doc="share of the tablet that is pores")
        def porosity(b: Any, t: float) -> Any:
            return 1 - b.tablet_density[t]

        @self.Expression(time, doc="radius of the pores that the liquid enters by")
        def pore_radius(b: Any, t: float) -> Any:
            held = smooth_clip(b.porosity[t], LEAST_POROSITY, 1 - LEAST_POROSITY, KINK_WIDTH)
            return b.pore_factor * dissolving.pore_radius(held, b.particle_size)

        @self.Expression(time, doc="time until the liquid has gone through the tablet")
        def disintegration_time(b: Any, t: float) -> Any:
            depth = b.tablet_thickness[t] / 2
            return u.convert(penetration_time(depth, b.pore_radius[t], b.surface_tension, b.wetting, b.viscosity), u.s)

    def _add_dissolution(self, time: Any, built_in: Mapping[str, Any]) -> None:
        diameters, fractions = size_classes(built_in["median_size"], built_in["size_spread"], built_in["classes"])
        follows = built_in["film_follows"] == 1

        @self.Expression(time, doc="time that the particles have in the test")
        def free_time(b: Any, t: float) -> Any:
            return smooth_positive(b.test_time[t] - b.disintegration_time[t], KINK_WIDTH * b.test_time[t])

        @self.Expression(time, doc="share of the drug dissolved at the test time")
        def dissolved_share(b: Any, t: float) -> Any:
            constant = b.diffusivity * b.solubility / b.true_density
            classes = zip(diameters, fractions, strict=True)
            return sum(
                share * sink_dissolved(b.free_time[t], size / 2 * u.m, constant, b.film_thickness, film_follows=follows)
                for size, share in classes
            )

        @self.Expression(time, doc="share of the drug dissolved at the test time by Weibull's curve")
        def weibull_share(b: Any, t: float) -> Any:
            return weibull_dissolved(b.free_time[t], b.weibull_scale, b.weibull_shape)
