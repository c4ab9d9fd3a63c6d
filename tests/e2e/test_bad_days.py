"""What goes wrong around a device: the network, the server, the disk, and people."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skerry_contract.topics import DeviceTopics
from support.cable import Cable
from support.echoes import BROKEN, FIRST, SECOND, build_echoes
from support.edge import Edge
from support.site import FLEET, Site, running_site
from support.storm import INPUTS, check_sequences
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

ECHO = Path(__file__).parents[2] / "module-templates" / "echo"
MakeEdge = Callable[..., Edge]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Site]:
    """A server that all tests here share; one that stops it starts it again."""
    folder = tmp_path_factory.mktemp("site")
    with running_site(folder, caches, heartbeat_s=1) as running:
        build_echoes(running)
        yield running


def push(device: Edge, image: str, **more: Any) -> str:
    probe = {"interval_s": 1}
    return device.site.push(device.name, device.name, image, inputs=INPUTS, probe=probe, **more)


def committed(device: Edge, image: str = FIRST) -> Edge:
    """Start the agent and return its device, which runs the echo module."""
    device.start()
    device.until_committed(push(device, image))
    return device


def until_taken(device: Edge, *names: str) -> None:
    """Wait until readings were scored and their results stored on the device."""
    gone = [device.frames / name for name in names]
    eventually(lambda: not any(path.exists() for path in gone), 30, why="readings to be taken")


# --- the network ------------------------------------------------------------------------------


@contextmanager
def cabled(device: Edge) -> Iterator[Cable]:
    """Put a cable between a device and its broker."""
    with Cable(device.site.ports[1]) as cable:
        device.configure(broker={"host": "127.0.0.1", "port": cable.port})
        yield cable


def test_while_the_network_is_cut_a_device_goes_on_scoring_and_all_of_it_arrives(
    site: Site, edge: MakeEdge
) -> None:
    device = edge(site, "cut-off")
    with cabled(device) as cable:
        committed(device)
        cable.cut()
        names = [device.reading(value) for value in range(20)]
        until_taken(device, *names)
        assert {item["data"]["file"] for item in device.scores()}.isdisjoint(names)
        cable.mend()
        device.until_scored(*names)
        check_sequences(list(device.scores()))
        device.stop()


def test_an_agent_that_starts_without_a_broker_works_once_there_is_one(
    site: Site, edge: MakeEdge
) -> None:
    device = edge(site, "early-bird")
    with cabled(device) as cable:
        cable.cut()
        deployment = push(device, FIRST)
        device.start()
        eventually(lambda: "next try in" in device.log(), why="a failed connection")
        assert device.is_alive()
        cable.mend()
        device.until_committed(deployment)
        device.stop()


def test_a_device_that_is_not_heard_of_is_unknown_and_not_as_it_was_last(
    site: Site, edge: MakeEdge
) -> None:
    device = edge(site, "quiet-one")
    with cabled(device) as cable:
        committed(device)
        assert site.device(device.name)["presence"] == "online"
        cable.hold()
        presence = eventually(
            lambda: found if (found := site.device(device.name)["presence"]) != "online" else None
        )
        assert presence == "unknown"
        cable.mend()
        eventually(lambda: site.device(device.name)["presence"] == "online", 30)
        device.stop()
    eventually(lambda: site.device(device.name)["presence"] == "offline")


def test_after_a_power_cut_without_any_network_the_module_runs_again(
    site: Site, edge: MakeEdge
) -> None:
    device = committed(edge(site, "lone-wolf"))
    site.stop()
    try:
        device.kill_everything()
        device.start()
        name = device.reading(1)
        until_taken(device, name)
        status = device.command("status")
        assert "serving" in status.stdout
    finally:
        site.start()
    device.until_scored(name, within_s=60)
    device.stop()


# --- documents that are not to be obeyed --------------------------------------------------------


def test_a_document_that_is_forged_replayed_or_anothers_is_refused_and_the_module_runs_on(
    site: Site, edge: MakeEdge
) -> None:
    device = committed(edge(site, "stubborn"))
    first = document(device)
    device.until_committed(push(device, SECOND))
    second = document(device)
    forged = json.loads(second)
    forged["director"]["targets"]["signed"]["version"] += 1
    other = edge(site, "somebody-else")
    push(other, FIRST)
    pids = device.module_pids()
    with site.service() as intruder:
        for payload, code in (
            (json.dumps(forged).encode(), "SIGNATURE"),
            (first, "ROLLBACK"),
            (document(other), "WRONG_DEVICE"),
            (b"{}", "CONTRACT"),
        ):
            intruder.publish(topic(device), payload, retain=True)
            said = device.until_refused(code)
            assert said["modules"]["detector"]["image"] == SECOND
            assert said["modules"]["detector"]["state"] == "serving"
    device.until_scored(device.reading(1))
    assert device.module_pids() == pids
    said = device.until_committed(push(device, FIRST))
    assert said.get("failure") is None
    device.stop()


def test_a_document_that_expired_before_it_came_is_refused(site: Site, edge: MakeEdge) -> None:
    device = committed(edge(site, "sleeper"))
    device.stop()
    push(device, SECOND, expires_days=0.0001)
    expires = json.loads(document(device))["director"]["targets"]["signed"]["expires"]
    eventually(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > expires, 15)
    device.start()
    said = device.until_refused("EXPIRED")
    assert said["modules"]["detector"]["image"] == FIRST
    device.until_scored(device.reading(1))
    device.until_committed(push(device, SECOND))
    device.stop()


def topic(device: Edge) -> str:
    return DeviceTopics(FLEET, device.name)("desired")


def document(device: Edge) -> bytes:
    """Return what is retained for a device."""
    with device.site.viewer() as reader:
        reader.subscribe(topic(device))
        eventually(reader.payloads, why="the retained document")
        return reader.payloads()[0]


# --- bytes and disks --------------------------------------------------------------------------


def test_bytes_that_are_not_what_was_signed_are_refused_until_they_are_right(
    site: Site, edge: MakeEdge
) -> None:
    device = committed(edge(site, "careful"))
    blob = own_layer(site, SECOND)
    right = blob.read_bytes()
    blob.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    try:
        deployment = push(device, SECOND)
        said = device.until_refused("DIGEST")
        assert said["modules"]["detector"]["image"] == FIRST
        device.until_scored(device.reading(1))
    finally:
        blob.write_bytes(right)
    said = device.until_committed(deployment)
    assert said.get("failure") is None
    device.stop()


def own_layer(site: Site, image: str) -> Path:
    """Return the server's file of the layer that only this version has."""
    layers = {}
    for reference in (FIRST, SECOND):
        shown = json.loads(site.skerry.ok("module", "show", reference, "--output", "json"))
        layers[reference] = {
            layer["digest"] for made in shown["images"].values() for layer in made["layers"]
        }
    (digest,) = layers[image] - layers[FIRST if image == SECOND else SECOND]
    (found,) = (site.data / "blobs").rglob(digest.removeprefix("sha256:"))
    return found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own for a device's state."""
    folder = tmp_path / "disk"
    folder.mkdir()
    options = "size=400m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "skerry-test", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


