"""Reading a good case: what it becomes, and that its resolved record is a case again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from pyomo.network import Arc

from flowsheet import load_case
from flowsheet.case_load import case_from_resolved
from flowsheet.positions import index_positions
from flowsheet.problems import CaseErrors
from flowsheet.run import build_flowsheet
from solvers.errors import UsageError

CASE = Path(__file__).parents[2] / "cases" / "small_line"


def test_values_are_si() -> None:
    case = load_case(CASE)
    units = {unit.name: unit.parameters for unit in case.units}
    assert case.horizon == 3600.0
    assert case.interval == 2.0
    assert units["feeder_api"]["setpoint"] == 2.0 / 3600
    assert units["feeder_api"]["composition"] == {"api": 1.0}, "a feeder holds what it names"
    assert units["blender"]["tanks"] == 3
    assert units["blender"]["delay_cells"] == 5, "a default is filled in"
    assert case.materials["excipient"].true_density == 1560.0
    profile = case.profiles[0].profile
    assert (profile.times, profile.values) == ((0.0, 1200.0, 1260.0), (0.0, 0.2, 0.0))
    assert case.specifications[1].lower == 0.095
    assert case.warnings == ()


def test_case_is_immutable() -> None:
    case = load_case(CASE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.horizon = 1.0  # type: ignore[misc]


def test_resolved_case_is_a_case_again() -> None:
    case = load_case(CASE)
    text = json.dumps(case.resolved, sort_keys=True)
    again = case_from_resolved(json.loads(text))
    assert again == case
    assert json.dumps(again.resolved, sort_keys=True) == text


def test_edited_record_is_refused_by_key() -> None:
    resolved = load_case(CASE).resolved
    resolved["units"]["blender"]["tanks"] = -1
    with pytest.raises(CaseErrors, match=r"units\.blender\.tanks: below its bound"):
        case_from_resolved(resolved)


def test_names_of_streams_reach_the_model_and_the_record(tmp_path: Path) -> None:
    text = (CASE / "case.toml").read_text().replace('to = "blender.inlet_2"', 'to = "blender.inlet_2"\nname = "drug"', 1)
    file = tmp_path / "case.toml"
    file.write_text(text)
    case = load_case(file)
    names = ["S1", "drug", "S3", "S4", "S5"]
    assert [stream["name"] for stream in case.resolved["streams"]] == names
    assert [arc.name for arc in build_flowsheet(case).model.component_objects(Arc) if arc.name not in ("C1", "C2", "C3")] == names


def test_overrides() -> None:
    overrides = ("feeder_api.setpoint=2.2 kg/h", "blender.tanks = 5", "solver.rtol=1e-6", "horizon=30 min", "feeder_api.scheduling='70 %'")
    case = load_case(CASE, overrides)
    units = {unit.name: unit.parameters for unit in case.units}
    assert units["feeder_api"]["setpoint"] == 2.2 / 3600
    assert units["feeder_api"]["scheduling"] == 0.7
    assert units["blender"]["tanks"] == 5
    assert (case.rtol, case.horizon) == (1e-6, 1800.0)


WRONG_OVERRIDES = [
    ("feeder_api.setpoint", "unit.key=value", UsageError),
    ("feder_api.setpoint=1 kg/h", "did you mean feeder_api?", UsageError),
    ("=3", "unit.key=value", UsageError),
    ("profiles.values=3", "no unit or section", UsageError),
    ("horizon.x=3", "no unit or section", UsageError),
    ("blender.tanks.x=3", "has no keys", UsageError),
    ("feeder_api.setpoint=1 m", "--set: units.feeder_api.setpoint: got m", CaseErrors),
    ("feeder_api.setpont=1 kg/h", "did you mean setpoint?", CaseErrors),
    ("feeder_api.setpoint=nan kg/h", "not finite", CaseErrors),
    ("blender.tanks=true", "got true", CaseErrors),
    ("hopper.cells=3\nunits = 3", "whole number", CaseErrors),
    ("hopper.cells=" + "[" * 100_000, "whole number", CaseErrors),
]


@pytest.mark.parametrize(("override", "message", "kind"), WRONG_OVERRIDES, ids=range(len(WRONG_OVERRIDES)))
def test_wrong_override(override: str, message: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        load_case(CASE, [override])
    assert message in str(caught.value)


def test_places_in_all_kinds_of_toml() -> None:
    text = (
        "schema = 1\n"
        "a.b = { x = 1, y = [1,\n"
        "  2] }\n"
        "\n"
        "[units.'odd name']\n"
        "key = 'ü' # comment\n"
        "other = 1\n"
        "[[streams]]\n"
        "to = 1\n"
        "[[streams]]\n"
        'text = """\n[not.a.table]\n"""\n'
        "to = 2\n"
        "[streams.inner]\n"
        "z = 3\n"
    )
    positions = index_positions(text)
    assert positions.value(("schema",)) == (1, 10)
    assert positions.key(("a", "b", "x")) == (2, 9)
    assert positions.value(("a", "b", "y", 1)) == (3, 3)
    assert positions.key(("units", "odd name", "other")) == (7, 1)
    assert positions.value(("units", "odd name", "key")) == (6, 7)
    assert positions.value(("streams", 0, "to")) == (9, 6)
    assert positions.value(("streams", 1, "to")) == (14, 6)
    assert positions.value(("streams", 1, "inner", "z")) == (16, 5)
    assert positions.value(("streams", 1, "nothing")) == (10, 1), "the nearest table around it"
    assert positions.duplicates == []


def test_columns_count_characters() -> None:
    assert index_positions("a = { 'üü' = 1, b = 2 }\n").key(("a", "b")) == (1, 17)


def test_a_value_from_the_command_line_that_something_else_drives_is_told() -> None:
    dryer = Path(__file__).parents[2] / "cases" / "units" / "fluid_bed_dryer"
    case = load_case(dryer, overrides=("units.dryer.air_flow='1 kg/h'", "units.dryer.cells=2"))
    assert [(problem.key, problem.message) for problem in case.warnings] == [
        ("units.dryer.air_flow", "has no effect: a profile drives it"),
    ]
