"""What a stream is, and the powder stream: the mass flow of every component, and of every size class if sizes are followed.

A stream is a Pyomo ``Port`` whose members are flows: Vars over time, and over components where each has its own. A powder
stream has the single member ``flow`` in kg/s (:mod:`units.sizes` says what a size class is); liquid streams are in ``units.liquid``. Zero
flow is a regular point of every equation: totals are sums, and fractions lean on a flow far below anything that can be weighed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyomo.environ import Expression, Var
from pyomo.environ import units as u
from pyomo.network import Port

from solvers.declare import nominal
from solvers.errors import CaseError, Complaint
from units.laws import smooth_absolute
from units.powders import carried, distribution_complaints, size_names, sizes_of
from units.sizes import add_sizes

FLOW_HEEL = 1e-9
"""Flow (kg/s) below which fractions fade to uniform: 4e-6 kg/h; at 1 kg/h they are off by less than 1e-12."""

TYPICAL_FLOW = 1e-3
"""Typical component flow (kg/s, 3.6 kg/h) to which tolerances refer."""


if "cell" not in u.pint_registry:
    u.load_definitions_from_strings(["cell = [cell]"])

CELL = u.cell
"""Unit in which cells are counted, a dimension of its own."""


@dataclass(frozen=True, eq=False, slots=True)
class Measure:
    """How the amount of a component is counted, and what its amount, flow and concentration are called.

    Parameters
    ----------
    amount : name of amounts, and what case files write.
    flow : name of amounts per time.
    concentration : name of amounts per volume.
    unit : SI unit of amounts.
    typical : typical concentration (amount per m3) to which tolerances refer.
    suffix : what ends the names of a unit's inventory (``holdup``, ``supply`` ...) in this measure.
    """

    amount: str
    flow: str
    concentration: str
    unit: Any
    typical: float
    suffix: str


MASS = Measure("mass", "mass_flow", "mass_concentration", u.kg, 1.0, "")
MOLES = Measure("moles", "molar_flow", "molarity", u.mol, 1.0, "_moles")
CELLS = Measure("cells", "cell_flow", "cell_density", CELL, 1e12, "_cells")
MEASURES = (MASS, MOLES, CELLS)


@dataclass(frozen=True, slots=True)
class Material:
    """A powder component and the properties that any unit may ask for.

    Parameters
    ----------
    name : component name, as in ``flow[t, name]``.
    true_density : density of the solid without pores (kg/m3).
    bulk_density : density of the loosely poured powder (kg/m3), at most the true density.
    substance : what it is a lot of; empty if it is the only one. Lots run through all equations as components of their own.
    median_size : diameter with half of its mass below it as it is fed (m), lognormal; needed where sizes are followed, 0 if not known.
    size_spread : geometric standard deviation of that distribution, above one; 0 if not known.
    moisture : it is a liquid that the powder holds, such as water, and has no particles of its own.

    Raises
    ------
    CaseError : a density is not positive and finite, the bulk density exceeds the true density, or the distribution is none.

    >>> Material("api", true_density=1300.0, bulk_density=350.0).porosity
    0.7307692307692308
    """

    name: str
    true_density: float
    bulk_density: float
    substance: str = ""
    median_size: float = 0.0
    size_spread: float = 0.0
    moisture: bool = False

    def __post_init__(self) -> None:
        complaints = [
            Complaint("has to be positive", repr(value), "(0, inf) kg/m**3", key=(label,))
            for label, value in (("true_density", self.true_density), ("bulk_density", self.bulk_density))
            if not (math.isfinite(value) and value > 0)
        ]
        complaints += distribution_complaints(self.median_size, self.size_spread, self.moisture)
        hint = "" if complaints else "the bulk density is that of the poured powder with its pores"
        if not complaints and self.bulk_density > self.true_density:
            text = f"exceeds the true density ({self.bulk_density:g} > {self.true_density:g} kg/m**3)"
            complaints.append(Complaint(text, hint=hint, key=("bulk_density",)))
        if complaints:
            raise CaseError("; ".join(str(c.within(self.name)) for c in complaints), names=[self.name], hint=hint, complaints=complaints)

    @property
    def measure(self) -> Measure:
        """Powders are weighed."""
        return MASS

    @property
    def porosity(self) -> float:
        """Volume fraction of pores in the poured powder (-)."""
        return 1.0 - self.bulk_density / self.true_density


def substances(materials: Mapping[str, Material]) -> dict[str, list[str]]:
    """Return the substances of a flowsheet with the names of their lots, in order.

    >>> lots = [Material("api_1", 1300.0, 350.0, "api"), Material("api_2", 1300.0, 350.0, "api"), Material("filler", 1500.0, 330.0)]
    >>> substances({material.name: material for material in lots})
    {'api': ['api_1', 'api_2'], 'filler': ['filler']}
    """
    found: dict[str, list[str]] = {}
    for name, material in materials.items():
        found.setdefault(material.substance or name, []).append(name)
    return found


def mass_fractions(amounts: Mapping[str, Any], heel: Any) -> dict[str, Any]:
    """Return the mass fraction (-) of each component of amounts that may all be zero, or below it by an integrator's error.

    The fractions sum to one always, fade to uniform below ``heel`` and are off by less than ``(heel/total)^2`` above it.

    Parameters
    ----------
    amounts : masses or mass flows by component.
    heel : positive amount in the same unit.

    >>> [round(float(x), 9) for x in mass_fractions({"api": 1.0, "excipient": 3.0}, 1e-9).values()]
    [0.25, 0.75]
    >>> [round(float(x), 9) for x in mass_fractions({"api": 0.0, "excipient": 0.0}, 1e-9).values()]
    [0.5, 0.5]
    """
    total = sum(amounts.values())
    regular = smooth_absolute(total, heel)
    return {name: (amount + (regular - total) / len(amounts)) / regular for name, amount in amounts.items()}


VOLUME = "volume_flow"
"""The member that only streams of liquid have."""


def carries(port: Port) -> str:
    """Return what a port carries: ``liquid`` or ``powder``."""
    return "liquid" if VOLUME in port.vars else "powder"


@dataclass(frozen=True, slots=True)
class Flow:
    """A member of a stream: its name, SI unit, typical size, one line of documentation, its components, if it has any, and whether it may
    be negative.
    """

    name: str
    unit: Any
    typical: float
    doc: str
    components: tuple[str, ...] | None = None
    signed: bool = False


def add_stream(block: Any, name: str, time: Any, flows: Iterable[Flow], doc: str = "") -> Port:
    """Add a stream to a unit: a Var ``{name}_{flow}`` for each flow, and the Port ``name`` with all of them. Return the port."""
    port = Port(doc=doc or name)
    block.add_component(name, port)
    for flow in flows:
        index = () if flow.components is None else (list(flow.components),)
        bounds = (None if flow.signed else 0, None)
        variable = Var(time, *index, initialize=0.0, bounds=bounds, units=flow.unit, doc=f"{doc or name}: {flow.doc}")
        block.add_component(f"{name}_{flow.name}", variable)
        nominal(variable, flow.typical)
        port.add(variable, flow.name)
    return port


def add_powder_port(block: Any, name: str, time: Any, components: Iterable[str], doc: str = "") -> Port:
    """Add a powder stream to a unit and return its port.

    Adds the Var ``{name}_flow[t, c]`` (kg/s) over what is carried, components and size classes; the Expressions ``{name}_total[t]`` (kg/s)
    and ``{name}_fraction[t, c]`` (kg/kg, sums to one at any flow and is uniform at zero flow) over components alone; where sizes are
    followed those of :func:`units.sizes.add_sizes`; and the Port ``name`` with the member ``flow``.

    Parameters
    ----------
    block : the unit.
    name : name of the port, such as ``outlet`` or ``inlet_1``.
    time : the model's ``ContinuousSet``.
    components : the materials, or names of components if no sizes are followed.
    doc : one line; also starts the docs of what is added.
    """
    members = list(components)
    what = doc or name
    flow = Flow("flow", u.kg / u.s, TYPICAL_FLOW, "component mass flow", tuple(carried(components)))
    port = add_stream(block, name, time, [flow], what)

    # Rules reach the Var through the block they are called with, so that they hold for a clone of the model as well.
    def flows(b: Any, t: float) -> dict[str, Any]:
        return {c: b.component(f"{name}_flow")[t, c] for c in members}

    def total_rule(b: Any, t: float) -> Any:
        return sum(flows(b, t).values())

    def fraction_rule(b: Any, t: float, c: str) -> Any:
        return mass_fractions(flows(b, t), FLOW_HEEL * u.kg / u.s)[c]

    block.add_component(f"{name}_total", Expression(time, rule=total_rule, doc=f"{what}: mass flow"))
    block.add_component(f"{name}_fraction", Expression(time, members, rule=fraction_rule, doc=f"{what}: mass fraction"))
    sizes = sizes_of(components)
    if sizes is not None:

        def share(b: Any, t: float, size: str) -> Any:
            classes = {k: b.component(f"{name}_flow")[t, k] for k in size_names(components)}
            return mass_fractions(classes, FLOW_HEEL * u.kg / u.s)[size]

        add_sizes(block, name, time, sizes, share, what)
    return port


def add_inlets(block: Any, time: Any, components: Iterable[str], names: Iterable[str], doc: str) -> None:
    """Add powder streams that join in a unit: their ports, and the Expressions ``feed[t, c]``, over all that is carried, and
    ``feed_total[t]`` (kg/s) of all together.
    """
    members, ports = list(components), list(names)
    for name in ports:
        add_powder_port(block, name, time, components, doc=doc if len(ports) == 1 else f"{doc} ({name})")

    def flow_rule(b: Any, t: float, c: str) -> Any:
        return sum(b.component(f"{name}_flow")[t, c] for name in ports)

    def total_rule(b: Any, t: float) -> Any:
        return sum(b.feed[t, c] for c in members)

    block.feed = Expression(time, carried(components), rule=flow_rule, doc=f"{doc}: component mass flow")
    block.feed_total = Expression(time, rule=total_rule, doc=f"{doc}: mass flow")
