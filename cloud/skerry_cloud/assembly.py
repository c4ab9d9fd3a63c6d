"""Build the parts of a server and connect them; nothing runs yet when ``assemble`` returns."""

import importlib.util
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry_cloud import space
from skerry_cloud.api.services import Identification, Services
from skerry_cloud.blobs import BlobStore
from skerry_cloud.blobs.s3.cache import Cache
from skerry_cloud.blobs.s3.uses import BlobUses
from skerry_cloud.broker import TlsFiles
from skerry_cloud.builds import Builds, Compile
from skerry_cloud.database import Database
from skerry_cloud.deltas.service import Deltas
from skerry_cloud.deployments.choice import host_platform
from skerry_cloud.deployments.platforms import PlatformWatch
from skerry_cloud.deployments.service import Deployments, Fleet
from skerry_cloud.durable import write_durably
from skerry_cloud.fleet.commands import Commands, asked
from skerry_cloud.fleet.devices import Devices
from skerry_cloud.ingest.gaps import Gaps
from skerry_cloud.ingest.retention import Retention
from skerry_cloud.ingest.store import Store
from skerry_cloud.ingest.worker import Ingest
from skerry_cloud.link import Link
from skerry_cloud.messaging import Messaging
from skerry_cloud.publisher import Publisher
from skerry_cloud.registry.models import Models
from skerry_cloud.registry.modules import Modules
from skerry_cloud.settings import Settings
from skerry_cloud.sweep import Sweep
from skerry_cloud.telemetry import Telemetry
from skerry_cloud.tokens import hash_token, provide_token
from skerry_cloud.trust import provide_director
from skerry_cloud.uploads import Uploads
from skerry_contract.envelope import Trust
from skerry_contract.errors import ContractError

log = logging.getLogger(__name__)

CompileWith = Callable[[BlobStore, Path], Compile]
"""Makes the compiler, from the blob store and a folder for its caches."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is.

    Attributes:
        settings: What it was told.
        url: Where its API is.
        messaging: Its broker.
        tls: Certificate of API and broker, or None.
    """

    settings: Settings
    url: str
    messaging: Messaging
    tls: TlsFiles | None

    @property
    def ca(self) -> str:
        """PEM text of whom to believe; empty without TLS."""
        return Path(self.tls.ca).read_text("ascii") if self.tls else ""


class Parts:
    """Everything between the broker and the API."""

    def __init__(self, database: Database, link: Link, services: Services) -> None:
        self.services = services
        self._database = database
        self._link = link

    def start(self) -> None:
        """Begin to work off builds, to publish and to listen to devices."""
        self.services.builds.start()
        self.services.deltas.start()
        self.services.ingest.start(self._link.publish)
        self.services.publisher.start(self._link)
        self._link.start()

    def wait_connected(self, within_s: float) -> bool:
        """Wait for the broker; return whether it is there."""
        return self._link.wait_ready(within_s)

    def stop(self, *, within_s: float) -> None:
        """End all that, each part within ``within_s`` seconds."""
        # The link last: its thread may wait for room in the ingest.
        self.services.ingest.stop(within_s=within_s)
        self.services.publisher.stop(within_s=within_s)
        self._link.stop()
        self.services.builds.stop(within_s=within_s)
        self.services.deltas.stop(within_s=within_s)
        self.services.blobs.close()
        self._database.close()


