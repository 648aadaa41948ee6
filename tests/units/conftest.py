"""Models around single units, with the flowsheet's mass balance, which every one of them has to close."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.dae import ContinuousSet
from pyomo.network import Arc

from flowsheet.balance import add_balance
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
    """One unit between a source and a sink, with the balance of a flowsheet."""

    model: Any
    components: tuple[str, ...]

    def residual(self, trajectory: Any) -> float:
        """Largest mass that is unaccounted for at any output time, relative to the largest amount of its component or a milligram."""
        worst = 0.0
        for component in self.components:
            supplied, withdrawn, inventory = (trajectory[f"balance.{name}[{component}]"] for name in ("supplied", "withdrawn", "inventory"))
            missing = supplied - withdrawn - (inventory - inventory[0])
            scale = max(supplied.max(), withdrawn.max(), inventory.max(), 1e-6)
            worst = max(worst, float(np.abs(missing).max()) / scale)
        return worst


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
        for name in model.unit.required_signals:  # a signal that does not change
            model.unit.component(name).fix(2.5e-4)
        add_balance(model, units, model.time, list(materials))
        return Rig(model, tuple(materials))

    return build
