"""One suite for every runtime: what the agent may rely on, whichever way modules run.

What limits do is in ``test_runtime_limits.py``, what grants do in ``test_runtime_grants.py``.
"""

import os
import signal
import socket
from pathlib import Path

import pytest

from skerry_agent.core.world import Key
from skerry_agent.runtimes import Running
from skerry_agent.runtimes.docker import DockerRuntime, Owner
from skerry_agent.runtimes.docker_engine import Engine
from skerry_agent.unix_http import socket_address
from skerry_contract.errors import DigestError, RuntimeFailedError
from skerry_contract.manifest import FolderInput
from support.images import OciImage, oci_image, python_image
from support.runtime_bench import KEY, Bench, marked
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


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


def test_what_was_not_prepared_cannot_be_started(fresh: Bench, python: OciImage) -> None:
    image = python.put(fresh.store)
    with pytest.raises(RuntimeFailedError, match=f"cam.*{image.digest}"):
        fresh.runtime.start(fresh.spec(image, "sleep"))
    assert fresh.runtime.instances() == {}


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
    assert len(marked(mark)) >= 2
    bench.runtime.stop(KEY)
    eventually(lambda: not marked(mark), 10, why="every process of the module to be gone")


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
    assert facts["dev_writable"] is False
    assert facts["shared_memory"] is True
    assert facts["tmp_writable"] is True
    assert facts["interfaces"] == ["lo"]
    assert facts["reaches"] is False
    assert facts["processes"] in (1, 2)
    assert facts["refused"] == ["clone", "keyctl", "mount", "unshare"]
    caps = bench.runtime.caps()
    assert set(caps.enforces) == {
        *("memory", "cpu", "pids"),
        *("network", "device_files", "root", "seccomp"),
    }


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


def test_a_log_is_bounded_and_its_end_is_kept(bench: Bench, python: OciImage) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "shout"))
    bench.up()
    last = f"line 059999 {'x' * 60}\n"
    eventually(lambda: bench.runtime.tail(KEY, max_bytes=200).endswith(last), why="all of the log")
    assert len(bench.runtime.tail(KEY, max_bytes=200)) == 200
    if bench.kind != "docker":
        logs = (bench.home / "state/instances").rglob("log*")
        assert sum(log.stat().st_size for log in logs) < 1_100_000


def test_two_devices_do_not_see_each_other(fresh: Bench, python: OciImage, folder: Path) -> None:
    other = Bench(fresh.kind, fresh.make, folder / "garden")
    for one in (fresh, other):
        one.runtime.start(one.spec(one.prepare(python), "sleep"))
        one.up()
    fresh.runtime.stop(KEY)
    assert fresh.runtime.instances() == {}
    assert isinstance(other.runtime.instances()[KEY], Running)

    fresh.runtime.discard(python.digest)
    assert fresh.runtime.prepared() == frozenset()
    assert other.runtime.prepared() == {python.digest}
    other.runtime.stop(KEY)
    other.runtime.start(other.spec(other.prepare(python), "sleep"))
    other.runtime.stop(KEY, grace_s=0)
    other.runtime.discard(python.digest)


def test_images_come_and_go_whole(fresh: Bench, python: OciImage) -> None:
    assert fresh.runtime.prepared() == frozenset()
    fresh.prepare(python)
    fresh.prepare(python)
    assert fresh.runtime.prepared() == {python.digest}
    assert fresh.make(fresh.home).prepared() == {python.digest}
    fresh.runtime.discard(python.digest)
    fresh.runtime.discard(python.digest)
    assert fresh.runtime.prepared() == frozenset()


def test_two_revisions_run_side_by_side(bench: Bench, python: OciImage) -> None:
    newer = Key("cam", "ba9876543210")
    for key, image in ((KEY, python), (newer, python_image(2))):
        bench.runtime.start(bench.spec(bench.prepare(image), "sleep", key=key))
        bench.up(key)
    assert bench.runtime.instances().keys() == {KEY, newer}
    bench.runtime.stop(KEY)
    assert bench.runtime.instances().keys() == {newer}


def test_a_blob_that_has_rotted_is_found_before_anything_runs(fresh: Bench) -> None:
    rotten = python_image(3)
    image = rotten.put(fresh.store)
    layer = rotten.layers[-1]
    path = fresh.store.path(layer)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(DigestError, match=layer):
        fresh.runtime.prepare(image, fresh.store)
    assert fresh.runtime.prepared() == frozenset()
    assert not fresh.store.has(layer)  # so it is pulled again


def test_docker_that_is_away_is_an_error_that_may_pass(tmp_path: Path) -> None:
    runtime = DockerRuntime(Engine(tmp_path / "none.sock"), Owner("home", "porch", tmp_path))
    with pytest.raises(RuntimeFailedError, match=r"none\.sock") as caught:
        runtime.instances()
    assert caught.value.retryable
