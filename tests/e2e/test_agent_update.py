"""An agent that replaces itself: releases that work, and releases that fail in every way."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry import agent_release
from skerry.flash import parts
from skerry.images.incoming import bring
from skerry.workspace import Workspace
from support.echoes import FIRST, SECOND, build_echoes
from support.edge import Edge
from support.site import Site, running_site
from support.storm import INPUTS
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

MakeEdge = Callable[..., Edge]
CRASH = "raise RuntimeError('this release never works')\n"
LATE_CRASH = """\
import os, threading
threading.Timer(4.0, os._exit, [7]).start()
"""
HANG = """\
import time
from skerry_agent import launcher
launcher.HANG_S = 1.0
launcher.alive()
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with running_site(folder, caches, heartbeat_s=1) as running:
        build_echoes(running)
        yield running


def publish(site: Site, name: str, first: str = "") -> str:
    """Publish the agent of this checkout, with lines of its own that it begins with."""
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKERRY_LOGIN", str(site.data / "login.json"))
        lib = Path(scratch) / "lib"
        parts.copy_packages(lib)
        main = lib / "skerry_agent" / "__main__.py"
        # Another content is another release, even where it does the same.
        main.write_text(f'"""{name}"""\n{first}{main.read_text()}')
        images = agent_release.images_of(lib, Path(scratch))
        made = bring(Workspace.from_config().api, name, images, Path(scratch), lambda _: None)
    return f"{made.name}:{made.version}"


def push(device: Edge, image: str, agent: str | None = None) -> str:
    of_all = {"agent": agent} if agent else {}
    return device.site.push(device.name, device.name, image, inputs=INPUTS, **of_all)


def release_of(device: Edge) -> str:
    """Return the release that the device says it runs."""
    found: Any = device.site.get(f"/v1/devices/{device.name}")
    return str((found["caps"] or {}).get("release", ""))


def test_a_new_agent_takes_over_and_the_module_runs_on(site: Site, edge: MakeEdge) -> None:
    device = edge(site, "renewed")
    device.start()
    device.until_committed(push(device, FIRST, publish(site, "fine")))
    digest = site.get("/v1/modules/fine/1")["images"]
    eventually(lambda: release_of(device) in str(digest) and release_of(device), 30)
    module = device.module_pids()
    assert module
    first = release_of(device)
    device.until_committed(push(device, FIRST, publish(site, "finer")), within_s=90)
    assert release_of(device) not in ("", first)
    assert device.module_pids() == module
    device.until_scored(device.reading(1))
    slots = device.folder / "state" / "agent"
    eventually(lambda: sum(one.is_dir() for one in slots.iterdir()) == 2, 30)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        pytest.param("crashes", CRASH, id="crashes at once"),
        pytest.param("crashes-late", LATE_CRASH, id="crashes after a while"),
        pytest.param("hangs", HANG, id="hangs"),
    ],
)
def test_a_bad_agent_is_refused_and_what_ran_runs_on(
    site: Site, edge: MakeEdge, name: str, first: str
) -> None:
    device = edge(site, name)
    device.start()
    device.until_committed(push(device, FIRST))
    module = device.module_pids()
    assert module
    push(device, SECOND, publish(site, name, first))
    said = device.until_refused("AGENT", within_s=90)
    assert name in said["failure"]["text"]
    assert said["modules"]["detector"]["image"] == FIRST
    assert release_of(device) == ""
    assert device.module_pids() == module
    device.until_scored(device.reading(1))


def test_whenever_the_power_is_cut_a_new_agent_arrives_in_the_end(
    site: Site, edge: MakeEdge
) -> None:
    device = edge(site, "power-cuts")
    device.start()
    device.until_committed(push(device, FIRST, publish(site, "steady")))
    deployment = push(device, SECOND, publish(site, "power-cut-proof"))
    for _ in range(2):
        device.kill_everything()
        device.start()
    device.until_committed(deployment, within_s=90)


def test_an_image_that_is_no_agent_is_refused_by_name(site: Site, edge: MakeEdge) -> None:
    device = edge(site, "mistaken")
    device.start()
    device.until_committed(push(device, FIRST))
    push(device, FIRST, SECOND)
    said = device.until_refused("CONTRACT", within_s=60)
    assert "no release of the agent" in said["failure"]["text"]
    # The way forward is open: a release that works is taken.
    device.until_committed(push(device, SECOND, publish(site, "right")), within_s=90)
