"""The cloud's own connection to the broker.

A thin shell over paho: it keeps the connection up, says when it came up, and hands on what arrives.
Nothing is queued here while the broker is away: what matters is published anew at every connect.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from skerry_cloud.clock import Clock
from skerry_cloud.ingest.inbox import Message
from skerry_contract.messages import MAX_PAYLOAD_BYTES
from skerry_contract.topics import ROOT

log = logging.getLogger(__name__)

_KEEPALIVE_S = 30
_CONNECT_S = 5.0
_IN_FLIGHT = 500
"""Messages sent and not yet confirmed; more are queued by paho, and ``publish`` waits for them."""
_PUBLISH_S = 30.0
_FROM_DEVICES = (
    "reported",
    "state",
    "caps",
    "health",
    "t/+/+",
    "z/+/+",
    "event/+",
    "cmd/+/+/res",
    "log/+",
)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is, and as whom the cloud speaks to it.

    Attributes:
        host: Host name or address.
        port: TCP port.
        username: Account that may read and write everything; empty for none.
        password: Its password.
        ca: PEM file of whom to believe, or empty to speak in the clear.
        check_host: Whether the certificate must name ``host``.
    """

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    check_host: bool = True


class Link:
    """One persistent MQTT session.

    Args:
        address: Where the broker is.
        fleet: Fleet whose devices are heard.
        on_message: Takes each message, in paho's thread; the broker is told that it arrived when
            this returns, so it may wait.
        on_connected: Called after every connect, in paho's thread; must not wait.
        clock: Says when a message came.
    """

    def __init__(
        self,
        address: BrokerAddress,
        fleet: str,
        on_message: Callable[[Message], None],
        on_connected: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._on_message = on_message
        self._on_connected = on_connected
        self._clock = clock
        self._address = address
        self._filters = [f"{ROOT}/{fleet}/+/{tail}" for tail in _FROM_DEVICES]
        self._ready = threading.Event()
        self._told_unreachable = False
        self._last: mqtt.MQTTMessageInfo | None = None
        self._client = self._make_client(f"skerry-cloud-{fleet}")

    @property
    def ready(self) -> bool:
        """Whether the broker is connected and has taken our subscriptions."""
        return self._ready.is_set()

    def start(self) -> None:
        """Connect, and go on connecting again for as long as it takes."""
        self._client.connect_async(self._address.host, self._address.port, _KEEPALIVE_S)
        self._client.loop_start()

    def wait_ready(self, within_s: float) -> bool:
        """Wait for the connection; return whether it is there."""
        return self._ready.wait(within_s)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Send a message with QoS 1; return whether it went out, or is about to.

        What is returned false for is lost.
        """
        if not self._ready.is_set():
            return False
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        self._last = sent
        if sent.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
            log.warning("%s: not sent, too much is on its way already", topic)
        return sent.rc == mqtt.MQTT_ERR_SUCCESS

    def drain(self, within_s: float = _PUBLISH_S) -> bool:
        """Wait until the broker has confirmed what was published; return whether it did."""
        if self._last is None:
            return True
        try:
            self._last.wait_for_publish(within_s)
            return self._last.is_published()
        except (RuntimeError, ValueError):
            return False  # the connection was lost, or there was no room

    def stop(self) -> None:
        """Say goodbye; the broker keeps what comes until we are back."""
        self._ready.clear()
        self._client.disconnect()
        self._client.loop_stop()

    def _make_client(self, client_id: str) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        if self._address.username:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.ca:
            context = ssl.create_default_context(cafile=self._address.ca)
            context.check_hostname = self._address.check_host
            client.tls_set_context(context)
        client.connect_timeout = _CONNECT_S
        client.on_socket_open = _send_at_once
        client.reconnect_delay_set(min_delay=1, max_delay=15)
        client.max_inflight_messages_set(_IN_FLIGHT)
        client.max_queued_messages_set(100_000)
        client.on_connect = self._connected
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._arrived
        return client

    def _unreachable(self, _client: mqtt.Client, _data: object) -> None:
        # Tries go on for as long as it takes: one line for each time that it is away will do.
        if not self._told_unreachable:
            self._told_unreachable = True
            where = f"{self._address.host}:{self._address.port}"
            log.warning("no broker can be reached at %s; trying again until one is there", where)

    def _connected(
        self,
        client: mqtt.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            log.error("broker %s:%d: %s", self._address.host, self._address.port, reason)
            return
        client.subscribe([(one, 1) for one in self._filters])

    def _subscribed(
        self,
        _client: mqtt.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: object,
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.error("the broker refuses to let the cloud read: %s", ", ".join(refused))
            return
        log.info("connected to the broker at %s:%d", self._address.host, self._address.port)
        self._told_unreachable = False
        self._ready.set()
        self._on_connected()

    def _disconnected(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if self._ready.is_set():
            log.warning("lost the broker: %s", reason)
        self._ready.clear()

    def _arrived(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        if len(message.payload) > 2 * MAX_PAYLOAD_BYTES:
            log.warning("%s: %d bytes, passed over", topic, len(message.payload))
            return
        self._on_message(Message(topic, bytes(message.payload), message.retain, self._clock()))


def _send_at_once(_client: mqtt.Client, _data: object, sock: Any) -> None:
    # Packets are small: each would wait up to 40 ms for the broker to confirm the one before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
