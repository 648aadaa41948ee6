r"""Wet granulation: residence time in a twin screw, size correlations, and the population balance of granules.

Measured on a twin-screw granulator with lactose, cellulose and povidone (Plath, Luding and Weinhart 2024, Powder Technol,
10.1016/j.powtec.2024.120374), for specific feed loads of 0.04 to 0.12 and liquid-to-solid ratios of 0.1 to 0.35::

    MRT    = 123.46 SFL + 45.16 LS + 3.89                           s
    d32    = 0.0605 LS^2 (SFL/1.540)^(1/3)                          m
    a_s    = 0.3184 ((MRT - 7.5)/7.5)^-0.55 d32'^-0.181
    beta'  = 2.625 d32'^-0.914,      d32' = d32/(V_P/N_P)^(1/3)

| symbol | meaning | unit |
|---|---|---|
| SFL | specific feed load, powder feed rate over screw speed | kg/h per rpm, here kg/rev |
| LS | liquid-to-solid ratio by mass | - |
| MRT | mean residence time | s |
| d32, d32' | Sauter diameter; relative to the cube root of the mean particle volume of the feed | m, - |
| V_P, N_P | volume and number of particles of the feed sample, 2.05e-6 m3 and 8.78888e7 | m3, - |
| a_s, beta' | aggregation and breakage of a two-node moment model in its own scales | - |

The unit of SFL is not stated where the numbers were taken from. As kg/h per rpm (1/60 kg per revolution) 0.04 to 0.12 are 0.7 to 2 g per
revolution, what such machines carry; so it is read here. The correlation of d32 holds at high LS only (within 10 % at 0.35; a third of
the measured value at LS = 0.1 and SFL = 0.04, half as much again at 0.225): take it for an order of magnitude.
"""

from __future__ import annotations

import math

import numpy as np

from csrc.checks import Array
from csrc.population_balance import (
    AggregationMaps,
    BreakageMaps,
    Grid,
    PopulationBalance,
    nuclei,
    power_law_selection,
    shear_kernel,
)
from units.sizes import SizeClasses

SPECIFIC_LOAD = 1 / 60
"""Specific feed load of 1 kg/h per rpm, in kg/rev."""

RESIDENCE = {"load": 123.46 / SPECIFIC_LOAD, "liquid": 45.16, "base": 3.89}
"""Mean residence time: s rev/kg on the specific feed load, s on the liquid-to-solid ratio, s."""

FEED_VOLUME = 2.05e-6 / 8.78888e7
"""Mean volume of the feed's particles (m3), V_P/N_P: a sphere of 35 um."""

REFERENCE_DIAMETER = 1e-3
"""Diameter (m) at which the breakage rate is given."""


def residence_time(load: float, ratio: float) -> float:
    """Return the mean residence time (s) at a specific feed load (kg/rev) and a liquid-to-solid ratio.

    >>> round(residence_time(0.12 * SPECIFIC_LOAD, 0.35), 2)  # measured: 34.51 s
    34.51
    """
    return RESIDENCE["load"] * load + RESIDENCE["liquid"] * ratio + RESIDENCE["base"]


def sauter_diameter(load: float, ratio: float) -> float:
    """Return the Sauter diameter (m) at a specific feed load (kg/rev) and a liquid-to-solid ratio; good at high ratios only.

    >>> round(1e3 * sauter_diameter(0.12 * SPECIFIC_LOAD, 0.35), 2)  # measured: 3.25 mm
    3.17
    """
    return 0.0605 * ratio**2 * (load / SPECIFIC_LOAD / 1.540) ** (1 / 3)


def aggregation_factor(time: float, diameter: float) -> float:
    """Return a_s of the moment model at a mean residence time (s, above 7.5) and a Sauter diameter (m)."""
    return 0.3184 * ((time - 7.5) / 7.5) ** -0.55 * (diameter / FEED_VOLUME ** (1 / 3)) ** -0.181


def breakage_factor(diameter: float) -> float:
    """Return beta' of the moment model at a Sauter diameter (m).

    >>> round(breakage_factor(3.2485e-3), 4)  # fitted to that run: 0.0365
    0.0347
    """
    return 2.625 * (diameter / FEED_VOLUME ** (1 / 3)) ** -0.914


def grid_of(sizes: SizeClasses) -> Grid:
    """Return the cells of size classes by volume of spheres, with the classes' own diameters for pivots."""
    sphere = math.pi / 6
    return Grid(sphere * np.array(sizes.edges) ** 3, sphere * np.array(sizes.diameters) ** 3)


def equal_fragments(grid: Grid, fragments: int) -> Array:
    """Return the (n, n) numbers at pivot i of a particle at pivot k that breaks into equal fragments.

    Fragments between two pivots are shared so that number and volume are kept; smaller than the first, they are fewer with their volume.

    Raises
    ------
    ValueError : fewer than two fragments.

    >>> equal_fragments(Grid([0, 2, 6, 24]), 2).round(12).tolist()  # pivots 1, 4, 15: 15 becomes two of 7.5
    [[1.0, 1.333333333333, 0.0], [0.0, 0.666666666667, 1.363636363636], [0.0, 0.0, 0.636363636364]]
    """
    if fragments < 2:
        raise ValueError(f"a particle breaks into two or more fragments (got {fragments!r})")
    found = np.zeros((grid.cells, grid.cells))
    first = grid.pivots[0]
    for k, volume in enumerate(grid.pivots):
        part = volume / fragments
        if part < first:
            found[0, k] = volume / first
        else:
            found[:, k] = fragments * nuclei(grid, part)
    return found


def granulation_balance(grid: Grid, exponent: float, fragments: int) -> PopulationBalance:
    """Return the balance of aggregation by shear, ``(d_i + d_j)^3`` in volumes of spheres, and of breakage into equal fragments at the rate
    ``(d/1 mm)^exponent``, both times 1/s.
    """
    reference = math.pi / 6 * REFERENCE_DIAMETER**3
    return PopulationBalance(
        grid,
        aggregation=AggregationMaps(grid, shear_kernel(grid, 1.0)),
        breakage=BreakageMaps(grid, power_law_selection(grid, 1.0, exponent / 3, reference), equal_fragments(grid, fragments)),
    )
