"""Quantities as engineers write them: strings with units, turned into SI numbers at the boundary and nowhere else.

The unit text is read by a small grammar (names, ``*``, ``/``, ``^`` with small whole exponents, parentheses) before pint
sees it, so that a case file can neither run code nor ask for ``9**9**9``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pint
from pyomo.environ import units as pyunits

from solvers.errors import CaseError
from solvers.suggest import nearest
from units.signal import KINDS

LONGEST = 100
"""Most characters of a quantity."""

COMMON = (
    *("s", "min", "h", "d", "kg", "g", "mg", "t", "kg/h", "g/min", "g/s", "kg/s", "m", "mm", "cm", "um", "K", "degC"),
    *("Pa", "kPa", "MPa", "bar", "1/Pa", "1/MPa", "1/bar", "N", "kN", "1/s", "1/min", "Hz", "rpm", "rev/s", "rad/s", "%", "ppm"),
    *("kg/m^3", "g/cm^3", "g/mL", "g/L", "kg/rev", "g/rev", "1/kg", "1/g", "m^3", "L", "mL", "m^2", "cm^2", "m/s", "mm/s", "m/min"),
    *("cell", "cell/L", "cell/mL", "mmol/cell/h", "cell/mmol", "mg/cell/h", "mg/cell"),
    *("L/h", "L/min", "mL/min", "m^3/s", "mol", "mmol", "mol/L", "mmol/L", "mol/s", "mol/h", "W", "kW", "J", "kJ", "1/m", "1/mm"),
)
"""Units that messages suggest."""

_ALIASES = {"rev": "revolution", "%": "percent"}
_SPELLING = str.maketrans({"µ": "u", "μ": "u", "·": "*", "×": "*", "²": "^2", "³": "^3", "⁻": "^-", "¹": "1", "\u00a0": " ", "\u202f": " "})
_NUMBER = re.compile(r"[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:inf|infinity|nan)\b", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d", re.ASCII)
_TOKEN = re.compile(
    r"\s*(?:(?P<name>%|[A-Za-z_]\w*)|(?P<one>1)(?![\w.])|(?P<power>(?:\^|\*\*)\s*[+-]?\d(?![\d.]))|(?P<mark>[*/()]))", re.ASCII
)
_DEEPEST_UNIT = 4
_DIFFERENCES = {"degC": "delta_degC", "degF": "delta_degF", "celsius": "delta_degC", "degreeC": "delta_degC"}
_BY_SHARE = re.compile(r"(?i)\b(mol|mole|wt|vol|w/w|v/v|w/v|mass|m/m)\s*%|%\s*\(?\s*(mol|wt|vol|w/w|v/v|w/v|mass|m/m)\b|\b(wt|vol)\s*pct\b")
_GAUGE = re.compile(r"(?i)\b(barg|bar\s*\(g\)|psig|kpag|mpag)")
_REVOLUTIONS = {"turn", "revolution", "cycle", "circle", "revolutions_per_minute", "revolutions_per_second"}


class QuantityError(CaseError):
    """A quantity cannot be understood; ``allowed`` says what could stand there."""

    def __init__(self, message: str, *, allowed: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a number in a written unit becomes SI: ``value * factor + offset``, or ``value / divisor`` where that is exact."""

    factor: float
    offset: float = 0.0

    def __call__(self, value: float) -> float:
        """Return the SI number."""
        if self.offset == 0.0 and self.factor != 0.0:
            divisor = 1.0 / self.factor
            # 20 kg/h is the double nearest to 20/3600 only by division
            if divisor > 1.0 and abs(divisor - round(divisor)) < 1e-9 * divisor:
                return value / round(divisor)
        return value * self.factor + self.offset


