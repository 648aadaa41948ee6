"""Controllers and sensors against closed forms, and their limit cases."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyomo.dae import ContinuousSet, DerivativeVar
from scipy import signal as linear
from scipy.special import gammainc

from solvers import Trajectory, simulate
from solvers.declare import Interpolation, Profile
from solvers.errors import CaseError
from units.pid import PID
from units.ratio import Ratio
from units.sensor import Sensor
from units.signal import KINDS

LOOP = {"setpoint": 1.0, "gain": 2.0, "integral_time": 4.0, "lower": -10.0, "upper": 10.0, "initial_output": 0.0}


def watching(unit: Any, horizon: float, measured: Callable[[Any, float], Any] | None = None, **parameters: Any) -> pyo.ConcreteModel:
    """Return a model with one unit and what it measures: ``measured(model, t)``, or the input ``model.value``."""
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.value = pyo.Var(model.time, initialize=0.0)
    model.value.fix(0.0)
    model.unit = unit(time=model.time, materials={}, **parameters)
    model.wire = pyo.Constraint(model.time, rule=lambda m, t: m.unit.measured[t] == (m.value[t] if measured is None else measured(m, t)))
    return model


def loop(horizon: float, time_constant: float = 5.0, plant_gain: float = 1.0, **parameters: Any) -> pyo.ConcreteModel:
    """Return a first-order plant ``T y' = K u - y`` under PID control; ``model.disturbance`` is added to u."""
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, horizon))
    model.y = pyo.Var(model.time, initialize=0.0)
    model.y_rate = DerivativeVar(model.y, wrt=model.time)
    model.disturbance = pyo.Var(model.time, initialize=0.0)
    model.disturbance.fix(0.0)
    model.y[0].fix(0.0)
    model.unit = PID(time=model.time, materials={}, **{**LOOP, **parameters})
    model.wire = pyo.Constraint(model.time, rule=lambda m, t: m.unit.measured[t] == m.y[t])
    model.plant = pyo.Constraint(
        model.time, rule=lambda m, t: time_constant * m.y_rate[t] == plant_gain * (m.unit.output[t] + m.disturbance[t]) - m.y[t]
    )
    return model


def run(model: Any, times: np.ndarray, **inputs: Any) -> Trajectory:
    return simulate(model, times, inputs={name.replace("__", "."): value for name, value in inputs.items()}, rtol=1e-9)


# -- PID -----------------------------------------------------------------------------------------------------------------


def test_a_pi_loop_follows_the_closed_form_of_its_second_order_system() -> None:
    """y/r = K Kp (b Ti s + 1) / (Ti T s^2 + Ti (1 + K Kp) s + K Kp); the start takes away the proportional kick of the set point."""
    times = np.linspace(0.0, 30.0, 61)
    trajectory = run(loop(30.0, setpoint=0.0), times, unit__setpoint=Profile((0.0, 1e-9), (0.0, 1.0)))
    gain, integral, constant = 2.0, 4.0, 5.0
    system = linear.TransferFunction([gain * integral, gain], [integral * constant, integral * (1 + gain), gain])
    _, expected = linear.step(system, T=times)
    np.testing.assert_allclose(trajectory["y"], expected, atol=1e-6)


def test_derivative_action_on_a_ramp_and_only_on_the_measurement() -> None:
    """A ramp of slope s gives -gain Td s (1 - exp(-t/Tf)); a step of the set point gives none."""
    parameters = {**LOOP, "setpoint": 0.0, "derivative_time": 3.0, "filter_time": 0.5, "integral_time": 1e9}
    model = watching(PID, 4.0, **parameters)
    times = np.linspace(0.0, 4.0, 9)
    ramp = Profile((0.0, 4.0), (0.0, 2.0), Interpolation.LINEAR)
    trajectory = run(model, times, value=ramp, unit__setpoint=Profile((0.0, 2.0), (0.0, 1.0)))
    np.testing.assert_allclose(trajectory["unit.derivative"], -2.0 * 3.0 * 0.5 * (1 - np.exp(-times / 0.5)), atol=1e-7)


