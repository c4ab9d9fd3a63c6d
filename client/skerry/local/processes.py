"""Scorer hosts as processes: started to outlive us, found again by their run folder, ended.

A host is known by the ``SKERRY_RUN_DIR`` in its environment. No file holds its process id, so none
can name a stranger's after a crash or a reboot.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry_contract.errors import RuntimeFailedError

RUN_VARIABLE = "SKERRY_RUN_DIR"
STOP_GRACE_S = 10.0
"""Seconds between asking a host to end and killing it."""
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class HostProcess:
    """A scorer host that runs.

    Attributes:
        pid: Process id.
        run_dir: The run folder that it was given.
    """

    pid: int
    run_dir: Path


def start(command: Sequence[str | Path], env: Mapping[str, str], log: Path) -> int:
    """Start a host that goes on when we end, its output appended to ``log``; return its id.

    It can be found, or has ended, when this returns.

    Raises:
        RuntimeFailedError: There is no such program.
    """
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            command[0],
            [os.fspath(part) for part in command],
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise RuntimeFailedError(f"{command[0]} cannot be started: {error.strerror}") from error
    # A process has no environment to be seen for a moment after it has begun.
    while _is_there(pid) and not _environment(Path(f"/proc/{pid}")):
        time.sleep(_LOOK_S / 10)
    return pid


def find(folder: Path) -> list[HostProcess]:
    """Return the hosts whose run folder lies below ``folder``, those that are ending included."""
    inside = f"{RUN_VARIABLE}={folder}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        # A process that ends meanwhile, or belongs to somebody else.
        with suppress(OSError):
            for variable in _environment(entry):
                if variable.startswith(inside) and not _is_zombie(entry):
                    path = Path(os.fsdecode(variable.split(b"=", 1)[1]))
                    found.append(HostProcess(int(entry.name), path))
    return _leaders(found)


def stop(process: HostProcess, *, grace_s: float = STOP_GRACE_S) -> None:
    """End a host and what it has started: asked first, killed after ``grace_s`` seconds."""
    _signal(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _is_there(process.pid) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Even a killed process may stay, if a disk does not answer; then it holds nobody up.
    deadline = time.monotonic() + grace_s
    while _is_there(process.pid) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


def _environment(entry: Path) -> list[bytes]:
    try:
        return [v for v in (entry / "environ").read_bytes().split(b"\0") if v]
    except OSError:
        return []


def _leaders(found: list[HostProcess]) -> list[HostProcess]:
    """Leave out what hosts have started themselves: only leaders of a session are hosts."""
    kept = []
    for process in found:
        with suppress(OSError):
            if os.getsid(process.pid) == process.pid:
                kept.append(process)
    return kept


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_there(pid: int) -> bool:
    with suppress(ChildProcessError):
        # Our own child stays a zombie until somebody asks for its status.
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists() and not _is_zombie(Path(f"/proc/{pid}"))


def _is_zombie(entry: Path) -> bool:
    try:
        return (entry / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True
