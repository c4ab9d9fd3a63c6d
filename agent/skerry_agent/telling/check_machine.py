"""Look for what is wrong with the machine itself: clock, disk, memory, cgroups, engine."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from skerry_agent.home import Home, is_running
from skerry_agent.runtimes import Runtime
from skerry_agent.telling.finding import Finding
from skerry_agent.telling.health import Metrics
from skerry_agent.telling.outbox import peek
from skerry_contract.errors import SkerryError

LOW_DISK_BYTES = 200 * 1024 * 1024
LOW_FILES = 1000
LOW_MEMORY = 0.05
"""Share of memory below which little is left."""
FULL = 0.8
"""Share of the outbox's limit above which it is worth a word."""
_BUILT = 1_767_225_600  # 2026-01-01: a clock before this is wrong


def check_machine(home: Home, make_runtime: Callable[[], Runtime]) -> Iterator[Finding]:
    """Yield a finding for each thing on this machine."""
    metrics = Metrics(home.folder, lambda: 0.0).read()
    yield _agent(home)
    yield _clock(metrics)
    yield _disk(home.folder, metrics)
    yield _memory(metrics)
    yield _outbox(home)
    yield cgroups(Path("/sys/fs/cgroup"), Path("/proc/cgroups"))
    yield _runtime(home, make_runtime)


def _agent(home: Home) -> Finding:
    if is_running(home):
        return Finding("agent", "ok", "runs")
    fix = "Start it: run.sh, or systemctl start skerry-agent where it was installed."
    return Finding("agent", "warning", "does not run", fix)


def _clock(metrics: dict[str, float]) -> Finding:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < _BUILT:
        return Finding("clock", "error", now, "Set the clock, or let an NTP client do it.")
    if metrics.get("clock_synchronized") == 0:
        fix = "Start an NTP client, such as systemd-timesyncd; the kernel sees none."
        return Finding("clock", "warning", f"{now}, and nothing keeps it right", fix)
    return Finding("clock", "ok", now)


def _disk(folder: Path, metrics: dict[str, float]) -> Finding:
    usage = shutil.disk_usage(folder)
    text = f"{usage.free // 2**20} MiB of {usage.total // 2**20} MiB are free"
    if not os.access(folder, os.W_OK):
        fix = "Run as the folder's owner; see whether the disk went read-only after an error."
        return Finding("disk", "error", f"{folder} cannot be written", fix)
    if usage.free < LOW_DISK_BYTES:
        return Finding("disk", "warning", text, "Free some space; images need room twice over.")
    if metrics.get("disk_free_files", LOW_FILES) < LOW_FILES:
        few = f"{metrics['disk_free_files']:.0f} more files fit"
        return Finding("disk", "warning", few, "Remove files: the file system is out of inodes.")
    return Finding("disk", "ok", text)


def _memory(metrics: dict[str, float]) -> Finding:
    total, free = metrics.get("memory_total_bytes", 0), metrics.get("memory_available_bytes", 0)
    text = f"{int(free) // 2**20} MiB of {int(total) // 2**20} MiB are available"
    if free < total * LOW_MEMORY:
        fix = "Set resources.memory_mb in the manifest, or run less on this machine."
        return Finding("memory", "warning", text, fix)
    return Finding("memory", "ok", text)


def _outbox(home: Home) -> Finding:
    try:
        level = peek(home.state / "outbox.db")
    except SkerryError as error:
        return Finding("outbox", "error", error.text, error.remedy)
    if level is None:
        return Finding("outbox", "ok", "nothing was ever stored")
    limit = home.config.outbox_mb * 2**20
    given_up = ", ".join(f"{n} {reason}" for reason, n in level.dropped.items()) or "none"
    text = f"{level.rows} items, {level.size_bytes * 100 // limit} % full; given up: {given_up}"
    if level.size_bytes > FULL * limit:
        fix = "Connect the device, or raise outbox_mb in device.json."
        return Finding("outbox", "warning", text, fix)
    return Finding("outbox", "ok", text)


def cgroups(unified: Path, table: Path) -> Finding:
    """Tell whether the kernel can hold modules to limits on memory, processors and processes.

    Args:
        unified: Where cgroups are mounted.
        table: The kernel's list of controllers, for cgroups of version 1.
    """
    wanted = {"cpu", "memory", "pids"}
    fix = "On Raspberry Pi OS add 'cgroup_enable=memory' to /boot/firmware/cmdline.txt, and reboot."
    try:
        found = set((unified / "cgroup.controllers").read_text().split())
        version = "2"
    except OSError:
        try:
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
        except OSError as error:
            return Finding("cgroups", "warning", f"there are none: {error}", fix)
        found = {row[0] for row in rows if len(row) == 4 and row[3] == "1"}
        version = "1"
    missing = sorted(wanted - found)
    if missing:
        text = f"version {version}, without {', '.join(missing)}: such limits do not hold"
        return Finding("cgroups", "warning", text, fix)
    return Finding("cgroups", "ok", f"version {version}: {', '.join(sorted(wanted))}")


def _runtime(home: Home, make_runtime: Callable[[], Runtime]) -> Finding:
    try:
        caps = make_runtime().caps()
    except SkerryError as error:
        return Finding("engine", "error", error.text, error.remedy or _engine_fix(home))
    enforced = ", ".join(caps.enforces) or "nothing"
    text = f"{caps.name}, isolation: {caps.isolation}, enforces: {enforced}"
    if caps.isolation == "none":
        fix = "Install bubblewrap or a Docker engine to hold modules in."
        return Finding("engine", "warning", text, fix)
    return Finding("engine", "ok", text)


def _engine_fix(home: Home) -> str:
    socket = Path(home.config.docker_socket)
    if home.config.runtime == "docker" and socket.exists() and not os.access(socket, os.W_OK):
        return f"Put the agent's user into the group that owns {socket}."
    return "See whether the engine runs, and 'docker_socket' in device.json."