def test_the_integral_does_not_wind_up_at_a_limit() -> None:
    """Out of reach for 60 s, then back: an output at its limit leaves it at once, not after the time that it stood there."""
    model = loop(120.0, upper=0.5, lower=-0.5)
    times = np.linspace(0.0, 120.0, 241)
    trajectory = run(model, times, unit__setpoint=Profile((0.0, 60.0), (1.0, 0.2)))
    assert trajectory["unit.output"][times == 59.0] == pytest.approx(0.5, abs=1e-6)
    assert trajectory["y"][times == 59.0] == pytest.approx(0.5, abs=1e-4)
    assert trajectory["unit.wanted"].max() < 3.0  # with windup: 0.5 * 2/4 * 60 = 15 and more
    assert trajectory["unit.output"][times == 60.5] < 0.0
    assert np.abs(trajectory["y"][times >= 75.0] - 0.2).max() < 0.05
    assert trajectory["y"][-1] == pytest.approx(0.2, abs=1e-4)


def test_feedforward_acts_at_once_and_feedback_does_the_rest() -> None:
    """A load that is known and fed forward leaves no deviation; without feedforward it does."""
    time = np.linspace(0.0, 60.0, 121)
    load = Profile((0.0, 10.0), (0.0, -1.5))
    known = run(loop(60.0, setpoint=0.0), time, disturbance=load, unit__feedforward=Profile((0.0, 10.0), (0.0, 1.5)))
    unknown = run(loop(60.0, setpoint=0.0), time, disturbance=load)
    assert np.abs(known["y"]).max() < 1e-9
    assert known["unit.output"][-1] == pytest.approx(1.5, rel=1e-9)
    assert np.abs(unknown["y"]).max() > 0.1
    steady = run(loop(60.0, setpoint=0.0, initial_output=0.0, feedforward=0.7), time)
    assert steady["unit.output"][0] == pytest.approx(0.0, abs=1e-12), "the start is what initial_output says"


def test_inside_another_unit_the_parameters_follow_those_of_the_outer_one() -> None:
    model = pyo.ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 20))
    model.k = pyo.Param(initialize=1.0, mutable=True)
    model.mode = pyo.Var(model.time, initialize=1.0)
    model.mode.fix(1.0)
    model.unit = PID(time=model.time, materials={}, **(LOOP | {"gain": model.k, "automatic": lambda b, t: b.parent_block().mode[t]}))
    model.wire = pyo.Constraint(model.time, rule=lambda m, t: m.unit.measured[t] == 0.5)
    for gain in (1.0, 3.0):
        model.k.set_value(gain)
        for copy in (model, model.clone()):
            course = simulate(copy, [0.0, 8.0])
            assert course["unit.output"][1] == pytest.approx(gain * 0.5 * 8.0 / 4.0, rel=1e-8)
            assert len(course.events) == 0
    manual = simulate(model, [0.0, 8.0], inputs={"mode": Profile((0.0, 2.0), (1.0, 0.0))})
    assert manual["unit.output"][1] == pytest.approx(0.0, abs=1e-9)
    assert len(manual.events) == 0


def test_changing_modes_makes_no_bump() -> None:
    model = loop(60.0)
    model.disturbance.fix(0.1)
    times = np.array([9.9999, 10.0, 10.0001, 29.9999, 30.0, 30.0001, 60.0])
    modes = Profile((0.0, 10.0, 30.0), (1.0, 0.0, 1.0))
    trajectory = run(model, times, unit__automatic=modes, unit__setpoint=Profile((0.0, 20.0), (1.0, 1.5)))
    output = trajectory["unit.output"]
    assert [event.event for event in trajectory.events] == ["to_manual", "to_automatic"]
    assert np.ptp(output[:3]) < 1e-4
    assert output[3] == output[4] == pytest.approx(output[2], abs=1e-12)  # held in manual mode, whatever the set point does
    assert output[5] == pytest.approx(output[4], abs=1e-4)
    assert trajectory["y"][-1] == pytest.approx(1.5, abs=1e-3)


