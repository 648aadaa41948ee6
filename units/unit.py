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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pyomo.core.base.block import BlockData
from pyomo.environ import Param, Reals
from pyomo.environ import units as pyunits

from solvers.errors import CaseError


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
    integer : a whole number that changes the structure of the unit.
    source : where the default or range comes from; "recalled" if nobody has checked.
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
    integer: bool = False
    source: str = ""

    def complaint(self, value: Any) -> str:
        """Return what is wrong with a number given in SI for this parameter, or an empty string."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"expected a number, got {value!r}"
        if not math.isfinite(value):
            return f"not finite (got {value!r})"
        if self.integer and value != int(value):
            return f"expected a whole number, got {value!r}"
        if value < self.lower or (self.open_lower and value == self.lower):
            return f"below its bound (got {value:g}); allowed: {self.allowed()}"
        if value > self.upper or (self.open_upper and value == self.upper):
            return f"above its bound (got {value:g}); allowed: {self.allowed()}"
        return ""

    def allowed(self) -> str:
        """Return the allowed range in SI as text, such as ``(0, inf) kg``."""
        left = "(" if self.open_lower or self.lower == -math.inf else "["
        right = ")" if self.open_upper or self.upper == math.inf else "]"
        unit = "" if self.unit is pyunits.dimensionless else f" {self.unit}"
        return f"{left}{self.lower:g}, {self.upper:g}{right}{unit}"


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
    """Names of the time-indexed Vars that the unit fixes to a constant and a case may give a profile."""

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the inlet ports for the given parameters."""
        return ()

    @classmethod
    def outlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the outlet ports for the given parameters."""
        return ()

    def add_parameters(self, components: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, int]:
        """Add a mutable Param for each real parameter and return the whole numbers that shape the structure.

        Raises
        ------
        CaseError : a parameter is unknown, missing or out of its range; all of them are named.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        complaints = [f"{self.name}.{name}: unknown parameter; allowed: {', '.join(known)}" for name in given if name not in known]
        structural: dict[str, int] = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                complaints.append(f"{self.name}.{parameter.name}: has to be given; allowed: {parameter.allowed()}")
                continue
            if parameter.per_component and not isinstance(value, Mapping):
                value = dict.fromkeys(components, value)
            numbers = value.values() if isinstance(value, Mapping) else (value,)
            wrong = [f"{self.name}.{parameter.name}: {parameter.complaint(number)}" for number in numbers if parameter.complaint(number)]
            if parameter.per_component and set(value) != set(components):
                wrong.append(f"{self.name}.{parameter.name}: needs one value for each of {', '.join(components)}")
            if wrong:
                complaints += wrong
            elif parameter.integer:
                structural[parameter.name] = int(value)
            else:
                index = (list(components),) if parameter.per_component else ()
                self.add_component(parameter.name, Param(*index, initialize=value, mutable=True, within=Reals, units=parameter.unit, doc=parameter.doc))
        if complaints:
            raise CaseError("; ".join(complaints), names=[self.name])
        return structural

