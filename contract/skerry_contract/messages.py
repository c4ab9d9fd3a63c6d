"""What crosses MQTT besides the desired document: payloads of each topic, and their limits.

The device owns ``reported`` and never waits for an answer to it. Batches carry the lowest sequence
number that the device still holds (``floor``): whatever lies below and never came is lost for
good, so the cloud can count every gap and still acknowledge what follows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from skerry_contract.errors import SkerryError
from skerry_contract.manifest import Name
from skerry_contract.shape import Range, Size, Text

MAX_PAYLOAD_BYTES = 128 * 1024
"""Largest payload that either side reads."""
MAX_TEXT_CHARS = 2_000
"""Longest text of a failure or an event."""
MAX_DETAIL_CHARS = 8_000
"""Longest traceback or log tail in a report; the end is kept."""
HEARTBEAT_S = 60.0
"""Default seconds between two health payloads."""
MAX_WAITS = 20
"""Most things that a report names as holding the switch back."""
MISSED_HEARTBEATS = 3
"""After so many, a device is unknown, whatever it said last."""

Boot = Annotated[str, Text("[a-z0-9][a-z0-9-]{0,31}", 32, "a boot id")]
Time = Annotated[str, Text(max_length=40)]
Count = Annotated[int, Range(0, 2**63 - 1)]
Sequence = Annotated[int, Range(1, 2**63 - 1)]
StreamPath = Annotated[
    str, Text(r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}", 127, "'module/stream'")
]
Detail = Annotated[str, Text(max_length=MAX_DETAIL_CHARS)]

DeviceState = Literal["init", "ready", "updating", "degraded", "sleeping", "disconnected", "lost"]
Phase = Literal["idle", "pulling", "proving", "held", "switching", "committed", "refused"]
WaitKind = Literal["hold", "lock", "window", "clock"]
Severity = Literal["debug", "info", "warning", "error"]
ModuleState = Literal["pulling", "starting", "proven", "serving", "unready", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on the wire.

    Attributes:
        code: Stable code of the error, see ``skerry_contract.errors``.
        text: What happened, naming the thing.
        remedy: What to do about it.
        detail: Traceback or last lines of the log.
    """

    code: Annotated[str, Text("[A-Z_]{2,32}", 32, "an error code")]
    text: Annotated[str, Text(max_length=MAX_TEXT_CHARS)]
    remedy: Annotated[str, Text(max_length=1000)] = ""
    detail: Detail = ""


def failure_of(error: SkerryError) -> Failure:
    """Return an error as it crosses the wire, cut to what the contract allows."""
    return make_failure(error.code, error.text, error.remedy, error.detail)


def make_failure(code: str, text: str, remedy: str = "", detail: str = "") -> Failure:
    """Return a failure cut to what the contract allows; of a detail, the end stays."""
    return Failure(code, text[:MAX_TEXT_CHARS], remedy[:1000], detail[-MAX_DETAIL_CHARS:])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is, in bytes.

    Attributes:
        total: Bytes of all blobs that the deployment needs.
        present: Bytes that were on the device before.
        pulled: Bytes that were fetched for it.
    """

    total: Count = 0
    present: Count = 0
    pulled: Count = 0


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """How a version compared with the one before it, on the same live input.

    Attributes:
        inputs: Inputs that both have scored.
        agreed: How many results agreed.
        old_ms: Median milliseconds of ``run()`` of the old one.
        new_ms: The same of the new one.
    """

    inputs: Count
    agreed: Count
    old_ms: Annotated[float, Range(0)]
    new_ms: Annotated[float, Range(0)]


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """One module as the device sees it.

    Attributes:
        image: ``name:version`` of the image that runs.
        digest: Digest of its OCI manifest.
        revision: Short hash over image and settings.
        state: What it does now.
        restarts: How often it was started again after stopping by itself, since the agent started.
        failure: Why it does not run as it should.
        waits: What it waits for before it is started again, if it does.
        shadow: How it compared with the version before it, if it was compared.
    """

    image: str
    digest: str
    revision: str
    state: ModuleState
    restarts: Count = 0
    failure: Failure | None = None
    waits: Annotated[str, Text(max_length=200)] = ""
    shadow: ShadowReport | None = None


@dataclass(frozen=True, slots=True)
class BadRevision:
    """A revision that this device has tried and does not try again.

    Attributes:
        module: Name of the module.
        image: ``name:version`` of the image.
        digest: Digest of its OCI manifest.
        revision: Short hash over image and settings.
        failure: Why it was refused.
        ts: When.
    """

    module: Name
    image: str
    digest: str
    revision: str
    failure: Failure
    ts: Time


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that holds back the switch to another deployment, and nothing else.

    Attributes:
        kind: ``hold`` of a person on the device, ``lock`` of a module, ``window`` that is closed,
            ``clock`` that is not to be trusted with windows.
        owner: Who holds it.
        reason: Why; of windows, which.
        until: When it ends by itself, by the device's clock.
    """

    kind: WaitKind
    owner: Annotated[str, Text(max_length=100)] = ""
    reason: Annotated[str, Text(max_length=500)] = ""
    until: Time = ""

    @property
    def text(self) -> str:
        """What is waited for, in words: ``window 02:00-04:00 UTC``."""
        if self.kind in ("window", "clock"):
            return f"window {self.reason}" if self.kind == "window" else self.reason
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.kind} of {self.owner} until {self.until}{reason}"


