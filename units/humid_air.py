"""Air and the water vapor in it: saturation and wet bulb, as pure functions of numbers or Pyomo expressions.

| symbol | meaning | unit |
|---|---|---|
| T | temperature | K |
| Y | humidity: water vapor over dry air, by mass | - |
| p | partial pressure of the vapor over water | Pa |

Constants are recalled, those of physical chemistry; the saturation pressure is the Magnus form of Alduchov and Eskridge 1996
(J Appl Meteorol 35:601), off by less than 0.4 % from 0 to 50 degC, where the wet bulbs of dryers lie, and by some 2 % at 95 degC.
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
from pyomo.environ import units as u

PRESSURE = 101325.0 * u.Pa
MOLAR_MASSES = 0.62198
"""Molar mass of water over that of dry air."""
AIR_HEAT, VAPOR_HEAT = 1006.0 * u.J / u.kg / u.K, 1860.0 * u.J / u.kg / u.K
"""Heat capacities of dry air and of water vapor."""
EVAPORATION_HEAT = 2.43e6 * u.J / u.kg
"""Heat of evaporation of water at 30 degC."""
COLDEST, HOTTEST = 273.15, 368.15
"""Temperatures of air (K) between which all this is used."""

STEPS = 10
"""Newton steps from the temperature of the air down to its wet bulb: to 1e-9 K between 0 and 95 degC."""

_ZERO, _SCALE, _FACTOR, _OFFSET = 273.15 * u.K, 610.94 * u.Pa, 17.625, 30.11 * u.K


def saturation_pressure(temperature: Any) -> Any:
    """Return the vapor pressure of water (Pa).

    >>> round(pyo.value(saturation_pressure(298.15 * u.K)))
    3162
    """
    return _SCALE * pyo.exp(_FACTOR * (temperature - _ZERO) / (temperature - _OFFSET))


def saturation_humidity(temperature: Any) -> Any:
    """Return the humidity of saturated air (-) at normal pressure.

    >>> round(pyo.value(saturation_humidity(298.15 * u.K)), 4)
    0.02
    """
    pressure = saturation_pressure(temperature)
    return MOLAR_MASSES * pressure / (PRESSURE - pressure)


def humid_heat(humidity: Any) -> Any:
    """Return the heat capacity of air with its vapor, by mass of dry air (J/kg/K)."""
    return AIR_HEAT + VAPOR_HEAT * humidity


def cooler(temperature: Any, air_temperature: Any, humidity: Any) -> Any:
    """Return the next Newton step (K) towards the wet bulb, where air that is saturated without heat from elsewhere ends::

        humid_heat (T_air - T) = EVAPORATION_HEAT (Y_sat(T) - Y)

    Saturation is convex in T, so that steps from the air's own temperature come down to the solution and never pass it.

    >>> T, air, humidity = 298.15 * u.K, 298.15 * u.K, 0.00988
    >>> for _ in range(STEPS):
    ...     T = pyo.value(cooler(T, air, humidity)) * u.K
    >>> round(pyo.value(T) - 273.15, 1)  # 25 degC and 50 % relative humidity
    17.9
    """
    pressure = saturation_pressure(temperature)
    slope = pressure * _FACTOR * (_ZERO - _OFFSET) / (temperature - _OFFSET) ** 2
    rising = MOLAR_MASSES * PRESSURE * slope / (PRESSURE - pressure) ** 2
    excess = humid_heat(humidity) * (air_temperature - temperature) - EVAPORATION_HEAT * (saturation_humidity(temperature) - humidity)
    return temperature + excess / (humid_heat(humidity) + EVAPORATION_HEAT * rising)
