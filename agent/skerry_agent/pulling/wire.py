"""One connection: straight or through a proxy, with TLS where it is asked for, watched and counted.

Every connection has a deadline and can be cut short from outside. A server that sends one byte
now and then would reset any socket timeout for ever, so a watchdog shuts the socket instead.

Source: RFC 9110, section 9.3.6 (CONNECT).
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from skerry_agent.core.route import Proxy, Url
from skerry_agent.data_meter import SocketCount
from skerry_contract.errors import NetworkError

CONNECT_S = 20.0
"""Seconds that connecting, and then silence on a connection, may last."""
HEAD_S = 60.0
"""Seconds until the head of an answer must be there, whatever comes of it before."""
_LOOK_S = 0.2
"""Seconds between two looks of the watchdog."""
_LEAST_BUFFER_BYTES = 16 * 1024
_MOST_BUFFER_BYTES = 1024 * 1024

Charge = Callable[[int, int], None]
"""Called with the bytes that were sent and received; never raises."""


class PullCancelledError(Exception):
    """A pull was cancelled by whoever ordered it. No failure, so not one of Skerry's errors."""


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
            raise too_slow(subject)

    def rest(self, seconds: float, subject: str) -> None:
        """Wait, but not beyond the deadline.

        Raises:
            PullCancelledError: Somebody cancelled meanwhile.
            NetworkError: The deadline has passed.
        """
        if seconds > 0:
            self.cancel.wait(min(seconds, max(0.0, self.deadline - time.monotonic())))
        self.check(subject)


def too_slow(subject: str) -> NetworkError:
    """Return the error of what did not come in time."""
    return NetworkError(
        f"{subject} was too slow to arrive in time",
        remedy="What came is kept, and the next attempt goes on from there.",
    )


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach a host.

    Attributes:
        url: Whose host it is.
        tls: Whom to believe; None without TLS.
        proxy: What to go through, or None.
        limit_bytes_s: Bytes a second that will be read; 0 for no limit.
    """

    url: Url
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    limit_bytes_s: float = 0.0


@dataclass
class Wire:
    """A connection that is open.

    Attributes:
        route: Where it leads.
        sock: The socket; TLS wraps it when it is there.
        give_up: Monotonic time at which the watchdog shuts it.
        charge: Is told what it costs.
    """

    route: Route
    sock: socket.socket
    give_up: float
    charge: Charge
    _count: SocketCount = field(init=False)
    _response: http.client.HTTPResponse | None = None

    def __post_init__(self) -> None:
        self._count = SocketCount(self.sock)

    def settle(self) -> None:
        """Charge what has crossed the connection since the last time."""
        self.charge(*self._count.take())

    def close(self) -> None:
        """Charge the rest, and end the connection."""
        self.settle()
        if self._response is not None:
            self._response.close()
        self.sock.close()

    def request(self, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Send a GET and return the answer, of which the head is there.

        Raises:
            OSError: The connection failed.
            HTTPException: What came is no answer.
        """
        url, proxy = self.route.url, self.route.proxy
        fields = {"Host": url.netloc, **headers}
        if proxy is not None and self.route.tls is None:
            path = url.origin + path
            if proxy.authorization:
                fields["Proxy-Authorization"] = proxy.authorization
        return self._exchange("GET", path, fields)

    def secure(self, tls: ssl.SSLContext) -> None:
        """Go through the proxy, if there is one, and speak TLS to the host."""
        if self.route.proxy is not None:
            self._tunnel(self.route.proxy)
        self.sock = tls.wrap_socket(self.sock, server_hostname=self.route.url.host)
        self._count.follow(self.sock)

    def _tunnel(self, proxy: Proxy) -> None:
        url = self.route.url
        host = f"[{url.host}]" if ":" in url.host else url.host
        fields = {"Host": f"{host}:{url.port}"}
        if proxy.authorization:
            fields["Proxy-Authorization"] = proxy.authorization
        answer = self._exchange("CONNECT", f"{host}:{url.port}", fields)
        answer.close()
        if answer.status != 200:
            raise OSError(
                f"the proxy {proxy.host}:{proxy.port} refuses: HTTP {answer.status} {answer.reason}"
            )

    def _exchange(
        self, method: str, target: str, fields: dict[str, str]
    ) -> http.client.HTTPResponse:
        # Not HTTPConnection: that closes the socket before it could be asked what it has cost.
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
        if any(letter in line for line in lines for letter in "\r\n"):
            raise ValueError("a line break in the head of a request")
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        response = http.client.HTTPResponse(self.sock, method=method)
        try:
            response.begin()
        except BaseException:
            response.close()
            raise
        self._response = response
        return response


@contextmanager
def connected(route: Route, limits: Limits, charge: Charge, subject: str) -> Iterator[Wire]:
    """Connect, and close when the block ends; the head of an answer has ``HEAD_S`` seconds.

    Raises:
        NetworkError: There is no connection to be had, or not in time.
        PullCancelledError: Somebody cancelled.
    """
    limits.check(subject)
    with translated(subject, limits):
        sock = _connect(route)
    give_up = min(limits.deadline, time.monotonic() + HEAD_S)
    wire = Wire(route, sock, give_up, charge)
    try:
        with _watched(wire, limits):
            if route.tls is not None:
                with translated(subject, limits):
                    wire.secure(route.tls)
            yield wire
    finally:
        wire.close()


@contextmanager
def translated(subject: str, limits: Limits) -> Iterator[None]:
    """Turn what goes wrong on a connection into our own errors.

    Raises:
        NetworkError: It failed.
        PullCancelledError: It was cut, because somebody cancelled.
    """
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        # A socket that the watchdog shut fails somehow; what matters is why it was shut.
        limits.check(subject)
        reason = str(error) or type(error).__name__
        raise NetworkError(f"{subject}: {reason}") from error


def _connect(route: Route) -> socket.socket:
    hop = route.proxy or route.url
    sock = socket.create_connection((hop.host, hop.port), timeout=CONNECT_S)
    if route.limit_bytes_s:
        # Or the kernel takes in megabytes at full speed, whatever we read.
        wanted = min(_MOST_BUFFER_BYTES, max(_LEAST_BUFFER_BYTES, int(route.limit_bytes_s)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
    return sock


@contextmanager
def _watched(wire: Wire, limits: Limits) -> Iterator[None]:
    """Shut the socket once its time is over, so that whoever reads from it wakes up."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_LOOK_S):
            if limits.cancel.is_set() or time.monotonic() >= wire.give_up:
                _shut(wire.sock)
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
