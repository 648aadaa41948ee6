"""The ladder: one entry per problem. A new rung is one entry more."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from flowsheet.verify import (
    bioreactors,
    circuits,
    dae,
    derivatives,
    emep,
    events,
    fields,
    mechanism,
    optima,
    populations,
    problems,
    tablets,
    units,
)
from flowsheet.verify.problems import InitialValueProblem, build_model, published
from flowsheet.verify.rung import RULE, Group, Outcome, Run, Rung
from flowsheet.verify.runs import at_end, event_times, simulated
from flowsheet.verify.scoring import Standing
from solvers import Method, Optimum, SimulationError, lower, simulate
from solvers.errors import UsageError
from solvers.suggest import did_you_mean

HAND = "derived by hand"


def _ivp(name: str, problem: InitialValueProblem, asked: tuple[tuple[float, float], ...] = RULE) -> Rung:
    return Rung(
        name=name,
        group=Group.INITIAL_VALUE,
        compared=f"{len(problem.end)} states at t = {problem.end_time:g}",
        labels=problem.names,
        reference=problem.end,
        source=problem.source,
        standing=Standing.SOURCE,
        prepare=lambda: simulated(build_model(problem), [0.0, problem.end_time], at_end(problem.names)),
        asked=asked,
        scale=problem.scale,
        agreed=problem.agreed,
    )


def _published(
    name: str,
    group: Group,
    key: str,
    end_time: float,
    names: Callable[[int], str],
    build: Callable[[], Any],
    inputs: Any = None,
    *,
    start: float = 0.0,
) -> Rung:
    """Return a rung whose reference stands in ``published.toml``; ``names`` gives the name of a component, counted from 1."""
    end = published(key)
    labels = tuple(names(k) for k in end.components or range(1, len(end.values) + 1))
    return Rung(
        name=name,
        group=group,
        compared=f"{len(labels)} variables at t = {end_time:g}",
        labels=labels,
        reference=end.values,
        source=end.source,
        standing=end.standing,
        prepare=lambda: simulated(build(), [start, end_time], at_end(labels), inputs),
        agreed=end.agreed,
    )


def _closed(
    name: str,
    group: Group,
    compared: str,
    values: dict[str, float],
    prepare: Callable[[], Run],
    *,
    source: str = HAND,
    standing: Standing = Standing.CLOSED_FORM,
    asked: tuple[tuple[float, float], ...] = RULE,
    agreed: float = 13.0,
) -> Rung:
    return Rung(name, group, compared, tuple(values), tuple(values.values()), source, standing, prepare, asked, agreed=agreed)


def _computed(name: str, key: str, compared: str, labels: tuple[str, ...], prepare: Callable[[], Run]) -> Rung:
    """Return a rung of a unit whose reference stands in ``published.toml``."""
    end = published(key)
    return Rung(name, Group.UNIT, compared, labels, end.values, end.source, end.standing, prepare, agreed=end.agreed)


def _times(
    name: str, group: Group, what: str, times: Sequence[float], build: Callable[[], Any], end: float, *found: str, **more: Any
) -> Rung:
    """Return a rung that compares the times of events."""
    values = {f"{what} {k}" if len(times) > 1 else what: time for k, time in enumerate(times, start=1)}
    compared = f"times of {len(times)} events" if len(times) > 1 else "time of an event"
    return _closed(name, group, compared, values, lambda: simulated(build(), [0.0, end], event_times(*found)), **more)


def _refused(name: str, what: str, build: Callable[[], Any], *names: str) -> Rung:
    def prepare() -> Run:
        system = lower(build())

        def run(rtol: float) -> Outcome:
            end = float(system.time.last)
            simulate(system, [0.0, end], rtol=rtol)
            return Outcome(())

        return run

    source = "structure of the equations"
    return Rung(name, Group.REFUSED, what, (), (), source, Standing.CLOSED_FORM, prepare, ((1e-8, 0.0),), refused_for=names)


def _derived(
    name: str, what: str, values: dict[str, float], build: Callable[[], Any], parameters: Sequence[str], output: str, end: float
) -> tuple[Rung, ...]:
    """Return two rungs that compare derivatives of one output at the end, computed forward and backward."""
    return tuple(
        _closed(
            f"{name}-{method.name.lower()}",
            Group.DERIVATIVE,
            f"{what}, {method.name.lower()}",
            values,
            partial(derivatives.derived, build, parameters, [output], end, method),
            asked=((1e-4, 2.5), (1e-6, 4.5), (1e-8, 6.0), (1e-10, 8.0)),
        )
        for method in Method
    )


def _dissolved(name: str, what: str, *, film_follows: bool, sink: bool) -> Rung:
    """Return a rung that compares shares of a drug in solution at three times; the unit fades its last 1e-7 and is off by 1e-11 there."""
    closed = tablets.shares_in_sink if sink else tablets.shares_in_just_enough
    labels = (f"X({time:g})" for time in tablets.REDUCED_TIMES)
    values = dict(zip(labels, closed(film_follows=film_follows), strict=True))
    prepare = partial(tablets.dissolving_particles, film_follows=film_follows, sink=sink)
    return _closed(name, Group.UNIT, f"share dissolved at 3 times, {what}", values, prepare, agreed=10.5)


def _optimum(name: str, what: str, value: float, digits: float, solve: Callable[[], Optimum], source: str, standing: Standing) -> Rung:
    values = {"collocated": value, "simulated": value}
    prepare = partial(optima.optimum_and_simulation, solve)
    return _closed(name, Group.OPTIMUM, what, values, prepare, source=source, standing=standing, asked=((1e-9, digits),))


def _resting_ball() -> Run:
    """Return what runs the ball past the time before which all impacts happen, and reads the last one before it is stopped."""
    system = lower(events.falling_ball(10.0))

    def run(rtol: float) -> Outcome:
        try:
            simulate(system, [0.0, 10.0], rtol=rtol, atol=1e-2 * rtol)
        except SimulationError as error:
            if "chattering" not in error.message or error.trajectory is None:
                raise
            return Outcome((error.trajectory.events[-1].time,), error.trajectory.stats)
        raise ValueError("the ball was not stopped")

    return run


def _cubic() -> Run:
    return simulated(dae.cubic_law(), [0.0, 4.0], lambda trajectory: [dae.cubic_time(float(trajectory["z"][-1]))])


def _car() -> Run:
    def read(trajectory: Any) -> list[float]:
        return [trajectory["v"][1], trajectory["x"][-1]]

    return simulated(events.driven_car(), [0.0, events.SWITCH, events.ARRIVAL], read, events.BANG_BANG)


_Y = partial(str.format, "y{}")
_NODES = partial(str.format, "y[{}]")
_ARENSTORF = ((1e-7, 0.0), (1e-9, 2.0), (1e-11, 4.0))
"""The orbit multiplies an error made near the moon by some 1e4, so its digits are asked for apart from the others'."""

