"""Take results from instances: each has a socket of its own, and an answer means "stored".

The socket's path says who speaks, so no module can speak for another. See ``docs/module-image.md``
for the lines.
"""

import json
import logging
import os
import re
import socket
import stat
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Protocol

from skerry_agent.routing import http_door
from skerry_agent.routing.feed import feed
from skerry_agent.routing.router import Door, Store
from skerry_agent.telling.outbox import Entry, Rank
from skerry_agent.unix_http import socket_address
from skerry_contract import shape
from skerry_contract.errors import ConflictError, ContractError, NoSpaceError, ScorerError
from skerry_contract.manifest import Name
from skerry_contract.messages import MAX_DETAIL_CHARS, Event, Severity
from skerry_contract.names import NAME
from skerry_contract.shape import Range, Size, Text

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 256 * 1024
"""Longest line that an instance may send."""
RETRY_S = 2.0
"""What an instance is told to wait where there is no room."""
MAX_CONNECTIONS = 8
"""Connections that an instance may have at the same time; more are closed at once."""
_POLL_S = 1.0
_REQUEST_S = 30.0
_MAX_ITEMS = 1000
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_SEVERITIES: tuple[Severity, ...] = ("debug", "info", "warning")


class Locks(Protocol):
    """Lets modules hold back the switch to another deployment, for a time."""

    def lock(self, module: str, reason: str, lease_s: float) -> str:
        """Hold it back, or go on to, and return until when, as text.

        Raises:
            ContractError: The lease is out of bounds.
            ConflictError: A switch is under way.
            NoSpaceError: It could not be written down.
        """
        ...

    def unlock(self, module: str) -> None:
        """Hold it back no longer; one that does not is left as it is.

        Raises:
            NoSpaceError: It could not be written down.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Item:
    data: Any = None
    stream: Name | None = None
    event: Name | None = None


@dataclass(frozen=True, slots=True)
class _Numbered:
    id: Annotated[int, Range(0, 2**53)]


@dataclass(frozen=True, slots=True)
class _Lock:
    lease_s: Annotated[float, Range(1)] = 300.0
    reason: Annotated[str, Text(max_length=300)] = ""


@dataclass(frozen=True, slots=True)
class _Wish(_Numbered):
    lock: _Lock | None = None
    unlock: bool = False


@dataclass(frozen=True, slots=True)
class _Line(_Numbered):
    items: Annotated[tuple[_Item, ...], Size(1, _MAX_ITEMS)]


class Inlet:
    """Listens on ``agent.sock`` in the run folder of one instance, until it is closed.

    What a connection begins with says what it is: lines of results and locks, a line that names an
    input to be fed, or a request over HTTP.

    Args:
        module: Name of the module that the folder belongs to.
        run_dir: The run folder.
        door: What the instance may do.
        locks: Takes its locks.
    """

    def __init__(self, module: str, run_dir: Path, door: Door, locks: Locks) -> None:
        self._module = module
        self._door = door
        self._locks = locks
        self._talkers: list[threading.Thread] = []
        self._closed = threading.Event()
        path = run_dir / "agent.sock"
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with socket_address(path) as address:
            self._listener.bind(address)
        _open_to_all(path)
        self._listener.listen(MAX_CONNECTIONS)
        self._listener.settimeout(_POLL_S)
        self._thread = threading.Thread(target=self._serve, name=f"inlet {module}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; what was answered is stored."""
        self._closed.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._talkers = [thread for thread in self._talkers if thread.is_alive()]
            if len(self._talkers) >= MAX_CONNECTIONS:
                connection.close()
                continue
            talker = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self._talkers.append(talker)
            talker.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_POLL_S)
            self._listen_to(connection)

    def _listen_to(self, connection: socket.socket) -> None:
        buffer = b""
        while not self._closed.is_set():
            try:
                data = connection.recv(64 * 1024)
            except TimeoutError:
                continue
            except OSError:
                return
            buffer += data
            if buffer.startswith(http_door.METHODS):
                connection.settimeout(_REQUEST_S)
                http_door.serve(connection, buffer, self._request)
                return
            *lines, buffer = buffer.split(b"\n")
            queue = self._named(lines[0]) if lines else None
            if queue is not None:
                rest = b"\n".join([*lines[1:], buffer])
                feed(connection, rest, queue, self._door.all_queues, self._closed)
                return
            if not data or len(buffer) > MAX_LINE_BYTES or not self._answer(connection, lines):
                return

    def _named(self, line: bytes) -> str | None:
        """Return the queue of the input that a line names; None for any other line."""
        if not line.startswith(b'{"input"'):
            return None
        try:
            name = shape.load(line, max_bytes=1024, subject=self._module).get("input")
        except ContractError:
            return None
        return self._door.queues.get(name) if isinstance(name, str) else None

    def _request(self, request: http_door.Request) -> http_door.Reply:
        door = self._door
        return http_door.route(
            request,
            lambda line: take(self._module, line, door.store, self._locks),
            door.queues,
            door.all_queues,
            self._closed,
        )

    def _answer(self, connection: socket.socket, lines: list[bytes]) -> bool:
        try:
            for line in lines:
                answer = take(self._module, line, self._door.store, self._locks)
                connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            return False
        return True


