"""Routes for blobs, models, modules and builds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from skerry_cloud.api import answers
from skerry_cloud.api.auth import Person
from skerry_cloud.api.bodies import BodyReader, described, json_body
from skerry_cloud.api.ranges import blob_response
from skerry_cloud.api.services import Use
from skerry_cloud.builds import BuildOrder
from skerry_cloud.registry.files import MAX_FILES, File
from skerry_cloud.registry.imports import ImportOrder, read_images
from skerry_cloud.registry.models import NewModel
from skerry_contract.manifest import Name
from skerry_contract.names import Reference, check_digest
from skerry_contract.shape import Size, Text

router = APIRouter(prefix="/v1", dependencies=[Person])

Version = Annotated[int, Path(ge=0, le=999_999_999)]
"""A version in a path: no more digits than ``name:version`` may have."""
_Short = Annotated[str, Text(max_length=1000)]
_Tags = Annotated[Mapping[str, _Short], Size(0, 100, Text(max_length=100))]


@dataclass(frozen=True, slots=True)
class ModelBody:
    """What registers a model.

    Attributes:
        name: What the model is called.
        files: Its files, uploaded already.
        description: For people.
        tags: For people and for searching.
        properties: Facts, such as a metric of the training.
        framework: What it was made with.
        framework_version: And with which version of that.
    """

    name: Name
    files: Annotated[tuple[File, ...], Size(0, MAX_FILES)] = ()
    description: Annotated[str, Text(max_length=10_000)] = ""
    tags: _Tags = field(default_factory=dict)
    properties: _Tags = field(default_factory=dict)
    framework: _Short = ""
    framework_version: _Short = ""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class ModelList:
    """Several models."""

    models: Sequence[answers.Model]


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


@router.post("/models", status_code=201, openapi_extra=described(ModelBody, "ModelBody"))
def register_model(
    body: Annotated[ModelBody, json_body(ModelBody)], services: Use
) -> answers.Model:
    """Register uploaded files as the next version of a model."""
    new = NewModel(
        name=body.name,
        files=body.files,
        description=body.description,
        tags=body.tags,
        properties=body.properties,
        framework=body.framework,
        framework_version=body.framework_version,
    )
    return answers.model(services.models.register(new))


@router.get("/models")
def list_models(services: Use) -> ModelList:
    """Return the latest version of every model."""
    return ModelList([answers.model(found) for found in services.models.latest()])


@router.get("/models/{name}")
def list_model_versions(name: str, services: Use) -> ModelList:
    """Return all versions of one model, latest first."""
    return ModelList([answers.model(found) for found in services.models.versions(name)])


@router.get("/models/{name}/{version}")
def get_model(name: str, version: Version, services: Use) -> answers.Model:
    """Return one version of a model."""
    return answers.model(services.models.get(Reference(name, version)))


@router.delete("/models/{name}/{version}", status_code=204)
def delete_model(name: str, version: Version, services: Use) -> None:
    """Delete one version of a model that no module was built from."""
    services.models.delete(Reference(name, version))
    services.builds.tidy_soon()


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
