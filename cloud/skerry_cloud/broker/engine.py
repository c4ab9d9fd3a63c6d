"""What a broker program has to offer, and what it is told."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from skerry_cloud.broker.accounts import Login, PasswordHashes
from skerry_cloud.broker.rights import Rights
from skerry_cloud.broker.tls import TlsFiles
from skerry_contract.messages import MAX_PAYLOAD_BYTES

BrokerKind = Literal["mosquitto", "nats"]

MAX_PACKET_BYTES = 2 * MAX_PAYLOAD_BYTES
"""Largest MQTT packet that the broker takes: the largest payload, its topic, and room to grow."""
SESSION_DAYS = 30
"""How long the broker holds messages for a client that stays away."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where one broker lives.

    Attributes:
        folder: Its own folder, for configuration and state.
        host: Address it listens on.
        port: TCP port of MQTT.
        tls: Its certificate, or None to speak in the clear.
        control: Login for changes to the running broker; new at every start.
    """

    folder: Path
    host: str
    port: int
    tls: TlsFiles | None
    control: Login

    @property
    def local_host(self) -> str:
        """Address at which this machine reaches the broker."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return self.host
        if not address.is_unspecified:
            return self.host
        return "127.0.0.1" if address.version == 4 else "::1"


@dataclass(frozen=True, slots=True)
class Account:
    """Someone who may connect.

    Attributes:
        username: Name that it connects with.
        hashes: Its password.
        rights: What it may do.
        client_id: The only MQTT client id it may use, where the broker can hold it to one.
    """

    username: str
    hashes: PasswordHashes = field(repr=False)
    rights: Rights
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A device that came, got a new password, or went.

    Attributes:
        device: Its id.
        password: The new password, or None if the device is gone.
        rights: What it may do.
    """

    device: str
    password: str | None = field(repr=False)
    rights: Rights


class Engine(Protocol):
    """One broker program, found on this machine."""

    @property
    def kind(self) -> BrokerKind:
        """Which program it is."""
        ...

    def prepare(self, site: Site, accounts: Sequence[Account]) -> list[str]:
        """Write the configuration and return the command that runs the broker in the foreground.

        Raises:
            OSError: The folder cannot be written.
        """
        ...

    def apply(self, site: Site, accounts: Sequence[Account], change: Change, pid: int) -> None:
        """Make the running broker know a change, and cut a device whose password is void.

        Args:
            site: Where the broker lives.
            accounts: All accounts, with the change in them.
            change: What changed.
            pid: The running broker.

        Raises:
            BrokerError: It did not take the change in time.
        """
        ...
