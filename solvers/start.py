"""Values of a run: what the Pyomo model says at its first time, and a start that satisfies the equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from pyomo.environ import value as value_of
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import lsmr, splu

from solvers.errors import NumericsError, StructureError, UnsupportedModelError
from solvers.misfit import listed
from solvers.reader import Slot
from solvers.system import DaeSystem
from solvers.timeset import ParamOverTime


@dataclass(frozen=True, slots=True)
class Values:
    """What the model says when a run starts; guesses where nothing is known (0 where there is no guess)."""

    x: np.ndarray
    z: np.ndarray
    u: np.ndarray
    p: np.ndarray
    start: np.ndarray


def read_values(system: DaeSystem, given_inputs: Sequence[int] = ()) -> Values:
    """Read the present values of a system's model.

    Parameters
    ----------
    given_inputs : inputs whose course the caller gives, so that the model's own values do not matter.

    Raises
    ------
    UnsupportedModelError : an input is fixed to different values at different times, or something has no value.
    """
    given = set(given_inputs) | set(system.input_profiles)
    u = np.zeros(len(system.inputs))
    for place, slot in enumerate(system.inputs):
        if place not in given:
            u[place] = _input_value(slot)
    p = np.array([_value(data) for data in system.parameters])
    free = set(system.start_free)
    x = np.array([_guess(slot.start) if place in free else _value(slot.start) for place, slot in enumerate(system.states)])
    z = np.array([_guess(slot.start) for slot in system.algebraics])
    start = np.array([_value(slot.start) for slot in system.start_fixed])
    return Values(x.astype(float), z.astype(float), u, p.astype(float), start.astype(float))


def _value(data: Any) -> float:
    number = value_of(data, exception=False)
    if number is None or not np.isfinite(number):
        raise UnsupportedModelError(
            f"{data.name} has no finite value (it is {number})", names=[str(data.name)], hint="give it a value before the run"
        )
    return float(number)


def _guess(data: Any) -> float:
    value = data.value
    return float(value) if value is not None and np.isfinite(value) else 0.0


def _input_value(slot: Slot) -> float:
    members = slot.over_time()
    if not isinstance(slot.data, ParamOverTime) and not all(member.fixed for member in members):
        raise UnsupportedModelError(
            f"{slot.name} is fixed at some times only", names=[slot.name], hint="fix it at all times, or give a Profile to inputs="
        )
    values = {_value(member) for member in members}
    if len(values) > 1:
        raise UnsupportedModelError(
            f"{slot.name} has different values at different times ({', '.join(f'{value:g}' for value in sorted(values)[:4])})",
            names=[slot.name],
            hint="give its course as a Profile to inputs=; between the points nobody could know it otherwise",
        )
    return values.pop()


class StartProblem:
    """``0 = residual(unknowns)`` for the algebraic variables, and at the very start for states without a fixed value.

    Newton's method with step halving. Where the Jacobian is singular on the way, a least-squares step is taken; whether the
    equations determine their unknowns is judged at the solution.
    """

    def __init__(self, system: DaeSystem, at_start: bool) -> None:
        self.system = system
        self.free = list(system.start_free) if at_start else []
        unknowns = ca.vertcat(system.x[self.free] if self.free else type(system.x)(0, 1), system.z)
        residual = ca.vertcat(system.start_residual, system.algebraic) if at_start else system.algebraic
        arguments = [system.t, system.x, system.z, system.u, system.p, system.start_values]
        self.size = unknowns.shape[0]
        self._function = ca.Function("start", arguments, [residual, ca.jacobian(residual, unknowns)]) if self.size else None
        self._scale = np.concatenate([system.nominals[self.free], system.algebraic_nominals])
        self._equations = (system.start_equation_names if at_start else ()) + system.equation_names
        self._judges_rank = at_start

    def solve(self, t: float, x: np.ndarray, z: np.ndarray, u: np.ndarray, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Return (x, z) that satisfy the equations, from the given guess.

        Raises
        ------
        NumericsError : no convergence; the worst equation and the unknowns are named.
        StructureError : at the start, the equations do not determine their unknowns there.
        """
        x, z = x.copy(), z.copy()
        function = self._function
        if function is None:
            return x, z
        count = len(self.free)
        unknowns = np.concatenate([x[self.free], z])

        def evaluate(point: np.ndarray) -> tuple[np.ndarray, csc_matrix]:
            x[self.free], z[:] = point[:count], point[count:]
            residual, jacobian = function(t, x, z, u, values.p, values.start)
            return np.asarray(residual).ravel(), jacobian.sparse().tocsc()

        with np.errstate(all="ignore"):
            residual, jacobian = evaluate(unknowns)
            nudges = 3
            for _ in range(100):
                if not np.isfinite(residual).all() or not np.isfinite(jacobian.data).all():
                    raise self._failure(t, residual, "an equation is not finite at the start values")
                step, measure = self._step(jacobian, residual)
                unknowns, residual, jacobian, stalled = _halved(evaluate, measure, unknowns, step, residual, jacobian)
                solved = (np.abs(residual) <= 1e-13 * (abs(jacobian) @ (np.abs(unknowns) + self._scale))).all()
                if solved and (stalled or (np.abs(step) <= 1e-11 * (np.abs(unknowns) + self._scale)).all()):
                    if self._judges_rank:
                        self._judge_rank(t, jacobian)
                    evaluate(unknowns)
                    return x, z
                if stalled:
                    if not nudges:
                        break
                    # a stationary point of the residual, such as a guess at which the Jacobian is singular
                    nudges -= 1
                    unknowns = unknowns + 0.1 * (np.abs(unknowns) + self._scale) * np.cos(np.arange(self.size) + nudges)
                    residual, jacobian = evaluate(unknowns)
        raise self._failure(t, residual, "the algebraic equations found no solution")

    def _step(self, jacobian: csc_matrix, residual: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
        """Return Newton's step, and the size of a residual in units of the unknowns (Deuflhard 2004, natural level function)."""
        scaled = csc_matrix(jacobian.multiply(self._scale[None, :]))
        try:
            factors = splu(scaled)
            step = factors.solve(-residual)
        except RuntimeError:
            step = np.full(self.size, np.nan)
        if np.isfinite(step).all():
            return step * self._scale, lambda other: float(np.linalg.norm(factors.solve(other)))
        return lsmr(scaled, -residual)[0] * self._scale, lambda other: float(np.linalg.norm(other))

    def _judge_rank(self, t: float, jacobian: csc_matrix) -> None:
        """Refuse equations that are structurally regular and yet do not determine their unknowns."""
        scaled = csc_matrix(jacobian.multiply(self._scale[None, :]))
        rows = np.maximum(abs(scaled).max(axis=1).toarray().ravel(), 1e-300)
        scaled = csc_matrix(scaled.multiply(1.0 / rows[:, None]))
        names = self._names()
        if self.size <= 400:
            _, singular, right = np.linalg.svd(scaled.toarray())
            if singular[-1] > 1e-14 * singular[0]:
                return
            names = [name for name, weight in zip(names, np.abs(right[-1]), strict=True) if weight > 0.1]
        else:
            try:
                diagonal = np.abs(splu(scaled).U.diagonal())
            except RuntimeError:
                diagonal = np.zeros(1)
            if diagonal.min() > 1e-14 * diagonal.max():
                return
        raise StructureError(
            f"the algebraic equations are singular at t = {t:g}: they do not determine {listed(names)}",
            names=names,
            hint="the index may be above one at this point, or equations repeat each other; check the start and what is fixed",
        )

    def _names(self) -> list[str]:
        return [self.system.states[place].name for place in self.free] + [slot.name for slot in self.system.algebraics]

    def _failure(self, t: float, residual: np.ndarray, what: str) -> NumericsError:
        sizes = np.where(np.isfinite(residual), np.abs(residual), np.inf)
        worst = int(np.argmax(sizes))
        names = self._names()
        return NumericsError(
            f"{what} at t = {t:g}; largest residual {sizes[worst]:.3g} in {self._equations[worst]}",
            names=[self._equations[worst], *names[:5]],
            hint=f"better start values for {listed(names, 5)} may help; check that a solution exists",
        )


def _halved(
    evaluate: Callable[[np.ndarray], tuple[np.ndarray, csc_matrix]],
    measure: Callable[[np.ndarray], float],
    unknowns: np.ndarray,
    step: np.ndarray,
    residual: np.ndarray,
    jacobian: csc_matrix,
) -> tuple[np.ndarray, np.ndarray, csc_matrix, bool]:
    """Take as much of a step as makes the residual's measure smaller; the last value says that nothing did."""
    size, factor = measure(residual), 1.0
    while factor > 1e-10:
        point = unknowns + factor * step
        new_residual, new_jacobian = evaluate(point)
        if np.isfinite(new_residual).all() and measure(new_residual) <= (1 - 1e-4 * factor) * size:
            return point, new_residual, new_jacobian, False
        factor /= 2
    return unknowns, residual, jacobian, True
