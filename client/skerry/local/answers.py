"""Questions to a scorer host over the socket in its run folder; see ``docs/module-image.md``."""

import http.client
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a host ended before it was ready.

    Attributes:
        text: What happened, in one line.
        detail: The traceback, or the end of the log.
    """

    text: str
    detail: str = ""


def is_ready(run_dir: Path, *, timeout_s: float = 5.0) -> bool | None:
    """Return whether ``init()`` has returned; None if nothing answers."""
    try:
        answer = _ask(run_dir, "/skerry/status", timeout_s)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return answer.get("ready") is True


def read_failure(run_dir: Path) -> Failure | None:
    """Return what a host has left of why it could not begin, if it has."""
    try:
        with (run_dir / "failure.json").open("rb") as file:
            found = json.loads(file.read(_ANSWER_BYTES))
        return Failure(str(found["text"]), str(found.get("detail", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _ask(run_dir: Path, path: str, timeout_s: float) -> dict[str, Any]:
    connection = HostConnection(run_dir, timeout_s)
    try:
        connection.request("GET", path)
        found = json.loads(connection.getresponse().read(_ANSWER_BYTES))
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}


class HostConnection(http.client.HTTPConnection):
    """HTTP over a host's socket, however long its path.

    Args:
        run_dir: The host's run folder.
        timeout_s: Seconds that each wait may take.
    """

    def __init__(self, run_dir: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._run_dir = run_dir

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        # A socket's path has at most 107 bytes; the folder's descriptor makes any path short.
        handle = os.open(self._run_dir, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{handle}/host.sock")
        finally:
            os.close(handle)
