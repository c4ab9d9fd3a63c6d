"""An MQTT topic as input: a message is acknowledged once its result is stored, and not before.

MQTT 3.1.1 with a persistent session: what was published while the host was away, and what was not
acknowledged when it died, comes again from the broker (MQTT 3.1.1, section 4.4). While results
cannot be stored nothing is acknowledged, so the broker stops sending.
"""

import importlib
import logging
import os
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from skerry_scorer.backoff import pauses
from skerry_scorer.durable import write_durably
from skerry_scorer.inputs.access import access_to
from skerry_scorer.inputs.mailbox import Mailbox, Message
from skerry_scorer.settings.inputs import SettingsError, TopicInput

log = logging.getLogger(__name__)

ID_FILE = ".client-id"
"""Holds what makes our client id unlike every other one; its session is lost with it."""
KEEPALIVE_S = 30
"""Seconds after which a silent connection counts as lost, one and a half times over."""
CONNECT_S = 10.0
"""Seconds that the broker has to answer."""
KEEP_BYTES = 64 * 1024
"""What is kept of a message that is too long."""
_CARRIED = Path(__file__).parents[1] / "carried"


class Topic:
    """Subscribes to a topic filter at a broker; see ``Origin``.

    Args:
        name: Name of the input.
        settings: The topic filter and the broker.
        max_bytes: Largest message that is scored.

    Raises:
        SettingsError: There is no paho-mqtt 2 here.
    """

    brings_again = True

    def __init__(self, name: str, settings: TopicInput, *, max_bytes: int) -> None:
        self._paho = load_paho()
        self._name = name
        self._settings = settings
        self._max_bytes = max_bytes
        self._session: _Session | None = None

    def start(self, mailbox: Mailbox, folder: Path) -> None:
        """See ``Origin.start``."""
        connect = partial(self._client, _client_id(folder, self._settings))
        self._session = _Session(self._name, self._settings, connect, mailbox, self._max_bytes)
        threading.Thread(target=self._session.keep, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """See ``Origin.stop``."""
        if self._session is not None:
            self._session.end()
            self._session = None

    def _client(self, client_id: str) -> Any:
        access = access_to(self._settings.broker)
        client = self._paho.Client(
            self._paho.CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=False,
            protocol=self._paho.MQTTv311,
            reconnect_on_failure=False,  # ours has jitter
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_S
        if access.user:
            client.username_pw_set(access.user, access.password or None)
        if access.tls is not None:
            client.tls_set_context(access.tls)
        return client


class _Session:
    """One session, from ``start`` to ``stop``, across any number of lost connections.

    Each has a client of its own, for it may have to show another password or certificate.
    """

    def __init__(
        self,
        name: str,
        settings: TopicInput,
        make_client: Callable[[], Any],
        mailbox: Mailbox,
        max_bytes: int,
    ) -> None:
        self._name = name
        self._settings = settings
        self._make_client = make_client
        self._client: Any = None
        self._mailbox = mailbox
        self._max_bytes = max_bytes
        self._end = threading.Event()
        self._connection = 0
        self._answered = False

    def keep(self) -> None:
        """Be connected for as long as it is wanted."""
        broker = self._settings.broker
        waits = pauses()
        while not self._end.is_set():
            self._answered = False
            try:
                why = self._connected()
            except (OSError, ValueError) as error:
                why = error
            # What was not acknowledged will come again, under other numbers.
            self._connection += 1
            self._mailbox.clear()
            if self._end.is_set():
                return
            if self._answered:
                waits = pauses()
            pause_s = next(waits)
            where = f"{broker.host}:{broker.port}"
            log.warning("input %s: %s: %s; again in %.1f s", self._name, where, why, pause_s)
            self._end.wait(pause_s)

    def end(self) -> None:
        """Leave the broker, which keeps the session."""
        self._end.set()
        if self._client is not None:
            with suppress(OSError, ValueError):
                self._client.disconnect()

    def _connected(self) -> Any:
        """Be connected until that ends, and return why it did."""
        client = self._make_client()
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        self._client = client
        broker = self._settings.broker
        client.connect(broker.host, broker.port, KEEPALIVE_S)
        return client.loop_forever()

    def _on_connect(
        self, client: Any, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("input %s: the broker refuses: %s", self._name, reason)
        if reason.is_failure or self._end.is_set():  # "end" may have come before there was any
            client.disconnect()
            return
        self._answered = True
        log.info("input %s: connected to %s", self._name, self._settings.broker.host)
        if not flags.session_present:  # else it would bring retained messages once more
            client.subscribe(self._settings.topic, qos=1)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        content, fault = bytes(message.payload), ""
        if len(content) > self._max_bytes:
            fault = f"{len(content)} bytes, at most {self._max_bytes} are read"
            content = content[:KEEP_BYTES]
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic, fault = "?", "its topic is not UTF-8"
        settled = partial(self._acknowledge, self._connection, message.mid, message.qos)
        self._mailbox.put(Message(self._name, "topic", topic, content, fault, settled))

    def _acknowledge(self, connection: int, number: int, qos: int) -> None:
        # A number is the connection's own: on another it may mean a message that is not stored.
        if qos and connection == self._connection:
            self._client.ack(number, qos)


def load_paho() -> Any:
    """Return ``paho.mqtt.client``: the environment's own, else the one that travels with the host.

    Raises:
        SettingsError: There is none, or one older than version 2.
    """
    if str(_CARRIED) not in sys.path:
        sys.path.append(str(_CARRIED))  # last: what the scorer brings itself is never hidden
    try:
        found = importlib.import_module("paho.mqtt.client")
    except ImportError as error:
        raise SettingsError(f"an input by topic needs paho-mqtt: {error}") from error
    if not hasattr(found, "CallbackAPIVersion"):
        raise SettingsError(
            "an input by topic needs paho-mqtt 2 or later, and the environment has an older one: "
            "raise it in the environment file, or leave it out"
        )
    return found


def _client_id(folder: Path, settings: TopicInput) -> str:
    """Return our id at the broker: for another topic or broker it is another one.

    Of at most 23 letters and digits, which every broker takes (MQTT 3.1.1, section 3.1.3.1).
    """
    path = folder / ID_FILE
    try:
        own = path.read_text("ascii").strip()
    except (OSError, ValueError):
        own = ""
    if len(own) != 12 or not own.isalnum():
        own = os.urandom(6).hex()
        write_durably(path, own.encode())
    broker = settings.broker
    what = f"{settings.topic} {broker.host} {broker.port}".encode()
    return f"sk{own}{zlib.crc32(what):08x}"
