"""What a powder stream is: the mass flow of every component, nothing else.

A stream is a Pyomo ``Port`` with the single member ``flow``, a Var over time and component in kg/s. Zero flow is a
regular point of every equation: totals are sums, and fractions lean on a flow far below anything that can be weighed.
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

FLOW_HEEL = 1e-9
"""Flow (kg/s) below which fractions fade to uniform: 4e-6 kg/h; at 1 kg/h they are off by less than 1e-12."""

TYPICAL_FLOW = 1e-3
"""Typical component flow (kg/s, 3.6 kg/h) to which tolerances refer."""


@dataclass(frozen=True, slots=True)
class Material:
    """A powder component and the properties that any unit may ask for.

    Parameters
    ----------
    name : component name, as in ``flow[t, name]``.
    true_density : density of the solid without pores (kg/m3).
    bulk_density : density of the loosely poured powder (kg/m3), at most the true density.

    Raises
    ------
    CaseError : a density is not positive and finite, or the bulk density exceeds the true density.

    >>> Material("api", true_density=1300.0, bulk_density=350.0).porosity
    0.7307692307692308
    """

    name: str
    true_density: float
    bulk_density: float

    def __post_init__(self) -> None:
        complaints = [
            Complaint("has to be positive", repr(value), "(0, inf) kg/m**3", key=(label,))
            for label, value in (("true_density", self.true_density), ("bulk_density", self.bulk_density))
            if not (math.isfinite(value) and value > 0)
        ]
        hint = "" if complaints else "the bulk density is that of the poured powder with its pores"
        if not complaints and self.bulk_density > self.true_density:
            text = f"exceeds the true density ({self.bulk_density:g} > {self.true_density:g} kg/m**3)"
            complaints.append(Complaint(text, hint=hint, key=("bulk_density",)))
        if complaints:
            raise CaseError("; ".join(str(c.within(self.name)) for c in complaints), names=[self.name], hint=hint, complaints=complaints)

    @property
    def porosity(self) -> float:
        """Volume fraction of pores in the poured powder (-)."""
        return 1.0 - self.bulk_density / self.true_density


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


def add_powder_port(block: Any, name: str, time: Any, components: Iterable[str], doc: str = "") -> Port:
    """Add a powder stream to a unit and return its port.

    Adds the Var ``{name}_flow[t, c]`` (kg/s), the Expressions ``{name}_total[t]`` (kg/s) and ``{name}_fraction[t, c]``
    (kg/kg, sums to one at any flow and is uniform at zero flow), and the Port ``name`` with the member ``flow``.

    Parameters
    ----------
    block : the unit.
    name : name of the port, such as ``outlet`` or ``inlet_1``.
    time : the model's ``ContinuousSet``.
    components : names of the components.
    doc : one line; also starts the docs of what is added.
    """
    members = list(components)
    what = doc or name
    flow = Var(time, members, initialize=0.0, bounds=(0, None), units=u.kg / u.s, doc=f"{what}: component mass flow")
    block.add_component(f"{name}_flow", flow)
    nominal(flow, TYPICAL_FLOW)

    # Rules reach the Var through the block they are called with, so that they hold for a clone of the model as well.
    def flows(b: Any, t: float) -> dict[str, Any]:
        return {c: b.component(f"{name}_flow")[t, c] for c in members}

    def total_rule(b: Any, t: float) -> Any:
        return sum(flows(b, t).values())

    def fraction_rule(b: Any, t: float, c: str) -> Any:
        return mass_fractions(flows(b, t), FLOW_HEEL * u.kg / u.s)[c]

    block.add_component(f"{name}_total", Expression(time, rule=total_rule, doc=f"{what}: mass flow"))
    block.add_component(f"{name}_fraction", Expression(time, members, rule=fraction_rule, doc=f"{what}: mass fraction"))

    port = Port(doc=what)
    block.add_component(name, port)
    port.add(flow, "flow")
    return port
