"""Compiled code for the functions of a system, kept in the user's cache folder by what it is made of.

The only module of solvers that starts a process (the C compiler) and writes files. Whatever goes wrong here, CasADi's virtual machine
does the work: compiled code is a matter of speed alone. Both give the same bytes: products and sums are not contracted, and the
functions of libm are called, never replaced by what the compiler knows of them (``pow(x, 2)`` as ``x*x`` may differ in the last bit).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

import casadi as ca

from solvers.integrator import Code, SegmentFunctions
from solvers.rolled import Rolled, roll

CACHE_VARIABLE = "PHARMAFLOWSHEET_CACHE"
"""Environment variable: the folder of the cache, or ``off`` for none, and so no compiled code."""
_LIBM = "acos acosh asin asinh atan atan2 atanh cos cosh erf exp expm1 fmax fmin fmod hypot log log10 log1p pow remainder sin sinh tan tanh"
FLAGS = (
    *("-O2", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-Wl,-Bsymbolic"),
    *(f"-fno-builtin-{name}" for name in _LIBM.split()),
)
LONGEST_COMPILATION = 600.0
"""Seconds after which the compiler is stopped."""
MOST_FILES = 500
"""As many libraries stay in the cache; those unused for the longest time go first."""
_DIGEST = hashlib.sha256().digest_size


class Compilation(Enum):
    """Whether a run calls compiled code; the numbers are the same bytes either way."""

    AUTO = "what is in the cache at once; compiled anew when a system has been interpreted for as long as that would take"
    NEVER = "the virtual machine always"
    ALWAYS = "compiled before the run if need be; without a compiler or a cache, the virtual machine"


@dataclass(eq=False)
class LazyCode:
    """Functions of a system and, once that pays, their compiled code; kept over all runs of the system."""

    parts: tuple[ca.Function, ...]
    """Scalar (SX) functions whose names differ."""
    compiled: tuple[ca.Function, ...] | None = None
    spent: float = 0.0
    """Seconds that compiled code would have saved so far."""
    next_attempt: float = 0.0
    """How much has to be spent before compiled code is asked for again."""

    def choose(self, compilation: Compilation) -> tuple[ca.Function, ...] | None:
        """Return the compiled functions if a run is to call them."""
        if compilation is Compilation.NEVER or not all(part.is_a("SXFunction") for part in self.parts):
            return None
        always = compilation is Compilation.ALWAYS
        if self.compiled is None and (always or self.spent >= self.next_attempt):
            builds = always or self._pays
            self.compiled = find_code(self.parts, source=(lambda: self._rolled.source) if builds else None, waits=always)
            # what fails, or is being compiled by another process, is tried again ever more rarely
            self.next_attempt = 2 * self.spent if builds else self._cost
        return self.compiled

    def ran(self, instructions: float) -> None:
        """Count instructions that the virtual machine has executed."""
        self.spent += instructions * SAVED_PER_INSTRUCTION

    @property
    def _pays(self) -> bool:
        """Whether as much has been spent as compiled code costs."""
        return self.spent >= self._cost_of_source and self.spent >= self._whole_cost

    @property
    def _cost(self) -> float:
        """Seconds that compiled code is known to cost: what gcc takes is known once the source has been written."""
        return self._whole_cost if "_rolled" in vars(self) else self._cost_of_source

    @property
    def _whole_cost(self) -> float:
        return self._cost_of_source + compiler_seconds(self._rolled.statements)

    @property
    def _cost_of_source(self) -> float:
        return SOURCE_PER_INSTRUCTION * sum(part.n_instructions() for part in self.parts)

    @cached_property
    def _rolled(self) -> Rolled:
        return roll(self.parts)


class CodeOfSegment:
    """The functions of a segment, interpreted and compiled."""

    def __init__(self, functions: SegmentFunctions) -> None:
        self.functions = functions
        self._compiled: SegmentFunctions | None = None

    @cached_property
    def code(self) -> LazyCode:
        """Slopes, Jacobian and guards."""
        return LazyCode((self.functions.slopes, self.functions.jacobian, self.functions.guards))

    def choose(self, compilation: Compilation) -> SegmentFunctions:
        """Return the functions that a run calls."""
        parts = self.code.choose(compilation)
        if parts is None:
            return self.functions
        if self._compiled is None:
            slopes, jacobian, guards = parts
            self._compiled = self.functions.with_code(Code(slopes, jacobian, guards, self.functions.layout))
        return self._compiled

    def ran(self, functions: SegmentFunctions, evaluations: int, jacobians: int) -> None:
        """Count what a run has spent, if it was interpreted."""
        if functions is self.functions and functions.system.joined is None:
            slopes, jacobian, _ = self.code.parts
            self.code.ran(evaluations * slopes.n_instructions() + jacobians * jacobian.n_instructions())


SAVED_PER_INSTRUCTION = 1.1e-9
"""Seconds that one instruction of the virtual machine takes longer than compiled (``benchmarks/speed.py``)."""
SOURCE_PER_INSTRUCTION = 5e-6
"""Seconds that writing C takes for one instruction of the virtual machine (``benchmarks/speed.py``)."""


def compiler_seconds(statements: int) -> float:
    """Return how long gcc takes for source of so many operations, as measured by ``benchmarks/speed.py``."""
    return 0.1 + 2e-4 * statements


def cache_folder() -> Path | None:
    """Return the folder of compiled code, whether it exists or not; None if the user wants no cache or has no home."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen is not None:
        return None if chosen.strip().lower() in ("", "off") else Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "pharmaflowsheet" / "code"
    except RuntimeError:
        return None


