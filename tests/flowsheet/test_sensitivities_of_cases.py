"""Derivatives of whole flowsheets, refills and switched controllers included, against central differences of tight runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowsheet import load_case
from flowsheet.run import build_flowsheet
from solvers import DaeSystem, Method, lower, sensitivities, simulate

CASE = Path(__file__).parents[2] / "cases" / "small_line"
TIMES = np.array([60.0, 600.0, 1230.0, 1800.0])
OUTPUTS = ("hopper.mass[1,api]", "blender.mass[3,api]", "feeder_api.mass", "feeder_excipient.mass", "feeder_api.settle_end")
PARAMETERS = {
    "blender.mean_time": 55.0,
    "blender.speed": 100 / 60,
    "feeder_api.refill_below": 0.5,
    "feeder_api.settle_time": 10.0,
    "feeder_api.setpoint": 2 / 3600,
    "feeder_excipient.initial_mass": 3.6,
    "hopper.initial_composition[api]": 0.1,
}


@pytest.fixture(scope="module")
def line() -> tuple[DaeSystem, dict[str, Any]]:
    case = load_case(CASE)
    return lower(build_flowsheet(case).model), {spec.variable: spec.profile for spec in case.profiles}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_line_against_central_differences(line: tuple[DaeSystem, dict[str, Any]], name: str) -> None:
    system, profiles = line
    result = sensitivities(system, name, OUTPUTS, TIMES, inputs=profiles, rtol=1e-11, atol=1e-13)
    assert len(result.trajectory.events) >= 18

    def run(change: float) -> np.ndarray:
        given = profiles | {name: PARAMETERS[name] * (1 + change)}
        found = simulate(system, TIMES, inputs=given, rtol=1e-12, atol=1e-14)
        return np.array([found[output] for output in OUTPUTS]).T

    assert run(0.0) == pytest.approx(np.array([result.trajectory[output] for output in OUTPUTS]).T, rel=1e-8)
    steps = (1e-4, 5e-5)
    coarse, fine = ((run(h) - run(-h)) / (2 * h * PARAMETERS[name]) for h in steps)
    differences = (4 * fine - coarse) / 3  # Richardson
    # a difference cannot tell a derivative below what the runs' own errors make of it
    values = np.abs([result.trajectory[output] for output in OUTPUTS]).T / PARAMETERS[name]
    noise = 1e-11 * values / steps[1]
    assert (np.abs(result.array[:, :, 0] - differences) <= 1e-6 * np.abs(differences).max(axis=0) + noise).all()
    assert (np.abs(result.array[:, :, 0]) > 1e-3 * values).any()  # which such differences tell to 1e-6


def test_both_methods_agree_on_the_line(line: tuple[DaeSystem, dict[str, Any]]) -> None:
    system, profiles = line
    times, names = [1500.0], list(PARAMETERS)
    options = {"inputs": profiles, "rtol": 1e-9, "atol": 1e-11}
    forward = sensitivities(system, names, OUTPUTS[:2], times, **options).array
    adjoint = sensitivities(system, names, OUTPUTS[:2], times, method=Method.ADJOINT, **options).array
    magnitude = np.abs(list(PARAMETERS.values()))
    assert adjoint * magnitude == pytest.approx(forward * magnitude, rel=1e-6, abs=1e-9 * np.abs(forward * magnitude).max())
