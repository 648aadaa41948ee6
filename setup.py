"""Builds the compiled kernels; everything else about the package stands in pyproject.toml.

A kernel is a Cython file ``csrc/NAME.pyx``. C sources ``csrc/STEM.c`` and ``csrc/STEM_*.c``, where STEM is NAME without leading
underscores, are compiled into it. What a kernel needs beyond that stands in ``EXTRA``.
"""

from pathlib import Path
from typing import Any

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

# Results have to be the same bytes from run to run and compiler to compiler: no fused operations, no reordering.
COMPILE_FLAGS = ["-O3", "-ffp-contract=off", "-std=c11", "-fno-math-errno"]
# kernel name -> further arguments of setuptools.Extension, such as {"libraries": ["m"]}
EXTRA: dict[str, dict[str, Any]] = {
    "_integrator": {"sources": ["csrc/radau.c"], "depends": ["csrc/radau.h", "csrc/vectors.h"]},
    "_population_balance": {
        "sources": ["csrc/seats.c", "csrc/tracers.c", "csrc/two_components.c"],
        "depends": ["csrc/seats.h", "csrc/vectors.h", "csrc/tracers.h", "csrc/two_components.h"],
    },
}


def extension(pyx: Path) -> Extension:
    """Describe the extension module made from one Cython file and the C sources that go with it."""
    stem = pyx.stem.lstrip("_")
    own = sorted(pyx.parent.glob(f"{stem}.c")) + sorted(pyx.parent.glob(f"{stem}_*.c"))
    headers = sorted(pyx.parent.glob(f"{stem}.h")) + sorted(pyx.parent.glob(f"{stem}_*.h"))
    arguments: dict[str, Any] = {
        "sources": [pyx.as_posix(), *(path.as_posix() for path in own)],
        "depends": [path.as_posix() for path in headers],
        "include_dirs": [pyx.parent.as_posix(), numpy.get_include()],
        "define_macros": [("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        "extra_compile_args": COMPILE_FLAGS,
    }
    for key, value in EXTRA.get(pyx.stem, {}).items():
        arguments[key] = [*arguments.get(key, []), *value]
    return Extension(f"csrc.{pyx.stem}", **arguments)


setup(
    ext_modules=cythonize(
        [extension(pyx) for pyx in sorted(Path("csrc").glob("*.pyx"))],
        build_dir="build/cython",  # generated C stays out of csrc/, where the C is written by hand
        language_level=3,
    )
)
