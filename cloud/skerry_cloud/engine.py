"""Connections to the two databases that the server knows, so that both behave alike.

Either way there is one writer at a time: SQLite has it so, and on PostgreSQL each transaction that
writes first takes one advisory lock, which every server on that database takes. So nothing that
reads, decides and then writes can be overtaken, and no transaction fails for another's sake.
Readers see one moment, and wait for nobody.
"""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from skerry_contract.errors import ContractError

WAIT_S = 30
"""Longest that a writer waits for the others."""
CONNECT_S = 10
_MOST_CONNECTIONS = 40
"""As many as the API has threads, so that none waits for a connection."""
_WRITER = 0x736B65727279_01
"""Key of PostgreSQL's advisory lock of writers: "skerry", 1."""


def make_engine(url: str | URL) -> Engine:
    """Return connections to the database at ``url``; none is made yet.

    Raises:
        ContractError: It is no address of SQLite or PostgreSQL.
    """
    found = read_url(url)
    if found.get_backend_name() == "sqlite":
        engine = create_engine(found)
        _prepare_sqlite(engine)
        return engine
    try:
        engine = create_engine(
            found.set(drivername="postgresql+psycopg"),
            # A connection that broke while it was idle costs nobody an error.
            pool_pre_ping=True,
            pool_size=5,
            max_overflow=_MOST_CONNECTIONS - 5,
            connect_args=_postgresql_arguments(),
        )
    except ModuleNotFoundError as error:
        raise ContractError(
            "the driver of PostgreSQL is not installed",
            ("database",),
            subject="settings",
            remedy="Run pip install 'skerry[postgresql]'.",
        ) from error
    _prepare_postgresql(engine)
    return engine


def read_url(url: str | URL) -> URL:
    """Return the parts of ``url``.

    Raises:
        ContractError: It is no address of SQLite or PostgreSQL.
    """
    try:
        found = make_url(url)
        backend = found.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
        found = URL.create("none")
    if backend not in ("sqlite", "postgresql"):
        # Its text may hold a password, so it is not repeated.
        raise ContractError(
            "is no address of a database",
            ("database",),
            subject="settings",
            remedy="Write postgresql://USER@HOST/NAME, or leave it out for SQLite.",
        )
    return found


def _postgresql_arguments() -> dict[str, Any]:
    return {
        "connect_timeout": CONNECT_S,
        "application_name": "skerry",
        "options": f"-c lock_timeout={WAIT_S}s -c idle_in_transaction_session_timeout={WAIT_S}s",
        # A peer that is gone without a word is noticed within a minute.
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("skerry_write"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # We begin transactions ourselves, below.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {WAIT_S * 1000}",
            "journal_mode = WAL",
            # Devices forget what is acknowledged, so a commit must survive a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not wait for another's write.
        writes = connection.get_execution_options().get("skerry_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
