"""PostgreSQL as the server's database: several servers on it, and what its outages cost."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from skerry_cloud.blobs import BlobStore
from skerry_cloud.builds import Compile, Job
from skerry_cloud.database import Database, counters, next_number
from skerry_cloud.registry.modules import Image
from skerry_contract.errors import DatabaseError
from support.cloud_server import CloudServer, small_compiler
from support.postgresql import Postgresql, own_postgresql
from support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def mortal() -> Iterator[Postgresql]:
    """A server of these tests alone, which they may end."""
    with own_postgresql() as server:
        yield server


def number(database: Database) -> int:
    with database.write() as connection:
        return next_number(connection, "model", "face")


def count(database: Database) -> int:
    with database.read() as connection:
        query = select(counters.c.value).where(counters.c.kind == "model")
        return connection.scalar(query) or 0


def test_two_servers_on_one_database_give_no_version_twice(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    url = postgresql.fresh()
    made: list[int] = []
    failures: list[str] = []

    def register(server: CloudServer, files: list[object]) -> None:
        for _ in range(10):
            answer = server.ask("POST", "/v1/models", {"name": "face", "files": files})
            if answer.status_code == 201:
                made.append(answer.json()["version"])
            else:
                failures.append(answer.text)

    with (
        CloudServer(tmp_path / "a", database=url) as first,
        CloudServer(tmp_path / "b", database=url) as second,
    ):
        threads = [
            threading.Thread(
                target=register, args=(server, [server.upload(b"weights", "face.tflite")])
            )
            for server in (first, second, first, second)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert sorted(made) == list(range(1, 41))


def test_who_reads_then_writes_is_not_overtaken(postgresql: Postgresql) -> None:
    url = postgresql.fresh()
    databases = [Database(url), Database(url)]
    assert number(databases[0]) == 1

    def add_by_reading(database: Database) -> None:
        for _ in range(25):
            with database.write() as connection:
                mine = counters.c.kind == "model"
                seen = connection.scalar(select(counters.c.value).where(mine)) or 0
                connection.execute(counters.update().where(mine).values(value=seen + 1))

    threads = [threading.Thread(target=add_by_reading, args=(one,)) for one in databases * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(databases[0]) == 101
    for database in databases:
        database.close()


def test_a_reader_sees_one_moment_and_cannot_write(postgresql: Postgresql) -> None:
    url = postgresql.fresh()
    database, other = Database(url), Database(url)
    query = select(counters.c.value).where(counters.c.kind == "model")
    assert number(other) == 1
    with database.read() as connection:
        before = connection.scalar(query)
        assert number(other) == 2
        assert connection.scalar(query) == before
    assert count(database) == 2
    database.close()
    other.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["shut down", "crashed"])
def test_a_transaction_that_loses_its_server_is_told_and_the_next_one_works(
    mortal: Postgresql, how: signal.Signals
) -> None:
    database = Database(mortal.fresh())
    assert number(database) == 1

    def interrupted() -> None:
        with database.write() as connection:
            next_number(connection, "model", "face")
            mortal.stop(how)
            next_number(connection, "model", "face")

    with pytest.raises(DatabaseError, match="cannot be written"):
        interrupted()
    with pytest.raises(DatabaseError, match="cannot be read"):
        count(database)
    mortal.start()
    assert count(database) == 1
    assert number(database) == 2
    database.close()


def test_a_commit_that_loses_its_server_is_not_promised_either_way(mortal: Postgresql) -> None:
    database = Database(mortal.fresh())

    def interrupted() -> None:
        with database.write() as connection:
            next_number(connection, "model", "face")
            mortal.stop()

    with pytest.raises(DatabaseError, match="may have stored it, or not"):
        interrupted()
    mortal.start()
    assert number(database) == 1
    database.close()


def test_a_server_outlives_its_database_and_says_so(mortal: Postgresql, tmp_path: Path) -> None:
    with CloudServer(tmp_path, database=mortal.fresh()) as server:
        mortal.stop()
        health = server.ask("GET", "/healthz")
        assert (health.status_code, health.text) == (503, "not well: database\n")
        answer = server.ask("GET", "/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "DATABASE")
        mortal.start()
        assert server.get("/v1/models")["models"] == []
        assert server.ask("GET", "/healthz").status_code == 200


def test_builds_go_on_after_one_that_broke_while_the_database_was_away(
    mortal: Postgresql, tmp_path: Path
) -> None:
    away = threading.Event()

    def unlucky_compiler(blobs: BlobStore, caches: Path) -> Compile:
        usual = small_compiler(blobs, caches)

        def compile_image(job: Job, platform: str, progress: Callable[[str], None]) -> Image:
            if job.reference.name == "unlucky":
                mortal.stop()
                away.set()
            return usual(job, platform, progress)

        return compile_image

    with CloudServer(tmp_path, unlucky_compiler, database=mortal.fresh()) as server:
        script = server.upload(b"def run(d): ...", "score.py")
        order = {"name": "unlucky", "files": [script], "entry_script": "score.py"}
        build = server.post("/v1/modules", order)
        assert away.wait(30)
        mortal.start()
        said = eventually(
            lambda: s if (s := server.get(f"/v1/builds/{build['id']}"))["error"] else None, 30
        )
        assert (said["state"], said["error"]["code"]) == ("failed", "DATABASE")
        assert server.build("lucky")["state"] == "succeeded"
