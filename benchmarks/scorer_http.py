"""How fast the scorer host answers over HTTP, next to other servers of the same ``score.py``.

    python benchmarks/scorer_http.py --caches FOLDER

Each server runs the same script with one worker: an echo of JSON, and a wake-word model of 80 KB.
They are started one at a time, in turns. The load generator is wrk, which shares the cores with
them. What can be had at most is the same ``run()`` called in a loop, without any server.
"""

import http.client
import json
import socket
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import family, usage
from peers import ECHO, IN_PROCESS, PACKAGES, WAKE, Peer, environments, model_folder, peers
from results import Results
from rig import Rig, end, first_line, note, options, rig, show
from support.programs import need

MIB = 1024 * 1024
WARM_UP_S, WINDOW_S = 1, 2
CONNECTIONS = (1, 16)
START_S = 60.0
NOT_SHOWN = (
    "Networks: client and server share one machine and its cores.",
    "Large models: where run() takes long, all servers are as fast as it is.",
    "FastAPI calls run() in its event loop: nothing else is answered meanwhile, health neither.",
    "Several workers: each server has one process with the model in it.",
)
LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("%s", "rb")
wrk.body = file:read("*all")
done = function(summary, latency, requests)
  local e = summary.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  print(string.format('{"rate": %%f, "p50": %%f, "p99": %%f, "bad": %%d}',
    summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, bad))
