"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from solvers.errors import OutputError


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``: written beside it under a temporary name, flushed to the disk, then renamed.

    Whatever happens meanwhile, a reader finds the old file or the new one. The temporary file is removed on failure;
    only a killed process leaves it behind (a hidden file ending in ``.part``), and the next writer removes it.

    Raises
    ------
    OutputError : the folder is missing or read-only, or the disk is full; what stood at ``path`` is untouched.
    """
    try:
        _remove_abandoned(path)
        temporary, descriptor = _open_locked(path)
        try:
            _write_and_rename(descriptor, temporary, path, content)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path} ({len(content)} bytes): {reason}; what stood there before is untouched",
            names=[str(path)],
            hint="check free space and permissions, or write to another folder with --out",
        ) from error


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a hidden folder inside ``folder`` for files that belong together, to be moved by :func:`publish`; it is removed afterwards.

    Only for whoever holds the folder's lock: what a killed process left in it is removed first.

    Raises
    ------
    OutputError : it cannot be made.
    """
    stage = folder / ".new"
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir()
    except OSError as error:
        raise OutputError(f"the output folder {folder} cannot be written to: {error.strerror}", names=[str(folder)]) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def publish(stage: Path, folder: Path, names: Sequence[str], obsolete: Sequence[str]) -> None:
    """Move finished files to ``folder``, in this order, after removing what is ``obsolete`` with the old ones.

    Whenever it is killed, nothing old stands beside something new.

    Raises
    ------
    OutputError : a file cannot be removed or renamed.
    """
    try:
        for name in obsolete:
            (folder / name).unlink(missing_ok=True)
        # on the disk, too, nothing may come back beside the new file
        _sync(folder)
        for name in names:
            os.replace(stage / name, folder / name)
        _sync(folder)
    except OSError as error:
        raise OutputError(f"cannot replace the results in {folder}: {error.strerror}", names=[str(folder)]) from error


def _open_locked(path: Path) -> tuple[Path, int]:
    """Make a temporary file beside ``path`` and lock it for as long as it is open: the sign that its writer lives."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):
            # some network file systems know no locks; nothing is ever removed there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        # somebody took it for abandoned before it was locked
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of ``path`` whose writers were killed: those that nobody holds a lock on."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part")
    for other in [entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name)]:
        with suppress(OSError):
            descriptor = os.open(other, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                other.unlink()
            finally:
                os.close(descriptor)


def _write_and_rename(descriptor: int, temporary: Path, path: Path, content: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
        os.replace(temporary, path)
    # the rename itself is only on the disk once the folder is
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
