"""Stirred bioreactor: batch, fed-batch and perfusion, with kinetics of one's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.kinetics.kinetics import Kinetics
from units.liquid import VOLUME_FLOW, LiquidComponent, add_liquid_port, by_measure
from units.parameter import Parameter
from units.stream import MEASURES, Measure
from units.unit import UnitBlock
from units.vessel import INLETS, PERFUSION, VESSEL


@declare_custom_block("Bioreactor", rule="build")
class BioreactorData(UnitBlock):
    """A stirred vessel in which a kinetics runs; without one it only mixes. A subclass with a ``kinetics`` is a type of bioreactor.

    Equations, for every component c with the amount n (by mass, in moles or in cells), concentration C and volume V::

        dn[c]/dt = inlets + F_feed C_feed[c] + V transfer[c] - F_out C[c] - F_perm (1 - retention[c]) C[c] + V rate[c]
        dV/dt    = inlets + F_feed - F_out - F_perm - evaporation V
        C[c]     = n[c]/V
        F_feed   = feeding feed_flow
        F_out    = outflow tanh(V/heel - 1),   F_perm = permeate_flow tanh(V/heel - 1)

    At ``bolus_start`` and then every ``bolus_interval``, ``bolus_count`` times in all::

        n[c] -> n[c] + bolus_volume C_feed[c],   V -> V + bolus_volume

    | symbol | meaning | unit |
    |---|---|---|
    | mass, moles, cells | amounts n of components in the vessel (states) | kg, mol, cell |
    | mass_concentration, molarity, cell_density | concentrations C | kg/m3, mol/m3, cell/m3 |
    | volume | liquid V in the vessel (state) | m3 |
    | feeding | 1 while the vessel's own feed runs, set by events of the kinetics | - |
    | rate, transfer | of the kinetics: reaction, and uptake from the gas | amount/(m3 s) |
    | dosed, dosed_volume | what boluses have given since the start | kg (mol, cell), m3 |

    Batch: no flow. Fed-batch: feed, boluses or streams. Chemostat: outflow as large as the feed. Perfusion: the permeate leaves
    cells behind, the outflow is the bleed.

    Assumptions: well mixed; volumes add up, reactions and boluses change none besides; the temperature and the pH are held at what
    is given; what evaporates is pure. Amounts and volume are states, so positivity follows from rates that fade with what they
    consume, and nothing is clipped. Valid from the heel to ``maximum_volume``: a run that exceeds it fails, and says so.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or a component of the kinetics is missing or counted otherwise.
    """

    handles: ClassVar[type] = LiquidComponent
    parameters: ClassVar[tuple[Parameter, ...]] = VESSEL
    kinetics: ClassVar[Kinetics] = Kinetics()
    shown: ClassVar[tuple[str, ...]] = ("volume",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        own = {parameter.name: parameter for parameter in cls.kinetics.parameters}
        cls.parameters = (*(own.pop(parameter.name, parameter) for parameter in VESSEL), *own.values())
        cls.shown = (*dict.fromkeys(measure.concentration for measure in cls.kinetics.components.values()), "volume", *cls.kinetics.shown)
        super().__init_subclass__(**kwargs)

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return ``inlet_1`` to the number of inlets asked for."""
        return tuple(f"inlet_{number}" for number in range(1, int(INLETS.chosen(given)) + 1))

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the outlet, and that of the permeate if there is one."""
        return ("outlet", "permeate") if int(PERFUSION.chosen(given)) else ("outlet",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, LiquidComponent], **given: Any) -> None:
        """Add parameters, ports, states, equations and events."""
        self.add_parameters(time, materials, given)
        self._check(materials)
        self._members = {measure.amount: names for measure, names in by_measure(materials).items()}
        for name in self.inlets(given):
            add_liquid_port(self, name, time, materials, doc=f"liquid into the vessel ({name})")
        for name in self.outlets(given):
            add_liquid_port(self, name, time, materials, doc="liquid out of the vessel" if name == "outlet" else "permeate")
        self._add_volume(time, self.inlets(given), self.outlets(given))
        for measure, names in self.groups:
            self._add_states(time, measure, names)
        self.kinetics.prepare(self, time)
        self._check_rates(time.first(), materials)
        for measure, names in self.groups:
            self._add_rates(time, measure, names)
            self._add_balance(time, measure, names, self.inlets(given), self.outlets(given))
        self._add_events()

    @property
    def groups(self) -> list[tuple[Measure, list[str]]]:
        """The measures that occur, with the names of their components."""
        return [(measure, self._members[measure.amount]) for measure in MEASURES if measure.amount in self._members]

    def concentrations(self, t: float) -> dict[str, Any]:
        """Return the concentration of every component at a time."""
        return {name: self.component(measure.concentration)[t, name] for measure, names in self.groups for name in names}

    def _check(self, materials: Mapping[str, LiquidComponent]) -> None:
        if pyo.value(self.initial_volume) > pyo.value(self.maximum_volume):
            raise self.refusal("initial_volume", "exceeds maximum_volume")
        if pyo.value(self.initial_volume) <= pyo.value(self.heel):
            raise self.refusal("initial_volume", "has to lie above the heel", "the outlets leave the heel in the vessel")
        for name, measure in self.kinetics.components.items():
            if name not in materials:
                hint = f'declare [components.{name}] with amount = "{measure.amount}"'
                raise self.refusal("kinetics", f"needs the component {name!r}", hint)
            if materials[name].measure is not measure:
                raise self.refusal("kinetics", f"counts {name} by {measure.amount}, the flowsheet by {materials[name].measure.amount}")

    def _check_rates(self, t0: float, materials: Mapping[str, LiquidComponent]) -> None:
        """Refuse rates of components that are not there, which would be lost without a word."""
        named = {**self.kinetics.rates(self, t0, self.concentrations(t0)), **self.kinetics.transfer(self, t0, self.concentrations(t0))}
        unknown = [name for name in named if name not in materials]
        if unknown:
            raise self.refusal("kinetics", f"has rates of components that the flowsheet does not have: {', '.join(unknown)}")

    def _add_volume(self, time: Any, inlets: tuple[str, ...], outlets: tuple[str, ...]) -> None:
        t0 = time.first()
        size = pyo.value(self.initial_volume)
        self.volume = pyo.Var(time, initialize=size, bounds=(0, None), units=u.m**3, doc="liquid in the vessel")
        self.volume_rate = DerivativeVar(self.volume, wrt=time, units=VOLUME_FLOW, doc="rate of the volume")
        self.feeding = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while the vessel's own feed runs")
        self.boluses = pyo.Var(time, bounds=(0, None), units=u.dimensionless, doc="boluses of the schedule since the start")
        self.dosed_volume = pyo.Var(time, bounds=(0, None), units=u.m**3, doc="volume of the boluses since the start")
        self.feeding.fix(1)
        self.boluses.fix(0)
        self.dosed_volume.fix(0)
        nominal(self.volume, size)

        @self.Expression(time, doc="volume flow of the vessel's own feed")
        def volume_supply(b: Any, t: float) -> Any:
            return b.feeding[t] * b.feed_flow[t]

        def demand(b: Any, t: float, port: str) -> Any:
            return b.outflow[t] if port == "outlet" else b.permeate_flow[t]

        @self.Constraint(time, list(outlets), doc="an outlet gives what is asked for while there is liquid")
        def draw(b: Any, t: float, port: str) -> Any:
            return b.component(f"{port}_volume_flow")[t] == demand(b, t, port) * pyo.tanh((b.volume[t] - b.heel) / b.heel)

        @self.Constraint(time, doc="volume balance")
        def volume_balance(b: Any, t: float) -> Any:
            entering = sum((b.component(f"{name}_volume_flow")[t] for name in inlets), b.volume_supply[t])
            leaving = sum(b.component(f"{name}_volume_flow")[t] for name in outlets)
            return b.volume_rate[t] == entering - leaving - b.evaporation[t] * b.volume[t]

        @self.Constraint(doc="volume at the start")
        def volume_start(b: Any) -> Any:
            return b.volume[t0] == b.initial_volume

    def _add_states(self, time: Any, measure: Measure, names: list[str]) -> None:
        t0, unit = time.first(), measure.unit
        amount = pyo.Var(time, names, initialize=0.0, bounds=(0, None), units=unit, doc=f"{measure.amount} in the vessel")
        dosed = pyo.Var(time, names, bounds=(0, None), units=unit, doc=f"{measure.amount} in the boluses since the start")
        self.add_component(measure.amount, amount)
        self.add_component(f"dosed{measure.suffix}", dosed)
        dosed.fix(0)
        nominal(amount, measure.typical * pyo.value(self.initial_volume))
        rate = DerivativeVar(amount, wrt=time, units=unit / u.s, doc=f"rate of {measure.amount}")
        self.add_component(f"{measure.amount}_rate", rate)

        def concentration(b: Any, t: float, c: str) -> Any:
            return b.component(measure.amount)[t, c] / b.volume[t]

        def holdup(b: Any, t: float, c: str) -> Any:
            return b.component(measure.amount)[t, c]

        def start(b: Any, c: str) -> Any:
            return b.component(measure.amount)[t0, c] == b.initial_volume * b.component(f"initial_{measure.concentration}")[c]

        text = measure.concentration.replace("_", " ")
        self.add_component(measure.concentration, pyo.Expression(time, names, rule=concentration, doc=text))
        self.add_component(f"holdup{measure.suffix}", pyo.Expression(time, names, rule=holdup, doc=f"{measure.amount} held"))
        self.add_component(f"{measure.amount}_start", pyo.Constraint(names, rule=start, doc=f"{measure.amount} at the start"))

    def _add_rates(self, time: Any, measure: Measure, names: list[str]) -> None:
        none = 0 * measure.unit / u.m**3 / u.s

        def reaction(b: Any, t: float, c: str) -> Any:
            return b.volume[t] * b.kinetics.rates(b, t, b.concentrations(t)).get(c, none)

        def supply(b: Any, t: float, c: str) -> Any:
            fed = b.volume_supply[t] * b.component(f"feed_{measure.concentration}")[c]
            return fed + b.volume[t] * b.kinetics.transfer(b, t, b.concentrations(t)).get(c, none)

        made = pyo.Expression(time, names, rule=reaction, doc=f"{measure.amount} made by reactions per time")
        taken = pyo.Expression(time, names, rule=supply, doc=f"{measure.flow.replace('_', ' ')} by feed and gas")
        self.add_component(f"reaction{measure.suffix}", made)
        self.add_component(f"supply{measure.suffix}", taken)

    def _add_balance(self, time: Any, measure: Measure, names: list[str], inlets: tuple[str, ...], outlets: tuple[str, ...]) -> None:
        def passing(b: Any, t: float, port: str, c: str) -> Any:
            share = 1 if port == "outlet" else 1 - b.retention[c]
            return b.component(f"{port}_{measure.flow}")[t, c] == (
                b.component(f"{port}_volume_flow")[t] * share * b.component(measure.concentration)[t, c]
            )

        def balance(b: Any, t: float, c: str) -> Any:
            entering = sum((b.component(f"{name}_{measure.flow}")[t, c] for name in inlets), b.component(f"supply{measure.suffix}")[t, c])
            leaving = sum(b.component(f"{name}_{measure.flow}")[t, c] for name in outlets)
            made = b.component(f"reaction{measure.suffix}")[t, c]
            return b.component(f"{measure.amount}_rate")[t, c] == entering - leaving + made

        kind = measure.flow.replace("_", " ")
        self.add_component(
            f"passing{measure.suffix}", pyo.Constraint(time, list(outlets), names, rule=passing, doc=f"{kind} out of the vessel")
        )
        self.add_component(f"{measure.amount}_balance", pyo.Constraint(time, names, rule=balance, doc=f"balance of {measure.amount}"))

    def bolus_changes(self, t: Any, volume: Any) -> list[tuple[Any, Any]]:
        """Return what a bolus of the vessel's own feed changes."""
        pairs = [(total[t], total[t] + volume) for total in (self.volume, self.dosed_volume)]
        for measure, names in self.groups:
            feed = self.component(f"feed_{measure.concentration}")
            for total in (self.component(measure.amount), self.component(f"dosed{measure.suffix}")):
                pairs += [(total[t, c], total[t, c] + volume * feed[c]) for c in names]
        return pairs

    def _add_events(self) -> None:
        self.bolus = Event(
            guard=lambda b, t: t * u.s - b.bolus_start - b.boluses[t] * b.bolus_interval,
            direction=Direction.RISING,
            when=lambda b, t: b.bolus_count - b.boluses[t],
            transition=lambda b, t: [(b.boluses[t], b.boluses[t] + 1), *b.bolus_changes(t, b.bolus_volume[t])],
            doc="a bolus of feed",
        )
        self.overfilled = Event(
            guard=lambda b, t: b.volume[t] - b.maximum_volume,
            direction=Direction.RISING,
            doc="the liquid exceeds maximum_volume",
            refusal="feed less, take more out, or take a larger vessel",
        )
