"""Routes for telemetry, and for what the server says of itself."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import skerry_contract
from skerry_cloud.api import answers
from skerry_cloud.api.auth import Person
from skerry_cloud.api.services import Services, Use
from skerry_cloud.telemetry import MAX_LIMIT, Entry
from skerry_cloud.telemetry import Query as Wanted
from skerry_contract import shape
from skerry_contract.errors import ContractError, SkerryError
from skerry_contract.names import NAME

MAX_WAIT_S = 60.0
_LOOK_EVERY_S = 0.05

router = APIRouter()

_Name = Annotated[str, Query(pattern=f"^({NAME})?$")]


@dataclass(frozen=True, slots=True)
class Info:
    """What this server is."""

    version: str
    fleet: str
    broker: Mapping[str, Any]
    trust: Mapping[str, Any]
    ingest: Mapping[str, int]


def _wanted(
    device: _Name = "",
    module: _Name = "",
    stream: _Name = "",
    limit: Annotated[int, Query(ge=1, description=f"At most {MAX_LIMIT}.")] = 100,
) -> Wanted:
    if limit > MAX_LIMIT:
        raise ContractError(
            f"is above {MAX_LIMIT}",
            ("query", "limit"),
            remedy=f"Ask for at most {MAX_LIMIT} at a time, and go on with after={{next}}, "
            "the 'next' of the answer before.",
        )
    return Wanted(device, module, stream, limit)


@router.get("/healthz", response_class=Response)
def healthz(services: Use) -> Response:
    """Tell whether database, blobs, disk and broker answer; no token needed."""
    checks = {
        "database": lambda: _database_answers(services),
        services.blobs.place: services.blobs.answers,
        "disk": services.disk_has_room,
        "broker": services.broker_answers,
    }
    failed = [name for name, check in checks.items() if not _works(check)]
    if failed:
        return Response(f"not well: {', '.join(failed)}\n", 503, media_type="text/plain")
    return Response("well\n", media_type="text/plain")


@router.get("/v1/info", dependencies=[Person])
def info(services: Use) -> Info:
    """Return what this server is, and where the broker is."""
    about, counts = services.identification, services.ingest.counts
    return Info(
        version=skerry_contract.__version__,
        fleet=about.fleet,
        broker={**about.broker, "ca": about.ca},
        trust=shape.write(about.trust),
        ingest={
            "messages": counts.messages,
            "items": counts.items,
            "wrong": counts.wrong,
            "strangers": counts.strangers,
            "dropped": counts.dropped,
        },
    )


@router.get("/v1/telemetry", dependencies=[Person])
async def get_telemetry(
    services: Use,
    wanted: Annotated[Wanted, Depends(_wanted)],
    after: Annotated[int | None, Query(ge=0)] = None,
    wait_s: Annotated[float, Query(ge=0, le=MAX_WAIT_S)] = 0.0,
) -> answers.TelemetryPage:
    """Return stored items: those that follow ``after``, or else the newest ones."""
    if wanted.device:
        await run_in_threadpool(services.devices.get, wanted.device)
    deadline = time.monotonic() + wait_s
    while True:
        generation = services.ingest.generation
        cursor, entries = await run_in_threadpool(_look, services, wanted, after)
        if entries or time.monotonic() >= deadline:
            return answers.telemetry_page(entries, cursor)
        after = cursor
        # The ingest is a thread, which an event of asyncio is not for.
        while services.ingest.generation == generation and time.monotonic() < deadline:  # noqa: ASYNC110 (above)
            await asyncio.sleep(_LOOK_EVERY_S)


def _look(services: Services, wanted: Wanted, after: int | None) -> tuple[int, list[Entry]]:
    """Return where to go on from if there is nothing, and what there is."""
    # Read before looking: what is stored in between lies behind it.
    end = services.telemetry.end()
    if after is None:
        return end, services.telemetry.newest(wanted)
    return max(end, after), services.telemetry.after(wanted, after)


def _works(check: Callable[[], object]) -> bool:
    try:
        return bool(check())
    except (SQLAlchemyError, OSError, SkerryError):
        return False


def _database_answers(services: Services) -> bool:
    with services.database.read() as connection:
        return bool(connection.scalar(text("SELECT 1")))
