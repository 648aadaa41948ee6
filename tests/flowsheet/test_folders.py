"""What runs leave in and around their output folders: nothing of theirs that is empty, everything that is another's."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowsheet import open_results, run, run_case
from flowsheet.atomic import write_atomically
from flowsheet.folders import made_folder
from solvers import SimulationError
from solvers.errors import OutputError

CASE = Path(__file__).parents[2] / "cases" / "small_line"
SHORT = ("horizon=1 min", "output.interval=5 s")


def test_a_failed_run_leaves_a_parallel_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "new" / "results" / "other"

    def fail(*_: Any, **__: Any) -> None:
        other.mkdir()
        (other / "results.h5").write_bytes(b"theirs")
        raise SimulationError("no start found")

    monkeypatch.setattr(run, "simulate", fail)
    with pytest.raises(SimulationError, match="no start found"):
        run_case(CASE, tmp_path / "new" / "results" / "mine", SHORT)
    assert (other / "results.h5").read_bytes() == b"theirs"
    assert os.listdir(tmp_path / "new" / "results") == ["other"]


def test_a_failed_run_leaves_what_another_put_into_its_folder(tmp_path: Path) -> None:
    with made_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "theirs").write_text("")
    assert (tmp_path / "a" / "b" / "theirs").exists()


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with made_folder(tmp_path / "a"):
        pass
    with made_folder(tmp_path / "a" / "b" / "c"):
        pass
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(tmp_path / "a") == []


def test_results_stay_when_only_the_report_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(run, "write_report", fail)
    with pytest.raises(OutputError, match="full"):
        run_case(CASE, tmp_path / "out", SHORT)
    assert open_results(tmp_path / "out").t[-1] == 60.0


# --- two runs, one folder -----------------------------------------------------------------------------------------------

HOLDER = """
import os, sys
from pathlib import Path
from flowsheet.folders import made_folder
with made_folder(Path(sys.argv[1])):
    print(os.getpid(), flush=True)
    sys.stdin.readline()
"""


def holder_of(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=CASE.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"{process.pid}\n"
    return process


@pytest.mark.parametrize("force", [False, True])
def test_second_run_is_refused_before_the_solve(force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("solved although another run writes here")

    monkeypatch.setattr(run, "simulate", never)
    with holder_of(tmp_path / "out") as first:
        with pytest.raises(OutputError, match=f"pid {first.pid} on {platform.node()}") as refused:
            run_case(CASE, tmp_path / "out", SHORT, force=force)
        assert refused.value.exit_code == 8
        assert os.listdir(tmp_path / "out") == [".lock"]
        first.communicate("\n", timeout=60)
    assert os.listdir(tmp_path) == []


def test_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    with holder_of(tmp_path / "out") as first:
        first.kill()
        first.wait(timeout=60)
    assert os.listdir(tmp_path / "out") == [".lock"]
    run_case(CASE, tmp_path / "out", SHORT)
    assert sorted(os.listdir(tmp_path / "out")) == ["report.html", "results.h5", "run.json"]


def test_results_that_came_after_the_check_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower = run.lower

    def meanwhile(model: Any) -> Any:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "results.h5").write_bytes(b"theirs")
        return lower(model)

    monkeypatch.setattr(run, "lower", meanwhile)
    with pytest.raises(OutputError, match="not empty"):
        run_case(CASE, tmp_path / "out", SHORT)
    assert os.listdir(tmp_path / "out") == ["results.h5"]
    assert (tmp_path / "out" / "results.h5").read_bytes() == b"theirs"


KILLED_WHILE_REPLACING = """
import os, signal, sys
from pathlib import Path
from flowsheet import atomic, run_case
rename, final = os.replace, Path(sys.argv[1]) / "results.h5"
def replace(source, target):
    if sys.argv[2] == "after":
        rename(source, target)
    if Path(target) == final:
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "before":
        rename(source, target)
atomic.os.replace = replace
run_case(sys.argv[3], final.parent, sys.argv[4:], force=True)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_nothing_old_is_left_beside_new_results(moment: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_case(CASE, out, SHORT)
    arguments = [sys.executable, "-c", KILLED_WHILE_REPLACING, str(out), moment, str(CASE), *SHORT, "blender.tanks=2"]
    assert subprocess.run(arguments, cwd=CASE.parents[1], check=False).returncode == -signal.SIGKILL
    assert not (out / "report.html").exists()
    assert not (out / "run.json").exists()
    assert (open_results(out).case["units"]["blender"]["tanks"] == 2) is (moment == "after")
    run_case(CASE, out, SHORT, force=True)
    assert sorted(os.listdir(out)) == ["report.html", "results.h5", "run.json"]


# --- temporary files ----------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from flowsheet import atomic
atomic.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_atomically(Path(sys.argv[1]), b"x")
"""


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "results.h5"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], cwd=CASE.parents[1], check=False)
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".results.h5.")
    for name in (".results.h5.backup.part", ".run.json.01234567.part", "results.h5.01234567.part"):
        (tmp_path / name).write_text("somebody's own")
    write_atomically(target, b"new")
    assert sorted(os.listdir(tmp_path)) == [".results.h5.backup.part", ".run.json.01234567.part", "results.h5", "results.h5.01234567.part"]


def test_what_a_living_run_writes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "results.h5"
    rename = os.replace

    def meet(source: Path, destination: Path) -> None:
        # another run writes the same file while this one is about to rename its own
        monkeypatch.setattr(os, "replace", rename)
        write_atomically(target, b"theirs")
        assert source.exists()
        rename(source, destination)

    monkeypatch.setattr(os, "replace", meet)
    write_atomically(target, b"mine")
    assert target.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["results.h5"]
