"""What the agent costs a device that has nothing to do, and what it takes at most during a pull.

    python benchmarks/agent_memory.py

The agent runs as flashed, on the system's own Python, with one echo module that serves. It is
measured next to a bare interpreter, which is the least that any Python program takes, and next to
the Docker engine that some devices need anyway.
"""

import json
import random
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from measure import Usage, family, forget_peak, peak_bytes, ratio, usage
from results import Results
from rig import DEVICE_PYTHON, ECHO, INPUTS, Rig, first_line, note, options, rig, show
from support.dockerd import Dockerd
from support.edge import Edge

MIB = 1024 * 1024
BALLAST_BYTES = 50 * MIB
SETTLE_S = 3.0
WINDOW_S = 60.0
"""As long as a heartbeat: each happens once or twice in it."""
NOT_SHOWN = (
    "PSS depends on who else runs the same Python; 'private' does not.",
    "Other modules: echo loads nothing, a model with a real runtime takes what it takes.",
    "A busy agent: see broker_round_trip.py for what it does under load.",
    "Processor time is that of this machine's cores, not of a small device's.",
)


@dataclass
class Samples:
    """What was seen of each kind of process, round after round."""

    seen: dict[str, list[Usage]] = field(default_factory=lambda: defaultdict(list))

    def note(self, who: str, *pids: int) -> None:
        """Note what processes hold now, together."""
        self.seen[who].append(usage(pids))

    def tell(self, results: Results) -> None:
        """Add the medians to the results."""
        for who, each in self.seen.items():
            for kind in ("rss", "pss", "private"):
                held = [getattr(one, f"{kind}_bytes") for one in each]
                results.add(f"{who}: {kind}", statistics.median(held) / MIB, "MiB")

    def ratio(self, who: str, peer: str, kind: str) -> float:
        """Return how the medians of two compare."""
        held = ([getattr(u, f"{kind}_bytes") for u in self.seen[name]] for name in (who, peer))
        return ratio(*held)


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=3)
    results = Results("agent_memory", NOT_SHOWN)
    with rig(given) as bench:
        engine = bench.dockerd()
        results.version("agent's", first_line(DEVICE_PYTHON, "--version"))
        results.version("docker", first_line("dockerd", "--version"))
        results.version("mosquitto", first_line("mosquitto", "-h"))
        devices = make_devices(bench, engine)
        samples = Samples()
        for number in range(bench.rounds):
            note(f"memory, round {number + 1} of {bench.rounds}")
            samples.note("bare interpreter", bare(bench))
            samples.note("Docker engine without containers", *engine_pids(engine))
            for device in devices:
                look_at(device, samples)
        samples.tell(results)
        for device in devices:
            times = samples.ratio(f"agent {device.name}", "bare interpreter", "rss")
            results.add(f"agent {device.name} / bare interpreter: rss", times, "x")
        engine_times = samples.ratio("Docker engine without containers", "agent plain", "pss")
        results.add("Docker engine / agent plain: pss", engine_times, "x")
        with ExitStack() as running:
            for device in devices:
                running.enter_context(serving(device))
            tell_idle_cpu(devices, engine, results)
            for device in devices:
                tell_peak(device, results)
    show(results, given)


def make_devices(bench: Rig, engine: Dockerd) -> list[Edge]:
    """Make a device without TLS, one with it, and one with Docker, and images for all."""
    plain, tls = bench.site("open"), bench.site("secured", "--tls")
    noise = bench.folder / "noise.bin"
    noise.write_bytes(random.Random(1).randbytes(BALLAST_BYTES))  # noqa: S311 - no secret
    heavy = bench.folder / "heavy"
    shutil.copytree(ECHO, heavy)
    for site in (plain, tls):
        note("building two modules")
        site.skerry.ok("module", "build", ECHO)
        site.skerry.ok("model", "register", "-p", noise, "-n", "noise")
        site.skerry.ok("module", "build", heavy, "-n", "heavy", "-m", "noise:1", "--no-check")
    return [
        bench.device(plain, "plain", "process"),
        bench.device(tls, "tls", "process"),
        bench.device(plain, "docker", "docker", docker_socket=str(engine.socket)),
    ]


