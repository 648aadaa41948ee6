from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
import xarray

from flowsheet import results_read, results_write
from flowsheet.atomic import write_atomically
from flowsheet.results import make_fields
from flowsheet.results_layout import SEAL_LENGTH, case_digest, seal
from flowsheet.results_read import open_results
from flowsheet.results_write import save_results, to_bytes
from solvers import EventRecord, Status
from solvers.errors import InputDataError, OutputError, UsageError


@pytest.fixture
def saved(make_results, tmp_path):
    results = make_results()
    return results, save_results(results, tmp_path, seconds=1.5)


def test_what_is_written_is_read_again(saved):
    results, path = saved
    again = open_results(path.parent)
    assert again.names == results.names
    assert np.array_equal(again.t, results.t)
    for name in results.names:
        assert np.array_equal(again[name], results[name])
        assert (again.unit(name), again.doc(name)) == (results.unit(name), results.doc(name))
    for attribute in ("events", "status", "stopped_because", "stats", "balance", "streams", "units", "case", "versions"):
        assert getattr(again, attribute) == getattr(results, attribute), attribute
    assert repr(again.specifications) == repr(results.specifications)
    assert to_bytes(again) == path.read_bytes()


def test_tables_may_be_empty_and_texts_any(make_results, tmp_path):
    results = make_results(
        events=(), balance=(), specifications=(), streams=(), units=(), stopped_because="größer als 1 µm\n– stop", status=Status.INCOMPLETE
    )
    again = open_results(save_results(results, tmp_path))
    assert (again.events, again.balance, again.specifications, again.streams, again.units) == ((), (), (), (), ())
    assert (again.status, again.stopped_because) == (Status.INCOMPLETE, "größer als 1 µm\n– stop")


def test_a_file_or_its_folder_may_be_given(saved):
    _, path = saved
    assert open_results(path).names == open_results(path.parent).names == open_results(str(path)).names


def test_names_that_are_no_grid_or_no_numbers_survive(make_results, tmp_path):
    names = ("c[1,api]", "c[1,salt]", "c[2,api]", "x", "a/b.y[0.5]", "a/b.y[1.0]", "time", "events", "component", "n[nan]", "n[01]")
    values = {name: np.array([k, k + 0.5]) for k, name in enumerate(names)}
    fields = make_fields(names, values, dict.fromkeys(names, "kg"), dict.fromkeys(names, ""))
    results = make_results(fields=fields, t=np.array([0.0, 1.0]), specifications=(), streams=())
    again = open_results(save_results(results, tmp_path))
    assert set(again.names) == set(names)
    for name in names:
        assert np.array_equal(again[name], values[name])
    assert again.field("a/b.y").labels == ((0.5, 1.0),)
    assert again.field("n").labels == (("nan", "01"),)


def test_xarray_opens_it_with_dimensions_and_units(saved):
    results, path = saved
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        mass = data["blender.mass"]
        assert mass.dims == ("time", "blender.tank", "component")
        assert (mass.attrs["units"], mass.attrs["long_name"], data["time"].attrs["units"]) == ("kg", "mass in each tank", "s")
        chosen = mass.sel({"blender.tank": 2, "component": "api"})
        assert np.array_equal(chosen, results["blender.mass[2,api]"])
        assert float(data["press.assay"].sel(component="api", time=300.0)) == pytest.approx(0.12)
        assert data.attrs["complete"].dtype == np.int8
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert float(tree["balance"]["entered"].sel(component="api")) == 3.0
        assert tree["events"]["event"].values.tolist() == [event.event for event in results.events]
        assert tree["events"]["event_time"].attrs["units"] == "s"
        assert hashlib.sha256(str(tree["provenance"]["resolved_case"].item()).encode()).hexdigest() == case_digest(results.case)


def test_a_balance_over_other_components_is_readable_too(make_results, tmp_path):
    results = make_results(balance=make_results().balance[1:])
    path = save_results(results, tmp_path)
    assert open_results(path).balance == results.balance
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["balance"]["balance_component"].values.tolist() == ["filler"]


