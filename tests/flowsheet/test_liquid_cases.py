"""Cases of liquids, what their files may say, and what their reports show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowsheet import load_case, open_results, run_case
from flowsheet.case_load import case_from_resolved
from flowsheet.problems import CaseErrors, ConnectionErrors
from flowsheet.tables import liquid_table

CASES = Path(__file__).parents[2] / "cases"
HOUR, LITER = 3600.0, 1e-3


@pytest.fixture(scope="module")
def cho(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cho")
    run_case(CASES / "cho_fed_batch", folder, force=True)
    return folder


def test_penicillin_switches_and_reaches_its_titer() -> None:
    results = run_case(CASES / "penicillin", overrides=["horizon=360 h"])
    assert [(event.event, round(event.time / HOUR, 4)) for event in results.events] == [("feed_start", 43.9617)]
    assert results["fermenter.mass_concentration[product]"][-1] == pytest.approx(1.29442, abs=1e-5)
    assert all(row.closes and row.unit == "kg" for row in results.balance)


def test_the_harvest_leaves_what_the_outlets_leave() -> None:
    results = run_case(CASES / "penicillin", overrides=["fermenter.outflow=0 L/h", "fermenter.heel=1 L"])
    assert results["harvest.passed_volume"][-1] == pytest.approx(100 * LITER, rel=1e-3)


def test_perfusion_ends_in_its_steady_state() -> None:
    """What grows is bled, mu = B/V; what flows in feeds it, F (S_in - S) = mu X V / Y; the permeate takes the rest of the feed."""
    results = run_case(CASES / "perfusion")
    assert [event.event for event in results.events] == ["begin_start", "begin_perfuse"]
    biomass, substrate = (results[f"reactor.mass_concentration[{name}]"][-1] for name in ("biomass", "substrate"))
    volume, bleed, permeate = (results[f"reactor.{name}"][-1] for name in ("volume", "outflow", "permeate_flow"))
    feed, growth = 0.1 * LITER / HOUR, bleed / volume
    largest, half, growth_yield = 0.4 / HOUR, 0.1, 0.5
    assert biomass == pytest.approx(40.0, rel=1e-4)
    assert volume == pytest.approx(LITER, rel=1e-5)
    assert substrate == pytest.approx(half * growth / (largest - growth), rel=1e-3)
    assert feed * (40.0 - substrate) == pytest.approx(growth * biomass * volume / growth_yield, rel=1e-3)
    assert bleed + permeate == pytest.approx(feed, rel=1e-4)
    assert results["reactor.mass_concentration[product]"][-1] == pytest.approx(0.1 * growth * biomass * volume / feed, rel=1e-3)
    assert all(row.closes for row in results.balance)


def test_the_balance_counts_each_component_in_its_own_unit(cho: Path) -> None:
    rows = {row.component: row for row in open_results(cho).balance}
    assert {name: row.unit for name, row in rows.items() if name in ("viable", "antibody", "glucose")} == {
        "viable": "cell",
        "antibody": "kg",
        "glucose": "mol",
    }
    assert all(row.closes for row in rows.values())
    assert rows["glucose"].entered == pytest.approx(0.05 * LITER * 144.37, rel=1e-9)
    assert rows["glucose"].reacted < 0 < rows["antibody"].reacted


def test_streams_of_liquid_are_integrals(cho: Path) -> None:
    rows = {(row.stream.stream, row.component): row for row in liquid_table(open_results(cho))}
    assert rows["medium", ""].amount == pytest.approx(0.05 * LITER, rel=1e-9)
    assert rows["medium", "asparagine"].concentration_mean == pytest.approx(26.99, rel=1e-9)
    assert np.isnan(rows["medium", "viable"].concentration_mean) or rows["medium", "viable"].concentration_mean == 0.0
    assert rows["sampling", ""].flow_mean == pytest.approx(0.0432 * LITER / (288 * HOUR), rel=1e-9)


def test_the_report_shows_units_of_every_measure(cho: Path) -> None:
    page = (cho / "report.html").read_text(encoding="utf-8")
    for words in ("Stream of liquid", "glucose [mmol]", "viable [cell]", "antibody [mg]", "✓ The balance closes", "43.2 mL out"):
        assert words in page, words


def test_a_resolved_case_is_a_case_again() -> None:
    case = load_case(CASES / "cho_fed_batch")
    assert case_from_resolved(case.resolved).resolved == case.resolved
    assert case.warnings == ()


def test_overrides_reach_a_component_of_a_composition() -> None:
    case = load_case(CASES / "cho_fed_batch", ["flask.initial_molarity.glucose=20 mmol/L"])
    unit = next(unit for unit in case.units if unit.name == "flask")
    assert unit.parameters["initial_molarity"]["glucose"] == pytest.approx(20.0)
    assert unit.parameters["initial_cell_density"] == {"viable": pytest.approx(2e11)}


SMALL = """schema = 1
name = "small"
horizon = "1 h"
[components]
salt.amount = "moles"
[units.medium]
type = "liquid_source"
flow = "1 mL/h"
molarity = { salt = "1 mmol/L" }
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
"""
POWDER = '[materials.talc]\ntrue_density = "2.7 g/mL"\nbulk_density = "0.8 g/mL"\n[units.bin]\ntype = "sink"\n'

WRONG = {
    "unknown measure": ('amount = "moles"', 'amount = "mole"', "components.salt.amount: expected one of mass, moles, cells"),
    "wrong dimension": ("1 mmol/L", "1 g/L", "units.medium.molarity.salt: got g/L, expected mol/m^3-compatible"),
    "cells are no number": ("1 mmol/L", "1 1/L", "units.medium.molarity.salt: got 1/L"),
    "unknown component": ("{ salt =", "{ sugar =", "units.medium.molarity.sugar: unknown key"),
    "other measure": ("molarity = { salt", "cell_density = { salt", "units.medium.cell_density.salt: unknown key"),
    "kinetics without components": ('"bioreactor"', '"bioreactor_monod"', "needs the component 'biomass'"),
    "stirred without air": ('"100 mL"', '"100 mL"\nstirrer_speed = "100 rpm"', "units.vessel.stirrer_speed: needs aerated = 1"),
    "air without a stirrer": ('"100 mL"', '"100 mL"\naerated = 1', "units.vessel.stirrer_speed: has to be given"),
    "two temperatures": (
        '"100 mL"',
        '"100 mL"\nheat_balance = 1\ntemperature = "37 degC"',
        "units.vessel.temperature: needs heat_balance = 0",
    ),
    "overfull": ("1 L", "10 mL", "initial_volume"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_where_it_stands(tmp_path: Path, name: str) -> None:
    old, new, message = WRONG[name]
    file = tmp_path / "case.toml"
    file.write_text(SMALL.replace(old, new) if name != "overfull" else SMALL.replace('"1 L"', '"10 mL"'))
    with pytest.raises(CaseErrors) as caught:
        load_case(file)
    assert message in str(caught.value)


def test_small_case_runs(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text(SMALL)
    results = run_case(load_case(file))
    assert results["vessel.moles[salt]"][-1] == pytest.approx(1e-6, rel=1e-9)


def test_powder_and_liquid_in_one_case_are_not_joined(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    head, streams = SMALL.split("[[streams]]", 1)
    file.write_text(head + POWDER + "[[streams]]" + streams.replace("waste.inlet", "bin.inlet"))
    with pytest.raises(ConnectionErrors, match=r"vessel\.outlet carries liquid and bin\.inlet takes powder") as caught:
        load_case(file)
    assert caught.value.problems[0].line > 0


def test_a_name_is_a_powder_or_in_liquids(tmp_path: Path) -> None:
    file = tmp_path / "case.toml"
    file.write_text(SMALL + POWDER.replace("talc", "salt").partition("[units")[0])
    with pytest.raises(CaseErrors, match="salt is a material already"):
        load_case(file)