# With nothing left the document itself cannot be stored; with some, an image does not fit.
@pytest.mark.parametrize("spare_mb", [0, 60])
def test_a_full_disk_is_reported_and_neither_the_module_nor_a_reading_is_lost(
    site: Site, edge: MakeEdge, small_disk: Path, spare_mb: int
) -> None:
    device = edge(site, f"small-device-{spare_mb}")
    (device.folder / "state").symlink_to(small_disk)
    committed(device)
    pids = device.module_pids()
    filler = fill(small_disk, spare_mb)
    deployment = push(device, SECOND)
    said = device.until_refused("NO_SPACE")
    assert said["modules"]["detector"]["image"] == FIRST
    assert said["modules"]["detector"]["state"] == "serving"
    names = [device.reading(value) for value in range(30)]
    assert device.module_pids() == pids
    filler.unlink()
    device.until_committed(deployment)
    device.until_scored(*names)
    device.site.until_reported(
        device.name, lambda said: said.get("failure") is None, why="the failure to be over"
    )
    check_sequences(list(device.scores()))
    device.stop()


def fill(disk: Path, spare_mb: int) -> Path:
    """Fill a disk but for some MiB, to the last byte."""
    path = disk / "filler"
    mib = 1024 * 1024
    with path.open("ab", buffering=0) as file:
        for size in (mib, 4096):
            try:
                while shutil.disk_usage(disk).free > spare_mb * mib:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


