"""Models around single units, and the mass balance that every one of them has to close."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import units as u
from pyomo.network import Arc

from units.sink import Sink
from units.source import Source
from units.stream import Material

MATERIALS = {
    "excipient": Material("excipient", true_density=1550.0, bulk_density=330.0),
    "api": Material("api", true_density=1300.0, bulk_density=350.0),
    "lubricant": Material("lubricant", true_density=1090.0, bulk_density=150.0),
}
BLEND = {"excipient": 0.89, "api": 0.10, "lubricant": 0.01}


@dataclass
class Rig:
    """One unit between a source and a sink, with quadratures of what goes in and comes out."""

    model: Any

    def inventory(self, trajectory: Any, component: str) -> np.ndarray:
        return trajectory[f"inventory[{component}]"]

    def residual(self, trajectory: Any) -> float:
        """Largest mass that is unaccounted for at any output time, relative to the largest amount of its component."""
        worst = 0.0
        for component in self.model.components_of_balance:
            supplied, withdrawn = trajectory[f"supplied[{component}]"], trajectory[f"withdrawn[{component}]"]
            inventory = self.inventory(trajectory, component)
            missing = supplied - withdrawn - (inventory - inventory[0])
            scale = max(supplied.max(), withdrawn.max(), inventory.max())
            worst = max(worst, float(np.abs(missing).max()) / scale if scale else float(np.abs(missing).max()))
        return worst


def add_balance(model: Any, units: list[Any], components: list[str]) -> None:
    """Add what flows in and out as states beside the units' own, so that no residual is computed from itself."""
    model.components_of_balance = pyo.Set(initialize=components)
    for name, of_unit in (("supplied", "supply"), ("withdrawn", "withdrawal")):
        names = [unit.local_name for unit in units if unit.component(of_unit) is not None]
        total = pyo.Var(model.time, components, initialize=0.0, units=u.kg)
        model.add_component(name, total)
        model.add_component(f"{name}_rate", DerivativeVar(total, wrt=model.time, units=u.kg / u.s))

        def law(m: Any, t: float, c: str, name: str = name, of_unit: str = of_unit, names: list[str] = names) -> Any:
            terms = (m.component(unit).component(of_unit)[t, c] for unit in names)
            return m.component(f"{name}_rate")[t, c] == sum(terms, start=0.0 * u.kg / u.s)

        model.add_component(f"{name}_law", pyo.Constraint(model.time, components, rule=law))
        for c in components:
            total[model.time.first(), c].fix(0.0)
    holders = [unit.local_name for unit in units if unit.component("holdup") is not None]

    def held(m: Any, t: float, c: str) -> Any:
        return sum((m.component(unit).holdup[t, c] for unit in holders), start=0.0 * u.kg)

    model.inventory = pyo.Expression(model.time, components, rule=held)


@pytest.fixture
def materials() -> dict[str, Material]:
    return dict(MATERIALS)


@pytest.fixture
def blend() -> dict[str, float]:
    return dict(BLEND)


@pytest.fixture(scope="session")
def rig() -> Callable[..., Rig]:
    """Return a builder: ``rig(Unit, feed={...}, horizon=..., **parameters)`` puts ``model.unit`` between source(s) and sink."""

    def build(unit: Any, *, horizon: float = 600.0, feed: Any = 0.0, materials: Any = None, **parameters: Any) -> Rig:
        materials = MATERIALS if materials is None else materials
        model = pyo.ConcreteModel()
        model.time = ContinuousSet(bounds=(0, horizon))
        model.unit = unit(time=model.time, materials=materials, **parameters)
        units = [model.unit]
        contract = unit._ComponentDataClass
        for number, name in enumerate(contract.inlets(parameters)):
            source = Source(time=model.time, materials=materials, flow=feed if number == 0 else 0.0)
            model.add_component(f"source_{number + 1}", source)
            model.add_component(f"feed_{number + 1}", Arc(source=source.outlet, destination=model.unit.component(name)))
            units.append(source)
        for number, name in enumerate(contract.outlets(parameters)):
            sink = Sink(time=model.time, materials=materials)
            model.add_component(f"sink_{number + 1}", sink)
            model.add_component(f"product_{number + 1}", Arc(source=model.unit.component(name), destination=sink.inlet))
            units.append(sink)
        add_balance(model, units, list(materials))
        return Rig(model)

    return build
