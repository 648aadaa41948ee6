"""The words that Pyomo lacks for hybrid dynamic models: data only, no algorithm.

A unit puts these objects on its block as plain attributes; :func:`solvers.lower` finds them by type.

>>> from solvers.declare import Profile
>>> Profile((0.0, 60.0), (0.2, 0.0)).values
(0.2, 0.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import Any

import casadi as ca
from pyomo.common.collections import ComponentMap
from pyomo.core.base.component import ActiveComponent, ModelComponentFactory
from pyomo.util.check_units import _component_data_handlers

from solvers.errors import UsageError

Rule = Callable[[Any, Any], Any]
"""``rule(block, t)`` giving a Pyomo expression; ``t`` may be used for indexing and in the expression itself."""


class Direction(Enum):
    """The way in which a guard has to cross zero for its event to happen."""

    RISING = 1
    FALLING = -1
    EITHER = 0


class Interpolation(Enum):
    """What a profile does between its points."""

    HOLD = "hold"
    LINEAR = "linear"


@dataclass(frozen=True, eq=False, slots=True)
class Event:
    """Something that happens at an instant: a guard crosses zero, or one of the known times ``at`` is reached.

    Parameters
    ----------
    guard : ``rule(block, t)``; the event happens where the expression crosses zero in the given direction, and at the
        start of a run (or when ``when`` becomes true) if the guard is already strictly beyond zero in that direction.
    at : known times in the model's time unit, instead of a guard.
    direction : the way in which the guard has to cross.
    when : ``rule(block, t)``; the event is watched only while this expression of fixed Vars and Params is positive.
    transition : ``rule(block, t)`` giving pairs ``(variable, value)``: what differential states and fixed (discrete)
        Vars become. Values are expressions of what held just before; all pairs take effect at once.
    refusal : if not empty, a run that comes to the event ends there and fails, saying this and the event's ``doc``: for the
        limits of a model's range. ``doc`` says what happened, ``refusal`` what to do.
    doc : one line for logs and reports.

    Raises
    ------
    UsageError : if not exactly one of ``guard`` and ``at`` is given.
    """

    guard: Rule | None = None
    at: Sequence[float] = ()
    direction: Direction = Direction.EITHER
    when: Rule | None = None
    transition: Callable[[Any, Any], Iterable[tuple[Any, Any]]] | None = None
    doc: str = ""
    refusal: str = ""

    def __post_init__(self) -> None:
        if (self.guard is None) == (len(self.at) == 0):
            raise UsageError("an Event takes either a guard or known times, and not both", hint="give guard= or at=")
        if not all(math.isfinite(time) for time in self.at):
            raise UsageError(f"a known time of an Event is not finite (got {tuple(self.at)})")


@dataclass(frozen=True, slots=True)
class Profile:
    """A recorded or planned course of an input over time.

    Before the first point the first value holds, after the last point the last. A ``HOLD`` profile takes each value
    from its time on (continuous from the right).

    Parameters
    ----------
    times : strictly increasing, in the model's time unit.
    values : one per time, in the input's own unit.
    interpolation : hold each value, or join the points by straight lines.
    """

    times: Sequence[float]
    values: Sequence[float]
    interpolation: Interpolation = field(default=Interpolation.HOLD)

    def __post_init__(self) -> None:
        times, values = tuple(map(float, self.times)), tuple(map(float, self.values))
        if not times or len(times) != len(values):
            raise UsageError(f"a Profile needs as many values as times and at least one (got {len(times)} times, {len(values)} values)")
        if not all(map(math.isfinite, times + values)):
            raise UsageError("a Profile holds a time or value that is not finite")
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise UsageError("the times of a Profile have to increase strictly")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that a variable passes.

    Parameters
    ----------
    variable : its name without time, such as ``press.level``.
    value : in the variable's own unit.
    direction : RISING or FALLING.
    """

    variable: str
    value: float
    direction: Direction = Direction.RISING

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise UsageError(f"the threshold of {self.variable} is not finite ({self.value})", names=[self.variable])
        if self.direction is Direction.EITHER:
            raise UsageError(f"the threshold of {self.variable} has to be passed in one direction", names=[self.variable])


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a recipe (ISA-88): what it sets and gives when it begins, and what ends it.

    Parameters
    ----------
    name : of the phase.
    sets : values that inputs take when it begins, by name without time, in their own units.
    ramps : values that inputs reach by straight lines when it has lasted for ``after``.
    after : how long it lasts, in the model's time unit.
    until : what ends it as well, if it comes first; at once if it has been passed already.
    boluses : volumes (m3) of their own feeds that units get at once when it begins, by name of the unit.
    """

    name: str
    sets: Mapping[str, float] = field(default_factory=dict)
    ramps: Mapping[str, float] = field(default_factory=dict)
    after: float | None = None
    until: Threshold | None = None
    boluses: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for unit, volume in self.boluses.items():
            if not (math.isfinite(volume) and volume > 0):
                raise UsageError(f"phase {self.name} gives {unit} a bolus of {volume} m3", names=[unit], hint="a positive volume")
        for variable, value in (*self.sets.items(), *self.ramps.items()):
            if not math.isfinite(value):
                raise UsageError(f"phase {self.name} sets {variable} to what is not finite ({value})", names=[variable])
        if self.after is not None and not (math.isfinite(self.after) and self.after > 0):
            raise UsageError(f"phase {self.name} cannot last for {self.after}", names=[self.name], hint="a positive time")
        if self.ramps and self.after is None:
            raise UsageError(f"phase {self.name} ramps but does not say for how long", names=[self.name], hint="give after")
        both = sorted(set(self.sets) & set(self.ramps))
        if both:
            raise UsageError(f"phase {self.name} sets and ramps {', '.join(both)}", names=both, hint="set it in the phase before")

    @property
    def ends(self) -> bool:
        """Whether anything ends it but the end of the run."""
        return self.after is not None or self.until is not None


@ModelComponentFactory.register("Equations between whole vectors, evaluated by a compiled function.")
class VectorFunction(ActiveComponent):
    """Equations ``outputs == function(inputs)`` between whole vectors, at every time, for what is too large or too hot for scalars.

    It is not indexed by time: each input and output is a whole component over time (a Var or Expression; inputs may also be Params, or
    fixed Vars without time), and stands for the column of its members at one time, in the order of its index set. The function is a
    CasADi function, such as one of a cell that is mapped over many, or a compiled kernel reached by ``casadi.external`` (which needs
    ``jac_NAME`` with its sparsity for simulation and ``jac_jac_NAME`` for exact second derivatives).

    Pyomo knows no such component: its own solvers refuse a model that holds one.

    Parameters
    ----------
    function : ``ca.Function`` with one dense column for each input and each output.
    inputs, outputs : components; outputs are Vars over time, which the function determines.
    doc : one line for reports.

    Raises
    ------
    UsageError : the function does not take that many inputs or does not give that many outputs, or they are no columns.
    """

    def __init__(self, function: ca.Function, inputs: Sequence[Any], outputs: Sequence[Any], doc: str = "") -> None:
        if not isinstance(function, ca.Function):
            raise UsageError(f"a VectorFunction needs a casadi.Function (got {type(function).__name__})", hint="e.g. casadi.external(...)")
        if function.n_in() != len(inputs) or function.n_out() != len(outputs):
            raise UsageError(
                f"{function.name()} takes {function.n_in()} columns and gives {function.n_out()}, but {len(inputs)} inputs and "
                f"{len(outputs)} outputs are named"
            )
        shapes = [function.size_in(k) for k in range(function.n_in())] + [function.size_out(k) for k in range(function.n_out())]
        if any(columns != 1 for _, columns in shapes):
            raise UsageError(f"{function.name()} has an argument or result that is no column", hint="each has to be of shape (n, 1)")
        ActiveComponent.__init__(self, ctype=VectorFunction, doc=doc or None)
        self.function = function
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    def construct(self, data: Any = None) -> None:
        """Do what Pyomo asks of a component that is added to a block: nothing is left to be done."""
        self._constructed = True

    def is_indexed(self) -> bool:
        """It stands for all times at once."""
        return False


_component_data_handlers[VectorFunction] = None  # it has no units to check, and Pyomo's check refuses what it does not know


NOMINALS = "nominal_values"
"""Attribute of a block that holds the nominal values of its Vars."""


def nominal(variable: Any, value: float) -> None:
    """Declare the typical magnitude of a Var (all its indices), in the Var's own unit.

    Absolute tolerances are multiplied by it. It is kept in a ComponentMap on the Var's parent block.
    """
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"the nominal value of {variable.name} has to be positive and finite (got {value!r})")
    block = variable.parent_block()
    if NOMINALS not in block.__dict__:
        setattr(block, NOMINALS, ComponentMap())
    getattr(block, NOMINALS)[variable] = float(value)


def declared_nominal(variable: Any) -> float | None:
    """Return the nominal value declared for a Var component, or None."""
    nominals = variable.parent_block().__dict__.get(NOMINALS)
    return None if nominals is None else nominals.get(variable)


def declared_events(block: Any) -> Iterator[tuple[str, Event]]:
    """Give the events that stand on a block as attributes, alone or in a list, tuple or dict, in the order of their making."""
    for name, value in list(vars(block).items()):
        if isinstance(value, Event):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from ((f"{name}[{number}]", item) for number, item in enumerate(value) if isinstance(item, Event))
        elif isinstance(value, dict):
            yield from ((f"{name}[{key}]", item) for key, item in value.items() if isinstance(item, Event))
