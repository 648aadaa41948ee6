"""Ratio: a signal in proportion to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.parameter import Parameter
from units.signal import KINDS
from units.stream import Material
from units.unit import UnitBlock


@declare_custom_block("Ratio", rule="build")
class RatioData(UnitBlock):
    """Signal in proportion to another: ratio control, and the change from one kind of signal to another.

    Equation::

        output = ratio measured + bias

    | symbol | meaning | unit |
    |---|---|---|
    | measured | signal from another unit | measured_unit |
    | ratio, bias | inputs, which a profile or another signal may change | output_unit/measured_unit, output_unit |
    | output | signal | output_unit |

    Assumptions: none; it holds nothing and has no limits. Valid for any signal whose kind is in ``units.signal.KINDS``; at ratio zero the
    output is the bias.

    Raises
    ------
    CaseError : a parameter is unknown or missing.
    """

    handles: ClassVar[type] = object  # no components
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("measured_unit", u.dimensionless, "SI unit of what is measured", "", names_unit=True),
        Parameter("output_unit", u.dimensionless, "SI unit of the output", "", names_unit=True),
        Parameter("ratio", "output_unit/measured_unit", "ratio", input=True),
        Parameter("bias", "output_unit", "output at zero", 0.0, input=True),
    )
    shown: ClassVar[tuple[str, ...]] = ("output", "measured")
    required_signals: ClassVar[tuple[str, ...]] = ("measured",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, the signal and the proportion."""
        kinds = self.add_parameters(time, list(materials), given)
        self.measured = pyo.Var(time, initialize=0.0, units=KINDS[kinds["measured_unit"]], doc="measured signal")

        @self.Expression(time, doc="signal in proportion to what is measured")
        def output(b: Any, t: float) -> Any:
            return b.ratio[t] * b.measured[t] + b.bias[t]
