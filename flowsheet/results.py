"""What a run gives: the courses of all variables and the tables that go with them, as plain data.

A :class:`Results` needs no model, and knows nothing of HDF5 or HTML. It is made by :func:`flowsheet.collect.collect_results` from a
trajectory, or by :func:`flowsheet.results_read.open_results` from a file, and both are the same.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pyomo.core.base.indexed_component_slice import IndexedComponent_slice

from flowsheet.uniformity import STAGE_1, STAGE_2, acceptance_value
from solvers import EventRecord, Status
from solvers.errors import UsageError
from solvers.suggest import nearest

Label = int | float | str

BALANCE_LIMIT = 1e-8
"""Largest relative residual (-) with which a material balance is said to close."""


@dataclass(frozen=True, eq=False, slots=True)
class Field:
    """One time-indexed component of the model with all its indices.

    Parameters
    ----------
    name : Pyomo name without any index, such as ``blender.mass``.
    dimensions : names of the indices besides time, such as ``("tank", "component")``.
    labels : for each of them its members.
    values : (n, ...) floats, time first; SI.
    unit : unit as text, empty if dimensionless.
    doc : one line.
    """

    name: str
    dimensions: tuple[str, ...]
    labels: tuple[tuple[Label, ...], ...]
    values: np.ndarray
    unit: str
    doc: str

    def course(self, position: tuple[int, ...]) -> np.ndarray:
        """Return the course (n,) of the scalar at a position."""
        place: Any = (slice(None), *position)
        return self.values[place]

    def scalars(self) -> Iterable[tuple[str, tuple[int, ...]]]:
        """Yield the name of each scalar, such as ``blender.mass[2,api]``, and its position in ``values[k]``."""
        for position in itertools.product(*(range(len(members)) for members in self.labels)):
            index = ",".join(str(members[k]) for members, k in zip(self.labels, position, strict=True))
            yield (f"{self.name}[{index}]" if self.labels else self.name), position


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """The material balance of one component over the run, in ``unit`` (kg, mol or cell).

    ``entered``, ``left`` and ``reacted`` are quadratures integrated beside the states, ``accumulated`` is the change of what the
    units hold; ``residual`` is what does not fit, and ``relative`` that over the largest amount handled (-).
    """

    component: str
    entered: float
    left: float
    accumulated: float
    reacted: float
    residual: float
    relative: float
    unit: str = "kg"

    @property
    def closes(self) -> bool:
        """Whether the residual is below :data:`BALANCE_LIMIT` (False if it is not a number)."""
        return abs(self.relative) <= BALANCE_LIMIT


@dataclass(frozen=True, slots=True)
class SpecificationRow:
    """How a quality attribute kept to its limits (limits and extremes in SI, times in s).

    A missing limit or target is NaN. Times come from straight lines between output points; ``time_undefined`` is the
    time during which the attribute was not a finite number. ``points_outside`` counts the output points that are out of
    specification, or at which the attribute is not finite: a single one at the start, the end or between two others lasts
    no time on such lines.
    """

    variable: str
    label: str
    unit: str
    lower: float
    target: float
    upper: float
    minimum: float
    maximum: float
    mean: float
    time_below: float
    time_above: float
    time_undefined: float
    duration: float
    points_outside: int
    after: float = 0.0
    """Time (s) from which the limits hold; extremes, mean and times are those after it."""

    @property
    def time_outside(self) -> float:
        """Time (s) out of specification, counting the time during which the attribute is undefined."""
        return self.time_below + self.time_above + self.time_undefined

    @property
    def met(self) -> bool:
        """Whether the attribute stayed within its limits at every output point and between them."""
        return self.points_outside == 0 and self.time_outside == 0.0


@dataclass(frozen=True, slots=True)
class UniformityRow:
    """A test of content uniformity by USP <905> on a virtual sample (contents in % of the label claim, times in s).

    ``times`` and ``contents`` are those of the tablets in the order of their drawing: the first ten are stage 1, the first thirty stage 2.
    ``pass_probability_1`` and ``pass_probability`` are shares of ``trials`` other samples that pass at stage 1, and at either stage.
    """

    label: str
    assay: str
    mass: str
    label_claim: float
    target: float
    within_blend_rsd: float
    other_rsd: float
    seed: int
    start: float
    end: float
    times: tuple[float, ...]
    contents: tuple[float, ...]
    mean_1: float
    deviation_1: float
    reference_1: float
    acceptance_value_1: float
    mean_2: float
    deviation_2: float
    reference_2: float
    acceptance_value_2: float
    pass_probability_1: float
    pass_probability: float
    trials: int

    @property
    def passes_stage_1(self) -> bool:
        """Whether ten units are uniform."""
        return bool(acceptance_value(self.contents[:STAGE_1], self.target).passes_stage_1)

    @property
    def passes_stage_2(self) -> bool:
        """Whether thirty units are uniform; asked for if ten are not."""
        return bool(acceptance_value(self.contents[:STAGE_2], self.target).passes_stage_2)

    @property
    def passes(self) -> bool:
        """Whether the test is passed, at the first stage or the second."""
        return self.passes_stage_1 or self.passes_stage_2


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream: its name and the ports it joins, such as ``feeder_api.outlet``."""

    stream: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A unit of the flowsheet: its type, the names (within the unit) of what is worth a plot, and what lasting happenings to mark.

    Each of ``bands`` is a word for it and the names of the events that begin and end it, such as
    ``("refill", "refill_start", "refill_settled")``.
    """

    unit: str
    type: str
    shown: tuple[str, ...]
    bands: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value of a variable in ``unit`` (SI), its time (s) and standard deviation (NaN if not known); ``label``: where from."""

    variable: str
    unit: str
    time: float
    value: float
    deviation: float
    label: str


