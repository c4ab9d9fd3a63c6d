"""Commands to devices as typed calls: issue one, follow it, read what it brought."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from skerry.transport import Request, Transport
from skerry_contract import shape
from skerry_contract.commands import MAX_BUNDLE_BYTES
from skerry_contract.errors import CommandError, SkerryError
from skerry_contract.messages import Failure
from skerry_contract.shape import Size, Text

WAIT_S = 20.0
"""Seconds that one request waits for news; below what proxies cut off."""
_Long = Annotated[str, Text(max_length=100_000)]


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what became of it, see ``docs/api.md``.

    Attributes:
        state: ``issued``, what the device said last, or ``unanswered``.
        is_over: Whether nothing more is expected.
    """

    id: str
    device: str
    type: str
    args: Mapping[str, Any] = field(default_factory=dict)
    issued: str = ""
    issued_by: str = ""
    deadline: str = ""
    state: str = "issued"
    is_over: bool = False
    ts: str = ""
    text: _Long = ""
    failure: Failure | None = None
    result: Any = None
    has_bundle: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log; a number that is missing was lost."""

    n: int
    text: _Long


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a stream that follow each other and are lost."""

    boot: str
    stream: str
    first: int
    last: int
    noticed: str = ""


@dataclass(frozen=True, slots=True)
class Losses:
    """What a device has lost: the newest gaps, items by stream, and what it gave up by reason."""

    gaps: Annotated[tuple[Gap, ...], Size(0, 10_000)] = ()
    lost: Mapping[str, int] = field(default_factory=dict)
    stored: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


class DeviceCommands:
    """Commands to the devices of one server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def issue(
        self, device: str, type_: str, args: Mapping[str, Any], *, deadline_s: float
    ) -> Command:
        """Ask a device to do something, once; it is not begun after ``deadline_s`` seconds."""
        body = {"type": type_, "args": dict(args), "deadline_s": deadline_s}
        return self._transport.ask(Command, Request("POST", _path(device), body=shape.dump(body)))

    def list(self, device: str, limit: int) -> tuple[Command, ...]:
        """Return the newest commands of a device, newest first."""
        request = Request("GET", _path(device), query={"limit": limit})
        return self._transport.ask(_Commands, request).commands

    def get(self, device: str, command: str) -> Command:
        """Return one command."""
        return self._transport.ask(Command, Request("GET", _path(device, command)))

    def follow(self, command: Command) -> Iterator[Command]:
        """Yield a command whenever something was said of it, until it is over."""
        yield command
        while not command.is_over:
            request = Request(
                "GET",
                _path(command.device, command.id),
                query={"seen": command.revision, "wait_s": WAIT_S},
                read_timeout_s=WAIT_S + 30.0,
            )
            found = self._transport.ask(Command, request)
            if found != command:
                yield found
            command = found

    def lines(self, command: Command) -> Iterator[LogLine]:
        """Yield the lines of the log that a command brings, until it is over."""
        after = 0
        while True:
            request = Request(
                "GET",
                f"{_path(command.device, command.id)}/log",
                query={"after": after, "wait_s": WAIT_S},
                read_timeout_s=WAIT_S + 30.0,
            )
            page = self._transport.ask(_LogPage, request)
            yield from page.lines
            if page.lines:
                after = page.lines[-1].n
            elif page.command.is_over:
                return

    def bundle(self, command: Command) -> bytes:
        """Return the support bundle that a command asked for, a tar.gz."""
        path = f"{_path(command.device, command.id)}/bundle"
        return self._transport.read(path, max_bytes=MAX_BUNDLE_BYTES)[0]

    def losses(self, device: str, limit: int) -> Losses:
        """Return what a device has lost."""
        path = f"/v1/devices/{quote(device, safe='')}/gaps"
        return self._transport.ask(Losses, Request("GET", path, query={"limit": limit}))


def failure_of(command: Command) -> SkerryError:
    """Return why a command that is over was not successful."""
    subject = f"{command.type} on {command.device}: {command.state}"
    why = command.failure
    if why is None:
        return CommandError(subject)
    text = f"{subject}: {why.text}"
    return CommandError(text, remedy=why.remedy, detail=why.detail)


@dataclass(frozen=True, slots=True)
class _Commands:
    commands: Annotated[tuple[Command, ...], Size(0, 1000)]


@dataclass(frozen=True, slots=True)
class _LogPage:
    command: Command
    lines: Annotated[tuple[LogLine, ...], Size(0, 10_000)] = ()


def _path(device: str, command: str = "") -> str:
    base = f"/v1/devices/{quote(device, safe='')}/commands"
    return f"{base}/{quote(command, safe='')}" if command else base
