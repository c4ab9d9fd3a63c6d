"""The device folder: a good one is read, and whatever is missing or wrong is told by name."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skerry_agent.home import lock, read_home
from skerry_contract.device import MAX_CONFIG_BYTES
from skerry_contract.errors import (
    ConflictError,
    ContractError,
    NoSpaceError,
    NotFoundError,
    UnauthorizedError,
)
from support.device_folder import DEVICE, KEY, TARGETS, TRUST, write_device_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_device_folder(tmp_path)


def test_a_device_folder_is_read_whole(folder: Path) -> None:
    home = read_home(folder)
    assert (home.config.fleet, home.config.device) == ("home", "porch-camera")
    assert home.trust.keys == {KEY.keyid: KEY}
    assert home.token == "secret-1"
    assert (home.state, home.inputs) == (folder / "state", folder / "inputs")
    assert home.topics.prefix == "skerry/v1/home/porch-camera"
    assert home.ca is None


def test_what_is_left_out_has_the_documented_default(folder: Path) -> None:
    config = read_home(folder).config
    assert (config.runtime, config.docker_socket) == ("auto", "/var/run/docker.sock")
    assert (config.heartbeat_s, config.ack) == (60, "cloud")
    assert (config.outbox_mb, config.store_mb) == (64, 8192)


def test_certificates_are_named_where_there_are_any(folder: Path) -> None:
    (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    assert read_home(folder).ca == folder / "ca.pem"


def test_a_relative_folder_is_made_absolute(folder: Path) -> None:
    relative = Path(os.path.relpath(folder))
    assert read_home(relative).state.is_absolute()


@pytest.mark.parametrize("name", ["device.json", "trust.json"])
def test_a_missing_file_is_named_with_what_makes_it(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(NotFoundError, match=f"{name}: No such file") as caught:
        read_home(folder)
    assert "skerry device flash" in caught.value.remedy


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"device\.json"):
        read_home(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(NotFoundError, match="Not a directory"):
        read_home(tmp_path / "file")


@pytest.mark.parametrize("name", ["device.json", "trust.json"])
@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "not JSON"), (b"{", "not JSON"), (b"[]", "expected an object"), (b"{}", "is missing")],
)
def test_a_file_that_is_no_such_document_is_named(
    folder: Path, name: str, content: bytes, told: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ContractError, match=told) as caught:
        read_home(folder)
    assert str(caught.value).startswith(f"{folder}/{name}: ")


@pytest.mark.parametrize("name", ["device.json", "trust.json"])
def test_a_file_that_is_too_large_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b" " * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(ContractError, match=f"at most {MAX_CONFIG_BYTES} allowed"):
        read_home(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"device": "Porch"}, "device: expected an id"),
        ({"fleet": "a/b"}, "fleet: expected an id"),
        ({"broker": {"host": "a b"}}, "broker.host: expected a host name"),
        ({"broker": {"host": "a", "port": 0}}, "broker.port: must be at least 1"),
        ({"broker": {"host": "a", "tls": "yes"}}, "broker.tls: expected true/false"),
        ({"cloud": {"url": "ftp://x"}}, "cloud.url: expected a URL"),
        ({"cloud": {"url": "http://a b"}}, "cloud.url: expected a URL"),
        ({"runtime": "podman"}, "runtime: expected one of auto, docker, process"),
        ({"docker_socket": "docker.sock"}, "docker_socket: expected an absolute path"),
        ({"heartbeat_s": 0.1}, "heartbeat_s: must be at least 0.5"),
        ({"ack": "maybe"}, "ack: expected one of cloud, broker"),
        ({"outbox_mb": 0}, "outbox_mb: must be at least 1"),
        ({"store_mb": 15}, "store_mb: must be at least 16"),
        ({"schema": 2}, "schema: expected one of 1"),
    ],
)
def test_a_wrong_field_of_the_device_is_named(
    folder: Path, change: dict[str, Any], told: str
) -> None:
    (folder / "device.json").write_text(json.dumps({**DEVICE, **change}))
    with pytest.raises(ContractError) as caught:
        read_home(folder)
    assert f"device.json: {told}" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"keys": {}}, "keys: 0 entries, expected 1 to 64"),
        ({"keys": {"x": {"keyval": {"public": "AB"}}}}, "keys.x.keyval.public: expected 64 hex"),
        ({"keys": {"x": {"keyval": {"public": "ab" * 32}, "keytype": "rsa"}}}, "keys.x.keytype:"),
        ({"roles": {}}, "roles: 0 entries"),
        ({"roles": {"root": TARGETS}}, "roles.targets: is missing"),
        ({"roles": {"targets": {"keyids": []}}}, "roles.targets.keyids: 0 entries"),
        ({"roles": {"targets": {"keyids": ["ab" * 32], "threshold": 0}}}, "roles.targets.thresh"),
    ],
)
def test_a_wrong_field_of_the_trust_is_named(
    folder: Path, change: dict[str, Any], told: str
) -> None:
    (folder / "trust.json").write_text(json.dumps({**TRUST, **change}))
    with pytest.raises(ContractError) as caught:
        read_home(folder)
    assert f"trust.json: {told}" in str(caught.value)


# --- the token --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_token_of_its_owner_alone_is_taken(folder: Path, mode: int) -> None:
    (folder / "token").chmod(mode)
    assert read_home(folder).token == "secret-1"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o601, 0o620, 0o644, 0o777])
def test_a_token_that_others_can_reach_is_refused(folder: Path, mode: int) -> None:
    (folder / "token").chmod(mode)
    with pytest.raises(UnauthorizedError, match="can be read by others") as caught:
        read_home(folder)
    assert "chmod 600" in caught.value.remedy


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"two words", b"a\nb", b"a\0b", b"\xc3\xa9", b"\xff", b"x" * 1001, b"\x1b[0m"],
    ids=repr,
)
def test_what_is_no_token_is_refused_without_showing_it(folder: Path, content: bytes) -> None:
    (folder / "token").write_bytes(content)
    with pytest.raises(UnauthorizedError) as caught:
        read_home(folder)
    assert caught.value.text == f"{folder}/token holds no token"


def test_a_missing_token_is_told_as_such(folder: Path) -> None:
    (folder / "token").unlink()
    with pytest.raises(UnauthorizedError, match="token: No such file") as caught:
        read_home(folder)
    assert "skerry device flash" in caught.value.remedy


# --- the lock ---------------------------------------------------------------------------------

_HOLDER = """
import sys
from pathlib import Path
from skerry_agent.home import lock, read_home
held = lock(read_home(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_agent_is_told_which_process_holds_the_folder(folder: Path) -> None:
    home = read_home(folder)
    command = [sys.executable, "-c", _HOLDER, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConflictError, match=rf"runs already .* \(process {holder.pid}\)"):
            lock(home)
        holder.kill()
    with lock(home) as file:
        assert (home.state / "lock").read_text() == str(os.getpid())
        assert not file.closed


def test_the_state_folder_is_made_for_nobody_else(folder: Path) -> None:
    home = read_home(folder)
    lock(home).close()
    assert home.state.stat().st_mode & 0o777 == 0o700
    lock(home).close()


def test_a_state_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "state").touch()
    with pytest.raises(NoSpaceError, match=f"porch-camera: {folder}/state: "):
        lock(read_home(folder))
