"""The seam between a lowered system and what integrates it: CVODE or Radau IIA, and IDA for implicit systems that hide constraints.

The methods are the variable-order BDF of Hindmarsh et al. 2005 (ACM TOMS 31:363), taken from the SUNDIALS libraries in
the scikit-sundae wheel, and Radau IIA of order 5 (``csrc/radau.c``), both driven from C (``csrc/integrator_core.c``), with CasADi
functions called in place and a sparse LU of our own. CVODE gets the states alone; algebraic variables are solved wherever their values
are wanted (``csrc/integrator_algebra.c``). Radau IIA has them among its unknowns. Outputs are interpolated by the method's own
polynomial and never stop it; guards are watched on every internal step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, cached_property
from importlib import metadata
from typing import Any, NamedTuple

import casadi as ca
import numpy as np
import sksundae  # noqa: F401  (loads the SUNDIALS libraries that the addresses below are taken from)

from csrc._integrator import Integrator, Outcome, sundials_names
from solvers.errors import FlowsheetError
from solvers.layout import Layout, explicit_layout, implicit_layout
from solvers.system import DaeSystem


@cache
def sundials_addresses() -> dict[str, int]:
    """Return the addresses of the SUNDIALS functions that the driver calls.

    Raises
    ------
    FlowsheetError : the installed scikit-sundae does not carry them.
    """
    libraries = {}
    for file in metadata.files("scikit-sundae") or ():
        stem, _, _ = file.name.partition("-")
        if stem.startswith("libsundials_"):
            libraries[stem.removeprefix("libsundials_")] = ctypes.CDLL(str(file.locate()))
    _check_version(libraries)
    addresses = {}
    for name in sundials_names():
        # some libraries carry copies of others' functions; only the one at home is the one that is called
        home = next(library for prefix, library in _HOMES.items() if prefix in name)
        try:
            function = libraries[home][name]
        except (KeyError, AttributeError):
            raise FlowsheetError(
                f"the installed scikit-sundae has no {name}", names=[name], hint="install its wheel: pip install 'scikit-sundae>=1.2,<1.3'"
            ) from None
        addresses[name] = ctypes.cast(function, ctypes.c_void_p).value or 0
    return addresses


def _check_version(libraries: dict[str, ctypes.CDLL]) -> None:
    numbers = [ctypes.c_int() for _ in range(3)]
    if "core" in libraries:
        libraries["core"].SUNDIALSGetVersionNumber(*(ctypes.byref(number) for number in numbers), ctypes.create_string_buffer(32), 32)
    if numbers[0].value != 7:
        found = ".".join(str(number.value) for number in numbers)
        raise FlowsheetError(f"SUNDIALS 7 is needed, found {found}", hint="install the wheel: pip install 'scikit-sundae>=1.2,<1.3'")


_HOMES = {
    "_Band": "sunlinsolband",
    "SUNBandMatrix": "sunmatrixband",
    "N_VNew_Serial": "nvecserial",
    "CVode": "cvode",
    "IDA": "ida",
    "SUN": "core",
    "N_V": "core",
}


@cache
def _buffer_evaluation() -> int:
    """Return the address of CasADi's evaluation of a function buffer."""
    files = [file for file in metadata.files("casadi") or () if file.name.startswith("libcasadi.so")]
    try:
        function = ctypes.CDLL(str(files[0].locate()))["_ZN6casadi21_function_buffer_evalEPv"]
    except (IndexError, AttributeError, OSError):
        raise FlowsheetError(
            "the installed CasADi has no function buffers", hint="install its wheel: pip install 'casadi>=3.8,<4'"
        ) from None
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class IntegrationMethod(Enum):
    """How segments are integrated."""

    AUTO = "auto"
    """What suits the system."""
    BDF = "bdf"
    """Variable order 1 to 5, many steps back: CVODE, or IDA where derivatives are among the unknowns."""
    RADAU = "radau"
    """Radau IIA of order 5, one step back; BDF where that is IDA, or where derivatives are carried along."""


class Code(NamedTuple):
    """Compiled code of a system's functions, and the layout that belongs to them."""

    slopes: ca.Function
    jacobian: ca.Function
    guards: ca.Function
    layout: Layout


