from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from pyomo.dae import ContinuousSet, DerivativeVar
from pyomo.environ import ConcreteModel, Constraint, Expr_if, Param, Var, cos, exp, log, sin, sqrt, tan, tanh

from benchmarks import column
from flowsheet.case_load import load_case
from flowsheet.run import build_flowsheet
from flowsheet.verify.problems import HIRES, ROBER, InitialValueProblem, build_model
from solvers import Compilation, Status, Trajectory, compiled, lower, sensitivities, simulate
from solvers.compiled import CACHE_VARIABLE, CodeOfSegment, cache_folder, compiler_seconds, find_code
from solvers.integrator import SegmentFunctions
from solvers.rolled import roll

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(compiled.compiler_path() is None, reason="there is no C compiler")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def decay(rate: float = 2.0) -> ConcreteModel:
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 1))
    model.x = Var(model.time, initialize=1.0)
    model.v = DerivativeVar(model.x, wrt=model.time)
    model.k = Param(initialize=rate, mutable=True)
    model.law = Constraint(model.time, rule=lambda m, t: m.v[t] == -m.k * m.x[t])
    model.x[0].fix(1.0)
    return model


def bits(trajectory: Trajectory) -> bytes:
    assert trajectory.status is Status.COMPLETE
    values = b"".join(array.tobytes() for array in (trajectory.t, trajectory.x, trajectory.z, trajectory.u))
    return values + repr(trajectory.events).encode() + repr([*trajectory.stats.as_dict().items()][:-1]).encode()


def check_same_bits(model: Any, t: np.ndarray, **options: Any) -> None:
    system = lower(model)
    interpreted = simulate(system, t, compilation=Compilation.NEVER, **options)
    code = simulate(system, t, compilation=Compilation.ALWAYS, **options)
    assert code.compiled
    assert not interpreted.compiled
    assert bits(code) == bits(interpreted)


@needs_compiler
@pytest.mark.parametrize("problem", [HIRES, ROBER], ids=lambda problem: problem.name)
@pytest.mark.parametrize("rtol", [1e-5, 1e-10])
def test_initial_value_problems_give_the_same_bits(problem: InitialValueProblem, rtol: float) -> None:
    check_same_bits(build_model(problem), np.linspace(0, problem.end_time, 20)[1:], rtol=rtol, atol=1e-12)


@needs_compiler
def test_the_column_gives_the_same_bits() -> None:
    check_same_bits(column.build_model(6), column.output_times(), inputs=column.profiles(), rtol=1e-6)


@needs_compiler
def test_the_line_gives_the_same_bits() -> None:
    case = load_case(ROOT / "cases" / "cdc_line")
    flowsheet = build_flowsheet(case)
    profiles = {spec.variable: spec.profile for spec in case.profiles}
    check_same_bits(flowsheet.model, np.linspace(0.0, case.horizon, 61), inputs=profiles)


x, y = ca.SX.sym("x"), ca.SX.sym("y")
OPERATIONS = {
    "fmin": ca.fmin(x, y),
    "fmax": ca.fmax(x, y),
    "square": x**2,
    "cube": x**3,
    "seventh": x**7,
    "reciprocal": x**-1,
    "root": ca.sqrt(x),
    "half": x**0.5,
    "power": x**y,
    "third": x ** (1 / 3),
    "sign": ca.sign(x),
    "absolute": ca.fabs(x),
    "copysign": ca.copysign(x, y),
    "floor": ca.floor(x),
    "ceiling": ca.ceil(x),
    "remainder": ca.fmod(x, y),
    "exponential": ca.exp(x),
    "expm1": ca.expm1(x),
    "logarithm": ca.log(x),
    "log1p": ca.log1p(x),
    "sine and cosine": ca.sin(x) + 3 * ca.cos(x),
    "tangent": ca.tan(x),
    "hyperbolic": ca.tanh(x) + ca.sinh(x) * ca.cosh(x),
    "inverse": ca.atan(x) + ca.asin(x) + ca.acos(x),
    "angle": ca.atan2(x, y),
    "inverse hyperbolic": ca.asinh(x) + ca.acosh(x) + ca.atanh(x),
    "hypotenuse": ca.hypot(x, y),
    "error function": ca.erf(x),
    "choice": ca.if_else(x < y, x * y, x / y),
    "logic": ca.logic_and(x <= 1, ca.logic_or(y > 0, x == y)),
    "no contraction": x * y + x * 1.1 - y,
    "exact constants": x * 0.1 + y / 3.0 + 1e-300 * x + np.pi,
    "constant functions": x * ca.exp(ca.SX(1.7)) + ca.sin(ca.SX(0.3)),
}


