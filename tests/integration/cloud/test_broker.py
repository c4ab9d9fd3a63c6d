"""Both broker programs, through the same tests: who gets in, who reads what, what lasts."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skerry_cloud.broker import Broker, BrokerKind, BrokerSettings, provide_tls, start
from skerry_contract.errors import BrokerError, NameInvalidError
from skerry_contract.messages import MAX_PAYLOAD_BYTES
from support.mqtt import MqttClient
from support.ports import free_port
from support.waiting import eventually

pytestmark = pytest.mark.integration

PORCH, ATTIC = "porch-camera", "attic-camera"
SECRET = {PORCH: "p" * 43, ATTIC: "a" * 43}

SERVER = """
import sys
from pathlib import Path
from skerry_cloud.broker import BrokerSettings, start

settings = BrokerSettings(folder=Path(sys.argv[1]), fleet="home", kind=sys.argv[2], port=0)
print(start(settings).pid, flush=True)
sys.stdin.read()
"""


def topic(device: str, tail: str) -> str:
    return f"skerry/v1/home/{device}/{tail}"


def as_device(
    broker: Broker, device: str, *, clean: bool = True, will: tuple[str, bytes] | None = None
) -> MqttClient:
    """Connect as agents do: user name and client id are the device's id."""
    return MqttClient(broker.port, device, SECRET[device], client_id=device, clean=clean, will=will)


def as_service(broker: Broker) -> MqttClient:
    return MqttClient(broker.port, broker.service.username, broker.service.password)


@pytest.fixture
def fleet(broker: Broker) -> Broker:
    for device, secret in SECRET.items():
        broker.accounts.put(device, secret)
    return broker


def test_a_device_and_the_cloud_reach_each_other(fleet: Broker) -> None:
    with as_service(fleet) as cloud, as_device(fleet, PORCH) as device:
        assert cloud.subscribe("skerry/v1/#") == [True]
        assert device.subscribe(topic(PORCH, "desired"), topic(PORCH, "ack")) == [True, True]

        tails = ["reported", "state", "caps", "health", "t/faces/scores", "event/failed"]
        for tail in tails:
            device.publish(topic(PORCH, tail), tail.encode())
        cloud.wait_for(*(tail.encode() for tail in tails))

        cloud.publish(topic(PORCH, "desired"), b"envelope", retain=True)
        cloud.publish(topic(PORCH, "ack"), b"numbers")
        device.wait_for(b"envelope", b"numbers")


def test_what_was_retained_reaches_a_device_that_comes_later(fleet: Broker) -> None:
    with as_service(fleet) as cloud:
        cloud.publish(topic(PORCH, "desired"), b"old", retain=True)
        cloud.publish(topic(PORCH, "desired"), b"new", retain=True)
    with as_device(fleet, PORCH) as device:
        device.subscribe(topic(PORCH, "desired"))
        device.wait_for(b"new")
        assert [(m.payload, m.retain) for m in device.messages] == [(b"new", True)]


def test_a_device_reads_nothing_that_is_not_meant_for_it(fleet: Broker) -> None:
    with as_service(fleet) as cloud, as_device(fleet, PORCH) as device:
        cloud.publish(topic(ATTIC, "desired"), b"retained for another", retain=True)
        device.subscribe(
            topic(ATTIC, "desired"),
            topic("+", "desired"),
            topic(ATTIC, "#"),
            topic(PORCH, "#"),
            "skerry/v1/#",
            "#",
            "$SYS/#",
            "$CONTROL/#",
            "$MQTT/#",
        )
        assert device.subscribe(topic(PORCH, "desired")) == [True]
        cloud.publish(topic(ATTIC, "desired"), b"for another")
        cloud.publish(topic(ATTIC, "t/faces/scores"), b"of another")
        cloud.publish(topic(PORCH, "desired"), b"the last")
        device.wait_for(b"the last")
        assert set(device.payloads()) == {b"the last"}


def test_a_device_writes_nothing_but_its_own_topics(fleet: Broker) -> None:
    with as_service(fleet) as cloud, as_device(fleet, PORCH) as device:
        cloud.subscribe("skerry/v1/#")
        for forbidden in (
            topic(ATTIC, "state"),
            topic(ATTIC, "t/faces/scores"),
            topic(PORCH, "desired"),
            topic(PORCH, "ack"),
            topic(PORCH, "cmd/restart/1/req"),
            topic(PORCH, "unheard-of"),
            "skerry/v1/other/porch-camera/state",
        ):
            device.publish(forbidden, b"forged", retain=True)
        device.publish(topic(PORCH, "state"), b"own")
        cloud.wait_for(b"own")
        assert cloud.payloads() == [b"own"]
    with as_service(fleet) as later:
        later.subscribe("skerry/v1/#")
        later.publish(topic(PORCH, "t/end/end"), b"end")
        later.wait_for(b"end")
        assert b"forged" not in later.payloads()


