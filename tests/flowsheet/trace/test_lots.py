"""Lots through one mixed tank against closed forms, through a whole line against what refills keep, and their balances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import gammaincinv

from flowsheet import load_case
from flowsheet.case import Case
from flowsheet.trace import Trace, trace_case
from flowsheet.trace.lots import Lot, LotPlace, lots_of
from units.funnel import funnel_peak

FLOW, TAU, CHANGE, DRUG = 0.005, 60.0, 100.0, 0.1
LOT_CHANGE = Path(__file__).parents[3] / "cases" / "lot_change"

SWITCH = """
[[profiles]]
variable = "feed.flow[first]"
times = ["0 s", "100 s"]
values = ["0.0005 kg/s", "0 kg/s"]

[[profiles]]
variable = "feed.flow[second]"
times = ["0 s", "100 s"]
values = ["0 kg/s", "0.0005 kg/s"]
"""


def at(lot: Lot, place: str) -> LotPlace:
    return next(each for each in lot.places if each.place == place)


@pytest.mark.parametrize(("threshold", "share_of", "scale"), [(0.01, "substance", 1.0), (0.05, "substance", 1.0), (0.01, "powder", DRUG)])
def test_lots_through_a_mixed_tank(threshold: float, share_of: str, scale: float, line: Callable[..., Case]) -> None:
    """The new lot's share is 1 - exp(-t/tau), the old one's exp(-t/tau), of the drug or a tenth of it of the powder."""
    first, second = trace_case(line(f'[trace]\nthreshold = {threshold}\nshare_of = "{share_of}"\n{SWITCH}')).lots
    x = threshold / scale
    comes, goes = CHANGE - TAU * math.log(1 - x), CHANGE - TAU * math.log(x)
    for place in ("blender", "bin"):
        assert at(second, place).passage.arrives == pytest.approx(comes, abs=2e-3)
        assert math.isnan(at(second, place).passage.gone)
        assert at(first, place).passage.arrives == 0.0
        assert at(first, place).passage.gone == pytest.approx(goes, abs=2e-3)
    assert at(second, "bin").product == pytest.approx(FLOW * (600 - comes), rel=1e-5)
    assert at(first, "bin").product == pytest.approx(FLOW * goes, rel=1e-5)
    assert at(first, "bin").tablets is None
    kept = DRUG * FLOW * TAU * math.exp(-(600 - CHANGE) / TAU)
    assert first.held_end == pytest.approx(kept, rel=1e-6)
    assert second.balance.left == pytest.approx(DRUG * FLOW * (500 - TAU) + kept, rel=1e-6)


def assert_balanced(trace: Trace) -> None:
    for lot in trace.lots:
        assert lot.balance.closes
        assert lot.held_start + lot.balance.entered == pytest.approx(lot.balance.left + lot.held_end, rel=1e-10)
        assert lot.left_by_exits == pytest.approx(lot.balance.left, rel=1e-10)
        assert lot.left_by_lines == pytest.approx(lot.balance.left, rel=1e-4)
        held = sum(place.mass[-1] for place in lot.places if not place.leaves)
        assert held == pytest.approx(lot.held_end, rel=1e-12)


def test_what_enters_is_held_or_has_left(line: Callable[..., Case]) -> None:
    assert_balanced(trace_case(line(SWITCH)))


def test_a_lot_that_never_comes_and_one_that_never_leaves(line: Callable[..., Case]) -> None:
    first, second = trace_case(line()).lots
    assert not at(second, "bin").passage.comes
    assert (at(second, "bin").product, at(second, "bin").passage.peak) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert math.isnan(at(first, "bin").passage.gone)
    assert at(first, "bin").product == pytest.approx(FLOW * 600)


def test_no_flow_carries_no_lot(line: Callable[..., Case]) -> None:
    """Shares of nothing are uniform in the model; they are not taken for a lot."""
    stopped = """
[[profiles]]
variable = "feed.flow[filler]"
times = ["0 s"]
values = ["0 kg/s"]

[[profiles]]
variable = "feed.flow[first]"
times = ["0 s"]
values = ["0 kg/s"]
"""
    case = line(stopped)
    empty = [(unit, {**unit.parameters, "initial_mass": 0.0} if unit.name == "blender" else unit.parameters) for unit in case.units]
    trace = trace_case(replace(case, units=tuple(replace(unit, parameters=parameters) for unit, parameters in empty)))
    for lot in trace.lots:
        assert not any(place.passage.comes for place in lot.places)
        assert np.isnan(at(lot, "bin").share).all()


def test_which_materials_are_lots(line: Callable[..., Case]) -> None:
    assert lots_of(line()) == ("first", "second")
    assert lots_of(line(substance="")) == ()
    assert lots_of(line('[trace]\nlots = ["filler"]')) == ("filler",)
    tracer = '[[profiles]]\nvariable = "feed.flow[second]"\ntimes = ["0 s", "9 s", "11 s"]\nvalues = ["0 kg/s", "1e-5 kg/s", "0 kg/s"]\n'
    assert lots_of(line(tracer, substance="")) == ("second",)
    outage = '[[profiles]]\nvariable = "feed.flow[filler]"\ntimes = ["0 s", "9 s", "11 s"]\nvalues = ["1e-3 kg/s", "0 kg/s", "1e-3 kg/s"]\n'
    assert lots_of(line(outage, substance="")) == ()


def test_a_tracer_leaves_again(line: Callable[..., Case]) -> None:
    """A hundredth of the powder for 60 s: peak at the end of the pulse, then exp(-t/tau)."""
    tracer = """
