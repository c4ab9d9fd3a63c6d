"""Everything that the routes use, built once by whoever starts the server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Request

from skerry_cloud.blobs import BlobStore
from skerry_cloud.builds import Builds
from skerry_cloud.database import Database
from skerry_cloud.deltas.service import Deltas
from skerry_cloud.deployments.service import Deployments
from skerry_cloud.fleet.commands import Commands
from skerry_cloud.fleet.devices import Devices
from skerry_cloud.ingest.gaps import Gaps
from skerry_cloud.ingest.worker import Ingest
from skerry_cloud.publisher import Publisher
from skerry_cloud.registry.models import Models
from skerry_cloud.registry.modules import Modules
from skerry_cloud.telemetry import Telemetry
from skerry_cloud.uploads import Uploads
from skerry_contract.envelope import Trust


@dataclass(frozen=True, slots=True)
class Identification:
    """What this server is, and what a device must know to find it.

    Attributes:
        fleet: Id of the fleet.
        broker: Where any MQTT client finds the broker, and as whom it may read.
        device: What ``device.json`` holds besides the device's own id.
        ca: PEM text of whom to believe; empty without TLS.
        trust: Keys that may sign.
        admin_hash: Hash of the token of people.
    """

    fleet: str
    broker: Mapping[str, Any]
    device: Mapping[str, Any]
    ca: str
    trust: Trust
    admin_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Services:
    """What stands behind the API.

    Attributes:
        disk_has_room: Whether the data folder's disk is not full.
        broker_answers: Whether the broker is connected.
    """

    database: Database
    blobs: BlobStore
    uploads: Uploads
    models: Models
    modules: Modules
    builds: Builds
    devices: Devices
    deployments: Deployments
    deltas: Deltas
    commands: Commands
    telemetry: Telemetry
    gaps: Gaps
    ingest: Ingest
    publisher: Publisher
    identification: Identification
    disk_has_room: Callable[[], bool]
    broker_answers: Callable[[], bool]


async def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


Use = Annotated[Services, Depends(_services)]
"""Type of a route's argument that gives it the services."""
