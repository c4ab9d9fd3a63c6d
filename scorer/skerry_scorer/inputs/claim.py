"""The folder that belongs to one input, held by one process at a time.

Whoever reads an input holds a lock on its folder: while a new version of a module takes over from
the old one, nothing is scored by both. In ``failed`` below it lies a note of what is being scored.
"""

import errno
import fcntl
import logging
import os
from pathlib import Path

from skerry_scorer.inputs.failed import FAILED_FOLDER, FailedFolder
from skerry_scorer.inputs.under_way import Key, UnderWay

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
        self._last_trouble = ""
        self.descriptor = -1

    @property
    def left(self) -> bytes:
        """Content of the input that the last process died of, if it was noted."""
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
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def begin(self, key: Key, content: bytes = b"") -> None:
        """Note for the next process that this input is being scored, until the next or ``rest``.

        Args:
            key: Which input it is.
            content: What to keep of one that nobody will bring again.

        Raises:
            UnusableInputError: It has ended the process too often.
        """
        ended = self._note.ended(key)
        if ended >= MAX_ENDS:
            raise UnusableInputError(f"ended the process {ended} times while it was scored")
        self._note.begin(key, content)

    def rest(self) -> None:
        """Blame no input if the process ends now; from any thread."""
        self._note.wipe()

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
