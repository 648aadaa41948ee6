"""Numbers as people read them: display units, rounding, times."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np

from flowsheet.quantities import QuantityError, conversion, tidy, unit_text

DEFAULTS = ("kg/h", "MPa", "mm", "kg", "min", "rpm", "L", "L/h", "mol", "mol/h", "mmol/L", "mmol/L/h", "cell", "cell/h", "cell/L")
"""Display units where the case names none of that dimension."""

Shown = TypeVar("Shown", float, np.ndarray)

_LADDERS = (
    ("kg", "g", "mg", "ug"),
    ("MPa", "kPa", "Pa"),
    ("m", "mm", "um"),
    ("m^3", "L", "mL", "uL"),
    ("m^3/h", "L/h", "mL/h"),
    ("mol", "mmol", "umol"),
    ("mol/h", "mmol/h", "umol/h"),
    ("h", "min", "s", "ms"),
)
_HANDY = (0.01, 1e6)

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class DisplayUnit:
    """How numbers of one SI unit are shown: ``shown = factor · value + offset``."""

    text: str
    factor: float = 1.0
    offset: float = 0.0

    def shown(self, value: Shown) -> Shown:
        """Return a value (number or array) in the display unit."""
        return self.factor * value + self.offset

    def label(self, value: float, digits: int = 4) -> str:
        """Return a number with its unit, such as ``18.02 kg/h``; a dash if it is not a number."""
        number = format_number(self.shown(value), digits)
        return number if not self.text or number == "–" else f"{number} {self.text}"


@dataclass(frozen=True)
class Display:
    """The display units of one case, by dimension.

    Parameters
    ----------
    chosen : what the case says under ``[display]``: a unit per kind of quantity (``flow = "kg/h"``); ``fraction`` is
        that of mass fractions and of dimensionless quality attributes.
    """

    chosen: Mapping[str, str]

    def unit(self, unit: str, magnitude: float = math.nan) -> DisplayUnit:
        """Return how numbers in an SI unit are shown.

        Parameters
        ----------
        unit : SI unit as text.
        magnitude : the largest of the numbers (SI); where it would be awkward in the usual unit, such as a tablet's
            mass in kg, a larger or smaller one is taken.

        >>> Display({"flow": "g/s"}).unit("kg/s").shown(2.0), Display({"mass": "kg"}).unit("kg", 250e-6).label(250e-6)
        (2000.0, '250 mg')
        """
        if not unit or unit == "dimensionless":
            return DisplayUnit("")
        usual = DisplayUnit(pretty_unit(unit))
        for text in (*self.chosen.values(), *DEFAULTS):
            converted = _conversion(unit, text)
            if converted is not None:
                usual = converted
                break
        if 0 < magnitude < math.inf and usual.offset == 0 and not _HANDY[0] <= abs(usual.shown(magnitude)) < _HANDY[1]:
            fitting = filter(None, (_conversion(unit, text) for ladder in _LADDERS for text in ladder))
            return next((step for step in fitting if step.shown(magnitude) >= 1), usual)
        return usual

    @property
    def fraction(self) -> DisplayUnit:
        """How mass fractions and dimensionless quality attributes are shown: in percent unless the case says otherwise."""
        return _conversion("dimensionless", self.chosen.get("fraction", "%")) or DisplayUnit("")

    def attribute(self, unit: str, magnitude: float = math.nan) -> DisplayUnit:
        """Return how a quality attribute of an SI unit is shown; see :meth:`unit`."""
        return self.unit(unit, magnitude) if unit and unit != "dimensionless" else self.fraction

    def time(self, horizon: float) -> DisplayUnit:
        """Return the unit of time axes: what the case says, else what suits a horizon in s."""
        for text in self.chosen.values():
            converted = _conversion("s", text)
            if converted is not None:
                return converted
        text = "s" if horizon <= 300 else "min" if horizon <= 4 * 3600 else "h" if horizon <= 10 * 86400 else "d"
        return _conversion("s", text) or DisplayUnit("s")


@cache
def _conversion(unit: str, text: str) -> DisplayUnit | None:
    """Return how an SI unit is shown in another unit, or None if that measures something else."""
    if _counts_turns(unit) != _counts_turns(text):
        # a case may give 1/s in rpm, but a rate constant is not to be shown as turns
        return None
    try:
        to_si = conversion(text, unit_text(unit))
    except QuantityError:
        return None
    return DisplayUnit(pretty_unit(text), tidy(1.0 / to_si.factor), tidy(-to_si.offset / to_si.factor))


def _counts_turns(unit: str) -> bool:
    return any(word in unit for word in ("rev", "rpm", "rad", "turn"))


def pretty_unit(text: str) -> str:
    """Write a unit as it is printed.

    >>> pretty_unit("kg/m**3"), pretty_unit("kg*m/s^2")
    ('kg/m³', 'kg·m/s²')
    """
    text = (
        text.replace(" ", "")
        .replace("**", "^")
        .replace("revolution", "rev")
        .replace("turn", "rev")
        .replace("degC", "°C")
        .replace("um", "µm")
        .replace("ug", "µg")
        .replace("uL", "µL")
    )
    parts = text.split("^")
    for k in range(1, len(parts)):
        length = len(parts[k]) - len(parts[k].lstrip("-0123456789"))
        parts[k] = parts[k][:length].translate(_SUPERSCRIPTS) + parts[k][length:]
    return "".join(parts).replace("*", "·")


def printable(words: str) -> str:
    """Replace characters that neither HTML nor a font can show."""
    return "".join(c if c.isprintable() or c in "\n\t\u202f\u00a0" else "\ufffd" for c in words)


def format_number(value: float, digits: int = 4, *, padded: bool = False) -> str:
    r"""Round to significant digits, without an exponent where one can do without; ``padded`` keeps zeros at the end.

    >>> [format_number(x) for x in (20.0, 0.123456, 12345.6, -1.2e-9, float("nan"))]
    ['20', '0.1235', '12\u202f346', '−1.2e−9', '–']
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    # rounding may carry into the next decade: 9.99996 is 10.00 and not 10.000
    magnitude = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if -4 <= magnitude < 7:
        decimals = max(0, digits - 1 - magnitude)
        text = f"{value:,.{decimals}f}".replace(",", "\u202f")
        text = text.rstrip("0").rstrip(".") if "." in text and not padded else text
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text.replace("-", "−")


def format_duration(seconds: float) -> str:
    """Write a time span as people say it.

    >>> [format_duration(x) for x in (0, 0.25, 75.5, 3600, 5400)]
    ['0 s', '0.25 s', '1 min 15.5 s', '1 h', '1 h 30 min']
    """
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{format_number(seconds, 3)} s"
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36000)
    minutes, left = divmod(rest, 600)
    parts = [(f"{hours} h", hours), (f"{minutes} min", minutes), (f"{left / 10:g} s", left)]
    return " ".join(text for text, count in parts if count)
