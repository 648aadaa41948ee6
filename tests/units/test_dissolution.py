"""Dissolution: both closed forms in sink, a medium that fills up, the front, size classes, limits, conservation."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from solvers import sensitivities, simulate
from solvers.errors import CaseError
from units import dissolving
from units.dissolution import FADE, DissolutionTester
from units.weibull_dissolution import WeibullDissolution

VECTORS = np.genfromtxt(Path(__file__).parents[1] / "data" / "dissolution_sink_analytic.csv", delimiter=",", names=True)
RADIUS, SOLUBILITY, DENSITY, DIFFUSIVITY = 20e-6, 0.2, 1300.0, 7e-10
CONSTANT = DIFFUSIVITY * SOLUBILITY / DENSITY
ONE = {
    **{"dose": 25e-6, "median_size": 2 * RADIUS, "size_spread": 1.0, "classes": 1, "layers": 0},
    **{"solubility": SOLUBILITY, "true_density": DENSITY, "diffusivity": DIFFUSIVITY, "film_thickness": 30e-6},
}
SINK = {"volume": 1e6}
FILMS = [pytest.param(0, "X_constant_film", id="constant film"), pytest.param(1, "X_film_equal_radius", id="film as thick as the radius")]


def dissolved(rig, t, rtol=1e-9, **given):
    """Return the share dissolved at times from zero on, and the trajectory."""
    model = rig(DissolutionTester, horizon=float(t[-1]), **{**ONE, **given}).model
    trajectory = simulate(model, t, rtol=rtol, atol=1e-2 * rtol)
    return trajectory["unit.dissolved_share"], trajectory


@pytest.mark.parametrize(("follows", "column"), FILMS)
def test_one_size_in_sink_is_the_closed_form(rig, follows, column):
    end = float(dissolving.shrinking_time(RADIUS, CONSTANT, 30e-6, film_follows=bool(follows)))
    assert end == pytest.approx(RADIUS * 30e-6 / CONSTANT if not follows else RADIUS**2 / (2 * CONSTANT), rel=1e-12)
    share, _ = dissolved(rig, end * VECTORS["t_over_td"], film_follows=follows, **SINK)
    assert share == pytest.approx(VECTORS[column], abs=FADE)
    law = dissolving.sink_dissolved(end * VECTORS["t_over_td"], RADIUS, CONSTANT, 30e-6, film_follows=bool(follows))
    assert law == pytest.approx(VECTORS[column], abs=6e-9)


def test_a_film_thinner_than_the_particle_thins_with_it_in_the_end(rig):
    """The radius falls on a straight line to the film's thickness, and its square from there on."""
    film = 8e-6
    first, last = (RADIUS - film) * film / CONSTANT, film**2 / (2 * CONSTANT)
    t = np.linspace(0.0, 1.1 * (first + last), 45)
    radius = np.where(t < first, RADIUS - CONSTANT * t / film, np.sqrt(np.maximum(film**2 - 2 * CONSTANT * (t - first), 0.0)))
    share, _ = dissolved(rig, t, film_thickness=film, **SINK)
    assert share == pytest.approx(1 - (radius / RADIUS) ** 3, abs=2 * FADE)
    assert dissolving.sink_dissolved(t, RADIUS, CONSTANT, film, film_follows=True) == pytest.approx(1 - (radius / RADIUS) ** 3, abs=1e-8)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("follows", [0, 1])
def test_the_end_of_a_class_is_regular_at_any_tolerance(rig, follows, rtol):
    end = float(dissolving.shrinking_time(RADIUS, CONSTANT, 30e-6, film_follows=bool(follows)))
    share, trajectory = dissolved(rig, end * np.array([0.0, 0.5, 1.0, 2.0, 10.0]), rtol, film_follows=follows, **SINK)
    assert share[2:] == pytest.approx(1.0, abs=FADE + 10 * rtol)
    assert trajectory["unit.undissolved[1,1]"].min() > -rtol
    assert trajectory.stats.steps < 600


@pytest.mark.parametrize("filling", [0.3, 0.9, 1.5])
@pytest.mark.parametrize("follows", [0, 1])
def test_a_medium_that_fills_up_slows_dissolution(rig, follows, filling):
    """Time at which the radius is y of its start: integral of h dy over the driving force that is left, by quadrature."""
    volume = ONE["dose"] / (filling * SOLUBILITY)
    end = float(dissolving.shrinking_time(RADIUS, CONSTANT, 30e-6, film_follows=bool(follows)))
    t = end * np.array([0.0, 0.1, 0.3, 0.5, 0.8])
    share, trajectory = dissolved(rig, t, film_follows=follows, volume=volume)
    film = (lambda y: y * RADIUS) if follows else (lambda y: 30e-6)
    for time, x in zip(t[1:], share[1:], strict=True):
        taken, _ = quad(lambda y: film(y) / (1 - filling * (1 - y**3)), (1 - x) ** (1 / 3), 1.0, epsabs=1e-14, epsrel=1e-12)
        assert taken * RADIUS / CONSTANT == pytest.approx(time, rel=1e-6)
    assert trajectory["unit.concentration"] == pytest.approx(share * ONE["dose"] / volume, rel=1e-8)