def bare(bench: Rig) -> int:
    """Start an interpreter that does nothing, and return its process id."""
    process = bench.process(DEVICE_PYTHON, "-I", "-c", "import time; time.sleep(600)")
    time.sleep(0.5)
    return process.pid


def look_at(device: Edge, samples: Samples) -> None:
    """Start a device, let it work and come to rest, and note what its processes hold."""
    with serving(device):
        samples.note(f"agent {device.name}", device.agent_pid)
        if device.name == "plain":
            keeper, *module = kept(device)
            samples.note("keeper of a module (process runtime)", keeper)
            samples.note("echo module (bubblewrap and Python)", *module)


@contextmanager
def serving(device: Edge) -> Iterator[None]:
    """A device whose module has scored a few readings and now waits for more."""
    device.start()
    deployment = device.site.push(device.name, device.name, "echo:1", inputs=INPUTS)
    device.until_committed(deployment)
    device.until_scored(*(device.reading(value) for value in range(5)))
    time.sleep(SETTLE_S)
    try:
        yield
    finally:
        device.stop()


def kept(device: Edge) -> list[int]:
    """Return the keeper of the one module that runs, and the processes below it."""
    (record,) = Path(device.folder, "state", "instances").glob("*/record.json")
    return family(int(json.loads(record.read_bytes())["keeper"]))


def engine_pids(engine: Dockerd) -> list[int]:
    """Return dockerd, containerd and the shim of each container; not what runs in them."""

    def is_engine(pid: int) -> bool:
        try:
            program = Path(f"/proc/{pid}/exe").readlink().name
            return program.startswith(("dockerd", "containerd"))
        except OSError:  # it has ended
            return False

    return list(filter(is_engine, family(engine.pid)))


def tell_idle_cpu(devices: list[Edge], engine: Dockerd, results: Results) -> None:
    """Measure what idle devices use; all at once, since idle ones do not disturb each other."""
    plain = next(device for device in devices if device.name == "plain")
    watched = {
        **{f"agent {device.name}": [device.agent_pid] for device in devices},
        "keeper of a module (process runtime)": kept(plain)[:1],
        "echo module (bubblewrap and Python)": kept(plain)[1:],
        "Docker engine with one container": engine_pids(engine),
    }
    note(f"processor time over {WINDOW_S:g} s")
    before = {who: usage(pids).cpu_s for who, pids in watched.items()}
    time.sleep(WINDOW_S)
    for who, pids in watched.items():
        used_s = usage(pids).cpu_s - before[who]
        results.add(f"{who}: idle", used_s * 60 / WINDOW_S, "CPU s/min")


def tell_peak(device: Edge, results: Results) -> None:
    """Measure how much more an agent holds while it pulls a large layer and makes it startable."""
    note(f"pull of {BALLAST_BYTES // MIB} MiB, {device.name}")
    before = usage([device.agent_pid])
    forget_peak(device.agent_pid)
    said = device.until_committed(device.site.push(device.name, device.name, "heavy:1"))
    if said["progress"]["pulled"] < BALLAST_BYTES:
        raise RuntimeError(f"{device.name} had the layer already: {said['progress']}")
    peak = peak_bytes(device.agent_pid)
    used_s = usage([device.agent_pid]).cpu_s - before.cpu_s
    results.add(f"agent {device.name}: peak rss during pull of 50 MiB", peak / MIB, "MiB")
    more = (peak - before.rss_bytes) / BALLAST_BYTES
    results.add(f"agent {device.name}: growth during pull / size of layer", more, "x")
    results.add(f"agent {device.name}: processor time of that pull", used_s, "CPU s")


if __name__ == "__main__":
    main()
