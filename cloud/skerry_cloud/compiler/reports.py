"""What an image says of itself: bill of materials, provenance and lock, as blobs beside it.

The image's manifest names them by digest, in annotations. So they are as firm as the image, an
engine that pulls it does not fetch them, and they are no layer.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skerry_cloud.blobs import BlobStore
from skerry_cloud.compiler.inventory import take_inventory
from skerry_cloud.compiler.provenance import predicate_of
from skerry_cloud.compiler.request import BuildRequest, Layer
from skerry_cloud.compiler.sbom import sbom_of

SBOM = "io.skerry.sbom"
PROVENANCE = "io.skerry.provenance"
LOCK = "io.skerry.lock"
REPORTS = (SBOM, PROVENANCE, LOCK)
"""Annotations whose values are digests of blobs that belong to the image."""


def store_reports(
    request: BuildRequest,
    layers: Sequence[Layer],
    blobs: BlobStore,
    records: Path,
    tree: Path | None = None,
) -> Mapping[str, str]:
    """Store what there is to say of an image, and return its digests by annotation.

    Args:
        request: What the image was made of.
        layers: Its layers, lowest first.
        blobs: Where they are, and where the reports go.
        records: Folder that remembers what was found in a layer.
        tree: Where a given base is laid out, all its layers as one root.

    Raises:
        NotFoundError: A layer is not in the blob store.
        NoSpaceError: The disk is full.
    """
    kinds = ("environment",) if tree else ("base", "environment")
    installed = [layer for layer in layers if layer.kind in kinds]
    found = take_inventory(installed, blobs, records, tree)
    reports: dict[str, str] = {}
    if found.lock:
        reports[LOCK] = blobs.put(found.lock.encode()).digest
    reports[SBOM] = blobs.put(_written(sbom_of(request, layers, found))).digest
    predicate = predicate_of(request, layers, reports.get(LOCK, ""))
    reports[PROVENANCE] = blobs.put(_written(predicate)).digest
    return reports


def reports_named(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of an image's reports, by annotation of its manifest."""
    named = manifest.get("annotations") or {}
    return {name: named[name] for name in REPORTS if isinstance(named.get(name), str)}


def _written(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode()
