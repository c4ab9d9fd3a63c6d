"""HTTP/1.1 as bytes in, requests out: no sockets, no clock.

Strict where leniency lets two readers see two different requests (RFC 9112, sections 6 and 11.2):
one length only, CRLF only, no folded lines, no space before a colon. Every part has a limit.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

MAX_HEAD_BYTES = 16 * 1024
"""Longest request line and header fields together."""
MAX_HEADERS = 100
"""Most header fields of one request."""
MAX_CHUNK_LINE_BYTES = 1024
"""Longest line that announces a chunk."""

_NO_CONTENT = 204
_BODILESS = (204, 304)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_DIGITS = re.compile("[0-9]{1,18}", re.ASCII)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")

REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class WireError(Exception):
    """What came is no request that this server takes; the connection cannot go on.

    Attributes:
        status: Status to answer with.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request(NamedTuple):
    """One request, complete.

    Attributes:
        method: As it came; methods are case-sensitive.
        path: Decoded path without the query.
        query: Query as it came, without the question mark.
        headers: By lower-case name; repeated fields joined by ", ".
        body: Decoded from its chunks if there were any.
        keep_alive: Whether the client wants the connection to stay open.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    keep_alive: bool = True


class Answer(NamedTuple):
    """One response.

    Attributes:
        status: From 200 to 599; those of the host's own are in ``REASONS``.
        body: The whole body.
        content_type: Its type; "" where it is among the headers, or where there is none.
        headers: Further header fields, as pairs: a name may stand several times.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Sequence[tuple[str, str]] = ()

    def with_headers(self, *headers: tuple[str, str]) -> "Answer":
        """Return the same answer with further header fields."""
        return Answer(self.status, self.body, self.content_type, (*self.headers, *headers))


def encode(answer: Answer, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """Return the bytes of ``answer``; ``head_only`` leaves the body away, as HEAD wants it."""
    lines = [f"{name}: {value}" for name, value in answer.headers]
    if answer.content_type:
        lines.append(f"Content-Type: {answer.content_type}")
    if answer.status != _NO_CONTENT:
        lines.append(f"Content-Length: {len(answer.body)}")
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    text = "\n".join(lines)
    # A value may come from a script; a line break in it would begin a new field.
    if text.count("\n") != len(lines) - 1 or "\r" in text:
        text = "\n".join(" ".join(line.split()) for line in lines)
    text = text.replace("\n", "\r\n")
    head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, '')}\r\n{text}\r\n\r\n".encode(
        "latin-1", "replace"
    )
    return head if head_only or answer.status in _BODILESS else head + answer.body


