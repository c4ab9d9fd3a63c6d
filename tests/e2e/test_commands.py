"""Commands as a person gives them: each is carried out on a real device, once, and told."""

import io
import json
import os
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from support.echoes import BROKEN, FIRST, build_echoes
from support.edge import Edge
from support.ports import free_port
from support.site import Site, running_site
from support.storm import INPUTS
from support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with running_site(folder, caches, heartbeat_s=1) as running:
        build_echoes(running)
        yield running


@pytest.fixture
def device(site: Site, edge: Callable[..., Edge], request: pytest.FixtureRequest) -> Iterator[Edge]:
    """A device that runs the echo module."""
    made = edge(site, f"cmd-{abs(hash(request.node.name)) % 10**8}")
    made.configure(reboot=["touch", str(made.folder / "rebooted")])
    made.start()
    made.until_committed(push(made, FIRST))
    yield made
    made.stop()


def push(device: Edge, image: str) -> str:
    env = {"DOOR_CODE": SECRET}
    return device.site.push(device.name, device.name, image, inputs=INPUTS, env=env)


def ask(device: Edge, *words: object, expect: int = 0) -> Any:
    """Run ``skerry device WORDS`` and return what it says."""
    done = device.site.skerry("device", *words, "--output", "json")
    assert done.returncode == expect, done.stdout + done.stderr + device.log()
    return json.loads(done.stdout)


def issue(device: Edge, type_: str, **args: object) -> str:
    """Ask without waiting, and return the command's id."""
    words = [word for key, value in args.items() for word in ("--arg", f"{key}={value}")]
    return str(ask(device, "command", device.name, type_, "--no-wait", *words)["id"])


def state_of(device: Edge, command: str) -> Any:
    return device.site.get(f"/v1/devices/{device.name}/commands/{command}")


def test_a_module_is_restarted_and_the_agent_is_too_while_modules_run_on(device: Edge) -> None:
    (module,) = device.module_pids()[-1:]
    before = set(device.module_pids())
    assert ask(device, "restart", device.name, "--module", "detector")["state"] == "successful"
    after = set(device.module_pids())
    assert module not in after
    assert after.isdisjoint(before)

    agent = device.agent_pid
    boot = device.site.device(device.name)["reported"]["boot"]
    found = ask(device, "restart", device.name)
    assert (found["state"], device.agent_pid) == ("successful", agent)
    assert found["result"]["boot"] != boot
    assert set(device.module_pids()) == after
    device.until_scored(device.reading(7))


def test_what_a_device_says_of_itself_is_read_from_afar(device: Edge) -> None:
    checked = device.site.skerry("device", "check", device.name, "--output", "json")
    findings = {one["name"]: one["level"] for one in json.loads(checked.stdout)["findings"]}
    assert findings["broker"] == findings["cloud"] == "ok"

    assert ask(device, "golden", device.name, "detector")["result"] == {"passed": True}
    unknown = device.site.skerry("device", "golden", device.name, "nothing")
    assert (unknown.returncode, "no module nothing runs" in unknown.stderr) == (1, True)

    ask(device, "log-level", device.name, "debug")
    ask(device, "clear-bad", device.name)
    types = [one["type"] for one in ask(device, "commands", device.name)]
    assert types[:2] == ["clear-bad", "set-log-level"]


def test_refused_versions_are_tried_again_when_somebody_asks(device: Edge) -> None:
    push(device, BROKEN)
    device.until_refused("INIT_FAILED")
    seen = device.site.device(device.name)["reported"]["bad"][-1]["ts"]
    assert ask(device, "clear-bad", device.name)["result"]["cleared"] == 1
    device.site.until_reported(
        device.name, lambda said: said["bad"] and said["bad"][-1]["ts"] != seen, why="another try"
    )


def test_a_log_is_sent_under_a_lease_that_ends_by_itself(device: Edge) -> None:
    with device.site.viewer() as reader:
        reader.subscribe(f"skerry/v1/home/{device.name}/log/+")
        out = device.site.skerry.ok(
            "device", "logs", device.name, "--seconds", 2, "--lines", 5, "--output", "json"
        )
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines
        assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
        sent = [text for data in reader.payloads() for text in json.loads(data)["lines"]]
    assert sent == [line["text"] for line in lines]
    (found,) = (c for c in ask(device, "commands", device.name) if c["type"] == "logs")
    assert found["state"] == "successful"
    assert found["result"]["lines"] == len(lines)


