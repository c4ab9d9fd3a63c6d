"""The tar that ``docker load`` takes, streamed from verified blobs without a copy on the disk.

Source: "docker save" format of the Docker image specification 1.2. Docker 20.10 does not take an
OCI layout, but it takes this with layers compressed as they are.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from skerry_agent.images import Blob, Image
from skerry_agent.store import BlobStore

_BLOCK_BYTES = 512


def archive(image: Image, store: BlobStore, tags: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the tar of an image.

    Args:
        image: The image.
        store: Holds its blobs.
        tags: What Docker shall call it.

    Raises:
        NotFoundError: A blob is not in the store.
        DigestError: A blob has rotted; the archive has not been finished.
    """
    config = _name(image.parts.config, "json")
    layers = [_name(layer, "tar") for layer in image.parts.layers]
    manifest = json.dumps([{"Config": config, "RepoTags": list(tags), "Layers": layers}]).encode()
    yield from _file("manifest.json", len(manifest), iter([manifest]))
    sent = set()
    for blob, name in ((image.parts.config, config), *zip(image.parts.layers, layers, strict=True)):
        if name not in sent:
            sent.add(name)
            yield from _file(name, blob.size, store.chunks(blob.digest))
    yield bytes(2 * _BLOCK_BYTES)


def _name(blob: Blob, suffix: str) -> str:
    return str(PurePosixPath(blob.digest.removeprefix("sha256:")).with_suffix(f".{suffix}"))


def _file(name: str, size: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = size
    yield entry.tobuf(tarfile.GNU_FORMAT)
    yield from pieces
    yield bytes(-size % _BLOCK_BYTES)
