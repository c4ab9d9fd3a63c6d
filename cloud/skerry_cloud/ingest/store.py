"""Keep a bundle of messages in one transaction, and say what may be acknowledged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, devices, insert_new, positions, put, telemetry
from skerry_cloud.fleet import messages
from skerry_cloud.fleet.command_rows import keep_lines, keep_response
from skerry_cloud.fleet.presence import is_stale
from skerry_cloud.ingest.gaps import keep_gaps
from skerry_cloud.ingest.inbox import Answer, Entry, Items, Lines, Statement
from skerry_cloud.ingest.sequences import Position, advance
from skerry_contract.errors import SkerryError
from skerry_contract.messages import Item, StreamAck

_Key = tuple[str, str, str]
"""Device, boot, stream."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A message that could not be read."""

    device: str
    topic: str
    error: SkerryError
    received: float


@dataclass(slots=True)
class Outcome:
    """What a bundle came to.

    Attributes:
        acks: What may be acknowledged, by device.
        ends: Commands whose end is stored, by device.
        said: How much was said of commands.
        items: How many new items were stored.
        bytes: Bytes of their data.
        platforms: Platform of each device that told its capabilities.
        strangers: Devices that sent something and are not known.
    """

    acks: dict[str, list[StreamAck]] = field(default_factory=dict)
    ends: dict[str, list[str]] = field(default_factory=dict)
    said: int = 0
    items: int = 0
    bytes: int = 0
    platforms: dict[str, str] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)


class Store:
    """Where everything that devices say ends up."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def keep(self, bundle: Sequence[Entry | Wrong]) -> Outcome:
        """Store a bundle, in the order in which it came; it is on disk when this returns."""
        outcome = Outcome()
        with self._database.write() as connection:
            named = {entry.device for entry in bundle}
            known = set(connection.scalars(select(devices.c.id).where(devices.c.id.in_(named))))
            outcome.strangers = named - known
            mine = [entry for entry in bundle if entry.device in known]
            for entry in mine:
                if isinstance(entry, Statement):
                    _keep_statement(connection, entry, outcome)
                elif isinstance(entry, Answer):
                    _keep_answer(connection, entry, outcome)
                elif isinstance(entry, Lines):
                    outcome.said += keep_lines(connection, entry.device, entry.lines)
                elif isinstance(entry, Wrong):
                    messages.keep_error(
                        connection, entry.device, entry.error, entry.received, entry.topic
                    )
            batches = [entry for entry in mine if isinstance(entry, Items)]
            _keep_items(connection, batches, outcome, self._clock())
        return outcome


def _keep_statement(connection: Connection, entry: Statement, outcome: Outcome) -> None:
    # From the broker's memory: nobody knows when it was sent.
    received = None if entry.message.retained else entry.message.received
    if entry.kind == "state":
        said = messages.latest(connection, entry.device).get(entry.device, messages.Latest())
        known = said.state.state if said.state else None
        if is_stale(entry.value, known):
            return
        if entry.value != known:
            # Whenever it was, it was after all that was heard before.
            received = entry.message.received
    if entry.kind == "caps":
        outcome.platforms[entry.device] = entry.value.platform
    messages.keep(connection, entry.device, entry.kind, entry.value, received)


def _keep_answer(connection: Connection, entry: Answer, outcome: Outcome) -> None:
    outcome.said += 1
    if keep_response(connection, entry.device, entry.command, entry.response):
        outcome.ends.setdefault(entry.device, []).append(entry.command)


def _keep_items(
    connection: Connection, batches: Sequence[Items], outcome: Outcome, now: float
) -> None:
    known = _positions(connection, {_key(items) for items in batches})
    rows: list[dict[str, Any]] = []
    for items in batches:
        key = _key(items)
        pairs = zip(items.batch.items, items.data, strict=True)
        by_number = {item.seq: (item, data) for item, data in pairs}
        step = advance(known.get(key, Position()), items.batch.floor, by_number)
        known[key] = step.position
        keep_gaps(connection, key, step.gaps, now)
        received = items.message.received
        rows.extend(_row(key, *by_number[number], received) for number in sorted(step.fresh))
    insert_new(connection, telemetry, rows)
    outcome.items = len(rows)
    outcome.bytes = sum(len(row["data"]) for row in rows)
    for (device, boot, stream), position in known.items():
        row = {
            "device": device,
            "boot": boot,
            "stream": stream,
            "through": position.through,
            "above": [list(run) for run in position.above],
            "lost": position.lost,
            "updated": now,
        }
        put(connection, positions, row)
        acks = outcome.acks.setdefault(device, [])
        acks.append(StreamAck(boot, stream, position.through))


def _positions(connection: Connection, keys: Iterable[_Key]) -> dict[_Key, Position]:
    found = {}
    table = positions.c
    for device, boot, stream in keys:
        mine = (table.device == device) & (table.boot == boot) & (table.stream == stream)
        row = connection.execute(select(positions).where(mine)).one_or_none()
        if row is not None:
            above = tuple((first, last) for first, last in row.above)
            found[device, boot, stream] = Position(row.through, above, row.lost)
    return found


def _key(items: Items) -> _Key:
    return items.device, items.batch.boot, items.stream


def _row(key: _Key, item: Item, data: str, received: float) -> dict[str, Any]:
    device, boot, stream = key
    return {
        "device": device,
        "boot": boot,
        "stream": stream,
        "seq": item.seq,
        "ts": item.ts,
        "hist": item.hist,
        "data": data,
        "received": received,
    }