@pytest.mark.parametrize("follows", [0, 1])
def test_a_medium_that_the_dose_just_fills_has_a_closed_form(rig, follows):
    """Driving force in proportion to the mass left: r0/r = sqrt(1 + 2 t/t_d), or 1 + t/(2 t_d) with a film as thick as the radius."""
    end = float(dissolving.shrinking_time(RADIUS, CONSTANT, 30e-6, film_follows=bool(follows)))
    t = end * np.linspace(0.0, 20.0, 21)
    share, _ = dissolved(rig, t, film_follows=follows, volume=ONE["dose"] / SOLUBILITY)
    ratio = 1 + t / (2 * end) if follows else np.sqrt(1 + 2 * t / end)
    assert share == pytest.approx(1 - ratio**-3, abs=1e-7)


def test_the_medium_never_holds_more_than_it_can(rig):
    _, trajectory = dissolved(rig, np.linspace(0.0, 1e5, 101), volume=1e-5, size_spread=1.8, classes=5, layers=3)
    assert trajectory["unit.concentration"].max() <= SOLUBILITY * (1 + 1e-9)
    assert trajectory["unit.concentration"][-1] == pytest.approx(SOLUBILITY, rel=1e-6)


def front(t, disintegration, end):
    """Return the convolution of the front with the dissolution of one size with a constant film, by quadrature."""

    def particle(free):
        return 1 - max(1 - max(free, 0.0) / end, 0.0) ** 3

    edge = min(math.sqrt(t / disintegration), 1.0)
    return quad(lambda w: particle(t - disintegration * w**2), 0.0, edge, epsabs=1e-12)[0]


def test_layers_converge_to_the_front_with_second_order(rig):
    end = RADIUS * 30e-6 / CONSTANT
    disintegration, when = 0.5 * end, 0.8 * end
    exact = front(when, disintegration, end)
    errors = []
    for layers in (4, 8, 16, 32):
        given = {"layers": layers, "disintegration_time": disintegration, "film_follows": 0, "lag": 0.1 * end}
        share, trajectory = dissolved(rig, np.array([0.0, 0.1 * end, 0.1 * end + when]), **given, **SINK)
        assert len(trajectory.events) == layers
        assert share[1] == 0.0
        errors.append(abs(share[2] - exact))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(orders > 1.9)
    assert errors[-1] < 3e-4


