"""What the benchmarks measure with."""

import importlib.util
import mmap
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "measure.py"
    spec = importlib.util.spec_from_file_location("measure", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def test_memory_that_is_taken_shows(measure: ModuleType) -> None:
    before = measure.usage([os.getpid()])
    # A mapping of its own: a list or bytearray may reuse what a test before has freed.
    ballast = mmap.mmap(-1, 32 * 1024**2)
    ballast.write(b"x" * len(ballast))
    after = measure.usage([os.getpid()])
    assert len(ballast) == 32 * 1024**2
    assert after.rss_bytes - before.rss_bytes > 24 * 1024**2
    assert after.pss_bytes <= after.rss_bytes


def test_processor_time_that_is_used_shows(measure: ModuleType) -> None:
    before = measure.usage([os.getpid()]).cpu_s
    while measure.usage([os.getpid()]).cpu_s - before < 0.05:
        sum(range(10_000))


def test_children_count_as_the_family(measure: ModuleType) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= set(measure.family(os.getpid()))


def test_medians_compare(measure: ModuleType) -> None:
    assert measure.ratio([2.0, 4.0, 90.0], [1.0, 2.0, 3.0]) == 2.0
    assert measure.percentile([float(n) for n in range(101)], 99) == 99.0


def test_the_most_that_was_held_at_once_shows_until_it_is_forgotten(measure: ModuleType) -> None:
    measure.forget_peak(os.getpid())
    before = measure.peak_bytes(os.getpid())
    with mmap.mmap(-1, 32 * 1024**2) as ballast:
        ballast.write(b"x" * len(ballast))
    peak = measure.peak_bytes(os.getpid())
    assert peak - before > 24 * 1024**2
    measure.forget_peak(os.getpid())
    assert measure.peak_bytes(os.getpid()) < peak
