"""The material balance of a whole flowsheet, integrated beside the states by plain Pyomo equations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal

TYPICAL_MASS = 1.0
"""Typical amount (kg) of a component that passes in a run; tolerances refer to it."""


def add_balance(model: Any, units: Iterable[Any], time: Any, components: Sequence[str]) -> Any:
    """Add the block ``balance`` to a model and return it.

    For every component: the states ``supplied`` and ``withdrawn`` (kg, zero at the start) integrate what all units take
    from outside the flowsheet and hand out of it; the Expression ``inventory`` (kg) is what all units hold. What went in
    minus what came out can thus be compared with the change of inventory, neither being computed from the other.

    Parameters
    ----------
    model : the flowsheet's model.
    units : the unit blocks; each may have ``supply``, ``withdrawal`` and ``holdup`` over time and component.
    time : the model's ``ContinuousSet``.
    components : names of the components.
    """
    blocks = list(units)
    balance = pyo.Block(doc="material balance of the flowsheet")
    model.add_component("balance", balance)
    for state, source, doc in (
        ("supplied", "supply", "taken from outside the flowsheet since the start"),
        ("withdrawn", "withdrawal", "handed out of the flowsheet since the start"),
    ):
        _add_quadrature(balance, state, doc, [block.component(source) for block in blocks], time, components)
    held = [block.component("holdup") for block in blocks]

    def inventory(_: Any, t: float, c: str) -> Any:
        return sum((amount[t, c] for amount in held if amount is not None), 0 * u.kg)

    balance.add_component("inventory", pyo.Expression(time, components, rule=inventory, doc="held by all units"))
    return balance


def _add_quadrature(balance: Any, name: str, doc: str, flows: list[Any], time: Any, components: Sequence[str]) -> None:
    amount = pyo.Var(time, components, initialize=0.0, units=u.kg, doc=doc)
    balance.add_component(name, amount)
    nominal(amount, TYPICAL_MASS)
    rate = DerivativeVar(amount, wrt=time, units=u.kg / u.s, doc=f"rate of what is {name}")
    balance.add_component(f"{name}_rate", rate)
    present = [flow for flow in flows if flow is not None]

    def integrate(_: Any, t: float, c: str) -> Any:
        return rate[t, c] == sum((flow[t, c] for flow in present), 0 * u.kg / u.s)

    balance.add_component(f"{name}_quadrature", pyo.Constraint(time, components, rule=integrate, doc=f"what is {name}"))
    for component in components:
        amount[time.first(), component].fix(0.0)
