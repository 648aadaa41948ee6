"""Campaigns: a chain of systems, one per stage; what one stage leaves, the pool, is handed over to a later one as its charge.

A hand-over is a pure function c = h(w, s) from named values w at the end of an earlier stage, and settings s of its own, to parameters,
constant inputs or start values c of a later stage. It takes a change of anything before it on to first order, as the transition of an
event at a known time does:

    dc = h_w dw + h_s ds,    dy = y_c dc + y_q dq

with outputs y and parameters q of the later stage, whose y_c and y_q are those of :func:`solvers.sensitivities`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import casadi as ca
import numpy as np

from solvers.compiled import Compilation
from solvers.errors import NumericsError, UsageError
from solvers.integrator import IntegrationMethod
from solvers.schedule import make_schedule, names_of_inputs
from solvers.sensitivities import Method, sensitivities
from solvers.simulate import SimulationError, current_system, simulate
from solvers.suggest import did_you_mean
from solvers.system import DaeSystem
from solvers.trajectory import Trajectory

Pair = tuple[str, str]
"""A stage, and something of it by name."""


class Courses(Protocol):
    """A trajectory, or anything else that gives courses of shape (n,) by name."""

    def __getitem__(self, name: str, /) -> np.ndarray:
        """Return the course of a scalar."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a campaign.

    Parameters
    ----------
    name : of the stage.
    model : a Pyomo model or a :class:`DaeSystem`.
    t_eval : output times on the stage's own clock; the stage ends at the last of them. A stage that ends where a variable passes a
        value is not supported: its end is a known time.
    inputs : as for :func:`solvers.simulate`; nothing that is charged.
    """

    name: str
    model: Any
    t_eval: Any
    inputs: Mapping[Any, Any] | None = None


class _Symbols(dict[str, ca.SX]):
    """Symbols by name, made when they are asked for first."""

    def __missing__(self, name: str) -> ca.SX:
        self[name] = ca.SX.sym(name)
        return self[name]


@dataclass(frozen=True, eq=False)
class HandOver:
    """What a stage takes over from an earlier one, not necessarily the one before it.

    Parameters
    ----------
    source, target : names of the stages.
    pool : names of scalars of time of the source, as they are at its end, after all events there.
    charge : names of parameters, constant inputs and states (their start values) of the target.
    function : ``(pool, settings) -> charge``, each a dense column in the order of the names; its derivatives are CasADi's.
    settings : the hand-over's own numbers by name, such as a share.

    Raises
    ------
    UsageError : the function does not fit the names, or a setting is not finite.

    >>> split = HandOver.written("seed", "main", lambda pool, own: {"x": own["share"] * pool["x"]}, {"share": 0.2})
    >>> split.pool, split.charge, float(split.function(10.0, 0.2))
    (('x',), ('x',), 2.0)
    """

    source: str
    target: str
    pool: tuple[str, ...]
    charge: tuple[str, ...]
    function: ca.Function
    settings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        function, label = self.function, self.label
        if not isinstance(function, ca.Function):
            raise UsageError(f"{label} needs a casadi.Function (got {type(function).__name__})", hint="or HandOver.written(...)")
        found = [function.size_in(k) for k in range(function.n_in())], [function.size_out(k) for k in range(function.n_out())]
        counts = len(self.pool), len(self.settings), len(self.charge)
        if found != ([(counts[0], 1), (counts[1], 1)], [(counts[2], 1)]):
            raise UsageError(
                f"{label}: {function.name()} does not take columns of {counts[0]} pooled values and {counts[1]} settings "
                f"and give a column of {counts[2]}"
            )
        if not self.charge or len(set(self.charge)) < len(self.charge):
            raise UsageError(f"{label} charges nothing, or something twice", names=self.charge)
        wrong = [name for name, value in self.settings.items() if not np.isfinite(value)]
        if wrong:
            raise UsageError(f"{label}: not finite: {', '.join(wrong)}", names=wrong)

    @classmethod
    def written(
        cls,
        source: str,
        target: str,
        rule: Callable[[Mapping[str, ca.SX], Mapping[str, ca.SX]], Mapping[str, Any]],
        settings: Mapping[str, float] | None = None,
    ) -> HandOver:
        """Return the hand-over that ``rule(pool, settings)`` writes down with symbols by name, as expressions by name of the charge."""
        pool, own = _Symbols(), {name: ca.SX.sym(name) for name in settings or {}}
        charge = dict(rule(pool, own))
        columns = [ca.vertcat(*symbols, ca.SX(0, 1)) for symbols in (pool.values(), own.values())]
        result = ca.densify(ca.vertcat(*(ca.SX(value) for value in charge.values()), ca.SX(0, 1)))
        return cls(source, target, tuple(pool), tuple(charge), ca.Function("hand_over", columns, [result]), dict(settings or {}))

    @property
    def label(self) -> str:
        """Both stages in words."""
        return f"hand-over from {self.source} to {self.target}"

    @cached_property
    def _derivative(self) -> ca.Function:
        pool, own = (ca.MX.sym("values", len(names)) for names in (self.pool, self.settings))
        charge = self.function(pool, own)
        return ca.Function("derivative", [pool, own], [ca.densify(ca.jacobian(charge, by)) for by in (pool, own)])

    def given(self, pool: Courses) -> dict[str, float]:
        """Return the charge by name that follows from the end of the earlier stage.

        Raises
        ------
        NumericsError : something of it is not finite.
        """
        charge = np.asarray(self.function(*self._arguments(pool)), dtype=float).ravel()
        wrong = [name for name, value in zip(self.charge, charge, strict=True) if not np.isfinite(value)]
        if wrong:
            raise NumericsError(
                f"not a number: the {self.label} makes {', '.join(wrong)} not finite",
                names=wrong,
                hint="an empty pool, or a charge of nothing, has no concentrations",
            )
        return dict(zip(self.charge, map(float, charge), strict=True))

    def changes(self, pool: Courses) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of the charge by pool and settings, shapes (charge, pool) and (charge, settings)."""
        by_pool, by_settings = (part.full() for part in self._derivative(*self._arguments(pool)))
        if not (np.isfinite(by_pool).all() and np.isfinite(by_settings).all()):
            raise NumericsError(f"not a number: the {self.label} has no finite derivative at its point", names=self.charge)
        return by_pool, by_settings

    def _arguments(self, pool: Courses) -> tuple[list[float], list[float]]:
        return [float(pool[name][-1]) for name in self.pool], list(map(float, self.settings.values()))


