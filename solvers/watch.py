"""Watching the guards of events: which side of zero each is on, how well that is known, and who happens next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import casadi as ca
import numpy as np

from solvers.evaluation import Evaluation
from solvers.system import DaeSystem, LoweredEvent


@dataclass(frozen=True, eq=False)
class WatchFunctions:
    """The functions of a system's events; shared by all its runs."""

    system: DaeSystem

    @cached_property
    def guards(self) -> ca.Function:
        """Guards and conditions."""
        return ca.Function("guards", list(self.system.arguments), [self.system.guards, self.system.conditions])

    @cached_property
    def motion(self) -> ca.Function:
        """What total slopes of guards are made of: x', and derivatives of guards and of algebraic equations by t, x, z, u."""
        system = self.system
        parts = [ca.jacobian(f, v) for f in (system.guards, system.algebraic) for v in (system.t, system.x, system.z, system.u)]
        return ca.Function("motion", list(system.arguments), [system.ode, *parts])

    @cached_property
    def gradient(self) -> ca.Function:
        """Derivative of the guards by states and algebraic variables."""
        system = self.system
        return ca.Function("gradient", list(system.arguments), [ca.jacobian(system.guards, ca.vertcat(system.x, system.z))])

    @cached_property
    def values(self) -> ca.Function:
        """New values of all transitions."""
        return ca.Function("values", list(self.system.arguments), [self.system.transition_values])


class Watch:
    """The guards of one run.

    After an event its guard is within the solver's tolerance of zero, where its sign means nothing. An ``offset`` then counts the
    guard as beyond zero, until it has left zero by more than its uncertainty.
    """

    def __init__(self, functions: WatchFunctions, tolerances: tuple[float, np.ndarray]) -> None:
        self._functions = functions
        self.events: tuple[LoweredEvent, ...] = functions.system.events
        self._guards = Evaluation(functions.guards)
        self._values = Evaluation(functions.values)
        self._rtol, self._atol = tolerances
        self.guarded = [number for number, event in enumerate(self.events) if event.guard is not None]
        """Event of each guard."""
        self.directions = [self.events[number].event.direction.value for number in self.guarded]
        self.offset = np.zeros(len(self.guarded))

    def look(self, *point: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return guards and which events are watched, at (t, x, z, u, p)."""
        guards, conditions = self._guards(*point)
        watched = np.array([event.when is None or conditions[event.when] > 0 for event in self.events], dtype=bool)
        return guards, watched

    def transition_values(self, *point: float | np.ndarray) -> np.ndarray:
        """Return the new values of all transitions, from what holds now."""
        return self._values(*point)[0]

    def sides(self, guards: np.ndarray, watched: np.ndarray) -> np.ndarray:
        """Return for each event the side of zero that its guard counts to be on: -1, 0 or 1; 0 if it is not watched."""
        sides = np.zeros(len(self.events), dtype=int)
        sides[self.guarded] = np.nan_to_num(np.sign(guards + self.offset)) * watched[self.guarded]
        return sides

    def crossings(self, before: np.ndarray, now: np.ndarray) -> list[int]:
        """Return the events whose guards were carried across zero in their direction between two sights of their sides."""
        found = []
        for number, wanted in zip(self.guarded, self.directions, strict=True):
            across = before[number] * now[number] < 0
            if across if wanted == 0 else now[number] == wanted != before[number]:
                found.append(number)
        return found

    def uncertainty(self, *point: float | np.ndarray) -> np.ndarray:
        """Return how well each guard is known at (t, x, z, u, p), from the tolerances of what it depends on."""
        if not self.guarded:
            return np.zeros(0)
        gradient = np.asarray(self._functions.gradient(*point).full())
        y = np.concatenate([np.atleast_1d(point[1]), np.atleast_1d(point[2])])
        return np.abs(gradient) @ (self._rtol * np.abs(y) + self._atol)

    def slopes(self, input_slopes: np.ndarray, *point: float | np.ndarray) -> np.ndarray:
        """Return the total slopes of the guards in time at (t, x, z, u, p), algebraic variables following their equations."""
        ode, guard_t, guard_x, guard_z, guard_u, algebra_t, algebra_x, algebra_z, algebra_u = self._functions.motion(*point)
        slopes = guard_t + guard_x @ ode + guard_u @ input_slopes
        if algebra_z.shape[0]:
            slopes -= guard_z @ ca.solve(algebra_z, algebra_t + algebra_x @ ode + algebra_u @ input_slopes)
        return np.asarray(slopes.full()).ravel()

    def settle(self, fired: set[int], guards: np.ndarray, uncertainty: np.ndarray) -> list[int]:
        """Count guards near zero as beyond it after their events; return the guards whose side their motion has to tell.

        Guards that have left zero are taken as they are again.
        """
        undecided = []
        self.offset[np.abs(guards) > 2 * np.abs(self.offset)] = 0.0
        for place, number in enumerate(self.guarded):
            if number not in fired or abs(guards[place]) > uncertainty[place]:
                continue
            self.offset[place] = (self.directions[place] or 1) * (2 * uncertainty[place] + 1e-300)
            if self.directions[place] == 0:
                undecided.append(place)
        return undecided
