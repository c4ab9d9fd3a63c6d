"""Connections over real sockets: whatever a client sends, it is answered in order or let go."""

import asyncio
import socket
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_scorer.http.connection import Connections, Deliver, Handler, Patience, Pending
from skerry_scorer.http.reception import FREE_BYTES, Reception
from skerry_scorer.http.wire import Answer, Request

PIECES = [
    b"GET /now HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /later HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /broken HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\r\n",
    b"\0\xff",
]


def listener(
    handler: Handler, patience: Patience, *, max_body_bytes: int, max_receiving_bytes: int = 2**30
) -> Connections:
    return Connections(
        handler,
        max_body_bytes=max_body_bytes,
        max_connections=1,
        patience=patience,
        reception=Reception(max_receiving_bytes),
    )


class Later:
    """An answer that comes in a later turn of the loop."""

    def __init__(self, deliver: Deliver, answer: Answer) -> None:
        self._handle = asyncio.get_running_loop().call_later(0.0005, deliver, answer)

    def cancel(self) -> None:
        self._handle.cancel()


def handle(request: Request, deliver: Deliver) -> Answer | Pending:
    """Answer with the path and the body; some answers come later, some never could."""
    if request.path == "/broken":
        raise ValueError("broken")
    answer = Answer(200, request.path.encode() + request.body)
    return Later(deliver, answer) if request.path == "/later" else answer


def exchanged(
    sent: bytes, *, step: int, until: Callable[[bytes], bool] | None = None
) -> tuple[bytes, list[str]]:
    """Return what a client gets for ``sent``, in pieces of ``step`` bytes, and the loop's faults.

    It ends when the client has had enough (``until``), or when an impatient host closes.
    """
    return asyncio.run(asyncio.wait_for(_exchanged(sent, step, until), 30))


async def _exchanged(
    sent: bytes, step: int, until: Callable[[bytes], bool] | None
) -> tuple[bytes, list[str]]:
    loop = asyncio.get_running_loop()
    faults: list[str] = []
    loop.set_exception_handler(lambda _, context: faults.append(str(context)))
    seconds = 0.05 if until is None else 60.0
    patience = Patience(request_s=seconds, idle_s=seconds)
    connections = listener(handle, patience, max_body_bytes=50)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    await loop.connect_accepted_socket(connections.protocol, ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    for at in range(0, len(sent), step):
        writer.write(sent[at : at + step])
        await asyncio.sleep(0)
    got = b""
    while until is None or not until(got):
        try:
            data = await reader.read(65_536)
        except ConnectionResetError:  # it was cut off while it still sent
            break
        if not data:
            break
        got += data
    writer.close()
    await connections.drain()
    return got, faults


def bodies(got: bytes) -> list[bytes]:
    return [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 ")[1:]]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["now", "later"]), min_size=1, max_size=12), st.integers(1, 200))
def test_pipelined_requests_are_answered_in_their_order(names: list[str], step: int) -> None:
    sent = b"".join(
        b"POST /%b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n%03d" % (name.encode(), i)
        for i, name in enumerate(names)
    )
    expected = [f"/{name}{i:03d}".encode() for i, name in enumerate(names)]
    got, faults = exchanged(sent, step=step, until=lambda got: got.endswith(expected[-1]))
    assert bodies(got) == expected
    assert faults == []


@settings(max_examples=20)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=8), st.integers(1, 100))
def test_whatever_is_sent_the_connection_ends_and_nothing_breaks(
    pieces: list[bytes], step: int
) -> None:
    got, faults = exchanged(b"".join(pieces), step=step)
    assert faults == []
    assert not got or got.startswith(b"HTTP/1.1 ")


def test_thousands_of_requests_at_once_are_answered_without_deep_recursion() -> None:
    count = 3_000
    got, faults = exchanged(
        PIECES[0] * count, step=65_536, until=lambda g: g.count(b"/now") == count
    )
    assert got.count(b"200 OK") == count
    assert faults == []


def test_a_handler_that_breaks_is_a_500_and_the_next_request_is_answered() -> None:
    got, faults = exchanged(PIECES[3] + PIECES[0], step=1000, until=lambda g: b"/now" in g)
    assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"500", b"200"]
    assert faults == []


def test_a_request_that_does_not_come_to_its_end_is_told_so() -> None:
    got, _ = exchanged(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", step=1000)
    assert got.startswith(b"HTTP/1.1 408 ")
    assert b"did not come within 0.05 s" in got


def test_a_connection_without_a_request_is_closed() -> None:
    assert exchanged(b"", step=1) == (b"", [])


def test_a_client_that_never_reads_is_let_go() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()

        def answer(_request: Request, _deliver: Deliver) -> Answer:
            return Answer(200, b"x" * 1_000_000)

        patience = Patience(request_s=30.0, idle_s=0.05)
        connections = listener(answer, patience, max_body_bytes=9)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        transport, _ = await loop.connect_accepted_socket(connections.protocol, ours)
        theirs.sendall(PIECES[0] * 20)
        while not transport.is_closing():  # noqa: ASYNC110 - transports tell nobody
            await asyncio.sleep(0.01)
        theirs.close()

    asyncio.run(asyncio.wait_for(run(), 30))


sizes = st.integers(0, 4 * FREE_BYTES)


@given(st.lists(st.tuples(st.integers(0, 3), sizes), max_size=40))
def test_what_unfinished_requests_hold_together_is_bounded(
    changes: list[tuple[int, int]],
) -> None:
    bound = 3 * FREE_BYTES
    reception = Reception(bound)
    held = [0, 0, 0, 0]
    for who, now in changes:
        if reception.change(held[who], now):
            held[who] = now
        else:  # it is refused, and lets go of all
            reception.change(held[who], 0)
            held[who] = 0
        large = [size - FREE_BYTES for size in held if size > FREE_BYTES]
        assert reception.held == sum(large)
        assert sum(large) <= bound or len(large) == 1
