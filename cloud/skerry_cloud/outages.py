"""A database that does not answer, told as what it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from skerry_cloud import space
from skerry_contract.errors import DatabaseError

_REMEDY = "Try again; if it stays so, see whether PostgreSQL runs and what its log says."
_LOCK_TIMEOUT = "55P03"


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise NoSpaceError or DatabaseError for ``what`` if a full disk or an outage ends the block.

    An error of SQLite's that is not a full disk stays what it is.
    """
    try:
        with space.told(what):
            yield
    except (DBAPIError, NoConnectionError) as error:
        if is_outage(error):
            raise DatabaseError(f"{what}: {_first_line(error)}", remedy=_REMEDY) from error
        raise


def is_outage(error: Exception) -> bool:
    """Tell whether ``error`` says that PostgreSQL is away, ends, or has no turn for us."""
    if isinstance(error, NoConnectionError):
        return True
    if not isinstance(error, DBAPIError) or not _is_postgresql(error):
        return False
    # Class 57P is an operator's doing, 53 a lack of resources, 08 the connection itself.
    state = str(getattr(error.orig, "sqlstate", None) or "")
    return (
        error.connection_invalidated
        or state.startswith(("08", "53", "57P"))
        or state == _LOCK_TIMEOUT
        or (not state and isinstance(error, OperationalError))
    )


def _is_postgresql(error: DBAPIError) -> bool:
    return type(error.orig).__module__.startswith("psycopg")


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
