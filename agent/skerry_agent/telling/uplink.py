"""The device's one connection to the broker, kept for as long as the agent runs.

A thread of its own does all that touches the client: it connects, says what the device is, passes
desired documents on, and carries the outbox. Others leave the newest retained document with
``publish`` and are never held up. Each connection is a new client with a new last will; the
session at the broker is the same one, and what the broker has lost is said again anyway.
"""

import logging
import os
import select
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from skerry_agent.core.backoff import delay_s
from skerry_agent.core.window import Stored, Window, batches, payload
from skerry_agent.data_meter import DataMeter
from skerry_agent.telling.inbox import Inbox
from skerry_agent.telling.link_meter import LinkMeter
from skerry_agent.telling.outbox import Outbox, Rank
from skerry_agent.telling.outgoing import Outgoing
from skerry_contract import shape, topics
from skerry_contract.commands import MAX_REQUEST_BYTES
from skerry_contract.desired import MAX_ENVELOPE_BYTES
from skerry_contract.device import BrokerAddress
from skerry_contract.errors import BrokerError, ContractError, SkerryError
from skerry_contract.messages import MAX_PAYLOAD_BYTES, Ack, Cause, DeviceState, State
from skerry_contract.topics import DeviceTopics

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
GOODBYE_S = 3.0
"""Longest time that a clean stop waits for the broker to take the last word."""
_TURN_S = 1.0
_BATCH_ITEMS = 50
_ZLIB_LEVEL = 6
_CAUSES: dict[Rank, Cause] = {Rank.TELEMETRY: "telemetry", Rank.SAMPLE: "samples"}


@dataclass(frozen=True, slots=True)
class Link:
    """How to reach the broker, and as whom.

    Attributes:
        broker: Where it listens.
        topics: The device's topics; its id is the user name and the client id too.
        password: The device's secret.
        ca: File with the certificates to believe, where the broker speaks TLS.
        trim_on_puback: Whether items leave the outbox when the broker has them, for want of a
            Skerry cloud that acknowledges.
        resend_s: Seconds without an acknowledgement after which items are sent again.
        telemetry_every_s: Least seconds between two rounds of telemetry.
        compress: Whether batches are sent compressed where the cloud reads that.
    """

    broker: BrokerAddress
    topics: DeviceTopics
    password: str
    ca: Path | None = None
    trim_on_puback: bool = False
    resend_s: float = 15.0
    telemetry_every_s: float = 0.0
    compress: bool = False


@dataclass(frozen=True, slots=True)
class Boot:
    """This run of the agent.

    Attributes:
        id: Boot id.
        next_birth: Gives a number that grows with every connection.
        now_text: Gives the time as text for people.
    """

    id: str
    next_birth: Callable[[], int]
    now_text: Callable[[], str]


