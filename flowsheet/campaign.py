"""A campaign: cases that follow each other as stages; what a vessel of one holds at its end, the pool, charges a vessel of a later one.

Everything is in SI, checked and immutable. Read from a file by :func:`flowsheet.campaign_load.load_campaign`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowsheet.case import Case, UnitSpec
from flowsheet.problems import Problem, listed
from flowsheet.quantities import si_text
from flowsheet.results import split_name
from flowsheet.schema import SCHEMA
from solvers import HandOver
from solvers.errors import UsageError
from solvers.suggest import did_you_mean
from units.liquid import LiquidComponent
from units.stream import MEASURES, Measure

NEGLIGIBLE = 1e-7
"""Concentrations below zero by less than this share of their typical size are an integrator's error, and handed over as none."""
SHARES_TOLERANCE = 1e-9
"""How far the shares that are taken from a pool may exceed one together."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a stage takes from the pool of an earlier stage, and the fresh medium that it adds. Volumes in m3, amounts in SI.

    Parameters
    ----------
    source, pool : the earlier stage, and its vessel.
    vessel : what is charged; what its case says of its start is replaced.
    share, volume : how much of the pool is taken: one of the two.
    medium_volume : of the fresh medium.
    medium : its concentrations by component; components that are not named have none.
    """

    source: str
    pool: str
    vessel: str
    share: float | None = None
    volume: float | None = None
    medium_volume: float = 0.0
    medium: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage: its name, its case, and what charges it; None for the first stage."""

    name: str
    case: Case
    charge: Charge | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A whole campaign.

    Parameters
    ----------
    name, title, description, display : as of a :class:`flowsheet.case.Case`, for the report of the campaign.
    stages : in their order.
    warnings : what is allowed in the stages' cases but deserves a look.
    file : where it came from; not part of what is resolved.
    """

    name: str
    title: str
    description: str
    display: Mapping[str, str]
    stages: tuple[StageSpec, ...]
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    file: Path | None = field(default=None, compare=False)

    @property
    def begins(self) -> dict[str, float]:
        """When each stage begins on the campaign's clock (s): when the stage that charges it ends."""
        begins: dict[str, float] = {}
        ends: dict[str, float] = {}
        for stage in self.stages:
            begins[stage.name] = ends[stage.charge.source] if stage.charge else 0.0
            ends[stage.name] = begins[stage.name] + stage.case.horizon
        return begins

    @property
    def resolved(self) -> dict[str, Any]:
        """The campaign as plain data in SI; the cases of the stages stand in the results of these."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "display": dict(self.display),
            "stages": [
                {"name": s.name, "case": s.case.name, "begins": begins, **({"charge": _resolved_charge(s)} if s.charge else {})}
                for s, begins in zip(self.stages, self.begins.values(), strict=True)
            ],
        }


def _resolved_charge(stage: StageSpec) -> dict[str, Any]:
    charge = stage.charge
    assert charge is not None
    known = liquids(stage.case)
    taken = {"share": charge.share} if charge.share is not None else {"volume": {"value": charge.volume, "unit": "m^3"}}
    medium = {
        f"medium_{m.concentration}": {
            name: {"value": value, "unit": f"{si_text(m.unit)}/m^3"} for name, value in charge.medium.items() if known[name] is m
        }
        for m in MEASURES
    }
    return {
        "from": f"{charge.source}.{charge.pool}",
        "to": charge.vessel,
        **taken,
        "medium_volume": {"value": charge.medium_volume, "unit": "m^3"},
        **{key: values for key, values in medium.items() if values},
    }


def charge_of(entry: Mapping[str, Any]) -> Charge:
    """Return the charge of a resolved one, as in :attr:`Campaign.resolved`."""
    source, _, pool = entry["from"].partition(".")
    medium = {name: part["value"] for m in MEASURES for name, part in entry.get(f"medium_{m.concentration}", {}).items()}
    volume = entry["volume"]["value"] if "volume" in entry else None
    return Charge(source, pool, entry["to"], entry.get("share"), volume, entry["medium_volume"]["value"], medium)


def liquids(case: Case) -> dict[str, Measure]:
    """Return the components of liquids of a case, and how each is counted."""
    return {name: component.measure for name, component in case.materials.items() if isinstance(component, LiquidComponent)}


def is_vessel(unit: UnitSpec) -> bool:
    """Tell whether a unit is a vessel of liquid, which can be charged and pooled: its start is a volume and concentrations."""
    names = {parameter.name for parameter in unit.type.contract.parameters}
    return {"initial_volume", *(f"initial_{measure.concentration}" for measure in MEASURES)} <= names


@dataclass(frozen=True, slots=True)
class ChargeFault:
    """What is wrong with the charge of a stage, by number; ``key`` of the charge, empty for the whole."""

    stage: int
    key: str
    message: str
    allowed: str = ""
    hint: str = ""


def charge_faults(stages: Sequence[tuple[str, Case | None, Charge | None]]) -> list[ChargeFault]:
    """Return what is wrong with how stages are charged.

    Parameters
    ----------
    stages : each with its name, its case (None if that is not known, because it is invalid itself) and its charge.
    """
    faults = []
    cases = {name: case for name, case, _ in stages}
    taken: dict[tuple[str, str], float] = {}
    for number, (_, case, charge) in enumerate(stages):
        earlier = [other for other, *_ in stages[:number]]
        if charge is None:
            continue
        if not earlier:
            faults.append(ChargeFault(number, "", "the first stage has no pool that could charge it", hint="drop the charge"))
        elif charge.source not in earlier:
            hint = did_you_mean(charge.source, earlier) or "a pool is that of an earlier stage"
            faults.append(ChargeFault(number, "from", f"there is no earlier stage {charge.source!r}", listed(earlier), hint))
        else:
            faults += _vessel_faults(number, charge, cases[charge.source], case)
        if charge.share is not None:
            pool = charge.source, charge.pool
            taken[pool] = taken.get(pool, 0.0) + charge.share
            if taken[pool] > 1 + SHARES_TOLERANCE:
                message = f"more is taken from {charge.source}.{charge.pool} than it holds: {100 * taken[pool]:g} % in all stages"
                faults.append(ChargeFault(number, "share", message, "at most 100 % in all"))
    return faults


def _vessel_faults(number: int, charge: Charge, source: Case | None, target: Case | None) -> list[ChargeFault]:
    faults = []
    for key, case, name in (("from", source, charge.pool), ("to", target, charge.vessel)):
        if case is None:
            continue
        vessels = [unit.name for unit in case.units if is_vessel(unit)]
        allowed = listed(vessels) or "none: the case has no vessel of liquid"
        known = {unit.name: unit.type.name for unit in case.units}
        if name not in known:
            faults.append(ChargeFault(number, key, f"the case {case.name} has no unit {name!r}", allowed, did_you_mean(name, vessels)))
        elif name not in vessels:
            hint = "only what a vessel of liquid holds is handed over, no powder and no stream"
            faults.append(ChargeFault(number, key, f"{name} is a {known[name]} and no vessel of liquid", allowed, hint))
    if source is not None and target is not None and not faults:
        known_here = liquids(target)
        for name, measure in liquids(source).items():
            if known_here.get(name) is not measure:
                what = "does not know" if name not in known_here else "counts otherwise"
                hint = f'declare [components.{name}] with amount = "{measure.amount}"'
                faults.append(ChargeFault(number, "from", f"the pool holds {name}, which the case {target.name} {what}", hint=hint))
    return faults


def hand_over(stage: StageSpec, source: StageSpec) -> HandOver:
    """Return the pure function from the pool of a stage to the start of the vessel that it charges.

    Amounts and volume of the share are added to those of the fresh medium. Its settings, which derivatives can be taken by, are
    ``charge.share`` or ``charge.volume``, ``charge.medium_volume``, and ``charge.medium_molarity[glucose]`` and the like.
    """
    charge = stage.charge
    assert charge is not None
    pooled, known = liquids(source.case), liquids(stage.case)
    settings = {"charge.share": charge.share} if charge.share is not None else {"charge.volume": float(charge.volume or 0.0)}
    settings["charge.medium_volume"] = charge.medium_volume
    settings |= {f"charge.medium_{m.concentration}[{name}]": charge.medium.get(name, 0.0) for name, m in known.items()}

    def rule(pool: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        held = pool[f"{charge.pool}.volume"]
        share = own["charge.share"] if charge.share is not None else own["charge.volume"] / held
        volume = share * held + own["charge.medium_volume"]
        start = {f"{charge.vessel}.initial_volume": volume}
        for name, measure in known.items():
            amount = own["charge.medium_volume"] * own[f"charge.medium_{measure.concentration}[{name}]"]
            if name in pooled:
                amount += share * pool[f"{charge.pool}.{measure.amount}[{name}]"]
            start[f"{charge.vessel}.initial_{measure.concentration}[{name}]"] = amount / volume
        return start

    return HandOver.written(source.name, stage.name, rule, settings)


def charged_case(stage: StageSpec, start: Mapping[str, float]) -> Case:
    """Return a stage's case with the start of the charged vessel put in, by name as :func:`hand_over` gives it."""
    charge = stage.charge
    assert charge is not None
    measures = {f"initial_{measure.concentration}": measure for measure in MEASURES}
    changed: dict[str, Any] = {}
    for name, value in start.items():
        parameter, index = split_name(name.partition(".")[2])
        if not index:
            changed[parameter] = value
        else:
            none = -NEGLIGIBLE * measures[parameter].typical <= value < 0.0
            changed.setdefault(parameter, {})[index[0]] = 0.0 if none else value
    units = (replace(unit, parameters={**unit.parameters, **changed}) if unit.name == charge.vessel else unit for unit in stage.case.units)
    return replace(stage.case, units=tuple(units))


