"""A trace from its case to the files of a folder."""

from __future__ import annotations

import json
from pathlib import Path

from flowsheet.atomic import publish, staging
from flowsheet.case import Case
from flowsheet.folders import check_folder, made_folder
from flowsheet.trace.output import trace_json
from flowsheet.trace.run import OnPhase, Trace, trace_case

DATA_FILE, REPORT_FILE = "trace.json", "trace.html"


def perform_trace(
    case: Case, out: Path | None = None, *, force: bool = False, on_phase: OnPhase = lambda phase: None
) -> tuple[Trace, Path | None]:
    """Trace a case and write ``trace.json`` and ``trace.html``; return the trace, and the path of the report if a folder is named.

    Raises
    ------
    OutputError : the folder cannot be written to or holds something already; known before anything is simulated.
    CaseErrors, StructureError, SimulationError : as of :func:`flowsheet.trace.trace_case`; nothing is written then.
    """
    if out is None:
        return trace_case(case, on_phase), None
    check_folder(out, force=force)
    with made_folder(out, force=force):
        trace = trace_case(case, on_phase)
        on_phase("writing the report")
        # Matplotlib takes its time to load
        from flowsheet.trace.report import render

        with staging(out) as stage:
            (stage / DATA_FILE).write_text(json.dumps(trace_json(trace), ensure_ascii=False) + "\n", encoding="utf-8")
            (stage / REPORT_FILE).write_text(render(trace), encoding="utf-8")
            publish(stage, out, names=(DATA_FILE, REPORT_FILE), obsolete=(REPORT_FILE,))
    return trace, out / REPORT_FILE
