"""A short conversation with our own broker on this machine."""

import queue
import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from skerry_cloud.broker.accounts import Login
from skerry_cloud.broker.engine import Site
from skerry_contract.errors import BrokerError

_CONNECT_S = 3.0


def accepts(site: Site, login: Login) -> bool:
    """Return whether the broker answers now and takes this login."""
    try:
        with connected(site, login):
            return True
    except BrokerError:
        return False


@contextmanager
def connected(site: Site, login: Login) -> Iterator[mqtt.Client]:
    """Connect with a clean session and leave again.

    The client's network loop does not run by itself: call its ``loop()``.

    Raises:
        BrokerError: The broker did not take the connection within a few seconds.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=f"skerry-{secrets.token_hex(8)}", clean_session=True
    )
    client.username_pw_set(login.username, login.password)
    client.connect_timeout = _CONNECT_S
    try:
        if site.tls is not None:
            context = _context(site.tls.ca)
            _shake_hands(site, context)
            client.tls_set_context(context)
        client.connect(site.local_host, site.port)
        _await_connack(client, site)
        yield client
    except OSError as error:
        raise BrokerError(f"broker at {site.local_host}:{site.port}: {error}") from error
    finally:
        client.disconnect()
        client.loop(timeout=0.1)  # lets the DISCONNECT out, or the broker would call this a loss


def request(site: Site, login: Login, topic: str, payload: bytes, *, within_s: float) -> bytes:
    """Publish to ``topic`` and return what arrives on ``topic/response``.

    Raises:
        BrokerError: The connection failed, or nothing came within ``within_s`` seconds.
    """
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with connected(site, login) as client:
        client.on_message = lambda _client, _data, message: answers.put(bytes(message.payload))
        client.subscribe(f"{topic}/response", qos=1)
        client.publish(topic, payload, qos=1)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if client.loop(timeout=0.1) != mqtt.MQTT_ERR_SUCCESS:
                break
            if not answers.empty():
                return answers.get()
    raise BrokerError(f"broker at {site.local_host}:{site.port}: no answer on {topic}")


def _await_connack(client: mqtt.Client, site: Site) -> None:
    verdicts: list[str] = []
    client.on_connect = lambda _client, _data, _flags, reason, _properties: verdicts.append(
        str(reason) if reason.is_failure else ""
    )
    deadline = time.monotonic() + _CONNECT_S
    while not verdicts and time.monotonic() < deadline:
        if client.loop(timeout=0.1) != mqtt.MQTT_ERR_SUCCESS:
            break
    if verdicts != [""]:
        reason = verdicts[0] if verdicts else "it does not answer"
        raise BrokerError(f"broker at {site.local_host}:{site.port}: {reason}")


def _shake_hands(site: Site, context: ssl.SSLContext) -> None:
    """Raise ``OSError`` if TLS fails: paho would leave its socket open then."""
    address = (site.local_host, site.port)
    with (
        socket.create_connection(address, timeout=_CONNECT_S) as plain,
        context.wrap_socket(plain, server_hostname=site.local_host),
    ):
        pass


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    # The certificate is for the name that devices use; here the broker is found by its address.
    context.check_hostname = False
    return context
