from __future__ import annotations

import base64
import re
import xml.etree.ElementTree
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from flowsheet.report import write_report
from flowsheet.report.drawing import DrawnStream, DrawnUnit, flowsheet_svg
from flowsheet.report.layout import arrange
from flowsheet.report.page import render
from flowsheet.report.plots import apart, thin
from flowsheet.report.view import View
from flowsheet.results import StreamRow, UnitRow
from flowsheet.results_write import save_results
from flowsheet.tables import balance_row, specification_row
from solvers import EventRecord, Status
from solvers.errors import OutputError

VOID = {"meta", "img", "br", "link", "input"}
SELF_CLOSED = {"path", "rect", "circle"}
SECTIONS = ("flowsheet", "quality", "streams", "balance", "units", "events", "solver", "case", "provenance")


class Page(HTMLParser):
    """Checks that tags are closed in order and gathers texts, ids, images and links."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.images: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.add(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.images += [found["src"]] if tag == "img" else []
        self.links += [found["href"]] if "href" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in SELF_CLOSED

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words += data


def test_the_page_is_whole_and_loads_nothing(make_results):
    html = render(make_results())
    page = Page(html)
    assert set(SECTIONS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.links == [f"#{name}" for name in SECTIONS]
    assert page.images
    assert all(image.startswith("data:image/svg+xml;base64,") for image in page.images)
    assert not re.search(r"https?:|//[a-z]|url\((?!#)|@import|<script|<iframe|<link", html)
    assert len(html) < 3_000_000
    for image in page.images:
        svg = base64.b64decode(image.partition(",")[2]).decode()
        xml.etree.ElementTree.fromstring(svg)
        assert not re.search(r"(?:href|src)=\"(?!#|data:)", svg)


def test_the_page_says_what_matters(make_results):
    words = Page(render(make_results())).words
    for said in (
        "✓ Complete",
        "✓ Closes",
        "1 min 40 s out of specification",
        "17 % of the time",
        "✗ out of specification once, 1 min 40 s in all",
        "limits 9.5 to 11 %",
        "S3  blender.outlet → press.inlet",
        "✓ The balance closes",
        "refill start",
        "1\u202f234",
        "not validated for batch release",
        "numpy version",
        "SHA-256 of the resolved case",
        "18 kg/h",
        "3 kg out",
    ):
        assert said in words, said
    assert "INCOMPLETE" not in words


def test_an_incomplete_run_cannot_be_taken_for_a_complete_one(make_results):
    html = render(make_results(end=180.0, status=Status.INCOMPLETE, stopped_because="step size underflow in press <b>"))
    page = Page(html)
    assert html.index("✗ INCOMPLETE RUN") < html.index("<header")
    assert "<title>INCOMPLETE – A sample line</title>" in html
    for said in (
        "stopped at 3 min of 10 min",
        "step size underflow in press <b>",
        "Within limits up to 3 min",
        "The balance covers the time up to the stop.",
    ):
        assert said in page.words, said
    assert "✓" not in html.partition('<section id="flowsheet"')[0]
    assert "✓ Complete" not in page.words
    assert "Closes up to 3 min" in page.words
    assert "Within specification" not in page.words


def test_a_run_that_stopped_at_its_first_point_has_a_page(make_results):
    page = Page(render(make_results(end=0.0, status=Status.INCOMPLETE, stopped_because="no step succeeded", events=())))
    assert "✗ INCOMPLETE RUN" in page.words
    assert "stopped at 0 min of 10 min" in page.words


def test_a_single_point_out_of_specification_is_told(make_results):
    row = specification_row(np.array([0.0]), np.array([0.2]), variable="press.assay[api]", label="Assay", upper=0.11)
    words = Page(render(make_results(end=0.0, status=Status.INCOMPLETE, stopped_because="no step", events=(), specifications=(row,)))).words
    assert "at 1 output point" in words
    assert "Within limits up to" not in words
    assert "within so far" not in words


def test_an_open_balance_is_told(make_results):
    row = balance_row("api", np.array([0.0, 1.0]), np.array([0.0, 0.9]), np.array([0.0, 0.0]))
    words = Page(render(make_results(balance=(row,)))).words
    assert "✗ DOES NOT CLOSE" in words
    assert "✗ THE BALANCE DOES NOT CLOSE" in words
    lost = balance_row("api", np.array([0.0, np.nan]), np.zeros(2), np.zeros(2))
    assert "✗ DOES NOT CLOSE" in Page(render(make_results(balance=(lost,)))).words


def test_hostile_names_stay_text(make_results):
    evil = "<script>alert('x')</script>\"&\x00\x1b[31m $\\frac$ $"
    results = make_results()
    case = {**results.case, "title": evil, "name": evil, "profiles": [{**results.case["profiles"][0], "label": evil}]}
    case["units"] = {**results.case["units"], evil: {"type": evil, "key" + evil: evil}}
    changed = make_results(
        case=case,
        units=(*results.units, UnitRow(evil, evil, ())),
        streams=(*results.streams, StreamRow(evil, "blender.outlet", f"{evil}.inlet")),
        events=(*results.events, EventRecord(300.0, evil, evil)),
        versions={evil: evil},
        status=Status.INCOMPLETE,
        stopped_because=evil,
    )
    html = render(changed)
    assert "script" not in Page(html).tags
    assert "\x00" not in html
    assert "\x1b" not in html


def test_the_same_results_give_the_same_page(make_results, tmp_path):
    path = save_results(make_results(), tmp_path)
    first = write_report(path).read_bytes()
    second = write_report(tmp_path, tmp_path / "again.html").read_bytes()
    assert first == second


def test_the_page_is_written_whole_or_not_at_all(make_results, tmp_path, monkeypatch):
    path = save_results(make_results(), tmp_path)
    page = write_report(path)
    before = page.read_bytes()
    save_results(make_results(stats={"steps": 9}), tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_report(path)
    assert page.read_bytes() == before


def test_bare_results_still_give_a_page(make_results):
    results = make_results(events=(), balance=(), specifications=(), streams=(), units=(), case={})
    words = Page(render(results)).words
    assert "The case names no specification." in words
    assert "Nothing switched during the run." in words


def test_refills_and_disturbances_are_marked(make_results):
    view = View(make_results())
    (refill,) = view.happenings
    assert (refill.lane, refill.start, refill.end) == ("feeder_api refill", 100.25, 125.5)
    (disturbance,) = view.disturbances
    assert (disturbance.start, disturbance.end, disturbance.label) == (200.0, 300.0, "API +20 %")
    cut = View(make_results(end=110.0, status=Status.INCOMPLETE, events=(EventRecord(100.25, "refill_start", "feeder_api"),)))
    assert (cut.happenings[0].start, cut.happenings[0].end) == (100.25, 110.0)


def test_happenings_of_any_unit_are_marked(make_results):
    events = [EventRecord(time, name, "press") for time, name in ((10.0, "jam"), (20.0, "jam"), (30.0, "freed"), (590.0, "wash"))]
    row = UnitRow("press", "tablet_press", ("assay",), (("jam", "jam", "freed"), ("cleaning", "wash", "rinsed")))
    results = make_results(events=tuple(events), units=(*make_results().units[:3], row))
    bands = [(band.lane, band.start, band.end) for band in View(results).happenings]
    assert bands == [("press jam", 10.0, 30.0), ("press cleaning", 590.0, 600.0)]
    words = Page(render(results)).words
    assert "jam, from jam to freed" in words
    assert "cleaning, from wash to rinsed" in words
    assert "refill, from" not in words


@pytest.mark.parametrize(
    ("interpolation", "times", "values", "expected"),
    [
        ("hold", [0.0, 10.0, 20.0], [1.0, 2.0, 1.0], [(10.0, 20.0)]),
        ("linear", [0.0, 10.0, 20.0, 30.0], [1.0, 1.0, 2.0, 1.0], [(10.0, 30.0)]),
        ("hold", [0.0, 500.0], [1.0, 2.0], [(500.0, 600.0)]),
        ("hold", [0.0, 700.0], [1.0, 2.0], []),
        ("hold", [0.0], [1.0], []),
        ("hold", [0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0, 0.0], [(1.0, 2.0), (3.0, 4.0)]),
    ],
)
def test_profiles_are_marked_where_they_depart_from_their_beginning(make_results, interpolation, times, values, expected):
    results = make_results()
    profile = {"variable": "feeder_api.setpoint", "times": times, "values": values, "interpolation": interpolation, "label": ""}
    view = View(make_results(case={**results.case, "profiles": [profile]}))
    assert [(band.start, band.end) for band in view.disturbances] == expected


def test_thinning_keeps_extremes_and_gaps():
    rng = np.random.default_rng(5)
    t = np.linspace(0.0, 1.0, 50_000)
    y = rng.normal(size=t.size)
    y[31_234] = 40.0
    y[11_111] = -40.0
    few_t, few = thin(t, y)
    assert len(few) <= 2500
    assert (few.max(), few.min()) == (40.0, -40.0)
    assert (few_t[0], few_t[-1]) == (0.0, 1.0)
    assert np.all(np.diff(few_t) > 0)
    y[20_000:21_000] = np.nan
    assert np.isnan(thin(t, y)[1]).any()


def test_layout_runs_from_left_to_right_and_takes_recycles():
    layout = arrange(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "b"), ("a", "c"), ("c", "d")])
    rank = {node: k for k, column in enumerate(layout.columns) for node in column}
    assert layout.backward == {2}
    assert [rank[node] for node in "abcd"] == [0, 1, 2, 3]
    assert layout.paths[3] == ("a", (3, 1), "c")
    assert arrange(["a"], [("a", "a")]).backward == {0}
    assert arrange([], []).columns == ()


def test_courses_are_drawn_apart_where_one_axis_would_hide_them():
    wave = np.sin(np.linspace(0, 6, 50))
    assert apart([89 + wave, 10 + wave, 1 + 0.1 * wave])
    assert not apart([wave, 0.5 * wave])
    assert not apart([wave])
    assert not apart([np.full(50, np.nan), wave])
    assert not apart([np.full(50, float(k)) for k in range(3)])


def test_layout_untangles():
    layout = arrange(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    first, second = layout.columns
    assert (first.index("a") < first.index("b")) == (second.index("y") < second.index("x"))


def test_drawing_holds_every_unit_and_stream():
    units = [DrawnUnit(f"unit_{k}", "source" if k == 0 else "my_own_type", "1 kg in", "2 kg out") for k in range(6)]
    ends = [(0, 1), (1, 2), (2, 1), (1, 3), (0, 4), (4, 3), (3, 5), (0, 5)]
    streams = [DrawnStream(f"S{k}", f"unit_{a}", f"unit_{b}", f"{k} kg/h") for k, (a, b) in enumerate(ends)]
    svg = flowsheet_svg(units, streams)
    root = xml.etree.ElementTree.fromstring(svg)
    words = [element.text for element in root.iter("text")]
    assert {unit.name for unit in units} <= set(words)
    assert {stream.name for stream in streams} <= set(words)
    width, height = float(root.get("width")), float(root.get("height"))
    boxes = [element for element in root.iter("rect") if element.get("class") == "unit"]
    placed = {(float(box.get("x")), float(box.get("y"))) for box in boxes}
    assert len(placed) == 6
    assert all(0 <= x < width and 0 <= y < height for x, y in placed)
    assert flowsheet_svg([], []).startswith("<svg")


def test_a_long_line_goes_on_in_a_further_row() -> None:
    names = [f"unit_{k}" for k in range(10)]
    units = [DrawnUnit(name, "mixer") for name in names]
    streams = [DrawnStream(f"S{k}", one, other, "20 kg/h") for k, (one, other) in enumerate(pairwise(names))]
    width, height = (float(re.search(rf'{side}="([\d.]+)"', flowsheet_svg(units, streams))[1]) for side in (" width", " height"))
    assert width < 1800
    assert height > 2 * 128
    recycle = [*streams, DrawnStream("R", names[-1], names[0], "1 kg/h")]
    assert float(re.search(r' width="([\d.]+)"', flowsheet_svg(units, recycle))[1]) > 2 * width * 0.9, "recycles keep their row"
