"""What happens to an engine and to containers behind the agent's back; each on a real engine."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry_agent.pulling.store import BlobStore
from skerry_agent.runtimes import Exited, Running, ends
from skerry_agent.runtimes.docker import DockerRuntime
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.manifest import Resources
from skerry_contract.names import Digest
from support.dockerd import Dockerd, own_dockerd
from support.images import OciImage, python_image
from support.runtime_bench import KEY, Bench, maker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="skr-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def lasting(home: Path, dockerd: Dockerd) -> Bench:
    return Bench("docker", maker("docker", dockerd), home / "porch")


@pytest.fixture
def bench(lasting: Bench) -> Iterator[Bench]:
    yield lasting
    for key in lasting.runtime.instances():
        lasting.runtime.stop(key, grace_s=0)


def name_of(bench: Bench) -> str:
    assert isinstance(bench.runtime, DockerRuntime)
    return bench.runtime._name(KEY)


def test_a_container_is_held_in_as_the_engine_sees_it(
    bench: Bench, python: OciImage, dockerd: Dockerd
) -> None:
    limits = Resources(memory_mb=64, cpu_percent=50, pids=30)
    bench.runtime.start(bench.spec(bench.prepare(python), "sleep", resources=limits))
    bench.up()
    seen = json.loads(dockerd.docker("inspect", name_of(bench)))[0]["HostConfig"]
    assert (seen["Memory"], seen["MemorySwap"]) == (64 * 2**20, 64 * 2**20)
    assert (seen["NanoCpus"], seen["PidsLimit"]) == (500_000_000, 30)
    assert (seen["ReadonlyRootfs"], seen["CapDrop"], seen["Privileged"]) == (True, ["ALL"], False)
    assert seen["SecurityOpt"] == ["no-new-privileges"]
    assert seen["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-file": "2", "max-size": "1m"},
    }
    assert (seen["NetworkMode"], seen["Devices"], seen["Init"]) == ("none", [], True)


def test_a_container_that_somebody_removed_can_be_started_again(
    bench: Bench, python: OciImage, dockerd: Dockerd
) -> None:
    spec = bench.spec(bench.prepare(python), "sleep")
    bench.runtime.start(spec)
    bench.up()
    dockerd.docker("rm", "--force", name_of(bench))
    assert bench.runtime.instances() == {}
    assert bench.runtime.tail(KEY, max_bytes=100) == ""
    bench.runtime.start(spec)
    assert isinstance(bench.runtime.instances()[KEY], Running)
    dockerd.docker("rm", "--force", name_of(bench))
    bench.runtime.stop(KEY)  # what is gone already is no error


def test_an_image_that_somebody_removed_is_not_there(
    bench: Bench, python: OciImage, dockerd: Dockerd
) -> None:
    image = bench.prepare(python)
    tags = dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    dockerd.docker("rmi", "--force", *(tag for tag in tags if "skerry" in tag))
    assert image.digest not in bench.runtime.prepared()
    with pytest.raises(RuntimeFailedError, match="is not loaded into Docker"):
        bench.runtime.start(bench.spec(image, "sleep"))
    bench.prepare(python)
    bench.runtime.start(bench.spec(image, "sleep"))
    bench.up()


def test_somebody_elses_container_of_our_name_is_left_alone(
    bench: Bench, python: OciImage, dockerd: Dockerd
) -> None:
    spec = bench.spec(bench.prepare(python), "sleep")
    tag = next(
        one
        for one in dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
        if one.startswith("skerry-device")
    )
    dockerd.docker("create", "--name", name_of(bench), tag)
    try:
        with pytest.raises(RuntimeFailedError, match="not this agent's") as caught:
            bench.runtime.start(spec)
        assert "docker rename" in caught.value.remedy
        with pytest.raises(RuntimeFailedError, match="not this agent's"):
            bench.runtime.stop(KEY)
        assert bench.runtime.instances() == {}
        assert name_of(bench) in dockerd.docker("ps", "--all", "--format", "{{.Names}}")
    finally:
        dockerd.docker("rm", "--force", name_of(bench))
    bench.runtime.start(spec)
    bench.up()


def test_a_module_that_is_killed_for_its_memory_is_told_with_its_limit(
    bench: Bench, python: OciImage
) -> None:
    limits = Resources(memory_mb=32)
    bench.runtime.start(bench.spec(bench.prepare(python), "hog", resources=limits))
    assert "memory limit 32 MiB" in ends.told(bench.ended())[0]


def test_an_engine_that_dies_is_an_error_that_passes_and_takes_its_containers_along(
    home: Path, python: OciImage
) -> None:
    with own_dockerd() as dockerd:
        bench = Bench("docker", maker("docker", dockerd), home / "dies")
        spec = bench.spec(bench.prepare(python), "sleep")
        bench.runtime.start(spec)
        bench.up()
        dockerd.kill()
        with pytest.raises(RuntimeFailedError, match="does not answer") as caught:
            bench.runtime.instances()
        assert caught.value.retryable
        with pytest.raises(RuntimeFailedError):
            bench.runtime.start(spec)

        dockerd.start()
        status = bench.runtime.instances()[KEY]
        assert isinstance(status, Exited)
        assert bench.runtime.prepared() == {python.digest}
        bench.runtime.start(spec)
        assert isinstance(bench.runtime.instances()[KEY], Running)
        bench.runtime.stop(KEY, grace_s=0)


class DyingStore(BlobStore):
    """A store whose reader dies in the middle of one blob."""

    def __init__(self, root: Path, digest: Digest, dockerd: Dockerd) -> None:
        super().__init__(root, cap_bytes=10**9)
        self._digest = digest
        self._dockerd = dockerd

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        for number, piece in enumerate(super().chunks(digest)):
            if digest == self._digest and number == 5:
                self._dockerd.kill()
            yield piece


def test_an_engine_that_dies_while_it_loads_an_image_has_it_whole_or_not_at_all(
    home: Path,
) -> None:
    with own_dockerd() as dockerd:
        bench = Bench("docker", maker("docker", dockerd), home / "loads")
        image = python_image(9)
        prepared = image.put(bench.store)
        dying = DyingStore(bench.home / "state/blobs", image.layers[0], dockerd)
        with pytest.raises(RuntimeFailedError, match="does not answer"):
            bench.runtime.prepare(prepared, dying)
        dockerd.start()
        assert bench.runtime.prepared() == frozenset()
        bench.runtime.prepare(prepared, bench.store)
        bench.runtime.start(bench.spec(prepared, "sleep"))
        bench.up()
        bench.runtime.stop(KEY, grace_s=0)


def test_an_engine_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(
    home: Path, python: OciImage
) -> None:
    with own_dockerd(disk_mb=60) as dockerd:
        bench = Bench("docker", maker("docker", dockerd), home / "full")
        image = python.put(bench.store)
        ballast = dockerd.data / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 45 * 1024 * 1024)
        with pytest.raises(RuntimeFailedError, match="no space left on device"):
            bench.runtime.prepare(image, bench.store)
        assert bench.runtime.prepared() == frozenset()
        assert bench.runtime.caps().name == "docker"
        ballast.unlink()
        bench.runtime.prepare(image, bench.store)
        assert bench.runtime.prepared() == {python.digest}


def test_without_an_init_the_engine_runs_modules_all_the_same(home: Path, python: OciImage) -> None:
    with own_dockerd("--init-path=/no/such/init") as dockerd:
        bench = Bench("docker", maker("docker", dockerd), home / "bare")
        bench.runtime.start(bench.spec(bench.prepare(python), "sleep"))
        bench.up()
        bench.runtime.stop(KEY, grace_s=0)
