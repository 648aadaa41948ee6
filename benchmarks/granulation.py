"""Twin-screw granulation against five measured runs: ``python -m benchmarks.granulation``.

The runs of Plath, Luding and Weinhart (2024) in ``tests/data/twin_screw_granulation.csv`` say specific feed load, liquid-to-solid ratio,
residence time and Sauter diameter. Breakage is fitted to four of them with everything else as the granulator has it, and the fifth, in the
middle of the plan, is predicted. What was not told, and is assumed: the feed's distribution (median 80 um by mass, spread 2.09, which have
the mean particle volume that was told) and the screw speed (60 rpm for all).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
from pyomo.dae import ContinuousSet
from pyomo.network import Arc
from scipy.optimize import brentq, least_squares

from solvers import simulate
from units.granulation import SPECIFIC_LOAD
from units.powders import Powders
from units.sink import Sink
from units.sizes import SizeClasses
from units.source import Source
from units.stream import Material
from units.twin_screw_granulator import TwinScrewGranulator

DATA = Path(__file__).parents[1] / "tests" / "data" / "twin_screw_granulation.csv"
MATERIALS = {
    "powder": Material("powder", 1540.0, 500.0, median_size=80e-6, size_spread=2.09),
    "water": Material("water", 1000.0, 1000.0, moisture=True),
}
SIZES = SizeClasses(10e-6, 20e-3, 30)
CALIBRATED, PREDICTED = ("N13", "N14", "N15", "N16"), "N26"
MIDDLE = (0.08, 0.225)
STEADY = 20.0
"""Residence times after which a start from an empty barrel is taken for steady."""


def measured() -> dict[str, dict[str, float]]:
    """Return the runs by name."""
    rows = np.genfromtxt(DATA, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return {str(row["run"]): {name: float(row[name]) for name in rows.dtype.names if name != "run"} for row in rows}


class Granulation:
    """A granulator at the feed load and liquid of one run, at 1 rev/s."""

    def __init__(self, run: dict[str, float], sizes: SizeClasses = SIZES) -> None:
        materials, flow = Powders(MATERIALS, sizes), run["sfl"] * SPECIFIC_LOAD
        self.horizon = STEADY * run["mrt_s"]
        self.model = model = pyo.ConcreteModel()
        model.time = ContinuousSet(bounds=(0, self.horizon))
        dry = {"powder": 1.0}
        model.unit = TwinScrewGranulator(
            time=model.time, materials=materials, liquid_rate=run["ls"] * flow, speed=1.0, initial_composition=dry
        )
        model.source = Source(time=model.time, materials=materials, flow={"powder": flow, "water": 0.0})
        model.sink = Sink(time=model.time, materials=materials)
        model.feed = Arc(source=model.source.outlet, destination=model.unit.inlet)
        model.product = Arc(source=model.unit.outlet, destination=model.sink.inlet)

    def sauter_diameter(self, **parameters: float) -> float:
        """Return the Sauter diameter (mm) of what leaves at steady state, with parameters of the granulator in SI."""
        for name, value in parameters.items():
            self.model.unit.component(name).set_value(value)
        return 1e3 * float(simulate(self.model, [0.0, self.horizon])["unit.outlet_d32"][-1])


def fitted_breakage(run: dict[str, float]) -> float:
    """Return the breakage (1/rev) that gives a run its measured Sauter diameter."""
    granulation = Granulation(run)

    def excess(logarithm: float) -> float:
        return math.log(granulation.sauter_diameter(breakage=math.exp(logarithm)) / run["d32_mm"])

    return math.exp(brentq(excess, math.log(6.0), math.log(120.0), xtol=1e-4))


def plan_law(runs: dict[str, dict[str, float]], breakage: dict[str, float]) -> float:
    """Return the breakage (1/rev) in the middle of the plan, from four corners: its logarithm is linear in the ratio and in the logarithm
    of the feed load, and in their product.
    """
    load = np.array([math.log(runs[name]["sfl"] / MIDDLE[0]) for name in CALIBRATED])
    ratio = np.array([runs[name]["ls"] - MIDDLE[1] for name in CALIBRATED])
    law = np.linalg.solve(np.column_stack((np.ones(4), load, ratio, load * ratio)), np.log([breakage[name] for name in CALIBRATED]))
    return math.exp(law[0])


def shared(runs: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return one breakage and one toughening for all four runs, least squares of the logarithm of the Sauter diameter."""
    models = {name: Granulation(runs[name]) for name in CALIBRATED}

    def residuals(x: np.ndarray) -> list[float]:
        given = {"breakage": math.exp(x[0]), "toughening": x[1]}
        return [math.log(models[name].sauter_diameter(**given) / runs[name]["d32_mm"]) for name in CALIBRATED]

    found = least_squares(residuals, [math.log(20.0), 15.0], x_scale=[0.3, 2.0], diff_step=1e-3, xtol=1e-4, ftol=1e-5)
    return {"breakage": math.exp(found.x[0]), "toughening": float(found.x[1])}


def main() -> None:
    """Fit, predict and print."""
    runs = measured()
    breakage = {name: fitted_breakage(runs[name]) for name in CALIBRATED}
    breakage[PREDICTED] = plan_law(runs, breakage)
    common = shared(runs)
    print("run   SFL    L/S    measured  own breakage      d32   error   one for all   error")
    for name in (*CALIBRATED, PREDICTED):
        run, granulation = runs[name], Granulation(runs[name])
        found = [granulation.sauter_diameter(breakage=breakage[name]), granulation.sauter_diameter(**common)]
        own, same = (f"{value:6.3f} {100 * (value / run['d32_mm'] - 1):+5.0f} %" for value in found)
        print(f"{name}  {run['sfl']:.2f}   {run['ls']:.3f}  {run['d32_mm']:6.3f} mm {breakage[name]:8.2f} 1/rev  {own}        {same}")
    print(f"one for all: breakage {common['breakage']:.1f} 1/rev, toughening {common['toughening']:.1f}")


if __name__ == "__main__":
    main()