@dataclass(frozen=True, slots=True)
class FitRow:
    """How a simulated variable fits what was measured of it, in ``unit`` (SI).

    ``samples`` were measured, ``compared`` of them before the end of the run; ``r_squared`` is 1 - SSE/SST over these (-), not a
    number where they do not vary; ``rms`` the root mean square of simulated minus measured. ``normalized`` is the mean of the squares of
    that over the standard deviation (-), for the ``weighted`` samples that have one, else not a number: near 1 where the model is as good
    as the data.
    """

    variable: str
    label: str
    unit: str
    samples: int
    compared: int
    r_squared: float
    rms: float
    weighted: int
    normalized: float


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """What was measured of one variable: times (s), values in ``unit`` (SI) and standard deviations (NaN if not known), (n,) each."""

    t: np.ndarray
    values: np.ndarray
    deviations: np.ndarray
    unit: str
    label: str


@dataclass(frozen=True, eq=False)
class Results:
    """The outcome of one run; indexed like a trajectory: ``results["press.assay"]``.

    Parameters
    ----------
    t : (n,) output times (s).
    fields : all time-indexed components, in model order.
    events : what happened, in order of time.
    status : whether the run reached its end.
    stopped_because : why it did not; empty for a complete run.
    stats : solver counters, no times.
    balance, specifications, streams, units, uniformity : tables.
    case : the resolved case.
    versions : package versions by name.
    measurements, fits : what was measured, and how the run fits it; empty for a case without data.
    """

    t: np.ndarray
    fields: tuple[Field, ...]
    events: tuple[EventRecord, ...]
    status: Status
    stopped_because: str
    stats: Mapping[str, int]
    balance: tuple[BalanceRow, ...]
    specifications: tuple[SpecificationRow, ...]
    streams: tuple[StreamRow, ...]
    units: tuple[UnitRow, ...]
    case: Mapping[str, Any]
    versions: Mapping[str, str]
    uniformity: tuple[UniformityRow, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    fits: tuple[FitRow, ...] = ()

    @cached_property
    def _places(self) -> dict[str, tuple[Field, tuple[int, ...]]]:
        return {name: (component, position) for component in self.fields for name, position in component.scalars()}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all scalar variables, in model order."""
        return tuple(self._places)

    @cached_property
    def data(self) -> dict[str, Series]:
        """What was measured, by variable: ``results.data["reactor.volume"].values``."""
        grouped: dict[str, list[Measurement]] = {}
        for row in self.measurements:
            grouped.setdefault(row.variable, []).append(row)
        return {
            variable: Series(
                t=np.array([row.time for row in rows]),
                values=np.array([row.value for row in rows]),
                deviations=np.array([row.deviation for row in rows]),
                unit=rows[0].unit,
                label=rows[0].label,
            )
            for variable, rows in grouped.items()
        }

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __getitem__(self, name: Any) -> np.ndarray:
        """Return the course (n,) of a variable, given by name or by a Pyomo slice over time.

        Raises
        ------
        UsageError : there is no such variable; the nearest names are given.
        """
        component, position = self._place(name)
        return component.course(position)

    def unit(self, name: str) -> str:
        """Return the unit of a variable as text, empty if dimensionless. Raises UsageError as indexing does."""
        return self._place(name)[0].unit

    def doc(self, name: str) -> str:
        """Return the one-line description of a variable. Raises UsageError as indexing does."""
        return self._place(name)[0].doc

    def field(self, name: str) -> Field:
        """Return a whole component, such as ``blender.mass`` with its values (n, tanks, components).

        Raises
        ------
        UsageError : there is no such component.
        """
        for component in self.fields:
            if component.name == name:
                return component
        raise _unknown(name, [component.name for component in self.fields], "component")

    def select(self, pattern: str) -> tuple[str, ...]:
        """Return the names that a word stands for: a variable, a component, a unit, or a pattern with ``*``.

        Raises
        ------
        UsageError : nothing answers to it; the nearest names are given.
        """
        wanted = _tidy(pattern)
        if wanted in self._places:
            return (wanted,)
        if "*" in wanted:
            expression = re.compile(".*".join(map(re.escape, wanted.split("*"))))
            found = tuple(name for name in self._places if expression.fullmatch(name))
        else:
            found = tuple(name for name in self._places if name.startswith((f"{wanted}.", f"{wanted}[")))
        if not found:
            raise _unknown(pattern, self._places, "variable")
        return found

    def _place(self, name: Any) -> tuple[Field, tuple[int, ...]]:
        wanted = _tidy(name) if isinstance(name, str) else _name_of(name)
        if wanted not in self._places:
            raise _unknown(wanted, self._places, "variable")
        return self._places[wanted]


def _name_of(reference: Any) -> str:
    """Return the name without time of a slice such as ``model.column.c[:, 0.5, "lysozyme"]``."""
    members = list(itertools.islice(reference, 2)) if isinstance(reference, IndexedComponent_slice) else []
    if len(members) < 2:
        raise UsageError("a reference has to be a slice over time", hint='such as model.column.c[:, 0.5, "lysozyme"], or give the name')
    first, second = (_as_tuple(member.index()) for member in members)
    varying = next(k for k in range(len(first)) if first[k] != second[k])
    rest = ",".join(str(label) for k, label in enumerate(first) if k != varying)
    name = members[0].parent_component().name
    return f"{name}[{rest}]" if rest else name


def _as_tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _tidy(name: str) -> str:
    return re.sub(r"\s*,\s*", ",", name.strip())


def _unknown(name: str, known: Iterable[str], what: str) -> UsageError:
    names = list(known)
    inside = [other for other in names if other.startswith((f"{name}[", f"{name}."))]
    near = inside[:5] or nearest(name, names, 3)
    near = near or [other for other in names if other.rpartition(".")[2].partition("[")[0] == name.rpartition(".")[2]][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "`flowsheet show` lists all names"
    return UsageError(f"the results hold no {what} {name!r}", names=[name], hint=hint)


def make_fields(
    names: Sequence[str], values: Mapping[str, np.ndarray], units: Mapping[str, str], docs: Mapping[str, str]
) -> tuple[Field, ...]:
    """Gather scalar courses into components: ``mass[1,api]``, ``mass[2,api]`` ... become one array.

    Dimensions are called ``{component}_index_{k}`` here; see :func:`flowsheet.collect.collect_results` for better names.
    A component whose indices do not form a full grid gets a single dimension with whole indices as labels.
    """
    groups: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name in names:
        base, index = split_name(name)
        groups.setdefault(base, []).append((name, index))
    return tuple(_gather(base, members, values, units, docs) for base, members in groups.items())


def _gather(base: str, members: list[tuple[str, tuple[str, ...]]], values: Mapping, units: Mapping, docs: Mapping) -> Field:
    depths = {len(index) for _, index in members}
    grid = [tuple(dict.fromkeys(level)) for level in zip(*(index for _, index in members), strict=False)] if len(depths) == 1 else []
    if len(depths) != 1 or math.prod(map(len, grid)) != len(members):
        members = [(name, (",".join(index),)) for name, index in members]
        grid = [tuple(index[0] for _, index in members)]
    array = np.empty((len(values[members[0][0]]), *map(len, grid)))
    for name, index in members:
        place: Any = (slice(None), *(level.index(token) for level, token in zip(grid, index, strict=True)))
        array[place] = values[name]
    first = members[0][0]
    dimensions = tuple(f"{base}_index_{k}" for k in range(1, len(grid) + 1))
    return Field(base, dimensions, tuple(_typed(level) for level in grid), array, units[first], docs[first])


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Split a scalar name into its component and index: ``blender.mass[2,api]`` gives ``("blender.mass", ("2", "api"))``.

    >>> split_name("press.assay"), split_name("cells[3].mass['a,b',2]")
    (('press.assay', ()), ('cells[3].mass', ("'a,b'", '2')))
    """
    match = re.fullmatch(r"(.*?[^\]])\[((?:'[^']*'|\"[^\"]*\"|[^\[\]'\"])*)\]", name, flags=re.DOTALL)
    if match is None:
        return name, ()
    return match[1], tuple(re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^,'\"])+", match[2]))


def _typed(tokens: tuple[str, ...]) -> tuple[Label, ...]:
    """Turn the labels of one dimension into numbers where all of them are written exactly as the numbers would be."""
    for kind in (int, float):
        try:
            numbers = tuple(map(kind, tokens))
        except ValueError:
            continue
        if tuple(map(str, numbers)) == tokens and all(map(math.isfinite, numbers)):
            return numbers
    return tokens
