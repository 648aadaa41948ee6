"""``python -m benchmarks.residence_time [speed] [chunks] [flow]``: recorded signals through a distribution of residence time.

speed: time and error of one recorded sine through three tanks at constant flow, which all peers can do, while points and ages grow
together; medians over rounds in which they take turns, ratios are medians of the pairs, and the exponent with which time grows. chunks: the
same record in chunks. flow: what is made of mass, and of the outlet, when the flow changes. Distributions are prepared before; rtdpy is
one of the peers where it is installed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
from scipy.integrate import solve_ivp
from scipy.signal import oaconvolve

from benchmarks.population_balance import timed
from csrc.rtd import convolve_cumulative
from csrc.rtd_stream import advance, begin, pass_through
from units.recorded_signal import constant_holdup, constant_mean_time
from units.residence_time import TanksInSeries

POINTS = (1_000, 4_000, 16_000, 64_000, 256_000)
SUM_POINTS = 16_000
"""Points up to which the kernel that sums over all ages is timed."""
TANKS, ROUNDS = 3, 5
Call = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Gives times and outlet."""


class Sine:
    """A sine around one half, a point each second; the mean time is a twentieth of the record, and a period is half of that."""

    def __init__(self, points: int) -> None:
        self.vessel = TanksInSeries(points / 20, TANKS)
        self.times = np.arange(float(points))
        self.pulsation = 2 * math.pi / (self.vessel.mean_time / 2)
        self.inlet = 0.5 + 0.4 * np.sin(self.pulsation * self.times)

    def error(self, call: Call) -> float:
        """Return the largest error once the start has been forgotten."""
        times, outlet = call()
        late = times > self.vessel.last_age(1e-10)
        exact = 0.5 + 0.4 * np.imag(self.vessel.transfer(1j * self.pulsation) * np.exp(1j * self.pulsation * times))
        return float(np.abs(outlet - exact)[late].max())

    def peers(self) -> dict[str, Call]:
        """Return the implementations by name, ours first."""
        times, inlet, flow = self.times, self.inlet, np.ones_like(self.times)
        ages, cumulative = self.vessel.table(1.0)
        density = self.vessel.density(ages)
        response = constant_mean_time(self.vessel, 1.0)

        def ours() -> tuple[np.ndarray, np.ndarray]:
            out, _ = pass_through(response, times, flow, inlet)
            return 0.5 * (out.times[1:] + out.times[:-1]), out.fractions[:, 0]

        found: dict[str, Call] = {"cells, streaming": ours}
        if times.size <= SUM_POINTS:
            found["exact kernel, sum over ages"] = lambda: (times, convolve_cumulative(times, inlet, ages, cumulative, times))
        found["scipy.signal.oaconvolve"] = lambda: (times, oaconvolve(inlet, density)[: times.size])
        if find_spec("rtdpy"):
            import rtdpy

            theirs = rtdpy.Ncstr(tau=self.vessel.mean_time, n=TANKS, dt=1.0, time_end=ages[-1])
            found["rtdpy"] = lambda: (times, theirs.output(times, inlet)[: times.size])
        return found


def print_speed() -> None:
    """Print times, errors and growth of all peers."""
    print(f"{TANKS} tanks, a recorded sine; processor time of one thread, medians of {ROUNDS} rounds; x: times ours\n")
    head = f"{'points':>8} {'ages':>8} {'implementation':<28} {'time':>10} {'x':>8}  {'error':>8}"
    print(head + "\n" + "-" * len(head))
    grown: dict[str, list[tuple[int, float]]] = {}
    for points in POINTS:
        sine = Sine(points)
        ages = sine.vessel.table(1.0)[0].size
        peers = sine.peers()
        seconds, ratios = timed(list(peers.values()), ROUNDS)
        for (name, call), second, ratio in zip(peers.items(), seconds, ratios, strict=True):
            grown.setdefault(name, []).append((points, second))
            print(f"{points:>8} {ages:>8} {name:<28} {1e3 * second:>7.3g} ms {ratio:>8.3g}  {sine.error(call):>8.1e}")
    print("\nGrowth of time with points, exponent over the last factor of four")
    for name, ((few, short), (many, long)) in ((name, at[-2:]) for name, at in grown.items()):
        print(f"{name:<28} {math.log(long / short) / math.log(many / few):.2f}")