def test_the_will_of_a_device_that_vanishes_is_delivered_and_retained(fleet: Broker) -> None:
    with as_service(fleet) as cloud:
        cloud.subscribe("skerry/v1/#")
        as_device(fleet, PORCH, will=(topic(PORCH, "state"), b"lost")).connect().drop()
        cloud.wait_for(b"lost")
    with as_service(fleet) as later:
        later.subscribe(topic(PORCH, "state"))
        later.wait_for(b"lost")


def test_a_will_on_anothers_topic_is_not_delivered(fleet: Broker) -> None:
    with as_service(fleet) as cloud:
        cloud.subscribe("skerry/v1/#")
        as_device(fleet, PORCH, will=(topic(ATTIC, "state"), b"forged")).connect().drop()
        as_device(fleet, ATTIC, will=(topic(ATTIC, "state"), b"true")).connect().drop()
        cloud.wait_for(b"true")
        assert b"forged" not in cloud.payloads()


def test_wrong_and_missing_passwords_are_refused(fleet: Broker) -> None:
    for username, password in ((PORCH, SECRET[ATTIC]), (PORCH, ""), ("nobody-here", "x"), ("", "")):
        stranger = MqttClient(fleet.port, username, password, client_id=PORCH).connect()
        assert stranger.refused
        stranger.close()


def test_a_viewer_reads_everything_and_writes_nothing(fleet: Broker) -> None:
    login = fleet.viewer
    with (
        as_service(fleet) as cloud,
        MqttClient(fleet.port, login.username, login.password) as viewer,
        MqttClient(fleet.port, login.username, login.password) as second,
    ):
        assert viewer.subscribe("skerry/v1/#") == [True]
        assert second.subscribe("skerry/v1/home/+/t/#") == [True]
        cloud.subscribe("skerry/v1/#")
        viewer.publish(topic(PORCH, "desired"), b"forged", retain=True)
        cloud.publish(topic(PORCH, "t/faces/scores"), b"true")
        viewer.wait_for(b"true")
        second.wait_for(b"true")
        cloud.wait_for(b"true")
        assert cloud.payloads() == [b"true"]


def test_a_removed_device_is_cut_and_others_stay(fleet: Broker) -> None:
    with as_device(fleet, PORCH) as removed, as_device(fleet, ATTIC) as stays:
        fleet.accounts.remove(PORCH)
        eventually(lambda: not removed.connected, why="the removed device to be cut")
        assert stays.connected
        again = as_device(fleet, PORCH).connect()
        assert again.refused
        again.close()


def test_a_new_password_ends_the_connection_with_the_old_one(fleet: Broker) -> None:
    with as_device(fleet, PORCH) as before, as_service(fleet) as cloud:
        fleet.accounts.put(PORCH, "n" * 43)
        eventually(lambda: not before.connected, why="the old connection to be cut")
        assert as_device(fleet, PORCH).connect().refused
        with MqttClient(fleet.port, PORCH, "n" * 43, client_id=PORCH) as after:
            after.subscribe(topic(PORCH, "desired"))
            cloud.publish(topic(PORCH, "desired"), b"envelope")
            after.wait_for(b"envelope")


def test_a_device_that_is_added_later_gets_in_at_once(fleet: Broker) -> None:
    with as_device(fleet, PORCH) as stays:
        fleet.accounts.put("cellar-camera", "c" * 43)
        with MqttClient(fleet.port, "cellar-camera", "c" * 43, client_id="cellar-camera") as added:
            assert added.subscribe(topic("cellar-camera", "desired")) == [True]
        assert stays.connected


