"""Units against their closed forms, and the material balance of a whole case."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import ContinuousSet
from pyomo.network import Arc
from scipy.special import gammainc

from flowsheet.registry import unit_type
from flowsheet.verify.rung import Outcome, Run
from flowsheet.verify.runs import ATOL_SHARE, simulated
from units.stream import Material

MATERIALS = {
    "excipient": Material("excipient", true_density=1550.0, bulk_density=330.0),
    "api": Material("api", true_density=1300.0, bulk_density=350.0),
}
TANKS, MEAN_TIME, FLOW = 3, 60.0, 20.0 / 3600.0
REDUCED_TIMES = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Times of the tracer step over the mean residence time."""


def tracer_response() -> tuple[float, ...]:
    """Return the step response of n equal tanks, ``P(n, n theta)`` (Levenspiel 1999, chapter 14)."""
    return tuple(float(gammainc(TANKS, TANKS * theta)) for theta in REDUCED_TIMES)


def tanks_in_series() -> Run:
    """Return what runs a tracer step through a blender of three tanks and reads the outlet over the step."""
    model = _empty_model(MEAN_TIME * REDUCED_TIMES[-1])
    model.source = unit_type("source").block(time=model.time, materials=MATERIALS, flow={"excipient": 0.9 * FLOW, "api": 0.1 * FLOW})
    model.unit = unit_type("continuous_blender").block(
        time=model.time,
        materials=MATERIALS,
        tanks=TANKS,
        mean_time=MEAN_TIME,
        reference_flow=FLOW,
        delay_cells=0,
        initial_mass=FLOW * MEAN_TIME,
        initial_composition={"excipient": 1.0},
    )
    model.sink = unit_type("sink").block(time=model.time, materials=MATERIALS)
    model.feed = Arc(source=model.source.outlet, destination=model.unit.inlet_1)
    model.product = Arc(source=model.unit.outlet, destination=model.sink.inlet)
    times = [0.0, *(MEAN_TIME * theta for theta in REDUCED_TIMES)]
    return simulated(model, times, lambda trajectory: trajectory["unit.outlet_fraction[api]"][1:] / 0.1)


FULL, EMPTY, DECAY, HOPPER_START = 0.020, 0.014, 0.8, 3.0
EMPTYING_TIMES = (20.0, 40.0, 60.0, 80.0, 100.0)


def hopper_mass() -> tuple[float, ...]:
    """Return the mass in a hopper whose screw turns once a second and whose feed factor is full - (full - empty) exp(-decay m)."""
    share = (FULL - EMPTY) / FULL
    return tuple(
        math.log((math.exp(DECAY * HOPPER_START) - share) * math.exp(-DECAY * FULL * time) + share) / DECAY for time in EMPTYING_TIMES
    )


def emptying_feeder() -> Run:
    """Return what runs a feeder in open loop without refills and reads the mass in its hopper."""
    model = _empty_model(EMPTYING_TIMES[-1])
    model.unit = unit_type("loss_in_weight_feeder").block(
        time=model.time,
        materials=MATERIALS,
        composition={"api": 1.0},
        setpoint=FULL - (FULL - EMPTY) * math.exp(-DECAY * HOPPER_START),  # one revolution per second
        feed_factor_full=FULL,
        feed_factor_empty=EMPTY,
        feed_factor_decay=DECAY,
        gain=0.0,
        initial_mass=HOPPER_START,
        refill_below=0.0,
        heel=1e-5,
    )
    model.sink = unit_type("sink").block(time=model.time, materials=MATERIALS)
    model.product = Arc(source=model.unit.outlet, destination=model.sink.inlet)
    return simulated(model, [0.0, *EMPTYING_TIMES], lambda trajectory: trajectory["unit.mass"][1:])


def _empty_model(end: float) -> Any:
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, end))
    return model


def line_balance() -> Run:
    """Return what runs the short line of ``line.toml`` and reads, for each component, what its balance leaves open over what passed."""
    from flowsheet.case_load import load_case
    from flowsheet.run import run_case

    def run(rtol: float) -> Outcome:
        overrides = [f"solver.rtol={rtol!r}", f"solver.atol={ATOL_SHARE * rtol!r}"]
        results = run_case(load_case(Path(__file__).parent / "line.toml", overrides))
        return Outcome(tuple(row.relative for row in results.balance))

    return run
