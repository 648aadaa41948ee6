"""Units of many expressions that share named Expressions: each of these is looked into once."""

from __future__ import annotations

from typing import Any

from pyomo.core.base.units_container import PintUnitExtractionVisitor, _PyomoUnit
from pyomo.environ import units as pyunits


class UnitReader(PintUnitExtractionVisitor):
    """Tells units of variables and expressions of one model, which has to live as long and stay as it is.

    Pyomo's ``units.get_units`` walks through everything below an expression at each call: with a hundred size classes, each share of which
    is over the sum of all, that took longer than the run.
    """

    def __init__(self) -> None:
        super().__init__(pyunits)
        self._known: dict[int, Any] = {}

    def text(self, expression: Any) -> str:
        """Return the unit as text, empty if it is dimensionless."""
        unit = str(_PyomoUnit(self.walk_expression(expr=expression), pyunits.pint_registry))
        return "" if unit == "dimensionless" else unit

    def beforeChild(self, node: Any, child: Any, child_idx: Any) -> tuple[bool, Any]:
        """Take what is known of a named Expression."""
        if id(child) in self._known:
            return False, self._known[id(child)]
        return super().beforeChild(node, child, child_idx)

    def exitNode(self, node: Any, data: Any) -> Any:
        """Keep what is found of a named Expression."""
        found = super().exitNode(node, data)
        if node.is_named_expression_type():
            self._known[id(node)] = found
        return found