def take(module: str, line: bytes, store: Store, locks: Locks) -> dict[str, Any]:
    """Do what one line asks for, most often to store results, and return the answer to it."""
    number = 0
    subject = f"{module}'s results"
    try:
        value = shape.load(line, max_bytes=MAX_LINE_BYTES, subject=subject)
        # First of all: a host that is told "no" without the number of its line asks for ever.
        number = shape.read(_Numbered, value, subject=subject).id
        if "lock" in value or "unlock" in value:
            return _locked(module, shape.read(_Wish, value, subject=subject), locks)
        entries = _results(module, value)
        if entries is None:
            read = shape.read(_Line, value, subject=subject)
            entries = [_entry(module, item) for item in read.items]
        store(entries)
    except NoSpaceError as error:
        log.warning("%s: no room for what it sends: %s", module, error)
        return {"retry": number, "after_s": RETRY_S}
    except (ConflictError, ContractError) as error:
        return {"refused": number, "text": str(error)}
    return {"stored": number}


def _locked(module: str, wish: _Wish, locks: Locks) -> dict[str, Any]:
    if wish.lock is None:
        locks.unlock(module)
        return {"unlocked": wish.id}
    until = locks.lock(module, wish.lock.reason, wish.lock.lease_s)
    return {"locked": wish.id, "until": until}


def _results(module: str, line: dict[str, Any]) -> list[Entry] | None:
    """Return the entries of a line of nothing but results, or None for any other line.

    Most lines are such, with hundreds of results each: the general reader takes several times as
    long. What is wrong with a line is for that one to say.
    """
    items = line.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= _MAX_ITEMS:
        return None
    found = []
    for item in items:
        stream = item.get("stream") if isinstance(item, dict) else None
        if not isinstance(stream, str) or not _is_name(stream) or item.get("event") is not None:
            return None
        data = _compact(item.get("data")).encode()
        found.append(Entry(f"{module}/{stream}", Rank.TELEMETRY, data))
    return found


@lru_cache(maxsize=64)
def _is_name(text: str) -> bool:
    return re.fullmatch(NAME, text, re.ASCII) is not None


def _entry(module: str, item: _Item) -> Entry:
    if item.stream is not None:
        data = _compact(item.data).encode()
        return Entry(f"{module}/{item.stream}", Rank.TELEMETRY, data)
    if item.event is not None:
        return Entry(f"event/{item.event}", Rank.EVENT, shape.dump(_event(module, item.data)))
    raise ContractError("an item needs 'stream' or 'event'", ("items",))


def _event(module: str, data: Any) -> Event:
    """Turn what a module says into an event; it cannot choose whose it is."""
    said = data if isinstance(data, dict) else {"text": str(data)}
    claimed = said.get("severity")
    return Event(
        next((severity for severity in _SEVERITIES if severity == claimed), "error"),
        ScorerError.code,
        str(said.get("text", ""))[:2000],
        module,
        str(said.get("detail", ""))[-MAX_DETAIL_CHARS:],
    )


def _open_to_all(path: Path) -> None:
    """Let the module connect, which runs as another user; the folder above keeps others out.

    The module may write in the folder, so the name may lead elsewhere by now: what is opened here
    is what is changed, and only if it is a socket.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.chmod(f"/proc/self/fd/{descriptor}", 0o666)  # noqa: PTH101, S103
    finally:
        os.close(descriptor)
