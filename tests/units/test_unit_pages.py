"""The documentation of units says what the code says."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "units"


@pytest.fixture(scope="module")
def refresh():
    spec = importlib.util.spec_from_file_location("docs_units_refresh", FOLDER / "refresh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


POWDER = ["source", "sink", "feeder", "blender", "press", "mixer", "splitter", "diverter"]
LINE = ["conical_mill", "fluid_bed_dryer", "delumper", "dispersion_blender", "chute", "hopper", "feed_frame"]
LIQUID = ["liquid_source", "liquid_sink", "bioreactor", "aeration", "overflow", "penicillin", "cho_batch", "cho_fed_batch"]
SIGNALS = ["pid", "sensor", "ratio"]
GRANULES = ["twin_screw_granulator"]
TABLETS = ["dissolution", "weibull_dissolution", "tablet_quality"]


@pytest.mark.parametrize("name", [*POWDER, *LINE, *LIQUID, *SIGNALS, *GRANULES, *TABLETS])
def test_parameter_tables_are_up_to_date(refresh, name):
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert refresh.page_with_table(text, refresh.parameters_of(name)) == text, "run docs/units/refresh.py"


def test_every_page_is_listed():
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    for page in FOLDER.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in listed
