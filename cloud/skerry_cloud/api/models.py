"""Routes for models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from skerry_cloud.api import answers
from skerry_cloud.api.auth import Person, PersonName
from skerry_cloud.api.bodies import described, json_body
from skerry_cloud.api.services import Services, Use
from skerry_cloud.registry.new_model import ModelChange, NewModel
from skerry_cloud.registry.search import PAGE, ModelFilter, search
from skerry_contract.names import ModelReference, parse_model_reference

router = APIRouter(prefix="/v1/models", dependencies=[Person])

_Labels = Annotated[tuple[str, ...], Query(max_length=100)]
_Text = Annotated[str, Query(max_length=1000)]
_Limit = Annotated[int, Query(ge=1, le=PAGE)]


def _filter(
    tag: _Labels = (),
    prop: Annotated[tuple[str, ...], Query(max_length=100, alias="property")] = (),
    framework: _Text = "",
    run_id: _Text = "",
    *,
    archived: bool = False,
    latest: bool | None = None,
) -> ModelFilter:
    return ModelFilter(
        tags=tag,
        properties=prop,
        framework=framework,
        run_id=run_id,
        archived=archived,
        latest=latest,
    )


Wanted = Annotated[ModelFilter, Depends(_filter)]
"""Type of a route's argument that gives it the filters of the URL."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """A page of models; ``next`` is the ``after`` of the page that follows, or empty."""

    models: Sequence[answers.Model]
    next: str = ""


@router.post("", status_code=201, openapi_extra=described(NewModel, "NewModel"))
def register_model(
    body: Annotated[NewModel, json_body(NewModel)], person: PersonName, services: Use
) -> answers.Model:
    """Register uploaded files as the next version of a model."""
    return answers.model(services.models.register(body, person))


@router.get("")
def list_models(
    wanted: Wanted, services: Use, after: _Text = "", limit: _Limit = PAGE
) -> ModelList:
    """Return the latest version of every model, or all, of those that fit every filter."""
    latest = True if wanted.latest is None else wanted.latest
    return _page(services, replace(wanted, latest=latest), after, limit)


@router.get("/{name}")
def list_model_versions(
    name: str, wanted: Wanted, services: Use, after: _Text = "", limit: _Limit = PAGE
) -> ModelList:
    """Return all versions of one model that fit every filter, latest first."""
    return _page(services, replace(wanted, name=name), after, limit)


@router.get("/{name}/{which}")
def get_model(name: str, which: str, services: Use) -> answers.Model:
    """Return one version of a model: a number, ``latest``, or the digest of its content."""
    return answers.model(services.models.get(_reference(name, which)))


@router.patch("/{name}/{which}", openapi_extra=described(ModelChange, "ModelChange"))
def change_model(
    name: str, which: str, body: Annotated[ModelChange, json_body(ModelChange)], services: Use
) -> answers.Model:
    """Change description and tags of a model, and add properties."""
    return answers.model(services.models.change(_reference(name, which), body))


@router.post("/{name}/{which}/archive")
def archive_model(name: str, which: str, services: Use) -> answers.Model:
    """Hide a version from lists and new builds."""
    return answers.model(services.models.archive(_reference(name, which), archived=True))


@router.post("/{name}/{which}/restore")
def restore_model(name: str, which: str, services: Use) -> answers.Model:
    """Bring an archived version back."""
    return answers.model(services.models.archive(_reference(name, which), archived=False))


@router.delete("/{name}/{which}", status_code=204)
def delete_model(name: str, which: str, services: Use) -> None:
    """Delete one version of a model that no module and no build needs."""
    services.models.delete(_reference(name, which))
    services.builds.tidy_soon()


def _reference(name: str, which: str) -> ModelReference:
    return parse_model_reference(f"{name}{'@' if ':' in which else ':'}{which}")


def _page(services: Services, wanted: ModelFilter, after: str, limit: int) -> ModelList:
    found = search(services.database, wanted, after=after, limit=limit)
    return ModelList([answers.model(one) for one in found.models], found.next)
