"""``python -m benchmarks``: all comparisons, as a table on stdout and as JSON."""

import os

# before NumPy and CasADi are loaded: one thread for every peer
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

from benchmarks.report import main  # noqa: E402 (after the environment)

if __name__ == "__main__":
    raise SystemExit(main())
