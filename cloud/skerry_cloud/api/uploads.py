"""Resumable uploads of blobs: tus 1.0.0 with its creation, termination and expiration extensions.

An upload's address ends in the digest that the bytes must have, so the same bytes have the same
address again, whoever sends them. Source: https://tus.io/protocols/resumable-upload.
"""

import base64
import binascii
from email.utils import formatdate
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool

from skerry_cloud.api.auth import Person
from skerry_cloud.api.bodies import BodyReader
from skerry_cloud.api.services import Use
from skerry_cloud.blobs import MAX_BLOB_BYTES
from skerry_contract.errors import ContractError

VERSION = "1.0.0"
_PIECE = "application/offset+octet-stream"
_SIZES = Header(ge=0, le=2**53)


def _check_version(response: Response, tus_resumable: Annotated[str, Header()] = VERSION) -> None:
    if tus_resumable != VERSION:
        raise ContractError(f"tus {tus_resumable:.20} is not spoken here", remedy=f"Use {VERSION}.")
    response.headers["Tus-Resumable"] = VERSION


router = APIRouter(prefix="/v1", dependencies=[Person, Depends(_check_version)])


@router.options("/uploads", status_code=204)
def describe_uploads(response: Response) -> None:
    """Tell what is spoken here."""
    response.headers["Tus-Version"] = VERSION
    response.headers["Tus-Extension"] = "creation,termination,expiration"
    response.headers["Tus-Max-Size"] = str(MAX_BLOB_BYTES)


@router.post("/uploads", status_code=201, response_class=Response)
def begin_upload(
    services: Use,
    response: Response,
    upload_length: Annotated[int, _SIZES],
    upload_metadata: Annotated[str, Header(max_length=1000)],
) -> None:
    """Begin an upload, or find one that was begun; the metadata's ``digest`` says of what."""
    digest = _digest(upload_metadata)
    found = services.uploads.begin(digest, upload_length)
    response.headers["Location"] = f"/v1/uploads/{found.digest}"
    response.headers["Upload-Offset"] = str(found.offset)
    response.headers["Upload-Expires"] = formatdate(services.uploads.expiry(), usegmt=True)


@router.head("/uploads/{digest}", response_class=Response)
def find_upload(digest: str, services: Use, response: Response) -> None:
    """Tell how far an upload has come."""
    found = services.uploads.find(digest)
    response.headers["Upload-Offset"] = str(found.offset)
    response.headers["Upload-Length"] = str(found.size)
    response.headers["Cache-Control"] = "no-store"


@router.patch("/uploads/{digest}", status_code=204, response_class=Response)
async def append_to_upload(
    digest: str,
    request: Request,
    services: Use,
    response: Response,
    upload_offset: Annotated[int, _SIZES],
) -> None:
    """Add bytes from ``Upload-Offset`` on; the last ones make it a blob."""
    if request.headers.get("content-type") != _PIECE:
        raise ContractError(f"the body is not {_PIECE}", ("Content-Type",), subject="request")
    reader = BodyReader(request.stream())
    found = await run_in_threadpool(services.uploads.append, digest, upload_offset, reader)
    response.headers["Upload-Offset"] = str(found.offset)


@router.delete("/uploads/{digest}", status_code=204, response_class=Response)
def cancel_upload(digest: str, services: Use) -> None:
    """Forget an upload."""
    services.uploads.cancel(digest)


def _digest(metadata: str) -> str:
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key == "digest":
            try:
                return base64.b64decode(value, validate=True).decode("ascii")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise ContractError("is not base64", ("digest",), subject="metadata") from error
    raise ContractError("is missing", ("digest",), subject="Upload-Metadata")
