"""From a real run to results and a report: a feeder with refills that fills a bin."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray

from flowsheet.collect import collect_results
from flowsheet.flowsheet import Flowsheet
from flowsheet.report import write_report
from flowsheet.results_read import open_results
from flowsheet.results_write import save_results, to_bytes
from flowsheet.tables import stream_table
from solvers import SimulationError, Status, lower, simulate
from solvers.declare import Profile
from solvers.errors import UsageError
from units.feeder import LossInWeightFeeder
from units.sink import Sink
from units.stream import Material

MATERIALS = {
    "api": Material("api", true_density=1300.0, bulk_density=350.0),
    "salt": Material("salt", true_density=2160.0, bulk_density=1200.0),
}
HORIZON = 300.0


@pytest.fixture(scope="module")
def flowsheet():
    fs = Flowsheet(HORIZON, MATERIALS)
    fs.add("feeder", LossInWeightFeeder, composition={"api": 0.25, "salt": 0.75}, setpoint=0.01, initial_mass=2.0)
    fs.add("bin", Sink)
    fs.connect("feeder.outlet", "bin.inlet")
    return fs


@pytest.fixture(scope="module")
def case():
    return {
        "name": "fill",
        "horizon": HORIZON,
        "materials": {name: {} for name in MATERIALS},
        "units": {"feeder": {"type": "loss_in_weight_feeder"}, "bin": {"type": "sink"}},
        "streams": [{"name": "S1", "from": "feeder.outlet", "to": "bin.inlet"}],
        "profiles": [{"variable": "feeder.disturbance", "times": [0.0, 50.0, 60.0], "values": [0.0, 0.2, 0.0], "label": "surge"}],
        "specifications": [{"variable": "feeder.outlet_total", "upper": 0.011, "label": "Flow"}],
    }


@pytest.fixture(scope="module")
def trajectory(flowsheet):
    surge = Profile((0.0, 50.0, 60.0), (0.0, 0.2, 0.0))
    return simulate(flowsheet.model, np.linspace(0.0, HORIZON, 151), inputs={"feeder.disturbance": surge})


@pytest.fixture(scope="module")
def results(case, flowsheet, trajectory):
    return collect_results(case, flowsheet.model, trajectory)


def test_results_hold_the_whole_trajectory(results, trajectory, flowsheet):
    assert set(results.names) == set(trajectory.names)
    for name in trajectory.names:
        assert np.array_equal(results[name], trajectory[name])
        assert (results.unit(name), results.doc(name)) == (trajectory.unit(name), trajectory.doc(name))
    assert np.array_equal(results[flowsheet.model.feeder.outlet_flow[:, "salt"]], trajectory["feeder.outlet_flow[salt]"])
    assert np.array_equal(results[flowsheet.model.feeder.mass[:]], trajectory["feeder.mass"])
    with pytest.raises(UsageError, match="slice over time"):
        results[flowsheet.model.feeder.mass[0.0]]


def test_balance_events_and_streams_of_a_real_run(results):
    assert results.status is Status.COMPLETE
    assert [event.event for event in results.events] == ["refill_start", "refill_stop", "refill_settled"]
    rows = {row.component: row for row in results.balance}
    assert all(row.closes for row in rows.values())
    assert rows["salt"].entered == pytest.approx(3 * rows["api"].entered, rel=1e-9)
    assert rows["api"].entered > 0.25
    streams = stream_table(results)
    assert [row.component for row in streams] == ["api", "salt", ""]
    assert streams[0].fraction_mean == pytest.approx(0.25, rel=1e-6)
    (flow,) = results.specifications
    assert 0 < flow.time_above < 15.0


def test_dimensions_are_named_by_materials(results, tmp_path):
    path = save_results(results, tmp_path, seconds=0.1)
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert data["feeder.outlet_flow"].dims == ("time", "component")
        assert data["component"].values.tolist() == ["api", "salt"]
        assert data["feeder.screw_speed"].attrs["long_name"] == "screw speed"
    assert to_bytes(open_results(path)) == path.read_bytes()
    assert json.loads((tmp_path / "run.json").read_text())["simulation_seconds"] == 0.1


def test_running_again_gives_the_same_bytes(results, case, flowsheet):
    surge = Profile((0.0, 50.0, 60.0), (0.0, 0.2, 0.0))
    again = simulate(lower(flowsheet.model), np.linspace(0.0, HORIZON, 151), inputs={"feeder.disturbance": surge})
    assert to_bytes(collect_results(case, flowsheet.model, again)) == to_bytes(results)


def test_the_page_of_a_real_run(results, tmp_path):
    page = write_report(save_results(results, tmp_path)).read_text()
    for said in ("refill, from refill start to refill settled", "surge", "✓ Complete", "✓ Closes", "bin", "out of specification"):
        assert said in page, said


def test_a_failed_run_is_kept_as_incomplete(case, tmp_path):
    # the flow turns to not-a-number when the speed does
    fs = Flowsheet(HORIZON, MATERIALS)
    fs.add("feeder", LossInWeightFeeder, composition={"api": 1.0, "salt": 0.0}, setpoint=0.01, initial_mass=2.0)
    fs.add("bin", Sink)
    fs.connect("feeder.outlet", "bin.inlet")
    broken = Profile((0.0, 100.0), (0.0, 1e300))
    with pytest.raises(SimulationError) as caught:
        simulate(fs.model, np.linspace(0.0, HORIZON, 151), inputs={"feeder.disturbance": broken})
    partial = caught.value.trajectory
    results = collect_results(case, fs.model, partial, stopped_because=caught.value.message)
    path = save_results(results, tmp_path)
    assert open_results(path).status is Status.INCOMPLETE
    assert open_results(path).t[-1] < HORIZON
    assert "✗ INCOMPLETE RUN" in write_report(path).read_text()
