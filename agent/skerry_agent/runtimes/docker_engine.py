"""The Docker engine's HTTP API over its Unix socket, as far as a runtime needs it.

The standard library and not the SDK, which costs 8 MB of memory in an agent that should live in
32. One connection per call: calls are rare, and an engine that restarts is no special case.

Source: Docker Engine API v1.41 (Docker 20.10).
"""

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from skerry_agent.unix_http import UnixConnection
from skerry_contract.errors import RuntimeFailedError

MIN_API = (1, 41)
"""Oldest API that has all that is used here: Docker 20.10."""
MAX_API = (1, 47)
"""Newest API that this was written against; newer engines speak it as well."""
CALL_S = 30.0
"""Default of the seconds that the engine may be silent."""
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_TEXT_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine said.

    Attributes:
        status: HTTP status.
        data: The body.
    """

    status: int
    data: bytes

    @property
    def json(self) -> Any:
        """The body as JSON values; None if there is none, or if it is something else."""
        try:
            return json.loads(self.data)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """What the engine says went wrong."""
        found = self.json
        text = found.get("message") if isinstance(found, dict) else None
        return str(text or self.data.decode(errors="replace") or f"HTTP {self.status}")[
            :_TEXT_CHARS
        ]


class Engine:
    """One Docker engine.

    Args:
        path: Its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = ""

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        accept: tuple[int, ...] = (),
        timeout_s: float = CALL_S,
    ) -> Answer:
        """Ask the engine for something.

        Args:
            method: HTTP method.
            path: Path below the version, quoted where needed.
            query: Parameters; values that are no strings are sent as JSON.
            body: JSON values to send.
            accept: Statuses besides 2xx and 304 that are an answer and no error.
            timeout_s: Seconds that the engine may be silent.

        Raises:
            RuntimeFailedError: The engine is away, or refused; with its own words.
        """
        data = None if body is None else json.dumps(body).encode()
        with self._connection(timeout_s) as connection:
            target = self._target(connection, path, query)
            connection.request(method, target, data, {"Content-Type": "application/json"})
            return _answer(connection, f"{method} {path}", accept)

    def upload(self, path: str, pieces: Iterable[bytes], *, timeout_s: float) -> Answer:
        """Send a stream of bytes to the engine, as it comes.

        An error that ``pieces`` raises breaks the upload off, and is passed on.

        Raises:
            RuntimeFailedError: The engine is away, or refused; with its own words.
        """
        with self._connection(timeout_s) as connection:
            target = self._target(connection, path, None)
            headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
            connection.request("POST", target, pieces, headers, encode_chunked=True)
            return _answer(connection, f"POST {path}", ())

    def _target(
        self, connection: http.client.HTTPConnection, path: str, query: Mapping[str, Any] | None
    ) -> str:
        self._version = self._version or _negotiate(connection)
        return f"/v{self._version}{path}" + (f"?{urlencode(_texts(query))}" if query else "")

    @contextmanager
    def _connection(self, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
        connection = UnixConnection(self._path, timeout_s)
        try:
            yield connection
        except (OSError, http.client.HTTPException) as error:
            self._version = ""  # the next one that answers may be another engine
            reason = str(error) or type(error).__name__
            raise RuntimeFailedError(
                f"the Docker engine at {self._path} does not answer: {reason}",
                remedy="See that Docker runs on the device, and that the agent may use it.",
            ) from error
        finally:
            connection.close()


def quoted(text: str) -> str:
    """Return ``text`` as one component of a path."""
    return quote(text, safe="")


def _texts(query: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in query.items()
    }


def _negotiate(connection: http.client.HTTPConnection) -> str:
    """Return the newest API version that both sides speak."""
    connection.request("GET", "/_ping")
    response = connection.getresponse()
    response.read(_MAX_ANSWER_BYTES)
    offered = response.getheader("API-Version", "0.0")
    try:
        major, minor = offered.split(".")
        version = (int(major), int(minor))
    except ValueError:
        version = (0, 0)
    if version < MIN_API:
        raise RuntimeFailedError(
            f"the Docker engine speaks API {offered}, and {_dotted(MIN_API)} is needed",
            remedy="Update Docker on the device to 20.10 or newer.",
        )
    return _dotted(min(version, MAX_API))


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _answer(
    connection: http.client.HTTPConnection, subject: str, accept: tuple[int, ...]
) -> Answer:
    response = connection.getresponse()
    data = response.read(_MAX_ANSWER_BYTES)
    answer = Answer(response.status, data)
    if not (200 <= answer.status < 300 or answer.status == 304 or answer.status in accept):
        raise RuntimeFailedError(f"Docker, {subject}: {answer.message}")
    return answer
