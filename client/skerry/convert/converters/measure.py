"""Run a model on the samples, one at a time, and say what it costs.

Nothing but the runtime of this one model is imported, so that the memory is that of a device which
runs it: the largest resident set of the whole process.
"""

import importlib
import statistics
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from .order import say

_RUNTIMES = {
    "keras": ("tensorflow-cpu",),
    "saved-model": ("tensorflow-cpu",),
    "sklearn": ("scikit-learn",),
    "torchscript": ("torch", "numpy"),
    "exported-program": ("torch", "numpy"),
    "onnx": ("onnxruntime",),
    "litert": ("ai-edge-litert",),
}
LEAST_CALLS = 20
MOST_S = 5.0
"""Seconds that the measurement of the latency goes on for, at most, after ``LEAST_CALLS``."""


def do(order: dict[str, Any]) -> dict[str, Any]:
    """Measure, and write what the model says to the file that the order names."""
    say(f"measuring with {order['runtime']}")
    began = time.perf_counter()
    runtimes = importlib.import_module(".runtimes", __package__)
    call = runtimes.OPEN[order["runtime"]](order["source"])
    load_ms = (time.perf_counter() - began) * 1000
    samples = importlib.import_module(".samples", __package__)
    rows = list(_rows(samples.load(order["samples"])))
    said = [call(row) for row in rows]
    taken = _latencies(call, rows)
    samples.save(order["outputs"], runtimes.stacked(said))
    return {
        "load_ms": load_ms,
        "latency_ms": statistics.median(taken),
        "latency_p95_ms": sorted(taken)[int(len(taken) * 0.95)],
        "memory_bytes": peak_bytes(),
        "installed_bytes": installed_bytes(_RUNTIMES[order["runtime"]]),
    }


def peak_bytes() -> int:
    """Return the largest resident set that this process has had."""
    status = Path("/proc/self/status").read_text(errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def installed_bytes(names: Iterable[str]) -> int:
    """Return the size of these packages and all that they need, as they lie on the disk."""
    left, seen, total = list(names), set(), 0
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        total += sum(_size(file) for file in found.files or ())
        left += [_name(need) for need in found.requires or () if "extra ==" not in need]
    return total


def _size(file: Any) -> int:
    path = file.locate()
    return path.stat().st_size if path.is_file() and path.suffix != ".pyc" else 0


def _name(requirement: str) -> str:
    for stop in " ;<>=!~[(":
        requirement = requirement.split(stop, maxsplit=1)[0]
    return requirement


def _rows(arrays: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for n in range(len(next(iter(arrays.values())))):
        # An ellipsis, so that a single number stays an array.
        yield {name: array[n, ...] for name, array in arrays.items()}


def _latencies(call: Callable[[Any], Any], rows: list[Any]) -> list[float]:
    taken: list[float] = []
    ends = time.perf_counter() + MOST_S
    while len(taken) < LEAST_CALLS or (
        len(taken) < 10 * LEAST_CALLS and time.perf_counter() < ends
    ):
        began = time.perf_counter()
        call(rows[len(taken) % len(rows)])
        taken.append((time.perf_counter() - began) * 1000)
    return taken
