"""What a simulation returns: outputs by Pyomo name, events, status and counters."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import casadi as ca
import numpy as np
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice
from pyomo.environ import units as pyunits

from solvers.errors import UsageError
from solvers.system import DaeSystem


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
        places = self.system.made("places of symbols", lambda: _places(self.system))
        bare = [places.get(self.system.scalar(name).element_hash()) for name in names]
        eliminated = [name for name, place in zip(names, bare, strict=True) if place is None]
        rows = dict(zip(eliminated, self._evaluated(eliminated, places), strict=True)) if eliminated else {}
        for name, place in zip(names, bare, strict=True):
            row = np.array(rows[name] if place is None else self._column(place))
            row.flags.writeable = False
            self._computed[name] = row

    def _evaluated(self, names: list[str], places: dict[int, tuple[int, int]]) -> np.ndarray:
        """Return values of eliminated variables at all times, shape (names, times)."""
        wanted = self.system.column(names)
        if isinstance(wanted, ca.MX):
            function = ca.Function("outputs", list(self.system.arguments), [wanted])
            parameters = np.repeat(self.p[:, None], len(self.t), axis=1)
            return np.asarray(function(self.t[None, :], self.x.T, self.z.T, self.u.T, parameters))
        # only what the expressions depend on is handed over: a large model has thousands of states at each time
        symbols = ca.symvar(wanted)
        known = [self._column(places[symbol.element_hash()]) for symbol in symbols]
        function = ca.Function("outputs", [ca.vertcat(*symbols)], [ca.densify(wanted)])
        if len(self.t) and symbols:
            return np.asarray(function(np.array(known)))
        return np.repeat(np.asarray(function(np.zeros(len(symbols)))), len(self.t), axis=1)

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
        unit = pyunits.get_units(self.system.owner(name))
        return "" if unit is None or unit is pyunits.dimensionless or str(unit) == "dimensionless" else str(unit)

    def doc(self, name: str) -> str:
        """Return what a variable's component says of itself."""
        return self.system.owner(name).parent_component().doc or ""


def _places(system: DaeSystem) -> dict[int, tuple[int, int]]:
    """Return where the symbol of each argument stands: which argument, which row."""
    return {
        symbol.element_hash(): (group, position)
        for group, argument in enumerate(system.scalar_arguments)
        for position, symbol in enumerate(argument.elements())
    }
