"""Logs as JSON lines that carry the request's id, what the entry script prints included."""

import io
import json
import logging
import sys
import threading
import time
from contextvars import ContextVar
from typing import TextIO

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that is being scored in this thread, or ""."""
MAX_LINE_CHARS = 8_000
"""Longest line of a script that is kept as one; a longer one is cut into several."""

PRINTED = logging.getLogger("print")
"""Where what the entry script prints goes."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    It has ``ts``, ``level``, ``logger``, ``message``, and what there is of ``request_id``,
    ``trace_id``, ``exception`` and ``request``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        told: dict[str, object] = {
            "ts": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("request_id", "trace_id", "request"):
            value = getattr(record, name, None) or (
                REQUEST_ID.get() if name == "request_id" else ""
            )
            if value:
                told[name] = value
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


class PrintedLines(io.TextIOBase):
    """Standard output for an entry script: lines that it prints for a request are logged.

    What is written while no request is under way in the thread goes through as it is.

    Args:
        real: Standard output.
    """

    def __init__(self, real: TextIO) -> None:
        self._real = real
        self._begun = threading.local()

    def write(self, text: str) -> int:
        """Log the lines that are complete, and keep the rest."""
        if not REQUEST_ID.get():
            return self._real.write(text)
        *lines, rest = (getattr(self._begun, "line", "") + text).split("\n")
        while len(rest) > MAX_LINE_CHARS:
            lines.append(rest[:MAX_LINE_CHARS])
            rest = rest[MAX_LINE_CHARS:]
        self._begun.line = rest
        for line in lines:
            PRINTED.info("%s", line)
        return len(text)

    def close_line(self) -> None:
        """Log what was printed without an end of its line."""
        rest = getattr(self._begun, "line", "")
        if rest:
            self._begun.line = ""
            PRINTED.info("%s", rest)

    def flush(self) -> None:
        """Flush standard output."""
        self._real.flush()

    def fileno(self) -> int:
        """Return the descriptor of standard output."""
        return self._real.fileno()

    def isatty(self) -> bool:
        """Return whether somebody reads along."""
        return self._real.isatty()

    def writable(self) -> bool:
        """Return true."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of standard output."""
        return self._real.encoding

    @property
    def buffer(self) -> object:
        """Standard output for bytes: what is written there goes through as it is."""
        return self._real.buffer


def use_json() -> PrintedLines:
    """Log JSON lines to standard error from now on; return what stands in for standard output."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    printed = PrintedLines(sys.stdout)
    sys.stdout = printed
    return printed


def _timestamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