@dataclass(frozen=True, eq=False)
class SegmentFunctions:
    """The functions of a system in the form that an integrator calls, for one choice of inputs that change linearly.

    Arguments are time, ``y = (x, z)`` and one column of constants ``(p, u, slopes of ramped inputs, reference time)``:
    a ramped input is ``u + slope (t - reference)``.
    """

    system: DaeSystem
    ramped: tuple[int, ...]
    code: Code | None = None
    """Compiled, else CasADi's virtual machine evaluates the functions."""

    def with_code(self, code: Code) -> SegmentFunctions:
        """Return the same functions, compiled."""
        return replace(self, code=code)

    @property
    def state_count(self) -> int:
        """Number of differential states; at least one, so that a system without any can be carried through time."""
        return max(1, len(self.system.states))

    @property
    def constant_count(self) -> int:
        """Length of the column of constants."""
        return len(self.system.parameters) + len(self.system.inputs) + len(self.ramped) + 1

    def constants(self, p: np.ndarray, u: np.ndarray, slopes: np.ndarray, reference: float) -> np.ndarray:
        """Return the column of constants of one segment."""
        return np.concatenate([p, u, slopes[list(self.ramped)], [reference]])

    @cached_property
    def _arguments(self) -> tuple[list[ca.SX], ca.SX, ca.SX]:
        system = self.system
        slopes = system.symbol("slope", len(self.ramped))
        reference = system.symbol("reference")
        x = system.x if system.states else system.symbol("still")
        y = ca.vertcat(x, system.z)
        constants = ca.vertcat(system.p, system.u, slopes, reference)
        # an empty choice of a single row would be 1 x 0
        ramped = system.u[list(self.ramped)] if self.ramped else type(system.x)(0, 1)
        return [system.t, y, constants], ramped, ramped + slopes * (system.t - reference)

    def _functions(self, name: str, expressions: list[ca.SX]) -> ca.Function:
        """One function with several results, the first of them dense."""
        arguments, ramped, course = self._arguments
        results = [ca.densify(expressions[0]), *expressions[1:]]
        if self.ramped:
            results = ca.substitute(results, [ramped], [course])
        return ca.Function(name, arguments, results)

    def _function(self, name: str, expression: ca.SX) -> ca.Function:
        arguments, ramped, course = self._arguments
        if self.ramped:
            expression = ca.substitute(expression, ramped, course)
        return ca.Function(name, arguments, [expression])

    @cached_property
    def slopes(self) -> ca.Function:
        """``(x', residual of 0 = g)``."""
        if self.code is not None:
            return self.code.slopes
        ode = self.system.ode if self.system.states else type(self.system.x)(1, 1)
        return self._function("slopes", ca.densify(ca.vertcat(ode, self.system.algebraic)))

    @cached_property
    def jacobian(self) -> ca.Function:
        """Sparse derivative of ``slopes`` by y."""
        if self.code is not None:
            return self.code.jacobian
        return self._function("jacobian", self._slopes_by_y)

    @cached_property
    def _slopes_by_y(self) -> ca.SX | ca.MX:
        whole = self.system.slopes_by(1, 2)
        return whole if self.system.states else ca.diagcat(type(whole)(1, 1), whole)

    def tangent(self, columns: tuple[int, ...]) -> Tangent:
        """Return slopes with their sparse derivatives by y and by those constants (of p and u) at ``columns``."""
        system = self.system
        ode = system.ode if system.states else type(system.x)(1, 1)
        slopes = ca.vertcat(ode, system.algebraic)
        force = ca.horzcat(ca.jacobian(slopes, system.p), ca.jacobian(slopes, system.u))
        force = force[:, list(columns)] if columns else type(system.x)(slopes.shape[0], 0)
        return Tangent(self._functions("tangent", [slopes, self._slopes_by_y, force]), columns)

    @cached_property
    def guards(self) -> ca.Function:
        """Guards of all events that have one."""
        if self.code is not None:
            return self.code.guards
        return self._function("guards", self.system.guards)

    @cached_property
    def layout(self) -> Layout:
        """Where the unknowns of the solver and its iteration matrix come from."""
        if self.code is not None:
            return self.code.layout
        sparsity = self.jacobian.sparsity_out(0)
        if self.system.singular:
            return implicit_layout(sparsity, self.state_count, self.system)
        return explicit_layout(sparsity, self.state_count)


@dataclass(frozen=True, eq=False)
class Tangent:
    """What derivatives that are carried along are made of: ``s' = J s + P q`` with constants q.

    Each column of s is one direction of change of y, each column of q that of the constants at ``columns``.
    """

    function: ca.Function
    """Slopes (dense), J and P (sparse), with the arguments of :class:`SegmentFunctions`."""
    columns: tuple[int, ...]


