"""The deployment manifest: what a person writes to say which modules run on which devices.

``deploy-manifests/schema.json`` and ``docs/manifest.md`` are generated from these classes, so
what their docstrings say is what people read. A manifest is strict: an unknown field is an error,
for it is most likely a typing error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from skerry_contract import shape
from skerry_contract.errors import ContractError
from skerry_contract.names import DEVICE_ID, MODEL_REFERENCE, MODULE, NAME, REFERENCE
from skerry_contract.shape import Range, Size, Text

Name = Annotated[str, Text(NAME, 63, "a name of a-z, 0-9 and -")]
DeviceId = Annotated[str, Text(DEVICE_ID, 63, "an id of 3 to 63 of a-z, 0-9 and -")]
ReferenceText = Annotated[str, Text(REFERENCE, 80, "'name:version', such as sentiment:1")]
ModelText = Annotated[
    str, Text(MODEL_REFERENCE, 340, "'name:version', 'name@sha256:…', or 'name' for the latest")
]
RelativePath = Annotated[
    str, Text(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", 255, "a relative path")
]
Value = Annotated[str, Text(r"[^\0]*", 4096, "text without NUL")]
MODULES = Size(0, 50, Text(MODULE, 63, "a name of a-z, 0-9 and - ('event' is taken)"))
"""How many modules there may be, and how they are called."""
_VARIABLES = Size(0, 100, Text(r"[A-Za-z_][A-Za-z0-9_]*", 128, "a variable's name"))
_FIELDS = Size(0, 200, Text(r"[^\0]+", 200, "a field's name"))
_NAMED = Size(0, 50, Text(NAME, 63, "a name of a-z, 0-9 and -"))

Word = Annotated[str, Text(r"[^\0]+", 4096, "text without NUL, not empty")]
TOPIC_FILTER = r"(?=.)(\+|#|[^+#\0/]*)(?:(?<!#)/(\+|#|[^+#\0/]*))*"
"""Wildcards stand for whole levels, and # is the last (MQTT 3.1.1, section 4.7.1)."""
Payload = Literal["text", "bytes"]

Restart = Literal["always", "on-failure", "never"]
Update = Literal["side-by-side", "stop-first"]


@dataclass(frozen=True, slots=True)
class FolderInput:
    """A folder on the device: each file that appears in it is scored once and then removed.

    Attributes:
        folder: Path below the device's ``inputs`` folder.
        pattern: Which files count, as a shell pattern; others are left alone.
    """

    folder: RelativePath
    pattern: Annotated[str, Text(r"[^/\0]+", 100, "a shell pattern without slashes")] = "*"


@dataclass(frozen=True, slots=True)
class Broker:
    """An MQTT 3.1.1 broker that the device reaches, which need not be Skerry's.

    Attributes:
        host: Name or address, as the device sees it.
        port: TCP port.
        tls: Whether to speak TLS and to check the broker's certificate.
        ca: Certificates to trust instead of the system's, as PEM.
        user: User name.
        password: Its password, visible to whoever may read the deployment or inspect the device.
    """

    host: Annotated[str, Text(r"[A-Za-z0-9.:_-]+", 253, "a host name or address")] = "127.0.0.1"
    port: Annotated[int, Range(1, 65_535)] = 1883
    tls: bool = False
    ca: Annotated[str, Text(r"[^\0]*", 16_384, "certificates as PEM")] = ""
    user: Annotated[str, Text(r"[^\0]*", 255, "a user name")] = ""
    password: Annotated[str, Text(r"[^\0]*", 255, "a password")] = ""


@dataclass(frozen=True, slots=True)
class TopicInput:
    """MQTT messages: each is scored, and acknowledged once its result is stored.

    Attributes:
        topic: Topic filter to subscribe to, at QoS 1.
        broker: Where; reaching any broker needs ``network: host``.
        data: What ``run()`` gets of a message.
    """

    topic: Annotated[str, Text(TOPIC_FILTER, 1000, "a topic filter, such as sensors/+/raw")]
    broker: Broker = Broker()
    data: Payload = "text"


@dataclass(frozen=True, slots=True)
class CommandInput:
    """A program that runs in the module beside the scorer: each line that it prints is scored.

    Attributes:
        command: Program and arguments; it is started again whenever it ends.
        data: What ``run()`` gets of a line.
    """

    command: Annotated[tuple[Word, ...], Size(1, 64)]
    data: Payload = "text"


@dataclass(frozen=True, slots=True)
class TimerInput:
    """A clock: ``run()`` is called with the time as a small JSON object.

    Attributes:
        every_s: Seconds between two calls; calls that were missed are not made up for.
    """

    every_s: Annotated[int, Range(1, 31_536_000)]


