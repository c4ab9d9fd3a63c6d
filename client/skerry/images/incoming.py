"""An image that was made elsewhere, brought into the cloud from an OCI layout, all of it checked.

Docker's own media types become OCI's: the bytes of configs and layers stay, a manifest's do not, so
such an image gets another digest. So does one with zstandard layers, which become gzip.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.answers import Module
from skerry.api import Api
from skerry.files import LocalFile
from skerry.images.compression import recompress, unpack
from skerry.images.documents import (
    GZIP_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    TAR_TYPE,
    ZSTD_TYPE,
    Config,
    Descriptor,
    Index,
    Manifest,
    check_bytes,
    digest_of,
    read_manifest,
)
from skerry.images.layout import REF_NAME, blob_path
from skerry.upload import upload
from skerry_contract import shape
from skerry_contract.errors import ContractError, DigestError, NotFoundError
from skerry_contract.names import DIGEST, Digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_OCI_TYPES = {
    DOCKER_MANIFEST: MANIFEST_TYPE,
    "application/vnd.docker.container.image.v1+json": _CONFIG_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": GZIP_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar": TAR_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": ZSTD_TYPE,
}
_PIECE = 1024 * 1024
Count = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One image of a layout, checked.

    Attributes:
        manifest: Bytes of its manifest, in OCI's form.
        files: Its config and layers.
        platform: Platform it runs on.
        recompressed: How many of its layers became gzip.
    """

    manifest: bytes
    files: tuple[LocalFile, ...]
    platform: str
    recompressed: int = 0

    @property
    def digest(self) -> Digest:
        """Content address of the manifest."""
        return digest_of(self.manifest)


def bring(
    api: Api, name: str, images: Sequence[Incoming], scratch: Path, on_bytes: Count
) -> Module:
    """Upload images, and make them the next version of a module.

    Raises:
        ContractError: The cloud finds that no device could run one of them.
        NetworkError: The server went away.
    """
    send(api, images, scratch, on_bytes)
    return api.import_module(name, [image.digest for image in images])


def send(api: Api, images: Sequence[Incoming], scratch: Path, on_bytes: Count) -> None:
    """Upload images: manifests, configs and layers.

    Raises:
        NetworkError: The server went away.
    """
    files: list[LocalFile] = []
    for number, image in enumerate(images):
        path = scratch / f"manifest-{number}"
        path.write_bytes(image.manifest)
        files += [*image.files, LocalFile(path.name, path, len(image.manifest), image.digest)]
    upload(api, files, on_bytes)


def wanted_of(platforms: Collection[str], platform: str) -> str | None:
    """Return which of ``platforms`` an image for ``platform`` is for, or None.

    Images for arm64 may name its only variant.
    """
    plain = platform.removesuffix("/v8")
    return next((one for one in (platform, plain) if one in platforms), None)


def read_layout(
    folder: Path, tag: str, platforms: Collection[str], scratch: Path
) -> list[Incoming]:
    """Return the images of an OCI layout, each blob checked against its digest.

    Args:
        folder: The layout.
        tag: Which image; empty for the only one.
        platforms: Take these only; all, if there are none.
        scratch: Folder for layers that have to be compressed anew.

    Raises:
        NotFoundError: There is no such image, or a blob is missing.
        ContractError: A document has another form.
        DigestError: A blob is not what its digest promised.
    """
    index = _index((folder / "index.json").read_bytes(), str(folder))
    listed = [one for one in index.manifests if not one.artifactType]
    chosen = [one for one in listed if tag in ("", one.annotations.get(REF_NAME))]
    if len(chosen) != 1:
        tags = ", ".join(one.annotations.get(REF_NAME, one.digest) for one in listed)
        raise NotFoundError(
            f"{folder} has {len(chosen)} images that could be meant",
            remedy=f"Name one as oci:DIR:TAG; there is: {tags}.",
        )
    listed = list(_images(folder, chosen[0]))
    found = [_incoming(folder, one, scratch) for one in listed if may_be_for(platforms, one)]
    wanted = [one for one in found if not platforms or wanted_of(platforms, one.platform)]
    if not wanted:
        there = ", ".join([*(str(one.platform or "") for one in listed), *_platforms(found)])
        named = ", ".join(platforms)
        raise NotFoundError(
            f"there is no image for {named}", remedy=f"There is: {there.strip(', ')}."
        )
    return wanted


def may_be_for(platforms: Collection[str], listed: Descriptor) -> bool:
    """Return whether an index does not rule out that an image is for one of ``platforms``."""
    if not platforms or listed.platform is None:
        return True
    return wanted_of(platforms, str(listed.platform)) is not None


