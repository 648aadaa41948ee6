"""What a simulation returns: outputs by Pyomo name, events, status and counters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import casadi as ca
import numpy as np
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice

from solvers.errors import UsageError
from solvers.evaluation import Columnwise
from solvers.system import DaeSystem
from solvers.unit_reader import UnitReader


class Status(Enum):
    """How a run ended; only COMPLETE is a result to rely on."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete: the run failed before its end; values after the last good time are missing"


class EventRecord(NamedTuple):
    """An event that happened: when, its name on its unit, and the unit's name."""

    time: float
    event: str
    unit: str


@dataclass(frozen=True, slots=True)
class Stats:
    """What a run cost."""

    steps: int = 0
    rhs_evaluations: int = 0
    jacobian_evaluations: int = 0
    factorizations: int = 0
    newton_iterations: int = 0
    error_test_failures: int = 0
    restarts: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Values over time; eliminated variables are computed when they are asked for, for all times at once.

    At an output time that coincides with a jump, the value is the one after the jump.
    """

    system: DaeSystem = field(repr=False)
    t: np.ndarray
    x: np.ndarray
    """States, shape (times, states)."""
    z: np.ndarray
    """Algebraic variables, shape (times, algebraic variables)."""
    u: np.ndarray
    """Inputs, shape (times, inputs)."""
    p: np.ndarray
    """Parameters, shape (parameters,)."""
    events: tuple[EventRecord, ...]
    status: Status
    stats: Stats
    compiled: bool = False
    """Whether compiled code computed it; that makes no difference to the values."""
    _computed: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all scalars of time, in the order of the model."""
        return self.system.names

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return values of shape (n,) for a name without time, or for a reference such as ``model.c[:, 0.5, "a"]``."""
        name = key if isinstance(key, str) else self._name_of(key)
        if name not in self._computed:
            self._compute([name])
        return self._computed[name]

    def values(self, names: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        """Return many outputs at once, all by default; each of shape (n,)."""
        wanted = self.names if names is None else names
        self._compute([name for name in wanted if name not in self._computed])
        return {name: self._computed[name] for name in wanted}

    def _compute(self, names: list[str]) -> None:
        if not names:
            return
        known = self.system.made("places of names", lambda: _PlacesOfNames(self.system))
        bare = [known.place(name) for name in names]
        eliminated = tuple(name for name, place in zip(names, bare, strict=True) if place is None)
        rows = dict(zip(eliminated, self._evaluated(eliminated), strict=True)) if eliminated else {}
        for name, place in zip(names, bare, strict=True):
            row = np.array(rows[name] if place is None else self._column(place))
            row.flags.writeable = False
            self._computed[name] = row

    def _evaluated(self, names: tuple[str, ...]) -> np.ndarray:
        """Return values of eliminated variables at all times, shape (names, times)."""
        recent: dict[tuple[str, ...], _Outputs] = self.system.made("outputs", dict)
        outputs = recent.get(names)
        if outputs is None:
            outputs = _Outputs(self.system, names)
            for oldest in list(recent)[: len(recent) + 1 - MOST_OUTPUTS]:
                recent.pop(oldest, None)
            recent[names] = outputs
        groups = (self.t[:, None], self.x, self.z, self.u, np.broadcast_to(self.p, (len(self.t), len(self.p))))
        return outputs.function(np.hstack([group[:, places] for group, places in zip(groups, outputs.places, strict=True)])).T

    def _column(self, place: tuple[int, int]) -> np.ndarray:
        """Return the values of one symbol at all times, shape (n,)."""
        group, position = place
        if group == 0:
            return self.t
        if group == 4:
            return np.full(len(self.t), self.p[position])
        return (self.x, self.z, self.u)[group - 1][:, position]

    def _name_of(self, key: Any) -> str:
        members = list(key) if isinstance(key, IndexedComponent_slice) else list(key.values()) if key.is_indexed() else [key]
        names = {self.system.time.name(data) for data in members}
        if len(names) != 1:
            raise UsageError(
                f"{key} stands for {len(names)} variables of time",
                names=sorted(names)[:10],
                hint="slice over time only, e.g. model.column.c[:, 0.5, 'salt']",
            )
        return names.pop()

    def unit(self, name: str) -> str:
        """Return a variable's unit as text, empty if it is dimensionless."""
        return self._units.text(self.system.owner(name))

    @cached_property
    def _units(self) -> UnitReader:
        return UnitReader()

    def doc(self, name: str) -> str:
        """Return what a variable's component says of itself."""
        return self.system.owner(name).parent_component().doc or ""


MOST_OUTPUTS = 64
"""As many choices of names keep their functions."""


class _Outputs:
    """What gives the values of some eliminated variables: a function of only those symbols that they depend on."""

    def __init__(self, system: DaeSystem, names: tuple[str, ...]) -> None:
        wanted = ca.densify(system.column(names))
        places: list[list[int]] = [[] for _ in system.arguments]
        if isinstance(wanted, ca.MX):
            # columns of MX are symbols as a whole
            places = [list(range(argument.shape[0])) for argument in system.arguments]
            whole = ca.MX.sym("all", sum(map(len, places)))
            ends = np.cumsum([0, *map(len, places)]).tolist()
            parts = [whole[first:last] for first, last in pairwise(ends)]
            inner = ca.Function("outputs", list(system.arguments), [wanted])
            function = ca.Function("outputs", [whole], [inner(*parts)])
        else:
            known = system.made("places of symbols", lambda: _places(system))
            symbols: list[list[ca.SX]] = [[] for _ in system.arguments]
            for symbol in ca.symvar(wanted):
                group, position = known[symbol.element_hash()]
                places[group].append(position)
                symbols[group].append(symbol)
            ordered = [symbol for group in symbols for symbol in group]
            function = ca.Function("outputs", [ca.vertcat(*ordered, ca.SX(0, 1))], [wanted])
        self.function = Columnwise(function)
        self.places = tuple(np.array(positions, dtype=int) for positions in places)
        """Rows of (t, x, z, u, p) that the function's column is made of."""


class _PlacesOfNames:
    """Which names stand for a symbol, and where that stands; found out once for each name."""

    def __init__(self, system: DaeSystem) -> None:
        self._system = system
        self._symbols = system.made("places of symbols", lambda: _places(system))
        self._known: dict[str, tuple[int, int] | None] = {}

    def place(self, name: str) -> tuple[int, int] | None:
        """Return argument and row of the symbol that a name stands for; None if it stands for an expression."""
        if name not in self._known:
            self._known[name] = self._symbols.get(self._system.scalar(name).element_hash())
        return self._known[name]


def _places(system: DaeSystem) -> dict[int, tuple[int, int]]:
    """Return where the symbol of each argument stands: which argument, which row."""
    return {
        symbol.element_hash(): (group, position)
        for group, argument in enumerate(system.scalar_arguments)
        for position, symbol in enumerate(argument.elements())
    }