def test_sessions_and_retained_messages_survive_a_stop(fleet: Broker) -> None:
    with as_device(fleet, PORCH, clean=False) as device, as_service(fleet) as cloud:
        device.subscribe(topic(PORCH, "ack"))
        device.close()
        cloud.publish(topic(PORCH, "ack"), b"while away")
        cloud.publish(topic(PORCH, "desired"), b"kept", retain=True)
    port, pid = fleet.port, fleet.pid
    fleet.restart()
    assert (fleet.port, fleet.pid == pid) == (port, False)
    with as_device(fleet, PORCH, clean=False) as device:
        assert device.session_present
        device.wait_for(b"while away")
        device.subscribe(topic(PORCH, "desired"))
        device.wait_for(b"kept")


def test_accounts_and_what_was_saved_survive_a_kill(fleet: Broker) -> None:
    """Mosquitto saves every five seconds: what is younger may be gone, what is older may not."""
    with as_device(fleet, PORCH, clean=False) as device, as_service(fleet) as cloud:
        device.subscribe(topic(PORCH, "ack"))
        cloud.publish(topic(PORCH, "desired"), b"kept", retain=True)
        device.close()
        cloud.publish(topic(PORCH, "ack"), b"while away")
    saved = fleet.folder / "mosquitto.db"
    if fleet.kind == "mosquitto":
        eventually(lambda: saved.exists() and b"while away" in saved.read_bytes(), 15)
    os.kill(fleet.pid, signal.SIGKILL)
    eventually(lambda: not fleet.alive())
    fleet.restart()
    with as_device(fleet, PORCH, clean=False) as device:
        assert device.session_present
        device.wait_for(b"while away")
        device.subscribe(topic(PORCH, "desired"))
        device.wait_for(b"kept")


def test_a_broker_that_dies_is_seen_and_can_be_changed_and_restarted(fleet: Broker) -> None:
    os.kill(fleet.pid, signal.SIGKILL)
    eventually(lambda: not fleet.alive())
    fleet.accounts.remove(ATTIC)
    fleet.restart()
    assert fleet.alive()
    with as_device(fleet, PORCH):
        assert as_device(fleet, ATTIC).connect().refused


def test_no_device_takes_over_the_session_of_another(fleet: Broker) -> None:
    """Only mosquitto can refuse; with nats-server the victim is cut, but nothing leaks."""
    with as_device(fleet, PORCH, clean=False) as victim:
        victim.subscribe(topic(PORCH, "ack"))
        thief = MqttClient(fleet.port, ATTIC, SECRET[ATTIC], client_id=PORCH, clean=False).connect()
        if fleet.kind == "mosquitto":
            assert thief.refused
            assert victim.connected
        else:
            eventually(lambda: not victim.connected)
            with as_service(fleet) as cloud:
                cloud.publish(topic(PORCH, "ack"), b"secret")
            assert thief.subscribe(topic(PORCH, "ack")) == [False]
            thief.publish(topic(ATTIC, "state"), b"still here")
        thief.close()
    with as_device(fleet, PORCH, clean=False) as victim, as_service(fleet) as cloud:
        victim.subscribe(topic(PORCH, "ack"))
        cloud.publish(topic(PORCH, "ack"), b"after")
        victim.wait_for(b"after")
        assert thief.payloads() == []


def test_the_largest_payload_passes_and_what_is_far_larger_cuts_the_sender(fleet: Broker) -> None:
    with as_service(fleet) as cloud, as_device(fleet, PORCH) as device:
        cloud.subscribe("skerry/v1/#")
        largest = b"x" * MAX_PAYLOAD_BYTES
        device.publish(topic(PORCH, "t/faces/scores"), largest)
        cloud.wait_for(largest)
        with contextlib.suppress(RuntimeError):  # raised if the cut comes before the wait
            device.publish(topic(PORCH, "t/faces/scores"), b"x" * (2 * 1024**2))
        eventually(lambda: not device.connected, why="the sender to be cut")
        assert cloud.payloads() == [largest]


