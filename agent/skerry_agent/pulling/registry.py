"""A registry as a device reads it: bytes by digest, from any place on, whoever has them.

The cloud wants the device's own token; any other registry wants none, a password, or a token that
its token server gives for one. Redirects are followed, for registries keep blobs elsewhere, but no
secret goes to another host than it is meant for, and nothing goes from TLS into the clear. None of
this is trusted: digests decide what the bytes are worth.

Sources: OCI distribution specification 1.1, "Pulling blobs"; RFC 9110, section 14 (ranges); the
distribution project's "Token Authentication Specification".
"""

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from skerry_agent.core.answers import Challenge, challenge_of, retry_after_s, starts_at
from skerry_agent.core.route import Url, parse_url, proxy_for, redirected
from skerry_agent.pulling.wire import Charge, Limits, Route, Wire, connected, translated
from skerry_contract.errors import ContractError, RegistryError, SkerryError, UnauthorizedError

MOST_REDIRECTS = 4
"""Redirects that are followed for one request."""
OCTETS = "application/octet-stream"


class RangeRefusedError(Exception):
    """The server does not go on from where it was asked to: begin with the first byte."""


class Login(Protocol):
    """Knows what to show a registry."""

    def authorization(self, scope: str) -> str:
        """Return the value of ``Authorization`` for a repository, or nothing."""
        ...

    def answer(self, challenge: Challenge, scope: str, asker: "Asker") -> bool:
        """Get what a challenge asks for, through ``asker``; return whether to ask again."""
        ...


class Asker(Protocol):
    """Gets a small document for a login."""

    def fetch(self, url: Url, headers: Mapping[str, str]) -> bytes:
        """Return the body of a 200.

        Raises:
            NetworkError: There is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """The login at the fleet's own cloud.

    Attributes:
        token: The device's secret.
    """

    token: str = field(repr=False)

    def authorization(self, scope: str) -> str:
        """Return the token; the cloud knows what it may read."""
        del scope
        return f"Bearer {self.token}"

    def answer(self, challenge: Challenge, scope: str, asker: Asker) -> bool:
        """Have nothing else to show."""
        del challenge, scope, asker
        return False


@dataclass(frozen=True, slots=True)
class Transport:
    """What all connections of this device have in common.

    Attributes:
        ca: Certificates to believe, in PEM; None for those of the system.
        proxy: Setting of a proxy, see ``core.route.proxy_for``.
        environment: Variables that may name a proxy.
        limit_bytes_s: Bytes a second that will be read; 0 for no limit.
        charge: Is told what crosses the network.
    """

    ca: Path | None = None
    proxy: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    limit_bytes_s: float = 0.0
    charge: Charge = lambda _sent, _received: None


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of a blob on their way.

    Attributes:
        offset: Place in the blob of the first of them: 0 unless a range was granted.
        length: How many the server said will come, or None if it did not.
        response: Where they come from.
        wire: The connection.
        subject: What they are, for an error's text.
        limits: When to give up.
    """

    offset: int
    length: int | None
    response: http.client.HTTPResponse
    wire: Wire
    subject: str
    limits: Limits

    def chunks(self, chunk_bytes: int) -> Iterator[bytes]:
        """Yield what comes as it comes, in pieces of at most ``chunk_bytes``.

        Raises:
            NetworkError: The connection was lost, or it took too long.
            PullCancelledError: Somebody cancelled.
        """
        while piece := self._next(chunk_bytes):
            yield piece

    def _next(self, chunk_bytes: int) -> bytes:
        self.limits.check(self.subject)
        with translated(self.subject, self.limits):
            # Not read(): that waits until all of chunk_bytes came, however slowly.
            return self.response.read1(chunk_bytes)


