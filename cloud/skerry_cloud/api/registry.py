"""Routes for blobs, modules and builds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from skerry_cloud.api import answers
from skerry_cloud.api.auth import Person
from skerry_cloud.api.bodies import BodyReader, described, json_body
from skerry_cloud.api.ranges import blob_response
from skerry_cloud.api.services import Use
from skerry_cloud.builds import BuildOrder
from skerry_cloud.registry.imports import ImportOrder, read_images
from skerry_contract.names import Reference, check_digest

router = APIRouter(prefix="/v1", dependencies=[Person])

Version = Annotated[int, Path(ge=0, le=999_999_999)]
"""A version in a path: no more digits than ``name:version`` may have."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class ModuleList:
    """Several modules."""

    modules: Sequence[answers.Module]


@router.head("/blobs/{digest}", response_class=Response)
@router.get("/blobs/{digest}", response_class=Response)
def get_blob(digest: str, request: Request, services: Use) -> Response:
    """Return the bytes of a blob, or a range of them."""
    # Who finds that it is here does not upload it again, so it must stay for a while.
    services.blobs.has(digest)
    return blob_response(request, services.blobs, digest, "application/octet-stream")


@router.put("/blobs/{digest}")
async def put_blob(digest: str, request: Request, services: Use) -> Blob:
    """Store bytes that must hash to ``digest``; repeating it is harmless."""
    expected = check_digest(digest)
    reader = BodyReader(request.stream())
    stored = await run_in_threadpool(services.blobs.put, reader, expected)
    return Blob(stored.digest, stored.size)


@router.post("/modules", status_code=202, openapi_extra=described(BuildOrder, "BuildOrder"))
def build_module(
    body: Annotated[BuildOrder, json_body(BuildOrder)], services: Use
) -> answers.Build:
    """Start to build the next version of a module."""
    return answers.build(services.builds.order(body))


@router.post(
    "/modules/import", status_code=201, openapi_extra=described(ImportOrder, "ImportOrder")
)
def import_module(
    body: Annotated[ImportOrder, json_body(ImportOrder)], services: Use
) -> answers.Module:
    """Take uploaded images that were made elsewhere as the next version of a module."""
    images = read_images(body.images, services.blobs)
    return answers.module(services.modules.add(body.name, images))


@router.get("/builds/{build}")
def get_build(build: str, services: Use, after: Annotated[int, Query(ge=0)] = 0) -> answers.Build:
    """Return a build and the lines of its log that follow line ``after``."""
    return answers.build(services.builds.get(build, after=after))


@router.get("/modules")
def list_modules(services: Use) -> ModuleList:
    """Return the latest version of every module."""
    return ModuleList([answers.module(found) for found in services.modules.latest()])


@router.get("/modules/{name}")
def list_module_versions(name: str, services: Use) -> ModuleList:
    """Return all versions of one module, latest first."""
    return ModuleList([answers.module(found) for found in services.modules.versions(name)])


@router.get("/modules/{name}/{version}")
def get_module(name: str, version: Version, services: Use) -> answers.Module:
    """Return one version of a module."""
    return answers.module(services.modules.get(Reference(name, version)))


@router.delete("/modules/{name}/{version}", status_code=204)
def delete_module(name: str, version: Version, services: Use) -> None:
    """Delete one version of a module that no deployment uses."""
    services.modules.delete(Reference(name, version))
    services.builds.tidy_soon()
