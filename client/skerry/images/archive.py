"""An image as one tar that ``docker load`` reads, from Docker 20.10 on.

The blobs lie where an OCI layout has them, so that the same tar is an ``oci-archive`` as well.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from skerry.durable import check_writable, sync_folder
from skerry.images.documents import GZIP_TYPE, TAR_TYPE, Descriptor, ModuleImages, PlatformImage
from skerry.images.layout import LAYOUT, Count, check_whole, layout_index
from skerry.images.source import Blobs
from skerry_contract.errors import RuntimeFailedError

_LOADABLE = (GZIP_TYPE, TAR_TYPE)
_SPOOL_BYTES = 32 * 1024 * 1024
"""Blobs up to this size wait in memory until they are checked, larger ones on the disk."""


def write_archive(found: ModuleImages, blobs: Blobs, path: Path, on_bytes: Count) -> None:
    """Write the only image of ``found`` to ``path``: all of it, synced, or nothing at all.

    Args:
        found: What to write; it has one image.
        blobs: Where the blobs come from.
        path: The file; replaced if it is there.
        on_bytes: Called with the size of each piece that has come.

    Raises:
        DigestError: A blob is not what its digest promised.
        RuntimeFailedError: A layer is in a form that engines do not load.
    """
    [image] = found.images
    for layer in image.manifest.layers:
        if layer.mediaType not in _LOADABLE:
            raise RuntimeFailedError(
                f"layer {layer.digest} is {layer.mediaType}, which no 'docker load' reads",
                remedy="Use oci:DIR, or build the module with gzip layers.",
            )
    path = path.absolute()
    check_writable(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            _write(found, image, blobs, out, on_bytes)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write(
    found: ModuleImages, image: PlatformImage, blobs: Blobs, out: IO[bytes], on_bytes: Count
) -> None:
    bare = ModuleImages(found.name, found.tag, (_without_artifacts(image),), None)
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", LAYOUT)
        _add(tar, "index.json", json.dumps(layout_index(bare)).encode())
        _add(tar, "manifest.json", json.dumps([_docker_manifest(found, image)]).encode())
        _add(tar, _place(image.document.digest), image.document.data)
        parts = [image.manifest.config, *image.manifest.layers]
        for blob in {part.digest: part for part in parts}.values():
            _copy(tar, blob, blobs, on_bytes)


def _copy(tar: tarfile.TarFile, blob: Descriptor, blobs: Blobs, on_bytes: Count) -> None:
    state, size = hashlib.sha256(), 0
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:

        def take(piece: bytes) -> None:
            nonlocal size
            state.update(piece)
            size += spool.write(piece)
            on_bytes(len(piece))

        blobs.copy(blob, take)
        check_whole(blob, f"sha256:{state.hexdigest()}", size)
        spool.seek(0)
        entry = tarfile.TarInfo(_place(blob.digest))
        entry.size = blob.size
        tar.addfile(entry, spool)


def _docker_manifest(found: ModuleImages, image: PlatformImage) -> dict[str, object]:
    return {
        "Config": _place(image.manifest.config.digest),
        "RepoTags": [f"skerry/{found.name}:{found.tag}"],
        "Layers": [_place(layer.digest) for layer in image.manifest.layers],
    }


def _without_artifacts(image: PlatformImage) -> PlatformImage:
    return PlatformImage(image.platform, image.document, image.manifest, image.config)


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
