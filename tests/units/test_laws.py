"""Constitutive laws against worked vectors, their own inverses and their limits."""

import csv
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from units import laws

VECTORS = Path(__file__).parents[1] / "data" / "compaction_worked_vectors.csv"
KAWAKITA = {"initial": 0.30, "a": 0.72, "b": 0.05e-6}


def vectors() -> dict[str, np.ndarray]:
    with VECTORS.open() as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_worked_vectors():
    table = vectors()
    density = laws.kawakita_density(table["P_MPa"] * 1e6, **KAWAKITA)
    strength = laws.kuentz_leuenberger_strength(density, 12e6, 0.45)
    assert density == pytest.approx(table["rho_Kawakita"], abs=5e-9)
    assert strength / 1e6 == pytest.approx(table["sigma_KuentzLeuenberger_MPa"], abs=5e-9)
    assert laws.flat_break_force(strength, 0.010, 0.004) == pytest.approx(table["break_force_flat_N"], abs=5e-7)


@given(pressure=st.floats(0.0, 2e9), initial=st.floats(0.1, 0.6), a=st.floats(0.3, 0.9), b=st.floats(1e-8, 1e-6))
def test_kawakita_inverse_is_exact(pressure, initial, a, b):
    density = laws.kawakita_density(pressure, initial, a, b)
    assert initial <= density < initial / (1 - a) * (1 + 1e-15)
    # The density saturates, so that what is left of the pressure in it is its distance from saturation.
    left = max(1 - density * (1 - a) / initial, 1e-16)
    assert laws.kawakita_pressure(density, initial, a, b) == pytest.approx(pressure, rel=1e-12 / left**2 + 1e-12, abs=1e-6)


def test_strength_limits():
    assert laws.kuentz_leuenberger_strength(0.45, 12e6, 0.45) == pytest.approx(0.0, abs=1e-6)
    assert laws.kuentz_leuenberger_strength(1.0, 12e6, 0.45) == pytest.approx(12e6)
    assert laws.elastic_recovery(0.5, 0.05, 0.5) == 0.0
    assert laws.elastic_recovery(1.0, 0.05, 0.5) == pytest.approx(0.05)


def test_smooth_limits_are_tight_and_ordered():
    values = np.linspace(-2.0, 3.0, 1001)
    clipped = laws.smooth_clip(values, 0.0, 1.0, 1e-8)
    assert clipped == pytest.approx(np.clip(values, 0.0, 1.0), abs=1e-8)
    assert np.all(np.diff(clipped) >= -1e-15)
    assert laws.smooth_positive(values, 1e-8) == pytest.approx(np.maximum(values, 0.0), abs=1e-8)


def test_the_same_laws_build_pyomo_expressions():
    model = pyo.ConcreteModel()
    model.density = pyo.Var(initialize=0.8)
    expressions = (
        (laws.kawakita_pressure, (0.30, 0.72, 0.05e-6)),
        (laws.kuentz_leuenberger_strength, (12e6, 0.45)),
        (laws.smooth_clip, (0.0, 0.5, 1e-3)),
    )
    for law, constants in expressions:
        expression = law(model.density, *constants)
        assert not isinstance(expression, float)
        assert pyo.value(expression) == pytest.approx(law(0.8, *constants), rel=1e-14)
