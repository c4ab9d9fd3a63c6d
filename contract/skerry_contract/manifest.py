"""The deployment manifest: what a person writes to say which modules run on which devices.

``deploy-manifests/schema.json`` and ``docs/manifest.md`` are generated from these classes, so
what their docstrings say is what people read. A manifest is strict: an unknown field is an error,
for it is most likely a typing error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from graphlib import CycleError, TopologicalSorter
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
FilePath = Annotated[str, Text(r"([^\0]*[^/\0])?", 1000, "a path of a file")]
Payload = Literal["text", "bytes"]

DevicePath = Annotated[
    str, Text(r"/dev/(?!.*\.\.)[A-Za-z0-9._:/-]*[A-Za-z0-9]", 255, "a path below /dev")
]
HostFolder = Annotated[
    str, Text(r"/(?!(?:.*/)?\.\.(?:/|$))[^\0]*", 1000, "an absolute path without '..'")
]
NetworkName = Annotated[str, Text(r"[a-z0-9][a-z0-9_.-]*", 63, "none, host or a network's name")]
_GRANTS = Size(0, 32)
Enforced = Literal["memory", "cpu", "pids", "network", "device_files", "root", "seccomp"]
"""What a runtime may enforce; ``caps`` of a device names what its own does."""

StreamName = Annotated[
    str,
    Text(rf"{NAME}/({NAME}|\*)", 127, "'module/stream', or 'module/*' for all of its streams"),
]
StreamPattern = Annotated[str, Text(rf"{NAME}|\*", 63, "a stream's name, or * for all")]
TopicTemplate = Annotated[
    str, Text(r"[^+#\0]+", 1000, "a topic, in which {module} and {stream} may stand")
]
WhenFull = Literal["wait", "drop-oldest"]

Restart = Literal["always", "on-unhealthy", "on-failure", "never"]
Update = Literal["side-by-side", "stop-first"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"


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
        password_file: File that holds the password instead: its path in the module, or below the
            input's own folder, which is ``inputs/.<module>/<input>`` in the device's folder.
        ca_file: File of certificates to trust, instead of ``ca``.
        certificate_file: File of the client's own certificate, as PEM.
        key_file: File of the certificate's key, as PEM without a passphrase.
    """

    host: Annotated[str, Text(r"[A-Za-z0-9.:_-]+", 253, "a host name or address")] = "127.0.0.1"
    port: Annotated[int, Range(1, 65_535)] = 1883
    tls: bool = False
    ca: Annotated[str, Text(r"[^\0]*", 16_384, "certificates as PEM")] = ""
    user: Annotated[str, Text(r"[^\0]*", 255, "a user name")] = ""
    password: Annotated[str, Text(r"[^\0]*", 255, "a password")] = ""
    password_file: FilePath = ""
    ca_file: FilePath = ""
    certificate_file: FilePath = ""
    key_file: FilePath = ""


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


@dataclass(frozen=True, slots=True)
class RoutedInput:
    """Results of another module of the deployment: each is scored, at least once.

    Attributes:
        stream: Whose results, and on which of its streams.
        priority: What goes first where results of several streams wait: 0 first, 9 last.
        ttl_s: Seconds after which a result that still waits is dropped.
        when_full: Where 8 MiB of results wait: ``wait`` makes the module that they come from wait
            as well; ``drop-oldest`` drops what is least important and oldest.
    """

    stream: StreamName
    priority: Annotated[int, Range(0, 9)] = 5
    ttl_s: Annotated[int, Range(1, 31_536_000)] = 86_400
    when_full: WhenFull = "wait"


@dataclass(frozen=True, slots=True)
class Route:
    """Results that a broker gets which the device reaches, beside what goes upstream.

    Attributes:
        topic: What the broker gets them on; ``{module}`` and ``{stream}`` stand for their names.
        stream: Which of the module's streams.
        broker: Where; the agent publishes, so the module needs no network.
        priority: What goes first where results wait: 0 first, 9 last.
        ttl_s: Seconds after which a result that still waits is dropped.
        when_full: As for an input.
    """

    topic: TopicTemplate
    stream: StreamPattern = "*"
    broker: Broker = Broker()
    priority: Annotated[int, Range(0, 9)] = 5
    ttl_s: Annotated[int, Range(1, 31_536_000)] = 86_400
    when_full: WhenFull = "drop-oldest"


@dataclass(frozen=True, slots=True)
class HttpInput:
    """Requests to the module's ``/score``: each is answered, and its result goes to the stream too.

    Attributes:
        http: The path whose results are told.
    """

    http: Literal["/score"]


