"""The inlet over real Unix sockets: connections that come, break, and come again."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.holds import Holds
from skerry_agent.routing.inlet import MAX_CONNECTIONS, MAX_LINE_BYTES, Inlet
from skerry_agent.routing.queues import RouteQueues
from skerry_agent.routing.router import Door, Router
from skerry_agent.telling.outbox import Entry, Outbox, Rank
from skerry_agent.unix_http import socket_address
from skerry_contract.manifest import RunSettings
from support.waiting import eventually

SCORER = str(Path(__file__).parents[4] / "scorer")

pytestmark = pytest.mark.integration


class Storing:
    """A real outbox behind an inlet."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.run_dir.mkdir(parents=True)
        self.queues = RouteQueues(folder / "routes.db")
        self.box = Outbox(folder / "outbox.db", "b1", limit_bytes=10**7)
        self.holds = Holds(folder, machine_clock())
        self.inlet = Inlet("cam", self.run_dir, self.door(), self.holds)

    def door(self) -> Door:
        return Router(self.queues, self._put).open("cam.abc", "cam", RunSettings())

    def _put(self, entries: Sequence[Entry]) -> None:
        self.box.put(entries, ts="t", now_s=0.0)

    def stored(self) -> list[Any]:
        found = self.box.waiting(Rank.TELEMETRY, after_id=0, limit=1000)
        return [json.loads(one.data) for one in found]

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(10.0)
        with socket_address(self.run_dir / "agent.sock") as address:
            connection.connect(address)
        return connection

    def close(self) -> None:
        self.inlet.close()
        self.queues.close()
        self.box.close()


@pytest.fixture
def storing(tmp_path: Path) -> Iterator[Storing]:
    made = Storing(tmp_path)
    yield made
    made.close()


def line(number: int, data: Any) -> bytes:
    value = {"id": number, "items": [{"stream": "scores", "data": data}]}
    return json.dumps(value).encode() + b"\n"


def answers(connection: socket.socket, count: int) -> list[Any]:
    with connection.makefile("rb") as file:
        return [json.loads(file.readline()) for _ in range(count)]


def test_lines_are_answered_in_order_once_they_are_stored(storing: Storing) -> None:
    with storing.connect() as connection:
        connection.sendall(line(1, "a") + line(2, "b") + b"garbage\n" + line(3, "c"))
        found = answers(connection, 4)
    assert [found[0], found[1], found[3]] == [{"stored": 1}, {"stored": 2}, {"stored": 3}]
    assert found[2]["refused"] == 0
    assert storing.stored() == ["a", "b", "c"]


def test_a_line_may_come_in_pieces(storing: Storing) -> None:
    data = line(1, "x" * 60_000)
    with storing.connect() as connection:
        for start in range(0, len(data), 7000):
            connection.sendall(data[start : start + 7000])
        assert answers(connection, 1) == [{"stored": 1}]


def test_one_connection_after_another_is_served(storing: Storing) -> None:
    for number in range(1, 4):
        with storing.connect() as connection:
            connection.sendall(line(number, number))
            assert answers(connection, 1) == [{"stored": number}]
    assert storing.stored() == [1, 2, 3]


_MODULE = """
import os, signal, socket, sys, time
os.chdir(sys.argv[1])
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.connect("agent.sock")
connection.sendall(b'{"id":1,"items":[{"stream":"scores","data":"whole"}]}\\n{"id":2,"items":[{"str')
connection.recv(100)
print("half sent", flush=True)
time.sleep(60)
"""


