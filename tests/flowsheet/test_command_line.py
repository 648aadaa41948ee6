"""The commands as they are typed: what goes to stdout and stderr, exit codes, what is left in the output folder."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowsheet import load_case, open_results, run_case
from flowsheet.cli import main
from flowsheet.run import output_times
from solvers import Status
from solvers.errors import OutputError

CASE = Path(__file__).parents[2] / "cases" / "small_line"
SHORT = ("--set", "horizon=2 min", "--set", "output.interval=5 s")
ROOT = Path(__file__).parents[2]


def command(*arguments: str, **more: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.Popen(
        [sys.executable, "-m", "flowsheet.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **({"preexec_fn": _heed_interrupts} | more),
    )


def _heed_interrupts() -> None:
    """A suite that runs in the background hands an ignored SIGINT down; a terminal would not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "out"
    assert main(["run", str(CASE), "--out", str(folder), *SHORT]) == 0
    return folder


# --- usage -----------------------------------------------------------------------------------------------------------

USAGE = [
    ([], "a command is missing"),
    (["rum", "x"], "did you mean run?"),
    (["run"], "CASE"),
    (["run", str(CASE), "--forse"], "did you mean --force?"),
    (["check", str(CASE), "--out", "x"], "--out"),
    (["check", str(CASE), "--set"], "--set"),
    (["check", str(CASE), "--set", "nonsense"], "unit.key=value"),
    (["check", str(CASE), "extra"], "extra"),
    (["show", "no_such_folder"], "no results at no_such_folder"),
    (["report", "no_such_folder"], "no results at no_such_folder"),
]


@pytest.mark.parametrize(("arguments", "text"), USAGE, ids=range(len(USAGE)))
def test_usage(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert "error: " in errors
    assert text in errors
    assert "Traceback" not in errors


def test_unknown_type_of_unit_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["units", "tablet_pres"]) == 3
    assert "did you mean tablet_press?" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main(["run", "--help"]) == 0
    assert main(["--version"]) == 0
    output, errors = capsys.readouterr()
    assert output.splitlines()[-1].startswith("flowsheet ")
    assert errors == ""


def test_help_loads_nothing_heavy() -> None:
    heavy = "{'pyomo', 'casadi', 'matplotlib', 'numpy'}"
    code = f"import sys, flowsheet.cli; flowsheet.cli.main(['--help']); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


# --- run, show, report, units -----------------------------------------------------------------------------------------


def test_run_says_what_happened(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", str(CASE), "--out", str(out), *SHORT]) == 0
    output, errors = capsys.readouterr()
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["warning"], "no progress when not a terminal"
    lines = output.splitlines()
    assert lines[0].startswith("small_line: complete, 2 min simulated")
    assert lines[1].startswith("material balance closes")
    assert any(line.startswith("  Tablet mass") for line in lines)
    assert lines[-1] == f"report: {out / 'report.html'}"
    assert sorted(os.listdir(out)) == ["report.html", "results.h5", "run.json"]


def test_same_case_same_bytes(finished: Path, tmp_path: Path) -> None:
    run_case(CASE, tmp_path / "again", SHORT[1::2])
    assert (tmp_path / "again" / "results.h5").read_bytes() == (finished / "results.h5").read_bytes()


@pytest.mark.parametrize(
    "setting", [{"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu"}, {"LC_ALL": "de_DE.UTF-8", "OMP_NUM_THREADS": "8"}], ids=["seed", "locale"]
)
def test_surroundings_make_no_difference(setting: dict[str, str], finished: Path, tmp_path: Path) -> None:
    process = command("run", str(CASE), "--out", str(tmp_path / "out"), *SHORT, env=setting)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert (tmp_path / "out" / "results.h5").read_bytes() == (finished / "results.h5").read_bytes()


def test_run_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(CASE), "--out", str(tmp_path / "out"), "--json", *SHORT]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "complete"
    assert {row["component"] for row in told["balance"]} == {"excipient", "api", "lubricant"}
    assert all(row["closes"] for row in told["balance"])
    assert all(row["met"] for row in told["specifications"])


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(CASE), *SHORT]) == 0
    assert (tmp_path / "results" / "small_line" / "report.html").exists()


