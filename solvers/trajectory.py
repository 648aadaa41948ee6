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
from solvers.reader import name_without_time
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

    system: DaeSystem
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
        system = self.system
        function = ca.Function("outputs", list(system.arguments), [ca.vertcat(*(system.expression(name) for name in names))])
        count = len(self.t)
        columns = (self.t[None, :], self.x.T, self.z.T, self.u.T, np.repeat(self.p[:, None], count, axis=1))
        values = np.asarray(function(*columns)) if count else np.zeros((len(names), 0))
        for name, row in zip(names, values, strict=True):
            row = np.ascontiguousarray(row)
            row.flags.writeable = False
            self._computed[name] = row

    def _name_of(self, key: Any) -> str:
        members = list(key) if isinstance(key, IndexedComponent_slice) else list(key.values()) if key.is_indexed() else [key]
        names = {name_without_time(self.system.time, data) for data in members}
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
