"""Answers Prometheus on this machine: one page, one connection at a time, loopback only.

A server of its own, for those of the standard library would stay in memory for a page that few
devices serve.
"""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from skerry_agent.core.exposition import CONTENT_TYPE
from skerry_contract.errors import ConflictError

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 8 * 1024
TIMEOUT_S = 5.0
"""Longest that one reader may take."""


class MetricsPage:
    """Serves ``GET /metrics`` until it is closed.

    Args:
        port: TCP port of loopback; 0 for any.
        page: Gives the page as it is now.

    Raises:
        ConflictError: The port is taken.
    """

    def __init__(self, port: int, page: Callable[[], str]) -> None:
        self._page = page
        self._closed = threading.Event()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("127.0.0.1", port))
        except OSError as error:
            self._listener.close()
            raise ConflictError(
                f"metrics_port {port}: {error.strerror}",
                remedy="Choose another port in device.json, or 0 for none.",
            ) from error
        self._listener.listen(4)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(TIMEOUT_S)
                connection.sendall(self._answer(_head_of(connection)))

    def _answer(self, head: bytes) -> bytes:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"GET /metrics\n", "text/plain")
        if words[1].partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", b"see /metrics\n", "text/plain")
        body = self._page().encode()
        answer = _response("200 OK", body, CONTENT_TYPE)
        return answer[: -len(body)] if words[0] == b"HEAD" else answer


def _head_of(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < MAX_REQUEST_BYTES:
        part = connection.recv(2048)
        if not part:
            break
        data += part
    return data


def _response(status: str, body: bytes, kind: str) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
