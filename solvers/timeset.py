"""Time in a Pyomo model: which set it is, where it stands in an index, and a time point that stays a symbol.

A rule called at a :class:`TimePoint` finds the model's components as at the last point of the time set, while the time
in its arithmetic stays a symbol. So explicit time is carried through instead of being frozen at one value.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyomo.core.base.block import Block, BlockData
from pyomo.core.expr.numvalue import NumericValue
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import Expression, Param, Var

from solvers.errors import UnsupportedModelError, UsageError


class TimeDependenceError(UnsupportedModelError):
    """A rule depends on time in a way that cannot be carried into the equations."""


class _Symbol(NumericValue):
    """Something that Pyomo's expressions take for a variable."""

    __slots__ = ()

    def is_potentially_variable(self) -> bool:
        """It may vary."""
        return True

    def is_fixed(self) -> bool:
        """Its value is not known before a run."""
        return False

    def is_constant(self) -> bool:
        """It is not constant."""
        return False

    def is_numeric_type(self) -> bool:
        """It is a number."""
        return True

    def to_string(self, *_: Any, **__: Any) -> str:
        """Return its name."""
        return str(self)

    def __repr__(self) -> str:
        return str(self)


class TimePoint(_Symbol):
    """A point of time that indexes like a number and calculates like a symbol."""

    __slots__ = ("first", "last", "value")

    def __init__(self, value: float, first: float, last: float) -> None:
        self.value = value
        self.first = first
        self.last = last

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TimePoint):
            return self.value == other.value
        return bool(self.value == other)

    def _is_after(self, other: Any) -> bool:
        if other == self.first or (isinstance(other, (int, float)) and other < self.first):
            return True
        if other == self.last or (isinstance(other, (int, float)) and other > self.last):
            return False
        raise TimeDependenceError(f"the rule compares time with {other}", hint="describe switching in time by a Profile or an Event")

    def __lt__(self, other: Any) -> bool:
        return not self._is_after(other)

    __le__ = __lt__

    def __gt__(self, other: Any) -> bool:
        return self._is_after(other)

    __ge__ = __gt__

    def _frozen(self) -> Any:
        raise TimeDependenceError(
            "the rule turns time into a number", hint="use Pyomo's functions (pyomo.environ.sin, exp, ...) on time, or a Profile"
        )

    __float__ = __int__ = __bool__ = __round__ = __floor__ = __ceil__ = _frozen

    def __str__(self) -> str:
        return "t"


@dataclass(frozen=True, slots=True)
class Seat:
    """Where time stands in the name of a component data: in its own index, or in that of a block around it."""

    time: TimeSet
    component: Any
    index: Any
    place: int
    path: tuple[tuple[str, Any], ...]
    """Local name and index of what lies within ``component``, outermost first; empty where time is in its own index."""

    def at(self, point: float) -> Any:
        """Return the same scalar at another point of time."""
        member = self.component[self.time.with_time(self.time.rest(self.index, self.place), self.place, point)]
        for local_name, index in self.path:
            member = member.component(local_name)[index]
        return member

    @property
    def name(self) -> str:
        """The Pyomo name without time."""
        rest = self.time.rest(self.index, self.place)
        return _indexed(self.component.name, rest) + "".join(f".{_indexed(local_name, index)}" for local_name, index in self.path)


def _indexed(name: str, index: Any) -> str:
    if index is None or index == ():
        return name
    return f"{name}[{','.join(map(str, index if isinstance(index, tuple) else (index,)))}]"


