"""What happens in ``skerry demo``: each step is a command that a person could type.

Only the command and documented topics are used, so what works here works for everyone.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry import server as servers
from skerry.children import Child
from skerry.commands.up import subscribe_line
from skerry.demo import material
from skerry.demo.stage import Stage
from skerry.durable import write_file
from skerry.output import size_text
from skerry.server import Server
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.topics import HEALTH, DeviceTopics

DEVICE, FLEET = "porch-camera", "home"
MODEL, MODULE, DEPLOYMENT = "face", "face-detector", "face-detector"
ROLLOUT_S = 180
SCORE_S = 60
HEALTH_S = 120
LINE_CHARS = 160
"""What is shown of one result."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What whoever runs the demo may choose.

    Attributes:
        broker: ``auto``, ``mosquitto`` or ``nats``.
        runtime: What runs modules on the device: ``auto``, ``docker`` or ``process``.
    """

    broker: str = "auto"
    runtime: str = "auto"


def tell(stage: Stage, wish: Wish) -> Server:
    """Tell the whole story; the server that it returns runs on, like the device.

    Raises:
        SkerryError: A step did not go as it should.
    """
    server, topics = _start(stage, wish)
    _register(stage)
    _build(stage, "v1", material.template(MODULE))
    _flash(stage, wish)
    with stage.scene("Push a deployment and wait until the device has proved it"):
        _push(stage, 1)
    with stage.scene("Drop pictures into its input and read the scores from MQTT"):
        first = _score(stage, topics)
        _show_health(stage, topics)
    _improve(stage, topics, first)
    _break(stage, topics)
    return server


def _start(stage: Stage, wish: Wish) -> tuple[Server, "Listener"]:
    with stage.scene("Start a server"):
        words = ["--port", "0", "--broker-port", "0", "--broker", wish.broker, "--fleet", FLEET]
        line = [sys.executable, "-m", "skerry", "up", "--data", str(stage.folder / "server")]
        stage.say(f"   $ skerry up {' '.join(words)}")
        line += [*words, "--login", str(stage.login_file), "--output", "json"]
        server = servers.start(stage.start("server", line, read_stdout=True))
        stage.show(
            f"API at {server.ready.url}\n$ {subscribe_line(server.broker, servers.put_ca(server))}"
        )
        return server, _listen(stage, server)


def _register(stage: Stage) -> None:
    with stage.scene("Register a model that was trained elsewhere"):
        script = material.template(MODULE) / "fetch_model.py"
        target = stage.folder / "model"
        stage.run([sys.executable, script, target])
        model = next(iter(sorted(target.glob("*.tflite"))), None)
        if model is None:
            raise RuntimeFailedError(f"{script} left no model in {target}")
        stage.skerry("model", "register", "-p", model, "-n", MODEL, "--framework", "tflite")


def _build(stage: Stage, what: str, folder: Path, *words: str) -> None:
    with stage.scene(f"Build the module, {what}"):
        stage.skerry("module", "build", folder, *words)


def _flash(stage: Stage, wish: Wish) -> None:
    with stage.scene("Flash a device and start its agent"):
        stage.skerry("device", "add", DEVICE, "--tag", "site=home")
        home = _home(stage)
        stage.skerry("device", "flash", DEVICE, "--output", home, "--runtime", wish.runtime)
        stage.start("agent", [home / "run.sh"], SKERRY_PYTHON=sys.executable)

        def online() -> bool | None:
            return True if stage.ask("device", "show", DEVICE)["presence"] == "online" else None

        stage.until("the device going online", online, 60)


def _push(stage: Stage, version: int, *, expect: int = 0) -> None:
    """Push the example manifest with one version of the module, and watch it settle."""
    text = material.manifest(f"{MODULE}.yaml").read_text("utf-8")
    reference = f"{MODULE}:1"
    if reference not in text:
        raise RuntimeFailedError(f"{MODULE}.yaml does not name {reference}")
    file = stage.folder / f"deployment-{version}.yaml"
    file.write_text(text.replace(reference, f"{MODULE}:{version}"), "utf-8")
    stage.skerry("deployment", "push", file)
    watch = ("--watch", "--timeout", str(ROLLOUT_S))
    stage.skerry("deployment", "show", f"{DEPLOYMENT}:{version}", *watch, expect=expect)


def _improve(stage: Stage, topics: "Listener", first: Mapping[str, Any]) -> None:
    _build(stage, "v2: another score.py and the same model", _variant(stage, "v2"))
    with stage.scene("Push v2; only what changed is pulled, and v1 works until v2 is proved"):
        _push(stage, 2)
        pull = stage.ask("device", "show", DEVICE)["reported"]["progress"]
        stage.show(
            f"of {size_text(pull['total'])} the device had {size_text(pull['present'])} "
            f"and pulled {size_text(pull['pulled'])}"
        )
        if pull["pulled"] * 10 > pull["total"]:
            raise RuntimeFailedError(f"v2 pulled more than its own layer: {pull}")
        second = _score(stage, topics)
        if second.keys() == first.keys():
            raise RuntimeFailedError(f"v2 answers like v1: {second}")


def _break(stage: Stage, topics: "Listener") -> None:
    _build(stage, "v3: broken, and not checked", _variant(stage, "broken"), "--no-check")
    with stage.scene("Push v3; the device refuses it, says why, and v2 goes on"):
        _push(stage, 3, expect=1)
        shown = stage.skerry("device", "show", DEVICE)
        if "Traceback" not in shown:
            raise RuntimeFailedError("the device does not show the traceback", detail=shown)
        _score(stage, topics)


def _variant(stage: Stage, name: str) -> Path:
    """Return a copy of the template with one of its variants laid over it."""
    folder = stage.folder / f"scorer-{name}"
    template = material.template(MODULE)
    shutil.copytree(template, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(template / "variants" / name, folder, dirs_exist_ok=True)
    return folder


def _score(stage: Stage, topics: "Listener") -> Mapping[str, Any]:
    """Drop the sample pictures and return the first of their results, once all have come."""
    folder = _home(stage) / "inputs" / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    names = set()
    for sample in sorted((material.template(MODULE) / "samples").iterdir()):
        # Written beside and renamed in, as docs/module-image.md asks for.
        name = f"{time.time_ns()}-{sample.name}"
        write_file(folder / name, sample.read_bytes())
        names.add(name)

    def scored() -> dict[str, Mapping[str, Any]] | None:
        found = {data["file"]: data["result"] for data in topics.scores() if data["file"] in names}
        return found if found.keys() == names else None

    results = stage.until("a score for every picture", scored, SCORE_S)
    for name in sorted(results):
        stage.show(_brief(f"{name.partition('-')[2]}: {json.dumps(results[name])}"))
    return results[min(results)]


def _show_health(stage: Stage, topics: "Listener") -> None:
    health = stage.until("a heartbeat", topics.health, HEALTH_S)
    stage.show(_brief(f"health: {json.dumps(health)}"))


def _brief(text: str) -> str:
    return text if len(text) <= LINE_CHARS else f"{text[:LINE_CHARS]} …"


def _home(stage: Stage) -> Path:
    return stage.folder / DEVICE


# --- what the device says, read by a client that is not ours ----------------------------------


@dataclass(frozen=True, slots=True)
class Listener:
    """The lines that the MQTT client has written so far."""

    child: Child
    topics: DeviceTopics

    def scores(self) -> Iterator[Mapping[str, Any]]:
        """Yield the data of each item of telemetry."""
        for topic, payload in self._messages():
            if topic.startswith(self.topics("t/")):
                for item in payload["items"]:
                    yield item["data"]

    def health(self) -> Mapping[str, Any] | None:
        """Return the last heartbeat, if there was one."""
        found = [body for topic, body in self._messages() if topic == self.topics(HEALTH)]
        return found[-1] if found else None

    def _messages(self) -> Iterator[tuple[str, Any]]:
        if self.child.log is None:
            return
        for line in self.child.log.read_text("utf-8").splitlines(keepends=True):
            message = json.loads(line) if line.startswith("{") and line.endswith("\n") else {}
            if message.get("payload"):
                yield message["topic"], message["payload"]


def _listen(stage: Stage, server: Server) -> Listener:
    """Start an MQTT client that knows the broker's address and the topics, and no more."""
    broker, topics = server.broker, DeviceTopics(FLEET, DEVICE)
    line = [sys.executable, "-m", "skerry.demo.listener", broker.host, str(broker.port)]
    ca_file = servers.put_ca(server)
    line += [broker.username, str(ca_file or "-"), topics("t/#"), topics(HEALTH)]
    child = stage.start("listener", line, SKERRY_PASSWORD=broker.password)
    listener = Listener(child, topics)

    def connected() -> bool | None:
        return True if '"connected"' in child.last_lines() else None

    stage.until("the MQTT client connecting", connected, 30)
    return listener
