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
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from pyomo.core.base.block import BlockData
from pyomo.environ import Param, RangeSet, Var
from pyomo.environ import units as pyunits

from solvers.errors import CaseError, Complaint
from units.stream import Material, Measure

REV_PER_S = pyunits.revolution / pyunits.s
"""Unit of rotational speeds."""

FRACTION_TOLERANCE = 1e-9
"""How far mass fractions may sum from one."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that an engineer gives to a unit.

    Parameters
    ----------
    name : the attribute under which the unit's block holds it.
    unit : SI unit as a Pyomo unit expression (``u.kg / u.s``, ``u.dimensionless``).
    doc : one line.
    default : value in SI; None if it has to be given.
    lower, upper : bounds in SI; the bound itself is allowed unless ``open_lower`` / ``open_upper``.
    per_component : one number per component, given as a mapping.
    fractions : the numbers per component are mass fractions: components not named have none, and the sum is one.
    sparse : components not named have zero.
    of : the parameter has numbers for the components of this measure only.
    integer : a whole number that is fixed when the unit is built (most shape its structure).
    input : the constant value of the time-indexed Var of this name, which a profile may replace.
    source : where the default or range comes from; "recalled" if nobody has checked.

    >>> print(Parameter("tanks", pyunits.dimensionless, "number of tanks", lower=1, integer=True).complaint(2.5))
    expected a whole number (got 2.5)
    """

    name: str
    unit: Any
    doc: str
    default: float | None = None
    lower: float = -math.inf
    upper: float = math.inf
    open_lower: bool = False
    open_upper: bool = False
    per_component: bool = False
    fractions: bool = False
    sparse: bool = False
    of: Measure | None = None
    integer: bool = False
    input: bool = False
    source: str = ""

    @classmethod
    def positive(cls, name: str, unit: Any, doc: str, default: float | None = None, source: str = "", **more: Any) -> Parameter:
        """Return a parameter that has to be above zero; ``more`` as for any."""
        return cls(name, unit, doc, default, 0.0, open_lower=True, source=source, **more)

    def chosen(self, given: Mapping[str, Any]) -> Any:
        """Return what is given for this parameter among others by name, or its default."""
        return given.get(self.name, self.default)

    def members(self, components: Sequence[str] | Mapping[str, Any]) -> list[str]:
        """Return the components for which the parameter has numbers; with ``of``, they have to come as a mapping from name to component."""
        if self.of is None or not isinstance(components, Mapping):
            return list(components)
        return [name for name, component in components.items() if component.measure is self.of]

    def complaint(self, value: Any) -> Complaint | None:
        """Return what is wrong with one number given in SI for this parameter."""
        if isinstance(value, bool) or not isinstance(value, Real):
            return Complaint("expected a number", repr(value))
        if not math.isfinite(value):
            return Complaint("not finite", repr(value))
        if self.integer and not float(value).is_integer():
            return Complaint("expected a whole number", repr(value))
        number = float(value)
        if number < self.lower or (self.open_lower and number == self.lower):
            return Complaint("below its bound", f"{number:g}", self.allowed())
        if number > self.upper or (self.open_upper and number == self.upper):
            return Complaint("above its bound", f"{number:g}", self.allowed())
        return None

    def allowed(self) -> str:
        """Return the allowed range in SI as text, such as ``(0, inf) kg``."""
        left = "(" if self.open_lower or self.lower == -math.inf else "["
        right = ")" if self.open_upper or self.upper == math.inf else "]"
        unit = "" if self.unit is pyunits.dimensionless else f" {self.unit}"
        return f"{left}{self.lower:g}, {self.upper:g}{right}{unit}"

    def complaints(self, value: Any, components: Sequence[str]) -> list[Complaint]:
        """Return all that is wrong with what is given for this parameter, in SI: a number, or a mapping from component to number."""
        if value is None:
            return [Complaint("has to be given", allowed=self.allowed())]
        if not isinstance(value, Mapping):
            found = self.complaint(value)
            wrong = [found] if found else []
        elif not self.per_component:
            return [Complaint("expected one number", f"one for each of {', '.join(value)}")]
        else:
            wrong = [found.within(key) for key, number in value.items() if (found := self.complaint(number))]
            known = ", ".join(components) or "none"
            wrong += [Complaint("unknown component", allowed=known, key=(key,)) for key in value if key not in components]
            missing = [] if self.fractions or self.sparse else [component for component in components if component not in value]
            wrong += [Complaint(f"needs one value for each component; missing: {', '.join(missing)}")] if missing else []
        if self.fractions and not wrong:
            total = math.fsum(self.by_component(value, components).values())
            wrong += [] if abs(total - 1.0) <= FRACTION_TOLERANCE else [Complaint(f"mass fractions sum to {total:.9f}", allowed="1")]
        return wrong

    def by_component(self, value: Any, components: Sequence[str]) -> dict[str, float]:
        """Return one number per component from a mapping (unnamed components have none), or from one number that holds for all."""
        if isinstance(value, Mapping):
            return {component: float(value.get(component, 0.0)) for component in components}
        return dict.fromkeys(components, float(value))


