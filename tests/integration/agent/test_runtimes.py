"""One suite for every runtime: what the agent may rely on, whichever way modules run."""

import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skerry_agent.core.world import Key
from skerry_agent.pulling.images import Image
from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes import Exited, InstanceSpec, Running, Runtime, bubblewrap
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_agent.runtimes.run_folder import input_folder
from skerry_agent.unix_http import socket_address
from skerry_contract.errors import DigestError, RuntimeFailedError
from skerry_contract.manifest import FolderInput, Resources, RunSettings
from support.dockerd import Dockerd
from support.images import OciImage, oci_image, python_image
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Make = Callable[[Path], Runtime]
KEY = Key("cam", "0123456789ab")
KINDS = ("docker", "bubblewrap", "plain")


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
        return InstanceSpec(key, image, run, self.run_dir(key), inputs)

    def run_dir(self, key: Key = KEY) -> Path:
        return self.home / "state/run" / f"{key.module}-{key.revision}"

    def up(self, key: Key = KEY) -> None:
        eventually((self.run_dir(key) / "up").exists, 30, why=f"{key} to be up")

    def ended(self, key: Key = KEY) -> Exited:
        def end() -> Exited | None:
            status = self.runtime.instances().get(key)
            return status if isinstance(status, Exited) else None

        return eventually(end, 30, why=f"{key} to end")

    def facts(self) -> dict[str, object]:
        path = self.run_dir() / "facts.json"
        eventually(path.exists, 30, why="the module to look around")
        found: dict[str, object] = json.loads(path.read_text())
        return found


def _texts(value: object) -> Mapping[str, str]:
    assert isinstance(value, Mapping)
    return value


