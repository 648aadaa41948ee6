"""Draws kernels_population.png of docs/kernels.md: ``.venv/bin/python -m docs.plot_populations``, from the root of the project."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp

from csrc.population_balance import (
    AggregationMaps,
    BreakageMaps,
    Grid,
    PopulationBalance,
    binary_fragments,
    constant_kernel,
    gamma_distribution,
    power_law_selection,
    rates,
    sum_kernel,
)
from csrc.tracers import Tracers, tracer_rates
from flowsheet.verify import populations as exact

COLORS = ("#0072b2", "#d55e00", "#009e73")
CELLS = 60
MODES = ((0.8, 1.0, 0.2), (0.2, 3.0, 0.7))
"""Number, mean volume, and share of volume that is the tracer, of two exponential populations at the start."""


def processes(grid: Grid) -> dict[str, PopulationBalance]:
    """Balances with exact solutions."""
    kernels = {"constant": constant_kernel, "sum": sum_kernel}
    found = {name: PopulationBalance(grid, aggregation=AggregationMaps(grid, kernel(grid, 1.0))) for name, kernel in kernels.items()}
    found["breakage"] = PopulationBalance(grid, breakage=BreakageMaps(grid, power_law_selection(grid, 1.0, 1.0), binary_fragments(grid)))
    return found


def run(balance: PopulationBalance, start: np.ndarray, times: tuple[float, ...]) -> np.ndarray:
    """Return numbers, and contents that follow them in the second row if there are any, at each time."""
    tracers = Tracers(balance, 1)

    def slopes(_: float, state: np.ndarray) -> np.ndarray:
        number, content = state.reshape(2, -1)
        return np.concatenate((rates(balance, number), tracer_rates(tracers, number, content[:, None])[:, 0]))

    found = solve_ivp(slopes, (0.0, times[-1]), start.ravel(), t_eval=times, method="LSODA", rtol=1e-8, atol=1e-12)
    return found.y.T.reshape(len(times), 2, -1)


def populations() -> None:
    """Write kernels_population.png beside this file: exact solutions as lines, the grid's cells as marks."""
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained")
    cases = {
        "constant": ("Constant kernel", exact.constant_kernel, (1.0, 10.0, 100.0), 3000.0),
        "sum": ("Sum kernel", exact.sum_kernel, (0.5, 1.0, 2.0), 3000.0),
        "breakage": ("Breakage S = v, b = 2/u", exact.linear_breakage, (1.0, 10.0, 100.0), 60.0),
    }
    for panel, (name, (title, density, times, largest)) in zip(axes, cases.items(), strict=False):
        grid = Grid.geometric(1e-7 * largest, largest, CELLS)
        start = gamma_distribution(grid, 1.0, 1.0)
        x = np.geomspace(1e-4, largest, 400)
        for t, color, number in zip(times, COLORS, run(processes(grid)[name], np.stack((start, 0 * start)), times)[:, 0], strict=True):
            panel.plot(x, x**2 * density(x, t), color=color, label=f"t = {t:g}")
            panel.plot(grid.pivots, grid.pivots**2 * number / grid.widths, "o", color=color, markersize=3)
        panel.plot(x, x**2 * exact.exponential(x), color="0.6", label="start")
        panel.set(xscale="log", xlim=(1e-3, largest), ylim=(0, 0.75), xlabel="v / v0", ylabel="v^2 n (volume per log of size)", title=title)
    grid = Grid.geometric(1e-5, 400.0, CELLS)
    parts = [(gamma_distribution(grid, number, mean), share) for number, mean, share in MODES]
    start = np.stack((sum(part for part, _ in parts), sum(share * grid.pivots * part for part, share in parts)))
    x, times = np.geomspace(1e-3, 100.0, 400), (0.5, 2.0, 10.0)
    for t, color, (number, content) in zip(times, COLORS, run(processes(grid)["constant"], start, times), strict=True):
        total, tracer = exact.constant_kernel_of_modes(x, t, MODES)
        axes[3].plot(x, tracer / (x * total), color=color, label=f"t = {t:g}")
        axes[3].plot(grid.pivots, content / (grid.pivots * number), "o", color=color, markersize=3)
    total, tracer = exact.constant_kernel_of_modes(x, 0.0, MODES)
    axes[3].plot(x, tracer / (x * total), color="0.6", label="start")
    axes[3].set(
        xscale="log", xlim=(1e-3, 100), ylim=(0, 0.8), xlabel="v / v0", ylabel="tracer, share of volume", title="Tracer, constant kernel"
    )
    for panel in axes:
        panel.legend(frameon=False, fontsize="small", ncols=2, loc="upper left")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_name("kernels_population.png"), dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    populations()
