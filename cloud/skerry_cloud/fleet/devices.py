"""The register of devices, and their identities."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

from sqlalchemy import Connection, Row, delete, select, update

from skerry_cloud.clock import Clock
from skerry_cloud.database import (
    Database,
    commands,
    deployment_devices,
    device_desired,
    device_messages,
    devices,
    gaps,
    insert_new,
    positions,
    removed_devices,
    telemetry,
)
from skerry_cloud.fleet.command_rows import forget_commands
from skerry_cloud.fleet.messages import Latest, latest
from skerry_cloud.fleet.presence import Presence, presence
from skerry_cloud.tokens import hash_token, new_token
from skerry_contract.errors import ConflictError, NotFoundError, UnauthorizedError
from skerry_contract.names import check_device_id


class Accounts(Protocol):
    """Who may connect to the broker."""

    def put(self, device: str, password: str) -> None:
        """Let a device in with ``password``, and no longer with an earlier one."""
        ...

    def remove(self, device: str) -> None:
        """Let a device in no more; harmless if it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cloud wants of a device.

    Attributes:
        version: Version of its desired document.
        deployment: ``name:version``, or empty.
        platform: OCI platform that the images were chosen for.
    """

    version: int
    deployment: str
    platform: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device.

    Attributes:
        id: Its id.
        tags: For people and for searching.
        created: When it was added, in seconds since 1970.
        flashed: Whether it was ever given an identity.
        presence: Whether it is there.
        latest: What it said last.
        desired: What the cloud wants of it, if it ever wanted anything.
        error: What the cloud could not make sense of, or not do for it, last.
    """

    id: str
    tags: Mapping[str, str]
    created: float
    flashed: bool
    presence: Presence
    latest: Latest = field(default_factory=Latest)
    desired: Wanted | None = None
    error: Mapping[str, Any] | None = None


class Devices:
    """All devices of the fleet."""

    def __init__(self, database: Database, accounts: Accounts, clock: Clock) -> None:
        self._database = database
        self._accounts = accounts
        self._clock = clock
        # Broker and database must end up with the same secret, whoever asks at the same time.
        self._enrolling = threading.Lock()

    def add(self, device: str, tags: Mapping[str, str]) -> Device:
        """Make a device known.

        Raises:
            NameInvalidError: The id cannot be used.
            ConflictError: There is such a device.
        """
        check_device_id(device)
        row = {"id": device, "tags": dict(tags), "created": self._clock()}
        with self._database.write() as connection:
            if _exists(connection, device):
                raise ConflictError(
                    f"there is a device {device} already", remedy="Flash it, or remove it first."
                )
            connection.execute(devices.insert(), row)
            connection.execute(delete(removed_devices).where(removed_devices.c.id == device))
        return self.get(device)

    def get(self, device: str) -> Device:
        """Return one device.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as connection:
            return find_device(connection, device, self._clock())

    def all(self) -> list[Device]:
        """Return all devices, by id."""
        with self._database.read() as connection:
            return list_devices(connection, self._clock())

    def remove(self, device: str) -> None:
        """Forget a device: its token, its account, its place in deployments, its telemetry.

        Raises:
            NotFoundError: There is none.
            BrokerError: The broker did not take it yet; the device is forgotten all the same.
        """
        with self._database.write() as connection:
            require_devices(connection, [device])
            forget_commands(connection, select(commands.c.id).where(commands.c.device == device))
            for table in (
                gaps,
                device_messages,
                device_desired,
                deployment_devices,
                positions,
                telemetry,
            ):
                connection.execute(delete(table).where(table.c.device == device))
            connection.execute(delete(devices).where(devices.c.id == device))
            insert_new(connection, removed_devices, [{"id": device}])
        with self._enrolling:
            self._accounts.remove(device)

    def new_token(self, device: str) -> str:
        """Give a device a new secret; the one before ends.

        Raises:
            NotFoundError: There is none.
            BrokerError: The broker did not take it; for HTTP nothing has changed.
        """
        token = new_token()
        with self._enrolling:
            self.get(device)
            # Not inside the transaction: a broker may take seconds, and others want to write.
            self._accounts.put(device, token)
            with self._database.write() as connection:
                require_devices(connection, [device])
                known = devices.c.id == device
                values = {"token_hash": hash_token(token)}
                connection.execute(update(devices).where(known).values(values))
        return token

    def authenticate(self, token: str) -> str:
        """Return the id of the device whose token this is.

        Raises:
            UnauthorizedError: It is nobody's.
        """
        with self._database.read() as connection:
            known = select(devices.c.id).where(devices.c.token_hash == hash_token(token))
            found = connection.scalar(known)
        if found is None:
            raise UnauthorizedError(
                "this token is not, or no longer, valid",
                remedy="Flash the device again, or use the token of the login file.",
            )
        return str(found)


def find_device(connection: Connection, device: str, now: float) -> Device:
    """Return one device as it stands at ``now``.

    Raises:
        NotFoundError: There is none.
    """
    row = connection.execute(_select().where(devices.c.id == device)).one_or_none()
    if row is None:
        raise _unknown(connection, [device])
    return _device(row, latest(connection, device).get(device, Latest()), now)


def list_devices(connection: Connection, now: float) -> list[Device]:
    """Return all devices as they stand at ``now``, by id."""
    heard = latest(connection)
    rows = connection.execute(_select().order_by(devices.c.id))
    return [_device(row, heard.get(row.id, Latest()), now) for row in rows]


def require_devices(connection: Connection, wanted: list[str]) -> None:
    """Refuse ids that are not known.

    Raises:
        NotFoundError: Naming them, and what was probably meant.
    """
    known = set(connection.scalars(select(devices.c.id)))
    missing = [device for device in wanted if device not in known]
    if missing:
        raise _unknown(connection, missing)


def _exists(connection: Connection, device: str) -> bool:
    return connection.scalar(select(devices.c.id).where(devices.c.id == device)) is not None


def _unknown(connection: Connection, missing: list[str]) -> NotFoundError:
    known = list(connection.scalars(select(devices.c.id).order_by(devices.c.id)))
    close = get_close_matches(missing[0], known, n=3) or known[:10]
    hint = f"There is: {', '.join(close)}." if close else "There are no devices yet."
    named = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
    return NotFoundError(
        f"there is no device {named}", remedy=f"{hint} Or add it: skerry device add {missing[0]}"
    )


def _select() -> Any:
    wanted = device_desired.c
    return select(
        devices,
        wanted.version.label("desired_version"),
        wanted.deployment,
        wanted.platform,
    ).join(device_desired, isouter=True)


def _device(row: Row[Any], heard: Latest, now: float) -> Device:
    wanted = None
    if row.desired_version is not None:
        wanted = Wanted(row.desired_version, row.deployment, row.platform)
    return Device(
        row.id,
        row.tags,
        row.created,
        row.token_hash is not None,
        presence(heard.heartbeat, heard.state, now),
        heard,
        wanted,
        row.error,
    )
