"""How many bytes an update of a layer takes as a delta, next to the whole layer and to other tools.

    python benchmarks/deltas.py

Weights are made here: normal numbers, as trained ones mostly are, with a small change to each as a
short training makes it. Every tool gets the same two tar archives; applying is measured in a
process of its own, as on a device.
"""

import gzip
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measure import ratio
from results import Results
from rig import note, options, show
from skerry_cloud.deltas.make import make
from support.programs import need

NUMBERS = 2_000_000
"""Weights of a model."""
NOT_SHOWN = (
    "Real training: these weights changed all over, by noise of a hundredth of their spread.",
    "The time that bytes take on a link.",
)
_APPLY = """
import json, os, time
from skerry_contract.delta import apply
begun = time.monotonic()
with open("old.tar", "rb") as old, open("ours", "rb") as delta, open("made.tar", "wb") as out:
    apply(old, delta, out.write, size=os.path.getsize("new.tar"))
took = time.monotonic() - begun
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([took, int(peak.split()[1]) / 1024]))
"""
Pair = tuple[dict[str, bytes], dict[str, bytes]]


def main() -> None:
    """Measure, and print what came out."""
    given = options(__doc__, rounds=1)
    results = Results("deltas", NOT_SHOWN)
    with tempfile.TemporaryDirectory(prefix="skerry-deltas-") as scratch:
        for name, pair in cases().items():
            note(name)
            measure(Path(scratch), name, pair(), results)
    show(results, given)


def cases() -> dict[str, Callable[[], Pair]]:
    """Return each kind of update: the files before, and after."""
    return {
        "float32, trained further": lambda: trained(np.float32),
        "float16, trained further": lambda: trained(np.float16),
        "int8, one in ten changed by one": quantized,
        "score.py, one line": script,
    }


def trained(kind: type[np.floating]) -> Pair:
    """Return weights, and the same after a little more training."""
    source = np.random.default_rng(1)
    weights = source.normal(0, 0.05, NUMBERS)
    further = weights + source.normal(0, 0.0005, NUMBERS)
    return model(weights.astype(kind)), model(further.astype(kind))


def quantized() -> Pair:
    """Return small whole numbers, of which some move to their neighbour."""
    source = np.random.default_rng(2)
    weights = np.clip(source.normal(0, 30, NUMBERS), -120, 120).astype(np.int8)
    moved = weights + (source.random(NUMBERS) < 0.1).astype(np.int8)
    return model(weights), model(moved.astype(np.int8))


def script() -> Pair:
    """Return this checkout's scorer host, and the same with one line more in one file."""
    folder = Path(__file__).parents[1] / "scorer"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}
    changed = sorted(files)[len(files) // 2]
    return files, {**files, changed: files[changed] + b"THRESHOLD = 0.6\n"}


def model(weights: NDArray[np.generic]) -> dict[str, bytes]:
    """Return weights as the one file of a model."""
    return {"models/weights.bin": weights.tobytes()}


def measure(folder: Path, name: str, pair: Pair, results: Results) -> None:
    """Note what each way makes of one update."""
    for file, files in zip(("old.tar", "new.tar"), pair, strict=True):
        (folder / file).write_bytes(archive(files))
    whole = len(gzip.compress((folder / "new.tar").read_bytes(), 6))
    begun = time.monotonic()
    make(folder / "old.tar", folder / "new.tar", folder / "ours")
    took_s = time.monotonic() - begun
    zstd = [need("zstd", "zstd"), "-qf", "-19", "--long=27", "--patch-from=old.tar", "new.tar"]
    run([*zstd, "-o", "zstd"], folder)
    run([need("xdelta3", "xdelta3"), "-fq9", "-es", "old.tar", "new.tar", "xdelta3"], folder)
    applied_s, peak = json.loads(run([sys.executable, "-c", _APPLY], folder))
    if (folder / "made.tar").read_bytes() != (folder / "new.tar").read_bytes():
        raise AssertionError(f"{name}: the delta makes another layer")
    sizes = {one: (folder / one).stat().st_size for one in ("ours", "zstd", "xdelta3")}
    results.add(f"{name}: whole layer, gzip", whole / 1024, "KiB")
    results.add(f"{name}: delta", sizes["ours"] / 1024, "KiB")
    results.add(f"{name}: delta / whole layer", ratio([sizes["ours"]], [whole]), "x")
    results.add(f"{name}: delta / zstd --patch-from", ratio([sizes["ours"]], [sizes["zstd"]]), "x")
    results.add(f"{name}: delta / xdelta3", ratio([sizes["ours"]], [sizes["xdelta3"]]), "x")
    results.add(f"{name}: making", took_s, "s")
    results.add(f"{name}: applying", applied_s, "s")
    results.add(f"{name}: applying, peak rss", peak, "MiB")


def archive(files: dict[str, bytes]) -> bytes:
    """Return files as a layer holds them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def run(command: list[str], folder: Path) -> bytes:
    """Run a program in a folder to its good end, and return what it printed."""
    done = subprocess.run(command, cwd=folder, check=True, timeout=300, stdout=subprocess.PIPE)
    return done.stdout


if __name__ == "__main__":
    main()
