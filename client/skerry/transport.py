"""HTTP to the cloud: bounded in time and size, repeated where that is harmless, errors as ours.

Only ``GET``, ``HEAD`` and ``PUT`` are repeated: the cloud promises that repeating them changes
nothing. What a ``POST`` did before its connection broke is not known, so people decide.
"""

import json
import random
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from skerry.login import Login
from skerry_contract import shape
from skerry_contract.errors import (
    ContractError,
    DigestError,
    NetworkError,
    NotFoundError,
    SkerryError,
    UnauthorizedError,
    family,
)

T = TypeVar("T")

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Largest JSON answer that is read."""
CHUNK_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
"""Longest silence on a connection, not the length of the whole answer."""
TRIES = 4
_LOGIN_REMEDY = "Run 'skerry login URL --token TOKEN' with the token of the server's login file."
_RANDOM = random.SystemRandom()
_REPEATABLE = frozenset({"GET", "HEAD", "PUT"})
_PASSING = frozenset({502, 503, 504})
_KINDS = {kind.code: kind for kind in family()}


class Pieces:
    """A body of known length that is made while it is sent.

    Args:
        pieces: Its bytes.
        size: How many.
    """

    def __init__(self, pieces: Iterator[bytes], size: int) -> None:
        self._pieces = pieces
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Let go of what the pieces are made from."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the cloud.

    Attributes:
        method: HTTP method.
        path: Path and no query, such as ``/v1/models``.
        query: Parameters; those that are None are left out.
        body: Bytes, or a factory of a file or of pieces, which is called anew for each try.
        content_type: Media type of the body.
        headers: Further headers.
        read_timeout_s: Longest silence, in seconds.
        connect_timeout_s: Longest that connecting, or sending one piece of the body, may take.
    """

    method: str
    path: str
    query: Mapping[str, str | int | float | Sequence[str] | None] | None = None
    body: bytes | Callable[[], IO[bytes] | Pieces] | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    read_timeout_s: float = READ_TIMEOUT_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S


class Transport:
    """Carries requests to one server.

    Args:
        login: Which server, with which token.
        pause: Waits the given number of seconds between two tries.
    """

    def __init__(self, login: Login, pause: Callable[[float], None] = time.sleep) -> None:
        self.url = login.url
        self._pause = pause
        self._http = requests.Session()
        self._http.auth = _Bearer(login.token)
        if login.ca:
            self._http.mount("https://", _PinnedAdapter(login.ca))

    def ask(self, kind: type[T], request: Request) -> T:
        """Return the JSON answer to ``request`` as ``kind``.

        Raises:
            NetworkError: The server could not be reached, or answered with nonsense.
            SkerryError: It refused; the kind of error is the one that it named.
        """
        with self.open(request) as response:
            data = _bounded(response, MAX_ANSWER_BYTES)
        try:
            subject = f"answer to {request.method} {request.path}"
            return shape.parse(kind, data, max_bytes=MAX_ANSWER_BYTES, subject=subject)
        except ContractError as error:
            remedy = "Is the address right, and is the server as new as this command?"
            raise NetworkError(f"{self.url}: {error.text}", remedy=remedy) from error

    def send(self, request: Request) -> None:
        """Carry out ``request`` and pass over its answer.

        Raises:
            NetworkError, SkerryError: As ``ask``.
        """
        with self.open(request):
            pass

    def headers(self, request: Request) -> Mapping[str, str]:
        """Carry out ``request`` and return the headers of its answer.

        Raises:
            NetworkError, SkerryError: As ``ask``.
        """
        with self.open(request) as response:
            return response.headers

    def exists(self, path: str) -> bool:
        """Tell whether ``path`` is there.

        Raises:
            NetworkError, SkerryError: As ``ask``.
        """
        try:
            self.send(Request("HEAD", path))
        except NotFoundError:
            return False
        return True

    def copy(self, path: str, sink: Callable[[bytes], object], *, max_bytes: int) -> None:
        """Hand the bytes at ``path`` to ``sink`` in pieces.

        Raises:
            DigestError: There are more than ``max_bytes`` of them; the rest is not read.
            NetworkError, SkerryError: As ``ask``; pieces may have been handed over by then.
        """
        with self.open(Request("GET", path)) as response:
            left = max_bytes
            for piece in _pieces(response):
                left -= len(piece)
                if left < 0:
                    raise DigestError(f"{self.url}{path} is longer than the promised {max_bytes} B")
                sink(piece)

    def read(self, path: str, *, max_bytes: int) -> tuple[bytes, str]:
        """Return the bytes at ``path`` and their media type.

        Raises:
            NetworkError: There are more than ``max_bytes`` of them.
            SkerryError: As ``ask``.
        """
        with self.open(Request("GET", path)) as response:
            media_type = response.headers.get("Content-Type", "").partition(";")[0]
            return _bounded(response, max_bytes), media_type

    @contextmanager
    def open(self, request: Request) -> Iterator[requests.Response]:
        """Yield the good answer to ``request``, its body unread, and close it afterwards."""
        response = self._try(request)
        try:
            if response.status_code >= 300:
                raise _refusal(response, request)
            yield response
        finally:
            response.close()

    def _try(self, request: Request) -> requests.Response:
        tries = TRIES if request.method in _REPEATABLE else 1
        for attempt in range(1, tries + 1):
            try:
                response = self._once(request)
            except (requests.ConnectionError, requests.Timeout) as error:
                if attempt == tries:
                    raise _unreachable(self.url, error) from error
            except (requests.RequestException, OSError) as error:
                raise NetworkError(f"{request.method} {self.url}{request.path}: {error}") from error
            else:
                if response.status_code not in _PASSING or attempt == tries:
                    return response
                response.close()
            # Full jitter: many clients that lost one server do not come back together.
            self._pause(_RANDOM.uniform(0.0, 0.5 * 2**attempt))
        raise AssertionError("the last try returns or raises")

    def _once(self, request: Request) -> requests.Response:
        body = request.body() if callable(request.body) else request.body
        try:
            return self._http.request(
                request.method,
                self.url + request.path,
                params=dict(request.query or {}),
                data=body,
                headers={**_content_type(request, body), **request.headers},
                timeout=(request.connect_timeout_s, request.read_timeout_s),
                allow_redirects=False,
                stream=True,
            )
        finally:
            if body is not None and not isinstance(body, bytes):
                body.close()


