"""What each bad input gets: exit code, the words of the message, its place. One row per kind of mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flowsheet.cli import main

CASE = Path(__file__).parents[2] / "cases" / "small_line" / "case.toml"
TEXT = CASE.read_text()


def edited(*edits: tuple[str, str]) -> str:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the case no longer has {old!r}"
        text = text.replace(old, new, 1)
    return text


def check(text: str | bytes, folder: Path, *options: str) -> int:
    file = folder / "case.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return main(["check", str(file), *options])


SETPOINT = 'setpoint = "2.0 kg/h"'
MISTAKES = {
    "typo in a key": (
        [("settle_time = ", "settle_tiem = ")],
        3,
        ["units.feeder_excipient.settle_tiem: unknown key", "did you mean settle_time?"],
    ),
    "typo in a section": ([("[solver]", "[solvr]")], 3, ["solvr: unknown key", "did you mean solver?"]),
    "unknown unit type": (
        [('type = "tablet_press"', 'type = "tablet_pres"')],
        3,
        ["unknown unit type", "did you mean tablet_press?", "sink"],
    ),
    "no unit type": ([('type = "tablet_press"', "")], 3, ["units.press.type: has to be given"]),
    "newer schema": ([("schema = 1", "schema = 7")], 3, ["unknown version of the case format (got 7)", "allowed: 1", "newer version"]),
    "no schema": ([("schema = 1", "")], 3, ["schema: has to be given"]),
    "missing parameter": ([(SETPOINT, "")], 3, ["units.feeder_api.setpoint: has to be given", "kg/s"]),
    "number in quotes": ([("cells = 1 ", 'cells = "5" ')], 3, ["expected a whole number", 'got string "5"']),
    "fraction in quotes": ([("scheduling = 0.8", 'scheduling = "5"')], 3, ['expected float (got string "5")', "remove the quotes"]),
    "true for a number": ([("cells = 1 ", "cells = true ")], 3, ["expected a whole number (got true)"]),
    "true for a fraction": ([("scheduling = 0.8", "scheduling = true")], 3, ["expected a number (got true)"]),
    "half a cell": ([("cells = 1 ", "cells = 2.5 ")], 3, ["expected a whole number (got 2.5)"]),
    "length for time": ([('delay = "5 s"', 'delay = "5 m"')], 3, ["got m, expected s-compatible", "allowed: s, min, h, d"]),
    "unknown unit of measure": ([(SETPOINT, 'setpoint = "2.0 kgg/h"')], 3, ['unknown unit "kgg/h"', "did you mean kg/h?"]),
    "no unit of measure": ([(SETPOINT, "setpoint = 2.0")], 3, ["the unit is missing (got 2.0)", 'write for example "2 kg/h"']),
    "no unit in the text": ([(SETPOINT, 'setpoint = "2.0"')], 3, ["the unit is missing"]),
    "mol% is no unit": ([("scheduling = 0.8", 'scheduling = "80 mol%"')], 3, ["is not a unit", "write % alone"]),
    "gauge pressure": ([("stations = 30", 'stations = 30\npressure_limit = "4000 barg"')], 3, ["gauge pressure"]),
    "negative flow": ([(SETPOINT, 'setpoint = "-2.0 kg/h"')], 3, ['below its bound (got string "-2.0 kg/h")', "allowed: [0, inf) kg/s"]),
    "negative diameter": ([('diameter = "10 mm"', 'diameter = "-1 mm"')], 3, ["units.press.diameter: below its bound", "(0, inf) m"]),
    "zero diameter": ([('diameter = "10 mm"', 'diameter = "0 mm"')], 3, ["units.press.diameter: below its bound"]),
    "zero density": ([('true_density = "1.30 g/cm^3"', 'true_density = "0 g/cm^3"')], 3, ["materials.api.true_density: below its bound"]),
    "fraction above one": ([("scheduling = 0.8", "scheduling = 1.8")], 3, ["above its bound (got 1.8)", "[0, 1]"]),
    "fractions that do not sum": (
        [("api = 0.10, lubricant = 0.01", "api = 0.11, lubricant = 0.01")],
        3,
        ["units.blender.initial_composition", "sum to 1.010000000"],
    ),
    "unknown component": ([("{ api = 1.0 }", "{ apu = 1.0 }")], 3, ["composition.apu: unknown key", "did you mean api?"]),
    "bulk above true density": ([('bulk_density = "0.35 g/cm^3"', 'bulk_density = "3.5 g/cm^3"')], 3, ["exceeds the true density"]),
    "levels in the wrong order": (
        [('refill_above = "0.9 kg"', 'refill_above = "0.4 kg"')],
        3,
        ["units.feeder_api.refill_above: has to lie above"],
    ),
    "not a number": ([("scheduling = 0.8", "scheduling = nan")], 3, ["not finite (got nan)"]),
    "infinite": ([("scheduling = 0.8", "scheduling = 1e400")], 3, ["not finite (got inf)"]),
    "not finite in a text": ([(SETPOINT, 'setpoint = "1e400 kg/h"')], 3, ["not finite"]),
    "nan in a text": ([(SETPOINT, 'setpoint = "nan kg/h"')], 3, ["not finite"]),
    "an integer of 400 digits": ([("scheduling = 0.8", f"scheduling = {'9' * 400}")], 3, ["not finite"]),
    "an integer of 10,000 digits": ([("scheduling = 0.8", f"scheduling = {'9' * 10_000}")], 3, ["not valid TOML"]),
    "decimal comma": ([(SETPOINT, 'setpoint = "2,0 kg/h"')], 3, ["a comma within a number", "decimal point"]),
    "duplicate unit": ([("[units.press]", "[units.blender]")], 3, ["units.blender: given twice; first in line"]),
    "duplicate key": ([("tanks = 3", "tanks = 3\ntanks = 4")], 3, ["units.blender.tanks: given twice; first in line"]),
    "names alike": (
        [("[units.press]", "[units.Blender]\ntype = 'sink'\n[units.press]")],
        3,
        ["differs from blender only by upper and lower case"],
    ),
    "duplicate stream name": (
        [
            ('to = "blender.inlet_1"', 'to = "blender.inlet_1"\nname = "a"'),
            ('to = "blender.inlet_2"', 'to = "blender.inlet_2"\nname = "a"'),
        ],
        3,
        ["the name a is given twice; first in line"],
    ),
    "no such port": (
        [('to = "press.inlet"', 'to = "press.inlett"')],
        4,
        ["press has no port 'inlett'", "free inlets: press.inlet", "did you mean"],
    ),
    "no such unit": ([('to = "press.inlet"', 'to = "pres.inlet"')], 4, ["there is no unit 'pres'", "did you mean press.inlet?"]),
    "port used twice": (
        [('to = "blender.inlet_2"', 'to = "blender.inlet_1"')],
        4,
        ["blender.inlet_1 is used twice", "free inlets: blender.inlet_2"],
    ),
    "inlet as a source": ([('from = "blender.outlet"', 'from = "press.inlet"')], 4, ["press.inlet is an inlet"]),
    "dangling inlet": ([("inlets = 3", "inlets = 4")], 4, ["units.blender: the inlet inlet_4 is not connected"]),
    "not a port": ([('to = "press.inlet"', 'to = "../etc"')], 3, ["expected a unit and its port"]),
    "no horizon": ([('horizon = "1 h"', "")], 3, ["horizon: has to be given"]),
    "zero horizon": ([('horizon = "1 h"', 'horizon = "0 h"')], 3, ["horizon: below its bound"]),
    "rtol zero": ([("rtol = 1e-8", "rtol = 0")], 3, ["solver.rtol: below its bound (got 0)", "[1e-13, 0.1]"]),
    "rtol too small": ([("rtol = 1e-8", "rtol = 1e-20")], 3, ["solver.rtol: below its bound", "[1e-13, 0.1]"]),
    "rtol negative": ([("rtol = 1e-8", "rtol = -1e-8")], 3, ["solver.rtol: below its bound"]),
    "rtol not a number": ([("rtol = 1e-8", "rtol = nan")], 3, ["not finite"]),
    "too many output points": ([('interval = "2 s"', 'interval = "1 ns"')], 3, ["asks for 3.6e+12 output points"]),
    "too many cells": ([("cells = 1 ", "cells = 1000000000 ")], 3, ["too large: 1000000000 cells", "at most 1000"]),
    "unknown display unit": ([('flow = "kg/h"', 'flow = "m"')], 3, ["display.flow", "expected kg/s-compatible"]),
    "name with a slash": ([('name = "small_line"', 'name = "../../etc/passwd"')], 3, ["name: the name cannot be used", "a letter"]),
    "name of a device": ([('name = "small_line"', 'name = "CON"')], 3, ["name: the name cannot be used"]),
    "name with NUL": ([('name = "small_line"', 'name = "a\\u0000b"')], 3, ["name: the name cannot be used", "\\u0000"]),
    "name with a dash in front": ([('name = "small_line"', 'name = "-rf"')], 3, ["name: the name cannot be used"]),
    "name too long": ([('name = "small_line"', f'name = "{"a" * 300}"')], 3, ["name: the name cannot be used"]),
    "unit named like Python": ([("[units.press]", '[units."__class__"]')], 3, ["__class__: the name cannot be used"]),
    "unit named like Pyomo": ([("[units.press]", "[units.clone]")], 3, ["clone: the name is reserved"]),
    "unit with an emoji": ([("[units.press]", '[units."pr\U0001f600ss"]')], 3, ["the name cannot be used", "ASCII"]),
    "path as include": ([("schema = 1", 'schema = 1\ninclude = "../../etc/passwd"')], 3, ["include: unknown key"]),
    "code for a quantity": (
        [(SETPOINT, "setpoint = \"__import__('os').system('touch canary') kg/h\"")],
        3,
        ["does not start with a number"],
    ),
    "code for a unit of measure": ([(SETPOINT, "setpoint = \"2 __import__('os')\"")], 3, ["cannot read the unit"]),
    "power tower": ([(SETPOINT, 'setpoint = "9**9**9 kg/h"')], 3, ["cannot read the unit"]),
    "power tower of a unit": ([(SETPOINT, 'setpoint = "9 kg**9**9**9"')], 3, ["cannot read the unit"]),
    "parentheses without end": ([(SETPOINT, f'setpoint = "9 {"(" * 5000}kg"')], 3, ["too long for a quantity"]),
    "writing direction turned": ([('title = "Cont', 'title = "\u202eCont')], 3, ["title: holds the control character U+202E"]),
    "profile of no input": (
        [('"feeder_api.disturbance"', '"feeder_api.mass"')],
        3,
        ["feeder_api has no input 'mass'", "feeder_api.disturbance"],
    ),
    "profile of no unit": ([('"feeder_api.disturbance"', '"feeder.disturbance"')], 3, ["there is no unit 'feeder'"]),
    "profile times unordered": ([('"20 min", "21 min"', '"21 min", "20 min"')], 3, ["times have to increase"]),
    "profile without start": ([('"0 min", "20 min"', '"1 min", "20 min"')], 3, ["the first time has to be 0 s"]),
    "profile one value short": ([('[0.0, "20 %", 0.0]', "[0.0, 0.2]")], 3, ["needs one value per time (got 2 values for 3 times)"]),
    "profile out of range": ([('"20 %", 0.0]', "-2.0, 0.0]")], 3, ["values[1]: below its bound (got -2.0)", "[-1, inf)"]),
    "specification of nothing": (
        [('"press.assay[api]"', '"press.assy[api]"')],
        3,
        ["no time-indexed variable", "did you mean press.assay[api]?"],
    ),
    "specification without index": ([('"press.assay[api]"', '"press.assay"')], 3, ["name one of press.assay[excipient], press.assay[api]"]),
    "limits swapped": ([('lower = "9.5 %"', 'lower = "11 %"')], 3, ["has to lie above"]),
    "specification without limits": ([('lower = "1.7 MPa"', 'target = "1.7 MPa"')], 3, ["needs a limit"]),
    "specification after the run": ([('lower = "1.7 MPa"', 'after = "3 h"\nlower = "1.7 MPa"')], 3, ["after: the run ends before"]),
    "specification of another dimension": ([('lower = "1.7 MPa"', 'lower = "1.7 mm"')], 3, ["got mm, expected"]),
    "a table expected": ([("[solver]", "solver = 3\n[display.x]\n[output.y]")], 3, []),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=[name.replace(" ", "-") for name in MISTAKES])
def test_mistake_is_told(mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    edits, code, texts = MISTAKES[mistake]
    assert check(edited(*edits), tmp_path) == code
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    for text in texts:
        assert text in errors
    assert sorted(os.listdir(tmp_path)) == ["case.toml"]


def test_place_of_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = edited(('lower = "1.7 MPa"', 'lower = "1.7 m"'))
    line = next(number for number, line in enumerate(text.splitlines(), start=1) if '"1.7 m"' in line)
    assert check(text, tmp_path) == 3
    expected = f"error: {tmp_path}/case.toml:{line}:9: specifications[3].lower: got m, expected Pa-compatible; allowed: Pa, kPa, MPa, bar\n"
    assert capsys.readouterr().err == expected


def test_all_mistakes_at_once_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = edited(
        ("rtol = 1e-8", "rtol = 0"), (SETPOINT, "setpoint = 2"), ("tanks = 3", "tankz = 3"), ('lower = "9.5 %"', 'lower = "1 kg"')
    )
    assert check(text, tmp_path) == 3
    lines = capsys.readouterr().err.splitlines()
    keys = [line.split(": ")[2] for line in lines]
    assert keys == ["solver.rtol", "units.feeder_api.setpoint", "units.blender.tankz", "specifications[1].lower"]


def test_at_most_twenty_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT.replace("[solver]", "[solver]\n" + "\n".join(f"wrong_{k} = 1" for k in range(30)))
    assert check(text, tmp_path) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "error: ... and 10 more"


def test_errors_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(edited(("tanks = 3", "tankz = 3")), tmp_path, "--json") == 3
    told = json.loads(capsys.readouterr().err)
    assert told["exit_code"] == 3
    problem = told["problems"][0]
    assert (problem["key"], problem["hint"], problem["column"]) == ("units.blender.tankz", "did you mean tanks?", 1)
    assert TEXT.splitlines()[problem["line"] - 1].startswith("tanks = 3")


def test_syntax_error_shows_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = edited(("tanks = 3", "tanks = = 3"))
    assert check(text, tmp_path) == 3
    lines = capsys.readouterr().err.splitlines()
    assert "not valid TOML: invalid value" in lines[0]
    assert lines[1].strip().startswith("tanks = = 3")
    assert lines[2].index("^") == lines[1].index("= 3")


EMPTY = {"empty": b"", "blank": b"\n\n  \n", "comment only": b"# nothing\n", "byte order mark only": b"\xef\xbb\xbf"}


@pytest.mark.parametrize("content", EMPTY.values(), ids=EMPTY)
def test_empty_case(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(content, tmp_path) == 3
    assert "case is empty; required tables and keys: schema, name, horizon, materials, units" in capsys.readouterr().err


BOMBS = {
    "arrays in arrays": b"a = " + b"[" * 100_000,
    "arrays over lines": b"a = " + b"[\n" * 100_000,
    "closed arrays over lines": b"a = " + b"[\n" * 5000 + b"]\n" * 5000,
    "tables in tables": b"a = " + b"{a = " * 5000,
    "dotted key": b"a" + b".a" * 9000 + b" = 1",
    "long dotted heading": b"[a" + b".a" * 9000 + b"]",
    "twenty levels": b"a" + b".a" * 20 + b" = 1",
    "one long line": b"a = '" + b"x" * 100_000 + b"'",
    "too large": b"# " + (b"x" * 1000 + b"\n# ") * 1100,
    "not UTF-8": b"schema = 1\nname = '\xff\xfe'",
    "NUL": b'schema = 1\nname = "a\x00b"',
    "lone surrogate": "name = '\ud800'".encode("utf-8", "surrogatepass"),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(content, tmp_path) == 3
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert len(errors) < 5000


def test_byte_offset_of_what_is_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(b"schema = 1\nname = '\xff'", tmp_path)
    assert "case.toml:2:1: not UTF-8: byte 0xff at offset 19" in capsys.readouterr().err


def test_line_ends_and_byte_order_mark_make_no_difference(tmp_path: Path) -> None:
    from flowsheet import load_case

    plain = load_case(CASE).resolved
    windows = tmp_path / "case.toml"
    windows.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert load_case(windows).resolved == plain


def test_composed_and_decomposed_text_are_the_same(tmp_path: Path) -> None:
    from flowsheet import load_case

    titles = []
    for number, word in enumerate(("Ta\u0308glich \U0001f600", "T\u00e4glich \U0001f600")):
        file = tmp_path / f"case_{number}.toml"
        file.write_text(edited(('title = "Cont', f'title = "{word} Cont')))
        titles.append(load_case(file).title)
    assert titles[0] == titles[1]
    assert titles[0].startswith("T\u00e4glich")


# --- where the case is -----------------------------------------------------------------------------------------------


def test_missing_case(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.toml").write_text(TEXT)
    assert main(["check", "lin.toml"]) == 2
    errors = capsys.readouterr().err
    assert f"there is no case lin.toml (looked from {tmp_path})" in errors
    assert "did you mean line.toml?" in errors


def test_folder_without_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert f"no case.toml in {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "", "/dev/null"])
def test_odd_paths(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", path]) == 2
    assert capsys.readouterr().err.startswith("error: ")


# --- warnings --------------------------------------------------------------------------------------------------------

WARNINGS = {
    "disconnected unit": (
        [("[units.press]", '[units.spare]\ntype = "sink"\n\n[units.press]')],
        "units.spare: is not connected to any stream",
    ),
    "unusual horizon": (
        [('horizon = "1 h"', 'horizon = "100 d"'), ('interval = "2 s"', 'interval = "1 h"')],
        "horizon: 8.64e+06 s is unusual",
    ),
    "unusual density": ([('true_density = "1.30 g/cm^3"', 'true_density = "1300 g/cm^3"')], "materials.api.true_density"),
    "profile after the end": ([('"21 min"', '"2 h"')], "the profile goes on after the horizon"),
}


@pytest.mark.parametrize("warning", WARNINGS, ids=[name.replace(" ", "-") for name in WARNINGS])
def test_warnings_and_strict(warning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edits, text = WARNINGS[warning]
    assert check(edited(*edits), tmp_path) == 0
    assert text in capsys.readouterr().err
    assert check(edited(*edits), tmp_path, "--strict") == 3
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert text in errors


def test_disconnected_unit_is_left_out(tmp_path: Path) -> None:
    from flowsheet import load_case

    file = tmp_path / "case.toml"
    file.write_text(edited(("[units.press]", '[units.spare]\ntype = "sink"\n\n[units.press]')))
    assert load_case(file).resolved == load_case(CASE).resolved


def test_nothing_connected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXT[: TEXT.index("[units.level_control]")]
    assert check(text, tmp_path) == 4
    assert "no unit is connected to another" in capsys.readouterr().err
