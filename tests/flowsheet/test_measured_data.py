"""Measured data in a case: read, checked, kept in results, compared with the run, drawn."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowsheet import load_case, open_results, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.cli import main
from flowsheet.problems import CaseErrors, DataErrors, Problem
from flowsheet.report import write_report
from flowsheet.results_write import to_bytes
from flowsheet.schema import LARGEST_DATA, MOST_SAMPLES

CASES = Path(__file__).parents[2] / "cases"

CASE = """schema = 1
name = "filling"
horizon = "10 h"
output.interval = "3 h"
components.salt.amount = "moles"
[units.medium]
type = "liquid_source"
flow = "10 mL/h"
molarity = { salt = "2 mmol/L" }
[units.vessel]
type = "bioreactor"
inlets = 1
initial_volume = "100 mL"
maximum_volume = "1 L"
[units.waste]
type = "liquid_sink"
[[streams]]
from = "medium.outlet"
to = "vessel.inlet_1"
[[streams]]
from = "vessel.outlet"
to = "waste.inlet"

[[data]]
file = "samples.csv"
time = { column = "t", unit = "min" }
[data.variables]
"vessel.molarity[salt]" = { column = "c", unit = "mmol/L", deviation = "s" }
"vessel.moles[salt]" = { column = "n", unit = "umol" }
"vessel.temperature" = { column = "T", unit = "degC", deviation = "s" }
"""
SAMPLES = """t,c,s,n,T,remark
0,0.1,0.05,0,25,"start, cold"
100,0.2,,,,
330,0.8,0.1,100,26,
600,1.1,0.05,210,24,
"""
"""Samples between output points, with missing values: c = 2 V_in/(100 mL + V_in), V_in = 10 mL/h t."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "case.toml").write_text(CASE)
    (tmp_path / "samples.csv").write_text(SAMPLES)
    return tmp_path


def salt(hours: np.ndarray) -> np.ndarray:
    """Return the closed form of the molarity (mmol/L) in the vessel."""
    return 2 * hours / (10 + hours)


def test_fits_are_those_of_the_closed_form(folder: Path) -> None:
    results = run_case(folder)
    assert set(np.array([0.0, 100.0, 330.0, 600.0]) * 60) <= set(results.t), "a run has a point at every sample"
    measured = np.array([0.1, 0.2, 0.8, 1.1])
    misfit = salt(np.array([0.0, 100.0, 330.0, 600.0]) / 60) - measured
    fit = {row.variable: row for row in results.fits}
    row = fit["vessel.molarity[salt]"]
    assert (row.samples, row.compared, row.weighted, row.unit, row.label) == (4, 4, 3, "mol/m^3", "samples.csv")
    assert row.r_squared == pytest.approx(1 - np.sum(misfit**2) / np.sum((measured - measured.mean()) ** 2), rel=1e-6)
    assert row.rms == pytest.approx(np.sqrt(np.mean(misfit**2)), rel=1e-6)
    assert row.normalized == pytest.approx(np.mean((misfit[[0, 2, 3]] / [0.05, 0.1, 0.05]) ** 2), rel=1e-6)
    assert fit["vessel.moles[salt]"].samples == 3
    assert math.isnan(fit["vessel.moles[salt]"].normalized)
    assert fit["vessel.moles[salt]"].rms == pytest.approx(np.sqrt((10e-6**2 + 10e-6**2) / 3), rel=1e-6)


def test_data_are_read_into_si(folder: Path) -> None:
    data = run_case(folder).data
    assert list(data) == ["vessel.molarity[salt]", "vessel.moles[salt]", "vessel.temperature"]
    assert data["vessel.moles[salt]"].t == pytest.approx([0, 330 * 60, 36000])
    assert data["vessel.moles[salt]"].values == pytest.approx([0, 1e-4, 2.1e-4])
    assert np.isnan(data["vessel.moles[salt]"].deviations).all()
    temperature = data["vessel.temperature"]
    assert temperature.values == pytest.approx([298.15, 299.15, 297.15])
    assert temperature.deviations == pytest.approx([0.05, 0.1, 0.05]), "a deviation has no offset"
    assert temperature.unit == "K"


