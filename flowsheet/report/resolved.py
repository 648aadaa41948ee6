"""The resolved case as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowsheet.display import format_number, pretty_unit
from flowsheet.report.markup import Cell, number, pairs, row, table, text
from flowsheet.report.view import View


def readable(view: View) -> str:
    """Return the parameters of the units, the materials and the profiles as tables."""
    case = view.case
    general = [("horizon", f"{_written(case.get('horizon', '–'))} s")]
    for table_name in ("output", "solver"):
        general += [(f"{table_name} · {key}", _written(value)) for key, value in case.get(table_name, {}).items()]
    parts = [pairs(general), _profiles(case.get("profiles", ()))]
    order = [unit.unit for unit in view.results.units]
    known = case.get("units", {})
    materials = case.get("materials", {}) | case.get("components", {})
    sizes = {"sizes": case["sizes"]} if "sizes" in case else {}
    for title, entries in (
        ("Size classes", sizes),
        ("Materials", materials),
        ("Units", {name: known[name] for name in order if name in known}),
    ):
        if entries:
            tables = "".join(
                f"<div>{table(('', 'Value', 'Unit'), _entry_rows(name, entry), (1,))}</div>" for name, entry in entries.items()
            )
            parts.append(f'<h3>{title}</h3><div class="pair">{tables}</div>')
    return "".join(parts)


def _profiles(profiles: Sequence[Mapping[str, Any]]) -> str:
    if not profiles:
        return ""
    body = [row([Cell(str(p["variable"]), code=True), str(p.get("label", "")), _course(p)]) for p in profiles]
    return f"<h3>Profiles</h3>{table(('Input', 'Label', 'Time [s]: value'), body)}"


def _course(profile: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{format_number(float(t))}: {format_number(float(v))}" for t, v in zip(profile["times"], profile["values"], strict=True)
    )


def _entry_rows(name: str, entry: Mapping[str, Any]) -> Iterable[str]:
    kind = str(entry.get("type", "")).replace("_", " ")
    yield f'<tr class="head"><td colspan="3">{text(name)} {text(kind)}</td></tr>'
    for key, value in entry.items():
        if key != "type":
            yield from _value_rows(key, value)


def _value_rows(key: str, value: Any) -> Iterable[str]:
    if isinstance(value, Mapping) and "value" in value:
        yield row([key, number(_written(value["value"])), pretty_unit(str(value.get("unit", "")))])
    elif isinstance(value, Mapping):
        for inner, part in value.items():
            yield from _value_rows(f"{key} · {inner}", part)
    else:
        yield row([key, number(_written(value)), ""])


def _written(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return format_number(float(value), 6)
