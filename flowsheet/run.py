"""From a case to results and a report: the order of the stages, and what is left behind when one of them fails."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from flowsheet.case import Case, case_document
from flowsheet.case_check import Checker
from flowsheet.case_load import apply_override, load_case
from flowsheet.case_read import read_case
from flowsheet.collect import collect_results
from flowsheet.flowsheet import Flowsheet
from flowsheet.report import write_report
from flowsheet.results import Results
from flowsheet.results_write import save_results
from solvers import DaeSystem, SimulationError, lower, simulate
from solvers.errors import OutputError


class Phase(Enum):
    """The stages of a run, as progress tells them."""

    BUILD = "building the model"
    LOWER = "lowering"
    SIMULATE = "simulating"
    WRITE = "writing results"
    REPORT = "writing the report"


OnPhase = Callable[[Phase], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run: its results, and the report if anything was written."""

    results: Results
    report: Path | None


def build_flowsheet(case: Case) -> Flowsheet:
    """Return the flowsheet of a case.

    Raises
    ------
    StructureError : the units of the case cannot be joined as it says.
    """
    flowsheet = Flowsheet(case.horizon, case.materials)
    for unit in case.units:
        flowsheet.add(unit.name, unit.type.block, **unit.parameters)
    for stream in case.streams:
        flowsheet.connect(stream.source, stream.target)
    return flowsheet


def check_case(case: Case) -> DaeSystem:
    """Do everything that a run does before it solves, and return the lowered system.

    Raises
    ------
    StructureError : degrees of freedom, singularity, index or connections are wrong.
    """
    return lower(build_flowsheet(case).model)


def output_times(horizon: float, interval: float) -> np.ndarray:
    """Return times from 0 to the horizon (s), an interval apart except perhaps at the end.

    >>> output_times(5.0, 2.0)
    array([0., 2., 4., 5.])
    """
    steps = int(np.floor(horizon / interval * (1 + 1e-12)))
    times = np.arange(steps + 1) * interval
    if horizon - times[-1] > 1e-9 * interval:
        return np.append(times, horizon)
    times[-1] = horizon
    return times


def run_case(case: Case | str | Path, out: str | Path | None = None, overrides: Iterable[str] = (), *, force: bool = False) -> Results:
    """Simulate a case and return its results.

    Parameters
    ----------
    case : a case, a folder with ``case.toml``, or a TOML file.
    out : folder for ``results.h5``, ``run.json`` and ``report.html``; nothing is written if None.
    overrides : texts such as ``feeder_api.setpoint=2.2 kg/h``.
    force : replace results that are already there.

    Raises
    ------
    UsageError, CaseErrors, StructureError : before anything is solved or written.
    OutputError : the folder cannot be written to, or holds something already; known before the solve.
    SimulationError : the run failed; what was computed is written and marked incomplete.
    """
    return perform(read_or_override(case, overrides), out, force=force).results


def read_or_override(case: Case | str | Path, overrides: Iterable[str]) -> Case:
    """Return a case with overrides applied, read from its file unless it is one already."""
    if not isinstance(case, Case):
        return load_case(case, overrides)
    texts = list(overrides)
    if not texts:
        return case
    document = case_document(case.resolved)
    changed = [apply_override(document, text) for text in texts]
    return read_case(document, Checker(str(case.file or case.name), None, changed), case.file)


def perform(case: Case, out: str | Path | None, *, force: bool = False, on_phase: OnPhase = lambda phase: None) -> Outcome:
    """Run a case through all stages. Arguments and errors as for :func:`run_case`; ``on_phase`` hears where it is."""
    folder = None if out is None else Path(out)
    if folder is not None:
        check_folder(folder, force=force)
    on_phase(Phase.BUILD)
    flowsheet = build_flowsheet(case)
    model = flowsheet.model
    on_phase(Phase.LOWER)
    system = lower(model)
    created = None if folder is None else make_folder(folder)
    on_phase(Phase.SIMULATE)
    profiles = {spec.variable: spec.profile for spec in case.profiles}
    kept = False
    try:
        trajectory = simulate(system, output_times(case.horizon, case.interval), inputs=profiles, rtol=case.rtol, atol=case.atol)
        kept = True
    except SimulationError as error:
        if error.trajectory is not None and len(error.trajectory.t) and folder is not None:
            results = collect_results(case.resolved, model, error.trajectory, stopped_because=error.message)
            written = save_results(results, folder, seconds=error.trajectory.stats.seconds)
            write_report(written)
            kept = True
            error.hint = "; ".join(filter(None, (error.hint, f"what was computed, marked incomplete, is in {folder}")))
        raise
    finally:
        if not kept and created is not None:
            shutil.rmtree(created, ignore_errors=True)
    on_phase(Phase.WRITE)
    results = collect_results(case.resolved, model, trajectory)
    if folder is None:
        return Outcome(results, None)
    written = save_results(results, folder, seconds=trajectory.stats.seconds)
    on_phase(Phase.REPORT)
    return Outcome(results, write_report(written))


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder for results that cannot be written to, or that holds something and is not to be replaced.

    Raises
    ------
    OutputError : with the reason.
    """
    text = str(folder)
    if "\0" in text:
        raise OutputError("the output folder's name holds a NUL character")
    try:
        if folder.exists():
            if not folder.is_dir():
                raise OutputError(f"the output {text} is a file", names=[text], hint="name a folder")
            if not force and any(folder.iterdir()):
                raise OutputError(
                    f"the output folder {text} exists and is not empty",
                    names=[text],
                    hint="--force replaces results, --out names another folder",
                )
            _probe(folder)
        else:
            parent = next(parent for parent in folder.absolute().parents if parent.exists())
            if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
                raise OutputError(f"the output folder {text} cannot be made: no permission to write in {parent}", names=[text])
    except OSError as error:
        raise OutputError(f"the output folder {text[:200]} cannot be used: {error.strerror}", names=[text[:200]]) from error


def make_folder(folder: Path) -> Path | None:
    """Make a folder for results, prove that it can be written to, and return its topmost new part (None if there was nothing to make).

    Raises
    ------
    OutputError : it cannot be made or written to.
    """
    missing = [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _probe(folder)
    except OSError as error:
        raise OutputError(f"the output folder {folder} cannot be written to: {error.strerror}", names=[str(folder)]) from error
    return missing[-1] if missing else None


def _probe(folder: Path) -> None:
    """Write a byte into a file that vanishes at once."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
        file.flush()
