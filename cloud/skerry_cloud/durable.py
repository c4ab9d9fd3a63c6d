"""Files that are there as a whole after a power cut, or as they were before."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``: written beside it, synced, renamed, and the folder synced.

    Raises:
        OSError: It could not be written; what stood there before still does.
    """
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(beside).unlink()
        raise
    _sync(path.parent)


def move_durably(source: Path, target: Path) -> None:
    """Make the finished file ``source`` be ``target``, in the same folder, power cut or not.

    Raises:
        OSError: It could not be done.
    """
    _sync(source)
    source.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
