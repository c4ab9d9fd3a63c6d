"""The cloud's HTTP API as typed calls, one per line of ``docs/api.md``."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated
from urllib.parse import quote

from skerry.answers import (
    Build,
    DataSet,
    Deployment,
    Device,
    Identity,
    Info,
    Model,
    ModelResources,
    Module,
    TelemetryPage,
)
from skerry.device_commands import DeviceCommands
from skerry.files import LocalFile
from skerry.transport import Pieces, Request, Transport
from skerry_contract import shape
from skerry_contract.names import Digest, ModelReference, Reference
from skerry_contract.shape import Size

SEND_TIMEOUT_S = 60.0
"""Longest that one piece of an upload may wait for the network, or for the cloud's disk."""
SLOWEST_HASH_BYTES_S = 20 * 1024 * 1024
"""What the cloud reads again and hashes, when an upload was interrupted, at least."""
UPLOAD_SILENCE_S = 300.0
"""Seconds that the cloud may take to verify and sync what was uploaded."""
REGISTER_SILENCE_S = 300.0
"""Seconds that the cloud may take to look into a model's files."""
MAX_MANIFEST = 4 * 1024 * 1024
"""Largest manifest or index, in bytes."""
NO_RESOURCES = ModelResources()
_TUS = {"Tus-Resumable": "1.0.0"}
_MANY = Size(0, 100_000)


@dataclass(frozen=True, slots=True)
class NewModel:
    """What ``POST /v1/models`` takes.

    Attributes:
        unpack: Whether the one file is an archive that stands for the files in it.
        sample_input: A file with typical input, uploaded already.
        sample_output: A file with the output for it.
        parent: The model that it was made from, as ``name:version``.
    """

    name: str
    files: Sequence[LocalFile]
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    framework: str = ""
    framework_version: str = ""
    unpack: bool = False
    sample_input: LocalFile | None = None
    sample_output: LocalFile | None = None
    resources: ModelResources = NO_RESOURCES
    datasets: Sequence[DataSet] = ()
    run_id: str = ""
    experiment_name: str = ""
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class ModelChange:
    """What ``PATCH /v1/models/NAME/WHICH`` takes; None stays as it is."""

    description: str | None = None
    tags: Mapping[str, str] | None = None
    add_tags: Mapping[str, str] = field(default_factory=dict)
    remove_tags: Sequence[str] = ()
    add_properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """Which models are wanted; all that is said must hold.

    Attributes:
        latest: Only the latest of each name; None leaves it to the server: the latest of each name,
            and all versions where a name is given.
    """

    name: str = ""
    tag: Sequence[str] = ()
    property: Sequence[str] = ()
    framework: str = ""
    run_id: str = ""
    archived: bool = False
    latest: bool | None = None


@dataclass(frozen=True, slots=True)
class NewModule:
    """What ``POST /v1/modules`` takes.

    Attributes:
        name: Name of the module.
        models: Models as ``name:version``.
        files: The scorer's folder.
        entry_script: Path of the entry script among ``files``.
        environment: Path of the environment file among ``files``; empty for none.
        platforms: OCI platforms to build for.
        check: Whether to run ``init()`` and the golden set while building.
        base: Digest of the uploaded image to build on, by platform; empty for Skerry's own.
    """

    name: str
    models: Sequence[str]
    files: Sequence[LocalFile]
    entry_script: str
    environment: str
    platforms: Sequence[str]
    check: bool = True
    base: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TelemetryQuery:
    """Which items ``GET /v1/telemetry`` gives; what is None is not asked about."""

    device: str | None = None
    module: str | None = None
    stream: str | None = None


