"""The ingest: takes messages from the link, stores them in bundles, acknowledges what is stored.

The broker may forget what it has handed over, for devices repeat what the cloud has not
acknowledged. So memory is bounded by letting the broker wait, and nothing more is needed.
"""

import hashlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from skerry_cloud.ingest import inbox
from skerry_cloud.ingest.inbox import Entry, Items, Message
from skerry_cloud.ingest.retention import Retention
from skerry_cloud.ingest.store import Outcome, Store, Wrong
from skerry_contract import shape, topics
from skerry_contract.errors import (
    ContractError,
    DatabaseError,
    NameInvalidError,
    NoSpaceError,
)
from skerry_contract.messages import Ack, StreamAck
from skerry_contract.topics import DeviceTopics

log = logging.getLogger(__name__)

MAX_WAITING = 1000
"""Messages that may wait to be stored; with more, the broker waits."""
MAX_BUNDLE = 500
"""Messages that are stored in one transaction."""
MAX_BUNDLE_BYTES = 1024 * 1024
"""Payload bytes above which no further message joins: others want to write, too."""
_MAX_ACKS = 1000
_MAX_ECHOES = 1000
READS = ("zlib",)
"""Forms of batches that the ingest reads besides plain ones."""
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

Publish = Callable[[str, bytes], object]
"""Called as ``(topic, payload)``."""


@dataclass(slots=True)
class Counts:
    """What the ingest has seen since it started.

    Attributes:
        messages: Messages that came.
        items: Items that were new, and are stored.
        said: Responses and lines of logs that were stored.
        wrong: Messages that could not be read.
        strangers: Messages of devices that are not known.
        dropped: Messages that broke the store, each noted in the log.
    """

    messages: int = 0
    items: int = 0
    said: int = 0
    wrong: int = 0
    strangers: int = 0
    dropped: int = 0


class Ingest:
    """One thread between the link and the store.

    Args:
        fleet: Fleet whose devices are heard.
        store: Where things go.
        retention: Keeps that within bounds.
        on_platforms: Told the platform of each device that named its capabilities.
    """

    def __init__(
        self,
        fleet: str,
        store: Store,
        retention: Retention,
        on_platforms: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._retention = retention
        self._publish: Publish = _nowhere
        self._on_platforms = on_platforms
        self._waiting: queue.Queue[Message] = queue.Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ingest", daemon=True)
        self._echoes: deque[tuple[str, bytes]] = deque(maxlen=_MAX_ECHOES)
        self.counts = Counts()

    @property
    def generation(self) -> int:
        """Grows whenever something new is stored that somebody may wait for."""
        return self.counts.items + self.counts.said

    def take(self, message: Message) -> None:
        """Take a message; waits while too many are waiting already."""
        while not self._stopping.is_set():
            try:
                self._waiting.put(message, timeout=1.0)
            except queue.Full:
                continue
            return

    def start(self, publish: Publish) -> None:
        """Begin to store, and to send acknowledgements with ``publish``."""
        self._publish = publish
        self._thread.start()

    def stop(self, *, within_s: float = 5.0) -> None:
        """End after the bundle that is under way; what still waits comes again."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def _work(self) -> None:
        while not self._stopping.is_set():
            bundle = self._bundle()
            if not bundle:
                continue
            try:
                self._process(bundle)
            except (DatabaseError, NoSpaceError) as error:
                # Devices' words are stored by now: what could not be done comes up again.
                log.error("%s", error)  # noqa: TRY400 (its text says it all)
            except Exception:
                # The ingest outlives whatever one bundle does.
                self.counts.dropped += len(bundle)
                log.exception("a bundle of %d messages", len(bundle))

    def _bundle(self) -> list[Message]:
        bundle: list[Message] = []
        try:
            bundle.append(self._waiting.get(timeout=0.2))
            size = len(bundle[0].payload)
            while len(bundle) < MAX_BUNDLE and size < MAX_BUNDLE_BYTES:
                bundle.append(self._waiting.get_nowait())
                size += len(bundle[-1].payload)
        except queue.Empty:
            pass
        return bundle

    def _process(self, bundle: Sequence[Message]) -> None:
        entries = [entry for message in bundle if (entry := self._read(message)) is not None]
        self.counts.messages += len(bundle)
        for outcome in self._keep(entries):
            self.counts.items += outcome.items
            self.counts.strangers += len(outcome.strangers)
            self.counts.said += outcome.said
            for device in {*outcome.acks, *outcome.ends}:
                self._acknowledge(
                    device, outcome.acks.get(device, ()), outcome.ends.get(device, ())
                )
            if outcome.platforms:
                self._on_platforms(outcome.platforms)
            self._retention.count(outcome.items, outcome.bytes)
        for entry in entries:
            if isinstance(entry, Items) and entry.hand_on:
                self._hand_on(entry.message)

    def _read(self, message: Message) -> Entry | Wrong | None:
        if self._is_echo(message):
            return None
        try:
            return inbox.read(message, self._fleet)
        except (ContractError, NameInvalidError) as error:
            self.counts.wrong += 1
            log.warning("%s: %s", message.topic, error)
            try:
                device = topics.parse(message.topic).device
            except NameInvalidError:
                return None
            return Wrong(device, message.topic, error, message.received)

    def _keep(self, entries: Sequence[Entry | Wrong]) -> Iterable[Outcome]:
        """Store ``entries``, together if that works, else one by one."""
        pauses = iter(_PAUSES_S)
        while entries:
            try:
                return [self._store.keep(entries)]
            except (OperationalError, DatabaseError, NoSpaceError) as error:
                # A full disk, or a database that is away: nothing is lost by waiting.
                pause = next(pauses, _PAUSES_S[-1])
                log.error("cannot store what devices say, next try in %.1f s: %s", pause, error)  # noqa: TRY400 (its text says it all)
                if self._stopping.wait(pause):
                    return []
            except Exception:
                if len(entries) == 1:
                    self.counts.dropped += 1
                    log.exception("cannot store a message of %s", entries[0].device)
                    return []
                return [outcome for one in entries for outcome in self._keep([one])]
        return []

    def _hand_on(self, message: Message) -> None:
        """Publish what came compressed, so that any client reads it where it reads the rest."""
        self._echoes.append(_fingerprint(message))
        self._publish(message.topic, message.payload)

    def _is_echo(self, message: Message) -> bool:
        """Return whether a message is one that we published, which is stored already."""
        if not self._echoes:
            return False
        fingerprint = _fingerprint(message)
        if fingerprint not in self._echoes:
            return False
        self._echoes.remove(fingerprint)
        return True

    def _acknowledge(self, device: str, acks: Sequence[StreamAck], ends: Sequence[str]) -> None:
        topic = DeviceTopics(self._fleet, device)(topics.ACK)
        told = [ack for ack in acks if ack.seq]
        for start in range(0, max(len(told), len(ends)), _MAX_ACKS):
            part = slice(start, start + _MAX_ACKS)
            self._publish(topic, shape.dump(Ack(tuple(told[part]), tuple(ends[part]), READS)))


def _fingerprint(message: Message) -> tuple[str, bytes]:
    return message.topic, hashlib.blake2b(message.payload, digest_size=16).digest()


def _nowhere(_topic: str, _payload: bytes) -> None:
    """Send nothing: nobody listens before the start."""
