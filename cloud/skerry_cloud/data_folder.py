"""The data folder: where a server keeps everything, and one server at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry_contract.errors import ConflictError


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Make the data folder if need be, and hold it for this process.

    Raises:
        ConflictError: Another server has it, or it cannot be made or written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConflictError(
            f"{data} cannot be used: {error.strerror}", remedy="Choose another with --data."
        ) from error
    try:
        _lock(handle, data)
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _lock(handle: int, data: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        raise ConflictError(
            f"{data} is in use by the server with process id {holder or 'unknown'}",
            remedy="Stop that one, or choose another folder with --data.",
        ) from None