def test_half_a_line_of_a_module_that_is_killed_is_forgotten(storing: Storing) -> None:
    command = [sys.executable, "-c", _MODULE, str(storing.run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as module:
        assert module.stdout is not None
        assert module.stdout.readline() == b"half sent\n"
        os.kill(module.pid, signal.SIGKILL)

    with storing.connect() as connection:
        connection.sendall(line(2, "again"))
        assert answers(connection, 1) == [{"stored": 2}]
    assert storing.stored() == ["whole", "again"]


def test_a_line_without_an_end_closes_the_connection_and_no_more(storing: Storing) -> None:
    with storing.connect() as connection:
        try:
            connection.sendall(b"x" * (MAX_LINE_BYTES + 200_000))
            assert connection.recv(100) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    with storing.connect() as connection:
        connection.sendall(line(1, "a"))
        assert answers(connection, 1) == [{"stored": 1}]


def test_a_module_that_never_reads_its_answers_does_not_hold_the_inlet(storing: Storing) -> None:
    with storing.connect() as deaf:
        deaf.settimeout(0.5)
        lines = b"garbage\n" * 1000
        try:
            for _ in range(1000):
                deaf.sendall(lines)
        except OSError:
            pass
        else:
            pytest.fail("the inlet went on reading")
    with storing.connect() as connection:
        connection.sendall(line(1, "a"))
        assert answers(connection, 1) == [{"stored": 1}]


def test_a_run_folder_deeper_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = Storing(tmp_path / ("d" * 100) / ("e" * 100))
    assert len(str(deep.run_dir)) > 108
    with deep.connect() as connection:
        connection.sendall(line(1, "a"))
        assert answers(connection, 1) == [{"stored": 1}]
    deep.close()


def test_any_user_may_connect_to_the_socket(storing: Storing) -> None:
    assert (storing.run_dir / "agent.sock").stat().st_mode & 0o777 == 0o666


def test_a_closed_inlet_takes_no_more_and_another_can_take_its_place(tmp_path: Path) -> None:
    first = Storing(tmp_path)
    with first.connect() as connection:
        connection.sendall(line(1, "a"))
        assert answers(connection, 1) == [{"stored": 1}]
        first.inlet.close()
        eventually(lambda: connection.recv(1) == b"", why="the old connection ends")

    second = Inlet("cam", first.run_dir, first.door(), first.holds)
    with first.connect() as connection:
        connection.sendall(line(2, "b"))
        assert answers(connection, 1) == [{"stored": 2}]
    second.close()
    assert first.stored() == ["a", "b"]
    first.close()


def test_a_module_holds_back_updates_beside_its_results(storing: Storing) -> None:
    program = "from skerry_scorer.updates import *; print(hold_updates('counts', lease_s=60))"
    release = "from skerry_scorer.updates import *; release_updates()"
    env = {"SKERRY_RUN_DIR": str(storing.run_dir), "PYTHONPATH": SCORER}

    def run(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", text],
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    with storing.connect() as connection:
        connection.sendall(line(1, "a"))
        assert answers(connection, 1) == [{"stored": 1}]
        done = run(program)
        [hold] = storing.holds.current()
        assert (hold.kind, hold.owner, hold.reason) == ("lock", "cam", "counts")
        assert done.stdout.strip() == hold.until
        connection.sendall(line(2, "b"))
        assert answers(connection, 1) == [{"stored": 2}]

    assert run(release).returncode == 0
    assert storing.holds.current() == ()
    storing.holds.say_switching(switching=True)
    assert "UpdateLockError: cam: the switch to another deployment" in run(program).stderr


def test_without_an_agent_there_is_nothing_to_hold_back(tmp_path: Path) -> None:
    for folder in ({}, {"SKERRY_RUN_DIR": str(tmp_path)}):
        text = "from skerry_scorer.updates import *; print([hold_updates('x')]); release_updates()"
        done = subprocess.run(
            [sys.executable, "-c", text],
            env={"PYTHONPATH": SCORER, **folder},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert done.stdout == "['']\n"


def test_one_instance_has_few_connections(storing: Storing) -> None:
    connections = [storing.connect() for _ in range(MAX_CONNECTIONS + 1)]
    assert connections[-1].recv(1) == b""
    connections.pop().close()
    connections.pop().close()
    eventually(lambda: _answers_on_a_new_one(storing), why="a place that was left is taken")
    for connection in connections:
        connection.close()


def _answers_on_a_new_one(storing: Storing) -> bool:
    with storing.connect() as connection:
        try:
            connection.sendall(line(9, "x"))
            return connection.recv(100) == b'{"stored": 9}\n'
        except OSError:
            return False