# --- inputs -----------------------------------------------------------------------------------


def test_an_input_that_hangs_is_set_aside_in_the_end_and_the_next_one_is_scored(
    site: Site, edge: MakeEdge
) -> None:
    sleeper = site.folder / "sleeper"
    shutil.copytree(ECHO, sleeper, dirs_exist_ok=True)
    script = (ECHO / "score.py").read_text()
    hangs = "\n\nimport time\nscore = run\n\n\ndef run(data):\n    if 'hang' in data:\n"
    hangs += "        time.sleep(1e5)\n    return score(data)\n"
    (sleeper / "score.py").write_text(script + hangs)
    (sleeper / "golden.json").unlink(missing_ok=True)
    site.skerry.ok("module", "build", sleeper, "-n", "sleeper")
    device = edge(site, "patient")
    device.start()
    probe = {"interval_s": 1, "timeout_s": 1, "failures": 2, "run_deadline_s": 1}
    device.until_committed(
        site.push(device.name, device.name, "sleeper:1", inputs=INPUTS, probe=probe)
    )

    poison = device.drop(b'{"hang": 1}', "poison.json")
    name = device.drop(b'{"fine": 1}', "fine.json")
    eventually((device.frames / "failed" / poison).exists, 90, why="it to be set aside")
    eventually(lambda: not (device.frames / name).exists(), 30, why="the next one to be scored")
    reported = site.device(device.name)["reported"]
    (module,) = reported["modules"].values()
    assert (module["state"], module["restarts"]) == ("serving", 2)
    device.stop()


# --- people -----------------------------------------------------------------------------------


def test_a_wrong_token_is_named_by_check_and_log_and_status_tells_whether_it_runs(
    site: Site, edge: MakeEdge
) -> None:
    device = edge(site, "locked-out")
    assert device.command("status").returncode == 3
    token = device.folder / "token"
    right = token.read_text()
    token.write_text("not-the-token\n")
    check = device.command("check", "--output", "json")
    assert check.returncode == 1
    findings = {one["name"]: one for one in json.loads(check.stdout)["findings"]}
    assert findings["cloud"]["level"] == "error"
    assert "flash" in findings["cloud"]["fix"]
    device.start()
    eventually(lambda: "uthori" in device.log(), why="the log to say that it is not let in")
    device.stop()

    token.write_text(right)
    committed(device)
    assert device.command("check").returncode == 0
    status = device.command("status", "--output", "json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["reported"]["phase"] == "committed"
    device.stop()
    assert device.command("status").returncode == 3


def test_the_agent_says_what_is_wrong_with_a_folder_that_is_none(
    site: Site, edge: MakeEdge
) -> None:
    device = edge(site, "scratched")
    (device.folder / "device.json").write_text("{")
    for words in (["status"], ["check"], ["run"]):
        done = device.command(*words)
        assert done.returncode == 1
        assert "device.json" in done.stderr
        assert "[CONTRACT]" in done.stderr


# --- people -----------------------------------------------------------------------------------


def test_a_refused_version_is_tried_again_when_somebody_on_the_device_asks(
    site: Site, edge: MakeEdge
) -> None:
    device = committed(edge(site, "second-try"))
    push(device, BROKEN)
    first = device.until_refused("INIT_FAILED")["bad"][-1]

    assert device.command("clear-bad").returncode == 0
    again = site.until_reported(
        device.name,
        lambda said: said["bad"] and said["bad"][-1]["ts"] != first["ts"],
        why="the version to be refused again",
    )
    assert again["bad"][-1]["revision"] == first["revision"]
    assert len(again["bad"]) == 1
    device.until_scored(device.reading(1))
    device.stop()
