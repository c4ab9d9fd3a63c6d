"""Bring a database to the form that this server knows, whole or not at all.

Revisions (``migrations/versions``) are applied in one transaction, under the lock of writers: two
servers that start at once on one database do not meet in it. There is no way down: who wants an
older server back restores what was saved before, and of an SQLite file the server saves it itself.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, inspect, text

from skerry_cloud.durable import move_durably
from skerry_contract.errors import ConflictError

log = logging.getLogger(__name__)

FIRST = "0001"
"""The revision of databases from before there were any."""
_BEFORE_REVISIONS = 1
_HAS_REVISIONS = 2
"""What servers from before revisions find in ``counters``, and refuse."""


def upgrade(engine: Engine, to: str = "head") -> None:
    """Apply the revisions that ``engine``'s database does not have yet, up to ``to``.

    Raises:
        ConflictError: The database has a revision that this server does not know.
        OSError, DBAPIError: It could not be done; the database is as it was.
    """
    if engine.dialect.name == "sqlite":
        _save_before(engine, to)
    with engine.connect() as plain:
        connection = plain.execution_options(skerry_write=True)
        with _unchecked_keys(connection), connection.begin():
            _upgrade(connection, to)


def drift(connection: Connection, metadata: MetaData) -> list[Any]:
    """Return how the database differs from ``metadata``, as Alembic's operations."""
    found = compare_metadata(MigrationContext.configure(connection), metadata)
    return list(found)


def configuration(connection: Connection) -> Config:
    """Return the settings of Alembic's commands on ``connection``."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, to: str) -> None:
    config = configuration(connection)
    found = _revision(connection)
    _check_known(ScriptDirectory.from_config(config), found)
    if found is None and _is_from_before_revisions(connection):
        log.info("the database is from before revisions: it has the first")
        command.stamp(config, FIRST)
    command.upgrade(config, to)
    _mark(connection)
    if connection.dialect.name == "sqlite":
        _check_keys(connection)
    if found != (now := _revision(connection)):
        log.info("the database has revision %s now, and had %s", now, found or "none")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _check_known(scripts: ScriptDirectory, found: str | None) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise ConflictError(
            f"the database has revision {found}, this server knows up to {max(known)}",
            remedy="Start it with the version of Skerry that made the data, or a newer one.",
        )


def _is_from_before_revisions(connection: Connection) -> bool:
    if not inspect(connection).has_table("counters"):
        return False
    query = text("SELECT value FROM counters WHERE kind = 'schema' AND name = ''")
    found = connection.scalar(query)
    # A table without its number was made by a first start that the power ended.
    if found not in (None, _BEFORE_REVISIONS):
        raise ConflictError(
            f"the database has schema {found} and no revision, which no server of ours leaves",
            remedy="Restore it from a backup.",
        )
    return True


def _mark(connection: Connection) -> None:
    connection.execute(text("DELETE FROM counters WHERE kind = 'schema'"))
    row = {"value": _HAS_REVISIONS}
    query = text("INSERT INTO counters (kind, name, value) VALUES ('schema', '', :value)")
    connection.execute(query, row)


@contextmanager
def _unchecked_keys(connection: Connection) -> Iterator[None]:
    """Let SQLite's tables be made anew while others point to them; ``_check_keys`` follows."""
    if connection.dialect.name != "sqlite":
        yield
        return
    _pragma(connection, "foreign_keys = OFF")
    try:
        yield
    finally:
        _pragma(connection, "foreign_keys = ON")


def _pragma(connection: Connection, what: str) -> None:
    # Within a transaction it would change nothing.
    assert connection.connection.dbapi_connection is not None  # noqa: S101 (it is open)
    with closing(connection.connection.dbapi_connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA {what}")


def _check_keys(connection: Connection) -> None:
    broken = connection.execute(text("PRAGMA foreign_key_check")).first()
    if broken is not None:
        raise ConflictError(f"row {broken[1]} of {broken[0]} points to no row of {broken[2]}")


def _save_before(engine: Engine, to: str) -> None:
    """Copy an SQLite file that is about to be changed to ``FILE.before-REVISION``."""
    file = engine.url.database
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(configuration(connection))
        target = scripts.as_revision_number(to)
        found = _revision(connection)
        _check_known(scripts, found)
        if found is None and inspect(connection).has_table("counters"):
            found = FIRST
    if file is None or found is None or target is None or found == target:
        return
    saved = Path(f"{file}.before-{target}")
    part = Path(f"{saved}.part")
    part.unlink(missing_ok=True)
    # Not SQLAlchemy's: VACUUM runs outside of transactions only.
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(part),))
    part.chmod(0o600)
    move_durably(part, saved)
    log.info("the database is saved as %s before it is changed", saved)