def compiler_path() -> str | None:
    """Return the C compiler, or None."""
    return shutil.which("gcc") or shutil.which("cc")


def find_code(
    functions: Sequence[ca.Function], *, source: Callable[[], str] | None = None, waits: bool = False
) -> tuple[ca.Function, ...] | None:
    """Return the functions as compiled code, or None.

    Parameters
    ----------
    functions : scalar (SX) functions; their names must differ.
    source : gives C source of the functions, to compile what is not in the cache; None to leave it.
    waits : whether to wait for another process that compiles the same; without, None is returned.
    """
    folder, compiler = cache_folder(), compiler_path()
    if folder is None or compiler is None:
        return None
    try:
        library = folder / f"{content_key(functions, compiler)}.so"
        found = _loaded(library, functions)
        if found is not None or source is None:
            return found
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_one(library.with_suffix(".lock"), waits) as mine:
            if not mine:
                return None
            found = _loaded(library, functions)  # another process may have been faster
            if found is None and _built(library, source(), compiler):
                _prune(folder)
                found = _loaded(library, functions)
            return found
    except (OSError, subprocess.SubprocessError):
        return None


def content_key(functions: Sequence[ca.Function], compiler: str) -> str:
    """Return a name for what the code depends on: the functions, the compiler (by its file), its flags, CasADi, the machine."""
    file = os.stat(compiler)
    content = hashlib.sha256()
    identity = (ca.__version__, platform.machine(), os.path.realpath(compiler), file.st_size, file.st_mtime_ns, *FLAGS)
    for part in (*map(str, identity), *(function.serialize() for function in functions)):
        content.update(f"{len(part)}:{part}".encode())
    return content.hexdigest()


def _loaded(library: Path, functions: Sequence[ca.Function]) -> tuple[ca.Function, ...] | None:
    """Return the functions of a library; None if there is none, or it is not whole, or somebody else could have written it.

    The last bytes are a digest of all before: a damaged library must not be loaded, for that may end the process.
    """
    try:
        with open(library, "rb") as file:
            state = os.fstat(file.fileno())
            if state.st_uid != os.getuid() or state.st_mode & 0o022:
                return None
            data = file.read()
    except FileNotFoundError:
        return None
    if len(data) <= _DIGEST or hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        return None
    with suppress(OSError):
        os.utime(library)
    try:
        return tuple(ca.external(function.name(), str(library)) for function in functions)
    except RuntimeError:
        return None


@contextmanager
def _only_one(lock: Path, waits: bool) -> Iterator[bool]:
    """Hold a lock among processes, which ends with the process; yield whether it is held."""
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
        with suppress(OSError):
            lock.unlink()


def _built(library: Path, text: str, compiler: str) -> bool:
    """Compile C source under a temporary name and rename; return whether that worked."""
    with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as place:
        written, product = Path(place) / "functions.c", Path(place) / "functions.so"
        written.write_text(text)
        command = [compiler, *FLAGS, "-o", str(product), str(written), "-lm"]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_COMPILATION, check=False)
        if result.returncode:
            return False
        data = product.read_bytes()
        with open(product, "ab") as file:
            file.write(hashlib.sha256(data).digest())
            file.flush()
            os.fsync(file.fileno())
        product.chmod(0o700)
        os.replace(product, library)
    return True


def _prune(folder: Path) -> None:
    """Remove the libraries that have not been used for the longest time."""
    libraries = sorted(folder.glob("*.so"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in libraries[MOST_FILES:]:
        with suppress(OSError):
            file.unlink()
