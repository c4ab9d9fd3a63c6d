"""Commands to devices: issued, signed, followed until they end."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from skerry_cloud.blobs import BlobStore
from skerry_cloud.clock import Clock
from skerry_cloud.database import Database, command_lines, commands, next_number
from skerry_cloud.fleet.command_rows import ISSUED, forget_old
from skerry_cloud.fleet.devices import find_device
from skerry_cloud.fleet.messages import latest
from skerry_cloud.trust import Director
from skerry_contract.commands import (
    FINAL,
    MAX_BUNDLE_BYTES,
    Command,
    limit_s,
    read_args,
)
from skerry_contract.errors import CommandError, ConflictError, ContractError, NotFoundError

KEPT = 200
"""Commands that are remembered for each device."""
GRACE_S = 60.0
"""Seconds after the latest possible end in which a response may still be on its way."""
UNANSWERED = "unanswered"
"""State of a command whose end should have come by now."""

_MAX_LINES = 1000


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a device.

    Attributes:
        type: What to do.
        args: Its arguments.
        deadline_s: Seconds from now after which it is not begun any more.
        by: Who asks.
    """

    type: str
    args: Mapping[str, Any]
    deadline_s: float
    by: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A command and what became of it.

    Attributes:
        id: Its id.
        device: Whom it was for.
        type: What to do.
        args: Its arguments.
        issued: When, in seconds since 1970.
        issued_by: By whom.
        deadline: After this it is not begun any more.
        state: ``issued``, what the device said, or ``unanswered``.
        ts: When the device said so, by its clock.
        text: What it is doing.
        failure: Why it was rejected, expired or failed.
        result: What came of it.
        bundle: Digest of the support bundle that was uploaded for it.
        revision: Grows with everything that is said of it.
    """

    id: str
    device: str
    type: str
    args: Mapping[str, Any]
    issued: float
    issued_by: str
    deadline: float
    state: str
    ts: str
    text: str
    failure: Mapping[str, Any] | None
    result: Any
    bundle: str | None
    revision: int

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected."""
        return self.state in FINAL or self.state == UNANSWERED


class Commands:
    """All commands of the fleet.

    Args:
        database: Where they are.
        director: Signs them.
        fleet: Id of the fleet.
        announce: Has what waits for these devices sent soon.
        blobs: Where support bundles are.
        clock: Says what time it is.
    """

    def __init__(
        self,
        database: Database,
        director: Director,
        fleet: str,
        announce: Callable[[Iterable[str]], None],
        blobs: BlobStore,
        clock: Clock,
    ) -> None:
        self._database = database
        self._director = director
        self._fleet = fleet
        self._announce = announce
        self._blobs = blobs
        self._clock = clock

    def issue(self, device: str, order: Order) -> Issued:
        """Sign a command and have it sent.

        Raises:
            NotFoundError: There is no such device.
            ContractError: There is no such type, or an argument is wrong.
            ConflictError: The device does not understand or allow it.
        """
        read_args(order.type, order.args)
        now = self._clock()
        with self._database.write() as connection:
            _require_understood(connection, device, order.type, now)
            number = next_number(connection, "command", device)
            command = self._command(device, number, order, now)
            row = {
                "id": command.id,
                "device": device,
                "number": number,
                "type": order.type,
                "args": dict(order.args),
                "issued": now,
                "issued_by": order.by,
                "deadline": command.deadline.timestamp(),
                "request": self._director.sign_command(command).decode(),
                "state": ISSUED,
                "step": 0,
                "ts": "",
                "text": "",
                "revision": 0,
            }
            connection.execute(commands.insert(), row)
            forget_old(connection, device, KEPT)
        self._announce([device])
        return self.get(device, command.id)

    def get(self, device: str, command: str) -> Issued:
        """Return one command.

        Raises:
            NotFoundError: There is none of that id, or it was for another device.
        """
        with self._database.read() as connection:
            find_device(connection, device, self._clock())
            return self._find(connection, device, command)

    def of_device(self, device: str, limit: int) -> list[Issued]:
        """Return the newest commands of a device, newest first.

        Raises:
            NotFoundError: There is no such device.
        """
        wanted = select(commands).where(commands.c.device == device)
        with self._database.read() as connection:
            find_device(connection, device, self._clock())
            rows = connection.execute(wanted.order_by(commands.c.number.desc()).limit(limit))
            return [_issued(row, self._clock()) for row in rows]

    def lines(self, device: str, command: str, after: int) -> list[tuple[int, str]]:
        """Return up to 1000 lines of a log that follow line ``after``, with their numbers.

        Raises:
            NotFoundError: There is no such command.
        """
        self.get(device, command)
        wanted = (
            select(command_lines.c.n, command_lines.c.text)
            .where((command_lines.c.command == command) & (command_lines.c.n > after))
            .order_by(command_lines.c.n)
            .limit(_MAX_LINES)
        )
        with self._database.read() as connection:
            return [(row.n, row.text) for row in connection.execute(wanted)]

    def keep_bundle(self, device: str, command: str, data: bytes) -> None:
        """Store the support bundle that a device uploads for a command.

        Raises:
            NotFoundError: There is no such command.
            ConflictError: It does not ask for one, or is over.
            ContractError: It is too large.
        """
        asked = self.get(device, command)
        if asked.type != "support-bundle" or asked.is_over:
            raise ConflictError(f"command {command} ({asked.type}, {asked.state}) takes no bundle")
        if len(data) > MAX_BUNDLE_BYTES:
            raise ContractError(f"{len(data)} bytes, at most {MAX_BUNDLE_BYTES} allowed")
        stored = self._blobs.put(data)
        with self._database.write() as connection:
            mine = commands.c.id == command
            values = {"bundle": stored.digest, "revision": commands.c.revision + 1}
            connection.execute(update(commands).where(mine).values(values))

    def bundle(self, device: str, command: str) -> bytes:
        """Return the support bundle that was uploaded for a command, a tar.gz.

        Raises:
            NotFoundError: There is no such command, or nothing was uploaded for it.
        """
        found = self.get(device, command)
        if found.bundle is None:
            raise NotFoundError(
                f"no bundle was uploaded for command {command} ({found.type}, {found.state})",
                remedy=f"Ask for one: skerry device support-bundle {device}",
            )
        return self._blobs.read(found.bundle, limit=MAX_BUNDLE_BYTES)

    def _command(self, device: str, number: int, order: Order, now: float) -> Command:
        issued = datetime.fromtimestamp(now, UTC).replace(microsecond=0)
        deadline = issued + timedelta(seconds=order.deadline_s)
        return Command(
            self._fleet,
            device,
            secrets.token_hex(8),
            number,
            order.type,
            issued,
            deadline,
            dict(order.args),
        )

    def _find(self, connection: Connection, device: str, command: str) -> Issued:
        mine = (commands.c.id == command) & (commands.c.device == device)
        row = connection.execute(select(commands).where(mine)).one_or_none()
        if row is None:
            raise NotFoundError(
                f"there is no command {command} of device {device}",
                remedy=f"See: skerry device commands {device}",
            )
        return _issued(row, self._clock())


