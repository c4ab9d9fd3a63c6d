"""A folder on the device as input: which file is next, and what becomes of it afterwards.

A file is taken once it has stayed the same for a moment. Nothing but its removal marks it as done,
so after any crash it is scored again rather than lost. Whoever reads a folder holds a lock on it:
while a new version of a module takes over from the old one, no file is scored by both.
"""

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from skerry_scorer.golden import as_input
from skerry_scorer.settings import FolderInput
from skerry_scorer.under_way import Key, UnderWay

log = logging.getLogger(__name__)

SETTLE_S = 0.2
"""Seconds that a file must have stayed the same before it counts as complete."""
FAILED_FOLDER = "failed"
"""Where files go that could not be scored, below the input folder."""
ERROR_SUFFIX = ".error.txt"
"""What is added to such a file's name for the file that says why."""
MAX_ENDS = 2
"""How often a file may have ended the process before it counts as failed. Once proves nothing:
somebody may have killed the process while it happened to score this file."""
KEEP_FAILED = 100
"""Most files that are kept there; the oldest go first."""
KEEP_FAILED_BYTES = 64 * 1024 * 1024
"""Most bytes that are kept there, the newest file excepted."""


@dataclass(frozen=True)
class Look:
    """A file as it was seen: if any of this differs, it is another file or not the same content.

    Attributes:
        input: Name of the input.
        name: Name of the file in its folder.
        size: Bytes.
        mtime_ns: When it was last written, in nanoseconds.
        inode: Its inode.
    """

    input: str
    name: str
    size: int
    mtime_ns: int
    inode: int

    @property
    def key(self) -> Key:
        """What makes it the same file with the same content, to another process too."""
        return self.name, self.size, self.mtime_ns, self.inode


class UnusableFileError(Exception):
    """The file is there and cannot be given to ``run()``; the text says why."""


