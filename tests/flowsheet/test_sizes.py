"""Size classes in case files, results and reports."""

from pathlib import Path

import numpy as np
import pytest

from flowsheet import load_case, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.problems import CaseErrors
from flowsheet.report.page import render
from flowsheet.sizes import size_rows, sizes_of_case
from flowsheet.tables import stream_flows

CASE = """
schema = 1
name = "two_sizes"
horizon = "1 min"
output.interval = "10 s"
sizes = { smallest = "5 um", largest = "2 mm", classes = 6 }

[materials.filler]
true_density = "1.55 g/mL"
bulk_density = "0.33 g/mL"
median_size = "100 um"
size_spread = 1.8

[materials.water]
true_density = "1 g/mL"
bulk_density = "1 g/mL"
moisture = true

[units.feed]
type = "source"
flow = { filler = "18 kg/h", water = "2 kg/h" }

[units.tank]
type = "delumper"
initial_mass = "50 g"
initial_composition = { filler = 1.0 }

[units.bin]
type = "sink"

[[streams]]
from = "feed.outlet"
to = "tank.inlet"

[[streams]]
from = "tank.outlet"
to = "bin.inlet"
"""


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    file = tmp_path / "case.toml"
    file.write_text(CASE)
    return file


def test_the_resolved_case_is_a_case_again(case_file: Path) -> None:
    case = load_case(case_file)
    assert case.sizes is not None
    assert (case.sizes.smallest, case.sizes.largest, case.sizes.classes) == (pytest.approx(5e-6), pytest.approx(2e-3), 6)
    assert case.materials["water"].moisture
    assert case_from_resolved(case.resolved).resolved == case.resolved
    assert sizes_of_case(case.resolved) == case.sizes


def test_overrides_reach_the_classes(case_file: Path) -> None:
    sizes = load_case(case_file, ["sizes.classes=9", "materials.filler.median_size=80 um"]).sizes
    assert sizes is not None
    assert sizes.classes == 9


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ('median_size = "100 um"\nsize_spread = 1.8\n', "", "materials.filler", "needs median_size and size_spread"),
        ('median_size = "100 um"', 'median_size = "1.5 mm"', "materials.filler.median_size", "lies outside the size classes"),
        ("size_spread = 1.8", "size_spread = 1.0", "materials.filler.size_spread", "below its bound"),
        ("size_spread = 1.8\n", "", "materials.filler.size_spread", "has to be above 1"),
        ('smallest = "5 um"', 'smallest = "3 mm"', "sizes.largest", "has to lie above smallest"),
        ("classes = 6", "classes = 1", "sizes.classes", "below its bound"),
        ('smallest = "5 um", ', "", "sizes.smallest", "has to be given"),
        ("moisture = true", 'moisture = "yes"', "materials.water.moisture", "expected true or false"),
        ("moisture = true", 'moisture = true\nmedian_size = "1 um"\nsize_spread = 2', "materials.water.median_size", "no particles"),
        ("materials.filler", "materials.size_1", "materials.size_1", "is the name of a size class"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, place: str, message: str) -> None:
    file = tmp_path / "case.toml"
    assert old in CASE
    file.write_text(CASE.replace(old, new))
    with pytest.raises(CaseErrors) as caught:
        load_case(file)
    assert any(problem.key == place and message in problem.message and problem.line for problem in caught.value.problems), caught.value


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("sizes.classes=0", "sizes.classes"),
        ("sizes.largest=1 mm", "materials.granules.median_size"),
        ("materials.granules.size_spread=1", "materials.granules.size_spread"),
    ],
)
def test_refused_sizes_are_told_once(override: str, key: str) -> None:
    """Units that need classes do not complain on top that there are none."""
    with pytest.raises(CaseErrors) as caught:
        load_case(Path(__file__).parents[2] / "cases" / "units" / "conical_mill", [override])
    assert [problem.key for problem in caught.value.problems] == [key]


def test_sizes_of_materials_without_classes_are_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text("\n".join(line for line in CASE.splitlines() if not line.startswith("sizes")))
    (warning,) = load_case(file).warnings
    assert (warning.key, warning.message) == ("materials.filler.median_size", "is of no use without size classes")


def test_results_and_report(case_file: Path) -> None:
    results = run_case(load_case(case_file))
    assert results.field("tank.outlet_flow").dimensions == ("carried",)
    assert results.field("tank.outlet_fraction").dimensions == ("component",)
    assert results.field("tank.outlet_share").dimensions == ("size_class",)
    assert {row.component for row in results.balance} == {"filler", "water"}
    assert all(row.closes for row in results.balance)
    assert set(stream_flows(results, results.streams[1])) == {"filler", "water"}
    first, second = size_rows(results)
    assert first.finer[[0, -1]] == pytest.approx([0.0, 1.0])
    assert np.all(np.diff(first.finer) >= 0)
    assert first.diameters["d50"] == pytest.approx(second.diameters["d50"], rel=1e-6), "water has no sizes"
    page = render(results)
    assert "Particle sizes" in page
    assert page.index("Particle sizes") < page.index("Material balance</h2>")
    assert "S1  feed.outlet" in page


def test_a_case_without_sizes_has_no_section_of_them(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text("\n".join(line for line in CASE.splitlines() if not line.startswith(("sizes", "median_size", "size_spread"))))
    results = run_case(load_case(file))
    assert size_rows(results) == []
    assert "Particle sizes" not in render(results)
    assert not [name for name in results.names if "size_" in name]