LADDER: tuple[Rung, ...] = (
    _ivp("hires", problems.HIRES),
    _ivp("rober", problems.ROBER),
    _ivp("rober-1e11", problems.ROBER_LONG),
    _ivp("orego", problems.OREGO),
    _ivp("vdpol", problems.VDPOL),
    _ivp("pollu", problems.POLLU),
    _published(
        "medakzo",
        Group.INITIAL_VALUE,
        "medakzo",
        fields.MEDAKZO_END,
        fields.medakzo_name,
        fields.medical_akzo,
        fields.MEDAKZO_INPUTS,
    ),
    _published("emep", Group.INITIAL_VALUE, "emep", emep.END, _Y, emep.ozone_chemistry, emep.INPUTS, start=emep.START),
    _published("beam", Group.INITIAL_VALUE, "beam", fields.BEAM_END, fields.beam_name, partial(fields.beam, solved=True)),
    _ivp("ring", problems.RING),
    _ivp("pleiades", problems.PLEIADES),
    _ivp("arenstorf", problems.ARENSTORF, _ARENSTORF),
    _closed(
        "pendulum",
        Group.INITIAL_VALUE,
        "angle and speed at t = 10",
        {"theta": 0.03178835218238736634516, "omega": 1.563858115384245060714},
        lambda: simulated(dae.damped_pendulum(), [0.0, 10.0], at_end(("theta", "omega"))),
        source="pyomo.dae's example; Taylor series with 25 digits (mpmath), DOP853 agrees to 8",
        standing=Standing.COMPUTED,
    ),
    _published("chemakzo", Group.DAE, "chemakzo", 180.0, _Y, dae.chemical_akzo),
    _closed(
        "batch-reactor",
        Group.DAE,
        "3 variables at t = 1",
        {"za": 0.1518335663063332911396, "zb": 0.2832140165441429170233, "zc": 0.5649524171495237918371},
        lambda: simulated(dae.batch_reactor(), [0.0, 1.0], at_end(("za", "zb", "zc"))),
        source="pyomo.dae's example; matrix exponential with 25 digits",
    ),
    _closed("cubic-law", Group.DAE, "time at which z is what it is at t = 4", {"t(z)": 4.0}, _cubic),
    Rung(
        name="hires-balance",
        group=Group.DAE,
        compared="8 variables at t = 321.812, y8 algebraic",
        labels=problems.HIRES.names,
        reference=problems.HIRES.end,
        source=problems.HIRES.source,
        standing=Standing.SOURCE,
        prepare=lambda: simulated(dae.hires_with_balance(), [0.0, problems.HIRES.end_time], at_end(problems.HIRES.names)),
        agreed=problems.HIRES.agreed,
    ),
    _published("transistor", Group.DAE, "transistor", 0.2, _NODES, circuits.transistor_by_drops),
    _published("nand", Group.DAE, "nand", circuits.NAND_END, _NODES, circuits.nand_by_charges, circuits.nand_inputs()),
    _published("transistor-implicit", Group.DAE, "transistor", 0.2, _NODES, circuits.transistor_amplifier),
    _published("nand-implicit", Group.DAE, "nand", circuits.NAND_END, _NODES, circuits.nand_gate, circuits.nand_inputs()),
    _published("beam-tensions", Group.DAE, "beam", fields.BEAM_END, fields.beam_name, partial(fields.beam, solved=False)),
    _times(
        "rober-percent",
        Group.EVENT,
        "y3 = 0.01",
        [0.264019078188],
        events.rober_first_percent,
        40.0,
        "reached",
        source="independent integration at 1e-12",
        standing=Standing.COMPUTED,
        agreed=11.0,
    ),
    _times(
        "rober-spent",
        Group.EVENT,
        "y1 = 1e-4",
        [2.07954968830e7],
        events.rober_spent,
        1e11,
        "spent",
        source="independent integration at 1e-12",
        standing=Standing.COMPUTED,
        agreed=11.0,
    ),
    _times("ball", Group.EVENT, "impact", [events.impact_time(k) for k in range(1, 7)], partial(events.falling_ball, 3.0), 3.0, "impact"),
    _closed(
        "ball-at-rest",
        Group.EVENT,
        "time of the last impact before the run is stopped for chattering",
        {"accumulation": events.ACCUMULATION},
        _resting_ball,
        asked=((1e-4, 1.0), (1e-6, 2.0), (1e-8, 3.0), (1e-10, 4.0)),
    ),
    _times(
        "hopper",
        Group.EVENT,
        "event",
        [time for time, _ in events.hopper_events(1200.0)],
        partial(events.hopper, 1200.0),
        1200.0,
        "refill_start",
        "refill_stop",
    ),
    _times(
        "hopper-draining",
        Group.EVENT,
        "event",
        events.draining_events(3000.0),
        partial(events.draining_hopper, 3000.0),
        3000.0,
        "low",
        "full",
    ),
    _times("charged-vessel", Group.EVENT, "charge", events.CHARGES, events.charged_vessel, 10.0, "charge"),
    _closed(
        "doses",
        Group.EVENT,
        "amount at t = 4 after 3 doses",
        {"amount": events.dosed_amount(4.0)},
        lambda: simulated(events.doses(), [0.0, 4.0], at_end(["amount"])),
    ),
    _closed(
        "feedback",
        Group.CLOSED_FORM,
        "cost of the optimal feedback, tanh(1)",
        {"cost": 0.7615941559557649},
        lambda: simulated(events.optimal_feedback(), [0.0, 1.0], at_end(["cost"])),
    ),
    _closed("car", Group.CLOSED_FORM, "top speed and way of the bang-bang car", {"v": events.TOP_SPEED, "x": 100.0}, _car),
    _closed(
        "tanks-in-series",
        Group.UNIT,
        "step response of a blender at 5 times",
        dict(zip((f"F({theta:g})" for theta in units.REDUCED_TIMES), units.tracer_response(), strict=True)),
        units.tanks_in_series,
        source="Levenspiel (1999), chapter 14",
    ),
    _closed(
        "feeder",
        Group.UNIT,
        "mass in a hopper that empties, at 5 times",
        dict(zip((f"m({time:g} s)" for time in units.EMPTYING_TIMES), units.hopper_mass(), strict=True)),
        units.emptying_feeder,
    ),
    _dissolved("dissolution", "constant film, much liquid", film_follows=False, sink=True),
    _dissolved("dissolution-thinning", "film as thick as the radius, much liquid", film_follows=True, sink=True),
    _dissolved("dissolution-filling", "constant film, medium that the dose just fills", film_follows=False, sink=False),
    _dissolved("dissolution-filling-thinning", "film as thick as the radius, same medium", film_follows=True, sink=False),
    _closed(
        "acceptance-value",
        Group.UNIT,
        "acceptance values of content uniformity, 5 samples",
        tablets.ACCEPTANCE_VALUES,
        tablets.acceptance_values,
        asked=((1e-8, 6.0),),
        source="by hand from USP <905>; the third is usp.org's own example",
        agreed=7.0,
    ),
    _closed(
        "balance",
        Group.UNIT,
        "what the balance of a short line leaves open",
        {"excipient": 0.0, "api": 0.0},
        units.line_balance,
        asked=((1e-8, 9.0),),
        source="conservation of mass",
    ),
    _computed(
        "cho-batch",
        "craven",
        "cells, substrates and products of a CHO batch at 96 h",
        bioreactors.CELLS + bioreactors.SOLUTES,
        bioreactors.cho_batch,
    ),
    _computed(
        "penicillin",
        "birol",
        "switch to feeding, and biomass, penicillin and volume at 360 h",
        ("switch", "biomass", "penicillin", "volume"),
        bioreactors.penicillin,
    ),
    _closed(
        "chemostat",
        Group.UNIT,
        "substrate and biomass of a chemostat in its steady state",
        bioreactors.chemostat_values(),
        bioreactors.steady_chemostat,
        source="Monod (1950)",
        agreed=11.0,
    ),
    _closed("washout", Group.UNIT, "biomass that washes out of a chemostat, at 2 times", bioreactors.washed_out(), bioreactors.washout),
    _closed(
        "oxygen-step",
        Group.UNIT,
        "oxygen over breathing cells after a step of the gas, at 4 times",
        bioreactors.oxygen_step(),
        bioreactors.aerated,
    ),
    *_derived(
        "dosed-decay",
        "amount at t = 4 by rate, dose and start",
        derivatives.dosed_decay_derivatives(4.0),
        derivatives.dosed_decay,
        ["k", "bolus", "x"],
        "x",
        4.0,
    ),
    *_derived(
        "switched-decay",
        "amount after a guarded switch by rate, threshold and start",
        derivatives.switched_decay_derivatives(4.0),
        derivatives.switched_decay,
        ["k", "threshold", "x"],
        "x",
        4.0,
    ),
    *_derived(
        "bounce",
        "height after an impact by start height and velocity",
        derivatives.ball_derivatives(0.9),
        derivatives.ball,
        ["ball.height", "ball.velocity"],
        "ball.height",
        0.9,
    ),
    _closed(
        "coagulation",
        Group.KERNEL,
        "particles of 1 and 5 units at t = 1, and the derivative of the first by the rate",
        {"n1": 4 / 9, "n5": 0.5**4 / 1.5**6, "dn1/dbeta": -(1.5**-3)},
        lambda: optima.coagulated,
        source="Smoluchowski (1917)",
        agreed=10.0,
    ),
    *(
        _closed(
            f"population-{name}",
            Group.KERNEL,
            f"number and volume of particles at t = {end:g}, {what}",
            {"M0": number, "M1": 1.0},
            partial(populations.vessel, name, end, largest),
            source=source,
            agreed=10.0,
        )
        for name, what, end, largest, number, source in (
            ("constant", "constant aggregation kernel", 10.0, 300.0, 1 / 6, "Smoluchowski (1917)"),
            ("sum", "sum kernel", 2.0, 1e6, math.exp(-2.0), "Golovin (1963)"),
            ("breakage", "binary breakage S = v", 10.0, 40.0, 11.0, "Ziff and McGrady (1985)"),
        )
    ),
    _closed(
        "population-liquid",
        Group.KERNEL,
        "liquid that aggregating particles took up, each at the same rate, at t = 10",
        {"liquid": 2 * math.log(6.0)},
        partial(populations.wetted, 10.0),
        source=HAND,
        agreed=10.0,
    ),
    _optimum("pairs", "most particles of two units, 4/27, by time and speed", 4 / 27, 6.0, optima.most_pairs, HAND, Standing.CLOSED_FORM),
    _optimum("regulator", "least cost, tanh(1)", 0.7615941559557649, 8.0, optima.regulator, HAND, Standing.CLOSED_FORM),
    _optimum("car-time", "shortest time of the car on 400 elements", 16.4703560632, 4.5, optima.car, HAND, Standing.CLOSED_FORM),
    _optimum(
        "jacobson-lele",
        "least cost below a path constraint",
        0.169820535,
        4.0,
        partial(optima.jacobson_lele, True),
        "Radau collocation with other code, N = 50 to 400",
        Standing.COMPUTED,
    ),
    _optimum(
        "jacobson-lele-free",
        "least cost without it",
        0.069360944,
        6.0,
        partial(optima.jacobson_lele, False),
        "Radau collocation with other code",
        Standing.COMPUTED,
    ),
    _optimum(
        "batch-temperature",
        "most B by temperature on 100 elements",
        0.610792,
        4.0,
        optima.batch_temperature,
        "Radau collocation with other code, same elements",
        Standing.COMPUTED,
    ),
    _refused("pendulum-rod", "the rod's length, index 3", dae.rod_pendulum, "rod"),
    _refused("car-axis", "two lengths, index 3", dae.car_axis, "axle", "distance"),
    _refused("andrews", "three closed loops of seven bodies, index 3", mechanism.squeezing_mechanism, "loop"),
    _refused("fekete", "20 points on a sphere, index 2", dae.fekete, "sphere"),
)


def chosen(names: Iterable[str]) -> tuple[Rung, ...]:
    """Return the rungs that have these names or belong to these groups, in the ladder's order; all if none is named.

    Raises
    ------
    UsageError : there is no such rung or group; the nearest is given.
    """
    wanted = set(names)
    known = {rung.name for rung in LADDER} | {group.value for group in Group}
    for name in sorted(wanted - known):
        raise UsageError(
            f"no rung is called {name!r}", names=[name], hint=did_you_mean(name, known) or "flowsheet verify --list names them"
        )
    return tuple(rung for rung in LADDER if not wanted or rung.name in wanted or rung.group.value in wanted)
