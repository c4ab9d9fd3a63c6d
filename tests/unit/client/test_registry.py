"""Addresses, challenges and logins of registries, as people and registries write them."""

import base64
import json
from pathlib import Path

import pytest

from skerry.registry.address import Address, parse_address
from skerry.registry.challenge import Challenge, parse_challenges
from skerry.registry.credentials import Credentials, find_credentials
from skerry_contract.errors import NameInvalidError, UnauthorizedError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost/a", Address("localhost", "a", "3")),
        ("127.0.0.1:5000/team/a:v1", Address("127.0.0.1:5000", "team/a", "v1")),
        (
            "registry.example.org/a_b/c-d:latest",
            Address("registry.example.org", "a_b/c-d", "latest"),
        ),
        ("[::1]:5000/a", Address("[::1]:5000", "a", "3")),
        ("docker.io/python:3.11", Address("docker.io", "library/python", "3.11")),
        ("docker.io/team/a", Address("docker.io", "team/a", "3")),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    assert parse_address(text, "3") == expected


def test_dockers_own_registry_speaks_elsewhere_and_is_logged_in_to_elsewhere() -> None:
    hub, other = parse_address("docker.io/python", "3"), parse_address("example.org/python", "3")
    assert (hub.api_host, hub.login_name) == ("registry-1.docker.io", "https://index.docker.io/v1/")
    assert (other.api_host, other.login_name) == ("example.org", "example.org")


@pytest.mark.parametrize(
    "text",
    ["", "team/a", "a", "example.org/", "example.org/A", "https://example.org/a", "h.x/a:/b"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(NameInvalidError) as caught:
        parse_address(text, "1")
    assert "registry.example.org" in caught.value.remedy


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("localhost:5000", True), ("127.8.0.1", True), ("[::1]:5", True), ("10.0.0.1:5000", False),
     ("localhost.example.org", False)],
)  # fmt: skip
def test_which_registries_are_on_this_machine(host: str, *, is_loopback: bool) -> None:
    assert Address(host, "a", "1").is_loopback == is_loopback


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ('Basic realm="a, b"', [Challenge("basic", {"realm": "a, b"})]),
        (
            'Bearer realm="https://t/x",service="s",scope="a:pull,push"',
            [Challenge("bearer", {"realm": "https://t/x", "service": "s", "scope": "a:pull,push"})],
        ),
        (
            'Negotiate, Basic realm="x"',
            [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
        ),
        (r'Basic realm="a\"b", x=y', [Challenge("basic", {"realm": 'a"b', "x": "y"})]),
        ("=nonsense", []),
    ],
)  # fmt: skip
def test_challenges(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges(header) == expected


def config(folder: Path, **parts: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(parts))
    return {"DOCKER_CONFIG": str(folder), "HOME": "/nowhere"}


def test_who_we_are_is_looked_for_in_order(tmp_path: Path) -> None:
    auth = base64.b64encode(b"docker:a:b").decode()
    left = config(tmp_path, auths={"example.org": {"auth": auth}, "t.org": {"identitytoken": "r"}})
    own = {"SKERRY_REGISTRY_USERNAME": "env", "SKERRY_REGISTRY_PASSWORD": "e"}
    given = Credentials("given", "g")
    assert find_credentials("example.org", {**left, **own}, given) == given
    assert find_credentials("example.org", {**left, **own}, None) == Credentials("env", "e")
    assert find_credentials("example.org", left, None) == Credentials("docker", "a:b")
    assert find_credentials("t.org", left, None) == Credentials(refresh="r")
    assert find_credentials("other.org", left, None) is None
    assert find_credentials("example.org", {"HOME": str(tmp_path / "none")}, None) is None
    assert "a:b" not in repr(find_credentials("example.org", left, None))


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-tests"
    helper.write_text(
        "#!/bin/sh\nread host\n"
        '[ "$host" = example.org ] || exit 1\n'
        'echo \'{"Username": "<token>", "Secret": "s"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    environment = config(tmp_path, credsStore="tests")
    assert find_credentials("example.org", environment, None) == Credentials(refresh="s")
    assert find_credentials("other.org", environment, None) is None
    gone = config(tmp_path, credHelpers={"example.org": "gone"})
    with pytest.raises(UnauthorizedError, match="docker-credential-gone"):
        find_credentials("example.org", gone, None)


@pytest.mark.parametrize("text", ["{", '{"auths": {"example.org": {"auth": "!"}}}'])
def test_a_config_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UnauthorizedError, match=r"config\.json"):
        find_credentials("example.org", {"DOCKER_CONFIG": str(tmp_path)}, None)
