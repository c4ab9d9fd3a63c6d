"""A device with one runtime under test, and how each runtime is made."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skerry_agent.core.world import Key
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes import Exited, InstanceSpec, Runtime, bubblewrap, cgroups, plain, runc
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_agent.runtimes.run_folder import input_folder
from skerry_agent.runtimes.sandbox import Sandbox
from skerry_contract.manifest import RunSettings
from support.dockerd import Dockerd
from support.images import OciImage
from support.waiting import eventually

Make = Callable[[Path], Runtime]
KEY = Key("cam", "0123456789ab")
KINDS = ("docker", "runc", "bubblewrap", "plain")


@dataclass
class Bench:
    """A device with one runtime under test."""

    kind: str
    make: Make
    home: Path
    runtime: Runtime = field(init=False)
    store: BlobStore = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.runtime = self.make(self.home)
        self.store = BlobStore(self.home / "state/blobs", cap_bytes=10**9)

    def prepare(self, image: OciImage) -> Image:
        prepared = image.put(self.store)
        self.runtime.prepare(prepared, self.store)
        return prepared

    def spec(self, image: Image, do: str, *, key: Key = KEY, **settings: object) -> InstanceSpec:
        env = {"DO": do, **_texts(settings.pop("env", {}))}
        run = RunSettings(env=env, **settings)  # type: ignore[arg-type]  # passed on as given
        inputs = {
            name: input_folder(self.home / "inputs", key.module, name, one)
            for name, one in run.inputs.items()
        }
        private = (self.home / "state",)
        return InstanceSpec(key, image, run, self.run_dir(key), inputs, private)

    def run_dir(self, key: Key = KEY) -> Path:
        return self.home / "state/run" / f"{key.module}-{key.revision}"

    def up(self, key: Key = KEY) -> None:
        eventually((self.run_dir(key) / "up").exists, 30, why=f"{key} to be up")

    def ended(self, key: Key = KEY) -> Exited:
        def end() -> Exited | None:
            status = self.runtime.instances().get(key)
            return status if isinstance(status, Exited) else None

        return eventually(end, 30, why=f"{key} to end")

    def facts(self, key: Key = KEY) -> dict[str, object]:
        path = self.run_dir(key) / "facts.json"
        eventually(path.exists, 30, why="the module to look around")
        found: dict[str, object] = json.loads(path.read_text())
        return found


def _texts(value: object) -> Mapping[str, str]:
    assert isinstance(value, Mapping)
    return value


def maker(kind: str, dockerd: Dockerd | None) -> Make:
    """Return what makes the runtime of a device folder."""
    if kind == "docker":
        assert dockerd is not None
        engine = Engine(dockerd.socket)
        return lambda home: DockerRuntime(engine, Owner("home", "porch-camera", home))
    return lambda home: ProcessRuntime(
        home / "state", sandbox=_sandbox(kind, home), cgroups=cgroups.find(home / "state")
    )


def _sandbox(kind: str, home: Path) -> Sandbox:
    if kind == "plain":
        return plain.Plain()
    if kind == "runc":
        program = runc.find(home / "state/runc")
        assert program, "runc is missing or does not work here: install runc, and be root"
        return runc.Runc(program, home / "state/runc")
    program = bubblewrap.find()
    assert program, "bubblewrap is missing or does not work here: install bubblewrap"
    return bubblewrap.Bubblewrap(program)


def marked(mark: str) -> list[str]:
    """Return the processes that have ``MARK=mark`` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if f"MARK={mark}\0".encode() in (folder / "environ").read_bytes():
                    found.append(folder.name)
            except OSError:
                continue
    return found
