"""From a case to results and a report: the order of the stages, and what is left behind when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from flowsheet.atomic import publish, staging
from flowsheet.case import Case, case_document
from flowsheet.case_check import Checker
from flowsheet.case_load import apply_override, load_case
from flowsheet.case_read import read_case
from flowsheet.collect import collect_results
from flowsheet.flowsheet import Flowsheet
from flowsheet.folders import check_folder, made_folder, make_folder
from flowsheet.report import write_report
from flowsheet.results import Results
from flowsheet.results_layout import CAMPAIGN_FILE, RESULTS_FILE, RUN_FILE
from flowsheet.results_write import save_results
from solvers import DaeSystem, SimulationError, Trajectory, lower, simulate
from solvers.declare import Profile

REPORT_FILE = "report.html"


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
    flowsheet = Flowsheet(case.horizon, case.materials, case.sizes)
    for unit in case.units:
        flowsheet.add(unit.name, unit.type.block, **unit.parameters)
    for stream in (*case.streams, *case.signals):
        flowsheet.connect(stream.source, stream.target, stream.name)
    if case.phases:
        flowsheet.add_recipe([spec.phase for spec in case.phases])
    return flowsheet


def check_case(case: Case) -> DaeSystem:
    """Do everything that a run does before it integrates, the solution of the start included, and return the lowered system.

    Raises
    ------
    UsageError : a profile cannot be followed.
    StructureError : degrees of freedom, singularity, index or connections are wrong.
    SimulationError : the start cannot be solved.
    """
    system = lowered(case)
    # a run to its first output point only
    _simulate(case, system, _times(case)[:1])
    return system


def output_times(horizon: float, interval: float, samples: Iterable[float] = ()) -> np.ndarray:
    """Return times from 0 to the horizon (s), an interval apart except perhaps at the end, and those of samples between them.

    >>> output_times(5.0, 2.0)
    array([0., 2., 4., 5.])
    >>> output_times(5.0, 2.0, samples=[2.0, 3.5, 7.0])
    array([0. , 2. , 3.5, 4. , 5. ])
    """
    steps = int(np.floor(horizon / interval * (1 + 1e-12)))
    times = np.arange(steps + 1) * interval
    slack = 1e-9 * interval
    if horizon - times[-1] > slack:
        times = np.append(times, horizon)
    times[-1] = horizon
    wanted = np.unique(np.fromiter((time for time in samples if 0 <= time <= horizon), float))
    after = np.clip(np.searchsorted(times, wanted), 1, None)
    between = (wanted - times[after - 1] > slack) & (times[after] - wanted > slack)
    return np.union1d(times, wanted[between])


def _times(case: Case) -> np.ndarray:
    return output_times(case.horizon, case.interval, (time for series in case.data for time in series.times))


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
    OutputError : the folder cannot be written to, holds something already, or another run writes to it; known before the solve.
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
    system = lowered(case, on_phase)
    with nullcontext() if folder is None else made_folder(folder, force=force):
        on_phase(Phase.SIMULATE)
        results, failure, seconds = run_system(case, system)
        report = None if folder is None else _write(results, folder, seconds, on_phase)
    if failure is not None:
        if folder is not None:
            failure.hint = "; ".join(filter(None, (failure.hint, f"what was computed, marked incomplete, is in {folder}")))
        raise failure
    return Outcome(results, report)


def lowered(case: Case, on_phase: OnPhase = lambda phase: None) -> DaeSystem:
    """Return the lowered system of a case; errors as of :func:`build_flowsheet` and :func:`solvers.lower`."""
    on_phase(Phase.BUILD)
    model = build_flowsheet(case).model
    on_phase(Phase.LOWER)
    return lower(model)


def run_system(case: Case, system: DaeSystem) -> tuple[Results, SimulationError | None, float]:
    """Simulate the system of a case; return its results, the error that ended it early, and the wall time it took (s).

    Raises
    ------
    SimulationError : the run failed before its first output point.
    """
    failure = None
    try:
        trajectory = _simulate(case, system, _times(case))
    except SimulationError as error:
        if error.trajectory is None or not len(error.trajectory.t):
            raise
        trajectory, failure = error.trajectory, error
    stopped = failure.message if failure else ""
    return collect_results(case.resolved, system.model, trajectory, stopped_because=stopped), failure, trajectory.stats.seconds


def profiles_of(case: Case) -> dict[str, Profile]:
    """Return the courses of a case's inputs by name."""
    return {spec.variable: spec.profile for spec in case.profiles}


def _simulate(case: Case, system: DaeSystem, times: np.ndarray) -> Trajectory:
    return simulate(system, times, inputs=profiles_of(case), rtol=case.rtol, atol=case.atol)


def _write(results: Results, folder: Path, seconds: float, on_phase: OnPhase) -> Path:
    """Write results and report, and return the path of the report."""
    on_phase(Phase.WRITE)
    # a long run is not lost because somebody removed the folder meanwhile
    make_folder(folder)
    with staging(folder) as stage:
        save_results(results, stage, seconds=seconds)
        # an old report must never be taken for that of the new results
        publish(stage, folder, names=(RESULTS_FILE, RUN_FILE), obsolete=(REPORT_FILE, RUN_FILE, CAMPAIGN_FILE))
    on_phase(Phase.REPORT)
    return write_report(folder / RESULTS_FILE, folder / REPORT_FILE)
