"""Roots of named equations: Newton's method as a whole, then block by block, then along a homotopy.

Steps are judged by Newton's natural level function, in units of the unknowns (Deuflhard 2004, Newton Methods for Nonlinear
Problems, section 3.3). Blocks are those of the block-triangular form (Duff & Reid 1978, ACM TOMS 4:137). The homotopy is Newton's:
``r(y) = (1 - s) r(y0)`` from s = 0 to 1 (Allgower & Georg 1990, section 1.2). Bounds guide the way: a root outside them is not taken
while one inside is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import lsmr, splu

from solvers.errors import NumericsError
from solvers.misfit import listed

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, csc_matrix]]
"""Gives residuals and their sparse Jacobian at a point."""

MOST_ITERATIONS = 100
MOST_NUDGES = 3
LEAST_STEP = 1e-10


class Route(Enum):
    """What found a root."""

    NEWTON = "Newton's method on all equations"
    BLOCKS = "Newton's method block by block"
    HOMOTOPY = "a homotopy from the start values"


@dataclass(frozen=True, eq=False, slots=True)
class Equations:
    """Equations with names, as many as unknowns.

    Parameters
    ----------
    evaluate : residuals and Jacobian at a point.
    names, variables : names of equations and unknowns.
    scale : (n,) typical magnitude of the unknowns.
    lower, upper : (n,) bounds, infinite where there is none.
    """

    evaluate: Evaluate
    names: Sequence[str]
    variables: Sequence[str]
    scale: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def outside(self, point: np.ndarray) -> np.ndarray:
        """Whether each unknown lies outside its bounds by more than rounding, shape (n,)."""
        slack = 1e-9 * (np.abs(point) + self.scale)
        return np.asarray((point < self.lower - slack) | (point > self.upper + slack))


@dataclass(frozen=True, eq=False, slots=True)
class Root:
    """A point at which all residuals vanish to rounding."""

    point: np.ndarray
    jacobian: csc_matrix
    iterations: int
    route: Route
    blocks: int
    """Number of diagonal blocks of the block-triangular form; 0 where it was not needed."""


@dataclass(frozen=True, eq=False, slots=True)
class _Attempt:
    point: np.ndarray
    residual: np.ndarray
    jacobian: csc_matrix
    iterations: int
    converged: bool


def find_root(equations: Equations, start: np.ndarray, where: str) -> Root:
    """Return a root of named equations.

    Parameters
    ----------
    start : (n,) where to begin.
    where : a phrase that says when, such as ``"at t = 0"``, for messages.

    Raises
    ------
    NumericsError : none was found; the block that failed is told with its equations, residuals and variables.
    """
    with np.errstate(all="ignore"):
        attempt = _newton(equations, start)
        if attempt.converged and not equations.outside(attempt.point).any():
            return Root(attempt.point, attempt.jacobian, attempt.iterations, Route.NEWTON, 0)
        bounded = _newton(equations, np.clip(start, equations.lower, equations.upper), bounded=True)
        if bounded.converged:
            return Root(bounded.point, bounded.jacobian, attempt.iterations + bounded.iterations, Route.NEWTON, 0)
        if attempt.converged:
            return Root(attempt.point, attempt.jacobian, attempt.iterations, Route.NEWTON, 0)
        if not np.isfinite(equations.evaluate(start)[0]).all():
            residual = equations.evaluate(start)[0]
            raise _not_finite(equations, residual, where)
        return _by_blocks(equations, start, where, attempt.iterations)


def _newton(equations: Equations, start: np.ndarray, bounded: bool = False) -> _Attempt:
    """Newton's method with step halving; steps of least squares and small nudges where the Jacobian is singular on the way."""
    scale, evaluate = equations.scale, equations.evaluate
    point = start.copy()
    residual, jacobian = evaluate(point)
    nudges = MOST_NUDGES
    for iteration in range(MOST_ITERATIONS):
        if not np.isfinite(residual).all() or not np.isfinite(jacobian.data).all():
            return _Attempt(point, residual, jacobian, iteration, False)
        step, measure = _step(jacobian, residual, scale)
        before = point
        limits = (equations.lower, equations.upper) if bounded else None
        point, residual, jacobian, stalled = _halved(evaluate, measure, point, step, residual, jacobian, limits)
        moved = point - before if bounded else step
        solved = (np.abs(residual) <= 1e-13 * (abs(jacobian) @ (np.abs(point) + scale))).all()
        if solved and (stalled or (np.abs(moved) <= 1e-11 * (np.abs(point) + scale)).all()):
            return _Attempt(point, residual, jacobian, iteration + 1, True)
        if stalled:
            if not nudges:
                break
            # a stationary point of the residual, such as a guess at which the Jacobian is singular
            nudges -= 1
            point = point + 0.1 * (np.abs(point) + scale) * np.cos(np.arange(len(point)) + nudges)
            point = np.clip(point, *limits) if limits else point
            residual, jacobian = evaluate(point)
    return _Attempt(point, residual, jacobian, iteration + 1, False)


