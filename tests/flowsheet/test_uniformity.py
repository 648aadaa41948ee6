"""USP <905>: acceptance values, both stages, virtual samples and the probability to pass; and the way through case, results and report."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from flowsheet import load_case, open_results, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.cli import main
from flowsheet.problems import CaseErrors
from flowsheet.report.page import render
from flowsheet.results_layout import case_digest
from flowsheet.tables import uniformity_row
from flowsheet.uniformity import acceptance_value, pass_probabilities, spread_factors, take_sample
from solvers import Status
from solvers.errors import UsageError

ROOT = Path(__file__).parents[2]
with (ROOT / "tests" / "data" / "usp905_AV_vectors.csv").open() as file:
    VECTORS = list(csv.DictReader(file))


@pytest.mark.parametrize("row", VECTORS, ids=[f"{row['set']} T {row['T_pct']}" for row in VECTORS])
def test_reference_vectors(row: dict[str, str]) -> None:
    found = acceptance_value([float(x) for x in row["values"].split()], float(row["T_pct"]))
    for name, value in (("mean", found.mean), ("s", found.deviation), ("M", found.reference), ("AV", found.value)):
        assert value == pytest.approx(float(row[name]), abs=6e-7)
    assert bool(found.passes_stage_1) == (row["pass_L1"] == "True")


def units(mean: float, deviation: float, number: int) -> np.ndarray:
    """Return contents of exactly that mean and standard deviation (n - 1)."""
    steps = np.linspace(-1.0, 1.0, number)
    return mean + deviation * steps / steps.std(ddof=1)


def test_example_of_the_pharmacopeias_own_questions() -> None:
    """usp.org, FAQ on <905>, question 2: mean 105.9, s 5.0, ten units: 16.4; single units from 76.125 to 126.875; thirty fail by AV."""
    found = acceptance_value(units(105.9, 5.0, 10))
    assert found.value == pytest.approx(16.4, abs=1e-9)
    assert found.reference == 101.5
    assert (0.75 * found.reference, 1.25 * found.reference) == (76.125, 126.875)
    thirty = acceptance_value(units(105.9, 6.0, 30))  # the same 16.4 with k = 2.0
    assert thirty.value == pytest.approx(16.4, abs=1e-9)
    assert 76.125 < thirty.lowest < thirty.highest < 126.875
    assert not thirty.passes_stage_2


@pytest.mark.parametrize(
    ("mean", "target", "reference"),
    [
        (97.0, 100.0, 98.5),
        (99.0, 100.0, 99.0),
        (103.0, 100.0, 101.5),
        (103.0, 101.5, 101.5),
        (103.0, 104.0, 103.0),
        (105.0, 104.0, 104.0),
        (97.0, 104.0, 98.5),
        (103.0, 95.0, 101.5),
    ],
)
def test_reference_value_follows_the_target_above_101_5(mean: float, target: float, reference: float) -> None:
    found = acceptance_value(units(mean, 3.0, 10), target)
    assert found.reference == pytest.approx(reference)
    assert found.value == pytest.approx(abs(reference - mean) + 2.4 * 3.0)


def test_twenty_five_limits_units_and_not_the_acceptance_value() -> None:
    """AV of 20 fails at stage 2 as well; one unit of 74 fails it with an AV below 15."""
    assert not acceptance_value(units(100.0, 10.0, 30)).passes_stage_2
    contents = np.full(30, 100.0)
    assert acceptance_value(contents).passes_stage_2
    contents[7] = 74.0
    found = acceptance_value(contents)
    assert found.value < 15.0
    assert not found.passes_stage_2
    contents[7] = 127.0  # M = 100.9
    assert not acceptance_value(contents).passes_stage_2
    assert acceptance_value(contents).passes_stage_1  # what only stage 2 asks for


def test_the_limit_itself_passes_and_what_is_no_number_does_not() -> None:
    at_limit = acceptance_value(np.full(10, 98.5 - 15.0))
    assert at_limit.value == 15.0
    assert at_limit.passes_stage_1
    broken = acceptance_value([math.nan] * 30)
    assert not broken.passes_stage_1
    assert not broken.passes_stage_2


@pytest.mark.parametrize("number", [0, 1, 9, 20, 31])
def test_other_numbers_of_units_are_refused(number: int) -> None:
    with pytest.raises(UsageError, match=f"10 or 30 units .got {number}"):
        acceptance_value(np.full(number, 100.0))
    with pytest.raises(UsageError, match="target"):
        acceptance_value(np.full(10, 100.0), math.nan)


@given(contents=st.lists(st.floats(50.0, 150.0), min_size=30, max_size=30), target=st.floats(95.0, 105.0), seed=st.integers(0, 9))
def test_laws(contents: list[float], target: float, seed: int) -> None:
    """Order does not matter; many tests at once are the same as one by one; s is what it is."""
    both = acceptance_value([contents, contents[::-1]], target)
    assert both.value[0] == pytest.approx(both.value[1], rel=1e-9, abs=1e-9)
    alone = acceptance_value(np.random.default_rng(seed).permutation(contents), target)
    assert alone.value == pytest.approx(both.value[0], rel=1e-9, abs=1e-9)
    assert alone.deviation == pytest.approx(float(np.std(contents, ddof=1)), rel=1e-9, abs=1e-9)
    assert alone.value >= 2.0 * alone.deviation - 1e-9
    assert 98.5 <= alone.reference <= max(101.5, target)


def test_factors_have_the_stated_mean_and_deviation() -> None:
    factors = spread_factors(np.random.default_rng(3), (0.3, 0.4), (400_000,))
    expected = math.sqrt((1 + 0.3**2) * (1 + 0.4**2) - 1)  # independent causes
    assert factors.min() > 0
    assert factors.mean() == pytest.approx(1.0, abs=4 * expected / math.sqrt(400_000))
    assert factors.std() == pytest.approx(expected, rel=0.01)


def test_a_sample_is_spread_over_the_window_and_follows_the_mean() -> None:
    t, content = np.array([0.0, 100.0]), np.array([90.0, 110.0])
    sample = take_sample(t, content, (20.0, 60.0), 40, (1e-9,), seed=5)
    assert sorted(sample.times) == pytest.approx(20.5 + np.arange(40))
    assert sample.contents == pytest.approx(90.0 + 0.2 * sample.times, rel=1e-7)
    again, other = (take_sample(t, content, (20.0, 60.0), 40, (0.02,), seed=seed) for seed in (5, 6))
    assert np.array_equal(again.times, sample.times)
    assert not np.array_equal(other.times, sample.times)


@pytest.mark.parametrize("deviation", [0.05, 0.0625, 0.075])
def test_probability_of_stage_1_is_that_of_the_chi_squared_distribution(deviation: float) -> None:
    """At a mean of 100 % bias hardly ever enters: P(2.4 s <= 15) = P(chi2_9 <= 9 (6.25/sigma)^2), corrected by quadrature over the mean."""
    t, content = np.array([0.0, 1.0]), np.array([100.0, 100.0])
    first, either = pass_probabilities(t, content, (0.0, 1.0), (deviation,), 100.0, seed=1)
    sigma = 100 * deviation
    means = 100 + sigma / math.sqrt(10) * np.linspace(-6, 6, 4001)
    slack = np.maximum(15.0 - np.abs(np.clip(means, 98.5, 101.5) - means), 0.0)
    weight = norm.pdf((means - 100) / sigma * math.sqrt(10))
    expected = float(np.sum(weight * chi2.cdf(9 * (slack / 2.4 / sigma) ** 2, 9)) / np.sum(weight))
    assert first == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 10_000) + 0.006)  # and skewness of the factors
    assert first <= either


# --- cases ------------------------------------------------------------------------------------------------------------

CASE = """schema = 1
name = "tablets"
horizon = "10 min"
output.interval = "5 s"
materials.api = { true_density = "1.3 g/mL", bulk_density = "0.35 g/mL" }
materials.filler = { true_density = "1.5 g/mL", bulk_density = "0.35 g/mL" }
streams = [{ from = "feed.outlet", to = "hopper.inlet" }, { from = "hopper.outlet", to = "press.inlet" }]
signals = [{ from = "press.draw", to = "hopper.draw" }]

