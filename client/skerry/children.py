"""Processes that we start: each in a session of its own, ended by its id, and never left behind."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from skerry_contract.errors import RuntimeFailedError

_PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""


class Child:
    """A process that runs until it is stopped.

    Args:
        name: What it is called in messages.
        command: Program and arguments.
        log: Takes its stderr, and its stdout unless that is read; None lets both through to ours.
        read_stdout: Whether ``stdout`` is for us to read.
        env: Environment; None for ours.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path | None = None,
        read_stdout: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") if log else os.fdopen(os.dup(2), "wb") as errors:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if read_stdout else errors,
                    stderr=errors,
                    env=env,
                    # Ctrl-C goes to us alone: we end our children in order.
                    start_new_session=True,
                )
            except OSError as error:
                raise RuntimeFailedError(f"{name} does not start: {error}") from error

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """What it writes, if that is for us to read."""
        if self._process.stdout is None:
            raise ValueError(f"{self.name} was started without reading its output")
        return self._process.stdout

    def ended(self) -> int | None:
        """Return its exit status, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until it ends and return its exit status.

        Raises:
            subprocess.TimeoutExpired: It did not end in time.
        """
        return self._process.wait(timeout_s)

    def stop(self, grace_s: float = 30.0) -> bool:
        """End it: SIGTERM, and after ``grace_s`` seconds SIGKILL to it and what it left running.

        Returns:
            Whether it ended by itself when it was asked to.
        """
        asked_in_vain = False
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                asked_in_vain = True
                self._kill_session()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return not asked_in_vain

    def last_lines(self, count: int = 20) -> str:
        """Return the end of its log; empty without one."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16_384))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-count:])

    def _kill_session(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


@contextmanager
def interrupted_by(number: signal.Signals) -> Iterator[None]:
    """Turn a signal into the same as Ctrl-C."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)


def adopt_orphans() -> None:
    """Make what our children leave behind ours, so that ``end_orphans`` finds it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(within_s: float = 10.0) -> list[str]:
    """Kill what ended children left behind, and what that leaves behind; return each in words.

    Call it after ``adopt_orphans``, and when every child of ours was waited for.
    """
    found: dict[int, str] = {}
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and (left := _children_of(os.getpid())):
        for pid, command in left.items():
            with suppress(ProcessLookupError, ChildProcessError):
                # Those that ended by themselves are only waited for.
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    found[pid] = f"process {pid} ({command})"
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return list(found.values())


def _children_of(parent: int) -> dict[int, str]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                # The name in parentheses may hold anything, so count from the last one.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    found[int(entry.name)] = b" ".join(words).decode(errors="replace")[:200]
    return found
