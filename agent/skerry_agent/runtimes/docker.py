"""Run modules as containers of a Docker engine on this device.

Images come from the store and never from a registry: the engine is given verified bytes, and what
a container runs (program, user, variables) is said anew from the verified image config. Containers
carry who they belong to, so that several agents can share one engine.
"""

import hashlib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from skerry_agent.core.world import Key
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes import (
    STOP_GRACE_S,
    Exited,
    InstanceSpec,
    InstanceStatus,
    Pressure,
    Running,
    grants,
)
from skerry_agent.runtimes.cgroups import DEFAULT_PIDS
from skerry_agent.runtimes.docker_archive import archive
from skerry_agent.runtimes.docker_engine import CALL_S, Engine, quoted
from skerry_agent.runtimes.grants import Grants
from skerry_agent.runtimes.run_folder import (
    IN_CONTAINER,
    INPUTS_IN_CONTAINER,
    VARIABLE,
    open_to,
    write_settings,
)
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.manifest import Resources
from skerry_contract.messages import RuntimeCaps
from skerry_contract.names import Digest

log = logging.getLogger(__name__)

_TMPFS = "rw,noexec,nosuid,nodev,mode=1777,size=67108864"
_LOG = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
_LABEL = "io.skerry"
_REPOSITORY = "skerry-device/"
_FRAME_BYTES = 8
_LOAD_S = 600.0
_MIN_RATE_BYTES_S = 512 * 1024
_TAIL_LINES = 1000
_LIMITS = {"memory": "MemoryLimit", "cpu": "CpuCfsQuota", "pids": "PidsLimit"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose containers they are.

    Attributes:
        fleet: Fleet of the device.
        device: Id of the device.
        home: Folder of the device: two with the same names on one engine are still two.
    """

    fleet: str
    device: str
    home: Path

    @property
    def mark(self) -> str:
        """Short hash that no other owner on this machine has."""
        text = f"{self.fleet}/{self.device}/{self.home.resolve()}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def labels(self) -> dict[str, str]:
        """Return the labels by which its containers are found."""
        return {
            f"{_LABEL}.fleet": self.fleet,
            f"{_LABEL}.device": self.device,
            f"{_LABEL}.home": self.mark,
        }


class DockerRuntime:
    """Modules as containers; see ``Runtime`` for what each method promises.

    Args:
        engine: The engine that runs them.
        owner: Whose they are.
    """

    def __init__(self, engine: Engine, owner: Owner) -> None:
        self._engine = engine
        self._owner = owner
        self._has_init = True

    def caps(self) -> RuntimeCaps:
        """See ``Runtime.caps``; a kernel may lack what the engine then silently ignores."""
        info = self._engine.call("GET", "/info").json
        limits = [limit for limit, key in _LIMITS.items() if info.get(key)]
        options = info.get("SecurityOptions") or ()
        filters = ["seccomp"] if any("name=seccomp" in option for option in options) else []
        enforces = (*limits, "network", "device_files", "root", *filters)
        return RuntimeCaps("docker", "container", enforces)

    def prepare(self, image: Image, store: BlobStore) -> None:
        """See ``Runtime.prepare``."""
        if image.digest in self.prepared():
            return
        tag = self._tag(image.digest)
        size = sum(layer.size for layer in image.parts.layers)
        pieces = archive(image, store, (f"skerry/{image.reference}", tag))
        done = self._engine.upload(
            "/images/load", pieces, timeout_s=max(_LOAD_S, size / _MIN_RATE_BYTES_S)
        )
        found = self._engine.call("GET", f"/images/{quoted(tag)}/json", accept=(404,))
        if found.status == 404:
            raise RuntimeFailedError(f"Docker did not take {image.reference}: {done.message}")
        if tuple(found.json["RootFS"]["Layers"]) != image.diff_ids:
            self.discard(image.digest)
            raise RuntimeFailedError(
                f"Docker has other layers for {image.reference} than it was given"
            )

    def prepared(self) -> frozenset[Digest]:
        """See ``Runtime.prepared``."""
        wanted = f"{_REPOSITORY}{self._owner.mark}:"
        query = {"filters": {"reference": [f"{wanted}*"]}}
        images = self._engine.call("GET", "/images/json", query=query).json
        tags = [tag for image in images for tag in image.get("RepoTags") or ()]
        return frozenset(
            Digest(f"sha256:{tag.removeprefix(wanted)}") for tag in tags if tag.startswith(wanted)
        )

    def discard(self, digest: Digest) -> None:
        """See ``Runtime.discard``; what another device has a name for stays in the engine."""
        tag = self._tag(digest)
        found = self._engine.call("GET", f"/images/{quoted(tag)}/json", accept=(404,))
        if found.status == 404:
            return
        tags = [name for name in found.json["RepoTags"] or () if name != tag]
        shared = any(name.startswith(_REPOSITORY) for name in tags)
        for name in (*(() if shared else tags), tag):
            self._engine.call("DELETE", f"/images/{quoted(name)}", accept=(404,))

    def start(self, spec: InstanceSpec) -> None:
        """See ``Runtime.start``."""
        image = spec.image
        tag, name = self._tag(image.digest), self._name(spec.key)
        if self._engine.call("GET", f"/images/{quoted(tag)}/json", accept=(404,)).status == 404:
            raise RuntimeFailedError(
                f"{spec.key.module} cannot be started: {image.reference} ({image.digest}) "
                "is not loaded into Docker"
            )
        seen = self._inspect(name)
        if seen is not None:
            if seen["State"]["Running"]:
                return
            self._remove(name)
        given = grants.resolve(spec)
        self._make_folders(spec)
        labels = {
            **self._owner.labels(),
            f"{_LABEL}.module": spec.key.module,
            f"{_LABEL}.revision": spec.key.revision,
            f"{_LABEL}.digest": image.digest,
        }
        body = {"Image": tag, "Labels": labels, **container(spec, given)}
        try:
            self._run(name, body)
        except RuntimeFailedError as error:
            self._remove(name)
            raise RuntimeFailedError(
                f"{spec.key.module} cannot be started: {error.text}", remedy=error.remedy
            ) from error

    def _run(self, name: str, body: Mapping[str, Any]) -> None:
        """Make a container and start it, with a program that reaps orphans if there is one."""
        if self._has_init:
            with_init = {**body, "HostConfig": {**body["HostConfig"], "Init": True}}
            try:
                self._make(name, with_init)
            except RuntimeFailedError as error:
                # There is no asking: what the engine says of it is empty with some packages.
                binary = self._engine.call("GET", "/info").json.get("InitBinary") or "docker-init"
                if binary not in error.text:
                    raise
                log.warning("Docker has no %s: orphans of modules are not reaped", binary)
                self._has_init = False
                self._remove(name)
            else:
                return
        self._make(name, body)

    def _make(self, name: str, body: Mapping[str, Any]) -> None:
        self._engine.call("POST", "/containers/create", query={"name": name}, body=body)
        self._engine.call("POST", f"/containers/{name}/start")

    def stop(self, key: Key, *, grace_s: float = STOP_GRACE_S) -> None:
        """See ``Runtime.stop``."""
        name, seconds = self._name(key), math.ceil(grace_s)
        if self._inspect(name) is None:
            return
        if seconds > 0:
            self._engine.call(
                "POST",
                f"/containers/{name}/stop",
                query={"t": seconds},
                accept=(404,),
                timeout_s=seconds + CALL_S,
            )
        self._remove(name)

    def instances(self) -> Mapping[Key, InstanceStatus]:
        """See ``Runtime.instances``."""
        labels = [f"{name}={value}" for name, value in self._owner.labels().items()]
        query = {"all": True, "filters": {"label": labels}}
        found = {}
        for listed in self._engine.call("GET", "/containers/json", query=query).json:
            seen = self._inspect(listed["Id"])
            if seen is not None:
                marks = seen["Config"]["Labels"]
                key = Key(marks[f"{_LABEL}.module"], marks[f"{_LABEL}.revision"])
                found[key] = status_of(seen)
        return found

    def tail(self, key: Key, *, max_bytes: int) -> str:
        """See ``Runtime.tail``."""
        query = {"stdout": True, "stderr": True, "tail": str(_TAIL_LINES)}
        path = f"/containers/{self._name(key)}/logs"
        answer = self._engine.call("GET", path, query=query, accept=(404,))
        if answer.status == 404:
            return ""
        return without_frames(answer.data)[-max_bytes:].decode(errors="replace")

    def _inspect(self, name: str) -> dict[str, Any] | None:
        """Return what the engine knows of a container of ours, or None if it has none.

        Raises:
            RuntimeFailedError: Somebody else has given its name to a container.
        """
        answer = self._engine.call("GET", f"/containers/{name}/json", accept=(404,))
        if answer.status == 404:
            return None
        found: dict[str, Any] = answer.json
        marks = found["Config"]["Labels"] or {}
        if any(marks.get(label) != value for label, value in self._owner.labels().items()):
            raise RuntimeFailedError(
                f"Docker has a container {name} that is not this agent's, and it is left alone",
                remedy=f"See what it is, and rename it: docker rename {name} …",
            )
        return found

    def _remove(self, name: str) -> None:
        query = {"force": True, "v": True}
        self._engine.call("DELETE", f"/containers/{name}", query=query, accept=(404,))

    def _make_folders(self, spec: InstanceSpec) -> None:
        inside = {name: f"{INPUTS_IN_CONTAINER}/{name}" for name in spec.inputs}
        try:
            write_settings(spec.run_dir, spec.run, inside)
            for folder in (spec.run_dir, *spec.inputs.values()):
                folder.mkdir(parents=True, exist_ok=True)
                open_to(folder, spec.image.user)
        except OSError as error:
            raise RuntimeFailedError(f"{spec.key.module} cannot be started: {error}") from error

    def _name(self, key: Key) -> str:
        return f"skerry-{self._owner.device}-{key.module}-{key.revision}-{self._owner.mark}"

    def _tag(self, digest: Digest) -> str:
        return f"{_REPOSITORY}{self._owner.mark}:{digest.removeprefix('sha256:')}"


def container(spec: InstanceSpec, given: Grants) -> dict[str, Any]:
    """Return what the engine is told about a container, but for its image and labels."""
    env = {**spec.image.env, **spec.run.env, VARIABLE: IN_CONTAINER}
    return {
        "Entrypoint": list(spec.image.command),
        "Env": [f"{name}={value}" for name, value in env.items()],
        "WorkingDir": spec.image.cwd,
        "User": spec.image.user,
        "Hostname": spec.key.module,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NetworkMode": spec.run.network,
            "Tmpfs": {"/tmp": _TMPFS},  # noqa: S108 - a file system of the container's own
            "LogConfig": _LOG,
            "RestartPolicy": {"Name": "no"},
            "OomScoreAdj": 500,
            "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
            "Mounts": _mounts(spec, given),
            "Devices": [_device(device.path) for device in given.devices],
            "GroupAdd": [str(group) for group in given.groups],
            **limits(spec.run.resources),
        },
    }


def limits(resources: Resources) -> dict[str, int]:
    """Return the limits as the engine wants them; memory never spills into swap."""
    found = {"PidsLimit": resources.pids or DEFAULT_PIDS}
    if resources.memory_mb is not None:
        found["Memory"] = found["MemorySwap"] = resources.memory_mb * 1024 * 1024
    if resources.cpu_percent is not None:
        found["NanoCpus"] = resources.cpu_percent * 10_000_000
    return found


def status_of(seen: Mapping[str, Any]) -> InstanceStatus:
    """Read what the engine says of a container; one that was never started counts as ended."""
    state, given = seen["State"], seen["HostConfig"]
    started = datetime.fromisoformat(state["StartedAt"]).timestamp()
    if state["Running"]:
        return Running(started)
    never = state["Status"] == "created"
    pressure = Pressure(
        memory_kills=int(bool(state["OOMKilled"])),
        memory_limit_bytes=given.get("Memory") or None,
        pids_limit=given.get("PidsLimit"),
    )
    code = None if never else int(state["ExitCode"])
    return Exited(0.0 if never else started, code, pressure)


def without_frames(data: bytes) -> bytes:
    """Take the headers out of a log in which standard output and error are interleaved.

    Source: Docker Engine API v1.41, "Attach to a container", stream format.
    """
    found = bytearray()
    at = 0
    while at + _FRAME_BYTES <= len(data):
        size = int.from_bytes(data[at + 4 : at + _FRAME_BYTES], "big")
        at += _FRAME_BYTES
        found += data[at : at + size]
        at += size
    return bytes(found)


def _mounts(spec: InstanceSpec, given: Grants) -> list[dict[str, Any]]:
    pairs = {IN_CONTAINER: spec.run_dir}
    pairs |= {f"{INPUTS_IN_CONTAINER}/{name}": path for name, path in spec.inputs.items()}
    return [
        {"Type": "bind", "Source": str(source.resolve()), "Target": target, "ReadOnly": read_only}
        for found, read_only in ((pairs, False), (given.folders, True))
        for target, source in found.items()
    ]


def _device(path: str) -> dict[str, str]:
    return {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"}