def print_chunks() -> None:
    """Print what chunks cost, and how far they are from the whole record."""
    sine = Sine(16_000)
    flow = np.ones_like(sine.times)
    response = constant_mean_time(sine.vessel, 1.0)
    whole = pass_through(response, sine.times, flow, sine.inlet)[0].amounts
    print(f"{sine.times.size} points, {response.shares.size} cells of ages\n")
    print(f"{'chunk':>8} {'time per point':>15} {'difference':>11}")
    for chunk in (1, 16, 256, 4096, sine.times.size):

        def run(chunk: int = chunk) -> np.ndarray:
            stream, found = begin(response, sine.times[0], 1.0, sine.inlet[0]), []
            for k in range(1, sine.times.size, chunk):
                out, stream = advance(response, stream, *(column[k : k + chunk] for column in (sine.times, flow, sine.inlet)))
                found.append(out.amounts)
            return np.concatenate(found)

        (seconds,), _ = timed([run], 1)
        print(f"{chunk:>8} {1e6 * seconds / sine.times.size:>12.3g} us {np.abs(run() - whole).max() / whole.max():>11.1e}")


def print_flow() -> None:
    """Print mass that is made or lost and errors of the outlet, for a constant hold-up and a flow that swings by half."""
    tau, holdup, end = 60.0, 1.0, 3600.0
    base = holdup / tau
    times = np.linspace(0.0, end, 36_001)
    flow = base * (1 + 0.5 * np.sin(2 * np.pi * times / 150.0))
    inlet = np.where((times > 600.0) & (times < 660.0), 0.12, 0.10)

    def rates(t: float, y: np.ndarray) -> np.ndarray:
        passing = base * (1 + 0.5 * np.sin(2 * np.pi * t / 150.0)) * TANKS / holdup
        return passing * (np.append(0.12 if 600.0 < t < 660.0 else 0.10, y[:-1]) - y)

    vessel = TanksInSeries(tau, TANKS)
    exact = solve_ivp(rates, (0.0, end), np.full(TANKS, 0.10), method="DOP853", rtol=1e-10, atol=1e-13, max_step=0.5, dense_output=True).sol
    out, _ = pass_through(constant_holdup(vessel, holdup, holdup / 500), times, flow, inlet)
    more, first, last = inlet - 0.10, flow[:-1], flow[1:]  # the integral of two straight lines' product
    extra = np.sum(np.diff(times) / 6 * (more[:-1] * (2 * first + last) + more[1:] * (first + 2 * last)))
    middle = 0.5 * (out.times[1:] + out.times[:-1])
    ours = np.sum(out.amounts[:, 0] - 0.10 * out.total), np.abs(out.fractions[:, 0] - exact(middle)[-1]).max()
    fixed = convolve_cumulative(times, inlet, *vessel.table(0.1), times)
    plain = np.trapezoid(flow * (fixed - 0.10), times), np.abs(fixed - exact(times)[-1]).max()
    print("One minute of 20 % more, hold-up constant, flow swinging by half\n")
    print(f"{'':<36} {'mass of the disturbance':>24} {'largest error of the outlet':>28}")
    for name, (mass, error) in (("cells of passed mass", ours), ("ages fixed in time", plain)):
        print(f"{name:<36} {mass / extra - 1:>+24.1e} {error / 0.02:>24.1e} of the step")


def main(wanted: Sequence[str]) -> None:
    """Print what is asked for, or everything."""
    parts = {"speed": print_speed, "chunks": print_chunks, "flow": print_flow}
    unknown = sorted(set(wanted) - set(parts))
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(parts)}")
    for name in wanted or parts:
        parts[name]()
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
