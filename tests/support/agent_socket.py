"""The agent's end of ``agent.sock``: it takes lines and answers them, as it is told to."""

import json
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_LINE_BYTES = 64 * 1024

Answer = dict[str, Any] | None
"""What is sent back; None closes the connection without a word."""


Listen = Callable[..., "AgentSocket"]
"""Makes an agent socket in a run folder, which is closed when the test ends."""


def stored(line: dict[str, Any]) -> Answer:
    """Answer as an agent does that has room."""
    return {"stored": line["id"]}


class AgentSocket:
    """Listens on ``agent.sock`` in a run folder until ``close``.

    Args:
        run_dir: The run folder.
        answer: Makes the answer to one line; called in the thread of the connection.
    """

    def __init__(self, run_dir: Path, answer: Callable[[dict[str, Any]], Answer] = stored) -> None:
        self.answer = answer
        self.lines: list[dict[str, Any]] = []
        self._path = run_dir / "agent.sock"
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        folder = os.open(run_dir, os.O_PATH)
        try:
            self._listener.bind(f"/proc/self/fd/{folder}/agent.sock")
        finally:
            os.close(folder)
        self._listener.listen(8)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def items(self) -> list[dict[str, Any]]:
        """All items that came, those that were not stored included."""
        return [item for line in list(self.lines) for item in line["items"]]

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            while data := lines.readline(MAX_LINE_BYTES + 1):
                assert data.endswith(b"\n"), "a line that is too long, or cut off"
                line = json.loads(data)
                self.lines.append(line)
                answer = self.answer(line)
                if answer is None:
                    return
                connection.sendall(json.dumps(answer).encode() + b"\n")
