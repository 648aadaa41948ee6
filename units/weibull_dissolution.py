"""Dissolution by Weibull's distribution, where nothing is known of the particles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import nominal
from units.dissolving import weibull_dissolved
from units.laws import KINK_WIDTH, smooth_positive
from units.parameter import Parameter
from units.stream import Material
from units.unit import UnitBlock


@declare_custom_block("WeibullDissolution", rule="build")
class WeibullDissolutionData(UnitBlock):
    """One tablet that dissolves by Weibull's distribution: a curve to be fitted to a measured one, without a mechanism.

    Equations::

        dissolved_share = 1 - exp(-((elapsed - lag)/scale)^shape) after the lag, 0 before
        dissolved_mass  = dose dissolved_share,  concentration = dissolved_mass/volume
        d elapsed/dt    = 1

    | symbol | meaning | unit |
    |---|---|---|
    | elapsed | time since the start (state) | s |
    | scale | time after the lag at which 63.2 % is dissolved | s |
    | shape | below one: fastest at first; one: first order; above one: S-shaped | - |

    Assumptions: none about the tablet; nothing of it is known beyond the curve, so that neither volume nor solubility change it. The kink
    at the end of the lag is rounded over 1e-8 of the scale.

    Valid for any dose, zero included, as long as the medium takes all of it. Source: Langenbucher 1972
    (J Pharm Pharmacol 24:979; recalled).

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    handles: ClassVar[type] = object  # no components
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("dose", u.kg, "drug in the tablet", None, 0.0),
        Parameter.positive("volume", u.m**3, "volume of the medium", 0.9e-3, "recalled: 500-1000 mL"),
        Parameter("lag", u.s, "time until dissolution begins", 0.0, 0.0),
        Parameter.positive("scale", u.s, "time after the lag at which 63.2 % is dissolved"),
        Parameter.positive("shape", u.dimensionless, "exponent", 1.0),
    )
    shown: ClassVar[tuple[str, ...]] = ("dissolved_share", "concentration")

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, the clock and the curve."""
        self.add_parameters(time, list(materials), given)
        # a state instead of time itself: rules with explicit time would have to be told apart from constants
        self.elapsed = pyo.Var(time, initialize=0.0, units=u.s, doc="time since the start")
        self.elapsed_rate = DerivativeVar(self.elapsed, wrt=time, units=u.dimensionless, doc="rate of time")
        nominal(self.elapsed, 1.0)

        @self.Constraint(time, doc="time passes")
        def clock(b: Any, t: float) -> Any:
            return b.elapsed_rate[t] == 1

        @self.Constraint(doc="the start")
        def start(b: Any) -> Any:
            return b.elapsed[time.first()] == 0 * u.s

        @self.Expression(time, doc="share of the dose in solution")
        def dissolved_share(b: Any, t: float) -> Any:
            return weibull_dissolved(smooth_positive(b.elapsed[t] - b.lag, KINK_WIDTH * b.scale), b.scale, b.shape)

        @self.Expression(time, doc="drug in solution")
        def dissolved_mass(b: Any, t: float) -> Any:
            return b.dose * b.dissolved_share[t]

        @self.Expression(time, doc="concentration in the medium")
        def concentration(b: Any, t: float) -> Any:
            return b.dissolved_mass[t] / b.volume
