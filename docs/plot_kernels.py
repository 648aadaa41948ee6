"""Draws the picture of docs/kernels.md: ``.venv/bin/python docs/plot_kernels.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import gamma, gammainc

from csrc.rtd import convolve_cumulative

TAU = 60.0  # s, mean residence time
TANKS = (1, 2, 5)
COLORS = ("#0072b2", "#d55e00", "#009e73")


def density(age: np.ndarray, n: float) -> np.ndarray:
    """Exit-age density of n tanks in series in 1/s."""
    return n**n * age ** (n - 1) * np.exp(-n * age / TAU) / (TAU**n * gamma(n))


def main() -> None:
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
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_name("kernels_rtd.png"), dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()
