"""Topics, command lines and timers: what was acknowledged is stored, whoever dies."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from support.agent_socket import Answer, Listen, stored
from support.mosquitto import Mosquitto
from support.scorer_host import MakeHost, ScorerHost, eventually

pytestmark = pytest.mark.integration

LENGTH = "def init(): ...\ndef run(data): return [type(data).__name__, len(data)]\n"
ECHO = "def init(): ...\ndef run(data): return data\n"
POISON = (
    "import os\ndef init(): ...\n"
    "def run(data):\n"
    "    if data == 'poison': os._exit(9)\n"
    "    return 1 / int(data)\n"
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.stop()


def publish(broker: Mosquitto, topic: str, *payloads: bytes) -> None:
    """Return once the broker has acknowledged each."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        for sent in [client.publish(topic, payload, qos=1) for payload in payloads]:
            sent.wait_for_publish(20)
    finally:
        client.disconnect()
        client.loop_stop()


def by_topic(host: ScorerHost, broker: Mosquitto, aside: Path, **more: Any) -> ScorerHost:
    aside.mkdir(exist_ok=True)
    where = {"host": broker.host, "port": broker.port}
    topic = {"topic": "sensors/+/raw", "broker": where, "aside": str(aside), **more}
    host.settings(inputs={"raw": topic})
    host.ready().request("POST", "/skerry/serve")
    return host


def connected(host: ScorerHost) -> None:
    eventually(lambda: "input raw: connected" in host.log.read_text())


def results(items: list[dict[str, Any]]) -> list[Any]:
    return [item["data"]["result"] for item in items if "stream" in item]


def failed(aside: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in (aside / "failed").glob("[!.]*")
        if not path.name.endswith(".error.txt")
    }


# --- topics -----------------------------------------------------------------------------------


