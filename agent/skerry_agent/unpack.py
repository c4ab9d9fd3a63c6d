"""Unpack the layers of an image into a folder: ``python -m skerry_agent.unpack < job.json``.

A process of its own, because what it needs (tarfile, gzip, tables of names) would otherwise stay
in the agent's memory for good, and because layers come from outside: here a hostile one meets a
memory limit, and nothing but a folder that nobody uses yet. Each layer's digest is checked once
more while it is read, so a rotten card is found here and not as a strange error later.

``child_job`` has what it reads, says and ends with.

Source: OCI image specification 1.1, ``layer.md`` (change sets, whiteouts).
"""

import ctypes
import gzip
import hashlib
import io
import os
import shutil
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from skerry_agent import child_job
from skerry_agent.rootfs import inside, relative_target
from skerry_contract.errors import (
    ContractError,
    DigestError,
    NoSpaceError,
)
from skerry_contract.shape import Range, Size, Text

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_ENTRIES = 500_000
"""Files, folders and links in all layers of one image."""
_MEMORY_BYTES = 512 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_NO_ARCHIVE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError)
_PathText = Annotated[str, Text(max_length=4096)]


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A layer in the blob store.

    Attributes:
        path: Where its bytes lie.
        digest: What they must hash to.
        gzip: Whether they are compressed.
    """

    path: _PathText
    digest: str
    gzip: bool


@dataclass(frozen=True, slots=True)
class Job:
    """What to unpack where.

    Attributes:
        target: An empty folder, absolute.
        layers: Lowest first.
        max_bytes: Bytes of all files together, before anything is shared or compressed.
        folders: Folders that the image shall have in any case, from its root on.
        files: Files that it shall have in any case, empty if it has none of its own.
    """

    target: _PathText
    layers: Annotated[tuple[LayerFile, ...], Size(1, 127)]
    max_bytes: Annotated[int, Range(1)]
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def unpack(job: Job) -> None:
    """Fill ``job.target``, and sync it.

    Raises:
        DigestError: A layer is not what its digest says.
        ContractError: A layer is no archive, or holds something that has no place in an image.
        NoSpaceError: The image is larger than ``job.max_bytes``, or than the disk.
    """
    tree = _Tree(Path(os.path.realpath(job.target)), job.max_bytes)
    for layer in job.layers:
        with _Checked(layer.path) as file:
            try:
                _unpack_layer(file, tree, gzipped=layer.gzip)
            except (ContractError, *_NO_ARCHIVE) as error:
                # Rot looks like a bad archive; then it is not the image that is to blame.
                _check(file, layer)
                raise ContractError(f"layer {layer.digest}: {error}") from error
            _check(file, layer)
    for folder in job.folders:
        tree.folder(folder)
    for name in job.files:
        tree.file(name)
    _sync_file_system(tree.root)


class _Checked(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by close()
        self._hasher = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        count = self._file.readinto(buffer) or 0
        self._hasher.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def digest(self) -> str:
        """Read what is left and return the digest of everything."""
        while self.read(_CHUNK_BYTES):
            pass
        return f"sha256:{self._hasher.hexdigest()}"


def _check(file: _Checked, layer: LayerFile) -> None:
    if file.digest() != layer.digest:
        raise DigestError(f"{layer.digest} has changed on this device's disk")


def _unpack_layer(file: _Checked, tree: "_Tree", *, gzipped: bool) -> None:
    plain = gzip.GzipFile(fileobj=file) if gzipped else file
    tree.begin_layer()
    with tarfile.open(fileobj=plain, mode="r|", bufsize=_CHUNK_BYTES) as archive:
        for entry in archive:
            tree.add(archive, entry)
            # Or it remembers every entry. Public, but typeshed does not know it.
            archive.members.clear()  # type: ignore[attr-defined]


class _Tree:
    """The image as far as it is unpacked."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.root = root
        self._max_bytes = max_bytes
        self._written = 0
        self._entries = 0
        self._made: set[Path] = set()

    def begin_layer(self) -> None:
        """What comes now lies above all that came before."""
        self._made.clear()

    def add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Carry out one entry of a layer."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise ContractError(f"more than {MAX_ENTRIES} entries")
        name = _clean(entry.name)
        if not name:
            return
        parent = self.folder(name.rpartition("/")[0])
        last = name.rpartition("/")[2]
        if last == _OPAQUE:
            self._hide_lower(parent)
        elif last.startswith(_WHITEOUT):
            _remove(parent / _hidden(last))
        else:
            self._make(parent / last, archive, entry)
            self._made.add(parent / last)

    def folder(self, path: str) -> Path:
        """Return the folder at ``path`` of the image, made if it is missing."""
        found = inside(self.root, path)
        found.mkdir(mode=0o755, parents=True, exist_ok=True)
        return found

    def file(self, path: str) -> None:
        """Make an empty file at ``path`` of the image, unless there is one."""
        parent, _, name = path.rpartition("/")
        target = self.folder(parent) / name
        if target.is_symlink() or not target.is_file():
            _remove(target)
            target.touch(0o644)

    def _make(self, target: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        if entry.isdir():
            if target.is_symlink() or not target.is_dir():
                _remove(target)
                target.mkdir()
            target.chmod(entry.mode & 0o777 | 0o700)
        elif entry.isfile():
            _remove(target)
            self._write(target, archive, entry)
        elif entry.issym():
            link = relative_target(str(target.relative_to(self.root)), entry.linkname)
            _remove(target)
            target.symlink_to(link)
        elif entry.islnk():
            source = inside(self.root, _clean(entry.linkname), follow_last=False)
            if source.is_symlink() or not source.is_file():
                raise ContractError(f"{entry.name!r:.200} is a link to what is no file before it")
            if source != target:
                _remove(target)
                target.hardlink_to(source)
        else:
            raise ContractError(f"{entry.name!r:.200} is a device or a pipe")

    def _write(self, target: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        self._written += entry.size
        if self._written > self._max_bytes:
            raise NoSpaceError(
                f"the unpacked image has more than the {self._max_bytes} bytes that it may have"
            )
        source = archive.extractfile(entry)
        with target.open("xb") as file:
            if source is not None:
                shutil.copyfileobj(source, file, _CHUNK_BYTES)
            # No set-user-id: nothing in an image is to run as anybody else.
            os.fchmod(file.fileno(), entry.mode & 0o777 | 0o400)
        # Compiled Python counts only while it is of the same time as its source.
        os.utime(target, (entry.mtime, entry.mtime))

    def _hide_lower(self, folder: Path) -> None:
        for parent, folders, files in os.walk(folder, topdown=False):
            here = Path(parent)
            for name in (*files, *folders):
                path = here / name
                if path in self._made:
                    continue
                if path.is_symlink() or not path.is_dir():
                    path.unlink()
                elif not any(path.iterdir()):
                    path.rmdir()


def _clean(name: str) -> str:
    """Return a name in an archive from the image's root on, without dots; "" is the root."""
    steps = [step for step in name.split("/") if step not in ("", ".")]
    if name.startswith("/") or ".." in steps:
        raise ContractError(f"{name!r:.200} leads out of the image")
    return "/".join(steps)


def _hidden(name: str) -> str:
    """Return what a whiteout hides."""
    hidden = name.removeprefix(_WHITEOUT)
    if hidden in ("", ".", ".."):
        raise ContractError(f"whiteout {name!r:.200} hides nothing that has a name")
    return hidden


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_file_system(folder: Path) -> None:
    """Sync everything that was written, at once: one by one takes minutes on a card."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(child_job.do(Job, unpack, memory_bytes=_MEMORY_BYTES))
