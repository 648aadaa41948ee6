"""Adjoint derivatives: the run is recorded, then the adjoint equations are carried back through it, jumps transposed.

The record holds, for each internal step, samples from which the integrator's own polynomial is read again. What happens at an
instant is the transpose of what the forward method applies (:mod:`solvers.saltation`). Cao, Li, Petzold & Serban 2003, SIAM J.
Sci. Comput. 24:1076.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_matrix

from solvers.companion import Companion, Occasion, Point
from solvers.directions import Kind, OutputFunctions, Parameter, moving_inputs, start_change
from solvers.integrator import IntegrationMethod, Outcome, SegmentFunctions, SegmentIntegrator, Tangent
from solvers.radau import Coefficients, Pattern, integrate_back
from solvers.saltation import Boundary, BoundaryFunctions, Instant
from solvers.schedule import Schedule
from solvers.simulate import Run
from solvers.start import Values
from solvers.trajectory import Trajectory

SAMPLES = (1 - np.cos(np.arange(6) * np.pi / 5)) / 2
"""Where in a step the solution is sampled: six points determine a polynomial of degree five, the highest there is."""
BARYCENTRIC = np.array([0.5, -1.0, 1.0, -1.0, 1.0, -0.5])
"""Weights of interpolation through these points (Berrut & Trefethen 2004, SIAM Rev. 46:501)."""
LOCAL_SHARE = 0.1
"""Local errors of adjoint variables are held to this share of the tolerance."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A part of the run without a jump."""

    times: np.ndarray
    """Limits of its steps, shape (steps + 1,)."""
    samples: np.ndarray
    """(x, z) at the samples of each step, shape (steps, 6, size)."""
    constants: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """Return (x, z) at times, shape (times, size)."""
        place = np.clip(np.searchsorted(self.times, times, side="right") - 1, 0, len(self.samples) - 1)
        share = (times - self.times[place]) / (self.times[place + 1] - self.times[place])
        distance = share[:, None] - SAMPLES
        exact = np.abs(distance) < 1e-15
        weights = BARYCENTRIC / np.where(exact, 1.0, distance)
        hit = exact.any(axis=1)
        weights[hit] = exact[hit]
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(np.einsum("ks,ksi->ki", weights, self.samples[place]))


@dataclass(frozen=True, eq=False)
class Given:
    """Inputs that follow profiles from a time on: what they were before no longer counts; places among (x, u, p)."""

    t: float
    places: list[int]


class Recorder(SegmentIntegrator):
    """Integrates step by step and keeps what is needed to know the solution anywhere."""

    def restart(self, t: float, stop: float, y: np.ndarray, constants: np.ndarray, directions: Sequence[int]) -> Outcome | None:
        """Start a segment, and a new record."""
        self.constants = constants.copy()
        self.limits: list[float] = [t]
        self.samples: list[np.ndarray] = []
        return super().restart(t, stop, y, constants, directions)

    def run(
        self, stop: float, times: np.ndarray, done: int, outputs: np.ndarray, most_steps: int
    ) -> tuple[Outcome, float, int, np.ndarray]:
        """Integrate as the parent does, one step at a time."""
        for _ in range(most_steps):
            outcome, t, done, crossed = super().run(stop, times, done, outputs, 1)
            if outcome < 0:
                break
            if t > self.limits[-1]:
                self.samples.append(self.sample(self.limits[-1] + (t - self.limits[-1]) * SAMPLES))
                self.limits.append(t)
            if outcome is not Outcome.WANTS_PAUSE:
                break
        return outcome, t, done, crossed

    def recorded(self) -> Stretch | None:
        """Return what was recorded since the restart or the last call, or None."""
        if not self.samples:
            return None
        stretch = Stretch(np.array(self.limits), np.array(self.samples), self.constants)
        self.limits, self.samples = self.limits[-1:], []
        return stretch


