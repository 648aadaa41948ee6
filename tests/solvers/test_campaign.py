"""Campaigns: hand-overs between stages, against closed forms, differences and runs that were not cut; and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import casadi as ca
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expression, Param, Var

from solvers import (
    CampaignError,
    CampaignSensitivities,
    HandOver,
    Method,
    SimulationError,
    Stage,
    campaign_sensitivities,
    lower,
    sensitivities,
    simulate,
    simulate_campaign,
)
from solvers.declare import Direction, Event, Profile
from solvers.errors import UsageError

Derive = Callable[..., CampaignSensitivities]
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


@pytest.fixture(params=list(Method), ids=lambda method: method.name.lower())
def derive(request: pytest.FixtureRequest) -> Derive:
    return partial(campaign_sensitivities, method=request.param, **TIGHT)


def vessel(growth: float = 0.5, cells: float = 1.0, volume: float = 2.0, end: float = 2.0, bolus: bool = False) -> Any:
    """Cells that grow on a substrate (or for ever, without one): amounts of both are states, their starts are fixed."""
    m = ConcreteModel()
    m.t = ContinuousSet(bounds=(0, end))
    m.growth, m.half = Param(initialize=growth, mutable=True), Param(initialize=0.0, mutable=True)
    m.volume = Param(initialize=volume, mutable=True)
    m.feed = Var(m.t)
    m.feed.fix(0.0)
    m.cells, m.sugar = Var(m.t, initialize=cells), Var(m.t, initialize=5.0)
    m.cells_rate, m.sugar_rate = DerivativeVar(m.cells, wrt=m.t), DerivativeVar(m.sugar, wrt=m.t)
    m.density = Expression(m.t, rule=lambda m, t: m.cells[t] / m.volume)
    m.grown = Expression(m.t, rule=lambda m, t: m.growth * m.cells[t] * m.sugar[t] / (m.half * m.volume + m.sugar[t]))
    m.cells_balance = Constraint(m.t, rule=lambda m, t: m.cells_rate[t] == m.grown[t])
    m.sugar_balance = Constraint(m.t, rule=lambda m, t: m.sugar_rate[t] == m.feed[t] - m.half * m.grown[t])
    m.cells[0].fix(cells)
    m.sugar[0].fix(5.0)
    if bolus:
        m.given = Var(m.t)
        m.given.fix(0)
        m.low = Event(
            guard=lambda b, t: b.sugar[t] - 4.7,
            direction=Direction.FALLING,
            when=lambda b, t: 1 - b.given[t],
            transition=lambda b, t: ((b.given[t], 1), (b.sugar[t], b.sugar[t] + 3.0)),
        )
    return m


def split(pool: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A share of the pool and fresh medium."""
    return {
        "cells": own["share"] * pool["cells"],
        "sugar": own["share"] * pool["sugar"] + own["fresh"] * own["strength"],
        "volume": own["share"] * pool["volume"] + own["fresh"],
    }


def add_pooled_volume(m: Any) -> Any:
    m.pooled = Expression(m.t, rule=lambda m, t: m.volume + 0 * m.cells[t])
    return m


