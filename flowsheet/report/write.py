"""Writing ``report.html``."""

from __future__ import annotations

from pathlib import Path

from flowsheet.atomic import write_atomically
from flowsheet.campaign_results import open_campaign
from flowsheet.results_layout import CAMPAIGN_FILE
from flowsheet.results_read import open_results


def write_report(results: str | Path, html: str | Path | None = None) -> Path:
    """Write the report of a run or of a campaign and return its path.

    Parameters
    ----------
    results : a results folder, the ``results.h5`` in it, or the folder of a campaign.
    html : where to write; ``report.html`` beside the results if not given.

    Raises
    ------
    UsageError : there are no results.
    InputDataError : the results are damaged or of another kind.
    OutputError : the report cannot be written; an older one is untouched.
    """
    # Matplotlib takes its time to load, and `flowsheet run` only needs it at the end
    from flowsheet.report.page import render

    source = Path(results)
    folder = source if source.is_dir() else source.parent
    target = folder / "report.html" if html is None else Path(html)
    if source.is_dir() and (source / CAMPAIGN_FILE).is_file():
        from flowsheet.report.campaign import render_campaign

        write_atomically(target, render_campaign(open_campaign(source)).encode())
        return target
    write_atomically(target, render(open_results(source)).encode())
    return target