Input = FolderInput | TopicInput | CommandInput | TimerInput | HttpInput | RoutedInput
"""Local input, told apart by the field that only its kind has."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Upper limits of one module; a runtime that cannot enforce one says so in ``caps``.

    ``requires`` of the module refuses a device that does not enforce what matters.

    Attributes:
        memory_mb: Memory in MiB; the module is killed above it.
        cpu_percent: Share of processor time, 100 being one core.
        pids: Processes and threads.
    """

    memory_mb: Annotated[int, Range(16, 1_048_576)] | None = None
    cpu_percent: Annotated[int, Range(1, 102_400)] | None = None
    pids: Annotated[int, Range(4, 100_000)] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A question to a module over HTTP; a status from 200 to 399 is a yes.

    Attributes:
        path: What is asked for, with ``GET``.
        port: TCP port on the device, which needs ``network: host``; without it the module is asked
            on ``host.sock`` in its run folder.
    """

    path: Annotated[str, Text(r"/[!-~]*", 255, "a path that begins with /")]
    port: Annotated[int, Range(1, 65_535)] | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """How the agent finds out that a module works.

    Attributes:
        start_deadline_s: Seconds from start until ``init()`` must have returned.
        interval_s: Seconds between two looks at a running module.
        timeout_s: Seconds that one look may take.
        failures: Looks in a row that must fail before the module counts as unhealthy.
        run_deadline_s: Seconds that one call of ``run()`` may take before a look counts as failed.
        live: Asked at every look: after as many noes as ``failures`` it is unhealthy. Skerry's
            scorer hosts answer without it.
        ready: Asked as well: before the first yes it has not started; a later no is reported and
            holds back a deployment, and restarts nothing.
    """

    start_deadline_s: Annotated[int, Range(1, 3600)] = 60
    interval_s: Annotated[int, Range(1, 3600)] = 10
    timeout_s: Annotated[int, Range(1, 60)] = 5
    failures: Annotated[int, Range(1, 100)] = 3
    run_deadline_s: Annotated[int, Range(1, 86_400)] = 300
    live: Check | None = None
    ready: Check | None = None


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


@dataclass(frozen=True, slots=True)
class Shadow:
    """How a new version is compared with the one that runs, on the same live input.

    While the old one scores its inputs, some of them are shown to the new one as well; its results
    are compared and go nowhere. Fields that only the new result has do not count.

    Attributes:
        inputs: Inputs after which it is decided.
        seconds: Seconds after which it is decided with fewer; with none at all, the switch is made.
        agree_percent: How many of a hundred results must agree.
        tolerance_percent: By how much a number may differ and still agree, of the old one.
        slower_percent: By how much the median time of ``run()`` may grow; by any, if not said.
    """

    inputs: Annotated[int, Range(1, 100_000)] = 20
    seconds: Annotated[int, Range(1, 604_800)] = 300
    agree_percent: Annotated[int, Range(0, 100)] = 95
    tolerance_percent: Annotated[int, Range(0, 1000)] = 1
    slower_percent: Annotated[int, Range(0, 100_000)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a module runs, whichever image it runs: the part that travels to the device unchanged.

    No field holds a fraction: what is signed is canonical JSON, which has whole numbers only.

    Attributes:
        restart: When to start a module again, each including the ones before it: ``never``;
            ``on-failure``, after it ended by itself with another status than 0; ``on-unhealthy``,
            also when it runs and its probe fails; ``always``, also after it ended with 0.
            What a power cut ended is always started again.
        update: ``side-by-side`` proves the new version next to the old one, with its inputs held
            back; ``stop-first`` needs less memory and has a gap, and returns to the old one.
        env: Environment variables, visible to whoever can inspect the device; no secrets here.
        inputs: Local data that is fed to ``run()``, by input name.
        stream: Name of the stream that results of ``run()`` go to.
        resources: Upper limits.
        probe: How the agent finds out that the module works.
        shadow: Compare a new version with the old one on live input before the switch; for
            scorer hosts side by side that have local input.
        after: Modules of the deployment that serve, have failed or have ended before this one is
            started; they stop after it.
        network: ``none``; ``host`` to share the device's network; or the name of a network that is
            there: of the Docker engine, else a named network namespace of the device.
        data: What data collectors may keep.
        device_files: Which of them it may use, such as ``/dev/video0``, beside those that every
            program has.
        folders: Folders of the device that it may read, at ``/folders/<name>``, and never write.
        upstream: Which of its streams the cloud gets; none for none.
        routes: Which of its results a broker gets besides, by a name for each route.
        requires: What must really be enforced; a device whose runtime does not refuses the module.
    """

    restart: Restart = "always"
    update: Update = "side-by-side"
    env: Annotated[Mapping[str, Value], _VARIABLES] = field(default_factory=dict)
    inputs: Annotated[Mapping[str, Input], _NAMED] = field(default_factory=dict)
    stream: Name = "scores"
    resources: Resources = Resources()
    probe: Probe = Probe()
    shadow: Shadow | None = None
    after: Annotated[tuple[Name, ...], Size(0, 50)] = ()
    network: NetworkName = "none"
    data: DataPolicy | None = None
    device_files: Annotated[tuple[DevicePath, ...], _GRANTS] = ()
    folders: Annotated[Mapping[str, HostFolder], _NAMED] = field(default_factory=dict)
    upstream: Annotated[tuple[StreamPattern, ...], _GRANTS] = ("*",)
    routes: Annotated[Mapping[str, Route], _NAMED] = field(default_factory=dict)
    requires: Annotated[tuple[Enforced, ...], _GRANTS] = ()


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
class Window:
    """A time of the week in which a device may go over to a new deployment.

    Attributes:
        start: When it opens, as hours and minutes.
        end: When it closes, on the next day if that is not after ``start``.
        days: Days on which it opens; every day if none is named.
        zone: Whose clock counts, the device's own local time or UTC. Where local time leaves an
            hour out, what would open in it opens after it.
    """

    start: Annotated[str, Text(_CLOCK, 5, "a time such as 02:00")]
    end: Annotated[str, Text(_CLOCK, 5, "a time such as 04:00")]
    days: Annotated[tuple[Day, ...], Size(0, 7)] = ()
    zone: Literal["local", "utc"] = "local"