def _platforms(found: Sequence[Incoming]) -> list[str]:
    return [one.platform for one in found]


def _images(folder: Path, top: Descriptor) -> Iterator[Descriptor]:
    if top.mediaType not in (INDEX_TYPE, DOCKER_INDEX):
        yield top
        return
    for one in _index(_document(folder, top), top.digest).manifests:
        # Builders list what they say of an image as images for no platform.
        if one.platform is None or one.platform.os != "unknown":
            yield one


def _incoming(folder: Path, listed: Descriptor, scratch: Path) -> Incoming:
    data = in_oci_form(_document(folder, listed))
    manifest = read_manifest(data, listed.digest)
    written = _document(folder, manifest.config)
    config = shape.parse(Config, written, max_bytes=MAX_MANIFEST_BYTES, subject=listed.digest)
    files = [_file(folder, manifest.config)]
    made: dict[str, Descriptor] = {}
    for layer, diff_id in zip(manifest.layers, _diff_ids(config, manifest), strict=True):
        file = _file(folder, layer)
        if layer.mediaType == ZSTD_TYPE:
            file, made[layer.digest] = _as_gzip(file, layer, diff_id, scratch)
        else:
            unpack(file.source, layer, diff_id, lambda _piece: None)
        files.append(file)
    for digest in manifest.annotations.values():
        # What an image of another Skerry says of itself comes with it.
        if re.fullmatch(DIGEST, digest) and blob_path(folder, digest).is_file():
            size = blob_path(folder, digest).stat().st_size
            files.append(_file(folder, Descriptor("", digest, size)))
    platform = "/".join(filter(None, (config.os, config.architecture, config.variant)))
    return Incoming(_with_layers(data, made), tuple(files), platform, len(made))


def _as_gzip(
    file: LocalFile, layer: Descriptor, diff_id: str, scratch: Path
) -> tuple[LocalFile, Descriptor]:
    """Write a zstandard layer as devices and every engine read it; check it on the way."""
    path = Path(tempfile.mkdtemp(dir=scratch), "layer.tar.gz")
    made = recompress(file.source, layer, diff_id, "gzip", path)
    return LocalFile(path.name, path, made.size, Digest(made.digest)), made


def _with_layers(data: bytes, made: Mapping[str, Descriptor]) -> bytes:
    """Return a manifest that names layers that were made instead of those that they came from."""
    if not made:
        return data
    document = json.loads(data)
    for entry in document["layers"]:
        if entry["digest"] in made:
            new = made[entry["digest"]]
            entry.update(mediaType=new.mediaType, digest=new.digest, size=new.size)
            entry.pop("annotations", None)  # They tell where to find what in the other form.
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def in_oci_form(data: bytes) -> bytes:
    """Return a manifest with OCI's media types: the same bytes, if it has them already."""
    document: Any = shape.load(data, max_bytes=MAX_MANIFEST_BYTES, subject="manifest")
    if not isinstance(document, dict) or document.get("mediaType") != DOCKER_MANIFEST:
        return data
    parts = [document.get("config"), *(document.get("layers") or ())]
    for part in [document, *(part for part in parts if isinstance(part, dict))]:
        part["mediaType"] = _OCI_TYPES.get(str(part.get("mediaType")), part.get("mediaType"))
    return json.dumps(document, separators=(",", ":")).encode()


def _diff_ids(config: Config, manifest: Manifest) -> Sequence[str]:
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise ContractError(
            f"the config names {len(config.rootfs.diff_ids)} layers, not {len(manifest.layers)}"
        )
    return config.rootfs.diff_ids


def _document(folder: Path, listed: Descriptor) -> bytes:
    path = blob_path(folder, listed.digest)
    if not path.is_file():
        raise NotFoundError(f"{folder} lacks {listed.digest}", remedy="Copy the image anew.")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ContractError(f"{listed.digest} has more than {MAX_MANIFEST_BYTES} bytes")
    return check_bytes(path.read_bytes(), listed.digest, str(folder))


def _file(folder: Path, blob: Descriptor) -> LocalFile:
    path = blob_path(folder, blob.digest)
    if not path.is_file():
        raise NotFoundError(f"{folder} lacks {blob.digest}", remedy="Copy the image anew.")
    state, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            state.update(piece)
            size += len(piece)
    if (f"sha256:{state.hexdigest()}", size) != (blob.digest, blob.size):
        raise DigestError(f"{path} is not the {blob.size} bytes of {blob.digest}")
    return LocalFile(path.name, path, size, Digest(blob.digest))


def _index(data: bytes, subject: str) -> Index:
    return shape.parse(Index, data, max_bytes=MAX_MANIFEST_BYTES, subject=subject)
