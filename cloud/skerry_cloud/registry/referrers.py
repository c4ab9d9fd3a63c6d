"""What refers to an image: its reports as OCI artifacts with the image as their subject.

They are made from the image's manifest whenever somebody asks, always with the same bytes.
Source: OCI image-spec 1.1, "guidelines for artifact usage"; distribution-spec 1.1, "listing
referrers".
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry_cloud.blobs import Blob, BlobStore
from skerry_cloud.compiler.provenance import PROVENANCE_TYPE, statement_of
from skerry_cloud.compiler.reports import LOCK, PROVENANCE, SBOM, reports_named
from skerry_cloud.compiler.sbom import SBOM_TYPE
from skerry_contract.errors import NotFoundError
from skerry_contract.names import Digest

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_REPORT_BYTES = 64 * 1024 * 1024
LOCK_TYPE = "application/vnd.skerry.lock.v1+txt"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
TITLE = "org.opencontainers.image.title"

_FORMS = {
    SBOM: (SBOM_TYPE, "sbom.cdx.json"),
    PROVENANCE: (PROVENANCE_TYPE, "provenance.intoto.json"),
    LOCK: (LOCK_TYPE, "environment.lock"),
}


@dataclass(frozen=True, slots=True)
class Referrer:
    """One artifact about an image.

    Attributes:
        data: Its manifest.
        artifact_type: What it is, as a media type.
        annotations: Those of its manifest.
        parts: Blobs that it names and that are not the image's own.
    """

    data: bytes
    artifact_type: str
    annotations: Mapping[str, str]
    parts: tuple[bytes, ...]

    @property
    def blob(self) -> Blob:
        """Its manifest's content address and size."""
        return _blob(self.data)

    @property
    def digests(self) -> frozenset[str]:
        """Everything that is stored for it."""
        return frozenset({self.blob.digest, *(_blob(part).digest for part in self.parts)})

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a list of referrers names it."""
        return {
            **_descriptor(MANIFEST_TYPE, self.blob),
            "artifactType": self.artifact_type,
            "annotations": dict(self.annotations),
        }


def store_referrers(image: str, blobs: BlobStore) -> Sequence[Referrer]:
    """Return what there is to say of an image, with all its blobs in the store.

    Raises:
        NotFoundError: The manifest is not there.
        NoSpaceError: The disk is full.
    """
    found = referrers_of(image, blobs)
    for one in found:
        for data in (*one.parts, one.data):
            blobs.put(data)
    return found


def referrers_of(image: str, blobs: BlobStore) -> Sequence[Referrer]:
    """Return what there is to say of an image; nothing is stored.

    Args:
        image: Digest of its manifest.
        blobs: Where everything is.

    Raises:
        NotFoundError: The manifest is not there.
    """
    data = blobs.read(image, limit=MAX_MANIFEST_BYTES)
    manifest = json.loads(data)
    subject = _descriptor(manifest.get("mediaType", MANIFEST_TYPE), _blob(data))
    found = []
    for name, digest in reports_named(manifest).items():
        try:
            report = blobs.read(digest, limit=MAX_REPORT_BYTES)
        except NotFoundError:
            continue  # The image was made elsewhere, and came without it.
        parts: tuple[bytes, ...] = (_EMPTY,)
        if name == PROVENANCE:
            report = _statement(image, manifest, report)
            parts = (_EMPTY, report)
        found.append(_artifact(name, _blob(report), subject, parts))
    return found


def _statement(image: str, manifest: Mapping[str, Any], predicate: bytes) -> bytes:
    titles = manifest["annotations"]
    called = f"{titles.get(TITLE, '')}:{titles.get('org.opencontainers.image.version', '')}"
    return _written(statement_of(image, called, json.loads(predicate)))


def _artifact(
    name: str, content: Blob, subject: Mapping[str, Any], parts: tuple[bytes, ...]
) -> Referrer:
    media_type, title = _FORMS[name]
    annotations = {TITLE: title}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": media_type,
        "config": _descriptor(EMPTY_TYPE, _blob(_EMPTY)),
        "layers": [{**_descriptor(media_type, content), "annotations": annotations}],
        "subject": subject,
        "annotations": annotations,
    }
    return Referrer(_written(document), media_type, annotations, parts)


def _blob(data: bytes) -> Blob:
    return Blob(Digest(f"sha256:{hashlib.sha256(data).hexdigest()}"), len(data))


def _descriptor(media_type: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