def _undamped(equations: Equations, start: np.ndarray) -> _Attempt:
    """Newton's method with whole steps: where its way leads over a ridge that no level function lets pass, it may still arrive."""
    point = start.copy()
    residual, jacobian = equations.evaluate(point)
    iterations = 0
    while iterations < MOST_ITERATIONS and np.isfinite(residual).all() and np.isfinite(jacobian.data).all():
        iterations += 1
        step, _ = _step(jacobian, residual, equations.scale)
        point = point + step
        residual, jacobian = equations.evaluate(point)
        if (np.abs(step) <= 1e-8 * (np.abs(point) + equations.scale)).all():
            return _newton(equations, point)
    return _Attempt(point, residual, jacobian, iterations, False)


def _step(jacobian: csc_matrix, residual: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], float]]:
    """Return Newton's step, and the size of a residual in units of the unknowns."""
    scaled = csc_matrix(jacobian.multiply(scale[None, :]))
    try:
        factors = splu(scaled)
        step = factors.solve(-residual)
    except RuntimeError:
        step = np.full(len(residual), np.nan)
    if np.isfinite(step).all():
        return step * scale, lambda other: float(np.linalg.norm(factors.solve(other)))
    return lsmr(scaled, -residual)[0] * scale, lambda other: float(np.linalg.norm(other))


def _halved(
    evaluate: Evaluate,
    measure: Callable[[np.ndarray], float],
    point: np.ndarray,
    step: np.ndarray,
    residual: np.ndarray,
    jacobian: csc_matrix,
    limits: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray, csc_matrix, bool]:
    """Take as much of a step as makes the residual's measure smaller; the last value says that nothing did."""
    size, factor = measure(residual), 1.0
    while factor > LEAST_STEP:
        trial = point + factor * step
        if limits is not None:
            trial = np.clip(trial, *limits)
        new_residual, new_jacobian = evaluate(trial)
        if np.isfinite(new_residual).all() and measure(new_residual) <= (1 - 1e-4 * factor) * size:
            return trial, new_residual, new_jacobian, False
        factor /= 2
    return point, residual, jacobian, True


# -- block by block ----------------------------------------------------------------------------------------------------


def diagonal_blocks(jacobian: csc_matrix) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows and columns of the diagonal blocks of a sparse square matrix, each standing on those before it only."""
    size = jacobian.shape[0]
    pattern = ca.Sparsity(size, size, jacobian.indptr.tolist(), jacobian.indices.tolist())
    _, row_order, column_order, row_block, column_block, *_ = pattern.btf()
    rows, columns = np.array(row_order, dtype=int), np.array(column_order, dtype=int)
    return [
        (rows[row_block[k] : row_block[k + 1]], columns[column_block[k] : column_block[k + 1]])
        for k in range(len(row_block) - 1)
        if row_block[k + 1] > row_block[k]
    ]


def _by_blocks(equations: Equations, start: np.ndarray, where: str, iterations: int) -> Root:
    """Solve the blocks in order; where Newton's method fails on one, follow a homotopy."""
    point = start.copy()
    _, jacobian = equations.evaluate(point)
    jacobian.sort_indices()
    blocks = diagonal_blocks(jacobian)
    route = Route.BLOCKS
    for number, (rows, columns) in enumerate(blocks):
        if len(rows) != len(columns):
            raise _failed_block(equations, point, rows, columns, where, number, len(blocks))
        part = _part(equations, point, rows, columns)
        attempt = _newton(part, point[columns], bounded=True)
        iterations += attempt.iterations
        if not attempt.converged:
            attempt = _undamped(part, point[columns])
            iterations += attempt.iterations
        if not attempt.converged:
            route = Route.HOMOTOPY
            attempt = _homotopy(part, point[columns])
            iterations += attempt.iterations
        point[columns] = attempt.point
        if not attempt.converged:
            raise _failed_block(equations, point, rows, columns, where, number, len(blocks))
    # structure at the start may hide what a value of zero hid: all equations have to hold together
    whole = _newton(equations, point)
    if not whole.converged:
        raise _failed_block(equations, point, np.arange(len(point)), np.arange(len(point)), where, 0, 1)
    return Root(whole.point, whole.jacobian, iterations + whole.iterations, route, len(blocks))


