"""Uploads of large files that outlive the end of either side: real processes, really killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry import login
from skerry.api import Api
from skerry.files import LocalFile, Reader
from skerry.login import Login
from skerry.sending import Clockwork, Sending
from skerry.transport import Transport
from skerry_contract.errors import DeadlineError, ModelError, NetworkError
from support.cable import Cable
from support.ports import free_port
from support.skerry_command import Skerry
from support.waiting import eventually

pytestmark = pytest.mark.integration

SIZE = 200 * 1024 * 1024


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A large file that is mostly holes."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for offset in range(0, SIZE, 10_000_000):
            file.seek(offset)
            file.write(offset.to_bytes(8, "big"))
    return path


class Server:
    """A server as a process, always on the same port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = free_port()
        self.start()

    def start(self) -> None:
        arguments = ["--data", str(self._data), "--port", str(self._port), "--broker-port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skerry_cloud", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(30)

    @property
    def login(self) -> Login:
        return login.read(Path(self.ready["login"]))

    def arrived(self) -> int:
        """Return how many bytes of the unfinished upload have come."""
        folder = self._data / "blobs" / "uploads"
        return sum(path.stat().st_size for path in folder.iterdir())

    def has(self, file: LocalFile) -> bool:
        return Api(Transport(self.login)).has_blob(file.digest)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "data")
    yield running
    running.process.terminate()
    running.end()


@contextmanager
def slow_link(server: Server, tmp_path: Path) -> Iterator[tuple[Cable, Skerry]]:
    """Give a cable to the server, and the command with a login through it."""
    port = int(server.ready["url"].rpartition(":")[2])
    with Cable(port) as cable:
        file = tmp_path / "login.json"
        login.write(file, Login(f"http://127.0.0.1:{cable.port}", server.login.token))
        yield cable, Skerry(file, tmp_path, timeout_s=120)


def register(skerry: Skerry, model: Path) -> "subprocess.Popen[bytes]":
    command = ["model", "register", "-p", str(model), "-n", "large", "--output", "json"]
    return subprocess.Popen(
        [sys.executable, "-m", "skerry", *command],
        cwd=skerry.cwd,
        env=skerry.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def hold_at(cable: Cable, server: Server, offset: int) -> int:
    """Stop the link once ``offset`` bytes have come, and return how many have by then."""
    eventually(lambda: server.arrived() >= offset, within_s=60, every_s=0.001)
    cable.hold()
    arrived = server.arrived()
    assert arrived < SIZE
    return arrived


@pytest.mark.timeout(180)
def test_a_killed_command_is_run_again_and_goes_on(
    server: Server, model: Path, tmp_path: Path
) -> None:
    with slow_link(server, tmp_path) as (cable, skerry):
        first = register(skerry, model)
        hold_at(cable, server, SIZE // 10)
        first.kill()
        first.communicate()
        cable.cut()
        cable.mend()
        before = server.arrived()
        assert before >= SIZE // 10
        files = Reader(ModelError).model(model)
        done = Sending(Api(Transport(server.login)), files[0], lambda _count: None).run()
        assert done <= SIZE - before
        assert json.loads(skerry.ok("model", "register", "-p", model, "-n", "large",
                                    "--output", "json"))["version"] == 1  # fmt: skip
        assert server.has(files[0])


@pytest.mark.timeout(180)
def test_a_command_outlives_the_server_that_is_killed_under_it(
    server: Server, model: Path, tmp_path: Path
) -> None:
    with slow_link(server, tmp_path) as (cable, skerry):
        command = register(skerry, model)
        hold_at(cable, server, SIZE // 10)
        server.kill()
        cable.cut()
        cable.mend()
        server.start()
        before = server.arrived()
        out, err = command.communicate(timeout=120)
        assert command.returncode == 0, err
        assert json.loads(out)["version"] == 1
    assert before >= SIZE // 10
    assert server.has(Reader(ModelError).model(model)[0])


def test_what_is_shown_is_what_is_there(server: Server, model: Path, tmp_path: Path) -> None:
    shown = [0]

    def show(count: int) -> None:
        shown.append(shown[-1] + count)

    file = Reader(ModelError).model(model)[0]
    with slow_link(server, tmp_path) as (cable, _skerry):
        through = Login(f"http://127.0.0.1:{cable.port}", server.login.token)

        def cut_once(count: int) -> None:
            show(count)
            if shown[-1] > SIZE // 2 and not cable_was_cut:
                cable_was_cut.append(True)
                cable.cut()
                cable.mend()

        cable_was_cut: list[bool] = []
        sent = Sending(Api(Transport(through)), file, cut_once).run()
    assert cable_was_cut
    assert (shown[-1], sent) == (SIZE, SIZE)
    assert min(shown) == 0
    assert max(shown) == SIZE


def test_a_drip_ends(server: Server, model: Path) -> None:
    now = [0.0]

    def drip(count: int) -> None:
        now[0] += count / 1.0

    file = Reader(ModelError).model(model)[0]
    clockwork = Clockwork(lambda: now[0], lambda _seconds: None)
    with pytest.raises(DeadlineError, match="16384 bytes a second"):
        Sending(Api(Transport(server.login)), file, drip, clockwork).run()


def test_a_server_that_stays_away_is_told_with_how_to_go_on(server: Server, model: Path) -> None:
    nowhere = Login(f"http://127.0.0.1:{free_port()}", server.login.token)
    pauses: list[float] = []
    clockwork = Clockwork(lambda: 0.0, pauses.append)
    file = Reader(ModelError).model(model)[0]
    with pytest.raises(NetworkError, match="cannot be reached") as caught:
        Sending(Api(Transport(nowhere)), file, lambda _count: None, clockwork).run()
    assert "Run the same command again" in caught.value.remedy
    assert 3 < len(pauses) < 20
    assert max(pauses) <= 15.1