class Registry:
    """Reads from one registry.

    Args:
        url: Its base address, ``http://`` or ``https://``, without ``/v2``.
        login: What to show it.
        transport: How to connect.
        repository: Name of a module's repository; ``{name}`` stands for the module's name.

    Attributes:
        host: Its host and port, for an error's text.

    Raises:
        ContractError: ``url`` is no such URL.
    """

    def __init__(
        self, url: str, login: Login, transport: Transport, *, repository: str = "{name}"
    ) -> None:
        self._url = parse_url(url.rstrip("/"), subject="registry")
        self.host = self._url.netloc
        self._login = login
        self._transport = transport
        self._repository = repository
        self._tls: ssl.SSLContext | None = None

    def path(self, name: str, rest: str) -> str:
        """Return the path of something in a module's repository: ``v2/cam/blobs/sha256:…``."""
        return f"v2/{self._repository.replace('{name}', name)}/{rest}"

    @contextmanager
    def get(
        self, path: str, *, limits: Limits, offset: int = 0, size: int = 0, accept: str = OCTETS
    ) -> Iterator[Body]:
        """Ask for ``path`` from byte ``offset`` on, and yield what the server gives.

        The server may ignore ``offset``; ``Body.offset`` says what it did.

        Args:
            path: Path below the base address.
            limits: When to give up.
            offset: First byte wanted, at least 0.
            size: Bytes of the whole; only looked at if ``offset`` is above 0.
            accept: Media type wanted.

        Raises:
            NetworkError: The connection failed, or took too long.
            RangeRefusedError: The server does not go on from ``offset``.
            RegistryError: The server answered with something else.
            UnauthorizedError: What we have to show is not good there.
            PullCancelledError: Somebody cancelled.
        """
        subject = f"{path} from {self.host}"
        headers = {"Accept": accept, "Accept-Encoding": "identity", "Connection": "close"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        target = parse_url(f"{str(self._url).rstrip('/')}/{path}", subject=subject)
        with ExitStack() as stack:
            wire, response = self._follow(target, headers, limits, subject, stack)
            wire.give_up = limits.deadline
            start = _start(response, offset, size, subject)
            yield Body(start, response.length, response, wire, subject, limits)

    def _follow(
        self, url: Url, headers: dict[str, str], limits: Limits, subject: str, stack: ExitStack
    ) -> tuple[Wire, http.client.HTTPResponse]:
        """Ask, meet a challenge, and go where redirects lead."""
        scope, asker, met = _scope_of(url.path), _Asker(self, limits, subject), False
        for _ in range(MOST_REDIRECTS + 1):
            # A secret goes to its own host and to no other.
            ours = url.origin == self._url.origin
            shown = self._login.authorization(scope) if ours else ""
            asked = {**headers, "Authorization": shown} if shown else headers
            wire = stack.enter_context(self._connected(url, limits, subject))
            with translated(subject, limits):
                response = wire.request(url.path, asked)
            if response.status == 401 and ours and not met:
                met = True
                challenge = challenge_of(response.getheader("WWW-Authenticate", ""))
                if challenge is None or not self._login.answer(challenge, scope, asker):
                    return wire, response
            elif response.status in (301, 302, 303, 307, 308):
                try:
                    location = response.getheader("Location", "")
                    url = redirected(url, location, subject=subject)
                except ContractError as error:
                    raise RegistryError(error.text) from error
            else:
                return wire, response
            stack.close()
        raise RegistryError(f"{subject}: more than {MOST_REDIRECTS} redirects")

    def _connected(self, url: Url, limits: Limits, subject: str) -> AbstractContextManager[Wire]:
        transport = self._transport
        proxy = proxy_for(url, transport.proxy, transport.environment)
        if url.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context(cafile=transport.ca)
            if transport.ca is not None:
                # Where blobs are kept may be somebody known to the world, and not to the fleet.
                self._tls.load_default_certs()
        tls = self._tls if url.scheme == "https" else None
        route = Route(url, tls, proxy, transport.limit_bytes_s)
        return connected(route, limits, transport.charge, subject)

    def document(self, url: Url, headers: Mapping[str, str], limits: Limits, subject: str) -> bytes:
        """Return a small document from anywhere, such as a token.

        Raises:
            NetworkError: There is none.
        """
        with self._connected(url, limits, subject) as wire:
            with translated(subject, limits):
                response = wire.request(url.path, {**headers, "Connection": "close"})
                data = response.read(_MOST_DOCUMENT_BYTES + 1)
            if response.status != 200 or len(data) > _MOST_DOCUMENT_BYTES:
                raise _refusal(response, f"{url.origin} (asked for {subject})")
        return data


_MOST_DOCUMENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Asker:
    registry: Registry
    limits: Limits
    subject: str

    def fetch(self, url: Url, headers: Mapping[str, str]) -> bytes:
        return self.registry.document(url, headers, self.limits, self.subject)


def _scope_of(path: str) -> str:
    """Return what a token must allow so that ``path`` can be read."""
    repository = path.partition("/v2/")[2].rpartition("/blobs/")[0]
    repository = repository or path.partition("/v2/")[2].rpartition("/manifests/")[0]
    return f"repository:{repository}:pull" if repository else ""


def _start(response: http.client.HTTPResponse, offset: int, size: int, subject: str) -> int:
    """Judge an answer's status and headers, and return at which byte its body begins.

    Raises:
        RangeRefusedError: The range is not the one that was asked for.
        UnauthorizedError: What we showed was refused.
        RegistryError: There is no such thing there, or not now.
    """
    status = response.status
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise RegistryError(f"{subject}: comes encoded, which was not asked for")
    if status == 200:
        return 0
    if status == 206 and offset:
        granted = response.getheader("Content-Range", "")
        if not starts_at(granted, offset, size):
            raise RangeRefusedError(f"{subject}: asked for bytes from {offset} on, got {granted!r}")
        return offset
    if status == 416 and offset:
        raise RangeRefusedError(f"{subject}: has no bytes from {offset} on")
    raise _refusal(response, subject)


def _refusal(response: http.client.HTTPResponse, subject: str) -> SkerryError:
    status = response.status
    if status in (401, 403):
        return UnauthorizedError(
            f"{subject}: does not take this device's credentials (HTTP {status})",
            remedy="If the device was removed from the fleet on purpose, stop its agent; "
            "otherwise flash it again, or see its registry-auth.json.",
        )
    error = RegistryError(f"{subject}: HTTP {status} {response.reason}")
    error.retry_after_s = retry_after_s(response.getheader("Retry-After", ""), datetime.now(UTC))
    return error
