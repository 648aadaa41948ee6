"""Two lots of one drug: the case lot_change against its closed form, and what it conserves."""

from pathlib import Path

import numpy as np
import pytest

from flowsheet import load_case, run_case
from flowsheet.results import Results

CASE = Path(__file__).parents[2] / "cases" / "lot_change"
MINUTE, KG_H = 60.0, 1 / 3600
KEPT = (0.5 / 0.9) ** (108 / (108 - 2))
"""Share of the old lot's share in the feeder's hopper that a refill leaves."""


@pytest.fixture(scope="module")
def results() -> Results:
    return run_case(load_case(CASE, strict=True))


def refills(results: Results) -> np.ndarray:
    return np.array([event.time for event in results.events if event.event == "refill_stop"])


def test_each_refill_keeps_its_share_of_the_old_lot(results: Results) -> None:
    done = refills(results)
    assert len(done) == 6
    assert done == pytest.approx(9 * MINUTE + 400 / 106 * 3.6 + np.arange(6) * (0.4 / (2 * KG_H) + 400 / 106 * 3.6), rel=1e-6)
    total = results["feeder.holdup[old]"] + results["feeder.holdup[new]"]
    for number, time in enumerate(done, start=1):
        after = np.searchsorted(results.t, time)
        assert results["feeder.holdup[old]"][after] / total[after] == pytest.approx(KEPT**number, rel=1e-6)


def test_tablets_tell_the_lots_apart(results: Results) -> None:
    """Before the next refill blender and hopper have passed on what the feeder holds."""
    before = np.searchsorted(results.t, refills(results)[1:] - 20.0)
    for number, point in enumerate(before, start=1):
        assert results["press.content[old]"][point] == pytest.approx(0.1 * KEPT**number, rel=2e-3)
        assert results["press.content[new]"][point] == pytest.approx(0.1 * (1 - KEPT**number), rel=2e-3)
    new_share = results["press.content[new]"][before] / results["press.assay[api]"][before]
    assert new_share == pytest.approx([0.45, 0.70, 0.83, 0.91, 0.95], abs=6e-3), "as the case says"


def test_the_assay_counts_both(results: Results) -> None:
    assert results["press.assay[api]"] == pytest.approx(0.1, rel=1e-5)
    assert results["press.assay[api]"] == pytest.approx(results["press.content[old]"] + results["press.content[new]"], rel=1e-12)
    assert all(row.met for row in results.specifications)


def test_what_was_refilled_of_the_new_lot_is_in_the_line_or_in_tablets(results: Results) -> None:
    assert all(row.closes for row in results.balance)
    (row,) = (row for row in results.balance if row.component == "new")
    # (0.9 - 0.5) kg and what was delivered meanwhile, six times
    assert row.entered == pytest.approx(6 * 0.4 * 108 / 106, rel=1e-8)
    held = sum(results[f"{unit}.holdup[new]"][-1] for unit in ("feeder", "blender", "hopper"))
    assert row.left + held == pytest.approx(row.entered, rel=1e-8)
