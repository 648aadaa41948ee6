"""EMEP: the ozone chemistry of the EMEP MSC-W model, 66 species over four days and a half, with day and night.

Source: test set for IVP solvers (Bari/CWI), release 2.4, EMEP (Simpson 1992; Verwer, Simpson 1995). Numbers of species and
rate coefficients are the source's; concentrations in molecules/cm^3, time in s since midnight of the first day.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyomo.environ as pyo
from pyomo.dae import ContinuousSet

from flowsheet.verify.dae import add_state
from flowsheet.verify.problems import published
from solvers.declare import Profile

HOUR, DAY = 3600.0, 86400.0
START, END = 4 * HOUR, 116 * HOUR
SPECIES = 66
LEFT_OUT = (36, 38)
"""Oxygen atoms: the test set leaves them out of the comparison, since they are tiny and of no importance."""
INPUTS = {
    "sunlit": Profile([START, *(day * DAY + hour * HOUR for day in range(5) for hour in (20, 28))][:-1], [1.0, *[0.0, 1.0] * 5][:-1]),
    "midnight": Profile([START, *(day * DAY for day in range(1, 5))], [day * DAY for day in range(5)]),
}
"""Whether the sun is up (4 h to 20 h), and the last midnight."""

_T, _MIXING, _AIR, _OXYGEN = 298.0, 1.2e5, 2.55e19, 5.2e18
_PHOTOLYSIS = (
    (1.23e-3, 0.60),
    (2.00e-4, 1.40),
    (1.45e-2, 0.40),
    (2.20e-5, 0.75),
    (3.00e-6, 1.25),
    (5.40e-5, 0.79),
    (6.65e-5, 0.60),
    (1.35e-5, 0.94),
    (2.43e-5, 0.88),
    (5.40e-4, 0.79),
    (2.16e-4, 0.79),
    (5.40e-5, 0.79),
    (3.53e-2, 0.081),
    (8.94e-2, 0.059),
    (3.32e-5, 0.57),
    (2.27e-5, 0.62),
)
"""Coefficients A and B of the photolysis rates ``A exp(-B / cos(zenith angle))``."""
_ARRHENIUS = {
    11: (1.8e-12, -1370), 12: (1.2e-13, -2450), 13: (1.9e-12, -1000), 14: (1.4e-14, -600), 15: (1.8e-11, 110),
    17: (3.7e-12, 240), 19: (7.2e-14, -1414), 29: (7.1e14, -11080), 30: (4.8e-11, 250), 31: (2.9e-12, -160),
    33: (7.7e-12, -2100), 35: (1.0e-14, 785), 59: (3.9e-12, -1885), 60: (4.2e-12, 180), 61: (5.5e-14, 365),
    62: (5.5e-14, 365), 63: (3.3e-12, -380), 65: (3.8e-13, 780), 67: (1.0e-12, 190), 68: (1.9e-12, 190),
    71: (7.8e-12, -1020), 74: (6.5e-13, 650), 75: (5.6e-12, 310), 76: (5.8e-12, 190), 78: (1.34e16, -13330),
    81: (1.64e-11, -559), 88: (1.3e-13, 1040), 89: (3.0e-13, 1040), 94: (2.8e-12, 530), 109: (1.66e-12, 474),
    112: (1.2e-14, -2630), 123: (6.5e-15, -1880), 150: (12.3e-15, -2013), 151: (2.54e-11, 410), 153: (4.13e-12, 452),
    158: (1.86e-11, 175), 160: (4.32e-15, -2016), 7: (2.0e-11 * _AIR, 100),
}  # fmt: skip
"""Rate coefficients ``k exp(e / T)``."""
_CONSTANT = {
    8: 2.2e-10, 20: 1.4e-12, 21: 1.4e-11, 26: 4.1e-16, 39: 1.35e-12, 40: 4.0e-17, 43: 1e-4, 44: 1e-4, 45: 1e-4, 64: 3.2e-12,
    66: 9.6e-12, 69: 5.8e-16, 70: 2.4e-13, 72: 8.9e-12, 77: 1.0e-11, 79: 2.0e-11, 80: 1.1e-11, 85: 1.0e-11, 86: 1.15e-12,
    87: 4.8e-12, 125: 2.86e-11, 146: 3.2e-11, 147: 2.0e-11, 148: 2.2e-11, 149: 3.7e-11, 156: 2.0e-11, 157: 8.0e-18,
    161: 3.35e-11, 163: 7.8e-13, 219: 2.0e-11, 221: 1.1e-11, 222: 1.7e-11, 223: 2.4e-11, 234: 1.37e-11, 235: 1.7e-11,
    1: 5.7e-34 * (_T / 300) ** -2.8 * _AIR * _OXYGEN, 5: 9.6e-32 * (_T / 300) ** -1.6 * _AIR,
}  # fmt: skip
_LIKE_60 = (83, 105, 110, 126, 152, 154, 159, 162, 164, 220, 236)
_DEPOSITION = {47: 0.5, 48: 0.2, 49: 0.5, 50: 0.2, 51: 0.1, 52: 0.5, 53: 0.3}
"""Deposition velocities by day in cm/s; a quarter of them by night."""
_HYDROCARBONS = {6: (0.07689, 30), 7: (0.41444, 58), 8: (0.03642, 28), 9: (0.03827, 42), 10: (0.24537, 106), 13: (0.13957, 46)}
"""Shares of the emission by mass, and molar masses."""


def _emissions() -> dict[int, float]:
    """Return the emissions by source number, over the mixing height."""
    mean = 1 / sum(share / mass for share, mass in _HYDROCARBONS.values())
    flows = {number: 2.5e11 * share / mass * mean for number, (share, mass) in _HYDROCARBONS.items()}
    flows |= {1: 2.5e11, 3: 2.5e11, 4: 2.5e12, 5: 0.0, 11: 1.25e11}
    return {number: flow / _MIXING for number, flow in flows.items()}


def start_values() -> list[float]:
    """Return the concentrations at the start."""
    values = [1e7] * 13 + [100.0] * (SPECIES - 13)
    for number, value in ((1, 1e9), (2, 5e9), (3, 5e9), (4, 3.8e12), (5, 3.5e13), (14, 5e11), (38, 1e-3)):
        values[number - 1] = value
    return values


def ozone_chemistry() -> pyo.ConcreteModel:
    """Return EMEP as a Pyomo model with states ``y1`` to ``y66``; take the inputs from ``INPUTS``."""
    model = pyo.ConcreteModel()
    model.t = ContinuousSet(bounds=(START, END))
    model.sunlit, model.midnight = pyo.Var(model.t, initialize=1.0), pyo.Var(model.t, initialize=0.0)
    model.sunlit.fix()
    model.midnight.fix()
    # what follows the light within nanoseconds need not be followed there
    sizes = dict(zip(published("emep").components, published("emep").values, strict=True)) | {36: 1.0, 38: 100.0}
    for k, start in enumerate(start_values(), start=1):
        add_state(model, model.t, f"y{k}", start, None, sizes[k])
    model.dj = pyo.Var(model.t, pyo.RangeSet(16), initialize=0.0)
    model.water, model.pairing = pyo.Var(model.t, initialize=1e17), pyo.Var(model.t, initialize=1e-12)

    def photolysis(m: Any, t: Any, j: int) -> Any:
        latitude, declination = math.radians(50.0), math.radians(23.5)
        height = -pyo.cos(math.pi * t / 4.32e4) * math.cos(latitude) * math.cos(declination) + math.sin(latitude) * math.sin(declination)
        strength, weakening = _PHOTOLYSIS[j - 1]
        return m.dj[t, j] == pyo.Expr_if(m.sunlit[t] >= 0.5, strength * pyo.exp(-weakening / height), 1e-40)

    def water(m: Any, t: Any) -> Any:
        humidity = 23 * pyo.sin(2.43 - 7.93e-5 * (t - m.midnight[t])) + 66.5
        exponent = (597.3 - 0.57 * (_T - 273.16)) * 18 / 1.986 * (1 / _T - 1 / 273.16)
        return m.water[t] == 6.1078 * math.exp(-exponent) * 10 / (1.38e-16 * _T) * humidity

    def pairing(m: Any, t: Any) -> Any:
        dry = 2.3e-13 * math.exp(600 / _T) + _AIR * 1.7e-33 * math.exp(1000 / _T)
        return m.pairing[t] == dry * (1 + 1.4e-21 * math.exp(2200 / _T) * m.water[t])

    model.photolysis = pyo.Constraint(model.t, pyo.RangeSet(16), rule=photolysis)
    model.vapor = pyo.Constraint(model.t, rule=water)
    model.peroxide = pyo.Constraint(model.t, rule=pairing)
    made: dict[int, dict[int, Any]] = {}

    def balance(m: Any, t: Any, k: int) -> Any:
        """All right-hand sides are made when the first of a time is asked for."""
        if k == 1:
            made[0] = _slopes(_Point(m, t))
        return m.component(f"y{k}_dot")[t] == made[0][k]

    model.balance = pyo.Constraint(model.t, pyo.RangeSet(SPECIES), rule=balance)
    return model


class _Point:
    """What the right-hand sides need at one time: species ``y[k]``, photolysis ``j[i]``, coefficients ``k[i]``, deposition ``d[i]``."""

    def __init__(self, model: Any, t: Any) -> None:
        self.y = [0.0, *(model.component(f"y{k}")[t] for k in range(1, SPECIES + 1))]
        self.j = [0.0, *(model.dj[t, i] for i in range(1, 17))]
        self.k = COEFFICIENTS
        self.d = {number: speed * (0.25 + 0.75 * model.sunlit[t]) / _MIXING for number, speed in _DEPOSITION.items()}
        self.water, self.pairing = model.water[t], model.pairing[t]


COEFFICIENTS = {number: factor * math.exp(energy / _T) for number, (factor, energy) in _ARRHENIUS.items()} | _CONSTANT
COEFFICIENTS |= {number: COEFFICIENTS[60] for number in _LIKE_60} | {155: COEFFICIENTS[85]}
_E = _emissions()


_NO_PARTNERS = (19, 26, 27, 29, 31, 33, 35, 43, 45, 59, 61, 60)
_HO2_PARTNERS = (26, 29, 31, 27, 57, 45, 61, 59, 33, 35, 43, 60)
_PEROXIDES = {48: (33, 235), 52: (27, 87), 53: (35, 223)}
"""Organic peroxides made from a radical and HO2 and lost by light: species -> (radical, coefficient of the loss to OH)."""
_PEROXIDES_TWICE_LOST = {49: 26, 50: 29, 51: 31}
"""Those that OH takes in two ways."""
_DARK_PEROXIDES = {62: (45, 148), 63: (59, 146), 64: (60, 147), 65: (61, 149), 66: (57, 149)}


def _total(y: Sequence[Any], numbers: Sequence[int]) -> Any:
    return sum(y[number] for number in numbers)


def _nitrogen_and_oxygen(p: _Point) -> dict[int, Any]:
    y, j, k, d = p.y, p.j, p.k, p.d
    by_no = k[5] * y[36] + k[11] * y[14] + k[17] * y[15] + k[72] * y[23] + k[79] * (y[24] + y[57])
    radicals = 0.86 * y[43] + 1.9 * y[61] + 1.1 * y[60] + 0.95 * y[45] + _total(y, (19, 26, 27, 29, 31, 33, 35, 59))
    ozone = k[112] * y[8] + k[123] * y[9] + k[157] * y[56] + k[160] * y[44] + k[150] * y[41]
    return {
        1: j[3] * y[2] + j[13] * y[39] + k[19] * y[2] * y[39] + _E[1] - (by_no + k[15] * y[39] + k[60] * _total(y, _NO_PARTNERS)) * y[1],
        2: y[1] * (by_no + 2 * k[15] * y[39] + k[60] * radicals)
        + j[14] * y[39] + j[5] * y[16] + j[15] * y[40] + k[29] * y[40] + k[78] * (y[25] + y[58])
        - (j[3] + k[12] * y[14] + k[20] * y[39] + k[21] * y[37] + d[48] + k[77] * (y[24] + y[57])) * y[2],
        3: _E[3] - (k[39] * y[37] + k[40] * y[19] + d[47]) * y[3],
        14: k[1] * y[36] + k[89] * y[15] * y[24]
        - (k[11] * y[1] + k[12] * y[2] + k[13] * y[37] + k[14] * y[15] + d[49] + ozone + j[1] + j[2]) * y[14],
        16: k[21] * y[2] * y[37] + y[39] * (k[26] * y[17] + k[69] * y[11]) - (k[35] * y[37] + j[5] + k[45]) * y[16],
        17: p.pairing * y[15] ** 2 - (k[31] * y[37] + j[4] + k[43] + k[26] * y[39] + d[47]) * y[17],
        18: j[7] * y[11] + y[14] * (0.13 * k[112] * y[8] + 0.07 * k[123] * y[9]) - k[33] * y[37] * y[18],
        21: (k[40] * y[19] + k[39] * y[37]) * y[3] + 0.05 * _E[3] - d[51] * y[21],
        36: j[1] * y[14] + j[3] * y[2] + j[14] * y[39] + k[7] * y[38] + y[14] * (0.2 * k[160] * y[44] + 0.3 * k[150] * y[41])
        - (k[1] + k[5] * y[1]) * y[36],
        38: j[2] * y[14] - (k[7] + k[8] * p.water) * y[38],
        39: (k[29] + j[15]) * y[40] + k[12] * y[14] * y[2] + k[35] * y[37] * y[16]
        - (k[15] * y[1] + k[26] * y[17] + k[163] * y[41] + (k[19] + k[20]) * y[2] + j[13] + j[14] + k[69] * y[11]) * y[39],
        40: k[20] * y[39] * y[2] - (k[29] + j[15] + k[45]) * y[40],
        42: k[45] * y[16] + 2 * k[44] * y[40] - d[51] * y[42],
    }  # fmt: skip


def _hydroxyl_and_hydroperoxyl(p: _Point) -> dict[int, Any]:
    y, j, k = p.y, p.j, p.k
    from_oh = (
        k[13] * y[14] + k[31] * y[17] + k[33] * y[18] + k[39] * y[3] + k[63] * y[46] + k[64] * y[20] + k[66] * y[11] + k[70] * y[4]
        + k[221] * y[32]
    )  # fmt: skip
    from_no = (
        k[60] * (_total(y, (19, 29, 31, 33, 35, 59)) + 0.95 * y[45] + 0.65 * y[26] + 0.78 * y[43] + 0.05 * y[61] + 0.8 * y[60])
        + k[72] * y[23]
    )
    made = (
        y[37] * from_oh + y[19] * (k[40] * y[3] + 2 * k[61] * y[19] + 0.5 * k[80] * y[24]) + j[11] * y[30] + y[1] * from_no
        + j[8] * y[12] + 2 * j[6] * y[11] + j[16] * (_total(y, (22, 28, 50, 51, 48, 53)) + 0.65 * y[49])
        + y[39] * (k[26] * y[17] + k[69] * y[11])
        + y[14] * (0.12 * k[112] * y[8] + 0.28 * k[123] * y[9] + 0.06 * k[160] * y[44] + 0.06 * k[150] * y[41])
    )  # fmt: skip
    lost = (
        k[14] * y[14] + k[17] * y[1] + k[30] * y[37] + 2 * p.pairing * y[15] + k[65] * y[19] + k[74] * y[23]
        + (k[88] + k[89]) * y[24] + k[85] * _total(y, _HO2_PARTNERS)
    )  # fmt: skip
    by_light = j[16] * _total(y, (22, 28, 47, 49, 50, 52, 48, 53))
    oh_made = (
        2 * k[8] * p.water * y[38] + y[15] * (k[14] * y[14] + k[17] * y[1]) + 2 * j[4] * y[17] + j[5] * y[16] + by_light
        + y[14] * (0.15 * k[123] * y[9] + 0.08 * k[160] * y[44] + 0.55 * k[150] * y[41])
    )  # fmt: skip
    partners = {
        30: 222, 12: 75, 7: 81, 52: 87, 13: 86, 48: 235, 8: 109, 9: 125, 10: 234, 53: 223, 34: 219, 17: 31, 2: 21, 62: 148,
        20: 64, 3: 39, 6: 71, 15: 30, 5: 59, 4: 70, 16: 35, 14: 13, 32: 221, 11: 66, 41: 151, 44: 153, 46: 63, 18: 33, 54: 158,
        63: 146, 65: 149, 66: 149, 64: 147, 55: 161, 22: 68, 28: 68, 47: 68, 50: 68, 51: 68, 49: 68,
    }  # fmt: skip
    return {15: made - lost * y[15], 37: oh_made - sum(k[i] * y[species] for species, i in partners.items()) * y[37]}


def _emitted(p: _Point) -> dict[int, Any]:
    y, j, k, d = p.y, p.j, p.k, p.d
    return {
        4: _E[4] + y[37] * (k[66] * y[11] + 2 * k[221] * y[32] + k[222] * y[30])
        + y[14] * (0.44 * k[112] * y[8] + 0.4 * k[123] * y[9] + 0.05 * k[160] * y[44] + 0.05 * k[150] * y[41])
        + y[11] * (j[6] + j[7] + k[69] * y[39]) + j[8] * y[12] + j[11] * y[30] + 2 * j[7] * y[32] - k[70] * y[37] * y[4],
        5: _E[5] + 0.07 * k[123] * y[14] * y[9] - k[59] * y[37] * y[5],
        6: _E[6] - k[71] * y[37] * y[6],
        7: _E[7] - k[81] * y[37] * y[7],
        8: _E[8] - (k[109] * y[37] + k[112] * y[14]) * y[8],
        9: _E[9] + 0.07 * k[150] * y[14] * y[41] - (k[123] * y[14] + k[125] * y[37]) * y[9],
        10: _E[10] - k[234] * y[37] * y[10],
        11: y[19] * (k[60] * y[1] + (2 * k[61] + k[62]) * y[19] + k[80] * y[24] + k[40] * y[3])
        + y[37] * (k[63] * y[46] + k[67] * y[22]) + y[1] * k[60] * (2 * y[29] + y[31] + 0.74 * y[43] + 0.266 * y[45] + 0.15 * y[60])
        + y[14] * (0.5 * k[123] * y[9] + k[112] * y[8] + 0.7 * k[157] * y[56] + 0.8 * k[160] * y[44] + 0.8 * k[150] * y[41])
        + 2 * j[7] * y[32] + j[16] * (y[22] + 1.56 * y[50] + y[51]) - (k[66] * y[37] + j[6] + j[7] + k[69] * y[39] + d[53]) * y[11],
        12: y[1] * (k[72] * y[23] + 0.35 * k[83] * y[26] + k[105] * y[27] + k[126] * y[31] + 0.95 * k[162] * y[61] + 0.684 * k[154] * y[45])
        + y[37] * (k[64] * y[20] + k[76] * y[28] + k[76] * y[50]) + 0.5 * k[123] * y[14] * y[9] + 0.04 * k[160] * y[14] * y[44]
        + j[16] * (y[28] + 0.22 * y[50] + 0.35 * y[49] + y[51] + y[52]) - (j[8] + k[75] * y[37] + d[53]) * y[12],
        13: 0.65 * k[83] * y[1] * y[26] + (0.65 * j[16] + k[76] * y[37]) * y[49] + k[76] * y[37] * y[51]
        + (k[159] * y[1] + j[16]) * y[59] + 0.95 * k[162] * y[1] * y[61] - (j[9] + k[86] * y[37] + d[53]) * y[13],
        20: _E[13] - k[64] * y[37] * y[20],
        41: _E[11] - (k[151] * y[37] + k[163] * y[39] + k[150] * y[14]) * y[41],
    }  # fmt: skip


def _organic(p: _Point) -> dict[int, Any]:
    y, j, k, d = p.y, p.j, p.k, p.d
    slopes = {
        19: y[37] * (k[59] * y[5] + k[68] * y[22]) + y[24] * (k[79] * y[1] + 2 * k[94] * y[24]) + j[8] * y[12] + j[16] * y[47]
        + 0.31 * k[123] * y[14] * y[9]
        - (k[40] * y[3] + k[60] * y[1] + 2 * (k[61] + k[62]) * y[19] + k[65] * y[15] + 0.5 * k[80] * y[24]) * y[19],
        22: k[65] * y[15] * y[19] - (k[43] + j[16] + (k[67] + k[68]) * y[37]) * y[22],
        23: y[37] * (k[71] * y[6] + k[68] * y[28]) + 0.35 * j[16] * y[49] + 0.35 * k[83] * y[1] * y[26] + j[9] * y[13]
        - (k[72] * y[1] + k[74] * y[15]) * y[23],
        24: y[37] * (k[75] * y[12] + k[222] * y[30] + k[68] * y[47]) + k[105] * y[1] * y[27] + k[78] * y[25] + j[11] * y[30]
        + j[9] * y[13] + j[16] * y[52] + 0.684 * k[154] * y[1] * y[45]
        - (k[77] * y[2] + k[79] * y[1] + k[80] * y[19] + 2 * k[94] * y[24] + (k[88] + k[89]) * y[15]) * y[24],
        25: k[77] * y[24] * y[2] - (d[50] + k[78]) * y[25],
        26: y[37] * (k[81] * y[7] + k[68] * y[49]) - (k[83] * y[1] + k[85] * y[15]) * y[26],
        27: y[37] * (k[86] * y[13] + k[87] * y[52]) - (k[105] * y[1] + k[85] * y[15]) * y[27],
        28: k[74] * y[15] * y[23] - ((k[76] + k[68]) * y[37] + j[16] + d[52]) * y[28],
        29: y[37] * (k[109] * y[8] + k[68] * y[50]) - (k[110] * y[1] + k[85] * y[15]) * y[29],
        30: k[236] * y[1] * y[33] + k[220] * y[1] * y[35] + 0.266 * k[154] * y[1] * y[45] + 0.82 * k[160] * y[14] * y[44]
        + j[16] * (y[48] + y[53]) - (j[11] + k[222] * y[37]) * y[30],
        31: y[37] * (k[125] * y[9] + k[68] * y[51]) - (k[126] * y[1] + k[85] * y[15]) * y[31],
        32: k[220] * y[1] * y[35] + j[16] * y[53] - (2 * j[7] + k[221] * y[37]) * y[32],
        33: y[37] * (k[234] * y[10] + k[235] * y[48]) - (k[236] * y[1] + k[85] * y[15]) * y[33],
        34: k[236] * y[1] * y[33] + j[16] * y[48] - k[219] * y[37] * y[34],
        35: y[37] * (k[219] * y[34] + k[223] * y[53]) - (k[220] * y[1] + k[85] * y[15]) * y[35],
        43: y[37] * (k[151] * y[41] + k[156] * y[56]) - (0.88 * k[152] * y[1] + k[155] * y[15]) * y[43],
        44: k[60] * y[1] * (0.42 * y[43] + 0.05 * y[60]) + 0.26 * k[150] * y[14] * y[41] - (k[153] * y[37] + k[160] * y[14]) * y[44],
        45: k[153] * y[44] * y[37] + k[148] * y[37] * y[62] - (k[154] * y[1] + k[85] * y[15]) * y[45],
        46: k[62] * y[19] ** 2 - k[63] * y[37] * y[46],
        47: k[88] * y[15] * y[24] - (k[68] * y[37] + j[16] + d[52]) * y[47],
        54: k[60] * y[1] * (0.32 * y[43] + 0.1 * y[60]) + 0.67 * k[150] * y[14] * y[41] - k[158] * y[37] * y[54],
        55: k[60] * y[1] * (0.14 * y[43] + 0.05 * y[45] + 0.85 * y[60]) - k[161] * y[37] * y[55],
        56: k[155] * y[15] * y[43] - (k[156] * y[37] + k[157] * y[14] + d[52]) * y[56],
        57: 0.5 * k[158] * y[37] * y[54] + k[78] * y[58] + k[149] * y[37] * y[66] - (k[77] * y[2] + k[79] * y[1] + k[85] * y[15]) * y[57],
        58: k[77] * y[57] * y[2] - (d[50] + k[78]) * y[58],
        59: k[79] * y[1] * y[57] + k[146] * y[37] * y[63] - (k[159] * y[1] + k[85] * y[15]) * y[59],
        60: k[163] * y[39] * y[41] + k[147] * y[37] * y[64] - (k[164] * y[1] + k[85] * y[15]) * y[60],
        61: k[161] * y[37] * y[55] + k[149] * y[37] * y[65] - (k[162] * y[1] + k[85] * y[15]) * y[61],
    }  # fmt: skip
    for species, (radical, loss) in _PEROXIDES.items():
        slopes[species] = k[85] * y[15] * y[radical] - (k[loss] * y[37] + j[16] + d[52]) * y[species]
    for species, radical in _PEROXIDES_TWICE_LOST.items():
        slopes[species] = k[85] * y[15] * y[radical] - ((k[76] + k[68]) * y[37] + j[16] + d[52]) * y[species]
    for species, (radical, loss) in _DARK_PEROXIDES.items():
        slopes[species] = k[85] * y[15] * y[radical] - (k[loss] * y[37] + d[52]) * y[species]
    return slopes


def _slopes(p: _Point) -> dict[int, Any]:
    """Return the right-hand side of every species."""
    return _nitrogen_and_oxygen(p) | _hydroxyl_and_hydroperoxyl(p) | _emitted(p) | _organic(p)
