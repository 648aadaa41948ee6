"""Assembling units and streams into one Pyomo model."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyomo.environ as pyo
from pyomo.common.log import LoggingIntercept
from pyomo.dae import ContinuousSet
from pyomo.network import Arc

from flowsheet.balance import add_balance
from flowsheet.connections import Ports, carrying_fault, connection_faults, stream_name
from flowsheet.problems import ConnectionErrors, Problem, listed
from flowsheet.recipe import BLOCK, add_recipe, bolus_takers, settable
from flowsheet.registry import contract_of, unit_type
from flowsheet.schema import NAME, NAME_ALLOWED, RESERVED
from flowsheet.signals import driven, readable, signal_faults, wire
from solvers.declare import Phase
from solvers.errors import Complaint, StructureError, UsageError
from units.liquid import LiquidComponent
from units.powders import Powders
from units.sizes import SizeClasses
from units.stream import Material, carries


class Flowsheet:
    """Units, streams and the material balance as one Pyomo DAE model over time from 0 to a horizon.

    Parameters
    ----------
    horizon : simulated time (s), positive.
    materials : components by name, powders and what liquids hold; every unit knows all of the kind that it handles.
    sizes : classes in which particle sizes are followed; None if they are not.

    Raises
    ------
    UsageError : the horizon is not positive, or there is no material.
    CaseError : sizes are followed, and a material does not say what it needs for that (:class:`units.powders.Powders`).

    >>> from units.source import Source
    >>> from units.sink import Sink
    >>> fs = Flowsheet(horizon=60.0, materials={"api": Material("api", true_density=1300.0, bulk_density=350.0)})
    >>> _ = fs.add("supply", Source, flow={"api": 1e-3})
    >>> _ = fs.add("bin", Sink)
    >>> fs.connect("supply.outlet", "bin.inlet")
    >>> fs.model.bin.inlet.name
    'bin.inlet'
    """

    def __init__(self, horizon: float, materials: Mapping[str, Material | LiquidComponent], sizes: SizeClasses | None = None) -> None:
        if not (math.isfinite(horizon) and horizon > 0):
            raise UsageError(f"the horizon has to be positive and finite (got {horizon!r} s)")
        if not materials:
            raise UsageError("a flowsheet needs at least one material")
        self.materials = dict(materials)
        self.sizes = sizes
        self._powders()
        self.streams: list[tuple[str, str]] = []
        self.signals: list[tuple[str, str]] = []
        self._liquid: dict[str, tuple[str, str]] = {}
        self._ports: dict[str, Ports] = {}
        self._complete = False
        self._model = pyo.ConcreteModel()
        self._model.time = ContinuousSet(bounds=(0.0, float(horizon)), doc="time (s)")

    def add(self, name: str, kind: Any, **parameters: Any) -> Any:
        """Add a unit and return its block.

        Parameters
        ----------
        name : of the unit; ``flowsheet.model.<name>`` is its block.
        kind : a unit operation such as :class:`units.feeder.LossInWeightFeeder`, or the name of a registered type.
        parameters : in SI, as the unit declares them.

        Raises
        ------
        CaseError : unknown type, or a parameter is unknown, missing or out of its range.
        UsageError : the name cannot be used or is taken, or the model is already complete.
        """
        self._refuse_if_complete()
        complaint = name_complaint(name)
        if complaint is not None:
            raise UsageError(f"unit {name!r}: {complaint}", names=[name])
        if self._model.component(name) is not None:
            raise UsageError(f"there is already something called {name!r}", names=[name])
        block_class = unit_type(kind).block if isinstance(kind, str) else kind
        contract = contract_of(block_class)
        known = self._powders() if contract.handles is Material else contract.known(self.materials)
        if not known:
            what = "component" if issubclass(contract.handles, LiquidComponent) else "material"
            raise UsageError(f"unit {name!r} needs at least one {what}, and the flowsheet has none of its kind", names=[name])
        block = block_class(time=self._model.time, materials=known, doc=contract.__name__.removesuffix("Data"), **parameters)
        built = False
        try:
            # Pyomo logs what the raised error says anyway
            with LoggingIntercept(io.StringIO(), "pyomo.core"):
                self._model.add_component(name, block)
            built = True
        finally:
            if not built and self._model.component(name) is not None:
                self._model.del_component(name)
        self._ports[name] = Ports(tuple(contract.inlets(parameters)), tuple(contract.outlets(parameters)))
        return self._model.component(name)

    def _powders(self) -> Powders:
        return Powders({name: each for name, each in self.materials.items() if isinstance(each, Material)}, self.sizes)

    def connect(self, source: str, target: str, name: str = "") -> None:
        """Join an outlet to an inlet, or let a variable of one unit drive an input of another: a signal.

        Parameters
        ----------
        source, target : of a stream the ports, each as ``unit.port``; of a signal a variable over time, as ``unit.variable`` or
            ``unit.variable[index]``, and an input, as ``unit.input``.
        name : of the stream or signal; ``flowsheet.model.<name>`` is its Arc. Without one it is numbered: ``S1``, ``S2`` ... for
            streams, ``C1``, ``C2`` ... for signals.

        Raises
        ------
        StructureError : a port, variable or input does not exist or is taken, or the two carry different things, or one powder and one
            liquid.
        UsageError : the name cannot be used or is taken, or the model is already complete.
        """
        self._refuse_if_complete()
        is_signal = self._is_signal(source, target)
        joined = self.signals if is_signal else self.streams
        if not name:
            name = stream_name(len(joined) + 1, self._model.component_map(), "C" if is_signal else "S")
        complaint = name_complaint(name)
        if complaint or self._model.component(name) is not None:
            raise UsageError(f"stream {name!r}: {complaint or 'there is already something of this name'}", names=[name])
        ends = [*joined, (source, target)]
        found = signal_faults(self._blocks, ends) if is_signal else connection_faults(self._ports, ends)
        faults = [fault for fault in found if fault.stream == len(joined)]
        if faults:
            raise ConnectionErrors(Problem(fault.message, f"{source} -> {target}", fault.allowed, fault.hint) for fault in faults)
        if is_signal:
            wire(self._model, name, source, target)
        else:
            ports = [self._model.find_component(port) for port in (source, target)]
            mismatch = carrying_fault(source, target, *ports)
            if mismatch:
                raise ConnectionErrors([Problem(mismatch.message, f"{source} -> {target}", mismatch.allowed, mismatch.hint)])
            self._compare_members(*ports)
            self._model.add_component(name, Arc(source=ports[0], destination=ports[1], doc=f"{source} -> {target}"))
            if carries(ports[0]) == "liquid":
                unit, _, port = source.partition(".")
                self._liquid[name] = (unit, port)
        joined.append((source, target))

    def add_recipe(self, phases: Sequence[Phase]) -> None:
        """Let phases follow each other, which set or ramp inputs of the units that are there, or give them boluses.

        Parameters
        ----------
        phases : in their order; names of inputs and variables as ``unit.variable`` or ``unit.variable[index]``, values in SI.

        Raises
        ------
        UsageError : a phase sets what is no input or is driven by a signal, gives a bolus to a unit that takes none, watches what is no
            variable, or never ends; or there is a recipe already.
        """
        self._refuse_if_complete()
        if self._model.component(BLOCK) is not None:
            raise UsageError("there is a recipe already")
        add_recipe(self._model, phases, self._settable(), self._watchable(), bolus_takers(self._blocks))

    def _settable(self) -> dict[str, Any]:
        driven_by_signals = {target for _, target in self.signals}
        return {name: data for name, data in settable(self._blocks).items() if name not in driven_by_signals}

    def _watchable(self) -> dict[str, Any]:
        return {name: data for block in self._blocks.values() for name, data in readable(block).items()}

    def _is_signal(self, source: str, target: str) -> bool:
        """Return whether what is to be joined are no ports: an input at the target, or a variable at the source of no inlet."""
        (_, outlets), (inlets, _) = (self._ends(end) for end in (source, target))
        if source.partition(".")[2] in outlets or target.partition(".")[2] in inlets:
            return False
        unit, _, own = target.partition(".")
        return unit in self._ports and (own in driven(self._model.component(unit)) or not inlets)

    def _ends(self, end: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        ports = self._ports.get(end.partition(".")[0])
        return ((), ()) if ports is None else (ports.inlets, ports.outlets)

    @property
    def _blocks(self) -> dict[str, Any]:
        return {name: self._model.component(name) for name in self._ports}

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, in the order in which they were added."""
        return tuple(self._ports)

    @property
    def model(self) -> pyo.ConcreteModel:
        """The Pyomo model with its ``balance`` block; from the first access on nothing can be added.

        Raises
        ------
        StructureError : a port is left unconnected, or an input without the signal that it needs.
        """
        if not self._complete:
            faults = [*connection_faults(self._ports, self.streams), *signal_faults(self._blocks, self.signals)]
            if faults:
                raise ConnectionErrors(Problem(fault.message, fault.unit, fault.allowed, fault.hint) for fault in faults)
            add_balance(self._model, list(self._blocks.values()), self._model.time, self.materials, self._liquid)
            self._complete = True
        return self._model

    def _refuse_if_complete(self) -> None:
        if self._complete:
            raise UsageError(
                "the flowsheet's model is complete; nothing can be added", hint="add all units and streams before using .model"
            )

    @staticmethod
    def _compare_members(source: Any, target: Any) -> None:
        """Refuse two ports that do not carry the same things for the same components."""
        keys = [{(member, index) for member, var in port.vars.items() for index in _indices(var)} for port in (source, target)]
        different = keys[0] ^ keys[1]
        if different:
            text = listed(sorted({f"{member}[{', '.join(map(str, index))}]" for member, index in different}), 10)
            raise StructureError(
                f"{source.name} and {target.name} carry different things: only one of them has {text}",
                names=[source.name, target.name],
                hint="both ends of a stream need the same components and size classes",
            )


@cache
def _taken_by_pyomo() -> frozenset[str]:
    """Return the names that a Pyomo model keeps for itself."""
    model = pyo.ConcreteModel()
    return frozenset(dir(model)) | frozenset(vars(model))


def _indices(variable: Any) -> set[tuple]:
    """Return the indices of a port's member without time."""
    return {tuple(index[1:]) if isinstance(index, tuple) else () for index in variable}


def name_complaint(name: str) -> Complaint | None:
    """Return what is wrong with the name of a unit or stream.

    >>> print(name_complaint("feeder_api"), name_complaint("time"))
    None the name is reserved; allowed: another name
    """
    if not NAME.fullmatch(name):
        return Complaint("the name cannot be used", allowed=NAME_ALLOWED)
    if name in RESERVED or name in _taken_by_pyomo():
        return Complaint("the name is reserved", allowed="another name")
    return None
