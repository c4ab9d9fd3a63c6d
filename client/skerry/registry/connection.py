"""HTTP to a registry: repeated where that is harmless, with its tokens, its errors in words."""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase

from skerry.registry.authorization import Authorization
from skerry_contract.errors import NetworkError, RegistryError, UnauthorizedError

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 120.0
"""Longest silence; a registry may verify and copy what it was sent before it answers."""
TRIES = 5
MAX_PAUSE_S = 30.0
MAX_ANSWER_BYTES = 4 * 1024 * 1024
_PASSING = frozenset({429, 500, 502, 503, 504})
_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a registry.

    Attributes:
        method: HTTP method.
        where: Path below the registry, or an address that the registry gave.
        headers: More headers.
        body: What to send.
        query: Parameters that are added to those of ``where``.
        repeat: Whether sending it again changes nothing.
    """

    method: str
    where: str
    headers: Mapping[str, str] | None = None
    body: bytes | None = None
    query: Mapping[str, str] | None = None
    repeat: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry said, its body read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Talks to one registry.

    Args:
        url: Its scheme and host: ``https://registry.example.org``.
        authorization: Says who we are.
        ca: PEM file of whom to believe; None for those that the machine believes.
        pause: Waits the given number of seconds between two tries.
    """

    def __init__(
        self,
        url: str,
        authorization: Authorization,
        *,
        ca: str | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._authorization = authorization
        self._pause = pause
        self._http = requests.Session()
        self._http.verify = ca or True

    def call(self, call: Call, *expected: int) -> Answer:
        """Return the answer to ``call``.

        Raises:
            UnauthorizedError: The registry does not let us.
            RegistryError: Its status is none of those ``expected``.
            NetworkError: It could not be reached.
        """
        answer = self._authorized(call)
        if answer.status in expected:
            return answer
        told = (
            f"{call.method} {self.url}{urlsplit(call.where).path} was answered with {answer.status}"
        )
        reason = _reason(answer)
        text = f"{told}: {reason}" if reason else told
        if answer.status in (401, 403):
            raise UnauthorizedError(
                text, remedy="Run 'docker login', or give --username and --password-stdin."
            )
        raise RegistryError(text, remedy="Does the registry take what was sent? See its log.")

    def copy(self, where: str, sink: Callable[[bytes], object], *, max_bytes: int) -> None:
        """Hand the bytes at ``where`` to ``sink``.

        Args:
            where: Path below the registry.
            sink: Takes the bytes.
            max_bytes: Refuse more than these.

        Raises:
            RegistryError: The registry has something else there.
            NetworkError: The way broke; pieces may have been handed over.
        """
        # Who we are is settled by a request without a body.
        self.call(Call("HEAD", where), 200)
        try:
            self._copy(where, sink, max_bytes)
        except requests.RequestException as error:
            raise NetworkError(f"{self.url}{where} broke off: {error}") from error

    def _copy(self, where: str, sink: Callable[[bytes], object], max_bytes: int) -> None:
        with self._http.get(
            self.absolute(where),
            auth=_Header(self._authorization.header),
            verify=self._http.verify,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            stream=True,
        ) as response:
            if response.status_code != 200:
                raise RegistryError(f"{self.url}{where} was answered with {response.status_code}")
            left = max_bytes
            for piece in response.iter_content(256 * 1024):
                left -= len(piece)
                if left < 0:
                    raise RegistryError(f"{self.url}{where} has more than {max_bytes} bytes")
                sink(piece)

    def rest(self, attempt: int, asked_s: float = 0.0) -> None:
        """Wait before another try, the longer the more there were.

        Args:
            attempt: Number of the try that failed, from 1.
            asked_s: Seconds that the registry asked for.
        """
        # Full jitter: many that lost one registry do not come back together.
        self._pause(min(MAX_PAUSE_S, asked_s + _RANDOM.uniform(0.0, 0.5 * 2**attempt)))

    def absolute(self, where: str) -> str:
        """Return the whole address of a path or of what the registry answered with."""
        return urljoin(f"{self.url}/", where)

    def _authorized(self, call: Call) -> Answer:
        answer = self._tried(call)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status == 401 and self._authorization.answer(challenge, self._http):
            answer = self._tried(call)
        return answer

    def _tried(self, call: Call) -> Answer:
        tries = TRIES if call.repeat else 1
        for attempt in range(1, tries + 1):
            asked_s = 0.0
            try:
                answer = self._once(call)
            except requests.exceptions.SSLError as error:
                raise NetworkError(
                    f"{self.url}: {error}", remedy="Give its certificate authority with --ca."
                ) from error
            except requests.RequestException as error:
                if attempt == tries:
                    raise NetworkError(f"{self.url} cannot be reached: {error}") from error
            else:
                if answer.status not in _PASSING or attempt == tries:
                    return answer
                asked_s = _retry_after_s(answer.headers.get("Retry-After", ""))
            self.rest(attempt, asked_s)
        raise AssertionError("the last try returns or raises")

    def _once(self, call: Call) -> Answer:
        url = self.absolute(call.where)
        header = self._authorization.header if _same_place(url, self.url) else ""
        with self._http.request(
            call.method,
            url,
            params=dict(call.query or {}),
            data=call.body,
            headers=dict(call.headers or {}),
            auth=_Header(header),
            # Said with each request, or the environment's idea of whom to believe would win.
            verify=self._http.verify,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            allow_redirects=call.method in ("GET", "HEAD"),
            stream=True,
        ) as response:
            body = b"" if call.method == "HEAD" else bounded(response, MAX_ANSWER_BYTES)
            return Answer(response.status_code, response.headers, body)


def bounded(response: requests.Response, limit: int) -> bytes:
    """Return the body of an answer.

    Raises:
        RegistryError: It has more than ``limit`` bytes.
    """
    data = bytearray()
    for piece in response.iter_content(64 * 1024):
        data += piece
        if len(data) > limit:
            raise RegistryError(f"{response.url} answers with more than {limit} bytes")
    return bytes(data)


class _Header(AuthBase):
    """Sends what was decided; without an auth object, requests would look into ``~/.netrc``."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request


def _same_place(url: str, other: str) -> bool:
    """Tell whether two addresses are of the same server: a token is for nobody else."""
    return urlsplit(url)[:2] == urlsplit(other)[:2]


def _retry_after_s(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _reason(answer: Answer) -> str:
    try:
        document: Any = json.loads(answer.body)
        found = document["errors"][0]
        return f"{found.get('code', '')} {found.get('message', '')}".strip()[:500]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""
