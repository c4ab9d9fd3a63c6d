"""Decide what of the outbox to send next: batches, what is under way, and when to send again.

The window holds no item, only numbers, so its memory is bounded by what may be under way at once,
however much waits in the outbox.
"""

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from skerry_agent.core.backoff import delay_s

Stream = tuple[str, str]
"""Boot and stream path, which number their items together."""

MAX_BATCH_BYTES = 60 * 1024
"""Bytes of items in one batch, unless a single item is larger."""
_ITEM_BYTES = 120
"""Bytes that an item takes besides its data: number, time, names and brackets."""
LATE_S = 10.0
"""An item that is sent this long after it was stored is marked as historical."""
MAX_IN_FLIGHT_BYTES = 512 * 1024
"""Bytes that may wait for an acknowledgement at once."""
RESERVED_BYTES = 64 * 1024
"""Of those, what each rank must leave to those above it: an event never waits for telemetry."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An item as it lies in the outbox.

    Attributes:
        id: Grows with every item ever stored.
        boot: Boot under which it was stored.
        stream: Its stream.
        seq: Its number in that boot and stream.
        ts: When it was stored, as text for people.
        stored_s: The same in seconds since 1970.
        data: Its JSON.
    """

    id: int
    boot: str
    stream: str
    seq: int
    ts: str
    stored_s: float
    data: bytes


def batches(items: Iterable[Stored]) -> list[list[Stored]]:
    """Group items by boot and stream, in order, into batches that are not too large."""
    open_batches: dict[Stream, list[Stored]] = {}
    sizes: dict[Stream, int] = {}
    done: list[list[Stored]] = []
    for item in items:
        stream = (item.boot, item.stream)
        size = len(item.data) + _ITEM_BYTES
        if stream in open_batches and sizes[stream] + size > MAX_BATCH_BYTES:
            done.append(open_batches.pop(stream))
        open_batches.setdefault(stream, []).append(item)
        sizes[stream] = size + (sizes[stream] if len(open_batches[stream]) > 1 else 0)
    return [*done, *open_batches.values()]


def payload(batch: list[Stored], *, floor: int, now_s: float) -> bytes:
    """Return a batch in the form of ``messages.Batch``, without parsing what it carries."""
    items = b",".join(
        b'{"seq":%d,"ts":%s,"hist":%s,"data":%s}'
        % (
            item.seq,
            json.dumps(item.ts).encode(),
            b"true" if now_s - item.stored_s > LATE_S else b"false",
            item.data,
        )
        for item in batch
    )
    boot = json.dumps(batch[0].boot).encode()
    return b'{"schema":1,"boot":%s,"floor":%d,"items":[%s]}' % (boot, floor, items)


@dataclass(slots=True)
class Window:
    """What has been sent over this connection and was not acknowledged.

    Attributes:
        resend_s: Seconds without any progress after which everything is sent again.
        cursor: Highest id sent, by rank.
    """

    resend_s: float = 15.0
    cursor: dict[int, int] = field(default_factory=dict)
    _under_way: dict[Stream, deque[tuple[int, int]]] = field(default_factory=dict)
    _bytes: int = 0
    _silences: int = 0
    _due: float = 0.0

    def has_room(self, rank: int = 0) -> bool:
        """Return whether more of a rank may be sent now."""
        return self._room(rank) > 0

    def fitting(self, rank: int, items: list[Stored]) -> list[Stored]:
        """Return the items from the front of ``items`` that may be sent now."""
        room = self._room(rank)
        taken = 0
        for count, item in enumerate(items):
            if taken >= room:
                return items[:count]
            taken += len(item.data)
        return items

    def sent(self, rank: int, batch: list[Stored], *, now: float) -> None:
        """Note that a batch has left, at monotonic time ``now``."""
        if not self._under_way:
            self._wait(now)
        numbers = self._under_way.setdefault((batch[0].boot, batch[0].stream), deque())
        numbers.extend((item.seq, len(item.data)) for item in batch)
        self._bytes += sum(len(item.data) for item in batch)
        self.cursor[rank] = max(self.cursor.get(rank, 0), batch[-1].id)

    def acknowledged(self, boot: str, stream: str, seq: int, *, now: float) -> int:
        """Note an acknowledgement; return the number up to which it may be believed.

        Only what was sent can be acknowledged: a number beyond that is cut down to it, and 0
        means that nothing of this stream was under way.
        """
        numbers = self._under_way.get((boot, stream))
        believed = 0
        while numbers and numbers[0][0] <= seq:
            believed, size = numbers.popleft()
            self._bytes -= size
        if numbers is not None and not numbers:
            del self._under_way[boot, stream]
        if believed:
            self._silences = 0
            self._wait(now)
        return believed

    def overdue(self, now: float) -> bool:
        """Return True, and start over from the oldest item, if there was no progress for long."""
        if not self._under_way or now < self._due:
            return False
        self._silences += 1
        silences = self._silences
        self.reset()
        self._silences = silences
        return True

    def reset(self) -> None:
        """Forget what is under way: all of it will be sent again."""
        self.cursor.clear()
        self._under_way.clear()
        self._bytes = 0

    def _room(self, rank: int) -> int:
        return MAX_IN_FLIGHT_BYTES - rank * RESERVED_BYTES - self._bytes

    def _wait(self, now: float) -> None:
        pause_s = delay_s(self._silences, base_s=2 * self.resend_s) if self._silences else 0.0
        self._due = now + max(self.resend_s, pause_s)
