"""OCI images, read from their manifest and config; no I/O.

Everything here comes from outside. The manifest's digest is signed, and each digest it names was
checked by the store, so what is left to check is the form: sizes, media types, the platform.

Source: OCI image specification 1.1, ``manifest.md`` and ``config.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.names import DIGEST, Digest, Reference, parse_reference
from skerry_contract.shape import Range, Size, Text

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
"""Largest manifest that is read; the limit that OCI registries agree on."""
MAX_CONFIG_BYTES = 4 * 1024 * 1024
"""Largest image config that is read."""
NOBODY = "65532:65532"
"""User and group of a module whose image does not say who it is."""
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

_LAYER_TYPES = {
    "application/vnd.oci.image.layer.v1.tar+gzip": True,
    "application/vnd.oci.image.layer.v1.tar": False,
}
"""Layers that every runtime here can unpack, and whether they are compressed."""
_DigestText = Annotated[str, Text(DIGEST, 71, "'sha256:' and 64 hex digits")]
_Words = Annotated[tuple[str, ...], Size(0, 1000)]
_Labels = Annotated[Mapping[str, str], Size(0, 1000)]


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that an image is made of.

    Attributes:
        digest: Their content address.
        size: How many they are.
        gzip: Whether they are a compressed layer.
    """

    digest: Digest
    size: int
    gzip: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What a manifest says: which blobs make up the image.

    Attributes:
        config: The image config.
        layers: The layers, lowest first.
    """

    config: Blob
    layers: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """A module image, as far as a runtime needs to know it.

    Attributes:
        reference: ``name:version``, for people.
        digest: Digest of its manifest.
        parts: The blobs it is made of.
        diff_ids: Digest of each layer when it is not compressed, lowest first.
        command: Program and arguments.
        env: Environment variables.
        cwd: Working directory.
        user: ``uid:gid`` to run as, both numbers and neither of them 0.
        labels: Labels of the image.
    """

    reference: Reference
    digest: Digest
    parts: Parts
    diff_ids: tuple[str, ...]
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    user: str
    labels: Mapping[str, str]

    @property
    def blobs(self) -> frozenset[Digest]:
        """Every blob that must stay on the device for this image, the manifest included."""
        return frozenset(
            {self.digest, self.parts.config.digest, *(layer.digest for layer in self.parts.layers)}
        )


@dataclass(frozen=True, slots=True)
class _Descriptor:
    mediaType: Annotated[str, Text(max_length=255)]  # noqa: N815 - OCI's spelling is the format
    digest: _DigestText
    size: Annotated[int, Range(0, 2**40)]


@dataclass(frozen=True, slots=True)
class _Manifest:
    schemaVersion: Literal[2]  # noqa: N815 - OCI's spelling is the format
    config: _Descriptor
    layers: Annotated[tuple[_Descriptor, ...], Size(1, 127)]


@dataclass(frozen=True, slots=True)
class _Run:
    User: str = ""
    Entrypoint: _Words = ()
    Cmd: _Words = ()
    Env: Annotated[tuple[Annotated[str, Text(max_length=32_768)], ...], Size(0, 1000)] = ()
    WorkingDir: str = ""
    Labels: _Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _RootFs:
    diff_ids: Annotated[tuple[_DigestText, ...], Size(1, 127)]


@dataclass(frozen=True, slots=True)
class _Config:
    architecture: str
    os: str
    rootfs: _RootFs
    config: _Run = _Run()


def read_manifest(reference: str, data: bytes) -> Parts:
    """Read an OCI image manifest.

    Args:
        reference: ``name:version`` of the image, for the error's text.
        data: The manifest's bytes, whose digest was checked.

    Raises:
        ContractError: It is no manifest, or has layers of a kind that cannot be unpacked here.
    """
    subject = f"manifest of {reference}"
    manifest = shape.parse(_Manifest, data, max_bytes=MAX_MANIFEST_BYTES, subject=subject)
    for i, layer in enumerate(manifest.layers):
        if layer.mediaType not in _LAYER_TYPES:
            known = " or ".join(_LAYER_TYPES)
            raise ContractError(
                f"expected {known}, got {layer.mediaType!r}",
                ("layers", i, "mediaType"),
                subject=subject,
            )
    return Parts(
        Blob(Digest(manifest.config.digest), manifest.config.size),
        tuple(
            Blob(Digest(layer.digest), layer.size, _LAYER_TYPES[layer.mediaType])
            for layer in manifest.layers
        ),
    )


def read_diff_ids(reference: str, config: bytes) -> tuple[Digest, ...]:
    """Return the digest of each layer when it is not compressed, lowest first.

    Raises:
        ContractError: It is no config of an image.
    """
    subject = f"config of {reference}"
    found = shape.parse(_Config, config, max_bytes=MAX_CONFIG_BYTES, subject=subject)
    return tuple(Digest(one) for one in found.rootfs.diff_ids)


def with_layers(image: Image, layers: tuple[Blob, ...]) -> Image:
    """Return an image whose layers are there in another form, compressed or not."""
    return replace(image, parts=replace(image.parts, layers=layers))


def read_image(
    reference: str, digest: Digest, parts: Parts, config: bytes, *, platform: str
) -> Image:
    """Put together what a manifest and its config say.

    Args:
        reference: ``name:version`` of the image.
        digest: Digest of the manifest.
        parts: What the manifest says.
        config: The config's bytes, whose digest was checked.
        platform: What this device runs, such as ``linux/amd64``.

    Raises:
        ContractError: The config is not one, fits another platform, or has nothing to run.
    """
    subject = f"config of {reference}"
    found = shape.parse(_Config, config, max_bytes=MAX_CONFIG_BYTES, subject=subject)
    if [found.os, found.architecture] != platform.split("/")[:2]:
        raise ContractError(
            f"built for {found.os}/{found.architecture}, and this device runs {platform}",
            ("architecture",),
            subject=subject,
            remedy=f"Register {reference} again with {platform} among its platforms.",
        )
    if len(found.rootfs.diff_ids) != len(parts.layers):
        raise ContractError(
            f"{len(found.rootfs.diff_ids)} entries for {len(parts.layers)} layers",
            ("rootfs", "diff_ids"),
            subject=subject,
        )
    command = (*found.config.Entrypoint, *found.config.Cmd)
    if not command:
        raise ContractError("nothing to run", ("config", "Entrypoint"), subject=subject)
    pairs = (entry.partition("=") for entry in found.config.Env)
    return Image(
        parse_reference(reference),
        digest,
        parts,
        found.rootfs.diff_ids,
        command,
        {name: value for name, _, value in pairs},
        found.config.WorkingDir or "/",
        _user(found.config.User),
        found.config.Labels,
    )


def _user(text: str) -> str:
    """Return ``uid:gid`` to run as: what the image says, unless that is root or only a name.

    A name could be looked up in the image's own ``/etc/passwd``, which may well call it uid 0.
    """
    uid, _, gid = text.partition(":")
    gid = gid or uid
    good = all(part.isdecimal() and 0 < int(part) < 2**31 for part in (uid, gid))
    return f"{int(uid)}:{int(gid)}" if good else NOBODY
