"""The report of a run: one HTML file that opens anywhere, with nothing to load from elsewhere."""

from flowsheet.report.write import write_report

__all__ = ["write_report"]
