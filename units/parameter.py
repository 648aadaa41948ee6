"""What an engineer gives to a unit: a number with its unit of measure, its range and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pyomo.environ import units as pyunits

from solvers.errors import Complaint
from units.signal import KINDS
from units.stream import Measure

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
    sparse : components not named have zero.
    named : there are numbers for the components that the mapping names, and for no others.
    of : the parameter has numbers for the components of this measure only.
    integer : a whole number that is fixed when the unit is built (most shape its structure).
    structural : fixed when the unit is built, though no whole number.
    input : the constant value of the time-indexed Var of this name, which a profile may replace.
    names_unit : not a number but the SI unit of a signal, as text (:data:`units.signal.KINDS`).
    when : name and value of another parameter, a whole number, without which this one does not exist.
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
    sparse: bool = False
    named: bool = False
    of: Measure | None = None
    integer: bool = False
    structural: bool = False
    input: bool = False
    names_unit: bool = False
    when: tuple[str, int] | None = None
    source: str = ""

    @classmethod
    def positive(cls, name: str, unit: Any, doc: str, default: float | None = None, source: str = "", **more: Any) -> Parameter:
        """Return a parameter that has to be above zero; ``more`` as for any."""
        return cls(name, unit, doc, default, 0.0, open_lower=True, source=source, **more)

    def chosen(self, given: Mapping[str, Any]) -> Any:
        """Return what is given for this parameter among others by name, or its default."""
        return given.get(self.name, self.default)

    @property
    def condition(self) -> str:
        """What has to be given so that the parameter exists, such as ``aerated = 1``; empty if nothing."""
        return "" if self.when is None else "{} = {}".format(*self.when)

    @property
    def meaning(self) -> str:
        """The one line of documentation, with the condition if there is one."""
        return self.doc + (f" (with {self.condition})" if self.when else "")

    def members(self, components: Sequence[str] | Mapping[str, Any]) -> list[str]:
        """Return the components for which the parameter has numbers; with ``of``, they have to come as a mapping from name to component."""
        if self.of is None or not isinstance(components, Mapping):
            return list(components)
        return [name for name, component in components.items() if component.measure is self.of]

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
