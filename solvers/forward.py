"""Forward derivatives: the variational equations ``S' = f_y S + f_p`` beside the states, in one integration.

They share the method's steps and one factorization, and their local errors are held to the tolerances like those of the states
(Maly & Petzold 1996, Appl. Numer. Math. 20:57).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from solvers.companion import Companion, Occasion, Point
from solvers.compiled import LazyCode
from solvers.directions import Kind, OutputFunctions, Parameter, moving_inputs, scale_of, start_change
from solvers.integrator import IntegrationMethod, SegmentFunctions, SegmentIntegrator, Tangent
from solvers.saltation import Boundary, BoundaryFunctions, Instant, jumped
from solvers.schedule import Schedule
from solvers.simulate import Run
from solvers.start import Values
from solvers.trajectory import Trajectory


class Forward(Companion):
    """Carries the derivatives of (x, u, p) by the parameters, shape (states + inputs + parameters, chosen)."""

    def __init__(self, run: Run, parameters: tuple[Parameter, ...], outputs: OutputFunctions) -> None:
        system = self.system = run.system
        self._run = run
        self._parameters = parameters
        self._outputs = outputs
        self._functions: BoundaryFunctions = system.made("boundary", lambda: BoundaryFunctions(system))
        self._boundary = Boundary(self._functions, (run.rtol, run.atol * system.nominals))
        self._states, self._inputs = len(system.states), len(system.inputs)
        self._moving_inputs = moving_inputs(system, parameters)
        self._change = np.zeros((self._states + self._inputs + len(system.parameters), len(parameters)))
        self._algebraic: np.ndarray | None = None
        self._instant: Instant | None = None
        self._code: LazyCode | None = None
        self._times: Mapping[int, np.ndarray] = {}
        self._used = np.concatenate([outputs.used[0], run.functions.state_count + outputs.used[1]]).astype(int)
        self._input_changes = np.zeros((len(run.times), self._inputs, len(parameters)))

    # -- what the run asks for ----------------------------------------------------------------------------------------

    methods = (IntegrationMethod.BDF,)

    def integrator(
        self, functions: SegmentFunctions, t: float, y: np.ndarray, rtol: float, atol: np.ndarray, method: IntegrationMethod
    ) -> SegmentIntegrator:
        """Return the integrator of states and derivatives.

        Its norm is the mean over all of them. Tolerances are made tighter so that neither the states nor any one parameter's
        derivatives can take more of it than if they were alone.
        """
        system, blocks = self.system, len(self._parameters)
        share = 1 / np.sqrt(1 + blocks)
        scales = [scale_of(system, parameter, self._run.values) for parameter in self._parameters]
        chosen = [p.place for p in self._parameters if p.kind is Kind.PARAMETER]
        columns = (*sorted(chosen), *(len(system.parameters) + place for place in self._moving_inputs))
        key = functions.ramped, columns
        tangent: Tangent = system.made(("tangent", *key), lambda: functions.tangent(columns))
        code: LazyCode = system.made(("code of tangent", *key), lambda: LazyCode((tangent.function,)))
        compiled = code.choose(self._run.compilation)
        if compiled is None:
            self._code = code
        else:
            tangent = replace(tangent, function=compiled[0])
        kept = np.concatenate([np.arange(len(y)), *(len(y) * (1 + block) + self._used for block in range(blocks))])
        full = np.concatenate([y, np.zeros(len(y) * blocks)])
        tolerances = np.concatenate([atol, *(atol / scale for scale in scales)])
        self._seeded = [self._states + self._inputs + place for place in sorted(chosen)]
        self._seeded += [self._states + place for place in self._moving_inputs]
        return SegmentIntegrator(functions, t, full, share * rtol, share * tolerances, kept, tangent, method)

    def ran(self, evaluations: int) -> None:
        """Count what the run has spent on what could be compiled."""
        if self._code is not None and self.system.joined is None:
            self._code.ran(evaluations * self._code.parts[0].n_instructions())

    def width(self, size: int) -> int:
        """Length of a row: the states and what the outputs need of the derivatives."""
        return size + len(self._parameters) * len(self._used)

    def row(self, y: np.ndarray, point: Point) -> np.ndarray:
        """Return the row of outputs for the present."""
        return np.concatenate([y, self._blocks(point)[:, self._used].ravel()])

    def full(self, driver: SegmentIntegrator, y: np.ndarray, point: Point) -> np.ndarray:
        """Return (x, z) and its derivatives, one block for each parameter."""
        driver.seed[:] = self._change[self._seeded].T
        return np.concatenate([y, self._blocks(point).ravel()])

    def take(self, driver: SegmentIntegrator, stop: float) -> None:
        """Read the derivatives at the end of a segment."""
        blocks = driver.y.reshape(1 + len(self._parameters), -1)[1:]
        self._change[: self._states] = blocks[:, : self._states].T
        self._algebraic = blocks[:, self._run.functions.state_count :].T.copy()

    def begin(self, point: Point, values: Values) -> None:
        """Set the derivatives of a consistent start."""
        self._change[:] = start_change(self.system, self._parameters, point, values)
        self._algebraic = None

    def given(self, schedule: Schedule, t: float) -> None:
        """Inputs follow their profiles from here on, whatever events had made of them."""
        self._change[[self._states + place for place in schedule.changed(t)]] = 0.0
        self._algebraic = None

    def occur(self, crossed: Sequence[int], point: Point, input_slopes: np.ndarray) -> None:
        """Find how the events' times move."""
        self._instant = self._boundary.occur(crossed, point, input_slopes)
        self._times = {number: row @ self._change for number, row in self._instant.clocks.items()}

    def leave(self, number: int, occasion: Occasion, point: Point, input_slopes: np.ndarray) -> None:
        """Look at what holds before a transition."""
        assert self._instant is not None
        self._boundary.leave(self._instant, number, occasion, point, input_slopes)

    def arrive(self, number: int, point: Point, input_slopes: np.ndarray) -> None:
        """Take the derivatives through a transition."""
        assert self._instant is not None
        jump = self._boundary.arrive(self._instant, number, point, input_slopes)
        self._change = jumped(jump, self._change, self._times.get(jump.clock))
        self._algebraic = None

    def fill(self, first: int, last: int) -> None:
        """Note the derivatives of inputs, which are constant in a segment."""
        self._input_changes[first:last] = self._change[self._states : self._states + self._inputs]

    def _blocks(self, point: Point) -> np.ndarray:
        """Derivatives of (x, z), shape (parameters, size)."""
        if self._algebraic is None:
            change = np.vstack([np.zeros((1, len(self._parameters))), self._change])
            known = self._functions.linearize(point, np.zeros(self._inputs)) if self.system.algebraics else None
            self._algebraic = known.algebraic(change) if known is not None else np.zeros((0, len(self._parameters)))
        states = self._change[: self._states] if self._states else np.zeros((1, len(self._parameters)))
        return np.concatenate([states, self._algebraic]).T

    # -- the end ------------------------------------------------------------------------------------------------------

    def derivatives(self, trajectory: Trajectory) -> np.ndarray:
        """Return the derivatives of the outputs, shape (times, outputs, parameters)."""
        times, size = len(trajectory.t), self._run.size
        changes = self._run.outputs[:times, size:].reshape(times, len(self._parameters), len(self._used))
        column = {place: number for number, place in enumerate(self._used)}
        parameters = self._change[self._states + self._inputs :]
        array = np.zeros((times, len(self._outputs.names), len(self._parameters)))
        for group, output, place, entry in self._outputs.entries(trajectory):
            if group < 2:
                change = changes[:, :, column[place + (self._run.functions.state_count if group else 0)]]
            else:
                change = self._input_changes[:times, place] if group == 2 else parameters[place][None, :]
            array[:, output, :] += entry[:, None] * change
        return array
