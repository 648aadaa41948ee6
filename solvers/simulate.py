"""Simulation in hybrid time: a chain of smooth segments, ended by known times and by guards that cross zero.

At one instant, in this order: profiles change, known-time events happen, guard events happen in the order of their
declaration; after each transition the algebraic variables are solved anew, and an event whose guard a transition has
carried beyond zero happens too.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import numpy as np

from solvers.declare import Direction
from solvers.errors import NumericsError, UsageError
from solvers.evaluation import Evaluation
from solvers.integrator import FOUND_EVENT, MOST_STEPS, REACHED_END, STALLED, Kernel, SegmentIntegrator
from solvers.lower import lower
from solvers.schedule import Schedule, make_schedule
from solvers.start import StartProblem, Values, read_values
from solvers.system import DaeSystem, LoweredEvent
from solvers.trajectory import EventRecord, Stats, Status, Trajectory

MOST_STEPS_IN_ALL = 10_000_000
MOST_EVENTS_AT_ONCE = 100
LOCAL_SHARE = 0.1
"""Local errors are held to this share of the tolerances, so that the global error stays near them (HIRES, ROBER, OREGO)."""


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
    inputs: Mapping[Any, Any] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> Trajectory:
    """Simulate a Pyomo DAE model or a lowered system from the first point of its time set.

    Parameters
    ----------
    model : a Pyomo model, or a :class:`DaeSystem`, which saves lowering. Values (fixed Vars, Params, starts) are read from
        the Pyomo model in both cases; a system whose model's structure has changed is lowered anew.
    t_eval : increasing output times, shape (n,), in the model's time unit; they do not stop the integration.
    inputs : ``{Var or name: number or Profile}`` for fixed Vars of time, numbers also for mutable Params and fixed Vars.
    rtol : relative tolerance, 1e-13 to 0.1; local errors are held to a tenth of the tolerances.
    atol : absolute tolerance in units of each state's nominal value.

    Returns
    -------
    Trajectory : with status COMPLETE.

    Raises
    ------
    UsageError : output times or tolerances that cannot be served, unknown inputs.
    StructureError : see :func:`solvers.lower`.
    SimulationError : the run failed; its ``trajectory`` holds what was computed, marked incomplete.
    """
    system = current_system(model)
    times = _checked_times(system, t_eval)
    if not (1e-13 <= rtol <= 0.1) or not (0 < atol < math.inf):
        raise UsageError(
            f"tolerances rtol = {rtol:g}, atol = {atol:g} cannot be served", hint="rtol between 1e-13 and 0.1, atol above zero"
        )
    schedule = make_schedule(system, inputs)
    values = read_values(system, [*schedule.profiles, *schedule.inputs])
    for place, value in schedule.inputs.items():
        values.u[place] = value
    for place, value in schedule.parameters.items():
        values.p[place] = value
    return _Run(system, times, schedule, values, rtol, atol).trajectory()


def _checked_times(system: DaeSystem, t_eval: Any) -> np.ndarray:
    times = np.atleast_1d(np.asarray(t_eval, dtype=float))
    if times.ndim != 1 or not len(times):
        raise UsageError("t_eval has to hold at least one time", hint="e.g. numpy.linspace(0, 3600, 601)")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise UsageError("the output times have to be finite and to increase")
    if times[0] < system.time.first:
        raise UsageError(f"output at {times[0]:g} lies before the model's first time {system.time.first:g}")
    return times


@dataclass(slots=True)
class _Firings:
    """Times at which one event happened lately, to tell a Zeno sequence from a busy one."""

    last: float = math.nan
    interval: float = math.nan
    shrinking: int = 0
    at_once: int = 0


@dataclass(eq=False)
class _Run:
    """The state of one simulation while it goes on."""

    system: DaeSystem
    times: np.ndarray
    schedule: Schedule
    values: Values
    rtol: float
    atol: float
    records: list[EventRecord] = field(default_factory=list)
    firings: dict[int, _Firings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        system = self.system
        self.began = clock.perf_counter()
        self.kernel: Kernel = system.made(("kernel", self.schedule.ramped), lambda: Kernel(system, self.schedule.ramped))
        self.algebra: StartProblem = system.made("algebra", lambda: StartProblem(system, at_start=False))
        self.watch: _Watch = system.made("watch", lambda: _Watch(system))
        self.t = float(system.time.first)
        self.end = float(self.times[-1])
        self.x, self.z = self.values.x.copy(), self.values.z.copy()
        self.u, self.slopes, self.reference = self.values.u.copy(), np.zeros(len(self.values.u)), self.t
        self.outputs = np.full((len(self.times), self.kernel.state_count + len(self.z)), np.nan)
        self.u_out = np.full((len(self.times), len(self.u)), np.nan)
        self.done = 0
        self.driver: SegmentIntegrator | None = None

    # -- the whole run --------------------------------------------------------------------------------------------

    def trajectory(self) -> Trajectory:
        """Go through all segments."""
        try:
            self._begin()
            for stop in self._stops():
                self._advance(stop)
            self._fill_at(self.end)
        except SimulationError:
            raise
        except NumericsError as error:
            raise self._failed(error.message, error.names, error.hint) from error
        return self._result(Status.COMPLETE)

    def _begin(self) -> None:
        self.schedule.apply(self.t, self.u, self.slopes, everything=True)
        start: StartProblem = self.system.made("start", lambda: StartProblem(self.system, at_start=True))
        self.x, self.z = start.solve(self.t, self.x, self.z, self.u, self.values)
        before = np.zeros(len(self.system.events), dtype=bool)
        self._happen(self._due(self.t), before)

    def _stops(self) -> list[float]:
        known = self.schedule.breakpoints() | {float(at) for event in self.system.events for at in event.event.at}
        return [*sorted(at for at in known if self.t < at < self.end), self.end] if self.end > self.t else []

    def _due(self, t: float) -> list[int]:
        return [number for number, event in enumerate(self.system.events) if t in event.event.at]

    def _advance(self, stop: float) -> None:
        """Integrate to a known time, through all the events on the way, and let happen what is known for it."""
        while self.t < stop:
            earlier = self._beyond()
            reported = self._segment(stop)
            # a guard that is exactly zero where another event ends the segment has crossed without being reported
            before = self._beyond()
            before[reported] = True
            self._happen(np.flatnonzero(before & ~earlier | self._among(reported)).tolist(), before)
        self._move_reference()
        before = self._beyond()
        self.schedule.apply(stop, self.u, self.slopes, everything=False)
        if self.schedule.profiles:
            self._solve_algebra()
        self._happen(self._due(stop), before)

    # -- one segment ----------------------------------------------------------------------------------------------

    def _segment(self, stop: float) -> list[int]:
        """Integrate to ``stop`` or to the first event; return the events that happen there."""
        driver = self._driver()
        self._fill_at(self.t)
        y = np.concatenate([self.x if len(self.x) else [0.0], self.z])
        constants = self.kernel.constants(self.values.p, self.u, self.slopes, self.reference)
        flag = driver.restart(self.t, stop, y, constants, self.watch.directions)
        while flag >= 0:
            first = self.done
            flag, t, self.done, crossed = driver.run(stop, self.times, self.done, self.outputs, MOST_STEPS_IN_ALL)
            self._fill_inputs(first, self.done)
            self.t = t
            self.x, self.z = driver.y[: len(self.x)].copy(), driver.y[self.kernel.state_count :].copy()
            if flag == FOUND_EVENT:
                numbers = self.watch.events_of(crossed)
                active = self.watch.active(self)
                happening = [number for number in numbers if active[number]]
                if happening:
                    self._move_reference()
                    return happening
            elif flag == REACHED_END:
                return []
            elif flag == MOST_STEPS:
                raise self._failed(
                    f"{MOST_STEPS_IN_ALL} steps were not enough by t = {t:g}",
                    (),
                    "the model may oscillate without end; check its time scales",
                )
        raise self._integration_failed(flag, driver)

    def _driver(self) -> SegmentIntegrator:
        if self.driver is None:
            nominal = self.system.nominals if len(self.x) else np.ones(1)
            atol = self.atol * np.concatenate([nominal, np.ones(len(self.z))])
            y = np.concatenate([self.x if len(self.x) else [0.0], self.z])
            self.driver = SegmentIntegrator(self.kernel, self.t, y, LOCAL_SHARE * self.rtol, LOCAL_SHARE * atol)
        return self.driver

    def _fill_at(self, t: float) -> None:
        """Fill the output at the present time, if there is one, with what holds after all that happened at it."""
        first = self.done
        if self.done < len(self.times) and self.times[self.done] == t:
            self.outputs[self.done] = np.concatenate([self.x if len(self.x) else [0.0], self.z])
            self.done += 1
        self._fill_inputs(first, self.done)

    def _fill_inputs(self, first: int, last: int) -> None:
        elapsed = self.times[first:last, None] - self.reference
        self.u_out[first:last] = self.u + self.slopes * elapsed

    def _move_reference(self) -> None:
        """Bring ramped inputs to the present time."""
        self.u = self.u + self.slopes * (self.t - self.reference)
        self.reference = self.t

    # -- events ---------------------------------------------------------------------------------------------------

    def _beyond(self) -> np.ndarray:
        return self.watch.beyond(self)

    def _among(self, numbers: list[int]) -> np.ndarray:
        chosen = np.zeros(len(self.system.events), dtype=bool)
        chosen[numbers] = True
        return chosen

    def _happen(self, numbers: list[int], before: np.ndarray) -> None:
        """Let events happen at this instant, and those that their transitions or the start bring about."""
        waiting = list(numbers)
        for _ in range(MOST_EVENTS_AT_ONCE):
            while waiting:
                number = waiting.pop(0)
                self._transit(number)
                before[number] = True
            now = self._beyond()
            waiting = [number for number in range(len(now)) if now[number] and not before[number]]
            before = now
            if not waiting:
                return
        names = tuple(self.system.events[number].label for number in waiting)
        raise self._failed(
            f"more than {MOST_EVENTS_AT_ONCE} rounds of events at t = {self.t:g}: {', '.join(names)} call each other",
            names,
            "separate the thresholds of events that undo each other (hysteresis)",
        )

    def _transit(self, number: int) -> None:
        event = self.system.events[number]
        self.records.append(EventRecord(self.t, event.name, event.block))
        self._watch_chattering(number, event)
        if event.states or event.inputs:
            values = self.watch.transition_values(self)
            for state, place in event.states:
                self.x[state] = values[place]
            for place_of_input, place in event.inputs:
                self.u[place_of_input] = values[place]
                self.slopes[place_of_input] = 0.0
            changed = values[[place for _, place in (*event.states, *event.inputs)]]
            if not np.isfinite(changed).all():
                raise self._failed(
                    f"event {event.label} at t = {self.t:g} sets a value that is not finite", (event.label,), "check its transition"
                )
            self._solve_algebra()

    def _solve_algebra(self) -> None:
        self.x, self.z = self.algebra.solve(self.t, self.x, self.z, self.u, self.values)

    def _watch_chattering(self, number: int, event: LoweredEvent) -> None:
        """Refuse to go on where an event repeats ever faster: its times add up to a finite limit (Zeno), or time stands still."""
        firings = self.firings.setdefault(number, _Firings())
        interval = self.t - firings.last
        span = self.end - float(self.system.time.first)
        firings.at_once = firings.at_once + 1 if interval <= 1e-12 * max(span, abs(self.t)) else 0
        shrinks = interval < 0.97 * firings.interval
        firings.shrinking = firings.shrinking + 1 if shrinks else 0
        name = event.label
        if firings.shrinking >= 12:
            ratio = interval / firings.interval
            limit = self.t + interval * ratio / (1 - ratio)
            if limit - self.t < 1e-3 * (self.t - float(self.system.time.first)):
                raise self._failed(
                    f"chattering: event {name} repeats ever faster; its times add up to about t = {limit:.6g}, which cannot be passed",
                    (name,),
                    "end the run before, or let the event switch to a mode in which it no longer happens",
                )
        if firings.at_once >= 20:
            raise self._failed(
                f"chattering: event {name} happens again and again at t = {self.t:.9g}", (name,), "give its guard a hysteresis"
            )
        firings.last, firings.interval = self.t, interval

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
        return Trajectory(
            system=self.system,
            t=self.times[:done].copy(),
            x=self.outputs[:done, : len(self.x)].copy(),
            z=self.outputs[:done, self.kernel.state_count :].copy(),
            u=self.u_out[:done].copy(),
            p=self.values.p.copy(),
            events=tuple(self.records),
            status=status,
            stats=stats,
        )

    def _failed(self, message: str, names: tuple[str, ...], hint: str) -> SimulationError:
        return SimulationError(message, names=tuple(names), hint=hint, trajectory=self._result(Status.INCOMPLETE))

    def _integration_failed(self, flag: int, driver: SegmentIntegrator) -> SimulationError:
        names = [slot.name for slot in self.system.states] or ["(no state)"]
        names += [f"equation {name}" for name in self.system.equation_names]
        if driver.not_finite is not None and flag in (-8, -9, -10, -11):
            place, t = driver.not_finite
            return self._failed(
                f"not a number: the slope of {names[place]} is not finite at t = {t:.9g}",
                (names[place],),
                "a division by zero, or the logarithm or root of a negative number: bound the variable or start elsewhere",
            )
        errors = driver.errors()
        worst = names[int(np.argmax(errors))] if errors is not None and np.isfinite(errors).all() else names[0]
        reason = _REASONS.get(flag, f"SUNDIALS flag {flag}")
        return self._failed(
            f"the integration stopped at t = {self.t:.9g}: {reason}; step {driver.step:.3g}; dominated by {worst}",
            (worst,),
            "look at this variable's last values: a finite escape, a jump without an event, or a bad scale (declare a nominal value)",
        )


_REASONS = {
    -2: "the tolerances are too tight",
    STALLED: "the steps became so small that time stands still",
    -3: "the error test failed at the smallest step",
    -4: "the nonlinear equations of a step did not converge",
}


class _Watch:
    """The guards, conditions and transitions of a system as functions."""

    def __init__(self, system: DaeSystem) -> None:
        self._events = system.events
        arguments = list(system.arguments)
        slope = ca.jtimes(system.guards, system.x, system.ode) + ca.jacobian(system.guards, system.t)
        self._guards = Evaluation(ca.Function("guards", arguments, [system.guards, ca.densify(slope), system.conditions]))
        self._conditions = Evaluation(ca.Function("conditions", arguments, [system.conditions]))
        self._values = Evaluation(ca.Function("values", arguments, [system.transition_values]))
        self._guarded = [number for number, event in enumerate(system.events) if event.guard is not None]
        self.directions = [system.events[number].event.direction.value for number in self._guarded]

    @staticmethod
    def _call(function: Evaluation, run: _Run) -> tuple[np.ndarray, ...]:
        u = run.u + run.slopes * (run.t - run.reference)
        return function(run.t, run.x, run.z, u, run.values.p)

    def events_of(self, crossed: np.ndarray) -> list[int]:
        """Return the numbers of the events whose guards crossed in their direction."""
        return [
            number for number, sign, wanted in zip(self._guarded, crossed, self.directions, strict=True) if sign and wanted in (0, sign)
        ]

    def active(self, run: _Run) -> np.ndarray:
        """Whether each event is watched now."""
        (conditions,) = self._call(self._conditions, run)
        return self._watched(conditions)

    def _watched(self, conditions: np.ndarray) -> np.ndarray:
        return np.array([event.when is None or conditions[event.when] > 0 for event in self._events], dtype=bool)

    def beyond(self, run: _Run) -> np.ndarray:
        """Whether each event's guard is watched and beyond zero in its direction, or at zero and on its way beyond."""
        result = np.zeros(len(self._events), dtype=bool)
        if not self._guarded:
            return result
        guard, slope, conditions = self._call(self._guards, run)
        active = self._watched(conditions)
        for number in self._guarded:
            event = self._events[number]
            direction = event.event.direction
            if active[number] and direction is not Direction.EITHER:
                value = direction.value * guard[event.guard]
                result[number] = value > 0 or (value == 0 and direction.value * slope[event.guard] > 0)
        return result

    def transition_values(self, run: _Run) -> np.ndarray:
        """Return the new values of all transitions, from what holds now."""
        (values,) = self._call(self._values, run)
        return values
