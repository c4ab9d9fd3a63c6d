"""An image as an OCI layout: a folder that skopeo, podman, umoci and oras read.

``index.json`` names the image by its tag, and the artifacts about it without one.
Source: OCI image-spec 1.1, ``image-layout.md``.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skerry.durable import write_file
from skerry.images.documents import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Descriptor,
    Document,
    ModuleImages,
    PlatformImage,
)
from skerry.images.source import Blobs
from skerry_contract.errors import DigestError

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
Count = Callable[[int], object]


def write_layout(found: ModuleImages, blobs: Blobs, folder: Path, on_bytes: Count) -> None:
    """Write the images, all their blobs and what refers to them into an empty folder.

    Args:
        found: What to write.
        blobs: Where the blobs come from.
        folder: Where to write; it has to be empty.
        on_bytes: Called with the size of each piece that has come.

    Raises:
        DigestError: A blob is not what its digest promised.
        OSError: The disk said no.
    """
    write_file(folder / "oci-layout", LAYOUT)
    for blob in blobs_of(found):
        fetch(blobs, blob, blob_path(folder, blob.digest), on_bytes)
    for document in documents_of(found):
        path = blob_path(folder, document.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, document.data)
    write_file(folder / "index.json", json.dumps(layout_index(found)).encode())


def layout_index(found: ModuleImages) -> dict[str, Any]:
    """Return what ``index.json`` says."""
    platform = None if found.index else found.images[0]
    entry = {**described(found.top, platform), "annotations": {REF_NAME: found.tag}}
    artifacts = [
        {**described(artifact.document), "artifactType": artifact.kind}
        for image in found.images
        for artifact in image.artifacts
    ]
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry, *artifacts]}


def blobs_of(found: ModuleImages) -> list[Descriptor]:
    """Return every blob of the images and the artifacts, each once."""
    every: dict[str, Descriptor] = {}
    for image in found.images:
        parts = [image.manifest.config, *image.manifest.layers]
        for artifact in image.artifacts:
            parts += [artifact.config, artifact.content]
        every.update({part.digest: part for part in parts})
    return list(every.values())


def documents_of(found: ModuleImages) -> list[Document]:
    """Return every manifest, those that others name before those that name them."""
    images = [image.document for image in found.images]
    artifacts = [one.document for image in found.images for one in image.artifacts]
    return [*images, *artifacts, *([found.index] if found.index else [])]


def described(document: Document, image: PlatformImage | None = None) -> dict[str, Any]:
    """Return the descriptor of a document, with the platform of the image that it is of."""
    size = len(document.data)
    entry: dict[str, Any] = {
        "mediaType": document.media_type or MANIFEST_TYPE,
        "digest": document.digest,
        "size": size,
    }
    return {**entry, "platform": _platform(image)} if image else entry


def blob_path(folder: Path, digest: str) -> Path:
    """Return where a blob lies in a layout."""
    return folder / "blobs" / digest.replace(":", "/")


def fetch(blobs: Blobs, blob: Descriptor, path: Path, on_bytes: Count) -> None:
    """Write a blob to a new file, checked and synced.

    Raises:
        DigestError: It is not what its digest promised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    state, size = hashlib.sha256(), 0
    with path.open("xb") as out:

        def take(piece: bytes) -> None:
            nonlocal size
            state.update(piece)
            size += out.write(piece)
            on_bytes(len(piece))

        blobs.copy(blob, take)
        out.flush()
        os.fsync(out.fileno())
    check_whole(blob, f"sha256:{state.hexdigest()}", size)


def check_whole(blob: Descriptor, digest: str, size: int) -> None:
    """Raise DigestError unless what came is the blob."""
    if (digest, size) != (blob.digest, blob.size):
        raise DigestError(
            f"{blob.size} bytes of {blob.digest} were promised, {size} of {digest} came",
            remedy="Try again; if it stays so, the copy in the cloud is damaged: build anew.",
        )


def _platform(image: PlatformImage) -> Mapping[str, str]:
    config = image.config
    parts = {"os": config.os, "architecture": config.architecture, "variant": config.variant}
    return {name: value for name, value in parts.items() if value}