class SegmentIntegrator:
    """Carries a system through smooth segments; ``y`` is read at a restart and written when a run returns.

    Parameters
    ----------
    functions : of the system.
    t, y : where a run begins; y holds (x, z), and with a tangent one such block for each direction behind it.
    rtol, atol : tolerances of local errors; atol like y.
    kept : places of y that go into each row of outputs; (x, z) by default.
    tangent : how derivatives are carried along; None for the states alone.
    method : AUTO is BDF here.
    """

    def __init__(
        self,
        functions: SegmentFunctions,
        t: float,
        y: np.ndarray,
        rtol: float,
        atol: np.ndarray,
        kept: np.ndarray | None = None,
        tangent: Tangent | None = None,
        method: IntegrationMethod = IntegrationMethod.BDF,
    ) -> None:
        size = functions.state_count + len(functions.system.algebraics)
        layout = functions.layout
        self.functions = functions
        self.method = method
        self._time = np.array([float(t)])
        self.y = np.array(y, dtype=float)
        self._constants = np.zeros(functions.constant_count)
        self._slope = np.zeros(len(self.y))
        self._entries = np.zeros(len(layout.entry_place))
        self._guard = np.zeros(functions.system.guards.shape[0])
        self.watched = np.ones(len(self._guard), dtype=np.intc)
        """Whether each guard counts; to be set before a restart, like ``offset``."""
        self.offset = np.zeros(len(self._guard))
        """What is added to each guard."""
        self._buffers = [self._buffer(functions.slopes, self._slope), self._buffer(functions.jacobian, self._entries)]
        guards = self._buffer(functions.guards, self._guard) if len(self._guard) else None
        self._guards_buffer = guards
        self.seed = np.zeros((len(self.y) // size - 1, 0 if tangent is None else len(tangent.columns)))
        """Directions of change of the constants, shape (directions, columns); to be set before a restart."""
        self._driver = Integrator(
            sundials_addresses(),
            _buffer_evaluation(),
            self._buffers[0]._self(),
            self._buffers[1]._self(),
            None if guards is None else guards._self(),
            self._time,
            self.y,
            self._slope,
            self._entries,
            self._guard,
            self.watched,
            self.offset,
            len(functions.system.algebraics),
            layout.column_start,
            layout.row,
            layout.entry_place,
            layout.diagonal_place,
            layout.order,
            rtol,
            np.ascontiguousarray(atol.reshape(-1, size)[:, layout.unknowns].ravel(), dtype=float),
            np.ascontiguousarray(np.arange(size) if kept is None else kept, dtype=np.intc),
            None if tangent is None else self._tangent_parts(tangent),
            layout.implicit,
            None if layout.algebra is None else (*layout.algebra, np.ascontiguousarray(atol[functions.state_count : size], dtype=float)),
            method is IntegrationMethod.RADAU,
        )

    def _buffer(self, function: ca.Function, *results: np.ndarray) -> ca.FunctionBuffer:
        buffer = ca.FunctionBuffer(function)
        for place, argument in enumerate((self._time, self.y, self._constants)):
            buffer.set_arg(place, argument.data)
        for place, result in enumerate(results):
            buffer.set_res(place, result.data)
        return buffer

    def _tangent_parts(self, tangent: Tangent) -> tuple[Any, ...]:
        patterns = [tangent.function.sparsity_out(place) for place in (1, 2)]
        values = [np.zeros(pattern.nnz()) for pattern in patterns]
        self._buffers.append(self._buffer(tangent.function, self._slope, *values))
        parts: list[Any] = [self._buffers[-1]._self()]
        for pattern, value in zip(patterns, values, strict=True):
            parts += [value, np.array(pattern.colind(), dtype=np.intc), np.array(pattern.row(), dtype=np.intc)]
        return (*parts, self.seed)

    def reset(self) -> None:
        """Forget counts and factors: what follows is the same to the last bit as with a new integrator."""
        self._driver.reset()

    def restart(self, t: float, stop: float, y: np.ndarray, constants: np.ndarray, directions: Sequence[int]) -> Outcome | None:
        """Start a segment at t that may not step past ``stop``; return None or why it cannot be started."""
        self.y[:] = y
        self._constants[:] = constants
        flag = self._driver.restart(t, stop, np.array(directions, dtype=np.intc))
        return Outcome(flag) if flag else None

    def run(
        self, stop: float, times: np.ndarray, done: int, outputs: np.ndarray, most_steps: int
    ) -> tuple[Outcome, float, int, np.ndarray]:
        """Integrate to the next crossing of a guard or to ``stop``, filling rows of ``outputs`` for the times passed.

        Returns
        -------
        outcome : how it ended; WANTS_PAUSE after ``most_steps`` steps.
        t : time reached.
        done : number of output times that have been filled.
        crossed : +1 or -1 for each guard that crossed rising or falling, else 0.
        """
        outcome, t, done, crossed = self._driver.run(stop, times, done, outputs, most_steps)
        return outcome, t, done, crossed[: len(self._guard)]

    def sample(self, times: np.ndarray) -> np.ndarray:
        """Return y at times within the last step, by the method's own polynomial, shape (times, len(y))."""
        return np.asarray(self._driver.sample(times))

    @property
    def counts(self) -> dict[str, int]:
        """Counters since the first start."""
        return dict(self._driver.counts)

    @property
    def step(self) -> float:
        """The step that is to be tried next."""
        return float(self._driver.step)

    def errors(self) -> np.ndarray | None:
        """Return the last estimated local errors of y in units of the tolerance, or None; zero for what is no unknown."""
        found = self._driver.errors()
        if found is None:
            return None
        unknowns = self.functions.layout.unknowns
        blocks = found.reshape(-1, len(unknowns))
        errors = np.zeros((len(blocks), len(self.y) // len(blocks)))
        errors[:, unknowns] = blocks
        return errors.ravel()

    @property
    def bad_guard(self) -> int | None:
        """Position of a guard that was not finite, or None."""
        return None if self._driver.bad_guard is None else self._driver.bad_guard[0]

    @property
    def stuck(self) -> tuple[int, float] | None:
        """Position and time of the worst algebraic equation where no solution was found, or None."""
        return self._driver.stuck

    @property
    def not_finite(self) -> tuple[int, float, np.ndarray] | None:
        """Position and time of the last slope that was not finite, and y (of the states alone) from which it came; or None."""
        return self._driver.not_finite
