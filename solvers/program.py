"""The nonlinear program of a dynamic optimization: a system on collocation points, its bounds and constraints, and IPOPT."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from solvers.collocation import Scheme, defects, radau
from solvers.declare import Interpolation, Profile
from solvers.errors import FlowsheetError, NumericsError, UnsupportedModelError
from solvers.implicit import start_problem
from solvers.schedule import make_schedule
from solvers.simulate import Run, prepared_run
from solvers.start import Values
from solvers.system import DaeSystem
from solvers.trajectory import Stats, Status, Trajectory

if TYPE_CHECKING:
    from solvers.optimize import Bound, Control, Optimum


class OptimizationError(NumericsError):
    """No optimum was found; ``optimum`` is the last point, marked as not optimal."""

    def __init__(self, message: str, *, names: Sequence[str] = (), hint: str = "", optimum: Optimum | None = None) -> None:
        super().__init__(message, names=names, hint=hint)
        self.optimum = optimum


@dataclass(eq=False)
class _Unknowns:
    """Scaled unknowns of the program with their limits and start values."""

    symbols: list[ca.MX] = field(default_factory=list)
    lower: list[np.ndarray] = field(default_factory=list)
    upper: list[np.ndarray] = field(default_factory=list)
    begin: list[np.ndarray] = field(default_factory=list)

    def add(self, name: str, begin: np.ndarray, lower: Any, upper: Any, scale: np.ndarray) -> ca.MX:
        """Add a matrix of unknowns (rows, columns) with a scale for each row; return it in its own units."""
        begin = np.atleast_2d(begin)
        symbol = ca.MX.sym(name, *begin.shape)
        spread = np.broadcast_to(np.asarray(scale, dtype=float)[:, None], begin.shape)
        low, high = (np.broadcast_to(np.asarray(limit, dtype=float), begin.shape) for limit in (lower, upper))
        self.symbols.append(ca.vec(symbol))
        self.lower.append((low / spread).ravel(order="F"))
        self.upper.append((high / spread).ravel(order="F"))
        self.begin.append((np.clip(begin, low, high) / spread).ravel(order="F"))
        return symbol * ca.DM(np.array(spread))


@dataclass(eq=False)
class _Constraints:
    """Scaled constraints of the program with their limits and names."""

    columns: list[ca.MX] = field(default_factory=list)
    lower: list[np.ndarray] = field(default_factory=list)
    upper: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def add(self, matrix: ca.MX, lower: Any, upper: Any, scale: np.ndarray, names: Sequence[str]) -> None:
        """Add a matrix of expressions, a row for each name and scale."""
        if not matrix.numel():
            return
        spread = np.broadcast_to(np.asarray(scale, dtype=float)[:, None], matrix.shape)
        self.columns.append(ca.vec(matrix / ca.DM(np.array(spread))))
        self.lower.append((np.broadcast_to(lower, matrix.shape) / spread).ravel(order="F"))
        self.upper.append((np.broadcast_to(upper, matrix.shape) / spread).ravel(order="F"))
        self.names += list(names) * matrix.shape[1]


@dataclass(eq=False)
class Program:
    """A system on collocation points; a goal makes a nonlinear program of it."""

    system: DaeSystem
    scheme: Scheme
    elements: int
    first: float
    given: Mapping[Any, Any]
    """What the caller gave for other inputs and parameters."""
    controls: Mapping[int, Control]
    free_parameters: Mapping[int, tuple[float, float]]
    free_starts: Mapping[int, tuple[float, float]]
    values: Values
    unknowns: _Unknowns = field(default_factory=_Unknowns)
    constraints: _Constraints = field(default_factory=_Constraints)

    @classmethod
    def of(
        cls,
        system: DaeSystem,
        *,
        controls: Mapping[int, Control],
        parameters: Mapping[str, tuple[float, float]],
        horizon: tuple[float, float],
        path: Sequence[Bound],
        end: Sequence[Bound],
        inputs: Mapping[Any, Any] | None,
        elements: int,
        degree: int,
    ) -> Program:
        """Set up the program of a system: its unknowns, equations and limits."""
        _check(system, controls, inputs)
        given = dict(inputs or {})
        begin = {system.inputs[place].name: control.begin for place, control in controls.items()}
        run = prepared_run(system, [float(system.time.first)], {**given, **begin}, 1e-8, 1e-10)
        names = [str(data.name) for data in system.parameters]
        states = [slot.name for slot in system.states]
        program = cls(
            system=system,
            scheme=radau(degree),
            elements=elements,
            first=float(system.time.first),
            given=given,
            controls=controls,
            free_parameters={names.index(name): limits for name, limits in parameters.items() if name in names},
            free_starts={states.index(name): limits for name, limits in parameters.items() if name not in names},
            values=run.values,
        )
        program._build(horizon, path, end)
        return program

    # -- unknowns and equations -----------------------------------------------------------------------------------

    def _build(self, horizon: tuple[float, float], path: Sequence[Bound], end: Sequence[Bound]) -> None:
        system, unknowns = self.system, self.unknowns
        self.horizon, self.path, self.end = horizon, path, end
        guess = _Guess.of(self)
        self._x_scale, self._z_scale = guess.scales(system)
        fixed = np.array([place not in set(system.start_free) and place not in self.free_starts for place in range(len(system.states))])
        low, high = np.where(fixed, guess.x[:, 0], -np.inf), np.where(fixed, guess.x[:, 0], np.inf)
        for place, limits in self.free_starts.items():
            low[place], high[place] = limits
        limits_of = _simple_limits(system, path)
        self.duration = unknowns.add("duration", np.array([[guess.duration]]), *horizon, np.array([max(horizon)]))[0]
        self._u = self._add_controls()
        self._p = self._add_parameters()
        self._x0 = unknowns.add("x0", guess.x[:, :1], low[:, None], high[:, None], self._x_scale)
        self._z0 = unknowns.add("z0", guess.z[:, :1], -np.inf, np.inf, self._z_scale)
        x_low, x_high, z_low, z_high = limits_of
        self._x = unknowns.add("x", guess.x[:, 1:], x_low[:, None], x_high[:, None], self._x_scale)
        self._z = unknowns.add("z", guess.z[:, 1:], z_low[:, None], z_high[:, None], self._z_scale)
        self._add_equations()
        self._add_bounds(path, end)

    def _add_controls(self) -> ca.MX:
        """Add the controls; return the inputs at the start and all collocation points, shape (inputs, 1 + points)."""
        points = self.elements * self.scheme.degree
        rows: list[ca.MX] = []
        self._control_nodes: dict[int, ca.MX] = {}
        for place, value in enumerate(self.values.u):
            control = self.controls.get(place)
            if control is None:
                rows.append(ca.MX(ca.DM(np.full((1, points + 1), value))))
                continue
            linear = control.interpolation is Interpolation.LINEAR
            scale = np.array([max(abs(control.lower), abs(control.upper)) or 1.0])
            nodes = self.unknowns.add(f"u{place}", np.full((1, self.elements + linear), control.begin), control.lower, control.upper, scale)
            self._control_nodes[place] = nodes
            if linear:
                share = ca.DM(np.tile(self.scheme.points, self.elements)[None, :])
                repeat = np.repeat(np.arange(self.elements), self.scheme.degree).tolist()
                inner = nodes[:, repeat] * (1 - share) + nodes[:, [k + 1 for k in repeat]] * share
            else:
                inner = nodes[:, np.repeat(np.arange(self.elements), self.scheme.degree).tolist()]
            rows.append(ca.horzcat(nodes[:, 0], inner))
        return ca.vertcat(*rows) if rows else ca.MX(0, points + 1)

    def _add_parameters(self) -> ca.MX:
        """Add free parameters; return all parameters, shape (parameters, 1)."""
        entries: list[Any] = [float(value) for value in self.values.p]
        self._parameter_symbols: dict[int, ca.MX] = {}
        for place, (lower, upper) in self.free_parameters.items():
            scale = np.array([max(abs(lower), abs(upper)) or 1.0])
            self._parameter_symbols[place] = entries[place] = self.unknowns.add(
                f"p{place}", np.array([[self.values.p[place]]]), lower, upper, scale
            )
        return ca.vertcat(*entries) if entries else ca.MX(0, 1)

    @property
    def times(self) -> ca.MX:
        """Start and collocation points, shape (1, 1 + points)."""
        shares = (np.arange(self.elements)[:, None] + self.scheme.points[None, :]).ravel() / self.elements
        return self.first + self.duration * ca.DM(np.concatenate([[0.0], shares])[None, :])

    def _on_points(self, function: ca.Function) -> list[ca.MX]:
        """Return a function of (t, x, z, u, p) at the start and all collocation points."""
        count = 1 + self.elements * self.scheme.degree
        x, z = ca.horzcat(self._x0, self._x), ca.horzcat(self._z0, self._z)
        return list(function.map(count).call([self.times, x, z, self._u, ca.repmat(self._p, 1, count)]))

    def _add_equations(self) -> None:
        system, degree, constraints = self.system, self.scheme.degree, self.constraints
        slopes, algebraic = self._on_points(system.right_hand_side)
        starts = ca.horzcat(self._x0, self._x[:, degree - 1 :: degree][:, : self.elements - 1])
        lengths = ca.repmat(self.duration / self.elements, 1, self.elements)
        missed = defects(self.scheme, starts, self._x, slopes[:, 1:], lengths)
        constraints.add(missed, 0.0, 0.0, self._x_scale, [f"the equation of {slot.name}" for slot in system.states])
        constraints.add(algebraic, 0.0, 0.0, self._algebraic_scale(), list(system.equation_names))
        if system.start_residual.shape[0]:
            function = ca.Function("start", [*system.arguments, system.start_values], [system.start_residual])
            start = function(self.first, self._x0, self._z0, self._u[:, 0], self._p, self.values.start)
            constraints.add(start, 0.0, 0.0, np.ones(start.shape[0]), list(system.start_equation_names))

    def _algebraic_scale(self) -> np.ndarray:
        """Return the size of each algebraic equation: what it changes by if its variables change by their scales."""
        system = self.system
        if not system.algebraics:
            return np.ones(0)
        jacobian = system.jacobian(self.first, self.values.x, self.values.z, self.values.u, self.values.p)[3]
        sizes = np.abs(np.asarray(ca.DM(ca.densify(jacobian)))) @ self._z_scale
        return np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1.0)

    def course(self, name: str) -> ca.MX:
        """Return a scalar of the model at all collocation points, shape (1, points)."""
        return self._whole_course(name)[:, 1:]

    def _whole_course(self, name: str) -> ca.MX:
        system = self.system
        return self._on_points(ca.Function("course", list(system.arguments), [ca.densify(system.expression(name))]))[0]

    def _add_bounds(self, path: Sequence[Bound], end: Sequence[Bound]) -> None:
        simple = {slot.name for slot in (*self.system.states, *self.system.algebraics)}
        for bound in path:
            values = self._whole_course(bound.name)
            values = values[:, 0] if bound.name in simple else values
            self.constraints.add(values, bound.lower, bound.upper, _bound_scale(bound), [f"{bound.name} on the path"])
        for bound in end:
            values = self._whole_course(bound.name)[:, -1]
            self.constraints.add(values, bound.lower, bound.upper, _bound_scale(bound), [f"{bound.name} at the end"])


def _bound_scale(bound: Bound) -> np.ndarray:
    finite = [abs(limit) for limit in (bound.lower, bound.upper) if np.isfinite(limit) and limit]
    return np.array([max(finite, default=1.0)])


def _simple_limits(system: DaeSystem, path: Sequence[Bound]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return limits of states and algebraic variables that path bounds name, which IPOPT then never leaves."""
    groups = []
    for slots in (system.states, system.algebraics):
        low, high = np.full(len(slots), -np.inf), np.full(len(slots), np.inf)
        for bound in path:
            for place, slot in enumerate(slots):
                if slot.name == bound.name:
                    low[place], high[place] = max(low[place], bound.lower), min(high[place], bound.upper)
        groups += [low, high]
    return groups[0], groups[1], groups[2], groups[3]