Input = FolderInput | TopicInput | CommandInput | TimerInput
"""Local input, told apart by the field that only its kind has."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Upper limits of one module; a runtime that cannot enforce one says so in ``caps``.

    Attributes:
        memory_mb: Memory in MiB; the module is killed above it.
        cpu_percent: Share of processor time, 100 being one core.
        pids: Processes and threads.
    """

    memory_mb: Annotated[int, Range(16, 1_048_576)] | None = None
    cpu_percent: Annotated[int, Range(1, 102_400)] | None = None
    pids: Annotated[int, Range(4, 100_000)] | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """How the agent finds out that a module works.

    Attributes:
        start_deadline_s: Seconds from start until ``init()`` must have returned.
        interval_s: Seconds between two looks at a running module.
        timeout_s: Seconds that one look may take.
        failures: Looks in a row that must fail before the module counts as unhealthy.
        run_deadline_s: Seconds that one call of ``run()`` may take before a look counts as failed.
    """

    start_deadline_s: Annotated[int, Range(1, 3600)] = 60
    interval_s: Annotated[int, Range(1, 3600)] = 10
    timeout_s: Annotated[int, Range(1, 60)] = 5
    failures: Annotated[int, Range(1, 100)] = 3
    run_deadline_s: Annotated[int, Range(1, 86_400)] = 300


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """What the scorer's data collectors may keep on the device; without it they keep nothing.

    Attributes:
        rate_percent: How many of a hundred requests are collected, each as a whole.
        redact: Fields whose values are dropped, or replaced by a keyed hash.
        budget_mb: What collected data may take on the disk, in MiB; the oldest goes first.
    """

    rate_percent: Annotated[int, Range(0, 100)] = 100
    redact: Annotated[Mapping[str, Literal["drop", "hash"]], _FIELDS] = field(default_factory=dict)
    budget_mb: Annotated[int, Range(1, 1_048_576)] = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a module runs, whichever image it runs: the part that travels to the device unchanged.

    No field holds a fraction: what is signed is canonical JSON, which has whole numbers only.

    Attributes:
        restart: When to start a module again that has stopped by itself.
        update: ``side-by-side`` proves the new version next to the old one, with its inputs held
            back; ``stop-first`` needs less memory and has a gap, and returns to the old one.
        env: Environment variables, visible to whoever can inspect the device; no secrets here.
        inputs: Local data that is fed to ``run()``, by input name.
        stream: Name of the stream that results of ``run()`` go to.
        resources: Upper limits.
        probe: How the agent finds out that the module works.
        network: ``none``, or ``host`` to share the device's network.
        data: What data collectors may keep.
    """

    restart: Restart = "always"
    update: Update = "side-by-side"
    env: Annotated[Mapping[str, Value], _VARIABLES] = field(default_factory=dict)
    inputs: Annotated[Mapping[str, Input], _NAMED] = field(default_factory=dict)
    stream: Name = "scores"
    resources: Resources = Resources()
    probe: Probe = Probe()
    network: Literal["none", "host"] = "none"
    data: DataPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Module(RunSettings):
    """One module of a deployment: what runs, and how.

    Attributes:
        image: Which built module runs, as ``name:version``.
        allow_code_in_models: Deploy it though its models hold files that execute code when they
            are loaded, such as pickles: you trust who made them.
    """

    image: ReferenceText
    allow_code_in_models: bool = False

    @property
    def run(self) -> RunSettings:
        """The settings without the image, as they travel to the device."""
        return RunSettings(**{f.name: getattr(self, f.name) for f in fields(RunSettings)})


@dataclass(frozen=True, slots=True)
class Target:
    """Which devices a deployment is for.

    Attributes:
        devices: Ids of the devices.
    """

    devices: Annotated[tuple[DeviceId, ...], Size(1, 10_000)]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A deployment: immutable once pushed, and numbered ``name:version`` by the cloud.

    Attributes:
        schema: Version of this format.
        name: What the deployment is called; a later push of the same name replaces it.
        description: For people.
        target: Which devices it is for.
        modules: What runs there, by the module's name on the device.
        expires_days: Days after which a device that has not installed it yet refuses to.
            What runs already is never stopped by this.
        agent: Which release of the agent runs there, as ``name:version``; empty for whichever does.
    """

    name: Name
    target: Target
    modules: Annotated[Mapping[str, Module], MODULES]
    schema: Literal[1] = 1
    description: Annotated[str, Text(max_length=1000)] = ""
    expires_days: Annotated[float, Range(0.0001, 3650)] = 30.0
    agent: ReferenceText | None = None


def read(value: Any) -> Manifest:
    """Read a manifest from the values of a YAML or JSON parser.

    Raises:
        ContractError: A field is unknown, missing or wrong; ``path`` leads to it.
    """
    found = shape.read(Manifest, value, strict=True, subject="manifest")
    _check_folders(found)
    _check_brokers(found)
    return found


def _check_folders(manifest: Manifest) -> None:
    """Refuse two inputs on one folder: each file there would reach one of them, by chance."""
    readers: dict[str, str] = {}
    for module, spec in manifest.modules.items():
        for name, given in spec.inputs.items():
            if not isinstance(given, FolderInput):
                continue
            reader = readers.setdefault(given.folder, f"modules.{module}.inputs.{name}")
            if reader != f"modules.{module}.inputs.{name}":
                path = ("modules", module, "inputs", name, "folder")
                raise ContractError(f"{given.folder!r} is read by {reader} already", path)


def _check_brokers(manifest: Manifest) -> None:
    """Refuse an MQTT input of a module that reaches no broker, not even the device's own."""
    for module, spec in manifest.modules.items():
        for name, given in spec.inputs.items():
            if isinstance(given, TopicInput) and spec.network == "none":
                path = ("modules", module, "inputs", name, "topic")
                text = f"{given.broker.host} is out of reach: set network to 'host' for {module}"
                raise ContractError(text, path, subject="manifest")