end
"""
BODIES = {
    "echo": {"text": "the quick brown fox jumps over the lazy dog", "values": list(range(20))},
    "wake": {"features": [[(7 * i) % 256 - 128 for i in range(120)]]},
}
SCRIPTS = {"echo": ECHO, "wake": WAKE}


@dataclass
class Seen:
    """What was measured, by case, server and what: a value for each round."""

    values: dict[tuple[str, str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def note(self, case: str, who: str, what: str, value: float) -> None:
        """Note a value."""
        self.values[case, who, what].append(value)

    def median(self, case: str, who: str, what: str) -> float:
        """Return the median of all rounds."""
        return statistics.median(self.values[case, who, what])


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=3)
    given.caches = given.caches or tempfile.mkdtemp(prefix="skb-peers-")
    caches = Path(given.caches)
    caches.mkdir(parents=True, exist_ok=True)
    pythons = environments(caches)
    models = model_folder(caches, pythons["skerry"])
    results, seen = Results("scorer_http", NOT_SHOWN), Seen()
    results.version("wrk", first_line(need("wrk", "wrk"), "-v"))
    for name, wanted in PACKAGES.items():
        results.version(name, " ".join(wanted))
    with rig(given) as bench:
        for number in range(bench.rounds):
            for case, script in SCRIPTS.items():
                note(f"round {number + 1} of {bench.rounds}: {case}")
                app = bench.folder / f"{case}-{number}"
                app.mkdir()
                (app / "score.py").write_text(script)
                one_round(bench, seen, case, (pythons, app, models))
    tell(results, seen)
    show(results, given)


def one_round(bench: Rig, seen: Seen, case: str, where: tuple[dict[str, Path], Path, Path]) -> None:
    """Measure every server once, and the script without one."""
    pythons, app, models = where
    port = free_ports(3)
    for peer in peers(pythons, app, port):
        body = app / f"{peer.name}.body"
        body.write_text(json.dumps(asked(case, peer)))
        lua = app / f"{peer.name}.lua"
        lua.write_text(LUA % body)
        began = time.monotonic()
        env = {**peer.env, "AZUREML_MODEL_DIR": str(models)}
        process = bench.process(*peer.command, **env)
        first_answer(peer, port, case, process)
        seen.note(case, peer.name, "cold start", time.monotonic() - began)
        pids = family(process.pid)
        seen.note(case, peer.name, "pss", usage(pids).pss_bytes / MIB)
        for connections in CONNECTIONS:
            load(peer, port, lua, connections, WARM_UP_S)
            before = usage(pids).cpu_s
            told = load(peer, port, lua, connections, WINDOW_S)
            cpu_s = usage(pids).cpu_s - before
            for what in ("rate", "p50", "p99"):
                seen.note(case, peer.name, f"{what} c={connections}", told[what])
            used = cpu_s / (told["rate"] * WINDOW_S) * 1e6
            seen.note(case, peer.name, f"cpu c={connections}", used)
        end(process)
    env = {"PYTHONPATH": str(app), "AZUREML_MODEL_DIR": str(models)}
    bare: list[str | Path] = [pythons["skerry"], "-c", IN_PROCESS, json.dumps(BODIES[case])]
    done = subprocess.run(bare, env=env, capture_output=True, text=True, timeout=60, check=True)
    seen.note(case, "in process", "rate", float(done.stdout))


def free_ports(count: int) -> int:
    """Return the first of some ports in a row that nobody uses, below those that clients get."""
    for first in range(20_000, 32_000, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise OSError("there are no free ports")


def asked(case: str, peer: Peer) -> Any:
    """Return what a server is asked: the same text reaches ``run()`` in all of them."""
    if peer.path == "/score":
        return BODIES[case]
    text = json.dumps(BODIES[case])
    return {"inputs": [{"name": "data", "shape": [1], "datatype": "BYTES", "data": [text]}]}


def first_answer(peer: Peer, port: int, case: str, process: "subprocess.Popen[bytes]") -> None:
    """Return once the server has answered as it should.

    Raises:
        RuntimeError: It has ended, or answers otherwise.
        TimeoutError: It does not answer in time.
    """
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{peer.name} has ended with status {process.returncode}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            headers = {"Content-Type": "application/json"}
            connection.request("POST", peer.path, json.dumps(asked(case, peer)), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
            continue
        if answer.status == 200:
            check(case, peer, json.loads(body))
            return
        time.sleep(0.01)  # MLServer answers 404 until its model is there
    raise TimeoutError(f"{peer.name} did not answer within {START_S:g} s")


def check(case: str, peer: Peer, told: Any) -> None:
    """Fail if a server did not answer what the script returns."""
    if peer.path != "/score":
        told = json.loads(told["outputs"][0]["data"][0])
    right = told == BODIES[case] if case == "echo" else 0 <= told["probability"] <= 1
    if not right:
        raise RuntimeError(f"{peer.name} answered {told}")


def load(peer: Peer, port: int, lua: Path, connections: int, seconds: int) -> dict[str, float]:
    """Return what wrk saw: requests per second, and latencies in milliseconds."""
    command = [need("wrk", "wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(lua)]
    url = f"http://127.0.0.1:{port}{peer.path}"
    done = subprocess.run(
        [*command, url], capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    # Azure's server closes each connection after its answer: wrk counts some of that as an error.
    if told["bad"] > 0.01 * told["rate"] * seconds:
        raise RuntimeError(f"{peer.name}: {told['bad']} of wrk's requests failed: {done.stdout}")
    return told


def tell(results: Results, seen: Seen) -> None:
    """Add what was measured, and how it compares."""
    units = {"rate": "/s", "p50": "ms", "p99": "ms", "cpu": "us", "pss": "MiB", "cold": "s"}
    for (case, who, what), values in seen.values.items():
        results.add(f"{case}: {who}: {what}", statistics.median(values), units[what.split()[0]])
    for case in SCRIPTS:
        bare = seen.median(case, "in process", "rate")
        for connections in CONNECTIONS:
            what = f"rate c={connections}"
            ours = seen.median(case, "skerry", what)
            for name in PACKAGES:
                if name != "skerry":
                    theirs = seen.median(case, name, what)
                    results.add(f"{case}: skerry / {name}: {what}", ours / theirs, "x")
                    used = [seen.median(case, n, f"cpu c={connections}") for n in (name, "skerry")]
                    text = f"{case}: {name} / skerry: cpu c={connections}"
                    results.add(text, used[0] / used[1], "x")
            results.add(f"{case}: skerry / in process: {what}", ours / bare, "x")


if __name__ == "__main__":
    main()
