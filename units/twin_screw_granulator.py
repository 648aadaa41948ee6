"""Twin-screw wet granulator: compartments along the screw in which powder is wetted, grows and breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units import granulating
from units.granulating import CONVEYING, WETTING, layout
from units.granulation import RESIDENCE, granulation_balance, grid_of
from units.laws import smooth_absolute
from units.parameter import Parameter
from units.powders import carried, of_own_sizes, size_names, sizes_of
from units.stream import Material, add_powder_port, mass_fractions
from units.transport import INITIAL
from units.unit import REV_PER_S, UnitBlock

COARSEST = 0.1
"""Share of a compartment's solids in the last size class above which a run ends."""


def _count(name: str, doc: str, default: int, least: int) -> Parameter:
    return Parameter(name, u.dimensionless, doc, default, least, 10, integer=True, source="assumed")


def _relative(process: str, kind: str, default: float) -> Parameter:
    return Parameter(
        f"{kind}_{process}", u.dimensionless, f"{process} in a {kind} compartment, relative to kneading", default, 0.0, source="assumed"
    )


PLATH = "Plath, Luding and Weinhart 2024"
FITTED = "fitted: d32 of four runs within 13 to 37 %"


@declare_custom_block("TwinScrewGranulator", rule="build")
class TwinScrewGranulatorData(UnitBlock):
    """Twin-screw wet granulator: mixed compartments along the screw, a population balance in each, liquid followed by size class.

    Equations, for compartment j of m with its share s of the hold-up (twice as much in kneading compartments by default), what is carried c
    (components, and size classes k), x[k] the volume of a particle::

        d mass[j, c]/dt   = rate[j-1] mass[j-1, c] - rate[j] mass[j, c] + source[j, c]
        d liquid[j, k]/dt = rate[j-1] liquid[j-1, k] - rate[j] liquid[j, k] + V[j] Q[j, k] + landing[j, k]
        1/rate[j]         = s (load_time rate[j] solids[j]/speed + liquid_time w[j] + base_time)
        source[j, k]      = envelope_density x[k] V[j] R[j, k] + caught[j, k],  source[j, liquid] = liquid_rate/wetting_cells
        N[j, k]           = mass[j, k]/(envelope_density x[k] V[j]),  V[j] = free_volume/m

    The rates R of particles and Q of their liquid (:mod:`csrc.population_balance`, :mod:`csrc.tracers`) are of aggregation and breakage::

        g       = w^2/(w^2 + half_ratio^2)
        K(i, k) = aggregation z speed g/(fill[j] + sparse_fill) (x[i]^(1/3) + x[k]^(1/3))^3
        S(k)    = breakage z' speed g exp(-toughening w) (d[k]/1 mm)^breakage_exponent     into equal fragments

    with z of the kind of compartment. A drop lands on the powder of a wetting compartment by mass. On a class finer than nuclei it makes
    one: ``nucleation`` kg of such powder per kg of liquid become nuclei of ``nucleus_diameter``; on others it stays as it lands. Nothing
    aggregates or breaks without liquid. Kernels act by the bed's density, not by the barrel's, above ``sparse_fill``.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[j, c], liquid[j, k] | hold-up; liquid in the solids of a class (states) | kg |
    | solids[j], w[j] | dry solids; liquid-to-solid ratio ``liquid_ratio`` | kg, - |
    | rate[j], fill[j] | discharge per hold-up; bulk volume of the solids over V[j] | 1/s, - |
    | speed, liquid_rate | screw speed; liquid that is added (inputs) | rev/s, kg/s |
    | outlet_d32, liquid_content[k] | Sauter diameter of what leaves; liquid per solid of its classes | m, - |

    Assumptions: compartments well mixed; components and classes move alike, all classes have the composition of their compartment; granules
    are spheres of one envelope density; stickiness follows the mean liquid of a compartment, not that of two particles; liquid that comes
    with the powder is spread over its classes by mass. A full compartment, or a tenth of the solids in the last class, ends the run.

    Valid for any flow that is not negative, zero and an empty barrel included; the residence time was measured for specific feed loads of
    0.7-2 g/rev and ratios of 0.1-0.35. Source: residence time and the form of aggregation (cube of summed lengths) and breakage (power of
    length, eight equal fragments) of Plath, Luding and Weinhart 2024; zones as in compartment models, recalled (Van Hauwermeiren 2019).

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range; the flowsheet has no size classes, or not exactly one moisture.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        _count("wetting_cells", "compartments in which liquid is added", 1, 1),
        _count("kneading_zones", "kneading zones behind them, each with conveying behind it", 2, 0),
        _count("kneading_cells", "compartments of a kneading zone", 1, 1),
        _count("conveying_cells", "compartments behind each kneading zone", 1, 0),
        Parameter.positive("kneading_holdup", u.dimensionless, "hold-up of a kneading compartment over that of another", 2.0, "assumed"),
        Parameter.positive("speed", REV_PER_S, "screw speed", 1.0, "assumed: 60 rpm", input=True),
        Parameter("liquid_rate", u.kg / u.s, "liquid that is added", 0.0, 0.0, input=True),
        Parameter("load_time", u.s * u.revolution / u.kg, "residence time per specific feed load", RESIDENCE["load"], 0.0, source=PLATH),
        Parameter("liquid_time", u.s, "residence time per liquid-to-solid ratio", RESIDENCE["liquid"], 0.0, source=PLATH),
        Parameter.positive("base_time", u.s, "residence time without load and liquid", RESIDENCE["base"], source=PLATH),
        Parameter.positive("free_volume", u.m**3, "volume of the barrel that the screws leave", 2e-4, "assumed: 25 mm, 20 diameters"),
        Parameter.positive("envelope_density", u.kg / u.m**3, "mass of dry solids over the volume of their granules", 1200.0, "assumed"),
        Parameter("aggregation", 1 / u.revolution, "aggregation in kneading", 2.0, 0.0, source="assumed"),
        Parameter.positive("half_ratio", u.dimensionless, "liquid-to-solid ratio of half the aggregation", 0.05, "assumed"),
        Parameter.positive("sparse_fill", u.dimensionless, "fill below which particles are too few to meet", 0.02, "assumed"),
        Parameter("breakage", 1 / u.revolution, "breakage of 1 mm in kneading, if liquid did not toughen", 27.0, 0.0, source=FITTED),
        Parameter("toughening", u.dimensionless, "how breakage fades with the liquid-to-solid ratio", 15.7, 0.0, source=FITTED),
        Parameter(
            "breakage_exponent", u.dimensionless, "exponent of breakage on diameter", 2.0, 0.0, 6.0, structural=True, source="assumed"
        ),
        Parameter("fragments", u.dimensionless, "equal fragments of a granule that breaks", 8, 2, integer=True, source=PLATH),
        _relative("aggregation", WETTING, 0.5),
        _relative("aggregation", CONVEYING, 0.5),
        _relative("breakage", WETTING, 0.5),
        _relative("breakage", CONVEYING, 0.5),
        Parameter("nucleation", u.dimensionless, "powder that a drop makes a nucleus of, over its liquid", 5.0, 0.0, source="assumed"),
        Parameter.positive("nucleus_diameter", u.m, "diameter of nuclei", 0.5e-3, "assumed", structural=True),
        *INITIAL,
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_d50", "outlet_d32", "liquid_ratio", "fill", "outlet_total", "outlet_fraction")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        built_in = self.add_parameters(time, list(materials), given)
        sizes = sizes_of(materials)
        if sizes is None:
            raise self.refusal("type", "granules need size classes", "add [sizes] to the case: smallest, largest, classes")
        moist = [name for name, material in materials.items() if material.moisture]
        if len(moist) != 1:
            found = ", ".join(moist) or "none"
            raise self.refusal("liquid_rate", f"is of the one material that is moisture (found: {found})", "set moisture = true for one")
        grid = grid_of(sizes)
        if not grid.pivots[0] <= built_in["nucleus_diameter"] ** 3 * math.pi / 6 <= grid.pivots[-1]:
            reach = f"{sizes.diameters[0]:.3g} to {sizes.diameters[-1]:.3g} m"
            raise self.refusal("nucleus_diameter", "lies outside the size classes", f"their middles reach from {reach}")
        kinds = layout(*(int(built_in[name]) for name in ("wetting_cells", "kneading_zones", "kneading_cells", "conveying_cells")))
        add_powder_port(self, "inlet", time, materials, doc="powder into the granulator")
        add_powder_port(self, "outlet", time, materials, doc="wet granules")
        self._add_holdup(time, materials, kinds)
        balance = granulation_balance(grid, built_in["breakage_exponent"], int(built_in["fragments"]))
        granulating.add_populations(self, time, materials, balance, kinds)
        granulating.add_landing(self, time, materials, grid, built_in["nucleus_diameter"], kinds)
        granulating.add_balances(self, time, materials, moist[0], grid, kinds)
        self._add_product(time, materials)
        self._add_start(time.first(), materials, moist[0])
        self._add_limits(size_names(materials)[-1])

    def _add_holdup(self, time: Any, materials: Mapping[str, Material], kinds: tuple[str, ...]) -> None:
        """Add states, and how full, how wet and how fast compartments are."""
        sizes = size_names(materials)
        dry = {name: material for name, material in materials.items() if not material.moisture}
        self.compartment = pyo.RangeSet(len(kinds))
        self.mass = pyo.Var(time, self.compartment, carried(materials), initialize=0.0, bounds=(0, None), units=u.kg, doc="hold-up")
        self.mass_rate = DerivativeVar(self.mass, wrt=time, units=u.kg / u.s, doc="rate of the hold-up")
        self.liquid = pyo.Var(time, self.compartment, sizes, initialize=0.0, bounds=(0, None), units=u.kg, doc="liquid in a size class")
        self.liquid_change = DerivativeVar(self.liquid, wrt=time, units=u.kg / u.s, doc="rate of the liquid in a size class")
        nominal(self.mass, 1e-3)
        nominal(self.liquid, 1e-4)

        @self.Expression(self.compartment, doc="share of a compartment in the hold-up")
        def holdup_share(b: Any, j: int) -> Any:
            weights = [b.kneading_holdup if kind is granulating.KNEADING else 1.0 for kind in kinds]
            return weights[j - 1] / sum(weights)

        @self.Expression(time, self.compartment, doc="dry solids in a compartment")
        def solids(b: Any, t: float, j: int) -> Any:
            return sum(b.mass[t, j, c] for c in dry)

        @self.Expression(time, self.compartment, doc="liquid-to-solid ratio of a compartment")
        def liquid_ratio(b: Any, t: float, j: int) -> Any:
            held = sum(b.mass[t, j, c] for c in materials if c not in dry)
            return held / (b.solids[t, j] ** 4 + (held / granulating.WETTEST) ** 4 + (granulating.HEEL * u.kg) ** 4) ** 0.25

        @self.Expression(time, self.compartment, doc="bulk volume of the solids over the free volume of a compartment")
        def fill(b: Any, t: float, j: int) -> Any:
            bulk = sum(b.mass[t, j, c] / (material.bulk_density * u.kg / u.m**3) for c, material in dry.items())
            return bulk * len(kinds) / b.free_volume

        @self.Expression(time, self.compartment, doc="discharge of a compartment per hold-up")
        def rate(b: Any, t: float, j: int) -> Any:
            share = b.holdup_share[j]
            slow = b.liquid_time * b.liquid_ratio[t, j] + b.base_time
            return 2 / share / (slow + pyo.sqrt(slow**2 + 4 * b.load_time / b.speed[t] * b.solids[t, j] / share))

        @self.Expression(time, list(materials), doc="hold-up by component")
        def holdup(b: Any, t: float, c: str) -> Any:
            return sum(b.mass[t, j, c] for j in b.compartment)

        @self.Expression(time, doc="mean residence time at the present hold-up")
        def residence_time(b: Any, t: float) -> Any:
            return sum(1 / b.rate[t, j] for j in b.compartment)

    def _add_product(self, time: Any, materials: Mapping[str, Material]) -> None:
        """Add what leaves, and what is worth knowing of it."""
        sizes, last = sizes_of(materials), self.compartment.last()
        assert sizes is not None
        diameters = dict(zip(sizes.names, sizes.diameters, strict=True))

        @self.Constraint(time, carried(materials), doc="the last compartment discharges through the outlet")
        def discharge(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == b.rate[t, last] * b.mass[t, last, c]

        @self.Expression(time, doc="Sauter diameter of what leaves")
        def outlet_d32(b: Any, t: float) -> Any:
            return 1 / sum(b.outlet_share[t, k] / (d * u.m) for k, d in diameters.items())

        @self.Expression(time, list(diameters), doc="liquid per solid of a size class that leaves; fades to zero where a class is empty")
        def liquid_content(b: Any, t: float, k: str) -> Any:
            return b.liquid[t, last, k] / smooth_absolute(b.mass[t, last, k], granulating.HEEL * u.kg)

    def _add_start(self, t0: float, materials: Mapping[str, Material], moisture: str) -> None:
        """Add the equations of the start: the initial hold-up, spread as at steady flow, its liquid as its solids."""

        def of_own(b: Any, c: str) -> Any:
            return of_own_sizes(materials, c, lambda name: b.initial_composition[name])

        @self.Constraint(self.compartment, carried(materials), doc="hold-up of a compartment at the start")
        def mass_start(b: Any, j: int, c: str) -> Any:
            return b.mass[t0, j, c] == b.holdup_share[j] * b.initial_mass * of_own(b, c)

        @self.Constraint(self.compartment, size_names(materials), doc="liquid of a size class at the start")
        def liquid_start(b: Any, j: int, k: str) -> Any:
            shares = mass_fractions({size: of_own(b, size) for size in size_names(materials)}, granulating.HEEL)
            return b.liquid[t0, j, k] == b.holdup_share[j] * b.initial_mass * b.initial_composition[moisture] * shares[k]

    def _add_limits(self, coarsest: str) -> None:
        """Add the ends of the model's range."""

        def full(b: Any, t: Any, j: int) -> Any:
            return b.fill[t, j] - 1

        def coarse(b: Any, t: Any, j: int) -> Any:
            return b.mass[t, j, coarsest] - COARSEST * b.solids[t, j] - granulating.HEEL * u.kg

        said = "a compartment of the granulator is full", "feed less or turn the screws faster; or check free_volume and load_time"
        told = (
            "a tenth of the solids in a compartment of the granulator is in the largest size class",
            "widen [sizes] at its largest, add less liquid, or check aggregation and breakage",
        )
        for name, guard, (doc, refusal) in (("overfull", full, said), ("too_coarse", coarse, told)):
            ends = [Event(partial(guard, j=j), direction=Direction.RISING, doc=doc, refusal=refusal) for j in self.compartment]
            setattr(self, name, ends)
