"""Diverter: a gate that turns a stream away while something is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_powder_port
from units.unit import UnitBlock


@declare_custom_block("Diverter", rule="build")
class DiverterData(UnitBlock):
    """Gate that sends powder to ``outlet`` or, while the watched signal lies outside its limits, to ``reject``.

    Equations, for every component c::

        reject_flow[t, c] = gate[t] inlet_flow[t, c]
        outlet_flow[t, c] = (1 - gate[t]) inlet_flow[t, c]
        travel_time d gate/dt = diverting - gate
        d diverted/dt = gate sum_c inlet_flow[t, c]

    and at the start ``gate = 0, diverted = 0``.

    Modes: ``divert_begin`` (``watched`` leaves the limits) sets ``diverting``; ``return_begin`` clears it once ``watched`` is back
    within the limits by ``margin`` of half their distance *and* ``hold`` has passed since ``divert_begin``. A signal outside its
    limits at the start diverts from the start.

    | symbol | meaning | unit |
    |---|---|---|
    | watched | signal, such as a sensor's reading of the assay (from another unit) | watched_unit |
    | lower, upper | limits of the signal | watched_unit |
    | diverting, gate | 1 while powder is to be diverted; position of the gate (state) | -, - |
    | margin | how far within the limits the signal has to return, in shares of half their distance | - |
    | hold, travel_time | shortest time of diverting; time constant of the gate | s, s |
    | diverted | powder turned away so far (state) | kg |

    Assumptions: nothing is held; the gate follows its command with a lag of first order and divides the stream meanwhile. Valid for any
    flow that is not negative; at zero flow the gate moves all the same.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or the limits are not in order.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("watched_unit", u.dimensionless, "SI unit of the watched signal", "", names_unit=True),
        Parameter("lower", "watched_unit", "lower limit of the signal"),
        Parameter("upper", "watched_unit", "upper limit of the signal"),
        Parameter.positive("margin", u.dimensionless, "how far within its limits the signal has to return", 0.05, "assumed", upper=1.0),
        Parameter("hold", u.s, "shortest time of diverting", 0.0, 0.0),
        Parameter.positive("travel_time", u.s, "time constant of the gate", 0.5, "assumed"),
    )
    inlet_names: ClassVar[tuple[str, ...]] = ("inlet",)
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet", "reject")
    shown: ClassVar[tuple[str, ...]] = ("outlet_total", "reject_total", "watched", "diverted", "gate")
    bands: ClassVar[tuple[tuple[str, str, str], ...]] = (("diverting", "divert_begin", "return_begin"),)
    required_signals: ClassVar[tuple[str, ...]] = ("watched",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, signal, states, equations and events."""
        self.add_parameters(time, list(materials), given)
        if not pyo.value(self.lower) < pyo.value(self.upper):
            raise self.refusal("upper", "has to lie above lower")
        for name, doc in (("inlet", "powder"), ("outlet", "powder within limits"), ("reject", "diverted powder")):
            add_powder_port(self, name, time, materials, doc=doc)
        self._add_gate(time, u.get_units(self.lower))
        self._add_flows(time, carried(materials))
        self._add_events()

    def _add_gate(self, time: Any, unit: Any) -> None:
        self.watched = pyo.Var(time, initialize=pyo.value(self.lower + self.upper) / 2, units=unit, doc="watched signal")
        self.gate = pyo.Var(time, initialize=0.0, bounds=(0, 1), units=u.dimensionless, doc="share that is diverted")
        self.gate_rate = DerivativeVar(self.gate, wrt=time, units=1 / u.s, doc="rate of the gate")
        self.diverted = pyo.Var(time, initialize=0.0, units=u.kg, doc="diverted so far")
        self.diverted_rate = DerivativeVar(self.diverted, wrt=time, units=u.kg / u.s, doc="rate of what is diverted")
        self.diverting = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while powder is to be diverted")
        self.began = pyo.Var(time, units=u.s, doc="time at which diverting began")
        for mode in (self.diverting, self.began):
            mode.fix(0)

        @self.Constraint(time, doc="the gate follows with a lag")
        def travel(b: Any, t: float) -> Any:
            return b.travel_time * b.gate_rate[t] == b.diverting[t] - b.gate[t]

        @self.Constraint(["gate", "diverted"], doc="the start")
        def start(b: Any, state: str) -> Any:
            variable = b.component(state)[time.first()]
            return variable == 0 * u.get_units(variable)

    def _add_flows(self, time: Any, members: list[str]) -> None:
        @self.Constraint(time, members, doc="what is turned away")
        def turned_away(b: Any, t: float, c: str) -> Any:
            return b.reject_flow[t, c] == b.gate[t] * b.inlet_flow[t, c]

        @self.Constraint(time, members, doc="what goes on")
        def goes_on(b: Any, t: float, c: str) -> Any:
            return b.outlet_flow[t, c] == (1 - b.gate[t]) * b.inlet_flow[t, c]

        @self.Constraint(time, doc="what has been turned away")
        def counting(b: Any, t: float) -> Any:
            return b.diverted_rate[t] == b.gate[t] * b.inlet_total[t]

    def excess(self, t: Any) -> Any:
        """Return how far the signal lies beyond the nearer limit, in shares of their distance; negative within."""
        middle, half = (self.lower + self.upper) / 2, (self.upper - self.lower) / 2
        return abs(self.watched[t] - middle) / half - 1

    def _add_events(self) -> None:
        def may_return(b: Any, t: Any) -> Any:
            # the smaller of two conditions rises through zero where the second of them is met
            back, waited = -b.excess(t) - b.margin, (t * u.s - b.began[t] - b.hold) / (1 * u.s)
            return 0.5 * (back + waited - abs(back - waited))

        self.divert_begin = Event(
            guard=lambda b, t: b.excess(t),
            direction=Direction.RISING,
            when=lambda b, t: 0.5 - b.diverting[t],
            transition=lambda b, t: ((b.diverting[t], 1), (b.began[t], t * u.s)),
            doc="outside its limits: powder is diverted",
        )
        self.return_begin = Event(
            guard=may_return,
            direction=Direction.RISING,
            when=lambda b, t: b.diverting[t] - 0.5,
            transition=lambda b, t: ((b.diverting[t], 0),),
            doc="within its limits again: powder goes on",
        )
