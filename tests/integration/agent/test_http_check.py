"""Liveness and readiness over HTTP, asked of real servers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from skerry_agent import http_check
from skerry_agent.unix_http import socket_address
from skerry_contract.errors import ProbeError
from skerry_contract.manifest import Check

pytestmark = pytest.mark.integration


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _UnixServer(ThreadingHTTPServer):
    address_family = 1  # AF_UNIX

    def __init__(self, path: Path) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        with socket_address(path) as address:
            self.socket.bind(address)
        self.server_activate()


@pytest.fixture(params=["port", "socket"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int | None]:
    """Where the check is to ask: a server that answers with the status that is its path."""
    on_port = request.param == "port"
    server: ThreadingHTTPServer = (
        ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        if on_port
        else _UnixServer(tmp_path / "host.sock")
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1] if on_port else None
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "is_yes"), [(200, True), (204, True), (302, True), (404, False), (503, False)]
)
def test_a_status_is_a_yes_or_a_no(
    port: int | None, tmp_path: Path, status: int, *, is_yes: bool
) -> None:
    check = Check(f"/{status}", port)
    assert http_check.passes(check, tmp_path, timeout_s=10) == is_yes
    if is_yes:
        http_check.require(check, tmp_path, timeout_s=10)
    else:
        with pytest.raises(ProbeError, match=f"/{status}: status {status}"):
            http_check.require(check, tmp_path, timeout_s=10)


@pytest.mark.parametrize("port_or_none", [1, None])
def test_no_answer_is_a_no(tmp_path: Path, port_or_none: int | None) -> None:
    check = Check("/up", port_or_none)
    assert not http_check.passes(check, tmp_path, timeout_s=1)
    with pytest.raises(ProbeError, match=r"GET .*/up"):
        http_check.require(check, tmp_path, timeout_s=1)