def _content_type(request: Request, body: object) -> dict[str, str]:
    return {} if body is None else {"Content-Type": request.content_type}


class _Bearer(AuthBase):
    """Sends the token; without an auth object, requests would prefer ``~/.netrc``'s."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _PinnedAdapter(HTTPAdapter):
    """Believes the given certificates and no others."""

    def __init__(self, pem: str) -> None:
        try:
            self._context = ssl.create_default_context(cadata=pem)
        except ssl.SSLError as error:
            raise UnauthorizedError(f"the login's certificates are not usable: {error}") from error
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> Any:
        """Connect with our own idea of whom to believe, whatever the environment says."""
        found = super().build_connection_pool_key_attributes(request, *args, **kwargs)
        return found[0], {"ssl_context": self._context}

    def cert_verify(self, *_args: Any, **_kwargs: Any) -> None:
        """Leave it to the context: the default would add more certificates."""


def error_from(document: Any, *, fallback: str) -> SkerryError:
    """Return the error that a server's ``{"error": {…}}`` stands for.

    Args:
        document: What the server sent, parsed; anything at all.
        fallback: The text to use where there is none.
    """
    found = document.get("error") if isinstance(document, dict) else None
    parts = found if isinstance(found, dict) else {}
    text, remedy, detail = (str(parts.get(key) or "") for key in ("text", "remedy", "detail"))
    kind = _KINDS.get(str(parts.get("code")), SkerryError)
    if issubclass(kind, ContractError):
        # Its constructor takes a path, which is part of the text by now.
        error: SkerryError = kind(text or fallback, remedy=remedy)
        error.detail = detail
        return error
    return kind(text or fallback, remedy=remedy, detail=detail)


def _refusal(response: requests.Response, request: Request) -> SkerryError:
    status = f"{request.method} {request.path} was answered with status {response.status_code}"
    try:
        document = json.loads(_bounded(response, MAX_ANSWER_BYTES))
    except (ValueError, SkerryError):
        document = None
    error = error_from(document, fallback=status)
    if isinstance(error, UnauthorizedError):
        # The server does not know who asked: to devices it says to flash anew.
        error.remedy = _LOGIN_REMEDY
    if type(error) is not SkerryError or "error" in (document or {}):
        return error
    # HEAD has no body, and what stands between us and the server speaks HTTP only.
    if response.status_code in (401, 403):
        return UnauthorizedError(status, remedy=_LOGIN_REMEDY)
    if response.status_code == 404:
        return NotFoundError(status)
    return NetworkError(status, remedy="Is the address right? See the server's log.")


def _unreachable(url: str, error: Exception) -> NetworkError:
    return NetworkError(
        f"the server at {url} cannot be reached: {_root_cause(error)}",
        remedy="Is it running ('skerry up'), and does the login point to it?",
    )


def _root_cause(error: BaseException) -> str:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error) or type(error).__name__


def _bounded(response: requests.Response, limit: int) -> bytes:
    data = bytearray()
    for piece in _pieces(response):
        data += piece
        if len(data) > limit:
            raise NetworkError(f"{response.url} answers with more than {limit} bytes")
    return bytes(data)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK_BYTES)
    except requests.RequestException as error:
        raise NetworkError(f"{response.url} broke off: {_root_cause(error)}") from error
