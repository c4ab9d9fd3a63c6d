"""The device folder's ``device.json``: who a device is and whom it talks to."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from skerry_contract.manifest import DeviceId
from skerry_contract.messages import HEARTBEAT_S
from skerry_contract.shape import Range, Size, Text

MAX_CONFIG_BYTES = 64 * 1024
"""Largest ``device.json`` or ``trust.json`` that is read."""

RuntimeName = Literal["docker", "process"]
"""Ways of running modules."""
RuntimeChoice = Literal["auto", RuntimeName]
"""What a device folder may ask for; ``auto`` takes docker where its socket answers."""
RUNTIME_CHOICES: tuple[str, ...] = get_args(RuntimeChoice)
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

    url: Annotated[str, Text(r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._/-]*)?", 300, "a URL")]


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
        reboot: Program and arguments that reboot the machine when a command asks for it; empty, and
            such commands are refused.
        data_budget: What may cross the network in a month.
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
    reboot: Annotated[tuple[Annotated[str, Text(max_length=1000)], ...], Size(0, 32)] = ()
    data_budget: DataBudget = DataBudget()
    schema: Literal[1] = 1
