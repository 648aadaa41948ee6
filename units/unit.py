"""What every unit operation promises: its parameters, ports, inventory and what is worth looking at.

A unit operation is the data class of a Pyomo custom block::

    @declare_custom_block("ContinuousBlender", rule="build")
    class ContinuousBlenderData(UnitBlock):
        parameters = (Parameter("tanks", u.dimensionless, "number of equal tanks", integer=True, default=3, lower=1), ...)

        def build(self, *_, time, materials, **given): ...

It is made as ``ContinuousBlender(time=model.time, materials=materials, **parameters)``: ``time`` is the model's one
``ContinuousSet`` (in seconds), ``materials`` maps component names to :class:`units.stream.Material`, parameters are
numbers in SI (``{component: number}`` where ``per_component``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

from pyomo.core.base.block import BlockData
from pyomo.environ import Param, RangeSet, Var
from pyomo.environ import units as pyunits

from solvers.errors import CaseError, Complaint
from units.signal import KINDS, relative_unit

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
    unit : SI unit as a Pyomo unit expression (``u.kg / u.s``, ``u.dimensionless``), or a text in terms of parameters that name
        units (``"output_unit/measured_unit"``), which :meth:`UnitBlock.declared` resolves.
    doc : one line.
    default : value in SI; None if it has to be given; the text of a unit where ``names_unit``.
    lower, upper : bounds in SI; the bound itself is allowed unless ``open_lower`` / ``open_upper``.
    per_component : one number per component, given as a mapping.
    fractions : the numbers per component are mass fractions: components not named have none, and the sum is one.
    integer : a whole number that is fixed when the unit is built (most shape its structure).
    structural : fixed when the unit is built, though no whole number.
    input : the constant value of the time-indexed Var of this name, which a profile may replace.
    names_unit : not a number but the SI unit of a signal, as text (:data:`units.signal.KINDS`).
    source : where the default or range comes from; "recalled" if nobody has checked.

    >>> print(Parameter("tanks", pyunits.dimensionless, "number of tanks", lower=1, integer=True).complaint(2.5))
    expected a whole number (got 2.5)
    """

    name: str
    unit: Any
    doc: str
    default: Any = None
    lower: float = -math.inf
    upper: float = math.inf
    open_lower: bool = False
    open_upper: bool = False
    per_component: bool = False
    fractions: bool = False
    integer: bool = False
    structural: bool = False
    input: bool = False
    names_unit: bool = False
    source: str = ""

    @classmethod
    def positive(cls, name: str, unit: Any, doc: str, default: float | None = None, source: str = "", **more: Any) -> Parameter:
        """Return a parameter that has to be above zero; ``more`` as for any."""
        return cls(name, unit, doc, default, 0.0, open_lower=True, source=source, **more)

    def chosen(self, given: Mapping[str, Any]) -> Any:
        """Return what is given for this parameter among others by name, or its default."""
        return given.get(self.name, self.default)

    def complaint(self, value: Any) -> Complaint | None:
        """Return what is wrong with one number given in SI for this parameter, or with the unit that it names."""
        if self.names_unit:
            known = isinstance(value, str) and value in KINDS
            return None if known else Complaint("no unit of a signal", repr(value), self.allowed())
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
        if self.names_unit:
            return ", ".join(kind or '"" for a plain number' for kind in KINDS)
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
            known = ", ".join(components)
            wrong += [Complaint("unknown component", allowed=known, key=(key,)) for key in value if key not in components]
            missing = [] if self.fractions else [component for component in components if component not in value]
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
    (kg/s): Expressions, from which the flowsheet's balance is made.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()
    """Names of time-indexed Vars and Expressions worth a plot, most telling first."""
    inputs: ClassVar[tuple[str, ...]] = ()
    """Names of the time-indexed Vars that the unit fixes to a constant and a case may give a profile: the parameters that say so."""

    required_signals: ClassVar[tuple[str, ...]] = ()
    """Names of the time-indexed Vars that a signal has to drive: the unit leaves them free."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.inputs = tuple(parameter.name for parameter in cls.parameters if parameter.input)

    bands: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Lasting happenings that plots mark: what each is called, and the names of the Events that begin and end it."""

    @classmethod
    def declared(cls, given: Mapping[str, Any]) -> tuple[Parameter, ...]:
        """Return the parameters with the units of the signals that are given; where one is not given, or unknown, of its default."""
        kinds = {}
        for parameter in cls.parameters:
            if parameter.names_unit:
                chosen = parameter.chosen(given)
                kinds[parameter.name] = chosen if isinstance(chosen, str) and chosen in KINDS else parameter.default or ""
        return tuple(replace(p, unit=relative_unit(p.unit, kinds)) if isinstance(p.unit, str) else p for p in cls.parameters)

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the inlet ports for the given parameters."""
        return ()

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the outlet ports for the given parameters."""
        return ()

    def refusal(self, parameter: str, message: str, hint: str = "") -> CaseError:
        """Return the error that says what is wrong with a parameter beside the others."""
        complaint = Complaint(message, hint=hint, key=(parameter,))
        return CaseError(str(complaint.within(self.name)), names=[self.name], hint=hint, complaints=[complaint])

    def add_parameters(self, time: Any, components: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """Add what the parameters declare: mutable Params, and fixed Vars over time for the inputs.

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
        complaints = [Complaint("unknown parameter", allowed=allowed, key=(name,)) for name in given if name not in known]
        for parameter in declared:
            wrong = parameter.complaints(parameter.chosen(given), components)
            complaints += [complaint.within(parameter.name) for complaint in wrong]
        if complaints:
            raise CaseError("; ".join(str(c.within(self.name)) for c in complaints), names=[self.name], complaints=complaints)

        built_in: dict[str, Any] = {}
        for parameter in declared:
            value = parameter.chosen(given)
            if parameter.names_unit or parameter.integer or parameter.structural:
                built_in[parameter.name] = int(value) if parameter.integer else value
                continue
            index = (list(components),) if parameter.per_component else ()
            start: dict[Any, float] = parameter.by_component(value, components) if parameter.per_component else {None: float(value)}
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
