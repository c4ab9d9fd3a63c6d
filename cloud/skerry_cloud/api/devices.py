"""Routes for devices and their identities."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from skerry_cloud import clock, telemetry
from skerry_cloud.api import answers
from skerry_cloud.api.auth import Person, ThatDevice
from skerry_cloud.api.bodies import described, json_body
from skerry_cloud.api.services import Use
from skerry_cloud.deployments.service import desired_document
from skerry_cloud.telemetry import Query as Wanted
from skerry_contract import shape
from skerry_contract.errors import NotFoundError
from skerry_contract.manifest import DeviceId
from skerry_contract.shape import Size, Text

EVENTS_SHOWN = 20
"""Events that one device's answer holds, newest first."""
FAILURES_S = 3600.0
"""How far back one device's answer counts failures."""

router = APIRouter(prefix="/v1/devices")


@dataclass(frozen=True, slots=True)
class DeviceBody:
    """What makes a device known.

    Attributes:
        id: Its id.
        tags: For people and for searching.
    """

    id: DeviceId
    tags: Annotated[
        Mapping[str, Annotated[str, Text(max_length=1000)]], Size(0, 100, Text(max_length=100))
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceList:
    """All devices."""

    devices: Sequence[answers.Device]


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a stream that follow each other and are lost."""

    boot: str
    stream: str
    first: int
    last: int
    noticed: str


@dataclass(frozen=True, slots=True)
class Losses:
    """What is lost: the newest gaps, items by stream, and what the device says it gave up."""

    gaps: Sequence[Gap]
    lost: Mapping[str, int]
    stored: Mapping[str, int]
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device folder needs besides code."""

    device: Mapping[str, Any]
    trust: Mapping[str, Any]
    token: str
    ca: str


@router.post(
    "",
    status_code=201,
    dependencies=[Person],
    openapi_extra=described(DeviceBody, "DeviceBody"),
)
def add_device(body: Annotated[DeviceBody, json_body(DeviceBody)], services: Use) -> answers.Device:
    """Make a device known, so that it can be flashed."""
    added = services.devices.add(body.id, body.tags)
    services.publisher.announce([body.id])
    return answers.device(added)


@router.get("", dependencies=[Person])
def list_devices(services: Use) -> DeviceList:
    """Return all devices, by id and without their events."""
    return DeviceList([answers.device(found) for found in services.devices.all()])


@router.get("/{device}", dependencies=[Person])
def get_device(device: str, services: Use) -> answers.Device:
    """Return one device with all that it reports."""
    found = services.devices.get(device)
    wanted = Wanted(device, telemetry.EVENTS, telemetry.SCORING_FAILED, telemetry.MAX_LIMIT)
    failed = services.telemetry.newest(wanted)
    failures = telemetry.failures(failed, time.time() - FAILURES_S)
    return answers.device(found, services.telemetry.events(device, EVENTS_SHOWN), failures)


@router.delete("/{device}", status_code=204, dependencies=[Person])
def remove_device(device: str, services: Use) -> None:
    """Forget a device: its token ends, and its connection to the broker."""
    try:
        services.devices.remove(device)
    finally:
        services.publisher.announce([device])


@router.post("/{device}/identity", dependencies=[Person])
def new_identity(device: str, services: Use) -> Identity:
    """Give a device a new identity; the one before ends."""
    token = services.devices.new_token(device)
    about = services.identification
    return Identity({**about.device, "device": device}, shape.write(about.trust), token, about.ca)


@router.get("/{device}/gaps", dependencies=[Person])
def get_gaps(
    device: str, services: Use, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Losses:
    """Return which items of a device's streams are lost, and what it gave up by reason."""
    found = services.gaps.of_device(device, limit)
    health = services.devices.get(device).latest.health
    return Losses(
        gaps=[
            Gap(one.boot, one.stream, one.first, one.last, clock.text(one.noticed))
            for one in found.gaps
        ],
        lost=found.lost,
        stored=found.stored,
        dropped=dict(health.outbox.dropped) if health else {},
    )


@router.get("/{device}/desired", dependencies=[ThatDevice], response_class=Response)
def get_desired(device: str, services: Use) -> Response:
    """Return the signed envelope for a device, as it is on MQTT."""
    with services.database.read() as connection:
        document = desired_document(connection, device)
    if document is None:
        raise NotFoundError(f"nothing was ever wanted of device {device}")
    return Response(document, media_type="application/json")
