"""A disk that is full, told as what it is, whoever met it first."""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from skerry_contract.errors import NoSpaceError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REMEDY = "Free some space there, or delete models and modules: after an hour their bytes go."
SPARE_BYTES = 1024 * 1024
"""With less than this the server counts as not well."""

_SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_POSTGRES_FULL = "53100"


def is_full(error: BaseException) -> bool:
    """Tell whether ``error`` says that a disk, or the share of it that one may use, is full."""
    if isinstance(error, DBAPIError):
        cause = error.orig
        code = getattr(cause, "sqlite_errorcode", None)
        return code in _SQLITE_FULL or getattr(cause, "sqlstate", None) == _POSTGRES_FULL
    return isinstance(error, OSError) and error.errno in FULL


def no_space(what: str) -> NoSpaceError:
    """Return the error for ``what``, which the disk had no room for."""
    return NoSpaceError(f"the server's disk is full: {what}", remedy=REMEDY)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise NoSpaceError for ``what`` if the block fails because the disk is full."""
    try:
        yield
    except (OSError, DBAPIError) as error:
        if is_full(error):
            raise no_space(what) from error
        raise


def free_bytes(folder: Path) -> int:
    """Return how many bytes this process may still store on the disk of ``folder``."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def has_room(folder: Path) -> bool:
    """Tell whether ``SPARE_BYTES`` can be had in ``folder`` now; they are given back at once.

    Raises:
        OSError: The folder cannot be written at all.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            # Asking how much is free would pass over quotas, and what is kept for root.
            os.posix_fallocate(file.fileno(), 0, SPARE_BYTES)
        except OSError as error:
            if is_full(error):
                return False
            raise
    return True
