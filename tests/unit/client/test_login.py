"""The login file: whose it is, what it may hold, who may read it."""

from pathlib import Path

import pytest

from skerry import login
from skerry.login import Login
from skerry_contract.errors import ContractError, UnauthorizedError

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


def test_a_login_is_written_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "login.json"
    login.write(path, Login("http://127.0.0.1:7700", "t0ken", PEM))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert login.read(path) == Login("http://127.0.0.1:7700", "t0ken", PEM)


def test_certificates_may_be_a_file_beside_the_login(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(PEM)
    path = tmp_path / "login.json"
    path.write_text('{"url": "https://skerry.example/", "token": "t", "ca": "ca.pem"}')
    assert login.read(path) == Login("https://skerry.example", "t", PEM)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"url": "ftp://x", "token": "t"}', '{"url": "http://x", "token": "a b"}', '{"url"'],
)
def test_what_is_no_login_says_which_file_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "login.json"
    path.write_text(text)
    with pytest.raises(ContractError, match=r"login\.json"):
        login.read(path)


def test_a_missing_login_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        login.read(tmp_path / "none.json")
    assert "skerry up" in caught.value.remedy


def test_another_servers_login_is_told_from_our_own(tmp_path: Path) -> None:
    path, ours = tmp_path / "login.json", Login("http://127.0.0.1:7700", "new")
    assert not login.belongs_elsewhere(path, ours)
    login.write(path, Login("http://127.0.0.1:7700", "old"))
    assert not login.belongs_elsewhere(path, ours)
    login.write(path, Login("https://work.example", "precious"))
    assert login.belongs_elsewhere(path, ours)
    path.write_text("something of mine")
    assert login.belongs_elsewhere(path, ours)


def test_the_default_place_follows_xdg_and_ignores_relative_paths() -> None:
    assert login.default_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/skerry/login.json")
    for env in ({}, {"XDG_CONFIG_HOME": "x"}):
        assert login.default_path(env) == Path.home() / ".config/skerry/login.json"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:7700", False),
        ("http://localhost", False),
        ("http://[::1]:1", False),
        ("https://skerry.example", False),
        ("http://skerry.example", True),
        ("http://192.168.1.5:7700", True),
    ],
)
def test_only_plain_http_to_another_machine_is_in_the_clear(url: str, expected: object) -> None:
    assert login.in_the_clear(url) is expected
