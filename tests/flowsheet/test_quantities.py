"""Units of measure at the boundary: what becomes which SI number, and what is refused."""

from __future__ import annotations

import math

import pytest
from pyomo.environ import units as u

from flowsheet.quantities import QuantityError, conversion, examples, parse_quantity, si_text

# right-hand sides by hand, exact in decimal
RIGHT = [
    ("20 kg/h", u.kg / u.s, 20 / 3600),
    ("333 g/min", u.kg / u.s, 0.333 / 60),
    ("1 h", u.s, 3600.0),
    ("2 d", "s", 172800.0),
    ("3 L", u.m**3, 0.003),
    ("250 mg", u.kg, 250e-6),
    ("1.56 g/cm^3", u.kg / u.m**3, 1560.0),
    ("1.56 g/cm³", "kg/m^3", 1560.0),
    ("5 µm", u.m, 5e-6),
    ("25 degC", u.K, 298.15),
    ("25 °C", u.K, 298.15),
    ("300 K", u.K, 300.0),
    ("6 degC/min", "K/s", 0.1),
    ("6 K/min", "K/s", 0.1),
    ("10 %", u.dimensionless, 0.1),
    ("9.5%", u.dimensionless, 0.095),
    ("50 ppm", "", 50e-6),
    ("0.1 kg/kg", "", 0.1),
    ("0.25", "", 0.25),
    ("90 rpm", u.revolution / u.s, 1.5),
    ("90 rpm", 1 / u.s, 1.5),
    ("4.0 g/rev", u.kg / u.revolution, 0.004),
    ("0.05 1/MPa", 1 / u.Pa, 0.05e-6),
    ("2 bar", u.Pa, 2e5),
    ("3 kg/(m^2 s)", u.kg / u.m**2 / u.s, 3.0),
    ("3 kg m^-2 s^-1", u.kg / u.m**2 / u.s, 3.0),
    ("-1.5e-3 kg", u.kg, -0.0015),
    ("1_000 kg", u.kg, 1000.0),
]


@pytest.mark.parametrize(("text", "unit", "value"), RIGHT, ids=[f"{text}-{unit}" for text, unit, _ in RIGHT])
def test_conversion(text: str, unit: object, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=4e-16, abs=0)


WRONG = [
    ("5", "kg", "the unit is missing", "5 kg"),
    ("5 m", "s", "got m, expected s-compatible", ""),
    ("2 kgg/h", "kg/s", "unknown unit", "did you mean kg/h?"),
    ("2 Kg", "kg", "unknown unit", "did you mean kg?"),
    ("2 m3", "m^3", "unknown unit", "did you mean m^3?"),
    ("10 secns", "s", "unknown unit", ""),
    ("25 C", "K", "got C, expected K-compatible", "degC"),
    ("25", "K", "the unit is missing", ""),
    ("4 mol%", "mol", "is not a unit", "write % alone"),
    ("4 wt%", "", "is not a unit", "write % alone"),
    ("4 % w/w", "", "is not a unit", "write % alone"),
    ("3 barg", "Pa", "gauge pressure", "absolute"),
    ("3 rad/s", "1/s", "revolutions, radians or plain counts", ""),
    ("3 1/s", "rev/s", "revolutions, radians or plain counts", ""),
    ("3 g", "kg/rev", "revolutions, radians or plain counts", ""),
    ("nan kg", "kg", "not finite", ""),
    ("-inf kg", "kg", "not finite", ""),
    ("1e400 kg", "kg", "not finite", ""),
    ("1e308 t", "kg", "not finite", ""),
    ("1,5 kg", "kg", "a comma within a number", "1.5 kg"),
    ("1 000 kg", "kg", "cannot read the unit", ""),
    ("kg", "kg", "does not start with a number", ""),
    ("", "kg", "does not start with a number", ""),
    ("5 kg", "", "expected a number without a dimension", ""),
    ("9**9**9 kg", "kg", "cannot read the unit", ""),
    ("9 kg^99", "kg", "cannot read the unit", ""),
    ("9 (((((kg)))))", "kg", "cannot read the unit", ""),
    ("9 kg)", "kg", "cannot read the unit", ""),
    ("9 (kg", "kg", "breaks off", ""),
    ("9 kg/", "kg", "breaks off", ""),
    ("3 g/100 mL", "kg/m^3", "cannot read the unit", ""),
    ("3 dB", "K", "", ""),
    ("3 kg;import os", "kg", "cannot read the unit", ""),
    ("3 __class__", "kg", "unknown unit", ""),
    ("3 kg" + " kg" * 40, "kg", "too long", ""),
]


@pytest.mark.parametrize(("text", "unit", "message", "hint"), WRONG, ids=[f"{text[:20]}-{unit}" for text, unit, _, _ in WRONG])
def test_refusal(text: str, unit: str, message: str, hint: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse_quantity(text, unit)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


def test_a_logarithmic_unit_is_refused() -> None:
    with pytest.raises(QuantityError, match="logarithmic"):
        parse_quantity("3 dBm", "W")


def test_conversion_of_round_numbers_is_exact() -> None:
    """20 kg/h is the double nearest to 20/3600, not the product with a rounded factor."""
    for number in range(1, 200):
        assert conversion("kg/h", "kg/s")(number) == number / 3600
        assert conversion("%", "dimensionless")(number) == number / 100
        assert conversion("min", "s")(number) == number * 60.0


def test_texts_of_units() -> None:
    assert [si_text(unit) for unit in (u.kg / u.m**3, u.revolution / u.s, u.kg / u.revolution, u.dimensionless, None)] == [
        "kg/m^3",
        "rev/s",
        "kg/rev",
        "",
        "",
    ]
    assert examples("kg/rev") == "kg/rev, g/rev"


def test_si_texts_read_back() -> None:
    for unit in ("kg/s", "rev/s", "kg/rev", "1/kg", "kg/m^3", "1/Pa", "kg/m/s^2", "m", "K", "s"):
        assert parse_quantity(f"{math.pi!r} {unit}", unit) == math.pi
