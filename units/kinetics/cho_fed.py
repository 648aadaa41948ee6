"""CHO cells in fed-batch with an antibody, after Kotidis et al."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyomo.core.base.block import declare_custom_block
from pyomo.environ import units as u

from solvers.declare import Direction, Event
from units.bioreactor import BioreactorData
from units.kinetics.cho import CELL_PER_MOL, MMOL_PER_H, MOLARITY, PER_CELL, PER_H, inhibited_growth
from units.kinetics.kinetics import Kinetics, Rates, available
from units.parameter import Parameter
from units.stream import CELL, CELLS, MASS, MOLES, Measure

_KOTIDIS = "Kotidis et al. 2019, T127"


class ChoFedBatch(Kinetics):
    """Growth of CHO cells on glucose and asparagine, and an antibody.

    With X the density of ``viable`` cells and Glc, Asn, Amm, Lac, Glu, Gln the molarities of ``glucose``, ``asparagine``,
    ``ammonia``, ``lactate``, ``glutamate``, ``glutamine``; specific rates q per cell, and r = q X::

        mu    = maximum_growth Glc/(K_glc + Glc) Asn/(K_asn + Asn) KI_amm/(KI_amm + Amm) KI_lac/(KI_lac + Lac)
        mu_d  = maximum_death Amm/(K_d + Amm)
        q_X   = mu - mu_d
        q_Glc = -mu/Y_glc - m_glc tanh(Glc/floor)
        q_Amm = mu/Y_amm
        q_Gln = mu/Y_gln + Y_gln_amm q_Amm
        q_Glu = -mu/Y_glu tanh(Glu/floor)
        q_Lac = (mu/Y_lac - Y_lac_glc q_Glc) (Lac_1 - Lac)/Lac_1 + m_lac (Lac_2 - Lac)/Lac_2
        q_Asn = mu (Y_asp - Y_asn Y_asn_asp)/(Y_asn Y_asp) (Y_asn_asp Y_asp_asn - 1)
        q_mAb = Y_mab mu + m_mab

    Event ``starved``: glucose falls below five times the floor, from where on the factors tanh act.

    | symbol | meaning | unit |
    |---|---|---|
    | specific_growth, specific_death | mu, mu_d | 1/s |
    | viable; antibody; others | components | cell; kg; mol |

    Assumptions: those of the source; dead cells are not followed. Beyond it: the factors tanh, without which maintenance would carry
    glucose, and growth glutamate, below zero; they are one to 1e-8 above ten floors. A shot of glucose brings its volume, which
    the source leaves out. Valid for any concentration that is not negative.

    Source: Kotidis, Jedrzejewski, Sou et al. 2019, Biotechnol Bioeng 116:1612; equations and constants as in the repository
    ly1815/enkf-knowledge-transfer (MIT; Yu, del Rio Chanona and Kontoravdi 2026, doi 10.1002/bit.70269), nominal set of the line T127.
    """

    components: ClassVar[Mapping[str, Measure]] = {
        "viable": CELLS,
        "antibody": MASS,
        **dict.fromkeys(("glucose", "ammonia", "glutamine", "lactate", "glutamate", "asparagine"), MOLES),
    }
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("maximum_growth", 1 / u.s, "mu_max", 0.065 * PER_H, 0.0, source=_KOTIDIS),
        Parameter("maximum_death", 1 / u.s, "mu_d_max", 0.015 * PER_H, 0.0, source=_KOTIDIS),
        Parameter.positive("glucose_half", MOLARITY, "K_glc of growth", 14.0378, source=_KOTIDIS),
        Parameter.positive("asparagine_half", MOLARITY, "K_asn of growth", 2.62371, source=_KOTIDIS),
        Parameter.positive("lactate_inhibition", MOLARITY, "KI_lac of growth", 1000.0, source=_KOTIDIS),
        Parameter.positive("ammonia_inhibition", MOLARITY, "KI_amm of growth", 3.16935, source=_KOTIDIS),
        Parameter.positive("ammonia_death", MOLARITY, "K_d of death", 14.283, source=_KOTIDIS),
        Parameter("lactate_maintenance", PER_CELL, "m_lac", 1.87253e-10 * MMOL_PER_H, 0.0, source=_KOTIDIS),
        Parameter("glucose_maintenance", PER_CELL, "m_glc", 3.43293e-11 * MMOL_PER_H, 0.0, source=_KOTIDIS),
        Parameter.positive("lactate_ceiling", MOLARITY, "Lac_1, lactate at which growth makes no more", 21.1983, source=_KOTIDIS),
        Parameter.positive("lactate_turn", MOLARITY, "Lac_2, lactate above which it is consumed", 16.0, source=_KOTIDIS),
        Parameter.positive("glucose_cells", CELL_PER_MOL, "Y_glc, cells per glucose", 1.0115e12, source=_KOTIDIS),
        Parameter.positive("glutamine_cells", CELL_PER_MOL, "Y_gln, cells per glutamine", 4.64127e12, source=_KOTIDIS),
        Parameter.positive("glutamate_cells", CELL_PER_MOL, "Y_glu, cells per glutamate", 1.45647e13, source=_KOTIDIS),
        Parameter.positive("lactate_cells", CELL_PER_MOL, "Y_lac, cells per lactate", 5.45539e10, source=_KOTIDIS),
        Parameter.positive("ammonia_cells", CELL_PER_MOL, "Y_amm, cells per ammonia", 2.36299e12, source=_KOTIDIS),
        Parameter.positive("asparagine_cells", CELL_PER_MOL, "Y_asn, cells per asparagine", 7.6824e11, source=_KOTIDIS),
        Parameter.positive("aspartate_cells", CELL_PER_MOL, "Y_asp, cells per aspartate", 3.59e12, source=_KOTIDIS),
        Parameter("glutamine_ammonia", u.dimensionless, "Y_gln_amm", 0.104524, 0.0, source=_KOTIDIS),
        Parameter("lactate_glucose", u.dimensionless, "Y_lac_glc", 1.56, 0.0, source=_KOTIDIS),
        Parameter("aspartate_asparagine", u.dimensionless, "Y_asp_asn", 0.126, 0.0, source=_KOTIDIS),
        Parameter("asparagine_aspartate", u.dimensionless, "Y_asn_asp", 0.1, 0.0, source=_KOTIDIS),
        Parameter(
            "antibody_maintenance", u.kg / CELL / u.s, "m_mab, antibody per cell and time", 4.12718e-16 * PER_H, 0.0, source=_KOTIDIS
        ),
        Parameter("antibody_growth", u.kg / CELL, "Y_mab, antibody per cell grown", 3.38956e-15, 0.0, source=_KOTIDIS),
        Parameter.positive("floor", MOLARITY, "glucose and glutamate below which their consumption fades", 0.05, source="assumed"),
    )
    shown: ClassVar[tuple[str, ...]] = ("specific_growth", "specific_death")
    organism: ClassVar[str] = "viable"

    def prepare(self, block: Any, time: Any) -> None:
        """Add specific rates and the event that tells of starvation."""

        @block.Expression(time, doc="specific growth rate")
        def specific_growth(b: Any, t: float) -> Any:
            return inhibited_growth(b, t, b.concentrations(t), "asparagine", b.asparagine_half)

        @block.Expression(time, doc="specific death rate")
        def specific_death(b: Any, t: float) -> Any:
            ammonia = b.concentrations(t)["ammonia"]
            return b.maximum_death * ammonia / (b.ammonia_death + ammonia)

        block.starved = Event(
            guard=lambda b, t: b.concentrations(t)["glucose"] - 5 * b.floor,
            direction=Direction.FALLING,
            doc="glucose runs out, and its consumption with it",
        )

    def rates(self, b: Any, t: float, c: Mapping[str, Any]) -> Rates:
        """Return the rates of all eight components."""
        mu, cells, lactate = b.specific_growth[t], c["viable"], c["lactate"]
        glucose = mu / b.glucose_cells + b.glucose_maintenance * available(c["glucose"], b.floor)
        ammonia = mu / b.ammonia_cells
        made = (mu / b.lactate_cells + b.lactate_glucose * glucose) * (b.lactate_ceiling - lactate) / b.lactate_ceiling
        kept = b.lactate_maintenance * (b.lactate_turn - lactate) / b.lactate_turn
        exchange = (b.aspartate_cells - b.asparagine_cells * b.asparagine_aspartate) / (b.asparagine_cells * b.aspartate_cells)
        return {
            "viable": (mu - b.specific_death[t]) * cells,
            "antibody": (b.antibody_growth * mu + b.antibody_maintenance) * cells,
            "glucose": -glucose * cells,
            "ammonia": ammonia * cells,
            "glutamine": (mu / b.glutamine_cells + b.glutamine_ammonia * ammonia) * cells,
            "lactate": (made + kept) * cells,
            "glutamate": -mu / b.glutamate_cells * available(c["glutamate"], b.floor) * cells,
            "asparagine": mu * exchange * (b.asparagine_aspartate * b.aspartate_asparagine - 1) * cells,
        }


@declare_custom_block("ChoFedBatchReactor", rule="build")
class ChoFedBatchReactorData(BioreactorData):
    """A bioreactor with CHO cells that make an antibody, fed by streams or by its own feed.

    The vessel is that of :class:`units.bioreactor.BioreactorData`, the kinetics :class:`ChoFedBatch`; both say equations, symbols,
    assumptions and the valid range. Components: ``viable`` in cells, ``antibody`` by mass, ``glucose``, ``ammonia``, ``glutamine``,
    ``lactate``, ``glutamate`` and ``asparagine`` in moles, and any other, which is only carried along.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, or a component is missing or counted otherwise.
    """

    kinetics: ClassVar[Kinetics] = ChoFedBatch()