def test_in_manual_mode_the_output_is_what_is_given() -> None:
    model = loop(20.0)
    times = np.linspace(0.0, 20.0, 5)
    given = Profile((0.0, 10.0), (0.3, 0.6))
    trajectory = run(model, times, unit__automatic=0.0, unit__manual_output=given)
    np.testing.assert_allclose(trajectory["unit.output"], [0.3, 0.3, 0.6, 0.6, 0.6], atol=1e-9)


def test_manual_output_keeps_within_the_limits() -> None:
    trajectory = run(loop(1.0), np.array([1.0]), unit__automatic=0.0, unit__manual_output=99.0)
    assert trajectory["unit.output"][0] == pytest.approx(10.0, abs=1e-6)


def test_without_gain_the_output_stays_where_it_began() -> None:
    trajectory = run(loop(50.0, gain=0.0, initial_output=0.7), np.linspace(0.0, 50.0, 6))
    np.testing.assert_allclose(trajectory["unit.output"], 0.7, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.floats(-5.0, 5.0), st.floats(0.5, 3.0), st.floats(1.0, 20.0), st.floats(-1.0, 1.0))
def test_a_loop_ends_at_its_set_point(setpoint: float, gain: float, integral_time: float, load: float) -> None:
    model = loop(600.0, setpoint=setpoint, gain=gain, integral_time=integral_time)
    model.disturbance.fix(load)
    assert run(model, np.array([600.0]))["y"][0] == pytest.approx(setpoint, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"upper": -11.0}, "unit.upper: has to lie above lower"),
        ({"initial_output": 11.0}, "initial_output: has to lie within lower and upper"),
        ({"measured_unit": "mg"}, "measured_unit: no unit of a signal"),
        ({"integral_time": 0.0}, "integral_time: below its bound"),
    ],
)
def test_what_a_controller_cannot_do_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(CaseError, match=text):
        watching(PID, 1.0, **{**LOOP, **change})


def test_units_of_parameters_follow_the_units_of_the_signals() -> None:
    model = watching(PID, 1.0, **LOOP)
    assert str(pyo.units.get_units(model.unit.gain)) == "dimensionless"
    declared = PID._ComponentDataClass.declared({"measured_unit": "kg", "output_unit": "m"})
    assert {p.name: str(p.unit) for p in declared if p.name in ("gain", "setpoint", "upper")} == {
        "setpoint": "kg",
        "gain": "m/kg",
        "upper": "m",
    }
    assert set(map(str, KINDS.values())) == {str(pyo.units.get_units(unit)) for unit in KINDS.values()}


# -- sensor --------------------------------------------------------------------------------------------------------------


def test_the_lag_is_of_first_order() -> None:
    times = np.linspace(0.0, 10.0, 11)
    trajectory = run(watching(Sensor, 10.0, response_time=2.0), times, value=Profile((0.0, 1e-9), (0.0, 3.0)))
    np.testing.assert_allclose(trajectory["unit.reading"], 3.0 * (1 - np.exp(-times / 2.0)), atol=1e-7)


def test_dead_time_is_that_of_its_cells() -> None:
    """A step passes n cells as the gamma distribution says (lag negligible)."""
    cells, delay = 12, 6.0
    model = watching(Sensor, 20.0, response_time=1e-4, dead_time=delay, dead_time_cells=cells)
    times = np.linspace(0.0, 20.0, 21)
    trajectory = run(model, times, value=Profile((0.0, 1e-9), (0.0, 1.0)))
    np.testing.assert_allclose(trajectory["unit.reading"], gammainc(cells, times * cells / delay), atol=1e-4)


