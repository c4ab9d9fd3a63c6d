"""From a device's MQTT connection to what the API says of it, over a real broker."""

import json
import os
import shutil
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry_contract import shape
from skerry_contract.messages import (
    Ack,
    Batch,
    Caps,
    Health,
    Item,
    Reported,
    RuntimeCaps,
    State,
)
from support.cloud_server import CloudServer
from support.fake_device import WHEN, FakeDevice
from support.mqtt import MqttClient
from support.sockets import sends_at_once
from support.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["mosquitto", "nats"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CloudServer]:
    with CloudServer(tmp_path_factory.mktemp("data"), broker=request.param) as running:
        yield running


@pytest.fixture
def device(server: CloudServer, request: pytest.FixtureRequest) -> Iterator[FakeDevice]:
    number = abs(hash(request.node.name)) % 10**8
    connected = FakeDevice(server, f"dev-{number}", State("lost", "b1", 5, WHEN))
    yield connected
    connected.mqtt.close()


def test_what_a_device_says_of_itself_is_what_the_api_tells(device: FakeDevice) -> None:
    caps = Caps("b1", WHEN, "0.1", "linux/amd64", "3.11", RuntimeCaps("process", "none"))
    device.say("caps", caps)
    device.say("state", State("ready", "b1", 5, WHEN))
    device.say("reported", Reported("b1", WHEN, version=0, phase="idle"))
    assert device.seen()["presence"] == "unknown"
    device.say("health", Health("b1", WHEN, 60.0, {"load": 0.5}))
    eventually(lambda: device.seen()["presence"] == "online")
    seen = device.seen()
    assert seen["caps"] == shape.write(caps)
    assert seen["reported"]["phase"] == "idle"
    assert seen["health"]["metrics"] == {"load": 0.5}
    assert (seen["state"], seen["error"]) == ("ready", None)


def test_small_packets_of_the_cloud_do_not_wait_for_those_before(server: CloudServer) -> None:
    assert set(sends_at_once(server.broker_port)) == {True}


def test_a_device_that_vanishes_is_offline_by_its_will(device: FakeDevice) -> None:
    device.say("state", State("ready", "b1", 5, WHEN))
    device.say("health", Health("b1", WHEN, 60.0))
    eventually(lambda: device.seen()["presence"] == "online")
    device.mqtt.drop()
    eventually(lambda: device.seen()["presence"] == "offline")
    assert device.seen()["state"] == "lost"


def test_the_will_of_a_connection_that_was_followed_by_another_is_ignored(
    device: FakeDevice,
) -> None:
    device.say("state", State("ready", "b1", 6, WHEN))
    device.say("health", Health("b1", WHEN, 60.0))
    eventually(lambda: device.seen()["presence"] == "online")
    device.say("state", State("lost", "b1", 5, WHEN))
    device.say("reported", Reported("b1", WHEN))
    eventually(lambda: device.seen()["reported"])
    assert (device.seen()["presence"], device.seen()["state"]) == ("online", "ready")


def test_a_goodbye_outweighs_the_heartbeat_that_it_overtook(device: FakeDevice) -> None:
    device.say("state", State("disconnected", "b1", 5, WHEN))
    device.say("health", Health("b1", WHEN, 60.0, {"late": 1.0}))
    eventually(lambda: (device.seen()["health"] or {}).get("metrics") == {"late": 1.0})
    assert device.seen()["presence"] == "offline"
    device.say("state", State("ready", "b1", 6, WHEN))
    eventually(lambda: device.seen()["presence"] == "online")


def test_a_device_tells_how_often_its_modules_failed_to_score(device: FakeDevice) -> None:
    data = {"severity": "error", "code": "SCORER", "text": "no image", "module": "faces"}
    items = tuple(Item(n, WHEN, data) for n in (1, 2))
    device.mqtt.publish(device.topics("event/scoring-failed"), shape.dump(Batch("b1", 1, items)))
    eventually(lambda: device.seen()["events"])
    assert device.seen()["failures"] == {"faces": {"count": 2, "text": "no image"}}


def test_missed_heartbeats_make_a_device_unknown(device: FakeDevice) -> None:
    device.say("health", Health("b1", WHEN, 0.2))
    eventually(lambda: device.seen()["presence"] == "online")
    eventually(lambda: device.seen()["presence"] == "unknown")


def test_telemetry_is_stored_once_and_acknowledged_without_gaps(device: FakeDevice) -> None:
    device.send(1, 2, 3)
    device.wait_acknowledged(3)
    device.send(2, 3, 4)
    device.send(6, 7)
    device.wait_acknowledged(4)
    device.send(5)
    device.wait_acknowledged(7)
    device.send(1, 2, 3, 4, 5, 6, 7)
    device.send(9, floor=9)
    device.wait_acknowledged(9)
    assert device.stored() == [1, 2, 3, 4, 6, 7, 5, 9]


