"""The broker that a server uses, whether it started it or found it running."""

from dataclasses import dataclass
from typing import Any, Protocol

from skerry_cloud import broker
from skerry_cloud.broker import BrokerSettings, TlsFiles
from skerry_cloud.fleet.devices import Accounts
from skerry_cloud.link import BrokerAddress
from skerry_cloud.settings import Settings, is_loopback

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (what to connect to instead)


class Process(Protocol):
    """A broker process that can be looked after."""

    def alive(self) -> bool:
        """Return whether it runs."""
        ...

    def restart(self) -> None:
        """Start it again."""
        ...

    def stop(self) -> None:
        """Stop it."""
        ...


@dataclass(frozen=True, slots=True)
class Messaging:
    """A broker, ready to be used.

    Attributes:
        kind: Which program it is, or ``external``.
        address: Where the cloud finds it, and as whom.
        public: What people and devices are told of it.
        accounts: Who may connect.
        process: The process, if it is ours to look after.
    """

    kind: str
    address: BrokerAddress
    public: dict[str, Any]
    accounts: Accounts
    process: Process | None


class ForeignAccounts:
    """Accounts of a broker that somebody else looks after."""

    def put(self, device: str, password: str) -> None:
        """Leave it to them."""

    def remove(self, device: str) -> None:
        """Leave it to them."""


def start(settings: Settings, tls: TlsFiles | None) -> Messaging:
    """Start the broker that ``settings`` ask for, or find the one that runs already.

    Raises:
        BrokerError: It is not installed, its port is taken, or it does not start.
    """
    options = settings.options
    if options.broker == "external":
        return _external(settings)
    running = broker.start(
        BrokerSettings(
            folder=settings.data / "broker",
            fleet=options.fleet,
            kind=options.broker,
            host=options.host,
            port=options.broker_port,
            tls=tls,
        )
    )
    host = _EVERYWHERE.get(options.host, options.host)
    service, viewer = running.service, running.viewer
    ca = running.tls_ca or ""
    address = BrokerAddress(
        host, running.port, service.username, service.password, ca, check_host=not is_loopback(host)
    )
    public = {
        "kind": running.kind,
        "host": settings.public_host,
        "port": running.port,
        "tls": tls is not None,
        "username": viewer.username,
        "password": viewer.password,
    }
    return Messaging(running.kind, address, public, running.accounts, running)


def _external(settings: Settings) -> Messaging:
    options = settings.options
    host = options.broker_host or settings.public_host
    address = BrokerAddress(
        host,
        options.broker_port,
        options.broker_username,
        options.broker_password,
        options.broker_ca,
    )
    # No account is told: the only one we have may write everything.
    public = {
        "kind": "external",
        "host": host,
        "port": options.broker_port,
        "tls": bool(options.broker_ca),
        "username": "",
        "password": "",
    }
    return Messaging("external", address, public, ForeignAccounts(), None)
