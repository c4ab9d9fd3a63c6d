"""A distribution API on loopback that serves one image, and misbehaves where it is told to."""

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from skerry_contract.names import Digest
from support.certificates import Certified

TOKEN = "device-token"

Fault = Callable[["Request"], None]
"""Answers one request in the place of the server."""


@dataclass
class Request:
    """One request, for a fault to answer."""

    handler: BaseHTTPRequestHandler
    data: bytes
    offset: int

    def head(self, status: int, **headers: object) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), str(value))
        self.handler.end_headers()

    def body(self, data: bytes) -> None:
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def right(self) -> None:
        """Answer as a server should."""
        size = len(self.data)
        if self.offset:
            granted = f"bytes {self.offset}-{size - 1}/{size}"
            self.head(206, Content_Length=size - self.offset, Content_Range=granted)
        else:
            self.head(200, Content_Length=size)
        self.body(self.data[self.offset :])


@dataclass
class BlobServer:
    """The server as a test sees it.

    Attributes:
        url: Its address.
        blobs: What it serves.
        faults: Answers to the next requests for a digest, in their order; then it is right.
        asked: Each request so far, as digest and first byte.
        shown: What each request so far showed as ``Authorization``.
    """

    url: str
    blobs: Mapping[Digest, bytes]
    faults: dict[Digest, list[Fault]] = field(default_factory=dict)
    asked: list[tuple[Digest, int]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    token: str = TOKEN


def cut_after(count: int) -> Fault:
    """Promise everything, send ``count`` bytes, and hang up."""

    def fault(request: Request) -> None:
        size = len(request.data)
        left = size - request.offset
        if request.offset:
            granted = f"bytes {request.offset}-{size - 1}/{size}"
            request.head(206, Content_Length=left, Content_Range=granted)
        else:
            request.head(200, Content_Length=left)
        request.body(request.data[request.offset :][:count])

    return fault


def whole(request: Request) -> None:
    """Ignore the range, as a server may."""
    request.offset = 0
    request.right()


def status(number: int) -> Fault:
    """Answer with a status and nothing else."""
    return lambda request: request.head(number, Content_Length=0)


def busy(number: int, after: str) -> Fault:
    """Answer that it should be asked again later."""
    return lambda request: request.head(number, Content_Length=0, Retry_After=after)


def redirect(location: str, number: int = 307) -> Fault:
    """Send the client elsewhere."""
    return lambda request: request.head(number, Content_Length=0, Location=location)


def encoded(request: Request) -> None:
    """Compress on the way, which nobody asked for."""
    data = gzip.compress(request.data)
    request.head(200, Content_Length=len(data), Content_Encoding="gzip")
    request.body(data)


def dripping_head(seconds: float) -> Fault:
    """Send a head that never ends, a byte at a time."""

    def fault(request: Request) -> None:
        end = time.monotonic() + seconds
        request.body(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while time.monotonic() < end:
            request.body(b"x")
            time.sleep(0.05)

    return fault


def beginning_elsewhere(skip: int) -> Fault:
    """Grant what was asked for, and send other bytes of the same blob."""

    def fault(request: Request) -> None:
        size, offset = len(request.data), request.offset
        request.head(
            206,
            Content_Length=size - offset,
            Content_Range=f"bytes {offset}-{size - 1}/{size}",
        )
        request.body((request.data * 2)[offset + skip :][: size - offset])

    return fault


def granted(text: str) -> Fault:
    """Answer a range with another one than was asked for."""

    def fault(request: Request) -> None:
        request.head(206, Content_Length=5, Content_Range=text)
        request.body(b"wrong")

    return fault


def swapped(data: bytes) -> Fault:
    """Send other bytes, of whatever length."""

    def fault(request: Request) -> None:
        request.head(200, Content_Length=len(data))
        request.body(data)

    return fault


def endless(request: Request) -> None:
    """Send without saying how much, and without an end."""
    request.head(200, Connection="close")
    while True:
        request.body(b"x" * 65536)


def dripping(seconds: float) -> Fault:
    """Send one byte now and then, so that no socket ever times out."""

    def fault(request: Request) -> None:
        request.head(200, Content_Length=len(request.data))
        end = time.monotonic() + seconds
        for byte in request.data:
            if time.monotonic() > end:
                return
            request.body(bytes([byte]))
            time.sleep(0.05)

    return fault


def silent(until: threading.Event) -> Fault:
    """Take the request and say nothing."""

    def fault(request: Request) -> None:
        until.wait(30)
        request.handler.close_connection = True

    return fault


@contextmanager
def blob_server(
    blobs: Mapping[Digest, bytes], token: str = TOKEN, certified: Certified | None = None
) -> Iterator[BlobServer]:
    """Serve ``blobs`` as the repository ``cam``, to whom shows ``token``; empty for everybody."""

    class Handler(_Handler):
        pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if certified is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certified.certificate, certified.key)
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True)
        scheme = "https"
    Handler.served = BlobServer(f"{scheme}://127.0.0.1:{httpd.server_port}", blobs, token=token)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield Handler.served
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: ClassVar[BlobServer]

    def do_GET(self) -> None:
        self.close_connection = True
        kind, _, digest = self.path.removeprefix("/v2/cam/").partition("/")
        data = self.served.blobs.get(Digest(digest))
        shown = self.headers.get("Authorization", "")
        self.served.shown.append(shown)
        if self.served.token and shown != f"Bearer {self.served.token}":
            Request(self, b"", 0).head(401, Content_Length=0)
        elif data is None or kind not in ("manifests", "blobs"):
            Request(self, b"", 0).head(404, Content_Length=0)
        else:
            self._answer(Digest(digest), data)

    def _answer(self, digest: Digest, data: bytes) -> None:
        asked = self.headers.get("Range", "bytes=0-")
        offset = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.served.asked.append((digest, offset))
        faults = self.served.faults.get(digest)
        request = Request(self, data, offset)
        try:
            if faults:
                faults.pop(0)(request)
            else:
                request.right()
        except OSError:
            return  # the client hung up, as it should on some faults

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""
