"""What a liquid stream is: the amount of every component per time, and the volume flow.

A component declares how its amount is counted: by mass (kg), in moles (mol) or in cells. One stream carries all three:
its members are ``mass_flow[t, c]``, ``molar_flow[t, c]`` and ``cell_flow[t, c]``, as far as there are such components,
``volume_flow[t]``, and ``heat_flow[t]``: the heat of the liquid above :data:`REFERENCE_TEMPERATURE`, so that zero flow is a regular point
and heat adds up like amounts. Volumes add up: mixing changes none, and what is dissolved takes no room. The pH is no member: it adds up
to nothing, and what two liquids have when mixed depends on their buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyomo.dae import DerivativeVar
from pyomo.environ import Constraint, Expression, Var, value
from pyomo.environ import units as u
from pyomo.network import Port

from solvers.declare import nominal
from units.parameter import Parameter
from units.stream import MEASURES, VOLUME, Flow, Measure, add_stream

VOLUME_FLOW = u.m**3 / u.s

VOLUME_FLOW_HEEL = 1e-15
"""Volume flow (m3/s) below which a stream's concentrations fade to zero: 4e-9 L/h; at 1e-4 L/h they are off by less than 1e-8."""

TYPICAL_VOLUME = 1e-3
"""Typical volume (m3, 1 L) of liquid to which tolerances refer."""

TYPICAL_VOLUME_FLOW = 1e-7
"""Typical volume flow (m3/s, 0.36 L/h) to which tolerances refer."""

HEAT_CAPACITY = 4.17e6 * u.J / u.m**3 / u.K
"""Heat capacity of every liquid per volume: that of water, within 1 % from 10 to 60 degC (recalled)."""

REFERENCE_TEMPERATURE = 298.15 * u.K
"""Temperature at which a liquid holds no heat, and which a stream without flow shows."""

TYPICAL_DIFFERENCE = 10.0
"""Typical difference of temperature (K) to which tolerances refer."""


@dataclass(frozen=True, slots=True)
class LiquidComponent:
    """Something that a liquid holds, dissolved or suspended.

    Parameters
    ----------
    name : component name, as in ``molarity[t, name]``.
    measure : how its amount is counted: ``MASS``, ``MOLES`` or ``CELLS`` of ``units.stream``.

    >>> from units.stream import MOLES
    >>> LiquidComponent("glucose", MOLES).measure.concentration
    'molarity'
    """

    name: str
    measure: Measure


def by_measure(components: Mapping[str, LiquidComponent]) -> dict[Measure, list[str]]:
    """Return the names of the components of each measure, without measures that have none."""
    found = {measure: [name for name, component in components.items() if component.measure is measure] for measure in MEASURES}
    return {measure: names for measure, names in found.items() if names}


def concentration_parameters(prefix: str, doc: str, **more: Any) -> tuple[Parameter, ...]:
    """Return parameters for a liquid's composition, one per measure: ``{prefix}mass_concentration`` and so on, zero where not given."""
    return tuple(
        Parameter(
            f"{prefix}{measure.concentration}",
            measure.unit / u.m**3,
            f"{measure.concentration.replace('_', ' ')} {doc}",
            0.0,
            0.0,
            per_component=True,
            sparse=True,
            of=measure,
            **more,
        )
        for measure in MEASURES
    )


def add_liquid_port(block: Any, name: str, time: Any, components: Mapping[str, LiquidComponent], doc: str = "") -> Port:
    """Add a liquid stream to a unit and return its port.

    Adds the Vars ``{name}_mass_flow[t, c]`` (kg/s), ``{name}_molar_flow[t, c]`` (mol/s), ``{name}_cell_flow[t, c]`` (cell/s), as far as
    there are such components, ``{name}_volume_flow[t]`` (m3/s) and ``{name}_heat_flow[t]`` (W); the Expressions
    ``{name}_mass_concentration``, ``{name}_molarity``, ``{name}_cell_density`` (per m3; zero at zero flow) and ``{name}_temperature[t]``
    (K; the reference temperature at zero flow); and the Port ``name`` with the members ``mass_flow`` and so on.

    Parameters
    ----------
    block : the unit.
    name : name of the port, such as ``outlet`` or ``inlet_1``.
    time : the model's ``ContinuousSet``.
    components : by name.
    doc : one line; also starts the docs of what is added.
    """
    groups = by_measure(components)
    flows = [
        Flow(measure.flow, measure.unit / u.s, measure.typical * TYPICAL_VOLUME_FLOW, measure.flow.replace("_", " "), tuple(names))
        for measure, names in groups.items()
    ]
    heat = float(value(HEAT_CAPACITY)) * TYPICAL_DIFFERENCE * TYPICAL_VOLUME_FLOW
    flows += [
        Flow(VOLUME, VOLUME_FLOW, TYPICAL_VOLUME_FLOW, "volume flow"),
        Flow("heat_flow", u.W, heat, "heat flow above the reference temperature", signed=True),
    ]
    port = add_stream(block, name, time, flows, doc)
    for measure, names in groups.items():

        def rule(b: Any, t: float, c: str, measure: Measure = measure) -> Any:
            return b.component(f"{name}_{measure.flow}")[t, c] * _per_volume(b.component(f"{name}_volume_flow")[t])

        text = f"{doc or name}: {measure.concentration.replace('_', ' ')}"
        block.add_component(f"{name}_{measure.concentration}", Expression(time, names, rule=rule, doc=text))

    def temperature(b: Any, t: float) -> Any:
        return temperature_of(b.component(f"{name}_heat_flow")[t] * _per_volume(b.component(f"{name}_volume_flow")[t]))

    block.add_component(f"{name}_temperature", Expression(time, rule=temperature, doc=f"{doc or name}: temperature"))
    return port


def _per_volume(flow: Any) -> Any:
    """Return one over a volume flow, which fades to zero below the heel."""
    return flow / (flow**2 + (VOLUME_FLOW_HEEL * VOLUME_FLOW) ** 2)


def heat_of(temperature: Any) -> Any:
    """Return the heat per volume (J/m3) of a liquid at a temperature (K)."""
    return HEAT_CAPACITY * (temperature - REFERENCE_TEMPERATURE)


def temperature_of(heat: Any) -> Any:
    """Return the temperature (K) of a liquid with a heat per volume (J/m3); inverse of :func:`heat_of`."""
    return REFERENCE_TEMPERATURE + heat / HEAT_CAPACITY


def add_passed_volume(block: Any, port: str, time: Any) -> None:
    """Add the state ``passed_volume[t]`` (m3): what has passed a port since the start, in pulses that output points may miss as well."""
    block.passed_volume = Var(time, initialize=0.0, units=u.m**3, doc="volume that has passed since the start")
    block.passed_volume_rate = DerivativeVar(block.passed_volume, wrt=time, units=VOLUME_FLOW, doc="rate of the volume that has passed")
    nominal(block.passed_volume, TYPICAL_VOLUME)

    def integrate(b: Any, t: float) -> Any:
        return b.passed_volume_rate[t] == b.component(f"{port}_{VOLUME}")[t]

    block.passed_volume_quadrature = Constraint(time, rule=integrate, doc="what has passed")
    block.passed_volume[time.first()].fix(0.0)
