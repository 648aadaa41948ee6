"""How small changes pass an instant at which events happen: the saltation matrix, built for forward and transposed use.

A change of the parameters moves states, inputs and the time of an event. Along ``v = (x, u, p)``, algebraic variables z
following their equations, an event at the time tau with the transition h takes a change dv to

    dv+ = h_v (dv + v' dtau) + h_t dtau - v'+ dtau,    dtau = -(g_v dv) / (dg/dt)  at a guard g, 0 at a known time

(Aizerman & Gantmakher 1958, Q. J. Mech. Appl. Math. 11:407; Hiskens & Pai 2000, IEEE Trans. Circuits Syst. I 47:204, with
algebraic variables). Event times are moved as one: an event that another one brought about moves with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix, csr_matrix
from scipy.sparse.linalg import SuperLU, splu

from solvers.companion import Cause, Occasion, Point
from solvers.errors import NumericsError
from solvers.evaluation import SparseDerivative, jacobian_by
from solvers.system import DaeSystem, LoweredEvent

SLOPE_CHANGE = 0.1
"""A guard's slope may change by this share within the uncertainty of its event's time; beyond, the crossing counts as tangential."""


@dataclass(frozen=True, eq=False)
class BoundaryFunctions:
    """Slopes, algebraic equations, guards and new values of transitions with their derivatives; shared by all runs of a system."""

    system: DaeSystem

    @cached_property
    def derivative(self) -> SparseDerivative:
        """By (t, v) with v = (x, u, p), and by z."""
        system = self.system
        rows = ca.vertcat(system.ode, system.algebraic, system.guards, system.transition_values)
        by_v = jacobian_by(rows, system.t, system.x, system.u, system.p)
        return SparseDerivative(system.arguments, rows, [by_v, jacobian_by(rows, system.z)])

    def linearize(self, point: Point, input_slopes: np.ndarray) -> Linearization:
        """Return what holds to first order around a point."""
        value, (by_v, by_z) = self.derivative(*point)
        t, x, z, u, p = point
        kept = (t, x.copy(), z.copy(), u.copy(), p)  # the run goes on to change them
        return Linearization(self.system, kept, input_slopes.copy(), value, csr_matrix(by_v), csr_matrix(by_z))


@dataclass(frozen=True, eq=False)
class Linearization:
    """A system to first order around a point; a change is a column over (t, x, u, p), z follows from it."""

    system: DaeSystem
    point: Point
    input_slopes: np.ndarray
    value: np.ndarray
    by_v: csr_matrix
    by_z: csr_matrix

    @cached_property
    def _starts(self) -> np.ndarray:
        system = self.system
        return np.cumsum([0, len(system.states), len(system.algebraics), system.guards.shape[0]])

    @cached_property
    def _algebra(self) -> SuperLU | None:
        if not self.system.algebraics:
            return None
        try:
            return splu(csc_matrix(self.by_z[self._starts[1] : self._starts[2]]))
        except RuntimeError:
            raise NumericsError(
                f"the algebraic equations are singular at t = {self.point[0]:g}: their solution has no derivative there",
                names=self.system.equation_names[:5],
                hint="the index may be above one at this point; look at the loop's equations",
            ) from None

    @property
    def motion(self) -> np.ndarray:
        """How (t, x, u, p) moves in time, shape (1 + states + inputs + parameters,)."""
        slopes = self.value[: len(self.system.states)]
        return np.concatenate([[1.0], slopes, self.input_slopes, np.zeros(len(self.system.parameters))])

    def algebraic(self, change: np.ndarray) -> np.ndarray:
        """Return the change of z that goes with changes of (t, x, u, p), shape (1 + ..., any number)."""
        if self._algebra is None:
            return np.zeros((0, *change.shape[1:]))
        solution: np.ndarray = self._algebra.solve(-(self.by_v[self._starts[1] : self._starts[2]] @ change))
        return solution

    def _rows(self, places: Sequence[int]) -> np.ndarray:
        """Return the derivatives of some rows by (t, x, u, p), z following, shape (rows, 1 + ...)."""
        return self.reduced(self.by_v[list(places)].toarray(), self.by_z[list(places)].toarray())

    def reduced(self, by_v: np.ndarray, by_z: np.ndarray) -> np.ndarray:
        """Return derivatives by (t, x, u, p), z following, from those with z held and those by z; shapes (rows, ...)."""
        if self._algebra is None:
            return by_v
        weights = self._algebra.solve(by_z.T, trans="T")
        return np.asarray(by_v - (self.by_v[self._starts[1] : self._starts[2]].T @ weights).T)

    def guard(self, guard: int) -> np.ndarray:
        """Return the derivative of a guard by (t, x, u, p), shape (1 + ...,)."""
        return np.asarray(self._rows([self._starts[2] + guard])[0])

    def transition(self, places: Sequence[int]) -> np.ndarray:
        """Return the derivatives of new values by (t, x, u, p), shape (places, 1 + ...)."""
        return self._rows([self._starts[3] + place for place in places])

    def moved(self, step: float) -> Point:
        """Return the point a small step of time further."""
        t, x, z, u, p = self.point
        motion = self.motion
        end = 1 + len(x)
        return t + step, x + step * motion[1:end], z + step * self.algebraic(motion), u + step * self.input_slopes, p


@dataclass(frozen=True, eq=False)
class Jump:
    """How one event's transition takes a change dv of (x, u, p) and a change dtau of its time on: ``A dv + along dtau``.

    A is the identity except for the rows ``changed``, which are ``rows``.
    """

    changed: np.ndarray
    rows: np.ndarray
    along: np.ndarray
    clock: int
    """The event whose guard tells dtau; -1 where the time is known."""


@dataclass(eq=False)
class Instant:
    """All that happens at one instant: derivatives of event times by what held before, then one jump after the other."""

    t: float
    clocks: dict[int, np.ndarray]
    """Derivative of the time of each event that came by its guard, by (x, u, p) before anything happened."""
    jumps: list[Jump] = field(default_factory=list)
    clock_of: dict[int, int] = field(default_factory=dict)

    def apply(self, change: np.ndarray) -> np.ndarray:
        """Take changes of (x, u, p) through the instant, shape (states + inputs + parameters, any number)."""
        times = {number: row @ change for number, row in self.clocks.items()}
        for jump in self.jumps:
            change = jumped(jump, change, times.get(jump.clock))
        return change

    def transposed(self, adjoint: np.ndarray) -> np.ndarray:
        """Take adjoint variables back from after the instant to before it, in the same shape."""
        weights = {number: np.zeros(adjoint.shape[1:]) for number in self.clocks}
        for jump in reversed(self.jumps):
            if jump.clock >= 0:
                weights[jump.clock] = weights[jump.clock] + jump.along @ adjoint
            outer = adjoint[jump.changed]
            adjoint = adjoint.copy()
            adjoint[jump.changed] = 0.0
            adjoint += jump.rows.T @ outer
        for number, row in self.clocks.items():
            adjoint = adjoint + np.multiply.outer(row, weights[number])
        return adjoint


def jumped(jump: Jump, change: np.ndarray, time_change: np.ndarray | None) -> np.ndarray:
    """Return changes of (x, u, p) after a jump."""
    after = change.copy()
    after[jump.changed] = jump.rows @ change
    if time_change is not None:
        after += np.multiply.outer(jump.along, time_change)
    return after


class Boundary:
    """Builds an :class:`Instant` while a run goes through it."""

    def __init__(self, functions: BoundaryFunctions, tolerances: tuple[float, np.ndarray]) -> None:
        self._functions = functions
        self._system = functions.system
        self._rtol, self._atol = tolerances
        self._before: Linearization | None = None

    def occur(self, crossed: Sequence[int], point: Point, input_slopes: np.ndarray) -> Instant:
        """Begin an instant at which the guards of these events have crossed zero.

        Raises
        ------
        NumericsError : a guard crosses tangentially, so that its event's time has no derivative.
        """
        moving = [number for number in crossed if self._system.events[number].states or self._system.events[number].inputs]
        clocks = {}
        if moving:
            here = self._functions.linearize(point, input_slopes)
            clocks = {number: self._clock(self._system.events[number], here) for number in moving}
        return Instant(point[0], clocks, clock_of={number: number for number in moving})

    def _clock(self, event: LoweredEvent, here: Linearization) -> np.ndarray:
        """Return the derivative of an event's time by (x, u, p)."""
        assert event.guard is not None
        row, motion = here.guard(event.guard), here.motion
        slope = float(row @ motion)
        x = here.point[1]
        known = float(np.abs(row[1 : 1 + len(x)]) @ (self._rtol * np.abs(x) + self._atol))
        within = known / abs(slope) if slope else np.inf
        if np.isfinite(within):
            later = self._functions.linearize(here.moved(within), here.input_slopes)
            change = abs(float(later.guard(event.guard) @ later.motion) - slope)
        if not np.isfinite(within) or not change <= SLOPE_CHANGE * abs(slope):
            raise NumericsError(
                f"the guard of event {event.label} touches zero at t = {here.point[0]:.9g} without crossing it (slope {slope:.3g}): "
                "the time of the event has no derivative by the parameters",
                names=[event.label],
                hint="move the threshold or the parameters away from this point, or take tighter tolerances if the crossing is only flat",
            )
        return -row[1:] / slope

    def leave(self, instant: Instant, number: int, occasion: Occasion, point: Point, input_slopes: np.ndarray) -> None:
        """Look at what holds before the transition of an event."""
        if occasion.cause is not Cause.GUARD:
            instant.clock_of[number] = instant.clock_of.get(occasion.carrier, -1) if occasion.cause is Cause.EVENT else -1
        self._before = self._functions.linearize(point, input_slopes)

    def arrive(self, instant: Instant, number: int, point: Point, input_slopes: np.ndarray) -> Jump:
        """Add the jump of that event, now that its transition has happened."""
        before, after = self._before, self._functions.linearize(point, input_slopes)
        assert before is not None
        event, states = self._system.events[number], len(self._system.states)
        changed = [*(state for state, _ in event.states), *(states + place for place, _ in event.inputs)]
        rows = before.transition([place for _, place in (*event.states, *event.inputs)])
        along = before.motion[1:] - after.motion[1:]
        along[changed] = rows @ before.motion - after.motion[1:][changed]
        jump = Jump(np.array(changed), rows[:, 1:], along, instant.clock_of.get(number, -1))
        instant.jumps.append(jump)
        return jump
