"""The same over HTTP, for modules that are no scorer hosts: on ``agent.sock`` as well.

    POST /results/<stream>            one result, as JSON: 200 once it is stored
    POST /events/<type>               one event
    GET /inputs/<input>?wait_s=20     the next result for an input: 200, or 204 if none came in time
    DELETE /inputs/<input>/<id>       it has been dealt with, and does not come again

One request per connection. 503 with ``Retry-After`` where there is no room now.
"""

import json
import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from skerry_agent.routing.feed import line_of
from skerry_agent.routing.queues import RouteQueues, now
from skerry_contract.errors import NoSpaceError
from skerry_contract.names import NAME

METHODS = (b"GET ", b"POST ", b"DELETE ", b"PUT ", b"HEAD ", b"OPTIONS ", b"PATCH ")
"""How requests begin; results never do."""
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
MAX_WAIT_S = 60.0
_REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found"}
_REASONS |= {405: "Method Not Allowed", 411: "Length Required", 413: "Content Too Large"}
_REASONS |= {503: "Service Unavailable"}
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: HTTP status.
        body: What it says; None for nothing.
        retry_after_s: When to try again, in seconds; 0 if that is no question.
    """

    status: int
    body: bytes | None = None
    retry_after_s: int = 0


class Refused(Exception):  # noqa: N818 - it is an answer, told apart by its status
    """A request that is answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        method: HTTP method.
        path: Parts of the path.
        query: Parameters, the first of each name.
        body: What was sent.
    """

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    body: bytes


def serve(connection: socket.socket, data: bytes, answer: Callable[[Request], Reply]) -> None:
    """Read one request, of which ``data`` is the beginning, and answer it."""
    try:
        reply = answer(_read(connection, data))
    except Refused as error:
        reply = Reply(error.status, json.dumps({"text": str(error)}).encode())
    except NoSpaceError as error:
        reply = Reply(503, json.dumps({"text": str(error)}).encode(), 1)
    head = f"HTTP/1.1 {reply.status} {_REASONS[reply.status]}\r\nConnection: close\r\n"
    if reply.retry_after_s:
        head += f"Retry-After: {reply.retry_after_s}\r\n"
    if reply.body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n"
    with suppress(OSError):
        connection.sendall(head.encode() + b"\r\n" + (reply.body or b""))


def route(
    request: Request,
    take: Callable[[bytes], dict[str, Any]],
    queues: Mapping[str, str],
    all_queues: RouteQueues,
    closed: threading.Event,
) -> Reply:
    """Answer a request.

    Args:
        request: What is asked for.
        take: Stores a line of results, as over the socket, and returns the answer to it.
        queues: The queue of each input, by the input's name.
        all_queues: Where they are.
        closed: Ends what waits.

    Raises:
        Refused: There is no such thing, or it is asked for wrongly.
    """
    match request.method, request.path:
        case "POST", ("results" | "events" as kind, name) if re.fullmatch(NAME, name):
            return _store(request.body, {"results": "stream", "events": "event"}[kind], name, take)
        case "GET", ("inputs", name) if name in queues:
            return _next(queues[name], all_queues, _wait_s(request.query), closed)
        case "DELETE", ("inputs", name, number) if name in queues and number.isdecimal():
            all_queues.done(queues[name], [int(number[:15])])
            return Reply(204)
        case _, ("results" | "events", _) | ("inputs", _) | ("inputs", _, _):
            known = request.method in ("GET", "POST", "DELETE")
            raise Refused(404 if known else 405, "no such input, or no such name")
        case _:
            raise Refused(404, "there are /results/<stream>, /events/<type> and /inputs/<input>")


def _store(body: bytes, kind: str, name: str, take: Callable[[bytes], dict[str, Any]]) -> Reply:
    try:
        item = {kind: name, "data": json.loads(body)}
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from error
    said = take(json.dumps({"id": 1, "items": [item]}).encode())
    if "stored" in said:
        return Reply(200, json.dumps({"stored": 1}).encode())
    if "retry" in said:
        return Reply(503, json.dumps({"text": "no room now"}).encode(), round(said["after_s"]) or 1)
    raise Refused(400, str(said.get("text")))


def _next(queue: str, queues: RouteQueues, wait_s: float, closed: threading.Event) -> Reply:
    deadline = time.monotonic() + wait_s
    woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    try:
        with queues.watched(woken):
            while not closed.is_set():
                found = queues.waiting(queue, but=(), limit=1, now_s=now())
                left_s = deadline - time.monotonic()
                if found:
                    return Reply(200, line_of(found[0]))
                if left_s <= 0:
                    break
                select.select([woken], [], [], min(_POLL_S, left_s))
                with suppress(BlockingIOError):
                    os.eventfd_read(woken)
    finally:
        os.close(woken)
    return Reply(204)


def _wait_s(query: Mapping[str, str]) -> float:
    text = query.get("wait_s", "0")
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text):
        raise Refused(400, f"wait_s: expected seconds, up to {MAX_WAIT_S:.0f}")
    return min(float(text), MAX_WAIT_S)


def _read(connection: socket.socket, data: bytes) -> Request:
    """Read a request (RFC 9112), as far as it is understood here.

    Raises:
        Refused: It is too long, or not understood.
    """
    while b"\r\n\r\n" not in data:
        if len(data) > MAX_HEAD_BYTES:
            raise Refused(400, f"the head is longer than {MAX_HEAD_BYTES} bytes")
        data += _more(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Refused(400, "expected HTTP/1.1")
    pairs = (line.partition(":") for line in lines)
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "transfer-encoding" in fields:
        raise Refused(411, "a body needs Content-Length")
    length = fields.get("content-length", "0")
    if not re.fullmatch(r"\d{1,9}", length):
        raise Refused(400, "Content-Length: expected a number")
    if int(length) > MAX_BODY_BYTES:
        raise Refused(413, f"at most {MAX_BODY_BYTES} bytes are taken")
    if fields.get("expect", "").lower() == "100-continue" and len(body) < int(length):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(body) < int(length):
        body += _more(connection)
    target = urlsplit(words[1])
    query = {name: values[0] for name, values in parse_qs(target.query).items()}
    path = tuple(part for part in target.path.split("/") if part)
    return Request(words[0], path, query, body[: int(length)])


def _more(connection: socket.socket) -> bytes:
    try:
        data = connection.recv(64 * 1024)
    except OSError as error:
        raise Refused(400, "the request did not come to its end in time") from error
    if not data:
        raise Refused(400, "the request broke off")
    return data
