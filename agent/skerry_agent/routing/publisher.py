"""Publish what waits for a broker of the device's own surroundings, for as long as it is wanted."""

import logging
import os
import select
import ssl
import threading
from collections import deque
from contextlib import suppress
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from skerry_agent.routing.queues import RouteQueues, now
from skerry_contract.errors import NoSpaceError
from skerry_contract.manifest import Broker

log = logging.getLogger(__name__)

WINDOW = 64
"""Results that may be under way to a broker at once."""
_KEEPALIVE_S = 30
_LOOK_S = 1.0
_MAX_PAUSE_S = 30


class Publisher:
    """A connection to one broker, and a thread that feeds it from its queue.

    At QoS 1: a result leaves the queue when the broker has acknowledged it.

    Args:
        queue: Name of the queue.
        broker: Where the broker is.
        queues: Where the queue is.
    """

    def __init__(self, queue: str, broker: Broker, queues: RouteQueues) -> None:
        self._queue = queue
        self._broker = broker
        self._queues = queues
        self._end = threading.Event()
        self._answered: deque[int] = deque()
        self._under_way: dict[int, int] = {}
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._client = _client(broker)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._thread = threading.Thread(target=self._run, name=queue, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let go of the broker, within a few seconds."""
        self._end.set()
        self._wake()
        self._thread.join(5)

    def _run(self) -> None:
        where = f"{self._broker.host}:{self._broker.port}"
        try:
            self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S)
            self._client.loop_start()
        except (OSError, ValueError) as error:
            log.warning("%s: %s", where, error)
            return
        with self._queues.watched(self._woken):
            while not self._end.is_set():
                try:
                    self._turn()
                except NoSpaceError as error:
                    log.warning("%s: %s", where, error)
                select.select([self._woken], [], [], _LOOK_S)
                with suppress(BlockingIOError):
                    os.eventfd_read(self._woken)
        with suppress(OSError, ValueError):
            self._client.disconnect()
        self._client.loop_stop()
        os.close(self._woken)

    def _turn(self) -> None:
        """Forget what was acknowledged, and send what waits."""
        # Only this thread sends, so every number that was answered has been noted by now.
        answered = [self._answered.popleft() for _ in range(len(self._answered))]
        done = [self._under_way.pop(mid) for mid in answered if mid in self._under_way]
        if done:
            self._queues.done(self._queue, done)
        room = WINDOW - len(self._under_way)
        if room <= 0 or not self._client.is_connected():
            return
        busy = set(self._under_way.values())
        for item in self._queues.waiting(self._queue, but=busy, limit=room, now_s=now()):
            sent = self._client.publish(item.subject, item.data, qos=1)
            self._under_way[sent.mid] = item.id

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            log.warning("%s: the broker refuses: %s", self._broker.host, reason)
        self._wake()

    def _on_publish(self, _client: Any, _data: Any, mid: int, _reason: Any, _more: Any) -> None:
        # No lock is taken here: paho holds one of its own, which publish() waits for.
        self._answered.append(mid)
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):
            os.eventfd_write(self._woken, 1)


def _client(broker: Broker) -> mqtt.Client:
    # paho itself sends again what a lost connection left open, under the numbers that it had.
    client = mqtt.Client(CallbackAPIVersion.VERSION2, clean_session=True)
    client.reconnect_delay_set(1, _MAX_PAUSE_S)
    client.max_inflight_messages_set(WINDOW)
    if broker.user:
        client.username_pw_set(broker.user, broker.password)
    if broker.tls:
        context = ssl.create_default_context(cadata=broker.ca or None)
        client.tls_set_context(context)
    return client
