"""The ladder of problems: every rung with the command's own code, and what the command does when one is missed."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowsheet.cli import main
from flowsheet.verify import ladder
from flowsheet.verify.ladder import LADDER, chosen
from flowsheet.verify.rung import Group, Outcome, Rung, Verdict, climb
from flowsheet.verify.scoring import Standing
from flowsheet.verify.table import markdown_lines
from solvers import Stats
from solvers.errors import NumericsError, StructureError, UsageError

PAGE = Path(__file__).parents[2] / "docs" / "verification.md"
SHORT = {
    "beam": "undamped oscillations: local errors add up",
    "beam-tensions": "undamped oscillations: local errors add up",
}
"""Rungs that are missed, and told as missed by the command: BDF of order 5 with control of local errors does not reach them."""


def rungs() -> list[Any]:
    """Return all rungs as parameters."""
    marks = {name: [pytest.mark.xfail(reason=reason)] for name, reason in SHORT.items()}
    return [pytest.param(rung, id=rung.name, marks=marks.get(rung.name, [])) for rung in LADDER]


@pytest.mark.parametrize("rung", rungs())
def test_rung_is_passed(rung: Rung) -> None:
    scores = climb(rung)
    assert all(score.verdict.passes for score in scores), [(score.rtol, score.digits, score.verdict, score.message) for score in scores]


def made(run: Any, **changes: Any) -> Rung:
    """Return a rung that compares 1 with what ``run`` gives."""
    rung = Rung("made", Group.CLOSED_FORM, "one", ("x",), (1.0,), "none", Standing.CLOSED_FORM, lambda: run)
    return replace(rung, **changes)


def verdicts(rung: Rung) -> list[Verdict]:
    return [score.verdict for score in climb(rung)]


def test_digits_are_asked_for_by_the_rule() -> None:
    assert verdicts(made(lambda rtol: Outcome((1 + 31 * rtol,)))) == [Verdict.PASSED] * 4
    assert verdicts(made(lambda rtol: Outcome((1 + 32 * rtol,)))) == [Verdict.SHORT] * 4


def test_digits_have_to_grow_as_far_as_the_reference_is_known() -> None:
    same = made(lambda rtol: Outcome((1 + 1e-9,)))
    assert verdicts(same) == [Verdict.PASSED, *[Verdict.NO_GAIN] * 3]
    assert verdicts(replace(same, agreed=9.5)) == [Verdict.PASSED] * 4


def test_zero_is_judged_by_its_scale() -> None:
    (score, *_) = climb(made(lambda rtol: Outcome((2e-6,)), reference=(0.0,), scale=(2.0,)))
    assert score.digits == pytest.approx(6.0)


def test_worst_value_is_the_one_shown_and_not_a_number_is_worst() -> None:
    two = made(lambda rtol: Outcome((1.0, 2.0 + rtol)), labels=("x", "y"), reference=(1.0, 2.0))
    assert {score.label for score in climb(two)} == {"y"}
    broken = made(lambda rtol: Outcome((math.nan, 3.0)), labels=("x", "y"), reference=(1.0, 2.0))
    assert {(score.label, score.verdict) for score in climb(broken)} == {("x", Verdict.SHORT)}


def test_missing_or_too_many_values_are_a_miss() -> None:
    assert verdicts(made(lambda rtol: Outcome(()))) == [Verdict.RAISED] * 4
    assert verdicts(made(lambda rtol: Outcome((1.0, 1.0)))) == [Verdict.RAISED] * 4


def test_what_is_raised_is_a_miss_with_its_message() -> None:
    def run(rtol: float) -> Outcome:
        if rtol < 1e-7:
            raise NumericsError("no convergence", hint="try better values")
        return Outcome((1.0 + rtol,))

    scores = climb(made(run))
    assert [score.verdict for score in scores] == [Verdict.PASSED, Verdict.PASSED, Verdict.RAISED, Verdict.RAISED]
    assert scores[-1].message == "no convergence; hint: try better values"

    def prepare() -> Any:
        raise ZeroDivisionError("division by zero")

    assert {score.message for score in climb(made(None, prepare=prepare))} == {"ZeroDivisionError: division by zero"}


def test_refusal_has_to_come_and_for_the_right_reason() -> None:
    def prepare() -> Any:
        raise StructureError("structurally singular: rod[1]")

    refused = made(None, prepare=prepare, refused_for=("rod",), asked=((1e-8, 0.0),))
    assert verdicts(refused) == [Verdict.PASSED]
    assert verdicts(replace(refused, refused_for=("axle",))) == [Verdict.NOT_REFUSED]
    assert verdicts(made(lambda rtol: Outcome(()), refused_for=("rod",), asked=((1e-8, 0.0),))) == [Verdict.NOT_REFUSED]


def test_names_are_unique_and_chosen_by_name_or_group() -> None:
    names = [rung.name for rung in LADDER]
    assert len(set(names)) == len(names)
    assert not set(names) & {group.value for group in Group}
    assert [rung.name for rung in chosen(["rober", "hires"])] == ["hires", "rober"]
    assert {rung.group for rung in chosen(["refused"])} == {Group.REFUSED}
    assert chosen([]) == LADDER
    with pytest.raises(UsageError, match="hires"):
        chosen(["hirse"])


# ---- the command -----------------------------------------------------------------------------------------------------


def test_command_prints_reference_own_value_digits_and_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "hires", "car-axis"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "0.0028499984" in out
    assert "car-axis" in out
    assert "axle" in out
    assert out.splitlines()[-1] == "2 of 2 rungs passed"
    assert max(map(len, out.splitlines())) <= 110


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_falsified_reference_ends_with_10(form: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (hires,) = chosen(["hires"])
    wrong = replace(hires, reference=(1.01 * hires.reference[0], *hires.reference[1:]))
    monkeypatch.setattr(ladder, "LADDER", (wrong, *chosen(["rober"])))
    assert main(["verify", *form]) == 10
    out = capsys.readouterr().out
    if form == ["--json"]:
        told = json.loads(out)
        assert (told["status"], told["passed"], told["missed"]) == ("missed", 1, ["hires"])
    elif form == ["--csv"]:
        rows = list(csv.DictReader(io.StringIO(out)))
        assert {row["verdict"] for row in rows if row["name"] == "hires"} == {Verdict.SHORT.value}
        assert {row["verdict"] for row in rows if row["name"] == "rober"} == {"ok"}
    else:
        assert "MISSED: too few digits" in out
        assert out.splitlines()[-1] == "1 of 2 rungs passed; missed: hires"


def test_crashing_rung_ends_with_10(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def prepare() -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(ladder, "LADDER", (made(None, prepare=prepare),))
    assert main(["verify"]) == 10
    assert "out of luck" in capsys.readouterr().out


def test_json_carries_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--json", "hires", "fekete"]) == 0
    told = json.loads(capsys.readouterr().out)
    hires, fekete = told["rungs"]
    assert [run["rtol"] for run in hires["runs"]] == [1e-4, 1e-6, 1e-8, 1e-10]
    assert all(run["digits"] >= run["needed"] for run in hires["runs"])
    assert set(hires["runs"][0]["work"]) == set(Stats().as_dict()) - {"seconds"}
    assert hires["runs"][0]["work"]["steps"] > 50
    assert fekete["runs"][0]["digits"] is None
    assert fekete["passed"]


def test_list_says_what_is_compared_without_running(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {rung.name} " in out for rung in LADDER)
    assert main(["verify", "--list", "--json", "hires"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["standing"] == "source"


def test_unknown_name_is_usage_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "hirse"]) == 2
    assert "hires" in capsys.readouterr().err


# ---- the page --------------------------------------------------------------------------------------------------------


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_page_names_all_rungs_with_their_references() -> None:
    rows = {cells(line)[0].strip("`"): cells(line) for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")}
    assert list(rows) == [rung.name for rung in LADDER], "write docs/verification.md anew: python -m flowsheet.verify"
    for rung in LADDER:
        assert rows[rung.name][1] == rung.compared
        assert rows[rung.name][2] == f"{rung.source} [{rung.standing.value}]"


@pytest.mark.parametrize("name", ["hires", "nand", "ball", "feeder", "car-axis"])
def test_page_shows_what_is_found(name: str) -> None:
    """Digits may differ in their decimal and steps by a few from machine to machine, no more."""
    written = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` "))
    (rung,) = chosen([name])
    found = next(line for line in markdown_lines([(rung, climb(rung))]) if line.startswith(f"| `{name}` "))
    pattern = r"(\de-\d\d): ([\d.]+) \(([\d.]+)\), (\d+)"
    for before, now in zip(re.findall(pattern, written), re.findall(pattern, found), strict=True):
        assert before[0] == now[0]
        assert before[2] == now[2]
        assert float(before[1]) == pytest.approx(float(now[1]), abs=0.5)
        assert int(before[3]) == pytest.approx(int(now[3]), rel=0.1)
