"""Values of a run: what the Pyomo model says at its first time, and a start that satisfies the equations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np
from pyomo.environ import value as value_of
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from solvers.errors import NumericsError, StructureError, UnsupportedModelError, UsageError
from solvers.evaluation import SparseDerivative, jacobian_by
from solvers.misfit import listed
from solvers.newton import Equations, find_root
from solvers.reader import Slot
from solvers.schedule import names_of_component
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem
from solvers.timeset import ParamOverTime

AGREEMENT = 1e-6
"""Conditions of the start that are not needed may miss by this share of their size."""


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


def with_starts(system: DaeSystem, values: Values, starts: Mapping[Any, float] | None) -> Values:
    """Return values in which some states start from other numbers, given by name or reference.

    Raises
    ------
    UsageError : what is named is no state, or its start follows from the equations of the start; or a number is not finite.
    """
    if not starts:
        return values
    x = values.x.copy()
    states = {slot.name: place for place, slot in enumerate(system.states)}
    for key, value in starts.items():
        names = [key] if isinstance(key, str) else names_of_component(system, key)
        if len(names) != 1 or names[0] not in states:
            hint = did_you_mean(names[0], states, 3) if names else ""
            raise UsageError(f"no state is called {', '.join(names)!r}", names=names, hint=hint)
        if states[names[0]] in system.start_free:
            raise UsageError(
                f"the start of {names[0]} follows from the equations of the start",
                names=names,
                hint="give what these equations contain, or fix the state at the first time",
            )
        if not np.isfinite(value):
            raise UsageError(f"the start given for {names[0]} is not finite ({value})", names=names)
        x[states[names[0]]] = float(value)
    return replace(values, x=x)


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

    A start may say more than is needed, as long as it agrees: as many equations as unknowns are solved, the algebraic ones first,
    and the others have to hold at the solution. Whether the equations determine their unknowns is judged there too.
    """

    def __init__(self, system: DaeSystem, at_start: bool) -> None:
        self.system = system
        self.free = list(system.start_free) if at_start else []
        residual = equations_of_start(system) if at_start else system.algebraic
        names = [*system.equation_names, *(system.start_equation_names if at_start else ())]
        self.size = len(self.free) + len(system.algebraics)
        by_unknowns = ca.horzcat(ca.jacobian(residual, system.x)[:, self.free], ca.jacobian(residual, system.z))
        solved = determining_rows(by_unknowns.sparsity())
        spare = [row for row in range(residual.shape[0]) if row not in set(solved)]
        arguments = [*system.arguments, system.start_values]
        self._derivative = SparseDerivative(arguments, residual[solved], [by_unknowns[solved, :]]) if self.size else None
        self._spare = SparseDerivative(arguments, residual[spare], [jacobian_by(residual[spare], system.x, system.z)]) if spare else None
        self._names = [names[row] for row in solved]
        self._spare_names = [names[row] for row in spare]
        self._variables = [system.states[place].name for place in self.free] + [slot.name for slot in system.algebraics]
        self._scale = np.concatenate([system.nominals[self.free], system.algebraic_nominals])
        slots = [*(system.states[place] for place in self.free), *system.algebraics]
        self._lower, self._upper = bounds_of(slots)
        self._judges_rank = at_start

    def solve(self, t: float, x: np.ndarray, z: np.ndarray, u: np.ndarray, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Return (x, z) that satisfy the equations, from the given guess.

        Raises
        ------
        NumericsError : no solution was found, or start conditions contradict each other; equations and unknowns are named.
        StructureError : at the start, the equations do not determine their unknowns there.
        """
        x, z = x.copy(), z.copy()
        derivative, count = self._derivative, len(self.free)
        if derivative is not None:

            def evaluate(point: np.ndarray) -> tuple[np.ndarray, csc_matrix]:
                x[self.free], z[:] = point[:count], point[count:]
                residual, (jacobian,) = derivative(t, x, z, u, values.p, values.start)
                return residual, jacobian

            equations = Equations(evaluate, self._names, self._variables, self._scale, self._lower, self._upper)
            root = find_root(equations, np.concatenate([x[self.free], z]), f"at t = {t:g}")
            if self._judges_rank:
                self._judge_rank(t, root.jacobian)
            x[self.free], z[:] = root.point[:count], root.point[count:]
        if self._spare is not None:
            self._judge_agreement(t, x, z, self._spare(t, x, z, u, values.p, values.start))
        return x, z

    def _judge_agreement(self, t: float, x: np.ndarray, z: np.ndarray, found: tuple[np.ndarray, list[csc_matrix]]) -> None:
        """Refuse conditions of the start that the others contradict."""
        residual, (jacobian,) = found
        size = np.concatenate([np.abs(x) + self.system.nominals, np.abs(z) + self.system.algebraic_nominals])
        magnitude = abs(jacobian) @ size
        wrong = np.flatnonzero(~(np.abs(residual) <= AGREEMENT * magnitude + 1e-300))
        if not len(wrong):
            return
        fixed_from = len(self.system.start_equation_names) - len(self.system.start_fixed)
        fixed = dict(zip(self.system.start_equation_names[fixed_from:], self.system.start_fixed, strict=True))
        told = []
        for row in wrong:
            name = self._spare_names[row]
            if name in fixed:
                value = float(fixed[name].start.value)
                told.append(f"{name} is fixed to {value:.6g}, consistent would be {value + residual[row]:.6g}")
            else:
                told.append(f"{name} is off by {residual[row]:.3g}")
        names = [self._spare_names[row] for row in wrong]
        raise NumericsError(
            f"inconsistent initial conditions at t = {t:g}: {listed(told, 5)}",
            names=names,
            hint="the start is over-determined: unfix a state at the first time or drop an equation of the start, or correct the value",
        )

    def _judge_rank(self, t: float, jacobian: csc_matrix) -> None:
        """Refuse equations that are structurally regular and yet do not determine their unknowns."""
        scaled = csc_matrix(jacobian.multiply(self._scale[None, :]))
        rows = np.maximum(abs(scaled).max(axis=1).toarray().ravel(), 1e-300)
        scaled = csc_matrix(scaled.multiply(1.0 / rows[:, None]))
        names = self._variables
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


def bounds_of(slots: Sequence[Slot]) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of scalars, infinite where there is none; each of shape (n,)."""
    lower = [-np.inf if slot.data.lb is None else float(slot.data.lb) for slot in slots]
    upper = [np.inf if slot.data.ub is None else float(slot.data.ub) for slot in slots]
    return np.array(lower, dtype=float), np.array(upper, dtype=float)


def equations_of_start(system: DaeSystem) -> ca.SX | ca.MX:
    """Return the residuals of all equations that hold at the first time: the algebraic ones, then those of the start."""
    return ca.vertcat(system.algebraic, system.start_residual)


def determining_rows(incidence: ca.Sparsity) -> list[int]:
    """Return the equations to be solved for the unknowns, in order: all, unless there are more equations than unknowns.

    Then as many as can be matched with unknowns, earlier ones first (Kuhn 1955's augmenting paths).
    """
    if incidence.size1() <= incidence.size2():
        return list(range(incidence.size1()))
    columns_of: list[list[int]] = [[] for _ in range(incidence.size1())]
    for row, column in zip(*incidence.get_triplet(), strict=True):
        columns_of[row].append(column)
    row_of: dict[int, int] = {}
    column_of: dict[int, int] = {}
    for row in range(incidence.size1()):
        if len(column_of) == incidence.size2():
            break
        _match(row, columns_of, row_of, column_of)
    return sorted(column_of)


def _match(row: int, columns_of: list[list[int]], row_of: dict[int, int], column_of: dict[int, int]) -> None:
    """Match a row with a column, moving others to other columns where that is needed; do nothing if it cannot be done."""
    reached_from: dict[int, int] = {}
    queue = [row]
    for current in queue:
        for column in columns_of[current]:
            if column in reached_from:
                continue
            reached_from[column] = current
            if column in row_of:
                queue.append(row_of[column])
                continue
            while True:
                taker = reached_from[column]
                left = column_of.get(taker, -1)
                row_of[column], column_of[taker] = taker, column
                if taker == row:
                    return
                column = left
