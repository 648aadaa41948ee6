"""Reading a campaign file, and the cases of its stages; everything that is wrong in any of them is told at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from flowsheet import schema
from flowsheet.campaign import Campaign, Charge, StageSpec, charge_faults, liquids
from flowsheet.case import Case
from flowsheet.case_check import Checker, missing, read_entries, read_parameter, read_table
from flowsheet.case_load import apply_value, is_campaign, load_case, read_document, split_override
from flowsheet.case_read import check_schema, in_order, read_display
from flowsheet.positions import KeyPath
from flowsheet.problems import CaseErrors, Problem, ProblemsError, shown
from flowsheet.schema import Key, Kind
from solvers.errors import UsageError
from solvers.suggest import did_you_mean
from units.liquid import concentration_parameters
from units.stream import MASS

MEDIUM = concentration_parameters("medium_", "of the fresh medium")

TOP = (
    *(key for key in schema.TOP if key.name in ("schema", "name", "title", "description", "display")),
    Key("stages", Kind.RAW, "the stages, in their order", required=True),
)

STAGE = (
    Key("name", Kind.NAME, "name of the stage; its results go to a folder of this name", required=True),
    Key("case", Kind.LINE, "path of its case, from the folder of this file", required=True),
    Key("charge", Kind.RAW, "what it takes from an earlier stage"),
)

CHARGE = (
    Key("from", Kind.RAW, "the pool, as stage.vessel", required=True),
    Key("to", Kind.LINE, "the vessel that is charged", required=True),
    Key("share", Kind.NUMBER, "share of the pool that is taken", lower=0.0, upper=1.0, open_lower=True),
    Key("volume", Kind.QUANTITY, "volume that is taken, instead of a share", "m^3", lower=0.0, open_lower=True),
    Key("medium_volume", Kind.QUANTITY, "volume of fresh medium that is added", "m^3", default=0.0, lower=0.0),
    *(Key(parameter.name, Kind.RAW, parameter.doc) for parameter in MEDIUM),
)

MOST_STAGES = 50


def load(path: str | Path, overrides: Iterable[str] = (), *, strict: bool = False) -> Case | Campaign:
    """Read and check a case or a campaign, whichever it is; arguments and errors as of :func:`flowsheet.case_load.load_case`."""
    texts = list(overrides)
    _, document, _ = read_document(path)
    return load_campaign(path, texts, strict=strict) if is_campaign(document) else load_case(path, texts, strict=strict)


def load_campaign(path: str | Path, overrides: Iterable[str] = (), *, strict: bool = False) -> Campaign:
    """Read and check a campaign with the cases of all its stages.

    Parameters
    ----------
    path : a folder with ``case.toml``, or a TOML file.
    overrides : texts such as ``n1.flask.temperature=36 degC`` (of a stage's case), ``n1.charge.share=30 %`` or ``title=...``.
    strict : take warnings for errors.

    Raises
    ------
    UsageError : there is no such file, or an override is not of that form.
    CaseErrors : the campaign or a case of a stage is invalid; every problem with file, line, column and what is allowed.
    """
    file, document, positions = read_document(path)
    if not is_campaign(document):
        raise CaseErrors(
            [Problem("not a campaign: there are no stages", allowed="[[stages]]", hint="load_case reads cases", file=str(file))]
        )
    texts, changed = _sorted_overrides(document, overrides)
    check = Checker(str(file), positions, changed)
    check_schema(document, check)
    top = read_table(check, document, (), TOP)
    display = read_display(check, top["display"])
    names, cases, charges = _read_stages(check, document["stages"], file.parent, texts)
    for fault in charge_faults(list(zip(names, cases, charges, strict=True))):
        check.problem(("stages", fault.stage, "charge", *((fault.key,) if fault.key else ())), fault.message, fault.allowed, fault.hint)
    if check.problems:
        files = list(dict.fromkeys([check.file, *(problem.file for problem in check.problems)]))
        raise CaseErrors([problem for one in files for problem in in_order(dict.fromkeys(check.problems)) if problem.file == one])
    if strict and check.warnings:
        raise CaseErrors(check.warnings)
    stages = tuple(StageSpec(name, case, charge) for name, case, charge in zip(names, cases, charges, strict=True) if case is not None)
    return Campaign(top["name"], top["title"], top["description"], display, stages, tuple(check.warnings), file)


def _sorted_overrides(document: dict[str, Any], overrides: Iterable[str]) -> tuple[dict[str, list[str]], list[KeyPath]]:
    """Return the overrides of the stages' cases by stage; those of the campaign itself are applied, and their paths returned."""
    tables = document["stages"] if isinstance(document["stages"], list) else []
    places = {str(table.get("name")): number for number, table in enumerate(tables) if isinstance(table, dict)}
    texts: dict[str, list[str]] = {}
    changed: list[KeyPath] = []
    own = [key.name for key in TOP if key.name not in ("schema", "stages")]
    for text in overrides:
        parts, written = split_override(text)
        if parts[0] in places and len(parts) > 1 and parts[1] == "charge":
            number = places[parts[0]]
            changed.append(("stages", number, *apply_value(tables[number], parts[1:], written)))
        elif parts[0] in places and len(parts) > 1:
            texts.setdefault(parts[0], []).append(text.partition(".")[2])
        elif parts[0] in own:
            changed.append(apply_value(document, parts, written))
        else:
            hint = did_you_mean(parts[0], [*places, *own]) or "of a stage's case it is --set STAGE.UNIT.KEY=VALUE"
            raise UsageError(f"--set {text[:80]}: there is no stage {parts[0]!r}", names=[text], hint=hint)
    return texts, changed


def _read_stages(
    check: Checker, tables: object, folder: Path, texts: Mapping[str, list[str]]
) -> tuple[list[str], list[Case | None], list[Charge | None]]:
    entries = read_entries(check, tables, "stages", STAGE, MOST_STAGES)
    if isinstance(tables, list) and not tables:
        check.problem(("stages",), "is empty", "at least one [[stages]]")
    names: list[str] = []
    cases: list[Case | None] = []
    charges: list[Charge | None] = []
    for number, (path, values) in enumerate(entries):
        name = values["name"] or ""
        if name and not (schema.NAME.fullmatch(name) and name.lower() not in schema.DEVICES):
            check.problem((*path, "name"), f"the name cannot be used (got {shown(name)})", schema.NAME_ALLOWED)
        elif name.lower() in [other.lower() for other in names if other]:
            check.problem((*path, "name"), f"there is a stage called {name} already", "a name of its own")
        case = _read_case(check, (*path, "case"), values["case"], folder, texts.get(name, []))
        if number and values["charge"] is None:
            missing(check, path, "charge", "what it takes from an earlier stage", "a table [stages.charge]")
        names.append(name)
        cases.append(case)
        charges.append(None if values["charge"] is None else _read_charge(check, (*path, "charge"), values["charge"], case))
    return names, cases, charges


def _read_case(check: Checker, path: KeyPath, written: str | None, folder: Path, overrides: list[str]) -> Case | None:
    """Return the case of a stage, or None; what is wrong with it is noted with its own places."""
    if written is None:
        return None
    if PurePosixPath(written).is_absolute() or PureWindowsPath(written).drive or "\\" in written:
        check.problem(path, f"expected a path from the folder of this file (got {shown(written)})", 'such as "n1.toml" or "../perfusion"')
        return None
    try:
        case = load_case(folder / written, overrides)
    except ProblemsError as error:
        check.problems += error.problems
        return None
    except UsageError as error:
        check.problem(path, error.message, hint=error.hint)
        return None
    check.warnings += case.warnings
    return case


def _read_charge(check: Checker, path: KeyPath, table: object, case: Case | None) -> Charge | None:
    before = len(check.problems)
    values = read_table(check, table, path, CHARGE)
    medium = _read_medium(check, path, values, case)
    if not isinstance(table, dict):
        return None
    pool = values["from"]
    if pool is not None and not (isinstance(pool, str) and schema.ENDPOINT.fullmatch(pool)):
        check.problem((*path, "from"), f"expected a stage and its vessel (got {shown(pool)})", "stage.vessel, such as n2.flask")
    taken = [key for key in ("share", "volume") if key in table]
    if len(taken) != 1:
        check.problem(
            path, "takes nothing from the pool" if not taken else "takes both a share and a volume", "share or volume", at_key=True
        )
    if medium and not values["medium_volume"]:
        missing(check, path, "medium_volume", "the medium has a composition and no volume", '"80 mL"')
    if len(check.problems) > before:
        return None
    source, _, vessel = str(pool).partition(".")
    return Charge(source, vessel, values["to"], values["share"], values["volume"], values["medium_volume"], medium)


def _read_medium(check: Checker, path: KeyPath, values: Mapping[str, Any], case: Case | None) -> dict[str, float]:
    """Return the concentrations of the fresh medium that are given; with no case there is nothing to hold them against."""
    found: dict[str, float] = {}
    known = {} if case is None else liquids(case)
    for parameter in MEDIUM if case is not None else ():
        members = [name for name, measure in known.items() if measure is (parameter.of or MASS)]
        if values[parameter.name] is None:
            continue
        numbers = read_parameter(check, parameter, values[parameter.name], (*path, parameter.name), members)
        if isinstance(numbers, dict):
            found |= {name: value for name, value in numbers.items() if value}
        elif numbers is not None:
            found |= dict.fromkeys(members, float(numbers))
    return found