def test_boots_and_streams_are_counted_apart(device: FakeDevice) -> None:
    device.send(1)
    device.send(1, boot="b2")
    device.send(1, tail="t/m/other")
    device.send(1, tail="event/started")
    for which in (
        {},
        {"boot": "b2"},
        {"stream": "m/other"},
        {"stream": "event/started"},
    ):
        device.wait_acknowledged(1, **which)
    assert device.stored() == [1, 1, 1]
    assert device.stored(stream="other") == [1]
    assert device.stored(module="event") == [1]
    assert [event["type"] for event in device.seen()["events"]] == ["started"]


def test_waiting_for_telemetry_ends_when_it_comes(device: FakeDevice) -> None:
    start = device.server.get("/v1/telemetry")["next"]
    before = time.monotonic()
    device.send(1)
    path = f"/v1/telemetry?device={device.name}&after={start}&wait_s=20"
    page = device.server.get(path)
    assert [item["seq"] for item in page["items"]] == [1]
    assert time.monotonic() - before < 15
    assert device.server.get(f"/v1/telemetry?device={device.name}&after={page['next']}") == {
        "items": [],
        "next": page["next"],
    }


@pytest.mark.parametrize(
    ("tail", "payload", "says"),
    [
        pytest.param("caps", b"{", "not JSON", id="half a document"),
        pytest.param("health", b'{"boot":"b1","ts":"x","interval_s":-1}', "interval_s", id="range"),
        pytest.param("t/m/s", b'{"boot":"b1","floor":9,"items":[{"seq":1,"ts":"","data":1}]}',
                     "floor", id="a floor above what is sent"),
        pytest.param("t/m/s", b'{"boot":"b1","floor":1,"items":[{"seq":1,"ts":"","data":1e999}]}',
                     "not JSON", id="a number beyond all"),
        pytest.param("t/m/s",
                     b'{"boot":"b1","floor":1,"items":[{"seq":1,"ts":"","data":"\\ud800"}]}',
                     "not JSON", id="half a character"),
        pytest.param("t/m/s", b"[" * 60_000, "nested", id="deep nesting"),
        pytest.param("state", b"\xff\xfe", "not JSON", id="bytes"),
        pytest.param("t/m/s", b"x" * 140_000, "at most", id="too large"),
    ],
)  # fmt: skip
def test_a_wrong_payload_is_told_and_harms_nothing(
    device: FakeDevice, tail: str, payload: bytes, says: str
) -> None:
    device.mqtt.publish(device.topics(tail), payload)
    device.send(1)
    device.wait_acknowledged(1)
    error = device.seen()["error"]
    assert says in error["text"]
    assert error["topic"] == device.topics(tail)


def test_a_push_reaches_the_device_and_its_progress_comes_back(device: FakeDevice) -> None:
    server = device.server
    server.build("ingested")
    text = f"name: {device.name}\ntarget: {{devices: [{device.name}]}}\nmodules: {{}}\n"
    server.post("/v1/deployments", text.encode())
    topic = device.topics("desired")
    eventually(lambda: device.mqtt.payloads(topic), why="the desired document")
    answer = server.ask("GET", f"/v1/devices/{device.name}/desired", token=device.token)
    assert answer.content == device.mqtt.payloads(topic)[-1]

    path = f"/v1/deployments/{device.name}/latest"
    assert server.get(path)["devices"][0]["phase"] == "waiting"
    device.say("reported", Reported("b1", WHEN, 1, f"{device.name}:1", "committed", 1))
    eventually(lambda: server.get(path)["devices"][0]["phase"] == "committed")
    assert server.ask("DELETE", path).status_code == 200
    eventually(lambda: len(device.mqtt.payloads(topic)) == 2, why="the withdrawal")


def test_a_device_of_another_platform_gets_other_images(device: FakeDevice) -> None:
    server = device.server
    server.build("portable", platforms=["linux/amd64", "linux/arm64"])
    text = (
        f"name: p-{device.name}\ntarget: {{devices: [{device.name}]}}\n"
        "modules: {m: {image: 'portable:1'}}\n"
    )
    server.post("/v1/deployments", text.encode())
    caps = Caps("b1", WHEN, "0.1", "linux/arm64", "3.11", RuntimeCaps("process", "none"))
    device.say("caps", caps)
    eventually(lambda: device.seen()["desired"]["platform"] == "linux/arm64")
    image = server.get("/v1/modules/portable/1")["images"]["linux/arm64"]
    document = json.loads(server.ask("GET", f"/v1/devices/{device.name}/desired").content)
    target = document["director"]["targets"]["signed"]["targets"]["m"]
    assert f"sha256:{target['hashes']['sha256']}" == image["digest"]


