"""Keeps one module of the process runtime: starts it, holds its log, notes how it ended.

A process of its own beside the agent, so that a module and its exit status outlive an agent that
dies. Run as a script with the job on standard input; it returns as soon as the module has started
and stays behind in the background. The module never outlives its keeper.

It holds a lock on ``lock`` in its folder for as long as it lives. That, and not a process id that
the kernel may give to somebody else, tells whether the module runs. SIGTERM is passed on to the
module, SIGUSR1 kills it.

It imports little, for there is one per module, and each has about 5 MB of its own.
"""
# ruff: noqa: PTH105, PTH123 - pathlib would lie in memory once per module, for three file names

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn

LOG_BYTES = 512 * 1024
"""Bytes of a log file; there are two, ``log`` and the one before it, ``log.1``."""
INFO_FD = 3
"""Where a sandbox tells the process id of what it started."""
FILTER_FD = 4
"""Where a sandbox finds a system call filter."""
_PIECE_BYTES = 16 * 1024
_LOCK_S = 5.0
_INFO_S = 10.0
_NICE = 5
_DETACH_S = 20.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNET = 0x4000_0000


class Log:
    """A log of bounded size; what does not fit on the disk is lost, and the module goes on."""

    def __init__(self, folder: str) -> None:
        self._path = f"{folder}/log"
        self._room = LOG_BYTES
        self._file = self._open()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def write(self, piece: bytes) -> None:
        """Add ``piece``, after putting a full file aside."""
        with suppress(OSError):
            if len(piece) > self._room:
                os.replace(self._path, f"{self._path}.1")
                os.close(self._file)
                self._file, self._room = self._open(), LOG_BYTES
            self._room -= os.write(self._file, piece)


def main() -> int:
    """Start what standard input says; return in the caller's process, stay in another."""
    job = json.load(sys.stdin)
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        problem = os.read(told, _PIECE_BYTES)
        os.write(2, problem)
        return 1 if problem else 0
    os.setsid()
    try:
        keep(job, tell)
    except OSError as error:
        with suppress(OSError):
            os.write(tell, str(error).encode())
    return 0


