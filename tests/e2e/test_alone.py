"""A device that nobody can reach: what ran runs, what was decided stays decided."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cable import Cable
from support.echoes import FIRST, SECOND, build_echoes
from support.edge import Edge
from support.programs import need
from support.site import Site, running_site
from support.storm import INPUTS
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

MakeEdge = Callable[..., Edge]
NOWHERE = "192.0.2.1"
"""An address that is nobody's (RFC 5737)."""
NO_ROUTE = ("unshare", "--net")
_LOSE_ALL = """set -e
ip link add hole type veth peer name depth
ip address add 192.0.2.2/24 dev hole
ip link set depth up
ip link set hole up
ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev hole nud permanent
exec "$0"
"""
BLACK_HOLE = (*NO_ROUTE, "sh", "-c", _LOSE_ALL)
"""Whatever is sent to 192.0.2.1 is lost without a word."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Site]:
    need("unshare", "util-linux")
    need("ip", "iproute2")
    folder = tmp_path_factory.mktemp("site")
    with running_site(folder, caches, heartbeat_s=1) as running:
        build_echoes(running)
        yield running


def push(device: Edge, image: str, **more: Any) -> str:
    probe = {"interval_s": 1}
    return device.site.push(device.name, device.name, image, inputs=INPUTS, probe=probe, **more)


def committed(device: Edge) -> Edge:
    device.start()
    device.until_committed(push(device, FIRST))
    return device


def until_taken(device: Edge, *names: str) -> None:
    gone = [device.frames / name for name in names]
    eventually(lambda: not any(path.exists() for path in gone), 60, why="readings to be taken")


def committed_image(device: Edge) -> str:
    found = json.loads((device.folder / "state" / "committed.json").read_bytes())
    return str(found["modules"]["detector"]["image"])


@pytest.mark.parametrize("network", [NO_ROUTE, BLACK_HOLE], ids=["no route", "black hole"])
def test_after_a_reboot_without_a_network_what_ran_runs_and_is_looked_after(
    site: Site, edge: MakeEdge, network: tuple[str, ...]
) -> None:
    name = "island" if network is NO_ROUTE else "abyss"
    device = committed(edge(site, name))
    device.kill_everything()
    device.configure(
        broker={"host": NOWHERE, "port": 1883}, cloud={"url": f"http://{NOWHERE}:7700"}
    )
    device.start(network)

    until_taken(device, device.reading(1))
    os.kill(device.module_pids()[-1], signal.SIGKILL)
    until_taken(device, device.reading(2))
    assert device.is_alive()

    shown = device.command("status").stdout
    assert "detector: serving" in shown
    assert "not connected" in shown
    device.stop()


def test_a_hang_is_mended_while_an_image_never_arrives(site: Site, edge: MakeEdge) -> None:
    device = edge(site, "patient")
    device.start()
    device.until_committed(push(device, FIRST))
    with Cable(site.ports[0]) as cable:
        device.stop()
        device.configure(cloud={"url": f"http://127.0.0.1:{cable.port}"})
        cable.hold()
        push(device, SECOND)
        device.start()
        device.site.until_reported(
            device.name, lambda said: said["phase"] == "pulling", why="a pull that stands still"
        )
        until_taken(device, device.reading(0))
        pid = device.module_pids()[-1]  # the host itself: what it is held in came before it
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: pid not in device.module_pids(), 60, why="its end")
        until_taken(device, device.reading(1))
        assert committed_image(device) == FIRST
        device.stop()


def test_an_update_is_good_though_the_cloud_cannot_be_told(site: Site, edge: MakeEdge) -> None:
    device = edge(site, "mute")
    with Cable(site.ports[1]) as cable:
        device.configure(broker={"host": "127.0.0.1", "port": cable.port})
        committed(device)
        first = push(device, SECOND)
        desired = device.folder / "state" / "desired.json"
        eventually(lambda: SECOND in desired.read_text(), 60, why="the document to arrive")
        cable.cut()
        eventually(lambda: committed_image(device) == SECOND, 90, why="the update to be committed")
        until_taken(device, device.reading(1))
        # Also after a reboot, with nobody told yet, it is what the device runs.
        device.kill_everything()
        device.start()
        until_taken(device, device.reading(2))
        assert committed_image(device) == SECOND
        cable.mend()
        device.until_committed(first)
        device.stop()


def test_a_new_version_is_compared_with_the_old_one_on_live_input(
    site: Site, edge: MakeEdge
) -> None:
    device = committed(edge(site, "twins"))
    second = push(device, SECOND, shadow={"inputs": 3})

    def compared() -> Any:
        device.reading(1)
        report = device.site.device(device.name)["reported"]
        is_new = report["deployment"] == second and report["phase"] == "committed"
        return report["modules"]["detector"] if is_new else None

    module = eventually(compared, 120, every_s=0.3, why="the switch")
    assert module["image"] == SECOND
    assert (module["shadow"]["inputs"], module["shadow"]["agreed"]) == (3, 3)
    device.stop()


def test_a_person_on_the_device_holds_an_update_back_and_lets_it_go(
    site: Site, edge: MakeEdge
) -> None:
    device = committed(edge(site, "veto"))
    said = device.command("hold", "--owner", "olga", "--reason", "the line runs", "--for", "1h")
    assert said.returncode == 0, said.stderr
    second = push(device, SECOND)

    told = device.site.until_reported(
        device.name, lambda said: said["phase"] == "held", why="the switch to be held"
    )
    assert [(wait["kind"], wait["owner"]) for wait in told["waits"]] == [("hold", "olga")]
    assert told["modules"]["detector"]["image"] == FIRST
    shown = device.command("status").stdout
    assert "waits for   hold of olga until" in shown
    assert "the line runs" in device.site.skerry.ok("device", "show", device.name)

    assert "released: hold of olga" in device.command("release", "--owner", "olga").stdout
    device.until_committed(second)
    device.stop()
