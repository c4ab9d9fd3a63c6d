"""Hold a process to a share of a processor and to some memory, as a smaller machine would."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

PERIOD_US = 100_000
_V1 = Path("/sys/fs/cgroup")


class Holder(Protocol):
    """Holds one process, and all that it starts, to its limits.

    Attributes:
        name: What does it, for people.
    """

    name: str

    def join(self, pid: int) -> None:
        """Take a process that has just been started in."""
        ...

    def close(self) -> None:
        """Let go; everything that was taken in has ended."""
        ...


class ControlGroup:
    """Limits that the kernel enforces, of control groups of version 1 or 2.

    Args:
        cpu: Processors, above 0; such as 0.5.
        memory_bytes: Memory, above 0.

    Raises:
        OSError: Groups cannot be made here, by this user.
    """

    def __init__(self, cpu: float, memory_bytes: int) -> None:
        name, quota = f"skerry-profile-{os.getpid()}", int(cpu * PERIOD_US)
        self._folders: list[Path] = []
        try:
            if (_V1 / "cgroup.controllers").exists():
                self.name = "control groups, version 2"
                folder = self._make(_V1 / name)
                (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
                (folder / "memory.max").write_text(str(memory_bytes))
                with suppress(OSError):
                    (folder / "memory.swap.max").write_text("0")
            else:
                self.name = "control groups, version 1"
                folder = self._make(_V1 / "cpu" / name)
                (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (folder / "cpu.cfs_quota_us").write_text(str(quota))
                folder = self._make(_V1 / "memory" / name)
                (folder / "memory.limit_in_bytes").write_text(str(memory_bytes))
        except OSError:
            self.close()
            raise

    def _make(self, folder: Path) -> Path:
        folder.mkdir()
        self._folders.append(folder)
        return folder

    def join(self, pid: int) -> None:
        """Move a process into the groups."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove the groups; the kernel needs a moment to see that they are empty."""
        for folder in self._folders:
            for _ in range(50):
                with suppress(OSError):
                    folder.rmdir()
                if not folder.exists():
                    break
                time.sleep(0.02)
        self._folders = []


class DutyCycle:
    """Stops a process for part of each period: rougher than the kernel, but needs no rights.

    The memory is not held; whoever watches the process compares it with the limit.

    Args:
        cpu: Processors, above 0; at 1 and above nothing is stopped.
        period_s: Length of one period, in seconds.
    """

    name = "stopping and continuing the process; memory is watched, not held"

    def __init__(self, cpu: float, period_s: float = PERIOD_US / 1e6) -> None:
        self._run_s, self._stop_s = min(cpu, 1.0) * period_s, max(0.0, 1.0 - cpu) * period_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def join(self, pid: int) -> None:
        """Begin to stop and continue a process."""
        if self._stop_s > 0:
            self._thread = threading.Thread(target=self._cycle, args=[pid], daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Leave the process alone."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _cycle(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            while not self._ended.wait(self._run_s):
                os.kill(pid, signal.SIGSTOP)
                self._ended.wait(self._stop_s)
                os.kill(pid, signal.SIGCONT)


def hold(cpu: float, memory_bytes: int) -> Holder:
    """Return what holds a process best on this machine, for this user."""
    try:
        return ControlGroup(cpu, memory_bytes)
    except OSError:
        return DutyCycle(cpu)
