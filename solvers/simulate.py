"""Simulation in hybrid time: a chain of smooth segments, ended by known times and by guards that cross zero.

At one instant profiles change first; then the events of that instant happen in the order of their declaration. After each
transition the algebraic variables are solved anew, and an event whose guard was carried across zero happens too.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np

from solvers.companion import Cause, Companion, Occasion
from solvers.compiled import CodeOfSegment, Compilation
from solvers.errors import NumericsError, UsageError
from solvers.implicit import start_problem
from solvers.integrator import IntegrationMethod, Outcome, SegmentFunctions, SegmentIntegrator
from solvers.lower import lower
from solvers.origin import MOST_VARIABLES, find_origin
from solvers.schedule import Schedule, make_schedule
from solvers.start import Values, read_values, with_starts
from solvers.system import DaeSystem, LoweredEvent
from solvers.trajectory import EventRecord, Stats, Status, Trajectory
from solvers.watch import Watch, WatchFunctions

MOST_STEPS_OF_A_SEGMENT = 10_000_000
MOST_EVENTS_AT_ONCE = 100
LEAST_WAY = 50.0
"""A guard whose way between two events is shorter than this many times its uncertainty is not resolved."""
FINEST = 2e-12
"""Local tolerances below this are not asked for: rounding in the equations would be taken for errors."""
LOCAL_SHARE, LOOSE = 0.03, 1e-4
"""Local errors are held to this share of the tolerances at the loose one, and to less at tighter ones (see :func:`local_share`)."""
RADAU_SHARE, RADAU_POWER = 0.5, -0.15
"""The same of Radau IIA, whose error estimate is far above the error at the end of a step: the share grows with this power."""
TRIAL_SHARES = 10.0 ** -np.arange(1, 8)
"""Where on a trial step guards are looked at, the latest first: one that leaves zero and returns by more than it is uncertain is seen."""
MOST_BY_RADAU, MOST_BY_RADAU_WITH_EVENTS, MANY_EVENTS = 50, 100, 20
"""Unknowns up to which ``IntegrationMethod.AUTO`` is Radau IIA, and where so many events or more have known times, such as samples. It then
costs less at equal error, and begins at full order after events (``benchmarks/methods.py``); larger systems cost it too much to factor."""


class SimulationError(NumericsError):
    """A run that failed; ``trajectory`` holds what was computed until then, marked incomplete."""

    def __init__(self, message: str, *, names: tuple[str, ...] = (), hint: str = "", trajectory: Trajectory | None = None) -> None:
        super().__init__(message, names=names, hint=hint)
        self.trajectory = trajectory


def current_system(model: Any) -> DaeSystem:
    """Return a system that fits the model as it is now: the one given if its model's structure still stands, else a new one."""
    if isinstance(model, DaeSystem):
        return model if model.fingerprint.stands(model.model) else lower(model.model)
    return lower(model)


def simulate(
    model: Any,
    t_eval: Any,
    *,
    inputs: Mapping[Any, Any] | None = None,
    starts: Mapping[Any, float] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    compilation: Compilation = Compilation.AUTO,
    method: IntegrationMethod = IntegrationMethod.AUTO,
) -> Trajectory:
    """Simulate a Pyomo DAE model or a lowered system from the first point of its time set.

    Parameters
    ----------
    model : a Pyomo model, or a :class:`DaeSystem`, which saves lowering. Values (fixed Vars, Params, starts) are read from
        the Pyomo model in both cases; a system whose model's structure has changed is lowered anew.
    t_eval : increasing output times, shape (n,), in the model's time unit; they do not stop the integration.
    inputs : ``{Var or name: number or Profile}`` for fixed Vars of time, numbers also for mutable Params and fixed Vars.
    starts : ``{Var or name: number}`` for states that are fixed at the first time, in place of the values there.
    rtol : relative tolerance, 1e-13 to 0.1; local errors are held to a share of the tolerances (:func:`local_share`).
    atol : absolute tolerance in units of each state's nominal value.
    compilation : whether compiled code is called; numbers are the same bytes either way, ``trajectory.compiled`` tells.
    method : how segments are integrated (:class:`solvers.IntegrationMethod`); AUTO goes by size.

    Returns
    -------
    Trajectory : with status COMPLETE.

    Raises
    ------
    UsageError : output times or tolerances that cannot be served, unknown inputs or starts.
    StructureError : see :func:`solvers.lower`.
    SimulationError : the run failed; its ``trajectory`` holds what was computed, marked incomplete.
    """
    return prepared_run(model, t_eval, inputs, rtol, atol, compilation, method, starts).trajectory()


