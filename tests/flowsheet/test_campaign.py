"""Campaigns: stages that charge each other, in files and in Python; balance, derivatives, files, and everything that can be wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowsheet import Campaign, Charge, StageSpec, load_campaign, load_case, open_campaign, open_results, run_campaign, run_case
from flowsheet.campaign import charged_case
from flowsheet.campaign_load import load
from flowsheet.campaign_results import CampaignResults
from flowsheet.campaign_run import CampaignOutcome, check_campaign, derivatives
from flowsheet.case import Case
from flowsheet.case_check import Checker
from flowsheet.case_load import case_from_resolved, parse_toml
from flowsheet.case_read import read_case
from flowsheet.cli import main
from flowsheet.problems import CaseErrors
from flowsheet.report import write_report
from flowsheet.results_write import to_bytes
from flowsheet.summary import campaign_text
from solvers import Method, SimulationError, Status
from solvers.errors import InputDataError, OutputError, UsageError

ROOT = Path(__file__).parents[2]
SEED_TRAIN = ROOT / "cases" / "seed_train"

STAGE = """
schema = 1
name = "{name}"
horizon = "{hours} h"
output.interval = "1 h"
components = {{ biomass.amount = "mass", substrate.amount = "mass", product.amount = "mass" }}
streams = [{{ from = "tank.outlet", to = "bin.inlet" }}]
units.bin = {{ type = "liquid_sink" }}
{more}
[units.tank]
type = "bioreactor_monod"
initial_volume = "1 L"
maximum_volume = "2 L"
initial_mass_concentration = {{ biomass = "0.5 g/L", substrate = "5 g/L" }}
feed_mass_concentration = {{ substrate = "100 g/L" }}
growth_product = 0.1
"""

CAMPAIGN = """
schema = 1
name = "train"
title = "Three stages"

[[stages]]
name = "a"
case = "a.toml"

[[stages]]
name = "b"
case = "b.toml"
[stages.charge]
from = "a.tank"
to = "tank"
share = "10 %"
medium_volume = "0.9 L"
medium_mass_concentration = { substrate = "10 g/L" }

