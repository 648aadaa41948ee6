"""Looking at a model before it runs: degrees of freedom, structural fit, what was eliminated, what is odd about its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from solvers.errors import FlowsheetError
from solvers.frame import classify, read_model
from solvers.implicit import start_problem
from solvers.lower import lower
from solvers.misfit import listed, misfit_error
from solvers.schedule import make_schedule
from solvers.start import read_values
from solvers.structure import dulmage_mendelsohn
from solvers.system import DaeSystem


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What :func:`diagnose` found; ``str()`` of it is a page to read.

    ``freedom`` is the number of unknowns less that of equations; ``candidates`` are variables to fix (too much freedom)
    or equations to drop (too little).
    """

    equations: int
    unknowns: int
    states: int
    inputs: int
    freedom: int
    structural_rank: int
    over_determined_equations: tuple[str, ...]
    over_determined_variables: tuple[str, ...]
    under_determined_equations: tuple[str, ...]
    under_determined_variables: tuple[str, ...]
    loops: tuple[tuple[str, ...], ...]
    """Variables of each algebraic loop that is solved numerically."""
    system: DaeSystem | None
    problem: FlowsheetError | None
    remarks: tuple[str, ...]

    @property
    def well_posed(self) -> bool:
        """Whether the model can be lowered and its start solved."""
        return self.problem is None

    def __str__(self) -> str:
        lines = [
            f"{self.equations} equations, {self.unknowns} unknowns (degrees of freedom {self.freedom}), "
            f"{self.states} differential states, {self.inputs} inputs; structural rank {self.structural_rank}"
        ]
        if self.system is not None:
            lines.append(f"lowered to {self.system.summary()}")
        for title, names in (
            ("over-determined equations", self.over_determined_equations),
            ("variables that these determine", self.over_determined_variables),
            ("under-determined variables (fix some of these)", self.under_determined_variables),
            ("equations among these", self.under_determined_equations),
        ):
            if names:
                lines.append(f"{title}: {listed(names, 20)}")
        lines += [f"algebraic loop, solved by Newton's method: {listed(loop, 12)}" for loop in self.loops]
        lines += list(self.remarks)
        lines.append("well posed" if self.problem is None else f"not well posed: {self.problem}")
        return "\n".join(lines)


def diagnose(model: Any) -> Diagnosis:
    """Examine a Pyomo DAE model without running it.

    Parameters
    ----------
    model : as for :func:`solvers.lower`, or a lowered system.

    Raises
    ------
    UnsupportedModelError : the model cannot even be read.
    """
    reading = read_model(model.model if isinstance(model, DaeSystem) else model)
    frame = classify(reading)
    parts = dulmage_mendelsohn(frame.incidence)
    equations, unknowns = frame.equation_names, frame.unknown_names
    system: DaeSystem | None = None
    problem: FlowsheetError | None = None
    remarks: list[str] = []
    if parts.surplus_equations or parts.short_variables:
        problem = misfit_error(equations, unknowns, parts)
    else:
        try:
            system = lower(reading.model)
            remarks += _examine_start(system)
        except FlowsheetError as error:
            problem = error
    return Diagnosis(
        equations=len(equations),
        unknowns=len(unknowns),
        states=len(frame.states),
        inputs=len(frame.inputs),
        freedom=len(unknowns) - len(equations),
        structural_rank=parts.rank,
        over_determined_equations=tuple(equations[place] for place in parts.surplus_equations),
        over_determined_variables=tuple(unknowns[place] for place in parts.surplus_variables),
        under_determined_equations=tuple(equations[place] for place in parts.short_equations),
        under_determined_variables=tuple(unknowns[place] for place in parts.short_variables),
        loops=() if system is None else system.loops,
        system=system,
        problem=problem,
        remarks=tuple(remarks),
    )


def _examine_start(system: DaeSystem) -> list[str]:
    """Solve the start and remark on what is odd about it."""
    schedule = make_schedule(system, None)
    values = read_values(system, list(schedule.profiles))
    schedule.apply(float(system.time.first), values.u, np.zeros(len(values.u)), everything=True)
    t = float(system.time.first)
    x, z = start_problem(system, at_start=True).solve(t, values.x, values.z, values.u, values)
    remarks = []
    for group, found in ((system.states, x), (system.algebraics, z)):
        for slot, value in zip(group, found, strict=True):
            lower_bound, upper_bound = slot.data.lb, slot.data.ub
            if (lower_bound is not None and value < lower_bound - 1e-9) or (upper_bound is not None and value > upper_bound + 1e-9):
                remarks.append(f"{slot.name} starts at {value:g}, outside its bounds ({lower_bound}, {upper_bound})")
    slopes = np.asarray(system.right_hand_side(t, x, z, values.u, values.p)[0]).ravel()
    for slot, slope in zip(system.states, slopes, strict=True):
        if not np.isfinite(slope):
            remarks.append(f"the slope of {slot.name} is not finite at the start")
    blocks = system.jacobian(t, x, z, values.u, values.p)
    remarks += _examine_scales(system, blocks[0], x)
    return remarks


def _examine_scales(system: DaeSystem, jacobian: ca.DM, x: np.ndarray) -> list[str]:
    """Remark on states whose size is far from the nominal value that absolute tolerances are measured by."""
    remarks = []
    for slot, value, nominal in zip(system.states, np.abs(x), system.nominals, strict=True):
        if value > 1e6 * nominal or 0 < value < 1e-6 * nominal:
            remarks.append(f"{slot.name} is {value:.3g} but its nominal value is {nominal:.3g}; declare one with solvers.declare.nominal")
    rates = np.abs(np.asarray(ca.diag(jacobian))).ravel() if jacobian.shape[0] else np.zeros(0)
    fast, slow = (rates.max(initial=0.0), rates[rates > 0].min(initial=np.inf))
    if np.isfinite(slow) and fast > 1e12 * slow:
        remarks.append(f"time constants from {1 / fast:.3g} to {1 / slow:.3g} time units: very stiff")
    return remarks
