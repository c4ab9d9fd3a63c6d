"""A database of any age becomes what this server works with, whole or not at all."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text

from skerry_cloud import migration
from skerry_cloud.database import Database, counters, metadata, models, next_number, telemetry
from skerry_cloud.engine import make_engine
from skerry_contract.errors import ConflictError

pytestmark = pytest.mark.integration

SCHEMA_1 = Path(__file__).parents[2] / "support" / "schema_1.sql"
"""What the last server before revisions made, with a few rows."""


def head(engine: Engine) -> str:
    with engine.connect() as connection:
        scripts = ScriptDirectory.from_config(migration.configuration(connection))
    found = scripts.get_current_head()
    assert found is not None
    return found


def revision(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def write_schema_1(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA_1.read_text())


def test_the_revisions_make_what_the_code_expects(database_url: str) -> None:
    engine = make_engine(database_url)
    migration.upgrade(engine)
    with engine.connect() as connection:
        # Add a revision with scripts/revision if this shows a change of yours.
        assert migration.drift(connection, metadata) == []
    assert revision(engine) == head(engine)
    engine.dispose()


def test_a_database_from_before_revisions_is_adopted_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "skerry.db"
    write_schema_1(path)
    database = Database.in_file(path)
    with database.read() as connection:
        assert connection.scalar(select(models.c.tags)) == {"site": "lisbon"}
        assert connection.scalar(select(telemetry.c.device)) == "cam"
        assert migration.drift(connection, metadata) == []
        assert connection.scalar(select(counters.c.value).where(counters.c.kind == "schema")) == 2
    with database.write() as connection:
        assert next_number(connection, "model", "face") == 2
    database.close()
    engine = make_engine(f"sqlite:///{path}")
    assert revision(engine) == head(engine)
    engine.dispose()


def test_the_first_revision_makes_what_the_last_server_before_it_made(tmp_path: Path) -> None:
    old, new = (make_engine(f"sqlite:///{tmp_path / name}") for name in ("old.db", "new.db"))
    write_schema_1(tmp_path / "old.db")
    migration.upgrade(new, to=migration.FIRST)
    inspected = inspect(old), inspect(new)
    names = [set(found.get_table_names()) - {"alembic_version"} for found in inspected]
    assert names[0] == names[1]
    for name in names[0]:
        columns = [[str(column) for column in one.get_columns(name)] for one in inspected]
        assert columns[0] == columns[1]
        keys = [sorted(map(str, one.get_foreign_keys(name))) for one in inspected]
        assert keys[0] == keys[1]
        indexes = [sorted(map(str, one.get_indexes(name))) for one in inspected]
        assert indexes[0] == indexes[1]
    old.dispose()
    new.dispose()


def test_images_from_before_it_was_kept_are_not_said_to_be_checked(database_url: str) -> None:
    engine = make_engine(database_url)
    migration.upgrade(engine, to="0002")
    with engine.connect() as plain:
        connection = plain.execution_options(skerry_write=True)
        with connection.begin():
            module = "INSERT INTO modules (name, version, entry_script, environment, created)"
            connection.execute(text(f"{module} VALUES ('m', 1, 'score.py', '', 0)"))
            image = "INSERT INTO module_images (module, version, platform, digest, size, layers)"
            connection.execute(text(f"{image} VALUES ('m', 1, 'linux/amd64', 'd', 1, '[]')"))
    migration.upgrade(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT checked FROM module_images")) == "unknown"
    engine.dispose()


def test_a_database_of_a_newer_server_is_left_alone(database_url: str) -> None:
    engine = make_engine(database_url)
    migration.upgrade(engine)
    with engine.connect() as plain:
        connection = plain.execution_options(skerry_write=True)
        with connection.begin():
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConflictError, match="revision 9999"):
        Database(database_url)
    assert revision(engine) == "9999"
    engine.dispose()


def test_servers_that_start_at_once_make_the_tables_once(database_url: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            Database(database_url).close()
        except BaseException as error:  # noqa: BLE001 (handed to the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_revision_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "skerry.db"
    write_schema_1(path)
    with closing(sqlite3.connect(path)) as connection:
        # A file of the model points nowhere: no server of ours did that, a disk may.
        connection.execute("UPDATE model_files SET version = 7")
        connection.commit()
    with pytest.raises(ConflictError, match="row 1 of model_files"):
        Database.in_file(path)
    with closing(sqlite3.connect(path)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert "alembic_version" not in tables
        assert connection.execute(
            "SELECT value FROM counters WHERE kind = 'schema'"
        ).fetchone() == (1,)


def test_an_sqlite_file_is_saved_before_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "skerry.db"
    write_schema_1(path)
    engine = make_engine(f"sqlite:///{path}")
    latest = head(engine)
    migration.upgrade(engine)
    engine.dispose()
    saved = list(tmp_path.glob("skerry.db.before-*"))
    # The first revision is what was there: it changes nothing.
    assert [found.name for found in saved] == (
        [] if latest == migration.FIRST else [f"skerry.db.before-{latest}"]
    )
    for found in saved:
        with closing(sqlite3.connect(found)) as connection:
            assert connection.execute("SELECT tags FROM models").fetchone() == (
                '{"site": "lisbon"}',
            )
