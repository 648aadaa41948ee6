"""Compiled code for the functions of a system, kept in the user's cache folder by what it is made of.

The only module of solvers that starts a process (the C compiler) and writes files. Whatever goes wrong here, CasADi's virtual machine
does the work: compiled code is a matter of speed alone. Both give the same bytes: products and sums are not contracted, and the
functions of libm are called, never replaced by what the compiler knows of them (``pow(x, 2)`` as ``x*x`` may differ in the last bit).
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import casadi as ca

from solvers.integrator import Code, SegmentFunctions

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
class CodeOfSegment:
    """What is known of the compiled code of a system's functions, over all runs of the system."""

    functions: SegmentFunctions
    compiled: SegmentFunctions | None = None
    spent: float = 0.0
    """Seconds that compiled code would have saved so far."""
    next_attempt: float = 0.0
    """How much has to be spent before compiled code is asked for again."""

    def choose(self, compilation: Compilation) -> SegmentFunctions:
        """Return the functions that a run calls."""
        if compilation is Compilation.NEVER or self.functions.system.joined is not None:
            return self.functions
        always = compilation is Compilation.ALWAYS
        if self.compiled is None and (always or self.spent >= self.next_attempt):
            cost = compilation_seconds(self._instructions)
            builds = always or self.spent >= cost
            code = find_code(self._parts, builds=builds, waits=always)
            # what fails, or is being compiled by another process, is tried again ever more rarely
            self.next_attempt = 2 * self.spent if builds else cost
            if code is not None:
                slopes, jacobian, guards = code
                self.compiled = self.functions.with_code(Code(slopes, jacobian, guards, self.functions.layout))
        return self.functions if self.compiled is None else self.compiled

    def ran(self, functions: SegmentFunctions, evaluations: int, jacobians: int) -> None:
        """Count what a run has spent, if it was interpreted."""
        if functions is self.functions and functions.system.joined is None:
            executed = evaluations * functions.slopes.n_instructions() + jacobians * functions.jacobian.n_instructions()
            self.spent += executed * SAVED_PER_INSTRUCTION

    @property
    def _parts(self) -> list[ca.Function]:
        return [self.functions.slopes, self.functions.jacobian, self.functions.guards]

    @property
    def _instructions(self) -> int:
        return sum(function.n_instructions() for function in self._parts)


SAVED_PER_INSTRUCTION = 1.1e-9
"""Seconds that one instruction of the virtual machine takes longer than compiled (``benchmarks/compilation.py``)."""


def compilation_seconds(instructions: int) -> float:
    """Return how long gcc takes for code of so many instructions, as measured by ``benchmarks/compilation.py``."""
    return 0.05 + 1.0e-4 * instructions + 2.2e-9 * instructions**2


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


def find_code(functions: Sequence[ca.Function], *, builds: bool, waits: bool) -> tuple[ca.Function, ...] | None:
    """Return the functions as compiled code, or None.

    Parameters
    ----------
    functions : scalar (SX) functions; their names must differ.
    builds : whether to compile what is not in the cache.
    waits : whether to wait for another process that compiles the same; without, None is returned.
    """
    folder, compiler = cache_folder(), compiler_path()
    if folder is None or compiler is None:
        return None
    try:
        library = folder / f"{content_key(functions, compiler)}.so"
        found = _loaded(library, functions)
        if found is not None or not builds:
            return found
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_one(library.with_suffix(".lock"), waits) as mine:
            if not mine:
                return None
            found = _loaded(library, functions)  # another process may have been faster
            if found is None and _built(library, functions, compiler):
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


def _built(library: Path, functions: Sequence[ca.Function], compiler: str) -> bool:
    """Compile under a temporary name and rename; return whether that worked."""
    generator = ca.CodeGenerator("functions.c")
    for function in functions:
        generator.add(function)
    with tempfile.TemporaryDirectory(prefix="build-", dir=library.parent) as place:
        source, product = Path(place) / "functions.c", Path(place) / "functions.so"
        source.write_text(_in_order(generator.dump()))
        command = [compiler, *FLAGS, "-o", str(product), str(source), "-lm"]
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


def _in_order(source: str) -> str:
    """Return generated C in which fmin and fmax choose between 0 and -0 as the virtual machine does.

    There the C++ compiler was free to exchange their arguments; which way it went is seen from what comes out.
    """
    x, y = ca.SX.sym("x"), ca.SX.sym("y")
    for name, operation in (("fmin", ca.fmin(x, y)), ("fmax", ca.fmax(x, y))):
        interpreted = float(ca.Function(name, [x, y], [operation])(0.0, -0.0))
        if math.copysign(1.0, interpreted) > 0:  # the first argument; glibc gives the second
            source = source.replace(f"return {name}(x, y);", f"return {name}(y, x);")
    return source


def _prune(folder: Path) -> None:
    """Remove the libraries that have not been used for the longest time."""
    libraries = sorted(folder.glob("*.so"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in libraries[MOST_FILES:]:
        with suppress(OSError):
            file.unlink()
