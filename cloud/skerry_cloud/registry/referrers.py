"""What refers to an image: its reports as OCI artifacts with the image as their subject.

They are made from the image's manifest whenever somebody asks, always with the same bytes.
Source: OCI image-spec 1.1, "guidelines for artifact usage"; distribution-spec 1.1, "listing
referrers".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skerry_cloud.blobs import Blob, BlobStore
from skerry_cloud.compiler.provenance import PROVENANCE_TYPE, statement_of
from skerry_cloud.compiler.reports import LOCK, PROVENANCE, SBOM, reports_named
from skerry_cloud.compiler.sbom import SBOM_TYPE
from skerry_contract.errors import NotFoundError

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_REPORT_BYTES = 64 * 1024 * 1024
LOCK_TYPE = "application/vnd.skerry.lock.v1+txt"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
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
        blob: Its manifest.
        artifact_type: What it is, as a media type.
        annotations: Those of its manifest.
    """

    blob: Blob
    artifact_type: str
    annotations: Mapping[str, str]

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a list of referrers names it."""
        return {
            "mediaType": MANIFEST_TYPE,
            "digest": self.blob.digest,
            "size": self.blob.size,
            "artifactType": self.artifact_type,
            "annotations": dict(self.annotations),
        }


def referrers_of(image: str, blobs: BlobStore) -> Sequence[Referrer]:
    """Return what there is to say of an image, with all its blobs in the store.

    Args:
        image: Digest of its manifest.
        blobs: Where everything is.

    Raises:
        NotFoundError: The manifest is not there.
    """
    data = blobs.read(image, limit=MAX_MANIFEST_BYTES)
    manifest = json.loads(data)
    subject = _descriptor(manifest.get("mediaType", MANIFEST_TYPE), Blob(image, len(data)))  # type: ignore[arg-type]  # the store found it, so it is a digest
    found = []
    for name, digest in reports_named(manifest).items():
        try:
            content = _content(name, digest, image, manifest, blobs)
        except NotFoundError:
            continue  # The image was made elsewhere, and came without it.
        found.append(_artifact(name, content, subject, blobs))
    return found


def _content(
    name: str, digest: str, image: str, manifest: Mapping[str, Any], blobs: BlobStore
) -> Blob:
    if name != PROVENANCE:
        return Blob(digest, blobs.size(digest))  # type: ignore[arg-type]  # as above
    predicate = json.loads(blobs.read(digest, limit=MAX_REPORT_BYTES))
    titles = manifest["annotations"]
    called = f"{titles.get(TITLE, '')}:{titles.get('org.opencontainers.image.version', '')}"
    return blobs.put(_written(statement_of(image, called, predicate)))


def _artifact(name: str, content: Blob, subject: Mapping[str, Any], blobs: BlobStore) -> Referrer:
    media_type, title = _FORMS[name]
    annotations = {TITLE: title}
    empty = blobs.put(b"{}")
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": media_type,
        "config": _descriptor(EMPTY_TYPE, empty),
        "layers": [{**_descriptor(media_type, content), "annotations": annotations}],
        "subject": subject,
        "annotations": annotations,
    }
    return Referrer(blobs.put(_written(document)), media_type, annotations)


def _descriptor(media_type: str, blob: Blob) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
