"""Through a real proxy, by the environment's variables and by the setting."""

from pathlib import Path

import pytest

from skerry_agent.pulling.registry import Transport
from skerry_contract.errors import NetworkError
from support.blob_server import blob_server
from support.certificates import certify
from support.images import noise, oci_image
from support.pulls import cloud, new_store, pull
from support.tinyproxy import tinyproxy

pytestmark = pytest.mark.integration

MADE = oci_image([noise(200_000, seed=21)])
BLOBS = len(MADE.blobs)


@pytest.mark.parametrize("login", ["", "carrier s3cret"])
def test_http_goes_through_a_proxy(tmp_path: Path, login: str) -> None:
    with tinyproxy(tmp_path, login=login) as proxy, blob_server(MADE.blobs) as server:
        at = f"{login.replace(' ', ':')}@" if login else ""
        transport = Transport(environment={"http_proxy": f"http://{at}{proxy.address}"})
        pull(MADE, new_store(tmp_path), cloud(server.url, transport=transport))
        assert proxy.log.read_text().count("GET http://127.0.0.1") == BLOBS
        assert len(server.asked) == BLOBS


def test_https_goes_through_a_tunnel_to_the_end(tmp_path: Path) -> None:
    certified = certify(tmp_path / "tls")
    with (
        tinyproxy(tmp_path) as proxy,
        blob_server(MADE.blobs, certified=certified) as server,
    ):
        # A proxy sees where a tunnel leads, and nothing of what is in it.
        transport = Transport(certified.ca, environment={"HTTPS_PROXY": proxy.address})
        pull(MADE, new_store(tmp_path), cloud(server.url, transport=transport))
        assert proxy.log.read_text().count("CONNECT 127.0.0.1") == BLOBS
        assert "GET" not in proxy.log.read_text()


@pytest.mark.parametrize(
    "transport",
    [
        pytest.param({"proxy": "none", "http_proxy": "PROXY"}, id="the setting says none"),
        pytest.param({"http_proxy": "PROXY", "NO_PROXY": "127.0.0.0/8"}, id="an exception"),
    ],
)
def test_straight_on_where_that_is_wanted(tmp_path: Path, transport: dict[str, str]) -> None:
    with tinyproxy(tmp_path) as proxy, blob_server(MADE.blobs) as server:
        given = {name: text.replace("PROXY", proxy.address) for name, text in transport.items()}
        way = Transport(proxy=given.pop("proxy", ""), environment=given)
        pull(MADE, new_store(tmp_path), cloud(server.url, transport=way))
        assert "Request" not in proxy.log.read_text()
        assert len(server.asked) == BLOBS


def test_a_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with blob_server(MADE.blobs) as server:
        transport = Transport(proxy="http://127.0.0.1:1")
        with pytest.raises(NetworkError, match="refused"):
            pull(MADE, new_store(tmp_path), cloud(server.url, transport=transport))
        assert server.asked == []


def test_a_proxy_that_wants_a_password_says_so(tmp_path: Path) -> None:
    certified = certify(tmp_path / "tls")
    with (
        tinyproxy(tmp_path, login="carrier secret") as proxy,
        blob_server(MADE.blobs, certified=certified) as server,
    ):
        transport = Transport(certified.ca, f"http://{proxy.address}")
        with pytest.raises(NetworkError, match=r"the proxy .* refuses: HTTP 40"):
            pull(MADE, new_store(tmp_path), cloud(server.url, transport=transport))