def test_show(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(finished), "press.assay"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["variable", "press.assay[excipient]", "press.assay[api]", "press.assay[lubricant]"]
    assert main(["show", str(finished), "press.tablet_mass", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "time [s],press.tablet_mass [kg]"
    assert len(lines) == 26
    results = open_results(finished)
    assert [float(line.split(",")[1]) for line in lines[1:]] == list(results["press.tablet_mass"])
    assert main(["show", str(finished), "press.tablet_mass", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["press.tablet_mass [kg]"] == list(results["press.tablet_mass"])
    assert main(["show", str(finished), "press.tablet_mas"]) == 2
    assert "press.tablet_mass" in capsys.readouterr().err


def test_options_may_stand_anywhere(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = set()
    for words in (("{}", "--csv", "press.assay[api]"), ("--csv", "{}", "press.assay[api]"), ("{}", "press.assay[api]", "--csv")):
        assert main(["show", *(word.format(finished) for word in words)]) == 0
        told.add(capsys.readouterr().out)
    (text,) = told
    assert text.startswith("time [s],press.assay[api]")
    assert text.splitlines()[0].count(",") == 1
    assert main(["show", str(finished), "press.assay[api]", "--csv", "press.tablet_mass"]) == 0
    assert capsys.readouterr().out.splitlines()[0].count(",") == 2
    assert main(["units", "--csv", "sink"]) == 0
    assert main(["show", str(finished), "--csw", "press.assay[api]"]) == 2
    assert "did you mean --csv?" in capsys.readouterr().err


def test_report_again(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(finished), "--out", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "r.html").read_bytes() == (finished / "report.html").read_bytes()


def test_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["units", "tablet_press", "--json"]) == 0
    (kind,) = json.loads(capsys.readouterr().out)
    assert (kind["type"], kind["inlets"]) == ("tablet_press", ["inlet"])
    assert next(p for p in kind["parameters"] if p["name"] == "diameter")["unit"] == "m"
    assert main(["units", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("type,parameter,unit,default")


def test_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(CASE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["units"], told["streams"]) == ("ok", 7, 5)


# --- the output folder ------------------------------------------------------------------------------------------------


def test_existing_results_are_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (finished / name).stat().st_mtime_ns for name in os.listdir(finished)}
    assert main(["run", str(CASE), "--out", str(finished), *SHORT]) == 8
    errors = capsys.readouterr().err
    assert "exists and is not empty" in errors
    assert "--force" in errors
    assert {name: (finished / name).stat().st_mtime_ns for name in os.listdir(finished)} == before


def test_force_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", str(CASE), "--out", str(out), *SHORT]) == 0
    assert main(["run", str(CASE), "--out", str(out), "--force", *SHORT]) == 0
    assert f"replacing the results in {out} (--force)" in capsys.readouterr().err


def test_output_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("")
    assert main(["run", str(CASE), "--out", str(tmp_path / "out"), "--force"]) == 8
    assert main(["run", str(CASE), "--out", str(tmp_path / "out" / "deeper")]) == 8
    assert main(["run", str(CASE), "--out", str(tmp_path / ("x" * 300))]) == 8
    assert main(["run", str(CASE), "--out", "a\0b"]) == 8


def test_no_permission_is_known_before_the_solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowsheet import run

    def never(*_: object, **__: object) -> None:
        raise AssertionError("solved although nothing can be written")

    monkeypatch.setattr(run, "simulate", never)
    # root may write anywhere, so the answer of the system is replaced and not the permission
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission to write"):
        run_case(CASE, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_full_disk_leaves_the_old_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["run", str(CASE), "--out", str(out), *SHORT]) == 0
    before = {name: (out / name).read_bytes() for name in os.listdir(out)}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = command("run", str(CASE), "--out", str(out), "--force", *SHORT, preexec_fn=limit)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 8, errors
    assert "bytes" in errors
    assert {name: (out / name).read_bytes() for name in os.listdir(out)} == before


def test_invalid_case_writes_nothing(tmp_path: Path) -> None:
    assert main(["run", str(CASE), "--out", str(tmp_path / "out"), "--set", "blender.tanks=0"]) == 3
    assert os.listdir(tmp_path) == []


# --- interruption and closed pipes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption(number: int, code: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = command(
        "run", str(CASE), "--out", str(out), "--set", "horizon=50 d", "--set", "output.interval=1 h", "--set", "solver.rtol=1e-12"
    )
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert not out.exists(), "the folder made for results is gone"


def test_closed_stdout(finished: Path) -> None:
    process = command("show", str(finished), "--csv")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(timeout=60) in (0, 141)
    assert errors == ""


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize("arguments", [("show", "{}"), ("show", "{}", "press", "--csv"), ("units",), ("--version",), ("show", "--help")])
def test_stdout_that_cannot_be_written(redirection: str, arguments: tuple[str, ...], finished: Path) -> None:
    words = [word.format(finished) for word in arguments]
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "flowsheet.cli", *words]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 8
    assert "error: stdout " in done.stderr
    assert "internal" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_stderr_that_cannot_be_written(tmp_path: Path) -> None:
    for redirection in ("2>/dev/full", "2>&-"):
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "flowsheet.cli", "show", str(tmp_path)]
        done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
        assert (done.returncode, done.stdout) == (2, "")


def test_terminal_that_knows_only_ascii(finished: Path) -> None:
    process = command("show", str(finished), "balance.supplied", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"})
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "balance.supplied[api]" in output


# --- from Python --------------------------------------------------------------------------------------------------------


def test_run_case_writes_nothing_unless_told_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = run_case(load_case(CASE), overrides=["horizon=1 min", "blender.tanks=2"])
    assert results.status is Status.COMPLETE
    assert results.t[-1] == 60.0
    assert results.case["units"]["blender"]["tanks"] == 2
    assert os.listdir(tmp_path) == []


def test_output_times() -> None:
    assert list(output_times(1.0, 0.1)) == pytest.approx([k / 10 for k in range(11)])
    assert output_times(1.0, 0.1)[-1] == 1.0
    assert list(output_times(5.0, 2.0)) == [0.0, 2.0, 4.0, 5.0]
    assert list(output_times(1.0, 1.0)) == [0.0, 1.0]
