"""Watches what a trial does, and ends one that goes wrong without a word, with the reason.

The kernel holds it where it may (``trial_group``); this looks ten times a second everywhere: at how
many processes there are, what memory they have together, what lies in the run folder, and whether
anything is done at all. A trial that waits for what never comes is asked where it stands, and ended
long before its time is up. Source: proc(5).
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from skerry_cloud.compiler.programs import kill_group
from skerry_cloud.compiler.trial_group import Group

_PROC = Path("/proc")
_LOOK_S = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_IDLE_SHARE = 0.02
"""Share of a processor up to which a trial counts as idle: being asked how it is takes less."""
_DUMP_S = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trial may take in all.

    Attributes:
        processes: Processes and threads at the same time.
        memory_bytes: Memory of all processes together.
        run_bytes: What it may leave in its run folder, which lies on the server's disk.
        idle_s: Seconds in which it may do nothing at all.
    """

    processes: int = 512
    memory_bytes: int = os.sysconf("SC_PHYS_PAGES") * _PAGE * 3 // 4
    run_bytes: int = 64 * 1024 * 1024
    idle_s: float = 20.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What is seen of all processes of a trial at one time."""

    threads: int
    resident_bytes: int
    processor_s: float
    is_busy: bool


class Watch:
    """Looks at a trial until it is closed.

    Args:
        child: The trial.
        run: Its run folder.
        group: What the kernel holds it to.
        limits: What it may take.
    """

    def __init__(
        self, child: subprocess.Popen[bytes], run: Path, group: Group, limits: Limits
    ) -> None:
        self._child = child
        self._run = run
        self._group = group
        self._limits = limits
        self._reason = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="trial-watch", daemon=True)
        self._thread.start()

    @property
    def reason(self) -> str:
        """Why the trial was ended, in words that follow its name; "" if it was not."""
        return self._reason or self._of_kernel()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
        self._thread.join()

    def dump(self) -> None:
        """Let each Python of the trial write where it stands, which ends it."""
        for pid in family(self._child.pid):
            with suppress(OSError):
                # The sandbox's own processes would take the rest with them.
                if (_PROC / str(pid) / "comm").read_text() != "bwrap\n":
                    os.kill(pid, signal.SIGABRT)
        self._closed.wait(_DUMP_S)

    def _watch(self) -> None:
        since, done_s = time.monotonic(), 0.0
        while not self._closed.wait(_LOOK_S) and self._child.poll() is None:
            seen = _look(self._child.pid)
            self._reason = self._of_kernel() or self._too_much(seen)
            now = time.monotonic()
            if seen.is_busy or seen.processor_s - done_s > _IDLE_SHARE * (now - since):
                since, done_s = now, seen.processor_s
            elif now - since > self._limits.idle_s and not self._reason:
                self._reason = f"did nothing for {self._limits.idle_s:.0f} s: it waits for ever"
                self.dump()
            if self._reason:
                kill_group(self._child)
                return

    def _too_much(self, seen: _Look) -> str:
        limits = self._limits
        if seen.threads > limits.processes:
            return f"started more than {limits.processes} processes and threads"
        # Shared pages count once for each process in the cheap sum, so the dear one decides.
        if seen.resident_bytes > limits.memory_bytes and _shared_out(self._child.pid) > (
            limits.memory_bytes
        ):
            return f"took more than {limits.memory_bytes >> 20} MiB of memory"
        if _size_of(self._run, limits.run_bytes) > limits.run_bytes:
            return f"wrote more than {limits.run_bytes >> 20} MiB into its run folder"
        return ""

    def _of_kernel(self) -> str:
        reasons = {
            "processes": f"started more than {self._limits.processes} processes and threads",
            "memory": f"took more than {self._limits.memory_bytes >> 20} MiB of memory",
        }
        return reasons.get(self._group.broken(), "")


@contextmanager
def watched(
    child: subprocess.Popen[bytes], run: Path, group: Group, limits: Limits
) -> Iterator[Watch]:
    """Yield a watch that looks as long as the block lasts."""
    watch = Watch(child, run, group, limits)
    try:
        yield watch
    finally:
        watch.close()


def _look(pid: int) -> _Look:
    threads, resident, ticks, is_busy = 0, 0, 0, False
    for one in family(pid):
        with suppress(OSError, ValueError, IndexError):
            # The name in brackets may hold anything.
            fields = (_PROC / str(one) / "stat").read_text("utf-8", "replace").rpartition(")")[2]
            words = fields.split()
            is_busy = is_busy or words[0] in "RD"
            ticks += int(words[11]) + int(words[12]) + int(words[13]) + int(words[14])
            threads += int(words[17])
            resident += int(words[21]) * _PAGE
    return _Look(threads, resident, ticks / _TICKS, is_busy)


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that are below it at this moment."""
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        yield one
        for listed in (_PROC / str(one) / "task").glob("*/children"):
            with suppress(OSError, ValueError):
                waiting += map(int, listed.read_text().split())


def _shared_out(pid: int) -> int:
    """Return the memory of a process and all below it, each page divided among who has it."""
    return sum(_read(one, "smaps_rollup", _pss_bytes) for one in family(pid))


def _read(pid: int, name: str, of: Callable[[str], int]) -> int:
    with suppress(OSError, ValueError):
        return of((_PROC / str(pid) / name).read_text())
    return 0


def _pss_bytes(text: str) -> int:
    lines = (line.split() for line in text.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "Pss:"), 0)


def _size_of(folder: Path, limit: int) -> int:
    """Return what lies in a folder, in bytes on disk, as far as that is within the limit."""
    size, waiting = 0, [folder]
    while waiting and size <= limit:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                size += max(entry.stat(follow_symlinks=False).st_blocks * 512, 4096)
    return size
