"""Steady states: where all derivatives vanish with the inputs held.

From a model's start the steady state is the one that the model reaches: a dynamic run to ever later times (pseudo-transient
continuation with the true dynamics), polished by Newton's method. From a guess it is a root near the guess, found block by block
(:mod:`solvers.newton`). Either way it is told whether small disturbances die out there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix

from solvers.errors import NumericsError, UnsupportedModelError, UsageError
from solvers.evaluation import SparseDerivative
from solvers.misfit import listed
from solvers.newton import Equations, Root, Route, find_root
from solvers.schedule import Schedule, names_of_component
from solvers.simulate import Run, SimulationError, current_system, prepared_run
from solvers.start import Values, bounds_of
from solvers.structure import LARGEST_DENSE, equilibrated, is_deficient, numerical_rank
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem
from solvers.trajectory import Stats, Status, Trajectory

LONGEST = 20
"""How often the time of a dynamic run is made four times longer before it is given up."""
RESTLESS = 3
"""A run whose slopes have not halved while its time was made longer that many times oscillates."""
SETTLED = 1e-7
"""A run has settled where no state would change by more than this share of its size within a time as long as the run."""


class Approach(Enum):
    """How a steady state was found."""

    DYNAMIC = "a dynamic run until it settled, polished by Newton's method"
    DYNAMIC_ONLY = "a dynamic run until it settled; the equations alone do not determine this state (totals are conserved)"
    GUESS = "a root near the guess"


@dataclass(frozen=True, eq=False)
class SteadyState:
    """A state at which all derivatives vanish; indexed by name or reference like a Trajectory, giving numbers."""

    point: Trajectory
    """The state as a trajectory of one time."""
    approach: Approach
    route: Route | None
    """What solved the equations; None where a dynamic run alone did."""
    stable: bool | None
    """Whether small disturbances die out; None where totals are conserved or it cannot be told."""
    outside: tuple[str, ...]
    """Variables that lie outside their bounds there."""
    residual: float
    """Largest change of a state, in shares of its size, within the time that the run took to settle (or within 1 time unit)."""
    iterations: int
    blocks: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all scalars that can be asked for."""
        return self.point.names

    def __getitem__(self, key: Any) -> float:
        """Return the value of a scalar by name or reference."""
        return float(self.point[key][0])


