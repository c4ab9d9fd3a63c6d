"""What a server is told before it starts: ``DATA/skerry.toml``, and the command line above it."""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from sqlalchemy import URL

from skerry_cloud import engine
from skerry_cloud.blobs.s3.address import BucketAddress, read_address
from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.manifest import DeviceId
from skerry_contract.shape import Range, Text

FILE = "skerry.toml"
DATABASE_PASSWORD = "SKERRY_DATABASE_PASSWORD"  # noqa: S105 (the name of a variable)
"""Variable of the environment with the database's password."""
Addressing = Literal["auto", "path", "virtual"]
BrokerChoice = Literal["auto", "mosquitto", "nats", "external"]
_Host = Annotated[str, Text(r"[A-Za-z0-9:._-]+", 253, "a host name or address")]
_Port = Annotated[int, Range(0, 65_535)]
_Path = Annotated[str, Text(max_length=4096)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What ``skerry.toml`` may say; the command line says the same with dashes.

    Attributes:
        host: Address that API and broker listen on.
        port: TCP port of the API; 0 takes a free one.
        public_host: Name or address by which devices reach this machine; empty for ``host``.
        fleet: Fleet of the devices.
        broker: Which broker to start, or ``external`` for one that runs already.
        broker_host: Where an external broker is; empty for ``public_host``.
        broker_port: TCP port of the broker; 0 takes a free one, but not for an external one.
        broker_username: Account for an external broker, one that may read and write everything.
        broker_password: Its password.
        broker_ca: PEM file of whom to believe, for an external broker with TLS.
        database: URL of a PostgreSQL database; empty for SQLite in the data folder.
        database_password_file: File that holds its password, in the first line.
        blobs: Bucket of an S3-compatible object store, as s3://BUCKET/PREFIX; empty for a folder.
        s3_endpoint: URL of the object store; empty for that of AWS.
        s3_region: What requests to it are signed for.
        s3_addressing: Whether the bucket stands in the path of a URL or in its host; ``auto`` is
            the path with an endpoint and the host with AWS.
        s3_ca: PEM file of whom to believe, for an endpoint with TLS.
        s3_credentials_file: File with the keys, in the form of ``~/.aws/credentials``.
        delta_cache_mb: Differences between layers to keep in the data folder, in MiB.
        blob_cache_mb: Copies of a bucket's blobs to keep in the data folder, in MiB.
        tls: Whether API and broker speak TLS.
        telemetry_rows: Telemetry items to keep; the oldest go first.
        telemetry_mb: Bytes of their payloads to keep, in MiB; the oldest go first.
        blob_grace_s: Seconds that bytes which nothing needs are kept after their last use.
        heartbeat_s: Seconds between two heartbeats that flashed devices are told.
    """

    host: _Host = "127.0.0.1"
    port: _Port = 7700
    public_host: Annotated[str, Text(r"[A-Za-z0-9:._-]*", 253, "a host name or address")] = ""
    fleet: DeviceId = "home"
    broker: BrokerChoice = "auto"
    broker_host: Annotated[str, Text(r"[A-Za-z0-9:._-]*", 253, "a host name or address")] = ""
    broker_port: _Port = 1883
    broker_username: Annotated[str, Text(max_length=200)] = ""
    broker_password: Annotated[str, Text(max_length=200)] = ""
    broker_ca: _Path = ""
    database: Annotated[str, Text(max_length=4096)] = ""
    database_password_file: _Path = ""
    blobs: Annotated[str, Text(max_length=1024)] = ""
    s3_endpoint: Annotated[str, Text(r"(https?://[A-Za-z0-9:.\[\]_-]+/?)?", 253, "a URL")] = ""
    s3_region: Annotated[str, Text(r"[a-z0-9-]+", 63, "a region")] = "us-east-1"
    s3_addressing: Addressing = "auto"
    s3_ca: _Path = ""
    s3_credentials_file: _Path = ""
    delta_cache_mb: Annotated[int, Range(0, 10**8)] = 1024
    blob_cache_mb: Annotated[int, Range(0, 10**8)] = 10_240
    tls: bool = False
    telemetry_rows: Annotated[int, Range(1000, 10**9)] = 1_000_000
    telemetry_mb: Annotated[int, Range(1, 10**6)] = 1024
    blob_grace_s: Annotated[int, Range(60, 10**8)] = 3600
    heartbeat_s: Annotated[int, Range(1, 86_400)] = 60


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a server needs to know.

    Attributes:
        data: Folder that holds all its state.
        options: The rest.
        database_url: Where the database is, its password included if one was given.
    """

    data: Path
    options: Options = Options()
    database_url: URL | None = None

    @property
    def bucket(self) -> BucketAddress | None:
        """Where blobs are; None if they are in the data folder.

        Raises:
            ContractError: The address is none.
        """
        options = self.options
        if not options.blobs:
            return None
        bucket, prefix = read_address(options.blobs)
        by_default = "path" if options.s3_endpoint else "virtual"
        style = by_default if options.s3_addressing == "auto" else options.s3_addressing
        return BucketAddress(
            bucket=bucket,
            prefix=prefix,
            endpoint=options.s3_endpoint,
            region=options.s3_region,
            path_style=style == "path",
            ca=options.s3_ca,
            credentials_file=options.s3_credentials_file,
        )

    @property
    def public_host(self) -> str:
        """Name by which devices reach this machine."""
        return self.options.public_host or self.options.host


def read(data: Path, given: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Join ``data/skerry.toml`` with what was given on the command line, which wins.

    Args:
        data: The data folder; it and the file may be missing.
        given: Options by name; those that are None were not given.
        environment: May hold ``DATABASE_PASSWORD``.

    Raises:
        ContractError: An option is unknown, wrong, or does not go with another.
    """
    path = data / FILE
    chosen = {name: value for name, value in given.items() if value is not None}
    options = shape.read(Options, {**_file(path), **chosen}, strict=True, subject=str(path))
    check(options)
    if _has_password(chosen.get("database")):
        raise ContractError(
            "holds a password, which everybody on this machine can read",
            ("database",),
            subject="command line",
            remedy=f"Give it in {DATABASE_PASSWORD}, or with --database-password-file.",
        )
    return Settings(data.absolute(), options, _database_url(options, environment))


def check(options: Options) -> None:
    """Refuse options that are each right but dangerous or useless together.

    Raises:
        ContractError: Naming the option.
    """
    if not options.tls and not is_loopback(options.host):
        raise ContractError(
            f"{options.host} is reachable from other machines, and tokens would cross in the clear",
            ("host",),
            subject="settings",
            remedy="Add --tls, or listen on 127.0.0.1.",
        )
    public = options.public_host or options.host
    if public in ("0.0.0.0", "::"):  # noqa: S104 (compared with, not listened on)
        raise ContractError(
            f"devices cannot reach a machine called {public}",
            ("public_host",),
            subject="settings",
            remedy="Add --public-host with this machine's name or address.",
        )
    if options.broker == "external" and not options.broker_port:
        raise ContractError("an external broker has a port", ("broker_port",), subject="settings")
    if options.s3_endpoint and not options.blobs:
        raise ContractError(
            "belongs to a bucket, and none is named",
            ("s3_endpoint",),
            subject="settings",
            remedy="Add --blobs s3://BUCKET.",
        )
    if options.blobs:
        read_address(options.blobs)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ContractError(f"cannot be read: {error}", subject=str(path)) from error


def _has_password(url: str | None) -> bool:
    return bool(url) and engine.read_url(str(url)).password is not None


def _database_url(options: Options, environment: Mapping[str, str]) -> URL | None:
    if not options.database:
        return None
    url = engine.read_url(options.database)
    if password := environment.get(DATABASE_PASSWORD):
        return url.set(password=password)
    if options.database_password_file:
        path = Path(options.database_password_file)
        try:
            first, *_ = path.read_text("utf-8").splitlines() or [""]
        except (OSError, UnicodeDecodeError) as error:
            raise ContractError(
                f"{path} cannot be read: {error}", ("database_password_file",), subject="settings"
            ) from error
        return url.set(password=first)
    # Else it is libpq's: ~/.pgpass, PGPASSFILE, or no password at all.
    return url
