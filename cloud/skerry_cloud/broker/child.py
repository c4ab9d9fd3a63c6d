"""A broker program as a child process: started, watched, logged within bounds, stopped."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from skerry_cloud.durable import write_durably

_LOG_BYTES = 1024 * 1024
"""Size at which the log becomes ``.1`` and a new one begins."""
_LAST_LINES = 20
_LINE_BYTES = 4096


class Child:
    """One running program, which ends with this process however that ends.

    The kernel sees to that on Linux. Elsewhere, or if it comes too late, ``pid`` beside the log
    says which process was left behind and still holds the port.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        """Start ``command``; its output goes to ``broker.log`` in ``folder``.

        Raises:
            OSError: The program cannot be run.
        """
        self._folder = folder
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        started: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()
        # The signal at our end is sent when the thread ends that made the child. So the thread
        # that makes it is the one that lives as long as the child does.
        self._keeper = threading.Thread(
            target=self._keep, args=(command, started), name="broker", daemon=True
        )
        self._keeper.start()
        outcome = started.get()
        if isinstance(outcome, OSError):
            raise outcome
        self._process = outcome
        write_durably(folder / "pid", f"{self.pid} {command[0]}\n".encode())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Return whether it still runs."""
        return self._process.poll() is None

    def last_lines(self) -> str:
        """Return the end of its log, all of it if the program has ended."""
        if not self.alive():
            self._keeper.join(1.0)
        return "\n".join(self._last)

    def stop(self, *, within_s: float) -> None:
        """End it, by force after ``within_s`` seconds; harmless if it has ended."""
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._keeper.join(1.0)
        with contextlib.suppress(FileNotFoundError):
            (self._folder / "pid").unlink()

    def _keep(
        self,
        command: Sequence[str],
        started: "SimpleQueue[subprocess.Popen[bytes] | OSError]",
    ) -> None:
        try:
            process = subprocess.Popen(
                [*_ends_with_us(), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                # Ctrl-C is for the server, which then stops its broker in good order.
                start_new_session=True,
            )
        except OSError as error:
            started.put(error)
            return
        started.put(process)
        if process.stdout is not None:
            with process.stdout as output:
                self._copy_log(output)

    def _copy_log(self, output: IO[bytes]) -> None:
        path = self._folder / "broker.log"
        while line := output.readline(_LINE_BYTES):
            self._last.append(line.decode(errors="replace").rstrip())
            # A full disk must not block the pipe, and with it the broker.
            with contextlib.suppress(OSError):
                _append(path, line)


def _ends_with_us() -> list[str]:
    """Return what to put before a command so that the kernel ends it with its parent."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=TERM", "--"] if setpriv else []


def end_leftover(folder: Path) -> None:
    """End the broker that works in ``folder``, if a server that was killed left one behind."""
    try:
        number, _, program = (folder / "pid").read_text().strip().partition(" ")
        pid = int(number)
    except (OSError, ValueError):
        return
    for order, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience_s
        with contextlib.suppress(ProcessLookupError):
            if _is_ours(pid, program, folder):
                os.kill(pid, order)
        while _is_ours(pid, program, folder) and time.monotonic() < deadline:
            time.sleep(0.02)


def _is_ours(pid: int, program: str, folder: Path) -> bool:
    """Return whether a process is that program in that folder, and not a later one's number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    inside = os.fsencode(folder) + b"/"
    return command[0] == os.fsencode(program) and any(c.startswith(inside) for c in command)


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as log:
        log.write(line)
        full = log.tell() >= _LOG_BYTES
    if full:
        path.replace(path.with_suffix(".log.1"))