def prepared_run(
    model: Any,
    t_eval: Any,
    inputs: Mapping[Any, Any] | None,
    rtol: float,
    atol: float,
    compilation: Compilation = Compilation.AUTO,
    method: IntegrationMethod = IntegrationMethod.AUTO,
    starts: Mapping[Any, float] | None = None,
) -> Run:
    """Return a run that has not begun; arguments and errors are those of :func:`simulate`."""
    system = current_system(model)
    times = checked_times(system, t_eval)
    check_tolerances(rtol, atol)
    schedule = make_schedule(system, inputs)
    values = given_values(read_values(system, [*schedule.profiles, *schedule.inputs]), schedule)
    values = with_starts(system, values, starts)
    return Run(system, times, schedule, values, rtol, atol, compilation, method)


def given_values(values: Values, schedule: Schedule) -> Values:
    """Return values with the numbers that a caller gives in place of the model's own."""
    u, p = values.u.copy(), values.p.copy()
    u[list(schedule.inputs)] = list(schedule.inputs.values())
    p[list(schedule.parameters)] = list(schedule.parameters.values())
    return replace(values, u=u, p=p)


def check_tolerances(rtol: float, atol: float) -> None:
    """Refuse tolerances that cannot be served."""
    if not _within(rtol, 1e-13, 0.1) or not _within(atol, 5e-324, 1e308):
        raise UsageError(f"tolerances rtol = {rtol}, atol = {atol} cannot be served", hint="rtol between 1e-13 and 0.1, atol above zero")


def _within(tolerance: Any, lowest: float, highest: float) -> bool:
    return isinstance(tolerance, Real) and lowest <= float(tolerance) <= highest


def checked_times(system: DaeSystem, t_eval: Any) -> np.ndarray:
    """Return output times as an array, shape (n,), if they can be served."""
    try:
        times = np.atleast_1d(np.array(t_eval, dtype=float, order="C"))
    except (TypeError, ValueError):
        raise UsageError(f"t_eval holds no times ({t_eval!r})", hint="e.g. numpy.linspace(0, 3600, 601)") from None
    if times.ndim != 1 or not len(times):
        raise UsageError("t_eval has to hold at least one time", hint="e.g. numpy.linspace(0, 3600, 601)")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise UsageError("the output times have to be finite and to increase")
    if times[0] < system.time.first:
        raise UsageError(f"output at {times[0]:g} lies before the model's first time {system.time.first:g}")
    return times


def local_share(rtol: float, method: IntegrationMethod = IntegrationMethod.BDF) -> float:
    """Return the share of the tolerances to which local errors are held, so that the global error stays near the tolerances.

    Local errors of a method of order 5 that are held to a tolerance per step add up to a global error like tolerance^(5/6): the share
    shrinks as tolerance^(1/5), which makes the global error proportional to the tolerance (Hairer, Norsett & Wanner 1993,
    section II.4). Shares that ask for less than rounding allows are cut.

    The error that Radau IIA estimates is of an embedded formula of order 3. Steps whose estimate is held to a tolerance have errors like
    tolerance^(5/4) at their ends and tolerance between them: the share grows as tolerances shrink.

    >>> [f"{local_share(rtol):.3g}" for rtol in (1e-2, 1e-4, 1e-9)]
    ['0.03', '0.03', '0.003']
    >>> [f"{local_share(rtol, IntegrationMethod.RADAU):.3g}" for rtol in (1e-2, 1e-4, 1e-8)]
    ['0.5', '0.5', '1.99']
    """
    if method is IntegrationMethod.RADAU:
        return RADAU_SHARE * min(1.0, rtol / LOOSE) ** RADAU_POWER
    share = LOCAL_SHARE * min(1.0, rtol / LOOSE) ** 0.2
    return max(share, min(LOCAL_SHARE, FINEST / rtol))


