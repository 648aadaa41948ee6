"""Continuous blender as dispersed plug flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units import bed
from units.blender import HOLDUP, INLETS, discharge_rate
from units.parameter import Parameter
from units.powders import carried
from units.stream import Material, add_inlets, add_powder_port
from units.unit import UnitBlock, numbered_inlets


@declare_custom_block("DispersionBlender", rule="build")
class DispersionBlenderData(UnitBlock):
    """Continuous blender as axially dispersed plug flow in a closed vessel, with a hold-up of its own.

    Equations, for share k of n of the hold-up M (:mod:`units.bed`) and component c::

        leaving         = M rate,  rate = 1/mean_time (speed/reference_speed)^speed_exponent phi(fill), phi as in the blender of tanks
        G[k]            = F_in + k/n (leaving - F_in)
        d mass[k, c]/dt = G[k-1] face[k-1, c] - G[k] face[k, c]
        face[k, c]      = (content[k, c] + content[k+1, c])/2 - n/Pe (content[k+1, c] - content[k, c]),  k < n
        face[n, c]      = content[n, c],  content[k, c] = mass[k, c]/(M/n)
        Pe              = peclet (speed/reference_speed)^-peclet_exponent

    the central finite-volume form, second order in 1/n, of ``dw/dt + (1/tau) dw/dx = (1/(Pe tau)) d2w/dx2`` on the mass coordinate x,
    closed at both ends (Danckwerts 1953, Chem Eng Sci 2:1). Fractions keep within their range. At steady flow the residence time has the
    mean tau and the variance ``tau^2 [2/Pe - 2/Pe^2 (1 - exp(-Pe))]``.

    | symbol | meaning | unit |
    |---|---|---|
    | mass[k, c], total_mass | powder in a share by component (state); hold-up M | kg |
    | mean_time | mean residence time tau at reference speed and flow | s |
    | peclet, Pe | Peclet number u L/D at reference speed; at the present speed | - |
    | speed | impeller speed (input) | rev/s |
    | residence_time | mean time at the present hold-up | s |

    Assumptions: dispersion goes with the flow, so that Pe does not depend on it; all components move alike; the impeller acts at once; the
    hold-up is even along the blender.

    Valid for any flow that is not negative, zero and an empty blender included; with fewer shares than Pe/2 the convection scheme's own
    spread shows. Source: axial dispersion of continuous blenders, Escotet-Espinoza et al. 2019 (Powder Technol 344:525), form; Pe 3-20,
    recalled.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range.
    """

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("cells", u.dimensionless, "number of shares of the hold-up", 20, 2, integer=True, source="assumed"),
        Parameter.positive("peclet", u.dimensionless, "Peclet number at reference speed", 10.0, source="recalled: 3-20"),
        Parameter("peclet_exponent", u.dimensionless, "exponent with which it falls with speed", 0.0, source="assumed"),
        *HOLDUP,
    )
    outlet_names: ClassVar[tuple[str, ...]] = ("outlet",)
    shown: ClassVar[tuple[str, ...]] = ("outlet_fraction", "outlet_total", "total_mass", "residence_time")

    @classmethod
    def inlets(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return ``inlet_1`` to the number of inlets asked for."""
        return numbered_inlets(INLETS, given)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, ports, states and equations."""
        members = carried(materials)
        shares = self.add_parameters(time, list(materials), given)["cells"]
        add_inlets(self, time, materials, self.inlets(given), "powder into the blender")
        add_powder_port(self, "outlet", time, materials, doc="blend")
        bed.add_shares(self, time, materials, shares)

        @self.Expression(time, doc="Peclet number at the present speed")
        def present_peclet(b: Any, t: float) -> Any:
            return b.peclet * (b.speed[t] / b.reference_speed) ** -b.peclet_exponent

        @self.Expression(time, self.share, members, doc="mass fraction carried through the face behind a share, dispersion included")
        def face(b: Any, t: float, k: int, c: str) -> Any:
            if k == shares:
                return b.content[t, k, c]
            difference = b.content[t, k + 1, c] - b.content[t, k, c]
            return b.content[t, k, c] + difference * (1 / 2 - shares / b.present_peclet[t])

        @self.Expression(time, doc="hold-up")
        def total_mass(b: Any, t: float) -> Any:
            return b.level[t]

        @self.Expression(time, doc="discharge per hold-up")
        def rate(b: Any, t: float) -> Any:
            return discharge_rate(b, t, b.level[t], b.mean_time)

        @self.Expression(time, doc="mass flow that leaves")
        def leaving(b: Any, t: float) -> Any:
            return b.rate[t] * b.level[t]

        @self.Expression(time, doc="mean residence time at the present hold-up")
        def residence_time(b: Any, t: float) -> Any:
            return 1 / b.rate[t]

        bed.add_balances(self, time, members)
        self.too_coarse = Event(
            guard=lambda b, t: b.present_peclet[t] - 2 * shares,
            direction=Direction.RISING,
            doc="the Peclet number exceeds twice the number of cells",
            refusal="give the blender more cells",
        )
