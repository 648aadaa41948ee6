"""Values of a run: what the Pyomo model says at its first time, and a start that satisfies the equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from pyomo.environ import value as value_of
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

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
            u[place] = _input_value(system, slot)
    p = np.array([_parameter_value(system, data) for data in system.parameters])
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


def _across_time(system: DaeSystem, data: Any) -> set[float]:
    component, time = data.parent_component(), system.time
    place = time.position(component)
    if place is None:
        return {_value(data)}
    rest = time.rest(data.index(), place)
    return {_value(component[time.with_time(rest, place, point)]) for point in time.set}


def _input_value(system: DaeSystem, slot: Slot) -> float:
    if isinstance(slot.data, ParamOverTime):
        return _one(slot, {slot.data.value_at(point) for point in system.time.set})
    if slot.place is not None and any(
        not slot.component[system.time.with_time(slot.rest, slot.place, point)].fixed for point in system.time.set
    ):
        raise UnsupportedModelError(
            f"{slot.name} is fixed at some times only", names=[slot.name], hint="fix it at all times, or give a Profile to inputs="
        )
    return _one(slot, _across_time(system, slot.data) | {_value(slot.start)})


def _parameter_value(system: DaeSystem, data: Any) -> float:
    return _one(data, _across_time(system, data))


def _one(owner: Any, values: set[float]) -> float:
    if len(values) > 1:
        name = str(owner.name)  # asked for here only: Pyomo takes some time over a name
        raise UnsupportedModelError(
            f"{name} has different values at different times ({', '.join(f'{value:g}' for value in sorted(values)[:4])})",
            names=[name],
            hint="give its course as a Profile to inputs=; between the points nobody could know it otherwise",
        )
    return values.pop()


class StartProblem:
    """``0 = residual(unknowns)`` for the algebraic variables, and at the very start for states without a fixed value."""

    def __init__(self, system: DaeSystem, at_start: bool) -> None:
        self.system = system
        self.free = list(system.start_free) if at_start else []
        unknowns = ca.vertcat(system.x[self.free] if self.free else ca.SX(0, 1), system.z)
        residual = ca.vertcat(system.start_residual, system.algebraic) if at_start else system.algebraic
        arguments = [system.t, system.x, system.z, system.u, system.p, system.start_values]
        self.size = unknowns.shape[0]
        self._function = ca.Function("start", arguments, [residual, ca.jacobian(residual, unknowns)]) if self.size else None
        scale = [system.nominals[place] for place in self.free]
        self._scale = np.array(scale + [1.0] * len(system.algebraics))

    def solve(self, t: float, x: np.ndarray, z: np.ndarray, u: np.ndarray, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Return (x, z) that satisfy the equations, by Newton's method with step halving from the given guess.

        Raises
        ------
        NumericsError : no convergence, or a singular Jacobian; the worst equation and its variables are named.
        """
        x, z = x.copy(), z.copy()
        function = self._function
        if function is None:
            return x, z
        count = len(self.free)

        def put(unknowns: np.ndarray) -> None:
            x[self.free] = unknowns[:count]
            z[:] = unknowns[count:]

        def evaluate() -> tuple[np.ndarray, csc_matrix]:
            residual, jacobian = function(t, x, z, u, values.p, values.start)
            return np.asarray(residual).ravel(), jacobian.sparse().tocsc()

        unknowns = np.concatenate([x[self.free], z])
        residual, jacobian = evaluate()
        for _ in range(60):
            if not np.isfinite(residual).all():
                raise self._failure(t, residual, "an equation is not finite at the start values")
            step = self._step(t, jacobian, residual)
            factor, size = 1.0, np.linalg.norm(residual)
            while True:
                put(unknowns + factor * step)
                residual, jacobian = evaluate()
                if np.isfinite(residual).all() and np.linalg.norm(residual) <= (1 - 1e-4 * factor) * size + 1e-14 * self.size:
                    break
                factor /= 2
                if factor < 1e-10:
                    break
            unknowns = unknowns + factor * step
            if np.max(np.abs(step) / (np.abs(unknowns) + self._scale)) < 1e-12 or (factor == 1.0 and not residual.any()):
                return x, z
            if factor < 1e-10:
                if np.max(np.abs(step) / (np.abs(unknowns) + self._scale)) < 1e-8:
                    return x, z
                break
        raise self._failure(t, residual, "the algebraic equations found no solution")

    def _step(self, t: float, jacobian: csc_matrix, residual: np.ndarray) -> np.ndarray:
        try:
            step = splu(jacobian).solve(-residual)
        except RuntimeError:
            step = np.full(self.size, np.nan)
        if np.isfinite(step).all() and _condition(jacobian) < 1e14:
            return step
        if self.size <= 400:
            _, _, right = np.linalg.svd(jacobian.toarray())
            names = [name for name, weight in zip(self._names(), np.abs(right[-1]), strict=True) if weight > 0.1]
        else:
            names = self._names()
        raise StructureError(
            f"the algebraic equations are singular at t = {t:g}: they do not determine {listed(names)}",
            names=names,
            hint="the index may be above one at this point, or equations repeat each other; check the start and what is fixed",
        )

    def _names(self) -> list[str]:
        return [self.system.states[place].name for place in self.free] + [slot.name for slot in self.system.algebraics]

    def _failure(self, t: float, residual: np.ndarray, what: str) -> NumericsError:
        offset = len(residual) - len(self.system.equation_names)
        sizes = np.where(np.isfinite(residual), np.abs(residual), np.inf)
        worst = int(np.argmax(sizes))
        equation = self.system.equation_names[worst - offset] if worst >= offset else f"equation {worst + 1} of the start"
        return NumericsError(
            f"{what} at t = {t:g}; largest residual {sizes[worst]:.3g} in {equation}",
            names=[equation, *self._names()[:5]],
            hint=f"better start values for {listed(self._names(), 5)} may help; check that a solution exists",
        )


def _condition(jacobian: csc_matrix) -> float:
    """Condition number after scaling of rows; an estimate for large systems."""
    size = np.maximum(abs(jacobian).max(axis=1).toarray().ravel(), 1e-300)
    scaled = csc_matrix(jacobian.multiply(1.0 / size[:, None]))
    if scaled.shape[0] <= 400:
        return float(np.linalg.cond(scaled.toarray()))
    diagonal = np.abs(splu(scaled).U.diagonal())
    return float(diagonal.max() / max(diagonal.min(), 1e-300))
