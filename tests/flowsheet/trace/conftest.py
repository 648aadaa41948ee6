"""A source, a blender of mixed tanks and a bin: a line whose traces have closed forms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flowsheet import load_case
from flowsheet.case import Case

FLOW = 0.005  # kg/s
TAU = 60.0  # s

LINE = """
schema = 1
name = "line"
horizon = "{horizon} s"
output.interval = "{interval} s"
solver = {{ rtol = {rtol}, atol = 1e-13 }}

[materials]
filler = {{ true_density = "1.5 g/mL", bulk_density = "0.4 g/mL" }}
first = {{ true_density = "1.5 g/mL", bulk_density = "0.4 g/mL"{lots} }}
second = {{ true_density = "1.5 g/mL", bulk_density = "0.4 g/mL"{lots} }}

[units.feed]
type = "source"
flow = {{ filler = "{filler} kg/s", first = "{first} kg/s", second = "0 kg/s" }}

[units.blender]
type = "continuous_blender"
tanks = {tanks}
mean_time = "60 s"
delay_cells = 0
initial_mass = "0.3 kg"
initial_composition = {{ filler = {filler_share}, first = {first_share} }}

[units.bin]
type = "sink"

[[streams]]
from = "feed.outlet"
to = "blender.inlet_1"

[[streams]]
from = "blender.outlet"
to = "bin.inlet"
"""

CHUTE = """
[units.chute]
type = "chute"
cells = 60
transit_time = "40 s"
initial_mass = "0.2 kg"
initial_composition = {{ filler = {filler_share}, first = {first_share} }}

[[streams]]
from = "blender.outlet"
to = "chute.inlet"

[[streams]]
from = "chute.outlet"
to = "bin.inlet"
"""
"""A plug of 40 s between blender and bin, in place of the last stream."""


@pytest.fixture
def line(tmp_path: Path) -> Callable[..., Case]:
    """Return a maker of the line's case: ``line(extra, tanks=1, share=0.1, ...)``; ``share`` is that of the first lot in the feed."""

    def make(
        extra: str = "",
        *,
        tanks: float = 1,
        share: float = 0.1,
        substance: str = "api",
        horizon: float = 600,
        interval: float = 0.5,
        chute: bool = False,
    ) -> Case:
        values = {
            "lots": f', substance = "{substance}"' if substance else "",
            "filler": FLOW * (1 - share),
            "first": FLOW * share,
            "filler_share": 1 - share,
            "first_share": share,
        }
        units = LINE[: LINE.rindex("[[streams]]")] + CHUTE if chute else LINE
        text = units.format(tanks=tanks, horizon=horizon, interval=interval, rtol=1e-10, **values)
        (tmp_path / "line.toml").write_text(text + extra)
        return load_case(tmp_path / "line.toml", strict=True)

    return make