class Uplink:
    """Keeps the connection; ``start`` it once, and ``stop`` it at the end.

    Args:
        link: How to reach the broker.
        boot: This run of the agent.
        outbox: What to carry to the cloud.
        inbox: Where what comes is left, as it came.
        age_now_s: The clock by which the outbox tells ages.
        meter: Counts what crosses the network.
    """

    def __init__(
        self,
        link: Link,
        boot: Boot,
        outbox: Outbox,
        inbox: Inbox,
        age_now_s: Callable[[], float],
        meter: DataMeter,
    ) -> None:
        self._link = link
        self._boot = boot
        self._outbox = outbox
        self._outgoing = Outgoing()
        self.inbox = inbox
        self.age_now_s = age_now_s
        self.meter = meter
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._connected_since: float | None = None
        self._connected_s = 0.0
        self.problem: SkerryError | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def publish(self, tail: str, document: Any) -> None:
        """Leave the newest version of a retained document; it is sent when that is possible."""
        self._outgoing.publish(tail, document)
        self.wake()

    def set_state(self, state: DeviceState) -> None:
        """Say what the device is about."""
        if self._outgoing.set_state(state):
            self.wake()

    @property
    def state(self) -> DeviceState:
        """What the device is about, as it was set last."""
        return self._outgoing.state

    def answer(self, tail: str, document: Any) -> None:
        """Send a response, and again after every connect until it is settled."""
        self._outgoing.answer(tail, document)
        self.wake()

    def settle(self, tail: str) -> None:
        """Send a response no more: the cloud has it."""
        self._outgoing.settle(tail)

    def ship(self, tail: str, data: bytes) -> bool:
        """Send lines of a log once, if there is a connection and room; return whether there is."""
        if not self.is_connected() or self.meter.left("logs") == 0:
            return False
        if not self._outgoing.ship(tail, data):
            return False
        self.wake()
        return True

    def wake(self) -> None:
        """Make the thread look at once: there is something to send."""
        with suppress(BlockingIOError):  # the pipe is full: it is awake already
            os.write(self._wake_write, b"!")

    def is_connected(self) -> bool:
        """Return whether the broker has taken the connection that there is now."""
        return self._connected_since is not None

    def connected_s(self) -> float:
        """Return for how many seconds there was a connection since the start, in all."""
        since = self._connected_since
        return self._connected_s + (time.monotonic() - since if since is not None else 0.0)

    def stop(self) -> None:
        """Say goodbye, if the broker can be reached, and end the thread."""
        self._stopping.set()
        self.wake()
        self._thread.join(CONNECT_TIMEOUT_S + GOODBYE_S)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            session = _Session(self._link, self._boot, self)
            try:
                session.run()
            except (OSError, SkerryError) as error:
                failures = self._failed(error, 0 if session.connected else failures)
            except Exception as error:  # what a broker sends must not take the device off for good
                log.exception("broker %s", self._link.broker.host)
                said = BrokerError(f"it sends what cannot be read: {error!r}")
                failures = self._failed(said, failures)
            finally:
                self._note_connection(up=False)

    def _failed(self, error: OSError | SkerryError, failures: int) -> int:
        """Tell of a session that broke, wait, and return how many there were in a row."""
        failures += 1
        self._note_connection(up=False)
        self.problem = _broker_error(self._link.broker, error)
        pause_s = delay_s(failures)
        log.warning("%s; next try in %.1f s", self.problem, pause_s)
        self._stopping.wait(pause_s)
        return failures

    def _note_connection(self, *, up: bool) -> None:
        self._connected_s = self.connected_s()
        self._connected_since = time.monotonic() if up else None
        if up:
            self.problem = None

    # --- what a session needs ---------------------------------------------------------------

    def take_unsent(self, birth: int, *, everything: bool) -> list[tuple[str, bytes]]:
        """Return the retained documents to send now, ``state`` last."""
        ts = self._boot.now_text()
        return self._outgoing.take_retained(self._boot.id, birth, ts, everything=everything)

    def take_answers(self, *, everything: bool) -> list[tuple[str, bytes]]:
        """Return the responses to send now."""
        return self._outgoing.take_answers(everything=everything)

    def take_lines(self) -> list[tuple[str, bytes]]:
        """Return the lines of logs to send now."""
        return self._outgoing.take_lines()

    def drain_wake(self) -> None:
        """Empty the pipe that ``wake`` writes to."""
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    @property
    def wake_descriptor(self) -> int:
        """Readable when there is something to send."""
        return self._wake_read

    @property
    def stopping(self) -> bool:
        """Whether the agent ends."""
        return self._stopping.is_set()

    @property
    def outbox(self) -> Outbox:
        """What to carry to the cloud."""
        return self._outbox

    def connected(self) -> None:
        """Note that the broker has taken the connection."""
        self._note_connection(up=True)
        log.info("connected to %s:%s", self._link.broker.host, self._link.broker.port)