[trace]
threshold = 0.001

[[profiles]]
variable = "feed.flow[second]"
times = ["0 s", "100 s", "160 s"]
values = ["0 kg/s", "5e-6 kg/s", "0 kg/s"]
"""
    (lot,) = trace_case(line(tracer.replace("0.001", "1e-4"), substance="", share=0.1)).lots
    found = at(lot, "bin").passage
    flow = 5e-6 / FLOW
    assert found.peak == pytest.approx(flow * (1 - math.exp(-1)), rel=2e-3)
    assert found.peak_time == pytest.approx(160.0, abs=0.5)
    assert found.gone == pytest.approx(160 + TAU * math.log(flow * (1 - math.exp(-1)) / 1e-4), abs=0.2)
    assert lot.balance.entered == pytest.approx(5e-6 * 60, rel=1e-8)


@pytest.fixture(scope="module")
def lot_change() -> Trace:
    return trace_case(load_case(LOT_CHANGE, strict=True))


def test_lot_change_of_the_line(lot_change: Trace) -> None:
    """Refills keep 54.9 % of the old lot's share each; the first one begins at 9 min and reaches the tablets behind blender and hopper."""
    old, new = lot_change.lots
    assert_balanced(lot_change)
    kept = (0.5 / 0.9) ** (108 / 106)
    assert at(old, "feeder").share[-1] == pytest.approx(kept**6, rel=1e-6)
    assert at(new, "press").passage.peak == pytest.approx(1 - kept**6, abs=1e-4)
    assert at(new, "feeder").passage.arrives == pytest.approx(540.0, abs=5.0)
    times = [place.passage.arrives for place in new.places]
    assert times == sorted(times), "along the line"
    assert 60 < at(new, "press").passage.arrives - 540.0 < 120
    press = at(new, "press")
    # 20 kg/h from its arrival on, and as many tablets as the press makes of it
    assert press.product == pytest.approx(20 / 3600 * (4500 - press.passage.arrives), rel=1e-3)
    assert press.tablets == pytest.approx(press.product / at(old, "press").product * at(old, "press").tablets, rel=1e-3)
    ((first, last),) = press.tablet_numbers
    assert (last - first, last) == pytest.approx((press.tablets, at(old, "press").tablets))
    assert math.isnan(at(old, "press").passage.gone)


def test_numbers_do_not_depend_on_output_points() -> None:
    coarse, fine = (trace_case(load_case(LOT_CHANGE, [f"output.interval={step} s"])) for step in (10, 0.5))
    for one, other in zip(coarse.lots, fine.lots, strict=True):
        assert one.balance.left == pytest.approx(other.balance.left, rel=1e-8)
        assert at(one, "press").product == pytest.approx(at(other, "press").product, rel=1e-4)


@pytest.mark.parametrize("tanks", [1, 3, 6])
def test_a_lot_through_tanks_and_a_plug(tanks: int, line: Callable[..., Case]) -> None:
    """The exit-age distribution of the whole chain: P(n, n t/tau) behind 40 s; the plug's cells smear it a little."""
    first, second = trace_case(line(SWITCH, tanks=tanks, chute=True, horizon=900)).lots
    comes, goes = (CHANGE + 40 + TAU / tanks * gammaincinv(tanks, share) for share in (0.01, 0.99))
    assert at(second, "bin").passage.arrives == pytest.approx(comes, abs=1.5)
    assert at(first, "bin").passage.gone == pytest.approx(goes, abs=0.5)
    assert [place.place for place in first.places] == ["blender", "chute", "bin"]
    for place, other in zip(first.places, second.places, strict=True):
        assert place.share + other.share == pytest.approx(1.0, abs=1e-9)


def test_a_chain_has_the_funnel_of_its_tanks(line: Callable[..., Case]) -> None:
    """A plug delays and takes nothing away, but for what its cells smear; the tanks that are fitted have its mean and variance."""
    asked = """
[[trace.funnels]]
input = "feed.flow[second]"
watch = "chute.outlet_fraction[second]"
upper = "5 %"
time = "10 s"
step = "5e-8 kg/s"
durations = ["15 s", "60 s", "180 s"]
"""
    (funnel,) = trace_case(line(asked, tanks=3, substance="", chute=True, horizon=910)).funnels
    assert funnel.chain is not None
    assert funnel.chain.mean == pytest.approx(TAU + 40, rel=1e-3)
    assert funnel.chain.variance == pytest.approx(TAU**2 / 3, rel=1e-2)
    for row in funnel.rows:
        peak, when = funnel_peak(3, row.duration / TAU)
        assert row.high * FLOW == pytest.approx(peak, rel=2e-3)
        assert row.peak_time == pytest.approx(40 + TAU * when, abs=1.0)
