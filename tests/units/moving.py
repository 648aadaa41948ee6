"""What tests of powder that moves share: smooth inflows in explicit time, and exact plug flow at any rate."""

from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.dae import ContinuousSet
from pyomo.environ import units as u
from scipy.integrate import cumulative_simpson

from units.stream import Material

PAIR = {name: Material(name, 1500.0, 330.0) for name in ("filler", "drug")}
SMOOTH = 20.0 / 3600.0
"""A mass flow (kg/s)."""


def fed(unit: Any, flow: Any, drug: Any, horizon: float, draw: Any = None, **parameters: Any) -> Any:
    """Return a model of ``model.unit`` whose inflow and share of drug, and volume drawn, are functions ``(t, sin)`` of time."""
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.unit = unit(time=model.time, materials=PAIR, **parameters)
    port = unit._ComponentDataClass.inlets(parameters)[0]

    @model.Constraint(model.time, list(PAIR))
    def inflow(m: Any, t: float, c: str) -> Any:
        share = drug(t, pyo.sin)
        return m.unit.component(f"{port}_flow")[t, c] == flow(t, pyo.sin) * (share if c == "drug" else 1 - share) * u.kg / u.s

    if draw is not None:
        model.unit.draw.unfix()

        @model.Constraint(model.time)
        def drawing(m: Any, t: float) -> Any:
            return m.unit.draw[t] == draw(t, pyo.sin) * u.m**3 / u.s

    return model


def plug_flow(time: np.ndarray, start: float, flow: Any, drug: Any, leaving: Any) -> np.ndarray:
    """Return the share of drug that leaves an ideal plug of a mass ``start`` without drug, with in- and outflow changing over time."""
    fine = np.linspace(0.0, time[-1], 200_001)
    entered = cumulative_simpson(flow(fine, np.sin) * np.ones_like(fine), x=fine, initial=0.0)
    left = cumulative_simpson(leaving(fine, np.sin) * np.ones_like(fine), x=fine, initial=0.0)
    since = np.interp(time, fine, left) - start
    return np.where(since > 0, drug(np.interp(since, entered, fine), np.sin), 0.0)
