"""CasADi functions for callers in Python: compiled by gcc where asked, called through a buffer without copies of lists."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import casadi as ca
import numpy as np

CACHE = Path(__file__).parent / "results" / "compiled"
FLAGS = ("-O1", "-shared", "-fPIC", "-ffp-contract=off")
"""-O1: on unrolled code of this size -O2 gains little and costs gcc much."""


class Compiled:
    """A CasADi function of ``(t, x, u)`` with one output; returns the output's non-zeros as a new array."""

    def __init__(self, function: ca.Function, *, compile_c: bool) -> None:
        self.function = _compiled(function) if compile_c else function
        self._buffer, self._evaluate = self.function.buffer()
        self._time = np.zeros(1)
        self._state = np.zeros(function.numel_in(1))
        self._input = np.zeros(max(function.numel_in(2), 1))
        self._result = np.zeros(function.nnz_out(0))
        for k, array in enumerate((self._time, self._state, self._input)):
            self._buffer.set_arg(k, memoryview(array))
        self._buffer.set_res(0, memoryview(self._result))

    def __call__(self, t: float, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Return the non-zeros of the output at ``(t, x, u)``."""
        self._time[0] = t
        self._state[:] = x
        self._input[: len(u)] = u
        self._evaluate()
        return self._result.copy()


def _compiled(function: ca.Function) -> ca.Function:
    """Return the function from a shared library, built once for each content of its C source."""
    CACHE.mkdir(parents=True, exist_ok=True)
    generator = ca.CodeGenerator("function.c")
    generator.add(function)
    source = generator.dump()
    stem = CACHE / hashlib.sha256((source + " ".join(FLAGS)).encode()).hexdigest()[:24]
    library = stem.with_suffix(".so")
    if not library.exists():
        stem.with_suffix(".c").write_text(source)
        subprocess.run(["gcc", *FLAGS, "-o", str(library), str(stem.with_suffix(".c")), "-lm"], check=True)
    return ca.external(function.name(), str(library))
