"""Routes for commands to devices."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from skerry_cloud import clock
from skerry_cloud.api.auth import Person, PersonName, ThatDevice
from skerry_cloud.api.bodies import described, json_body, whole_body
from skerry_cloud.api.services import Use
from skerry_cloud.fleet import commands
from skerry_contract.commands import DEADLINE_S
from skerry_contract.manifest import Name
from skerry_contract.shape import Range

MAX_WAIT_S = 60.0
_LOOK_EVERY_S = 0.05

router = APIRouter(prefix="/v1/devices/{device}/commands")


@dataclass(frozen=True, slots=True)
class CommandBody:
    """What is asked of a device.

    Attributes:
        type: What to do.
        args: Its arguments.
        deadline_s: Seconds from now after which it is not begun any more.
    """

    type: Name
    args: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: Annotated[float, Range(*DEADLINE_S)] = 60.0


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what became of it."""

    id: str
    device: str
    type: str
    args: Mapping[str, Any]
    issued: str
    issued_by: str
    deadline: str
    state: str
    is_over: bool
    ts: str
    text: str
    failure: Mapping[str, Any] | None
    result: Any
    has_bundle: bool
    revision: int


@dataclass(frozen=True, slots=True)
class CommandList:
    """The newest commands of a device, newest first."""

    commands: Sequence[Command]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log; a number that is missing was lost."""

    n: int
    text: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines in their order, and the command as it was before they were read."""

    command: Command
    lines: Sequence[LogLine]


@router.post("", status_code=201, openapi_extra=described(CommandBody, "CommandBody"))
def issue_command(
    device: str,
    body: Annotated[CommandBody, json_body(CommandBody)],
    services: Use,
    who: PersonName,
) -> Command:
    """Ask a device to do something, once."""
    order = commands.Order(body.type, body.args, body.deadline_s, who)
    return _told(services.commands.issue(device, order))


@router.get("", dependencies=[Person])
def list_commands(
    device: str, services: Use, limit: Annotated[int, Query(ge=1, le=200)] = 20
) -> CommandList:
    """Return the newest commands of a device."""
    return CommandList([_told(one) for one in services.commands.of_device(device, limit)])


@router.get("/{command}", dependencies=[Person])
async def get_command(
    device: str,
    command: str,
    services: Use,
    seen: Annotated[int, Query(ge=-1)] = -1,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
) -> Command:
    """Return a command, once something was said of it that is newer than revision ``seen``."""
    deadline = time.monotonic() + wait_s
    while True:
        generation = services.ingest.generation
        found = await run_in_threadpool(services.commands.get, device, command)
        if found.revision > seen or found.is_over or time.monotonic() >= deadline:
            return _told(found)
        # The ingest is a thread, which an event of asyncio is not for.
        while services.ingest.generation == generation and time.monotonic() < deadline:  # noqa: ASYNC110 (above)
            await asyncio.sleep(_LOOK_EVERY_S)


@router.get("/{command}/log", dependencies=[Person])
async def get_command_log(
    device: str,
    command: str,
    services: Use,
    after: Annotated[int, Query(ge=0)] = 0,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
) -> LogPage:
    """Return the lines that a command has brought and that follow line ``after``."""
    deadline = time.monotonic() + wait_s
    while True:
        generation = services.ingest.generation
        # In this order: an end that is told has all its lines before it.
        found = await run_in_threadpool(services.commands.get, device, command)
        lines = await run_in_threadpool(services.commands.lines, device, command, after)
        if lines or found.is_over or time.monotonic() >= deadline:
            return LogPage(_told(found), [LogLine(*line) for line in lines])
        while services.ingest.generation == generation and time.monotonic() < deadline:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(_LOOK_EVERY_S)


@router.put("/{command}/bundle", status_code=204, dependencies=[ThatDevice])
async def put_bundle(device: str, command: str, request: Request, services: Use) -> None:
    """Take the support bundle that a command asked for, from the device."""
    data = await whole_body(request)
    await run_in_threadpool(services.commands.keep_bundle, device, command, data)


@router.get("/{command}/bundle", dependencies=[Person], response_class=Response)
def get_bundle(device: str, command: str, services: Use) -> Response:
    """Return the support bundle that a command asked for, a tar.gz."""
    data = services.commands.bundle(device, command)
    return Response(data, media_type="application/gzip")


def _told(found: commands.Issued) -> Command:
    return Command(
        id=found.id,
        device=found.device,
        type=found.type,
        args=found.args,
        issued=clock.text(found.issued),
        issued_by=found.issued_by,
        deadline=clock.text(found.deadline),
        state=found.state,
        is_over=found.is_over,
        ts=found.ts,
        text=found.text,
        failure=found.failure,
        result=found.result,
        has_bundle=found.bundle is not None,
        revision=found.revision,
    )
