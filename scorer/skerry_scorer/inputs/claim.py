"""The folder that belongs to one input, held by one process at a time.

Whoever reads an input holds a lock on its folder: while a new version of a module takes over from
the old one, nothing is scored by both. In ``failed`` below it lies a note of what is being scored.
Inputs that follow each other fast are noted together, more and more of them, for as long as nothing
comes between: so a note is about one input where that is cheap, and about many where it is dear.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from skerry_scorer.forks import keep_private
from skerry_scorer.inputs.failed import FAILED_FOLDER, FailedFolder
from skerry_scorer.inputs.under_way import (
    MAX_TOGETHER,
    MAX_TOGETHER_BYTES,
    Key,
    Noted,
    UnderWay,
)

log = logging.getLogger(__name__)

MAX_ENDS = 2
"""How often an input may have ended the process before it counts as failed. Once proves nothing:
somebody may have killed the process while it happened to score this one."""


class UnusableInputError(Exception):
    """The input is there and cannot be given to ``run()``; the text says why."""


class ClaimedFolder:
    """The folder of one input; methods belong into the worker thread, ``rest`` excepted.

    Args:
        name: Name of the input.
        path: The folder.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._note = UnderWay()
        self._covered: frozenset[Key] = frozenset()
        self._reach = 1
        self._last_trouble = ""
        self.descriptor = -1
        keep_private(self)

    def close(self) -> None:
        """Let go of the descriptor in a fork; the lock stays with the host."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    @property
    def left(self) -> list[bytes]:
        """Contents of the inputs that the last process may have died of, if they were noted."""
        return self._note.left

    def claim(self) -> bool:
        """Return whether the folder is ours now; if not, the reason is logged once."""
        try:
            ours = self._lock()
        except OSError as error:
            self.release()
            self.tell(str(error))
            return False
        self.tell("" if ours else "another process reads it; waiting for it to end")
        return ours

    def release(self) -> None:
        """Let others have the folder."""
        self._note.close()
        self._covered, self._reach = frozenset(), 1
        self.close()

    def begin(self, key: Key, content: bytes = b"", following: Iterable[Noted] = ()) -> None:
        """Note for the next process that this input is being scored, until the next or ``rest``.

        Args:
            key: Which input it is.
            content: What to keep of one that nobody will bring again.
            following: The inputs that will be begun next, if nothing comes between.

        Raises:
            UnusableInputError: It has ended the process too often.
        """
        if key in self._covered:
            return
        ended = self._note.ended(key)
        if ended >= MAX_ENDS:
            raise UnusableInputError(f"ended the process {ended} times while it was scored")
        noted = [(key, content)]
        if not ended:
            noted += self._joined(following, self._reach - 1)
        self._note.begin(noted)
        self._covered = frozenset([key for key, _ in noted])
        self._reach = min(self._reach * 2, MAX_TOGETHER)

    def rest(self) -> None:
        """Blame no input if the process ends now; from any thread."""
        self._covered, self._reach = frozenset(), 1
        self._note.wipe()

    def _joined(self, following: Iterable[Noted], most: int) -> list[Noted]:
        """Return those of the inputs to come that are noted now; a suspect is noted alone."""
        found: list[Noted] = []
        size = 0
        for (key, content), _ in zip(following, range(most), strict=False):
            size += len(content)
            if size > MAX_TOGETHER_BYTES or self._note.ended(key):
                break
            found.append((key, content))
        return found

    def tell(self, trouble: str) -> None:
        """Log what is wrong with the folder, once for as long as it stays the same."""
        if trouble and trouble != self._last_trouble:
            log.warning("input %s, %s: %s", self._name, self._path, trouble)
        self._last_trouble = trouble

    def _lock(self) -> bool:
        if self.descriptor >= 0:
            if os.path.samestat(self._path.stat(), os.fstat(self.descriptor)):
                return True
            self.release()
        self.descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno == errno.EWOULDBLOCK:
                return False
            raise
        self._open_note()
        return True

    def _open_note(self) -> None:
        try:
            with FailedFolder(self.descriptor, self._name) as failed:
                self._note.open(failed.descriptor)
        except OSError as error:
            log.warning("input %s, %s: %s", self._name, FAILED_FOLDER, error)
