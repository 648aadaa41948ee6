"""What an engineer gives to a stirred vessel: its start, feeds, outlets and conditions."""

from __future__ import annotations

from pyomo.environ import units as u

from units.liquid import VOLUME_FLOW, concentration_parameters
from units.parameter import Parameter

INLETS = Parameter("inlets", u.dimensionless, "number of inlets for streams", 0, 0, integer=True)
PERFUSION = Parameter("perfusion", u.dimensionless, "1 if there is an outlet that retains components", 0, 0, 1, integer=True)

VESSEL: tuple[Parameter, ...] = (
    INLETS,
    PERFUSION,
    Parameter.positive("initial_volume", u.m**3, "liquid at the start"),
    *concentration_parameters("initial_", "at the start"),
    Parameter.positive("maximum_volume", u.m**3, "liquid above which the run is refused"),
    Parameter.positive("heel", u.m**3, "liquid that the outlets leave in the vessel", 1e-6, source="assumed: 1 mL"),
    Parameter("feed_flow", VOLUME_FLOW, "volume flow of the vessel's own feed", 0.0, 0.0, input=True),
    *concentration_parameters("feed_", "of the vessel's own feed"),
    Parameter("bolus_volume", u.m**3, "feed that is given at once", 0.0, 0.0, input=True),
    Parameter("bolus_count", u.dimensionless, "number of boluses", 0.0, 0.0),
    Parameter("bolus_start", u.s, "time of the first bolus", 0.0, 0.0),
    Parameter.positive("bolus_interval", u.s, "time between boluses", 86400.0, source="assumed: daily"),
    Parameter("outflow", VOLUME_FLOW, "volume flow out of the vessel: harvest, bleed, samples", 0.0, 0.0, input=True),
    Parameter("permeate_flow", VOLUME_FLOW, "volume flow through what retains components", 0.0, 0.0, input=True),
    Parameter(
        "retention", u.dimensionless, "share of a component that the permeate leaves behind", 0.0, 0.0, 1.0, per_component=True, sparse=True
    ),
    Parameter("evaporation", 1 / u.s, "evaporating volume per volume of liquid", 0.0, 0.0, input=True),
    Parameter.positive("temperature", u.K, "temperature of the liquid", 310.15, input=True, source="37 degC"),
    Parameter("ph", u.dimensionless, "pH of the liquid", 7.0, 0.0, 14.0, input=True),
)
