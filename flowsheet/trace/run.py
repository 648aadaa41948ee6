"""From a case to its trace: which simulations it takes, in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowsheet.balance import members_of
from flowsheet.case import Case, FunnelSpec, Specification, TraceSpec
from flowsheet.collect import balance_rows
from flowsheet.problems import CaseErrors, Problem, listed
from flowsheet.report.layout import arrange
from flowsheet.results import BalanceRow
from flowsheet.run import build_flowsheet, output_times
from flowsheet.trace.disturbances import Disturbance, Pulse, follow_disturbance, most_affected, pulses_of
from flowsheet.trace.following import add_following, is_exit, powder_outlets
from flowsheet.trace.gates import GateResult, follow_gates, unknown_transport
from flowsheet.trace.lots import POWDER, Lot, follow_lot, index_of, lots_of
from flowsheet.trace.steps import Funnel, Runner, follow_funnels
from solvers import Trajectory, lower
from units.stream import Material, substances

MOST_PULSES = 20
"""As many disturbances are followed, each of which takes a run of its own."""

MOST_DECISIONS = 200_000
"""As many decisions of a gate are looked at in a run."""

LEAST_POINTS = 3600
"""A trace looks at so many times at least, whatever output points a case asks for."""
BEFORE = 1e-5
"""Time (s) before a jump at which courses are looked at."""

OnPhase = Callable[[str], None]
NOTHING = (
    "declare lots as materials with one `substance` (cases/lot_change), a pulse as one of [[profiles]] that has a label and "
    "returns to its first value, or [[trace.diversions]] and [[trace.funnels]]"
)


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """What was followed in a case, at times ``t`` (n,) in s; tables of lots, disturbances, funnels and diversions.

    ``balance`` is that of the run, ``runs`` says how many simulations it took, ``notes`` what was left out.
    """

    case: Case
    spec: TraceSpec
    t: np.ndarray
    lots: tuple[Lot, ...]
    disturbances: tuple[Disturbance, ...]
    funnels: tuple[Funnel, ...]
    diversions: tuple[GateResult, ...]
    balance: tuple[BalanceRow, ...]
    runs: int
    notes: tuple[str, ...]


def trace_case(case: Case, on_phase: OnPhase = lambda phase: None) -> Trace:
    """Follow lots and disturbances of a case, and what its diversions and funnels ask for.

    Raises
    ------
    CaseErrors : there is nothing to follow, or what is asked for is not there.
    StructureError, UsageError : as for a run.
    SimulationError : a run failed; nothing of the trace is kept.
    """
    spec = case.trace or TraceSpec()
    lots = lots_of(case)
    pulses = [pulse for profile in case.profiles if index_of(profile.variable) not in lots for pulse in pulses_of(profile, case.horizon)]
    if not (lots or pulses or spec.diversions or spec.funnels):
        raise CaseErrors([Problem("there is nothing to trace in this case", "trace", hint=NOTHING, file=str(case.file or case.name))])
    on_phase("building the model")
    model = build_flowsheet(case).model
    add_following(model, {unit.name: unit.type.contract.outlets(unit.parameters) for unit in case.units})
    line = _Line.of(case, model)
    asked = _funnels(case, spec, pulses)
    _check_gates(case, spec, line, asked)
    on_phase("lowering")
    runner = Runner(case, lower(model))
    t = _times(case)
    on_phase("simulating the case")
    whole = runner.run(t)
    balance = balance_rows(whole)
    rows = {row.component: row for row in balance}
    followed = tuple(_follow(case, spec, name, t, whole, line, rows[name]) for name in lots)
    notes = []
    if len(pulses) > MOST_PULSES:
        notes.append(f"only the first {MOST_PULSES} of {len(pulses)} disturbances are followed")
    disturbances = []
    for pulse in pulses[:MOST_PULSES]:
        on_phase(f"simulating without: {pulse.label}")
        disturbances.append(_compare(case, spec, pulse, t, whole, runner.run(t, {pulse.variable: pulse.without}), line))
    funnels = follow_funnels(asked, pulses, runner, _limits(case), on_phase)
    diversions = follow_gates(spec.diversions, t, whole, funnels, _limits(case))
    return Trace(case, spec, t, followed, tuple(disturbances), funnels, diversions, balance, runner.count, tuple(notes))


def _times(case: Case) -> np.ndarray:
    """Return times to look at, among them those just before and at which inputs jump, so that no line is drawn across a jump."""
    jumps = {time for spec in case.profiles for time in spec.profile.times if BEFORE < time <= case.horizon}
    return output_times(case.horizon, min(case.interval, case.horizon / LEAST_POINTS), sorted({*jumps, *(time - BEFORE for time in jumps)}))


@dataclass(frozen=True, slots=True)
class _Line:
    """Units along the streams: those that hold powder and those by which it leaves, with their materials, those of the latter that make
    tablets or hand out vapor only, and those that powder passes.
    """

    order: tuple[str, ...]
    places: Mapping[str, Sequence[str]]
    exits: Mapping[str, Sequence[str]]
    presses: tuple[str, ...]
    vents: tuple[str, ...]
    passed: tuple[str, ...]

    @classmethod
    def of(cls, case: Case, model: Any) -> _Line:
        names = [unit.name for unit in case.units]
        edges = [(stream.source.partition(".")[0], stream.target.partition(".")[0]) for stream in case.streams]
        order = tuple(str(node) for column in arrange(names, edges).columns for node in column if isinstance(node, str))
        blocks = {name: model.component(name) for name in order}
        powders = [name for name, material in case.materials.items() if isinstance(material, Material)]

        def materials(amounts: Any) -> list[str]:
            return [c for c in members_of(amounts) if c in powders]

        places = {name: materials(unit.holdup) for name, unit in blocks.items() if unit.component("holdup") is not None}
        exits = {name: materials(unit.withdrawal) for name, unit in blocks.items() if is_exit(unit)}
        presses = tuple(name for name, unit in blocks.items() if unit.component("tablet_rate") is not None)
        outlets = {unit.name: unit.type.contract.outlets(unit.parameters) for unit in case.units}
        vents = tuple(name for name in exits if powder_outlets(blocks[name], outlets[name]))
        passed = model.balance.component("passed_mass")
        through = () if passed is None else tuple(dict.fromkeys(name for _, name in passed))
        return cls(order, {name: found for name, found in places.items() if found}, exits, presses, vents, through)


def _follow(case: Case, spec: TraceSpec, name: str, t: np.ndarray, run: Trajectory, line: _Line, balance: BalanceRow) -> Lot:
    powders = {each: material for each, material in case.materials.items() if isinstance(material, Material)}
    substance = powders[name].substance or name
    relatives = substances(powders)[substance]
    if spec.share_of == POWDER or len(relatives) == 1:
        relatives, substance = list(powders), POWDER
    return follow_lot(
        name, relatives, substance, t, run.__getitem__, line.places, line.exits, line.presses, spec.threshold, balance, line.vents
    )


def _compare(
    case: Case, spec: TraceSpec, pulse: Pulse, t: np.ndarray, with_it: Trajectory, without: Trajectory, line: _Line
) -> Disturbance:
    known = set(with_it.names)
    powders = [name for name, material in case.materials.items() if isinstance(material, Material)]
    rank = {name: number for number, name in enumerate(line.order)}
    streams = sorted(case.streams, key=lambda stream: rank[stream.source.partition(".")[0]])
    sources = [stream.source for stream in streams if f"{stream.source}_total" in known]
    component = most_affected(powders, sources, with_it.__getitem__, without.__getitem__) if sources else ""
    variables = {f"{source}_fraction[{component}]": "" for source in sources if component}
    variables |= {each.variable: each.unit for each in case.specifications}
    variables |= {name: unit for each in spec.diversions for name, unit in ((each.sensor, each.sensor_unit), (each.watch, each.unit))}
    both = (with_it.__getitem__, without.__getitem__)
    return follow_disturbance(pulse, component, t, *both, variables, line.exits, line.presses, spec.threshold, line.vents)


def _limits(case: Case) -> dict[str, Specification]:
    return {spec.variable: spec for spec in case.specifications}


def _funnels(case: Case, spec: TraceSpec, pulses: Sequence[Pulse]) -> tuple[FunnelSpec, ...]:
    """Return the funnels of a case; if it names none, one for each disturbed input and each specified share of a component."""
    if spec.funnels:
        return spec.funnels
    disturbed = {pulse.variable: pulse.unit for pulse in pulses}
    shares = [each for each in case.specifications if not each.unit and index_of(each.variable)]
    return tuple(
        FunnelSpec(variable, unit, each.variable, each.unit, None, None, None, None, None, (), "")
        for variable, unit in disturbed.items()
        for each in shares
    )


def _check_gates(case: Case, spec: TraceSpec, line: _Line, funnels: Sequence[FunnelSpec]) -> None:
    """Refuse diversions at units that no powder passes, those whose transport nothing tells, and those that begin after the run."""
    file, hint = str(case.file or case.name), "name by `at` the unit whose powder is diverted"
    wrong = [
        Problem(f"no powder passes {each.at}", f"trace.diversions[{number}].at", listed(line.passed) or "none", hint, file)
        for number, each in enumerate(spec.diversions)
        if each.at not in line.passed
    ]
    watched = {funnel.watch for funnel in funnels}
    wrong += [
        unknown_transport(number, each, file)
        for number, each in enumerate(spec.diversions)
        if each.transport is None and each.sensor != each.watch and each.watch not in watched
    ]
    wrong += [
        Problem(f"the run ends before ({each.after:g} s)", f"trace.diversions[{number}].after", f"below {case.horizon:g} s", file=file)
        for number, each in enumerate(spec.diversions)
        if each.after is not None and each.after >= case.horizon
    ]
    wrong += [
        Problem(
            f"asks for {case.horizon / period:.3g} decisions",
            f"trace.diversions[{number}].scan_time",
            f"at most {MOST_DECISIONS}",
            file=file,
        )
        for number, each in enumerate(spec.diversions)
        for period in [each.scan_time * each.scans]
        if period > 0 and case.horizon / period > MOST_DECISIONS
    ]
    if wrong:
        raise CaseErrors(wrong)
