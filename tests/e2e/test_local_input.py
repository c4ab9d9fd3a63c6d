"""Input that is no file, and collected data, from a manifest to telemetry, with real parts only."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from support.dockerd import Dockerd
from support.edge import Edge
from support.mosquitto import Mosquitto
from support.mqtt import MqttClient
from support.ports import free_port
from support.programs import need
from support.site import Site, processes_of, running_site
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCRIPT = """
import json
from azureml.ai.monitoring import Collector
def init():
    global collector
    collector = Collector(name="model_inputs")
def run(data):
    collector.collect([{"user": "me", "data": data}])
    return data
"""
MODULE = 'name = "yard"\nentry_script = "score.py"\nplatforms = ["linux/amd64"]\n'
LINE = "from the meter"
PRINTER = f"import sys\nprint({LINE!r}, flush=True)\nsys.stdin.read()\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Site]:
    """A server with one module that returns its input and collects it."""
    with running_site(tmp_path_factory.mktemp("inputs"), caches, heartbeat_s=2) as made:
        folder = made.folder / "yard"
        folder.mkdir()
        (folder / "module.toml").write_text(MODULE)
        (folder / "score.py").write_text(SCRIPT)
        (folder / "meter.py").write_text(PRINTER)
        made.skerry.ok("module", "build", folder)
        yield made


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker on the device, which is not the server's."""
    folder = tmp_path / "own-broker"
    folder.mkdir()
    program = need("mosquitto_passwd", "mosquitto")
    known = ["-c", "-b", str(folder / "passwords"), "yard", "of the yard"]
    subprocess.run([program, *known], check=True, timeout=20)
    made = Mosquitto(folder, "allow_anonymous false", f"password_file {folder}/passwords")
    made.start()
    yield made
    made.stop()


def test_messages_lines_and_ticks_become_telemetry_and_data_stays_on_the_device(
    site: Site, edge: Callable[..., Edge], broker: Mosquitto
) -> None:
    device = edge(site, "yard-process", "process")
    device.start()
    secrets = device.folder / "inputs/.detector/raw"
    secrets.mkdir(parents=True)
    (secrets / "password").write_text("of the yard\n")
    who = {"user": "yard", "password_file": "password"}
    where = {"host": broker.host, "port": broker.port, **who}
    raw = {"topic": "sensors/+/raw", "broker": where}
    port = free_port()
    env = {"SKERRY_PORT": str(port), "SKERRY_ADDRESS": "127.0.0.1"}
    push(site, device, network="host", env=env, raw=raw, calls={"http": "/score"})
    answered = requests.post(f"http://127.0.0.1:{port}/score", b"by a caller", timeout=30)
    assert answered.json() == "by a caller"
    eventually(lambda: values(device, "calls") == ["by a caller"], 60, why="the request")
    with MqttClient(broker.port, username="yard", password="of the yard") as sensor:
        # The session begins with the first connect: what was published before is nobody's.
        sensor.publish("sensors/first/raw", b"first", retain=True)
        eventually(lambda: values(device, "raw"), 60, why=f"the topic; {device.log()}")
        for n in range(20):
            sensor.publish("sensors/a/raw", b"%d" % n)
    sent = ["first", *(str(n) for n in range(20))]
    eventually(lambda: len(values(device, "raw")) >= len(sent), 60, why="20 messages")
    assert values(device, "raw") == sent
    check(device, {*sent, LINE, "by a caller"})
    device.stop()
    assert not processes_of(device.folder)


def test_a_container_has_lines_and_ticks_and_a_place_for_data_too(
    site: Site, edge: Callable[..., Edge], dockerd: Dockerd
) -> None:
    device = edge(site, "yard-docker", "docker")
    device.configure(docker_socket=str(dockerd.socket))
    device.start()
    push(site, device)
    check(device, {LINE})
    device.stop()


def test_results_go_on_to_another_module_and_to_a_broker_and_only_what_is_meant_to_upstream(
    site: Site, edge: Callable[..., Edge], broker: Mosquitto
) -> None:
    there = {"port": broker.port, "user": "yard", "password": "of the yard"}
    device = edge(site, "yard-routes", "process")
    device.start()
    with MqttClient(broker.port, "yard", "of the yard") as hub:
        hub.subscribe("yard/#")
        deployment = site.push(
            device.name,
            device.name,
            "yard:1",
            inputs={"meter": {"command": ["python3", "meter.py"]}},
            upstream=[],
            routes={"hub": {"topic": "yard/{module}/{stream}", "broker": there}},
            requires=["memory", "pids", "network", "root", "seccomp"],
            others={"after": {"image": "yard:1", "inputs": {"line": {"stream": "detector/*"}}}},
        )
        device.until_committed(deployment)

        def second() -> list[Any]:
            found = site.telemetry(device=device.name, module="after", stream="scores")
            return [json.loads(one["data"]["result"])["result"] for one in found]

        eventually(lambda: LINE in second(), 60, why=f"the second module; {device.log()}")
        (first, *_) = eventually(lambda: hub.messages, why="the hub's message")
    assert (first.topic, json.loads(first.payload)["result"]) == ("yard/detector/scores", LINE)
    assert list(device.scores()) == []
    device.stop()
    assert not processes_of(device.folder)


def push(
    site: Site,
    device: Edge,
    *,
    network: str = "none",
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> None:
    deployment = site.push(
        device.name,
        device.name,
        "yard:1",
        network=network,
        env=dict(env or {}),
        inputs={"meter": {"command": ["python3", "meter.py"]}, "tick": {"every_s": 5}, **more},
        data={"redact": {"user": "drop"}, "budget_mb": 1},
    )
    device.until_committed(deployment)


def check(device: Edge, wanted: set[str]) -> None:
    """The line and the ticks have arrived, and all that was scored is collected."""
    eventually(lambda: LINE in values(device, "meter"), 60, why="the meter's line")
    eventually(lambda: values(device, "tick"), 30, why="the clock")
    eventually(lambda: wanted <= {row["data"] for row in collected(device)}, 30, why="the data")
    assert all("user" not in row for row in collected(device))


def values(device: Edge, name: str) -> list[Any]:
    return [one["data"]["result"] for one in device.scores() if one["data"]["input"] == name]


def collected(device: Edge) -> list[Any]:
    paths = device.folder.glob("data/detector/modelDataCollector/**/*.jsonl")
    lines = [line for path in sorted(paths) for line in path.read_text().splitlines()]
    return [row for line in lines for row in json.loads(line)["data"]]
