"""Write small files so that a power cut leaves the old content or the new, never a part."""

import os
from contextlib import suppress
from pathlib import Path

from skerry_contract.errors import NoSpaceError


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by ``data``, and return when it is on the disk.

    Raises:
        NoSpaceError: The disk is full; the old content stands.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise NoSpaceError(
            f"{path}: {error.strerror}", remedy="Free some space, or see whether the disk is sound."
        ) from error


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on the disk: renames in it survive a power cut after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