@dataclass(frozen=True, slots=True)
class Reported:
    """Payload of ``reported``.

    Attributes:
        boot: Boot id of the agent that says this.
        ts: When, by the device's clock.
        version: Version of the last desired document that was accepted; 0 for none.
        deployment: Its deployment.
        phase: Where the device is with it.
        committed: Version that last proved itself as a whole, and that the device returns to.
        failure: Why the last desired document was refused, or is not carried out now.
        progress: How far the pull is.
        modules: Each module that runs or should, by name.
        bad: Revisions that were refused here, newest last.
        waits: What holds the switch back, if anything does.
        schema: Version of this format.
    """

    boot: Boot
    ts: Time
    version: Count = 0
    deployment: str = ""
    phase: Phase = "idle"
    committed: Count = 0
    failure: Failure | None = None
    progress: Progress = Progress()
    modules: Annotated[Mapping[str, ModuleReport], Size(0, 100)] = field(default_factory=dict)
    bad: Annotated[tuple[BadRevision, ...], Size(0, 50)] = ()
    waits: Annotated[tuple[Wait, ...], Size(0, MAX_WAITS)] = ()
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class State:
    """Payload of ``state``, and of the last will.

    Attributes:
        state: What the device is about.
        boot: Boot id of the agent.
        birth: Grows with every connection; a will with a lower one than was seen is stale.
        ts: When; of a will, when the connection was made.
        schema: Version of this format.
    """

    state: DeviceState
    boot: Boot
    birth: Count
    ts: Time
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class RuntimeCaps:
    """One runtime of a device and what it can enforce.

    Attributes:
        name: ``docker`` or ``process``.
        isolation: What holds a module in: ``container``, ``runc``, ``bubblewrap`` or ``none``.
        enforces: What really holds, of ``memory``, ``cpu``, ``pids`` (limits of the module as a
            whole), ``network``, ``device_files`` (none but what is granted), ``root`` (one of its
            own that cannot be written, and no capabilities) and ``seccomp`` (system calls).
    """

    name: str
    isolation: str
    enforces: Annotated[tuple[str, ...], Size(0, 16)] = ()


@dataclass(frozen=True, slots=True)
class Caps:
    """Payload of ``caps``.

    Attributes:
        boot: Boot id of the agent.
        ts: When.
        agent: Version of the agent.
        platform: OCI platform, such as ``linux/amd64``.
        python: Version of the agent's Python.
        runtime: How modules run here.
        memory_bytes: Memory of the machine.
        disk_bytes: Size of the disk that holds the agent's state.
        ack: Whether the outbox trims on the cloud's ``ack`` or on the broker's PUBACK.
        commands: Types of commands that it understands and is allowed to carry out.
        schema: Version of this format.
    """

    boot: Boot
    ts: Time
    agent: str
    platform: str
    python: str
    runtime: RuntimeCaps
    memory_bytes: Count = 0
    disk_bytes: Count = 0
    ack: Literal["cloud", "broker"] = "cloud"
    commands: Annotated[tuple[Name, ...], Size(0, 64)] = ()
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class OutboxHealth:
    """How the outbox stands.

    Attributes:
        rows: Messages held.
        size_bytes: Bytes of their payloads.
        oldest_s: Age of the oldest, in seconds.
        dropped: Messages given up since the outbox was made, by reason.
    """

    rows: Count = 0
    size_bytes: Count = 0
    oldest_s: Annotated[float, Range(0)] = 0.0
    dropped: Annotated[Mapping[str, Count], Size(0, 32)] = field(default_factory=dict)