def passage(source: str, target: str, share: float, fresh: float = 1.0, strength: float = 2.0) -> HandOver:
    def rule(pool: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        return split({"cells": pool["cells"], "sugar": pool["sugar"], "volume": pool["pooled"]}, own)

    return HandOver.written(source, target, rule, {"share": share, "fresh": fresh, "strength": strength})


def train(half: float = 0.0, bolus: bool = False, **changed: float) -> tuple[list[Stage], list[HandOver]]:
    """Three stages; values by ``stage_name`` replace those that are there."""
    models = [add_pooled_volume(vessel(growth, end=end, bolus=bolus)) for growth, end in ((0.5, 2.0), (0.4, 3.0), (0.3, 1.5))]
    stages = []
    own = {"second": {"share": 0.2}, "third": {"share": 0.6, "fresh": 3.0}}
    for name, model, end in zip(("first", "second", "third"), models, (2.0, 3.0, 1.5), strict=True):
        model.half.set_value(half)
        for key, value in changed.items():
            stage, _, what = key.partition("_")
            if stage != name:
                continue
            if what in ("share", "fresh", "strength"):
                own[name][what] = value
            elif what == "start":
                model.cells[0].fix(value)
            else:
                model.component(what).set_value(value)
        stages.append(Stage(name, model, np.linspace(0.0, end, 4)))
    return stages, [passage("first", "second", **own["second"]), passage("second", "third", **own["third"])]


def test_exponential_growth_through_three_stages_with_splits_and_dilution(derive: Derive) -> None:
    stages, hand_overs = train()
    parameters = [
        ("first", "growth"),
        ("first", "cells"),
        ("second", "growth"),
        ("second", "share"),
        ("third", "fresh"),
        ("third", "growth"),
    ]
    outputs = [("third", "density"), ("third", "cells"), ("second", "cells"), ("first", "cells")]
    result = derive(stages, hand_overs, parameters, outputs)
    t = stages[2].t_eval
    second = 0.2 * math.exp(0.5 * 2.0) * np.exp(0.4 * stages[1].t_eval)
    third = 0.6 * second[-1] * np.exp(0.3 * t)
    second_volume = 0.2 * 2.0 + 1.0
    volume = 0.6 * second_volume + 3.0
    close = {"rel": 1e-8, "abs": 1e-10}
    found = result.trajectories
    assert found["second"]["cells"] == pytest.approx(second, **close)
    assert found["third"]["cells"] == pytest.approx(third, **close)
    assert found["third"]["density"] == pytest.approx(third / volume, **close)
    of = ("third", "cells")
    assert result[of, ("first", "growth")] == pytest.approx(2.0 * third, **close)
    assert result[of, ("first", "cells")] == pytest.approx(third, **close)
    assert result[of, ("second", "growth")] == pytest.approx(3.0 * third, **close)
    assert result[of, ("second", "share")] == pytest.approx(third / 0.2, **close)
    assert result[of, ("third", "growth")] == pytest.approx(t * third, **close)
    assert result[of, ("third", "fresh")] == pytest.approx(0 * t, abs=1e-12)
    assert result[("third", "density"), ("third", "fresh")] == pytest.approx(-third / volume**2, **close)
    by_share = third / volume / 0.2 - third / volume**2 * 0.6 * 2.0
    assert result[("third", "density"), ("second", "share")] == pytest.approx(by_share, **close)
    assert result[("second", "cells"), ("third", "growth")] == pytest.approx(np.zeros(4))
    assert result[("first", "cells"), ("second", "share")] == pytest.approx(np.zeros(4))
    assert result.arrays["third"].shape == (4, 2, 6)


@pytest.mark.parametrize("bolus", [False, True], ids=["smooth", "events"])
def test_derivatives_through_all_stages_agree_with_differences(derive: Derive, bolus: bool) -> None:
    parameters = [("first", "growth"), ("first", "half"), ("second", "share"), ("second", "strength"), ("third", "half")]
    outputs = [("third", "cells"), ("third", "sugar")]
    result = derive(*train(0.5, bolus), parameters, outputs)
    if bolus:
        assert sum(len(trajectory.events) for trajectory in result.trajectories.values()) >= 2
    base = {"first_growth": 0.5, "first_half": 0.5, "second_share": 0.2, "second_strength": 2.0, "third_half": 0.5}
    for parameter, (key, value) in zip(parameters, base.items(), strict=True):
        step = 1e-5 * value
        ends = [simulate_campaign(*train(0.5, bolus, **{key: value + sign * step}), **TIGHT)["third"] for sign in (1, -1)]
        for stage, name in outputs:
            difference = (ends[0][name] - ends[1][name]) / (2 * step)
            assert result[(stage, name), parameter] == pytest.approx(difference, rel=2e-5, abs=2e-6)


def test_derivatives_converge_with_the_tolerance() -> None:
    """Errors of the last stage's derivative by what the first one starts with shrink with rtol, against the closed form."""
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        result = campaign_sensitivities(*train(), [("first", "growth")], [("third", "cells")], rtol=rtol, atol=rtol / 100)
        exact = 2.0 * 0.6 * 0.2 * math.exp(0.5 * 2.0 + 0.4 * 3.0 + 0.3 * 1.5)
        errors.append(abs(result[("third", "cells"), ("first", "growth")][-1] / exact - 1))
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 20
    assert errors[2] < errors[1] / 20


def test_one_stage_is_a_plain_run_bit_for_bit(derive: Derive) -> None:
    model = vessel(bolus=True)
    model.half.set_value(0.4)
    t = np.linspace(0.0, 2.0, 7)
    stage = Stage("only", model, t, inputs={"feed": Profile((0.0, 1.0), (0.1, 0.2))})
    plain = simulate(model, t, inputs=stage.inputs, **TIGHT)
    campaign = simulate_campaign([stage], **TIGHT)["only"]
    assert [plain[name].tobytes() for name in plain.names] == [campaign[name].tobytes() for name in plain.names]
    assert plain.events == campaign.events
    method = derive.keywords["method"]  # type: ignore[attr-defined]
    direct = sensitivities(model, ["growth", "sugar"], ["cells", "density"], t, inputs=stage.inputs, method=method, **TIGHT)
    through = derive([stage], [], [("only", "growth"), ("only", "sugar")], [("only", "cells"), ("only", "density")])
    assert through.arrays["only"].tobytes() == direct.array.tobytes()


@pytest.mark.parametrize("cut", [0.3, 1.1, 1.9])
def test_a_run_cut_in_two_is_the_whole_run(cut: float) -> None:
    whole, one, two = (vessel(bolus=True) for _ in range(3))
    for model in (whole, one, two):
        model.half.set_value(0.5)
    everything = HandOver.written("one", "two", lambda pool, own: {name: pool[name] for name in ("cells", "sugar", "given")})
    stages = [Stage("one", one, [0.0, cut]), Stage("two", two, [0.0, 2.0 - cut])]
    uncut = simulate(whole, [0.0, 2.0], **TIGHT)
    parts = simulate_campaign(stages, [everything], **TIGHT)
    assert len(uncut.events) == len(parts["one"].events) + len(parts["two"].events) == 1
    result = campaign_sensitivities(stages, [everything], [("one", "growth"), ("two", "growth")], [("two", "cells")], **TIGHT)
    direct = sensitivities(whole, ["growth"], ["cells"], [2.0], **TIGHT)
    assert parts["two"]["cells"][-1] == pytest.approx(uncut["cells"][-1], rel=1e-9)
    both = sum(result[("two", "cells"), (stage, "growth")][-1] for stage in ("one", "two"))
    assert both == pytest.approx(direct["cells", "growth"][-1], rel=1e-7)


def test_what_starts_from_equations_is_charged_by_what_is_in_them() -> None:
    model = vessel()
    model.initial = Param(initialize=1.0, mutable=True)
    model.cells[0].unfix()
    model.start = Constraint(expr=model.cells[0] == model.initial * model.volume)
    double = HandOver.written("a", "b", lambda pool, own: {"initial": 2 * pool["cells"], "feed": 0.1 * pool["sugar"]})
    found = campaign_sensitivities(
        [Stage("a", vessel(), [0.0, 2.0]), Stage("b", model, [0.0, 1.0])], [double], [("a", "growth")], [("b", "cells"), ("b", "feed")]
    )
    assert found.trajectories["b"]["cells"][0] == pytest.approx(2 * 2 * math.exp(1.0), rel=1e-7)
    assert found.trajectories["b"]["feed"][0] == pytest.approx(0.5, rel=1e-7)
    assert found[("b", "cells"), ("a", "growth")][0] == pytest.approx(2 * 4 * math.exp(1.0), rel=1e-6)


def test_a_function_of_casadi_is_a_hand_over_too() -> None:
    x, s = ca.MX.sym("x", 2), ca.MX.sym("s", 0)
    function = ca.Function("mixing", [x, s], [ca.vertcat(x[0] * x[1], x[1])])
    hand_over = HandOver("a", "b", ("cells", "sugar"), ("cells", "sugar"), function)
    found = simulate_campaign([Stage("a", vessel(0.0), [0.0, 1.0]), Stage("b", vessel(0.0), [0.0])], [hand_over])
    assert (found["b"]["cells"][0], found["b"]["sugar"][0]) == (5.0, 5.0)
    by_pool, by_settings = hand_over.changes(found["a"])
    np.testing.assert_allclose(by_pool, [[5.0, 1.0], [0.0, 1.0]])
    assert by_settings.shape == (2, 0)


def test_a_pool_may_be_that_of_an_earlier_stage_and_serve_two() -> None:
    stages = [Stage(name, add_pooled_volume(vessel()), [0.0, 2.0]) for name in ("a", "b", "c")]
    found = simulate_campaign(stages, [passage("a", "b", 0.25), passage("a", "c", 0.5)])
    assert found["c"]["cells"][0] == pytest.approx(2 * found["b"]["cells"][0], rel=1e-12)


@given(
    shares=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2),
    fresh=st.lists(st.floats(0.0, 50.0), min_size=2, max_size=2),
    half=st.floats(0.05, 2.0),
)
@settings(max_examples=25, deadline=None)
def test_nothing_is_lost_at_hand_overs(shares: list[float], fresh: list[float], half: float) -> None:
    """Sugar and cells: what all stages started with, made and were given is what was left behind and what is there at the end.

    One unit of sugar makes 1/half cells, so that cells*half + sugar changes by what is given only.
    """
    stages = [Stage(name, model, [0.0, 2.0]) for name, model in zip("abc", MODELS, strict=True)]
    for stage in stages:
        stage.model.model.half.set_value(half)
    hand_overs = [passage(*ends, share, volume) for ends, share, volume in zip(("ab", "bc"), shares, fresh, strict=True)]
    found = simulate_campaign(stages, hand_overs)

    def total(stage: str, place: int) -> float:
        return float(half * found[stage]["cells"][place] + found[stage]["sugar"][place])

    left_behind = sum((1 - share) * total(stage, -1) for stage, share in zip("ab", shares, strict=True))
    given_besides = sum(2.0 * volume for volume in fresh)
    assert left_behind + total("c", -1) == pytest.approx(total("a", 0) + given_besides, rel=1e-7)