def checked(campaign: Campaign) -> None:
    """Refuse a campaign put together in Python whose stages do not fit; one from a file has been checked.

    Raises
    ------
    UsageError : stages without a name of their own, or without a charge, or one that does not fit.
    """
    names = [stage.name for stage in campaign.stages]
    if not names or len(set(names)) < len(names):
        raise UsageError("a campaign needs stages with a name of its own each", names=names)
    missing = [stage.name for stage in campaign.stages[1:] if stage.charge is None]
    faults = charge_faults([(stage.name, stage.case, stage.charge) for stage in campaign.stages])
    told = [f"stage {names[fault.stage]}: {fault.message}" for fault in faults] + [f"stage {name}: nothing charges it" for name in missing]
    for stage in campaign.stages:
        charge = stage.charge
        if charge is None:
            continue
        if (charge.share is None) == (charge.volume is None):
            told.append(f"stage {stage.name}: a charge takes either a share or a volume of its pool")
        unknown = [name for name in charge.medium if name not in liquids(stage.case)]
        told += [f"stage {stage.name}: the medium holds {name}, which the case {stage.case.name} does not know" for name in unknown]
        numbers = [charge.share or 0.0, charge.volume or 0.0, charge.medium_volume, *charge.medium.values()]
        if not all(0.0 <= number < float("inf") for number in numbers):
            told.append(f"stage {stage.name}: a number of its charge is negative or not finite")
    if told:
        raise UsageError("; ".join(told), names=names, hint=next((fault.hint for fault in faults if fault.hint), ""))
