"""A folder on the device as input: which file is next, and what becomes of it afterwards.

A file is taken once it has stayed the same for a moment. Nothing but its removal marks it as done,
so after any crash it is scored again rather than lost.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase

from skerry_scorer.inputs.claim import ClaimedFolder, UnusableInputError
from skerry_scorer.inputs.failed import FailedFolder, Look, files_in, look_at
from skerry_scorer.script.golden import as_input
from skerry_scorer.settings.inputs import FolderInput

log = logging.getLogger(__name__)

SETTLE_S = 0.2
"""Seconds that a file must have stayed the same before it counts as complete."""


class Watch:
    """Decides which of the files that were seen are complete, and in which order they come."""

    def __init__(self) -> None:
        self._since: dict[Look, float] = {}
        self._passed_over: set[Look] = set()

    def update(self, looks: Iterable[Look], now_s: float) -> list[Look]:
        """Return the complete ones, oldest first, those of equal age by name.

        Args:
            looks: All files of the input that are there now.
            now_s: Monotonic time of the look, in seconds.
        """
        self._since = {look: self._since.get(look, now_s) for look in looks}
        self._passed_over &= self._since.keys()
        ready = [look for look, since in self._since.items() if now_s - since >= SETTLE_S]
        return sorted(
            (look for look in ready if look not in self._passed_over),
            key=lambda look: (look.mtime_ns, look.name, look.input),
        )

    def pass_over(self, look: Look) -> None:
        """Leave a file alone that can be neither removed nor moved, until it changes."""
        self._passed_over = self._passed_over | {look}  # from another thread than the update


class InputFolder:
    """One input folder; see ``Source`` for what each method promises.

    Args:
        name: Name of the input.
        settings: Where it is and which files count.
        max_bytes: Largest file that is read.
    """

    def __init__(self, name: str, settings: FolderInput, *, max_bytes: int) -> None:
        self._name = name
        self._pattern = settings.pattern
        self._max_bytes = max_bytes
        self._claimed = ClaimedFolder(name, settings.folder)
        self._watch = Watch()
        self._ready: deque[Look] = deque()
        self._taken: set[Look] = set()

    def take(self) -> Look | None:
        """See ``Source.take``; a folder is read again when all that it held has been taken."""
        if not self._ready:
            ready = self._watch.update(self.scan(), time.monotonic())
            self._ready.extend(look for look in ready if look not in self._taken)
        if not self._ready:
            return None
        look = self._ready.popleft()
        self._taken.add(look)
        return look

    def scan(self) -> list[Look]:
        """Return the files that count; none if the folder is not there or another reads it."""
        if not self._claimed.claim():
            return []
        try:
            found = files_in(self._claimed.descriptor, self._name)
        except OSError as error:
            self._claimed.release()
            self._claimed.tell(str(error))
            return []
        return [look for look in found if fnmatchcase(look.name, self._pattern)]

    def release(self) -> None:
        """See ``Source.release``."""
        self._ready.clear()
        self._taken.clear()
        self._claimed.release()

    def begin(self, look: Look) -> None:
        """See ``Source.begin``."""
        self._claimed.begin(look.key, following=((next_.key, b"") for next_ in self._ready))

    def rest(self) -> None:
        """See ``Source.rest``."""
        self._claimed.rest()

    def read(self, look: Look) -> str | bytes | None:
        """See ``Source.read``; None if the file has changed as well."""
        data = self._read(look)
        if data is None:
            self._taken.discard(look)
        return data

    def settle(self, look: Look, failure: str) -> None:
        """See ``Source.settle``."""
        try:
            if failure:
                self.set_aside(look, failure)
            else:
                self.remove(look)
        except OSError as error:
            # Without this it would be scored again and again, for ever.
            self._watch.pass_over(look)
            log.error("%s/%s cannot be moved away: %s", look.input, spelled(look.name), error)  # noqa: TRY400 - a fact of the disk, not of the code
        self._taken.discard(look)

    def remove(self, look: Look) -> None:
        """Remove a file whose result is stored, unless another has taken its place.

        Raises:
            OSError: It cannot be removed.
        """
        with suppress(FileNotFoundError):
            if self._unchanged(look):
                os.unlink(look.name, dir_fd=self._claimed.descriptor)

    def set_aside(self, look: Look, why: str) -> None:
        """Move a file that could not be scored to ``failed``, with the reason beside it.

        Raises:
            OSError: It cannot be moved.
        """
        with FailedFolder(self._claimed.descriptor, self._name) as failed:
            with suppress(FileNotFoundError):
                if self._unchanged(look):
                    failed.move(look.name, why)
            failed.trim()

    def _read(self, look: Look) -> str | bytes | None:
        if look.size > self._max_bytes:
            raise UnusableInputError(f"{look.size} bytes, at most {self._max_bytes} are read")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            opened = os.open(look.name, flags, dir_fd=self._claimed.descriptor)
            try:
                if look_at(self._name, look.name, os.fstat(opened)) != look:
                    return None
                return as_input(look.name, _all(opened, look.size + 1))
            finally:
                os.close(opened)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnusableInputError(f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UnusableInputError(f"is not UTF-8: {error}") from error

    def _unchanged(self, look: Look) -> bool:
        seen = os.stat(look.name, dir_fd=self._claimed.descriptor, follow_symlinks=False)
        return look_at(self._name, look.name, seen) == look


def spelled(name: str) -> str:
    """Return a file's name as text that any JSON reader takes: one that is not UTF-8 is not."""
    return name.encode("utf-8", "replace").decode()


def _all(opened: int, at_most: int) -> bytes:
    """Read a plain file to its end, or to ``at_most`` bytes."""
    data = os.read(opened, at_most)
    if len(data) == at_most - 1 or not data:
        return data
    parts = [data]
    while data and (at_most := at_most - len(data)) > 0:
        data = os.read(opened, at_most)
        parts.append(data)
    return b"".join(parts)
