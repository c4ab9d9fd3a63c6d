"""Unpack tars into folders, without being root and without leaving the folder."""

import os
import shutil
import tarfile
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath
from typing import IO

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.request import Layer
from skerry_contract.errors import RuntimeFailedError

Place = Callable[[str], str | None]
"""Says where an entry goes, below the folder, or that it is left out."""


def unpack(archive: IO[bytes], folder: Path, place: Place, mode: str = "r|") -> None:
    """Unpack files, folders and links, with absolute links made relative to ``folder``.

    Args:
        archive: The tar, read once from front to back.
        folder: Where to unpack.
        place: Decides for each entry, by its path without "./" in front.
        mode: As for ``tarfile.open``; "r|gz" for a compressed one.

    Raises:
        RuntimeFailedError: An entry would leave the folder, or is none of the above.
    """
    with tarfile.open(fileobj=archive, mode=mode) as tar:  # type: ignore[call-overload]  # the modes are not one Literal
        for entry in tar:
            name = place(entry.name.removeprefix("./").rstrip("/"))
            if name is not None:
                _unpack_entry(tar, entry, folder, name, place)


def unpack_layer(blobs: BlobStore, layer: Layer, trees: Path) -> Path:
    """Return a folder below ``trees`` with the layer's content, unpacking it unless it is there.

    Raises:
        NotFoundError: The layer is not in the blob store.
    """
    target = trees / layer.diff_id.removeprefix("sha256:")
    if target.is_dir():
        os.utime(target)
        return target
    beside = target.with_suffix(".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    with blobs.open(layer.digest) as archive:
        unpack(archive, beside, lambda name: name, mode="r|gz")
    beside.rename(target)
    return target


def prune(trees: Path, keep: AbstractSet[Path], *, count: int = 8) -> None:
    """Remove unpacked layers, except those to ``keep`` and the ``count`` that were used last."""
    others = [path for path in trees.iterdir() if path not in keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[count:]:
        shutil.rmtree(path)


def relative_link(path: str, target: str) -> str:
    """Return ``target`` so that it leads to the same place below any root.

    Args:
        path: Where the link is, below the root.
        target: Where it leads; changed only if it is absolute.
    """
    if not target.startswith("/"):
        return target
    return os.path.relpath(target.lstrip("/"), PurePosixPath(path).parent)


def _unpack_entry(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path, name: str, place: Place
) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(folder.resolve()) or ".." in target.parts:
        raise RuntimeFailedError(f"{entry.name!r} in a tar leads out of its folder")
    if entry.isdir():
        target.mkdir(exist_ok=True)
    elif entry.issym():
        target.symlink_to(relative_link(name, entry.linkname))
    elif entry.islnk():
        source = place(entry.linkname.removeprefix("./"))
        if source is not None:
            shutil.copy2(folder / source, target)
    elif entry.isfile():
        content = tar.extractfile(entry)
        if content is not None:
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
        target.chmod(0o755 if entry.mode & 0o100 else 0o644)
    else:
        raise RuntimeFailedError(f"{entry.name!r} in a tar is neither file, folder nor link")