class CampaignError(SimulationError):
    """A campaign that ended early: ``stage`` failed; ``trajectories`` holds those before it, and what there is of it, incomplete."""

    def __init__(self, error: NumericsError, stage: str, trajectories: Mapping[str, Trajectory]) -> None:
        partial = error.trajectory if isinstance(error, SimulationError) else None
        super().__init__(f"stage {stage}: {error.message}", names=error.names, hint=error.hint, trajectory=partial)
        self.stage = stage
        self.trajectories = {**trajectories, **({} if partial is None else {stage: partial})}


@dataclass(frozen=True, eq=False)
class CampaignSensitivities:
    """Derivatives of outputs of any stage by parameters of any stage, over the later one's time."""

    trajectories: Mapping[str, Trajectory]
    """The run of each stage; its steps hold to the tolerances for states and derivatives."""
    outputs: tuple[Pair, ...]
    parameters: tuple[Pair, ...]
    arrays: Mapping[str, np.ndarray]
    """For each stage, shape (times, outputs of this stage, parameters)."""

    def __getitem__(self, key: tuple[Pair, Pair]) -> np.ndarray:
        """Return the derivative of an output by a parameter, each as (stage, name), over the times of the output's stage, shape (n,)."""
        output, parameter = key
        for pair, known in ((output, self.outputs), (parameter, self.parameters)):
            if pair not in known:
                told = [": ".join(each) for each in known]
                raise UsageError(f"no derivative was computed for {pair}", hint=did_you_mean(": ".join(pair), told, 3))
        here = [name for stage, name in self.outputs if stage == output[0]]
        return self.arrays[output[0]][:, here.index(output[1]), self.parameters.index(parameter)]


