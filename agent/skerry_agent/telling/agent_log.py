"""The agent's own log, kept in its folder: for support bundles, leases and reports of its crashes.

Two files of bounded size, so that a card is not worn and filled by words. Nothing is synced: the
last lines before a power cut are worth less than the card.
"""

import io
import logging
import time
from contextlib import suppress
from pathlib import Path

AGENT_LOG = "agent.log"
"""Name of the newer file, in the state folder; the older one has ``.1`` behind it."""
MAX_BYTES = 256 * 1024
"""Largest size of each of the two."""


class AgentLog(logging.Handler):
    """Writes what is logged to the files of a folder.

    What the disk refuses is passed over: words never stop the agent.

    Args:
        folder: Where the files lie; it exists.
        max_bytes: Largest size of each.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._path = folder / AGENT_LOG
        self._max_bytes = max_bytes
        self._file: io.BufferedRandom | io.BufferedWriter | None = None
        form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        form.converter = time.gmtime
        self.setFormatter(form)

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        with suppress(OSError, ValueError):
            file = self._file or self._open()
            file.write(self.format(record).encode(errors="replace") + b"\n")
            file.flush()
            if file.tell() >= self._max_bytes:
                file.close()
                self._file = None
                self._path.replace(self._path.with_name(f"{AGENT_LOG}.1"))

    def close(self) -> None:
        """See ``logging.Handler``."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        super().close()

    def _open(self) -> io.BufferedWriter:
        self._path.touch(mode=0o600)
        self._file = opened = self._path.open("ab")
        return opened


def end_of_log(folder: Path, max_bytes: int) -> str:
    """Return the end of what the agent wrote, at most ``max_bytes``; empty if it cannot be read."""
    text = b""
    for name in (AGENT_LOG, f"{AGENT_LOG}.1"):
        with suppress(OSError), (folder / name).open("rb") as file:
            with suppress(OSError):
                file.seek(len(text) - max_bytes, io.SEEK_END)
            text = file.read(max_bytes - len(text)) + text
        if len(text) >= max_bytes:
            break
    return text.decode(errors="replace")