[[stages]]
name = "c"
case = "c.toml"
[stages.charge]
from = "a.tank"
to = "tank"
volume = "250 mL"
medium_volume = "0.5 L"
"""

MORE = {
    "a": "",
    "b": 'phases = [{ name = "grow", bolus = { tank = "50 mL" }, after = "2 h" }, { name = "fed", bolus = { tank = "100 mL" } }]',
    "c": 'units.spare = { type = "bioreactor", initial_volume = "0.5 L", maximum_volume = "1 L", initial_mass_concentration = "2 g/L" }\n'
    'units.drain = { type = "liquid_sink" }',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small campaign: the third stage takes from the first, and holds a vessel besides that is not charged."""
    folder = tmp_path_factory.mktemp("train")
    for name, hours in (("a", 8), ("b", 4), ("c", 3)):
        text = STAGE.format(name=f"case_{name}", hours=hours, more=MORE[name])
        if name == "c":
            text = text.replace('to = "bin.inlet" }]', 'to = "bin.inlet" }, { from = "spare.outlet", to = "drain.inlet" }]')
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "case.toml").write_text(CAMPAIGN, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def campaign(folder: Path) -> Campaign:
    return load_campaign(folder)


@pytest.fixture(scope="module")
def results(campaign: Campaign) -> CampaignResults:
    return run_campaign(campaign)


@pytest.fixture(scope="module")
def written(campaign: Campaign, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "train"
    run_campaign(campaign, out)
    return out


# -- what is handed over -------------------------------------------------------------------------------------------------


def test_a_share_or_a_volume_of_the_pool_and_fresh_medium_are_the_charge(results: CampaignResults) -> None:
    pool = results["a"]
    for stage, share, medium, strength in (("b", 0.1, 0.9e-3, 10.0), ("c", 0.25, 0.5e-3, 0.0)):
        charged = results[stage]
        given_at_once = 5e-5 if stage == "b" else 0.0
        volume = share * pool["tank.volume"][-1] + medium
        assert charged["tank.volume"][0] == pytest.approx(volume + given_at_once, rel=1e-12)
        for component, fresh in (("biomass", 0.0), ("substrate", strength * medium), ("product", 0.0)):
            amount = share * pool[f"tank.mass[{component}]"][-1] + fresh
            amount += 100.0 * given_at_once if component == "substrate" else 0.0
            assert charged[f"tank.mass[{component}]"][0] == pytest.approx(amount, rel=1e-12)


def test_what_is_left_behind_is_told(results: CampaignResults) -> None:
    rows = {(row.stage, row.component): row for row in results.hand_overs}
    assert list(rows) == [(stage, component) for stage in "bc" for component in ("", "biomass", "substrate", "product")]
    for component in ("", "biomass", "product"):
        b, c = rows["b", component], rows["c", component]
        assert (b.source, b.pool_vessel, b.vessel) == ("a", "tank", "tank")
        assert b.taken == pytest.approx(0.1 * b.pool, rel=1e-12)
        assert c.taken == pytest.approx(0.25 * b.pool, rel=1e-12)
        assert b.left == pytest.approx(0.9 * b.pool, rel=1e-12)
        assert c.left == pytest.approx(0.65 * b.pool, rel=1e-12)
        assert c.charge == c.taken + c.medium
    assert rows["b", ""].medium == 0.9e-3
    assert rows["b", "substrate"].medium == pytest.approx(9e-3, rel=1e-12)


def test_the_balance_closes_across_the_campaign(results: CampaignResults) -> None:
    rows = {row.component: row for row in results.balance}
    assert list(rows) == ["biomass", "substrate", "product"]
    assert all(row.closes and abs(row.relative) < 1e-12 for row in rows.values())
    substrate = rows["substrate"]
    assert substrate.begun == pytest.approx(5e-3 + 1e-3, rel=1e-12)
    assert substrate.fed == pytest.approx(15e-3, rel=1e-9)
    assert substrate.medium == pytest.approx(9e-3, rel=1e-12)
    assert rows["biomass"].begun == pytest.approx(0.5e-3 + 1e-3, rel=1e-12)
    behind = results["a"]["tank.mass[biomass]"][-1] * 0.65 + results["b"]["tank.mass[biomass]"][-1]
    assert rows["biomass"].left_behind == pytest.approx(behind, rel=1e-12)
    assert rows["biomass"].remaining == pytest.approx(results["c"]["tank.mass[biomass]"][-1] + 1e-3, rel=1e-12)


def test_a_hand_over_that_loses_something_shows_in_the_balance(results: CampaignResults) -> None:
    """The balance counts what the pool gave, and not what the charged vessel says that it got."""
    lost = [
        replace(field, values=0.999 * field.values) if field.name in ("tank.mass", "balance.inventory") else field
        for field in results["b"].fields
    ]
    changed = CampaignResults(results.campaign, {**results.stages, "b": replace(results["b"], fields=tuple(lost))})
    assert not any(row.closes for row in changed.balance if row.component == "biomass")


def test_a_stage_begins_when_its_pool_is_there(campaign: Campaign) -> None:
    assert campaign.begins == {"a": 0.0, "b": 8 * 3600.0, "c": 8 * 3600.0}


def test_the_record_of_a_charged_stage_is_a_case_that_gives_the_same_bytes(results: CampaignResults) -> None:
    again = run_case(case_from_resolved(results["b"].case))
    assert to_bytes(again) == to_bytes(results["b"])


def test_the_same_campaign_in_python(campaign: Campaign, folder: Path, results: CampaignResults) -> None:
    cases = {name: load_case(folder / f"{name}.toml") for name in "abc"}
    charges = [
        None,
        Charge("a", "tank", "tank", share=0.1, medium_volume=0.9e-3, medium={"substrate": 10.0}),
        Charge("a", "tank", "tank", volume=0.25e-3, medium_volume=0.5e-3),
    ]
    stages = tuple(StageSpec(name, cases[name], charge) for name, charge in zip("abc", charges, strict=True))
    made = run_campaign(Campaign("train", "Three stages", "", {}, stages))
    assert made.campaign == results.campaign
    assert [to_bytes(made[name]) for name in "abc"] == [to_bytes(results[name]) for name in "abc"]


def test_overrides_go_to_stages_and_charges(folder: Path) -> None:
    changed = load_campaign(folder, ["b.charge.share=20 %", "a.tank.heel=2 mL", "c.horizon=5 h", "title=Other"])
    by_name = {stage.name: stage for stage in changed.stages}
    assert by_name["b"].charge is not None
    assert by_name["b"].charge.share == 0.2
    assert next(unit for unit in by_name["a"].case.units if unit.name == "tank").parameters["heel"] == pytest.approx(2e-6)
    assert (by_name["c"].case.horizon, changed.title) == (5 * 3600.0, "Other")
    with pytest.raises(UsageError, match="there is no stage 'tank'"):
        load_campaign(folder, ["tank.heel=2 mL"])
    with pytest.raises(CaseErrors, match=r"--set: stages\[1\].charge.share: above its bound"):
        load_campaign(folder, ["b.charge.share=120 %"])


def test_less_than_nothing_by_an_integrators_error_is_none(campaign: Campaign) -> None:
    stage = campaign.stages[1]
    start = {"tank.initial_mass_concentration[substrate]": -1e-9, "tank.initial_mass_concentration[biomass]": -1e-3}
    given_start = next(unit for unit in charged_case(stage, start).units if unit.name == "tank").parameters["initial_mass_concentration"]
    assert given_start == {"substrate": 0.0, "biomass": -1e-3}


STAGES_TIGHT = [f"{stage}.solver.{key}" for stage in "abc" for key in ("rtol=1e-11", "atol=1e-13")]
STAGES_TIGHT += ["a.horizon=3 h", "b.horizon=2.5 h", "c.horizon=1 h"]
PARAMETERS = {
    "a.tank.maximum_growth": "1/s",
    "b.charge.share": "",
    "b.charge.medium_mass_concentration[substrate]": "kg/m^3",
    "c.charge.volume": "m^3",
}
OUTPUTS = [("b", "tank.mass[biomass]"), ("c", "tank.mass_concentration[biomass]")]


@pytest.fixture(scope="module")
def differences(folder: Path) -> dict[tuple[str, str], tuple[np.ndarray, float]]:
    """Return central differences of the outputs by the parameters, with the size below which they are noise."""
    a, b, c = load_campaign(folder, STAGES_TIGHT).stages
    assert b.charge is not None
    assert c.charge is not None
    growth = next(unit for unit in a.case.units if unit.name == "tank").parameters["maximum_growth"]
    found = {}
    for (name, unit), middle in zip(PARAMETERS.items(), (growth, b.charge.share, 10.0, c.charge.volume), strict=True):
        step = 1e-5 * middle
        key = name.replace("[substrate]", ".substrate")
        ends = [run_campaign(folder, overrides=[*STAGES_TIGHT, f"{key}={middle + sign * step!r} {unit}".strip()]) for sign in (1, -1)]
        for stage, variable in OUTPUTS:
            one, other = (end[stage][variable] for end in ends)
            found[variable, name] = (one - other) / (2 * step), 1e-6 * float(np.abs(one).max()) / middle
    return found


@pytest.mark.parametrize("method", list(Method), ids=lambda method: method.name.lower())
def test_derivatives_through_hand_overs_agree_with_differences(
    folder: Path, differences: dict[tuple[str, str], tuple[np.ndarray, float]], method: Method
) -> None:
    outputs = [f"{stage}.{variable}" for stage, variable in OUTPUTS]
    found = derivatives(load_campaign(folder, STAGES_TIGHT), list(PARAMETERS), outputs, method=method)
    for output in OUTPUTS:
        for name in PARAMETERS:
            stage, _, rest = name.partition(".")
            difference, noise = differences[output[1], name]
            assert found[output, (stage, rest)] == pytest.approx(difference, rel=1e-4, abs=noise)
    assert found[OUTPUTS[1], ("a", "tank.maximum_growth")][-1] > 0


@given(shares=st.lists(st.floats(0.05, 0.5), min_size=2, max_size=2), medium=st.floats(0.0, 0.5), strength=st.floats(0.0, 50.0))
@settings(max_examples=6, deadline=None)
def test_nothing_is_lost_whatever_is_handed_over(shares: list[float], medium: float, strength: float) -> None:
    charges = [
        None,
        Charge("a", "tank", "tank", share=shares[0], medium_volume=1e-3 * medium, medium={"substrate": strength}),
        Charge("b", "tank", "tank", share=shares[1], medium_volume=1e-3 * medium, medium={"product": strength}),
    ]
    stages = tuple(StageSpec(name, small_case(), charge) for name, charge in zip("abc", charges, strict=True))
    assert all(row.closes for row in run_campaign(Campaign("x", "", "", {}, stages)).balance)


def small_case() -> Case:
    document, positions = parse_toml(STAGE.format(name="small", hours=2, more=""), "small")
    return read_case(document, Checker("small", positions))


# -- files ---------------------------------------------------------------------------------------------------------------


def test_files_of_a_campaign(written: Path, results: CampaignResults) -> None:
    assert sorted(os.listdir(written)) == ["a", "b", "c", "campaign.json", "report.html"]
    assert sorted(os.listdir(written / "b")) == ["report.html", "results.h5", "run.json"]
    again = open_campaign(written)
    assert again.status is Status.COMPLETE
    assert again.hand_overs == results.hand_overs
    assert again.balance == results.balance
    assert (written / "b" / "results.h5").read_bytes() == to_bytes(results["b"])
    with pytest.raises(UsageError, match=r"no results.h5 in .*it holds a campaign; give one of its stages"):
        open_results(written)
    with pytest.raises(UsageError, match=r"no results of a stage 'd'"):
        again["d"]


def test_the_report_of_a_campaign(written: Path, tmp_path: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    for text in ("Three stages", 'href="b/report.html"', "a.tank → b.tank at 8 h: 10 % of the pool", "✓ The balance closes", "left behind"):
        assert text in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert write_report(written, tmp_path / "again.html").read_bytes() == (written / "report.html").read_bytes()


def test_the_same_campaign_gives_the_same_bytes(campaign: Campaign, written: Path, tmp_path: Path) -> None:
    run_campaign(campaign, tmp_path / "again")
    for name in ("campaign.json", "report.html", *(f"{stage}/{file}" for stage in "abc" for file in ("results.h5", "report.html"))):
        assert (tmp_path / "again" / name).read_bytes() == (written / name).read_bytes()


def copied(written: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-r", str(written), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def test_what_does_not_belong_together_is_refused(written: Path, tmp_path: Path) -> None:
    out = copied(written, tmp_path)
    (out / "b" / "results.h5").write_bytes((out / "c" / "results.h5").read_bytes())
    with pytest.raises(InputDataError, match=r"b/results.h5 is missing, or is not what the campaign .* wrote"):
        open_campaign(out)
    text = (out / "campaign.json").read_text(encoding="utf-8")
    (out / "campaign.json").write_text(text.replace('"share": 0.1', '"share": 0.2'), encoding="utf-8")
    with pytest.raises(InputDataError, match="does not fit its SHA-256"):
        open_campaign(out)
    (out / "campaign.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputDataError, match="cannot be read"):
        open_campaign(out)
    (out / "campaign.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputDataError, match="no record of a campaign"):
        open_campaign(out)
    with pytest.raises(UsageError, match=r"no campaign.json"):
        open_campaign(tmp_path)


KILLED_WHILE_REPLACING = """
import os, signal, sys
from pathlib import Path
from flowsheet import atomic, run_campaign
rename = os.replace
def replace(source, target):
    if Path(target).parts[-len(Path(sys.argv[2]).parts):] == Path(sys.argv[2]).parts and ".new" not in str(target):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
atomic.os.replace = replace
run_campaign(sys.argv[3], sys.argv[1], sys.argv[4:], force=True)
"""


def test_a_killed_campaign_leaves_the_old_one_or_is_refused(written: Path, folder: Path, tmp_path: Path) -> None:
    out = copied(written, tmp_path)
    with pytest.raises(OutputError, match="not empty"):
        run_campaign(folder, out)
    for file, as_before in (("campaign.json", True), ("b/results.h5", False)):
        arguments = [sys.executable, "-c", KILLED_WHILE_REPLACING, str(out), file, str(folder), "a.horizon=7 h"]
        assert subprocess.run(arguments, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        assert not (out / "report.html").exists()
        if as_before:
            assert open_campaign(out).campaign["stages"][1]["begins"] == 8 * 3600.0
        else:
            with pytest.raises(InputDataError, match=r"b/results.h5 is missing, or is not what"):
                open_campaign(out)
    text = CAMPAIGN.replace('name = "c"', 'name = "last"').replace('"a.toml"', f'"{os.path.relpath(folder, tmp_path)}/a.toml"')
    for name in "bc":
        text = text.replace(f'"{name}.toml"', f'"{os.path.relpath(folder, tmp_path)}/{name}.toml"')
    (tmp_path / "other.toml").write_text(text, encoding="utf-8")
    run_campaign(tmp_path / "other.toml", out, force=True)
    assert sorted(os.listdir(out)) == ["a", "b", "campaign.json", "last", "report.html"]
    assert list(open_campaign(out).stages) == ["a", "b", "last"]


# -- what fails on the way -----------------------------------------------------------------------------------------------


def test_a_stage_that_cannot_be_charged_ends_the_campaign(folder: Path, tmp_path: Path) -> None:
    for overrides, text in (
        (["c.charge.volume=0.95 L"], r"stage c: cannot be charged like that: 1.05 L are taken from a.tank, which holds 1 L"),
        (["c.charge.medium_volume=1.9 L"], r"stage c: cannot be charged like that: tank.initial_volume: exceeds maximum_volume"),
    ):
        with pytest.raises(SimulationError, match=text):
            run_campaign(folder, overrides=overrides)
    with pytest.raises(SimulationError, match=r"stage b: .*exceeds maximum_volume.*marked incomplete, is in"):
        run_campaign(folder, tmp_path / "out", ["b.charge.medium_volume=1.8 L"])
    stopped = open_campaign(tmp_path / "out")
    assert stopped.status is Status.INCOMPLETE
    assert (list(stopped.stages), stopped["b"].status) == (["a", "b"], Status.INCOMPLETE)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "INCOMPLETE CAMPAIGN" in page
    assert "✗ not reached" in page
    assert "Closes up to" in page
    assert "stage b: " in stopped.stopped_because


# -- what is wrong with a campaign ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            'from = "a.tank"\nto = "tank"\nshare',
            'from = "a.tnk"\nto = "tank"\nshare',
            r":14:8: .*no unit 'tnk'; allowed: tank; hint: did you",
        ),
        ('from = "a.tank"\nto = "tank"\nshare', 'from = "a.bin"\nto = "tank"\nshare', "bin is a liquid_sink and no vessel of liquid"),
        ('from = "a.tank"\nto = "tank"\nshare', 'from = "b.tank"\nto = "tank"\nshare', r"there is no earlier stage 'b'; allowed: a"),
        ('from = "a.tank"\nto = "tank"\nshare', 'from = "tank"\nto = "tank"\nshare', "expected a stage and its vessel"),
        ('to = "tank"\nshare', 'to = "tnak"\nshare', r":15:6: .*no unit 'tnak'.*did you mean tank"),
        ('share = "10 %"\n', "", r"stages\[1\].charge: takes nothing from the pool; allowed: share or volume"),
        ('share = "10 %"\n', 'share = "10 %"\nvolume = "1 mL"\n', "takes both a share and a volume"),
        ('share = "10 %"', 'share = "0 %"', r"share: below its bound"),
        ('share = "10 %"', 'volume = "10 g"', "got g, expected m"),
        ('volume = "250 mL"', 'share = "95 %"', r"more is taken from a.tank than it holds: 105 % in all stages"),
        ('{ substrate = "10 g/L" }', '{ sugar = "10 g/L" }', r"unknown key; allowed: biomass, substrate, product"),
        ('{ substrate = "10 g/L" }', '{ substrate = "10 mmol/L" }', "expected kg/m"),
        ('medium_volume = "0.9 L"\n', "", "medium_volume: has to be given"),
        ('medium_volume = "0.9 L"', 'medium_volume = "-0.9 L"', "below its bound"),
        ('medium_volume = "0.9 L"', 'medium_volum = "0.9 L"', r"unknown key.*did you mean medium_volume"),
        ('case = "b.toml"', 'case = "/b.toml"', "expected a path from the folder of this file"),
        ('case = "b.toml"', 'case = "bb.toml"', r":12:8: .*there is no case .*did you mean .*b.toml"),
        ('case = "b.toml"', 'case = "case.toml"', "a campaign of several stages, and no case"),
        ('name = "b"', 'name = "A"', "there is a stage called A already"),
        ('name = "b"', 'name = "b-1"', "the name cannot be used"),
        ('name = "a"\n', 'name = "a"\nuntil = 1\n', "unknown key; allowed: name, case, charge"),
        ('case = "a.toml"\n', 'case = "a.toml"\ncharge = { from = "b.tank", to = "tank", share = 0.1 }\n', "the first stage has no pool"),
        ("schema = 1", "schema = 2", "unknown version of the case format"),
        ('title = "Three stages"', 'horizon = "1 h"', "unknown key; allowed: schema, name, title"),
    ],
)
def test_mistakes_are_told_with_their_place(folder: Path, old: str, new: str, text: str) -> None:
    assert old in CAMPAIGN
    file = folder / "wrong.toml"
    file.write_text(CAMPAIGN.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CaseErrors, match=text) as caught:
        load_campaign(file)
    assert ".toml:" in str(caught.value)


def test_everything_is_told_at_once_in_all_files(folder: Path) -> None:
    wrong = CAMPAIGN.replace('"10 %"', '"10 g"').replace('"b.toml"', '"broken.toml"').replace('to = "tank"\nvolume', 'to = "tonk"\nvolume')
    (folder / "broken.toml").write_text(STAGE.format(name="b", hours=4, more="").replace('"2 L"', '"2 kg"'), encoding="utf-8")
    (folder / "wrong.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(CaseErrors) as caught:
        load_campaign(folder / "wrong.toml")
    assert [(Path(p.file).name, p.key) for p in caught.value.problems] == [
        ("wrong.toml", "stages[1].charge.share"),
        ("wrong.toml", "stages[2].charge.to"),
        ("broken.toml", "units.tank.maximum_volume"),
    ]


def test_components_have_to_be_the_same(folder: Path) -> None:
    text = STAGE.format(name="b", hours=4, more="").replace("substrate.amount", "sugar.amount").replace('substrate = "', 'sugar = "')
    (folder / "otherwise.toml").write_text(text.replace('"bioreactor_monod"', '"bioreactor"').replace("growth_product = 0.1", ""))
    (folder / "wrong.toml").write_text(CAMPAIGN.replace('"b.toml"', '"otherwise.toml"').replace("{ substrate", "{ sugar"), encoding="utf-8")
    with pytest.raises(
        CaseErrors, match=r"the pool holds substrate, which the case b does not know; hint: declare \[components.substrate\]"
    ):
        load_campaign(folder / "wrong.toml")


def test_a_stage_without_a_charge_and_powders_are_refused(folder: Path) -> None:
    start = CAMPAIGN.index("[stages.charge]")
    (folder / "wrong.toml").write_text(CAMPAIGN[:start], encoding="utf-8")
    with pytest.raises(CaseErrors, match=r"stages\[1\].charge: has to be given"):
        load_campaign(folder / "wrong.toml")
    line = os.path.relpath(ROOT / "cases" / "start_up", folder)
    text = CAMPAIGN[: CAMPAIGN.index('[[stages]]\nname = "c"')].replace('"a.toml"', f'"{line}"').replace("a.tank", "a.press")
    (folder / "wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(CaseErrors, match=r"press is a tablet_press and no vessel of liquid; allowed: none.*no powder and no stream"):
        load_campaign(folder / "wrong.toml")


def test_what_is_put_together_wrongly_in_python_is_refused(campaign: Campaign) -> None:
    a, b, c = campaign.stages
    assert b.charge is not None
    wrong = {
        "a name of its own": (a, a),
        "stage c: there is no earlier stage 'b'": (a, replace(c, charge=replace(b.charge, source="b"))),
        "stage b: nothing charges it": (a, replace(b, charge=None)),
        "stage b: a charge takes either a share or a volume": (a, replace(b, charge=replace(b.charge, volume=1e-3))),
        "stage b: the medium holds sugar": (a, replace(b, charge=replace(b.charge, medium={"sugar": 1.0}))),
        "stage b: a number of its charge is negative": (a, replace(b, charge=replace(b.charge, share=-0.1))),
    }
    for text, stages in wrong.items():
        with pytest.raises(UsageError, match=text):
            run_campaign(replace(campaign, stages=stages))
    with pytest.raises(UsageError, match="overrides go with the path"):
        run_campaign(campaign, overrides=["title=x"])
    with pytest.raises(UsageError, match=r"stage b: tank.initial_volume is charged"):
        derivatives(campaign, ["b.tank.initial_volume"], ["c.tank.volume"])


# -- commands and the case -----------------------------------------------------------------------------------------------


def test_cases_and_campaigns_are_told_apart(folder: Path) -> None:
    assert isinstance(load(folder / "a.toml"), Case)
    assert isinstance(load(folder), Campaign)
    with pytest.raises(CaseErrors, match=r"a campaign of several stages, and no case.*load_campaign"):
        load_case(folder)
    with pytest.raises(CaseErrors, match="not a campaign: there are no stages"):
        load_campaign(folder / "a.toml")


def test_commands_take_campaigns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SEED_TRAIN), "--strict"]) == 0
    assert capsys.readouterr().out == "seed_train: ok; n2: 45 states, n1: 45 states, production: 45 states\n"
    out = tmp_path / "out"
    assert main(["run", str(SEED_TRAIN), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], list(told["stages"]), len(told["hand_overs"])) == ("complete", ["n2", "n1", "production"], 18)
    assert all(row["closes"] for row in told["balance"])
    assert Path(told["stages"]["n1"]["report"]).is_file()
    assert main(["run", str(SEED_TRAIN), "--out", str(out)]) == OutputError.exit_code
    assert main(["report", str(out), "--out", str(tmp_path / "r.html")]) == 0
    capsys.readouterr()
    assert main(["show", str(out / "n1"), "flask.volume"]) == 0
    assert "flask.volume" in capsys.readouterr().out
    results = open_campaign(out)
    density = {stage: results[stage][f"{vessel}.cell_density[viable]"] for stage, vessel in (("n2", "flask"), ("n1", "flask"))}
    np.testing.assert_allclose(density["n1"][0], 0.12 / 0.8 * density["n2"][-1], rtol=1e-9)
    begun = [event.event for event in results["production"].events if event.unit == "recipe"]
    assert begun == [f"begin_feed_{k}" for k in range(1, 6)]
    assert results["production"]["reactor.volume"][-1] == pytest.approx(6e-3, rel=1e-9)


def test_a_campaign_in_short(results: CampaignResults, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = campaign_text(CampaignOutcome(results, None))
    assert "  a -> b: 0.1 L and 0.9 L of fresh medium; 0.9 L left behind\n" in told
    assert "balance across the campaign closes" in told
    assert main(["run", str(folder), "--out", str(tmp_path / "out"), "--set", "b.charge.share=2"]) == CaseErrors.exit_code
    assert "stages[1].charge.share: above its bound" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_all_stages_are_checked(campaign: Campaign, folder: Path) -> None:
    assert list(check_campaign(campaign)) == ["a", "b", "c"]
    with pytest.raises(SimulationError, match=r"stage b: .*exceeds maximum_volume"):
        check_campaign(load_campaign(folder, ["b.tank.maximum_volume=1.01 L"]))