[units.feed]
type = "source"
flow = { api = "2 kg/h", filler = "18 kg/h" }

[units.hopper]
type = "hopper"
cells = 1
initial_mass = "0.4 kg"
initial_composition = { api = 0.1, filler = 0.9 }

[units.press]
type = "tablet_press"
thickness = "3 mm"

[[uniformity]]
assay = "press.assay[api]"
mass = "press.tablet_mass"
label_claim = "25 mg"
within_blend_rsd = "2 %"
seed = 7
start = "1 min"
"""


def written(tmp_path: Path, *edits: tuple[str, str]) -> Path:
    text = CASE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "case.toml").write_text(text)
    return tmp_path / "case.toml"


MISTAKES = {
    "no spread": (('within_blend_rsd = "2 %"\n', ""), "uniformity[0].within_blend_rsd: has to be given"),
    "a spread of zero": (('"2 %"', "0.0"), "within_blend_rsd: below its bound"),
    "a spread without bounds": (('"2 %"', '"60 %"'), "within_blend_rsd: above its bound"),
    "unknown variable": (("press.assay[api]", "press.assai[api]"), "did you mean press.assay[api]?"),
    "assay without component": (("press.assay[api]", "press.assay"), "name one of press.assay[api]"),
    "mass for assay": (("press.assay[api]", "press.tablet_mass"), "press.tablet_mass is in kg; allowed: a mass fraction"),
    "assay for mass": (('mass = "press.tablet_mass"', 'mass = "press.assay[api]"'), "is in a plain number; allowed: a mass in kg"),
    "no label claim": (('label_claim = "25 mg"\n', ""), "label_claim: has to be given"),
    "label claim without unit": (('"25 mg"', "25"), "the unit is missing"),
    "too few tablets": (("seed = 7", "seed = 7\ntablets = 10"), "tablets: below its bound (got 10)"),
    "half a seed": (("seed = 7", "seed = 0.5"), "expected a whole number"),
    "after the run": (('start = "1 min"', 'end = "11 min"'), "the run ends before (660 s > 600 s)"),
    "window of no length": (('start = "1 min"', 'start = "10 min"'), "no tablet is made between start and end"),
    "typo in a key": (("seed = 7", "sead = 7"), "did you mean seed?"),
    "single brackets": (("[[uniformity]]", "[uniformity]"), "[[uniformity]] in double brackets"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_with_their_place(tmp_path: Path, name: str) -> None:
    edit, message = MISTAKES[name]
    with pytest.raises(CaseErrors) as caught:
        load_case(written(tmp_path, edit))
    (problem,) = caught.value.problems
    assert message in str(problem)
    assert problem.line >= 19


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tablets")
    run_case(written(folder), folder / "out")
    return open_results(folder / "out"), folder / "out"


def test_what_is_run_is_what_is_written(run: Any) -> None:
    results, folder = run
    (row,) = results.uniformity
    assert (row.seed, row.start, row.end, row.label_claim, row.within_blend_rsd, row.other_rsd) == (7, 60.0, 600.0, 25e-6, 0.02, 0.0)
    assert results.case["uniformity"][0]["seed"] == 7
    assert len(row.contents) == 30
    content = results["press.assay[api]"] * results["press.tablet_mass"]
    assert repr(uniformity_row(results.t, content, results.case["uniformity"][0])) == repr(row)
    ten, thirty = (acceptance_value(row.contents[:number], row.target) for number in (10, 30))
    assert (row.acceptance_value_1, row.acceptance_value_2) == (ten.value, thirty.value)
    assert row.mean_2 == pytest.approx(100 * content[-1] / 25e-6, rel=4 * 0.02 / math.sqrt(30))
    assert row.deviation_2 / row.mean_2 == pytest.approx(0.02, rel=0.5)
    assert row.passes
    page = (folder / "report.html").read_text()
    assert "Passes at stage 1" in page
    assert "seed 7" in page
    assert "Expected to pass" in page


def test_the_same_case_gives_the_same_bytes_and_another_seed_another_sample(run: Any, tmp_path: Path) -> None:
    results, folder = run
    again = case_from_resolved(results.case)
    assert case_digest(again.resolved) == case_digest(results.case)
    run_case(again, tmp_path / "again")
    assert (tmp_path / "again" / "results.h5").read_bytes() == (folder / "results.h5").read_bytes()
    other = run_case(written(tmp_path, ("seed = 7", "seed = 8")))
    assert other.uniformity[0].contents != results.uniformity[0].contents


def test_a_failing_sample_is_told_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tablets of twice the claim: both stages fail, by word and by number."""
    file = written(tmp_path, ('"25 mg"', '"12 mg"'))
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 0
    assert "Content uniformity: FAILS" in capsys.readouterr().out
    assert "✗ FAILS" in (tmp_path / "out" / "report.html").read_text()
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--force", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["uniformity"]
    assert (told["passes"], told["pass_probability"]) == (False, 0.0)
    assert told["acceptance_value_1"] > 15