def test_a_removed_device_leaves_nothing_on_the_broker(device: FakeDevice) -> None:
    device.say("state", State("ready", "b1", 5, WHEN))
    device.say("health", Health("b1", WHEN, 60.0))
    eventually(lambda: device.seen()["presence"] == "online")
    info = device.server.get("/v1/info")["broker"]
    assert device.server.ask("DELETE", f"/v1/devices/{device.name}").status_code == 204
    eventually(lambda: not device.mqtt.connected, why="the broker to cut the device")

    def left() -> list[Any]:
        with MqttClient(info["port"], info["username"], info["password"]) as viewer:
            viewer.subscribe(f"{device.topics.prefix}/#")
            time.sleep(0.2)
            return [m for m in viewer.messages if m.payload]

    eventually(lambda: left() == [], why="retained messages to be cleared")


@pytest.mark.parametrize("kind", ["mosquitto", "nats"])
def test_desired_documents_survive_a_broker_that_forgets_everything(
    tmp_path: Path, kind: str
) -> None:
    with CloudServer(tmp_path / "data", broker=kind) as server:
        device = FakeDevice(server, "forgotten-cam")
        text = b"name: x\ntarget: {devices: [forgotten-cam]}\nmodules: {}\n"
        server.post("/v1/deployments", text)
        topic = device.topics("desired")
        eventually(lambda: device.mqtt.payloads(topic))
        state = tmp_path / "data" / "broker"
        pid = broker_pid(state)
        os.kill(pid, signal.SIGKILL)
        (state / "mosquitto.db").unlink(missing_ok=True)
        shutil.rmtree(state / "jetstream", ignore_errors=True)
        eventually(lambda: server.ask("GET", "/healthz").status_code == 503, within_s=15)
        eventually(lambda: server.ask("GET", "/healthz").status_code == 200, within_s=30)
        device.mqtt.close()
        device.mqtt = device._connect()
        eventually(lambda: device.mqtt.payloads(topic), why="the document, published again")
        device.send(1)
        device.wait_acknowledged(1)
        device.mqtt.close()


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    with CloudServer(tmp_path / "data") as server:
        device = FakeDevice(server, "lasting-cam")
        device.say("health", Health("b1", WHEN, 3600.0))
        device.send(1, 2)
        device.wait_acknowledged(2)
        device.mqtt.close()
    with CloudServer(tmp_path / "data") as server:
        device.server = server
        assert device.stored() == [1, 2]
        assert device.seen()["presence"] == "online"
        # What is sent again after the restart is not stored again.
        device.mqtt = device._connect()
        device.send(1, 2, 3)
        device.wait_acknowledged(3)
        assert device.stored() == [1, 2, 3]
        device.mqtt.close()


def broker_pid(folder: Path) -> int:
    """Return the process whose command names the broker's folder."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            command = (entry / "cmdline").read_bytes() if (entry / "cmdline").exists() else b""
            if str(folder).encode() in command:
                return int(entry.name)
    pytest.fail(f"no broker in {folder}")


def test_what_comes_compressed_is_stored_and_handed_on_to_everybody_once(
    server: CloudServer, device: FakeDevice
) -> None:
    broker = server.get("/v1/info")["broker"]
    topic = device.topics.telemetry("m", "s")
    account = (broker["username"], broker["password"])
    with MqttClient(server.broker_port, *account) as reader:
        reader.subscribe(topic)
        device.send(1)
        device.wait_acknowledged(1)
        told = shape.parse(Ack, device.mqtt.payloads(device.topics("ack"))[-1], max_bytes=10_000)
        assert told.reads == ("zlib",)
        plain = shape.dump(Batch("b1", 1, tuple(Item(n, WHEN, {"n": n}) for n in range(2, 40))))
        device.mqtt.publish(device.topics.compressed("m", "s"), zlib.compress(plain))
        device.wait_acknowledged(39)
        reader.wait_for(plain)
        # Our own words come back to us: they are no second arrival.
        before = server.get("/v1/info")["ingest"]["items"]
        device.send(40)
        device.wait_acknowledged(40)
        assert server.get("/v1/info")["ingest"]["items"] == before + 1
        assert len(reader.payloads(topic)) == 3
    assert device.stored() == list(range(1, 41))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        zlib.compress(b"{}")[:-3],
        zlib.compress(b" " * 10**6),
        zlib.compress(b"{}") + b"!",
    ],
    ids=["empty", "not zlib", "cut off", "a bomb", "more behind it"],
)
def test_what_cannot_be_inflated_is_told_and_harms_nobody(
    device: FakeDevice, payload: bytes
) -> None:
    device.mqtt.publish(device.topics.compressed("m", "s"), payload)
    device.send(1)
    device.wait_acknowledged(1)
    if payload:
        eventually(lambda: device.seen()["error"])