class _Session:
    """One connection, from CONNECT to its end."""

    def __init__(self, link: Link, boot: Boot, uplink: Uplink) -> None:
        self._link = link
        self._uplink = uplink
        self._birth = boot.next_birth()
        self._window = Window(link.resend_s)
        self._next_telemetry = 0.0
        self._cloud_reads_zlib = False
        self._meter = LinkMeter(uplink.meter)
        self._told_budget = False
        self._on_puback: dict[int, tuple[str, str, int]] = {}
        self._refused: SkerryError | None = None
        self.connected = False
        will = State("lost", boot.id, self._birth, boot.now_text())
        self._client = self._make_client(shape.dump(will))

    def _make_client(self, will: bytes) -> mqtt.Client:
        link = self._link
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=link.topics.device, clean_session=False
        )
        client.username_pw_set(link.topics.device, link.password)
        client.will_set(link.topics(topics.STATE), will, qos=1, retain=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_socket_open = _send_at_once
        if link.broker.tls:
            client.tls_set_context(ssl.create_default_context(cafile=link.ca))
        client.on_connect = self._connect_answered
        client.on_message = self._received
        client.on_publish = self._published
        return client

    def run(self) -> None:
        """Serve the connection until it ends or the agent stops.

        Raises:
            OSError: There was no connection, or it broke.
            BrokerError: The broker did not accept us, or went silent.
        """
        client, broker = self._client, self._link.broker
        client.connect(broker.host, broker.port, KEEPALIVE_S)
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._uplink.stopping:
            self._turn(_TURN_S)
            self._settle()
            if self.connected:
                self._send()
            elif time.monotonic() > deadline:
                raise BrokerError("no answer to CONNECT")
        if self.connected:
            self._say_goodbye()
        self._settle(at_once=True)
        client.disconnect()

    def _settle(self, *, at_once: bool = False) -> None:
        # Paho types it as what it needs of it; it is a plain socket, or one of TLS.
        sock = cast("socket.socket | None", self._client.socket())
        self._meter.settle(sock, time.monotonic(), at_once=at_once)

    def _turn(self, timeout_s: float) -> None:
        """Wait for something to happen on the connection, and let the client handle it."""
        client, wake = self._client, self._uplink.wake_descriptor
        sock = client.socket()
        if sock is None:
            raise self._refused or BrokerError("the connection was closed")
        writers = [sock] if client.want_write() else []
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        readers: list[Any] = [sock, wake]
        readable, writable, _ = select.select(readers, writers, [], 0 if pending else timeout_s)
        if wake in readable:
            self._uplink.drain_wake()
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        if sock in readable or pending:
            code = client.loop_read()
        if writable and code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = client.loop_write()
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            code = client.loop_misc()
        if self._refused is not None:
            raise self._refused
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerError(mqtt.error_string(code))

    def _connect_answered(self, client: mqtt.Client, *args: Any) -> None:
        reason = args[2]
        if reason.is_failure:
            self._refused = BrokerError(
                f"the broker refused {self._link.topics.device}: {reason}",
                remedy="Flash the device again if its token was replaced or the device removed.",
            )
            return
        tails = (*topics.TO_DEVICE, topics.REQUESTS)
        client.subscribe([(self._link.topics(tail), 1) for tail in tails])
        self.connected = True
        self._uplink.connected()
        for tail, data in self._uplink.take_unsent(self._birth, everything=True):
            self._publish_retained(tail, data)
        for tail, data in self._uplink.take_answers(everything=True):
            self._publish(tail, data)

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._link.topics(topics.DESIRED):
            # One byte over the limit is kept, so that the verifier sees that it is too long.
            self._uplink.inbox.put(bytes(message.payload[: MAX_ENVELOPE_BYTES + 1]))
        elif message.topic == self._link.topics(topics.ACK):
            self._acknowledged(bytes(message.payload))
        elif mqtt.topic_matches_sub(self._link.topics(topics.REQUESTS), message.topic):
            self._uplink.inbox.put_request(bytes(message.payload[: MAX_REQUEST_BYTES + 1]))

    def _acknowledged(self, data: bytes) -> None:
        try:
            found = shape.parse(Ack, data, max_bytes=MAX_PAYLOAD_BYTES, subject="ack")
        except ContractError as error:
            log.warning("%s", error)
            return
        self._cloud_reads_zlib = "zlib" in found.reads
        for ack in found.acks:
            self._forget(ack.boot, ack.stream, ack.seq)
        for command in found.commands:
            self._uplink.inbox.confirm(command)

    def _forget(self, boot: str, stream: str, seq: int) -> None:
        believed = self._window.acknowledged(boot, stream, seq, now=time.monotonic())
        if believed:
            self._uplink.outbox.forget(boot, stream, believed)

    def _published(self, _client: mqtt.Client, _data: Any, mid: int, *_: Any) -> None:
        if mid in self._on_puback:
            self._forget(*self._on_puback.pop(mid))

    def _send(self) -> None:
        for tail, data in self._uplink.take_unsent(self._birth, everything=False):
            self._publish_retained(tail, data)
        for tail, data in self._uplink.take_answers(everything=False):
            self._publish(tail, data)
        for tail, data in self._uplink.take_lines():
            self._publish(tail, data, qos=0)
            self._meter.note("logs", len(data))
        now = time.monotonic()
        if self._window.overdue(now):
            log.warning("no acknowledgement for long; sending again from the oldest item")
            self._cloud_reads_zlib = False
        self._send_rank(Rank.EVENT, now)
        if now >= self._next_telemetry:
            before = dict(self._window.cursor)
            drained = [self._send_rank(rank, now) for rank in Rank if rank is not Rank.EVENT]
            if all(drained) and self._window.cursor != before:
                self._next_telemetry = now + self._link.telemetry_every_s

    def _send_rank(self, rank: Rank, now: float) -> bool:
        """Send what there is of a rank; return whether nothing of it is left."""
        outbox = self._uplink.outbox
        while self._window.has_room(rank):
            after = self._window.cursor.get(rank, 0)
            waiting = outbox.waiting(rank, after_id=after, limit=_BATCH_ITEMS)
            items = self._window.fitting(rank, waiting)
            if not items:
                return True
            for batch in batches(items):
                if not self._is_affordable(rank, batch):
                    return True
                self._send_batch(rank, batch, now)
        return False

    def _is_affordable(self, rank: Rank, batch: list[Stored]) -> bool:
        """Return whether a batch is within the month's budget; events always are."""
        size = sum(len(item.data) for item in batch)
        if rank is Rank.EVENT or self._meter.allows(_CAUSES[rank], size):
            return True
        if not self._told_budget:
            self._told_budget = True
            log.warning("the data budget of this month has no room for %s", _CAUSES[rank])
        return False

    def _send_batch(self, rank: Rank, batch: list[Stored], now: float) -> None:
        first = batch[0]
        floor = self._uplink.outbox.floor(first.boot, first.stream) or first.seq
        data = payload(batch, floor=min(floor, first.seq), now_s=self._uplink.age_now_s())
        topic = self._topic(first.stream)
        if self._link.compress and self._cloud_reads_zlib and rank is not Rank.EVENT:
            topic, data = self._smaller(first.stream, topic, data)
        sent = self._client.publish(topic, data, qos=1)
        if rank is not Rank.EVENT:
            self._meter.note(_CAUSES[rank], len(data))
        self._window.sent(rank, batch, now=now)
        if self._link.trim_on_puback:
            self._on_puback[sent.mid] = (first.boot, first.stream, batch[-1].seq)

    def _smaller(self, stream: str, topic: str, data: bytes) -> tuple[str, bytes]:
        """Return topic and payload of the smaller form of a batch."""
        packed = zlib.compress(data, _ZLIB_LEVEL)
        module, _, name = stream.partition("/")
        if len(packed) >= len(data):
            return topic, data
        return self._link.topics.compressed(module, name), packed

    def _topic(self, stream: str) -> str:
        head, _, tail = stream.partition("/")
        if head == "event":
            return self._link.topics.event(tail)
        return self._link.topics.telemetry(head, tail)

    def _publish_retained(self, tail: str, data: bytes) -> mqtt.MQTTMessageInfo:
        return self._client.publish(self._link.topics(tail), data, qos=1, retain=True)

    def _publish(self, tail: str, data: bytes, *, qos: int = 1) -> mqtt.MQTTMessageInfo:
        return self._client.publish(self._link.topics(tail), data, qos=qos)

    def _say_goodbye(self) -> None:
        unsent = self._uplink.take_unsent(self._birth, everything=True)
        last = [self._publish_retained(tail, data) for tail, data in unsent]
        last += [self._publish(*one) for one in self._uplink.take_answers(everything=False)]
        deadline = time.monotonic() + GOODBYE_S
        while not all(sent.is_published() for sent in last) and time.monotonic() < deadline:
            self._turn(0.1)


def _send_at_once(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    # Packets are small: each would wait up to 40 ms for the broker to confirm the one before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _broker_error(broker: BrokerAddress, error: OSError | SkerryError) -> SkerryError:
    where = f"broker {broker.host}:{broker.port}"
    if isinstance(error, SkerryError):
        return BrokerError(f"{where}: {error.text}", remedy=error.remedy)
    return BrokerError(
        f"{where}: {error}", remedy="See whether the broker runs and the network reaches it."
    )
