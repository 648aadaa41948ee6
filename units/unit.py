"""What every unit operation promises: its parameters, ports, inventory and what is worth looking at.

A unit operation is the data class of a Pyomo custom block::

    @declare_custom_block("ContinuousBlender", rule="build")
    class ContinuousBlenderData(UnitBlock):
        parameters = (Parameter("tanks", u.dimensionless, "number of equal tanks", integer=True, default=3, lower=1), ...)

        def build(self, *_, time, materials, **given): ...

It is made as ``ContinuousBlender(time=model.time, materials=materials, **parameters)``: ``time`` is the model's one
``ContinuousSet`` (in seconds), ``materials`` maps names to the components that the unit ``handles``
(:class:`units.stream.Material`, or :class:`units.liquid.LiquidComponent`), parameters are numbers in SI
(``{component: number}`` where ``per_component``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pyomo.core.base.block import BlockData
from pyomo.core.expr.numvalue import NumericValue
from pyomo.environ import Expression, Param, RangeSet, Var
from pyomo.environ import units as pyunits

from solvers.errors import CaseError, Complaint
from units.parameter import Parameter
from units.signal import KINDS, relative_unit
from units.stream import Material

REV_PER_S = pyunits.revolution / pyunits.s
"""Unit of rotational speeds."""


def follows(value: Any) -> bool:
    """Return whether a parameter's value is an expression or a rule of an outer unit, not a number."""
    return isinstance(value, NumericValue) or callable(value)


