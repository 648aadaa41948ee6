"""A dryer hands powder on and vapor out: what passes it is the powder."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowsheet import load_case
from flowsheet.trace import Trace, trace_case
from flowsheet.trace.text import trace_text

CASE = Path(__file__).parents[3] / "cases" / "units" / "fluid_bed_dryer" / "case.toml"
EXTRA = """
[[profiles]]
variable = "dryer.air_temperature"
times = ["0 min", "10 min", "15 min"]
values = ["60 degC", "50 degC", "60 degC"]
label = "colder air"

[trace]
lots = ["water", "granules"]

[[trace.diversions]]
watch = "dryer.outlet_moisture"
upper = "1 %"
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    file = tmp_path_factory.mktemp("dryer") / "case.toml"
    file.write_text(CASE.read_text() + EXTRA)
    return trace_case(load_case(file))


def test_powder_is_diverted_and_not_vapor(trace: Trace) -> None:
    """All of it is too wet: what comes out of the dryer is what the bin gets."""
    (diversion,) = trace.diversions
    into_bin = sum(place.mass[-1] for lot in trace.lots for place in lot.places if place.place == "bin")
    assert diversion.result.diverted == pytest.approx(into_bin, rel=1e-6)


def test_vapor_is_no_product(trace: Trace) -> None:
    water = next(lot for lot in trace.lots if lot.name == "water")
    held, vapor, product = water.places
    assert [place.place for place in water.places] == ["dryer", "dryer", "bin"]
    assert (held.product, vapor.product) == (None, None)
    assert vapor.mass[-1] > 2
    assert product.product is not None
    assert water.left_by_exits == pytest.approx(water.balance.left, rel=1e-9)
    (colder,) = trace.disturbances
    (vapor_less,) = [part for part in colder.leaving if part.place == "dryer"]
    assert vapor_less.product is None
    assert vapor_less.excess < 0
    assert any(line.startswith("  dryer: ") and "product" not in line for line in trace_text(trace))