def _part(equations: Equations, point: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> Equations:
    """Return the equations of a block, all other unknowns held."""

    def evaluate(values: np.ndarray) -> tuple[np.ndarray, csc_matrix]:
        whole = point.copy()
        whole[columns] = values
        residual, jacobian = equations.evaluate(whole)
        return residual[rows], csc_matrix(jacobian[rows][:, columns])

    return Equations(
        evaluate,
        [equations.names[row] for row in rows],
        [equations.variables[column] for column in columns],
        equations.scale[columns],
        equations.lower[columns],
        equations.upper[columns],
    )


def _homotopy(equations: Equations, start: np.ndarray) -> _Attempt:
    """Follow the roots of ``r(y) - (1 - s) r(start)`` from s = 0 to 1 with steps as long as Newton's method converges."""
    begin, _ = equations.evaluate(start)
    point, done, step, iterations = start.copy(), 0.0, 0.1, 0
    attempt = _Attempt(point, begin, equations.evaluate(point)[1], 0, False)
    while done < 1.0 and step > 1e-6:
        target = min(1.0, done + step)

        def shifted(values: np.ndarray, share: float = 1.0 - target) -> tuple[np.ndarray, csc_matrix]:
            residual, jacobian = equations.evaluate(values)
            return residual - share * begin, jacobian

        part = Equations(shifted, equations.names, equations.variables, equations.scale, equations.lower, equations.upper)
        attempt = _newton(part, point)
        iterations += attempt.iterations
        if attempt.converged:
            point, done, step = attempt.point, target, 2 * step
        else:
            step /= 4
    return _Attempt(point, attempt.residual, attempt.jacobian, iterations, done >= 1.0)


# -- messages ----------------------------------------------------------------------------------------------------------


def _not_finite(equations: Equations, residual: np.ndarray, where: str) -> NumericsError:
    wrong = [equations.names[int(place)] for place in np.flatnonzero(~np.isfinite(residual))]
    return NumericsError(
        f"an equation is not finite {where} with the start values: {listed(wrong)}",
        names=wrong,
        hint="a division by zero, or the logarithm or root of a negative number: give better start values (initialize=) or bounds",
    )


def _failed_block(
    equations: Equations, point: np.ndarray, rows: np.ndarray, columns: np.ndarray, where: str, number: int, count: int
) -> NumericsError:
    residual, _ = equations.evaluate(point)
    sizes = np.where(np.isfinite(residual[rows]), np.abs(residual[rows]), np.inf)
    worst = rows[np.argsort(-sizes)][:5]
    told = ", ".join(f"{equations.names[row]} (residual {residual[row]:.3g})" for row in worst)
    values = [f"{equations.variables[column]} = {point[column]:.6g}" for column in columns]
    at_bound = [equations.variables[c] for c in columns if point[c] <= equations.lower[c] or point[c] >= equations.upper[c]]
    block = f"block {number + 1} of {count} ({len(rows)} equation(s))" if count > 1 else f"{len(rows)} equation(s)"
    return NumericsError(
        f"the equations found no solution {where}: {block}; largest residual {sizes.max(initial=0.0):.3g} in {told}; "
        f"tried last: {listed(values, 6)}" + (f"; at a bound: {listed(at_bound)}" if at_bound else ""),
        names=[*(equations.names[row] for row in worst), *(equations.variables[column] for column in columns[:5])],
        hint=f"better start values for {listed([equations.variables[c] for c in columns], 5)} may help; check that a solution exists",
    )
