"""The uplink and the outbox against a real broker that comes and goes."""

import json
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import pytest

from skerry_agent.data_meter import DataMeter
from skerry_agent.telling.inbox import Inbox
from skerry_agent.telling.outbox import Entry, Outbox, Rank
from skerry_agent.telling.outgoing import MAX_LOG_BYTES
from skerry_agent.telling.uplink import Boot, Link, Uplink
from skerry_contract import shape
from skerry_contract.device import BrokerAddress, DataBudget
from skerry_contract.messages import MAX_PAYLOAD_BYTES, Ack, Batch, State, StreamAck
from skerry_contract.topics import DeviceTopics
from support.mosquitto import Mosquitto
from support.mqtt import MqttClient
from support.sockets import sends_at_once
from support.waiting import eventually

pytestmark = pytest.mark.integration

TOPICS = DeviceTopics("home", "porch")
SCORES = TOPICS.telemetry("cam", "scores")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", "b1", limit_bytes=10**7)
    yield box
    box.close()


@pytest.fixture
def link(mosquitto: Mosquitto) -> Link:
    mosquitto.start()
    return Link(BrokerAddress("127.0.0.1", mosquitto.port), TOPICS, "secret", resend_s=0.5)


@pytest.fixture
def cloud(link: Link) -> Iterator[MqttClient]:
    with MqttClient(link.broker.port) as client:
        client.subscribe("skerry/v1/#")
        yield client


@pytest.fixture
def uplink(link: Link, outbox: Outbox) -> Iterator[Uplink]:
    started = make(link, outbox)
    started.start()
    yield started
    started.stop()


def make(
    link: Link, outbox: Outbox, inbox: Inbox | None = None, meter: DataMeter | None = None
) -> Uplink:
    births = count(1)
    boot = Boot("b1", lambda: next(births), lambda: "2026-01-01T00:00:00Z")
    counted = meter or DataMeter(Path(mkdtemp()) / "data-used.json")
    return Uplink(link, boot, outbox, inbox or Inbox(), lambda: 1.0, counted)


def put(outbox: Outbox, uplink: Uplink, *data: bytes) -> None:
    entries = [Entry("cam/scores", Rank.TELEMETRY, one) for one in data]
    outbox.put(entries, ts="2026-01-01T00:00:00Z", now_s=1.0)
    uplink.wake()


def items(client: MqttClient) -> list[tuple[int, object]]:
    batches = [
        shape.parse(Batch, data, max_bytes=MAX_PAYLOAD_BYTES) for data in client.payloads(SCORES)
    ]
    return [(item.seq, item.data) for batch in batches for item in batch.items]


def acknowledge(client: MqttClient, seq: int, boot: str = "b1") -> None:
    ack = Ack((StreamAck(boot, "cam/scores", seq),))
    client.publish(TOPICS("ack"), shape.dump(ack))


def states(client: MqttClient) -> list[State]:
    found = client.payloads(TOPICS("state"))
    return [shape.parse(State, data, max_bytes=MAX_PAYLOAD_BYTES) for data in found]


def test_what_is_stored_arrives_and_leaves_on_the_clouds_word(
    cloud: MqttClient, uplink: Uplink, outbox: Outbox
) -> None:
    put(outbox, uplink, b"1", b'{"a":[2]}')
    eventually(lambda: items(cloud) == [(1, 1), (2, {"a": [2]})])
    assert outbox.level().rows == 2  # the broker's word is not enough

    acknowledge(cloud, 2)
    eventually(lambda: outbox.level().rows == 0)


def test_small_packets_do_not_wait_for_those_before(uplink: Uplink, link: Link) -> None:
    eventually(uplink.connected_s, why="a connection")
    assert sends_at_once(link.broker.port) == [True]


def test_what_nobody_acknowledges_is_sent_again(
    cloud: MqttClient, uplink: Uplink, outbox: Outbox
) -> None:
    put(outbox, uplink, b"1")

    eventually(lambda: items(cloud)[:2] == [(1, 1), (1, 1)])


def test_a_number_that_was_never_sent_acknowledges_nothing(
    cloud: MqttClient, uplink: Uplink, outbox: Outbox
) -> None:
    put(outbox, uplink, b"1")
    eventually(lambda: items(cloud))
    acknowledge(cloud, 10**6, boot="b0")
    acknowledge(cloud, 10**6)
    eventually(lambda: outbox.level().rows == 0)
    put(outbox, uplink, b"2")

    eventually(lambda: (2, 2) in items(cloud))
    assert outbox.level().rows == 1


def test_where_no_cloud_listens_the_brokers_word_counts(link: Link, outbox: Outbox) -> None:
    uplink = make(replace(link, trim_on_puback=True), outbox)
    uplink.start()
    put(outbox, uplink, *(b"%d" % n for n in range(500)))

    eventually(lambda: outbox.level().rows == 0)
    uplink.stop()


