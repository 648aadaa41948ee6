"""Progress on stderr: one line that changes, and only where somebody watches."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.status import Status


class Progress:
    """Says which stage a run is in; silent when asked to be or when stderr is not a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._status: Status | None = None
        self._console = None if quiet or not sys.stderr.isatty() else Console(stderr=True)

    def start(self, phase: str) -> None:
        """Show what goes on now."""
        if self._console is None:
            return
        if self._status is None:
            self._status = self._console.status(phase)
            self._status.start()
        self._status.update(phase)

    def stop(self) -> None:
        """Remove the line."""
        if self._status is not None:
            self._status.stop()
            self._status = None
