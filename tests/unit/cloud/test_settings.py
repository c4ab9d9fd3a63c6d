"""What a server is told, and what it refuses to be told."""

from pathlib import Path
from typing import Any

import pytest

from skerry_cloud.settings import is_loopback, read
from skerry_contract.errors import ContractError

ALL = "0.0.0.0"  # noqa: S104 (nothing listens here)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "skerry.toml").write_text('fleet = "barn"\nport = 7000\n')
    options = read(tmp_path, {"port": 7001, "host": None}).options
    assert (options.fleet, options.port, options.host) == ("barn", 7001, "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "given", "says"),
    [
        pytest.param("prot = 1", {}, "unknown field; did you mean 'port'", id="a typing error"),
        pytest.param("port = 70000", {}, "at most 65535", id="no port"),
        pytest.param("port =", {}, "cannot be read", id="no TOML"),
        pytest.param('fleet = "Home!"', {}, "expected an id", id="no fleet"),
        pytest.param("", {"host": ALL}, "in the clear", id="listening to all without TLS"),
        pytest.param("", {"host": "10.0.0.7"}, "in the clear", id="listening to some without TLS"),
        pytest.param("", {"host": ALL, "tls": True}, "cannot reach", id="no name to be reached by"),
        pytest.param(
            'broker = "external"\nbroker_port = 0', {}, "has a port", id="a broker without a port"
        ),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, text: str, given: dict[str, Any], says: str
) -> None:
    (tmp_path / "skerry.toml").write_text(text)
    with pytest.raises(ContractError, match=says):
        read(tmp_path, given)


def test_a_server_for_others_needs_tls_and_a_name(tmp_path: Path) -> None:
    given = {"host": ALL, "tls": True, "public_host": "hub.local"}
    assert read(tmp_path, given).public_host == "hub.local"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     (ALL, False), ("192.168.1.2", False), ("hub.local", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, expected: object) -> None:
    assert is_loopback(host) is expected