def test_tls_is_spoken_with_the_name_and_authority_that_devices_check(
    broker_kind: BrokerKind, tmp_path: Path
) -> None:
    tls = provide_tls(tmp_path / "tls", ["skerry.test"])
    settings = BrokerSettings(
        folder=tmp_path / "broker", fleet="home", kind=broker_kind, port=0, tls=tls
    )
    broker = start(settings)
    try:
        assert broker.tls_ca == tls.ca
        broker.accounts.put(PORCH, SECRET[PORCH])
        with MqttClient(broker.port, PORCH, SECRET[PORCH], client_id=PORCH, ca=broker.tls_ca) as it:
            assert it.subscribe(topic(PORCH, "desired")) == [True]
        other = provide_tls(tmp_path / "other", []).ca
        strict = ssl.create_default_context(cafile=other)
        with (
            socket.create_connection(("127.0.0.1", broker.port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            strict.wrap_socket(plain, server_hostname="127.0.0.1")
    finally:
        broker.stop()


def test_with_tls_who_is_connected_still_hears_when_a_device_is_added(
    broker_kind: BrokerKind, tmp_path: Path
) -> None:
    settings = BrokerSettings(
        folder=tmp_path / "broker",
        fleet="home",
        kind=broker_kind,
        port=0,
        tls=provide_tls(tmp_path / "tls", []),
    )
    broker = start(settings)
    try:
        cloud = broker.service
        with MqttClient(broker.port, cloud.username, cloud.password, ca=broker.tls_ca) as service:
            service.subscribe("skerry/v1/home/+/state")
            broker.accounts.put(PORCH, SECRET[PORCH])
            with MqttClient(
                broker.port, PORCH, SECRET[PORCH], client_id=PORCH, ca=broker.tls_ca
            ) as device:
                device.publish(topic(PORCH, "state"), b"ready")
                service.wait_for(b"ready")
    finally:
        broker.stop()


def test_a_taken_port_is_named(broker: Broker, broker_kind: BrokerKind, tmp_path: Path) -> None:
    settings = BrokerSettings(
        folder=tmp_path / "second", fleet="home", kind=broker_kind, port=broker.port
    )
    with pytest.raises(BrokerError, match=f"port {broker.port} .* taken") as caught:
        start(settings)
    assert "--broker-port" in caught.value.remedy


def test_a_broker_ends_with_a_server_that_is_killed(
    broker_kind: BrokerKind, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "broker"), broker_kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        process = Path(f"/proc/{int(server.stdout.readline())}")
        assert process.exists()
        server.kill()
    eventually(lambda: not process.exists(), why="the broker to end")


def test_a_broker_lives_on_when_the_thread_that_started_it_ends(
    broker_kind: BrokerKind, tmp_path: Path
) -> None:
    settings = BrokerSettings(folder=tmp_path, fleet="home", kind=broker_kind, port=0)
    with ThreadPoolExecutor(1) as starter:
        broker = starter.submit(start, settings).result()
    try:
        with as_service(broker):
            assert broker.alive()
    finally:
        broker.stop()


def test_a_port_that_is_let_go_in_a_moment_is_waited_for(
    broker_kind: BrokerKind, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        letting_go = threading.Timer(0.3, holder.close)
        letting_go.start()
        broker = start(
            BrokerSettings(folder=tmp_path / "broker", fleet="home", kind=broker_kind, port=port)
        )
        letting_go.join()
    assert broker.alive()
    broker.stop()


def test_a_broker_left_behind_by_a_killed_server_is_replaced(
    broker: Broker, broker_kind: BrokerKind
) -> None:
    broker.accounts.put(PORCH, SECRET[PORCH])
    folder = broker.folder
    settings = BrokerSettings(folder=folder, fleet="home", kind=broker_kind, port=broker.port)
    second = start(settings)
    try:
        eventually(lambda: not broker.alive())
        with as_device(second, PORCH):
            pass
    finally:
        second.stop()


def test_a_broker_that_cannot_start_says_why(broker_kind: BrokerKind, tmp_path: Path) -> None:
    tls = provide_tls(tmp_path / "tls", [])
    Path(tls.certificate).write_text("not a certificate")
    settings = BrokerSettings(
        folder=tmp_path / "broker", fleet="home", kind=broker_kind, port=free_port(), tls=tls
    )
    with pytest.raises(BrokerError, match=f"{broker_kind} did not start") as caught:
        start(settings)
    assert "certificate" in caught.value.detail.lower() + caught.value.remedy


def test_a_change_of_program_keeps_the_accounts(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    for kind in ("mosquitto", "nats", "mosquitto"):
        broker = start(BrokerSettings(folder=folder, fleet="home", kind=kind, port=0))
        try:
            if PORCH not in broker.devices:
                broker.accounts.put(PORCH, SECRET[PORCH])
            with as_device(broker, PORCH), as_service(broker):
                pass
        finally:
            broker.stop()


def test_an_id_that_could_not_stand_in_a_topic_is_refused(broker: Broker) -> None:
    for bad in ("#", "+", "a/b/c", "_service"):
        with pytest.raises(NameInvalidError):
            broker.accounts.put(bad, "x" * 43)
