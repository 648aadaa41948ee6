"""Dissolution test of one tablet: disintegration front, then particles of many sizes that dissolve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.dissolving import lesser, size_classes
from units.parameter import Parameter
from units.stream import Material
from units.unit import UnitBlock

FADE = 1e-7
"""Share of a class's mass below which its last rest decays exponentially instead of vanishing at an instant."""

_positive = Parameter.positive


@declare_custom_block("DissolutionTester", rule="build")
class DissolutionTesterData(UnitBlock):
    """One tablet in a stirred vessel: a liquid front disintegrates it layer by layer, and drug particles of many sizes dissolve.

    Equations, for layers k = 1 ... n of the tablet and size classes i with the mass fraction f and the start radius r0::

        exposed[k]          = 1 from the time lag + disintegration_time ((k - 1/2)/n)^2 on, 0 before; always 1 without layers
        d undissolved[k,i]/dt = -exposed[k] 3 diffusivity (solubility - concentration)/(true_density r h) undissolved[k,i]
        r                   = r0[i] (undissolved[k,i]^2 + fade^2)^(1/6)
        h                   = min(r, film_thickness), or film_thickness alone
        d dissolved_mass/dt = -(dose/n) sum_k sum_i f[i] d undissolved[k,i]/dt
        concentration       = dissolved_mass/volume

    This is the law of Noyes and Whitney, ``dr/dt = -D (Cs - C)/(rho h)``, written for the mass: with m = m0 (r/r0)^3 it becomes
    ``dm/dt = -3 D (Cs - C) m/(rho r h)``, which is regular as long as the radius is positive, while ``dr/dt`` has to be stopped at r = 0.
    The radius keeps ``r0 fade^(1/3)``, with fade = 1e-7 of the mass: shares dissolved are off by less than that, and the last 1e-7 of a
    class fades by a rate in proportion to it instead of ending at an instant.

    | symbol | meaning | unit |
    |---|---|---|
    | undissolved[k,i] | share of the mass of class i in layer k that is solid (state) | - |
    | dissolved_mass, concentration | drug in solution (state), and C | kg, kg/m3 |
    | dissolved_share, disintegrated_share | share of the dose in solution, of the tablet wetted and fallen apart | - |
    | r, r0, h | radius, at the start; film thickness | m |

    Source of the film: Hintz and Johnson 1989 (Int J Pharm 51:9). Source of the front: Washburn 1921 (Phys Rev 17:273), in which depth
    grows with the square root of time, so that what is wetted is ``sqrt((t - lag)/disintegration_time)``; for tablets Markl and Zeitler
    2017 (Pharm Res 34:890). A front is taken and not a release of first order, because it ends, and its one constant is what a
    disintegration test measures. Layers are free at the times at which the front passes their middles: a convolution of front and
    dissolution by the midpoint rule, which holds in any medium, not in sink alone.

    Assumptions: spheres; liquid well mixed at a constant temperature; what is wetted falls apart at once into the particles that were
    compressed; drug spread evenly. Size classes are those of :func:`units.dissolving.size_classes`.

    Valid for any dose, zero included; the concentration stays below the solubility. Defaults are recalled or assumed as they say.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    handles: ClassVar[type] = object  # no components
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("dose", u.kg, "drug in the tablet", None, 0.0),
        _positive("solubility", u.kg / u.m**3, "solubility of the drug in the medium"),
        _positive(
            "true_density", u.kg / u.m**3, "density of the drug's particles", 1300.0, "recalled: 1200-1500 kg/m3 of organic crystals"
        ),
        _positive(
            "diffusivity", u.m**2 / u.s, "diffusivity of the drug in the medium", 7e-10, "recalled: 5e-10 to 1e-9 of small molecules"
        ),
        _positive("volume", u.m**3, "volume of the medium", 0.9e-3, "recalled: 500-1000 mL"),
        _positive("median_size", u.m, "diameter with half of the mass below it", structural=True),
        Parameter(
            *("size_spread", u.dimensionless, "geometric standard deviation of diameters", 1.8, 1.0, 20.0),
            structural=True,
            source="assumed",
        ),
        Parameter("classes", u.dimensionless, "size classes", 20, 1, integer=True),
        _positive("film_thickness", u.m, "thickness of the film around a particle, at most", 30e-6, "source: Hintz and Johnson 1989"),
        Parameter("film_follows", u.dimensionless, "1: no film thicker than the radius; 0: constant", 1, 0, 1, integer=True),
        Parameter("lag", u.s, "time until the front sets out, such as that of a coat", 0.0, 0.0),
        _positive("disintegration_time", u.s, "time for the front to meet in the middle, if there are layers", 120.0, "assumed"),
        Parameter("layers", u.dimensionless, "layers of the tablet; 0: all particles are free at the start", 10, 0, integer=True),
    )
    shown: ClassVar[tuple[str, ...]] = ("dissolved_share", "disintegrated_share", "concentration", "undissolved_mass")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, states, equations and the events of the front."""
        built_in = self.add_parameters(time, list(materials), given)
        diameters, fractions = size_classes(built_in["median_size"], built_in["size_spread"], built_in["classes"])
        self.layer = pyo.RangeSet(max(built_in["layers"], 1))
        self.size_class = pyo.RangeSet(built_in["classes"])
        self.class_radius = pyo.Param(
            self.size_class, initialize=lambda b, i: diameters[i - 1] / 2, units=u.m, doc="radius of a class at the start"
        )
        self.mass_fraction = pyo.Param(
            self.size_class, initialize=lambda b, i: fractions[i - 1], units=u.dimensionless, doc="mass fraction of a class"
        )
        self._add_states(time, built_in["layers"] > 0)
        self._add_dissolution(time, built_in["film_follows"] == 1)
        self._add_amounts(time)
        if built_in["layers"]:
            self.front = [self._passing(k, built_in["layers"]) for k in self.layer]

    def _add_states(self, time: Any, layered: bool) -> None:
        self.undissolved = pyo.Var(
            time, self.layer, self.size_class, initialize=1.0, bounds=(0, None), units=u.dimensionless, doc="share of a class that is solid"
        )
        self.undissolved_rate = DerivativeVar(self.undissolved, wrt=time, units=1 / u.s, doc="rate of what is solid")
        self.dissolved_mass = pyo.Var(time, initialize=0.0, bounds=(0, None), units=u.kg, doc="drug in solution")
        self.dissolved_rate = DerivativeVar(self.dissolved_mass, wrt=time, units=u.kg / u.s, doc="rate of the drug in solution")
        nominal(self.undissolved, 1.0)
        nominal(self.dissolved_mass, pyo.value(self.dose) or 1e-6)
        self.exposed = pyo.Var(time, self.layer, bounds=(0, 1), units=u.dimensionless, doc="1 from when the front has passed a layer on")
        self.exposed.fix(0 if layered else 1)

        @self.Constraint(self.layer, self.size_class, doc="the start: all is solid")
        def undissolved_start(b: Any, k: int, i: int) -> Any:
            return b.undissolved[time.first(), k, i] == 1

        @self.Constraint(doc="the start: nothing in solution")
        def dissolved_start(b: Any) -> Any:
            return b.dissolved_mass[time.first()] == 0 * u.kg

    def _add_dissolution(self, time: Any, film_follows: bool) -> None:
        @self.Expression(time, doc="concentration in the medium")
        def concentration(b: Any, t: float) -> Any:
            return b.dissolved_mass[t] / b.volume

        @self.Expression(time, self.layer, self.size_class, doc="radius of the particles of a class")
        def radius(b: Any, t: float, k: int, i: int) -> Any:
            return b.class_radius[i] * (b.undissolved[t, k, i] ** 2 + FADE**2) ** (1 / 6)

        @self.Expression(time, self.layer, self.size_class, doc="rate at which a class dissolves, over its mass at the start")
        def dissolution(b: Any, t: float, k: int, i: int) -> Any:
            r = b.radius[t, k, i]
            h = lesser(r, b.film_thickness) if film_follows else b.film_thickness
            flux = b.diffusivity * (b.solubility - b.concentration[t]) / h
            return b.exposed[t, k] * 3 * flux * b.undissolved[t, k, i] / (b.true_density * r)

        @self.Constraint(time, self.layer, self.size_class, doc="Noyes and Whitney")
        def shrinking(b: Any, t: float, k: int, i: int) -> Any:
            return b.undissolved_rate[t, k, i] == -b.dissolution[t, k, i]

        @self.Constraint(time, doc="mass balance of the medium")
        def medium_balance(b: Any, t: float) -> Any:
            rates = sum(b.mass_fraction[i] * sum(b.dissolution[t, k, i] for k in b.layer) for i in b.size_class)
            return b.dissolved_rate[t] == b.dose * rates / len(b.layer)

    def _add_amounts(self, time: Any) -> None:
        @self.Expression(time, self.size_class, doc="solid drug by size class")
        def undissolved_mass(b: Any, t: float, i: int) -> Any:
            return b.dose * b.mass_fraction[i] * sum(b.undissolved[t, k, i] for k in b.layer) / len(b.layer)

        @self.Expression(time, doc="share of the dose in solution")
        def dissolved_share(b: Any, t: float) -> Any:
            solid = sum(b.mass_fraction[i] * sum(b.undissolved[t, k, i] for k in b.layer) for i in b.size_class)
            return 1 - solid / len(b.layer)

        @self.Expression(time, doc="share of the tablet that has fallen apart")
        def disintegrated_share(b: Any, t: float) -> Any:
            return sum(b.exposed[t, k] for k in b.layer) / len(b.layer)

    def _passing(self, layer: int, layers: int) -> Event:
        """Return the event of the front in the middle of a layer."""
        share = ((layer - 0.5) / layers) ** 2
        return Event(
            guard=lambda b, t: t * u.s - b.lag - share * b.disintegration_time,
            direction=Direction.RISING,
            when=lambda b, t: 0.5 - b.exposed[t, layer],
            transition=lambda b, t: ((b.exposed[t, layer], 1),),
            doc="the front passes a layer, whose particles are free",
        )
