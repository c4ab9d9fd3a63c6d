"""The device folder's ``device.json``: who a device is and whom it talks to."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from skerry_contract.manifest import DeviceId, Windows
from skerry_contract.messages import HEARTBEAT_S
from skerry_contract.shape import Range, Size, Text

MAX_CONFIG_BYTES = 64 * 1024
"""Largest ``device.json`` or ``trust.json`` that is read."""

RuntimeName = Literal["docker", "process"]
"""Ways of running modules."""
RuntimeChoice = Literal["auto", RuntimeName]
"""What a device folder may ask for; ``auto`` takes docker where its socket answers."""
RUNTIME_CHOICES: tuple[str, ...] = get_args(RuntimeChoice)
URL = r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._/-]*)?"
UrlText = Annotated[str, Text(URL, 300, "a URL")]
Host = Annotated[str, Text(r"[A-Za-z0-9.:_-]{1,253}", 253, "a host name or address")]


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the MQTT broker listens.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Whether it speaks TLS; then ``ca.pem`` says whom to believe.
    """

    host: Host
    port: Annotated[int, Range(1, 65535)] = 1883
    tls: bool = False


@dataclass(frozen=True, slots=True)
class CloudAddress:
    """Where the HTTP API answers.

    Attributes:
        url: Base address, without a slash at the end.
    """

    url: UrlText


@dataclass(frozen=True, slots=True)
class Source:
    """A registry that serves the fleet's images, beside the cloud.

    Whatever it sends is verified by digest, so it need not be trusted; ``registry-auth.json`` in
    the device folder holds its password, in the form of Docker's ``config.json``.

    Attributes:
        url: Base address, without ``/v2``.
        repository: Name of a module's repository there; ``{name}`` stands for the module's name.
        token_url: Address that may be shown the password in return for a token, where that is
            another host than the registry's own.
    """

    url: UrlText
    repository: Annotated[str, Text(r"[a-z0-9{}._/-]{1,255}", 255, "a repository")] = "{name}"
    token_url: Annotated[str, Text(rf"({URL})?", 300, "a URL")] = ""


@dataclass(frozen=True, slots=True)
class Download:
    """How images come onto the device.

    Attributes:
        sources: Registries that are asked before the cloud, in this order.
        rate_limit_kib_s: Most KiB a second that are taken; 0 for no limit.
        floor_bytes_s: Bytes a second below which a connection is given up, over a minute.
        proxy: Address of an HTTP proxy; empty for what ``HTTP_PROXY``, ``HTTPS_PROXY`` and
            ``NO_PROXY`` say, ``none`` for none.
        deltas: Whether to ask the cloud for differences to what is on the device.
    """

    sources: Annotated[tuple[Source, ...], Size(0, 8)] = ()
    rate_limit_kib_s: Annotated[int, Range(0, 10_000_000)] = 0
    floor_bytes_s: Annotated[int, Range(1, 1_000_000)] = 256
    proxy: Annotated[str, Text(r"(none|http://[!-~]+)?", 300, "a proxy's URL, or none")] = ""
    deltas: bool = True


@dataclass(frozen=True, slots=True)
class DataBudget:
    """What may cross the network in a month, sent and received together; 0 is no limit.

    Attributes:
        updates_mb: For images, in MiB.
        telemetry_mb: For telemetry and events, in MiB.
        logs_mb: For logs, in MiB.
        samples_mb: For samples, in MiB.
        first_day: Day of the calendar's month on which counting begins anew, in UTC.
    """

    updates_mb: Annotated[int, Range(0, 10_000_000)] = 0
    telemetry_mb: Annotated[int, Range(0, 10_000_000)] = 0
    logs_mb: Annotated[int, Range(0, 10_000_000)] = 0
    samples_mb: Annotated[int, Range(0, 10_000_000)] = 0
    first_day: Annotated[int, Range(1, 28)] = 1


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """What is flashed; see ``docs/device-folder.md``.

    Attributes:
        fleet: Fleet of the device.
        device: Its id; also its user name and client id at the broker.
        broker: Where the broker listens.
        cloud: Where the API answers.
        runtime: How modules run; ``auto`` takes docker where its socket answers.
        docker_socket: Path of the engine's socket.
        heartbeat_s: Seconds between two health payloads.
        ack: Whether the outbox trims on the cloud's ``ack`` or on the broker's PUBACK.
        outbox_mb: Most the outbox may hold, in MiB.
        outbox_days: How long telemetry is kept that the cloud has not acknowledged; events are kept
            four times as long, samples half as long.
        telemetry_every_s: Telemetry is sent at least so many seconds apart, in larger batches;
            events are sent at once.
        compress: Whether batches are sent compressed where the cloud hands them on uncompressed.
        store_mb: Most the blob store may hold, in MiB.
        min_free_mb: What the blob store leaves free on its disk, in MiB.
        download: How images come onto the device.
        metrics_port: Port of loopback on which Prometheus finds the heartbeat; 0 for none.
        reboot: Program and arguments that reboot the machine when a command asks for it; empty, and
            such commands are refused.
        data_budget: What may cross the network in a month.
        windows: When this device may go over to another deployment, whatever the deployment says;
            always, if there is none.
        schema: Version of this format.
    """

    fleet: DeviceId
    device: DeviceId
    broker: BrokerAddress
    cloud: CloudAddress
    runtime: RuntimeChoice = "auto"
    docker_socket: Annotated[str, Text(r"/[^\0]*", 1000, "an absolute path")] = (
        "/var/run/docker.sock"
    )
    heartbeat_s: Annotated[float, Range(0.5, 3600)] = HEARTBEAT_S
    ack: Literal["cloud", "broker"] = "cloud"
    outbox_mb: Annotated[int, Range(1, 100_000)] = 64
    outbox_days: Annotated[float, Range(0.001, 3650)] = 7.0
    telemetry_every_s: Annotated[float, Range(0, 86_400)] = 0.0
    compress: bool = False
    store_mb: Annotated[int, Range(16, 10_000_000)] = 8192
    min_free_mb: Annotated[int, Range(0, 10_000_000)] = 256
    download: Download = Download()
    metrics_port: Annotated[int, Range(0, 65_535)] = 0
    reboot: Annotated[tuple[Annotated[str, Text(max_length=1000)], ...], Size(0, 32)] = ()
    data_budget: DataBudget = DataBudget()
    windows: Windows = ()
    schema: Literal[1] = 1