def numbered_inlets(number: Parameter, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ``inlet_1`` to the number that a parameter asks for."""
    return tuple(f"inlet_{k}" for k in range(1, int(number.chosen(given)) + 1))


class UnitBlock(BlockData):
    """Base of all unit operations; subclasses fill in the class attributes and ``build``.

    A unit that holds material defines ``holdup[t, component]`` (kg), one that takes material from outside the
    flowsheet ``supply[t, component]`` (kg/s), one that hands it out of the flowsheet ``withdrawal[t, component]``
    (kg/s), one in which components react ``reaction[t, component]`` (kg/s made), and one that takes material in jumps
    ``dosed[t, component]`` (kg since the start): the flowsheet's balance is made from them. For components that are counted
    in moles or cells the names end in ``_moles`` and ``_cells``, and units are mol and cell. Units of liquids also say
    ``volume_supply[t]`` and ``volume_withdrawal[t]`` (m3/s).
    """

    inlet_names: ClassVar[tuple[str, ...]] = ()
    outlet_names: ClassVar[tuple[str, ...]] = ()
    """Names of the ports; where parameters say how many there are, the unit has ``inlets`` or ``outlets`` of its own."""
    handles: ClassVar[type] = Material
    """The class of the components that the unit knows; others in the flowsheet it never hears of."""
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()
    """Names of time-indexed Vars and Expressions worth a plot, most telling first, as far as a block has them."""
    inputs: tuple[str, ...] = ()
    """Names of the time-indexed Vars that the unit fixes to a constant and a case may give a profile: the parameters that say so; of a
    block that is built those that it has."""

    required_signals: ClassVar[tuple[str, ...]] = ()
    """Names of the time-indexed Vars that a signal has to drive: the unit leaves them free."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.inputs = tuple(parameter.name for parameter in cls.parameters if parameter.input)

    bands: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Lasting happenings that plots mark: what each is called, and the names of the Events that begin and end it."""

    @classmethod
    def declared(cls, given: Mapping[str, Any]) -> tuple[Parameter, ...]:
        """Return the parameters that there are with what is given, with the units of the signals that are given; where one is not given, or
        unknown, of its default.
        """
        numbers = {parameter.name: parameter.chosen(given) for parameter in cls.parameters if parameter.integer}
        present = [parameter for parameter in cls.parameters if parameter.when is None or numbers[parameter.when[0]] == parameter.when[1]]
        kinds = {}
        for parameter in present:
            if parameter.names_unit:
                chosen = parameter.chosen(given)
                kinds[parameter.name] = chosen if isinstance(chosen, str) and chosen in KINDS else parameter.default or ""
        return tuple(replace(p, unit=relative_unit(p.unit, kinds)) if isinstance(p.unit, str) else p for p in present)

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the inlet ports for the given parameters."""
        return cls.inlet_names

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the outlet ports for the given parameters."""
        return cls.outlet_names

    @classmethod
    def known(cls, components: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of a flowsheet's components that the unit handles."""
        return {name: component for name, component in components.items() if isinstance(component, cls.handles)}

    def bolus_changes(self, t: Any, volume: Any) -> list[tuple[Any, Any]] | None:
        """Return what a bolus of the unit's own feed changes, as pairs of a variable and its new value; None if the unit takes none.

        Parameters
        ----------
        t : a time of the model.
        volume : of the bolus (m3), as an expression with its unit.
        """
        return None

    def refusal(self, parameter: str, message: str, hint: str = "") -> CaseError:
        """Return the error that says what is wrong with a parameter beside the others."""
        complaint = Complaint(message, hint=hint, key=(parameter,))
        return CaseError(str(complaint.within(self.name)), names=[self.name], hint=hint, complaints=[complaint])

    def add_parameters(self, time: Any, components: Sequence[str] | Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Add what the parameters declare: mutable Params, and fixed Vars over time for the inputs.

        ``components`` are names, or with parameters ``of`` a measure the components by name. A unit that stands inside another may be given
        Pyomo expressions of the outer one's parameters instead of numbers, and for an input a rule ``(block, t)``: they become
        Expressions, so that they follow the outer unit.

        Returns
        -------
        What is fixed when the unit is built, by name: whole numbers, structural numbers, and units of signals as text.

        Raises
        ------
        CaseError : a parameter is unknown, missing or out of its range; all of them are named.
        """
        declared = self.declared(given)
        known = {parameter.name for parameter in declared}
        allowed = ", ".join(sorted(known))
        conditions = {parameter.name: f"needs {parameter.condition}" for parameter in self.parameters}
        complaints = [
            Complaint(conditions.get(name, "unknown parameter"), allowed=allowed, key=(name,)) for name in given if name not in known
        ]
        for parameter in (each for each in declared if not follows(each.chosen(given))):
            wrong = parameter.complaints(parameter.chosen(given), parameter.members(components))
            complaints += [complaint.within(parameter.name) for complaint in wrong]
        if complaints:
            raise CaseError("; ".join(str(c.within(self.name)) for c in complaints), names=[self.name], complaints=complaints)

        self.inputs = tuple(parameter.name for parameter in declared if parameter.input)
        built_in: dict[str, Any] = {}
        for parameter in declared:
            value = parameter.chosen(given)
            if follows(value):
                index = () if isinstance(value, NumericValue) else (time,)
                self.add_component(parameter.name, Expression(*index, rule=value, doc=parameter.doc))
                continue
            if parameter.names_unit or parameter.integer or parameter.structural:
                built_in[parameter.name] = int(value) if parameter.integer else value
                continue
            members = [c for c in parameter.members(components) if not (parameter.named and isinstance(value, Mapping)) or c in value]
            if parameter.of is not None and not members:
                continue  # nothing in the flowsheet is counted like that
            index = (members,) if parameter.per_component else ()
            start: dict[Any, float] = parameter.by_component(value, members) if parameter.per_component else {None: float(value)}
            bounds = tuple(bound if math.isfinite(bound) else None for bound in (parameter.lower, parameter.upper))
            if parameter.input:
                variable = Var(time, *index, bounds=bounds, units=parameter.unit, doc=parameter.doc)
                self.add_component(parameter.name, variable)
                for key in variable:
                    variable[key].fix(start[key[-1] if parameter.per_component else None])
            else:
                domain = RangeSet(*bounds, 0)
                self.add_component(
                    parameter.name, Param(*index, initialize=start, mutable=True, within=domain, units=parameter.unit, doc=parameter.doc)
                )
        return built_in
