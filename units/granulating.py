"""Granules in the compartments of a barrel: their populations, the liquid that lands on them, and the balances of both.

For a unit with the states ``mass[t, j, c]`` (kg, over components and size classes) and ``liquid[t, j, k]`` (kg, over size classes) in the
compartments ``compartment``; see :mod:`units.twin_screw_granulator` for equations and symbols.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pyomo.environ as pyo
from pyomo.environ import units as u

from csrc.population_balance import Grid, PopulationBalance, nuclei, vector_function
from csrc.tracers import Tracers, tracer_function
from solvers.declare import VectorFunction, nominal
from units.laws import smooth_absolute
from units.powders import carried, size_names, sizes_of
from units.sizes import add_sizes
from units.stream import Material, mass_fractions

HEEL = 1e-9
"""Hold-up (kg) of a compartment below which its liquid-to-solid ratio fades to zero, and shares of its classes to uniform."""

WETTEST = 5.0
"""Liquid-to-solid ratio to which ratios level off, so that liquid passes without solids, too; off by 6e-6 at a ratio of 0.35."""

WETTING, KNEADING, CONVEYING = "wetting", "kneading", "conveying"

Rule = Callable[[Any, Any, Any], Any]


def layout(wetting: int, zones: int, kneading: int, conveying: int) -> tuple[str, ...]:
    """Return the kinds of the compartments along the screw.

    >>> layout(1, 2, 1, 1)
    ('wetting', 'kneading', 'conveying', 'kneading', 'conveying')
    """
    return (WETTING,) * wetting + ((KNEADING,) * kneading + (CONVEYING,) * conveying) * zones


def add_rates(block: Any, time: Any, balance: PopulationBalance, number: Rule, content: Rule, intensity: Rule) -> None:
    """Add the rates of a population balance, and of a liquid that its particles hold, for a unit whose states are masses.

    Adds the Expressions ``number[t, i]`` (1/m3), ``content[t, i]`` (kg/m3) and ``intensity[t, process]`` (-) by the rules
    ``(block, t, index)``, and the Vars ``conversion[t, i]`` (1/(m3 s)) and ``content_conversion[t, i]`` (kg/(m3 s)).
    """
    block.cell = pyo.RangeSet(0, balance.grid.cells - 1)
    block.process = pyo.Set(initialize=list(balance.processes))
    block.number = pyo.Expression(time, block.cell, rule=number, doc="particles of a size class per volume")
    block.content = pyo.Expression(time, block.cell, rule=content, doc="liquid held by the particles of a size class, per volume")
    block.intensity = pyo.Expression(time, block.process, rule=intensity, doc="coefficient of a process")
    for name, unit, doc in (
        ("conversion", u.m**-3 / u.s, "particles made in a size class by aggregation and breakage"),
        ("content_conversion", u.kg / u.m**3 / u.s, "liquid that particles bring into a size class by aggregation and breakage"),
    ):
        variable = pyo.Var(time, block.cell, initialize=0.0, units=unit, doc=doc)
        block.add_component(name, variable)
        nominal(variable, 1.0)
    block.law = VectorFunction(
        vector_function(balance), inputs=[block.number, block.intensity], outputs=[block.conversion], doc="population balance"
    )
    block.content_law = VectorFunction(
        tracer_function(Tracers(balance, 1)),
        inputs=[block.number, block.content, block.intensity],
        outputs=[block.content_conversion],
        doc="liquid of particles",
    )


def add_populations(block: Any, time: Any, materials: Mapping[str, Material], balance: PopulationBalance, kinds: tuple[str, ...]) -> None:
    """Add ``population[j]``, the balance of each compartment with its number of particles, rates and size distribution ``held_d50[t]``."""
    classes, volumes, sizes = size_names(materials), balance.grid.pivots, sizes_of(materials)
    assert sizes is not None
    block.population = pyo.Block(block.compartment)
    for j in block.compartment:
        kind = kinds[j - 1]

        def relative(unit: Any, process: str, kind: str = kind) -> Any:
            return 1.0 if kind is KNEADING else unit.component(f"{kind}_{process}")

        def volume(unit: Any) -> Any:
            return unit.free_volume / len(kinds)

        def number(b: Any, t: Any, i: int, j: int = j) -> Any:
            unit = b.parent_block()
            return unit.mass[t, j, classes[i]] / (unit.envelope_density * volumes[i] * u.m**3 * volume(unit))

        def content(b: Any, t: Any, i: int, j: int = j) -> Any:
            unit = b.parent_block()
            return unit.liquid[t, j, classes[i]] / volume(unit)

        def intensity(b: Any, t: Any, process: str, j: int = j, relative: Any = relative) -> Any:
            unit = b.parent_block()
            per_turn = unit.component(process) * relative(unit, process) * unit.speed[t] * u.s
            wet = unit.liquid_ratio[t, j]
            bound = per_turn * wet**2 / (wet**2 + unit.half_ratio**2)  # what no liquid binds neither sticks nor is there to break
            return bound * pyo.exp(-unit.toughening * wet) if process == "breakage" else bound / (unit.fill[t, j] + unit.sparse_fill)

        def share(b: Any, t: Any, size: str, j: int = j) -> Any:
            return mass_fractions({k: b.parent_block().mass[t, j, k] for k in classes}, HEEL * u.kg)[size]

        add_rates(block.population[j], time, balance, number, content, intensity)
        add_sizes(block.population[j], "held", time, sizes, share, f"compartment {j}")


def add_landing(block: Any, time: Any, materials: Mapping[str, Material], grid: Grid, diameter: float, kinds: tuple[str, ...]) -> None:
    """Add where liquid lands in the wetting compartments: ``caught[t, j, k]``, the solids that nuclei bring into a class, and
    ``landing[t, j, k]``, the liquid that drops and nuclei bring (kg/s).

    Of a drop that lands on class k (with the share of its mass) nothing stays there if the class is finer than nuclei; the ``nucleation``
    times its mass is taken from these classes with what liquid they hold. Nuclei are shared between the two pivots around their volume.
    """
    classes, size = size_names(materials), math.pi / 6 * diameter**3
    shares = nuclei(grid, size) * grid.pivots / size
    made = dict(zip(classes, (float(share) for share in shares), strict=True))
    finer = [k for k, pivot in zip(classes, grid.pivots, strict=True) if made[k] == 0 and pivot < size]
    block.wet = pyo.RangeSet(kinds.count(WETTING))

    @block.Expression(time, block.wet, doc="powder caught by drops, over that in a compartment")
    def catching(b: Any, t: Any, j: int) -> Any:
        powder = sum(b.mass[t, j, k] for k in classes)
        return b.nucleation * b.liquid_rate[t] / len(b.wet) / smooth_absolute(powder, HEEL * u.kg)

    @block.Expression(time, block.wet, classes, doc="solids that nuclei bring into a size class")
    def caught(b: Any, t: Any, j: int, k: str) -> Any:
        powder = sum(b.mass[t, j, other] for other in finer)
        return b.catching[t, j] * (made[k] * powder - (b.mass[t, j, k] if k in finer else 0 * u.kg))

    @block.Expression(time, block.wet, classes, doc="liquid that drops and nuclei bring into a size class")
    def landing(b: Any, t: Any, j: int, k: str) -> Any:
        drops = mass_fractions({other: b.mass[t, j, other] for other in classes}, HEEL * u.kg)
        held = sum(b.liquid[t, j, other] for other in finer)
        on_fines = sum(drops[other] for other in finer)
        stays = made[k] * on_fines + (0.0 if k in finer else drops[k])
        taken = made[k] * held - (b.liquid[t, j, k] if k in finer else 0 * u.kg)
        return b.liquid_rate[t] / len(b.wet) * stays + b.catching[t, j] * taken


def add_balances(block: Any, time: Any, materials: Mapping[str, Material], moisture: str, grid: Grid, kinds: tuple[str, ...]) -> None:
    """Add the balances of what is carried and of the liquid by class, and ``supply[t, c]``, the liquid from outside the flowsheet."""
    classes = size_names(materials)
    cell = {k: i for i, k in enumerate(classes)}
    volumes = [float(pivot) for pivot in grid.pivots]

    @block.Constraint(time, block.compartment, carried(materials), doc="mass balance of a compartment")
    def mass_balance(b: Any, t: Any, j: int, c: str) -> Any:
        entering = b.inlet_flow[t, c] if j == 1 else b.rate[t, j - 1] * b.mass[t, j - 1, c]
        change = entering - b.rate[t, j] * b.mass[t, j, c]
        if c in cell:
            change += b.envelope_density * volumes[cell[c]] * u.m**3 * b.free_volume / len(kinds) * b.population[j].conversion[t, cell[c]]
            change += b.caught[t, j, c] if j in b.wet else 0 * u.kg / u.s
        elif c == moisture and j in b.wet:
            change += b.liquid_rate[t] / len(b.wet)
        return b.mass_rate[t, j, c] == change

    @block.Constraint(time, block.compartment, classes, doc="balance of the liquid in a size class")
    def liquid_balance(b: Any, t: Any, j: int, k: str) -> Any:
        entering = b.inlet_flow[t, moisture] * b.inlet_share[t, k] if j == 1 else b.rate[t, j - 1] * b.liquid[t, j - 1, k]
        change = entering - b.rate[t, j] * b.liquid[t, j, k] + b.free_volume / len(kinds) * b.population[j].content_conversion[t, cell[k]]
        return b.liquid_change[t, j, k] == (change + b.landing[t, j, k] if j in b.wet else change)

    @block.Expression(time, [moisture], doc="liquid from outside the flowsheet")
    def supply(b: Any, t: Any, c: str) -> Any:
        return b.liquid_rate[t]
