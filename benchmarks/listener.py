"""A subscriber that knows nothing of Skerry, and notes when each message came."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came.

    Attributes:
        at_s: When, by ``time.monotonic``, which is the same for all processes.
        topic: Its topic.
        payload: What it says.
    """

    at_s: float
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to connect as, and where.

    Attributes:
        port: Of the broker, on this machine.
        username: Who.
        password: The secret.
        ca: File of whom to believe; None without TLS.
    """

    port: int
    username: str
    password: str = field(repr=False)
    ca: str | None = None


def connect(account: Account) -> paho.Client:
    """Return a bare MQTT client, connected, whose network thread runs."""
    # A device must be called what its account is; others may be called anything.
    own_id = "" if account.username.startswith("_") else account.username
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=own_id)
    client.username_pw_set(account.username, account.password)
    if account.ca:
        client.tls_set(account.ca)
    client.on_socket_open = _send_at_once
    client.connect("127.0.0.1", account.port)
    client.loop_start()
    return client


def _send_at_once(_client: paho.Client, _data: Any, sock: Any) -> None:
    # Else a small packet may wait 40 ms for the other side to confirm the one before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@dataclass
class Listener:
    """Collects what comes on some topics, from ``with`` to the end of the block.

    Attributes:
        account: Who listens.
        filters: Which topics.
        heard: What came, in order.
    """

    account: Account
    filters: tuple[str, ...]
    heard: list[Heard] = field(default_factory=list)
    _came: Condition = field(default_factory=Condition)
    _granted: bool = False
    _client: paho.Client | None = None

    def __enter__(self) -> Self:
        client = self._client = connect(self.account)
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.subscribe([(one, 1) for one in self.filters])
        with self._came:
            if not self._came.wait_for(lambda: self._granted, 10):
                raise TimeoutError(f"no SUBACK for {self.filters}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def first(self, fits: Callable[[Heard], object], *, after: int = 0, within_s: float) -> Heard:
        """Return the first message that ``fits``, of all that came after the first ``after``.

        Raises:
            TimeoutError: None came in time.
        """
        position = after

        def found() -> Heard | None:
            nonlocal position
            while position < len(self.heard):
                position += 1
                if fits(self.heard[position - 1]):
                    return self.heard[position - 1]
            return None

        with self._came:
            message = self._came.wait_for(found, within_s)
        if message is None:
            raise TimeoutError(f"nothing that fits came within {within_s:g} s")
        return message

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        heard = Heard(time.monotonic(), message.topic, bytes(message.payload))
        with self._came:
            self.heard.append(heard)
            self._came.notify_all()

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, *codes: Any) -> None:
        refused = [code for code in codes[0] if code.is_failure]
        with self._came:
            self._granted = not refused
            self._came.notify_all()
