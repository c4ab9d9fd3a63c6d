"""The latest message of each kind from each device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, select, update

from skerry_cloud.database import device_messages, devices, put
from skerry_cloud.fleet.presence import Heartbeat, Word
from skerry_contract import shape
from skerry_contract.errors import SkerryError
from skerry_contract.messages import Caps, Health, Reported, State

Kind = Literal["reported", "state", "caps", "health"]
T = TypeVar("T")

TYPES: Mapping[Kind, type[Any]] = {
    "reported": Reported,
    "state": State,
    "caps": Caps,
    "health": Health,
}


@dataclass(frozen=True, slots=True)
class Latest:
    """What a device said last; None where it has not said anything yet.

    Attributes:
        reported: What it runs.
        state: What it is about, and when that was heard.
        caps: What it is.
        health: How it is.
        heartbeat: When that was heard.
        seen: When anything was heard of it, in seconds since 1970; 0 for never.
    """

    reported: Reported | None = None
    state: Word | None = None
    caps: Caps | None = None
    health: Health | None = None
    heartbeat: Heartbeat | None = None
    seen: float = 0.0


def latest(connection: Connection, device: str | None = None) -> dict[str, Latest]:
    """Return the latest messages by device: of one, or of all."""
    rows = select(device_messages)
    if device is not None:
        rows = rows.where(device_messages.c.device == device)
    bodies: dict[str, dict[str, tuple[Any, float]]] = {}
    for row in connection.execute(rows):
        value = shape.read(TYPES[row.kind], row.body)
        bodies.setdefault(row.device, {})[row.kind] = (value, row.received)
    return {name: _latest(found) for name, found in bodies.items()}


def keep(
    connection: Connection, device: str, kind: Kind, value: Any, received: float | None
) -> None:
    """Store the latest of its kind.

    Args:
        connection: Where.
        device: Id of the device.
        kind: What it is.
        value: What was said.
        received: When it came; None if it was said at some unknown time before.
    """
    if received is None:
        table = device_messages.c
        mine = (table.device == device) & (table.kind == kind)
        received = connection.scalar(select(table.received).where(mine)) or 0.0
    row = {"device": device, "kind": kind, "body": shape.write(value), "received": received}
    put(connection, device_messages, row)


def keep_error(
    connection: Connection, device: str, error: SkerryError, received: float, topic: str = ""
) -> None:
    """Store the last thing that the cloud could not make sense of, or not do, for a device."""
    told = {"code": error.code, "text": error.text, "remedy": error.remedy, "topic": topic}
    values = {"error": {**told, "received": received}}
    connection.execute(update(devices).where(devices.c.id == device).values(values))


def _latest(found: Mapping[str, tuple[Any, float]]) -> Latest:
    def value(kind: Kind) -> Any:
        return found[kind][0] if kind in found else None

    health, state = found.get("health"), found.get("state")
    return Latest(
        reported=value("reported"),
        state=Word(state[1], state[0]) if state else None,
        caps=value("caps"),
        health=value("health"),
        heartbeat=_heartbeat(*health) if health and health[1] else None,
        seen=max(received for _, received in found.values()),
    )


def _heartbeat(health: Health, received: float) -> Heartbeat:
    return Heartbeat(received, health.interval_s, health.boot)
