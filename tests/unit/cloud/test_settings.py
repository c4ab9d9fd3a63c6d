"""What a server is told, and what it refuses to be told."""

from pathlib import Path
from typing import Any

import pytest

from skerry_cloud.settings import DATABASE_PASSWORD, is_loopback, read
from skerry_contract.errors import ContractError

ALL = "0.0.0.0"  # noqa: S104 (nothing listens here)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "skerry.toml").write_text('fleet = "barn"\nport = 7000\n')
    options = read(tmp_path, {"port": 7001, "host": None}, {}).options
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
        pytest.param("", {"blobs": "skerry"}, "no address of a bucket", id="no bucket"),
        pytest.param("", {"s3_endpoint": "http://s3"}, "none is named", id="no bucket there"),
        pytest.param(
            "", {"blobs": "s3://b-1", "s3_endpoint": "http://k:s@s3"}, "a URL", id="keys in a URL"
        ),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, text: str, given: dict[str, Any], says: str
) -> None:
    (tmp_path / "skerry.toml").write_text(text)
    with pytest.raises(ContractError, match=says):
        read(tmp_path, given, {})


def test_a_server_for_others_needs_tls_and_a_name(tmp_path: Path) -> None:
    given = {"host": ALL, "tls": True, "public_host": "hub.local"}
    assert read(tmp_path, given, {}).public_host == "hub.local"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     (ALL, False), ("192.168.1.2", False), ("hub.local", False)],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, expected: object) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("given", "path_style"),
    [
        ({}, False),
        ({"s3_endpoint": "http://s3.local:9000"}, True),
        ({"s3_endpoint": "https://s3.local", "s3_addressing": "virtual"}, False),
        ({"s3_addressing": "path"}, True),
    ],
)
def test_a_bucket_stands_in_the_path_of_an_endpoint_of_ones_own(
    tmp_path: Path, given: dict[str, Any], *, path_style: bool
) -> None:
    bucket = read(tmp_path, {"blobs": "s3://skerry/blobs", **given}, {}).bucket
    assert bucket is not None
    assert str(bucket) == "s3://skerry/blobs"
    assert bucket.path_style is path_style
    assert read(tmp_path, {}, {}).bucket is None


URL = "postgresql://skerry@db.local/skerry"


def test_a_database_gets_its_password_from_the_environment_or_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("from-file\n")
    given = {"database": URL, "database_password_file": str(secret)}
    from_file = read(tmp_path, given, {}).database_url
    from_environment = read(tmp_path, given, {DATABASE_PASSWORD: "from-env"}).database_url
    assert from_file is not None
    assert from_environment is not None
    assert (from_file.password, from_environment.password) == ("from-file", "from-env")
    bare = read(tmp_path, {"database": URL}, {}).database_url
    assert bare is not None
    assert bare.password is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"database": "postgresql://skerry:hunter2@db/skerry"}, "everybody on this machine"),
        ({"database": "mysql://skerry@db/skerry"}, "no address"),
        ({"database": "hunter2"}, "no address"),
        ({"database": URL, "database_password_file": "/nowhere/password"}, "cannot be read"),
    ],
)
def test_a_database_that_cannot_be_is_refused_without_telling_secrets(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ContractError, match=says) as caught:
        read(tmp_path, given, {})
    assert "hunter2" not in str(caught.value)


def test_a_password_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "skerry.toml").write_text('database = "postgresql://skerry:hunter2@db/skerry"\n')
    url = read(tmp_path, {}, {}).database_url
    assert url is not None
    assert url.password == "hunter2"
    assert "hunter2" not in str(url)
