"""HTTP at its edges: whom to believe, how much to read, when to try again, when to give up."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skerry.answers import Info
from skerry.login import Login
from skerry.transport import MAX_ANSWER_BYTES, TRIES, Request, Transport
from skerry_contract.errors import DigestError, NetworkError, NotFoundError, UnauthorizedError
from support.certificates import certify
from support.fake_cloud import TOKEN, FakeCloud, fake_cloud

pytestmark = pytest.mark.integration

INFO = Request("GET", "/v1/info")


def reach(url: str, ca: str = "", token: str = TOKEN) -> Transport:
    return Transport(Login(url, token, ca), pause=lambda _seconds: None)


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Serve each answer as it stands, one a connection, and then none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(20)


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    return head.encode() + body


def test_only_the_certificates_of_the_login_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = certify(tmp_path / "ours"), certify(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ours.certificate, ours.key)
    # What requests would add by itself.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ours.ca))
    with fake_cloud(context) as cloud:
        assert reach(cloud.url, ours.ca.read_text()).ask(Info, INFO).fleet == "home"
        with pytest.raises(NetworkError, match="certificate verify failed"):
            reach(cloud.url, other.ca.read_text()).ask(Info, INFO)


def test_certificates_that_are_none_are_said_to_be() -> None:
    with pytest.raises(UnauthorizedError, match="not usable"):
        reach("https://127.0.0.1:1", "-----BEGIN CERTIFICATE-----\nnonsense")


def test_a_netrc_does_not_replace_the_token(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login evil password evil\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert reach(cloud.url).ask(Info, INFO).fleet == "home"


@dataclass(frozen=True)
class Case:
    answer: bytes
    said: str


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(http(b"hello"), "not JSON"), id="text"),
        pytest.param(Case(http(b"[]"), "expected an object"), id="other-json"),
        pytest.param(Case(http(b'{"version": 1}'), "expected text"), id="wrong-field"),
        pytest.param(
            Case(http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"), "status 302"),
            id="redirect",
        ),
        pytest.param(Case(http(b"<html>", "418 I'm a teapot"), "status 418"), id="not-ours"),
        pytest.param(
            Case(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "broke off"), id="cut-short"
        ),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_network_error(case: Case) -> None:
    with answering(case.answer) as url, pytest.raises(NetworkError, match=case.said):
        reach(url).ask(Info, INFO)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"
    answer = head + b" " * (MAX_ANSWER_BYTES + 2**20)
    with answering(answer) as url, pytest.raises(NetworkError, match="more than"):
        reach(url).ask(Info, INFO)


def test_a_blob_that_is_longer_than_promised_is_not_read_to_its_end(cloud: FakeCloud) -> None:
    cloud.blobs["d"] = b"x" * 1_000_000
    pieces: list[bytes] = []
    with pytest.raises(DigestError, match="longer than the promised 10 B"):
        reach(cloud.url).copy("/v1/blobs/d", pieces.append, max_bytes=10)
    assert pieces == []


def test_what_may_be_repeated_is_tried_so_often_and_no_more(cloud: FakeCloud) -> None:
    cloud.trouble = [503] * TRIES
    pauses: list[float] = []
    transport = Transport(Login(cloud.url, TOKEN), pauses.append)
    with pytest.raises(Exception, match="the fake is in trouble"):
        transport.ask(Info, INFO)
    assert len(cloud.requests) == TRIES
    assert len(pauses) == TRIES - 1
    assert all(0 <= pause <= 0.5 * 2**number for number, pause in enumerate(pauses, 1))


def test_a_lost_connection_is_tried_again_for_a_get_and_not_for_a_post() -> None:
    info: dict[str, Any] = {"version": "1", "fleet": "home"}
    body = b'{"version": "1", "fleet": "home", "broker": {"host": "h", "port": 1}}'
    with answering(b"", b"", http(body)) as url:
        assert reach(url).ask(Info, INFO).fleet == info["fleet"]
    with answering(b"") as url, pytest.raises(NetworkError, match="cannot be reached"):
        reach(url).send(Request("POST", "/v1/devices", body=b"{}"))


def test_a_body_from_a_file_is_sent_whole_at_each_try(cloud: FakeCloud, tmp_path: Path) -> None:
    digest = "sha256:03ba204e50d126e4674c005e04d82e84c21366780af1f43bd54a37816b6ab340"
    (tmp_path / "f").write_bytes(b"hello world!")
    opened: list[int] = []

    def body() -> Any:
        opened.append(1)
        return (tmp_path / "f").open("rb")

    cloud.trouble = [503]
    with pytest.raises(DigestError):
        reach(cloud.url).send(Request("PUT", f"/v1/blobs/{digest}", body=body))
    assert len(opened) == 2


def test_without_a_body_the_status_says_what_kind_of_error_it_is(cloud: FakeCloud) -> None:
    check: Callable[[str], bool] = reach(cloud.url).exists
    assert check("/v1/blobs/none") is False
    with pytest.raises(NotFoundError):
        reach(cloud.url).send(Request("HEAD", "/v1/nothing"))
    with pytest.raises(UnauthorizedError):
        reach(cloud.url, token="wrong").exists("/v1/blobs/none")
