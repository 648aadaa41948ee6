"""The folder that a run writes to: checked before the solve, made, locked, and taken away again if nothing was put into it."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from solvers.errors import OutputError

LOCK = ".lock"


def check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder for results that cannot be written to, or that holds something and is not to be replaced.

    Raises
    ------
    OutputError : with the reason.
    """
    text = str(folder)
    if "\0" in text:
        raise OutputError("the output folder's name holds a NUL character")
    try:
        if folder.exists():
            if not folder.is_dir():
                raise OutputError(f"the output {text} is a file", names=[text], hint="name a folder")
            _check_contents(folder, force=force)
            _probe(folder)
        else:
            parent = next(parent for parent in folder.absolute().parents if parent.exists())
            if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
                raise OutputError(f"the output folder {text} cannot be made: no permission to write in {parent}", names=[text])
    except OSError as error:
        raise OutputError(f"the output folder {text[:200]} cannot be used: {error.strerror}", names=[text[:200]]) from error


def _check_contents(folder: Path, *, force: bool) -> None:
    # a lock alone is no result: whether a run holds it shows when it is taken
    if not force and any(entry.name != LOCK for entry in folder.iterdir()):
        raise OutputError(
            f"the output folder {folder} exists and is not empty",
            names=[str(folder)],
            hint="--force replaces results, --out names another folder",
        )


@contextmanager
def made_folder(folder: Path, *, force: bool = False) -> Iterator[None]:
    """Make a folder for results and hold its lock for the time of a run; afterwards what was made is removed as far as it is empty.

    Nothing but empty folders and the lock is ever removed: another run may be at work beside it. The lock is the
    system's (``flock`` on a hidden file): that of a killed run is free at once, whatever it left behind.

    Raises
    ------
    OutputError : it cannot be made or written to, another run holds it, or it was filled since it was checked.
    """
    made = make_folder(folder)
    try:
        with _locked(folder):
            _check_contents(folder, force=force)
            yield
    finally:
        _remove_empty(made)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        descriptor = _take_lock(folder)
    except OSError as error:
        raise OutputError(f"the output folder {folder} cannot be locked: {error.strerror}", names=[str(folder)]) from error
    try:
        yield
    finally:
        # as long as it is held, nobody else takes it for free
        with suppress(OSError):
            if _is_at(folder / LOCK, descriptor):
                os.unlink(folder / LOCK)
        os.close(descriptor)


def _take_lock(folder: Path) -> int:
    """Return the descriptor of the folder's lock, held until it is closed, with the holder's name in the file."""
    while True:
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            # a run that failed took away the folder that it had made
            make_folder(folder)
            continue
        held = False
        try:
            _lock_or_refuse(folder, descriptor)
            if _is_at(folder / LOCK, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"pid {os.getpid()} on {platform.node()}\n".encode(), 0)
                held = True
                return descriptor
        finally:
            # not held: refused, or its holder removed it between our opening and our locking it
            if not held:
                os.close(descriptor)


def _lock_or_refuse(folder: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 300, 0).decode(errors="replace").strip() or "not yet named"
        raise OutputError(
            f"another run writes to the output folder {folder} ({holder})",
            names=[str(folder)],
            hint="wait for it to end, or name another folder with --out",
        ) from error
    except OSError as error:
        # some network file systems know no locks; each file is written atomically even there
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def _is_at(path: Path, descriptor: int) -> bool:
    """Tell whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def make_folder(folder: Path) -> tuple[Path, ...]:
    """Make a folder for results, prove that it can be written to, and return its new parts, the deepest first.

    Raises
    ------
    OutputError : it cannot be made or written to.
    """
    missing = [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _probe(folder)
    except OSError as error:
        raise OutputError(f"the output folder {folder} cannot be written to: {error.strerror}", names=[str(folder)]) from error
    return tuple(missing)


def _remove_empty(folders: tuple[Path, ...]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            # it holds something, or somebody else removed it: what is above it is not ours to touch
            return


def _probe(folder: Path) -> None:
    """Write a byte into a file that vanishes at once."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
        file.flush()
