"""Stirred bioreactor: batch, fed-batch and perfusion, with kinetics of one's choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units import aeration, heat
from units.kinetics.kinetics import GASES, Kinetics, Rates, organism_parameters
from units.liquid import LiquidComponent, add_liquid_port, by_measure
from units.parameter import Parameter
from units.stream import MEASURES, MOLES, Measure
from units.unit import UnitBlock, numbered_inlets
from units.vessel import AERATED, HEAT_BALANCE, INLETS, PERFUSION, VESSEL, add_boluses, add_volume, bolus_changes

OPTIONS = (*VESSEL, *aeration.AERATION, *heat.HEAT)
"""Parameters of every bioreactor, whatever its kinetics."""


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

    With ``aerated = 1`` gas passes through the liquid (:func:`units.aeration.add_aeration`), with ``heat_balance = 1`` the temperature
    is a state (:func:`units.heat.add_heat_balance`); without, nothing of that is there, and the temperature is an input.

    Assumptions: well mixed; volumes add up, reactions and boluses change none besides; the pH, and the temperature as an input, are
    held at what is given; what evaporates is pure. Amounts and volume are states, so positivity follows from rates that fade with what they
    consume, and nothing is clipped. Valid from the heel to ``maximum_volume``: a run that exceeds it fails, and says so.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or a component of the kinetics is missing or counted otherwise.
    """

    handles: ClassVar[type] = LiquidComponent
    parameters: ClassVar[tuple[Parameter, ...]] = OPTIONS
    kinetics: ClassVar[Kinetics] = Kinetics()
    bands: ClassVar[tuple[tuple[str, str, str], ...]] = (("gas drawn in", "starved", "supplied"),)
    shown: ClassVar[tuple[str, ...]] = ("volume",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        own = {parameter.name: parameter for parameter in (*cls.kinetics.parameters, *organism_parameters(cls.kinetics))}
        common = [replace(own.pop(p.name), when=p.when) if p.name in own else p for p in OPTIONS]
        cls.parameters = (*common, *own.values())
        concentrations = dict.fromkeys(measure.concentration for measure in cls.kinetics.components.values())
        cls.shown = (*dict.fromkeys((*concentrations, "volume", *cls.kinetics.shown, *aeration.SHOWN, *heat.SHOWN)),)
        super().__init_subclass__(**kwargs)

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return ``inlet_1`` to the number of inlets asked for."""
        return numbered_inlets(INLETS, given)

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the outlet, and that of the permeate if there is one."""
        return ("outlet", "permeate") if int(PERFUSION.chosen(given)) else ("outlet",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, LiquidComponent], **given: Any) -> None:
        """Add parameters, ports, states, equations and events."""
        options = self.add_parameters(time, materials, given)
        self._members = {measure.amount: names for measure, names in by_measure(materials).items()}
        self.gases = tuple(gas for gas in GASES if gas in self._members.get(MOLES.amount, ()))
        self._check(materials, options)
        for name in self.inlets(given):
            add_liquid_port(self, name, time, materials, doc=f"liquid into the vessel ({name})")
        for name in self.outlets(given):
            add_liquid_port(self, name, time, materials, doc="liquid out of the vessel" if name == "outlet" else "permeate")
        add_volume(self, time, self.inlets(given), self.outlets(given))
        if options[HEAT_BALANCE.name]:
            heat.add_temperature(self, time)
        heat.add_outlet_heat(self, time, self.outlets(given))
        for measure, names in self.groups:
            self._add_states(time, measure, names)
        self.kinetics.prepare(self, time)
        if options[AERATED.name]:
            aeration.add_aeration(self, time, self.gases)
        if options[HEAT_BALANCE.name]:
            heat.add_heat_balance(self, time, self.inlets(given), self.outlets(given))
        self._check_rates(time.first(), materials)
        for measure, names in self.groups:
            self._add_rates(time, measure, names)
            self._add_balance(time, measure, names, self.inlets(given), self.outlets(given))
        add_boluses(self)

    @property
    def groups(self) -> list[tuple[Measure, list[str]]]:
        """The measures that occur, with the names of their components."""
        return [(measure, self._members[measure.amount]) for measure in MEASURES if measure.amount in self._members]

    def concentrations(self, t: float) -> dict[str, Any]:
        """Return the concentration of every component at a time."""
        return {name: self.component(measure.concentration)[t, name] for measure, names in self.groups for name in names}

    def made(self, t: float) -> Rates:
        """Return what reactions and respiration make per volume of liquid and time, by component."""
        concentrations = self.concentrations(t)
        return {**self.kinetics.rates(self, t, concentrations), **self.kinetics.respiration(self, t, concentrations)}

    def taken(self, t: float) -> Rates:
        """Return what comes from the gas per volume of liquid and time, by component."""
        from_gas = aeration.transfer(self, t) if self.component("transfer_rate") is not None else {}
        return {**self.kinetics.transfer(self, t, self.concentrations(t)), **from_gas}

    def _check(self, materials: Mapping[str, LiquidComponent], options: Mapping[str, Any]) -> None:
        if options[AERATED.name] and "oxygen" not in self.gases:
            hint = 'declare [components.oxygen] with amount = "moles"; carbon_dioxide likewise, if it is to be followed'
            raise self.refusal(AERATED.name, "needs the component 'oxygen', counted in moles", hint)
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
        unknown = [name for name in {**self.made(t0), **self.taken(t0)} if name not in materials]
        if unknown:
            raise self.refusal("kinetics", f"has rates of components that the flowsheet does not have: {', '.join(unknown)}")

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
            return b.volume[t] * b.made(t).get(c, none)

        def supply(b: Any, t: float, c: str) -> Any:
            fed = b.volume_supply[t] * b.component(f"feed_{measure.concentration}")[c]
            return fed + b.volume[t] * b.taken(t).get(c, none)

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
        return bolus_changes(self, t, volume)
