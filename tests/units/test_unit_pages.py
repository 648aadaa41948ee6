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
LIQUID = ["liquid_source", "liquid_sink", "bioreactor", "aeration", "overflow", "penicillin", "cho_batch", "cho_fed_batch"]
SIGNALS = ["pid", "sensor", "ratio"]
TABLETS = ["dissolution", "weibull_dissolution", "tablet_quality"]


@pytest.mark.parametrize("name", [*POWDER, *LIQUID, *SIGNALS, *TABLETS])
def test_parameter_tables_are_up_to_date(refresh, name):
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert refresh.page_with_table(text, refresh.parameters_of(name)) == text, "run docs/units/refresh.py"


def test_every_page_is_listed_and_every_picture_is_there():
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    for page in FOLDER.glob("*.md"):
        if page.name != "README.md":
            assert f"({page.name})" in listed
        for part in page.read_text(encoding="utf-8").split("](")[1:]:
            target, _, anchor = part.split(")")[0].partition("#")
            assert (FOLDER / target).exists(), part
            headings = (
                [
                    line.lstrip("# ").lower().replace(" ", "-")
                    for line in (FOLDER / target).read_text("utf-8").splitlines()
                    if line[:1] == "#"
                ]
                if anchor
                else [""]
            )
            assert anchor in headings, part
