"""From a trained model to scores, an update, a refusal and the end, with real parts only.

What a person types is typed, what a program reads is read from documented topics. Brokers and
runtimes are chosen by configuration alone.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skerry_contract import shape
from skerry_contract.messages import MAX_PAYLOAD_BYTES, Batch, Caps, Health, Reported, State
from skerry_contract.topics import DeviceTopics
from support.dockerd import Dockerd
from support.edge import Edge
from support.mqtt import MqttClient
from support.site import FLEET, Site, processes_of, running_site
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TEMPLATE = Path(__file__).parents[2] / "module-templates" / "face-detector"
BROKEN = 4
"""A build that failed its check counts too."""
RETAINED = {"reported": Reported, "state": State, "caps": Caps, "health": Health}


@pytest.fixture(scope="module", params=["mosquitto", "nats"])
def gallery(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, caches: Path
) -> Iterator[Site]:
    """A server on each broker, with TLS, that has the face detector in three versions."""
    kind: str = request.param
    folder = tmp_path_factory.mktemp(kind)
    with running_site(folder, caches, "--broker", kind, "--tls", heartbeat_s=2) as site:
        build_three_versions(site)
        yield site


def build_three_versions(site: Site) -> None:
    model = site.folder / "model"
    fetch = [sys.executable, str(TEMPLATE / "fetch_model.py"), str(model)]
    subprocess.run(fetch, check=True, timeout=120, capture_output=True)
    (file,) = model.glob("*.tflite")
    site.skerry.ok("model", "register", "-p", file, "-n", "face", "--framework", "tflite")
    site.skerry.ok("module", "build", TEMPLATE)
    site.skerry.ok("module", "build", variant(site, "v2"))
    refused = site.skerry("module", "build", variant(site, "broken"))
    assert refused.returncode == 1
    assert "labels.txt" in refused.stderr
    site.skerry.ok("module", "build", site.folder / "broken", "--no-check")


def variant(site: Site, name: str) -> Path:
    folder = site.folder / name
    shutil.copytree(TEMPLATE, folder)
    shutil.copytree(TEMPLATE / "variants" / name, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(params=["process", "docker"])
def camera(
    request: pytest.FixtureRequest, gallery: Site, edge: Callable[..., Edge]
) -> Iterator[Edge]:
    """A device with each runtime, and its agent running."""
    runtime: str = request.param
    daemon: Dockerd | None = request.getfixturevalue("dockerd") if runtime == "docker" else None
    device = edge(gallery, f"camera-{runtime}", runtime)
    if daemon is not None:
        device.configure(docker_socket=str(daemon.socket))
    device.start()
    yield device
    device.stop()
    assert not processes_of(device.folder), "the agent left something running"
    if daemon is not None:
        assert daemon.docker("ps", "--all", "--quiet") == ""


def test_a_model_goes_all_the_way_to_scores_and_a_bad_version_changes_nothing(
    gallery: Site, camera: Edge
) -> None:
    topics = DeviceTopics(FLEET, camera.name)
    with gallery.viewer() as reader:
        assert reader.subscribe(f"{topics.prefix}/#") == [True]
        first = push(gallery, camera, 1)
        scored_by_version_1 = score(camera, reader)
        check_retained(gallery, topics, camera, first)

        push(gallery, camera, 2)
        progress = gallery.device(camera.name)["reported"]["progress"]
        assert progress["pulled"] * 10 < progress["total"], progress
        scored_by_version_2 = score(camera, reader)
        assert scored_by_version_1.keys() < scored_by_version_2.keys()

        refuse(gallery, camera)
        assert score(camera, reader).keys() == scored_by_version_2.keys()
    withdraw(gallery, camera)


def push(site: Site, camera: Edge, version: int, *, expect: int = 0) -> str:
    """Push one version of the detector, and watch it arrive as a person would."""
    deployment = site.push(
        camera.name,
        camera.name,
        f"face-detector:{version}",
        inputs={"frames": {"folder": "frames", "pattern": "*.jpg"}},
        resources={"memory_mb": 512},
        probe={"interval_s": 2},
    )
    watch = site.skerry("deployment", "show", deployment, "--watch", "--timeout", 100)
    assert watch.returncode == expect, watch.stdout + watch.stderr + camera.log()
    return deployment


def score(camera: Edge, reader: MqttClient) -> dict[str, Any]:
    """Drop a picture of two people in, and return the result that arrives by MQTT."""
    name = camera.drop((TEMPLATE / "samples" / "two-faces.jpg").read_bytes(), "two-faces.jpg")
    topic = DeviceTopics(FLEET, camera.name).telemetry("detector", "scores")

    def found() -> dict[str, Any] | None:
        for payload in reader.payloads(topic):
            for item in read(Batch, payload).items:
                if item.data["file"] == name:
                    result: dict[str, Any] = item.data["result"]
                    return result
        return None

    result = eventually(found, 60, every_s=0.1, why=f"a score for {name}; {camera.log()}")
    assert result["faces"] == 2
    camera.until_scored(name)
    eventually(lambda: not (camera.frames / name).exists(), why="the picture to be removed")
    return result


def check_retained(site: Site, topics: DeviceTopics, camera: Edge, deployment: str) -> None:
    """Whoever connects now learns at once how the device is."""
    with site.viewer() as late:
        late.subscribe(*(topics(tail) for tail in RETAINED))
        eventually(lambda: {m.topic for m in list(late.messages)} >= set(map(topics, RETAINED)))
        said = {tail: read(kind, late.payloads(topics(tail))[0]) for tail, kind in RETAINED.items()}
        assert all(message.retain for message in late.messages[: len(RETAINED)])
    assert len({one.boot for one in said.values()}) == 1
    assert said["state"].state == "ready"
    assert said["caps"].runtime.name == camera.config["runtime"]
    assert said["reported"].deployment == deployment
    assert said["reported"].modules["detector"].state == "serving"
    assert said["health"].outbox.dropped == {}


def refuse(site: Site, camera: Edge) -> None:
    """The version that cannot work is refused, with the line at which it failed."""
    push(site, camera, BROKEN, expect=1)
    shown = json.loads(site.skerry.ok("device", "show", camera.name, "--output", "json"))
    reported = shown["reported"]
    assert reported["phase"] == "refused"
    assert reported["modules"]["detector"]["image"] == "face-detector:2"
    assert reported["modules"]["detector"]["state"] == "serving"
    failure = reported["bad"][-1]["failure"]
    assert failure["code"] == "INIT_FAILED"
    assert "labels.txt" in failure["detail"]
    lines = (site.folder / "broken" / "score.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "labels.txt" in line and "read" in line)
    assert f'score.py", line {number}, in init' in failure["detail"]


def withdraw(site: Site, camera: Edge) -> None:
    """The version before comes back when one is withdrawn; with the last, the module goes."""
    site.skerry.ok("deployment", "delete", f"{camera.name}:3")
    camera.until_committed(f"{camera.name}:2")
    for version in (1, 2):
        site.skerry.ok("deployment", "delete", f"{camera.name}:{version}")
    site.until_reported(
        camera.name, lambda said: said["modules"] == {} and said["deployment"] == "", why="an end"
    )
    if camera.config["runtime"] == "process":
        eventually(lambda: not camera.module_pids(), why="the module to end")


def read(kind: type[Any], payload: bytes) -> Any:
    return shape.parse(kind, payload, max_bytes=MAX_PAYLOAD_BYTES, subject=kind.__name__)
