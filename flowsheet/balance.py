"""The material balance of a whole flowsheet, integrated beside the states by plain Pyomo equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.liquid import TYPICAL_VOLUME
from units.stream import CELLS, MASS, MEASURES, MOLES, VOLUME, Measure

TYPICAL = {MASS: 1.0, MOLES: 1e-3, CELLS: 1e9}
"""Typical amounts (kg, mol, cell) of a component that pass in a run; tolerances refer to them."""
TYPICAL_SOLUTE = 1e-3
"""Typical mass (kg) of a component of a flowsheet of liquids."""

FLOWS = (
    ("supplied", "supply", "taken from outside the flowsheet"),
    ("withdrawn", "withdrawal", "handed out of the flowsheet"),
    ("reacted", "reaction", "made by reactions"),
)
"""States of the balance, the units' rates that they integrate, and what they are."""
HELD = (("inventory", "holdup", "held by all units"), ("dosed", "dosed", "taken from outside the flowsheet in jumps since the start"))
"""Expressions of the balance, the units' amounts that they sum, and what they are."""


def add_balance(
    model: Any,
    units: Sequence[Any],
    time: Any,
    components: Sequence[str] | Mapping[str, Any],
    streams: Mapping[str, tuple[str, str]] | None = None,
) -> Any:
    """Add the block ``balance`` to a model and return it.

    For every component: the states ``supplied`` and ``withdrawn`` (kg, zero at the start) integrate what all units take
    from outside the flowsheet and hand out of it, ``reacted`` what reactions make; the Expression ``inventory`` (kg) is what all
    units hold, ``dosed`` what was given in jumps. What went in minus what came out can thus be compared with the change of
    inventory, none being computed from another. For components counted in moles or cells the names end in ``_moles`` and
    ``_cells``, as those of the units' rates. The states ``unit_supplied`` and ``unit_withdrawn`` (kg) say what passed the boundary
    unit by unit, over all components, ``unit_volume_supplied`` and ``unit_volume_withdrawn`` (m3) the same for liquids;
    ``passed_volume`` (m3) and ``passed`` by component say what has passed in a stream of liquid, whose pulses output points may miss.

    Parameters
    ----------
    model : the flowsheet's model.
    units : unit blocks that stand on the model; each may have ``supply``, ``withdrawal``, ``reaction``, ``holdup`` and ``dosed`` over
        time and component.
    time : the model's ``ContinuousSet``.
    components : components by name; names alone are those of components that are weighed.
    streams : of liquid, each with the names of the unit and of the port where it starts.
    """
    balance = pyo.Block(doc="material balance of the flowsheet")
    model.add_component("balance", balance)
    known = components if isinstance(components, Mapping) else dict.fromkeys(components)
    measured = {name: MASS if component is None else component.measure for name, component in known.items()}
    for measure in MEASURES:
        members = [name for name, own in measured.items() if own is measure]
        if members:
            _add_measure(balance, units, time, measure, members)
    blocks = {unit.local_name: unit for unit in units}
    liquid = [name for name, unit in blocks.items() if unit.component("volume_supply") or unit.component("volume_withdrawal")]
    for state, what, doc in FLOWS[:2]:
        solid = [name for name, unit in blocks.items() if name not in liquid and unit.component(what) is not None]
        wet = [name for name in liquid if blocks[name].component(f"volume_{what}") is not None]

        def mass(b: Any, t: float, unit: str, what: str = what) -> Any:
            flow = b.parent_block().component(unit).component(what)
            return sum(flow[t, c] for c in members_of(flow))

        def volume(b: Any, t: float, unit: str, what: str = what) -> Any:
            return b.parent_block().component(unit).component(f"volume_{what}")[t]

        add_quadrature(balance, f"unit_{state}", f"{doc} by a unit since the start", mass, solid, time, u.kg, TYPICAL[MASS])
        text = f"volume {doc} by a unit since the start"
        add_quadrature(balance, f"unit_volume_{state}", text, volume, wet, time, u.m**3, TYPICAL_VOLUME)
    _add_streams(balance, time, streams or {}, measured)
    return balance