def test_calibration_errors_add_up() -> None:
    model = watching(Sensor, 100.0, gain=1.1, bias=0.2, drift=0.01)
    model.value.fix(5.0)
    trajectory = run(model, np.array([0.0, 100.0]))
    np.testing.assert_allclose(trajectory["unit.reading"], [5.7, 6.7], atol=1e-9)


def test_noise_has_its_deviation_and_its_seed() -> None:
    times = np.linspace(0.0, 5000.0, 5001)

    def noise(seed: int) -> np.ndarray:
        return run(watching(Sensor, 5000.0, noise=0.3, bandwidth=0.2, seed=seed), times)["unit.reading"]

    one = noise(1)
    assert one.std() == pytest.approx(0.3, rel=0.1)
    assert abs(one.mean()) < 0.03
    np.testing.assert_array_equal(one, noise(1))
    assert np.abs(one - noise(2)).max() > 0.3
    power = np.abs(np.fft.rfft(one)) ** 2
    frequencies = np.fft.rfftfreq(len(one), 1.0)
    assert power[frequencies > 0.21].sum() < 0.02 * power[1:].sum()  # nothing above its band


def test_samples_are_held_and_stepped() -> None:
    model = watching(Sensor, 10.0, response_time=1e-3, sampling_period=2.0, quantum=0.25)
    times = np.array([0.0, 1.9, 2.0, 3.9, 4.0, 10.0])
    trajectory = run(model, times, value=Profile((0.0, 10.0), (0.0, 10.0), Interpolation.LINEAR))
    np.testing.assert_allclose(trajectory["unit.reading"], [0.0, 0.0, 2.0, 2.0, 4.0, 10.0], atol=1e-12)
    assert [event.time for event in trajectory.events] == [2.0, 4.0, 6.0, 8.0, 10.0]


def test_the_first_sample_is_there_at_the_start() -> None:
    model = watching(Sensor, 1.0, sampling_period=5.0, quantum=0.5)
    model.value.fix(3.3)
    trajectory = run(model, np.array([0.0, 1.0]))
    np.testing.assert_allclose(trajectory["unit.reading"], 3.5, atol=1e-12)
    assert trajectory.events == ()


@pytest.mark.parametrize("period", [0.0, 1.0])
def test_while_it_drops_out_the_last_reading_stays(period: float) -> None:
    model = watching(Sensor, 10.0, response_time=1e-3, sampling_period=period)
    times = np.array([2.0, 5.0, 6.9, 8.5])
    ramp = Profile((0.0, 10.0), (0.0, 10.0), Interpolation.LINEAR)
    trajectory = run(model, times, value=ramp, unit__dropout=Profile((0.0, 3.5, 7.0), (0.0, 1.0, 0.0)))
    frozen = 3.5 if period == 0 else 3.0
    expected = [2.0, frozen, frozen, 8.5 if period == 0 else 8.0]
    np.testing.assert_allclose(trajectory["unit.reading"], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"quantum": 0.1}, "a continuous reading cannot have steps"),
        ({"dead_time": 1.0}, "have to be given together"),
        ({"dead_time_cells": 4}, "have to be given together"),
        ({"sampling_period": 1e-6}, "samples; at most"),
    ],
)
def test_what_a_sensor_cannot_do_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(CaseError, match=text):
        watching(Sensor, 10.0, **change)


# -- ratio ---------------------------------------------------------------------------------------------------------------


def test_a_ratio_is_a_proportion() -> None:
    model = watching(Ratio, 1.0, ratio=0.25, bias=1.0)
    model.value.fix(8.0)
    assert run(model, np.array([1.0]))["unit.output"][0] == pytest.approx(3.0, abs=1e-12)
    assert run(model, np.array([1.0]), unit__ratio=0.0)["unit.output"][0] == pytest.approx(1.0, abs=1e-12)