class UnitBlock(BlockData):
    """Base of all unit operations; subclasses fill in the class attributes and ``build``.

    A unit that holds material defines ``holdup[t, component]`` (kg), one that takes material from outside the
    flowsheet ``supply[t, component]`` (kg/s), one that hands it out of the flowsheet ``withdrawal[t, component]``
    (kg/s), one in which components react ``reaction[t, component]`` (kg/s made), and one that takes material in jumps
    ``dosed[t, component]`` (kg since the start): the flowsheet's balance is made from them. For components that are counted
    in moles or cells the names end in ``_moles`` and ``_cells``, and units are mol and cell. Units of liquids also say
    ``volume_supply[t]`` and ``volume_withdrawal[t]`` (m3/s).
    """

    handles: ClassVar[type] = Material
    """The class of the components that the unit knows; others in the flowsheet it never hears of."""
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()
    """Names of time-indexed Vars and Expressions worth a plot, most telling first."""
    inputs: ClassVar[tuple[str, ...]] = ()
    """Names of the time-indexed Vars that the unit fixes to a constant and a case may give a profile: the parameters that say so."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.inputs = tuple(parameter.name for parameter in cls.parameters if parameter.input)

    bands: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Lasting happenings that plots mark: what each is called, and the names of the Events that begin and end it."""

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the inlet ports for the given parameters."""
        return ()

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the outlet ports for the given parameters."""
        return ()

    @classmethod
    def known(cls, components: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of a flowsheet's components that the unit handles."""
        return {name: component for name, component in components.items() if isinstance(component, cls.handles)}

    def refusal(self, parameter: str, message: str, hint: str = "") -> CaseError:
        """Return the error that says what is wrong with a parameter beside the others."""
        complaint = Complaint(message, hint=hint, key=(parameter,))
        return CaseError(str(complaint.within(self.name)), names=[self.name], hint=hint, complaints=[complaint])

    def add_parameters(self, time: Any, components: Sequence[str] | Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, int]:
        """Add what the parameters declare: mutable Params, and fixed Vars over time for the inputs.

        ``components`` are names, or with parameters ``of`` a measure the components by name.

        Returns
        -------
        The whole numbers by name; they are fixed when the unit is built.

        Raises
        ------
        CaseError : a parameter is unknown, missing or out of its range; all of them are named.
        """
        known = {parameter.name for parameter in self.parameters}
        allowed = ", ".join(sorted(known))
        complaints = [Complaint("unknown parameter", allowed=allowed, key=(name,)) for name in given if name not in known]
        for parameter in self.parameters:
            wrong = parameter.complaints(parameter.chosen(given), parameter.members(components))
            complaints += [complaint.within(parameter.name) for complaint in wrong]
        if complaints:
            raise CaseError("; ".join(str(c.within(self.name)) for c in complaints), names=[self.name], complaints=complaints)

        whole: dict[str, int] = {}
        for parameter in self.parameters:
            value = parameter.chosen(given)
            if parameter.integer:
                whole[parameter.name] = int(value)
                continue
            members = parameter.members(components)
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
        return whole