MODELS = [lower(add_pooled_volume(vessel())) for _ in range(3)]


# -- what is refused -----------------------------------------------------------------------------------------------------


def test_a_failed_stage_ends_the_campaign_and_says_which() -> None:
    broken = vessel(end=2.0)
    broken.full = Event(guard=lambda b, t: b.cells[t] - 2.0, direction=Direction.RISING, doc="too many", refusal="take fewer")
    stages = [Stage("a", vessel(), [0.0, 1.0]), Stage("b", broken, np.linspace(0.0, 2.0, 21)), Stage("c", vessel(), [0.0, 1.0])]
    on = [HandOver.written(one, other, lambda pool, own: {"cells": pool["cells"]}) for one, other in ("ab", "bc")]
    with pytest.raises(CampaignError, match=r"stage b: full at t = 0\.386.*take fewer") as caught:
        simulate_campaign(stages, on)
    assert caught.value.stage == "b"
    assert isinstance(caught.value, SimulationError)
    assert list(caught.value.trajectories) == ["a", "b"]
    assert caught.value.trajectories["b"].t[-1] == pytest.approx((math.log(2.0) - 0.5) / 0.5, rel=1e-5)
    with pytest.raises(CampaignError, match="stage b"):
        campaign_sensitivities(stages, on, [("a", "growth")], [("c", "cells")])