class RequestReader:
    """Takes bytes as they come and gives complete requests, one after the other.

    Args:
        max_body_bytes: Longest body.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._head: _Head | None = None
        self._body: _Sized | _Chunked = _NO_BODY
        self._continued = False

    @property
    def idle(self) -> bool:
        """Whether nothing of a further request has come yet."""
        return self._head is None and not self._buffer

    @property
    def held(self) -> int:
        """Bytes that have come and are part of no request yet."""
        return len(self._buffer) + self._body.held

    def feed(self, data: bytes) -> None:
        """Add what came."""
        self._buffer += data

    def wants_continue(self) -> bool:
        """Whether the client waits for ``100 Continue`` before it sends its body; true once."""
        head = self._head
        waits = head is not None and head.expects_continue and not self._continued
        if waits:
            self._continued = True
        return waits and not self._buffer

    def next_request(self) -> Request | None:
        """Return the next request if all of it has come.

        Raises:
            WireError: It is malformed or too large; nothing can be read after it.
        """
        if self._head is None:
            lines = self._take_head()
            if lines is None:
                return None
            self._head = _read_head(lines)
            self._body = _body_reader(self._head, self._max_body_bytes)
        body = self._body.take(self._buffer)
        if body is None:
            return None
        head, self._head, self._continued = self._head, None, False
        self._body = _NO_BODY
        return Request(head.method, head.path, head.query, head.headers, body, head.keep_alive)

    def _take_head(self) -> list[bytes] | None:
        # Empty lines before a request are left over by old clients (RFC 9112, section 2.2).
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
            self._searched = 0
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if (len(self._buffer) if end < 0 else end) > MAX_HEAD_BYTES:
            raise WireError(431, f"header fields are longer than {MAX_HEAD_BYTES} bytes")
        if end < 0:
            if _BARE_LF.search(self._buffer):  # its end would never come
                raise WireError(400, "a line must end with CR LF")
            self._searched = len(self._buffer)
            return None
        self._searched = 0
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        return lines


# --- the head -----------------------------------------------------------------------------------


class _Head(NamedTuple):
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    keep_alive: bool
    expects_continue: bool


def _read_head(lines: list[bytes]) -> _Head:
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):
        raise WireError(400, "malformed request line")
    version = parts[2]
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise WireError(505 if version.startswith(b"HTTP/") else 400, "only HTTP/1.1 is spoken")
    headers = _read_headers(lines[1:])
    if version == b"HTTP/1.1" and "host" not in headers:
        raise WireError(400, "the Host header is missing")
    path, query = _split_target(parts[1].decode("ascii"))
    connection = {word.strip() for word in headers.get("connection", "").lower().split(",")}
    keep_alive = "close" not in connection
    if version == b"HTTP/1.0":
        keep_alive = "keep-alive" in connection
    expects = headers.get("expect", "").lower()
    if expects not in ("", "100-continue"):
        raise WireError(417, "only 'Expect: 100-continue' is known")
    return _Head(parts[0].decode("ascii"), path, query, headers, keep_alive, bool(expects))


def _read_headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise WireError(431, f"more than {MAX_HEADERS} header fields")
    headers: dict[str, str] = {}
    for line in lines:
        raw_name, colon, raw_value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(raw_name) or not _VALUE.fullmatch(raw_value):
            raise WireError(400, "malformed header field")
        name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1").strip(" \t")
        if name in headers and name in ("content-length", "transfer-encoding", "host"):
            raise WireError(400, f"{name} stands twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _split_target(target: str) -> tuple[str, str]:
    try:
        parts = urlsplit(target) if not target.startswith("/") else urlsplit(f"//host{target}")
    except ValueError as error:
        raise WireError(400, "malformed request target") from error
    if target != "*" and not parts.netloc:
        raise WireError(400, "malformed request target")
    return unquote(parts.path, errors="replace") or "/", parts.query


# --- the body -----------------------------------------------------------------------------------


def _body_reader(head: _Head, max_bytes: int) -> "_Sized | _Chunked":
    coding = head.headers.get("transfer-encoding")
    length = head.headers.get("content-length")
    if coding is not None and length is not None:
        raise WireError(400, "Content-Length and Transfer-Encoding exclude each other")
    if coding is not None:
        if coding.lower() != "chunked":
            raise WireError(501, "of transfer codings only 'chunked' is known")
        return _Chunked(max_bytes)
    if length is None:
        return _NO_BODY
    if not _DIGITS.fullmatch(length):
        raise WireError(400, "malformed Content-Length")
    if int(length) > max_bytes:
        raise WireError(413, f"body has {int(length)} bytes, at most {max_bytes} are taken")
    return _Sized(int(length))


class _Sized:
    held = 0  # all of it is in the buffer

    def __init__(self, length: int) -> None:
        self._length = length

    def take(self, buffer: bytearray) -> bytes | None:
        if len(buffer) < self._length:
            return None
        body = bytes(memoryview(buffer)[: self._length])
        del buffer[: self._length]
        return body


_NO_BODY = _Sized(0)


class _Chunked:
    """RFC 9112, section 7.1; extensions and trailers are read and dropped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._left: int | None = None
        self._trailer_bytes = 0

    @property
    def held(self) -> int:
        return len(self._body)

    def take(self, buffer: bytearray) -> bytes | None:
        while True:
            if self._left is None:
                line = _take_line(buffer)
                if line is None:
                    return None
                self._left = self._chunk_size(line)
            if self._left == 0:
                return bytes(self._body) if self._trailers_done(buffer) else None
            if len(buffer) < self._left + 2:
                return None
            if buffer[self._left : self._left + 2] != b"\r\n":
                raise WireError(400, "a chunk is longer than it said")
            self._body += memoryview(buffer)[: self._left]
            del buffer[: self._left + 2]
            self._left = None

    def _chunk_size(self, line: bytes) -> int:
        digits = line.split(b";", 1)[0].rstrip(b" \t")
        if not _HEX.fullmatch(digits):
            raise WireError(400, "malformed chunk size")
        size = int(digits, 16)
        if len(self._body) + size > self._max_bytes:
            raise WireError(413, f"body is longer than {self._max_bytes} bytes")
        return size

    def _trailers_done(self, buffer: bytearray) -> bool:
        while (line := _take_line(buffer)) is not None:
            if not line:
                return True
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MAX_HEAD_BYTES:
                raise WireError(431, f"trailers are longer than {MAX_HEAD_BYTES} bytes")
        return False


def _take_line(buffer: bytearray) -> bytes | None:
    end = buffer.find(b"\r\n", 0, MAX_CHUNK_LINE_BYTES + 2)
    if end >= 0:
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        return line
    if len(buffer) > MAX_CHUNK_LINE_BYTES:
        raise WireError(400, "a line of the chunked body is too long")
    return None