def assemble(place: Place, compile_with: CompileWith) -> Parts:
    """Return the parts of the server at ``place``, making keys and tokens at the first start.

    Raises:
        ConflictError: A newer server wrote the database.
        DatabaseError: It does not answer.
        TrustError: The signing key is damaged.
    """
    settings, data = place.settings, place.settings.data
    options = settings.options
    fleet = Fleet(settings.options.fleet, host_platform())
    database = (
        Database.in_file(data / "skerry.db")
        if settings.database_url is None
        else Database(settings.database_url)
    )
    director = provide_director(data / "keys")
    blobs = open_blobs(settings, database)
    publisher = Publisher(database, fleet.id, time.time)
    deployments = Deployments(database, director, fleet, publisher.announce, time.time)
    ingest = _ingest(settings, database, deployments, publisher)
    link = Link(place.messaging.address, fleet.id, ingest.take, publisher.announce_all, time.time)
    token = provide_token(data / "admin-token")
    sweep = Sweep(database, blobs, grace_s=settings.options.blob_grace_s, clock=time.time)
    services = Services(
        database=database,
        blobs=blobs,
        uploads=Uploads(data / "blobs" / "uploads", blobs, time.time),
        models=Models(database, blobs, time.time),
        modules=Modules(database, time.time),
        builds=Builds(database, blobs, compile_with(blobs, data / "caches"), sweep, time.time),
        devices=Devices(database, place.messaging.accounts, time.time),
        deployments=deployments,
        deltas=Deltas(data / "caches" / "deltas", blobs, cap_bytes=options.delta_cache_mb * 2**20),
        commands=Commands(database, director, fleet.id, publisher.announce, blobs, time.time),
        telemetry=Telemetry(database),
        gaps=Gaps(database, time.time),
        ingest=ingest,
        publisher=publisher,
        identification=_identification(place, director.trust, token),
        disk_has_room=lambda: space.has_room(data),
        broker_answers=lambda: link.ready,
    )
    return Parts(database, link, services)


def write_login(place: Place) -> Path:
    """Write what people need to use the API, readable by the server's owner only."""
    path = place.settings.data / "login.json"
    token = provide_token(place.settings.data / "admin-token")
    login = {"url": place.url, "token": token, "ca": place.ca}
    write_durably(path, json.dumps(login, indent=2).encode() + b"\n", mode=0o600)
    return path


def device_file(place: Place) -> Mapping[str, Any]:
    """Return what every ``device.json`` says, the device's id excepted."""
    broker = place.messaging.public
    return {
        "schema": 1,
        "fleet": place.settings.options.fleet,
        "broker": {name: broker[name] for name in ("host", "port", "tls")},
        "cloud": {"url": place.url},
        "runtime": "auto",
        "docker_socket": "/var/run/docker.sock",
        "heartbeat_s": place.settings.options.heartbeat_s,
        "ack": "cloud",
        "outbox_mb": 64,
        "store_mb": 8192,
    }


def open_blobs(settings: Settings, database: Database) -> BlobStore:
    """Return the store of blobs, in the data folder or in a bucket.

    Raises:
        ContractError: What speaks to object stores is not installed.
        ObjectStoreError: The object store does not answer, or refuses what the server needs.
    """
    folder, bucket = settings.data / "blobs", settings.bucket
    if bucket is None:
        return BlobStore(folder)
    if importlib.util.find_spec("botocore") is None:
        raise ContractError(
            "what speaks to object stores is not installed",
            ("blobs",),
            subject="settings",
            remedy="Run pip install 'skerry[s3]'.",
        )
    from skerry_cloud.blobs.s3.backend import open_backend  # noqa: PLC0415 - needs an extra

    if (folder / "sha256").exists():
        log.warning("the blobs in %s are not read any more: they are to be in %s", folder, bucket)
    options = settings.options
    cache = Cache(settings.data / "blob-cache", options.blob_cache_mb * 1024 * 1024)
    uses = BlobUses(database, time.time)
    return BlobStore(folder, open_backend(bucket, cache, uses, grace_s=options.blob_grace_s))


def _ingest(
    settings: Settings, database: Database, deployments: Deployments, publisher: Publisher
) -> Ingest:
    options = settings.options
    retention = Retention(
        database, rows=options.telemetry_rows, size_bytes=options.telemetry_mb * 1024 * 1024
    )
    watch = PlatformWatch(database, deployments, time.time)

    def connected(platforms: Mapping[str, str]) -> None:
        watch.look(platforms)
        # Whoever says what it is has just connected: the broker may have lost what it was asked.
        publisher.announce(asked(database, platforms, time.time()))

    return Ingest(options.fleet, Store(database, time.time), retention, connected)


def _identification(place: Place, trust: Trust, token: str) -> Identification:
    return Identification(
        fleet=place.settings.options.fleet,
        broker=place.messaging.public,
        device=device_file(place),
        ca=place.ca,
        trust=trust,
        admin_hash=hash_token(token),
    )