@dataclass(slots=True)
class _Firings:
    """How one event happened lately, to tell a sequence that cannot be resolved from a busy one."""

    last: float = math.nan
    interval: float = math.nan
    height: float = 0.0
    slope: float = 0.0
    at_once: int = 0
    unresolved: int = 0


@dataclass(eq=False, slots=True)
class Kept:
    """What runs of one system with one pair of tolerances may hand on to each other, one after the other."""

    watch: Watch | None = None
    drivers: dict[int, SegmentIntegrator] = field(default_factory=dict)
    """By the identity of their functions, which they keep alive."""


@dataclass(eq=False)
class Run:
    """The state of one simulation while it goes on."""

    system: DaeSystem
    times: np.ndarray
    schedule: Schedule
    values: Values
    rtol: float
    atol: float
    compilation: Compilation = Compilation.AUTO
    method: IntegrationMethod = IntegrationMethod.AUTO
    companion: Companion = field(default_factory=Companion)
    kept: Kept | None = None
    records: list[EventRecord] = field(default_factory=list)
    firings: dict[int, _Firings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        system = self.system
        self.began = clock.perf_counter()
        ramped = self.schedule.ramped
        self.code: CodeOfSegment = system.made(("segment", ramped), lambda: CodeOfSegment(SegmentFunctions(system, ramped)))
        self.functions = self.code.choose(self.compilation)
        self.algebra = system.made("algebra", lambda: start_problem(system, at_start=False))
        nominals = np.concatenate([system.nominals, system.algebraic_nominals])
        watch = None if self.kept is None else self.kept.watch
        self.watch = watch or Watch(system.made("watch", lambda: WatchFunctions(system)), (self.rtol, self.atol * nominals))
        self.watch.reset()
        if self.kept is not None:
            self.kept.watch = self.watch
        self._sight: tuple[np.ndarray, np.ndarray] | None = None
        self.fired_now: set[int] = set()
        self.undecided: set[int] = set()
        self.t = float(system.time.first)
        self.end = float(self.times[-1])
        self.x, self.z = self.values.x.copy(), self.values.z.copy()
        self.u, self.slopes, self.reference = self.values.u.copy(), np.zeros(len(self.values.u)), self.t
        self.size = self.functions.state_count + len(self.z)
        self.u_out = np.full((len(self.times), len(self.u)), np.nan)
        self.done = 0
        self.driver: SegmentIntegrator | None = None

    # -- the whole run --------------------------------------------------------------------------------------------

    def trajectory(self) -> Trajectory:
        """Go through all segments."""
        self.outputs = np.full((len(self.times), self.companion.width(self.size)), np.nan)
        try:
            self._begin()
            for stop in self._stops():
                self._advance(stop)
            self._fill_at(self.end)
            counts = self.driver.counts if self.driver is not None else {}
            evaluations = counts.get("evaluations", 0)
            self.code.ran(self.functions, evaluations, counts.get("jacobians", 0))
            self.companion.ran(evaluations)
        except SimulationError:
            raise
        except NumericsError as error:
            raise self._failed(error.message, error.names, error.hint) from error
        return self._result(Status.COMPLETE)

    def _begin(self) -> None:
        self.schedule.apply(self.t, self.u, self.slopes, everything=True)
        start = self.system.made("start", lambda: start_problem(self.system, at_start=True))
        self.x, self.z = start.solve(self.t, self.x, self.z, self.u, self.values)
        self._sight = None
        self.companion.begin(self._point(), self.values)
        self._happen(self._due(self.t), np.zeros(len(self.system.events), dtype=int))

    def _stops(self) -> list[float]:
        known = self.schedule.breakpoints() | {float(at) for event in self.system.events for at in event.event.at}
        return [*sorted(at for at in known if self.t < at < self.end), self.end] if self.end > self.t else []

    def _due(self, t: float) -> list[int]:
        """Return the events known for a time that are watched."""
        due = [number for number, event in enumerate(self.system.events) if t in event.event.at]
        if due:
            _, watched = self._look()
            due = [number for number in due if watched[number]]
        return due

    def _advance(self, stop: float) -> None:
        """Integrate to a known time, through all the events on the way, and let happen what is known for it."""
        while self.t < stop:
            happening = self._leaving_zero(stop) or self._segment(stop)
            if happening:
                self._happen(happening, self._sides())
        self._move_reference()
        before = self._sides()
        self.schedule.apply(stop, self.u, self.slopes, everything=False)
        self._sight = None
        if self.schedule.profiles:
            self._solve_algebra()
            self.companion.given(self.schedule, stop)
        self._happen(self._due(stop), before)

    # -- one segment ----------------------------------------------------------------------------------------------

    def _segment(self, stop: float) -> list[int]:
        """Integrate to ``stop`` or to the first event; return the events that happen there."""
        self._fill_at(self.t)
        _, watched = self._look()
        driver = self._driver()
        failure = self._restart(stop, watched[self.watch.guarded])
        while failure is None:
            first = self.done
            outcome, t, self.done, crossed = driver.run(stop, self.times, self.done, self.outputs, MOST_STEPS_OF_A_SEGMENT)
            self._fill_inputs(first, self.done)
            self.t = t
            self._sight = None
            self.x, self.z = driver.y[: len(self.x)].copy(), driver.y[self.functions.state_count : self.size].copy()
            self.companion.take(driver, stop)
            self.fired_now.clear()
            if outcome is Outcome.FOUND_EVENT:
                pairs = zip(self.watch.guarded, crossed, self.watch.directions, strict=True)
                happening = [number for number, sign, wanted in pairs if sign and wanted in (0, sign)]
                if happening:
                    self._move_reference()
                    return happening
            elif outcome is Outcome.REACHED_END:
                return []
            elif outcome is Outcome.WANTS_PAUSE:
                raise self._failed(
                    f"{MOST_STEPS_OF_A_SEGMENT} steps without an event were not enough by t = {t:g}",
                    (),
                    "the model may oscillate without end; check its time scales",
                )
            else:
                failure = outcome
        raise self._integration_failed(failure, driver)

    def _restart(self, stop: float, watched: np.ndarray) -> Outcome | None:
        driver = self._driver()
        driver.watched[:] = watched
        driver.offset[:] = self.watch.offset
        constants = self.functions.constants(self.values.p, self.u, self.slopes, self.reference)
        y = self.companion.full(driver, self._y(), self._point())
        return driver.restart(self.t, stop, y, constants, self.watch.directions)

    def _leaving_zero(self, stop: float) -> list[int]:
        """Take a step on trial where a guard starts at zero: its motion tells whether it crosses, and to which side it belongs."""
        guards, watched = self._look()
        at_zero = [
            place
            for place, number in enumerate(self.watch.guarded)
            if watched[number] and guards[place] + self.watch.offset[place] == 0 and number not in self.fired_now
        ]
        if not at_zero and not self.undecided:
            return []
        driver = self._driver()
        if self._restart(stop, np.zeros(len(guards))) is not None:
            return []
        outcome, t, _, _ = driver.run(stop, np.zeros(0), 0, np.zeros((0, self.outputs.shape[1])), 1)
        if outcome < 0:
            return []
        later = self._once_left(driver, t) if driver.method is IntegrationMethod.RADAU else self._guards_at(t, driver.y)
        for place in self.undecided:
            self.watch.offset[place] = np.copysign(self.watch.offset[place], later[place])
        self.undecided.clear()
        return [self.watch.guarded[place] for place in at_zero if self.watch.directions[place] * later[place] > 0]

    def _guards_at(self, t: float, y: np.ndarray) -> np.ndarray:
        """Return the guards where a trial leads."""
        x, z = y[: len(self.x)], y[self.functions.state_count : self.size]
        return self.watch.look(t, x, z, self.u + self.slopes * (t - self.reference), self.values.p)[0]

    def _once_left(self, driver: SegmentIntegrator, end: float) -> np.ndarray:
        """Return each guard where it first is away from zero on the step just taken, which may be long enough for it to return."""
        uncertainty, _ = self.watch.certainty(self.slopes, *self._point())
        later = self._guards_at(end, driver.y)
        times = self.t + (end - self.t) * TRIAL_SHARES
        for t, y in zip(times, driver.sample(times), strict=True):
            guards = self._guards_at(t, y)
            later = np.where(np.abs(guards) > uncertainty, guards, later)
        return later

    def _y(self) -> np.ndarray:
        """States and algebraic variables as the integrator takes them; a system without states stands still in one."""
        return np.concatenate([self.x if len(self.x) else [0.0], self.z])

    def _point(self) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What holds now: (t, x, z, u, p)."""
        return self.t, self.x, self.z, self.u + self.slopes * (self.t - self.reference), self.values.p

    def _driver(self) -> SegmentIntegrator:
        if self.driver is None and self.kept is not None and id(self.functions) in self.kept.drivers:
            self.driver = self.kept.drivers[id(self.functions)]
            self.driver.reset()
        if self.driver is None:
            method = self._chosen_method()
            share = local_share(self.rtol, method)
            nominal = self.system.nominals if len(self.x) else np.ones(1)
            atol = self.atol * np.concatenate([nominal, self.system.algebraic_nominals])
            self.driver = self.companion.integrator(self.functions, self.t, self._y(), share * self.rtol, share * atol, method)
            if self.kept is not None:
                self.kept.drivers[id(self.functions)] = self.driver
        return self.driver

    def _chosen_method(self) -> IntegrationMethod:
        """Return the method asked for where it can be had, else BDF."""
        known = sum(len(event.event.at) for event in self.system.events)
        most = MOST_BY_RADAU_WITH_EVENTS if known >= MANY_EVENTS else MOST_BY_RADAU
        suited = IntegrationMethod.RADAU if self.size <= most else IntegrationMethod.BDF
        wanted = suited if self.method is IntegrationMethod.AUTO else self.method
        can_be_had = wanted in self.companion.methods and self.functions.layout.implicit is None
        return wanted if can_be_had else IntegrationMethod.BDF

    def _fill_at(self, t: float) -> None:
        """Fill the output at the present time, if there is one, with what holds after all that happened at it."""
        first = self.done
        if first < len(self.times) and self.times[first] == t:
            self.outputs[first] = self.companion.row(self._y(), self._point())
            self.done += 1
            self._fill_inputs(first, self.done)

    def _fill_inputs(self, first: int, last: int) -> None:
        elapsed = self.times[first:last, None] - self.reference
        self.u_out[first:last] = self.u + self.slopes * elapsed
        self.companion.fill(first, last)

    def _move_reference(self) -> None:
        """Bring ramped inputs to the present time."""
        self.u = self.u + self.slopes * (self.t - self.reference)
        self.reference = self.t

    # -- events ---------------------------------------------------------------------------------------------------

    def _look(self) -> tuple[np.ndarray, np.ndarray]:
        """Return guards and which events are watched now, evaluated once for as long as nothing changes."""
        if self._sight is None:
            self._sight = self.watch.look(*self._point())
        return self._sight

    def _sides(self) -> np.ndarray:
        guards, watched = self._look()
        return self.watch.sides(guards, watched)

    def _happen(self, numbers: list[int], before: np.ndarray) -> None:
        """Let events happen at this instant, and those whose guards are carried across zero by what happens.

        ``before`` holds the sides on which the guards were before anything happened at this instant.
        """
        now = self._sides()
        occasions = {number: Occasion(Cause.TIME) for number in (*numbers, *self.watch.crossings(before, now))}
        waiting = sorted(occasions)
        crossed = [number for number in numbers if self.system.events[number].guard is not None]
        occasions.update((number, Occasion(Cause.GUARD)) for number in crossed)
        if waiting:
            self.companion.occur(crossed, self._point(), self.slopes)
        count = 0
        while waiting:
            number = waiting.pop(0)
            self._transit(number, occasions[number])
            before, now = now, self._sides()
            carried = [other for other in self.watch.crossings(before, now) if other != number and other not in waiting]
            occasions.update((other, Occasion(Cause.EVENT, number)) for other in carried)
            waiting += carried
            count += 1
            if count > MOST_EVENTS_AT_ONCE + len(now):
                names = tuple(self.system.events[other].label for other in sorted({number, *waiting}))
                raise self._failed(
                    f"more than {count} events at t = {self.t:g}: {', '.join(names)} call each other",
                    names,
                    "separate the thresholds of events that undo each other (hysteresis)",
                )

    def _transit(self, number: int, occasion: Occasion) -> None:
        event = self.system.events[number]
        self.records.append(EventRecord(self.t, event.name, event.block))
        if event.event.refusal:
            raise self._failed(f"{event.label} at t = {self.t:.9g}: {event.event.doc}", (event.label,), event.event.refusal)
        uncertainty, _ = self.watch.certainty(self.slopes, *self._point())
        self._watch_chattering(number, event, uncertainty)
        if event.states or event.inputs:
            values = self.watch.transition_values(*self._point())
            if not np.isfinite(values[[place for _, place in (*event.states, *event.inputs)]]).all():
                raise self._failed(
                    f"event {event.label} at t = {self.t:g} sets a value that is not finite", (event.label,), "check its transition"
                )
            self.companion.leave(number, occasion, self._point(), self.slopes)
            for state, place in event.states:
                self.x[state] = values[place]
            for place_of_input, place in event.inputs:
                self.u[place_of_input] = values[place]
                self.slopes[place_of_input] = 0.0
            try:
                self._solve_algebra()
            except NumericsError as error:
                raise self._failed(
                    f"no restart after event {event.label} at t = {self.t:.9g}: {error.message}", (event.label, *error.names), error.hint
                ) from error
            self.companion.arrive(number, self._point(), self.slopes)
        self.fired_now.add(number)
        guards, _ = self._look()
        self.undecided.update(self.watch.settle({number}, guards, uncertainty))
        if event.guard is not None:
            firings = self.firings[number]
            firings.height = abs(guards[event.guard])
            firings.slope = abs(self.watch.certainty(self.slopes, *self._point())[1][event.guard])

    def _solve_algebra(self) -> None:
        if self.system.algebraics:
            self.x, self.z = self.algebra.solve(self.t, self.x, self.z, self.u, self.values)
        self._sight = None

    def _watch_chattering(self, number: int, event: LoweredEvent, uncertainty: np.ndarray) -> None:
        """Refuse to go on where time stands still, or a guard's way between two events is less than it is known to (Zeno)."""
        firings = self.firings.setdefault(number, _Firings())
        before, firings.interval = firings.interval, self.t - firings.last
        firings.last = self.t
        span = max(self.end - float(self.system.time.first), abs(self.t))
        firings.at_once = firings.at_once + 1 if firings.interval <= 1e-12 * span else 0
        if event.guard is not None:
            way = max(firings.height, firings.slope * firings.interval / 4)  # a parabola's height between two zeros
            firings.unresolved = firings.unresolved + 1 if way < LEAST_WAY * uncertainty[event.guard] else 0
        if firings.at_once >= 20:
            raise self._failed(
                f"chattering: event {event.label} happens again and again at t = {self.t:.9g}",
                (event.label,),
                "give its guard a hysteresis",
            )
        if firings.unresolved >= 3:
            shrinks = 0 < firings.interval < before
            limit = self.t + (firings.interval**2 / (before - firings.interval) if shrinks else 0.0)
            raise self._failed(
                f"chattering: event {event.label} repeats faster than the tolerances can resolve; its times add up to about "
                f"t = {limit:.6g}, which cannot be passed",
                (event.label,),
                "end the run before, let the event switch to a mode in which it no longer happens, or give its guard a hysteresis",
            )

    # -- ends -----------------------------------------------------------------------------------------------------

    def _result(self, status: Status) -> Trajectory:
        counts = self.driver.counts if self.driver is not None else {}
        done = self.done
        stats = Stats(
            steps=counts.get("steps", 0),
            rhs_evaluations=counts.get("evaluations", 0),
            jacobian_evaluations=counts.get("jacobians", 0),
            factorizations=counts.get("factorizations", 0),
            newton_iterations=counts.get("iterations", 0),
            error_test_failures=counts.get("error_failures", 0),
            restarts=max(0, counts.get("restarts", 1) - 1),
            seconds=clock.perf_counter() - self.began,
        )
        times, outputs, inputs = self.times[:done], self.outputs[:done], self.u_out[:done]
        if status is Status.INCOMPLETE and (not done or times[-1] < self.t) and np.isfinite(self._y()).all():
            # what went wrong shows at the last good point, which need not be an output
            times, outputs = np.append(times, self.t), np.vstack([outputs[:, : self.size], self._y()])
            inputs = np.vstack([inputs, self._point()[3]])
        return Trajectory(
            system=self.system,
            t=times.copy(),
            x=outputs[:, : len(self.x)].copy(),
            z=outputs[:, self.functions.state_count : self.size].copy(),
            u=inputs.copy(),
            p=self.values.p.copy(),
            events=tuple(self.records),
            status=status,
            stats=stats,
            compiled=self.functions.code is not None,
        )

    def _failed(self, message: str, names: tuple[str, ...], hint: str) -> SimulationError:
        return SimulationError(message, names=tuple(names), hint=hint, trajectory=self._result(Status.INCOMPLETE))

    def _integration_failed(self, outcome: Outcome, driver: SegmentIntegrator) -> SimulationError:
        names = [slot.name for slot in self.system.states] or ["(no state)"]
        names += [f"equation {name}" for name in self.system.equation_names]
        if outcome is Outcome.FAILED_GUARD and driver.bad_guard is not None:
            label = self.system.events[self.watch.guarded[driver.bad_guard]].label
            return self._failed(
                f"not a number: the guard of event {label} is not finite after t = {self.t:.9g}", (label,), "check the guard's expression"
            )
        if outcome is Outcome.FAILED_MODEL and driver.not_finite is not None:
            return self._not_a_number(names, *driver.not_finite)
        if outcome is Outcome.FAILED_ALGEBRA and driver.stuck is not None:
            place, t = driver.stuck
            equation = self.system.equation_names[place]
            return self._failed(
                f"the algebraic equations found no solution after t = {self.t:.9g} (tried up to t = {t:.9g}); worst: {equation}",
                (equation, *(slot.name for slot in self.system.algebraics[:5])),
                "the solution may end there (two roots that meet, a variable that leaves its range); look at the last values",
            )
        errors = driver.errors()
        worst = names[int(np.argmax(errors)) % self.size] if errors is not None and np.isfinite(errors).all() else names[0]
        return self._failed(
            f"the integration stopped at t = {self.t:.9g}: {_REASONS[outcome]}; step {driver.step:.3g}; dominated by {worst}",
            (worst,),
            "look at this variable's last values: a finite escape, a jump without an event, or a bad scale (declare a nominal value)",
        )

    def _not_a_number(self, names: list[str], place: int, t: float, y: np.ndarray) -> SimulationError:
        block, place = divmod(place, self.size)
        what = f"{'derivative of the ' if block else ''}slope of {names[place]}" if place < self.functions.state_count else names[place]
        x, z = y[: len(self.x)], y[self.functions.state_count :]
        origin = find_origin(self.system, t, x, z, self.u + self.slopes * (t - self.reference), self.values.p)
        concerned = [] if origin is None else [origin.equation, *list(origin.values)[:MOST_VARIABLES]]
        return self._failed(
            f"not a number: the {what} is not finite at t = {t:.9g}" + ("" if origin is None else f"; it comes from {origin.text}"),
            tuple(dict.fromkeys([*concerned, names[place]])),
            "a division by zero, or the logarithm or root of a negative number: bound the variable or start elsewhere",
        )


_REASONS = {
    Outcome.FAILED_TOLERANCE: "the tolerances are too tight",
    Outcome.FAILED_ERROR_TEST: "the error test failed at the smallest step",
    Outcome.FAILED_CONVERGENCE: "the nonlinear equations of a step did not converge",
    Outcome.FAILED_MODEL: "a slope is not finite",
    Outcome.FAILED_GUARD: "a guard is not finite",
    Outcome.FAILED_STALLED: "the steps became so small that time stands still",
    Outcome.FAILED_OTHER: "SUNDIALS gave up",
    Outcome.FAILED_ALGEBRA: "the algebraic equations found no solution",
}
