"""Results of other modules of this device as input: the agent feeds us over its socket.

A result is answered for once ours is stored, and comes again if it was not. While nothing is stored
nothing is answered, and the agent sends no more than a few.
"""

import json
import logging
import socket
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

from skerry_scorer.backoff import pauses
from skerry_scorer.inputs.mailbox import Mailbox, Message
from skerry_scorer.sockets import reachable

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 256 * 1024
"""Longest line that is read."""
_POLL_S = 1.0


class Routed:
    """Reads one input from the agent; see ``Origin``.

    Args:
        name: Name of the input.
        path: The agent's socket.
    """

    brings_again = True

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None

    def start(self, mailbox: Mailbox, folder: Path) -> None:  # noqa: ARG002 - as every origin
        """See ``Origin.start``."""
        self._end = threading.Event()
        arguments = (mailbox, self._end)
        threading.Thread(target=self._keep, args=arguments, name=self._name, daemon=True).start()

    def stop(self) -> None:
        """See ``Origin.stop``."""
        self._end.set()

    def _keep(self, mailbox: Mailbox, end: threading.Event) -> None:
        waits = pauses()
        while not end.is_set():
            why = "the agent has closed the connection"
            try:
                with self._connected() as connection:
                    if self._read(connection, mailbox, end):
                        waits = pauses()
            except (OSError, ValueError, KeyError, TypeError) as error:
                why = str(error)
            with self._lock:
                self._connection = None
            mailbox.clear()  # what was not answered for comes again
            if end.is_set():
                return
            pause_s = next(waits)
            log.warning("input %s: %s; again in %.1f s", self._name, why, pause_s)
            end.wait(pause_s)

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_POLL_S)
            with reachable(self._path) as path:
                connection.connect(path)
            connection.sendall(json.dumps({"input": self._name}).encode() + b"\n")
        except OSError:
            connection.close()
            raise
        with self._lock:
            self._connection = connection
        return connection

    def _read(self, connection: socket.socket, mailbox: Mailbox, end: threading.Event) -> bool:
        """Bring results until the connection ends; return whether there were any."""
        buffer, some = b"", False
        while not end.is_set():
            try:
                data = connection.recv(64 * 1024)
            except TimeoutError:
                continue
            if not data:
                return some
            *lines, buffer = (buffer + data).split(b"\n")
            if len(buffer) > MAX_LINE_BYTES:
                raise ValueError(f"the agent sends a line of more than {MAX_LINE_BYTES} bytes")
            for line in lines:
                mailbox.put(self._message(connection, line))
                some = True
        return some

    def _message(self, connection: socket.socket, line: bytes) -> Message:
        found = json.loads(line)
        number, stream = int(found["id"]), str(found["stream"])
        content = json.dumps(found["data"], ensure_ascii=False).encode()
        settled = partial(self._answer, connection, number)
        return Message(self._name, "stream", stream, content, "", settled)

    def _answer(self, connection: socket.socket, number: int) -> None:
        with self._lock:
            if connection is not self._connection:
                return  # it comes again on the new one
            with suppress(OSError):
                connection.sendall(b'{"done":%d}\n' % number)
