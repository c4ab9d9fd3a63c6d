"""What becomes of inputs that could not be scored: they are kept in ``failed``, within limits.

Each lies there under its own name, with the reason beside it in ``<name>.error.txt``.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from skerry_scorer.inputs.under_way import Key

FAILED_FOLDER = "failed"
"""Where inputs go that could not be scored, below the input's folder."""
ERROR_SUFFIX = ".error.txt"
"""What is added to such a file's name for the file that says why."""
KEEP_FAILED = 100
"""Most inputs that are kept there; the oldest go first."""
KEEP_FAILED_BYTES = 64 * 1024 * 1024
"""Most bytes that are kept there, the newest input excepted."""


class Look(NamedTuple):
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
    def kind(self) -> str:
        """What results call the name of such an input."""
        return "file"

    @property
    def key(self) -> Key:
        """What makes it the same file with the same content, to another process too."""
        return self.name, self.size, self.mtime_ns, self.inode


def surplus(kept: Sequence[Look]) -> list[Look]:
    """Return which of the files in ``failed`` must go: the oldest beyond the limits."""
    newest_first = sorted(kept, key=lambda look: (look.mtime_ns, look.name), reverse=True)
    total, gone = 0, []
    for i, look in enumerate(newest_first):
        total += look.size
        if i >= KEEP_FAILED or (i > 0 and total > KEEP_FAILED_BYTES):
            gone.append(look)
    return gone


class FailedFolder:
    """The folder ``failed`` of one input, open for as long as a ``with`` block lasts.

    Args:
        folder: Descriptor of the input's folder.
        input_name: Name of the input.

    Raises:
        OSError: It cannot be made or opened.
    """

    def __init__(self, folder: int, input_name: str) -> None:
        self._input = input_name
        self._above = folder
        with suppress(FileExistsError):
            os.mkdir(FAILED_FOLDER, dir_fd=folder)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(FAILED_FOLDER, flags, dir_fd=folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self.descriptor)

    def move(self, name: str, why: str) -> None:
        """Move a file of the input's folder here, with the reason beside it.

        Raises:
            OSError: It cannot be moved.
        """
        os.replace(name, name, src_dir_fd=self._above, dst_dir_fd=self.descriptor)
        self._write(name + ERROR_SUFFIX, _reason(why))

    def write(self, name: str, data: bytes, why: str) -> None:
        """Write down an input that was no file, with the reason beside it.

        Raises:
            OSError: It cannot be written.
        """
        self._write(name, data)
        self._write(name + ERROR_SUFFIX, _reason(why))

    def trim(self) -> None:
        """Remove what is beyond the limits.

        Raises:
            OSError: Something cannot be removed.
        """
        kept = files_in(self.descriptor, self._input)
        for old in surplus([look for look in kept if not look.name.endswith(ERROR_SUFFIX)]):
            for name in (old.name, old.name + ERROR_SUFFIX):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self.descriptor)

    def _write(self, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o644, dir_fd=self.descriptor), "wb") as file:
            file.write(data)


def files_in(folder: int, input_name: str) -> list[Look]:
    """Return the files of an open folder that count; hidden ones, links and folders do not."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                # A hidden file is one that is still being written; a link could lead anywhere.
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                    seen = entry.stat(follow_symlinks=False)
                    found.append(look_at(input_name, entry.name, seen))
    return found


def look_at(input_name: str, name: str, seen: os.stat_result) -> Look:
    """Return a file as ``stat`` saw it; what is no plain file equals none that is."""
    inode = seen.st_ino if stat.S_ISREG(seen.st_mode) else -1
    return Look(input_name, name, seen.st_size, seen.st_mtime_ns, inode)


def _reason(why: str) -> bytes:
    return f"{why}\n".encode("utf-8", "replace")
