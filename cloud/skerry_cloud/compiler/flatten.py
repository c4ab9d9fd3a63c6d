"""The root that several layers make together, laid out in a folder without being root.

Links stay as they are, for they mean the image's own root; so nothing here follows one out of the
folder, and nobody else may follow any. Device nodes are left out: a sandbox brings its own.
Source: OCI image specification 1.1, ``layer.md`` (change sets, whiteouts).
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from skerry_cloud.blobs import CHUNK, BlobStore, Readable
from skerry_cloud.compiler.request import GZIP_LAYER, Layer
from skerry_contract.errors import ContractError, DigestError

MAX_BYTES = 64 * 1024**3
"""Largest layer when it is not compressed."""
OPAQUE = ".wh..wh..opq"
"""Name of the file that hides all that lower layers have in its folder."""
_WHITEOUT = ".wh."
_MAX_LINKS = 40


def flatten(layers: Sequence[Layer], blobs: BlobStore, trees: Path) -> Path:
    """Return a folder below ``trees`` with what ``layers`` make, unless it is there already.

    Args:
        layers: Lowest first.
        blobs: Where they are.
        trees: Where unpacked layers are kept between builds.

    Raises:
        NotFoundError: A layer is not in the blob store.
        DigestError: One does not unpack to what its image's config promises.
        ContractError: One is no tar, or holds what cannot be laid out.
    """
    named = "\n".join(layer.diff_id for layer in layers)
    target = trees / hashlib.sha256(named.encode()).hexdigest()
    if target.is_dir():
        os.utime(target)
        return target
    beside = target.with_suffix(".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for layer in layers:
        _apply(layer, blobs, beside)
    beside.rename(target)
    return target


def inside(root: Path, name: str, *, follow: bool = True) -> Path:
    """Return where ``name`` leads for a program whose root is ``root``.

    Args:
        root: The folder; nothing outside of it is looked at.
        name: A path of the image.
        follow: Follow a link that the last part of the path is, as well.

    Raises:
        ContractError: Its links go round in circles.
    """
    left, at, links = deque(name.split("/")), list[str](), 0
    while left:
        part = left.popleft()
        step = root.joinpath(*at, part)
        if part in ("", ".", ".."):
            at = at[:-1] if part == ".." else at
        elif step.is_symlink() and (follow or any(left)):
            links += 1
            if links > _MAX_LINKS:
                raise ContractError(f"the links of {name!r:.200} go round in circles")
            led = str(step.readlink())
            at = [] if led.startswith("/") else at
            left.extendleft(reversed(led.split("/")))
        else:
            at.append(part)
    return root.joinpath(*at)


class _Checked:
    """Hashes and counts what is read of a layer."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._left = MAX_BYTES

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ContractError(f"a layer has more than {MAX_BYTES} bytes")
        self._hash.update(data)
        return data


def _apply(layer: Layer, blobs: BlobStore, root: Path) -> None:
    with blobs.open(layer.digest) as file:
        is_gzip = layer.media_type == GZIP_LAYER
        source = _Checked(cast("Readable", gzip.GzipFile(fileobj=file)) if is_gzip else file)
        change = _Change(root)
        try:
            with tarfile.open(fileobj=source, mode="r|") as tar:  # type: ignore[call-overload]  # typeshed asks for IO, "r|" only reads
                for entry in tar:
                    change.add(tar, entry)
            while source.read(CHUNK):
                pass
        except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ContractError(f"layer {layer.digest} is no whole tar: {error}") from error
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ContractError(
                f"layer {layer.digest} cannot be laid out: {error.strerror}"
            ) from error
    if source.diff_id != layer.diff_id:
        raise DigestError(
            f"layer {layer.digest} does not unpack to {layer.diff_id}",
            remedy="Take the image from its registry anew.",
        )


class _Change:
    """Lays one layer over what is in the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mine: set[Path] = set()

    def add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Lay out one entry, or remove what it hides."""
        path = inside(self._root, entry.name, follow=False)
        if path == self._root:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == OPAQUE:
            self._hide_below(path.parent)
        elif path.name.startswith(_WHITEOUT):
            hidden = path.name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise ContractError(f"whiteout {entry.name!r:.200} hides nothing that has a name")
            _remove(path.with_name(hidden))
        else:
            self._mine.update((path, *path.parents))
            self._lay_out(tar, entry, path)

    def _lay_out(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
        if entry.isdir():
            if path.is_symlink() or not path.is_dir():
                _remove(path)
                path.mkdir()
            return
        _remove(path)
        if entry.issym():
            path.symlink_to(entry.linkname)
        elif entry.islnk():
            source = inside(self._root, entry.linkname, follow=False)
            if source == path or not os.path.lexists(source) or source.is_dir():
                raise ContractError(f"{entry.name!r:.200} is linked to what is not there")
            os.link(source, path, follow_symlinks=False)
        elif (content := tar.extractfile(entry) if entry.isreg() else None) is not None:
            with path.open("xb") as file:
                shutil.copyfileobj(content, file, CHUNK)
            path.chmod(0o755 if entry.mode & 0o100 else 0o644)

    def _hide_below(self, folder: Path) -> None:
        for path in folder.iterdir():
            if path not in self._mine:
                _remove(path)
            elif path.is_dir() and not path.is_symlink():
                self._hide_below(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
