"""A bare mosquitto that lets everybody in, for tests that want a broker and nothing else."""

import os
import socket
import subprocess
from pathlib import Path

from support.ports import free_port
from support.programs import need
from support.waiting import eventually


class Mosquitto:
    """Mosquitto on a free loopback port, not yet started; a restart keeps both port and state.

    Args:
        folder: Where its files are.
        listener: Lines of its configuration that say who is let in; everybody without them.
    """

    def __init__(self, folder: Path, *listener: str) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._program = need("mosquitto", "mosquitto")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} {self.host}",
            *(listener or ["allow_anonymous true"]),
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # or it drops to a user that cannot write here
        (folder / "bare.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self._folder / "bare.log").open("ab") as log:
            process = subprocess.Popen(
                [self._program, "-c", self._folder / "bare.conf"], stdout=log, stderr=log
            )
        self._process = process
        eventually(lambda: process.poll() is not None or self._answers(), why="mosquitto to start")
        assert process.poll() is None, (self._folder / "bare.log").read_text()

    def stop(self) -> None:
        """Stop it in good order: its state is written. Harmless if it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=0.5).close()
        except OSError:
            return False
        return True