@dataclass(frozen=True)
class TimeSet:
    """The model's time and its first and last points."""

    set: Any
    first: float
    last: float

    def seat(self, data: Any) -> Seat | None:
        """Return where time stands in a component data's name, or None."""
        path: list[tuple[str, Any]] = []
        current = data
        while current is not None:
            component = current.parent_component()
            place = self.position(component)
            if place is not None:
                return Seat(self, component, current.index(), place, tuple(reversed(path)))
            path.append((component.local_name, current.index()))
            current = current.parent_block()
        return None

    def name(self, data: Any) -> str:
        """Return a component data's name without its time, wherever that stands."""
        seat = self.seat(data)
        return str(data.name) if seat is None else seat.name

    def position(self, component: Any) -> int | None:
        """Return where time stands in a component's index, or None."""
        if not component.is_indexed():
            return None
        place = 0
        for subset in component.index_set().subsets():
            if subset is self.set:
                return place
            if subset.dimen is None:
                return None
            place += subset.dimen
        return None

    def rest(self, index: Any, place: int) -> tuple[Any, ...]:
        """Return an index without its time."""
        return index[:place] + index[place + 1 :] if isinstance(index, tuple) else ()

    def with_time(self, rest: tuple[Any, ...], place: int, time: Any) -> Any:
        """Return the index that has the given time in it."""
        return (*rest[:place], time, *rest[place:]) if rest else time


def time_of(index: Any, place: int) -> Any:
    """Return the time in an index."""
    return index[place] if isinstance(index, tuple) else index


def find_time(model: Any) -> TimeSet:
    """Return the one ContinuousSet of a model that is still continuous.

    Raises
    ------
    UnsupportedModelError : there is none, or more than one carries derivatives.
    """
    if not isinstance(model, BlockData) or not model.is_constructed():
        raise UsageError(
            f"a constructed Pyomo model is needed, got {model}", hint="build a ConcreteModel, or create an instance of an AbstractModel"
        )
    wanted: dict[int, Any] = {}
    for derivative in model.component_objects(DerivativeVar, descend_into=True):
        for continuous in derivative.get_continuousset_list():
            wanted[id(continuous)] = continuous
    if not wanted:
        wanted = {id(s): s for s in model.component_objects(ContinuousSet, descend_into=True) if not s.get_discretization_info()}
    if not wanted:
        raise UnsupportedModelError(
            "the model has no continuous time left",
            hint="lower a model before its time is discretized; only other ContinuousSets may be discretized",
        )
    if len(wanted) > 1:
        names = [continuous.name for continuous in wanted.values()]
        raise UnsupportedModelError(
            f"more than one ContinuousSet is still continuous: {', '.join(names)}",
            names=names,
            hint="discretize all but time, e.g. TransformationFactory('dae.finite_difference').apply_to(model, wrt=model.z)",
        )
    (time,) = wanted.values()
    if time.get_discretization_info():
        raise UnsupportedModelError(
            f"{time.name} is discretized already", names=[time.name], hint="lower the model before time is discretized"
        )
    return TimeSet(time, time.first(), time.last())


class ParamOverTime(_Symbol):
    """A member of a Param over time, as a symbol: an input like a fixed Var, with the Param's values where no course is given."""

    __slots__ = ("_component", "_index")

    fixed = True

    def __init__(self, component: Any, index: Any) -> None:
        self._component = component
        self._index = index

    @property
    def name(self) -> str:
        """The Param's name at the last time."""
        return _indexed(self._component.name, self._index)

    def index(self) -> Any:
        """Return the index at the last time."""
        return self._index

    def parent_component(self) -> Any:
        """Return the Param."""
        return self._component

    def __str__(self) -> str:
        return self.name


@contextmanager
def added_time_point(model: Any, time: TimeSet) -> Iterator[TimePoint]:
    """Let rules be called at a point that is not in the time set; the model is as before afterwards.

    At the added point every component gives its member of the last point, and a Param a symbol of its own.
    """
    between = time.first + 0.381966 * (time.last - time.first)
    while between in time.set:
        between = time.first + 0.618034 * (between - time.first)
    added: list[tuple[dict[Any, Any], Any]] = []
    try:
        for kind in (Var, DerivativeVar, Expression, Param, Block):
            for component in model.component_objects(kind, descend_into=True):
                if component.is_reference():
                    continue
                place = time.position(component)
                if place is None:
                    continue
                members = component._data
                for index in [index for index in list(component) if time_of(index, place) == time.last]:
                    rest = time.rest(index, place)
                    key = time.with_time(rest, place, between)
                    members[key] = ParamOverTime(component, index) if kind is Param else members[index]
                    added.append((members, key))
        yield TimePoint(between, time.first, time.last)
    finally:
        for members, key in added:
            del members[key]