@needs_compiler
def test_every_operation_gives_the_same_bits() -> None:
    function = ca.Function("operations", [x, y], [ca.vertcat(*OPERATIONS.values())])
    (code,) = find_code([function], source=lambda: roll([function]).source, waits=True) or (None,)
    assert code is not None
    special = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-320, -1e-200, 1e200, 1e308, np.inf, -np.inf, np.nan]
    random = np.random.default_rng(5)
    left = np.concatenate(
        [np.repeat(special, len(special)), random.normal(size=3000), random.uniform(0, 1, 3000), random.uniform(0, 40, 3000)]
    )
    right = np.concatenate([np.tile(special, len(special)), random.normal(size=3000), random.uniform(-3, 3, 6000)])
    one, other = (np.asarray(f(left[None, :], right[None, :])) for f in (function, code))
    for name, a, b in zip(OPERATIONS, one, other, strict=True):
        # which of several NaN comes out is nobody's promise, and an integrator refuses them all
        same = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
        assert same.all(), (name, left[~same][:3], right[~same][:3], a[~same][:3], b[~same][:3])


@needs_compiler
def test_a_model_of_many_functions_gives_the_same_bits() -> None:
    model = ConcreteModel()
    model.time = ContinuousSet(bounds=(0, 3))
    model.x = Var(model.time, [1, 2], initialize=1.0)
    model.v = DerivativeVar(model.x, wrt=model.time)

    def law(m: Any, t: float, k: int) -> Any:
        a, b = m.x[t, 1], m.x[t, 2]
        if k == 1:
            return m.v[t, 1] == -(a**3) + sin(b) * exp(-(a**2)) + 0.3 * Expr_if(IF=b > a, THEN=sqrt(1 + b**2), ELSE=tanh(a))
        return m.v[t, 2] == cos(t) - abs(b) ** 1.7 + log(1 + a**2) + 0.01 * tan(0.1 * a)

    model.law = Constraint(model.time, [1, 2], rule=law)
    model.x[0, :].fix(0.7)
    check_same_bits(model, np.linspace(0, 3, 40), rtol=1e-9)


@needs_compiler
def test_values_are_not_part_of_the_code() -> None:
    model = decay()
    system = lower(model)
    for rate in (2.0, 3.0):
        model.k.value = rate
        run = simulate(system, [1.0], compilation=Compilation.ALWAYS)
        assert run.compiled
        assert run["x"][0] == pytest.approx(np.exp(-rate), rel=1e-6)


@needs_compiler
def test_another_equation_is_another_library(cache: Path) -> None:
    simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    assert len(list(cache.glob("*.so"))) == 1
    simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    assert len(list(cache.glob("*.so"))) == 1
    model = decay()
    del model.law
    model.law = Constraint(model.time, rule=lambda m, t: m.v[t] == -m.k * m.x[t] ** 2)
    assert simulate(model, [1.0], compilation=Compilation.ALWAYS)["x"][0] == pytest.approx(1 / 3, rel=1e-6)
    assert len(list(cache.glob("*.so"))) == 2
    assert not [entry for entry in cache.iterdir() if entry.suffix != ".so"]


# -- the policy -----------------------------------------------------------------------------------------------------


@needs_compiler
def test_a_system_is_compiled_once_it_was_interpreted_for_as_long_as_that_takes(cache: Path) -> None:
    system = lower(decay())
    assert not simulate(system, [1.0]).compiled
    assert not list(cache.glob("*.so"))
    code: CodeOfSegment = system.made(("segment", ()), lambda: None)
    assert 0 < code.code.spent < compiler_seconds(1)
    code.code.spent = 10.0
    assert simulate(system, [1.0]).compiled
    assert simulate(system, [1.0]).compiled
    assert not simulate(system, [1.0], compilation=Compilation.NEVER).compiled


@needs_compiler
def test_what_the_cache_holds_is_used_at_once() -> None:
    simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    assert simulate(decay(), [1.0]).compiled


@needs_compiler
def test_derivatives_are_the_same_bytes_compiled(cache: Path) -> None:
    system = lower(decay())
    found = [sensitivities(system, ["k"], ["x"], [0.5, 1.0], compilation=choice) for choice in (Compilation.NEVER, Compilation.ALWAYS)]
    assert found[0].array.tobytes() == found[1].array.tobytes()
    assert found[1]["x", "k"][-1] == pytest.approx(-np.exp(-2.0), rel=1e-6)
    assert len(list(cache.glob("*.so"))) == 2  # the run's own functions and those of the derivatives