def test_the_front_passes_layers_as_washburn_says(rig):
    given = {"layers": 5, "disintegration_time": 100.0, "lag": 10.0}
    _, trajectory = dissolved(rig, np.array([0.0, 200.0]), **given)
    assert [event.time for event in trajectory.events] == pytest.approx([10 + 100 * ((k - 0.5) / 5) ** 2 for k in range(1, 6)], rel=1e-9)
    assert trajectory["unit.disintegrated_share"][-1] == 1.0
    depth, radius = 1.5e-3, 1e-9
    time = dissolving.penetration_time(depth, radius, 0.07, 0.8, 0.7e-3)
    assert math.sqrt(radius * 0.07 * 0.8 * time / (2 * 0.7e-3)) == pytest.approx(depth, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(median=st.floats(1e-6, 1e-3), spread=st.floats(1.0, 10.0), count=st.integers(1, 60))
def test_classes_hold_all_mass_and_all_surface(median, spread, count):
    diameters, fractions = map(np.array, dissolving.size_classes(median, spread, count))
    assert fractions.sum() == pytest.approx(1.0, abs=1e-14)
    assert np.all(fractions > 0)
    # specific surface of a log-normal distribution of mass: 6/(rho d50) exp(sigma^2/2)
    assert np.sum(fractions / diameters) == pytest.approx(math.exp(math.log(spread) ** 2 / 2) / median, rel=1e-12)
    assert np.all(np.diff(diameters) > 0) or spread < 1.001


def test_mass_in_the_classes_is_that_between_their_edges():
    _, fractions = dissolving.size_classes(50e-6, 1.8, 8)
    assert fractions[2:4] == pytest.approx([ndtr(-1.0) - ndtr(-2.0), ndtr(0.0) - ndtr(-1.0)], rel=1e-12)
    assert fractions[0] == pytest.approx(ndtr(-3.0), rel=1e-12)


@pytest.mark.parametrize("follows", [False, True])
def test_classes_converge_with_second_order(follows):
    """Against quadrature over the whole distribution, with a film thinner than the largest particles."""
    sigma, median, time = math.log(1.8), 50e-6, 600.0

    def at(z):
        share = dissolving.sink_dissolved(time, median / 2 * math.exp(sigma * z), CONSTANT, 30e-6, film_follows=follows)
        return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * float(share)

    exact = quad(at, -12.0, 12.0, epsabs=1e-12, limit=400)[0]
    errors = []
    for count in (5, 10, 20, 40):
        diameters, fractions = dissolving.size_classes(median, 1.8, count)
        shares = [dissolving.sink_dissolved(time, d / 2, CONSTANT, 30e-6, film_follows=follows) for d in diameters]
        errors.append(abs(float(np.dot(fractions, shares)) - exact))
    assert np.log2(errors[0] / errors[-1]) / 3 > 1.8
    assert errors[2] < 1e-3


def test_many_sizes_in_sink_are_the_sum_of_their_closed_forms(rig):
    t = np.array([0.0, 60.0, 300.0, 900.0, 3600.0])
    share, _ = dissolved(rig, t, median_size=50e-6, size_spread=1.8, classes=7, **SINK)
    diameters, fractions = dissolving.size_classes(50e-6, 1.8, 7)
    each = [dissolving.sink_dissolved(t, d / 2, CONSTANT, 30e-6, film_follows=True) for d in diameters]
    assert share == pytest.approx(np.dot(fractions, each), abs=2 * FADE)


def test_a_tablet_without_drug_gives_none(rig):
    share, trajectory = dissolved(rig, np.array([0.0, 100.0, 1000.0]), dose=0.0, layers=2)
    assert np.all(trajectory["unit.dissolved_mass"] == 0.0)
    assert np.all(trajectory["unit.concentration"] == 0.0)
    assert 0 < share[1] < share[2] <= 1.0  # the share of an infinitely small dose


@settings(max_examples=15, deadline=None)
@given(
    filling=st.floats(0.01, 3.0),
    size=st.floats(2e-6, 3e-4),
    spread=st.floats(1.0, 3.0),
    layers=st.integers(0, 3),
    follows=st.integers(0, 1),
)
def test_every_milligram_is_solid_or_in_solution(rig, filling, size, spread, layers, follows):
    given = {"volume": ONE["dose"] / (filling * SOLUBILITY), "median_size": size, "size_spread": spread, "classes": 4}
    share, trajectory = dissolved(rig, np.linspace(0.0, 3600.0, 13), 1e-8, **given, layers=layers, film_follows=follows)
    solid = sum(trajectory[f"unit.undissolved_mass[{k}]"] for k in range(1, 5))
    assert solid + trajectory["unit.dissolved_mass"] == pytest.approx(ONE["dose"], rel=1e-9)
    assert np.all(np.diff(share) > -1e-9)
    assert share.max() < 1 + 1e-8
    assert trajectory["unit.concentration"].max() < SOLUBILITY * (1 + 1e-7)


@pytest.mark.parametrize(("name", "value"), [("solubility", SOLUBILITY), ("disintegration_time", 120.0), ("lag", 10.0)])
def test_derivatives_go_through_the_front(rig, name, value):
    """Exact derivatives against differences of runs, with particles that are set free by events."""
    t, step = np.array([0.0, 200.0, 600.0]), 1e-4 * value
    many = {"median_size": 50e-6, "size_spread": 1.6, "classes": 3, "layers": 3, "disintegration_time": 120.0, "lag": 10.0}
    model = rig(DissolutionTester, horizon=600.0, **{**ONE, **many}).model
    found = sensitivities(model, [f"unit.{name}"], "unit.dissolved_share", t)["unit.dissolved_share", f"unit.{name}"]
    above, below = (dissolved(rig, t, 1e-10, **{**many, name: value + sign * step})[0] for sign in (1, -1))
    assert found == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-9 / value)


def test_what_makes_no_sense_is_refused(rig):
    for wrong in ({"size_spread": 0.9}, {"film_follows": 2}, {"layers": -1}, {"median_size": 0.0}, {"dose": -1e-6}):
        with pytest.raises(CaseError, match=next(iter(wrong))):
            rig(DissolutionTester, **{**ONE, **wrong})


@pytest.mark.parametrize("shape", [0.6, 1.0, 2.5])
def test_weibull_is_the_distribution(rig, shape):
    model = rig(WeibullDissolution, horizon=3600.0, dose=25e-6, lag=120.0, scale=600.0, shape=shape).model
    t = np.array([0.0, 119.0, 420.0, 720.0, 3600.0])
    trajectory = simulate(model, t)
    expected = 1 - np.exp(-((np.maximum(t - 120.0, 0.0) / 600.0) ** shape))
    assert trajectory["unit.dissolved_share"] == pytest.approx(expected, abs=1e-8)
    assert trajectory["unit.dissolved_share"][3] == pytest.approx(1 - math.exp(-1), abs=1e-8)
    assert trajectory["unit.concentration"] == pytest.approx(25e-6 * trajectory["unit.dissolved_share"] / 0.9e-3, rel=1e-12)
