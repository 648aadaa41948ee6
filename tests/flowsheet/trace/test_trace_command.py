"""``flowsheet trace`` as it is typed: pages, data, files, and what is refused with which words."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from flowsheet.case import Case
from flowsheet.case_load import case_from_resolved, load_case
from flowsheet.cli import main
from flowsheet.problems import CaseErrors

ROOT = Path(__file__).parents[3]

ALL = """
[[profiles]]
variable = "feed.flow[filler]"
times = ["0 s", "100 s", "160 s"]
values = ["0.0045 kg/s", "0.005 kg/s", "0.0045 kg/s"]
label = "too much <filler>"

[[specifications]]
variable = "blender.outlet_fraction[first]"
lower = "9.8 %"
target = "10 %"
upper = "10.2 %"

[trace]
threshold = "2 %"
share_of = "powder"
lots = ["first"]

[[trace.diversions]]
watch = "blender.outlet_fraction[first]"
sensor = "feed.outlet_fraction[first]"
at = "bin"
after = "10 s"
delay = "4 s"
transport = "20 s"
dwell = "5 s"
noise = "0.1 %"
scan_time = "1 s"
scans = 4
label = "Probe & gate"

[[trace.funnels]]
input = "feed.flow[filler]"
watch = "blender.outlet_fraction[first]"
lower = "9 %"
time = "200 s"
window = "390 s"
step = "1e-4 kg/s"
durations = ["10 s", "1 min"]
"""


@pytest.fixture
def file(line: Callable[..., Case], tmp_path: Path) -> Path:
    line(ALL)
    return tmp_path / "line.toml"


def test_page(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("line: 1 lot, 1 disturbance, 1 funnel, 1 diversion, 5 runs; there is what is above 2 % (threshold)\n")
    for words in (
        "lot first, share of the powder",
        "disturbance too much <filler>",
        "linear about",
        "by superposition",
        "Probe & gate",
        "residual",
    ):
        assert words in out
    assert not list(file.parent.glob("*/trace.html"))


def test_json_says_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    (lot,), (each,), (funnel,), (gate,) = (found[name] for name in ("lots", "disturbances", "funnels", "diversions"))
    assert (lot["lot"], [place["place"] for place in lot["places"]]) == ("first", ["blender", "bin"])
    assert lot["places"][1]["gone"] is None
    assert len(found["times"]) == len(lot["places"][0]["mass"]) <= 121
    assert each["height"] == pytest.approx(5e-4)
    assert [row["duration"] for row in funnel["rows"]] == [10.0, 60.0]
    assert funnel["lower"] == 0.09
    assert gate["false_at_target"] == pytest.approx(math.erfc(0.002 * 2 / 0.001 / math.sqrt(2)))
    assert gate["gate"]["delay"] == 4.0
    # 11 % more filler in the feed are seen from 100 to 160 s, 20 s before they are at the gate
    (window,) = gate["windows"]
    assert 117 <= window["start"] <= 121
    assert 184 <= window["end"] <= 190


def test_csv_holds_all_numbers(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(file), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["part"] for row in rows} == {"lot", "disturbance", "funnel", "diversion"}
    values = {(row["of"], row["place"], row["quantity"]): row["value"] for row in rows}
    assert values["first", "bin", "gone"] == ""
    assert float(values["Probe & gate", "bin", "transport"]) == 20.0


def test_folder_and_report(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["trace", str(file), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {out / 'trace.html'}"
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == ["trace.html", "trace.json"]
    html = (out / "trace.html").read_text()
    assert html.count("<section") == 5
    assert html.count('src="data:image/svg+xml') == 4
    assert "<filler>" not in html
    assert "too much &lt;filler&gt;" in html
    assert json.loads((out / "trace.json").read_text())["case"] == "line"
    first = (out / "trace.html").read_bytes()
    assert main(["trace", str(file), "--out", str(out)]) == 8, "a folder that is not empty"
    assert main(["trace", str(file), "--out", str(out), "--force"]) == 0
    assert (out / "trace.html").read_bytes() == first, "the same case gives the same bytes"


def test_options_override_the_case(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(file), "--json", "--threshold", "5 %", "--lot", "second", "--lot", "first", "--set", "trace.funnels=[]"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["threshold"] == 0.05
    assert [lot["lot"] for lot in found["lots"]] == ["second", "first"]
    assert found["funnels"] != [], "without funnels of its own, those of its disturbance"


def test_nothing_to_trace(line: Callable[..., Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line(substance="")
    assert main(["trace", str(tmp_path / "line.toml"), "--out", str(tmp_path / "out")]) == 3
    error = capsys.readouterr().err
    assert "there is nothing to trace in this case" in error
    assert "`substance`" in error
    assert not (tmp_path / "out").exists()


def test_a_campaign_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(ROOT / "cases" / "seed_train")]) == 3
    assert "a campaign of several stages" in capsys.readouterr().err


def test_a_failed_run_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A press is given more than its dies take."""
    text = (ROOT / "cases" / "lot_change" / "case.toml").read_text()
    (tmp_path / "case.toml").write_text(
        text.replace('lower = "10 rpm"', 'lower = "0 rpm"')
        .replace('upper = "70 rpm"', 'upper = "10 rpm"')
        .replace('initial_output = "45.4 rpm"', 'initial_output = "10 rpm"')
    )
    code = main(["trace", str(tmp_path), "--out", str(tmp_path / "out"), "--set", "hopper.capacity=0.31 kg"])
    assert code == 5
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "out").exists()


