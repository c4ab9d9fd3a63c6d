"""The page for Prometheus over a real socket."""

import http.client
import socket
from collections.abc import Iterator

import pytest

from skerry_agent.telling.prometheus import MetricsPage
from skerry_contract.errors import ConflictError


@pytest.fixture
def page() -> Iterator[MetricsPage]:
    served = MetricsPage(0, lambda: "skerry_connected 1\n")
    yield served
    served.close()


def ask(page: MetricsPage, method: str, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_the_page_is_served(page: MetricsPage) -> None:
    status, kind, body = ask(page, "GET", "/metrics")
    assert (status, body) == (200, b"skerry_connected 1\n")
    assert kind.startswith("text/plain; version=0.0.4")
    assert ask(page, "HEAD", "/metrics?x=1")[::2] == (200, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)]
)
def test_nothing_else_is(page: MetricsPage, method: str, path: str, status: int) -> None:
    assert ask(page, method, path)[0] == status


def test_nonsense_and_silence_do_not_end_it(page: MetricsPage) -> None:
    for said in (b"", b"\xff" * 20_000, b"GET\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", page.port), timeout=5) as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
    assert ask(page, "GET", "/metrics")[0] == 200


def test_a_port_that_is_taken_is_told(page: MetricsPage) -> None:
    with pytest.raises(ConflictError, match="metrics_port"):
        MetricsPage(page.port, lambda: "")
