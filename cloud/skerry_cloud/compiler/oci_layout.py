"""Write an image to one tar that Docker, podman and skopeo read.

It is an OCI layout and a docker-archive at once: the blobs are the same, and each form has its own
index over them.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.image import MANIFEST_TYPE
from skerry_cloud.compiler.layers import LayerWriter
from skerry_cloud.compiler.request import Image
from skerry_contract.names import Reference

_REPOSITORY = "skerry"


def export_image(image: Image, reference: Reference, blobs: BlobStore, target: Path) -> None:
    """Write ``image`` to ``target``, for ``docker load`` or as ``oci-archive:``.

    Args:
        image: What to write.
        reference: Becomes its tag, ``skerry/name:version``.
        blobs: Where it is.
        target: The tar to write; replaced if it is there.

    Raises:
        NotFoundError: A blob of the image is missing.
    """
    digests = [image.digest, image.config, *(layer.digest for layer in image.layers)]
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        writer = LayerWriter(tar)
        writer.data("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        writer.data("index.json", _json(_index(image, reference)))
        writer.data("manifest.json", _json(_docker_manifest(image, reference)))
        for digest in dict.fromkeys(digests):
            with blobs.open(digest) as source:
                writer.file(_path(digest), source, blobs.size(digest))


def export_layout(image: Image, reference: Reference, blobs: BlobStore, target: Path) -> None:
    """Write ``image`` to the folder ``target`` as an OCI layout.

    Raises:
        NotFoundError: A blob of the image is missing.
    """
    target.mkdir(parents=True, exist_ok=True)
    archive = target.with_name(f"{target.name}.tar")
    try:
        export_image(image, reference, blobs, archive)
        with tarfile.open(archive) as tar:
            tar.extractall(target)  # noqa: S202  # written a moment ago, by us
    finally:
        archive.unlink(missing_ok=True)


def _index(image: Image, reference: Reference) -> dict[str, Any]:
    parts = dict(zip(("os", "architecture", "variant"), image.platform.split("/"), strict=False))
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": MANIFEST_TYPE,
                "digest": image.digest,
                "size": image.size,
                "platform": parts,
                "annotations": {"org.opencontainers.image.ref.name": str(reference.version)},
            }
        ],
    }


def _docker_manifest(image: Image, reference: Reference) -> list[dict[str, Any]]:
    return [
        {
            "Config": _path(image.config),
            "RepoTags": [f"{_REPOSITORY}/{reference}"],
            "Layers": [_path(layer.digest) for layer in image.layers],
        }
    ]


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
