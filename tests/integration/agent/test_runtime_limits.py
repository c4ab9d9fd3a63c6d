"""What limits do to a module in earnest, and what is told of it; on every runtime."""

import os
import re
from pathlib import Path

import pytest

from skerry_agent.core.world import Key
from skerry_agent.runtimes import Running, cgroups, ends, plain
from skerry_agent.runtimes.process import ProcessRuntime
from skerry_contract.errors import RuntimeFailedError
from skerry_contract.manifest import Resources
from support.images import OciImage
from support.runtime_bench import KEY, Bench
from support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_a_module_that_takes_too_much_memory_is_killed_and_told_so_with_the_numbers(
    bench: Bench, python: OciImage
) -> None:
    limits = Resources(memory_mb=64)
    bench.runtime.start(bench.spec(bench.prepare(python), "hog", resources=limits))
    end = bench.ended()
    assert end.code == 137
    text, remedy = ends.told(end)
    assert "killed it for the memory it used: memory limit 64 MiB" in text
    assert "resources.memory_mb" in remedy
    if bench.kind != "docker":
        assert re.search(r"peak 6[234] MiB", text)


def test_the_limit_on_memory_is_that_of_all_its_processes_together(
    bench: Bench, python: OciImage
) -> None:
    # Each of three children takes less than the limit.
    limits = Resources(memory_mb=96)
    bench.runtime.start(bench.spec(bench.prepare(python), "hogs", resources=limits))
    facts = bench.facts()
    assert facts["killed"] is True


def test_a_module_has_no_more_processes_than_it_may(bench: Bench, python: OciImage) -> None:
    limits = Resources(pids=20)
    bench.runtime.start(bench.spec(bench.prepare(python), "multiply", resources=limits))
    facts = bench.facts()
    started = facts["started"]
    assert isinstance(started, int)
    # The module itself is one of the 20, and an init may be another.
    assert 17 <= started <= 19
    (bench.run_dir() / "end").touch()
    end = bench.ended()
    if bench.kind != "docker":
        text, remedy = ends.told(end)
        assert "was refused another process or thread" in text
        assert "resources.pids" in remedy


def test_a_module_gets_no_more_of_the_processor_than_it_may(bench: Bench, python: OciImage) -> None:
    limits = Resources(cpu_percent=20)
    bench.runtime.start(bench.spec(bench.prepare(python), "spin", resources=limits))
    facts = bench.facts()
    wall_s, used_s = facts["wall_s"], facts["used_s"]
    assert isinstance(wall_s, float)
    assert isinstance(used_s, float)
    # 0.6 s of work at a fifth of a processor: more than 2 s, whatever else the machine does.
    assert used_s >= 0.6
    assert used_s / wall_s < 0.3


def test_scratch_that_is_full_is_the_modules_own_trouble(bench: Bench, python: OciImage) -> None:
    if bench.kind == "plain":
        assert "root" not in bench.runtime.caps().enforces
        return
    bench.runtime.start(bench.spec(bench.prepare(python), "fill"))
    facts = bench.facts()
    assert facts["error"] == "ENOSPC"
    assert facts["written"] == 64 * 1024 * 1024
    assert "begin fill" in bench.runtime.tail(KEY, max_bytes=1000)


def test_orphans_of_a_module_are_reaped(bench: Bench, python: OciImage) -> None:
    bench.runtime.start(bench.spec(bench.prepare(python), "orphan"))
    assert bench.facts()["zombies"] == 0


def test_many_starts_leave_nothing_behind(bench: Bench, python: OciImage) -> None:
    spec = bench.spec(bench.prepare(python), "sleep")
    bench.runtime.start(spec)
    bench.runtime.stop(KEY, grace_s=0)
    before = _held(bench)
    for _ in range(5):
        bench.runtime.start(spec)
        bench.runtime.stop(KEY, grace_s=0)
    assert bench.runtime.instances() == {}
    eventually(lambda: _held(bench) == before, 30, why="nothing more to be held than before")


def test_a_keeper_that_is_killed_takes_its_module_along(bench: Bench, python: OciImage) -> None:
    if bench.kind == "docker":
        return  # the engine keeps; what happens when it dies is in test_docker_bad_days.py
    spec = bench.spec(bench.prepare(python), "sleep")
    bench.runtime.start(spec)
    bench.up()
    record = (bench.home / "state/instances" / str(KEY) / "record.json").read_text()
    found = re.search(r'"keeper": (\d+)', record)
    assert found
    os.kill(int(found[1]), 9)
    assert bench.ended().code is None
    bench.runtime.start(spec)
    assert isinstance(bench.runtime.instances()[KEY], Running)
    bench.runtime.stop(KEY)
    assert not list(Path("/sys/fs/cgroup").glob(f"*/*{_mark(bench)}*"))


def test_without_control_groups_memory_is_limited_for_each_process_and_caps_do_not_say_so(
    folder: Path, python: OciImage
) -> None:
    nothing = cgroups.Cgroups("none", {})
    bench = Bench(
        "plain",
        lambda home: ProcessRuntime(home / "state", sandbox=plain.Plain(), cgroups=nothing),
        folder / "porch",
    )
    assert bench.runtime.caps().enforces == ()
    limits = Resources(memory_mb=64)
    bench.runtime.start(bench.spec(bench.prepare(python), "hog", resources=limits))
    assert bench.ended().code == 1
    assert "MemoryError" in bench.runtime.tail(KEY, max_bytes=4000)
    bench.runtime.stop(KEY)


def test_a_limit_that_the_kernel_refuses_is_an_error_that_names_the_module(
    tmp_path: Path,
) -> None:
    tree = cgroups.Tree(2, tmp_path)  # no kernel behind it: no file to write a limit to
    with pytest.raises(RuntimeFailedError, match=r"cam\.0123456789ab.*limits"):
        cgroups.Cgroups("m", {"memory": tree}).make(str(KEY), Resources(memory_mb=64))


def _held(bench: Bench) -> tuple[int, list[str], list[str]]:
    """Return what could leak: our open files, groups, and mounts of this device."""
    groups = sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"*/*{_mark(bench)}*"))
    mounts = [
        line
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if str(bench.home) in line
    ]
    return len(list(Path("/proc/self/fd").iterdir())), groups, mounts


def _mark(bench: Bench) -> str:
    return cgroups.Cgroups(cgroups.mark_of(bench.home / "state"), {}).name("")


def test_two_devices_have_groups_of_their_own(tmp_path: Path) -> None:
    names = {cgroups.mark_of(tmp_path / name) for name in ("porch", "garden")}
    assert len(names) == 2
    assert str(Key("cam", "0123456789ab")) == "cam.0123456789ab"
