"""Looking at the numbers of a model's start: bounds, scales, blocks that are close to singular, stiffness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import casadi as ca
import numpy as np
from scipy.sparse import csc_matrix

from solvers.frame import Frame
from solvers.implicit import start_problem
from solvers.newton import diagonal_blocks
from solvers.schedule import make_schedule
from solvers.start import read_values
from solvers.structure import equilibrated
from solvers.system import DaeSystem

LARGEST_BLOCK = 400
"""Largest block whose condition is looked at."""
POOR_CONDITION = 1e8
WIDE_SPAN = 1e8
"""Sizes of rows or columns that lie further apart than this are badly scaled."""


@dataclass(frozen=True, slots=True)
class NearSingular:
    """A diagonal block of the equations whose condition is poor, with the variables that it leaves nearly open."""

    equations: tuple[str, ...]
    variables: tuple[str, ...]
    condition: float


@dataclass(frozen=True, slots=True)
class Examination:
    """What is odd about the numbers of a start."""

    at_bounds: tuple[str, ...]
    """Variables at or outside one of their bounds."""
    badly_scaled: tuple[str, ...]
    """Variables and equations whose size is far from the others'."""
    near_singular: tuple[NearSingular, ...]
    remarks: tuple[str, ...]
    steps: tuple[str, ...]
    """What to do about it."""


@dataclass(frozen=True, eq=False, slots=True)
class _Start:
    """A solved start: what the system is at its first time."""

    t: float
    x: np.ndarray
    z: np.ndarray
    u: np.ndarray
    p: np.ndarray

    @property
    def point(self) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The arguments of the system's functions."""
        return self.t, self.x, self.z, self.u, self.p


def examine_start(frame: Frame, system: DaeSystem) -> Examination:
    """Solve the start of a system and look at it.

    Raises
    ------
    FlowsheetError : the start cannot be solved.
    """
    schedule = make_schedule(system, None)
    values = read_values(system, list(schedule.profiles))
    t = float(system.time.first)
    schedule.apply(t, values.u, np.zeros(len(values.u)), everything=True)
    x, z = start_problem(system, at_start=True).solve(t, values.x, values.z, values.u, values)
    start = _Start(t, x, z, values.u, values.p)
    remarks: list[str] = []
    steps: list[str] = []
    at_bounds = _bounds(system, start, remarks, steps)
    slopes = np.asarray(system.right_hand_side(*start.point)[0]).ravel()
    for slot, slope in zip(system.states, slopes, strict=True):
        if not np.isfinite(slope):
            remarks.append(f"the slope of {slot.name} is not finite at the start")
            steps.append(f"start {slot.name} where its equation has a value, or bound what it divides by")
    far = _nominals(system, start, remarks, steps)
    _stiffness(system, start, remarks)
    unequal, near = _equations(frame, system, start, remarks, steps)
    return Examination(at_bounds, (*far, *unequal), near, tuple(remarks), tuple(steps))


def _bounds(system: DaeSystem, start: _Start, remarks: list[str], steps: list[str]) -> tuple[str, ...]:
    found = []
    for group, values in ((system.states, start.x), (system.algebraics, start.z)):
        for slot, value in zip(group, values, strict=True):
            lower, upper = slot.data.lb, slot.data.ub
            below, above = lower is not None and value < lower - 1e-9, upper is not None and value > upper + 1e-9
            if below or above:
                remarks.append(f"{slot.name} starts at {value:g}, outside its bounds ({lower}, {upper})")
                steps.append(f"start {slot.name} between its bounds, or widen them")
            if below or above or value in (lower, upper):
                found.append(slot.name)
    return tuple(found)


def _nominals(system: DaeSystem, start: _Start, remarks: list[str], steps: list[str]) -> tuple[str, ...]:
    """Remark on states whose size is far from the nominal value that absolute tolerances are measured by."""
    found = []
    for slot, value, nominal in zip(system.states, np.abs(start.x), system.nominals, strict=True):
        if value > 1e6 * nominal or 0 < value < 1e-6 * nominal:
            remarks.append(f"{slot.name} is {value:.3g} but its nominal value is {nominal:.3g}; declare one with solvers.declare.nominal")
            steps.append(f"solvers.declare.nominal({slot.component.name}, {value:.1g})")
            found.append(slot.name)
    return tuple(found)


