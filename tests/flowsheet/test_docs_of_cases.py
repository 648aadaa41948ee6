"""The examples in the documentation of cases and commands are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowsheet import load_case, run_case, schema
from flowsheet.cli import _parse, main
from solvers import Status

DOCS = Path(__file__).parents[2] / "docs"


def test_example_case_runs(tmp_path: Path) -> None:
    text = re.search(r"```toml\n(schema = 1.*?)```", (DOCS / "cases.md").read_text(), re.DOTALL)
    assert text is not None
    file = tmp_path / "case.toml"
    file.write_text(text[1])
    assert load_case(file, strict=True).name == "two_powders"
    results = run_case(file)
    assert results.status is Status.COMPLETE
    assert all(row.closes for row in results.balance)


def test_all_keys_are_documented() -> None:
    text = (DOCS / "cases.md").read_text()
    tables = (schema.TOP, schema.OUTPUT, schema.SOLVER, schema.MATERIAL, schema.STREAM, schema.PROFILE, schema.SPECIFICATION)
    for key in (*(key.name for table in tables for key in table if key.name not in ("units", "materials", "streams")), *schema.DISPLAY):
        assert re.search(rf"`\[*{key}\b", text), key


@pytest.mark.parametrize("command", ["check", "run", "report", "show", "units"])
def test_all_options_are_documented(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "command_line.md").read_text()
    assert main([command, "--help"]) == 0
    for option in set(re.findall(r"--[a-z]+", capsys.readouterr().out)):
        assert option in text
    assert callable(_parse([command, *([] if command == "units" else ["x"])]).command)
