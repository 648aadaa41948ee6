"""Whether streams join units as they have to: existing ports, each used once, none left open."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from flowsheet.problems import listed
from solvers.suggest import did_you_mean
from units.stream import carries


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a unit by name."""

    inlets: tuple[str, ...]
    outlets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a stream (``stream`` counts from 0, ``end`` is ``from`` or ``to``) or with a unit's open port."""

    message: str
    allowed: str = ""
    hint: str = ""
    stream: int = -1
    end: str = ""
    unit: str = ""


def connection_faults(units: Mapping[str, Ports], streams: Sequence[tuple[str, str]]) -> Iterator[Fault]:
    """Yield everything that is wrong with streams given as pairs ``("unit.outlet", "unit.inlet")``.

    >>> ports = {"feeder": Ports((), ("outlet",)), "sink": Ports(("inlet",), ())}
    >>> list(connection_faults(ports, [("feeder.outlet", "sink.inlet")]))
    []
    >>> print(next(connection_faults(ports, [("feeder.outlet", "sink.inlett")])).hint)
    did you mean sink.inlet?
    """
    used: dict[str, int] = {}
    for ends in streams:
        for port in ends:
            used.setdefault(port, 0)
    free = {end: [port for port in _all(units, end) if port not in used] for end in ("from", "to")}
    taken: dict[str, int] = {}
    for number, (source, target) in enumerate(streams):
        for end, port in (("from", source), ("to", target)):
            yield from _end_faults(units, number, end, port, free[end], taken)
            taken.setdefault(port, number)
    for end, what, hint in (
        ("to", "inlet", "end a stream there"),
        ("from", "outlet", "start a stream there, to a unit of type sink if nothing else"),
    ):
        for port in free[end]:
            name, _, own = port.partition(".")
            yield Fault(f"the {what} {own} is not connected", hint=hint, unit=name)


def carrying_fault(source: str, target: str, outlet: Any, inlet: Any) -> Fault | None:
    """Return what is wrong where a stream would join ports, given by name and as Pyomo Ports, that carry different kinds of stream."""
    kinds = carries(outlet), carries(inlet)
    if kinds[0] == kinds[1]:
        return None
    return Fault(f"{source} carries {kinds[0]} and {target} takes {kinds[1]}", f"two ports for {kinds[0]}, or two for {kinds[1]}", end="to")


def disconnected(units: Mapping[str, Ports], streams: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the units with ports of which no stream starts or ends at any."""
    joined = {port.partition(".")[0] for ends in streams for port in ends}
    return tuple(name for name, ports in units.items() if (ports.inlets or ports.outlets) and name not in joined)


def stream_name(number: int, taken: Container[str], letter: str = "S") -> str:
    """Return the name of a stream (or signal) to which nobody gave one: its number, or the next one that is free.

    >>> stream_name(1, {"S1", "S3"})
    'S2'
    """
    return next(name for name in (f"{letter}{k}" for k in count(number)) if name not in taken)


def _all(units: Mapping[str, Ports], end: str) -> list[str]:
    return [f"{name}.{port}" for name, ports in units.items() for port in (ports.outlets if end == "from" else ports.inlets)]


def _end_faults(units: Mapping[str, Ports], number: int, end: str, port: str, free: list[str], taken: dict[str, int]) -> Iterator[Fault]:
    kind, other = ("outlet", "inlet") if end == "from" else ("inlet", "outlet")
    name, _, own = port.partition(".")
    candidates = _all(units, end)
    allowed = f"free {kind}s: {listed(free) or 'none'}"
    if name not in units:
        yield Fault(f"there is no unit {name!r}", allowed, did_you_mean(port, candidates), number, end)
    elif port not in candidates:
        ports = units[name]
        if own in (ports.inlets if end == "from" else ports.outlets):
            yield Fault(f"{port} is an {other}; a stream goes from an outlet to an inlet", allowed, "", number, end)
        else:
            have = listed((*ports.inlets, *ports.outlets)) or "none"
            hint = did_you_mean(port, [candidate for candidate in candidates if candidate.startswith(f"{name}.")])
            yield Fault(f"{name} has no port {own!r}; its ports: {have}", allowed, hint, number, end)
    elif port in taken:
        yield Fault(f"{port} is used twice, first by stream {taken[port] + 1}", allowed, "every port takes one stream", number, end)