@dataclass(frozen=True, eq=False)
class _Chain:
    """Stages with their systems, and what is handed over to each."""

    stages: tuple[Stage, ...]
    systems: Mapping[str, DaeSystem]
    hand_overs: Mapping[str, tuple[HandOver, ...]]

    @classmethod
    def of(cls, stages: Sequence[Stage], hand_overs: Sequence[HandOver]) -> _Chain:
        """Return the chain if it holds together; errors are told before anything runs."""
        names = [stage.name for stage in stages]
        if not names or len(set(names)) < len(names):
            raise UsageError("a campaign needs stages with a name of its own each", names=names)
        for hand_over in hand_overs:
            for name in (hand_over.source, hand_over.target):
                if name not in names:
                    raise UsageError(f"the {hand_over.label}: there is no stage {name!r}", names=[name], hint=did_you_mean(name, names))
            if names.index(hand_over.source) >= names.index(hand_over.target):
                raise UsageError(f"the {hand_over.label} goes backwards", names=names, hint="a pool is that of an earlier stage")
        systems = {}
        for stage in stages:
            with _of_stage(stage.name, {}):
                systems[stage.name] = current_system(stage.model)
        chain = cls(tuple(stages), systems, {name: tuple(h for h in hand_overs if h.target == name) for name in names})
        chain._check()
        return chain

    def _check(self) -> None:
        for stage in self.stages:
            system = self.systems[stage.name]
            with _of_stage(stage.name, {}):
                for name in self.pooled(stage.name):
                    system.expression(name)
                charged = [name for hand_over in self.hand_overs[stage.name] for name in hand_over.charge]
                twice = sorted({name for name in charged if charged.count(name) > 1})
                if twice:
                    raise UsageError(f"{', '.join(twice)} is charged by two hand-overs", names=twice)
                _divided(system, stage.inputs, dict.fromkeys(charged, 0.0))
                settings = [name for hand_over in self.hand_overs[stage.name] for name in hand_over.settings]
                taken = [name for name in settings if settings.count(name) > 1 or name in names_of_inputs(system)[1]]
                if taken:
                    raise UsageError(f"the name of the setting {taken[0]} is taken", names=taken)

    def pooled(self, stage: str) -> list[str]:
        """Return what later stages need of a stage."""
        needed = [name for group in self.hand_overs.values() for h in group if h.source == stage for name in h.pool]
        return list(dict.fromkeys(needed))

    def charged(self, stage: Stage, found: Mapping[str, Trajectory]) -> dict[str, Any]:
        """Return what a stage runs with: ``inputs`` and ``starts``."""
        charge: dict[str, float] = {}
        for hand_over in self.hand_overs[stage.name]:
            charge |= hand_over.given(found[hand_over.source])
        inputs, starts = _divided(self.systems[stage.name], stage.inputs, charge)
        return {"inputs": {**(stage.inputs or {}), **inputs} if inputs else stage.inputs, "starts": starts}