def _stiffness(system: DaeSystem, start: _Start, remarks: list[str]) -> None:
    jacobian = system.jacobian(*start.point)[0]
    rates = np.abs(np.asarray(ca.diag(jacobian))).ravel() if jacobian.shape[0] else np.zeros(0)
    fast, slow = (rates.max(initial=0.0), rates[rates > 0].min(initial=np.inf))
    if np.isfinite(slow) and fast > 1e12 * slow:
        remarks.append(f"time constants from {1 / fast:.3g} to {1 / slow:.3g} time units: very stiff")


def _equations(
    frame: Frame, system: DaeSystem, start: _Start, remarks: list[str], steps: list[str]
) -> tuple[tuple[str, ...], tuple[NearSingular, ...]]:
    """Look at the Jacobian of all equations by all unknowns: scales of rows and columns, condition of blocks."""
    jacobian = _jacobian(frame, system, start)
    if jacobian is None or not jacobian.nnz or not np.isfinite(jacobian.data).all():
        return (), ()
    names = frame.equation_names, frame.unknown_names
    sizes = [np.asarray(abs(jacobian).max(axis=axis).todense()).ravel() for axis in (1, 0)]
    unequal: list[str] = []
    for what, size, labels in zip(("equations", "variables"), sizes, names, strict=True):
        median = float(np.median(size[size > 0]))
        extreme = [place for place in np.argsort(size) if size[place] > 0 and max(size[place] / median, median / size[place]) > WIDE_SPAN]
        if extreme:
            told = [labels[int(place)] for place in extreme]
            remarks.append(f"{what} scaled far from the others (more than 1e8): {', '.join(told[:6])}")
            steps.append(f"write {told[0]} in other units, or declare nominal values: coefficients lie too far apart")
            unequal += told
    # where constraints hide among the states, derivatives are not determined by these equations alone
    return tuple(unequal), () if system.singular else _near_singular(jacobian, *names, remarks, steps)


def _jacobian(frame: Frame, system: DaeSystem, start: _Start) -> csc_matrix | None:
    """Return the derivatives of all equations by all unknowns at the start, or None where an unknown has no value of its own."""
    reading = frame.reading
    if reading.kernels:
        return None
    known = set(system.names)
    slots = [slot for slot in reading.slots if slot.name in known]
    symbols = frame.side([slot.node for slot in slots])
    values = ca.Function("values", list(system.arguments), [system.column([slot.name for slot in slots])])(*start.point)
    params = frame.side([node for _, node in reading.params])
    constants = start.p[len(frame.constants) :]
    missing = [number for number in frame.unknowns if reading.slots[number].name not in known]
    if missing:
        return None
    matrix = ca.jacobian(frame.left - frame.right, frame.symbol(frame.unknowns))
    function = ca.Function("jacobian", [frame.side([reading.time_node]), symbols, params], [matrix], {"allow_free": True})
    if function.get_free():
        return None
    return csc_matrix(function(start.t, values, constants).sparse())


def _near_singular(
    jacobian: csc_matrix, equations: Sequence[str], unknowns: Sequence[str], remarks: list[str], steps: list[str]
) -> tuple[NearSingular, ...]:
    found = []
    for rows, columns in diagonal_blocks(jacobian):
        if not 1 < len(rows) == len(columns) <= LARGEST_BLOCK:
            continue
        scaled, _, _ = equilibrated(jacobian[rows][:, columns].toarray())
        _, singular, right = np.linalg.svd(scaled)
        condition = float(singular[0] / max(singular[-1], 1e-300))
        if condition > POOR_CONDITION:
            weights = np.abs(right[-1])
            open_ones = tuple(unknowns[int(columns[place])] for place in np.argsort(-weights) if weights[place] > 0.1)
            block = NearSingular(tuple(equations[int(row)] for row in rows), open_ones, condition)
            found.append(block)
            remarks.append(f"{len(rows)} equations hardly determine {', '.join(open_ones[:6])} (condition {condition:.1e})")
            steps.append(f"look for equations that nearly repeat each other: {', '.join(block.equations[:4])}")
    return tuple(found)
