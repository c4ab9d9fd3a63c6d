"""The server as a process: how it starts, refuses to start, and ends."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from support.mosquitto import Mosquitto
from support.mqtt import MqttClient
from support.programs import need
from support.waiting import eventually

pytestmark = pytest.mark.integration


@dataclass
class Running:
    process: subprocess.Popen[str]
    ready: Any

    @property
    def login(self) -> Any:
        return json.loads(Path(self.ready["login"]).read_text())


def command(data: Path, *more: str) -> list[str]:
    given = ["--data", str(data), "--port", "0", "--broker-port", "0", *more]
    return [sys.executable, "-m", "skerry_cloud", "serve", *given]


@contextmanager
def serving(data: Path, *more: str, within: Sequence[str] = ()) -> Iterator[Running]:
    with subprocess.Popen(
        [*within, *command(data, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            readable, _, _ = select.select([process.stdout], [], [], 30)
            line = process.stdout.readline() if readable else ""
            assert line, process.communicate(timeout=10)[1] if process.poll() is not None else ""
            yield Running(process, json.loads(line))
        finally:
            process.kill()
            process.communicate(timeout=10)


def refusal(data: Path, *more: str) -> str:
    ended = subprocess.run(
        command(data, *more), capture_output=True, text=True, timeout=40, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_server_says_when_it_is_ready_and_ends_when_told(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as running:
        assert running.ready["ready"] is True
        assert running.ready["url"] == running.login["url"]
        assert requests.get(f"{running.ready['url']}/healthz", timeout=10).status_code == 200
        port = running.ready["broker"]["port"]
        running.process.send_signal(signal.SIGTERM)
        _, told = running.process.communicate(timeout=30)
        assert running.process.returncode == 0, told
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, "the broker outlives its server"


def fill(path: Path) -> None:
    """Write to ``path`` until its disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def test_two_servers_never_share_a_data_folder(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as running:
        told = refusal(tmp_path / "data")
        assert f"process id {running.process.pid}" in told
        assert "[CONFLICT]" in told


def test_a_server_that_was_killed_can_be_started_again(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as first:
        os.kill(first.process.pid, signal.SIGKILL)
        token = first.login["token"]
    with serving(tmp_path / "data") as again:
        assert again.login["token"] == token


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        told = refusal(tmp_path / "data", "--port", port)
        assert f"port {port} of 127.0.0.1 is taken" in told
        assert "--port" in told
        told = refusal(tmp_path / "data", "--broker-port", port)
        assert f"port {port} of 127.0.0.1 is taken" in told
        assert "--broker-port" in told


def test_a_full_disk_is_named_and_all_goes_on_once_there_is_room(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    script = 'mount -t tmpfs -o size=8m none "$0" && exec "$@"'
    apart = [need("unshare", "util-linux"), "--user", "--map-root-user", "--mount"]
    with serving(data, within=[*apart, "sh", "-c", script, str(data)]) as running:
        inside = Path(f"/proc/{running.process.pid}/root{data}")
        token = json.loads((inside / "login.json").read_text())["token"]

        def ask(method: str, path: str, body: Any = None) -> requests.Response:
            bearer = {"Authorization": f"Bearer {token}"}
            url = running.ready["url"] + path
            return requests.request(method, url, json=body, headers=bearer, timeout=30)

        assert ask("POST", "/v1/devices", {"id": "before"}).status_code == 201
        ballast = inside / "ballast"
        fill(ballast)
        tags = {f"tag-{number}": "x" * 1000 for number in range(100)}
        answer = ask("POST", "/v1/devices", {"id": "during", "tags": tags})
        assert answer.status_code == 507, answer.text
        assert answer.json()["error"]["code"] == "NO_SPACE"
        assert "disk is full" in answer.json()["error"]["text"]
        assert answer.json()["error"]["remedy"]
        identity = ask("POST", "/v1/devices/before/identity")
        assert (identity.status_code, identity.json()["error"]["code"]) == (507, "NO_SPACE")
        health = ask("GET", "/healthz")
        assert (health.status_code, health.text) == (503, "not well: disk\n")
        ballast.unlink()
        assert ask("GET", "/healthz").status_code == 200
        assert ask("POST", "/v1/devices", {"id": "after"}).status_code == 201
        running.process.send_signal(signal.SIGTERM)
        _, told = running.process.communicate(timeout=30)
        assert running.process.returncode == 0, told
        assert "Traceback" not in told


def test_an_external_broker_that_is_not_there_is_told_and_waited_for(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    port = str(broker.port)
    with serving(tmp_path / "data", "--broker", "external", "--broker-port", port) as running:
        assert running.process.stderr is not None
        told = b""
        while f"no broker can be reached at 127.0.0.1:{port}".encode() not in told:
            readable, _, _ = select.select([running.process.stderr], [], [], 30)
            assert readable, f"no word of the missing broker: {told!r}"
            told += os.read(running.process.stderr.fileno(), 65_536)

        def health() -> str:
            return requests.get(f"{running.ready['url']}/healthz", timeout=10).text

        assert health() == "not well: broker\n"
        broker.start()
        try:
            eventually(lambda: health() == "well\n", 30)
        finally:
            broker.stop()


def test_listening_beyond_this_machine_needs_tls(tmp_path: Path) -> None:
    assert "--tls" in refusal(tmp_path / "data", "--host", "0.0.0.0")  # noqa: S104 (refused)


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert str(tmp_path / "file") in refusal(tmp_path / "file" / "data")


@pytest.mark.parametrize("kind", ["mosquitto", "nats"])
def test_with_tls_api_and_broker_are_believed_by_the_ca_of_the_login(
    tmp_path: Path, kind: str
) -> None:
    with serving(tmp_path / "data", "--tls", "--broker", kind) as running:
        login = running.login
        ca = tmp_path / "ca.pem"
        ca.write_text(login["ca"])
        assert login["url"].startswith("https://")
        answer = requests.get(f"{login['url']}/healthz", verify=str(ca), timeout=10)
        assert answer.text == "well\n"
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{login['url']}/healthz", timeout=10)
        bearer = {"Authorization": f"Bearer {login['token']}"}
        info = requests.get(
            f"{login['url']}/v1/info", headers=bearer, verify=str(ca), timeout=10
        ).json()["broker"]
        assert info["tls"] is True
        viewer = MqttClient(info["port"], info["username"], info["password"], ca=str(ca))
        with viewer as connected:
            assert connected.connected
