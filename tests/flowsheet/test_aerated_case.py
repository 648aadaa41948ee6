"""The aerated fed-batch against closed forms of its last hours, when it changes slowly."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from flowsheet import run_case
from flowsheet.results import Results

CASE = Path(__file__).parents[2] / "cases" / "aerated_fed_batch"
HOUR, LITER = 3600.0, 1e-3
FEED, STRENGTH = 150e-3 * LITER / HOUR, 500.0
PRESSURE, WARM = 1.3e5, 303.15
OXYGEN_PER_GLUCOSE = (24 / 0.180156 - 0.49 * 4.2 / 0.02502) / 4
DIOXIDE_PER_GLUCOSE = 6 / 0.180156 - 0.49 / 0.02502
HENRY = 1.3e-5 * math.exp(1500.0 * (1 / WARM - 1 / 298.15))


@pytest.fixture(scope="module")
def results() -> Results:
    return run_case(CASE)


def end(results: Results, name: str) -> float:
    return float(results[f"fermenter.{name}"][-1])


def test_recipe_follows_the_ethanol(results: Results) -> None:
    assert [event.event for event in results.events] == ["begin_respire", "begin_begin_feed", "begin_hold_feed"]
    ethanol = results["fermenter.mass_concentration[overflow]"]
    start, full = results.events[1].time, results.events[2].time
    assert full - start == pytest.approx(10 * HOUR, abs=1e-3)
    assert 3.0 < ethanol.max() < 5.0
    assert ethanol[results.t > start + 600.0].max() < 0.06
    assert all(row.closes for row in results.balance)


def test_set_points_are_held(results: Results) -> None:
    late = results.t > 14 * HOUR
    assert results["fermenter.dissolved_oxygen"][late] == pytest.approx(0.3, abs=0.002)
    assert results["fermenter.temperature"] == pytest.approx(WARM, abs=0.3)
    assert results["fermenter.stirrer_speed"][-1] == pytest.approx(12.0, abs=0.05)
    assert results["fermenter.oxygen_share"].max() < 0.6


def test_what_is_fed_is_oxidized_and_transferred(results: Results) -> None:
    """OUR V = o_S F S_f, and OTR = OUR while dissolved oxygen stands."""
    taken = OXYGEN_PER_GLUCOSE * FEED * STRENGTH
    assert end(results, "oxygen_uptake_rate") * end(results, "volume") == pytest.approx(taken, rel=1e-3)
    assert end(results, "oxygen_transfer_rate") == pytest.approx(end(results, "oxygen_uptake_rate"), rel=1e-3)


def test_enrichment_is_what_the_transfer_needs(results: Results) -> None:
    """From k_La at 720 rpm: C* = 0.3 C_air + OUR/k_La, and the gas comes in richer by what it loses."""
    volume, speed = end(results, "volume"), end(results, "stirrer_speed")
    power = 10.0 * 1000.0 * speed**3 * 0.08**5 / volume
    velocity = 10 * LITER / 60 / (math.pi / 4 * 0.2**2)
    kla = 0.026 * power**0.4 * velocity**0.5
    assert end(results, "kla") == pytest.approx(kla, rel=1e-7)
    taken = OXYGEN_PER_GLUCOSE * FEED * STRENGTH
    share = 0.3 * 0.2095 + taken / volume / kla / (HENRY * PRESSURE)
    entering = PRESSURE * 10 * LITER / 60 / (8.31446261815324 * WARM)
    leaving = entering - taken + DIOXIDE_PER_GLUCOSE * FEED * STRENGTH
    assert end(results, "gas_share[oxygen]") == pytest.approx(share, rel=2e-3)
    assert end(results, "oxygen_share") == pytest.approx((share * leaving + taken) / entering, rel=2e-3)
    assert end(results, "gas_share[carbon_dioxide]") == pytest.approx(
        (4e-4 * entering + DIOXIDE_PER_GLUCOSE * FEED * STRENGTH) / leaving, rel=2e-3
    )


def test_jacket_takes_the_heat(results: Results) -> None:
    """UA (T - T_jacket) = heat of oxygen and stirrer, less what warms the feed from 25 degC."""
    taken = OXYGEN_PER_GLUCOSE * FEED * STRENGTH
    heat = 4.6e5 * taken + 10.0 * 1000.0 * end(results, "stirrer_speed") ** 3 * 0.08**5 - FEED * 4.17e6 * (WARM - 298.15)
    assert WARM - end(results, "jacket_temperature") == pytest.approx(heat / 15.0, rel=2e-3)


def test_all_oxygen_comes_from_the_gas(results: Results) -> None:
    row = next(row for row in results.balance if row.component == "oxygen")
    assert row.entered == pytest.approx(-row.reacted, rel=1e-3)
    assert np.all(results["fermenter.molarity[oxygen]"] > 0)
