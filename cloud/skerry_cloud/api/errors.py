"""Which HTTP status an error becomes, and how it is told."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from skerry_cloud import space
from skerry_contract.errors import (
    BrokerError,
    ConflictError,
    ContractError,
    DatabaseError,
    DigestError,
    EnvironmentFileError,
    ManifestError,
    ModelError,
    NameInvalidError,
    NetworkError,
    NoSpaceError,
    NotFoundError,
    ObjectStoreError,
    ScorerError,
    SkerryError,
    UnauthorizedError,
)

log = logging.getLogger(__name__)

STATUS: Mapping[str, int] = {
    ContractError.code: 400,
    ManifestError.code: 400,
    NameInvalidError.code: 400,
    DigestError.code: 400,
    ModelError.code: 400,
    ScorerError.code: 400,
    EnvironmentFileError.code: 400,
    UnauthorizedError.code: 401,
    NotFoundError.code: 404,
    ConflictError.code: 409,
    NetworkError.code: 408,
    BrokerError.code: 503,
    DatabaseError.code: 503,
    ObjectStoreError.code: 503,
    NoSpaceError.code: 507,
}
"""Status by code; what is not here is 500."""


@dataclass(frozen=True, slots=True)
class Told:
    """Why a request was refused.

    Attributes:
        code: Stable identifier of the kind of error.
        text: What happened.
        remedy: What can be done about it; empty if nothing but waiting helps.
        detail: Longer evidence.
    """

    code: str
    text: str
    remedy: str
    detail: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The one form in which everything is refused."""

    error: Told


RESPONSES: Mapping[str, Mapping[str, Any]] = {
    "4XX": {"model": Refusal, "description": "Refused; the code says why."},
    "5XX": {"model": Refusal, "description": "The server could not do it; the code says why."},
}
"""What OpenAPI is told of every route."""

_OCI_CODES = {
    UnauthorizedError.code: "UNAUTHORIZED",
    NotFoundError.code: "MANIFEST_UNKNOWN",
    NameInvalidError.code: "NAME_INVALID",
}


def add_handlers(app: FastAPI) -> None:
    """Turn every error of ``app`` into the one form that ``docs/api.md`` gives."""
    app.add_exception_handler(SkerryError, _skerry_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(Exception, _bug)


def answer(error: SkerryError, *, path: str, status: int | None = None) -> JSONResponse:
    """Return ``error`` as an answer to a request for ``path``."""
    told = {
        "code": error.code,
        "text": error.text,
        "remedy": error.remedy,
        "detail": error.detail,
    }
    content: dict[str, Any] = {"error": told}
    if path.startswith("/v2/"):
        # What container tools look for and show.
        code = _OCI_CODES.get(error.code, "UNSUPPORTED")
        content["errors"] = [{"code": code, "message": error.text}]
    status = status or STATUS.get(error.code, 500)
    headers = {"WWW-Authenticate": 'Basic realm="skerry"'} if status == 401 else None
    return JSONResponse(content, status, headers)


async def _skerry_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SkerryError)  # noqa: S101 (this is what it is registered for)
    return answer(error, path=request.url.path)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (as above)
    first = error.errors()[0]
    where = tuple(str(step) for step in first["loc"])
    return answer(ContractError(first["msg"], where), path=request.url.path)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 (as above)
    path = request.url.path
    if error.status_code == 404:
        return answer(NotFoundError(f"there is nothing at {path}"), path=path)
    text = f"{request.method} {path}: {error.detail}"
    told = answer(ContractError(text), path=path, status=error.status_code)
    # A method that is not allowed comes with those that are.
    if error.status_code == 405:
        told.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return told


def _methods(request: Request) -> set[str]:
    """Return the methods of a path: each of its routes would name its own only."""
    found: set[str] = set()
    for template, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, request.url.path):
            found.update(method.upper() for method in operations)
    return found


async def _os_error(request: Request, error: Exception) -> JSONResponse:
    path = request.url.path
    if space.is_full(error):
        return answer(space.no_space(f"{request.method} {path} was not done"), path=path)
    return await _bug(request, error)


async def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    text = f"{request.method} {request.url.path} broke: {type(error).__name__}"
    return answer(SkerryError(text, remedy="See the server's log."), path=request.url.path)