# -- when it cannot be done -----------------------------------------------------------------------------------------


def check_it_runs_interpreted() -> None:
    run = simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    assert not run.compiled
    assert run["x"][0] == pytest.approx(np.exp(-2.0), rel=1e-6)


def test_without_a_compiler_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_it_runs_interpreted()


@pytest.mark.parametrize("body", ["exit 1", "kill -9 $$", "true"], ids=["refuses", "dies", "makes nothing"])
def test_a_compiler_that_fails_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path, body: str) -> None:
    compiler = tmp_path / "gcc"
    compiler.write_text(f"#!/bin/sh\n{body}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    check_it_runs_interpreted()
    assert not [entry for entry in cache.iterdir() if entry.suffix == ".so" or entry.name.startswith("build-")]


@pytest.mark.parametrize("word", ["off", "OFF", ""])
def test_the_cache_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, word)
    assert cache_folder() is None
    check_it_runs_interpreted()


def test_the_cache_is_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pharmaflowsheet" / "code"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the XDG base directory specification
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pharmaflowsheet" / "code"


def test_a_cache_that_cannot_be_made_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    check_it_runs_interpreted()


@needs_compiler
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text", "folder", "writable by others"])
def test_a_damaged_library_is_never_loaded(cache: Path, damage: str) -> None:
    simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    (library,) = cache.glob("*.so")
    data = library.read_bytes()
    library.unlink()
    if damage == "folder":
        library.mkdir()
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        texts = {"cut": data[:5000], "empty": b"", "flipped": flipped, "text": b"hello" * 99}
        library.write_bytes(texts.get(damage, data))
        library.chmod(0o777 if damage == "writable by others" else 0o700)
    run = simulate(decay(), [1.0])
    assert not run.compiled
    assert run["x"][0] == pytest.approx(np.exp(-2.0), rel=1e-6)
    again = simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    assert again.compiled == (damage != "folder")
    assert again["x"][0] == run["x"][0]


@needs_compiler
def test_what_is_unused_for_the_longest_time_leaves_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "MOST_FILES", 2)
    cache.mkdir(mode=0o700)
    for age in (10, 20, 30):
        file = cache / f"{hashlib.sha256(bytes([age])).hexdigest()}.so"
        file.write_bytes(b"")
        os.utime(file, (1e9 - age, 1e9 - age))
    simulate(decay(), [1.0], compilation=Compilation.ALWAYS)
    left = {file.stem for file in cache.glob("*.so")}
    assert len(left) == 2
    assert hashlib.sha256(bytes([10])).hexdigest() in left


# -- several at once ------------------------------------------------------------------------------------------------


@needs_compiler
def test_processes_may_compile_the_same_at_once(cache: Path) -> None:
    program = (
        "import sys, importlib.util as i; s = i.spec_from_file_location('this', sys.argv[1]); m = i.module_from_spec(s);"
        "s.loader.exec_module(m); r = m.simulate(m.decay(), [1.0], compilation=m.Compilation.ALWAYS); print(r.compiled, r['x'][0].hex())"
    )
    command = [sys.executable, "-c", program, __file__]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=120)[0] for process in running}
    assert len(answers) == 1
    assert answers.pop().startswith("True")
    assert [entry.suffix for entry in cache.iterdir()] == [".so"]


@needs_compiler
def test_threads_may_share_a_compiled_system() -> None:
    system = lower(build_model(HIRES))
    t = np.linspace(0, 300.0, 10)
    alone = bits(simulate(system, t, compilation=Compilation.NEVER))
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda _: simulate(system, t, compilation=Compilation.ALWAYS), range(8)))
    assert {bits(run) for run in runs} == {alone}
    assert runs[-1].compiled


@needs_compiler
def test_a_lock_held_by_another_does_not_hold_up_a_run_that_need_not_compile(cache: Path) -> None:
    functions = SegmentFunctions(lower(decay()), ())
    parts = [functions.slopes, functions.jacobian, functions.guards]
    compiler = compiled.compiler_path()
    assert compiler is not None
    cache.mkdir(mode=0o700)
    with open(cache / f"{compiled.content_key(parts, compiler)}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert find_code(parts, source=lambda: roll(parts).source) is None
    assert find_code(parts, source=lambda: roll(parts).source) is not None