def _check(system: DaeSystem, controls: Mapping[int, Control], inputs: Mapping[Any, Any] | None) -> None:
    if system.events:
        labels = [event.label for event in system.events]
        raise UnsupportedModelError(
            f"a model with events cannot be optimized by collocation: {', '.join(labels[:8])}",
            names=labels,
            hint="deactivate the events, or optimize the stages between them",
        )
    if system.singular:
        raise UnsupportedModelError(
            "implicit systems whose matrix of derivatives is singular and varies cannot be optimized", names=system.equation_names[:5]
        )
    profiles = [system.inputs[place].name for place in make_schedule(system, inputs).profiles if place not in controls]
    if profiles:
        raise UnsupportedModelError(
            f"inputs that follow a profile cannot stand beside controls: {', '.join(profiles[:8])}",
            names=profiles,
            hint="hold them at a number, or make them controls",
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Guess:
    """Where the search begins: states and algebraic variables at the start and all collocation points, and the duration."""

    x: np.ndarray
    z: np.ndarray
    duration: float

    @classmethod
    def of(cls, program: Program) -> _Guess:
        """Simulate with the controls' initial values; hold the start where that fails."""
        system, values = program.system, program.values
        lower, upper = program.horizon
        duration = 0.5 * (lower + upper)
        shares = (np.arange(program.elements)[:, None] + program.scheme.points[None, :]).ravel() / program.elements
        times = program.first + duration * np.concatenate([[0.0], shares])
        try:
            trajectory = Run(system, times, make_schedule(system, None), values, 1e-6, 1e-8).trajectory()
            return cls(trajectory.x.T.copy(), trajectory.z.T.copy(), duration)
        except FlowsheetError:
            x, z = start_problem(system, at_start=True).solve(program.first, values.x, values.z, values.u, values)
            return cls(np.repeat(x[:, None], len(times), axis=1), np.repeat(z[:, None], len(times), axis=1), duration)

    def scales(self, system: DaeSystem) -> tuple[np.ndarray, np.ndarray]:
        """Return magnitudes of states and algebraic variables: the larger of what the guess shows and a hundredth of the nominal."""
        found = []
        for values, nominals in ((self.x, system.nominals), (self.z, system.algebraic_nominals)):
            shown = np.abs(values).max(axis=1, initial=0.0)
            found.append(np.where((shown > 0.01 * nominals) | ((nominals == 1.0) & (shown > 0)), shown, nominals))
        return found[0], found[1]


# -- solving -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Solution:
    """What IPOPT left behind."""

    success: bool
    message: str
    objective: float
    iterations: int
    violation: float
    worst: tuple[str, ...]
    duration: float
    controls: Mapping[str, Profile]
    parameters: Mapping[str, float]
    starts: Mapping[int, float]
    trajectory: Trajectory


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C be Ctrl-C: IPOPT would take it for a failed evaluation and return a point that looks like a failed search."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: Any) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted.is_set():
            raise KeyboardInterrupt


def solve(program: Program, objective: ca.MX, tolerance: float, most_iterations: int) -> Solution:
    """Minimize a goal of a program with IPOPT and exact derivatives."""
    unknowns, constraints = program.unknowns, program.constraints
    y, g = ca.vertcat(*unknowns.symbols), ca.vertcat(*constraints.columns)
    begin = np.concatenate(unknowns.begin)
    size = _objective_size(objective, y, begin)
    options = {
        "print_time": False,
        "ipopt.print_level": 0,
        "ipopt.sb": "yes",
        "ipopt.tol": tolerance,
        "ipopt.max_iter": most_iterations,
        "ipopt.acceptable_iter": 0,  # what meets a looser tolerance only is no optimum
        "ipopt.honor_original_bounds": "yes",
        "error_on_fail": False,
        "show_eval_warnings": False,
    }
    solver = ca.nlpsol("optimum", "ipopt", {"x": y, "f": objective / size, "g": g}, options)
    lower, upper = np.concatenate(constraints.lower), np.concatenate(constraints.upper)
    with _interruptible():
        found = solver(
            x0=np.concatenate(unknowns.begin),
            lbx=np.concatenate(unknowns.lower),
            ubx=np.concatenate(unknowns.upper),
            lbg=lower,
            ubg=upper,
        )
    stats = solver.stats()
    point, values = np.asarray(found["x"]).ravel(), np.asarray(found["g"]).ravel()
    violations = np.nan_to_num(np.maximum(0.0, np.maximum(lower - values, values - upper)), nan=np.inf)
    order = np.argsort(-violations)
    worst = list(dict.fromkeys(constraints.names[place] for place in order[:50] if violations[place] > 1e-6))
    return _read(
        program,
        y,
        point,
        bool(stats["success"]),
        str(stats["return_status"]),
        size * float(found["f"]),
        int(stats["iter_count"]),
        float(violations.max(initial=0.0)),
        tuple(worst[:8]),
    )


def _objective_size(objective: ca.MX, y: ca.MX, begin: np.ndarray) -> float:
    """Return what an objective changes by if all unknowns change by their scales, at the start of the search.

    IPOPT compares its optimality error with a fixed tolerance and scales functions down only: an objective of 1e-9 would be called
    optimal wherever the search begins.
    """
    slopes = np.asarray(ca.Function("slopes", [y], [ca.densify(ca.gradient(objective, y))])(begin))
    size = float(np.abs(slopes).sum())
    return size if np.isfinite(size) and size > 0 else 1.0


def _read(
    program: Program,
    y: ca.MX,
    point: np.ndarray,
    success: bool,
    message: str,
    objective: float,
    iterations: int,
    violation: float,
    worst: tuple[str, ...],
) -> Solution:
    """Return a point of the program in the system's terms."""
    system, elements = program.system, program.elements
    wanted = [
        program.duration,
        program.times,
        ca.horzcat(program._x0, program._x),
        ca.horzcat(program._z0, program._z),
        program._u,
        program._p,
        *program._control_nodes.values(),
    ]
    parts = [np.asarray(part) for part in ca.Function("read", [y], wanted)(point)]
    duration, times, x, z, u, p, *nodes = parts
    duration = duration.item()
    starts = program.first + duration * np.arange(elements + 1) / elements
    controls = {}
    for place, values in zip(program._control_nodes, nodes, strict=True):
        interpolation = program.controls[place].interpolation
        at = starts if interpolation is Interpolation.LINEAR else starts[:-1]
        controls[system.inputs[place].name] = Profile(at.tolist(), values.ravel().tolist(), interpolation)
    trajectory = Trajectory(
        system=system,
        t=times.ravel(),
        x=x.T.copy(),
        z=z.T.copy(),
        u=u.T.copy(),
        p=p.ravel(),
        events=(),
        status=Status.COMPLETE if success else Status.INCOMPLETE,
        stats=Stats(),
    )
    return Solution(
        success=success,
        message=message,
        objective=objective,
        iterations=iterations,
        violation=violation,
        worst=worst,
        duration=duration,
        controls=controls,
        parameters={str(system.parameters[place].name): float(p.ravel()[place]) for place in program.free_parameters},
        starts={place: float(x[place, 0]) for place in program.free_starts},
        trajectory=trajectory,
    )
