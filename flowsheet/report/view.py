"""What the sections of a report share: the results, how numbers are shown, and what is marked on time axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flowsheet.display import Display, DisplayUnit
from flowsheet.recipe import BLOCK, END, begin_event
from flowsheet.report.plots import Band, TimeAxis
from flowsheet.results import Field, Results, UnitRow
from solvers import Status


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

    def unit_of(self, field: Field, values: np.ndarray) -> DisplayUnit:
        """Return how values of a field are shown: as a share if it is a mass fraction or one of its scalars has limits."""
        limited = {spec.variable for spec in self.results.specifications}
        is_share = field.name.endswith("_fraction") or any(name in limited for name, _ in field.scalars())
        largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else math.nan
        return self.display.attribute(field.unit, largest) if is_share else self.display.unit(field.unit, largest)

    def at(self, time: float) -> str:
        """Return a time with its unit."""
        return self.axis.unit.label(time, 6)

    @cached_property
    def happenings(self) -> tuple[Band, ...]:
        """Phases of the recipe, and what the units say lasts between two of their events, such as refills; by unit, then by time."""
        return (*self.phases, *(band for row in self.results.units for band in self.happenings_of(row)))

    @cached_property
    def phases(self) -> tuple[Band, ...]:
        """The phases of the recipe that were reached."""
        names = [phase["name"] for phase in self.case.get("phases", ())]
        if not names:
            return ()
        starts = {event.event: event.time for event in self.results.events if event.unit == BLOCK}
        begins = [float(self.results.t[0]), *(starts[begin] for begin in map(begin_event, names[1:]) if begin in starts)]
        ends = [*begins[1:], starts.get(END, self.axis.reached)]
        spans = zip(names, begins, ends, strict=False)
        return tuple(Band(BLOCK, begin, end, label=name) for name, begin, end in spans)

    @cached_property
    def disturbances(self) -> tuple[Band, ...]:
        """Times during which a profile departs from the value it begins with."""
        return tuple(band for profile in self.case.get("profiles", ()) for band in _departures(profile, self.axis.horizon))

    def happenings_of(self, row: UnitRow) -> tuple[Band, ...]:
        """Return what lasts between two events of one unit; what has begun and not ended lasts to the end of the run."""
        found = []
        for name, begins, ends in row.bands:
            start = None
            for event in self.results.events:
                if event.unit != row.unit:
                    continue
                if event.event == begins and start is None:
                    start = event.time
                elif event.event == ends and start is not None:
                    found.append(Band(f"{row.unit} {name}", start, event.time))
                    start = None
            if start is not None:
                found.append(Band(f"{row.unit} {name}", start, self.axis.reached))
        return tuple(found)

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
