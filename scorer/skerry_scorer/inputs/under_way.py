"""A note of which inputs are being scored, kept outside the process: what ends it is known.

An input that crashes the interpreter, or that takes all memory, leaves nobody who could set it
aside. So the note is written before ``run()`` and wiped after it; the next process that finds
inputs in it knows whom the last one died of. It has to outlive the process and not the machine:
nothing is synced. Of an input that nobody brings again, such as a command's line, the note holds
the content too.

A note may be about several inputs that are scored one right after the other, for writing it costs
more than a small ``run()``. Each of them is then suspected, and noted alone the next time: the
innocent are cleared, and the guilty one has ended the process twice, as if it had been alone.
"""

import json
import logging
import os
import threading
from collections.abc import Sequence
from functools import lru_cache

log = logging.getLogger(__name__)

NOTE = ".under-way"
"""Name of the note, in the folder for files that failed: hidden, so it is no input itself."""
MAX_TOGETHER = 64
"""Most inputs that one note is about."""
MAX_NOTE_BYTES = MAX_TOGETHER * 2048
"""Longest note that is read, without the contents; the longest names, each byte escaped, fit."""
MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""Most content that is noted of an input."""
MAX_TOGETHER_BYTES = 256 * 1024
"""Content of a note above which no other input joins it."""

Key = tuple[str, int, int, int]
"""Name, size, and two numbers, of a file its time and inode: the same are the same content."""
Noted = tuple[Key, bytes]
"""An input, and its content if nobody brings it again."""


class UnderWay:
    """The note of one input folder.

    All belongs into the thread of ``run()``, except that ``wipe`` may be called from any. Where the
    note cannot be kept, files are scored without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a descriptor that was closed may be another file by now
        self._file = -1
        self._ended: dict[Key, int] = {}
        self.left: list[bytes] = []

    def open(self, folder: int) -> None:
        """Read the note that the last process left in ``folder``, and keep the next one there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(NOTE, flags, 0o644, dir_fd=folder)
            longest = MAX_NOTE_BYTES + MAX_TOGETHER_BYTES + MAX_CONTENT_BYTES
            note = os.pread(self._file, longest, 0)
            found = parse(note)
            self._ended = dict(found)
            self.left = _contents(note, [key for key, _ in found])
        except OSError as error:
            log.warning("%s cannot be kept: %s", NOTE, error)

    def close(self) -> None:
        """Let go of the note, which stays where it is."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1
            self._ended = {}
            self.left = []

    def ended(self, key: Key) -> int:
        """Return how many processes in a row have ended while they scored this input."""
        return self._ended.get(key, 0) if self._ended else 0

    def begin(self, inputs: Sequence[Noted]) -> None:
        """Note that these inputs are being scored, from now on until the next call or ``wipe``."""
        line = spell([(key, self.ended(key)) for key, _ in inputs])
        self._write(line + b"".join([content[:MAX_CONTENT_BYTES] for _, content in inputs]))

    def wipe(self) -> None:
        """Note that no file is being scored, or none whose fault it is if the process ends now."""
        self._write(b"\n")

    def _write(self, line: bytes) -> None:
        # One write, so that a process that dies leaves the old note or the new one; what is left
        # of a longer one lies behind the end of the line.
        with self._lock:
            if self._file >= 0:
                try:
                    os.pwrite(self._file, line, 0)
                except OSError as error:
                    log.warning("%s cannot be written: %s", NOTE, error)


def spell(inputs: Sequence[tuple[Key, int]]) -> bytes:
    """Return the note about inputs, and how many processes each has ended before this one."""
    told = [
        b"[%b,%d,%d,%d,%d]" % (_quoted(name), size, time_ns, inode, ended)
        for (name, size, time_ns, inode), ended in inputs
    ]
    return b"[%b]\n" % b",".join(told)


def parse(note: bytes) -> list[tuple[Key, int]]:
    """Return the inputs that a note is about, and how many processes have ended on each by now.

    None if no input was being scored, or if the note is not one of ours.
    """
    line, end, _ = note.partition(b"\n")
    try:
        told = json.loads(line) if end and line else []
    except (ValueError, RecursionError):
        return []
    found = [_read(one) for one in told] if isinstance(told, list) else []
    return [one for one in found if one is not None] if None not in found else []


def _read(told: object) -> tuple[Key, int] | None:
    if not isinstance(told, list) or len(told) != 5 or not isinstance(told[0], str):
        return None
    if not all(type(number) is int for number in told[1:]):
        return None
    name, size, time_ns, inode, ended = told
    return (name, size, time_ns, inode), ended + 1


@lru_cache(maxsize=16)
def _quoted(name: str) -> bytes:
    return json.dumps(name).encode()


def _contents(note: bytes, keys: Sequence[Key]) -> list[bytes]:
    """Return the contents in a note, each only if it is there as a whole."""
    rest, found = note.partition(b"\n")[2], []
    for _, size, _, _ in keys:
        content, rest = rest[: max(size, 0)], rest[max(size, 0) :]
        if content and len(content) == size:
            found.append(content)
    return found
