"""From a campaign to results and reports: one stage after the other, and what is left behind when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from flowsheet.atomic import publish, staging, write_atomically
from flowsheet.campaign import Campaign, StageSpec, charged_case, checked, hand_over
from flowsheet.campaign_load import load_campaign
from flowsheet.campaign_results import CampaignResults, campaign_bytes, read_record
from flowsheet.case import Case
from flowsheet.folders import check_folder, made_folder, make_folder
from flowsheet.report import write_report
from flowsheet.results import Results
from flowsheet.results_layout import CAMPAIGN_FILE, RESULTS_FILE, RUN_FILE
from flowsheet.results_write import save_results
from flowsheet.run import REPORT_FILE, check_case, lowered, output_times, profiles_of, run_system
from solvers import CampaignSensitivities, DaeSystem, Method, SimulationError, Stage, campaign_sensitivities
from solvers.errors import CaseError, FlowsheetError, InputDataError, NumericsError, UsageError

OnPhase = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CampaignOutcome:
    """A finished campaign: its results, and the report if anything was written."""

    results: CampaignResults
    report: Path | None


def check_campaign(campaign: Campaign) -> dict[str, DaeSystem]:
    """Do for the case of every stage what :func:`flowsheet.run.check_case` does, and return the lowered systems by stage.

    The start of a charged vessel is that of its case: what it will be charged with shows when the stages before have run.

    Raises
    ------
    UsageError : the stages do not fit.
    StructureError, SimulationError : of the first stage that has such an error; the stage is named.
    """
    checked(campaign)
    systems = {}
    for stage in campaign.stages:
        with _named(stage):
            systems[stage.name] = check_case(stage.case)
    return systems


@contextmanager
def _named(stage: StageSpec) -> Iterator[None]:
    """Tell which stage an error is of."""
    try:
        yield
    except FlowsheetError as error:
        error.message = f"stage {stage.name}: {error.message}"
        raise


def run_campaign(
    campaign: Campaign | str | Path, out: str | Path | None = None, overrides: Iterable[str] = (), *, force: bool = False
) -> CampaignResults:
    """Simulate a campaign and return its results.

    Parameters
    ----------
    campaign : a campaign, or the path of its file, which ``overrides`` go with.
    out : folder for ``campaign.json``, ``report.html`` and a folder for each stage; nothing is written if None.
    overrides : as for :func:`flowsheet.campaign_load.load_campaign`.
    force : replace results that are already there.

    Raises
    ------
    UsageError, CaseErrors, StructureError : before anything is solved or written.
    OutputError : the folder cannot be written to, holds something already, or another run writes to it; known before the solve.
    SimulationError : a stage failed, or cannot be charged as it should; what was computed is written and marked incomplete.
    """
    if not isinstance(campaign, Campaign):
        campaign = load_campaign(campaign, overrides)
    elif list(overrides):
        raise UsageError("overrides go with the path of a campaign", hint="load_campaign(path, overrides)")
    return perform_campaign(campaign, out, force=force).results


def perform_campaign(
    campaign: Campaign, out: str | Path | None, *, force: bool = False, on_phase: OnPhase = lambda phase: None
) -> CampaignOutcome:
    """Run a campaign through all stages. Arguments and errors as for :func:`run_campaign`; ``on_phase`` hears where it is."""
    checked(campaign)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_folder(folder, force=force)
    for stage in campaign.stages:
        on_phase(f"{stage.name}: looking at its structure")
        with _named(stage):
            lowered(stage.case)
    with nullcontext() if folder is None else made_folder(folder, force=force):
        stages, seconds, failure = _simulated(campaign, on_phase)
        if failure is not None and not stages:
            raise failure
        results = CampaignResults(campaign.resolved, stages, failure.message if failure else "")
        report = None if folder is None else _write(results, folder, seconds, on_phase)
    if failure is not None:
        if folder is not None:
            failure.hint = "; ".join(filter(None, (failure.hint, f"what was computed, marked incomplete, is in {folder}")))
        raise failure
    return CampaignOutcome(results, report)


def _simulated(campaign: Campaign, on_phase: OnPhase) -> tuple[dict[str, Results], dict[str, float], SimulationError | None]:
    """Return the results of the stages and their wall times, as far as they came, and the error that ended the campaign."""
    stages: dict[str, Results] = {}
    seconds: dict[str, float] = {}
    for stage in campaign.stages:
        on_phase(f"{stage.name}: simulating")
        try:
            case = as_charged(campaign, stage, stages)
            results, failure, seconds[stage.name] = run_system(case, lowered(case))
        except (NumericsError, CaseError) as error:
            return stages, seconds, _stopped(stage, error)
        stages[stage.name] = results
        if failure is not None:
            return stages, seconds, _stopped(stage, failure)
    return stages, seconds, None


def _stopped(stage: StageSpec, error: FlowsheetError) -> SimulationError:
    charged = "" if not isinstance(error, CaseError) else "cannot be charged like that: "
    return SimulationError(f"stage {stage.name}: {charged}{error.message}", names=error.names, hint=error.hint)


def as_charged(campaign: Campaign, stage: StageSpec, stages: dict[str, Results]) -> Case:
    """Return the case of a stage with what it is charged with, by the results of the stages before it.

    Raises
    ------
    CaseError : more is taken than a pool holds.
    NumericsError : a charge is not finite.
    """
    charge = stage.charge
    if charge is None:
        return stage.case
    source = next(other for other in campaign.stages if other.name == charge.source)
    pool = stages[charge.source]
    held = float(pool[f"{charge.pool}.volume"][-1])
    takers = [s.charge for s in campaign.stages[: campaign.stages.index(stage) + 1] if s.charge]
    takers = [other for other in takers if (other.source, other.pool) == (charge.source, charge.pool)]
    wanted = sum((other.share or 0.0) * held if other.volume is None else other.volume for other in takers)
    if wanted > held * (1 + 1e-9):
        raise CaseError(
            f"{1e3 * wanted:.6g} L are taken from {charge.source}.{charge.pool}, which holds {1e3 * held:.6g} L",
            names=[f"{charge.source}.{charge.pool}"],
            hint="take less, or a share",
        )
    return charged_case(stage, hand_over(stage, source).given(pool))


def derivatives(
    campaign: Campaign, parameters: Sequence[str], outputs: Sequence[str], *, method: Method = Method.FORWARD
) -> CampaignSensitivities:
    """Run a campaign and return derivatives of variables of any stage by parameters of any stage, through all hand-overs.

    Parameters
    ----------
    campaign : as read or made.
    parameters : ``stage.unit.parameter`` as for :func:`solvers.sensitivities`, or of a hand-over ``stage.charge.share`` and the like
        (:func:`flowsheet.campaign.hand_over`).
    outputs : ``stage.unit.variable``.
    method : of the derivatives within the stages.

    Returns
    -------
    Over the output points of each stage; ``result[("production", "flask.volume"), ("n1", "charge.share")]``. Tolerances are the tightest of
    all stages.

    Raises
    ------
    UsageError : a name is unknown, or a parameter is charged. SimulationError : a stage failed.
    """
    checked(campaign)
    stages, _, failure = _simulated(campaign, lambda phase: None)
    if failure is not None:
        raise failure
    cases = {stage.name: as_charged(campaign, stage, stages) for stage in campaign.stages}
    chain = [
        Stage(name, lowered(case), output_times(case.horizon, case.interval), profiles_of(case) or None) for name, case in cases.items()
    ]
    specs = {stage.name: stage for stage in campaign.stages}
    hand_overs = [hand_over(stage, specs[stage.charge.source]) for stage in campaign.stages if stage.charge]
    rtol, atol = (min(tolerances) for tolerances in zip(*((case.rtol, case.atol) for case in cases.values()), strict=True))
    by, of = ([(stage, rest) for stage, _, rest in (name.partition(".") for name in names)] for names in (parameters, outputs))
    return campaign_sensitivities(chain, hand_overs, by, of, rtol=rtol, atol=atol, method=method)


def _write(results: CampaignResults, folder: Path, seconds: dict[str, float], on_phase: OnPhase) -> Path:
    """Write everything, and return the path of the report of the campaign."""
    on_phase("writing results")
    make_folder(folder)
    old = _stages_in(folder)
    with staging(folder) as stage:
        contents = {}
        for name, part in results.stages.items():
            make_folder(stage / name)
            save_results(part, stage / name, seconds=seconds[name])
            contents[name] = (stage / name / RESULTS_FILE).read_bytes()
            make_folder(folder / name)
        write_atomically(stage / CAMPAIGN_FILE, campaign_bytes(results, contents))
        # the record comes first: whoever opens half of a campaign then misses the other half
        written = [f"{name}/{file}" for name in results.stages for file in (RESULTS_FILE, RUN_FILE)]
        obsolete = [REPORT_FILE, RESULTS_FILE, RUN_FILE]
        obsolete += [f"{name}/{file}" for name in {*old, *results.stages} for file in (RUN_FILE, REPORT_FILE)]
        obsolete += [f"{name}/{RESULTS_FILE}" for name in old if name not in results.stages]
        publish(stage, folder, names=(CAMPAIGN_FILE, *written), obsolete=obsolete)
    for name in old:
        with suppress(OSError):
            # what else is in it is not ours
            (folder / name).rmdir()
    for name in results.stages:
        on_phase(f"{name}: writing the report")
        write_report(folder / name)
    on_phase("writing the report")
    return write_report(folder)


def _stages_in(folder: Path) -> list[str]:
    """Return the stages of the campaign whose results stand in a folder, if any do."""
    try:
        return list(read_record(folder)["results_sha256"])
    except (UsageError, InputDataError):
        return []
