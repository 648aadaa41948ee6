"""Flowsheets of pharmaceutical manufacturing: cases, runs, results and reports.

The names are loaded when they are first used, so that the command line answers ``--help`` at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowsheet.campaign import Campaign, Charge, StageSpec
    from flowsheet.campaign_load import load_campaign
    from flowsheet.campaign_results import open_campaign
    from flowsheet.campaign_run import run_campaign
    from flowsheet.case_load import load_case
    from flowsheet.flowsheet import Flowsheet
    from flowsheet.results_read import open_results
    from flowsheet.run import run_case

__all__ = [
    "Campaign",
    "Charge",
    "Flowsheet",
    "StageSpec",
    "load_campaign",
    "load_case",
    "open_campaign",
    "open_results",
    "run_campaign",
    "run_case",
]

_HOMES = {
    "Campaign": "flowsheet.campaign",
    "Charge": "flowsheet.campaign",
    "Flowsheet": "flowsheet.flowsheet",
    "StageSpec": "flowsheet.campaign",
    "load_campaign": "flowsheet.campaign_load",
    "load_case": "flowsheet.case_load",
    "open_campaign": "flowsheet.campaign_results",
    "open_results": "flowsheet.results_read",
    "run_campaign": "flowsheet.campaign_run",
    "run_case": "flowsheet.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