def keep(job: dict[str, Any], tell: int) -> None:
    """Run the job to its end.

    Args:
        job: ``argv``, ``env``, ``cwd``, ``folder`` (where the records go), ``sandbox`` (whether
            ``argv`` tells its child on ``INFO_FD``) and ``data_bytes`` (a limit, or null). There
            may be ``join`` (files by which to join control groups), ``network`` (a network
            namespace to join), ``filter`` (a file that is open on ``FILTER_FD``) and
            ``detached`` (``argv`` ends once it has put the module's process id into the file
            ``pid``, or says in the last line of ``log`` why not).
        tell: Closed once the module runs; what is written to it says why it does not.
    """
    folder = job["folder"]
    lock = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _take(lock)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake)
    log = Log(folder)
    if job.get("detached"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child, group, output = _start(job)
    record = {"keeper": os.getpid(), "started": time.time()}
    _write(f"{folder}/record.json", record)
    _let_go(tell)
    code = _watch(child, group, (output, woken), log)
    _write(f"{folder}/exit.json", {"code": code})


def _take(lock: int) -> None:
    """Take the lock; whoever only looks whether it is held may hold it for a moment."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _start(job: dict[str, Any]) -> tuple[int, int, int]:
    """Start the module; return its process, the process group to signal, and its output."""
    output, write_output = os.pipe()
    info, write_info = os.pipe()
    failed, fail = os.pipe()
    child = os.fork()
    if child == 0:
        _become(job, write_output, write_info, fail)
    for end in (write_output, write_info, fail):
        os.close(end)
    problem = os.read(failed, _PIECE_BYTES)
    os.close(failed)
    if problem:
        os.waitpid(child, 0)
        raise OSError(problem.decode(errors="replace"))
    if job.get("detached"):
        child = _detached(child, output, job["detached"])
    group = _sandboxed(info) if job["sandbox"] else None
    os.close(info)
    return child, group or child, output


def _detached(starter: int, output: int, told: dict[str, str]) -> int:
    """Wait until what starts the module has ended; return the module's process, our child now."""
    deadline = time.monotonic() + _DETACH_S
    while os.waitid(os.P_PID, starter, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            os.kill(starter, signal.SIGKILL)
        time.sleep(0.002)
    if os.waitstatus_to_exitcode(os.waitpid(starter, 0)[1]) != 0:
        os.set_blocking(output, False)
        with suppress(BlockingIOError):
            raise OSError(_reason(told["log"]) or os.read(output, _PIECE_BYTES).decode())
        raise OSError("it did not start, and did not say why")
    with open(told["pid"], encoding="ascii") as file:
        return int(file.read())


def _reason(path: str) -> str:
    """Return what the last line of a log in JSON says."""
    with suppress(OSError, ValueError, IndexError, KeyError), open(path, encoding="utf-8") as file:
        return str(json.loads(file.readlines()[-1])["msg"])
    return ""


def _become(job: dict[str, Any], output: int, info: int, fail: int) -> NoReturn:
    """Turn this process, which was forked a moment ago, into the module."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        for group in job.get("join", ()):
            with open(group, "w", encoding="ascii") as file:
                file.write("0")
        if job.get("network"):
            _join_network(job["network"])
        # The agent goes last when memory is short, and first when there is work.
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("500")
        os.nice(_NICE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if job["data_bytes"]:
            resource.setrlimit(resource.RLIMIT_DATA, (job["data_bytes"], job["data_bytes"]))
        os.chdir(job["cwd"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        # Out of the way first: one of them may have the number that another is to get.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (nothing, output, fail, info)]
        os.dup2(high[0], 0)
        os.dup2(high[1], 1)
        os.dup2(high[1], 2)
        fail = high[2]
        if job["sandbox"]:
            os.dup2(high[3], INFO_FD)
        if job.get("filter"):
            os.dup2(os.open(job["filter"], os.O_RDONLY | os.O_CLOEXEC), FILTER_FD)
        os.execve(job["argv"][0], job["argv"], job["env"])  # noqa: S606 - a shell is not wanted
    except (OSError, ValueError) as error:
        os.write(fail, f"{job['argv'][0]}: {error}".encode())
    finally:
        os._exit(127)


def _join_network(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(os.open(path, os.O_RDONLY | os.O_CLOEXEC), _CLONE_NEWNET):
        raise OSError(f"{path}: {os.strerror(ctypes.get_errno())}")


def _sandboxed(info: int) -> int | None:
    """Return the process that a sandbox started, or None if there is none."""
    text = b""
    deadline = time.monotonic() + _INFO_S
    while select.select([info], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(info, _PIECE_BYTES)
        text += piece
        if not piece or b"}" in text:
            break
    try:
        return int(json.loads(text)["child-pid"])
    except (ValueError, KeyError, TypeError):
        return None


def _let_go(tell: int) -> None:
    """Let the caller return, and keep nothing of its."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(tell)
    os.chdir("/")


def _watch(child: int, group: int, ends: tuple[int, int], log: Log) -> int:
    """Pass output to the log and signals to the module; return the exit status."""
    output, woken = ends
    open_ends = [output, woken]
    while True:
        ready = select.select(open_ends, [], [])[0]
        if output in ready:
            piece = os.read(output, _PIECE_BYTES)
            log.write(piece)
            if not piece:
                open_ends.remove(output)
        if woken in ready and _signalled(os.read(woken, 64), child, group):
            break
    # The child is a zombie until the end: so long its number cannot mean another process.
    _send(group, signal.SIGKILL)
    os.set_blocking(output, False)
    with suppress(BlockingIOError):
        for _ in range(2 * LOG_BYTES // _PIECE_BYTES):
            log.write(os.read(output, _PIECE_BYTES))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _signalled(numbers: bytes, child: int, group: int) -> bool:
    """Act on signals that came; return whether the module has ended."""
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is not None:
        return True
    if signal.SIGTERM in numbers:
        _send(group, signal.SIGTERM)
    if signal.SIGUSR1 in numbers:
        # Only what runs in a sandbox: the sandbox itself ends after it, and leaves no zombie.
        _kill(group)
    return False


def _send(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        # A sandbox names its child before that has a group of its own.
        with suppress(ProcessLookupError):
            os.kill(group, signal.SIGKILL)


def _write(path: str, value: dict[str, Any]) -> None:
    with open(f"{path}.new", "w", encoding="ascii") as file:
        json.dump(value, file)
    os.replace(f"{path}.new", path)


if __name__ == "__main__":
    sys.exit(main())
