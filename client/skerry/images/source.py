"""Where the parts of a module's images come from: the cloud's OCI distribution API."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from skerry.api import Api
from skerry.images.documents import (
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    Artifact,
    Config,
    Descriptor,
    Document,
    Index,
    ModuleImages,
    PlatformImage,
    check_bytes,
    read_manifest,
)
from skerry_contract import shape
from skerry_contract.errors import ContractError, NotFoundError
from skerry_contract.names import Reference

MAX_REPORT_BYTES = 64 * 1024 * 1024
Sink = Callable[[bytes], object]


class Blobs(Protocol):
    """Gives blobs by their descriptor."""

    def copy(self, blob: Descriptor, sink: Sink) -> None:
        """Hand the bytes of a blob to ``sink``; the caller checks their digest.

        Raises:
            DigestError: There are more of them than promised.
            NetworkError: The way broke; pieces may have been handed over.
        """
        ...


class CloudBlobs:
    """The blobs of one module in the cloud.

    Args:
        api: The server.
        name: Name of the module.
    """

    def __init__(self, api: Api, name: str) -> None:
        self._api = api
        self._name = name

    def copy(self, blob: Descriptor, sink: Sink) -> None:
        """Hand the bytes of a blob to ``sink``."""
        self._api.copy_image_blob(self._name, blob.digest, sink, max_bytes=blob.size)

    def read(self, blob: Descriptor, *, max_bytes: int) -> bytes:
        """Return a small blob, checked.

        Raises:
            ContractError: It is larger than ``max_bytes``.
            DigestError: It is not what it should be.
        """
        if blob.size > max_bytes:
            raise ContractError(f"{blob.digest} has {blob.size} bytes, at most {max_bytes} allowed")
        data = bytearray()
        self.copy(blob, data.extend)
        return check_bytes(bytes(data), blob.digest, self._name)


def module_images(api: Api, which: Reference) -> ModuleImages:
    """Return the images of a module, with all their documents and without their layers.

    Raises:
        NotFoundError: There is no such module.
        DigestError: A document is not what its digest says.
        ContractError: A document has another form.
    """
    module = api.module(which)
    images = tuple(
        replace(
            _image(api, which.name, platform, image.digest),
            kinds=tuple(layer.kind for layer in image.layers),
        )
        for platform, image in sorted(module.images.items())
    )
    if not images:
        raise NotFoundError(f"module {which} has no image")
    index = None
    if len(images) > 1:
        index = Document(*api.manifest(which.name, str(which.version)))
    return ModuleImages(which.name, str(which.version), images, index)


def chosen(found: ModuleImages, platform: str | None) -> PlatformImage:
    """Return the image for ``platform``, or the only one.

    Raises:
        NotFoundError: There is none for it, or there are several to choose from.
    """
    names = ", ".join(image.platform for image in found.images)
    wanted = [image for image in found.images if platform in (None, image.platform)]
    if len(wanted) != 1:
        what = f"for {platform}" if platform else "that could be meant alone"
        raise NotFoundError(
            f"{found.name}:{found.tag} has no image {what}",
            remedy=f"Choose with --platform; there is: {names}.",
        )
    return wanted[0]


def _image(api: Api, name: str, platform: str, digest: str) -> PlatformImage:
    data, media_type = api.manifest(name, digest)
    manifest = read_manifest(check_bytes(data, digest, name), name)
    blobs = CloudBlobs(api, name)
    written = blobs.read(manifest.config, max_bytes=MAX_MANIFEST_BYTES)
    config = shape.parse(Config, written, max_bytes=MAX_MANIFEST_BYTES, subject=name)
    found = shape.parse(Index, api.referrers(name, digest), max_bytes=MAX_MANIFEST_BYTES)
    artifacts = tuple(_artifact(api, name, one) for one in found.manifests)
    return PlatformImage(platform, Document(data, media_type), manifest, config, artifacts)


def _artifact(api: Api, name: str, listed: Descriptor) -> Artifact:
    data, _ = api.manifest(name, listed.digest)
    manifest = read_manifest(check_bytes(data, listed.digest, name), name)
    if len(manifest.layers) != 1:
        raise ContractError(f"artifact {listed.digest} has {len(manifest.layers)} blobs, not 1")
    content = manifest.layers[0]
    called = content.annotations.get("org.opencontainers.image.title", listed.digest)
    document = Document(data, MANIFEST_TYPE)
    return Artifact(document, listed.artifactType, called, content, manifest.config)
