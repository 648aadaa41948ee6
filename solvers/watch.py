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
    def tolerance(self) -> ca.Function:
        """How well guards are known, from rtol and atol of what they depend on, and their slopes with z held."""
        system = self.system
        y = ca.vertcat(system.x, system.z)
        rtol, atol, input_slopes = (
            system.symbol("rtol"),
            system.symbol("atol", y.shape[0]),
            system.symbol("input_slopes", system.u.shape[0]),
        )
        known = ca.mtimes(ca.fabs(ca.jacobian(system.guards, y)), rtol * ca.fabs(y) + atol)
        slopes = (
            ca.jacobian(system.guards, system.t)
            + _along(system.guards, system.x, system.ode)
            + _along(system.guards, system.u, input_slopes)
        )
        return ca.Function("tolerance", [*system.arguments, input_slopes, rtol, atol], [ca.densify(known), ca.densify(slopes)])

    @cached_property
    def algebra(self) -> ca.Function:
        """What slopes of algebraic variables are made of: derivatives of guards by z, of the equations by z, and of these in time."""
        system = self.system
        input_slopes = system.symbol("input_slopes", system.u.shape[0])
        drift = ca.jacobian(system.algebraic, system.t) + _along(system.algebraic, system.x, system.ode)
        drift += _along(system.algebraic, system.u, input_slopes)
        parts = [ca.jacobian(system.guards, system.z), ca.jacobian(system.algebraic, system.z), drift]
        return ca.Function("algebra", [*system.arguments, input_slopes], parts)

    @cached_property
    def values(self) -> ca.Function:
        """New values of all transitions."""
        return ca.Function("values", list(self.system.arguments), [self.system.transition_values])


def _along(expression: ca.SX | ca.MX, variables: ca.SX | ca.MX, direction: ca.SX | ca.MX) -> ca.SX | ca.MX:
    """Return the derivative along a direction; zero where there is nothing to move."""
    return ca.jtimes(expression, variables, direction) if variables.shape[0] else type(expression)(expression.shape[0], 1)


_NOTHING = np.zeros(0), np.zeros(0, dtype=bool)


class Watch:
    """The guards of one run.

    After an event its guard is within the solver's tolerance of zero, where its sign means nothing. An ``offset`` then counts the
    guard as beyond zero, until it has left zero by more than its uncertainty.
    """

    def __init__(self, functions: WatchFunctions, tolerances: tuple[float, np.ndarray]) -> None:
        self._functions = functions
        self.events: tuple[LoweredEvent, ...] = functions.system.events
        self._rtol, self._atol = tolerances
        self.guarded = [number for number, event in enumerate(self.events) if event.guard is not None]
        """Event of each guard."""
        self.directions = [self.events[number].event.direction.value for number in self.guarded]
        self.offset = np.zeros(len(self.guarded))
        self._conditional = [number for number, event in enumerate(self.events) if event.when is not None]
        self._conditions = [event.when for event in self.events if event.when is not None]

    def reset(self) -> None:
        """Count no guard as beyond zero: a run begins."""
        self.offset[:] = 0.0

    # made when first wanted: a run without events needs none

    @cached_property
    def _guards(self) -> Evaluation:
        return Evaluation(self._functions.guards)

    @cached_property
    def _values(self) -> Evaluation:
        return Evaluation(self._functions.values)

    @cached_property
    def _tolerance(self) -> Evaluation:
        return Evaluation(self._functions.tolerance)

    def look(self, *point: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return guards and which events are watched, at (t, x, z, u, p)."""
        if not self.events:
            return _NOTHING
        watched = np.ones(len(self.events), dtype=bool)
        guards, conditions = self._guards(*point)
        if self._conditional:
            watched[self._conditional] = conditions[self._conditions] > 0
        return guards, watched

    def transition_values(self, *point: float | np.ndarray) -> np.ndarray:
        """Return the new values of all transitions, from what holds now."""
        return self._values(*point)[0]

    def sides(self, guards: np.ndarray, watched: np.ndarray) -> np.ndarray:
        """Return for each event the side of zero that its guard counts to be on: -1, 0 or 1; 0 if it is not watched."""
        sides = np.zeros(len(self.events), dtype=int)
        if not self.guarded:
            return sides
        from_zero = guards + self.offset
        sides[self.guarded] = ((from_zero > 0).astype(int) - (from_zero < 0)) * watched[self.guarded]  # 0 for what is no number
        return sides

    def crossings(self, before: np.ndarray, now: np.ndarray) -> list[int]:
        """Return the events whose guards were carried across zero in their direction between two sights of their sides."""
        found = []
        for number, wanted in zip(self.guarded, self.directions, strict=True):
            across = before[number] * now[number] < 0
            if across if wanted == 0 else now[number] == wanted != before[number]:
                found.append(number)
        return found

    def certainty(self, input_slopes: np.ndarray, *point: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how well each guard is known at (t, x, z, u, p), and its total slope in time, z following its equations."""
        uncertainty, slopes = self._tolerance(*point, input_slopes, self._rtol, self._atol)
        if self._functions.system.algebraics and self.guarded:
            guard_z, algebra_z, drift = self._functions.algebra(*point, input_slopes)
            slopes = slopes - np.asarray(ca.mtimes(guard_z, ca.solve(algebra_z, drift)).full()).ravel()
        return uncertainty, slopes

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