def test_the_same_results_give_the_same_bytes_and_no_facts_of_the_run(saved):
    results, path = saved
    program = f"""
        import time; time.sleep(1.1)
        from flowsheet.results_read import open_results
        from flowsheet.results_write import to_bytes
        import hashlib, sys
        print(hashlib.sha256(to_bytes(open_results({str(path)!r}))).hexdigest())
    """
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, env=environment)
    content = path.read_bytes()
    assert done.stdout.strip() == hashlib.sha256(content).hexdigest() == hashlib.sha256(to_bytes(results)).hexdigest()
    assert os.uname().nodename.encode() not in content
    facts = json.loads((path.parent / "run.json").read_text())
    assert facts["results_sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["simulation_seconds"] == 1.5


def failing(function, call):
    """Return a function that raises OSError the ``call``-th time it is called, and whether it did."""
    count = 0

    def wrapped(*arguments, **keywords):
        nonlocal count
        count += 1
        if count == call:
            raise OSError(28, "No space left on device")
        return function(*arguments, **keywords)

    return wrapped


@pytest.mark.parametrize("name", ["open", "fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_whatever_fails_the_old_or_the_new_results_are_whole(saved, make_results, monkeypatch, name, call):
    old, path = saved
    new = make_results(stats={"steps": 99})
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing(getattr(os, name), call))
        try:
            save_results(new, path)
        except OutputError as error:
            assert "No space left" in str(error)  # noqa: PT017 - not every call is made: no failure is right too
    assert dict(open_results(path).stats) in (old.stats, new.stats)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["results.h5", "run.json"]
    json.loads((path.parent / "run.json").read_text())


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_writing_leaves_whole_results(saved, name, after):
    _, path = saved
    program = f"""
        import os, signal
        from dataclasses import replace
        from pathlib import Path
        from flowsheet.results_read import open_results
        from flowsheet.results_write import save_results
        results = replace(open_results({str(path)!r}), stats={{"steps": 99}})
        do = os.{name}
        def die(*arguments):
            if {after}: do(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        os.{name} = die
        save_results(results, Path({str(path)!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert open_results(path).stats["steps"] == (99 if after and name == "replace" else 1234)


def test_a_full_disk_is_told_and_leaves_the_old_file(saved):
    _, path = saved
    program = f"""
        import signal, sys
        from pathlib import Path
        from flowsheet.results_read import open_results
        from flowsheet.results_write import save_results
        from solvers.errors import OutputError
        import resource
        results = open_results({str(path)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            save_results(results, Path({str(path)!r}))
        except OutputError as error:
            print(error)
            sys.exit(error.exit_code)
    """
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 8, done.stderr
    assert "bytes" in done.stdout
    assert "untouched" in done.stdout
    assert open_results(path).stats["steps"] == 1234
    assert [entry.name for entry in path.parent.iterdir() if entry.name.endswith(".part")] == []


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        write_atomically(tmp_path / "nowhere" / "results.h5", b"x")


def test_truncated_anywhere_is_told(saved):
    _, path = saved
    content = path.read_bytes()
    for length in (0, 1, 7, 8, 100, *range(200, len(content), len(content) // 40), len(content) - SEAL_LENGTH, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputDataError, match=r"truncated|not an HDF5|is empty|damaged"):
            open_results(path)


def test_any_changed_byte_is_told(saved):
    _, path = saved
    content = path.read_bytes()
    for place in np.random.default_rng(3).integers(0, len(content), 100):
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(bytes(changed))
        with pytest.raises(InputDataError):
            open_results(path)


def test_files_of_another_kind_are_refused(saved, tmp_path, monkeypatch):
    results, path = saved
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = [1.0]
    with pytest.raises(InputDataError, match=r"another kind; expected the attribute format"):
        open_results(foreign)
    (tmp_path / "text.h5").write_text("time,assay\n")
    with pytest.raises(InputDataError, match="not an HDF5 file"):
        open_results(tmp_path / "text.h5")
    monkeypatch.setattr(results_write, "SCHEMA", 4)
    path.write_bytes(to_bytes(results))
    with pytest.raises(InputDataError, match=r"schema 4; this version reads schema 3"):
        open_results(path)


def test_missing_tables_are_named(saved, tmp_path):
    _, path = saved
    target = tmp_path / "partial.h5"
    target.write_bytes(path.read_bytes()[:-SEAL_LENGTH])
    with h5py.File(target, "a") as file:
        del file["balance"]
    image = target.read_bytes()
    target.write_bytes(image + seal(image))
    with pytest.raises(InputDataError, match="lacks balance"):
        open_results(target)


@pytest.mark.parametrize("place", ["balance/entered", "events/event_time", "provenance/resolved_case", "specifications/upper"])
def test_missing_columns_are_told(saved, tmp_path, place):
    _, path = saved
    target = tmp_path / "partial.h5"
    target.write_bytes(path.read_bytes()[:-SEAL_LENGTH])
    with h5py.File(target, "a") as file:
        del file[place]
    image = target.read_bytes()
    target.write_bytes(image + seal(image))
    with pytest.raises(InputDataError, match=r"schema 3"):
        open_results(target)


def test_a_swapped_case_is_noticed(make_results, tmp_path, monkeypatch):
    monkeypatch.setattr(results_write, "case_digest", lambda case: "0" * 64)
    path = save_results(make_results(), tmp_path)
    with pytest.raises(InputDataError, match="does not fit its SHA-256"):
        results_read.open_results(path)


def test_missing_results_are_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no results\.h5 in"):
        open_results(tmp_path)
    with pytest.raises(UsageError, match="no results at"):
        open_results(tmp_path / "nothing.h5")


def test_unknown_names_are_answered_with_near_ones(make_results):
    results = make_results()
    with pytest.raises(UsageError, match=r"did you mean press\.assay\[api\]"):
        results["press.assay"]
    with pytest.raises(UsageError, match=r"did you mean feeder_api\.mass"):
        results["feeder_api.mas"]
    assert np.array_equal(results["blender.mass[2, api]"], results["blender.mass[2,api]"])
    assert "press.assay[api]" in results
    assert "press.assay" not in results


def test_select_takes_variables_components_units_and_patterns(make_results):
    results = make_results()
    assert results.select("press.assay") == ("press.assay[api]", "press.assay[filler]")
    assert results.select("feeder_api.mass") == ("feeder_api.mass",)
    assert set(results.select("press")) == {name for name in results.names if name.startswith("press.")}
    assert results.select("*.outlet_flow[api]") == tuple(f"{u}.outlet_flow[api]" for u in ("feeder_api", "feeder_filler", "blender"))
    with pytest.raises(UsageError, match="no variable"):
        results.select("*.nothing")


def test_results_do_not_change(make_results):
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_results().status = Status.INCOMPLETE


def test_events_are_records(saved):
    _, path = saved
    assert open_results(path).events[0] == EventRecord(100.25, "refill_start", "feeder_api")
