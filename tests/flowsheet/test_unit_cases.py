"""The small cases of unit types: each documents its type, and is held to the closed form that its description gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flowsheet import load_case, run_case
from flowsheet.results import Results

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "cases" / "units"
MINUTE, HOUR, LITER, KG_H = 60.0, 3600.0, 1e-3, 1 / 3600

PAGES = {
    "source": ("source", "sink"),
    "mixer": ("mixer",),
    "splitter": ("splitter",),
    "diverter": ("diverter",),
    "sensor": ("sensor",),
    "ratio": ("ratio",),
    "pid": ("pid",),
    "liquid_source": ("liquid_source", "liquid_sink"),
    "bioreactor_monod": ("bioreactor",),
    "bioreactor_cho_batch": ("cho_batch",),
}
"""Cases, and the pages of the types that they document."""

FORMS: dict[str, Callable[[Results], None]] = {}


def form(check: Callable[[Results], None]) -> Callable[[Results], None]:
    FORMS[check.__name__] = check
    return check


def balance_of(results: Results, component: str) -> float:
    """Return what of a component has left the flowsheet."""
    (row,) = (row for row in results.balance if row.component == component)
    return row.left


@form
def source(results: Results) -> None:
    stop = 36 * KG_H * 0.001 * MINUTE / 2  # what passes while the flow is shut off
    assert balance_of(results, "api") == pytest.approx(9.0 + stop, rel=1e-9)
    assert results["bin.inlet_flow[api]"] == pytest.approx(
        36 * KG_H * np.interp(results.t / MINUTE, [0, 10, 20, 20.001], [0, 1, 1, 0]), abs=1e-15
    )


@form
def mixer(results: Results) -> None:
    assert results["mixer.outlet_fraction[api]"] == pytest.approx(np.where(results.t < 5 * MINUTE, 2 / 20, 3 / 21), rel=1e-9)
    assert balance_of(results, "api") == pytest.approx(2 / 12 + 3 / 12, rel=1e-9)
    (row,) = results.specifications
    # a straight line leads to the first output point above the limit
    assert row.time_outside == pytest.approx(5 * MINUTE, abs=10.0)


@form
def splitter(results: Results) -> None:
    share = np.interp(results.t / MINUTE, [6, 12], [0.25, 0.75])
    assert results["splitter.outlet_1_total"] == pytest.approx(24 * KG_H * share, rel=1e-9)
    assert results["splitter.outlet_2_total"] == pytest.approx(24 * KG_H * (1 - share), rel=1e-9)
    assert results["balance.unit_withdrawn[press_1]"][-1] == pytest.approx(1.8, rel=1e-9)
    assert results.specifications[0].met


@form
def diverter(results: Results) -> None:
    assert [event.event for event in results.events] == ["divert_begin", "return_begin"]
    assert [event.time for event in results.events] == pytest.approx([6 * MINUTE, 10.05 * MINUTE], rel=1e-7)
    assert results["gate.diverted"][-1] == pytest.approx(20 / 60 * 4.05, rel=1e-7)


@form
def sensor(results: Results) -> None:
    after = np.maximum(results.t - MINUTE, 0.0)
    exact = 1.02 * (10 - 10 * np.expm1(-after / 20)) + 0.1
    assert results["meter.reading"] / KG_H == pytest.approx(exact, abs=0.025 + 1e-6), "half a step"
    steps = results["meter.reading"] / KG_H / 0.05
    assert steps == pytest.approx(np.round(steps), abs=1e-6)
    assert exact[80] == pytest.approx(16.75, abs=0.005)


@form
def ratio(results: Results) -> None:
    assert results["vessel.molarity[salt]"] == pytest.approx(10.0, rel=1e-9)
    assert results["concentrate.passed_volume"][-1] == pytest.approx(0.75 * LITER, rel=1e-9)
    assert results["vessel.volume"][-1] == pytest.approx(8.5 * LITER, rel=1e-9)


@form
def pid(results: Results) -> None:
    hours = np.maximum(results.t / HOUR - 1, 0.0)
    above = results["vessel.volume"] / LITER - 1
    assert above == pytest.approx(0.2 * hours * np.exp(-2 * hours), abs=1e-6)
    assert above.max() == pytest.approx(0.1 / math.e, abs=1e-6)
    assert results["vessel.molarity[salt]"] == pytest.approx(10.0, rel=1e-7)


@form
def liquid_source(results: Results) -> None:
    assert results["tank.passed_volume"][-1] == pytest.approx(0.6 * LITER, rel=1e-9)
    assert balance_of(results, "salt") == pytest.approx(30e-3, rel=1e-9)
    assert balance_of(results, "protein") == pytest.approx(1.2e-3, rel=1e-9)


@form
def bioreactor_monod(results: Results) -> None:
    biomass, substrate = (results[f"chemostat.mass_concentration[{name}]"] for name in ("biomass", "substrate"))
    steady = results.t <= 10 * HOUR
    assert biomass[steady] == pytest.approx(4.95, rel=1e-7)
    assert substrate[steady] == pytest.approx(0.1, rel=1e-6)
    assert biomass / 0.5 + substrate == pytest.approx(10.0, rel=1e-8)
    # dS/dt = (S0 - S)(D - mu S/(K + S)), by partial fractions
    feed, dilution, growth, half = 10.0, 0.5, 0.4, 0.1
    below = dilution * half + (dilution - growth) * feed
    washed, start = substrate[~steady], 0.1
    first = (half + feed) / below * np.log((feed - start) / (feed - washed))
    rest = (half - dilution * half / (dilution - growth)) / below
    second = rest * np.log((dilution * half + (dilution - growth) * washed) / (dilution * half + (dilution - growth) * start))
    assert first + second == pytest.approx(results.t[~steady] / HOUR - 10, rel=1e-5, abs=1e-6)


@form
def bioreactor_cho_batch(results: Results) -> None:
    assert len(results.fits) == 6
    for row in results.fits:
        assert row.rms < 1e-7 * results.data[row.variable].values.max(), row.variable
    carbon = results["flask.molarity[lactate]"] + 1.6 * results["flask.molarity[glucose]"]
    assert carbon == pytest.approx(48.0, rel=1e-12)


@pytest.mark.parametrize("name", sorted(path.parent.name for path in FOLDER.glob("*/case.toml")))
def test_case_meets_its_closed_form(name: str) -> None:
    case = load_case(FOLDER / name, strict=True)
    assert case.name == name
    assert len(case.description) > 80
    results = run_case(case)
    assert all(row.closes for row in results.balance)
    FORMS[name](results)


@pytest.mark.parametrize("name", PAGES)
def test_case_documents_its_type(name: str) -> None:
    text = (FOLDER / name / "case.toml").read_text(encoding="utf-8")
    assert text.count("\n") <= 100, "a page at most"
    types = {unit.type.name for unit in load_case(FOLDER / name).units}
    assert name in types
    for page in PAGES[name]:
        assert f"`cases/units/{name}`" in (ROOT / "docs" / "units" / f"{page}.md").read_text(encoding="utf-8")


def test_every_case_has_a_form_and_a_page() -> None:
    assert set(FORMS) == set(PAGES) == {path.name for path in FOLDER.iterdir()}
