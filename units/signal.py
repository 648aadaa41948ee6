"""Signals: scalars over time with a unit of measure, from where they are measured to where they act.

Any scalar of a unit over time can be read as a signal, and any input that a unit takes can be driven by one. A controller or a sensor
serves every kind of signal; what kind is said by a parameter such as ``measured_unit = "kg"``, and units of its other parameters
are written in terms of it: ``"output_unit/measured_unit"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyomo.environ import units as u

from units.stream import CELL

KINDS: Mapping[str, Any] = {
    "": u.dimensionless,
    "kg": u.kg,
    "kg/s": u.kg / u.s,
    "m": u.m,
    "m^3": u.m**3,
    "m^3/s": u.m**3 / u.s,
    "m/s": u.m / u.s,
    "kg/m^3": u.kg / u.m**3,
    "Pa": u.Pa,
    "N": u.N,
    "K": u.K,
    "W": u.W,
    "rev/s": u.revolution / u.s,
    "1/s": 1 / u.s,
    "kg/rev": u.kg / u.revolution,
    "mol": u.mol,
    "mol/s": u.mol / u.s,
    "mol/m^3": u.mol / u.m**3,
    "mol/m^3/s": u.mol / u.m**3 / u.s,
    "cell/m^3": CELL / u.m**3,
    "s": u.s,
}
"""SI units that a signal can have, by their text; empty for a share or a plain number."""


def relative_unit(text: str, kinds: Mapping[str, str]) -> Any:
    """Return the unit that a text such as ``"output_unit/measured_unit"`` stands for.

    Parameters
    ----------
    text : names of parameters that name units, or units themselves, divided one after the other.
    kinds : the SI unit that each of these names, as text.

    >>> print(relative_unit("output_unit/measured_unit", {"output_unit": "m", "measured_unit": "kg"}))
    m/kg
    >>> print(relative_unit("output_unit/measured_unit", {"output_unit": "kg/s", "measured_unit": "kg/s"}))
    dimensionless
    """
    first, *divisors = (kinds.get(name, name) for name in text.split("/"))
    if first in divisors:
        # a plain number may stand for kg/s per kg/s
        divisors.remove(first)
        first = ""
    return reduce(lambda unit, divisor: unit / KINDS[divisor], divisors, KINDS[first])