class Api:
    """One server's API.

    Every call raises what the server said went wrong, as the error that it named, and
    ``NetworkError`` where there was no talking to it.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.url = transport.url
        self.commands = DeviceCommands(transport)

    def info(self) -> Info:
        """Return what server this is."""
        return self._transport.ask(Info, Request("GET", "/v1/info"))

    # --- blobs ---------------------------------------------------------------------------------

    def has_blob(self, digest: Digest) -> bool:
        """Tell whether the cloud holds these bytes already."""
        return self._transport.exists(f"/v1/blobs/{digest}")

    def put_blob(self, file: LocalFile) -> None:
        """Upload a file; the cloud refuses bytes that are not what the digest says."""
        self._transport.send(
            Request(
                "PUT",
                f"/v1/blobs/{file.digest}",
                # An empty file would go out as an endless body of no known length.
                body=(lambda: file.source.open("rb")) if file.size else b"",
                content_type="application/octet-stream",
                read_timeout_s=UPLOAD_SILENCE_S,
            )
        )

    def begin_upload(self, file: LocalFile) -> int:
        """Begin to upload a large file, or find how far it came; return the byte to go on from."""
        metadata = b64encode(file.digest.encode()).decode()
        headers = {"Upload-Length": str(file.size), "Upload-Metadata": f"digest {metadata}"}
        request = Request("POST", "/v1/uploads", headers={**_TUS, **headers})
        return int(self._transport.headers(request)["Upload-Offset"])

    def append_upload(self, file: LocalFile, offset: int, pieces: Iterator[bytes]) -> None:
        """Send the rest of a large file; the cloud verifies all of it before it answers.

        Args:
            file: The file.
            offset: Where ``pieces`` begin.
            pieces: All bytes from there on.
        """
        self._transport.send(
            Request(
                "PATCH",
                f"/v1/uploads/{file.digest}",
                body=lambda: Pieces(pieces, file.size - offset),
                content_type="application/offset+octet-stream",
                headers={**_TUS, "Upload-Offset": str(offset)},
                read_timeout_s=UPLOAD_SILENCE_S + file.size / SLOWEST_HASH_BYTES_S,
                connect_timeout_s=SEND_TIMEOUT_S,
            )
        )

    def copy_blob(self, digest: str, sink: Callable[[bytes], object], *, max_bytes: int) -> None:
        """Hand the bytes of a blob to ``sink`` in pieces; the caller checks their digest."""
        self._transport.copy(f"/v1/blobs/{digest}", sink, max_bytes=max_bytes)

    # --- models --------------------------------------------------------------------------------

    def register_model(self, new: NewModel) -> Model:
        """Register files that were uploaded as the next version of a model."""
        samples = {
            name: _files([sample])[0]
            for name in ("sample_input", "sample_output")
            if (sample := getattr(new, name))
        }
        plain = replace(new, files=(), sample_input=None, sample_output=None)
        body = {**shape.write(plain), "files": _files(new.files), **samples}
        # The server looks into every file, and unpacks archives, before it answers.
        return self._transport.ask(
            Model, replace(_post("/v1/models", body), read_timeout_s=REGISTER_SILENCE_S)
        )

    def models(self, wanted: ModelFilter | str = "") -> Sequence[Model]:
        """Return the models that fit a filter, or that have a name."""
        asked = ModelFilter(wanted) if isinstance(wanted, str) else wanted
        query = {
            "tag": asked.tag,
            "property": asked.property,
            "framework": asked.framework or None,
            "run_id": asked.run_id or None,
            "archived": "true" if asked.archived else None,
            "latest": None if asked.latest is None else str(asked.latest).lower(),
        }
        found: list[Model] = []
        after = ""
        while True:
            request = Request(
                "GET", _path("models", asked.name), query={**query, "after": after or None}
            )
            page = self._transport.ask(_Models, request)
            found += page.models
            after = page.next
            if not after:
                return found

    def model(self, which: Reference | ModelReference) -> Model:
        """Return one version of a model, with its files."""
        return self._transport.ask(Model, Request("GET", _model(which)))

    def change_model(self, which: Reference | ModelReference, change: ModelChange) -> Model:
        """Change what may change of a model."""
        request = replace(_post(_model(which), shape.write(change)), method="PATCH")
        return self._transport.ask(Model, request)

    def archive_model(self, which: Reference | ModelReference, *, archived: bool) -> Model:
        """Hide a version from lists and new builds, or bring it back."""
        verb = "archive" if archived else "restore"
        return self._transport.ask(Model, _post(f"{_model(which)}/{verb}", {}))

    def delete_model(self, which: Reference | ModelReference) -> None:
        """Delete one version of a model that no module uses."""
        self._transport.send(Request("DELETE", _model(which)))

    # --- modules -------------------------------------------------------------------------------

    def build_module(self, new: NewModule) -> Build:
        """Start to build the next version of a module."""
        body = {
            "name": new.name,
            "models": list(new.models),
            "files": _files(new.files),
            "entry_script": new.entry_script,
            "environment": new.environment,
            "platforms": list(new.platforms),
            "check": new.check,
            **({"base": dict(new.base)} if new.base else {}),
        }
        return self._transport.ask(Build, _post("/v1/modules", body))

    def import_module(self, name: str, images: Sequence[str]) -> Module:
        """Make uploaded images, named by their manifests' digests, the next version of a module."""
        return self._transport.ask(
            Module, _post("/v1/modules/import", {"name": name, "images": list(images)})
        )

    def build(self, build_id: str, after: int) -> Build:
        """Return a build and the lines of its log that follow line ``after``."""
        path = f"/v1/builds/{quote(build_id, safe='')}"
        return self._transport.ask(Build, Request("GET", path, query={"after": after}))

    def modules(self, name: str = "") -> Sequence[Module]:
        """Return the latest version of each module, or all versions of one."""
        return self._transport.ask(_Modules, Request("GET", _path("modules", name))).modules

    def module(self, which: Reference) -> Module:
        """Return one version of a module, with its images."""
        return self._transport.ask(Module, Request("GET", _one("modules", which)))

    def delete_module(self, which: Reference) -> None:
        """Delete one version of a module that no deployment uses."""
        self._transport.send(Request("DELETE", _one("modules", which)))

    # --- images, through the distribution API ---------------------------------------------------

    def manifest(self, name: str, reference: str) -> tuple[bytes, str]:
        """Return a manifest or index of a module as it is, and its media type."""
        return self._transport.read(f"/v2/{name}/manifests/{reference}", max_bytes=MAX_MANIFEST)

    def referrers(self, name: str, digest: str) -> bytes:
        """Return the index of what refers to an image."""
        return self._transport.read(f"/v2/{name}/referrers/{digest}", max_bytes=MAX_MANIFEST)[0]

    def copy_image_blob(
        self, name: str, digest: str, sink: Callable[[bytes], object], *, max_bytes: int
    ) -> None:
        """Hand a blob of a module's images to ``sink``; the caller checks its digest."""
        self._transport.copy(f"/v2/{name}/blobs/{digest}", sink, max_bytes=max_bytes)

    # --- devices -------------------------------------------------------------------------------

    def add_device(self, device: str, tags: Mapping[str, str]) -> Device:
        """Make a device known, so that it can be flashed."""
        return self._transport.ask(Device, _post("/v1/devices", {"id": device, "tags": tags}))

    def devices(self) -> Sequence[Device]:
        """Return all devices."""
        return self._transport.ask(_Devices, Request("GET", "/v1/devices")).devices

    def device(self, device: str) -> Device:
        """Return one device with all that it reports."""
        return self._transport.ask(Device, Request("GET", _path("devices", device)))

    def remove_device(self, device: str) -> None:
        """Forget a device; its token ends at once."""
        self._transport.send(Request("DELETE", _path("devices", device)))

    def new_identity(self, device: str) -> Identity:
        """Return a new identity of a device; the one before ends at once."""
        return self._transport.ask(Identity, _post(f"{_path('devices', device)}/identity", {}))

    # --- deployments and telemetry -------------------------------------------------------------

    def push(self, manifest: bytes) -> Deployment:
        """Push a manifest as it was written; the cloud judges it."""
        request = Request("POST", "/v1/deployments", body=manifest, content_type="application/yaml")
        return self._transport.ask(Deployment, request)

    def deployments(self) -> Sequence[Deployment]:
        """Return the latest version of each deployment."""
        request = Request("GET", "/v1/deployments")
        return self._transport.ask(_Deployments, request).deployments

    def deployment(self, name: str, version: int | None = None) -> Deployment:
        """Return one version of a deployment, the latest by default."""
        path = f"{_path('deployments', name)}/{version or 'latest'}"
        return self._transport.ask(Deployment, Request("GET", path))

    def delete_deployment(self, which: Reference) -> None:
        """Withdraw one version of a deployment from its devices."""
        self._transport.send(Request("DELETE", _one("deployments", which)))

    def telemetry(
        self, query: TelemetryQuery, *, after: int | None, limit: int, wait_s: float
    ) -> TelemetryPage:
        """Return stored items.

        Args:
            query: Which ones.
            after: Only those that follow this cursor; None for the newest ones.
            limit: At most so many, above 0.
            wait_s: Seconds to wait for the first one, if there is none yet.
        """
        request = Request(
            "GET",
            "/v1/telemetry",
            query={**shape.write(query), "after": after, "limit": limit, "wait_s": wait_s},
            read_timeout_s=wait_s + 30.0,
        )
        return self._transport.ask(TelemetryPage, request)


@dataclass(frozen=True, slots=True)
class _Models:
    models: Annotated[tuple[Model, ...], _MANY]
    next: str = ""


@dataclass(frozen=True, slots=True)
class _Modules:
    modules: Annotated[tuple[Module, ...], _MANY]


@dataclass(frozen=True, slots=True)
class _Devices:
    devices: Annotated[tuple[Device, ...], _MANY]


@dataclass(frozen=True, slots=True)
class _Deployments:
    deployments: Annotated[tuple[Deployment, ...], _MANY]


def _post(path: str, body: Mapping[str, object]) -> Request:
    return Request("POST", path, body=shape.dump(body))


def _path(collection: str, name: str) -> str:
    return f"/v1/{collection}/{quote(name, safe='')}" if name else f"/v1/{collection}"


def _one(collection: str, which: Reference) -> str:
    return f"{_path(collection, which.name)}/{which.version}"


def _model(which: Reference | ModelReference) -> str:
    version = which.version if isinstance(which, Reference) else which.which
    return f"{_path('models', which.name)}/{quote(str(version), safe='')}"


def _files(files: Sequence[LocalFile]) -> list[dict[str, object]]:
    return [{"path": file.path, "digest": file.digest, "size": file.size} for file in files]