class Watch:
    """Decides which of the files that were seen are complete, and in which order they come."""

    def __init__(self) -> None:
        self._since: dict[Look, float] = {}
        self._passed_over: set[Look] = set()

    def update(self, looks: Iterable[Look], now_s: float) -> list[Look]:
        """Return the complete ones, oldest first, those of equal age by name.

        Args:
            looks: All files of all inputs that are there now.
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
        self._passed_over.add(look)


def surplus(kept: Sequence[Look]) -> list[Look]:
    """Return which of the files in ``failed`` must go: the oldest beyond the limits."""
    newest_first = sorted(kept, key=lambda look: (look.mtime_ns, look.name), reverse=True)
    total, gone = 0, []
    for i, look in enumerate(newest_first):
        total += look.size
        if i >= KEEP_FAILED or (i > 0 and total > KEEP_FAILED_BYTES):
            gone.append(look)
    return gone


class InputFolder:
    """One input folder; methods may block and belong into the worker thread, ``forgive`` excepted.

    Args:
        name: Name of the input.
        settings: Where it is and which files count.
        max_bytes: Largest file that is read.
    """

    def __init__(self, name: str, settings: FolderInput, *, max_bytes: int) -> None:
        self._name = name
        self._settings = settings
        self._max_bytes = max_bytes
        self._folder = -1
        self._note = UnderWay()
        self._last_trouble = ""

    def scan(self) -> list[Look]:
        """Return the files that count; none if the folder is not there or another reads it."""
        try:
            if not self._claim():
                self._tell("another process reads it; waiting for it to end")
                return []
            found = [
                look
                for look in _files(self._folder, self._name)
                if fnmatchcase(look.name, self._settings.pattern)
            ]
        except OSError as error:
            self.release()
            self._tell(str(error))
            return []
        self._tell("")
        return found

    def release(self) -> None:
        """Let others read the folder."""
        self._note.close()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    @contextmanager
    def under_way(self, look: Look) -> Iterator[None]:
        """Note for the next process that this file is being scored, for as long as it is.

        Raises:
            UnusableFileError: It has ended the process too often.
        """
        ended = self._note.ended(look.key)
        if ended >= MAX_ENDS:
            raise UnusableFileError(f"ended the process {ended} times while it was scored")
        self._note.begin(look.key)
        try:
            yield
        finally:
            self._note.wipe()

    def forgive(self) -> None:
        """Do not hold it against the file under way if the process ends now; from any thread."""
        self._note.wipe()

    def read(self, look: Look) -> str | bytes | None:
        """Return the content as ``run()`` gets it, or None if the file is gone or has changed.

        Raises:
            UnusableFileError: It is too large, cannot be read, or is text and not UTF-8.
        """
        if look.size > self._max_bytes:
            raise UnusableFileError(f"{look.size} bytes, at most {self._max_bytes} are read")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(look.name, flags, dir_fd=self._folder), "rb") as file:
                if _look(self._name, look.name, os.fstat(file.fileno())) != look:
                    return None
                return as_input(look.name, file.read(look.size + 1))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnusableFileError(f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UnusableFileError(f"is not UTF-8: {error}") from error

    def remove(self, look: Look) -> None:
        """Remove a file whose result is stored, unless another has taken its place.

        Raises:
            OSError: It cannot be removed.
        """
        with suppress(FileNotFoundError):
            if self._unchanged(look):
                os.unlink(look.name, dir_fd=self._folder)

    def set_aside(self, look: Look, why: str) -> None:
        """Move a file that could not be scored to ``failed``, with the reason beside it.

        Raises:
            OSError: It cannot be moved.
        """
        failed = _open_failed(self._folder)
        try:
            with suppress(FileNotFoundError):
                if self._unchanged(look):
                    os.replace(look.name, look.name, src_dir_fd=self._folder, dst_dir_fd=failed)
                    _write_reason(failed, look.name, why)
            for old in surplus([seen for seen in _files(failed, self._name) if _is_input(seen)]):
                for name in (old.name, old.name + ERROR_SUFFIX):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=failed)
        finally:
            os.close(failed)

    def _claim(self) -> bool:
        if self._folder >= 0:
            here = self._settings.folder.stat()
            if os.path.samestat(here, os.fstat(self._folder)):
                return True
            self.release()
        self._folder = os.open(self._settings.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno == errno.EWOULDBLOCK:
                return False
            raise
        self._open_note()
        return True

    def _open_note(self) -> None:
        try:
            failed = _open_failed(self._folder)
        except OSError as error:
            log.warning("input %s, %s: %s", self._name, FAILED_FOLDER, error)
            return
        try:
            self._note.open(failed)
        finally:
            os.close(failed)

    def _unchanged(self, look: Look) -> bool:
        seen = os.stat(look.name, dir_fd=self._folder, follow_symlinks=False)
        return _look(self._name, look.name, seen) == look

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._last_trouble:
            log.warning("input %s, %s: %s", self._name, self._settings.folder, trouble)
        self._last_trouble = trouble


def _open_failed(folder: int) -> int:
    with suppress(FileExistsError):
        os.mkdir(FAILED_FOLDER, dir_fd=folder)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(FAILED_FOLDER, flags, dir_fd=folder)


def _files(folder: int, input_name: str) -> list[Look]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                # A hidden file is one that is still being written; a link could lead anywhere.
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                    seen = entry.stat(follow_symlinks=False)
                    found.append(_look(input_name, entry.name, seen))
    return found


def _look(input_name: str, name: str, seen: os.stat_result) -> Look:
    inode = seen.st_ino if stat.S_ISREG(seen.st_mode) else -1
    return Look(input_name, name, seen.st_size, seen.st_mtime_ns, inode)


def _is_input(look: Look) -> bool:
    return not look.name.endswith(ERROR_SUFFIX)


def _write_reason(failed: int, name: str, why: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with (
        suppress(OSError),
        os.fdopen(
            os.open(name + ERROR_SUFFIX, flags, 0o644, dir_fd=failed),
            "w",
            encoding="utf-8",
            errors="replace",
        ) as file,
    ):
        file.write(why + "\n")
