"""A model as equations of symbols, its scalars sorted into states, unknowns, inputs and constants; nothing is eliminated yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from solvers.errors import UnsupportedModelError
from solvers.explicit_time import verified_start_equations
from solvers.reader import Equation, Reader, Reading
from solvers.system import var_input_courses
from solvers.tape import deep_expressions
from solvers.timeset import added_time_point, find_time


def read_model(model: Any) -> Reading:
    """Read a model onto a tape, with explicit time as a symbol."""
    time = find_time(model)
    with deep_expressions(), added_time_point(model, time) as point:
        return Reader(model, time, point).read()


@dataclass(frozen=True, eq=False)
class Frame:
    """A model as equations of symbols, before anything is eliminated."""

    reading: Reading
    side: Callable[[list[int]], ca.SX]
    """Gives the expressions of nodes as a column."""
    equations: tuple[Equation, ...]
    start_equations: tuple[Equation, ...]
    unknowns: tuple[int, ...]
    """Slots to be computed: derivatives and free variables that are no states."""
    derivative_of: Mapping[int, int]
    """State slot of each derivative slot that an equation uses."""
    states: tuple[int, ...]
    inputs: tuple[int, ...]
    constants: tuple[int, ...]
    """Fixed slots without time."""
    incidence: ca.Sparsity
    hidden: ca.Sparsity
    """The part of the incidence that goes through vector functions."""
    input_profiles: Mapping[int, Mapping[float, float]]

    def symbol(self, slots: list[int] | tuple[int, ...]) -> ca.SX:
        """Return the symbols of slots as a column."""
        return self.side([self.reading.slots[number].node for number in slots])

    @property
    def equation_names(self) -> list[str]:
        """Names of the equations."""
        return [equation.name for equation in self.equations]

    @property
    def unknown_names(self) -> list[str]:
        """Names of the unknowns, without time."""
        return [self.reading.slots[number].name for number in self.unknowns]

    @property
    def left(self) -> ca.SX:
        """Left sides of the equations."""
        return self.side([equation.left for equation in self.equations])

    @property
    def right(self) -> ca.SX:
        """Right sides of the equations."""
        return self.side([equation.right for equation in self.equations])


class _Columns:
    """The played tape: expressions of nodes, as a column even where there is none or one."""

    def __init__(self, pool: ca.SX, position: np.ndarray) -> None:
        self._pool = pool
        self._position = position

    def __call__(self, nodes: list[int]) -> ca.SX:
        return ca.vec(self._pool[self._position[nodes].tolist()]) if nodes else ca.SX(0, 1)


def classify(reading: Reading) -> Frame:
    """Sort a model's scalars into states, unknowns, inputs and constants, and play the tape."""
    slots = reading.slots
    symbols = ca.SX.sym("s", len(reading.tape.symbols))
    column = _Columns(*reading.tape.play(symbols))
    starts = verified_start_equations(reading, column, symbols)
    profiles = _var_inputs(reading)
    residual = column([equation.left for equation in reading.equations]) - column([equation.right for equation in reading.equations])
    derivative_of = _derivatives_in_use(reading, residual, starts, column)
    states = list(dict.fromkeys(derivative_of.values()))
    is_state = set(states)
    derivatives = list(derivative_of)
    inputs, constants, free = [], [], []
    for number, slot in enumerate(slots):
        if number in derivative_of:
            if slot.data.fixed:
                raise UnsupportedModelError(
                    f"the derivative {slot.name} is fixed", names=[slot.name], hint="write what it equals as a constraint"
                )
        elif number in is_state:
            if slot.data.fixed or number in profiles:
                raise UnsupportedModelError(
                    f"the state {slot.name} is fixed after the start",
                    names=[slot.name],
                    hint="fix a state at the first time only; deactivate its equation to hold it",
                )
        elif number in profiles or (slot.timed and slot.data.fixed):
            inputs.append(number)
        elif slot.data.fixed:
            constants.append(number)
        else:
            free.append(number)
    candidates = derivatives + free
    symbols_of_candidates = column([slots[number].node for number in candidates])
    hidden = _through_kernels(reading, column, symbols_of_candidates)
    incidence = ca.jacobian_sparsity(residual, symbols_of_candidates) + hidden
    used = np.diff(incidence.colind()) > 0
    keep = [column for column, number in enumerate(candidates) if used[column] or number in derivative_of]
    return Frame(
        reading=reading,
        side=column,
        equations=tuple(reading.equations),
        start_equations=tuple(starts),
        unknowns=tuple(candidates[column] for column in keep),
        derivative_of=derivative_of,
        states=tuple(states),
        inputs=tuple(inputs),
        constants=tuple(constants),
        incidence=incidence.sub(list(range(incidence.size1())), keep)[0],
        hidden=hidden.sub(list(range(hidden.size1())), keep)[0],
        input_profiles={inputs.index(number): course for number, course in profiles.items() if number in inputs},
    )


def _derivatives_in_use(reading: Reading, residual: ca.SX, starts: list[Equation], column: Callable[[list[int]], ca.SX]) -> dict[int, int]:
    """Return the derivatives that equations use, with their states.

    A DerivativeVar over space has members at the boundary, where an algebraic equation stands instead: a variable is a
    state only where its derivative is used.
    """
    if not reading.derivative_of:
        return {}
    begin = column([equation.left for equation in starts]) - column([equation.right for equation in starts])
    residual = ca.vertcat(residual, begin)
    symbols = column([reading.slots[number].node for number in reading.derivative_of])
    used = np.diff(ca.jacobian_sparsity(residual, symbols).colind()) > 0
    return {number: state for (number, state), live in zip(reading.derivative_of.items(), used, strict=True) if live}


def _through_kernels(reading: Reading, column: Callable[[list[int]], ca.SX], candidates: ca.SX) -> ca.Sparsity:
    """Return which equations depend on which candidates through the inputs of a vector function."""
    pattern = ca.Sparsity(len(reading.equations), candidates.shape[0])
    for kernel in reading.kernels:
        of_inputs = ca.jacobian_sparsity(column([node for nodes in kernel.inputs for node in nodes]), candidates)
        rows, columns = ca.mtimes(_kernel_pattern(kernel.function), of_inputs).get_triplet()
        pattern += ca.Sparsity.triplet(*pattern.shape, [kernel.equations[row] for row in rows], columns)
    return pattern


def _kernel_pattern(function: ca.Function) -> ca.Sparsity:
    """Return which results of a function depend on which arguments, all results and arguments one after the other."""
    blocks = [[function.jac_sparsity(k, i, True) for i in range(function.n_in())] for k in range(function.n_out())]
    return ca.vertcat(*(ca.horzcat(*row) for row in blocks))


def _var_inputs(reading: Reading) -> dict[int, dict[float, float]]:
    """Return the courses that ``var_input`` suffixes give, by slot."""
    members: dict[int, list[int]] = {}
    for number, slot in enumerate(reading.slots):
        members.setdefault(id(slot.component), []).append(number)
    courses: dict[int, dict[float, float]] = {}
    for component, course in var_input_courses(reading.model):
        numbers = members.get(id(component), [])
        if not numbers:
            datas = component.values() if component.is_indexed() else [component]
            numbers = list(dict.fromkeys(reading.slot_of[id(data)] for data in datas if id(data) in reading.slot_of))
        if not numbers:
            raise UnsupportedModelError(
                f"the suffix var_input names {component.name}, which is no variable of time that any equation uses",
                names=[str(component.name)],
            )
        for number in numbers:
            courses[number] = dict(course)
    return courses
