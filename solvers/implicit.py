"""Starts of implicit systems whose equations hide constraints on states.

Such a system is carried as ``x' = v, 0 = g(t, x, v, z)`` with a singular ``dg/dv``: some combinations of g hold no v and bind
the states. A consistent start satisfies these too; v has to satisfy their derivatives in time. Where inputs or states jump during
a run, the states move along directions in which ``g_v`` does not hold them, until the constraints are met again: what the rows
of a constant mass matrix accumulate is kept (Griepentrog & Maerz 1986; Pantelides 1988, SIAM J. Sci. Stat. Comput. 9:213).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import casadi as ca
import numpy as np

from solvers.errors import NumericsError, StructureError
from solvers.index import LocalIndex, high_index, local_index, without
from solvers.misfit import listed
from solvers.start import AGREEMENT, StartProblem, Values
from solvers.structure import equilibrated
from solvers.system import DaeSystem

MOST_ITERATIONS = 60


def start_problem(system: DaeSystem, at_start: bool) -> StartProblem | ImplicitStart:
    """Return what solves a system's equations for its algebraic variables, and at the very start for states that are free."""
    return ImplicitStart(system, at_start) if system.singular else StartProblem(system, at_start)


@dataclass(slots=True)
class _Look:
    """The equations and their derivatives at a point."""

    residual: np.ndarray
    by_v: np.ndarray
    by_z: np.ndarray
    by_x: np.ndarray
    by_t: np.ndarray
    ode: np.ndarray
    ode_by_v: np.ndarray
    start: np.ndarray
    start_by_x: np.ndarray
    start_by_z: np.ndarray

    def index(self) -> LocalIndex:
        return local_index(self.by_v, self.by_z, self.by_x @ self.ode_by_v)


_COLUMNS = {place for place, part in enumerate(fields(_Look)) if part.name in {"residual", "by_t", "ode", "start"}}


