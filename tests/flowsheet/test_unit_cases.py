"""The small cases of unit types: each documents its type, and is held to the closed form that its description gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.optimize import brentq
from scipy.special import gammainc, ndtr

from flowsheet import load_case, run_case
from flowsheet.results import Results
from units.sizes import SizeClasses

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
FOLDER = ROOT / "cases" / "units"
MINUTE, HOUR, LITER, KG_H = 60.0, 3600.0, 1e-3, 1 / 3600

PAGES = {
    "source": ("source", "sink"),
    "mixer": ("mixer",),
    "loss_in_weight_feeder": ("feeder",),
    "delumper": ("delumper",),
    "conical_mill": ("conical_mill",),
    "fluid_bed_dryer": ("fluid_bed_dryer",),
    "continuous_blender": ("blender",),
    "dispersion_blender": ("dispersion_blender",),
    "chute": ("chute",),
    "hopper": ("hopper",),
    "feed_frame": ("feed_frame",),
    "tablet_press": ("press",),
    "splitter": ("splitter",),
    "diverter": ("diverter",),
    "sensor": ("sensor",),
    "ratio": ("ratio",),
    "pid": ("pid",),
    "twin_screw_granulator": ("twin_screw_granulator",),
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
def loss_in_weight_feeder(results: Results) -> None:
    """y = exp(decay M) is an exponential between events, refilled or not."""
    decay, full, empty = 2.0, 2.0e-3, 1.6e-3
    speed = 2 * KG_H / (full - (full - empty) * math.exp(-decay))
    assert results["feeder.screw_speed"] == pytest.approx(speed, rel=1e-8)

    def law(refill: float) -> tuple[float, float]:
        """Return rate and rest value of y."""
        rate = decay * (refill - full * speed)
        return rate, -decay * (full - empty) * speed / rate

    def duration(start: float, end: float, refill: float = 0.0) -> float:
        rate, rest = law(refill)
        return math.log((math.exp(decay * end) - rest) / (math.exp(decay * start) - rest)) / rate

    begin = duration(1.0, 0.6)
    stop = begin + duration(0.6, 1.5, 60e-3)
    assert [(event.event, event.time) for event in results.events] == [
        ("refill_start", pytest.approx(begin, rel=1e-8)),
        ("refill_stop", pytest.approx(stop, rel=1e-8)),
        ("refill_settled", pytest.approx(stop + 10.0, rel=1e-8)),
    ]
    assert stop - begin == pytest.approx(15.14, abs=0.01)
    for since, mass, refill, part in (
        (0.0, 1.0, 0.0, results.t < begin),
        (begin, 0.6, 60e-3, (results.t >= begin) & (results.t < stop)),
        (stop, 1.5, 0.0, results.t >= stop),
    ):
        rate, rest = law(refill)
        exact = np.log((math.exp(decay * mass) - rest) * np.exp(rate * (results.t[part] - since)) + rest) / decay
        assert results["feeder.mass"][part] == pytest.approx(exact, rel=1e-8)


@form
def delumper(results: Results) -> None:
    share, after = results["delumper.outlet_fraction[api]"], (results.t - 14.0) / 8
    assert share == pytest.approx(np.where(after > 0, -np.expm1(-np.maximum(after, 0.0)), 0.0), abs=0.04), "the corner is round"
    assert share[after > 0.5] == pytest.approx(-np.expm1(-after[after > 0.5]), abs=6e-3)
    assert balance_of(results, "excipient") == pytest.approx(20 * KG_H * (10 + 12), rel=1e-5), "what came until 10 s and the hold-up"


@form
def conical_mill(results: Results) -> None:
    """Two classes: the coarse hold-up is an exponential, the fine one a tank behind it."""
    flow, tau, rate, t = 20 * KG_H, 10.0, 0.1 * math.log(8) / 7, results.t
    coarse = flow * ndtr(1.0)  # ln(1.2/1)/ln 1.2 is one
    assert results["mill.mass[size_2]"] == pytest.approx(coarse / rate * -np.expm1(-rate * t), rel=1e-7, abs=1e-12)
    lag = (np.exp(-rate * t) - np.exp(-t / tau)) / (1 / tau - rate)
    fine = flow * tau * -np.expm1(-t / tau) - coarse * lag
    assert results["mill.mass[size_1]"] == pytest.approx(fine, rel=1e-6, abs=1e-10)
    assert results["mill.outlet_total"] == pytest.approx(fine / tau, rel=1e-6, abs=1e-10)
    assert np.all(results["mill.outlet_flow[size_2]"] == 0.0)


@form
def fluid_bed_dryer(results: Results) -> None:
    """Moisture by dry mass towards a resting value, with another rate in each drying period; the air leaves saturated."""

    def saturated(temperature: float) -> float:
        pressure = 610.94 * math.exp(17.625 * (temperature - 273.15) / (temperature - 30.11))
        return 0.62198 * pressure / (101325 - pressure)

    wet_bulb = brentq(lambda T: (1006 + 1860 * 0.006) * (333.15 - T) - 2.43e6 * (saturated(T) - 0.006), 280.0, 333.15, xtol=1e-12)
    assert wet_bulb == pytest.approx(273.15 + 25.4, abs=0.05)
    solids, tau, critical, rest, begin = 20 * KG_H, 5 * MINUTE, 0.08, 0.01, 30 * MINUTE
    takes_up = 144 * KG_H * (saturated(wet_bulb) - 0.006) / solids  # moisture per pass

    def towards(start: float, end: float, rate: float, since: np.ndarray) -> np.ndarray:
        return end + (start - end) * np.exp(-rate * since)

    t, found = results.t, results["dryer.outlet_moisture"]
    first = towards(0.2, 0.2 - takes_up, 1 / tau, t[t <= begin])
    assert found[t <= begin] == pytest.approx(first, rel=1e-7)
    wet_end = 0.2 - 2 * takes_up
    falling = begin + tau * math.log((first[-1] - wet_end) / (critical - wet_end))
    middle, late = (t > begin) & (t <= falling), t > falling
    assert found[middle] == pytest.approx(towards(first[-1], wet_end, 1 / tau, t[middle] - begin), rel=1e-7)
    slope = 2 * takes_up / (critical - rest)
    dry_end = (0.2 + slope * rest) / (1 + slope)
    assert found[late] == pytest.approx(towards(critical, dry_end, (1 + slope) / tau, t[late] - falling), rel=1e-6)
    assert late.sum() > 50
    assert middle.any()


@form
def continuous_blender(results: Results) -> None:
    reduced = results.t / MINUTE
    three, half = (results[f"{name}.outlet_fraction[api]"] for name in ("three", "two_and_a_half"))
    assert three == pytest.approx(gammainc(3, 3 * reduced), abs=1e-6)
    assert three[60] == pytest.approx(0.577, abs=5e-4)
    assert 4e-3 < np.abs(half - gammainc(2.5, 2.5 * reduced)).max() < 8e-3
    assert simpson(1 - half, x=reduced) == pytest.approx(1.0, abs=1e-4)
    assert 2 * simpson((1 - half) * reduced, x=reduced) - 1 == pytest.approx(1 / 2.5, abs=1e-3)


@form
def dispersion_blender(results: Results) -> None:
    rows = np.genfromtxt(DATA / "rtd_reference_E_F.csv", delimiter=",", names=True, deletechars="")
    rows = rows[rows["theta"] <= 3]
    arrived = np.interp(rows["theta"] * MINUTE, results.t, results["blender.outlet_fraction[api]"])  # all of them output points
    assert arrived == pytest.approx(rows["F_ADclosed_Pe=10"], abs=1e-3)
    assert arrived[rows["theta"] == 1] == pytest.approx(0.580, abs=1e-3)


@form
def chute(results: Results) -> None:
    exact = 18 * KG_H * np.interp(results.t - 20, [0, 60, 120], [0, 1, 0])
    assert results["belt.outlet_total"] == pytest.approx(exact, abs=0.02 * 18 * KG_H), "the peak is a kink"
    assert np.abs(results["belt.outlet_total"] - exact).mean() < 5e-4 * 18 * KG_H
    assert balance_of(results, "api") == pytest.approx(0.3, rel=1e-7)
    assert results["belt.total_mass"][60] == pytest.approx(37.5e-3 - 4.167e-3, rel=1e-3)


@form
def hopper(results: Results) -> None:
    drug, t = results["hopper.outlet_fraction[api]"], results.t
    assert results["hopper.level"] == pytest.approx(0.5 - 10 * KG_H * np.maximum(t - 90, 0), rel=1e-8)
    front, end = (t[crossing] for crossing in (np.argmax(drug > 0.05), len(t) - 1 - np.argmax(drug[::-1] > 0.05)))
    assert (front, end) == pytest.approx((130, 170), abs=2.0)
    assert simpson(drug * t, x=t) / simpson(drug, x=t) == pytest.approx(150, abs=0.1)
    assert drug.max() == pytest.approx(0.1, abs=2e-4)
    assert balance_of(results, "api") == pytest.approx(2 / 60, rel=1e-6)


@form
def feed_frame(results: Results) -> None:
    tau = 45.0
    x = 2 * results.t / tau
    assert results["frame.outlet_fraction[api]"] == pytest.approx(1 - (1 + x) * np.exp(-x), abs=1e-4)

    def approach(since: np.ndarray) -> np.ndarray:
        """Return the share of its final strain: each chamber adds its half, filtered by those behind it."""
        return (gammainc(1, 2 * since / tau) + gammainc(2, 2 * since / tau)) / 2

    strain = 45 * (approach(results.t) + approach(np.maximum(results.t - 5 * MINUTE, 0.0)))
    assert results["frame.strain"] == pytest.approx(strain, abs=1e-2)
    factor = results["frame.strength_factor"]
    assert factor == pytest.approx(1 + 0.3 * np.expm1(-strain / 100), abs=1e-4)
    assert (factor[295], factor[-1]) == pytest.approx((1 - 0.109, 1 - 0.178), abs=5e-4)


@form
def tablet_press(results: Results) -> None:
    rows = np.genfromtxt(DATA / "compaction_worked_vectors.csv", delimiter=",", names=True)[1:]
    row = rows[np.minimum(results.t // MINUTE, 5).astype(int)]
    assert results["press.tablet_mass"] == pytest.approx(250e-6, rel=1e-8)
    area = math.pi * 0.01**2 / 4
    assert results["press.filling"] == pytest.approx(250e-6 / (330 * area * 0.01), rel=1e-7)
    assert results["press.pressure"] == pytest.approx(1e6 * row["P_MPa"], rel=1e-6)
    assert results["press.tensile_strength"] == pytest.approx(1e6 * row["sigma_KuentzLeuenberger_MPa"], rel=1e-6)
    thickness = 250e-6 / (1500 * area * row["rho_Kawakita"])
    assert results["press.tablet_thickness"] == pytest.approx(thickness, rel=1e-7)
    assert results["press.break_force"] == pytest.approx(row["break_force_flat_N"] * thickness / 4e-3, rel=1e-6)
    assert results["press.ejection_force"] == pytest.approx(0.1 * 0.1 * 1e6 * row["P_MPa"] * math.pi * 0.01 * thickness, rel=1e-6)
    loose = 250e-6 / (1500 * area * 4.5e-3)
    assert results["press.pre_pressure"] == pytest.approx((loose - 0.3) / (0.05e-6 * (0.3 - 0.28 * loose)), rel=1e-6)


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
def twin_screw_granulator(results: Results) -> None:
    """Lumps break into the next class; the holdup is what flows in the measured residence time."""
    sizes = SizeClasses(62.5e-6, 4e-3, 6)
    for time, flow, residence in ((15 * MINUTE, 4 * KG_H, 21.15), (30 * MINUTE, 6 * KG_H, 25.27)):
        at = int(np.searchsorted(results.t, time)) - (time < results.t[-1])
        assert results["granulator.residence_time"][at] == pytest.approx(residence, abs=0.01)
        tau = results["granulator.residence_time"][at]
        assert results["granulator.holdup[water]"][at] == pytest.approx(0.2 * flow * tau, rel=1e-6)
        falling = 0.0
        for k in range(6, 0, -1):
            bound = 0.2**2 / (0.2**2 + 0.05**2)
            selection = 0.5 * bound * math.exp(-5 * 0.2) * (sizes.diameters[k - 1] / 1e-3) ** 2 if k > 1 else 0.0
            entering = results[f"granulator.inlet_flow[size_{k}]"][at]
            mass = (entering + falling) / (1 / tau + selection)
            assert results[f"granulator.mass[1,size_{k}]"][at] == pytest.approx(mass, rel=1e-5)
            falling = selection * mass
    assert balance_of(results, "water") + results["granulator.holdup[water]"][-1] == pytest.approx(0.2 * 2.5, rel=1e-6)


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
