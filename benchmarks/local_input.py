"""How fast local input is scored, next to the same ``run()`` called in a loop.

    python benchmarks/local_input.py --caches FOLDER

Three scripts with JSON in and out: an echo, a wake-word model of 80 KB that gets one window of
30 ms, and the same model with all windows of a second. Lines come from a command, files lie in a
folder beforehand; results go over the Unix socket to the agent's own inlet and outbox, in a process
of their own, which store and sync them before they answer.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from measure import usage
from peers import ECHO, PACKAGES, ROOT, WAKE, environments, model_folder
from results import Results
from rig import Rig, end, note, options, rig, show
from support.scorer_host import UnixConnection

SKIPPED = 0.1
"""Share of the inputs that are scored before the clock starts."""
WITHIN_S = 120.0
AGENT = """
import sys, time
from pathlib import Path
from skerry_agent.routing.inlet import Inlet
from skerry_agent.telling.outbox import Outbox
run_dir, total, skipped, told = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
box = Outbox(run_dir / "outbox.db", "b1", limit_bytes=2**31)
count = lines = begun = begun_at = 0
def store(entries):
    global count, lines, begun, begun_at
    box.put(entries, ts="t", now_s=0.0)
    count, lines = count + len(entries), lines + 1
    if not begun and count >= skipped:
        begun, begun_at = time.monotonic(), count
    if count >= total:
        rate = (count - begun_at) / (time.monotonic() - begun)
        Path(told + ".new").write_text(f"{rate} {count / lines}")
        Path(told + ".new").rename(told)
inlet = Inlet("cam", run_dir, store)
time.sleep(600)
"""
LOOP = """
import json, sys, time
import score
score.init()
text, calls = sys.argv[1], int(sys.argv[2])
for _ in range(2):
    began, used = time.perf_counter(), time.process_time()
    for _ in range(calls):
        json.dumps(score.run(text))
    rate, cpu_us = calls / (time.perf_counter() - began), (time.process_time() - used) / calls * 1e6