Cause = Literal["updates", "telemetry", "logs", "samples", "control"]
"""What bytes cross the network for; ``control`` is what cannot be left out, and has no budget."""


@dataclass(frozen=True, slots=True)
class DataUse:
    """What one cause has used of a month's data, in bytes.

    Attributes:
        sent: Bytes sent.
        received: Bytes received.
        limit: Most that both may be together; 0 for no limit.
    """

    sent: Count = 0
    received: Count = 0
    limit: Count = 0


@dataclass(frozen=True, slots=True)
class DataHealth:
    """What has crossed the network in the present month.

    Attributes:
        since: First day of the month, such as ``2026-11-01``; empty if nothing is counted.
        used: Bytes by cause.
    """

    since: Annotated[str, Text(max_length=10)] = ""
    used: Mapping[str, DataUse] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """Payload of ``health``: the heartbeat.

    Attributes:
        boot: Boot id of the agent.
        ts: When.
        interval_s: Seconds until the next one at the latest, jitter included.
        metrics: Numbers by name; names are Memfault's where it has one.
        outbox: How the outbox stands.
        data: What has crossed the network this month, by cause.
        modules: Numbers by name of each module that serves.
        schema: Version of this format.
    """

    boot: Boot
    ts: Time
    interval_s: Annotated[float, Range(0.1, 86_400)]
    metrics: Annotated[Mapping[str, float], Size(0, 200)] = field(default_factory=dict)
    outbox: OutboxHealth = OutboxHealth()
    data: DataHealth = DataHealth()
    modules: Annotated[Mapping[str, Annotated[Mapping[str, float], Size(0, 64)]], Size(0, 100)] = (
        field(default_factory=dict)
    )
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that came out of a stream.

    Attributes:
        seq: Number of this item in its boot and stream, from 1 and without gaps.
        ts: When it was stored, by the device's clock.
        hist: True if it is sent late, from the store, and not as it happens.
        data: The result, or the event.
    """

    seq: Sequence
    ts: Time
    data: Any
    hist: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Payload of ``t/<module>/<stream>`` and ``event/<type>``.

    Attributes:
        boot: Boot id under which the items were stored; not always the present one.
        floor: Lowest sequence number of this boot and stream that the device still holds.
        items: Items in the order of their numbers.
        schema: Version of this format.
    """

    boot: Boot
    floor: Sequence
    items: Annotated[tuple[Item, ...], Size(1, 1000)]
    schema: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Event:
    """What ``data`` of an item of ``event/<type>`` holds.

    Attributes:
        severity: How much it matters.
        code: Stable code.
        text: What happened.
        module: Which module it is about, if any.
        detail: Traceback or last lines of the log.
    """

    severity: Severity
    code: str
    text: Annotated[str, Text(max_length=MAX_TEXT_CHARS)]
    module: str = ""
    detail: Detail = ""


@dataclass(frozen=True, slots=True)
class StreamAck:
    """How much of one boot and stream is stored in the cloud.

    Attributes:
        boot: Boot id.
        stream: ``module/stream``, or ``event/<type>``.
        seq: Everything up to this number is stored or known to be lost.
    """

    boot: Boot
    stream: StreamPath
    seq: Count


@dataclass(frozen=True, slots=True)
class Ack:
    """Payload of ``ack``.

    Attributes:
        acks: One entry per boot and stream.
        commands: Ids of commands whose end is stored.
        reads: Forms of batches that the cloud reads besides plain ones, of ``zlib``.
        schema: Version of this format.
    """

    acks: Annotated[tuple[StreamAck, ...], Size(0, 1000)] = ()
    commands: Annotated[tuple[Name, ...], Size(0, 1000)] = ()
    reads: Annotated[tuple[Name, ...], Size(0, 16)] = ()
    schema: Literal[1] = 1
