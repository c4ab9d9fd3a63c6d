"""Files in, results out: nothing is lost, whoever dies."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.holds import Holds
from skerry_agent.routing.inlet import take
from skerry_agent.telling.outbox import Entry
from support.agent_socket import AgentSocket, Answer, Listen, stored
from support.scorer_host import MakeHost, ScorerHost, eventually

pytestmark = pytest.mark.integration

LENGTH = "def init(): ...\ndef run(data): return len(data)\n"


def put(folder: Path, name: str, content: bytes, *, age_s: int = 0) -> None:
    """Let a file appear whole, as if written ``age_s`` seconds before a fixed time."""
    (folder / f".{name}").write_bytes(content)
    os.utime(folder / f".{name}", (1_000_000 - age_s, 1_000_000 - age_s))
    (folder / f".{name}").rename(folder / name)


def serving(host: ScorerHost, inputs: Path, pattern: str = "*") -> ScorerHost:
    host.settings(inputs={"frames": {"folder": str(inputs), "pattern": pattern}}, stream="lengths")
    host.ready()
    assert host.request("POST", "/skerry/serve").json == {"serving": True}
    return host


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[!.]*") if path.is_file())


def test_results_reach_the_agent_in_order_and_the_files_go(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    for i, name in enumerate(["c.png", "b.png", "a.png"]):
        put(inputs, name, b"x" * i, age_s=-i)
    put(inputs, "ignored.txt", b"")
    serving(host, inputs, "*.png")
    eventually(lambda: files(inputs) == ["ignored.txt"])

    assert [line["id"] for line in agent.lines] == list(range(1, len(agent.lines) + 1))
    assert [item["stream"] for item in agent.items] == ["lengths"] * 3
    data = [item["data"] for item in agent.items]
    assert [(d["input"], d["file"], d["result"]) for d in data] == [
        ("frames", "c.png", 0),
        ("frames", "b.png", 1),
        ("frames", "a.png", 2),
    ]
    assert all(d["ms"] >= 0 for d in data)
    assert host.status()["scored"] == 3


def test_inputs_are_held_back_until_serve_and_after_hold(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    put(inputs, "a", b"1")
    host.settings(inputs={"frames": {"folder": str(inputs)}})
    host.ready()
    time.sleep(0.5)
    assert agent.items == []
    for _ in range(2):
        host.request("POST", "/skerry/serve")
    eventually(lambda: not files(inputs))
    assert host.request("POST", "/skerry/hold").json == {"serving": False}
    put(inputs, "b", b"1")
    time.sleep(0.5)
    assert files(inputs) == ["b"]
    host.request("POST", "/skerry/serve")
    eventually(lambda: not files(inputs))
    assert len(agent.items) == 2


def test_a_file_that_fails_is_set_aside_told_and_does_not_stop_the_next(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host("def init(): ...\ndef run(data): return 1 / int(data)\n")
    agent = listen(host.run_dir)
    put(inputs, "bad.png", b"0", age_s=9)
    put(inputs, "good.png", b"4")
    serving(host, inputs)
    eventually(lambda: not files(inputs))

    assert files(inputs / "failed") == ["bad.png", "bad.png.error.txt"]
    reason = (inputs / "failed" / "bad.png.error.txt").read_text()
    assert "ZeroDivisionError" in reason
    assert "Traceback" in reason
    event, result = agent.items
    assert event["event"] == "scoring-failed"
    assert event["data"]["code"] == "SCORING_FAILED"
    assert event["data"]["text"].startswith("frames/bad.png: score.py: run() raised")
    assert 'score.py", line 2' in event["data"]["detail"]
    assert result["data"]["result"] == 0.25
    assert (host.status()["scored"], host.status()["failed"]) == (1, 1)


def test_what_the_agent_keeps_of_an_event_names_the_input_and_the_file(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    kept: list[Entry] = []
    host = make_host("def init(): ...\ndef run(data): raise ValueError('x' * 5000)\n")
    holds = Holds(host.run_dir, machine_clock())
    listen(host.run_dir, lambda line: take("cam", json.dumps(line).encode(), kept.extend, holds))
    put(inputs, "bad.png", b"0")
    serving(host, inputs)
    eventually(lambda: not files(inputs))
    [entry] = kept
    event = json.loads(entry.data)
    assert event.keys() == {"severity", "code", "text", "module", "detail"}
    assert (event["severity"], event["code"], event["module"]) == ("error", "SCORER", "cam")
    assert event["text"].startswith("frames/bad.png: score.py: run() raised ValueError")


def test_unusable_files_of_every_kind_are_set_aside(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(
        "def init(): ...\ndef run(data): return 'x' * 70_000 if data == b'long' else 1\n",
        SKERRY_MAX_BODY_BYTES="1000",
    )
    agent = listen(host.run_dir)
    put(inputs, "huge.png", b"x" * 1001)
    put(inputs, "latin.txt", b"\xe9")
    put(inputs, "long.png", b"long")
    (inputs / "failed").mkdir()
    (inputs / "failed" / "old.png").touch()
    serving(host, inputs)
    eventually(lambda: not files(inputs))
    told = {item["data"]["file"]: item["data"]["text"] for item in agent.items}
    assert "1001 bytes, at most 1000" in told["huge.png"]
    assert "UTF-8" in told["latin.txt"]
    assert "at most 65472 fit" in told["long.png"]
    assert "old.png" not in told


def test_a_name_that_is_not_utf_8_is_scored_under_a_readable_one(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    (inputs / os.fsdecode(b"caf\xe9.png")).write_bytes(b"123")
    serving(host, inputs)
    eventually(lambda: not files(inputs))
    assert agent.items[0]["data"]["file"] == "caf?.png"


def test_a_file_that_is_still_being_written_is_taken_when_it_is_whole(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = serving(make_host(LENGTH), inputs)
    agent = listen(host.run_dir)
    with (inputs / "slow.png").open("wb") as file:
        for _ in range(10):
            file.write(b"x")
            file.flush()
            time.sleep(0.05)
    eventually(lambda: not files(inputs))
    assert agent.items[-1]["data"]["result"] == 10


def test_without_the_agents_word_nothing_is_removed(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH)
    put(inputs, "a", b"123")
    serving(host, inputs)  # there is no agent at all yet
    eventually(lambda: "agent.sock: " in host.log.read_text())
    assert files(inputs) == ["a"]

    answers: list[Answer] = [None, {"retry": 1, "after_s": 0.01}, {"stored": 99}]

    def answer(line: dict[str, Any]) -> Answer:
        return answers.pop(0) if answers else stored(line)

    agent = listen(host.run_dir, answer)
    eventually(lambda: len(agent.lines) == 3)  # closed, no room, and an answer to something else
    assert files(inputs) == ["a"]
    host.kill()
    agent.close()

    agent = listen(host.run_dir)
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: not files(inputs))
    assert agent.items[0]["data"]["result"] == 3


@pytest.mark.parametrize("number", [1, 0], ids=["by its number", "as unreadable"])
def test_what_the_agent_refuses_is_set_aside_with_its_words(
    make_host: MakeHost, inputs: Path, listen: Listen, number: int
) -> None:
    host = make_host(LENGTH)
    listen(host.run_dir, lambda _line: {"refused": number, "text": "no such stream"})
    put(inputs, "a", b"1")
    serving(host, inputs)
    eventually(lambda: not files(inputs))
    assert "no such stream" in (inputs / "failed" / "a.error.txt").read_text()
    assert host.status()["failed"] == 1


def test_a_host_killed_between_store_and_removal_scores_the_file_again(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH)

    def store_and_kill(line: dict[str, Any]) -> Answer:
        assert host.process is not None
        os.kill(host.process.pid, signal.SIGKILL)
        return stored(line)

    agent = listen(host.run_dir, store_and_kill)
    put(inputs, "a", b"12")
    serving(host, inputs)
    assert host.wait() == -signal.SIGKILL
    assert files(inputs) == ["a"]

    agent.answer = stored
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: not files(inputs))
    assert [item["data"]["result"] for item in agent.items] == [2, 2]


def test_killed_again_and_again_the_host_loses_nothing(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    for i in range(200):
        put(inputs, f"{i:03}", b"x")
    host.settings(inputs={"frames": {"folder": str(inputs)}})
    for kill_after in (5, 30, 80):
        host.ready().request("POST", "/skerry/serve")
        while len(agent.items) <= kill_after:
            time.sleep(0.01)
        host.kill()
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: not files(inputs))
    assert {item["data"]["file"] for item in agent.items} == {f"{i:03}" for i in range(200)}


def noted(inputs: Path) -> bytes:
    """Return what the note about the file that is being scored says, b"" if there is none."""
    note = inputs / "failed" / ".under-way"
    return note.read_bytes().split(b"\n")[0] if note.exists() else b""


def waits_for(gate: Path) -> str:
    return (
        "import pathlib, time\ndef init(): ...\n"
        f"def run(data):\n    while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
    )


@pytest.mark.parametrize(
    "end", ["os._exit(7)", "ctypes.string_at(0)", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_file_that_ends_the_process_twice_is_set_aside_and_the_next_is_scored(
    make_host: MakeHost, inputs: Path, listen: Listen, end: str
) -> None:
    host = make_host(
        "import ctypes, os, signal\ndef init(): ...\n"
        f"def run(data):\n    if data == b'poison': {end}\n    return len(data)\n"
    )
    agent = listen(host.run_dir)
    put(inputs, "poison.png", b"poison", age_s=9)
    put(inputs, "next.png", b"1234")
    for _ in range(2):
        serving(host, inputs)
        assert host.wait() != 0
        assert files(inputs) == ["next.png", "poison.png"]
    serving(host, inputs)
    eventually(lambda: not files(inputs))

    assert files(inputs / "failed") == ["poison.png", "poison.png.error.txt"]
    said = "ended the process 2 times while it was scored"
    assert (inputs / "failed" / "poison.png.error.txt").read_text() == said + "\n"
    event, result = agent.items
    assert event["event"] == "scoring-failed"
    assert event["data"]["text"] == f"frames/poison.png: {said}"
    assert (result["data"]["file"], result["data"]["result"]) == ("next.png", 4)
    assert (host.status()["scored"], host.status()["failed"]) == (1, 1)


def test_a_file_that_is_scored_during_one_kill_is_scored_after_it(
    make_host: MakeHost, inputs: Path, listen: Listen, tmp_path: Path
) -> None:
    host = make_host(waits_for(tmp_path / "gate"))
    agent = listen(host.run_dir)
    put(inputs, "innocent.png", b"1")
    serving(host, inputs)
    eventually(lambda: b"innocent.png" in noted(inputs))
    host.kill()
    (tmp_path / "gate").touch()
    serving(host, inputs)
    eventually(lambda: not files(inputs))
    assert [item["data"]["file"] for item in agent.items] == ["innocent.png"]
    assert files(inputs / "failed") == []


@pytest.mark.parametrize("kill", [False, True], ids=["cut short", "killed while it drains"])
def test_a_file_is_not_blamed_for_the_end_of_a_host_that_was_told_to_end(
    make_host: MakeHost, inputs: Path, listen: Listen, tmp_path: Path, *, kill: bool
) -> None:
    host = make_host(waits_for(tmp_path / "gate"), SKERRY_DRAIN_S="60" if kill else "0")
    agent = listen(host.run_dir)
    put(inputs, "slow.png", b"1")
    for _ in range(3):
        serving(host, inputs)
        eventually(lambda: b"slow.png" in noted(inputs))
        assert host.process is not None
        host.process.terminate()
        if kill:
            eventually(lambda: not noted(inputs))
            host.kill()
        else:
            assert host.wait() == 4
    (tmp_path / "gate").touch()
    serving(host, inputs)
    eventually(lambda: not files(inputs))
    assert [item["data"]["file"] for item in agent.items] == ["slow.png"]


def test_sigterm_finishes_the_file_under_way_and_leaves_the_others(
    make_host: MakeHost, inputs: Path, listen: Listen, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    host = make_host(waits_for(gate))
    agent = listen(host.run_dir)
    for name in "ab":
        put(inputs, name, b"1")
    serving(host, inputs)
    eventually(lambda: host.status()["busy_s"] > 0)
    assert host.process is not None
    host.process.terminate()
    eventually(lambda: "stopping" in host.log.read_text())
    gate.touch()
    assert host.wait() == 0
    assert files(inputs) == ["b"]
    assert [item["data"]["file"] for item in agent.items] == ["a"]


def test_sigterm_does_not_wait_for_an_agent_that_does_not_answer(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    host = make_host(LENGTH, SKERRY_DRAIN_S="1")
    silence = threading.Event()

    def never(line: dict[str, Any]) -> Answer:
        silence.wait(20)
        return stored(line)

    agent: AgentSocket = listen(host.run_dir, never)
    put(inputs, "a", b"1")
    serving(host, inputs)
    eventually(lambda: agent.lines)
    assert host.terminate() == 0
    assert files(inputs) == ["a"]
    silence.set()


def test_a_new_version_takes_over_without_scoring_a_file_twice(
    make_host: MakeHost, inputs: Path, listen: Listen
) -> None:
    old, new = make_host(LENGTH), make_host(LENGTH)
    agents = [listen(host.run_dir) for host in (old, new)]
    serving(old, inputs)
    serving(new, inputs)
    eventually(lambda: "another process reads it" in new.log.read_text())
    for i in range(50):
        put(inputs, f"{i:02}", b"x")
        if i == 25:
            old.request("POST", "/skerry/hold")
    eventually(lambda: not files(inputs))
    found = sorted(item["data"]["file"] for agent in agents for item in agent.items)
    assert found == [f"{i:02}" for i in range(50)]
    assert agents[1].items


def test_results_can_go_to_standard_output(make_host: MakeHost, inputs: Path) -> None:
    host = make_host(LENGTH)
    put(inputs, "a.png", b"123")
    host.settings(inputs={"frames": {"folder": str(inputs)}}, results="stdout")
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: not files(inputs))
    [line] = [text for text in host.log.read_text().splitlines() if text.startswith("{")]
    assert json.loads(line)["data"]["result"] == 3
