"""What the sections of a report share: the results, how numbers are shown, and what is marked on time axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flowsheet.display import Display
from flowsheet.report.plots import Band, TimeAxis
from flowsheet.results import Results
from solvers import Status

REFILL_START, REFILL_ENDS = "refill_start", ("refill_settled",)


@dataclass(frozen=True, eq=False)
class View:
    """Results and how to show them."""

    results: Results

    @property
    def case(self) -> Mapping[str, Any]:
        """The resolved case."""
        return self.results.case

    @property
    def title(self) -> str:
        """The case's title, else its name."""
        return str(self.case.get("title") or self.case.get("name") or "Flowsheet run")

    @property
    def complete(self) -> bool:
        """Whether the run reached its end."""
        return self.results.status is Status.COMPLETE

    @cached_property
    def display(self) -> Display:
        """Display units of the case."""
        return Display(self.case.get("display", {}))

    @cached_property
    def axis(self) -> TimeAxis:
        """The time axis: to the horizon of the case, even if the run stopped before."""
        reached = float(self.results.t[-1])
        horizon = reached if self.complete else max(float(self.case.get("horizon", reached)), reached)
        return TimeAxis(self.display.time(horizon), horizon, reached if not self.complete else horizon)

    def at(self, time: float) -> str:
        """Return a time with its unit."""
        return self.axis.unit.label(time, 6)

    @cached_property
    def refills(self) -> tuple[Band, ...]:
        """Times from the start of a refill until its feeder is back under weight control."""
        bands, running = [], {}
        for event in self.results.events:
            if event.event == REFILL_START:
                running[event.unit] = event.time
            elif event.event in REFILL_ENDS and event.unit in running:
                bands.append(Band(f"{event.unit} refill", running.pop(event.unit), event.time))
        bands += [Band(f"{unit} refill", start, self.axis.reached) for unit, start in running.items()]
        order = [row.unit for row in self.results.units]
        return tuple(sorted(bands, key=lambda band: (order.index(band.lane[: -len(" refill")]), band.start)))

    @cached_property
    def disturbances(self) -> tuple[Band, ...]:
        """Times during which a profile departs from the value it begins with."""
        return tuple(band for profile in self.case.get("profiles", ()) for band in _departures(profile, self.axis.horizon))

    def refills_of(self, unit: str) -> tuple[Band, ...]:
        """Return the refills of one unit."""
        return tuple(band for band in self.refills if band.lane == f"{unit} refill")

    def disturbances_of(self, unit: str) -> tuple[Band, ...]:
        """Return the departures of a unit's inputs."""
        return tuple(band for band in self.disturbances if band.lane.startswith(f"{unit}."))


def _departures(profile: Mapping[str, Any], horizon: float) -> Iterable[Band]:
    times, values = list(map(float, profile["times"])), list(map(float, profile["values"]))
    base, linear = values[0], profile.get("interpolation") == "linear"
    start = None
    for k, time in enumerate(times):
        away = values[k] != base
        if away and start is None:
            start = times[k - 1] if linear else time
        elif not away and start is not None:
            yield Band(profile["variable"], start, min(time, horizon), True, profile.get("label", ""))
            start = None
    if start is not None and start < horizon:
        yield Band(profile["variable"], start, horizon, True, profile.get("label", ""))
