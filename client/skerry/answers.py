"""What the cloud answers, as values: see ``docs/api.md``.

Only what the client uses stands here; fields that it does not know are passed over, so that an
older client understands a newer server.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from skerry_contract.envelope import Trust
from skerry_contract.messages import Caps, Failure, Health, Reported
from skerry_contract.shape import Size, Text

Long = Annotated[str, Text(max_length=1_000_000)]
_MANY = Size(0, 100_000)
_Tags = Annotated[Mapping[str, str], Size(0, 1000)]

Presence = Literal["online", "offline", "unknown"]


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where any MQTT client finds the telemetry.

    Attributes:
        host: Host name or address.
        port: TCP port.
        tls: Whether it speaks TLS.
        username: Account that may read everything and write nothing.
        password: Its password.
        ca: Certificates to believe, as PEM text; empty without TLS.
    """

    host: str
    port: int
    tls: bool = False
    username: str = ""
    password: str = ""
    ca: Long = ""


@dataclass(frozen=True, slots=True)
class Info:
    """``GET /v1/info``."""

    version: str
    fleet: str
    broker: BrokerAddress


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model or a scorer."""

    path: Long
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output that a file declares; -1 is an open dimension."""

    name: Long = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one file of a model is, told from its bytes; ``executes_code`` says why, or is empty."""

    path: Long
    format: str
    executes_code: Long = ""
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    facts: Annotated[Mapping[str, Long], Size(0, 1000)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelResources:
    """What one copy of a model needs: processors, GiB, graphics processors."""

    cpu: float | None = None
    memory_gb: float | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """Data that a model has to do with."""

    scenario: str
    reference: Long


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model."""

    name: str
    version: int
    description: Long = ""
    tags: _Tags = field(default_factory=dict)
    properties: _Tags = field(default_factory=dict)
    framework: str = ""
    framework_version: str = ""
    created: str = ""
    created_by: str = ""
    digest: str = ""
    archived: str = ""
    size: int = 0
    files: Annotated[tuple[File, ...], _MANY] = ()
    sample_input: File | None = None
    sample_output: File | None = None
    resources: ModelResources = ModelResources()
    datasets: tuple[DataSet, ...] = ()
    run_id: str = ""
    experiment_name: str = ""
    parent: str = ""
    derived: Annotated[tuple[str, ...], _MANY] = ()
    findings: Annotated[tuple[Finding, ...], _MANY] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image; ``reused`` says that the cloud had it already."""

    digest: str
    size: int
    kind: str = ""
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """A module's image for one platform; ``checked`` says whether it was tried, or why not."""

    digest: str
    size: int = 0
    layers: tuple[Layer, ...] = ()
    checked: str = "unknown"


@dataclass(frozen=True, slots=True)
class Module:
    """One version of a module, with an image for each platform."""

    name: str
    version: int
    models: tuple[str, ...] = ()
    entry_script: Long = ""
    environment: Long = ""
    created: str = ""
    images: Mapping[str, Image] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildLine:
    """One line of a build's log."""

    n: int
    text: Long


@dataclass(frozen=True, slots=True)
class Build:
    """A module in the making; ``error`` is in the form of every error of the API."""

    id: str
    state: Literal["running", "succeeded", "failed"]
    log: Annotated[tuple[BuildLine, ...], _MANY] = ()
    module: Module | None = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something a device said that is no telemetry."""

    ts: str
    type: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What the cloud wants of a device."""

    version: int
    deployment: str = ""


@dataclass(frozen=True, slots=True)
class ScoringFailures:
    """How often a module failed to score in the last hour, and why it did so last."""

    count: int
    text: Long = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One device: what is wanted of it, and what it says."""

    id: str
    presence: Presence
    tags: _Tags = field(default_factory=dict)
    last_seen: str = ""
    state: str = ""
    desired: DesiredState | None = None
    reported: Reported | None = None
    caps: Caps | None = None
    health: Health | None = None
    events: Annotated[tuple[Event, ...], _MANY] = ()
    failures: Annotated[Mapping[str, ScoringFailures], _MANY] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device folder needs besides code; ``device`` becomes ``device.json``."""

    device: Mapping[str, Any]
    trust: Trust
    token: Annotated[str, Text(r"[!-~]{1,1024}", 1024, "a token without spaces")]
    ca: Long = ""


@dataclass(frozen=True, slots=True)
class DeviceProgress:
    """Where one device is with a deployment."""

    device: str
    phase: str
    failure: Failure | None = None
    presence: Presence = "unknown"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a deployment and how far each device is with it."""

    name: str
    version: int
    devices: Annotated[tuple[DeviceProgress, ...], _MANY] = ()
    created: str = ""
    description: Long = ""
    manifest: Long = ""


@dataclass(frozen=True, slots=True)
class TelemetryItem:
    """One stored item of a stream."""

    device: str
    module: str
    stream: str
    seq: int
    ts: str
    data: Any
    boot: str = ""
    hist: bool = False


@dataclass(frozen=True, slots=True)
class TelemetryPage:
    """Items in the order in which they were stored; ``next`` asks for what follows them."""

    items: Annotated[tuple[TelemetryItem, ...], _MANY] = ()
    next: int = 0
