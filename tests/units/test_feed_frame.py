"""Feed frame: residence time and strain in closed form, filling up, limits, conservation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import PAIR, SMOOTH, fed
from scipy.special import gammainc

from flowsheet import Flowsheet
from solvers import SimulationError, simulate
from units.feed_frame import FeedFrame
from units.hopper import Hopper
from units.source import Source

VOLUME = 1e-3
FULL = {"volume": VOLUME, "initial_mass": 330.0 * VOLUME, "initial_composition": {"filler": 1.0}, "heel": 1e-7}
MEAN = 330.0 * VOLUME / SMOOTH


def steady(chambers, horizon, **given):
    """Return a model of a full frame through which there is a steady flow, all of it drug."""
    through = {"draw": lambda t, sin: SMOOTH / 330.0 + 0 * t, "chambers": chambers}
    return fed(FeedFrame, lambda t, sin: SMOOTH + 0 * t, lambda t, sin: 1 + 0 * t, horizon, **through, **(FULL | given))


@pytest.mark.parametrize("chambers", [1, 2, 3])
def test_a_step_leaves_as_from_tanks_in_series(chambers):
    time = np.linspace(0.0, 5 * MEAN, 101)
    trajectory = simulate(steady(chambers, 5 * MEAN), time, rtol=1e-10)
    assert trajectory["unit.outlet_fraction[drug]"] == pytest.approx(gammainc(chambers, chambers * time / MEAN), abs=1e-7)
    assert trajectory["unit.intake"] == pytest.approx(SMOOTH / 330.0, rel=1e-5)


@pytest.mark.parametrize("chambers", [1, 2, 3])
def test_powder_is_strained_in_proportion_to_its_time(chambers):
    """The mean strain of what leaves is what the paddles add in the mean residence time, however it mixes; it approaches with the tanks."""
    given = {"paddle_speed": 1.5, "strain_per_turn": 2.0, "strength_loss": 0.4, "strain_scale": 150.0}
    time = np.linspace(0.0, 10 * MEAN, 101)
    trajectory = simulate(steady(chambers, 10 * MEAN, **given), time, rtol=1e-10)
    final = 2.0 * 1.5 * MEAN
    tank = chambers * time / MEAN
    approach = sum(gammainc(k, tank) for k in range(1, chambers + 1)) / chambers  # each chamber adds its share, filtered by those behind it
    assert trajectory["unit.strain"] == pytest.approx(final * approach, abs=1e-5 * final)
    assert trajectory["unit.strength_factor"][-1] == pytest.approx(1 - 0.4 * (1 - np.exp(-final / 150.0)), rel=1e-4)
    assert trajectory["unit.strength_factor"][0] == 1.0


def test_a_choke_fed_frame_fills_up_and_stays_full():
    sheet = Flowsheet(600.0, dict(PAIR))
    sheet.add("feed", Source, flow={"filler": SMOOTH, "drug": 0.0})
    sheet.add("hopper", Hopper, cells=5, initial_mass=1.0, initial_composition={"filler": 1.0}, heel=1e-7)
    sheet.add("frame", FeedFrame, volume=VOLUME, fill_time=8.0, initial_composition={"filler": 1.0}, draw=SMOOTH / 330.0, heel=1e-9)
    sheet.add("bin", "sink")
    for ends in (("feed.outlet", "hopper.inlet"), ("hopper.outlet", "frame.inlet"), ("frame.outlet", "bin.inlet")):
        sheet.connect(*ends)
    sheet.connect("frame.intake", "hopper.draw")
    time = np.linspace(0.0, 60.0, 61)
    trajectory = simulate(sheet.model, time)
    assert trajectory["frame.filled_volume"] == pytest.approx(VOLUME * (1 - np.exp(-time / 8.0)), abs=2e-4 * VOLUME)
    assert trajectory["hopper.level"] == pytest.approx(
        1.0 + SMOOTH * time - 330 * SMOOTH / 330 * time - trajectory["frame.level"], abs=1e-5
    )


def test_an_empty_frame_gives_nothing_and_wants_powder(rig):
    setup = rig(FeedFrame, feed=0.0, initial_composition={"api": 1.0}, volume=VOLUME, fill_time=5.0)
    trajectory = simulate(setup.model, np.array([0.0, 600.0]))
    assert trajectory["unit.outlet_total"] == pytest.approx(0.0, abs=1e-15)
    assert trajectory["unit.intake"] == pytest.approx(VOLUME / 5.0, rel=1e-6)
    assert trajectory["unit.strain"] == pytest.approx(0.0, abs=1e-12)


def test_standing_paddles_do_not_strain():
    trajectory = simulate(steady(2, 100.0, paddle_speed=0.0), np.array([0.0, 100.0]))
    assert trajectory["unit.strength_factor"] == pytest.approx(1.0, abs=1e-12)


def test_an_overfull_frame_wants_nothing(rig):
    setup = rig(FeedFrame, feed=0.0, initial_mass=0.37, initial_composition={"api": 1.0}, volume=VOLUME, draw=1e-6)
    assert simulate(setup.model, np.array([0.0, 1.0]))["unit.intake"] == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(
    chambers=st.integers(1, 3), start=st.floats(0.0, 1.0), flow=st.floats(0.0, 40.0), draw=st.floats(0.0, 40.0), share=st.floats(0.0, 1.0)
)
def test_every_gram_is_accounted_for(rig, chambers, start, flow, draw, share):
    feed = {"excipient": flow * share / 3600, "api": flow * (1 - share) / 3600, "lubricant": 0.0}
    given = {
        "volume": 0.02,
        "chambers": chambers,
        "initial_mass": start,
        "initial_composition": {"excipient": 0.9, "api": 0.1},
        "draw": draw / 3600 / 330,
    }
    setup = rig(FeedFrame, feed=feed, horizon=400.0, **given)
    trajectory = simulate(setup.model, np.linspace(0.0, 400.0, 41))
    assert setup.residual(trajectory) < 1e-9
    assert trajectory["unit.strain"].min() > -1e-6
    for component in feed:
        assert trajectory[f"unit.holdup[{component}]"].min() > -1e-8


def test_a_frame_that_nobody_empties_ends_the_run(rig):
    setup = rig(FeedFrame, feed=1e-3, initial_composition={"api": 1.0}, volume=VOLUME)
    with pytest.raises(SimulationError, match=r"more powder comes than the feed frame holds.*connect the frame's intake"):
        simulate(setup.model, np.array([0.0, 600.0]))
