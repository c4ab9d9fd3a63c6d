"""Keep each device's retained ``desired`` message equal to the one in the database.

One thread does it all and always reads the latest document, so an older one never comes after a
newer one. Brokers are lossy: after every connect everything is published again. So are commands
that a device has not answered: that each takes effect once is the device's business.
"""

import logging
import random
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import select, union

from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, commands, device_desired, devices, removed_devices
from skerry_cloud.deployments.service import desired_document
from skerry_cloud.fleet.command_rows import ISSUED
from skerry_cloud.fleet.commands import pending
from skerry_cloud.link import Link
from skerry_contract import topics
from skerry_contract.topics import DeviceTopics

log = logging.getLogger(__name__)

_RETAINED = (topics.DESIRED, topics.REPORTED, topics.STATE, topics.CAPS, topics.HEALTH)
_CONFIRM_EVERY = 200
_LONGEST_S = 30.0
"""Longest pause before what was not published is tried again."""
_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class _Due:
    """What a round is to publish: for these devices, or for every one."""

    devices: frozenset[str]
    everything: bool


class Publisher:
    """Publishes what was announced, in a thread of its own."""

    def __init__(self, database: Database, fleet: str, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._fleet = fleet
        self._changed = threading.Condition()
        self._pending: set[str] = set()
        self._everything = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def announce(self, changed: Iterable[str]) -> None:
        """Publish for these devices soon; may be called from any thread and never waits."""
        with self._changed:
            self._pending.update(changed)
            self._changed.notify()

    def announce_all(self) -> None:
        """Publish for every device soon, and clear what is left of removed ones."""
        with self._changed:
            self._everything = True
            self._changed.notify()

    def start(self, link: Link) -> None:
        """Begin to publish through ``link``."""
        self._thread = threading.Thread(
            target=self._work, args=(link,), name="publisher", daemon=True
        )
        self._thread.start()

    def stop(self, *, within_s: float = 5.0) -> None:
        """End; what was not published is at the next connect."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(within_s)

    def _work(self, link: Link) -> None:
        failures = 0
        while (due := self._take()) is not None:
            try:
                done = self._publish(link, due.devices | self._everybody(due))
            except Exception:
                # Publishing goes on whatever one round does, such as a database that is away.
                log.exception("publishing desired documents")
                done = False
            failures = 0 if done else failures + 1
            if failures:
                self._again(due, _RANDOM.uniform(0.5, 1.0) * min(_LONGEST_S, 0.25 * 2**failures))

    def _take(self) -> "_Due | None":
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._everything or self._pending)
            if self._stopping:
                return None
            due = _Due(frozenset(self._pending), everything=self._everything)
            self._pending, self._everything = set(), False
        return due

    def _again(self, due: "_Due", pause_s: float) -> None:
        """Leave what was not published for a later round."""
        with self._changed:
            self._pending |= due.devices
            self._everything |= due.everything
            self._changed.wait_for(lambda: self._stopping, pause_s)

    def _everybody(self, due: "_Due") -> set[str]:
        if not due.everything:
            return set()
        asked = select(commands.c.device).where(commands.c.state == ISSUED)
        known = union(select(device_desired.c.device), select(removed_devices.c.id), asked)
        with self._database.read() as connection:
            return set(connection.scalars(known))

    def _publish(self, link: Link, due: Collection[str]) -> bool:
        """Publish for devices, and return whether all of it went out."""
        for count, device in enumerate(sorted(due), start=1):
            sent = all(
                link.publish(topic, payload, retain=retain)
                for topic, payload, retain in self._messages(device)
            )
            if self._stopping or not sent:
                return self._stopping
            if count % _CONFIRM_EVERY == 0 and not link.drain():
                return False
        return True

    def _messages(self, device: str) -> list[tuple[str, bytes, bool]]:
        """Return topic, payload and whether it is retained of all that a device is to know."""
        topic = DeviceTopics(self._fleet, device)
        with self._database.read() as connection:
            document = desired_document(connection, device)
            known = connection.scalar(select(devices.c.id).where(devices.c.id == device))
            asked = pending(connection, device, self._clock())
        if not known:
            return [(topic(tail), b"", True) for tail in _RETAINED]
        desired = [(topic(topics.DESIRED), document, True)] if document is not None else []
        return desired + [(topic.request(type_, id_), data, False) for type_, id_, data in asked]
