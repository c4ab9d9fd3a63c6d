"""What requests carry: JSON under limits, and streams of bytes."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.from_thread
from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skerry_cloud.api import errors
from skerry_contract import shape
from skerry_contract.errors import ContractError, NetworkError

T = TypeVar("T")

MAX_JSON_BYTES = 16 * 1024 * 1024
"""Largest body that is not a blob; a folder of some ten thousand files fits."""
BLOBS = ("/v1/blobs/", "/v1/uploads/")
WHOLE_BODY_S = 120.0
SILENCE_S = 60.0
"""Longest pause within the body of a blob."""


def json_body(kind: type[T]) -> Any:
    """Return the dependency that reads a request's JSON body as ``kind``."""

    async def read(request: Request) -> T:
        data = await whole_body(request)
        return shape.parse(kind, data, max_bytes=MAX_JSON_BYTES, subject="request")

    return Depends(read)


def described(kind: type[Any], title: str) -> dict[str, Any]:
    """Return what OpenAPI is told of a body that ``json_body`` reads."""
    schema = json.loads(json.dumps(shape.schema(kind, title=title)))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def whole_body(request: Request) -> bytes:
    """Return all of a body that ``BodyLimit`` bounds.

    Raises:
        NetworkError: It does not end.
    """
    try:
        with anyio.fail_after(WHOLE_BODY_S):
            return await request.body()
    except TimeoutError as error:
        raise NetworkError(f"the body did not end within {WHOLE_BODY_S:.0f} s") from error


class BodyReader:
    """The body of a request as a file, for code that runs in one of the server's worker threads."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, and none at the end."""
        if not self._rest:
            self._rest = anyio.from_thread.run(self._next)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def _next(self) -> bytes:
        try:
            with anyio.fail_after(SILENCE_S):
                async for chunk in self._chunks:
                    if chunk:
                        return chunk
        except TimeoutError as error:
            raise NetworkError(f"nothing came for {SILENCE_S:.0f} s") from error
        return b""


class BodyLimit:
    """Refuses bodies that are too large, blobs excepted: those have a limit of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting the bytes of its body."""
        if scope["type"] != "http" or scope["path"].startswith(BLOBS):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_JSON_BYTES:
            await errors.answer(_too_large(), path=scope["path"], status=413)(scope, receive, send)
            return
        await self._app(scope, _counted(receive), send)


def _counted(receive: Receive) -> Callable[[], Coroutine[Any, Any, Message]]:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_JSON_BYTES:
            raise _too_large()
        return message

    return counted


def _too_large() -> ContractError:
    return ContractError(f"more than {MAX_JSON_BYTES} bytes", subject="request")
