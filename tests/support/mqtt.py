"""An MQTT client that knows nothing of Skerry: it collects what arrives."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came."""

    topic: str
    payload: bytes
    retain: bool


class MqttClient:
    """One connection to a broker, not yet made; it never connects again by itself."""

    def __init__(  # noqa: PLR0913 - mirrors what an MQTT connection consists of
        self,
        port: int,
        username: str = "",
        password: str = "",
        *,
        client_id: str = "",
        clean: bool = True,
        ca: str | None = None,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self._port = port
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            reconnect_on_failure=False,
        )
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        if username:
            self._client.username_pw_set(username, password)
        if ca:
            self._client.tls_set(ca)
        if will:
            self._client.will_set(*will, qos=1, retain=True)
        self._verdict = threading.Event()
        self._granted: dict[int, list[ReasonCode]] = {}
        self.refused = ""
        self.session_present = False
        self.connected = False
        self.messages: list[Received] = []

    def __enter__(self) -> Self:
        self.connect()
        assert not self.refused, self.refused
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def connect(self) -> Self:
        """Connect and wait for the broker's verdict, which may be ``refused``."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._verdict.wait(10), "no CONNACK"
        return self

    def close(self) -> None:
        """Say goodbye and end the network thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def drop(self) -> None:
        """Vanish without a goodbye, as after a power cut."""
        self._client.loop_stop()
        socket = self._client.socket()
        if socket is not None:
            socket.close()

    def subscribe(self, *filters: str) -> list[bool]:
        """Subscribe with QoS 1 and return which filters the broker says it granted."""
        _, mid = self._client.subscribe([(f, 1) for f in filters])
        assert mid is not None
        granted = eventually(lambda: self._granted.get(mid), why="SUBACK")
        return [not code.is_failure for code in granted]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the broker's PUBACK."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def payloads(self, topic: str | None = None) -> list[bytes]:
        """Return what arrived so far, on one topic or on all."""
        return [m.payload for m in list(self.messages) if topic in (None, m.topic)]

    def wait_for(self, *payloads: bytes, within_s: float = 10.0) -> None:
        """Wait until each of ``payloads`` has arrived."""
        eventually(
            lambda: set(payloads) <= set(self.payloads()), within_s, why=f"{payloads} to arrive"
        )

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.refused = str(reason) if reason.is_failure else ""
        self.session_present = flags.session_present
        self.connected = not reason.is_failure
        self._verdict.set()

    def _on_disconnect(self, *_: object) -> None:
        self.connected = False

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.messages.append(Received(message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        mid: int,
        reasons: Sequence[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._granted[mid] = list(reasons)
