"""What a campaign gives: the results of its stages, what was handed over, and the balance across all of them, as plain data."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from flowsheet.campaign import charge_of
from flowsheet.results import BALANCE_LIMIT, Results
from flowsheet.results_layout import CAMPAIGN_FILE, RESULTS_FILE, canonical_json
from flowsheet.results_read import open_results
from solvers import Status
from solvers.errors import InputDataError, UsageError
from solvers.suggest import did_you_mean
from units.stream import MEASURES

FORMAT, SCHEMA = "flowsheet campaign", 1
UNITS = {str(measure.unit): measure for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class HandOverRow:
    """What was handed over of one component (or of the volume, where ``component`` is empty), in ``unit``.

    ``left`` is what remains of the ``pool`` after this hand-over and those before it; ``charge`` is what was taken and the fresh medium.
    """

    stage: str
    vessel: str
    source: str
    pool_vessel: str
    component: str
    pool: float
    taken: float
    left: float
    medium: float
    charge: float
    unit: str


@dataclass(frozen=True, slots=True)
class CampaignBalanceRow:
    """The balance of one component across a campaign, in ``unit``.

    ``begun`` is what the units of all stages held when these began, charged vessels apart; ``fed`` and ``medium`` what came from outside,
    ``reacted`` what reactions made, ``out`` what was withdrawn; ``left_behind`` what the stages before the last one held at their ends and
    did not hand over, ``remaining`` what the last one holds at its end. The residual is what does not fit, ``relative`` that over the
    largest of the amounts.
    """

    component: str
    begun: float
    fed: float
    medium: float
    reacted: float
    out: float
    left_behind: float
    remaining: float
    residual: float
    relative: float
    unit: str

    @property
    def closes(self) -> bool:
        """Whether the residual is below :data:`flowsheet.results.BALANCE_LIMIT` (False if it is not a number)."""
        return abs(self.relative) <= BALANCE_LIMIT


@dataclass(frozen=True, eq=False)
class CampaignResults:
    """The outcome of a campaign; ``results["n1"]`` are the :class:`flowsheet.results.Results` of a stage.

    Parameters
    ----------
    campaign : resolved, as :attr:`flowsheet.campaign.Campaign.resolved`.
    stages : results by stage, as far as the campaign came.
    stopped_because : why it did not reach its end; empty if it did.
    """

    campaign: Mapping[str, Any]
    stages: Mapping[str, Results]
    stopped_because: str = ""

    def __getitem__(self, stage: str) -> Results:
        """Return the results of a stage.

        Raises
        ------
        UsageError : there is no such stage, or the campaign stopped before it.
        """
        if stage not in self.stages:
            raise UsageError(f"no results of a stage {stage!r}", names=[stage], hint=did_you_mean(stage, self.stages))
        return self.stages[stage]

    @property
    def status(self) -> Status:
        """Whether the campaign reached its end."""
        return Status.INCOMPLETE if self.stopped_because else Status.COMPLETE

    @cached_property
    def hand_overs(self) -> tuple[HandOverRow, ...]:
        """What was handed over, by stage and component."""
        rows: list[HandOverRow] = []
        left: dict[tuple[str, str, str], float] = {}
        for entry in self.campaign["stages"]:
            if "charge" not in entry or entry["name"] not in self.stages:
                continue
            charge = charge_of(entry["charge"])
            pool, target = self.stages[charge.source], self.stages[entry["name"]]
            held = float(pool[f"{charge.pool}.volume"][-1])
            share = charge.share if charge.share is not None else float(charge.volume or 0.0) / held
            scalars = [("", "m^3", held, charge.medium_volume)]
            for row in target.balance:
                amount = f"{charge.pool}.{UNITS[row.unit].amount}[{row.component}]"
                fresh = charge.medium.get(row.component, 0.0) * charge.medium_volume
                if row.component in target.case.get("components", {}):
                    scalars.append((row.component, row.unit, float(pool[amount][-1]) if amount in pool else 0.0, fresh))
            for component, unit, there, fresh in scalars:
                key = charge.source, charge.pool, component
                left[key] = left.get(key, there) - share * there
                ends = entry["name"], charge.vessel, charge.source, charge.pool
                rows.append(HandOverRow(*ends, component, there, share * there, left[key], fresh, share * there + fresh, unit))
        return tuple(rows)

    @cached_property
    def balance(self) -> tuple[CampaignBalanceRow, ...]:
        """The balance of each component across all stages.

        What a charged vessel starts with counts as handed over, by the pool's end, and not by its own start: a hand-over that
        lost anything would show.
        """
        order = dict.fromkeys((row.component, row.unit) for results in self.stages.values() for row in results.balance)
        return tuple(self._balance_row(component, unit) for component, unit in order)

    def _balance_row(self, component: str, unit: str) -> CampaignBalanceRow:
        last = list(self.stages)[-1]
        moved = [row for row in self.hand_overs if row.component == component]
        charged = {row.stage: row.vessel for row in moved}
        begun = fed = reacted = out = behind = remaining = 0.0
        for stage, results in self.stages.items():
            begun += _held_at_start(results, component, unit, charged.get(stage, ""))
            fed += _end(results, "supplied", component, unit) + _end(results, "dosed", component, unit)
            reacted += _end(results, "reacted", component, unit)
            out += _end(results, "withdrawn", component, unit)
            held = _end(results, "inventory", component, unit) - sum(row.taken for row in moved if row.source == stage)
            if stage == last:
                remaining = held
            else:
                behind += held
        medium = sum(row.medium for row in moved)
        amounts = begun, fed, medium, reacted, out, behind, remaining
        residual = begun + fed + medium + reacted - out - behind - remaining
        scale = max(map(abs, amounts))
        return CampaignBalanceRow(component, *amounts, residual, residual / scale if scale != 0.0 else residual, unit)


def _end(results: Results, what: str, component: str, unit: str) -> float:
    name = f"balance.{what}{UNITS[unit].suffix}[{component}]"
    return float(results[name][-1]) if name in results else 0.0


def _held_at_start(results: Results, component: str, unit: str, charged: str) -> float:
    """Return what the units held before anything happened, a charged vessel apart; what is given at that very instant is dosed."""
    suffix = UNITS[unit].suffix
    total = 0.0
    for row in results.units:
        for what, sign in (("holdup", 1.0), ("dosed", -1.0)):
            name = f"{row.unit}.{what}{suffix}[{component}]"
            if row.unit != charged and name in results:
                total += sign * float(results[name][0])
    return total


def campaign_bytes(results: CampaignResults, stages: Mapping[str, bytes]) -> bytes:
    """Return the content of ``campaign.json``, with the SHA-256 of what the stages' results hold, given by stage."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in stages.items()}
    record = {
        "format": FORMAT,
        "schema": SCHEMA,
        "campaign": json.loads(canonical_json(results.campaign)),
        "results_sha256": digests,
        "stopped_because": results.stopped_because,
        "hand_overs": [_as_dict(row) for row in results.hand_overs],
        "balance": [_as_dict(row) for row in results.balance],
    }
    record["sha256"] = hashlib.sha256(canonical_json(record).encode()).hexdigest()
    return (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _as_dict(row: HandOverRow | CampaignBalanceRow) -> dict[str, Any]:
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()}


