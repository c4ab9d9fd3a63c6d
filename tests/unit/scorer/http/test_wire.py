"""HTTP/1.1 as bytes in, requests out."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skerry_scorer.http.wire import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    Answer,
    Request,
    RequestReader,
    WireError,
    encode,
)

LIMIT = 1000
HOST = b"Host: h\r\n"


def read_all(data: bytes, *, step: int | None = None) -> list[Request]:
    """Feed ``data`` in pieces of ``step`` bytes and return every complete request."""
    reader = RequestReader(LIMIT)
    found = []
    for start in range(0, len(data), step or len(data) or 1):
        reader.feed(data[start : start + (step or len(data))])
        while (request := reader.next_request()) is not None:
            found.append(request)
    return found


def read_one(data: bytes) -> Request:
    [request] = read_all(data)
    return request


def test_a_request_without_a_body_is_read() -> None:
    assert read_one(b"GET /skerry/status?a=1&b HTTP/1.1\r\nHost: h\r\nX-A:  v \r\n\r\n") == Request(
        "GET", "/skerry/status", "a=1&b", {"host": "h", "x-a": "v"}, b"", keep_alive=True
    )


def test_a_body_has_the_length_that_was_told() -> None:
    request = read_one(b"POST /score HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc")
    assert request.body == b"abc"


def test_a_chunked_body_is_put_together_and_its_extensions_and_trailers_dropped() -> None:
    data = (
        b"POST /score HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"3;note=1\r\nabc\r\nA \r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    assert read_one(data).body == b"abc0123456789"
    assert "x-sum" not in read_one(data).headers


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_requests_are_the_same_however_their_bytes_are_cut(step: int) -> None:
    data = (
        b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi"
        b"POST /b HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\n\r\n"
        b"\r\nGET /c HTTP/1.0\r\n\r\n"
    )
    found = [(r.method, r.path, r.body, r.keep_alive) for r in read_all(data, step=step)]
    assert found == [
        ("POST", "/a", b"hi", True),
        ("POST", "/b", b"yo", True),
        ("GET", "/c", b"", False),
    ]


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive, X\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
def test_the_client_says_whether_the_connection_stays(head: bytes, *, keep_alive: bool) -> None:
    assert read_one(head).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a%20b", "/a b", ""),
        (b"//etc/passwd", "//etc/passwd", ""),
        (b"http://h:5001/score?x=1", "/score", "x=1"),
        (b"http://h", "/", ""),
        (b"*", "*", ""),
    ],
)
def test_targets_come_in_several_forms(target: bytes, path: str, query: str) -> None:
    request = read_one(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (request.path, request.query) == (path, query)


POST = b"POST /score HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET  / HTTP/1.1\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"G\x00T / HTTP/1.1\r\n\r\n", 400, id="control character in the method"),
        pytest.param(b"GET /\x80 HTTP/1.1\r\n\r\n", 400, id="raw byte in the target"),
        pytest.param(b"GET score HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="relative target"),
        pytest.param(b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="broken address"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="another version"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n x\r\n\r\n", 400, id="folded line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400, id="bare line feed"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", 400, id="NUL in a value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n", 400, id="no colon"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(POST + b"Content-Length: +1\r\n\r\n", 400, id="length with a sign"),
        pytest.param(POST + b"Content-Length: 1_0\r\n\r\n", 400, id="length as Python has it"),
        pytest.param(POST + b"Content-Length: 1, 1\r\n\r\n", 400, id="two lengths in one"),
        pytest.param(POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, id="two"),
        pytest.param(
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="both"
        ),
        pytest.param(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, id="other coding"),
        pytest.param(POST + b"Content-Length: 1001\r\n\r\n", 413, id="body too long"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413, id="chunk too long"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\n", 400, id="prefixed size"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400, id="negative size"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400, id="overlong"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 2000, 400, id="extension"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: yyyyyyyyyyyy\r\n" * 2000,
            431,
            id="trailers without end",
        ),
        pytest.param(POST + b"Expect: tea\r\n\r\n", 417, id="unknown expectation"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD_BYTES, 431, id="head too long"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431, id="too many"
        ),
    ],
)
def test_what_is_no_request_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(WireError) as caught:
        read_all(data)
    assert caught.value.status == status


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_give_requests_or_a_refusal(data: bytes, step: int) -> None:
    with suppress(WireError):
        read_all(data, step=step)


PIECES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /score HTTP/1.1\r\n",
    b"Host: h\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"hello",
]


@example([b"\r\n"] * 4, 4)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=12), st.integers(1, 9))
def test_how_bytes_are_cut_never_changes_what_they_say(pieces: list[bytes], step: int) -> None:
    def outcome(size: int | None) -> list[Request] | int:
        try:
            return read_all(b"".join(pieces), step=size)
        except WireError as error:
            return error.status

    assert outcome(step) == outcome(1)


def test_who_waits_for_leave_to_send_gets_it_once() -> None:
    reader = RequestReader(LIMIT)
    reader.feed(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert reader.next_request() is None
    assert [reader.wants_continue(), reader.wants_continue()] == [True, False]
    reader.feed(b"ok")
    request = reader.next_request()
    assert request is not None
    assert request.body == b"ok"


def test_an_answer_cannot_be_split_by_what_a_client_sent() -> None:
    sent = encode(Answer(200, b"{}", headers=[("x-id", "a\r\nSet-Cookie: b")]), keep_alive=True)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert b"\r\nSet-Cookie" not in head
    assert body == b"{}"


def test_an_answer_to_head_has_the_length_and_not_the_body() -> None:
    sent = encode(Answer(200, b"Healthy"), keep_alive=False, head_only=True)
    assert b"Content-Length: 7\r\nConnection: close" in sent
    assert sent.endswith(b"\r\n\r\n")
