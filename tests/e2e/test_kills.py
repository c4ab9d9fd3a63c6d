"""Kills at random moments while data comes in and deployments change; see ``scripts/chaos``."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.dockerd import Dockerd
from support.echoes import FIRST, build_echoes
from support.edge import Edge
from support.site import Site, running_site
from support.storm import INPUTS, Storm, check_healed

SECONDS = float(os.environ.get("SKERRY_CHAOS_SECONDS", "25"))
SEED = int(os.environ.get("SKERRY_CHAOS_SEED", "20"))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600 + 4 * SECONDS)]


@pytest.fixture
def site(kind: str, tmp_path: Path, caches: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with running_site(folder, caches, "--broker", kind, heartbeat_s=1) as running:
        build_echoes(running)
        yield running


@pytest.mark.parametrize(("kind", "runtime"), [("mosquitto", "process"), ("nats", "docker")])
def test_whatever_is_killed_nothing_is_lost_and_all_of_it_heals(
    site: Site, edge: Callable[..., Edge], runtime: str, request: pytest.FixtureRequest
) -> None:
    device = edge(site, "porch-sensor", runtime)
    if runtime == "docker":
        daemon: Dockerd = request.getfixturevalue("dockerd")
        device.configure(docker_socket=str(daemon.socket))
    device.start()
    device.until_committed(site.push("storm", device.name, FIRST, inputs=INPUTS))
    assert device.module_pids()
    print(f"seed {SEED}, {SECONDS:g} s")
    storm = Storm(site, device, random.Random(SEED))  # noqa: S311 (chance, no secret)
    deployment = storm.rage(SECONDS)
    print(storm.summary())
    check_healed(storm, deployment)
    device.stop()