def read_record(folder: Path) -> dict[str, Any]:
    """Return what ``campaign.json`` in a folder says.

    Raises
    ------
    UsageError : there is none.
    InputDataError : it is damaged or of another kind.
    """
    path = folder / CAMPAIGN_FILE
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"no {CAMPAIGN_FILE} in {folder}", names=[str(folder)], hint="give the folder that `flowsheet run` wrote to"
        ) from None
    except (OSError, ValueError) as error:
        raise InputDataError(f"{path} cannot be read: {error}", names=[str(path)], hint="run the campaign again") from error
    if not isinstance(record, dict) or (record.get("format"), record.get("schema")) != (FORMAT, SCHEMA):
        raise InputDataError(f"{path} is no record of a campaign of schema {SCHEMA}", names=[str(path)], hint="run the campaign again")
    digest = record.pop("sha256", "")
    if digest != hashlib.sha256(canonical_json(record).encode()).hexdigest():
        raise InputDataError(f"{path} does not fit its SHA-256", names=[str(path)], hint="run the campaign again; it is not to be edited")
    return record


def open_campaign(path: str | Path) -> CampaignResults:
    """Read the results of a campaign from its folder.

    Raises
    ------
    UsageError : there are none.
    InputDataError : the record or the results of a stage are damaged, missing or do not belong together.
    """
    folder = Path(path)
    record = read_record(folder)
    stages = {}
    for name, digest in record["results_sha256"].items():
        file = folder / name / RESULTS_FILE
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise InputDataError(
                f"{file} is missing, or is not what the campaign in {folder} wrote",
                names=[str(file)],
                hint="run the campaign again; a run of one stage alone goes to another folder",
            )
        stages[name] = open_results(file)
    return CampaignResults(record["campaign"], stages, record["stopped_because"])
