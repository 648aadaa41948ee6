"""The material balance of a whole flowsheet, integrated beside the states by plain Pyomo equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal

TYPICAL_MASS = 1.0
"""Typical amount (kg) of a component that passes in a run; tolerances refer to it."""


def add_balance(model: Any, units: Sequence[Any], time: Any, components: Sequence[str]) -> Any:
    """Add the block ``balance`` to a model and return it.

    For every component: the states ``supplied`` and ``withdrawn`` (kg, zero at the start) integrate what all units take
    from outside the flowsheet and hand out of it; the Expression ``inventory`` (kg) is what all units hold. What went in
    minus what came out can thus be compared with the change of inventory, neither being computed from the other. The states
    ``unit_supplied`` and ``unit_withdrawn`` (kg) say the same unit by unit, over all components.

    Parameters
    ----------
    model : the flowsheet's model.
    units : unit blocks that stand on the model; each may have ``supply``, ``withdrawal`` and ``holdup`` over time and component.
    time : the model's ``ContinuousSet``.
    components : names of the components.
    """
    names = {what: [unit.local_name for unit in units if unit.component(what) is not None] for what in ("supply", "withdrawal", "holdup")}
    balance = pyo.Block(doc="material balance of the flowsheet")
    model.add_component("balance", balance)
    for state, what, doc in (
        ("supplied", "supply", "taken from outside the flowsheet"),
        ("withdrawn", "withdrawal", "handed out of the flowsheet"),
    ):

        def by_component(b: Any, t: float, c: str, what: str = what) -> Any:
            return _total(b, what, names[what], t, c, u.kg / u.s)

        def by_unit(b: Any, t: float, unit: str, what: str = what) -> Any:
            flow = b.parent_block().component(unit).component(what)
            return sum(flow[t, c] for c in components)

        _add_quadrature(balance, state, f"{doc} since the start", by_component, components, time)
        _add_quadrature(balance, f"unit_{state}", f"{doc} by a unit since the start", by_unit, names[what], time)

    def inventory(b: Any, t: float, c: str) -> Any:
        return _total(b, "holdup", names["holdup"], t, c, u.kg)

    balance.add_component("inventory", pyo.Expression(time, components, rule=inventory, doc="held by all units"))
    return balance


def _total(balance: Any, what: str, names: Sequence[str], t: float, c: str, unit: Any) -> Any:
    """Return the sum over units, found beside the balance, so that the rule holds for a clone of the model as well."""
    model = balance.parent_block()
    return sum((model.component(name).component(what)[t, c] for name in names), 0 * unit)


def _add_quadrature(balance: Any, name: str, doc: str, flow: Callable[[Any, float, str], Any], members: Sequence[str], time: Any) -> None:
    """Add a state that integrates ``flow(balance, t, member)`` (kg/s) from zero for each member."""
    if not members:
        return
    amount = pyo.Var(time, members, initialize=0.0, units=u.kg, doc=doc)
    balance.add_component(name, amount)
    nominal(amount, TYPICAL_MASS)
    rate = DerivativeVar(amount, wrt=time, units=u.kg / u.s, doc=f"rate of {name}")
    balance.add_component(f"{name}_rate", rate)

    def integrate(b: Any, t: float, member: str) -> Any:
        return b.component(f"{name}_rate")[t, member] == flow(b, t, member)

    balance.add_component(f"{name}_quadrature", pyo.Constraint(time, members, rule=integrate, doc=f"what is {name}"))
    for member in members:
        amount[time.first(), member].fix(0.0)