def test_an_incomplete_run_is_not_sampled(make_results: Any) -> None:
    entry = {
        **{"assay": "press.assay[api]", "mass": "feeder_api.mass", "label_claim": {"value": 0.1, "unit": "kg"}, "label": "Content"},
        **{"start": {"value": 0.0, "unit": "s"}, "end": {"value": 600.0, "unit": "s"}},
    }
    stopped = make_results(end=300.0, status=Status.INCOMPLETE, stopped_because="no step")
    stopped.case["uniformity"] = [entry]
    page = render(stopped)
    assert "Not sampled" in page
    assert "Content: not sampled. The run stopped at" in page
    assert "Passes at stage" not in page


def test_a_content_that_is_no_number_fails_and_is_drawn(make_results: Any) -> None:
    entry = {
        **{"assay": "press.assay[api]", "mass": "feeder_api.mass", "label_claim": 0.1, "label": "Content", "target": 1.0, "seed": 1},
        **{"within_blend_rsd": 0.02, "other_rsd": 0.0, "tablets": 30, "start": 0.0, "end": 600.0},
    }
    results = make_results()
    row = uniformity_row(results.t, np.full_like(results.t, math.nan), entry)
    assert not row.passes
    entry["end"] = {"value": 600.0, "unit": "s"}
    results.case["uniformity"] = [entry]
    assert "✗ FAILS" in render(replace(results, uniformity=(row,)))


