"""Tables, and the two ways to use them: ``read`` and ``write``.

Plain SQL through SQLAlchemy's Core, in SQLite by default and PostgreSQL where so configured
(``engine``). A change of a table is a revision (``migrations``). Times are seconds since 1970.
Numbers that must never be given out twice (versions) come from ``counters``, which outlive what
they counted.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import postgresql, sqlite

from skerry_cloud import migration, outages
from skerry_cloud.engine import make_engine

metadata = MetaData()
_Serial = BigInteger().with_variant(Integer, "sqlite")
_Name = String(63)
_ModelName = String(255)
_Digest = String(71)

counters = Table(
    "counters",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("name", _ModelName, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("description", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("framework", Text, nullable=False),
    Column("framework_version", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("created_by", String(255), nullable=False, server_default=""),
    Column("digest", _Digest, nullable=False, server_default="", index=True),
    Column("archived", Double),
    Column("parent", String(265), nullable=False, server_default="", index=True),
    # What is read and written as a whole: run, experiment, samples, resources, data sets.
    Column("more", JSON, nullable=False, server_default="{}"),
    # What the formats of its files say; see skerry_cloud.formats.
    Column("findings", JSON, nullable=False, server_default="[]"),
)
model_files = Table(
    "model_files",
    metadata,
    Column("model", _ModelName, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("digest", _Digest, nullable=False),
    Column("size", BigInteger, nullable=False),
    ForeignKeyConstraint(["model", "version"], ["models.name", "models.version"]),
)

modules = Table(
    "modules",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("entry_script", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("created", Double, nullable=False),
)
module_models = Table(
    "module_models",
    metadata,
    Column("module", _Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("model", _ModelName, nullable=False),
    Column("model_version", Integer, nullable=False),
    ForeignKeyConstraint(["module", "version"], ["modules.name", "modules.version"]),
    # What keeps a model from being deleted under a module, whoever asks first.
    ForeignKeyConstraint(["model", "model_version"], ["models.name", "models.version"]),
)
module_images = Table(
    "module_images",
    metadata,
    Column("module", _Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("platform", String(63), primary_key=True),
    Column("digest", _Digest, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("layers", JSON, nullable=False),
    Column("checked", String(16), nullable=False, server_default="unknown"),
    ForeignKeyConstraint(["module", "version"], ["modules.name", "modules.version"]),
)

builds = Table(
    "builds",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("module", _Name, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("order", JSON, nullable=False),
    Column("error", JSON),
    Column("created", Double, nullable=False),
    Column("finished", Double),
)
build_lines = Table(
    "build_lines",
    metadata,
    Column("build", ForeignKey("builds.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("text", Text, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("id", _Name, primary_key=True),
    Column("tags", JSON, nullable=False),
    Column("token_hash", String(64), unique=True),
    Column("created", Double, nullable=False),
    Column("error", JSON),
)
removed_devices = Table(
    # Their retained messages are cleared again whenever a broker comes back.
    "removed_devices",
    metadata,
    Column("id", _Name, primary_key=True),
)
device_messages = Table(
    "device_messages",
    metadata,
    Column("device", ForeignKey("devices.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("body", JSON, nullable=False),
    Column("received", Double, nullable=False),
)
device_desired = Table(
    "device_desired",
    metadata,
    Column("device", ForeignKey("devices.id"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("deployment", String(80), nullable=False),
    Column("platform", String(63), nullable=False),
    Column("document", Text, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("push", BigInteger, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("created", Double, nullable=False),
)
deployment_devices = Table(
    "deployment_devices",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("device", ForeignKey("devices.id"), primary_key=True, index=True),
    ForeignKeyConstraint(["name", "version"], ["deployments.name", "deployments.version"]),
)
deployment_modules = Table(
    "deployment_modules",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("module", _Name, primary_key=True),
    Column("module_version", Integer, primary_key=True),
    ForeignKeyConstraint(["name", "version"], ["deployments.name", "deployments.version"]),
    ForeignKeyConstraint(["module", "module_version"], ["modules.name", "modules.version"]),
)

telemetry = Table(
    "telemetry",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("device", _Name, nullable=False),
    Column("boot", String(32), nullable=False),
    Column("stream", String(127), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("ts", String(40), nullable=False),
    Column("hist", Boolean, nullable=False),
    Column("data", Text, nullable=False),
    Column("received", Double, nullable=False),
    Index("telemetry_once", "device", "boot", "stream", "seq", unique=True),
    Index("telemetry_by_stream", "device", "stream", "id"),
    # An id is a cursor that people hold: the newest row's must not come again after it is gone.
    sqlite_autoincrement=True,
)
positions = Table(
    "positions",
    metadata,
    Column("device", ForeignKey("devices.id"), primary_key=True),
    Column("boot", String(32), primary_key=True),
    Column("stream", String(127), primary_key=True),
    Column("through", BigInteger, nullable=False),
    Column("above", JSON, nullable=False),
    Column("lost", BigInteger, nullable=False),
    Column("updated", Double, nullable=False),
)
# When blobs of a bucket were last used; those of a folder have it in their files' times.
blob_uses = Table(
    "blob_uses",
    metadata,
    Column("digest", _Digest, primary_key=True),
    Column("used", Double, nullable=False, index=True),
)

gaps = Table(
    "gaps",
    metadata,
    Column("device", ForeignKey("devices.id"), primary_key=True),
    Column("boot", String(32), primary_key=True),
    Column("stream", String(127), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("noticed", Double, nullable=False, index=True),
)

commands = Table(
    "commands",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("device", ForeignKey("devices.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("type", _Name, nullable=False),
    Column("args", JSON, nullable=False),
    Column("issued", Double, nullable=False),
    Column("issued_by", String(255), nullable=False),
    Column("deadline", Double, nullable=False),
    Column("request", Text, nullable=False),
    # What the device said last; "issued" before it said anything.
    Column("state", String(16), nullable=False, index=True),
    Column("step", BigInteger, nullable=False),
    Column("ts", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("failure", JSON),
    Column("result", JSON),
    Column("bundle", _Digest),
    Column("revision", BigInteger, nullable=False),
    Index("commands_by_device", "device", "number", unique=True),
)
command_lines = Table(
    "command_lines",
    metadata,
    Column("command", ForeignKey("commands.id"), primary_key=True),
    Column("n", BigInteger, primary_key=True),
    Column("text", Text, nullable=False),
)


class Database:
    """One database; its methods may be called from any thread.

    Args:
        url: SQLAlchemy URL, of SQLite or PostgreSQL.

    Raises:
        ConflictError: A newer server wrote it.
        ContractError: The URL is none of those.
        DatabaseError: It does not answer.
    """

    def __init__(self, url: str | URL) -> None:
        self._engine = make_engine(url)
        # There is one writer at a time anyway; here they queue, each without a connection.
        self._writing = threading.Lock()
        try:
            with outages.told("the database cannot be opened"):
                migration.upgrade(self._engine)
        except BaseException:
            self.close()
            raise

    @classmethod
    def in_file(cls, path: Path) -> "Database":
        """Open the SQLite database in ``path``, making it if it is not there."""
        path.touch(mode=0o600)
        return cls(f"sqlite:///{path}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a view of one moment.

        Raises:
            NoSpaceError: The disk is full.
            DatabaseError: It does not answer.
        """
        with (
            outages.told("the database cannot be read"),
            self._engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction: all of it is on disk when the block ends well, else nothing.

        Raises:
            NoSpaceError: The disk is full.
            DatabaseError: It does not answer; the text says if all may be stored in spite of that.
        """
        with (
            outages.told("the database cannot be written"),
            self._writing,
            self._engine.connect() as plain,
        ):
            connection = plain.execution_options(skerry_write=True)
            with connection.begin() as transaction:
                yield connection
                with outages.told("the database may have stored it, or not"):
                    transaction.commit()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def next_number(connection: Connection, kind: str, name: str) -> int:
    """Count one up and return the new value; the first is 1, and none comes twice."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    counted = (
        dialect.insert(counters)
        .values(kind=kind, name=name, value=1)
        .on_conflict_do_update(
            index_elements=["kind", "name"], set_={"value": counters.c.value + 1}
        )
        .returning(counters.c.value)
    )
    return int(connection.execute(counted).scalar_one())


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows``, passing over those whose key exists already."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def put(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert ``row``, or replace the one with its primary key."""
    keys = [column.name for column in table.primary_key]
    rest = {name: value for name, value in row.items() if name not in keys}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(table).on_conflict_do_update(index_elements=keys, set_=rest), [row]
    )