def test_a_charge_that_is_no_number_is_refused() -> None:
    nothing = HandOver.written("a", "b", lambda pool, own: {"cells": pool["cells"] / (pool["sugar"] - pool["sugar"])})
    with pytest.raises(CampaignError, match="stage b: not a number: the hand-over from a to b makes cells not finite"):
        simulate_campaign([Stage("a", vessel(), [0.0, 1.0]), Stage("b", vessel(), [0.0, 1.0])], [nothing])


def of_two(charge: Mapping[str, str], source: str = "a", target: str = "b", **inputs: Any) -> None:
    stages = [Stage("a", vessel(), [0.0, 1.0]), Stage("b", vessel(), [0.0, 1.0], inputs or None)]
    simulate_campaign(stages, [HandOver.written(source, target, lambda pool, own: {name: pool[of] for name, of in charge.items()})])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"charge": {"cells": "cels"}}, "stage a: no variable of time is called 'cels'.*did you mean cells"),
        ({"charge": {"cels": "cells"}}, "stage b: cels is nothing that can be charged.*did you mean cells"),
        ({"charge": {"density": "cells"}}, "density is nothing that can be charged"),
        ({"charge": {"cells": "cells"}, "source": "c"}, "there is no stage 'c'"),
        ({"charge": {"cells": "cells"}, "source": "b", "target": "a"}, "goes backwards"),
        ({"charge": {"cells": "cells"}, "target": "a"}, "goes backwards"),
        ({"charge": {"feed": "cells"}, "feed": 1.0}, "feed is charged and given besides"),
        ({"charge": {"feed": "cells"}, "feed": Profile((0.0,), (1.0,))}, "feed is charged and given besides"),
        ({"charge": {}}, "charges nothing"),
    ],
)
def test_hand_overs_that_do_not_fit_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        of_two(**arguments)


