"""Draws the pictures of docs/kernels.md and docs/residence_times.md: ``.venv/bin/python docs/plot_kernels.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import gamma, gammainc

from csrc.rtd import convolve_cumulative
from units.residence_time import ClosedDispersion, OpenDispersion, TanksInSeries
from units.tracer import deconvolve

TAU = 60.0  # s, mean residence time
TANKS = (1, 2, 5)
COLORS = ("#0072b2", "#d55e00", "#009e73")


def density(age: np.ndarray, n: float) -> np.ndarray:
    """Exit-age density of n tanks in series in 1/s."""
    return n**n * age ** (n - 1) * np.exp(-n * age / TAU) / (TAU**n * gamma(n))


def draw_kernel() -> None:
    """Write kernels_rtd.png beside this file."""
    ages = np.linspace(0.0, 20 * TAU, 4001)
    minutes = np.array([0.0, 2.0, 2.0, 3.0, 3.0, 9.0])
    inlet = np.array([10.0, 10.0, 12.0, 12.0, 10.0, 10.0])
    at = np.linspace(0.0, 540.0, 1081)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    right.plot(minutes, inlet, color="0.6", label="recorded inlet")
    for n, color in zip(TANKS, COLORS, strict=True):
        name = "1 tank" if n == 1 else f"{n} tanks"
        outlet = convolve_cumulative(60 * minutes, inlet, ages, gammainc(n, n * ages / TAU), at)
        left.plot(ages / 60, 60 * density(ages, n), color=color, label=name)
        right.plot(at / 60, outlet, color=color, label=f"outlet, {name}")
    left.set(xlabel="age (min)", ylabel="exit-age density E (1/min)", xlim=(0, 4), ylim=(0, None), title="Tanks in series, mean age 1 min")
    right.set(xlabel="time (min)", ylabel="drug content (%)", xlim=(0, 9), title="One minute of 20 % more drug")
    save(figure, "kernels_rtd.png")


def draw_distributions() -> None:
    """Write residence_times.png beside this file."""
    ages = np.linspace(0.0, 4 * TAU, 801)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for peclet, style in ((2.0, "--"), (20.0, "-")):
        closed = ClosedDispersion(TAU, peclet)
        for vessel, name, color in (
            (closed, "closed vessel", COLORS[0]),
            (OpenDispersion(TAU / (1 + 2 / peclet), peclet), "open vessel", COLORS[1]),
            (TanksInSeries(TAU, TAU**2 / closed.variance), "tanks as wide as closed", COLORS[2]),
        ):
            left.plot(ages / 60, 60 * vessel.density(ages), style, color=color, label=name if style == "-" else None)
    left.set(xlabel="age (min)", ylabel="E (1/min)", xlim=(0, 4), ylim=(0, None), title="Mean 1 min; Pe = 20 (lines) and 2 (dashes)")
    vessel, times = TanksInSeries(80.0, 3.0), np.linspace(0.0, 600.0, 301)
    inlet = np.interp(times, [0, 20, 40, 60], [0, 1, 1, 0])
    outlet = convolve_cumulative(times, inlet, *vessel.table(0.5), times) + 0.01 * np.random.default_rng(3).normal(size=times.size)
    found = deconvolve(times, inlet, outlet, oldest=400.0, noise=0.01)
    ages = np.linspace(0.0, 400.0, 401)
    right.plot(times / 60, inlet, color="0.75", label="inlet")
    right.plot(times / 60, outlet, ".", color="0.45", markersize=2, label="outlet, noise 0.01")
    right.plot(times / 60, found.outlet, color=COLORS[0], label="outlet, from what was found")
    right.plot(ages / 60, 60 * vessel.density(ages), color=COLORS[2], label="E (1/min), true")
    right.stairs(60 * found.distribution.density(ages[:-1] + 0.5), ages / 60, color=COLORS[1], label="E (1/min), found")
    right.set(xlabel="time or age (min)", xlim=(0, 8), title="Deconvolution of a tracer")
    save(figure, "residence_times.png")


def save(figure: plt.Figure, name: str) -> None:
    """Write a figure beside this file."""
    for axes in figure.axes:
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_name(name), dpi=120, metadata={"Software": None})


def main() -> None:
    """Draw all pictures."""
    draw_kernel()
    draw_distributions()


if __name__ == "__main__":
    main()