Windows = Annotated[tuple[Window, ...], Size(0, 20)]


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
        windows: When devices may go over to it; always, if there is none. Images are pulled and
            proven at any time, and a first deployment, or a return to what ran, waits for none.
    """

    name: Name
    target: Target
    modules: Annotated[Mapping[str, Module], MODULES]
    schema: Literal[1] = 1
    description: Annotated[str, Text(max_length=1000)] = ""
    expires_days: Annotated[float, Range(0.0001, 3650)] = 30.0
    agent: ReferenceText | None = None
    windows: Windows = ()


def read(value: Any) -> Manifest:
    """Read a manifest from the values of a YAML or JSON parser.

    Raises:
        ContractError: A field is unknown, missing or wrong; ``path`` leads to it.
    """
    found = shape.read(Manifest, value, strict=True, subject="manifest")
    checks = (_check_folders, _check_brokers, _check_requests, _check_order, _check_ports)
    for check in (*checks, _check_streams, _check_routes):
        check(found)
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
            if not isinstance(given, TopicInput):
                continue
            where = ("modules", module, "inputs", name)
            if spec.network == "none":
                text = f"{given.broker.host} is out of reach: set network to 'host' for {module}"
                raise ContractError(text, (*where, "topic"), subject="manifest")
            if why := _contradiction(given.broker):
                raise ContractError(why, (*where, "broker"), subject="manifest")


def _check_requests(manifest: Manifest) -> None:
    """Refuse two names for the results of one path."""
    for module, spec in manifest.modules.items():
        names = [name for name, given in spec.inputs.items() if isinstance(given, HttpInput)]
        if len(names) > 1:
            path = ("modules", module, "inputs", names[1], "http")
            raise ContractError(f"/score is {names[0]!r} already", path, subject="manifest")


def _contradiction(broker: Broker) -> str:
    """Return what cannot be meant of how a broker is reached, or ""."""
    if broker.password and broker.password_file:
        return "either password or password_file"
    if broker.ca and broker.ca_file:
        return "either ca or ca_file"
    if bool(broker.certificate_file) != bool(broker.key_file):
        return "certificate_file and key_file go together"
    if broker.certificate_file and not broker.tls:
        return "a certificate is shown over TLS only: set tls to true"
    if broker.password_file and not broker.user:
        return "a password needs a user"
    return ""


def _check_order(manifest: Manifest) -> None:
    """Refuse an order that names what is not there, or in which nobody is first."""
    after = {name: module.after for name, module in manifest.modules.items()}
    for name, others in after.items():
        for place, other in enumerate(others):
            if other not in after:
                text = f"there is no module {other!r} in this deployment"
                raise ContractError(text, ("modules", name, "after", place), subject="manifest")
    try:
        tuple(TopologicalSorter(after).static_order())
    except CycleError as error:
        circle = error.args[1]
        text = f"nobody is first: {' after '.join(circle[::-1])}"
        raise ContractError(text, ("modules", circle[0], "after"), subject="manifest") from error


def _check_ports(manifest: Manifest) -> None:
    """Refuse a check of a port that is not on the device's network."""
    for module, spec in manifest.modules.items():
        for kind, asked in (("live", spec.probe.live), ("ready", spec.probe.ready)):
            if asked is not None and asked.port is not None and spec.network == "none":
                path = ("modules", module, "probe", kind, "port")
                text = f"{asked.port} is out of reach: set network to 'host' for {module}"
                raise ContractError(text, path, subject="manifest")


def _check_routes(manifest: Manifest) -> None:
    """Refuse files of a module for a broker that the agent publishes to: it does not have them."""
    for module, spec in manifest.modules.items():
        for name, route in spec.routes.items():
            for file in ("password_file", "ca_file", "certificate_file", "key_file"):
                if getattr(route.broker, file):
                    path = ("modules", module, "routes", name, "broker", file)
                    text = "the agent publishes, and reads no files of a module: use password or ca"
                    raise ContractError(text, path, subject="manifest")


def _check_streams(manifest: Manifest) -> None:
    """Refuse an input that is fed by a module which the deployment does not have."""
    for module, spec in manifest.modules.items():
        for name, given in spec.inputs.items():
            if not isinstance(given, RoutedInput):
                continue
            source = given.stream.partition("/")[0]
            path = ("modules", module, "inputs", name, "stream")
            if source not in manifest.modules:
                raise ContractError(f"there is no module {source!r}", path, subject="manifest")
            if source == module:
                text = f"{module} would be fed with its own results, for ever"
                raise ContractError(text, path, subject="manifest")
