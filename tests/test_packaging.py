"""What is shipped: a source archive that builds by itself, and a wheel that runs where there is no compiler."""

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "results", "*.egg-info", "__pycache__", "*.so")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


def build(what: str, source: Path, target: Path) -> Path:
    """Run one hook of the build backend in `source` and return the one file that it leaves in `target`."""
    target.mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD, what, str(target)], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The unpacked wheel, built from the unpacked source archive."""
    work = tmp_path_factory.mktemp("packaging")
    source = shutil.copytree(ROOT, work / "clone", ignore=LEFT_OUT)
    shutil.unpack_archive(build("build_sdist", source, work / "sdist"), work / "source")  # Python 3.11.2 knows no filter for tar files
    (unpacked,) = (work / "source").iterdir()
    with zipfile.ZipFile(build("build_wheel", unpacked, work / "wheel")) as wheel:
        wheel.extractall(work / "site")
    return work / "site"


def run(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the unpacked wheel, away from the work tree and with no program to be found."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PATH": "/nonexistent", "CC": "/nonexistent/cc"}
    return subprocess.run([sys.executable, *command], cwd=installed.parent, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_wheel_holds_what_it_should(installed):
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    shipped = {
        path.relative_to(ROOT).as_posix() for floor in ("flowsheet", "units", "solvers", "csrc") for path in (ROOT / floor).rglob("*.py")
    }
    assert shipped <= files
    for pyx in (ROOT / "csrc").glob("*.pyx"):
        assert any(name.startswith(f"csrc/{pyx.stem}.") and name.endswith(".so") for name in files)
    (metadata,) = installed.glob("*.dist-info")
    assert {"LICENSE", "NOTICE"} == {path.name for path in (metadata / "licenses").iterdir()}
    assert not [name for name in files if name.startswith(("tests/", "cases/", "build/", "docs/"))]


@pytest.mark.slow
def test_entry_points_lead_somewhere(installed):
    (metadata,) = installed.glob("*.dist-info")
    entries = ConfigParser()
    entries.optionxform = str
    entries.read(metadata / "entry_points.txt")
    places = [place for section in ("flowsheet.units", "console_scripts") for place in entries[section].values()]
    script = "import sys; from importlib.metadata import EntryPoint; [EntryPoint('it', place, 'any').load() for place in sys.argv[1:]]"
    done = run(installed, "-c", script, *places)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_runs_without_a_compiler(installed):
    script = "import csrc.rtd as rtd; print(rtd.__file__); print(*rtd.convolve_density([0, 9], [1, 1], [0, 1], [1, 1], [5]))"
    done = run(installed, "-c", script)
    assert done.stdout.split() == [str(installed / "csrc" / "rtd.py"), "1.0"], done.stderr
    case = ROOT / "cases" / "cdc_line"
    command = "import sys; from flowsheet.cli import main; sys.exit(main())"
    done = run(installed, "-c", command, "run", str(case), "--out", str(installed.parent / "out"))
    assert done.returncode == 0, done.stderr
    assert (installed.parent / "out" / "report.html").stat().st_size > 0
