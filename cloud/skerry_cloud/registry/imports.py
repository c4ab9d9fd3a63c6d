"""Images that were made elsewhere: judged by their documents before they become a module.

Every device has to be able to run what is taken, so nothing is taken that an agent would refuse:
layers that are tars, compressed by gzip or not at all, and a config that names something to run.
Source: OCI image-spec 1.1, ``manifest.md`` and ``config.md``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from skerry_cloud.blobs import BlobStore
from skerry_cloud.registry.modules import Image, Layer
from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.manifest import Name
from skerry_contract.names import DIGEST, Digest
from skerry_contract.shape import Range, Size, Text

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""Largest manifest or config."""
LAYER_TYPES = (
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar",
)
_DigestText = Annotated[str, Text(DIGEST, 71, "'sha256:' and 64 hex digits")]
_Word = Annotated[str, Text(max_length=32_768)]


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """Images that become the next version of a module.

    Attributes:
        name: What the module is called.
        images: Digests of their manifests; these, configs and layers were uploaded already.
    """

    name: Name
    images: Annotated[tuple[_DigestText, ...], Size(1, 16)]


@dataclass(frozen=True, slots=True)
class _Descriptor:
    mediaType: Annotated[str, Text(max_length=255)]  # noqa: N815 - OCI's spelling is the format
    digest: _DigestText
    size: Annotated[int, Range(0, 2**40)]


@dataclass(frozen=True, slots=True)
class _Manifest:
    config: _Descriptor
    layers: Annotated[tuple[_Descriptor, ...], Size(1, 127)]


@dataclass(frozen=True, slots=True)
class _Start:
    Entrypoint: Annotated[tuple[_Word, ...], Size(0, 1000)] | None = None
    Cmd: Annotated[tuple[_Word, ...], Size(0, 1000)] | None = None
    Env: Annotated[tuple[_Word, ...], Size(0, 1000)] | None = None
    Labels: Annotated[Mapping[str, _Word], Size(0, 1000)] | None = None


@dataclass(frozen=True, slots=True)
class _RootFs:
    diff_ids: Annotated[tuple[_DigestText, ...], Size(1, 127)]


@dataclass(frozen=True, slots=True)
class _Config:
    architecture: Annotated[str, Text("[a-z0-9]+", 40, "an architecture")]
    os: Annotated[str, Text("linux", 40, "'linux'")]
    rootfs: _RootFs
    config: _Start
    variant: Annotated[str, Text("[a-z0-9]*", 40, "a variant")] = ""


@dataclass(frozen=True, slots=True)
class UploadedImage:
    """One image, with what its documents say.

    Attributes:
        platform: Platform it runs on.
        image: Its digest and layers.
        media_types: The form of each layer.
        diff_ids: Digest of each layer when it is not compressed.
        variables: ``NAME=value`` of its environment.
        labels: Its labels.
    """

    platform: str
    image: Image
    media_types: tuple[str, ...]
    diff_ids: tuple[str, ...]
    variables: tuple[str, ...]
    labels: Mapping[str, str]


def read_images(digests: Sequence[str], blobs: BlobStore) -> Mapping[str, Image]:
    """Return uploaded images by platform.

    Raises:
        ContractError: One is no image that a device could run, or two are for one platform.
        NotFoundError: A manifest, config or layer was not uploaded.
    """
    found: dict[str, Image] = {}
    for digest in digests:
        one = read_image(digest, blobs)
        if one.platform in found:
            raise ContractError(f"two images are for {one.platform}", subject=digest)
        found[one.platform] = one.image
    return found


def read_image(digest: str, blobs: BlobStore, *, runs: bool = True) -> UploadedImage:
    """Return one uploaded image.

    Args:
        digest: Digest of its manifest.
        blobs: Where it is.
        runs: It has to name something to run, as a base need not.

    Raises:
        ContractError: It is no image that a device could run.
        NotFoundError: The manifest, the config or a layer was not uploaded.
    """
    data = blobs.read(digest, limit=MAX_DOCUMENT_BYTES)
    manifest = shape.parse(_Manifest, data, max_bytes=MAX_DOCUMENT_BYTES, subject=digest)
    for i, layer in enumerate(manifest.layers):
        if layer.mediaType not in LAYER_TYPES:
            reason = f"expected {' or '.join(LAYER_TYPES)}, got {layer.mediaType!r}"
            raise ContractError(
                reason,
                ("layers", i, "mediaType"),
                subject=digest,
                remedy="Devices read no others; 'skerry module import' makes gzip of zstandard.",
            )
    for part in (manifest.config, *manifest.layers):
        # Asking counts as use, so that no sweep comes between this and the module.
        blobs.has(part.digest)
        if (size := blobs.size(part.digest)) != part.size:
            raise ContractError(f"{part.digest} has {size} bytes, not {part.size}", subject=digest)
    written = blobs.read(manifest.config.digest, limit=MAX_DOCUMENT_BYTES)
    subject = f"config of {digest}"
    config = shape.parse(_Config, written, max_bytes=MAX_DOCUMENT_BYTES, subject=subject)
    _check(config, manifest, subject, runs=runs)
    layers = [Layer(one.digest, one.size, "layer", reused=False) for one in manifest.layers]
    platform = "/".join(filter(None, (config.os, config.architecture, config.variant)))
    return UploadedImage(
        platform,
        Image(Digest(digest), len(data), tuple(layers), "imported"),
        tuple(layer.mediaType for layer in manifest.layers),
        config.rootfs.diff_ids,
        config.config.Env or (),
        config.config.Labels or {},
    )


def _check(config: _Config, manifest: _Manifest, subject: str, *, runs: bool) -> None:
    count = len(config.rootfs.diff_ids)
    if count != len(manifest.layers):
        reason = f"{count} entries for {len(manifest.layers)} layers"
        raise ContractError(reason, ("rootfs", "diff_ids"), subject=subject)
    if runs and not config.config.Entrypoint and not config.config.Cmd:
        raise ContractError("nothing to run", ("config", "Entrypoint"), subject=subject)
