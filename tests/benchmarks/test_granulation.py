"""The granulator against measured runs: what is fitted is met, what is predicted is as far off as the page says."""

from __future__ import annotations

import math

import pytest

from benchmarks.granulation import CALIBRATED, MIDDLE, PREDICTED, Granulation, measured, plan_law

RUNS = measured()


def test_the_middle_of_a_plan_is_the_mean_of_its_corners_in_logarithms() -> None:
    """Corners lie at the same ratios to either side; feed loads of 0.04 and 0.12 are not alike far from 0.08 in logarithms."""
    low, high = (math.log(load / MIDDLE[0]) for load in (0.04, 0.12))
    corners = dict(zip(CALIBRATED, (10.0, 40.0, 20.0, 30.0), strict=True))
    at = -low / (high - low)
    expected = 0.5 * sum((1 - at) * math.log(corners[a]) + at * math.log(corners[b]) for a, b in (("N13", "N15"), ("N14", "N16")))
    assert plan_law(RUNS, corners) == pytest.approx(math.exp(expected), rel=1e-12)


OWN = {"N13": 12.84, "N14": 37.0, "N15": 50.98, "N16": 20.19}
"""Breakage (1/rev) that the page tells for each run."""


@pytest.mark.parametrize("name", ["N13", *(pytest.param(name, marks=pytest.mark.slow) for name in CALIBRATED[1:])])
def test_runs_have_their_measured_size_with_their_own_breakage(name: str) -> None:
    assert Granulation(RUNS[name]).sauter_diameter(breakage=OWN[name]) == pytest.approx(RUNS[name]["d32_mm"], rel=3e-3)


@pytest.mark.slow
def test_the_middle_run_is_predicted_more_than_a_quarter_too_coarse() -> None:
    found = Granulation(RUNS[PREDICTED]).sauter_diameter(breakage=plan_law(RUNS, OWN))
    assert found / RUNS[PREDICTED]["d32_mm"] == pytest.approx(1.28, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CALIBRATED, PREDICTED])
def test_one_breakage_for_all_is_within_forty_percent(name: str) -> None:
    assert Granulation(RUNS[name]).sauter_diameter() == pytest.approx(RUNS[name]["d32_mm"], rel=0.4)