def test_each_message_of_a_topic_is_scored_and_names_its_topic(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    connected(by_topic(host, broker, tmp_path / "aside"))
    publish(broker, "sensors/a/raw", b"1", b"x" * 1_000_000)
    publish(broker, "elsewhere", b"1")
    publish(broker, "sensors/b/raw", b"123")
    eventually(lambda: len(agent.items) == 3)
    assert results(agent.items) == [["str", 1], ["str", 1_000_000], ["str", 3]]
    assert [item["data"]["topic"][8] for item in agent.items] == ["a", "a", "b"]


def test_messages_are_bytes_where_the_manifest_says_so(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    connected(by_topic(host, broker, tmp_path / "aside", data="bytes"))
    publish(broker, "sensors/a/raw", b"\xff\xfe")
    eventually(lambda: agent.items)
    assert results(agent.items) == [["bytes", 2]]


def test_messages_that_fail_are_set_aside_and_acknowledged(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    host = make_host(POISON)
    agent = listen(host.run_dir)
    connected(by_topic(host, broker, aside))
    publish(broker, "sensors/a/raw", b"0", b"\xff", b"4")
    eventually(lambda: len(agent.items) == 3)
    eventually(lambda: host.status()["scored"] == 1)
    assert sorted(failed(aside).values()) == [b"0", b"\xff"]
    reasons = sorted(path.read_text() for path in (aside / "failed").glob("*.error.txt"))
    assert "UTF-8" in reasons[0]
    assert "ZeroDivisionError" in reasons[1]
    assert host.terminate() == 0

    count = len(agent.items)
    connected(by_topic(host, broker, aside))
    publish(broker, "sensors/a/raw", b"2")
    eventually(lambda: len(agent.items) > count)
    assert results(agent.items) == [0.25, 0.5]


def test_a_message_that_ends_the_process_twice_is_set_aside(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    host = make_host(POISON)
    agent = listen(host.run_dir)
    connected(by_topic(host, broker, aside))
    publish(broker, "sensors/a/raw", b"1", b"poison", b"2")
    assert host.wait() == 9
    by_topic(host, broker, aside)
    assert host.wait() == 9
    by_topic(host, broker, aside)
    eventually(lambda: 0.5 in results(agent.items))
    assert list(failed(aside).values()) == [b"poison"]
    [event] = [item for item in agent.items if "event" in item]
    assert "ended the process 2 times" in event["data"]["text"]


def test_nothing_that_the_broker_was_told_is_lost_when_the_host_is_killed(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    host = make_host(ECHO)
    agent = listen(host.run_dir)
    connected(by_topic(host, broker, aside))
    for start in (0, 100, 200):
        publish(broker, "sensors/a/raw", *(b"%d" % n for n in range(start, start + 100)))
        host.kill()
        by_topic(host, broker, aside)
    eventually(lambda: set(results(agent.items)) == {str(n) for n in range(300)})


def test_while_nothing_is_stored_nothing_is_acknowledged(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    host = make_host(ECHO)
    agent = listen(host.run_dir, lambda line: {"retry": line["id"], "after_s": 0.05})
    connected(by_topic(host, broker, aside))
    publish(broker, "sensors/a/raw", *(b"%d" % n for n in range(100)))
    eventually(lambda: len(agent.lines) >= 3)
    host.kill()
    agent.lines.clear()
    agent.answer = stored
    by_topic(host, broker, aside)
    eventually(lambda: set(results(agent.items)) == {str(n) for n in range(100)})


def test_a_broker_that_comes_and_goes_is_found_again(
    make_host: MakeHost, listen: Listen, broker: Mosquitto, tmp_path: Path
) -> None:
    host = make_host(ECHO)
    agent = listen(host.run_dir)
    connected(by_topic(host, broker, tmp_path / "aside"))
    broker.stop()
    eventually(lambda: "again in" in host.log.read_text())
    broker.start()
    publish(broker, "sensors/a/raw", b"7")
    eventually(lambda: results(agent.items) == ["7"])


# --- commands ---------------------------------------------------------------------------------


def by_command(host: ScorerHost, aside: Path, program: str, **more: Any) -> ScorerHost:
    aside.mkdir(exist_ok=True)
    command = [sys.executable, "-uc", program]
    host.settings(inputs={"meter": {"command": command, "aside": str(aside), **more}})
    host.ready().request("POST", "/skerry/serve")
    return host


def test_lines_of_every_kind_are_scored_or_set_aside(
    make_host: MakeHost, listen: Listen, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    host = make_host(LENGTH)
    agent = listen(host.run_dir)
    program = (
        "import os, sys, time\nw = sys.stdout.buffer.write\n"
        r"w(b'one\n\ntwo\r\n'); w(b'x' * 1_000_000 + b'\n'); w(b'\xff\n')" + "\n"
        r"w(b'y' * 5_000_000 + b'\n'); w(b'last'); sys.stdout.flush()" + "\n"
        "os.close(1); print('a word', file=sys.stderr); time.sleep(60)\n"
    )
    by_command(host, aside, program)
    eventually(lambda: len(agent.items) >= 6)
    assert results(agent.items[:6]) == [["str", 3], ["str", 3], ["str", 1_000_000], ["str", 4]]
    assert set(map(len, failed(aside).values())) == {1, 64 * 1024}  # it may have begun anew
    texts = [item["data"]["text"] for item in agent.items if "event" in item]
    assert any("5000000 bytes, at most" in text for text in texts)


def test_a_command_is_started_again_and_its_errors_are_logged(
    make_host: MakeHost, listen: Listen, tmp_path: Path
) -> None:
    host = make_host(ECHO)
    agent = listen(host.run_dir)
    by_command(host, tmp_path / "aside", "import sys; print('x'); sys.exit('no more')")
    eventually(lambda: len(agent.items) >= 3)
    log = host.log.read_text()
    assert "input meter: no more" in log
    assert "ended with status 1; again in" in log


def test_a_command_waits_while_nothing_is_stored(
    make_host: MakeHost, listen: Listen, tmp_path: Path
) -> None:
    host = make_host("def init(): ...\ndef run(data): return int(data.split()[0])\n")
    gate = threading.Event()

    def answer(line: dict[str, Any]) -> Answer:
        gate.wait(30)
        return stored(line)

    agent = listen(host.run_dir, answer)
    counter = tmp_path / "printed"
    program = (
        f"import time\nfile = open({str(counter)!r}, 'w')\n"
        "for n in range(20_000):\n"
        "    print(n, 'x' * 2000)\n    file.seek(0); file.write(str(n)); file.flush()\n"
        "time.sleep(60)\n"
    )
    by_command(host, tmp_path / "aside", program)
    seen = -1
    while (now := int(counter.read_text() or 0) if counter.exists() else -1) != seen or now < 0:
        seen = now
        time.sleep(1.0)
    assert seen < 10_000
    gate.set()
    eventually(lambda: len(agent.items) >= 20_000, within_s=50)
    assert results(agent.items)[:20_000] == list(range(20_000))


def test_the_line_that_was_scored_at_a_kill_is_scored_again_and_set_aside_at_the_second(
    make_host: MakeHost, listen: Listen, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    host = make_host(POISON)
    agent = listen(host.run_dir)
    once = tmp_path / "once"
    program = (
        "import pathlib, time\n"
        f"if not pathlib.Path({str(once)!r}).exists():\n"
        f"    pathlib.Path({str(once)!r}).touch(); print('poison')\n"
        "print(4)\ntime.sleep(60)\n"
    )
    by_command(host, aside, program)
    assert host.wait() == 9
    by_command(host, aside, program)
    assert host.wait() == 9
    by_command(host, aside, program)
    eventually(lambda: results(agent.items) == [0.25])
    assert list(failed(aside).values()) == [b"poison"]


def test_a_command_ends_with_its_host(make_host: MakeHost, listen: Listen, tmp_path: Path) -> None:
    host = make_host(ECHO)
    agent = listen(host.run_dir)
    program = "import os, sys\nprint(os.getpid())\nsys.stdin.read()\n"
    by_command(host, tmp_path / "aside", program)
    eventually(lambda: agent.items)
    host.kill()
    eventually(lambda: not Path(f"/proc/{results(agent.items)[0]}").exists())
    by_command(host, tmp_path / "aside", "import os, time\nprint(os.getpid())\ntime.sleep(99)\n")
    eventually(lambda: len(agent.items) > 1)
    assert host.terminate() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(results(agent.items)[-1]), 0)


# --- timers -----------------------------------------------------------------------------------


def test_a_timer_calls_run_and_makes_up_for_nothing(
    make_host: MakeHost, listen: Listen, tmp_path: Path
) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    gate = tmp_path / "gate"
    host = make_host(
        "import json, pathlib, time\ndef init(): ...\n"
        "def run(data):\n"
        f"    while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
        "    return json.loads(data)\n"
    )
    agent = listen(host.run_dir)
    host.settings(inputs={"tick": {"every_s": 0.05, "aside": str(aside)}})
    host.ready().request("POST", "/skerry/serve")
    eventually(lambda: host.status()["busy_s"] > 1.0)
    gate.touch()
    eventually(lambda: len(agent.items) >= 4)
    found = results(agent.items)
    assert found[0].keys() == {"input", "time", "missed"}
    assert (found[0]["input"], found[0]["missed"]) == ("tick", 0)
    assert sum(one["missed"] for one in found) >= 10
    assert json.dumps(found[0]["time"]) == json.dumps(agent.items[0]["data"]["time"])
