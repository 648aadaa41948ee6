"""Flowsheets of pharmaceutical manufacturing: cases, runs, results and reports.

The names are loaded when they are first used, so that the command line answers ``--help`` at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowsheet.case_load import load_case
    from flowsheet.flowsheet import Flowsheet
    from flowsheet.results_read import open_results
    from flowsheet.run import run_case

__all__ = ["Flowsheet", "load_case", "open_results", "run_case"]

_HOMES = {
    "Flowsheet": "flowsheet.flowsheet",
    "load_case": "flowsheet.case_load",
    "open_results": "flowsheet.results_read",
    "run_case": "flowsheet.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