# --- what a case may say ----------------------------------------------------------------------------------------------


def test_what_a_case_says_is_kept(file: Path) -> None:
    case = load_case(file)
    again = case_from_resolved(case.resolved)
    assert again.resolved == case.resolved
    assert again.trace == case.trace
    assert "trace" not in load_case(ROOT / "cases" / "small_line").resolved


DIVERSION = '[[trace.diversions]]\nwatch = "blender.outlet_fraction[first]"\nupper = "11 %"\n'
FUNNEL = '[[trace.funnels]]\ninput = "feed.flow[first]"\nwatch = "blender.outlet_fraction[first]"\nupper = "11 %"\n'
REFUSED = [
    ("[trace]\ntreshold = 0.1", "trace.treshold: unknown key", "did you mean threshold?"),
    ("[trace]\nthreshold = 0", "trace.threshold: below its bound", "(0, 0.99]"),
    ("[trace]\nthreshold = nan", "trace.threshold: not finite", ""),
    ('[trace]\nthreshold = "1 kg"', "trace.threshold", ""),
    ('[trace]\nshare_of = "drug"', "expected one of substance, powder", ""),
    ('[trace]\nlots = ["frist"]', "trace.lots[0]: there is no material 'frist'", "did you mean first?"),
    ("[trace]\nlots = []", "expected an array of materials", ""),
    ('[trace]\nlots = ["first", "first"]', "first is named twice", ""),
    ("[[trace]]", "trace: expected a table", ""),
    ("[trace]\ndiversions = 3", "trace.diversions: expected an array of tables", ""),
    ("[[trace.diversions]]\nupper = 0.1", "trace.diversions[0].watch: has to be given", ""),
    ('[[trace.diversions]]\nwatch = "blender.outlet_fraction[first]"', "has no limits", "[[specifications]]"),
    (DIVERSION.replace("first]", "frist]"), "trace.diversions[0].watch: blender has no time-indexed variable", "outlet_fraction[first]"),
    (DIVERSION.replace("blender.", "blendr."), "there is no unit 'blendr'", "did you mean blender?"),
    (DIVERSION + 'lower = "12 %"', "has to lie above the lower limit", ""),
    (DIVERSION + 'delay = "-1 s"', "trace.diversions[0].delay: below its bound", ""),
    (DIVERSION + "delay = 3", "the unit is missing", ""),
    (DIVERSION + "noise = nan", "trace.diversions[0].noise: not finite", ""),
    (DIVERSION + "noise = -0.1\nscan_time = '1 s'", "trace.diversions[0].noise: below its bound", ""),
    (DIVERSION + "noise = 0.1", "need the time between scans", "scan_time"),
    (DIVERSION + 'scans = "three"', "trace.diversions[0].scans: expected a whole number", ""),
    (DIVERSION + 'by = "guess"', "expected one of reading, prediction", ""),
    (DIVERSION + 'scans = 3\nscan_time = "0 s"', "need the time between scans", ""),
    (DIVERSION + 'sensor = "blender.total_mass"', "is in kg", "sensor_lower"),
    (DIVERSION.replace('"11 %"', '"11 kg"'), "trace.diversions[0].upper", ""),
    (FUNNEL.replace("feed.flow", "feed.outlet_flow"), "feed has no input 'outlet_flow[first]'", ""),
    (FUNNEL + "step = 1", "the unit is missing", ""),
    (FUNNEL + 'step = "0 kg/s"', "a step of nothing says nothing", ""),
    (FUNNEL + 'durations = ["0 s"]', "a duration has to be positive", ""),
    (FUNNEL + "durations = []", "expected an array", ""),
    (FUNNEL.replace('upper = "11 %"', ""), "has no limits", ""),
]


@pytest.mark.parametrize(("extra", "message", "more"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_refused_when_it_is_read(extra: str, message: str, more: str, line: Callable[..., Case]) -> None:
    with pytest.raises(CaseErrors) as caught:
        line(extra)
    text = str(caught.value)
    assert message in text
    assert more in text
    assert "line.toml:" in text


RAMP = """
[[profiles]]
variable = "feed.flow[first]"
times = ["0 s", "300 s"]
values = ["0.0005 kg/s", "0.0006 kg/s"]
interpolation = "linear"
"""
LATER = [
    (RAMP + FUNNEL, "follows straight lines, over which no step can be laid"),
    (DIVERSION + 'after = "1 h"', "trace.diversions[0].after: the run ends before (3600 s)"),
    (DIVERSION + 'scan_time = "1e-6 s"', "trace.diversions[0].scan_time: asks for 6e+08 decisions; allowed: at most 200000"),
    (FUNNEL + 'window = "1e-9 s"', "trace.funnels[0].window: is too short"),
    (FUNNEL + 'time = "1 h"', "trace.funnels[0].time: the run ends before (3600 s, 600 s)"),
    (FUNNEL + 'time = "500 s"\nwindow = "200 s"', "the run ends before (700 s > 600 s)"),
    (FUNNEL.replace("flow[first]", "flow[second]"), "no share can be taken as a step"),
]


@pytest.mark.parametrize(("extra", "message"), LATER, ids=[message for _, message in LATER])
def test_refused_before_it_is_simulated(
    extra: str, message: str, line: Callable[..., Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line(extra)
    assert main(["trace", str(tmp_path / "line.toml")]) == 3
    assert message in capsys.readouterr().err
