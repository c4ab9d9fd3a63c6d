"""The cloud's distribution API, as a device reads it: bytes by digest, from any place on.

Every connection has a deadline and can be cut short from outside. A server that sends one byte
now and then would reset any socket timeout for ever, so a watchdog shuts the socket instead.

Source: OCI distribution specification 1.1, "Pulling blobs"; RFC 9110, section 14 (ranges).
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from skerry_contract.errors import ContractError, NetworkError, RegistryError, UnauthorizedError

CONNECT_S = 20.0
"""Seconds that connecting, and then silence on a connection, may last."""
_LOOK_S = 0.2
"""Seconds between two looks of the watchdog."""


class PullCancelledError(Exception):
    """A pull was cancelled by whoever ordered it. No failure, so not one of Skerry's errors."""


class RangeRefusedError(Exception):
    """The server does not go on from where it was asked to: begin with the first byte."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up.

    Attributes:
        deadline: Value of the monotonic clock, in seconds, after which nothing goes on.
        cancel: Set by whoever wants the transfer to end at once.
    """

    deadline: float
    cancel: threading.Event

    def check(self, subject: str) -> None:
        """Go on only while there is time and nobody cancelled.

        Raises:
            PullCancelledError: Somebody did.
            NetworkError: The deadline has passed.
        """
        if self.cancel.is_set():
            raise PullCancelledError(subject)
        if time.monotonic() >= self.deadline:
            raise NetworkError(
                f"{subject} was too slow to arrive in time",
                remedy="What came is kept, and the next attempt goes on from there.",
            )


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of a blob on their way.

    Attributes:
        offset: Place in the blob of the first of them: 0 unless a range was granted.
        length: How many the server said will come, or None if it did not.
        response: Where they come from.
        subject: What they are, for an error's text.
        limits: When to give up.
    """

    offset: int
    length: int | None
    response: http.client.HTTPResponse
    subject: str
    limits: Limits

    def chunks(self, chunk_bytes: int) -> Iterator[bytes]:
        """Yield what comes as it comes, in pieces of at most ``chunk_bytes``.

        Raises:
            NetworkError: The connection was lost, or it took too long.
            PullCancelledError: Somebody cancelled.
        """
        while piece := self._next(chunk_bytes):
            yield piece

    def _next(self, chunk_bytes: int) -> bytes:
        self.limits.check(self.subject)
        with _translated(self.subject, self.limits):
            # Not read(): that waits until all of chunk_bytes came, however slowly.
            return self.response.read1(chunk_bytes)


class Registry:
    """Reads from one cloud.

    Args:
        url: Where the cloud's API is, ``http://`` or ``https://``.
        token: The device's secret; it is sent to this host only, for redirects are refused.
        ca: Certificates to believe, in PEM; None for those of the system.

    Raises:
        ContractError: ``url`` is no such URL.
    """

    def __init__(self, url: str, token: str, ca: Path | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ContractError(f"expected an http or https URL, got {url!r}", subject="cloud")
        self.host = parts.netloc.rpartition("@")[2]
        self._name = parts.hostname
        self._port = parts.port
        self._base = parts.path.rstrip("/")
        self._token = token
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None

    @contextmanager
    def get(self, path: str, *, offset: int, accept: str, limits: Limits) -> Iterator[Body]:
        """Ask for ``path`` from byte ``offset`` on, and yield what the server gives.

        The server may ignore ``offset``; ``Body.offset`` says what it did.

        Args:
            path: Path below ``/v2/``.
            offset: First byte wanted, at least 0.
            accept: Media type wanted.
            limits: When to give up.

        Raises:
            NetworkError: The connection failed, or took too long.
            RangeRefusedError: The server does not go on from ``offset``.
            RegistryError: The server answered with something else.
            UnauthorizedError: The token is not good there.
            PullCancelledError: Somebody cancelled.
        """
        subject = f"{path} from {self.host}"
        limits.check(subject)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": accept,
            "Accept-Encoding": "identity",
        }
        if offset:
            headers["Range"] = f"bytes={offset}-"
        connection = self._connection()
        try:
            with _translated(subject, limits):
                connection.connect()
            with _watched(connection.sock, limits):
                with _translated(subject, limits):
                    connection.request("GET", f"{self._base}/v2/{path}", headers=headers)
                    response = connection.getresponse()
                yield Body(
                    _start(response, offset, subject), response.length, response, subject, limits
                )
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._name, self._port, timeout=CONNECT_S)
        return http.client.HTTPSConnection(
            self._name, self._port, timeout=CONNECT_S, context=self._tls
        )


@contextmanager
def _watched(sock: socket.socket, limits: Limits) -> Iterator[None]:
    """Shut ``sock`` once ``limits`` are reached, so that whoever reads from it wakes up."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_S):
            if limits.cancel.is_set() or time.monotonic() >= limits.deadline:
                _shut(sock)
                return

    watchdog = threading.Thread(target=watch, name="skerry-pull-watchdog", daemon=True)
    watchdog.start()
    try:
        yield
    finally:
        done.set()
        watchdog.join()


def _shut(sock: socket.socket) -> None:
    try:
        # The plain socket's method: that of a TLS socket would take TLS apart under its reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already, which is what was wanted


@contextmanager
def _translated(subject: str, limits: Limits) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        # A socket that the watchdog shut fails somehow; what matters is why it was shut.
        limits.check(subject)
        reason = str(error) or type(error).__name__
        raise NetworkError(f"{subject}: {reason}") from error


def _start(response: http.client.HTTPResponse, offset: int, subject: str) -> int:
    """Judge an answer's status and headers, and return at which byte its body begins.

    Raises:
        RangeRefusedError: The range is not the one that was asked for.
        UnauthorizedError: The token was refused.
        RegistryError: There is no such thing there, or not now.
    """
    status = response.status
    if status == 200:
        return 0
    if status == 206 and offset:
        granted = response.getheader("Content-Range", "")
        match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", granted, re.ASCII)
        if match is None or int(match[1]) != offset:
            raise RangeRefusedError(f"{subject}: asked for bytes from {offset} on, got {granted!r}")
        return offset
    if status == 416 and offset:
        raise RangeRefusedError(f"{subject}: has no bytes from {offset} on")
    if status in (401, 403):
        raise UnauthorizedError(
            f"{subject}: the cloud does not take this device's token (HTTP {status})",
            remedy="If the device was removed from the fleet on purpose, stop its agent; "
            "otherwise flash it again.",
        )
    raise RegistryError(f"{subject}: HTTP {status} {response.reason}")