def _add_streams(balance: Any, time: Any, streams: Mapping[str, tuple[str, str]], measured: Mapping[str, Measure]) -> None:
    """Add what has passed in each stream of liquid."""

    def flow(b: Any, t: float, stream: str, name: str, *component: str) -> Any:
        unit, port = streams[stream]
        return b.parent_block().component(unit).component(f"{port}_{name}")[(t, *component) if component else t]

    def volume(b: Any, t: float, stream: str) -> Any:
        return flow(b, t, stream, VOLUME)

    text = "volume that has passed in a stream"
    add_quadrature(balance, "passed_volume", text, volume, list(streams), time, u.m**3, TYPICAL_VOLUME)
    for measure in MEASURES:
        ports = {
            stream: balance.parent_block().component(unit).component(f"{port}_{measure.flow}") for stream, (unit, port) in streams.items()
        }
        pairs = [(stream, c) for stream, var in ports.items() if var is not None for c in measured if c in members_of(var)]

        def amount(b: Any, t: float, pair: tuple[str, str], measure: Measure = measure) -> Any:
            return flow(b, t, pair[0], measure.flow, pair[1])

        typical = TYPICAL_SOLUTE if measure is MASS else TYPICAL[measure]
        text = f"{measure.amount} that has passed in a stream"
        add_quadrature(balance, f"passed{measure.suffix}", text, amount, pairs, time, measure.unit, typical)


def members_of(amounts: Any) -> tuple[str, ...]:
    """Return the components over which amounts are indexed beside time, in order."""
    return tuple(dict.fromkeys(component for _, component in amounts))


def _add_measure(balance: Any, units: Sequence[Any], time: Any, measure: Measure, members: Sequence[str]) -> None:
    """Add what the balance says of the components of one measure."""
    suffix, unit = measure.suffix, measure.unit
    # a flowsheet of powders keeps the scale of powders, whatever else it holds
    powder = any(block.component("volume_supply") is None and block.component("supply") is not None for block in units)
    typical = TYPICAL[measure] if powder or measure is not MASS else TYPICAL_SOLUTE
    for state, what, doc in FLOWS:
        names = [block.local_name for block in units if block.component(f"{what}{suffix}") is not None]

        def rate(b: Any, t: float, c: str, what: str = what, names: list[str] = names) -> Any:
            return _total(b, f"{what}{suffix}", names, t, c, unit / u.s)

        if names or state != "reacted":
            add_quadrature(balance, f"{state}{suffix}", f"{doc} since the start", rate, members, time, unit, typical)
    for name, what, doc in HELD:
        names = [block.local_name for block in units if block.component(f"{what}{suffix}") is not None]

        def held(b: Any, t: float, c: str, what: str = what, names: list[str] = names) -> Any:
            return _total(b, f"{what}{suffix}", names, t, c, unit)

        if names or name != "dosed":
            balance.add_component(f"{name}{suffix}", pyo.Expression(time, members, rule=held, doc=doc))


def _total(balance: Any, what: str, names: Sequence[str], t: float, c: str, unit: Any) -> Any:
    """Return the sum over units, found beside the balance, so that the rule holds for a clone of the model as well."""
    model = balance.parent_block()
    amounts = [model.component(name).component(what) for name in names]
    return sum((amount[t, c] for amount in amounts if (t, c) in amount), 0 * unit)


def add_quadrature(
    balance: Any, name: str, doc: str, flow: Callable[[Any, float, Any], Any], members: Sequence[Any], time: Any, unit: Any, typical: float
) -> None:
    """Add a state that integrates ``flow(balance, t, member)`` (``unit`` per s) from zero for each member."""
    if not members:
        return
    amount = pyo.Var(time, members, initialize=0.0, units=unit, doc=doc)
    balance.add_component(name, amount)
    nominal(amount, typical)
    rate = DerivativeVar(amount, wrt=time, units=unit / u.s, doc=f"rate of {name}")
    balance.add_component(f"{name}_rate", rate)

    def integrate(b: Any, t: float, *member: str) -> Any:
        return b.component(f"{name}_rate")[(t, *member)] == flow(b, t, member if len(member) > 1 else member[0])

    balance.add_component(f"{name}_quadrature", pyo.Constraint(time, members, rule=integrate, doc=f"what is {name}"))
    for member in members:
        amount[time.first(), member].fix(0.0)
