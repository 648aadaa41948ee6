"""A stirred vessel as such: what an engineer gives to it, its volume and outlets, and boluses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.laws import smooth_positive
from units.liquid import VOLUME_FLOW, concentration_parameters, heat_of
from units.parameter import Parameter

HEEL_ROUNDING = 1e-9
"""Share of the heel over which the end of an outlet's flow is rounded."""

INLETS = Parameter("inlets", u.dimensionless, "number of inlets for streams", 0, 0, integer=True)
PERFUSION = Parameter("perfusion", u.dimensionless, "1 if there is an outlet that retains components", 0, 0, 1, integer=True)
AERATED = Parameter("aerated", u.dimensionless, "1 if gas passes through the liquid", 0, 0, 1, integer=True)
HEAT_BALANCE = Parameter("heat_balance", u.dimensionless, "1 if the temperature follows from a heat balance", 0, 0, 1, integer=True)

VESSEL: tuple[Parameter, ...] = (
    INLETS,
    PERFUSION,
    AERATED,
    HEAT_BALANCE,
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
    Parameter.positive("temperature", u.K, "temperature of the liquid", 310.15, input=True, when=("heat_balance", 0), source="37 degC"),
    Parameter("ph", u.dimensionless, "pH of the liquid", 7.0, 0.0, 14.0, input=True),
)


def add_volume(block: Any, time: Any, inlets: Sequence[str], outlets: Sequence[str]) -> None:
    """Add the state ``volume[t]`` (m3) with its balance, and the volume that leaves through the outlets.

    Parameters
    ----------
    block : the vessel, with its parameters and ports.
    time : the model's ``ContinuousSet``.
    inlets, outlets : names of the ports.
    """
    t0 = time.first()
    size = pyo.value(block.initial_volume)
    block.volume = pyo.Var(time, initialize=size, bounds=(0, None), units=u.m**3, doc="liquid in the vessel")
    block.volume_rate = DerivativeVar(block.volume, wrt=time, units=VOLUME_FLOW, doc="rate of the volume")
    block.feeding = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while the vessel's own feed runs")
    block.boluses = pyo.Var(time, bounds=(0, None), units=u.dimensionless, doc="boluses of the schedule since the start")
    block.dosed_volume = pyo.Var(time, bounds=(0, None), units=u.m**3, doc="volume of the boluses since the start")
    block.feeding.fix(1)
    block.boluses.fix(0)
    block.dosed_volume.fix(0)
    nominal(block.volume, size)

    @block.Expression(time, doc="volume flow of the vessel's own feed")
    def volume_supply(b: Any, t: float) -> Any:
        return b.feeding[t] * b.feed_flow[t]

    def demand(b: Any, t: float, port: str) -> Any:
        return b.outflow[t] if port == "outlet" else b.permeate_flow[t]

    @block.Constraint(time, list(outlets), doc="an outlet gives what is asked for while there is liquid")
    def draw(b: Any, t: float, port: str) -> Any:
        above = smooth_positive((b.volume[t] - b.heel) / b.heel, HEEL_ROUNDING)  # an outlet never lets anything in
        return b.component(f"{port}_volume_flow")[t] == demand(b, t, port) * pyo.tanh(above)

    @block.Constraint(time, doc="volume balance")
    def volume_balance(b: Any, t: float) -> Any:
        entering = sum((b.component(f"{name}_volume_flow")[t] for name in inlets), b.volume_supply[t])
        leaving = sum(b.component(f"{name}_volume_flow")[t] for name in outlets)
        return b.volume_rate[t] == entering - leaving - b.evaporation[t] * b.volume[t]

    @block.Constraint(doc="volume at the start")
    def volume_start(b: Any) -> Any:
        return b.volume[t0] == b.initial_volume

    block.overfilled = Event(
        guard=lambda b, t: b.volume[t] - b.maximum_volume,
        direction=Direction.RISING,
        doc="the liquid exceeds maximum_volume",
        refusal="feed less, take more out, or take a larger vessel",
    )


def bolus_changes(block: Any, t: Any, volume: Any) -> list[tuple[Any, Any]]:
    """Return what a bolus of the vessel's own feed changes: its volume, components and heat."""
    pairs = [(total[t], total[t] + volume) for total in (block.volume, block.dosed_volume)]
    for measure, names in block.groups:
        feed = block.component(f"feed_{measure.concentration}")
        for total in (block.component(measure.amount), block.component(f"dosed{measure.suffix}")):
            pairs += [(total[t, c], total[t, c] + volume * feed[c]) for c in names]
    if block.component("heat") is not None:
        pairs.append((block.heat[t], block.heat[t] + volume * heat_of(block.feed_temperature[t])))
    return pairs


def add_boluses(block: Any) -> None:
    """Add the event ``bolus``: feed that is given at once."""
    block.bolus = Event(
        guard=lambda b, t: t * u.s - b.bolus_start - b.boluses[t] * b.bolus_interval,
        direction=Direction.RISING,
        when=lambda b, t: b.bolus_count - b.boluses[t],
        transition=lambda b, t: [(b.boluses[t], b.boluses[t] + 1), *b.bolus_changes(t, b.bolus_volume[t])],
        doc="a bolus of feed",
    )