def test_results_keep_the_data_and_make_the_report_alone(folder: Path, tmp_path: Path) -> None:
    kept = run_case(folder, tmp_path / "out")
    (folder / "samples.csv").unlink()
    again = open_results(tmp_path / "out")
    assert to_bytes(again) == to_bytes(kept)
    assert again.fits[0] == kept.fits[0]
    assert list(again.data) == list(kept.data)
    page = write_report(tmp_path / "out", tmp_path / "again.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    words = ("Measured data", "R² −", "3 variables, 10 values", "vessel.moles[salt]", "without measured data")
    for word in words:
        assert word in page, word


def test_every_measured_variable_is_drawn_with_its_points(folder: Path, tmp_path: Path) -> None:
    run_case(folder, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    section = page.partition('<section id="data">')[2].partition("</section>")[0]
    drawings = [base64.b64decode(code).decode() for code in re.findall(r"base64,([^\"]*)", section)]
    assert [drawing.count('<use xlink:href="#m') > 0 for drawing in drawings] == [True] * 3
    bars = [drawing.count('id="LineCollection') for drawing in drawings]
    assert bars == [1, 0, 1], "error bars where deviations are given"
    units = page.partition('<section id="units">')[2]
    assert "vessel.moles" not in units.partition("</section>")[0], "the unit does not show it, the data do"


def test_a_resolved_case_with_data_is_a_case_again(folder: Path) -> None:
    case = load_case(folder, strict=True)
    again = case_from_resolved(json.loads(json.dumps(case.resolved)))
    assert again.resolved == case.resolved
    assert again.data == case.data
    assert "data" not in load_case(CASES / "cdc_line").resolved


def test_overrides_of_a_case_that_was_read_keep_the_data(folder: Path) -> None:
    assert len(run_case(load_case(folder), overrides=["vessel.initial_volume=200 mL"]).fits) == 3


def test_numbers_may_stand_in_the_case(folder: Path) -> None:
    head = CASE[: CASE.index("[[data]]")]
    (folder / "case.toml").write_text(
        head + '[[data]]\nlabel = "samples.csv"\ntime = { values = [0, 100, 330, 600], unit = "min" }\n[data.variables]\n'
        '"vessel.molarity[salt]" = { values = [0.1, 0.2, 0.8, 1.1], unit = "mmol/L", deviation = [0.05, "", 0.1, 0.05] }\n'
    )
    inside = load_case(folder, strict=True).data
    (folder / "case.toml").write_text(CASE)
    assert inside[0] == load_case(folder).data[0]


@pytest.mark.parametrize("change", [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), lambda text: text + "\n\n"])
def test_line_ends_byte_order_mark_and_blank_lines_make_no_difference(change, folder: Path) -> None:
    plain = load_case(folder).data
    (folder / "samples.csv").write_bytes(change(SAMPLES).encode())
    assert load_case(folder).data == plain


def test_samples_after_the_horizon_are_told_and_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = load_case(folder, ["horizon=6 h"])
    assert ["1 of 4 samples lie after the horizon (21600 s)" in str(warning) for warning in case.warnings] == [True]
    row = run_case(case).fits[0]
    assert (row.samples, row.compared) == (4, 3)
    assert main(["run", str(folder), "--out", str(folder / "out"), "--set", "horizon=6 h"]) == 0
    assert "3 of 4" in capsys.readouterr().out
    assert main(["check", str(folder), "--set", "horizon=6 h", "--strict"]) == 3


def test_deviations_of_zero_are_told_and_taken_for_missing(folder: Path) -> None:
    (folder / "samples.csv").write_text(SAMPLES.replace("0.8,0.1", "0.8,0"))
    case = load_case(folder)
    assert case.data[0].deviations == (0.05, None, None, 0.05)
    assert "1 standard deviation(s) of zero" in str(case.warnings[0])


def test_samples_that_do_not_vary_have_no_r_squared(folder: Path) -> None:
    (folder / "samples.csv").write_text("t,c,s,n,T\n60,0.2,,1,25\n")
    results = run_case(folder, folder / "out")
    assert all(math.isnan(row.r_squared) for row in results.fits)
    assert "No R²" in (folder / "out" / "report.html").read_text(encoding="utf-8")
    # the mean of many equal numbers need not be that number
    (folder / "samples.csv").write_text("t,c,s,n,T\n" + "".join(f"{k},0.2,,1,25\n" for k in range(600)))
    assert all(math.isnan(row.r_squared) and row.compared == 600 for row in run_case(folder, folder / "out", force=True).fits)


def test_summary_and_show_name_the_fits(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(folder / "out")
    assert main(["run", str(folder), "--out", out]) == 0
    assert "fit to measured data:" in capsys.readouterr().out
    assert main(["run", str(folder), "--out", out, "--force", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["fits"]
    assert [row["variable"] for row in told] == ["vessel.molarity[salt]", "vessel.moles[salt]", "vessel.temperature"]
    assert told[1]["normalized"] is None
    assert main(["show", out, "vessel.moles"]) == 0
    shown = capsys.readouterr().out.partition("fit to measured data:\n")[2].splitlines()
    assert [line.split()[0] for line in shown] == ["variable", "vessel.moles[salt]"]
    assert main(["show", out, "medium"]) == 0
    assert "fit to" not in capsys.readouterr().out
    assert main(["show", out, "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["vessel.moles[salt]"]["fit"]["samples"] == 3
    assert "fit" not in rows["vessel.volume"]


# name: (what changes in the case, what changes in the file, exit code, words)
WRONG: dict[str, tuple[tuple[str, str], tuple[str, str], int, tuple[str, ...]]] = {
    "unknown column": (('column = "c"', 'column = "cc"'), ("", ""), 7, ("case.toml:28:38:", "not a column 'cc'", "t, c, s", "mean c?")),
    "unknown deviation": (('deviation = "s" }\n"vessel.mo', 'deviation = "sd" }\n"vessel.mo'), ("", ""), 7, ("has not a column 'sd'",)),
    "unknown time column": (('column = "t"', 'column = "time"'), ("", ""), 7, ("data[0].time.column",)),
    "column twice": (("", ""), ("t,c,s,n", "t,c,s,c"), 7, ("has twice a column 'c'",)),
    "unknown variable": (('"vessel.moles[salt]"', '"vessel.mole[salt]"'), ("", ""), 3, ("no time-indexed variable", "did you mean")),
    "unknown unit": (('"vessel.moles[salt]"', '"vesel.moles[salt]"'), ("", ""), 3, ("there is no unit 'vesel'", "did you mean vessel?")),
    "wrong dimension": (('unit = "umol"', 'unit = "g"'), ("", ""), 3, ("case.toml:29:47:", "got g, expected mol-compatible")),
    "unknown unit of measure": (('unit = "umol"', 'unit = "umoll"'), ("", ""), 3, ('unknown unit "umoll"',)),
    "no unit of measure": (('column = "n", unit = "umol"', 'column = "n"'), ("", ""), 3, ("unit: has to be given", "mol, mmol")),
    "no column": (('column = "n", unit', "unit"), ("", ""), 3, ("column: has to be given",)),
    "unknown key": (('column = "n"', 'colum = "n", column = "n"'), ("", ""), 3, ("colum: unknown key", "did you mean column?")),
    "values beside a file": (('column = "n"', "values = [1.0]"), ("", ""), 3, ("stands in a table with a file",)),
    "column is no text": (('column = "n"', "column = 3"), ("", ""), 3, ("expected a string (got 3)",)),
    "deviation is no column": (('"s" }\n"vessel.mo', '3 }\n"vessel.mo'), ("", ""), 3, ("expected the name of a column (got 3)",)),
    "the same twice": (("vessel.temperature", "vessel.moles[ salt]"), ("", ""), 3, ("vessel.moles[salt] has data already",)),
    "no variables": (('"vessel.moles', '[[data]]\ntime = 3\nvariables = {}\n[[data]]\n"vessel.moles'), ("", ""), 3, ("is empty",)),
    "not a table": (("[[data]]", "[[data]]\ntime.x = 1\nvariables = 3\n[[data]]"), ("", ""), 3, ("expected a table of variables (got 3)",)),
    "text in a cell": (("", ""), ("330,0.8", "330,much"), 7, ('samples.csv:4:5: column c: does not start with a number (got "much")',)),
    "text behind a quoted cell": (('"T"', '"remark"'), ("", ""), 7, ("samples.csv:2:17: column remark",)),
    "unit in a cell": (("", ""), ("0.8", "0.8 mM"), 7, ("column c: not a number", "a unit stands in the case")),
    "not a number": (("", ""), ("0.8", "nan"), 7, ("samples.csv:4:5: column c: not finite",)),
    "digits with separators": (("", ""), ("0.8", "0_8"), 7, ("samples.csv:4:5: column c: not a number", "without separators")),
    "digits of another script": (("", ""), ("0.8", "\u0660.\u0668"), 7, ("samples.csv:4:5: column c: does not start with a number",)),
    "infinite": (("", ""), ("0.8", "1e999"), 7, ("column c: not finite",)),
    "decimal comma": (("", ""), ("0.8", '"0,8"'), 7, ("a comma within a number",)),
    "negative deviation": (("", ""), ("0.8,0.1", "0.8,-0.1"), 7, ("samples.csv:4:9: column s: a standard deviation below zero",)),
    "ragged": (("", ""), ("600,1.1", "600"), 7, ("samples.csv:5:1: the row has 5 cells, the header 6",)),
    "semicolons": (("", ""), ("600,1.1,0.05,210,24,", "600;1.1"), 7, ("separate columns by commas",)),
    "open quote": (("", ""), ('"start, cold"', '"start, cold'), 7, ("samples.csv:2:1: not a row of CSV",)),
    "no time": (("", ""), ("330,", ","), 7, ("samples.csv:4:1: column t: the time is missing",)),
    "before the start": (("", ""), ("0,0.1", "-1,0.1"), 7, ("samples.csv:2:1: column t: lies before the start (-60 s)",)),
    "time twice": (("", ""), ("330", "100"), 7, ("samples.csv:4:1: column t: times have to increase (6000 s after 6000 s)", "replicates")),
    "empty column": (('"c"', '"remark"'), ('"start, cold"', ""), 7, ("holds no value",)),
    "header only": (("", ""), (SAMPLES[SAMPLES.index("\n") :], "\n"), 7, ("samples.csv:1:1: holds no rows",)),
    "no such file": (("samples.csv", "sample.csv"), ("", ""), 7, ("there is no file", "did you mean samples.csv?")),
    "a folder": (('"samples.csv"', '"."'), ("", ""), 7, ("there is no file",)),
    "path out of the folder": (("samples.csv", "../../etc/passwd"), ("", ""), 3, ("case.toml:25:8: data[0].file: leads out",)),
    "absolute path": (("samples.csv", "/etc/passwd"), ("", ""), 3, ("leads out of the folder",)),
    "NUL in the path": (('"samples.csv"', '"a\\u0000b"'), ("", ""), 3, ("holds the control character U+0000",)),
    "one bracket": (("[[data]]", "[data]"), ("", ""), 3, ("data: expected an array of tables",)),
}


@pytest.mark.parametrize("name", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_mistake_is_told(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit, change, code, words = WRONG[name]
    for file, (old, new) in (("case.toml", edit), ("samples.csv", change)):
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))
    assert main(["check", str(folder)]) == code
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    for word in words:
        assert word in errors, errors


def test_all_mistakes_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "samples.csv").write_text(SAMPLES.replace("1.1", "x").replace("0.1,100", "0.1,y").replace("26", "z"))
    assert main(["check", str(folder)]) == 7
    places = [line.partition(f"{folder}/")[2].split(": ")[:2] for line in capsys.readouterr().err.splitlines()]
    assert places == [["samples.csv:4:13", "column n"], ["samples.csv:4:15", "column T"], ["samples.csv:5:5", "column c"]]
    (folder / "case.toml").write_text(CASE.replace('"10 mL/h"', '"10 m"').replace('column = "n"', 'column = "N"'))
    assert main(["check", str(folder)]) == 3
    places = [line.partition(f"{folder}/")[2].split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert places[0] == "units.medium.flow"
    assert len(places) == 4, "what is wrong with the case and with its data"


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "samples.csv"
    elsewhere.write_text(SAMPLES)
    (folder / "samples.csv").unlink()
    (folder / "samples.csv").symlink_to(elsewhere)
    with pytest.raises(CaseErrors, match="leads out of the folder"):
        load_case(folder)
    (folder / "samples.csv").unlink()
    os.mkfifo(folder / "samples.csv")
    with pytest.raises(DataErrors, match="there is no file"):
        load_case(folder)


def test_too_much_is_refused(folder: Path) -> None:
    (folder / "samples.csv").write_bytes(b"t,c,s,n,T\n" + b" " * LARGEST_DATA)
    with pytest.raises(DataErrors, match="is too large"):
        load_case(folder)
    (folder / "samples.csv").write_text("t,c,s,n,T\n" + "".join(f"{k / 100},1,1,1,1\n" for k in range(MOST_SAMPLES + 1)))
    with pytest.raises(DataErrors, match="too many rows: 20001"):
        load_case(folder)
    (folder / "samples.csv").write_bytes(b"t,c\n0,\xff\n")
    with pytest.raises(DataErrors, match=r"samples\.csv:2:1: not UTF-8: byte 0xff at offset 6"):
        load_case(folder)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(content=st.binary(max_size=200) | st.text('t,csnT\n\r"0123456789.-+eE;naif \ufeff\0', max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(content: bytes, folder: Path) -> None:
    (folder / "samples.csv").write_bytes(b"t,c,s,n,T\n" + content)
    told: tuple[Problem, ...] = ()
    try:
        data = load_case(folder).data
    except DataErrors as error:
        told = error.problems
    if told:
        assert all(problem.file and problem.message for problem in told)
    else:
        assert all(np.isfinite(series.values).all() and np.all(np.diff(series.times) > 0) for series in data)


CHO = {"viable": 0.974, "antibody": 0.997, "glucose": 0.931, "ammonia": 0.954} | {
    "glutamine": 0.964,
    "lactate": 0.901,
    "glutamate": 0.963,
    "asparagine": 0.998,
}


def test_the_cho_case_shows_its_flask() -> None:
    """R2 of the source's equations, integrated independently; the data stand beside the case with their license."""
    fits = {row.variable.partition("[")[2][:-1]: row for row in run_case(CASES / "cho_fed_batch").fits}
    assert {name: row.r_squared for name, row in fits.items()} == pytest.approx(CHO, abs=6e-4)
    assert all((row.samples, row.compared, row.weighted) == (13, 13, 13) for row in fits.values())
    assert "MIT License" in (CASES / "cho_fed_batch" / "LICENSE-data-MIT.txt").read_text(encoding="utf-8")
