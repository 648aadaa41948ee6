"""Sensor: what a measurement makes of a quantity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.block import declare_custom_block
from pyomo.dae import DerivativeVar
from pyomo.environ import units as u

from solvers.declare import Direction, Event, nominal
from units.parameter import Parameter
from units.signal import KINDS
from units.stream import Material
from units.unit import UnitBlock

TONES = 32
"""Cosines that noise is made of."""
MOST_SAMPLES = 100_000
"""As many samples are taken in a run; more would take too long."""


@declare_custom_block("Sensor", rule="build")
class SensorData(UnitBlock):
    """Sensor with lag, dead time, gain, bias, drift, noise, sampling, quantization and dropout.

    Equations, with k = 1 ... n cells of the dead time::

        response_time d followed/dt     = measured - followed
        (dead_time/n) d delayed[k]/dt   = delayed[k-1] - delayed[k],  delayed[0] = followed
        raw     = gain delayed[n] + bias + drift elapsed + noise sqrt(2/m) sum_j cos(2 pi bandwidth r_j elapsed + phi_j)
        reading = raw                                        without sampling
        held    = quantum floor(raw/quantum + 1/2)           at t = 0, sampling_period, 2 sampling_period, ...
        reading = held                                       between the samples

    and at the start ``followed = delayed[k] = measured``: the sensor has seen the present value for long.

    The first sample is taken at the start.
    While ``dropout`` is above 1/2 the last reading stays: no samples are taken, or the reading is frozen (event ``dropout_begin``).

    | symbol | meaning | unit |
    |---|---|---|
    | measured | true value (signal from another unit) | measured_unit |
    | reading | what the sensor says (signal) | measured_unit |
    | held | last sample (state) | measured_unit |
    | followed, delayed[k] | value behind the lag, and in the cells of the dead time (states) | measured_unit |
    | elapsed | time since the start (state) | s |
    | gain, bias, drift | errors of the calibration; exact: 1, 0, 0 (bias is an input) | -, measured_unit, measured_unit/s |
    | noise, bandwidth | standard deviation of the noise over long times, highest frequency in it | measured_unit, 1/s |
    | r_j, phi_j | m = 32 shares in (0, 1) and phases, drawn from ``seed`` (one in each thirty-second of the band) | -, - |
    | quantum | step between readings; 0 for none | measured_unit |

    Assumptions: the dead time is that of n equal mixed cells (a step arrives after dead_time with a standard deviation of
    dead_time/sqrt(n)). Noise is a smooth function of time, the same in every run with the same seed; without sampling the integrator
    has to follow it. Samples have no width.

    Valid for any signal whose kind is in ``units.signal.KINDS``.

    Raises
    ------
    CaseError : a parameter is unknown, missing or out of its range, a quantum without sampling, or too many samples.
    """

    handles: ClassVar[type] = object  # no components
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("measured_unit", u.dimensionless, "SI unit of what is measured", "", names_unit=True),
        Parameter.positive("response_time", u.s, "time constant of the lag", 1.0),
        Parameter("dead_time", u.s, "dead time, if there are cells", 0.0, 0.0),
        Parameter("dead_time_cells", u.dimensionless, "cells of the dead time; 0 for none", 0, 0, integer=True),
        Parameter("gain", u.dimensionless, "gain", 1.0),
        Parameter("bias", "measured_unit", "bias", 0.0, input=True),
        Parameter("drift", "measured_unit/s", "drift of the bias", 0.0),
        Parameter("noise", "measured_unit", "standard deviation of the noise", 0.0, 0.0),
        Parameter.positive("bandwidth", 1 / u.s, "highest frequency of the noise", 0.1),
        Parameter("seed", u.dimensionless, "of the noise", 1, 0, integer=True),
        Parameter("sampling_period", u.s, "time between samples; 0 for a continuous reading", 0.0, 0.0, structural=True),
        Parameter("quantum", "measured_unit", "step between readings", 0.0, 0.0),
        Parameter("dropout", u.dimensionless, "1 while nothing is measured", 0.0, 0.0, 1.0, input=True),
    )
    shown: ClassVar[tuple[str, ...]] = ("reading", "measured")
    bands: ClassVar[tuple[tuple[str, str, str], ...]] = (("dropout", "dropout_begin", "dropout_end"),)
    required_signals: ClassVar[tuple[str, ...]] = ("measured",)

    def build(self, *_: Any, time: Any, materials: Mapping[str, Material], **given: Any) -> None:
        """Add parameters, signals, the chain from the true value to the reading, and the events of sampling."""
        built_in = self.add_parameters(time, list(materials), given)
        period, cells = built_in["sampling_period"], built_in["dead_time_cells"]
        self._check(time, period, cells)
        self._add_chain(time, KINDS[built_in["measured_unit"]], cells)
        self._add_errors(time, built_in["seed"])
        self._add_reading(time, KINDS[built_in["measured_unit"]], sampled=period > 0)
        self._add_events(time, period)

    def _check(self, time: Any, period: float, cells: int) -> None:
        if pyo.value(self.quantum) > 0 and period == 0:
            raise self.refusal("quantum", "a continuous reading cannot have steps", "give a sampling_period")
        if (pyo.value(self.dead_time) > 0) != (cells > 0):
            raise self.refusal("dead_time_cells", "dead_time and dead_time_cells have to be given together", "20 cells are usual")
        samples = (time.last() - time.first()) / period if period > 0 else 0
        if samples > MOST_SAMPLES:
            raise self.refusal("sampling_period", f"asks for {samples:.3g} samples; at most {MOST_SAMPLES}", "choose a longer period")

    def _add_chain(self, time: Any, unit: Any, cells: int) -> None:
        self.measured = pyo.Var(time, initialize=0.0, units=unit, doc="true value")
        self.followed = pyo.Var(time, initialize=0.0, units=unit, doc="value behind the lag")
        self.followed_rate = DerivativeVar(self.followed, wrt=time, units=unit / u.s, doc="rate of the value behind the lag")

        # a state instead of time itself: it is exact, and rules with explicit time would have to be told apart from constants
        self.elapsed = pyo.Var(time, initialize=0.0, units=u.s, doc="time since the start")
        self.elapsed_rate = DerivativeVar(self.elapsed, wrt=time, units=u.dimensionless, doc="rate of time")
        nominal(self.elapsed, 1.0)

        @self.Constraint(time, doc="time passes")
        def clock(b: Any, t: float) -> Any:
            return b.elapsed_rate[t] == 1

        @self.Constraint(time, doc="lag")
        def lag(b: Any, t: float) -> Any:
            return b.response_time * b.followed_rate[t] == b.measured[t] - b.followed[t]

        @self.Constraint(["followed", "elapsed"], doc="the start: the present value for long")
        def start(b: Any, state: str) -> Any:
            return b.component(state)[time.first()] == (b.measured[time.first()] if state == "followed" else 0 * u.s)

        if not cells:
            return
        self.cells = pyo.RangeSet(cells)
        self.delayed = pyo.Var(time, self.cells, initialize=0.0, units=unit, doc="value in a cell of the dead time")
        self.delayed_rate = DerivativeVar(self.delayed, wrt=time, units=unit / u.s, doc="rate of the value in a cell")

        @self.Constraint(time, self.cells, doc="dead time")
        def delay(b: Any, t: float, k: int) -> Any:
            before = b.followed[t] if k == 1 else b.delayed[t, k - 1]
            return b.dead_time / cells * b.delayed_rate[t, k] == before - b.delayed[t, k]

        @self.Constraint(self.cells, doc="the start: the present value for long")
        def delay_start(b: Any, k: int) -> Any:
            return b.delayed[time.first(), k] == b.measured[time.first()]

    def _add_errors(self, time: Any, seed: int) -> None:
        random = np.random.default_rng(seed)
        shares = ((np.arange(TONES) + random.uniform(size=TONES)) / TONES).tolist()
        phases = random.uniform(0.0, 2 * math.pi, TONES).tolist()

        @self.Expression(time, doc="noise of standard deviation one")
        def unit_noise(b: Any, t: float) -> Any:
            turns = 2 * math.pi * b.bandwidth * b.elapsed[t]
            return math.sqrt(2 / TONES) * sum(pyo.cos(r * turns + phi) for r, phi in zip(shares, phases, strict=True))

        @self.Expression(time, doc="value with all errors but sampling")
        def raw(b: Any, t: float) -> Any:
            delayed = b.followed[t] if b.component("cells") is None else b.delayed[t, b.cells.last()]
            return b.gain * delayed + b.bias[t] + b.drift * b.elapsed[t] + b.noise * b.unit_noise[t]

    def _add_reading(self, time: Any, unit: Any, sampled: bool) -> None:
        # a state, so that the first sample is there when the start of a controller is solved for
        self.held = pyo.Var(time, initialize=0.0, units=unit, doc="last sample, or the reading when it froze")
        self.held_rate = DerivativeVar(self.held, wrt=time, units=unit / u.s, doc="rate of what is held")
        self.live = pyo.Var(time, bounds=(0, 1), units=u.dimensionless, doc="1 while the reading follows, 0 while it is held")
        self.live.fix(0 if sampled else 1)

        @self.Constraint(time, doc="what is held does not change but at events")
        def holding(b: Any, t: float) -> Any:
            return b.held_rate[t] == 0 * unit / u.s

        @self.Constraint(doc="the start: the first sample")
        def held_start(b: Any) -> Any:
            raw = b.raw[time.first()]
            return b.held[time.first()] == (b.quantized(raw) if sampled else raw)

        @self.Expression(time, doc="what the sensor says")
        def reading(b: Any, t: float) -> Any:
            return b.live[t] * b.raw[t] + (1 - b.live[t]) * b.held[t]

    def _add_events(self, time: Any, period: float) -> None:
        count = math.floor((time.last() - time.first()) / period * (1 + 1e-12)) if period > 0 else 0
        if count:
            self.sample = Event(
                at=[time.first() + k * period for k in range(1, count + 1)],
                when=lambda b, t: 0.5 - b.dropout[t],
                transition=lambda b, t: ((b.held[t], b.quantized(b.raw[t])),),
                doc="a sample is taken",
            )
        if period > 0:
            return
        self.dropout_begin = Event(
            guard=lambda b, t: b.dropout[t] - 0.5,
            direction=Direction.RISING,
            when=lambda b, t: b.live[t],
            transition=lambda b, t: ((b.live[t], 0), (b.held[t], b.raw[t])),
            doc="nothing is measured: the reading is frozen",
        )
        self.dropout_end = Event(
            guard=lambda b, t: b.dropout[t] - 0.5,
            direction=Direction.FALLING,
            when=lambda b, t: 1 - b.live[t],
            transition=lambda b, t: ((b.live[t], 1),),
            doc="measured again",
        )

    def quantized(self, value: Any) -> Any:
        """Return the nearest multiple of the quantum; the value itself if that is zero."""
        steps = pyo.floor(value / self.quantum + 0.5)
        return pyo.Expr_if(IF=self.quantum > 0 * self.quantum, THEN=steps * self.quantum, ELSE=value)
