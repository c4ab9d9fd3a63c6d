"""A PostgreSQL of the tests' own: one cluster, and a fresh database for each test."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import URL

from skerry_cloud.database import Database
from support.ports import free_port
from support.waiting import eventually

_TEMPLATE = "skerry_template"
_SETTINGS = (
    # The tests end it with SIGKILL at most; no test pulls the plug of this machine.
    "fsync=off",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
)


def programs() -> Path:
    """Return the folder of the newest PostgreSQL server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL's server is missing. On Debian: apt-get install postgresql"
    return found[-1].parent


class Postgresql:
    """A server in ``folder``; ``fresh`` makes databases in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._port = free_port()
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Make the cluster, and the template that has all tables."""
        _hand_over(self._folder)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "skerry", "--no-sync")
        self.start()
        self._admin(f"CREATE DATABASE {_TEMPLATE}")
        Database(self.url(_TEMPLATE)).close()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        arguments = [f"-c{setting}" for setting in _SETTINGS]
        command = ["postgres", "-D", str(self._data), "-p", str(self._port), "-k", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_somebody(), str(programs() / command[0]), *command[1:], *arguments],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        eventually(self._answers, within_s=60, why="PostgreSQL to start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT ends its clients too, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def fresh(self) -> str:
        """Make a database with all tables in it, and return its URL."""
        name = f"test_{next(self._numbers)}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def empty(self) -> str:
        """Make a database with nothing in it, and return its URL."""
        name = f"test_{next(self._numbers)}"
        self._admin(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        """Return the URL of ``database``."""
        made = URL.create(
            "postgresql", "skerry", host="127.0.0.1", port=self._port, database=database
        )
        return made.render_as_string(hide_password=False)

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_somebody(), str(programs() / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


@contextmanager
def own_postgresql() -> Iterator[Postgresql]:
    """Run a cluster below /tmp, because another user must reach it, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="skerry-postgresql-"))
    server = Postgresql(folder)
    try:
        server.initialise()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _as_somebody() -> list[str]:
    """Return what runs a program as an ordinary user: the server refuses to be root's."""
    if os.geteuid() != 0:
        return []
    user = _user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _hand_over(folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, _user().pw_uid, _user().pw_gid)


def _user() -> pwd.struct_passwd:
    return pwd.getpwnam("postgres")
