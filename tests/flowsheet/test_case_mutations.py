"""Mutated case files: an exit code of the table, one line first, no traceback, nothing written beside."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from flowsheet.cli import main

CASE = Path(__file__).parents[2] / "cases" / "small_line" / "case.toml"
LINES = CASE.read_text().splitlines(keepends=True)

NASTY = (
    *("nan", "-inf", "1e400", "true", '""', '"5"', "-1", "0", "[]", "{}", "[[]]", "1979-05-27", "9" * 400, '"\\u0000"', '"../../x"'),
    *('"9**9**9 kg"', "\"__import__('os') kg\"", '"5 %"', '"3 kg"', '"1e-300 kg/h"', '"1e300 kg/h"', '"25 degC"', "0x7f", "1e-320", "1000"),
    *('"\U0001f600"', "{ a = 1 }", '[1, "2 s"]', "'''", "#", "= 3", '"press.assay[api]"', '"blender.inlet_1"', "500", '"sink"'),
)


def mutated(chance: random.Random) -> str:
    """Return the case with one to three random changes."""
    lines = list(LINES)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(lines))
        what = chance.randrange(8)
        if what == 0:
            del lines[place]
        elif what == 1:
            lines.insert(place, chance.choice(lines))
        elif what == 2:
            other = chance.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        elif what == 3:
            line = lines[place]
            cut = chance.randrange(len(line))
            lines[place] = line[:cut] + chance.choice("\x00\"'[]{}=.,#\\ aZ09-é\u202e\ud800") + line[cut + chance.randint(0, 1) :]
        elif what == 4:
            lines = lines[: max(1, place)]
        elif what == 5:
            lines[place] = re.sub(
                r"\d+", lambda found: str(chance.choice([0, 1, int(found[0]) * 10, -int(found[0])])), lines[place], count=1
            )
        else:
            key, equals, _ = lines[place].partition(" = ")
            lines[place] = f"{key} = {chance.choice(NASTY)}\n" if equals else lines[place]
    return "".join(lines)


def check_mutations(seed: int, count: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> set[int]:
    chance = random.Random(seed)
    file = folder / "case.toml"
    codes = set()
    for _ in range(count):
        text = mutated(chance)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        code = main(["check", str(file)])
        output, errors = capsys.readouterr()
        codes.add(code)
        assert code in (0, 3, 4), f"exit code {code}: {errors}\n{text}"
        assert "Traceback" not in errors
        assert (code == 0) == output.endswith("events\n")
        if code:
            assert errors.startswith(("error: ", "warning: "))
            assert any(line.startswith("error: ") for line in errors.splitlines())
        assert [entry.name for entry in folder.iterdir()] == ["case.toml"]
    return codes


def test_mutations(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_mutations(20261121, 150, tmp_path, capsys) == {0, 3, 4}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_mutations(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_mutations(seed, 500, tmp_path, capsys)
