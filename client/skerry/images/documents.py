"""OCI's documents as values: manifests, indexes and configs.

What they name is checked by digest; here, their form is. Source: OCI image-spec 1.1.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from skerry_contract import shape
from skerry_contract.errors import DigestError
from skerry_contract.names import DIGEST, Digest
from skerry_contract.shape import Range, Size, Text

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
GZIP_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
TAR_TYPE = "application/vnd.oci.image.layer.v1.tar"
ZSTD_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Largest manifest, index or config; the limit that registries agree on."""
TITLE = "org.opencontainers.image.title"

_DigestText = Annotated[str, Text(DIGEST, 71, "'sha256:' and 64 hex digits")]
_Long = Annotated[str, Text(max_length=32_768)]
_Labels = Annotated[Mapping[str, _Long], Size(0, 1000)]
_Words = Annotated[tuple[_Long, ...], Size(0, 1000)]


@dataclass(frozen=True, slots=True)
class Platform:
    """Where an image runs."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """How one document names another.

    Attributes:
        mediaType: What it is.
        digest: Its content address.
        size: Its length in bytes.
        platform: Where it runs, if it is an image in an index.
        artifactType: What an artifact is about, in a list of referrers.
        annotations: Facts about it.
    """

    mediaType: Annotated[str, Text(max_length=255)]  # noqa: N815 - OCI's spelling is the format
    digest: _DigestText
    size: Annotated[int, Range(0, 2**40)]
    platform: Platform | None = None
    artifactType: Annotated[str, Text(max_length=255)] = ""  # noqa: N815 - as above
    annotations: _Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image is made of."""

    schemaVersion: Annotated[int, Range(2, 2)]  # noqa: N815 - OCI's spelling is the format
    config: Descriptor
    layers: Annotated[tuple[Descriptor, ...], Size(0, 127)]
    mediaType: Annotated[str, Text(max_length=255)] = MANIFEST_TYPE  # noqa: N815 - as above
    annotations: _Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    """Several images, or what refers to one."""

    manifests: Annotated[tuple[Descriptor, ...], Size(0, 1000)]
    mediaType: Annotated[str, Text(max_length=255)] = INDEX_TYPE  # noqa: N815 - as above


@dataclass(frozen=True, slots=True)
class Start:
    """How an image is started."""

    User: str = ""
    Entrypoint: _Words | None = None
    Cmd: _Words | None = None
    Env: _Words | None = None
    WorkingDir: _Long = ""
    ExposedPorts: Annotated[Mapping[str, Any], Size(0, 100)] | None = None
    Labels: _Labels | None = None


@dataclass(frozen=True, slots=True)
class RootFs:
    """Digests of the layers when they are not compressed."""

    diff_ids: Annotated[tuple[_DigestText, ...], Size(0, 127)]


@dataclass(frozen=True, slots=True)
class Config:
    """The config of an image."""

    architecture: str
    os: str
    rootfs: RootFs
    variant: str = ""
    config: Start | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The bytes of a manifest or index, and what they are called.

    Attributes:
        data: Exactly the bytes that the digest is of.
        media_type: What they are.
    """

    data: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        """Their content address."""
        return digest_of(self.data)


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something about an image: its manifest, and the one blob that it is about.

    Attributes:
        document: The artifact's manifest, whose subject is the image.
        kind: Its type, as a media type.
        name: What to call its blob.
        content: That blob.
        config: Its config, which is empty.
    """

    document: Document
    kind: str
    name: str
    content: Descriptor
    config: Descriptor


@dataclass(frozen=True, slots=True)
class PlatformImage:
    """A module's image for one platform, layers excepted.

    Attributes:
        platform: Where it runs: ``linux/amd64``.
        document: Its manifest.
        manifest: The same, read.
        config: Its config.
        artifacts: What refers to it.
        kinds: What each layer holds, where the cloud knows.
    """

    platform: str
    document: Document
    manifest: Manifest
    config: Config
    artifacts: tuple[Artifact, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def start(self) -> Start:
        """How it is started."""
        return self.config.config or Start()


@dataclass(frozen=True, slots=True)
class ModuleImages:
    """All images of one module version.

    Attributes:
        name: Name of the module.
        tag: Its version, as text.
        images: By platform, in order.
        index: Names them all; None where there is one.
    """

    name: str
    tag: str
    images: tuple[PlatformImage, ...]
    index: Document | None

    @property
    def top(self) -> Document:
        """What the tag stands for."""
        return self.index or self.images[0].document


def digest_of(data: bytes) -> Digest:
    """Return the content address of ``data``."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


def check_bytes(data: bytes, digest: str, subject: str) -> bytes:
    """Return ``data`` if its digest is the promised one.

    Raises:
        DigestError: It is another.
    """
    if digest_of(data) != digest:
        raise DigestError(f"{subject}: {digest} was promised, and {digest_of(data)} came")
    return data


def read_manifest(data: bytes, subject: str) -> Manifest:
    """Read an image manifest.

    Raises:
        ContractError: It has another form.
    """
    return shape.parse(Manifest, data, max_bytes=MAX_MANIFEST_BYTES, subject=subject)
