"""Scripts and inputs that do their worst: each is counted and set aside, and the next is scored."""

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from support.agent_socket import Listen
from support.scorer_host import MakeHost, ScorerHost, eventually, port_of

pytestmark = pytest.mark.integration

HOSTILE = """
import os, sys, threading

class Mute(Exception):
    def __str__(self): raise OSError("not even that")

class Array:
    def tolist(self): raise KeyError("no list")

class Response:
    status_code = 200
    @property
    def get_data(self): raise RuntimeError("no data")

class Text(str):
    def __str__(self): raise MemoryError

class Map(dict):
    def items(self): raise AttributeError("no items")

def circle():
    found = []
    found.append(found)
    return found

def deep(n=0):
    return deep(n + 1)

def cause():
    try:
        raise Mute()
    except Mute as error:
        raise ValueError("\\ud800 half a pair") from error

def nested():
    found = []
    for _ in range(100_000):
        found = [found]
    return found

def thrown(kind):
    raise kind

WAYS = {
    "mute": lambda: thrown(Mute()),
    "cause": cause,
    "interrupt": lambda: thrown(KeyboardInterrupt()),
    "exit": lambda: sys.exit("bye"),
    "generator exit": lambda: thrown(GeneratorExit()),
    "group": lambda: thrown(BaseExceptionGroup("many", [KeyboardInterrupt(), ValueError("x")])),
    "memory": lambda: bytearray(1 << 60),
    "deep": deep,
    "long text": lambda: thrown(ValueError("x" * 50_000_000)),
    "nan": lambda: {"score": float("nan")},
    "circle": circle,
    "nested": nested,
    "array": Array,
    "response": Response,
    "set": lambda: {1, 2},
    "keys": lambda: {(1, 2): 3},
    "surrogate": lambda: "\\udfff",
    "map": lambda: Map(a=1),
    "class": lambda: Array,
    "large": lambda: "x" * 100_000,
}

def init(): ...

def run(data):
    way = WAYS.get(data)
    return way() if way else data
"""
WAYS = [
    "mute",
    "cause",
    "interrupt",
    "exit",
    "generator exit",
    "group",
    "memory",
    "deep",
    "long text",
    "nan",
    "circle",
    "nested",
    "array",
    "response",
    "set",
    "keys",
    "surrogate",
    "map",
    "class",
]
ENDS = {
    "leaves": "os._exit(0)",
    "kills itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "crashes": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "takes the stack": "sys.setrecursionlimit(2**30) or json.loads('[' * 10**7)",
}


def fed(host: ScorerHost, folder: Path) -> ScorerHost:
    host.settings(inputs={"in": {"folder": str(folder), "pattern": "*"}})
    host.ready().request("POST", "/skerry/serve")
    return host


def put(folder: Path, *texts: str) -> None:
    for i, text in enumerate(texts):
        path = folder / f"{i:03}.txt"
        path.write_text(text)
        os.utime(path, (i, i))


def scored(items: list[dict[str, Any]]) -> list[Any]:
    return [item["data"]["result"] for item in items if "stream" in item]


def test_whatever_run_raises_or_returns_the_next_is_scored(
    make_host: MakeHost, listen: Listen, inputs: Path
) -> None:
    host = make_host(HOSTILE)
    agent = listen(host.run_dir)
    fed(host, inputs)
    bad = [*WAYS, "large"]
    for i, way in enumerate(bad):
        (inputs / f"{i:03}-bad.txt").write_text(way)
        (inputs / f"{i:03}-good.txt").write_text(f"after {way}")
    eventually(lambda: len(agent.items) == 2 * len(bad))
    assert sorted(scored(agent.items)) == sorted(f"after {way}" for way in bad)
    eventually(lambda: host.status()["failed"] == len(bad))
    failed = inputs / "failed"
    eventually(lambda: len(list(failed.glob("*-bad.txt.error.txt"))) == len(bad))
    assert {path.read_text() for path in failed.glob("*-bad.txt")} == set(bad)
    events = [item["data"] for item in agent.items if "event" in item]
    assert all(len(json.dumps(event)) < 20_000 for event in events)
    assert host.terminate() == 0


def test_whatever_run_raises_or_returns_over_http_is_a_500_and_the_next_is_answered(
    make_host: MakeHost,
) -> None:
    host = make_host(HOSTILE).ready()
    for way in WAYS:
        reply = host.score(way.encode())
        assert (way, reply.status) == (way, 500)
        assert len(reply.json["message"]) < 5_000
        assert host.score(b"next").json == "next"
    assert (host.status()["scored"], host.status()["failed"]) == (len(WAYS), len(WAYS))