print(rate, cpu_us)
"""
PRINTER = """
import sys, time
text = (sys.argv[1] + "\\n").encode() * 100
for _ in range(int(sys.argv[2]) // 100):
    sys.stdout.buffer.write(text)
sys.stdout.flush()
time.sleep(600)
"""
SECOND = WAKE.replace(
    """.reshape(1, 3, 40)
    interpreter.set_tensor(given, features)
    interpreter.invoke()
    return {"probability": int(interpreter.get_tensor(returned)[0, 0]) / 255}
""",
    """.reshape(-1, 1, 3, 40)
    heard = []
    for window in features:
        interpreter.set_tensor(given, window)
        interpreter.invoke()
        heard.append(int(interpreter.get_tensor(returned)[0, 0]))
    return {"probability": max(heard) / 255}
""",
)


@dataclass(frozen=True)
class Case:
    """A script and its inputs.

    Attributes:
        name: What it is called.
        script: The text of ``score.py``.
        text: Each of its inputs.
        lines: How many come as lines.
        files: How many lie in the folder.
    """

    name: str
    script: str
    text: str
    lines: int
    files: int


def features(windows: int) -> str:
    """Return an input of the wake-word model."""
    return json.dumps({"features": [[(7 * i) % 256 - 128 for i in range(120 * windows)]]})


SAID = json.dumps({"text": "the quick brown fox jumps over the lazy dog", "values": [*range(20)]})
CASES = (
    Case("echo", ECHO, SAID, 40_000, 5_000),
    Case("one window", WAKE, features(1), 40_000, 5_000),
    Case("a second", SECOND, features(33), 6_000, 3_000),
)
NOT_SHOWN = (
    "Slow disks: where a sync takes long, batches grow and still one is scored meanwhile.",
    "Large inputs and slow models: there run() is all of it.",
    "A topic: a broker's limit on what is not acknowledged yet, such as 20, bounds its batches.",
)


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=3)
    given.caches = given.caches or tempfile.mkdtemp(prefix="skb-peers-")
    caches = Path(given.caches)
    caches.mkdir(parents=True, exist_ok=True)
    python = environments(caches, ["skerry"])["skerry"]
    models = model_folder(caches, python)
    results, seen = Results("local_input", NOT_SHOWN), defaultdict[str, list[float]](list)
    results.version("packages", " ".join(PACKAGES["skerry"]))
    with rig(given) as bench:
        for number in range(bench.rounds):
            note(f"round {number + 1} of {bench.rounds}")
            for i, case in enumerate(CASES):
                one_round(bench, seen, python, models, (bench.folder / f"{number}-{i}", case))
    for case in CASES:
        tell(results, seen, case)
    show(results, given)


def tell(results: Results, seen: Mapping[str, list[float]], case: Case) -> None:
    """Add what was measured of a script."""
    alone = f"{case.name}: run() in a loop"
    results.add(f"{alone}, inputs/s", statistics.median(seen[alone]), "/s")
    used = statistics.median(seen[f"{alone}: host"])
    results.add(f"{alone}, processor time", used, "µs each")
    for way in ("lines of a command", "files of a folder"):
        what = f"{case.name}: {way}"
        results.add(f"{what}, inputs/s", statistics.median(seen[what]), "/s")
        ratios = [a / b for a, b in zip(seen[what], seen[alone], strict=True)]
        results.add(f"{what}, inputs/s next to the loop", statistics.median(ratios), "x")
        for who in ("host", "agent"):
            used = statistics.median(seen[f"{what}: {who}"])
            results.add(f"{what}, processor time of the {who}", used, "µs each")
        pairs = zip(seen[f"{alone}: host"], seen[f"{what}: host"], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        results.add(f"{what}, share of run() in the host's processor time", ratio, "x")
        results.add(f"{what}, results in a line", statistics.median(seen[f"{what}: batch"]), "")


def one_round(
    bench: Rig,
    seen: dict[str, list[float]],
    python: Path,
    models: Path,
    where: tuple[Path, Case],
) -> None:
    """Measure each once, the loop in the middle."""
    place, case = where
    place.mkdir()
    (place / "score.py").write_text(case.script)
    aside = place / "aside"
    aside.mkdir()
    command = [sys.executable, "-c", PRINTER, case.text, str(case.lines)]
    lines = {"command": command, "aside": str(aside)}
    host = (python, models, place)
    through_host(bench, seen, host, f"{case.name}: lines of a command", lines, case.lines)
    env = {"PYTHONPATH": str(place), "AZUREML_MODEL_DIR": str(models)}
    bare: list[str | Path] = [python, "-c", LOOP, case.text, str(case.lines // 3)]
    done = subprocess.run(bare, env=env, capture_output=True, text=True, timeout=60, check=True)
    speed, used = map(float, done.stdout.split())
    seen[f"{case.name}: run() in a loop"].append(speed)
    seen[f"{case.name}: run() in a loop: host"].append(used)
    frames = place / "frames"
    frames.mkdir()
    for n in range(case.files):
        (frames / f"{n:05}.json").write_text(case.text)
    files = {"folder": str(frames), "pattern": "*.json"}
    through_host(bench, seen, host, f"{case.name}: files of a folder", files, case.files)


def through_host(
    bench: Rig,
    seen: dict[str, list[float]],
    where: tuple[Path, Path, Path],
    what: str,
    told: Mapping[str, object],
    total: int,
) -> None:
    """Let the host score one input until the agent has stored all of it."""
    python, models, place = where
    run_dir = place / ("command" if "command" in told else "folder")
    run_dir.mkdir()
    (run_dir / "settings.json").write_text(json.dumps({"inputs": {"in": dict(told)}}))
    rate = run_dir / "rate"
    paths = f"{ROOT / 'agent'}:{ROOT / 'contract'}"
    arguments = (str(run_dir), str(total), str(int(total * SKIPPED)), str(rate))
    agent = bench.process(sys.executable, "-c", AGENT, *arguments, PYTHONPATH=paths)
    host = bench.process(
        python,
        "-m",
        "skerry_scorer",
        PYTHONPATH=str(ROOT / "scorer"),
        AML_APP_ROOT=str(place),
        AZUREML_ENTRY_SCRIPT="score.py",
        AZUREML_MODEL_DIR=str(models),
        SKERRY_RUN_DIR=str(run_dir),
    )
    until(lambda: answers(run_dir, "GET", "/"))
    until(lambda: answers(run_dir, "POST", "/skerry/serve"))
    before = [usage([one.pid]).cpu_s for one in (host, agent)]
    until(rate.exists)
    for who, began, process in zip(("host", "agent"), before, (host, agent), strict=True):
        used = (usage([process.pid]).cpu_s - began) / total * 1e6
        seen[f"{what}: {who}"].append(used)
    speed, batch = map(float, rate.read_text().split())
    seen[what].append(speed)
    seen[f"{what}: batch"].append(batch)
    end(host)
    end(agent)


def answers(run_dir: Path, method: str, path: str) -> bool:
    """Return whether the host says yes."""
    connection = UnixConnection(run_dir / "host.sock")
    try:
        connection.request(method, path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something, but not for ever."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} within {WITHIN_S} s")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
