"""The executor: a real runtime, store and registry behind it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from skerry_agent.executor import Executor, Places
from skerry_agent.pulling.pull import Puller
from skerry_agent.pulling.store import BlobStore
from skerry_agent.reconciling.clock import machine_clock
from skerry_agent.reconciling.holds import Holds
from skerry_agent.routing.doors import Doors
from skerry_agent.routing.queues import RouteQueues
from skerry_agent.routing.router import Router
from skerry_agent.runtimes import cgroups, plain
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_agent.telling.outbox import Entry
from skerry_agent.updating.releases import Releases
from skerry_contract.desired import AGENT_LABEL, AgentSpec, ModuleSpec
from skerry_contract.errors import NoSpaceError
from skerry_contract.manifest import RunSettings
from support.blob_server import blob_server
from support.images import PLATFORM, noise, oci_image, tar_of
from support.images import Entry as TarEntry
from support.pulls import QUICK, cloud

pytestmark = pytest.mark.integration

KIB = 1024
MODULE = oci_image([tar_of([TarEntry("weights", noise(300 * KIB, seed=1))])])
AGENT = oci_image(
    [tar_of([TarEntry("skerry_agent/__init__.py", noise(200 * KIB, seed=2))])],
    reference="cam:2",
    config={"Labels": {AGENT_LABEL: "0.2.0"}},
)
SPEC = AgentSpec(AGENT.reference, AGENT.digest, AGENT.size)


def executor(state: Path, url: str, *, cap_bytes: int) -> Executor:
    def take(entries: Sequence[Entry]) -> None:
        raise AssertionError(f"nothing is told here: {entries}")

    store = BlobStore(state / "blobs", cap_bytes=cap_bytes)
    return Executor(
        ProcessRuntime(state, sandbox=plain.Plain(), cgroups=cgroups.find(state)),
        Puller((cloud(url),), store, platform=PLATFORM, pace=QUICK),
        store,
        Places(state / "run", state / "inputs", state / "data", PLATFORM),
        Doors(Router(RouteQueues(state / "routes.db"), take), Holds(state, machine_clock())),
    )


@pytest.mark.parametrize("wanted", [True, False], ids=["a wanted module", "one that runs"])
def test_a_new_agent_makes_no_room_at_the_cost_of_a_module(tmp_path: Path, wanted: bool) -> None:  # noqa: FBT001 - a parameter
    with blob_server({**MODULE.blobs, **AGENT.blobs}) as server:
        device = executor(tmp_path, server.url, cap_bytes=400 * KIB)
        module = ModuleSpec(MODULE.reference, MODULE.digest, MODULE.size, RunSettings())
        device.begin([MODULE.digest])
        device.pull(module)
        device.begin([MODULE.digest] if wanted else [])
        with pytest.raises(NoSpaceError, match="cam:2"):
            device.fetch_agent(SPEC, Releases(tmp_path))
        assert MODULE.digest in device.images()


def test_a_new_agent_lies_ready_to_start(tmp_path: Path) -> None:
    with blob_server(AGENT.blobs) as server:
        device = executor(tmp_path, server.url, cap_bytes=10_000 * KIB)
        releases = Releases(tmp_path)
        device.fetch_agent(SPEC, releases)
    name = AGENT.digest.removeprefix("sha256:")
    assert releases.here() == {name}
    assert (tmp_path / "agent" / name / "skerry_agent" / "__init__.py").stat().st_size == 200 * KIB
