"""How long it takes from a push to the first result of the new version, and where the time goes.

    python benchmarks/push_to_scoring.py

The device has everything already: what is pushed runs the same image with other settings. With
Docker it is measured next to ``docker run`` of the same image on the same engine, with bubblewrap
next to bubblewrap on the same root; each until its first answer to ``/score``.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from listener import Heard, Listener
from measure import ratio
from results import Results
from rig import DEVICE_PYTHON, INPUTS, Rig, end, first_line, note, options, rig, show, viewer
from skerry_contract.topics import DESIRED, REPORTED, DeviceTopics
from support.dockerd import Dockerd
from support.edge import Edge
from support.ports import free_port
from support.site import FLEET, Site

SCORE = '''
import json
import os


def init():
    """Nothing to load."""


def run(data):
    return {**json.loads(data), "round": os.environ["ROUND"]}
'''
GOLDEN = [{"input": "golden.json.txt", "expect": {"celsius": 21.5}}]
READINGS_PER_S = 10
DEADLINE_S = 60.0
LOOK_S = 0.005
PARTS = (
    "the command until the document is on MQTT",
    "until the agent has started the container or process",
    "until the scorer host listens",
    "until the agent has reported that it is proved",
    "until the one before has ended",
    "until the first result is on MQTT",
)
NOT_SHOWN = (
    "The pull: nothing is fetched. See agent_memory.py for what a large one costs.",
    "Models: init() returns at once; a real one loads for as long as it loads.",
    "A gap in scoring: the version before goes on until the new one is proved.",
    "A network: device, broker and cloud are one machine, whose cores all of them share.",
)
POLL = """
import http.client, sys, time
print("ready", flush=True)
while True:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
        connection.request("POST", "/score", b'{"celsius": 1}')
        if connection.getresponse().status == 200:
            break
    except OSError:
        pass
    time.sleep(0.005)
print(time.monotonic(), flush=True)
"""


@dataclass
class Times:
    """Seconds of each push: in all, by part, and what the peer took."""

    whole: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peer: list[float] = field(default_factory=list)


def main() -> None:
    """Measure with each runtime, and print what came out."""
    given = options(__doc__, rounds=7)
    results = Results("push_to_scoring", NOT_SHOWN)
    with rig(given) as bench:
        engine = bench.dockerd()
        results.version("agent's", first_line(DEVICE_PYTHON, "--version"))
        results.version("docker", first_line("dockerd", "--version"))
        results.version("bubblewrap", first_line("bwrap", "--version"))
        site = bench.site("site")
        build(site)
        for runtime in ("docker", "process"):
            device = bench.device(site, runtime, runtime, docker_socket=str(engine.socket))
            device.start()
            times = measure(bench, device, engine)
            device.stop()
            tell(runtime, times, results)
    show(results, given)


def build(site: Site) -> None:
    """Build a module whose results say which push they come from."""
    folder = site.folder / "module"
    folder.mkdir()
    (folder / "score.py").write_text(SCORE)
    (folder / "golden.json").write_text(json.dumps(GOLDEN))
    (folder / "golden.json.txt").write_text('{"celsius": 21.5}')
    site.skerry.ok("module", "build", folder, "-n", "rounds", "--no-check")


def measure(bench: Rig, device: Edge, engine: Dockerd) -> Times:
    """Push again and again, each time next to the peer."""
    times = Times()
    topics = DeviceTopics(FLEET, device.name)
    device.until_committed(push(device, -1))
    with Listener(viewer(device.site), (f"{topics.prefix}/#",)) as listener, readings(device):
        listener.first(lambda heard: scored_by(heard, -1), within_s=DEADLINE_S)
        for number in range(bench.rounds):
            note(f"{device.name}, round {number + 1} of {bench.rounds}")
            marks = one_push(device, listener, number)
            times.whole.append(marks[-1] - marks[0])
            for part, before, after in zip(PARTS, marks, marks[1:], strict=False):
                times.parts[part].append(after - before)
            device.until_committed(f"{device.name}:{number + 2}")
            time.sleep(1)
            docker = device.name == "docker"
            times.peer.append(docker_run(engine) if docker else bubblewrap_run(device))
    return times


def one_push(device: Edge, listener: Listener, number: int) -> list[float]:
    """Push once; return when each part began, and at last when the first result had come."""
    runs = device.folder / "state" / "run"
    (old,) = runs.glob("detector-*/")
    after = len(listener.heard)
    folders = Folders(runs, old)
    with folders:
        begun = time.monotonic()
        push(device, number)
        scored = listener.first(
            lambda heard: scored_by(heard, number), after=after, within_s=DEADLINE_S
        )
    desired = listener.first(lambda h: h.topic.endswith(f"/{DESIRED}"), after=after, within_s=1)
    proved = listener.first(lambda h: phase(h) == "switching", after=after, within_s=1)
    return [
        begun,
        desired.at_s,
        folders.started,
        folders.listens,
        proved.at_s,
        folders.ended,
        scored.at_s,
    ]


def push(device: Edge, number: int) -> str:
    """Push a deployment that differs from all before in one variable."""
    return device.site.push(
        device.name, device.name, "rounds:1", inputs=INPUTS, env={"ROUND": str(number)}
    )


@contextmanager
def readings(device: Edge) -> Iterator[None]:
    """Let readings come in all the time, as from a sensor."""
    over = threading.Event()

    def feed() -> None:
        while not over.wait(1 / READINGS_PER_S):
            device.reading(1)

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield
    finally:
        over.set()
        feeder.join()


@dataclass
class Folders:
    """Watches the run folders of a device, and notes when what the new instance makes is there.

    Attributes:
        runs: Where the run folders are.
        old: That of the version before.
    """

    runs: Path
    old: Path
    started: float = 0.0
    listens: float = 0.0
    ended: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S) and not self.ended:
            new = next((one for one in self.runs.glob("detector-*/") if one != self.old), None)
            now = time.monotonic()
            if new is None:
                continue
            self.started = self.started or now
            if not self.listens and (new / "host.sock").exists():
                self.listens = now
            if self.listens and not self.old.exists():
                self.ended = now


def scored_by(heard: Heard, number: int) -> bool:
    """Return whether a message holds a result of one push."""
    return "/t/" in heard.topic and f'"round":"{number}"' in heard.payload.decode().replace(" ", "")


def phase(heard: Heard) -> str:
    """Return the phase that a message reports, or nothing."""
    said: Any = json.loads(heard.payload) if heard.topic.endswith(f"/{REPORTED}") else {}
    return str(said.get("phase", ""))


def docker_run(engine: Dockerd) -> float:
    """Return seconds from ``docker run`` of the device's image to its first answer."""
    listed = engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
    image = next(line for line in listed.splitlines() if line.startswith("skerry-device/"))
    enter = ("nsenter", f"--net=/proc/{engine.pid}/ns/net", "--")
    with polling(5001, *enter) as poll:
        begun = time.monotonic()
        words = ("--detach", "--rm", "--network", "host", "--env", "ROUND=x", "--name", "peer")
        engine.docker("run", *words, image)
        taken = first_answer(poll) - begun
    engine.docker("kill", "peer")
    return taken


