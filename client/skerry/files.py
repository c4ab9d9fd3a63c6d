"""Folders of people, read carefully.

What would go wrong on a device is refused here, before a byte has been sent.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry_contract.errors import SkerryError
from skerry_contract.names import Digest

MAX_FILES = 10_000
"""Files in one folder; more is most likely the wrong folder."""
MAX_PATH_BYTES = 255
CHUNK_BYTES = 1024 * 1024
MODEL_MARKER = ".skerry-download.json"
"""Beside the files of a model that was downloaded; no part of the model."""
_LEFT_OUT = frozenset({"__pycache__", ".git", ".hg", ".svn", ".DS_Store", ".venv", MODEL_MARKER})


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that is about to be uploaded.

    Attributes:
        path: Its name in the cloud, relative, with slashes.
        source: Where it lies here.
        size: Bytes.
        digest: Content address of what it held when it was read.
    """

    path: str
    source: Path
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what people name on the command line.

    Attributes:
        error: Kind of error that says what is wrong with a file or folder.
        on_bytes: Called with the number of bytes after each piece that was hashed.
    """

    error: type[SkerryError]
    on_bytes: Callable[[int], object] = lambda _count: None

    def model(self, path: Path) -> list[LocalFile]:
        """Return a model's files: one file by its name, a folder's with the folder's name in front.

        Raises:
            SkerryError: Of kind ``error``: nothing there, or something that cannot be shipped.
        """
        if not path.is_dir():
            return [self._read(path.name, path)]
        return self.folder(path, prefix=f"{path.resolve().name}/")

    def children(self, path: Path, wanted: Sequence[str]) -> list[LocalFile]:
        """Return those of a model's files that are, or are below, one of the paths ``wanted``.

        Args:
            path: A folder.
            wanted: Paths relative to it, with slashes.

        Raises:
            SkerryError: Of kind ``error``: nothing there, or something that cannot be shipped.
        """
        top = f"{path.resolve().name}/"
        # All of it is read for that; what is left out is not sent.
        files = self.folder(path, prefix=top)
        found: dict[str, LocalFile] = {}
        for child in wanted:
            name = top + child.removeprefix("./").rstrip("/")
            mine = {f.path: f for f in files if f"{f.path}/".startswith(f"{name}/")}
            if not mine:
                remedy = "Name a file or folder in it, relative to it."
                raise self.error(f"{path} holds nothing called {child!r}", remedy=remedy)
            found |= mine
        return [found[name] for name in sorted(found)]

    def folder(
        self, path: Path, *, prefix: str = "", skip: frozenset[str] = frozenset()
    ) -> list[LocalFile]:
        """Return all files below ``path``, sorted by name.

        Args:
            path: The folder.
            prefix: Put in front of each name.
            skip: Names at the top of the folder to leave out.

        Raises:
            SkerryError: Of kind ``error``: empty, or something that cannot be shipped.
        """
        if not path.is_dir():
            raise self.error(f"{path} is no folder")
        found = [
            self._read(prefix + name, path / name)
            for name in self._names(path)
            if name.split("/")[0] not in skip
        ]
        if not found:
            raise self.error(f"{path} holds no files", remedy="Is it the right folder?")
        return found

    def _names(self, root: Path) -> list[str]:
        names: list[str] = []
        for name in self._walk(root, root.resolve()):
            names.append(name)
            if len(names) > MAX_FILES:
                raise self.error(f"{root} holds more than {MAX_FILES} files")
        return sorted(names)

    def _walk(self, root: Path, inside: Path) -> Iterator[str]:
        def refuse(error: OSError) -> None:
            raise self.error(f"{error.filename} cannot be read: {error.strerror}") from error

        for folder, folders, files in os.walk(root, onerror=refuse):
            folders[:] = sorted(set(folders) - _LEFT_OUT)
            for name in folders:
                if (Path(folder) / name).is_symlink():
                    raise self._link(Path(folder) / name, "is a link to a folder")
            for name in files:
                if name in _LEFT_OUT or name.endswith(".pyc"):
                    continue
                path = Path(folder) / name
                if path.is_symlink() and not path.resolve().is_relative_to(inside):
                    raise self._link(path, "is a link that leads out of the folder")
                yield path.relative_to(root).as_posix()

    def _link(self, path: Path, what: str) -> SkerryError:
        return self.error(f"{path} {what}", remedy="Put a copy of what it points to in its place.")

    def _read(self, name: str, source: Path) -> LocalFile:
        if problem := name_problem(name):
            remedy = "Rename it: a device's file system must be able to hold it."
            raise self.error(f"{str(source)!r}: its name {problem}", remedy=remedy)
        try:
            # A FIFO would block open() for ever, so look before.
            if not stat.S_ISREG(source.stat().st_mode):
                raise self.error(f"{source} is no regular file")
            return self._hashed(name, source)
        except OSError as error:
            raise self.error(f"{source} cannot be read: {error.strerror}") from error

    def _hashed(self, name: str, source: Path) -> LocalFile:
        state, size = hashlib.sha256(), 0
        with source.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                state.update(piece)
                size += len(piece)
                self.on_bytes(len(piece))
        return LocalFile(name, source, size, Digest(f"sha256:{state.hexdigest()}"))


def name_problem(path: str) -> str:
    """Return what is wrong with a relative path as the name of a shipped file; empty if nothing."""
    steps = path.split("/")
    if not path or "" in steps or "." in steps or ".." in steps:
        return "is no relative path"
    try:
        data = path.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        return "holds a control character or a backslash"
    if len(data) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return ""