def test_a_case_without_tests_has_no_section(make_results: Any) -> None:
    assert "Content uniformity" not in render(make_results())


def test_the_case_of_the_tablets_says_what_happens() -> None:
    """The disturbance of two minutes is in the mean of the tablets made; harder tablets disintegrate later."""
    results = run_case(ROOT / "cases" / "tablet_quality", overrides=["output.interval=10 s"])
    t, at = results.t, {minute: int(np.searchsorted(results.t, 60 * minute)) for minute in (19, 22, 39, 59)}
    assert results.status is Status.COMPLETE
    assert t[-1] == 3600.0
    share = results["tests.content_share"]
    assert share[at[22]] > 1.15 * share[at[19]]
    for name in ("hardness", "disintegration_time"):
        assert results[f"tests.{name}"][at[59]] > 1.05 * results[f"tests.{name}"][at[39]]
    assert results["tests.hardness"] == pytest.approx(results["press.break_force"], rel=1e-9)
    assert results["tests.drug_content"] == pytest.approx(results["press.assay[api]"] * results["press.tablet_mass"], rel=1e-12)
    assert results.uniformity[0].passes


def test_the_case_of_a_dissolution_test_meets_q() -> None:
    results = run_case(
        ROOT / "cases" / "dissolution", overrides=["output.interval=60 s", "units.vessel.layers=3", "units.vessel.classes=6"]
    )
    (row,) = results.specifications
    assert row.after == 1800.0
    assert row.met
    assert row.minimum == pytest.approx(float(np.interp(1800.0, results.t, results["vessel.dissolved_share"])), rel=1e-12)
    assert results["vessel.dissolved_share"][0] == 0.0