def pending(connection: Connection, device: str, now: float) -> list[tuple[str, str, bytes]]:
    """Return type, id and request of what a device has not answered and may still begin."""
    mine = (
        (commands.c.device == device) & (commands.c.state == ISSUED) & (commands.c.deadline > now)
    )
    rows = connection.execute(select(commands).where(mine).order_by(commands.c.number))
    return [(row.type, row.id, row.request.encode()) for row in rows]


def asked(database: Database, devices: Iterable[str], now: float) -> list[str]:
    """Return those of ``devices`` that have something to answer and may still begin it."""
    mine = commands.c.device.in_(list(devices)) & (commands.c.state == ISSUED)
    wanted = select(commands.c.device).where(mine & (commands.c.deadline > now)).distinct()
    with database.read() as connection:
        return list(connection.scalars(wanted))


def _require_understood(connection: Connection, device: str, type_: str, now: float) -> None:
    find_device(connection, device, now)
    said = latest(connection, device).get(device)
    if said is None or said.caps is None:
        raise ConflictError(
            f"device {device} has not said yet what it understands",
            remedy="Start its agent, and try again once it has connected.",
        )
    if type_ not in said.caps.commands:
        known = ", ".join(said.caps.commands) or "no commands at all"
        remedy = f"It understands: {known}."
        if type_ == "reboot" and said.caps.commands:
            remedy = "Name the program that reboots it as 'reboot' in its device.json. " + remedy
        raise ConflictError(f"device {device} does not carry out {type_}", remedy=remedy)


def _issued(row: Row[Any], now: float) -> Issued:
    state = row.state
    if state not in FINAL and now > row.deadline + _limit_s(row) + GRACE_S:
        state = UNANSWERED
    return Issued(
        row.id,
        row.device,
        row.type,
        row.args,
        row.issued,
        row.issued_by,
        row.deadline,
        state,
        row.ts,
        row.text,
        row.failure or _unanswered(row, state),
        row.result,
        row.bundle,
        row.revision,
    )


def _limit_s(row: Row[Any]) -> float:
    return limit_s(row.type, read_args(row.type, row.args))


def _unanswered(row: Row[Any], state: str) -> Mapping[str, Any] | None:
    if state != UNANSWERED:
        return None
    said = "nothing" if row.state == ISSUED else f"{row.state!r} last"
    return {
        "code": CommandError.code,
        "text": f"the device said {said}, and the deadline has passed",
        "remedy": "See whether it is connected: skerry device show. It may have been carried out.",
        "detail": "",
    }