class ImplicitStart:
    """Makes states, derivatives and algebraic variables of an implicit system consistent."""

    def __init__(self, system: DaeSystem, at_start: bool) -> None:
        self.system = system
        self.at_start = at_start
        self.free = list(system.start_free) if at_start else []
        self.implicit = list(system.implicit)
        self.others = without(len(system.algebraics), self.implicit)
        x, z, g = system.x, system.z, system.algebraic
        start = system.start_residual if at_start else type(x)(0, 1)
        g_z = ca.jacobian(g, z)
        ode_z = ca.jacobian(system.ode, z)
        outputs = [
            g,
            g_z[:, self.implicit],
            g_z[:, self.others],
            ca.jacobian(g, x),
            ca.jacobian(g, system.t),
            system.ode,
            ode_z[:, self.implicit],
            start,
            ca.jacobian(start, x),
            ca.jacobian(start, z),
        ]
        arguments = [*system.arguments, system.start_values]
        self._function = ca.Function("implicit_start", arguments, [ca.densify(output) for output in outputs])
        self._equations = (system.start_equation_names if at_start else ()) + system.equation_names
        self._x_scale, self._z_scale = system.nominals, system.algebraic_nominals

    def solve(self, t: float, x: np.ndarray, z: np.ndarray, u: np.ndarray, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """Return (x, z) that satisfy the equations, their hidden constraints, and the derivatives of these in time.

        Raises
        ------
        NumericsError : no convergence, or fixed starts that contradict the constraints.
        StructureError : the index is above one here, or the start leaves states open.
        """
        x, z = x.copy(), z.copy()

        def look() -> _Look:
            parts = [np.asarray(part) for part in self._function(t, x, z, u, values.p, values.start)]
            return _Look(*(part.ravel() if place in _COLUMNS else part for place, part in enumerate(parts)))

        with np.errstate(all="ignore"):
            if self.free:
                self._solve_free(t, x, z, look)
            moved = self._onto_constraints(t, x, z, look)
            if self.at_start and moved.size:
                self._judge_agreement(t, x, moved)
            self._solve_derivatives(t, x, z, look)
        return x, z

    def _solve_free(self, t: float, x: np.ndarray, z: np.ndarray, look: Any) -> None:
        """Find free states from the equations of the start and all others by least squares (Gauss-Newton, minimal steps)."""
        scale = np.concatenate([self._x_scale[self.free], self._z_scale])
        size = np.inf
        for _ in range(MOST_ITERATIONS):
            here: _Look = look()
            g_z = np.empty((len(here.residual), len(z)))
            g_z[:, self.implicit], g_z[:, self.others] = here.by_v, here.by_z
            matrix = np.block([[here.start_by_x[:, self.free], here.start_by_z], [here.by_x[:, self.free], g_z]])
            residual = np.concatenate([here.start, here.residual])
            self._check_finite(t, residual, matrix)
            step = _least_squares(matrix * scale, -residual) * scale
            x[self.free] += step[: len(self.free)]
            z += step[len(self.free) :]
            before, size = size, float((np.abs(step) / (np.abs(np.concatenate([x[self.free], z])) + scale)).max())
            if size < 1e-12 or (size < 1e-8 and size > before / 2):
                self._judge_free(matrix * scale)
                return
        raise self._failure(t, residual, "the equations of the start found no solution")

    def _judge_free(self, matrix: np.ndarray) -> None:
        """Refuse a start that leaves free states open; derivatives that the equations leave open follow from the constraints."""
        scaled, _, _ = equilibrated(matrix)
        _, singular, right = np.linalg.svd(scaled)
        rank = int((singular > 1e-11 * singular[0]).sum())
        open_columns = np.abs(right[rank:]).max(axis=0, initial=0.0) > 0.1
        names = [self.system.states[state].name for state, is_open in zip(self.free, open_columns, strict=False) if is_open]
        if names:
            raise StructureError(
                f"the start leaves {len(names)} differential state(s) open: {listed(names)}",
                names=names,
                hint="fix some of these at the first time, or add equations of the start",
            )

    def _onto_constraints(self, t: float, x: np.ndarray, z: np.ndarray, look: Any) -> np.ndarray:
        """Move the states onto the hidden constraints, along directions in which ``g_v`` does not hold them; return the motion."""
        began = x.copy()
        size = np.inf
        for _ in range(MOST_ITERATIONS):
            here: _Look = look()
            self._check_finite(t, here.residual, here.by_v, here.by_z, here.by_x)
            index = here.index()
            if not index.is_one:
                names = [self.system.algebraics[place].name for place in (*self.implicit, *self.others)]
                raise high_index(index, self.system.equation_names, names, f" at t = {t:g}")
            hidden = index.hidden.T @ here.residual
            motion = _least_squares(index.matrix, np.concatenate([np.zeros(len(here.residual)), -hidden]))
            slip, change = motion[: len(self.implicit)], motion[len(self.implicit) :]
            x += here.ode_by_v @ slip
            z[self.others] += change
            step = np.concatenate([(here.ode_by_v @ slip) / (np.abs(x) + self._x_scale), change / (np.abs(z) + self._z_scale)[self.others]])
            before, size = size, float(np.abs(step).max(initial=0.0))
            if size < 1e-13 or (size < 1e-9 and size > before / 2):
                moved = x - began
                return moved if np.abs(moved / (np.abs(x) + self._x_scale)).max(initial=0.0) > 1e-10 else np.zeros(0)
        raise self._failure(t, here.residual, "the constraints that the equations hide found no solution")

    def _judge_agreement(self, t: float, x: np.ndarray, moved: np.ndarray) -> None:
        """Refuse fixed starts that contradict the constraints."""
        fixed = np.ones(len(x), dtype=bool)
        fixed[self.free] = False
        off = np.where(fixed, np.abs(moved) / (np.abs(x) + self._x_scale), 0.0)
        if off.max(initial=0.0) > AGREEMENT:
            wrong = [place for place in np.argsort(-off) if off[place] > AGREEMENT]
            told = [f"{self.system.states[place].name} = {x[place] - moved[place]:.6g} (consistent: {x[place]:.6g})" for place in wrong]
            raise NumericsError(
                f"inconsistent initial conditions at t = {t:g}: the equations bind states that are fixed otherwise: {listed(told)}",
                names=[self.system.states[place].name for place in wrong],
                hint="start from the consistent values, or leave some of these states free at the first time (unfix)",
            )

    def _solve_derivatives(self, t: float, x: np.ndarray, z: np.ndarray, look: Any) -> None:
        """Find derivatives and algebraic variables at given states; what ``g_v`` leaves open follows the constraints' motion.

        The course of ramped inputs is not known here, so their part in that motion is left out: v is right for constant inputs,
        and a first guess otherwise.
        """
        size = np.inf
        for _ in range(MOST_ITERATIONS):
            here: _Look = look()
            self._check_finite(t, here.residual, here.by_v, here.by_z)
            index = here.index()
            drift = index.hidden.T @ (here.by_t + here.by_x @ here.ode)
            g_z = np.hstack([here.by_v, here.by_z])
            step = _least_squares(g_z, -here.residual)
            motion = _least_squares(index.matrix, np.concatenate([-here.residual, -drift]))
            change = motion[: len(self.implicit)]
            z[self.implicit] += change
            z[self.others] += step[len(self.implicit) :]
            parts = np.concatenate([change / (np.abs(z) + self._z_scale)[self.implicit], step[len(self.implicit) :]])
            before, size = size, float(np.abs(parts).max(initial=0.0))
            if size < 1e-12 or (size < 1e-8 and size > before / 2):
                residual = look().residual
                magnitude = np.abs(g_z) @ (np.abs(z[[*self.implicit, *self.others]]) + 1e-12) + np.abs(here.by_x) @ np.abs(x)
                if (np.abs(residual) <= 1e-7 * (magnitude + 1e-300)).all():
                    return
                break
        raise self._failure(t, look().residual, "the derivatives found no solution")

    def _check_finite(self, t: float, residual: np.ndarray, *matrices: np.ndarray) -> None:
        if not np.isfinite(residual).all() or not all(np.isfinite(matrix).all() for matrix in matrices):
            raise self._failure(t, residual, "an equation is not finite at the start values")

    def _failure(self, t: float, residual: np.ndarray, what: str) -> NumericsError:
        sizes = np.where(np.isfinite(residual), np.abs(residual), np.inf)
        names = self._equations[len(self._equations) - len(residual) :]
        worst = int(np.argmax(sizes))
        return NumericsError(
            f"{what} at t = {t:g}; largest residual {sizes[worst]:.3g} in {names[worst]}",
            names=[names[worst]],
            hint="better start values may help; check that a solution exists",
        )


def _least_squares(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the shortest least-squares solution, rows and columns being scaled before."""
    if not matrix.size:
        return np.zeros(matrix.shape[1])
    scaled, rows, columns = equilibrated(matrix)
    solution: np.ndarray = np.linalg.lstsq(scaled, right / rows, rcond=1e-12)[0]
    return solution / columns