def test_everything_survives_a_broker_that_is_killed_and_loses_its_memory(
    mosquitto: Mosquitto, uplink: Uplink, outbox: Outbox
) -> None:
    uplink.publish("caps", {"agent": "1"})
    mosquitto.kill()
    put(outbox, uplink, b"1", b"2")
    for file in (mosquitto._folder).glob("*.db"):
        file.unlink()
    mosquitto.start()

    with MqttClient(mosquitto.port) as cloud:
        cloud.subscribe("skerry/v1/#")
        eventually(lambda: {1, 2} <= {seq for seq, _ in items(cloud)}, 20)
        eventually(lambda: cloud.payloads(TOPICS("caps")) and states(cloud))
        acknowledge(cloud, 2)
        eventually(lambda: outbox.level().rows == 0, 20)


@pytest.mark.usefixtures("uplink")
def test_each_connection_has_a_higher_birth_and_a_will_of_its_own(mosquitto: Mosquitto) -> None:
    with MqttClient(mosquitto.port) as watcher:
        watcher.subscribe(TOPICS("state"))
        first = eventually(lambda: states(watcher))[-1].birth
    mosquitto.kill()
    mosquitto.start()

    with MqttClient(mosquitto.port) as watcher:
        watcher.subscribe(TOPICS("state"))
        eventually(lambda: [s for s in states(watcher) if s.birth > first], 20)


def test_a_clean_stop_says_goodbye_and_leaves_no_will(
    cloud: MqttClient, link: Link, outbox: Outbox
) -> None:
    uplink = make(link, outbox)
    uplink.start()
    eventually(lambda: states(cloud))
    uplink.set_state("disconnected")
    uplink.stop()

    eventually(lambda: states(cloud)[-1].state == "disconnected")


def test_desired_documents_are_passed_on_as_they_came(
    cloud: MqttClient, link: Link, outbox: Outbox
) -> None:
    inbox = Inbox()
    cloud.publish(TOPICS("desired"), b"retained before", retain=True)
    uplink = make(link, outbox, inbox)
    uplink.start()
    assert eventually(inbox.take) == b"retained before"
    cloud.publish(TOPICS("desired"), b"x" * 200_000)
    assert len(eventually(inbox.take)) == 64 * 1024 + 1  # enough to see that it is too long
    cloud.publish(TOPICS("ack"), b"\xff not an ack")
    cloud.publish(TOPICS("desired"), json.dumps({"v": 2}).encode())
    assert eventually(inbox.take) == b'{"v": 2}'
    uplink.stop()


def test_requests_come_as_they_are_and_responses_are_said_until_they_are_confirmed(
    mosquitto: Mosquitto, link: Link, outbox: Outbox
) -> None:
    inbox, tail = Inbox(), "cmd/check/0123456789abcdef/res"
    uplink = make(link, outbox, inbox)
    uplink.start()
    with MqttClient(mosquitto.port) as cloud:
        cloud.subscribe("skerry/v1/#")
        eventually(uplink.is_connected)
        eventually(lambda: states(cloud))
        cloud.publish(TOPICS.request("check", "0123456789abcdef"), b"a request")
        assert eventually(inbox.take_request) == b"a request"
        uplink.answer(tail, {"state": "accepted"})
        uplink.answer(tail, {"state": "successful"})
        eventually(lambda: cloud.payloads(TOPICS(tail))[-1:] == [b'{"state":"successful"}'])

    mosquitto.kill()
    mosquitto.start()
    with MqttClient(mosquitto.port) as cloud:
        cloud.subscribe("skerry/v1/#")
        eventually(lambda: cloud.payloads(TOPICS(tail)) == [b'{"state":"successful"}'], 20)
        cloud.publish(TOPICS("ack"), shape.dump(Ack(commands=("0123456789abcdef",))))
        assert eventually(inbox.take_confirmed) == ["0123456789abcdef"]
    uplink.settle(tail)
    mosquitto.kill()
    mosquitto.start()
    with MqttClient(mosquitto.port) as cloud:
        cloud.subscribe("skerry/v1/#")
        eventually(lambda: states(cloud), 20)
        assert cloud.payloads(TOPICS(tail)) == []
    uplink.stop()


def test_batches_are_compressed_once_the_cloud_says_that_it_reads_them(
    cloud: MqttClient, link: Link, outbox: Outbox
) -> None:
    uplink = make(replace(link, compress=True), outbox)
    uplink.start()
    data = [b'{"score":0.%d,"label":"a face"}' % n for n in range(30)]
    put(outbox, uplink, *data)
    eventually(lambda: len(items(cloud)) >= 30)  # in the clear: nobody has said anything yet
    acks = (StreamAck("b1", "cam/scores", 30),)
    cloud.publish(TOPICS("ack"), shape.dump(Ack(acks, reads=("zlib",))))
    eventually(lambda: outbox.level().rows == 0)
    put(outbox, uplink, *data)

    (packed, *_) = eventually(lambda: cloud.payloads(TOPICS.compressed("cam", "scores")))
    plain = zlib.decompress(packed)
    assert len(packed) * 3 < len(plain)
    batch = shape.parse(Batch, plain, max_bytes=MAX_PAYLOAD_BYTES)
    assert [item.seq for item in batch.items] == list(range(31, 61))
    # Nobody acknowledges: perhaps whoever reads it now does not know that form.
    eventually(lambda: (31, json.loads(data[0])) in items(cloud), 20)
    uplink.stop()


