"""A small recorded line, made of numbers with closed forms, for the tests of results and report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from flowsheet.results import Field, Results, StreamRow, UnitRow
from flowsheet.tables import balance_row, specification_row
from solvers import EventRecord, Status

COMPONENTS = ("api", "filler")
TOTAL_FLOW = 0.005
HORIZON = 600.0


def _fields(t: np.ndarray) -> tuple[Field, ...]:
    api = np.interp(t, [200.0, 300.0, 400.0], [0.10, 0.12, 0.10])
    fractions = np.stack([api, 1 - api], axis=1)
    flow = TOTAL_FLOW * fractions
    pure = np.stack([flow[:, 0], np.zeros_like(t)], axis=1)
    rest = np.stack([np.zeros_like(t), flow[:, 1]], axis=1)
    tanks = np.stack([fractions * 0.3, fractions * 0.2, fractions * 0.1], axis=1)
    by_component = (("component",), (COMPONENTS,))
    return (
        Field("feeder_api.outlet_flow", *by_component, pure, "kg/s", "delivered powder: component mass flow"),
        Field("feeder_api.mass", (), (), 2.0 - t / 1000, "kg", "mass in the hopper"),
        Field("feeder_api.supply", *by_component, pure, "kg/s", "refill by component"),
        Field("feeder_filler.outlet_flow", *by_component, rest, "kg/s", "delivered powder: component mass flow"),
        Field("blender.outlet_flow", *by_component, flow, "kg/s", "blend: component mass flow"),
        Field("blender.mass", ("blender.tank", "component"), ((1, 2, 3), COMPONENTS), tanks, "kg", "mass in each tank"),
        Field("press.assay", *by_component, fractions, "", "mass fraction in tablets"),
        Field("press.withdrawal", *by_component, flow, "kg/s", "tablets leaving"),
        Field("balance.unit_withdrawn", ("unit",), (("press",),), (TOTAL_FLOW * t)[:, None], "kg", "handed out by a unit"),
    )


@pytest.fixture
def make_results() -> Callable[..., Results]:
    """Return a maker of results: ``make_results(end=..., **changes)``; the assay is a triangle of 10 to 12 % from 200 to 400 s."""

    def make(end: float = HORIZON, **changes: object) -> Results:
        t = np.arange(0.0, end + 1.0, 2.0)
        fields = _fields(t)
        assay = next(field for field in fields if field.name == "press.assay").values[:, 0]
        types = {"feeder_api": "loss_in_weight_feeder", "feeder_filler": "loss_in_weight_feeder"}
        types |= {"blender": "continuous_blender", "press": "tablet_press"}
        joined = (
            ("S1", "feeder_api.outlet", "blender.inlet_1"),
            ("S2", "feeder_filler.outlet", "blender.inlet_2"),
            ("S3", "blender.outlet", "press.inlet"),
        )
        profile = {"variable": "feeder_api.disturbance", "times": [0.0, 200.0, 300.0], "values": [0.0, 0.2, 0.0], "label": "API +20 %"}
        case = {
            "schema": 1,
            "name": "sample",
            "title": "A sample line",
            "horizon": HORIZON,
            "display": {"flow": "kg/h"},
            "solver": {"rtol": 1e-8, "atol": 1e-10},
            "materials": {name: {"true_density": {"value": 1300.0, "unit": "kg/m^3"}} for name in COMPONENTS},
            "units": {name: {"type": kind, "gain": 0.5} for name, kind in types.items()},
            "profiles": [profile],
        }
        shown = {"feeder_api": ("mass", "outlet_flow"), "blender": ("mass",), "press": ("assay",)}
        bands = {"feeder_api": (("refill", "refill_start", "refill_settled"),)}
        whole = {
            "t": t,
            "fields": fields,
            "events": tuple(
                EventRecord(time, event, "feeder_api")
                for time, event in ((100.25, "refill_start"), (110.5, "refill_stop"), (125.5, "refill_settled"))
            ),
            "status": Status.COMPLETE,
            "stopped_because": "",
            "stats": {"steps": 1234, "restarts": 3},
            "balance": tuple(balance_row(name, np.array([0.0, 3.0]), np.array([0.0, 2.0]), np.array([1.0, 2.0])) for name in COMPONENTS),
            "specifications": (
                specification_row(t, assay, variable="press.assay[api]", label="Assay", lower=0.095, target=0.1, upper=0.11),
            ),
            "streams": tuple(StreamRow(*row) for row in joined),
            "units": tuple(UnitRow(name, kind, shown.get(name, ()), bands.get(name, ())) for name, kind in types.items()),
            "case": case,
            "versions": {"python": "3.11.7", "numpy": "2.4.6"},
        }
        return Results(**(whole | changes))

    return make
