"""The OCI distribution API, read-only: what container tools and agents pull modules from.

A module is a repository, its versions are tags. Built for one platform, a tag is that image's
manifest; for several it is an index of them. Source: OCI distribution-spec 1.1, "pull" and
"content discovery".
"""

import json
from collections.abc import Collection, Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from skerry_cloud.api.auth import Anyone
from skerry_cloud.api.ranges import blob_response
from skerry_cloud.api.services import Services, Use
from skerry_cloud.registry.modules import Module
from skerry_cloud.registry.referrers import store_referrers
from skerry_contract import shape
from skerry_contract.errors import NotFoundError, SkerryError
from skerry_contract.names import check_digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024

router = APIRouter(prefix="/v2", dependencies=[Anyone])


@router.head("/", response_class=JSONResponse)
@router.get("/", response_class=JSONResponse)
def is_there() -> JSONResponse:
    """Tell that this is a registry, and that the credentials are good."""
    return JSONResponse({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})


@router.get("/{name}/tags/list", response_class=JSONResponse)
def list_tags(
    name: str,
    services: Use,
    n: Annotated[int | None, Query(ge=0)] = None,
    last: Annotated[str, Query(max_length=128)] = "",
) -> JSONResponse:
    """Return the versions of a module, in lexical order as the specification wants it."""
    found = services.modules.versions(name)
    tags = sorted(str(module.reference.version) for module in found)
    rest = [tag for tag in tags if tag > last]
    page = rest if n is None else rest[:n]
    headers = {}
    if page and len(page) < len(rest):
        headers["Link"] = f'</v2/{name}/tags/list?n={n}&last={page[-1]}>; rel="next"'
    return JSONResponse({"name": name, "tags": page}, headers=headers)


@router.head("/{name}/manifests/{reference}", response_class=Response)
@router.get("/{name}/manifests/{reference}", response_class=Response)
def get_manifest(name: str, reference: str, request: Request, services: Use) -> Response:
    """Return a manifest or index, byte for byte as its digest was made."""
    found = services.modules.versions(name)
    digests = _images(found)
    if reference in digests:
        return blob_response(request, services.blobs, reference, _media_type(services, reference))
    if _is_referrer(reference, digests, services):
        return blob_response(request, services.blobs, reference, MANIFEST)
    for module in found:
        if reference == str(module.reference.version):
            return _tagged(module, request, services)
        if len(module.images) > 1 and reference == services.blobs.put(_index(module)).digest:
            return blob_response(request, services.blobs, reference, INDEX)
    raise NotFoundError(f"module {name} has no manifest {reference!r:.100}")


@router.get("/{name}/referrers/{digest}", response_class=Response)
def list_referrers(
    name: str,
    digest: str,
    services: Use,
    artifact_type: Annotated[str, Query(alias="artifactType", max_length=255)] = "",
) -> Response:
    """Return an index of what refers to an image: bill of materials, provenance, lock."""
    check_digest(digest)
    images = _images(services.modules.versions(name))
    found = store_referrers(digest, services.blobs) if digest in images else ()
    chosen = [one.descriptor for one in found if artifact_type in ("", one.artifact_type)]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": chosen}
    headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
    return Response(json.dumps(index), headers=headers, media_type=INDEX)


@router.head("/{name}/blobs/{digest}", response_class=Response)
@router.get("/{name}/blobs/{digest}", response_class=Response)
def get_blob(name: str, digest: str, request: Request, services: Use) -> Response:
    """Return a blob of a module, whole or a range of it."""
    services.modules.versions(name)
    return blob_response(request, services.blobs, digest, "application/octet-stream")


def _tagged(module: Module, request: Request, services: Services) -> Response:
    images = list(module.images.values())
    if len(images) == 1:
        digest = str(images[0].digest)
        return blob_response(request, services.blobs, digest, _media_type(services, digest))
    index = services.blobs.put(_index(module))
    return blob_response(request, services.blobs, index.digest, INDEX)


def _images(found: Iterable[Module]) -> set[str]:
    return {one.digest for module in found for one in module.images.values()}


def _is_referrer(reference: str, images: Collection[str], services: Services) -> bool:
    """Tell whether this is an artifact about one of these images, and not just any bytes."""
    try:
        document = json.loads(services.blobs.read(reference, limit=_MAX_MANIFEST_BYTES))
        subject = document["subject"]["digest"]
    except (SkerryError, ValueError, KeyError, TypeError):
        return False
    if subject not in images:
        return False
    return reference in {one.blob.digest for one in store_referrers(subject, services.blobs)}


def _index(module: Module) -> bytes:
    """Return the index over a module's images; the same module always gives the same bytes."""
    manifests = []
    for platform, image in sorted(module.images.items()):
        os, architecture, *variant = platform.split("/")
        described: dict[str, Any] = {"architecture": architecture, "os": os}
        if variant:
            described["variant"] = variant[0]
        entry = {"mediaType": MANIFEST, "digest": image.digest, "size": image.size}
        manifests.append({**entry, "platform": described})
    value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _media_type(services: Services, digest: str) -> str:
    data = services.blobs.read(digest, limit=_MAX_MANIFEST_BYTES)
    value = shape.load(data, max_bytes=_MAX_MANIFEST_BYTES, subject=digest)
    found = value.get("mediaType") if isinstance(value, dict) else None
    return found if isinstance(found, str) else MANIFEST
