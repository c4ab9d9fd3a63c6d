"""The log of a local service: its end, its growth, and what is added while one looks."""

import os
from collections.abc import Callable
from pathlib import Path

MAX_LOG_BYTES = 16 * 1024 * 1024
"""Length of a log above which its older half is dropped when a host is started."""


def length(log: Path) -> int:
    """Return how many bytes a log has; 0 if there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_lines(log: Path, count: int, *, start: int = 0) -> str:
    """Return the last ``count`` lines of what a log has from byte ``start`` on."""
    if count <= 0:
        return ""
    try:
        with log.open("rb") as file:
            file.seek(max(start, os.fstat(file.fileno()).st_size - MAX_LOG_BYTES))
            lines = file.read(MAX_LOG_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def trim(log: Path) -> None:
    """Drop the older part of a log that has become too long; who appends to it goes on."""
    if not log.exists() or log.stat().st_size <= MAX_LOG_BYTES:
        return
    with log.open("rb") as file:
        file.seek(-(MAX_LOG_BYTES // 2), os.SEEK_END)
        kept = file.read().partition(b"\n")[2]
    os.truncate(log, 0)
    with log.open("ab") as file:
        file.write(kept)


class Follower:
    """Hands on the lines that are added to a log from now on.

    Args:
        log: The log, which need not be there yet.
        show: Is given each line, without its end; None to hand on nothing.
        from_start: Whether what is there already counts as added.
    """

    def __init__(
        self, log: Path, show: Callable[[str], object] | None, *, from_start: bool = False
    ) -> None:
        self._log = log
        self._show = show
        self._at = 0 if from_start or not log.exists() else log.stat().st_size
        self._rest = b""

    def look(self) -> None:
        """Hand on what has come since the last look."""
        if self._show is None or not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read(MAX_LOG_BYTES)
            self._at = file.tell()
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            self._show(line.decode("utf-8", "replace"))
