"""A command's output as input: each line that it prints is one.

A line that was printed and not stored when the host dies is lost, for a pipe has no memory; but the
one that was being scored is in the note, and is scored again.
"""

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from skerry_scorer.backoff import pauses
from skerry_scorer.inputs.mailbox import Mailbox, Message
from skerry_scorer.inputs.under_way import MAX_CONTENT_BYTES

log = logging.getLogger(__name__)

MAX_LINE_BYTES = MAX_CONTENT_BYTES
"""Longest line that is scored, its end left out."""
KEEP_BYTES = 64 * 1024
"""What is kept of a line that is longer."""
STEADY_S = 60.0
"""A command that ran for so many seconds is started again at once when it ends."""
GRACE_S = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_CHUNK_BYTES = 64 * 1024
_LOG_BYTES = 2000
_OWN = ("python", "python3")


class Command:
    """Runs a command for as long as it is wanted, and brings its lines; see ``Origin``.

    It is started again whenever it ends, after a pause that grows. What it prints on standard error
    is logged. While the mailbox is full its pipe fills, so it waits in its own ``write``; its
    standard input is a pipe that closes when the host ends.

    Args:
        name: Name of the input.
        argv: Program and arguments.
    """

    brings_again = False

    def __init__(self, name: str, argv: Sequence[str]) -> None:
        self._name = name
        self._argv = list(argv)
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line = 0

    def start(self, mailbox: Mailbox, folder: Path) -> None:  # noqa: ARG002 - as every origin
        """See ``Origin.start``."""
        self._end = threading.Event()
        arguments = (mailbox, self._end)
        threading.Thread(target=self._keep, args=arguments, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """See ``Origin.stop``."""
        self._end.set()
        with self._lock:
            process = self._process
        if process is not None:
            _finish(process)

    def _keep(self, mailbox: Mailbox, end: threading.Event) -> None:
        waits = pauses()
        while not end.is_set():
            begun = time.monotonic()
            try:
                why = self._run(mailbox, end)
            except OSError as error:
                why = f"cannot be started: {error}"
            if end.is_set():
                return
            if time.monotonic() - begun > STEADY_S:
                waits = pauses()
            pause_s = next(waits)
            log.warning("input %s: the command %s; again in %.1f s", self._name, why, pause_s)
            end.wait(pause_s)

    def _run(self, mailbox: Mailbox, end: threading.Event) -> str:
        process = subprocess.Popen(
            _found(self._argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        with self._lock:
            self._process = process
        if end.is_set():  # "stop" came before there was anything to stop
            _finish(process)
        assert process.stdout is not None  # noqa: S101 - for the type checker
        assert process.stderr is not None  # noqa: S101
        arguments = (self._name, process.stderr)
        threading.Thread(target=_log_lines, args=arguments, daemon=True).start()
        for some in lines(process.stdout):
            messages = [
                Message(self._name, "line", str(self._line + i), line, fault)
                for i, (line, fault) in enumerate(some, 1)
            ]
            self._line += len(some)
            if not mailbox.put(*messages):
                break
        _finish(process)
        return f"ended with status {process.returncode}"


def lines(pipe: IO[bytes]) -> Iterator[list[tuple[bytes, str]]]:
    """Give the lines of an unbuffered pipe as they come, and why one is unusable, or "".

    Each is without its end. A last line without an end counts; empty lines do not. Of a line of
    more than ``MAX_LINE_BYTES`` bytes only the beginning is given; the rest is read and dropped.
    """
    parts: list[bytes] = []
    size = 0
    while chunk := os.read(pipe.fileno(), _CHUNK_BYTES):
        *ended, rest = chunk.split(b"\n")
        if ended:
            # Only the first can have begun before this chunk; the others are whole, and short.
            found = _line([*parts, ended[0]], size + len(ended[0]))
            found += [(line, "") for piece in ended[1:] if (line := piece.removesuffix(b"\r"))]
            parts, size = [], 0
            if found:
                yield found
        size += len(rest)
        if rest and size <= MAX_LINE_BYTES:
            parts.append(rest)
    if last := _line(parts, size):
        yield last


def _line(parts: list[bytes], size: int) -> list[tuple[bytes, str]]:
    line = b"".join(parts)
    if size > MAX_LINE_BYTES:
        fault = f"a line of {size} bytes, at most {MAX_LINE_BYTES} are read"
        return [(line[:KEEP_BYTES], fault)]
    line = line.removesuffix(b"\r")
    return [(line, "")] if line else []


def _log_lines(name: str, pipe: IO[bytes]) -> None:
    with suppress(OSError, ValueError):
        for some in lines(pipe):
            for line, _ in some:
                log.warning("input %s: %s", name, line[:_LOG_BYTES].decode("utf-8", "replace"))


def _found(argv: list[str]) -> list[str]:
    # An image has its interpreter under one name only.
    if argv[0] in _OWN and shutil.which(argv[0]) is None:
        return [sys.executable, *argv[1:]]
    return argv


def _finish(process: "subprocess.Popen[bytes]") -> None:
    """End a command that may have ended already, and wait until it has."""
    with suppress(OSError):
        process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
