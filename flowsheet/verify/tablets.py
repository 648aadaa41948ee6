"""Dissolution against its closed forms, and acceptance values of content uniformity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.dae import ContinuousSet

from flowsheet.registry import unit_type
from flowsheet.uniformity import STAGE_1, STAGE_2, acceptance_value
from flowsheet.verify.rung import Outcome, Run
from flowsheet.verify.runs import simulated

RADIUS, FILM, DIFFUSIVITY, SOLUBILITY, DENSITY, DOSE = 20e-6, 30e-6, 7e-10, 0.2, 1300.0, 25e-6
REDUCED_TIMES = (0.25, 0.5, 0.75)
"""Times over that at which the particles are gone in much liquid."""


def shares_in_sink(*, film_follows: bool) -> tuple[float, ...]:
    """Return what has dissolved of equal particles: exponent 3 with a constant film, 3/2 with one as thick as the radius."""
    return tuple(1 - (1 - time) ** (1.5 if film_follows else 3.0) for time in REDUCED_TIMES)


def shares_in_just_enough(*, film_follows: bool) -> tuple[float, ...]:
    """Return the same in a medium that the dose just fills: the driving force is in proportion to the mass that is left."""
    return tuple(1 - (1 + time / 2 if film_follows else (1 + 2 * time) ** 0.5) ** -3 for time in REDUCED_TIMES)


def dissolving_particles(*, film_follows: bool, sink: bool) -> Run:
    """Return what dissolves equal particles that are free from the start and reads the share in solution."""
    constant = DIFFUSIVITY * SOLUBILITY / DENSITY
    end = RADIUS**2 / (2 * constant) if film_follows else RADIUS * FILM / constant
    model: Any = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, end))
    model.unit = unit_type("dissolution_tester").block(
        time=model.time,
        materials={},
        dose=DOSE,
        solubility=SOLUBILITY,
        true_density=DENSITY,
        diffusivity=DIFFUSIVITY,
        volume=1e12 if sink else DOSE / SOLUBILITY,
        median_size=2 * RADIUS,
        size_spread=1.0,
        classes=1,
        film_thickness=FILM,
        film_follows=int(film_follows),
        layers=0,
    )
    times = [0.0, *(end * time for time in REDUCED_TIMES)]
    return simulated(model, times, lambda trajectory: trajectory["unit.dissolved_share"][1:])


TEN = (98.2, 99.1, 100.4, 101.0, 99.7, 100.9, 98.8, 100.2, 99.5, 101.2)
SCATTERED = (88.0, 112.0, 95.0, 107.0, 91.0, 104.0, 99.0, 110.0, 86.0, 101.0)
ACCEPTANCE_VALUES = {
    "ten good": 2.423881,
    "ten scattered": 21.939553,
    "mean 105.9, s 5, n = 10": 16.4,
    "the same, T = 104": 1.9 + 12.0,
    "mean 96.5, s 5, n = 30": 12.0,
}


def acceptance_values() -> Run:
    """Return what computes acceptance values of samples with known means and deviations."""
    samples = (
        (TEN, 100.0),
        (SCATTERED, 100.0),
        (_made(105.9, STAGE_1), 100.0),
        (_made(105.9, STAGE_1), 104.0),
        (_made(96.5, STAGE_2), 100.0),
    )

    def run(rtol: float) -> Outcome:
        return Outcome(tuple(float(acceptance_value(contents, target).value) for contents, target in samples))

    return run


def _made(mean: float, number: int) -> np.ndarray:
    """Return contents with this mean and a standard deviation of 5."""
    steps = np.linspace(-1.0, 1.0, number)
    return mean + 5.0 * steps / steps.std(ddof=1)
