"""Files that survive a power cut: each is there as a whole, or not at all.

Write beside, sync, rename, sync the folder; the rename is the moment at which the new one counts.
"""

import os
from contextlib import suppress
from pathlib import Path

_BESIDE = ".new"


def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` by a file that holds ``data``.

    Raises:
        OSError: The disk refused; ``path`` is as it was before.
    """
    beside = path.with_name(path.name + _BESIDE)
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def move(source: Path, target: Path) -> None:
    """Rename ``source``, which must be synced already, over ``target`` in the same file system.

    Raises:
        OSError: The disk refused, or ``target`` is a folder with something in it.
    """
    source.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that names made, renamed or removed in ``folder`` stay so.

    Raises:
        OSError: The disk refused.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
