"""Inputs over time: constants and profiles as one schedule of values and slopes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice

from solvers.declare import Interpolation, Profile
from solvers.errors import UsageError
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem


@dataclass(frozen=True, eq=False)
class Schedule:
    """What the caller gives: profiles of inputs, and numbers in place of the model's own for inputs and parameters."""

    profiles: Mapping[int, Profile]
    inputs: Mapping[int, float]
    parameters: Mapping[int, float]

    @property
    def ramped(self) -> tuple[int, ...]:
        """Inputs that change linearly between points."""
        return tuple(place for place, profile in sorted(self.profiles.items()) if profile.interpolation is Interpolation.LINEAR)

    def breakpoints(self) -> set[float]:
        """Times at which an input or its slope jumps."""
        return {time for profile in self.profiles.values() for time in profile.times}

    def changed(self, t: float) -> list[int]:
        """Return the inputs whose profiles have a point at t."""
        return [place for place, profile in self.profiles.items() if t in profile.times[(at := bisect_left(profile.times, t)) : at + 1]]

    def apply(self, t: float, u: np.ndarray, slopes: np.ndarray, everything: bool) -> None:
        """Set values and slopes that hold from t on, for the profiles that have a point at t (or all of them)."""
        for place, profile in self.profiles.items():
            place_of_point = bisect_left(profile.times, t)
            if everything or (place_of_point < len(profile.times) and profile.times[place_of_point] == t):
                u[place], slopes[place] = value_and_slope(profile, t)


def value_and_slope(profile: Profile, t: float) -> tuple[float, float]:
    """Return a profile's value at t, continuous from the right, and its slope from there on.

    >>> value_and_slope(Profile((0.0, 10.0), (1.0, 2.0)), 10.0)
    (2.0, 0.0)
    >>> value_and_slope(Profile((0.0, 10.0), (1.0, 2.0), Interpolation.LINEAR), 5.0)
    (1.5, 0.1)
    """
    times, values = profile.times, profile.values
    place = bisect_right(times, t) - 1
    if place < 0:
        return values[0], 0.0
    if profile.interpolation is Interpolation.HOLD or place == len(times) - 1:
        return values[place], 0.0
    slope = (values[place + 1] - values[place]) / (times[place + 1] - times[place])
    return values[place] + slope * (t - times[place]), slope


def make_schedule(system: DaeSystem, given: Mapping[Any, Any] | None) -> Schedule:
    """Sort what a caller gives by input and parameter.

    Raises
    ------
    UsageError : an unknown name, a variable that is computed, a profile for something that cannot change in time.
    """
    profiles = {
        place: Profile(sorted(course), [course[point] for point in sorted(course)]) for place, course in system.input_profiles.items()
    }
    inputs: dict[int, float] = {}
    parameters: dict[int, float] = {}
    if given is not None and not isinstance(given, Mapping):
        raise UsageError("inputs are given as a mapping from a variable or its name to a number or a Profile")
    if not given:
        return Schedule(profiles, inputs, parameters)
    input_at, parameter_at, members = names_of_inputs(system)
    for key, value in given.items():
        for name in _names(system, key, input_at, parameter_at, members):
            if name in input_at:
                place = input_at[name]
                profiles.pop(place, None)
                if isinstance(value, Profile):
                    profiles[place] = value
                else:
                    inputs[place] = _number(name, value)
            elif isinstance(value, Profile):
                raise UsageError(
                    f"{name} is a parameter without time and cannot follow a profile", names=[name], hint="index it by time and fix it"
                )
            else:
                parameters[parameter_at[name]] = _number(name, value)
    return Schedule(profiles, inputs, parameters)


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float, np.number)):
        raise UsageError(f"the value given for {name} is neither a number nor a Profile ({value!r})", names=[name])
    number = float(value)
    if not np.isfinite(number):
        raise UsageError(f"the value given for {name} is not finite ({value})", names=[name])
    return number


def _names(
    system: DaeSystem, key: Any, inputs: Mapping[str, int], parameters: Mapping[str, int], members: Mapping[str, list[str]]
) -> list[str]:
    if isinstance(key, str):
        names = [key] if key in inputs or key in parameters else members.get(key, [])
    else:
        names = names_of_component(system, key)
    unknown = [name for name in names if name not in inputs and name not in parameters] if names else [str(key)]
    if unknown:
        computed = unknown[0] in system.names
        if computed:
            raise UsageError(
                f"{unknown[0]} is computed by the model and cannot be given",
                names=unknown,
                hint="fix the Var (and free another) to give it",
            )
        raise UsageError(
            f"no input or parameter is called {unknown[0]!r}",
            names=unknown,
            hint=did_you_mean(unknown[0], [*inputs, *parameters], 3) or "only fixed Vars and mutable Params can be given",
        )
    return names


def names_of_component(system: DaeSystem, key: Any) -> list[str]:
    """Return the names without time of what a reference stands for."""
    datas = list(key) if isinstance(key, IndexedComponent_slice) else list(key.values()) if key.is_indexed() else [key]
    return list(dict.fromkeys(system.time.name(data) for data in datas))


def names_of_inputs(system: DaeSystem) -> tuple[dict[str, int], dict[str, int], dict[str, list[str]]]:
    """Return the places of inputs and of parameters by name, and the names of a component's members."""
    found: tuple[dict[str, int], dict[str, int], dict[str, list[str]]]
    found = system.made("names of inputs and parameters", lambda: _names_at(system))
    return found


def _names_at(system: DaeSystem) -> tuple[dict[str, int], dict[str, int], dict[str, list[str]]]:
    input_at = {slot.name: place for place, slot in enumerate(system.inputs)}
    parameter_at = {str(data.name): place for place, data in enumerate(system.parameters)}
    members: dict[str, list[str]] = {}
    for name in (*input_at, *parameter_at):
        members.setdefault(name.partition("[")[0], []).append(name)
    return input_at, parameter_at, members