def test_more_that_is_refused() -> None:
    stage = Stage("a", vessel(), [0.0, 1.0])
    with pytest.raises(UsageError, match="a name of its own"):
        simulate_campaign([stage, stage])
    with pytest.raises(UsageError, match="a name of its own"):
        simulate_campaign([])
    other = Stage("b", add_pooled_volume(vessel()), [0.0, 1.0])
    same = HandOver.written("a", "b", lambda pool, own: {"cells": pool["cells"]})
    with pytest.raises(UsageError, match="stage b: cells is charged by two hand-overs"):
        simulate_campaign([stage, other], [same, same])
    with pytest.raises(UsageError, match="stage b: cells is charged"):
        campaign_sensitivities([stage, other], [same], [("b", "cells")], [("b", "density")])
    with pytest.raises(UsageError, match="no stage 'd'"):
        campaign_sensitivities([stage, other], [same], [("a", "growth")], [("d", "density")])
    with pytest.raises(UsageError, match="need parameters and outputs"):
        campaign_sensitivities([stage, other], [same], [], [("b", "density")])
    result = campaign_sensitivities([stage, other], [same], [("a", "growth")], [("b", "density")])
    with pytest.raises(UsageError, match=r"no derivative was computed.*did you mean b: density"):
        result[("b", "densty"), ("a", "growth")]
    with pytest.raises(UsageError, match="not finite: share"):
        passage("a", "b", math.nan)
    taken = HandOver.written("a", "b", lambda pool, own: {"cells": own["growth"] * pool["cells"]}, {"growth": 1.0})
    with pytest.raises(UsageError, match="the name of the setting growth is taken"):
        simulate_campaign([stage, other], [taken])
    function = ca.Function("f", [ca.MX.sym("x", 2)], [ca.MX(1)])
    with pytest.raises(UsageError, match="does not take columns of 1 pooled values and 0 settings"):
        HandOver("a", "b", ("x",), ("y",), function)


def test_starts_are_those_of_fixed_states() -> None:
    model = vessel()
    assert simulate(model, [0.0], starts={model.cells: 3.0, "sugar": 4.0})["cells"][0] == 3.0
    with pytest.raises(UsageError, match=r"no state is called 'cels'.*cells"):
        simulate(model, [0.0], starts={"cels": 3.0})
    with pytest.raises(UsageError, match="the start given for cells is not finite"):
        simulate(model, [0.0], starts={"cells": math.inf})
    model.cells[0].unfix()
    model.start = Constraint(expr=model.cells[0] == model.volume)
    with pytest.raises(UsageError, match="the start of cells follows from the equations"):
        simulate(model, [0.0], starts={"cells": 3.0})
