"""A note of which input is being scored, kept outside the process: what ends the process is known.

An input that crashes the interpreter, or that takes all memory, leaves nobody who could set it
aside. So the note is written before ``run()`` and wiped after it; the next process that finds an
input in it knows whom the last one died of. It has to outlive the process and not the machine:
nothing is synced. Of an input that nobody brings again, such as a command's line, the note holds
the content too.
"""

import json
import logging
import os
import threading
from functools import lru_cache

log = logging.getLogger(__name__)

NOTE = ".under-way"
"""Name of the note, in the folder for files that failed: hidden, so it is no input itself."""
MAX_NOTE_BYTES = 4096
"""Longest note that is read, without the content; the longest name, each byte escaped, fits."""
MAX_CONTENT_BYTES = 4 * 1024 * 1024
"""Most content that is noted."""

Key = tuple[str, int, int, int]
"""Name, size, and two numbers, of a file its time and inode: the same are the same content."""


class UnderWay:
    """The note of one input folder.

    All belongs into the thread of ``run()``, except that ``wipe`` may be called from any. Where the
    note cannot be kept, files are scored without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a descriptor that was closed may be another file by now
        self._file = -1
        self._found: tuple[Key, int] | None = None
        self.left = b""

    def open(self, folder: int) -> None:
        """Read the note that the last process left in ``folder``, and keep the next one there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(NOTE, flags, 0o644, dir_fd=folder)
            note = os.pread(self._file, MAX_NOTE_BYTES + MAX_CONTENT_BYTES, 0)
            self._found = parse(note)
            self.left = _content(note, self._found)
        except OSError as error:
            log.warning("%s cannot be kept: %s", NOTE, error)

    def close(self) -> None:
        """Let go of the note, which stays where it is."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1
            self._found = None
            self.left = b""

    def ended(self, key: Key) -> int:
        """Return how many processes in a row have ended while they scored this file."""
        return self._found[1] if self._found is not None and self._found[0] == key else 0

    def begin(self, key: Key, content: bytes = b"") -> None:
        """Note that the input is being scored."""
        self._write(spell(key, self.ended(key)) + content[:MAX_CONTENT_BYTES])

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


def spell(key: Key, ended: int) -> bytes:
    """Return the note about a file that has ended ``ended`` processes before this one."""
    name, size, time_ns, inode = key
    return b"[%b, %d, %d, %d, %d]\n" % (_quoted(name), size, time_ns, inode, ended)


def parse(note: bytes) -> tuple[Key, int] | None:
    """Return the file that a note is about, and how many processes have ended on it by now.

    None if no file was being scored, or if the note is not one of ours.
    """
    line, end, _ = note.partition(b"\n")
    try:
        name, *numbers = json.loads(line) if end else ("",)
    except (ValueError, TypeError, RecursionError):
        return None
    whole = all(type(number) is int for number in numbers)
    if not isinstance(name, str) or len(numbers) != 4 or not whole:
        return None
    size, mtime_ns, inode, ended = numbers
    return (name, size, mtime_ns, inode), ended + 1


@lru_cache(maxsize=16)
def _quoted(name: str) -> bytes:
    return json.dumps(name).encode()


def _content(note: bytes, found: tuple[Key, int] | None) -> bytes:
    """Return the content in a note, or nothing if it is not there as a whole."""
    if found is None:
        return b""
    size = found[0][1]
    content = note.partition(b"\n")[2][:size]
    return content if len(content) == size else b""