def test_telemetry_may_be_told_to_wait_and_events_never_do(
    cloud: MqttClient, link: Link, outbox: Outbox
) -> None:
    uplink = make(replace(link, telemetry_every_s=600.0, resend_s=600.0), outbox)
    uplink.start()
    eventually(lambda: states(cloud))
    put(outbox, uplink, b"1")
    eventually(lambda: items(cloud) == [(1, 1)])  # the first round is due at once
    put(outbox, uplink, b"2")
    outbox.put([Entry("event/failed", Rank.EVENT, b'"!"')], ts="t", now_s=1.0)
    uplink.wake()
    eventually(lambda: cloud.payloads(TOPICS.event("failed")))
    assert items(cloud) == [(1, 1)]
    uplink.stop()


def test_telemetry_stays_within_the_months_budget_and_waits_in_the_outbox(
    cloud: MqttClient, link: Link, outbox: Outbox, tmp_path: Path
) -> None:
    meter = DataMeter(tmp_path / "data-used.json", DataBudget(telemetry_mb=1))
    meter.charge("telemetry", sent=2**20 - 5000)
    uplink = make(replace(link, resend_s=600.0), outbox, meter=meter)
    uplink.start()
    put(outbox, uplink, b'"' + b"x" * 2000 + b'"')
    eventually(lambda: items(cloud), why="what there is room for")
    put(outbox, uplink, b'"' + b"y" * 10_000 + b'"')
    outbox.put([Entry("event/failed", Rank.EVENT, b'"!"')], ts="t", now_s=1.0)
    uplink.wake()
    eventually(lambda: cloud.payloads(TOPICS.event("failed")))
    uplink.stop()
    assert [seq for seq, _ in items(cloud)] == [1]
    assert outbox.level().rows == 3
    used = meter.used().used
    assert used["telemetry"].sent > 2**20 - 5000 + 2000
    assert used["control"].sent > 0
    assert used["control"].received > 0


def test_lines_of_a_log_are_lost_where_there_is_no_connection(link: Link, outbox: Outbox) -> None:
    uplink = make(link, outbox)
    assert not uplink.ship("log/cam", b"{}")
    uplink.start()
    with MqttClient(link.broker.port) as cloud:
        cloud.subscribe("skerry/v1/#")
        eventually(uplink.is_connected)
        assert uplink.ship("log/cam", b'{"lines":["x"]}')
        cloud.wait_for(b'{"lines":["x"]}')
        assert not uplink.ship("log/cam", b"x" * (MAX_LOG_BYTES + 1))
    uplink.stop()


def test_a_broker_that_is_down_at_the_start_is_told_and_tried_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "o.db", "b1", limit_bytes=1000)
    link = Link(BrokerAddress("127.0.0.1", mosquitto.port), TOPICS, "secret")
    uplink = make(link, outbox)
    uplink.start()
    problem = eventually(lambda: uplink.problem)
    assert (problem.code, f":{mosquitto.port}" in problem.text) == ("BROKER", True)

    mosquitto.start()
    eventually(lambda: uplink.problem is None, 20)
    uplink.stop()
    outbox.close()


CONNACK = b"\x20\x02\x00\x00"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"\x20\x00", id="a CONNACK of nothing"),
        pytest.param(b"\x20\x01\x00", id="half a CONNACK"),
        pytest.param(b"\xff" * 64, id="a length without an end"),
        pytest.param(CONNACK + b"\x30\x00", id="a PUBLISH of nothing"),
        pytest.param(CONNACK + b"\x30\x03\xff\xffx", id="a topic that is longer than its message"),
        pytest.param(CONNACK + b"\x30\x04\x00\x02\xff\xfe", id="a topic that is no text"),
        pytest.param(CONNACK + b"\x40\x01\x00", id="half a PUBACK"),
        pytest.param(CONNACK + b"\x90\x02\x00\x01", id="a SUBACK of nothing"),
        pytest.param(CONNACK + b"\xf0\x02\x00\x01", id="a packet that is none"),
    ],
)
def test_a_broker_that_sends_rubbish_is_told_and_tried_again(
    link: Link, outbox: Outbox, answer: bytes
) -> None:
    came: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    came.append(1)
                    with connection, suppress(OSError):
                        connection.settimeout(1.0)
                        connection.recv(4096)
                        connection.sendall(answer)
                        connection.recv(4096)

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        uplink = make(replace(link, broker=BrokerAddress("127.0.0.1", port)), outbox)
        uplink.start()
        try:
            eventually(lambda: len(came) >= 2, 20)
            eventually(lambda: uplink.problem is not None)
        finally:
            uplink.stop()
        server.shutdown(socket.SHUT_RDWR)
