"""The wet granulation line: sizes and moisture from feeders to press, with half of its classes and until the disturbance is over."""

from pathlib import Path

import numpy as np
import pytest

from flowsheet import load_case, run_case
from flowsheet.report.page import render
from flowsheet.results import Results
from flowsheet.sizes import size_rows, sizes_of_case

CASE = Path(__file__).parents[2] / "cases" / "wet_granulation_line"
SOLIDS = ("excipient", "api", "lubricant")


@pytest.fixture(scope="module")
def line() -> Results:
    return run_case(load_case(CASE, ["sizes.classes=12", "horizon=40 min", "output.interval=30 s"]))


def test_classes_are_the_solids_in_every_stream(line: Results) -> None:
    sizes = sizes_of_case(line.case)
    assert sizes is not None
    for stream in line.streams:
        by_class = sum(line[f"{stream.source}_flow[{size}]"] for size in sizes.names)
        by_component = sum(line[f"{stream.source}_flow[{name}]"] for name in SOLIDS)
        assert by_class == pytest.approx(by_component, rel=1e-9), stream.source
    assert all(row.closes for row in line.balance)
    assert {row.component for row in line.balance} == {*SOLIDS, "water"}


def test_the_mill_cuts_at_its_aperture_and_the_dryer_changes_no_sizes(line: Results) -> None:
    rows = {row.stream.source: row for row in size_rows(line)}
    sizes = sizes_of_case(line.case)
    assert sizes is not None
    cut = int(np.argmin(np.abs(np.array(sizes.edges) - 1e-3)))
    assert sizes.edges[cut] == pytest.approx(1e-3)
    assert rows["mill.outlet"].finer[cut] == pytest.approx(1.0, abs=1e-9)
    assert rows["granulator.outlet"].finer[cut] < 0.8
    assert rows["preblender.outlet"].finer[cut] == pytest.approx(1.0, abs=1e-3)
    assert rows["dryer.outlet"].finer == pytest.approx(rows["granulator.outlet"].finer, abs=1e-2)
    # the lubricant is fine, and one part in a hundred
    assert rows["blender.outlet"].finer - rows["mill.outlet"].finer == pytest.approx(
        0.01 * (rows["feeder_lubricant.outlet"].finer - rows["mill.outlet"].finer), abs=1e-3
    )
    assert rows["frame.outlet"].finer == pytest.approx(rows["blender.outlet"].finer, abs=1e-2)
    assert rows["frame.outlet"].diameters["d50"][-1] < 0.8 * rows["granulator.outlet"].diameters["d50"][-1]
    assert rows["granulator.outlet"].diameters["d50"][-1] > 5 * rows["preblender.outlet"].diameters["d50"][-1]


def test_the_liquid_pulse_comes_through_the_dryer_and_passes(line: Results) -> None:
    moisture, t = line["dryer.outlet_moisture"], line.t / 60
    before, after = np.interp([19.5, 40.0], t, moisture)
    assert after == pytest.approx(before, rel=1e-2)
    peak = t[np.argmax(moisture * (t > 10))]
    assert 25.0 < peak < 28.0
    assert 1.2 * before < moisture[t > 10].max() < 2 * before
    assert line["press.assay[api]"].min() > 0.094


def test_the_report_tells_sizes_through_the_line(line: Results) -> None:
    page = render(line)
    assert page.count("Diameters with 10, 50 and 90 % below") >= 3
    for stream in line.streams:
        assert f"{stream.stream}  {stream.source}" in page
