"""What a manifest grants and what it does not, on every runtime."""

import os
import shutil
import socket
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry_agent.core.world import Key
from skerry_contract.errors import RuntimeFailedError, UnenforcedError
from support.images import OciImage
from support.programs import need
from support.runtime_bench import KEY, Bench

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

OTHER = Key("mic", "0123456789ab")


@pytest.fixture
def device_file() -> Iterator[Path]:
    """A device of the machine's that no module has by itself: it is always full, and harmless."""
    path = Path(f"/dev/skerry-{uuid.uuid4().hex[:8]}")
    os.mknod(path, stat.S_IFCHR | 0o660, os.makedev(1, 7))
    os.chown(path, 0, 44)  # as cameras belong to the group "video"
    path.chmod(0o660)
    yield path
    path.unlink()


@pytest.fixture
def calibration(folder: Path) -> Path:
    """A folder of the device with a file for modules to read."""
    found = folder / "calibration"
    found.mkdir(parents=True)
    (found / "lens.txt").write_text("f=3.6")
    (found / "lens.txt").chmod(0o666)
    return found


def test_a_device_file_is_there_for_those_that_may_use_it_and_only_for_them(
    bench: Bench, python: OciImage, device_file: Path
) -> None:
    image = bench.prepare(python)
    env = {"PATHS": str(device_file)}
    bench.runtime.start(bench.spec(image, "use", device_files=(str(device_file),), env=env))
    # It opens, and writing to it fails as it does with this device.
    assert bench.facts()["used"] == {str(device_file): "ENOSPC"}
    bench.runtime.stop(KEY)
    if bench.kind != "plain":
        bench.runtime.start(bench.spec(image, "use", key=OTHER, env=env))
        assert bench.facts(OTHER)["used"] == {str(device_file): "ENOENT"}


def test_a_device_file_that_is_not_there_is_named(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(bench.prepare(python), "sleep", device_files=("/dev/no-such-camera",))
    with pytest.raises(RuntimeFailedError, match=r"cam.*/dev/no-such-camera") as caught:
        bench.runtime.start(spec)
    assert caught.value.retryable  # it may be plugged in
    assert bench.runtime.instances() == {}


def test_a_folder_can_be_read_by_those_that_may_and_never_be_written(
    bench: Bench, python: OciImage, calibration: Path
) -> None:
    if bench.kind == "plain":
        return  # reads and writes whatever the agent may; caps do not say "root"
    image = bench.prepare(python)
    paths = "/folders/lens/lens.txt"
    bench.runtime.start(
        bench.spec(image, "use", folders={"lens": str(calibration)}, env={"PATHS": paths})
    )
    assert bench.facts()["used"] == {paths: "EROFS"}
    assert bench.facts()["read"] == {paths: "f=3.6"}
    assert (calibration / "lens.txt").read_text() == "f=3.6"


@pytest.mark.parametrize("place", ["state", "state/run", "."])
def test_what_is_the_agents_own_is_given_to_nobody(
    bench: Bench, python: OciImage, place: str
) -> None:
    (bench.home / place).mkdir(parents=True, exist_ok=True)
    spec = bench.spec(bench.prepare(python), "sleep", folders={"own": str(bench.home / place)})
    with pytest.raises(UnenforcedError, match="is not given to any module"):
        bench.runtime.start(spec)
    assert bench.runtime.instances() == {}


def test_a_folder_that_is_not_there_is_named(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(bench.prepare(python), "sleep", folders={"lens": "/no/such/folder"})
    with pytest.raises(RuntimeFailedError, match=r"cam.*/no/such/folder"):
        bench.runtime.start(spec)


def test_a_module_sees_nothing_of_others(bench: Bench, python: OciImage) -> None:
    if bench.kind == "plain":
        return
    image = bench.prepare(python)
    bench.runtime.start(bench.spec(image, "sleep", key=OTHER, env={"SECRET": "canary"}))
    bench.up(OTHER)
    paths = [bench.home / "state", bench.run_dir(OTHER) / "settings.json", Path("/etc/shadow")]
    bench.runtime.start(
        bench.spec(image, "use", env={"PATHS": ":".join(map(str, paths)), "LOOK": "yranac"})
    )
    facts = bench.facts()
    assert facts["used"] == {str(path): "ENOENT" for path in paths}
    assert facts["environments"] == 0
    # Nor can it signal what it cannot see: process 1 is its own.
    assert facts["others"] == []


@pytest.fixture
def network(bench: Bench, request: pytest.FixtureRequest) -> Iterator[str]:
    """A network of a name, where one module may meet others: the engine's, or the device's."""
    name = f"skr-{uuid.uuid4().hex[:8]}"
    if bench.kind == "docker":
        dockerd = request.getfixturevalue("dockerd")
        dockerd.docker("network", "create", "--internal", name)
        yield name
        for key in bench.runtime.instances():
            bench.runtime.stop(key, grace_s=0)
        dockerd.docker("network", "rm", name)
        return
    ip = need("ip", "iproute2")
    subprocess.run([ip, "netns", "add", name], check=True, timeout=30)
    cable = ["link", "add", "feed0", "type", "veth", "peer", "name", "feed1"]
    subprocess.run([ip, "-n", name, *cable], check=True, timeout=30)
    yield name
    subprocess.run([ip, "netns", "del", name], check=True, timeout=30)
    shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


def test_a_named_network_is_the_only_one_that_a_module_has(
    bench: Bench, python: OciImage, network: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as device:
        port = str(device.getsockname()[1])
        spec = bench.spec(bench.prepare(python), "look", network=network, env={"PORT": port})
        bench.runtime.start(spec)
        facts = bench.facts()
    assert facts["reaches"] is False
    expected = ["eth0", "lo"] if bench.kind == "docker" else ["feed0", "feed1", "lo"]
    assert sorted(facts["interfaces"]) == expected  # type: ignore[call-overload]  # a list of names


def test_a_network_that_is_not_there_is_named(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(bench.prepare(python), "sleep", network="no-such-network")
    with pytest.raises(RuntimeFailedError, match=r"cam.*no-such-network"):
        bench.runtime.start(spec)
    assert bench.runtime.instances() == {}