def bubblewrap_run(device: Edge) -> float:
    """Return seconds from the start of bubblewrap on the device's root to the first answer."""
    (rootfs,) = (device.folder / "state" / "images").glob("[0-9a-f]*")
    room = ["--unshare-all", "--share-net", "--die-with-parent", "--ro-bind", str(rootfs), "/"]
    room += ["--proc", "/proc", "--dev", "/dev", "--chdir", "/var/azureml-app"]
    port = free_port()
    with polling(port) as poll:
        begun = time.monotonic()
        command = ["bwrap", *room, "/usr/bin/python3.11", "-m", "skerry_scorer"]
        process = subprocess.Popen(command, env=image_env(port), stderr=subprocess.DEVNULL)
        try:
            return first_answer(poll) - begun
        finally:
            end(process)


def image_env(port: int) -> dict[str, str]:
    """Return the variables that every module image sets, and where to listen."""
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "/opt/skerry/host:/opt/skerry/env:/var/azureml-app",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "SKERRY_PORT": str(port),
        "ROUND": "x",
    }


@contextmanager
def polling(port: int, *enter: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program that asks until it gets an answer, from when it has begun to ask."""
    command = [*enter, sys.executable, "-c", POLL, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as poll:
        try:
            if poll.stdout is not None:
                poll.stdout.readline()
            yield poll
        finally:
            poll.kill()


def first_answer(poll: subprocess.Popen[str]) -> float:
    """Return when the first answer came, by the clock that all processes share."""
    out, _ = poll.communicate(timeout=DEADLINE_S)
    return float(out)


def tell(runtime: str, times: Times, results: Results) -> None:
    """Add what was measured with one runtime."""
    peer = "docker run" if runtime == "docker" else "bubblewrap"
    for part, taken in times.parts.items():
        results.add(f"{runtime}: {part}", statistics.median(taken), "s")
    results.add(f"{runtime}: push to first result", statistics.median(times.whole), "s")
    results.add(f"{peer} to first /score", statistics.median(times.peer), "s")
    results.add(f"push to first result / {peer}", ratio(times.whole, times.peer), "x")


if __name__ == "__main__":
    main()
