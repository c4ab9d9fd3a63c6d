"""Images from archives and registries, laid out as an OCI layout for the rest to read."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

from skerry.images.documents import (
    GZIP_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    MAX_MANIFEST_BYTES,
    TAR_TYPE,
    ZSTD_TYPE,
    Descriptor,
    Index,
    check_bytes,
    digest_of,
    read_manifest,
)
from skerry.images.incoming import DOCKER_INDEX, DOCKER_MANIFEST, in_oci_form, may_be_for
from skerry.images.layout import REF_NAME, blob_path, fetch
from skerry.images.source import Sink
from skerry.registry.address import Address
from skerry.registry.connection import TRIES, Call, Connection
from skerry_contract import shape
from skerry_contract.errors import ContractError, NetworkError, NotFoundError

_ACCEPTED = f"{INDEX_TYPE}, {MANIFEST_TYPE}, {DOCKER_INDEX}, {DOCKER_MANIFEST}"
_TAG = "imported"


def lay_out_archive(archive: Path, folder: Path) -> str:
    """Lay out what ``docker save`` or an export wrote, and return the image's tag there.

    Raises:
        ContractError: It is no archive of one image.
        NotFoundError: It names a file that it does not hold.
    """
    try:
        with tarfile.open(archive, "r:*") as tar:
            listed = json.loads(_member(tar, "manifest.json").read(MAX_MANIFEST_BYTES))
            if not isinstance(listed, list) or len(listed) != 1:
                raise ContractError(f"{archive} does not hold one image")
            config = _member(tar, str(listed[0]["Config"])).read(MAX_MANIFEST_BYTES)
            layers = [_layer(tar, str(name), folder) for name in listed[0]["Layers"]]
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{archive} is no archive of an image: {error}") from error
    _put(folder, config)
    about = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(config),
        "size": len(config),
    }
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": about, "layers": layers}
    data = json.dumps(manifest, separators=(",", ":")).encode()
    _put(folder, data)
    return _write_index(folder, data, MANIFEST_TYPE)


def lay_out_registry(
    connection: Connection,
    address: Address,
    reference: str,
    folder: Path,
    platforms: Collection[str] = (),
) -> str:
    """Pull an image, an index with all its images, and return its tag in the layout.

    Args:
        connection: To the registry.
        address: The repository.
        reference: A tag or a digest.
        folder: Where the layout goes; it has to be empty.
        platforms: Leave out images that an index says are for none of these; none for all.

    Raises:
        NotFoundError: There is no such image.
        RegistryError: The registry does not give it.
        DigestError: What came is not what its digest promised.
    """
    base = f"/v2/{address.repository}"
    answer = connection.call(Call("GET", f"{base}/manifests/{reference}", _accept()), 200, 404)
    if answer.status == 404:
        raise NotFoundError(
            f"{address.host}/{address.repository} has no image {reference}",
            remedy="Is the tag or digest spelled right, and may you see it? See 'docker login'.",
        )
    media_type = answer.headers.get("Content-Type", MANIFEST_TYPE).partition(";")[0]
    if reference.startswith("sha256:"):
        check_bytes(answer.body, reference, str(address))
    _put(folder, answer.body)
    blobs = _RegistryBlobs(connection, base)
    if media_type in (INDEX_TYPE, DOCKER_INDEX):
        index = shape.parse(Index, answer.body, max_bytes=MAX_MANIFEST_BYTES, subject=str(address))
        for one in index.manifests:
            if not may_be_for(platforms, one):
                continue
            where = f"{base}/manifests/{one.digest}"
            data = connection.call(Call("GET", where, _accept()), 200).body
            _put(folder, check_bytes(data, one.digest, str(address)))
            if one.platform is None or one.platform.os != "unknown":
                _fetch_all(blobs, data, folder)
    else:
        _fetch_all(blobs, answer.body, folder)
    return _write_index(folder, answer.body, media_type)


class _RegistryBlobs:
    """The blobs of one repository of a registry."""

    def __init__(self, connection: Connection, base: str) -> None:
        self._connection = connection
        self._base = base

    def copy(self, blob: Descriptor, sink: Sink) -> None:
        """Hand the bytes of a blob to ``sink``."""
        where = f"{self._base}/blobs/{blob.digest}"
        self._connection.copy(where, sink, max_bytes=blob.size)

    def fetch(self, blob: Descriptor, path: Path) -> None:
        """Write a blob to ``path`` unless it is there, from the start again if the way breaks."""
        for attempt in range(1, TRIES + 1):
            if path.exists():
                return None
            try:
                return fetch(self, blob, path, lambda _count: None)
            except NetworkError:
                path.unlink(missing_ok=True)
                if attempt == TRIES:
                    raise
            self._connection.rest(attempt)
        return None


def _fetch_all(blobs: _RegistryBlobs, data: bytes, folder: Path) -> None:
    manifest = read_manifest(in_oci_form(data), "manifest")
    for blob in (manifest.config, *manifest.layers):
        blobs.fetch(blob, blob_path(folder, blob.digest))


def _layer(tar: tarfile.TarFile, name: str, folder: Path) -> dict[str, Any]:
    path = folder / "layer"
    with _member(tar, name) as source, path.open("wb") as out:
        shutil.copyfileobj(source, out, 1024 * 1024)
    with path.open("rb") as file:
        begin = file.read(4)
        file.seek(0)
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    target = blob_path(folder, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size
    path.replace(target)
    kinds = {b"\x1f\x8b": GZIP_TYPE, b"\x28\xb5\x2f\xfd": ZSTD_TYPE}
    media_type = next((kinds[one] for one in kinds if begin.startswith(one)), TAR_TYPE)
    return {"mediaType": media_type, "digest": digest, "size": size}


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = tar.extractfile(name)  # follows links within the archive, as Docker writes them
    except KeyError:
        found = None
    if found is None:
        raise NotFoundError(f"there is no {name!r:.200} in the archive")
    return found


def _put(folder: Path, data: bytes) -> None:
    path = blob_path(folder, digest_of(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_index(folder: Path, data: bytes, media_type: str) -> str:
    entry = {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
    index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": {REF_NAME: _TAG}}]}
    (folder / "index.json").write_text(json.dumps(index))
    return _TAG


def _accept() -> dict[str, str]:
    return {"Accept": _ACCEPTED}
