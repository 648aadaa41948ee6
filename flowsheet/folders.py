"""The folder that a run writes to: checked before the solve, made, and taken away again if nothing was put into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from solvers.errors import OutputError


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
            if not force and any(folder.iterdir()):
                raise OutputError(
                    f"the output folder {text} exists and is not empty",
                    names=[text],
                    hint="--force replaces results, --out names another folder",
                )
            _probe(folder)
        else:
            parent = next(parent for parent in folder.absolute().parents if parent.exists())
            if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
                raise OutputError(f"the output folder {text} cannot be made: no permission to write in {parent}", names=[text])
    except OSError as error:
        raise OutputError(f"the output folder {text[:200]} cannot be used: {error.strerror}", names=[text[:200]]) from error


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder for results for the time of a run; afterwards what was made is removed as far as it is empty.

    Nothing but empty folders is ever removed: another run may be at work in the same folder or beside it.

    Raises
    ------
    OutputError : it cannot be made or written to.
    """
    made = make_folder(folder)
    try:
        yield
    finally:
        _remove_empty(made)


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
