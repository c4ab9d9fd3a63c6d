"""Clients that do their worst: each is told what is wrong, and the others are answered."""

import http.client
import json
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from support.scorer_host import MakeHost, ScorerHost, eventually, port_of

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
LENGTH = "def init(): ...\ndef run(data): return len(data)\n"
POST = b"POST /score HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NO_HTTP = {
    "negative chunk": CHUNKED + b"-1\r\n\r\n",
    "chunk without a size": CHUNKED + b"\r\n",
    "chunk of letters": CHUNKED + b"xyz\r\n",
    "chunk with a sign": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "chunk in Python's hexadecimal": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "chunk with an underscore": CHUNKED + b"1_0\r\n",
    "chunk that is longer than it says": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "chunk line without an end": CHUNKED + b"1;" + b"x" * 5000,
    "bare line feeds": POST.replace(b"\r\n", b"\n") + b"\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length and chunks": POST
    + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is signed": POST + b"Content-Length: +1\r\n\r\na",
    "a length that is negative": POST + b"Content-Length: -1\r\n\r\n",
    "a length of other digits": POST + "Content-Length: \u0661\r\n\r\na".encode(),
    "a folded field": POST + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 1\r\n\r\na",
    "a null in a field": POST + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n\r\n",
}
NO_OBJECT = [b"", b"{", b"\xff\xfe{}", b'"\xed\xa0\x80"', b"[" * 100_000, b"NaN", b"1e999", b"\0"]


@contextmanager
def connected(host: ScorerHost) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port_of(host)), timeout=30) as client:
        yield client


def answer(client: socket.socket) -> tuple[int, bytes]:
    """Return status and body of the next answer."""
    with closing(http.client.HTTPResponse(client)) as found:
        found.begin()
        return found.status, found.read()


def receiving(host: ScorerHost) -> float:
    """Return how many bytes of unfinished requests the host holds."""
    told = host.request("GET", "/metrics").body.decode()
    found = re.search(r"^skerry_receiving_bytes (\S+)$", told, re.MULTILINE)
    assert found is not None
    return float(found[1])


def resident(host: ScorerHost) -> int:
    assert host.process is not None
    status = Path(f"/proc/{host.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_what_is_no_http_is_refused_and_the_connection_ends(make_host: MakeHost) -> None:
    host = make_host(LENGTH, SKERRY_PORT="0").ready()
    for what, sent in NO_HTTP.items():
        with connected(host) as client:
            client.sendall(sent)
            status, body = answer(client)
            assert (what, status in (400, 431, 501, 505)) == (what, True)
            assert json.loads(body)["message"]
            assert client.recv(100) == b""
    assert host.score(b"12").json == 2
    assert (host.status()["scored"], host.status()["failed"]) == (1, 0)


def test_bodies_of_every_kind_reach_run_or_are_the_clients_fault(make_host: MakeHost) -> None:
    host = make_host(
        "import json\ndef init(): ...\ndef run(data): return json.loads(data)\n"
    ).ready()
    for body in NO_OBJECT:
        reply = host.score(body)
        assert reply.status in (400, 500)
        assert reply.json["message"]
    assert host.score(b'{"a": 1}').json == {"a": 1}


def test_a_client_that_sends_requests_and_reads_no_answer_is_waited_for_and_loses_none(
    make_host: MakeHost,
) -> None:
    host = make_host(LENGTH, SKERRY_PORT="0").ready()
    one = b"GET /metrics HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 4000 + b"\r\n\r\n"
    with connected(host) as client:
        client.settimeout(1.0)
        sent = 0
        while sent < 64 * MIB:  # until nothing more is taken
            try:
                sent += client.send((one * 50)[sent % len(one) :])
            except TimeoutError:
                break
        assert sent < 64 * MIB
        assert host.score(b"12").json == 2
        assert resident(host) < 100 * MIB
        client.settimeout(30)
        whole = sent // len(one)
        with client.makefile("rb") as answers:
            for _ in range(whole):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                length = 0
                while (line := answers.readline()) != b"\r\n":
                    if line.startswith(b"Content-Length:"):
                        length = int(line.split()[1])
                answers.read(length)


def test_beyond_the_connections_that_there_may_be_each_is_told_and_the_agent_is_heard(
    make_host: MakeHost,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    host = make_host(LENGTH, SKERRY_PORT="0").ready()
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        clients = [stack.enter_context(connected(host)) for _ in range(1000)]
        for client in clients[128:]:
            status, body = answer(client)
            assert status == 503
            assert json.loads(body) == {"message": "too many connections"}
        assert host.status()["ready"] is True
        clients[0].sendall(POST + b"Content-Length: 2\r\n\r\nab")
        assert answer(clients[0]) == (200, b"2")
    with connected(host) as client:
        eventually(lambda: host.status()["ready"])
        client.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
        assert answer(client) == (200, b"3")


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_bodies_that_are_still_coming_are_bounded_together(
    make_host: MakeHost, framing: str
) -> None:
    limits = {"SKERRY_MAX_RECEIVING_BYTES": str(8 * MIB), "SKERRY_MAX_BODY_BYTES": str(32 * MIB)}
    host = make_host(LENGTH, SKERRY_PORT="0", **limits).ready()
    head, chunk = POST + b"Content-Length: %d\r\n\r\n" % (16 * MIB), b""
    if framing == "chunks":
        head, chunk = CHUNKED, b"%x\r\n" % MIB
    part = chunk + b"x" * MIB + (b"\r\n" if chunk else b"")
    with connected(host) as first, connected(host) as second, connected(host) as third:
        first.sendall(head + part * 12)  # alone it may have all that a body may
        eventually(lambda: receiving(host) > 11 * MIB)
        before = resident(host)
        second.sendall(head + part)
        status, body = answer(second)
        assert status == 503
        assert "hold all memory" in json.loads(body)["message"]
        third.sendall(POST + b"Content-Length: 4\r\n\r\nabcd")  # a short one comes all the same
        assert answer(third) == (200, b"4")
        assert resident(host) < before + 8 * MIB
        first.sendall(part * 4 + (b"0\r\n\r\n" if chunk else b""))
        assert answer(first) == (200, b"%d" % (16 * MIB))
    eventually(lambda: receiving(host) == 0)
    with connected(host) as again:  # and what was held is given back
        again.sendall(head + part * 16 + (b"0\r\n\r\n" if chunk else b""))
        assert answer(again) == (200, b"%d" % (16 * MIB))
