"""What the API says, as values; ``docs/api.md`` shows each as JSON. Times are RFC 3339 in UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry_cloud import builds, clock, telemetry
from skerry_cloud.deployments import service as deployments
from skerry_cloud.deployments.progress import progress
from skerry_cloud.fleet import devices
from skerry_cloud.formats import Finding
from skerry_cloud.registry import files, models, modules, new_model
from skerry_contract import shape


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model or a scorer."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model."""

    name: str
    version: int
    description: str
    tags: Mapping[str, str]
    properties: Mapping[str, str]
    framework: str
    framework_version: str
    created: str
    created_by: str
    digest: str
    archived: str
    size: int
    files: Sequence[File]
    sample_input: File | None
    sample_output: File | None
    resources: new_model.ModelResources
    datasets: Sequence[new_model.DataSet]
    run_id: str
    experiment_name: str
    parent: str
    derived: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image, and whether the cloud had it before the build."""

    digest: str
    size: int
    kind: str
    reused: bool


@dataclass(frozen=True, slots=True)
class Image:
    """A module's image for one platform, and whether it was tried, or why not."""

    digest: str
    size: int
    layers: Sequence[Layer]
    checked: modules.Checked


@dataclass(frozen=True, slots=True)
class Module:
    """One version of a module, with an image for each platform."""

    name: str
    version: int
    models: Sequence[str]
    entry_script: str
    environment: str
    created: str
    images: Mapping[str, Image]


@dataclass(frozen=True, slots=True)
class BuildLine:
    """One line of a build's log."""

    n: int
    text: str


@dataclass(frozen=True, slots=True)
class Build:
    """A module in the making."""

    id: str
    name: str
    version: int
    state: builds.State
    created: str
    log: Sequence[BuildLine]
    module: Module | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Desired:
    """What the cloud wants of a device."""

    version: int
    deployment: str
    platform: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something a device said that is no telemetry."""

    ts: str
    type: str
    data: Any


@dataclass(frozen=True, slots=True)
class Device:
    """One device: what is wanted of it, and what it says."""

    id: str
    presence: str
    tags: Mapping[str, str]
    created: str
    flashed: bool
    last_seen: str
    state: str
    desired: Desired | None
    reported: Mapping[str, Any] | None
    caps: Mapping[str, Any] | None
    health: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    events: Sequence[Event] = ()
    failures: Mapping[str, telemetry.Failures] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceProgress:
    """Where one device is with a deployment."""

    device: str
    presence: str
    phase: str
    failure: Mapping[str, Any] | None
    progress: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a deployment and how far each device is with it."""

    name: str
    version: int
    description: str
    created: str
    manifest: str
    devices: Sequence[DeviceProgress]
    replaces: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TelemetryItem:
    """One stored item of a stream."""

    device: str
    module: str
    stream: str
    boot: str
    seq: int
    ts: str
    hist: bool
    received: str
    data: Any


@dataclass(frozen=True, slots=True)
class TelemetryPage:
    """Items in the order in which they were stored; ``next`` asks for what follows them."""

    items: Sequence[TelemetryItem]
    next: int


def model(found: models.Model) -> Model:
    """Tell of a model."""
    about = found.about
    return Model(
        name=found.reference.name,
        version=found.reference.version,
        description=about.description,
        tags=about.tags,
        properties=about.properties,
        framework=about.framework,
        framework_version=about.framework_version,
        created=clock.text(found.created),
        created_by=found.created_by,
        digest=found.digest,
        archived=clock.text(found.archived) if found.archived is not None else "",
        size=found.size,
        files=[_file(file) for file in about.files],
        sample_input=_file(about.sample_input) if about.sample_input else None,
        sample_output=_file(about.sample_output) if about.sample_output else None,
        resources=about.resources,
        datasets=about.datasets,
        run_id=about.run_id,
        experiment_name=about.experiment_name,
        parent=about.parent or "",
        derived=found.derived,
        findings=found.findings,
    )


def module(found: modules.Module) -> Module:
    """Tell of a module."""
    return Module(
        name=found.reference.name,
        version=found.reference.version,
        models=[str(reference) for reference in found.models],
        entry_script=found.entry_script,
        environment=found.environment,
        created=clock.text(found.created),
        images={platform: _image(image) for platform, image in found.images.items()},
    )


def build(found: builds.Build) -> Build:
    """Tell of a build."""
    return Build(
        id=found.id,
        name=found.reference.name,
        version=found.reference.version,
        state=found.state,
        created=clock.text(found.created),
        log=[BuildLine(n, text) for n, text in found.log.items()],
        module=module(found.module) if found.module else None,
        error=found.error,
    )


def device(
    found: devices.Device,
    events: Sequence[telemetry.Entry] = (),
    failures: Mapping[str, telemetry.Failures] | None = None,
) -> Device:
    """Tell of a device."""
    said, wanted = found.latest, found.desired
    return Device(
        id=found.id,
        presence=found.presence,
        tags=found.tags,
        created=clock.text(found.created),
        flashed=found.flashed,
        last_seen=clock.text(said.seen) if said.seen else "",
        state=said.state.state.state if said.state else "",
        desired=Desired(wanted.version, wanted.deployment, wanted.platform) if wanted else None,
        reported=_written(said.reported),
        caps=_written(said.caps),
        health=_written(said.health),
        error=_error(found.error),
        events=[Event(entry.ts, entry.stream, entry.data) for entry in events],
        failures=failures or {},
    )


def deployment(found: deployments.Deployment) -> Deployment:
    """Tell of a deployment."""
    return Deployment(
        name=found.reference.name,
        version=found.reference.version,
        description=found.description,
        created=clock.text(found.created),
        manifest=found.text,
        devices=[_progress(one, found) for one in found.devices],
        replaces=found.replaces,
    )


def telemetry_page(entries: Sequence[telemetry.Entry], cursor: int) -> TelemetryPage:
    """Tell of telemetry."""
    items = [
        TelemetryItem(
            device=entry.device,
            module=entry.source,
            stream=entry.stream,
            boot=entry.boot,
            seq=entry.seq,
            ts=entry.ts,
            hist=entry.hist,
            received=clock.text(entry.received),
            data=entry.data,
        )
        for entry in entries
    ]
    return TelemetryPage(items, entries[-1].cursor if entries else cursor)


def _file(found: files.File) -> File:
    return File(found.path, found.digest, found.size)


def _image(found: modules.Image) -> Image:
    layers = [Layer(one.digest, one.size, one.kind, one.reused) for one in found.layers]
    return Image(found.digest, found.size, layers, found.checked)


def _progress(found: devices.Device, of: deployments.Deployment) -> DeviceProgress:
    now = progress(found, str(of.reference))
    return DeviceProgress(
        device=found.id,
        presence=found.presence,
        phase=now.phase,
        failure=_written(now.failure),
        progress=_written(now.bytes),
    )


def _error(found: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {**found, "received": clock.text(found["received"])} if found else None


def _written(value: Any) -> Any:
    return None if value is None else shape.write(value)
