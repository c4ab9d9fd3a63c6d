"""The tar that ``docker load`` takes, streamed from verified blobs without a copy on the disk.

The few bytes of a tar header are written here and not by ``tarfile``, which would stay in the
resident agent's memory for them.

Source: "docker save" format of the Docker image specification 1.2. Docker 20.10 does not take an
OCI layout, but it takes this with layers compressed as they are.
"""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from skerry_agent.pulling.images import Blob, Image
from skerry_agent.pulling.store import BlobStore

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
    yield header(name, size)
    yield from pieces
    yield bytes(-size % _BLOCK_BYTES)


def header(name: str, size: int) -> bytes:
    """Return the tar header of a plain file, readable by all and of no particular time.

    Args:
        name: ASCII, at most 100 bytes.
        size: Bytes of the file.

    Source: POSIX.1-1988 "ustar"; sizes from 8 GiB up in GNU tar's base-256 form.
    """
    number = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    zero = b"0000000\0"
    before = name.encode("ascii").ljust(100, b"\0") + b"0000644\0" + zero + zero + number
    before += b"%011o\0" % 0
    after = b"0" + bytes(100) + b"ustar\00000"
    total = sum(before) + sum(after) + sum(b" " * 8)
    return (before + b"%06o\0 " % total + after).ljust(_BLOCK_BYTES, b"\0")