def steady_state(
    model: Any,
    *,
    inputs: Mapping[Any, Any] | None = None,
    guess: Mapping[Any, float] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> SteadyState:
    """Return a steady state of a Pyomo DAE model or a lowered system, inputs held at their values at the first time.

    Parameters
    ----------
    model : as for :func:`solvers.simulate`.
    inputs : as there.
    guess : values of states (and algebraic variables) by name or reference, near which a root is wanted; without it, the steady
        state is the one that the model reaches from its start.
    rtol, atol : tolerances of dynamic runs; Newton's method goes on to rounding.

    Raises
    ------
    UnsupportedModelError : the equations depend on time explicitly, or hide constraints on states.
    NumericsError : none was found; block, equations, residuals and variables are named.

    Examples
    --------
    >>> from pyomo.dae import ContinuousSet, DerivativeVar
    >>> from pyomo.environ import ConcreteModel, Constraint, Var
    >>> model = ConcreteModel()
    >>> model.t = ContinuousSet(bounds=(0, 1))
    >>> model.level = Var(model.t, initialize=1.0)
    >>> model.rate = DerivativeVar(model.level, wrt=model.t)
    >>> model.balance = Constraint(model.t, rule=lambda m, t: m.rate[t] == 3 - 2 * m.level[t])
    >>> model.level[0].fix(1.0)
    >>> steady_state(model)["level"]
    1.5
    """
    system = current_system(model)
    _check(system)
    run = prepared_run(system, [float(system.time.first)], inputs, rtol, atol)
    held = _held(run.schedule, run.values, float(system.time.first))
    if guess is not None:
        return _near(system, held, guess)
    return _reached(system, held, rtol, atol)


def _check(system: DaeSystem) -> None:
    if system.singular:
        raise UnsupportedModelError(
            "steady states are not sought for implicit systems whose matrix of derivatives is singular and varies",
            names=system.equation_names[:5],
            hint="write the constraint that the equations hide as an equation of its own, with one state less",
        )
    rows = ca.jacobian_sparsity(ca.vertcat(system.ode, system.algebraic), system.t).row()
    if rows:
        names = [slot.name for slot in system.states] + list(system.equation_names)
        timed = [names[row] for row in rows]
        raise UnsupportedModelError(
            f"the equations depend on time explicitly, so that nothing is steady: {listed(timed)}",
            names=timed,
            hint="give what varies as an input, which is held at its first value",
        )


def _held(schedule: Schedule, values: Values, t: float) -> Values:
    """Return the values of a run with all inputs at what they are at the first time."""
    u = values.u.copy()
    schedule.apply(t, u, np.zeros(len(u)), everything=True)
    return replace(values, u=u)


def _equations(system: DaeSystem, t: float, held: Values) -> Equations:
    """Return ``0 = (ode, algebraic)`` for (x, z)."""

    def make() -> SparseDerivative:
        residual = ca.vertcat(system.ode, system.algebraic)
        return SparseDerivative(system.arguments, residual, [system.slopes_by(1, 2)])

    derivative, count = system.made("steady", make), len(system.states)

    def evaluate(point: np.ndarray) -> tuple[np.ndarray, csc_matrix]:
        residual, (jacobian,) = derivative(t, point[:count], point[count:], held.u, held.p)
        return residual, jacobian

    lower, upper = bounds_of([*system.states, *system.algebraics])
    return Equations(
        evaluate,
        [f"steady {slot.name}" for slot in system.states] + list(system.equation_names),
        [slot.name for slot in (*system.states, *system.algebraics)],
        np.concatenate([system.nominals, system.algebraic_nominals]),
        lower,
        upper,
    )


def _near(system: DaeSystem, held: Values, guess: Mapping[Any, float]) -> SteadyState:
    """Find a root near a guess."""
    t = float(system.time.first)
    equations = _equations(system, t, held)
    start = np.concatenate([held.x, held.z])
    for key, value in guess.items():
        for name in [key] if isinstance(key, str) else names_of_component(system, key):
            if name not in equations.variables:
                raise UsageError(
                    f"no state or algebraic variable is called {name!r}", names=[name], hint=did_you_mean(name, equations.variables, 3)
                )
            start[list(equations.variables).index(name)] = float(value)
    root = find_root(equations, start, "for a steady state")
    if is_deficient(root.jacobian):
        raise NumericsError(
            "the equations do not determine a steady state there: some total is conserved, or equations repeat each other",
            names=_undetermined(equations, root.jacobian),
            hint="without a guess, the steady state that the model reaches from its start is found",
        )
    return _result(system, t, held, root.point, Approach.GUESS, root, 1.0)


def _reached(system: DaeSystem, held: Values, rtol: float, atol: float) -> SteadyState:
    """Run until nothing changes any more, and polish."""
    first, span = float(system.time.first), float(system.time.last) - float(system.time.first)
    equations, count = _equations(system, first, held), len(system.states)
    nothing_changes = Schedule({}, {}, {})
    time, point, trajectory, settled = span / 4.0**4, np.zeros(0), None, True
    fastest: list[float] = []
    for _ in range(LONGEST):
        try:
            trajectory = Run(system, np.array([first, first + time]), nothing_changes, held, rtol, atol).trajectory()
        except SimulationError as error:
            raise NumericsError(f"no steady state was reached: {error.message}", names=error.names, hint=error.hint) from error
        point = np.concatenate([trajectory.x[-1], trajectory.z[-1]])
        size = np.abs(point) + equations.scale
        slopes = np.abs(equations.evaluate(point)[0][:count])
        if (slopes * time <= SETTLED * size[:count]).all() or not count:
            break
        if (slopes * time <= 1e-2 * size[:count]).all():
            polished = _polished(equations, point)
            # next to a state from which disturbances grow, slopes are small as well
            if polished is not None and _is_stable(system, polished.jacobian) is not False:
                return _result(system, first, held, polished.point, Approach.DYNAMIC, polished, time)
        fastest.append(float((slopes / size[:count]).max()))
        if time > 16 * span and len(fastest) > RESTLESS and fastest[-1] > 0.5 * fastest[-1 - RESTLESS]:
            settled = False
            break
        time *= 4
    else:
        settled = False
    if not settled:
        worst = int(np.argmax(slopes / size[:count]))
        happened = f"; event {trajectory.events[-1].event} still happens" if trajectory is not None and trajectory.events else ""
        raise NumericsError(
            f"no steady state was reached by t = {first + time:.3g}: {equations.variables[worst]} still changes, by {slopes[worst]:.3g} "
            f"per time unit{happened}",
            names=[equations.variables[worst]],
            hint="the model may oscillate or grow without bound; give a guess= to find a root of the equations all the same",
        )
    polished = _polished(equations, point)
    if polished is not None:
        return _result(system, first, held, polished.point, Approach.DYNAMIC, polished, time)
    return _result(system, first, held, point, Approach.DYNAMIC_ONLY, None, time)


def _polished(equations: Equations, point: np.ndarray) -> Root | None:
    """Return the regular root next to where a run has settled, or None."""
    if is_deficient(equations.evaluate(point)[1]):
        return None
    try:
        root = find_root(equations, point, "for a steady state")
    except NumericsError:
        return None
    near = np.abs(root.point - point) <= 0.05 * (np.abs(point) + equations.scale)
    return root if near.all() and not is_deficient(root.jacobian) else None


def _scaled(jacobian: csc_matrix) -> np.ndarray:
    return equilibrated(jacobian.toarray())[0]


def _undetermined(equations: Equations, jacobian: csc_matrix) -> list[str]:
    if jacobian.shape[0] > LARGEST_DENSE:
        return list(equations.variables[:5])
    right = np.linalg.svd(_scaled(jacobian))[2][-1]
    return [name for name, weight in zip(equations.variables, np.abs(right), strict=True) if weight > 0.1]


def _is_stable(system: DaeSystem, jacobian: csc_matrix) -> bool | None:
    """Whether all eigenvalues of the states' motion lie left of zero; None for large systems."""
    count = len(system.states)
    if not 0 < count <= LARGEST_DENSE:
        return None
    whole = jacobian.toarray()
    motion = whole[:count, :count]
    if len(whole) > count:
        if numerical_rank(whole[count:, count:]) < len(whole) - count:
            return None
        motion = motion - whole[:count, count:] @ np.linalg.solve(whole[count:, count:], whole[count:, :count])
    return bool(np.linalg.eigvals(motion).real.max() < 0)


def _result(
    system: DaeSystem, t: float, held: Values, point: np.ndarray, approach: Approach, root: Root | None, time: float
) -> SteadyState:
    count = len(system.states)
    equations = _equations(system, t, held)
    slopes = np.abs(equations.evaluate(point)[0][:count])
    trajectory = Trajectory(
        system=system,
        t=np.array([t]),
        x=point[None, :count].copy(),
        z=point[None, count:].copy(),
        u=held.u[None, :].copy(),
        p=held.p.copy(),
        events=(),
        status=Status.COMPLETE,
        stats=Stats(),
    )
    return SteadyState(
        point=trajectory,
        approach=approach,
        route=None if root is None else root.route,
        stable=None if root is None else _is_stable(system, root.jacobian),
        outside=tuple(name for name, out in zip(equations.variables, equations.outside(point), strict=True) if out),
        residual=float((slopes * time / (np.abs(point[:count]) + equations.scale[:count])).max(initial=0.0)),
        iterations=0 if root is None else root.iterations,
        blocks=0 if root is None else root.blocks,
    )
