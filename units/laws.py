"""Constitutive laws of powders and tablets: pure functions of numbers, NumPy arrays or Pyomo expressions.

All lengths, pressures and masses are SI; densities called *relative* are solid volume fractions (-).

| symbol | meaning | unit |
|---|---|---|
| rho, rho_c | relative density; initial or critical one | - |
| P | punch pressure | Pa |
| a, b | Kawakita constants | -, 1/Pa |
| sigma, sigma0 | tensile strength; of the pore-free tablet | Pa |

The algebra is recalled from the literature (check before quoting); the worked numbers in
``tests/data/compaction_worked_vectors.csv`` were computed and cross-checked.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyomo.environ as pyo

KINK_WIDTH = 1e-8
"""Share of a quantity's scale over which the kinks of its limits are rounded."""


def _numeric(value: Any) -> bool:
    return isinstance(value, (int, float, np.ndarray, np.generic))


def _exp(value: Any) -> Any:
    return np.exp(value) if _numeric(value) else pyo.exp(value)


def _sqrt(value: Any) -> Any:
    return np.sqrt(value) if _numeric(value) else pyo.sqrt(value)


def smooth_absolute(value: Any, width: Any) -> Any:
    """Return |value| with its kink rounded over ``width`` (same unit), never less than ``width``: sqrt(value^2 + width^2).

    >>> float(smooth_absolute(-3.0, 4.0)), round(float(smooth_absolute(-3.0, 1e-6)), 12)
    (5.0, 3.0)
    """
    return _sqrt(value**2 + width**2)


def smooth_positive(value: Any, width: Any) -> Any:
    """Return max(value, 0) with its kink rounded over ``width`` (same unit): off by width/2 at zero, by width^2/(4 |value|) far from it.

    >>> round(float(smooth_positive(2.0, 1e-6)), 12), round(float(smooth_positive(-2.0, 1e-6)), 12)
    (2.0, 0.0)
    """
    return 0.5 * (value + smooth_absolute(value, width))


def smooth_minimum(value: Any, limit: Any, width: Any) -> Any:
    """Return min(value, limit) with its kink rounded over ``width`` (all in one unit).

    >>> round(float(smooth_minimum(3.0, 1.0, 1e-8)), 12), round(float(smooth_minimum(0.25, 1.0, 1e-8)), 12)
    (1.0, 0.25)
    """
    return limit - smooth_positive(limit - value, width)


def smooth_clip(value: Any, lower: Any, upper: Any, width: Any) -> Any:
    """Return ``value`` held between ``lower`` and ``upper``, both kinks rounded over ``width`` (all in one unit).

    >>> [round(float(smooth_clip(x, 0.0, 1.0, 1e-8)), 7) for x in (-1.0, 0.25, 3.0)]
    [0.0, 0.25, 1.0]
    """
    return 0.5 * (lower + upper + smooth_absolute(value - lower, width) - smooth_absolute(value - upper, width))


def faded_power(value: Any, exponent: Any, heel: Any) -> Any:
    """Return ``value**exponent`` far above ``heel`` (same unit), and in proportion to the value below it: zero is a regular point.

    >>> round(float(faded_power(4.0, 0.5, 1e-9)), 12), float(faded_power(0.0, 0.5, 1e-9))
    (2.0, 0.0)
    """
    return value * smooth_absolute(value, heel) ** (exponent - 1)


def die_filling(diameter: Any, fill_depth: Any, turret_speed: Any, paddle_speed: Any, speed_loss: Any, depth_gain: Any) -> Any:
    """Return the share of a die's volume that loose powder fills: ``1 - xi1 n_T/n_F + xi2 H/D``, to be held within [0, 1] (recalled).

    Parameters
    ----------
    diameter, fill_depth : of the die, D and H (m).
    turret_speed, paddle_speed : n_T and n_F (rev/s).
    speed_loss, depth_gain : xi1 and xi2 (-).

    >>> round(die_filling(0.01, 0.008, 0.75, 1.0, 0.1, 0.02), 3)
    0.941
    """
    return 1 - speed_loss * turret_speed / paddle_speed + depth_gain * fill_depth / diameter


def kawakita_density(pressure: Any, initial: Any, a: Any, b: Any) -> Any:
    """Return the relative density under pressure: ``1 - rho_c/rho = a b P/(1 + b P)``.

    It saturates at ``rho_c/(1 - a)``, which exceeds one if ``a > 1 - rho_c``.

    >>> round(kawakita_density(150e6, 0.30, 0.72, 0.05e-6), 8)
    0.82258065
    """
    return initial * (1 + b * pressure) / (1 + b * pressure * (1 - a))


def kawakita_pressure(density: Any, initial: Any, a: Any, b: Any) -> Any:
    """Return the pressure (Pa) that gives a relative density; exact inverse of :func:`kawakita_density`.

    Valid for ``rho_c <= density < rho_c/(1 - a)``; the pressure grows without limit towards the upper end.
    """
    return (density - initial) / (b * (density * (a - 1) + initial))


def kuentz_leuenberger_strength(density: Any, strength: Any, critical: Any) -> Any:
    """Return the tensile strength (Pa) by Kuentz and Leuenberger: zero at the critical density, ``strength`` without pores.

    ``sigma = sigma0 [1 - (1 - rho)/(1 - rho_cs) exp(rho - rho_cs)]``; negative, and meaningless, below ``critical``.

    >>> round(float(kuentz_leuenberger_strength(0.82258065, 12e6, 0.45)) / 1e6, 6)
    6.381385
    """
    return strength * (1 - (1 - density) / (1 - critical) * _exp(density - critical))


def flat_break_force(strength: Any, diameter: Any, thickness: Any) -> Any:
    """Return the diametral breaking force (N) of a flat round tablet, ``sigma pi D t/2``.

    >>> round(flat_break_force(6.38138505e6, 0.010, 0.004), 6)
    400.954248
    """
    return strength * math.pi * diameter * thickness / 2


def elastic_recovery(density: Any, recovery: Any, onset: Any) -> Any:
    """Return the relative loss of density on unloading, ``eps0 (rho - rho_ce)/(1 - rho_ce)``; negative below ``onset``."""
    return recovery * (density - onset) / (1 - onset)


def ejection_force(radial: Any, friction: Any, diameter: Any, thickness: Any) -> Any:
    """Return the force (N) that ejects a tablet against friction at the die wall, ``mu sigma_rad pi D t`` (recalled).

    >>> round(ejection_force(15e6, 0.1, 0.010, 0.004), 6)
    188.495559
    """
    return friction * radial * math.pi * diameter * thickness
