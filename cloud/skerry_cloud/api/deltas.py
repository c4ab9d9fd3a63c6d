"""Differences between the layers that a device has and those that it wants."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from skerry_cloud.api.auth import Anyone
from skerry_cloud.api.ranges import blob_response
from skerry_cloud.api.services import Use
from skerry_cloud.deltas.choice import choose
from skerry_cloud.deltas.service import AGAIN_S, Making
from skerry_contract import shape
from skerry_contract.delta import MEDIA_TYPE
from skerry_contract.errors import NotFoundError
from skerry_contract.names import check_digest

router = APIRouter(prefix="/v1/deltas", dependencies=[Anyone])


@router.get("/{name}/{digest}", response_class=JSONResponse)
def find_delta(
    name: str,
    digest: str,
    services: Use,
    have: Annotated[list[str], Query(max_length=64)],
) -> JSONResponse:
    """Offer a delta that makes a layer of a module from one of those that the device has.

    202 while it is being made.
    """
    for one in (digest, *have):
        check_digest(one)
    pair = choose(services.modules.versions(name), digest, have)
    found = services.deltas.find(*pair) if pair else None
    if found is None:
        raise NotFoundError(f"there is no delta to layer {digest} of module {name}")
    if isinstance(found, Making):
        return JSONResponse({"making": True}, 202, headers={"Retry-After": str(AGAIN_S)})
    return JSONResponse(shape.write(found))


@router.head("/{digest}", response_class=Response)
@router.get("/{digest}", response_class=Response)
def get_delta(digest: str, request: Request, services: Use) -> Response:
    """Return a delta, whole or a range of it."""
    return blob_response(request, services.deltas.kept, digest, MEDIA_TYPE)
