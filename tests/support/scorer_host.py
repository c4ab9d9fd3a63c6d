"""The real scorer host as a process, and HTTP to it over its Unix socket."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MakeHost = Callable[..., "ScorerHost"]
"""Makes a host, not yet started: of a script's text, or of the echo template without one."""

ROOT = Path(__file__).parents[2]
HOST_FOLDER = ROOT / "scorer"
TEMPLATES = ROOT / "module-templates"


def eventually(condition: Callable[[], Any], *, within_s: float = 15.0) -> Any:
    """Return the first true value of ``condition``; fail if there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{condition} did not come true within {within_s} s"
        time.sleep(0.02)
    return found


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, however long its path."""

    def __init__(self, path: Path, *, timeout: float = 20.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20.0)
        folder = os.open(self._path.parent, os.O_PATH)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


@dataclass(frozen=True)
class Reply:
    """An HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScorerHost:
    """A scorer host with a run folder of its own, not yet started."""

    def __init__(self, run_dir: Path, app_root: Path, **env: str) -> None:
        self.run_dir = run_dir
        self.log = run_dir / "log.txt"
        self._app_root = app_root
        self._env = env
        self.process: subprocess.Popen[bytes] | None = None

    def settings(self, **settings: Any) -> None:
        (self.run_dir / "settings.json").write_text(json.dumps(settings))

    def start(self) -> "ScorerHost":
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HOST_FOLDER),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AML_APP_ROOT": str(self._app_root),
            "AZUREML_ENTRY_SCRIPT": "score.py",
            "SKERRY_RUN_DIR": str(self.run_dir),
            **self._env,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "skerry_scorer"], env=env, stdout=log, stderr=log
            )
        return self

    def ready(self) -> "ScorerHost":
        """Start it and wait until ``init()`` has returned."""
        self.start()
        eventually(self._healthy)
        return self

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = UnixConnection(self.run_dir / "host.sock")
        try:
            spelled = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, spelled)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, fields, answer.read())
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", "/skerry/status").json
        return found

    def score(self, body: bytes, content_type: str = "application/json") -> Reply:
        return self.request("POST", "/score", body, content_type=content_type)

    def wait(self, *, within_s: float = 20.0) -> int:
        """Return the exit status."""
        assert self.process is not None
        return self.process.wait(within_s)

    def kill(self) -> None:
        """End it without any warning."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def terminate(self) -> int:
        """Ask it to end, and return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.wait()

    def _healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.request("GET", "/").status == 200
        except (OSError, http.client.HTTPException):
            return False


def port_of(host: ScorerHost) -> int:
    """Return the TCP port that a host has told it listens on."""

    def told() -> "re.Match[str] | None":
        return re.search(r"listening on \S+ port (\d+)", host.log.read_text())

    return int(eventually(told)[1])