def parse_quantity(text: str, unit: Any) -> float:
    """Return the SI number of a quantity such as ``"20 kg/h"``.

    Parameters
    ----------
    text : a number and a unit; ``%`` and a bare number only where a dimensionless number is expected.
    unit : the expected SI unit, as a Pyomo unit expression or as text (``"kg/s"``, ``""`` for dimensionless).

    Raises
    ------
    QuantityError : no number, not finite, unit missing, unknown or of another dimension.

    >>> parse_quantity("20 kg/h", "kg/s") * 3600, parse_quantity("25 degC", "K"), parse_quantity("9.5 %", "")
    (20.0, 298.15, 0.095)
    >>> parse_quantity("90 rpm", "rev/s")
    1.5
    """
    expected = unit_text(unit)
    number, written = split_quantity(text)
    if not written:
        if expected == "dimensionless":
            return number
        raise QuantityError(
            f"the unit is missing (got {_quoted(text)})",
            allowed=f"a number with a unit: {examples(expected)}",
            hint=_with_unit(text, expected),
        )
    try:
        value = conversion(written, expected)(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise QuantityError(f"not finite (got {_quoted(text)})", allowed="a finite number")
    return value


def split_quantity(text: str) -> tuple[float, str]:
    """Split ``"20 kg/h"`` into its number and its unit text; the unit may be empty.

    Raises
    ------
    QuantityError : there is no number in front, or it is not finite.
    """
    if len(text) > LONGEST:
        raise QuantityError(f"too long for a quantity ({len(text)} characters)", allowed=f"at most {LONGEST} characters")
    stripped = text.strip()
    if _NOT_FINITE.match(stripped):
        raise QuantityError(f"not finite (got {_quoted(text)})", allowed="a finite number with a unit")
    if _COMMA.match(stripped):
        raise QuantityError(
            f"a comma within a number (got {_quoted(text)})", allowed="a decimal point and no separators", hint='such as "1.5 kg"'
        )
    found = _NUMBER.match(stripped)
    if found is None:
        raise QuantityError(f"does not start with a number (got {_quoted(text)})", allowed='a number and a unit, such as "20 kg/h"')
    number = float(found[0].replace("_", ""))
    if not math.isfinite(number):
        raise QuantityError(f"not finite (got {_quoted(text)})", allowed="a finite number with a unit")
    return number, stripped[found.end() :].strip()


@lru_cache(maxsize=512)
def conversion(written: str, expected: str) -> Conversion:
    """Return the conversion from a unit as written to an SI unit.

    Raises
    ------
    QuantityError : the unit is unknown or measures something else.
    """
    registry, expected = pyunits.pint_registry, unit_text(expected)
    source, target = read_unit(written, expected), registry.parse_units(expected)
    if source.dimensionality != target.dimensionality:
        hint = "is °C meant? write degC" if written in ("C", "°") else "is Pa meant?" if written == "pa" else ""
        raise QuantityError(
            f"got {written}, expected {_compatible(expected)}"
            if expected != "dimensionless"
            else f"got {written}, expected a number without a dimension",
            allowed=examples(expected),
            hint=hint,
        )
    turns = _angle(source) - _angle(target)
    try:
        zero = float(registry.Quantity(0.0, source).to(target).magnitude)
        one = float(registry.Quantity(1.0, source).to(target).magnitude)
    except (pint.PintError, ValueError, ArithmeticError) as error:
        raise QuantityError(f"{_quoted(written)} cannot be converted to {si_text(expected)}", allowed=examples(expected)) from error
    if zero and si_text(expected) != "K":
        raise QuantityError(f"{_quoted(written)} is a logarithmic unit", allowed=examples(expected))
    if turns == 0:
        return Conversion(tidy(one - zero), zero)
    if turns == 1 and _angle(target) == 0 and set(source._units) & _REVOLUTIONS:
        # a rate per second that counts turns: pint would count radians
        return Conversion(tidy(one / (2 * math.pi)))
    raise QuantityError(
        f"got {written}, expected {_compatible(expected)}: revolutions, radians or plain counts?", allowed=examples(expected)
    )


def read_unit(written: str, expected: str = "") -> pint.Unit:
    """Return the pint unit of a unit text that keeps to the grammar of case files.

    Raises
    ------
    QuantityError : it does not keep to it, or a name in it is unknown; the nearest known unit is given.
    """
    if _BY_SHARE.search(written):
        raise QuantityError(f"{_quoted(written)} is not a unit", allowed="%", hint="write % alone; the key says of what it is the share")
    if _GAUGE.search(written):
        raise QuantityError(f"{_quoted(written)} is a gauge pressure", allowed="Pa, kPa, MPa, bar", hint="give the absolute pressure")
    text = written if len(written) <= LONGEST else written[:LONGEST]
    text = text.replace("°C", "degC").replace("°F", "degF").translate(_SPELLING)
    registry = pyunits.pint_registry
    unit = registry.Unit("")
    for name, power in _factors(text, written, expected):
        if not _known(name):
            raise _unknown_unit(name, written, text, expected)
        unit = unit * registry.Unit(name) ** power if name != "1" else unit
    return unit


def _factors(text: str, written: str, expected: str) -> list[tuple[str, int]]:
    """Return the names of a unit text with their powers; ``a/b c`` is ``a c/b``, as pint and Pyomo have it."""
    factors: list[tuple[str, int]] = []
    groups, sign, position = [1], 1, 0
    operand = named = False
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or not _fits(token, operand, named, len(groups)):
            rest = text[position:].strip()
            raise QuantityError(
                f"cannot read the unit {_quoted(written)} from {_quoted(rest)}", allowed=f"a unit such as {examples(expected)}"
            )
        position, named = token.end(), bool(token["name"])
        if token["name"] or token["one"]:
            factors.append((_ALIASES.get(token["name"], token["name"]) or "1", groups[-1] * sign))
            operand, sign = True, 1
        elif token["power"]:
            name, power = factors.pop()
            factors.append((name, power * int(token["power"].lstrip("^* "))))
        elif token["mark"] == "(":
            groups.append(groups[-1] * sign)
            operand, sign = False, 1
        elif token["mark"] == ")":
            groups.pop()
        else:
            operand, sign = False, -1 if token["mark"] == "/" else 1
    if not operand or len(groups) > 1:
        raise QuantityError(f"the unit {_quoted(written)} breaks off", allowed=f"a unit such as {examples(expected)}")
    if len(factors) > 1 or factors[0][1] != 1:
        # °C/min is a rate of change: an offset has no meaning in it
        factors = [(_DIFFERENCES.get(name, name), power) for name, power in factors]
    return factors


def _fits(token: re.Match[str], operand: bool, named: bool, depth: int) -> bool:
    """Return whether a token may stand after an operand or not, after a name or not, so deep in parentheses."""
    if token["power"]:
        return named
    if token["mark"] in ("*", "/"):
        return operand
    if token["mark"] == ")":
        return operand and depth > 1
    return depth <= _DEEPEST_UNIT


def signal_kind(written: str) -> str:
    """Return the SI unit of the signals that a unit can stand for, one of :data:`units.signal.KINDS`.

    >>> signal_kind("mg"), signal_kind("rpm"), signal_kind("%")
    ('kg', 'rev/s', '')

    Raises
    ------
    QuantityError : the unit is unknown, or there are no signals of its kind.
    """
    unit = read_unit(written) if written else pyunits.pint_registry.Unit("")
    for kind in KINDS:
        if _same(unit, pyunits.pint_registry.parse_units(unit_text(kind))):
            return kind
    raise QuantityError(f"no signal is measured in {_quoted(written)}", allowed=", ".join(kind for kind in KINDS if kind))


def unit_text(unit: Any) -> str:
    """Return a unit as text: of a Pyomo unit expression, or of text; ``dimensionless`` if there is none."""
    text = "" if unit is None else str(unit)
    return re.sub(r"\brev\b", "revolution", text) or "dimensionless"


def si_text(unit: Any) -> str:
    """Return an SI unit as a case file writes it (``kg/m^3``, ``rev/s``), empty if dimensionless.

    >>> si_text("kg/m**3"), si_text("turn/s"), si_text("dimensionless")
    ('kg/m^3', 'rev/s', '')
    """
    text = re.sub(r"\b(turn|revolution)\b", "rev", unit_text(unit).replace("**", "^"))
    return "" if text == "dimensionless" else text


@lru_cache(maxsize=256)
def examples(expected: str) -> str:
    """Return common units of the dimension of an SI unit, as text.

    >>> examples("s")
    's, min, h, d'
    """
    if not expected or expected == "dimensionless":
        return "a number or %"
    registry = pyunits.pint_registry
    target = registry.parse_units(unit_text(expected))
    fitting = [text for text in COMMON if _same(read_unit(text), target)]
    return ", ".join(fitting[:5]) or expected


def _same(unit: pint.Unit, target: pint.Unit) -> bool:
    return unit.dimensionality == target.dimensionality and _angle(unit) == _angle(target)


def _angle(unit: pint.Unit) -> float:
    """Return the power of the angle in a unit, which pint holds to be dimensionless."""
    return float(pyunits.pint_registry.get_root_units(unit)[1]._units.get("radian", 0))


def _compatible(expected: str) -> str:
    return f"{si_text(expected)}-compatible"


def _known(name: str) -> bool:
    if name == "1":
        return True
    try:
        pyunits.pint_registry.Unit(name)
    except (pint.PintError, ValueError, AttributeError):
        return False
    return True


def _unknown_unit(name: str, written: str, text: str, expected: str) -> QuantityError:
    power = re.fullmatch(r"([A-Za-z]+)(\d)", name)
    fitting = examples(expected).split(", ") if expected else []
    pieces = {piece for unit in (*fitting, *COMMON) for piece in re.findall(r"[A-Za-z%]+", unit)}
    if power and _known(power[1]):
        better = f"{power[1]}^{power[2]}"
    else:
        # a whole unit of the expected dimension is the better guess than a similar piece of any
        whole = nearest(written, fitting)
        better = (whole or nearest(name, pieces) or [""])[0]
        name = text if whole else name
    hint = f"did you mean {text.replace(name, better)}?" if better else ""
    return QuantityError(f"unknown unit {_quoted(written)}", allowed=examples(expected), hint=hint)


def _with_unit(text: str, expected: str) -> str:
    return f'write for example "{text.strip()} {examples(expected).split(", ")[0]}"'


def _quoted(text: str) -> str:
    short = text if len(text) <= 60 else text[:60] + "..."
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short) + '"'


def tidy(number: float) -> float:
    """Undo the last-digit noise of a unit conversion, so that 0.1 stays 10 % and not 10.000000000000002 %."""
    return float(f"{number:.15g}")
