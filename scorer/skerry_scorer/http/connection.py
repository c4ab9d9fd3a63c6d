"""One HTTP connection: asyncio's transport on one side, the pure reader of ``wire`` on the other.

Requests of one connection are answered one after the other. While one is under way the connection
is still watched, so that a request whose client has gone is not scored for nobody; but of further
requests only a little is held.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from skerry_scorer.http.answers import error_answer, later
from skerry_scorer.http.reception import Reception
from skerry_scorer.http.wire import Answer, Request, RequestReader, WireError, encode

log = logging.getLogger(__name__)

LINGER_S = 2.0
"""Seconds that a refused client may go on sending before the connection is cut."""
MAX_AHEAD_BYTES = 64 * 1024
"""How much of further requests is held while one is answered, or an answer is not read."""

Deliver = Callable[[Answer], None]


class Pending(Protocol):
    """A request whose answer is still to come."""

    def cancel(self) -> None:
        """Nobody waits for it any more: it is not delivered."""
        ...


Handler = Callable[[Request, Deliver], Answer | Pending]
"""Answers a request at once, or delivers its answer later, once, unless it is cancelled."""


@dataclass(frozen=True)
class Patience:
    """How long clients are waited for.

    Attributes:
        request_s: Seconds in which a request must have come, from its first byte to its last.
        idle_s: Seconds that a connection may stay open without a request, and an answer unread.
    """

    request_s: float = 120.0
    idle_s: float = 75.0


class Connections:
    """The open connections of one listener.

    Args:
        handle: Answers one request.
        max_body_bytes: Longest request body.
        max_connections: Connections beyond it are answered with 503 and closed.
        patience: How long clients are waited for.
        reception: What unfinished requests of this and other listeners may hold together.
    """

    def __init__(
        self,
        handle: Handler,
        *,
        max_body_bytes: int,
        max_connections: int,
        patience: Patience,
        reception: Reception,
    ) -> None:
        self.handle = handle
        self.reception = reception
        self.max_body_bytes = max_body_bytes
        self.patience = patience
        self._max_connections = max_connections
        self._open: set[Connection] = set()
        self._empty = asyncio.Event()
        self.draining = False

    def protocol(self) -> "Connection":
        """Return the protocol of a new connection."""
        return Connection(self)

    def add(self, connection: "Connection") -> bool:
        """Take a connection in, and return whether there was room."""
        if len(self._open) >= self._max_connections:
            return False
        self._open.add(connection)
        return True

    def remove(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        if not self._open:
            self._empty.set()

    async def drain(self) -> None:
        """Close what is idle, and what is not as soon as its answer is written."""
        self.draining = True
        for connection in list(self._open):
            connection.close_when_idle()
        if self._open:
            self._empty.clear()
            await self._empty.wait()


class Connection(asyncio.Protocol):
    """One client."""

    _transport: asyncio.Transport

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._patience = connections.patience
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(connections.max_body_bytes)
        self._answering: Pending | None = None
        self._request: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._writable = True
        self._refused = False
        self._held = 0

    # --- what asyncio calls -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - stream listeners only
        self._transport = transport
        if self._connections.add(self):
            self._wait(self._patience.idle_s)
        else:
            self._refuse(later("too many connections"))
            self._close_when_read()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the request that nobody waits for any more."""
        self._connections.remove(self)
        self._let_go()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._refused:
            return
        first_byte = self._reader.idle
        self._reader.feed(data)
        if self._answering is not None or not self._writable:
            if self._reader.held > MAX_AHEAD_BYTES:
                self._transport.pause_reading()
            return
        if first_byte:
            self._wait(self._patience.request_s)
        self._go_on()
        self._account()

    def pause_writing(self) -> None:
        """Take no further request until the client has read its answers."""
        self._writable = False
        self._wait(self._patience.idle_s)

    def resume_writing(self) -> None:
        """Go on with what had come meanwhile."""
        self._writable = True
        if self._answering is None and self._prepare_next():
            self._go_on()

    # --- requests and answers ---------------------------------------------------------------

    def close_when_idle(self) -> None:
        """Close the connection now, or once the request under way is answered."""
        if self._answering is None and self._writable:
            self._transport.close()

    def _go_on(self) -> None:
        # A loop and not a call for each: a client may send thousands of requests at once.
        while self._answering is None and self._writable and not self._transport.is_closing():
            try:
                request = self._reader.next_request()
            except WireError as error:
                self._refuse(error_answer(error.status, str(error)))
                return
            if request is None:
                if self._reader.wants_continue():
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self._stop_waiting()
            self._request = request
            answer = self._handled(request)
            if not isinstance(answer, Answer):
                self._answering = answer
            elif not self._write(answer):
                return

    def _account(self) -> None:
        """Note how much of a request is held that is not whole; refuse it if that is too much."""
        held = 0 if self._refused else self._reader.held
        if held == self._held:
            return
        if self._connections.reception.change(self._held, held):
            self._held = held
        else:
            self._refuse(later("other requests that are still coming hold all memory for them"))

    def _let_go(self) -> None:
        self._connections.reception.change(self._held, 0)
        self._held = 0

    def _handled(self, request: Request) -> Answer | Pending:
        try:
            return self._connections.handle(request, self._delivered)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return error_answer(500, "internal error; the module's log has the traceback")

    def _delivered(self, answer: Answer) -> None:
        self._answering = None
        if self._write(answer):
            self._go_on()
            self._account()

    def _write(self, answer: Answer) -> bool:
        """Write an answer, and return whether there may be a next request."""
        request, self._request = self._request, None
        assert request is not None  # noqa: S101 - answers are written for requests
        keep_alive = request.keep_alive and not self._connections.draining
        self._transport.write(
            encode(answer, keep_alive=keep_alive, head_only=request.method == "HEAD")
        )
        if not keep_alive:
            self._close_when_read()
            return False
        return self._prepare_next()

    def _prepare_next(self) -> bool:
        if self._refused or not self._writable or self._transport.is_closing():
            return False
        if self._connections.draining:
            self._transport.close()
            return False
        self._transport.resume_reading()
        waiting_for = self._patience
        self._wait(waiting_for.idle_s if self._reader.idle else waiting_for.request_s)
        return True

    def _refuse(self, answer: Answer) -> None:
        self._refused = True
        self._reader = RequestReader(0)  # what came of the request is of no use any more
        self._let_go()
        self._transport.write(encode(answer, keep_alive=False))
        # Closing with bytes unread resets the connection, and the client never sees why.
        with suppress(OSError):  # the client has gone already
            self._transport.write_eof()
        self._transport.resume_reading()
        self._wait(LINGER_S)

    def _close_when_read(self) -> None:
        # close() still writes out what is buffered; the timer ends a client that never reads it.
        self._transport.close()
        self._wait(self._patience.idle_s)

    # --- time -------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        # The timer is left running where it rings early enough: most requests come long before.
        self._until = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._ring)

    def _stop_waiting(self) -> None:
        self._until = 0.0

    def _ring(self) -> None:
        self._timer = None
        if not self._until:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._ring)
        else:
            self._time_is_up()

    def _time_is_up(self) -> None:
        if self._refused or self._reader.idle or not self._writable or self._transport.is_closing():
            self._transport.abort()
        else:
            seconds = self._patience.request_s
            self._refuse(error_answer(408, f"the request did not come within {seconds:g} s"))