def _maker(kind: str, request: pytest.FixtureRequest) -> Make:
    if kind == "docker":
        dockerd = request.getfixturevalue("dockerd")
        assert isinstance(dockerd, Dockerd)
        return lambda home: DockerRuntime(
            Engine(dockerd.socket), Owner("home", "porch-camera", home)
        )
    sandbox = bubblewrap.find() if kind == "bubblewrap" else None
    if kind == "bubblewrap":
        assert sandbox, "bubblewrap is missing or does not work here: install bubblewrap"
    return lambda home: ProcessRuntime(home / "state", sandbox=sandbox)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that a container's user can reach, with a path longer than a socket's address."""
    with tempfile.TemporaryDirectory(prefix="skr-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made) / ("long-" * 22)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    made = Bench(request.param, _maker(request.param, request), folder / "porch")
    yield made
    for key in made.runtime.instances():
        made.runtime.stop(key, grace_s=0)


@pytest.fixture(scope="module")
def python() -> OciImage:
    return python_image(1)


def test_what_was_started_runs_until_it_is_stopped(bench: Bench, python: OciImage) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "sleep"))
    bench.up()
    assert isinstance(bench.runtime.instances()[KEY], Running)

    bench.runtime.stop(KEY)
    assert bench.runtime.instances() == {}


def test_starting_what_runs_leaves_it_alone(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(bench.prepare(python), "sleep")
    bench.runtime.start(spec)
    bench.up()
    first = bench.runtime.instances()
    bench.runtime.start(spec)
    assert bench.runtime.instances() == first
    assert (bench.run_dir() / "up").exists()


def test_what_crashes_has_its_status_and_its_last_words(bench: Bench, python: OciImage) -> None:
    image = bench.prepare(python)
    bench.runtime.start(bench.spec(image, "crash"))
    assert bench.ended().code == 3
    # An engine may write the last lines a moment after it has seen the end, and takes them from
    # two pipes, in any order.
    last_words = ["begin crash", "this is the end"]
    eventually(lambda: sorted(bench.runtime.tail(KEY, max_bytes=1000).splitlines()) == last_words)

    bench.runtime.start(bench.spec(image, "sleep"))
    bench.up()
    assert isinstance(bench.runtime.instances()[KEY], Running)


def test_what_was_not_prepared_cannot_be_started(bench: Bench, python: OciImage) -> None:
    image = python.put(bench.store)
    with pytest.raises(RuntimeFailedError, match=f"cam.*{image.digest}"):
        bench.runtime.start(bench.spec(image, "sleep"))
    assert bench.runtime.instances() == {}


def test_a_program_that_is_not_in_the_image_does_not_start(bench: Bench) -> None:
    image = bench.prepare(oci_image([b"\0" * 1024], command=("/no/such/program",)))
    try:
        bench.runtime.start(bench.spec(image, "sleep"))
    except RuntimeFailedError as error:
        assert "/no/such/program" in error.text  # noqa: PT017 - either way is right, none is silent
        assert bench.runtime.instances() == {}
    else:
        assert bench.ended().code != 0
        assert "/no/such/program" in bench.runtime.tail(KEY, max_bytes=1000)


def test_stopping_what_does_not_run_is_harmless(bench: Bench) -> None:
    bench.runtime.stop(KEY)
    assert bench.runtime.instances() == {}
    assert bench.runtime.tail(KEY, max_bytes=100) == ""


def test_what_does_not_listen_is_killed_after_its_grace(bench: Bench, python: OciImage) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "stubborn"))
    bench.up()
    bench.runtime.stop(KEY, grace_s=0.5)
    assert bench.runtime.instances() == {}


def test_what_gets_no_grace_is_killed_without_being_asked(bench: Bench, python: OciImage) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "sleep"))
    bench.up()
    bench.runtime.stop(KEY, grace_s=0)
    assert bench.runtime.instances() == {}


def test_nothing_that_a_module_started_outlives_it(bench: Bench, python: OciImage) -> None:
    mark = f"{bench.run_dir()}"
    bench.runtime.start(bench.spec(bench.prepare(python), "spread", env={"MARK": mark}))
    bench.up()
    assert len(_marked(mark)) >= 2
    bench.runtime.stop(KEY)
    eventually(lambda: not _marked(mark), 10, why="every process of the module to be gone")


def _marked(mark: str) -> list[str]:
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


def test_instances_outlive_an_agent_that_is_killed(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(bench.prepare(python), "crash-later")
    agent = os.fork()
    if agent == 0:
        try:
            bench.make(bench.home).start(spec)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(agent, 0)[1]) == signal.SIGKILL
    bench.up()

    adopted = bench.make(bench.home)
    assert isinstance(adopted.instances()[KEY], Running)
    assert "begin" in adopted.tail(KEY, max_bytes=1000)
    (bench.run_dir() / "end").touch()
    assert bench.ended().code == 5
    adopted.stop(KEY)
    assert adopted.instances() == {}


def test_a_module_is_held_in(bench: Bench, python: OciImage) -> None:
    if bench.kind == "plain":
        assert bench.runtime.caps().isolation == "none"
        return
    with socket.create_server(("127.0.0.1", 0)) as device:
        port = str(device.getsockname()[1])
        bench.runtime.start(bench.spec(bench.prepare(python), "look", env={"PORT": port}))
        facts = bench.facts()
    assert facts["uid"] == 65532
    assert facts["capabilities"] == 0
    assert facts["no_new_privileges"] == "1"
    assert facts["root_writable"] is False
    assert facts["tmp_writable"] is True
    assert facts["interfaces"] == ["lo"]
    assert facts["reaches"] is False
    assert facts["processes"] in (1, 2)
    assert {"network"} <= set(bench.runtime.caps().enforces)


def test_a_module_has_its_files_its_settings_and_its_inputs(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(
        bench.prepare(python),
        "look",
        inputs={"frames": FolderInput("door/left")},
        env={"GREETING": "good day"},
    )
    spec.inputs["frames"].mkdir(parents=True)
    (spec.inputs["frames"] / "a.png").write_bytes(b"png")
    bench.runtime.start(spec)
    facts = bench.facts()
    assert (facts["version"], facts["greeting"]) == ("1", "good day")
    assert facts["inputs"] == {"frames": ["a.png"]}
    eventually((spec.inputs["frames"] / "failed/a.png").exists, why="the input to be moved")


def test_the_host_network_is_there_for_those_that_may_have_it(
    bench: Bench, python: OciImage
) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "look", network="host"))
    interfaces = bench.facts()["interfaces"]
    assert isinstance(interfaces, list)
    # The engine of the tests has a network of its own, with a bridge in it.
    assert ("docker0" in interfaces) if bench.kind == "docker" else interfaces


def test_sockets_in_the_run_folder_work_both_ways(bench: Bench, python: OciImage) -> None:
    image = bench.prepare(python)
    bench.run_dir().mkdir(parents=True)
    path = bench.run_dir() / "agent.sock"
    with socket.socket(socket.AF_UNIX) as agent:
        with socket_address(path) as address:
            agent.bind(address)
        path.chmod(0o666)
        agent.listen()
        agent.settimeout(30)
        bench.runtime.start(bench.spec(image, "talk"))
        peer, _ = agent.accept()
        with peer:
            assert peer.makefile().readline() == "hello agent\n"
    with socket.socket(socket.AF_UNIX) as host:
        host.settimeout(30)
        with socket_address(bench.run_dir() / "host.sock") as address:
            host.connect(address)
        host.sendall(b"hello module")
        assert host.recv(100) == b"you said hello module"


def test_a_limit_on_memory_holds_where_it_is_said_to_be_enforced(
    bench: Bench, python: OciImage
) -> None:
    assert "memory" in bench.runtime.caps().enforces
    limits = Resources(memory_mb=64)
    bench.runtime.start(bench.spec(bench.prepare(python), "hog", resources=limits))
    end = bench.ended()
    if bench.kind == "docker":
        assert (end.code, end.out_of_memory) == (137, True)
    else:
        assert end.code == 1
        assert "MemoryError" in bench.runtime.tail(KEY, max_bytes=4000)


def test_a_log_is_bounded_and_its_end_is_kept(bench: Bench, python: OciImage) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "shout"))
    bench.up()
    last = f"line 059999 {'x' * 60}\n"
    eventually(lambda: bench.runtime.tail(KEY, max_bytes=200).endswith(last), why="all of the log")
    assert len(bench.runtime.tail(KEY, max_bytes=200)) == 200
    if bench.kind != "docker":
        logs = (bench.home / "state/instances").rglob("log*")
        assert sum(log.stat().st_size for log in logs) < 1_100_000


def test_two_devices_do_not_see_each_other(bench: Bench, python: OciImage, folder: Path) -> None:
    other = Bench(bench.kind, bench.make, folder / "garden")
    for one in (bench, other):
        one.runtime.start(one.spec(one.prepare(python), "sleep"))
        one.up()
    bench.runtime.stop(KEY)
    assert bench.runtime.instances() == {}
    assert isinstance(other.runtime.instances()[KEY], Running)

    bench.runtime.discard(python.digest)
    assert bench.runtime.prepared() == frozenset()
    assert other.runtime.prepared() == {python.digest}
    other.runtime.stop(KEY)
    other.runtime.start(other.spec(other.prepare(python), "sleep"))
    other.runtime.stop(KEY, grace_s=0)
    other.runtime.discard(python.digest)


def test_images_come_and_go_whole(bench: Bench, python: OciImage) -> None:
    assert bench.runtime.prepared() == frozenset()
    bench.prepare(python)
    bench.prepare(python)
    assert bench.runtime.prepared() == {python.digest}
    assert bench.make(bench.home).prepared() == {python.digest}
    bench.runtime.discard(python.digest)
    bench.runtime.discard(python.digest)
    assert bench.runtime.prepared() == frozenset()


def test_two_revisions_run_side_by_side(bench: Bench, python: OciImage) -> None:
    newer = Key("cam", "ba9876543210")
    for key, image in ((KEY, python), (newer, python_image(2))):
        bench.runtime.start(bench.spec(bench.prepare(image), "sleep", key=key))
        bench.up(key)
    assert bench.runtime.instances().keys() == {KEY, newer}
    bench.runtime.stop(KEY)
    assert bench.runtime.instances().keys() == {newer}


def test_a_blob_that_has_rotted_is_found_before_anything_runs(bench: Bench) -> None:
    rotten = python_image(3)
    image = rotten.put(bench.store)
    layer = rotten.layers[-1]
    path = bench.store.path(layer)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestError, match=layer):
        bench.runtime.prepare(image, bench.store)
    assert bench.runtime.prepared() == frozenset()
    assert not bench.store.has(layer)  # so it is pulled again


def test_docker_that_is_away_is_an_error_that_may_pass(tmp_path: Path) -> None:
    runtime = DockerRuntime(Engine(tmp_path / "none.sock"), Owner("home", "porch", tmp_path))
    with pytest.raises(RuntimeFailedError, match=r"none\.sock") as caught:
        runtime.instances()
    assert caught.value.retryable