def _divided(system: DaeSystem, given: Mapping[Any, Any] | None, charge: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Divide a charge into inputs or parameters and start values, and refuse what cannot be charged."""
    input_at, parameter_at, _ = names_of_inputs(system)
    states = {slot.name: place for place, slot in enumerate(system.states)}
    schedule = make_schedule(system, given)
    for name in charge:
        if name not in input_at and name not in parameter_at and name not in states:
            hint = did_you_mean(name, [*parameter_at, *input_at, *states], 3) or "mutable Params, constant inputs and states can be charged"
            raise UsageError(f"{name} is nothing that can be charged", names=[name], hint=hint)
        place = input_at.get(name, -1)
        if place in schedule.profiles or place in schedule.inputs or parameter_at.get(name, -1) in schedule.parameters:
            raise UsageError(f"{name} is charged and given besides", names=[name], hint="leave it to the hand-over")
        if name in states and states[name] in system.start_free:
            raise UsageError(
                f"the start of {name} follows from the equations of the start", names=[name], hint="charge what these equations contain"
            )
    starts = {name: value for name, value in charge.items() if name in states}
    return {name: value for name, value in charge.items() if name not in starts}, starts


@contextmanager
def _of_stage(stage: str, found: Mapping[str, Trajectory]) -> Iterator[None]:
    """Tell which stage an error is of."""
    try:
        yield
    except NumericsError as error:
        raise CampaignError(error, stage, found) from error
    except UsageError as error:
        raise UsageError(f"stage {stage}: {error.message}", names=error.names, hint=error.hint) from error


def simulate_campaign(
    stages: Sequence[Stage],
    hand_overs: Sequence[HandOver] = (),
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    compilation: Compilation = Compilation.AUTO,
    method: IntegrationMethod = IntegrationMethod.AUTO,
) -> dict[str, Trajectory]:
    """Simulate the stages of a campaign one after the other.

    Parameters
    ----------
    stages : in their order.
    hand_overs : from the end of earlier stages to the start of later ones.
    rtol, atol, compilation, method : as for :func:`solvers.simulate`, for every stage.

    Returns
    -------
    The trajectory of each stage by its name, each from the first time of its own model.

    Raises
    ------
    UsageError : stages and hand-overs do not fit; told before anything runs.
    StructureError : see :func:`solvers.lower`.
    CampaignError : a stage failed, or what it is charged with is not finite.
    """
    chain = _Chain.of(stages, hand_overs)
    found: dict[str, Trajectory] = {}
    for stage in chain.stages:
        with _of_stage(stage.name, found):
            given = chain.charged(stage, found)
            options: dict[str, Any] = {"rtol": rtol, "atol": atol, "compilation": compilation}
            found[stage.name] = simulate(chain.systems[stage.name], stage.t_eval, **given, **options, method=method)
    return found


def campaign_sensitivities(
    stages: Sequence[Stage],
    hand_overs: Sequence[HandOver],
    parameters: Sequence[Pair],
    outputs: Sequence[Pair],
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
    method: Method = Method.FORWARD,
    compilation: Compilation = Compilation.AUTO,
) -> CampaignSensitivities:
    """Simulate a campaign and return derivatives of outputs of any stage by parameters of any stage, through all hand-overs.

    Each stage is differentiated by its own parameters and by its charge; the cost grows with the size of the charge, not with the
    number of parameters of the stages before.

    Parameters
    ----------
    stages, hand_overs, rtol, atol, compilation : as for :func:`simulate_campaign`.
    parameters : as (stage, name): what :func:`solvers.sensitivities` takes, or a setting of a hand-over to that stage.
    outputs : as (stage, name): scalars of time.
    method : of the derivatives within the stages.

    Raises
    ------
    UsageError : as for both; or a parameter is charged, so that it is none.
    CampaignError : as for :func:`simulate_campaign`; or a derivative does not exist.
    """
    chain = _Chain.of(stages, hand_overs)
    parameters, outputs = tuple(dict.fromkeys(parameters)), tuple(dict.fromkeys(outputs))
    _check_pairs(chain, parameters, outputs)
    found: dict[str, Trajectory] = {}
    arrays: dict[str, np.ndarray] = {}
    ends: dict[str, dict[str, np.ndarray]] = {}
    for stage in chain.stages:
        with _of_stage(stage.name, found):
            system, given = chain.systems[stage.name], chain.charged(stage, found)
            change = _charge_changes(chain.hand_overs[stage.name], parameters, found, ends)
            moving = {name: row for name, row in change.items() if row.any()}
            settings = {name for hand_over in chain.hand_overs[stage.name] for name in hand_over.settings}
            own = [name for where, name in parameters if where == stage.name and name not in settings]
            asked = [name for where, name in outputs if where == stage.name]
            names = list(dict.fromkeys([*asked, *chain.pooled(stage.name)]))
            options = {**given, "rtol": rtol, "atol": atol, "compilation": compilation}
            if names and (own or moving):
                result = sensitivities(system, [*own, *moving], names, stage.t_eval, method=method, **options)
                if result.parameters != (*own, *moving) or result.outputs != tuple(names):
                    raise UsageError("a parameter or output stands for several scalars", names=[*own, *names], hint="name each of them")
                found[stage.name], array = result.trajectory, np.zeros((len(result.t), len(names), len(parameters)))
                for place, name in enumerate(own):
                    array[:, :, parameters.index((stage.name, name))] = result.array[:, :, place]
                for place, row in enumerate(moving.values(), start=len(own)):
                    array += result.array[:, :, place, None] * row
            else:
                found[stage.name] = simulate(system, stage.t_eval, **options)
                array = np.zeros((len(found[stage.name].t), len(names), len(parameters)))
            arrays[stage.name] = array[:, : len(asked)]
            ends[stage.name] = dict(zip(names, array[-1], strict=True))
    return CampaignSensitivities(found, outputs, parameters, arrays)


def _charge_changes(
    hand_overs: Sequence[HandOver],
    parameters: Sequence[Pair],
    found: Mapping[str, Trajectory],
    ends: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Return how a charge changes with the parameters, shape (parameters,) for each name."""
    changes: dict[str, np.ndarray] = {}
    for hand_over in hand_overs:
        by_pool, by_settings = hand_over.changes(found[hand_over.source])
        change = np.zeros((len(hand_over.charge), len(parameters)))
        for column, name in zip(by_pool.T, hand_over.pool, strict=True):
            change += np.multiply.outer(column, ends[hand_over.source][name])
        for column, name in zip(by_settings.T, hand_over.settings, strict=True):
            if (hand_over.target, name) in parameters:
                change[:, parameters.index((hand_over.target, name))] += column
        changes |= dict(zip(hand_over.charge, change, strict=True))
    return changes


def _check_pairs(chain: _Chain, parameters: Sequence[Pair], outputs: Sequence[Pair]) -> None:
    if not parameters or not outputs:
        raise UsageError("derivatives need parameters and outputs", hint="each as (stage, name)")
    for stage, name in (*parameters, *outputs):
        if stage not in chain.systems:
            raise UsageError(f"there is no stage {stage!r}", names=[stage], hint=did_you_mean(stage, chain.systems))
        if (stage, name) in parameters and any(name in hand_over.charge for hand_over in chain.hand_overs[stage]):
            raise UsageError(
                f"stage {stage}: {name} is charged", names=[name], hint="take the derivative by what the hand-over makes it of"
            )