class Recording(Companion):
    """Notes what a run goes through, in order."""

    def __init__(self, run: Run, parameters: tuple[Parameter, ...], outputs: OutputFunctions) -> None:
        system = self.system = run.system
        self._run = run
        self._parameters = parameters
        self._outputs = outputs
        self._functions: BoundaryFunctions = system.made("boundary", lambda: BoundaryFunctions(system))
        self._boundary = Boundary(self._functions, (run.rtol, run.atol * system.nominals))
        self._course: list[Stretch | Instant | Given] = []
        self._start = np.zeros((0, 0))
        self._instant: Instant | None = None
        self.steps = 0
        """Backward steps taken."""

    # -- what the run asks for ----------------------------------------------------------------------------------------

    def integrator(
        self, functions: SegmentFunctions, t: float, y: np.ndarray, rtol: float, atol: np.ndarray, method: IntegrationMethod
    ) -> SegmentIntegrator:
        """Return an integrator that records."""
        return Recorder(functions, t, y, rtol, atol, method=method)

    def take(self, driver: SegmentIntegrator, stop: float) -> None:
        """Keep the record of a segment."""
        assert isinstance(driver, Recorder)
        stretch = driver.recorded()
        if stretch is not None:
            self._course.append(stretch)

    def begin(self, point: Point, values: Values) -> None:
        """Note how the start depends on the parameters."""
        self._start = start_change(self.system, self._parameters, point, values)

    def given(self, schedule: Schedule, t: float) -> None:
        """Note which inputs no longer depend on what was before."""
        self._course.append(Given(t, [len(self.system.states) + place for place in schedule.changed(t)]))

    def occur(self, crossed: Sequence[int], point: Point, input_slopes: np.ndarray) -> None:
        """Begin an instant."""
        self._instant = self._boundary.occur(crossed, point, input_slopes)
        self._course.append(self._instant)

    def leave(self, number: int, occasion: Occasion, point: Point, input_slopes: np.ndarray) -> None:
        """Look at what holds before a transition."""
        assert self._instant is not None
        self._boundary.leave(self._instant, number, occasion, point, input_slopes)

    def arrive(self, number: int, point: Point, input_slopes: np.ndarray) -> None:
        """Note a transition."""
        assert self._instant is not None
        self._boundary.arrive(self._instant, number, point, input_slopes)

    # -- the way back -------------------------------------------------------------------------------------------------

    def derivatives(self, trajectory: Trajectory) -> np.ndarray:
        """Return the derivatives of the outputs, shape (times, outputs, parameters)."""
        rows = self._rows(trajectory)
        waiting = list(range(len(trajectory.t)))
        present = np.zeros((0, rows.shape[2]))
        for part in reversed(self._course):
            upper = part.times[-1] if isinstance(part, Stretch) else part.t
            present = self._joined(present, rows, waiting, trajectory.t, float(upper))
            if isinstance(part, Given):
                present[:, part.places] = 0.0
            elif isinstance(part, Instant):
                present = part.transposed(present.T).T
            else:
                while waiting and trajectory.t[waiting[-1]] > part.times[0]:
                    middle = float(trajectory.t[waiting[-1]])
                    present = self._back(part, float(upper), middle, present)
                    present = self._joined(present, rows, waiting, trajectory.t, middle)
                    upper = middle
                present = self._back(part, float(upper), float(part.times[0]), present)
        present = self._joined(present, rows, waiting, trajectory.t, -np.inf)
        found = present @ self._start
        # outputs have joined from the last time to the first
        return np.asarray(found.reshape(len(trajectory.t), len(self._outputs.names), -1)[::-1])

    def _joined(self, present: np.ndarray, rows: np.ndarray, waiting: list[int], times: np.ndarray, reached: float) -> np.ndarray:
        """Return the adjoint variables with those of the outputs at and after a time that has been reached."""
        while waiting and times[waiting[-1]] >= reached:
            present = np.concatenate([present, rows[waiting.pop()]])
        return present

    def _rows(self, trajectory: Trajectory) -> np.ndarray:
        """Return the derivatives of outputs by (x, u, p), z following, shape (times, outputs, states + inputs + parameters)."""
        system = self.system
        states, inputs, count = len(system.states), len(system.inputs), len(trajectory.t)
        first = {0: 1, 2: 1 + states, 3: 1 + states + inputs}
        by_v = np.zeros((count, len(self._outputs.names), 1 + states + inputs + len(system.parameters)))
        by_z = np.zeros((count, len(self._outputs.names), len(system.algebraics)))
        for group, output, place, entry in self._outputs.entries(trajectory):
            if group == 1:
                by_z[:, output, place] = entry
            else:
                by_v[:, output, first[group] + place] = entry
        if system.algebraics:
            for k, (t, x, z, u) in enumerate(zip(trajectory.t, trajectory.x, trajectory.z, trajectory.u, strict=True)):
                here = self._functions.linearize((float(t), x, z, u, trajectory.p), np.zeros(inputs))
                by_v[k] = here.reduced(by_v[k], by_z[k])
        return by_v[:, :, 1:]

    def _back(self, stretch: Stretch, begin: float, end: float, present: np.ndarray) -> np.ndarray:
        """Carry adjoint variables of (x, u, p) back through (part of) a stretch, shape (any, states + inputs + parameters)."""
        if not len(present) or begin <= end:
            return present
        system, functions = self.system, self._run.functions
        chosen = sorted(p.place for p in self._parameters if p.kind is Kind.PARAMETER)
        moving = moving_inputs(system, self._parameters)
        columns = (*chosen, *(len(system.parameters) + place for place in moving))
        tangent: Tangent = system.made(("tangent", functions.ramped, columns), lambda: functions.tangent(columns))
        pattern: Pattern = system.made(("adjoint pattern", functions.ramped, columns), lambda: _pattern(functions, tangent))
        force_pattern = tangent.function.sparsity_out(2)
        force_rows, force_starts = np.array(force_pattern.row()), np.array(force_pattern.colind())

        def coefficients(times: np.ndarray) -> Coefficients:
            parts = [tangent.function(t, y, stretch.constants) for t, y in zip(times, stretch.at(times), strict=True)]
            return Coefficients(*(np.array([part[k].nonzeros() for part in parts]) for k in (1, 2)))

        def drive(force: np.ndarray, w: np.ndarray) -> np.ndarray:
            return np.asarray(w @ csc_matrix((force, force_rows, force_starts), force_pattern.shape))

        states, inputs = len(system.states), len(system.inputs)
        places = [states + inputs + place for place in chosen] + [states + place for place in moving]
        adjoint = present[:, :states] if states else np.zeros((len(present), 1))
        step = stretch.times[-1] - stretch.times[-2]
        scale = system.nominals if states else np.ones(1)
        adjoint, gradient, taken = integrate_back(
            pattern, coefficients, drive, begin, end, adjoint, present[:, places], step, scale, LOCAL_SHARE * self._run.rtol
        )
        self.steps += taken
        after = present.copy()
        after[:, :states] = adjoint[:, :states]
        after[:, places] = gradient
        return after


def _pattern(functions: SegmentFunctions, tangent: Tangent) -> Pattern:
    sparsity = tangent.function.sparsity_out(1)
    rows, columns = (np.array(part) for part in sparsity.get_triplet())
    return Pattern.of(rows, columns, sparsity.size1(), functions.state_count)