def test_a_support_bundle_explains_and_keeps_every_secret(device: Edge, tmp_path: Path) -> None:
    token = (device.folder / "token").read_text().strip()
    target = tmp_path / "bundle.tar.gz"
    said = ask(device, "support-bundle", device.name, "-o", target)
    data = target.read_bytes()
    assert said["size"] == len(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {
            one.name.removeprefix("support-bundle/"): file.read()
            for one in archive
            if (file := archive.extractfile(one))
        }
    wanted = {"device.json", "state/desired.json", "check.txt", "logs/agent.log", "contents.txt"}
    assert wanted <= files.keys()
    assert any(name.startswith("logs/modules/detector-") for name in files)
    assert b"detector" in files["state/desired.json"]
    for secret in (token, SECRET):
        assert [name for name, text in files.items() if secret.encode() in text] == []


def test_a_reboot_needs_the_devices_leave(site: Site, device: Edge) -> None:
    command = issue(device, "reboot")
    eventually((device.folder / "rebooted").exists, 30, why="the program that reboots")
    assert state_of(device, command)["state"] == "executing"

    device.stop()
    device.configure(reboot=[])
    device.start()
    # It comes back on the same run of the kernel, so nothing has rebooted.
    last = eventually(
        lambda: found if (found := state_of(device, command))["is_over"] else None, 30
    )
    assert last["state"] == "failed"
    eventually(lambda: "reboot" not in site.device(device.name)["caps"]["commands"], 30)
    refused = site.skerry("device", "reboot", device.name, "--yes")
    assert (refused.returncode, "device.json" in refused.stderr) == (1, True)


def test_a_killed_agent_begins_nothing_twice_and_loses_no_end(device: Edge) -> None:
    """The program that "reboots" notes each run of it; the agent is killed while it runs."""
    notes = device.folder / "notes"
    device.stop()
    device.configure(reboot=["sh", "-c", f"echo run >>{notes}; sleep 600"])
    device.start()
    eventually(lambda: device.site.device(device.name)["presence"] == "online", 30)
    command = issue(device, "reboot")
    eventually(notes.exists, 30, why="it to begin")
    waiting = issue(device, "check")
    os.kill(device.agent_pid, signal.SIGKILL)
    device.kill()
    device.start()

    over = eventually(lambda: s if (s := state_of(device, command))["is_over"] else None, 30)
    assert over["state"] == "failed"
    assert "may have taken effect" in over["failure"]["text"]
    eventually(lambda: state_of(device, waiting)["state"] == "successful", 60)
    assert notes.read_text() == "run\n"


def test_a_device_tells_how_it_is_and_how_its_agent_ended(site: Site, device: Edge) -> None:
    device.stop()
    port = free_port()
    device.configure(metrics_port=port)
    device.start()
    device.until_scored(device.reading(1))
    health = eventually(
        lambda: h if (h := site.device(device.name)["health"])["modules"].get("detector") else None,
        30,
    )
    detector = health["modules"]["detector"]
    assert detector["memory_rss_bytes"] > 2**20
    assert detector["cpu_seconds"] > 0
    eventually(lambda: site.device(device.name)["health"]["modules"]["detector"]["scored"] >= 1, 30)
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        assert b'skerry_module_scored{module="detector"}' in page.read()

    device.kill()
    status = device.command("status", "--output", "json")
    left = json.loads(status.stdout)
    assert (status.returncode, left["running"]) == (3, False)
    assert left["outbox"]["dropped"] == {}
    assert left["reported"]["modules"]["detector"]["state"] == "serving"

    device.start()
    crash = eventually(
        lambda: next(
            (e for e in site.device(device.name)["events"] if e["type"] == "agent-crashed"), None
        ),
        30,
    )
    assert crash["data"]["code"] == "CRASH"
    assert "connected to" in crash["data"]["detail"]


def test_what_is_too_late_expires_and_what_nobody_answers_is_said_so(device: Edge) -> None:
    device.stop()
    late = str(ask(device, "command", device.name, "check", "--no-wait", "--deadline", "1")["id"])
    in_time = issue(device, "check")
    eventually(lambda: state_of(device, late)["state"] == "issued")
    time.sleep(1.5)  # a device that is quick would still be in time
    device.start()

    assert eventually(lambda: state_of(device, in_time)["state"] == "successful", 60)
    expired = eventually(lambda: s if (s := state_of(device, late))["is_over"] else None, 30)
    assert expired["state"] == "expired"