@pytest.mark.parametrize("way", ENDS)
def test_an_input_that_ends_the_process_is_set_aside_at_the_second_end(
    make_host: MakeHost, listen: Listen, inputs: Path, way: str
) -> None:
    host = make_host(
        "import ctypes, json, os, signal, sys\ndef init(): ...\n"
        f"def run(data):\n    if data == 'bad': {ENDS[way]}\n    return data\n"
    )
    agent = listen(host.run_dir)
    put(inputs, "1", "2", "bad", "3", "4")
    for _ in range(2):
        fed(host, inputs).wait()
    fed(host, inputs)
    eventually(lambda: host.status()["failed"] == 1)
    eventually(lambda: set(scored(agent.items)) == {"1", "2", "3", "4"})
    why = inputs / "failed" / "002.txt.error.txt"
    eventually(lambda: why.exists() and why.read_text())
    assert why.read_text() == "ended the process 2 times while it was scored\n"
    eventually(lambda: list(inputs.glob("*.txt")) == [])


def test_an_input_that_hangs_is_set_aside_once_the_host_was_killed_twice(
    make_host: MakeHost, listen: Listen, inputs: Path
) -> None:
    host = make_host(
        "import time\ndef init(): ...\n"
        "def run(data):\n    while data == 'bad': time.sleep(0.01)\n    return data\n"
    )
    agent = listen(host.run_dir)
    put(inputs, "1", "bad", "2")
    for _ in range(2):
        fed(host, inputs)
        eventually(lambda: host.status()["busy_s"] > 0.1)
        host.kill()
    fed(host, inputs)
    eventually(lambda: set(scored(agent.items)) == {"1", "2"})
    eventually(lambda: host.status()["failed"] == 1)


def test_without_an_agent_the_host_ends_itself_where_run_hangs(
    make_host: MakeHost, inputs: Path
) -> None:
    host = make_host(
        "import time\ndef init(): ...\n"
        "def run(data):\n    while data == 'bad': time.sleep(0.01)\n    return data\n",
        SKERRY_RUN_DEADLINE_S="1",
    )
    put(inputs, "1", "bad", "2")
    host.settings(inputs={"in": {"folder": str(inputs)}}, results="stdout")
    for _ in range(2):
        host.ready().request("POST", "/skerry/serve")
        assert host.wait() == 5
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: host.log.read_text().count('"result":"2"') == 1)
    # Results are told before their inputs are put away.
    eventually((inputs / "failed" / "001.txt").exists)
    assert (inputs / "failed" / "001.txt").read_text() == "bad"
    log = host.log.read_text()
    assert "run() has taken more than 1 s" in log
    assert 'score.py", line 4 in run' in log


def test_a_fork_that_comes_back_from_run_is_no_second_host(
    make_host: MakeHost, listen: Listen, inputs: Path
) -> None:
    host = make_host(
        "import os\ndef init(): ...\n"
        "def run(data):\n"
        "    pid = os.fork()\n"
        "    if pid == 0: return 'the fork'\n"
        "    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
    )
    agent = listen(host.run_dir)
    fed(host, inputs)
    put(inputs, "1", "2")
    eventually(lambda: len(agent.items) == 2)
    assert scored(agent.items) == [70, 70]
    assert host.score(b"1").json == 70
    assert "came back from run()" in host.log.read_text()


def test_a_fork_that_outlives_its_host_keeps_neither_its_inputs_nor_its_port(
    make_host: MakeHost, listen: Listen, inputs: Path, tmp_path: Path
) -> None:
    told = tmp_path / "pid"
    host = make_host(
        "import os, pathlib, signal\ndef init(): ...\n"
        "def run(data):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        signal.pause()\n"
        f"    pathlib.Path({str(told)!r}).open('a').write(f'{{pid}} ')\n"
        "    return data\n",
        SKERRY_PORT="0",
    )
    agent = listen(host.run_dir)
    fed(host, inputs)
    put(inputs, "1")
    eventually(lambda: scored(agent.items) == ["1"])
    port = port_of(host)
    host.kill()
    try:
        os.kill(int(told.read_text().split()[0]), 0)  # it is there still
        socket.create_server(("127.0.0.1", port)).close()
        put(inputs, "2")
        fed(host, inputs)
        eventually(lambda: scored(agent.items) == ["1", "2"])
    finally:
        for fork in told.read_text().split():  # each run() leaves one
            os.kill(int(fork), signal.SIGKILL)
