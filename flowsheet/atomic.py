"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from solvers.errors import OutputError


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``: written beside it under a temporary name, flushed to the disk, then renamed.

    Whatever happens meanwhile, a reader finds the old file or the new one. The temporary file is removed on failure;
    only a killed process leaves it behind (a hidden file ending in ``.part``).

    Raises
    ------
    OutputError : the folder is missing or read-only, or the disk is full; what stood at ``path`` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        _write_and_rename(temporary, path, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path} ({len(content)} bytes): {reason}; what stood there before is untouched",
            names=[str(path)],
            hint="check free space and permissions, or write to another folder with --out",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_and_rename(temporary: Path, path: Path, content: bytes) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    # the rename itself is only on the disk once the folder is
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
