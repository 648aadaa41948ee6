"""What models of CHO cells share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyomo.environ import units as u

from units.kinetics.kinetics import breath, saturation
from units.stream import CELL

PER_H = 1 / 3600.0
MMOL_PER_H = 1e-3 / 3600.0
MOLARITY = u.mol / u.m**3
PER_CELL = u.mol / CELL / u.s
CELL_PER_MOL = CELL / u.mol


def inhibited_growth(b: Any, t: float, c: Mapping[str, Any], second: str, second_half: Any) -> Any:
    """Return the specific growth rate (1/s) on glucose and a second substrate, inhibited by lactate and ammonia.

    ``mu = mu_max G/(K_G + G) S/(K_S + S) KI_L/(KI_L + L) KI_A/(KI_A + A)``, as Craven et al. 2012 and Kotidis et al. 2019 have it; in
    an aerated vessel it fades with oxygen.

    Parameters
    ----------
    b : the reactor's block, with ``maximum_growth``, ``glucose_half``, ``lactate_inhibition`` and ``ammonia_inhibition``.
    t : time.
    c : concentrations by component (mol/m3).
    second, second_half : the second substrate, and its concentration at half of the rate (mol/m3).
    """
    fed = saturation(c["glucose"], b.glucose_half) * saturation(c[second], second_half)
    inhibited = b.lactate_inhibition / (b.lactate_inhibition + c["lactate"])
    return breath(b, t) * b.maximum_growth * fed * inhibited * b.ammonia_inhibition / (b.ammonia_inhibition + c["ammonia"])
