"""CHO cells in batch, after Craven, Shirsat, Whelan and Glennon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from units.bioreactor import BioreactorData
from units.kinetics.cho import CELL_PER_MOL, MMOL_PER_H, MOLARITY, PER_CELL, PER_H, inhibited_growth
from units.kinetics.kinetics import Kinetics, Rates, available
from units.parameter import Parameter
from units.stream import CELLS, MOLES, Measure

_CRAVEN = "Craven et al. 2012"


class ChoBatch(Kinetics):
    """Growth of CHO cells on glucose and glutamine with lactate and ammonia (table 1 of the source).

    With XV, XD the densities of ``viable`` and ``dead`` cells, and G, Q, L, A the molarities of ``glucose``, ``glutamine``,
    ``lactate`` and ``ammonia``::

        mu   = maximum_growth G/(K_G + G) Q/(K_Q + Q) K_L/(K_L + L) K_A/(K_A + A)
        k_d  = maximum_death death_growth/(mu + death_growth)
        q_G  = mu/Y_xg + m_G tanh(G/glucose_floor),   q_Q = mu/Y_xq + m_Q tanh(Q/glutamine_floor)
        r_XV = (mu - k_d) XV,   r_XD = k_d XV - lysis XD
        r_G  = -q_G XV,         r_Q  = -q_Q XV - degradation Q
        r_L  = lactate_yield q_G XV,   r_A = ammonia_yield q_Q XV + degradation Q

    | symbol | meaning | unit |
    |---|---|---|
    | specific_growth, specific_death | mu, k_d | 1/s |
    | total_density | all cells, XV + XD | cell/m3 |

    Constant in batch: L + lactate_yield G.

    Assumptions: those of the source. Beyond it: maintenance fades with what it consumes (tanh), where the source would go on below
    zero. Valid for any concentration that is not negative.

    Source: Craven, Shirsat, Whelan and Glennon 2012, Biotechnol Prog, doi 10.1002/btpr.1664, constants as transcribed in insidapy (MIT).
    """

    components: ClassVar[Mapping[str, Measure]] = {
        "viable": CELLS,
        "dead": CELLS,
        "glucose": MOLES,
        "glutamine": MOLES,
        "lactate": MOLES,
        "ammonia": MOLES,
    }
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("maximum_growth", 1 / u.s, "largest specific growth rate", 0.035 * PER_H, 0.0, source=_CRAVEN),
        Parameter("maximum_death", 1 / u.s, "largest specific death rate", 0.01 * PER_H, 0.0, source=_CRAVEN),
        Parameter.positive("death_growth", 1 / u.s, "specific growth rate that halves death", 0.01 * PER_H, source=_CRAVEN),
        Parameter("lysis", 1 / u.s, "rate at which dead cells dissolve", 0.04 * PER_H, 0.0, source=_CRAVEN),
        Parameter("degradation", 1 / u.s, "rate at which glutamine decays", 0.001 * PER_H, 0.0, source=_CRAVEN),
        Parameter.positive("glucose_half", MOLARITY, "K_G of growth", 1.0, source=_CRAVEN),
        Parameter.positive("glutamine_half", MOLARITY, "K_Q of growth", 0.22, source=_CRAVEN),
        Parameter.positive("lactate_inhibition", MOLARITY, "K_L of growth", 150.0, source=_CRAVEN),
        Parameter.positive("ammonia_inhibition", MOLARITY, "K_A of growth", 40.0, source=_CRAVEN),
        Parameter.positive("glucose_cells", CELL_PER_MOL, "cells per glucose for growth", 9.23e10, source=_CRAVEN),
        Parameter.positive("glutamine_cells", CELL_PER_MOL, "cells per glutamine for growth", 8.8e11, source=_CRAVEN),
        Parameter("glucose_maintenance", PER_CELL, "glucose for maintenance", 8e-13 * MMOL_PER_H, 0.0, source=_CRAVEN),
        Parameter("glutamine_maintenance", PER_CELL, "glutamine for maintenance", 3e-12 * MMOL_PER_H, 0.0, source=_CRAVEN),
        Parameter("lactate_yield", u.dimensionless, "lactate per glucose", 1.6, 0.0, source=_CRAVEN),
        Parameter("ammonia_yield", u.dimensionless, "ammonia per glutamine", 0.6, 0.0, source=_CRAVEN),
        Parameter.positive("glucose_floor", MOLARITY, "glucose below which maintenance fades", 0.02, source="assumed"),
        Parameter.positive("glutamine_floor", MOLARITY, "glutamine below which maintenance fades", 0.02, source="assumed"),
    )
    shown: ClassVar[tuple[str, ...]] = ("specific_growth", "specific_death")
    organism: ClassVar[str] = "viable"

    def prepare(self, block: Any, time: Any) -> None:
        """Add specific rates and the density of all cells."""

        @block.Expression(time, doc="specific growth rate")
        def specific_growth(b: Any, t: float) -> Any:
            return inhibited_growth(b, t, b.concentrations(t), "glutamine", b.glutamine_half)

        @block.Expression(time, doc="specific death rate")
        def specific_death(b: Any, t: float) -> Any:
            return b.maximum_death * b.death_growth / (b.specific_growth[t] + b.death_growth)

        @block.Expression(time, doc="density of all cells")
        def total_density(b: Any, t: float) -> Any:
            c = b.concentrations(t)
            return c["viable"] + c["dead"]

    def rates(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return the rates of all six components."""
        mu, dying = b.specific_growth[t], b.specific_death[t] * c["viable"]
        glucose = mu / b.glucose_cells + b.glucose_maintenance * available(c["glucose"], b.glucose_floor)
        glutamine = mu / b.glutamine_cells + b.glutamine_maintenance * available(c["glutamine"], b.glutamine_floor)
        decayed = b.degradation * c["glutamine"]
        return {
            "viable": mu * c["viable"] - dying,
            "dead": dying - b.lysis * c["dead"],
            "glucose": -glucose * c["viable"],
            "glutamine": -glutamine * c["viable"] - decayed,
            "lactate": b.lactate_yield * glucose * c["viable"],
            "ammonia": b.ammonia_yield * glutamine * c["viable"] + decayed,
        }


@declare_custom_block("ChoBatchReactor", rule="build")
class ChoBatchReactorData(BioreactorData):
    """A bioreactor with CHO cells by the small model of a batch.

    The vessel is that of :class:`units.bioreactor.BioreactorData`, the kinetics :class:`ChoBatch`; both say equations, symbols,
    assumptions and the valid range. Components: ``viable`` and ``dead`` in cells, ``glucose``, ``glutamine``, ``lactate`` and
    ``ammonia`` in moles, and any other, which is only carried along.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or a component is missing or counted otherwise.
    """

    kinetics: ClassVar[Kinetics] = ChoBatch()
